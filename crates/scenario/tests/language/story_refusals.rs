//! What a person is told about a wrong story.

use insta::assert_snapshot;

use crate::shelf::{Shelf, refusal_of, steps_refusal, story_refusal};

#[test]
fn an_unknown_verb_is_refused_with_the_nearest_one() {
    assert_snapshot!(steps_refusal("- pwer-on: desk"));
}

#[test]
fn a_step_has_one_verb() {
    assert_snapshot!(steps_refusal(
        "
- power-on
- { power-on: desk, wait: 3s }
- []
-
"
    ));
}

#[test]
fn unknown_names_are_refused_with_what_is_known() {
    assert_snapshot!(steps_refusal(
        "
- power-on: dsek
- power-on: hall
- press: { phone: desk, key: Sign In, hard: true }
- expect: { phone: desk, screen: homme }
- expect: { phone: desk, state: signed-on, as: alise }
- expect: { person: alice, page: confirm-ap }
- expect: { happened: registred, of: nobody }
- never: { identity: device-code-isued }
- browse: { person: alcie, to: \"https://login.contoso.example/device\" }
- stop: identiti
- answer: { service: identity, kind: tokens, status: 5030 }
- move-user: { account: alice, to: fe9 }
"
    ));
}

#[test]
fn a_value_is_used_only_after_it_was_captured() {
    assert_snapshot!(steps_refusal(
        "
- browse: { person: alice, to: \"{{page}}\" }
- capture: { code: desk.user-code, page: desk.sign-in-pge }
- submit: { person: alice, code: \"{{cod}}\" }
- submit: { person: alice, code: \"{{code\" }
- capture: {}
- capture: { x: desk }
"
    ));
}

#[test]
fn a_claim_is_about_one_thing_and_says_something() {
    assert_snapshot!(steps_refusal(
        "
- expect: { within: 3s }
- expect: { phone: desk, person: alice, page: finished }
- expect: { phone: desk }
- expect: { phone: desk, page: finished }
- expect: { phone: desk, screen: home, within: 3 }
- expect: { registrar: binding, of: alice }
- never: { phone: desk, screen: home, within: 3s }
- never: { phone: desk, screen: home, since: power-cut }
"
    ));
}

#[test]
fn what_is_empty_or_impossible_is_refused() {
    assert_snapshot!(steps_refusal(
        "
- submit: { person: alice }
- set-policy: {}
- set-policy: { phone-lock: { min-digits: 99 } }
- configure: { phone: desk, parameters: {} }
- unlock: { phone: desk, digits: a1b2 }
- answer: { service: identity, kind: token, next: 0, status: 503 }
- dns: {}
- capture: { name: desk.user-code }
- expect: { phone: \"{{name}}\", screen: home }
- at: noon
- wait: 4000d
"
    ));
}

#[test]
fn a_fault_says_what_and_for_whom() {
    assert_snapshot!(steps_refusal(
        "
- network: { phone: desk }
- network: { phone: desk, site: hq, cut: true }
- network: { from: dsk, loss: 20 }
- network: { from: desk, cut: true, restore: true }
- power-cut: {}
- power-cut: { phone: desk, at-write: 1, torn-write: 2 }
- clock: { of: desk }
- clock: { of: desk, skew: 2 hours, drift: fast }
- repeat: { times: 100000, steps: [{ wait: 1s }] }
- dns: { set: { fe.contoso.example: fe2 } }
"
    ));
}

#[test]
fn a_story_has_a_name_and_steps() {
    assert_snapshot!(story_refusal("about: nothing\nstep: []\nphones: [dek]\n"));
    assert_snapshot!(story_refusal("name: empty\nsteps: []\n"));
    assert_snapshot!(story_refusal(""));
    assert_snapshot!(story_refusal("just a line of text"));
}

#[test]
fn what_a_story_sets_is_checked_like_the_lab_itself() {
    assert_snapshot!(story_refusal(
        "
name: another place
phones: [desk]
set:
  identity: { code-life: 15 minutes }
  sites: { hq: { link: { los: 3% } } }
  phones: { desk: { site: nowhere } }
steps:
  - power-on: desk
"
    ));
}

#[test]
fn an_include_stays_under_the_storys_folder() {
    let story = "
name: away
steps:
  - include: ../lab.yaml
  - include: /etc/passwd
  - include: parts/../../lab.yaml
  - include: notes.txt
  - include: missing.yaml
  - include: { file: lab.yaml }
";
    assert_snapshot!(refusal_of(Shelf::of_the_house().with("story.yaml", story)));
}

#[test]
fn a_mistake_in_an_included_file_points_there() {
    let shelf = Shelf::of_the_house()
        .with("story.yaml", "name: parts\nphones: [desk]\nsteps:\n  - include: parts/in.yaml\n")
        .with("parts/in.yaml", "steps:\n  - power-on: desk\n  - include: more.yaml\n")
        .with("parts/more.yaml", "- prss: { phone: desk, key: Home }\n- include: ../story.yaml\n");
    assert_snapshot!(refusal_of(shelf));
}

#[test]
fn yaml_that_is_none_is_shown_where_it_breaks() {
    assert_snapshot!(story_refusal("name: x\nsteps:\n  - power-on: desk\n - wait: 1s\n"));
    assert_snapshot!(story_refusal("name: x\nname: y\nsteps:\n  - wait: 1s\n"));
    assert_snapshot!(story_refusal("name: [1, 2\nsteps: }"));
    assert_snapshot!(story_refusal("name: !secret x\n<<: *missing\n"));
    assert_snapshot!(story_refusal("name: x\n--- \nname: y\n"));
}
