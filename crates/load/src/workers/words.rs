//! What coordinators and workers say to each other: JSON, and behind its line, if it is a piece of a plan, the octets of that.
//!
//! A broker's subjects are open to all who may use it. So whatever arrives is read with suspicion, and what makes no sense is
//! refused with a sentence.

use serde::{Deserialize, Serialize};

use super::post::{is_name, shown};
use crate::beat::{Beat, CAUSES_MAX, Counts};
use crate::crew::Order;
use crate::plan::{Plan, Server};

/// This program's version; both sides must have the same.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version of what is said here. To be raised with each change of these words, of the plan, of beats, or of when work
/// falls due.
pub(super) const PROTOCOL: u32 = 1;

/// The longest word of a cause, in characters.
const CAUSE_MAX: usize = 300;

/// No second has more of anything.
const COUNT_MAX: u64 = 1_000_000_000_000;

/// What a coordinator says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Said {
    /// Into the room: who is here? These words and their answer must stay readable for all versions.
    Call { run: String },
    /// Take part in this run.
    Join { run: String, title: String },
    /// What does your clock say?
    Clock { run: String },
    /// A piece of the assignment, which follows behind the line.
    Piece { run: String, index: u32, of: u32 },
    /// These parts are yours, of so many.
    Take { run: String, parts: Vec<u32>, of: u32 },
    /// Begin when your clock shows this.
    Begin { run: String, at_ns: u64 },
    /// Still here. Orders from number `first` on, and what was heard: of each part, which second is awaited next.
    Pulse { run: String, first: u32, orders: Vec<Order>, awaited: Vec<(u32, u32)> },
    /// It is over for you.
    Dismiss { run: String },
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// I am here.
    Here(Presence),
    /// My clock says so many nanoseconds.
    Clock { ns: u64 },
    /// Good.
    Yes,
    /// No.
    No { why: String },
    /// I am at work, and have taken so many orders; these parts ended early, having told so many seconds.
    Alive { run: String, worker: String, orders: u32, ended: Vec<Ended> },
    /// A second of a part; `cut` if it is the part's last because the worker leaves early.
    Beat { run: String, worker: String, cut: Option<String>, beat: Box<Beat> },
}

/// A part that ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub part: u32,
    /// How many seconds it told.
    pub told: u32,
    pub why: String,
}

/// Who a worker is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Presence {
    /// Nobody else has this.
    pub id: String,
    pub name: String,
    pub host: String,
    /// The same for all programs of one running machine.
    pub machine: String,
    pub cores: u32,
    /// How many files it may have open.
    pub files: u64,
    pub version: String,
    pub protocol: u32,
    /// The run that it is in.
    pub busy: Option<String>,
}

impl Presence {
    /// Whether the words in it may be used in subjects and sentences.
    pub fn check(&self) -> Result<(), String> {
        if !is_name(&self.id) || !is_name(&self.name) {
            return Err(format!("a worker with the name `{}`", shown(&self.name)));
        }
        if self.host.len() > 255 || self.host.chars().any(char::is_control) || self.machine.len() > 128 {
            return Err(format!("worker {} with an unreadable place", self.name));
        }
        if !(1..=1_024).contains(&self.cores) {
            return Err(format!("worker {} with {} cores", self.name, self.cores));
        }
        Ok(())
    }

    /// Its version, as it is compared.
    pub fn whole_version(&self) -> String {
        format!("{} (protocol {})", shown(&self.version), self.protocol)
    }
}

/// This program's version, as it is compared.
pub(super) fn own_version() -> String {
    format!("{VERSION} (protocol {PROTOCOL})")
}

/// The plan as it is handed on, with passwords and all.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Assignment {
    pub plan: Plan,
    /// Who is to bear it, whatever the plan's target is called.
    pub server: Server,
}

impl Assignment {
    /// As it is handed on.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plans can be written as JSON")
    }

    /// Reads one, and makes sure that nothing in it was passed over: a program that does not know a plan's newest word would
    /// offer something else than the others.
    pub fn read(octets: &[u8]) -> Result<Assignment, String> {
        let value: serde_json::Value =
            serde_json::from_slice(octets).map_err(|why| format!("no plan: {why}"))?;
        let read =
            Assignment::deserialize(&value).map_err(|why| format!("no plan of this version: {why}"))?;
        match serde_json::to_value(&read) {
            Ok(again) if again == value => Ok(read),
            _ => Err("the plan says something that this version does not know".to_owned()),
        }
    }
}

/// Writes.
pub(super) fn write(words: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(words).expect("these words can be written as JSON")
}

/// Writes, with octets behind it.
pub(super) fn write_with(words: &impl Serialize, behind: &[u8]) -> Vec<u8> {
    let mut octets = write(words);
    octets.push(b'\n');
    octets.extend_from_slice(behind);
    octets
}

/// Reads what a coordinator says, and what is behind it.
pub(super) fn read_said(octets: &[u8]) -> Result<(Said, &[u8]), String> {
    let line = octets.iter().position(|octet| *octet == b'\n');
    let (line, behind) = match line {
        Some(at) => (&octets[..at], &octets[at + 1..]),
        None => (octets, &[][..]),
    };
    let said = serde_json::from_slice(line).map_err(|why| unreadable(octets, &why))?;
    Ok((said, behind))
}

/// Reads what a worker says.
pub(super) fn read_answer(octets: &[u8]) -> Result<Answer, String> {
    let answer: Answer = serde_json::from_slice(octets).map_err(|why| unreadable(octets, &why))?;
    match &answer {
        Answer::Beat { beat, cut, .. } => {
            plausible(&beat.warm)?;
            plausible(&beat.counted)?;
            let gauges = [beat.gauges.in_flight, beat.gauges.registered, beat.gauges.connected, beat.blocked];
            if gauges.iter().any(|gauge| *gauge > COUNT_MAX)
                || cut.as_ref().is_some_and(|why| why.len() > CAUSE_MAX)
            {
                return Err("a beat that no second can have".to_owned());
            }
        }
        Answer::Here(presence) => presence.check()?,
        Answer::Clock { .. } | Answer::Yes | Answer::No { .. } | Answer::Alive { .. } => {}
    }
    Ok(answer)
}

fn unreadable(octets: &[u8], why: &serde_json::Error) -> String {
    let begin = String::from_utf8_lossy(&octets[..octets.len().min(60)]);
    format!("{} octets that make no sense ({why}): {}", octets.len(), shown(&begin))
}

/// Whether counts can be added to others without overflowing, and shown.
fn plausible(counts: &Counts) -> Result<(), String> {
    let numbers = [
        counts.offered,
        counts.succeeded,
        counts.unfinished,
        counts.sent,
        counts.received,
        counts.retransmissions,
        counts.strays,
        counts.challenges,
        counts.handshakes,
        counts.connections,
        counts.lost_on_purpose,
    ];
    if numbers.iter().chain(counts.failed.values()).any(|number| *number > COUNT_MAX) {
        return Err("a beat with more than a second can have".to_owned());
    }
    let is_word = |cause: &str| {
        !cause.is_empty() && cause.chars().count() <= CAUSE_MAX && !cause.chars().any(char::is_control)
    };
    if counts.failed.len() > CAUSES_MAX + 1 || counts.failed.keys().any(|cause| !is_word(cause.as_str())) {
        return Err("a beat with causes that cannot be shown".to_owned());
    }
    let mut timed = 0_u64;
    for latency in counts.latency.values() {
        timed = timed.saturating_add(latency.histogram().len());
    }
    if timed > counts.succeeded {
        return Err(format!("a beat with {timed} response times of {} successes", counts.succeeded));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::beat::Kind;

    fn told(beat: Beat) -> Vec<u8> {
        let (run, worker) = ("r".repeat(24), "w".repeat(24));
        write(&Answer::Beat { run, worker, cut: None, beat: Box::new(beat) })
    }

    #[test]
    fn the_largest_beat_is_shorter_than_what_brokers_take() {
        let mut beat = Beat::new(u32::MAX, u32::MAX);
        for kind in
            [Kind::Register, Kind::Refresh, Kind::Unregister, Kind::KeepAlive, Kind::Call, Kind::SignIn]
        {
            // Every response time that can be told apart, a hundred times.
            let mut us = 1.0_f64;
            while us < 3.6e9 {
                for _ in 0..100 {
                    beat.counted.succeed(kind, Duration::from_micros(us as u64));
                }
                us = (us * 1.000_5).max(us + 1.0);
            }
        }
        let length = told(beat).len();
        assert!(length < 768 << 10, "{length}");
    }

    #[test]
    fn a_plan_with_a_word_that_is_not_known_is_refused() {
        let plan = crate::plan::Network { loss: 0.1, ..Default::default() };
        let text = serde_json::to_value(plan).expect("JSON");
        assert!(Assignment::read(text.to_string().as_bytes()).is_err());
    }

    proptest! {
        /// Whatever a stranger does to a beat, it is read or refused.
        #[test]
        fn broken_beats_break_nothing(
            times in prop::collection::vec(1..4_000_000_000_u64, 0..20),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            histogram in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            use base64::Engine as _;
            let mut beat = Beat::new(0, 0);
            for us in times {
                beat.counted.offered += 1;
                beat.counted.succeed(Kind::Register, Duration::from_micros(us));
            }
            let mut octets = told(beat);
            for (at, octet) in changes {
                let at = at.index(octets.len());
                octets[at] = octet;
            }
            let mut sum = Counts::default();
            if let Ok(Answer::Beat { beat, .. }) = read_answer(&octets) {
                sum.add(&beat.counted);
                sum.add(&beat.warm);
            }
            // The cookie of a V2 histogram, and anything behind it.
            let mut made_up = vec![0x1c, 0x84, 0x93, 0x13];
            made_up.extend(histogram);
            let text = format!("\"{}\"", base64::engine::general_purpose::STANDARD.encode(made_up));
            let _ = serde_json::from_str::<crate::beat::Latency>(&text);
        }
    }
}
