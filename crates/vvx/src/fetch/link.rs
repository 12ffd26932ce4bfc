//! One connection to one place, from its name to its end.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use net::http::{ClientConnection, HeaderValue, HttpError, header};
use net::tls::ClientTls;
use net::{Closed, Dial, Note, Outbox, Security, StreamEvent, StreamId, Time};
use url::{Host, Position, Url};

use super::{
    ANSWER_LIMIT, CONNECT_LIMIT, FetchError, FetchId, FetchParts, LIMITS, Request, Response, Stage, spell,
};
use crate::resolver::{Answer, Lookup, QueryId, Question, ResolveError, Resolved};

/// Addresses of a host that are tried.
const ADDRESSES_LIMIT: usize = 4;

/// Whom a connection leads to. Prints as host and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    is_tls: bool,
    host: Host,
    port: u16,
}

impl Place {
    pub(super) fn of(url: &Url) -> Result<Place, &'static str> {
        let is_tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err("only http and https are fetched"),
        };
        let host = url.host().ok_or("no host in it")?.to_owned();
        let port = url.port_or_known_default().ok_or("no port in it")?;
        Ok(Place { is_tls, host, port })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// How far a connection is.
#[derive(Debug, Default)]
enum State {
    /// Nothing was begun.
    #[default]
    Idle,
    /// The host's name is being asked about.
    Resolving(QueryId),
    /// TCP and TLS are coming up; further addresses are left to try.
    Dialling { stream: StreamId, rest: VecDeque<IpAddr>, deadline: Time },
    /// It is up.
    Up(Box<Open>),
}

/// A connection that is up.
#[derive(Debug)]
struct Open {
    stream: StreamId,
    peer: SocketAddr,
    http: ClientConnection,
    asked: Option<Asked>,
    /// An answer came over it before.
    is_kept: bool,
    /// Without a request it is closed then.
    idle_until: Time,
    /// How long after each answer that is.
    idle: Duration,
}

/// The request that waits for its answer.
#[derive(Debug)]
struct Asked {
    id: FetchId,
    url: Url,
    purpose: String,
    deadline: Time,
}

/// What became of a connection.
#[derive(Debug)]
pub(super) enum Happened {
    /// A request has its answer.
    Answered(FetchId, Response),
    /// It did not come about.
    Failed(FetchError),
    /// It came about and is of no more use.
    Broke {
        /// The request whose answer was awaited.
        asked: Option<FetchId>,
        /// It had carried an answer before and nothing of this one: the server may just have been tired of it.
        was_kept: bool,
        /// What the request ends with if it is not asked again.
        why: FetchError,
    },
}

/// A connection and who waits for it.
#[derive(Debug)]
pub(super) struct Link {
    state: State,
    pub(super) queue: VecDeque<FetchId>,
    /// How long the connection is kept without a request.
    idle: Duration,
}

impl Link {
    /// No connection yet, and nobody who waits.
    pub(super) fn new(idle: Duration) -> Link {
        Link { state: State::default(), queue: VecDeque::new(), idle }
    }

    /// Begins to connect, unless that has been begun.
    pub(super) fn connect(
        &mut self,
        place: &Place,
        now: Time,
        parts: &mut FetchParts<'_>,
        out: &mut Outbox,
    ) -> Option<Happened> {
        if !matches!(self.state, State::Idle) {
            return None;
        }
        let name = match &place.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => {
                return self.dial(place, [(*address).into()].into(), None, now, parts, out);
            }
            Host::Ipv6(address) => {
                return self.dial(place, [(*address).into()].into(), None, now, parts, out);
            }
        };
        match parts.resolver.ask(Question::Addresses(name), now, parts.random, out) {
            Lookup::Done(result) => self.found(place, result, now, parts, out),
            Lookup::Pending(query) => {
                self.state = State::Resolving(query);
                None
            }
        }
    }

    /// Takes in an end of a DNS question.
    pub(super) fn resolved(
        &mut self,
        place: &Place,
        resolved: &Resolved,
        now: Time,
        parts: &mut FetchParts<'_>,
        out: &mut Outbox,
    ) -> Option<Happened> {
        match self.state {
            State::Resolving(query) if query == resolved.id => {
                self.found(place, resolved.result.clone(), now, parts, out)
            }
            State::Idle | State::Resolving(_) | State::Dialling { .. } | State::Up(_) => None,
        }
    }

    fn found(
        &mut self,
        place: &Place,
        result: Result<Answer, ResolveError>,
        now: Time,
        parts: &mut FetchParts<'_>,
        out: &mut Outbox,
    ) -> Option<Happened> {
        match result {
            Ok(Answer::Addresses(found)) => {
                let found = found.into_iter().take(ADDRESSES_LIMIT).collect();
                self.dial(place, found, None, now, parts, out)
            }
            // The resolver answers what it was asked.
            Ok(Answer::Services(_) | Answer::Pointers(_)) => {
                Some(Happened::Failed(ResolveError::NoSuchName(place.host.to_string()).into()))
            }
            Err(why) => Some(Happened::Failed(why.into())),
        }
    }

    /// Dials the next address; without one, fails for the reason `why` that the last one gave.
    fn dial(
        &mut self,
        place: &Place,
        mut rest: VecDeque<IpAddr>,
        why: Option<FetchError>,
        now: Time,
        parts: &FetchParts<'_>,
        out: &mut Outbox,
    ) -> Option<Happened> {
        let Some(address) = rest.pop_front() else {
            self.state = State::Idle;
            let nobody = || ResolveError::NoSuchName(place.host.to_string()).into();
            return Some(Happened::Failed(why.unwrap_or_else(nobody)));
        };
        let server_name = match &place.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let security = if place.is_tls {
            Security::Tls(ClientTls {
                server_name,
                trust: parts.trust.clone(),
                clock: parts.clock,
                names: parts.names,
            })
        } else {
            Security::Plain
        };
        let stream = out.open(Dial { to: SocketAddr::new(address, place.port), security });
        self.state = State::Dialling { stream, rest, deadline: now + CONNECT_LIMIT };
        None
    }

    pub(super) fn owns(&self, stream: StreamId) -> bool {
        match &self.state {
            State::Idle | State::Resolving(_) => false,
            State::Dialling { stream: own, .. } => *own == stream,
            State::Up(open) => open.stream == stream,
        }
    }

    /// Takes in what happened on its stream.
    pub(super) fn stream(
        &mut self,
        place: &Place,
        event: &StreamEvent,
        now: Time,
        parts: &FetchParts<'_>,
        out: &mut Outbox,
    ) -> Vec<Happened> {
        match (&mut self.state, event) {
            (State::Dialling { stream, .. }, StreamEvent::Opened { peer, .. }) => {
                let open = Open {
                    stream: *stream,
                    peer: *peer,
                    http: ClientConnection::new(LIMITS),
                    asked: None,
                    is_kept: false,
                    idle_until: now + self.idle,
                    idle: self.idle,
                };
                self.state = State::Up(Box::new(open));
                Vec::new()
            }
            (State::Dialling { rest, .. }, StreamEvent::Closed(why)) => {
                let rest = std::mem::take(rest);
                let why = FetchError::Connect { host: place.to_string(), why: why.clone() };
                self.dial(place, rest, Some(why), now, parts, out).into_iter().collect()
            }
            (State::Up(open), StreamEvent::Received(octets)) => {
                open.http.receive(octets);
                open.read(place, None, now, out)
            }
            (State::Up(open), StreamEvent::Closed(why)) => {
                open.http.end();
                open.read(place, Some(why), now, out)
            }
            _ => Vec::new(),
        }
    }

    /// Looks after deadlines.
    pub(super) fn late(
        &mut self,
        place: &Place,
        now: Time,
        parts: &FetchParts<'_>,
        out: &mut Outbox,
    ) -> Option<Happened> {
        let overdue = |stage, limit| FetchError::Deadline { host: place.to_string(), stage, limit };
        match &mut self.state {
            State::Dialling { stream, rest, deadline } if *deadline <= now => {
                out.close(*stream);
                let rest = std::mem::take(rest);
                let why = overdue(Stage::Connecting, CONNECT_LIMIT);
                self.dial(place, rest, Some(why), now, parts, out)
            }
            State::Up(open) => {
                let why = overdue(Stage::Answering, ANSWER_LIMIT);
                match &open.asked {
                    Some(asked) if asked.deadline <= now => {
                        Some(Happened::Broke { asked: Some(asked.id), was_kept: false, why })
                    }
                    None if open.idle_until <= now => {
                        Some(Happened::Broke { asked: None, was_kept: true, why })
                    }
                    Some(_) | None => None,
                }
            }
            State::Idle | State::Resolving(_) | State::Dialling { .. } => None,
        }
    }

    /// Whether it is up and no answer is awaited.
    pub(super) fn is_free(&self) -> bool {
        matches!(&self.state, State::Up(open) if open.asked.is_none() && !open.http.is_done())
    }

    /// Until when it will be kept, if nobody uses it.
    pub(super) fn unused_until(&self) -> Option<Time> {
        match &self.state {
            State::Up(open) if open.asked.is_none() && self.queue.is_empty() => Some(open.idle_until),
            State::Idle | State::Resolving(_) | State::Dialling { .. } | State::Up(_) => None,
        }
    }

    /// Sends a request.
    pub(super) fn ask(&mut self, id: FetchId, place: &Place, request: &Request, now: Time, out: &mut Outbox) {
        let State::Up(open) = &mut self.state else { return };
        let path = &request.url[Position::BeforePath..Position::AfterQuery];
        let mut message = net::http::Request::new(request.body.clone());
        *message.method_mut() = request.method.clone();
        // The url crate leaves nothing in a path that the http crate refuses; `/` is only for the compiler.
        *message.uri_mut() = path.parse().unwrap_or_default();
        *message.headers_mut() = request.headers.clone();
        let host = match request.url.port() {
            Some(port) => format!("{}:{port}", place.host),
            None => place.host.to_string(),
        };
        if let Ok(host) = HeaderValue::from_str(&host) {
            message.headers_mut().insert(header::HOST, host);
        }
        out.note(Note::sent(open.peer, spell(request)));
        open.http.ask(message);
        out.write(open.stream, open.http.take_output());
        let (url, purpose) = (request.url.clone(), request.purpose.clone());
        open.asked = Some(Asked { id, url, purpose, deadline: now + ANSWER_LIMIT });
    }

    /// Takes a request out of its queue; `true` if its answer is awaited right now.
    pub(super) fn forget(&mut self, id: FetchId) -> bool {
        self.queue.retain(|waiting| *waiting != id);
        matches!(&self.state, State::Up(open) if open.asked.as_ref().is_some_and(|asked| asked.id == id))
    }

    /// Closes its stream.
    pub(super) fn close(&mut self, out: &mut Outbox) {
        match std::mem::take(&mut self.state) {
            State::Idle | State::Resolving(_) => {}
            State::Dialling { stream, .. } => out.close(stream),
            State::Up(open) => out.close(open.stream),
        }
    }

    pub(super) fn wake_at(&self) -> Option<Time> {
        match &self.state {
            State::Idle | State::Resolving(_) => None,
            State::Dialling { deadline, .. } => Some(*deadline),
            State::Up(open) => Some(open.asked.as_ref().map_or(open.idle_until, |asked| asked.deadline)),
        }
    }
}

impl Open {
    /// Takes out an answer, or finds that none can come any more.
    fn read(&mut self, place: &Place, ended: Option<&Closed>, now: Time, out: &mut Outbox) -> Vec<Happened> {
        let mut happened = Vec::new();
        let host = || place.to_string();
        match self.http.take_answer() {
            Some(Ok(answer)) => {
                if let Some(asked) = self.asked.take() {
                    let (head, body) = answer.into_parts();
                    out.note(Note::received(
                        self.peer,
                        format!("{} {}", head.status.as_u16(), asked.purpose),
                    ));
                    let (status, headers) = (head.status, head.headers);
                    let response = Response { status, headers, body, url: asked.url, peer: self.peer };
                    happened.push(Happened::Answered(asked.id, response));
                }
                self.is_kept = true;
                self.idle_until = now + self.idle;
            }
            Some(Err(why)) => {
                let was_kept = self.is_kept && why == HttpError::Cut;
                let why = match ended {
                    Some(closed) if *closed != Closed::ByPeer => {
                        FetchError::Connect { host: host(), why: closed.clone() }
                    }
                    _ => FetchError::Http { host: host(), why },
                };
                let asked = self.asked.take().map(|asked| asked.id);
                happened.push(Happened::Broke { asked, was_kept, why });
                return happened;
            }
            None => {}
        }
        out.write(self.stream, self.http.take_output());
        if ended.is_some() || self.http.is_done() {
            let why = match ended {
                Some(closed) => FetchError::Connect { host: host(), why: closed.clone() },
                None => FetchError::Http { host: host(), why: HttpError::Cut },
            };
            let asked = self.asked.take().map(|asked| asked.id);
            happened.push(Happened::Broke { asked, was_kept: self.is_kept, why });
        }
        happened
    }
}
