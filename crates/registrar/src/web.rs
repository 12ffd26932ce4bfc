//! The HTTP half of the pool: connections, deadlines, and which service answers.
//!
//! Over TLS it serves autodiscover, web tickets and client certificates. Over plain HTTP it serves only what
//! needs no secret and is believed by nobody: the way to the HTTPS root, and the root certificate.
//!
//! | module | promise |
//! | --- | --- |
//! | [`site`] | URLs, and which service answers at which path |
//! | [`discovery`] | where a user is homed (MS-OCDISCWS) |
//! | [`metadata`] | the services' WSDL |
//! | [`ticket`] | a web ticket for a password or a token (MS-OCAUTHWS) |
//! | [`tickets`] | the tickets themselves: signing, checking, proofs |
//! | [`certificates`] | a client certificate for a web ticket; the root chain |
//! | [`tokens`] | access tokens, checked by published keys |
//! | [`basic`] | passwords over HTTP Basic |
//! | [`soap`], [`xml`], [`keys`] | envelopes and faults; careful XML; small cryptography |

pub mod basic;
pub mod certificates;
pub mod connections;
pub mod discovery;
pub mod keys;
pub mod metadata;
pub mod site;
pub mod soap;
pub mod ticket;
pub mod tickets;
pub mod tokens;
pub mod xml;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use net::http::{HeaderValue, Request, Response, StatusCode, header};
use net::{Note, Outbox, Random, StreamEvent, StreamId, Time};

use crate::accounts::{Account, normal};
use crate::events;
use crate::ledger::WriteId;
use crate::registrar::Parts;
use crate::setup::Setup;

use basic::Gate;
use connections::{Connections, Port};
use site::{Service, Site};
use soap::Refusal;
use ticket::TicketRequest;
use tickets::{Method, Tickets};
use tokens::{Fetched, Tokens, Verdict};

/// How long a request waits for the identity service's keys.
pub const KEYS_WAIT_LIMIT: Duration = Duration::from_secs(10);
/// The most requests that wait for the identity service's keys.
pub const WAITING_LIMIT: usize = 1024;

/// Everything that speaks HTTP.
#[derive(Debug)]
pub struct Web {
    site: Site,
    tickets: Tickets,
    tokens: Tokens,
    gate: Gate,
    connections: Connections,
    /// Answers that may leave once a write is on the disk.
    unkept: BTreeMap<WriteId, Vec<(StreamId, Reply)>>,
    /// Requests that wait for the identity service's keys, oldest first.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    stream: StreamId,
    request: Request<Bytes>,
    service: Service,
    until: Time,
}

/// An answer, and what the journal is to say of it.
#[derive(Debug)]
struct Reply {
    answer: Response<Bytes>,
    /// What follows the status in the note.
    what: String,
    event: Option<Note>,
}

impl Reply {
    fn new(answer: Response<Bytes>, what: impl Into<String>) -> Reply {
        Reply { answer, what: what.into(), event: None }
    }

    fn with(mut self, event: Note) -> Reply {
        self.event = Some(event);
        self
    }
}

/// What becomes of a request.
#[derive(Debug)]
enum Outcome {
    Answer(Reply),
    AnswerOnceKept(WriteId, Reply),
    WaitForKeys,
}

/// Whether the keys can still be fetched for this request, or it has waited already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    MayWait,
    HasWaited,
}

impl Web {
    /// A web half that has not been switched on.
    pub fn new(setup: &Setup, random: &mut Random) -> Web {
        Web {
            site: Site::new(setup, random),
            tickets: Tickets::new(&setup.host, random),
            tokens: Tokens::new(setup.identity.clone(), setup.clock),
            gate: Gate::default(),
            connections: Connections::default(),
            unkept: BTreeMap::new(),
            waiting: Vec::new(),
        }
    }

    /// Power came: nothing of before is left.
    pub fn power_on(&mut self, parts: &mut Parts<'_>) {
        self.forget();
        self.tickets = Tickets::new(&self.site.host, parts.random);
    }

    /// Power went: forgets everything.
    pub fn forget(&mut self) {
        self.tokens.forget();
        self.gate = Gate::default();
        self.connections = Connections::default();
        self.unkept.clear();
        self.waiting.clear();
    }

    /// The certificate provisioning service's URL, as the SIP challenge names it (`sts-uri`).
    pub fn sts_uri(&self) -> String {
        format!("https://{}:443/CertProv/CertProvisioningService.svc", self.site.host)
    }

    /// Takes back a user's web tickets.
    pub fn revoke(&mut self, user: &str) {
        self.tickets.revoke(user);
    }

    /// Something happened on a stream of the web ports, or on one that this half opened.
    pub fn handle(
        &mut self,
        now: Time,
        (stream, event): (StreamId, StreamEvent),
        parts: &mut Parts<'_>,
        out: &mut Outbox,
    ) {
        match event {
            StreamEvent::Accepted { local, peer } => {
                let port = if local.port() == PLAIN_PORT { Port::Plain } else { Port::Tls };
                self.connections.accept(now, stream, peer, port, out);
            }
            StreamEvent::Received(bytes) if self.connections.has(stream) => {
                self.connections.receive(now, stream, &bytes, out);
                self.serve(now, stream, parts, out);
            }
            StreamEvent::Closed(_) if self.connections.has(stream) => self.drop_stream(stream),
            event => {
                if self.tokens.on_stream(now, stream, event, out) == Fetched::Over {
                    self.look_again(now, parts, out);
                }
            }
        }
    }

    /// A write is on the disk.
    pub fn written(&mut self, now: Time, write: WriteId, parts: &mut Parts<'_>, out: &mut Outbox) {
        for (stream, reply) in self.unkept.remove(&write).unwrap_or_default() {
            self.reply(now, stream, reply, out);
            self.serve(now, stream, parts, out);
        }
    }

    /// Time passed.
    pub fn woken(&mut self, now: Time, parts: &mut Parts<'_>, out: &mut Outbox) {
        if self.tokens.woken(now, out) == Fetched::Over {
            self.look_again(now, parts, out);
        }
        let late: Vec<Waiting> = self.waiting.extract_if(.., |waiting| waiting.until <= now).collect();
        for waiting in late {
            self.serve_again(now, waiting, parts, out);
        }
        for stream in self.connections.close_late(now, out) {
            self.drop_stream(stream);
        }
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        let waiting = self.waiting.iter().map(|waiting| waiting.until).min();
        [self.connections.wake_at(), self.tokens.wake_at(), waiting].into_iter().flatten().min()
    }

    fn drop_stream(&mut self, stream: StreamId) {
        self.connections.remove(stream);
        self.waiting.retain(|waiting| waiting.stream != stream);
    }

    /// Serves what a connection has to ask, until it waits for something.
    fn serve(&mut self, now: Time, stream: StreamId, parts: &mut Parts<'_>, out: &mut Outbox) {
        while let Some((request, peer, port)) = self.connections.next_request(now, stream) {
            let path = request.uri().path();
            let service = self.site.find(path).filter(|service| port == Port::Tls || service.is_plain());
            let title = service.map_or("nothing here", Service::title);
            let short: String = path.chars().take(100).collect();
            out.note(Note::received(peer, format!("{} {short} ({title})", request.method())));
            let outcome = match service {
                None => Outcome::Answer(bare(StatusCode::NOT_FOUND, "nothing here")),
                Some(service) => self.answer(now, service, &request, (port, Patience::MayWait), parts, out),
            };
            match (outcome, service) {
                (Outcome::Answer(reply), _) => self.reply(now, stream, reply, out),
                (Outcome::AnswerOnceKept(write, reply), _) => {
                    self.unkept.entry(write).or_default().push((stream, reply));
                }
                (Outcome::WaitForKeys, Some(service)) => {
                    self.tokens.fetch(now, out);
                    if self.waiting.len() >= WAITING_LIMIT {
                        self.reply(now, stream, self.unavailable("too many wait for the keys"), out);
                    } else {
                        let until = now + KEYS_WAIT_LIMIT;
                        self.waiting.push(Waiting { stream, request, service, until });
                    }
                }
                (Outcome::WaitForKeys, None) => {}
            }
        }
        self.connections.close_if_done(stream, out);
    }

    /// The keys are here, or are not to be had: everybody who waited gets an answer.
    fn look_again(&mut self, now: Time, parts: &mut Parts<'_>, out: &mut Outbox) {
        for waiting in std::mem::take(&mut self.waiting) {
            self.serve_again(now, waiting, parts, out);
        }
    }

    fn serve_again(&mut self, now: Time, waiting: Waiting, parts: &mut Parts<'_>, out: &mut Outbox) {
        let Waiting { stream, request, service, .. } = waiting;
        let how = (Port::Tls, Patience::HasWaited);
        match self.answer(now, service, &request, how, parts, out) {
            Outcome::Answer(reply) => self.reply(now, stream, reply, out),
            Outcome::AnswerOnceKept(write, reply) => {
                self.unkept.entry(write).or_default().push((stream, reply));
            }
            Outcome::WaitForKeys => {
                self.reply(now, stream, self.unavailable("identity service does not answer"), out);
            }
        }
        self.serve(now, stream, parts, out);
    }

    fn reply(&mut self, now: Time, stream: StreamId, reply: Reply, out: &mut Outbox) {
        if let Some(event) = reply.event {
            out.note(event);
        }
        if let Some(peer) = self.connections.peer(stream) {
            out.note(Note::sent(peer, format!("{} {}", reply.answer.status().as_u16(), reply.what)));
            self.connections.answer(now, stream, reply.answer, out);
        }
    }

    fn answer(
        &mut self,
        now: Time,
        service: Service,
        request: &Request<Bytes>,
        (port, patience): (Port, Patience),
        parts: &mut Parts<'_>,
        out: &mut Outbox,
    ) -> Outcome {
        if patience == Patience::MayWait
            && let Some(status) = parts.faults.take(service.exchange())
        {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return Outcome::Answer(bare(status, "as the story wants it"));
        }
        if request.method() != service.method() {
            let mut reply = bare(StatusCode::METHOD_NOT_ALLOWED, "not this method");
            let allowed = if service.method() == net::http::Method::GET { "GET" } else { "POST" };
            reply.answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
            return Outcome::Answer(reply);
        }
        let host = text(request, header::HOST.as_str());
        let user = discovery::sip_uri(request.uri().query());
        let plain = |answer| Outcome::Answer(Reply::new(answer, service.title()));
        match service {
            Service::Root if port == Port::Plain => {
                plain(discovery::plain_root(&self.site, host, user.as_deref()))
            }
            Service::Root => plain(discovery::root(&self.site, host, user.as_deref())),
            Service::Domain => plain(discovery::domain(&self.site, host)),
            Service::User => self.user_document(now, request, user.as_deref(), patience, parts),
            Service::TicketMetadata => plain(metadata::web_ticket(&self.site)),
            Service::CertificateMetadata => plain(metadata::certificate(&self.site)),
            Service::TicketByPassword => Outcome::Answer(self.ticket_by_password(now, request, parts)),
            Service::TicketByToken => self.ticket_by_token(now, request, patience, parts),
            Service::Certificate => self.certificate(now, request, parts, out),
            Service::RootChain => Outcome::Answer(self.root_chain(request, parts)),
        }
    }

    fn user_document(
        &mut self,
        now: Time,
        request: &Request<Bytes>,
        asked: Option<&str>,
        patience: Patience,
        parts: &mut Parts<'_>,
    ) -> Outcome {
        let unauthorized = |refusal: Option<&Refusal>| {
            let what = refusal.map_or("show a web ticket", |refusal| refusal.reason.as_str()).to_owned();
            Outcome::Answer(Reply::new(
                discovery::unauthorized(&self.site, self.tokens.issuers(), refusal),
                what,
            ))
        };
        let token = text(request, header::AUTHORIZATION.as_str())
            .and_then(|value| basic::after_scheme(value, "Bearer"))
            .filter(|token| !token.is_empty() && self.site.modern_auth.is_some());
        let account = match (text(request, "x-ms-webticket"), token) {
            (Some(shown), _) => match self.ticket_user(shown, now, parts) {
                Ok(user) => parts.accounts.find(&user),
                Err(refusal) => return unauthorized(Some(&refusal)),
            },
            (None, Some(token)) => match self.tokens.check(token, now) {
                Verdict::Good(upn) => parts.accounts.by_upn(&upn),
                Verdict::FetchKeys if patience == Patience::MayWait => return Outcome::WaitForKeys,
                Verdict::FetchKeys | Verdict::Unavailable => {
                    return Outcome::Answer(self.unavailable("identity service does not answer"));
                }
                Verdict::Refused(why) => return unauthorized(Some(&Refusal::token(why))),
            },
            (None, None) => return unauthorized(None),
        };
        let refusal = match account {
            Some(account) if !account.enabled => Some(Refusal::account(4003, "user is not enabled")),
            Some(account) if asked.is_some_and(|asked| asked != account.address) => {
                Some(Refusal::forbidden("web ticket is another user's"))
            }
            _ => None,
        };
        if let Some(refusal) = refusal {
            let refusal = refusal.with_status(StatusCode::FORBIDDEN);
            return Outcome::Answer(Reply::new(refusal.bare(&self.site.host), refusal.reason));
        }
        let host = text(request, header::HOST.as_str());
        Outcome::Answer(Reply::new(
            discovery::user(&self.site, host, account),
            match account {
                Some(account) => format!("home of {}", account.address),
                None => "no such user".to_owned(),
            },
        ))
    }

    /// The user of a web ticket that is shown in an HTTP header.
    fn ticket_user(&self, shown: &str, now: Time, parts: &Parts<'_>) -> Result<String, Refusal> {
        let encoded = shown.trim().strip_prefix("opaque=").unwrap_or(shown);
        let assertion = keys::from_base64(encoded, 8 << 10)
            .and_then(|octets| String::from_utf8(octets).ok())
            .ok_or_else(|| Refusal::token("web ticket cannot be read"))?;
        let wall = parts.clock.read(now);
        let ticket = self.tickets.check(&assertion, wall).map_err(|why| Refusal::token(why.to_string()))?;
        if !self.site.is_url_of(&ticket.audience, Service::User) {
            return Err(Refusal::token("web ticket is for another service"));
        }
        Ok(ticket.user.clone())
    }

    fn ticket_by_password(&mut self, now: Time, request: &Request<Bytes>, parts: &mut Parts<'_>) -> Reply {
        if !self.site.basic_auth {
            let refusal = not_allowed().with_status(StatusCode::FORBIDDEN);
            return Reply::new(refusal.bare(&self.site.host), refusal.reason);
        }
        let shown = text(request, header::AUTHORIZATION.as_str());
        let Some((user, password)) = shown.and_then(basic::credentials) else {
            return self.ask_password(None, "show a password");
        };
        let Some(account) = self.gate.check(parts.accounts, &user, &password, now) else {
            let of = parts.accounts.find(&user).map_or("unknown", |account| account.address.as_str());
            return self.ask_password(Some(of), "wrong user name or password");
        };
        let account = account.clone();
        self.grant(now, request, &account, Method::Password, parts)
    }

    fn ask_password(&self, refused: Option<&str>, why: &str) -> Reply {
        let refusal = Refusal::token(why).with_status(StatusCode::UNAUTHORIZED);
        let mut answer = refusal.bare(&self.site.host);
        let challenge = format!("Basic realm=\"{}\"", self.site.host);
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, header_value(&challenge));
        let reply = Reply::new(answer, why);
        match refused {
            Some(of) => reply.with(Note::event(events::WEB_TICKET_REFUSED, of, why)),
            None => reply,
        }
    }

    fn ticket_by_token(
        &mut self,
        now: Time,
        request: &Request<Bytes>,
        patience: Patience,
        parts: &mut Parts<'_>,
    ) -> Outcome {
        let Some(authorization_uri) = self.site.modern_auth.as_ref().filter(|_| self.tokens.is_on()) else {
            let refusal = not_allowed().with_status(StatusCode::FORBIDDEN);
            return Outcome::Answer(Reply::new(refusal.bare(&self.site.host), refusal.reason));
        };
        let challenge = |why: &str, error: &str| {
            let refusal = Refusal::token(why).with_status(StatusCode::UNAUTHORIZED);
            let mut answer = refusal.bare(&self.site.host);
            let text = discovery::bearer_challenge(authorization_uri, self.tokens.issuers()) + error;
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, header_value(&text));
            Reply::new(answer, why)
        };
        let shown = text(request, header::AUTHORIZATION.as_str());
        let token = shown.and_then(|value| basic::after_scheme(value, "Bearer")).unwrap_or("");
        if token.is_empty() {
            return Outcome::Answer(challenge("show an access token", ""));
        }
        let upn = match self.tokens.check(token, now) {
            Verdict::Good(upn) => upn,
            Verdict::FetchKeys if patience == Patience::MayWait => return Outcome::WaitForKeys,
            Verdict::FetchKeys | Verdict::Unavailable => {
                return Outcome::Answer(self.unavailable("identity service does not answer"));
            }
            Verdict::Refused(why) => {
                let event = Note::event(events::WEB_TICKET_REFUSED, "unknown", why);
                return Outcome::Answer(challenge(why, ", error=\"invalid_token\"").with(event));
            }
        };
        let Some(account) = parts.accounts.by_upn(&upn).cloned() else {
            let refusal = Refusal::account(4005, "user is not known");
            return Outcome::Answer(self.refuse(&upn, &refusal));
        };
        Outcome::Answer(self.grant(now, request, &account, Method::Token, parts))
    }

    /// Gives a proved account the ticket it asks for.
    fn grant(
        &mut self,
        now: Time,
        request: &Request<Bytes>,
        account: &Account,
        method: Method,
        parts: &mut Parts<'_>,
    ) -> Reply {
        let of = &account.address;
        if !account.enabled {
            return self.refuse(of, &Refusal::account(4003, "user is not enabled"));
        }
        let asked = match TicketRequest::read(request.body(), &self.site) {
            Ok(asked) => asked,
            Err(refusal) => return self.refuse(of, &refusal),
        };
        if asked.claimed.as_ref().is_some_and(|claimed| normal(claimed) != *of) {
            return self.refuse(of, &Refusal::forbidden("claimed address is another user's"));
        }
        let wall = parts.clock.read(now);
        let answer = asked.grant(account, method, &self.site, wall, &mut self.tickets, parts.random);
        let how = match method {
            Method::Password => "by password",
            Method::Token => "by access token",
        };
        Reply::new(answer, format!("web ticket for {of}")).with(Note::event(
            events::WEB_TICKET_ISSUED,
            of,
            how,
        ))
    }

    fn refuse(&self, of: &str, refusal: &Refusal) -> Reply {
        let text = format!("{} {}", refusal.id, refusal.reason);
        Reply::new(refusal.fault(&self.site.host), text.clone()).with(Note::event(
            events::WEB_TICKET_REFUSED,
            of,
            text,
        ))
    }

    fn certificate(
        &mut self,
        now: Time,
        request: &Request<Bytes>,
        parts: &mut Parts<'_>,
        out: &mut Outbox,
    ) -> Outcome {
        let wall = parts.clock.read(now);
        let tickets = &mut self.tickets;
        match certificates::get_and_publish(request.body(), &self.site, wall, tickets, parts, out) {
            Ok(issued) => {
                let reply = Reply::new(issued.answer, format!("certificate for {}", issued.user));
                match issued.write {
                    Some(write) => {
                        let event = Note::event(events::CERTIFICATE_ISSUED, issued.user, issued.text);
                        Outcome::AnswerOnceKept(write, reply.with(event))
                    }
                    None => Outcome::Answer(reply),
                }
            }
            Err(refused) => {
                let refusal = refused.refusal;
                let text = format!("{} {}", refusal.id, refusal.reason);
                let of = refused.user.unwrap_or_else(|| "unknown".to_owned());
                let event = Note::event(events::CERTIFICATE_REFUSED, of, text.clone());
                Outcome::Answer(Reply::new(refusal.fault(&self.site.host), text).with(event))
            }
        }
    }

    fn root_chain(&self, request: &Request<Bytes>, parts: &Parts<'_>) -> Reply {
        match certificates::root_chains(request.body(), parts.authority) {
            Ok(answer) => Reply::new(answer, "root chain").with(Note::event(
                events::ROOT_CHAIN_DOWNLOADED,
                &self.site.host,
                "over plain HTTP, to be pinned on first use",
            )),
            Err(refusal) => Reply::new(refusal.fault(&self.site.host), refusal.reason),
        }
    }

    fn unavailable(&self, why: &str) -> Reply {
        let refusal = Refusal::unavailable(why);
        let mut answer = refusal.bare(&self.site.host);
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
        Reply::new(answer, why)
    }
}

/// The plain HTTP port.
pub const PLAIN_PORT: u16 = 80;
/// The HTTPS port.
pub const TLS_PORT: u16 = 443;

fn not_allowed() -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        id: 28029,
        reason: "authentication type not allowed".to_owned(),
    }
}

fn bare(status: StatusCode, what: &str) -> Reply {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    }
    Reply::new(answer, what)
}

/// The value of a header field, if it stands there once and is text.
fn text<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    let mut values = request.headers().get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
