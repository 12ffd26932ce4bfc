//! Which answer a request gets: one function for each service.

use bytes::Bytes;
use net::http::{HeaderValue, Method as Verb, Request, StatusCode, header};
use net::{Note, Outbox, Time};
use std::borrow::Cow;

use super::connections::Port;
use super::site::Service;
use super::soap::Refusal;
use super::ticket::TicketRequest;
use super::tickets::Method;
use super::tokens::Verdict;
use super::{Asker, Outcome, Patience, Reply, UNKEPT_LIMIT, Web};
use super::{basic, certificates, discovery, keys, metadata};
use crate::accounts::Account;
use crate::events;
use crate::registrar::Parts;

/// When to come again, in seconds.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("30");

impl Web {
    /// Answers a request to a service, or says what the answer waits for.
    pub(super) fn answer(
        &mut self,
        now: Time,
        service: Service,
        request: &Request<Bytes>,
        asker: Asker,
        parts: &mut Parts<'_>,
        out: &mut Outbox,
    ) -> Outcome {
        if asker.patience == Patience::MayWait
            && let Some(status) = parts.faults.take(service.exchange())
        {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut reply = Reply::bare(status, "as the story wants it");
            if status == StatusCode::SERVICE_UNAVAILABLE {
                reply.answer.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_S);
            }
            return Outcome::Answer(reply);
        }
        if request.method() != service.method() {
            let mut reply = Reply::bare(StatusCode::METHOD_NOT_ALLOWED, "not this method");
            let allowed = if service.method() == Verb::GET { "GET" } else { "POST" };
            reply.answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
            return Outcome::Answer(reply);
        }
        let host = text(request, header::HOST.as_str());
        let user = discovery::sip_uri(request.uri().query());
        let plain = |answer| Outcome::Answer(Reply::new(answer, service.title()));
        match service {
            Service::Root if asker.port == Port::Plain => {
                plain(discovery::plain_root(&self.site, host, user.as_deref()))
            }
            Service::Root => plain(discovery::root(&self.site, host, user.as_deref())),
            Service::Domain => plain(discovery::domain(&self.site, host)),
            Service::User => self.user_document(now, request, user.as_deref(), asker.patience, parts),
            Service::TicketMetadata => plain(metadata::web_ticket(&self.site)),
            Service::CertificateMetadata => plain(metadata::certificate(&self.site)),
            Service::TicketByPassword => Outcome::Answer(self.ticket_by_password(now, request, asker, parts)),
            Service::TicketByToken => self.ticket_by_token(now, request, asker.patience, parts),
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
        let found = match (text(request, "x-ms-webticket"), token) {
            (Some(shown), _) => match self.ticket_user(shown, now, parts) {
                Ok(user) => parts.accounts.find(&user),
                Err(refusal) => return unauthorized(Some(&refusal)),
            },
            (None, Some(token)) => match self.tokens.check(token, parts.clock, now) {
                Verdict::Good(upn) => parts.accounts.by_upn(&upn),
                Verdict::FetchKeys if patience == Patience::MayWait => return Outcome::WaitForKeys,
                Verdict::FetchKeys | Verdict::Unavailable => {
                    return Outcome::Answer(self.unavailable("identity service does not answer"));
                }
                Verdict::Refused(why) => return unauthorized(Some(&Refusal::token(why))),
            },
            (None, None) => return unauthorized(None),
        };
        let account = found.as_deref();
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

    fn ticket_by_password(
        &mut self,
        now: Time,
        request: &Request<Bytes>,
        asker: Asker,
        parts: &mut Parts<'_>,
    ) -> Reply {
        if !self.site.basic_auth {
            let refusal = not_allowed().with_status(StatusCode::FORBIDDEN);
            return Reply::new(refusal.bare(&self.site.host), refusal.reason);
        }
        let shown = text(request, header::AUTHORIZATION.as_str());
        let Some((user, password)) = shown.and_then(basic::credentials) else {
            return self.ask_password(None, "show a password");
        };
        let Some(account) = self.gate.check(parts.accounts, (&user, &password), asker.peer.ip(), now) else {
            let of =
                parts.accounts.find(&user).map_or("unknown".to_owned(), |account| account.address.clone());
            return self.ask_password(Some(&of), "wrong user name or password");
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
        let upn = match self.tokens.check(token, parts.clock, now) {
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
        let Some(account) = parts.accounts.by_upn(&upn).map(Cow::into_owned) else {
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
        if asked.claimed.as_ref().is_some_and(|claimed| claimed != of) {
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
        if self.unkept.len() >= UNKEPT_LIMIT {
            return Outcome::Answer(self.unavailable("too many wait for the disk"));
        }
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

    /// The pool cannot answer for now; come again.
    pub(super) fn unavailable(&self, why: &str) -> Reply {
        let refusal = Refusal::unavailable(why);
        let mut answer = refusal.bare(&self.site.host);
        answer.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_S);
        Reply::new(answer, why)
    }
}

fn not_allowed() -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        id: 28029,
        reason: "authentication type not allowed".to_owned(),
    }
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
