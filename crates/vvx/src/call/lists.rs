//! Call lists: the calls that were placed, received and missed.

use std::collections::VecDeque;

use super::{CallListKind, CallRecord};

/// How many calls each list remembers; the oldest go.
pub const LIST_MAX: usize = 100;

/// The three lists, newest call first. They live in memory: whether the device's survive a power cut is not known.
#[derive(Clone, Debug, Default)]
pub struct CallLists {
    placed: VecDeque<CallRecord>,
    received: VecDeque<CallRecord>,
    missed: VecDeque<CallRecord>,
}

impl CallLists {
    /// One list, newest call first.
    pub fn list(&self, kind: CallListKind) -> impl Iterator<Item = &CallRecord> {
        match kind {
            CallListKind::Placed => self.placed.iter(),
            CallListKind::Received => self.received.iter(),
            CallListKind::Missed => self.missed.iter(),
        }
    }

    pub(super) fn add(&mut self, kind: CallListKind, record: CallRecord) {
        let list = match kind {
            CallListKind::Placed => &mut self.placed,
            CallListKind::Received => &mut self.received,
            CallListKind::Missed => &mut self.missed,
        };
        list.push_front(record);
        list.truncate(LIST_MAX);
    }
}
