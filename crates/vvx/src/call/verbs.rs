//! What a person does with calls: the verbs.

use super::one::{Call, Phase};
use super::transfer::Transfer;
use super::way::{Act, Hands};
use super::{CALLS_MAX, CallDirection, CallError, CallRef, Calls, Party, Reject, TransferTo, address};
use crate::events;

/// The most digits that are taken at once.
pub const DIGITS_MAX: usize = media::digits::QUEUE_MAX;

impl Calls {
    /// Calls somebody on a line: a number, a user, an address. A call that is on is held.
    ///
    /// # Errors
    ///
    /// If the line is not registered, what was dialled leads nowhere, the phone is locked, or it has too many calls.
    pub fn dial(&mut self, line: u32, text: &str, hands: &mut Hands<'_>) -> Result<CallRef, CallError> {
        hands.turn_to(line);
        let way = hands.way.ok_or(CallError::NotRegistered)?;
        if let Some(only) = &hands.settings.only {
            let digits = address::digits(text);
            let is_allowed = digits.is_some_and(|digits| only.contains(&digits));
            if !is_allowed {
                return Err(CallError::Locked(text.chars().take(64).collect()));
            }
        }
        let address = address::of_dialled(text, way)?;
        self.check_room()?;
        self.dialled = Some(text.trim().to_owned());
        let remote = Party { name: String::new(), address };
        self.hold_others(None, hands);
        hands.turn_to(line);
        let placed = self.place(remote, Vec::new(), None, hands);
        self.settle(hands);
        placed.ok_or(CallError::TooMany(CALLS_MAX))
    }

    fn check_room(&self) -> Result<(), CallError> {
        let live = self.calls.iter().filter(|call| !call.is_over()).count();
        if live >= CALLS_MAX { Err(CallError::TooMany(CALLS_MAX)) } else { Ok(()) }
    }

    /// Begins a call to `remote`.
    pub(super) fn place(
        &mut self,
        remote: Party,
        extra: Vec<(String, String)>,
        referrer: Option<CallRef>,
        hands: &mut Hands<'_>,
    ) -> Option<CallRef> {
        self.check_room().ok()?;
        let shown = remote.shown();
        let target = remote.address.clone();
        let mut call = self.begin(CallDirection::Outgoing, remote, hands)?;
        (call.target, call.extra, call.referrer) = (target, extra, referrer);
        call.is_attended = true;
        hands.event(events::CALL_PLACED, format!("to {shown}"));
        call.invite(hands);
        let reference = call.reference;
        self.calls.push(call);
        self.focus = Some(reference);
        hands.acts.push(Act::Attention);
        Some(reference)
    }

    /// Holds every call that is on, but for one: a phone has one ear.
    fn hold_others(&mut self, but: Option<CallRef>, hands: &mut Hands<'_>) {
        for call in &mut self.calls {
            if Some(call.reference) != but && call.is_active() {
                hands.turn_to(call.line);
                call.wish(true, hands);
            }
        }
    }

    /// The call that a verb means: the one named, or else the one in focus if the verb fits it, or the only one that
    /// it fits.
    fn pick(
        &mut self,
        named: Option<CallRef>,
        verb: &'static str,
        fits: impl Fn(&Call) -> bool,
    ) -> Result<&mut Call, CallError> {
        let focus = self.focus;
        let is_named = |call: &Call| Some(call.reference) == named;
        let at = match named {
            Some(_) => self.calls.iter().position(is_named),
            None => {
                let is_focus = |call: &Call| Some(call.reference) == focus;
                (self.calls.iter().position(|call| is_focus(call) && fits(call)))
                    .or_else(|| self.calls.iter().position(&fits))
                    .or_else(|| self.calls.iter().position(|call| is_focus(call) && !call.is_over()))
            }
        };
        let call = at.and_then(|at| self.calls.get_mut(at)).ok_or(CallError::NoCall)?;
        if !fits(call) {
            return Err(CallError::NotNow { verb, state: call.state().name() });
        }
        Ok(call)
    }

    /// Answers a call that rings. One that is on is held.
    ///
    /// # Errors
    ///
    /// If no call rings, or the line is not registered.
    pub fn answer(&mut self, named: Option<CallRef>, hands: &mut Hands<'_>) -> Result<(), CallError> {
        let call = self.pick(named, "answer", |call| matches!(call.phase, Phase::Offering))?;
        let (reference, line) = (call.reference, call.line);
        if !hands.turn_to(line) {
            return Err(CallError::NotRegistered);
        }
        self.hold_others(Some(reference), hands);
        self.focus = Some(reference);
        if let Some(call) = self.calls.iter_mut().find(|call| call.reference == reference) {
            hands.turn_to(call.line);
            call.accept(hands);
        }
        self.settle(hands);
        Ok(())
    }

    /// Turns a caller away.
    ///
    /// # Errors
    ///
    /// If no call rings.
    pub fn reject(
        &mut self,
        named: Option<CallRef>,
        how: Reject,
        hands: &mut Hands<'_>,
    ) -> Result<(), CallError> {
        let call = self.pick(named, "reject", |call| matches!(call.phase, Phase::Offering))?;
        hands.turn_to(call.line);
        call.hang_up(if how == Reject::Busy { 486 } else { 603 }, hands);
        self.settle(hands);
        Ok(())
    }

    /// Stops ringing for a call, which the caller does not notice.
    ///
    /// # Errors
    ///
    /// If no call rings.
    pub fn ignore(&mut self, named: Option<CallRef>, hands: &mut Hands<'_>) -> Result<(), CallError> {
        let call = self.pick(named, "ignore", |call| matches!(call.phase, Phase::Offering))?;
        call.is_ignored = true;
        hands.acts.push(Act::Attention);
        Ok(())
    }

    /// Holds a call.
    ///
    /// # Errors
    ///
    /// If there is none that both ends talk in.
    pub fn hold(&mut self, named: Option<CallRef>, hands: &mut Hands<'_>) -> Result<(), CallError> {
        let call = self.pick(named, "hold", Call::is_active)?;
        hands.turn_to(call.line);
        call.wish(true, hands);
        self.settle(hands);
        Ok(())
    }

    /// Resumes a call that this phone holds. Another one that is on is held.
    ///
    /// # Errors
    ///
    /// If this phone holds none.
    pub fn resume(&mut self, named: Option<CallRef>, hands: &mut Hands<'_>) -> Result<(), CallError> {
        let fits = |call: &Call| matches!(call.phase, Phase::Talking) && !call.is_active();
        let reference = self.pick(named, "resume", fits)?.reference;
        self.hold_others(Some(reference), hands);
        self.focus = Some(reference);
        if let Some(call) = self.calls.iter_mut().find(|call| call.reference == reference) {
            hands.turn_to(call.line);
            call.wish(false, hands);
        }
        self.settle(hands);
        Ok(())
    }

    /// Transfers a call: blindly to an address, or to the other end of another call. The other end is held meanwhile.
    ///
    /// # Errors
    ///
    /// If there is no such call, or the address leads nowhere.
    pub fn transfer(
        &mut self,
        named: Option<CallRef>,
        to: &TransferTo,
        hands: &mut Hands<'_>,
    ) -> Result<(), CallError> {
        let way = hands.way.ok_or(CallError::NotRegistered)?;
        let (address, shown, with) = match to {
            TransferTo::Address(text) => {
                let address = address::of_dialled(text, way)?;
                (address, text.trim().to_owned(), None)
            }
            TransferTo::Call(other) => {
                let fits = |call: &Call| matches!(call.phase, Phase::Talking);
                let call = self.pick(Some(*other), "transfer to", fits)?;
                (call.replaces().ok_or(CallError::NoCall)?, call.remote.shown(), Some(*other))
            }
        };
        let fits = |call: &Call| {
            matches!(call.phase, Phase::Talking)
                && call.transfer.is_none()
                && with.is_none_or(|with| with != call.reference)
        };
        let call = self.pick(named, "transfer", fits)?;
        hands.turn_to(call.line);
        if call.is_active() {
            call.wish(true, hands);
        }
        call.refer(&address, &shown, with, hands);
        self.settle(hands);
        Ok(())
    }

    /// Ends a call, whatever its state: hangs up, cancels, or turns the caller away.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn end(&mut self, named: Option<CallRef>, hands: &mut Hands<'_>) -> Result<(), CallError> {
        let call = self.pick(named, "end", |call| !call.is_over())?;
        hands.turn_to(call.line);
        call.hang_up(603, hands);
        self.settle(hands);
        Ok(())
    }

    /// Switches the microphone off or on, for every call.
    ///
    /// # Errors
    ///
    /// If there is no call.
    pub fn mute(&mut self, is_muted: bool, hands: &mut Hands<'_>) -> Result<(), CallError> {
        let mut any = false;
        for call in self.calls.iter_mut().filter(|call| !call.is_over()) {
            any = true;
            call.is_muted = is_muted;
            if let Some(sound) = &mut call.sound {
                sound.mute(is_muted);
            }
        }
        hands.acts.push(Act::Attention);
        if any { Ok(()) } else { Err(CallError::NoCall) }
    }

    /// Sends digits to the other end (RFC 4733).
    ///
    /// # Errors
    ///
    /// If both ends do not talk, the other end takes no digits, or these are none.
    pub fn send_digits(
        &mut self,
        named: Option<CallRef>,
        digits: &str,
        _hands: &mut Hands<'_>,
    ) -> Result<(), CallError> {
        let call = self.pick(named, "send digits", Call::is_active)?;
        let is_good = !digits.is_empty()
            && digits.len() <= DIGITS_MAX
            && digits.chars().all(|digit| media::digits::event_of(digit).is_some());
        if !is_good {
            return Err(CallError::NotDigits(digits.chars().take(64).collect()));
        }
        let sound = call.sound.as_mut().ok_or(CallError::NoDigits)?;
        if sound.send_digits(digits) { Ok(()) } else { Err(CallError::NoDigits) }
    }

    /// Looks at another call.
    ///
    /// # Errors
    ///
    /// If there is none of that reference.
    pub fn look_at(&mut self, reference: CallRef) -> Result<(), CallError> {
        let exists = self.calls.iter().any(|call| call.reference == reference && !call.is_over());
        if !exists {
            return Err(CallError::NoCall);
        }
        self.focus = Some(reference);
        Ok(())
    }

    /// Whether a transfer is under way.
    pub fn is_transferring(&self) -> bool {
        self.calls.iter().any(|call| call.transfer.as_ref().and_then(Transfer::wake_at).is_some())
    }

    /// Ends every call, and waits for nothing: the phone signs out or starts again.
    pub fn drop_all(&mut self, hands: &mut Hands<'_>) {
        for call in self.calls.iter_mut().filter(|call| !call.is_over()) {
            hands.turn_to(call.line);
            call.hang_up(480, hands);
        }
        self.settle(hands);
        self.calls.clear();
    }
}
