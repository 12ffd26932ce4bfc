//! Over UDP.

use std::time::Duration;

use load::plan::{Accounts, KeepAlive, KeepAliveBy, Network, Sockets, Stage, Transport, Weighted, Work};
use load::{Cause, Kind};
use sip::digest::Algorithm;

use super::judge::{Manner, Told};
use super::play::{Outcome, REGISTER, plan, play, rate};
use super::reflector::Reflector;

const SECOND: Duration = Duration::from_secs(1);

/// Registrations at 500 a second for so many milliseconds by 40 phones in two parts.
fn registrations(manner: Manner, ms: u64) -> (Outcome, Told) {
    let reflector = Reflector::udp("127.0.0.1:0", manner);
    let mut plan = plan(reflector.address, Transport::Udp, 400);
    plan.profile = vec![rate(500.0, Duration::from_millis(ms))];
    let outcome = play(&plan, 2);
    (outcome, settled(reflector))
}

fn settled(reflector: Reflector) -> Told {
    let told = reflector.end();
    assert_eq!(told.complaints, [""; 0]);
    told
}

/// What must be so whatever the machine did: a machine that stops for half a second has phones ask again.
fn each_was_answered_once(outcome: &Outcome, told: &Told) {
    let all = &outcome.all;
    assert_eq!(all.offered, outcome.expected);
    assert_eq!(all.succeeded, all.offered, "no false failure: {:?}", all.failed);
    assert_eq!(all.sent, told.received);
    assert_eq!(all.retransmissions, all.sent - told.distinct);
    assert_eq!(
        all.retransmissions,
        told.dropped + told.repeated,
        "each repeat is for a drop or came too early"
    );
    // Answers that nobody waits for may be on their way when the run ends.
    assert_eq!(all.received, told.distinct + all.strays);
    assert!(all.received <= told.answers);
}

#[test]
fn every_registration_is_offered_when_the_plan_says_and_answered_once() {
    let (outcome, told) = registrations(Manner::default(), 400);
    each_was_answered_once(&outcome, &told);
    assert_eq!(told.distinct, outcome.all.offered);
    assert_eq!(outcome.gauges.registered, told.granted.len() as u64);
    let kinds: Vec<Kind> = outcome.all.latency.keys().copied().collect();
    assert!(kinds.starts_with(&[Kind::Register]), "{kinds:?}");
}

#[test]
fn each_request_that_is_not_answered_is_sent_again() {
    let (outcome, told) = registrations(Manner { drops: 5, ..Manner::default() }, 200);
    each_was_answered_once(&outcome, &told);
    assert!(told.dropped >= outcome.all.offered / 5);
    assert!(outcome.took().0 >= SECOND / 2, "one that was dropped took timer E at least");
}

#[test]
fn a_second_answer_counts_as_a_stray_and_nothing_else() {
    let (outcome, told) = registrations(Manner { doubles: true, ..Manner::default() }, 300);
    let all = &outcome.all;
    assert_eq!((all.succeeded, all.failures()), (outcome.expected, 0));
    assert_eq!(all.received, told.distinct + all.strays);
    assert!(all.strays > 0 && all.received <= told.answers);
}

#[test]
fn answers_that_are_later_than_timer_e_are_success_and_took_that_long() {
    let late = Duration::from_millis(700);
    let (outcome, told) = registrations(Manner { late, ..Manner::default() }, 100);
    let all = &outcome.all;
    assert_eq!((all.succeeded, all.failures()), (outcome.expected, 0));
    assert!(all.retransmissions >= all.offered, "each was repeated at 500 ms");
    assert_eq!(all.sent, told.received);
    assert!(outcome.took().1 >= late.mul_f64(0.999), "{:?}", outcome.took());
}

#[test]
fn who_is_asked_for_a_proof_gives_it_and_keeps_the_challenge() {
    for algorithm in Algorithm::ALL {
        let reflector = Reflector::udp("127.0.0.1:0", Manner { asks: Some(algorithm), ..Manner::default() });
        let mut plan = plan(reflector.address, Transport::Udp, 10);
        plan.profile = vec![rate(500.0, Duration::from_millis(100))];
        let outcome = play(&plan, 1);
        let told = settled(reflector);
        let all = &outcome.all;
        // Phones that are busy when work falls due are a cause of their own; nothing else may fail.
        let busy = all.failed.get(&Cause::NO_IDLE_PHONE).copied().unwrap_or(0);
        assert_eq!(all.succeeded + busy, all.offered, "{algorithm:?}: {:?}", all.failed);
        assert_eq!(all.challenges, told.challenges);
        assert_eq!(told.challenges, told.granted.len() as u64, "each phone is asked once");
        assert_eq!(told.granted.values().sum::<u64>(), all.succeeded);
    }
}

#[test]
fn stale_nonces_and_forgotten_ones_cost_a_round_trip_and_no_failure() {
    let manner = Manner { asks: Some(Algorithm::MD5), nonce_uses: 2, ..Manner::default() };
    let reflector = Reflector::udp("127.0.0.1:0", manner);
    let mut plan = plan(reflector.address, Transport::Udp, 50);
    plan.profile = vec![rate(500.0, Duration::from_millis(500))];
    let outcome = play(&plan, 1);
    let told = settled(reflector);
    assert_eq!(outcome.all.failures(), 0, "{:?}", outcome.all.failed);
    assert!(told.challenges > told.granted.len() as u64 && outcome.all.challenges == told.challenges);

    let reflector =
        Reflector::udp("127.0.0.1:0", Manner { asks: Some(Algorithm::SHA_256), ..Manner::default() });
    let mut plan = super::play::plan(reflector.address, Transport::Udp, 50);
    plan.work = vec![Weighted { weight: 1, work: Work::Register { forget_challenge: true, close: false } }];
    plan.profile = vec![rate(500.0, Duration::from_millis(300))];
    let outcome = play(&plan, 1);
    let told = settled(reflector);
    assert_eq!(outcome.all.failures(), 0, "{:?}", outcome.all.failed);
    assert_eq!((outcome.all.challenges, told.challenges), (outcome.all.offered, outcome.all.offered));
}

#[test]
fn who_does_not_know_the_password_is_refused_in_so_many_words() {
    for (password, cause) in [(Some("guessed"), Cause::CHALLENGED_AGAIN), (None, Cause::UNANSWERABLE)] {
        let reflector =
            Reflector::udp("127.0.0.1:0", Manner { asks: Some(Algorithm::MD5), ..Manner::default() });
        let mut plan = plan(reflector.address, Transport::Udp, 100);
        plan.phones.accounts =
            Accounts::Pattern { user: "u{n}".to_owned(), password: password.map(str::to_owned) };
        plan.profile = vec![rate(500.0, Duration::from_millis(100))];
        let outcome = play(&plan, 1);
        settled(reflector);
        assert_eq!(outcome.all.failed, [(cause, outcome.all.offered)].into());
    }
}

#[test]
fn a_refusal_is_a_failure_by_its_status() {
    for status in [403, 423, 500, 503, 600] {
        let (outcome, told) = registrations(Manner { refuses: Some((3, status)), ..Manner::default() }, 100);
        let all = &outcome.all;
        assert_eq!(all.succeeded, told.granted.values().sum::<u64>());
        assert_eq!(all.failed, [(Cause::status(status), all.offered / 3)].into());
    }
}

#[test]
fn what_the_plans_network_loses_is_counted_on_this_side() {
    let reflector = Reflector::udp("127.0.0.1:0", Manner::default());
    let mut plan = plan(reflector.address, Transport::Udp, 300);
    let (delay, jitter) = (Duration::from_millis(20), Duration::from_millis(10));
    plan.network = Network { loss: 0.1, delay, jitter, nat_idle: None };
    plan.profile = vec![rate(500.0, Duration::from_millis(300))];
    let outcome = play(&plan, 1);
    let told = settled(reflector);
    let all = &outcome.all;
    assert_eq!((all.succeeded, all.failures()), (outcome.expected, 0));
    assert!(all.lost_on_purpose > 0 && all.retransmissions > 0);
    // Whatever left on either side arrived, was lost, or was on its way when the run ended.
    assert!(all.sent + told.answers >= told.received + all.received + all.lost_on_purpose);
    let lost_requests = all.sent - told.received;
    assert!(lost_requests <= all.lost_on_purpose);
    assert!(outcome.took().1 >= delay * 2, "{:?}", outcome.took());
}

#[test]
fn a_nat_that_forgets_gives_a_phone_another_port() {
    let reflector = Reflector::udp("127.0.0.1:0", Manner::default());
    let mut plan = plan(reflector.address, Transport::Udp, 5);
    plan.phones.sockets = Sockets::PerPhone;
    plan.network.nat_idle = Some(Duration::from_millis(300));
    let storm =
        Stage::BootStorm { boot: Duration::ZERO, jitter: Duration::ZERO, over: Duration::from_millis(50) };
    plan.profile = vec![storm.clone(), Stage::Quiet { over: Duration::from_millis(800) }, storm];
    let outcome = play(&plan, 1);
    let told = reflector.end();
    assert_eq!((outcome.all.succeeded, outcome.all.failures()), (10, 0));
    // The phones know nothing of it: what they say of themselves is not true any more.
    assert_eq!(told.complaints.len(), 5, "{:?}", told.complaints);
    assert!(told.complaints.iter().all(|it| it.contains(" came from ")), "{:?}", told.complaints);
}

#[test]
fn where_nobody_answers_work_is_left_open() {
    // Bound and never read, so that nobody else is there.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut plan = plan(silent.local_addr().expect("bound"), Transport::Udp, 100);
    plan.profile = vec![rate(300.0, Duration::from_millis(200))];
    plan.drain = Duration::from_millis(50);
    let outcome = play(&plan, 2);
    assert_eq!((outcome.all.offered, outcome.all.unfinished), (outcome.expected, outcome.expected));
    assert_eq!(outcome.gauges.in_flight, 0);
}

#[test]
fn phones_that_are_all_busy_are_the_generators_own_fault() {
    let late = Duration::from_millis(150);
    let reflector = Reflector::udp("127.0.0.1:0", Manner { late, ..Manner::default() });
    let mut plan = plan(reflector.address, Transport::Udp, 2);
    plan.profile = vec![rate(200.0, Duration::from_millis(300))];
    let outcome = play(&plan, 1);
    settled(reflector);
    let all = &outcome.all;
    assert_eq!(all.offered, outcome.expected);
    assert_eq!(all.failed.keys().collect::<Vec<_>>(), [&Cause::NO_IDLE_PHONE]);
    assert!(all.succeeded >= 2);
}

#[test]
fn in_a_boot_storm_each_phone_registers_once() {
    let reflector = Reflector::udp("127.0.0.1:0", Manner::default());
    let mut plan = plan(reflector.address, Transport::Udp, 301);
    plan.phones.sockets = Sockets::PerPhone;
    let boot = Duration::from_millis(300);
    plan.profile = vec![Stage::BootStorm { boot, jitter: boot / 4, over: boot * 2 }];
    let outcome = play(&plan, 2);
    let told = settled(reflector);
    assert_eq!((outcome.all.succeeded, outcome.gauges.registered), (301, 301));
    assert_eq!((told.granted.len(), told.granted.values().sum::<u64>()), (301, 301));
}

#[test]
fn phones_refresh_and_give_signs_of_life_by_themselves_and_leave() {
    for by in [KeepAliveBy::Options, KeepAliveBy::Crlf] {
        let reflector = Reflector::udp("127.0.0.1:0", Manner { grants: 2, ..Manner::default() });
        let mut plan = plan(reflector.address, Transport::Udp, 20);
        plan.phones.refresh = Some(0.25);
        plan.phones.keep_alive = Some(KeepAlive { by, every: Duration::from_millis(300) });
        let boot = Duration::from_millis(100);
        plan.profile = vec![
            Stage::BootStorm { boot, jitter: Duration::ZERO, over: boot * 2 },
            Stage::Quiet { over: Duration::from_millis(1_500) },
        ];
        let outcome = play(&plan, 1);
        let told = settled(reflector);
        let all = &outcome.all;
        assert_eq!(all.failures(), 0, "{:?}", all.failed);
        let of = |kind| all.latency.get(&kind).map_or(0, |it| it.histogram().len());
        assert_eq!(of(Kind::Register), 20);
        // Every 500 ms for 1.6 s, and every 300; a machine that is slow does fewer.
        assert!((20..=60).contains(&of(Kind::Refresh)), "{}", of(Kind::Refresh));
        assert!((20..=110).contains(&of(Kind::KeepAlive)), "{}", of(Kind::KeepAlive));
        assert_eq!(told.pings > 0, by == KeepAliveBy::Crlf);
    }
}

#[test]
fn a_mix_registers_and_takes_back_by_weight() {
    let reflector = Reflector::udp("127.0.0.1:0", Manner::default());
    let mut plan = plan(reflector.address, Transport::Udp, 100);
    plan.work = vec![
        Weighted { weight: 3, work: REGISTER },
        Weighted { weight: 1, work: Work::Unregister },
        Weighted { weight: 0, work: Work::KeepAlive },
    ];
    plan.profile = vec![
        Stage::BootStorm { boot: Duration::ZERO, jitter: Duration::ZERO, over: SECOND / 5 },
        rate(400.0, SECOND / 2),
    ];
    plan.warm_up = SECOND / 5;
    let outcome = play(&plan, 1);
    settled(reflector);
    assert_eq!(outcome.all.failures(), 0, "{:?}", outcome.all.failed);
    assert_eq!((outcome.warm.offered, outcome.warm.succeeded), (100, 100));
    let of = |kind| outcome.all.latency.get(&kind).map_or(0, |it| it.histogram().len());
    let leaving = of(Kind::Unregister);
    assert!(leaving > 0 && leaving == (outcome.expected - 100) / 4, "{leaving}");
    assert_eq!(of(Kind::KeepAlive), 0);
    assert!(outcome.gauges.registered < 100);
}

#[test]
fn a_server_with_an_address_of_version_six_is_reached_from_one() {
    let reflector = Reflector::udp("[::1]:0", Manner::default());
    let mut plan = plan(reflector.address, Transport::Udp, 50);
    plan.profile = vec![rate(300.0, Duration::from_millis(100))];
    let outcome = play(&plan, 1);
    let told = settled(reflector);
    each_was_answered_once(&outcome, &told);
}
