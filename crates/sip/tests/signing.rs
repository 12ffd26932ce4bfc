//! Signatures and security associations: published values, and what passes and what does not.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic as the test does")]

use net::Random;
use sip::association::{Checked, Parameters, REALM, Refusal, SecurityAssociation};
use sip::auth::Auth;
use sip::signature::{SaKeys, Salt, is_signature, sign, text};
use sip::{Draft, Message};

/// The keys of a recorded handshake.
fn keys() -> SaKeys {
    SaKeys {
        client: octets("d42f2bb35236f7d0c40fe825a7a7d8b9ad583ccfc6b773446578c3c4367ae7b7"),
        server: octets("29132a18087614552340d7e32aaa670677d08ba8377c74505dadf7eb0406d0a3"),
    }
}

fn octets(hex: &str) -> [u8; 32] {
    std::array::from_fn(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap())
}

const CALL_ID: &str = "CA71gBE55a32E7i5885m4DCFt8C67b78CFx8706x";

fn register() -> Draft {
    Draft::request("REGISTER", "sip:contoso.example")
        .with("Via", "SIP/2.0/tls 192.0.2.10:42488;branch=z9hG4bK098F38163E3F9EE6C043")
        .with("From", "<sip:alice@contoso.example>;tag=1145327061;epid=d8d053f0ae7f")
        .with("To", "<sip:alice@contoso.example>")
        .with("Max-Forwards", "70")
        .with("CSeq", "6 REGISTER")
        .with("Call-ID", CALL_ID)
}

fn subscribe() -> Draft {
    let mut draft = Draft::request("SUBSCRIBE", "sip:alice@contoso.example");
    for (name, value) in [
        ("Via", "SIP/2.0/TLS 192.0.2.10:42488;branch=z9hG4bK1"),
        ("From", "<sip:alice@contoso.example>;tag=1;epid=d8d053f0ae7f"),
        ("To", "<sip:alice@contoso.example>"),
        ("CSeq", "1 SUBSCRIBE"),
        ("Call-ID", "b"),
        ("Event", "presence"),
    ] {
        draft.push(name, value);
    }
    draft
}

fn ok(request: &Message) -> Draft {
    request.reply_tagged(200, "OK", Some("4A6211DF36DF89EB15621088D91E5A4D"))
}

fn salt<'a>(rand: &'a str, num: &'a str) -> Salt<'a> {
    Salt { scheme: "TLS-DSK", rand, num, realm: REALM, targetname: "fe.contoso.example" }
}

#[test]
fn a_recorded_request_gets_its_recorded_signature() {
    let text = text(&register(), &salt("0f243f55", "1"));
    let wanted = format!(
        "<TLS-DSK><0f243f55><1><SIP Communications Service><fe.contoso.example><{CALL_ID}><6><REGISTER>\
         <sip:alice@contoso.example><1145327061><sip:alice@contoso.example><><><><>"
    );
    assert_eq!(text, wanted);
    assert_eq!(sign(&keys().client, &text), "d796888947aa1c2593385bb1e463ecf3a7aa3ee6");
    assert!(is_signature(&keys().client, &text, "D796888947AA1C2593385BB1E463ECF3A7AA3EE6"));
}

#[test]
fn a_recorded_response_gets_its_recorded_signature() {
    let request = register().message().unwrap();
    let draft = ok(&request).with("Expires", "7200");
    let text = text(&draft.message().unwrap(), &salt("0327CFB4", "1"));
    let wanted = format!(
        "<TLS-DSK><0327CFB4><1><SIP Communications Service><fe.contoso.example><{CALL_ID}><6><REGISTER>\
         <sip:alice@contoso.example><1145327061><sip:alice@contoso.example><4A6211DF36DF89EB15621088D91E5A4D>\
         <><><7200><200>"
    );
    assert_eq!(text, wanted);
    assert!(is_signature(&keys().server, &text, "f7668016a2efa243f53110667adcc47892f26411"));
    assert!(!is_signature(&keys().client, &text, "f7668016a2efa243f53110667adcc47892f26411"));
}

#[test]
fn identities_and_odd_addresses_are_signed_as_they_are_written() {
    let text_of = |draft: Draft| text(&draft, &salt("a", "1"));
    let identified = |value: &str| {
        let text = text_of(register().with("P-Asserted-Identity", value));
        let fields: Vec<String> = text[1..text.len() - 1].split("><").map(str::to_owned).collect();
        (fields[12].clone(), fields[13].clone())
    };
    let both = ("sip:alice@contoso.example".to_owned(), "tel:+15550100".to_owned());
    assert_eq!(identified("\"Alice, A.\" <sip:alice@contoso.example>, <tel:+15550100>"), both);
    assert_eq!(identified("<sip:alice@contoso.example>,tel:+15550100"), both);
    assert_eq!(identified("tel:+15550100").1, "tel:+15550100");
    assert_eq!(identified(""), (String::new(), String::new()));
    assert_eq!(identified("\"unfinished"), (String::new(), String::new()));

    let mut draft = register();
    draft.set("From", "\"<odd>;tag=no\" <sip:Alice@contoso.example;p=1>;epid=e;TAG=Yes");
    assert!(text_of(draft.clone()).contains("<sip:Alice@contoso.example;p=1><Yes>"));
    draft.set("From", "sip:alice@contoso.example;tag=Bare");
    assert!(text_of(draft).contains("<sip:alice@contoso.example><Bare>"));
}

#[test]
fn keys_do_not_show_in_debug_output() {
    let (client, _) = pair(4);
    let shown = format!("{client:?} {:?} {:?}", keys(), Auth::parse("TLS-DSK response=\"secret\"").unwrap());
    assert!(!shown.contains("212, 47") && !shown.contains("d42f") && !shown.contains("secret"), "{shown}");
}

fn parameters(version: u8) -> Parameters {
    Parameters {
        realm: REALM.to_owned(),
        targetname: "fe.contoso.example".to_owned(),
        opaque: "17B23762".to_owned(),
        version,
    }
}

fn pair(version: u8) -> (SecurityAssociation, SecurityAssociation) {
    let client = SecurityAssociation::client(parameters(version), keys(), Random::named(1, "phone"));
    let server = SecurityAssociation::server(parameters(version), keys(), Random::named(1, "pool"));
    (client, server)
}

fn changed(draft: &Draft, name: &str, value: &str) -> Message {
    let mut draft = draft.clone();
    draft.set(name, value);
    draft.message().unwrap()
}

#[test]
fn a_signed_request_passes_once() {
    let (mut client, mut server) = pair(4);
    let signed = client.sign_request(register());
    let credentials = signed.header("Authorization").unwrap();
    assert!(
        credentials.starts_with(
            "TLS-DSK qop=\"auth\", opaque=\"17B23762\", realm=\"SIP Communications Service\", \
             targetname=\"fe.contoso.example\", version=4, crand=\""
        ),
        "{credentials}"
    );
    assert!(credentials.contains("cnum=\"1\""));
    let message = signed.message().unwrap();
    assert_eq!(server.check(&message), Ok(Checked::Signed));
    assert_eq!(server.check(&message), Err(Refusal::Replayed { num: 1, highest: 1 }));
}

#[test]
fn messages_may_overtake_each_other_within_the_window() {
    let (mut client, mut server) = pair(4);
    let signed: Vec<Message> = (0..300).map(|_| client.sign_request(register()).message().unwrap()).collect();
    assert_eq!(server.check(&signed[299]), Ok(Checked::Signed));
    assert_eq!(server.check(&signed[44]), Ok(Checked::Signed));
    assert_eq!(server.check(&signed[43]), Err(Refusal::Replayed { num: 44, highest: 300 }));
    assert_eq!(server.check(&signed[100]), Ok(Checked::Signed));
    assert_eq!(server.check(&signed[100]), Err(Refusal::Replayed { num: 101, highest: 300 }));
}

#[test]
fn a_signature_covers_what_it_should() {
    let (mut client, mut server) = pair(4);
    let signed = client.sign_request(register().with("Expires", "600"));
    for (name, value) in [
        ("From", "<sip:mallory@contoso.example>;tag=1145327061;epid=d8d053f0ae7f"),
        ("From", "<sip:alice@contoso.example>;tag=2;epid=d8d053f0ae7f"),
        ("To", "<sip:bob@contoso.example>"),
        ("To", "<sip:alice@contoso.example>;tag=1"),
        ("CSeq", "7 REGISTER"),
        ("Call-ID", "another"),
        ("Expires", "601"),
        ("P-Preferred-Identity", "<sip:mallory@contoso.example>"),
    ] {
        assert_eq!(
            server.check(&changed(&signed, name, value)),
            Err(Refusal::WrongSignature),
            "{name}: {value}"
        );
    }
    // None of those harmed the association, and none used the number up.
    assert_eq!(server.check(&signed.message().unwrap()), Ok(Checked::Signed));
}

#[test]
fn credentials_that_are_not_for_this_association_are_refused() {
    let (mut client, mut server) = pair(4);
    assert_eq!(server.check(&register().message().unwrap()), Err(Refusal::Unsigned));
    let signed = client.sign_request(register());
    let good = signed.header("Authorization").unwrap().to_owned();
    let mut check = |credentials: &str| server.check(&changed(&signed, "Authorization", credentials));
    assert_eq!(check("Digest username=\"alice\""), Err(Refusal::Unsigned));
    assert_eq!(check("TLS-DSK ==="), Err(Refusal::Unsigned));
    assert_eq!(check(&good.replace("17B23762", "17B23763")), Err(Refusal::OtherAssociation));
    assert_eq!(
        check(&good.replace("fe.contoso", "fe2.contoso")),
        Err(Refusal::OtherServer { realm: REALM.to_owned(), targetname: "fe2.contoso.example".to_owned() })
    );
    assert_eq!(check(&good.replace("crand", "rand")), Err(Refusal::Incomplete("crand")));
    assert_eq!(check(&good.replace("cnum=\"1\"", "cnum=\"0\"")), Err(Refusal::Incomplete("number")));
    assert_eq!(check(&good.replace("cnum=\"1\"", "cnum=\"4294967296\"")), Err(Refusal::Incomplete("number")));
    assert_eq!(check(&good.replace("cnum=\"1\"", "cnum=\"2\"")), Err(Refusal::WrongSignature));
    assert_eq!(check(&good.replace("response=\"", "response=\"0")), Err(Refusal::WrongSignature));
    assert_eq!(check(&good.replace("response", "answer")), Err(Refusal::Unsigned));
    assert_eq!(check(&good.replace("TLS-DSK", "tls-dsk")), Err(Refusal::WrongSignature));
    assert_eq!(check(&good), Ok(Checked::Signed));
}

#[test]
fn a_client_takes_signed_messages_and_the_few_that_need_no_signature() {
    let (mut client, mut server) = pair(4);
    let request = client.sign_request(register()).message().unwrap();
    let signed = server.sign_response(ok(&request).with("Expires", "7200"));
    assert!(signed.header("Authentication-Info").unwrap().contains("snum=\"1\", rspauth=\""));
    assert_eq!(client.check(&signed.message().unwrap()), Ok(Checked::Signed));
    assert_eq!(
        client.check(&changed(&signed, "Expires", "60")),
        Err(Refusal::WrongSignature),
        "a signature that is there is checked even where none is needed"
    );
    assert_eq!(client.check(&ok(&request).message().unwrap()), Ok(Checked::MayBeUnsigned));

    let subscribe = client.sign_request(subscribe()).message().unwrap();
    assert_eq!(
        client.check(&subscribe.reply(401, "Unauthorized").message().unwrap()),
        Ok(Checked::MayBeUnsigned)
    );
    let refusal = client.check(&ok(&subscribe).message().unwrap()).unwrap_err();
    assert_eq!(refusal, Refusal::Unsigned);
    assert!(!refusal.is_fatal_to_client() && Refusal::WrongSignature.is_fatal_to_client());

    let notify = Draft::request("BENOTIFY", "sip:192.0.2.10:42488;transport=tls")
        .with("Via", "SIP/2.0/TLS 192.0.2.20:5061;branch=z9hG4bKa1b2c3")
        .with("From", "<sip:alice@contoso.example>;tag=AABBCCDD")
        .with("To", "<sip:alice@contoso.example>;tag=1145327061;epid=d8d053f0ae7f")
        .with("Call-ID", CALL_ID)
        .with("CSeq", "1 BENOTIFY");
    assert_eq!(client.check(&notify.message().unwrap()), Err(Refusal::Unsigned));
    let signed = server.sign_request(notify).message().unwrap();
    assert_eq!(client.check(&signed), Ok(Checked::Signed));
    assert_eq!(client.check(&signed), Err(Refusal::Replayed { num: 2, highest: 2 }));
    // The client's answers to the server are signed as its requests are.
    let answer = client.sign_response(signed.reply(200, "OK")).message().unwrap();
    assert_eq!(server.check(&answer), Ok(Checked::Signed));
}

#[test]
fn a_side_does_not_take_its_own_signature_for_the_others() {
    let (mut client, mut server) = pair(4);
    let request = client.sign_request(register()).message().unwrap();
    assert_eq!(client.check(&request), Err(Refusal::Unsigned));
    let response = server.sign_response(ok(&request)).message().unwrap();
    assert_eq!(server.check(&response), Err(Refusal::Unsigned));
}

#[test]
fn version_3_lets_the_completing_message_go_unsigned_once_only_before_a_signed_one() {
    let bare = |version| {
        let auth = Auth::new("TLS-DSK")
            .quoted("qop", "auth")
            .quoted("opaque", "17B23762")
            .quoted("realm", REALM)
            .quoted("targetname", "fe.contoso.example")
            .bare("version", version);
        register().with("Authorization", auth.to_string()).message().unwrap()
    };
    let (mut client, mut server) = pair(3);
    assert_eq!(server.check(&bare("3")), Ok(Checked::MayBeUnsigned));
    assert_eq!(server.check(&client.sign_request(register()).message().unwrap()), Ok(Checked::Signed));
    assert_eq!(server.check(&bare("3")), Err(Refusal::Unsigned));
    let (_, mut server) = pair(4);
    assert_eq!(server.check(&bare("3")), Err(Refusal::Unsigned));
}
