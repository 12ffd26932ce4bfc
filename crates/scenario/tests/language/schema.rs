//! The JSON Schemas: right files pass, wrong ones do not.

use serde_json::Value as Json;

use crate::shelf::Shelf;

fn json(text: &str) -> Json {
    scenario::schema::to_json(text).expect("YAML that can be JSON")
}

fn story_schema() -> jsonschema::Validator {
    jsonschema::validator_for(&scenario::schema::story()).expect("a schema")
}

fn lab_schema() -> jsonschema::Validator {
    jsonschema::validator_for(&scenario::schema::lab()).expect("a schema")
}

#[test]
fn every_file_in_the_house_passes() {
    let shelf = Shelf::of_the_house();
    let faults = |schema: &jsonschema::Validator, path: &str| -> Vec<String> {
        schema.iter_errors(&json(shelf.text(path))).map(|error| format!("{path}: {error}")).collect()
    };
    assert_eq!(faults(&lab_schema(), "lab.yaml"), Vec::<String>::new());
    let stories = story_schema();
    for path in shelf.stories() {
        assert_eq!(faults(&stories, &path), Vec::<String>::new());
    }
    let parts = jsonschema::validator_for(&scenario::schema::part()).expect("a schema");
    for path in shelf.parts() {
        assert_eq!(faults(&parts, &path), Vec::<String>::new());
    }
}

#[test]
fn wrong_stories_do_not_pass() {
    let stories = story_schema();
    let wrong = [
        "name: x\n",
        "name: x\nsteps: []\nstep: []\n",
        "name: x\nsteps: [{ pwer-on: desk }]\n",
        "name: x\nsteps: [{ power-on: desk, wait: 1s }]\n",
        "name: x\nsteps: [{ wait: 5 }]\n",
        "name: x\nsteps: [{ press: { phone: desk } }]\n",
        "name: x\nsteps: [{ press: { phone: desk, key: Home, hard: true } }]\n",
        "name: x\nsteps: [{ expect: { phone: desk, page: finished } }]\n",
        "name: x\nsteps: [{ expect: { phone: desk, screen: home, since: wait } }]\n",
        "name: x\nsteps: [{ repeat: { times: 2, steps: [{ wiat: 1s }] } }]\n",
        "name: x\nset: { sede: 3 }\nsteps: [{ wait: 1s }]\n",
        "name: x\nsteps: [{ answer: { service: identity, kind: token, status: 99999 } }]\n",
    ];
    for text in wrong {
        assert!(!stories.is_valid(&json(text)), "{text}");
    }
    assert!(stories.is_valid(&json("name: x\nsteps: [{ wait: 5s }]\n")));
    assert!(stories.is_valid(&json("name: x\ncases: [{ t: 5s }]\nsteps: [{ wait: \"{{t}}\" }]\n")));
}

#[test]
fn wrong_labs_do_not_pass() {
    let labs = lab_schema();
    let wrong = [
        "domian: contoso.example\n",
        "seed: seven\n",
        "identity: { profile: entra }\n",
        "people: { alice: { password: a } }\n",
        "sites: { hq: { subnet: 10.20.0.0 } }\n",
        "sites: { hq: { subnet: 10.20.0.0/16, link: { loss: 3 } } }\n",
        "phones: { desk: { model: vvx600 } }\n",
    ];
    for text in wrong {
        assert!(!labs.is_valid(&json(text)), "{text}");
    }
    assert!(labs.is_valid(&json("seed: 7\n")));
}

#[test]
fn every_key_of_a_lab_is_in_the_list() {
    insta::assert_snapshot!(scenario::schema::lab_markdown());
}

#[test]
fn every_verb_is_in_the_list_with_an_example() {
    let list = scenario::schema::verbs_markdown();
    for verb in scenario::language::Verb::ALL {
        assert!(list.contains(&format!("### `{}`", verb.name)), "{}", verb.name);
        assert!(list.contains(verb.example), "{}", verb.name);
    }
    insta::assert_snapshot!(list);
}
