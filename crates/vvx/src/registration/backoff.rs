//! Patience after a refusal or a lost connection: first by chance, then doubling, with an end.

use std::time::Duration;

use net::Random;

/// The first wait is drawn from one to this many seconds, so that a fleet does not come back as one.
const FIRST_S_MAX: u64 = 30;
/// The longest wait of the phone's own making.
pub const LONGEST: Duration = Duration::from_secs(15 * 60);
/// The longest wait that a pool can impose.
pub const IMPOSED_MAX: Duration = Duration::from_secs(60 * 60);

/// How long to wait next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// The next wait; what the pool asked for counts if it is longer.
    pub fn next(&mut self, asked: Option<Duration>, random: &mut Random) -> Duration {
        let own = match self.last {
            None => Duration::from_millis(1000 + random.below((FIRST_S_MAX - 1) * 1000 + 1)),
            Some(last) => (last * 2).min(LONGEST),
        };
        self.last = Some(own);
        own.max(asked.unwrap_or_default().min(IMPOSED_MAX))
    }

    /// All is well again.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_begin_by_chance_double_and_end_at_a_quarter_of_an_hour() {
        let mut random = Random::named(7, "desk");
        let mut backoff = Backoff::default();
        let first = backoff.next(None, &mut random);
        assert!((Duration::from_secs(1)..=Duration::from_secs(30)).contains(&first));
        assert_eq!(backoff.next(None, &mut random), first * 2);
        for _ in 0..20 {
            backoff.next(None, &mut random);
        }
        assert_eq!(backoff.next(None, &mut random), LONGEST);
        backoff.reset();
        assert!(backoff.next(None, &mut random) <= Duration::from_secs(30));
    }

    #[test]
    fn a_pool_can_ask_for_more_patience_but_not_for_ever() {
        let mut random = Random::named(7, "desk");
        let asked = |secs| Some(Duration::from_secs(secs));
        assert_eq!(Backoff::default().next(asked(120), &mut random), Duration::from_secs(120));
        assert_eq!(Backoff::default().next(asked(1_000_000), &mut random), IMPOSED_MAX);
    }
}
