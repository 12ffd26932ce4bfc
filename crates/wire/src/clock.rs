//! The lab's clock in the real world: it runs with the machine's, faster if wanted, or leaps over quiet times.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use net::Time;

/// How lab time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// This many thousandths of real time: 1,000 is real time, 20,000 is twenty times as fast.
    Thousandths(u32),
    /// In real time while something happens; when nothing is under way, the clock leaps to what happens next.
    Leap,
}

impl Speed {
    /// As fast as the wall's clock.
    pub const REAL: Speed = Speed::Thousandths(1000);
}

/// The lab's clock.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    thousandths: u32,
    /// Nanoseconds that were leapt over.
    leapt: AtomicU64,
}

impl Clock {
    pub(crate) fn start(speed: Speed) -> Clock {
        let thousandths = match speed {
            Speed::Thousandths(thousandths) => thousandths.max(1),
            Speed::Leap => 1000,
        };
        Clock { started: Instant::now(), thousandths, leapt: AtomicU64::new(0) }
    }

    pub(crate) fn now(&self) -> Time {
        let real = self.started.elapsed().as_nanos();
        let run = u64::try_from(real * u128::from(self.thousandths) / 1000).unwrap_or(u64::MAX);
        Time::from_nanos(run.saturating_add(self.leapt.load(Ordering::Relaxed)))
    }

    /// How long the machine's clock needs to reach `until`.
    pub(crate) fn real_until(&self, until: Time) -> Duration {
        self.real(until.since(self.now()))
    }

    /// How long a span of lab time takes on the machine's clock.
    pub(crate) fn real(&self, span: Duration) -> Duration {
        let nanos = span.as_nanos() * 1000 / u128::from(self.thousandths);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Makes it `until` at once, if it is not yet.
    pub(crate) fn leap(&self, until: Time) {
        let ahead = until.since(self.now());
        let nanos = u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX);
        self.leapt.fetch_add(nanos, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_needs_less_real_time_for_the_same_span() {
        let clock = Clock::start(Speed::Thousandths(20_000));
        assert_eq!(clock.real(Duration::from_secs(60)), Duration::from_secs(3));
    }

    #[test]
    fn a_leap_never_goes_back() {
        let clock = Clock::start(Speed::Leap);
        clock.leap(Time::from_secs(3600));
        let later = clock.now();
        assert!(later >= Time::from_secs(3600));
        clock.leap(Time::from_secs(60));
        assert!(clock.now() >= later);
    }
}
