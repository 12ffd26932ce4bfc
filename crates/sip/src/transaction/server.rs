//! The server's side of a non-INVITE transaction (RFC 3261 §17.2.2), and the bounded table of them.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

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
/// branch takes no more room than a short one: 128 bits of SHA-256, which nobody makes meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerKey([u8; 16]);

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
        let mut text = Vec::with_capacity(256);
        let mut add = |part: &[u8]| {
            // Its length stands before each part, so that no two can be taken for one.
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part);
        };
        let has_cookie = |branch: &str| {
            branch.get(..MAGIC_COOKIE.len()).is_some_and(|start| start.eq_ignore_ascii_case(MAGIC_COOKIE))
                && branch.len() > MAGIC_COOKIE.len()
        };
        match peer.ip() {
            IpAddr::V4(ip) => add(&ip.octets()),
            IpAddr::V6(ip) => add(&ip.octets()),
        }
        add(&peer.port().to_be_bytes());
        add(method.as_bytes());
        match via.branch().filter(|branch| has_cookie(branch)) {
            // Branches are compared without case, as all tokens (RFC 3261 §7.3.1).
            Some(branch) => {
                add(lower(branch).as_bytes());
                add(lower(via.host).as_bytes());
                add(&via.port.map_or([0; 3], |port| [1, (port >> 8) as u8, port as u8]));
            }
            // A sender of RFC 2543's time: everything that makes the request itself.
            None => {
                add(b"2543");
                add(request.uri().map_or("", |uri| uri.as_str()).as_bytes());
                // The ACK to a refusal bears the To tag that the INVITE lacked (RFC 3261 §17.2.3).
                let to = request.to();
                add(if method == "INVITE" { "" } else { to.tag().unwrap_or("") }.as_bytes());
                add(request.from().tag().unwrap_or("").as_bytes());
                add(request.call_id().as_bytes());
                add(&request.cseq().number.to_be_bytes());
                add(request.header("Via").unwrap_or("").as_bytes());
            }
        }
        let digest = Sha256::digest(&text);
        ServerKey(std::array::from_fn(|at| digest[at]))
    }
}

fn lower(text: &str) -> Cow<'_, str> {
    match text.bytes().any(|octet| octet.is_ascii_uppercase()) {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => Cow::Borrowed(text),
    }
}

/// One request and the answer to it.
#[derive(Clone, Debug)]
pub struct Server {
    /// Timer J; zero where requests do not come twice. Tables hold many of these, so that no more is kept of the timers.
    lasts: Duration,
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
        Server { lasts: timers.span(Timer::J, way).unwrap_or_default(), state: State::Trying }
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
                self.state = match self.lasts {
                    Duration::ZERO => State::Terminated,
                    lasts => State::Completed { last: response, until: now + lasts },
                };
                true
            }
        }
    }

    /// How much room its answer takes.
    fn cost(&self) -> usize {
        match &self.state {
            State::Proceeding { last } | State::Completed { last, .. } => last.len() + Servers::ANSWER_COST,
            State::Trying | State::Terminated => 0,
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
///
/// Answers are kept for timer J, half a minute over a way that loses messages, but never more than
/// [`Servers::ANSWERS_MAX`] octets of them: at a hundred thousand requests a second they would come to gigabytes. The
/// oldest go first. A request that comes again after that is a new one to its server, which must bear that.
#[derive(Clone, Debug)]
pub struct Servers {
    timers: Timers,
    max: usize,
    answers_max: usize,
    all: Table,
    /// The ends that timer J sets, in order: the oldest answers first, since all wait equally long.
    ends: VecDeque<(Time, ServerKey)>,
    /// How many of the ends may belong to nobody any more.
    given_up: usize,
    /// Octets of the answers that are kept.
    kept: usize,
}

/// Nobody walks through the table, so that its order, which is not the same in all programs, shows nowhere. Keys are digests
/// of what strangers write, so that the hash over them has a key of the server's own.
#[expect(clippy::disallowed_types, reason = "it is only looked into, never walked through")]
type Table = std::collections::HashMap<ServerKey, Server, Salted>;

/// A hash with a key.
#[derive(Clone, Copy, Debug, Default)]
struct Salted([u64; 2]);

impl BuildHasher for Salted {
    type Hasher = Salting;

    fn build_hasher(&self) -> Salting {
        Salting { salt: self.0, state: 0 }
    }
}

/// Multiplies a digest with a secret: whoever does not know that cannot choose where digests fall.
struct Salting {
    salt: [u64; 2],
    state: u64,
}

impl Hasher for Salting {
    fn write(&mut self, octets: &[u8]) {
        for chunk in octets.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let mixed = u64::from_ne_bytes(word) ^ self.salt[0] ^ self.state;
            let product = u128::from(mixed) * u128::from(self.salt[1] | 1);
            // Both halves: the lower one depends on the lower digits alone.
            self.state = (product as u64) ^ (product >> 64) as u64;
        }
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

impl Servers {
    /// The most transactions that are kept at a time, unless [`Servers::at_most`] says less.
    pub const MAX: usize = 100_000;

    /// The most octets of answers that are kept.
    pub const ANSWERS_MAX: usize = 8 << 20;

    /// What an answer costs beside its octets.
    const ANSWER_COST: usize = 128;

    /// No transactions yet.
    pub fn new(timers: Timers) -> Servers {
        Servers::at_most(Servers::MAX, timers)
    }

    /// No transactions yet, and never more than `max`.
    pub fn at_most(max: usize, timers: Timers) -> Servers {
        Servers {
            timers,
            max,
            answers_max: Servers::ANSWERS_MAX,
            all: Table::default(),
            ends: VecDeque::new(),
            given_up: 0,
            kept: 0,
        }
    }

    /// No transactions yet, and a secret that keeps strangers from choosing where in the table theirs fall.
    pub fn salted(timers: Timers, salt: [u64; 2]) -> Servers {
        Servers { all: Table::with_hasher(Salted(salt)), ..Servers::new(timers) }
    }

    /// Takes a request in that came from `peer`.
    pub fn receive(&mut self, now: Time, peer: SocketAddr, request: &Message, way: Reliability) -> Arrival {
        self.wake(now);
        let key = ServerKey::of(request, peer);
        if let Some(server) = self.all.get(&key) {
            return Arrival::Again(server.repeated());
        }
        while self.all.len() >= self.max {
            // Who has been answered makes room for who has not.
            if !self.forget_oldest() {
                return Arrival::Full;
            }
        }
        self.all.insert(key, Server::new(way, self.timers));
        Arrival::New(key)
    }

    /// Answers a request. Whether the answer is to be sent.
    pub fn answer(&mut self, now: Time, key: &ServerKey, status: u16, response: Bytes) -> bool {
        let Some(server) = self.all.get_mut(key) else { return false };
        let before = server.cost();
        let is_to_be_sent = server.answer(now, status, response);
        self.kept = self.kept - before + server.cost();
        if server.is_over(now) {
            self.forget(key);
        } else if let (true, Some(end)) = (is_to_be_sent, server.wake_at()) {
            // Ends come in order, but for a server whose clock was set back.
            let end = self.ends.back().map_or(end, |(last, _)| end.max(*last));
            self.ends.push_back((end, *key));
        }
        while self.kept > self.answers_max && self.forget_oldest() {}
        is_to_be_sent
    }

    /// Gives up on a request without an answer, as when its connection is gone.
    pub fn forget(&mut self, key: &ServerKey) {
        if let Some(server) = self.all.remove(key) {
            self.kept -= server.cost();
            self.given_up += usize::from(server.wake_at().is_some());
        }
        self.forget_ends();
    }

    /// Nobody is woken for what is gone.
    fn forget_ends(&mut self) {
        // Looked for only while there are some: each look is at another corner of a large table.
        while self.given_up > 0 && self.ends.front().is_some_and(|(_, key)| !self.all.contains_key(key)) {
            self.ends.pop_front();
            self.given_up -= 1;
        }
    }

    /// Forgets the oldest answer; whether there was one.
    fn forget_oldest(&mut self) -> bool {
        let Some((end, key)) = self.ends.pop_front() else { return false };
        match self.all.entry(key) {
            // One that was given up is forgotten already, and its key may belong to a request that came later: that one stays.
            Entry::Occupied(held) if held.get().wake_at().is_some_and(|until| until <= end) => {
                self.kept -= held.remove().cost();
            }
            Entry::Occupied(_) | Entry::Vacant(_) => self.given_up = self.given_up.saturating_sub(1),
        }
        self.forget_ends();
        true
    }

    /// When the next one ends by itself.
    pub fn wake_at(&self) -> Option<Time> {
        self.ends.front().map(|(end, _)| *end)
    }

    /// Forgets those that are over.
    pub fn wake(&mut self, now: Time) {
        while self.ends.front().is_some_and(|(end, _)| *end <= now) {
            self.forget_oldest();
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
