//! Telling stories: from a story that was read to what came of it.

use net::World;

use crate::actor::Actor;
use crate::cast::{Cast, Ground};
use crate::director::{Director, Told};
use crate::language::{Case, Story, Vocabulary};
use crate::mistakes::Colour;
use crate::report::Outcome;

/// The names that the actors publish, for stories to be checked against.
pub fn vocabulary() -> Vocabulary {
    Vocabulary {
        screens: vvx::screen::ALL,
        states: vvx::phone::PhoneState::ALL,
        facts: FACTS,
        pages: PAGES,
        events: &[vvx::events::ALL, identity::events::ALL, registrar::events::ALL, site::events::ALL],
        requests: REQUESTS,
        models: &[],
    }
}

/// The pages of the identity service, and `no-page` where none would open.
pub(crate) const PAGES: &[(&str, &str)] = &[
    ("no-page", "the page did not open"),
    ("page", "a page that is none of the lab's"),
    ("enter-code", "asks for the code that a phone shows"),
    ("confirm-app", "names the application; Continue or Cancel"),
    ("pick-account", "the accounts that are signed in"),
    ("username", "asks for the account"),
    ("password", "asks for the password"),
    ("second-factor", "asks for the six digits"),
    ("stay-signed-in", "asks whether to stay signed in"),
    ("confirm-sign-in", "asks once more whether the application is meant"),
    ("finished", "the phone is signed in; the window can be closed"),
    ("new-password", "asks for a new password"),
    ("password-changed", "the password was changed"),
    ("cancelled", "the sign-in was cancelled"),
    ("error", "an error with its number"),
    ("portal-home", "the common-area portal"),
    ("portal-search", "accounts found in the portal"),
    ("portal-provision", "asks for the phone's code"),
    ("portal-done", "the phone is being signed in"),
];

/// What can be captured.
const FACTS: &[(&str, &str)] = &[
    ("user-code", "the code on a phone's screen"),
    ("sign-in-page", "the address that a phone shows with its code"),
    ("account", "who is signed in at a phone"),
    ("screen", "the screen that a phone shows"),
    ("page", "the page in a person's browser"),
    ("address", "the address of the page in a person's browser"),
    ("second-factor", "what a person's second factor shows"),
];

/// The kinds of request that `answer` knows: the identity service's and the pools'.
const REQUESTS: &[(&str, &str)] = &[
    ("device-code", "identity: a device asks for a code"),
    ("token", "identity: a device asks for tokens"),
    ("pages", "identity: a browser asks for a page"),
    ("portal", "identity: a browser asks for a page of the portal"),
    ("metadata", "identity: discovery documents and keys; pool: service metadata"),
    ("discovery", "pool: autodiscover"),
    ("web-ticket", "pool: a web ticket is asked for"),
    ("certificate", "pool: a certificate is asked for"),
    ("root-chain", "pool: the root certificates are asked for"),
    ("register", "pool: SIP REGISTER"),
    ("subscribe", "pool: SIP SUBSCRIBE"),
    ("file", "provisioning: a file is fetched or uploaded"),
];

/// Makes what all tellings of a process share: the keys that sign tokens in the simulation. Without it the first
/// telling does.
pub fn prepare() {
    crate::cast::prepare();
}

/// Where a capture of a telling goes.
pub type TraceFile = Box<dyn std::io::Write + Send>;

/// Tells one case of a story with a seed, and gives back the cast as the story left it.
///
/// # Errors
///
/// If the lab cannot be built, why not, in a sentence.
pub fn tell_case(case: &Case, seed: u64) -> Result<Told, String> {
    let cast = Cast::build(&case.lab, &case.phones, seed).map_err(|why| why.to_string())?;
    Ok(Director::new(cast).tell(&case.steps))
}

/// The same, and what the network carries is written into `trace` as a pcapng file; `about` stands in the file.
///
/// # Errors
///
/// If the lab cannot be built or the file cannot be written, why not, in a sentence.
pub fn tell_case_traced(case: &Case, seed: u64, about: &str, trace: TraceFile) -> Result<Told, String> {
    let mut cast = Cast::build(&case.lab, &case.phones, seed).map_err(|why| why.to_string())?;
    cast.world.start_capture(case.lab.epoch, about, trace);
    let mut told = Director::new(cast).tell(&case.steps);
    told.cast.world.finish_capture().map_err(|why| format!("the capture cannot be written: {why}"))?;
    Ok(told)
}

/// Tells one case of a story in `world`, and gives back the cast as the story left it.
///
/// # Errors
///
/// If the lab cannot be built, why not, in a sentence.
pub fn tell_case_in<W: World<Actor>>(world: W, case: &Case, ground: &Ground) -> Result<Told<W>, String> {
    let cast = Cast::build_in(world, &case.lab, &case.phones, ground).map_err(|why| why.to_string())?;
    Ok(Director::new(cast).tell(&case.steps))
}

/// Tells one case of a story and reports what came of it. Without a seed, the lab's own counts.
///
/// # Errors
///
/// If the lab cannot be built, why not, in a sentence.
pub fn tell(
    story: &Story,
    case: &Case,
    seed: Option<u64>,
    colour: Colour,
) -> Result<(Outcome, Told), String> {
    let seed = seed.unwrap_or(case.lab.seed);
    let told = tell_case(case, seed)?;
    Ok((Outcome::new(story, case.name.as_deref(), seed, &told, colour), told))
}

/// What stands in a capture about the telling that it is of.
pub fn about(story: &Story, case: &Case, seed: u64) -> String {
    let row = case.name.as_ref().map_or_else(String::new, |row| format!(" ({row})"));
    format!("{}{row}\n{}, seed {seed}", story.name, story.file)
}

/// The same as [`tell`], and what the network carries is written into `trace` as a pcapng file.
///
/// # Errors
///
/// If the lab cannot be built or the file cannot be written, why not, in a sentence.
pub fn tell_traced(
    story: &Story,
    case: &Case,
    seed: Option<u64>,
    colour: Colour,
    trace: TraceFile,
) -> Result<(Outcome, Told), String> {
    let seed = seed.unwrap_or(case.lab.seed);
    let told = tell_case_traced(case, seed, &about(story, case, seed), trace)?;
    Ok((Outcome::new(story, case.name.as_deref(), seed, &told, colour), told))
}
