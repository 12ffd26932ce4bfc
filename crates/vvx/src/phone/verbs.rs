//! Calls from outside: what tools and stories may see of a phone's calls and do to them, without its keys.

use net::{Outbox, Time};

use crate::call::{CallError, CallListKind, CallRecord, CallRef, CallView, Calls, Hands, Reject, TransferTo};

use super::Phone;

impl Phone {
    /// Every call, oldest first; one that is over is shown a moment longer.
    pub fn calls(&self, now: Time) -> Vec<CallView> {
        self.power.as_ref().and_then(|power| power.running()).map_or_else(Vec::new, |it| it.call_views(now))
    }

    /// Past calls, newest first.
    pub fn call_list(&self, kind: CallListKind) -> Vec<CallRecord> {
        let running = self.power.as_ref().and_then(|power| power.running());
        running.map_or_else(Vec::new, |it| it.telephone.calls.lists().list(kind).cloned().collect())
    }

    /// The tone that stands for the voice of whoever speaks into this phone, in Hz.
    pub fn voice_hz(&self) -> u32 {
        self.setup.voice_hz
    }

    /// Calls `to` from a line, counted from 1: a number, a user, a SIP or `tel` address. A call that is on is held.
    ///
    /// # Errors
    ///
    /// If the phone is not running or the line not registered, what was dialled leads nowhere, the phone is locked and
    /// the number is not authorized, or there are too many calls.
    pub fn dial(&mut self, line: u32, to: &str, now: Time, out: &mut Outbox) -> Result<CallRef, CallError> {
        let power = self.power.as_mut().ok_or(CallError::NotRunning)?;
        let dialled = power.dial(line, to, now, out);
        self.tell(now, out);
        dialled
    }

    /// Answers a call; without a reference, the one that rings.
    ///
    /// # Errors
    ///
    /// If none rings, or the line is not registered.
    pub fn answer(&mut self, call: Option<CallRef>, now: Time, out: &mut Outbox) -> Result<(), CallError> {
        self.with_calls(now, out, |calls, hands| calls.answer(call, hands))
    }

    /// Turns a caller away.
    ///
    /// # Errors
    ///
    /// If none rings.
    pub fn reject(
        &mut self,
        call: Option<CallRef>,
        how: Reject,
        now: Time,
        out: &mut Outbox,
    ) -> Result<(), CallError> {
        self.with_calls(now, out, |calls, hands| calls.reject(call, how, hands))
    }

    /// Stops ringing; the caller does not notice.
    ///
    /// # Errors
    ///
    /// If none rings.
    pub fn ignore(&mut self, call: Option<CallRef>, now: Time, out: &mut Outbox) -> Result<(), CallError> {
        self.with_calls(now, out, |calls, hands| calls.ignore(call, hands))
    }

    /// Holds a call; without a reference, the one that is on.
    ///
    /// # Errors
    ///
    /// If none is on.
    pub fn hold(&mut self, call: Option<CallRef>, now: Time, out: &mut Outbox) -> Result<(), CallError> {
        self.with_calls(now, out, |calls, hands| calls.hold(call, hands))
    }

    /// Resumes a call that the phone holds; another one that is on is held.
    ///
    /// # Errors
    ///
    /// If it holds none.
    pub fn resume(&mut self, call: Option<CallRef>, now: Time, out: &mut Outbox) -> Result<(), CallError> {
        self.with_calls(now, out, |calls, hands| calls.resume(call, hands))
    }

    /// Transfers a call, blindly or to the other end of another call.
    ///
    /// # Errors
    ///
    /// If there is no such call, or the address leads nowhere.
    pub fn transfer(
        &mut self,
        call: Option<CallRef>,
        to: &TransferTo,
        now: Time,
        out: &mut Outbox,
    ) -> Result<(), CallError> {
        self.with_calls(now, out, |calls, hands| calls.transfer(call, to, hands))
    }

    /// Ends a call, whatever its state.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn end_call(&mut self, call: Option<CallRef>, now: Time, out: &mut Outbox) -> Result<(), CallError> {
        self.with_calls(now, out, |calls, hands| calls.end(call, hands))
    }

    /// Switches the microphone off or on, for every call.
    ///
    /// # Errors
    ///
    /// If there is no call.
    pub fn mute(&mut self, is_muted: bool, now: Time, out: &mut Outbox) -> Result<(), CallError> {
        self.with_calls(now, out, |calls, hands| calls.mute(is_muted, hands))?;
        if let Some(running) = self.power.as_mut().and_then(|power| power.running_mut()) {
            running.telephone.is_muted = is_muted;
        }
        Ok(())
    }

    /// Sends digits to the other end (RFC 4733): `0` to `9`, `*`, `#`, `A` to `D`, at most 64 at once.
    ///
    /// # Errors
    ///
    /// If both ends do not talk, these are no digits, or the other end takes none.
    pub fn send_digits(
        &mut self,
        call: Option<CallRef>,
        digits: &str,
        now: Time,
        out: &mut Outbox,
    ) -> Result<(), CallError> {
        self.with_calls(now, out, |calls, hands| calls.send_digits(call, digits, hands))
    }

    /// Turns every caller away, or lets them through again.
    ///
    /// # Errors
    ///
    /// If the phone is not running.
    pub fn do_not_disturb(&mut self, is_on: bool, now: Time, out: &mut Outbox) -> Result<(), CallError> {
        let power = self.power.as_mut().ok_or(CallError::NotRunning)?;
        power.running_mut().ok_or(CallError::NotRunning)?.do_not_disturb(is_on);
        self.tell(now, out);
        Ok(())
    }

    fn with_calls(
        &mut self,
        now: Time,
        out: &mut Outbox,
        verb: impl FnOnce(&mut Calls, &mut Hands<'_>) -> Result<(), CallError>,
    ) -> Result<(), CallError> {
        let power = self.power.as_mut().ok_or(CallError::NotRunning)?;
        let done = power.with_calls(now, out, verb);
        self.tell(now, out);
        done
    }
}
