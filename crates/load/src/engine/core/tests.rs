//! Phones in a time of the test's own making: when they repeat, give up, and count.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};

use sip::Draft;

use super::*;
use crate::beat::{Beat, Counts};
use crate::plan::{
    Accounts, KeepAlive, Limits, Network, Phones, Server, Sockets, Target, Transport, Weighted,
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Whatever is sent is kept here.
#[derive(Debug)]
struct Desk<const RELIABLE: bool> {
    said: Vec<(Duration, Message)>,
    is_up: bool,
}

impl<const RELIABLE: bool> Carrier for Desk<RELIABLE> {
    const IS_RELIABLE: bool = RELIABLE;

    fn is_up(&self, _phone: u32) -> bool {
        self.is_up
    }

    fn open(&mut self, _phone: u32, _now: Duration) -> Result<(), Cause> {
        Ok(())
    }

    fn send(&mut self, _phone: u32, now: Duration, write: impl FnOnce(&mut Vec<u8>)) {
        let mut octets = Vec::new();
        write(&mut octets);
        self.said.push((now, Message::parse(octets.into()).expect("phones say what SIP is")));
    }

    fn own(&self, _phone: u32) -> SocketAddr {
        "127.0.0.1:5060".parse().expect("an address")
    }

    fn close(&mut self, _phone: u32) -> bool {
        std::mem::replace(&mut self.is_up, false)
    }
}

struct Lab<const RELIABLE: bool> {
    core: Core,
    desk: Desk<RELIABLE>,
    beats: Receiver<Beat>,
    now: Duration,
    offered: u64,
}

impl<const RELIABLE: bool> Lab<RELIABLE> {
    fn new(change: impl FnOnce(&mut Plan)) -> Self {
        let server = Server {
            at: "127.0.0.2:5060".parse().expect("an address"),
            transport: if RELIABLE { Transport::Tcp } else { Transport::Udp },
            domain: "contoso.example".to_owned(),
            tls: None,
        };
        let mut plan = Plan {
            title: "test".to_owned(),
            seed: 1,
            target: Target::Server(server.clone()),
            phones: Phones {
                count: 1,
                accounts: Accounts::Pattern { user: "u{n}".to_owned(), password: Some("p".to_owned()) },
                from: "127.0.0.1".parse().expect("an address"),
                addresses: 1,
                sockets: Sockets::Shared(1),
                expires: Duration::from_secs(3_600),
                refresh: None,
                keep_alive: None,
            },
            work: vec![Weighted {
                weight: 1,
                work: Work::Register { forget_challenge: false, close: false },
            }],
            profile: Vec::new(),
            network: Network::default(),
            limits: Limits::default(),
            warm_up: Duration::ZERO,
            drain: Duration::ZERO,
            cores: None,
        };
        change(&mut plan);
        let (sender, beats) = channel();
        let words = Words::new(&plan, &server, "run");
        let core = Core::new(Arc::new(plan), Part { index: 0, of: 1 }, words, Book::new(0, sender));
        let desk = Desk { said: Vec::new(), is_up: true };
        Lab { core, desk, beats, now: Duration::ZERO, offered: 0 }
    }

    fn due(&mut self, due: Duration) {
        let arrival = Arrival { number: self.offered, due };
        self.offered += 1;
        self.core.due(arrival, due, None, self.now, &mut self.desk);
    }

    /// Lets time pass, tick by tick.
    fn until(&mut self, until: Duration) {
        while self.now < until {
            self.now += ms(1);
            self.core.wake(self.now, &mut self.desk);
        }
    }

    fn answer(&mut self, status: u16, more: &[(&str, &str)]) {
        let (_, request) = self.desk.said.last().expect("something was said");
        let mut draft = request.reply(status, "As it is");
        for (name, value) in more {
            draft.push(name, value);
        }
        self.hear(&draft);
    }

    fn hear(&mut self, draft: &Draft) {
        let octets = draft.print().expect("it can be printed");
        self.core.heard(octets, RELIABLE.then_some(0), self.now, &mut self.desk);
    }

    fn said_at(&self) -> Vec<u128> {
        self.desk.said.iter().map(|(at, _)| at.as_millis()).collect()
    }

    fn end(self) -> Counts {
        let Lab { mut core, beats, .. } = self;
        core.leave_open();
        core.book.close();
        let mut all = Counts::default();
        for beat in beats {
            all.add(&beat.counted);
            all.add(&beat.warm);
        }
        assert!(all.adds_up(), "{all:?}");
        all
    }
}

#[test]
fn over_udp_a_request_is_repeated_by_timer_e_and_given_up_by_timer_f() {
    let mut lab = Lab::<false>::new(|_| {});
    lab.due(Duration::ZERO);
    lab.until(ms(40_000));
    // RFC 3261 §17.1.2.2: 500 ms, doubled up to 4 s, for 32 s.
    let at = [0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(lab.said_at(), at);
    let first = lab.desk.said[0].1.as_bytes().clone();
    assert!(lab.desk.said.iter().all(|(_, said)| *said.as_bytes() == first), "the same octets each time");
    let all = lab.end();
    assert_eq!((all.retransmissions, all.sent), (10, 11));
    assert_eq!(all.failed, [(Cause::NO_ANSWER, 1)].into());
}

#[test]
fn a_provisional_answer_has_a_request_repeated_every_four_seconds() {
    let mut lab = Lab::<false>::new(|_| {});
    lab.due(Duration::ZERO);
    lab.until(ms(100));
    lab.answer(100, &[]);
    lab.until(ms(9_000));
    assert_eq!(lab.said_at(), [0, 4_100, 8_100]);
    lab.answer(200, &[]);
    let all = lab.end();
    assert_eq!((all.succeeded, all.received, all.retransmissions), (1, 2, 2));
}

#[test]
fn over_a_connection_nothing_is_repeated_and_no_answer_ends_the_connection() {
    let mut lab = Lab::<true>::new(|_| {});
    lab.desk.is_up = false;
    lab.due(Duration::ZERO);
    assert!(lab.desk.said.is_empty(), "there is no connection yet");
    lab.until(ms(1_000));
    lab.desk.is_up = true;
    lab.core.up(0, lab.now, &mut lab.desk);
    lab.until(ms(40_000));
    assert_eq!(lab.said_at(), [1_000]);
    assert!(!lab.desk.is_up && lab.core.book.gauges.connected == 0);
    assert_eq!(lab.end().failed, [(Cause::NO_ANSWER, 1)].into());
}

#[test]
fn a_connection_that_never_comes_about_is_a_cause_of_its_own() {
    let mut lab = Lab::<true>::new(|_| {});
    lab.desk.is_up = false;
    lab.due(Duration::ZERO);
    lab.until(ms(40_000));
    assert_eq!(lab.end().failed, [(Cause::CONNECT_TIMEOUT, 1)].into());
}

#[test]
fn the_response_time_counts_from_when_the_work_was_due() {
    let mut lab = Lab::<false>::new(|_| {});
    lab.until(ms(250));
    lab.due(ms(50));
    lab.until(ms(300));
    lab.answer(200, &[]);
    let all = lab.end();
    let took = all.latency[&Kind::Register].quantile(1.0).expect("one");
    assert!((249..=251).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn only_the_answer_to_the_open_request_counts() {
    let mut lab = Lab::<false>::new(|_| {});
    lab.due(Duration::ZERO);
    let (_, request) = lab.desk.said[0].clone();
    let ok = request.reply(200, "OK");
    let foreign = |name: &str, value: &str| {
        let mut draft = ok.clone();
        draft.set(name, value);
        draft
    };
    lab.hear(&foreign("CSeq", "9 REGISTER"));
    lab.hear(&foreign("Via", "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK0.7"));
    lab.hear(&foreign("Via", "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKffffff.1"));
    lab.hear(&foreign("Via", "SIP/2.0/UDP 127.0.0.1:5060"));
    // Requests are no answers.
    let octets = request.as_bytes().clone();
    lab.core.heard(octets, None, lab.now, &mut lab.desk);
    lab.core.heard(Bytes::from_static(b"SIP/2.0 200 "), None, lab.now, &mut lab.desk);
    lab.core.heard(Bytes::from_static(b""), None, lab.now, &mut lab.desk);
    assert_eq!(lab.core.book.gauges.in_flight, 1);
    lab.hear(&ok);
    lab.hear(&ok);
    let all = lab.end();
    assert_eq!((all.succeeded, all.strays), (1, 8));
}

#[test]
fn a_phone_refreshes_by_what_its_own_contact_was_granted() {
    let mut lab = Lab::<false>::new(|plan| plan.phones.refresh = Some(0.5));
    lab.due(Duration::ZERO);
    let contacts = [
        ("Contact", "<sip:u0@192.0.2.1>;expires=7"),
        ("Contact", "<sip:u0@127.0.0.1:5060>;expires=60"),
        ("Expires", "3600"),
    ];
    lab.answer(200, &contacts);
    lab.until(ms(29_990));
    assert_eq!(lab.desk.said.len(), 1);
    lab.until(ms(30_010));
    assert_eq!(lab.desk.said.len(), 2);
    assert_eq!(lab.desk.said[1].1.cseq().number, 2);
    lab.answer(200, &contacts);
    let all = lab.end();
    let kinds: Vec<Kind> = all.latency.keys().copied().collect();
    assert_eq!((kinds, all.offered), (vec![Kind::Register, Kind::Refresh], 2));
}

#[test]
fn a_binding_that_is_not_refreshed_runs_out() {
    let mut lab = Lab::<false>::new(|_| {});
    lab.due(Duration::ZERO);
    lab.answer(200, &[("Expires", "10")]);
    assert_eq!(lab.core.book.gauges.registered, 1);
    lab.until(ms(10_010));
    assert_eq!(lab.core.book.gauges.registered, 0);
    lab.due(lab.now);
    lab.answer(200, &[]);
    assert_eq!(lab.end().latency[&Kind::Register].histogram().len(), 2);
}

#[test]
fn a_sign_of_life_is_given_in_time_and_any_final_answer_to_it_will_do() {
    let every = Duration::from_secs(30);
    let mut lab = Lab::<true>::new(|plan| {
        plan.phones.keep_alive = Some(KeepAlive { by: KeepAliveBy::Options, every });
    });
    lab.due(Duration::ZERO);
    lab.answer(200, &[("Expires", "3600")]);
    lab.until(every);
    assert_eq!(lab.desk.said.len(), 2);
    assert_eq!(lab.desk.said[1].1.method(), "OPTIONS");
    // Any final answer is a sign of life.
    lab.answer(405, &[]);
    let all = lab.end();
    assert_eq!((all.succeeded, all.failures()), (2, 0));
}
