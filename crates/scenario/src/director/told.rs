//! What came of a telling: how far it got, and if it failed, everything a person needs to see why.

use net::{Entry, Note, Sim, Time, World};

use crate::actor::Actor;
use crate::cast::Cast;
use crate::mistakes::Place;

/// How many of the last words exchanged a failure shows.
const LAST_WORDS: usize = 6;

/// What came of a telling.
#[derive(Debug)]
pub struct Told<W = Sim<Actor>> {
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// How many steps were told.
    pub steps: u32,
    /// How much lab time passed.
    pub lab_time: Time,
    /// The cast, as the story left it.
    pub cast: Cast<W>,
}

/// Why a story failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step in its file.
    pub place: Option<Place>,
    /// What was wanted and what was there, in a sentence.
    pub title: String,
    /// Whose display or page is shown, and what stands on it.
    pub picture: Option<(String, String)>,
    /// The last words exchanged by whom the step is about, oldest first.
    pub before: Vec<String>,
    /// When, in lab time.
    pub at: Time,
}

impl Failure {
    pub(super) fn new<W: World<Actor>>(
        cast: &Cast<W>,
        place: Option<Place>,
        title: String,
        subject: Option<String>,
    ) -> Failure {
        let picture = subject.as_deref().and_then(|name| Some((name.to_owned(), cast.picture(name)?)));
        let before = last_words(cast, subject.as_deref());
        Failure { place, title, picture, before, at: cast.world.now() }
    }
}

fn last_words<W: World<Actor>>(cast: &Cast<W>, subject: Option<&str>) -> Vec<String> {
    let journal = cast.world.journal();
    let concerns = |entry: &&Entry| {
        let is_talk = !matches!(entry.note, Note::Screen { .. } | Note::Log(_));
        let who = entry.who.map(|who| journal.name(who));
        is_talk && (subject.is_none() || who == subject || entry.peer.as_deref() == subject)
    };
    let last = journal.entries().iter().rev().filter(concerns).take(LAST_WORDS);
    let mut words: Vec<String> = last.map(|entry| crate::report::line(journal, entry)).collect();
    words.reverse();
    words
}
