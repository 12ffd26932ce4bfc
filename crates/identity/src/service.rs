//! Everything the service knows, and the context of one request.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use http::request;
use net::http::{HeaderMap, header};
use net::{Note, Outbox, Random, Time, Wall};

use crate::device_code::{Codes, Rules};
use crate::errors::{Fault, Trace};
use crate::events;
use crate::form::Form;
use crate::people::{Oid, People, Record};
use crate::policy::Policies;
use crate::refresh::Tokens;
use crate::sessions::{COOKIE, Cookie, Sessions};
use crate::setup::{Application, Setup};
use crate::store::{Change, Store};
use crate::throttle::Throttle;

/// A family of addresses of the service, for answers that a story ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Where devices ask for codes.
    DeviceCode,
    /// Where tokens are bought.
    Token,
    /// The sign-in pages.
    Pages,
    /// Discovery documents and keys.
    Metadata,
    /// The common-area portal.
    Portal,
}

/// What a story orders instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// This HTTP status and a plain text.
    Status(u16),
    /// This error number, as JSON or as a page.
    Error(u32),
    /// No answer: the connection closes.
    Hangup,
}

/// The state behind the pages and endpoints.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) setup: Setup,
    pub(crate) policies: Policies,
    pub(crate) people: People,
    pub(crate) codes: Codes,
    pub(crate) sessions: Sessions,
    pub(crate) tokens: Tokens,
    pub(crate) store: Store,
    pub(crate) rolls: u32,
    pub(crate) random: Random,
    pub(crate) orders: VecDeque<(Endpoint, u32, Ordered)>,
    pub(crate) token_requests: Throttle,
    pub(crate) code_requests: Throttle,
    pub(crate) wrong_codes: Throttle,
    /// Of everybody together: a counter of its own, which no flood of addresses can push out.
    pub(crate) wrong_codes_in_all: Throttle,
    /// Accounts that differ from the setup; only they are written down.
    changed: BTreeSet<Oid>,
}

impl Service {
    pub(crate) fn new(setup: Setup, people: People, random: Random) -> Service {
        let minute = Duration::from_secs(60);
        let rules = Rules {
            profile: setup.profile,
            life: setup.code_life,
            interval: setup.poll_interval,
            limit: setup.limits.live_codes,
        };
        Service {
            policies: setup.policies.clone(),
            setup,
            people,
            codes: Codes::new(rules),
            sessions: Sessions::default(),
            tokens: Tokens::default(),
            store: Store::default(),
            rolls: 0,
            random,
            orders: VecDeque::new(),
            token_requests: Throttle::new(minute),
            code_requests: Throttle::new(minute),
            wrong_codes: Throttle::new(10 * minute),
            wrong_codes_in_all: Throttle::new(10 * minute),
            changed: BTreeSet::new(),
        }
    }

    /// Puts the changes of the disk on top of the accounts of the setup.
    pub(crate) fn restore(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Begin(_) | Change::Complete => {}
                Change::Account { oid, password, enabled, expired, epoch, last_step } => {
                    if let Some(record) = self.people.get_mut(&oid) {
                        record.password = password;
                        record.enabled = enabled;
                        record.is_password_expired = expired;
                        record.epoch = epoch;
                        if let Some(totp) = &mut record.totp {
                            totp.last_step = last_step;
                        }
                        self.changed.insert(oid);
                    }
                }
                Change::Token { key, held } => self.tokens.restore(crate::secret::Fingerprint(key), held),
                Change::Used(key) => self.tokens.mark_used(crate::secret::Fingerprint(key)),
                Change::Ended(family) => self.tokens.end_family(family),
                Change::Rolls(rolls) => self.rolls = rolls,
            }
        }
    }

    pub(crate) fn snapshot(&mut self, at: Wall, out: &mut Outbox) {
        let changed = self.changed.iter().filter_map(|oid| self.people.get(oid));
        let accounts = changed.map(account_change);
        let tokens =
            self.tokens.all(at, self.setup.refresh_token_life).map(|(key, held)| Change::token(key, held));
        let all: Vec<Change> =
            std::iter::once(Change::Rolls(self.rolls)).chain(accounts).chain(tokens).collect();
        self.store.snapshot(all, out);
    }

    pub(crate) fn keep(&mut self, change: &Change, out: &mut Outbox) {
        self.store.keep(change, out);
    }

    pub(crate) fn keep_account(&mut self, oid: &str, out: &mut Outbox) {
        if let Some(record) = self.people.get(oid) {
            let change = account_change(record);
            self.store.keep(&change, out);
            self.changed.insert(oid.to_owned());
        }
    }

    pub(crate) fn application(&self, client_id: &str) -> Result<&Application, Fault> {
        let known = self.setup.applications.iter();
        let found = known.into_iter().find(|app| app.client_id.eq_ignore_ascii_case(client_id));
        let application = found.ok_or_else(|| Fault::about(700016, client_id))?;
        if !application.enabled {
            return Err(Fault::about(70001, client_id));
        }
        Ok(application)
    }

    /// Checks the tenant of a path: its id, one of its domains, or a word for any tenant.
    pub(crate) fn tenant(&self, alias: &str) -> Result<(), Fault> {
        let tenant = &self.setup.tenant;
        let is_own = tenant.id.eq_ignore_ascii_case(alias)
            || tenant.domains.iter().any(|domain| domain.eq_ignore_ascii_case(alias));
        if is_own || crate::tokens::is_general(alias) {
            return Ok(());
        }
        Err(Fault::about(90002, alias))
    }

    pub(crate) fn issuer_v2(&self) -> String {
        format!("https://{}/{}/v2.0", self.setup.host, self.setup.tenant.id)
    }

    pub(crate) fn tells_unknown_accounts(&self) -> bool {
        let by_profile = self.setup.profile.tells_unknown_accounts();
        self.policies.tells_unknown_accounts.unwrap_or(by_profile)
    }

    /// The answer that a story ordered for this endpoint, if any is left.
    pub(crate) fn ordered(&mut self, endpoint: Endpoint) -> Option<Ordered> {
        let at = self.orders.iter().position(|(which, _, _)| *which == endpoint)?;
        let (_, left, order) = &mut self.orders[at];
        let order = order.clone();
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.orders.remove(at);
        }
        Some(order)
    }

    /// Revokes everything that an account was granted.
    pub(crate) fn revoke(&mut self, oid: &str, out: &mut Outbox) {
        if let Some(record) = self.people.get_mut(oid) {
            record.epoch += 1;
        }
        self.codes.revoke(oid);
        self.keep_account(oid, out);
    }

    /// Counts a wrong second factor and notes it, and the lock if it came to one.
    pub(crate) fn note_lock(&self, record: &Record, until: Option<Time>, out: &mut Outbox) {
        if let Some(until) = until {
            let text = format!("too many failures, locked until {until}");
            out.note(Note::event(events::ACCOUNT_LOCKED_OUT, record.of(), text));
        }
    }
}

fn account_change(record: &Record) -> Change {
    Change::Account {
        oid: record.oid.clone(),
        password: record.password.clone(),
        enabled: record.enabled,
        expired: record.is_password_expired,
        epoch: record.epoch,
        last_step: record.totp.as_ref().and_then(|totp| totp.last_step),
    }
}

/// One request, read.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) now: Time,
    pub(crate) at: Wall,
    pub(crate) peer: IpAddr,
    pub(crate) query: Form,
    pub(crate) form: Form,
    pub(crate) trace: Trace,
    pub(crate) cookie: Option<Cookie>,
    /// The body says that it is a form.
    pub(crate) is_form: bool,
    /// The client tried to prove itself by an `Authorization` header.
    pub(crate) has_authorization: bool,
    /// A browser says that another site sent the form.
    pub(crate) is_foreign: bool,
}

impl Call {
    pub(crate) fn peer(&self) -> String {
        self.peer.to_string()
    }
}

/// The session cookie among all that a browser sent.
pub(crate) fn cookie_of(headers: &HeaderMap) -> Option<Cookie> {
    let all = headers.get_all(header::COOKIE);
    let pairs = all.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let own = pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == COOKIE)?;
    Some(Cookie { value: own.1.into(), is_known: true })
}

/// Whether a browser says that this request comes from another site (`Sec-Fetch-Site`, or `Origin`).
pub(crate) fn is_foreign(head: &request::Parts, host: &str) -> bool {
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    match text("origin") {
        // Browsers also say `null` for our own forms: our pages ask them to send no referrer.
        None | Some("null") => false,
        Some(origin) => {
            let own = url::Url::parse(origin).ok();
            own.and_then(|url| url.host_str().map(|name| name.eq_ignore_ascii_case(host))) != Some(true)
        }
    }
}
