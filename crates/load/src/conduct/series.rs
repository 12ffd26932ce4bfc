//! Beats added up: a row for each second that all parts have spoken of, and sums over everything.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lost_cause;
use crate::beat::{Beat, Counts, Gauges};
use crate::outcome::limits::quantile_us;
use crate::plan::Plan;

/// Seconds that wait for a part at most; then they are made rows of without it.
const WAITING_MAX: usize = 120;

/// What the machine said of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// CPU that the server used in it, in nanoseconds; known of the lab's own pool.
    pub server_cpu_ns: Option<u64>,
    /// Memory that the server had, in octets.
    pub server_memory: Option<u64>,
    /// CPU that others on this machine used, in cores: neither this program nor the server.
    pub neighbours: Option<f64>,
}

/// A second of the run, over all parts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Which second, from 0.
    pub second: u32,
    /// Whether it lies behind the warm-up.
    pub is_counted: bool,
    /// Pieces of work that fell due in it.
    pub offered: u64,
    /// Pieces of work that ended in it as they should.
    pub succeeded: u64,
    /// Those that ended otherwise, by cause.
    pub failed: BTreeMap<String, u64>,
    /// Response times of those that ended in it, in microseconds: the median.
    pub p50_us: Option<u64>,
    /// Ninety of a hundred did not exceed this.
    pub p90_us: Option<u64>,
    /// Ninety-nine of a hundred did not exceed this.
    pub p99_us: Option<u64>,
    /// The longest.
    pub max_us: Option<u64>,
    /// Messages sent.
    pub sent: u64,
    /// Messages received.
    pub received: u64,
    /// Requests sent again for want of an answer.
    pub retransmissions: u64,
    /// Connections opened.
    pub connections: u64,
    /// Pieces of work begun and not ended, at its end.
    pub in_flight: u64,
    /// Phones that hold a binding, at its end.
    pub registered: u64,
    /// Connections that are up, at its end.
    pub connected: u64,
    /// CPU that the generator used, in nanoseconds, over all parts.
    pub cpu_ns: u64,
    /// The share of its core that the busiest part used.
    pub busiest: f64,
    /// By how much a part was late at most with what was due, in microseconds.
    pub lateness_us: u64,
    /// How often the machine took nothing more for now.
    pub blocked: u64,
    /// What the machine said.
    #[serde(flatten)]
    pub sample: Sample,
}

/// A part, as far as it was heard of.
#[derive(Clone, Debug, Default)]
struct Heard {
    /// Seconds that it has spoken of.
    until: u32,
    is_over: bool,
    is_lost: bool,
    gauges: Gauges,
    /// Offered and ended, during the warm-up and afterwards.
    warm: (u64, u64),
    counted: (u64, u64),
    cpu_ns: u64,
}

/// A second that not everybody has spoken of.
#[derive(Debug, Default)]
struct Waiting {
    warm: Counts,
    counted: Counts,
    cpu_ns: u64,
    busiest_ns: u64,
    lateness_us: u64,
    blocked: u64,
}

/// Everything that was heard, added up.
#[derive(Debug)]
pub struct Series {
    parts: Vec<Heard>,
    /// The first second that is no row yet.
    next: u32,
    waiting: BTreeMap<u32, Waiting>,
    taken: Option<Waiting>,
    counted_from: u32,
    /// The rows.
    pub rows: Vec<Row>,
    /// Work of the warm-up.
    pub warm: Counts,
    /// All other work.
    pub counted: Counts,
}

impl Series {
    /// Nothing was heard of so many parts.
    pub fn new(parts: u32, plan: &Plan) -> Series {
        Series {
            parts: vec![Heard::default(); parts as usize],
            next: 0,
            waiting: BTreeMap::new(),
            taken: None,
            counted_from: plan.warm_up.as_secs_f64().ceil() as u32,
            rows: Vec::new(),
            warm: Counts::default(),
            counted: Counts::default(),
        }
    }

    /// Takes a beat in. One of a part that nobody knows, that was lost, or that spoke of that second before, is passed over.
    pub fn hear(&mut self, beat: Beat) {
        let Some(part) = self.parts.get_mut(beat.part as usize) else { return };
        if part.is_lost || part.is_over || beat.second != part.until {
            return;
        }
        part.until = beat.second.saturating_add(1);
        part.is_over = beat.is_last;
        part.gauges = beat.gauges;
        part.cpu_ns += beat.cpu_ns;
        let ended = |counts: &Counts| counts.succeeded + counts.failures() + counts.unfinished;
        part.warm = (part.warm.0 + beat.warm.offered, part.warm.1 + ended(&beat.warm));
        part.counted = (part.counted.0 + beat.counted.offered, part.counted.1 + ended(&beat.counted));
        self.warm.add(&beat.warm);
        self.counted.add(&beat.counted);
        // A second that is a row already gets nothing more; sums have it.
        if beat.second < self.next {
            return;
        }
        let waiting = self.waiting.entry(beat.second).or_default();
        waiting.warm.add(&beat.warm);
        waiting.counted.add(&beat.counted);
        waiting.cpu_ns += beat.cpu_ns;
        waiting.busiest_ns = waiting.busiest_ns.max(beat.cpu_ns);
        waiting.lateness_us = waiting.lateness_us.max(beat.lateness_us);
        waiting.blocked += beat.blocked;
    }

    /// A part is lost; returns how many seconds it has told, or nothing if it was over or lost already.
    pub fn lose(&mut self, part: u32) -> Option<u32> {
        let part = self.parts.get_mut(part as usize)?;
        if part.is_lost || part.is_over {
            return None;
        }
        part.is_lost = true;
        Some(part.until)
    }

    /// The parts that are neither over nor lost.
    pub fn present(&self) -> Vec<u32> {
        let here = self.parts.iter().zip(0..).filter(|(part, _)| !part.is_over && !part.is_lost);
        here.map(|(_, number)| number).collect()
    }

    /// Whether there is nobody left to hear of.
    pub fn is_over(&self) -> bool {
        self.parts.iter().all(|part| part.is_over || part.is_lost)
    }

    /// How many seconds are complete.
    pub fn complete(&self) -> u32 {
        self.next
    }

    /// The last second that is complete.
    pub fn last(&self) -> Option<&Row> {
        self.rows.last()
    }

    /// CPU that each part has used, in nanoseconds.
    pub fn cpu_by_part(&self) -> Vec<u64> {
        self.parts.iter().map(|part| part.cpu_ns).collect()
    }

    /// The counts of the next second that is complete; [`Series::add_row`] makes a row of it.
    pub fn next_complete(&mut self) -> Option<Counts> {
        let spoke = |part: &Heard| part.is_over || part.is_lost || part.until > self.next;
        let is_told = self.parts.iter().any(|part| part.until > self.next);
        let is_complete = is_told && self.parts.iter().all(spoke);
        if !is_complete && self.waiting.len() <= WAITING_MAX {
            return None;
        }
        let waiting = self.waiting.remove(&self.next).unwrap_or_default();
        let mut both = waiting.warm.clone();
        both.add(&waiting.counted);
        self.taken = Some(waiting);
        Some(both)
    }

    /// Makes a row of the second whose counts were taken.
    pub fn add_row(&mut self, counts: &Counts, sample: Sample) -> Row {
        let taken = self.taken.take().unwrap_or_default();
        let gauges = |of: fn(&Gauges) -> u64| {
            self.parts.iter().filter(|part| !part.is_lost).map(|part| of(&part.gauges)).sum()
        };
        let quantile = |share: f64| quantile_us(counts, share);
        let row = Row {
            second: self.next,
            is_counted: self.next >= self.counted_from,
            offered: counts.offered,
            succeeded: counts.succeeded,
            failed: counts.failed.iter().map(|(cause, count)| (cause.to_string(), *count)).collect(),
            p50_us: quantile(0.5),
            p90_us: quantile(0.9),
            p99_us: quantile(0.99),
            max_us: quantile(1.0),
            sent: counts.sent,
            received: counts.received,
            retransmissions: counts.retransmissions,
            connections: counts.connections,
            in_flight: gauges(|it| it.in_flight),
            registered: gauges(|it| it.registered),
            connected: gauges(|it| it.connected),
            cpu_ns: taken.cpu_ns,
            busiest: taken.busiest_ns as f64 / 1e9,
            lateness_us: taken.lateness_us,
            blocked: taken.blocked,
            sample,
        };
        self.next += 1;
        self.rows.push(row.clone());
        row
    }

    /// Work that a lost part would have offered: it has failed.
    pub fn missing(&mut self, warm: u64, counted: u64) {
        for (counts, missing) in [(&mut self.warm, warm), (&mut self.counted, counted)] {
            counts.offered += missing;
            if missing > 0 {
                *counts.failed.entry(lost_cause()).or_default() += missing;
            }
        }
    }

    /// Work that a lost part had begun and did not tell the end of: it has failed. Returns how much.
    pub fn leave_open(&mut self, part: u32) -> u64 {
        let Some(part) = self.parts.get(part as usize) else { return 0 };
        let open = |(offered, ended): (u64, u64)| offered.saturating_sub(ended);
        let (warm, counted) = (open(part.warm), open(part.counted));
        for (counts, open) in [(&mut self.warm, warm), (&mut self.counted, counted)] {
            if open > 0 {
                *counts.failed.entry(lost_cause()).or_default() += open;
            }
        }
        warm + counted
    }
}
