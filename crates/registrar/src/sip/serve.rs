//! The methods, one by one: a request comes in, is judged, and is answered or waits for the disk.

use bytes::Bytes;
use net::{Note, StreamId};
use sip::transaction::ServerKey;
use sip::{Draft, Message};

use super::access::{Verdict, speaker};
use super::answer;
use super::bindings::Binding;
use super::connection::{KEEP_ALIVE, Patience, WAITING_MAX};
use super::in_band::Subscriber;
use super::notice::{self, Deregistration, Dialog};
use super::refusal::{ALLOW, ALLOW_EVENTS, Refusal, phrase};
use super::register::{self, Bench, Wish};
use super::{FrontEnd, Turn};
use crate::events;
use crate::faults::Exchange;

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

/// What waits for the disk.
#[derive(Debug)]
pub(super) struct Waiting {
    asker: Asker,
    wish: Wish,
}

/// A request that has proved who it is from.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    stream: StreamId,
    request: Message,
    key: ServerKey,
    aor: String,
    /// The handle of its association.
    opaque: String,
    /// Our tag.
    tag: String,
}

impl FrontEnd {
    /// Takes a message in.
    pub(super) fn message(&mut self, stream: StreamId, message: &Message, turn: &mut Turn<'_, '_>) {
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        turn.out.note(Note::received(connection.peer, in_one_line(message)));
        // Answers to the pool's own notices change nothing here, and nobody answers an ACK.
        if !message.is_request() || message.method() == "ACK" {
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
        let asker = Asker { stream, request: message.clone(), key, aor: aor_or_claim, opaque, tag };
        match aor {
            Some(_) => self.serve(asker, turn),
            None => self.refuse(&asker, &Refusal::ForeignFrom, turn),
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
        let (claim, method) = (speaker(request), request.method());
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
                event(events::CHALLENGED, method.to_owned());
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
            turn.out.note(Note::event(events::REGISTRATION_REFUSED, speaker(request), why.in_words()));
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
        if let Some(unknown) = unknown_extensions(&asker.request) {
            return self.refuse(&asker, &Refusal::BadExtension(unknown), turn);
        }
        if method == "REGISTER" {
            return self.register(asker, turn);
        }
        if let Err(why) = register::may_be_served(turn.parts.accounts, &asker.aor) {
            return self.refuse(&asker, &why, turn);
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
            // Calls are not put through here; a known address is merely not to be had.
            "INVITE" if self.is_known(&asker.request, turn) => Refusal::AsTold(480),
            "INVITE" => Refusal::NoSuchDestination,
            "BYE" | "CANCEL" => Refusal::NoSuchDialog,
            _ if has_dialog => Refusal::NoSuchDialog,
            _ => Refusal::MethodNotAllowed,
        };
        self.refuse(&asker, &why, turn);
    }

    fn is_known(&self, request: &Message, turn: &Turn<'_, '_>) -> bool {
        let whom = request.uri().and_then(|uri| uri.user_at_host());
        whom.is_some_and(|whom| turn.parts.accounts.find(&whom).is_some())
    }

    fn register(&mut self, asker: Asker, turn: &mut Turn<'_, '_>) {
        let Some(connection) = self.connections.get_mut(&asker.stream) else { return };
        if connection.waiting >= WAITING_MAX {
            return self.refuse(&asker, &Refusal::Busy { retry_after_s: BUSY_S }, turn);
        }
        let bench = Bench {
            accounts: turn.parts.accounts,
            bindings: &self.bindings,
            domain: turn.parts.domain,
            host: turn.parts.host,
            longest: turn.parts.registration_life,
            strict: turn.parts.strict,
        };
        let way = (connection.peer, asker.stream);
        let wish = match register::judge(&asker.request, &asker.aor, way, &asker.tag, &bench, turn.now) {
            Ok(wish) => wish,
            Err(why) => return self.refuse(&asker, &why, turn),
        };
        let write = match &wish {
            Wish::Bind(binding) => Some(self.store.bound(binding, turn.parts.clock, turn.now, turn.out)),
            Wish::Unbind { endpoint } if self.bindings.find(&asker.aor, endpoint, turn.now).is_some() => {
                Some(self.store.gone(&asker.aor, endpoint, turn.out))
            }
            Wish::UnbindAll => {
                let endpoints: Vec<String> =
                    self.bindings.of(&asker.aor, turn.now).iter().map(|held| held.endpoint.clone()).collect();
                let writes = endpoints.iter().map(|endpoint| self.store.gone(&asker.aor, endpoint, turn.out));
                writes.last()
            }
            Wish::Unbind { .. } | Wish::Ask => None,
        };
        match write {
            Some(write) => {
                connection.waiting += 1;
                self.waiting.insert(write, Waiting { asker, wish });
            }
            // Nothing changes, so nothing has to be kept.
            None => self.registered_as(&asker, None, turn),
        }
    }

    /// What a REGISTER asked for is on the disk: it holds now, and its client hears so.
    pub(super) fn carry_out(&mut self, Waiting { asker, wish }: Waiting, turn: &mut Turn<'_, '_>) {
        if let Some(connection) = self.connections.get_mut(&asker.stream) {
            connection.waiting -= 1;
        }
        match wish {
            Wish::Bind(binding) => self.bind(&asker, *binding, turn),
            Wish::Unbind { endpoint } => {
                self.unbind(&asker, &endpoint, turn);
                self.registered_as(&asker, None, turn);
            }
            Wish::UnbindAll => {
                let endpoints: Vec<String> =
                    self.bindings.of(&asker.aor, turn.now).iter().map(|held| held.endpoint.clone()).collect();
                for endpoint in endpoints {
                    self.unbind(&asker, &endpoint, turn);
                }
                self.registered_as(&asker, None, turn);
            }
            Wish::Ask => {}
        }
    }

    fn bind(&mut self, asker: &Asker, mut binding: Binding, turn: &mut Turn<'_, '_>) {
        // The world may have gone on while the disk was busy.
        if let Err(why) = register::may_be_served(turn.parts.accounts, &asker.aor) {
            self.store.gone(&binding.aor, &binding.endpoint, turn.out);
            return self.refuse(asker, &why, turn);
        }
        if !self.connections.contains_key(&asker.stream) {
            binding.connection = None;
            binding.lost_at = Some(turn.now);
        }
        let is_refresh = self.bindings.find(&binding.aor, &binding.endpoint, turn.now).is_some();
        let (event, action) = match is_refresh {
            true => (events::REGISTRATION_REFRESHED, "refreshed"),
            false => (events::REGISTERED, "added"),
        };
        let text = format!("endpoint {} until {}", binding.endpoint, binding.until);
        turn.out.note(Note::event(event, &binding.aor, text));
        if let Some(pushed_out) = self.bindings.put(binding, turn.now) {
            self.store.gone(&pushed_out.aor, &pushed_out.endpoint, turn.out);
            self.tell_deregistered(&pushed_out, Deregistration::Unregistered, turn);
        }
        self.registered_as(asker, Some(action), turn);
    }

    fn unbind(&mut self, asker: &Asker, endpoint: &str, turn: &mut Turn<'_, '_>) {
        if self.bindings.remove(&asker.aor, endpoint).is_some() {
            let text = format!("endpoint {endpoint}: it said so");
            turn.out.note(Note::event(events::DEREGISTERED, &asker.aor, text));
        }
    }

    /// The 200 to a REGISTER: every binding of the address, the endpoint's own first (RFC 3261 §10.3 item 8).
    /// `action` is what became of the endpoint's own binding, if it was bound.
    fn registered_as(&mut self, asker: &Asker, action: Option<&str>, turn: &mut Turn<'_, '_>) {
        let Some(connection) = self.connections.get(&asker.stream) else { return };
        let mut held = self.bindings.of(&asker.aor, turn.now);
        let own = register::endpoint_of(&asker.request).map(|endpoint| endpoint.name).ok();
        held.sort_by_key(|binding| own.as_ref() != Some(&binding.endpoint));
        let mut draft = answer::begin(&asker.request, 200, &asker.tag, (connection.peer, connection.cid));
        draft.push("Date", &answer::date(turn.parts.clock.read(turn.now)));
        let mut expires_s = 0;
        for binding in held {
            let left_s = (binding.until - turn.now).as_secs();
            let is_own = own.as_ref() == Some(&binding.endpoint);
            let cid = if is_own { format!(";ms-received-cid={:X}", connection.cid) } else { String::new() };
            if is_own {
                expires_s = left_s;
            }
            let Binding { contact, instance, gruu, .. } = binding;
            let params = format!(";expires={left_s};+sip.instance=\"<urn:uuid:{instance}>\";gruu=\"{gruu}\"");
            draft.push("Contact", &format!("<{contact}{cid}>{params}"));
        }
        draft.push("Expires", &expires_s.to_string());
        let (timeout, cluster) = (KEEP_ALIVE.as_secs(), "primary-cluster-type=\"central\"");
        draft.push("ms-keep-alive", &format!("UAS; tcp=no; hop-hop=yes; end-end=no; timeout={timeout}"));
        if let Some(action) = action {
            let state = format!("register-action=\"{action}\"; {cluster}; is-connected-to-primary=\"yes\"");
            draft.push("presence-state", &state);
        }
        draft.push("Allow-Events", ALLOW_EVENTS);
        // One token a line: some clients compare the whole value.
        draft.push("Supported", "adhoclist");
        draft.push("Supported", "msrtc-event-categories");
        let (stream, opaque) = (asker.stream, asker.opaque.clone());
        self.send_answer(stream, &asker.request, &asker.key, draft, Some(&opaque), turn);
    }

    fn subscribe(&mut self, asker: &Asker, turn: &mut Turn<'_, '_>) {
        let Some(account) = turn.parts.accounts.find(&asker.aor) else {
            return self.refuse(asker, &Refusal::UnknownUser, turn);
        };
        let endpoint = register::endpoint_of(&asker.request).map(|endpoint| endpoint.name).ok();
        let held = endpoint.and_then(|endpoint| self.bindings.find(&asker.aor, &endpoint, turn.now));
        if let Err(why) = register::owns_gruu(&asker.request, held) {
            return self.refuse(asker, &why, turn);
        }
        let contact = held.map(|held| held.contact.as_str());
        let who = Subscriber { account, stream: asker.stream, contact };
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
    pub(super) fn tell_policy(&mut self, aor: &str, turn: &mut Turn<'_, '_>) {
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
    pub(super) fn deregister(&mut self, aor: &str, why: Deregistration, turn: &mut Turn<'_, '_>) {
        let held: Vec<Binding> = self.bindings.of(aor, turn.now).into_iter().cloned().collect();
        for binding in held {
            self.bindings.remove(aor, &binding.endpoint);
            self.store.gone(aor, &binding.endpoint, turn.out);
            self.tell_deregistered(&binding, why, turn);
        }
        self.subscriptions.end_all_of(aor);
    }

    fn tell_deregistered(&mut self, binding: &Binding, why: Deregistration, turn: &mut Turn<'_, '_>) {
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

    fn sent_by(&self, turn: &Turn<'_, '_>) -> String {
        format!("{}:{}", turn.parts.host, self.sip_port)
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
            method => format!("{method}: {}", why.in_words()),
        };
        turn.out.note(Note::event(event, &asker.aor, text));
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
        let cseq = request.cseq();
        turn.out.note(Note::sent(connection.peer, format!("{status} {} cseq {cseq}", phrase(status))));
        turn.out.write(stream, octets);
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

/// The octets of a draft. Everything in it was read from a message or is our own, so it prints; should a peer find
/// a way around that, it gets no answer.
fn printed(draft: &Draft) -> Option<Bytes> {
    draft.print().ok()
}

/// The extensions that a request requires and that are not known here.
fn unknown_extensions(request: &Message) -> Option<String> {
    let wanted = request.headers("Require").chain(request.headers("Proxy-Require"));
    let wanted = wanted.flat_map(|line| line.split(',')).map(str::trim).filter(|name| !name.is_empty());
    let unknown: Vec<&str> =
        wanted.filter(|name| !EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(name))).collect();
    (!unknown.is_empty()).then(|| unknown.join(", "))
}

/// A message as the journal shows it.
fn in_one_line(message: &Message) -> String {
    match message.kind() {
        sip::message::Kind::Request { method, uri } => {
            let number = message.cseq().number;
            let credentials = sip::association::presented(message).next();
            let what = match credentials {
                Some(auth) if auth.get("gssapi-data").is_some() => "  (a flight of TLS-DSK)",
                Some(_) => "  (signed)",
                None => "",
            };
            format!("{method} {uri}  cseq {number}{what}")
        }
        sip::message::Kind::Response { status, reason } => format!("{status} {reason}"),
    }
}
