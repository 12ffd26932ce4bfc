//! A run under way, as its coordinator sees it: who is still heard of, what they told, which orders they have.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use async_nats::Subscriber;
use futures_util::StreamExt as _;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::MissedTickBehavior;

use super::gather::{Member, Remarks};
use super::ledger::Ledger;
use super::post::{Post, shown};
use super::words::{Answer, Presence, Said, read_answer, write};
use crate::crew::{Heard, Order};

/// How much may wait to be heard. Beyond it nothing is confirmed, and workers say it again later.
pub(super) const HEARD_MAX: usize = 4_096;

/// How often workers are given a sign of life.
const PULSE: Duration = Duration::from_millis(250);

/// How many orders go into one message.
const ORDERS_AT_ONCE: usize = 256;

/// A run under way.
pub(super) struct Watch {
    post: Post,
    messages: Subscriber,
    run: String,
    workers: BTreeMap<String, Watched>,
    of: u32,
    start: Instant,
    broker: String,
    silence: Duration,
    remarks: Remarks,
    orders: Vec<Order>,
    ledger: Ledger,
    /// What is not handed on yet.
    waiting: VecDeque<Heard>,
}

/// A worker, as far as it is heard of.
struct Watched {
    member: Member,
    heard_at: Instant,
    /// How many orders it has.
    orders: u32,
    is_lost: bool,
}

impl Watch {
    pub fn new(
        post: Post,
        messages: Subscriber,
        run: String,
        (members, of, start): (Vec<(Presence, Member)>, u32, Instant),
        (broker, silence): (String, Duration),
        remarks: Remarks,
    ) -> Watch {
        let ledger = Ledger::new(0..of);
        let heard_at = Instant::now();
        let watched = |member| Watched { member, heard_at, orders: 0, is_lost: false };
        let workers = members.into_iter().map(|(presence, member)| (presence.id, watched(member))).collect();
        let (orders, waiting) = (Vec::new(), VecDeque::new());
        Watch { post, messages, run, workers, of, start, broker, silence, remarks, orders, ledger, waiting }
    }

    pub fn members(&self) -> Vec<Member> {
        let mut members: Vec<Member> = self.workers.values().map(|watched| watched.member.clone()).collect();
        members.sort_by_key(|member| member.parts.first().copied());
        members
    }

    pub fn of(&self) -> u32 {
        self.of
    }

    pub fn start(&self) -> Instant {
        self.start
    }

    /// Watches until nobody gives orders any more.
    pub async fn run(mut self, mut orders: UnboundedReceiver<Order>, heard: SyncSender<Heard>) {
        let mut pulses = tokio::time::interval(PULSE);
        pulses.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked_at = Instant::now();
        loop {
            // What waits to be read is read before anybody is called silent.
            tokio::select! {
                biased;
                Some(message) = self.messages.next(), if self.waiting.len() < HEARD_MAX => self.hear(&message.payload),
                order = orders.recv() => match order {
                    Some(order) => {
                        self.orders.push(order);
                        self.pulse().await;
                    }
                    None => break,
                },
                _ = pulses.tick() => {
                    let now = Instant::now();
                    // A coordinator that was held up itself has no right to call others silent.
                    let held_up = now.duration_since(looked_at).saturating_sub(2 * PULSE);
                    looked_at = now;
                    self.look(now, held_up);
                    self.pulse().await;
                }
            }
            if !self.hand_on(&heard) {
                break;
            }
        }
        for id in self.workers.keys() {
            self.dismiss(id).await;
        }
        self.post.flush().await;
    }

    fn hand_on(&mut self, heard: &SyncSender<Heard>) -> bool {
        while let Some(next) = self.waiting.pop_front() {
            match heard.try_send(next) {
                Ok(()) => {}
                Err(TrySendError::Full(next)) => {
                    self.waiting.push_front(next);
                    return true;
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        true
    }

    fn hear(&mut self, octets: &[u8]) {
        let answer = match read_answer(octets) {
            Ok(answer) => answer,
            Err(why) => return self.remarks.note(&why),
        };
        let (run, worker) = match &answer {
            Answer::Alive { run, worker, .. } | Answer::Beat { run, worker, .. } => (run, worker),
            // The last call's answers.
            Answer::Here(_) => return,
            Answer::Clock { .. } | Answer::Yes | Answer::No { .. } => {
                return self.remarks.note("an answer that nobody asked for");
            }
        };
        let Some(watched) = self.workers.get_mut(worker).filter(|_| *run == self.run) else {
            return self
                .remarks
                .note(&format!("a message of a worker that is not in this run: {}", shown(worker)));
        };
        if watched.is_lost {
            let name = &watched.member.name;
            return self
                .remarks
                .note(&format!("worker {name} was heard of again after it was lost; that does not count"));
        }
        watched.heard_at = Instant::now();
        match answer {
            Answer::Beat { beat, cut, .. } => {
                if !watched.member.parts.contains(&beat.part) {
                    let name = &watched.member.name;
                    return self.remarks.note(&format!("worker {name} told of a part that is not its own"));
                }
                let cut = cut.map(|why| shown(&why));
                self.ledger.take(beat, cut, &mut self.waiting);
            }
            Answer::Alive { orders, ended, .. } => {
                // More than there are would mean that it never gets those that come.
                watched.orders = watched.orders.max(orders.min(self.orders.len() as u32));
                for one in ended {
                    if watched.member.parts.contains(&one.part) {
                        let why = format!("worker {}: {}", watched.member.name, shown(&one.why));
                        self.ledger.ends(one.part, one.told, why, &mut self.waiting);
                    }
                }
            }
            Answer::Here(_) | Answer::Clock { .. } | Answer::Yes | Answer::No { .. } => {}
        }
    }

    /// Looks who is not heard of any more.
    fn look(&mut self, now: Instant, held_up: Duration) {
        for watched in self.workers.values_mut().filter(|watched| !watched.is_lost) {
            watched.heard_at += held_up;
            let is_silent = now.saturating_duration_since(watched.heard_at) > self.silence;
            if !is_silent || watched.member.parts.iter().all(|part| self.ledger.is_over(*part)) {
                continue;
            }
            watched.is_lost = true;
            let mut why = format!(
                "worker {} was not heard of for {} s",
                watched.member.name,
                self.silence.as_secs_f64()
            );
            if !self.post.is_up() {
                why.push_str(&format!(", nor the broker at {}", self.broker));
            }
            for part in &watched.member.parts {
                self.ledger.lose(*part, &why, &mut self.waiting);
            }
        }
    }

    /// Tells workers that somebody is there, what was heard, and the orders that they have not got.
    async fn pulse(&self) {
        // A connection that is down would only fill up with what is old when it is back.
        if !self.post.is_up() {
            return;
        }
        for (id, watched) in &self.workers {
            if watched.is_lost {
                self.dismiss(id).await;
                continue;
            }
            let missing = self.orders.iter().skip(watched.orders as usize).take(ORDERS_AT_ONCE).cloned();
            let awaited = watched.member.parts.iter().map(|part| (*part, self.ledger.awaited(*part)));
            let pulse = Said::Pulse {
                run: self.run.clone(),
                first: watched.orders,
                orders: missing.collect(),
                awaited: awaited.collect(),
            };
            self.post.say(self.post.broker().worker(id), write(&pulse)).await;
        }
    }

    async fn dismiss(&self, id: &str) {
        let dismiss = Said::Dismiss { run: self.run.clone() };
        self.post.say(self.post.broker().worker(id), write(&dismiss)).await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.ledger.repeated > 0 {
            self.remarks.note(&format!("{} seconds came twice and counted once", self.ledger.repeated));
        }
    }
}
