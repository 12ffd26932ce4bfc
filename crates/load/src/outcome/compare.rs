//! What differs between two results beyond noise.
//!
//! Of each figure that has a value every second, the seconds of both runs are compared by the Mann-Whitney test, and a shift is
//! believed when chance alone makes one as large in fewer than one of a hundred cases, when it is large (Cliff's delta), and
//! when the medians differ by a share that runs on one machine do not differ by anyway. Seconds of one run resemble each other,
//! so seconds are joined to blocks first. Where there are too few blocks, nothing is said to differ.

use serde::Serialize;
use serde_json::Value;

use super::limits::short;
use super::result::Outcome;
use crate::conduct::Row;

/// Seconds that are joined to one value.
const BLOCK: usize = 3;
/// Fewer values than this on either side tell nothing.
const VALUES_MIN: usize = 5;
/// How often chance alone may look like a change.
const CHANCE: f64 = 0.01;
/// From which Cliff's delta on a shift counts: 1 is when every value of one run is above every one of the other.
const DELTA: f64 = 0.6;

/// Whether more of it is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Better {
    More,
    Less,
}

/// What is said of one figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Which figure.
    pub figure: String,
    /// In the older result.
    pub before: f64,
    /// In the newer.
    pub after: f64,
    /// The unit.
    pub unit: String,
    /// How much it changed, as a share of what it was.
    pub change: Option<f64>,
    /// How often chance alone makes such a difference; none if it was judged by sums.
    pub chance: Option<f64>,
    /// `same`, `better`, `worse`, or `unknown` if there are too few seconds.
    pub verdict: &'static str,
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What makes the two hard to compare: other plans, other machines.
    pub warnings: Vec<String>,
    /// Figure by figure.
    pub differences: Vec<Difference>,
    /// Whether anything is worse beyond noise.
    pub is_worse: bool,
}

/// A figure that has a value every second.
struct Figure {
    name: &'static str,
    unit: &'static str,
    better: Better,
    /// The share by which medians differ between equal runs on a machine with neighbours.
    usual: f64,
    of: fn(&Row) -> Option<f64>,
}

fn each(total: Option<u64>, row: &Row) -> Option<f64> {
    let ended = row.succeeded + row.failed.values().sum::<u64>();
    total.filter(|_| ended > 0).map(|ns| ns as f64 / 1e3 / ended as f64)
}

const FIGURES: &[Figure] = &[
    Figure {
        name: "succeeded",
        unit: "/s",
        better: Better::More,
        usual: 0.02,
        of: |row| Some(row.succeeded as f64),
    },
    Figure {
        name: "p50",
        unit: " ms",
        better: Better::Less,
        usual: 0.10,
        of: |row| row.p50_us.map(|us| us as f64 / 1e3),
    },
    Figure {
        name: "p90",
        unit: " ms",
        better: Better::Less,
        usual: 0.15,
        of: |row| row.p90_us.map(|us| us as f64 / 1e3),
    },
    Figure {
        name: "p99",
        unit: " ms",
        better: Better::Less,
        usual: 0.25,
        of: |row| row.p99_us.map(|us| us as f64 / 1e3),
    },
    Figure {
        name: "CPU of the pool for each",
        unit: " µs",
        better: Better::Less,
        usual: 0.08,
        of: |row| each(row.sample.server_cpu_ns, row),
    },
    Figure {
        name: "CPU of the generator for each",
        unit: " µs",
        better: Better::Less,
        usual: 0.08,
        of: |row| each(Some(row.cpu_ns), row),
    },
];

/// Compares two results.
pub fn compare(before: &Outcome, after: &Outcome) -> Comparison {
    let mut differences: Vec<Difference> =
        FIGURES.iter().filter_map(|figure| by_seconds(figure, before, after)).collect();
    differences.push(failures(before, after));
    differences.extend(found(before, after));
    let is_worse = differences.iter().any(|one| one.verdict == "worse");
    Comparison { warnings: warnings(before, after), differences, is_worse }
}

fn warnings(before: &Outcome, after: &Outcome) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut apart = Vec::new();
    differing("", &before.plan, &after.plan, &mut apart);
    if !apart.is_empty() {
        warnings.push(format!("the plans differ: {}", apart.join("; ")));
    }
    if before.machine != after.machine {
        warnings.push(format!(
            "the machines differ: {} × {}, {} and {} × {}, {}",
            before.machine.cores,
            before.machine.processor,
            before.machine.kernel,
            after.machine.cores,
            after.machine.processor,
            after.machine.kernel
        ));
    }
    for (which, outcome) in [("A", before), ("B", after)] {
        if outcome.generator.was_the_limit {
            warnings
                .push(format!("in {which} the generator or its machine was the limit, not the server alone"));
        }
        if outcome.stopped_early || !outcome.lost.is_empty() {
            warnings.push(format!("{which} did not run to its end, or lost a part"));
        }
    }
    let neighbours = |outcome: &Outcome| outcome.generator.neighbours.unwrap_or(0.0);
    if (neighbours(before) - neighbours(after)).abs() > 0.25 {
        warnings.push(format!(
            "the neighbours used {} cores in A and {} in B: what they took, nobody else had",
            short(neighbours(before)),
            short(neighbours(after))
        ));
    }
    warnings
}

/// Where two plans differ: at most ten places.
fn differing(path: &str, before: &Value, after: &Value, apart: &mut Vec<String>) {
    if before == after || apart.len() >= 10 {
        return;
    }
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
                differing(&path, &of(one), &of(other), apart);
            }
        }
        (before, after) => apart.push(format!("{path}: {before} and {after}")),
    }
}

/// The counted seconds in which something was offered, joined to blocks. The first one is often cut by the warm-up.
fn blocks(outcome: &Outcome, of: fn(&Row) -> Option<f64>) -> Vec<f64> {
    let seconds: Vec<f64> = outcome
        .seconds
        .iter()
        .filter(|row| row.is_counted && row.offered > 0)
        .skip(1)
        .filter_map(of)
        .collect();
    seconds.chunks_exact(BLOCK).map(|block| block.iter().sum::<f64>() / BLOCK as f64).collect()
}

fn by_seconds(figure: &Figure, before: &Outcome, after: &Outcome) -> Option<Difference> {
    let (one, other) = (blocks(before, figure.of), blocks(after, figure.of));
    if one.is_empty() || other.is_empty() {
        return None;
    }
    let (was, is) = (median(&one), median(&other));
    let change = (was > 0.0).then(|| is / was - 1.0);
    let (chance, delta) = mann_whitney(&one, &other);
    let verdict = if one.len() < VALUES_MIN || other.len() < VALUES_MIN {
        "unknown"
    } else if chance < CHANCE
        && delta.abs() >= DELTA
        && change.is_none_or(|change| change.abs() > figure.usual)
    {
        let is_more = delta > 0.0;
        if is_more == (figure.better == Better::More) { "better" } else { "worse" }
    } else {
        "same"
    };
    let (figure, unit) = (figure.name.to_owned(), figure.unit.to_owned());
    Some(Difference { figure, before: was, after: is, unit, change, chance: Some(chance), verdict })
}

/// Failures are sums: most seconds have none. Their shares are compared as two proportions.
fn failures(before: &Outcome, after: &Outcome) -> Difference {
    let sums = |outcome: &Outcome| {
        let failed = outcome.counted.failed.values().sum::<u64>() + outcome.counted.unfinished;
        (failed as f64, outcome.counted.offered.max(1) as f64)
    };
    let ((failed_a, offered_a), (failed_b, offered_b)) = (sums(before), sums(after));
    let (was, is) = (failed_a / offered_a, failed_b / offered_b);
    let pooled = (failed_a + failed_b) / (offered_a + offered_b);
    let deviation = (pooled * (1.0 - pooled) * (1.0 / offered_a + 1.0 / offered_b)).sqrt();
    let chance = if deviation > 0.0 { two_sided((is - was) / deviation) } else { 1.0 };
    // Failures come in clusters, so that more than chance is asked: a tenth of a percent of all work.
    let verdict = match chance < CHANCE && (is - was).abs() > 0.001 {
        false => "same",
        true if is < was => "better",
        true => "worse",
    };
    Difference {
        figure: "failed".to_owned(),
        before: was * 100.0,
        after: is * 100.0,
        unit: " %".to_owned(),
        change: (was > 0.0).then(|| is / was - 1.0),
        chance: Some(chance),
        verdict,
    }
}

/// The rates that searches found differ by more than both were precise to.
fn found(before: &Outcome, after: &Outcome) -> Option<Difference> {
    let (one, other) = (before.search.as_ref()?, after.search.as_ref()?);
    let (was, is) = (one.kept.unwrap_or(0.0), other.kept.unwrap_or(0.0));
    let is_apart = |low: Option<f64>, high: f64| low.is_some_and(|low| low < high);
    let verdict = if is_apart(other.not_kept, was) || (other.kept.is_none() && one.kept.is_some()) {
        "worse"
    } else if is_apart(one.not_kept, is) || (one.kept.is_none() && other.kept.is_some()) {
        "better"
    } else {
        "same"
    };
    Some(Difference {
        figure: "highest rate that kept the limits".to_owned(),
        before: was,
        after: is,
        unit: "/s".to_owned(),
        change: (was > 0.0).then(|| is / was - 1.0),
        chance: None,
        verdict,
    })
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// How often chance alone makes such a difference (normal approximation, corrected for ties), and Cliff's delta: 1 if every
/// value of `other` is above every one of `one`.
fn mann_whitney(one: &[f64], other: &[f64]) -> (f64, f64) {
    let (n, m) = (one.len() as f64, other.len() as f64);
    let mut all: Vec<(f64, bool)> =
        one.iter().map(|it| (*it, false)).chain(other.iter().map(|it| (*it, true))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rank_sum, mut ties, mut from) = (0.0, 0.0, 0);
    while from < all.len() {
        let to = from + all[from..].iter().take_while(|it| it.0 == all[from].0).count();
        let rank = (from + 1 + to) as f64 / 2.0;
        rank_sum += rank * all[from..to].iter().filter(|it| it.1).count() as f64;
        let tied = (to - from) as f64;
        ties += tied.powi(3) - tied;
        from = to;
    }
    let above = rank_sum - m * (m + 1.0) / 2.0;
    let total = n + m;
    let variance = n * m / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)).max(1.0));
    let distance = above - n * m / 2.0;
    let score = if variance > 0.0 { distance / variance.sqrt() } else { 0.0 };
    (two_sided(score), 2.0 * above / (n * m).max(1.0) - 1.0)
}

/// How often a normal variable is at least so many deviations away (Abramowitz and Stegun 7.1.26).
fn two_sided(score: f64) -> f64 {
    let x = score.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let series = t
        * (0.254_829_592
            + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    (series * (-x * x).exp()).clamp(0.0, 1.0)
}

impl Comparison {
    /// Whether no figure has enough seconds on both sides.
    fn has_too_little(&self) -> bool {
        self.differences.iter().filter(|one| one.figure != "failed").all(|one| one.verdict == "unknown")
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for warning in &self.warnings {
            text.push_str(&format!("! {warning}\n"));
        }
        text.push_str(&format!("  {:<34} {:>14} {:>14} {:>9}\n", "", "A", "B", "change"));
        for one in &self.differences {
            let mark = match one.verdict {
                "worse" => "✗",
                "better" => "✓",
                _ => " ",
            };
            let change = one.change.map_or_else(String::new, |change| format!("{:+.1} %", change * 100.0));
            let value = |value: f64| format!("{}{}", short(value), one.unit);
            let verdict = match one.verdict {
                "same" => "no more than noise",
                "unknown" => "too few seconds to tell",
                verdict => verdict,
            };
            text.push_str(&format!(
                "{mark} {:<34} {:>14} {:>14} {change:>9}  {verdict}\n",
                one.figure,
                value(one.before),
                value(one.after)
            ));
        }
        let changed = self.differences.iter().filter(|one| matches!(one.verdict, "better" | "worse")).count();
        text.push_str(match (changed, self.is_worse) {
            (0, _) if self.has_too_little() => "too few counted seconds on one side to tell what differs\n",
            (0, _) => "nothing differs beyond noise\n",
            (_, true) => "B is worse beyond noise in what is marked ✗\n",
            (_, false) => "B is better beyond noise in what is marked ✓\n",
        });
        text
    }
}

#[cfg(test)]
mod tests;
