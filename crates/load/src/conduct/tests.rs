//! Runs with crews that are played: everything adds up, whoever is lost.

use std::collections::VecDeque;

use super::*;
use crate::beat::Kind;
use crate::outcome::result::{Facts, Outcome};
use crate::plan::{
    Accounts, Arrivals, Limits, Network, Phones, Search as SearchStage, Server, Sockets, Target, Transport,
    Weighted, Work,
};

const SECOND: Duration = Duration::from_secs(1);

fn plan(profile: Vec<Stage>) -> Plan {
    Plan {
        title: "A test".into(),
        seed: 1,
        target: Target::Server(Server {
            at: "127.0.0.1:5060".parse().unwrap(),
            transport: Transport::Udp,
            domain: "load.example".into(),
            tls: None,
        }),
        phones: Phones {
            count: 100,
            accounts: Accounts::Pattern { user: "load{n}".into(), password: Some("hunter2".into()) },
            from: "127.80.0.1".parse().unwrap(),
            addresses: 1,
            sockets: Sockets::Shared(1),
            expires: SECOND * 60,
            refresh: None,
            keep_alive: None,
        },
        work: vec![Weighted { weight: 1, work: Work::Register { forget_challenge: false, close: false } }],
        profile,
        network: Network::default(),
        limits: Limits { p99: Some(Duration::from_millis(20)), failures: Some(0.01), ..Limits::default() },
        warm_up: Duration::ZERO,
        drain: SECOND * 2,
        cores: None,
    }
}

fn rate(each: f64, seconds: u32) -> Stage {
    Stage::Rate { from: each, to: each, over: SECOND * seconds, arrivals: Arrivals::Even }
}

/// Parts that play a plan against a server that answers within 5 ms up to its knee, and within 80 ms above it. Time passes as
/// beats are heard.
struct Pretended {
    parts: u32,
    knee: f64,
    told: Vec<(Duration, Stage)>,
    end: Option<Duration>,
    second: u32,
    ready: VecDeque<Heard>,
    /// The part that is lost, and after which second.
    lost: Option<(u32, u32)>,
    open: u64,
}

impl Pretended {
    fn new(parts: u32, knee: f64) -> Pretended {
        Pretended {
            parts,
            knee,
            told: Vec::new(),
            end: None,
            second: 0,
            ready: VecDeque::new(),
            lost: None,
            open: 0,
        }
    }

    fn beat(&self, index: u32) -> Beat {
        let part = Part { index, of: self.parts };
        let mut beat = Beat::new(index, self.second);
        let (from, to) = (SECOND * self.second, SECOND * (self.second + 1));
        for (at, stage) in &self.told {
            let due_by = |moment: Duration| {
                let moment = moment.min(self.end.unwrap_or(moment));
                moment.checked_sub(*at).map_or(0, |until| arrival::expected(stage, part, 100, 1, until))
            };
            let due = due_by(to).saturating_sub(due_by(from));
            let is_slow = matches!(stage, Stage::Rate { to, .. } if *to > self.knee);
            beat.counted.offered += due;
            let left_open = if self.lost == Some((index, self.second)) { self.open.min(due) } else { 0 };
            for _ in left_open..due {
                let took = Duration::from_millis(if is_slow { 80 } else { 5 });
                beat.counted.succeed(Kind::Refresh, took);
            }
        }
        beat.is_last = self.end.is_some_and(|end| to >= end + SECOND);
        beat
    }
}

impl Crew for Pretended {
    fn parts(&self) -> u32 {
        self.parts
    }

    fn tell(&mut self, order: &Order) {
        match order {
            Order::Stage { at, stage } => {
                assert!(*at >= SECOND * self.second, "a stage was told after it had begun");
                self.told.push((*at, stage.clone()));
            }
            Order::End { at, .. } => self.end = Some(*at),
        }
    }

    fn hear(&mut self, _: Duration) -> Heard {
        if self.ready.is_empty() {
            for index in 0..self.parts {
                match self.lost {
                    Some((lost, after)) if lost == index && self.second > after => {
                        if self.second == after + 1 {
                            self.ready.push_back(Heard::Lost { part: index, why: "it was killed".into() });
                        }
                    }
                    _ => self.ready.push_back(Heard::Beat(Box::new(self.beat(index)))),
                }
            }
            self.second += 1;
        }
        self.ready.pop_front().unwrap_or(Heard::Nothing)
    }
}

#[derive(Default)]
struct Quiet {
    stop_after: Option<u32>,
    seconds: u32,
}

impl Watcher for Quiet {
    fn second(&mut self, _: &Row, _: &Counts, _: &Series) {
        self.seconds += 1;
    }

    fn is_stopped(&mut self) -> bool {
        self.stop_after.is_some_and(|after| self.seconds >= after)
    }
}

#[test]
fn parts_add_up_to_what_the_plan_offers_second_by_second() {
    let plan = plan(vec![rate(100.0, 3), rate(301.0, 2)]);
    let run = conduct(&plan, &mut Pretended::new(3, 1e9), &mut Quiet::default());
    assert_eq!(run.series.counted.offered, 902);
    assert!(run.series.counted.adds_up() && run.lost.is_empty() && !run.is_stopped);
    let offered: Vec<u64> = run.series.rows.iter().map(|row| row.offered).collect();
    assert_eq!(offered[..5], [100, 100, 100, 301, 301]);
    assert_eq!(run.ended_at, SECOND * 5);
}

#[test]
fn what_a_lost_part_did_not_do_counts_as_failed_exactly_once() {
    let plan = plan(vec![rate(300.0, 10)]);
    let mut crew = Pretended { lost: Some((1, 3)), open: 7, ..Pretended::new(3, 1e9) };
    let run = conduct(&plan, &mut crew, &mut Quiet::default());
    let counted = &run.series.counted;
    assert!(counted.adds_up(), "{counted:?}");
    assert!(counted.offered.abs_diff(3_000) <= 1, "all that the plan offers: {}", counted.offered);
    let [lost] = &run.lost[..] else { panic!("{:?}", run.lost) };
    assert_eq!((lost.part, lost.heard_until, lost.open), (1, 4, 7));
    assert!(lost.not_offered.abs_diff(600) <= 1, "a third of six seconds: {}", lost.not_offered);
    assert_eq!(counted.failed[&Cause::WORKER_LOST], lost.open + lost.not_offered);
    let outcome = Outcome::of(&plan, &run, Facts::default());
    assert!(!outcome.passed && outcome.lost.len() == 1);
}

#[test]
fn a_search_finds_the_knee_and_the_limits_look_at_nothing_else() {
    let search = SearchStage { from: 50.0, to: 10_000.0, trial: SECOND * 3, precision: 0.05 };
    let plan = plan(vec![rate(20.0, 2), Stage::Search(search)]);
    let run = conduct(&plan, &mut Pretended::new(2, 777.0), &mut Quiet::default());
    let found = run.found.as_ref().unwrap();
    let (kept, not_kept) = (found.kept.unwrap(), found.not_kept.unwrap());
    assert!(kept <= 777.0 && 777.0 < not_kept && not_kept / kept <= 1.05, "{kept} {not_kept}");
    let first = &found.trials[0];
    assert_eq!((first.rate, first.offered, first.kept), (50.0, 150, true));
    let outcome = Outcome::of(&plan, &run, Facts::default());
    assert!(outcome.passed, "trials above the knee are no failure: {:?}", outcome.limits);
    assert!(run.series.counted.adds_up());
}

#[test]
fn a_run_that_is_ended_early_ends_in_good_order() {
    let plan = plan(vec![rate(100.0, 1_000)]);
    let mut watcher = Quiet { stop_after: Some(4), ..Quiet::default() };
    let run = conduct(&plan, &mut Pretended::new(2, 1e9), &mut watcher);
    assert!(run.is_stopped && run.series.counted.adds_up());
    assert!(run.ended_at <= SECOND * 7 && run.series.counted.offered <= 700, "{:?}", run.ended_at);
    assert!(!Outcome::of(&plan, &run, Facts::default()).passed);
}

#[test]
fn a_result_fits_its_schema_shows_no_password_and_can_be_read_again() {
    let plan = plan(vec![rate(100.0, 5)]);
    let run = conduct(&plan, &mut Pretended::new(2, 1e9), &mut Quiet::default());
    let outcome = Outcome::of(&plan, &run, Facts::default());
    assert!(outcome.passed);
    let text = serde_json::to_vec(&outcome).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let validator = jsonschema::validator_for(&Outcome::schema()).expect("the schema is one");
    let wrong: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(Outcome::read(&text).unwrap(), outcome);
    for shown in [String::from_utf8(text).unwrap(), crate::outcome::report::html(&outcome)] {
        assert!(!shown.contains("hunter2"));
    }
    assert!(Outcome::read(b"{}").is_err() && Outcome::read(b"{\"format\": 99}").is_err());
}

#[test]
fn the_schema_in_the_docs_is_the_one_of_the_program() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/load-result.schema.json");
    let ours = format!("{:#}\n", Outcome::schema());
    let docs = std::fs::read_to_string(path).unwrap_or_default();
    assert!(docs == ours, "docs/load-result.schema.json is old: `lab schema load-result` prints the new one");
}
