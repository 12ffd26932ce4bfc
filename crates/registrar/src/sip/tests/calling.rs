//! Calls of clients that speak TLS-DSK: what is put through to them is signed, and so must be what they send.

use net::StreamId;
use sip::association::Checked;
use sip::digest::{self, Hash, Login};
use sip::{Draft, Message, NameAddr};

use super::bench::*;
use crate::accounts::DigestKeys;
use crate::events;
use crate::setup::PlainSip;

/// The one message that reached a client, signed.
fn hear(bench: &mut Bench, client: &mut Client) -> Message {
    let mut messages = bench.messages(client.stream);
    assert_eq!(messages.len(), 1, "{messages:?}");
    let message = messages.remove(0);
    let keys = client.keys.as_mut().expect("it has proved itself");
    assert_eq!(keys.check(&message), Ok(Checked::Signed), "{message:?}");
    message
}

fn send(bench: &mut Bench, client: &mut Client, draft: Draft) {
    let draft = client.signed(draft);
    bench.send(client.stream, draft.print().expect("a good draft"));
}

/// An answer of a callee, not signed yet.
fn answer(request: &Message, status: u16, contact: &str) -> Draft {
    let mut draft = request.reply_tagged(status, "", Some("callee")).with("Contact", contact);
    for value in request.headers("Record-Route") {
        draft.push("Record-Route", value);
    }
    draft
}

/// A request in the dialog that an INVITE (for the callee) or its 200 (for the caller) made.
fn in_dialog(draft: Draft, made_by: &Message) -> Draft {
    let is_caller = !made_by.is_request();
    let header = |name: &str| made_by.header(name).expect("it is there").to_owned();
    let mut ends = [header("To"), header("From")];
    let target = header("Contact");
    let target = NameAddr::parse(&target).expect("an address").uri.as_str().to_owned();
    let mut route = made_by.list("Record-Route").expect("a list");
    if is_caller {
        ends.reverse();
        route.reverse();
    }
    let [own, other] = ends;
    let method = draft.method().expect("a request").to_owned();
    let mut fresh = Draft::request(&method, &target);
    for name in ["Via", "Max-Forwards"] {
        fresh.push(name, draft.header(name).expect("it is there"));
    }
    for value in route {
        fresh.push("Route", value);
    }
    fresh
        .with("From", if own.contains("tag=") { own } else { format!("{own};tag=callee") })
        .with("To", other)
        .with("Call-ID", header("Call-ID"))
        .with("CSeq", draft.header("CSeq").expect("it is there"))
}

const DESK: &str = "<sip:10.20.2.1:40000;transport=tls>";

#[test]
fn two_clients_call_each_other_and_everything_is_signed() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let mut hall = registered(&mut bench, BOB, "02");
    let invite = desk.request_to("INVITE", &format!("sip:{BOB}")).with("Contact", DESK);
    send(&mut bench, &mut desk, invite);
    assert_eq!(hear(&mut bench, &mut desk).status(), Some(100));
    let got = hear(&mut bench, &mut hall);
    assert_eq!((got.method(), got.max_forwards()), ("INVITE", Some(69)));
    assert!(got.header("Authorization").is_none(), "the caller's signature goes no further");
    send(&mut bench, &mut hall, answer(&got, 180, DESK));
    assert_eq!(hear(&mut bench, &mut desk).status(), Some(180));
    // An answer that nobody signed does not count.
    bench.send(hall.stream, answer(&got, 603, DESK).print().expect("a good draft"));
    assert!(bench.messages(desk.stream).is_empty());
    send(&mut bench, &mut hall, answer(&got, 200, DESK));
    let ok = hear(&mut bench, &mut desk);
    assert_eq!((ok.status(), ok.vias().len()), (Some(200), 1));
    // Nor does an ACK.
    let ack = in_dialog(desk.request_to("ACK", "sip:a"), &ok);
    bench.send(desk.stream, ack.print().expect("a good draft"));
    assert!(bench.messages(hall.stream).is_empty());
    send(&mut bench, &mut desk, ack);
    assert_eq!(hear(&mut bench, &mut hall).method(), "ACK");
    let bye = in_dialog(hall.request_to("BYE", "sip:a"), &got);
    send(&mut bench, &mut hall, bye);
    let got = hear(&mut bench, &mut desk);
    assert_eq!(got.method(), "BYE");
    send(&mut bench, &mut desk, answer(&got, 200, DESK));
    assert_eq!(hear(&mut bench, &mut hall).status(), Some(200));
    assert_eq!(bench.count(events::ROUTED_CALL_ACCEPTED), 1);
}

#[test]
fn a_client_that_hangs_up_or_is_refused_hears_so() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let mut hall = registered(&mut bench, BOB, "02");
    for is_cancelled in [true, false] {
        let invite = desk.request_to("INVITE", &format!("sip:{BOB}")).with("Contact", DESK);
        let mut cancel = Draft::request("CANCEL", &format!("sip:{BOB}"));
        for name in ["Via", "Max-Forwards", "From", "To", "Call-ID"] {
            cancel.push(name, invite.header(name).expect("it is there"));
        }
        let number = invite.header("CSeq").expect("it is there").replace("INVITE", "CANCEL");
        let cancel = cancel.with("CSeq", number);
        send(&mut bench, &mut desk, invite);
        hear(&mut bench, &mut desk);
        let got = hear(&mut bench, &mut hall);
        send(&mut bench, &mut hall, answer(&got, 180, DESK));
        hear(&mut bench, &mut desk);
        let status = if is_cancelled {
            send(&mut bench, &mut desk, cancel);
            assert_eq!(hear(&mut bench, &mut desk).status(), Some(200));
            assert_eq!(hear(&mut bench, &mut hall).method(), "CANCEL");
            487
        } else {
            486
        };
        send(&mut bench, &mut hall, answer(&got, status, DESK));
        assert_eq!(hear(&mut bench, &mut hall).method(), "ACK");
        assert_eq!(hear(&mut bench, &mut desk).status(), Some(status));
    }
}

#[test]
fn a_softphone_and_a_client_with_an_association_call_each_other_at_one_port() {
    let mut bench = Bench::of(Some(PlainSip::USUAL));
    let account = bench.accounts.find_mut(BOB).expect("he is known");
    account.digest = DigestKeys::new(BOB, DOMAIN, "Gr33n-Door!");
    let mut desk = registered(&mut bench, ALICE, "01");
    let soft = bench.connect("10.20.2.9:40001");
    let login =
        Login { user: "bob".to_owned(), password: "Gr33n-Door!".to_owned(), realm: None, weakest: Hash::Md5 };
    let mut login = digest::Client::new(login);
    let mut random = net::Random::named(1, "soft");
    let contact = "<sip:bob@10.20.2.9:40001;transport=tls>";
    let mut number = 0;
    // Sends a request twice: with the proof of what the first answer asked for.
    let mut ask = |bench: &mut Bench, method: &str, uri: &str, to: &str| {
        let mut last = Vec::new();
        for _ in 0..2 {
            number += 1;
            let mut draft = Draft::request(method, uri)
                .with("Via", format!("SIP/2.0/TLS 10.20.2.9:40001;branch=z9hG4bKs{number}"))
                .with("From", format!("<sip:{BOB}>;tag=soft"))
                .with("To", format!("<sip:{to}>"))
                .with("Call-ID", format!("soft-{method}"))
                .with("CSeq", format!("{number} {method}"))
                .with("Contact", contact);
            let asked = digest::Asked { method, uri, body: b"" };
            for (name, value) in login.answer(&asked) {
                draft.push(name, &value);
            }
            let sent = draft.message().expect("a good draft");
            bench.send(soft, sent.as_bytes().clone());
            last = bench.messages(soft);
            match last.first().and_then(Message::status) {
                Some(401 | 407) => {
                    login.challenged(&last[0], &sent, &mut random).expect("it can be answered");
                }
                _ => return last,
            }
        }
        last
    };
    let ok = ask(&mut bench, "REGISTER", "sip:contoso.example", BOB);
    assert_eq!(ok[0].status(), Some(200));
    // The softphone calls the desk.
    let trying = ask(&mut bench, "INVITE", &format!("sip:{ALICE}"), ALICE);
    assert_eq!(trying[0].status(), Some(100));
    let got = hear(&mut bench, &mut desk);
    assert!(got.header("Proxy-Authorization").is_none());
    send(&mut bench, &mut desk, answer(&got, 200, DESK));
    let ok = bench.messages(soft).remove(0);
    assert_eq!(ok.status(), Some(200));
    assert!(ok.header("Authorization").is_none(), "the callee's signature goes no further");
    let bye = in_dialog(desk.request_to("BYE", "sip:a"), &got);
    send(&mut bench, &mut desk, bye);
    let bye = bench.messages(soft).remove(0);
    bench.send(soft, answer(&bye, 200, contact).print().expect("a good draft"));
    assert_eq!(hear(&mut bench, &mut desk).status(), Some(200));
    // The desk calls the softphone.
    let invite = desk.request_to("INVITE", &format!("sip:{BOB}")).with("Contact", DESK);
    send(&mut bench, &mut desk, invite);
    hear(&mut bench, &mut desk);
    let got = bench.messages(soft).remove(0);
    assert_eq!(got.uri().map(|uri| uri.as_str()), Some("sip:bob@10.20.2.9:40001;transport=tls"));
    assert!(got.header("Authorization").is_none());
    bench.send(soft, answer(&got, 200, contact).print().expect("a good draft"));
    let ok = hear(&mut bench, &mut desk);
    assert_eq!(ok.status(), Some(200));
    let ack = in_dialog(desk.request_to("ACK", "sip:a"), &ok);
    send(&mut bench, &mut desk, ack);
    assert_eq!(bench.messages(soft).remove(0).method(), "ACK");
    assert_eq!(bench.of_streams(soft), 0);
}

impl Bench {
    /// How many octets wait unread at a stream.
    fn of_streams(&mut self, stream: StreamId) -> usize {
        self.octets(stream).len()
    }
}
