//! The phone's own web server: connections in, requests out, answers back.
//!
//! One server stands behind both ports (80 and 443 unless configured otherwise) and serves the web interface, REST,
//! push and state polling. [`WebServer`] is a machine over streams: it decides whom to listen to, bounds connections
//! and their patience, and hands complete requests to [`routes`]. It knows nothing of what a request means.
//!
//! | module | promise |
//! | --- | --- |
//! | [`listening`] | on which ports the phone listens, by settings and firmware |
//! | [`access`] | who asks: sessions, Basic, Digest, the lock after wrong passwords |
//! | [`routes`] | from a request to whoever answers it |
//! | [`answer`] | answers with every header they need |
//! | [`guard`] | Basic and Digest for REST, push and polling |
//! | [`push`] | messages and verbs pushed to the phone |
//! | [`polling`] | its state as XML |
//! | [`capture`] | the display as a picture |
//! | [`rest`] | REST, versions 1 and 2 |
//! | [`form`] | form bodies and queries within limits |
//! | [`markup`] | XML and HTML with everything escaped |
//! | [`pages`] | what a person sees in a browser |
//! | [`settings`] | the settings behind numbered fields |
//! | [`service`] | sign-in forms and words |
//! | [`exports`] | settings as files, in and out; logs |

pub mod access;
pub mod answer;
pub mod capture;
pub mod exports;
pub mod form;
pub mod guard;
pub mod listening;
pub mod markup;
pub mod pages;
pub mod polling;
pub mod push;
pub mod rest;
pub mod routes;
pub mod service;
pub mod settings;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use net::http::{Limits, Request, Response, ServerConnection};
use net::{ListenSecurity, Note, Outbox, Random, StreamEvent, StreamId, Time, Transport};

use access::Access;
use listening::Ports;

/// Connections at a time. The device is small; when a further one comes, the one that has been idle longest goes, so
/// that silent strangers keep nobody out.
pub const STREAMS_LIMIT: usize = 32;
/// The largest body, in octets: a file of settings with every parameter that a layer holds.
pub const BODY_LIMIT: usize = 256 << 10;
/// How long a connection may take to a complete request, from its first moment or from the answer before.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(20);
/// Requests answered on one connection; the last answer closes it.
const REQUESTS_LIMIT: u32 = 200;

/// A request, and where it came from.
#[derive(Debug)]
pub struct Asked {
    /// The connection.
    pub stream: StreamId,
    /// Whether it is protected by TLS.
    pub is_secure: bool,
    /// Who asks.
    pub peer: SocketAddr,
    /// The request with its whole body.
    pub request: Request<Bytes>,
}

/// One connection.
#[derive(Debug)]
struct Stream {
    peer: SocketAddr,
    is_secure: bool,
    http: ServerConnection,
    until: Time,
    /// A request waits for its answer.
    is_waiting: bool,
    /// What arrived while it waits, in octets.
    held: usize,
    asked: u32,
}

/// The server.
#[derive(Debug, Default)]
pub struct WebServer {
    ports: Ports,
    streams: BTreeMap<StreamId, Stream>,
    /// Who is let in.
    pub access: Access,
    /// Who is let in elsewhere.
    pub guards: guard::Guards,
    /// What the server does once it is time to.
    pub pending: routes::Pending,
    /// Numbers of settings on the pages of this boot.
    pub fields: settings::Fields,
}

impl WebServer {
    /// Listens where `wanted` says, and nowhere else. What needs chance or a certificate is made only when the phone
    /// listens for the first time since power-on.
    pub fn listen(
        &mut self,
        wanted: Ports,
        credentials: impl FnOnce() -> Option<Arc<net::tls::ServerTls>>,
        random: impl FnOnce() -> Random,
        out: &mut Outbox,
    ) {
        if wanted == self.ports {
            return;
        }
        for port in self.ports.iter().filter(|port| !wanted.has(*port)) {
            out.unlisten(Transport::Tcp, port);
        }
        if !wanted.is_empty() {
            self.access.begin(random);
        }
        if let Some(port) = wanted.plain.filter(|port| !self.ports.has(*port)) {
            out.listen(port, ListenSecurity::Tcp);
        }
        if let Some(port) = wanted.secure.filter(|port| !self.ports.has(*port)) {
            match credentials() {
                Some(tls) => out.listen(port, ListenSecurity::Tls(tls)),
                None => out.note(Note::Log("the device certificate cannot be made".to_owned())),
            }
        }
        self.ports = wanted;
    }

    /// Whether the server listens anywhere.
    pub fn is_listening(&self) -> bool {
        !self.ports.is_empty()
    }

    /// Whether an event of a stream is for this server: it holds the stream, or it was opened to one of its ports.
    pub fn is_for(&self, id: StreamId, event: &StreamEvent) -> bool {
        match event {
            StreamEvent::Accepted { local, .. } => self.ports.has(local.port()),
            StreamEvent::Opened { .. } | StreamEvent::Received(_) | StreamEvent::Closed(_) => {
                self.streams.contains_key(&id)
            }
        }
    }

    /// Something happened on a stream of this server.
    pub fn stream(&mut self, id: StreamId, event: StreamEvent, now: Time, out: &mut Outbox) {
        match event {
            StreamEvent::Accepted { local, peer } => {
                if self.streams.len() >= STREAMS_LIMIT && !self.make_room(out) {
                    out.close(id);
                    return;
                }
                let http = ServerConnection::new(Limits { body: BODY_LIMIT, ..Limits::default() });
                let is_secure = self.ports.secure == Some(local.port());
                let until = now + REQUEST_LIMIT;
                let stream = Stream { peer, is_secure, http, until, is_waiting: false, held: 0, asked: 0 };
                self.streams.insert(id, stream);
            }
            StreamEvent::Received(bytes) => {
                let Some(stream) = self.streams.get_mut(&id) else { return };
                if stream.is_waiting {
                    stream.held += bytes.len();
                }
                // Who sends on and on without waiting for its answer gets none.
                if stream.held > BODY_LIMIT {
                    self.close(id, out);
                    return;
                }
                stream.http.receive(&bytes);
            }
            StreamEvent::Closed(_) => {
                self.streams.remove(&id);
            }
            StreamEvent::Opened { .. } => {}
        }
    }

    /// The next complete request, if there is one; answer it with [`WebServer::answer`], now or later.
    pub fn next_request(&mut self, out: &mut Outbox) -> Option<Asked> {
        let mut over = Vec::new();
        let mut found = None;
        for (id, stream) in &mut self.streams {
            if stream.is_waiting {
                continue;
            }
            if let Some(request) = stream.http.take_request() {
                stream.is_waiting = true;
                stream.asked += 1;
                let line = format!("{} {}", request.method(), request.uri().path().escape_debug());
                out.note(Note::received(stream.peer, line));
                found = Some(Asked { stream: *id, is_secure: stream.is_secure, peer: stream.peer, request });
                break;
            }
            // hyper answers what breaks a limit by itself.
            out.write(*id, stream.http.take_output());
            if stream.http.is_done() {
                over.push(*id);
            }
        }
        for id in over {
            self.close(id, out);
        }
        found
    }

    /// Whether somebody still waits on that connection.
    pub fn is_open(&self, id: StreamId) -> bool {
        self.streams.contains_key(&id)
    }

    /// Answers the request that was taken last from that connection.
    pub fn answer(&mut self, id: StreamId, mut response: Response<Bytes>, now: Time, out: &mut Outbox) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        out.note(Note::sent(stream.peer, response.status().to_string()));
        if stream.asked >= REQUESTS_LIMIT {
            answer::close_after(&mut response);
        }
        stream.http.answer(response);
        stream.is_waiting = false;
        stream.held = 0;
        stream.until = now + REQUEST_LIMIT;
        out.write(id, stream.http.take_output());
        if stream.http.is_done() {
            self.close(id, out);
        }
    }

    /// Closes the connections whose patience is over.
    pub fn woken(&mut self, now: Time, out: &mut Outbox) {
        let late = self.streams.iter().filter(|(_, stream)| !stream.is_waiting && stream.until <= now);
        for id in late.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.close(id, out);
        }
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        let idle = self.streams.values().filter(|stream| !stream.is_waiting).map(|stream| stream.until);
        idle.chain(self.pending.wake_at()).min()
    }

    /// Closes every connection and listens no more: the phone starts again.
    pub fn hang_up(&mut self, out: &mut Outbox) {
        for id in std::mem::take(&mut self.streams).into_keys() {
            out.close(id);
        }
        for port in std::mem::take(&mut self.ports).iter() {
            out.unlisten(Transport::Tcp, port);
        }
    }

    /// Closes the connection that waits longest for a request; `false` if all of them wait for answers.
    fn make_room(&mut self, out: &mut Outbox) -> bool {
        let idle = self.streams.iter().filter(|(_, stream)| !stream.is_waiting);
        let Some(id) = idle.min_by_key(|(_, stream)| stream.until).map(|(id, _)| *id) else {
            return false;
        };
        self.close(id, out);
        true
    }

    fn close(&mut self, id: StreamId, out: &mut Outbox) {
        self.streams.remove(&id);
        out.close(id);
    }
}
