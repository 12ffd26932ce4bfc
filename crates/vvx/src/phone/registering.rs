//! What the registration says, done: registered, lost, refused, sent elsewhere.

use std::collections::VecDeque;

use net::{Outbox, StreamEvent, Time};
use url::Url;

use crate::events;
use crate::log::Level;
use crate::registration::{Registration, Said, Tools};
use crate::resolver::{Answer, Question};
use crate::sign_in::SignIn;
use crate::sign_in::certificate::Enrolled;

use super::powered::Parts;
use super::running::{ForWhom, Running, Tail};
use super::signing::endpoint;

impl Running {
    pub(super) fn register_again(
        &mut self,
        enrolled: Enrolled,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) {
        let Some(account) = &self.account else {
            return;
        };
        let who = endpoint(&account.address, parts);
        let servers = account.servers.clone();
        self.registration = Some(Registration::returning(who, servers, enrolled, &mut parts.random));
        self.reconnect(now, parts, out);
    }

    pub(super) fn registration_stream(
        &mut self,
        event: StreamEvent,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) {
        let said = self.with_registration(parts, out, |registration, tools, out| {
            registration.stream(now, event, tools, out)
        });
        self.said(said, now, parts, out);
    }

    pub(super) fn registration_woken(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let said = self
            .with_registration(parts, out, |registration, tools, out| registration.woken(now, tools, out));
        self.said(said, now, parts, out);
    }

    pub(super) fn registration_network_lost(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let said = self.with_registration(parts, out, |registration, tools, out| {
            registration.network_lost(now, tools, out)
        });
        self.said(said, now, parts, out);
    }

    /// The registration starts over at once, if there is one that is not up.
    pub(super) fn reconnect(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let said = self.with_registration(parts, out, |registration, _, out| {
            if registration.is_registered() { Vec::new() } else { registration.start(now, out) }
        });
        self.said(said, now, parts, out);
        if self.renew_at.is_some() {
            self.renew_at = Some(now);
        }
    }

    pub(super) fn with_registration(
        &mut self,
        parts: &mut Parts,
        out: &mut Outbox,
        act: impl FnOnce(&mut Registration, &mut Tools<'_>, &mut Outbox) -> Vec<Said>,
    ) -> Vec<Said> {
        let Some(registration) = &mut self.registration else {
            return Vec::new();
        };
        let names = parts.names();
        let mut tools = Tools {
            clock: parts.clock.wall(),
            trust: &parts.pool_trust,
            names,
            crypto: parts.setup.crypto,
            random: &mut parts.random,
        };
        act(registration, &mut tools, out)
    }

    /// Does what the registration says.
    pub(super) fn said(&mut self, said: Vec<Said>, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let mut said: VecDeque<Said> = said.into();
        while let Some(said) = said.pop_front() {
            self.said_one(said, now, parts, out);
        }
    }

    pub(super) fn said_one(&mut self, said: Said, now: Time, parts: &mut Parts, out: &mut Outbox) {
        match said {
            Said::LookUp(host) => match host.parse() {
                Ok(address) => {
                    self.known.push((ForWhom::Registration, Ok(Answer::Addresses(vec![address]))));
                }
                Err(_) => {
                    self.look_up(Question::Addresses(host), ForWhom::Registration, now, parts, out);
                }
            },
            Said::NeedsCertificate(service) => self.needs_certificate(service, now, parts, out),
            Said::Registered { is_back } => self.registered(is_back, now, parts, out),
            Said::Ripe => {
                if self.sign_in.is_none()
                    && self.account.as_ref().is_some_and(|account| account.credential.is_some())
                {
                    self.renew(now, parts, out);
                    self.is_early_renewal = self.sign_in.is_some();
                }
            }
            Said::Policy(document) => self.policy_came(document.as_deref(), now, parts, out),
            Said::Call(message, from) => self.call_message(&message, from, now, parts, out),
            Said::Lost(why) => {
                self.calls_lost_way(1, now, parts, out);
                self.registration_lost(why, parts, out);
            }
            Said::WasForgotten => {
                let of = self.account_address().unwrap_or_default().to_owned();
                parts.say(now, "sip", Level::Minor, "The pool had lost the binding.", out);
                parts.event(events::REGISTRATION_LOST, &of, "the pool had lost the binding", out);
                parts.event(events::REGISTRATION_RESTORED, &of, "registered anew", out);
            }
            Said::Failed(why) => {
                let why = format!("{}.", why.trim_end_matches('.'));
                self.sign_in_failed(why, now, parts, out);
            }
            Said::Refused(why) => self.refused(&format!("The pool refused: {why}."), now, parts, out),
            Said::CertificateRefused(why) => self.certificate_refused(&why, now, parts, out),
            Said::SignedOut(why) => self.sign_out(Some(&why), now, parts, out),
            Said::UnknownIssuer(host) => {
                let wants = self.sign_in.as_mut().map(|sign_in| sign_in.unknown_issuer(&host));
                match wants {
                    Some(wants) => self.want(wants, now, parts, out),
                    None => self.take_root_of(&host, now, parts, out),
                }
            }
        }
    }

    /// A signed-in phone met a pool whose root it does not know: it takes the root if it never met that pool.
    pub(super) fn take_root_of(&mut self, host: &str, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let Some(account) = &self.account else {
            return;
        };
        let (method, random) = (account.method, parts.random.fork("root"));
        let (sign_in, wants) = SignIn::root_only(host, method, self.context(parts), random);
        self.sign_in = Some(sign_in);
        self.want(wants, now, parts, out);
    }

    pub(super) fn needs_certificate(
        &mut self,
        service: Option<Url>,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) {
        match &mut self.sign_in {
            Some(sign_in) if !sign_in.is_renewal() => {
                let wants = sign_in.needs_certificate(service);
                self.want(wants, now, parts, out);
            }
            Some(_) => {}
            None => {
                if let (Some(account), Some(service)) = (&mut self.account, service) {
                    account.certificates = Some(service);
                }
                self.renew(now, parts, out);
            }
        }
    }

    pub(super) fn registered(&mut self, is_back: bool, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let of = self.account_address().unwrap_or_default().to_owned();
        let at = self.registration.as_ref().and_then(Registration::server);
        let at = at.map(|server| server.host.clone()).unwrap_or_default();
        parts.say(now, "sip", Level::Minor, &format!("Registered at {at}."), out);
        parts.event(events::REGISTERED, &of, format!("at {at}"), out);
        if std::mem::take(&mut self.has_been_lost) || is_back {
            parts.event(events::REGISTRATION_RESTORED, &of, format!("at {at}"), out);
        }
        self.unwarn("registration");
        self.was_renewed_for_refusal = false;
        self.remember_servers(now, parts, out);
        if self.tail == Tail::Registration {
            self.tail = Tail::Policy;
        }
    }

    /// Where the pool sent the phone is where it begins after the next start.
    pub(super) fn remember_servers(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let (Some(account), Some(registration)) = (&mut self.account, &self.registration) else {
            return;
        };
        let servers = registration.servers();
        if account.servers != servers {
            account.servers = servers;
            if let Err(why) = account.write(&mut parts.flash, out) {
                parts.say(now, "cfg", Level::Major, &why.to_string(), out);
            }
        }
    }

    pub(super) fn registration_lost(&mut self, why: String, parts: &mut Parts, out: &mut Outbox) {
        self.warn("registration", format!("Not registered: {}.", why.trim_end_matches('.')));
        if !std::mem::replace(&mut self.has_been_lost, true) {
            let of = self.account_address().unwrap_or_default().to_owned();
            parts.event(events::REGISTRATION_LOST, &of, why, out);
        }
    }

    /// Somebody said no for good.
    pub(super) fn refused(&mut self, why: &str, now: Time, parts: &mut Parts, out: &mut Outbox) {
        if self.is_by_hand && self.tail != Tail::None || self.account.is_none() {
            self.sign_in_failed(why.to_owned(), now, parts, out);
        } else {
            self.sign_out(Some(why), now, parts, out);
        }
    }

    pub(super) fn certificate_refused(&mut self, why: &str, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let can_renew = self.account.as_ref().is_some_and(|account| account.credential.is_some());
        if std::mem::replace(&mut self.was_renewed_for_refusal, true) || !can_renew {
            self.refused(&format!("The pool does not accept the certificate: {why}."), now, parts, out);
            return;
        }
        parts.say(now, "tickt", Level::Minor, &format!("The pool refuses the certificate: {why}"), out);
        // Another pool than the one that issued it may want its own.
        let service = self.registration.as_ref().and_then(Registration::certificate_service).cloned();
        if let (Some(account), Some(service)) = (&mut self.account, service) {
            account.certificates = Some(service);
        }
        self.renew(now, parts, out);
    }
}
