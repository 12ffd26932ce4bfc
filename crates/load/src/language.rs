//! Plans as YAML: what a person writes, read with every mistake at once, and lowered to a [`Plan`].
//!
//! | module | promise |
//! | --- | --- |
//! | `sentence` | `2000/s for 60s`: a line of words that stands for keys and values |
//! | `units` | rates and counts |
//! | `target`, `phones`, `work`, `profile` | the parts of a plan |
//! | `accounts` | accounts from a CSV file |
//! | `lower` | from what is written to what the engine needs |

mod accounts;
mod lower;
mod phones;
mod profile;
mod sentence;
mod target;
mod units;
mod work;

use std::time::Duration;

use scenario::language::Library;
use scenario::mistakes::{Mistake, Mistakes, Sources};
use scenario::yaml::{Limits, Names, Node, OneOrMany, Reader, Share, Value as _, parse};
use scenario::{record, words};
use serde_json::Value as Json;

pub use self::accounts::{ACCOUNTS_BYTES_MAX, read_accounts};
use self::phones::PhonesWritten;
use self::profile::StageWritten;
use self::target::TargetWritten;
use self::units::Rate;
use self::work::WorkWritten;
use crate::plan::Plan;

/// Timer F of RFC 3261 with its default T1: after it no answer is awaited any more.
const TIMER_F: Duration = Duration::from_secs(32);

record! {
    /// A load plan: what is offered to whom, when, and what may come of it.
    "a plan" pub(crate) struct PlanFile {
        /// What is being found out, in words.
        "title" title: String,
        /// Who is to bear it: `lab`, or an address and port.
        "target" target: TargetWritten,
        /// Who offers it.
        "phones" phones: PhonesWritten,
        /// What is done each time that something is due: one thing, or several by weight.
        "work" work: OneOrMany<WorkWritten> = OneOrMany(vec![WorkWritten::register()]),
        /// When it is done: stages that follow each other.
        "profile" profile: OneOrMany<StageWritten>,
        /// What lies between phones and server; nothing if not written.
        "network" network: NetworkWritten = NetworkWritten::nothing(),
        /// What makes the run fail.
        "limits" limits: LimitsWritten = LimitsWritten::none(),
        /// Work that falls due before this moment of the run is not counted.
        "warm-up" warm_up: Duration = Duration::ZERO,
        /// How long answers are awaited at the end, at most.
        "drain" drain: Duration = TIMER_F,
        /// Whatever is left to chance follows from this number.
        "seed" seed: u64 = 1,
        /// On how many cores; all if not written.
        "cores" cores: Option<u32>,
    }
}

record! {
    /// What lies between phones and server, played by the generator.
    "the network" pub(crate) struct NetworkWritten {
        /// The share of datagrams that are lost, each way. UDP only.
        "loss" loss: Share = Share(0.0),
        /// By how much datagrams are delayed, each way. UDP only.
        "delay" delay: Duration = Duration::ZERO,
        /// By how much more at most, evenly spread. UDP only.
        "jitter" jitter: Duration = Duration::ZERO,
        /// A mapping or connection that nothing used for so long is gone without a word, as a NAT forgets it.
        "nat-idle" nat_idle: Option<Duration>,
    }
}

record! {
    /// What makes a run fail. Looked at over everything that is counted.
    "limits" pub(crate) struct LimitsWritten {
        /// The response time that 99 of 100 may not exceed.
        "p99" p99: Option<Duration>,
        /// The share of work that may fail.
        "failures" failures: Option<Share>,
        /// Retransmissions as a share of the work offered.
        "retransmissions" retransmissions: Option<Share>,
        /// How much must succeed each second; after a search, the rate that must have been found.
        "rate" rate: Option<Rate>,
    }
}

words! {
    /// How arrivals are spread.
    "`even` or `poisson`" pub enum ArrivalsWritten {
        /// Each as long after the one before.
        "even" Even,
        /// Independent of each other, as calls of many people are.
        "poisson" Poisson,
    }
}

impl NetworkWritten {
    fn nothing() -> NetworkWritten {
        NetworkWritten { loss: Share(0.0), delay: Duration::ZERO, jitter: Duration::ZERO, nat_idle: None }
    }
}

impl LimitsWritten {
    fn none() -> LimitsWritten {
        LimitsWritten { p99: None, failures: None, retransmissions: None, rate: None }
    }
}

/// How plans are read.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Where files come from: the plan itself, accounts and roots. Names in a plan are looked up beside the plan.
    pub library: &'a dyn Library,
    /// Whether the target may be anything but a loopback address.
    pub anywhere: bool,
    /// What is said instead of what the plan says: `phones.count=1000`; the value is YAML.
    pub overrides: &'a [String],
}

/// Reads the plan at `path`.
///
/// # Errors
///
/// Everything that is wrong with it, each with its place.
pub fn read_plan(path: &str, reading: Reading<'_>) -> Result<Plan, Mistakes> {
    let mut sources = Sources::default();
    let mut list = Vec::new();
    let Some(mut node) = load(path, reading, &mut sources, &mut list) else {
        return Err(Mistakes::new(list, sources));
    };
    for said in reading.overrides {
        match said_instead(said, &mut sources) {
            Ok(over) => node.overlay(&over),
            Err(mistakes) => list.extend(mistakes),
        }
    }
    let mut reader = Reader::new(Names::default());
    reader.mistakes = list;
    let written = PlanFile::read(&node, &mut reader);
    let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let plan = written.and_then(|written| lower::lower(&written, &node, &folder, reading, &mut reader));
    match plan {
        Some(plan) if reader.mistakes.is_empty() => Ok(plan),
        _ => Err(Mistakes::new(reader.mistakes, sources)),
    }
}

fn load(path: &str, reading: Reading<'_>, sources: &mut Sources, list: &mut Vec<Mistake>) -> Option<Node> {
    let limits = Limits::default();
    let bytes = match reading.library.read(path, limits.bytes) {
        Ok(bytes) => bytes,
        Err(why) => {
            list.push(Mistake::nowhere(format!("{path} cannot be read: {why}")));
            return None;
        }
    };
    match parse(path, bytes, limits, sources) {
        Ok(node) => Some(node),
        Err(mistakes) => {
            list.extend(mistakes);
            None
        }
    }
}

/// `a.b=value` as the tree `a: {b: value}`.
fn said_instead(said: &str, sources: &mut Sources) -> Result<Node, Vec<Mistake>> {
    let Some((path, value)) = said.split_once('=') else {
        let title = format!("`{said}` does not say what is to be set to what");
        return Err(vec![Mistake::nowhere(title).help("write a key, `=`, and a value: phones.count=1000")]);
    };
    let is_key = |key: &str| {
        !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    if !path.split('.').all(is_key) || path.split('.').count() > 8 {
        let title = format!("`{}` is no key of a plan", scenario::yaml::brief(path));
        return Err(vec![
            Mistake::nowhere(title).help("keys of a plan with dots between, such as limits.p99"),
        ]);
    }
    let keys: Vec<&str> = path.split('.').collect();
    let text =
        keys.iter().map(|key| format!("{{ {key}: ")).collect::<String>() + value + &" }".repeat(keys.len());
    parse("--set", text.into_bytes(), Limits::default(), sources)
}

/// The JSON Schema of plans, for editors.
pub fn schema() -> Json {
    scenario::schema::document::<PlanFile>("A load plan")
}

#[cfg(test)]
mod tests;
