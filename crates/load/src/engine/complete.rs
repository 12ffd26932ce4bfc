//! Complete phones under a plan: schedule and book are the engine's, the phones are somebody else's.
//!
//! A light phone says what a registrar needs to hear. Calls and sign-ins want all of a phone, its owner and the office around
//! it: whoever has those lends them as [`Phones`], and what is offered, counted and told is the same as for light ones.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use super::book::Book;
use super::{NEVER, Schedule};
use crate::beat::{Beat, Cause, Kind};
use crate::crew::Order;
use crate::plan::{Part, Plan, Work};

/// How long phones are left to themselves at most: orders are looked for in between, and ends are seen.
const ROUND: Duration = Duration::from_millis(2);

/// A piece of work that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// What it counts as.
    pub kind: Kind,
    /// When it was due, from the start of the run.
    pub due: Duration,
    /// How long it took from then on, less what it was to take on purpose.
    pub took: Duration,
    /// Whether it went as it should, or why not.
    pub result: Result<(), Cause>,
}

/// Complete phones, their owners, and all that they need. Moments are counted from the start of the run.
pub trait Phones {
    /// What time it is.
    fn now(&self) -> Duration;

    /// Begins a piece of work that was due at `due`; what cannot be begun has ended at once.
    fn begin(&mut self, work: &Work, due: Duration) -> Option<Ended>;

    /// Lets them go on until `until`, or until there is nothing to do; returns what has ended.
    fn go_on(&mut self, until: Duration) -> Vec<Ended>;

    /// Gives up whatever is under way: when each piece of it was due.
    fn give_up(&mut self) -> Vec<Duration>;

    /// How many are registered.
    fn registered(&self) -> u64;
}

/// Does a plan's work with complete phones, until an [`Order::End`] has been carried out or nobody hears the beats any more.
pub fn run_complete(
    plan: &Arc<Plan>,
    phones: &mut impl Phones,
    orders: Receiver<Order>,
    beats: Sender<Beat>,
) {
    let part = Part { index: 0, of: 1 };
    let mut desk = Desk { book: Book::new(part.index, beats), warm_up: plan.warm_up };
    let mut schedule = Schedule::new(plan.clone(), part, orders);
    loop {
        let now = phones.now();
        schedule.take_orders();
        while let Some((arrival, due, _)) = schedule.next_due(now) {
            desk.book.offered(due < plan.warm_up, now.saturating_sub(due));
            desk.book.gauges.in_flight += 1;
            if let Some(ended) = phones.begin(plan.work_at(arrival.number), due) {
                desk.ended(ended);
            }
        }
        let registered = phones.registered();
        (desk.book.gauges.registered, desk.book.gauges.connected) = (registered, registered);
        if schedule.is_over(desk.book.gauges.in_flight, now) || !desk.book.turn(now) {
            break;
        }
        let until = schedule.next().map_or(NEVER, |due| due.max(now)).min(now + ROUND);
        for ended in phones.go_on(until) {
            desk.ended(ended);
        }
    }
    for due in phones.give_up() {
        desk.book.unfinished(due < plan.warm_up);
    }
    while let Some((_, due, _)) = schedule.next_due(NEVER) {
        desk.book.never_begun(due < plan.warm_up);
    }
    desk.book.close();
}

struct Desk {
    book: Book,
    warm_up: Duration,
}

impl Desk {
    fn ended(&mut self, ended: Ended) {
        let is_warm = ended.due < self.warm_up;
        match ended.result {
            Ok(()) => self.book.succeeded(is_warm, ended.kind, ended.took),
            Err(cause) => self.book.failed(is_warm, cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::beat::Counts;
    use crate::language::{Reading, read_plan};

    /// Phones that take a second for everything, of which every third breaks, in a time of their own.
    #[derive(Default)]
    struct Slow {
        now: Duration,
        begun: Vec<Duration>,
        count: u64,
    }

    impl Phones for Slow {
        fn now(&self) -> Duration {
            self.now
        }

        fn begin(&mut self, work: &Work, due: Duration) -> Option<Ended> {
            assert!(matches!(work, Work::SignIn));
            self.count += 1;
            if self.count.is_multiple_of(5) {
                let result = Err(Cause::NO_IDLE_PHONE);
                return Some(Ended { kind: Kind::SignIn, due, took: Duration::ZERO, result });
            }
            self.begun.push(due);
            None
        }

        fn go_on(&mut self, until: Duration) -> Vec<Ended> {
            self.now = until;
            let took = Duration::from_secs(1);
            let over = self.begun.iter().take_while(|due| **due + took <= until).count();
            let ended = self.begun.drain(..over).enumerate();
            ended
                .map(|(at, due)| {
                    let result = if at % 3 == 2 { Err(Cause::step("certificate")) } else { Ok(()) };
                    Ended { kind: Kind::SignIn, due, took, result }
                })
                .collect()
        }

        fn give_up(&mut self) -> Vec<Duration> {
            std::mem::take(&mut self.begun)
        }

        fn registered(&self) -> u64 {
            7
        }
    }

    struct Files;

    impl scenario::language::Library for Files {
        fn read(&self, _: &str, _: usize) -> Result<Vec<u8>, scenario::language::ReadError> {
            Ok(b"title: t\ntarget: { server: lab, lab: fleet.yaml }\nphones: { count: 9 }\nwork: sign-in\n\
                 profile:\n  - steady: 100/s for 4s\nwarm-up: 1s\n"
                .to_vec())
        }
    }

    #[test]
    fn each_piece_of_work_counts_once_whoever_does_it() {
        let plan = read_plan("p.yaml", Reading { library: &Files, anywhere: false, overrides: &[] });
        let plan = Arc::new(plan.expect("a plan"));
        crate::engine::check(&plan).expect("complete phones can do that");
        let ((tell, orders), (say, beats)) = (channel(), channel());
        tell.send(Order::Stage { at: Duration::ZERO, stage: plan.profile[0].clone() }).expect("heard");
        let end = Order::End { at: Duration::from_secs(4), drain: Duration::from_millis(500) };
        tell.send(end).expect("heard");
        run_complete(&plan, &mut Slow::default(), orders, say);
        let (mut warm, mut counted, mut last) = (Counts::default(), Counts::default(), None);
        for beat in beats.try_iter() {
            warm.add(&beat.warm);
            counted.add(&beat.counted);
            last = Some(beat);
        }
        assert_eq!((warm.offered, counted.offered), (100, 300));
        assert!(warm.adds_up() && counted.adds_up(), "{counted:?}");
        assert!(counted.unfinished > 0 && counted.failures() > 0 && counted.succeeded > 0, "{counted:?}");
        assert_eq!(counted.failed.get(&Cause::NO_IDLE_PHONE), Some(&60));
        let last = last.expect("there were beats");
        assert!(last.is_last);
        assert_eq!((last.gauges.registered, last.gauges.in_flight), (7, 0));
    }
}
