//! INVITEs of this end and what is answered to them: ringing, early media, acceptance, redirection, refusal.

use std::time::Duration;

use sip::dialog::Dialog;
use sip::print::reason_phrase;
use sip::transaction::{InviteCame, InviteClient, Woke};
use sip::{Draft, Message};

use super::one::{ALLOW, Call, Inviting, Phase, Purpose, SUPPORTED};
use super::sound::described;
use super::way::{Act, Hands, Numbers, Toward};
use super::{Then, address};
use crate::events;

/// How often a call answers challenges: from a server and a proxy or two, each stale once.
const CHALLENGES_MAX: u8 = 4;
/// How often a call follows a 3xx.
const REDIRECTS_MAX: u8 = 5;
/// How long a phone lets the other end ring: 3 minutes, as a proxy's timer C. A guess.
const PATIENCE: Duration = Duration::from_secs(180);

impl Call {
    /// Sends the first INVITE, or sends it again elsewhere.
    pub(super) fn invite(&mut self, hands: &mut Hands<'_>) {
        let Some(way) = hands.way else {
            self.end("Not registered", hands);
            return;
        };
        let from = address::printed(&way.local);
        let mut draft = Draft::request("INVITE", &self.target)
            .with("From", format!("{from};tag={}{}", self.tag, way.from_params))
            .with("To", address::printed(&self.remote))
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{} INVITE", self.cseq))
            .with("Max-Forwards", "70");
        for (name, value) in way.headers.iter().chain(&self.extra) {
            draft.push(name, value);
        }
        if way.numbers == Numbers::Enterprise {
            // What keeps a conversation's parts together in a pool's records; any text that is its own will do.
            draft.push("Ms-Conversation-ID", &self.call_id.chars().take(22).collect::<String>());
        }
        if let Some(least) = self.min_se {
            draft.push("Session-Expires", &least.to_string());
            draft.push("Min-SE", &least.to_string());
        }
        self.patience.get_or_insert(hands.now + PATIENCE);
        self.start(draft, Purpose::Begin, Toward::Registrar, hands);
    }

    /// Sends another INVITE in the dialog: to hold, to resume, to keep the session alive.
    pub(super) fn reinvite(&mut self, purpose: Purpose, hands: &mut Hands<'_>) {
        if let Purpose::Hold(holds) = purpose {
            let direction = if holds { sip::sdp::Direction::SendOnly } else { Default::default() };
            if self.sdp.direction != direction {
                self.sdp.direction = direction;
                self.sdp.version += 1;
            }
        }
        let Some(dialog) = self.dialog.as_mut() else { return };
        let mut draft = dialog.request("INVITE");
        let toward = Toward::Address(dialog.next_hop().to_owned());
        if let Some(timer) = self.timer {
            let refresher = if timer.is_ours { "uac" } else { "uas" };
            draft.push("Session-Expires", &format!("{};refresher={refresher}", timer.interval.as_secs()));
        }
        self.start(draft, purpose, toward, hands);
    }

    fn start(&mut self, draft: Draft, purpose: Purpose, toward: Toward, hands: &mut Hands<'_>) {
        let Some(way) = hands.way else { return };
        let draft = hands
            .dress(draft)
            .with("Contact", &way.contact)
            .with("Allow", ALLOW)
            .with("Supported", SUPPORTED)
            .body(sip::sdp::MEDIA_TYPE, self.sdp.offer());
        let uri = match (purpose, &self.dialog) {
            (Purpose::Hold(_) | Purpose::Refresh, Some(dialog)) => dialog.target().to_owned(),
            _ => self.target.clone(),
        };
        let draft = hands.proved(draft, &uri);
        match draft.message() {
            Ok(message) => {
                let client = InviteClient::new(message, way.reliability, way.timers, hands.now);
                self.inviting = Some(Inviting { client, purpose, toward: toward.clone() });
                hands.send(draft, toward);
            }
            // Only a header that cannot be written could do this.
            Err(why) => self.end(&format!("Cannot be called: {why}"), hands),
        }
    }

    /// An answer to an INVITE came. Whether it was this call's.
    pub(super) fn answered(&mut self, response: &Message, hands: &mut Hands<'_>) -> bool {
        let Some(inviting) = &mut self.inviting else {
            return self.is_old_answer(response, hands);
        };
        let (purpose, toward) = (inviting.purpose, inviting.toward.clone());
        match inviting.client.receive(hands.now, response) {
            InviteCame::NotMine => return self.is_old_answer(response, hands),
            InviteCame::Provisional if purpose == Purpose::Begin => self.progress(response, hands),
            InviteCame::Provisional => {}
            InviteCame::Accepted => self.accepted(response, purpose, hands),
            InviteCame::Again(ack) => {
                if let Some(ack) = ack {
                    hands.send(ack, toward);
                }
            }
            InviteCame::Refused(ack) => {
                hands.send(ack, toward);
                match purpose {
                    Purpose::Begin => self.refused(response, hands),
                    Purpose::Hold(_) | Purpose::Refresh => self.change_refused(response, hands),
                }
            }
        }
        true
    }

    /// A 2xx whose transaction is forgotten: its ACK got lost, so it goes again.
    fn is_old_answer(&mut self, response: &Message, hands: &mut Hands<'_>) -> bool {
        let is_ours = response.call_id() == self.call_id && response.from().tag() == Some(self.tag.as_str());
        let is_2xx = response.status().is_some_and(|status| (200..300).contains(&status));
        if let Some((number, ack)) = &self.last_ack
            && is_ours
            && is_2xx
            && *number == response.cseq().number
            && let Some(dialog) = &self.dialog
        {
            hands.send(ack.clone(), Toward::Address(dialog.next_hop().to_owned()));
            return true;
        }
        false
    }

    fn progress(&mut self, response: &Message, hands: &mut Hands<'_>) {
        if self.is_to_be_cancelled {
            self.cancel(hands);
            return;
        }
        let status = response.status().unwrap_or(100);
        if status == 100 {
            return;
        }
        if let Some(inviting) = &self.inviting
            && let Ok(dialog) = Dialog::as_caller(inviting.client.request(), response)
        {
            self.dialog = Some(dialog);
        }
        self.learn(response);
        // Early media: an announcement, or the other side's own ring-back tone.
        if let Some(answer) = described(response)
            && let Ok(agreed) = self.sdp.accept(&answer)
        {
            self.agree(agreed, hands);
        }
        if matches!(status, 180 | 182 | 183) && self.phase == Phase::Setup {
            self.phase = Phase::RingBack;
            hands.event(events::CALL_RINGS_THERE, format!("at {}", self.remote.shown()));
            hands.acts.push(Act::Attention);
        }
    }

    fn accepted(&mut self, response: &Message, purpose: Purpose, hands: &mut Hands<'_>) {
        let Some(inviting) = &self.inviting else { return };
        let request = inviting.client.request().clone();
        let number = request.cseq().number;
        match &mut self.dialog {
            // Another fork answered as well: it is told that nobody is there.
            Some(dialog)
                if self.last_ack.as_ref().is_some_and(|(last, _)| *last == number)
                    && response.to().tag() != Some(dialog.id().remote_tag.as_str()) =>
            {
                self.refuse_fork(&request, response, hands);
                return;
            }
            _ if self.last_ack.as_ref().is_some_and(|(last, _)| *last == number) => {
                self.acknowledge(number, hands);
                return;
            }
            Some(dialog) if purpose != Purpose::Begin => dialog.refresh(response),
            _ => match Dialog::as_caller(&request, response) {
                Ok(dialog) => self.dialog = Some(dialog),
                Err(why) => {
                    self.end(&format!("The answer makes no call: {why}"), hands);
                    return;
                }
            },
        }
        self.acknowledge(number, hands);
        self.take_session_timer(response, hands);
        let answer = described(response).map(|answer| self.sdp.accept(&answer));
        if self.is_over() {
            // It crossed the CANCEL.
            self.bye(hands);
            return;
        }
        match (purpose, answer) {
            (_, Some(Ok(agreed))) => {
                if let Purpose::Hold(holds) = purpose {
                    self.held_changed(holds, hands);
                }
                if purpose == Purpose::Begin {
                    self.learn(response);
                    self.connected(hands);
                    hands.then.push(Then::Referred { call: self.reference, status: 200 });
                }
                self.agree(agreed, hands);
                self.change(hands);
            }
            // The answer came already, with the ringing.
            (Purpose::Begin, None) if self.agreed.is_some() => {
                self.connected(hands);
                self.agree_again(hands);
                hands.then.push(Then::Referred { call: self.reference, status: 200 });
            }
            (Purpose::Begin, None | Some(Err(_))) => {
                self.bye(hands);
                self.end("No sound that both ends know", hands);
                hands.then.push(Then::Referred { call: self.reference, status: 488 });
            }
            (Purpose::Hold(holds), None | Some(Err(_))) => self.held_changed(holds, hands),
            (Purpose::Refresh, None | Some(Err(_))) => {}
        }
    }

    fn acknowledge(&mut self, number: u32, hands: &mut Hands<'_>) {
        let Some(dialog) = &self.dialog else { return };
        let draft = match &self.last_ack {
            Some((last, draft)) if *last == number => draft.clone(),
            _ => hands.dress(dialog.ack(number)),
        };
        hands.send(draft.clone(), Toward::Address(dialog.next_hop().to_owned()));
        self.last_ack = Some((number, draft));
    }

    fn refuse_fork(&mut self, request: &Message, response: &Message, hands: &mut Hands<'_>) {
        let Ok(mut other) = Dialog::as_caller(request, response) else { return };
        let toward = Toward::Address(other.next_hop().to_owned());
        let ack = hands.dress(other.ack(request.cseq().number));
        hands.send(ack, toward.clone());
        let bye = hands.dress(other.request("BYE"));
        self.ask(bye, super::one::About::End, toward, hands);
    }

    fn refused(&mut self, response: &Message, hands: &mut Hands<'_>) {
        let status = response.status().unwrap_or(500);
        if self.is_over() {
            return;
        }
        match status {
            401 | 407 if self.challenges < CHALLENGES_MAX => {
                let sent = self.inviting.as_ref().map(|inviting| inviting.client.request().clone());
                if sent.is_some_and(|sent| hands.challenged(response, &sent)) {
                    self.challenges += 1;
                    self.cseq += 1;
                    self.invite(hands);
                    return;
                }
            }
            300..=399 if self.redirects < REDIRECTS_MAX => {
                if let Some(target) = moved_to(response) {
                    self.redirects += 1;
                    self.cseq += 1;
                    self.target = target;
                    self.dialog = None;
                    self.invite(hands);
                    return;
                }
            }
            // The server wants longer intervals between refreshes (RFC 4028 §7.3).
            422 if self.min_se.is_none() => {
                self.min_se = response.header("Min-SE").and_then(|text| text.trim().parse().ok());
                if self.min_se.is_some() {
                    self.cseq += 1;
                    self.invite(hands);
                    return;
                }
            }
            _ => {}
        }
        let why = match status {
            486 | 600 => "Busy".to_owned(),
            603 => "Declined".to_owned(),
            480 | 408 => "No answer".to_owned(),
            404 | 604 | 484 | 485 | 410 => "Not found".to_owned(),
            487 => "Cancelled".to_owned(),
            other => format!("{other} {}", reason_phrase(other)),
        };
        self.end(&why, hands);
        hands.then.push(Then::Referred { call: self.reference, status });
    }

    /// Timers of the INVITE and of the person who waits.
    pub(super) fn inviting_woken(&mut self, hands: &mut Hands<'_>) {
        if let Some(inviting) = &mut self.inviting {
            let (purpose, toward) = (inviting.purpose, inviting.toward.clone());
            match inviting.client.wake(hands.now) {
                Woke::Nothing => {}
                Woke::Resend(octets) => hands.send_again(octets, toward),
                Woke::TimedOut => {
                    self.inviting = None;
                    if purpose != Purpose::Begin {
                        self.bye(hands);
                    }
                    self.end("No answer", hands);
                    hands.then.push(Then::Referred { call: self.reference, status: 408 });
                }
                Woke::Over => self.inviting = None,
            }
        }
        if self.patience.is_some_and(|at| at <= hands.now) {
            self.patience = None;
            match self.phase {
                Phase::Setup | Phase::RingBack => {
                    self.is_to_be_cancelled = true;
                    self.cancel(hands);
                    self.end("No answer", hands);
                    hands.then.push(Then::Referred { call: self.reference, status: 408 });
                }
                Phase::Offering => {
                    self.refuse(487, hands);
                    self.end("No answer", hands);
                }
                Phase::Talking | Phase::Over { .. } => {}
            }
        }
    }

    /// The way to the server broke: what has no answer yet gets none.
    pub(super) fn way_broke(&mut self, hands: &mut Hands<'_>) {
        self.asking.clear();
        if let Some(inviting) = &mut self.inviting
            && inviting.client.is_pending()
        {
            inviting.client.fail();
            match self.phase {
                Phase::Setup | Phase::RingBack => {
                    self.end("The connection to the server is gone", hands);
                    hands.then.push(Then::Referred { call: self.reference, status: 503 });
                }
                // The change is asked for again once there is a way.
                Phase::Offering | Phase::Talking | Phase::Over { .. } => {}
            }
        }
        self.inviting = None;
        if matches!(self.phase, Phase::Offering) {
            self.end("The connection to the server is gone", hands);
        }
        if self.is_over() {
            self.invited = None;
        }
    }
}

/// Where a 3xx sends the call: the contact with the highest q that is a SIP address.
fn moved_to(response: &Message) -> Option<String> {
    let Ok(sip::Contacts::List(list)) = response.contacts() else { return None };
    let q = |contact: &sip::NameAddr<'_>| {
        let text = contact.params.get("q").unwrap_or("1").to_owned();
        (text.parse::<f64>().unwrap_or(0.0).clamp(0.0, 1.0) * 1000.0) as u32
    };
    let mut best: Option<&sip::NameAddr<'_>> = None;
    for contact in list.iter().filter(|contact| contact.uri.is_sip() && contact.uri.headers.is_none()) {
        if best.is_none_or(|best| q(contact) > q(best)) {
            best = Some(contact);
        }
    }
    best.map(|contact| contact.uri.as_str().to_owned())
}
