//! What phones do, whatever carries their messages: each piece of work from the moment it is due to its one end.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::{Contacts, Message};

use super::book::Book;
use super::phone::{Job, NEVER, Phone};
use super::proof::Proof;
use super::text::{self, Request, Words};
use super::wheel::Wheel;
use crate::arrival::Arrival;
use crate::beat::{Cause, Kind};
use crate::plan::{KeepAliveBy, Part, Plan, Work};

/// Timers T1 and T2 of RFC 3261 §17.1.1.1.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

/// Timer F: how long a request may go without a final answer (RFC 3261 §17.1.2.2).
const TIMER_F: Duration = Duration::from_secs(32);

/// How often in one piece of work a nonce may turn out stale before the server is taken for broken.
const STALE_MAX: u8 = 3;

/// How many idle phones are looked at for one that may do the work that is due.
const LOOKED_AT_MAX: usize = 64;

/// What carries a fleet's messages.
pub trait Carrier {
    /// Whether what is sent arrives or the connection breaks: nothing is sent twice.
    const IS_RELIABLE: bool;

    /// Whether a phone can send now.
    fn is_up(&self, phone: u32) -> bool;

    /// Opens a phone's way to the server; it will be told when it is up, or why not.
    ///
    /// # Errors
    ///
    /// Says why it cannot be tried.
    fn open(&mut self, phone: u32, now: Duration) -> Result<(), Cause>;

    /// Sends a message that `write` writes.
    fn send(&mut self, phone: u32, now: Duration, write: impl FnOnce(&mut Vec<u8>));

    /// Where a phone is, as its messages say.
    fn own(&self, phone: u32) -> SocketAddr;

    /// Closes a phone's way, and says whether it was up.
    fn close(&mut self, phone: u32) -> bool;
}

/// Room that is used for one message after the other.
#[derive(Debug, Default)]
struct Scratch {
    user: Vec<u8>,
    password: Vec<u8>,
    cnonce: Vec<u8>,
    credentials: String,
}

/// One part's phones.
#[derive(Debug)]
pub struct Core {
    plan: Arc<Plan>,
    part: Part,
    words: Words,
    uri: String,
    phones: Vec<Phone>,
    idle: VecDeque<u32>,
    wheel: Wheel,
    woken: Vec<u32>,
    scratch: Scratch,
    /// What happened.
    pub book: Book,
    /// No new work from then on.
    pub ends_at: Duration,
}

impl Core {
    /// Phones that have not begun.
    pub fn new(plan: Arc<Plan>, part: Part, words: Words, book: Book) -> Core {
        let count = part.share(u64::from(plan.phones.count)) as u32;
        Core {
            uri: words.uri(),
            words,
            phones: (0..count).map(|_| Phone::new()).collect(),
            idle: (0..count).collect(),
            wheel: Wheel::new(),
            woken: Vec::new(),
            scratch: Scratch::default(),
            book,
            ends_at: NEVER,
            plan,
            part,
        }
    }

    /// How many phones there are.
    pub fn len(&self) -> u32 {
        self.phones.len() as u32
    }

    fn number(&self, phone: u32) -> u64 {
        u64::from(phone) * u64::from(self.part.of) + u64::from(self.part.index)
    }

    /// Whether what falls due then belongs to the warm-up.
    pub fn is_warm(&self, due: Duration) -> bool {
        due < self.plan.warm_up
    }

    /// Work has fallen due; `of_phone` is the one that must do it, if it may not be another.
    pub fn due<C: Carrier>(
        &mut self,
        arrival: Arrival,
        due: Duration,
        of_phone: Option<u32>,
        now: Duration,
        carrier: &mut C,
    ) {
        let is_warm = self.is_warm(due);
        self.book.offered(is_warm, now.saturating_sub(due));
        let work = match of_phone {
            Some(_) => &Work::Register { forget_challenge: false, close: false },
            None => self.plan.work_at(arrival.number),
        };
        let (needs_binding, wanted) = match work {
            Work::Register { .. } => (false, None),
            Work::Unregister => (true, Some(Kind::Unregister)),
            Work::KeepAlive => (true, Some(Kind::KeepAlive)),
            // These are for complete phones, and whoever starts an engine has looked.
            Work::Call { .. } | Work::SignIn => return self.book.counts(is_warm).fail(Cause::NO_IDLE_PHONE),
        };
        let (forgets, closes) = match work {
            Work::Register { forget_challenge, close } => (*forget_challenge, *close),
            _ => (false, false),
        };
        let phone = match of_phone {
            Some(phone) => self.phones[phone as usize].job.is_none().then_some(phone),
            None => self.next_idle(needs_binding, now),
        };
        let Some(phone) = phone else { return self.book.counts(is_warm).fail(Cause::NO_IDLE_PHONE) };
        let one = &mut self.phones[phone as usize];
        if forgets {
            one.proof = None;
        }
        let kind = wanted.unwrap_or(if one.is_bound(now) { Kind::Refresh } else { Kind::Register });
        self.begin(phone, (kind, closes), due, now, carrier);
    }

    /// The idle phone whose turn it is.
    fn next_idle(&mut self, needs_binding: bool, now: Duration) -> Option<u32> {
        for _ in 0..LOOKED_AT_MAX {
            let phone = self.idle.pop_front()?;
            let one = &mut self.phones[phone as usize];
            if one.job.is_some() {
                one.is_queued = false;
            } else if needs_binding && !one.is_bound(now) {
                self.idle.push_back(phone);
            } else {
                one.is_queued = false;
                return Some(phone);
            }
        }
        None
    }

    fn begin<C: Carrier>(
        &mut self,
        phone: u32,
        (kind, closes): (Kind, bool),
        due: Duration,
        now: Duration,
        carrier: &mut C,
    ) {
        let is_warm = self.is_warm(due);
        self.book.gauges.in_flight += 1;
        let until = now + TIMER_F;
        let job = Job {
            kind,
            is_warm,
            closes,
            due,
            resend_at: NEVER,
            interval: T1,
            until,
            proofs: 0,
            is_sent: false,
        };
        self.phones[phone as usize].job = Some(job);
        if carrier.is_up(phone) {
            self.ask(phone, now, carrier);
        } else {
            match carrier.open(phone, now) {
                Ok(()) if carrier.is_up(phone) => self.ask(phone, now, carrier),
                Ok(()) => self.arm(phone),
                Err(cause) => self.fail(phone, cause),
            }
        }
    }

    /// Sends a phone's next request.
    fn ask<C: Carrier>(&mut self, phone: u32, now: Duration, carrier: &mut C) {
        let one = &mut self.phones[phone as usize];
        let Some(job) = &mut one.job else { return };
        one.cseq += 1;
        one.transaction = one.transaction.wrapping_add(1);
        if let Some(proof) = &mut one.proof {
            proof.count_up();
        }
        job.is_sent = true;
        job.interval = T1;
        job.until = now + TIMER_F;
        job.resend_at = if C::IS_RELIABLE { NEVER } else { now + T1 };
        self.say(phone, now, carrier);
        self.arm(phone);
    }

    /// Sends what a phone's job is at, for the first time or again: the same octets each time.
    fn say<C: Carrier>(&mut self, phone: u32, now: Duration, carrier: &mut C) {
        let number = self.number(phone);
        let one = &self.phones[phone as usize];
        let Some(job) = &one.job else { return };
        let by_crlf = job.kind == Kind::KeepAlive && self.keep_alive_by() == KeepAliveBy::Crlf;
        self.book.counts(job.is_warm).sent += 1;
        if by_crlf {
            carrier.send(phone, now, |out| out.extend_from_slice(b"\r\n\r\n"));
            if !C::IS_RELIABLE {
                // Over UDP nobody answers line ends: they keep a mapping open, and that is done.
                self.done(phone, now, carrier);
            }
            return;
        }
        let method = if job.kind == Kind::KeepAlive { "OPTIONS" } else { "REGISTER" };
        self.scratch.credentials.clear();
        if let Some(proof) = &one.proof {
            let Scratch { user, password, cnonce, credentials } = &mut self.scratch;
            if self.words.login(number, user, password) {
                cnonce.clear();
                text::hexadecimal(number << 32 | u64::from(one.transaction), cnonce);
                let [user, password, cnonce] =
                    [user, password, cnonce].map(|it| std::str::from_utf8(it).unwrap_or_default());
                proof.write((user, password), method, &self.uri, cnonce, credentials);
            }
        }
        let request = Request {
            method,
            phone: number,
            own: carrier.own(phone),
            cseq: one.cseq,
            transaction: one.transaction,
            ends: job.kind == Kind::Unregister,
            credentials: &self.scratch.credentials,
        };
        let words = &self.words;
        carrier.send(phone, now, |out| words.write(&request, out));
    }

    fn keep_alive_by(&self) -> KeepAliveBy {
        self.plan.phones.keep_alive.map_or(KeepAliveBy::Options, |it| it.by)
    }

    /// Sees to it that a phone is woken when it wants to be.
    fn arm(&mut self, phone: u32) {
        let one = &mut self.phones[phone as usize];
        let next = one.next();
        if next < one.wake_at {
            one.wake_at = self.wheel.set(phone, next);
        }
    }

    /// Wakes those whose time has come.
    pub fn wake<C: Carrier>(&mut self, now: Duration, carrier: &mut C) {
        let mut woken = std::mem::take(&mut self.woken);
        self.wheel.take(now, &mut woken);
        for phone in woken.drain(..) {
            let one = &mut self.phones[phone as usize];
            if now < one.wake_at {
                continue;
            }
            one.wake_at = NEVER;
            self.woken(phone, now, carrier);
            self.arm(phone);
        }
        self.woken = woken;
    }

    /// When somebody may want to be woken.
    pub fn next(&self) -> Option<Duration> {
        self.wheel.next()
    }

    fn woken<C: Carrier>(&mut self, phone: u32, now: Duration, carrier: &mut C) {
        let one = &mut self.phones[phone as usize];
        if let Some(job) = &mut one.job {
            if now >= job.until {
                let cause = if job.is_sent { Cause::NO_ANSWER } else { Cause::CONNECT_TIMEOUT };
                if C::IS_RELIABLE {
                    self.book.gauges.connected -= u64::from(carrier.close(phone));
                    self.unbind(phone);
                }
                return self.fail(phone, cause);
            }
            if now >= job.resend_at {
                job.interval = (job.interval * 2).min(T2);
                job.resend_at = now + job.interval;
                let is_warm = job.is_warm;
                self.book.counts(is_warm).retransmissions += 1;
                self.say(phone, now, carrier);
            }
            return;
        }
        if !one.bound_until.is_zero() && now >= one.bound_until {
            one.bound_until = Duration::ZERO;
            self.book.gauges.registered -= 1;
        }
        if now >= self.ends_at {
            (one.refresh_at, one.alive_at) = (NEVER, NEVER);
            return;
        }
        // Whichever is due comes first; the other waits until the phone is idle again.
        let (kind, due) = match () {
            () if now >= one.refresh_at => (Kind::Refresh, one.refresh_at),
            () if now >= one.alive_at => (Kind::KeepAlive, one.alive_at),
            () => return,
        };
        match kind {
            Kind::Refresh => one.refresh_at = NEVER,
            _ => one.alive_at = self.plan.phones.keep_alive.map_or(NEVER, |it| now + it.every),
        }
        // A timer is as exact as a tick of the wheel; the work is due at the tick.
        let due = due.max(now.saturating_sub(super::wheel::TICK));
        let is_warm = self.is_warm(due);
        self.book.offered(is_warm, now.saturating_sub(due));
        self.begin(phone, (kind, false), due, now, carrier);
    }

    /// A phone's way to the server is up.
    pub fn up<C: Carrier>(&mut self, phone: u32, now: Duration, carrier: &mut C) {
        self.book.gauges.connected += 1;
        if self.phones[phone as usize].job.as_ref().is_some_and(|job| !job.is_sent) {
            self.ask(phone, now, carrier);
        }
    }

    /// A phone's way to the server is gone, or did not come about; whether it was up.
    pub fn lost(&mut self, phone: u32, was_up: bool, cause: Cause) {
        if was_up {
            self.book.gauges.connected -= 1;
        }
        self.unbind(phone);
        if self.phones[phone as usize].job.is_some() {
            self.fail(phone, cause);
        }
    }

    /// Nobody reaches a phone over a connection that is gone.
    fn unbind(&mut self, phone: u32) {
        let one = &mut self.phones[phone as usize];
        if !one.bound_until.is_zero() {
            one.bound_until = Duration::ZERO;
            self.book.gauges.registered -= 1;
        }
    }

    /// Octets of a message came, for whichever phone they are. `over` is the phone whose connection they came over.
    pub fn heard<C: Carrier>(&mut self, octets: Bytes, over: Option<u32>, now: Duration, carrier: &mut C) {
        let Ok(answer) = Message::parse(octets) else {
            let is_warm = self.is_warm(now);
            self.book.counts(is_warm).strays += 1;
            if let Some(phone) = over
                && self.phones[phone as usize].job.is_some_and(|job| job.is_sent)
            {
                self.fail(phone, Cause::UNREADABLE);
            }
            return;
        };
        let Some((phone, status)) = self.whose(&answer) else {
            let is_warm = self.is_warm(now);
            let counts = self.book.counts(is_warm);
            counts.received += 1;
            counts.strays += 1;
            return;
        };
        let one = &mut self.phones[phone as usize];
        let Some(job) = &mut one.job else { return };
        self.book.counts(job.is_warm).received += 1;
        match status {
            100..=199 => {
                // Proceeding: repeats go on at T2 (RFC 3261 §17.1.2.2).
                if !C::IS_RELIABLE {
                    job.interval = T2;
                    job.resend_at = now + T2;
                }
            }
            200..=299 => self.granted(phone, &answer, now, carrier),
            401 | 407 => self.challenged(phone, &answer, now, carrier),
            _ if job.kind == Kind::KeepAlive => self.done(phone, now, carrier),
            _ => self.fail(phone, Cause::status(status)),
        }
        self.arm(phone);
    }

    /// A line end came over a phone's connection: the answer to a sign of life (RFC 5626 §4.4.1).
    pub fn pong<C: Carrier>(&mut self, phone: u32, now: Duration, carrier: &mut C) {
        let job = self.phones[phone as usize].job;
        if job.is_some_and(|job| job.kind == Kind::KeepAlive) && self.keep_alive_by() == KeepAliveBy::Crlf {
            self.done(phone, now, carrier);
        }
    }

    /// Whose open request an answer is to.
    fn whose(&self, answer: &Message) -> Option<(u32, u16)> {
        let status = answer.status()?;
        let (number, transaction) = text::read_branch(answer.via().branch()?)?;
        if !self.part.has(number) {
            return None;
        }
        let phone = u32::try_from(number / u64::from(self.part.of)).ok()?;
        let one = self.phones.get(phone as usize)?;
        let job = one.job.as_ref()?;
        let is_open = job.is_sent && one.transaction == transaction && answer.cseq().number == one.cseq;
        is_open.then_some((phone, status))
    }

    fn challenged<C: Carrier>(&mut self, phone: u32, answer: &Message, now: Duration, carrier: &mut C) {
        let has_password = self.words.has_password(self.number(phone));
        let one = &mut self.phones[phone as usize];
        let Some(job) = &mut one.job else { return };
        let proof = Proof::asked_by(answer).filter(|_| has_password);
        let Some(proof) = proof else { return self.fail(phone, Cause::UNANSWERABLE) };
        // A nonce that was kept from an earlier request may have been forgotten, whatever the server calls that.
        let had_old_nonce = job.proofs == 0 && one.proof.is_some();
        let may_go_on = job.proofs == 0 || (proof.is_stale() && job.proofs < STALE_MAX);
        if !(may_go_on || had_old_nonce) {
            one.proof = None;
            return self.fail(phone, Cause::CHALLENGED_AGAIN);
        }
        job.proofs += 1;
        self.book.counts(job.is_warm).challenges += 1;
        one.proof = Some(Box::new(proof));
        self.ask(phone, now, carrier);
    }

    fn granted<C: Carrier>(&mut self, phone: u32, answer: &Message, now: Duration, carrier: &mut C) {
        let own = carrier.own(phone);
        let one = &mut self.phones[phone as usize];
        let Some(job) = one.job else { return };
        let was_bound = !one.bound_until.is_zero();
        match job.kind {
            Kind::Register | Kind::Refresh => {
                let granted = lifetime(answer, own).unwrap_or(self.plan.phones.expires);
                one.bound_until = now + granted;
                one.refresh_at = self.plan.phones.refresh.map_or(NEVER, |share| now + granted.mul_f64(share));
                if let Some(alive) = self.plan.phones.keep_alive
                    && one.alive_at == NEVER
                {
                    // Spread over the first interval: phones that were switched on together would speak together for ever.
                    let spread = super::spread(self.part, phone);
                    one.alive_at = now + alive.every.mul_f64(1.0 - spread / 2.0);
                }
                self.book.gauges.registered += u64::from(!was_bound);
            }
            Kind::Unregister => {
                one.bound_until = Duration::ZERO;
                (one.refresh_at, one.alive_at) = (NEVER, NEVER);
                self.book.gauges.registered -= u64::from(was_bound);
            }
            Kind::KeepAlive | Kind::Call | Kind::SignIn => {}
        }
        self.done(phone, now, carrier);
    }

    fn done<C: Carrier>(&mut self, phone: u32, now: Duration, carrier: &mut C) {
        if let Some(job) = self.rest(phone) {
            self.book.succeeded(job.is_warm, job.kind, now.saturating_sub(job.due));
            if job.closes && C::IS_RELIABLE {
                self.book.gauges.connected -= u64::from(carrier.close(phone));
                self.unbind(phone);
            }
        }
    }

    fn fail(&mut self, phone: u32, cause: Cause) {
        if let Some(job) = self.rest(phone) {
            self.book.failed(job.is_warm, cause);
            let one = &mut self.phones[phone as usize];
            // A refresh that failed is tried again after a while, as phones do; otherwise it would be tried never.
            if job.kind == Kind::Refresh && one.refresh_at == NEVER && self.plan.phones.refresh.is_some() {
                one.refresh_at = job.due + TIMER_F * 2;
            }
        }
    }

    /// A phone has ended its work: it is idle.
    fn rest(&mut self, phone: u32) -> Option<Job> {
        let one = &mut self.phones[phone as usize];
        let job = one.job.take()?;
        if !one.is_queued {
            one.is_queued = true;
            self.idle.push_back(phone);
        }
        self.arm(phone);
        Some(job)
    }

    /// The run is over before a piece of work was begun that had been due.
    pub fn never_begun(&mut self, due: Duration) {
        let is_warm = self.is_warm(due);
        self.book.never_begun(is_warm);
    }

    /// The run is over: what is under way stays open.
    pub fn leave_open(&mut self) {
        for phone in 0..self.len() {
            if let Some(job) = self.phones[phone as usize].job.take() {
                self.book.unfinished(job.is_warm);
            }
        }
    }
}

/// How long a binding was granted: what our own Contact says, or the only one, else the Expires header.
fn lifetime(answer: &Message, own: SocketAddr) -> Option<Duration> {
    let contacts = match answer.contacts() {
        Ok(Contacts::List(list)) => list,
        _ => Vec::new(),
    };
    let is_own = |uri: &sip::Uri<'_>| uri.host_ip() == Some(own.ip()) && uri.port == Some(own.port());
    let ours = match &contacts[..] {
        [only] => Some(only),
        several => several.iter().find(|contact| is_own(&contact.uri)),
    };
    let seconds = ours.and_then(|contact| contact.params.get("expires")?.parse::<u32>().ok());
    seconds.or_else(|| answer.expires()).map(|seconds| Duration::from_secs(u64::from(seconds)))
}
