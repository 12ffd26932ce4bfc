//! HTTP connections: their limits and deadlines.
//!
//! A slow or silent client loses its connection at a stated time; a crowd of connections loses the one that has
//! been idle longest, so that others are served at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use net::http::{Limits, Request, Response, ServerConnection};
use net::{Note, Outbox, StreamId, Time};

/// The most connections in all.
pub const CONNECTIONS_LIMIT: usize = 8192;
/// The most connections of one address; a site's phones may share one.
pub const PEER_LIMIT: usize = 1024;
/// How long a connection may rest between two requests.
pub const IDLE_LIMIT: Duration = Duration::from_secs(120);
/// How long a request may take to arrive, its body included.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// How long a request may wait for its answer.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// The most octets that a client may send while it waits for an answer.
pub const UNREAD_LIMIT: usize = 128 << 10;

/// Which of the web ports a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// 80.
    Plain,
    /// 443.
    Tls,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing of a next request has come.
    Idle,
    /// A request is arriving.
    Reading,
    /// A request waits for its answer.
    Answering,
}

#[derive(Debug)]
struct Connection {
    http: ServerConnection,
    peer: SocketAddr,
    port: Port,
    phase: Phase,
    deadline: Time,
    unread: usize,
}

/// Every connection.
#[derive(Debug, Default)]
pub struct Connections {
    by_stream: BTreeMap<StreamId, Connection>,
    deadlines: BTreeSet<(Time, StreamId)>,
    per_peer: BTreeMap<IpAddr, usize>,
}

impl Connections {
    /// Somebody connected.
    pub fn accept(&mut self, now: Time, stream: StreamId, peer: SocketAddr, port: Port, out: &mut Outbox) {
        let count = self.per_peer.get(&peer.ip()).copied().unwrap_or(0);
        if count >= PEER_LIMIT {
            out.note(Note::Broken { with: peer, text: format!("more than {PEER_LIMIT} connections") });
            out.close(stream);
            return;
        }
        if self.by_stream.len() >= CONNECTIONS_LIMIT {
            self.make_room(out);
        }
        let deadline = now + REQUEST_LIMIT;
        self.deadlines.insert((deadline, stream));
        *self.per_peer.entry(peer.ip()).or_default() += 1;
        let http = ServerConnection::new(Limits::default());
        let connection = Connection { http, peer, port, phase: Phase::Reading, deadline, unread: 0 };
        self.by_stream.insert(stream, connection);
    }

    /// Whether a stream is one of these connections.
    pub fn has(&self, stream: StreamId) -> bool {
        self.by_stream.contains_key(&stream)
    }

    /// The other end of a connection.
    pub fn peer(&self, stream: StreamId) -> Option<SocketAddr> {
        self.by_stream.get(&stream).map(|connection| connection.peer)
    }

    /// Bytes arrived.
    pub fn receive(&mut self, now: Time, stream: StreamId, bytes: &Bytes, out: &mut Outbox) {
        let Some(connection) = self.by_stream.get_mut(&stream) else { return };
        match connection.phase {
            Phase::Idle => self.enter(stream, Phase::Reading, now + REQUEST_LIMIT),
            Phase::Reading => {}
            Phase::Answering => {
                connection.unread += bytes.len();
                if connection.unread > UNREAD_LIMIT {
                    out.note(Note::Broken { with: connection.peer, text: "talks on without end".to_owned() });
                    out.close(stream);
                    self.remove(stream);
                    return;
                }
            }
        }
        if let Some(connection) = self.by_stream.get_mut(&stream) {
            connection.http.receive(bytes);
            out.write(stream, connection.http.take_output());
        }
    }

    /// The next request of a connection that has none under way.
    pub fn next_request(
        &mut self,
        now: Time,
        stream: StreamId,
    ) -> Option<(Request<Bytes>, SocketAddr, Port)> {
        let connection = self.by_stream.get_mut(&stream)?;
        if connection.phase == Phase::Answering {
            return None;
        }
        let request = connection.http.take_request()?;
        let (peer, port) = (connection.peer, connection.port);
        self.enter(stream, Phase::Answering, now + ANSWER_LIMIT);
        Some((request, peer, port))
    }

    /// Answers the request that is under way.
    pub fn answer(&mut self, now: Time, stream: StreamId, answer: Response<Bytes>, out: &mut Outbox) {
        let Some(connection) = self.by_stream.get_mut(&stream) else { return };
        connection.unread = 0;
        connection.http.answer(answer);
        out.write(stream, connection.http.take_output());
        self.enter(stream, Phase::Idle, now + IDLE_LIMIT);
    }

    /// Closes a connection that HTTP is through with.
    pub fn close_if_done(&mut self, stream: StreamId, out: &mut Outbox) {
        if self.by_stream.get(&stream).is_some_and(|connection| connection.http.is_done()) {
            out.close(stream);
            self.remove(stream);
        }
    }

    /// Forgets a connection that is over.
    pub fn remove(&mut self, stream: StreamId) {
        let Some(connection) = self.by_stream.remove(&stream) else { return };
        self.deadlines.remove(&(connection.deadline, stream));
        if let Some(count) = self.per_peer.get_mut(&connection.peer.ip()) {
            *count -= 1;
            if *count == 0 {
                self.per_peer.remove(&connection.peer.ip());
            }
        }
    }

    /// Closes every connection whose time is over, and says which.
    pub fn close_late(&mut self, now: Time, out: &mut Outbox) -> Vec<StreamId> {
        let mut late = Vec::new();
        while let Some((deadline, stream)) = self.deadlines.first().copied() {
            if deadline > now {
                break;
            }
            if let Some(connection) = self.by_stream.get(&stream)
                && connection.phase == Phase::Reading
            {
                let text = format!("no whole request within {}", net::time::spell(REQUEST_LIMIT));
                out.note(Note::Broken { with: connection.peer, text });
            }
            out.close(stream);
            self.deadlines.remove(&(deadline, stream));
            self.remove(stream);
            late.push(stream);
        }
        late
    }

    /// When the first connection's time is over.
    pub fn wake_at(&self) -> Option<Time> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn enter(&mut self, stream: StreamId, phase: Phase, deadline: Time) {
        let Some(connection) = self.by_stream.get_mut(&stream) else { return };
        self.deadlines.remove(&(connection.deadline, stream));
        self.deadlines.insert((deadline, stream));
        connection.phase = phase;
        connection.deadline = deadline;
    }

    /// Gives up the connection that nobody would miss first: an idle one before one that is reading.
    fn make_room(&mut self, out: &mut Outbox) {
        let phase_of = |stream: &StreamId| self.by_stream.get(stream).map(|connection| connection.phase);
        let first = |wanted| {
            self.deadlines.iter().map(|(_, stream)| *stream).find(|stream| phase_of(stream) == Some(wanted))
        };
        let victim = first(Phase::Idle).or_else(|| first(Phase::Reading));
        let victim = victim.or_else(|| self.deadlines.first().map(|(_, stream)| *stream));
        if let Some(stream) = victim {
            out.close(stream);
            self.remove(stream);
        }
    }
}
