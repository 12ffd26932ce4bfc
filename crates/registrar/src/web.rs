//! The HTTP half of the pool: connections, deadlines, and which service answers.
//!
//! Over TLS it serves autodiscover, web tickets and client certificates. Over plain HTTP it serves only what
//! needs no secret and is believed by nobody: the way to the HTTPS root, and the root certificate.
//!
//! | module | promise |
//! | --- | --- |
//! | [`site`] | URLs, and which service answers at which path |
//! | [`discovery`] | where a user is homed (MS-OCDISCWS) |
//! | [`metadata`] | the services' WSDL |
//! | [`ticket`] | a web ticket for a password or a token (MS-OCAUTHWS) |
//! | [`tickets`] | the tickets themselves: signing, checking, proofs |
//! | [`certificates`] | a client certificate for a web ticket; the root chain |
//! | [`tokens`] | access tokens, checked by published keys |
//! | [`basic`] | passwords over HTTP Basic |
//! | [`soap`], [`xml`], [`keys`] | envelopes and faults; careful XML; small cryptography |

mod answers;
pub mod basic;
pub mod certificates;
pub mod connections;
pub mod discovery;
pub mod keys;
pub mod metadata;
mod revocation;
pub mod site;
pub mod soap;
pub mod ticket;
pub mod tickets;
pub mod tokens;
pub mod xml;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use net::http::{Request, Response, StatusCode};
use net::{Note, Outbox, Random, StreamEvent, StreamId, Time};

use crate::ledger::WriteId;
use crate::registrar::Parts;
use crate::setup::Setup;

use basic::Gate;
use connections::{Connections, Port};
use site::{Service, Site};
use tickets::Tickets;
use tokens::{Fetched, Tokens};

/// The plain HTTP port.
pub const PLAIN_PORT: u16 = 80;
/// The HTTPS port.
pub const TLS_PORT: u16 = 443;

/// The most requests that wait for the identity service's keys.
pub const WAITING_LIMIT: usize = 1024;
/// The most answers that wait for the disk.
pub const UNKEPT_LIMIT: usize = 8192;

/// Everything that speaks HTTP.
#[derive(Debug)]
pub struct Web {
    site: Site,
    tickets: Tickets,
    tokens: Tokens,
    gate: Gate,
    connections: Connections,
    /// Answers that may leave once a write is on the disk.
    unkept: BTreeMap<WriteId, Vec<(StreamId, Reply)>>,
    /// Requests that wait for the identity service's keys, oldest first: until the fetch that is under way ends.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    stream: StreamId,
    peer: SocketAddr,
    request: Request<Bytes>,
    service: Service,
}

/// An answer, and what the journal is to say of it.
#[derive(Debug)]
struct Reply {
    answer: Response<Bytes>,
    /// What follows the status in the note.
    what: String,
    event: Option<Note>,
}

impl Reply {
    fn new(answer: Response<Bytes>, what: impl Into<String>) -> Reply {
        Reply { answer, what: what.into(), event: None }
    }

    /// An answer without a body.
    fn bare(status: StatusCode, what: &str) -> Reply {
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = status;
        Reply::new(answer, what)
    }

    fn with(mut self, event: Note) -> Reply {
        self.event = Some(event);
        self
    }
}

/// What becomes of a request.
#[derive(Debug)]
enum Outcome {
    Answer(Reply),
    AnswerOnceKept(WriteId, Reply),
    WaitForKeys,
}

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
struct Asker {
    peer: SocketAddr,
    port: Port,
    patience: Patience,
}

/// Whether the keys can still be fetched for this request, or it has waited already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    MayWait,
    HasWaited,
}

impl Web {
    /// A web half that has not been switched on.
    pub fn new(setup: &Setup, random: &mut Random) -> Web {
        Web {
            site: Site::new(setup, random),
            tickets: Tickets::new(&setup.host, random),
            tokens: Tokens::new(setup.identity.clone()),
            gate: Gate::default(),
            connections: Connections::default(),
            unkept: BTreeMap::new(),
            waiting: Vec::new(),
        }
    }

    /// Power came: nothing of before is left.
    pub fn power_on(&mut self, parts: &mut Parts<'_>) {
        self.forget();
        self.tickets = Tickets::new(&self.site.host, parts.random);
    }

    /// Power went: forgets everything.
    pub fn forget(&mut self) {
        self.tokens.forget();
        self.gate = Gate::default();
        self.connections = Connections::default();
        self.unkept.clear();
        self.waiting.clear();
    }

    /// The certificate provisioning service's URL, as the SIP challenge names it (`sts-uri`).
    pub fn sts_uri(&self) -> String {
        format!("https://{}:443/CertProv/CertProvisioningService.svc", self.site.host)
    }

    /// Takes back a user's web tickets.
    pub fn revoke(&mut self, user: &str) {
        self.tickets.revoke(user);
    }

    /// Something happened on a stream of the web ports, or on one that this half opened.
    pub fn handle(
        &mut self,
        now: Time,
        (stream, event): (StreamId, StreamEvent),
        parts: &mut Parts<'_>,
        out: &mut Outbox,
    ) {
        match event {
            StreamEvent::Accepted { local, peer } => {
                let port = if local.port() == PLAIN_PORT { Port::Plain } else { Port::Tls };
                self.connections.accept(now, stream, peer, port, out);
            }
            StreamEvent::Received(bytes) if self.connections.has(stream) => {
                self.connections.receive(now, stream, &bytes, out);
                self.serve(now, stream, parts, out);
            }
            StreamEvent::Closed(_) if self.connections.has(stream) => self.drop_stream(stream),
            event => {
                if self.tokens.on_stream(now, stream, event, out) == Fetched::Over {
                    self.look_again(now, parts, out);
                }
            }
        }
    }

    /// A write is on the disk.
    pub fn written(&mut self, now: Time, write: WriteId, parts: &mut Parts<'_>, out: &mut Outbox) {
        for (stream, reply) in self.unkept.remove(&write).unwrap_or_default() {
            self.reply(now, stream, reply, out);
            self.serve(now, stream, parts, out);
        }
    }

    /// Time passed.
    pub fn woken(&mut self, now: Time, parts: &mut Parts<'_>, out: &mut Outbox) {
        if self.tokens.woken(now, out) == Fetched::Over {
            self.look_again(now, parts, out);
        }
        for stream in self.connections.close_late(now, out) {
            self.drop_stream(stream);
        }
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        [self.connections.wake_at(), self.tokens.wake_at()].into_iter().flatten().min()
    }

    fn drop_stream(&mut self, stream: StreamId) {
        self.connections.remove(stream);
        self.waiting.retain(|waiting| waiting.stream != stream);
    }

    /// Serves what a connection has to ask, until it waits for something.
    fn serve(&mut self, now: Time, stream: StreamId, parts: &mut Parts<'_>, out: &mut Outbox) {
        while let Some((request, peer, port)) = self.connections.next_request(now, stream) {
            let path = request.uri().path();
            if let Some(reply) = revocation::answer(&request, now, parts) {
                let short: String = path.chars().take(100).collect();
                out.note(Note::received(peer, format!("{} {short} (revocation)", request.method())));
                self.reply(now, stream, reply, out);
                continue;
            }
            let service = self.site.find(path).filter(|service| port == Port::Tls || service.is_plain());
            let title = service.map_or("nothing here", Service::title);
            let short: String = path.chars().take(100).collect();
            out.note(Note::received(peer, format!("{} {short} ({title})", request.method())));
            let outcome = match service {
                None => Outcome::Answer(Reply::bare(StatusCode::NOT_FOUND, "nothing here")),
                Some(service) => {
                    let asker = Asker { peer, port, patience: Patience::MayWait };
                    self.answer(now, service, &request, asker, parts, out)
                }
            };
            match (outcome, service) {
                (Outcome::Answer(reply), _) => self.reply(now, stream, reply, out),
                (Outcome::AnswerOnceKept(write, reply), _) => {
                    self.unkept.entry(write).or_default().push((stream, reply));
                }
                (Outcome::WaitForKeys, Some(service)) => {
                    self.tokens.fetch(parts.clock, now, out);
                    if self.waiting.len() >= WAITING_LIMIT {
                        self.reply(now, stream, self.unavailable("too many wait for the keys"), out);
                    } else {
                        self.waiting.push(Waiting { stream, peer, request, service });
                    }
                }
                (Outcome::WaitForKeys, None) => {}
            }
        }
        self.connections.close_if_done(stream, out);
    }

    /// The keys are here, or are not to be had: everybody who waited gets an answer.
    fn look_again(&mut self, now: Time, parts: &mut Parts<'_>, out: &mut Outbox) {
        for waiting in std::mem::take(&mut self.waiting) {
            self.serve_again(now, waiting, parts, out);
        }
    }

    fn serve_again(&mut self, now: Time, waiting: Waiting, parts: &mut Parts<'_>, out: &mut Outbox) {
        let Waiting { stream, peer, request, service } = waiting;
        let asker = Asker { peer, port: Port::Tls, patience: Patience::HasWaited };
        match self.answer(now, service, &request, asker, parts, out) {
            Outcome::Answer(reply) => self.reply(now, stream, reply, out),
            Outcome::AnswerOnceKept(write, reply) => {
                self.unkept.entry(write).or_default().push((stream, reply));
            }
            Outcome::WaitForKeys => {
                self.reply(now, stream, self.unavailable("identity service does not answer"), out);
            }
        }
        self.serve(now, stream, parts, out);
    }

    fn reply(&mut self, now: Time, stream: StreamId, reply: Reply, out: &mut Outbox) {
        if let Some(event) = reply.event {
            out.note(event);
        }
        if let Some(peer) = self.connections.peer(stream) {
            out.note(Note::sent(peer, format!("{} {}", reply.answer.status().as_u16(), reply.what)));
            self.connections.answer(now, stream, reply.answer, out);
        }
    }
}
