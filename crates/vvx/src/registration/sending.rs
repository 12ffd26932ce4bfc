//! What leaves on the registration's stream: REGISTER and SUBSCRIBE, signed where there is an association.

use net::tls::Credentials;
use net::{Note, Outbox, Time};
use sip::Draft;

use super::messages::{self, Turn};
use super::{ANSWER_WITHIN, Link, Pending, Registration, SUBSCRIPTION_S, Step, Tools};

impl Registration {
    /// Sends a REGISTER without credentials: how everything begins.
    pub(super) fn ask(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) {
        self.forget_association();
        self.timers.refresh_at = None;
        self.send_register(None, "", now, tools, out);
        self.step = Step::Asked;
    }

    pub(super) fn refresh(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) {
        self.send_register(None, "refresh", now, tools, out);
        self.step = Step::Refreshing;
    }

    pub(super) fn send_register(
        &mut self,
        authorization: Option<String>,
        what: &str,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) {
        let Link::Up(up) = &self.link else {
            return;
        };
        self.cseq += 1;
        let turn = Turn { local: up.local, call_id: &self.call_id, cseq: self.cseq };
        let mut draft = messages::register(&self.who, turn, None, tools.random);
        if let Some(authorization) = authorization {
            draft.push("Authorization", &authorization);
        }
        self.register =
            Some(Pending { call_id: self.call_id.clone(), cseq: self.cseq, until: now + ANSWER_WITHIN });
        self.send(draft, what, now, out);
    }

    pub(super) fn subscribe(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) {
        let Link::Up(up) = &self.link else {
            return;
        };
        let call_id = tools.random.hex(32);
        let turn = Turn { local: up.local, call_id: &call_id, cseq: 1 };
        let contact = match &self.gruu {
            Some(gruu) => format!("<{gruu}>"),
            None => format!("<{}>", messages::contact_uri(&self.who, up.local)),
        };
        let draft = messages::subscribe(&self.who, &contact, turn, SUBSCRIPTION_S, tools.random);
        self.subscribe = Some(Pending { call_id, cseq: 1, until: now + ANSWER_WITHIN });
        self.send(draft, "policy", now, out);
    }

    /// Signs, where there is an association, and sends.
    pub(super) fn send(&mut self, draft: Draft, what: &str, now: Time, out: &mut Outbox) {
        let draft = match &mut self.association {
            Some(association) if draft.status().is_none() => association.sign_request(draft),
            Some(association) => association.sign_response(draft),
            None => draft,
        };
        let Link::Up(up) = &mut self.link else {
            return;
        };
        let Ok(message) = draft.message() else {
            // Only an address that breaks a header could do this, and those are refused at sign-in.
            return;
        };
        let what = if what.is_empty() { String::new() } else { format!(" ({what})") };
        out.note(Note::sent(up.peer, format!("{}{what}", messages::line(&message))));
        up.sent_at = now;
        out.write(up.stream, message.as_bytes().clone());
    }

    pub(super) fn credentials(&self) -> Option<Credentials> {
        self.enrolled
            .as_ref()
            .map(|own| Credentials { chain: vec![own.certificate.clone()], key: own.key.clone_key() })
    }
}
