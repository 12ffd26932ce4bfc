//! REGISTER, from the judged wish over the disk to the 200.

use std::collections::BTreeSet;

use net::Note;

use super::{Asker, BUSY_S};
use crate::events;
use crate::sip::access::Verdict;
use crate::sip::answer;
use crate::sip::bindings::Binding;
use crate::sip::connection::{KEEP_ALIVE, WAITING_MAX};
use crate::sip::notice::Deregistration;
use crate::sip::refusal::{ALLOW_EVENTS, Refusal};
use crate::sip::register::{self, Bench, Wish};
use crate::sip::{FrontEnd, Turn};

/// The most requests that wait for the disk, whoever's they are.
pub const WAITING_IN_ALL: usize = 100_000;

/// The share of good refreshes that a strict pool challenges, as if it had lost the association.
const DOUBT: f64 = 0.05;

/// What waits for the disk.
#[derive(Debug)]
pub(in crate::sip) struct Waiting {
    asker: Asker,
    wish: Wish,
}

impl FrontEnd {
    pub(super) fn register(&mut self, asker: Asker, turn: &mut Turn<'_, '_>) {
        let Some(connection) = self.connections.get_mut(&asker.stream) else { return };
        if connection.waiting >= WAITING_MAX || self.waiting.len() >= WAITING_IN_ALL {
            return self.refuse(&asker, &Refusal::Busy { retry_after_s: BUSY_S }, turn);
        }
        // An association belongs to one endpoint (MS-SIPAE 3.3.5.2).
        if asker.request.from().epid() != asker.epid.as_deref() {
            return self.refuse(&asker, &Refusal::ForeignInstance, turn);
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
        let is_refresh = matches!(&wish, Wish::Bind(binding)
            if self.bindings.holds(&asker.aor, &binding.endpoint, turn.now));
        // Never the request that completes a handshake: a client that fails there may rightly give up.
        let is_used = connection.associations.get(&asker.opaque).is_some_and(|it| it.keys.signed() > 0);
        if turn.parts.strict && is_refresh && is_used && turn.parts.random.chance(DOUBT) {
            return self.doubt(&asker, turn);
        }
        let write = match &wish {
            Wish::Bind(binding) => Some(self.store.bound(binding, turn.parts.clock, turn.now, turn.out)),
            Wish::Unbind { endpoint } if self.endpoints(&asker.aor, turn).contains(endpoint) => {
                Some(self.store.gone(&asker.aor, endpoint, turn.out))
            }
            Wish::UnbindAll => {
                let endpoints = self.endpoints(&asker.aor, turn);
                let writes = endpoints.iter().map(|endpoint| self.store.gone(&asker.aor, endpoint, turn.out));
                writes.last()
            }
            Wish::Unbind { .. } | Wish::Ask => None,
        };
        let Some(connection) = self.connections.get_mut(&asker.stream) else { return };
        match write {
            Some(write) => {
                connection.waiting += 1;
                self.waiting.insert(write, Waiting { asker, wish });
            }
            // Nothing changes, so nothing has to be kept.
            None => self.registered_as(&asker, None, turn),
        }
    }

    /// The endpoints of an address that are bound, and those that will be once the disk has what waits for it.
    fn endpoints(&self, aor: &str, turn: &Turn<'_, '_>) -> BTreeSet<String> {
        let bound = self.bindings.of(aor, turn.now).into_iter();
        let waiting = self.waiting.values().filter_map(|waiting| match &waiting.wish {
            Wish::Bind(binding) if binding.aor == aor => Some(&**binding),
            Wish::Bind(_) | Wish::Unbind { .. } | Wish::UnbindAll | Wish::Ask => None,
        });
        bound.map(|binding| binding.endpoint).chain(waiting.map(|binding| binding.endpoint.clone())).collect()
    }

    /// Loses a good association, as a pool does whose front end was changed under its clients: they must prove
    /// themselves again, and must not give up.
    fn doubt(&mut self, asker: &Asker, turn: &mut Turn<'_, '_>) {
        if let Some(connection) = self.connections.get_mut(&asker.stream) {
            connection.associations.remove(&asker.opaque);
        }
        let why = Verdict::NotCredited("a strict pool has lost the association".to_owned());
        self.unproved(asker.stream, &asker.request, &asker.key, why, turn);
    }

    /// What a REGISTER asked for is on the disk: it holds now, and its client hears so.
    pub(in crate::sip) fn carry_out(&mut self, Waiting { asker, wish }: Waiting, turn: &mut Turn<'_, '_>) {
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
        let is_refresh = self.bindings.holds(&binding.aor, &binding.endpoint, turn.now);
        let (event, action) = match is_refresh {
            true => (events::REGISTRATION_REFRESHED, "refreshed"),
            false => (events::REGISTERED, "added"),
        };
        let text = format!("endpoint {} until {}", binding.endpoint, binding.until);
        turn.out.note(Note::event(event, &binding.aor, text));
        if let Some(pushed_out) = self.bindings.put(&binding, turn.now) {
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
}
