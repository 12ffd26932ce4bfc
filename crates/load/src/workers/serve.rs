//! A worker's life: waits in its room, takes part in one run after the other, and leaves in good order.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_nats::Message;
use futures_util::StreamExt as _;
use tokio::time::MissedTickBehavior;

use super::post::{Broker, Post, is_name, shown};
use super::task::Parts;
use super::words::{self, Answer, Assignment, Presence, Said, read_said, write};
use super::{Engine, PATIENCE, PLAN_MAX, WorkersError};

/// How often it looks after its parts.
const TURN: Duration = Duration::from_millis(100);

/// How often it gives a sign of life.
const ALIVE_EVERY: Duration = Duration::from_millis(500);

/// How long it is engaged without a start: long plans go to one worker after the other.
const PATIENCE_BEFORE: Duration = Duration::from_secs(60);

/// How long it takes to leave at most: timer F and some.
const LEAVE_WITHIN: Duration = Duration::from_secs(40);

/// How many sentences about strangers' messages are said.
const REMARKS_MAX: u32 = 20;

/// Who a worker is, and where it waits.
#[derive(Clone, Debug)]
pub struct WorkerSetup {
    /// Where.
    pub broker: Broker,
    /// What it is called: letters, digits, `-` and `_`; its machine's name and its process number if not given.
    pub name: Option<String>,
    /// How many parts it does at a time; all of its machine's cores if not given.
    pub cores: Option<u32>,
    /// How many files it may have open.
    pub files: u64,
    /// Whether it does plans whose target is not on its own machine.
    pub anywhere: bool,
}

/// What happened to this process's moment zero and machine.
pub(super) struct Here {
    epoch: Instant,
}

impl Here {
    pub fn new() -> Here {
        Here { epoch: Instant::now() }
    }

    /// What this process's clock shows.
    pub fn ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// When it shows this.
    pub fn at(&self, ns: u64) -> Option<Instant> {
        self.epoch.checked_add(Duration::from_nanos(ns))
    }
}

/// This machine's name.
pub(super) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What all programs of this running machine have in common, and no others: loopback addresses mean the same to them.
pub(super) fn machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    // Containers of one machine have networks of their own.
    let network = std::fs::read_link("/proc/self/ns/net").unwrap_or_default();
    format!("{} {} {}", host(), boot.trim(), network.display())
}

/// A name that nobody else has.
pub(super) fn unique() -> Result<String, WorkersError> {
    let mut octets = [0; 12];
    rustix::rand::getrandom(&mut octets, rustix::rand::GetRandomFlags::empty())
        .map_err(|why| WorkersError::Machine(format!("no randomness: {why}")))?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

/// Works until `stop` is set: waits for runs and takes part in them. What happens is told to `say`, a line at a time.
///
/// # Errors
///
/// If the broker does not let it in, or a name cannot be one. A broker that cannot be reached is waited for.
pub fn serve(
    setup: WorkerSetup,
    engine: Engine,
    stop: &AtomicBool,
    say: &mut dyn FnMut(&str),
) -> Result<(), WorkersError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| WorkersError::Machine(why.to_string()))?;
    runtime.block_on(live(setup, engine, stop, say))
}

async fn live(
    setup: WorkerSetup,
    engine: Engine,
    stop: &AtomicBool,
    say: &mut dyn FnMut(&str),
) -> Result<(), WorkersError> {
    let named: String = format!("{}-{}", host(), std::process::id());
    let name = setup.name.unwrap_or_else(|| {
        let plain = named.chars().map(|sign| if sign.is_ascii_alphanumeric() { sign } else { '-' });
        plain.skip(named.len().saturating_sub(48)).collect()
    });
    if !is_name(&name) {
        return Err(WorkersError::Name(shown(&name)));
    }
    let cores = setup.cores.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1))
    });
    let presence = Presence {
        id: unique()?,
        name,
        host: host(),
        machine: machine(),
        cores: cores.clamp(1, 1_024),
        files: setup.files,
        version: words::VERSION.to_owned(),
        protocol: words::PROTOCOL,
        busy: None,
    };
    let Some(post) = connect(&setup.broker, &presence.name, stop, say).await? else { return Ok(()) };
    let mut own = post.listen(setup.broker.worker(&presence.id)).await?;
    let mut calls = post.listen(setup.broker.calls()).await?;
    say(&format!(
        "worker {} waits in room `{}` at {}: {} cores, {} files",
        presence.name,
        setup.broker.room(),
        setup.broker.at(),
        presence.cores,
        presence.files
    ));
    let anywhere = setup.anywhere;
    let mut worker = Worker {
        post,
        presence,
        engine,
        anywhere,
        here: Here::new(),
        run: None,
        dying: Vec::new(),
        remarks: 0,
    };
    let mut turns = tokio::time::interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leaving: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            Some(message) = own.next() => worker.hear(message, say).await,
            Some(message) = calls.next(), if leaving.is_none() => worker.called(&message, say).await,
            _ = turns.tick() => {
                if stop.load(Ordering::Relaxed) {
                    let since = *leaving.get_or_insert_with(Instant::now);
                    if worker.leave(since, say) {
                        break;
                    }
                }
                worker.turn(say).await;
            }
            else => return Err(WorkersError::Broker { at: setup.broker.at(), why: "it is gone for good".to_owned() }),
        }
    }
    worker.post.flush().await;
    say("leaves");
    Ok(())
}

/// Connects, however long that takes; nothing if it is to stop.
async fn connect(
    broker: &Broker,
    name: &str,
    stop: &AtomicBool,
    say: &mut dyn FnMut(&str),
) -> Result<Option<Post>, WorkersError> {
    let mut has_said = false;
    while !stop.load(Ordering::Relaxed) {
        match Post::connect(broker, name).await {
            Err(why @ WorkersError::Unreachable { .. }) => {
                if !std::mem::replace(&mut has_said, true) {
                    say(&format!("{why}; trying again"));
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            other => return other.map(Some),
        }
    }
    Ok(None)
}

struct Worker {
    post: Post,
    presence: Presence,
    engine: Engine,
    anywhere: bool,
    here: Here,
    run: Option<Run>,
    /// Threads of runs that were given up.
    dying: Vec<JoinHandle<Result<(), String>>>,
    remarks: u32,
}

/// A run that it is engaged in.
struct Run {
    id: String,
    heard_at: Instant,
    pieces: Vec<u8>,
    have: u32,
    assignment: Option<Assignment>,
    share: Option<(Vec<u32>, u32)>,
    parts: Option<Parts>,
    alive_at: Instant,
    has_said_end: bool,
}

impl Worker {
    async fn called(&mut self, message: &Message, say: &mut dyn FnMut(&str)) {
        match read_said(&message.payload) {
            Ok((Said::Call { run }, _)) if is_name(&run) => {
                let busy = self.run.as_ref().map(|run| run.id.clone());
                let busy =
                    busy.or_else(|| (!self.dying.is_empty()).then(|| "one that it gave up".to_owned()));
                let presence = Presence { busy, ..self.presence.clone() };
                self.post.say(self.post.broker().run(&run), write(&Answer::Here(presence))).await;
            }
            Ok(_) => self.remark("a call that is none", say),
            Err(why) => self.remark(&why, say),
        }
    }

    async fn hear(&mut self, message: Message, say: &mut dyn FnMut(&str)) {
        let answer = match read_said(&message.payload) {
            Ok((said, behind)) => self.obey(said, behind, say),
            Err(why) => {
                self.remark(&why, say);
                Some(Answer::No { why })
            }
        };
        if let Some(answer) = answer {
            self.post.answer(message.reply, write(&answer)).await;
        }
    }

    /// Does what a coordinator says, and what there is to answer.
    fn obey(&mut self, said: Said, behind: &[u8], say: &mut dyn FnMut(&str)) -> Option<Answer> {
        if let Said::Join { run, title } = said {
            return Some(self.join(run, &title, say));
        }
        let wanted = match &said {
            Said::Call { run } | Said::Join { run, .. } | Said::Clock { run } | Said::Piece { run, .. } => {
                run
            }
            Said::Take { run, .. } | Said::Begin { run, .. } | Said::Pulse { run, .. } => run,
            Said::Dismiss { run } => run,
        };
        let Some(run) = self.run.as_mut().filter(|run| run.id == *wanted) else {
            let why = format!("{} is not in run {}", self.presence.name, shown(wanted));
            return Some(Answer::No { why });
        };
        run.heard_at = Instant::now();
        let done = match said {
            Said::Clock { .. } => return Some(Answer::Clock { ns: self.here.ns() }),
            Said::Piece { index, of, .. } => run.piece(index, of, behind),
            Said::Take { parts, of, .. } => run.take(parts, of, self.anywhere),
            Said::Begin { at_ns, .. } => {
                let start = self.here.at(at_ns).ok_or_else(|| "no such moment".to_owned());
                start.and_then(|start| run.begin(start, &self.presence.id, &self.engine))
            }
            Said::Pulse { first, orders, awaited, .. } => {
                if let Some(parts) = &mut run.parts {
                    parts.take_orders(first, orders);
                    parts.confirm(&awaited);
                }
                return None;
            }
            Said::Dismiss { .. } => {
                self.give_up("it is over", say);
                return None;
            }
            Said::Call { .. } | Said::Join { .. } => Err("not here".to_owned()),
        };
        Some(match done {
            Ok(()) => Answer::Yes,
            Err(why) => Answer::No { why },
        })
    }

    fn join(&mut self, run: String, title: &str, say: &mut dyn FnMut(&str)) -> Answer {
        match &self.run {
            Some(own) if own.id == run => return Answer::Yes,
            Some(own) => return Answer::No { why: format!("it is busy with run {}", own.id) },
            None if !is_name(&run) => return Answer::No { why: "the run's name is none".to_owned() },
            None if !self.dying.is_empty() => return Answer::No { why: "it still ends a run".to_owned() },
            None => {}
        }
        say(&format!("takes part in run {run}: {}", shown(title)));
        let now = Instant::now();
        self.run = Some(Run {
            id: run,
            heard_at: now,
            pieces: Vec::new(),
            have: 0,
            assignment: None,
            share: None,
            parts: None,
            alive_at: now,
            has_said_end: false,
        });
        Answer::Yes
    }

    fn give_up(&mut self, why: &str, say: &mut dyn FnMut(&str)) {
        if let Some(run) = self.run.take() {
            say(&format!("leaves run {}: {why}", run.id));
            self.dying.extend(run.parts.map(Parts::abandon).unwrap_or_default());
        }
    }

    /// Looks after the parts, tells what is to be told, and notices when nobody listens.
    async fn turn(&mut self, say: &mut dyn FnMut(&str)) {
        self.dying.retain(|thread| !thread.is_finished());
        let Some(run) = &mut self.run else { return };
        let now = Instant::now();
        let silent = now.duration_since(run.heard_at);
        if silent > if run.parts.is_some() { PATIENCE } else { PATIENCE_BEFORE } {
            self.give_up(&format!("its coordinator was not heard of for {} s", silent.as_secs()), say);
            return;
        }
        let Some(parts) = &mut run.parts else { return };
        parts.turn();
        let to = self.post.broker().run(&run.id);
        // A connection that is down would only fill up; what is unconfirmed is said again.
        if self.post.is_up() {
            for octets in parts.due(now) {
                self.post.say(to.clone(), octets).await;
            }
        }
        if now.duration_since(run.alive_at) >= ALIVE_EVERY && self.post.is_up() {
            run.alive_at = now;
            let alive = Answer::Alive {
                run: run.id.clone(),
                worker: self.presence.id.clone(),
                orders: parts.orders,
                ended: parts.ended.clone(),
            };
            self.post.say(to, write(&alive)).await;
        }
        if parts.is_done() && !std::mem::replace(&mut run.has_said_end, true) {
            say(&format!("has done its share of run {}", run.id));
            for ended in &parts.ended {
                say(&format!("part {} ended early: {}", ended.part, ended.why));
            }
        }
    }

    /// Goes about leaving; whether that is done.
    fn leave(&mut self, since: Instant, say: &mut dyn FnMut(&str)) -> bool {
        let Some(run) = &mut self.run else { return true };
        match &mut run.parts {
            Some(parts) => {
                parts.cut(&format!("worker {} was told to stop", self.presence.name));
                if parts.is_done() && parts.ended.is_empty() {
                    return true;
                }
            }
            None => return true,
        }
        let is_late = since.elapsed() > LEAVE_WITHIN;
        if is_late {
            say("leaves although not all that it told was confirmed");
        }
        is_late
    }

    fn remark(&mut self, why: &str, say: &mut dyn FnMut(&str)) {
        self.remarks = self.remarks.saturating_add(1);
        match self.remarks.cmp(&REMARKS_MAX) {
            std::cmp::Ordering::Less => say(&format!("refuses a message: {why}")),
            std::cmp::Ordering::Equal => say("refuses a message; further ones are not told"),
            std::cmp::Ordering::Greater => {}
        }
    }
}

impl Run {
    fn piece(&mut self, index: u32, of: u32, behind: &[u8]) -> Result<(), String> {
        if index.checked_add(1) == Some(self.have) {
            return Ok(());
        }
        if index != self.have || self.parts.is_some() {
            return Err(format!("piece {index} of a plan, and piece {} is awaited", self.have));
        }
        if self.pieces.len() + behind.len() > PLAN_MAX {
            return Err(format!("a plan of more than {PLAN_MAX} octets"));
        }
        self.pieces.extend_from_slice(behind);
        self.have += 1;
        if self.have == of {
            let octets = std::mem::take(&mut self.pieces);
            self.assignment = Some(Assignment::read(&octets).inspect_err(|_| self.have = 0)?);
        }
        Ok(())
    }

    fn take(&mut self, parts: Vec<u32>, of: u32, anywhere: bool) -> Result<(), String> {
        let Some(Assignment { server, .. }) = &self.assignment else {
            return Err("it has not got the plan".to_owned());
        };
        if parts.is_empty() || parts.len() > 1_024 || parts.iter().any(|part| *part >= of) {
            return Err(format!("{} parts of {of} cannot be", parts.len()));
        }
        is_allowed(server.at, anywhere)?;
        self.share = Some((parts, of));
        Ok(())
    }

    fn begin(&mut self, start: Instant, worker: &str, engine: &Engine) -> Result<(), String> {
        if self.parts.is_some() {
            return Ok(());
        }
        let now = Instant::now();
        if start < now || start.duration_since(now) > PATIENCE_BEFORE {
            return Err("the start is over, or too far away".to_owned());
        }
        let (Some(assignment), Some((parts, of))) = (self.assignment.take(), &self.share) else {
            return Err("it has not got its share of the plan".to_owned());
        };
        self.parts = Some(Parts::start((&self.id, worker), engine, assignment, (parts, *of), start)?);
        Ok(())
    }
}

/// Whoever may write to the broker could have a worker flood anybody, so that this takes a deliberate act on its machine.
fn is_allowed(target: SocketAddr, anywhere: bool) -> Result<(), String> {
    if anywhere || target.ip().is_loopback() {
        return Ok(());
    }
    Err(format!(
        "the target {target} is not on this machine: start the worker with --anywhere if it may put load on others' machines"
    ))
}
