//! Two telephones talk over a way that loses, turns around and delays; both know what happened.

use std::time::Duration;

use bytes::Bytes;
use media::session::Law;
use media::{Report, Session, SessionSetup, Wire};
use net::{Random, Time};
use proptest::prelude::*;

const SETUP: SessionSetup =
    SessionSetup { law: Law::Mu, payload_type: 0, events: Some(101), sends: true, receives: true };
const WALL: i128 = 1_539_086_400_000_000_000;

/// What the way does to the packet of that number, from the first to the second.
type Way = fn(u64) -> Option<Duration>;

struct Call {
    ends: [Session; 2],
    ways: [Way; 2],
    sent: [u64; 2],
    /// Arrivals: when, in which order, at whom, what.
    coming: Vec<(Time, u64, usize, Wire)>,
    now: Time,
    digits: String,
}

impl Call {
    fn new(ways: [Way; 2]) -> Call {
        let end = |name: &str, hz| Session::new(SETUP, hz, name, Random::named(7, name), Time::ZERO);
        Call {
            ends: [end("desk", 500), end("lobby", 900)],
            ways,
            sent: [0; 2],
            coming: Vec::new(),
            now: Time::ZERO,
            digits: String::new(),
        }
    }

    fn run(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let wake = (0..2).map(|end| (self.ends[end].wake_at(), end)).min().expect("two ends");
            self.coming.sort_by_key(|(at, order, ..)| (*at, *order));
            let arrives = self.coming.first().map(|(at, ..)| *at).filter(|at| *at <= wake.0);
            let at = arrives.unwrap_or(wake.0);
            if at > until {
                break;
            }
            self.now = at;
            let wall = WALL + i128::from(at.as_nanos());
            if arrives.is_some() {
                let (_, _, end, what) = self.coming.remove(0);
                match what {
                    Wire::Rtp(octets) => self.digits.extend(self.ends[end].receive(at, &octets)),
                    Wire::Rtcp(octets) => self.ends[end].receive_report(at, wall, &octets),
                }
                continue;
            }
            for what in self.ends[wake.1].wake(at, wall) {
                let number = self.sent[wake.1];
                self.sent[wake.1] += 1;
                let takes = match &what {
                    Wire::Rtp(_) => self.ways[wake.1](number),
                    Wire::Rtcp(_) => Some(Duration::from_millis(10)),
                };
                if let Some(takes) = takes {
                    self.coming.push((at + takes, number, 1 - wake.1, what));
                }
            }
        }
        self.now = until;
    }

    fn report(&self, end: usize) -> Report {
        self.ends[end].report(self.now)
    }
}

fn steady(_: u64) -> Option<Duration> {
    Some(Duration::from_millis(10))
}

#[test]
fn each_hears_the_other_and_nothing_is_lost() {
    let mut call = Call::new([steady, steady]);
    call.run(Duration::from_secs(20));
    let (desk, lobby) = (call.report(0), call.report(1));
    assert_eq!((desk.heard_hz, lobby.heard_hz), (Some(900), Some(500)));
    assert_eq!((desk.lost, desk.reordered, desk.late, desk.jitter), (0, 0, 0, Duration::ZERO));
    assert_eq!((desk.sent, lobby.received), (1001, 1000), "one is on its way");
    assert_eq!(desk.lost_there, Some(0.0));
    let trip = desk.round_trip.expect("both reported").as_millis();
    assert!((19..=21).contains(&trip), "{trip}");
}

#[test]
fn what_the_way_loses_is_measured_at_both_ends() {
    let mut call = Call::new([|n| (n % 10 != 3).then_some(Duration::from_millis(10)), steady]);
    call.run(Duration::from_secs(60));
    let (desk, lobby) = (call.report(0), call.report(1));
    let share = lobby.lost as f64 / (lobby.lost + lobby.received) as f64;
    assert!((0.095..0.105).contains(&share), "{share}");
    assert!((0.08..0.12).contains(&desk.lost_there.expect("it said so")), "{desk:?}");
    assert_eq!((lobby.heard_hz, desk.lost), (Some(500), 0), "one hears through it");
}

#[test]
fn jitter_and_overtaking_are_measured_and_played_through() {
    let shaky: Way = |n| Some(Duration::from_millis(10 + 25 * (n % 2)));
    let mut call = Call::new([shaky, steady]);
    call.run(Duration::from_secs(10));
    let lobby = call.report(1);
    assert!(lobby.reordered > 200, "{lobby:?}");
    assert_eq!((lobby.lost, lobby.late, lobby.heard_hz), (0, 0, Some(500)));
    assert!(lobby.jitter > Duration::from_millis(15), "{lobby:?}");
    let too_shaky: Way = |n| Some(Duration::from_millis(10 + 150 * u64::from(n.is_multiple_of(7))));
    let mut call = Call::new([steady, too_shaky]);
    call.run(Duration::from_secs(10));
    assert!(call.report(0).late > 50, "{:?}", call.report(0));
}

#[test]
fn digits_arrive_once_each_though_packets_get_lost() {
    let mut call = Call::new([|n| (!n.is_multiple_of(3)).then_some(Duration::from_millis(10)), steady]);
    call.run(Duration::from_secs(1));
    assert!(call.ends[0].send_digits("0123456789*#"));
    call.run(Duration::from_secs(5));
    assert_eq!(call.digits, "0123456789*#");
    assert_eq!(call.report(1).digits, "0123456789*#");
    assert!(!call.ends[0].send_digits("x"));
}

#[test]
fn a_muted_end_is_silent_and_a_held_one_sends_nothing() {
    let mut call = Call::new([steady, steady]);
    call.ends[0].mute(true);
    call.run(Duration::from_secs(2));
    assert_eq!(call.report(1).heard_hz, None);
    assert_eq!(call.report(1).lost, 0);
    call.ends[0].mute(false);
    call.run(Duration::from_secs(2));
    assert_eq!(call.report(1).heard_hz, Some(500));
    let (sent, now) = (call.report(0).sent, call.now);
    call.ends[0].change(SessionSetup { sends: false, ..SETUP }, now);
    call.run(Duration::from_secs(2));
    assert_eq!(call.report(0).sent, sent);
    assert_eq!(call.report(1).heard_hz, None, "silence is heard soon");
    let now = call.now;
    call.ends[0].change(SETUP, now);
    call.run(Duration::from_secs(2));
    assert_eq!((call.report(1).heard_hz, call.report(1).lost), (Some(500), 0), "a pause is no loss");
}

#[test]
fn the_same_seed_says_the_same() {
    let run = || {
        let mut call = Call::new([steady, steady]);
        call.run(Duration::from_secs(3));
        let now = call.now;
        call.ends.iter_mut().map(|end| end.wake(now + Duration::from_secs(9), WALL)).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

proptest! {
    #[test]
    fn nothing_from_outside_makes_it_panic_or_grow(packets in prop::collection::vec((0_u64..200, prop::collection::vec(any::<u8>(), 0..64), any::<bool>()), 0..80)) {
        let mut end = Session::new(SETUP, 500, "desk", Random::named(1, "desk"), Time::ZERO);
        let mut now = Time::ZERO;
        for (later, octets, looks_right) in packets {
            now += Duration::from_millis(later);
            let mut octets = octets;
            if looks_right && octets.len() > 2 {
                octets[0] = 0x80;
                octets[1] = if octets[2].is_multiple_of(2) { 0 } else { 101 };
            }
            end.receive_report(now, WALL, &octets);
            end.receive(now, &Bytes::from(octets));
            prop_assert!(end.wake(now, WALL).len() <= 6);
            end.report(now);
        }
    }
}
