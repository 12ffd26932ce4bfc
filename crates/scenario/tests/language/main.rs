//! Reading labs and stories: what is taken, and what a person is told about what is not.

mod hostile;
mod house;
mod lab_refusals;
mod schema;
mod shelf;
mod story_refusals;
mod tables;
