//! The journal: the ordered, typed list of what happened, with a running hash.
//!
//! Two runs with the same seed have the same journal, so one hash tells whether a run was reproduced. The
//! journal holds what was said (plaintext, verdicts, times) and never key material or secrets.

use std::fmt::Write as _;
use std::net::SocketAddr;

use sha2::{Digest, Sha256};

use crate::node::NodeId;
use crate::time::Time;

/// Something worth remembering. The text of a note never carries a secret: those print as `•••`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A message left the actor, in one line: `POST /common/oauth2/devicecode`.
    Sent {
        /// To whom.
        to: SocketAddr,
        /// What, in one line.
        text: String,
    },
    /// A message reached the actor, in one line.
    Received {
        /// From whom.
        from: SocketAddr,
        /// What, in one line.
        text: String,
    },
    /// What a person sees changed.
    Screen {
        /// The screen's or page's id, as stories name it.
        id: String,
        /// Its text, line by line.
        text: String,
    },
    /// Something happened that stories can wait for or forbid.
    Event {
        /// Its name in kebab case, from the list that each actor's crate publishes.
        name: &'static str,
        /// Whom it concerns: an account, a phone, a host.
        of: String,
        /// The facts, in words.
        text: String,
    },
    /// A line of the actor's own log, in the actor's own format.
    Log(String),
    /// A stream could not be opened or broke.
    Broken {
        /// The other end.
        with: SocketAddr,
        /// Why.
        text: String,
    },
    /// The story or the world interfered: a power cut, a fault, a step of the story.
    Stage(String),
}

impl Note {
    /// A message that left.
    pub fn sent(to: SocketAddr, text: impl Into<String>) -> Note {
        Note::Sent { to, text: text.into() }
    }

    /// A message that arrived.
    pub fn received(from: SocketAddr, text: impl Into<String>) -> Note {
        Note::Received { from, text: text.into() }
    }

    /// Something that stories can wait for.
    pub fn event(name: &'static str, of: impl Into<String>, text: impl Into<String>) -> Note {
        Note::Event { name, of: of.into(), text: text.into() }
    }
}

/// A note with its place: when, by whom, and who the other side was at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it happened.
    pub at: Time,
    /// Who says it; `None` is the stage itself.
    pub who: Option<NodeId>,
    /// What.
    pub note: Note,
    /// The name of the other side of a [`Note::Sent`], [`Note::Received`] or [`Note::Broken`].
    pub peer: Option<String>,
}

/// The list of everything that happened.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Vec<Entry>,
    /// How many entries before the first one were forgotten.
    forgotten: usize,
    hash: Sha256,
    names: Vec<String>,
}

impl Journal {
    /// Remembers that `name` is what people call the next actor added.
    pub fn name_next(&mut self, name: &str) {
        self.names.push(name.to_owned());
    }

    /// What people call `who`.
    pub fn name(&self, who: NodeId) -> &str {
        self.names.get(who.0 as usize).map_or("?", String::as_str)
    }

    /// Adds an entry; time never runs backward.
    pub fn add(&mut self, entry: Entry) {
        if let Some(last) = self.entries.last() {
            assert!(last.at <= entry.at, "time ran backward in the journal");
        }
        let mut line = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(line, "{}|{:?}|{:?}|{:?}", entry.at.as_nanos(), entry.who, entry.note, entry.peer);
        self.hash.update(line.as_bytes());
        self.entries.push(entry);
    }

    /// Forgets the oldest entries once there are twice as many as `most`: for labs that run on for days. The hash goes on.
    pub fn keep_last(&mut self, most: usize) {
        if self.entries.len() >= most.saturating_mul(2).max(1) {
            let old = self.entries.len() - most;
            self.entries.drain(..old);
            self.forgotten += old;
        }
    }

    /// How many entries there ever were.
    pub fn length(&self) -> usize {
        self.forgotten + self.entries.len()
    }

    /// The entries from number `first` on, counted from the beginning; those that were forgotten are left out.
    pub fn since(&self, first: usize) -> &[Entry] {
        let skipped = first.saturating_sub(self.forgotten).min(self.entries.len());
        &self.entries[skipped..]
    }

    /// Everything so far that is not forgotten, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The hash over everything so far: equal runs have equal hashes.
    pub fn hash(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }
}
