//! What came of a stage, for people and for machines.

use std::fmt::Write as _;
use std::time::Duration;

use load::beat::{Cause, Counts, Kind};
use scenario::fleet::{Ended, NO_IDLE_PHONE, Standing, Work};
use serde_json::{Value, json};

use super::Room;
use super::machine::{Use, Watch};

/// What came of a stage.
#[derive(Debug)]
pub struct Told {
    stage: String,
    counts: Counts,
    began: (Duration, Use, Option<Use>),
    services: Option<u32>,
    ended: Option<(Duration, Use, Option<Use>)>,
    standing: Standing,
    /// By how much work was begun too late at most.
    late: Duration,
    in_flight: usize,
    notes: Vec<(String, Value)>,
}

impl Told {
    pub(super) fn begin(stage: &str, offered: u64, watch: &mut Watch, services: Option<u32>) -> Told {
        Told {
            stage: stage.to_owned(),
            counts: Counts { offered, ..Counts::default() },
            began: (watch.elapsed(), Use::own(), services.map(Use::of_program)),
            services,
            ended: None,
            standing: Standing::default(),
            late: Duration::ZERO,
            in_flight: 0,
            notes: Vec::new(),
        }
    }

    /// Counts a piece of work that has ended.
    pub(super) fn count(&mut self, ended: &Ended) {
        match &ended.result {
            Ok(()) => {
                let kind = match ended.work {
                    Work::Boot => Kind::Register,
                    Work::SignIn => Kind::SignIn,
                    Work::Call { .. } => Kind::Call,
                };
                self.counts.succeed(kind, ended.took());
            }
            Err(why) if why == NO_IDLE_PHONE => self.counts.fail(Cause::NO_IDLE_PHONE),
            Err(why) => self.counts.fail(Cause::step(why.strip_prefix("step: ").unwrap_or(why))),
        }
    }

    pub(super) fn late(&mut self, by: Duration) {
        self.late = self.late.max(by);
    }

    pub(super) fn in_flight(&mut self, count: usize) {
        self.in_flight = self.in_flight.max(count);
    }

    pub(super) fn unfinished(&mut self, count: u64) {
        self.counts.unfinished += count;
    }

    /// A further figure.
    pub(super) fn note(&mut self, name: &str, value: Value) {
        self.notes.push((name.to_owned(), value));
    }

    pub(super) fn end(&mut self, room: &Room) {
        self.ended = Some((room.watch.elapsed(), Use::own(), self.services.map(Use::of_program)));
        self.standing = room.fleet.standing();
    }

    /// Whether nothing failed and nothing is missing.
    pub fn is_well(&self) -> bool {
        self.counts.failed.is_empty() && self.counts.unfinished == 0
    }

    /// How many succeeded, and what all of them cost: CPU of both programs.
    pub(super) fn cost(&self) -> (u64, Duration) {
        let (_, own, services) = self.ended.unwrap_or(self.began);
        let services =
            services.zip(self.began.2).map_or(Duration::ZERO, |(now, before)| now.cpu - before.cpu);
        (self.counts.succeeded, own.cpu.saturating_sub(self.began.1.cpu) + services)
    }

    /// Everything, for machines.
    pub(super) fn json(&self) -> Value {
        let (wall, own, services) = self.ended.unwrap_or(self.began);
        let wall = wall.saturating_sub(self.began.0);
        let ms = |span: Duration| (span.as_secs_f64() * 1e6).round() / 1e3;
        let each = |cpu: Duration| match self.counts.succeeded {
            0 => Value::Null,
            count => json!(ms(cpu / u32::try_from(count).unwrap_or(u32::MAX))),
        };
        let used = |now: Use, before: Use| {
            let cpu = now.cpu.saturating_sub(before.cpu);
            json!({
                "cpu_s": cpu.as_secs_f64(), "cpu_ms_each": each(cpu),
                "rss_mib": now.memory_kib.0 / 1024, "peak_mib": now.memory_kib.1 / 1024, "files": now.files,
            })
        };
        let mut all = load::beat::Latency::default();
        for latency in self.counts.latency.values() {
            all.add(latency);
        }
        let quantile = |share| all.quantile(share).map(ms);
        let failed: serde_json::Map<String, Value> =
            self.counts.failed.iter().map(|(cause, count)| (cause.to_string(), (*count).into())).collect();
        let mut value = json!({
            "stage": self.stage, "seconds": wall.as_secs_f64(),
            "offered": self.counts.offered, "succeeded": self.counts.succeeded,
            "failed": failed, "unfinished": self.counts.unfinished, "adds_up": self.counts.adds_up(),
            "p50_ms": quantile(0.5), "p99_ms": quantile(0.99), "max_ms": quantile(1.0),
            "late_ms": ms(self.late), "in_flight_max": self.in_flight,
            "phones": { "off": self.standing.off, "home": self.standing.home,
                "signed_in": self.standing.signed_in, "busy": self.standing.busy },
            "own": used(own, self.began.1),
            "services": services.zip(self.began.2).map(|(now, before)| used(now, before)),
        });
        for (name, note) in &self.notes {
            value[name] = note.clone();
        }
        value
    }

    /// A few lines, for people.
    pub fn text(&self) -> String {
        let value = self.json();
        let number = |key: &str| value[key].as_f64().unwrap_or(0.0);
        let mut text = format!("{:<8} {:>7.1} s", self.stage, number("seconds"));
        if self.counts.offered > 0 {
            let rate = self.counts.succeeded as f64 / number("seconds").max(0.001);
            let _ = write!(
                text,
                "  {} of {} done, {rate:.1}/s, p50 {:.0} ms, p99 {:.0} ms, at most {} at a time, late by {:.1} ms at most",
                self.counts.succeeded,
                self.counts.offered,
                number("p50_ms"),
                number("p99_ms"),
                self.in_flight,
                number("late_ms"),
            );
        }
        for (who, key) in [("phones", "own"), ("services", "services")] {
            let used = &value[key];
            if used.is_null() {
                continue;
            }
            let _ = write!(text, "\n         {who}: {:.2} s of CPU", used["cpu_s"].as_f64().unwrap_or(0.0));
            if let Some(each) = used["cpu_ms_each"].as_f64() {
                let _ = write!(text, ", {each:.2} ms each");
            }
            let _ = write!(
                text,
                ", {} MiB (at most {}), {} open files",
                used["rss_mib"], used["peak_mib"], used["files"]
            );
        }
        for (cause, count) in &self.counts.failed {
            let _ = write!(text, "\n         failed: {count} × {cause}");
        }
        if self.counts.unfinished > 0 {
            let _ = write!(text, "\n         unfinished: {}", self.counts.unfinished);
        }
        for (name, note) in &self.notes {
            let _ = write!(text, "\n         {name}: {note}");
        }
        text
    }
}
