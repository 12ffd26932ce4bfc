//! When work falls due: fixed before the run begins, whatever the server does.
//!
//! All parts of a crew compute the same schedule, and each takes its own share of it. What a lost part would have offered
//! can therefore be told by whoever knows the plan ([`expected`]).

use std::time::Duration;

use net::Random;

use crate::plan::{self, Part, Stage};

/// So long before the end of its stage the last phone boots: an engine offers what is due within a pulse at the pulse's end, and
/// that must not be the end of the stage, after which nothing is offered any more.
const LAST_BOOT: Duration = Duration::from_millis(3);

/// A piece of work that falls due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its number in the stage, over all parts; in a boot storm the phone's number.
    pub number: u64,
    /// When, from the beginning of the stage.
    pub due: Duration,
}

/// One part's share of a stage's arrivals, earliest first.
#[derive(Clone, Debug)]
pub struct Arrivals(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Even {
        curve: Curve,
        part: Part,
        next: u64,
    },
    Poisson {
        curve: Curve,
        part: Part,
        next: u64,
        sum: f64,
        random: Box<Random>,
    },
    /// Latest first, to be taken from the end.
    Listed(Vec<Arrival>),
}

impl Arrivals {
    /// What `part` has to do in a stage, of a plan with so many phones and this seed. Nothing in a quiet stage; a search has
    /// no schedule of its own, its trials have.
    pub fn new(stage: &Stage, part: Part, phones: u32, seed: u64) -> Arrivals {
        Arrivals(match *stage {
            Stage::Rate { from, to, over, arrivals } => {
                let curve = Curve { from, to, over: over.as_secs_f64() };
                match arrivals {
                    plan::Arrivals::Even => Kind::Even { curve, part, next: u64::from(part.index) },
                    plan::Arrivals::Poisson => {
                        let random = Random::named(seed, &format!("arrivals of part {}", part.index));
                        Kind::Poisson {
                            curve,
                            part,
                            next: u64::from(part.index),
                            sum: 0.0,
                            random: Box::new(random),
                        }
                    }
                }
            }
            Stage::BootStorm { boot, jitter, over } => {
                Kind::Listed(boot_storm((boot, jitter, over), part, phones, seed))
            }
            Stage::Quiet { .. } | Stage::Search(_) => Kind::Listed(Vec::new()),
        })
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        match &mut self.0 {
            Kind::Even { curve, part, next } => {
                let due = curve.moment(*next as f64)?;
                let arrival = Arrival { number: *next, due };
                *next += u64::from(part.of);
                Some(arrival)
            }
            Kind::Poisson { curve, part, next, sum, random } => {
                // Exponential gaps in the count make a Poisson process of any rate once they are bent by the curve.
                *sum += -(1.0 - uniform(random)).ln();
                let due = curve.moment(*sum * f64::from(part.of))?;
                let arrival = Arrival { number: *next, due };
                *next += u64::from(part.of);
                Some(arrival)
            }
            Kind::Listed(list) => list.pop(),
        }
    }
}

/// How long a stage lasts. A search lasts as long as its conductor wants.
pub fn length(stage: &Stage) -> Duration {
    match stage {
        Stage::Rate { over, .. } | Stage::BootStorm { over, .. } | Stage::Quiet { over } => *over,
        Stage::Search(_) => Duration::ZERO,
    }
}

/// How much falls due for `part` before `until`, counted from the beginning of the stage.
pub fn expected(stage: &Stage, part: Part, phones: u32, seed: u64, until: Duration) -> u64 {
    if let Stage::Rate { from, to, over, arrivals: plan::Arrivals::Even } = *stage {
        let curve = Curve { from, to, over: over.as_secs_f64() };
        return part.share(curve.count(until.min(over).as_secs_f64()).ceil() as u64);
    }
    Arrivals::new(stage, part, phones, seed).take_while(|arrival| arrival.due < until).count() as u64
}

/// A rate that goes from one value to another in a straight line.
#[derive(Clone, Copy, Debug)]
struct Curve {
    from: f64,
    to: f64,
    over: f64,
}

impl Curve {
    /// How much has fallen due after so many seconds.
    fn count(self, seconds: f64) -> f64 {
        if self.over <= 0.0 {
            return 0.0;
        }
        seconds * (self.from + (self.to - self.from) * seconds / (2.0 * self.over))
    }

    /// When so much has fallen due; nothing if that is after the end.
    fn moment(self, count: f64) -> Option<Duration> {
        if count >= self.count(self.over) {
            return None;
        }
        let slope = (self.to - self.from) / self.over;
        // The root of the curve's quadratic, in the form that does not cancel where the slope is small.
        let root = (self.from * self.from + 2.0 * slope * count).max(0.0).sqrt();
        let seconds = if count == 0.0 { 0.0 } else { 2.0 * count / (self.from + root) };
        Duration::try_from_secs_f64(seconds).ok()
    }
}

fn uniform(random: &mut Random) -> f64 {
    // The 53 bits that a double can hold.
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Every phone's boot, drawn in the order of their numbers, so that a phone boots at the same moment whoever plays it. One
/// that would not be up within the stage comes up at its end.
fn boot_storm(
    (boot, jitter, over): (Duration, Duration, Duration),
    part: Part,
    phones: u32,
    seed: u64,
) -> Vec<Arrival> {
    let mut random = Random::named(seed, "boot times");
    let mut list = Vec::with_capacity(part.share(u64::from(phones)) as usize);
    for phone in 0..u64::from(phones) {
        // Box-Muller, of which one half is enough.
        let radius = (-2.0 * (1.0 - uniform(&mut random)).ln()).sqrt();
        let normal = (radius * (std::f64::consts::TAU * uniform(&mut random)).cos()).clamp(-3.0, 3.0);
        if part.has(phone) {
            let seconds = (boot.as_secs_f64() + jitter.as_secs_f64() * normal).max(0.0);
            let due = Duration::try_from_secs_f64(seconds).unwrap_or(over);
            let last = over.saturating_sub(LAST_BOOT);
            list.push(Arrival { number: phone, due: due.min(last) });
        }
    }
    list.sort_unstable_by_key(|arrival| std::cmp::Reverse((arrival.due, arrival.number)));
    list
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ALL: Part = Part { index: 0, of: 1 };

    fn rate(from: f64, to: f64, seconds: u32, arrivals: plan::Arrivals) -> Stage {
        Stage::Rate { from, to, over: SECOND * seconds, arrivals }
    }

    fn parts(of: u32) -> impl Iterator<Item = Part> {
        (0..of).map(move |index| Part { index, of })
    }

    #[test]
    fn a_steady_rate_is_steady() {
        let stage = rate(4.0, 4.0, 2, plan::Arrivals::Even);
        let due: Vec<u128> = Arrivals::new(&stage, ALL, 1, 0).map(|it| it.due.as_millis()).collect();
        assert_eq!(due, [0, 250, 500, 750, 1_000, 1_250, 1_500, 1_750]);
    }

    #[test]
    fn a_ramp_from_nothing_offers_half_of_its_end() {
        let stage = rate(0.0, 100.0, 10, plan::Arrivals::Even);
        let all: Vec<Arrival> = Arrivals::new(&stage, ALL, 1, 0).collect();
        assert_eq!(all.len(), 500);
        let first_half = all.iter().filter(|it| it.due < SECOND * 5).count();
        assert_eq!(first_half, 125, "a quarter falls into the first half");
    }

    #[test]
    fn independent_arrivals_come_about_as_often_and_not_evenly() {
        let stage = rate(1_000.0, 1_000.0, 10, plan::Arrivals::Poisson);
        let all: Vec<Arrival> = Arrivals::new(&stage, ALL, 1, 7).collect();
        // Five standard deviations of a Poisson count of 10,000.
        assert!((9_500..=10_500).contains(&all.len()), "{}", all.len());
        let short = all.windows(2).filter(|pair| pair[1].due - pair[0].due < SECOND / 1_000).count();
        let share = short as f64 / all.len() as f64;
        assert!((0.60..0.67).contains(&share), "1 - 1/e of the gaps are shorter than the mean: {share}");
    }

    #[test]
    fn every_phone_boots_once_and_at_the_same_moment_whoever_plays_it() {
        let stage = Stage::BootStorm { boot: SECOND * 45, jitter: SECOND * 15, over: SECOND * 90 };
        let alone: Vec<Arrival> = Arrivals::new(&stage, ALL, 1_000, 3).collect();
        let mut shared: Vec<Arrival> =
            parts(3).flat_map(|part| Arrivals::new(&stage, part, 1_000, 3)).collect();
        shared.sort_by_key(|arrival| (arrival.due, arrival.number));
        assert_eq!(alone, shared);
        let mut numbers: Vec<u64> = alone.iter().map(|arrival| arrival.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1_000).collect::<Vec<u64>>());
    }

    #[test]
    fn the_last_phone_boots_early_enough_to_be_offered() {
        let over = SECOND * 10;
        let stage = Stage::BootStorm { boot: SECOND * 10, jitter: SECOND, over };
        let last = Arrivals::new(&stage, ALL, 1_000, 3).last().expect("a thousand boot");
        assert!(last.due + 2 * crate::engine::PULSE < over, "{last:?}");
    }

    proptest! {
        #[test]
        fn parts_offer_what_one_would_and_what_is_expected_of_them(
            from in 0.0..500.0_f64, to in 0.0..500.0_f64, of in 1..5_u32, until in 0..4_000_u64, poisson: bool,
        ) {
            let arrivals = if poisson { plan::Arrivals::Poisson } else { plan::Arrivals::Even };
            let stage = rate(from, to, 3, arrivals);
            let until = Duration::from_millis(until);
            let mut sum = 0;
            for part in parts(of) {
                let mut before = Duration::ZERO;
                let mut offered = 0;
                for arrival in Arrivals::new(&stage, part, 1, 5) {
                    prop_assert!(part.has(arrival.number) && arrival.due >= before && arrival.due < SECOND * 3);
                    before = arrival.due;
                    offered += u64::from(arrival.due < until);
                }
                // The closed form and the schedule may differ in the arrival that falls onto the moment itself.
                prop_assert!(offered.abs_diff(expected(&stage, part, 1, 5, until)) <= 1);
                sum += offered;
            }
            if !poisson {
                let alone = Arrivals::new(&stage, ALL, 1, 5).filter(|it| it.due < until).count() as u64;
                prop_assert_eq!(sum, alone);
            }
        }
    }
}
