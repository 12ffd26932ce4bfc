//! What a terminal shows while a run goes on: a bar, and a small table that is redrawn in place. Nothing of it where standard
//! error is no terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use ::load::arrival;
use ::load::conduct::{Row, Series};
use ::load::outcome::limits::{BUSY, LATE_US, short};
use ::load::plan::{Plan, Stage};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Causes of failures that are listed.
const CAUSES_LISTED: usize = 4;

/// The live view.
pub struct Live {
    bar: ProgressBar,
    failed: BTreeMap<String, u64>,
    /// Whether progress is counted in seconds; a search does not know how long it takes.
    has_end: bool,
}

impl Live {
    /// Shows the beginning.
    pub fn new(plan: &Plan, what: &str, quiet: bool) -> Live {
        let has_end = !plan.profile.iter().any(|stage| matches!(stage, Stage::Search(_)));
        let length: Duration = plan.profile.iter().map(arrival::length).sum();
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(4) };
        let bar = ProgressBar::with_draw_target(has_end.then(|| length.as_secs_f64().ceil() as u64), target);
        let shape = match has_end {
            true => "{prefix}\n{wide_bar} {pos} of {len} s\n{msg}",
            false => "{prefix}\n{spinner} {pos} s\n{msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(shape) {
            bar.set_style(style);
        }
        bar.set_prefix(format!("{}\n{what}", plan.title));
        bar.set_message("phones get ready");
        Live { bar, failed: BTreeMap::new(), has_end }
    }

    /// A second is complete.
    pub fn second(&mut self, row: &Row, series: &Series) {
        for (cause, count) in &row.failed {
            *self.failed.entry(cause.clone()).or_default() += count;
        }
        if self.bar.is_hidden() {
            return;
        }
        let ms = |us: Option<u64>| {
            us.map_or_else(|| "–".to_owned(), |us| format!("{} ms", short(us as f64 / 1e3)))
        };
        let count = |count: u64| short(count as f64);
        let mut text = format!(
            "  offered {:>10}/s   succeeded {:>10}/s   in flight {:>8}\n  half    {:>12}   99 %      {:>12}   sent again {:>7}/s\n",
            count(row.offered),
            count(row.succeeded),
            count(row.in_flight),
            ms(row.p50_us),
            ms(row.p99_us),
            count(row.retransmissions)
        );
        let warm = if row.is_counted { "" } else { "   (warm-up)" };
        let _ = writeln!(
            text,
            "  registered {:>9}   connected {:>12}{warm}",
            count(row.registered),
            count(row.connected)
        );
        let is_strained = row.busiest >= BUSY || row.lateness_us > LATE_US;
        let _ = write!(
            text,
            "  own CPU {:>10} %   late by   {:>12}{}",
            short(row.busiest * 100.0),
            ms(Some(row.lateness_us)),
            if is_strained { "   the generator is the limit" } else { "" }
        );
        if let Some(ns) = row.sample.server_cpu_ns {
            let _ = write!(text, "   pool's CPU {} %", short(ns as f64 / 1e7));
        }
        let mut causes: Vec<(&String, &u64)> = self.failed.iter().collect();
        causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (cause, failed) in causes.iter().take(CAUSES_LISTED) {
            let _ = write!(text, "\n  failed {:>11}   {}", count(**failed), shown(cause));
        }
        self.bar.set_message(text);
        let second = u64::from(series.complete());
        match self.has_end {
            true => self.bar.set_position(second.min(self.bar.length().unwrap_or(second))),
            false => self.bar.set_position(second),
        }
        self.bar.tick();
    }

    /// Something that stays on the screen.
    pub fn news(&self, text: &str) {
        // Nobody may ask the bar anything while it is suspended: it would wait for itself.
        if !self.bar.is_hidden() {
            self.bar.suspend(|| eprintln!("{}", shown(text)));
        }
    }

    /// Takes it all away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Text as it may go to a terminal: causes may be a server's own words.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(90).collect()
}

#[cfg(test)]
mod tests {
    use ::load::language::{Reading, read_plan};
    use scenario::language::{Library, ReadError};

    use super::*;

    struct Shelf;

    impl Library for Shelf {
        fn read(&self, _: &str, _: usize) -> Result<Vec<u8>, ReadError> {
            Ok(b"title: t\ntarget: lab\nphones: { count: 9 }\nprofile: [ search: 10/s to 20/s ]\nlimits: { p99: 9ms }\n".to_vec())
        }
    }

    #[test]
    fn news_wait_for_nobody_whether_somebody_looks_or_not() {
        let reading = Reading { library: &Shelf, anywhere: false, overrides: &[] };
        let plan = read_plan("p.yaml", reading).expect("a plan");
        for is_quiet in [true, false] {
            let live = Live::new(&plan, "a server", is_quiet);
            live.news("a trial has ended");
            live.clear();
        }
    }
}
