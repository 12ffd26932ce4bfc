//! The client's side of a non-INVITE transaction (RFC 3261 §17.1.2).

use std::time::Duration;

use bytes::Bytes;
use net::Time;

use crate::message::Message;
use crate::timers::{Reliability, Timer, Timers};

/// One request on its way to a final answer.
#[derive(Clone, Debug)]
pub struct Client {
    request: Message,
    timers: Timers,
    way: Reliability,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing came yet.
    Trying { resend: Option<Resend>, give_up_at: Time },
    /// A provisional answer came.
    Proceeding { resend: Option<Resend>, give_up_at: Time },
    /// A final answer came; it may come again until then.
    Completed { until: Time },
    /// Over.
    Terminated,
}

/// Timer E: when the request goes out again, and how long it waited for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resend {
    at: Time,
    interval: Duration,
}

/// What to do with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It belongs to another transaction.
    NotMine,
    /// A provisional answer: the other side is alive.
    Provisional,
    /// The final answer.
    Final,
    /// A final answer again; drop it.
    Again,
}

/// What to do after a wake-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Woke {
    /// It is not time yet.
    Nothing,
    /// Send the request again.
    Resend(Bytes),
    /// No final answer came within 64*T1 (timer F): as good as a 408.
    TimedOut,
    /// The transaction is over; forget it.
    Over,
}

impl Client {
    /// Begins: the caller sends the request now.
    pub fn new(request: Message, way: Reliability, timers: Timers, now: Time) -> Client {
        let resend = timers.span(Timer::E, way).map(|interval| Resend { at: now + interval, interval });
        let give_up_at = now + timers.span(Timer::F, way).unwrap_or(timers.t1 * 64);
        Client { request, timers, way, state: State::Trying { resend, give_up_at } }
    }

    /// The request.
    pub fn request(&self) -> &Message {
        &self.request
    }

    /// Whether a response belongs here: same branch in the topmost Via, same method in CSeq (RFC 3261 §17.1.3).
    pub fn is_answered_by(&self, response: &Message) -> bool {
        super::answers(response, &self.request)
    }

    /// Takes a response in.
    pub fn receive(&mut self, now: Time, response: &Message) -> Came {
        if !self.is_answered_by(response) {
            return Came::NotMine;
        }
        let is_final = response.status().is_some_and(|status| status >= 200);
        match self.state {
            State::Trying { resend, give_up_at } | State::Proceeding { resend, give_up_at } => {
                if !is_final {
                    self.state = State::Proceeding { resend, give_up_at };
                    return Came::Provisional;
                }
                self.state = match self.timers.span(Timer::K, self.way) {
                    Some(span) if !span.is_zero() => State::Completed { until: now + span },
                    _ => State::Terminated,
                };
                Came::Final
            }
            State::Completed { .. } | State::Terminated => Came::Again,
        }
    }

    /// The way broke: nothing more is sent or expected.
    pub fn fail(&mut self) {
        self.state = State::Terminated;
    }

    /// When it wants to be woken; `None` once it is over.
    pub fn wake_at(&self) -> Option<Time> {
        match self.state {
            State::Trying { resend, give_up_at } | State::Proceeding { resend, give_up_at } => {
                Some(resend.map_or(give_up_at, |resend| resend.at.min(give_up_at)))
            }
            State::Completed { until } => Some(until),
            State::Terminated => None,
        }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.state == State::Terminated
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Time) -> Woke {
        match &mut self.state {
            State::Trying { give_up_at, .. } | State::Proceeding { give_up_at, .. } if now >= *give_up_at => {
                self.state = State::Terminated;
                Woke::TimedOut
            }
            State::Trying { resend: Some(resend), .. } if now >= resend.at => {
                resend.interval = self.timers.next_e(resend.interval);
                resend.at = now + resend.interval;
                Woke::Resend(self.request.as_bytes().clone())
            }
            // After a provisional answer there is no hurry: T2 from here on.
            State::Proceeding { resend: Some(resend), .. } if now >= resend.at => {
                resend.interval = self.timers.t2;
                resend.at = now + resend.interval;
                Woke::Resend(self.request.as_bytes().clone())
            }
            State::Trying { .. } | State::Proceeding { .. } => Woke::Nothing,
            State::Completed { until } if now < *until => Woke::Nothing,
            State::Completed { .. } | State::Terminated => {
                self.state = State::Terminated;
                Woke::Over
            }
        }
    }
}
