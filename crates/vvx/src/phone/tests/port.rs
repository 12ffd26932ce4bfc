//! The phone's SIP port, as strangers and discovery tools find it.

use bytes::Bytes;
use proptest::prelude::*;
use sip::{Draft, Message};

use super::bench::{Bench, setup};
use super::*;

fn ask(method: &str, uri: &str, branch: &str, more: &[(&str, &str)]) -> Bytes {
    let mut draft = Draft::request(method, uri)
        .with("Via", format!("SIP/2.0/UDP 10.20.0.1:5060;branch=z9hG4bK{branch}"))
        .with("From", "<sip:tool@10.20.0.1>;tag=1")
        .with("To", format!("<{uri}>"))
        .with("Call-ID", format!("{branch}@10.20.0.1"))
        .with("CSeq", format!("1 {method}"))
        .with("Max-Forwards", "70");
    more.iter().for_each(|(name, value)| draft.push(name, value));
    draft.print().expect("a request")
}

/// The one answer, and its status.
fn answer(bench: &mut Bench, request: Bytes) -> (u16, Message) {
    let mut answers = bench.knock(request);
    assert_eq!(answers.len(), 1);
    let message = Message::parse(answers.remove(0)).expect("an answer");
    (message.status().expect("a response"), message)
}

#[test]
fn a_phone_that_nobody_signed_in_to_names_its_model_and_refuses_other_names() {
    let mut bench = Bench::booted();
    let (status, said) = answer(&mut bench, ask("OPTIONS", "sip:10.20.2.1", "a", &[]));
    assert_eq!(status, 200);
    assert_eq!(said.header("Contact"), Some("<sip:VVX600@10.20.2.1>"));
    assert_eq!(said.header("User-Agent"), Some("Polycom/5.9.6.2327 PolycomVVX-VVX_600-UA/5.9.6.2327"));
    assert!(said.header("Allow").is_some_and(|methods| methods.contains("INVITE")));
    assert!(said.to().tag().is_some());
    let (status, _) =
        answer(&mut bench, ask("NOTIFY", "sip:VVX600@10.20.2.1", "b", &[("Event", "ua-profile")]));
    assert_eq!(status, 200);
    let (status, _) = answer(&mut bench, ask("OPTIONS", "sip:mallory@10.20.2.1", "c", &[]));
    assert_eq!(status, 404);
}

#[test]
fn every_request_gets_the_answer_that_its_rfc_has() {
    let mut bench = Bench::booted();
    let uri = "sip:10.20.2.1";
    for (at, (method, more, expected)) in [
        ("NOTIFY", vec![], 489),
        ("SUBSCRIBE", vec![("Event", "presence")], 489),
        ("INVITE", vec![], 480),
        ("BYE", vec![], 481),
        ("MESSAGE", vec![], 405),
        ("FROBNICATE", vec![], 501),
        ("OPTIONS", vec![("Require", "telepathy")], 420),
    ]
    .into_iter()
    .enumerate()
    {
        let (status, _) = answer(&mut bench, ask(method, uri, &format!("m{at}"), &more));
        assert_eq!(status, expected, "{method}");
    }
    assert!(bench.knock(ask("ACK", uri, "ack", &[])).is_empty());
}

#[test]
fn a_request_that_comes_twice_is_answered_twice_and_acted_on_once() {
    let mut bench = Bench::booted();
    let request = ask("NOTIFY", "sip:10.20.2.1", "same", &[("Event", "check-sync")]);
    let first = bench.knock(request.clone());
    assert_eq!(first, bench.knock(request));
    let told = bench.events.iter().filter(|event| **event == events::CHECK_SYNC).count();
    assert_eq!(told, 1);
}

#[test]
fn check_sync_starts_the_phone_again_where_it_always_reboots() {
    let mut setup = setup();
    let name = "voIpProt.SIP.specialEvent.checkSync.alwaysReboot";
    setup.parameters.insert(name.to_owned(), "1".to_owned());
    let mut bench = Bench::new(setup);
    bench.power_on();
    bench.run(180);
    let (status, _) = answer(&mut bench, ask("NOTIFY", "sip:10.20.2.1", "x", &[("Event", "check-sync")]));
    assert_eq!((status, bench.phone.state()), (200, PhoneState::Booting));
    // Elsewhere it looks for new settings; without a server there are none, and it stays.
    let mut bench = Bench::booted();
    answer(&mut bench, ask("NOTIFY", "sip:10.20.2.1", "x", &[("Event", "check-sync;reboot=false")]));
    bench.run(60);
    assert_eq!(bench.phone.state(), PhoneState::SignedOut);
}

#[test]
fn what_is_no_message_gets_an_error_or_silence_and_floods_are_not_amplified() {
    let mut bench = Bench::booted();
    for silent in ["", "\r\n\r\n", "\0", "GET / HTTP/1.1\r\n\r\n", "SIP/2.0 200 OK\r\n\r\n"] {
        assert!(bench.knock(silent.as_bytes().to_vec()).is_empty(), "{silent:?}");
    }
    let text = String::from_utf8(ask("OPTIONS", "sip:10.20.2.1", "y", &[]).to_vec()).expect("text");
    let (status, _) = answer(&mut bench, text.replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE").into());
    assert_eq!(status, 400);
    let (status, _) = answer(&mut bench, text.replacen("SIP/2.0", "SIP/7.0", 1).into());
    assert_eq!(status, 505);
    let answers: usize = (0..500)
        .map(|at| bench.knock(ask("OPTIONS", "sip:10.20.2.1", &format!("flood{at}"), &[])).len())
        .sum();
    assert!(answers <= crate::line::ports::ANSWERS_MAX as usize, "{answers}");
    bench.run(2);
    answer(&mut bench, ask("OPTIONS", "sip:10.20.2.1", "after", &[]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_datagram_makes_the_phone_panic(octets in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,200}") {
        let mut bench = Bench::booted();
        bench.knock(octets);
        bench.knock(text.clone().into_bytes());
        bench.knock(ask("OPTIONS", "sip:10.20.2.1", "p", &[]).iter().copied().chain(text.bytes()).collect::<Vec<u8>>());
        bench.knock(format!("OPTIONS sip:{text} SIP/2.0\r\nVia: {text}\r\nContact: {text}\r\n\r\n").into_bytes());
        bench.run(1);
    }
}
