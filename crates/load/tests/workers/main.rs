//! Workers at a real broker: what they do adds up to what was offered, whatever happens to them and to messages.
//!
//! The engine is one for the purpose: it does by arithmetic what a plan wants, at once, so that nothing depends on how fast
//! the machine is.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a broker is a program of this machine, at a socket"
)]

mod broker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use load::arrival::{Arrivals, expected};
use load::plan::{
    self, Account, Accounts, Limits, Network, Part, Phones, Plan, Server, Sockets, Stage, Target, Transport,
    Weighted, Work,
};
use load::workers::{Broker, Engine, Gathering, Task, WorkerSetup, Workers, WorkersError, gather, serve};
use load::{Beat, Crew, Heard, Kind, Order};

use broker::{Nats, Stranger};

const SECONDS: u32 = 5;

#[test]
fn two_workers_do_what_one_would() {
    let Some(nats) = Nats::start() else { return };
    let _one = worker(&nats, "b1", 2, by_arithmetic());
    let _two = worker(&nats, "b2", 1, by_arithmetic());
    // A list of accounts so long that it takes several messages.
    let mut plan = plan();
    let account =
        |n| Account { user: format!("load{n:06}"), auth_name: None, password: Some(format!("secret{n}")) };
    plan.phones.accounts = Accounts::List((0..20_000).map(account).collect());
    let mut crew = gathered(&nats, &plan, 2).expect("both come");
    assert_eq!(crew.parts(), 3);
    let cores: Vec<usize> = crew.members().iter().map(|member| member.parts.len()).collect();
    assert!(cores == [2, 1] || cores == [1, 2], "{cores:?}");
    assert!(crew.members().iter().all(|member| member.clock_error < Duration::from_secs(1)));
    tell_all(&mut crew, &plan);
    let end = listen(&mut crew);
    assert_eq!(end.lost, []);
    assert_eq!(end.offered(), wanted(&plan));
    for part in 0..3 {
        assert_eq!(end.seconds[&part], (0..SECONDS).collect::<Vec<_>>(), "each second once, in order");
    }
}

#[test]
fn a_worker_does_one_run_after_the_other() {
    let Some(nats) = Nats::start() else { return };
    let _one = worker(&nats, "b1", 1, by_arithmetic());
    for _ in 0..2 {
        let mut crew = gathered(&nats, &plan(), 1).expect("it comes");
        tell_all(&mut crew, &plan());
        assert_eq!(listen(&mut crew).offered(), wanted(&plan()));
    }
}

#[test]
fn a_part_that_cannot_go_on_is_named_with_its_worker_and_the_reason() {
    let Some(nats) = Nats::start() else { return };
    let good = by_arithmetic();
    let engine: Engine = Arc::new(move |task| {
        if task.part.index == 1 {
            return Err("no socket at 127.0.9.9".to_owned());
        }
        good(task)
    });
    let _one = worker(&nats, "b1", 2, engine);
    let mut crew = gathered(&nats, &plan(), 1).expect("it comes");
    tell_all(&mut crew, &plan());
    let end = listen(&mut crew);
    assert_eq!(end.lost, [(1, "worker b1: no socket at 127.0.9.9".to_owned())]);
    let missing = expected_of(&plan(), Part { index: 1, of: 2 });
    assert_eq!(end.offered() + missing, wanted(&plan()));
}

#[test]
fn a_worker_that_is_told_to_stop_tells_what_it_did_and_is_lost() {
    let Some(nats) = Nats::start() else { return };
    let one = worker(&nats, "b1", 1, by_arithmetic());
    let _two = worker(&nats, "b2", 1, by_arithmetic());
    let mut crew = gathered(&nats, &plan(), 2).expect("both come");
    one.stop();
    // Nobody was told of an end yet, so that it ends early.
    let Heard::Beat(beat) = until(&mut crew, |heard| matches!(heard, Heard::Beat(_))) else {
        panic!("a beat")
    };
    assert!(!beat.is_last, "it is not the last that was wanted of it");
    let Heard::Lost { part, why } = until(&mut crew, |_| true) else { panic!("then it is lost") };
    assert_eq!((part, &why[..]), (beat.part, "worker b1 was told to stop"));
    tell_all(&mut crew, &plan());
    let end = listen_for(&mut crew, 1);
    assert_eq!(end.lost, []);
    assert_eq!(end.offered(), expected_of(&plan(), Part { index: 1 - part, of: 2 }));
}

#[test]
fn a_broker_that_is_killed_and_comes_back_costs_nothing() {
    let Some(mut nats) = Nats::start() else { return };
    let _one = worker(&nats, "b1", 1, by_arithmetic());
    let _two = worker(&nats, "b2", 1, by_arithmetic());
    let plan = plan();
    let mut crew = gather(
        Gathering { expect: Some(2), silence: Duration::from_secs(60), ..Gathering::new(room(&nats)) },
        &plan,
        &server(),
        &mut |_| (),
    )
    .expect("both come");
    nats.restart();
    tell_all(&mut crew, &plan);
    let end = listen(&mut crew);
    assert_eq!(end.lost, []);
    assert_eq!(end.offered(), wanted(&plan));
}

#[test]
fn strangers_messages_change_nothing_and_are_told() {
    let Some(nats) = Nats::start() else { return };
    let _one = worker(&nats, "b1", 1, by_arithmetic());
    let mut crew = gathered(&nats, &plan(), 1).expect("it comes");
    let mut stranger = Stranger::at(&nats);
    // The run and the worker have names that nobody knows who does not listen; this one does.
    stranger.listen("lab-load.>");
    let (run, worker) = loop {
        let (subject, text) = stranger.next();
        let Some((_, run)) = subject.split_once("lab-load.test.run.") else { continue };
        let Some((_, rest)) = text.split_once("\"worker\":\"") else { continue };
        break (run.to_owned(), rest.split('"').next().expect("a name").to_owned());
    };
    let up = format!("lab-load.test.run.{run}");
    let down = format!("lab-load.test.worker.{worker}");
    stranger.say(&up, b"\xff\x00 no words");
    stranger.say(&up, b"{\"yes\":1}");
    stranger.say(&up, &vec![b'['; 1_000_000]);
    let beat = |beat: Beat, worker: &str| {
        let beat = serde_json::to_string(&beat).expect("a beat is JSON");
        format!("{{\"beat\":{{\"run\":\"{run}\",\"worker\":\"{worker}\",\"cut\":null,\"beat\":{beat}}}}}")
    };
    let mut huge = Beat::new(0, 0);
    huge.counted.offered = u64::MAX;
    stranger.say(&up, beat(huge, &worker).as_bytes());
    stranger.say(&up, beat(Beat::new(77, 0), &worker).as_bytes());
    stranger.say(&up, beat(Beat::new(0, 0), "somebody").as_bytes());
    stranger.say(&down, b"{\"dismiss\":{\"run\":\"another\"}}");
    stranger.say(&down, b"nonsense");
    stranger.say("lab-load.test.call", b"{\"call\":{\"run\":\"no.name\"}}");
    tell_all(&mut crew, &plan());
    let end = listen(&mut crew);
    assert_eq!((end.lost.len(), end.offered()), (0, wanted(&plan())));
    let remarks = crew.remarks().join("\n");
    for wanted in ["make no sense", "more than a second can have", "not its own", "not in this run: somebody"]
    {
        assert!(remarks.contains(wanted), "`{wanted}` in:\n{remarks}");
    }
}

#[test]
fn another_version_is_refused_by_name() {
    let Some(nats) = Nats::start() else { return };
    let stranger = impostor(&nats, r#""cores":2,"files":1024,"version":"0.0.1","protocol":0"#);
    let why = gathered(&nats, &plan(), 1).expect_err("another version");
    assert!(matches!(&why, WorkersError::Version { name, .. } if name == "b9"), "{why}");
    assert!(why.to_string().contains("0.0.1 (protocol 0)"), "{why}");
    stranger.join().expect("it was called");
}

#[test]
fn a_loopback_target_and_a_worker_elsewhere_do_not_go_together() {
    let Some(nats) = Nats::start() else { return };
    let version = env!("CARGO_PKG_VERSION");
    let who = format!(r#""cores":2,"files":1024,"version":"{version}","protocol":1"#);
    let stranger = impostor(&nats, &who);
    let why = gathered(&nats, &plan(), 1).expect_err("another machine").to_string();
    assert!(why.contains("b9") && why.contains("every machine has for itself"), "{why}");
    stranger.join().expect("it was called");
}

#[test]
fn a_worker_bears_load_to_others_only_if_that_was_said() {
    let Some(nats) = Nats::start() else { return };
    let _one = worker(&nats, "b1", 1, by_arithmetic());
    // TEST-NET-1 (RFC 5737); nothing is sent there, since the worker refuses.
    let elsewhere = Server { at: "192.0.2.1:5060".parse().expect("an address"), ..server() };
    let gathering = Gathering { expect: Some(1), ..Gathering::new(room(&nats)) };
    let why = gather(gathering, &plan(), &elsewhere, &mut |_| ()).expect_err("it refuses").to_string();
    assert!(why.contains("b1") && why.contains("--anywhere"), "{why}");
}

#[test]
fn too_few_files_are_told_before_anything_begins() {
    let Some(nats) = Nats::start() else { return };
    let _one = worker(&nats, "b1", 1, by_arithmetic());
    let mut plan = plan();
    plan.phones.count = 5_000;
    let tls = Server { transport: Transport::Tcp, ..server() };
    let gathering = Gathering { expect: Some(1), ..Gathering::new(room(&nats)) };
    let why = gather(gathering, &plan, &tls, &mut |_| ()).expect_err("1,024 files").to_string();
    assert!(why.contains("5064 files") && why.contains("960 such phones fit"), "{why}");
}

#[test]
fn nobody_in_the_room_is_said_and_so_is_a_broker_that_is_not_there() {
    let Some(nats) = Nats::start() else { return };
    let gathering = Gathering { wait: Duration::from_millis(500), ..Gathering::new(room(&nats)) };
    let why = gather(gathering, &plan(), &server(), &mut |_| ()).expect_err("nobody").to_string();
    assert!(why.contains("0 of 1 workers") && why.contains("lab worker nats://127.0.0.1:"), "{why}");
    let nowhere = Broker::new("nats://127.0.0.1:1", "test").expect("an address");
    let why = gather(Gathering::new(nowhere), &plan(), &server(), &mut |_| ()).expect_err("nothing there");
    assert!(matches!(why, WorkersError::Unreachable { .. }), "{why}");
}

/// Phones that register for [`SECONDS`] seconds.
fn plan() -> Plan {
    Plan {
        title: "two machines".to_owned(),
        seed: 1,
        target: Target::Server(server()),
        phones: Phones {
            count: 1_000,
            accounts: Accounts::Pattern { user: "load{n:05}".to_owned(), password: None },
            from: "127.0.9.1".parse().expect("an address"),
            addresses: 1,
            sockets: Sockets::Shared(1),
            expires: Duration::from_secs(3_600),
            refresh: None,
            keep_alive: None,
        },
        work: vec![Weighted { weight: 1, work: Work::Register { forget_challenge: false, close: false } }],
        profile: vec![Stage::Rate {
            from: 100.0,
            to: 733.0,
            over: Duration::from_secs(SECONDS.into()),
            arrivals: plan::Arrivals::Even,
        }],
        network: Network::default(),
        limits: Limits::default(),
        warm_up: Duration::ZERO,
        drain: Duration::from_secs(1),
        cores: None,
    }
}

fn server() -> Server {
    Server {
        at: "127.0.9.9:5060".parse().expect("an address"),
        transport: Transport::Udp,
        domain: "lab.example".to_owned(),
        tls: None,
    }
}

fn room(nats: &Nats) -> Broker {
    Broker::new(&nats.url(), "test").expect("an address")
}

fn gathered(nats: &Nats, plan: &Plan, expect: usize) -> Result<Workers, WorkersError> {
    let silence = Duration::from_secs(60);
    let gathering = Gathering { expect: Some(expect), silence, ..Gathering::new(room(nats)) };
    gather(gathering, plan, &server(), &mut |line| eprintln!("{line}"))
}

/// Does at once what each second wants, once it is told that the run ends, or that nobody wants anything any more.
fn by_arithmetic() -> Engine {
    Arc::new(|task: Task| {
        let mut stages = Vec::new();
        let mut last = 0;
        while let Ok(order) = task.orders.recv() {
            match order {
                Order::Stage { at, stage } => stages.push((at, stage)),
                Order::End { at, .. } => {
                    last = at.as_secs().saturating_sub(1) as u32;
                    break;
                }
            }
        }
        for second in 0..=last {
            let mut beat = Beat::new(task.part.index, second);
            for (at, stage) in &stages {
                for arrival in Arrivals::new(stage, task.part, task.plan.phones.count, task.plan.seed) {
                    if (*at + arrival.due).as_secs() == u64::from(second) {
                        beat.counted.offered += 1;
                        beat.counted.succeed(Kind::Register, Duration::from_millis(3));
                    }
                }
            }
            beat.is_last = second == last;
            task.beats.send(beat).map_err(|_| "nobody listens".to_owned())?;
        }
        Ok(())
    })
}

struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "a worker broke down");
    }
}

fn worker(nats: &Nats, name: &str, cores: u32, engine: Engine) -> Running {
    let (broker, name) = (room(nats), Some(name.to_owned()));
    let setup = WorkerSetup { broker, name, cores: Some(cores), files: 1_024, anywhere: false };
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || {
        serve(setup, engine, &stopped, &mut |line| eprintln!("{line}")).expect("a good end");
    });
    Running { stop, thread: Some(thread) }
}

/// Somebody who answers calls with a worker's words, from another machine.
fn impostor(nats: &Nats, who: &str) -> JoinHandle<()> {
    let mut stranger = Stranger::at(nats);
    stranger.listen("lab-load.>");
    let who = who.to_owned();
    std::thread::spawn(move || {
        loop {
            let (subject, text) = stranger.next();
            let run = text.split('"').nth(5).unwrap_or_default().to_owned();
            if subject.ends_with(".call") {
                let here = format!(
                    r#"{{"here":{{"id":"x1","name":"b9","host":"elsewhere","machine":"another",{who},"busy":null}}}}"#
                );
                stranger.say(&format!("lab-load.test.run.{run}"), here.as_bytes());
                return stranger.obey();
            }
        }
    })
}

fn tell_all(crew: &mut Workers, plan: &Plan) {
    let mut at = Duration::ZERO;
    for stage in &plan.profile {
        crew.tell(&Order::Stage { at, stage: stage.clone() });
        at += load::arrival::length(stage);
    }
    crew.tell(&Order::End { at, drain: plan.drain });
}

#[derive(Default)]
struct End {
    seconds: BTreeMap<u32, Vec<u32>>,
    offered: u64,
    succeeded: u64,
    lost: Vec<(u32, String)>,
}

impl End {
    fn offered(&self) -> u64 {
        assert_eq!(self.offered, self.succeeded, "each piece of work once");
        self.offered
    }
}

fn listen(crew: &mut Workers) -> End {
    let parts = crew.parts();
    listen_for(crew, parts)
}

/// Hears until so many parts are over.
fn listen_for(crew: &mut Workers, parts: u32) -> End {
    let mut end = End::default();
    let mut over = 0;
    while over < parts {
        match until(crew, |_| true) {
            Heard::Beat(beat) => {
                end.offered += beat.counted.offered;
                end.succeeded +=
                    beat.counted.latency.get(&Kind::Register).map_or(0, |it| it.histogram().len());
                end.seconds.entry(beat.part).or_default().push(beat.second);
                over += u32::from(beat.is_last);
            }
            Heard::Lost { part, why } => {
                end.lost.push((part, why));
                over += 1;
            }
            Heard::Nothing => {}
        }
    }
    end
}

fn until(crew: &mut Workers, wanted: impl Fn(&Heard) -> bool) -> Heard {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        match crew.hear(Duration::from_secs(1)) {
            Heard::Nothing => assert!(Instant::now() < deadline, "nothing was heard for two minutes"),
            heard if wanted(&heard) => return heard,
            _ => {}
        }
    }
}

fn expected_of(plan: &Plan, part: Part) -> u64 {
    let of = |stage| expected(stage, part, plan.phones.count, plan.seed, load::arrival::length(stage));
    plan.profile.iter().map(of).sum()
}

fn wanted(plan: &Plan) -> u64 {
    expected_of(plan, Part { index: 0, of: 1 })
}
