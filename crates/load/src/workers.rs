//! Workers: a plan's parts on several machines, which meet at a NATS broker.
//!
//! Workers wait in a *room* of the broker. Whoever has a plan to be done calls into the room, takes those who answer, deals
//! the parts out by cores, and is their [`Crew`](crate::Crew) until the run is over. The broker keeps nothing: what it loses
//! is sent again until it is confirmed, and what comes twice counts once. Nobody trusts anybody's calendar: each worker's
//! clock is measured against the coordinator's before the start.
//!
//! | module | promise |
//! | --- | --- |
//! | `post` | the broker: within which time and size something is said |
//! | `words` | what is said, read with suspicion |
//! | `deal` | which parts are whose, and whether they can bear them |
//! | `clock` | how far another machine's clock is off, and how sure that is |
//! | `ledger` | each second of each part once, in order |
//! | `gather` | from a call into the room to a common start |
//! | `watch` | a run under way, as its coordinator sees it |
//! | `serve` | a worker's life |
//! | `task` | parts at work on a worker, and what of theirs is not confirmed yet |

mod clock;
mod deal;
mod gather;
mod ledger;
mod post;
mod serve;
mod task;
mod watch;
mod words;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use thiserror::Error;

pub use self::gather::{Gathering, Member, Workers, gather};
pub use self::post::Broker;
pub use self::serve::{WorkerSetup, serve};

use crate::beat::Beat;
use crate::crew::Order;
use crate::plan::{Part, Plan, Server};

/// A worker of which nothing was heard for so long is lost, unless something else is wanted.
pub const SILENCE: Duration = Duration::from_secs(5);

/// A worker that has not heard of its coordinator for so long gives up its run: nobody counts what it does any more.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The largest plan that is handed on, as JSON: about 200,000 accounts.
pub const PLAN_MAX: usize = 16 << 20;

/// What a worker does for one part, on a thread of its own: [`crate::engine::run`], or something else in tests.
pub type Engine = Arc<dyn Fn(Task) -> Result<(), String> + Send + Sync>;

/// One part's work.
#[derive(Debug)]
pub struct Task {
    /// Of what.
    pub plan: Arc<Plan>,
    /// Against whom.
    pub server: Server,
    /// Which share.
    pub part: Part,
    /// The moment from which the run's time is counted.
    pub start: Instant,
    /// What is to be done, as it becomes known. Cut off without an [`Order::End`], the task ends at once.
    pub orders: Receiver<Order>,
    /// Where each second is told.
    pub beats: Sender<Beat>,
}

/// Why a run with workers does not come about.
#[derive(Debug, Error)]
pub enum WorkersError {
    /// The address is none.
    #[error("`{url}` is no address of a NATS server, such as nats://127.0.0.1:4222: {why}")]
    Address {
        /// What was given, without secrets.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The room's or a worker's name cannot be one.
    #[error("`{0}` cannot be a name here: up to 48 letters, digits, `-` and `_`")]
    Name(String),
    /// The broker cannot be reached now.
    #[error("the broker at {at} cannot be reached: {why}")]
    Unreachable {
        /// Its address.
        at: String,
        /// What happened.
        why: String,
    },
    /// The broker does not let us, or does not do as it should.
    #[error("the broker at {at}: {why}")]
    Broker {
        /// Its address.
        at: String,
        /// What happened.
        why: String,
    },
    /// Nobody, or too few, came.
    #[error(
        "{came} of {wanted} workers came into the room `{room}` within {waited:?}{who}; start others with \
         `lab worker {at} --run {room}`"
    )]
    TooFew {
        /// How many came.
        came: usize,
        /// How many were wanted.
        wanted: usize,
        /// Where they were awaited.
        room: String,
        /// How long.
        waited: Duration,
        /// Their names, after a colon.
        who: String,
        /// The broker's address.
        at: String,
    },
    /// A worker is another program than this.
    #[error(
        "worker {name} is version {theirs} and this is {ours}: they might count differently; run the same version everywhere"
    )]
    Version {
        /// Which.
        name: String,
        /// Its version.
        theirs: String,
        /// This one's.
        ours: String,
    },
    /// Two workers cannot be told apart.
    #[error("two workers are called {0}: give one another name with --name")]
    TwoOfAName(String),
    /// A plan that does not fit.
    #[error(
        "the plan is {octets} octets long, and at most {PLAN_MAX} are handed on: a pattern for accounts is shorter than a list"
    )]
    PlanTooLong {
        /// How long it is.
        octets: usize,
    },
    /// A worker would have too few files.
    #[error(
        "worker {name} would need {wanted} files for its share of the phones and may open {limit}: {fit} such phones fit \
         on these workers; add workers (several on one machine are fine, with --cores 1 each), or take fewer phones"
    )]
    Files {
        /// Which.
        name: String,
        /// How many it would need.
        wanted: u64,
        /// How many it may have.
        limit: u64,
        /// How many phones would fit on all workers.
        fit: u64,
    },
    /// A loopback target that means another machine there.
    #[error(
        "the target {target} is an address that every machine has for itself, and worker {name} is on another machine ({host}): \
         name an address that all workers reach"
    )]
    Loopback {
        /// The target.
        target: std::net::SocketAddr,
        /// Which worker.
        name: String,
        /// Where it is.
        host: String,
    },
    /// A worker will not do it.
    #[error("worker {name} refuses: {why}")]
    Refused {
        /// Which.
        name: String,
        /// What it says.
        why: String,
    },
    /// A worker went away before the start.
    #[error("worker {name} does not answer: {why}")]
    Silent {
        /// Which.
        name: String,
        /// What happened.
        why: String,
    },
    /// This machine gives no thread or no clock.
    #[error("this machine fails: {0}")]
    Machine(String),
}
