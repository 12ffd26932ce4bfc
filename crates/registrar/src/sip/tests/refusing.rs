//! Refusals: each with its status and its diagnostics.

use super::bench::*;
use crate::accounts::{Accounts, Home, PasswordCost};
use crate::events;
use crate::faults::Exchange;

/// Status, and the diagnostics that are for the client or for everybody.
fn verdict(answer: &sip::Message) -> (u16, Option<&str>) {
    let diagnostics = answer.header("ms-diagnostics").or(answer.header("ms-diagnostics-public"));
    (answer.status().expect("a response"), diagnostics.map(|text| text.split(';').next().unwrap_or("")))
}

/// A name, the headers that are wrong, the status, the diagnostics.
type Case<'a> = (&'a str, &'a [(&'a str, String)], u16, Option<&'a str>);

#[test]
fn a_register_that_asks_wrongly_hears_why() {
    let instance = |epid: &str| sip::endpoint::Instance::of_epid(epid).sip_instance();
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let from = |epid: &str| format!("<sip:{ALICE}>;tag=t{epid}");
    let plain = "<sip:10.20.2.1:40000;transport=tls>";
    let cases: &[Case<'_>] = &[
        ("another endpoint", &[("From", from(";epid=02")), ("Contact", plain.to_owned())], 400, Some("4010")),
        ("none at all", &[("From", from("")), ("Contact", plain.to_owned())], 400, Some("4010")),
        (
            "foreign instance",
            &[("Contact", format!("{plain};+sip.instance={}", instance("02")))],
            400,
            Some("4010"),
        ),
        ("event", &[("Event", "presence".to_owned())], 489, Some("4055")),
        ("no gruu", &[("Supported", "msrtc-event-categories".to_owned())], 421, Some("2057")),
        ("extension", &[("Require", "gruu-10, timer".to_owned())], 420, None),
        ("two contacts", &[("Contact", format!("{plain}, <sip:b@10.20.2.2>"))], 400, Some("4000")),
        ("contact by telephone", &[("Contact", "<tel:+15550101>".to_owned())], 400, Some("4000")),
        ("contact with headers", &[("Contact", "<sip:a@10.20.2.2?x=y>".to_owned())], 400, Some("4000")),
        ("long contact", &[("Contact", format!("<sip:{}@10.20.2.2>", "a".repeat(1024)))], 400, Some("4008")),
        ("long call", &[("Call-ID", "a".repeat(1025))], 400, Some("4008")),
        ("star", &[("Contact", "*".to_owned())], 400, Some("4000")),
        ("third party", &[("To", format!("<sip:{BOB}>"))], 403, Some("4004")),
    ];
    for (name, headers, status, code) in cases {
        let mut draft = desk.register();
        for (header, value) in *headers {
            draft.set(header, value);
        }
        let answer = desk.ask_signed(&mut bench, draft);
        assert_eq!(verdict(&answer), (*status, *code), "{name}: {}", golden(&answer));
    }
    let refused = bench.count(events::REGISTRATION_REFUSED);
    assert_eq!(refused, cases.len());
    assert!(bench.front_end.is_registered(ALICE, bench.now), "none of these ended what there was");
}

#[test]
fn a_client_with_an_instance_and_no_epid_is_welcome() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "");
    desk.prove(&mut bench).expect("a good certificate");
    let uuid = "34d859db-6585-5f91-a3b4-de853c15347d";
    for (contact, status) in [
        ("<sip:10.20.2.1>".to_owned(), 400),
        (format!("<sip:10.20.2.1>;+sip.instance=\"<urn:uuid:{uuid}>\""), 200),
    ] {
        let mut draft = desk.register();
        draft.set("Contact", &contact);
        assert_eq!(desk.ask_signed(&mut bench, draft).status(), Some(status));
    }
    assert_eq!(bench.front_end.bindings(ALICE, bench.now)[0].endpoint, uuid);
}

#[test]
fn an_epid_that_is_too_long_is_refused() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "0123456789abcdef0");
    desk.prove(&mut bench).expect("a good certificate");
    let draft = desk.register();
    assert_eq!(verdict(&desk.ask_signed(&mut bench, draft)), (400, Some("4012")));
}

#[test]
fn a_disabled_an_unknown_and_a_moved_account_are_told_apart_once_they_are_proved() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "01");
    desk.prove(&mut bench).expect("a good certificate");
    let account = bench.accounts.find_mut(ALICE).expect("she is known");
    account.enabled = false;
    let draft = desk.register();
    assert_eq!(verdict(&desk.ask_signed(&mut bench, draft)), (403, Some("4003")));
    let draft = desk.request("SUBSCRIBE").with("Event", "vnd-microsoft-roaming-self");
    assert_eq!(verdict(&desk.ask_signed(&mut bench, draft)), (403, Some("4003")));
    let account = bench.accounts.find_mut(ALICE).expect("she is known");
    account.enabled = true;
    account.home = Home::Pool("fe2.contoso.example".to_owned());
    let draft = desk.register();
    let answer = desk.ask_signed(&mut bench, draft);
    assert_eq!(verdict(&answer), (301, None));
    assert_eq!(answer.header("Contact"), Some("<sip:fe2.contoso.example:5061;transport=tls>"));
    bench.accounts = Accounts::new([], PasswordCost::Light);
    let draft = desk.register();
    assert_eq!(verdict(&desk.ask_signed(&mut bench, draft)), (404, Some("4005")));
}

#[test]
fn the_pool_answers_as_it_is_told() {
    for (status, code) in [(403, Some("4003")), (404, Some("4005")), (480, None), (301, None)] {
        let mut bench = Bench::new();
        let mut desk = Client::new(&mut bench, ALICE, "01");
        bench.faults.answer_next(Exchange::Register, 1, status);
        desk.prove(&mut bench).expect("who cannot come in is told so only when it is known who it is");
        let draft = desk.register();
        assert_eq!(verdict(&desk.ask_signed(&mut bench, draft)), (status, code));
        let draft = desk.register();
        assert_eq!(desk.ask_signed(&mut bench, draft).status(), Some(200));
    }
    for (status, code) in [(503, Some("1")), (504, Some("1007")), (500, None)] {
        let mut bench = Bench::new();
        let mut desk = Client::new(&mut bench, ALICE, "01");
        bench.faults.answer_next(Exchange::Register, 1, status);
        let draft = desk.register();
        let answer = desk.ask(&mut bench, &draft);
        assert_eq!(verdict(&answer), (status, code), "a pool in trouble does not even challenge");
        assert_eq!(answer.header("Retry-After").is_some(), status == 503);
        assert_eq!(desk.sign_in(&mut bench).status(), Some(200));
    }
}

#[test]
fn other_methods_get_what_they_deserve() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let to_bob = format!("sip:{BOB}");
    for (method, uri, status) in [
        ("SERVICE", "sip:alice@contoso.example", 200),
        ("OPTIONS", "sip:contoso.example", 200),
        ("INVITE", "sip:ocschat@contoso.example", 404),
        ("INVITE", to_bob.as_str(), 480),
        ("BYE", to_bob.as_str(), 481),
        ("CANCEL", to_bob.as_str(), 481),
        ("MESSAGE", to_bob.as_str(), 480),
        ("PUBLISH", "sip:alice@contoso.example", 405),
        ("XYZ", "sip:alice@contoso.example", 405),
    ] {
        let draft = desk.request_to(method, uri);
        let answer = desk.ask_signed(&mut bench, draft);
        assert_eq!(answer.status(), Some(status), "{method} {uri}");
        assert_eq!(answer.header("Server"), Some("RTC/6.0"));
        if status == 405 {
            assert!(answer.header("Allow").expect("it is there").contains("SUBSCRIBE"));
        }
    }
    let mut draft = desk.request("INFO");
    draft.set("To", &format!("<sip:{ALICE}>;tag=gone"));
    assert_eq!(desk.ask_signed(&mut bench, draft).status(), Some(481));
}

#[test]
fn a_via_that_does_not_tell_the_truth_is_put_right() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "01");
    let mut draft = desk.register();
    draft.set("Via", "SIP/2.0/tls 10.9.9.9:1;branch=z9hG4bKa, SIP/2.0/TLS b.example;branch=z9hG4bKb");
    let answer = desk.ask(&mut bench, &draft);
    let vias: Vec<&str> = answer.headers("Via").collect();
    assert_eq!(
        vias,
        [
            "SIP/2.0/tls 10.9.9.9:1;branch=z9hG4bKa;received=10.20.2.1;ms-received-port=40000;ms-received-cid=101",
            "SIP/2.0/TLS b.example;branch=z9hG4bKb",
        ]
    );
}

#[test]
fn a_user_of_another_pool_is_sent_there_once_a_certificate_of_this_one_has_proved_who_it_is() {
    let mut bench = Bench::new();
    bench.accounts.find_mut(ALICE).expect("she is known").home = Home::Pool("fe2.contoso.example".to_owned());
    let mut desk = Client::new(&mut bench, ALICE, "01");
    let draft = desk.register();
    assert_eq!(desk.ask(&mut bench, &draft).status(), Some(401), "strangers do not learn who is homed where");
    let answer = desk.sign_in(&mut bench);
    assert_eq!(answer.status(), Some(301));
    assert_eq!(answer.header("Contact"), Some("<sip:fe2.contoso.example:5061;transport=tls>"));
    assert!(!bench.front_end.is_registered(ALICE, bench.now));
}

#[test]
fn a_register_for_another_domain_finds_nobody_here() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    for (uri, status) in
        [("sip:Contoso.example", 200), ("sip:fe.contoso.example", 200), ("sip:fabrikam.example", 404)]
    {
        let whole = desk.register();
        let mut draft = desk.request_to("REGISTER", uri);
        draft.push("Contact", whole.header("Contact").expect("a REGISTER has one"));
        assert_eq!(desk.ask_signed(&mut bench, draft).status(), Some(status), "{uri}");
    }
}

#[test]
fn who_is_disabled_while_the_disk_is_busy_hears_403_and_is_not_bound() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "01");
    desk.register_unwritten(&mut bench);
    bench.accounts.find_mut(ALICE).expect("she is known").enabled = false;
    bench.flush();
    assert_eq!(verdict(&bench.messages(desk.stream)[0]), (403, Some("4003")));
    assert!(!bench.front_end.is_registered(ALICE, bench.now));
    bench.flush();
    bench.power_on();
    assert!(!bench.front_end.is_registered(ALICE, bench.now));
}
