//! Changes of a call that goes on: hold, resume, glare, and the session timer.

use std::time::Duration;

use sip::{Draft, Message};

use super::one::{Call, Phase, Purpose, SessionTimer};
use super::way::Hands;
use crate::events;

/// The shortest interval of a session timer that is taken (RFC 4028 §4).
const LEAST_S: u64 = 90;
/// The longest; more is as good as none.
const MOST_S: u64 = 24 * 3600;

impl Call {
    /// A person holds (true) or resumes (false). This end falls silent at once; the other end is asked when it may
    /// be.
    pub(super) fn wish(&mut self, holds: bool, hands: &mut Hands<'_>) {
        self.wants = Some(holds);
        self.agree_again(hands);
        self.change(hands);
    }

    /// Asks for what is wanted, if it may be asked for now: one offer at a time (RFC 3261 §14.1).
    pub(super) fn change(&mut self, hands: &mut Hands<'_>) {
        let Some(holds) = self.wants else { return };
        let is_busy = self.inviting.as_ref().is_some_and(|inviting| inviting.client.is_pending())
            || self.invited.is_some()
            || self.retry_at.is_some()
            || hands.way.is_none();
        if !matches!(self.phase, Phase::Talking) || is_busy {
            return;
        }
        if holds == self.is_holding {
            self.wants = None;
            self.agree_again(hands);
            return;
        }
        self.reinvite(Purpose::Hold(holds), hands);
    }

    /// The other end agreed.
    pub(super) fn held_changed(&mut self, holds: bool, hands: &mut Hands<'_>) {
        self.is_holding = holds;
        if self.wants == Some(holds) {
            self.wants = None;
        }
        let (name, text) = if holds {
            (events::CALL_HELD, format!("{} is held", self.remote.shown()))
        } else {
            (events::CALL_RESUMED, format!("{} is back", self.remote.shown()))
        };
        hands.event(name, text);
        hands.acts.push(super::Act::Attention);
    }

    /// The other end did not agree.
    pub(super) fn change_refused(&mut self, response: &Message, hands: &mut Hands<'_>) {
        match response.status().unwrap_or(500) {
            // Glare: whoever began the call waits longer, so that one comes first (RFC 3261 §14.1).
            491 | 500 => {
                let tens = match self.direction {
                    super::CallDirection::Outgoing => 210 + hands.random.below(191),
                    super::CallDirection::Incoming => hands.random.below(201),
                };
                self.retry_at = Some(hands.now + Duration::from_millis(tens * 10));
            }
            // The other end knows nothing of the call any more.
            408 | 481 => {
                self.bye(hands);
                self.end("The other end lost the call", hands);
            }
            _ => {
                self.wants = None;
                self.sdp.direction = match self.is_holding {
                    true => sip::sdp::Direction::SendOnly,
                    false => sip::sdp::Direction::SendRecv,
                };
                self.agree_again(hands);
            }
        }
    }

    /// Tries again after glare; refreshes, or gives the session up.
    pub(super) fn change_woken(&mut self, hands: &mut Hands<'_>) {
        if self.retry_at.is_some_and(|at| at <= hands.now) {
            self.retry_at = None;
            self.change(hands);
        }
        if let Some(timer) = self.timer
            && timer.at <= hands.now
        {
            if timer.is_ours {
                let again = SessionTimer { at: hands.now + timer.interval / 2, ..timer };
                self.timer = Some(again);
                let is_busy = self.inviting.as_ref().is_some_and(|inviting| inviting.client.is_pending());
                if !is_busy && self.invited.is_none() {
                    self.reinvite(Purpose::Refresh, hands);
                }
            } else {
                self.bye(hands);
                self.end("The other end gave no sign of life", hands);
            }
        }
    }

    /// The answer to this end's INVITE says who keeps the session alive (RFC 4028 §7.2).
    pub(super) fn take_session_timer(&mut self, response: &Message, hands: &Hands<'_>) {
        let asked = response.header("Session-Expires").and_then(read);
        self.timer =
            asked.map(|(interval, refresher)| timer(interval, refresher != Some(Refresher::Answers), hands));
    }

    /// The other end's request asks for a session timer: the answer grants it (RFC 4028 §9).
    pub(super) fn grant_session_timer(&mut self, request: &Message, draft: &mut Draft, hands: &Hands<'_>) {
        let Some((interval, refresher)) = request.header("Session-Expires").and_then(read) else {
            self.timer = None;
            return;
        };
        let can = request.lists("Supported", "timer") || request.lists("Require", "timer");
        // Whoever cannot refresh does not; the one who answers does then.
        let is_ours = !can || refresher == Some(Refresher::Answers);
        let word = if is_ours { "uas" } else { "uac" };
        draft.push("Session-Expires", &format!("{};refresher={word}", interval.as_secs()));
        if !is_ours {
            draft.push("Require", "timer");
        }
        self.timer = Some(timer(interval, is_ours, hands));
    }
}

/// Whether a request asks for a session timer that is too short: 422 then (RFC 4028 §9).
pub(super) fn is_too_short(request: &Message) -> bool {
    let seconds = request
        .header("Session-Expires")
        .and_then(|text| text.split(';').next().and_then(|text| text.trim().parse::<u64>().ok()));
    seconds.is_some_and(|seconds| seconds < LEAST_S) && request.lists("Supported", "timer")
}

/// The least interval as a header says it.
pub(super) fn least() -> String {
    LEAST_S.to_string()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refresher {
    Asks,
    Answers,
}

fn read(text: &str) -> Option<(Duration, Option<Refresher>)> {
    let mut parts = text.split(';');
    let seconds: u64 = parts.next()?.trim().parse().ok()?;
    let refresher = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        match (name.trim(), value.trim()) {
            ("refresher", "uac") => Some(Refresher::Asks),
            ("refresher", "uas") => Some(Refresher::Answers),
            _ => None,
        }
    });
    Some((Duration::from_secs(seconds.clamp(LEAST_S, MOST_S)), refresher))
}

fn timer(interval: Duration, is_ours: bool, hands: &Hands<'_>) -> SessionTimer {
    // RFC 4028 §10: refresh at half the time; give up a little before the end of it.
    let wait = match is_ours {
        true => interval / 2,
        false => interval - (interval / 3).min(Duration::from_secs(32)),
    };
    SessionTimer { interval, is_ours, at: hands.now + wait }
}
