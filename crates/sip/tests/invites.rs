//! INVITE transactions: what is sent when, written as times.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic as the test does")]

use std::net::SocketAddr;

use bytes::Bytes;
use net::Time;
use sip::timers::Reliability::{self, Reliable, Unreliable};
use sip::timers::{Timer, Timers};
use sip::transaction::{InviteArrival, InviteCame, InviteClient, InviteServers, InviteWoke, ServerKey, Woke};
use sip::{Draft, Message};

fn request(method: &str, branch: &str) -> Message {
    Draft::request(method, "sip:bob@192.0.2.20")
        .with("Via", format!("SIP/2.0/UDP 192.0.2.10:5060;branch={branch}"))
        .with("Route", "<sip:pool.contoso.example;lr>")
        .with("From", "<sip:alice@contoso.example>;tag=1")
        .with("To", "<sip:bob@contoso.example>")
        .with("Call-ID", "a")
        .with("CSeq", format!("7 {method}"))
        .with("Proxy-Authorization", "Digest username=\"alice\"")
        .message()
        .unwrap()
}

fn answer(request: &Message, status: u16) -> Message {
    request.reply_tagged(status, "Whatever", Some("2")).message().unwrap()
}

fn ms(at: u64) -> Time {
    Time::from_millis(at)
}

fn client(way: Reliability) -> (Message, InviteClient) {
    let invite = request("INVITE", "z9hG4bKa");
    (invite.clone(), InviteClient::new(invite, way, Timers::RFC3261, Time::ZERO))
}

/// Lets a client transaction run until `until`; gives each thing it does and when.
fn run(client: &mut InviteClient, until: Time) -> Vec<(u64, &'static str)> {
    let mut done = Vec::new();
    while let Some(at) = client.wake_at().filter(|at| *at <= until) {
        let what = match client.wake(at) {
            Woke::Nothing => "nothing",
            Woke::Resend(bytes) => {
                assert_eq!(&bytes, client.request().as_bytes());
                "resend"
            }
            Woke::TimedOut => "timed out",
            Woke::Over => "over",
        };
        done.push((at.as_nanos() / 1_000_000, what));
    }
    done
}

#[test]
fn an_invite_is_repeated_twice_as_late_each_time_until_timer_b() {
    let (_, mut client) = client(Unreliable);
    let wanted = [500, 1_500, 3_500, 7_500, 15_500, 31_500].map(|at| (at, "resend"));
    assert_eq!(run(&mut client, ms(31_999)), wanted);
    assert_eq!(run(&mut client, Time::NEVER), [(32_000, "timed out")]);
    assert!(client.is_over());
}

#[test]
fn on_a_stream_an_invite_waits_for_timer_b_alone() {
    let (_, mut client) = client(Reliable);
    assert_eq!(run(&mut client, Time::NEVER), [(32_000, "timed out")]);
}

#[test]
fn a_ringing_telephone_may_ring_for_ever() {
    for way in [Reliable, Unreliable] {
        let (invite, mut client) = client(way);
        assert_eq!(client.receive(ms(100), &answer(&invite, 180)), InviteCame::Provisional);
        assert_eq!(client.receive(ms(31_000), &answer(&invite, 183)), InviteCame::Provisional);
        assert_eq!(client.wake_at(), None);
        assert_eq!(client.wake(ms(3_600_000)), Woke::Nothing);
        assert!(client.is_pending());
    }
}

#[test]
fn a_refusal_is_acknowledged_as_often_as_it_comes_until_timer_d() {
    let (invite, mut client) = client(Unreliable);
    let InviteCame::Refused(ack) = client.receive(ms(1_000), &answer(&invite, 486)) else { panic!() };
    assert_eq!(client.receive(ms(1_500), &answer(&invite, 486)), InviteCame::Again(Some(ack.clone())));
    assert_eq!(client.receive(ms(1_500), &answer(&invite, 200)), InviteCame::Again(None));
    assert_eq!(client.receive(ms(1_500), &answer(&invite, 180)), InviteCame::Again(None));
    assert_eq!(run(&mut client, Time::NEVER), [(33_000, "over")]);
    assert_eq!(client.receive(ms(33_001), &answer(&invite, 486)), InviteCame::Again(None));

    let ack = ack.message().unwrap();
    assert_eq!((ack.method(), ack.uri().unwrap().as_str()), ("ACK", "sip:bob@192.0.2.20"));
    assert_eq!(ack.header("Via"), invite.header("Via"));
    assert_eq!(ack.header("Route"), invite.header("Route"));
    assert_eq!(ack.header("Proxy-Authorization"), invite.header("Proxy-Authorization"));
    assert_eq!((ack.from().tag(), ack.to().tag()), (Some("1"), Some("2")));
    assert_eq!((ack.call_id(), ack.cseq().number), ("a", 7));
    assert!(ack.body().is_empty());
}

#[test]
fn on_a_stream_a_refusal_ends_it() {
    let (invite, mut client) = client(Reliable);
    assert!(matches!(client.receive(ms(1_000), &answer(&invite, 603)), InviteCame::Refused(_)));
    assert!(client.is_over());
    assert_eq!(client.wake_at(), None);
}

#[test]
fn every_2xx_is_handed_up_until_timer_m() {
    for way in [Reliable, Unreliable] {
        let (invite, mut client) = client(way);
        assert_eq!(client.receive(ms(1_000), &answer(&invite, 200)), InviteCame::Accepted);
        let fork = invite.reply_tagged(200, "OK", Some("3")).message().unwrap();
        assert_eq!(client.receive(ms(1_100), &fork), InviteCame::Accepted);
        assert_eq!(client.receive(ms(1_500), &answer(&invite, 200)), InviteCame::Accepted);
        assert_eq!(client.receive(ms(1_600), &answer(&invite, 486)), InviteCame::Again(None));
        assert_eq!(client.wake(ms(32_999)), Woke::Nothing);
        assert_eq!(run(&mut client, Time::NEVER), [(33_000, "over")]);
        assert_eq!(client.receive(ms(33_001), &answer(&invite, 200)), InviteCame::Again(None));
    }
}

#[test]
fn a_cancel_waits_for_a_provisional_answer_and_goes_out_once() {
    let (invite, mut client) = client(Unreliable);
    assert_eq!(client.cancel(ms(100)), None);
    client.receive(ms(200), &answer(&invite, 180));
    assert!(client.may_be_cancelled());
    let cancel = client.cancel(ms(5_000)).unwrap().message().unwrap();
    assert_eq!(client.cancel(ms(5_001)), None);
    assert_eq!(cancel.via().branch(), invite.via().branch());
    assert_eq!((cancel.method(), cancel.cseq().method, cancel.cseq().number), ("CANCEL", "CANCEL", 7));
    assert_eq!((cancel.header("To"), cancel.header("Route")), (invite.header("To"), invite.header("Route")));
    // The other side never says 487: after 64*T1 the INVITE is given up (RFC 3261 §9.1).
    assert_eq!(run(&mut client, Time::NEVER), [(37_000, "timed out")]);
}

#[test]
fn a_cancel_that_crosses_a_2xx_changes_nothing() {
    let (invite, mut client) = client(Reliable);
    client.receive(ms(200), &answer(&invite, 180));
    assert!(client.cancel(ms(300)).is_some());
    assert_eq!(client.receive(ms(310), &answer(&invite, 200)), InviteCame::Accepted);
    assert_eq!(client.cancel(ms(320)), None);
}

#[test]
fn an_answer_belongs_to_its_branch_and_method() {
    let (invite, mut client) = client(Reliable);
    for other in [request("INVITE", "z9hG4bKb"), request("CANCEL", "z9hG4bKa")] {
        assert_eq!(client.receive(Time::ZERO, &answer(&other, 200)), InviteCame::NotMine);
    }
    assert_eq!(client.receive(Time::ZERO, &invite), InviteCame::NotMine);
    client.fail();
    assert_eq!((client.is_over(), client.wake_at()), (true, None));
}

fn peer() -> SocketAddr {
    "192.0.2.10:5060".parse().unwrap()
}

struct Bench {
    servers: InviteServers,
    way: Reliability,
}

impl Bench {
    fn new(way: Reliability) -> Bench {
        Bench { servers: InviteServers::new(Timers::RFC3261), way }
    }

    fn receive(&mut self, at: u64, request: &Message) -> InviteArrival {
        self.servers.receive(ms(at), peer(), request, self.way)
    }

    fn invite(&mut self, at: u64) -> (Message, ServerKey) {
        let invite = request("INVITE", "z9hG4bKa");
        match self.receive(at, &invite) {
            InviteArrival::New(key) => (invite, key),
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, at: u64, key: &ServerKey, status: u16) -> bool {
        self.servers.answer(ms(at), key, status, Bytes::from(status.to_string()))
    }

    /// Lets it run until `until`; gives each thing it does and when.
    fn run(&mut self, until: Time) -> Vec<(u64, String)> {
        let mut done = Vec::new();
        while let Some(at) = self.servers.wake_at().filter(|at| *at <= until) {
            for (_, what) in self.servers.wake(at) {
                let what = match what {
                    InviteWoke::Resend(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                    other => format!("{other:?}"),
                };
                done.push((at.as_nanos() / 1_000_000, what));
            }
        }
        done
    }
}

#[test]
fn a_repeated_invite_gets_the_last_provisional_answer() {
    let mut bench = Bench::new(Unreliable);
    let (invite, key) = bench.invite(0);
    assert_eq!(bench.receive(10, &invite), InviteArrival::Again(None));
    assert!(bench.answer(20, &key, 100));
    assert!(bench.answer(30, &key, 180));
    assert_eq!(bench.receive(500, &invite), InviteArrival::Again(Some(Bytes::from("180"))));
    assert_eq!(bench.servers.wake_at(), None, "a person may take their time");
}

#[test]
fn a_refusal_is_repeated_until_timer_h() {
    let mut bench = Bench::new(Unreliable);
    let (invite, key) = bench.invite(0);
    assert!(bench.answer(0, &key, 486));
    assert!(!bench.answer(1, &key, 200) && !bench.answer(1, &key, 180));
    assert_eq!(bench.receive(300, &invite), InviteArrival::Again(Some(Bytes::from("486"))));
    let mut wanted: Vec<_> = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]
        .map(|at| (at, "486".to_owned()))
        .to_vec();
    wanted.push((32_000, "NoAck".to_owned()));
    assert_eq!(bench.run(Time::NEVER), wanted);
    assert!(bench.servers.is_empty());

    let mut bench = Bench::new(Reliable);
    let (_, key) = bench.invite(0);
    bench.answer(0, &key, 486);
    assert_eq!(bench.run(Time::NEVER), [(32_000, "NoAck".to_owned())]);
}

#[test]
fn an_ack_ends_the_repeats_and_its_own_repeats_are_swallowed_until_timer_i() {
    let mut bench = Bench::new(Unreliable);
    let (invite, key) = bench.invite(0);
    bench.answer(0, &key, 486);
    let ack = request("ACK", "z9hG4bKa");
    assert_eq!(bench.receive(600, &ack), InviteArrival::Acknowledged);
    assert_eq!(bench.receive(700, &ack), InviteArrival::Acknowledged);
    assert_eq!(bench.receive(800, &invite), InviteArrival::Again(None));
    assert_eq!(bench.servers.wake_at(), Some(ms(5_600)));
    assert_eq!(bench.run(Time::NEVER), []);
    assert!(bench.servers.is_empty());

    let mut bench = Bench::new(Reliable);
    let (_, key) = bench.invite(0);
    bench.answer(0, &key, 486);
    assert_eq!(bench.receive(600, &ack), InviteArrival::Acknowledged);
    assert!(bench.servers.is_empty());
    assert_eq!(bench.servers.wake_at(), None);
}

#[test]
fn after_a_2xx_only_2xx_pass_and_repeated_invites_are_swallowed_until_timer_l() {
    for way in [Reliable, Unreliable] {
        let mut bench = Bench::new(way);
        let (invite, key) = bench.invite(0);
        assert!(bench.answer(1_000, &key, 200));
        assert!(bench.answer(1_500, &key, 200));
        assert!(!bench.answer(1_500, &key, 180) && !bench.answer(1_500, &key, 486));
        assert_eq!(bench.receive(2_000, &invite), InviteArrival::Again(None));
        // An ACK to a 2xx is another transaction; with the same branch, as old user agents send it, all the same.
        assert_eq!(bench.receive(2_000, &request("ACK", "z9hG4bKb")), InviteArrival::Ack);
        assert_eq!(bench.receive(2_000, &request("ACK", "z9hG4bKa")), InviteArrival::Ack);
        assert_eq!(bench.servers.wake_at(), Some(ms(33_000)));
        assert_eq!(bench.run(Time::NEVER), []);
        assert!(bench.servers.is_empty());
    }
}

#[test]
fn a_cancel_finds_its_invite_by_all_but_the_method() {
    let mut bench = Bench::new(Unreliable);
    let (_, key) = bench.invite(0);
    let cancel = request("CANCEL", "z9hG4bKa");
    assert_eq!(bench.servers.cancelled(peer(), &cancel), Some((key, true)));
    assert_eq!(bench.servers.cancelled(peer(), &request("CANCEL", "z9hG4bKb")), None);
    assert_eq!(bench.servers.cancelled("192.0.2.66:5060".parse().unwrap(), &cancel), None, "a stranger's");
    bench.answer(10, &key, 200);
    assert_eq!(bench.servers.cancelled(peer(), &cancel), Some((key, false)));
}

#[test]
fn the_table_is_bounded_and_forgets() {
    let mut servers = InviteServers::at_most(1, Timers::RFC3261);
    let first = request("INVITE", "z9hG4bKa");
    let InviteArrival::New(key) = servers.receive(Time::ZERO, peer(), &first, Reliable) else { panic!() };
    let second = request("INVITE", "z9hG4bKb");
    assert_eq!(servers.receive(Time::ZERO, peer(), &second, Reliable), InviteArrival::Full);
    servers.answer(Time::ZERO, &key, 486, Bytes::new());
    servers.forget(&key);
    assert_eq!((servers.len(), servers.wake_at()), (0, None));
    assert!(matches!(servers.receive(Time::ZERO, peer(), &second, Reliable), InviteArrival::New(_)));
}

#[test]
fn timers_l_and_m_last_64_t1_whatever_the_way() {
    for (timer, way) in
        [(Timer::L, Reliable), (Timer::L, Unreliable), (Timer::M, Reliable), (Timer::M, Unreliable)]
    {
        assert_eq!(Timers::RFC3261.span(timer, way), Some(Timers::RFC3261.t1 * 64));
    }
}
