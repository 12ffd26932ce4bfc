//! Calls and everything else that is put through between user agents.

use std::time::Duration;

use registrar::events;
use sip::{Draft, Message, NameAddr};

use crate::harness::{ALICE, Agent, BOB, Pool, Way, registered};

const TO_BOB: &str = "sip:bob@contoso.example";

fn statuses(messages: &[Message]) -> Vec<u16> {
    messages.iter().filter_map(Message::status).collect()
}

/// Alice and Bob, registered over these carriers: port 0 is UDP.
fn two(pool: &mut Pool, alice: u16, bob: u16) -> (Agent, Agent) {
    let mut agent = |user: &str, port: u16, at: &str| {
        let agent = match port {
            0 => Agent::udp(user, at),
            port => Agent::on(pool, port, user),
        };
        registered(pool, agent)
    };
    (agent(ALICE, alice, "10.20.2.1:5060"), agent(BOB, bob, "10.20.2.2:5060"))
}

/// An INVITE that has passed the pool's challenge: as it was sent, and the 100.
fn call(pool: &mut Pool, caller: &mut Agent, whom: &str) -> Message {
    let draft = caller.invite(whom);
    let (sent, answers) = caller.try_ask(pool, draft);
    assert_eq!(statuses(&answers), [100], "{answers:?}");
    sent
}

/// A request inside the dialog that `sent` (or its answer) made, from the side that has `own` and `other` as its ends.
fn in_dialog(agent: &mut Agent, method: &str, made_by: &Message, is_caller: bool) -> Draft {
    let (own, other) = match is_caller {
        true => (made_by.header("From").unwrap(), made_by.header("To").unwrap()),
        false => (made_by.header("To").unwrap(), made_by.header("From").unwrap()),
    };
    let contact = made_by.header("Contact").unwrap();
    let target = NameAddr::parse(contact).unwrap().uri.as_str().to_owned();
    let mut route = made_by.list("Record-Route").unwrap();
    if is_caller {
        route.reverse();
    }
    let (call_id, contact) = (made_by.call_id().to_owned(), agent.contact.clone());
    let mut draft = agent.request(method, &target);
    draft.set("From", own);
    draft.set("To", other);
    draft.set("Call-ID", &call_id);
    for value in route {
        draft.push("Route", value);
    }
    draft.with("Contact", contact)
}

#[test]
fn a_call_goes_through_over_every_pair_of_carriers() {
    for alice_port in [0, 5060, 5061, 5066] {
        for bob_port in [0, 5060, 5061, 7443] {
            let mut pool = Pool::new();
            let (mut alice, mut bob) = two(&mut pool, alice_port, bob_port);
            let sent = call(&mut pool, &mut alice, TO_BOB);
            let got = bob.hear(&mut pool);
            assert_eq!(got.uri().unwrap().as_str(), NameAddr::parse(&bob.contact).unwrap().uri.as_str());
            assert_eq!(got.max_forwards(), Some(69));
            assert_eq!(got.vias().len(), 2);
            assert_eq!(got.headers("Record-Route").count(), 2);
            assert!(got.header("Proxy-Authorization").is_none(), "proofs go no further than the pool");
            assert_eq!(got.body(), sent.body());
            bob.answer(&mut pool, &got, 180);
            assert_eq!(statuses(&alice.heard(&mut pool)), [180]);
            let ok = bob.answer(&mut pool, &got, 200);
            let heard = alice.hear(&mut pool);
            assert_eq!((heard.status(), heard.vias().len()), (Some(200), 1));
            assert_eq!(heard.header("Contact"), ok.header("Contact"));
            // ACK, a re-INVITE and its ACK, and BYE from the other side, all without a challenge.
            let ack = in_dialog(&mut alice, "ACK", &heard, true);
            alice.send(&mut pool, &ack);
            assert_eq!(bob.hear(&mut pool).method(), "ACK");
            for method in ["INVITE", "UPDATE", "INFO", "REFER", "MESSAGE", "OPTIONS", "PRACK"] {
                let draft = in_dialog(&mut alice, method, &heard, true);
                alice.send(&mut pool, &draft);
                let got = bob.hear(&mut pool);
                assert_eq!((got.method(), got.header("Route")), (method, None));
                bob.answer(&mut pool, &got, 200);
                let statuses = statuses(&alice.heard(&mut pool));
                assert_eq!(statuses.last(), Some(&200), "{method}");
            }
            let bye = in_dialog(&mut bob, "BYE", &got, false);
            bob.send(&mut pool, &bye);
            let got = alice.hear(&mut pool);
            assert_eq!(got.method(), "BYE");
            alice.answer(&mut pool, &got, 200);
            assert_eq!(bob.hear(&mut pool).status(), Some(200));
            pool.pass(Duration::from_secs(60));
            assert_eq!(pool.registrar.front_end().relayed(), 0, "nothing is left of it");
            assert_eq!(pool.count(events::ROUTED_CALL_ACCEPTED), 1);
        }
    }
}

#[test]
fn only_users_of_the_domain_may_call_and_only_by_their_own_name() {
    let mut pool = Pool::new();
    let (mut alice, mut bob) = two(&mut pool, 0, 0);
    let mut stranger = Agent::udp("mallory@contoso.example", "10.20.9.9:5060");
    let draft = stranger.invite(TO_BOB);
    let (_, answers) = stranger.try_ask(&mut pool, draft);
    assert_eq!(statuses(&answers), [407]);
    assert!(answers[0].header("Proxy-Authenticate").is_some());
    let mut draft = alice.invite("sip:carol@contoso.example");
    draft.set("From", "<sip:bob@contoso.example>;tag=x");
    let (sent, answers) = alice.try_ask(&mut pool, draft);
    assert_eq!(statuses(&answers), [403]);
    alice.ack(&mut pool, &sent, &answers[0]);
    assert!(bob.heard(&mut pool).is_empty());
}

#[test]
fn who_cannot_be_reached_is_told_apart_from_who_does_not_exist() {
    let mut pool = Pool::new();
    let (mut alice, _) = two(&mut pool, 0, 0);
    for (whom, status) in [
        ("sip:carol@contoso.example", 480),
        ("sip:nobody@contoso.example", 404),
        ("sip:bob@elsewhere.example", 404),
        ("tel:+15550199", 404),
        ("mailto:bob@contoso.example", 416),
    ] {
        let draft = alice.invite(whom);
        let (sent, answers) = alice.try_ask(&mut pool, draft);
        assert_eq!(statuses(&answers), [status], "{whom}");
        alice.ack(&mut pool, &sent, &answers[0]);
    }
    let mut draft = alice.invite(TO_BOB);
    draft.set("Max-Forwards", "0");
    let (_, answers) = alice.try_ask(&mut pool, draft);
    assert_eq!(statuses(&answers), [483]);
    let draft = alice.invite(TO_BOB).with("Proxy-Require", "foo, bar");
    let (_, answers) = alice.try_ask(&mut pool, draft);
    assert_eq!((statuses(&answers), answers[0].header("Unsupported")), (vec![420], Some("foo, bar")));
}

#[test]
fn a_phone_number_leads_to_its_user() {
    let mut pool = Pool::new();
    let (mut alice, mut bob) = two(&mut pool, 0, 0);
    for number in ["tel:+1-555-0102", "sip:+15550102@contoso.example;user=phone", "sip:+15550102@192.0.2.20"]
    {
        call(&mut pool, &mut alice, number);
        let got = bob.hear(&mut pool);
        assert_eq!(got.uri().unwrap().user, Some("bob"), "{number}");
        bob.answer(&mut pool, &got, 486);
        bob.heard(&mut pool);
        alice.heard(&mut pool);
    }
}

#[test]
fn a_call_rings_everywhere_and_stops_when_one_picks_up() {
    let mut pool = Pool::new();
    let (mut alice, mut bob) = two(&mut pool, 0, 0);
    let mut other = Agent::on(&mut pool, 5061, BOB);
    other = registered(&mut pool, other);
    call(&mut pool, &mut alice, TO_BOB);
    let (first, second) = (bob.hear(&mut pool), other.hear(&mut pool));
    assert_ne!(first.via().branch(), second.via().branch());
    bob.answer(&mut pool, &first, 180);
    other.answer(&mut pool, &second, 180);
    assert_eq!(statuses(&alice.heard(&mut pool)), [180, 180]);
    other.answer(&mut pool, &second, 200);
    assert_eq!(statuses(&alice.heard(&mut pool)), [200]);
    let cancel = bob.hear(&mut pool);
    assert_eq!((cancel.method(), cancel.via().branch()), ("CANCEL", first.via().branch()));
    assert_eq!(cancel.vias().len(), 1);
    bob.answer(&mut pool, &cancel, 200);
    bob.answer(&mut pool, &first, 487);
    assert_eq!(bob.hear(&mut pool).method(), "ACK");
    assert!(alice.heard(&mut pool).is_empty(), "the caller hears nothing of it");
    // A 2xx that comes again is passed on again.
    other.answer(&mut pool, &second, 200);
    assert_eq!(statuses(&alice.heard(&mut pool)), [200]);
    pool.pass(Duration::from_secs(60));
    assert_eq!(pool.registrar.front_end().relayed(), 0);
}

#[test]
fn a_fork_that_has_said_nothing_is_cancelled_as_soon_as_it_speaks() {
    let mut pool = Pool::new();
    let (mut alice, mut bob) = two(&mut pool, 0, 0);
    let other = Agent::udp(BOB, "10.20.2.3:5060");
    let mut other = registered(&mut pool, other);
    call(&mut pool, &mut alice, TO_BOB);
    let (first, second) = (bob.hear(&mut pool), other.hear(&mut pool));
    bob.answer(&mut pool, &first, 200);
    assert_eq!(statuses(&alice.heard(&mut pool)), [200]);
    assert!(other.heard(&mut pool).is_empty());
    other.answer(&mut pool, &second, 100);
    assert_eq!(other.hear(&mut pool).method(), "CANCEL");
}

#[test]
fn the_less_preferred_are_tried_after_the_preferred_and_the_best_refusal_is_passed_on() {
    let mut pool = Pool::new();
    let (mut alice, mut bob) = two(&mut pool, 0, 0);
    let mut later = Agent::udp(BOB, "10.20.2.3:5060");
    later.contact.push_str(";q=0.5");
    let mut later = registered(&mut pool, later);
    let sent = call(&mut pool, &mut alice, TO_BOB);
    let got = bob.hear(&mut pool);
    assert!(later.heard(&mut pool).is_empty(), "not yet");
    bob.answer(&mut pool, &got, 486);
    assert_eq!(bob.hear(&mut pool).method(), "ACK");
    let got = later.hear(&mut pool);
    later.answer(&mut pool, &got, 480);
    let busy = alice.hear(&mut pool);
    assert_eq!(busy.status(), Some(486), "what a person said counts more than that nobody was there");
    alice.ack(&mut pool, &sent, &busy);
    // A 6xx ends the search.
    call(&mut pool, &mut alice, TO_BOB);
    let got = bob.hear(&mut pool);
    bob.answer(&mut pool, &got, 603);
    assert_eq!(statuses(&alice.heard(&mut pool)), [603]);
    later.heard(&mut pool);
    assert!(later.heard(&mut pool).is_empty());
    // An overloaded phone is no overloaded pool.
    bob.heard(&mut pool);
    call(&mut pool, &mut alice, TO_BOB);
    for agent in [&mut bob, &mut later] {
        let got = agent.hear(&mut pool);
        agent.answer(&mut pool, &got, 503);
        assert_eq!(agent.hear(&mut pool).method(), "ACK");
    }
    assert_eq!(statuses(&alice.heard(&mut pool)), [500]);
}

#[test]
fn a_caller_who_hangs_up_stops_the_ringing() {
    let mut pool = Pool::new();
    let (mut alice, mut bob) = two(&mut pool, 0, 5060);
    let sent = call(&mut pool, &mut alice, TO_BOB);
    let got = bob.hear(&mut pool);
    bob.answer(&mut pool, &got, 180);
    alice.heard(&mut pool);
    let cancel = Draft::request("CANCEL", TO_BOB)
        .with("Via", sent.header("Via").unwrap())
        .with("Max-Forwards", "70")
        .with("From", sent.header("From").unwrap())
        .with("To", sent.header("To").unwrap())
        .with("Call-ID", sent.call_id())
        .with("CSeq", format!("{} CANCEL", sent.cseq().number));
    alice.send(&mut pool, &cancel);
    assert_eq!(statuses(&alice.heard(&mut pool)), [200]);
    let cancelled = bob.hear(&mut pool);
    assert_eq!(cancelled.method(), "CANCEL");
    bob.answer(&mut pool, &cancelled, 200);
    bob.answer(&mut pool, &got, 487);
    assert_eq!(bob.hear(&mut pool).method(), "ACK");
    let ended = alice.hear(&mut pool);
    assert_eq!((ended.status(), ended.method()), (Some(487), "INVITE"));
    alice.ack(&mut pool, &sent, &ended);
    assert!(alice.heard(&mut pool).is_empty());
    // A CANCEL of nothing.
    let mut nothing = cancel;
    nothing.set("Via", "SIP/2.0/UDP 10.20.2.1:5060;branch=z9hG4bKnothing");
    alice.send(&mut pool, &nothing);
    assert_eq!(statuses(&alice.heard(&mut pool)), [481]);
}

#[test]
fn lost_and_repeated_packets_make_no_second_call() {
    let mut pool = Pool::new();
    let (mut alice, mut bob) = two(&mut pool, 0, 0);
    let sent = call(&mut pool, &mut alice, TO_BOB);
    // The pool repeats towards Bob until he is heard of; the caller's repeats get the 100 again.
    let first = bob.hear(&mut pool);
    pool.pass(Duration::from_millis(1_600));
    let again = bob.heard(&mut pool);
    assert_eq!(again.len(), 2, "after 0.5 and 1.5 seconds");
    assert!(again.iter().all(|it| it.as_bytes() == first.as_bytes()));
    pool.send(alice.way, sent.as_bytes().clone());
    assert_eq!(statuses(&alice.heard(&mut pool)), [100]);
    bob.answer(&mut pool, &first, 180);
    pool.pass(Duration::from_secs(10));
    assert!(bob.heard(&mut pool).is_empty(), "once he rings, nothing is repeated");
    alice.heard(&mut pool);
    bob.answer(&mut pool, &first, 486);
    bob.answer(&mut pool, &first, 486);
    let acks = bob.heard(&mut pool);
    assert_eq!(acks.iter().map(Message::method).collect::<Vec<_>>(), ["ACK", "ACK"], "each is acknowledged");
    let busy = alice.hear(&mut pool);
    pool.pass(Duration::from_millis(600));
    let repeated = alice.hear(&mut pool);
    assert_eq!(repeated.as_bytes(), busy.as_bytes(), "a refusal is repeated until it is acknowledged");
    alice.ack(&mut pool, &sent, &busy);
    pool.pass(Duration::from_secs(40));
    assert!(alice.heard(&mut pool).is_empty());
    assert_eq!(pool.registrar.front_end().relayed(), 0);
}

#[test]
fn nobody_there_is_408_and_nobody_picking_up_ends_by_timer_c() {
    let mut pool = Pool::new();
    let (mut alice, mut bob) = two(&mut pool, 0, 0);
    let sent = call(&mut pool, &mut alice, TO_BOB);
    pool.pass(Duration::from_millis(31_900));
    assert!(alice.heard(&mut pool).is_empty());
    pool.pass(Duration::from_millis(200));
    let timeout = alice.hear(&mut pool);
    assert_eq!(timeout.status(), Some(408));
    alice.ack(&mut pool, &sent, &timeout);
    bob.heard(&mut pool);
    call(&mut pool, &mut alice, TO_BOB);
    let got = bob.hear(&mut pool);
    bob.answer(&mut pool, &got, 180);
    alice.heard(&mut pool);
    pool.pass(Duration::from_secs(170));
    // Another sign of life begins the time anew.
    bob.answer(&mut pool, &got, 183);
    assert_eq!(statuses(&alice.heard(&mut pool)), [183]);
    pool.pass(Duration::from_secs(180));
    assert!(bob.heard(&mut pool).is_empty());
    pool.pass(Duration::from_millis(1_200));
    let cancel = bob.hear(&mut pool);
    assert_eq!(cancel.method(), "CANCEL");
    bob.answer(&mut pool, &cancel, 200);
    bob.answer(&mut pool, &got, 487);
    assert_eq!(statuses(&alice.heard(&mut pool)), [487]);
    assert_eq!(pool.count(events::ROUTED_CALL_FAILED), 2);
}

#[test]
fn a_lost_connection_ends_the_ringing_at_once() {
    let mut pool = Pool::new();
    let (mut alice, bob) = two(&mut pool, 0, 5061);
    call(&mut pool, &mut alice, TO_BOB);
    pool.hang_up(bob.way);
    assert_eq!(statuses(&alice.heard(&mut pool)), [480]);
    // The caller's: whoever rings is told.
    let (alice, mut bob) = two(&mut pool, 5061, 0);
    let mut alice = alice;
    call(&mut pool, &mut alice, TO_BOB);
    let got = bob.hear(&mut pool);
    bob.answer(&mut pool, &got, 180);
    pool.hang_up(alice.way);
    assert_eq!(bob.hear(&mut pool).method(), "CANCEL");
}

#[test]
fn a_call_can_be_ended_after_the_pool_was_restarted() {
    let mut pool = Pool::new();
    let (mut alice, mut bob) = two(&mut pool, 0, 0);
    call(&mut pool, &mut alice, TO_BOB);
    let got = bob.hear(&mut pool);
    bob.answer(&mut pool, &got, 200);
    let ok = alice.hear(&mut pool);
    pool.restart();
    let bye = in_dialog(&mut alice, "BYE", &ok, true);
    alice.send(&mut pool, &bye);
    let got = bob.hear(&mut pool);
    assert_eq!(got.method(), "BYE");
    bob.answer(&mut pool, &got, 200);
    assert_eq!(statuses(&alice.heard(&mut pool)), [200]);
}

#[test]
fn a_dialog_finds_the_new_connection_of_a_user_agent_that_lost_its_old_one() {
    let mut pool = Pool::new();
    let (mut alice, mut bob) = two(&mut pool, 0, 5061);
    call(&mut pool, &mut alice, TO_BOB);
    let got = bob.hear(&mut pool);
    bob.answer(&mut pool, &got, 200);
    let ok = alice.hear(&mut pool);
    pool.hang_up(bob.way);
    let bye = in_dialog(&mut alice, "BYE", &ok, true);
    let mut early = bye.clone();
    early.set("Via", "SIP/2.0/UDP 10.20.2.1:5060;branch=z9hG4bKearly;rport");
    alice.send(&mut pool, &early);
    assert_eq!(statuses(&alice.heard(&mut pool)), [430], "the flow failed");
    bob.way = pool.connect(5061, "10.20.3.61:40001");
    bob = registered(&mut pool, bob);
    alice.send(&mut pool, &bye);
    assert_eq!(bob.hear(&mut pool).method(), "BYE");
}

#[test]
fn messages_and_subscriptions_are_put_through_and_those_to_oneself_are_not() {
    let mut pool = Pool::new();
    let (mut alice, mut bob) = two(&mut pool, 0, 5066);
    let draft = alice.request("MESSAGE", TO_BOB).body("text/plain", "hello");
    let (_, answers) = alice.try_ask(&mut pool, draft);
    assert!(answers.is_empty(), "{answers:?}");
    let got = bob.hear(&mut pool);
    assert_eq!((got.body_text(), got.headers("Record-Route").count()), (Some("hello"), 0));
    bob.answer(&mut pool, &got, 200);
    assert_eq!(statuses(&alice.heard(&mut pool)), [200]);
    let draft =
        alice.request("SUBSCRIBE", TO_BOB).with("Event", "dialog").with("Contact", "<sip:a@10.20.2.1>");
    alice.try_ask(&mut pool, draft);
    let got = bob.hear(&mut pool);
    assert_eq!(got.headers("Record-Route").count(), 2);
    bob.answer(&mut pool, &got, 489);
    assert_eq!(statuses(&alice.heard(&mut pool)), [489]);
    for (method, status) in [("SUBSCRIBE", 489), ("PUBLISH", 405)] {
        let draft = alice.request(method, "sip:alice@contoso.example").with("Event", "message-summary");
        assert_eq!(alice.ask(&mut pool, draft).status(), Some(status), "{method}");
    }
    // A request that nobody answers is answered by nobody (RFC 4320).
    let draft = alice.request("MESSAGE", TO_BOB).body("text/plain", "hello?");
    alice.try_ask(&mut pool, draft);
    pool.pass(Duration::from_secs(40));
    assert!(alice.heard(&mut pool).is_empty());
    assert_eq!(pool.registrar.front_end().relayed(), 0);
}

#[test]
fn a_request_that_comes_back_as_it_left_has_looped() {
    let mut pool = Pool::new();
    let mut alice = registered(&mut pool, Agent::udp(ALICE, "10.20.2.1:5060"));
    let mut bob = Agent::udp(BOB, "10.20.2.2:5060");
    // A contact that leads back to the pool.
    bob.contact = "<sip:bob@192.0.2.20:5060>".to_owned();
    registered(&mut pool, bob);
    call(&mut pool, &mut alice, TO_BOB);
    let own = Way::Udp("192.0.2.20:5060".parse().unwrap());
    let sent = pool.messages(own);
    assert_eq!(sent.len(), 1);
    pool.send(own, sent[0].as_bytes().clone());
    assert!(pool.messages(own).is_empty(), "the pool does not talk to itself");
    // The same through somebody else, who changes nothing.
    let helper = Way::Udp("10.20.2.9:5060".parse().unwrap());
    let text = String::from_utf8(sent[0].as_bytes().to_vec()).unwrap();
    let text = text.replacen("INVITE sip:bob@192.0.2.20:5060", "INVITE sip:bob@contoso.example", 1);
    pool.send(helper, text.into_bytes());
    assert_eq!(statuses(&pool.messages(helper)), [482]);
}

#[test]
fn a_route_to_elsewhere_and_a_forged_token_lead_nowhere() {
    let mut pool = Pool::new();
    let (mut alice, mut bob) = two(&mut pool, 0, 0);
    let draft = alice.invite(TO_BOB).with("Route", "<sip:10.66.66.66;lr>");
    let (_, answers) = alice.try_ask(&mut pool, draft);
    assert_eq!(statuses(&answers), [404]);
    let mut draft = alice.request("BYE", "sip:bob@10.20.2.2:5060");
    draft.set("To", "<sip:bob@contoso.example>;tag=x");
    draft.push("Route", "<sip:ZAAAAAAAAAAAAAAAAAAAAAAA@192.0.2.20:5060;lr>");
    let mut stranger = Agent::udp("mallory@contoso.example", "10.20.9.9:5060");
    stranger.send(&mut pool, &draft);
    assert_eq!(statuses(&stranger.heard(&mut pool)), [407]);
    assert!(bob.heard(&mut pool).is_empty());
}
