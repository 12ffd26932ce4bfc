//! Files that mean harm: a named limit meets them, in bounded time and memory.
//!
//! Time is not measured: what is bounded is the work, and each limit stops it before a fixed number of values,
//! bytes or files. A file that got past its limit would not end these tests in anybody's lifetime.

use std::fmt::Write as _;

use insta::assert_snapshot;
use proptest::prelude::*;
use scenario::mistakes::{Colour, MOST_MISTAKES};

use crate::shelf::{Shelf, lab_refusal, refusal_of, story_refusal};

#[test]
fn a_file_of_ten_mebibytes_is_not_read() {
    let shelf = Shelf::default().with("story.yaml", "name: x\n# padding\n".repeat((10 << 20) / 18));
    let mistakes = shelf.story("story.yaml").unwrap_err();
    assert_snapshot!(mistakes);
    assert_eq!(shelf.given(), [(1 << 20) + 1], "one byte more than the limit shows that it is over");
}

#[test]
fn an_alias_bomb_is_stopped_by_its_count_of_values() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = level - 1;
        let list = vec![format!("*a{below}"); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{list}]").unwrap();
    }
    assert_snapshot!(story_refusal(bomb));
}

#[test]
fn aliases_do_not_multiply_text() {
    let mut bomb = format!("text: &t \"{}\"\nlist:\n", "x".repeat(100_000));
    bomb.push_str(&"  - *t\n".repeat(900));
    let told = story_refusal(bomb);
    assert!(told.starts_with("aliases repeat more than 1048576 bytes of text"), "{}", &told[..200]);
}

#[test]
fn aliases_are_counted() {
    let told = story_refusal(format!("a: &a x\nlist: [{}]\n", "*a, ".repeat(2_000)));
    assert!(told.starts_with("the file uses more than 1000 aliases"), "{}", &told[..200]);
}

#[test]
fn an_alias_does_not_stand_in_what_it_names() {
    assert_snapshot!(story_refusal("a: &a [*a]\n"));
}

#[test]
fn deep_nesting_is_stopped_whichever_way_it_is_written() {
    let flow = format!("steps: {}1{}\n", "[".repeat(50_000), "]".repeat(50_000));
    let told = story_refusal(flow);
    assert!(told.starts_with("lists and maps stand more than 32 deep in one another"), "{told:.300}");
    let unclosed = story_refusal("{a: ".repeat(100_000));
    assert!(unclosed.starts_with("lists and maps stand more than 32 deep"), "{unclosed:.300}");
    let block = story_refusal("- ".repeat(5_000));
    assert!(block.starts_with("lists and maps stand more than 32 deep"), "{block:.300}");
    assert_snapshot!(story_refusal(format!("steps:\n  - {}x{}\n", "[".repeat(40), "]".repeat(40))));
}

#[test]
fn depth_counts_on_through_included_files() {
    let nested = |inner: &str| {
        let (open, close) = ("{ parallel: [".repeat(5), "] }".repeat(5));
        format!("- {open}{inner}{close}\n")
    };
    let shelf = Shelf::of_the_house()
        .with("story.yaml", format!("name: deep\nsteps:\n{}", nested("{ include: a.yaml }")))
        .with("a.yaml", nested("{ include: b.yaml }"))
        .with("b.yaml", nested("{ include: c.yaml }"))
        .with("c.yaml", nested("{ wait: 1s }"));
    let told = refusal_of(shelf);
    assert!(told.starts_with("lists and maps stand more than 32 deep in one another"), "{told:.300}");
}

#[test]
fn many_values_are_stopped_by_their_count() {
    let told = story_refusal("- 1\n".repeat(150_000));
    assert!(told.starts_with("the file holds more than 100000 values"), "{told:.300}");
}

#[test]
fn merge_keys_are_not_read() {
    assert_snapshot!(lab_refusal("base: &b { a: 1 }\npeople:\n  <<: *b\n"));
}

#[test]
fn text_that_is_not_utf8_is_refused_with_the_byte() {
    assert_snapshot!(story_refusal(b"name: caf\xe9\nsteps: []\n"));
}

#[test]
fn includes_are_limited_in_depth_and_number() {
    let mut shelf = Shelf::of_the_house().with("story.yaml", "name: x\nsteps:\n  - include: f0.yaml\n");
    for file in 0..12 {
        shelf = shelf.with(&format!("f{file}.yaml"), format!("- include: f{}.yaml\n", file + 1));
    }
    assert_snapshot!(refusal_of(shelf));
    let many = "  - include: one.yaml\n".repeat(100);
    let shelf = Shelf::of_the_house()
        .with("story.yaml", format!("name: x\nsteps:\n{many}"))
        .with("one.yaml", "- wait: 1s\n");
    let told = refusal_of(shelf);
    assert!(told.starts_with("a story includes more than 64 files"), "{told:.300}");
}

#[test]
fn includes_that_double_at_each_level_are_stopped() {
    let mut shelf = Shelf::of_the_house().with("story.yaml", "name: x\nsteps:\n  - include: f0.yaml\n");
    for file in 0..7 {
        let next = format!("- include: f{}.yaml\n", file + 1);
        shelf = shelf.with(&format!("f{file}.yaml"), next.repeat(4));
    }
    let shelf = shelf.with("f7.yaml", "- wait: 1s\n");
    let told = shelf.story("story.yaml").unwrap_err().to_string();
    assert!(shelf.given().len() <= 2 + 64, "{} files were read", shelf.given().len());
    assert!(told.starts_with("a story includes more than 64 files"), "{told:.300}");
}

#[test]
fn a_table_does_not_multiply_steps_without_end() {
    let rows = "  - { a: b }\n".repeat(200);
    let steps = "  - wait: 1s\n".repeat(2_000);
    let told = story_refusal(format!("name: x\ncases:\n{rows}steps:\n{steps}"));
    assert!(told.starts_with("the table makes more than 400000 values"), "{told:.300}");
    let rows = "  - { a: b }\n".repeat(201);
    let told = story_refusal(format!("name: x\ncases:\n{rows}steps:\n  - wait: 1s\n"));
    assert!(told.starts_with("a table has more than 200 rows"), "{told:.300}");
    let long = format!("  - {{ a: {} }}\n", "x".repeat(100_000));
    let steps = format!("  - browse: {{ person: alice, to: \"{}\" }}\n", "{{a}}".repeat(1_000));
    let told = story_refusal(format!("name: x\ncases:\n{long}steps:\n{steps}"));
    assert!(told.starts_with("the table makes more than 33554432 bytes of text"), "{told:.300}");
}

#[test]
fn repeats_in_repeats_come_to_an_end() {
    let mut steps = "{ wait: 1s }".to_owned();
    for _ in 0..3 {
        steps = format!("{{ repeat: {{ times: 1000, steps: [{steps}] }} }}");
    }
    let told = story_refusal(format!("name: x\nsteps: [{steps}]\n"));
    assert!(told.starts_with("with its repetitions the story tells more than 1000000 steps"), "{told:.300}");
}

#[test]
fn a_file_full_of_mistakes_is_told_in_part() {
    let told = story_refusal(format!("name: x\nsteps:\n{}", "  - wiat: 1s\n".repeat(20_000)));
    assert_eq!(told.matches("`wiat` is not a verb").count(), MOST_MISTAKES);
    assert!(told.lines().last().unwrap().starts_with("… and "), "{}", told.lines().last().unwrap());
}

#[test]
fn what_a_file_says_cannot_steer_the_terminal() {
    let told = story_refusal("name: x\nsteps:\n  - \"\\e[2Jwipe\\u202e\": 1\n");
    assert!(!told.contains('\u{1b}') && !told.contains('\u{202e}'), "{told:?}");
    let raw = story_refusal("name: x\nsteps:\n  - wa\u{202e}it: 1\n");
    assert!(!raw.contains('\u{202e}'), "{raw:?}");
    let shelf = Shelf::of_the_house().with("story.yaml", "name: x\nsteps:\n  - wa\u{1b}[31mit: 1\n");
    let mistakes = shelf.story("story.yaml").unwrap_err();
    assert!(mistakes.render(Colour::With).contains("\u{1b}["), "colour is there when it is wanted");
    assert!(!mistakes.render(Colour::With).contains("\u{1b}[31mit"), "and only ours");
}

#[test]
fn a_password_is_not_shown_in_the_line_of_a_mistake() {
    let told = lab_refusal("people:\n  bob: { upn: bob, password: \"Gr33n-Door!\", line: 1 }\n");
    assert!(told.contains("password: •") && !told.contains("Gr33n"), "{told}");
    let told = lab_refusal("people:\n  bob: { password: Gr33n-Door!, upn: }}\n");
    assert!(told.contains("password: •") && !told.contains("Gr33n"), "{told}");
}

#[test]
fn very_long_names_are_quoted_in_part() {
    let name = "n".repeat(50_000);
    let lab =
        format!("people: {{ {name}: {{ upn: {name} }}, b: {{ pool: {name} }} }}\n{name}: 1\n{name}: 2\n");
    assert!(lab_refusal(&lab).len() < 10_000);
    let lab = lab.replace(&format!("{name}: 2\n"), "");
    assert!(lab_refusal(lab).len() < 10_000);
    let story = format!("name: x\nsteps:\n  - include: {name}.yaml\n  - {name}: 1\n  - power-on: {name}\n");
    assert!(story_refusal(story).len() < 10_000);
}

#[test]
fn a_very_long_line_is_shown_around_its_mistake() {
    let told = story_refusal(format!("name: x\nsteps: [{{ wiat: 1s, x: \"{}\" }}]\n", "y".repeat(100_000)));
    assert!(told.len() < 4_000, "{} bytes", told.len());
    let told = story_refusal(format!("name: x\nsteps: [{}{{ wiat: 1s }}]\n", "{ wait: 1s }, ".repeat(5_000)));
    assert!(told.contains("wiat") && told.len() < 4_000, "{} bytes", told.len());
}

/// Pieces of which something like a story can fall out.
fn pieces() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "name: x\n",
        "steps:\n",
        "  - ",
        "- ",
        "power-on",
        ": ",
        "desk",
        "{ ",
        " }",
        "[",
        "]",
        ", ",
        "\n",
        "  ",
        "expect",
        "phone",
        "screen",
        "home",
        "within",
        "3m",
        "never",
        "since",
        "capture",
        "{{",
        "}}",
        "include",
        "&a ",
        "*a",
        "<<",
        "\"",
        "'",
        "|",
        ">",
        "#",
        "!",
        "%",
        "---\n",
        "\t",
        "é",
        "\u{0}",
        "\u{feff}",
        "? ",
        "cases:\n",
        "set:\n",
        "people",
        "identity",
        "parallel",
        "repeat",
        "times",
        "5",
        "~",
        "null",
    ]);
    prop::collection::vec(words, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = lab_refusal(&bytes);
        let _ = refusal_of(Shelf::default().with("lab.yaml", "seed: 1\n").with("story.yaml", &bytes));
    }

    #[test]
    fn arbitrary_text_never_panics(text in ".{0,300}") {
        let _ = lab_refusal(&text);
        let _ = refusal_of(Shelf::default().with("lab.yaml", "seed: 1\n").with("story.yaml", &text));
    }

    #[test]
    fn text_that_looks_like_a_story_never_panics(text in pieces()) {
        let shelf = Shelf::default().with("lab.yaml", "seed: 1\n").with("story.yaml", text.as_bytes());
        let _ = refusal_of(shelf);
        let _ = lab_refusal(&text);
    }
}
