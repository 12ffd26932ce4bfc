//! Verbs and claims about calls: dialling, answering, holding, transferring, and how a call stands.

use std::time::Duration;

use super::{PhoneName, Text};
use crate::mistakes::Mistake;
use crate::yaml::record::{record, words};
use crate::yaml::{Node, Reader, Share};

record! {
    /// A call from a phone.
    "`dial`" pub struct Dial {
        /// The phone that calls.
        "phone" phone: PhoneName,
        /// Whom it calls: another phone, a person, a number, a SIP or `tel` address.
        "to" to: Text,
    }
}

record! {
    /// A call of a phone: the one that it fits, or the one with somebody.
    short "phone"
    "a call" pub struct OnCall {
        /// The phone.
        "phone" phone: PhoneName,
        /// The other end, where the phone has several calls: a phone, a person, a number.
        "with" with: Option<Text>,
    }
}

words! {
    /// How a caller is turned away.
    "a way to turn a caller away" pub enum HowRejected {
        /// Nobody wants to talk: the caller hears that at once.
        "declined" Declined,
        /// The phone is busy.
        "busy" Busy,
        /// The phone stops ringing, and the caller does not notice.
        "ignored" Ignored,
    }
}

record! {
    /// A caller who is turned away.
    short "phone"
    "`reject`" pub struct Reject {
        /// The phone that rings.
        "phone" phone: PhoneName,
        /// Who calls, where several do.
        "with" with: Option<Text>,
        /// How; `declined` if not written.
        "as" how: Option<HowRejected>,
    }
}

words! {
    /// How a call is transferred.
    "a way to transfer" pub enum HowTransferred {
        /// To whoever is dialled, without asking there.
        "blind" Blind,
        /// To the other end of another call of the phone.
        "attended" Attended,
    }
}

record! {
    /// A call that is handed on.
    "`transfer`" pub struct Transfer {
        /// The phone that hands it on.
        "phone" phone: PhoneName,
        /// Who is handed on, where the phone has several calls.
        "with" with: Option<Text>,
        /// To whom.
        "to" to: Text,
        /// How; `blind` if not written.
        "how" how: Option<HowTransferred>,
    }
}

record! {
    /// Digits sent to the other end of a call.
    "`send-digits`" pub struct SendDigits {
        /// The phone.
        "phone" phone: PhoneName,
        /// `0` to `9`, `*`, `#`, `A` to `D`; in quotes if they begin with 0.
        "digits" digits: Text => check_digits,
    }
}

fn check_digits(digits: &Text, node: &Node, reader: &mut Reader) -> Option<()> {
    let text = digits.to_string();
    let is_digit = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#' | 'A'..='D');
    let is_plain = digits.names().next().is_none();
    if is_plain && (text.is_empty() || text.len() > vvx::call::DIGITS_MAX || !text.chars().all(is_digit)) {
        let title = format!("digits are 0 to 9, *, # and A to D, at most {} of them", vvx::call::DIGITS_MAX);
        reader.wrong(Mistake::new(node.place, title));
        return None;
    }
    Some(())
}

words! {
    /// How a call stands.
    "a state of a call" pub enum CallIs {
        /// The phone has no call at all.
        "idle" Idle,
        /// The call is on its way, and nothing rings yet.
        "setup" Setup,
        /// The other end rings.
        "ring-back" RingBack,
        /// The phone is being called.
        "ringing" Ringing,
        /// Both ends talk.
        "connected" Connected,
        /// The phone holds the other end.
        "holding" Holding,
        /// The other end holds the phone.
        "held" Held,
        /// Over, and shown a moment longer.
        "ended" Ended,
    }
}

record! {
    /// How a call of a phone stands and sounds. All that is written holds together, of one and the same call.
    "what is expected of a call" pub struct ExpectCall {
        /// The phone.
        "call" phone: PhoneName,
        /// How it stands.
        "is" is: Option<CallIs>,
        /// The other end: a phone, a person, a number.
        "with" with: Option<Text>,
        /// Whom the phone hears: another phone, or `nobody`.
        "hears" hears: Option<Text>,
        /// The digits that the other end has sent so far.
        "digits" digits: Option<Text>,
        /// Why the call is over, as the display words it.
        "because" because: Option<Text>,
        /// At least this share of the other end's sound was lost.
        "loss-at-least" loss_at_least: Option<Share>,
        /// At most this share of the other end's sound was lost.
        "loss-at-most" loss_at_most: Option<Share>,
        /// The jitter (RFC 3550) is at least that.
        "jitter-at-least" jitter_at_least: Option<Duration>,
        /// The jitter (RFC 3550) is at most that.
        "jitter-at-most" jitter_at_most: Option<Duration>,
        /// Exactly how many calls of the phone are so.
        "count" count: Option<u32>,
    }
    check check_call
}

fn check_call(claim: &ExpectCall, node: &Node, reader: &mut Reader) -> Option<()> {
    let something = claim.is.is_some()
        || claim.with.is_some()
        || claim.hears.is_some()
        || claim.digits.is_some()
        || claim.because.is_some()
        || claim.loss_at_least.is_some()
        || claim.loss_at_most.is_some()
        || claim.jitter_at_least.is_some()
        || claim.jitter_at_most.is_some()
        || claim.count.is_some();
    let all = "is, with, hears, digits, because, loss-at-least, loss-at-most, jitter-at-least, jitter-at-most, count";
    super::looking::claims_something(something, node, reader, all)
}
