//! One call: who it is with, how it stands, and what is under way about it.

use std::net::SocketAddr;
use std::time::Duration;

use net::Time;
use sip::dialog::{Dialog, Repeats};
use sip::sdp::{Agreed, Codec, Direction, Local};
use sip::transaction::{Client, InviteClient, ServerKey};
use sip::{Draft, Message};

use super::transfer::Transfer;
use super::way::{Act, Hands, Toward};
use super::{CallDirection, CallRef, CallState, CallView, MediaView, Party, Then, address};
use crate::events;

/// How long a call that is over is shown: a guess.
pub const SHOWN_FOR: Duration = Duration::from_secs(3);
/// Methods that this phone answers.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY";
/// Extensions that this phone knows (RFC 3891, RFC 4028).
pub const SUPPORTED: &str = "replaces, timer";
/// How many requests of one call may wait for answers.
const ASKING_MAX: usize = 16;

/// How far a call has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The INVITE is out.
    Setup,
    /// The other end rings.
    RingBack,
    /// This end is called.
    Offering,
    /// Both ends are in it.
    Talking,
    /// Over, and shown until then; `None` once that has passed.
    Over { why: String, until: Option<Time> },
}

/// What an INVITE of this end is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To begin.
    Begin,
    /// To hold or resume.
    Hold(bool),
    /// To keep the session alive (RFC 4028).
    Refresh,
}

/// An INVITE of this end that waits for answers.
#[derive(Debug)]
pub(super) struct Inviting {
    pub client: InviteClient,
    pub purpose: Purpose,
    pub toward: Toward,
}

/// An INVITE of the other end that is not answered yet, or not acknowledged.
#[derive(Debug)]
pub(super) struct Invited {
    pub key: ServerKey,
    pub request: Message,
    pub from: SocketAddr,
    /// The 2xx, until its ACK comes.
    pub accepted: Option<(Repeats, Draft)>,
    /// The 2xx made the offer, and the ACK brings the answer.
    pub offered: bool,
}

/// What a request other than INVITE is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// A CANCEL or a BYE: nothing depends on the answer.
    End,
    /// A REFER.
    Refer,
    /// A NOTIFY about a REFER.
    Notice,
}

/// A request other than INVITE that waits for its answer.
#[derive(Debug)]
pub(super) struct Asking {
    pub client: Client,
    pub about: About,
    pub toward: Toward,
}

/// The session timer (RFC 4028).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionTimer {
    pub interval: Duration,
    /// Whether this end refreshes; if not, it ends the call when nobody does.
    pub is_ours: bool,
    pub at: Time,
}

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub reference: CallRef,
    pub line: u32,
    pub direction: CallDirection,
    pub local: Party,
    pub remote: Party,
    pub phase: Phase,
    pub started: Time,
    pub connected_at: Option<Time>,
    pub ended_at: Option<Time>,
    /// Whether a person here answered it, or turned it away; a call that ends without is missed.
    pub is_attended: bool,
    pub is_muted: bool,
    /// A person has asked the phone not to ring for it.
    pub is_ignored: bool,
    pub is_holding: bool,
    /// Hold (true) or resume (false), as soon as it may be asked for.
    pub wants: Option<bool>,
    /// When it may be asked for again after 491 or 500.
    pub retry_at: Option<Time>,
    /// When a call that nobody answers is given up.
    pub patience: Option<Time>,
    pub call_id: String,
    pub tag: String,
    /// The INVITE's Request-URI, To and the headers that only the first one has.
    pub target: String,
    pub extra: Vec<(String, String)>,
    pub cseq: u32,
    pub redirects: u8,
    pub challenges: u8,
    pub is_to_be_cancelled: bool,
    pub dialog: Option<Dialog>,
    pub inviting: Option<Inviting>,
    pub last_ack: Option<(u32, Draft)>,
    pub invited: Option<Invited>,
    pub asking: Vec<Asking>,
    pub timer: Option<SessionTimer>,
    /// The shortest interval of a session timer that the other end takes, if it said so.
    pub min_se: Option<u32>,
    pub sdp: Local,
    pub agreed: Option<Agreed>,
    pub sound: Option<media::Session>,
    pub last_heard: MediaView,
    pub port: u16,
    /// This end asked the other one to call somebody else.
    pub transfer: Option<Transfer>,
    /// The other end of that call asked for this one, and wants to hear what comes of it.
    pub referrer: Option<CallRef>,
}

impl Call {
    pub(super) fn new(
        reference: CallRef,
        direction: CallDirection,
        remote: Party,
        port: u16,
        hands: &mut Hands<'_>,
    ) -> Option<Call> {
        let way = hands.way?;
        let (line, local) = (way.line, way.local.clone());
        let socket = SocketAddr::new(way.media, port);
        let phase = match direction {
            CallDirection::Incoming => Phase::Offering,
            CallDirection::Outgoing => Phase::Setup,
        };
        hands.acts.extend([Act::Listen(port), Act::Listen(port + 1)]);
        Some(Call {
            reference,
            line,
            direction,
            local,
            remote,
            phase,
            started: hands.now,
            connected_at: None,
            ended_at: None,
            is_attended: false,
            is_muted: false,
            is_ignored: false,
            is_holding: false,
            wants: None,
            retry_at: None,
            patience: None,
            call_id: hands.random.hex(32),
            tag: hands.random.hex(10),
            target: String::new(),
            extra: Vec::new(),
            cseq: 1,
            redirects: 0,
            challenges: 0,
            is_to_be_cancelled: false,
            dialog: None,
            inviting: None,
            last_ack: None,
            invited: None,
            asking: Vec::new(),
            timer: None,
            min_se: None,
            sdp: Local {
                session: hands.random.below(1 << 31),
                version: 1,
                socket,
                codecs: vec![Codec::Pcmu, Codec::Pcma],
                direction: Direction::SendRecv,
            },
            agreed: None,
            sound: None,
            last_heard: MediaView::default(),
            port,
            transfer: None,
            referrer: None,
        })
    }

    /// How it stands, as others see it.
    pub(super) fn state(&self) -> CallState {
        match &self.phase {
            Phase::Setup => CallState::Setup,
            Phase::RingBack => CallState::RingBack,
            Phase::Offering => CallState::Offering,
            Phase::Talking if self.is_holding => CallState::CallHold,
            Phase::Talking if self.is_held() => CallState::CallHeld,
            Phase::Talking => CallState::Connected,
            Phase::Over { .. } => CallState::Disconnected,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. })
    }

    /// Whether sound may flow both ways: neither holds.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Talking) && !self.is_holding && self.wants != Some(true)
    }

    /// Whether nothing of it is left: shown long enough, and every transaction done.
    pub(super) fn is_gone(&self, now: Time) -> bool {
        let Phase::Over { until, .. } = &self.phase else { return false };
        until.is_none_or(|until| until <= now)
            && self.inviting.as_ref().is_none_or(|inviting| !inviting.client.is_pending())
            && self.invited.as_ref().is_none_or(|invited| invited.accepted.is_none())
            && self.asking.is_empty()
    }

    /// Whether others see it: until it has been over for a moment.
    pub(super) fn is_shown(&self, now: Time) -> bool {
        match &self.phase {
            Phase::Over { until, .. } => until.is_some_and(|until| until > now),
            Phase::Setup | Phase::RingBack | Phase::Offering | Phase::Talking => true,
        }
    }

    /// It has been shown long enough.
    pub(super) fn over_woken(&mut self, now: Time, hands: &mut Hands<'_>) {
        if let Phase::Over { until, .. } = &mut self.phase
            && until.is_some_and(|until| until <= now)
        {
            *until = None;
            hands.acts.push(Act::Attention);
        }
    }

    pub(super) fn view(&self, appearance: u32, is_in_focus: bool, now: Time) -> CallView {
        let until = self.ended_at.unwrap_or(now);
        CallView {
            reference: self.reference,
            line: self.line,
            appearance,
            is_in_focus,
            state: self.state(),
            direction: self.direction,
            local: self.local.clone(),
            remote: self.remote.clone(),
            started: self.started,
            duration: self.connected_at.map_or(Duration::ZERO, |since| until.since(since)),
            is_muted: self.is_muted,
            is_ringing: matches!(self.phase, Phase::Offering) && !self.is_ignored,
            ended: match &self.phase {
                Phase::Over { why, .. } => why.clone(),
                _ => String::new(),
            },
            media: self.media_view(now),
        }
    }

    /// When it wants to be woken.
    pub(super) fn wake_at(&self) -> Option<Time> {
        let over = match &self.phase {
            Phase::Over { until, .. } => *until,
            _ => None,
        };
        [
            over,
            self.retry_at,
            self.patience,
            self.inviting.as_ref().and_then(|inviting| inviting.client.wake_at()),
            self.invited.as_ref().and_then(|invited| invited.accepted.as_ref()).map(|(at, _)| at.wake_at()),
            self.timer.map(|timer| timer.at),
            self.transfer.as_ref().and_then(Transfer::wake_at),
            self.sound_wakes_at(),
        ]
        .into_iter()
        .chain(self.asking.iter().map(|asking| asking.client.wake_at()))
        .flatten()
        .min()
    }

    /// Sends a request other than INVITE and waits for its answer.
    pub(super) fn ask(&mut self, draft: Draft, about: About, toward: Toward, hands: &mut Hands<'_>) {
        let Some(way) = hands.way else { return };
        let uri = self.dialog.as_ref().map_or("", Dialog::target).to_owned();
        let draft = match about {
            // The answer to a CANCEL is never a challenge (RFC 3261 §22.1).
            About::End if draft.method() == Some("CANCEL") => draft,
            About::End | About::Refer | About::Notice => hands.proved(draft, &uri),
        };
        let Ok(message) = draft.message() else { return };
        if self.asking.len() < ASKING_MAX {
            let client = Client::new(message, way.reliability, way.timers, hands.now);
            self.asking.push(Asking { client, about, toward: toward.clone() });
        }
        hands.send(draft, toward);
    }

    /// Writes a request inside the dialog, dressed; and where it goes.
    pub(super) fn inside(&mut self, method: &str, hands: &mut Hands<'_>) -> Option<(Draft, Toward)> {
        let dialog = self.dialog.as_mut()?;
        let draft = dialog.request(method);
        let toward = Toward::Address(dialog.next_hop().to_owned());
        Some((hands.dress(draft), toward))
    }

    /// Says BYE, if there is anybody to say it to.
    pub(super) fn bye(&mut self, hands: &mut Hands<'_>) {
        if let Some((draft, toward)) = self.inside("BYE", hands) {
            self.ask(draft, About::End, toward, hands);
        }
    }

    /// The call is over; `why` is for the display, empty where the other end hung up in good order.
    pub(super) fn end(&mut self, why: &str, hands: &mut Hands<'_>) {
        if self.is_over() {
            return;
        }
        self.hush(hands);
        let was_offered = matches!(self.phase, Phase::Offering);
        self.ended_at = Some(hands.now);
        self.phase = Phase::Over { why: why.to_owned(), until: Some(hands.now + SHOWN_FOR) };
        (self.patience, self.retry_at, self.timer, self.wants) = (None, None, None, None);
        let text = match why {
            "" => format!("with {}", self.remote.shown()),
            why => format!("with {}: {why}", self.remote.shown()),
        };
        if was_offered && !self.is_attended {
            hands.event(events::CALL_MISSED, format!("from {}", self.remote.shown()));
        }
        hands.event(events::CALL_ENDED, text);
        hands.then.push(Then::Ended(self.reference));
        hands.acts.push(Act::Attention);
    }

    /// Both ends are in it.
    pub(super) fn connected(&mut self, hands: &mut Hands<'_>) {
        self.phase = Phase::Talking;
        self.connected_at = Some(hands.now);
        self.patience = None;
        hands.event(events::CALL_CONNECTED, format!("with {}", self.remote.shown()));
        hands.acts.push(Act::Attention);
    }

    /// A person hangs up, turns the caller away with this status, or ends what does not ring yet.
    pub(super) fn hang_up(&mut self, status: u16, hands: &mut Hands<'_>) {
        self.is_attended = true;
        match self.phase {
            Phase::Setup | Phase::RingBack => {
                self.is_to_be_cancelled = true;
                self.cancel(hands);
                self.end("Cancelled", hands);
            }
            Phase::Offering => {
                self.refuse(status, hands);
                self.end("Rejected", hands);
            }
            Phase::Talking => {
                // Whoever accepted waits with the BYE until the ACK came (RFC 3261 §15).
                if self.invited.is_none() {
                    self.bye(hands);
                }
                self.end("", hands);
            }
            Phase::Over { .. } => {}
        }
    }

    /// Cancels the INVITE if it may be; else as soon as a provisional answer comes (RFC 3261 §9.1).
    pub(super) fn cancel(&mut self, hands: &mut Hands<'_>) {
        let Some(inviting) = &mut self.inviting else { return };
        if let Some(draft) = inviting.client.cancel(hands.now) {
            let toward = inviting.toward.clone();
            let draft = match hands.way {
                Some(way) => draft.with("User-Agent", &way.user_agent),
                None => draft,
            };
            self.ask(draft, About::End, toward, hands);
        }
    }

    /// What to call the other end once its answer says who it is: P-Asserted-Identity, where the pool gives one.
    pub(super) fn learn(&mut self, message: &Message) {
        let asserted = message.header("P-Asserted-Identity").and_then(|text| {
            let first = sip::value::split_list(text).ok()?.first().copied()?;
            address::party_of(first)
        });
        if let Some(party) = asserted {
            self.remote = party;
        }
    }
}
