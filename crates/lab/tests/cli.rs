//! The tool from outside: what it prints, what it writes, and how it exits.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const WELL: &str = "name: A phone comes up
phones: [desk]
steps:
  - power-on: desk
  - expect: { phone: desk, screen: home, within: 3m }
";

const FAILS: &str = "name: A phone makes <coffee> & tea
phones: [desk]
steps:
  - power-on: desk
  - expect: { phone: desk, screen: web-code, within: 1m }
";

const WRONG: &str = "name: Not a story\nphones: [desk]\nsteps:\n  - power-on: dsk\n";

/// A folder for one test, gone when it is dropped.
struct Desk(PathBuf);

impl Desk {
    #[expect(clippy::disallowed_methods, reason = "a test makes a folder for itself")]
    fn new(name: &str) -> Desk {
        let path = std::env::temp_dir().join(format!("lab-cli-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("the machine has room for a folder");
        let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lab.yaml");
        std::fs::copy(lab, path.join("lab.yaml")).expect("the default lab is there");
        Desk(path)
    }

    #[expect(clippy::disallowed_methods, reason = "the test writes what the tool reads")]
    fn with(self, name: &str, text: &str) -> Desk {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
        std::fs::write(path, text).expect("the machine has room for a story");
        self
    }

    fn read(&self, name: &str) -> String {
        #[expect(clippy::disallowed_methods, reason = "the test reads what the tool wrote")]
        std::fs::read_to_string(self.0.join(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    fn lab(&self, arguments: &[&str]) -> Said {
        #[expect(clippy::disallowed_methods, reason = "the test starts the tool")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        let output = command.args(arguments).current_dir(&self.0).env("NO_COLOR", "1").output();
        Said::new(output.expect("the tool starts"))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug)]
struct Said {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn new(output: Output) -> Said {
        let text = |octets: Vec<u8>| String::from_utf8(octets).expect("the tool writes UTF-8");
        Said { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn json(&self) -> Vec<Value> {
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        self.out.lines().map(line).collect()
    }
}

fn both() -> impl Fn(&str) -> Desk {
    |name| Desk::new(name).with("s/fails.yaml", FAILS).with("s/well.yaml", WELL)
}

#[test]
fn all_stories_that_come_true_are_zero() {
    let said = Desk::new("zero").with("well.yaml", WELL).lab(&["run", "well.yaml"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    assert!(said.out.starts_with("✓ A phone comes up\n"), "{}", said.out);
    assert!(said.out.contains("seed 7"), "{}", said.out);
    assert_eq!(said.err, "");
}

#[test]
fn a_story_that_fails_is_one_and_the_others_are_told_all_the_same() {
    let said = both()("one").lab(&["run", "s"]);
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(said.out.contains("✗ A phone makes <coffee> & tea"), "{}", said.out);
    assert!(said.out.contains("lab run s/fails.yaml --seed 7"), "{}", said.out);
    assert!(said.out.contains("✓ A phone comes up"), "{}", said.out);
    assert!(said.out.contains("1 passed, 1 failed"), "{}", said.out);
}

#[test]
fn a_file_that_is_wrong_is_two_and_nothing_is_told() {
    let desk = both()("two").with("s/wrong.yaml", WRONG);
    let said = desk.lab(&["run", "s"]);
    assert_eq!(said.status, Some(2), "{said:?}");
    assert!(said.err.contains("wrong.yaml:4:") && said.err.contains("desk"), "{}", said.err);
    assert_eq!(said.out, "");
    for nothing in [["run", "nowhere.yaml"], ["run", "--sed"]] {
        let said = desk.lab(&nothing);
        assert_eq!(said.status, Some(2), "{said:?}");
        assert_ne!(said.err, "");
    }
}

#[test]
fn check_says_what_is_wrong_without_telling() {
    let desk = both()("check").with("wrong.yaml", WRONG);
    assert_eq!(desk.lab(&["check", "s"]).status, Some(0));
    let said = desk.lab(&["check", "wrong.yaml"]);
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(format!("{}{}", said.out, said.err).contains("wrong.yaml:4:"), "{said:?}");
}

#[test]
fn json_is_an_object_a_line() {
    let said = both()("json").lab(&["run", "s", "--format", "json"]);
    assert_eq!(said.status, Some(1));
    let lines = said.json();
    assert_eq!(lines.len(), 2);
    let of = |file: &str| {
        lines.iter().find(|line| line["file"] == file).unwrap_or_else(|| panic!("{file}: {lines:#?}"))
    };
    let (well, fails) = (of("s/well.yaml"), of("s/fails.yaml"));
    assert_eq!(well["passed"], true);
    assert_eq!(well["failure"], Value::Null);
    assert_eq!(well["seed"], 7);
    assert_eq!(well["steps"], 2);
    assert_eq!(well["trace"].as_str().map(str::len), Some(64));
    assert_eq!(fails["passed"], false);
    assert!(fails["failure"].as_str().is_some_and(|text| text.contains("fails.yaml:5:")), "{fails}");
}

#[test]
fn a_seed_is_the_same_run_and_another_one_another() {
    let desk = Desk::new("seed").with("well.yaml", WELL);
    let trace = |seed: &str| {
        let said = desk.lab(&["run", "well.yaml", "--format", "json", "--seed", seed]);
        said.json()[0]["trace"].as_str().map(str::to_owned)
    };
    assert_eq!(trace("11"), trace("11"));
    assert_ne!(trace("11"), trace("12"));
}

#[test]
fn a_story_is_told_once_for_each_seed_and_summed_up() {
    let desk = both()("seeds");
    let lines = desk.lab(&["run", "s/well.yaml", "--seeds", "3..6", "--format", "json"]).json();
    let seeds: Vec<Option<u64>> = lines.iter().map(|line| line["seed"].as_u64()).collect();
    assert_eq!(seeds, [Some(3), Some(4), Some(5), Some(6)]);
    let said = desk.lab(&["run", "s", "--seeds", "3..6"]);
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(said.out.contains("✓ A phone comes up\n  4 seeds"), "{}", said.out);
    assert!(said.out.contains("failed with 4 seeds: 3, 4, 5, 6"), "{}", said.out);
}

#[test]
fn quiet_prints_failures_only() {
    let said = both()("quiet").lab(&["run", "s", "--quiet"]);
    assert_eq!(said.status, Some(1));
    assert!(said.out.contains("✗ A phone makes"), "{}", said.out);
    assert!(!said.out.contains("A phone comes up"), "{}", said.out);
    let said = Desk::new("silence").with("well.yaml", WELL).lab(&["run", "well.yaml", "-q"]);
    assert_eq!((said.status, said.out.as_str(), said.err.as_str()), (Some(0), "", ""));
}

#[test]
fn the_order_of_outcomes_does_not_depend_on_how_many_are_told_at_a_time() {
    let desk = both()("jobs");
    let of = |jobs: &str| {
        let said = desk.lab(&["run", "s", "--seeds", "1..6", "--format", "json", "--jobs", jobs]);
        let line = |line: &Value| (line["file"].clone(), line["seed"].clone(), line["trace"].clone());
        said.json().iter().map(line).collect::<Vec<_>>()
    };
    let one = of("1");
    assert_eq!(one.len(), 12);
    assert_eq!(one, of("4"));
}

#[test]
fn junit_is_xml_that_test_servers_read() {
    let desk = both()("junit");
    let said = desk.lab(&["run", "s", "--junit", "out/junit.xml"]);
    assert_eq!(said.status, Some(1));
    let text = desk.read("out/junit.xml");
    let mut reader = quick_xml::Reader::from_str(&text);
    reader.config_mut().check_end_names = true;
    let (mut open, mut seen) = (Vec::new(), Vec::new());
    loop {
        use quick_xml::events::Event;
        let event = reader.read_event().unwrap_or_else(|why| panic!("{why}\n{text}"));
        if let Event::Start(tag) | Event::Empty(tag) = &event {
            seen.push(tag.name().as_ref().to_owned());
            let wrong = tag.attributes().find_map(Result::err);
            assert!(wrong.is_none(), "attributes of {tag:?}: {wrong:?}");
        }
        match event {
            Event::Start(tag) => open.push(tag.name().as_ref().to_owned()),
            Event::End(tag) => assert_eq!(open.pop().as_deref(), Some(tag.name().as_ref())),
            Event::Eof => break,
            _ => {}
        }
    }
    let count = |name: &str| seen.iter().filter(|tag| *tag == name).count();
    assert!(open.is_empty(), "left open: {open:?}");
    assert_eq!((count("testcase"), count("failure")), (2, 1), "{text}");
    assert!(text.contains("tests=\"2\" failures=\"1\""), "{text}");
    assert!(text.contains("&lt;coffee&gt; &amp; tea"), "{text}");
}

#[test]
fn a_report_holds_ladder_outcome_and_phone_logs_of_each_story() {
    let desk = both()("report");
    desk.lab(&["run", "s", "--report", "out"]);
    let mut names: Vec<String> = desk
        .0
        .join("out")
        .read_dir()
        .expect("the report is there")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort();
    let ends = |end: &str| names.iter().filter(|name| name.ends_with(end)).count();
    assert_eq!([".ladder.txt", ".json", ".desk.log"].map(ends), [2, 2, 2], "{names:?}");
    let ladder = names.iter().find(|name| name.contains("well") && name.ends_with(".ladder.txt"));
    let ladder = desk.read(&format!("out/{}", ladder.expect("a ladder of the story that came true")));
    assert!(ladder.contains("desk shows `home`"), "{ladder}");
}

#[test]
fn the_schema_is_json_and_the_verbs_are_text() {
    let desk = Desk::new("schema");
    for of in ["lab", "story"] {
        let said = desk.lab(&["schema", of]);
        assert_eq!(said.status, Some(0), "{said:?}");
        let schema: Value = serde_json::from_str(&said.out).expect("a schema is JSON");
        assert!(schema["properties"].is_object() || schema["$ref"].is_string(), "{of}: {schema:#}");
    }
    let said = desk.lab(&["schema", "verbs"]);
    assert_eq!(said.status, Some(0));
    assert!(said.out.contains("power-cut"), "{}", said.out);
}

#[test]
fn one_trace_file_holds_one_telling() {
    let desk = Desk::new("trace").with("a.yaml", WELL).with("b.yaml", WELL);
    let said = desk.lab(&["run", "a.yaml", "--trace", "out/a.pcapng"]);
    assert_eq!(said.status, Some(0), "{}", said.err);
    #[expect(clippy::disallowed_methods, reason = "the test reads what the tool wrote")]
    let file = std::fs::read(desk.0.join("out/a.pcapng")).expect("the capture is there");
    assert_eq!(file[..4], [0x0a, 0x0d, 0x0d, 0x0a], "a pcapng file begins like this");
    for (arguments, wanted) in [
        (&["run", "a.yaml", "b.yaml", "--trace", "x.pcapng"][..], "2 stories"),
        (&["run", "a.yaml", "--seeds", "1..3", "--trace", "x.pcapng"], "3 seeds"),
    ] {
        let said = desk.lab(arguments);
        assert_eq!(said.status, Some(2));
        assert!(said.err.contains(wanted) && said.err.contains("x.pcapng"), "{}", said.err);
    }
    assert!(!desk.0.join("x.pcapng").exists());
    let said = desk.lab(&["run", "a.yaml", "--trace", "lab.yaml/x.pcapng"]);
    assert_eq!(said.status, Some(2));
    assert!(said.err.contains("lab.yaml/x.pcapng: cannot be written"), "{}", said.err);
}
