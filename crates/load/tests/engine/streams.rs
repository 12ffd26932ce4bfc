//! Over TCP and TLS.

use std::net::TcpListener;
use std::time::Duration;

use load::plan::{KeepAlive, KeepAliveBy, Plan, Stage, Target, TlsRules, Transport, Weighted, Work};
use load::{Cause, Kind};
use sip::digest::Algorithm;

use super::connections::{NAME, tls};
use super::judge::{Manner, Told};
use super::play::{Outcome, plan, play, rate};
use super::reflector::Reflector;

/// A reflector and a plan for it with 30 phones that does nothing yet.
fn prepared(transport: Transport, manner: Manner) -> (Reflector, Plan) {
    let (configuration, root) = tls(3);
    let is_tls = transport == Transport::Tls;
    let reflector = Reflector::stream("127.0.0.1:0", manner, is_tls.then_some(configuration));
    let mut plan = plan(reflector.address, transport, 30);
    if let (true, Target::Server(server)) = (is_tls, &mut plan.target) {
        server.tls = Some(TlsRules { server_name: NAME.to_owned(), roots: Some(root) });
    }
    (reflector, plan)
}

fn settled(reflector: Reflector) -> Told {
    let told = reflector.end();
    assert_eq!(told.complaints, [""; 0]);
    told
}

/// Work that found no phone idle, which a slow machine may have.
fn busy(outcome: &Outcome) -> u64 {
    outcome.all.failed.get(&Cause::NO_IDLE_PHONE).copied().unwrap_or(0)
}

const BOTH: [Transport; 2] = [Transport::Tcp, Transport::Tls];

#[test]
fn each_phone_keeps_one_connection_and_its_challenge() {
    for transport in BOTH {
        let manner = Manner { asks: Some(Algorithm::MD5), is_trying: true, ..Manner::default() };
        let (reflector, mut plan) = prepared(transport, manner);
        plan.profile = vec![rate(300.0, Duration::from_millis(500))];
        let outcome = play(&plan, 2);
        let told = settled(reflector);
        let all = &outcome.all;
        assert_eq!(all.succeeded + busy(&outcome), outcome.expected, "{:?}", all.failed);
        let phones = told.granted.len() as u64;
        assert_eq!((all.connections, told.connections, told.challenges), (phones, phones, phones));
        assert_eq!(all.handshakes, if transport == Transport::Tls { phones } else { 0 });
        assert_eq!((outcome.gauges.connected, outcome.gauges.registered), (phones, phones));
        assert_eq!((all.sent, all.retransmissions, all.strays), (told.received, 0, 0));
        assert_eq!(all.received, told.answers, "each 100 counts too");
    }
}

#[test]
fn work_that_closes_opens_a_connection_each_time() {
    for transport in BOTH {
        let (reflector, mut plan) = prepared(transport, Manner::default());
        plan.work =
            vec![Weighted { weight: 1, work: Work::Register { forget_challenge: false, close: true } }];
        plan.profile = vec![rate(200.0, Duration::from_millis(300))];
        let outcome = play(&plan, 1);
        let told = settled(reflector);
        let all = &outcome.all;
        assert_eq!(all.succeeded + busy(&outcome), outcome.expected, "{:?}", all.failed);
        assert_eq!((all.connections, told.connections), (all.succeeded, all.succeeded));
        assert_eq!((outcome.gauges.connected, outcome.gauges.registered), (0, 0));
        let of_refresh = all.latency.get(&Kind::Refresh).map_or(0, |it| it.histogram().len());
        assert_eq!(of_refresh, 0, "whoever has no connection has no binding to refresh");
    }
}

#[test]
fn a_connection_that_breaks_fails_the_work_on_it_and_no_other() {
    for transport in BOTH {
        let (reflector, mut plan) = prepared(transport, Manner { closes: 4, ..Manner::default() });
        plan.profile = vec![rate(300.0, Duration::from_millis(500))];
        let outcome = play(&plan, 1);
        let told = settled(reflector);
        let all = &outcome.all;
        assert!(told.closed > 0);
        assert_eq!(all.failed.get(&Cause::RESET).copied(), Some(told.closed));
        assert_eq!(all.succeeded + told.closed + busy(&outcome), outcome.expected, "{:?}", all.failed);
        assert_eq!(told.connections, all.connections);
    }
}

#[test]
fn a_storm_over_tls_loses_nobody() {
    let (reflector, mut plan) = prepared(Transport::Tls, Manner::default());
    plan.phones.count = 150;
    let boot = Duration::from_millis(200);
    plan.profile = vec![Stage::BootStorm { boot, jitter: boot / 3, over: boot * 2 }];
    let outcome = play(&plan, 2);
    let told = settled(reflector);
    assert_eq!((outcome.all.succeeded, outcome.gauges.registered), (150, 150));
    assert_eq!((outcome.all.handshakes, told.granted.len()), (150, 150));
}

#[test]
fn where_nobody_listens_the_connection_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("bound");
    drop(listener);
    let mut plan = plan(at, Transport::Tcp, 30);
    plan.profile = vec![rate(300.0, Duration::from_millis(200))];
    let outcome = play(&plan, 1);
    assert_eq!(outcome.all.failed, [(Cause::REFUSED, outcome.expected)].into());
    assert_eq!((outcome.all.connections, outcome.gauges.connected), (0, 0));
}

#[test]
fn a_server_whose_certificate_is_for_another_is_refused_in_so_many_words() {
    for (name, root, word) in [("fabrikam.example", true, "name"), (NAME, false, "issuer")] {
        let (reflector, mut plan) = prepared(Transport::Tls, Manner::default());
        if let Target::Server(server) = &mut plan.target
            && let Some(rules) = &mut server.tls
        {
            rules.server_name = name.to_owned();
            if !root {
                // A root of the same name with another key.
                rules.roots = Some(tls(4).1);
            }
        }
        plan.profile = vec![rate(200.0, Duration::from_millis(200))];
        let outcome = play(&plan, 1);
        let told = settled(reflector);
        let failed = &outcome.all.failed;
        assert_eq!((failed.len(), outcome.all.succeeded, told.received), (1, 0, 0), "{failed:?}");
        let (cause, count) = failed.first_key_value().expect("one");
        assert!(cause.as_str().starts_with("TLS: "), "{word}: {cause}");
        assert_eq!(*count, outcome.expected);
    }
}

#[test]
fn signs_of_life_are_answered_over_connections() {
    for by in [KeepAliveBy::Crlf, KeepAliveBy::Options] {
        let (reflector, mut plan) = prepared(Transport::Tls, Manner::default());
        plan.phones.keep_alive = Some(KeepAlive { by, every: Duration::from_millis(200) });
        let boot = Duration::from_millis(50);
        plan.profile = vec![
            Stage::BootStorm { boot, jitter: Duration::ZERO, over: boot * 2 },
            Stage::Quiet { over: Duration::from_millis(800) },
        ];
        let outcome = play(&plan, 1);
        let told = settled(reflector);
        let all = &outcome.all;
        assert_eq!(all.failures(), 0, "{:?}", all.failed);
        let alive = all.latency.get(&Kind::KeepAlive).map_or(0, |it| it.histogram().len());
        assert!(alive >= 30, "{alive}");
        assert_eq!(told.pings, if by == KeepAliveBy::Crlf { alive } else { 0 });
    }
}

#[test]
fn a_nat_that_forgets_leaves_a_connection_silent() {
    let (reflector, mut plan) = prepared(Transport::Tcp, Manner::default());
    plan.phones.count = 5;
    plan.network.nat_idle = Some(Duration::from_millis(300));
    plan.drain = Duration::from_millis(100);
    let storm =
        Stage::BootStorm { boot: Duration::ZERO, jitter: Duration::ZERO, over: Duration::from_millis(50) };
    plan.profile = vec![storm.clone(), Stage::Quiet { over: Duration::from_millis(800) }, storm];
    let outcome = play(&plan, 1);
    let told = settled(reflector);
    // Nobody told the phones: they wait for answers to what went nowhere.
    assert_eq!((outcome.all.succeeded, outcome.all.unfinished), (5, 5));
    assert_eq!((told.received, told.connections), (5, 5));
}
