//! Streams: from the first octet of a handshake to the end.

use bytes::Bytes;
use net::{Closed, Input, Node, NodeId, StreamEvent, StreamId};

use super::{GENERATIONS, Lean, Place, Token};
use crate::connection::{LINGER_MAX, STALLED_MAX};
use crate::lean::connection::{Connection, Left, State};
use crate::lean::poll::{Interest, Ready};

impl<N: Node> Lean<N> {
    pub(super) fn connection_ready(&mut self, place: u32, generation: u32, ready: Ready) {
        if self.places[place as usize].generation != generation {
            return;
        }
        let waiting = self.connection(place).filter(|it| it.interest() == Interest::Both);
        if ready.may_write
            && let Some(connection) = waiting
        {
            let who = connection.who;
            let left = connection.flush();
            self.after_writing(place, left, true);
            self.settle(who);
        }
        if ready.may_read {
            self.read(place);
        }
    }

    fn connection(&mut self, place: u32) -> Option<&mut Connection> {
        self.places[place as usize].connection.as_deref_mut()
    }

    fn read(&mut self, place: u32) {
        let Lean { places, room, .. } = self;
        let Some(connection) = places[place as usize].connection.as_deref_mut() else { return };
        if connection.state == State::Closing {
            if connection.is_drained(room) {
                self.forget(place);
            }
            return;
        }
        let before = connection.interest();
        let came = connection.receive(room);
        let (who, stream, after) = (connection.who, connection.stream, connection.interest());
        if before != after {
            self.watch(place);
        }
        if came.came_up {
            self.shaking_count -= 1;
            self.tally.handshakes += 1;
            self.set_deadline(place, None);
            self.tell_up(place);
        }
        if !self.room.plain.is_empty() {
            self.tally.pieces_in += 1;
            let octets = Bytes::copy_from_slice(&self.room.plain);
            self.handle(who, Input::Stream(stream, StreamEvent::Received(octets)));
        }
        if let Some(why) = came.over {
            self.end(place, stream, why);
        }
    }

    /// Tells the actor that somebody has connected.
    pub(super) fn tell_up(&mut self, place: u32) {
        let Some(connection) = self.places[place as usize].connection.as_deref_mut() else { return };
        connection.state = State::Up;
        let (who, stream, peer) = (connection.who, connection.stream, connection.peer);
        let local = self.listeners[connection.listener as usize].at;
        self.slots[who.0 as usize].streams.insert(stream, place);
        self.handle(who, Input::Stream(stream, StreamEvent::Accepted { local, peer }));
    }

    /// A connection is over from the other end.
    fn end(&mut self, place: u32, stream: StreamId, why: Closed) {
        // What the actor did in the meantime counts: it may have closed it itself.
        let Some(connection) = self.connection(place).filter(|it| it.stream == stream) else { return };
        let (who, state) = (connection.who, connection.state);
        match state {
            State::Closing => return self.forget(place),
            State::Shaking => self.tally.handshakes_failed.add(&match &why {
                Closed::ByPeer => "the other end left".to_owned(),
                why => why.to_string(),
            }),
            State::Up => {
                if why != Closed::ByPeer {
                    self.tally.broken.add(&why.to_string());
                }
                self.handle(who, Input::Stream(stream, StreamEvent::Closed(why.clone())));
            }
        }
        self.slots[who.0 as usize].streams.remove(&stream);
        // What was written before still leaves, and TLS says goodbye or why not.
        match why {
            Closed::ByPeer | Closed::Tls(_) => self.begin_closing(place),
            _ => self.forget(place),
        }
        // Who has left already is not waited for.
        if why == Closed::ByPeer && self.connection(place).is_some_and(|it| it.queued() == 0) {
            self.forget(place);
        }
    }

    pub(super) fn write(&mut self, who: NodeId, stream: StreamId, octets: &[u8]) {
        let Some(place) = self.slots[who.0 as usize].streams.get(&stream).copied() else { return };
        self.tally.pieces_out += 1;
        let Lean { places, room, .. } = self;
        let Some(connection) = places[place as usize].connection.as_deref_mut() else { return };
        let was_waiting = connection.interest() == Interest::Both;
        let left = connection.write(octets, room);
        if left != Left::All {
            self.after_writing(place, left, !was_waiting);
        }
    }

    pub(super) fn close(&mut self, who: NodeId, stream: StreamId) {
        if let Some(place) = self.slots[who.0 as usize].streams.remove(&stream) {
            self.begin_closing(place);
        }
    }

    fn begin_closing(&mut self, place: u32) {
        let Lean { places, room, .. } = self;
        let Some(connection) = places[place as usize].connection.as_deref_mut() else { return };
        if connection.state == State::Shaking {
            self.shaking_count -= 1;
        }
        let left = connection.close(room);
        self.watch(place);
        match left {
            Left::Broken => self.forget(place),
            Left::All => self.set_deadline(place, Some(LINGER_MAX)),
            Left::Some => self.set_deadline(place, Some(STALLED_MAX)),
        }
    }

    /// What was written has left, or waits, or the connection broke; `has_moved` says that the time it has begins anew.
    /// What the actor says to the end of a connection is carried out when it is settled next.
    fn after_writing(&mut self, place: u32, left: Left, has_moved: bool) {
        let Some(connection) = self.connection(place) else { return };
        let (is_closing, who, stream) =
            (connection.state == State::Closing, connection.who, connection.stream);
        match left {
            Left::Broken if is_closing => self.forget(place),
            Left::Broken => {
                connection.reset();
                self.tally.broken.add("it took nothing any more");
                self.slots[who.0 as usize].streams.remove(&stream);
                self.forget(place);
                let over = StreamEvent::Closed(Closed::Reset);
                let slot = &mut self.slots[who.0 as usize];
                slot.node.handle(self.now, Input::Stream(stream, over), &mut slot.outbox);
            }
            Left::All => {
                self.watch(place);
                self.set_deadline(place, is_closing.then_some(LINGER_MAX));
            }
            Left::Some => {
                self.watch(place);
                if has_moved {
                    self.set_deadline(place, Some(STALLED_MAX));
                }
            }
        }
    }

    /// Something that had to happen did not.
    pub(super) fn overdue(&mut self, place: u32, generation: u32) {
        let Place { generation: current, connection } = &mut self.places[place as usize];
        let Some(connection) = connection.as_deref_mut().filter(|_| *current == generation) else { return };
        connection.deadline = None;
        let (who, stream) = (connection.who, connection.stream);
        match connection.state {
            State::Shaking => {
                self.tally.handshakes_failed.add("not done in time");
                self.forget(place);
            }
            State::Closing => self.forget(place),
            State::Up => {
                connection.reset();
                self.tally.broken.add("what was written was not taken in time");
                self.slots[who.0 as usize].streams.remove(&stream);
                self.forget(place);
                self.handle(who, Input::Stream(stream, StreamEvent::Closed(Closed::TimedOut)));
            }
        }
    }

    fn watch(&mut self, place: u32) {
        let Lean { places, poller, .. } = self;
        let Place { generation, connection } = &places[place as usize];
        if let Some(connection) = connection {
            let token = Token::Connection(place, *generation).number();
            // It was added when it was accepted.
            let _ = poller.change(connection.socket(), token, connection.interest());
        }
    }

    /// Closes the socket; the place is free for another.
    pub(super) fn forget(&mut self, place: u32) {
        self.set_deadline(place, None);
        let at = &mut self.places[place as usize];
        let Some(connection) = at.connection.take() else { return };
        at.generation = (at.generation + 1) & GENERATIONS;
        if connection.state == State::Shaking {
            self.shaking_count -= 1;
        }
        self.tally.open -= 1;
        self.free.push(place);
    }
}
