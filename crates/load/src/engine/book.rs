//! What happened, second by second: beats as they are sent.

use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::beat::{Beat, Cause, Counts, Gauges, Kind};

/// Keeps the book of one part.
#[derive(Debug)]
pub struct Book {
    beat: Beat,
    beats: Sender<Beat>,
    cpu_before: u64,
    /// How it stands now; whoever changes it keeps it true.
    pub gauges: Gauges,
}

impl Book {
    /// An empty book of a part whose thread has used no CPU that counts.
    pub fn new(part: u32, beats: Sender<Beat>) -> Book {
        Book { beat: Beat::new(part, 0), beats, cpu_before: thread_cpu(), gauges: Gauges::default() }
    }

    /// The counts to which work belongs that fell due in the warm-up, or afterwards.
    pub fn counts(&mut self, is_warm: bool) -> &mut Counts {
        if is_warm { &mut self.beat.warm } else { &mut self.beat.counted }
    }

    /// Work has fallen due.
    pub fn offered(&mut self, is_warm: bool, late_by: Duration) {
        self.counts(is_warm).offered += 1;
        self.late(late_by);
    }

    /// The part was late by so much.
    pub fn late(&mut self, by: Duration) {
        let by = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.beat.lateness_us = self.beat.lateness_us.max(by);
    }

    /// The machine took nothing more for now.
    pub fn blocked(&mut self, times: u64) {
        self.beat.blocked += times;
    }

    /// A piece of work that was begun went as it should.
    pub fn succeeded(&mut self, is_warm: bool, kind: Kind, took: Duration) {
        self.gauges.in_flight -= 1;
        self.counts(is_warm).succeed(kind, took);
    }

    /// A piece of work that was begun failed.
    pub fn failed(&mut self, is_warm: bool, cause: Cause) {
        self.gauges.in_flight -= 1;
        self.counts(is_warm).fail(cause);
    }

    /// A piece of work that was begun is left open by the end of the run.
    pub fn unfinished(&mut self, is_warm: bool) {
        self.gauges.in_flight -= 1;
        self.counts(is_warm).unfinished += 1;
    }

    /// The run is over before a piece of work was begun that had been due.
    pub fn never_begun(&mut self, is_warm: bool) {
        let counts = self.counts(is_warm);
        counts.offered += 1;
        counts.unfinished += 1;
    }

    /// Sends the beats of all seconds that are over by `now`. Returns no if nobody listens any more.
    pub fn turn(&mut self, now: Duration) -> bool {
        while u64::from(self.beat.second) < now.as_secs() {
            if !self.send(false) {
                return false;
            }
        }
        true
    }

    /// Sends the last beat.
    pub fn close(mut self) {
        self.send(true);
    }

    fn send(&mut self, is_last: bool) -> bool {
        let next = Beat::new(self.beat.part, self.beat.second + 1);
        let mut beat = std::mem::replace(&mut self.beat, next);
        let cpu = thread_cpu();
        beat.cpu_ns = cpu.saturating_sub(self.cpu_before);
        self.cpu_before = cpu;
        beat.gauges = self.gauges;
        beat.is_last = is_last;
        self.beats.send(beat).is_ok()
    }
}

/// CPU that this thread has used, user and system, in nanoseconds.
pub fn thread_cpu() -> u64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let nanos = i128::from(used.tv_sec) * 1_000_000_000 + i128::from(used.tv_nsec);
    u64::try_from(nanos).unwrap_or(0)
}
