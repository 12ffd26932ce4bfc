//! Proving who speaks: challenges, handshakes, signatures.

use std::time::Duration;

use pki::Validity;
use sip::Message;
use sip::tls_dsk::Reply;

use super::bench::*;
use crate::events;
use crate::sip::access::{ASSOCIATIONS_PER_CONNECTION, HALF_OPEN_LIFE};
use crate::sip::connection::{CHALLENGES, CHALLENGES_CLOSE};

fn random() -> net::Random {
    net::Random::named(3, "hands")
}

/// An answer without what is made of chance.
fn bare(answer: &Message) -> Vec<String> {
    let names = ["Via", "From", "To", "Call-ID", "CSeq"];
    let kept = answer.all_headers().filter(|(name, _)| !names.contains(name));
    let headers = kept.map(|(name, value)| format!("{name}: {value}"));
    std::iter::once(format!("{:?}", answer.status())).chain(headers).collect()
}

#[test]
fn the_challenge_says_where_certificates_are_to_be_had() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "d8d053f0ae7f");
    let draft = desk.register();
    let answer = desk.ask(&mut bench, &draft);
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_strict_pool_has_a_realm_of_its_own() {
    let mut bench = Bench::new();
    bench.strict = true;
    bench.power_on();
    let mut desk = Client::new(&mut bench, ALICE, "01");
    assert_ne!(desk.challenged(&mut bench).realm, sip::association::REALM);
    assert_eq!(desk.sign_in(&mut bench).status(), Some(200));
}

#[test]
fn one_users_certificate_does_not_register_another() {
    let mut bench = Bench::new();
    let bobs = bench.certificate(BOB, Validity::days(wall(), 180));
    let mut desk = Client::with(&mut bench, ALICE, "01", bobs);
    let answer = desk.prove(&mut bench).expect_err("it is Bob's");
    assert!(answer.header("ms-diagnostics").expect("it is there").starts_with("1000;"));
    assert_eq!(bench.front_end.associations(ALICE, bench.now), 0);
    assert_eq!(bench.count(events::HANDSHAKE_FAILED), 1);
    let journal = format!("{:?}", bench.notes);
    assert!(
        journal.contains("certificate is not published"),
        "the journal says why, the answer does not: {journal}"
    );
}

#[test]
fn every_failed_handshake_gets_the_same_answer() {
    let mut bench = Bench::new();
    let bobs = bench.certificate(BOB, Validity::days(wall(), 180));
    let old = bench.certificate(ALICE, Validity::days(wall().minus(Duration::from_secs(10 * 86_400)), 5));
    let mut answers = Vec::new();
    for credentials in [bobs.clone(), old] {
        let mut desk = Client::with(&mut bench, ALICE, "01", credentials);
        answers.push(desk.prove(&mut bench).expect_err("no good certificate"));
    }
    let mut stranger = Client::with(&mut bench, "nobody@contoso.example", "01", bobs.clone());
    answers.push(stranger.prove(&mut bench).expect_err("nobody is known by that name"));
    for data in ["AAAA", "no base64!", "", &"A".repeat(50_000)] {
        let mut desk = Client::with(&mut bench, ALICE, "01", bobs.clone());
        let parameters = desk.challenged(&mut bench);
        let auth = sip::tls_dsk::initiator_flight(&parameters, b"x").to_string();
        let auth = auth.replace("gssapi-data=\"eA==\"", &format!("gssapi-data=\"{data}\""));
        let draft = desk.register().with("Authorization", auth);
        answers.push(desk.ask(&mut bench, &draft));
    }
    // A fatal alert in the place of a hello's answer.
    let mut desk = Client::with(&mut bench, ALICE, "01", bobs);
    let parameters = desk.challenged(&mut bench);
    let Ok(Reply::More(hello)) = desk.initiator(&bench).step(&[], wall(), &mut random()) else {
        panic!("a hello")
    };
    let draft = desk.flight(&parameters, &hello);
    let flight = desk.ask(&mut bench, &draft);
    let auth = sip::auth::Auth::parse(flight.header("WWW-Authenticate").expect("one")).expect("it reads");
    let opaque = auth.get("opaque").expect("a handle").into_owned();
    assert_eq!(bench.front_end.half_open(), 1);
    let draft = desk.flight(&sip::association::Parameters { opaque, ..parameters }, &[21, 3, 3, 0, 2, 2, 40]);
    answers.push(desk.ask(&mut bench, &draft));
    assert_eq!(bench.front_end.half_open(), 0, "an alert ends it");
    for answer in &answers {
        assert_eq!(bare(answer), bare(&answers[0]));
    }
}

#[test]
fn a_handshake_has_ten_seconds() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "01");
    let parameters = desk.challenged(&mut bench);
    let Ok(Reply::More(hello)) = desk.initiator(&bench).step(&[], wall(), &mut random()) else {
        panic!("a hello")
    };
    let draft = desk.flight(&parameters, &hello);
    desk.ask(&mut bench, &draft);
    bench.pass(HALF_OPEN_LIFE - Duration::from_nanos(1));
    assert_eq!(bench.front_end.half_open(), 1);
    bench.pass(Duration::from_nanos(1));
    assert_eq!(bench.front_end.half_open(), 0);
    assert_eq!(bench.count(events::HANDSHAKE_FAILED), 1);
}

#[test]
fn a_flight_on_another_connection_touches_nothing() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "01");
    let mut parameters = desk.challenged(&mut bench);
    let mut initiator = desk.initiator(&bench);
    let mut chance = random();
    let Ok(Reply::More(hello)) = initiator.step(&[], wall(), &mut chance) else { panic!("a hello") };
    let draft = desk.flight(&parameters, &hello);
    let flight = desk.ask(&mut bench, &draft);
    let auth = sip::auth::Auth::parse(flight.header("WWW-Authenticate").expect("one")).expect("it reads");
    parameters.opaque = auth.get("opaque").expect("a handle").into_owned();
    // Somebody else says something with the same handle.
    let mut other = Client::with(&mut bench, ALICE, "01", desk.credentials.clone());
    let draft = other.flight(&parameters, &[21, 3, 3, 0, 2, 2, 40]);
    assert_eq!(other.ask(&mut bench, &draft).status(), Some(401));
    // The first goes on as if nothing had been.
    let server = sip::tls_dsk::decode_flight(&auth.get("gssapi-data").expect("a flight")).expect("base64");
    let Ok(Reply::More(finish)) = initiator.step(&server, wall(), &mut chance) else { panic!("a flight") };
    let draft = desk.flight(&parameters, &finish);
    let last = desk.ask(&mut bench, &draft);
    assert!(last.header("WWW-Authenticate").expect("one").contains("gssapi-data"));
    assert_eq!(bench.front_end.associations(ALICE, bench.now), 1);
}

#[test]
fn a_replayed_request_is_refused_and_the_association_lives_on() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let draft = desk.register();
    let draft = desk.signed(draft);
    assert_eq!(desk.ask(&mut bench, &draft).status(), Some(200));
    let mut again = draft.clone();
    again.set("Via", "SIP/2.0/TLS 10.20.2.1:40000;branch=z9hG4bKanother");
    assert_eq!(desk.ask(&mut bench, &again).status(), Some(401));
    assert_eq!(bench.count(events::REQUEST_REFUSED), 1);
    // Nor does it help on another connection.
    let mut thief = Client::with(&mut bench, ALICE, "01", desk.credentials.clone());
    assert_eq!(thief.ask(&mut bench, &again).status(), Some(401));
    let draft = desk.register();
    assert_eq!(desk.ask_signed(&mut bench, draft).status(), Some(200));
}

#[test]
fn an_unsigned_or_wrongly_signed_request_is_challenged_and_the_association_lives_on() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let draft = desk.register();
    let answer = desk.ask(&mut bench, &draft);
    assert_eq!(answer.status(), Some(401));
    assert!(answer.header("WWW-Authenticate").expect("one").contains("sts-uri"));
    let draft = desk.register();
    let mut draft = desk.signed(draft);
    draft.push("Expires", "0");
    assert_eq!(desk.ask(&mut bench, &draft).status(), Some(401));
    assert!(bench.front_end.is_registered(ALICE, bench.now));
    let draft = desk.register();
    assert_eq!(desk.ask_signed(&mut bench, draft).status(), Some(200));
}

#[test]
fn every_method_wants_a_signature() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    for method in [
        "REGISTER",
        "SUBSCRIBE",
        "SERVICE",
        "OPTIONS",
        "INVITE",
        "MESSAGE",
        "BYE",
        "NOTIFY",
        "PUBLISH",
        "XYZ",
    ] {
        let draft = desk.request(method);
        assert_eq!(desk.ask(&mut bench, &draft).status(), Some(401), "{method}");
    }
    for method in ["ACK", "CANCEL"] {
        let draft = desk.request(method);
        bench.send(desk.stream, draft.print().expect("a good draft"));
        assert!(bench.messages(desk.stream).is_empty(), "{method}");
    }
}

#[test]
fn who_has_proved_to_be_one_user_cannot_speak_for_another() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    desk.user = BOB.to_owned();
    let draft = desk.register();
    let answer = desk.ask_signed(&mut bench, draft);
    assert_eq!(answer.status(), Some(403));
    assert!(answer.header("ms-diagnostics-public").expect("it is there").starts_with("4004;"));
    assert!(!bench.front_end.is_registered(BOB, bench.now));
}

#[test]
fn an_association_ends_after_eight_hours_or_with_its_certificate() {
    for (days_or_hour, secs) in [(Validity::days(wall(), 180), 8 * 3600), (Validity::hours(wall(), 1), 3600)]
    {
        let mut bench = Bench::new();
        let credentials = bench.certificate(ALICE, days_or_hour);
        let mut desk = Client::with(&mut bench, ALICE, "01", credentials);
        assert_eq!(desk.sign_in(&mut bench).status(), Some(200));
        for _ in 0..secs / 300 - 1 {
            bench.pass(Duration::from_secs(300));
            bench.send(desk.stream, &b"\r\n\r\n"[..]);
            assert_eq!(bench.octets(desk.stream), b"\r\n");
        }
        bench.pass(Duration::from_secs(299));
        let draft = desk.register();
        assert_eq!(desk.ask_signed(&mut bench, draft).status(), Some(200), "{secs}");
        bench.pass(Duration::from_secs(1));
        let draft = desk.register();
        assert_eq!(desk.ask_signed(&mut bench, draft).status(), Some(401), "{secs}");
        assert!(bench.front_end.is_registered(ALICE, bench.now), "the binding has its own time");
    }
}

#[test]
fn a_revoked_certificate_ends_its_association_and_opens_no_other() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    bench.published.revoke(ALICE, net::Wall::UNIX_EPOCH, &mut net::Outbox::new());
    bench.with(|front_end, now, parts, out| front_end.account_changed(now, ALICE, parts, out));
    assert_eq!(bench.front_end.associations(ALICE, bench.now), 0);
    let draft = desk.register();
    assert_eq!(desk.ask_signed(&mut bench, draft).status(), Some(401));
    desk.prove(&mut bench).expect_err("it was revoked");
    desk.credentials = bench.certificate(ALICE, Validity::days(wall(), 180));
    let ok = desk.sign_in(&mut bench);
    assert!(ok.header("presence-state").expect("it is there").contains("refreshed"));
}

#[test]
fn who_asks_and_asks_is_told_to_stay_away_and_then_dropped() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "01");
    let statuses: Vec<Option<u16>> = (0..CHALLENGES_CLOSE)
        .map(|_| {
            let draft = desk.register();
            desk.ask(&mut bench, &draft).status()
        })
        .collect();
    let challenged = statuses.iter().filter(|status| **status == Some(401)).count();
    assert_eq!(challenged, CHALLENGES as usize);
    assert_eq!(statuses.last(), Some(&Some(503)));
    assert!(bench.closed.is_empty());
    let draft = desk.register();
    bench.send(desk.stream, draft.print().expect("a good draft"));
    assert_eq!(bench.closed, [desk.stream]);
    // A minute later a new connection is welcome.
    bench.pass(Duration::from_secs(60));
    desk.reconnect(&mut bench);
    assert_eq!(desk.sign_in(&mut bench).status(), Some(200));
}

#[test]
fn credentials_for_another_realm_are_none() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "01");
    let mut parameters = desk.challenged(&mut bench);
    parameters.realm = "elsewhere".to_owned();
    let draft = desk.flight(&parameters, b"\x16\x03\x01");
    let answer = desk.ask(&mut bench, &draft);
    assert!(answer.header("WWW-Authenticate").expect("one").contains("sts-uri"));
    assert_eq!(bench.count(events::HANDSHAKE_FAILED), 0);
}

/// Says hello for `desk` and returns what names the handshake, with the flight that finishes it.
fn begun(bench: &mut Bench, desk: &mut Client) -> (sip::association::Parameters, Vec<u8>) {
    let mut parameters = desk.challenged(bench);
    let mut initiator = desk.initiator(bench);
    let mut chance = random();
    let Ok(Reply::More(hello)) = initiator.step(&[], wall(), &mut chance) else { panic!("a hello") };
    let draft = desk.flight(&parameters, &hello);
    let flight = desk.ask(bench, &draft);
    let auth = sip::auth::Auth::parse(flight.header("WWW-Authenticate").expect("one")).expect("it reads");
    parameters.opaque = auth.get("opaque").expect("a handle").into_owned();
    let server = sip::tls_dsk::decode_flight(&auth.get("gssapi-data").expect("a flight")).expect("base64");
    let Ok(Reply::More(finish)) = initiator.step(&server, wall(), &mut chance) else { panic!("a flight") };
    (parameters, finish)
}

#[test]
fn a_certificate_that_is_revoked_between_two_flights_proves_nothing() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "01");
    let (parameters, finish) = begun(&mut bench, &mut desk);
    bench.published.revoke(ALICE, net::Wall::UNIX_EPOCH, &mut net::Outbox::new());
    let draft = desk.flight(&parameters, &finish);
    let answer = desk.ask(&mut bench, &draft);
    assert!(answer.header("ms-diagnostics").expect("it is there").starts_with("1000;"));
    assert_eq!(bench.front_end.associations(ALICE, bench.now), 0);
}

#[test]
fn the_flights_of_one_handshake_are_from_one_endpoint() {
    for (user, epid) in [(BOB, "01"), (ALICE, "02")] {
        let mut bench = Bench::new();
        let mut desk = Client::new(&mut bench, ALICE, "01");
        let (parameters, finish) = begun(&mut bench, &mut desk);
        (desk.user, desk.epid) = (user.to_owned(), epid.to_owned());
        let draft = desk.flight(&parameters, &finish);
        let answer = desk.ask(&mut bench, &draft);
        assert!(answer.header("ms-diagnostics").expect("it is there").starts_with("1000;"));
        assert_eq!(bench.front_end.half_open(), 0);
        assert_eq!(bench.front_end.associations(user, bench.now), 0);
    }
}

#[test]
fn a_new_hello_ends_the_handshake_that_its_endpoint_had_begun() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "01");
    let (first, finish) = begun(&mut bench, &mut desk);
    begun(&mut bench, &mut desk);
    assert_eq!(bench.front_end.half_open(), 1);
    let draft = desk.flight(&first, &finish);
    assert!(desk.ask(&mut bench, &draft).header("ms-diagnostics").is_some());
}

#[test]
fn a_handshake_travels_in_registers_of_version_4_only() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "01");
    let parameters = desk.challenged(&mut bench);
    let Ok(Reply::More(hello)) = desk.initiator(&bench).step(&[], wall(), &mut random()) else {
        panic!("a hello")
    };
    let auth = sip::tls_dsk::initiator_flight(&parameters, &hello).to_string();
    let old = auth.replace("version=4", "version=3");
    for draft in
        [desk.request("OPTIONS").with("Authorization", &auth), desk.register().with("Authorization", &old)]
    {
        let answer = desk.ask(&mut bench, &draft);
        assert!(answer.header("WWW-Authenticate").expect("one").contains("sts-uri"), "{draft:?}");
        assert_eq!(bench.front_end.half_open(), 0, "{draft:?}");
    }
}

#[test]
fn one_connection_keeps_only_so_many_associations() {
    let mut bench = Bench::new();
    let mut first = Client::new(&mut bench, ALICE, "00");
    first.prove(&mut bench).expect("a good certificate");
    for number in 1..=ASSOCIATIONS_PER_CONNECTION {
        let draft = first.request("OPTIONS");
        assert_eq!(first.ask_signed(&mut bench, draft).status(), Some(200));
        bench.pass(Duration::from_secs(1));
        let credentials = first.credentials.clone();
        let mut next = Client::with(&mut bench, ALICE, &format!("{number:02}"), credentials);
        next.stream = first.stream;
        next.prove(&mut bench).expect("a good certificate");
    }
    assert_eq!(bench.front_end.associations(ALICE, bench.now), ASSOCIATIONS_PER_CONNECTION);
    let draft = first.request("OPTIONS");
    assert_eq!(first.ask_signed(&mut bench, draft).status(), Some(401), "the oldest made room");
}
