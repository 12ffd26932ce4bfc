//! Whether a plan's limits held, and whether it was the generator that was the limit.

use std::time::Duration;

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::beat::Counts;
use crate::conduct::Row;
use crate::plan::Limits;

/// A part that uses so much of its core has nothing to spare.
pub const BUSY: f64 = 0.9;
/// A part that is later than this with what is due measures itself, in microseconds.
pub const LATE_US: u64 = 10_000;
/// The share of seconds in which that may be so.
pub const STRAINED_MAX: f64 = 0.05;

/// A limit, and what was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// Which limit, as plans write it.
    pub name: String,
    /// What was allowed, or wanted: microseconds, a share, or pieces of work a second.
    pub limit: f64,
    /// What was, in the same unit; none if nothing was measured.
    pub was: Option<f64>,
    /// The unit.
    pub unit: String,
    /// Whether it held.
    pub held: bool,
}

impl Judged {
    /// For people: `p99 was 61 ms, 11 ms above the limit of 50 ms`.
    pub fn in_words(&self) -> String {
        let show = |value: f64| match self.unit.as_str() {
            "us" => format!("{} ms", short(value / 1e3)),
            "share" => format!("{} %", short(value * 100.0)),
            _ => format!("{}/s", short(value)),
        };
        let Some(was) = self.was else {
            return format!("{}: nothing was measured (limit {})", self.name, show(self.limit));
        };
        let apart = show((was - self.limit).abs());
        match (self.held, was >= self.limit) {
            (true, _) => format!("{} was {} (limit {})", self.name, show(was), show(self.limit)),
            (false, true) => {
                format!("{} was {}, {apart} above the limit of {}", self.name, show(was), show(self.limit))
            }
            (false, false) => {
                format!(
                    "{} was {}, {apart} below the {} that were wanted",
                    self.name,
                    show(was),
                    show(self.limit)
                )
            }
        }
    }
}

/// A number with as many digits as say something.
pub fn short(value: f64) -> String {
    match value.abs() {
        it if it >= 100.0 => grouped(value.round() as i64),
        it if it >= 10.0 => trimmed(&format!("{value:.1}")),
        it if it >= 0.1 || it == 0.0 => trimmed(&format!("{value:.2}")),
        _ => trimmed(&format!("{value:.4}")),
    }
}

fn trimmed(text: &str) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Digits in groups of three: `12,345`.
pub fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

/// All kinds of work in one histogram; nothing if nothing ended.
pub fn merged(counts: &Counts) -> Option<Histogram<u64>> {
    let mut all: Option<Histogram<u64>> = None;
    for latency in counts.latency.values().filter(|it| !it.histogram().is_empty()) {
        match &mut all {
            // All histograms have the same bounds.
            Some(all) => {
                let _ = all.add(latency.histogram());
            }
            None => all = Some(latency.histogram().clone()),
        }
    }
    all
}

/// The response time, over all kinds of work, that a share did not exceed, in microseconds.
pub fn quantile_us(counts: &Counts, share: f64) -> Option<u64> {
    let mut kinds = counts.latency.values().filter(|it| !it.histogram().is_empty());
    match (kinds.next(), kinds.next()) {
        (Some(only), None) => Some(only.histogram().value_at_quantile(share)),
        _ => merged(counts).map(|all| all.value_at_quantile(share)),
    }
}

/// Judges what was counted; `window` is how long it took, for the rate, which a trial of a search is not judged by.
pub fn judge(limits: &Limits, counts: &Counts, window: Option<Duration>) -> Vec<Judged> {
    let mut judged = Vec::new();
    let offered = counts.offered as f64;
    let share = |count: u64| (counts.offered > 0).then(|| count as f64 / offered);
    let mut at_most = |name: &str, unit: &str, limit: Option<f64>, was: Option<f64>| {
        let Some(limit) = limit else { return };
        let held = was.is_some_and(|was| was <= limit);
        judged.push(Judged { name: name.to_owned(), limit, was, unit: unit.to_owned(), held });
    };
    let p99 = quantile_us(counts, 0.99).map(|us| us as f64);
    at_most("p99", "us", limits.p99.map(|limit| limit.as_micros() as f64), p99);
    at_most("failures", "share", limits.failures, share(counts.failures() + counts.unfinished));
    at_most("retransmissions", "share", limits.retransmissions, share(counts.retransmissions));
    if let (Some(limit), Some(window)) = (limits.rate, window) {
        let was = Some(counts.succeeded as f64 / window.as_secs_f64().max(1e-9));
        let held = was.is_some_and(|was| was >= limit);
        judged.push(Judged { name: "rate".to_owned(), limit, was, unit: "per second".to_owned(), held });
    }
    judged
}

/// How the generator fared, second by second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Seconds looked at: those in which work was offered.
    pub seconds: u32,
    /// Those in which a part used nine tenths of its core or more.
    pub busy: u32,
    /// Those in which a part was more than 10 ms late with what was due.
    pub late: u32,
    /// Those in which either was so.
    pub strained: u32,
    /// The latest that a part was, in microseconds.
    pub lateness_max_us: u64,
    /// The most that a part used of its core.
    pub busiest_max: f64,
    /// How often the machine took nothing more for now.
    pub blocked: u64,
}

impl Health {
    /// Looks at a second.
    pub fn add(&mut self, row: &Row) {
        if row.offered == 0 {
            return;
        }
        let (is_busy, is_late) = (row.busiest >= BUSY, row.lateness_us > LATE_US);
        self.seconds += 1;
        self.busy += u32::from(is_busy);
        self.late += u32::from(is_late);
        self.strained += u32::from(is_busy || is_late);
        self.lateness_max_us = self.lateness_max_us.max(row.lateness_us);
        self.busiest_max = self.busiest_max.max(row.busiest);
        self.blocked += row.blocked;
    }

    /// Whether the generator, or the machine that it shares with others, was the limit: what was measured is then not the
    /// server alone.
    pub fn is_the_limit(&self) -> bool {
        f64::from(self.strained) > STRAINED_MAX * f64::from(self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beat::{Cause, Kind};

    #[test]
    fn a_limit_holds_at_its_edge_and_says_by_how_much_it_did_not() {
        let mut counts = Counts { offered: 100, ..Counts::default() };
        for _ in 0..99 {
            counts.succeed(Kind::Register, Duration::from_millis(2));
        }
        counts.fail(Cause::NO_ANSWER);
        let limits = Limits { failures: Some(0.01), rate: Some(50.0), ..Limits::default() };
        let judged = judge(&limits, &counts, Some(Duration::from_secs(2)));
        assert!(judged[0].held && !judged[1].held);
        assert_eq!(judged[1].in_words(), "rate was 49.5/s, 0.5/s below the 50/s that were wanted");
        let limits = Limits { p99: Some(Duration::from_millis(1)), ..Limits::default() };
        let judged = judge(&limits, &counts, None);
        assert_eq!(judged[0].in_words(), "p99 was 2 ms, 1 ms above the limit of 1 ms");
        assert!(!judge(&limits, &Counts::default(), None)[0].held, "nothing measured is nothing kept");
    }

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        let shown: Vec<String> =
            [1_234_567.0, 99.94, 3.5, 0.25, 0.0012, 0.0].iter().map(|it| short(*it)).collect();
        assert_eq!(shown, ["1,234,567", "99.9", "3.5", "0.25", "0.0012", "0"]);
    }
}
