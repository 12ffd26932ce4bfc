//! Plans as people write them, and mistakes as they make them.

use scenario::language::ReadError;
use scenario::mistakes::Colour;

use super::*;
use crate::plan::{Accounts, Arrivals, Stage, Target, Transport, Work};

const PATH: &str = "plans/mine.yaml";

/// A plan and the files beside it.
struct Shelf(Vec<(String, Vec<u8>)>);

impl Library for Shelf {
    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, ReadError> {
        let found = self.0.iter().find(|(name, _)| name == path);
        let octets =
            found.map(|(_, octets)| octets).ok_or_else(|| ReadError("there is no such file".into()))?;
        Ok(octets[..octets.len().min(limit + 1)].to_vec())
    }
}

fn read(text: &str, overrides: &[&str]) -> Result<Plan, String> {
    let shelf = Shelf(vec![
        (PATH.into(), text.into()),
        ("plans/two.csv".into(), b"user,password\nalice,one\nbob,two\n".to_vec()),
        ("plans/bad.csv".into(), b"alice,one\nalice,two\n".to_vec()),
    ]);
    let overrides: Vec<String> = overrides.iter().map(|it| (*it).to_owned()).collect();
    let reading = Reading { library: &shelf, anywhere: false, overrides: &overrides };
    read_plan(PATH, reading).map_err(|mistakes| mistakes.render(Colour::Without))
}

const SMALL: &str = "title: A test\ntarget: lab\nphones: { count: 100 }\nprofile:\n  - steady: 10/s for 5s\n";

#[test]
fn a_small_plan_is_read_with_what_it_leaves_out() {
    let plan = read(SMALL, &[]).unwrap();
    assert_eq!((plan.phones.count, plan.phones.addresses, plan.seed), (100, 1, 1));
    assert_eq!(plan.work.len(), 1);
    let over = Duration::from_secs(5);
    assert_eq!(plan.profile, [Stage::Rate { from: 10.0, to: 10.0, over, arrivals: Arrivals::Even }]);
    assert!(matches!(plan.target, Target::Lab { transport: Transport::Udp, .. }));
}

#[test]
fn every_stage_is_lowered_to_what_the_engine_knows() {
    let text = "title: x\ntarget: { server: \"127.0.0.1:5061\", transport: tls, roots: any }
phones: { count: 30k, accounts: two.csv }
work:
  - register: { weight: 3, forget-challenge: true }
  - keep-alive
  - unregister: 2
limits: { p99: 5ms }
profile:
  - ramp: 0/s to 1k/s for 2s
  - steps: 10/s to 30/s by 10/s each 1s arrivals poisson
  - boot-storm: { boot: 3s, jitter: 1s, for: 6s }
  - re-registration-storm: 6s for 10s
  - quiet: 2s
  - search: 10/s to 100/s\n";
    let plan = read(text, &[]).unwrap();
    let weights: Vec<u32> = plan.work.iter().map(|one| one.weight).collect();
    assert_eq!(weights, [3, 1, 2]);
    assert!(matches!(plan.work[0].work, Work::Register { forget_challenge: true, close: false }));
    assert_eq!(plan.profile.len(), 8, "{:?}", plan.profile);
    let rates: Vec<f64> = (plan.profile.iter())
        .filter_map(|stage| match stage {
            Stage::Rate { to, .. } => Some(*to),
            _ => None,
        })
        .collect();
    assert_eq!(rates, [1_000.0, 10.0, 20.0, 30.0]);
    assert_eq!(plan.phones.addresses, 60, "500 phones share an address");
    assert!(matches!(&plan.phones.accounts, Accounts::List(list) if list.len() == 2));
}

#[test]
fn what_is_said_on_the_command_line_counts() {
    let plan = read(SMALL, &["phones.count=5k", "limits.p99=9ms", "profile=[{steady: 7/s for 3s}]"]).unwrap();
    assert_eq!(plan.phones.count, 5_000);
    assert_eq!(plan.limits.p99, Some(Duration::from_millis(9)));
    assert!(matches!(plan.profile[..], [Stage::Rate { to: 7.0, .. }]));
    let refused = read(SMALL, &["phones.cuont=5"]).unwrap_err();
    assert!(refused.contains("did you mean `count`?"), "{refused}");
    assert!(read(SMALL, &["phones"]).is_err() && read(SMALL, &["=1"]).is_err());
}

/// Plans that are refused: what is wrong, and the text.
const REFUSED: &[(&str, &str)] = &[
    (
        "names that are slips of the finger",
        "title: x\ntarget: lab\nphones: { cuont: 5 }\nwork: regster\nprofile:\n  - stedy: 5/s for 5s\nlimts: { p99: 1s }\n",
    ),
    (
        "values that are none",
        "title: x\ntarget: { server: lab, transport: sctp }\nphones: { count: many, user: a@b }\nprofile:\n  - steady: 2000 for 60\n  - ramp: 1/s to 5/s\n  - steady: 5/s during 5s\nnetwork: { loss: 1 }\nlimits: { p99: fast, failures: 0.1 }\n",
    ),
    (
        "another machine",
        "title: x\ntarget: 192.0.2.1:5060\nphones: { count: 5, from: 192.0.2.9 }\nprofile: [{ steady: 5/s for 5s }]\n",
    ),
    (
        "one account for all",
        "title: x\ntarget: lab\nphones: { count: 5, user: alice }\nprofile: [{ steady: 5/s for 5s }]\n",
    ),
    (
        "accounts that cannot be",
        "title: x\ntarget: 127.0.0.1:5060\nphones: { count: 5, accounts: bad.csv }\nprofile: [{ steady: 5/s for 5s }]\n",
    ),
    (
        "a search for nothing",
        "title: x\ntarget: lab\nphones: { count: 5 }\nprofile: [{ search: 5/s to 50/s }]\n",
    ),
    (
        "a search twice",
        "title: x\ntarget: lab\nphones: { count: 5 }\nprofile: [{ search: 5/s to 50/s }, { search: 5/s to 9/s }]\n",
    ),
    (
        "nothing left to count",
        "title: x\ntarget: lab\nphones: { count: 5 }\nwarm-up: 5s\nprofile: [{ steady: 5/s for 5s }]\n",
    ),
    (
        "TLS without roots",
        "title: x\ntarget: { server: \"127.0.0.1:5061\", transport: tls, digest: md5 }\nphones: { count: 5 }\nprofile: [{ steady: 5/s for 5s }]\nnetwork: { loss: 1% }\n",
    ),
    (
        "no password",
        "title: x\ntarget: { server: lab, digest: md5 }\nphones: { count: 5 }\nprofile: [{ steady: 5/s for 5s }]\n",
    ),
    ("nothing", "{}\n"),
];

#[test]
fn what_is_wrong_is_told_all_at_once_with_its_place() {
    let mut all = String::new();
    for (name, text) in REFUSED {
        let refused = read(text, &[]).expect_err(name);
        assert!(refused.contains(&format!("{PATH}:")), "{name}: no place:\n{refused}");
        all.push_str(&format!("### {name}\n\n{refused}\n"));
    }
    insta::assert_snapshot!("refused-plans", all);
}

#[test]
fn a_password_is_not_shown_where_a_plan_is_wrong() {
    let refused = read(&SMALL.replace("count: 100", "count: 1, password: hunter2, usr: x"), &[]).unwrap_err();
    assert!(!refused.contains("hunter2"), "{refused}");
}

/// Every plan that comes along.
fn plans() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plans");
    let entries = std::fs::read_dir(folder).expect("there are plans");
    let mut found: Vec<(String, String)> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a plan is text");
            (path.file_name().expect("a name").to_string_lossy().into_owned(), text)
        })
        .collect();
    found.sort();
    found
}

#[test]
fn every_plan_that_comes_along_can_be_read_and_fits_the_schema() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let plans = plans();
    assert!(plans.len() >= 9, "only {} plans", plans.len());
    for (name, text) in plans {
        read(&text, &[]).unwrap_or_else(|why| panic!("{name}\n{why}"));
        let json = scenario::schema::to_json(&text).expect("it was read as YAML");
        let wrong: Vec<String> = validator
            .iter_errors(&json)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses_by_name() {
    let validator = jsonschema::validator_for(&schema()).expect("the schema is one");
    let json = scenario::schema::to_json(REFUSED[0].1).expect("it is YAML");
    assert!(!validator.is_valid(&json));
}

#[test]
fn what_is_for_complete_phones_wants_a_lab_and_what_is_for_a_nat_wants_sockets() {
    let complete = SMALL.replace("profile:", "work: sign-in\nprofile:");
    let wrong = read(&complete, &[]).unwrap_err();
    assert!(wrong.contains("name a lab that has a fleet"), "{wrong}");
    let of_a_lab = complete.replace("target: lab", "target: { server: lab, lab: ../fleet.yaml }");
    let plan = read(&of_a_lab, &[]).unwrap();
    assert!(plan.is_for_complete_phones());
    assert!(matches!(plan.target, Target::Lab { file: Some(file), .. } if file == "plans/../fleet.yaml"));
    let wrong = read(&of_a_lab.replace("count: 100", "count: 100, user: \"load{n}\""), &[]).unwrap_err();
    assert!(wrong.contains("a plan says how many"), "{wrong}");
    let mixed = of_a_lab.replace("work: sign-in", "work: [sign-in, register]");
    let refused = crate::engine::check(&read(&mixed, &[]).unwrap()).unwrap_err().to_string();
    assert!(refused.contains("`register` is work for light phones"), "{refused}");
    let network = format!("{SMALL}network: {{ nat-idle: 30s }}\n");
    let wrong = read(&network, &[]).unwrap_err();
    assert!(wrong.contains("`sockets: one-each`"), "{wrong}");
    read(&network.replace("count: 100", "count: 100, sockets: one-each"), &[]).unwrap();
}
