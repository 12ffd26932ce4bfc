//! Registrations: made, refreshed, ended.

use std::time::Duration;

use super::bench::*;
use crate::events;

#[test]
fn a_client_proves_who_it_is_and_is_registered() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "d8d053f0ae7f");
    let ok = desk.sign_in(&mut bench);
    assert_eq!(ok.status(), Some(200));
    assert_eq!(ok.expires(), Some(7200));
    let bound = bench.front_end.bindings("sip:Alice@contoso.example", bench.now);
    assert_eq!(bound.len(), 1);
    assert_eq!(bound[0].gruu, "sip:alice@contoso.example;opaque=user:epid:8JbZkJlyaFikmw6tZLxD4wAA;gruu");
    assert!(bench.front_end.is_registered(ALICE, bench.now));
    assert!(!bench.front_end.is_registered(BOB, bench.now));
    assert_eq!(bench.events(), [(events::CHALLENGED, ALICE), (events::REGISTERED, ALICE)]);
}

#[test]
fn the_200_says_everything_that_clients_read() {
    let mut bench = Bench::new();
    let ok = Client::new(&mut bench, ALICE, "d8d053f0ae7f").sign_in(&mut bench);
    insta::assert_snapshot!(golden(&ok));
}

#[test]
fn nobody_hears_200_before_the_binding_is_on_the_disk() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "01");
    let draft = desk.register_unwritten(&mut bench);
    assert!(bench.messages(desk.stream).is_empty());
    assert!(!bench.front_end.is_registered(ALICE, bench.now));
    // Asking again changes nothing.
    bench.send(desk.stream, draft.print().expect("a good draft"));
    assert!(bench.messages(desk.stream).is_empty());
    bench.flush();
    let answers = bench.messages(desk.stream);
    assert_eq!(answers.iter().map(|a| a.status()).collect::<Vec<_>>(), [Some(200)]);
    assert!(bench.front_end.is_registered(ALICE, bench.now));
}

#[test]
fn a_client_that_signs_out_while_its_binding_is_on_its_way_to_the_disk_is_signed_out() {
    for contact in [None, Some("*")] {
        let mut bench = Bench::new();
        let mut desk = Client::new(&mut bench, ALICE, "01");
        desk.prove(&mut bench).expect("a good certificate");
        bench.disk_is_quick = false;
        let bind = desk.register();
        let mut unbind = desk.register().with("Expires", "0");
        if let Some(contact) = contact {
            unbind.set("Contact", contact);
        }
        for draft in [bind, unbind] {
            let draft = desk.signed(draft);
            bench.send(desk.stream, draft.print().expect("a good draft"));
        }
        bench.flush();
        let answers = bench.messages(desk.stream);
        let granted: Vec<_> = answers.iter().map(|a| (a.status(), a.expires())).collect();
        assert_eq!(granted, [(Some(200), Some(7200)), (Some(200), Some(0))]);
        assert!(!bench.front_end.is_registered(ALICE, bench.now));
        bench.power_on();
        assert!(!bench.front_end.is_registered(ALICE, bench.now));
    }
}

#[test]
fn a_refresh_is_answered_refreshed_and_begins_the_time_anew() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    bench.pass(Duration::from_secs(500));
    let draft = desk.register();
    let ok = desk.ask_signed(&mut bench, draft);
    assert!(ok.header("presence-state").expect("it is there").contains("register-action=\"refreshed\""));
    assert_eq!(ok.expires(), Some(7200));
    let bound = bench.front_end.bindings(ALICE, bench.now);
    assert_eq!(bound.len(), 1);
    assert_eq!(bound[0].until, bench.now + Duration::from_secs(7200));
    assert_eq!(bench.count(events::REGISTRATION_REFRESHED), 1);
}

#[test]
fn a_binding_that_nobody_refreshes_ends() {
    let mut bench = Bench::new();
    bench.longest = Duration::from_secs(300);
    registered(&mut bench, ALICE, "01");
    bench.pass(Duration::from_secs(299));
    assert!(bench.front_end.is_registered(ALICE, bench.now));
    bench.pass(Duration::from_secs(1));
    assert!(!bench.front_end.is_registered(ALICE, bench.now));
    assert_eq!(bench.count(events::BINDING_EXPIRED), 1);
}

#[test]
fn a_client_signs_out() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let draft = desk.register().with("Expires", "0");
    let ok = desk.ask_signed(&mut bench, draft);
    assert_eq!((ok.status(), ok.expires(), ok.header("Contact")), (Some(200), Some(0), None));
    assert!(!bench.front_end.is_registered(ALICE, bench.now));
    assert_eq!(bench.count(events::DEREGISTERED), 1);
}

#[test]
fn a_star_ends_every_binding_of_the_address() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    registered(&mut bench, ALICE, "02");
    registered(&mut bench, BOB, "03");
    assert_eq!(bench.front_end.bindings(ALICE, bench.now).len(), 2);
    let draft = desk.request("REGISTER").with("Contact", "*").with("Expires", "0");
    assert_eq!(desk.ask_signed(&mut bench, draft).status(), Some(200));
    assert!(!bench.front_end.is_registered(ALICE, bench.now));
    assert!(bench.front_end.is_registered(BOB, bench.now));
}

#[test]
fn a_register_without_a_contact_asks_what_is_bound() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    registered(&mut bench, ALICE, "02");
    let draft = desk.request("REGISTER");
    let ok = desk.ask_signed(&mut bench, draft);
    assert_eq!(ok.headers("Contact").count(), 2);
}

#[test]
fn a_lost_connection_ends_the_binding_unless_the_phone_comes_back() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let lobby = registered(&mut bench, BOB, "02");
    bench.hang_up(desk.stream);
    bench.hang_up(lobby.stream);
    bench.pass(Duration::from_secs(30));
    desk.reconnect(&mut bench);
    let ok = desk.sign_in(&mut bench);
    assert!(ok.header("presence-state").expect("it is there").contains("refreshed"));
    bench.pass(Duration::from_secs(30));
    assert!(bench.front_end.is_registered(ALICE, bench.now));
    assert!(!bench.front_end.is_registered(BOB, bench.now));
}

#[test]
fn the_pool_shortens_what_is_too_long_and_refuses_what_is_too_short() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    for (asked, status, granted) in
        [("7201", 200, Some(7200)), ("4294967296", 200, Some(7200)), ("60", 200, Some(60)), ("59", 423, None)]
    {
        let draft = desk.register().with("Expires", asked);
        let answer = desk.ask_signed(&mut bench, draft);
        assert_eq!(answer.status(), Some(status), "{asked}");
        assert_eq!(answer.expires(), granted, "{asked}");
        if status == 423 {
            assert_eq!(answer.header("Min-Expires"), Some("60"));
        }
    }
}

#[test]
fn an_older_register_does_not_overtake_a_newer_one() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let old = desk.register();
    let new = desk.register();
    assert_eq!(desk.ask_signed(&mut bench, new).status(), Some(200));
    assert_eq!(desk.ask_signed(&mut bench, old).status(), Some(500));
}

#[test]
fn a_strict_pool_grants_half() {
    let mut bench = Bench::new();
    bench.strict = true;
    bench.power_on();
    let ok = Client::new(&mut bench, ALICE, "01").sign_in(&mut bench);
    assert_eq!(ok.expires(), Some(3600));
}

#[test]
fn a_request_that_comes_again_gets_the_same_answer() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let draft = desk.register();
    let draft = desk.signed(draft);
    let first = desk.ask(&mut bench, &draft);
    bench.pass(Duration::from_secs(31));
    let second = desk.ask(&mut bench, &draft);
    assert_eq!(first.as_bytes(), second.as_bytes());
    // Later it is a replay.
    bench.pass(Duration::from_secs(1));
    assert_eq!(desk.ask(&mut bench, &draft).status(), Some(401));
}

#[test]
fn a_strict_pool_sometimes_loses_an_association_and_never_a_binding() {
    let mut bench = Bench::new();
    bench.strict = true;
    bench.power_on();
    let mut desk = registered(&mut bench, ALICE, "01");
    let mut doubted = 0;
    for _ in 0..100 {
        bench.pass(Duration::from_secs(60));
        let draft = desk.register();
        if desk.ask_signed(&mut bench, draft).status() == Some(401) {
            doubted += 1;
            assert_eq!(desk.sign_in(&mut bench).status(), Some(200));
        }
        assert!(bench.front_end.is_registered(ALICE, bench.now));
    }
    assert!((1..20).contains(&doubted), "{doubted}");
}

#[test]
fn the_same_seed_says_the_same_to_the_octet() {
    let run = || {
        let mut bench = Bench::new();
        let mut desk = registered(&mut bench, ALICE, "01");
        let draft = desk.register();
        let answer = desk.ask_signed(&mut bench, draft);
        (golden(&answer), format!("{:?}", bench.notes))
    };
    assert_eq!(run(), run());
}

#[test]
fn the_journal_shows_a_strangers_words_on_one_line() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "01");
    let mut draft = desk.register();
    draft.set("From", &format!("<sip:a%0A%22{}@contoso.example>;tag=1", "x".repeat(500)));
    assert_eq!(desk.ask(&mut bench, &draft).status(), Some(401));
    let (_, of) = bench.events()[0];
    assert!(of.len() < 200 && !of.contains('\n'), "{of}");
}
