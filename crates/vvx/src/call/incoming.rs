//! Requests of the other end: the INVITE that offers a call, and everything inside a dialog.

use std::net::SocketAddr;
use std::time::Duration;

use sip::dialog::{Dialog, DialogError, Due, Repeats};
use sip::print::reason_phrase;
use sip::transaction::ServerKey;
use sip::{Draft, Message};

use super::one::{ALLOW, Call, Invited, Phase, SUPPORTED};
use super::sound::described;
use super::way::{Hands, Toward};
use crate::events;

/// How long a phone rings if the INVITE sets no limit: longer than any proxy lets it. A guess.
const RINGS_FOR: Duration = Duration::from_secs(300);

/// An answer that is to be sent, and by which transaction.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: u16,
    pub draft: Draft,
}

/// A plain answer to a request.
pub(super) fn reply(request: &Message, status: u16, tag: &str) -> Reply {
    Reply { status, draft: request.reply_tagged(status, reason_phrase(status), Some(tag)) }
}

impl Call {
    /// Makes the call that an INVITE offers. What is to be answered at once: 180, or why not.
    ///
    /// # Errors
    ///
    /// The refusal.
    pub(super) fn offered(
        &mut self,
        request: &Message,
        key: ServerKey,
        from: SocketAddr,
        hands: &mut Hands<'_>,
    ) -> Result<(), u16> {
        self.call_id = request.call_id().to_owned();
        let is_described = !request.body().is_empty();
        let offer = described(request);
        if is_described && offer.is_none() {
            return Err(if request.is_content(sip::sdp::MEDIA_TYPE) { 400 } else { 415 });
        }
        let dialog = Dialog::as_called(request, &self.tag).map_err(|why| match why {
            DialogError::Contact | DialogError::NoTag | DialogError::Routes | DialogError::OutOfOrder => {
                400_u16
            }
        })?;
        // What does not fit is refused before anybody gets up.
        if let Some(offer) = &offer {
            self.sdp.answer(offer).map_err(|_| 488_u16)?;
        }
        self.dialog = Some(dialog);
        let limit = request.expires().filter(|secs| *secs > 0);
        let limit = limit.map_or(RINGS_FOR, |secs| Duration::from_secs(secs.into()).min(RINGS_FOR));
        self.patience = Some(hands.now + limit);
        self.invited =
            Some(Invited { key, request: request.clone(), from, accepted: None, offered: offer.is_none() });
        Ok(())
    }

    /// Rings: 180, and the display says who calls.
    pub(super) fn ring(&mut self, hands: &mut Hands<'_>) {
        let draft = self.reply_to_invite(180, hands);
        self.give(180, draft, hands);
        hands.event(events::CALL_RINGS, format!("from {}", self.remote.shown()));
        hands.acts.push(super::Act::Attention);
    }

    fn reply_to_invite(&self, status: u16, hands: &Hands<'_>) -> Option<Draft> {
        let invited = self.invited.as_ref()?;
        let way = hands.way?;
        let mut draft = reply(&invited.request, status, &self.tag).draft;
        if status < 300 {
            // The routes that requests in this dialog take (RFC 3261 §12.1.1).
            for route in invited.request.headers("Record-Route") {
                draft.push("Record-Route", route);
            }
            draft.push("Contact", &way.contact);
            draft.push("Allow", ALLOW);
            draft.push("Supported", SUPPORTED);
        }
        draft.push("User-Agent", &way.user_agent);
        Some(draft)
    }

    /// Leaves an answer to the INVITE with whoever keeps its transaction.
    fn give(&mut self, status: u16, draft: Option<Draft>, hands: &mut Hands<'_>) {
        if let (Some(draft), Some(invited)) = (draft, &self.invited) {
            let (key, from) = (invited.key, invited.from);
            hands.then.push(super::Then::Answer { key, from, status, draft });
        }
    }

    /// Refuses the INVITE.
    pub(super) fn refuse(&mut self, status: u16, hands: &mut Hands<'_>) {
        let draft = self.reply_to_invite(status, hands);
        self.give(status, draft, hands);
        self.invited = None;
    }

    /// Accepts the INVITE: 200 with this end's description, repeated until the ACK comes.
    pub(super) fn accept(&mut self, hands: &mut Hands<'_>) {
        let Some(invited) = &self.invited else { return };
        let request = invited.request.clone();
        let (body, agreed) = match described(&request).map(|offer| self.sdp.answer(&offer)) {
            Some(Ok((text, agreed))) => (text, Some(agreed)),
            Some(Err(_)) => {
                self.refuse(488, hands);
                return;
            }
            None => (self.sdp.offer(), None),
        };
        let Some(draft) = self.reply_to_invite(200, hands) else { return };
        let mut draft = draft.body(sip::sdp::MEDIA_TYPE, body);
        self.grant_session_timer(&request, &mut draft, hands);
        if let Some(dialog) = &mut self.dialog {
            dialog.confirm();
        }
        self.give(200, Some(draft.clone()), hands);
        if let Some(invited) = &mut self.invited {
            invited.accepted = Some((Repeats::new(hands.now, hands.timers()), draft));
        }
        if matches!(self.phase, Phase::Offering) {
            self.is_attended = true;
            self.connected(hands);
        }
        if let Some(agreed) = agreed {
            self.take_agreement(agreed, hands);
        }
    }

    /// Tells when the other end begins or ends to hold.
    fn take_agreement(&mut self, agreed: sip::sdp::Agreed, hands: &mut Hands<'_>) {
        let was_held = self.is_held();
        self.agree(agreed, hands);
        if self.is_held() != was_held {
            let (name, text) = if self.is_held() {
                (events::CALL_HELD, format!("by {}", self.remote.shown()))
            } else {
                (events::CALL_RESUMED, format!("by {}", self.remote.shown()))
            };
            hands.event(name, text);
            hands.acts.push(super::Act::Attention);
        }
    }

    /// The caller changed its mind.
    pub(super) fn cancelled(&mut self, cancel: &Message, hands: &mut Hands<'_>) {
        if !matches!(self.phase, Phase::Offering) {
            return;
        }
        self.refuse(487, hands);
        // RFC 3326: somebody else picked up.
        let is_elsewhere = cancel.headers("Reason").any(|reason| {
            let reason = reason.to_ascii_lowercase();
            reason.starts_with("sip") && reason.contains("cause=200")
        });
        self.is_attended |= is_elsewhere;
        self.end(if is_elsewhere { "Answered elsewhere" } else { "The caller hung up" }, hands);
    }

    /// An ACK came: the 2xx needs no repeating, and an answer may be in it.
    pub(super) fn acknowledged(&mut self, ack: &Message, hands: &mut Hands<'_>) {
        let is_for = self.invited.as_ref().is_some_and(|invited| {
            invited.accepted.is_some() && invited.request.cseq().number == ack.cseq().number
        });
        if !is_for {
            return;
        }
        let offered = self.invited.take().is_some_and(|invited| invited.offered);
        if self.is_over() {
            // This end hung up before the ACK came (RFC 3261 §15).
            self.bye(hands);
            return;
        }
        if offered {
            match described(ack).map(|answer| self.sdp.accept(&answer)) {
                Some(Ok(agreed)) => self.take_agreement(agreed, hands),
                Some(Err(_)) | None => {
                    self.bye(hands);
                    self.end("No sound that both ends know", hands);
                }
            }
        }
        self.change(hands);
    }

    /// The 2xx is repeated, or nobody ever acknowledged it.
    pub(super) fn accepted_woken(&mut self, hands: &mut Hands<'_>) {
        let Some(invited) = &mut self.invited else { return };
        let from = invited.from;
        let Some((repeats, draft)) = &mut invited.accepted else { return };
        match repeats.wake(hands.now) {
            Due::Nothing => {}
            Due::Repeat => {
                let draft = draft.clone();
                hands.send(draft, Toward::Sender(from));
            }
            Due::GiveUp => {
                self.invited = None;
                self.bye(hands);
                self.end("The answer was never heard", hands);
            }
        }
    }

    /// Another INVITE inside the dialog: hold, resume, another address, or just a sign of life.
    ///
    /// # Errors
    ///
    /// The refusal: 491 where both ends ask at once, 500 where the last one is not done, 488 where nothing suits.
    pub(super) fn reoffered(
        &mut self,
        request: &Message,
        key: ServerKey,
        from: SocketAddr,
        hands: &mut Hands<'_>,
    ) -> Result<(), u16> {
        // RFC 3261 §14.2.
        if self.inviting.as_ref().is_some_and(|inviting| inviting.client.is_pending()) {
            return Err(491);
        }
        if self.invited.is_some() || !matches!(self.phase, Phase::Talking) {
            return Err(500);
        }
        let offer = described(request);
        if let Some(offer) = &offer {
            self.sdp.answer(offer).map_err(|_| 488_u16)?;
        } else if !request.body().is_empty() {
            return Err(415);
        }
        if let Some(dialog) = &mut self.dialog {
            dialog.receive(request).map_err(|_| 500_u16)?;
        }
        self.sdp.version += 1;
        self.invited =
            Some(Invited { key, request: request.clone(), from, accepted: None, offered: offer.is_none() });
        self.accept(hands);
        Ok(())
    }

    /// Any other request inside the dialog: what is answered. `None` where the machine answers later.
    pub(super) fn asked(&mut self, request: &Message, hands: &mut Hands<'_>) -> Reply {
        let tag = self.tag.clone();
        if let Some(dialog) = &mut self.dialog
            && dialog.receive(request).is_err()
        {
            return reply(request, 500, &tag);
        }
        let answer = |status| reply(request, status, &tag);
        match request.method() {
            "BYE" => {
                self.is_attended |= !matches!(self.phase, Phase::Offering);
                if matches!(self.phase, Phase::Offering) {
                    self.refuse(487, hands);
                }
                self.end("", hands);
                answer(200)
            }
            "UPDATE" => self.updated(request, hands),
            "REFER" => self.referred(request, hands),
            "NOTIFY" => self.noticed(request, hands),
            "INFO" => {
                let is_known = request.body().is_empty() || request.is_content("application/dtmf-relay");
                answer(if is_known { 200 } else { 415 })
            }
            "OPTIONS" => {
                let mut reply = answer(200);
                reply.draft.push("Allow", ALLOW);
                reply.draft.push("Accept", sip::sdp::MEDIA_TYPE);
                reply.draft.push("Supported", SUPPORTED);
                reply
            }
            _ => {
                let mut reply = answer(405);
                reply.draft.push("Allow", ALLOW);
                reply
            }
        }
    }

    /// UPDATE (RFC 3311): an offer without an ACK, or a sign of life.
    fn updated(&mut self, request: &Message, hands: &mut Hands<'_>) -> Reply {
        let tag = self.tag.clone();
        if self.inviting.as_ref().is_some_and(|inviting| inviting.client.is_pending()) {
            return reply(request, 491, &tag);
        }
        let body = match described(request).map(|offer| self.sdp.answer(&offer)) {
            None if !request.body().is_empty() => return reply(request, 415, &tag),
            None => None,
            Some(Err(_)) => return reply(request, 488, &tag),
            Some(Ok(answer)) => Some(answer),
        };
        let mut answer = reply(request, 200, &tag);
        if let Some(way) = hands.way {
            answer.draft.push("Contact", &way.contact);
        }
        self.grant_session_timer(request, &mut answer.draft, hands);
        if let Some((text, agreed)) = body {
            self.take_agreement(agreed, hands);
            answer.draft = answer.draft.body(sip::sdp::MEDIA_TYPE, text);
        }
        answer
    }
}
