//! Faults over what the lab's actors send each other: rules, and links that are cut or lose packets.
//!
//! The real network between two actors is this machine's own and has no delay to speak of; the delay and jitter that a
//! lab's sites have in the simulation are not played here. What a story or a person lays over the network is.

use std::time::Duration;

use net::rule::{Packet, Rules, Verdict};
use net::sim::LinkModel;
use net::{Random, Time};

/// How long a packet is held back so that later ones overtake it.
const REORDER_DELAY: Duration = Duration::from_millis(50);

/// The wait before the first repetition on a stream; each further wait is twice as long, as TCP's is.
const FIRST_REPETITION: Duration = Duration::from_secs(1);

/// How often a connection request is repeated before the dial is given up: 15 s after the first.
const DIAL_REPETITIONS: u32 = 4;

/// How often anything else is repeated before the connection is given up: 63 s after the first.
const REPETITIONS: u32 = 6;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is sent.
    Sent,
    /// It is sent later.
    Later(Duration),
    /// It is sent twice.
    Twice,
    /// It is never sent.
    Lost,
    /// It is refused.
    Refused,
}

/// Draws what becomes of a packet. `links` are the uplinks that it passes.
pub(crate) fn fate(rules: &mut Rules, links: [&LinkModel; 2], packet: &Packet, random: &mut Random) -> Fate {
    if links.iter().any(|link| link.is_cut || random.chance(link.loss)) {
        return Fate::Lost;
    }
    match rules.answer(packet) {
        Some(Verdict::Drop) => Fate::Lost,
        Some(Verdict::Refuse) if packet.opens => Fate::Refused,
        Some(Verdict::Refuse) => Fate::Lost,
        Some(Verdict::Delay(delay)) => Fate::Later(delay),
        Some(Verdict::Lose(share)) if random.chance(share) => Fate::Lost,
        Some(Verdict::Duplicate(share)) if random.chance(share) => Fate::Twice,
        Some(Verdict::Reorder(share)) if random.chance(share) => Fate::Later(REORDER_DELAY),
        Some(Verdict::Lose(_) | Verdict::Duplicate(_) | Verdict::Reorder(_)) | None => Fate::Sent,
    }
}

/// When something that was lost on a stream is tried again; `None` gives it up.
pub(crate) fn next_try(now: Time, tries: u32, is_dial: bool) -> Option<Time> {
    let limit = if is_dial { DIAL_REPETITIONS } else { REPETITIONS };
    (tries < limit).then(|| now + FIRST_REPETITION * (1 << tries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dial_is_given_up_after_fifteen_seconds_and_anything_else_after_a_minute() {
        let given_up = |is_dial| {
            let mut now = Time::ZERO;
            let mut tries = 0;
            while let Some(next) = next_try(now, tries, is_dial) {
                now = next;
                tries += 1;
            }
            now
        };
        assert_eq!(given_up(true), Time::from_secs(15));
        assert_eq!(given_up(false), Time::from_secs(63));
    }
}
