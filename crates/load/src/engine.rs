//! The engine: one part of a plan on one thread, with nothing shared.
//!
//! | module | promise |
//! | --- | --- |
//! | `core` | what phones do: each piece of work from the moment it is due to its one end |
//! | `phone` | one phone, as small as it can be |
//! | `text` | what phones say |
//! | `proof` | how they answer digest challenges |
//! | `wheel` | their timers |
//! | `complete` | complete phones, which somebody else keeps |
//! | `book` | what happened, second by second |
//! | `udp` | a fleet over UDP |
//! | `stream`, `secure` | a fleet over TCP and TLS |

mod book;
mod complete;
mod core;
mod phone;
mod proof;
mod secure;
mod stream;
pub mod text;
mod udp;
mod wheel;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use thiserror::Error;
use wire::lean::poll::{Poller, Ready};

use self::book::Book;
pub use self::complete::{Ended, Phones, run_complete};
use self::core::Core;
use self::phone::NEVER;
use self::secure::ClientSetup;
use self::text::Words;
use crate::arrival::{Arrival, Arrivals};
use crate::beat::Beat;
use crate::crew::Order;
use crate::plan::{Part, Plan, Server, Sockets, Stage, Transport};

/// Work falls due in pulses of this length: what would be due within one is due at its end, and counts from then. So many
/// wakings a second are what a thread can bear and still do something: on a virtual machine one costs as much as two requests.
pub const PULSE: Duration = Duration::from_millis(1);

/// How much later than asked for the kernel may wake the engine, in nanoseconds.
const TIMER_SLACK_NS: u64 = 5_000;

/// How many wakings may come one right after the other before they are held down to one in a [`PULSE`].
const WAKINGS: u32 = 200;

/// How often a thread is woken by answers. While they are rare each is looked at as it comes; once they are many, those of
/// a pulse are looked at together: waking for each would cost this side and the server more than all the rest. When each
/// arrived is known all the same, since the kernel notes it; but what a phone says next, it says up to a pulse later.
#[derive(Debug)]
struct Pace {
    left: u32,
    /// Up to when pulses have been counted.
    since: Duration,
}

impl Pace {
    fn new() -> Pace {
        Pace { left: WAKINGS, since: Duration::ZERO }
    }

    /// How long to look away before the next round; no time at all while wakings are rare.
    fn rest(&mut self, now: Duration) -> Duration {
        let pulses = now.saturating_sub(self.since).as_nanos() / PULSE.as_nanos();
        let pulses = u32::try_from(pulses).unwrap_or(u32::MAX);
        self.since = self.since.saturating_add(PULSE.saturating_mul(pulses));
        self.left = self.left.saturating_add(pulses).min(WAKINGS);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Duration::ZERO
            }
            None => (self.since + PULSE).saturating_sub(now),
        }
    }

    /// Waits for what comes next, at most for `wait`.
    fn wait(
        &mut self,
        now: Duration,
        wait: Duration,
        poller: &mut Poller,
        ready: &mut Vec<Ready>,
    ) -> Result<(), EngineError> {
        let rest = self.rest(now).min(wait);
        let wait = if rest.is_zero() { wait } else { Duration::ZERO };
        if !rest.is_zero() {
            std::thread::sleep(rest);
        }
        poller.wait(Some(wait), ready).map_err(EngineError::Machine)
    }
}

/// Files that a process needs beside its phones' sockets.
const OTHER_FILES: u64 = 64;

/// Why a part cannot do its work. What servers do is no error: it is counted.
#[derive(Debug, Error)]
pub enum EngineError {
    /// A socket cannot be had.
    #[error("no socket at {at}: {why}")]
    Socket {
        /// The source address that was wanted.
        at: IpAddr,
        /// What the machine said.
        why: io::Error,
    },
    /// More files than the process may open.
    #[error(
        "{wanted} sockets are needed and this process may open {limit} files: at most {fit} phones with a socket each fit \
         into one process; share sockets (UDP), take fewer phones, raise the limit (ulimit -Hn), or add workers"
    )]
    Files {
        /// How many sockets.
        wanted: u64,
        /// The limit.
        limit: u64,
        /// How many phones fit.
        fit: u64,
    },
    /// The plan has work for light phones and for complete ones.
    #[error(
        "`{0}` is work for light phones, `call` and `sign-in` are for complete ones; a plan has one kind of phones: make two"
    )]
    Mixed(&'static str),
    /// Light phones, here or at a worker, were given a plan for complete ones.
    #[error(
        "calls and sign-ins are for complete phones, which are on the machine of `lab load` and on no worker's"
    )]
    Complete,
    /// The plan has a boot storm of complete phones.
    #[error("complete phones have power when a plan begins: `lab fleet` boots them by the thousand")]
    Storm,
    /// The plan has no work or no phones.
    #[error("the plan has no {0}")]
    Nothing(&'static str),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(String),
    /// The machine fails.
    #[error("this machine fails: {0}")]
    Machine(io::Error),
}

/// Does one part of a plan against `server`, until an [`Order::End`] has been carried out or nobody hears the beats any more.
///
/// `start` is the moment from which the run's time is counted, and may lie ahead.
///
/// # Errors
///
/// If it cannot begin, or the machine fails under it. What the server does is counted, never an error.
pub fn run(
    plan: &Arc<Plan>,
    server: &Server,
    part: Part,
    start: Instant,
    orders: Receiver<Order>,
    beats: Sender<Beat>,
) -> Result<(), EngineError> {
    check(plan)?;
    if plan.is_for_complete_phones() {
        return Err(EngineError::Complete);
    }
    // The usual slack of timers, 50 µs, would be told as the generator's lateness. Where it may not be changed, it stays.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(TIMER_SLACK_NS));
    if let Some(early) = start.checked_duration_since(Instant::now()) {
        std::thread::sleep(early);
    }
    let words = Words::new(plan, server, &run_token());
    let mut core = Core::new(plan.clone(), part, words, Book::new(part.index, beats));
    let mut schedule = Schedule::new(plan.clone(), part, orders);
    match server.transport {
        Transport::Udp => {
            let mut carrier = udp::Datagrams::open(&plan.phones, &plan.network, server.at, part, plan.seed)?;
            udp::run(&mut core, &mut carrier, &mut schedule, start)?;
        }
        Transport::Tcp | Transport::Tls => {
            let tls = match (server.transport, &server.tls) {
                (Transport::Tls, Some(rules)) => Some(ClientSetup::new(rules)?),
                (Transport::Tls, None) => return Err(EngineError::Nothing("rules for TLS")),
                _ => None,
            };
            let idle = plan.network.nat_idle;
            let mut carrier = stream::Streams::new(&plan.phones, idle, server.at, tls, part)?;
            stream::run(&mut core, &mut carrier, &mut schedule, start)?;
        }
    }
    // What could not even be begun was offered all the same.
    while let Some((_, due, _)) = schedule.next_due(NEVER) {
        core.never_begun(due);
    }
    core.leave_open();
    core.book.close();
    Ok(())
}

/// Says whether phones can do a plan's work.
///
/// # Errors
///
/// Says what they cannot do.
pub fn check(plan: &Plan) -> Result<(), EngineError> {
    if plan.phones.count == 0 {
        return Err(EngineError::Nothing("phones"));
    }
    if plan.work.iter().all(|one| one.weight == 0) {
        return Err(EngineError::Nothing("work"));
    }
    if !plan.is_for_complete_phones() {
        return Ok(());
    }
    if let Some(one) = plan.work.iter().find(|one| !one.work.is_for_complete_phones()) {
        return Err(EngineError::Mixed(one.work.name()));
    }
    match plan.profile.iter().any(|stage| matches!(stage, Stage::BootStorm { .. })) {
        true => Err(EngineError::Storm),
        false => Ok(()),
    }
}

/// Says whether this process may have the sockets that a plan's phones need towards a server, all parts of it together.
///
/// # Errors
///
/// If it may not: how many it may have, and what to do.
pub fn enough_files(plan: &Plan, transport: Transport, parts: u32) -> Result<(), EngineError> {
    needs_files(match (transport, plan.phones.sockets) {
        (Transport::Udp, Sockets::Shared(count)) => u64::from(count) * u64::from(parts),
        _ => u64::from(plan.phones.count),
    })
}

/// Makes room for so many sockets.
fn needs_files(wanted: u64) -> Result<(), EngineError> {
    let limit = raise_file_limit();
    match wanted + OTHER_FILES <= limit {
        true => Ok(()),
        false => Err(EngineError::Files { wanted, limit, fit: limit.saturating_sub(OTHER_FILES) }),
    }
}

/// Raises the limit of open files as far as this user may, and says where it is.
pub fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok() {
        return maximum.unwrap_or(u64::MAX);
    }
    current.unwrap_or(u64::MAX)
}

/// What no other run has: a server may remember Call-IDs and sequence numbers for hours.
fn run_token() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!(
        "{:x}",
        since.map_or(0, |since| since.as_nanos() as u64) ^ u64::from(std::process::id()).rotate_left(40)
    )
}

/// A share between 0 and 1 that differs from phone to phone.
fn spread(part: Part, phone: u32) -> f64 {
    let number = u64::from(phone) * u64::from(part.of) + u64::from(part.index);
    // The golden ratio's multiples fill the circle evenly, however many there are.
    (number as f64 * 0.618_033_988_749_895).fract()
}

/// What is to be done, and when.
#[derive(Debug)]
pub struct Schedule {
    plan: Arc<Plan>,
    part: Part,
    orders: Receiver<Order>,
    stages: VecDeque<(Duration, bool, Arrivals)>,
    next: Option<(Arrival, Duration, Option<u32>)>,
    /// When the stage of `next` began.
    next_begins: Duration,
    /// No new work from then on.
    ends_at: Duration,
    /// Everything is over then.
    over_at: Duration,
}

impl Schedule {
    fn new(plan: Arc<Plan>, part: Part, orders: Receiver<Order>) -> Schedule {
        Schedule {
            plan,
            part,
            orders,
            stages: VecDeque::new(),
            next: None,
            next_begins: Duration::ZERO,
            ends_at: NEVER,
            over_at: NEVER,
        }
    }

    fn take_orders(&mut self) {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Stage { at, stage }) => {
                    let is_storm = matches!(stage, Stage::BootStorm { .. });
                    let arrivals = Arrivals::new(&stage, self.part, self.plan.phones.count, self.plan.seed);
                    self.stages.push_back((at, is_storm, arrivals));
                }
                Ok(Order::End { at, drain }) => {
                    self.ends_at = at;
                    self.over_at = at.saturating_add(drain);
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    // Whoever gave the orders is gone.
                    if self.ends_at == NEVER {
                        (self.ends_at, self.over_at) = (Duration::ZERO, Duration::ZERO);
                    }
                    return;
                }
            }
        }
    }

    /// When the next piece of work falls due.
    fn next(&mut self) -> Option<Duration> {
        while self.next.is_none()
            && let Some((at, is_storm, arrivals)) = self.stages.front_mut()
        {
            let Some(arrival) = arrivals.next() else {
                self.stages.pop_front();
                continue;
            };
            let of = u64::from(self.part.of.max(1));
            let phone = is_storm.then(|| u32::try_from(arrival.number / of).unwrap_or(u32::MAX));
            self.next = Some((arrival, *at + pulse(arrival.due), phone));
            self.next_begins = *at;
        }
        // What was due before the end is offered, though its pulse may end with the run.
        let (arrival, due, _) = self.next.as_ref()?;
        (self.next_begins + arrival.due < self.ends_at).then_some(*due)
    }

    /// The next piece of work that is due by `now`.
    fn next_due(&mut self, now: Duration) -> Option<(Arrival, Duration, Option<u32>)> {
        self.next().filter(|due| *due <= now)?;
        self.next.take()
    }

    /// Whether everything is over.
    fn is_over(&mut self, in_flight: u64, now: Duration) -> bool {
        now >= self.over_at || (now >= self.ends_at && in_flight == 0 && self.next().is_none())
    }
}

/// The end of the pulse in which something is due.
fn pulse(due: Duration) -> Duration {
    let pulses = due.as_nanos().div_ceil(PULSE.as_nanos());
    PULSE * u32::try_from(pulses).unwrap_or(u32::MAX)
}
