//! One client's connection: its framing, its limits and deadlines, its answers, and what it has proved.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use net::Time;
use sip::framing::Framer;
use sip::timers::{Reliability, Timers};
use sip::transaction::{Server, ServerKey};

use super::access::{Association, HalfOpen};
use super::flow::Carrier;

/// How often a client is asked to say that it is still there (`ms-keep-alive`, MS-CONMGMT 2.2.1).
pub const KEEP_ALIVE: Duration = Duration::from_secs(300);
/// How long a connection with a security association may be silent: two keep-alives.
pub const IDLE: Duration = Duration::from_secs(600);
/// How long a connection may go without a whole message before anybody on it has proved who they are; a client
/// fetches its certificate in this time. Keep-alives do not count: else four octets a minute would hold it for ever.
pub const IDLE_UNPROVED: Duration = Duration::from_secs(180);
/// How long one message may take to arrive, from its first octet to its last.
pub const MESSAGE_WITHIN: Duration = Duration::from_secs(20);
/// The most octets of an unfinished message; clients of this kind send a few thousand.
pub const MESSAGE_OCTETS: usize = 128 * 1024;
/// The same before anybody on the connection has proved who they are: room for the longest flight of a handshake.
pub const MESSAGE_OCTETS_UNPROVED: usize = 48 * 1024;
/// The longest answer that is kept, in octets; a request whose answer was longer is met with silence if it comes
/// again.
pub const ANSWER_OCTETS: usize = 16 * 1024;
/// The answers that are kept on a connection in case their requests come again.
pub const ANSWERS_KEPT: usize = 4;
/// The most requests of one connection that wait for the disk.
pub const WAITING_MAX: usize = 8;
/// The most requests that are remembered on a connection, answered or not.
pub const REMEMBERED_MAX: usize = ANSWERS_KEPT + WAITING_MAX + 4;
/// The most messages that cannot be read before the connection is closed.
pub const UNREADABLE_MAX: u32 = 16;
/// The most challenges on one connection within [`CHALLENGE_WINDOW`]; beyond that it hears 503.
pub const CHALLENGES: u32 = 32;
/// Beyond this many within [`CHALLENGE_WINDOW`] the connection is closed.
pub const CHALLENGES_CLOSE: u32 = 256;
/// The span that challenges are counted over.
pub const CHALLENGE_WINDOW: Duration = Duration::from_secs(60);

/// What one more challenge means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Send it.
    Left,
    /// Tell the client to stay away for so many seconds.
    Worn(u32),
    /// Close the connection.
    Out,
}

/// One client's connection.
#[derive(Debug)]
pub struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    /// Its number among the pool's connections (`ms-received-cid`).
    pub cid: u64,
    /// How messages travel on it.
    pub carrier: Carrier,
    /// How long it may be silent because an ordinary user agent has proved a password on it.
    pub patience: Option<Duration>,
    /// Cuts what arrives into messages.
    pub framer: Framer,
    /// The handshakes that are under way, by handle.
    pub half_open: BTreeMap<String, HalfOpen>,
    /// What was proved, by handle.
    pub associations: BTreeMap<String, Association>,
    /// How many requests wait for the disk.
    pub waiting: usize,
    /// How many messages could not be read.
    pub unreadable: u32,
    /// The deadline under which the front end has it in its list.
    pub scheduled: Option<Time>,
    heard_at: Time,
    unfinished_since: Option<Time>,
    /// What of it counts for [`super::UNFINISHED_IN_ALL`].
    unfinished: usize,
    recent: VecDeque<(ServerKey, Server)>,
    challenges: u32,
    challenges_since: Time,
}

impl Connection {
    /// A connection that has just come up.
    pub fn new(peer: SocketAddr, carrier: Carrier, cid: u64, now: Time) -> Connection {
        Connection {
            peer,
            cid,
            carrier,
            patience: None,
            framer: Framer::for_server(),
            half_open: BTreeMap::new(),
            associations: BTreeMap::new(),
            waiting: 0,
            unreadable: 0,
            scheduled: None,
            heard_at: now,
            unfinished_since: None,
            unfinished: 0,
            recent: VecDeque::new(),
            challenges: 0,
            challenges_since: now,
        }
    }

    /// Whether somebody on it has proved who they are.
    pub fn is_proved(&self) -> bool {
        !self.associations.is_empty() || self.patience.is_some()
    }

    fn idle(&self) -> Duration {
        match self.patience {
            Some(patience) => patience.max(IDLE),
            None if self.associations.is_empty() => IDLE_UNPROVED,
            None => IDLE,
        }
    }

    /// Octets arrived.
    pub fn heard(&mut self, octets: &[u8], now: Time) {
        self.heard_from(now);
        self.framer.push(octets);
    }

    /// Something arrived, if only a keep-alive.
    pub fn heard_from(&mut self, now: Time) {
        if self.is_proved() {
            self.heard_at = now;
        }
    }

    /// Every whole message has been taken out of the framer; whether what is left is within the limit.
    pub fn emptied(&mut self, now: Time) -> bool {
        let waiting = self.framer.waiting();
        self.unfinished_since = (waiting > 0).then(|| self.unfinished_since.unwrap_or(now));
        waiting <= if self.is_proved() { MESSAGE_OCTETS } else { MESSAGE_OCTETS_UNPROVED }
    }

    /// Counts anew how many octets of an unfinished message it holds: how many before, how many now. A client that
    /// has proved who it is counts for nothing.
    pub fn recount(&mut self) -> (usize, usize) {
        let holds = if self.is_proved() { 0 } else { self.framer.waiting() };
        (std::mem::replace(&mut self.unfinished, holds), holds)
    }

    /// How many octets of an unfinished message it held at the last count.
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// A whole message was taken out: the next one has its own time.
    pub fn message_finished(&mut self, now: Time) {
        self.heard_at = now;
        self.unfinished_since = None;
    }

    /// When the next of its deadlines comes.
    pub fn deadline(&self) -> Time {
        let half_open = self.half_open.values().map(|context| context.until).min();
        let unfinished = self.unfinished_since.map(|since| since + MESSAGE_WITHIN);
        let others = half_open.into_iter().chain(unfinished);
        others.fold(self.heard_at + self.idle(), Time::min)
    }

    /// Why it must be closed at `now`, if it must.
    pub fn overdue(&self, now: Time) -> Option<&'static str> {
        if self.unfinished_since.is_some_and(|since| now >= since + MESSAGE_WITHIN) {
            return Some("a message took too long to arrive");
        }
        (now >= self.heard_at + self.idle()).then_some("silent for too long")
    }

    /// Takes a request in: `Some` if it has come before, with the answer to send again if there is one.
    pub fn repeated(&mut self, key: &ServerKey, now: Time) -> Option<Option<Bytes>> {
        self.recent.retain(|(_, server)| !server.is_over(now));
        if let Some((_, server)) = self.recent.iter().find(|(known, _)| known == key) {
            return Some(server.repeated().filter(|answer| !answer.is_empty()));
        }
        // Over TLS nobody has to repeat anything (RFC 3261 §17.1.2.2), but some clients do when an answer is slow:
        // their requests are remembered as if the way could lose them.
        self.recent.push_back((*key, Server::new(Reliability::Unreliable, Timers::RFC3261)));
        let answered = |(_, server): &(ServerKey, Server)| server.wake_at().is_some();
        if self.recent.iter().filter(|entry| answered(entry)).count() > ANSWERS_KEPT
            && let Some(oldest) = self.recent.iter().position(answered)
        {
            self.recent.remove(oldest);
        }
        // A request that is never answered must not stay for ever either.
        if self.recent.len() > REMEMBERED_MAX {
            self.recent.pop_front();
        }
        None
    }

    /// Remembers the answer to a request.
    pub fn answered(&mut self, key: &ServerKey, status: u16, answer: Bytes, now: Time) {
        if let Some((_, server)) = self.recent.iter_mut().find(|(known, _)| known == key) {
            let kept = if answer.len() <= ANSWER_OCTETS { answer } else { Bytes::new() };
            server.answer(now, status, kept);
        }
    }

    /// Somebody has answered a challenge rightly: who asks for one each time and proves it each time wears nobody's patience.
    pub fn proved(&mut self, patience: Duration) {
        self.patience = Some(patience);
        self.challenges = 0;
    }

    /// Counts one more challenge.
    pub fn challenge(&mut self, now: Time) -> Patience {
        if now.since(self.challenges_since) >= CHALLENGE_WINDOW {
            self.challenges_since = now;
            self.challenges = 0;
        }
        self.challenges += 1;
        if self.challenges <= CHALLENGES {
            return Patience::Left;
        }
        if self.challenges > CHALLENGES_CLOSE {
            return Patience::Out;
        }
        let left = CHALLENGE_WINDOW.saturating_sub(now.since(self.challenges_since));
        Patience::Worn(u32::try_from(left.as_secs()).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// The newest association of an account's endpoint: the one its client signs with.
    pub fn association_of(&mut self, aor: &str, epid: Option<&str>) -> Option<&mut Association> {
        self.associations
            .values_mut()
            .filter(|association| association.aor == aor && association.epid.as_deref() == epid)
            .max_by_key(|association| association.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_remembers_only_so_many_requests() {
        let mut connection = Connection::new(([10, 20, 2, 1], 40_000).into(), Carrier::Tls, 1, Time::ZERO);
        for number in 0..1_000_u64 {
            let text = format!(
                "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TLS a;branch=z9hG4bK{number}\r\nFrom: <sip:a@b>;tag=1\r\n\
                 To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            );
            let request = sip::Message::parse(text.into()).expect("a good request");
            let key = ServerKey::of(&request, connection.peer);
            assert_eq!(connection.repeated(&key, Time::ZERO), None);
            if number % 2 == 0 {
                connection.answered(&key, 200, Bytes::new(), Time::ZERO);
            }
        }
        assert!(connection.recent.len() <= REMEMBERED_MAX, "{}", connection.recent.len());
    }
}
