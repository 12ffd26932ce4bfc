//! `lab check` and `lab schema`: reading without telling.

use scenario::language::{Reading, read_story};

use crate::arguments::{Check, Schema, SchemaOf};
use crate::files::{DiskLibrary, stories};
use crate::{BROKEN, FAILED, PASSED, terminal};

/// Reads every story and prints every mistake.
pub fn check(arguments: &Check) -> u8 {
    let colour = terminal::colour();
    let paths = match stories(&arguments.paths) {
        Ok(paths) => paths,
        Err(why) => {
            eprintln!("lab: {why}");
            return BROKEN;
        }
    };
    let lab = arguments.lab.display().to_string();
    let reading = Reading { library: &DiskLibrary, vocabulary: scenario::run::vocabulary(), lab: &lab };
    let mut wrong = 0;
    // A mistake in the lab is every story's; it is printed once.
    let mut printed = std::collections::BTreeSet::new();
    for path in &paths {
        if let Err(mistakes) = read_story(&path.display().to_string(), reading) {
            wrong += 1;
            let text = mistakes.render(colour);
            if printed.insert(text.clone()) {
                terminal::print(&text);
            }
        }
    }
    let count = paths.len();
    let stories = if count == 1 { "story" } else { "stories" };
    if wrong > 0 {
        terminal::line(&format!(
            "{} {wrong} of {count} {stories} cannot be told",
            terminal::bad("✗", colour)
        ));
        return FAILED;
    }
    terminal::line(&format!("{} {count} {stories} read, no mistake found", terminal::good("✓", colour)));
    PASSED
}

/// Prints a schema, or the list of verbs.
pub fn schema(arguments: &Schema) -> u8 {
    match arguments.of {
        SchemaOf::Lab => print_json(&scenario::schema::lab()),
        SchemaOf::Story => print_json(&scenario::schema::story()),
        SchemaOf::Plan => print_json(&::load::language::schema()),
        SchemaOf::LoadResult => print_json(&::load::outcome::result::Outcome::schema()),
        SchemaOf::Verbs => terminal::print(&scenario::schema::verbs_markdown()),
    }
    PASSED
}

fn print_json(value: &serde_json::Value) {
    terminal::line(&format!("{value:#}"));
}
