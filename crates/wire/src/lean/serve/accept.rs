//! Accepting: within limits, and with a pause when the process has too many files open.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use net::Node;
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};

use super::{Lean, Place, Token};
use crate::lean::connection::{Connection, State};
use crate::lean::poll::Interest;
use crate::listener::{EXHAUSTED_PAUSE, HANDSHAKE_MAX, PENDING_MAX};

/// How many connections of a port are accepted before others have their turn.
const ACCEPTS_AT_ONCE: usize = 64;

/// How many connections wait to be accepted.
const BACKLOG: i32 = 4096;

/// A socket that listens, and that never waits.
pub(super) fn bind(at: SocketAddr) -> io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketType, ipproto, socket_with, sockopt};
    let family = if at.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // Small answers must not wait for each other; accepted connections have it from here.
    sockopt::set_tcp_nodelay(&socket, true)?;
    rustix::net::bind(&socket, &at)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

impl<N: Node> Lean<N> {
    pub(super) fn accept(&mut self, at: u32) {
        for _ in 0..ACCEPTS_AT_ONCE {
            let Some(listener) = self.listeners.get(at as usize).and_then(|it| it.socket.as_ref()) else {
                return;
            };
            match acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok((socket, peer)) => {
                    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                    // Nobody without an address connects over TCP.
                    if let Some(peer) = peer {
                        self.begin(at, socket.into(), peer);
                    }
                }
                Err(Errno::WOULDBLOCK) => return,
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => return self.pause(),
                // The connection was gone before it was taken.
                Err(_) => {}
            }
        }
    }

    fn begin(&mut self, at: u32, socket: TcpStream, peer: SocketAddr) {
        self.tally.accepted += 1;
        if self.tally.open >= self.connections_max {
            self.tally.turned_away += 1;
            return;
        }
        let listener = &self.listeners[at as usize];
        let who = listener.who;
        let stream = self.slots[who.0 as usize].outbox.fresh_stream();
        let peer = self.ground.address(peer);
        // Credentials that do not fit together were refused when the port was opened.
        let Ok(connection) = Connection::new(socket, (who, stream), (at, peer), listener.tls.as_ref()) else {
            return;
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let generation = self.places[place as usize].generation;
        let token = Token::Connection(place, generation).number();
        if self.poller.add(connection.socket(), token, Interest::Read).is_err() {
            self.free.push(place);
            return self.pause();
        }
        let is_shaking = connection.state == State::Shaking;
        self.places[place as usize].connection = Some(Box::new(connection));
        self.tally.open += 1;
        self.tally.peak = self.tally.peak.max(self.tally.open);
        if is_shaking {
            self.shaking_count += 1;
            self.shaking.push_back((place, generation));
            self.set_deadline(place, Some(HANDSHAKE_MAX));
            self.make_room();
        } else {
            self.tell_up(place);
        }
    }

    /// The oldest silent handshakes make room for others.
    fn make_room(&mut self) {
        while self.shaking_count > PENDING_MAX || self.is_stale() {
            let Some((place, generation)) = self.shaking.pop_front() else { return };
            if self.is_still_shaking(place, generation) {
                self.tally.handshakes_failed.add("pushed out by newer ones");
                self.forget(place);
            }
        }
    }

    /// Whether the list of handshakes holds many that are long over, or begins with one that is.
    fn is_stale(&self) -> bool {
        self.shaking.front().is_some_and(|(place, generation)| !self.is_still_shaking(*place, *generation))
            || self.shaking.len() > 2 * PENDING_MAX
    }

    fn is_still_shaking(&self, place: u32, generation: u32) -> bool {
        let place = &self.places[place as usize];
        place.generation == generation
            && place.connection.as_ref().is_some_and(|connection| connection.state == State::Shaking)
    }

    /// The machine has no sockets left: accepting is tried again later.
    fn pause(&mut self) {
        self.tally.exhausted += 1;
        self.watch_listeners(Interest::Nothing);
        self.resume_at = Some(self.now + EXHAUSTED_PAUSE);
    }

    pub(super) fn resume(&mut self) {
        self.resume_at = None;
        self.watch_listeners(Interest::Read);
    }

    fn watch_listeners(&self, interest: Interest) {
        for (at, listener) in self.listeners.iter().enumerate() {
            if let Some(socket) = &listener.socket {
                let token = Token::Listener(at as u32).number();
                // It was added when it was opened.
                let _ = self.poller.change(socket, token, interest);
            }
        }
    }

    /// Says within which span something must have happened to a connection; `None` leaves it all its time.
    pub(super) fn set_deadline(&mut self, place: u32, span: Option<Duration>) {
        let Place { generation, connection } = &mut self.places[place as usize];
        let Some(connection) = connection else { return };
        let deadline = span.map(|span| self.now + span);
        if let Some(before) = std::mem::replace(&mut connection.deadline, deadline) {
            self.deadlines.remove(&(before, place, *generation));
        }
        if let Some(at) = deadline {
            self.deadlines.insert((at, place, *generation));
        }
    }
}
