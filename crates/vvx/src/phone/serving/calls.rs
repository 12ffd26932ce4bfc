//! The phone's calls, as its web server sees them.

use crate::call::{CallError, CallListKind, CallRecord, CallRef, CallView, Calls, Reject, TransferTo};

use super::Desk;

/// What came of a verb.
type Done = Result<(), CallError>;

impl Desk<'_> {
    /// Every call there is.
    pub fn calls(&self) -> Vec<CallView> {
        self.running.call_views(self.now)
    }

    /// Past calls, newest first.
    pub fn call_list(&self, kind: CallListKind) -> Vec<CallRecord> {
        self.running.telephone.calls.lists().list(kind).cloned().collect()
    }

    /// Calls somebody.
    pub fn dial(&mut self, line: u32, to: &str) -> Done {
        self.running.dial(line, to, self.now, self.parts, self.out).map(drop)
    }

    /// Turns the microphone off or on.
    pub fn mute(&mut self, is_muted: bool) -> Done {
        self.with(|calls, hands| calls.mute(is_muted, hands))
    }

    /// Sends digits in the call in focus.
    pub fn send_digits(&mut self, digits: &str) -> Done {
        self.with(|calls, hands| calls.send_digits(None, digits, hands))
    }

    /// Ends a call.
    pub fn hang_up(&mut self, call: CallRef) -> Done {
        self.with(|calls, hands| calls.end(Some(call), hands))
    }

    /// Holds a call.
    pub fn hold(&mut self, call: CallRef) -> Done {
        self.with(|calls, hands| calls.hold(Some(call), hands))
    }

    /// Goes on with a held call.
    pub fn resume(&mut self, call: CallRef) -> Done {
        self.with(|calls, hands| calls.resume(Some(call), hands))
    }

    /// Answers a call.
    pub fn answer(&mut self, call: CallRef) -> Done {
        self.with(|calls, hands| calls.answer(Some(call), hands))
    }

    /// Turns a call away.
    pub fn reject(&mut self, call: CallRef, how: Reject) -> Done {
        self.with(|calls, hands| calls.reject(Some(call), how, hands))
    }

    /// Lets a call ring without a sound.
    pub fn ignore(&mut self, call: CallRef) -> Done {
        self.with(|calls, hands| calls.ignore(Some(call), hands))
    }

    /// Transfers a call.
    pub fn transfer(&mut self, call: CallRef, to: &TransferTo) -> Done {
        self.with(|calls, hands| calls.transfer(Some(call), to, hands))
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Calls, &mut crate::call::Hands<'_>) -> T) -> T {
        self.running.touched(self.now);
        self.running.with_calls(self.now, self.parts, self.out, act)
    }
}
