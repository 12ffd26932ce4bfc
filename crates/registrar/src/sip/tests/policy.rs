//! In-band documents and what the pool says on its own.

use std::time::Duration;

use net::Outbox;
use sip::Draft;
use sip::association::Checked;

use super::bench::*;
use crate::accounts::{Home, PhonePolicy};
use crate::events;
use crate::sip::notice::Deregistration;

const PROVISIONING: &str = "vnd-microsoft-provisioning-v2";

fn subscribe(client: &mut Client, event: &str) -> Draft {
    client
        .request("SUBSCRIBE")
        .with("Event", event)
        .with("Supported", "com.microsoft.autoextend")
        .with("Supported", "ms-benotify")
        .with("Proxy-Require", "ms-benotify")
        .with("Supported", "ms-piggyback-first-notify")
        .with("Contact", "<sip:10.20.2.1:40000;transport=tls>")
}

fn groups(names: &[&str]) -> String {
    let list: String = names.iter().map(|name| format!("<provisioningGroup name=\"{name}\"/>")).collect();
    let namespace = "http://schemas.microsoft.com/2006/09/sip/provisioninggrouplist";
    format!("<provisioningGroupList xmlns=\"{namespace}\">{list}</provisioningGroupList>")
}

fn change_policy(bench: &mut Bench, policy: PhonePolicy) {
    bench.accounts.find_mut(ALICE).expect("she is known").policy = policy;
    changed(bench);
}

fn changed(bench: &mut Bench) {
    bench.with(|front_end, now, parts, out| front_end.account_changed(now, ALICE, parts, out));
}

/// Takes the one notice that came, and checks its signature.
fn notice(bench: &mut Bench, client: &mut Client) -> sip::Message {
    let mut messages = bench.messages(client.stream);
    assert_eq!(messages.len(), 1, "{messages:?}");
    let notice = messages.remove(0);
    let keys = client.keys.as_mut().expect("it has proved itself");
    assert_eq!(keys.check(&notice), Ok(Checked::Signed));
    notice
}

#[test]
fn a_phone_asks_for_its_policy_once() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let body = groups(&["ServerConfiguration", "meetingPolicy", "ucPolicy", "endpointConfiguration"]);
    let draft = subscribe(&mut desk, PROVISIONING)
        .with("Expires", "0")
        .body("application/vnd-microsoft-roaming-provisioning-v2+xml", body);
    let answer = desk.ask_signed(&mut bench, draft);
    insta::assert_snapshot!(golden(&answer));
    // It was one question.
    change_policy(&mut bench, PhonePolicy { min_phone_pin_length: 8, ..PhonePolicy::default() });
    assert!(bench.messages(desk.stream).is_empty());
}

#[test]
fn a_subscriber_hears_when_its_policy_changes_and_only_then() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let draft = subscribe(&mut desk, PROVISIONING);
    let answer = desk.ask_signed(&mut bench, draft);
    assert_eq!(answer.header("subscription-state"), Some("active;expires=28800"));
    changed(&mut bench);
    assert!(bench.messages(desk.stream).is_empty());
    let policy = PhonePolicy {
        enforce_phone_lock: false,
        min_phone_pin_length: 8,
        phone_lock_timeout: Duration::from_secs(90),
        ..PhonePolicy::default()
    };
    change_policy(&mut bench, policy);
    let notice = notice(&mut bench, &mut desk);
    let body = notice.body_text().expect("it is text");
    for element in [
        "<ucEnforcePinLock>false</ucEnforcePinLock>",
        "<ucMinPinLength>8</ucMinPinLength>",
        "<ucPhoneTimeOut>2</ucPhoneTimeOut>",
    ] {
        assert!(body.contains(element), "{body}");
    }
    assert_eq!(notice.method(), "BENOTIFY");
    assert_eq!(notice.cseq().number, 2);
    assert_eq!(notice.from().tag(), answer.to().tag());
    changed(&mut bench);
    assert!(bench.messages(desk.stream).is_empty());
}

#[test]
fn a_client_that_takes_no_document_in_the_200_gets_a_notify() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let draft = desk.request("SUBSCRIBE").with("Event", PROVISIONING);
    let draft = desk.signed(draft);
    bench.send(desk.stream, draft.print().expect("a good draft"));
    let messages = bench.messages(desk.stream);
    assert_eq!(messages.len(), 2);
    assert_eq!((messages[0].status(), messages[0].body().len()), (Some(200), 0));
    assert_eq!(messages[1].method(), "NOTIFY");
    assert!(messages[1].body_text().expect("it is text").contains("ucMinPinLength"));
    // Its answer is taken without a word.
    let ok = messages[1].reply(200, "OK");
    let ok = desk.keys.as_mut().expect("it has proved itself").sign_response(ok);
    bench.send(desk.stream, ok.print().expect("a good draft"));
    assert!(bench.messages(desk.stream).is_empty());
}

#[test]
fn contacts_and_own_state_are_empty_and_well_formed() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let draft = subscribe(&mut desk, "vnd-microsoft-roaming-contacts");
    insta::assert_snapshot!("contacts", golden(&desk.ask_signed(&mut bench, draft)));
    let draft = subscribe(&mut desk, "vnd-microsoft-roaming-self");
    insta::assert_snapshot!("own_state", golden(&desk.ask_signed(&mut bench, draft)));
}

#[test]
fn a_subscription_is_refreshed_and_ended_in_its_dialog() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let draft = subscribe(&mut desk, PROVISIONING);
    let answer = desk.ask_signed(&mut bench, draft);
    let to = format!("<sip:{ALICE}>;tag={}", answer.to().tag().expect("a tag"));
    for (expires, status) in [("600", 200), ("0", 200), ("0", 481)] {
        let mut draft = subscribe(&mut desk, PROVISIONING).with("Expires", expires);
        draft.set("To", &to);
        assert_eq!(desk.ask_signed(&mut bench, draft).status(), Some(status), "{expires}");
    }
    change_policy(&mut bench, PhonePolicy { min_phone_pin_length: 8, ..PhonePolicy::default() });
    assert!(bench.messages(desk.stream).is_empty());
}

#[test]
fn subscriptions_that_make_no_sense_are_refused() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let presence = subscribe(&mut desk, "presence");
    assert_eq!(desk.ask_signed(&mut bench, presence).status(), Some(489));
    let none = desk.request("SUBSCRIBE");
    assert_eq!(desk.ask_signed(&mut bench, none).status(), Some(489));
    let broken = subscribe(&mut desk, PROVISIONING).body("application/xml", "<a");
    assert_eq!(desk.ask_signed(&mut bench, broken).status(), Some(400));
    let bobs = desk.request_to("SUBSCRIBE", &format!("sip:{BOB}")).with("Event", PROVISIONING);
    assert_eq!(desk.ask_signed(&mut bench, bobs).status(), Some(404));
    let mut stolen = subscribe(&mut desk, PROVISIONING);
    let gruu = sip::endpoint::Instance::of_epid("02").gruu("sip:alice@contoso.example");
    stolen.set("Contact", &format!("<{gruu}>"));
    assert_eq!(desk.ask_signed(&mut bench, stolen).status(), Some(403));
    let gruu = bench.front_end.bindings(ALICE, bench.now)[0].gruu.clone();
    let mut own = subscribe(&mut desk, PROVISIONING);
    own.set("Contact", &format!("<{gruu}>"));
    assert_eq!(desk.ask_signed(&mut bench, own).status(), Some(200));
}

#[test]
fn one_connection_has_only_so_many_subscriptions() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let statuses: Vec<Option<u16>> = (0..17)
        .map(|_| {
            let draft = subscribe(&mut desk, PROVISIONING);
            desk.ask_signed(&mut bench, draft).status()
        })
        .collect();
    assert_eq!(statuses[15..], [Some(200), Some(503)]);
}

#[test]
fn a_disabled_user_is_told_and_has_no_binding_left() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "d8d053f0ae7f");
    bench.accounts.find_mut(ALICE).expect("she is known").enabled = false;
    changed(&mut bench);
    assert!(!bench.front_end.is_registered(ALICE, bench.now));
    assert_eq!(bench.count(events::DEREGISTERED), 1);
    let notice = notice(&mut bench, &mut desk);
    insta::assert_snapshot!(golden(&notice));
    // What was taken away does not come back with the power.
    bench.power_on();
    assert!(!bench.front_end.is_registered(ALICE, bench.now));
}

#[test]
fn a_moved_user_and_one_who_is_signed_out_are_told() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    bench.accounts.find_mut(ALICE).expect("she is known").home = Home::Pool("fe2.contoso.example".to_owned());
    changed(&mut bench);
    let moved = notice(&mut bench, &mut desk);
    assert_eq!(moved.body_text(), Some("deregistered;event=deactivated"));
    let mut lobby = registered(&mut bench, BOB, "01");
    bench.with(|front_end, now, parts, out| {
        front_end.sign_out(BOB, Deregistration::Unregistered, now, parts, out);
    });
    let signed_out = notice(&mut bench, &mut lobby);
    assert_eq!(signed_out.body_text(), Some("deregistered;event=unregistered"));
    assert!(!bench.front_end.is_registered(BOB, bench.now));
}

#[test]
fn a_pool_that_lost_its_bindings_answers_added() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let forgotten =
        bench.with(|front_end, now, _, out: &mut Outbox| front_end.forget_bindings(ALICE, now, out));
    assert_eq!(forgotten, 1);
    assert!(bench.messages(desk.stream).is_empty());
    let draft = desk.register();
    let ok = desk.ask_signed(&mut bench, draft);
    assert!(ok.header("presence-state").expect("it is there").contains("register-action=\"added\""));
}

#[test]
fn a_ninth_endpoint_pushes_out_the_one_that_was_refreshed_longest_ago() {
    let mut bench = Bench::new();
    let mut first = registered(&mut bench, ALICE, "00");
    for number in 1..9 {
        bench.pass(Duration::from_secs(1));
        registered(&mut bench, ALICE, &format!("{number:02}"));
    }
    assert_eq!(bench.front_end.bindings(ALICE, bench.now).len(), 8);
    let notice = notice(&mut bench, &mut first);
    assert_eq!(notice.body_text(), Some("deregistered;event=unregistered"));
}

#[test]
fn a_refresh_that_is_refused_leaves_the_subscription_as_it_was() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let draft = subscribe(&mut desk, PROVISIONING);
    let answer = desk.ask_signed(&mut bench, draft);
    let to = format!("<sip:{ALICE}>;tag={}", answer.to().tag().expect("a tag"));
    let mut broken = subscribe(&mut desk, PROVISIONING).body("application/xml", "<a");
    broken.set("To", &to);
    assert_eq!(desk.ask_signed(&mut bench, broken).status(), Some(400));
    let mut other = subscribe(&mut desk, "vnd-microsoft-roaming-self");
    other.set("To", &to);
    assert_eq!(desk.ask_signed(&mut bench, other).status(), Some(481));
    change_policy(&mut bench, PhonePolicy { min_phone_pin_length: 8, ..PhonePolicy::default() });
    assert_eq!(notice(&mut bench, &mut desk).method(), "BENOTIFY");
}

#[test]
fn a_subscription_remembers_no_long_names() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let long = format!("<sip:{ALICE};x={}>", "y".repeat(1_024));
    for (header, value) in [("From", format!("{long};tag=c1;epid=01")), ("To", long)] {
        let mut draft = subscribe(&mut desk, PROVISIONING);
        draft.set(header, &value);
        let answer = desk.ask_signed(&mut bench, draft);
        assert_eq!(answer.status(), Some(400), "{header}");
        assert!(answer.header("ms-diagnostics").expect("it is there").starts_with("4008;"));
    }
}

#[test]
fn an_answer_to_a_notice_counts_only_if_it_is_signed() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    let draft = desk.request("SUBSCRIBE").with("Event", PROVISIONING);
    let draft = desk.signed(draft);
    bench.send(desk.stream, draft.print().expect("a good draft"));
    let first = bench.messages(desk.stream).remove(1);
    let gone = first.reply(481, "Subscription Does Not Exist");
    let policy = |length| PhonePolicy { min_phone_pin_length: length, ..PhonePolicy::default() };
    // Unsigned, and signed but changed: it is as if nobody had answered.
    let mut changed = desk.keys.as_mut().expect("it has proved itself").sign_response(gone.clone());
    changed.set("Call-ID", "another");
    for (forged, length) in [(&gone, 8), (&changed, 9)] {
        bench.send(desk.stream, forged.print().expect("a good draft"));
        change_policy(&mut bench, policy(length));
        assert_eq!(bench.messages(desk.stream).len(), 1);
    }
    assert_eq!(bench.count(events::REQUEST_REFUSED), 2);
    let signed = desk.keys.as_mut().expect("it has proved itself").sign_response(gone);
    bench.send(desk.stream, signed.print().expect("a good draft"));
    change_policy(&mut bench, policy(10));
    assert!(bench.messages(desk.stream).is_empty(), "who has no subscription hears nothing");
    // Nor does the same answer count again, or one that belongs to nobody.
    bench.send(desk.stream, signed.print().expect("a good draft"));
    assert_eq!(bench.count(events::REQUEST_REFUSED), 3);
}
