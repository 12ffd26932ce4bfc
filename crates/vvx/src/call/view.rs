//! What others may see of a phone's calls, and why a verb about one may not be done.

use std::fmt;
use std::time::Duration;

use net::Time;
use thiserror::Error;

/// A call's number on its phone: what the device's own interfaces call `CallHandle` or `CallReference`. It counts up
/// and is never used twice between two restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallRef(pub u32);

impl CallRef {
    /// Reads a reference as [`CallRef`] prints it, with or without `0x`.
    pub fn parse(text: &str) -> Option<CallRef> {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        let is_hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten().map(CallRef)
    }
}

impl fmt::Display for CallRef {
    /// Eight hexadecimal digits, as the device's polling document has them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallDirection {
    /// The phone was called.
    Incoming,
    /// The phone called.
    Outgoing,
}

impl CallDirection {
    /// As the device's own interfaces write it.
    pub fn name(self) -> &'static str {
        match self {
            CallDirection::Incoming => "Incoming",
            CallDirection::Outgoing => "Outgoing",
        }
    }
}

/// How a call stands; the names are those of the device's state polling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// A number is being dialled, nothing was sent yet.
    Dialtone,
    /// The INVITE is out, and nothing rings yet.
    Setup,
    /// The other end rings.
    RingBack,
    /// This phone is being called.
    Offering,
    /// Both ends talk.
    Connected,
    /// This phone holds the other end (or both hold each other).
    CallHold,
    /// The other end holds this phone.
    CallHeld,
    /// Over; it is shown a moment longer.
    Disconnected,
}

impl CallState {
    /// As the device's state polling writes it.
    pub fn name(self) -> &'static str {
        match self {
            CallState::Dialtone => "Dialtone",
            CallState::Setup => "Setup",
            CallState::RingBack => "RingBack",
            CallState::Offering => "Offering",
            CallState::Connected => "Connected",
            CallState::CallHold => "CallHold",
            CallState::CallHeld => "CallHeld",
            CallState::Disconnected => "Disconnected",
        }
    }

    /// Every state as stories write it, and what it means.
    pub const STORY: &'static [(&'static str, &'static str)] = &[
        ("idle", "no call at all"),
        ("dial-tone", "a number is being dialled"),
        ("setup", "the call is on its way, and nothing rings yet"),
        ("ring-back", "the other end rings"),
        ("ringing", "the phone is being called"),
        ("connected", "both ends talk"),
        ("holding", "the phone holds the other end"),
        ("held", "the other end holds the phone"),
        ("ended", "over, and shown a moment longer"),
    ];

    /// As stories write it.
    pub fn story_name(self) -> &'static str {
        match self {
            CallState::Dialtone => "dial-tone",
            CallState::Setup => "setup",
            CallState::RingBack => "ring-back",
            CallState::Offering => "ringing",
            CallState::Connected => "connected",
            CallState::CallHold => "holding",
            CallState::CallHeld => "held",
            CallState::Disconnected => "ended",
        }
    }
}

/// One end of a call, as the phone knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// The name to show; empty if none is known.
    pub name: String,
    /// The address: `sip:alice@contoso.example`, `tel:+15550100`.
    pub address: String,
}

impl Party {
    /// The number or user part alone, as it is shown where there is no name.
    pub fn number(&self) -> String {
        match sip::Uri::parse(&self.address) {
            Ok(uri) => match uri.user_name() {
                // `3002;phone-context=…` is dialled as 3002.
                Some(user) => user.split(';').next().unwrap_or_default().to_owned(),
                None => uri.host.to_owned(),
            },
            Err(_) => self.address.clone(),
        }
    }

    /// Name, else number.
    pub fn shown(&self) -> String {
        if self.name.is_empty() { self.number() } else { self.name.clone() }
    }
}

/// What was measured of a call's sound so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MediaView {
    /// The port that the phone receives at.
    pub port: u16,
    /// The codec in use: `PCMU`, `PCMA`; empty before both ends agreed.
    pub codec: &'static str,
    /// Packets sent.
    pub sent: u64,
    /// Packets received, doubles not counted.
    pub received: u64,
    /// Packets that never came (RFC 3550 §A.3).
    pub lost: u64,
    /// Packets that came behind a later one.
    pub reordered: u64,
    /// Packets that came too late to be played.
    pub late: u64,
    /// Interarrival jitter (RFC 3550 §A.8).
    pub jitter: Duration,
    /// What the other end said it lost of this phone's packets, if it said anything: a share from 0 to 1.
    pub lost_there: Option<f64>,
    /// The round trip, once both ends' reports have told it.
    pub round_trip: Option<Duration>,
    /// The tone that is heard at the moment, in Hz.
    pub heard_hz: Option<u32>,
    /// The digits that the other end sent (RFC 4733), oldest first, the last 64.
    pub digits: String,
}

impl MediaView {
    /// The share of the other end's packets that never came, from 0 to 1.
    pub fn loss(&self) -> f64 {
        let expected = self.received + self.lost;
        if expected == 0 { 0.0 } else { self.lost as f64 / expected as f64 }
    }
}

/// One call as others see it.
#[derive(Clone, Debug, PartialEq)]
pub struct CallView {
    /// Its number on the phone.
    pub reference: CallRef,
    /// The line that it is on, from 1.
    pub line: u32,
    /// Its place among the calls of the phone, from 1: the device's `UIAppearanceIndex`.
    pub appearance: u32,
    /// Whether it is the one that keys and display are about.
    pub is_in_focus: bool,
    /// How it stands.
    pub state: CallState,
    /// Who called whom.
    pub direction: CallDirection,
    /// This end.
    pub local: Party,
    /// The other end.
    pub remote: Party,
    /// Since when there is such a call.
    pub started: Time,
    /// How long both ends have been, or were, in the call; zero before it was answered.
    pub duration: Duration,
    /// Whether the microphone is off.
    pub is_muted: bool,
    /// Whether the phone rings for it.
    pub is_ringing: bool,
    /// Why it is over, in words; empty before.
    pub ended: String,
    /// What was measured of its sound.
    pub media: MediaView,
}

/// How a caller is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// 486: the phone is busy; the caller may try another phone.
    Busy,
    /// 603: nobody wants to talk, here or elsewhere.
    Decline,
}

/// Where a call is transferred to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferTo {
    /// Blindly, to whatever this leads to: a number, a user, an address.
    Address(String),
    /// To the other end of another call of this phone, which is told to replace it (RFC 3891).
    Call(CallRef),
}

/// Which list of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallListKind {
    /// Calls that this phone made.
    Placed,
    /// Calls that were answered here.
    Received,
    /// Calls that nobody answered here.
    Missed,
}

/// A past call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// The other end.
    pub remote: Party,
    /// When it began.
    pub started: Time,
    /// How long both ends were in it.
    pub duration: Duration,
}

/// Why a verb about a call could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// The phone has no power, or is still booting.
    #[error("the phone is not running")]
    NotRunning,
    /// Nobody is registered on that line, so nobody can be called.
    #[error("the line is not registered")]
    NotRegistered,
    /// The phone has no such line.
    #[error("there is no line {0}")]
    NoLine(u32),
    /// There is no such call.
    #[error("there is no such call")]
    NoCall,
    /// The call is in a state where that makes no sense.
    #[error("a call that is {state} cannot be told to {verb}")]
    NotNow {
        /// What was to be done.
        verb: &'static str,
        /// How the call stands, as the device's polling writes it.
        state: &'static str,
    },
    /// What was dialled is no number, user or address.
    #[error("`{0}` is no number and no address")]
    NotDialable(String),
    /// The phone is locked, and that number is not among those that anybody may call.
    #[error("the phone is locked, and `{0}` is no authorized number")]
    Locked(String),
    /// The phone has as many calls as it can have.
    #[error("the phone has {0} calls already")]
    TooMany(usize),
    /// A character that no telephone key has, or more digits than are taken at once.
    #[error("`{0}` are no digits of a telephone")]
    NotDigits(String),
    /// The other end takes no digits (RFC 4733).
    #[error("the other end takes no digits")]
    NoDigits,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_as_it_is_printed() {
        assert_eq!(CallRef(0x41aa_4e60).to_string(), "41aa4e60");
        for (text, read) in [("41aa4e60", Some(0x41aa_4e60)), ("0x1", Some(1)), ("", None), ("+1", None)] {
            assert_eq!(CallRef::parse(text), read.map(CallRef), "{text}");
        }
        assert_eq!(CallRef::parse("100000000"), None);
    }

    #[test]
    fn a_party_is_shown_by_name_or_else_by_number() {
        let party = |name: &str, address: &str| Party { name: name.to_owned(), address: address.to_owned() };
        for (party, shown) in [
            (party("Alice", "sip:alice@contoso.example"), "Alice"),
            (party("", "sip:3002;phone-context=enterprise@contoso.example;user=phone"), "3002"),
            (party("", "tel:+15550100"), "+15550100"),
            (party("", "sip:192.0.2.1"), "192.0.2.1"),
            (party("", "nonsense"), "nonsense"),
        ] {
            assert_eq!(party.shown(), shown);
        }
    }

    #[test]
    fn loss_is_a_share_of_what_was_expected() {
        assert_eq!(MediaView::default().loss(), 0.0);
        assert_eq!(MediaView { received: 75, lost: 25, ..MediaView::default() }.loss(), 0.25);
    }
}
