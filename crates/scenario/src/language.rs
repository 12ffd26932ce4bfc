//! The story language: what a story may say, and reading it.
//!
//! A [`Story`] is one file. Told, it is one or more [`Case`]s, each with a lab of its own and its steps. A
//! [`Step`] is one [`Verb`] at a place in a file, so that a failure can point at a line. Every verb is
//! defined once (in the modules by theme); its reader, its JSON Schema and its documentation come from there.

mod admin;
mod calls;
mod faults;
mod include;
mod looking;
mod names;
mod people;
mod phones;
mod shape;
mod step;
mod story;
mod table;
mod text;

pub use admin::{Account, ChangePassword, ConditionalAccess, MoveUser, PhoneLockChange, SetPolicy};
pub use calls::{
    CallIs, Dial, ExpectCall, HowRejected, HowTransferred, OnCall, Reject, SendDigits, Transfer,
};
pub use faults::{Answer, At, Block, Clock, Dns, Moment, Network, PowerCut, ServiceVerb, Wait};
pub use looking::{
    Capture, Claim, Expect, ExpectEvent, ExpectPerson, ExpectPhone, ExpectRegistrar, Never, PageLooks,
    PhoneLooks, RegistrarFact, Since, Source,
};
pub use names::{
    EventName, FactName, KeyName, PageName, Party, PersonName, PhoneName, PoolName, RequestName, ScreenName,
    ServiceName, SiteName, StateName,
};
pub use people::{Browse, Click, CloseBrowser, Password, Provision, SecondFactor, SignIn, Submit};
pub use phones::{Configure, LockCode, OnPhone, Press, Screenshot, Type};
pub use shape::{Branch, Include, Parallel, Repeat};
pub use step::{Step, Steps, Theme, Verb, VerbDoc};
pub(crate) use story::StoryFile;
pub use story::{Case, Library, ReadError, Reading, Story, read_lab, read_story};
pub use text::Text;

use crate::yaml::{Kind, Names};

/// The names that the actors publish: each a pair of name and meaning. An empty list means "not checked".
#[derive(Clone, Copy, Debug, Default)]
pub struct Vocabulary {
    /// The phone's screens.
    pub screens: &'static [(&'static str, &'static str)],
    /// The phone's sign-in states.
    pub states: &'static [(&'static str, &'static str)],
    /// What can be captured from a phone (`user-code`) or a person.
    pub facts: &'static [(&'static str, &'static str)],
    /// The pages of the identity service.
    pub pages: &'static [(&'static str, &'static str)],
    /// The events of all actors' journals, list by list.
    pub events: &'static [&'static [(&'static str, &'static str)]],
    /// The kinds of request that `answer` can answer.
    pub requests: &'static [(&'static str, &'static str)],
    /// The phone models.
    pub models: &'static [(&'static str, &'static str)],
}

impl Vocabulary {
    /// Adds these names to the known ones.
    pub(crate) fn teach(&self, names: &mut Names) {
        let lists = [
            (Kind::Screen, self.screens),
            (Kind::State, self.states),
            (Kind::Fact, self.facts),
            (Kind::Page, self.pages),
            (Kind::Request, self.requests),
            (Kind::Model, self.models),
        ];
        for (kind, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            names.know(kind, list.iter().map(|(name, _)| *name));
        }
        if !self.events.is_empty() {
            // Two actors may tell of an event by the same name.
            let mut known: Vec<&str> = Vec::new();
            for (name, _) in self.events.iter().flat_map(|list| list.iter()) {
                if !known.contains(name) {
                    known.push(name);
                }
            }
            names.know(Kind::Event, known);
        }
    }
}
