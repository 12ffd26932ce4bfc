//! Two runs that are alike, and two that are not.

use std::collections::BTreeMap;

use net::Random;

use super::*;
use crate::machine::Machine;
use crate::outcome::limits::Health;
use crate::outcome::result::{FORMAT, Generator, ServerFacts, Totals};

/// A run of so many seconds at 1,000/s with some noise; `slower` stretches what the server takes.
fn run(seed: u64, seconds: u32, slower: f64, failed: u64) -> Outcome {
    let mut random = Random::named(seed, "noise");
    let mut noise = |middle: f64, share: f64| {
        let uniform = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        middle * (1.0 + share * (2.0 * uniform - 1.0))
    };
    let seconds: Vec<Row> = (0..seconds)
        .map(|second| Row {
            second,
            is_counted: true,
            offered: 1_000,
            succeeded: noise(1_000.0, 0.005) as u64,
            p50_us: Some(noise(800.0 * slower, 0.08) as u64),
            p90_us: Some(noise(1_500.0 * slower, 0.1) as u64),
            p99_us: Some(noise(4_000.0 * slower, 0.4) as u64),
            cpu_ns: noise(5e6, 0.05) as u64,
            ..Row::default()
        })
        .collect();
    let offered = 1_000 * seconds.len() as u64;
    let totals = Totals {
        offered,
        succeeded: offered - failed,
        failed: BTreeMap::from([("no answer".to_owned(), failed)]),
        ..Totals::default()
    };
    Outcome {
        format: FORMAT,
        title: "A test".into(),
        passed: true,
        stopped_early: false,
        started: String::new(),
        took_s: 0.0,
        plan: serde_json::json!({ "phones": { "count": 100 } }),
        machine: Machine::default(),
        version: String::new(),
        limits: Vec::new(),
        generator: Generator {
            was_the_limit: false,
            health: Health::default(),
            parts: 1,
            cpu_s: Vec::new(),
            cpu_us_per_operation: None,
            neighbours: None,
            neighbours_max: None,
        },
        server: ServerFacts::default(),
        counted: totals,
        warm_up: Totals::default(),
        latency: BTreeMap::new(),
        search: None,
        lost: Vec::new(),
        seconds,
    }
}

fn changed(before: &Outcome, after: &Outcome) -> Vec<(String, &'static str)> {
    let compared = compare(before, after);
    let said = compared.differences.into_iter().filter(|one| one.verdict != "same");
    said.map(|one| (one.figure, one.verdict)).collect()
}

#[test]
fn equal_runs_do_not_differ() {
    for seed in 0..40 {
        assert_eq!(changed(&run(seed, 30, 1.0, 3), &run(seed + 100, 30, 1.0, 5)), [], "seed {seed}");
    }
}

#[test]
fn a_slower_server_is_found_and_so_is_a_faster_one() {
    let (before, after) = (run(1, 30, 1.0, 0), run(2, 30, 1.5, 0));
    let worse = changed(&before, &after);
    assert!(worse.contains(&("p50".to_owned(), "worse")) && compare(&before, &after).is_worse, "{worse:?}");
    let better = changed(&after, &before);
    assert!(better.contains(&("p50".to_owned(), "better")) && !compare(&after, &before).is_worse);
}

#[test]
fn more_failures_are_worse() {
    assert_eq!(changed(&run(1, 30, 1.0, 0), &run(2, 30, 1.0, 900)), [("failed".to_owned(), "worse")]);
}

#[test]
fn too_few_seconds_tell_nothing_and_other_plans_are_warned_of() {
    let (before, mut after) = (run(1, 6, 1.0, 0), run(2, 6, 3.0, 0));
    assert!(changed(&before, &after).iter().all(|(_, verdict)| *verdict == "unknown"));
    after.plan = serde_json::json!({ "phones": { "count": 200 } });
    let warnings = compare(&before, &after).warnings;
    assert_eq!(warnings, ["the plans differ: phones.count: 100 and 200"]);
}

#[test]
fn the_test_of_ranks_is_the_one_of_the_books() {
    // All of one below all of the other: U is 0, the score (0 - 12.5) / sqrt(5 * 5 * 11 / 12).
    let (chance, delta) = mann_whitney(&[1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0, 10.0]);
    assert!((chance - 0.009_02).abs() < 1e-4 && delta == 1.0, "{chance} {delta}");
    let (chance, delta) = mann_whitney(&[1.0, 1.0], &[1.0, 1.0]);
    assert!((chance - 1.0).abs() < 1e-6 && delta == 0.0);
    assert!((two_sided(1.959_964) - 0.05).abs() < 1e-5);
}
