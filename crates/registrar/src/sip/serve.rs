//! The methods, one by one: a request comes in, is judged, and is answered or waits for the disk.

mod notices;
mod registration;

use bytes::Bytes;
use net::{Note, StreamId};
use sip::timers::Reliability;
use sip::transaction::{InviteArrival, ServerKey};
use sip::{Draft, Message};

use super::access::{Verdict, speaker};
use super::answer;
use super::connection::Patience;
use super::flow::Flow;
use super::plain::Asked;
use super::refusal::{ALLOW, ALLOW_EVENTS, Refusal, phrase};
use super::register;
use super::{FrontEnd, Turn};
use crate::events;
use crate::faults::Exchange;

pub(super) use registration::{WAITING_IN_ALL, Waiting};

/// The extensions that a client may require.
const EXTENSIONS: [&str; 8] = [
    "gruu-10",
    "ms-benotify",
    "ms-piggyback-first-notify",
    "com.microsoft.autoextend",
    "adhoclist",
    "msrtc-event-categories",
    "ms-keep-alive",
    "eventlist",
];

/// How long a client is asked to stay away from a pool that is busy, in seconds.
const BUSY_S: u32 = 10;

/// A request that has proved who it is from.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    stream: StreamId,
    request: Message,
    key: ServerKey,
    aor: String,
    /// The handle of its association.
    opaque: String,
    /// The endpoint identifier that the association was proved with.
    epid: Option<String>,
    /// Our tag.
    tag: String,
}

impl FrontEnd {
    /// Takes a message in.
    pub(super) fn message(&mut self, stream: StreamId, message: &Message, turn: &mut Turn<'_, '_>) {
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        turn.out.note(Note::received(connection.peer, in_one_line(message)));
        if !message.is_request() {
            return self.answered(stream, message, turn);
        }
        // Nobody answers an ACK.
        if message.method() == "ACK" {
            return self.acknowledged(stream, message, turn);
        }
        if message.method() == "CANCEL" && sip::association::presented(message).next().is_none() {
            return;
        }
        let key = ServerKey::of(message, connection.peer);
        if let Some(again) = connection.repeated(&key, turn.now) {
            if let Some(answer) = again {
                turn.out.note(Note::sent(connection.peer, "the same answer again"));
                turn.out.write(stream, answer);
            }
            return;
        }
        let verdict = self.access.judge(message, connection, turn.parts, turn.now);
        let told = turn.parts.faults.peek(Exchange::Register).filter(|status| *status >= 500);
        let is_proved = matches!(verdict, Verdict::Signed { .. } | Verdict::ForeignFrom { .. });
        if told.is_some() && message.method() == "REGISTER" && !is_proved {
            // A pool in trouble does not even challenge.
            return self.answer_as_told(stream, message, &key, turn);
        }
        let tag = turn.parts.random.hex(16).to_ascii_uppercase();
        let (aor, opaque) = match verdict {
            Verdict::Signed { opaque } => (Some(speaker(message)), opaque),
            Verdict::ForeignFrom { opaque } => (None, opaque),
            unproved => return self.unproved(stream, message, &key, unproved, turn),
        };
        let aor_or_claim = aor.clone().unwrap_or_else(|| speaker(message));
        let epid = self.epid_of(stream, &opaque);
        let asker = Asker { stream, request: message.clone(), key, aor: aor_or_claim, opaque, epid, tag };
        match aor {
            Some(_) => self.serve(asker, turn),
            None => self.refuse(&asker, &Refusal::ForeignFrom, turn),
        }
    }

    /// An ACK: that of a refusal is the pool's own affair, a signed one is put through, and any other is dropped
    /// without a word (MS-SIPAE 3.3.5.1).
    fn acknowledged(&mut self, stream: StreamId, ack: &Message, turn: &mut Turn<'_, '_>) {
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        let peer = connection.peer;
        let verdict = match sip::association::presented(ack).next() {
            Some(_) => self.access.judge(ack, connection, turn.parts, turn.now),
            None => return,
        };
        let Verdict::Signed { opaque } = verdict else { return };
        let arrival = self.proxy.invites.receive(turn.now, peer, ack, Reliability::Reliable);
        if arrival == InviteArrival::Ack {
            let flow = Flow::Signed { aor: speaker(ack), epid: self.epid_of(stream, &opaque), stream, peer };
            self.relay_ack(&flow, ack, turn);
        }
    }

    /// Puts a signed request through.
    fn put_through(&mut self, asker: Asker, turn: &mut Turn<'_, '_>) {
        let Some(connection) = self.connections.get(&asker.stream) else { return };
        let Asker { stream, request, key, aor, epid, tag, .. } = asker;
        let flow = Flow::Signed { aor, epid, stream, peer: connection.peer };
        let asked = Asked { back: flow.clone(), flow, request, key, tag };
        match asked.request.method() {
            "CANCEL" => self.relay_cancel(&asked, turn),
            _ => self.relay_signed(asked, turn),
        }
    }

    /// Answers who has not proved who they are: with a flight, a challenge, or nothing.
    fn unproved(
        &mut self,
        stream: StreamId,
        request: &Message,
        key: &ServerKey,
        verdict: Verdict,
        turn: &mut Turn<'_, '_>,
    ) {
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        let (claim, method) = (shown(&speaker(request)), shown(request.method()));
        let mut event = |name, text: String| turn.out.note(Note::event(name, claim.as_str(), text));
        if method == "CANCEL" {
            return;
        }
        let (auth, diagnostics) = match verdict {
            Verdict::Flight(auth) => (auth, None),
            Verdict::Busy => {
                return self.answer_unproved(
                    stream,
                    request,
                    key,
                    &Refusal::Busy { retry_after_s: BUSY_S },
                    turn,
                );
            }
            Verdict::NotCredited(why) => {
                event(events::REQUEST_REFUSED, format!("{method}: {why}"));
                (self.access.challenge(turn.parts.host), None)
            }
            Verdict::HandshakeFailed(why) => {
                event(events::HANDSHAKE_FAILED, why);
                let diagnostics = "1000;reason=\"Final handshake failed\"";
                (self.access.challenge(turn.parts.host), Some(diagnostics))
            }
            Verdict::Challenge => {
                event(events::CHALLENGED, method);
                (self.access.challenge(turn.parts.host), None)
            }
            Verdict::Signed { .. } | Verdict::ForeignFrom { .. } => unreachable!("these are proved"),
        };
        match connection.challenge(turn.now) {
            Patience::Left => {}
            Patience::Worn(retry_after_s) => {
                let why = Refusal::Busy { retry_after_s };
                return self.answer_unproved(stream, request, key, &why, turn);
            }
            Patience::Out => return self.close(stream, "asks and asks without proving anything", turn),
        }
        let tag = turn.parts.random.hex(16).to_ascii_uppercase();
        let mut draft = answer::begin(request, 401, &tag, (connection.peer, connection.cid));
        draft.push("Date", &answer::date(turn.parts.clock.read(turn.now)));
        draft.push("WWW-Authenticate", &auth.to_string());
        if let Some(diagnostics) = diagnostics {
            draft.push("ms-diagnostics", &format!("{diagnostics};source=\"{}\"", turn.parts.host));
        }
        self.send_answer(stream, request, key, draft, None, turn);
    }

    fn answer_as_told(
        &mut self,
        stream: StreamId,
        request: &Message,
        key: &ServerKey,
        turn: &mut Turn<'_, '_>,
    ) {
        if let Some(status) = turn.parts.faults.take(Exchange::Register) {
            let why = Refusal::told(status, turn.parts.host);
            let claim = shown(&speaker(request));
            turn.out.note(Note::event(events::REGISTRATION_REFUSED, claim, why.in_words()));
            self.answer_unproved(stream, request, key, &why, turn);
        }
    }

    fn answer_unproved(
        &mut self,
        stream: StreamId,
        request: &Message,
        key: &ServerKey,
        why: &Refusal,
        turn: &mut Turn<'_, '_>,
    ) {
        let Some(connection) = self.connections.get(&stream) else { return };
        let tag = turn.parts.random.hex(16).to_ascii_uppercase();
        let draft = answer::refuse(request, why, &tag, (connection.peer, connection.cid), turn.parts.host);
        self.send_answer(stream, request, key, draft, None, turn);
    }

    /// Serves a request whose sender is known.
    fn serve(&mut self, asker: Asker, turn: &mut Turn<'_, '_>) {
        let method = asker.request.method().to_owned();
        let exchange = match method.as_str() {
            "REGISTER" => Some(Exchange::Register),
            "SUBSCRIBE" => Some(Exchange::Subscribe),
            _ => None,
        };
        if let Some(status) = exchange.and_then(|exchange| turn.parts.faults.take(exchange)) {
            let why = Refusal::told(status, turn.parts.host);
            return self.refuse(&asker, &why, turn);
        }
        // What a proxy requires of others is theirs to refuse.
        let is_for_others = self.is_relayed(&asker.request, &asker.aor, turn);
        let headers: &[&str] = if is_for_others { &["Proxy-Require"] } else { &["Require", "Proxy-Require"] };
        if let Some(unknown) = unknown_of(&asker.request, headers, &EXTENSIONS) {
            return self.refuse(&asker, &Refusal::BadExtension(unknown), turn);
        }
        if method == "REGISTER" {
            return self.register(asker, turn);
        }
        if let Err(why) = register::may_be_served(turn.parts.accounts, &asker.aor) {
            return self.refuse(&asker, &why, turn);
        }
        if method == "CANCEL" || self.is_relayed(&asker.request, &asker.aor, turn) {
            return self.put_through(asker, turn);
        }
        let has_dialog = asker.request.to().tag().is_some();
        let why = match method.as_str() {
            "SUBSCRIBE" => return self.subscribe(&asker, turn),
            "SERVICE" => return self.grant(&asker, turn, |draft| draft),
            "OPTIONS" => {
                return self.grant(&asker, turn, |draft| {
                    draft
                        .with("Allow", ALLOW)
                        .with("Allow-Events", ALLOW_EVENTS)
                        .with("Accept", "application/vnd-microsoft-roaming-provisioning-v2+xml")
                        .with("Supported", "gruu-10, ms-benotify, ms-piggyback-first-notify")
                });
            }
            "INVITE" if has_dialog => Refusal::NoSuchDialog,
            "INVITE" => Refusal::NoSuchDestination,
            "BYE" => Refusal::NoSuchDialog,
            _ if has_dialog => Refusal::NoSuchDialog,
            _ => Refusal::MethodNotAllowed,
        };
        self.refuse(&asker, &why, turn);
    }

    fn epid_of(&self, stream: StreamId, opaque: &str) -> Option<String> {
        self.connections.get(&stream)?.associations.get(opaque)?.epid.clone()
    }

    /// Answers 200 with what `add` adds.
    fn grant(&mut self, asker: &Asker, turn: &mut Turn<'_, '_>, add: impl FnOnce(Draft) -> Draft) {
        let Some(connection) = self.connections.get(&asker.stream) else { return };
        let draft = answer::begin(&asker.request, 200, &asker.tag, (connection.peer, connection.cid));
        let (stream, opaque) = (asker.stream, asker.opaque.clone());
        self.send_answer(stream, &asker.request, &asker.key, add(draft), Some(&opaque), turn);
    }

    /// Refuses who has proved who they are; the answer is signed.
    fn refuse(&mut self, asker: &Asker, why: &Refusal, turn: &mut Turn<'_, '_>) {
        let event = match asker.request.method() {
            "REGISTER" => events::REGISTRATION_REFUSED,
            _ => events::REQUEST_REFUSED,
        };
        let text = match asker.request.method() {
            "REGISTER" => why.in_words(),
            method => format!("{}: {}", shown(method), why.in_words()),
        };
        turn.out.note(Note::event(event, shown(&asker.aor), text));
        let Some(connection) = self.connections.get(&asker.stream) else { return };
        let from = (connection.peer, connection.cid);
        let draft = answer::refuse(&asker.request, why, &asker.tag, from, turn.parts.host);
        let (stream, opaque) = (asker.stream, asker.opaque.clone());
        self.send_answer(stream, &asker.request, &asker.key, draft, Some(&opaque), turn);
    }

    /// Sends an answer, signed if its association is still there, and remembers it.
    fn send_answer(
        &mut self,
        stream: StreamId,
        request: &Message,
        key: &ServerKey,
        draft: Draft,
        opaque: Option<&str>,
        turn: &mut Turn<'_, '_>,
    ) {
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        let draft = draft.with("Server", answer::SERVER);
        let status = draft.status().unwrap_or(500);
        let draft = match opaque.and_then(|opaque| connection.associations.get_mut(opaque)) {
            Some(association) => association.keys.sign_response(draft),
            None => draft,
        };
        let Some(octets) = printed(&draft) else { return };
        connection.answered(key, status, octets.clone(), turn.now);
        let what = in_short(&draft, request);
        turn.out.note(Note::sent(connection.peer, what));
        turn.out.write(stream, octets);
    }
}

/// The octets of a draft. Everything in it was read from a message or is our own, so it prints; should a peer find
/// a way around that, it gets no answer.
pub(super) fn printed(draft: &Draft) -> Option<Bytes> {
    draft.print().ok()
}

/// The extensions that a request requires in these headers and that are not among the known ones.
pub(super) fn unknown_of(request: &Message, headers: &[&str], known: &[&str]) -> Option<String> {
    let wanted = headers.iter().flat_map(|name| request.headers(name)).flat_map(|line| line.split(','));
    let wanted = wanted.map(str::trim).filter(|name| !name.is_empty());
    let unknown: Vec<&str> =
        wanted.filter(|name| !known.iter().any(|it| it.eq_ignore_ascii_case(name))).collect();
    (!unknown.is_empty()).then(|| unknown.join(", "))
}

/// An answer as the journal shows it.
pub(super) fn in_short(answer: &Draft, request: &Message) -> String {
    let status = answer.status().unwrap_or(500);
    let challenge = answer.header("WWW-Authenticate");
    let what = match (challenge, answer.header("Expires")) {
        (Some(challenge), _) if challenge.contains("gssapi-data") => "  (a flight of TLS-DSK)".to_owned(),
        (Some(_), _) => "  (a challenge)".to_owned(),
        (None, Some(secs)) => format!("  (for {secs}s)"),
        (None, None) => String::new(),
    };
    format!("{status} {}  cseq {}{what}", phrase(status), shown(&request.cseq().to_string()))
}

/// A stranger's words as the journal shows them: short, and on one line.
pub(super) fn shown(words: &str) -> String {
    const SHOWN_CHARS: usize = 120;
    words.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect()
}

/// A message as the journal shows it.
pub(super) fn in_one_line(message: &Message) -> String {
    match message.kind() {
        sip::message::Kind::Request { method, uri } => {
            let number = message.cseq().number;
            let credentials = sip::association::presented(message).next();
            let what = match credentials {
                Some(auth) if auth.get("gssapi-data").is_some() => "  (a flight of TLS-DSK)",
                Some(_) => "  (signed)",
                None => "",
            };
            format!("{} {}  cseq {number}{what}", shown(method), shown(uri))
        }
        sip::message::Kind::Response { status, reason } => format!("{status} {}", shown(reason)),
    }
}
