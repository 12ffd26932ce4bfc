//! Throttles: how often somebody may ask, counted in windows of time.
//!
//! The number of counters is bounded; when they are all in use the oldest gives way, which favours a flood's
//! many addresses over memory. A flood from everywhere meets the counter for everybody.

use std::collections::BTreeMap;
use std::time::Duration;

use net::Time;

/// Counters at a time.
const COUNTERS: usize = 20_000;

/// Counts events of many parties in windows of one length.
#[derive(Debug)]
pub(crate) struct Throttle {
    window: Duration,
    counters: BTreeMap<String, (Time, u32)>,
}

impl Throttle {
    pub(crate) fn new(window: Duration) -> Throttle {
        Throttle { window, counters: BTreeMap::new() }
    }

    /// How long `who` must wait, if `limit` is used up.
    pub(crate) fn wait(&self, who: &str, limit: u32, now: Time) -> Option<Duration> {
        let (since, count) = self.counters.get(who)?;
        let end = *since + self.window;
        (*count >= limit && now < end).then(|| end.since(now))
    }

    /// Counts one event of `who`.
    pub(crate) fn count(&mut self, who: &str, now: Time) {
        if let Some((since, count)) = self.counters.get_mut(who) {
            if now >= *since + self.window {
                (*since, *count) = (now, 0);
            }
            *count = count.saturating_add(1);
            return;
        }
        if self.counters.len() >= COUNTERS {
            let window = self.window;
            self.counters.retain(|_, (since, _)| now < *since + window);
        }
        if self.counters.len() >= COUNTERS {
            let oldest =
                self.counters.iter().min_by_key(|(_, (since, _))| *since).map(|(who, _)| who.clone());
            if let Some(oldest) = oldest {
                self.counters.remove(&oldest);
            }
        }
        self.counters.insert(who.to_owned(), (now, 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_up_limit_comes_back_with_the_next_window() {
        let mut throttle = Throttle::new(Duration::from_secs(60));
        for _ in 0..3 {
            assert_eq!(throttle.wait("a", 3, Time::ZERO), None);
            throttle.count("a", Time::ZERO);
        }
        assert_eq!(throttle.wait("a", 3, Time::from_secs(59)), Some(Duration::from_secs(1)));
        assert_eq!(throttle.wait("b", 3, Time::from_secs(59)), None);
        assert_eq!(throttle.wait("a", 3, Time::from_secs(60)), None);
        throttle.count("a", Time::from_secs(60));
        assert_eq!(throttle.wait("a", 3, Time::from_secs(60)), None);
    }
}
