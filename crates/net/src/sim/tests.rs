//! The simulated network, as two actors on it see it.

use std::net::Ipv4Addr;

use super::*;
use crate::node::{Dial, Security, StreamEvent};
use crate::rule::Verdict;

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 20)), 80);
const CLIENT_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99));

/// Echoes what it is sent; as a client it dials and speaks when told to; keeps a list of what happened to it.
#[derive(Debug, Default)]
struct Echo {
    address: Option<IpAddr>,
    is_server: bool,
    heard: Vec<String>,
    stream: Option<StreamId>,
    /// Wants to be woken at once, again and again.
    is_restless: bool,
}

impl Node for Echo {
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
        match input {
            Input::PowerOn(disk) => {
                self.heard.push(format!("on with {} files", disk.len()));
                out.address(self.address);
                if self.is_server {
                    out.listen(SERVER.port(), ListenSecurity::Tcp);
                    out.listen(SERVER.port(), ListenSecurity::Udp);
                } else {
                    out.listen(5000, ListenSecurity::Udp);
                }
            }
            Input::Stream(id, StreamEvent::Received(bytes)) => {
                self.heard.push(format!("{now} {}", String::from_utf8_lossy(&bytes)));
                if self.is_server {
                    out.write(id, bytes);
                }
            }
            Input::Stream(_, StreamEvent::Opened { .. }) => self.heard.push(format!("{now} opened")),
            Input::Stream(_, StreamEvent::Accepted { .. }) => self.heard.push(format!("{now} accepted")),
            Input::Stream(_, StreamEvent::Closed(why)) => self.heard.push(format!("{now} {why}")),
            Input::Datagram(datagram) => {
                self.heard.push(format!("{now} datagram"));
                if self.is_server {
                    out.send(SERVER, datagram.from, datagram.payload);
                }
            }
            Input::Kept(_) => self.heard.push(format!("{now} kept")),
            Input::Woken | Input::PowerOff => {}
        }
    }

    fn wake_at(&self) -> Option<Time> {
        self.is_restless.then_some(Time::ZERO)
    }
}

struct Stage {
    sim: Sim<Echo>,
    client: NodeId,
    server: NodeId,
    office: SegmentId,
}

fn stage(seed: u64, link: LinkModel) -> Stage {
    let mut sim = Sim::new(seed);
    let office = sim.add_segment("office", link);
    let cloud = sim.add_segment("cloud", LinkModel::default());
    let client = sim.add_node("client", Echo { address: Some(CLIENT_IP), ..Echo::default() }, office);
    let server = Echo { address: Some(SERVER.ip()), is_server: true, ..Echo::default() };
    let server = sim.add_node("server", server, cloud);
    sim.power_on(server);
    sim.power_on(client);
    Stage { sim, client, server, office }
}

impl Stage {
    fn dial(&mut self, port: u16) {
        let to = SocketAddr::new(SERVER.ip(), port);
        self.sim.act(self.client, |node, _, out| {
            node.stream = Some(out.open(Dial { to, security: Security::Plain }));
        });
    }

    fn say(&mut self, text: &str) {
        let text = text.to_owned();
        self.sim.act(self.client, |node, _, out| out.write(node.stream.expect("dialled"), text));
    }

    fn run_to(&mut self, secs: u64) {
        while self.sim.step(Time::from_secs(secs)) == Step::Happened {}
    }

    fn heard(&self, who: NodeId) -> Vec<String> {
        self.sim.look(who).heard[1..].to_vec()
    }
}

fn slow() -> LinkModel {
    LinkModel { delay: Duration::from_millis(10), ..LinkModel::default() }
}

#[test]
fn a_stream_opens_after_one_round_trip_and_echoes_after_another() {
    let mut stage = stage(7, slow());
    stage.dial(80);
    stage.run_to(1);
    stage.say("hello");
    stage.run_to(2);
    assert_eq!(stage.heard(stage.client), ["0.020s opened", "1.020s hello"]);
    assert_eq!(stage.heard(stage.server), ["0.010s accepted", "1.010s hello"]);
}

#[test]
fn nobody_at_the_port_refuses_and_nobody_at_the_address_is_unreachable() {
    let mut stage = stage(7, slow());
    stage.dial(81);
    stage.run_to(1);
    assert_eq!(stage.heard(stage.client), ["0.020s connection refused"]);
    stage.sim.act(stage.client, |_, _, out| {
        out.open(Dial { to: "203.0.113.1:80".parse().expect("an address"), security: Security::Plain });
    });
    stage.run_to(2);
    assert_eq!(stage.heard(stage.client)[1], "1.000s network unreachable");
}

#[test]
fn a_dial_to_a_dead_server_is_given_up_after_fifteen_seconds() {
    let mut stage = stage(7, slow());
    stage.dial(80);
    stage.sim.link_mut(stage.office).is_cut = true;
    stage.run_to(60);
    // The first request was on its way before the cut; the answer never came back.
    assert_eq!(stage.heard(stage.client).len(), 0);
    stage.dial(80);
    stage.run_to(120);
    assert_eq!(stage.heard(stage.client), ["1m 15.000s no answer, connection timed out"]);
}

#[test]
fn what_is_said_during_a_cut_arrives_in_order_after_it() {
    let mut stage = stage(7, slow());
    stage.dial(80);
    stage.run_to(1);
    stage.sim.link_mut(stage.office).is_cut = true;
    stage.say("one");
    stage.say("two");
    stage.run_to(6);
    stage.sim.link_mut(stage.office).is_cut = false;
    stage.run_to(30);
    assert_eq!(stage.heard(stage.server)[1..], ["8.010s one", "8.010s two"]);
}

#[test]
fn a_restarted_server_resets_the_connections_of_its_former_life() {
    let mut stage = stage(7, slow());
    stage.dial(80);
    stage.run_to(1);
    stage.sim.power_off(stage.server);
    stage.run_to(2);
    stage.sim.power_on(stage.server);
    stage.run_to(3);
    stage.say("still there?");
    stage.run_to(4);
    assert_eq!(stage.heard(stage.client), ["0.020s opened", "3.020s connection reset"]);
}

#[test]
fn a_power_cut_is_silent_and_the_other_end_finds_out_by_speaking() {
    let mut stage = stage(7, slow());
    stage.dial(80);
    stage.run_to(1);
    stage.sim.power_off(stage.server);
    stage.run_to(100);
    assert_eq!(stage.heard(stage.client), ["0.020s opened"]);
    stage.say("hello?");
    stage.run_to(300);
    assert_eq!(stage.heard(stage.client)[1], "2m 43.000s no answer, connection timed out");
}

#[test]
fn a_stopped_program_resets_its_connections_and_refuses_new_ones() {
    let mut stage = stage(7, slow());
    stage.dial(80);
    stage.run_to(1);
    stage.sim.stop(stage.server);
    stage.run_to(2);
    stage.dial(80);
    stage.run_to(3);
    stage.sim.power_on(stage.server);
    stage.dial(80);
    stage.run_to(4);
    let heard = stage.heard(stage.client);
    assert_eq!(heard[1..], ["1.010s connection reset", "2.020s connection refused", "3.020s opened"]);
}

#[test]
fn a_rule_holds_for_as_many_packets_as_it_says() {
    let mut stage = stage(7, slow());
    let filter = crate::rule::Filter { transport: Some(Transport::Udp), ..Default::default() };
    let name = "lose two".to_owned();
    stage.sim.add_rule(Rule { name, filter, verdict: Verdict::Drop, remaining: Some(2) });
    for secs in 0..3 {
        stage.run_to(secs);
        stage.sim.act(stage.client, |_, _, out| {
            out.send(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 5000), SERVER, "ping");
        });
    }
    stage.run_to(9);
    assert_eq!(stage.heard(stage.server), ["2.010s datagram"]);
    assert_eq!(stage.heard(stage.client), ["2.020s datagram"]);
}

#[test]
fn an_actor_that_never_lets_time_pass_stalls_the_world_and_does_not_hang_it() {
    let mut stage = stage(7, slow());
    stage.sim.act(stage.client, |node, _, _| node.is_restless = true);
    let mut last = Step::Happened;
    while last == Step::Happened {
        last = stage.sim.step(Time::from_secs(1));
    }
    assert_eq!(last, Step::Stalled);
}

#[test]
fn a_refused_port_refuses_at_once() {
    let mut stage = stage(7, slow());
    let filter = crate::rule::Filter { port: Some(80), ..Default::default() };
    stage.sim.add_rule(Rule { name: "refuse".to_owned(), filter, verdict: Verdict::Refuse, remaining: None });
    stage.dial(80);
    stage.run_to(1);
    assert_eq!(stage.heard(stage.client), ["0.020s connection refused"]);
}

#[test]
fn a_broadcast_stays_on_its_segment() {
    let mut stage = stage(7, slow());
    stage.sim.act(stage.client, |_, _, out| {
        out.send(
            "0.0.0.0:5000".parse().expect("an address"),
            "255.255.255.255:80".parse().expect("one"),
            "x",
        );
    });
    stage.run_to(1);
    assert!(stage.heard(stage.server).is_empty(), "the server lives on another segment");
}

#[test]
fn a_write_counts_once_it_is_kept_and_the_next_power_cycle_reads_it() {
    let mut stage = stage(7, slow());
    stage.sim.act(stage.client, |_, _, out| _ = out.append("log", "line"));
    stage.run_to(1);
    stage.sim.power_off(stage.client);
    stage.sim.power_on(stage.client);
    assert_eq!(stage.heard(stage.client), ["0.002s kept", "on with 1 files"]);
    assert_eq!(stage.sim.disk(stage.client)["log"], b"line");
}

fn busy_run(seed: u64, phones: u32) -> Sim<Echo> {
    let model = LinkModel {
        delay: Duration::from_millis(10),
        jitter: Duration::from_millis(8),
        loss: 0.2,
        duplicate: 0.1,
        reorder: 0.1,
        is_cut: false,
    };
    let mut stage = stage(seed, model);
    for n in 0..phones {
        let address = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100 + n as u8)));
        let extra =
            stage.sim.add_node(&format!("extra {n}"), Echo { address, ..Echo::default() }, stage.office);
        stage.sim.power_on(extra);
    }
    stage.dial(80);
    for secs in 1..200 {
        stage.run_to(secs);
        stage.say("again");
    }
    stage.run_to(1000);
    stage.sim
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_every_lane_and_another_seed_does_not() {
    let (one, two, other) = (busy_run(7, 0), busy_run(7, 0), busy_run(8, 0));
    assert_eq!(one.trace_hash(), two.trace_hash());
    assert_eq!(one.lane_hashes(), two.lane_hashes());
    assert_ne!(one.trace_hash(), other.trace_hash());
}

/// A file that a test can look into.
#[derive(Clone, Debug, Default)]
struct File(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for File {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panicked with it").extend(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Says one thing over a link that is cut for a while, with or without somebody listening.
fn cut_run(file: Option<File>) -> (Sim<Echo>, Vec<String>) {
    let mut stage = stage(7, slow());
    if let Some(file) = file {
        stage.sim.start_capture(crate::time::Wall::UNIX_EPOCH, "a cut", Box::new(file));
    }
    stage.dial(80);
    stage.run_to(1);
    stage.sim.link_mut(stage.office).is_cut = true;
    stage.say("hello");
    stage.run_to(2);
    stage.sim.link_mut(stage.office).is_cut = false;
    stage.run_to(9);
    stage.sim.finish_capture().expect("nothing was in the way of writing");
    let heard = stage.heard(stage.client);
    (stage.sim, heard)
}

#[test]
fn whoever_listens_changes_nothing_and_is_told_what_never_came() {
    let (first, second) = (File::default(), File::default());
    let (heard, silent) = (cut_run(Some(first.clone())), cut_run(None));
    cut_run(Some(second.clone()));
    assert_eq!((heard.0.trace_hash(), heard.1), (silent.0.trace_hash(), silent.1));
    let (first, second) = (first.0.lock().expect("not poisoned"), second.0.lock().expect("not poisoned"));
    assert!(*first == *second, "the same run gave two captures");
    let count = |octets: &[u8]| first.windows(octets.len()).filter(|window| *window == octets).count();
    // The tap is in the cloud: it sees what came through the cut line and its echo, and hears of the tries before.
    assert_eq!(count(b"hello"), 2);
    assert_eq!(count(b"lost on the way"), 2);
    assert_eq!(count(b"segment office"), 1);
}

#[test]
fn a_capture_that_cannot_be_written_says_so_at_the_end_and_stops_nobody() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut stage = stage(7, slow());
    stage.sim.start_capture(crate::time::Wall::UNIX_EPOCH, "a full disk", Box::new(Full));
    stage.dial(80);
    stage.run_to(1);
    assert_eq!(stage.heard(stage.client), ["0.020s opened"]);
    let why = stage.sim.finish_capture().expect_err("the disk was full");
    assert_eq!(why.kind(), std::io::ErrorKind::StorageFull);
}

#[test]
fn an_idle_neighbour_changes_nothing_on_the_lanes() {
    assert_eq!(busy_run(7, 0).lane_hashes(), busy_run(7, 3).lane_hashes());
}
