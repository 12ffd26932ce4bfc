//! Reading typed values from the tree, collecting mistakes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde_json::Value as Json;

use super::node::{Content, Entry, Node};
use crate::mistakes::{Mistake, Place, nearest};
use crate::schema::Shapes;

/// Known names that a message lists at most; more are counted.
const NAMES_LISTED: usize = 40;
/// Known names that a wrong one is compared with at most.
const NAMES_COMPARED: usize = 500;
/// Mistakes that a reader keeps: more than are shown, so that the first ones of the file are among them.
const MISTAKES_KEPT: usize = 5 * crate::mistakes::MOST_MISTAKES;

/// Something that can be read from a place in a file.
pub trait Value: Sized {
    /// Reads it; a mistake goes to the reader and leaves `None`.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self>;

    /// Its JSON Schema, for editors.
    fn shape(shapes: &mut Shapes) -> Json;

    /// What it is when its key is not written; `None` if the key must be.
    fn absent() -> Option<Self> {
        None
    }
}

/// What names name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A person of the lab.
    Person,
    /// A phone of the lab.
    Phone,
    /// A site of the lab.
    Site,
    /// A pool of the lab.
    Pool,
    /// A service that can be stopped or told what to answer.
    Service,
    /// A screen of the phone.
    Screen,
    /// A sign-in state of the phone.
    State,
    /// A key or label that can be pressed.
    Key,
    /// What a story can capture from a phone or a person.
    Fact,
    /// A page in a browser.
    Page,
    /// An event of the journal.
    Event,
    /// A kind of request that a service answers.
    Request,
    /// A model of the phone.
    Model,
}

impl Kind {
    /// One of them, in words.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Person => "person",
            Kind::Phone => "phone",
            Kind::Site => "site",
            Kind::Pool => "pool",
            Kind::Service => "service",
            Kind::Screen => "screen",
            Kind::State => "state",
            Kind::Key => "key",
            Kind::Fact => "fact",
            Kind::Page => "page",
            Kind::Event => "event",
            Kind::Request => "request",
            Kind::Model => "model",
        }
    }

    /// Several of them, in words.
    pub fn nouns(self) -> String {
        match self {
            Kind::Person => "people".to_owned(),
            _ => format!("{}s", self.noun()),
        }
    }
}

/// Names in the order they were made known, and again for finding them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    listed: Vec<String>,
    found: BTreeSet<String>,
}

/// The names that may be used, by what they name. A kind without a list is not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    known: BTreeMap<Kind, Known>,
    /// Names that exist but may not be used, with why.
    barred: BTreeMap<Kind, (BTreeSet<String>, &'static str)>,
}

impl Names {
    /// Makes `names` the known ones of `kind`.
    pub fn know<'a>(&mut self, kind: Kind, names: impl IntoIterator<Item = &'a str>) {
        let listed: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let found = listed.iter().cloned().collect();
        self.known.insert(kind, Known { listed, found });
    }

    /// The known names of `kind`; `None` if any will do.
    pub fn of(&self, kind: Kind) -> Option<&[String]> {
        self.known.get(&kind).map(|known| known.listed.as_slice())
    }

    /// Whether `name` is a known one of `kind`.
    pub fn has(&self, kind: Kind, name: &str) -> bool {
        self.known.get(&kind).is_some_and(|known| known.found.contains(name))
    }

    /// Bars every known name of `kind` that is not among `names`; `why` is said to whoever uses one.
    pub(crate) fn narrow(&mut self, kind: Kind, names: Vec<String>, why: &'static str) {
        let mut barred = self.known.remove(&kind).unwrap_or_default().found;
        for name in &names {
            barred.remove(name);
        }
        self.barred.insert(kind, (barred, why));
        self.know(kind, names.iter().map(String::as_str));
    }

    /// Why `name` may not be used although it exists.
    pub(crate) fn barred(&self, kind: Kind, name: &str) -> Option<&'static str> {
        let (names, why) = self.barred.get(&kind)?;
        names.contains(name).then_some(*why)
    }
}

/// Takes values from the tree and keeps the mistakes it meets.
#[derive(Debug, Default)]
pub struct Reader {
    /// What was wrong so far.
    pub mistakes: Vec<Mistake>,
    /// The names that may be used.
    pub names: Names,
    /// Captures that the steps read so far have made; `{{name}}` may use them.
    pub captured: BTreeSet<String>,
    /// Keys that the next map may have beside its own: they were taken by whoever read it before.
    pub(crate) taken: Vec<&'static str>,
    /// The verbs told so far, for `since`.
    pub(crate) told: BTreeSet<&'static str>,
}

impl Reader {
    /// A reader that knows these names.
    pub fn new(names: Names) -> Reader {
        Reader { names, ..Reader::default() }
    }

    /// Keeps a mistake, unless there are enough of them.
    pub fn wrong(&mut self, mistake: Mistake) {
        if !self.is_full() {
            self.mistakes.push(mistake);
        }
    }

    /// Whether there are so many mistakes that no more are kept. Looking for near names stops then, too.
    pub fn is_full(&self) -> bool {
        self.mistakes.len() >= MISTAKES_KEPT
    }

    /// The text at `node`; a mistake if there is none.
    pub fn scalar<'n>(&mut self, node: &'n Node, wanted: &str) -> Option<&'n str> {
        match &node.content {
            Content::Scalar { text, .. } => Some(text),
            Content::Nothing | Content::List(_) | Content::Map(_) => {
                let title = format!("{wanted} is wanted here, not {}", node.sort());
                self.wrong(Mistake::new(node.place, title));
                None
            }
        }
    }

    /// Reads a word with `parse`; `wanted` says what a right one looks like.
    pub fn word<T>(
        &mut self,
        node: &Node,
        wanted: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.scalar(node, wanted)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(reason) => {
                let title = format!("`{}` is not {wanted}", brief(text));
                self.wrong(Mistake::new(node.place, title).label(reason));
                None
            }
        }
    }

    /// Reads one of a few words.
    pub fn one_of<T: Copy>(&mut self, node: &Node, wanted: &str, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.scalar(node, wanted)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        if self.is_full() {
            return None;
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let mistake = Mistake::new(node.place, format!("`{}` is not {wanted}", brief(text)));
        self.wrong(with_known(mistake, text, "possible here", &known));
        None
    }

    /// Checks that `name` is a known one of `kind`.
    pub fn check(&mut self, kind: Kind, name: &str, place: Place) -> Option<()> {
        let Some(known) = self.names.of(kind) else { return Some(()) };
        if self.names.has(kind, name) {
            return Some(());
        }
        if self.is_full() {
            return None;
        }
        if let Some(why) = self.names.barred(kind, name) {
            let title = format!("this story has no {} called `{name}`", kind.noun());
            self.wrong(Mistake::new(place, title).help(why));
            return None;
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let title = match kind {
            Kind::Event => format!("no event is called `{}`", brief(name)),
            kind => format!("no {} is called `{}`", kind.noun(), brief(name)),
        };
        let mistake = with_known(Mistake::new(place, title), name, &format!("{} here", kind.nouns()), &known);
        self.wrong(mistake);
        None
    }

    /// Opens a map whose keys are `keys`; reports the others. A word alone stands for the key `short`.
    pub fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        keys: &[&'static str],
        short: Option<&'static str>,
    ) -> Option<Fields<'n>> {
        let taken = std::mem::take(&mut self.taken);
        match &node.content {
            Content::Map(entries) => {
                let known: Vec<&str> = keys.iter().chain(&taken).copied().collect();
                for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
                    if self.is_full() {
                        break;
                    }
                    let title = format!("{what} has no `{}`", brief(&entry.key));
                    let mistake = Mistake::new(entry.key_place, title);
                    self.wrong(with_known(mistake, &entry.key, "keys here", &known));
                }
                Some(Fields { what: what.to_owned(), place: node.place, entries, alone: None })
            }
            Content::Scalar { .. } | Content::List(_) if short.is_some() => {
                let alone = short.map(|key| (key, node));
                Some(Fields { what: what.to_owned(), place: node.place, entries: &[], alone })
            }
            Content::Nothing if keys.is_empty() || short.is_none() => {
                Some(Fields { what: what.to_owned(), place: node.place, entries: &[], alone: None })
            }
            Content::Nothing | Content::Scalar { .. } | Content::List(_) => {
                let title = format!("{what} is written as keys and values, not as {}", node.sort());
                self.wrong(Mistake::new(node.place, title).help(listed("keys here", keys)));
                None
            }
        }
    }
}

/// A map that is being read key by key.
pub struct Fields<'n> {
    what: String,
    place: Place,
    entries: &'n [Entry],
    /// The value that stood alone, and the key it stands for.
    alone: Option<(&'static str, &'n Node)>,
}

impl<'n> Fields<'n> {
    /// The node under `key`, if it is written.
    pub fn node(&self, key: &str) -> Option<&'n Node> {
        match self.alone {
            Some((short, node)) if short == key => Some(node),
            _ => self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
        }
    }

    /// Reads the value of `key`, or takes `default` if it is not written, or what the type says.
    pub fn take<T: Value>(
        &self,
        key: &str,
        reader: &mut Reader,
        default: Option<impl FnOnce() -> T>,
    ) -> Option<T> {
        if let Some(node) = self.node(key) {
            return T::read(node, reader);
        }
        let absent = match default {
            Some(default) => Some(default()),
            None => T::absent(),
        };
        if absent.is_none() {
            let mistake = Mistake::new(self.place, format!("{} needs `{key}`", self.what));
            reader.wrong(mistake.label(format!("`{key}` is missing")));
        }
        absent
    }
}

/// Adds what is known and the nearest name.
pub fn with_known(mistake: Mistake, name: &str, heading: &str, known: &[&str]) -> Mistake {
    let mistake = match nearest(name, known.iter().copied().take(NAMES_COMPARED)) {
        Some(near) => mistake.label(format!("did you mean `{near}`?")),
        None => mistake,
    };
    mistake.help(listed(heading, known))
}

fn listed(heading: &str, known: &[impl Display]) -> String {
    if known.is_empty() {
        return format!("{heading}: none");
    }
    let mut text = format!("{heading}: ");
    for (index, name) in known.iter().take(NAMES_LISTED).enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        text.push_str(&brief(&name.to_string()));
    }
    if known.len() > NAMES_LISTED {
        text.push_str(&format!(" and {} more", known.len() - NAMES_LISTED));
    }
    text
}

/// A text short enough to be quoted in a message.
pub fn brief(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}
