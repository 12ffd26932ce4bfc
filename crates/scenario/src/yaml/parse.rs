//! From text to tree, under limits.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::granit_parser::{self, Event, Parser, ScalarStyle, ScanError, Span};

use super::node::{Content, Entry, Node, Size};
use super::reader::brief;
use crate::mistakes::{FileId, Mistake, Place, Sources};

/// How much of a file is read at most. What goes beyond is a mistake that names the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file.
    pub bytes: usize,
    /// Lists and maps inside one another.
    pub depth: usize,
    /// Of these, how many stand around the file already, because another file includes it.
    pub around: usize,
    /// Values of one file, those that aliases repeat included.
    pub nodes: usize,
    /// Aliases (`*name`) in one file.
    pub aliases: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { bytes: 1 << 20, depth: 32, around: 0, nodes: 100_000, aliases: 1_000 }
    }
}

/// Reads `bytes` as one YAML document and keeps its text in `sources` under `name`.
///
/// # Errors
///
/// The first thing that is no YAML, or the limit that was met: after it nothing in the text can be trusted.
/// Keys written twice and merge keys are reported beside each other.
pub fn parse(
    name: &str,
    bytes: Vec<u8>,
    limits: Limits,
    sources: &mut Sources,
) -> Result<Node, Vec<Mistake>> {
    if bytes.len() > limits.bytes {
        let title = format!("{name} is larger than the limit of {} bytes", limits.bytes);
        return Err(vec![Mistake::nowhere(title).help("split it, or take out what is not needed")]);
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let file = sources.add(name, text);
            let place = Place { file, start: valid as u32, end: valid as u32 + 3 };
            let title = format!("byte {} is not valid UTF-8", valid + 1);
            return Err(vec![Mistake::new(place, title).help("save the file as UTF-8")]);
        }
    };
    let file = sources.add(name, text);
    let mut builder = Builder::new(file, limits);
    match builder.build(sources.text(file)) {
        Ok(_) if !builder.mistakes.is_empty() => Err(builder.mistakes),
        Ok(node) => Ok(node),
        Err(mistake) => {
            builder.mistakes.push(*mistake);
            Err(builder.mistakes)
        }
    }
}

/// A list or map whose end has not come yet.
enum Open {
    List {
        place: Place,
        anchor: usize,
        items: Vec<Node>,
    },
    Map {
        place: Place,
        anchor: usize,
        entries: Vec<Entry>,
        keys: BTreeSet<String>,
        key: Option<(String, Place)>,
    },
}

struct Builder {
    file: FileId,
    limits: Limits,
    open: Vec<Open>,
    /// What aliases repeat, and how much that is.
    anchored: BTreeMap<usize, (Node, Size)>,
    nodes: usize,
    aliases: usize,
    repeated_bytes: usize,
    root: Option<Node>,
    mistakes: Vec<Mistake>,
}

type Stopped = Box<Mistake>;

impl Builder {
    fn new(file: FileId, limits: Limits) -> Builder {
        Builder {
            file,
            limits,
            open: Vec::new(),
            anchored: BTreeMap::new(),
            nodes: 0,
            aliases: 0,
            repeated_bytes: 0,
            root: None,
            mistakes: Vec::new(),
        }
    }

    fn build(&mut self, text: &str) -> Result<Node, Stopped> {
        let options = granit_parser::options! {
            emit_comments: false,
            disallow_directives: true,
            // One more than ours, so that our own limit is the one that is met and named.
            flow_nesting_limit: self.limits.depth + 1,
            block_nesting_limit: self.limits.depth + 1,
        };
        let mut documents = 0;
        for next in Parser::new_from_str_with_options(text, options) {
            let (event, span) = next.map_err(|error| self.not_yaml(&error, text))?;
            let place = self.place(span, text);
            match event {
                Event::DocumentStart(..) if documents > 0 => {
                    let mistake = Mistake::new(place, "a second document starts here");
                    return Err(Box::new(mistake.help("one file is one document: take the `---` out")));
                }
                Event::DocumentStart(..) => documents += 1,
                Event::Scalar(value, style, anchor, tag) => {
                    self.refuse_tag(tag.is_some(), span, text);
                    let quoted = !matches!(style, ScalarStyle::Plain);
                    let nothing = !quoted && matches!(&*value, "" | "~" | "null" | "Null" | "NULL");
                    let content = match nothing {
                        true => Content::Nothing,
                        false => Content::Scalar { text: value.into_owned(), quoted },
                    };
                    self.count(1, place)?;
                    self.finish(Node { place, content }, anchor)?;
                }
                Event::SequenceStart(_, anchor, tag) => {
                    self.refuse_tag(tag.is_some(), span, text);
                    self.enter(Open::List { place, anchor, items: Vec::new() }, place)?;
                }
                Event::MappingStart(_, anchor, tag) => {
                    self.refuse_tag(tag.is_some(), span, text);
                    let (entries, keys) = (Vec::new(), BTreeSet::new());
                    self.enter(Open::Map { place, anchor, entries, keys, key: None }, place)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.leave(place)?,
                Event::Alias(anchor) => self.repeat(anchor, place)?,
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                // Anchors are on their nodes; the rest is not asked for in the options.
                _ => {}
            }
        }
        let empty = Place { file: self.file, start: 0, end: 0 };
        Ok(self.root.take().unwrap_or(Node { place: empty, content: Content::Nothing }))
    }

    fn place(&self, span: Span, text: &str) -> Place {
        let range = span.byte_range().unwrap_or(0..0);
        let end = range.end.min(text.len());
        let piece = text.get(range.start.min(end)..end).unwrap_or("");
        // A block ends where its last line does, not where the next thing begins.
        let end = range.start.min(end) + piece.trim_end().len();
        Place { file: self.file, start: range.start as u32, end: end.max(range.start) as u32 }
    }

    fn not_yaml(&self, error: &ScanError, text: &str) -> Stopped {
        let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
        let width = text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        let place = Place { file: self.file, start: at as u32, end: (at + width) as u32 };
        if matches!(error.kind(), granit_parser::ErrorKind::RecursionLimitExceeded) {
            return self.too_deep(place);
        }
        let mistake = Mistake::new(place, "this is not YAML").label(error.info());
        Box::new(mistake.help(advice(error.kind())))
    }

    fn too_deep(&self, place: Place) -> Stopped {
        let title = format!("lists and maps stand more than {} deep in one another", self.limits.depth);
        Box::new(Mistake::new(place, title).label("the limit is met here"))
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span, text: &str) {
        if tagged && self.mistakes.len() < crate::mistakes::MOST_MISTAKES {
            let place = self.place(span.tag_span().unwrap_or(span), text);
            self.mistakes
                .push(Mistake::new(place, "tags (`!name`) mean nothing here").help("take the tag out"));
        }
    }

    fn count(&mut self, nodes: usize, place: Place) -> Result<(), Stopped> {
        self.nodes += nodes;
        if self.nodes <= self.limits.nodes {
            return Ok(());
        }
        let title = format!("the file holds more than {} values, repeated ones included", self.limits.nodes);
        Err(Box::new(Mistake::new(place, title).label("the limit is met here")))
    }

    fn enter(&mut self, open: Open, place: Place) -> Result<(), Stopped> {
        self.count(1, place)?;
        if self.limits.around + self.open.len() >= self.limits.depth {
            return Err(self.too_deep(place));
        }
        self.open.push(open);
        Ok(())
    }

    fn leave(&mut self, end: Place) -> Result<(), Stopped> {
        let (place, anchor, content) = match self.open.pop().expect("the parser balances its events") {
            Open::List { place, anchor, items } => {
                let last = items.last().map(|item| item.place.end);
                (Place { end: last.unwrap_or(end.end).max(end.end), ..place }, anchor, Content::List(items))
            }
            Open::Map { place, anchor, entries, .. } => {
                let last = entries.last().map(|entry| entry.value.place.end);
                (Place { end: last.unwrap_or(end.end).max(end.end), ..place }, anchor, Content::Map(entries))
            }
        };
        self.finish(Node { place, content }, anchor)
    }

    /// Puts what an alias names in its place, once more.
    fn repeat(&mut self, anchor: usize, place: Place) -> Result<(), Stopped> {
        self.aliases += 1;
        if self.aliases > self.limits.aliases {
            let title = format!("the file uses more than {} aliases", self.limits.aliases);
            return Err(Box::new(Mistake::new(place, title).label("the limit is met here")));
        }
        let Some((node, size)) = self.anchored.get(&anchor) else {
            return Err(Box::new(Mistake::new(place, "this alias stands inside what it names")));
        };
        let (size, node) = (*size, node.clone());
        self.count(size.nodes, place)?;
        if self.limits.around + self.open.len() + size.depth > self.limits.depth {
            return Err(self.too_deep(place));
        }
        self.repeated_bytes += size.bytes;
        if self.repeated_bytes > self.limits.bytes {
            let title = format!("aliases repeat more than {} bytes of text", self.limits.bytes);
            return Err(Box::new(Mistake::new(place, title).label("the limit is met here")));
        }
        self.finish(node, 0)
    }

    /// A value is complete: it becomes a key, a key's value, an item or the whole.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Stopped> {
        if anchor > 0 {
            self.anchored.insert(anchor, (node.clone(), Size::of(&node)));
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { key: key @ None, .. }) => *key = Some(as_key(node)?),
            Some(Open::Map { entries, keys, key, .. }) => {
                let (key, key_place) = key.take().expect("the arm above took the other case");
                if key == "<<" {
                    let mistake = Mistake::new(key_place, "merge keys (`<<`) are not read");
                    self.mistakes
                        .push(mistake.help("write the keys out, or use an alias for the whole value"));
                } else if keys.insert(key.clone()) {
                    entries.push(Entry { key, key_place, value: node });
                } else {
                    let first = entries.iter().find(|entry| entry.key == key).map(|entry| entry.key_place);
                    let mistake =
                        Mistake::new(key_place, format!("the key `{}` is written twice", brief(&key)))
                            .label("here again");
                    self.mistakes.push(match first {
                        Some(first) => mistake.related(first, "first written here"),
                        None => mistake,
                    });
                }
            }
        }
        if self.mistakes.len() > crate::mistakes::MOST_MISTAKES {
            return Err(Box::new(self.mistakes.pop().expect("just counted")));
        }
        Ok(())
    }
}

/// What usually mends it; empty if nothing usual does.
fn advice(kind: &granit_parser::ErrorKind) -> &'static str {
    use granit_parser::ErrorKind::*;
    match kind {
        ExpectedBlockMappingKey | ExpectedBlockSequenceEntry | InvalidIndentation | SimpleKeyExpected => {
            "the lines of one list or map begin in the same column"
        }
        TabInBlockIndentation | TabInIndentation | TabNotAllowed | TabInPlainScalar => {
            "indent with spaces, not with tabs"
        }
        UnknownAnchor => "no `&` of this name stands above; a text that begins with `*` goes into quotes",
        UnclosedQuotedScalar => "the quotes are not closed",
        UnclosedFlowCollection { .. } | UnexpectedEofFlowMapping | UnexpectedEofFlowSequence => {
            "a `[` or `{` is not closed"
        }
        UnexpectedCharacter { .. } => "a text with such characters goes into quotes",
        _ => "",
    }
}

fn as_key(node: Node) -> Result<(String, Place), Stopped> {
    match node.content {
        Content::Scalar { text, .. } => Ok((text, node.place)),
        Content::Nothing => Err(Box::new(Mistake::new(node.place, "a key is missing here"))),
        Content::List(_) | Content::Map(_) => {
            Err(Box::new(Mistake::new(node.place, "a key is one word, not a list or a map")))
        }
    }
}
