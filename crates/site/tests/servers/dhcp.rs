//! DHCP: four packets to an address, and everything that can go wrong on the way.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use net::{Datagram, Input, Time, Wall, WallClock};
use proptest::prelude::*;
use site::dhcp::{DhcpServer, Mac, Options, Setup, SetupError, UcServer};

use crate::bench::Bench;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);
const DESK: [u8; 6] = [0x00, 0x04, 0xf2, 0, 0, 1];
const LOBBY: [u8; 6] = [0x00, 0x04, 0xf2, 0, 0, 2];

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const ACK: u8 = 5;
const NAK: u8 = 6;
const RELEASE: u8 = 7;
const INFORM: u8 = 8;

fn setup() -> Setup {
    Setup {
        name: "dhcp".to_owned(),
        address: SERVER,
        clock: WallClock::new(Wall::parse("2018-10-09T09:00:00Z").expect("a date"), Time::ZERO),
        prefix: 16,
        first: Ipv4Addr::new(10, 20, 2, 1),
        last: Ipv4Addr::new(10, 20, 2, 3),
        reserved: BTreeMap::new(),
        lease: Duration::from_secs(3600),
        options: Options {
            routers: vec![Ipv4Addr::new(10, 20, 0, 254)],
            dns: vec![Ipv4Addr::new(192, 0, 2, 53)],
            domain: Some("contoso.example".to_owned()),
            time_offset: Some(3600),
            ntp: vec![Ipv4Addr::new(192, 0, 2, 123)],
            uc: Some(UcServer::at("fe.contoso.example")),
            voice_vlan: Some(100),
            sip_server: Some("fe.contoso.example".to_owned()),
            boot_server: Some("http://prov.hq.contoso.example".to_owned()),
            provisioning: Some("http://10.20.0.2".to_owned()),
            further: BTreeMap::new(),
        },
    }
}

fn bench() -> Bench<DhcpServer> {
    Bench::new(DhcpServer::new(setup()).expect("a good setup"))
}

/// A packet of a client, as RFC 2131 §2 lays it out.
struct Packet {
    kind: u8,
    mac: [u8; 6],
    ciaddr: Ipv4Addr,
    is_broadcast: bool,
    options: Vec<(u8, Vec<u8>)>,
    to: Ipv4Addr,
}

fn packet(kind: u8, mac: [u8; 6]) -> Packet {
    let (ciaddr, to) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
    Packet { kind, mac, ciaddr, is_broadcast: false, options: Vec::new(), to }
}

impl Packet {
    fn with(mut self, code: u8, value: impl Into<Vec<u8>>) -> Packet {
        self.options.push((code, value.into()));
        self
    }

    fn wishing(self, address: Ipv4Addr) -> Packet {
        self.with(50, address.octets())
    }

    fn naming_server(self, address: Ipv4Addr) -> Packet {
        self.with(54, address.octets())
    }

    fn owning(mut self, address: Ipv4Addr) -> Packet {
        self.ciaddr = address;
        self
    }

    fn octets(&self) -> Vec<u8> {
        let mut octets =
            vec![1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, if self.is_broadcast { 0x80 } else { 0 }, 0];
        octets.extend(self.ciaddr.octets());
        octets.resize(28, 0);
        octets.extend(self.mac);
        octets.resize(236, 0);
        octets.extend([99, 130, 83, 99, 53, 1, self.kind]);
        for (code, value) in &self.options {
            octets.extend([*code, value.len() as u8]);
            octets.extend(value);
        }
        octets.push(255);
        octets
    }
}

/// What matters of an answer.
#[derive(Debug, PartialEq)]
struct Answer {
    to: SocketAddr,
    kind: u8,
    address: Ipv4Addr,
    options: BTreeMap<u8, Vec<u8>>,
}

fn read(datagram: &Datagram) -> Answer {
    let octets = &datagram.payload;
    assert_eq!(octets[0], 2, "a reply");
    assert_eq!(octets[4..8], [0x12, 0x34, 0x56, 0x78], "the client's transaction");
    assert!(octets.len() >= 300);
    assert_eq!(datagram.from, SocketAddr::from((SERVER, 67)));
    let mut options = BTreeMap::new();
    let mut at = 240;
    while octets[at] != 255 {
        let length = usize::from(octets[at + 1]);
        options.insert(octets[at], octets[at + 2..at + 2 + length].to_vec());
        at += 2 + length;
    }
    let address = Ipv4Addr::new(octets[16], octets[17], octets[18], octets[19]);
    Answer { to: datagram.to, kind: options[&53][0], address, options }
}

impl Bench<DhcpServer> {
    fn ask(&mut self, packet: &Packet) -> Option<Answer> {
        let from = SocketAddr::from((packet.ciaddr, 68));
        let sent = self.datagram(from, SocketAddr::from((packet.to, 67)), &packet.octets());
        assert!(sent.len() <= 1, "at most one answer");
        sent.first().map(read)
    }

    /// All four packets; the address.
    fn lease(&mut self, mac: [u8; 6]) -> Ipv4Addr {
        let offer = self.ask(&packet(DISCOVER, mac)).expect("an offer");
        assert_eq!(offer.kind, OFFER);
        let ack =
            self.ask(&packet(REQUEST, mac).wishing(offer.address).naming_server(SERVER)).expect("an answer");
        assert_eq!((ack.kind, ack.address), (ACK, offer.address));
        ack.address
    }
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 20, 2, last)
}

#[test]
fn a_phone_gets_an_address_and_everything_it_asked_for() {
    let mut bench = bench();
    let list = vec![1, 3, 6, 15, 2, 42, 4, 43, 66, 120, 160];
    let discover = packet(DISCOVER, DESK).with(55, list.clone()).with(60, *b"MS-UC-Client");
    let offer = bench.ask(&discover).expect("an offer");
    let broadcast = SocketAddr::from((Ipv4Addr::BROADCAST, 68));
    assert_eq!((offer.kind, offer.address, offer.to), (OFFER, address(1), broadcast));
    let request = packet(REQUEST, DESK)
        .wishing(address(1))
        .naming_server(SERVER)
        .with(55, list)
        .with(60, *b"MS-UC-Client");
    let ack = bench.ask(&request).expect("an answer");
    assert_eq!((ack.kind, ack.address, ack.to), (ACK, address(1), broadcast));
    let uc = [
        &b"\x01\x0cMS-UC-Client\x02\x05https\x03\x12fe.contoso.example\x04\x03443\x05\x25"[..],
        b"/CertProv/CertProvisioningService.svc",
    ]
    .concat();
    let wanted: BTreeMap<u8, Vec<u8>> = [
        (1, vec![255, 255, 0, 0]),
        (2, 3600i32.to_be_bytes().to_vec()),
        (3, vec![10, 20, 0, 254]),
        (4, vec![192, 0, 2, 123]),
        (6, vec![192, 0, 2, 53]),
        (15, b"contoso.example".to_vec()),
        (42, vec![192, 0, 2, 123]),
        (43, uc),
        (51, 3600u32.to_be_bytes().to_vec()),
        (53, vec![ACK]),
        (54, SERVER.octets().to_vec()),
        (58, 1800u32.to_be_bytes().to_vec()),
        (59, 3150u32.to_be_bytes().to_vec()),
        (66, b"http://prov.hq.contoso.example".to_vec()),
        (120, b"\0\x02fe\x07contoso\x07example\0".to_vec()),
        (160, b"http://10.20.0.2".to_vec()),
    ]
    .into();
    assert_eq!(ack.options, wanted);
    assert_eq!(
        bench.events,
        [
            "lease-offered 00:04:f2:00:00:01: 10.20.2.1",
            "lease-granted 00:04:f2:00:00:01: 10.20.2.1 until 1h 00m 01.000s",
        ]
    );
    let lease = bench.node.lease(Mac(DESK), bench.now).expect("a lease");
    assert_eq!((lease.address, lease.until), (address(1), Time::from_secs(3601)));
}

#[test]
fn only_those_who_ask_for_an_option_get_it() {
    let mut bench = bench();
    let offer = bench.ask(&packet(DISCOVER, DESK).with(55, vec![6])).expect("an offer");
    let codes: Vec<u8> = offer.options.into_keys().collect();
    assert_eq!(codes, [1, 6, 51, 53, 54, 58, 59]);
}

#[test]
fn the_vendor_option_depends_on_the_vendor_class_letter_by_letter() {
    let mut bench = bench();
    let mut vendor = |class: &[u8]| {
        let offer = bench.ask(&packet(DISCOVER, DESK).with(60, class)).expect("an offer");
        offer.options.get(&43).cloned()
    };
    assert!(vendor(b"MS-UC-Client").is_some_and(|value| value.starts_with(b"\x01\x0cMS-UC-Client")));
    assert_eq!(vendor(b"CPE-OCPHONE").expect("a VLAN"), b"\x01\x0bCPE-OCPHONE\x0a\x02\x00\x64");
    assert_eq!(vendor(b"ms-uc-client"), None);
    assert_eq!(vendor(b"Polycom-VVX600"), None);
    assert_eq!(vendor(b""), None);
}

#[test]
fn every_phone_has_an_address_of_its_own_until_none_is_left() {
    let mut bench = bench();
    let phones: Vec<[u8; 6]> = (1..=4).map(|last| [0, 4, 0xf2, 0, 0, last]).collect();
    assert_eq!([0, 1, 2].map(|phone| bench.lease(phones[phone])), [1, 2, 3].map(address));
    assert_eq!(bench.ask(&packet(DISCOVER, phones[3])), None);
    assert_eq!(
        bench.events.last().expect("an event"),
        "pool-exhausted 00:04:f2:00:00:04: no address left to offer"
    );
    assert_eq!(bench.node.leased(bench.now), 3);
}

#[test]
fn a_lease_ends_to_the_second_and_its_address_goes_to_who_needs_it() {
    let mut bench = bench();
    for last in 1..=3 {
        bench.lease([0, 4, 0xf2, 0, 0, last]);
        bench.now += Duration::from_secs(10);
    }
    bench.now = Time::from_millis(3_600_999);
    assert_eq!(bench.ask(&packet(DISCOVER, [0, 4, 0xf2, 0, 0, 9])), None);
    bench.now = Time::from_secs(3601);
    assert_eq!(bench.lease([0, 4, 0xf2, 0, 0, 9]), address(1));
}

#[test]
fn a_phone_gets_its_old_address_back_after_its_lease_has_ended() {
    let mut bench = bench();
    bench.lease(DESK);
    assert_eq!(bench.lease(LOBBY), address(2));
    bench.now = Time::from_secs(90_000);
    assert_eq!(bench.lease(LOBBY), address(2));
}

#[test]
fn an_offer_nobody_takes_is_free_after_a_minute() {
    let mut bench = bench();
    for last in 1..=3 {
        bench.ask(&packet(DISCOVER, [0, 4, 0xf2, 0, 0, last])).expect("an offer");
    }
    bench.now = Time::from_millis(60_999);
    assert_eq!(bench.ask(&packet(DISCOVER, DESK.map(|octet| octet | 0x40))), None);
    bench.now = Time::from_secs(61);
    assert!(bench.ask(&packet(DISCOVER, DESK.map(|octet| octet | 0x40))).is_some());
}

#[test]
fn an_offer_is_free_at_once_when_another_server_is_chosen() {
    let mut bench = bench();
    bench.ask(&packet(DISCOVER, DESK)).expect("an offer");
    let elsewhere =
        packet(REQUEST, DESK).wishing(Ipv4Addr::new(10, 20, 9, 9)).naming_server(Ipv4Addr::new(10, 20, 0, 7));
    assert_eq!(bench.ask(&elsewhere), None);
    let offers: Vec<_> = (2..=4).map(|last| bench.ask(&packet(DISCOVER, [0, 4, 0xf2, 0, 0, last]))).collect();
    assert!(offers.iter().all(Option::is_some));
}

#[test]
fn a_phone_renews_from_its_own_address_and_is_answered_there() {
    let mut bench = bench();
    bench.lease(DESK);
    bench.now = Time::from_secs(1801);
    let mut renew = packet(REQUEST, DESK).owning(address(1));
    renew.to = SERVER;
    let ack = bench.ask(&renew).expect("an answer");
    assert_eq!((ack.kind, ack.address, ack.to), (ACK, address(1), SocketAddr::from((address(1), 68))));
    assert_eq!(bench.node.lease(Mac(DESK), bench.now).expect("a lease").until, Time::from_secs(5401));
    renew.is_broadcast = true;
    assert_eq!(bench.ask(&renew).expect("an answer").to, SocketAddr::from((Ipv4Addr::BROADCAST, 68)));
}

#[test]
fn a_phone_that_moved_here_is_told_at_once_that_its_address_is_wrong() {
    let mut bench = bench();
    let moved = bench.ask(&packet(REQUEST, DESK).wishing(Ipv4Addr::new(10, 30, 2, 1))).expect("an answer");
    assert_eq!((moved.kind, moved.to), (NAK, SocketAddr::from((Ipv4Addr::BROADCAST, 68))));
    assert!(moved.address.is_unspecified());
    let codes: Vec<u8> = moved.options.into_keys().collect();
    assert_eq!(codes, [53, 54], "a refusal tells nothing else");
    let renewing = packet(REQUEST, DESK).owning(Ipv4Addr::new(10, 30, 2, 1));
    assert_eq!(bench.ask(&renewing).expect("an answer").kind, NAK);
}

#[test]
fn a_phone_that_restarts_keeps_its_address_by_asking_for_it() {
    let mut bench = bench();
    bench.lease(DESK);
    assert_eq!(bench.ask(&packet(REQUEST, DESK).wishing(address(1))).expect("an answer").kind, ACK);
    assert_eq!(bench.ask(&packet(REQUEST, DESK).wishing(address(2))).expect("an answer").kind, NAK);
    assert_eq!(
        bench.ask(&packet(REQUEST, LOBBY).wishing(address(1))),
        None,
        "who is unknown is left to others"
    );
}

#[test]
fn nobody_gets_an_address_that_was_offered_to_somebody_else() {
    let mut bench = bench();
    bench.lease(DESK);
    bench.ask(&packet(DISCOVER, LOBBY)).expect("an offer");
    let greedy = packet(REQUEST, LOBBY).wishing(address(1)).naming_server(SERVER);
    assert_eq!(bench.ask(&greedy).expect("an answer").kind, NAK);
    let outside = packet(REQUEST, LOBBY).wishing(Ipv4Addr::new(10, 20, 0, 2)).naming_server(SERVER);
    assert_eq!(bench.ask(&outside).expect("an answer").kind, NAK);
    let offer = bench.ask(&packet(DISCOVER, LOBBY).wishing(SERVER)).expect("an offer");
    assert_eq!(offer.address, address(2), "a wish for the server's own address is passed over");
}

#[test]
fn a_released_address_is_remembered_and_lent_only_when_no_other_is_left() {
    let mut bench = bench();
    bench.lease(DESK);
    bench.ask(&packet(RELEASE, LOBBY).owning(address(1)).naming_server(SERVER));
    assert_eq!(bench.node.leased(bench.now), 1, "nobody releases what is not theirs");
    bench.ask(&packet(RELEASE, DESK).owning(address(1)).naming_server(SERVER));
    assert_eq!(bench.node.leased(bench.now), 0);
    assert_eq!(bench.lease(LOBBY), address(2));
    assert_eq!(bench.lease(DESK), address(1));
}

#[test]
fn a_declined_address_is_out_of_use_for_an_hour() {
    let mut bench = bench();
    bench.lease(DESK);
    bench.ask(&packet(DECLINE, LOBBY).wishing(address(1)).naming_server(SERVER));
    assert_eq!(bench.node.leased(bench.now), 1, "nobody declines what is not theirs");
    bench.ask(&packet(DECLINE, DESK).wishing(address(1)).naming_server(SERVER));
    assert_eq!(bench.lease(DESK), address(2));
    assert_eq!(bench.lease(LOBBY), address(3));
    bench.power_cut(usize::MAX);
    assert_eq!(
        bench.ask(&packet(DISCOVER, [0, 4, 0xf2, 0, 0, 9])),
        None,
        "it is remembered through a power cut"
    );
    bench.now = Time::from_secs(3600);
    assert_eq!(bench.ask(&packet(DISCOVER, [0, 4, 0xf2, 0, 0, 9])), None);
    bench.now = Time::from_secs(3601);
    assert_eq!(bench.ask(&packet(DISCOVER, [0, 4, 0xf2, 0, 0, 9])).expect("an offer").address, address(1));
}

#[test]
fn who_has_an_address_already_is_told_options_only() {
    let mut bench = bench();
    let ack = bench.ask(&packet(INFORM, DESK).owning(Ipv4Addr::new(10, 20, 1, 5))).expect("an answer");
    assert_eq!((ack.kind, ack.to), (ACK, SocketAddr::from((Ipv4Addr::new(10, 20, 1, 5), 68))));
    assert!(ack.address.is_unspecified());
    assert!(ack.options.contains_key(&6) && !ack.options.contains_key(&51) && !ack.options.contains_key(&58));
}

#[test]
fn a_shorter_lease_is_given_to_who_asks_for_it_down_to_a_minute() {
    let mut bench = bench();
    for (wish, granted) in [(600u32, 600u32), (1, 60), (u32::MAX, 3600)] {
        let offer = bench.ask(&packet(DISCOVER, DESK).with(51, wish.to_be_bytes())).expect("an offer");
        assert_eq!(offer.options[&51], granted.to_be_bytes());
    }
}

#[test]
fn reserved_addresses_go_to_their_hardware_and_to_nobody_else() {
    let reserved = BTreeMap::from([(Mac(LOBBY), address(1)), (Mac([2; 6]), Ipv4Addr::new(10, 20, 7, 7))]);
    let mut bench = Bench::new(DhcpServer::new(Setup { reserved, ..setup() }).expect("a good setup"));
    assert_eq!(bench.lease(DESK), address(2));
    assert_eq!(bench.lease(LOBBY), address(1));
    assert_eq!(bench.lease([2; 6]), Ipv4Addr::new(10, 20, 7, 7));
    assert_eq!(
        bench.ask(&packet(DISCOVER, [3; 6]).wishing(address(1))).expect("an offer").address,
        address(3)
    );
    bench.power_cut(usize::MAX);
    assert_eq!(bench.node.leased(bench.now), 3);
}

#[test]
fn a_lease_is_acknowledged_only_when_it_is_on_disk() {
    let mut bench = bench();
    bench.is_disk_prompt = false;
    bench.ask(&packet(DISCOVER, DESK)).expect("an offer needs no disk");
    assert_eq!(bench.ask(&packet(REQUEST, DESK).wishing(address(1)).naming_server(SERVER)), None);
    bench.sync();
    assert_eq!(read(&bench.sent[0]).kind, ACK);
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_wherever_it_falls() {
    for octets in [0, 1, 10, 20, 40, 60, 80, usize::MAX] {
        let mut bench = bench();
        bench.lease(DESK);
        bench.is_disk_prompt = false;
        bench.ask(&packet(DISCOVER, LOBBY)).expect("an offer");
        bench.ask(&packet(REQUEST, LOBBY).wishing(address(2)).naming_server(SERVER));
        bench.power_cut(octets);
        // A second cut while the file is being written anew.
        bench.power_cut(octets);
        bench.sync();
        bench.is_disk_prompt = true;
        let lease = bench.node.lease(Mac(DESK), bench.now).expect("the acknowledged lease");
        assert_eq!((lease.address, lease.until), (address(1), Time::from_secs(3601)), "{octets}");
        assert_ne!(bench.lease([9; 6]), address(1));
        assert_eq!(bench.lease(DESK), address(1));
    }
}

#[test]
fn the_file_of_leases_does_not_grow_with_every_renewal() {
    let mut bench = bench();
    bench.lease(DESK);
    let renew = packet(REQUEST, DESK).owning(address(1));
    for _ in 0..20_100 {
        assert!(bench.ask(&renew).is_some());
    }
    let octets: usize = bench.disk.values().map(Vec::len).sum();
    assert!(octets < 2 * 10_001 * 80, "{octets}");
    bench.power_cut(0);
    assert!(bench.node.lease(Mac(DESK), bench.now).is_some());
}

#[test]
fn requests_that_come_while_the_disk_is_busy_are_answered_after() {
    let mut bench = bench();
    bench.lease(DESK);
    bench.is_disk_prompt = false;
    bench.power_cut(usize::MAX);
    assert_eq!(bench.ask(&packet(REQUEST, DESK).wishing(address(1))), None);
    bench.sync();
    assert_eq!(read(&bench.sent[0]).kind, ACK);
}

#[test]
fn a_setup_that_contradicts_itself_is_refused() {
    let refused = |change: fn(&mut Setup)| {
        let mut setup = setup();
        change(&mut setup);
        DhcpServer::new(setup).expect_err("a refusal")
    };
    assert!(matches!(refused(|setup| setup.last = Ipv4Addr::new(10, 20, 2, 0)), SetupError::Pool { .. }));
    assert!(matches!(refused(|setup| setup.last = Ipv4Addr::new(10, 21, 0, 0)), SetupError::Pool { .. }));
    assert!(matches!(refused(|setup| setup.prefix = 33), SetupError::Pool { .. }));
    assert_eq!(refused(|setup| setup.address = address(2)), SetupError::Address(address(2)));
    assert_eq!(refused(|setup| setup.options.voice_vlan = Some(4095)), SetupError::Vlan(4095));
    assert!(matches!(
        refused(|setup| setup.options.sip_server = Some("a..b".to_owned())),
        SetupError::Text { code: 120, .. }
    ));
    assert!(matches!(
        refused(|setup| setup.options.domain = Some("a".repeat(256))),
        SetupError::Text { code: 15, .. }
    ));
    assert!(matches!(
        refused(|setup| {
            setup.options.further.insert(53, vec![1]);
        }),
        SetupError::Text { code: 53, .. }
    ));
}

#[test]
fn changed_options_are_told_from_then_on() {
    let mut bench = bench();
    bench.lease(DESK);
    bench
        .node
        .set_options(Options { dns: vec![Ipv4Addr::new(192, 0, 2, 54)], ..Options::default() })
        .expect("good");
    let offer = bench.ask(&packet(DISCOVER, DESK)).expect("an offer");
    assert_eq!(offer.options[&6], [192, 0, 2, 54]);
    assert!(!offer.options.contains_key(&3));
}

#[test]
fn packets_that_are_no_requests_are_passed_over() {
    let mut bench = bench();
    let good = packet(DISCOVER, DESK).octets();
    let mut answer = |change: fn(&mut Vec<u8>)| {
        let mut octets = good.clone();
        change(&mut octets);
        bench.datagram(SocketAddr::from(([0, 0, 0, 0], 68)), SocketAddr::from((SERVER, 67)), &octets).len()
    };
    assert_eq!(answer(|_| ()), 1);
    for (what, change) in [
        ("a reply", (|octets| octets[0] = 2) as fn(&mut Vec<u8>)),
        ("an address of 17 octets", |octets| octets[2] = 17),
        ("an address of none", |octets| octets[2] = 0),
        ("another magic", |octets| octets[236] = 0),
        ("no type", |octets| octets[240..].fill(255)),
        ("a cut option", |octets| octets.truncate(242)),
        ("a cut head", |octets| octets.truncate(239)),
        ("no end to it", |octets| octets.resize(5000, 0)),
    ] {
        assert_eq!(answer(change), 0, "{what}");
    }
    assert_eq!(
        answer(|octets| octets.splice(243..243, [12, 2, 0xff, 0xfe, 121, 2, 33, 1, 81, 1, 0]).for_each(drop)),
        1
    );
}

proptest! {
    #[test]
    fn no_packet_makes_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut bench = bench();
        bench.datagram(SocketAddr::from(([0, 0, 0, 0], 68)), SocketAddr::from((SERVER, 67)), &octets);
    }

    #[test]
    fn no_options_make_it_panic(options in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..20) {
        let mut bench = bench();
        let mut octets = packet(kind, DESK).octets();
        octets.pop();
        octets.extend(options);
        bench.datagram(SocketAddr::from(([0, 0, 0, 0], 68)), SocketAddr::from((SERVER, 67)), &octets);
    }

    /// Whatever happens, two phones never hold one address at a time, and power cuts take nothing away.
    #[test]
    fn no_address_is_held_twice(steps in proptest::collection::vec((0u8..6, 0u8..7, 0u8..5, 0u64..900), 1..60)) {
        let mut bench = bench();
        for (phone, what, wish, secs) in steps {
            bench.now += Duration::from_secs(secs);
            let mac = [0, 4, 0xf2, 0, 0, phone];
            let held = bench.node.lease(Mac(mac), bench.now).map(|lease| lease.address);
            match what {
                0 => drop(bench.ask(&packet(DISCOVER, mac).wishing(address(wish)))),
                1 | 2 => {
                    if let Some(offer) = bench.ask(&packet(DISCOVER, mac)) {
                        bench.ask(&packet(REQUEST, mac).wishing(offer.address).naming_server(SERVER));
                    }
                }
                3 => drop(bench.ask(&packet(REQUEST, mac).wishing(address(wish)))),
                4 => {
                    if let Some(held) = held {
                        bench.ask(&packet(RELEASE, mac).owning(held));
                    }
                }
                5 => {
                    if let Some(held) = held {
                        bench.ask(&packet(DECLINE, mac).wishing(held));
                    }
                }
                _ => {
                    let before = bench.node.leased(bench.now);
                    bench.power_cut(usize::from(wish) * 20);
                    prop_assert_eq!(bench.node.leased(bench.now), before);
                }
            }
            let held: Vec<Ipv4Addr> = (0..6)
                .filter_map(|phone| bench.node.lease(Mac([0, 4, 0xf2, 0, 0, phone]), bench.now))
                .map(|lease| lease.address)
                .collect();
            let different: std::collections::BTreeSet<_> = held.iter().collect();
            prop_assert_eq!(different.len(), held.len());
        }
    }
}

#[test]
fn without_power_nothing_is_answered() {
    let mut bench = bench();
    bench.give(Input::PowerOff);
    assert_eq!(bench.ask(&packet(DISCOVER, DESK)), None);
}
