//! The common-area portal: an administrator gives a shared phone its account.
//!
//! The phone shows an ordinary device code. The portal gives the account a new random password, which voids
//! what the old one bought, and approves the code for the account with the method `pwd`. Whatever asks for a
//! person at the account's side makes that impossible: a second factor, a condition, a password owned elsewhere.
//! How the copied portal does it inside is not public; this model is a guess that fits what is seen outside.

use net::{Note, Outbox};

use crate::ask::{code_advice, shortened};
use crate::device_code::{Approval, NotClaimed};
use crate::errors::Fault;
use crate::events;
use crate::pages::{self, Found, Shown, Tile, View};
use crate::people::Record;
use crate::policy::Way;
use crate::service::{Call, Service};
use crate::sessions::{Cookie, Flow, Purpose, Step};
use crate::setup::{Kind, Role};
use crate::turn::Turn;

/// Accounts that one search shows.
const SHOWN: usize = 50;
/// Symbols of a random password: letters and digits that do not look alike.
const SYMBOLS: &[u8; 56] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";

/// Why an account cannot be provisioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Obstacle {
    #[error("its password belongs to another directory")]
    Synced,
    #[error("sign-in is switched off")]
    Disabled,
    #[error("it has no licence for a phone")]
    NoLicence,
    #[error("it needs a second factor, which nobody can give on a shared phone")]
    SecondFactor,
    #[error("the tenant's conditions block it")]
    Conditions,
}

impl Obstacle {
    /// The word in the page's `data-error`.
    fn word(self) -> &'static str {
        match self {
            Obstacle::Synced => "account-synced",
            Obstacle::Disabled => "account-disabled",
            Obstacle::NoLicence => "no-licence",
            Obstacle::SecondFactor => "second-factor-required",
            Obstacle::Conditions => "53003",
        }
    }

    fn short(self) -> &'static str {
        match self {
            Obstacle::Synced => "Synchronised account",
            Obstacle::Disabled => "Switched off",
            Obstacle::NoLicence => "No phone licence",
            Obstacle::SecondFactor => "Needs a second factor",
            Obstacle::Conditions => "Blocked by conditions",
        }
    }
}

impl Service {
    /// The portal's address was opened: home if an administrator is signed in, else the sign-in pages.
    pub(crate) fn portal_opened(&mut self, call: &Call, cookie: &mut Cookie, out: &mut Outbox) -> Turn {
        let administrator = self.administrator(cookie, call);
        match administrator {
            Some(oid) => self.portal_home(call, cookie, &oid, out),
            None => self.ask_account(call, cookie, Flow::new(Purpose::Portal, Step::Username)),
        }
    }

    /// The search page for `oid`, if that is an administrator.
    pub(crate) fn portal_home(&mut self, call: &Call, _: &mut Cookie, oid: &str, out: &mut Outbox) -> Turn {
        let Some(record) = self.people.get(oid) else { return Turn::Fail(Fault::of(50034)) };
        if record.role != Role::Administrator {
            let text = format!("is no administrator, from {}", call.peer);
            out.note(Note::event(events::PROVISIONING_REFUSED, record.of(), text));
            let page = pages::Failed {
                frame: frame_with("not-administrator", "Only administrators may provision phones."),
                title: "You may not use this portal".into(),
                advice: "Sign in with an administrator's account.".into(),
                trace: call.trace.id.clone(),
                correlation: call.trace.correlation.clone(),
                stamp: crate::errors::stamp(call.at),
                again: "/cap/signin",
            };
            return Turn::End(View::Failed(page));
        }
        let mut flow = Flow::new(Purpose::Portal, Step::PortalHome);
        flow.oid = Some(oid.to_owned());
        let frame = pages::Frame { visitor: record.upn.clone(), ..Default::default() };
        let page = pages::PortalHome { frame, name: String::new(), common_only: true };
        Turn::Next(flow, View::PortalHome(page))
    }

    /// Who administers behind this browser.
    fn administrator(&mut self, cookie: &Cookie, call: &Call) -> Option<String> {
        let known = self.signed_in(cookie, call);
        let is_administrator = |oid: &str| {
            self.people.get(oid).is_some_and(|record| {
                record.role == Role::Administrator && self.policies.check(record, Way::Browser).is_ok()
            })
        };
        known.into_iter().map(|who| who.oid).find(|oid| is_administrator(oid))
    }

    /// The administrator that a form's way belongs to, if still signed in.
    fn still(&mut self, cookie: &Cookie, call: &Call, flow: &Flow) -> Result<Record, Fault> {
        let oid = flow.oid.clone().unwrap_or_default();
        let is_signed_in = self.signed_in(cookie, call).iter().any(|who| who.oid == oid);
        let record = self.people.get(&oid).filter(|record| record.role == Role::Administrator);
        record.filter(|_| is_signed_in).cloned().ok_or_else(|| Fault::of(50133))
    }

    /// A search.
    pub(crate) fn portal_searched(
        &mut self,
        call: &Call,
        cookie: &mut Cookie,
        flow: Flow,
        _: &mut Outbox,
    ) -> Turn {
        let administrator = match self.still(cookie, call, &flow) {
            Ok(record) => record,
            Err(fault) => return Turn::Fail(fault),
        };
        let name: String = call.form.value("name").unwrap_or_default().trim().chars().take(113).collect();
        let common_only = call.form.value("common") == Some("1");
        let wanted = name.to_lowercase();
        let fits = |record: &&Record| {
            let is_named = record.display_name.to_lowercase().contains(&wanted)
                || record.upn.to_lowercase().contains(&wanted);
            is_named && (!common_only || record.kind == Kind::CommonArea)
        };
        let mut found: Vec<Found> =
            self.people.all().filter(fits).take(SHOWN + 1).map(|record| self.found(record)).collect();
        let has_more = found.len() > SHOWN;
        found.truncate(SHOWN);
        let frame = pages::Frame { visitor: administrator.upn, ..Default::default() };
        let page = pages::PortalSearch { frame, name, common_only, found, has_more };
        Turn::Next(flow.at(Step::PortalSearch), View::PortalSearch(page))
    }

    fn found(&self, record: &Record) -> Found {
        Found {
            tile: tile(record),
            kind: match record.kind {
                Kind::Person => "Person",
                Kind::CommonArea => "Common area",
            },
            obstacle: self.obstacle(record).map_or("", Obstacle::short),
        }
    }

    fn obstacle(&self, record: &Record) -> Option<Obstacle> {
        let needs_second = record.totp.is_some() || self.policies.requires_second_factor;
        match () {
            () if record.synced => Some(Obstacle::Synced),
            () if !record.enabled => Some(Obstacle::Disabled),
            () if !record.licensed => Some(Obstacle::NoLicence),
            () if needs_second => Some(Obstacle::SecondFactor),
            () if self.policies.check(record, Way::DeviceCode).is_err() => Some(Obstacle::Conditions),
            () => None,
        }
    }

    /// An account was chosen.
    pub(crate) fn portal_chosen(
        &mut self,
        call: &Call,
        cookie: &mut Cookie,
        mut flow: Flow,
        _: &mut Outbox,
    ) -> Turn {
        let administrator = match self.still(cookie, call, &flow) {
            Ok(record) => record,
            Err(fault) => return Turn::Fail(fault),
        };
        let Some(record) = call.form.value("account").and_then(|oid| self.people.get(oid)) else {
            return Turn::Fail(Fault::of(50034));
        };
        flow.account = Some(record.oid.clone());
        ask_phone_code(flow, &administrator, tile(record), "", None)
    }

    /// The phone's code was typed.
    pub(crate) fn portal_provisioned(
        &mut self,
        call: &Call,
        cookie: &mut Cookie,
        flow: Flow,
        out: &mut Outbox,
    ) -> Turn {
        let administrator = match self.still(cookie, call, &flow) {
            Ok(record) => record,
            Err(fault) => return Turn::Fail(fault),
        };
        if call.form.value("choice") == Some("back") {
            return self.portal_home(call, cookie, &administrator.oid, out);
        }
        let Some(session) = self.session_number(cookie, call) else { return Turn::Fail(Fault::of(50089)) };
        let Some(record) = flow.account.as_ref().and_then(|oid| self.people.get(oid)).cloned() else {
            return Turn::Fail(Fault::of(50034));
        };
        let typed = call.form.value("user_code").unwrap_or_default().trim().to_owned();
        let refuse = |flow: Flow, word: &str, text: &str, out: &mut Outbox| {
            let said = format!("{word}, by {} from {}", administrator.upn, call.peer);
            out.note(Note::event(events::PROVISIONING_REFUSED, record.of(), said));
            let shown = Shown { code: word.to_owned(), text: text.to_owned() };
            ask_phone_code(flow, &administrator, tile(&record), &shortened(&typed), Some(shown))
        };
        if let Some(obstacle) = self.obstacle(&record) {
            let text = format!("This account cannot be provisioned: {obstacle}.");
            return refuse(flow, obstacle.word(), &text, out);
        }
        if typed.is_empty() {
            return refuse(flow, "90119", code_advice(&Fault::of(90119)), out);
        }
        if let Some(wait) = self.wrong_codes_wait(call, session) {
            out.note(Note::event(events::REQUEST_THROTTLED, call.peer(), "too many wrong user codes"));
            return Turn::Fail(Fault::of(90055).after(wait));
        }
        let claimed = self.codes.claim(&typed, session, call.now);
        let (id, client_id) = match claimed.map(|(id, asked)| (id, asked.client_id.clone())) {
            Ok(found) => found,
            Err(why) => {
                self.count_wrong_code(call, session, out);
                let fault = Fault::of(why.number());
                return refuse(flow, &fault.number.to_string(), code_advice(&fault), out);
            }
        };
        let application = match self.application(&client_id) {
            Ok(application) => application.clone(),
            Err(fault) => return Turn::Fail(fault),
        };
        if !application.consented {
            return refuse(
                flow,
                "90094",
                "An administrator must agree to the phone's application first.",
                out,
            );
        }
        let password: String =
            (0..24).map(|_| char::from(SYMBOLS[self.random.below(SYMBOLS.len() as u64) as usize])).collect();
        self.people.set_password(&record.oid, &password, &mut self.random);
        self.codes.revoke(&record.oid);
        self.keep_account(&record.oid, out);
        let said = format!("reset by the portal, by {}", administrator.upn);
        out.note(Note::event(events::PASSWORD_CHANGED, record.of(), said));
        let approval = Approval {
            oid: record.oid.clone(),
            epoch: self.people.get(&record.oid).map_or(0, |record| record.epoch),
            methods: vec!["pwd".into()],
            auth_time: call.at.unix_secs(),
            address: call.peer(),
        };
        let approved: Result<(), NotClaimed> = self.codes.approve(id, session, approval, call.now);
        if let Err(why) = approved {
            return Turn::Fail(Fault::of(why.number()));
        }
        let said = format!("for {} by {} from {}", application.name, administrator.upn, call.peer);
        out.note(Note::event(events::DEVICE_CODE_APPROVED, record.of(), said.clone()));
        out.note(Note::event(events::ACCOUNT_PROVISIONED, record.of(), said));
        let frame = pages::Frame { visitor: administrator.upn.clone(), ..Default::default() };
        let page = pages::PortalDone { frame, account: tile(&record), application: application.name };
        Turn::End(View::PortalDone(page))
    }
}

fn ask_phone_code(
    flow: Flow,
    administrator: &Record,
    account: Tile,
    typed: &str,
    error: Option<Shown>,
) -> Turn {
    let frame = pages::Frame { visitor: administrator.upn.clone(), error, ..Default::default() };
    let page = pages::PortalProvision { frame, account, typed: typed.to_owned() };
    Turn::Next(flow.at(Step::PortalProvision), View::PortalProvision(page))
}

fn frame_with(code: &str, text: &str) -> pages::Frame {
    let error = Some(Shown { code: code.to_owned(), text: text.to_owned() });
    pages::Frame { error, ..Default::default() }
}

fn tile(record: &Record) -> Tile {
    Tile { oid: record.oid.clone(), upn: record.upn.clone(), name: record.display_name.clone() }
}
