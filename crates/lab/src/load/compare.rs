//! `lab load compare A B`: two results, and what differs beyond noise.

use std::path::Path;

use ::load::outcome::compare;
use ::load::outcome::result::Outcome;
use scenario::language::Library as _;

use crate::arguments::{Format, LoadCompare};
use crate::files::DiskLibrary;
use crate::{BROKEN, FAILED, PASSED, terminal};

/// How large a result may be: days of seconds.
const RESULT_BYTES_MAX: usize = 512 << 20;

/// Compares.
pub fn compare(arguments: &LoadCompare) -> u8 {
    let (before, after) = match (read(&arguments.before), read(&arguments.after)) {
        (Ok(before), Ok(after)) => (before, after),
        (before, after) => {
            for why in [before.err(), after.err()].into_iter().flatten() {
                eprintln!("lab: {why}");
            }
            return BROKEN;
        }
    };
    let compared = compare::compare(&before, &after);
    match arguments.format {
        Format::Text => {
            terminal::line(&format!("A: {}, {}", before.title, before.started));
            terminal::line(&format!("B: {}, {}", after.title, after.started));
            terminal::print(&compared.text());
        }
        Format::Json => terminal::line(&serde_json::to_string(&compared).unwrap_or_default()),
    }
    if arguments.fail_on_worse && compared.is_worse { FAILED } else { PASSED }
}

fn read(path: &Path) -> Result<Outcome, String> {
    let path = if path.is_dir() { path.join("result.json") } else { path.to_owned() };
    let octets = DiskLibrary.read(&path.display().to_string(), RESULT_BYTES_MAX);
    let octets = octets.map_err(|why| format!("{}: {why}", path.display()))?;
    Outcome::read(&octets).map_err(|why| format!("{}: {why}", path.display()))
}
