//! Against the `rsip` crate: wherever it takes a message in canonical text, both read the same; where they do not,
//! the disagreement is written down here with its reason.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic as the test does")]

#[path = "support/files.rs"]
mod files;

#[path = "support/corpus.rs"]
mod corpus;

use proptest::prelude::*;
use rsip::headers::ToTypedHeader as _;
use rsip::headers::UntypedHeader as _;
use rsip::message::{HasHeaders as _, HeadersExt as _};
use sip::message::full_name;
use sip::rsip_bridge::{NotInRsip, from_rsip, to_rsip};
use sip::{Contacts, Draft, Message, NameAddr};

/// The same message with full names, folds joined and one blank behind each colon: the text that `rsip` likes best.
fn canonical(m: &Message) -> Vec<u8> {
    let text = String::from_utf8_lossy(m.as_bytes()).into_owned();
    let first = text.split("\r\n").next().unwrap();
    let mut out = format!("{first}\r\n").into_bytes();
    for (name, value) in m.all_headers() {
        out.extend_from_slice(format!("{}: {value}\r\n", full_name(name)).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&m.body());
    out
}

/// Everything on which both sides have something to say and say otherwise.
fn disagreements(m: &Message, other: &rsip::SipMessage) -> Vec<String> {
    let mut all = Vec::new();
    let mut same = |what: &str, ours: String, theirs: String| {
        if ours != theirs {
            all.push(format!("{what}: {ours:?} here, {theirs:?} there"));
        }
    };
    match other {
        rsip::SipMessage::Request(request) => {
            same("method", m.method().to_owned(), request.method.to_string());
            let uri = m.uri().unwrap();
            same("uri", uri.to_string(), request.uri.to_string());
            // In other schemes `rsip` finds hosts where there are none.
            if uri.is_sip() {
                same("user", uri.user.unwrap_or("").to_owned(), request.uri.user().unwrap_or("").to_owned());
                same("host", uri.host.to_owned(), request.uri.host().to_string());
            }
        }
        rsip::SipMessage::Response(response) => {
            same("status", m.status().unwrap().to_string(), response.status_code.code().to_string());
        }
    }
    let count = other.headers().iter().count();
    same("headers", m.all_headers().count().to_string(), count.to_string());
    for ((name, value), theirs) in m.all_headers().zip(other.headers().iter()) {
        let line = format!("{}: {value}", full_name(name)).to_ascii_lowercase();
        same("header", line, theirs.to_string().to_ascii_lowercase());
    }
    let address = |ours: &NameAddr<'_>| format!("{} {:?}", ours.uri, ours.tag());
    if let Ok(from) = other.from_header().and_then(|from| from.typed()) {
        let tag = from.tag().map(|tag| tag.value().to_owned());
        same("From", address(&m.from()), format!("{} {:?}", from.uri, tag.as_deref()));
    }
    if let Ok(to) = other.to_header().and_then(|to| to.typed()) {
        let tag = to.tag().map(|tag| tag.value().to_owned());
        same("To", address(&m.to()), format!("{} {:?}", to.uri, tag.as_deref()));
    }
    if let Ok(cseq) = other.cseq_header().and_then(|cseq| cseq.typed()) {
        same("CSeq", m.cseq().to_string(), format!("{} {}", cseq.seq, cseq.method));
    }
    if let Ok(via) = other.via_header().and_then(|via| via.typed()) {
        let branch = via.branch().map(|branch| branch.value().to_owned());
        same("branch", format!("{:?}", m.via().branch()), format!("{:?}", branch.as_deref()));
        same("sent-by", m.via().host.to_owned(), via.uri.host().to_string());
    }
    if let Ok(call_id) = other.call_id_header() {
        same("Call-ID", m.call_id().to_owned(), call_id.value().to_owned());
    }
    if let (Ok(contact), Ok(Contacts::List(ours))) =
        (other.contact_header().and_then(|contact| contact.typed()), m.contacts())
    {
        same("Contact", ours[0].uri.to_string(), contact.uri.to_string());
    }
    same("body", format!("{:?}", m.body()), format!("{:?}", bytes::Bytes::from(other.body().clone())));
    all
}

/// Messages that both take and read differently: which, what, and why.
const READ_DIFFERENTLY: &[(&str, &str)] = &[
    // A `%` in the user part makes `rsip` take user and host together for the host.
    ("esc01", "user"),
    ("esc01", "host"),
    // `rsip` does not know blanks around the `=` of a parameter (RFC 3261 §7.3.1 allows them) and loses the tag.
    ("wsinv", "To"),
];

/// Legal messages that `rsip` refuses, and why.
const REFUSED_THERE: &[&str] = &[
    // Its methods are fourteen.
    "esc02",
    "intmeth",
    // A `;` in the user part ends the address.
    "semiuri",
    // A scheme without `//` is a host with a port.
    "unkscm",
    // No IPv6 reference is a host.
    "good",
    "many-addresses-in-sdp",
    "port-ambiguous",
    "port-unambiguous",
    "received-with-brackets",
    "received-without-brackets",
    "sdp",
    "three-colons",
    "two-colons",
];

/// Illegal messages that `rsip` takes: it looks into few headers before it is asked.
const TAKEN_THERE: &[&str] = &[
    "badaspec",
    "baddn",
    "badinv01",
    "clerr",
    "insuf",
    "ltgtruri",
    "mcl01",
    "mismatch01",
    "multi01",
    "ncl",
    "quotbal",
    "regbadct",
    "scalarlg",
];

#[test]
fn both_read_the_same_but_for_what_is_written_down() {
    let (mut differently, mut refused_there, mut taken_there) = (Vec::new(), Vec::new(), Vec::new());
    for (name, file) in corpus::TORTURE.iter().chain(corpus::IPV6) {
        let Ok(m) = files::read(file) else {
            if rsip::SipMessage::try_from(files::octets(file)).is_ok() {
                taken_there.push(*name);
            }
            continue;
        };
        match rsip::SipMessage::try_from(canonical(&m)) {
            Ok(other) => {
                for what in disagreements(&m, &other) {
                    differently.push((*name, what.split(':').next().unwrap().to_owned()));
                }
            }
            Err(_) => refused_there.push(*name),
        }
    }
    let differently: Vec<_> = differently.iter().map(|(name, what)| (*name, what.as_str())).collect();
    assert_eq!(differently, READ_DIFFERENTLY);
    assert_eq!(refused_there, REFUSED_THERE);
    assert_eq!(taken_there, TAKEN_THERE);
}

fn service(method: &str, uri: &str) -> Message {
    Draft::request(method, uri)
        .with("v", "SIP/2.0/TLS 192.0.2.10;branch=z9hG4bK1")
        .with("From", "<sip:alice@contoso.example>;tag=1")
        .with("To", "<sip:bob@contoso.example>")
        .with("Call-ID", "a")
        .with("CSeq", format!("1 {method}"))
        .with("Subject", "")
        .body("application/octet-stream", vec![0, 255, 1])
        .message()
        .unwrap()
}

#[test]
fn what_rsip_cannot_hold_is_named() {
    assert_eq!(to_rsip(&service("SERVICE", "sip:b@c")), Err(NotInRsip::Method("SERVICE".to_owned())));
    assert_eq!(to_rsip(&service("BENOTIFY", "sip:b@c")), Err(NotInRsip::Method("BENOTIFY".to_owned())));
    assert_eq!(to_rsip(&service("register", "sip:b@c")), Err(NotInRsip::Method("register".to_owned())));
    for uri in ["sip:alice.smith@contoso.example", "sip:b@c;opaque=user:epid:8JbZ;gruu"] {
        let result = to_rsip(&service("MESSAGE", uri));
        assert!(matches!(result, Err(NotInRsip::UriChanged { .. })), "{uri}: {result:?}");
    }
    for uri in ["sip:b@[2001:db8::1]", "urn:service:sos"] {
        let result = to_rsip(&service("MESSAGE", uri));
        assert!(matches!(result, Err(NotInRsip::UriRefused { .. })), "{uri}: {result:?}");
    }
}

#[test]
fn what_rsip_holds_comes_back() {
    let m = service("MESSAGE", "sip:bob@contoso.example:5061;transport=TCP");
    let there = to_rsip(&m).unwrap();
    assert_eq!(there.via_header().unwrap().value(), "SIP/2.0/TLS 192.0.2.10;branch=z9hG4bK1");
    assert_eq!(there.body(), &[0, 255, 1], "rsip keeps a binary body as long as it does not print it");
    let back = from_rsip(&there).unwrap();
    assert_eq!(back.as_bytes(), &canonical(&m));

    let answer = m.reply(404, "Nobody").message().unwrap();
    let back = from_rsip(&to_rsip(&answer).unwrap()).unwrap();
    assert_eq!((back.status(), back.reason()), (Some(404), Some("Not Found")), "rsip keeps no reason phrase");
    let answer = m.reply(430, "Flow Failed").message().unwrap();
    let back = from_rsip(&to_rsip(&answer).unwrap()).unwrap();
    assert_eq!(
        (back.status(), back.reason()),
        (Some(430), Some("Flow Failed")),
        "but for a status it does not know"
    );
}

#[test]
fn what_comes_from_rsip_cannot_inject() {
    let mut there = to_rsip(&service("MESSAGE", "sip:b@c")).unwrap();
    there.headers_mut().push(rsip::Header::Subject("x\r\nEvil: 1".into()));
    assert!(matches!(from_rsip(&there), Err(sip::DraftError::Control(_))));
}

proptest! {
    #[test]
    fn both_read_made_up_messages_the_same(
        method in prop::sample::select(vec!["REGISTER", "INVITE", "OPTIONS", "MESSAGE", "SUBSCRIBE", "BYE"]),
        // A dot, like a `%`, confuses `rsip` about where the user ends.
        user in "[a-z0-9+-]{1,10}",
        host in "[a-z]{1,8}\\.example",
        port in prop::option::of(1u16..),
        display in prop::option::of("[a-zA-Z ]{1,10}"),
        tag in "[a-z0-9]{1,8}",
        branch in "z9hG4bK[a-zA-Z0-9]{1,10}",
        number in 0u32..1 << 31,
        body in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let address = match port {
            Some(port) => format!("sip:{user}@{host}:{port};transport=TCP"),
            None => format!("sip:{user}@{host}"),
        };
        let from = match &display {
            Some(display) => format!("\"{display}\" <{address}>;tag={tag}"),
            None => format!("<{address}>;tag={tag}"),
        };
        let m = Draft::request(method, &address)
            .with("Via", format!("SIP/2.0/UDP {host};branch={branch}"))
            .with("From", &from)
            .with("To", format!("<{address}>"))
            .with("Contact", format!("<{address}>;expires=60"))
            .with("Call-ID", &tag)
            .with("CSeq", format!("{number} {method}"))
            .body("application/octet-stream", body)
            .message()
            .unwrap();
        let other = rsip::SipMessage::try_from(canonical(&m)).unwrap();
        prop_assert_eq!(disagreements(&m, &other), Vec::<String>::new());
        let there = to_rsip(&m).unwrap();
        prop_assert_eq!(&there, &other);
        let back = from_rsip(&there).unwrap();
        prop_assert_eq!(back.as_bytes(), m.as_bytes());
    }

    #[test]
    fn no_address_makes_the_bridge_panic(uri in "sip:[a-z0-9.;=%@:\\[\\]?&+-]{0,30}") {
        if sip::Uri::parse(&uri).is_ok_and(|uri| uri.headers.is_none()) {
            let _ = to_rsip(&service("MESSAGE", &uri));
        }
    }
}
