//! Reports: what came of a story, the ladder of messages, and the tale for people who need not be programmers.

mod tale;

use std::fmt::Write as _;

use net::{Entry, Journal, Note, World};

pub use self::tale::tale;

use crate::actor::Actor;
use crate::director::{Failure, Told};
use crate::language::Story;
use crate::mistakes::{Colour, Mistake};

/// How wide the name of an actor is printed.
const NAME_WIDTH: usize = 9;

/// What came of one telling of a story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The story's name, with the row's if it has a table.
    pub name: String,
    /// The story's file.
    pub file: String,
    /// The seed.
    pub seed: u64,
    /// How many steps were told.
    pub steps: u32,
    /// How much lab time passed.
    pub lab_time: net::Time,
    /// The hash of the run: journal, and bytes on every link; a run on real sockets has none.
    pub trace: Option<[u8; 32]>,
    /// Why it failed, as text for a person; `None` if it passed.
    pub failure: Option<String>,
}

impl Outcome {
    /// What came of `told`.
    pub fn new<W: World<Actor>>(
        story: &Story,
        case: Option<&str>,
        seed: u64,
        told: &Told<W>,
        colour: Colour,
    ) -> Outcome {
        let name = match case {
            Some(case) => format!("{} · {case}", story.name),
            None => story.name.clone(),
        };
        let failure = told.failure.as_ref().map(|failure| explain(story, seed, failure, colour));
        Outcome {
            name,
            file: story.file.clone(),
            seed,
            steps: told.steps,
            lab_time: told.lab_time,
            trace: told.cast.world.trace_hash(),
            failure,
        }
    }

    /// The trace's hash as people compare it: its first and last octets.
    pub fn short_trace(&self) -> Option<String> {
        let hex = self.trace_hex()?;
        Some(format!("{}…{}", &hex[..8], &hex[60..]))
    }

    /// The trace's whole hash in hexadecimal.
    pub fn trace_hex(&self) -> Option<String> {
        Some(self.trace?.iter().map(|octet| format!("{octet:02x}")).collect())
    }
}

/// Explains a failure: the line, what was wanted, what was there, the last words, how to see it again.
fn explain(story: &Story, seed: u64, failure: &Failure, colour: Colour) -> String {
    let mistake = match failure.place {
        Some(place) => Mistake::new(place, failure.title.clone()),
        None => Mistake::nowhere(failure.title.clone()),
    };
    let mut text = mistake.render(&story.sources, colour).trim_end().to_owned();
    text.push('\n');
    if let Some((name, picture)) = &failure.picture {
        for (index, row) in picture.lines().enumerate() {
            let label = if index == 0 { name.as_str() } else { "" };
            let _ = writeln!(text, "  {label:<NAME_WIDTH$} {row}");
        }
    }
    for (index, words) in failure.before.iter().enumerate() {
        let label = if index == 0 { "before" } else { "" };
        let _ = writeln!(text, "  {label:<NAME_WIDTH$} {words}");
    }
    let _ = writeln!(text, "  {:<NAME_WIDTH$} {}", "now", failure.at);
    let _ = writeln!(text, "  {:<NAME_WIDTH$} lab run {} --seed {seed}", "again", story.file);
    text
}

/// An entry of the journal in one line.
pub fn line(journal: &Journal, entry: &Entry) -> String {
    let who = entry.who.map_or("stage", |who| journal.name(who));
    let peer = entry.peer.as_deref();
    let what = match &entry.note {
        Note::Sent { to, text } => match peer {
            Some(peer) => format!("{who} → {peer}   {text}"),
            None => format!("{who} → {to}   {text}"),
        },
        Note::Received { from, text } => match peer {
            Some(peer) => format!("{who} ← {peer}   {text}"),
            None => format!("{who} ← {from}   {text}"),
        },
        Note::Broken { with, text } => match peer {
            Some(peer) => format!("{who} ✗ {peer}   {text}"),
            None => format!("{who} ✗ {with}   {text}"),
        },
        Note::Screen { id, .. } => format!("{who} shows `{id}`"),
        Note::Event { name, of, text } if of == who || of.is_empty() => format!("{who}: {name}   {text}"),
        Note::Event { name, of, text } => format!("{who}: {name} of {of}   {text}"),
        Note::Log(line) => format!("{who} logs {line}"),
        Note::Stage(text) => format!("{who}: {text}"),
    };
    format!("{:>13}  {}", entry.at.to_string(), what.trim_end())
}

/// What a ladder shows beside messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Messages, screens, events, power: what a person would tell.
    Told,
    /// The phone's own log as well.
    Everything,
}

/// The whole story as a ladder: one line for each message, screen and event. A message that both its sender and its
/// receiver noted stands there once, as the sender told it.
pub fn ladder(journal: &Journal, detail: Detail) -> String {
    let mut text = String::new();
    for entry in journal.entries() {
        let is_shown = match &entry.note {
            Note::Log(_) => detail == Detail::Everything,
            Note::Received { .. } => entry.peer.is_none() || detail == Detail::Everything,
            _ => true,
        };
        if is_shown {
            text.push_str(&line(journal, entry));
            text.push('\n');
        }
    }
    text
}
