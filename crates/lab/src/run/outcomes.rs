//! How outcomes are printed: short for people, JSON lines and JUnit for machines.

use std::collections::BTreeMap;
use std::time::Duration;

use scenario::mistakes::Colour;
use scenario::report::Outcome;
use serde_json::json;

use super::Done;
use crate::arguments::{Format, Run};
use crate::terminal;

/// How many failures of a run over many seeds are shown whole.
const FAILURES_SHOWN: usize = 5;

/// Prints outcomes as they come.
pub struct Printer {
    format: Format,
    is_quiet: bool,
    prints_ladder: bool,
    prints_tale: bool,
    is_many: bool,
    colour: Colour,
    failures: usize,
    is_broken: bool,
}

impl Printer {
    pub fn new(arguments: &Run, colour: Colour) -> Printer {
        Printer {
            format: arguments.format,
            is_quiet: arguments.quiet,
            prints_ladder: arguments.ladder,
            prints_tale: arguments.tale,
            is_many: arguments.seeds.is_some(),
            colour,
            failures: 0,
            is_broken: false,
        }
    }

    /// Whether something could not be told at all.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Prints one outcome.
    pub fn print(&mut self, done: &Done) {
        if self.format == Format::Json {
            if !self.is_quiet || done.outcome.failure.is_some() {
                terminal::line(&json(done).to_string());
            }
            return;
        }
        let outcome = &done.outcome;
        match &outcome.failure {
            None if self.is_quiet || self.is_many => {}
            None => {
                terminal::line(&format!("{} {}", terminal::good("✓", self.colour), outcome.name));
                terminal::line(&format!("  {}", terminal::faint(&summary(outcome, done.took), self.colour)));
            }
            Some(failure) => {
                self.failures += 1;
                if self.is_many && self.failures > FAILURES_SHOWN {
                    return;
                }
                terminal::line(&format!("{} {}", terminal::bad("✗", self.colour), outcome.name));
                terminal::line(failure);
            }
        }
        if let (true, Some(tale)) = (self.prints_tale, &done.tale) {
            terminal::line(&format!("\n{tale}"));
        }
        if let (true, Some(ladder)) = (self.prints_ladder, &done.ladder) {
            terminal::line(&format!("\n{ladder}"));
        }
    }

    /// Says that a story could not be told.
    pub fn broken(&mut self, file: &str, why: &str) {
        self.is_broken = true;
        eprintln!("lab: {file}: {why}");
    }

    /// Prints what there is to say about all of them together.
    pub fn finish(&self, all: &[Done]) {
        if self.format == Format::Json {
            return;
        }
        if self.is_many {
            self.print_seeds(all);
        } else if all.len() > 1 && !self.is_quiet {
            let failed = all.iter().filter(|done| done.outcome.failure.is_some()).count();
            let mark = if failed == 0 {
                terminal::good("✓", self.colour)
            } else {
                terminal::bad("✗", self.colour)
            };
            terminal::line(&format!("\n{mark} {} passed, {failed} failed", all.len() - failed));
        }
    }

    fn print_seeds(&self, all: &[Done]) {
        let mut by_name: BTreeMap<(&str, &str), Vec<&Done>> = BTreeMap::new();
        for done in all {
            by_name.entry((&done.outcome.file, &done.outcome.name)).or_default().push(done);
        }
        for ((_, name), tellings) in by_name {
            let failed: Vec<u64> =
                tellings.iter().filter(|d| d.outcome.failure.is_some()).map(|d| d.outcome.seed).collect();
            let mean = tellings.iter().map(|d| d.took).sum::<Duration>() / tellings.len().max(1) as u32;
            let cost = format!("{} seeds, {:.3} s of CPU each", tellings.len(), mean.as_secs_f64());
            if failed.is_empty() && self.is_quiet {
                continue;
            }
            if failed.is_empty() {
                let mark = terminal::good("✓", self.colour);
                terminal::line(&format!("{mark} {name}\n  {}", terminal::faint(&cost, self.colour)));
            } else {
                let first: Vec<String> = failed.iter().take(20).map(u64::to_string).collect();
                let more = if failed.len() > 20 { " …" } else { "" };
                terminal::line(&format!("{} {name}\n  {cost}", terminal::bad("✗", self.colour)));
                terminal::line(&format!("  failed with {} seeds: {}{more}", failed.len(), first.join(", ")));
            }
        }
    }
}

fn summary(outcome: &Outcome, took: Duration) -> String {
    let trace =
        outcome.short_trace().map_or_else(|| "real sockets".to_owned(), |trace| format!("trace {trace}"));
    format!(
        "{} steps · {} of lab time in {:.2} s of CPU · seed {} · {trace}",
        outcome.steps,
        net::time::spell(outcome.lab_time.since_start()),
        took.as_secs_f64(),
        outcome.seed,
    )
}

/// An outcome for machines.
pub fn json(done: &Done) -> serde_json::Value {
    let outcome = &done.outcome;
    json!({
        "story": outcome.name,
        "file": outcome.file,
        "seed": outcome.seed,
        "passed": outcome.failure.is_none(),
        "steps": outcome.steps,
        "lab_seconds": outcome.lab_time.since_start().as_secs_f64(),
        "cpu_seconds": done.took.as_secs_f64(),
        "trace": outcome.trace_hex(),
        "failure": outcome.failure,
    })
}

/// All outcomes as JUnit XML, as test servers read it.
pub fn junit(all: &[Done]) -> String {
    let failed = all.iter().filter(|done| done.outcome.failure.is_some()).count();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    text.push_str(&format!("<testsuites tests=\"{}\" failures=\"{failed}\">\n", all.len()));
    text.push_str(&format!(" <testsuite name=\"lab\" tests=\"{}\" failures=\"{failed}\">\n", all.len()));
    for done in all {
        let outcome = &done.outcome;
        text.push_str(&format!(
            "  <testcase classname=\"{}\" name=\"{} (seed {})\" time=\"{:.3}\"",
            escape(&outcome.file),
            escape(&outcome.name),
            outcome.seed,
            done.took.as_secs_f64()
        ));
        match &outcome.failure {
            None => text.push_str("/>\n"),
            Some(failure) => {
                let first = failure.lines().next().unwrap_or("");
                text.push_str(&format!(
                    ">\n   <failure message=\"{}\">{}</failure>\n  </testcase>\n",
                    escape(first),
                    escape(failure)
                ));
            }
        }
    }
    text.push_str(" </testsuite>\n</testsuites>\n");
    text
}

/// XML text and attributes; characters that XML 1.0 forbids are left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c < ' ' => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_forbids_never_reaches_the_report() {
        assert_eq!(escape("a<b> \"c\" & \u{1b}[1m"), "a&lt;b&gt; &quot;c&quot; &amp; [1m");
    }
}
