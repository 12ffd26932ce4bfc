//! Phones call each other by a relay that only knows who is where.

mod bench;

use std::time::Duration;

pub use super::way::tests::way;
use super::*;
use bench::{Bench, secs};
use sip::timers::Reliability;

#[test]
fn a_call_rings_is_answered_and_both_hear_each_other() {
    let mut bench = Bench::new(&["alice", "bob"]);
    let call = bench.dial("alice", "bob");
    assert_eq!(bench.states(), ["alice: ring-back bob", "bob: ringing alice"]);
    assert!(bench.view("bob").is_ringing);
    bench.run(secs(5));
    bench.answer("bob");
    bench.run(secs(10));
    assert_eq!(bench.states(), ["alice: connected bob", "bob: connected alice"]);
    assert_eq!(bench.hears("alice"), Some("bob"));
    assert_eq!(bench.hears("bob"), Some("alice"));
    assert_eq!(bench.view("alice").duration.as_secs(), 10);
    bench.act("alice", |calls, hands| calls.end(Some(call), hands));
    assert_eq!(bench.states(), ["alice: ended bob", "bob: ended alice"]);
    assert_eq!(bench.view("bob").duration.as_secs(), 10);
    bench.run(secs(4));
    assert_eq!(bench.states(), Vec::<String>::new());
    bench.run(secs(60));
    assert!(bench.is_all_quiet(), "no timer is left");
    for (who, kind) in [("alice", CallListKind::Placed), ("bob", CallListKind::Received)] {
        let lists = bench.calls(who).lists();
        let record = lists.list(kind).next().expect("it is in the list");
        assert_eq!(record.duration.as_secs(), 10, "{who}");
    }
}

#[test]
fn a_caller_who_gives_up_cancels_and_the_call_is_missed() {
    for reliability in [Reliability::Reliable, Reliability::Unreliable] {
        let mut bench = Bench::over(&["alice", "bob"], reliability);
        bench.dial("alice", "bob");
        bench.run(secs(2));
        bench.hang_up("alice");
        assert_eq!(bench.states(), ["alice: ended bob", "bob: ended alice"]);
        assert_eq!(bench.view("bob").ended, "The caller hung up");
        assert_eq!(bench.calls("bob").lists().list(CallListKind::Missed).count(), 1);
        bench.run(secs(60));
        assert!(bench.is_all_quiet());
    }
}

#[test]
fn a_cancel_that_crosses_the_answer_ends_the_call_with_bye() {
    let mut bench = Bench::new(&["alice", "bob"]);
    bench.dial("alice", "bob");
    bench.run(secs(1));
    // Both act before either hears of it.
    bench.answer_unheard("bob");
    bench.hang_up("alice");
    bench.run(secs(2));
    assert!(bench.sent("alice").contains(&"BYE".to_owned()), "{:?}", bench.sent("alice"));
    bench.run(secs(60));
    assert!(bench.is_all_quiet());
}

#[test]
fn a_caller_is_turned_away_as_busy_or_declined() {
    for (how, shown) in [(Reject::Busy, "Busy"), (Reject::Decline, "Declined")] {
        let mut bench = Bench::new(&["alice", "bob"]);
        bench.dial("alice", "bob");
        bench.act("bob", |calls, hands| calls.reject(None, how, hands));
        assert_eq!(bench.view("alice").ended, shown);
        assert_eq!(bench.calls("bob").lists().list(CallListKind::Missed).count(), 0);
    }
    let mut bench = Bench::new(&["alice", "bob"]);
    bench.settings("bob").do_not_disturb = true;
    bench.dial("alice", "bob");
    assert_eq!(bench.states(), ["alice: ended bob"]);
    assert_eq!(bench.view("alice").ended, "Busy");
    assert_eq!(bench.calls("bob").lists().list(CallListKind::Missed).count(), 1);
}

#[test]
fn an_ignored_call_goes_on_ringing_for_the_caller_until_patience_ends() {
    let mut bench = Bench::new(&["alice", "bob"]);
    bench.dial("alice", "bob");
    bench.act("bob", |calls, hands| calls.ignore(None, hands));
    assert!(!bench.view("bob").is_ringing);
    assert_eq!(bench.view("alice").state, CallState::RingBack);
    bench.run(secs(179));
    assert_eq!(bench.view("alice").state, CallState::RingBack);
    bench.run(secs(2));
    assert_eq!(bench.view("alice").ended, "No answer");
    assert_eq!(bench.calls("bob").lists().list(CallListKind::Missed).count(), 1);
}

#[test]
fn hold_silences_both_ends_and_resume_brings_them_back() {
    let mut bench = Bench::talking(&["alice", "bob"]);
    bench.act("alice", |calls, hands| calls.hold(None, hands));
    bench.run(secs(2));
    assert_eq!(bench.states(), ["alice: holding bob", "bob: held alice"]);
    assert_eq!((bench.hears("alice"), bench.hears("bob")), (None, None));
    // A held call is not dead: its reports tell.
    bench.run(secs(300));
    assert_eq!(bench.states(), ["alice: holding bob", "bob: held alice"]);
    bench.act("bob", |calls, hands| calls.hold(None, hands));
    bench.run(secs(2));
    assert_eq!(bench.states(), ["alice: holding bob", "bob: holding alice"]);
    bench.act("alice", |calls, hands| calls.resume(None, hands));
    bench.run(secs(2));
    assert_eq!(bench.states(), ["alice: held bob", "bob: holding alice"]);
    bench.act("bob", |calls, hands| calls.resume(None, hands));
    bench.run(secs(2));
    assert_eq!(bench.states(), ["alice: connected bob", "bob: connected alice"]);
    assert_eq!((bench.hears("alice"), bench.hears("bob")), (Some("bob"), Some("alice")));
}

#[test]
fn both_hold_at_once_and_glare_is_settled() {
    let mut bench = Bench::talking(&["alice", "bob"]);
    bench.act_unheard("alice", |calls, hands| calls.hold(None, hands));
    bench.act_unheard("bob", |calls, hands| calls.hold(None, hands));
    bench.run(secs(10));
    assert_eq!(bench.states(), ["alice: holding bob", "bob: holding alice"]);
    assert!(bench.answers().contains(&491), "they met");
}

#[test]
fn a_second_caller_waits_and_answering_holds_the_first() {
    let mut bench = Bench::new(&["alice", "bob", "carol"]);
    bench.talk("alice", "bob");
    bench.dial("carol", "bob");
    assert_eq!(
        bench.states(),
        ["alice: connected bob", "bob: connected alice", "bob: ringing carol", "carol: ring-back bob"]
    );
    bench.answer("bob");
    bench.run(secs(2));
    assert_eq!(
        bench.states(),
        ["alice: held bob", "bob: holding alice", "bob: connected carol", "carol: connected bob"]
    );
    assert_eq!((bench.hears("carol"), bench.hears("alice")), (Some("bob"), None));
    bench.hang_up("carol");
    bench.act("bob", |calls, hands| calls.resume(None, hands));
    bench.run(secs(2));
    assert_eq!((bench.hears("alice"), bench.hears("bob")), (Some("bob"), Some("alice")));
    bench.settings("bob").call_waiting = false;
    bench.run(secs(5));
    bench.dial("carol", "bob");
    assert_eq!(bench.view("carol").ended, "Busy");
}

#[test]
fn a_blind_transfer_brings_the_other_two_together() {
    let mut bench = Bench::new(&["alice", "bob", "carol"]);
    bench.talk("alice", "bob");
    let to = TransferTo::Address("carol".to_owned());
    bench.act("bob", |calls, hands| calls.transfer(None, &to, hands));
    bench.run(secs(1));
    assert_eq!(bench.view("carol").state, CallState::Offering);
    assert_eq!(bench.view("carol").remote.address, "sip:alice@contoso.example");
    bench.answer("carol");
    bench.run(secs(5));
    assert_eq!(bench.states(), ["alice: connected carol", "carol: connected alice"]);
    assert_eq!((bench.hears("alice"), bench.hears("carol")), (Some("carol"), Some("alice")));
    assert!(bench.events("bob").contains(&crate::events::CALL_TRANSFERRED));
}

#[test]
fn a_blind_transfer_to_nobody_leaves_the_call_where_it_was() {
    let mut bench = Bench::new(&["alice", "bob"]);
    bench.talk("alice", "bob");
    let to = TransferTo::Address("nobody".to_owned());
    bench.act("bob", |calls, hands| calls.transfer(None, &to, hands));
    bench.run(secs(5));
    assert!(bench.events("bob").contains(&crate::events::CALL_TRANSFER_FAILED));
    assert_eq!(bench.states(), ["alice: held bob", "bob: holding alice"]);
    bench.act("bob", |calls, hands| calls.resume(None, hands));
    bench.run(secs(2));
    assert_eq!(bench.hears("alice"), Some("bob"));
}

#[test]
fn an_attended_transfer_replaces_the_call_in_between() {
    let mut bench = Bench::new(&["alice", "bob", "carol"]);
    bench.talk("alice", "bob");
    let first = bench.view("bob").reference;
    let second = bench.dial("bob", "carol");
    bench.answer("carol");
    bench.run(secs(2));
    assert_eq!(bench.hears("carol"), Some("bob"));
    bench.act("bob", |calls, hands| calls.transfer(Some(first), &TransferTo::Call(second), hands));
    bench.run(secs(5));
    assert_eq!(bench.states(), ["alice: connected carol", "carol: connected alice"]);
    assert_eq!((bench.hears("alice"), bench.hears("carol")), (Some("carol"), Some("alice")));
    assert!(!bench.events("carol").contains(&crate::events::CALL_MISSED));
}

#[test]
fn digits_and_mute_reach_the_other_end() {
    let mut bench = Bench::talking(&["alice", "bob"]);
    bench.act("alice", |calls, hands| calls.send_digits(None, "12#", hands));
    bench.act("bob", |calls, hands| calls.mute(true, hands));
    bench.run(secs(3));
    assert_eq!(bench.view("bob").media.digits, "12#");
    assert_eq!((bench.hears("alice"), bench.hears("bob")), (None, Some("alice")));
    assert!(bench.view("bob").is_muted);
    let refused = bench.try_act("alice", |calls, hands| calls.send_digits(None, "12x", hands));
    assert_eq!(refused, Err(CallError::NotDigits("12x".to_owned())));
}

#[test]
fn calls_survive_a_way_that_loses_messages() {
    let mut bench = Bench::over(&["alice", "bob"], Reliability::Unreliable);
    bench.lose_every(3);
    bench.dial("alice", "bob");
    bench.run(secs(10));
    bench.answer("bob");
    bench.run(secs(20));
    assert_eq!(bench.states(), ["alice: connected bob", "bob: connected alice"]);
    bench.act("alice", |calls, hands| calls.hold(None, hands));
    bench.run(secs(20));
    assert_eq!(bench.states(), ["alice: holding bob", "bob: held alice"]);
    bench.hang_up("bob");
    bench.run(secs(100));
    assert_eq!(bench.states(), Vec::<String>::new());
    assert!(bench.is_all_quiet());
}

#[test]
fn a_phone_whose_other_end_went_dark_ends_the_call() {
    let mut bench = Bench::talking(&["alice", "bob"]);
    bench.switch_off("bob");
    bench.run(secs(29));
    assert_eq!(bench.view("alice").state, CallState::Connected);
    assert_eq!(bench.hears("alice"), None);
    bench.run(secs(2));
    assert_eq!(bench.view("alice").ended, "Nothing more was heard of the other end");
    bench.run(secs(60));
    assert!(bench.is_all_quiet());
}

#[test]
fn a_call_to_nobody_and_a_phone_without_a_line_say_why() {
    let mut bench = Bench::new(&["alice"]);
    bench.dial("alice", "nobody");
    assert_eq!(bench.view("alice").ended, "Not found");
    bench.unregister("alice");
    let refused = bench.try_act("alice", |calls, hands| calls.dial(1, "bob", hands).map(drop));
    assert_eq!(refused, Err(CallError::NotRegistered));
    let refused = bench.try_act("alice", |calls, hands| calls.hold(None, hands));
    assert!(matches!(refused, Err(CallError::NoCall)), "{refused:?}");
}

#[test]
fn a_locked_phone_answers_and_dials_only_what_anybody_may() {
    let mut bench = Bench::new(&["alice", "bob"]);
    bench.settings("bob").only = Some(vec!["911".to_owned()]);
    let refused = bench.try_act("bob", |calls, hands| calls.dial(1, "alice", hands).map(drop));
    assert_eq!(refused, Err(CallError::Locked("alice".to_owned())));
    assert_eq!(bench.try_act("bob", |calls, hands| calls.dial(1, "9-1-1", hands).map(drop)), Ok(()));
    bench.run(secs(5));
    bench.dial("alice", "bob");
    bench.answer("bob");
    assert_eq!(bench.view("alice").state, CallState::Connected);
}

#[test]
fn a_verb_that_makes_no_sense_says_how_the_call_stands() {
    let mut bench = Bench::new(&["alice", "bob"]);
    let call = bench.dial("alice", "bob");
    let refused = bench.try_act("alice", |calls, hands| calls.answer(Some(call), hands));
    assert_eq!(refused, Err(CallError::NotNow { verb: "answer", state: "RingBack" }));
    let refused = bench.try_act("alice", |calls, hands| calls.hold(Some(call), hands));
    assert_eq!(refused, Err(CallError::NotNow { verb: "hold", state: "RingBack" }));
}

#[test]
fn a_phone_has_so_many_calls_and_not_one_more() {
    let names: Vec<String> = (0..=CALLS_MAX).map(|n| format!("user{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).chain(["hub"]).collect();
    let mut bench = Bench::new(&names);
    for name in &names[..CALLS_MAX] {
        bench.dial(name, "hub");
        assert_eq!(bench.view(name).state, CallState::RingBack);
    }
    bench.dial(names[CALLS_MAX], "hub");
    assert_eq!(bench.view(names[CALLS_MAX]).ended, "Busy");
    let refused = bench.try_act("hub", |calls, hands| calls.dial(1, "user0", hands).map(drop));
    assert_eq!(refused, Err(CallError::TooMany(CALLS_MAX)));
}

#[test]
fn the_same_calls_send_the_same_messages() {
    let run = || {
        let mut bench = Bench::talking(&["alice", "bob"]);
        bench.act("bob", |calls, hands| calls.hold(None, hands));
        bench.run(Duration::from_secs(3));
        bench.transcript
    };
    assert_eq!(run(), run());
}
