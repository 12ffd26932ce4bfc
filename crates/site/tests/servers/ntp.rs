//! NTP: one packet asks, one packet tells.

use std::net::SocketAddr;

use net::{Input, Time, Wall, WallClock};
use proptest::prelude::*;
use site::ntp::{Kiss, NtpServer, Setup};

use crate::bench::Bench;

const ASKER: &str = "10.20.2.1:40123";
const SERVER: &str = "192.0.2.123:123";

fn bench() -> Bench<NtpServer> {
    let epoch = Wall::parse("2018-10-09T09:00:00Z").expect("a date");
    Bench::new(NtpServer::new(Setup {
        name: "ntp".to_owned(),
        address: [192, 0, 2, 123].into(),
        clock: WallClock::new(epoch, Time::ZERO),
        stratum: 2,
    }))
}

fn question(version: u8, mode: u8) -> Vec<u8> {
    let mut octets = vec![0; 48];
    octets[0] = (version << 3) | mode;
    octets[2] = 6;
    octets[40..48].copy_from_slice(b"mystamp!");
    octets
}

impl Bench<NtpServer> {
    fn ask(&mut self, octets: &[u8]) -> Option<Vec<u8>> {
        let (from, to): (SocketAddr, SocketAddr) =
            (ASKER.parse().expect("one"), SERVER.parse().expect("one"));
        let sent = self.datagram(from, to, octets);
        sent.first().map(|datagram| {
            assert_eq!((datagram.from, datagram.to), (to, from));
            datagram.payload.to_vec()
        })
    }
}

/// The seconds since 1970 of an answer's transmit timestamp.
fn told(answer: &[u8]) -> i64 {
    i64::from(u32::from_be_bytes(answer[40..44].try_into().expect("four"))) - 2_208_988_800
}

#[test]
fn the_time_is_told_with_the_askers_stamp_in_it() {
    let mut bench = bench();
    bench.now = Time::from_secs(10);
    let answer = bench.ask(&question(4, 3)).expect("an answer");
    assert_eq!(answer.len(), 48);
    assert_eq!(answer[..3], [0x24, 2, 6], "no leap, version 4, server; stratum 2; the asker's poll");
    assert_eq!(&answer[24..32], b"mystamp!");
    assert_eq!(answer[32..40], answer[40..48]);
    assert_eq!(told(&answer), Wall::parse("2018-10-09T09:00:10Z").expect("a date").unix_secs());
    assert_eq!(bench.events, ["time-served 10.20.2.1: NTP server, stratum 2: 2018-10-09T09:00:10Z"]);
}

#[test]
fn every_version_is_answered_in_kind_and_only_clients_are() {
    let mut bench = bench();
    for version in 1..=4 {
        let answer = bench.ask(&question(version, 3)).expect("an answer");
        assert_eq!(answer[0] >> 3 & 7, version);
    }
    for (version, mode) in [(0, 3), (5, 3), (4, 1), (4, 2), (4, 4), (4, 5), (4, 6), (4, 7)] {
        assert_eq!(bench.ask(&question(version, mode)), None, "version {version}, mode {mode}");
    }
    assert_eq!(bench.ask(&question(4, 3)[..47]), None);
    let mut longer = question(4, 3);
    longer.extend([0; 20]);
    assert_eq!(bench.ask(&longer).expect("an answer to one with a signature").len(), 48);
}

#[test]
fn a_clock_put_wrong_tells_the_wrong_time() {
    let mut bench = bench();
    let now = bench.now;
    bench.node.clock_mut().set(now, Wall::UNIX_EPOCH);
    assert_eq!(told(&bench.ask(&question(4, 3)).expect("an answer")), 0);
}

#[test]
fn askers_are_sent_away_when_told_so() {
    let mut bench = bench();
    for (kiss, code) in [(Kiss::Deny, b"DENY"), (Kiss::Restricted, b"RSTR"), (Kiss::Rate, b"RATE")] {
        bench.node.send_away(Some(kiss));
        let answer = bench.ask(&question(4, 3)).expect("an answer");
        assert_eq!((answer[0] >> 6, answer[1], &answer[12..16]), (3, 0, &code[..]));
    }
    assert_eq!(bench.events.last().expect("an event"), "time-refused 10.20.2.1: NTP kiss-o'-death RATE");
    bench.node.send_away(None);
    assert_eq!(bench.ask(&question(4, 3)).expect("an answer")[1], 2);
}

#[test]
fn a_server_that_does_not_know_the_time_says_so() {
    let mut bench = bench();
    bench.node.set_synchronized(false);
    let answer = bench.ask(&question(4, 3)).expect("an answer");
    assert_eq!((answer[0] >> 6, answer[1]), (3, 0));
}

#[test]
fn without_power_nothing_is_answered() {
    let mut bench = bench();
    bench.give(Input::PowerOff);
    assert_eq!(bench.ask(&question(4, 3)), None);
}

proptest! {
    #[test]
    fn no_packet_makes_it_panic_and_no_answer_is_longer_than_its_question(
        octets in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        if let Some(answer) = bench().ask(&octets) {
            prop_assert!(answer.len() <= octets.len());
        }
    }
}
