//! What a person reads who wrote a story with a mistake, or one that cannot come true.

use scenario::mistakes::Colour;
use whole::house::Shelf;

const PATH: &str = "scenarios/sign-in/mine.yaml";
const SEED: u64 = 7;

/// A step with a mistake, and the name that was meant.
const MISTAKES: &[(&str, &str)] = &[
    ("power-on: dsk", "desk"),
    ("prss: { phone: desk, key: Sign In }", "press"),
    ("press: { phone: desk, kee: Sign In }", "key"),
    ("expect: { phone: desk, screen: web-cod }", "web-code"),
    ("expect: { phone: desk, state: singed-in }", "signed-in"),
    ("expect: { person: alise, page: finished }", "alice"),
    ("expect: { person: alice, page: second-faktor }", "second-factor"),
    ("never: { identity: device-code-isued }", "device-code-issued"),
    ("expect: { happened: certificate-stord, of: alice }", "certificate-stored"),
    ("capture: { code: desk.user-cod }", "user-code"),
    ("answer: { service: identity, kind: tokn, status: 503 }", "token"),
    ("stop: identty", "identity"),
    ("revoke-certificate: alicia", "alice"),
    ("browse: { person: alice, to: \"{{page}}\" }", "capture"),
    ("include: parts/show-cod.yaml", "show-cod.yaml"),
];

/// Steps that are well written and do not come true.
const IMPOSSIBLE: &[(&str, &str)] = &[
    ("a key that is not there", "  - press: { phone: desk, key: Sign Out }\n"),
    ("a screen that does not come", "  - expect: { phone: desk, screen: web-code, within: 10s }\n"),
    (
        "a button that the page does not have",
        "  - browse: { person: alice, to: \"https://login.contoso.example/device\" }
  - click: { person: alice, button: Verify }\n",
    ),
    ("a field that the screen does not have", "  - type: { phone: desk, text: \"1\", field: Password }\n"),
    (
        "what never may be and is",
        "  - never: { identity: device-code-issued }
  - press: { phone: desk, key: Sign In }
  - press: { phone: desk, key: Web Sign-in }
  - wait: 1m\n",
    ),
];

fn with_steps(steps: &str) -> Shelf {
    Shelf::default().with(PATH, format!("name: A story of mine\nphones: [desk]\nsteps:\n{steps}"))
}

fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn a_wrong_name_is_told_with_its_place_and_what_was_meant() {
    let mut all = String::new();
    for (step, meant) in MISTAKES {
        let refused = with_steps(&format!("  - {step}\n")).story(PATH);
        let text = match refused {
            Err(mistakes) => mistakes.render(Colour::Without),
            Ok(_) => panic!("`{step}` was taken as it is"),
        };
        assert!(text.contains(meant), "`{meant}` was meant, and nobody says so:\n{text}");
        assert!(text.contains(&format!("{PATH}:4:")), "no place:\n{text}");
        all.push_str(&format!("### {step}\n\n{}\n\n", text.trim_end()));
    }
    golden("wrong-names", &all);
}

#[test]
fn every_mistake_of_a_story_is_told_at_once() {
    let steps: String = MISTAKES.iter().map(|(step, _)| format!("  - {step}\n")).collect();
    let text = with_steps(&steps).story(PATH).expect_err("it is full of mistakes").render(Colour::Without);
    let missing: Vec<&str> =
        MISTAKES.iter().filter(|(_, meant)| !text.contains(meant)).map(|(step, _)| *step).collect();
    assert!(missing.is_empty(), "nothing is said of {missing:?}:\n{text}");
}

#[test]
fn a_story_that_does_not_come_true_says_where_and_shows_what_was_there() {
    let mut all = String::new();
    for (name, steps) in IMPOSSIBLE {
        let shelf = with_steps(&format!(
            "  - power-on: desk\n  - expect: {{ phone: desk, screen: home, within: 3m }}\n{steps}"
        ));
        let story = shelf.story(PATH).unwrap_or_else(|why| panic!("{name}\n{}", why.render(Colour::Without)));
        let (outcome, _) = scenario::run::tell(&story, &story.cases[0], Some(SEED), Colour::Without)
            .expect("the lab can be built");
        let text = outcome.failure.unwrap_or_else(|| panic!("{name}: it came true"));
        assert!(text.contains(&format!("{PATH}:")), "{name}: no place:\n{text}");
        assert!(text.contains(&format!("lab run {PATH} --seed {SEED}")), "{name}: how again?\n{text}");
        assert!(text.contains("before "), "{name}: no last words:\n{text}");
        all.push_str(&format!("### {name}\n\n{text}\n"));
    }
    assert!(all.contains("┌───"), "no picture of a display:\n{all}");
    golden("impossible-stories", &all);
}
