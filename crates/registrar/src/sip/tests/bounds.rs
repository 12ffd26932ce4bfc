//! What a pool withstands: floods, slow senders, rubbish.

use std::time::Duration;

use proptest::prelude::*;
use sip::tls_dsk::Reply;

use super::bench::*;
use crate::events;
use crate::sip::access::{HALF_OPEN_IN_ALL, HALF_OPEN_LIFE, HALF_OPEN_PER_CONNECTION, HALF_OPEN_PER_SOURCE};
use crate::sip::connection::{
    ANSWER_OCTETS, IDLE, IDLE_UNPROVED, MESSAGE_OCTETS, MESSAGE_OCTETS_UNPROVED, MESSAGE_WITHIN,
};
use crate::sip::{CONNECTIONS_PER_SOURCE, UNFINISHED_IN_ALL};

/// A REGISTER with a hello, as octets; `epid` tells it from others.
fn hello(bench: &mut Bench, client: &mut Client, epid: &str) -> Vec<u8> {
    let mut random = net::Random::named(5, "hello");
    let Ok(Reply::More(flight)) = client.initiator(bench).step(&[], wall(), &mut random) else {
        panic!("a hello")
    };
    let parameters = sip::association::Parameters {
        realm: sip::association::REALM.to_owned(),
        targetname: HOST.to_owned(),
        opaque: String::new(),
        version: 4,
    };
    client.epid = epid.to_owned();
    client.flight(&parameters, &flight).print().expect("a good draft").to_vec()
}

#[test]
fn five_thousand_hellos_stay_bounded_and_go_after_ten_seconds() {
    let mut bench = Bench::new();
    let mut client = Client::new(&mut bench, ALICE, "01");
    let octets = hello(&mut bench, &mut client, "01");
    for number in 0..5_000 {
        // 250 from each of 20 addresses.
        let stream = bench.connect(&format!("10.30.{}.1:{}", number / 250, 10_000 + number));
        bench.send(stream, octets.clone());
        assert_eq!(bench.messages(stream).len(), 1);
    }
    assert_eq!(bench.front_end.half_open(), HALF_OPEN_IN_ALL);
    // Whoever is already in is served meanwhile.
    bench.pass(HALF_OPEN_LIFE);
    assert_eq!(bench.front_end.half_open(), 0);
    assert_eq!(Client::new(&mut bench, BOB, "02").sign_in(&mut bench).status(), Some(200));
}

#[test]
fn one_address_and_one_connection_have_only_so_many_handshakes() {
    let mut bench = Bench::new();
    let mut client = Client::new(&mut bench, ALICE, "01");
    let octets = hello(&mut bench, &mut client, "01");
    let mut streams = Vec::new();
    for number in 0..HALF_OPEN_PER_SOURCE + 10 {
        let stream = bench.connect(&format!("10.30.0.1:{}", 10_000 + number));
        bench.send(stream, octets.clone());
        streams.push(stream);
    }
    assert_eq!(bench.front_end.half_open(), HALF_OPEN_PER_SOURCE);
    let last = bench.messages(streams[HALF_OPEN_PER_SOURCE + 9]);
    assert_eq!(last[0].status(), Some(503));
    assert!(last[0].header("Retry-After").is_some());
    for stream in streams {
        bench.hang_up(stream);
    }
    assert_eq!(bench.front_end.half_open(), 0, "a closed connection gives its handshakes up");
    for number in 0..HALF_OPEN_PER_CONNECTION + 3 {
        let octets = hello(&mut bench, &mut client, &format!("{number:02}"));
        bench.send(client.stream, octets);
    }
    assert_eq!(bench.front_end.half_open(), HALF_OPEN_PER_CONNECTION);
}

#[test]
fn a_silent_connection_is_closed() {
    let mut bench = Bench::new();
    let silent = bench.connect("10.30.0.1:1");
    let desk = registered(&mut bench, ALICE, "01");
    bench.pass(IDLE_UNPROVED - Duration::from_nanos(1));
    assert!(bench.closed.is_empty());
    bench.pass(Duration::from_nanos(1));
    assert_eq!(bench.closed, [silent]);
    bench.pass(IDLE - IDLE_UNPROVED);
    assert_eq!(bench.closed, [silent, desk.stream]);
    assert_eq!(bench.front_end.connections(), 0);
}

#[test]
fn keep_alives_hold_the_connection_of_a_client_that_proved_who_it_is_and_no_other() {
    let mut bench = Bench::new();
    let stranger = bench.connect("10.30.0.1:1");
    let desk = registered(&mut bench, ALICE, "01");
    for _ in 0..2 * IDLE.as_secs() / 60 {
        bench.send(stranger, &b"\r\n\r\n"[..]);
        bench.send(desk.stream, &b"\r\n\r\n"[..]);
        bench.pass(Duration::from_secs(60));
    }
    assert_eq!(bench.closed, [stranger]);
}

#[test]
fn a_message_that_trickles_in_is_cut_off() {
    let mut bench = Bench::new();
    let stream = bench.connect("10.30.0.1:1");
    for _ in 0..MESSAGE_WITHIN.as_secs() {
        assert!(bench.closed.is_empty());
        bench.send(stream, &b"R"[..]);
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!(bench.closed, [stream]);
}

#[test]
fn a_message_that_never_ends_is_cut_off() {
    for (text, limit) in [("X: y\r\n".repeat(200), 100), (String::from("x").repeat(1000), 200)] {
        let mut bench = Bench::new();
        let stream = bench.connect("10.30.0.1:1");
        bench.send(stream, &b"REGISTER sip:a SIP/2.0\r\n"[..]);
        for _ in 0..limit {
            bench.send(stream, text.clone());
        }
        assert_eq!(bench.closed, [stream]);
    }
    let mut bench = Bench::new();
    let (stranger, desk) = (bench.connect("10.30.0.1:1"), registered(&mut bench, ALICE, "01").stream);
    for (stream, limit) in [(stranger, MESSAGE_OCTETS_UNPROVED), (desk, MESSAGE_OCTETS)] {
        let head = &b"REGISTER sip:a SIP/2.0\r\nContent-Length: 1000000\r\n\r\n"[..];
        bench.closed.clear();
        bench.send(stream, head);
        bench.send(stream, vec![b'x'; limit - head.len()]);
        assert!(bench.closed.is_empty());
        bench.send(stream, &b"x"[..]);
        assert_eq!(bench.closed, [stream]);
    }
}

#[test]
fn a_message_of_impossible_length_is_told_so_before_the_connection_closes() {
    let mut bench = Bench::new();
    for (length, status) in [("Content-Length: 2000000\r\n", 413), ("Content-Length: -1\r\n", 400), ("", 400)]
    {
        let stream = bench.connect("10.30.0.1:1");
        let head = "REGISTER sip:contoso.example SIP/2.0\r\nVia: SIP/2.0/TLS 10.30.0.1;branch=z9hG4bKa\r\n\
                    From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 REGISTER\r\n";
        bench.send(stream, format!("{head}{length}\r\n"));
        assert_eq!(bench.messages(stream)[0].status(), Some(status), "{length}");
        assert_eq!(bench.closed.pop(), Some(stream));
    }
}

#[test]
fn strangers_unfinished_messages_have_a_limit_in_all() {
    let mut bench = Bench::new();
    let desk = registered(&mut bench, ALICE, "01");
    let piece = vec![b'x'; 32 << 10];
    let most = UNFINISHED_IN_ALL / piece.len();
    let mut streams = Vec::new();
    for number in 0..=most {
        let stream = bench.connect(&format!("10.30.{}.1:{}", number / 250, 10_000 + number));
        bench.send(stream, piece.clone());
        streams.push(stream);
    }
    assert_eq!(bench.closed, streams[most..]);
    bench.closed.clear();
    bench.send(desk.stream, &b"REGISTER "[..]);
    assert!(bench.closed.is_empty(), "who has proved who they are is served");
    bench.hang_up(streams[0]);
    let late = bench.connect("10.31.0.1:1");
    bench.send(late, piece);
    assert!(bench.closed.is_empty(), "there is room again");
}

#[test]
fn one_address_cannot_take_every_connection() {
    let mut bench = Bench::new();
    let streams: Vec<_> = (0..CONNECTIONS_PER_SOURCE + 2)
        .map(|number| bench.connect(&format!("10.30.0.1:{}", 10_000 + number)))
        .collect();
    assert_eq!(bench.closed, streams[CONNECTIONS_PER_SOURCE..]);
    assert_eq!(bench.front_end.connections(), CONNECTIONS_PER_SOURCE);
    bench.hang_up(streams[0]);
    bench.closed.clear();
    bench.connect("10.30.0.1:9999");
    registered(&mut bench, ALICE, "01");
    assert!(bench.closed.is_empty(), "there is room again, and for others there always was");
}

#[test]
fn a_long_answer_is_not_kept_for_those_who_ask_again() {
    for (filler, is_kept) in [(ANSWER_OCTETS - 1_000, true), (ANSWER_OCTETS, false)] {
        let mut bench = Bench::new();
        let mut desk = Client::new(&mut bench, ALICE, "01");
        let mut draft = desk.register();
        draft.set("Call-ID", &"x".repeat(filler));
        let first = desk.ask(&mut bench, &draft);
        bench.send(desk.stream, draft.print().expect("a good draft"));
        let again = bench.messages(desk.stream);
        assert_eq!(
            again.iter().map(|m| m.as_bytes()).collect::<Vec<_>>(),
            if is_kept { vec![first.as_bytes()] } else { vec![] }
        );
    }
}

#[test]
fn a_handshake_remembers_no_long_names_and_the_journal_shows_none() {
    for (octets, is_begun) in [(1_024, true), (1_025, false)] {
        let mut bench = Bench::new();
        let mut client = Client::new(&mut bench, ALICE, "01");
        client.user = format!("%0A{}@contoso.example", "x".repeat(octets - 17));
        let octets = hello(&mut bench, &mut client, "01");
        bench.send(client.stream, octets);
        assert_eq!(bench.front_end.half_open(), usize::from(is_begun));
        bench.pass(HALF_OPEN_LIFE);
        assert_eq!(bench.count(events::HANDSHAKE_FAILED), 1);
        for (_, of) in bench.events() {
            assert!(of.len() < 200 && !of.contains('\n'), "{of}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_answered_if_it_can_be_and_not_for_ever() {
    let mut bench = Bench::new();
    let stream = bench.connect("10.30.0.1:1");
    let broken = "REGISTER sip:contoso.example SIP/2.0\r\nVia: SIP/2.0/TLS 10.30.0.1;branch=z9hG4bKa\r\n\
                  From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    bench.send(stream, broken);
    assert_eq!(bench.messages(stream)[0].status(), Some(400));
    for _ in 0..16 {
        assert!(bench.closed.is_empty());
        bench.send(stream, &b"what?\r\nContent-Length: 0\r\n\r\n"[..]);
    }
    assert_eq!(bench.closed, [stream]);
}

#[test]
fn one_client_cannot_fill_the_disks_queue() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    bench.disk_is_quick = false;
    for _ in 0..10 {
        let draft = desk.register();
        let draft = desk.signed(draft);
        bench.send(desk.stream, draft.print().expect("a good draft"));
    }
    let refused: Vec<Option<u16>> = bench.messages(desk.stream).iter().map(|m| m.status()).collect();
    assert_eq!(refused, [Some(503), Some(503)]);
    bench.flush();
    assert_eq!(bench.messages(desk.stream).len(), 8);
}

/// Octets that are nearly a REGISTER with credentials.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let value = "[ -~]{0,40}";
    (value, value, value, value, "[A-Za-z0-9+/=]{0,60}").prop_map(|(from, to, contact, expires, data)| {
        let auth = format!(
            "TLS-DSK qop=\"auth\", realm=\"{}\", targetname=\"{HOST}\", gssapi-data=\"{data}\", version=4",
            sip::association::REALM
        );
        format!(
            "REGISTER sip:contoso.example SIP/2.0\r\nVia: SIP/2.0/TLS a;branch=z9hG4bKa\r\nFrom: <sip:a@b>{from}\r\n\
             To: <sip:a@b>{to}\r\nCall-ID: x\r\nCSeq: 1 REGISTER\r\nContact: {contact}\r\nExpires: {expires}\r\n\
             Authorization: {auth}\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_octets_panic(chunks in proptest::collection::vec(
        prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), nearly()], 1..6))
    {
        let mut bench = Bench::new();
        let stream = bench.connect("10.30.0.1:1");
        for chunk in chunks {
            bench.send(stream, chunk);
        }
        bench.pass(Duration::from_secs(3600));
        prop_assert_eq!(bench.front_end.connections(), 0);
        prop_assert_eq!(bench.front_end.half_open(), 0);
    }

    #[test]
    fn no_signed_request_panics(method in "[A-Z]{1,10}", headers in proptest::collection::vec(
        ("(Event|Supported|Require|Contact|Expires|Content-Type|X)", "[ -~]{0,60}"), 0..6), body in "[ -~]{0,100}")
    {
        // One bench for all cases would be quicker and would tell less.
        let mut bench = Bench::new();
        let mut desk = registered(&mut bench, ALICE, "01");
        let mut draft = desk.request(&method);
        for (name, value) in &headers {
            draft.push(name, value);
        }
        let draft = desk.signed(draft.body("text/plain", body));
        bench.send(desk.stream, draft.print().expect("it prints"));
        prop_assert!(bench.front_end.connections() <= 1);
    }
}
