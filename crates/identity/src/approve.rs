//! The end of the way: the session remembers the person, and the device is approved or declined.
//!
//! What counts is what is true at the moment of approval: the session, the account and the conditions are looked
//! at once more, however long the person took.

use net::{Note, Outbox};

use crate::ask::device_of;
use crate::device_code::Approval;
use crate::errors::Fault;
use crate::events;
use crate::pages::{self, View};
use crate::policy::Way;
use crate::service::{Call, Service};
use crate::sessions::{Cookie, Flow, Purpose, SignedIn, Step};
use crate::turn::Turn;

impl Service {
    /// The person is who they say they are: the session remembers it under a new cookie.
    pub(crate) fn admit(
        &mut self,
        call: &Call,
        cookie: &mut Cookie,
        mut flow: Flow,
        out: &mut Outbox,
    ) -> Turn {
        self.replace_password(&flow, out);
        flow.new_password = None;
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
        let is_new = !flow.is_picked || !known.iter().any(|k| k.oid == who.oid && k.methods == who.methods);
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

    fn replace_password(&mut self, flow: &Flow, out: &mut Outbox) {
        let (Some(oid), Some(password)) = (&flow.oid, &flow.new_password) else { return };
        self.people.set_password(oid, password.expose(), &mut self.random);
        self.codes.revoke(oid);
        self.keep_account(oid, out);
        if let Some(record) = self.people.get(oid) {
            out.note(Note::event(events::PASSWORD_CHANGED, record.of(), "by its owner"));
        }
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
        let (id, application) = match &flow.purpose {
            Purpose::Device { id, application, .. } => (id, application),
            Purpose::Portal => return self.portal_home(call, cookie, &oid, out),
            Purpose::Password => {
                let page = pages::PasswordChanged { frame: Default::default(), upn: record.upn.clone() };
                return Turn::End(View::PasswordChanged(page));
            }
            Purpose::Code => return Turn::Fail(Fault::of(50089)),
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

    pub(crate) fn decline(&mut self, call: &Call, cookie: &Cookie, flow: &Flow, out: &mut Outbox) -> Turn {
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

    pub(crate) fn check_conditions(&self, flow: &Flow) -> Result<(), Fault> {
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
            Purpose::Code | Purpose::Portal | Purpose::Password => self.policies.check(record, Way::Browser),
        }
    }

    pub(crate) fn refuse(&self, oid: &str, fault: Fault, out: &mut Outbox) -> Turn {
        if let Some(record) = self.people.get(oid) {
            let text = format!("AADSTS{}, {}", fault.number, fault.text());
            out.note(Note::event(events::SIGN_IN_FAILED, record.of(), text));
        }
        Turn::Fail(fault)
    }
}
