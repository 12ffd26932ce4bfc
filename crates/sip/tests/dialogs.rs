//! Dialogs: what each end remembers, and what its requests look like.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic as the test does")]

use std::time::Duration;

use net::Time;
use sip::dialog::{Dialog, DialogError, DialogId, Due, Repeats, Stage};
use sip::timers::Timers;
use sip::{Draft, Message};

fn invite(routes: &[&str]) -> Message {
    let mut draft = Draft::request("INVITE", "sip:bob@contoso.example")
        .with("Via", "SIP/2.0/TLS 192.0.2.10:5060;branch=z9hG4bKa")
        .with("From", "\"Alice\" <sip:alice@contoso.example>;tag=a;epid=0a0b")
        .with("To", "<sip:bob@contoso.example>")
        .with("Call-ID", "c")
        .with("CSeq", "7 INVITE")
        .with("Contact", "<sip:alice@192.0.2.10;transport=tls>");
    for route in routes {
        draft.push("Record-Route", route);
    }
    draft.message().unwrap()
}

fn answer(status: u16, routes: &[&str], contact: &str) -> Message {
    let mut draft = invite(&[]).reply_tagged(status, "Whatever", Some("b")).with("Contact", contact);
    for route in routes {
        draft.push("Record-Route", route);
    }
    draft.message().unwrap()
}

fn print(draft: Draft) -> Message {
    draft.with("Via", "SIP/2.0/TLS 192.0.2.10:5060;branch=z9hG4bKx").message().unwrap()
}

fn routes_of(message: &Message) -> Vec<String> {
    message.headers("Route").map(str::to_owned).collect()
}

const P1: &str = "<sip:p1.contoso.example;lr>";
const P2: &str = "<sip:p2.contoso.example;lr>";

#[test]
fn the_caller_takes_the_routes_backwards_and_the_called_as_they_are() {
    // Requests pass p1 first: each proxy puts itself on top.
    let mut caller =
        Dialog::as_caller(&invite(&[]), &answer(200, &[P2, P1], "<sip:bob@192.0.2.20>")).unwrap();
    let bye = print(caller.request("BYE"));
    assert_eq!(bye.uri().unwrap().as_str(), "sip:bob@192.0.2.20");
    assert_eq!(routes_of(&bye), [P1, P2]);
    assert_eq!(caller.next_hop(), "sip:p1.contoso.example;lr");
    assert_eq!((bye.from().tag(), bye.from().epid(), bye.to().tag()), (Some("a"), Some("0a0b"), Some("b")));
    assert_eq!((bye.call_id(), bye.cseq().number, bye.cseq().method), ("c", 8, "BYE"));

    let mut called = Dialog::as_called(&invite(&[P2, P1]), "b").unwrap();
    let bye = print(called.request("BYE"));
    assert_eq!(routes_of(&bye), [P2, P1]);
    assert_eq!(bye.uri().unwrap().as_str(), "sip:alice@192.0.2.10;transport=tls");
    assert_eq!((bye.from().tag(), bye.to().tag(), bye.cseq().number), (Some("b"), Some("a"), 1));
    assert_eq!(&*bye.to().display, "Alice");
}

#[test]
fn both_ends_know_the_dialog_by_the_same_three_names() {
    let mut caller = Dialog::as_caller(&invite(&[]), &answer(200, &[], "<sip:bob@192.0.2.20>")).unwrap();
    let called = Dialog::as_called(&invite(&[]), "b").unwrap();
    let request = print(caller.request("INFO"));
    assert!(called.is_of(&request));
    assert_eq!(DialogId::of_request(&request).as_ref(), Some(called.id()));
    assert!(!called.is_of(&invite(&[])), "no To tag");
    assert_eq!(DialogId::of_request(&invite(&[])), None);
}

#[test]
fn the_ack_bears_the_number_of_its_invite() {
    let mut dialog = Dialog::as_caller(&invite(&[]), &answer(200, &[P1], "<sip:bob@192.0.2.20>")).unwrap();
    dialog.request("INFO");
    let ack = print(dialog.ack(7));
    assert_eq!((ack.method(), ack.cseq().number, ack.cseq().method), ("ACK", 7, "ACK"));
    assert_eq!(routes_of(&ack), [P1]);
    assert_eq!(dialog.local_cseq(), 8);
}

#[test]
fn a_strict_router_finds_itself_in_the_request_uri() {
    let strict = "<sip:old.contoso.example>";
    let mut dialog =
        Dialog::as_caller(&invite(&[]), &answer(200, &[P2, strict], "<sip:bob@192.0.2.20>")).unwrap();
    let bye = print(dialog.request("BYE"));
    assert_eq!(bye.uri().unwrap().as_str(), "sip:old.contoso.example");
    assert_eq!(routes_of(&bye), [P2, "<sip:bob@192.0.2.20>"]);
}

#[test]
fn an_early_dialog_takes_the_routes_of_the_2xx() {
    let mut dialog =
        Dialog::as_caller(&invite(&[]), &answer(180, &[P2, P1], "<sip:bob@192.0.2.20>")).unwrap();
    assert_eq!(dialog.stage(), Stage::Early);
    assert_eq!(dialog.routes(), [P1, P2]);
    dialog.confirmed_by(&answer(200, &[P1], "<sip:bob@192.0.2.21>")).unwrap();
    assert_eq!((dialog.stage(), dialog.target()), (Stage::Confirmed, "sip:bob@192.0.2.21"));
    assert_eq!(dialog.routes(), [P1]);
}

#[test]
fn requests_come_in_order_and_may_move_the_other_end() {
    let mut called = Dialog::as_called(&invite(&[]), "b").unwrap();
    let request = |method: &str, cseq: u32, contact: &str| {
        Draft::request(method, "sip:bob@192.0.2.20")
            .with("Via", "SIP/2.0/TLS 192.0.2.10:5060;branch=z9hG4bKb")
            .with("From", "<sip:alice@contoso.example>;tag=a")
            .with("To", "<sip:bob@contoso.example>;tag=b")
            .with("Call-ID", "c")
            .with("CSeq", format!("{cseq} {method}"))
            .with("Contact", contact)
            .message()
            .unwrap()
    };
    assert_eq!(called.receive(&request("INFO", 7, "<sip:x@192.0.2.66>")), Err(DialogError::OutOfOrder));
    assert_eq!(called.receive(&request("INFO", 8, "<sip:x@192.0.2.66>")), Ok(()));
    assert_eq!(called.target(), "sip:alice@192.0.2.10;transport=tls", "INFO moves nobody");
    assert_eq!(called.receive(&request("INVITE", 10, "<sip:alice@192.0.2.11>")), Ok(()));
    assert_eq!(called.target(), "sip:alice@192.0.2.11");
    assert_eq!(called.receive(&request("BYE", 9, "<sip:alice@192.0.2.11>")), Err(DialogError::OutOfOrder));
    // The ACK bears the number of its INVITE, which is no disorder.
    assert_eq!(called.receive(&request("ACK", 10, "<sip:alice@192.0.2.11>")), Ok(()));
}

#[test]
fn without_one_contact_there_is_no_dialog() {
    for contact in ["<sip:a@192.0.2.1>, <sip:b@192.0.2.2>", "<tel:+1>", "<mailto:a@b.example>"] {
        let result = Dialog::as_caller(&invite(&[]), &answer(200, &[], contact));
        assert_eq!(result.unwrap_err(), DialogError::Contact, "{contact}");
    }
    let untagged = invite(&[]).reply_tagged(200, "OK", None).with("Contact", "<sip:b@192.0.2.2>");
    assert_eq!(
        Dialog::as_caller(&invite(&[]), &untagged.message().unwrap()).unwrap_err(),
        DialogError::NoTag
    );
    let many = vec![P1; 17];
    assert_eq!(Dialog::as_called(&invite(&many), "b").unwrap_err(), DialogError::Routes);
    assert!(Dialog::as_called(&invite(&many[1..]), "b").is_ok());
    assert_eq!(Dialog::as_called(&invite(&["<tel:+1>"]), "b").unwrap_err(), DialogError::Routes);
}

#[test]
fn a_2xx_is_repeated_until_its_ack_or_for_64_t1() {
    let mut repeats = Repeats::new(Time::ZERO, Timers::RFC3261);
    let mut sent = Vec::new();
    loop {
        let at = repeats.wake_at();
        match repeats.wake(at) {
            Due::Nothing => panic!("woken for nothing"),
            Due::Repeat => sent.push(at.as_nanos() / 1_000_000),
            Due::GiveUp => {
                assert_eq!(at, Time::ZERO + Duration::from_secs(32));
                break;
            }
        }
    }
    assert_eq!(sent, [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    assert_eq!(Repeats::new(Time::ZERO, Timers::RFC3261).wake(Time::from_millis(499)), Due::Nothing);
}
