//! Many timers at the cost of none: a wheel of milliseconds.
//!
//! A timer is never taken back; whoever is woken looks whether it still wants to be. What is due later than one turn of the
//! wheel is put in again on the way.

use std::time::Duration;

/// How long a tick is. Timers are as exact as this; what is due by the plan does not go through here.
pub const TICK: Duration = Duration::from_millis(1);

/// How many ticks the wheel has: it must be more than timer F's 32 s.
const TICKS: usize = 1 << 16;

/// A wheel.
#[derive(Debug)]
pub struct Wheel {
    slots: Vec<Vec<u32>>,
    /// The tick that is taken next.
    next: u64,
    count: usize,
}

impl Wheel {
    /// A wheel without timers, at the beginning of time.
    pub fn new() -> Wheel {
        Wheel { slots: vec![Vec::new(); TICKS], next: 0, count: 0 }
    }

    /// Has `who` woken at the first tick that is not before `at`, or within one turn if that is further away; says when.
    pub fn set(&mut self, who: u32, at: Duration) -> Duration {
        let tick = at.as_nanos().div_ceil(TICK.as_nanos());
        let tick = u64::try_from(tick).unwrap_or(u64::MAX);
        let tick = tick.clamp(self.next, self.next + TICKS as u64 - 1);
        self.slots[(tick % TICKS as u64) as usize].push(who);
        self.count += 1;
        Duration::from_millis(tick)
    }

    /// Moves those whose tick has come by `now` into `woken`.
    pub fn take(&mut self, now: Duration, woken: &mut Vec<u32>) {
        let last = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        if self.count == 0 {
            self.next = self.next.max(last + 1);
        }
        while self.next <= last {
            let slot = &mut self.slots[(self.next % TICKS as u64) as usize];
            self.count -= slot.len();
            woken.append(slot);
            if slot.capacity() > 1_024 {
                *slot = Vec::new();
            }
            self.next += 1;
        }
    }

    /// When somebody may be due next; nothing if nobody is. Looks a second ahead at most.
    pub fn next(&self) -> Option<Duration> {
        if self.count == 0 {
            return None;
        }
        let ahead = (self.next..self.next + 1_000)
            .find(|tick| !self.slots[(tick % TICKS as u64) as usize].is_empty());
        Some(Duration::from_millis(ahead.unwrap_or(self.next + 1_000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn woken(wheel: &mut Wheel, now: Duration) -> Vec<u32> {
        let mut woken = Vec::new();
        wheel.take(now, &mut woken);
        woken
    }

    #[test]
    fn nobody_is_woken_early_and_everybody_within_a_tick() {
        let mut wheel = Wheel::new();
        assert_eq!(wheel.next(), None);
        assert_eq!(wheel.set(1, Duration::from_micros(1_500)), ms(2));
        wheel.set(2, ms(2));
        wheel.set(3, ms(40_000));
        assert!(woken(&mut wheel, Duration::from_micros(1_999)).is_empty());
        assert_eq!(wheel.next(), Some(ms(2)));
        assert_eq!(woken(&mut wheel, ms(2)), [1, 2]);
        assert!(woken(&mut wheel, ms(39_999)).is_empty());
        assert_eq!(woken(&mut wheel, ms(50_000)), [3]);
        // What should have been long ago is woken at once.
        wheel.set(4, ms(1));
        assert_eq!(woken(&mut wheel, ms(50_001)), [4]);
    }

    #[test]
    fn what_is_due_after_more_than_a_turn_is_woken_on_the_way() {
        let mut wheel = Wheel::new();
        let at = wheel.set(1, Duration::from_secs(3_600));
        assert!(at < Duration::from_secs(66));
        assert_eq!(woken(&mut wheel, at), [1]);
    }
}
