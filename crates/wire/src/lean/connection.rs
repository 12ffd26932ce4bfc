//! One accepted connection: its socket, its TLS, and what it did not take yet.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use net::{Closed, NodeId, StreamId, Time};
use rustls::ServerConfig;

use super::poll::Interest;
use super::tls::{ReceiveError, Room, ServerEnd};
use crate::connection::QUEUED_MAX;

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// TLS is being agreed on; the actor knows nothing of it.
    Shaking,
    /// The actor has it.
    Up,
    /// The actor has it no more: what was written still leaves, and then the other end is waited for.
    Closing,
}

/// What a connection did not take yet.
#[derive(Debug, Default)]
struct Queue {
    octets: Vec<u8>,
    start: usize,
}

/// One accepted connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: TcpStream,
    pub(super) who: NodeId,
    pub(super) stream: StreamId,
    pub(super) state: State,
    /// When something must have happened: the handshake, taking what waits, the other end's goodbye.
    pub(super) deadline: Option<Time>,
    /// The port that it was accepted at.
    pub(super) listener: u32,
    pub(super) peer: SocketAddr,
    tls: Option<Box<ServerEnd>>,
    queue: Option<Box<Queue>>,
    has_shut: bool,
}

/// What came of reading.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// Whether the actor may be told of the connection now.
    pub(super) came_up: bool,
    /// Why it is over, if it is.
    pub(super) over: Option<Closed>,
}

/// Whether everything written has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It has.
    All,
    /// The other end does not take it all.
    Some,
    /// The connection is of no use any more.
    Broken,
}

impl Connection {
    pub(super) fn new(
        socket: TcpStream,
        (who, stream): (NodeId, StreamId),
        (listener, peer): (u32, SocketAddr),
        tls: Option<&Arc<ServerConfig>>,
    ) -> Result<Connection, net::tls::TlsError> {
        let tls = tls.map(|it| ServerEnd::new(it.clone())).transpose()?.map(Box::new);
        let state = if tls.is_some() { State::Shaking } else { State::Up };
        Ok(Connection {
            socket,
            who,
            stream,
            state,
            deadline: None,
            listener,
            peer,
            tls,
            queue: None,
            has_shut: false,
        })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// What is to be known of its socket.
    pub(super) fn interest(&self) -> Interest {
        if self.queue.is_some() { Interest::Both } else { Interest::Read }
    }

    /// Reads once. What was said is in `room.plain` then.
    pub(super) fn receive(&mut self, room: &mut Room) -> Came {
        room.plain.clear();
        room.outgoing.clear();
        let Connection { socket, tls, .. } = self;
        let received = match tls {
            None => match socket.read(room.bare()) {
                Ok(0) => Err(ReceiveError::Over),
                Ok(length) => {
                    let Room { plain, .. } = room;
                    let mut said = std::mem::take(plain);
                    said.extend_from_slice(room.read(length));
                    room.plain = said;
                    Ok(Came::default())
                }
                Err(why) => Err(ReceiveError::Read(why)),
            },
            Some(tls) => tls.receive(room, |into| socket.read(into)).map(|arrived| Came {
                came_up: arrived.came_up,
                over: arrived.is_closed.then_some(Closed::ByPeer),
            }),
        };
        let came = received.unwrap_or_else(|why| Came { came_up: false, over: over(why) });
        if !room.outgoing.is_empty() && self.send(&room.outgoing) == Left::Broken && came.over.is_none() {
            return Came { over: Some(Closed::Reset), ..came };
        }
        came
    }

    /// Throws away what arrives; whether the other end is gone.
    pub(super) fn is_drained(&mut self, room: &mut Room) -> bool {
        match self.socket.read(room.bare()) {
            Ok(length) => length == 0,
            Err(why) => !is_for_later(&why),
        }
    }

    /// Writes for the actor.
    pub(super) fn write(&mut self, octets: &[u8], room: &mut Room) -> Left {
        match &mut self.tls {
            None => self.send(octets),
            Some(tls) => {
                room.outgoing.clear();
                tls.write(octets, &mut room.outgoing);
                self.send(&room.outgoing)
            }
        }
    }

    /// Says goodbye behind what was written.
    pub(super) fn close(&mut self, room: &mut Room) -> Left {
        self.state = State::Closing;
        room.outgoing.clear();
        if let Some(tls) = &mut self.tls {
            tls.close(&mut room.outgoing);
        }
        match self.send(&room.outgoing) {
            Left::All => self.shut(),
            left => left,
        }
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) -> Left {
        let Some(mut queue) = self.queue.take() else { return Left::All };
        while queue.start < queue.octets.len() {
            match self.socket.write(&queue.octets[queue.start..]) {
                Ok(length) => queue.start += length,
                Err(why) if is_for_later(&why) => {
                    self.queue = Some(queue);
                    return Left::Some;
                }
                Err(_) => return Left::Broken,
            }
        }
        if self.state == State::Closing { self.shut() } else { Left::All }
    }

    /// How many octets wait.
    pub(super) fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.octets.len() - queue.start)
    }

    /// Has the socket send a reset when it is dropped.
    pub(super) fn reset(&self) {
        let _ = rustix::net::sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
    }

    fn shut(&mut self) -> Left {
        if !std::mem::replace(&mut self.has_shut, true) && self.socket.shutdown(Shutdown::Write).is_err() {
            return Left::Broken;
        }
        Left::All
    }

    fn send(&mut self, octets: &[u8]) -> Left {
        let mut sent = 0;
        while self.queue.is_none() && sent < octets.len() {
            match self.socket.write(&octets[sent..]) {
                Ok(length) => sent += length,
                Err(why) if is_for_later(&why) => self.queue = Some(Box::default()),
                Err(_) => return Left::Broken,
            }
        }
        let Some(queue) = &mut self.queue else { return Left::All };
        if queue.start > 0 {
            queue.octets.drain(..queue.start);
            queue.start = 0;
        }
        queue.octets.extend_from_slice(&octets[sent..]);
        if queue.octets.len() > QUEUED_MAX { Left::Broken } else { Left::Some }
    }
}

fn is_for_later(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Why a connection is over that nothing came of; `None` if it is not.
fn over(why: ReceiveError) -> Option<Closed> {
    match why {
        ReceiveError::Over => Some(Closed::ByPeer),
        ReceiveError::Tls(why) => Some(Closed::Tls(why)),
        ReceiveError::Read(why) if is_for_later(&why) => None,
        ReceiveError::Read(why) if why.kind() == io::ErrorKind::TimedOut => Some(Closed::TimedOut),
        ReceiveError::Read(_) => Some(Closed::Reset),
    }
}
