//! Looks for the highest rate that keeps the limits: up in doubles, then between what was kept and what was not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan;

/// A rate below which nobody looks.
const LOWEST: f64 = 1.0;
/// The most trials of a search; doubling and halving need fewer.
const TRIALS_MAX: usize = 64;

/// One trial of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// The rate that was offered, in pieces of work a second.
    pub rate: f64,
    /// Whether all limits were kept, and by the server: not if the generator could not offer the rate in time.
    pub kept: bool,
    /// Whether the generator or this machine was the limit.
    pub generator_was_the_limit: bool,
    /// Pieces of work that fell due in the trial.
    pub offered: u64,
    /// Those that went as they should.
    pub succeeded: u64,
    /// Those that did not.
    pub failed: u64,
    /// The response time that 99 of 100 did not exceed, in microseconds.
    pub p99_us: Option<u64>,
    /// Requests sent again.
    pub retransmissions: u64,
}

impl Trial {
    /// For people who watch.
    pub fn in_words(&self) -> String {
        let p99 = self.p99_us.map_or_else(|| "–".to_owned(), |us| format!("{:.1} ms", us as f64 / 1e3));
        let what = match (self.kept, self.generator_was_the_limit) {
            (true, _) => "kept",
            (false, true) => "not kept: the generator or this machine was the limit",
            (false, false) => "not kept",
        };
        format!("trial at {:.0}/s: {what} (p99 {p99}, {} of {} failed)", self.rate, self.failed, self.offered)
    }
}

/// What a search has found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    /// The highest rate that kept the limits; none if none did.
    pub kept: Option<f64>,
    /// The lowest rate above it that did not, in two trials; none if the highest that was to be tried was kept.
    pub not_kept: Option<f64>,
    /// Whether the generator or this machine was the limit there: the server may bear more.
    pub generator_was_the_limit: bool,
    /// All trials in order.
    pub trials: Vec<Trial>,
}

/// A search on its way.
#[derive(Clone, Debug)]
pub struct Search {
    /// What was asked for.
    pub stage: plan::Search,
    kept: Option<f64>,
    not_kept: Option<f64>,
    /// A rate that was not kept once: chance gets no second one.
    doubted: Option<f64>,
    trials: Vec<Trial>,
}

impl Search {
    /// A search that has tried nothing.
    pub fn new(stage: plan::Search) -> Search {
        Search { stage, kept: None, not_kept: None, doubted: None, trials: Vec::new() }
    }

    /// The rate to be tried next; nothing when it is over.
    pub fn next(&self) -> Option<f64> {
        if self.trials.len() >= TRIALS_MAX {
            return None;
        }
        if self.doubted.is_some() {
            return self.doubted;
        }
        match (self.kept, self.not_kept) {
            (None, None) => Some(self.stage.from),
            (Some(kept), None) => (kept < self.stage.to).then(|| (kept * 2.0).min(self.stage.to)),
            (None, Some(not_kept)) => (not_kept > LOWEST).then(|| (not_kept / 2.0).max(LOWEST)),
            (Some(kept), Some(not_kept)) => {
                (not_kept / kept - 1.0 > self.stage.precision).then(|| (kept * not_kept).sqrt())
            }
        }
    }

    /// What came of it.
    pub fn tried(&mut self, trial: Trial) {
        if trial.kept {
            self.kept = Some(trial.rate);
            self.doubted = None;
        } else if self.doubted.take().is_some() {
            self.not_kept = Some(trial.rate);
        } else {
            self.doubted = Some(trial.rate);
        }
        self.trials.push(trial);
    }

    /// What is known now.
    pub fn found(&self) -> Found {
        let at_the_edge = |trial: &&Trial| Some(trial.rate) == self.not_kept;
        Found {
            kept: self.kept,
            not_kept: self.not_kept,
            generator_was_the_limit: self
                .trials
                .iter()
                .filter(at_the_edge)
                .any(|it| it.generator_was_the_limit),
            trials: self.trials.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn search(from: f64, to: f64, mut keeps: impl FnMut(f64) -> bool) -> Found {
        let stage = plan::Search { from, to, trial: Duration::from_secs(1), precision: 0.05 };
        let mut search = Search::new(stage);
        while let Some(rate) = search.next() {
            let kept = keeps(rate);
            search.tried(Trial {
                rate,
                kept,
                generator_was_the_limit: false,
                offered: 1,
                succeeded: 1,
                failed: 0,
                p99_us: None,
                retransmissions: 0,
            });
        }
        search.found()
    }

    #[test]
    fn the_knee_is_found_from_below_and_from_above() {
        for from in [10.0, 700.0, 50_000.0] {
            let found = search(from, 100_000.0, |rate| rate <= 12_345.0);
            let (kept, not_kept) = (found.kept.unwrap(), found.not_kept.unwrap());
            assert!(kept <= 12_345.0 && 12_345.0 < not_kept && not_kept / kept <= 1.05, "{kept} {not_kept}");
            assert!(found.trials.len() < 30);
        }
    }

    #[test]
    fn a_server_that_bears_everything_or_nothing_ends_the_search() {
        let found = search(10.0, 1_000.0, |_| true);
        assert_eq!((found.kept, found.not_kept), (Some(1_000.0), None));
        let found = search(10.0, 1_000.0, |_| false);
        assert_eq!((found.kept, found.not_kept), (None, Some(1.0)));
    }

    #[test]
    fn one_bad_trial_may_have_been_chance() {
        let mut unlucky = true;
        let found = search(100.0, 1_000.0, |rate| rate != 400.0 || !std::mem::take(&mut unlucky));
        assert_eq!(found.kept, Some(1_000.0));
    }
}
