//! `report.html`: what came of a run as one page that needs nothing else, in light and dark, without a script.

mod chart;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use self::chart::{Chart, Drawn, Line};
use super::junit::escaped;
use super::limits::{grouped, short};
use super::result::Outcome;
use super::summary::{verdict, wrong};
use crate::conduct::Row;

const STYLE: &str = include_str!("report/style.css");
/// Points of a chart at most; longer runs are drawn in groups of seconds.
const POINTS_MAX: usize = 430;
/// Causes that have a colour of their own.
const COLOURS: [&str; 7] = ["c2", "c4", "c5", "c6", "c7", "c3", "c1"];

/// The page.
pub fn html(outcome: &Outcome) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{}</title><style>{STYLE}</style></head><body><main>\n",
        escaped(&outcome.title)
    );
    head(outcome, &mut page);
    tiles(outcome, &mut page);
    limits(outcome, &mut page);
    search(outcome, &mut page);
    // The second in which a part ends is no whole one.
    let idle = |row: &&Row| row.offered == 0 && row.in_flight == 0;
    let whole = outcome.seconds.len() - outcome.seconds.iter().rev().take_while(idle).count().min(1);
    let groups = groups(&outcome.seconds[..whole]);
    page.push_str("<h2>Second by second</h2>\n");
    charts(outcome, &groups, &mut page);
    tables(outcome, &mut page);
    page.push_str("</main></body></html>\n");
    page
}

fn number(count: u64) -> String {
    grouped(i64::try_from(count).unwrap_or(i64::MAX))
}

fn ms(us: u64) -> String {
    short(us as f64 / 1e3)
}

fn head(outcome: &Outcome, page: &mut String) {
    let (class, words) = match (outcome.passed, outcome.limits.is_empty()) {
        (true, true) => ("good", "ran to its end; the plan has no limits"),
        (true, false) => ("good", "all limits held"),
        (false, _) => ("bad", "did not pass"),
    };
    let _ = writeln!(
        page,
        "<h1>{}</h1><p class=\"sub\">{} · {} · {} s · lab {}</p><div class=\"verdict {class}\">{words}</div>",
        escaped(&outcome.title),
        escaped(&outcome.server.what),
        escaped(&outcome.started),
        short(outcome.took_s),
        escaped(&outcome.version)
    );
    for wrong in wrong(outcome) {
        let _ = writeln!(page, "<p class=\"bad\">{}</p>", escaped(&wrong));
    }
    if outcome.generator.was_the_limit {
        let _ = writeln!(
            page,
            "<p class=\"note\"><b class=\"care\">Careful:</b> {}.</p>",
            escaped(&verdict(outcome))
        );
    }
}

fn tiles(outcome: &Outcome, page: &mut String) {
    let counted = &outcome.counted;
    let failed: u64 = counted.failed.values().sum();
    let share = if counted.offered > 0 { failed as f64 / counted.offered as f64 } else { 0.0 };
    let most = outcome.latency.iter().max_by_key(|(_, times)| times.count);
    let mut tiles = String::new();
    let mut tile = |value: String, what: &str| {
        let _ = write!(
            tiles,
            "<div class=\"tile\"><b>{}</b><span>{}</span></div>",
            escaped(&value),
            escaped(what)
        );
    };
    tile(format!("{}/s", short(counted.offered_per_s)), "offered");
    tile(format!("{}/s", short(counted.succeeded_per_s)), "succeeded");
    tile(
        format!("{} %", short(share * 100.0)),
        &format!("failed: {} of {}", number(failed), number(counted.offered)),
    );
    if let Some((kind, times)) = most {
        tile(format!("{} ms", ms(times.p50_us)), &format!("half of all {kind} answered within"));
        tile(format!("{} ms", ms(times.p99_us)), &format!("99 % of all {kind} within"));
    }
    if let Some(us) = outcome.server.cpu_us_per_operation {
        tile(format!("{} µs", short(us)), "CPU of the server for each");
    }
    if let Some(us) = outcome.generator.cpu_us_per_operation {
        tile(format!("{} µs", short(us)), "CPU of the generator for each");
    }
    if let Some(peak) = outcome.server.memory_peak {
        tile(format!("{} MiB", short(peak as f64 / f64::from(1 << 20))), "memory of the server at most");
    }
    let _ = writeln!(page, "<div class=\"tiles\">{tiles}</div>");
}

fn limits(outcome: &Outcome, page: &mut String) {
    if outcome.limits.is_empty() {
        return;
    }
    page.push_str("<h2>Limits</h2><table><tr><th>limit</th><th style=\"text-align:left\">what was</th></tr>");
    for limit in &outcome.limits {
        let (class, mark) = if limit.held { ("good", "✓ held") } else { ("bad", "✗ not held") };
        let _ = write!(
            page,
            "<tr><td class=\"{class}\">{mark}</td><td class=\"text\" style=\"text-align:left\">{}</td></tr>",
            escaped(&limit.in_words())
        );
    }
    page.push_str("</table>\n");
}

fn search(outcome: &Outcome, page: &mut String) {
    let Some(found) = &outcome.search else { return };
    page.push_str("<h2>Search for the highest rate</h2>");
    page.push_str("<div class=\"wide\"><table><tr><th>rate</th><th>limits</th><th>p99</th><th>offered</th><th>failed</th><th>sent again</th></tr>");
    for trial in &found.trials {
        let (class, word) = match (trial.kept, trial.generator_was_the_limit) {
            (true, _) => ("good", "kept"),
            (false, true) => ("care", "generator was the limit"),
            (false, false) => ("bad", "not kept"),
        };
        let _ = write!(
            page,
            "<tr><td>{}/s</td><td class=\"{class}\">{word}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            short(trial.rate),
            trial.p99_us.map_or_else(|| "–".to_owned(), |us| format!("{} ms", ms(us))),
            number(trial.offered),
            number(trial.failed),
            number(trial.retransmissions)
        );
    }
    page.push_str("</table></div>\n");
}

/// Seconds in groups, so that a chart has no more points than can be seen.
fn groups(rows: &[Row]) -> Vec<&[Row]> {
    rows.chunks(rows.len().div_ceil(POINTS_MAX).max(1)).collect()
}

fn charts(outcome: &Outcome, groups: &[&[Row]], page: &mut String) {
    let at: Vec<f64> =
        groups.iter().map(|group| group.first().map_or(0.0, |row| f64::from(row.second))).collect();
    let warm_until = outcome.warm_up.window_s;
    let mean = |of: &dyn Fn(&Row) -> f64| -> Vec<Option<f64>> {
        groups.iter().map(|rows| Some(rows.iter().map(of).sum::<f64>() / rows.len().max(1) as f64)).collect()
    };
    let most = |of: &dyn Fn(&Row) -> Option<f64>| -> Vec<Option<f64>> {
        groups
            .iter()
            .map(|rows| rows.iter().filter_map(of).fold(None, |most, it| Some(it.max(most.unwrap_or(it)))))
            .collect()
    };
    let line = |name: &str, colour: &'static str, values: Vec<Option<f64>>| Line {
        name: name.to_owned(),
        colour,
        values,
    };
    let chart =
        |title: &'static str, note: &'static str, unit: &'static str, drawn: Drawn, lines: Vec<Line>| {
            Chart { title, note, unit, drawn, at: &at, warm_until, lines }.html()
        };
    page.push_str(&chart(
        "Rate",
        "Pieces of work that fell due, and those that went as they should. A server that keeps up has one line on the other.",
        "/s",
        Drawn::Lines,
        vec![line("offered", "c2", mean(&|row| row.offered as f64)), line("succeeded", "c1", mean(&|row| row.succeeded as f64))],
    ));
    let in_ms = |of: fn(&Row) -> Option<u64>| most(&|row| of(row).map(|us| us as f64 / 1e3));
    page.push_str(&chart(
        "Response times",
        "From the moment when work was due, so that waiting counts. Logarithmic: each line of the grid is ten times the one below.",
        " ms",
        Drawn::Logarithmic,
        vec![
            line("longest", "c8", in_ms(|row| row.max_us)),
            line("99 %", "c2", in_ms(|row| row.p99_us)),
            line("90 %", "c3", in_ms(|row| row.p90_us)),
            line("half", "c1", in_ms(|row| row.p50_us)),
        ],
    ));
    page.push_str(&chart(
        "Failures by cause",
        "Pieces of work that ended otherwise in each second.",
        "/s",
        Drawn::Stacked,
        causes(groups),
    ));
    page.push_str(&chart(
        "Sent again, and on the way",
        "Requests that were sent again for want of an answer, and work that had begun and not ended.",
        "",
        Drawn::Lines,
        vec![
            line("on the way", "c1", most(&|row| Some(row.in_flight as f64))),
            line("sent again in a second", "c2", most(&|row| Some(row.retransmissions as f64))),
        ],
    ));
    let connected = most(&|row| Some(row.connected as f64));
    let has_connections = outcome.seconds.iter().any(|row| row.connected > 0);
    let mut lines = vec![line("registered", "c3", most(&|row| Some(row.registered as f64)))];
    if has_connections {
        lines.push(line("connected", "c6", connected));
    }
    page.push_str(&chart(
        "Registrations alive",
        "Phones that hold a binding, as far as they know, and connections that are up.",
        "",
        Drawn::Lines,
        lines,
    ));
    let cores = |of: fn(&Row) -> Option<f64>| most(&move |row| of(row));
    page.push_str(&chart(
        "Processors",
        "In cores. A generator whose busiest part nears 1, or neighbours who take what the server needs, measure themselves.",
        "",
        Drawn::Lines,
        vec![
            line("generator's busiest part", "c2", most(&|row| Some(row.busiest))),
            line("the server", "c1", cores(|row| row.sample.server_cpu_ns.map(|ns| ns as f64 / 1e9))),
            line("neighbours", "c8", cores(|row| row.sample.neighbours)),
        ],
    ));
    page.push_str(&chart(
        "Lateness of the generator",
        "By how much work was begun after it was due, at most. Above 10 ms the generator, or this machine, is a limit of its own.",
        " ms",
        Drawn::Logarithmic,
        vec![line("late by", "c4", most(&|row| Some(row.lateness_us.max(10) as f64 / 1e3)))],
    ));
}

/// A line for each of the commonest causes, and one for all others.
fn causes(groups: &[&[Row]]) -> Vec<Line> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (cause, count) in groups.iter().flat_map(|rows| rows.iter()).flat_map(|row| &row.failed) {
        *sums.entry(cause).or_default() += count;
    }
    let mut order: Vec<(&str, u64)> = sums.into_iter().collect();
    order.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let of = |wanted: &dyn Fn(&str) -> bool| -> Vec<Option<f64>> {
        let sum = |rows: &&[Row]| {
            let all = rows.iter().flat_map(|row| &row.failed).filter(|(cause, _)| wanted(cause));
            Some(all.map(|(_, count)| *count as f64).sum::<f64>() / rows.len().max(1) as f64)
        };
        groups.iter().map(sum).collect()
    };
    let known: Vec<&str> = order.iter().take(COLOURS.len()).map(|(cause, _)| *cause).collect();
    let mut lines: Vec<Line> = (known.iter().zip(COLOURS))
        .map(|(cause, colour)| Line {
            name: (*cause).to_owned(),
            colour,
            values: of(&|other| other == *cause),
        })
        .collect();
    if order.len() > known.len() {
        let values = of(&|other| !known.contains(&other));
        lines.push(Line { name: "other causes".to_owned(), colour: "c8", values });
    }
    lines
}

fn tables(outcome: &Outcome, page: &mut String) {
    page.push_str("<h2>Response times in all</h2><div class=\"wide\"><table><tr><th>work</th><th>answered</th><th>mean</th><th>half</th><th>90 %</th><th>99 %</th><th>99.9 %</th><th>longest</th></tr>");
    for (kind, times) in &outcome.latency {
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{} ms</td><td>{} ms</td><td>{} ms</td><td>{} ms</td><td>{} ms</td><td>{} ms</td></tr>",
            escaped(kind),
            number(times.count),
            short(times.mean_us / 1e3),
            ms(times.p50_us),
            ms(times.p90_us),
            ms(times.p99_us),
            ms(times.p999_us),
            ms(times.max_us)
        );
    }
    page.push_str("</table></div>\n<h2>Everything that was counted</h2><table><tr><th></th><th>counted</th><th>warm-up</th></tr>");
    let (counted, warm) = (&outcome.counted, &outcome.warm_up);
    let mut row = |name: &str, counted: u64, warm: u64| {
        if counted + warm > 0 {
            let _ = write!(
                page,
                "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
                escaped(name),
                number(counted),
                number(warm)
            );
        }
    };
    row("offered", counted.offered, warm.offered);
    row("succeeded", counted.succeeded, warm.succeeded);
    let mut causes: Vec<&String> = counted.failed.keys().chain(warm.failed.keys()).collect();
    causes.sort();
    causes.dedup();
    for cause in causes {
        let of = |failed: &BTreeMap<String, u64>| failed.get(cause).copied().unwrap_or(0);
        row(&format!("failed: {cause}"), of(&counted.failed), of(&warm.failed));
    }
    row("unfinished", counted.unfinished, warm.unfinished);
    row("messages sent", counted.sent, warm.sent);
    row("messages received", counted.received, warm.received);
    row("sent again", counted.retransmissions, warm.retransmissions);
    row("answers nobody awaited", counted.strays, warm.strays);
    row("challenges answered", counted.challenges, warm.challenges);
    row("connections opened", counted.connections, warm.connections);
    row("TLS handshakes", counted.handshakes, warm.handshakes);
    row("lost on purpose", counted.lost_on_purpose, warm.lost_on_purpose);
    page.push_str("</table>\n<h2>Where it was made</h2><dl>");
    let machine = &outcome.machine;
    let mut fact = |name: &str, what: String| {
        let _ = write!(page, "<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(&what));
    };
    fact(
        "machine",
        format!(
            "{} × {}, {} GiB, {}",
            machine.cores,
            machine.processor,
            short(machine.memory as f64 / f64::from(1 << 30)),
            machine.kernel
        ),
    );
    let cpu: Vec<String> = outcome.generator.cpu_s.iter().map(|cpu| format!("{} s", short(*cpu))).collect();
    fact("generator", format!("{} part(s); CPU {}", outcome.generator.parts, cpu.join(", ")));
    if let (Some(median), Some(most)) = (outcome.generator.neighbours, outcome.generator.neighbours_max) {
        fact(
            "neighbours",
            format!("{} cores in the median of the seconds, {} at most", short(median), short(most)),
        );
    }
    page.push_str("</dl>\n");
    for (title, value) in [
        ("The plan as it was understood", Some(&outcome.plan)),
        ("What the pool says it has served", outcome.server.said.as_ref()),
    ] {
        if let Some(value) = value {
            let _ = writeln!(
                page,
                "<details><summary>{title}</summary><pre>{}</pre></details>",
                escaped(&format!("{value:#}"))
            );
        }
    }
}
