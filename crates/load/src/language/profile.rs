//! When work is done, as written: stages that follow each other, each a line of words or keys and values.

use std::time::Duration;

use scenario::mistakes::Mistake;
use scenario::record;
use scenario::schema::Shapes;
use scenario::yaml::{Content, Node, Reader, Share, Value, brief, with_known};
use serde_json::{Value as Json, json};

use super::ArrivalsWritten;
use super::sentence::Sentence;
use super::units::Rate;
use crate::plan::{Arrivals, Search, Stage};

/// The most steps of a staircase.
const STEPS_MAX: usize = 1_000;
/// The longest stage: longer runs are several.
const STAGE_MAX: Duration = Duration::from_secs(30 * 86_400);

record! {
    /// So much each second: `2000/s for 60s`.
    "`steady`" pub struct Steady {
        /// How much.
        "rate" rate: Rate => not_nothing,
        /// How long.
        "for" over: Duration => long_enough,
        /// How arrivals are spread.
        "arrivals" arrivals: ArrivalsWritten = ArrivalsWritten::Even,
    }
}

record! {
    /// More and more, or less and less: `0/s to 2000/s for 30s`.
    "`ramp`" pub struct Ramp {
        /// How much each second at the beginning.
        "from" from: Rate,
        /// How much at the end.
        "to" to: Rate,
        /// How long.
        "for" over: Duration => long_enough,
        /// How arrivals are spread.
        "arrivals" arrivals: ArrivalsWritten = ArrivalsWritten::Even,
    }
    check ramp_is_right
}

record! {
    /// A staircase: `1000/s to 5000/s by 500/s each 10s`.
    "`steps`" pub struct Steps {
        /// How much each second on the first step.
        "from" from: Rate => not_nothing,
        /// How much on the last.
        "to" to: Rate => not_nothing,
        /// How high a step is.
        "by" by: Rate => not_nothing,
        /// How long each step is.
        "each" each: Duration => long_enough,
        /// How arrivals are spread.
        "arrivals" arrivals: ArrivalsWritten = ArrivalsWritten::Even,
    }
    check steps_are_right
}

record! {
    /// The power comes back, and every phone registers once it has booted: `45s jitter 10s for 90s`.
    "`boot-storm`" pub struct BootStorm {
        /// How long a phone takes to boot, on average.
        "boot" boot: Duration,
        /// The standard deviation of that.
        "jitter" jitter: Duration = Duration::ZERO,
        /// How long the stage lasts; a phone that would take longer comes up at its end.
        "for" over: Duration => long_enough,
    }
}

record! {
    /// Every phone registers again at about the same time, as after a pool's restart: `2s for 40s`.
    "`re-registration-storm`" pub struct Again {
        /// Within how long, most of them in the middle of it.
        "within" within: Duration,
        /// How long the stage lasts.
        "for" over: Duration => long_enough,
    }
    check again_is_right
}

record! {
    /// Nothing new; phones do what they do by themselves: `30s`.
    "`quiet`" pub struct Quiet {
        /// How long.
        "for" over: Duration => long_enough,
    }
}

record! {
    /// Looks for the highest rate that keeps the limits: `1000/s to 100k/s trial 10s precision 5%`.
    "`search`" pub struct SearchWritten {
        /// The rate that is tried first.
        "from" from: Rate => not_nothing,
        /// The highest that is tried.
        "to" to: Rate => not_nothing,
        /// How long each trial lasts.
        "trial" trial: Duration = Duration::from_secs(10) => long_enough,
        /// The search ends when the gap between what was kept and what was not is this share of the rate.
        "precision" precision: Share = Share(0.05),
    }
    check search_is_right
}

fn wrong(node: &Node, title: &str, reader: &mut Reader) -> Option<()> {
    reader.wrong(Mistake::new(node.place, title));
    None
}

fn not_nothing(rate: &Rate, node: &Node, reader: &mut Reader) -> Option<()> {
    if rate.0 > 0.0 {
        Some(())
    } else {
        wrong(node, "nothing a second is no rate; a `quiet` stage offers nothing", reader)
    }
}

fn long_enough(span: &Duration, node: &Node, reader: &mut Reader) -> Option<()> {
    match *span {
        span if span < Duration::from_secs(1) => wrong(node, "at least a second is wanted here", reader),
        span if span > STAGE_MAX => wrong(node, "at most 30d are wanted here", reader),
        _ => Some(()),
    }
}

fn ramp_is_right(ramp: &Ramp, node: &Node, reader: &mut Reader) -> Option<()> {
    let is_something = ramp.from.0 > 0.0 || ramp.to.0 > 0.0;
    if is_something { Some(()) } else { wrong(node, "from nothing to nothing is no ramp", reader) }
}

fn steps_are_right(steps: &Steps, node: &Node, reader: &mut Reader) -> Option<()> {
    match (steps.to.0 - steps.from.0).abs() / steps.by.0 < STEPS_MAX as f64 {
        true => Some(()),
        false => wrong(node, "at most 1000 steps are wanted here", reader),
    }
}

fn again_is_right(again: &Again, node: &Node, reader: &mut Reader) -> Option<()> {
    if again.within <= again.over {
        Some(())
    } else {
        wrong(node, "the stage ends before the storm does", reader)
    }
}

fn search_is_right(search: &SearchWritten, node: &Node, reader: &mut Reader) -> Option<()> {
    if search.from > search.to {
        return wrong(node, "the search begins above its end", reader);
    }
    match (0.001..=0.5).contains(&search.precision.0) {
        true => Some(()),
        false => wrong(node, "a search can be told to be precise to 0.1% to 50%", reader),
    }
}

/// A stage, lowered: a staircase is several.
#[derive(Clone, Debug, PartialEq)]
pub struct StageWritten {
    /// What it comes to.
    pub stages: Vec<Stage>,
    /// Where it stands.
    pub place: scenario::mistakes::Place,
}

const NAMES: &[&str] = &["steady", "ramp", "steps", "boot-storm", "re-registration-storm", "quiet", "search"];

fn read_stage(name: &str, node: &Node, reader: &mut Reader) -> Option<Vec<Stage>> {
    let rate = |from: f64, to: f64, over: Duration, arrivals: ArrivalsWritten| {
        let arrivals = match arrivals {
            ArrivalsWritten::Even => Arrivals::Even,
            ArrivalsWritten::Poisson => Arrivals::Poisson,
        };
        Stage::Rate { from, to, over, arrivals }
    };
    Some(match name {
        "steady" => {
            let Sentence(Steady { rate: Rate(it), over, arrivals }) = Sentence::read(node, reader)?;
            vec![rate(it, it, over, arrivals)]
        }
        "ramp" => {
            let Sentence(Ramp { from, to, over, arrivals }) = Sentence::read(node, reader)?;
            vec![rate(from.0, to.0, over, arrivals)]
        }
        "steps" => {
            let Sentence(steps) = Sentence::<Steps>::read(node, reader)?;
            let (from, to) = (steps.from.0, steps.to.0);
            // A hair less than a whole number of steps is that number: rates are no whole numbers.
            let count = ((to - from).abs() / steps.by.0 + 1e-9) as usize;
            let up = if to >= from { steps.by.0 } else { -steps.by.0 };
            let step = |index: usize| from + up * index as f64;
            (0..=count).map(|index| rate(step(index), step(index), steps.each, steps.arrivals)).collect()
        }
        "boot-storm" => {
            let Sentence(BootStorm { boot, jitter, over }) = Sentence::read(node, reader)?;
            vec![Stage::BootStorm { boot, jitter, over }]
        }
        "re-registration-storm" => {
            let Sentence(Again { within, over }) = Sentence::read(node, reader)?;
            // Deviations are cut off at three: all of them fall within.
            vec![Stage::BootStorm { boot: within / 2, jitter: within / 6, over }]
        }
        "quiet" => {
            let Sentence(Quiet { over }) = Sentence::read(node, reader)?;
            vec![Stage::Quiet { over }]
        }
        _ => {
            let Sentence(SearchWritten { from, to, trial, precision }) = Sentence::read(node, reader)?;
            vec![Stage::Search(Search { from: from.0, to: to.0, trial, precision: precision.0 })]
        }
    })
}

impl Value for StageWritten {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let [entry] = node.entries() else {
            let mistake =
                Mistake::new(node.place, "one stage is wanted here, such as `steady: 2000/s for 60s`");
            reader.wrong(mistake.help("several of them are a list, a line with `-` for each"));
            return None;
        };
        if !NAMES.contains(&entry.key.as_str()) {
            let mistake =
                Mistake::new(entry.key_place, format!("no stage is called `{}`", brief(&entry.key)));
            reader.wrong(with_known(mistake, &entry.key, "possible here", NAMES));
            return None;
        }
        if entry.value.content == Content::Nothing {
            let mistake = Mistake::new(entry.key_place, format!("nothing is said of `{}`", entry.key));
            reader.wrong(mistake.help("a stage is written as `steady: 2000/s for 60s`"));
            return None;
        }
        let stages = read_stage(&entry.key, &entry.value, reader)?;
        Some(StageWritten { stages, place: node.place })
    }

    fn shape(shapes: &mut Shapes) -> Json {
        let shapes = [
            Sentence::<Steady>::shape(shapes),
            Sentence::<Ramp>::shape(shapes),
            Sentence::<Steps>::shape(shapes),
            Sentence::<BootStorm>::shape(shapes),
            Sentence::<Again>::shape(shapes),
            Sentence::<Quiet>::shape(shapes),
            Sentence::<SearchWritten>::shape(shapes),
        ];
        let forms: Vec<Json> = (NAMES.iter().zip(shapes))
            .map(|(name, shape)| {
                json!({ "type": "object", "properties": { *name: shape }, "required": [name], "additionalProperties": false })
            })
            .collect();
        json!({ "anyOf": forms })
    }
}
