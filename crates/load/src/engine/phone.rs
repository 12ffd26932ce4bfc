//! One phone of a fleet, as small as it can be: what it is doing, and what it must remember until the next time.

use std::time::Duration;

use super::proof::Proof;
use crate::beat::Kind;

/// A moment that never comes.
pub const NEVER: Duration = Duration::MAX;

/// A phone.
#[derive(Debug)]
pub struct Phone {
    /// What it is doing.
    pub job: Option<Job>,
    /// The number of its last request (CSeq).
    pub cseq: u32,
    /// What told its last request from others (branch).
    pub transaction: u32,
    /// The last challenge.
    pub proof: Option<Box<Proof>>,
    /// Until when it holds a binding; zero if it holds none.
    pub bound_until: Duration,
    /// When it refreshes of its own accord.
    pub refresh_at: Duration,
    /// When it gives a sign of life of its own accord.
    pub alive_at: Duration,
    /// When the wheel wakes it next.
    pub wake_at: Duration,
    /// Whether it stands in the queue of idle phones.
    pub is_queued: bool,
}

/// A piece of work under way.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// What it counts as.
    pub kind: Kind,
    /// Whether it fell due in the warm-up.
    pub is_warm: bool,
    /// Whether its connection is closed when it is done.
    pub closes: bool,
    /// When it was due.
    pub due: Duration,
    /// When its request is sent again.
    pub resend_at: Duration,
    /// How long after that it would be sent again once more.
    pub interval: Duration,
    /// When it is given up.
    pub until: Duration,
    /// How many challenges it has answered.
    pub proofs: u8,
    /// Whether its request has left; before that its connection is awaited.
    pub is_sent: bool,
}

impl Phone {
    /// A phone that has done nothing yet.
    pub fn new() -> Phone {
        Phone {
            job: None,
            cseq: 0,
            transaction: 0,
            proof: None,
            bound_until: Duration::ZERO,
            refresh_at: NEVER,
            alive_at: NEVER,
            wake_at: NEVER,
            is_queued: true,
        }
    }

    /// Whether it holds a binding at `now`.
    pub fn is_bound(&self, now: Duration) -> bool {
        now < self.bound_until
    }

    /// When it wants to be woken.
    pub fn next(&self) -> Duration {
        let own = self.refresh_at.min(self.alive_at);
        let bound = if self.bound_until.is_zero() { NEVER } else { self.bound_until };
        match &self.job {
            Some(job) => job.resend_at.min(job.until),
            None => own.min(bound),
        }
    }
}
