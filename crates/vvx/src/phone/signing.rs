//! Signing in and out: what the sign-in wants of the phone, done.

use net::{Outbox, Time};
use sip::endpoint::Instance;

use crate::events;
use crate::log::Level;
use crate::registration::Registration;
use crate::registration::messages::Endpoint;
use crate::resolver::Question;
use crate::sign_in::certificate::Enrolled;
use crate::sign_in::root_chain::Root;
use crate::sign_in::tokens::Secret;
use crate::sign_in::{Context, Credential, Method, SignIn, Want};

use super::account::{self, Account};
use super::powered::Parts;
use super::running::{ForWhom, OnceKept, Running, Tail};
use super::view::View;

/// The setting that names the slot for a pool's own root; 0 means that none is downloaded.
const ROOT_SLOT: &str = "reg.1.lync.autoProvisionCertLocation";

impl Running {
    /// Begins a sign-in by code.
    pub(super) fn sign_in_by_code(&mut self, method: Method, now: Time, parts: &mut Parts, out: &mut Outbox) {
        self.forget_sign_in(now, parts, out);
        self.unwarn("sign-in");
        self.is_by_hand = true;
        let (sign_in, wants) = SignIn::by_code(method, self.context(parts), parts.random.fork("sign-in"));
        self.sign_in = Some(sign_in);
        self.view = View::SigningIn;
        self.want(wants, now, parts, out);
    }

    /// Begins a sign-in by password.
    ///
    /// # Errors
    ///
    /// In words, if what was typed cannot be anybody's.
    pub(super) fn sign_in_by_password(
        &mut self,
        address: &str,
        user: String,
        password: Secret,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) -> Result<(), String> {
        self.forget_sign_in(now, parts, out);
        self.unwarn("sign-in");
        let random = parts.random.fork("sign-in");
        let (sign_in, wants) = SignIn::by_password(address, user, password, self.context(parts), random)?;
        self.is_by_hand = true;
        self.sign_in = Some(sign_in);
        self.view = View::SigningIn;
        self.want(wants, now, parts, out);
        Ok(())
    }

    pub(super) fn context(&self, parts: &Parts) -> Context {
        Context {
            application: parts.setup.application.clone(),
            hints: self.hints(),
            device: instance(parts),
            pinned: account::pinned_hosts(&parts.flash),
            may_take_roots: parts.config.text(ROOT_SLOT).trim() != "0",
            crypto: parts.setup.crypto,
        }
    }

    /// Does what the sign-in wants.
    pub(super) fn want(&mut self, wants: Vec<Want>, now: Time, parts: &mut Parts, out: &mut Outbox) {
        for want in wants {
            match want {
                Want::Ask(ask) => self.ask(&ask, now, parts, out),
                Want::LookUp(name) => {
                    self.look_up(Question::Services(name), ForWhom::SignIn, now, parts, out);
                }
                Want::ShowCode => {
                    self.view = View::WebCode;
                    let page = self.page(parts).unwrap_or_default().to_owned();
                    let name = parts.setup.name.clone();
                    parts.event(events::CODE_SHOWN, &name, format!("a code for {page}"), out);
                }
                Want::Expired => {
                    self.view = View::WebCodeExpired;
                    let name = parts.setup.name.clone();
                    parts.event(events::CODE_EXPIRED, &name, "nobody used the code in time", out);
                }
                Want::Owner(address) => {
                    self.view = View::SigningIn;
                    parts.say(now, "so", Level::Minor, &format!("Signing in {address}."), out);
                    parts.event(events::SIGNING_IN, &address, "looking for the pool", out);
                }
                Want::Pin(host, roots) => self.pin(&host, &roots, now, parts, out),
                Want::Register(servers) => {
                    let address = self.sign_in.as_ref().map_or("", SignIn::address).to_owned();
                    let who = endpoint(&address, parts);
                    let registration = Registration::interactive(who, servers, &mut parts.random);
                    self.registration = Some(registration);
                    self.reconnect(now, parts, out);
                }
                Want::Reconnect => {
                    // A mere download of a root is done with that.
                    if self.account.is_some() {
                        self.sign_in.take_if(|sign_in| sign_in.is_renewal());
                    }
                    self.reconnect(now, parts, out);
                }
                Want::Keep(enrolled) => self.keep(*enrolled, now, parts, out),
                Want::KeepCredential(credential) => self.keep_credential(*credential, now, parts, out),
                Want::Certified(enrolled) => self.certified(*enrolled, now, parts, out),
                Want::Failed { why, is_refusal } => self.want_failed(why, is_refusal, now, parts, out),
            }
        }
    }

    fn pin(&mut self, host: &str, roots: &[Root], now: Time, parts: &mut Parts, out: &mut Outbox) {
        let certificates: Vec<_> = roots.iter().map(|root| root.certificate.clone()).collect();
        if let Err(why) = account::keep_roots(host, &certificates, &mut parts.flash, out) {
            parts.say(now, "cert", Level::Major, &why.to_string(), out);
        }
        parts.trust_roots();
        let name = parts.setup.name.clone();
        for root in roots {
            let text = format!("Root of {host} trusted on first use: SHA-256 {}", root.fingerprint);
            parts.say(now, "cert", Level::Always, &text, out);
            parts.event(events::ROOT_TRUSTED, &name, format!("of {host}, SHA-256 {}", root.fingerprint), out);
        }
    }

    /// A renewal got a new refresh token: it takes the old one's place at once.
    fn keep_credential(&mut self, credential: Credential, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let Some(account) = &mut self.account else { return };
        account.credential = Some(credential);
        if let Err(why) = account.write(&mut parts.flash, out) {
            parts.say(now, "tickt", Level::Major, &why.to_string(), out);
        }
    }

    /// Certificate and credentials go into flash; the phone waits until they are safe there.
    fn keep(&mut self, enrolled: Enrolled, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let Some(sign_in) = &self.sign_in else {
            return;
        };
        let known = self.account.as_ref();
        let account = Account {
            address: sign_in.address().to_owned(),
            method: sign_in.method(),
            credential: sign_in.credential().cloned(),
            enrolled: Some(enrolled),
            servers: match known {
                Some(account) if sign_in.servers().is_empty() => account.servers.clone(),
                _ => sign_in.servers().to_vec(),
            },
            certificates: sign_in.certificates().cloned(),
        };
        match account.write(&mut parts.flash, out) {
            Ok(write) => self.kept.push((write, OnceKept::Certificate)),
            Err(why) => {
                self.want_failed(format!("The certificate cannot be kept: {why}."), true, now, parts, out)
            }
        }
    }

    /// The certificate is safe: the registration goes on with it.
    fn certified(&mut self, enrolled: Enrolled, now: Time, parts: &mut Parts, out: &mut Outbox) {
        self.account = Account::read(&parts.flash);
        let was_renewal = self.sign_in.take().is_some_and(|sign_in| sign_in.is_renewal());
        self.is_early_renewal = false;
        self.unwarn("credentials");
        if !was_renewal {
            self.tail = Tail::Registration;
            self.was_renewed_for_refusal = false;
        }
        self.renew_patience_again();
        if self.registration.is_none() {
            self.register_again(enrolled, now, parts, out);
            return;
        }
        let said = self.with_registration(parts, out, |registration, tools, out| {
            registration.certified(enrolled, now, tools, out)
        });
        self.said(said, now, parts, out);
    }

    /// After a restart: the certificate signs the phone in, or else what can renew it.
    pub(super) fn come_back(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let Some(account) = &self.account else {
            return;
        };
        self.tail = Tail::Registration;
        self.is_by_hand = false;
        if self.lock.is_locked() {
            self.view = View::Locked;
        }
        let address = account.address.clone();
        parts.say(now, "so", Level::Minor, &format!("Signing {address} in again."), out);
        parts.event(events::SIGNING_IN, &address, "coming back by itself", out);
        let wall = parts.clock.read(now);
        // A clock that was never set says nothing about the end of a certificate.
        let usable = account.enrolled.clone().filter(|own| !parts.clock.is_synced() || !own.is_over_at(wall));
        match usable {
            Some(enrolled) => self.register_again(enrolled, now, parts, out),
            None => self.renew(now, parts, out),
        }
    }

    /// Gets a new certificate for whoever is signed in.
    pub(super) fn renew(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let Some(account) = &self.account else {
            return;
        };
        if self.sign_in.is_some() {
            return;
        }
        let (Some(credential), Some(certificates)) =
            (account.credential.clone(), account.certificates.clone())
        else {
            let why = "The certificate is of no use any more, and nothing else is left to sign in with.";
            self.sign_out(Some(why), now, parts, out);
            return;
        };
        parts.say(now, "tickt", Level::Minor, "Renewing the certificate.", out);
        let (method, address) = (account.method, account.address.clone());
        let context = self.context(parts);
        let random = parts.random.fork("renewal");
        let (sign_in, wants) = SignIn::renewal(method, address, credential, certificates, context, random);
        self.sign_in = Some(sign_in);
        self.want(wants, now, parts, out);
    }

    fn want_failed(&mut self, why: String, is_refusal: bool, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let was_renewal = self.sign_in.as_ref().is_some_and(SignIn::is_renewal);
        if !was_renewal {
            self.sign_in_failed(why, now, parts, out);
            return;
        }
        self.sign_in = None;
        parts.say(now, "tickt", Level::Minor, &format!("No new certificate: {why}"), out);
        if std::mem::take(&mut self.is_early_renewal) {
            // The old one is good for a long time yet; the next re-authentication asks again.
            self.warn("credentials", format!("The sign-in cannot be renewed: {why}"));
            return;
        }
        let is_waiting_for_root = self.registration.as_ref().is_some_and(Registration::waits_for_issuer);
        if is_waiting_for_root {
            let said = self.with_registration(parts, out, |registration, tools, out| {
                registration.issuer_stays_unknown(now, tools, out)
            });
            self.said(said, now, parts, out);
        } else if is_refusal {
            self.sign_out(Some(&why), now, parts, out);
        } else {
            self.registration_lost(why, parts, out);
            self.renew_later(now);
        }
    }

    /// A sign-in that somebody waits for came to nothing.
    pub(super) fn sign_in_failed(&mut self, why: String, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let of = self.account_address().unwrap_or(&parts.setup.name).to_owned();
        self.forget_sign_in(now, parts, out);
        self.forget_account(now, parts, out);
        parts.say(now, "tickt", Level::Major, &format!("Sign-in failed: {why}"), out);
        parts.event(events::SIGN_IN_FAILED, &of, why.clone(), out);
        self.view = View::SignInFailed(why);
    }

    /// Ends whatever sign-in is under way, without a word.
    pub(super) fn forget_sign_in(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        self.cancel_request(now, parts, out);
        self.sign_in = None;
        self.kept.retain(|(_, then)| *then != OnceKept::Certificate);
        self.lookups.clear();
        self.known.clear();
        if self.account.is_none() {
            self.end_registration(now, parts, out);
        }
    }

    fn end_registration(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        self.drop_calls(now, parts, out);
        self.with_registration(parts, out, |registration, tools, out| {
            registration.sign_out(now, tools, out);
            Vec::new()
        });
        self.registration = None;
    }

    /// Erases everything of the account, in flash too.
    fn forget_account(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        self.end_registration(now, parts, out);
        if let Err(why) = account::erase(&mut parts.flash, out) {
            parts.say(now, "cfg", Level::Fatal, &why.to_string(), out);
        }
        self.account = None;
        self.tail = Tail::None;
        self.lock.set(None, now);
        self.policy = crate::registration::policy::Policy::default();
        self.renew_at = None;
        self.has_been_lost = false;
        self.was_renewed_for_refusal = false;
        self.kept.clear();
        self.unwarn("registration");
        self.unwarn("credentials");
        self.is_early_renewal = false;
    }

    /// Signs out, by the user's will or for a reason that the display will show.
    pub(super) fn sign_out(&mut self, why: Option<&str>, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let of = self.account_address().unwrap_or_default().to_owned();
        self.forget_sign_in(now, parts, out);
        self.forget_account(now, parts, out);
        self.view = View::Home;
        if let Some(why) = why {
            self.warn("sign-in", why.to_owned());
        }
        let text = why.unwrap_or("by the user").to_owned();
        parts.say(now, "so", Level::Minor, &format!("Signed out: {text}"), out);
        parts.event(events::SIGNED_OUT, &of, text, out);
    }

    pub(super) fn once_kept(&mut self, then: OnceKept, now: Time, parts: &mut Parts, out: &mut Outbox) {
        match then {
            OnceKept::Certificate => {
                let Some(sign_in) = &mut self.sign_in else {
                    return;
                };
                let of = sign_in.address().to_owned();
                let wants = sign_in.kept();
                parts.event(events::CERTIFICATE_STORED, &of, "certificate and key are in flash", out);
                self.want(wants, now, parts, out);
            }
            OnceKept::LockCode(reason) => self.lock_code_kept(reason, now, parts, out),
        }
    }
}

/// The phone's endpoint id. That it is made of the hardware address is a guess; what matters is that it stays.
fn epid(parts: &Parts) -> String {
    parts.setup.mac.to_string()[2..].to_owned()
}

/// The phone as registrars know it, without braces.
pub(super) fn instance(parts: &Parts) -> String {
    Instance::of_epid(&epid(parts)).to_string()
}

/// The endpoint of `address` on this phone.
pub(super) fn endpoint(address: &str, parts: &Parts) -> Endpoint {
    let epid = epid(parts);
    Endpoint {
        address: address.to_owned(),
        instance: Instance::of_epid(&epid),
        epid,
        user_agent: parts.setup.firmware.sip_agent(parts.setup.model, None),
    }
}
