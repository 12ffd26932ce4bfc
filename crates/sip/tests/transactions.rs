//! Non-INVITE transactions: what is sent when, written as times.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic as the test does")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use net::Time;
use sip::timers::{Reliability, Timer, Timers};
use sip::transaction::{Arrival, Came, Client, ServerKey, Servers, Woke};
use sip::{Draft, Message};

fn request(method: &str, branch: &str) -> Message {
    Draft::request(method, "sip:contoso.example")
        .with("Via", format!("SIP/2.0/UDP 192.0.2.10:5060;branch={branch}"))
        .with("From", "<sip:alice@contoso.example>;tag=1")
        .with("To", "<sip:alice@contoso.example>")
        .with("Call-ID", "a")
        .with("CSeq", format!("1 {method}"))
        .message()
        .unwrap()
}

fn answer(request: &Message, status: u16) -> Message {
    request.reply(status, "Whatever").message().unwrap()
}

fn millis(at: u64) -> Time {
    Time::from_millis(at)
}

/// Lets a client transaction run until `until`; gives each thing it does and when.
fn run(client: &mut Client, until: Time) -> Vec<(u64, &'static str)> {
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
fn a_request_is_repeated_ever_slower_until_timer_f() {
    let mut client =
        Client::new(request("REGISTER", "z9hG4bKa"), Reliability::Unreliable, Timers::RFC3261, Time::ZERO);
    let resends = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    let mut wanted: Vec<_> = resends.map(|at| (at, "resend")).to_vec();
    wanted.push((32_000, "timed out"));
    assert_eq!(run(&mut client, Time::NEVER), wanted);
    assert!(client.is_over());
    assert_eq!(client.wake_at(), None);
}

#[test]
fn on_a_stream_nothing_is_repeated() {
    let mut client =
        Client::new(request("REGISTER", "z9hG4bKa"), Reliability::Reliable, Timers::RFC3261, millis(1_000));
    assert_eq!(client.wake(millis(32_999)), Woke::Nothing);
    assert_eq!(run(&mut client, Time::NEVER), [(33_000, "timed out")]);
}

#[test]
fn a_provisional_answer_slows_the_repeats_to_t2() {
    let request = request("REGISTER", "z9hG4bKa");
    let mut client = Client::new(request.clone(), Reliability::Unreliable, Timers::RFC3261, Time::ZERO);
    assert_eq!(run(&mut client, millis(600)), [(500, "resend")]);
    assert_eq!(client.receive(millis(700), &answer(&request, 100)), Came::Provisional);
    assert_eq!(run(&mut client, millis(9_500)), [(1_500, "resend"), (5_500, "resend"), (9_500, "resend")]);
    assert_eq!(run(&mut client, Time::NEVER).last(), Some(&(32_000, "timed out")));
}

#[test]
fn a_final_answer_is_taken_once_and_its_repeats_until_timer_k() {
    let request = request("REGISTER", "z9hG4bKa");
    let mut client = Client::new(request.clone(), Reliability::Unreliable, Timers::RFC3261, Time::ZERO);
    assert_eq!(client.receive(millis(100), &answer(&request, 200)), Came::Final);
    assert_eq!(client.receive(millis(200), &answer(&request, 200)), Came::Again);
    assert_eq!(client.wake(millis(5_099)), Woke::Nothing);
    assert_eq!(run(&mut client, Time::NEVER), [(5_100, "over")]);

    let mut client = Client::new(request.clone(), Reliability::Reliable, Timers::RFC3261, Time::ZERO);
    assert_eq!(client.receive(millis(100), &answer(&request, 401)), Came::Final);
    assert!(client.is_over());
}

#[test]
fn an_answer_belongs_to_its_branch_and_method() {
    let mine = request("REGISTER", "z9hG4bKa");
    let mut client = Client::new(mine.clone(), Reliability::Reliable, Timers::RFC3261, Time::ZERO);
    for other in [request("REGISTER", "z9hG4bKb"), request("OPTIONS", "z9hG4bKa")] {
        assert_eq!(client.receive(Time::ZERO, &answer(&other, 200)), Came::NotMine);
        assert_eq!(client.receive(Time::ZERO, &other), Came::NotMine);
    }
    assert_eq!(client.receive(Time::ZERO, &answer(&mine, 200)), Came::Final);
}

#[test]
fn a_broken_way_ends_a_transaction() {
    let mut client =
        Client::new(request("REGISTER", "z9hG4bKa"), Reliability::Reliable, Timers::RFC3261, Time::ZERO);
    client.fail();
    assert_eq!(client.wake_at(), None);
    assert_eq!(client.wake(Time::ZERO), Woke::Over);
}

fn peer() -> SocketAddr {
    "192.0.2.10:5060".parse().unwrap()
}

fn servers() -> Servers {
    Servers::new(Timers::RFC3261)
}

fn new_key(servers: &mut Servers, at: Time, request: &Message, way: Reliability) -> ServerKey {
    match servers.receive(at, peer(), request, way) {
        Arrival::New(key) => key,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_repeated_request_gets_the_stored_answer_until_timer_j() {
    let mut servers = servers();
    let request = request("REGISTER", "z9hG4bKa");
    let key = new_key(&mut servers, Time::ZERO, &request, Reliability::Unreliable);
    let again =
        |servers: &mut Servers, at| servers.receive(millis(at), peer(), &request, Reliability::Unreliable);
    assert_eq!(again(&mut servers, 10), Arrival::Again(None));
    let (trying, ok) = (Bytes::from_static(b"100"), Bytes::from_static(b"200"));
    assert!(servers.answer(millis(20), &key, 100, trying.clone()));
    assert_eq!(again(&mut servers, 30), Arrival::Again(Some(trying)));
    assert_eq!(servers.wake_at(), None);
    assert!(servers.answer(millis(40), &key, 200, ok.clone()));
    assert!(!servers.answer(millis(41), &key, 500, Bytes::from_static(b"500")), "one final answer is enough");
    assert_eq!(again(&mut servers, 50), Arrival::Again(Some(ok.clone())));
    assert_eq!(servers.wake_at(), Some(millis(32_040)));
    assert_eq!(again(&mut servers, 32_039), Arrival::Again(Some(ok)));
    assert!(matches!(again(&mut servers, 32_040), Arrival::New(_)));
}

#[test]
fn on_a_stream_a_transaction_ends_with_its_answer() {
    let mut servers = servers();
    let request = request("REGISTER", "z9hG4bKa");
    let key = new_key(&mut servers, Time::ZERO, &request, Reliability::Reliable);
    assert_eq!(servers.len(), 1);
    assert!(servers.answer(Time::ZERO, &key, 200, Bytes::from_static(b"200")));
    assert!(servers.is_empty());
    assert!(!servers.answer(Time::ZERO, &key, 200, Bytes::from_static(b"200")));
}

#[test]
fn a_stranger_with_anothers_branch_is_a_stranger() {
    let mut servers = servers();
    let request = request("REGISTER", "z9hG4bKa");
    new_key(&mut servers, Time::ZERO, &request, Reliability::Unreliable);
    let stranger = "192.0.2.66:5060".parse().unwrap();
    let arrival = servers.receive(Time::ZERO, stranger, &request, Reliability::Unreliable);
    assert!(matches!(arrival, Arrival::New(_)));
}

#[test]
fn a_forgotten_request_may_come_again_and_leaves_no_timer() {
    let mut servers = servers();
    let request = request("REGISTER", "z9hG4bKa");
    let key = new_key(&mut servers, Time::ZERO, &request, Reliability::Unreliable);
    servers.answer(Time::ZERO, &key, 200, Bytes::new());
    servers.forget(&key);
    assert_eq!((servers.len(), servers.wake_at()), (0, None));
    new_key(&mut servers, Time::ZERO, &request, Reliability::Unreliable);
}

#[test]
fn the_same_request_is_known_by_branch_or_by_everything_else() {
    let key = |m: &Message| ServerKey::of(m, peer());
    assert_eq!(key(&request("REGISTER", "z9hG4bKa")), key(&request("REGISTER", "Z9HG4BKA")));
    assert_ne!(key(&request("REGISTER", "z9hG4bKa")), key(&request("REGISTER", "z9hG4bKb")));
    assert_ne!(key(&request("REGISTER", "z9hG4bKa")), key(&request("OPTIONS", "z9hG4bKa")));
    assert_eq!(key(&request("ACK", "z9hG4bKa")), key(&request("INVITE", "z9hG4bKa")));
    assert_eq!(key(&request("REGISTER", "1")), key(&request("REGISTER", "1")));
    assert_ne!(key(&request("REGISTER", "1")), key(&request("REGISTER", "2")));
}

#[test]
fn timers_are_those_of_the_table() {
    let t = Timers::RFC3261;
    use Reliability::{Reliable, Unreliable};
    let secs = |s| Some(Duration::from_secs(s));
    let half = Some(Duration::from_millis(500));
    for (timer, unreliable, reliable) in [
        (Timer::A, half, None),
        (Timer::B, secs(32), secs(32)),
        (Timer::C, secs(181), secs(181)),
        (Timer::D, secs(32), secs(0)),
        (Timer::E, half, None),
        (Timer::F, secs(32), secs(32)),
        (Timer::G, half, None),
        (Timer::H, secs(32), secs(32)),
        (Timer::I, secs(5), secs(0)),
        (Timer::J, secs(32), secs(0)),
        (Timer::K, secs(5), secs(0)),
    ] {
        assert_eq!(t.span(timer, Unreliable), unreliable, "{timer:?}");
        assert_eq!(t.span(timer, Reliable), reliable, "{timer:?}");
    }
}
