//! One seed, one run: in one process, in two, and whoever else is in the lab.

use std::process::Command;

use net::{Journal, Note};
use scenario::cast::Cast;
use scenario::report;
use whole::house::{Scratch, Shelf};
use whole::telling::{journal, lines_of, story, story_of, tell_from_the_beginning, tell_well};

const WEB: &str = "scenarios/sign-in/web.yaml";

/// Everything by which runs are compared: the trace, then every lane.
fn hashes(cast: &Cast) -> Vec<String> {
    let hex = |hash: [u8; 32]| hash.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let lanes = cast.world.lane_hashes().into_iter().map(|(name, hash)| format!("{name} {}", hex(hash)));
    std::iter::once(format!("trace {}", hex(cast.world.trace_hash()))).chain(lanes).collect()
}

#[test]
fn the_same_seed_tells_the_same_story_to_the_octet() {
    let first = tell_from_the_beginning(WEB, 41);
    let second = tell_from_the_beginning(WEB, 41);
    assert_same(&all_lines(&first), &all_lines(&second));
    assert_eq!(hashes(&first), hashes(&second));
}

#[test]
fn another_seed_tells_another_run_of_the_story() {
    let (first, second) = (tell_from_the_beginning(WEB, 41), tell_from_the_beginning(WEB, 42));
    let (first, second) = (hashes(&first), hashes(&second));
    assert_eq!(first.len(), second.len());
    assert_ne!(first[0], second[0], "the traces");
    for lane in ["people up", "hq up", "hq down", "cloud up"] {
        let of = |hashes: &[String]| hashes.iter().find(|line| line.starts_with(lane)).cloned();
        assert!(of(&first).is_some(), "{lane}: there is no such lane among {first:?}");
        assert_ne!(of(&first), of(&second), "{lane}: the codes and keys on it were the same");
    }
}

/// What a process of its own prints for [`processes_agree_whatever_surrounds_them`]; tested by itself, it only
/// claims that it can be told.
#[test]
fn prints_the_hashes_of_a_telling() {
    for line in hashes(&tell_from_the_beginning(WEB, 41)) {
        println!("hash {line}");
    }
}

#[test]
fn processes_agree_whatever_surrounds_them() {
    let here = hashes(&tell_from_the_beginning(WEB, 41));
    let scratch = Scratch::new("processes");
    for (zone, language) in [("UTC", "C"), ("Pacific/Auckland", "tr_TR.UTF-8")] {
        #[expect(clippy::disallowed_methods, reason = "the test tells the story in another process")]
        let there = Command::new(std::env::current_exe().expect("a test knows its own program"))
            .args(["determinism::prints_the_hashes_of_a_telling", "--exact", "--nocapture"])
            .env("TZ", zone)
            .env("LANG", language)
            .current_dir(scratch.path())
            .output()
            .expect("the test's own program starts");
        assert!(there.status.success(), "{}", String::from_utf8_lossy(&there.stderr));
        let text = String::from_utf8_lossy(&there.stdout);
        // The harness prints the name of the test in front of the first line.
        let lines = text.lines().filter_map(|line| Some(line.split_once("hash ")?.1.to_owned()));
        assert_eq!(lines.collect::<Vec<_>>(), here, "with {zone} and {language}");
    }
}

/// The web story's sign-in, told for the desk phone in a lab with these phones, after these first steps.
fn desk_signs_in(phones: &str, first: &str) -> Cast {
    let steps = format!(
        "{first}\n  - include: parts/show-code.yaml\n  - include: parts/sign-in.yaml\n  - include: parts/lock-code.yaml\n  - wait: 3h\n"
    );
    let story = story_of(phones, &steps);
    let cast = whole::telling::cast(&story, 7);
    tell_well(&story, cast)
}

fn desk_lines(cast: &Cast) -> Vec<String> {
    let lines = lines_of(journal(cast), cast.node("desk").expect("the desk phone is in the lab"));
    assert!(lines.iter().any(|line| line.contains("registered of alice")), "{lines:#?}");
    lines
}

fn all_lines(cast: &Cast) -> Vec<String> {
    let journal = journal(cast);
    journal.entries().iter().map(|entry| report::line(journal, entry)).collect()
}

/// Fails with the first line that differs, so that a failure can be read.
fn assert_same(one: &[String], other: &[String]) {
    let differs = one.iter().zip(other).find(|(one, other)| one != other);
    assert_eq!(differs, None, "the first line that differs");
    assert_eq!(one.len(), other.len());
}

#[test]
fn a_phone_that_stays_off_changes_nothing_for_the_others() {
    let alone = desk_signs_in("desk", "");
    let beside = desk_signs_in("desk, hall, far", "");
    assert_same(&all_lines(&alone), &all_lines(&beside));
    assert_eq!(hashes(&alone), hashes(&beside));
}

#[test]
fn a_phone_that_boots_elsewhere_changes_nothing_for_the_others() {
    let alone = desk_signs_in("desk", "");
    let beside = desk_signs_in("desk, far", "  - power-on: far");
    assert!(is_told(journal(&beside), &beside, "far", "phone-booted"), "the other phone was there");
    assert_same(&desk_lines(&alone), &desk_lines(&beside));
    let alice = |cast: &Cast| lines_of(journal(cast), cast.node("alice").expect("alice is in the lab"));
    assert_same(&alice(&alone), &alice(&beside));
}

#[test]
fn a_phone_that_boots_on_the_same_line_changes_moments_and_no_draws() {
    // Both phones' packets share the line, whose delays are drawn packet by packet; so moments move. What the desk
    // phone says and draws (identifiers, its device's number, its waits before DHCP) does not.
    let alone = desk_signs_in("desk", "");
    let beside = desk_signs_in("desk, hall", "  - wait: 20s\n  - power-on: hall");
    let drawn = |cast: &Cast| -> Vec<String> {
        let desk = cast.node("desk");
        let own = journal(cast).entries().iter().filter(|entry| entry.who == desk);
        let words = own.filter_map(|entry| match &entry.note {
            Note::Sent { text, .. } => Some(text.clone()),
            Note::Screen { id, .. } => Some(id.clone()),
            Note::Event { name, .. } => Some((*name).to_owned()),
            Note::Received { .. } | Note::Log(_) | Note::Broken { .. } | Note::Stage(_) => None,
        });
        words.collect()
    };
    assert!(is_told(journal(&beside), &beside, "hall", "phone-booted"), "the other phone was there");
    assert_same(&drawn(&alone), &drawn(&beside));
}

fn is_told(journal: &Journal, cast: &Cast, who: &str, event: &str) -> bool {
    let who = cast.node(who);
    journal
        .entries()
        .iter()
        .any(|entry| matches!(&entry.note, Note::Event { name, .. } if *name == event && entry.who == who))
}

#[test]
fn a_story_that_is_read_twice_is_the_same_story() {
    let shelf = Shelf::default();
    assert_eq!(story(&shelf, WEB).cases, story(&shelf, WEB).cases);
}
