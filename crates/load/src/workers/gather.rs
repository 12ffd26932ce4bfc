//! From a call into the room to a common start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc::UnboundedSender;

use super::clock::Offset;
use super::post::{Broker, Post, shown};
use super::serve::{Here, machine, unique};
use super::watch::{self, Watch};
use super::words::{Answer, Assignment, Presence, Said, own_version, read_answer, write, write_with};
use super::{PLAN_MAX, SILENCE, WorkersError, deal};
use crate::crew::{Crew, Heard, Order};
use crate::plan::{Plan, Server};

/// How often the room is called.
const CALL_EVERY: Duration = Duration::from_millis(250);

/// How long a wanted number of workers is awaited.
const EXPECT_WITHIN: Duration = Duration::from_secs(30);

/// The most workers of a run.
const WORKERS_MAX: usize = 1_000;

/// Into how long pieces a plan is cut, in octets: what every broker takes.
const PIECE: usize = 512 << 10;

/// How often a clock is asked, and for how long at most.
const CLOCK_TIMES: usize = 16;
const CLOCK_WITHIN: Duration = Duration::from_millis(1_500);

/// How far ahead the start lies, beside the time that it takes to agree upon it.
const LEAD: Duration = Duration::from_millis(1_500);

/// How workers are gathered.
#[derive(Clone, Debug)]
pub struct Gathering {
    /// Where.
    pub broker: Broker,
    /// How many; all that come within `wait` if not given.
    pub expect: Option<usize>,
    /// How long workers are awaited if it is not said how many.
    pub wait: Duration,
    /// A worker of which nothing was heard for so long is lost.
    pub silence: Duration,
}

impl Gathering {
    /// In a room, with the usual times.
    pub fn new(broker: Broker) -> Gathering {
        Gathering { broker, expect: None, wait: Duration::from_secs(3), silence: SILENCE }
    }
}

/// A worker of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What it is called.
    pub name: String,
    /// Its machine's name.
    pub host: String,
    /// How many files it may open.
    pub files: u64,
    /// Which parts are its own.
    pub parts: Vec<u32>,
    /// By how much its start may have differed from the common one at most.
    pub clock_error: Duration,
}

/// A crew of workers under way. Dropped, it dismisses them.
#[derive(Debug)]
pub struct Workers {
    members: Vec<Member>,
    of: u32,
    start: Instant,
    orders: Option<UnboundedSender<Order>>,
    heard: Receiver<Heard>,
    open: BTreeSet<u32>,
    remarks: Remarks,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    /// Who they are.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The moment from which the run's time is counted.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// What was odd, in sentences: messages that were refused, seconds that came twice.
    pub fn remarks(&self) -> Vec<String> {
        self.remarks.all()
    }
}

impl Crew for Workers {
    fn parts(&self) -> u32 {
        self.of
    }

    fn tell(&mut self, order: &Order) {
        // Nobody to tell: `hear` says that all are lost.
        let _ = self.orders.as_ref().map(|orders| orders.send(order.clone()));
    }

    fn hear(&mut self, within: Duration) -> Heard {
        match self.heard.recv_timeout(within) {
            Ok(heard) => {
                match &heard {
                    Heard::Beat(beat) if beat.is_last => self.open.remove(&beat.part),
                    Heard::Lost { part, .. } => self.open.remove(part),
                    Heard::Beat(_) | Heard::Nothing => false,
                };
                heard
            }
            Err(RecvTimeoutError::Timeout) => Heard::Nothing,
            Err(RecvTimeoutError::Disconnected) => match self.open.pop_first() {
                Some(part) => Heard::Lost { part, why: "its coordinator broke down".to_owned() },
                None => {
                    std::thread::sleep(within);
                    Heard::Nothing
                }
            },
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // It says good-bye within bounds of its own.
            let _ = thread.join();
        }
    }
}

/// Sentences about what was odd, a bounded number.
#[derive(Clone, Debug, Default)]
pub(super) struct Remarks(Arc<Mutex<BTreeMap<String, u64>>>);

impl Remarks {
    const MAX: usize = 20;

    pub fn note(&self, what: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.len() < Remarks::MAX || all.contains_key(what);
        *all.entry(if known { what.to_owned() } else { "other oddities".to_owned() }).or_default() += 1;
    }

    fn all(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .map(|(what, times)| if *times == 1 { what.clone() } else { format!("{what} ({times} times)") })
            .collect()
    }
}

enum News {
    Said(String),
    Ready(Vec<Member>, u32, Instant),
    Failed(WorkersError),
}

/// Gathers workers, hands them the plan, and agrees with them upon a start. What happens is told to `say`, a line at a time.
///
/// # Errors
///
/// Says who or what is in the way; nobody has begun then.
pub fn gather(
    gathering: Gathering,
    plan: &Plan,
    server: &Server,
    say: &mut dyn FnMut(&str),
) -> Result<Workers, WorkersError> {
    let failed = |why: std::io::Error| WorkersError::Machine(why.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let assignment = Assignment { plan: plan.clone(), server: server.clone() };
    let (orders, orders_told) = tokio::sync::mpsc::unbounded_channel();
    let (heard_told, heard) = mpsc::sync_channel(watch::HEARD_MAX);
    let (news_told, news) = mpsc::channel();
    let remarks = Remarks::default();
    let remarks_told = remarks.clone();
    let thread = std::thread::Builder::new().name("workers".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let mut say = |what: &str| drop(news_told.send(News::Said(what.to_owned())));
            match assemble(&gathering, assignment, &remarks_told, &mut say).await {
                Ok(watch) => {
                    let _ = news_told.send(News::Ready(watch.members(), watch.of(), watch.start()));
                    watch.run(orders_told, heard_told).await;
                }
                Err(why) => drop(news_told.send(News::Failed(why))),
            }
        });
    });
    let thread = thread.map_err(failed)?;
    loop {
        match news.recv() {
            Ok(News::Said(what)) => say(&what),
            Ok(News::Ready(members, of, start)) => {
                let (open, orders, thread) = ((0..of).collect(), Some(orders), Some(thread));
                return Ok(Workers { members, of, start, orders, heard, open, remarks, thread });
            }
            Ok(News::Failed(why)) => return Err(why),
            Err(_) => return Err(WorkersError::Machine("the coordinator's thread broke down".to_owned())),
        }
    }
}

async fn assemble(
    gathering: &Gathering,
    assignment: Assignment,
    remarks: &Remarks,
    say: &mut dyn FnMut(&str),
) -> Result<Watch, WorkersError> {
    let octets = assignment.write();
    if octets.len() > PLAN_MAX {
        return Err(WorkersError::PlanTooLong { octets: octets.len() });
    }
    let run = unique()?;
    let post = Post::connect(&gathering.broker, "coordinator").await?;
    let mut heard = post.listen(gathering.broker.run(&run)).await?;
    let came = call(gathering, &post, &run, &mut heard, remarks, say).await?;
    let engaged = engage(gathering, &post, &run, &assignment.plan.title, came, say).await?;
    let prepared = prepare(&post, &run, &assignment, &octets, &engaged, say).await;
    if prepared.is_err() {
        dismiss(&post, &run, &engaged).await;
    }
    let (members, of, start) = prepared?;
    let (broker, silence) = (gathering.broker.at(), gathering.silence);
    Ok(Watch::new(post, heard, run, (members, of, start), (broker, silence), remarks.clone()))
}

/// Calls into the room until enough have come.
async fn call(
    gathering: &Gathering,
    post: &Post,
    run: &str,
    heard: &mut Subscriber,
    remarks: &Remarks,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<Presence>, WorkersError> {
    let wanted = gathering.expect.unwrap_or(WORKERS_MAX).clamp(1, WORKERS_MAX);
    let within = if gathering.expect.is_some() { EXPECT_WITHIN } else { gathering.wait };
    say(&format!("calls for workers into room `{}` at {}", gathering.broker.room(), gathering.broker.at()));
    let deadline = tokio::time::Instant::now() + within;
    let mut calls = tokio::time::interval(CALL_EVERY);
    let mut came: BTreeMap<String, Presence> = BTreeMap::new();
    let mut busy = BTreeSet::new();
    while came.len() < wanted {
        tokio::select! {
            biased;
            Some(message) = heard.next() => match read_answer(&message.payload) {
                Ok(Answer::Here(worker)) => match &worker.busy {
                    _ if worker.whole_version() != own_version() => {
                        let (name, theirs) = (worker.name.clone(), worker.whole_version());
                        return Err(WorkersError::Version { name, theirs, ours: own_version() });
                    }
                    Some(other) => {
                        if busy.len() < WORKERS_MAX && busy.insert(worker.id.clone()) {
                            say(&format!("worker {} is busy with run {}", worker.name, shown(other)));
                        }
                    }
                    None => {
                        if !came.contains_key(&worker.id) {
                            say(&format!("worker {} on {}: {} cores", worker.name, worker.host, worker.cores));
                        }
                        came.insert(worker.id.clone(), worker);
                    }
                },
                Ok(_) => remarks.note("an answer before anything was asked"),
                Err(why) => remarks.note(&why),
            },
            _ = calls.tick() => post.say(gathering.broker.calls(), write(&Said::Call { run: run.to_owned() })).await,
            () = tokio::time::sleep_until(deadline) => break,
        }
    }
    let came: Vec<Presence> = came.into_values().collect();
    enough(gathering, within, &came)?;
    Ok(came)
}

fn enough(gathering: &Gathering, waited: Duration, came: &[Presence]) -> Result<(), WorkersError> {
    let wanted = gathering.expect.unwrap_or(1).max(1);
    if came.len() >= wanted {
        return Ok(());
    }
    let names: Vec<&str> = came.iter().map(|worker| &worker.name[..]).collect();
    let who = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    let (room, at) = (gathering.broker.room().to_owned(), gathering.broker.at());
    Err(WorkersError::TooFew { came: came.len(), wanted, room, waited, who, at })
}

/// Has those who came take part in this run and no other.
async fn engage(
    gathering: &Gathering,
    post: &Post,
    run: &str,
    title: &str,
    came: Vec<Presence>,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<Presence>, WorkersError> {
    let mut engaged: Vec<Presence> = Vec::new();
    let mut names = BTreeSet::new();
    for worker in came {
        let join = Said::Join { run: run.to_owned(), title: shown(title) };
        match ask(post, &worker, &join, &[], Duration::from_secs(1)).await {
            Ok(_) if !names.insert(worker.name.clone()) => {
                engaged.push(worker.clone());
                dismiss(post, run, &engaged).await;
                return Err(WorkersError::TwoOfAName(worker.name));
            }
            Ok(_) => engaged.push(worker),
            Err(why) => say(&format!("goes without one: {why}")),
        }
    }
    if let Err(why) = enough(gathering, gathering.wait, &engaged) {
        dismiss(post, run, &engaged).await;
        return Err(why);
    }
    Ok(engaged)
}

/// Deals out parts, measures clocks, hands on the plan, and sets the start.
async fn prepare(
    post: &Post,
    run: &str,
    assignment: &Assignment,
    octets: &[u8],
    engaged: &[Presence],
    say: &mut dyn FnMut(&str),
) -> Result<(Vec<(Presence, Member)>, u32, Instant), WorkersError> {
    let (dealt, of) = deal::deal(engaged, &assignment.plan);
    deal::check(engaged, &dealt, of, &assignment.plan, &assignment.server, &machine())?;
    let here = Here::new();
    let mut members = Vec::new();
    let mut offsets = Vec::new();
    let run_name = || run.to_owned();
    for (worker, parts) in engaged.iter().zip(dealt) {
        if parts.is_empty() {
            say(&format!("worker {} is not needed: there are fewer phones than cores", worker.name));
            dismiss(post, run, std::slice::from_ref(worker)).await;
            continue;
        }
        let pieces = u32::try_from(octets.len().div_ceil(PIECE)).unwrap_or(u32::MAX);
        for (index, piece) in (0_u32..).zip(octets.chunks(PIECE)) {
            // The last one is read whole before it is answered.
            let said = Said::Piece { run: run_name(), index, of: pieces };
            ask(post, worker, &said, piece, Duration::from_secs(10)).await?;
        }
        let take = Said::Take { run: run_name(), parts: parts.clone(), of };
        ask(post, worker, &take, &[], Duration::from_secs(2)).await?;
        let offset = offset(post, run, worker, &here).await?;
        let (name, host) = (worker.name.clone(), worker.host.clone());
        let clock_error = offset.error;
        offsets.push(offset);
        members.push((worker.clone(), Member { name, host, files: worker.files, parts, clock_error }));
    }
    // Agreeing takes a round trip each; three have room.
    let agreeing: Duration = offsets.iter().map(|offset| offset.error * 6).sum();
    let start_ns = here.ns() + u64::try_from((LEAD + agreeing).as_nanos()).unwrap_or(u64::MAX);
    for ((worker, _), offset) in members.iter().zip(&offsets) {
        let begin = Said::Begin { run: run_name(), at_ns: offset.theirs(start_ns) };
        ask(post, worker, &begin, &[], Duration::from_secs(1)).await?;
    }
    let start = here.at(start_ns).ok_or_else(|| WorkersError::Machine("no such moment".to_owned()))?;
    let worst = offsets.iter().map(|offset| offset.error).max().unwrap_or_default();
    say(&format!(
        "{} workers with {of} parts start together, within {:.3} ms of each other's clocks",
        members.len(),
        worst.as_secs_f64() * 1_000.0
    ));
    Ok((members, of, start))
}

async fn offset(post: &Post, run: &str, worker: &Presence, here: &Here) -> Result<Offset, WorkersError> {
    let silent = |why: String| WorkersError::Silent { name: worker.name.clone(), why };
    let mut readings = Vec::with_capacity(CLOCK_TIMES);
    let begun = here.ns();
    let subject = post.broker().worker(&worker.id);
    while readings.len() < CLOCK_TIMES
        && (readings.is_empty() || u128::from(here.ns() - begun) < CLOCK_WITHIN.as_nanos())
    {
        let question = write(&Said::Clock { run: run.to_owned() });
        let asked = here.ns();
        let answer = post.ask(&subject, question, Duration::from_secs(2)).await.map_err(silent)?;
        let answered = here.ns();
        match read_answer(&answer).map_err(silent)? {
            Answer::Clock { ns } => readings.push((asked, ns, answered)),
            other => return Err(refusal(worker, other)),
        }
    }
    Offset::from_readings(&readings).ok_or_else(|| silent("its clock cannot be read".to_owned()))
}

/// Asks for something to which the answer should be yes.
async fn ask(
    post: &Post,
    worker: &Presence,
    said: &Said,
    behind: &[u8],
    within: Duration,
) -> Result<(), WorkersError> {
    let silent = |why: String| WorkersError::Silent { name: worker.name.clone(), why };
    let octets = if behind.is_empty() { write(said) } else { write_with(said, behind) };
    let answer: Bytes = post.ask(&post.broker().worker(&worker.id), octets, within).await.map_err(silent)?;
    match read_answer(&answer).map_err(silent)? {
        Answer::Yes => Ok(()),
        other => Err(refusal(worker, other)),
    }
}

fn refusal(worker: &Presence, answer: Answer) -> WorkersError {
    let name = worker.name.clone();
    match answer {
        Answer::No { why } => WorkersError::Refused { name, why: shown(&why) },
        _ => WorkersError::Silent { name, why: "it answers something else than was asked".to_owned() },
    }
}

async fn dismiss(post: &Post, run: &str, workers: &[Presence]) {
    for worker in workers {
        let dismiss = write(&Said::Dismiss { run: run.to_owned() });
        post.say(post.broker().worker(&worker.id), dismiss).await;
    }
    post.flush().await;
}
