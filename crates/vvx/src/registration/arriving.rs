//! What arrives on the registration's stream: answers to REGISTER and SUBSCRIBE, and the pool's own requests.

use std::time::Duration;

use net::{Note, Outbox, Time};
use sip::association::{Checked, Parameters};
use sip::tls_dsk::{self, Initiator, Reply};
use sip::{Frame, Message, Scheme, SecurityAssociation};

use super::{
    AHEAD, ASSOCIATION_LIFE, Link, MOVES_MAX, Patience, Pending, REFUSALS_MAX, Registration, Said, Step,
    Tools, messages,
};
use crate::registration::policy;
use crate::sign_in::discover::Server;
use crate::sign_in::ticket::https;

/// The shortest life that a binding can be granted; less would keep the phone busy with nothing else.
const LEAST_GRANTED_S: u32 = 10;
/// The longest.
const MOST_GRANTED_S: u32 = 7 * 24 * 3600;

impl Registration {
    pub(super) fn take_frames(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) -> Vec<Said> {
        let mut said = Vec::new();
        loop {
            // What was taken in may have closed the stream.
            let Link::Up(up) = &mut self.link else {
                return said;
            };
            let peer = up.peer;
            let message = match up.framer.next() {
                None => return said,
                Some(Ok(Frame::Message(bytes))) => Message::parse(bytes),
                Some(Ok(_)) => continue,
                Some(Err(why)) => {
                    let why = format!("the pool sent no SIP: {why}");
                    said.extend(self.setback(why, None, now, tools, out));
                    return said;
                }
            };
            match message {
                Ok(message) => {
                    out.note(Note::received(peer, messages::line(&message)));
                    said.extend(self.take(&message, now, tools, out));
                }
                Err(why) => out.note(Note::received(peer, format!("a message that is none: {why}"))),
            }
        }
    }

    fn take(&mut self, message: &Message, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) -> Vec<Said> {
        let is_signed = match &mut self.association {
            None => false,
            Some(association) => match association.check(message) {
                Ok(Checked::Signed) => true,
                Ok(Checked::MayBeUnsigned) => false,
                Err(why) if why.is_fatal_to_client() => {
                    let why = format!("a message with a bad signature: {why}");
                    return self.setback(why, None, now, tools, out);
                }
                // As if it had never come.
                Err(_) => return Vec::new(),
            },
        };
        let Some(status) = message.status() else {
            return if is_signed { self.requested(message, now, tools, out) } else { Vec::new() };
        };
        if !matches!(message.method(), "REGISTER" | "SUBSCRIBE") {
            return if is_signed { self.for_calls(message) } else { Vec::new() };
        }
        if status < 200 {
            return Vec::new();
        }
        let is_for = |pending: &Option<Pending>| {
            pending.as_ref().is_some_and(|pending| {
                pending.call_id == message.call_id() && pending.cseq == message.cseq().number
            })
        };
        if message.method() == "REGISTER" && is_for(&self.register) {
            self.register = None;
            return self.register_answered(message, status, now, tools, out);
        }
        if message.method() == "SUBSCRIBE" && is_for(&self.subscribe) {
            self.subscribe = None;
            return self.subscribe_answered(message, status, now, tools, out);
        }
        Vec::new()
    }

    fn register_answered(
        &mut self,
        message: &Message,
        status: u16,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        match status {
            200..=299 => self.registered(message, now, tools, out),
            401 | 407 => self.challenged(message, now, tools, out),
            301 => self.moved(message, now, tools, out),
            403 | 404 => {
                let why = messages::reason(message);
                self.stop(out);
                vec![Said::Refused(why)]
            }
            _ => {
                let asked = message.header("Retry-After").and_then(|text| {
                    let digits: String = text.chars().take_while(char::is_ascii_digit).take(9).collect();
                    digits.parse().ok().map(Duration::from_secs)
                });
                let is_busy = matches!(status, 408 | 480 | 503 | 504);
                let asked = asked.or(is_busy.then_some(Duration::ZERO));
                let why = format!("the pool answers {}", messages::reason(message));
                self.setback(why, asked, now, tools, out)
            }
        }
    }

    fn challenged(
        &mut self,
        message: &Message,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        let Some(auth) = messages::challenge(message) else {
            self.stop(out);
            return vec![Said::Refused(
                "the pool wants a kind of proof that this phone does not have".to_owned(),
            )];
        };
        let value = |name: &str| auth.get(name).map(|value| value.into_owned());
        match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Asked => {
                let wall = tools.clock.read(now);
                let service = value("sts-uri").as_deref().and_then(https);
                self.service = service.clone().or(self.service.take());
                if !self.enrolled.as_ref().is_some_and(|enrolled| enrolled.is_good_at(wall)) {
                    self.step = Step::Enrolling;
                    return vec![Said::NeedsCertificate(service)];
                }
                let parameters = Parameters {
                    realm: value("realm").unwrap_or_default(),
                    targetname: value("targetname").unwrap_or_default(),
                    opaque: String::new(),
                    version: value("version").and_then(|text| text.parse().ok()).unwrap_or(4).clamp(3, 4),
                };
                self.begin_handshake(parameters, now, tools, out)
            }
            Step::Shaking(initiator, mut parameters) => {
                let (Some(flight), Some(opaque)) = (value("gssapi-data"), value("opaque")) else {
                    return self.not_convinced(message, now, tools, out);
                };
                parameters.opaque = opaque;
                self.go_on_shaking(initiator, parameters, &flight, now, tools, out)
            }
            Step::Completing | Step::Refreshing | Step::Registered => {
                self.not_convinced(message, now, tools, out)
            }
            step @ (Step::Idle | Step::Enrolling | Step::Untrusted | Step::Stopped) => {
                self.step = step;
                Vec::new()
            }
        }
    }

    fn begin_handshake(
        &mut self,
        parameters: Parameters,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        let Some(credentials) = self.credentials() else {
            return Vec::new();
        };
        let wall = tools.clock.read(now);
        let begun =
            Initiator::new(&credentials, tools.trust, &parameters.targetname, tools.crypto, tools.random)
                .and_then(|mut initiator| Ok((initiator.step(&[], wall, tools.random)?, initiator)));
        match begun {
            Ok((Reply::More(flight), initiator)) => {
                let authorization = tls_dsk::initiator_flight(&parameters, &flight).to_string();
                self.send_register(Some(authorization), "handshake", now, tools, out);
                self.step = Step::Shaking(Box::new(initiator), parameters);
                Vec::new()
            }
            Ok((Reply::Done { .. }, _)) => Vec::new(),
            Err(why) => self.setback(format!("no handshake with the pool: {why}"), None, now, tools, out),
        }
    }

    fn go_on_shaking(
        &mut self,
        mut initiator: Box<Initiator>,
        parameters: Parameters,
        flight: &str,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        let wall = tools.clock.read(now);
        let stepped =
            tls_dsk::decode_flight(flight).and_then(|flight| initiator.step(&flight, wall, tools.random));
        match stepped {
            Ok(Reply::More(flight)) => {
                let authorization = tls_dsk::initiator_flight(&parameters, &flight).to_string();
                self.send_register(Some(authorization), "handshake", now, tools, out);
                self.step = Step::Shaking(initiator, parameters);
                Vec::new()
            }
            Ok(Reply::Done { keys, .. }) => {
                let random = tools.random.fork("association");
                self.association = Some(SecurityAssociation::client(parameters, keys, random));
                let left = self.enrolled.as_ref().map_or(ASSOCIATION_LIFE, |own| {
                    let nanos = own.not_after.unix_nanos().saturating_sub(wall.unix_nanos());
                    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
                });
                self.timers.prove_at = Some(now + left.min(ASSOCIATION_LIFE).saturating_sub(AHEAD));
                self.send_register(None, "signed", now, tools, out);
                self.step = Step::Completing;
                Vec::new()
            }
            Err(tls_dsk::DskError::PeerRefused(why)) => self.refused(format!("{why}"), now, tools, out),
            Err(why) => self.setback(format!("no handshake with the pool: {why}"), None, now, tools, out),
        }
    }

    /// 401 to what should have been good credentials.
    fn not_convinced(
        &mut self,
        message: &Message,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        self.refused(messages::reason(message), now, tools, out)
    }

    fn refused(&mut self, why: String, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) -> Vec<Said> {
        self.refusals += 1;
        if self.refusals >= REFUSALS_MAX {
            self.refusals = 0;
            self.forget_association();
            self.timers.refresh_at = None;
            self.step = Step::Enrolling;
            return vec![Said::CertificateRefused(why)];
        }
        self.ask(now, tools, out);
        Vec::new()
    }

    fn moved(&mut self, message: &Message, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) -> Vec<Said> {
        self.moves += 1;
        let to = message.header("Contact").and_then(|value| {
            sip::NameAddr::parse(value).ok().and_then(|contact| {
                let uri = contact.uri;
                let is_sip = matches!(uri.scheme, Scheme::Sip | Scheme::Sips);
                let host = uri.host.to_ascii_lowercase();
                (is_sip && !host.is_empty()).then(|| Server { host, port: uri.port.unwrap_or(5061) })
            })
        });
        match to {
            Some(server) if self.moves <= MOVES_MAX => {
                let moves = self.moves;
                self.drop_link(out);
                self.moves = moves;
                self.servers.retain(|known| *known != server);
                self.servers.insert(0, server);
                self.servers.truncate(8);
                self.server = 0;
                self.connect(now)
            }
            Some(_) => self.setback("the pools send the phone in a ring".to_owned(), None, now, tools, out),
            None => self.setback("the pool sends the phone nowhere".to_owned(), None, now, tools, out),
        }
    }

    fn registered(
        &mut self,
        message: &Message,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        let Some(granted) = message.expires().filter(|granted| *granted > 0) else {
            return self.setback("the pool granted no time".to_owned(), None, now, tools, out);
        };
        let granted = granted.clamp(LEAST_GRANTED_S, MOST_GRANTED_S);
        let was_refresh = matches!(self.step, Step::Refreshing);
        let is_back = std::mem::take(&mut self.has_been_lost) && self.has_been_registered;
        let is_new = !was_refresh;
        self.step = Step::Registered;
        self.backoff.reset();
        (self.moves, self.refusals, self.busy) = (0, 0, 0);
        self.patience = Patience::Endless;
        self.has_been_registered = true;
        // The pool may have granted less than anybody asked; refreshing late would lose the binding.
        let share = granted * 9 / 10;
        let wait = if granted > 30 { share.min(granted - 30).max(1) } else { share };
        self.timers.refresh_at = Some(now + Duration::from_secs(wait.into()));
        if let Some(secs) = messages::parameter(message, "ms-keep-alive", "timeout")
            && let Ok(secs @ 10..=3600) = secs.parse()
        {
            self.keep_alive = Duration::from_secs(secs);
        }
        self.gruu = messages::gruu(message, &self.who.instance).or(self.gruu.take());
        let action = messages::parameter(message, "presence-state", "register-action");
        let was_forgotten = was_refresh && matches!(action.as_deref(), Some("added" | "fixed"));
        let mut said = Vec::new();
        if was_forgotten {
            said.push(Said::WasForgotten);
        }
        if is_new {
            said.push(Said::Registered { is_back });
        }
        if is_new || was_forgotten {
            self.subscribe(now, tools, out);
        }
        said
    }

    fn subscribe_answered(
        &mut self,
        message: &Message,
        status: u16,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        match status {
            200..=299 => {
                let life = message.expires().unwrap_or(0).min(MOST_GRANTED_S);
                if life > 240 {
                    self.timers.subscribe_at = Some(now + Duration::from_secs(u64::from(life - 120)));
                }
                let document = message.is_content(policy::MEDIA_TYPE).then(|| message.body().to_vec());
                vec![Said::Policy(document)]
            }
            // The association is not good any more: everything from the start.
            401 => {
                let mut said = vec![Said::Policy(None)];
                said.extend(self.refused(messages::reason(message), now, tools, out));
                said
            }
            _ => vec![Said::Policy(None)],
        }
    }

    fn for_calls(&self, message: &Message) -> Vec<Said> {
        match &self.link {
            Link::Up(up) => vec![Said::Call(Box::new(message.clone()), up.peer)],
            Link::Down | Link::Resolving | Link::Dialling(_) => Vec::new(),
        }
    }

    /// A request of the pool, rightly signed.
    fn requested(
        &mut self,
        message: &Message,
        now: Time,
        _tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        let method = message.method().to_owned();
        let is_about_transfer = message.header("Event").is_some_and(|event| event.starts_with("refer"));
        match method.as_str() {
            "INVITE" | "ACK" | "CANCEL" | "BYE" | "REFER" | "INFO" | "UPDATE" | "PRACK" => {
                return self.for_calls(message);
            }
            "NOTIFY" if is_about_transfer => return self.for_calls(message),
            _ => {}
        }
        let answer = match method.as_str() {
            "NOTIFY" | "OPTIONS" => Some((200, "OK")),
            "BENOTIFY" => None,
            _ => Some((405, "Method Not Allowed")),
        };
        if let Some((status, reason)) = answer {
            self.send(message.reply(status, reason), "", now, out);
        }
        if !method.ends_with("NOTIFY") {
            return Vec::new();
        }
        let event = message.header("Event").unwrap_or_default().to_owned();
        if event.eq_ignore_ascii_case(policy::EVENT) && message.is_content(policy::MEDIA_TYPE) {
            return vec![Said::Policy(Some(message.body().to_vec()))];
        }
        if event.eq_ignore_ascii_case("registration-notify") {
            let body = message.body_text().unwrap_or_default();
            if body.trim_start().get(..12).is_some_and(|word| word.eq_ignore_ascii_case("deregistered")) {
                let why = deregistered(message, body);
                if body.contains("event=deactivated") {
                    // RFC 3680 §5.3: whoever is deactivated registers again at once; a 301 says where.
                    return self.deactivated(why, now, out);
                }
                self.stop(out);
                return vec![Said::SignedOut(why)];
            }
        }
        Vec::new()
    }
}

fn deregistered(message: &Message, body: &str) -> String {
    let event = body.split_once("event=").map(|(_, event)| event.trim()).unwrap_or_default();
    let meaning = match event {
        "unregistered" => "signed out by the pool",
        "rejected" => "the account is disabled",
        "deactivated" => "the account has moved to another pool",
        _ => "signed out by the pool",
    };
    match message.header("ms-diagnostics-public").or(message.header("ms-diagnostics")) {
        Some(_) => messages::reason(message),
        None => meaning.to_owned(),
    }
}
