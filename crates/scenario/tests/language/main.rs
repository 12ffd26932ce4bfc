//! Reading labs and stories: what is taken, and what a person is told about what is not.

mod house;
mod shelf;
