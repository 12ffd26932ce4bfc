//! The generator alone, without plans: `bare udp 127.0.7.1:15060 --phones 10000 --rate 100000 --seconds 5`.
//!
//! Prints what came of it, and what it cost this side: CPU of each thread divided by the registrations that succeeded.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a program of its own, with a clock and arguments"
)]

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use load::plan::{
    Accounts, Arrivals, Limits, Network, Phones, Plan, Server, Sockets, Stage, Target, TlsRules, Transport,
    Weighted, Work,
};
use load::{Beat, Counts, Order, Part};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: f64| {
        let place = arguments.iter().position(|it| it == name);
        place.and_then(|place| arguments.get(place + 1)?.parse().ok()).unwrap_or(default)
    };
    let has = |name: &str| arguments.iter().any(|it| it == name);
    let (Some(transport), Some(at)) = (arguments.first(), arguments.get(1).and_then(|at| at.parse().ok()))
    else {
        eprintln!(
            "bare udp|tcp|tls ADDRESS:PORT [--phones N] [--rate N] [--seconds N] [--parts N] [--storm S] [--forget] [--loss X]"
        );
        std::process::exit(2);
    };
    let transport = match transport.as_str() {
        "tcp" => Transport::Tcp,
        "tls" => Transport::Tls,
        _ => Transport::Udp,
    };
    let server = Server {
        at,
        transport,
        domain: "contoso.example".to_owned(),
        tls: Some(TlsRules { server_name: "contoso.example".to_owned(), roots: None }),
    };
    let seconds = number("--seconds", 5.0);
    let warm_up = number("--warm-up", 1.0);
    let plan = Plan {
        title: "bare".to_owned(),
        seed: 7,
        target: Target::Server(server.clone()),
        phones: Phones {
            count: number("--phones", 10_000.0) as u32,
            accounts: Accounts::Pattern {
                user: "load{n:06}".to_owned(),
                password: Some("secret".to_owned()),
            },
            from: "127.30.0.1".parse().expect("an address"),
            addresses: number("--addresses", 200.0) as u32,
            sockets: if has("--per-phone") {
                Sockets::PerPhone
            } else {
                Sockets::Shared(number("--sockets", 1.0) as u32)
            },
            expires: Duration::from_secs(3600),
            refresh: None,
            keep_alive: None,
        },
        work: vec![Weighted {
            weight: 1,
            work: Work::Register { forget_challenge: has("--forget"), close: has("--close") },
        }],
        profile: Vec::new(),
        network: Network { loss: number("--loss", 0.0), ..Network::default() },
        limits: Limits::default(),
        warm_up: Duration::from_secs_f64(warm_up),
        drain: Duration::from_secs(33),
        cores: None,
    };
    let parts = number("--parts", 1.0) as u32;
    let storm = number("--storm", 0.0);
    let over = Duration::from_secs_f64(if storm > 0.0 { storm } else { seconds + warm_up });
    let rate = number("--rate", 20_000.0);
    let stage = match storm > 0.0 {
        true => Stage::BootStorm { boot: over / 2, jitter: over / 6, over },
        false => Stage::Rate { from: rate, to: rate, over, arrivals: Arrivals::Even },
    };
    let plan = Arc::new(plan);
    let start = Instant::now() + Duration::from_millis(200);
    let (beats, heard) = channel::<Beat>();
    let threads: Vec<_> = (0..parts)
        .map(|index| {
            let (order, orders) = channel();
            let (plan, server, beats, stage) = (plan.clone(), server.clone(), beats.clone(), stage.clone());
            // An engine that ends early is told by its own result.
            let _ = order.send(Order::Stage { at: Duration::ZERO, stage });
            let _ = order.send(Order::End { at: over, drain: plan.drain });
            let thread = std::thread::spawn(move || {
                load::engine::run(&plan, &server, Part { index, of: parts }, start, orders, beats)
            });
            (thread, order)
        })
        .collect();
    drop(beats);
    let (mut warm, mut counted, mut cpu, mut blocked, mut late) =
        (Counts::default(), Counts::default(), 0_u64, 0, 0);
    let mut last = None;
    for beat in heard {
        warm.add(&beat.warm);
        counted.add(&beat.counted);
        cpu += beat.cpu_ns;
        blocked += beat.blocked;
        late = late.max(beat.lateness_us);
        last = Some(beat.gauges);
    }
    for (thread, _) in threads {
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(why)) => println!("{why}"),
            Err(_) => println!("a part panicked"),
        }
    }
    let elapsed = start.elapsed();
    let all = warm.succeeded + counted.succeeded;
    println!(
        "offered {} succeeded {} failed {:?} unfinished {}",
        counted.offered, counted.succeeded, counted.failed, counted.unfinished
    );
    println!(
        "warm-up: offered {} succeeded {} failed {:?}; adds up: {}",
        warm.offered,
        warm.succeeded,
        warm.failed,
        {
            let mut sum = warm.clone();
            sum.add(&counted);
            sum.adds_up()
        }
    );
    println!(
        "retransmissions {} challenges {} strays {} lost on purpose {} blocked {blocked} late by at most {late} µs, at the end {last:?}",
        warm.retransmissions + counted.retransmissions,
        counted.challenges,
        counted.strays,
        counted.lost_on_purpose
    );
    for (kind, latency) in &counted.latency {
        let ms = |share| latency.quantile(share).map_or(f64::NAN, |it| it.as_secs_f64() * 1e3);
        println!("{}: p50 {:.3} p99 {:.3} p99.9 {:.3} ms", kind.name(), ms(0.5), ms(0.99), ms(0.999));
    }
    println!(
        "{:.2} µs of CPU for each that succeeded, {:.0}/s, {:.2} cores",
        cpu as f64 / 1e3 / all.max(1) as f64,
        all as f64 / elapsed.as_secs_f64(),
        cpu as f64 / 1e9 / elapsed.as_secs_f64(),
    );
}
