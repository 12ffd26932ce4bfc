//! The way through the pages: code, application, account, password, second factor, approval.
//!
//! Each form names the step it belongs to and brings its guard back; what the step found out lives in the
//! flow, on this side. The order of checks is that of [`crate::policy`]. A device is approved only after a page
//! that names it was answered by an explicit form, never silently.

use net::{Note, Outbox};

use crate::ask::{
    ask_new_password, ask_password, ask_second_factor, ask_username, code_advice, device_of, enter_code,
    shortened, with_error,
};
use crate::device_code::NotClaimed;
use crate::errors::{Fault, stamp};
use crate::events;
use crate::mfa;
use crate::pages::{self, Tile, View};
use crate::people::{Failures, PASSWORD_LIMIT, Tried};
use crate::profile::Profile;
use crate::secret::{Secret, is_same};
use crate::service::{Call, Service};
use crate::sessions::{Cookie, Flow, Purpose, Step};
use crate::turn::Turn;

/// Characters that a new password must have.
const SHORTEST_PASSWORD: usize = 8;

impl Service {
    /// The page that asks for a code, with `typed` already in it.
    pub(crate) fn ask_code(&mut self, typed: &str) -> Turn {
        Turn::Next(Flow::new(Purpose::Code, Step::EnterCode), enter_code(&shortened(typed)))
    }

    /// Somebody typed a code.
    pub(crate) fn code_typed(
        &mut self,
        call: &Call,
        cookie: &mut Cookie,
        flow: Flow,
        out: &mut Outbox,
    ) -> Turn {
        let Some(session) = self.session_number(cookie, call) else { return Turn::Fail(Fault::of(50089)) };
        let typed = call.form.value("otc").unwrap_or_default().trim().to_owned();
        let again = |flow: Flow, fault: Fault| {
            Turn::Next(flow, with_error(enter_code(&shortened(&typed)), fault.number, code_advice(&fault)))
        };
        if typed.is_empty() {
            return again(flow, Fault::of(90119));
        }
        if let Some(wait) = self.wrong_codes_wait(call, session) {
            out.note(Note::event(events::REQUEST_THROTTLED, call.peer(), "too many wrong user codes"));
            return Turn::Fail(Fault::of(90055).after(wait));
        }
        let claimed = self.codes.claim(&typed, session, call.now);
        let claimed = claimed.map(|(id, asked)| (id, asked.clone()));
        let (id, asked) = match claimed {
            Ok(found) => found,
            Err(why) => {
                self.count_wrong_code(call, session, out);
                // RFC 8628 §5.1: a guesser should learn no more than that it did not work.
                let is_rfc = self.setup.profile == Profile::Rfc8628;
                return again(flow, Fault::of(if is_rfc { 70018 } else { why.number() }));
            }
        };
        let name = match self.application(&asked.client_id) {
            Ok(application) => application.name.clone(),
            Err(fault) => return Turn::Fail(fault),
        };
        let text = format!("in a browser at {}", call.peer);
        out.note(Note::event(events::DEVICE_CODE_CLAIMED, name.clone(), text));
        let purpose = Purpose::Device {
            id,
            user_code: typed.to_uppercase().into(),
            client_id: asked.client_id,
            application: name,
            address: asked.address,
            asked: stamp(net::Wall::from_unix_secs(asked.at)),
        };
        let flow = Flow::new(purpose, Step::ConfirmApp);
        if self.setup.profile.confirms_first()
            && let Some(device) = device_of(&flow)
        {
            let page = pages::ConfirmApp { frame: Default::default(), device };
            return Turn::Next(flow, View::ConfirmApp(page));
        }
        self.ask_account(call, cookie, flow)
    }

    /// The page that names the application was answered.
    pub(crate) fn app_confirmed(
        &mut self,
        call: &Call,
        cookie: &mut Cookie,
        flow: Flow,
        out: &mut Outbox,
    ) -> Turn {
        if call.form.value("choice") != Some("continue") {
            return self.decline(call, cookie, &flow, out);
        }
        let Some(session) = self.session_number(cookie, call) else { return Turn::Fail(Fault::of(50089)) };
        if let Purpose::Device { id, .. } = &flow.purpose
            && let Err(why) = self.codes.held(*id, session, call.now)
        {
            return Turn::Fail(Fault::of(why.number()));
        }
        self.ask_account(call, cookie, flow)
    }

    /// Asks who it is: among the accounts of this browser if there are any.
    pub(crate) fn ask_account(&mut self, call: &Call, cookie: &Cookie, flow: Flow) -> Turn {
        let tiles: Vec<Tile> =
            self.signed_in(cookie, call).iter().filter_map(|who| self.tile(&who.oid)).collect();
        let device = device_of(&flow);
        // Whoever changes a password must know the old one: being signed in is not enough.
        if tiles.is_empty() || matches!(flow.purpose, Purpose::Password) {
            return ask_username(flow, "");
        }
        let page = pages::PickAccount { frame: Default::default(), device, tiles };
        Turn::Next(flow.at(Step::PickAccount), View::PickAccount(page))
    }

    /// An account was picked.
    pub(crate) fn account_picked(
        &mut self,
        call: &Call,
        cookie: &mut Cookie,
        mut flow: Flow,
        out: &mut Outbox,
    ) -> Turn {
        let picked = call.form.value("account").unwrap_or("other");
        let known = self.signed_in(cookie, call).into_iter().find(|who| who.oid == picked);
        let Some(who) = known else { return ask_username(flow, "") };
        flow.upn = self.people.get(&who.oid).map(|record| record.upn.clone()).unwrap_or_default();
        (flow.oid, flow.methods, flow.auth_time) = (Some(who.oid), who.methods, who.auth_time);
        flow.is_picked = true;
        // Tokens of a sign-in that is too old would be refused at once, so the person signs in again.
        let age = call.at.unix_secs().saturating_sub(flow.auth_time);
        if self.policies.sign_in_frequency.is_some_and(|often| age >= often.as_secs() as i64) {
            return ask_password(flow);
        }
        self.after_first_factor(call, cookie, flow, out)
    }

    /// A name was typed.
    pub(crate) fn name_typed(
        &mut self,
        call: &Call,
        _: &mut Cookie,
        mut flow: Flow,
        out: &mut Outbox,
    ) -> Turn {
        let upn: String = call.form.value("loginfmt").unwrap_or_default().trim().to_owned();
        if upn.is_empty() || upn.len() > crate::people::UPN_LIMIT || upn.chars().any(char::is_control) {
            let Turn::Next(flow, view) = ask_username(flow, "") else { return Turn::Fail(Fault::of(50000)) };
            return Turn::Next(
                flow,
                with_error(view, 50034, "Type your user name, such as someone@example.org."),
            );
        }
        if self.tells_unknown_accounts() && self.people.named(&upn).is_none() {
            self.note_unknown(&upn, out);
            let Turn::Next(flow, view) = ask_username(flow, &upn) else {
                return Turn::Fail(Fault::of(50000));
            };
            let text = "There is no account with this name. Check the spelling.";
            return Turn::Next(flow, with_error(view, 50034, text));
        }
        flow.upn = upn;
        ask_password(flow)
    }

    /// A password was typed.
    pub(crate) fn password_typed(
        &mut self,
        call: &Call,
        cookie: &mut Cookie,
        mut flow: Flow,
        out: &mut Outbox,
    ) -> Turn {
        if call.form.value("choice") == Some("other") {
            return ask_username(flow, "");
        }
        let again = |flow: Flow, number: u32, text: &str| match ask_password(flow) {
            Turn::Next(flow, view) => Turn::Next(flow, with_error(view, number, text)),
            other => other,
        };
        let Some(password) = call.form.value("passwd") else {
            return again(flow, 50126, "Type your password.");
        };
        let upn = flow.upn.clone();
        let oid = match self.try_password(&upn, &Secret::from(password), call.now, out) {
            Ok(oid) => oid,
            Err(tried) => {
                let tells = self.tells_unknown_accounts();
                return match tried {
                    Tried::Unknown if tells => again(flow, 50034, "There is no account with this name."),
                    // Only accounts that exist are ever locked, so to say it would tell that this one does.
                    Tried::Locked(_) if tells => {
                        again(flow, 50053, "This account is locked after too many tries. Try again later.")
                    }
                    _ => again(flow, 50126, "The user name or the password is wrong."),
                };
            }
        };
        let record = self.people.get(&oid).expect("a right password belongs to an account");
        if !record.enabled {
            return self.refuse(&oid, Fault::of(50057), out);
        }
        let is_expired = record.is_password_expired;
        let of = record.of();
        flow.is_picked = false;
        flow.oid = Some(oid);
        flow.methods = vec!["pwd".into()];
        flow.auth_time = call.at.unix_secs();
        if is_expired {
            out.note(Note::event(events::SIGN_IN_FAILED, of, "AADSTS50055, the password has expired"));
            return match ask_new_password(flow) {
                Turn::Next(flow, view) => {
                    Turn::Next(flow, with_error(view, 50055, "Your password has expired. Choose a new one."))
                }
                other => other,
            };
        }
        if matches!(flow.purpose, Purpose::Password) {
            return ask_new_password(flow);
        }
        self.after_first_factor(call, cookie, flow, out)
    }

    /// A new password was typed. It takes the old one's place only when the second factor was given as well.
    pub(crate) fn new_password_typed(
        &mut self,
        call: &Call,
        cookie: &mut Cookie,
        mut flow: Flow,
        out: &mut Outbox,
    ) -> Turn {
        let Some(oid) = flow.oid.clone() else { return Turn::Fail(Fault::of(50089)) };
        let field = |name| call.form.value(name).unwrap_or_default();
        let (chosen, again) = (field("newpasswd"), field("confirmnewpasswd"));
        let objection = match () {
            () if chosen.chars().count() < SHORTEST_PASSWORD => {
                Some("A password needs at least 8 characters.")
            }
            () if chosen.len() > PASSWORD_LIMIT => Some("This password is too long."),
            () if !is_same(chosen, again) => Some("The two passwords differ."),
            () if self.people.is_password(&oid, chosen) => Some("This is the old password."),
            () => None,
        };
        if let Some(text) = objection {
            return match ask_new_password(flow) {
                Turn::Next(flow, view) => Turn::Next(flow, with_error(view, 120000, text)),
                other => other,
            };
        }
        flow.new_password = Some(Secret::from(chosen));
        self.after_first_factor(call, cookie, flow, out)
    }

    /// Asks for the second factor if there is one to ask for, and looks at the conditions.
    fn after_first_factor(&mut self, call: &Call, cookie: &mut Cookie, flow: Flow, out: &mut Outbox) -> Turn {
        let Some(record) = flow.oid.as_ref().and_then(|oid| self.people.get(oid)) else {
            return Turn::Fail(Fault::of(50034));
        };
        let oid = record.oid.clone();
        let has_second = flow.methods.iter().any(|method| method == "mfa");
        if record.totp.is_some() && !has_second {
            if record.second_factor_failures.locked_until(call.now).is_some() {
                return self.refuse(&oid, Fault::of(50053), out);
            }
            return ask_second_factor(flow);
        }
        if self.policies.requires_second_factor && !has_second {
            return self.refuse(&oid, Fault::of(50072), out);
        }
        if let Err(fault) = self.check_conditions(&flow) {
            return self.refuse(&oid, fault, out);
        }
        self.admit(call, cookie, flow, out)
    }

    /// The digits were typed.
    pub(crate) fn digits_typed(
        &mut self,
        call: &Call,
        cookie: &mut Cookie,
        mut flow: Flow,
        out: &mut Outbox,
    ) -> Turn {
        let Some(oid) = flow.oid.clone() else { return Turn::Fail(Fault::of(50074)) };
        let rule = self.policies.lock_out;
        let Some(record) = self.people.get_mut(&oid) else { return Turn::Fail(Fault::of(50034)) };
        if record.second_factor_failures.locked_until(call.now).is_some() {
            return self.refuse(&oid, Fault::of(50053), out);
        }
        let Some(totp) = &mut record.totp else { return Turn::Fail(Fault::of(50074)) };
        let digits = call.form.value("otc").unwrap_or_default();
        let why = match totp.take(digits, call.at) {
            Ok(_) => {
                record.second_factor_failures = Failures::default();
                flow.methods.push("mfa".into());
                self.keep_account(&oid, out);
                return self.after_first_factor(call, cookie, flow, out);
            }
            Err(why) => why,
        };
        let of = record.of();
        out.note(Note::event(events::SECOND_FACTOR_FAILED, of, format!("AADSTS500121, {why}")));
        flow.tries += 1;
        let until = self.people.count_second_factor(&oid, &rule, call.now);
        if let Some(record) = self.people.get(&oid) {
            self.note_lock(record, until, out);
        }
        if until.is_some() {
            return self.refuse(&oid, Fault::of(50053), out);
        }
        if flow.tries >= mfa::TRIES {
            return self.refuse(&oid, Fault::of(500121), out);
        }
        let text = match why {
            mfa::NotTaken::Malformed => "Type the six digits that your app shows now.",
            mfa::NotTaken::Wrong => "That code did not work. Check the code and try again.",
            mfa::NotTaken::Replayed => "That code was used before. Wait for the next one.",
        };
        match ask_second_factor(flow) {
            Turn::Next(flow, view) => Turn::Next(flow, with_error(view, 500121, text)),
            other => other,
        }
    }

    pub(crate) fn tile(&self, oid: &str) -> Option<Tile> {
        let record = self.people.get(oid)?;
        Some(Tile { oid: record.oid.clone(), upn: record.upn.clone(), name: record.display_name.clone() })
    }

    pub(crate) fn wrong_codes_wait(&self, call: &Call, session: u64) -> Option<u64> {
        let limits = self.setup.limits;
        let wait = |who: &str, limit| self.wrong_codes.wait(who, limit, call.now);
        wait(&call.peer(), limits.wrong_codes)
            .or_else(|| wait(&format!("session {session}"), limits.wrong_codes))
            .or_else(|| self.wrong_codes_in_all.wait("", limits.wrong_codes_in_all, call.now))
            .map(|wait| wait.as_secs() + 1)
    }

    pub(crate) fn count_wrong_code(&mut self, call: &Call, session: u64, out: &mut Outbox) {
        self.wrong_codes.count(&call.peer(), call.now);
        self.wrong_codes.count(&format!("session {session}"), call.now);
        self.wrong_codes_in_all.count("", call.now);
        out.note(Note::event(events::USER_CODE_REFUSED, call.peer(), "a wrong user code"));
    }
}

impl NotClaimed {
    /// The number that says it on a page.
    pub(crate) fn number(self) -> u32 {
        match self {
            NotClaimed::Unknown => 70018,
            NotClaimed::Expired => 70019,
            NotClaimed::Done => 90120,
        }
    }
}
