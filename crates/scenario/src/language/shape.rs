//! Verbs of shape: steps at the same time, again, and from another file.

use super::Steps;
use crate::mistakes::Mistake;
use crate::schema::Shapes;
use crate::yaml::record::record;
use crate::yaml::{Content, Node, Reader, Value};
use serde_json::{Value as Json, json};

/// Times that a `repeat` repeats at most.
pub const MOST_TIMES: u32 = 10_000;

/// One line of a `parallel`: a step, or several in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch(pub Steps);

impl Value for Branch {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.content {
            Content::List(_) => Steps::read(node, reader).map(Branch),
            Content::Nothing | Content::Scalar { .. } | Content::Map(_) => {
                super::Step::read(node, reader).map(|step| Branch(Steps([step].into())))
            }
        }
    }

    fn shape(shapes: &mut Shapes) -> Json {
        let step = super::Step::shape(shapes);
        json!({ "anyOf": [step, { "type": "array", "items": step }] })
    }
}

/// Branches that are told at the same time; the step ends when the last of them has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Parallel(pub Vec<Branch>);

impl Value for Parallel {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        Vec::read(node, reader).map(Parallel)
    }

    fn shape(shapes: &mut Shapes) -> Json {
        Vec::<Branch>::shape(shapes)
    }
}

record! {
    /// Steps that are told several times over.
    "`repeat`" pub struct Repeat {
        /// How often: 1 to 10000.
        "times" times: u32 => check_times,
        /// What.
        "steps" steps: Steps,
    }
}

fn check_times(times: &u32, node: &Node, reader: &mut Reader) -> Option<()> {
    if (1..=MOST_TIMES).contains(times) {
        return Some(());
    }
    reader.wrong(Mistake::new(node.place, format!("steps are repeated 1 to {MOST_TIMES} times")));
    None
}

/// The steps of another file, told here.
#[derive(Clone, Debug, PartialEq)]
pub struct Include {
    /// The file, by its whole path.
    pub file: String,
    /// Its steps.
    pub steps: Steps,
}

impl Value for Include {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        // Including puts the other file's steps here before anything is read; see `include`.
        let file = reader.scalar(node.get("file").unwrap_or(node), "a file")?.to_owned();
        let steps = node.get("steps").map(|steps| Steps::read(steps, reader));
        Some(Include { file, steps: steps.unwrap_or_else(|| Some(Steps::default()))? })
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": "string" })
    }
}
