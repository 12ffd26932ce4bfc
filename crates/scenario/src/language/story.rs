//! A story: one file, read whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value as Json;

use super::include::{Files, resolve};
use super::table::{MOST_FILLED, Row, row_name, rows};
use super::text::fill_row;
use super::{Step, Steps, Verb, Vocabulary};
use crate::lab_file::{self, Lab};
use crate::mistakes::{Mistake, Mistakes, Place, Sources};
use crate::schema::Shapes;
use crate::yaml::reader::brief;
use crate::yaml::record::record;
use crate::yaml::{Content, Kind, Located, Names, Node, Reader, Value};

/// Steps that a story may tell, each counted as often as it is repeated.
pub const MOST_STEPS: u64 = 1_000_000;

/// Where files come from. `lab` reads them from disk, tests from memory.
pub trait Library {
    /// The file at `path`, or the first `limit` + 1 bytes of it if it is longer.
    ///
    /// # Errors
    ///
    /// Why it could not be read.
    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, ReadError>;
}

/// Why a file could not be read, in the words of whoever tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError(pub String);

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ReadError {}

/// What reading a story needs.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Where files come from.
    pub library: &'a dyn Library,
    /// The names that the actors publish.
    pub vocabulary: Vocabulary,
    /// The lab of stories that name none.
    pub lab: &'a str,
}

/// A story: what happens in a lab, step by step.
#[derive(Clone, Debug)]
pub struct Story {
    /// What it tells, in a line.
    pub name: String,
    /// Its file, as it was asked for.
    pub file: String,
    /// What a reader should know beside; may be empty.
    pub about: String,
    /// One telling for each row of its table; a story without a table has one.
    pub cases: Vec<Case>,
    /// The texts that places point into.
    pub sources: Sources,
}

/// A story as it is told once: with a lab of its own and the steps with the row's values in them.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The row's name; `None` if the story has no table.
    pub name: Option<String>,
    /// The lab.
    pub lab: Lab,
    /// The phones that the story is about; no other is there.
    pub phones: Vec<String>,
    /// The steps.
    pub steps: Steps,
}

record! {
    /// A story: what happens in a lab, step by step, and what must come of it.
    "a story" pub(crate) struct StoryFile {
        /// What it tells, in a line.
        "name" name: String,
        /// What a reader should know beside.
        "about" about: String = String::new(),
        /// The lab's file, in the story's own folder or below; the default lab if not written.
        "lab" lab: Option<Located<String>>,
        /// What is different in the lab for this story: laid over its file, key by key.
        "set" set: LabChanges = LabChanges(None),
        /// The phones that the story is about; no other phone of the lab is there.
        "phones" phones: Unread<Vec<super::PhoneName>> = Unread::nothing(),
        /// A table: the story is told once for each row, `{{column}}` standing for the row's value.
        "cases" cases: Vec<BTreeMap<String, Located<String>>>,
        /// What happens.
        "steps" steps: Unread<Steps>,
    }
}

/// A part that is read later, when what it may name is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unread<T> {
    node: Option<Node>,
    read_as: std::marker::PhantomData<T>,
}

impl<T> Unread<T> {
    fn nothing() -> Unread<T> {
        Unread { node: None, read_as: std::marker::PhantomData }
    }

    /// The tree, if the key is written.
    pub(super) fn tree(&self) -> Option<&Node> {
        self.node.as_ref()
    }
}

impl<T: Value> Value for Unread<T> {
    fn read(node: &Node, _: &mut Reader) -> Option<Self> {
        Some(Unread { node: Some(node.clone()), read_as: std::marker::PhantomData })
    }

    fn shape(shapes: &mut Shapes) -> Json {
        T::shape(shapes)
    }
}

/// Parts of a lab that are laid over its file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LabChanges(Option<Node>);

impl LabChanges {
    /// The tree that is laid over the lab's.
    pub(super) fn tree(&self) -> Option<&Node> {
        self.0.as_ref()
    }
}

impl Value for LabChanges {
    fn read(node: &Node, _: &mut Reader) -> Option<Self> {
        Some(LabChanges(Some(node.clone())))
    }

    fn shape(shapes: &mut Shapes) -> Json {
        // Any part of a lab may be left out here, so only the keys at the top are named.
        shapes.keys_of::<Lab>()
    }
}

/// Reads the story at `path`.
///
/// # Errors
///
/// Everything that is wrong in it, in its lab and in what it includes.
pub fn read_story(path: &str, reading: Reading<'_>) -> Result<Story, Mistakes> {
    let mut files = Files::new(reading.library);
    match story(path, reading, &mut files) {
        Some(mut story) if files.mistakes.is_empty() => {
            story.sources = files.sources;
            Ok(story)
        }
        _ => Err(files.give_up()),
    }
}

fn story(path: &str, reading: Reading<'_>, files: &mut Files<'_>) -> Option<Story> {
    let node = files.load(path, 0, None)?;
    let mut reader = Reader::default();
    let file = StoryFile::read(&node, &mut reader);
    files.mistakes.append(&mut reader.mistakes);
    let mut file = file?;
    if let Some(steps) = &mut file.steps.node {
        files.expand(steps, 1, &mut vec![path.to_owned()]);
    }
    let lab = lab_node(path, &file, reading, files)?;
    let rows = rows(&file, &lab, files)?;
    let mut budget = MOST_FILLED;
    let cases: Vec<Option<Case>> =
        rows.iter().map(|row| case(row.as_ref(), &file, &lab, reading, files, &mut budget)).collect();
    let cases = cases.into_iter().collect::<Option<Vec<Case>>>()?;
    let sources = Sources::default();
    Some(Story { name: file.name, file: path.to_owned(), about: file.about, cases, sources })
}

/// The tree of the story's lab, before anything is laid over it.
fn lab_node(path: &str, file: &StoryFile, reading: Reading<'_>, files: &mut Files<'_>) -> Option<Node> {
    let Some(Located { value: name, place }) = &file.lab else { return files.load(reading.lab, 0, None) };
    match resolve(&[path.to_owned()], name) {
        Ok(path) => files.load(&path, 0, Some(*place)),
        Err(mistake) => {
            files.mistakes.push(Mistake { place: Some(*place), ..mistake });
            None
        }
    }
}

fn case(
    row: Option<&Row>,
    file: &StoryFile,
    lab: &Node,
    reading: Reading<'_>,
    files: &mut Files<'_>,
    budget: &mut usize,
) -> Option<Case> {
    let mut overflow = false;
    let mut filled = |node: &Node| {
        let mut node = node.clone();
        if let Some(row) = row {
            node.change_texts(&mut |text| overflow |= fill_row(text, row, budget).is_none());
        }
        node
    };
    let mut lab = lab.clone();
    if let Some(changes) = file.set.tree() {
        lab.overlay(&filled(changes));
    }
    let phones_node = file.phones.tree().map(&mut filled);
    let steps_node = file.steps.tree().map(&mut filled)?;
    if overflow {
        let title = format!("the table makes more than {MOST_FILLED} bytes of text");
        files.mistakes.push(Mistake::new(file.cases_place(), title));
        return None;
    }
    let mut reader = Reader::default();
    reading.vocabulary.teach(&mut reader.names);
    let read_lab = lab_file::read(&lab, &mut reader);
    let phones = phones(phones_node, &mut reader);
    let steps = Steps::read(&steps_node, &mut reader);
    if let Some(steps) = &steps {
        check_length(steps, steps_node.place, &mut reader);
    }
    let name = row.map(row_name);
    if let Some(name) = &name {
        let of_row =
            |mistake: &Mistake| mistake.place.is_some_and(|place| files.sources.piece(place).contains("{{"));
        let help = format!("in the case `{}`", brief(name));
        reader
            .mistakes
            .iter_mut()
            .filter(|mistake| of_row(mistake))
            .for_each(|mistake| mistake.help.push(help.clone()));
    }
    files.keep(reader.mistakes);
    Some(Case { name, lab: read_lab?, phones: phones?, steps: steps? })
}

/// A story tells something, and comes to an end.
fn check_length(steps: &Steps, place: Place, reader: &mut Reader) {
    if steps.is_empty() {
        reader.wrong(Mistake::new(place, "a story needs at least one step"));
    }
    if told(steps) > MOST_STEPS {
        let title = format!("with its repetitions the story tells more than {MOST_STEPS} steps");
        reader.wrong(Mistake::new(place, title));
    }
}

/// How many steps these are when they are told.
fn told(steps: &Steps) -> u64 {
    let of = |step: &Step| match &step.verb {
        Verb::Repeat(repeat) => told(&repeat.steps).saturating_mul(repeat.times.into()),
        Verb::Include(include) => told(&include.steps),
        Verb::Parallel(parallel) => {
            parallel.0.iter().fold(0, |sum: u64, branch| sum.saturating_add(told(&branch.0)))
        }
        _ => 0,
    };
    steps.iter().fold(0, |sum: u64, step| sum.saturating_add(1).saturating_add(of(step)))
}

/// Reads the story's phones; from here on no other phone is known.
fn phones(node: Option<Node>, reader: &mut Reader) -> Option<Vec<String>> {
    let read = match &node {
        Some(node) => Vec::<super::PhoneName>::read(node, reader),
        None => Some(Vec::new()),
    };
    let named: Vec<String> = match &node {
        // A wrong name among them is told once, here, and not again at every step.
        Some(node) => (node.items().iter())
            .filter_map(|item| match &item.content {
                Content::Scalar { text, .. } => Some(text.clone()),
                Content::Nothing | Content::List(_) | Content::Map(_) => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    let mut seen = BTreeSet::new();
    for item in node.iter().flat_map(Node::items) {
        if let Content::Scalar { text, .. } = &item.content
            && !seen.insert(text)
        {
            reader.wrong(Mistake::new(item.place, format!("`{}` is named twice", brief(text))));
        }
    }
    reader.names.narrow(Kind::Phone, named, "it is in the lab; name it under the story's `phones` too");
    read.map(|phones| phones.into_iter().map(|phone| phone.0).collect())
}

/// Reads the lab at `path`.
///
/// # Errors
///
/// Everything that is wrong in it.
pub fn read_lab(path: &str, reading: Reading<'_>) -> Result<Lab, Mistakes> {
    let mut files = Files::new(reading.library);
    if let Some(node) = files.load(path, 0, None) {
        let mut reader = Reader::new(Names::default());
        reading.vocabulary.teach(&mut reader.names);
        let lab = lab_file::read(&node, &mut reader);
        files.mistakes.append(&mut reader.mistakes);
        if let (Some(lab), true) = (lab, files.mistakes.is_empty()) {
            return Ok(lab);
        }
    }
    Err(files.give_up())
}
