//! The torture messages of RFC 4475: all 49, each with its verdict.
//!
//! A message that the RFC calls valid, or that only a user of the message may refuse, is taken and its fields come
//! out right; one that it calls invalid is refused with the status that the RFC asks for.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic as the test does")]

#[path = "support/files.rs"]
mod files;

use files::{octets, read};
use sip::{Contacts, Fault, Frame, Framer, Message, Scheme};

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("torture/", $name, ".sip"))
    };
}

#[track_caller]
fn taken(file: &str) -> Message {
    read(file).unwrap_or_else(|why| panic!("refused: {why}"))
}

/// The status of the refusal, which the answer must carry too unless there is nothing to address it by.
#[track_caller]
fn refused(file: &str) -> (u16, Fault) {
    let why = read(file).expect_err("taken");
    if let Some(answer) = why.answer() {
        let text = String::from_utf8_lossy(answer).into_owned();
        assert!(text.starts_with(&format!("SIP/2.0 {} ", why.status())), "{text}");
        assert!(text.contains("\r\nCall-ID: ") || matches!(why.fault, Fault::Missing(_)), "{text}");
    }
    (why.status(), why.fault)
}

fn contacts(message: &Message) -> Vec<String> {
    match message.contacts().unwrap() {
        Contacts::All => vec!["*".to_owned()],
        Contacts::List(list) => list.iter().map(|contact| contact.uri.to_string()).collect(),
    }
}

#[test]
fn wsinv_a_short_tortuous_invite() {
    let m = taken(file!("wsinv"));
    assert_eq!(
        (m.method(), m.uri().unwrap().as_str()),
        ("INVITE", "sip:vivekg@chair-dnrc.example.com;unknownparam")
    );
    assert_eq!(m.to().uri.as_str(), "sip:vivekg@chair-dnrc.example.com");
    assert_eq!(m.to().tag(), Some("1918181833n"));
    assert_eq!(m.from().display, "J Rosenberg \\\"");
    assert_eq!(m.from().tag(), Some("98asjd8"));
    assert_eq!(m.max_forwards(), Some(68));
    assert_eq!(m.cseq().number, 9);
    let branches: Vec<_> =
        m.vias().iter().map(|via| (via.transport.to_owned(), via.branch().unwrap().to_owned())).collect();
    let wanted = [("UDP", "390skdjuw"), ("TCP", "z9hG4bK9ikj8"), ("UDP", "z9hG4bK30239")];
    assert_eq!(branches, wanted.map(|(t, b)| (t.to_owned(), b.to_owned())));
    assert_eq!(m.via().host, "192.0.2.2");
    assert_eq!(m.header("Subject"), Some(""));
    assert_eq!(m.header("newfangledheader"), Some("newfangled value continued newfangled value"));
    assert_eq!(m.header("UnknownHeaderWithUnusualValue"), Some(";;,,;;,;"));
    let Contacts::List(list) = m.contacts().unwrap() else { panic!("a *") };
    assert_eq!(list[0].display, "Quoted string \"\"");
    assert_eq!(list[0].params.get("newparam"), Some("newvalue"));
    assert_eq!(list[0].params.get("q"), Some("0.33"));
    assert!(list[0].params.has("secondparam"));
    assert!(m.body().starts_with(b"v=0\r\n"));
}

#[test]
fn intmeth_a_wide_range_of_characters() {
    let m = taken(file!("intmeth"));
    assert_eq!(m.method(), "!interesting-Method0123456789_*+`.%indeed'~");
    let uri = m.uri().unwrap();
    assert_eq!(uri.user, Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
    assert_eq!(uri.password, Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"));
    assert_eq!(uri.host, "example.com");
    assert_eq!(m.to().display, "BEL:\x07 NUL:\0 DEL:\x7f");
    assert_eq!(m.from().display, "token1~` token2'+_ token3*%!.-");
    assert_eq!(m.from().params.get("fromParam''~+*_!.-%"), Some("работающий"));
    assert_eq!(m.from().tag(), Some("_token~1'+`*%!-."));
    assert_eq!(m.call_id(), "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{");
    assert_eq!(m.max_forwards(), Some(255));
    assert_eq!(m.via().branch(), Some("z9hG4bK-.!%66*_+`'~"));
    assert_eq!(m.header("extensionHeader-!.%*+_`'~"), Some("\u{feff}大停電"));
}

#[test]
fn esc01_escapes_in_addresses() {
    let m = taken(file!("esc01"));
    assert_eq!(m.uri().unwrap().user_name().unwrap(), "sips:user@example.com");
    assert_eq!(m.to().uri.user_name().unwrap(), "user");
    assert_eq!(m.from().uri.user_name().unwrap(), "I have spaces");
    let Contacts::List(list) = m.contacts().unwrap() else { panic!("a *") };
    assert_eq!(list[0].uri.user_name().unwrap(), "caller");
    assert!(list[0].uri.params.has("%6C%72"));
}

#[test]
fn escnull_escaped_nulls() {
    let m = taken(file!("escnull"));
    assert_eq!(m.to().uri.user_name().unwrap(), "null-\0-null");
    assert_eq!(contacts(&m), ["sip:%00@host5.example.com", "sip:%00%00@host5.example.com"]);
    let Contacts::List(list) = m.contacts().unwrap() else { panic!("a *") };
    assert!(!list[0].uri.same_as(&list[1].uri));
}

#[test]
fn esc02_percent_signs_that_escape_nothing() {
    let m = taken(file!("esc02"));
    assert_eq!(m.method(), "RE%47IST%45R");
    assert_eq!(m.to().display, "%Z%45");
    assert_eq!(m.via().branch(), Some("z9hG4bK209%fzsnel234"));
    assert_eq!(contacts(&m), ["sip:alias1@host1.example.com", "sip:alias3@host3.example.com"]);
    assert_eq!(m.header("C%6Fntact"), Some("<sip:alias2@host2.example.com>"));
}

#[test]
fn lwsdisp_no_blank_between_name_and_bracket() {
    let m = taken(file!("lwsdisp"));
    assert_eq!(m.from().display, "caller");
    assert_eq!(m.from().tag(), Some("323"));
}

#[test]
fn longreq_long_values() {
    let m = taken(file!("longreq"));
    assert!(m.to().display.contains("extremeextreme"));
    assert_eq!(m.to().uri.port, Some(6000));
    assert_eq!(m.from().tag().map(str::len), Some(2 + 150 + 3));
    assert_eq!(m.vias().len(), 33);
    assert!(
        m.headers("v")
            .last()
            .unwrap()
            .starts_with("SIP/2.0/TCP host1.example.com;received=192.0.2.5;branch=very")
    );
    assert!(m.header(&format!("Unknown-{}-Name", "Long".repeat(20))).is_some());
}

#[test]
fn dblreq_octets_behind_a_datagrams_message() {
    let m = taken(file!("dblreq"));
    assert_eq!(m.method(), "REGISTER");
    assert!(m.body().is_empty());
    assert!(m.as_bytes().ends_with(b"Content-Length: 0\r\n\r\n"));
}

#[test]
fn dblreq_on_a_stream_is_two_messages() {
    let mut framer = Framer::for_server();
    framer.push(&octets(file!("dblreq")));
    let mut methods = Vec::new();
    while let Some(frame) = framer.next() {
        match frame.unwrap() {
            Frame::Message(bytes) => methods.push(Message::parse(bytes).unwrap().method().to_owned()),
            Frame::Pong => methods.push("CRLF".to_owned()),
            Frame::Ping => methods.push("CRLFCRLF".to_owned()),
        }
    }
    // The second one says 150 octets of body; the rest of them never come.
    assert_eq!(methods[0], "REGISTER");
    assert!(methods[1..].iter().all(|what| what != "REGISTER"));
}

#[test]
fn semiuri_semicolons_in_the_user_part() {
    let m = taken(file!("semiuri"));
    let uri = m.uri().unwrap();
    assert_eq!(uri.user, Some("user;par=u%40example.net"));
    assert_eq!(uri.user_name().unwrap(), "user;par=u@example.net");
    assert_eq!(uri.host, "example.com");
    assert_eq!(m.list("Accept").unwrap().len(), 6);
}

#[test]
fn transports_known_and_unknown() {
    let m = taken(file!("transports"));
    let all: Vec<_> = m.vias().iter().map(|via| via.transport.to_owned()).collect();
    assert_eq!(all, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
}

#[test]
fn mpart01_a_binary_body() {
    let m = taken(file!("mpart01"));
    assert!(m.is_content("multipart/mixed"));
    assert_eq!(m.content_length(), Some(m.body().len()));
    assert!(m.body().windows(4).any(|w| w == [0, 0, 0xff, 0xfe]));
    assert!(m.body().ends_with(b"--7a9cbec02ceef655--\r\n"));
    assert_eq!(m.as_bytes(), &octets(file!("mpart01")));
}

#[test]
fn unreason_an_unusual_reason_phrase() {
    let m = taken(file!("unreason"));
    assert_eq!(m.status(), Some(200));
    assert_eq!(m.reason(), Some("= 2**3 * 5**2 но сто девяносто девять - простое"));
}

#[test]
fn noreason_an_empty_reason_phrase() {
    let m = taken(file!("noreason"));
    assert_eq!((m.status(), m.reason()), (Some(100), Some("")));
}

#[test]
fn what_is_invalid_is_refused_with_400() {
    for (name, file) in [
        ("badinv01", file!("badinv01")),
        ("clerr", file!("clerr")),
        ("ncl", file!("ncl")),
        ("scalar02", file!("scalar02")),
        ("scalarlg", file!("scalarlg")),
        ("quotbal", file!("quotbal")),
        ("ltgtruri", file!("ltgtruri")),
        ("lwsruri", file!("lwsruri")),
        ("lwsstart", file!("lwsstart")),
        ("trws", file!("trws")),
        ("escruri", file!("escruri")),
        ("regbadct", file!("regbadct")),
        ("badaspec", file!("badaspec")),
        ("baddn", file!("baddn")),
        ("mismatch01", file!("mismatch01")),
        ("mismatch02", file!("mismatch02")),
        ("bigcode", file!("bigcode")),
        ("insuf", file!("insuf")),
        ("multi01", file!("multi01")),
        ("mcl01", file!("mcl01")),
    ] {
        let (status, fault) = refused(file);
        assert_eq!(status, 400, "{name}: {fault}");
        let why = read(file).unwrap_err();
        let is_response = octets(file).starts_with(b"SIP/2.0 ");
        assert_eq!(why.answer().is_none(), is_response, "{name}: only a request is answered");
    }
}

#[test]
fn each_refusal_names_its_reason() {
    let is_malformed = |file, header: &str| matches!(refused(file).1, Fault::Malformed { name, .. } if name.eq_ignore_ascii_case(header));
    assert!(is_malformed(file!("badinv01"), "Via"));
    assert!(matches!(refused(file!("clerr")).1, Fault::BodyShort { wanted: 9999, .. }));
    assert!(is_malformed(file!("ncl"), "Content-Length"));
    assert!(is_malformed(file!("scalar02"), "CSeq"));
    assert!(is_malformed(file!("scalarlg"), "CSeq"));
    assert!(is_malformed(file!("quotbal"), "To"));
    for file in [file!("ltgtruri"), file!("lwsruri"), file!("lwsstart"), file!("escruri")] {
        assert!(matches!(refused(file).1, Fault::RequestUri(_)));
    }
    assert!(matches!(refused(file!("trws")).1, Fault::StartLine(_)));
    assert!(is_malformed(file!("regbadct"), "Contact"));
    assert!(is_malformed(file!("badaspec"), "To"));
    assert!(is_malformed(file!("baddn"), "From"));
    assert_eq!(refused(file!("mismatch01")).1, Fault::MethodMismatch);
    // RFC 4475 §3.1.2.18 allows 400 as well as 501.
    assert_eq!(refused(file!("mismatch02")).1, Fault::MethodMismatch);
    assert!(matches!(refused(file!("bigcode")).1, Fault::StartLine(_)));
    assert!(matches!(refused(file!("insuf")).1, Fault::Missing("From")));
    assert!(matches!(refused(file!("multi01")).1, Fault::Repeated(_)));
    assert_eq!(refused(file!("mcl01")).1, Fault::Repeated("Content-Length"));
}

#[test]
fn badvers_gets_505() {
    assert_eq!(refused(file!("badvers")), (505, Fault::Version));
    assert!(read(file!("badvers")).unwrap_err().answer().is_some());
}

/// RFC 4475 §3.1.2.12 lets a receiver that does not use the Date header leave it unread.
#[test]
fn baddate_is_taken_because_nobody_reads_dates() {
    assert_eq!(taken(file!("baddate")).header("Date"), Some("Fri, 01 Jan 2010 16:00:00 EST"));
}

#[test]
fn badbranch_the_cookie_alone() {
    let m = taken(file!("badbranch"));
    // Matched by RFC 2543's rules, as RFC 4475 §3.2.1 wants it: another CSeq is another transaction.
    let peer = "192.0.2.1:5060".parse().unwrap();
    let next = octets(file!("badbranch"));
    let next = String::from_utf8(next.to_vec()).unwrap().replace("CSeq: 8", "CSeq: 9");
    let next = Message::parse(next.into()).unwrap();
    let key = |m: &Message| sip::transaction::ServerKey::of(m, peer);
    assert_eq!(key(&m), key(&m.clone()));
    assert_ne!(key(&m), key(&next));
}

/// Unknown schemes in the Request-URI are for the server to answer with 416.
#[test]
fn unkscm_and_novelsc_unknown_schemes_in_the_request_uri() {
    for file in [file!("unkscm"), file!("novelsc")] {
        assert_eq!(taken(file).uri().unwrap().scheme, Scheme::Other);
    }
}

#[test]
fn unksm2_unknown_schemes_in_headers() {
    let m = taken(file!("unksm2"));
    assert_eq!(m.to().uri.as_str(), "isbn:2983792873");
    assert_eq!(m.from().uri.as_str(), "http://www.example.com");
    assert_eq!(m.from().tag(), Some("3234233"));
    assert_eq!(contacts(&m), ["name:John_Smith"]);
}

/// For the server to answer with 420.
#[test]
fn bext01_unknown_extensions_are_named() {
    let m = taken(file!("bext01"));
    assert_eq!(m.list("Require").unwrap(), ["nothingSupportsThis", "nothingSupportsThisEither"]);
    assert!(m.lists("Proxy-Require", "nordoanyproxiessupportthis"));
}

/// For the server to answer with 415.
#[test]
fn invut_an_unknown_body_type() {
    assert_eq!(taken(file!("invut")).content_type(), Some("application/unknownformat"));
}

#[test]
fn regaut01_an_unknown_scheme_of_credentials() {
    let m = taken(file!("regaut01"));
    let auth = sip::auth::Auth::parse(m.header("Authorization").unwrap()).unwrap();
    assert_eq!((auth.scheme(), auth.get("opaque-data").as_deref()), ("NoOneKnowsThisScheme", Some("here")));
}

/// A response whose topmost Via is somebody else's is for the transport to drop; it is well formed.
#[test]
fn bcast_a_broadcast_address_in_via() {
    let m = taken(file!("bcast"));
    assert_eq!(m.vias()[1].host, "255.255.255.255");
}

#[test]
fn zeromf_no_hops_left() {
    assert_eq!(taken(file!("zeromf")).max_forwards(), Some(0));
}

#[test]
fn cparam01_a_parameter_outside_brackets_is_the_headers() {
    let m = taken(file!("cparam01"));
    let Contacts::List(list) = m.contacts().unwrap() else { panic!("a *") };
    assert_eq!(list[0].uri.as_str(), "sip:+19725552222@gw1.example.net");
    assert!(list[0].params.has("unknownparam"));
}

#[test]
fn cparam02_a_parameter_inside_brackets_is_the_addresss() {
    let m = taken(file!("cparam02"));
    let Contacts::List(list) = m.contacts().unwrap() else { panic!("a *") };
    assert!(list[0].uri.params.has("unknownparam"));
    assert!(!list[0].params.has("unknownparam"));
}

#[test]
fn regescrt_escaped_headers_in_a_contact() {
    let m = taken(file!("regescrt"));
    let Contacts::List(list) = m.contacts().unwrap() else { panic!("a *") };
    assert_eq!(list[0].uri.headers, Some("Route=%3Csip:sip.example.com%3E"));
}

#[test]
fn sdp01_an_accept_that_nobody_can_meet() {
    assert_eq!(taken(file!("sdp01")).header("Accept"), Some("text/nobodyKnowsThis"));
}

#[test]
fn inv2543_an_invite_of_rfc_2543() {
    let m = taken(file!("inv2543"));
    assert_eq!(m.via().branch(), None);
    assert_eq!(m.from().tag(), None);
    assert_eq!(m.max_forwards(), None);
    assert_eq!(m.content_length(), None);
    assert!(m.body().starts_with(b"v=0"));
    assert_eq!(m.to().params.get("user"), Some("phone"));
}
