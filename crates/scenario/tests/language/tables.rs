//! Stories that are tables, labs that stories change, and steps from other files.

use std::time::Duration;

use insta::assert_snapshot;
use scenario::language::{Claim, Verb};

use crate::shelf::{Shelf, story_refusal};

#[test]
fn a_table_is_told_once_a_row_with_the_rows_values() {
    let text = "
name: waits
phones: [desk]
cases:
  - { case: short, wait: 1s, screen: home }
  - { case: long, wait: 2h, screen: web-code }
set:
  identity: { code-life: \"{{wait}} 30s\" }
steps:
  - wait: \"{{wait}}\"
  - expect: { phone: desk, screen: \"{{screen}}\" }
";
    let text = text.replace("\"{{wait}} 30s\"", "10m");
    let story = Shelf::of_the_house().with("story.yaml", text).story("story.yaml").unwrap();
    let names: Vec<_> = story.cases.iter().map(|case| case.name.as_deref()).collect();
    assert_eq!(names, [Some("short"), Some("long")]);
    let Verb::Wait(wait) = &story.cases[1].steps[0].verb else { panic!("a wait") };
    assert_eq!(wait.lasts, Duration::from_secs(7200));
    let Verb::Expect(expect) = &story.cases[1].steps[1].verb else { panic!("an expectation") };
    let Claim::Phone(phone) = &expect.claim else { panic!("of a phone") };
    assert_eq!(phone.screen.as_ref().map(|screen| screen.as_str()), Some("web-code"));
    assert_eq!(story.cases[0].lab.identity.code_life, Duration::from_secs(600));
}

#[test]
fn rows_have_the_same_columns_and_a_mistake_in_a_row_is_told() {
    assert_snapshot!(story_refusal(
        "
name: waits
cases:
  - { wait: 1s, phone: desk }
  - { wait: soon }
steps:
  - wait: \"{{wait}}\"
"
    ));
}

#[test]
fn a_story_changes_its_lab_key_by_key() {
    let text = "
name: another place
phones: [desk, spare]
set:
  seed: 11
  people: { alice: { enabled: false } }
  phones: { spare: { model: vvx400, mac: 0004f2a1b2ff, site: branch } }
steps:
  - power-on: spare
";
    let story = Shelf::of_the_house().with("story.yaml", text).story("story.yaml").unwrap();
    let lab = &story.cases[0].lab;
    assert_eq!(lab.seed, 11);
    assert!(!lab.people["alice"].value.enabled);
    assert_eq!(lab.people["alice"].value.upn.value, "alice@contoso.example");
    assert_eq!(lab.phones["spare"].value.site.value, "branch");
}

#[test]
fn included_steps_stand_where_they_are_included() {
    let shelf = Shelf::of_the_house()
        .with("s/story.yaml", "name: parts\nphones: [desk]\nsteps:\n  - include: parts/in.yaml\n")
        .with("s/parts/in.yaml", "- power-on: desk\n- include: ../wait.yaml\n")
        .with("s/wait.yaml", "steps: [{ wait: 1s }]\n");
    let story = shelf.story("s/story.yaml").unwrap();
    let Verb::Include(outer) = &story.cases[0].steps[0].verb else { panic!("an include") };
    assert_eq!(outer.file, "s/parts/in.yaml");
    let Verb::Include(inner) = &outer.steps[1].verb else { panic!("an include") };
    assert_eq!(inner.steps[0].verb.name(), "wait");
    assert_eq!(story.sources.at(inner.steps[0].place), "s/wait.yaml:1:11");
}

#[test]
fn every_verbs_example_is_taken() {
    for verb in Verb::ALL {
        let text = format!(
            "name: x\nphones: [desk, hall]\nset: {{ phones: {{ desk: {{ site: hq }} }} }}\nsteps:\n  - {}\n",
            verb.example
        );
        let shelf = Shelf::of_the_house().with("story.yaml", text).with("parts/sign-in.yaml", "- wait: 1s\n");
        if let Err(mistakes) = shelf.story("story.yaml") {
            panic!("{}: {mistakes}", verb.name);
        }
    }
}
