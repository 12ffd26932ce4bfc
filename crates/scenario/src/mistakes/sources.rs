//! The texts that were read, and places in them.

use std::sync::Arc;

/// Which of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct FileId(pub u32);

/// A piece of a text: bytes `start..end`, both on borders of characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Which text.
    pub file: FileId,
    /// Its first byte.
    pub start: u32,
    /// The byte after its last.
    pub end: u32,
}

/// Line and column as people count: from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

#[derive(Debug, PartialEq, Eq)]
struct Source {
    name: String,
    text: String,
    /// Where each line starts.
    lines: Vec<u32>,
}

/// The texts that were read, by number. A copy is cheap: the texts are shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(Vec<Arc<Source>>);

impl Sources {
    /// Keeps `text` under `name`, the path as the person wrote it.
    pub fn add(&mut self, name: &str, text: String) -> FileId {
        let id = FileId(u32::try_from(self.0.len()).expect("fewer files than the include limit"));
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.map(|(at, _)| at as u32 + 1)).collect();
        self.0.push(Arc::new(Source { name: name.to_owned(), text, lines }));
        id
    }

    /// The name of a text; `?` if there is none of that number.
    pub fn name(&self, file: FileId) -> &str {
        self.0.get(file.0 as usize).map_or("?", |source| &source.name)
    }

    /// The whole text; empty if there is none of that number.
    pub fn text(&self, file: FileId) -> &str {
        self.0.get(file.0 as usize).map_or("", |source| &source.text)
    }

    /// The text at `place`.
    pub fn piece(&self, place: Place) -> &str {
        self.text(place.file).get(place.start as usize..place.end as usize).unwrap_or("")
    }

    /// Line and column of where `place` starts.
    pub fn position(&self, place: Place) -> Position {
        let Some(source) = self.0.get(place.file.0 as usize) else { return Position { line: 1, column: 1 } };
        let line = source.lines.partition_point(|start| *start <= place.start).max(1);
        let start = source.lines[line - 1] as usize;
        let before = source.text.get(start..place.start as usize).unwrap_or("");
        Position { line, column: before.chars().count() + 1 }
    }

    /// The line of number `line` (from 1) without its line break.
    pub fn line(&self, file: FileId, line: usize) -> &str {
        let Some(source) = self.0.get(file.0 as usize) else { return "" };
        let Some(start) = line.checked_sub(1).and_then(|index| source.lines.get(index)) else { return "" };
        let end = source.lines.get(line).map_or(source.text.len(), |end| *end as usize);
        source.text[*start as usize..end].trim_end_matches(['\n', '\r'])
    }

    /// `file:line:column` of where `place` starts.
    pub fn at(&self, place: Place) -> String {
        let Position { line, column } = self.position(place);
        format!("{}:{line}:{column}", self.name(place.file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", "é: 1\nsecond: x\n".into());
        let place = Place { file, start: 4, end: 5 };
        assert_eq!(sources.at(place), "a.yaml:1:4");
        assert_eq!(sources.at(Place { file, start: 6, end: 12 }), "a.yaml:2:1");
        assert_eq!(sources.line(file, 2), "second: x");
        assert_eq!(sources.line(file, 9), "");
    }
}
