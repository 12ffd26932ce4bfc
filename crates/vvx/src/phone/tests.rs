//! What a person sees and can do, from power-on to a code and back.

mod bench;
mod lines;
mod pbx;
mod port;
mod syslog;
mod web;

use bench::{Bench, setup};
use net::Disk;

use super::*;
use crate::screen::Place;

fn choosing() -> Bench {
    let mut bench = Bench::booted();
    bench.press("Sign In");
    bench
}

fn showing_code() -> Bench {
    let mut bench = choosing();
    bench.press("Web Sign-in");
    bench.run(2);
    assert_eq!(bench.screen().id, "web-code");
    bench
}

#[test]
fn a_phone_boots_to_home_and_offers_to_sign_in() {
    let mut bench = Bench::new(setup());
    assert_eq!((bench.screen().id, bench.phone.state()), ("off", PhoneState::Off));
    bench.power_on();
    assert_eq!((bench.screen().id, bench.phone.state()), ("booting", PhoneState::Booting));
    bench.run(180);
    let screen = bench.screen();
    assert_eq!((screen.id, screen.labels()), ("home", vec!["Sign In", "Settings"]));
    assert_eq!(bench.phone.state(), PhoneState::SignedOut);
    assert!(bench.events.contains(&events::PHONE_BOOTED) && bench.events.contains(&events::CLOCK_SET));
    bench.power_off();
    assert_eq!(bench.screen().id, "off");
    assert_eq!(bench.try_press("Sign In"), Err(PressError::Off));
}

#[test]
fn the_home_key_leads_to_sign_in_from_anywhere() {
    let mut bench = Bench::booted();
    for key in ["Settings", "Features", "Skype for Business", "Home"] {
        bench.press(key);
    }
    assert!(bench.screen().offers("Sign In"));
}

#[test]
fn the_chooser_has_the_guides_three_ways_and_never_a_pin() {
    let screen = choosing().screen();
    assert_eq!(screen.id, "sign-in");
    let tiles: Vec<&str> = screen
        .offers
        .iter()
        .filter(|offer| offer.place == Place::Tile)
        .map(|offer| offer.label.as_str())
        .collect();
    assert_eq!(tiles, ["User ID", "via PC", "Web Sign-in"]);
}

#[test]
fn via_pc_is_there_and_says_that_it_is_not() {
    let mut bench = choosing();
    bench.press("via PC");
    let screen = bench.screen();
    assert_eq!(screen.id, "via-pc");
    assert!(screen.lines[0].text().contains("not part of this lab"));
    bench.press("Back");
    assert_eq!(bench.screen().id, "sign-in");
}

#[test]
fn a_code_and_an_address_are_shown_and_the_journal_never_learns_the_code() {
    let mut bench = showing_code();
    assert_eq!(bench.phone.user_code(), Some("CODE00001"));
    assert_eq!(bench.phone.sign_in_page(), Some("https://login.contoso.example/device"));
    assert!(bench.screen().draw().contains("CODE00001"));
    assert_eq!(bench.phone.state(), PhoneState::SigningIn);
    bench.run(60);
    let notes: String = bench.journal.lines().filter(|line| line.starts_with("Note")).collect();
    assert!(!notes.contains("CODE00001") && !notes.contains("device-secret"));
    assert!(!bench.phone.log().concat().contains("CODE00001"));
}

#[test]
fn every_attempt_has_a_code_of_its_own_and_a_cancelled_one_is_not_asked_about() {
    let mut bench = showing_code();
    bench.press("Cancel");
    assert_eq!((bench.screen().id, bench.phone.user_code()), ("sign-in", None));
    let polls = bench.polls;
    bench.run(60);
    assert_eq!(bench.polls, polls);
    bench.press("Web Sign-in");
    bench.run(2);
    assert_eq!(bench.phone.user_code(), Some("CODE00002"));
}

#[test]
fn an_unused_code_expires_after_fifteen_minutes_and_can_be_retried() {
    let mut bench = showing_code();
    bench.run(897);
    assert_eq!(bench.screen().id, "web-code");
    bench.run(3);
    let screen = bench.screen();
    assert_eq!((screen.id, screen.labels()), ("web-code-expired", vec!["Retry", "OK"]));
    assert_eq!(bench.phone.state(), PhoneState::SignedOut);
    bench.press("Retry");
    bench.run(2);
    assert_eq!((bench.screen().id, bench.phone.user_code()), ("web-code", Some("CODE00002")));
    bench.run(901);
    bench.press("OK");
    assert_eq!(bench.screen().id, "sign-in");
}

#[test]
fn a_declined_sign_in_says_so_and_ends_at_home() {
    let mut bench = showing_code();
    bench.poll_answer = (400, "{\"error\":\"authorization_declined\"}");
    bench.run(6);
    let screen = bench.screen();
    assert_eq!(
        (screen.id, screen.lines[0].text()),
        ("sign-in-failed", "The sign-in was declined in the browser.")
    );
    assert!(bench.events.contains(&events::SIGN_IN_FAILED));
    bench.press("OK");
    assert_eq!(bench.screen().id, "home");
}

#[test]
fn a_sign_in_without_a_pool_fails_with_a_reason_and_leaves_nothing_in_flash() {
    let mut bench = showing_code();
    // {"upn":"alice@contoso.example"}
    bench.poll_answer = (
        200,
        "{\"token_type\":\"Bearer\",\"refresh_token\":\"refresh-secret\",\"access_token\":\"e30.eyJ1cG4iOiJhbGljZUBjb250b3NvLmV4YW1wbGUifQ.x\"}",
    );
    bench.run(6);
    assert!(bench.events.contains(&events::SIGNING_IN));
    bench.run(60);
    assert_eq!((bench.screen().id, bench.phone.account()), ("sign-in-failed", None));
    let flash: Vec<u8> = bench.disk.values().flatten().copied().collect();
    assert!(!String::from_utf8_lossy(&flash).contains("refresh-secret"));
}

#[test]
fn a_phone_without_the_time_says_so_and_works_when_it_comes() {
    let mut bench = Bench::new(setup());
    bench.has_time_server = false;
    bench.power_on();
    bench.run(300);
    assert!(bench.screen().status_bar.is_some_and(|bar| !bar.warnings.is_empty()));
    bench.press("Sign In");
    bench.press("Web Sign-in");
    bench.run(5);
    let screen = bench.screen();
    assert_eq!((screen.id, screen.lines[0].text()), ("sign-in-failed", "The time is not set."));
    bench.has_time_server = true;
    bench.press("OK");
    bench.run(3600);
    assert!(bench.events.contains(&events::CLOCK_SET));
    bench.press("Sign In");
    bench.press("Web Sign-in");
    bench.run(5);
    assert_eq!(bench.screen().id, "web-code");
}

#[test]
fn a_key_that_is_not_there_is_refused_with_those_that_are() {
    let mut bench = choosing();
    let refused = bench.try_press("PIN").expect_err("no such key");
    let offered = "User ID, via PC, Web Sign-in, Back".to_owned();
    assert_eq!(refused, PressError::NotOffered { key: "PIN".to_owned(), screen: "sign-in", offered });
    bench.press("web sign-IN");
    assert_eq!(bench.screen().id, "signing-in");
}

#[test]
fn soft_keys_and_the_dial_pad_work_by_their_places() {
    let mut bench = Bench::booted();
    bench.press("SoftKey2");
    assert_eq!(bench.screen().id, "settings");
    bench.press("Advanced");
    for key in ["4", "Dialpad5", "5", "Delete", "6"] {
        bench.press(key);
    }
    bench.press("SoftKey1");
    assert_eq!(bench.screen().id, "advanced");
}

#[test]
fn the_advanced_settings_open_by_the_administrators_password_only() {
    let mut bench = Bench::booted();
    bench.press("Settings");
    bench.press("Advanced");
    bench.fill("password", "457");
    bench.press("Enter");
    let screen = bench.screen();
    assert_eq!(screen.id, "advanced-password");
    assert!(screen.lines.iter().any(|line| line.text().contains("wrong")));
    bench.fill("password", "456");
    bench.press("Enter");
    assert_eq!(bench.screen().id, "advanced");
}

#[test]
fn a_form_keeps_no_more_than_its_fields_hold_and_names_them() {
    let mut bench = choosing();
    bench.press("User ID");
    let long = "a".repeat(60);
    bench.fill("sign-in-address", &long);
    let screen = bench.screen();
    assert_eq!(screen.fields[0].value.len(), 45, "the device cuts addresses there");
    let refused =
        bench.phone.type_text(Some("pin"), "1", bench.now, &mut Outbox::new()).expect_err("no such field");
    assert!(refused.to_string().contains("sign-in-address, user, password, domain"), "{refused}");
    bench.press("Sign In");
    assert!(bench.screen().lines[0].text().contains("not complete"));
}

#[test]
fn a_common_area_phone_hides_its_keys_and_signs_in_by_the_portal() {
    let mut bench = Bench::booted();
    bench.press("Settings");
    bench.press("Advanced");
    bench.fill("password", "456");
    for key in ["Enter", "Administration Settings", "Common Area Phone Settings", "CAP", "Save Config", "OK"]
    {
        bench.press(key);
    }
    assert_eq!(bench.screen().labels(), ["Settings"], "passers-by cannot sign in");
    for key in ["Settings", "Features", "Skype for Business", "User Credentials", "Web Sign-in (CAP)"] {
        bench.press(key);
    }
    bench.run(2);
    assert_eq!(bench.screen().id, "web-code-cap");
    assert_eq!(bench.phone.sign_in_page(), Some("https://login.contoso.example/cap"));
}

#[test]
fn a_factory_reset_brings_the_first_settings_back() {
    let mut made = setup();
    made.parameters.insert("feature.CAP.enable".to_owned(), "1".to_owned());
    let mut bench = Bench::new(made);
    bench.power_on();
    bench.run(180);
    let off = [("feature.CAP.enable".to_owned(), "0".to_owned())];
    bench.phone.configure(&off, bench.now, &mut Outbox::new()).expect("it takes them");
    assert!(bench.screen().offers("Sign In"));
    let now = bench.now;
    bench.phone.factory_reset(now, &mut Outbox::new());
    bench.run(180);
    assert!(!bench.screen().offers("Sign In"), "as it came from the factory");
}

#[test]
fn every_screen_that_was_shown_is_on_the_list() {
    let mut bench = showing_code();
    bench.press("Cancel");
    for key in ["Home", "Settings", "Basic", "Device Lock", "Back", "Back", "Status", "Home"] {
        bench.press(key);
    }
    let known: Vec<&str> = crate::screen::ALL.iter().map(|(id, _)| *id).collect();
    for id in &bench.screens {
        assert!(known.contains(&id.as_str()), "{id}");
    }
}

#[test]
fn a_disk_full_of_rubbish_boots_to_home() {
    let mut bench = Bench::new(setup());
    bench.disk = Disk::from([("flash.a".to_owned(), vec![0xA5; 5000]), ("flash.b".to_owned(), vec![0; 10])]);
    bench.power_on();
    bench.run(180);
    assert_eq!(bench.screen().id, "home");
}
