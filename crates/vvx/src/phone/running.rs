//! A running phone: its network, who is signed in, and where the person in front of it stands.

use std::collections::BTreeMap;
use std::time::Duration;

use net::{Input, Outbox, Time};
use url::Url;

use crate::boot::{Booted, Network, NetworkEvent, Revisit, UcClient};
use crate::events;
use crate::fetch::{FetchId, FetchParts, Fetched};
use crate::flash::WriteId;
use crate::line::Lines;
use crate::line::observed::Observed;
use crate::lock::Lock;
use crate::notify::Notifier;
use crate::registration::Registration;
use crate::registration::policy::Policy;
use crate::resolver::{Answer, QueryId, Resolved};
use crate::sign_in::Method;
use crate::sign_in::SignIn;
use crate::sign_in::ask::Ask;
use crate::sign_in::discover::Hints;
use crate::sign_in::web_code::Shown;
use crate::syslog::Syslog;
use crate::web_server::WebServer;
use crate::web_server::push::Message;

use super::account::{self, Account};
use super::calling::Telephone;
use super::lines::{Before, Plain};
use super::powered::Parts;
use super::view::{LockReason, PhoneState, View};

/// How many warnings the list holds.
const WARNINGS_MAX: usize = 8;
/// How long a phone that could not renew its certificate waits before it tries again, at first and at most.
const RENEW_AGAIN: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(15 * 60));

/// Which of the two HTTP clients a request runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// The one that believes built-in roots only.
    BuiltIn,
    /// The one that believes the pool's root too.
    Pool,
}

/// Who waits for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForWhom {
    /// The registration, for an address.
    Registration,
    /// The sign-in, for services.
    SignIn,
}

/// What is done once a batch is safe in flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnceKept {
    /// The certificate is safe.
    Certificate,
    /// The lock code is safe.
    LockCode(LockReason),
}

/// How far the tail of a sign-in has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// There is none: nobody is signed in, or everything is done.
    None,
    /// Waits for the registration.
    Registration,
    /// Waits for the pool's policy.
    Policy,
    /// Waits for a lock code.
    LockCode,
}

/// A running phone.
#[derive(Debug)]
pub struct Running {
    pub(super) network: Network,
    pub(super) uc_client: Option<UcClient>,
    pub(super) is_online: bool,
    pub(super) view: View,
    pub(super) sign_in: Option<SignIn>,
    /// The request that the sign-in waits for.
    pub(super) request: Option<(Via, FetchId, Ask)>,
    pub(super) lookups: BTreeMap<QueryId, ForWhom>,
    /// Lookups that the cache answered at once.
    pub(super) known: Vec<(ForWhom, Result<Answer, String>)>,
    pub(super) registration: Option<Registration>,
    pub(super) account: Option<Account>,
    pub(super) tail: Tail,
    /// Whether a person started this sign-in, as opposed to the phone coming back by itself.
    pub(super) is_by_hand: bool,
    pub(super) has_been_lost: bool,
    pub(super) policy: Policy,
    pub(super) lock: Lock,
    pub(super) warnings: Vec<(&'static str, String)>,
    pub(super) kept: Vec<(WriteId, OnceKept)>,
    pub(super) renew_at: Option<Time>,
    pub(super) renew_wait: Duration,
    /// Whether the certificate was renewed because the pool refused it; it is tried once.
    pub(super) was_renewed_for_refusal: bool,
    /// Whether the certificate under way is only to replace one that is still good.
    pub(super) is_early_renewal: bool,
    /// Whether the user passed the password in front of the advanced settings.
    pub(super) is_admin: bool,
    pub(super) telephone: Telephone,
    pub(super) web: WebServer,
    pub(super) notifier: Notifier,
    /// Notifications under way.
    pub(super) posts: Vec<FetchId>,
    /// A message that lies over everything else on the display.
    pub(super) message: Option<Message>,
    pub(super) lines: Lines,
    pub(super) observed: Observed,
    pub(super) plain: Plain,
    pub(super) syslog: Syslog,
    /// Settings are being fetched again; what they were before.
    pub(super) revisit: Option<(Revisit, Before)>,
}

impl Running {
    /// The phone has booted: Home, or back to where it was.
    pub fn start(booted: Booted, now: Time, parts: &mut Parts, out: &mut Outbox) -> Running {
        let mut running = Running {
            network: booted.network,
            uc_client: booted.uc_client,
            is_online: true,
            view: View::Home,
            sign_in: None,
            request: None,
            lookups: BTreeMap::new(),
            known: Vec::new(),
            registration: None,
            // Whoever is signed in to a pool sleeps in flash while the profile is another.
            account: Account::read(&parts.flash).filter(|_| !parts.config.is_generic()),
            tail: Tail::None,
            is_by_hand: false,
            has_been_lost: false,
            policy: account::policy(&parts.flash),
            lock: Lock::restored(account::lock_code(&parts.flash), account::wrong_codes(&parts.flash), now),
            warnings: Vec::new(),
            kept: Vec::new(),
            renew_at: None,
            renew_wait: RENEW_AGAIN.0,
            was_renewed_for_refusal: false,
            is_early_renewal: false,
            is_admin: false,
            telephone: Telephone::new(),
            web: WebServer::default(),
            notifier: Notifier::default(),
            posts: Vec::new(),
            message: None,
            lines: Lines::new(),
            observed: Observed::default(),
            plain: Plain::new(parts),
            syslog: Syslog::default(),
            revisit: None,
        };
        parts.log.configure(&parts.config);
        running.syslog.configure(&parts.config, out);
        running.listen_for_web(parts, out);
        if !parts.clock.is_synced() {
            running.warn("clock", "The time is not set.".to_owned());
        }
        if running.account.is_some() {
            running.come_back(now, parts, out);
        }
        running.start_lines(now, parts, out);
        running.settle(now, parts, out);
        running.notify(now, parts, out);
        running
    }

    /// Something happened.
    pub fn handle(&mut self, now: Time, input: &Input, parts: &mut Parts, out: &mut Outbox) {
        // Sound comes fifty times a second, and is nobody else's.
        if self.call_sound(now, input, parts, out) {
            return;
        }
        let resolved = parts.resolver.handle(now, input, &mut parts.random, out);
        let (fetched, others) = self.fetched(now, input, &resolved, parts, out);
        let found = self.network.handle(now, input, &resolved, &mut parts.boot(), out);
        for event in found {
            self.network_event(&event, now, parts, out);
        }
        self.lines_handle(now, input, &resolved, parts, out);
        self.with_syslog(parts, |syslog, tools| syslog.handle(now, input, &resolved, tools, out));
        self.posts.retain(|post| !others.iter().any(|fetched| fetched.id == *post));
        self.revisit(now, others, parts, out);
        for resolved in resolved {
            if let Some(whom) = self.lookups.remove(&resolved.id) {
                self.known.push((whom, resolved.result.map_err(|why| why.to_string())));
            }
        }
        if let Some((ask, fetched)) = fetched {
            self.answered(&ask, fetched, now, parts, out);
        }
        if let Input::Stream(stream, event) = input
            && self.registration.as_ref().is_some_and(|registration| registration.owns(*stream))
        {
            self.registration_stream(event.clone(), now, parts, out);
        }
        self.timers(now, parts, out);
        self.settle(now, parts, out);
        self.serve(now, input, parts, out);
        self.notify(now, parts, out);
        if std::mem::take(&mut parts.has_new_settings) {
            self.configured(now, parts, out);
        }
    }

    /// The answer to the request that the sign-in waits for, if it came, and those to other requests.
    fn fetched(
        &mut self,
        now: Time,
        input: &Input,
        resolved: &[Resolved],
        parts: &mut Parts,
        out: &mut Outbox,
    ) -> (Option<(Ask, Fetched)>, Vec<Fetched>) {
        let names = parts.names();
        let clock = parts.clock.wall();
        let Parts { resolver, random, built_in, pool_trust, fetcher, pool_fetcher, .. } = parts;
        let (mut mine, mut others) = (None, Vec::new());
        let both = [(Via::BuiltIn, fetcher, &*built_in), (Via::Pool, pool_fetcher, &*pool_trust)];
        for (via, fetcher, trust) in both {
            let mut parts = FetchParts { resolver, random, clock, trust, names };
            for fetched in fetcher.handle(now, input, resolved, &mut parts, out) {
                let is_mine =
                    self.request.as_ref().is_some_and(|(on, id, _)| (*on, *id) == (via, fetched.id));
                if is_mine && let Some((_, _, ask)) = self.request.take() {
                    mine = Some((ask, fetched));
                } else if via == Via::BuiltIn {
                    others.push(fetched);
                }
            }
        }
        (mine, others)
    }

    fn network_event(&mut self, event: &NetworkEvent, now: Time, parts: &mut Parts, out: &mut Outbox) {
        match event {
            NetworkEvent::AddressLost => {
                self.is_online = false;
                self.warn("network", "No network address.".to_owned());
                self.registration_network_lost(now, parts, out);
                self.stop_lines(now, parts, out);
            }
            NetworkEvent::AddressTaken(_) => {
                self.is_online = true;
                self.unwarn("network");
                self.reconnect(now, parts, out);
                self.start_lines(now, parts, out);
            }
            NetworkEvent::ClockFailed => self.warn("clock", "No time server answers.".to_owned()),
            NetworkEvent::ClockSet => {
                self.unwarn("clock");
                parts.log.follow(&parts.clock);
                // Everything that failed for want of a date may work now.
                self.reconnect(now, parts, out);
                let said = self.with_lines(parts, |lines, setting| lines.try_again(now, setting, out));
                self.lines_said(said, now, parts, out);
            }
        }
    }

    fn timers(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let is_due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if is_due(self.sign_in.as_ref().and_then(SignIn::wake_at)) {
            let wants = self.sign_in.as_mut().map(|sign_in| sign_in.woken(now)).unwrap_or_default();
            self.want(wants, now, parts, out);
        }
        if is_due(self.registration.as_ref().and_then(Registration::wake_at)) {
            self.registration_woken(now, parts, out);
        }
        self.calls_woken(now, parts, out);
        if is_due(self.renew_at) {
            self.renew_at = None;
            self.renew(now, parts, out);
        }
        if is_due(self.view.until()) {
            self.view_passed(now, parts, out);
        }
        if is_due(self.idle_at()) {
            self.lock_now("nobody touched it", parts, out);
        }
    }

    /// What can be done at once is done: names from the cache, writes that are safe.
    pub(super) fn settle(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        // Each round either takes something away or ends; what is added is bounded by the machines' own limits.
        for _ in 0..32 {
            if let Some((whom, result)) = self.known.pop() {
                self.looked_up(whom, result, now, parts, out);
                continue;
            }
            let safe = parts.safe;
            let Some(place) = self.kept.iter().position(|(write, _)| Some(*write) <= safe) else {
                return;
            };
            let (_, then) = self.kept.remove(place);
            self.once_kept(then, now, parts, out);
        }
    }

    /// When it wants to be woken.
    pub fn wake_at(&self, parts: &Parts) -> Option<Time> {
        [
            self.network.wake_at(),
            parts.resolver.wake_at(),
            parts.fetcher.wake_at(),
            parts.pool_fetcher.wake_at(),
            self.sign_in.as_ref().and_then(SignIn::wake_at),
            self.registration.as_ref().and_then(Registration::wake_at),
            self.lines.wake_at(),
            self.plain.wake_at(),
            self.syslog.wake_at(),
            self.revisit.as_ref().and_then(|(revisit, _)| revisit.wake_at()),
            self.renew_at,
            self.view.until(),
            self.idle_at(),
            self.web.wake_at(),
            self.telephone.calls.wake_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn idle_at(&self) -> Option<Time> {
        self.lock.idle_at(&self.policy)
    }

    /// Somebody touched the phone.
    pub fn touched(&mut self, now: Time) {
        self.lock.touch(now);
    }

    /// Closes every stream.
    pub fn hang_up(&mut self, parts: &mut Parts, out: &mut Outbox) {
        self.cancel_request(Time::ZERO, parts, out);
        self.drop_calls(Time::ZERO, parts, out);
        if let Some(registration) = &mut self.registration {
            registration.hang_up(out);
        }
        self.web.hang_up(out);
        self.with_lines(parts, |lines, setting| lines.stop(setting, out));
        self.syslog.hang_up(out);
    }

    /// What the phone is, in one word.
    pub fn state(&self) -> PhoneState {
        if self.plain.is_generic {
            return self.lines_state();
        }
        if self.account.is_none() {
            // A code that has expired is kept for *Retry* only.
            let is_under_way = self.sign_in.is_some() && !matches!(self.view, View::WebCodeExpired);
            return if is_under_way { PhoneState::SigningIn } else { PhoneState::SignedOut };
        }
        let is_registered = self.registration.as_ref().is_some_and(Registration::is_registered);
        match self.tail {
            // A phone that comes back shows its lock at once, but is signed in only when the pool says so.
            Tail::None if is_registered && !self.has_been_lost && self.lock.is_locked() => PhoneState::Locked,
            Tail::None if is_registered && !self.has_been_lost => PhoneState::SignedIn,
            Tail::None => PhoneState::RegistrationLost,
            Tail::Registration if self.has_been_lost => PhoneState::RegistrationLost,
            Tail::Registration | Tail::Policy | Tail::LockCode => PhoneState::SigningIn,
        }
    }

    /// Whose phone it is.
    pub fn account_address(&self) -> Option<&str> {
        let signing = self.sign_in.as_ref().map(SignIn::address).filter(|address| !address.is_empty());
        let own = self.account.as_ref().map(|account| account.address.as_str());
        own.or(signing).or(self.plain.address())
    }

    /// The code on the display.
    pub fn shown(&self) -> Option<&Shown> {
        matches!(self.view, View::WebCode).then(|| self.sign_in.as_ref()?.shown()).flatten()
    }

    /// The page that goes with it.
    pub fn page<'a>(&'a self, parts: &'a Parts) -> Option<&'a str> {
        let shown = self.shown()?;
        match self.sign_in.as_ref()?.method() {
            Method::CommonArea => Some(&parts.setup.portal_page),
            Method::Web | Method::UserId => Some(&shown.page),
        }
    }

    /// Puts something on the list of warnings, once for each cause.
    pub(super) fn warn(&mut self, cause: &'static str, text: String) {
        self.unwarn(cause);
        self.warnings.push((cause, text));
        if self.warnings.len() > WARNINGS_MAX {
            self.warnings.remove(0);
        }
    }

    /// Takes a warning off the list.
    pub(super) fn unwarn(&mut self, cause: &str) {
        self.warnings.retain(|(known, _)| *known != cause);
    }

    /// What DHCP said, as the search for the pool wants it.
    pub(super) fn hints(&self) -> Hints {
        let uc_client = self.uc_client.as_ref();
        Hints {
            registrar: uc_client.and_then(|uc_client| uc_client.registrar.clone()),
            certificate_service: uc_client
                .and_then(|uc_client| uc_client.sts_url.as_deref())
                .and_then(|url| Url::parse(url).ok())
                .filter(|url| url.scheme() == "https"),
        }
    }

    /// The phone locks.
    pub(super) fn lock_now(&mut self, why: &str, parts: &mut Parts, out: &mut Outbox) {
        if self.lock.lock() {
            self.view = View::Locked;
            let of = self.account_address().unwrap_or_default().to_owned();
            parts.event(events::LOCKED, &of, why, out);
        }
    }

    /// A later and later moment for the next renewal.
    pub(super) fn renew_later(&mut self, now: Time) {
        self.renew_at = Some(now + self.renew_wait);
        self.renew_wait = (self.renew_wait * 2).min(RENEW_AGAIN.1);
    }

    /// As the next renewal begins anew.
    pub(super) fn renew_patience_again(&mut self) {
        self.renew_wait = RENEW_AGAIN.0;
    }
}
