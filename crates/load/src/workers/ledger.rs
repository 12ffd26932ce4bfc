//! Each second of each part once, in order, whatever the broker does to messages; and when a part is over.

use std::collections::BTreeMap;

use crate::beat::Beat;
use crate::crew::Heard;

/// How many seconds beyond the awaited one are kept until the gap is filled.
pub(super) const AHEAD_MAX: u32 = 64;

/// What is known of a run's parts.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    parts: BTreeMap<u32, Account>,
    /// Beats that counted already, or came after their part was over.
    pub repeated: u64,
}

#[derive(Debug, Default)]
struct Account {
    /// The second that is awaited.
    next: u32,
    /// Seconds beyond it, and why they are the last if they are so too early.
    ahead: BTreeMap<u32, (Box<Beat>, Option<String>)>,
    /// It ends early after so many seconds, and why.
    ends: Option<(u32, String)>,
    is_over: bool,
}

impl Ledger {
    /// A ledger of these parts.
    pub fn new(parts: impl IntoIterator<Item = u32>) -> Ledger {
        Ledger { parts: parts.into_iter().map(|part| (part, Account::default())).collect(), repeated: 0 }
    }

    /// Takes a beat; what counts now goes into `heard`. `cut` says why a last beat comes early.
    pub fn take(&mut self, beat: Box<Beat>, cut: Option<String>, heard: &mut impl Extend<Heard>) {
        let Some(account) = self.parts.get_mut(&beat.part) else { return };
        let second = beat.second;
        if account.is_over || second < account.next || account.ahead.contains_key(&second) {
            self.repeated += 1;
            return;
        }
        // One too far ahead is not confirmed, and comes again when the gap is filled.
        if second - account.next <= AHEAD_MAX {
            account.ahead.insert(second, (beat, cut));
            account.advance(heard);
        }
    }

    /// A part has ended early, after it had told so many seconds.
    pub fn ends(&mut self, part: u32, told: u32, why: String, heard: &mut impl Extend<Heard>) {
        if let Some(account) = self.parts.get_mut(&part).filter(|account| !account.is_over) {
            account.ends.get_or_insert((told, why));
            account.finish(part, heard);
        }
    }

    /// A part is lost: what it may still say does not count.
    pub fn lose(&mut self, part: u32, why: &str, heard: &mut impl Extend<Heard>) {
        if let Some(account) = self.parts.get_mut(&part).filter(|account| !account.is_over) {
            account.close();
            heard.extend([Heard::Lost { part, why: why.to_owned() }]);
        }
    }

    /// The second that is awaited of a part; nothing more is if it is over.
    pub fn awaited(&self, part: u32) -> u32 {
        match self.parts.get(&part) {
            Some(account) if !account.is_over => account.next,
            _ => u32::MAX,
        }
    }

    /// Whether nothing more is expected of a part.
    pub fn is_over(&self, part: u32) -> bool {
        self.parts.get(&part).is_none_or(|account| account.is_over)
    }
}

impl Account {
    fn advance(&mut self, heard: &mut impl Extend<Heard>) {
        while let Some((mut beat, cut)) = self.ahead.remove(&self.next) {
            self.next = self.next.saturating_add(1);
            let part = beat.part;
            let is_last = beat.is_last;
            // To those who count, a part that was cut off has no last beat: it is lost.
            beat.is_last &= cut.is_none();
            heard.extend([Heard::Beat(beat)]);
            if is_last {
                self.close();
                heard.extend(cut.map(|why| Heard::Lost { part, why }));
                return;
            }
            self.finish(part, heard);
        }
    }

    /// Closes a part that has ended early and told all it had to.
    fn finish(&mut self, part: u32, heard: &mut impl Extend<Heard>) {
        if self.ends.as_ref().is_some_and(|(told, _)| self.next >= *told) {
            let why = self.ends.take().map_or_else(String::new, |(_, why)| why);
            self.close();
            heard.extend([Heard::Lost { part, why }]);
        }
    }

    fn close(&mut self) {
        self.is_over = true;
        self.ahead.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn beat(part: u32, second: u32, last: u32) -> Box<Beat> {
        Box::new(Beat { is_last: second == last, ..Beat::new(part, second) })
    }

    fn seconds(heard: &[Heard]) -> Vec<u32> {
        let second = |heard: &Heard| match heard {
            Heard::Beat(beat) => Some(beat.second),
            Heard::Lost { .. } | Heard::Nothing => None,
        };
        heard.iter().filter_map(second).collect()
    }

    #[test]
    fn a_part_that_is_lost_says_so_once_and_nothing_afterwards() {
        let mut ledger = Ledger::new([0, 1]);
        let mut heard = Vec::new();
        ledger.take(beat(1, 0, 9), None, &mut heard);
        ledger.take(beat(1, 2, 9), None, &mut heard);
        ledger.lose(1, "not heard of", &mut heard);
        ledger.lose(1, "not heard of", &mut heard);
        ledger.take(beat(1, 1, 9), None, &mut heard);
        assert_eq!(seconds(&heard), [0]);
        assert_eq!(heard.len(), 2);
        assert!(ledger.is_over(1) && !ledger.is_over(0));
        assert_eq!((ledger.awaited(1), ledger.awaited(0), ledger.repeated), (u32::MAX, 0, 1));
    }

    #[test]
    fn a_part_that_ends_early_is_lost_after_all_that_it_told() {
        let mut ledger = Ledger::new([0]);
        let mut heard = Vec::new();
        ledger.ends(0, 2, "no socket".to_owned(), &mut heard);
        assert!(heard.is_empty(), "two seconds are still on their way");
        ledger.take(beat(0, 1, 9), None, &mut heard);
        ledger.take(beat(0, 0, 9), None, &mut heard);
        assert_eq!(seconds(&heard), [0, 1]);
        assert_eq!(heard.last(), Some(&Heard::Lost { part: 0, why: "no socket".to_owned() }));
    }

    #[test]
    fn a_worker_that_leaves_has_no_last_beat() {
        let mut ledger = Ledger::new([0]);
        let mut heard = Vec::new();
        ledger.take(beat(0, 0, 0), Some("told to stop".to_owned()), &mut heard);
        let Heard::Beat(told) = &heard[0] else { panic!("a beat first") };
        assert!(!told.is_last);
        assert!(matches!(&heard[1], Heard::Lost { part: 0, why } if why == "told to stop"));
    }

    #[test]
    fn strangers_beats_count_nowhere_and_far_ones_are_not_kept() {
        let mut ledger = Ledger::new([0]);
        let mut heard = Vec::new();
        ledger.take(beat(7, 0, 9), None, &mut heard);
        for second in 1..10_000 {
            ledger.take(beat(0, second, 20_000), None, &mut heard);
        }
        assert!(heard.is_empty());
        assert_eq!(ledger.parts[&0].ahead.len(), AHEAD_MAX as usize);
    }

    proptest! {
        /// However messages are doubled and overtake each other, once all have come, each second was heard once and in order.
        #[test]
        fn each_second_counts_once(order in prop::collection::vec(0..20_u32, 0..200)) {
            let mut ledger = Ledger::new([0]);
            let mut heard = Vec::new();
            for second in order.into_iter().chain(0..20) {
                ledger.take(beat(0, second, 19), None, &mut heard);
            }
            prop_assert_eq!(seconds(&heard), (0..20).collect::<Vec<_>>());
            prop_assert!(ledger.is_over(0));
        }
    }
}
