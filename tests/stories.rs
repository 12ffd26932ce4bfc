//! Every story of the project, told: one named test for each case.
//!
//! `cargo test -p whole --test stories web` tells those whose names have `web` in them.

use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use scenario::language::Story;
use scenario::mistakes::Colour;
use whole::house::{self, Shelf};

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, trials()).exit_code()
}

fn trials() -> Vec<Trial> {
    let stories = house::stories();
    let count = stories.len();
    let mut trials: Vec<Trial> = stories.iter().flat_map(|path| trials_of(path)).collect();
    trials.push(Trial::test("there are stories", move || match count {
        0 => Err(Failed::from("no story under scenarios/")),
        _ => Ok(()),
    }));
    trials
}

fn trials_of(path: &str) -> Vec<Trial> {
    let short = path.strip_prefix("scenarios/").unwrap_or(path).to_owned();
    let story = match Shelf::default().story(path) {
        Ok(story) => Arc::new(story),
        Err(mistakes) => {
            let text = format!("\n{}", mistakes.render(Colour::Without));
            return vec![Trial::test(short, move || Err(Failed::from(text)))];
        }
    };
    let trial = |index: usize| {
        let story = Arc::clone(&story);
        let name = match &story.cases[index].name {
            Some(case) => format!("{short}: {case}"),
            None => short.clone(),
        };
        Trial::test(name, move || tell(&story, index))
    };
    (0..story.cases.len()).map(trial).collect()
}

fn tell(story: &Story, case: usize) -> Result<(), Failed> {
    let (outcome, _) = scenario::run::tell(story, &story.cases[case], None, Colour::Without)?;
    match outcome.failure {
        None => Ok(()),
        Some(failure) => Err(Failed::from(format!("\n✗ {}\n{failure}", outcome.name))),
    }
}
