//! The actor: routes what happens to the web and the SIP half, and serves the administrator's verbs.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use net::tls::ServerTls;
use net::{
    Crypto, Disk, Input, ListenSecurity, Node, Note, Outbox, Random, StreamEvent, StreamId, Time, WallClock,
};
use pki::Authority;

use crate::accounts::{Account, Accounts, DigestKeys, Home, PasswordHash, PhonePolicy, normal};
use crate::events;
use crate::faults::{Exchange, Faults};
use crate::published::Published;
use crate::setup::Setup;
use crate::sip::FrontEnd;
use crate::sip::bindings::Binding;
use crate::sip::inner::Inner;
use crate::sip::notice::Deregistration;
use crate::web::{PLAIN_PORT, TLS_PORT, Web};

/// What both halves of a pool share, lent for one call.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Who is known here.
    pub accounts: &'a mut Accounts,
    /// Which client certificates count.
    pub published: &'a mut Published,
    /// Chance.
    pub random: &'a mut Random,
    /// The answers that are to go wrong.
    pub faults: &'a mut Faults,
    /// What the pool believes the date is.
    pub clock: &'a WallClock,
    /// The cryptography of the world.
    pub crypto: Crypto,
    /// The pool's host name.
    pub host: &'a str,
    /// The SIP domain.
    pub domain: &'a str,
    /// Who signs client certificates.
    pub authority: &'a mut Authority,
    /// What the pool shows in TLS.
    pub tls: &'a Arc<ServerTls>,
    /// What it shows to clients of TLS 1.0 inside TLS-DSK.
    pub inner: &'a mut Inner,
    /// The longest registration it grants.
    pub registration_life: Duration,
    /// Whether clients are to be made honest.
    pub strict: bool,
}

/// What a pool keeps for itself across power cycles.
#[derive(Debug)]
struct Core {
    accounts: Accounts,
    published: Published,
    random: Random,
    faults: Faults,
    clock: WallClock,
    crypto: Crypto,
    host: String,
    domain: String,
    authority: Authority,
    tls: Arc<ServerTls>,
    inner: Inner,
    registration_life: Duration,
    strict: bool,
}

impl Core {
    fn parts(&mut self) -> Parts<'_> {
        Parts {
            accounts: &mut self.accounts,
            published: &mut self.published,
            random: &mut self.random,
            faults: &mut self.faults,
            clock: &self.clock,
            crypto: self.crypto,
            host: &self.host,
            domain: &self.domain,
            authority: &mut self.authority,
            tls: &self.tls,
            inner: &mut self.inner,
            registration_life: self.registration_life,
            strict: self.strict,
        }
    }
}

/// One front end of a pool.
#[derive(Debug)]
pub struct Registrar {
    name: String,
    address: IpAddr,
    sip_port: u16,
    core: Core,
    front_end: FrontEnd,
    web: Web,
}

impl Registrar {
    /// A pool that has not been switched on.
    pub fn new(mut setup: Setup) -> Registrar {
        let front_end = FrontEnd::new(&setup);
        let mut web_random = setup.random.fork("web");
        let web = Web::new(&setup, &mut web_random);
        let mut accounts = Accounts::new(setup.accounts, setup.password_cost);
        if let Some(fleet) = setup.fleet {
            accounts.add_fleet(fleet);
        }
        Registrar {
            name: setup.name,
            address: setup.address,
            sip_port: setup.sip_port,
            core: Core {
                accounts,
                published: Published::default(),
                random: setup.random,
                faults: Faults::default(),
                clock: setup.clock,
                crypto: setup.crypto,
                host: setup.host,
                domain: setup.domain,
                authority: setup.authority,
                tls: setup.tls,
                inner: Inner::new(setup.inner_key),
                registration_life: setup.registration_life,
                strict: setup.strict,
            },
            front_end,
            web,
        }
    }

    /// What it believes the calendar says, to be changed by a story.
    pub fn clock_mut(&mut self) -> &mut WallClock {
        &mut self.core.clock
    }

    /// Its name in the story.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its SIP half, to look at.
    pub fn front_end(&self) -> &FrontEnd {
        &self.front_end
    }

    /// What is bound to an account (address or SIP URI) at `now`, by endpoint.
    pub fn bindings(&self, of: &str, now: Time) -> Vec<Binding> {
        self.front_end.bindings(of, now)
    }

    /// Whether an account has any binding at `now`.
    pub fn is_registered(&self, of: &str, now: Time) -> bool {
        self.front_end.is_registered(of, now)
    }

    /// Its directory, to look at.
    pub fn accounts(&self) -> &Accounts {
        &self.core.accounts
    }

    /// Its published certificates, to look at.
    pub fn published(&self) -> &Published {
        &self.core.published
    }

    /// Answers the next `count` exchanges of a kind with `status`, whatever they ask.
    pub fn answer_next(&mut self, exchange: Exchange, count: u32, status: u16) {
        self.core.faults.answer_next(exchange, count, status);
    }

    /// Forbids an account to sign in. Returns whether the account is known.
    pub fn disable(&mut self, user: &str, now: Time, out: &mut Outbox) -> bool {
        self.change(user, "disabled", now, out, |account| account.enabled = false)
    }

    /// Lets an account sign in again. Returns whether the account is known.
    pub fn enable(&mut self, user: &str, now: Time, out: &mut Outbox) -> bool {
        self.change(user, "enabled", now, out, |account| account.enabled = true)
    }

    /// Homes an account elsewhere, or here. Returns whether the account is known.
    pub fn move_user(&mut self, user: &str, home: Home, now: Time, out: &mut Outbox) -> bool {
        self.change(user, "moved", now, out, |account| account.home = home)
    }

    /// Gives an account another phone policy. Returns whether the account is known.
    pub fn set_policy(&mut self, user: &str, policy: PhonePolicy, now: Time, out: &mut Outbox) -> bool {
        self.change(user, "policy set", now, out, |account| account.policy = policy)
    }

    /// Gives an account another pool password. Its web tickets and certificates stay. Returns whether the account
    /// is known.
    pub fn set_password(&mut self, user: &str, password: &str, now: Time, out: &mut Outbox) -> bool {
        let cost = self.core.accounts.password_cost();
        let hash = PasswordHash::new(password, cost, &mut self.core.random);
        let digest = DigestKeys::new(user, &self.core.domain, password);
        self.change(user, "password set", now, out, |account| {
            account.password = Some(hash);
            account.digest = digest;
        })
    }

    /// Takes back an account's client certificates and web tickets: the next handshake with one of them fails.
    /// Returns how many certificates there were.
    pub fn revoke(&mut self, user: &str, now: Time, out: &mut Outbox) -> usize {
        let at = self.core.clock.read(now);
        let count = self.core.published.revoke(user, at, out);
        self.web.revoke(user);
        let address = normal(user);
        out.note(Note::event(events::CERTIFICATE_REVOKED, &address, format!("{count} revoked")));
        self.front_end.account_changed(now, &address, &mut self.core.parts(), out);
        count
    }

    /// Signs an account out at every endpoint: bindings end, and clients are told so.
    pub fn sign_out(&mut self, user: &str, now: Time, out: &mut Outbox) {
        let parts = &mut self.core.parts();
        self.front_end.sign_out(user, Deregistration::Unregistered, now, parts, out);
    }

    /// Loses an account's bindings without telling anybody. Returns how many there were.
    pub fn forget_bindings(&mut self, user: &str, now: Time, out: &mut Outbox) -> usize {
        self.front_end.forget_bindings(user, now, out)
    }

    fn change(
        &mut self,
        user: &str,
        what: &str,
        now: Time,
        out: &mut Outbox,
        verb: impl FnOnce(&mut Account),
    ) -> bool {
        let Some(account) = self.core.accounts.find_mut(user) else {
            return false;
        };
        verb(account);
        let address = account.address.clone();
        if !account.enabled {
            self.web.revoke(&address);
        }
        out.note(Note::event(events::ACCOUNT_CHANGED, &address, what));
        self.front_end.account_changed(now, &address, &mut self.core.parts(), out);
        true
    }

    fn listen(&self, out: &mut Outbox) {
        out.listen(self.sip_port, ListenSecurity::Tls(self.core.tls.clone()));
        out.listen(TLS_PORT, ListenSecurity::Tls(self.core.tls.clone()));
        out.listen(PLAIN_PORT, ListenSecurity::Tcp);
        self.front_end.listen(&self.core.tls, out);
    }

    fn power_on(&mut self, now: Time, disk: &Disk, out: &mut Outbox) {
        out.address(Some(self.address));
        self.listen(out);
        self.core.published.power_on(disk, out);
        self.web.power_on(&mut self.core.parts());
        self.front_end.power_on(now, disk, &mut self.core.parts(), out);
    }

    fn stream(&mut self, now: Time, stream: StreamId, event: StreamEvent, out: &mut Outbox) {
        let is_sip = match &event {
            StreamEvent::Accepted { local, .. } => self.front_end.carrier_at(local.port()).is_some(),
            StreamEvent::Opened { .. } | StreamEvent::Received(_) | StreamEvent::Closed(_) => {
                self.front_end.has(stream)
            }
        };
        let parts = &mut self.core.parts();
        if is_sip {
            self.front_end.handle(now, (stream, event), parts, out);
        } else {
            self.web.handle(now, (stream, event), parts, out);
        }
    }
}

impl Node for Registrar {
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
        match input {
            Input::PowerOn(disk) => self.power_on(now, &disk, out),
            Input::PowerOff => {
                self.web.forget();
                self.front_end.power_off();
            }
            Input::Woken => {
                self.web.woken(now, &mut self.core.parts(), out);
                self.front_end.woken(now, &mut self.core.parts(), out);
            }
            Input::Datagram(datagram) => {
                self.front_end.handle_datagram(now, &datagram, &mut self.core.parts(), out);
            }
            Input::Stream(stream, event) => self.stream(now, stream, event, out),
            Input::Kept(record) => match self.core.published.kept(record) {
                (true, Some(write)) => self.web.written(now, write, &mut self.core.parts(), out),
                (true, None) => {}
                (false, _) => {
                    self.front_end.kept(now, record, &mut self.core.parts(), out);
                }
            },
        }
    }

    fn wake_at(&self) -> Option<Time> {
        [self.web.wake_at(), self.front_end.wake_at()].into_iter().flatten().min()
    }
}
