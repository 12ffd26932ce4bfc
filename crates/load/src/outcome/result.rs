//! `result.json`: everything that came of a run, for programs, reports and comparison.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::limits::{Health, Judged, judge};
use crate::beat::{Counts, Latency};
use crate::conduct::{Found, Row, Run};
use crate::machine::Machine;
use crate::plan::{Accounts, Plan, Stage};

/// The shape of this file; a reader refuses others.
pub const FORMAT: u32 = 1;

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// The shape of this file.
    pub format: u32,
    /// The plan's title.
    pub title: String,
    /// Whether all limits held and nobody ended the run before its time.
    pub passed: bool,
    /// Whether somebody ended the run before its time.
    pub stopped_early: bool,
    /// When the run began, in UTC.
    pub started: String,
    /// How long it took, from its start to the last answer, in seconds.
    pub took_s: f64,
    /// The plan as it was understood, without passwords.
    pub plan: Value,
    /// Which machine it was made on.
    pub machine: Machine,
    /// The version of the program.
    pub version: String,
    /// Each limit and what was.
    pub limits: Vec<Judged>,
    /// How the generator fared.
    pub generator: Generator,
    /// Who bore the load.
    pub server: ServerFacts,
    /// All work behind the warm-up.
    pub counted: Totals,
    /// Work that fell due during the warm-up; no limit looks at it.
    pub warm_up: Totals,
    /// Response times of the counted work by kind, from the moment when it was due.
    pub latency: BTreeMap<String, Percentiles>,
    /// What a search found.
    pub search: Option<Found>,
    /// Parts that were lost; their work is among the failures.
    pub lost: Vec<LostPart>,
    /// Second by second, over all parts, warm-up included.
    pub seconds: Vec<Row>,
}

/// How the generator fared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// Whether the generator, or the machine that it shares with others, was the limit: what was measured is then not the
    /// server alone.
    pub was_the_limit: bool,
    /// Second by second, looked at.
    pub health: Health,
    /// How many parts there were, each on one thread.
    pub parts: u32,
    /// CPU that each part used over the whole run, in seconds.
    pub cpu_s: Vec<f64>,
    /// CPU for each piece of counted work that ended, in microseconds.
    pub cpu_us_per_operation: Option<f64>,
    /// CPU that others on this machine used in the counted time, in cores: the median of the seconds.
    pub neighbours: Option<f64>,
    /// The most that they used in a second.
    pub neighbours_max: Option<f64>,
}

/// Who bore the load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerFacts {
    /// In words: `the lab's own pool at 127.20.1.1:5060 over UDP`.
    pub what: String,
    /// CPU that it used in the counted time, in seconds; known of the lab's own pool.
    pub cpu_s: Option<f64>,
    /// CPU for each piece of counted work that ended, in microseconds.
    pub cpu_us_per_operation: Option<f64>,
    /// Memory before the run, in octets.
    pub memory_before: Option<u64>,
    /// Memory at most, in octets.
    pub memory_peak: Option<u64>,
    /// What it said of itself at its end.
    pub said: Option<Value>,
}

/// Sums. Each piece of work counts once: offered = succeeded + failed + unfinished.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// How long the time was in which this work fell due, in seconds.
    pub window_s: f64,
    /// Pieces of work that fell due.
    pub offered: u64,
    /// Those that went as they should.
    pub succeeded: u64,
    /// Those that did not, by cause.
    pub failed: BTreeMap<String, u64>,
    /// Those that the end of the run left open.
    pub unfinished: u64,
    /// Offered, each second.
    pub offered_per_s: f64,
    /// Succeeded, each second.
    pub succeeded_per_s: f64,
    /// Messages sent, repeated ones included.
    pub sent: u64,
    /// Messages received.
    pub received: u64,
    /// Requests sent again for want of an answer.
    pub retransmissions: u64,
    /// Answers to requests that had been answered already, or that nobody had sent.
    pub strays: u64,
    /// Challenges answered.
    pub challenges: u64,
    /// TLS handshakes completed.
    pub handshakes: u64,
    /// Connections opened.
    pub connections: u64,
    /// Messages that the plan's own network lost on purpose.
    pub lost_on_purpose: u64,
}

/// Response times in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Percentiles {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean_us: f64,
    /// Half of them did not exceed this.
    pub p50_us: u64,
    /// Ninety of a hundred.
    pub p90_us: u64,
    /// Ninety-nine of a hundred.
    pub p99_us: u64,
    /// Nine hundred and ninety-nine of a thousand.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// A part that ended before its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LostPart {
    /// Which.
    pub part: u32,
    /// Why.
    pub why: String,
    /// After how many seconds of the run it was last heard of.
    pub heard_until_s: u32,
    /// Pieces of work that it had begun and not told the end of.
    pub open: u64,
    /// Pieces of work that would have fallen due for it afterwards, by the plan's arithmetic.
    pub not_offered: u64,
}

/// What is known of a run beside what the conductor knows.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// When it began, in UTC.
    pub started: String,
    /// How long it took.
    pub took: Duration,
    /// On which machine.
    pub machine: Machine,
    /// Who bore it.
    pub server: ServerFacts,
}

impl Outcome {
    /// Sums a run up.
    pub fn of(plan: &Plan, run: &Run, facts: Facts) -> Outcome {
        let series = &run.series;
        let has_search = plan.profile.iter().any(|stage| matches!(stage, Stage::Search(_)));
        let window = run.ended_at.saturating_sub(plan.warm_up);
        let mut limits = match has_search {
            // What a search offers is meant to break the limits; it is judged by what it found.
            true => Vec::new(),
            false => judge(&plan.limits, &series.counted, Some(window)),
        };
        if has_search {
            let kept = run.found.as_ref().and_then(|found| found.kept);
            let limit = plan.limits.rate.unwrap_or(0.0);
            let held = kept.is_some_and(|kept| kept >= limit);
            let (name, unit) = ("rate found".to_owned(), "per second".to_owned());
            limits.push(Judged { name, limit, was: kept, unit, held });
        }
        let counted: Vec<&Row> = series.rows.iter().filter(|row| row.is_counted).collect();
        let mut health = Health::default();
        counted.iter().for_each(|row| health.add(row));
        let ended = series.counted.succeeded + series.counted.failures();
        let each = |ns: u64| (ended > 0).then(|| ns as f64 / 1e3 / ended as f64);
        let server_ns = counted.iter().map(|row| row.sample.server_cpu_ns).sum::<Option<u64>>();
        let mut neighbours: Vec<f64> = counted.iter().filter_map(|row| row.sample.neighbours).collect();
        neighbours.sort_by(f64::total_cmp);
        Outcome {
            format: FORMAT,
            title: plan.title.clone(),
            passed: limits.iter().all(|one| one.held) && !run.is_stopped && run.lost.is_empty(),
            stopped_early: run.is_stopped,
            started: facts.started,
            took_s: facts.took.as_secs_f64(),
            plan: without_secrets(plan),
            machine: facts.machine,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            limits,
            generator: Generator {
                // A search goes to the edge on purpose; its trials say whose edge it was.
                was_the_limit: match &run.found {
                    Some(found) => found.generator_was_the_limit,
                    None => health.is_the_limit(),
                },
                health,
                parts: series.cpu_by_part().len() as u32,
                cpu_s: series.cpu_by_part().iter().map(|ns| *ns as f64 / 1e9).collect(),
                cpu_us_per_operation: each(counted.iter().map(|row| row.cpu_ns).sum()),
                neighbours: neighbours.get(neighbours.len() / 2).copied(),
                neighbours_max: neighbours.last().copied(),
            },
            server: ServerFacts {
                cpu_s: server_ns.map(|ns| ns as f64 / 1e9),
                cpu_us_per_operation: server_ns.and_then(each),
                ..facts.server
            },
            counted: totals(&series.counted, window),
            warm_up: totals(&series.warm, plan.warm_up.min(run.ended_at)),
            latency: (series.counted.latency.iter())
                .map(|(kind, latency)| (kind.name().to_owned(), Percentiles::of(latency)))
                .collect(),
            search: run.found.clone(),
            lost: (run.lost.iter())
                .map(|lost| LostPart {
                    part: lost.part,
                    why: lost.why.clone(),
                    heard_until_s: lost.heard_until,
                    open: lost.open,
                    not_offered: lost.not_offered,
                })
                .collect(),
            seconds: series.rows.clone(),
        }
    }

    /// Reads a result.
    ///
    /// # Errors
    ///
    /// A sentence if it is none, or one of another version.
    pub fn read(text: &[u8]) -> Result<Outcome, String> {
        let value: Value = serde_json::from_slice(text).map_err(|why| format!("is no JSON: {why}"))?;
        match value.get("format").and_then(Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => return Err(format!("has format {format}; this program reads {FORMAT}")),
            None => return Err("is no result of `lab load`".to_owned()),
        }
        serde_json::from_value(value).map_err(|why| format!("is no result of `lab load`: {why}"))
    }

    /// The JSON Schema of results.
    pub fn schema() -> Value {
        schemars::schema_for!(Outcome).to_value()
    }
}

impl Percentiles {
    fn of(latency: &Latency) -> Percentiles {
        let histogram = latency.histogram();
        let at = |share: f64| histogram.value_at_quantile(share);
        Percentiles {
            count: histogram.len(),
            mean_us: histogram.mean(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max(),
        }
    }
}

fn totals(counts: &Counts, window: Duration) -> Totals {
    let window_s = window.as_secs_f64();
    let rate = |count: u64| if window_s > 0.0 { count as f64 / window_s } else { 0.0 };
    Totals {
        window_s,
        offered: counts.offered,
        succeeded: counts.succeeded,
        failed: counts.failed.iter().map(|(cause, count)| (cause.to_string(), *count)).collect(),
        unfinished: counts.unfinished,
        offered_per_s: rate(counts.offered),
        succeeded_per_s: rate(counts.succeeded),
        sent: counts.sent,
        received: counts.received,
        retransmissions: counts.retransmissions,
        strays: counts.strays,
        challenges: counts.challenges,
        handshakes: counts.handshakes,
        connections: counts.connections,
        lost_on_purpose: counts.lost_on_purpose,
    }
}

/// The plan for everybody's eyes: no passwords, and of long lists only how long they are.
fn without_secrets(plan: &Plan) -> Value {
    let mut shown = plan.clone();
    shown.phones.accounts = match &plan.phones.accounts {
        Accounts::Pattern { user, password } => Accounts::Pattern {
            user: user.clone(),
            password: password.as_ref().map(|_| "•••".to_owned()),
        },
        Accounts::List(list) => {
            Accounts::Pattern { user: format!("{} accounts of a file", list.len()), password: None }
        }
    };
    if let crate::plan::Target::Server(server) = &mut shown.target
        && let Some(tls) = &mut server.tls
    {
        tls.roots = tls.roots.as_ref().map(|pem| format!("{} octets of PEM", pem.len()));
    }
    serde_json::to_value(&shown).unwrap_or(Value::Null)
}
