//! Scenarios: the story language, its lab, and telling stories to a world.
//!
//! | module | promise |
//! | --- | --- |
//! | [`yaml`] | reading untrusted text within limits |
//! | [`lab_file`] | `lab.yaml`: what exists |
//! | [`language`] | what a story may say |
//! | [`mistakes`] | every mistake of a file, with its place |
//! | [`schema`] | JSON Schema and the list of verbs |
//! | [`actor`] | who can be on the network |
//! | [`person`] | a person with a browser |
//! | [`cast`] | every actor of a lab, in its place |
//! | [`director`] | tells a story to a cast |
//! | [`fleet`] | many phones that boot, sign in and call under load |
//! | [`expectation`] | whether what a story claims is so |
//! | [`report`] | what came of it, for people |
//! | [`run`] | from a story that was read to what came of it |

pub mod actor;
pub mod cast;
pub mod director;
pub mod expectation;
pub mod fleet;
pub mod lab_file;
pub mod language;
pub mod mistakes;
pub mod person;
pub mod report;
pub mod run;
pub mod schema;
pub mod yaml;

pub use net::World;
