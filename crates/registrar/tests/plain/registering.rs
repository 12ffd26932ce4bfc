//! REGISTER: who may, what is bound, for how long, and what is said of it.

use std::time::Duration;

use registrar::{DigestOffer, Exchange, PlainSip, events};
use sip::Message;
use sip::digest::{Challenge, Hash, Login};

use crate::harness::{ALICE, Agent, BOB, DOMAIN, PASSWORD, Pool, Way, registered, setup};

fn contacts(ok: &Message) -> Vec<String> {
    ok.headers("Contact").map(str::to_owned).collect()
}

fn statuses(answers: &[Message]) -> Vec<u16> {
    answers.iter().filter_map(Message::status).collect()
}

#[test]
fn a_user_agent_registers_over_every_carrier() {
    let mut pool = Pool::new();
    registered(&mut pool, Agent::udp(ALICE, "10.20.2.1:5060"));
    for port in [5060, 5061, 5066, 7443] {
        let agent = Agent::on(&mut pool, port, ALICE);
        registered(&mut pool, agent);
    }
    let bound = pool.registrar.bindings(ALICE, pool.now);
    assert_eq!(bound.len(), 5);
    assert_eq!(pool.count(events::REGISTERED), 5);
}

#[test]
fn a_challenge_offers_sha_256_before_md5() {
    let mut pool = Pool::new();
    let mut desk = Agent::udp(ALICE, "10.20.2.1:5060");
    let draft = desk.register();
    desk.send(&mut pool, &draft);
    let answer = desk.hear(&mut pool);
    assert_eq!(answer.status(), Some(401));
    let offers: Vec<Challenge> =
        answer.headers("WWW-Authenticate").map(|value| Challenge::parse(value).unwrap()).collect();
    let hashes: Vec<Hash> = offers.iter().map(|offer| offer.algorithm.hash).collect();
    assert_eq!(hashes, [Hash::Sha256, Hash::Md5]);
    assert!(offers.iter().all(|offer| offer.realm == DOMAIN && offer.qop.len() == 2 && !offer.stale));
}

#[test]
fn a_pool_that_offers_md5_alone_asks_for_nothing_else() {
    let mut setup = setup();
    setup.plain_sip = Some(PlainSip { digest: DigestOffer::Md5, ..PlainSip::USUAL });
    let mut pool = Pool::of(setup);
    let mut desk = Agent::udp(ALICE, "10.20.2.1:5060");
    let draft = desk.register();
    desk.send(&mut pool, &draft);
    let answer = desk.hear(&mut pool);
    assert_eq!(answer.headers("WWW-Authenticate").count(), 1);
    registered(&mut pool, desk);
}

#[test]
fn a_proof_for_the_pools_address_counts_and_one_for_elsewhere_does_not() {
    let mut pool = Pool::new();
    let mut desk = registered(&mut pool, Agent::udp(ALICE, "10.20.2.1:5060"));
    for (uri, status) in [("sip:192.0.2.20:5060", 200), ("sip:elsewhere.example", 400)] {
        let mut draft = desk.register();
        let asked = sip::digest::Asked { method: "REGISTER", uri, body: b"" };
        for (name, value) in desk.login.answer(&asked) {
            draft.push(name, &value);
        }
        desk.send(&mut pool, &draft);
        assert_eq!(desk.hear(&mut pool).status(), Some(status), "{uri}");
    }
}

#[test]
fn strangers_learn_nothing_about_who_is_known() {
    let mut pool = Pool::new();
    let mut said = Vec::new();
    // A wrong password, nobody, and an account without a password.
    for (user, password) in
        [(ALICE, "guess"), ("nobody@contoso.example", "guess"), ("lobby@contoso.example", "")]
    {
        let mut agent = Agent::udp(user, "10.20.2.1:5060");
        let login = agent.login.login().clone();
        agent.login = sip::digest::Client::new(Login { password: password.to_owned(), ..login });
        let draft = agent.register();
        let (_, answers) = agent.try_ask(&mut pool, draft);
        let names: Vec<String> = answers[0].all_headers().map(|(name, _)| name.to_owned()).collect();
        said.push((statuses(&answers), names));
    }
    assert_eq!(said[0].0, [401]);
    assert!(said.windows(2).all(|two| two[0] == two[1]), "{said:?}");
    assert!(!pool.registrar.is_registered(ALICE, pool.now));
}

#[test]
fn a_proof_counts_once_and_a_nonce_not_for_ever() {
    let mut pool = Pool::new();
    let mut desk = registered(&mut pool, Agent::udp(ALICE, "10.20.2.1:5060"));
    let draft = desk.register();
    let proved = desk.prove(draft.clone());
    desk.send(&mut pool, &proved);
    assert_eq!(desk.hear(&mut pool).status(), Some(200));
    // The same proof in another transaction.
    let mut replayed = proved.clone();
    replayed.set("Via", "SIP/2.0/UDP 10.20.2.1:5060;branch=z9hG4bKother;rport");
    desk.send(&mut pool, &replayed);
    let answer = desk.hear(&mut pool);
    assert_eq!(answer.status(), Some(401));
    assert!(answer.header("WWW-Authenticate").unwrap().contains("stale=true"));
    // Six minutes later the nonce is too old, and the client finds out without asking anybody.
    pool.pass(Duration::from_secs(360));
    let draft = desk.register();
    let (_, answers) = desk.try_ask(&mut pool, draft);
    assert_eq!(statuses(&answers), [200]);
    // After a restart as well.
    pool.restart();
    let draft = desk.register();
    let (_, answers) = desk.try_ask(&mut pool, draft);
    assert_eq!(statuses(&answers), [200]);
}

#[test]
fn a_repeated_datagram_gets_the_same_answer_and_changes_nothing() {
    let mut pool = Pool::new();
    let mut desk = registered(&mut pool, Agent::udp(ALICE, "10.20.2.1:5060"));
    let draft = desk.register();
    let proved = desk.prove(draft);
    let sent = desk.send(&mut pool, &proved);
    let first = desk.hear(&mut pool);
    for _ in 0..3 {
        pool.pass(Duration::from_millis(500));
        pool.send(desk.way, sent.as_bytes().clone());
        assert_eq!(desk.hear(&mut pool).as_bytes(), first.as_bytes());
    }
    assert_eq!(pool.count(events::REGISTRATION_REFRESHED), 1);
}

#[test]
fn bindings_are_listed_with_what_is_left_and_end_each_in_its_time() {
    let mut pool = Pool::new();
    let mut desk = Agent::udp(ALICE, "10.20.2.1:5060");
    desk.contact = "<sip:alice@10.20.2.1:5060>;q=0.7;expires=120, <sip:alice@10.20.2.1:5070>".to_owned();
    let draft = desk.register().with("Expires", "300");
    let ok = desk.ask(&mut pool, draft);
    assert_eq!(
        contacts(&ok),
        ["<sip:alice@10.20.2.1:5060>;q=0.7;expires=120", "<sip:alice@10.20.2.1:5070>;expires=300"]
    );
    assert_eq!(ok.header("Date"), Some("Tue, 09 Oct 2018 09:00:01 GMT"));
    pool.pass(Duration::from_secs(100));
    let ask = desk.request("REGISTER", "sip:contoso.example");
    let ok = desk.ask(&mut pool, ask);
    assert_eq!(
        contacts(&ok),
        ["<sip:alice@10.20.2.1:5060>;q=0.7;expires=20", "<sip:alice@10.20.2.1:5070>;expires=200"]
    );
    pool.pass(Duration::from_secs(20));
    assert_eq!(pool.registrar.bindings(ALICE, pool.now).len(), 1);
    assert_eq!(pool.count(events::BINDING_EXPIRED), 1);
    // One that means the same address refreshes it.
    desk.contact = "<sip:alice@10.20.2.1:5070;ob=1>;expires=60".to_owned();
    let draft = desk.register();
    assert_eq!(contacts(&desk.ask(&mut pool, draft)).len(), 1);
    desk.contact = "<sip:alice@10.20.2.1:5070>;expires=0".to_owned();
    let draft = desk.register();
    assert_eq!(contacts(&desk.ask(&mut pool, draft)).len(), 0);
    assert!(!pool.registrar.is_registered(ALICE, pool.now));
}

#[test]
fn a_star_ends_everything_and_only_with_expires_0() {
    let mut pool = Pool::new();
    registered(&mut pool, Agent::udp(ALICE, "10.20.2.1:5060"));
    let mut desk = registered(&mut pool, Agent::udp(ALICE, "10.20.2.2:5060"));
    desk.contact = "*".to_owned();
    for (expires, status) in [(None, 400), (Some("60"), 400), (Some("0"), 200)] {
        assert_eq!(pool.registrar.bindings(ALICE, pool.now).len(), 2);
        let mut draft = desk.register();
        if let Some(expires) = expires {
            draft.push("Expires", expires);
        }
        let answer = desk.ask(&mut pool, draft);
        assert_eq!(answer.status(), Some(status), "{expires:?}");
    }
    assert!(!pool.registrar.is_registered(ALICE, pool.now));
    let draft = desk.register().with("Contact", "<sip:alice@10.20.2.2>").with("Expires", "0");
    desk.send_raw(&mut pool, &draft);
    assert_eq!(desk.hear(&mut pool).status(), Some(400), "a * beside an address");
}

#[test]
fn too_brief_too_late_and_too_many_are_refused_as_a_whole() {
    let mut pool = Pool::new();
    let mut desk = registered(&mut pool, Agent::udp(ALICE, "10.20.2.1:5060"));
    let own = desk.contact.clone();
    desk.contact = format!("<sip:other@10.20.2.1:5999>, {own};expires=59");
    let draft = desk.register();
    let answer = desk.ask(&mut pool, draft);
    assert_eq!((answer.status(), answer.header("Min-Expires")), (Some(423), Some("60")));
    assert_eq!(pool.registrar.bindings(ALICE, pool.now).len(), 1);
    // An older number of the same Call-ID.
    desk.contact = own;
    let mut late = desk.register();
    late.set("CSeq", "1 REGISTER");
    let late = desk.prove(late);
    desk.send(&mut pool, &late);
    assert_eq!(desk.hear(&mut pool).status(), Some(500));
    // Another Call-ID begins anew.
    desk.call_id = "another".to_owned();
    desk.cseq = 0;
    let draft = desk.register();
    assert_eq!(desk.ask(&mut pool, draft).status(), Some(200));
    let nine: Vec<String> = (0..9).map(|port| format!("<sip:alice@10.20.2.1:{}>", 6000 + port)).collect();
    desk.contact = nine.join(", ");
    let draft = desk.register();
    assert_eq!(desk.ask(&mut pool, draft).status(), Some(403));
    for (contact, status) in [
        ("<mailto:alice@contoso.example>", 400),
        ("<sip:alice@10.20.2.1?Route=x>", 400),
        ("<sip:alice@10.20.2.1>;q=7", 400),
    ] {
        desk.contact = contact.to_owned();
        let draft = desk.register();
        assert_eq!(desk.ask(&mut pool, draft).status(), Some(status), "{contact}");
    }
    desk.contact = "<sip:alice@10.20.2.1:5060>;expires=999999999999".to_owned();
    let draft = desk.register();
    let ok = desk.ask(&mut pool, draft);
    assert!(contacts(&ok).contains(&"<sip:alice@10.20.2.1:5060>;expires=7200".to_owned()), "{ok:?}");
}

#[test]
fn nobody_registers_for_somebody_else() {
    let mut pool = Pool::new();
    let mut desk = Agent::udp(ALICE, "10.20.2.1:5060");
    let mut draft = desk.register();
    draft.set("To", &format!("<sip:{BOB}>"));
    assert_eq!(desk.ask(&mut pool, draft).status(), Some(403));
    assert!(!pool.registrar.is_registered(BOB, pool.now));
    let elsewhere = desk.request("REGISTER", "sip:other.example").with("Contact", "<sip:a@10.20.2.1>");
    assert_eq!(desk.ask(&mut pool, elsewhere).status(), Some(404));
    let mut draft = desk.register();
    draft.push("Require", "path, 100rel, timer");
    let answer = desk.ask(&mut pool, draft);
    assert_eq!((answer.status(), answer.header("Unsupported")), (Some(420), Some("100rel, timer")));
    // By the pool's name or address, and with the whole address as user name, it is the same pool.
    for uri in ["sip:fe.contoso.example", "sip:192.0.2.20"] {
        let contact = desk.contact.clone();
        let mut draft = desk.request("REGISTER", uri).with("Contact", contact);
        draft.set("To", "<sip:alice@192.0.2.20>");
        assert_eq!(desk.ask(&mut pool, draft).status(), Some(200), "{uri}");
    }
    let login = Login { user: ALICE.to_owned(), ..desk.login.login().clone() };
    desk.login = sip::digest::Client::new(login);
    let draft = desk.register();
    assert_eq!(desk.ask(&mut pool, draft).status(), Some(200));
}

#[test]
fn the_200_waits_for_the_disk_and_a_restart_forgets_no_binding() {
    let mut pool = Pool::new();
    let mut desk = registered(&mut pool, Agent::udp(BOB, "10.20.2.2:5060"));
    pool.is_disk_stuck = true;
    desk.contact = "<sip:bob@10.20.2.2:5062>;q=0.5".to_owned();
    let draft = desk.register();
    let (sent, answers) = desk.try_ask(&mut pool, draft);
    assert!(answers.is_empty(), "{answers:?}");
    pool.send(desk.way, sent.as_bytes().clone());
    assert!(desk.heard(&mut pool).is_empty(), "nor is the repeated request answered");
    pool.flush();
    let ok = desk.hear(&mut pool);
    assert_eq!(ok.status(), Some(200));
    pool.restart();
    let bound = pool.registrar.bindings(BOB, pool.now);
    let held: Vec<&str> = bound.iter().map(|held| held.contact.as_str()).collect();
    assert_eq!(held, ["sip:bob@10.20.2.2:5060;transport=udp", "sip:bob@10.20.2.2:5062"]);
    assert_eq!(bound[1].plain.as_ref().map(|plain| plain.q), Some(500));
}

#[test]
fn answers_go_where_the_datagram_came_from_and_say_so() {
    let mut pool = Pool::new();
    // Behind address translation: it thinks that it is 192.168.1.2.
    let mut desk = Agent::udp(ALICE, "10.20.2.1:40123");
    desk.sent_by = "192.168.1.2:5060".to_owned();
    desk.contact = "<sip:alice@192.168.1.2:5060>".to_owned();
    let draft = desk.register();
    let ok = desk.ask(&mut pool, draft);
    let via = ok.via();
    assert_eq!((via.params.get("rport"), via.received()), (Some("40123"), Some("10.20.2.1")));
    // Without rport an answer goes to the port in the Via (RFC 3261 §18.2.2).
    let mut options = desk.request("OPTIONS", "sip:contoso.example");
    options.set("Via", "SIP/2.0/UDP 10.20.2.1:5090;branch=z9hG4bKx");
    desk.send(&mut pool, &options);
    let answers = pool.messages(Way::Udp("10.20.2.1:5090".parse().unwrap()));
    assert_eq!(statuses(&answers), [200]);
}

#[test]
fn outbound_flows_are_kept_apart_and_told_of() {
    let mut pool = Pool::new();
    let instance = "+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\"";
    let mut oks = Vec::new();
    for (number, port) in [(1, 5060), (2, 5061), (1, 5060)] {
        let mut desk = Agent::on(&mut pool, port, ALICE);
        desk.contact = format!("<sip:alice@10.20.2.1;transport=tcp>;{instance};reg-id={number}");
        let draft = desk.register().with("Supported", "path, outbound");
        oks.push(desk.ask(&mut pool, draft));
    }
    assert_eq!(oks[0].header("Require"), Some("outbound"));
    assert_eq!(oks[0].header("Flow-Timer"), Some("120"));
    assert_eq!(contacts(&oks[2]).len(), 2, "the third is the first again: {:?}", contacts(&oks[2]));
    // Through a proxy that does not keep flows.
    let mut desk = Agent::on(&mut pool, 5060, ALICE);
    desk.contact = format!("<sip:alice@10.20.2.1>;{instance};reg-id=3");
    let mut draft = desk.register().with("Supported", "path, outbound");
    draft.push("Via", "SIP/2.0/TCP 10.9.9.9;branch=z9hG4bKfirst");
    draft.push("Path", "<sip:10.20.3.60;lr>");
    assert_eq!(desk.ask(&mut pool, draft.clone()).status(), Some(439));
    draft.set("Path", "<sip:10.20.3.60;lr;ob>");
    let ok = desk.ask(&mut pool, draft);
    assert_eq!((ok.status(), ok.header("Path")), (Some(200), Some("<sip:10.20.3.60;lr;ob>")));
}

#[test]
fn pings_are_answered_on_streams_and_keep_a_registered_one_open() {
    let mut pool = Pool::new();
    for port in [5060, 5061, 5066] {
        let fresh = Agent::on(&mut pool, port, ALICE);
        let desk = registered(&mut pool, fresh);
        pool.octets(desk.way);
        pool.send(desk.way, &b"\r\n\r\n"[..]);
        assert_eq!(pool.octets(desk.way), [&b"\r\n"[..]], "{port}");
    }
    // A registration lives two hours, and so does its connection.
    pool.pass(Duration::from_secs(7_100));
    assert!(pool.closed.is_empty(), "{:?}", pool.closed);
    // A stranger's does not.
    pool.connect(5060, "10.20.9.9:40000");
    pool.pass(Duration::from_secs(200));
    assert_eq!(pool.closed.len(), 1);
}

#[test]
fn a_strict_pool_takes_some_good_proofs_for_stale_and_grants_half() {
    let mut strict = setup();
    strict.strict = true;
    let mut pool = Pool::of(strict);
    let mut desk = Agent::udp(ALICE, "10.20.2.1:5060");
    let mut doubted = 0;
    for _ in 0..100 {
        let draft = desk.register().with("Expires", "600");
        let first = desk.prove(draft.clone());
        let sent = desk.send(&mut pool, &first);
        let answer = desk.hear(&mut pool);
        match answer.status() {
            Some(200) => {
                assert!(answer.header("Contact").unwrap().ends_with(";expires=300"));
                desk.login.accepted(&answer, &sent, &mut desk.random);
            }
            _ => {
                doubted += usize::from(answer.header("WWW-Authenticate").unwrap().contains("stale=true"));
                desk.login.challenged(&answer, &sent, &mut desk.random).unwrap();
            }
        }
    }
    assert!((1..20).contains(&doubted), "{doubted}");
}

#[test]
fn administrators_reach_ordinary_user_agents_too() {
    let mut pool = Pool::new();
    let mut desk = registered(&mut pool, Agent::udp(ALICE, "10.20.2.1:5060"));
    pool.administer(|pool, now, out| pool.disable(ALICE, now, out));
    assert!(!pool.registrar.is_registered(ALICE, pool.now));
    let draft = desk.register();
    assert_eq!(desk.ask(&mut pool, draft).status(), Some(403));
    pool.administer(|pool, now, out| pool.enable(ALICE, now, out));
    pool.administer(|pool, now, out| pool.set_password(ALICE, "another", now, out));
    let draft = desk.register();
    assert_eq!(desk.ask(&mut pool, draft).status(), Some(401));
    let login = Login { password: "another".to_owned(), ..desk.login.login().clone() };
    assert_ne!(login.password, PASSWORD);
    desk.login = sip::digest::Client::new(login);
    let draft = desk.register();
    assert_eq!(desk.ask(&mut pool, draft).status(), Some(200));
    pool.administer(|pool, _, _| pool.answer_next(Exchange::Register, 1, 503));
    let draft = desk.register();
    let answer = desk.ask(&mut pool, draft);
    assert_eq!((answer.status(), answer.header("Retry-After").is_some()), (Some(503), true));
}

#[test]
fn the_pool_itself_answers_options_and_nothing_else() {
    let mut pool = Pool::new();
    let mut desk = Agent::udp(ALICE, "10.20.2.1:5060");
    for (method, status) in [("OPTIONS", 200), ("SUBSCRIBE", 489), ("INFO", 405), ("PUBLISH", 405)] {
        let draft = desk.request(method, "sip:contoso.example");
        desk.send(&mut pool, &draft);
        let answer = desk.hear(&mut pool);
        assert_eq!(answer.status(), Some(status), "{method}");
        assert_eq!(answer.header("Allow").is_some(), matches!(status, 200 | 405), "{method}");
        assert_eq!(answer.header("Allow-Events").is_some(), status == 489, "{method}");
    }
    let draft = desk.request("BYE", "sip:contoso.example");
    let mut draft = draft;
    draft.set("To", "<sip:contoso.example>;tag=gone");
    desk.send(&mut pool, &draft);
    assert_eq!(desk.hear(&mut pool).status(), Some(481));
    let draft = desk.request("OPTIONS", "http://contoso.example/");
    desk.send(&mut pool, &draft);
    assert_eq!(desk.hear(&mut pool).status(), Some(416));
}
