//! The house itself: which crate may know which, and what every file keeps to.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use whole::house;

/// The arrows between our crates: who may depend on whom. Tests may use more: see [`TESTS_MAY_USE`].
const ARROWS: &[(&str, &[&str])] = &[
    ("net", &[]),
    ("pki", &["net"]),
    ("sip", &["net"]),
    ("media", &["net"]),
    ("site", &["net", "pki"]),
    ("identity", &["net"]),
    ("registrar", &["net", "sip", "pki"]),
    ("vvx", &["net", "sip", "media", "pki"]),
    ("scenario", &["net", "pki", "sip", "site", "identity", "registrar", "vvx"]),
    ("wire", &["net"]),
    ("load", &["net", "pki", "sip", "registrar", "scenario", "wire"]),
    ("lab", &["scenario", "wire", "load", "identity", "registrar", "net", "pki"]),
];

/// What a crate's tests may use beside.
const TESTS_MAY_USE: &[(&str, &[&str])] = &[("sip", &["pki"])];

/// Crates whose actors get time, chance and octets handed to them, and take none.
const ACTORS: &[&str] = &["net", "pki", "sip", "media", "site", "identity", "registrar", "vvx", "scenario"];

/// Crates that reach the machine.
const REACH_THE_MACHINE: &[&str] =
    &["tokio", "mio", "socket2", "getrandom", "async-std", "smol", "nix", "libc"];

/// Above this a file has surely taken on a second promise.
const LINES_MAX: usize = 1000;
/// Above this one asks.
const LINES_ASK: usize = 600;

/// Names of files that texts may mention though they are made later or belong to somebody else.
const MADE_ELSEWHERE: &[&str] = &[
    // `lab certs` makes these on each machine.
    "certs/fe-root.pem",
    "certs/fe.pem",
    "fe-root.pem",
    "fe.pem",
    "identity.pem",
    "lab-roots.pem",
    "public-root.pem",
    // Somebody's own plan, in examples.
    "plan.yaml",
    // `lab load --out` writes these.
    "report.html",
    "result.json",
];

/// Ends of names by which a text's word is known to be a file of ours.
const FILE_ENDS: &[&str] =
    &[".rs", ".yaml", ".yml", ".md", ".toml", ".json", ".html", ".sh", ".pem", ".snap"];

/// What a crate depends on: names, and whether tests alone do.
struct Dependencies {
    name: String,
    on: Vec<(String, bool)>,
}

/// What the manifests say, as cargo understands them.
fn manifests() -> Vec<Dependencies> {
    #[expect(clippy::disallowed_methods, reason = "cargo itself says how it understands the manifests")]
    let said = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(house::root())
        .output()
        .expect("cargo starts");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let said: Value = serde_json::from_slice(&said.stdout).expect("cargo speaks JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = said["packages"].as_array().expect("a workspace has packages");
    let of = |package: &Value| Dependencies {
        name: text(&package["name"]),
        on: (package["dependencies"].as_array().into_iter().flatten())
            .map(|on| (text(&on["name"]), on["kind"] == "dev"))
            .collect(),
    };
    packages.iter().map(of).collect()
}

fn allowed(table: &[(&str, &'static [&'static str])], name: &str) -> Option<&'static [&'static str]> {
    table.iter().find(|(of, _)| *of == name).map(|(_, may)| *may)
}

/// What is wrong with the arrows between the crates.
fn wrong_arrows(manifests: &[Dependencies]) -> Vec<String> {
    let ours: BTreeSet<&str> = manifests.iter().map(|one| one.name.as_str()).collect();
    let mut wrong = Vec::new();
    for one in manifests.iter().filter(|one| one.name != "whole") {
        let Some(may) = allowed(ARROWS, &one.name) else {
            wrong.push(format!("{}: nobody has said what it may depend on", one.name));
            continue;
        };
        for (on, is_for_tests) in one.on.iter().filter(|(on, _)| ours.contains(on.as_str())) {
            let in_tests = allowed(TESTS_MAY_USE, &one.name).unwrap_or_default();
            if !(may.contains(&on.as_str()) || *is_for_tests && in_tests.contains(&on.as_str())) {
                let what = if *is_for_tests { "tests of " } else { "" };
                wrong.push(format!("{what}{} → {on}", one.name));
            }
        }
    }
    wrong
}

#[test]
fn arrows_between_crates_run_one_way() {
    let manifests = manifests();
    assert!(manifests.len() >= 10, "cargo told of {} crates", manifests.len());
    let wrong = wrong_arrows(&manifests);
    assert!(wrong.is_empty(), "these crates may not know each other: {wrong:#?}");
}

#[test]
fn an_arrow_that_nobody_allowed_is_found() {
    let with = |name: &str, on: &[(&str, bool)]| Dependencies {
        name: name.to_owned(),
        on: on.iter().map(|(on, is_for_tests)| ((*on).to_owned(), *is_for_tests)).collect(),
    };
    let known = ["net", "pki", "identity"].map(|name| with(name, &[]));
    let crates =
        |more: Dependencies| known.iter().map(|one| with(&one.name, &[])).chain([more]).collect::<Vec<_>>();
    let found = wrong_arrows(&crates(with("vvx", &[("net", false), ("identity", false)])));
    assert_eq!(found, ["vvx → identity"]);
    let found = wrong_arrows(&crates(with("sip", &[("pki", true)])));
    assert_eq!(found, [""; 0]);
    let found = wrong_arrows(&crates(with("sip", &[("pki", false)])));
    assert_eq!(found, ["sip → pki"]);
    let found = wrong_arrows(&crates(with("stranger", &[])));
    assert_eq!(found, ["stranger: nobody has said what it may depend on"]);
}

#[test]
fn no_actor_reaches_the_machine_by_itself() {
    let mut wrong = Vec::new();
    for one in manifests().iter().filter(|one| ACTORS.contains(&one.name.as_str())) {
        let reaching = one.on.iter().filter(|(on, _)| REACH_THE_MACHINE.contains(&on.as_str()));
        wrong.extend(reaching.map(|(on, _)| format!("{} → {on}", one.name)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every Rust file of ours.
fn sources() -> Vec<(String, String)> {
    let mut paths = house::files("crates", &[".rs"]);
    paths.extend(house::files("tests", &[".rs"]));
    assert!(paths.len() > 150, "only {} files were found", paths.len());
    let read = |path: String| {
        let text = house::text(&path).unwrap_or_else(|why| panic!("{path}: {why}"));
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn every_file_says_its_promise_first() {
    let silent: Vec<String> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "without a `//!` in the first line: {silent:#?}");
}

#[test]
fn no_file_is_longer_than_a_reader_bears() {
    let mut lengths: Vec<(usize, String)> =
        sources().into_iter().map(|(path, text)| (text.lines().count(), path)).collect();
    lengths.sort_by(|one, other| other.cmp(one));
    for (lines, path) in lengths.iter().filter(|(lines, _)| *lines > LINES_ASK) {
        println!("{lines:>5} lines  {path}");
    }
    let long: Vec<_> = lengths.iter().filter(|(lines, _)| *lines > LINES_MAX).collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines: {long:?}");
}

/// The lines of a source that are built into the crate: no comments, and nothing from its tests on.
fn built_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_code = |(_, line): &(usize, &str)| !line.trim_start().starts_with("//");
    let lines: Vec<&str> = text.lines().collect();
    // Tests stand last; `mod tests;` or `mod tests {` behind its attribute ends what is built.
    let opens_tests = |pair: &[&str]| pair[0].trim() == "#[cfg(test)]" && pair[1].trim().starts_with("mod ");
    let end = lines.windows(2).position(opens_tests).unwrap_or(lines.len());
    text.lines().take(end).enumerate().map(|(index, line)| (index + 1, line)).filter(is_code)
}

fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// Places where a source gives up instead of answering.
fn unwraps(path: &str, text: &str) -> Vec<String> {
    let gives_up = |(_, line): &(usize, &str)| line.contains(".unwrap()");
    built_lines(text)
        .filter(gives_up)
        .map(|(number, line)| format!("{path}:{number}: {}", line.trim()))
        .collect()
}

#[test]
fn nothing_outside_tests_unwraps() {
    let ours = sources().into_iter().filter(|(path, _)| path.contains("/src/") && !is_test_file(path));
    let found: Vec<String> = ours.flat_map(|(path, text)| unwraps(&path, &text)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn an_unwrap_is_found_where_it_counts() {
    let text = "//! `x.unwrap()`\nfn a() { b().unwrap() }\n#[cfg(test)]\nmod tests {\n c().unwrap() }\n";
    assert_eq!(unwraps("a.rs", text), ["a.rs:2: fn a() { b().unwrap() }"]);
}

/// The texts for people at the top of the project.
fn texts() -> Vec<(String, String)> {
    let mut paths = house::files("docs", &[".md"]);
    let top = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
    paths.extend(top.map(str::to_owned).into_iter().filter(|path| house::root().join(path).exists()));
    let read = |path: String| {
        let text = house::text(&path).unwrap_or_else(|why| panic!("{path}: {why}"));
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// The paths that a text mentions in backticks or as targets of links.
fn mentioned(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let words = quoted.flat_map(str::split_whitespace).chain(links);
    let bare = words.map(|word| word.split(['#', ':']).next().unwrap_or_default());
    let is_path = |word: &&str| {
        let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        is_plain
            && !word.starts_with(['-', '.', '/'])
            && FILE_ENDS.iter().any(|end| word.ends_with(end) && word != end)
    };
    bare.filter(is_path).map(str::to_owned).collect()
}

/// Whether `word`, in a text in `folder`, names a file of the project: from the top, from the text's own folder, or
/// as the end of some file's path, such as `parts/sign-in.yaml`.
fn names_a_file(word: &str, folder: &str, everywhere: &[String]) -> bool {
    let from = |folder: &str| house::root().join(folder).join(word).exists();
    let ends = |path: &String| path.strip_suffix(word).is_some_and(|before| before.ends_with('/'));
    from("") || from(folder) || everywhere.iter().any(ends)
}

#[test]
fn every_file_that_a_text_mentions_is_there() {
    let everywhere = house::files("", FILE_ENDS);
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in texts() {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let gone = mentioned(&text).into_iter().filter(|word| {
            !MADE_ELSEWHERE.contains(&word.as_str()) && !names_a_file(word, folder, &everywhere)
        });
        let gone: Vec<String> = gone.collect();
        if !gone.is_empty() {
            missing.insert(path, gone);
        }
    }
    assert!(missing.is_empty(), "texts mention files that are not there: {missing:#?}");
}

/// Lines that a text quotes: `path:line` in backticks with a step in backticks right behind it.
fn quoted_lines(text: &str) -> Vec<(String, usize, String)> {
    let pieces: Vec<&str> = text.split('`').collect();
    let quotes = pieces.windows(3).skip(1).step_by(2).filter(|three| three[1] == " ");
    let place = |place: &str| {
        let (path, line) = place.rsplit_once(':')?;
        Some((path.to_owned(), line.parse().ok()?))
    };
    quotes.filter_map(|three| place(three[0]).map(|(path, line)| (path, line, three[2].to_owned()))).collect()
}

#[test]
fn every_line_that_a_text_quotes_says_what_is_quoted() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (path, text) in texts() {
        for (of, number, quote) in quoted_lines(&text) {
            count += 1;
            let there = house::text(&of).unwrap_or_default();
            let there = there.lines().nth(number - 1).unwrap_or_default();
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            let there = words(there);
            if !quote.split('…').all(|piece| there.contains(words(piece).as_str())) {
                wrong.push(format!("{path}: {of}:{number} says `{there}`, not `{quote}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("{count} quoted lines");
    assert!(count > 0 || !house::root().join("docs/guide.md").exists(), "the guide quotes lines of stories");
}

#[test]
fn a_quoted_line_is_found() {
    let text = "x `docs/a.yaml:13` `press: { … }`; `b.yaml:6` and `c`";
    assert_eq!(quoted_lines(text), [("docs/a.yaml".to_owned(), 13, "press: { … }".to_owned())]);
}

#[test]
fn a_mention_is_found_in_backticks_and_links() {
    let text =
        "See `lab.yaml`, run `lab run scenarios/a.yaml --seed 7`, [more](docs/b.md#top), `x.y`, lab.json.";
    let found = mentioned(text);
    assert_eq!(
        found.iter().map(String::as_str).collect::<Vec<_>>(),
        ["docs/b.md", "lab.yaml", "scenarios/a.yaml"]
    );
}

#[test]
fn clippy_bans_what_would_make_runs_differ() {
    let text = house::text("clippy.toml").expect("the bans are there");
    let banned = |path: &str| {
        text.lines().any(|line| line.contains(&format!("\"{path}\"")) && line.contains("reason"))
    };
    let wanted = [
        "std::time::Instant::now",
        "std::time::SystemTime::now",
        "std::thread::sleep",
        "std::env::var",
        "std::env::args",
        "std::fs::read",
        "std::fs::read_to_string",
        "std::fs::write",
        "std::fs::File::open",
        "std::fs::File::create",
        "std::collections::HashMap",
        "std::collections::HashSet",
        "std::time::Instant",
        "std::time::SystemTime",
        "std::net::TcpStream",
        "std::net::TcpListener",
        "std::net::UdpSocket",
    ];
    let missing: Vec<&str> = wanted.into_iter().filter(|path| !banned(path)).collect();
    assert!(missing.is_empty(), "clippy.toml does not ban {missing:?}");
    // A ban counts only where the workspace's lints are in force.
    for folder in ["crates", "tests"] {
        for path in house::files(folder, &["Cargo.toml"]) {
            let text = house::text(&path).unwrap_or_else(|why| panic!("{path}: {why}"));
            assert!(text.contains("[lints]\nworkspace = true"), "{path} does not take the workspace's lints");
        }
    }
}
