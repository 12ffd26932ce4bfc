//! Connecting: streams dialled, granted, secured by TLS, used, repeated, reset and ended.

use std::net::SocketAddr;

use bytes::Bytes;

use super::link::Order;
use super::stream::{Connection, End, Half, Lost, Piece, Queued, Side};
use super::tap::{DEAD, Fate};
use super::{CONNECTION_LIMIT, Event, FIRST_DYNAMIC_PORT, HANDSHAKE_LIMIT, Sim};
use crate::crypto::Crypto;
use crate::journal::Note;
use crate::node::{
    Closed, Dial, Input, ListenSecurity, Node, NodeId, Security, StreamEvent, StreamId, Transport,
};
use crate::rule::Packet;
use crate::tls::{TlsError, TlsSession};

impl<N: Node> Sim<N> {
    pub(super) fn dial(&mut self, who: NodeId, stream: StreamId, dial: Dial) {
        let slot = self.slot_mut(who);
        let Some(own) = slot.address else {
            return self.fail_dial(who, stream, dial.to);
        };
        let local = SocketAddr::new(own, slot.next_port);
        slot.next_port = slot.next_port.checked_add(1).unwrap_or(FIRST_DYNAMIC_PORT);
        let cycle = slot.cycle;
        let Some(target) = self.owner_of(dial.to.ip()) else {
            return self.fail_dial(who, stream, dial.to);
        };
        let end = |node, cycle, address, stream| End {
            node,
            cycle,
            address,
            stream,
            tls: None,
            is_up: false,
            is_gone: false,
        };
        let far_cycle = self.slot(target).cycle;
        let tapped = self.tap_dial([(local, self.slot(who).segment), (dial.to, self.slot(target).segment)]);
        let connection = Connection {
            ends: [end(who, cycle, local, Some(stream)), end(target, far_cycle, dial.to, None)],
            halves: [Half::default(), Half::default()],
            port: dial.to.port(),
            dial_tls: match dial.security {
                Security::Plain => None,
                Security::Tls(tls) => Some(tls),
            },
            tapped,
        };
        let id = self.next_connection;
        self.next_connection += 1;
        self.connections.insert(id, connection);
        self.slot_mut(who).streams.insert(stream, (id, 0));
        self.push(id, 0, Piece::Syn);
    }

    /// A dial that fails on the spot is answered as an event like any other, not inside the call.
    fn fail_dial(&mut self, who: NodeId, stream: StreamId, to: SocketAddr) {
        let cycle = self.slot(who).cycle;
        self.queue.put(self.now, Event::NoRoute { who, cycle, stream, to });
    }

    /// Tells an actor that what it dialled cannot be reached.
    pub(super) fn no_route(&mut self, who: NodeId, cycle: u32, stream: StreamId, to: SocketAddr) {
        let slot = self.slot(who);
        if slot.is_on && slot.cycle == cycle {
            let why = Closed::Unreachable;
            self.note(who, Note::Broken { with: to, text: why.to_string() });
            self.handle(who, Input::Stream(stream, StreamEvent::Closed(why)));
        }
    }

    pub(super) fn write(&mut self, who: NodeId, stream: StreamId, bytes: &Bytes) {
        let Some(&(id, side)) = self.slot(who).streams.get(&stream) else { return };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let end = &mut connection.ends[side];
        let is_tls = end.tls.is_some() || connection.dial_tls.is_some();
        match &mut end.tls {
            Some(tls) => {
                let slot = &mut self.slots[who.0 as usize];
                tls.write(bytes, &mut slot.tls_random);
                let output = tls.take_output();
                self.push_data(id, side, output);
            }
            // Nobody writes before the stream is up.
            None if is_tls => {}
            None => self.push_data(id, side, bytes.clone()),
        }
    }

    pub(super) fn close(&mut self, who: NodeId, stream: StreamId) {
        let Some((id, side)) = self.slot_mut(who).streams.remove(&stream) else { return };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Some(tls) = &mut connection.ends[side].tls {
            tls.close();
            let output = tls.take_output();
            self.push_data(id, side, output);
        }
        self.push(id, side, Piece::Fin);
        self.end_is_gone(id, side);
    }

    pub(super) fn push_data(&mut self, id: u64, side: Side, bytes: Bytes) {
        if !bytes.is_empty() {
            self.push(id, side, Piece::Data(bytes));
        }
    }

    /// Sends a piece, or lines it up behind a stalled one.
    pub(super) fn push(&mut self, id: u64, from: Side, piece: Piece) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let half = &mut connection.halves[from];
        half.put(piece);
        if !half.is_stalled {
            self.drain(id, from);
        }
    }

    /// Sends what is lined up, until something is lost.
    pub(super) fn drain(&mut self, id: u64, from: Side) {
        loop {
            let Some(connection) = self.connections.get(&id) else { return };
            let Some(queued) = connection.halves[from].backlog.front().cloned() else { return };
            let (near, far) = (&connection.ends[from], &connection.ends[1 - from]);
            let opens = matches!(queued.piece, Piece::Syn | Piece::Rst);
            let packet = Packet {
                from: near.node,
                to: far.node,
                transport: Transport::Tcp,
                port: connection.port,
                opens,
            };
            let far_slot = self.slot(far.node);
            let far_is_on = far_slot.is_on || far_slot.is_stopped;
            let passage = self.pass(&packet, &queued.piece.octets(), Order::Kept);
            let fate = match passage.arrival {
                None => Fate::Lost,
                Some(_) if far_is_on => Fate::Arrives,
                Some(_) => Fate::InVain(DEAD),
            };
            self.tap_piece_sent(id, from, &queued, fate);
            match passage.arrival.filter(|_| far_is_on) {
                Some(at) => {
                    self.queue.put(at, Event::Piece { connection: id, from, queued });
                    let half = &mut self.half_mut(id, from);
                    half.backlog.pop_front();
                    half.passed();
                }
                None => return self.repeat_later(id, from),
            }
        }
    }

    pub(super) fn half_mut(&mut self, id: u64, from: Side) -> &mut Half {
        &mut self.connections.get_mut(&id).expect("the caller has just looked it up").halves[from]
    }

    pub(super) fn repeat_later(&mut self, id: u64, from: Side) {
        match self.half_mut(id, from).lost() {
            Lost::RepeatAfter(wait) => {
                self.queue.put(self.now + wait, Event::Repeat { connection: id, from });
            }
            Lost::GiveUp => {
                self.half_mut(id, from).clear();
                self.end_stream(id, from, Closed::TimedOut);
            }
        }
    }

    /// Tells the actor at `side` that its stream is over, if it knows of it.
    pub(super) fn end_stream(&mut self, id: u64, side: Side, why: Closed) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let far = connection.ends[1 - side].address;
        let end = &mut connection.ends[side];
        let (who, stream, was_up) = (end.node, end.stream.take(), end.is_up);
        self.end_is_gone(id, side);
        if why != Closed::ByPeer || !was_up {
            self.note(who, Note::Broken { with: far, text: why.to_string() });
        }
        if let Some(stream) = stream
            && self.slot_mut(who).streams.remove(&stream).is_some()
        {
            self.handle(who, Input::Stream(stream, StreamEvent::Closed(why)));
        }
    }

    pub(super) fn end_is_gone(&mut self, id: u64, side: Side) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let end = &mut connection.ends[side];
        end.is_gone = true;
        end.stream = None;
        let is_over = connection.ends.iter().all(|end| end.is_gone);
        if is_over && connection.halves.iter().all(|half| half.backlog.is_empty()) {
            let over = self.connections.remove(&id);
            over.iter().for_each(|connection| self.tap_forget(connection));
        }
    }

    pub(super) fn repeat(&mut self, id: u64, from: Side) {
        let Some(connection) = self.connections.get(&id) else { return };
        let near = &connection.ends[from];
        let (node, cycle) = (near.node, near.cycle);
        let slot = self.slot(node);
        if (!slot.is_on || slot.cycle != cycle) && !slot.is_stopped {
            // The sender lost its power; nobody is left to repeat anything.
            self.half_mut(id, from).clear();
            return self.end_is_gone(id, from);
        }
        self.half_mut(id, from).is_stalled = false;
        self.drain(id, from);
        self.end_if_both_gone(id);
    }

    pub(super) fn end_if_both_gone(&mut self, id: u64) {
        if self.connections.get(&id).is_some_and(|connection| connection.ends[0].is_gone) {
            self.end_is_gone(id, 0);
        }
    }

    pub(super) fn arrive(&mut self, id: u64, from: Side, queued: Queued) {
        let to = 1 - from;
        let Some(connection) = self.connections.get(&id) else { return };
        let end = &connection.ends[to];
        let (who, cycle, is_gone) = (end.node, end.cycle, end.is_gone);
        let is_taken = self.slot(who).is_on || self.slot(who).is_stopped;
        self.tap_piece_arrived(id, from, &queued, is_taken);
        let slot = self.slot(who);
        if slot.is_stopped {
            return self.reset(id, to);
        }
        if !slot.is_on {
            // It reached a dead device: the sender will repeat it.
            let half = self.half_mut(id, from);
            half.backlog.push_front(queued);
            if !half.is_stalled {
                self.repeat_later(id, from);
            }
            return;
        }
        if let Piece::Syn = queued.piece {
            return self.accept(id);
        }
        if slot.cycle != cycle {
            // The device was restarted in between and knows nothing of the connection.
            return self.reset(id, to);
        }
        if is_gone {
            return;
        }
        match queued.piece {
            Piece::Syn => {}
            Piece::SynAck => self.granted(id),
            Piece::Rst => {
                let was_granted = from == 1 && self.connections[&id].ends[0].tls.is_none();
                let is_up = self.connections[&id].ends[to].is_up;
                let why = if was_granted && !is_up { Closed::Refused } else { Closed::Reset };
                self.end_stream(id, to, why);
            }
            Piece::Data(bytes) => self.receive(id, to, bytes),
            Piece::Fin => {
                self.end_stream(id, to, Closed::ByPeer);
            }
        }
    }

    /// Answers a piece that reached `side`, which does not know the connection (any more).
    pub(super) fn reset(&mut self, id: u64, side: Side) {
        self.half_mut(id, side).clear();
        self.half_mut(id, side).passed();
        self.push(id, side, Piece::Rst);
        self.end_is_gone(id, side);
    }

    /// A connection request has arrived.
    pub(super) fn accept(&mut self, id: u64) {
        let connection = &self.connections[&id];
        let (who, port) = (connection.ends[1].node, connection.port);
        let dialler = connection.ends[0].node;
        let packet = Packet { from: dialler, to: who, transport: Transport::Tcp, port, opens: true };
        let is_refused = self.rules.refuses(&packet);
        let slot = self.slot(who);
        let is_full = slot.streams.len() >= CONNECTION_LIMIT;
        let (cycle, listener) = (slot.cycle, slot.tcp.get(&port).cloned());
        let Some(listener) = listener.filter(|_| !is_refused && !is_full) else {
            return self.reset(id, 1);
        };
        let tls = match &listener {
            ListenSecurity::Udp | ListenSecurity::Tcp => None,
            ListenSecurity::WebSocket(_) => return self.reset(id, 1),
            ListenSecurity::Tls(tls) => {
                let secrets = self.tls_secrets();
                let random = &mut self.slot_mut(who).tls_random;
                match TlsSession::server_telling(tls, Crypto::Seeded, random, secrets.as_ref()) {
                    Ok(session) => Some(session),
                    Err(why) => {
                        let with = self.connections[&id].ends[0].address;
                        self.note(who, Note::Broken { with, text: Closed::Tls(why).to_string() });
                        return self.reset(id, 1);
                    }
                }
            }
        };
        let is_plain = tls.is_none();
        let end = &mut self.connections.get_mut(&id).expect("looked up above").ends[1];
        end.cycle = cycle;
        end.tls = tls;
        self.push(id, 1, Piece::SynAck);
        if is_plain {
            self.come_up(id, 1);
        } else {
            self.queue.put(self.now + HANDSHAKE_LIMIT, Event::HandshakeLimit { connection: id });
        }
    }

    /// The dialling end hears that its connection is granted.
    pub(super) fn granted(&mut self, id: u64) {
        let connection = self.connections.get_mut(&id).expect("the caller has just looked it up");
        let Some(wanted) = connection.dial_tls.take() else {
            return self.come_up(id, 0);
        };
        let who = connection.ends[0].node;
        let (now, secrets) = (self.now, self.tls_secrets());
        let random = &mut self.slots[who.0 as usize].tls_random;
        match TlsSession::client_telling(&wanted, now, Crypto::Seeded, random, secrets.as_ref()) {
            Ok(mut session) => {
                let hello = session.take_output();
                self.connections.get_mut(&id).expect("looked up above").ends[0].tls = Some(session);
                self.push_data(id, 0, hello);
            }
            Err(why) => self.fail_tls(id, 0, why),
        }
    }

    pub(super) fn fail_tls(&mut self, id: u64, side: Side, why: TlsError) {
        self.push(id, side, Piece::Fin);
        self.end_stream(id, side, Closed::Tls(why));
    }

    /// Tells the actor at `side` that its stream is up.
    pub(super) fn come_up(&mut self, id: u64, side: Side) {
        let connection = self.connections.get_mut(&id).expect("the caller has just looked it up");
        let (local, peer) = (connection.ends[side].address, connection.ends[1 - side].address);
        let end = &mut connection.ends[side];
        end.is_up = true;
        let who = end.node;
        let (stream, event) = match end.stream {
            Some(stream) => (stream, StreamEvent::Opened { local, peer }),
            None => {
                let slot = &mut self.slots[who.0 as usize];
                let stream = slot.outbox.fresh_stream();
                slot.streams.insert(stream, (id, side));
                end.stream = Some(stream);
                (stream, StreamEvent::Accepted { local, peer })
            }
        };
        self.handle(who, Input::Stream(stream, event));
    }

    pub(super) fn receive(&mut self, id: u64, side: Side, bytes: Bytes) {
        let now = self.now;
        let connection = self.connections.get_mut(&id).expect("the caller has just looked it up");
        let end = &mut connection.ends[side];
        let who = end.node;
        let Some(tls) = &mut end.tls else {
            if let Some(stream) = end.stream {
                self.handle(who, Input::Stream(stream, StreamEvent::Received(bytes)));
            }
            return;
        };
        let result = tls.receive(&bytes, now, &mut self.slots[who.0 as usize].tls_random);
        let output = tls.take_output();
        self.push_data(id, side, output);
        let received = match result {
            Ok(received) => received,
            Err(why) => return self.fail_tls(id, side, why),
        };
        if received.came_up {
            self.come_up(id, side);
        }
        let stream =
            |sim: &Self| sim.connections.get(&id).and_then(|connection| connection.ends[side].stream);
        if !received.plaintext.is_empty()
            && let Some(stream) = stream(self)
        {
            let event = StreamEvent::Received(received.plaintext.into());
            self.handle(who, Input::Stream(stream, event));
        }
        if received.is_closed && stream(self).is_some() {
            self.push(id, side, Piece::Fin);
            self.end_stream(id, side, Closed::ByPeer);
        }
    }
}
