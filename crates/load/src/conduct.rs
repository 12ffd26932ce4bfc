//! Drives a crew through a plan's stages, and adds up what it says.
//!
//! What time it is, the crew's beats say; the machine's clock tells only for how long nobody has said anything. Stages are
//! told ahead; a search tells one trial after the other, each judged by its own window. Whatever happens, every piece of work
//! of the plan counts once: what a lost part did not tell any more is computed from the plan and counts as failed by
//! [`Cause::WORKER_LOST`].

mod search;
mod series;

use std::time::{Duration, Instant};

pub use self::search::{Found, Search, Trial};
pub use self::series::{Row, Sample, Series};
use crate::arrival;
use crate::beat::{Beat, Cause, Counts};
use crate::crew::{Crew, Heard, Order};
use crate::engine::PULSE;
use crate::outcome::limits::{self, Health};
use crate::plan::{Part, Plan, Stage};

/// How long the conductor listens before it looks up.
const LISTEN: Duration = Duration::from_millis(200);
/// A crew that says nothing at all for so long is gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long answers are awaited when somebody has ended the run.
const HURRY: Duration = Duration::from_secs(2);
/// How far ahead of what was heard a new stage is told, so that it reaches everybody before it begins.
const AHEAD: u32 = 2;

/// What a run looks like from outside while it goes on.
pub trait Watcher {
    /// A part has spoken.
    fn beat(&mut self, _beat: &Beat) {}

    /// A second of the run is complete.
    fn second(&mut self, _row: &Row, _counts: &Counts, _series: &Series) {}

    /// A part was lost, or a trial has ended: in words.
    fn news(&mut self, _text: &str) {}

    /// What the machine says of the second that has just passed.
    fn sample(&mut self) -> Sample {
        Sample::default()
    }

    /// Whether the run is to end before its time.
    fn is_stopped(&mut self) -> bool {
        false
    }
}

/// A part that ended before its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Lost {
    /// Which.
    pub part: u32,
    /// Why.
    pub why: String,
    /// After how many seconds of the run it was last heard of.
    pub heard_until: u32,
    /// How much it had begun and not told the end of.
    pub open: u64,
    /// How much would have fallen due for it afterwards.
    pub not_offered: u64,
}

/// What came of a run.
#[derive(Debug)]
pub struct Run {
    /// Second by second, and in all.
    pub series: Series,
    /// The parts that were lost.
    pub lost: Vec<Lost>,
    /// What a search found.
    pub found: Option<Found>,
    /// When no new work was offered any more, from the start of the run.
    pub ended_at: Duration,
    /// Whether somebody ended it before its time.
    pub is_stopped: bool,
}

/// Conducts a plan.
pub fn conduct(plan: &Plan, crew: &mut impl Crew, watcher: &mut impl Watcher) -> Run {
    let parts = crew.parts();
    let mut conductor = Conductor {
        plan,
        crew,
        watcher,
        series: Series::new(parts, plan),
        lost: Vec::new(),
        told: Vec::new(),
        trial: None,
        is_stopped: false,
        heard_at: Instant::now(),
    };
    let (ended_at, found) = conductor.play();
    let ended_at = conductor.drain(ended_at);
    conductor.settle(ended_at);
    let Conductor { series, lost, is_stopped, .. } = conductor;
    Run { series, lost, found, ended_at, is_stopped }
}

struct Conductor<'a, C: Crew, W: Watcher> {
    plan: &'a Plan,
    crew: &'a mut C,
    watcher: &'a mut W,
    series: Series,
    lost: Vec<Lost>,
    /// The stages that parts know of, and when they begin.
    told: Vec<(Duration, Stage)>,
    /// What the seconds of the present trial add up to.
    trial: Option<TrialWindow>,
    is_stopped: bool,
    heard_at: Instant,
}

#[derive(Default)]
struct TrialWindow {
    from: u32,
    counts: Counts,
    health: Health,
}

impl<C: Crew, W: Watcher> Conductor<'_, C, W> {
    /// Tells all stages; returns when the last of them ends.
    fn play(&mut self) -> (Duration, Option<Found>) {
        let mut at = Duration::ZERO;
        let mut found = None;
        for stage in &self.plan.profile {
            match stage {
                Stage::Search(search) => {
                    let Some(begins) = self.wait_until(at) else { break };
                    let mut way = Search::new(*search);
                    at = self.search(&mut way, begins);
                    found = Some(way.found());
                    if self.is_stopped || self.series.is_over() {
                        break;
                    }
                }
                stage => {
                    self.tell(at, stage.clone());
                    at += arrival::length(stage);
                }
            }
        }
        if self.is_stopped {
            at = at.min(self.soon());
        }
        let drain = if self.is_stopped { self.plan.drain.min(HURRY) } else { self.plan.drain };
        self.crew.tell(&Order::End { at, drain });
        (at, found)
    }

    fn tell(&mut self, at: Duration, stage: Stage) {
        self.crew.tell(&Order::Stage { at, stage: stage.clone() });
        self.told.push((at, stage));
    }

    /// The first whole second that everybody can be told of in time.
    fn soon(&self) -> Duration {
        Duration::from_secs(u64::from(self.series.complete() + AHEAD))
    }

    /// Listens until a moment is near; nothing if the run is to end before.
    fn wait_until(&mut self, at: Duration) -> Option<Duration> {
        while self.soon() < at {
            if !self.listen() {
                return None;
            }
        }
        Some(at.max(self.soon()))
    }

    /// Tries rates until it is known which of them keep the limits; returns when the last trial has ended.
    fn search(&mut self, way: &mut Search, begins: Duration) -> Duration {
        let mut at = begins;
        while let Some(rate) = way.next() {
            let begin = whole(at.max(self.soon()));
            let over = way.stage.trial;
            let arrivals = crate::plan::Arrivals::Even;
            self.tell(begin, Stage::Rate { from: rate, to: rate, over, arrivals });
            let from = begin.as_secs() as u32;
            self.trial = Some(TrialWindow { from, ..TrialWindow::default() });
            let end = from + over.as_secs_f64().ceil() as u32;
            let last = end + self.plan.drain.as_secs() as u32 + 1;
            // What the trial began is to end in its own window, at most so long as answers are awaited.
            let quiet = (rate / 1_000.0) as u64;
            loop {
                let complete = self.series.complete();
                let is_quiet = self.series.last().is_none_or(|row| row.in_flight <= quiet);
                if complete > last || (complete > end && is_quiet) {
                    break;
                }
                if !self.listen() {
                    self.trial = None;
                    return begin + over;
                }
            }
            let window = self.trial.take().unwrap_or_default();
            let judged = limits::judge(&self.plan.limits, &window.counts, None);
            let kept = judged.iter().all(|one| one.held) && window.counts.succeeded > 0;
            let trial = Trial {
                rate,
                kept: kept && !window.health.is_the_limit(),
                generator_was_the_limit: window.health.is_the_limit(),
                offered: window.counts.offered,
                succeeded: window.counts.succeeded,
                failed: window.counts.failures(),
                p99_us: limits::quantile_us(&window.counts, 0.99),
                retransmissions: window.counts.retransmissions,
            };
            self.watcher.news(&trial.in_words());
            way.tried(trial);
            at = begin + over;
        }
        whole(at.max(self.soon()))
    }

    /// Listens until every part has told its end.
    fn drain(&mut self, mut ended_at: Duration) -> Duration {
        let mut was_stopped = self.is_stopped;
        while !self.series.is_over() {
            if !self.listen() && self.is_stopped && !was_stopped {
                was_stopped = true;
                ended_at = ended_at.min(self.soon());
                self.crew.tell(&Order::End { at: ended_at, drain: self.plan.drain.min(HURRY) });
            }
        }
        ended_at
    }

    /// Hears what there is to be heard; says no if the run is to end now.
    fn listen(&mut self) -> bool {
        self.is_stopped |= self.watcher.is_stopped();
        match self.crew.hear(LISTEN) {
            Heard::Beat(beat) => {
                self.heard_at = Instant::now();
                self.watcher.beat(&beat);
                self.series.hear(*beat);
            }
            Heard::Lost { part, why } => {
                self.heard_at = Instant::now();
                self.lose(part, why);
            }
            Heard::Nothing => {
                if self.heard_at.elapsed() >= PATIENCE {
                    for part in self.series.present() {
                        self.lose(part, format!("nothing was heard of it for {} s", PATIENCE.as_secs()));
                    }
                }
            }
        }
        self.complete();
        !self.is_stopped && !self.series.is_over()
    }

    fn lose(&mut self, part: u32, why: String) {
        let Some(heard_until) = self.series.lose(part) else { return };
        self.watcher.news(&format!("part {part} is lost: {why}"));
        self.lost.push(Lost { part, why, heard_until, open: 0, not_offered: 0 });
    }

    /// Makes rows of the seconds that everybody has spoken of.
    fn complete(&mut self) {
        while let Some(counts) = self.series.next_complete() {
            let sample = self.watcher.sample();
            let row = self.series.add_row(&counts, sample);
            if let Some(window) = &mut self.trial
                && row.second >= window.from
            {
                window.counts.add(&counts);
                window.health.add(&row);
            }
            self.watcher.second(&row, &counts, &self.series);
        }
    }

    /// Accounts for what lost parts did not tell.
    fn settle(&mut self, ended_at: Duration) {
        let (phones, seed, of) = (self.plan.phones.count, self.plan.seed, self.crew.parts());
        for lost in &mut self.lost {
            let part = Part { index: lost.part, of };
            // What falls due in a pulse is offered at its end: the last pulse of a second belongs to the next.
            let edge = |moment: Duration| moment.saturating_sub(PULSE) + Duration::from_nanos(1);
            let heard = Duration::from_secs(u64::from(lost.heard_until));
            for (at, stage) in self.told.iter().filter(|(at, _)| *at < ended_at) {
                let due_by = |moment: Duration| match edge(moment).checked_sub(*at) {
                    Some(until) if moment > *at => arrival::expected(stage, part, phones, seed, until),
                    _ => 0,
                };
                let warm = due_by(self.plan.warm_up.min(ended_at)).saturating_sub(due_by(heard));
                let all = due_by(ended_at).saturating_sub(due_by(heard));
                self.series.missing(warm, all.saturating_sub(warm));
                lost.not_offered += all;
            }
            lost.open = self.series.leave_open(lost.part);
        }
    }
}

/// The next whole second, or this one.
fn whole(at: Duration) -> Duration {
    Duration::from_secs(at.as_nanos().div_ceil(1_000_000_000) as u64)
}

/// What a lost worker's work counts as.
fn lost_cause() -> Cause {
    Cause::WORKER_LOST
}

#[cfg(test)]
mod tests;
