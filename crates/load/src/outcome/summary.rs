//! What came of a run in a screenful, for a person who sees such a thing for the first time.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::limits::{grouped, short};
use super::result::Outcome;

/// Causes of failures that are listed.
const CAUSES_LISTED: usize = 8;

/// Microseconds as milliseconds.
fn ms(us: u64) -> String {
    format!("{} ms", short(us as f64 / 1e3))
}

fn number(count: u64) -> String {
    grouped(i64::try_from(count).unwrap_or(i64::MAX))
}

fn mebibytes(octets: u64) -> String {
    format!("{} MiB", short(octets as f64 / f64::from(1 << 20)))
}

/// What is wrong with a run, in sentences; nothing if it passed.
pub fn wrong(outcome: &Outcome) -> Vec<String> {
    let mut wrong: Vec<String> =
        outcome.limits.iter().filter(|one| !one.held).map(|one| one.in_words()).collect();
    for lost in &outcome.lost {
        wrong.push(format!(
            "part {} was lost after {} s ({}): {} pieces of work were open and {} were never offered; they count as failed",
            lost.part,
            lost.heard_until_s,
            lost.why,
            number(lost.open),
            number(lost.not_offered)
        ));
    }
    if outcome.stopped_early {
        wrong.push("the run was ended before its time; limits were looked at over what there was".to_owned());
    }
    wrong
}

/// The summary as text.
pub fn text(outcome: &Outcome) -> String {
    let mut text = String::new();
    let mark = if outcome.passed { "✓" } else { "✗" };
    let _ = writeln!(text, "{mark} {}", outcome.title);
    let _ = writeln!(text, "  {} · {} s", outcome.server.what, short(outcome.took_s));
    let counted = &outcome.counted;
    let mut line = |name: &str, what: String| {
        let _ = writeln!(text, "  {name:<16} {what}");
    };
    line(
        "offered",
        format!(
            "{} ({}/s over {} s)",
            number(counted.offered),
            short(counted.offered_per_s),
            short(counted.window_s)
        ),
    );
    line("succeeded", format!("{} ({}/s)", number(counted.succeeded), short(counted.succeeded_per_s)));
    let failed: u64 = counted.failed.values().sum();
    let share = if counted.offered > 0 { failed as f64 / counted.offered as f64 * 100.0 } else { 0.0 };
    line(
        "failed",
        if failed == 0 { "none".to_owned() } else { format!("{} ({} %)", number(failed), short(share)) },
    );
    let mut causes: Vec<(&String, &u64)> = counted.failed.iter().collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (cause, count) in causes.iter().take(CAUSES_LISTED) {
        line("", format!("{:>10} {cause}", number(**count)));
    }
    if causes.len() > CAUSES_LISTED {
        line("", format!("and {} other causes", causes.len() - CAUSES_LISTED));
    }
    if counted.unfinished > 0 {
        line("unfinished", number(counted.unfinished));
    }
    for (kind, times) in &outcome.latency {
        line(
            kind,
            format!(
                "half within {}, 99 % within {}, 99.9 % within {}, all within {}",
                ms(times.p50_us),
                ms(times.p99_us),
                ms(times.p999_us),
                ms(times.max_us)
            ),
        );
    }
    let mut wire = format!(
        "{} sent, {} received, {} sent again",
        number(counted.sent),
        number(counted.received),
        number(counted.retransmissions)
    );
    for (count, what) in [
        (counted.strays, "answers nobody awaited"),
        (counted.lost_on_purpose, "lost on purpose"),
        (counted.connections, "connections"),
        (counted.handshakes, "TLS handshakes"),
    ] {
        if count > 0 {
            let _ = write!(wire, ", {} {what}", number(count));
        }
    }
    // Complete phones' messages are their own affair: nobody counted them.
    if counted.sent + counted.received > 0 {
        line("messages", wire);
    }
    if counted.succeeded == 0 && outcome.warm_up.offered > 0 {
        line("warm-up", format!("{} offered, not counted", number(outcome.warm_up.offered)));
    }
    let cost =
        |us: Option<f64>| us.map_or_else(|| "–".to_owned(), |us| format!("{} µs of CPU each", short(us)));
    if outcome.server.cpu_us_per_operation.is_some() {
        let memory = match (outcome.server.memory_before, outcome.server.memory_peak) {
            (Some(before), Some(peak)) => {
                format!("; memory {} before, {} at most", mebibytes(before), mebibytes(peak))
            }
            _ => String::new(),
        };
        line("the server", format!("{}{memory}", cost(outcome.server.cpu_us_per_operation)));
    }
    let generator = &outcome.generator;
    line(
        "the generator",
        format!(
            "{} on {}; busiest core {} %, late by {} at most",
            cost(generator.cpu_us_per_operation),
            if generator.parts == 1 { "one core".to_owned() } else { format!("{} cores", generator.parts) },
            short(generator.health.busiest_max * 100.0),
            ms(generator.health.lateness_max_us)
        ),
    );
    if let (Some(median), Some(max)) = (generator.neighbours, generator.neighbours_max) {
        line(
            "neighbours",
            format!(
                "{} of {} cores in the median, {} at most",
                short(median),
                outcome.machine.cores,
                short(max)
            ),
        );
    }
    if let Some(found) = &outcome.search {
        for trial in &found.trials {
            line("", trial.in_words());
        }
        let rate = |rate: Option<f64>| {
            rate.map_or_else(|| "no rate".to_owned(), |rate| format!("{}/s", short(rate)))
        };
        let above = match found.not_kept {
            Some(not_kept) => format!("; {}/s did not, twice", short(not_kept)),
            None => ", the highest that was to be tried".to_owned(),
        };
        line("highest rate", format!("{} kept the limits{above}", rate(found.kept)));
    }
    for limit in &outcome.limits {
        line(if limit.held { "✓ limit" } else { "✗ limit" }, limit.in_words());
    }
    if outcome.limits.is_empty() {
        line("limits", "none are in the plan".to_owned());
    }
    if generator.was_the_limit {
        line("! careful", verdict(outcome));
    }
    for wrong in wrong(outcome)
        .iter()
        .filter(|_| outcome.stopped_early || !outcome.lost.is_empty())
        .skip(outcome.limits.iter().filter(|it| !it.held).count())
    {
        line("✗", wrong.clone());
    }
    text
}

/// Why the generator's figures are not to be taken for the server's.
pub fn verdict(outcome: &Outcome) -> String {
    let health = &outcome.generator.health;
    format!(
        "the generator or this machine was the limit, not the server alone: in {} of {} seconds a part used 90 % of its core \
         ({}) or was more than 10 ms late ({})",
        health.strained, health.seconds, health.busy, health.late
    )
}

/// The summary for programs: the result without its seconds.
pub fn json(outcome: &Outcome) -> Value {
    let mut value = json!(outcome);
    if let Some(value) = value.as_object_mut() {
        value.remove("seconds");
    }
    value
}
