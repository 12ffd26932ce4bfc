//! Mistakes in the files a person wrote: all of a file at once, each with its place and what to do.
//!
//! A mistake never stops the reading at once: what is left of the file is read too, so that one run of
//! `lab check` names everything. [`Mistake::render`] is the one way in which a place in a file is shown to a
//! person, here and in the reports of failed stories.

mod nearest;
mod render;
mod sources;

pub use nearest::nearest;
pub use sources::{FileId, Place, Position, Sources};

/// Reading goes on after a mistake, but no further than this many: nobody reads more at once.
pub const MOST_MISTAKES: usize = 100;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where; `None` when the file itself could not be read.
    pub place: Option<Place>,
    /// What is wrong: lower case, no full stop.
    pub title: String,
    /// The words beside the caret; may be empty.
    pub label: String,
    /// What is known there, the nearest name, what to do: one sentence each.
    pub help: Vec<String>,
    /// Other places that explain it, each with the words beside its caret.
    pub related: Vec<(Place, String)>,
}

impl Mistake {
    /// A mistake at `place`.
    pub fn new(place: Place, title: impl Into<String>) -> Mistake {
        Mistake { place: Some(place), ..Mistake::nowhere(title) }
    }

    /// A mistake that has no place: a file that is not there, or is no text.
    pub fn nowhere(title: impl Into<String>) -> Mistake {
        Mistake {
            place: None,
            title: title.into(),
            label: String::new(),
            help: Vec::new(),
            related: Vec::new(),
        }
    }

    /// The words beside the caret.
    pub fn label(mut self, label: impl Into<String>) -> Mistake {
        self.label = label.into();
        self
    }

    /// Adds a sentence of help; an empty one is left out.
    pub fn help(mut self, help: impl Into<String>) -> Mistake {
        let help = help.into();
        if !help.is_empty() {
            self.help.push(help);
        }
        self
    }

    /// Adds another place that explains the mistake.
    pub fn related(mut self, place: Place, label: impl Into<String>) -> Mistake {
        self.related.push((place, label.into()));
        self
    }
}

/// Everything that is wrong, with the files it is wrong in.
#[derive(Clone, Debug)]
pub struct Mistakes {
    /// The mistakes, in the order of the files' reading and of their places; at most [`MOST_MISTAKES`].
    pub list: Vec<Mistake>,
    /// The texts that their places point into.
    pub sources: Sources,
    /// How many more there were.
    pub left_out: usize,
}

impl Mistakes {
    /// Puts `list` into reading order, takes repetitions out and keeps the first [`MOST_MISTAKES`].
    pub fn new(mut list: Vec<Mistake>, sources: Sources) -> Mistakes {
        list.sort();
        list.dedup();
        let left_out = list.len().saturating_sub(MOST_MISTAKES);
        list.truncate(MOST_MISTAKES);
        Mistakes { list, sources, left_out }
    }

    /// All of them as text for a person, one after the other, each with its snippet.
    pub fn render(&self, colour: Colour) -> String {
        let mut text = String::new();
        for mistake in &self.list {
            text.push_str(&mistake.render(&self.sources, colour));
            text.push_str("\n\n");
        }
        if self.left_out > 0 {
            text.push_str(&format!("… and {} more\n", self.left_out));
        }
        text
    }
}

impl std::fmt::Display for Mistakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.render(Colour::Without).trim_end())
    }
}

impl std::error::Error for Mistakes {}

/// Whether text for a person carries terminal colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Colours, for a terminal that wants them.
    With,
    /// Plain text: stable, for files and pipes.
    Without,
}
