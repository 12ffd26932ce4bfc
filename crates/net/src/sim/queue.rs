//! The queue of what is to come, in one total order: by time, then in the order in which it was put in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Time;

/// What is to come.
#[derive(Debug)]
pub(super) struct Queue<E> {
    heap: BinaryHeap<Reverse<Slot<E>>>,
    sequence: u64,
}

#[derive(Debug)]
struct Slot<E> {
    key: (Time, u64),
    event: E,
}

impl<E> PartialEq for Slot<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<E> Eq for Slot<E> {}

impl<E> PartialOrd for Slot<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Slot<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl<E> Queue<E> {
    pub(super) fn new() -> Queue<E> {
        Queue { heap: BinaryHeap::new(), sequence: 0 }
    }

    /// Puts `event` in at `at`, behind everything else that is due at that moment.
    pub(super) fn put(&mut self, at: Time, event: E) {
        self.heap.push(Reverse(Slot { key: (at, self.sequence), event }));
        self.sequence += 1;
    }

    /// Takes the next event out if it is due by `until`.
    pub(super) fn take_until(&mut self, until: Time) -> Option<(Time, E)> {
        if self.heap.peek()?.0.key.0 > until {
            return None;
        }
        self.heap.pop().map(|Reverse(slot)| (slot.key.0, slot.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_at_once_comes_out_in_the_order_it_went_in() {
        let mut queue = Queue::new();
        queue.put(Time::from_secs(2), 'c');
        queue.put(Time::from_secs(1), 'a');
        queue.put(Time::from_secs(1), 'b');
        let mut out = Vec::new();
        while let Some((_, letter)) = queue.take_until(Time::from_secs(2)) {
            out.push(letter);
        }
        assert_eq!(out, ['a', 'b', 'c']);
    }

    #[test]
    fn nothing_comes_out_before_it_is_due() {
        let mut queue = Queue::new();
        queue.put(Time::from_secs(2), ());
        assert!(queue.take_until(Time::from_millis(1_999)).is_none());
        assert!(queue.take_until(Time::from_secs(2)).is_some());
    }
}
