//! Texts with `{{name}}` in them: where a captured value goes.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::mistakes::{Mistake, Place};
use crate::schema::Shapes;
use crate::yaml::reader::{brief, with_known};
use crate::yaml::{Node, Reader, Value};

/// A text that may hold captured values: `go to {{page}} and enter {{code}}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Text(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Plain(String),
    Captured(String),
}

impl Text {
    /// A text without captured values.
    pub fn plain(text: impl Into<String>) -> Text {
        Text(vec![Part::Plain(text.into())])
    }

    /// The text with every captured value in its place.
    ///
    /// # Errors
    ///
    /// The name of the first value that was not captured yet.
    pub fn fill(&self, captured: &BTreeMap<String, String>) -> Result<String, String> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Plain(text) => filled.push_str(text),
                Part::Captured(name) => filled.push_str(captured.get(name).ok_or_else(|| name.clone())?),
            }
        }
        Ok(filled)
    }

    /// The names of the captured values in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Captured(name) => Some(name.as_str()),
            Part::Plain(_) => None,
        })
    }

    fn split(text: &str) -> Result<Text, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, tail) = after.split_once("}}").ok_or("`{{` is not closed by `}}`")?;
            if !before.is_empty() {
                parts.push(Part::Plain(before.to_owned()));
            }
            parts.push(Part::Captured(name.trim().to_owned()));
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(Part::Plain(rest.to_owned()));
        }
        Ok(Text(parts))
    }
}

/// The text as written.
impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Plain(text) => f.write_str(text),
            Part::Captured(name) => write!(f, "{{{{{name}}}}}"),
        })
    }
}

impl Value for Text {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let text = reader.word(node, "a text", Text::split)?;
        for name in text.names() {
            check_captured(name, node.place, reader)?;
        }
        Some(text)
    }

    fn shape(shapes: &mut Shapes) -> Json {
        String::shape(shapes)
    }
}

fn check_captured(name: &str, place: Place, reader: &mut Reader) -> Option<()> {
    if reader.captured.contains(name) {
        return Some(());
    }
    if reader.is_full() {
        return None;
    }
    let title = format!("`{{{{{}}}}}` is used before anything is captured as it", brief(name));
    let known: Vec<&str> = reader.captured.iter().map(String::as_str).collect();
    let mistake = with_known(Mistake::new(place, title), name, "captured before this step", &known);
    reader
        .wrong(mistake.help(format!("capture it first: `- capture: {{ {}: desk.user-code }}`", brief(name))));
    None
}

/// Puts the values of a table's row into a text; names that are no column stay for captures.
///
/// `budget` is how many bytes of text may still be made this way; `None` if they did not suffice.
pub(crate) fn fill_row(text: &mut String, row: &BTreeMap<String, String>, budget: &mut usize) -> Option<()> {
    if !text.contains("{{") {
        return Some(());
    }
    let Ok(Text(parts)) = Text::split(text) else { return Some(()) };
    let mut filled = String::new();
    for part in parts {
        match part {
            Part::Plain(text) => filled.push_str(&text),
            Part::Captured(name) => match row.get(&name) {
                Some(value) => filled.push_str(value),
                None => filled.push_str(&format!("{{{{{name}}}}}")),
            },
        }
        if filled.len() > *budget {
            return None;
        }
    }
    *budget -= filled.len();
    *text = filled;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_values_go_where_their_names_stand() {
        let text = Text::split("go to {{page}} with {{ code }}.").expect("well formed");
        assert_eq!(text.names().collect::<Vec<_>>(), ["page", "code"]);
        let captured = BTreeMap::from([("page".into(), "P".into()), ("code".into(), "C".into())]);
        assert_eq!(text.fill(&captured).as_deref(), Ok("go to P with C."));
        assert_eq!(text.fill(&BTreeMap::new()), Err("page".to_owned()));
        assert_eq!(text.to_string(), "go to {{page}} with {{code}}.");
    }

    #[test]
    fn an_unclosed_name_is_refused() {
        assert!(Text::split("{{code").is_err());
    }
}
