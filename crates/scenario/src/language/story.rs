//! A story: one file, read whole.

use std::fmt;

use super::{Steps, Vocabulary};
use crate::lab_file::Lab;
use crate::mistakes::{Mistakes, Sources};

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

/// Reads the story at `path`.
///
/// # Errors
///
/// Everything that is wrong in it, in its lab and in what it includes.
pub fn read_story(_path: &str, _reading: Reading<'_>) -> Result<Story, Mistakes> {
    Err(Mistakes::new(Vec::new(), Sources::default()))
}

/// Reads the lab at `path`.
///
/// # Errors
///
/// Everything that is wrong in it.
pub fn read_lab(_path: &str, _reading: Reading<'_>) -> Result<Lab, Mistakes> {
    Err(Mistakes::new(Vec::new(), Sources::default()))
}
