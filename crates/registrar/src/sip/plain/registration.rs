//! REGISTER of an ordinary user agent, from the proof over the disk to the 200.

use net::Note;

use super::register::{self, Bench, Change};
use super::{Addressee, Asked};
use crate::events;
use crate::faults::Exchange;
use crate::sip::bindings::{Binding, Held};
use crate::sip::flow::{Carrier, Flow};
use crate::sip::notice::Deregistration;
use crate::sip::refusal::Refusal;
use crate::sip::register::may_be_served;
use crate::sip::serve::{WAITING_IN_ALL, shown};
use crate::sip::{FrontEnd, Turn};

/// How often a user agent that manages its flows is told to make itself heard, in seconds (RFC 5626 §5.4).
const FLOW_TIMER_S: u32 = 120;

/// How long a user agent is asked to stay away from a pool whose disk is busy, in seconds.
const BUSY_S: u32 = 10;

/// The most REGISTERs of one address that wait for the disk.
const WAITING_OF_ONE: usize = 8;

/// A REGISTER that waits for the disk.
#[derive(Debug)]
pub(in crate::sip) struct Waiting {
    asked: Asked,
    aor: String,
    changes: Vec<Change>,
}

impl FrontEnd {
    pub(super) fn plain_register(&mut self, asked: Asked, turn: &mut Turn<'_, '_>) {
        let told = turn.parts.faults.peek(Exchange::Register);
        if told.is_some_and(|status| status >= 500) {
            turn.parts.faults.take(Exchange::Register);
            return self.refuse_register(&asked, &Refusal::told(told.unwrap_or(500), turn.parts.host), turn);
        }
        if let Some(unknown) = self.unknown_extensions(&asked.request) {
            return self.refuse_register(&asked, &Refusal::BadExtension(unknown), turn);
        }
        let is_here = asked.request.uri().is_some_and(|uri| self.is_own_host(&uri, turn.parts));
        if !is_here {
            return self.refuse_register(&asked, &Refusal::NoSuchDestination, turn);
        }
        let Some(aor) = self.prove(&asked, turn) else { return };
        if let Some(status) = turn.parts.faults.take(Exchange::Register) {
            return self.refuse_register(&asked, &Refusal::told(status, turn.parts.host), turn);
        }
        // In a pool that believes, it is whom To says.
        let is_own = self.plain.believes()
            || matches!(self.addressee(&asked.request.to().uri, turn.parts), Addressee::User(to) if to == aor);
        if !is_own {
            return self.refuse_register(&asked, &Refusal::ForeignFrom, turn);
        }
        if let Err(why) = may_be_served(turn.parts.accounts, &aor) {
            return self.refuse_register(&asked, &why, turn);
        }
        let own = self.plain.waiting.values().filter(|waiting| waiting.aor == aor).count();
        if own >= WAITING_OF_ONE || self.plain.waiting.len() >= WAITING_IN_ALL {
            return self.refuse_register(&asked, &Refusal::Busy { retry_after_s: BUSY_S }, turn);
        }
        let bound = self.bound_soon(&aor, turn.now);
        let bench = Bench {
            aor: &aor,
            flow: &asked.flow,
            bound: &bound,
            longest: turn.parts.registration_life,
            is_strict: turn.parts.strict,
            server_tag: &asked.tag,
            now: turn.now,
        };
        let changes = match register::judge(&asked.request, &bench) {
            Ok(changes) => changes,
            Err(why) => return self.refuse_register(&asked, &why, turn),
        };
        let mut last = None;
        for change in &changes {
            last = Some(match change {
                Change::Bind(binding) => self.store.bound(binding, turn.parts.clock, turn.now, turn.out),
                Change::Unbind(endpoint) => self.store.gone(&aor, endpoint, turn.out),
            });
        }
        match last {
            // Writes reach the disk in order: when the last is there, all are.
            Some(write) => drop(self.plain.waiting.insert(write, Waiting { asked, aor, changes })),
            None => self.registered_plainly(&asked, &aor, turn),
        }
    }

    /// What will be bound to an address once the disk has what waits for it.
    fn bound_soon(&self, aor: &str, now: net::Time) -> Vec<Held<'_>> {
        let mut bound = self.bindings.held_of(aor, now);
        let waiting = self.plain.waiting.values().filter(|waiting| waiting.aor == aor);
        for change in waiting.flat_map(|waiting| &waiting.changes) {
            match change {
                Change::Bind(binding) => {
                    bound.retain(|held| held.endpoint != binding.endpoint);
                    bound.push(binding.held());
                }
                Change::Unbind(endpoint) => bound.retain(|held| held.endpoint != *endpoint),
            }
        }
        bound
    }

    fn refuse_register(&mut self, asked: &Asked, why: &Refusal, turn: &mut Turn<'_, '_>) {
        let claim = shown(asked.request.to().uri.as_str());
        turn.out.note(Note::event(events::REGISTRATION_REFUSED, claim, why.in_words()));
        self.refuse_plainly(asked, why, turn);
    }

    /// What a REGISTER asked for is on the disk: it holds now, and its user agent hears so.
    pub(in crate::sip) fn carry_out_plainly(&mut self, waiting: Waiting, turn: &mut Turn<'_, '_>) {
        let Waiting { asked, aor, changes } = waiting;
        // The world may have gone on while the disk was busy.
        if let Err(why) = may_be_served(turn.parts.accounts, &aor) {
            for change in &changes {
                if let Change::Bind(binding) = change {
                    self.store.gone(&aor, &binding.endpoint, turn.out);
                }
            }
            return self.refuse_register(&asked, &why, turn);
        }
        for change in changes {
            match change {
                Change::Bind(binding) => self.bind_plainly(*binding, turn),
                Change::Unbind(endpoint) => {
                    if self.bindings.remove(&aor, &endpoint).is_some() {
                        let text = format!("endpoint {}: it said so", shown(&endpoint));
                        turn.out.note(Note::event(events::DEREGISTERED, &aor, text));
                    }
                }
            }
        }
        self.registered_plainly(&asked, &aor, turn);
    }

    fn bind_plainly(&mut self, mut binding: Binding, turn: &mut Turn<'_, '_>) {
        if binding.connection.is_some_and(|stream| !self.connections.contains_key(&stream)) {
            binding.connection = None;
            binding.lost_at = Some(turn.now);
        }
        let is_refresh = self.bindings.holds(&binding.aor, &binding.endpoint, turn.now);
        let event = if is_refresh { events::REGISTRATION_REFRESHED } else { events::REGISTERED };
        turn.out.event_with(event, || {
            (&binding.aor, format!("endpoint {} until {}", shown(&binding.endpoint), binding.until))
        });
        if let Some(pushed_out) = self.bindings.put(&binding, turn.now) {
            self.store.gone(&pushed_out.aor, &pushed_out.endpoint, turn.out);
            self.tell_deregistered(&pushed_out, Deregistration::Unregistered, turn);
        }
    }

    /// The 200 to a REGISTER: every binding of the address (RFC 3261 §10.3 item 8).
    fn registered_plainly(&mut self, asked: &Asked, aor: &str, turn: &mut Turn<'_, '_>) {
        let mut draft = self.begin_plainly(asked, 200);
        let held = self.bindings.held_of(aor, turn.now);
        for binding in &held {
            let left_s = (binding.until - turn.now).as_secs();
            let Held { contact, instance, gruu, .. } = binding;
            match &binding.plain {
                Some(plain) => {
                    draft.push_fmt("Contact", format_args!("<{contact}>{};expires={left_s}", plain.params));
                }
                None => draft.push_fmt(
                    "Contact",
                    format_args!(
                        "<{contact}>;+sip.instance=\"<urn:uuid:{instance}>\";gruu=\"{gruu}\";expires={left_s}"
                    ),
                ),
            }
        }
        draft.push("Date", self.plain.date(turn.parts.clock.read(turn.now)));
        // RFC 3327 §5.3: the way is told to whoever understands it.
        if asked.request.lists("Supported", "path") {
            for value in asked.request.headers("Path") {
                draft.push("Path", value);
            }
        }
        let is_own = |binding: &&Held<'_>| binding.call_id == asked.request.call_id();
        let own = held.iter().find(is_own).and_then(|binding| binding.plain);
        if own.is_some_and(|plain| plain.reg_id.is_some()) {
            draft.push("Require", "outbound");
            let keeps_alive = asked.flow.carrier() != Carrier::Udp && matches!(asked.flow, Flow::Stream(..));
            if keeps_alive {
                draft.push("Flow-Timer", &FLOW_TIMER_S.to_string());
            }
        }
        draft.push("Supported", "path, outbound");
        self.answer_plainly(asked, draft, turn);
    }
}
