//! Messages: reading, printing, answering, limits, injection, and that nothing makes the reader panic.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic as the test does")]

#[path = "support/corpus.rs"]
mod corpus;
#[path = "support/files.rs"]
mod files;

use bytes::Bytes;
use proptest::prelude::*;
use sip::message::{HEADER_OCTETS_MAX, HEADERS_MAX};
use sip::value::quote;
use sip::{Contacts, Draft, DraftError, Fault, Message, ParseError};

const REGISTER: &str = "REGISTER sip:contoso.example SIP/2.0\r\n\
Via: SIP/2.0/tls 192.0.2.10:42488;branch=z9hG4bK098F38163E3F9EE6C043\r\n\
From: <sip:alice@contoso.example>;tag=1145327061;epid=d8d053f0ae7f\r\n\
To: <sip:alice@contoso.example>\r\n\
Max-Forwards: 70\r\n\
CSeq: 6 REGISTER\r\n\
Call-ID: CA71gBE55a32E7i5885m4DCFt8C67b78CFx8706x\r\n\
Contact: <sip:192.0.2.10:42488;transport=tls;ms-opaque=d3470f2e1d>;methods=\"INVITE, MESSAGE\";proxy=replace;\
+sip.instance=\"<urn:uuid:90d996f0-7299-5868-a49b-0ead64bc43e3>\"\r\n\
Supported: gruu-10, adhoclist, msrtc-event-categories\r\n\
Event: registration\r\n\
ms-keep-alive: UAC;hop-hop=yes\r\n\
Content-Length: 0\r\n\r\n";

fn parse(text: &str) -> Result<Message, ParseError> {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()))
}

fn fault(text: &str) -> Fault {
    parse(text).expect_err("taken").fault
}

#[test]
fn a_register_is_read() {
    let m = parse(REGISTER).unwrap();
    assert!(m.is_request());
    assert_eq!((m.method(), m.uri().unwrap().host), ("REGISTER", "contoso.example"));
    assert_eq!((m.status(), m.reason()), (None, None));
    assert_eq!((m.via().transport, m.via().host, m.via().port), ("tls", "192.0.2.10", Some(42488)));
    assert_eq!(m.from().tag(), Some("1145327061"));
    assert_eq!(m.from().epid(), Some("d8d053f0ae7f"));
    assert_eq!(m.from().uri.user_at_host().as_deref(), Some("alice@contoso.example"));
    assert_eq!(m.to().tag(), None);
    assert_eq!(m.cseq().to_string(), "6 REGISTER");
    assert_eq!(m.max_forwards(), Some(70));
    assert_eq!(m.expires(), None);
    assert!(m.lists("supported", "GRUU-10") && !m.lists("Supported", "gruu"));
    let Contacts::List(contacts) = m.contacts().unwrap() else { panic!("a *") };
    assert_eq!(contacts[0].uri.params.get("ms-opaque"), Some("d3470f2e1d"));
    assert_eq!(contacts[0].params.get("methods"), Some("INVITE, MESSAGE"));
    assert_eq!(
        contacts[0].params.get("+sip.instance"),
        Some("<urn:uuid:90d996f0-7299-5868-a49b-0ead64bc43e3>")
    );
    assert_eq!(m.content_length(), Some(0));
    assert_eq!(m.as_bytes(), REGISTER.as_bytes());
    assert_eq!(format!("{m:?}"), "Message(REGISTER sip:contoso.example)");
}

#[test]
fn names_are_compact_or_full_in_any_case() {
    let text = REGISTER
        .replace("Via:", "v:")
        .replace("From:", "F :")
        .replace("Supported:", "K:")
        .replace("To:", "tO:");
    let m = parse(&text).unwrap();
    assert_eq!(m.header("VIA"), m.header("V"));
    assert!(m.header("from").is_some() && m.header("t").is_some());
    assert!(m.lists("Supported", "adhoclist"));
    assert_eq!(m.all_headers().nth(1).unwrap().0, "F");
}

#[test]
fn a_response_keeps_its_reason() {
    let m =
        parse(&REGISTER.replace("REGISTER sip:contoso.example SIP/2.0", "SIP/2.0 404 Nobody here")).unwrap();
    assert!(!m.is_request());
    assert_eq!((m.status(), m.reason(), m.method()), (Some(404), Some("Nobody here"), "REGISTER"));
    assert!(m.uri().is_none());
}

#[test]
fn an_answer_copies_what_it_must() {
    let request =
        parse(&REGISTER.replace("Via:", "Via: SIP/2.0/TLS proxy.example;branch=z9hG4bKp\r\nv:")).unwrap();
    let answer = request.reply(200, "OK").with("Expires", "7200").message().unwrap();
    assert_eq!(answer.vias().len(), 2);
    assert_eq!(answer.header("From"), request.header("From"));
    assert_eq!(answer.call_id(), request.call_id());
    assert_eq!(answer.cseq(), request.cseq());
    let tag = answer.to().tag().unwrap().to_owned();
    assert_eq!(
        request.reply(200, "OK").message().unwrap().to().tag(),
        Some(tag.as_str()),
        "the same each time"
    );
    assert_eq!(request.reply(100, "Trying").message().unwrap().to().tag(), None);
    let tagged = parse(&REGISTER.replace("To: <sip:alice@contoso.example>", "To: <sip:a@b>;tag=x")).unwrap();
    assert_eq!(tagged.reply_tagged(200, "OK", Some("y")).message().unwrap().to().tag(), Some("x"));
}

#[test]
fn a_draft_prints_in_order_and_its_length_last() {
    let draft = Draft::request("SERVICE", "sip:alice@contoso.example")
        .with("Via", "SIP/2.0/TLS 192.0.2.10;branch=z9hG4bK1")
        .with("To", "<sip:alice@contoso.example>")
        .body("application/SOAP+xml", "<x/>")
        .with("From", "<sip:alice@contoso.example>;tag=1");
    let printed = draft.print().unwrap();
    assert_eq!(
        std::str::from_utf8(&printed).unwrap(),
        "SERVICE sip:alice@contoso.example SIP/2.0\r\n\
         Via: SIP/2.0/TLS 192.0.2.10;branch=z9hG4bK1\r\n\
         To: <sip:alice@contoso.example>\r\n\
         Content-Type: application/SOAP+xml\r\n\
         From: <sip:alice@contoso.example>;tag=1\r\n\
         Content-Length: 4\r\n\r\n<x/>"
    );
    assert!(matches!(draft.message(), Err(DraftError::NotMessage(_))), "no Call-ID");
}

#[test]
fn the_length_may_stand_elsewhere_and_stays_where_it_is() {
    let mut draft =
        Draft::response(200, "OK").with("A", "1").with("B", "2").content_length_here().with("C", "3");
    let lines = |draft: &Draft| {
        let printed = String::from_utf8(draft.print().unwrap().to_vec()).unwrap();
        printed
            .lines()
            .skip(1)
            .filter_map(|line| line.split(':').next().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    assert_eq!(lines(&draft), ["A", "B", "Content-Length", "C", ""]);
    draft.remove("a");
    assert_eq!(lines(&draft), ["B", "Content-Length", "C", ""]);
    draft.push("B", "4");
    draft.set("b", "5");
    assert_eq!(lines(&draft), ["B", "Content-Length", "C", ""]);
    assert_eq!(draft.header("B"), Some("5"));
}

#[test]
fn nothing_can_be_injected() {
    let bad = |draft: Draft| draft.print().unwrap_err();
    for value in ["a\r\nEvil: 1", "a\nb", "a\rb", "a\0b", "a\x7f", "a\\\r\nEvil: 1", "a\\\nb"] {
        assert_eq!(
            bad(Draft::response(200, "OK").with("X", value)),
            DraftError::Control("X".to_owned()),
            "{value:?}"
        );
        assert!(matches!(bad(Draft::response(200, value)), DraftError::Control(_)));
    }
    assert!(matches!(bad(Draft::response(200, "OK").with("X: 1\r\nY", "1")), DraftError::NotToken(_)));
    assert!(matches!(bad(Draft::response(200, "OK").with("", "1")), DraftError::NotToken(_)));
    assert!(matches!(bad(Draft::request("BYE sip:x", "sip:a@b")), DraftError::NotToken(_)));
    for uri in ["sip:a@b SIP/2.0\r\nX: 1", "", "sip:a b"] {
        assert_eq!(bad(Draft::request("BYE", uri)), DraftError::RequestUri);
    }
    assert_eq!(bad(Draft::response(99, "x")), DraftError::Status(99));
    assert_eq!(bad(Draft::response(200, "x").with("l", "7")), DraftError::Length);
}

#[test]
fn lone_line_ends_and_control_characters_are_refused() {
    let with = |line: &str| fault(&REGISTER.replace("Event: registration", line));
    for line in ["X: a\nb", "X: a\rb", "X: a\0b", "X: a\x7f", "X: a\\\nb", "X: a\\\rb"] {
        assert!(matches!(with(line), Fault::HeaderLine(_)), "{line:?}");
    }
    for line in ["no colon", ": nameless", "two words: x", "ü: x", "X\r\n : x"] {
        assert!(matches!(with(line), Fault::HeaderLine(_)), "{line:?}");
    }
    let bytes = REGISTER.replace("registration", "\u{1}").replace('\u{1}', "é");
    assert!(parse(&bytes).is_ok(), "UTF-8 is text");
    let mut bytes = REGISTER.as_bytes().to_vec();
    bytes[60] = 0xff;
    assert_eq!(Message::parse(bytes.into()).unwrap_err().fault, Fault::NotUtf8);
}

#[test]
fn first_lines_are_read_strictly() {
    let with = |line: &str| fault(&REGISTER.replace("REGISTER sip:contoso.example SIP/2.0", line));
    for line in ["", "REGISTER", "REGISTER sip:contoso.example", "REGISTER sip:contoso.example HTTP/1.1"] {
        assert!(matches!(with(line), Fault::StartLine(_)), "{line}");
    }
    for line in [
        "RE(GISTER sip:a@b SIP/2.0",
        "SIP/2.0 99 Low",
        "SIP/2.0 700 High",
        "SIP/2.0 2000 Long",
        "SIP/2.0 +20 x",
    ] {
        assert!(matches!(with(line), Fault::StartLine(_) | Fault::NoEnd), "{line}");
    }
    assert_eq!(with("REGISTER sip:contoso.example SIP/2.1"), Fault::Version);
    assert_eq!(with("SIP/3.0 200 OK"), Fault::Version);
    assert!(parse(&REGISTER.replace(" SIP/2.0\r\n", " sip/2.0\r\n")).is_ok());
}

#[test]
fn headers_that_must_be_there_once_are() {
    let with = |name: &str, lines: &str| {
        let (before, rest) = REGISTER.split_once(&format!("\r\n{name}: ")).unwrap();
        let (_, after) = rest.split_once("\r\n").unwrap();
        fault(&format!("{before}\r\n{lines}{after}"))
    };
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        assert_eq!(with(name, ""), Fault::Missing(name));
        assert!(matches!(with(name, &format!("{name}:\r\n")), Fault::Malformed { .. }), "{name}");
    }
    assert_eq!(with("To", "To: <sip:a@b>\r\nt: <sip:a@b>\r\n"), Fault::Repeated("To"));
    assert_eq!(
        with("Max-Forwards", "Max-Forwards: 70\r\nMax-Forwards: 70\r\n"),
        Fault::Repeated("Max-Forwards")
    );
    for value in ["-1", "256", "x", ""] {
        assert!(matches!(
            with("Max-Forwards", &format!("Max-Forwards: {value}\r\n")),
            Fault::Malformed { .. }
        ));
    }
    for value in ["sip:a@b?x=y", "*, <sip:a@b>", "<sip:a@b>,,<sip:c@d>", "\"<sip:a@b>", "<sip:a@b>;=1"] {
        assert!(
            matches!(with("Contact", &format!("Contact: {value}\r\n")), Fault::Malformed { .. }),
            "{value}"
        );
    }
    assert!(matches!(with("Contact", "Contact: <sip:a@b>\r\nContact: *\r\n"), Fault::Malformed { .. }));
}

#[test]
fn a_star_is_all_contacts() {
    let m = parse(&REGISTER.replace("Contact: <", "Contact: *\r\nX: <")).unwrap();
    assert!(matches!(m.contacts(), Ok(Contacts::All)));
}

#[test]
fn numbers_too_large_to_hold_count_as_the_largest() {
    let m = parse(&REGISTER.replace("Event: registration", "Expires: 99999999999999999999999")).unwrap();
    assert_eq!(m.expires(), Some(u32::MAX));
}

#[test]
fn limits_hold() {
    let lines = |count: usize| REGISTER.replace("Event: registration\r\n", &"X: 1\r\n".repeat(count));
    assert!(parse(&lines(HEADERS_MAX - 10)).is_ok());
    let too_many = parse(&lines(HEADERS_MAX - 9)).unwrap_err();
    assert_eq!((too_many.fault.clone(), too_many.status()), (Fault::TooMany, 513));
    let padded = |len: usize| REGISTER.replace("registration", &"x".repeat(len + 12 - REGISTER.len()));
    assert!(parse(&padded(HEADER_OCTETS_MAX)).is_ok());
    assert_eq!(fault(&padded(HEADER_OCTETS_MAX + 1)), Fault::TooLong);
    assert_eq!(fault("REGISTER sip:a"), Fault::NoEnd);
    assert_eq!(fault(""), Fault::NoEnd);
}

#[test]
fn bodies_are_cut_to_their_length() {
    let m = parse(&REGISTER.replace("Length: 0\r\n\r\n", "Length: 3\r\n\r\nabcdef")).unwrap();
    assert_eq!(m.body_text(), Some("abc"));
    assert!(m.as_bytes().ends_with(b"abc"));
    let m = parse(&REGISTER.replace("Content-Length: 0\r\n\r\n", "\r\nabc")).unwrap();
    assert_eq!((m.content_length(), m.body_text()), (None, Some("abc")));
    assert_eq!(fault(&REGISTER.replace("Length: 0", "Length: 1")), Fault::BodyShort { wanted: 1, there: 0 });
}

#[test]
fn line_ends_before_a_message_do_not_count() {
    assert_eq!(parse(&format!("\r\n\r\n{REGISTER}")).unwrap().as_bytes(), REGISTER.as_bytes());
}

#[test]
fn a_refusal_says_where_and_is_answered() {
    let why = parse(&REGISTER.replace("CSeq: 6", "CSeq: six")).unwrap_err();
    assert_eq!(why.at, REGISTER.find("6 REGISTER").unwrap());
    assert_eq!(why.to_string(), format!("bad CSeq header: no number (at octet {})", why.at));
    let answer = std::str::from_utf8(why.answer().unwrap()).unwrap().to_owned();
    assert!(answer.starts_with("SIP/2.0 400 Bad Request (bad CSeq header: no number)\r\nVia: SIP/2.0/tls "));
    assert!(answer.ends_with(
        "CSeq: six REGISTER\r\nCall-ID: CA71gBE55a32E7i5885m4DCFt8C67b78CFx8706x\r\nContent-Length: 0\r\n\r\n"
    ));
    let ack = REGISTER.replace("REGISTER", "ACK").replace("CSeq: 6", "CSeq: six");
    assert!(parse(&ack).unwrap_err().answer().is_none());
}

#[test]
fn a_server_notes_where_a_request_came_from() {
    let via = |via: &str, peer: &str| {
        let text = REGISTER.replace("SIP/2.0/tls 192.0.2.10:42488;branch=z9hG4bK098F38163E3F9EE6C043", via);
        parse(&text).unwrap().top_via_received_from(peer.parse().unwrap())
    };
    let sent = "SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1";
    assert_eq!(via(sent, "192.0.2.10:5060"), None);
    assert_eq!(via(sent, "192.0.2.11:5060"), Some(format!("{sent};received=192.0.2.11")));
    assert_eq!(
        via("SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bK1, SIP/2.0/UDP x", "192.0.2.11:4321").as_deref(),
        Some("SIP/2.0/UDP 10.0.0.1;rport=4321;branch=z9hG4bK1;received=192.0.2.11")
    );
}

proptest! {
    #[test]
    fn reading_never_panics(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Message::parse(octets.into());
    }

    #[test]
    fn reading_what_is_almost_a_message_never_panics(
        at in any::<prop::sample::Index>(),
        len in 0usize..20,
        with in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut octets = REGISTER.as_bytes().to_vec();
        let at = at.index(octets.len());
        let end = (at + len).min(octets.len());
        octets.splice(at..end, with);
        match Message::parse(octets.into()) {
            Ok(m) => use_every_view(&m),
            Err(why) => {
                let _ = (why.to_string(), why.status());
            }
        }
    }

    #[test]
    fn what_is_printed_is_read_back(
        method in "[A-Z]{1,12}",
        user in "[a-z0-9.+-]{1,20}",
        display in "[^\\x00-\\x1f\\x7f]{0,20}",
        extra in prop::collection::vec(("[A-Za-z-]{2,12}", "[^\\x00-\\x1f\\x7f]{0,40}"), 0..12),
        body in prop::collection::vec(any::<u8>(), 0..200),
        number in 0u32..1 << 31,
    ) {
        let from = format!("{} <sip:{user}@contoso.example>;tag=1", quote(&display));
        let mut draft = Draft::request(&method, "sip:contoso.example")
            .with("Via", "SIP/2.0/TLS 192.0.2.10;branch=z9hG4bK1")
            .with("From", &from)
            .with("To", "<sip:bob@contoso.example>")
            .with("Call-ID", "a@b")
            .with("CSeq", format!("{number} {method}"))
            .body("application/octet-stream", body.clone());
        for (name, value) in &extra {
            draft.push(&format!("X-{name}"), value);
        }
        let m = draft.message().unwrap();
        prop_assert_eq!(m.method(), &method);
        let from = m.from();
        prop_assert_eq!(from.display.as_ref(), display.as_str());
        prop_assert_eq!(from.uri.user, Some(user.as_str()));
        prop_assert_eq!(m.cseq().number, number);
        prop_assert_eq!(m.body(), body);
        let read: Vec<_> = m.all_headers().filter(|(name, _)| name.starts_with("X-")).collect();
        prop_assert_eq!(read.len(), extra.len());
        for ((name, value), (was_name, was)) in read.iter().zip(&extra) {
            prop_assert_eq!(&name[2..], was_name);
            prop_assert_eq!(*value, was.trim_matches([' ', '\t']));
        }
        // Reading and printing again changes nothing.
        let again = Message::parse(m.as_bytes().clone()).unwrap();
        prop_assert_eq!(again.as_bytes(), m.as_bytes());
        use_every_view(&again);
    }
}

fn use_every_view(m: &Message) {
    let _ = (m.via(), m.vias(), m.from(), m.to(), m.cseq(), m.call_id(), m.uri(), m.contacts().is_ok());
    let _ =
        (m.expires(), m.max_forwards(), m.content_type(), m.body(), m.method(), m.list("Supported").is_ok());
    let peer = "192.0.2.1:5060".parse().unwrap();
    let _ = m.top_via_received_from(peer);
    if m.is_request() {
        m.reply(200, "OK").message().unwrap();
    }
}

/// One message of the longest head, with the worst that a reader which looks back could meet.
#[test]
fn long_heads_are_read_in_linear_time() {
    for filler in ["\r\n ", ",", "<", "\"", "\\\"", ";a", "%41", "\r", "a=b, "] {
        let room = HEADER_OCTETS_MAX - REGISTER.len() - 20;
        let text = REGISTER
            .replace("Event: registration", &format!("Event: {}x", filler.repeat(room / filler.len())));
        if let Ok(m) = parse(&text) {
            let _ = m.list("Event");
            use_every_view(&m);
        }
    }
}

#[test]
fn every_torture_message_survives_being_printed_anew() {
    let mut taken = 0;
    for (name, file) in corpus::TORTURE.iter().chain(corpus::IPV6) {
        let Ok(m) = files::read(file) else { continue };
        taken += 1;
        let mut draft = match m.uri() {
            Some(uri) => Draft::request(m.method(), uri.as_str()),
            None => Draft::response(m.status().unwrap(), m.reason().unwrap()),
        };
        for (header, value) in m.all_headers() {
            if sip::message::same_name(header, "Content-Length") {
                draft = draft.content_length_here();
            } else {
                draft.push(header, value);
            }
        }
        let again = draft.raw_body(m.body()).message().unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(again.body(), m.body(), "{name}");
        let without_length = |m: &Message| -> Vec<(String, String)> {
            m.all_headers()
                .filter(|(header, _)| !sip::message::same_name(header, "Content-Length"))
                .map(|(header, value)| (header.to_owned(), value.to_owned()))
                .collect()
        };
        assert_eq!(without_length(&again), without_length(&m), "{name}");
        use_every_view(&again);
    }
    assert_eq!((corpus::TORTURE.len(), corpus::IPV6.len(), taken), (49, 12, 28 + 11));
}
