//! Tables: one story told once a row.
//!
//! A table multiplies; what all rows together make is limited in values and in bytes.

use std::collections::BTreeMap;

use super::include::Files;
use super::story::StoryFile;
use crate::mistakes::{MOST_MISTAKES, Mistake, Place};
use crate::yaml::reader::brief;
use crate::yaml::{Located, Node, Size};

/// Rows that a story's table may have.
pub const MOST_CASES: usize = 200;
/// Values that all rows of a table may make together, the story and its lab counted for each.
pub const MOST_VALUES: usize = 400_000;
/// Bytes of text that all rows of a table may make together.
pub const MOST_FILLED: usize = 32 << 20;
/// A row of the table: its values by column.
pub(super) type Row = BTreeMap<String, String>;

/// The rows of the table; one without values if there is no table.
pub(super) fn rows(file: &StoryFile, lab: &Node, files: &mut Files<'_>) -> Option<Vec<Option<Row>>> {
    let Some(first) = file.cases.first() else { return Some(vec![None]) };
    let parts = [Some(lab), file.steps.tree(), file.set.tree()];
    let sizes: Vec<Size> = parts.into_iter().flatten().map(Size::of).collect();
    let of_all = |one: fn(&Size) -> usize| sizes.iter().map(one).sum::<usize>() * file.cases.len();
    let too_much = if file.cases.len() > MOST_CASES {
        Some(format!("a table has more than {MOST_CASES} rows"))
    } else if of_all(|size| size.nodes) > MOST_VALUES {
        Some(format!("the table makes more than {MOST_VALUES} values of this story and its lab"))
    } else if of_all(|size| size.bytes) > MOST_FILLED {
        Some(format!("the table makes more than {MOST_FILLED} bytes of this story and its lab"))
    } else {
        None
    };
    if let Some(title) = too_much {
        files.mistakes.push(Mistake::new(file.cases_place(), title));
        return None;
    }
    for row in &file.cases[1..] {
        compare(first, row, file.cases_place(), &mut files.mistakes);
    }
    let values = |row: &BTreeMap<String, Located<String>>| {
        row.iter().map(|(column, value)| (column.clone(), value.value.clone())).collect()
    };
    Some(file.cases.iter().map(|row| Some(values(row))).collect())
}

/// Says which columns a row lacks or has too many, compared with the first.
fn compare(
    first: &BTreeMap<String, Located<String>>,
    row: &BTreeMap<String, Located<String>>,
    table: Place,
    mistakes: &mut Vec<Mistake>,
) {
    for (column, value) in first.iter().filter(|(column, _)| !row.contains_key(*column)) {
        let at = row.values().next().map_or(table, |value| value.place);
        let mistake = Mistake::new(at, format!("this row has no `{}`", brief(column)));
        mistakes.push(mistake.related(value.place, "the first row has it here"));
    }
    for (column, value) in row.iter().filter(|(column, _)| !first.contains_key(*column)) {
        let mistake = Mistake::new(value.place, format!("the first row has no `{}`", brief(column)));
        mistakes.push(mistake.help("every row has the same columns"));
    }
    mistakes.truncate(10 * MOST_MISTAKES);
}

impl StoryFile {
    /// Where the table begins: at its first value.
    pub(super) fn cases_place(&self) -> Place {
        let first = self.cases.iter().flat_map(BTreeMap::values).map(|value| value.place).min();
        first.unwrap_or_default()
    }
}

/// What a row is called: its `case` column, or all of its values.
pub(super) fn row_name(row: &Row) -> String {
    match row.get("case") {
        Some(name) => name.clone(),
        None => row.values().cloned().collect::<Vec<_>>().join(", "),
    }
}
