//! Which call a message belongs to, and what one call's happening means for the others.

use std::net::SocketAddr;

use sip::Message;
use sip::print::reason_phrase;
use sip::timers::Reliability;
use sip::transaction::{Arrival, Came, InviteArrival, InviteWoke, ServerKey, Woke};

use super::incoming::reply;
use super::one::{About, Call, Phase, SUPPORTED};
use super::transfer::{Wanted, replaced};
use super::way::{Hands, Toward};
use super::{CALLS_MAX, CallDirection, CallListKind, CallRecord, CallRef, Calls, Party, SERVERS_MAX, Then};
use super::{address, change};
use crate::events;

/// The status that refuses an INVITE, and headers that say more.
type Refusal = (u16, Vec<(&'static str, String)>);

/// How often requests of one call answer challenges.
const CHALLENGES_MAX: u8 = 16;
/// How many rounds one happening may keep the calls busy with each other.
const ROUNDS_MAX: usize = 64;

impl Calls {
    /// A message came on a line: a request from `from`, or an answer. Whether it was a call's affair at all.
    pub fn message(&mut self, line: u32, message: &Message, from: SocketAddr, hands: &mut Hands<'_>) -> bool {
        hands.turn_to(line);
        let is_mine = match (message.is_request(), message.method()) {
            (false, _) => self.answered(message, hands),
            (true, "INVITE" | "ACK") => {
                self.invite_came(message, from, hands);
                true
            }
            (true, "CANCEL") => {
                self.cancel_came(message, from, hands);
                true
            }
            (true, "BYE" | "REFER" | "INFO" | "UPDATE" | "PRACK") => {
                self.request_came(message, from, hands);
                true
            }
            // These are a call's only inside one.
            (true, "NOTIFY" | "OPTIONS") if self.find(message).is_some() => {
                self.request_came(message, from, hands);
                true
            }
            (true, _) => false,
        };
        self.settle(hands);
        is_mine
    }

    fn answered(&mut self, response: &Message, hands: &mut Hands<'_>) -> bool {
        if response.method() == "INVITE" {
            return self.calls.iter_mut().any(|call| {
                hands.turn_to(call.line);
                call.answered(response, hands)
            });
        }
        self.calls.iter_mut().any(|call| {
            hands.turn_to(call.line);
            call.asking_answered(response, hands)
        })
    }

    /// Whether a message is inside one of the calls' dialogs, or answers one of their requests.
    pub fn knows(&self, message: &Message) -> bool {
        self.calls.iter().any(|call| match message.is_request() {
            true => {
                call.dialog.as_ref().is_some_and(|dialog| dialog.is_of(message))
                    || call.invited.as_ref().is_some_and(|invited| {
                        invited.request.call_id() == message.call_id() && message.method() == "CANCEL"
                    })
            }
            false => call.call_id == message.call_id(),
        })
    }

    fn find(&mut self, request: &Message) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.dialog.as_ref().is_some_and(|dialog| dialog.is_of(request)))
    }

    fn way_is(hands: &Hands<'_>) -> Reliability {
        hands.way.map_or(Reliability::Reliable, |way| way.reliability)
    }

    fn invite_came(&mut self, request: &Message, from: SocketAddr, hands: &mut Hands<'_>) {
        match self.invites.receive(hands.now, from, request, Calls::way_is(hands)) {
            InviteArrival::New(key) => {
                if self.senders.len() == SERVERS_MAX {
                    self.senders.pop_front();
                }
                self.senders.push_back((key, from));
                if let Err((status, headers)) = self.invited(request, &key, from, hands) {
                    let mut draft = request.reply(status, reason_phrase(status));
                    for (name, value) in headers {
                        draft.push(name, &value);
                    }
                    hands.then.push(Then::Answer { key, from, status, draft });
                }
            }
            InviteArrival::Again(Some(octets)) => {
                hands.send_again(octets, Toward::Sender(from));
            }
            InviteArrival::Again(None) | InviteArrival::Acknowledged => {}
            InviteArrival::Ack => {
                if let Some(call) = self.find(request) {
                    call.acknowledged(request, hands);
                }
            }
            InviteArrival::Full => hands.send(request.reply(503, reason_phrase(503)), Toward::Sender(from)),
        }
    }

    /// An INVITE for the first time.
    ///
    /// # Errors
    ///
    /// The refusal, and headers that say more.
    fn invited(
        &mut self,
        request: &Message,
        key: &ServerKey,
        from: SocketAddr,
        hands: &mut Hands<'_>,
    ) -> Result<(), Refusal> {
        let plain = |status: u16| (status, Vec::new());
        let unknown: Vec<&str> = request
            .headers("Require")
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .filter(|tag| !SUPPORTED.split(", ").any(|known| known.eq_ignore_ascii_case(tag)))
            .collect();
        if !unknown.is_empty() {
            return Err((420, vec![("Unsupported", unknown.join(", "))]));
        }
        if change::is_too_short(request) {
            return Err((422, vec![("Min-SE", change::least())]));
        }
        if request.to().tag().is_some() {
            let call = self.find(request).ok_or(plain(481))?;
            let status = call.reoffered(request, *key, from, hands);
            return status.map_err(|status| match status {
                // RFC 3261 §14.2: up to ten seconds.
                500 => (500, vec![("Retry-After", hands.random.below(11).to_string())]),
                status => (status, Vec::new()),
            });
        }
        // The same INVITE by another way (RFC 3261 §8.2.2.2).
        let is_merged = self.calls.iter().any(|call| {
            call.invited.as_ref().is_some_and(|invited| {
                invited.request.call_id() == request.call_id()
                    && invited.request.from().tag() == request.from().tag()
                    && invited.request.cseq().number == request.cseq().number
            })
        });
        if is_merged {
            return Err(plain(482));
        }
        let replaces = match request.header("Replaces") {
            None => None,
            Some(value) => Some(self.replaced(value).map_err(plain)?),
        };
        let live = self.calls.iter().filter(|call| !call.is_over()).count();
        let is_waiting = live > 0 && !hands.settings.call_waiting;
        let remote = address::party(&request.from());
        if replaces.is_none() && (hands.settings.do_not_disturb || is_waiting) || live >= CALLS_MAX {
            hands.event(events::CALL_MISSED, format!("from {}", remote.shown()));
            self.lists.add(
                CallListKind::Missed,
                CallRecord { remote, started: hands.now, duration: Default::default() },
            );
            return Err(plain(486));
        }
        let mut call = self.begin(CallDirection::Incoming, remote, hands).ok_or(plain(480))?;
        call.learn(request);
        if let Err(status) = call.offered(request, *key, from, hands) {
            call.hush(hands);
            let accept = ("Accept", sip::sdp::MEDIA_TYPE.to_owned());
            return Err((status, if status == 415 { vec![accept] } else { Vec::new() }));
        }
        let reference = call.reference;
        if let Some(old) = replaces {
            // It takes the place of a call that was answered, or dialled, here: nobody needs to be asked.
            call.accept(hands);
            self.calls.push(call);
            self.focus = Some(reference);
            if let Some(old) = self.calls.iter_mut().find(|call| call.reference == old) {
                hands.turn_to(old.line);
                old.hang_up(487, hands);
            }
            return Ok(());
        }
        call.ring(hands);
        self.calls.push(call);
        if self.focus_call().is_none() {
            self.focus = Some(reference);
        }
        Ok(())
    }

    /// The call that a Replaces header means (RFC 3891 §3).
    fn replaced(&self, value: &str) -> Result<CallRef, u16> {
        let (id, is_early_only) = replaced(value).ok_or(400_u16)?;
        let is_it = |call: &&Call| call.dialog.as_ref().is_some_and(|dialog| *dialog.id() == id);
        let call = self.calls.iter().find(is_it).ok_or(481_u16)?;
        match call.phase {
            Phase::Talking if is_early_only => Err(486),
            // Only whoever called may have an early call replaced.
            Phase::Talking | Phase::Setup | Phase::RingBack => Ok(call.reference),
            Phase::Offering => Err(481),
            Phase::Over { .. } => Err(603),
        }
    }

    fn cancel_came(&mut self, cancel: &Message, from: SocketAddr, hands: &mut Hands<'_>) {
        let found = self.invites.cancelled(from, cancel);
        let status = if found.is_some() { 200 } else { 481 };
        self.answer_request(cancel, from, status, hands);
        let Some((key, true)) = found else { return };
        let mine = |call: &&mut Call| call.invited.as_ref().is_some_and(|invited| invited.key == key);
        if let Some(call) = self.calls.iter_mut().find(mine) {
            call.cancelled(cancel, hands);
        }
    }

    fn request_came(&mut self, request: &Message, from: SocketAddr, hands: &mut Hands<'_>) {
        match self.others.receive(hands.now, from, request, Calls::way_is(hands)) {
            Arrival::New(key) => {
                let reply = match self.find(request) {
                    Some(call) if !call.is_over() || request.method() == "BYE" => call.asked(request, hands),
                    // A NOTIFY about a transfer may come behind the BYE.
                    Some(call) if request.method() == "NOTIFY" => call.asked(request, hands),
                    Some(_) | None => reply(request, 481, "0"),
                };
                if let Ok(octets) = reply.draft.print()
                    && self.others.answer(hands.now, &key, reply.status, octets)
                {
                    hands.send(reply.draft, Toward::Sender(from));
                }
            }
            Arrival::Again(Some(octets)) => {
                hands.send_again(octets, Toward::Sender(from));
            }
            Arrival::Again(None) => {}
            Arrival::Full => hands.send(request.reply(503, reason_phrase(503)), Toward::Sender(from)),
        }
    }

    fn answer_request(&mut self, request: &Message, from: SocketAddr, status: u16, hands: &mut Hands<'_>) {
        match self.others.receive(hands.now, from, request, Calls::way_is(hands)) {
            Arrival::New(key) => {
                let draft = request.reply(status, reason_phrase(status));
                if let Ok(octets) = draft.print()
                    && self.others.answer(hands.now, &key, status, octets)
                {
                    hands.send(draft, Toward::Sender(from));
                }
            }
            Arrival::Again(Some(octets)) => {
                hands.send_again(octets, Toward::Sender(from));
            }
            Arrival::Again(None) | Arrival::Full => {}
        }
    }

    /// The refusals that nobody acknowledged go out again.
    pub(super) fn invites_woken(&mut self, hands: &mut Hands<'_>) {
        for (key, woke) in self.invites.wake(hands.now) {
            let sender = self.senders.iter().find(|(known, _)| *known == key).map(|(_, from)| *from);
            if let (InviteWoke::Resend(octets), Some(from)) = (woke, sender) {
                hands.send_again(octets, Toward::Sender(from));
            }
        }
    }

    /// Makes a call, with a number and ports of its own. `None` without a way or a free port.
    pub(super) fn begin(
        &mut self,
        direction: CallDirection,
        remote: Party,
        hands: &mut Hands<'_>,
    ) -> Option<Call> {
        let first = hands.settings.first_port & !1;
        let taken = |port: u16| self.calls.iter().any(|call| !call.is_over() && call.port == port);
        let port = (0..=CALLS_MAX as u16).map(|n| first.saturating_add(2 * n)).find(|port| !taken(*port))?;
        let call = Call::new(CallRef(self.next), direction, remote, port, hands)?;
        self.next = self.next.wrapping_add(1);
        Some(call)
    }

    pub(super) fn focus_call(&self) -> Option<&Call> {
        let focus = self.focus?;
        self.calls.iter().find(|call| call.reference == focus && !call.is_over())
    }

    /// Does what the calls mean for each other.
    pub(super) fn settle(&mut self, hands: &mut Hands<'_>) {
        for _ in 0..ROUNDS_MAX {
            if hands.then.is_empty() {
                return;
            }
            for then in std::mem::take(&mut hands.then) {
                self.settle_one(then, hands);
            }
        }
    }

    fn settle_one(&mut self, then: Then, hands: &mut Hands<'_>) {
        match then {
            Then::Answer { key, from, status, draft } => {
                if let Ok(octets) = draft.print()
                    && self.invites.answer(hands.now, &key, status, octets)
                {
                    hands.send(draft, Toward::Sender(from));
                }
            }
            Then::Ended(reference) => self.ended(reference, hands),
            Then::HangUp(reference) => {
                if let Some(call) = self.calls.iter_mut().find(|call| call.reference == reference)
                    && matches!(call.phase, Phase::Talking)
                {
                    hands.turn_to(call.line);
                    call.bye(hands);
                    call.end("Transferred", hands);
                }
            }
            Then::Refer { by, wanted, referrer } => self.refer(by, &wanted, &referrer, hands),
            Then::Referred { call, status } => {
                let Some(call) = self.calls.iter_mut().find(|known| known.reference == call) else { return };
                if let Some(referrer) = call.referrer.take()
                    && let Some(by) = self.calls.iter_mut().find(|known| known.reference == referrer)
                {
                    hands.turn_to(by.line);
                    by.notify(status, hands);
                }
            }
        }
    }

    fn ended(&mut self, reference: CallRef, hands: &mut Hands<'_>) {
        let Some(call) = self.calls.iter().find(|call| call.reference == reference) else { return };
        let kind = match call.direction {
            CallDirection::Outgoing => CallListKind::Placed,
            CallDirection::Incoming if call.is_attended => CallListKind::Received,
            CallDirection::Incoming => CallListKind::Missed,
        };
        let ended = call.ended_at.unwrap_or(hands.now);
        let duration = call.connected_at.map_or(Default::default(), |since| ended.since(since));
        let record = CallRecord { remote: call.remote.clone(), started: call.started, duration };
        if call.referrer.is_some() {
            hands.then.push(Then::Referred { call: reference, status: 487 });
        }
        self.lists.add(kind, record);
        if self.focus == Some(reference) {
            let live = self.calls.iter().filter(|call| !call.is_over());
            let next = live.max_by_key(|call| (call.is_active(), call.reference.0));
            // With nothing else to show, the end of this one is shown.
            self.focus = next.map(|call| call.reference).or(self.focus);
        }
    }

    /// Calls somebody on behalf of a call's other end.
    fn refer(&mut self, by: CallRef, wanted: &Wanted, referrer: &str, hands: &mut Hands<'_>) {
        let line = self.calls.iter().find(|call| call.reference == by).map_or(1, |call| call.line);
        hands.turn_to(line);
        let remote = Party { name: String::new(), address: wanted.address.clone() };
        let mut extra = Vec::new();
        if !referrer.is_empty() {
            extra.push(("Referred-By".to_owned(), referrer.to_owned()));
        }
        if let Some(replaces) = &wanted.replaces {
            extra.push(("Replaces".to_owned(), replaces.clone()));
        }
        let placed = self.place(remote, extra, Some(by), hands);
        let by = self.calls.iter_mut().find(|call| call.reference == by);
        if let Some(by) = by {
            by.notify(if placed.is_some() { 100 } else { 503 }, hands);
        }
    }
}

impl Call {
    /// An answer to a request other than INVITE. Whether it was this call's.
    fn asking_answered(&mut self, response: &Message, hands: &mut Hands<'_>) -> bool {
        let mine = self.asking.iter().position(|asking| asking.client.is_answered_by(response));
        let Some(at) = mine else { return false };
        let asking = &mut self.asking[at];
        let about = asking.about;
        let came = asking.client.receive(hands.now, response);
        let request = asking.client.request().clone();
        if asking.client.is_over() {
            self.asking.remove(at);
        }
        if came != Came::Final {
            return true;
        }
        let status = response.status().unwrap_or(500);
        if matches!(status, 401 | 407) && self.ask_again(&request, response, about, hands) {
            return true;
        }
        if about == About::Refer {
            self.refer_answered(status, hands);
        }
        true
    }

    /// Sends a challenged request again, with proof. Whether there is any, and it was not tried yet.
    fn ask_again(
        &mut self,
        request: &Message,
        response: &Message,
        about: About,
        hands: &mut Hands<'_>,
    ) -> bool {
        let method = request.method().to_owned();
        if method == "CANCEL" || self.challenges >= CHALLENGES_MAX || !hands.challenged(response, request) {
            return false;
        }
        self.challenges += 1;
        let Some((mut draft, toward)) = self.inside(&method, hands) else { return false };
        for name in ["Contact", "Refer-To", "Referred-By", "Event", "Subscription-State"] {
            if let Some(value) = request.header(name) {
                draft.push(name, value);
            }
        }
        if let Some(kind) = request.content_type() {
            draft = draft.body(kind, request.body());
        }
        self.ask(draft, about, toward, hands);
        true
    }

    /// Repeats what nobody answers, and gives it up in the end.
    pub(super) fn asking_woken(&mut self, hands: &mut Hands<'_>) {
        let mut refer_failed = false;
        let now = hands.now;
        for asking in &mut self.asking {
            match asking.client.wake(now) {
                Woke::Nothing | Woke::Over => {}
                Woke::Resend(octets) => {
                    hands.send_again(octets, asking.toward.clone());
                }
                Woke::TimedOut => refer_failed |= asking.about == About::Refer,
            }
        }
        self.asking.retain(|asking| !asking.client.is_over());
        let is_late = self.transfer.as_ref().is_some_and(|transfer| transfer.until <= now);
        if refer_failed || is_late {
            self.transfer_failed("nobody tells what came of it", hands);
        }
    }
}
