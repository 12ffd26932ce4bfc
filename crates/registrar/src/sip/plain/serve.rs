//! Requests of ordinary user agents: seen before or not, for the pool itself or for somebody.

use net::Note;
use sip::transaction::{Arrival, InviteArrival, ServerKey};
use sip::{Draft, Message, Scheme};

use super::guard::Denial;
use super::{Addressee, Asked, way_back};
use crate::events;
use crate::sip::answer;
use crate::sip::connection::Patience;
use crate::sip::flow::Flow;
use crate::sip::refusal::{ALLOW_PLAIN, Refusal};
use crate::sip::serve::{in_one_line, in_short, printed, shown};
use crate::sip::{FrontEnd, Turn};

/// The extensions that an ordinary user agent may require of the pool itself.
const EXTENSIONS: [&str; 2] = ["path", "outbound"];

/// The share of good credentials that a strict pool takes for stale.
const DOUBT: f64 = 0.05;

/// How long a user agent is asked to stay away from a pool that is busy, in seconds.
const BUSY_S: u32 = 10;

impl FrontEnd {
    /// Takes in a message of an ordinary user agent.
    pub(in crate::sip) fn plain_message(&mut self, flow: Flow, message: Message, turn: &mut Turn<'_, '_>) {
        // The secrets come before the first request is remembered under them.
        self.plain.secrets(turn.parts);
        turn.out.note_with(|| Note::received(flow.peer(), in_one_line(&message)));
        if !message.is_request() {
            self.relay_answer(&flow, &message, turn);
            return;
        }
        let (peer, way) = (flow.peer(), flow.carrier().reliability());
        let back = way_back(&flow, &message);
        let again = match message.method() {
            "ACK" | "INVITE" => match self.proxy.invites.receive(turn.now, peer, &message, way) {
                InviteArrival::New(key) => Ok(key),
                InviteArrival::Again(answer) => Err(answer),
                InviteArrival::Acknowledged => Err(None),
                InviteArrival::Ack => return self.relay_ack(&flow, &message, turn),
                InviteArrival::Full => return self.busy(flow, back, &message, turn),
            },
            _ => match self.plain.transactions.receive(turn.now, peer, &message, way) {
                Arrival::New(key) => Ok(key),
                Arrival::Again(answer) => Err(answer),
                Arrival::Full => return self.busy(flow, back, &message, turn),
            },
        };
        match again {
            Ok(key) => {
                let tag = self.plain.secrets(turn.parts).random.hex(16);
                let asked = Asked { flow, back, request: message, key, tag };
                self.plain_request(asked, turn);
            }
            Err(Some(answer)) => {
                turn.out.note(Note::sent(back.peer(), "the same answer again"));
                self.write(&back, answer, turn);
            }
            Err(None) => {}
        }
    }

    /// Refuses a request for which there is no room, without remembering it.
    fn busy(&mut self, flow: Flow, back: Flow, request: &Message, turn: &mut Turn<'_, '_>) {
        let asked = Asked {
            key: ServerKey::of(request, flow.peer()),
            flow,
            request: request.clone(),
            tag: self.plain.secrets(turn.parts).random.hex(16),
            back,
        };
        let draft = self.refusal(&asked, &Refusal::Busy { retry_after_s: BUSY_S });
        if let Some(octets) = printed(&draft) {
            turn.out.note(Note::sent(asked.back.peer(), in_short(&draft, request)));
            self.write(&asked.back, octets, turn);
        }
    }

    fn plain_request(&mut self, asked: Asked, turn: &mut Turn<'_, '_>) {
        if asked.request.method() == "CANCEL" {
            return self.relay_cancel(&asked, turn);
        }
        let Some(uri) = asked.request.uri() else { return };
        if uri.scheme == Scheme::Other {
            return self.refuse_plainly(&asked, &Refusal::UnsupportedScheme, turn);
        }
        if asked.request.method() == "REGISTER" {
            return self.plain_register(asked, turn);
        }
        let is_on_the_way = asked.request.header("Route").is_some();
        match self.addressee(&uri, turn.parts) {
            Addressee::Pool if !is_on_the_way => self.for_the_pool(&asked, turn),
            Addressee::Pool | Addressee::User(_) | Addressee::Foreign | Addressee::Unsupported => {
                self.relay_plain(asked, turn);
            }
        }
    }

    /// A request to the pool itself.
    fn for_the_pool(&mut self, asked: &Asked, turn: &mut Turn<'_, '_>) {
        if let Some(unknown) = self.unknown_extensions(&asked.request) {
            return self.refuse_plainly(asked, &Refusal::BadExtension(unknown), turn);
        }
        let has_dialog = asked.request.to().tag().is_some();
        match asked.request.method() {
            "OPTIONS" => {
                let draft = self.begin_plainly(asked, 200);
                let draft = draft
                    .with("Allow", ALLOW_PLAIN)
                    .with("Accept", "application/sdp")
                    .with("Accept-Encoding", "identity")
                    .with("Accept-Language", "en")
                    .with("Supported", "path, outbound");
                self.answer_plainly(asked, draft, turn);
            }
            "SUBSCRIBE" if !has_dialog => self.refuse_plainly(asked, &Refusal::UnknownEvent, turn),
            _ if has_dialog => self.refuse_plainly(asked, &Refusal::NoSuchDialog, turn),
            _ => self.refuse_plainly(asked, &Refusal::MethodNotAllowed, turn),
        }
    }

    /// The extensions that a request requires of the pool and that it does not know.
    pub(super) fn unknown_extensions(&self, request: &Message) -> Option<String> {
        crate::sip::serve::unknown_of(request, &["Require", "Proxy-Require"], &EXTENSIONS)
    }

    /// Who proves to have sent a request. If nobody does, the request is answered and there is nothing left to do.
    pub(in crate::sip) fn prove(&mut self, asked: &Asked, turn: &mut Turn<'_, '_>) -> Option<String> {
        let is_register = asked.request.method() == "REGISTER";
        let (header, challenge, status) = match is_register {
            true => ("Authorization", "WWW-Authenticate", 401),
            false => ("Proxy-Authorization", "Proxy-Authenticate", 407),
        };
        if self.plain.believes() {
            return self.believed(asked, turn);
        }
        let secrets = self.plain.secrets(turn.parts);
        let mut verdict = secrets.guard.judge(&asked.request, header, turn.parts.accounts, turn.now);
        // A client that gives up on a nonce which has gone stale, or asks for the password again, shows itself.
        if verdict.is_ok() && turn.parts.strict && secrets.random.chance(DOUBT) {
            verdict = Err(Denial::Stale);
        }
        let denial = match verdict {
            Ok(aor) => {
                self.is_proved_on(&asked.flow, turn);
                return Some(aor);
            }
            Err(denial) => denial,
        };
        let claim = || shown(asked.request.from().uri.as_str());
        let method = || shown(asked.request.method());
        if denial == Denial::Missing {
            turn.out.event_with(events::CHALLENGED, || (claim(), method()));
        } else {
            let text = || format!("{}: {}", method(), denial.in_words());
            turn.out.event_with(events::REQUEST_REFUSED, || (claim(), text()));
        }
        if denial == Denial::Bad {
            self.refuse_plainly(asked, &Refusal::BadCredentials, turn);
            return None;
        }
        if let Flow::Stream(stream, ..) = asked.flow
            && let Some(connection) = self.connections.get_mut(&stream)
        {
            match connection.challenge(turn.now) {
                Patience::Left => {}
                Patience::Worn(retry_after_s) => {
                    self.refuse_plainly(asked, &Refusal::Busy { retry_after_s }, turn);
                    return None;
                }
                Patience::Out => {
                    self.plain.transactions.forget(&asked.key);
                    self.proxy.invites.forget(&asked.key);
                    self.close(stream, "asks and asks without proving anything", turn);
                    return None;
                }
            }
        }
        let mut draft = self.begin_plainly(asked, status);
        for offer in self.plain.secrets(turn.parts).guard.challenges(turn.now, denial == Denial::Stale) {
            draft.push_fmt(challenge, format_args!("{offer}"));
        }
        self.answer_plainly(asked, draft, turn);
        None
    }

    /// Who a request says it is from, in a pool that asks for no proof: a REGISTER is from whom it registers.
    fn believed(&mut self, asked: &Asked, turn: &mut Turn<'_, '_>) -> Option<String> {
        let who = match asked.request.method() {
            "REGISTER" => asked.request.to(),
            _ => asked.request.from(),
        };
        match self.addressee(&who.uri, turn.parts) {
            Addressee::User(aor) => {
                self.is_proved_on(&asked.flow, turn);
                Some(aor)
            }
            Addressee::Pool | Addressee::Foreign | Addressee::Unsupported => {
                self.refuse_plainly(asked, &Refusal::ForeignFrom, turn);
                None
            }
        }
    }

    fn is_proved_on(&mut self, flow: &Flow, turn: &Turn<'_, '_>) {
        if let Flow::Stream(stream, ..) = flow
            && let Some(connection) = self.connections.get_mut(stream)
        {
            // Whoever is registered is heard of at least once in the life of a registration.
            connection.proved(turn.parts.registration_life + crate::sip::connection::IDLE);
        }
    }

    pub(in crate::sip) fn begin_plainly(&self, asked: &Asked, status: u16) -> Draft {
        answer::begin_plainly(&asked.request, status, &asked.tag, asked.flow.peer())
    }

    fn refusal(&self, asked: &Asked, why: &Refusal) -> Draft {
        let mut draft = self.begin_plainly(asked, why.status());
        why.explain_plainly(&mut draft);
        draft
    }

    /// Refuses a request of an ordinary user agent.
    pub(in crate::sip) fn refuse_plainly(&mut self, asked: &Asked, why: &Refusal, turn: &mut Turn<'_, '_>) {
        let draft = self.refusal(asked, why);
        self.answer_plainly(asked, draft, turn);
    }

    /// Answers a request with an answer of the pool's own, and remembers it.
    pub(in crate::sip) fn answer_plainly(&mut self, asked: &Asked, draft: Draft, turn: &mut Turn<'_, '_>) {
        self.send_back(asked, draft.with("Server", answer::SERVER), turn);
    }

    /// Sends an answer the way its request came, signed where everything is, and remembers it.
    pub(in crate::sip) fn send_back(&mut self, asked: &Asked, draft: Draft, turn: &mut Turn<'_, '_>) {
        let status = draft.status().unwrap_or(500);
        let what = turn.out.wants_notes().then(|| in_short(&draft, &asked.request));
        let Some(octets) = self.sealed(&asked.back, draft) else {
            // Whoever asked is gone, and so is all that waited for the answer.
            self.proxy.invites.forget(&asked.key);
            return self.plain.transactions.forget(&asked.key);
        };
        if status >= 300 && asked.request.method() == "INVITE" {
            self.invite_refused(&asked.key, &asked.back, turn);
        }
        let goes = match (asked.request.method(), &asked.flow) {
            ("INVITE", _) => self.proxy.invites.answer(turn.now, &asked.key, status, octets.clone()),
            (_, Flow::Signed { stream, .. }) => {
                let connection = self.connections.get_mut(stream);
                connection.map(|it| it.answered(&asked.key, status, octets.clone(), turn.now)).is_some()
            }
            _ => self.plain.transactions.answer(turn.now, &asked.key, status, octets.clone()),
        };
        if goes
            && self.write(&asked.back, octets, turn)
            && let Some(what) = what
        {
            turn.out.note(Note::sent(asked.back.peer(), what));
        }
    }

    /// The octets of a message as it leaves a way: signed where everything is. `None` if it cannot go that way.
    pub(in crate::sip) fn sealed(&mut self, flow: &Flow, draft: Draft) -> Option<bytes::Bytes> {
        let Flow::Signed { aor, epid, stream, .. } = flow else { return printed(&draft) };
        let association = self.connections.get_mut(stream)?.association_of(aor, epid.as_deref())?;
        let signed = match draft.method() {
            Some(_) => association.keys.sign_request(draft),
            None => association.keys.sign_response(draft),
        };
        printed(&signed)
    }
}
