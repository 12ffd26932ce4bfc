//! Who may have requests put through; requests without answers; CANCEL.

use net::Note;
use sip::timers::Reliability;
use sip::transaction::InviteArrival;
use sip::{Message, Uri};

use super::edit::{self, Stretch};
use super::route::{Hop, Route};
use crate::events;
use crate::sip::flow::Flow;
use crate::sip::plain::{Addressee, Asked};
use crate::sip::refusal::Refusal;
use crate::sip::register::may_be_served;
use crate::sip::serve::{in_one_line, shown};
use crate::sip::{FrontEnd, Turn};

/// How long somebody is asked to stay away from a pool with too many requests on their way, in seconds.
const BUSY_S: u32 = 10;

impl FrontEnd {
    /// Puts a request of an ordinary user agent through, if it may be.
    ///
    /// Inside a dialog the signed token in its Route is proof enough that it was begun here; everything else must come
    /// from a user of the domain, under their own name.
    pub(in crate::sip) fn relay_plain(&mut self, asked: Asked, turn: &mut Turn<'_, '_>) {
        if let Err(why) = self.may_go_on(&asked.request) {
            return self.refuse_plainly(&asked, &why, turn);
        }
        let route = self.route_of(&asked.request, turn);
        let has_dialog = asked.request.to().tag().is_some();
        if !(has_dialog && route.named.is_some()) {
            let Some(aor) = self.prove(&asked, turn) else { return };
            if self.addressee(&asked.request.from().uri, turn.parts) != Addressee::User(aor.clone()) {
                return self.refuse_relayed(&asked, &Refusal::ForeignFrom, turn);
            }
            if let Err(why) = may_be_served(turn.parts.accounts, &aor) {
                return self.refuse_relayed(&asked, &why, turn);
            }
            let whom = asked.request.uri().map(|uri| self.addressee(&uri, turn.parts));
            let is_to_self = !has_dialog && whom == Some(Addressee::User(aor));
            // The pool keeps neither presence nor messages for anybody; a phone must not be asked for its own.
            match asked.request.method() {
                "SUBSCRIBE" if is_to_self => {
                    return self.refuse_relayed(&asked, &Refusal::UnknownEvent, turn);
                }
                "PUBLISH" if !has_dialog => {
                    return self.refuse_relayed(&asked, &Refusal::MethodNotAllowed, turn);
                }
                _ => {}
            }
        }
        self.relay(asked, &route, turn);
    }

    /// Whether a request of a client with a security association is to be put through, and not for the pool itself.
    pub(in crate::sip) fn is_relayed(
        &mut self,
        request: &Message,
        aor: &str,
        turn: &mut Turn<'_, '_>,
    ) -> bool {
        let route = self.route_of(request, turn);
        if route.named.is_some() || route.is_void {
            return true;
        }
        let has_dialog = request.to().tag().is_some();
        let whom = request.uri().map(|uri| self.addressee(&uri, turn.parts));
        let is_known = |user: &String| turn.parts.accounts.standing(user).is_some();
        let is_other = matches!(&whom, Some(Addressee::User(user)) if user != aor && is_known(user));
        match request.method() {
            "INVITE" | "MESSAGE" | "REFER" | "NOTIFY" | "INFO" | "UPDATE" | "PRACK" => {
                !has_dialog && matches!(&whom, Some(Addressee::User(user)) if is_known(user))
            }
            "OPTIONS" => is_other,
            _ => false,
        }
    }

    /// Puts a request of a client with a security association through; its signature and its From are right.
    pub(in crate::sip) fn relay_signed(&mut self, asked: Asked, turn: &mut Turn<'_, '_>) {
        if asked.request.method() == "INVITE" {
            let (peer, way) = (asked.flow.peer(), Reliability::Reliable);
            match self.proxy.invites.receive(turn.now, peer, &asked.request, way) {
                InviteArrival::New(_) => {}
                InviteArrival::Full => return self.refuse_unkept(&asked, turn),
                InviteArrival::Again(_) | InviteArrival::Acknowledged | InviteArrival::Ack => return,
            }
        }
        if let Err(why) = self.may_go_on(&asked.request) {
            return self.refuse_relayed(&asked, &why, turn);
        }
        let route = self.route_of(&asked.request, turn);
        self.relay(asked, &route, turn);
    }

    fn refuse_unkept(&mut self, asked: &Asked, turn: &mut Turn<'_, '_>) {
        let mut draft = self.begin_plainly(asked, 503);
        Refusal::Busy { retry_after_s: BUSY_S }.explain_plainly(&mut draft);
        if let Some(octets) = self.sealed(&asked.back, draft) {
            self.write(&asked.back, octets, turn);
        }
    }

    pub(super) fn refuse_relayed(&mut self, asked: &Asked, why: &Refusal, turn: &mut Turn<'_, '_>) {
        let from = shown(asked.request.from().uri.as_str());
        let text = format!("{}: {}", shown(asked.request.method()), why.in_words());
        turn.out.note(Note::event(events::REQUEST_REFUSED, from, text));
        self.refuse_plainly(asked, why, turn);
    }

    /// What any proxy looks at first (RFC 3261 §16.3).
    fn may_go_on(&self, request: &Message) -> Result<(), Refusal> {
        if request.max_forwards() == Some(0) {
            return Err(Refusal::TooManyHops);
        }
        let mark = format!(".{}", edit::loop_mark(request));
        let is_ours = |via: &sip::Via<'_>| {
            Uri::parse(&format!("sip:{}", via.host)).is_ok_and(|uri| uri.host_ip() == Some(self.address))
                && via.branch().is_some_and(|branch| branch.ends_with(&mark))
        };
        if request.vias().iter().any(is_ours) {
            return Err(Refusal::Loop);
        }
        match crate::sip::serve::unknown_of(request, &["Proxy-Require"], &[]) {
            Some(unknown) => Err(Refusal::BadExtension(unknown)),
            None => Ok(()),
        }
    }

    /// Finds out where a request goes, and sends it on its way.
    fn relay(&mut self, asked: Asked, route: &Route, turn: &mut Turn<'_, '_>) {
        if !self.proxy.has_room_for(&asked) {
            return self.refuse_relayed(&asked, &Refusal::Busy { retry_after_s: BUSY_S }, turn);
        }
        let has_dialog = asked.request.to().tag().is_some();
        let Some(uri) = asked.request.uri() else { return };
        let found = if has_dialog {
            let hop = self.along(&asked.request, route, turn);
            let lost = if route.named.is_some() { Refusal::FlowFailed } else { Refusal::NoSuchDialog };
            hop.map(|hop| (uri.as_str().to_owned(), [vec![hop]].into())).ok_or(lost)
        } else if route.rest.is_empty() {
            self.endpoints_of(&uri, turn)
        } else {
            Err(Refusal::NoSuchDestination)
        };
        match found {
            Ok((whom, groups)) => self.send_off(asked, whom, groups, turn),
            Err(why) => self.refuse_relayed(&asked, &why, turn),
        }
    }

    /// An ACK that belongs to no refusal goes to the party that accepted; nobody ever answers it.
    pub(in crate::sip) fn relay_ack(&mut self, flow: &Flow, ack: &Message, turn: &mut Turn<'_, '_>) {
        let route = self.route_of(ack, turn);
        if route.named.is_none() || ack.max_forwards() == Some(0) {
            return;
        }
        let Some(hop) = self.along(ack, &route, turn) else { return };
        let branch = self.fresh_branch(ack, turn);
        let draft = self.onward(ack, flow, &hop, &branch, &[], turn);
        self.send(&hop.flow, draft, turn);
    }

    /// A CANCEL: answered here, and sent on along the branches of its INVITE (RFC 3261 §16.10).
    pub(in crate::sip) fn relay_cancel(&mut self, asked: &Asked, turn: &mut Turn<'_, '_>) {
        let Some((key, is_pending)) = self.proxy.invites.cancelled(asked.flow.peer(), &asked.request) else {
            return self.refuse_plainly(asked, &Refusal::NoSuchDialog, turn);
        };
        let draft = self.begin_plainly(asked, 200);
        self.answer_plainly(asked, draft, turn);
        if is_pending && let Some(id) = self.proxy.by_key.get(&key).copied() {
            self.with_relayed(id, turn, |front_end, relayed, turn| front_end.give_up(relayed, turn));
        }
    }

    pub(super) fn fresh_branch(&mut self, request: &Message, turn: &mut Turn<'_, '_>) -> String {
        let drawn = self.plain.secrets(turn.parts).random.hex(16);
        format!("{}{drawn}.{}", sip::transaction::MAGIC_COOKIE, edit::loop_mark(request))
    }

    /// A request as it leaves to a hop.
    pub(super) fn onward(
        &self,
        request: &Message,
        came: &Flow,
        hop: &Hop,
        branch: &str,
        record_route: &[String],
        turn: &Turn<'_, '_>,
    ) -> sip::Draft {
        let carrier = hop.flow.carrier();
        let sent_by = std::net::SocketAddr::new(self.address, self.port_of(carrier));
        let stretch = Stretch {
            uri: &hop.uri,
            via: format!("SIP/2.0/{} {sent_by};branch={branch};rport", carrier.in_via()),
            received: request.top_via_received_from(came.peer()),
            record_route,
            route: &hop.route,
            realm: turn.parts.domain,
        };
        edit::onward(request, &stretch)
    }

    /// The pool's entry in a Record-Route for the party at the end of a flow.
    pub(super) fn entry(&mut self, flow: &Flow, turn: &mut Turn<'_, '_>) -> String {
        let carrier = flow.carrier();
        let own = std::net::SocketAddr::new(self.address, self.port_of(carrier));
        let token = self.plain.secrets(turn.parts).tokens.write(flow);
        format!("<sip:{token}@{own};transport={};lr>", carrier.in_uri())
    }

    /// Sends a message a way, and says so in the journal; `false` if it cannot go that way.
    pub(super) fn send(&mut self, flow: &Flow, draft: sip::Draft, turn: &mut Turn<'_, '_>) -> bool {
        let Some(octets) = self.sealed(flow, draft) else { return false };
        let Ok(message) = Message::parse(octets.clone()) else { return false };
        let is_sent = self.write(flow, octets, turn);
        if is_sent {
            turn.out.note(Note::sent(flow.peer(), in_one_line(&message)));
        }
        is_sent
    }
}
