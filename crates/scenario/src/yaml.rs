//! YAML that strangers may have written: limits first, then a tree that knows the place of every part.
//!
//! This is the one module that names the YAML crate. [`parse`] turns text into [`Node`]s under [`Limits`];
//! a limit that is met is named in the mistake. Typed values are then read from the tree by a [`Reader`],
//! which collects mistakes instead of stopping at the first.
//!
//! Not taken from YAML: tags, merge keys (`<<`), several documents in a file, keys that are not plain words.
//! Anchors and aliases work, in number and in effect limited.

mod node;
mod parse;
pub(crate) mod reader;
pub mod record;
pub(crate) mod units;
mod values;

pub(crate) use node::Size;
pub use node::{Content, Entry, Node};
pub use parse::{Limits, parse};
pub use reader::{Fields, Kind, Names, Reader, Value, brief, with_known};
pub use units::{Drift, Mac, Share, Shift, Subnet, span};
pub use values::{Located, OneOrMany};
