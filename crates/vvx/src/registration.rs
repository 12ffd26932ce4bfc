//! Registration: a stream to the pool, REGISTER, a TLS-DSK association, and keeping all three alive.
//!
//! The first REGISTER carries nothing; the 401 says where certificates are to be had. With a certificate the
//! phone runs a handshake inside further REGISTERs (MS-SIPAE §3.2.5), signs the last one, and is registered by
//! its 200. It refreshes before the pool forgets it, proves itself anew before the association ends, and when the
//! pool is gone it comes back with growing patience. It stops for good only where the pool says no: 403, 404, or a
//! deregistration.

pub mod backoff;
pub mod messages;
pub mod policy;

mod arriving;
mod link;
mod sending;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use net::tls::{NameCheck, Trust};
use net::{Crypto, Outbox, Random, StreamEvent, StreamId, Time, WallClock};
use sip::association::Parameters;
use sip::tls_dsk::Initiator;
use sip::{Draft, Framer, Message, SecurityAssociation};
use url::Url;

use crate::registration::backoff::Backoff;
use crate::registration::messages::{Endpoint, Turn};
use crate::sign_in::certificate::Enrolled;
use crate::sign_in::discover::Server;

/// How long an answer may take: 64·T1 (RFC 3261 §17.1.2.2, timer F).
const ANSWER_WITHIN: Duration = Duration::from_secs(32);
/// How long names and streams may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// How long nothing is sent before a keep-alive, until the pool says otherwise.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// The longest life of an association.
const ASSOCIATION_LIFE: Duration = Duration::from_secs(8 * 3600);
/// How much earlier than its end an association is made anew.
const AHEAD: Duration = Duration::from_secs(300);
/// How often in a row a pool may send the phone elsewhere (301).
const MOVES_MAX: u8 = 5;
/// How often in a row 401 may answer what should have been good credentials.
const REFUSALS_MAX: u8 = 2;
/// How often an interactive sign-in tries a pool that is busy.
const BUSY_MAX: u8 = 3;
/// The lifetime asked for the policy subscription, in seconds.
const SUBSCRIPTION_S: u32 = 8 * 3600;

/// What the machine needs of its phone for one call.
pub struct Tools<'a> {
    /// What the phone believes the date is.
    pub clock: WallClock,
    /// Whom it trusts where the pool is concerned.
    pub trust: &'a Trust,
    /// Whether names in certificates count.
    pub names: NameCheck,
    /// The cryptography.
    pub crypto: Crypto,
    /// Chance.
    pub random: &'a mut Random,
}

/// What the machine has to say to its phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Look up this host's addresses and bring them to [`Registration::resolved`].
    LookUp(String),
    /// The pool wants a certificate; it is to be had there, if the pool says so.
    NeedsCertificate(Option<Url>),
    /// The pool answered 200. `true` if the phone was registered before, lost it, and is back.
    Registered {
        /// Whether it was lost before.
        is_back: bool,
    },
    /// The certificate is still good, but it is time to get a new one.
    Ripe,
    /// The pool's policy document; `None` if it gives none.
    Policy(Option<Vec<u8>>),
    /// The registration is gone; the machine goes on trying.
    Lost(String),
    /// The pool had forgotten the phone and took it as new at a refresh.
    WasForgotten,
    /// An interactive sign-in came to nothing.
    Failed(String),
    /// The pool says no (403, 404).
    Refused(String),
    /// The pool does not accept the certificate.
    CertificateRefused(String),
    /// The pool ended the registration.
    SignedOut(String),
    /// A message about a call, rightly signed, and where it came from.
    Call(Box<Message>, SocketAddr),
    /// Nobody that the phone trusts stands behind this host's certificate.
    UnknownIssuer(String),
}

/// How much the machine puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// A person is waiting: say what is wrong.
    Interactive,
    /// Nobody is waiting: go on trying.
    Endless,
}

/// The stream.
#[derive(Debug)]
enum Link {
    Down,
    Resolving,
    Dialling(StreamId),
    Up(Up),
}

#[derive(Debug)]
struct Up {
    stream: StreamId,
    local: SocketAddr,
    peer: SocketAddr,
    framer: Framer,
    sent_at: Time,
}

/// How far the pool has been convinced.
#[derive(Debug)]
enum Step {
    /// Nothing is under way.
    Idle,
    /// REGISTER without credentials.
    Asked,
    /// The certificate is on its way.
    Enrolling,
    /// A flight of the handshake is out.
    Shaking(Box<Initiator>, Parameters),
    /// The signed REGISTER is out.
    Completing,
    /// Registered.
    Registered,
    /// Registered, and a refresh is out.
    Refreshing,
    /// The pool's root is not known, and may be on its way.
    Untrusted,
    /// Over until somebody starts it again.
    Stopped,
}

/// A request that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pending {
    call_id: String,
    cseq: u32,
    until: Time,
}

/// The machine's timers.
#[derive(Clone, Copy, Debug, Default)]
struct Timers {
    /// When names and stream have taken too long.
    connect_until: Option<Time>,
    /// When to try again.
    retry_at: Option<Time>,
    /// When to refresh the binding.
    refresh_at: Option<Time>,
    /// When to prove oneself anew.
    prove_at: Option<Time>,
    /// When to subscribe anew.
    subscribe_at: Option<Time>,
}

/// One user's registration from one phone.
#[derive(Debug)]
pub struct Registration {
    who: Endpoint,
    servers: Vec<Server>,
    server: usize,
    addresses: Vec<IpAddr>,
    enrolled: Option<Enrolled>,
    patience: Patience,
    link: Link,
    step: Step,
    timers: Timers,
    register: Option<Pending>,
    subscribe: Option<Pending>,
    association: Option<SecurityAssociation>,
    service: Option<Url>,
    call_id: String,
    cseq: u32,
    gruu: Option<String>,
    keep_alive: Duration,
    backoff: Backoff,
    moves: u8,
    refusals: u8,
    busy: u8,
    has_been_lost: bool,
    has_been_registered: bool,
}

impl Registration {
    /// For a sign-in that a person waits for, at the first of `servers` that will.
    pub fn interactive(who: Endpoint, servers: Vec<Server>, random: &mut Random) -> Registration {
        Registration::new(who, servers, None, Patience::Interactive, random)
    }

    /// For a phone that has a certificate and comes back by itself.
    pub fn returning(
        who: Endpoint,
        servers: Vec<Server>,
        enrolled: Enrolled,
        random: &mut Random,
    ) -> Registration {
        Registration::new(who, servers, Some(enrolled), Patience::Endless, random)
    }

    fn new(
        who: Endpoint,
        servers: Vec<Server>,
        enrolled: Option<Enrolled>,
        patience: Patience,
        random: &mut Random,
    ) -> Registration {
        Registration {
            who,
            servers,
            server: 0,
            addresses: Vec::new(),
            enrolled,
            patience,
            link: Link::Down,
            step: Step::Idle,
            timers: Timers::default(),
            register: None,
            subscribe: None,
            association: None,
            service: None,
            call_id: random.hex(32),
            cseq: 0,
            gruu: None,
            keep_alive: KEEP_ALIVE,
            backoff: Backoff::default(),
            moves: 0,
            refusals: 0,
            busy: 0,
            has_been_lost: false,
            has_been_registered: false,
        }
    }

    /// Whether the pool's last word was 200 and the stream stands. Proving oneself anew does not interrupt it.
    pub fn is_registered(&self) -> bool {
        matches!(self.link, Link::Up(_)) && self.has_been_registered && !self.has_been_lost
    }

    /// The registrar in use.
    pub fn server(&self) -> Option<&Server> {
        self.servers.get(self.server)
    }

    /// Whether the stream is this machine's.
    pub fn owns(&self, stream: StreamId) -> bool {
        match &self.link {
            Link::Dialling(own) => *own == stream,
            Link::Up(up) => up.stream == stream,
            Link::Down | Link::Resolving => false,
        }
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        let Timers { connect_until, retry_at, refresh_at, prove_at, subscribe_at } = self.timers;
        let answers = [&self.register, &self.subscribe].map(|pending| pending.as_ref().map(|p| p.until));
        let keep_alive = match &self.link {
            Link::Up(up) => Some(up.sent_at + self.keep_alive),
            _ => None,
        };
        [connect_until, retry_at, refresh_at, prove_at, subscribe_at, keep_alive]
            .into_iter()
            .chain(answers)
            .flatten()
            .min()
    }

    /// Starts, or starts over at once; what stands is torn down.
    pub fn start(&mut self, now: Time, out: &mut Outbox) -> Vec<Said> {
        self.drop_link(out);
        self.timers.retry_at = None;
        self.connect(now)
    }

    /// The stream is given up without a word, as when the network is gone; it tries again by itself later.
    pub fn network_lost(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) -> Vec<Said> {
        if matches!(self.step, Step::Stopped) {
            return Vec::new();
        }
        self.setback("the network is gone".to_owned(), None, now, tools, out)
    }

    /// Addresses of the host that was looked up, or why there are none.
    pub fn resolved(
        &mut self,
        now: Time,
        addresses: Result<Vec<IpAddr>, String>,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        if !matches!(self.link, Link::Resolving) {
            return Vec::new();
        }
        match addresses {
            Ok(addresses) if !addresses.is_empty() => {
                self.addresses = addresses;
                self.dial(now, tools, out);
                Vec::new()
            }
            Ok(_) => self.setback("no address".to_owned(), None, now, tools, out),
            Err(why) => self.setback(why, None, now, tools, out),
        }
    }

    /// The certificate that [`Said::NeedsCertificate`] or [`Said::CertificateRefused`] asked for; it is safe in
    /// flash.
    pub fn certified(
        &mut self,
        enrolled: Enrolled,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        self.enrolled = Some(enrolled);
        self.refusals = 0;
        match self.link {
            Link::Up(_) => {
                self.ask(now, tools, out);
                Vec::new()
            }
            Link::Down => self.connect(now),
            Link::Resolving | Link::Dialling(..) => Vec::new(),
        }
    }

    /// Ends the registration: says so if there is somebody to say it to, and does not wait.
    pub fn sign_out(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) {
        if self.is_registered() {
            self.cseq += 1;
            if let Link::Up(up) = &self.link {
                let turn = Turn { local: up.local, call_id: &self.call_id, cseq: self.cseq };
                let draft = messages::register(&self.who, turn, Some(0), tools.random);
                self.send(draft, "sign out", now, out);
            }
        }
        self.drop_link(out);
        self.step = Step::Stopped;
        self.timers = Timers::default();
    }

    /// The registrars that it knows, the one in use first.
    pub fn servers(&self) -> Vec<Server> {
        let (before, from) = self.servers.split_at(self.server.min(self.servers.len()));
        [from, before].concat()
    }

    /// Where the registrar's last challenge said that certificates are to be had.
    pub fn certificate_service(&self) -> Option<&Url> {
        self.service.as_ref()
    }

    /// Whether it waits for what [`Said::UnknownIssuer`] leads to.
    pub fn waits_for_issuer(&self) -> bool {
        matches!(self.step, Step::Untrusted)
    }

    /// The root behind [`Said::UnknownIssuer`] is not to be had: tries elsewhere, later, or gives up.
    pub fn issuer_stays_unknown(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) -> Vec<Said> {
        self.setback("certificate is signed by an unknown authority".to_owned(), None, now, tools, out)
    }

    /// Signs a response to somebody outside of the pool, as the device does; it proves nothing to them.
    pub fn signed(&mut self, draft: Draft) -> Draft {
        match &mut self.association {
            Some(association) => association.sign_response(draft),
            None => draft,
        }
    }

    /// The address at which the pool reaches this phone, once it is registered.
    pub fn contact(&self) -> Option<String> {
        match &self.link {
            Link::Up(up) if self.is_registered() => {
                Some(self.gruu.clone().unwrap_or_else(|| messages::contact_uri(&self.who, up.local)))
            }
            _ => None,
        }
    }

    /// This end of the stream and whose line it is, while it is registered.
    pub(crate) fn line(&self) -> Option<(SocketAddr, &Endpoint)> {
        match &self.link {
            Link::Up(up) if self.is_registered() => Some((up.local, &self.who)),
            _ => None,
        }
    }

    /// Sends a call's message, signed.
    pub(crate) fn send_call(&mut self, draft: Draft, now: Time, out: &mut Outbox) {
        self.send(draft, "", now, out);
    }

    /// Closes the stream without a word.
    pub fn hang_up(&mut self, out: &mut Outbox) {
        self.stop(out);
    }

    /// Something happened on its stream.
    pub fn stream(
        &mut self,
        now: Time,
        event: StreamEvent,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        match event {
            StreamEvent::Opened { local, peer } => {
                if let Link::Dialling(stream) = self.link {
                    self.timers.connect_until = None;
                    let framer = Framer::for_client();
                    self.link = Link::Up(Up { stream, local, peer, framer, sent_at: now });
                    self.ask(now, tools, out);
                }
                Vec::new()
            }
            StreamEvent::Received(bytes) => {
                let Link::Up(up) = &mut self.link else {
                    return Vec::new();
                };
                up.framer.push(&bytes);
                self.take_frames(now, tools, out)
            }
            StreamEvent::Closed(why) => self.closed(&why, now, tools, out),
            StreamEvent::Accepted { .. } => Vec::new(),
        }
    }

    /// Time has passed.
    pub fn woken(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) -> Vec<Said> {
        let is_due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if is_due(self.timers.connect_until) {
            return self.setback("no connection in time".to_owned(), None, now, tools, out);
        }
        if is_due(self.register.as_ref().map(|pending| pending.until)) {
            return self.setback("the pool does not answer".to_owned(), None, now, tools, out);
        }
        if is_due(self.timers.retry_at) {
            self.timers.retry_at = None;
            return self.connect(now);
        }
        if is_due(self.subscribe.as_ref().map(|pending| pending.until)) {
            self.subscribe = None;
            return vec![Said::Policy(None)];
        }
        if is_due(self.timers.prove_at) {
            self.timers.prove_at = None;
            // A certificate that is about to end proves nothing for long.
            let wall = tools.clock.read(now);
            if self.enrolled.as_ref().is_some_and(|enrolled| enrolled.is_over_at(wall)) {
                self.step = Step::Enrolling;
                return vec![Said::NeedsCertificate(None)];
            }
            self.ask(now, tools, out);
            if self.enrolled.as_ref().is_some_and(|enrolled| enrolled.is_ripe_at(wall)) {
                return vec![Said::Ripe];
            }
        } else if is_due(self.timers.refresh_at) {
            self.timers.refresh_at = None;
            self.refresh(now, tools, out);
        } else if is_due(self.timers.subscribe_at) {
            self.timers.subscribe_at = None;
            self.subscribe(now, tools, out);
        }
        if let Link::Up(up) = &mut self.link
            && up.sent_at + self.keep_alive <= now
        {
            up.sent_at = now;
            out.write(up.stream, &b"\r\n\r\n"[..]);
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests;
