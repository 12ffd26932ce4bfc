//! Scenarios: the story language, its lab, and telling stories to a world.

pub mod lab_file;
pub mod language;
pub mod mistakes;
pub mod schema;
pub mod yaml;
