//! All four servers in the simulated network, used by a stranger's machine; and power cuts in mid-write.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use net::sim::{CutAtWrite, LinkModel};
use net::{
    Datagram, Dial, Input, ListenSecurity, Node, NodeId, Outbox, Security, Sim, Step, StreamEvent, Time,
    Wall, WallClock, World as _,
};
use site::dhcp::Options;
use site::dns::{Data, Entry};
use site::{DhcpServer, DnsServer, NtpServer, ProvisioningServer};

/// Everybody in this test's world.
#[expect(clippy::large_enum_variant, reason = "there are six of them")]
#[derive(Debug)]
enum Machine {
    Dhcp(DhcpServer),
    Dns(DnsServer),
    Ntp(NtpServer),
    Provisioning(ProvisioningServer),
    Stranger(Stranger),
}

impl Node for Machine {
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
        match self {
            Machine::Dhcp(node) => node.handle(now, input, out),
            Machine::Dns(node) => node.handle(now, input, out),
            Machine::Ntp(node) => node.handle(now, input, out),
            Machine::Provisioning(node) => node.handle(now, input, out),
            Machine::Stranger(node) => node.handle(now, input, out),
        }
    }

    fn wake_at(&self) -> Option<Time> {
        match self {
            Machine::Dhcp(node) => node.wake_at(),
            Machine::Dns(node) => node.wake_at(),
            Machine::Ntp(node) => node.wake_at(),
            Machine::Provisioning(node) => node.wake_at(),
            Machine::Stranger(_) => None,
        }
    }
}

/// A machine that asks for an address, then for the time, a name and a file, and tells what it got.
#[derive(Debug)]
struct Stranger {
    mac: u8,
    address: Option<Ipv4Addr>,
    got: Vec<String>,
}

fn any(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

impl Stranger {
    fn new(mac: u8) -> Stranger {
        Stranger { mac, address: None, got: Vec::new() }
    }

    fn dhcp(&self, kind: u8, options: &[u8]) -> Vec<u8> {
        let mut octets = vec![1, 1, 6, 0, 0, 0, 0, self.mac, 0, 0, 0x80, 0];
        octets.resize(28, 0);
        octets.extend([0, 4, 0xf2, 0, 0, self.mac]);
        octets.resize(236, 0);
        octets.extend([99, 130, 83, 99, 53, 1, kind]);
        octets.extend(options);
        octets.push(255);
        octets
    }

    fn hear_dhcp(&mut self, payload: &[u8], out: &mut Outbox) {
        // A broadcast is heard by everybody; only one's own transaction counts.
        if payload[7] != self.mac {
            return;
        }
        let offered = Ipv4Addr::new(payload[16], payload[17], payload[18], payload[19]);
        let at = payload[240..].windows(2).position(|octets| octets == [53, 1]).expect("a message type");
        match payload[240 + at + 2] {
            2 => {
                let mut options = vec![54, 4, 10, 20, 0, 1, 50, 4];
                options.extend(offered.octets());
                let broadcast = SocketAddr::from((Ipv4Addr::BROADCAST, 67));
                out.send(any(68), broadcast, self.dhcp(3, &options));
            }
            5 => {
                self.address = Some(offered);
                self.got.push(offered.to_string());
                out.address(Some(offered.into()));
                let mut question = [0; 48];
                question[0] = 0x23;
                out.send(any(40_000), SocketAddr::from(([192, 0, 2, 123], 123)), question.to_vec());
                let name = b"\x02fe\x07contoso\x07example\0";
                let dns = [&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], name, &[0, 1, 0, 1]].concat();
                out.send(any(40_001), SocketAddr::from(([192, 0, 2, 53], 53)), dns);
                let to = SocketAddr::from(([10, 20, 0, 2], 80));
                out.open(Dial { to, security: Security::Plain });
            }
            other => panic!("a message of type {other}"),
        }
    }

    fn hear(&mut self, datagram: &Datagram, out: &mut Outbox) {
        let payload = &datagram.payload;
        match datagram.to.port() {
            68 => self.hear_dhcp(payload, out),
            40_000 => {
                let secs = u32::from_be_bytes([payload[40], payload[41], payload[42], payload[43]]);
                self.got.push(Wall::from_unix_secs(i64::from(secs) - 2_208_988_800).to_string());
            }
            _ => self.got.push(format!("{:?}", &payload[payload.len() - 4..])),
        }
    }
}

impl Node for Stranger {
    fn handle(&mut self, _: Time, input: Input, out: &mut Outbox) {
        match input {
            Input::PowerOn(_) => {
                self.address = None;
                for port in [68, 40_000, 40_001] {
                    out.listen(port, ListenSecurity::Udp);
                }
                out.send(any(68), SocketAddr::from((Ipv4Addr::BROADCAST, 67)), self.dhcp(1, &[]));
            }
            Input::Datagram(datagram) => self.hear(&datagram, out),
            Input::Stream(id, StreamEvent::Opened { .. }) => {
                out.write(id, &b"GET /000000000000.cfg HTTP/1.1\r\nHost: prov\r\n\r\n"[..]);
            }
            Input::Stream(_, StreamEvent::Received(bytes)) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                self.got.push(text.rsplit("\r\n").next().unwrap_or_default().to_owned());
            }
            _ => {}
        }
    }

    fn wake_at(&self) -> Option<Time> {
        None
    }
}

fn clock() -> WallClock {
    WallClock::new(Wall::parse("2018-10-09T09:00:00Z").expect("a date"), Time::ZERO)
}

fn dhcp() -> DhcpServer {
    DhcpServer::new(site::dhcp::Setup {
        name: "dhcp".to_owned(),
        address: Ipv4Addr::new(10, 20, 0, 1),
        clock: clock(),
        prefix: 16,
        first: Ipv4Addr::new(10, 20, 2, 1),
        last: Ipv4Addr::new(10, 20, 2, 99),
        reserved: BTreeMap::new(),
        lease: Duration::from_secs(86_400),
        options: Options::default(),
    })
    .expect("a good setup")
}

fn dns() -> DnsServer {
    let fe = Data::A(Ipv4Addr::new(192, 0, 2, 20));
    DnsServer::new(site::dns::Setup {
        name: "dns".to_owned(),
        address: IpAddr::from([192, 0, 2, 53]),
        host: "dns.contoso.example".to_owned(),
        zones: vec!["contoso.example".to_owned()],
        records: vec![Entry { name: "fe.contoso.example".to_owned(), ttl: 60, data: vec![fe] }],
    })
    .expect("a good setup")
}

fn ntp() -> NtpServer {
    let address = IpAddr::from([192, 0, 2, 123]);
    NtpServer::new(site::ntp::Setup { name: "ntp".to_owned(), address, clock: clock(), stratum: 2 })
}

fn provisioning() -> ProvisioningServer {
    ProvisioningServer::new(site::provisioning::Setup {
        name: "prov".to_owned(),
        address: IpAddr::from([10, 20, 0, 2]),
        files: BTreeMap::from([("000000000000.cfg".to_owned(), Bytes::from("<APPLICATION/>"))]),
        login: None,
    })
}

/// The world, its DHCP server and two strangers; the servers are on.
fn world(seed: u64) -> (Sim<Machine>, NodeId, [NodeId; 2]) {
    let mut sim = Sim::new(seed);
    let delay = Duration::from_millis(10);
    let model = LinkModel { delay, jitter: Duration::from_millis(5), ..LinkModel::default() };
    let cloud = sim.add_segment("cloud", model.clone());
    let office = sim.add_segment("hq", model);
    let servers = [
        sim.add_node("dhcp", Machine::Dhcp(dhcp()), office),
        sim.add_node("prov", Machine::Provisioning(provisioning()), office),
        sim.add_node("dns", Machine::Dns(dns()), cloud),
        sim.add_node("ntp", Machine::Ntp(ntp()), cloud),
    ];
    let strangers = [1, 2]
        .map(|mac| sim.add_node(&format!("stranger {mac}"), Machine::Stranger(Stranger::new(mac)), office));
    for server in servers {
        sim.power_on(server);
    }
    (sim, servers[0], strangers)
}

fn run_to(sim: &mut Sim<Machine>, secs: u64) {
    while sim.step(Time::from_secs(secs)) == Step::Happened {}
}

fn stranger(sim: &Sim<Machine>, who: NodeId) -> &Stranger {
    match sim.look(who) {
        Machine::Stranger(stranger) => stranger,
        other => panic!("no stranger: {other:?}"),
    }
}

#[test]
fn a_strangers_machine_finds_all_it_needs() {
    let run = |seed| {
        let (mut sim, _, [first, _]) = world(seed);
        sim.power_on(first);
        run_to(&mut sim, 5);
        let got: BTreeSet<String> = stranger(&sim, first).got.iter().cloned().collect();
        let wanted = ["10.20.2.1", "2018-10-09T09:00:00Z", "[192, 0, 2, 20]", "<APPLICATION/>"];
        assert_eq!(got, wanted.map(str::to_owned).into());
        sim.trace_hash()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn no_address_is_given_out_twice_wherever_a_power_cut_falls() {
    for write in 1..=4 {
        for octets in [0, 1, 15, 30, 60] {
            let (mut sim, server, [first, second]) = world(1);
            let planned = sim.disk_writes(server) + write;
            sim.cut_at_write(server, Some(CutAtWrite { write: planned, octets: Some(octets) }));
            for (secs, who) in [(1, first), (10, second)] {
                run_to(&mut sim, secs);
                sim.power_on(server);
                run_to(&mut sim, secs + 1);
                sim.power_on(who);
            }
            run_to(&mut sim, 20);
            sim.power_on(server);
            run_to(&mut sim, 21);
            // Who went without an answer asks again, as anybody would.
            for who in [first, second] {
                if stranger(&sim, who).address.is_none() {
                    sim.power_off(who);
                    sim.power_on(who);
                }
            }
            run_to(&mut sim, 30);
            let held = [first, second].map(|who| stranger(&sim, who).address);
            assert!(held.iter().all(Option::is_some), "write {write}, {octets} octets: {held:?}");
            assert_ne!(held[0], held[1], "write {write}, {octets} octets");
        }
    }
}
