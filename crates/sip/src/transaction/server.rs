//! The server's side of a non-INVITE transaction (RFC 3261 §17.2.2), and the bounded table of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use bytes::Bytes;
use net::Time;
use sha2::{Digest as _, Sha256};

use super::MAGIC_COOKIE;
use crate::message::Message;
use crate::timers::{Reliability, Timer, Timers};

/// What tells one request from another, however often it is sent (RFC 3261 §17.2.3).
///
/// Where it came from counts as well, which the RFC does not ask for: a stranger who guesses a branch neither gets
/// another's answer nor keeps another's request from being heard. The key is a digest, so that a stranger's long
/// branch takes no more room than a short one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerKey([u8; 32]);

impl ServerKey {
    /// The key of a request that came from `peer`.
    pub fn of(request: &Message, peer: SocketAddr) -> ServerKey {
        // An ACK belongs to the transaction of its INVITE.
        let method = if request.method() == "ACK" { "INVITE" } else { request.method() };
        ServerKey::with_method(request, peer, method)
    }

    /// The key of the INVITE that a CANCEL from `peer` means: all but the method is the same (RFC 3261 §9.2).
    pub fn cancelled_by(cancel: &Message, peer: SocketAddr) -> ServerKey {
        ServerKey::with_method(cancel, peer, "INVITE")
    }

    fn with_method(request: &Message, peer: SocketAddr, method: &str) -> ServerKey {
        let via = request.via();
        let host = via.host.to_ascii_lowercase();
        let port = via.port.map_or(String::new(), |port| port.to_string());
        let has_cookie = |branch: &str| {
            branch.get(..MAGIC_COOKIE.len()).is_some_and(|start| start.eq_ignore_ascii_case(MAGIC_COOKIE))
                && branch.len() > MAGIC_COOKIE.len()
        };
        let key = match via.branch().filter(|branch| has_cookie(branch)) {
            // Branches are compared without case, as all tokens (RFC 3261 §7.3.1).
            Some(branch) => {
                format!("3261\n{peer}\n{}\n{host}:{port}\n{method}", branch.to_ascii_lowercase())
            }
            // A sender of RFC 2543's time: everything that makes the request itself.
            None => {
                let header = |name| request.header(name).unwrap_or("");
                let uri = request.uri().map_or("", |uri| uri.as_str());
                // The ACK to a refusal bears the To tag that the INVITE lacked (RFC 3261 §17.2.3).
                let to_tag = match method {
                    "INVITE" => "",
                    _ => request.to().tag().unwrap_or(""),
                };
                let from_tag = request.from().tag().unwrap_or("");
                format!(
                    "2543\n{peer}\n{uri}\n{to_tag}\n{from_tag}\n{}\n{}\n{method}\n{}",
                    request.call_id(),
                    request.cseq().number,
                    header("Via"),
                )
            }
        };
        ServerKey(Sha256::digest(key.as_bytes()).into())
    }
}

/// One request and the answer to it.
#[derive(Clone, Debug)]
pub struct Server {
    timers: Timers,
    way: Reliability,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Nothing was answered yet.
    Trying,
    /// A provisional answer was sent.
    Proceeding { last: Bytes },
    /// The final answer was sent; whoever asks again until then gets it again.
    Completed { last: Bytes, until: Time },
    /// Over.
    Terminated,
}

impl Server {
    /// Begins with a request that came for the first time.
    pub fn new(way: Reliability, timers: Timers) -> Server {
        Server { timers, way, state: State::Trying }
    }

    /// The request came again: what to send, if anything was answered yet.
    pub fn repeated(&self) -> Option<Bytes> {
        match &self.state {
            State::Proceeding { last } | State::Completed { last, .. } => Some(last.clone()),
            State::Trying | State::Terminated => None,
        }
    }

    /// Answers. Whether the answer is to be sent: after a final one there is no other.
    pub fn answer(&mut self, now: Time, status: u16, response: Bytes) -> bool {
        match self.state {
            State::Completed { .. } | State::Terminated => false,
            State::Trying | State::Proceeding { .. } if status < 200 => {
                self.state = State::Proceeding { last: response };
                true
            }
            State::Trying | State::Proceeding { .. } => {
                self.state = match self.timers.span(Timer::J, self.way) {
                    Some(span) if !span.is_zero() => State::Completed { last: response, until: now + span },
                    _ => State::Terminated,
                };
                true
            }
        }
    }

    /// When it wants to be woken, if ever.
    pub fn wake_at(&self) -> Option<Time> {
        match self.state {
            State::Completed { until, .. } => Some(until),
            State::Trying | State::Proceeding { .. } | State::Terminated => None,
        }
    }

    /// Whether it is over at `now` (timer J).
    pub fn is_over(&self, now: Time) -> bool {
        match self.state {
            State::Completed { until, .. } => now >= until,
            State::Terminated => true,
            State::Trying | State::Proceeding { .. } => false,
        }
    }
}

/// What a request is to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It came for the first time: work on it, and answer by this key.
    New(ServerKey),
    /// It came before: send this again, or nothing if there is no answer yet.
    Again(Option<Bytes>),
    /// There are [`Servers::MAX`] transactions already: answer 503 or nothing.
    Full,
}

/// The transactions of one server, at most [`Servers::MAX`].
#[derive(Clone, Debug)]
pub struct Servers {
    timers: Timers,
    max: usize,
    all: BTreeMap<ServerKey, Server>,
    /// The ends that timer J sets, in order.
    ends: BTreeSet<(Time, ServerKey)>,
}

impl Servers {
    /// The most transactions that are kept at a time, unless [`Servers::at_most`] says less.
    pub const MAX: usize = 100_000;

    /// No transactions yet.
    pub fn new(timers: Timers) -> Servers {
        Servers::at_most(Servers::MAX, timers)
    }

    /// No transactions yet, and never more than `max`.
    pub fn at_most(max: usize, timers: Timers) -> Servers {
        Servers { timers, max, all: BTreeMap::new(), ends: BTreeSet::new() }
    }

    /// Takes a request in that came from `peer`.
    pub fn receive(&mut self, now: Time, peer: SocketAddr, request: &Message, way: Reliability) -> Arrival {
        self.wake(now);
        let key = ServerKey::of(request, peer);
        if let Some(server) = self.all.get(&key) {
            return Arrival::Again(server.repeated());
        }
        if self.all.len() >= self.max {
            return Arrival::Full;
        }
        self.all.insert(key.clone(), Server::new(way, self.timers));
        Arrival::New(key)
    }

    /// Answers a request. Whether the answer is to be sent.
    pub fn answer(&mut self, now: Time, key: &ServerKey, status: u16, response: Bytes) -> bool {
        let Some(server) = self.all.get_mut(key) else { return false };
        let is_to_be_sent = server.answer(now, status, response);
        if server.is_over(now) {
            self.all.remove(key);
        } else if let Some(end) = server.wake_at() {
            self.ends.insert((end, key.clone()));
        }
        is_to_be_sent
    }

    /// Gives up on a request without an answer, as when its connection is gone.
    pub fn forget(&mut self, key: &ServerKey) {
        if let Some(end) = self.all.remove(key).and_then(|server| server.wake_at()) {
            self.ends.remove(&(end, key.clone()));
        }
    }

    /// When the next one ends by itself.
    pub fn wake_at(&self) -> Option<Time> {
        self.ends.first().map(|(end, _)| *end)
    }

    /// Forgets those that are over.
    pub fn wake(&mut self, now: Time) {
        while self.ends.first().is_some_and(|(end, _)| *end <= now) {
            if let Some((_, key)) = self.ends.pop_first() {
                self.all.remove(&key);
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}
