//! Between the call machine and whatever carries its messages: what a line is, and what the machine wants done.
//!
//! The machine knows no connection, signature or port. A carrier — the registration of a Skype for Business pool, or
//! a plain SIP registration — lends it a [`Way`], brings messages, and does what each [`Act`] says.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use net::{Random, Time};
use sip::timers::{Reliability, Timers};
use sip::{Draft, Message};

use super::Party;

/// How digits become an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// As a Skype for Business pool wants them: `sip:3002;phone-context=enterprise@contoso.example;user=phone`, and
    /// without a context where the number begins with `+`.
    Enterprise,
    /// As plain SIP servers want them: `sip:3002@contoso.example`.
    Plain,
}

/// A line that is registered: who speaks on it, and how its messages look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The line's number, from 1.
    pub line: u32,
    /// Whose it is: name and address of record.
    pub local: Party,
    /// Parameters of From beside the tag, each with its `;`.
    pub from_params: String,
    /// The value of Contact.
    pub contact: String,
    /// The Via without its branch: `SIP/2.0/TLS 10.20.2.1:49153`.
    pub via: String,
    /// The value of User-Agent.
    pub user_agent: String,
    /// Where this phone receives sound.
    pub media: IpAddr,
    /// Whether the way loses messages.
    pub reliability: Reliability,
    /// The timers of transactions.
    pub timers: Timers,
    /// How digits become addresses.
    pub numbers: Numbers,
    /// Headers that every INVITE carries beside its own.
    pub headers: Vec<(String, String)>,
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toward {
    /// To the server that the line is registered at.
    Registrar,
    /// To this address: the nearest route of a dialog, or its other end. A line with one connection to its server
    /// sends it there all the same.
    Address(String),
    /// Back to where a request came from.
    Sender(SocketAddr),
}

/// Something that the machine wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Send a message; whoever signs, signs it.
    Send {
        /// The line that it is sent on.
        line: u32,
        /// The message.
        draft: Draft,
        /// Where it goes.
        toward: Toward,
    },
    /// Send octets again that went out before, over a way that loses messages.
    Again {
        /// The line that they are sent on.
        line: u32,
        /// The octets.
        octets: Bytes,
        /// Where they go.
        toward: Toward,
    },
    /// Receive datagrams at this port.
    Listen(u16),
    /// Receive none there any more.
    Unlisten(u16),
    /// Send a datagram with sound, or a report about it.
    Sound {
        /// The port that it leaves from.
        port: u16,
        /// Where it goes.
        to: SocketAddr,
        /// What it carries.
        octets: Bytes,
    },
    /// Tell a happening.
    Event {
        /// Its name, from [`crate::events`].
        name: &'static str,
        /// The facts, in words.
        text: String,
    },
    /// A call came or changed so that a person ought to see it.
    Attention,
}

/// What the phone is told to be like where calls are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The tone that stands for the voice of whoever speaks into this phone, in Hz.
    pub voice_hz: u32,
    /// Whether callers are turned away (do not disturb).
    pub do_not_disturb: bool,
    /// Whether a second caller is let through while a call is on.
    pub call_waiting: bool,
    /// The first port for sound; each call takes two.
    pub first_port: u16,
    /// Numbers that a locked phone may call; `None` on a phone that is not locked.
    pub only: Option<Vec<String>>,
}

/// Whoever proves to servers who this is, where they challenge (RFC 3261 §22).
pub trait Prover {
    /// The headers that prove a new request on that line to everybody who challenged so far.
    fn proofs(&mut self, line: u32, method: &str, uri: &str) -> Vec<(String, String)>;

    /// A 401 or 407 came to `sent`. Whether it is worth sending the request again.
    fn challenged(&mut self, line: u32, response: &Message, sent: &Message) -> bool;
}

/// Where nobody challenges: a connection that is signed proves enough.
#[derive(Clone, Copy, Debug)]
pub struct NoProver;

impl Prover for NoProver {
    fn proofs(&mut self, _: u32, _: &str, _: &str) -> Vec<(String, String)> {
        Vec::new()
    }

    fn challenged(&mut self, _: u32, _: &Message, _: &Message) -> bool {
        false
    }
}

/// What the machine is lent for one call of a method, and what it leaves behind.
pub struct Hands<'a> {
    /// The moment.
    pub now: Time,
    /// The phone's clock, in nanoseconds since 1970.
    pub unix_nanos: i128,
    /// The lines that are registered.
    ways: &'a [Way],
    /// The line that the call at hand is on, while it is registered.
    pub(super) way: Option<&'a Way>,
    /// What the phone is told to be like.
    pub settings: &'a Settings,
    /// Chance.
    pub random: &'a mut Random,
    /// Answers challenges.
    pub prover: &'a mut dyn Prover,
    /// What is to be done.
    pub acts: Vec<Act>,
    /// What one call's happening means for others.
    pub(super) then: Vec<super::Then>,
}

impl<'a> Hands<'a> {
    /// For one call of a method, with nothing done yet.
    pub fn new(
        now: Time,
        unix_nanos: i128,
        ways: &'a [Way],
        settings: &'a Settings,
        random: &'a mut Random,
        prover: &'a mut dyn Prover,
    ) -> Hands<'a> {
        let way = ways.first();
        Hands { now, unix_nanos, ways, way, settings, random, prover, acts: Vec::new(), then: Vec::new() }
    }

    /// Turns to the line of that number. Whether there is one that is registered.
    pub(super) fn turn_to(&mut self, line: u32) -> bool {
        self.way = self.ways.iter().find(|way| way.line == line);
        self.way.is_some()
    }

    fn line(&self) -> u32 {
        self.way.map_or(1, |way| way.line)
    }

    pub(super) fn send(&mut self, draft: Draft, toward: Toward) {
        self.acts.push(Act::Send { line: self.line(), draft, toward });
    }

    pub(super) fn send_again(&mut self, octets: Bytes, toward: Toward) {
        self.acts.push(Act::Again { line: self.line(), octets, toward });
    }

    /// Adds what proves a request to whoever challenged before.
    pub(super) fn proved(&mut self, mut draft: Draft, uri: &str) -> Draft {
        let method = draft.method().unwrap_or("").to_owned();
        for (name, value) in self.prover.proofs(self.line(), &method, uri) {
            draft.push(&name, &value);
        }
        draft
    }

    /// A challenge came. Whether the request is to be sent again.
    pub(super) fn challenged(&mut self, response: &Message, sent: &Message) -> bool {
        let line = self.line();
        self.prover.challenged(line, response, sent)
    }

    pub(super) fn event(&mut self, name: &'static str, text: impl Into<String>) {
        self.acts.push(Act::Event { name, text: text.into() });
    }

    pub(super) fn timers(&self) -> Timers {
        self.way.map_or(Timers::RFC3261, |way| way.timers)
    }

    /// Adds what every request of this phone carries: a Via of its own, and who sends.
    pub(super) fn dress(&mut self, draft: Draft) -> Draft {
        let Some(way) = self.way else { return draft };
        let branch = format!("{};branch=z9hG4bK{}", way.via, self.random.hex(16));
        draft.with("Via", branch).with("User-Agent", &way.user_agent)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Where that user's phone is: names are told apart by their octets.
    pub fn address(user: &str) -> SocketAddr {
        let sum = user.bytes().fold(7_u32, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into()));
        let [_, a, b, c] = (sum % 0xff_fffe + 1).to_be_bytes();
        SocketAddr::from(([10, a, b, c], 5060))
    }

    /// A line of that user, plain SIP.
    pub fn way(user: &str) -> Way {
        let at = address(user);
        Way {
            line: 1,
            local: Party { name: String::new(), address: format!("sip:{user}@contoso.example") },
            from_params: String::new(),
            contact: format!("<sip:{user}@{at}>"),
            via: format!("SIP/2.0/UDP {at}"),
            user_agent: "test".to_owned(),
            media: at.ip(),
            reliability: Reliability::Reliable,
            timers: Timers::RFC3261,
            numbers: Numbers::Enterprise,
            headers: Vec::new(),
        }
    }

    /// A phone that lets callers through.
    pub fn settings(voice_hz: u32) -> Settings {
        Settings { voice_hz, do_not_disturb: false, call_waiting: true, first_port: 2222, only: None }
    }
}
