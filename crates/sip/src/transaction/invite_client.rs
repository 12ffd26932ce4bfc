//! The client's side of an INVITE transaction (RFC 3261 §17.1.1, with the Accepted state of RFC 6026 §7.2).

use std::time::Duration;

use net::Time;

use super::Woke;
use crate::message::Message;
use crate::print::Draft;
use crate::timers::{Reliability, Timer, Timers};

/// One INVITE on its way to a final answer, and a while longer.
///
/// Timer B runs only until the first provisional answer: after that a person may be on the way to the handset, and
/// whoever cannot wait cancels (a proxy by timer C).
#[derive(Clone, Debug)]
pub struct InviteClient {
    request: Message,
    timers: Timers,
    way: Reliability,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Nothing came yet: timers A and B.
    Calling { resend: Option<Resend>, give_up_at: Time },
    /// A provisional answer came; the end is set once the INVITE is cancelled (RFC 3261 §9.1).
    Proceeding { give_up_at: Option<Time> },
    /// A refusal came and was acknowledged; it may come again until timer D.
    Completed { ack: Draft, until: Time },
    /// A 2xx came; it may come again, or others from other forks, until timer M.
    Accepted { until: Time },
    /// Over.
    Terminated,
}

/// Timer A: when the INVITE goes out again, and how long it waited for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resend {
    at: Time,
    interval: Duration,
}

/// What to do with a response to an INVITE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InviteCame {
    /// It belongs to another transaction.
    NotMine,
    /// A provisional answer: it may make an early dialog.
    Provisional,
    /// A 2xx, the first or another one: whoever called must acknowledge each, in a request of its own
    /// (RFC 3261 §13.2.2.4). A proxy hands each on.
    Accepted,
    /// The refusal: send this ACK.
    Refused(Draft),
    /// A refusal again: send the ACK again, if there is one, and tell nobody.
    Again(Option<Draft>),
}

impl InviteClient {
    /// Begins: the caller sends the request now.
    pub fn new(request: Message, way: Reliability, timers: Timers, now: Time) -> InviteClient {
        let resend = timers.span(Timer::A, way).map(|interval| Resend { at: now + interval, interval });
        let give_up_at = now + timers.span(Timer::B, way).unwrap_or(timers.t1 * 64);
        InviteClient { request, timers, way, state: State::Calling { resend, give_up_at } }
    }

    /// The request.
    pub fn request(&self) -> &Message {
        &self.request
    }

    /// Whether a response belongs here: same branch in the topmost Via, INVITE in CSeq (RFC 3261 §17.1.3).
    pub fn is_answered_by(&self, response: &Message) -> bool {
        super::answers(response, &self.request)
    }

    /// Takes a response in.
    pub fn receive(&mut self, now: Time, response: &Message) -> InviteCame {
        if !self.is_answered_by(response) {
            return InviteCame::NotMine;
        }
        let class = response.status().unwrap_or(0) / 100;
        match (&self.state, class) {
            (State::Calling { .. }, 1) => {
                self.state = State::Proceeding { give_up_at: None };
                InviteCame::Provisional
            }
            (State::Proceeding { .. }, 1) => InviteCame::Provisional,
            (State::Calling { .. } | State::Proceeding { .. }, 2) => {
                let span = self.timers.span(Timer::M, self.way).unwrap_or(self.timers.t1 * 64);
                self.state = State::Accepted { until: now + span };
                InviteCame::Accepted
            }
            (State::Accepted { .. }, 2) => InviteCame::Accepted,
            (State::Calling { .. } | State::Proceeding { .. }, _) => {
                let ack = self.ack(response);
                self.state = match self.timers.span(Timer::D, self.way) {
                    Some(span) if !span.is_zero() => State::Completed { ack: ack.clone(), until: now + span },
                    _ => State::Terminated,
                };
                InviteCame::Refused(ack)
            }
            (State::Completed { ack, .. }, 3..) => InviteCame::Again(Some(ack.clone())),
            // A refusal after a 2xx, or an answer to what is over: nothing may be sent for it.
            (State::Completed { .. } | State::Accepted { .. } | State::Terminated, _) => {
                InviteCame::Again(None)
            }
        }
    }

    /// The ACK to a refusal: the INVITE's own Via, Route and credentials, the answer's To (RFC 3261 §17.1.1.3).
    fn ack(&self, response: &Message) -> Draft {
        self.companion("ACK", response.header("To").unwrap_or(""))
    }

    /// The CANCEL for this INVITE, if one may be sent: only once a provisional answer came, and before a final one
    /// (RFC 3261 §9.1). It is a request with a [`super::Client`] of its own; from now on the INVITE waits 64*T1 at
    /// most.
    pub fn cancel(&mut self, now: Time) -> Option<Draft> {
        let State::Proceeding { give_up_at } = &mut self.state else { return None };
        if give_up_at.is_some() {
            return None;
        }
        *give_up_at = Some(now + self.timers.t1 * 64);
        Some(self.companion("CANCEL", self.request.header("To").unwrap_or("")))
    }

    /// Whether a CANCEL would be sent if it was asked for now.
    pub fn may_be_cancelled(&self) -> bool {
        matches!(self.state, State::Proceeding { give_up_at: None })
    }

    /// Whether no final answer came yet.
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Calling { .. } | State::Proceeding { .. })
    }

    fn companion(&self, method: &str, to: &str) -> Draft {
        let request = &self.request;
        let uri = request.uri().map_or("", |uri| uri.as_str());
        let via = request.header("Via").map_or("", crate::value::first_of_list);
        let mut draft = Draft::request(method, uri).with("Via", via).with("Max-Forwards", "70");
        for name in ["Route", "Authorization", "Proxy-Authorization"] {
            for value in request.headers(name) {
                draft.push(name, value);
            }
        }
        draft
            .with("From", request.header("From").unwrap_or(""))
            .with("To", to)
            .with("Call-ID", request.call_id())
            .with("CSeq", format!("{} {method}", request.cseq().number))
    }

    /// The way broke: nothing more is sent or expected.
    pub fn fail(&mut self) {
        self.state = State::Terminated;
    }

    /// When it wants to be woken; `None` once it is over, or while it waits for a person.
    pub fn wake_at(&self) -> Option<Time> {
        match &self.state {
            State::Calling { resend, give_up_at } => {
                Some(resend.map_or(*give_up_at, |resend| resend.at.min(*give_up_at)))
            }
            State::Proceeding { give_up_at } => *give_up_at,
            State::Completed { until, .. } | State::Accepted { until } => Some(*until),
            State::Terminated => None,
        }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    /// Does what is due. [`Woke::TimedOut`] is as good as a 408: nobody answered, or nobody heard the CANCEL.
    pub fn wake(&mut self, now: Time) -> Woke {
        match &mut self.state {
            State::Calling { give_up_at, .. } | State::Proceeding { give_up_at: Some(give_up_at) }
                if now >= *give_up_at =>
            {
                self.state = State::Terminated;
                Woke::TimedOut
            }
            State::Calling { resend: Some(resend), .. } if now >= resend.at => {
                resend.interval = self.timers.next_a(resend.interval);
                resend.at = now + resend.interval;
                Woke::Resend(self.request.as_bytes().clone())
            }
            State::Calling { .. } | State::Proceeding { .. } => Woke::Nothing,
            State::Completed { until, .. } | State::Accepted { until } if now < *until => Woke::Nothing,
            State::Completed { .. } | State::Accepted { .. } | State::Terminated => {
                self.state = State::Terminated;
                Woke::Over
            }
        }
    }
}
