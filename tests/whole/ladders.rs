//! Golden tales: a sign-in, a refresh and a restart as the phone room would tell them.

use scenario::cast::Cast;
use scenario::report::{Detail, ladder, tale};
use whole::telling::{cast, journal, story_of, tell_well};

const SIGN_IN: &str = "  - include: parts/show-code.yaml
  - include: parts/sign-in.yaml
  - include: parts/lock-code.yaml
";

const REFRESH: &str = "  - wait: 2h
  - expect: { registrar: bindings, of: alice, count: 1 }
";

const RESTART: &str = "  - reboot: desk
  - expect: { phone: desk, state: locked, as: alice, within: 4m }
  - unlock: { phone: desk, digits: \"135790\" }
  - expect: { registrar: bindings, of: alice, count: 1 }
";

/// What only programmers and network engineers say.
const JARGON: &[&str] = &[
    "cseq",
    "SIP/",
    "HTTP",
    "GET ",
    "POST ",
    "TLS-DSK",
    "REGISTER",
    "SUBSCRIBE",
    "XML",
    "/common/",
    ".svc",
    "•••",
];

fn tell_more(steps: &str, cast: Cast) -> Cast {
    tell_well(&story_of("desk", steps), cast)
}

fn signed_in() -> Cast {
    let story = story_of("desk", SIGN_IN);
    let cast = cast(&story, 7);
    tell_well(&story, cast)
}

/// What the tale says from where an earlier one ended.
fn since(before: &str, after: &str) -> String {
    let same = before.lines().zip(after.lines()).take_while(|(before, after)| before == after).count();
    after.lines().skip(same).map(|line| format!("{line}\n")).collect()
}

fn assert_golden(name: &str, told: &str) {
    for line in told.lines() {
        assert!(line.chars().count() <= 120, "too long for a terminal: {line}");
        let found: Vec<&&str> = JARGON.iter().filter(|word| line.contains(**word)).collect();
        assert!(found.is_empty(), "{found:?} is no word of the phone room: {line}");
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!(name, told));
}

#[test]
fn a_web_sign_in_as_the_phone_room_tells_it() {
    assert_golden("web-sign-in", &tale(&signed_in()));
}

#[test]
fn a_refresh_as_the_phone_room_tells_it() {
    let cast = signed_in();
    let before = tale(&cast);
    let cast = tell_more(REFRESH, cast);
    let told = since(&before, &tale(&cast));
    assert!(told.contains("stays reachable"), "{told}");
    assert_golden("refresh", &told);
}

#[test]
fn a_restart_as_the_phone_room_tells_it() {
    let cast = signed_in();
    let before = tale(&cast);
    let cast = tell_more(RESTART, cast);
    let told = since(&before, &tale(&cast));
    assert!(!told.contains("gives out a code"), "it comes back by itself: {told}");
    assert_golden("restart", &told);
}

#[test]
fn the_ladder_has_every_message_that_the_tale_leaves_out() {
    let cast = signed_in();
    let told = tale(&cast);
    let ladder = ladder(journal(&cast), Detail::Told);
    assert!(ladder.lines().count() > 3 * told.lines().count(), "{} lines", told.lines().count());
    for said in ["DHCP DISCOVER", "DNS A login.contoso.example", "REGISTER sip:contoso.example cseq 2"] {
        assert!(ladder.contains(said), "the ladder does not say {said}");
    }
}
