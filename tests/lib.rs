//! What tests of the whole lab stand on: the project's own files, and stories told one behind the other.

pub mod house;
pub mod telling;
