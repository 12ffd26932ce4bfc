//! A plan played by the engine, in as many parts as wanted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use load::plan::{
    Accounts, Arrivals, Limits, Network, Phones, Plan, Server, Sockets, Stage, Target, Transport, Weighted,
    Work,
};
use load::{Beat, Counts, Gauges, Order, Part};

use super::judge::PASSWORD;

/// Registrations that keep their challenge and their connection.
pub const REGISTER: Work = Work::Register { forget_challenge: false, close: false };

/// A plan with so many phones against a server, that does nothing yet.
pub fn plan(at: SocketAddr, transport: Transport, phones: u32) -> Plan {
    let server = Server { at, transport, domain: "contoso.example".to_owned(), tls: None };
    Plan {
        title: "test".to_owned(),
        seed: 11,
        target: Target::Server(server),
        phones: Phones {
            count: phones,
            accounts: Accounts::Pattern {
                user: "load{n:04}".to_owned(),
                password: Some(PASSWORD.to_owned()),
            },
            from: "127.31.0.1".parse().expect("an address"),
            addresses: 10,
            sockets: Sockets::Shared(1),
            expires: Duration::from_secs(600),
            refresh: None,
            keep_alive: None,
        },
        work: vec![Weighted { weight: 1, work: REGISTER }],
        profile: Vec::new(),
        network: Network::default(),
        limits: Limits::default(),
        warm_up: Duration::ZERO,
        drain: Duration::from_secs(40),
        cores: None,
    }
}

/// So much work a second for so long.
pub fn rate(rate: f64, over: Duration) -> Stage {
    Stage::Rate { from: rate, to: rate, over, arrivals: Arrivals::Poisson }
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Everything, the warm-up included.
    pub all: Counts,
    /// The warm-up alone.
    pub warm: Counts,
    /// How it stood at the end, over all parts.
    pub gauges: Gauges,
    /// How much must have been offered by the plan's arithmetic.
    pub expected: u64,
}

impl Outcome {
    /// The longest and the shortest response time.
    pub fn took(&self) -> (Duration, Duration) {
        let all = self.all.latency.values().map(load::beat::Latency::histogram);
        let us = all.fold((0, u64::MAX), |(max, min), one| (max.max(one.max()), min.min(one.min())));
        (Duration::from_micros(us.0), Duration::from_micros(us.1))
    }
}

/// Plays a plan's profile. Whatever comes of it, it must add up, and each second be told once.
pub fn play(plan: &Plan, parts: u32) -> Outcome {
    let Target::Server(server) = plan.target.clone() else { panic!("the plan has a server") };
    let plan = Arc::new(plan.clone());
    let start = Instant::now() + Duration::from_millis(10);
    let (beats, heard) = channel::<Beat>();
    let mut outcome =
        Outcome { all: Counts::default(), warm: Counts::default(), gauges: Gauges::default(), expected: 0 };
    let mut threads = Vec::new();
    for index in 0..parts {
        let part = Part { index, of: parts };
        let (order, orders) = channel();
        let mut at = Duration::ZERO;
        for stage in &plan.profile {
            let length = load::arrival::length(stage);
            order.send(Order::Stage { at, stage: stage.clone() }).expect("it listens");
            outcome.expected += load::arrival::expected(stage, part, plan.phones.count, plan.seed, length);
            at += length;
        }
        order.send(Order::End { at, drain: plan.drain }).expect("it listens");
        let (plan, server, beats) = (plan.clone(), server.clone(), beats.clone());
        let work = move || load::engine::run(&plan, &server, part, start, orders, beats);
        threads.push((std::thread::spawn(work), order));
    }
    drop(beats);
    let mut seconds = vec![0; parts as usize];
    for beat in heard {
        assert_eq!(beat.second, seconds[beat.part as usize], "each second is told once, in order");
        seconds[beat.part as usize] += 1;
        outcome.all.add(&beat.counted);
        outcome.all.add(&beat.warm);
        outcome.warm.add(&beat.warm);
        if beat.is_last {
            outcome.gauges.registered += beat.gauges.registered;
            outcome.gauges.in_flight += beat.gauges.in_flight;
            outcome.gauges.connected += beat.gauges.connected;
        }
    }
    for (thread, _order) in threads {
        thread.join().expect("the engine does not panic").expect("the engine can work");
    }
    assert!(outcome.all.adds_up(), "{:?}", outcome.all);
    let recorded: u64 = outcome.all.latency.values().map(|it| it.histogram().len()).sum();
    assert_eq!(recorded, outcome.all.succeeded, "each success has a response time");
    outcome
}
