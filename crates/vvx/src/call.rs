//! Calls: dialled, rung, answered, held, transferred, ended.
//!
//! [`Calls`] is the machine of one phone's calls. It is told what came (messages, datagrams, time) and what a person
//! does (the verbs), and leaves behind what is to be done as [`Act`]s. It owns no stream, port or signature, so the
//! same machine works over a Skype for Business registration and over plain SIP; see [`way`].

pub mod address;
pub mod lists;
pub mod view;
pub mod way;

mod change;
mod incoming;
mod one;
mod outgoing;
mod sound;
mod table;
mod transfer;
mod verbs;

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use net::Time;
use sip::Draft;
use sip::timers::Timers;
use sip::transaction::{InviteServers, ServerKey, Servers};

pub use lists::CallLists;
pub use verbs::DIGITS_MAX;
pub use view::{
    CallDirection, CallError, CallListKind, CallRecord, CallRef, CallState, CallView, MediaView, Party,
    Reject, TransferTo,
};
pub use way::{Act, Hands, NoProver, Numbers, Prover, Settings, Toward, Way};

use one::Call;
use transfer::Wanted;

/// How many calls a phone has at a time: the device's limit is a setting; eight is a guess at the most that anybody
/// uses.
pub const CALLS_MAX: usize = 8;
/// How many requests of others may be under way: enough for every call, and for as many that are refused.
const SERVERS_MAX: usize = 64;

/// What one call's happening means for others, done once the call itself is through.
#[derive(Debug)]
enum Then {
    /// This answer to an INVITE goes out.
    Answer { key: ServerKey, from: SocketAddr, status: u16, draft: Draft },
    /// The call is over.
    Ended(CallRef),
    /// The call is not needed any more.
    HangUp(CallRef),
    /// Somebody is to be called on behalf of this call's other end.
    Refer { by: CallRef, wanted: Wanted, referrer: String },
    /// A call that was made on behalf of another came so far.
    Referred { call: CallRef, status: u16 },
}

/// The calls of one phone.
#[derive(Debug)]
pub struct Calls {
    calls: Vec<Call>,
    focus: Option<CallRef>,
    next: u32,
    invites: InviteServers,
    /// Where the last INVITEs came from, for refusals that go out again.
    senders: VecDeque<(ServerKey, SocketAddr)>,
    others: Servers,
    lists: CallLists,
    dialled: Option<String>,
}

impl Calls {
    /// No calls yet; references count from `first`.
    pub fn new(first: u32) -> Calls {
        Calls {
            calls: Vec::new(),
            focus: None,
            next: first,
            invites: InviteServers::at_most(SERVERS_MAX, Timers::RFC3261),
            senders: VecDeque::new(),
            others: Servers::at_most(SERVERS_MAX, Timers::RFC3261),
            lists: CallLists::default(),
            dialled: None,
        }
    }

    /// Every call, oldest first; those that are over for a moment longer.
    pub fn views(&self, now: Time) -> Vec<CallView> {
        let shown = self.calls.iter().filter(|call| call.is_shown(now));
        let views = shown.zip(1..).map(|(call, at)| call.view(at, self.focus == Some(call.reference), now));
        views.collect()
    }

    /// The call that keys and display are about.
    pub fn focus(&self, now: Time) -> Option<CallView> {
        self.views(now).into_iter().find(|view| view.is_in_focus)
    }

    /// Past calls.
    pub fn lists(&self) -> &CallLists {
        &self.lists
    }

    /// What was dialled last, for *Redial*.
    pub fn dialled(&self) -> Option<&str> {
        self.dialled.as_deref()
    }

    /// Whether there is nothing to do and nothing to show.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        let calls = self.calls.iter().filter_map(Call::wake_at);
        calls.chain(self.invites.wake_at()).chain(self.others.wake_at()).min()
    }

    /// Whether a call's sound arrives at this port.
    pub fn owns(&self, port: u16) -> bool {
        self.calls.iter().any(|call| !call.is_over() && port & !1 == call.port)
    }

    /// A datagram came to a port. Whether it was a call's.
    pub fn datagram(&mut self, port: u16, octets: &Bytes, hands: &mut Hands<'_>) -> bool {
        let mine = self.calls.iter_mut().find(|call| !call.is_over() && port & !1 == call.port);
        match mine {
            Some(call) => call.sound_came(port, octets, hands),
            None => return false,
        }
        true
    }

    /// A line's way to its server broke; what waits for an answer gets none.
    pub fn way_broke(&mut self, line: u32, hands: &mut Hands<'_>) {
        for call in self.calls.iter_mut().filter(|call| call.line == line) {
            hands.turn_to(line);
            call.way_broke(hands);
        }
        self.settle(hands);
    }

    /// Time has passed.
    pub fn woken(&mut self, hands: &mut Hands<'_>) {
        self.invites_woken(hands);
        self.others.wake(hands.now);
        for at in 0..self.calls.len() {
            let call = &mut self.calls[at];
            hands.turn_to(call.line);
            call.inviting_woken(hands);
            call.accepted_woken(hands);
            call.change_woken(hands);
            call.asking_woken(hands);
            call.over_woken(hands.now, hands);
            if call.sound_woken(hands) {
                call.bye(hands);
                call.end("Nothing more was heard of the other end", hands);
            }
        }
        self.settle(hands);
        let now = hands.now;
        self.calls.retain(|call| !call.is_gone(now));
    }
}

#[cfg(test)]
mod tests;
