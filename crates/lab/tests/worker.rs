//! `lab worker` as a program: a worker that is killed under load is missed, and nothing of the others is.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "programs of this machine, at sockets, on its clock"
)]

use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use load::arrival::{expected, length};
use load::plan::{
    self, Accounts, Limits, Network, Part, Phones, Plan, Server, Sockets, Stage, Target, Transport, Weighted,
    Work,
};
use load::workers::{Broker, Gathering, Workers, gather};
use load::{Counts, Crew, Heard, Order};

/// A program that is killed when the test is over.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_worker_that_is_killed_under_load_is_named_and_the_rest_is_whole() {
    let Some((_nats, url)) = nats() else { return };
    let registrar = Registrar::start();
    let mut one = worker(&url, "b1");
    let mut two = worker(&url, "b2");
    let plan = plan(registrar.at);
    let Target::Server(server) = plan.target.clone() else { panic!("a server") };
    let broker = Broker::new(&url, "load").expect("an address");
    let gathering = Gathering { expect: Some(2), ..Gathering::new(broker) };
    let mut crew = gather(gathering, &plan, &server, &mut |line| eprintln!("{line}")).expect("both come");
    let killed = usize::from(crew.members()[0].name == "b2");
    let part = crew.members()[0].parts[0];
    let name = crew.members()[0].name.clone();
    tell_all(&mut crew, &plan);

    let mut counts = [Counts::default(), Counts::default()];
    let mut seconds = [0; 2];
    let mut lost = None;
    let mut is_killed = false;
    let mut is_over = false;
    let deadline = Instant::now() + Duration::from_secs(120);
    while lost.is_none() || !is_over {
        assert!(Instant::now() < deadline, "it does not come to an end");
        match crew.hear(Duration::from_secs(1)) {
            Heard::Beat(beat) => {
                let index = beat.part as usize;
                assert_eq!(beat.second, seconds[index], "each second once, in order");
                seconds[index] += 1;
                counts[index].add(&beat.counted);
                is_over |= beat.is_last;
                if beat.part == part && !is_killed {
                    is_killed = true;
                    // SIGKILL: it says nothing any more.
                    [&mut one, &mut two][killed].0.kill().expect("it runs");
                }
            }
            Heard::Lost { part, why } => lost = Some((part, why)),
            Heard::Nothing => {}
        }
    }
    assert_eq!(lost, Some((part, format!("worker {name} was not heard of for 5 s"))));
    let other = Part { index: 1 - part, of: 2 };
    let whole = |part: Part| -> u64 {
        let of = |stage| expected(stage, part, plan.phones.count, plan.seed, length(stage));
        plan.profile.iter().map(of).sum()
    };
    let [kept, cut] = [&counts[other.index as usize], &counts[part as usize]];
    assert!(kept.adds_up() && kept.offered == whole(other), "{} of {}", kept.offered, whole(other));
    assert!(kept.succeeded > 0 && cut.succeeded > 0, "there was load");
    // What is missing is known to the piece: what was to be offered less what was told.
    let missing =
        whole(Part { index: part, of: 2 }).checked_sub(cut.offered).expect("not more than was wanted");
    assert!(missing > 0);
    assert_eq!(kept.offered + cut.offered + missing, whole(Part { index: 0, of: 1 }));
}

#[test]
fn a_worker_that_is_asked_to_stop_ends_well() {
    let Some((_nats, url)) = nats() else { return };
    let registrar = Registrar::start();
    let mut one = worker(&url, "b1");
    let plan = plan(registrar.at);
    let Target::Server(server) = plan.target.clone() else { panic!("a server") };
    let broker = Broker::new(&url, "load").expect("an address");
    let gathering = Gathering { expect: Some(1), ..Gathering::new(broker) };
    let mut crew = gather(gathering, &plan, &server, &mut |line| eprintln!("{line}")).expect("it comes");
    tell_stage(&mut crew, &plan);
    let mut sum = Counts::default();
    let why = loop {
        match crew.hear(Duration::from_secs(60)) {
            Heard::Beat(beat) => {
                if beat.second == 0 {
                    let pid = one.0.id().to_string();
                    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
                }
                sum.add(&beat.counted);
            }
            Heard::Lost { why, .. } => break why,
            Heard::Nothing => panic!("nothing is heard"),
        }
    };
    assert_eq!(why, "worker b1 was told to stop");
    assert!(sum.adds_up() && sum.succeeded > 0, "{sum:?}");
    assert!(one.0.wait().expect("it ends").success());
}

fn plan(at: std::net::SocketAddr) -> Plan {
    let server = Server { at, transport: Transport::Udp, domain: "lab.example".to_owned(), tls: None };
    Plan {
        title: "a worker is killed".to_owned(),
        seed: 1,
        target: Target::Server(server),
        phones: Phones {
            count: 500,
            accounts: Accounts::Pattern { user: "load{n}".to_owned(), password: None },
            from: "127.0.0.1".parse().expect("an address"),
            addresses: 1,
            sockets: Sockets::Shared(1),
            expires: Duration::from_secs(3_600),
            refresh: None,
            keep_alive: None,
        },
        work: vec![Weighted { weight: 1, work: Work::Register { forget_challenge: false, close: false } }],
        profile: vec![Stage::Rate {
            from: 50.0,
            to: 50.0,
            over: Duration::from_secs(5),
            arrivals: plan::Arrivals::Even,
        }],
        network: Network::default(),
        limits: Limits::default(),
        warm_up: Duration::ZERO,
        drain: Duration::from_secs(5),
        cores: None,
    }
}

fn tell_stage(crew: &mut Workers, plan: &Plan) {
    crew.tell(&Order::Stage { at: Duration::ZERO, stage: plan.profile[0].clone() });
}

fn tell_all(crew: &mut Workers, plan: &Plan) {
    tell_stage(crew, plan);
    crew.tell(&Order::End { at: length(&plan.profile[0]), drain: plan.drain });
}

fn worker(url: &str, name: &str) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(["worker", url, "--name", name, "--cores", "1"]);
    Program(command.spawn().expect("the program is there"))
}

/// A broker; nothing, said aloud, if there is none on this machine.
fn nats() -> Option<(Program, String)> {
    // A port that was free a moment ago.
    let probe = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = probe.local_addr().expect("a port").port();
    drop(probe);
    let mut command = Command::new("nats-server");
    command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
    match command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        Ok(child) => {
            let nats = Program(child);
            let deadline = Instant::now() + Duration::from_secs(60);
            while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(Instant::now() < deadline, "nats-server does not listen");
                std::thread::sleep(Duration::from_millis(20));
            }
            Some((nats, format!("nats://127.0.0.1:{port}")))
        }
        Err(_) => {
            eprintln!("SKIPPED: no nats-server on this machine (Debian's package has that name)");
            None
        }
    }
}

/// Says 200 to everything.
struct Registrar {
    at: std::net::SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Registrar {
    fn start() -> Registrar {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a time limit");
        let at = socket.local_addr().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    let _ = socket.send_to(answer(&request).as_bytes(), from);
                }
            }
        });
        Registrar { at, stop }
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn answer(request: &str) -> String {
    let mut answer = String::from("SIP/2.0 200 OK\r\n");
    for line in request.split("\r\n").skip(1) {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match &name[..] {
            "via" | "from" | "call-id" | "cseq" | "contact" | "expires" => {
                answer.push_str(&format!("{line}\r\n"));
            }
            "to" => answer.push_str(&format!("{line};tag=r\r\n")),
            _ => {}
        }
    }
    answer.push_str("Content-Length: 0\r\n\r\n");
    answer
}
