//! The way through the pages: code, application, account, password, second factor, approval.
//!
//! Each form names the step it belongs to and brings its guard back; what the step found out lives in the
//! flow, on this side. The order of checks is that of [`crate::policy`]. A device is approved only after a page
//! that names it was answered by an explicit form, never silently.

use net::http::StatusCode;
use net::{Note, Outbox};

use crate::answer::Answer;
use crate::device_code::{Approval, NotClaimed};
use crate::errors::{Fault, stamp};
use crate::events;
use crate::mfa;
use crate::pages::{self, Device, Shown, Tile, View};
use crate::people::{Failures, Tried};
use crate::policy::Way;
use crate::profile::Profile;
use crate::secret::Secret;
use crate::service::{Call, Service};
use crate::sessions::{COOKIE, Cookie, Flow, Guard, NotTaken, Purpose, STAY, SignedIn, Step};

/// How a step of a way ends.
pub(crate) enum Turn {
    /// Another page with a form.
    Next(Flow, View),
    /// A page without a form; the way is over.
    End(View),
    /// An error page; the way is over.
    Fail(Fault),
}

impl Service {
    /// Opens a way: in the browser's session, or in a new one.
    pub(crate) fn open(
        &mut self,
        call: &Call,
        out: &mut Outbox,
        go: impl FnOnce(&mut Service, &Call, &mut Cookie, &mut Outbox) -> Turn,
    ) -> Answer {
        let mut cookie = self.cookie(call);
        let turn = go(self, call, &mut cookie, out);
        self.show(call, &mut cookie, turn, StatusCode::OK)
    }

    /// The page that asks for a code, with `typed` already in it.
    pub(crate) fn ask_code(&mut self, typed: &str) -> Turn {
        Turn::Next(Flow::new(Purpose::Code, Step::EnterCode), enter_code(&shortened(typed)))
    }

    /// Takes a form of one of `steps` and goes on with `go`.
    pub(crate) fn submit(
        &mut self,
        call: &Call,
        steps: &[Step],
        out: &mut Outbox,
        go: impl FnOnce(&mut Service, &Call, &mut Cookie, Flow, &mut Outbox) -> Turn,
    ) -> Answer {
        let field = |name| Secret::from(call.form.value(name).unwrap_or_default());
        let guard = Guard { canary: field("canary"), flow_token: field("flowToken") };
        let taken = match &call.cookie {
            _ if call.is_foreign => Err(NotTaken::Canary),
            None => Err(NotTaken::NoSession),
            Some(cookie) => match self.sessions.find(cookie.value.expose(), call.now) {
                None => Err(NotTaken::NoSession),
                Some(session) => session.take(steps, &guard, call.now),
            },
        };
        match (taken, &call.cookie) {
            (Ok(flow), Some(cookie)) => {
                let mut cookie = cookie.clone();
                let turn = go(self, call, &mut cookie, flow, out);
                self.show(call, &mut cookie, turn, StatusCode::OK)
            }
            (taken, _) => {
                let why = taken.err().unwrap_or(NotTaken::NoSession);
                out.note(Note::event(events::FORM_REFUSED, call.peer(), why.to_string()));
                let status = match why {
                    NotTaken::Canary | NotTaken::NoSession => StatusCode::FORBIDDEN,
                    NotTaken::Used | NotTaken::Expired => StatusCode::BAD_REQUEST,
                };
                self.failed(call, &Fault::of(50089), status)
            }
        }
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
        if tiles.is_empty() {
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
            out.note(Note::event(events::SIGN_IN_FAILED, upn.clone(), "AADSTS50034, no such account"));
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
        let refusal = match () {
            () if !record.enabled => Some(50057),
            () if record.is_password_expired => Some(50055),
            () => None,
        };
        if let Some(number) = refusal {
            return self.refuse(&oid, Fault::of(number), out);
        }
        flow.oid = Some(oid);
        flow.methods = vec!["pwd".into()];
        flow.auth_time = call.at.unix_secs();
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

    /// The person is who they say they are: the session remembers it under a new cookie.
    fn admit(&mut self, call: &Call, cookie: &mut Cookie, flow: Flow, out: &mut Outbox) -> Turn {
        let Some(record) = flow.oid.as_ref().and_then(|oid| self.people.get(oid)) else {
            return Turn::Fail(Fault::of(50034));
        };
        let who = SignedIn {
            oid: record.oid.clone(),
            epoch: record.epoch,
            methods: flow.methods.clone(),
            auth_time: flow.auth_time,
        };
        let known = self.signed_in(cookie, call);
        let is_new = !known.iter().any(|known| known.oid == who.oid && known.auth_time == who.auth_time);
        if is_new {
            let record = self.people.get(&who.oid).expect("found above");
            let text = format!("by {}, from {}", flow.methods.join(" and "), call.peer);
            out.note(Note::event(events::SIGNED_IN, record.of(), text));
            let upn = record.upn.clone();
            *cookie = self.sessions.renew(cookie, &mut self.random);
            if let Some(session) = self.sessions.find(cookie.value.expose(), call.now) {
                session.sign_in(who);
            }
            let page = pages::StaySignedIn { frame: Default::default(), upn };
            return Turn::Next(flow.at(Step::StaySignedIn), View::StaySignedIn(page));
        }
        self.ask_last(call, cookie, flow, out)
    }

    /// Whether to stay signed in was answered.
    pub(crate) fn stay_answered(
        &mut self,
        call: &Call,
        cookie: &mut Cookie,
        flow: Flow,
        out: &mut Outbox,
    ) -> Turn {
        if call.form.value("LoginOptions") == Some("1")
            && let Some(session) = self.sessions.find(cookie.value.expose(), call.now)
        {
            session.stays = true;
            // The browser must learn that its cookie is to be kept.
            cookie.is_known = false;
        }
        self.ask_last(call, cookie, flow, out)
    }

    fn ask_last(&mut self, call: &Call, cookie: &mut Cookie, flow: Flow, out: &mut Outbox) -> Turn {
        if let Some(device) = device_of(&flow)
            && !self.setup.profile.confirms_first()
        {
            let page = pages::ConfirmSignIn { frame: Default::default(), device, upn: flow.upn.clone() };
            return Turn::Next(flow.at(Step::ConfirmSignIn), View::ConfirmSignIn(page));
        }
        self.finish(call, cookie, flow, out)
    }

    /// The last question was answered.
    pub(crate) fn sign_in_confirmed(
        &mut self,
        call: &Call,
        cookie: &mut Cookie,
        flow: Flow,
        out: &mut Outbox,
    ) -> Turn {
        if call.form.value("choice") != Some("continue") {
            return self.decline(call, cookie, &flow, out);
        }
        self.finish(call, cookie, flow, out)
    }

    fn finish(&mut self, call: &Call, cookie: &mut Cookie, flow: Flow, out: &mut Outbox) -> Turn {
        let Some(session) = self.session_number(cookie, call) else { return Turn::Fail(Fault::of(50089)) };
        let oid = flow.oid.clone().unwrap_or_default();
        // Much can have happened since the password: what counts is what is true now.
        let is_signed_in = self.signed_in(cookie, call).iter().any(|who| who.oid == oid);
        let Some(record) = self.people.get(&oid).filter(|_| is_signed_in) else {
            return Turn::Fail(Fault::of(50133));
        };
        if let Err(fault) = self.check_conditions(&flow) {
            return self.refuse(&oid, fault, out);
        }
        let Purpose::Device { id, application, .. } = &flow.purpose else {
            return self.portal_home(call, cookie, &oid, out);
        };
        let approval = Approval {
            oid: oid.clone(),
            epoch: record.epoch,
            methods: flow.methods.clone(),
            auth_time: flow.auth_time,
            address: call.peer(),
        };
        let (of, upn) = (record.of(), record.upn.clone());
        if let Err(why) = self.codes.approve(*id, session, approval, call.now) {
            return Turn::Fail(Fault::of(why.number()));
        }
        let text = format!("for {application}, by {}, from {}", flow.methods.join(" and "), call.peer);
        out.note(Note::event(events::DEVICE_CODE_APPROVED, of, text));
        let page = pages::Finished { frame: Default::default(), application: application.clone(), upn };
        Turn::End(View::Finished(page))
    }

    fn decline(&mut self, call: &Call, cookie: &Cookie, flow: &Flow, out: &mut Outbox) -> Turn {
        let Purpose::Device { id, application, .. } = &flow.purpose else {
            return Turn::Fail(Fault::of(50089));
        };
        let Some(session) = self.session_number(cookie, call) else { return Turn::Fail(Fault::of(50089)) };
        if let Err(why) = self.codes.decline(*id, session, call.now) {
            return Turn::Fail(Fault::of(why.number()));
        }
        let text = format!("from {}", call.peer);
        out.note(Note::event(events::DEVICE_CODE_DECLINED, application.clone(), text));
        let page = pages::Cancelled { frame: Default::default(), application: application.clone() };
        Turn::End(View::Cancelled(page))
    }

    fn check_conditions(&self, flow: &Flow) -> Result<(), Fault> {
        let record = flow.oid.as_ref().and_then(|oid| self.people.get(oid));
        let record = record.ok_or_else(|| Fault::of(50034))?;
        if !record.enabled {
            return Err(Fault::of(50057));
        }
        match &flow.purpose {
            Purpose::Device { client_id, .. } => {
                self.policies.check(record, Way::DeviceCode)?;
                let application = self.application(client_id)?;
                if !application.consented {
                    return Err(Fault::of(90094));
                }
                Ok(())
            }
            Purpose::Code | Purpose::Portal => self.policies.check(record, Way::Browser),
        }
    }

    fn refuse(&self, oid: &str, fault: Fault, out: &mut Outbox) -> Turn {
        if let Some(record) = self.people.get(oid) {
            let text = format!("AADSTS{}, {}", fault.number, fault.text());
            out.note(Note::event(events::SIGN_IN_FAILED, record.of(), text));
        }
        Turn::Fail(fault)
    }

    /// The accounts behind a browser that still count.
    pub(crate) fn signed_in(&mut self, cookie: &Cookie, call: &Call) -> Vec<SignedIn> {
        let people = &self.people;
        let is_good = |who: &&SignedIn| {
            people.get(&who.oid).is_some_and(|record| record.enabled && record.epoch == who.epoch)
        };
        match self.sessions.find(cookie.value.expose(), call.now) {
            Some(session) => session.signed_in.iter().filter(is_good).cloned().collect(),
            None => Vec::new(),
        }
    }

    pub(crate) fn session_number(&mut self, cookie: &Cookie, call: &Call) -> Option<u64> {
        self.sessions.find(cookie.value.expose(), call.now).map(|session| session.number)
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
            .or_else(|| wait("everybody", limits.wrong_codes_in_all))
            .map(|wait| wait.as_secs() + 1)
    }

    pub(crate) fn count_wrong_code(&mut self, call: &Call, session: u64, out: &mut Outbox) {
        for who in [call.peer(), format!("session {session}"), "everybody".to_owned()] {
            self.wrong_codes.count(&who, call.now);
        }
        out.note(Note::event(events::USER_CODE_REFUSED, call.peer(), "a wrong user code"));
    }

    /// The browser's session, or a new one.
    pub(crate) fn cookie(&mut self, call: &Call) -> Cookie {
        if let Some(cookie) = &call.cookie
            && self.sessions.find(cookie.value.expose(), call.now).is_some()
        {
            return cookie.clone();
        }
        self.sessions.open(self.setup.limits.sessions, &mut self.random, call.now)
    }

    /// Writes the page that a turn ends in.
    fn show(&mut self, call: &Call, cookie: &mut Cookie, turn: Turn, status: StatusCode) -> Answer {
        let mut view = match turn {
            Turn::Fail(fault) => {
                let mut answer = self.failed(call, &fault, page_status(&fault));
                self.send_cookie(call, cookie, &mut answer);
                return answer;
            }
            Turn::End(view) => view,
            Turn::Next(flow, mut view) => {
                if let Some(session) = self.sessions.find(cookie.value.expose(), call.now) {
                    view.frame().guard = session.put(flow, &mut self.random, call.now);
                }
                view
            }
        };
        self.address(&mut view);
        let mut answer = Answer::page(status, view.html(), summary(&mut view));
        self.send_cookie(call, cookie, &mut answer);
        answer
    }

    fn address(&self, view: &mut View) {
        let tenant = &self.setup.tenant;
        view.frame().tenant = tenant.display_name.clone();
        view.frame().domain = tenant.domains.first().cloned().unwrap_or_default();
    }

    fn send_cookie(&mut self, call: &Call, cookie: &Cookie, answer: &mut Answer) {
        if cookie.is_known {
            return;
        }
        let stays = self.sessions.find(cookie.value.expose(), call.now).is_some_and(|session| session.stays);
        let life = if stays { format!("; Max-Age={}", STAY.as_secs()) } else { String::new() };
        let value = cookie.value.expose();
        answer.add_cookie(&format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{life}"));
    }

    /// The page for an error that ends a way.
    pub(crate) fn failed(&self, call: &Call, fault: &Fault, status: StatusCode) -> Answer {
        let (title, advice) = explain(fault.number);
        let page = pages::Failed {
            frame: pages::Frame {
                error: Some(Shown { code: fault.number.to_string(), text: fault.text() }),
                ..Default::default()
            },
            title: title.to_owned(),
            advice: advice.to_owned(),
            trace: call.trace.id.clone(),
            correlation: call.trace.correlation.clone(),
            stamp: stamp(call.at),
            again: if matches!(fault.number, 50000 | 50089 | 70019 | 90120 | 50133) { "/device" } else { "" },
        };
        let mut view = View::Failed(page);
        self.address(&mut view);
        let mut answer = Answer::page(status, view.html(), summary(&mut view));
        if let Some(wait) = fault.retry_after {
            answer.set(net::http::header::RETRY_AFTER, &wait.to_string());
        }
        answer
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

fn page_status(fault: &Fault) -> StatusCode {
    // Pages answer 200 and say on themselves what is wrong, except where a program must see it.
    match fault.number {
        90055 => StatusCode::TOO_MANY_REQUESTS,
        50000 => StatusCode::INTERNAL_SERVER_ERROR,
        90033 | 50086 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    }
}

fn summary(view: &mut View) -> String {
    let id = view.id();
    match &view.frame().error {
        Some(error) => format!("page {id} (error {})", error.code),
        None => format!("page {id}"),
    }
}

pub(crate) fn with_error(mut view: View, number: u32, text: &str) -> View {
    view.frame().error = Some(Shown { code: number.to_string(), text: text.to_owned() });
    view
}

pub(crate) fn enter_code(typed: &str) -> View {
    View::EnterCode(pages::EnterCode { frame: Default::default(), typed: typed.to_owned() })
}

/// What of a typed code is worth showing again.
pub(crate) fn shortened(typed: &str) -> String {
    typed.chars().filter(|c| !c.is_control()).take(20).collect()
}

pub(crate) fn code_advice(fault: &Fault) -> &'static str {
    match fault.number {
        90119 => "Type the code that the device shows.",
        70019 => "This code has expired. Ask the device for a new one.",
        90120 => "This code was used already. Ask the device for a new one.",
        _ => "That code did not work. Check the code and try again.",
    }
}

fn device_of(flow: &Flow) -> Option<Device> {
    match &flow.purpose {
        Purpose::Device { user_code, application, address, asked, .. } => Some(Device {
            application: application.clone(),
            user_code: user_code.expose().to_owned(),
            address: address.clone(),
            asked: asked.clone(),
        }),
        Purpose::Code | Purpose::Portal => None,
    }
}

fn ask_username(flow: Flow, upn: &str) -> Turn {
    let page = pages::Username { frame: Default::default(), device: device_of(&flow), upn: upn.to_owned() };
    Turn::Next(flow.at(Step::Username), View::Username(page))
}

fn ask_password(flow: Flow) -> Turn {
    let page = pages::Password { frame: Default::default(), device: device_of(&flow), upn: flow.upn.clone() };
    Turn::Next(flow.at(Step::Password), View::Password(page))
}

fn ask_second_factor(flow: Flow) -> Turn {
    let page = pages::SecondFactor { frame: Default::default(), upn: flow.upn.clone() };
    Turn::Next(flow.at(Step::SecondFactor), View::SecondFactor(page))
}

/// A title and an advice for an error that ends a way.
fn explain(number: u32) -> (&'static str, &'static str) {
    match number {
        50053 => ("Locked for a while", "There were too many tries. Wait a little, then start again."),
        50055 => ("Your password has run out", "Ask your administrator for a new one."),
        50057 => ("This account is switched off", "Ask your administrator whether that is right."),
        50072 => ("More is needed", "Register a second factor with your administrator, then start again."),
        50089 | 50133 => ("This page is out of date", "Start again; nothing was signed in."),
        500121 => ("The second step failed", "Start again with a fresh code from your app."),
        53003 | 530033 => {
            ("You cannot get in from here", "Your organisation's rules do not allow this sign-in.")
        }
        70019 => ("The code has expired", "Ask the device for a new code, then start again."),
        90120 => ("The code was used already", "Ask the device for a new code, then start again."),
        90055 => ("Too many tries", "Wait some minutes, then start again."),
        90094 | 65001 => {
            ("An administrator must agree", "This application needs your administrator's consent.")
        }
        _ => ("Something went wrong", "Try again later, or ask your administrator."),
    }
}
