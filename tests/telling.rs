//! Stories told one behind the other to the same cast, with looks at it in between.

use net::{Journal, NodeId, World as _};
use scenario::cast::Cast;
use scenario::director::{Director, Told};
use scenario::language::Story;
use scenario::mistakes::Colour;
use scenario::report::{self, Outcome};

use crate::house::Shelf;

/// The story at `path`, which has no mistakes.
pub fn story(shelf: &Shelf, path: &str) -> Story {
    shelf.story(path).unwrap_or_else(|mistakes| panic!("\n{}", mistakes.render(Colour::Without)))
}

/// A story about `phones` with these steps; `{{` stands as it is.
pub fn story_of(phones: &str, steps: &str) -> Story {
    let text = format!("name: A story of a test\nphones: [{phones}]\nsteps:\n{steps}");
    story(&Shelf::default().with("scenarios/sign-in/test.yaml", text), "scenarios/sign-in/test.yaml")
}

/// A cast for the story's only case, with nothing told yet.
pub fn cast(story: &Story, seed: u64) -> Cast {
    let case = &story.cases[0];
    Cast::build(&case.lab, &case.phones, seed).unwrap_or_else(|why| panic!("{why}"))
}

/// Tells the story's only case to a cast, and gives back what came of it, with its failure as text.
pub fn tell(story: &Story, cast: Cast) -> (Told, Option<String>) {
    let told = Director::new(cast).tell(&story.cases[0].steps);
    let outcome = Outcome::new(story, None, 0, &told, Colour::Without);
    (told, outcome.failure)
}

/// Tells the story's only case to a cast; it holds.
pub fn tell_well(story: &Story, cast: Cast) -> Cast {
    let (told, failure) = tell(story, cast);
    match failure {
        None => told.cast,
        Some(failure) => panic!("\n{failure}"),
    }
}

/// Every case of a story, told from the beginning; all hold.
pub fn tell_from_the_beginning(path: &str, seed: u64) -> Cast {
    let story = story(&Shelf::default(), path);
    let cast = cast(&story, seed);
    tell_well(&story, cast)
}

/// What `who` did, said and heard, line by line with its moment.
pub fn lines_of(journal: &Journal, who: NodeId) -> Vec<String> {
    let own = journal.entries().iter().filter(|entry| entry.who == Some(who));
    own.map(|entry| report::line(journal, entry)).collect()
}

/// The journal of a cast.
pub fn journal(cast: &Cast) -> &Journal {
    cast.world.journal()
}
