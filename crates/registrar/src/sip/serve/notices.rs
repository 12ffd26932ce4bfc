//! SUBSCRIBE, and what the pool says on its own: changed policy, deregistrations.

use net::{Note, StreamId};
use sip::{Draft, Message};

use super::{Asker, printed, shown};
use crate::events;
use crate::sip::access;
use crate::sip::bindings::Binding;
use crate::sip::flow::{Carrier, Flow};
use crate::sip::in_band::Subscriber;
use crate::sip::notice::{self, Deregistration, Dialog};
use crate::sip::refusal::Refusal;
use crate::sip::register;
use crate::sip::{FrontEnd, Turn};

impl FrontEnd {
    pub(super) fn subscribe(&mut self, asker: &Asker, turn: &mut Turn<'_, '_>) {
        let Some(account) = turn.parts.accounts.find(&asker.aor) else {
            return self.refuse(asker, &Refusal::UnknownUser, turn);
        };
        let endpoint = register::endpoint_of(&asker.request).map(|endpoint| endpoint.name).ok();
        let held = endpoint.and_then(|endpoint| self.bindings.find(&asker.aor, &endpoint, turn.now));
        if let Err(why) = register::owns_gruu(&asker.request, held.as_ref()) {
            return self.refuse(asker, &why, turn);
        }
        let contact = held.as_ref().map(|held| held.contact.as_str());
        let who = Subscriber { account: &account, stream: asker.stream, contact };
        let granted =
            self.subscriptions.subscribe(&asker.request, who, turn.parts.domain, &asker.tag, turn.now);
        let granted = match granted {
            Ok(granted) => granted,
            Err(why) => return self.refuse(asker, &why, turn),
        };
        let (expires, package) = (granted.expires_s, granted.package);
        let state = match expires {
            0 => "terminated;expires=0".to_owned(),
            _ => format!("active;expires={expires}"),
        };
        let host = format!("<sip:{}:{};transport=tls>", turn.parts.host, self.sip_port);
        let document = granted.piggybacks.then(|| granted.document.clone());
        self.grant(asker, turn, |draft| {
            let draft = draft
                .with("Contact", host)
                .with("Expires", expires.to_string())
                .with("Event", package.name())
                .with("subscription-state", &state)
                .with("Supported", "ms-benotify")
                .with("Supported", "ms-piggyback-first-notify");
            match document {
                Some(document) => draft.with("ms-piggyback-cseq", "1").body(package.content_type(), document),
                None => draft,
            }
        });
        if !granted.piggybacks {
            let mut subscription = granted.subscription;
            let dialog = &mut subscription.dialog;
            let (sent_by, branch) = (self.sent_by(turn), turn.parts.random.hex(16));
            let draft = notice::begin(subscription.method, dialog, &sent_by, &branch)
                .with("Event", package.name())
                .with("subscription-state", &state)
                .body(package.content_type(), granted.document);
            self.subscriptions.notified(asker.stream, dialog);
            self.send_notice(asker.stream, &asker.aor, draft, dialog.remote_epid.as_deref(), turn);
        }
    }

    /// Tells an account's subscribers that their policy is another one now.
    pub(in crate::sip) fn tell_policy(&mut self, aor: &str, turn: &mut Turn<'_, '_>) {
        let Some(account) = turn.parts.accounts.find(aor) else { return };
        let sent_by = self.sent_by(turn);
        let mut notices = Vec::new();
        let changed = self.subscriptions.changed(aor, &account.policy, turn.parts.domain, turn.now);
        for (stream, held, document) in changed {
            let branch = turn.parts.random.hex(16);
            let left_s = (held.until - turn.now).as_secs();
            let draft = notice::begin(held.method, &mut held.dialog, &sent_by, &branch)
                .with("Event", held.package.name())
                .with("subscription-state", format!("active;expires={left_s}"))
                .body(held.package.content_type(), document);
            notices.push((stream, draft, held.dialog.remote_epid.clone()));
        }
        for (stream, draft, epid) in notices {
            self.send_notice(stream, aor, draft, epid.as_deref(), turn);
        }
    }

    /// Ends everything that an address has bound and subscribed to, and tells its clients why.
    pub(in crate::sip) fn deregister(&mut self, aor: &str, why: Deregistration, turn: &mut Turn<'_, '_>) {
        let held: Vec<Binding> = self.bindings.of(aor, turn.now);
        for binding in held {
            self.bindings.remove(aor, &binding.endpoint);
            self.store.gone(aor, &binding.endpoint, turn.out);
            self.tell_deregistered(&binding, why, turn);
        }
        self.subscriptions.end_all_of(aor);
    }

    pub(in crate::sip) fn tell_deregistered(
        &mut self,
        binding: &Binding,
        why: Deregistration,
        turn: &mut Turn<'_, '_>,
    ) {
        let text = format!("endpoint {}: {}", binding.endpoint, why.name());
        turn.out.note(Note::event(events::DEREGISTERED, &binding.aor, text));
        let Some(stream) = binding.connection else { return };
        let uri = format!("sip:{}", binding.aor);
        // An endpoint without an epid goes by its instance id, which is no epid.
        let epid = (binding.endpoint != binding.instance).then(|| binding.endpoint.clone());
        let mut dialog = Dialog {
            target: binding.contact.clone(),
            call_id: binding.call_id.clone(),
            local_uri: uri.clone(),
            local_tag: binding.server_tag.clone(),
            remote_uri: uri,
            remote_tag: binding.client_tag.clone(),
            remote_epid: epid.clone(),
            cseq: 0,
        };
        let (sent_by, branch) = (self.sent_by(turn), turn.parts.random.hex(16));
        let draft = notice::deregistered(why, &mut dialog, &sent_by, &branch);
        self.send_notice(stream, &binding.aor, draft, epid.as_deref(), turn);
    }

    /// A client answered one of the pool's notices. An answer must be signed as anything else; one that is right
    /// and says that there is no such subscription ends it (RFC 6665 §4.2.2). All others change nothing.
    pub(super) fn answered(&mut self, stream: StreamId, answer: &Message, turn: &mut Turn<'_, '_>) {
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        if let Err(why) = access::check_answer(answer, connection, turn.now) {
            let whom = answer.to().uri.user_at_host().unwrap_or_default();
            let text = format!("an answer: {why}");
            turn.out.note(Note::event(events::REQUEST_REFUSED, shown(&whom), text));
            return;
        }
        let flow = Flow::Stream(stream, Carrier::Tls, connection.peer);
        if !self.relay_answer(&flow, answer, turn) && answer.status() == Some(481) {
            self.subscriptions.end(stream, answer.call_id(), answer.from().tag().unwrap_or(""));
        }
    }

    fn sent_by(&self, turn: &Turn<'_, '_>) -> String {
        format!("{}:{}", turn.parts.host, self.sip_port)
    }

    /// Sends a notice, signed; without an association its client would not believe it, so it is not sent.
    fn send_notice(
        &mut self,
        stream: StreamId,
        aor: &str,
        draft: Draft,
        epid: Option<&str>,
        turn: &mut Turn<'_, '_>,
    ) {
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        let peer = connection.peer;
        let Some(association) = connection.association_of(aor, epid) else { return };
        let draft = association.keys.sign_request(draft);
        let Some(octets) = printed(&draft) else { return };
        let event = draft.header("Event").unwrap_or("");
        turn.out.note(Note::sent(peer, format!("{} {event}", draft.method().unwrap_or(""))));
        turn.out.write(stream, octets);
    }
}
