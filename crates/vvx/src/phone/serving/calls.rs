//! The phone's calls, as its web server sees them.

use crate::call::{CallError, CallListKind, CallRecord, CallRef, CallView, Reject, TransferTo};

use super::Desk;

/// What came of a verb.
type Done = Result<(), CallError>;

impl Desk<'_> {
    /// Every call there is.
    pub fn calls(&self) -> Vec<CallView> {
        Vec::new()
    }

    /// Past calls, newest first.
    pub fn call_list(&self, _: CallListKind) -> Vec<CallRecord> {
        Vec::new()
    }

    /// Calls somebody.
    pub fn dial(&mut self, line: u32, _: &str) -> Done {
        if line != 1 {
            return Err(CallError::NoLine(line));
        }
        Err(CallError::NotRegistered)
    }

    /// Turns the microphone of the call in focus off or on.
    pub fn mute(&mut self, _: bool) -> Done {
        Err(CallError::NoCall)
    }

    /// Sends digits in the call in focus.
    pub fn send_digits(&mut self, _: &str) -> Done {
        Err(CallError::NoCall)
    }

    /// Ends a call.
    pub fn hang_up(&mut self, _: CallRef) -> Done {
        Err(CallError::NoCall)
    }

    /// Holds a call.
    pub fn hold(&mut self, _: CallRef) -> Done {
        Err(CallError::NoCall)
    }

    /// Goes on with a held call.
    pub fn resume(&mut self, _: CallRef) -> Done {
        Err(CallError::NoCall)
    }

    /// Answers a call.
    pub fn answer(&mut self, _: CallRef) -> Done {
        Err(CallError::NoCall)
    }

    /// Turns a call away.
    pub fn reject(&mut self, _: CallRef, _: Reject) -> Done {
        Err(CallError::NoCall)
    }

    /// Lets a call ring without a sound.
    pub fn ignore(&mut self, _: CallRef) -> Done {
        Err(CallError::NoCall)
    }

    /// Transfers a call.
    pub fn transfer(&mut self, _: CallRef, _: TransferTo) -> Done {
        Err(CallError::NoCall)
    }
}
