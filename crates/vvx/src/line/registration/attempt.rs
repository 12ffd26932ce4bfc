//! One round: from server to server, from place to place, until somebody answers.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use net::tls::ClientTls;
use net::{Outbox, StreamId, Time};
use sip::Message;
use sip::timers::Timers;
use sip::transaction::{Client as Transaction, Woke};

use crate::line::locate::{Carrier, Locator, Target, Wants};
use crate::line::ports::Flow;
use crate::line::settings::Place;
use crate::resolver::{Answer, Lookup, QueryId};

use super::{DIAL_WITHIN, Line, News, Tools};

/// What a round is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be registered somewhere.
    Register,
    /// To keep the binding that there is; other servers come after.
    Refresh,
    /// To be back at the first server; the binding elsewhere stays if not.
    FailBack,
}

/// What is under way.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) purpose: Purpose,
    pub(super) server: usize,
    /// Servers that are tried after this one.
    left: usize,
    /// The place where a 3xx sent the line, in the server's stead.
    moved: Option<Place>,
    targets: VecDeque<Target>,
    /// The place that failed at a refresh: its server's other places come first, and it not again.
    avoid: Option<SocketAddr>,
    stage: Stage,
    pub(super) too_brief: u8,
    pub(super) moves: u8,
    /// The longest wait that a server of this round asked for.
    pub(super) asked: Option<Duration>,
}

#[derive(Debug)]
enum Stage {
    Locating(Locator, Option<QueryId>),
    Dialling(StreamId, Time),
    Asking(Box<Asking>),
    /// Between two.
    None,
}

#[derive(Debug)]
struct Asking {
    flow: Flow,
    transaction: Transaction,
    repeats: u32,
    is_alive: bool,
}

impl Attempt {
    pub(super) fn wake_at(&self) -> Option<Time> {
        match &self.stage {
            Stage::Locating(..) | Stage::None => None,
            Stage::Dialling(_, until) => Some(*until),
            Stage::Asking(asking) => asking.transaction.wake_at(),
        }
    }

    pub(super) fn waits_for(&self, id: QueryId) -> bool {
        matches!(&self.stage, Stage::Locating(_, Some(own)) if *own == id)
    }

    pub(super) fn stream(&self) -> Option<StreamId> {
        match &self.stage {
            Stage::Dialling(stream, _) => Some(*stream),
            Stage::Asking(asking) => asking.flow.stream,
            Stage::Locating(..) | Stage::None => None,
        }
    }

    pub(super) fn is_answered_by(&self, response: &Message) -> bool {
        matches!(&self.stage, Stage::Asking(asking) if asking.transaction.is_answered_by(response))
    }

    /// The way and the request that is out.
    pub(super) fn sent(&self) -> Option<(Flow, Message)> {
        match &self.stage {
            Stage::Asking(asking) => Some((asking.flow, asking.transaction.request().clone())),
            Stage::Locating(..) | Stage::Dialling(..) | Stage::None => None,
        }
    }

    /// The server gave a sign of life.
    pub(super) fn provisional(&mut self, now: Time, response: &Message) {
        if let Stage::Asking(asking) = &mut self.stage {
            asking.is_alive = true;
            asking.transaction.receive(now, response);
        }
    }
}

impl Line {
    /// Begins a round at `first`. One that looks for the first server alone asks nobody else.
    pub(super) fn round(
        &mut self,
        purpose: Purpose,
        first: usize,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<News> {
        let left = match purpose {
            Purpose::FailBack => 0,
            Purpose::Register | Purpose::Refresh => self.settings.servers.len().saturating_sub(1),
        };
        self.attempt = Some(Attempt::new(purpose, first, left));
        self.try_server(now, tools, out)
    }

    /// Refreshes the binding where it is.
    pub(super) fn refresh(
        &mut self,
        flow: Flow,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<News> {
        let server = self.binding.as_ref().map_or(0, |binding| binding.server);
        let left = self.settings.servers.len().saturating_sub(1);
        self.attempt = Some(Attempt::new(Purpose::Refresh, server, left));
        self.ask(flow, now, tools, out)
    }

    /// The server is looked up.
    pub(super) fn try_server(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) -> Vec<News> {
        let Some(attempt) = &mut self.attempt else { return Vec::new() };
        let Some(server) = self.settings.servers.get(attempt.server) else {
            self.attempt = None;
            return self.wait("no server is configured".to_owned(), None, now, tools);
        };
        if !server.registers {
            return self.server_failed("nothing is registered there".to_owned(), now, tools, out);
        }
        let place = attempt.moved.as_ref().or(self.settings.outbound.as_ref()).unwrap_or(&server.place);
        attempt.stage = Stage::Locating(Locator::new(place), None);
        self.located(None, now, tools, out)
    }

    /// Goes on with the search for places, with the answer that was waited for if there is one.
    pub(super) fn located(
        &mut self,
        mut answer: Option<Result<Answer, String>>,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<News> {
        let Some(attempt) = &mut self.attempt else { return Vec::new() };
        let Stage::Locating(locator, query) = &mut attempt.stage else { return Vec::new() };
        *query = None;
        loop {
            if let Some(answer) = answer.take() {
                locator.answered(answer);
            }
            match locator.wants() {
                Wants::Ask(question) => match tools.resolver.ask(question, now, tools.random, out) {
                    Lookup::Pending(id) => {
                        *query = Some(id);
                        return Vec::new();
                    }
                    Lookup::Done(result) => answer = Some(result.map_err(|why| why.to_string())),
                },
                Wants::Found(targets) => {
                    let avoid = attempt.avoid.take();
                    attempt.targets = targets.into_iter().filter(|target| Some(target.to) != avoid).collect();
                    return self.try_place(now, tools, out);
                }
                Wants::Nothing(why) => return self.server_failed(why, now, tools, out),
            }
        }
    }

    /// Tries the next place of the server.
    fn try_place(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) -> Vec<News> {
        let Some(attempt) = &mut self.attempt else { return Vec::new() };
        let Some(target) = attempt.targets.pop_front() else {
            return self.server_failed(self.why.clone(), now, tools, out);
        };
        let tls = match target.carrier {
            Carrier::Udp => {
                attempt.stage = Stage::None;
                return match tools.ports.udp(target.to) {
                    Some(flow) => self.ask(flow, now, tools, out),
                    None => self.server_failed("no address".to_owned(), now, tools, out),
                };
            }
            Carrier::Tcp => None,
            Carrier::Tls => Some(ClientTls {
                server_name: target.name.clone(),
                trust: tools.trust.clone(),
                clock: tools.clock,
                names: tools.names,
            }),
        };
        let stream = tools.ports.dial(&target, tls, now, out);
        attempt.stage = Stage::Dialling(stream, now + DIAL_WITHIN);
        Vec::new()
    }

    /// Sends a REGISTER on this way.
    pub(super) fn ask(
        &mut self,
        flow: Flow,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<News> {
        let Some((server, purpose)) = self.attempt.as_ref().map(|attempt| (attempt.server, attempt.purpose))
        else {
            return Vec::new();
        };
        let settings = &self.settings.servers[server];
        let expires_s = settings.expires_s.max(self.least_s);
        let timers = match settings.repeat_every {
            Some(every) => Timers { t1: every, t2: every, ..Timers::RFC3261 },
            None => Timers::RFC3261,
        };
        let Ok(message) = self.draft(server, &flow, expires_s, tools) else {
            // Only an address that breaks a header could do this.
            self.attempt = None;
            return self.wait("the line's address is no SIP address".to_owned(), None, now, tools);
        };
        let what = match purpose {
            Purpose::Register => "",
            Purpose::Refresh => "refresh",
            Purpose::FailBack => "fail back",
        };
        tools.ports.send(&flow, &message, what, out);
        let transaction = Transaction::new(message, flow.reliability(), timers, now);
        if let Some(attempt) = &mut self.attempt {
            attempt.stage =
                Stage::Asking(Box::new(Asking { flow, transaction, repeats: 0, is_alive: false }));
        }
        Vec::new()
    }

    /// Time has passed for what is under way.
    pub(super) fn attempt_woken(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) -> Vec<News> {
        let Some(attempt) = &mut self.attempt else { return Vec::new() };
        let most = self.settings.servers.get(attempt.server).map_or(3, |server| server.repeats);
        match &mut attempt.stage {
            Stage::Dialling(stream, until) if *until <= now => {
                tools.ports.hang_up(*stream, out);
                self.place_failed("no connection in time".to_owned(), now, tools, out)
            }
            Stage::Asking(asking) => match asking.transaction.wake(now) {
                // A server that said 100 is alive: it gets the time that RFC 3261 gives it.
                Woke::Resend(_) if asking.repeats >= most && !asking.is_alive => {
                    self.place_failed("the server does not answer".to_owned(), now, tools, out)
                }
                Woke::Resend(octets) => {
                    asking.repeats += 1;
                    let flow = asking.flow;
                    self.repeat(&flow, octets, tools, out);
                    Vec::new()
                }
                Woke::TimedOut | Woke::Over => {
                    self.place_failed("the server does not answer".to_owned(), now, tools, out)
                }
                Woke::Nothing => Vec::new(),
            },
            Stage::Dialling(..) | Stage::Locating(..) | Stage::None => Vec::new(),
        }
    }

    fn repeat(&self, flow: &Flow, octets: Bytes, tools: &mut Tools<'_>, out: &mut Outbox) {
        let text = format!("REGISTER again (cseq {})", self.cseq);
        out.note(net::Note::sent(flow.peer, text));
        tools.ports.send_octets(flow, octets, out);
    }

    /// This place does not serve: the next one is tried.
    pub(super) fn place_failed(
        &mut self,
        why: String,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<News> {
        self.why.clone_from(&why);
        let own = self.binding.as_ref().and_then(|binding| binding.flow.stream);
        if let Some(attempt) = &mut self.attempt {
            if let Some(stream) = attempt.stream()
                && Some(stream) != own
            {
                tools.ports.hang_up(stream, out);
            }
            let failed = std::mem::replace(&mut attempt.stage, Stage::None);
            if let (Purpose::Refresh, Stage::Asking(asking)) = (attempt.purpose, failed) {
                // The same server may be reached elsewhere.
                (attempt.purpose, attempt.avoid) = (Purpose::Register, Some(asking.flow.peer));
                return self.try_server(now, tools, out);
            }
        }
        self.try_place(now, tools, out)
    }

    /// This server does not serve: the next one is tried, or the line waits.
    pub(super) fn server_failed(
        &mut self,
        why: String,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<News> {
        self.why.clone_from(&why);
        let count = self.settings.servers.len();
        let Some(attempt) = &mut self.attempt else { return Vec::new() };
        if attempt.left == 0 {
            return self.round_failed(why, None, now, tools, out);
        }
        attempt.left -= 1;
        attempt.server = (attempt.server + 1) % count;
        attempt.moved = None;
        self.try_server(now, tools, out)
    }

    /// A 3xx sends the line to another place.
    pub(super) fn move_to(
        &mut self,
        place: Place,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<News> {
        if let Some(attempt) = &mut self.attempt {
            attempt.moved = Some(place);
            attempt.moves += 1;
        }
        self.try_server(now, tools, out)
    }
}

impl Attempt {
    fn new(purpose: Purpose, server: usize, left: usize) -> Attempt {
        Attempt {
            purpose,
            server,
            left,
            moved: None,
            targets: VecDeque::new(),
            avoid: None,
            stage: Stage::None,
            too_brief: 0,
            moves: 0,
            asked: None,
        }
    }
}
