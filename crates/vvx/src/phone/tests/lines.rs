//! Lines of the generic profile, from the configuration to other people's registrars.

use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::rr::rdata::{A, NAPTR, SRV};
use hickory_proto::rr::{Name, RData, Record};
use sip::digest::Credentials;

use super::bench::{Bench, setup};
use super::pbx::Pbx;
use super::*;

const FIRST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 21);
const SECOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 22);

fn at(address: Ipv4Addr) -> SocketAddr {
    SocketAddr::from((address, 5060))
}

fn line(server: &str) -> Vec<(String, String)> {
    [
        ("device.baseProfile", "Generic"),
        ("reg.1.address", "201@contoso.example"),
        ("reg.1.auth.userId", "201"),
        ("reg.1.auth.password", "Gr33n-Door!"),
        ("reg.1.displayName", "Bob"),
        ("reg.1.server.1.address", server),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// A generic phone with one server, and what else is configured.
fn generic(server: &str, more: &[(&str, &str)]) -> Bench {
    let mut setup = setup();
    setup.parameters.extend(line(server));
    setup.parameters.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut bench = Bench::new(setup);
    bench.servers.insert(at(FIRST), Pbx::new(1));
    bench.power_on();
    bench
}

/// Runs until this happened; how long it took, in seconds.
fn until(bench: &mut Bench, event: &str, limit: u64) -> u64 {
    let from = bench.events.len();
    for secs in 0..limit {
        if bench.events[from..].contains(&event) {
            return secs;
        }
        bench.run(1);
    }
    panic!("no `{event}` within {limit} s: {:?}", &bench.events[from..]);
}

fn registered(server: &str, more: &[(&str, &str)]) -> Bench {
    let mut bench = generic(server, more);
    until(&mut bench, events::REGISTERED, 240);
    bench
}

fn heard(bench: &Bench, address: Ipv4Addr) -> usize {
    bench.servers[&at(address)].heard.len()
}

#[test]
fn a_line_registers_by_its_configuration_alone_and_refreshes_with_the_same_nonce() {
    let mut bench = registered("192.0.2.21", &[]);
    let screen = bench.screen();
    assert_eq!((screen.id, screen.lines[0].text()), ("home", "201: registered"));
    assert_eq!(bench.phone.state(), PhoneState::Registered);
    assert_eq!(bench.phone.account(), Some("201@contoso.example"));
    let first = &bench.servers[&at(FIRST)].heard;
    let register = &first[1].1;
    let credentials = Credentials::parse(register.header("Authorization").expect("proven")).expect("digest");
    assert_eq!(credentials.algorithm, sip::digest::Algorithm::SHA_256);
    assert_eq!(
        register.header("From").expect("From").split(';').next(),
        Some("\"Bob\" <sip:201@contoso.example>")
    );
    assert_eq!(register.header("User-Agent"), Some("PolycomVVX-VVX_600-UA/5.9.6.2327"));
    assert!(register.header("Contact").expect("Contact").starts_with("<sip:201@10.20.2.1>;methods="));
    assert_eq!(register.cseq().number, 2);

    // One minute before its end, as `expires.overlap` has it.
    bench.run(3530);
    assert_eq!(heard(&bench, FIRST), 2);
    bench.run(20);
    // The nonce of five minutes is stale by then: nobody notices.
    assert_eq!(heard(&bench, FIRST), 4);
    let last = &bench.servers[&at(FIRST)].heard[3].1;
    assert_eq!((last.call_id(), last.cseq().number), (bench.servers[&at(FIRST)].heard[0].1.call_id(), 4));
    assert!(
        !bench.events.contains(&events::LOGIN_REFUSED) && !bench.events.contains(&events::REGISTRATION_LOST)
    );
}

#[test]
fn a_short_binding_is_refreshed_half_way_and_its_nonce_is_counted() {
    let mut bench = generic("192.0.2.21", &[]);
    bench.servers.get_mut(&at(FIRST)).expect("there").grants_s = 60;
    until(&mut bench, events::REGISTERED, 240);
    bench.run(61);
    let heard = &bench.servers[&at(FIRST)].heard;
    assert_eq!(heard.len(), 4, "two refreshes, no challenge");
    let counts: Vec<u32> = heard[1..]
        .iter()
        .map(|(_, message)| {
            Credentials::parse(message.header("Authorization").expect("proven")).expect("digest")
        })
        .map(|credentials| credentials.protection.expect("qop").1)
        .collect();
    assert_eq!(counts, [1, 2, 3]);
}

#[test]
fn a_wrong_password_shows_the_banner_is_tried_with_patience_and_mended_on_the_phone() {
    let mut bench = generic("192.0.2.21", &[("reg.1.auth.password", "guess")]);
    until(&mut bench, events::LOGIN_REFUSED, 240);
    let texts: Vec<String> = bench.screen().lines.iter().map(|line| line.text().to_owned()).collect();
    assert_eq!(
        texts,
        [
            "Login Credentials have failed",
            "Please update them if information is incorrect",
            "201: Line Unregistered"
        ]
    );
    assert_eq!(bench.phone.state(), PhoneState::Unregistered);
    bench.run(11);
    let screen = bench.screen();
    assert_eq!(screen.lines[0].text(), "201: Line Unregistered");
    assert!(
        screen.status_bar.expect("a bar").warnings.iter().any(|text| text == "Login Credentials have failed")
    );
    // RFC 5626: 30 to 60 s, then 60 to 120 s, later at most 180 s; two messages each time.
    assert_eq!(heard(&bench, FIRST), 2);
    bench.run(50);
    assert_eq!(heard(&bench, FIRST), 4);
    bench.run(1800);
    let tries = heard(&bench, FIRST) / 2;
    assert!((12..=24).contains(&tries), "{tries}");
    bench.configure(&[("reg.1.auth.password", "Gr33n-Door!")]);
    until(&mut bench, events::REGISTERED, 5);
    assert_eq!(bench.phone.state(), PhoneState::Registered);
    assert!(bench.screen().status_bar.expect("a bar").warnings.is_empty());
    let notes: String = bench.journal.lines().filter(|line| line.starts_with("Note")).collect();
    assert!(!notes.contains("Gr33n") && !bench.phone.log().concat().contains("Gr33n"));
}

#[test]
fn a_silent_server_is_asked_four_times_and_the_second_one_serves_until_the_first_is_back() {
    let more = [("reg.1.server.2.address", "192.0.2.22")];
    let mut bench = generic("192.0.2.21", &more);
    bench.servers.insert(at(SECOND), Pbx::new(2));
    bench.servers.get_mut(&at(FIRST)).expect("there").is_up = false;
    until(&mut bench, events::FAILED_OVER, 240);
    let asked: Vec<f64> = bench
        .sent
        .iter()
        .filter(|(_, to, _)| *to == at(FIRST))
        .map(|(when, ..)| when.since(bench.sent[0].0).as_secs_f64())
        .collect();
    assert_eq!(asked, [0.0, 0.5, 1.5, 3.5]);
    let over = bench.servers[&at(SECOND)].heard[0].0.since(bench.sent[0].0).as_secs_f64();
    assert_eq!(over, 7.5);
    assert_eq!(bench.phone.state(), PhoneState::Registered);
    // New requests go to the first server: its turn comes with the next refresh, in vain at first.
    bench.run(3600);
    assert_eq!(
        bench.servers[&at(SECOND)].registers(),
        3,
        "once, and once more at the refresh after a stale nonce"
    );
    bench.servers.get_mut(&at(FIRST)).expect("there").is_up = true;
    until(&mut bench, events::FAILED_BACK, 3700);
    assert_eq!(bench.phone.state(), PhoneState::Registered);
    assert!(!bench.events.contains(&events::REGISTRATION_LOST));
}

#[test]
fn fail_back_by_duration_comes_when_its_time_is_over_and_keeps_what_there_is_if_in_vain() {
    let more = [
        ("reg.1.server.2.address", "192.0.2.22"),
        ("reg.1.server.1.failOver.failBack.mode", "duration"),
        ("reg.1.server.1.failOver.failBack.timeout", "120"),
        ("reg.1.server.1.retryTimeOut", "200"),
        ("reg.1.server.1.retryMaxCount", "1"),
    ];
    let mut bench = generic("192.0.2.21", &more);
    bench.servers.insert(at(SECOND), Pbx::new(2));
    bench.servers.get_mut(&at(FIRST)).expect("there").is_up = false;
    until(&mut bench, events::FAILED_OVER, 240);
    let over = bench.servers[&at(SECOND)].heard[0].0.since(bench.sent[0].0);
    assert_eq!(over.as_millis(), 400, "two requests, 200 ms each");
    let asked = |bench: &Bench| bench.sent.iter().filter(|(_, to, _)| *to == at(FIRST)).count();
    bench.run(119);
    assert_eq!(asked(&bench), 2);
    bench.run(3);
    assert_eq!((asked(&bench), bench.phone.state()), (4, PhoneState::Registered));
    bench.servers.get_mut(&at(FIRST)).expect("there").is_up = true;
    let took = until(&mut bench, events::FAILED_BACK, 130);
    assert!((115..=121).contains(&took), "{took}");
}

#[test]
fn a_server_that_wants_longer_lifetimes_gets_them() {
    let mut bench = generic("192.0.2.21", &[("reg.1.server.1.expires", "30")]);
    let brief = (423, vec![("Min-Expires", "600".to_owned())]);
    bench.servers.get_mut(&at(FIRST)).expect("there").script = vec![brief];
    until(&mut bench, events::REGISTERED, 240);
    let asked: Vec<Option<u32>> =
        bench.servers[&at(FIRST)].heard.iter().map(|(_, message)| message.expires()).collect();
    assert_eq!(asked, [Some(30), Some(30), Some(600)]);
}

#[test]
fn a_server_that_asks_for_more_again_and_again_is_not_followed() {
    let mut bench = generic("192.0.2.21", &[]);
    let brief = |secs: u32| (423, vec![("Min-Expires", secs.to_string())]);
    bench.servers.get_mut(&at(FIRST)).expect("there").script =
        vec![brief(4000), brief(5000), brief(6000), brief(7000)];
    until(&mut bench, events::REGISTRATION_FAILED, 240);
    assert_eq!(heard(&bench, FIRST), 4);
}

#[test]
fn refusals_end_a_round_and_retry_after_is_kept_to() {
    for (status, more, moves_on) in
        [(403, None, false), (404, None, false), (480, Some(300), false), (503, Some(400), true)]
    {
        let mut bench = generic("192.0.2.21", &[("reg.1.server.2.address", "192.0.2.22")]);
        bench.servers.insert(at(SECOND), Pbx::new(2));
        let headers =
            more.map(|secs: u32| ("Retry-After", format!("{secs} (busy);duration=60"))).into_iter().collect();
        bench.servers.get_mut(&at(FIRST)).expect("there").script = vec![(status, headers)];
        if moves_on {
            until(&mut bench, events::FAILED_OVER, 240);
            continue;
        }
        until(&mut bench, events::REGISTRATION_FAILED, 240);
        assert_eq!(heard(&bench, SECOND), 0, "{status}");
        assert!(bench.phone.log().iter().any(|line| line.contains(&format!("Error Code:{status}"))));
        let took = until(&mut bench, events::REGISTERED, 400);
        let least = more.map_or(29, u64::from) - 1;
        assert!((least..=least + 62).contains(&took), "{status}: {took}");
    }
}

#[test]
fn a_stream_that_breaks_is_opened_again_and_nobody_sees_a_loss() {
    let mut bench = registered("192.0.2.21", &[("reg.1.server.1.transport", "TCPOnly")]);
    let register = &bench.servers[&at(FIRST)].heard[1].1;
    assert!(register.header("Contact").expect("Contact").starts_with("<sip:201@10.20.2.1;transport=tcp>"));
    assert!(bench.sent.is_empty());
    bench.run(100);
    bench.break_trunks();
    bench.run(2);
    assert_eq!((bench.phone.state(), bench.trunks.len()), (PhoneState::Registered, 1));
    assert!(!bench.events.contains(&events::REGISTRATION_LOST));
    // A server that is down for long is a loss, and patience brings the line back.
    bench.servers.get_mut(&at(FIRST)).expect("there").is_up = false;
    bench.run(20);
    bench.break_trunks();
    until(&mut bench, events::REGISTRATION_LOST, 30);
    bench.run(600);
    bench.servers.get_mut(&at(FIRST)).expect("there").is_up = true;
    until(&mut bench, events::REGISTRATION_RESTORED, 181);
}

#[test]
fn a_restart_signs_the_line_out_and_a_power_cut_does_not() {
    let mut bench = registered("192.0.2.21", &[]);
    let removals = |bench: &Bench| {
        let all = &bench.servers[&at(FIRST)].heard;
        all.iter().filter(|(_, message)| message.expires() == Some(0)).count()
    };
    bench.power_off();
    bench.power_on();
    until(&mut bench, events::REGISTERED, 240);
    assert_eq!(removals(&bench), 0);
    bench.restart();
    assert_eq!(removals(&bench), 1);
    until(&mut bench, events::REGISTERED, 240);
    assert_eq!(bench.phone.state(), PhoneState::Registered);
}

#[test]
fn a_server_that_was_restarted_takes_the_password_for_its_new_nonces() {
    let mut bench = registered("192.0.2.21", &[]);
    bench.servers.get_mut(&at(FIRST)).expect("there").restart(9);
    bench.run(3600);
    assert_eq!((bench.phone.state(), heard(&bench, FIRST)), (PhoneState::Registered, 4));
    assert!(!bench.events.contains(&events::LOGIN_REFUSED));
}

fn record(name: &str, data: RData) -> Record {
    Record::from_rdata(Name::from_ascii(name).expect("a name"), 300, data)
}

fn service(name: &str, priority: u16, target: &str) -> Record {
    record(name, RData::SRV(SRV::new(priority, 0, 5060, Name::from_ascii(target).expect("a name"))))
}

#[test]
fn names_lead_by_naptr_and_srv_to_hosts_and_those_are_tried_in_order() {
    let mut bench = generic("contoso.example", &[]);
    bench.servers.insert(at(SECOND), Pbx::new(2));
    bench.servers.get_mut(&at(FIRST)).expect("there").is_up = false;
    let pointer = |order: u16, services: &str, target: &str| {
        let target = Name::from_ascii(target).expect("a name");
        let text = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
        record(
            "contoso.example.",
            RData::NAPTR(NAPTR::new(order, 50, text("s"), text(services), text(""), target)),
        )
    };
    bench.names = vec![
        pointer(20, "SIPS+D2T", "_sips._tcp.contoso.example."),
        pointer(10, "SIP+D2U", "_sip._udp.contoso.example."),
        pointer(5, "H323+D2U", "_h323._udp.contoso.example."),
        service("_sip._udp.contoso.example.", 10, "one.contoso.example."),
        service("_sip._udp.contoso.example.", 20, "two.contoso.example."),
        record("one.contoso.example.", RData::A(A(FIRST))),
        record("two.contoso.example.", RData::A(A(SECOND))),
    ];
    until(&mut bench, events::REGISTERED, 240);
    assert_eq!(bench.servers[&at(SECOND)].registers(), 1);
    let tried = bench.sent.iter().filter(|(_, to, _)| *to == at(FIRST)).count();
    assert_eq!(tried, 4, "the first host has its turn");
    // The request is for the domain, wherever it goes.
    let register = &bench.servers[&at(SECOND)].heard[0].1;
    assert_eq!(register.uri().map(|uri| uri.to_string()).as_deref(), Some("sip:contoso.example"));
}

#[test]
fn a_name_without_service_records_is_a_host_and_one_that_nobody_knows_is_a_reason() {
    let mut bench = generic("pbx.contoso.example", &[]);
    bench.names = vec![record("pbx.contoso.example.", RData::A(A(FIRST)))];
    until(&mut bench, events::REGISTERED, 240);
    let mut lost = generic("nowhere.contoso.example", &[]);
    until(&mut lost, events::REGISTRATION_FAILED, 240);
    let warnings = lost.screen().status_bar.expect("a bar").warnings;
    assert_eq!(warnings, ["Line Unregistered: 201 (no such name `nowhere.contoso.example`)"]);
}

#[test]
fn two_lines_register_each_for_itself_and_the_phone_is_registered_when_both_are() {
    let more = [
        ("reg.2.address", "202"),
        ("reg.2.label", "Lab"),
        ("reg.2.auth.userId", "201"),
        ("reg.2.auth.password", "Gr33n-Door!"),
        ("voIpProt.server.1.address", "192.0.2.22"),
    ];
    let mut bench = generic("192.0.2.21", &more);
    until(&mut bench, events::REGISTERED, 240);
    assert_eq!(bench.phone.state(), PhoneState::Unregistered);
    bench.servers.insert(at(SECOND), Pbx::new(2));
    bench.run(120);
    let texts: Vec<String> = bench.screen().lines.iter().map(|line| line.text().to_owned()).collect();
    assert_eq!(texts, ["201: registered", "Lab: registered"]);
    assert_eq!(bench.phone.state(), PhoneState::Registered);
    let register = &bench.servers[&at(SECOND)].heard[0].1;
    assert_eq!(register.from().uri.to_string(), "sip:202@192.0.2.22");
}

#[test]
fn keep_alives_are_sent_where_they_are_wanted() {
    let mut bench = registered("192.0.2.21", &[("nat.keepalive.interval", "20")]);
    let before = bench.sent.len();
    bench.run(61);
    let pings: Vec<&[u8]> = bench.sent[before..].iter().map(|(_, _, octets)| &octets[..]).collect();
    assert_eq!(pings, [b"\r\n\r\n"; 3]);
}

#[test]
fn another_base_profile_starts_the_phone_again_and_the_pools_account_sleeps() {
    let mut bench = registered("192.0.2.21", &[]);
    bench.configure(&[("device.baseProfile", "Lync")]);
    assert_eq!(bench.phone.state(), PhoneState::Booting);
    bench.run(200);
    assert_eq!(bench.phone.state(), PhoneState::SignedOut);
    assert!(bench.screen().offers("Sign In"));
}
