//! How far another machine's clock is off, from questions and answers.
//!
//! Both clocks count nanoseconds from some moment of their own and never leap. The answer was read somewhere between the
//! question's leaving and the answer's arrival; of several, the quickest says most (as in RFC 5905 §8): the truth is within
//! half its round trip of the middle, however unevenly the way was taken.

use std::time::Duration;

/// What is known of another clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    /// What it shows less what ours shows, in nanoseconds.
    ahead_ns: i128,
    /// By how much that is wrong at most.
    pub error: Duration,
}

impl Offset {
    /// From readings `(asked, theirs, answered)` in nanoseconds; nothing from none.
    pub fn from_readings(readings: &[(u64, u64, u64)]) -> Option<Offset> {
        let &(asked, theirs, answered) = readings
            .iter()
            .filter(|(asked, _, answered)| asked <= answered)
            .min_by_key(|(asked, _, answered)| answered - asked)?;
        let round = answered - asked;
        let middle = i128::from(asked) + i128::from(round / 2);
        Some(Offset { ahead_ns: i128::from(theirs) - middle, error: Duration::from_nanos(round.div_ceil(2)) })
    }

    /// What the other clock shows when ours shows `ours_ns`.
    pub fn theirs(self, ours_ns: u64) -> u64 {
        u64::try_from((i128::from(ours_ns) + self.ahead_ns).max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_quickest_answer_counts() {
        let slow = (0, 1_000_000, 900_000);
        let quick = (1_000_000, 1_500_100, 1_000_200);
        let offset = Offset::from_readings(&[slow, quick]).expect("two readings");
        assert_eq!(offset.error, Duration::from_nanos(100));
        assert_eq!(offset.theirs(2_000_000), 2_500_000);
        assert_eq!(Offset::from_readings(&[]), None);
    }

    proptest! {
        #[test]
        fn the_truth_is_within_the_error(
            ahead in 0..1_000_000_000_u64,
            ways in prop::collection::vec((0..50_000_000_u64, 0..50_000_000_u64), 1..16),
        ) {
            let mut now = 0;
            let mut readings = Vec::new();
            for (there, back) in ways {
                readings.push((now, now + there + ahead, now + there + back));
                now += there + back + 1_000_000;
            }
            let offset = Offset::from_readings(&readings).expect("there are readings");
            let wrong = offset.theirs(now).abs_diff(now + ahead);
            prop_assert!(u128::from(wrong) <= offset.error.as_nanos());
        }
    }
}
