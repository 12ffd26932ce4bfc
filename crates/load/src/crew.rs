//! Who does a plan's work: threads of this program, or workers elsewhere.
//!
//! Whoever conducts a run gives a crew [`Order`]s and hears [`Beat`]s; where the parts live is the crew's affair.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::beat::Beat;
use crate::plan::Stage;

/// What every part of a crew is told. Moments are counted from the start of the run, which is the same for all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// A stage begins at this moment; each part does its own share of it. Never [`Stage::Search`]: whoever conducts makes
    /// trials of it, stage by stage.
    Stage {
        /// When.
        at: Duration,
        /// What.
        stage: Stage,
    },
    /// No new work from this moment on; what is out may still be answered for so long, then everything is told and over.
    End {
        /// When.
        at: Duration,
        /// For how long answers are awaited.
        drain: Duration,
    },
}

/// What a crew has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A second of a part's work.
    Beat(Box<Beat>),
    /// A part has ended before its time, and why. Its work since its last beat, and what it still had to do, is unknown.
    Lost {
        /// Which.
        part: u32,
        /// Why, in words: `worker b3 was not heard of for 5 s`.
        why: String,
    },
    /// Nothing within the time that was given.
    Nothing,
}

/// Those who do a plan's work.
pub trait Crew {
    /// How many parts there are.
    fn parts(&self) -> u32;

    /// Tells all parts.
    fn tell(&mut self, order: &Order);

    /// The next thing that a part has to say, waiting at most so long.
    fn hear(&mut self, within: Duration) -> Heard;
}
