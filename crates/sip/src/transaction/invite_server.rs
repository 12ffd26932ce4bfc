//! The server's side of an INVITE transaction (RFC 3261 §17.2.1, with the Accepted state of RFC 6026 §7.1), and the
//! bounded table of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use net::Time;

use super::ServerKey;
use crate::message::Message;
use crate::timers::{Reliability, Timer, Timers};

/// One INVITE and the answers to it.
#[derive(Clone, Debug)]
pub struct InviteServer {
    timers: Timers,
    way: Reliability,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// No final answer yet; the last provisional one, if any.
    Proceeding { last: Option<Bytes> },
    /// Refused: the refusal is repeated (timer G) until the ACK comes or timer H ends it.
    Completed { last: Bytes, resend: Option<Resend>, until: Time },
    /// The refusal's ACK came; it may come again until timer I.
    Confirmed { until: Time },
    /// Accepted: INVITEs that come again are swallowed until timer L. The 2xx is repeated by whoever accepted.
    Accepted { until: Time },
    /// Over.
    Terminated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resend {
    at: Time,
    interval: Duration,
}

/// What to do after a wake-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InviteWoke {
    /// It is not time yet.
    Nothing,
    /// Send the refusal again.
    Resend(Bytes),
    /// Nobody acknowledged the refusal (timer H); the transaction is over.
    NoAck,
    /// The transaction is over; forget it.
    Over,
}

impl InviteServer {
    /// Begins with an INVITE that came for the first time. Whoever needs more than 200 ms to answer sends a 100
    /// first.
    pub fn new(way: Reliability, timers: Timers) -> InviteServer {
        InviteServer { timers, way, state: State::Proceeding { last: None } }
    }

    /// The INVITE came again: what to send, if anything.
    pub fn repeated(&self) -> Option<Bytes> {
        match &self.state {
            State::Proceeding { last } => last.clone(),
            State::Completed { last, .. } => Some(last.clone()),
            State::Confirmed { .. } | State::Accepted { .. } | State::Terminated => None,
        }
    }

    /// Answers. Whether the answer is to be sent: after a refusal there is no other; after a 2xx only more 2xx (the
    /// same one repeated, or a proxy's from other forks).
    pub fn answer(&mut self, now: Time, status: u16, response: Bytes) -> bool {
        match (&self.state, status / 100) {
            (State::Proceeding { .. }, 1) => {
                self.state = State::Proceeding { last: Some(response) };
                true
            }
            (State::Proceeding { .. }, 2) => {
                let span = self.timers.span(Timer::L, self.way).unwrap_or(self.timers.t1 * 64);
                self.state = State::Accepted { until: now + span };
                true
            }
            (State::Proceeding { .. }, _) => {
                let resend = self.timers.span(Timer::G, self.way);
                let resend = resend.map(|interval| Resend { at: now + interval, interval });
                let until = now + self.timers.span(Timer::H, self.way).unwrap_or(self.timers.t1 * 64);
                self.state = State::Completed { last: response, resend, until };
                true
            }
            (State::Accepted { .. }, 2) => true,
            (
                State::Completed { .. }
                | State::Confirmed { .. }
                | State::Accepted { .. }
                | State::Terminated,
                _,
            ) => false,
        }
    }

    /// An ACK came with this INVITE's branch. Whether it was for a refusal: then nobody else needs to hear of it.
    pub fn acknowledged(&mut self, now: Time) -> bool {
        match self.state {
            State::Completed { .. } => {
                self.state = match self.timers.span(Timer::I, self.way) {
                    Some(span) if !span.is_zero() => State::Confirmed { until: now + span },
                    _ => State::Terminated,
                };
                true
            }
            State::Confirmed { .. } => true,
            State::Proceeding { .. } | State::Accepted { .. } | State::Terminated => false,
        }
    }

    /// Whether no final answer was given yet: only then does a CANCEL change anything.
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    /// When it wants to be woken, if ever.
    pub fn wake_at(&self) -> Option<Time> {
        match &self.state {
            State::Completed { resend, until, .. } => {
                Some(resend.map_or(*until, |resend| resend.at.min(*until)))
            }
            State::Confirmed { until } | State::Accepted { until } => Some(*until),
            State::Proceeding { .. } | State::Terminated => None,
        }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Time) -> InviteWoke {
        match &mut self.state {
            State::Completed { until, .. } if now >= *until => {
                self.state = State::Terminated;
                InviteWoke::NoAck
            }
            State::Completed { last, resend: Some(resend), .. } if now >= resend.at => {
                resend.interval = self.timers.next_e(resend.interval);
                resend.at = now + resend.interval;
                InviteWoke::Resend(last.clone())
            }
            State::Confirmed { until } | State::Accepted { until } if now >= *until => {
                self.state = State::Terminated;
                InviteWoke::Over
            }
            State::Terminated => InviteWoke::Over,
            State::Proceeding { .. }
            | State::Completed { .. }
            | State::Confirmed { .. }
            | State::Accepted { .. } => InviteWoke::Nothing,
        }
    }
}

/// What an INVITE or an ACK is to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InviteArrival {
    /// An INVITE for the first time: work on it, and answer by this key.
    New(ServerKey),
    /// An INVITE that came before: send this again, if there is anything to send.
    Again(Option<Bytes>),
    /// The ACK to a refusal: done.
    Acknowledged,
    /// The ACK to a 2xx, or to nothing: a dialog's affair (a proxy hands it on).
    Ack,
    /// There are [`InviteServers::MAX`] transactions already: answer 503 or nothing.
    Full,
}

/// The INVITE transactions of one server, at most [`InviteServers::MAX`].
#[derive(Clone, Debug)]
pub struct InviteServers {
    timers: Timers,
    max: usize,
    all: BTreeMap<ServerKey, InviteServer>,
    /// When each wants to be woken, in order.
    wakes: BTreeSet<(Time, ServerKey)>,
}

impl InviteServers {
    /// The most transactions that are kept at a time, unless [`InviteServers::at_most`] says less.
    pub const MAX: usize = 100_000;

    /// No transactions yet.
    pub fn new(timers: Timers) -> InviteServers {
        InviteServers::at_most(InviteServers::MAX, timers)
    }

    /// No transactions yet, and never more than `max`.
    pub fn at_most(max: usize, timers: Timers) -> InviteServers {
        InviteServers { timers, max, all: BTreeMap::new(), wakes: BTreeSet::new() }
    }

    /// Takes an INVITE or an ACK in that came from `peer`.
    pub fn receive(
        &mut self,
        now: Time,
        peer: SocketAddr,
        request: &Message,
        way: Reliability,
    ) -> InviteArrival {
        let key = ServerKey::of(request, peer);
        if request.method() == "ACK" {
            let is_done = self.change(&key, |server| server.acknowledged(now)).unwrap_or(false);
            return if is_done { InviteArrival::Acknowledged } else { InviteArrival::Ack };
        }
        if let Some(server) = self.all.get(&key) {
            return InviteArrival::Again(server.repeated());
        }
        if self.all.len() >= self.max {
            return InviteArrival::Full;
        }
        self.all.insert(key, InviteServer::new(way, self.timers));
        InviteArrival::New(key)
    }

    /// The INVITE that a CANCEL from `peer` means, if it is known: answer the CANCEL with 200, else with 481
    /// (RFC 3261 §9.2). The flag says whether the INVITE still waits, so that 487 may answer it.
    pub fn cancelled(&self, peer: SocketAddr, cancel: &Message) -> Option<(ServerKey, bool)> {
        let key = ServerKey::cancelled_by(cancel, peer);
        let is_pending = self.all.get(&key)?.is_pending();
        Some((key, is_pending))
    }

    /// Answers an INVITE. Whether the answer is to be sent.
    pub fn answer(&mut self, now: Time, key: &ServerKey, status: u16, response: Bytes) -> bool {
        self.change(key, |server| server.answer(now, status, response)).unwrap_or(false)
    }

    /// Gives up on an INVITE without an answer, as when its connection is gone.
    pub fn forget(&mut self, key: &ServerKey) {
        self.change(key, |server| server.state = State::Terminated);
    }

    /// When the next one wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Does what is due: which refusals to send again, and which INVITEs nobody acknowledged. Those that are over are
    /// forgotten.
    pub fn wake(&mut self, now: Time) -> Vec<(ServerKey, InviteWoke)> {
        let mut woke = Vec::new();
        while let Some((_, key)) = self.wakes.first().filter(|(at, _)| *at <= now).cloned() {
            match self.change(&key, |server| server.wake(now)) {
                Some(what @ (InviteWoke::Resend(_) | InviteWoke::NoAck)) => woke.push((key, what)),
                Some(InviteWoke::Nothing | InviteWoke::Over) | None => {}
            }
        }
        woke
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Changes one and keeps its place in the order of wake-ups; forgets it if it is over.
    fn change<T>(&mut self, key: &ServerKey, how: impl FnOnce(&mut InviteServer) -> T) -> Option<T> {
        let server = self.all.get_mut(key)?;
        let before = server.wake_at();
        let result = how(server);
        let after = server.wake_at();
        let is_over = server.is_over();
        if let Some(at) = before {
            self.wakes.remove(&(at, *key));
        }
        if is_over {
            self.all.remove(key);
        } else if let Some(at) = after {
            self.wakes.insert((at, *key));
        }
        Some(result)
    }
}
