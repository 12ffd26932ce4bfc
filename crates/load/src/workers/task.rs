//! Parts at work on a worker, and what of theirs is not confirmed yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::post::shown;
use super::words::{Answer, Assignment, Ended, write};
use super::{Engine, Task};
use crate::beat::Beat;
use crate::crew::Order;
use crate::plan::Part;

/// A beat that was not confirmed for so long is said again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How much may wait for confirmation, in octets: minutes of many parts' beats.
const UNCONFIRMED_MAX: usize = 32 << 20;

/// How many orders a run has at most: thousands of trials.
const ORDERS_MAX: u32 = 100_000;

/// A run's parts on this worker.
pub(super) struct Parts {
    run: String,
    worker: String,
    running: Vec<Running>,
    unconfirmed: BTreeMap<(u32, u32), Unconfirmed>,
    octets: usize,
    /// Parts that ended early.
    pub ended: Vec<Ended>,
    /// How many orders were taken.
    pub orders: u32,
    has_end: bool,
    cut: Option<String>,
}

struct Running {
    part: u32,
    orders: Option<Sender<Order>>,
    beats: Receiver<Beat>,
    thread: Option<JoinHandle<Result<(), String>>>,
    told: u32,
    has_told_all: bool,
}

struct Unconfirmed {
    octets: Vec<u8>,
    said_at: Option<Instant>,
}

impl Parts {
    /// Starts a thread for each part.
    pub fn start(
        (run, worker): (&str, &str),
        engine: &Engine,
        assignment: Assignment,
        (parts, of): (&[u32], u32),
        start: Instant,
    ) -> Result<Parts, String> {
        let plan = Arc::new(assignment.plan);
        let mut running = Vec::with_capacity(parts.len());
        for &index in parts {
            let (orders, orders_heard) = channel();
            let (beats_told, beats) = channel();
            let task = Task {
                plan: plan.clone(),
                server: assignment.server.clone(),
                part: Part { index, of },
                start,
                orders: orders_heard,
                beats: beats_told,
            };
            let engine = engine.clone();
            let thread =
                std::thread::Builder::new().name(format!("part {index}")).spawn(move || engine(task));
            let thread = thread.map_err(|why| format!("no thread for part {index}: {why}"))?;
            running.push(Running {
                part: index,
                orders: Some(orders),
                beats,
                thread: Some(thread),
                told: 0,
                has_told_all: false,
            });
        }
        Ok(Parts {
            run: run.to_owned(),
            worker: worker.to_owned(),
            running,
            unconfirmed: BTreeMap::new(),
            octets: 0,
            ended: Vec::new(),
            orders: 0,
            has_end: false,
            cut: None,
        })
    }

    /// Takes orders, of which the first has the number `first`; those that were taken already are passed over.
    pub fn take_orders(&mut self, first: u32, orders: Vec<Order>) {
        for (number, order) in (first..ORDERS_MAX).zip(orders) {
            if number != self.orders {
                continue;
            }
            self.orders += 1;
            self.has_end |= matches!(order, Order::End { .. });
            for running in &self.running {
                // A part that is over needs no orders.
                let _ = running.orders.as_ref().map(|orders| orders.send(order.clone()));
            }
        }
    }

    /// Has all parts end now, unless they end anyway.
    pub fn cut(&mut self, why: &str) {
        if !self.has_end && self.cut.is_none() {
            self.cut = Some(why.to_owned());
            for running in &mut self.running {
                running.orders = None;
            }
        }
    }

    /// Has all parts end, and forgets what they have to say.
    pub fn abandon(mut self) -> Vec<JoinHandle<Result<(), String>>> {
        self.running.iter_mut().filter_map(|running| running.thread.take()).collect()
    }

    /// Looks what parts have said and which are over.
    pub fn turn(&mut self) {
        for running in &mut self.running {
            // Asked before the beats are taken: what is over then has nothing more to say.
            let is_over = running.thread.as_ref().is_some_and(JoinHandle::is_finished);
            for mut beat in running.beats.try_iter() {
                // The engine's affair is the work; whose part it is, is known here.
                beat.part = running.part;
                running.told = running.told.max(beat.second.saturating_add(1));
                running.has_told_all |= beat.is_last;
                let key = (beat.part, beat.second);
                let cut = self.cut.clone().filter(|_| beat.is_last);
                let (run, worker) = (self.run.clone(), self.worker.clone());
                let octets = write(&Answer::Beat { run, worker, cut, beat: Box::new(beat) });
                self.octets += octets.len();
                self.unconfirmed.insert(key, Unconfirmed { octets, said_at: None });
            }
            if is_over && let Some(thread) = running.thread.take() {
                let why = match thread.join() {
                    Ok(Ok(())) => "it ended without a last beat".to_owned(),
                    Ok(Err(why)) => shown(&why),
                    Err(_) => "it broke down; what it printed tells more".to_owned(),
                };
                if !running.has_told_all {
                    self.ended.push(Ended { part: running.part, told: running.told, why });
                }
            }
        }
        if self.octets > UNCONFIRMED_MAX {
            self.cut("nobody confirmed what it told");
        }
    }

    /// What is to be said now, for the first time or again.
    pub fn due(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let is_old =
            |said_at: Option<Instant>| said_at.is_none_or(|at| now.duration_since(at) >= AGAIN_AFTER);
        let due = self.unconfirmed.values_mut().filter(|one| is_old(one.said_at));
        // Few at a time: the coordinator may just have come back.
        due.take(256)
            .map(|one| {
                one.said_at = Some(now);
                one.octets.clone()
            })
            .collect()
    }

    /// Forgets what was heard: of each part, all before the awaited second.
    pub fn confirm(&mut self, awaited: &[(u32, u32)]) {
        for &(part, second) in awaited {
            let done: Vec<_> =
                self.unconfirmed.range((part, 0)..(part, second)).map(|(key, _)| *key).collect();
            for key in done {
                self.octets -= self.unconfirmed.remove(&key).map_or(0, |one| one.octets.len());
            }
        }
    }

    /// Whether all parts are over and everything is confirmed.
    pub fn is_done(&self) -> bool {
        self.unconfirmed.is_empty() && self.running.iter().all(|running| running.thread.is_none())
    }
}
