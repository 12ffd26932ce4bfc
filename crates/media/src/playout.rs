//! The buffer between network and ear: packets wait a little, so that one that is late is still in time.
//!
//! It holds at most [`DEPTH`] packets whatever comes. Playing is computed when somebody asks, not by a timer: what
//! would have been played until now is played.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use net::Time;

use crate::PACKET_MS;

/// The most packets that wait: 200 ms of sound.
pub const DEPTH: usize = 10;
/// How long the first packet waits.
pub const DELAY: Duration = Duration::from_millis(60);

/// One moment of playing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Played {
    /// This packet's sound.
    Sound(Bytes),
    /// Nothing, for the packet is not there.
    Gap,
}

/// The buffer.
#[derive(Clone, Debug, Default)]
pub struct Playout {
    waiting: BTreeMap<u64, Bytes>,
    /// The number that is due next, and when.
    next: Option<(u64, Time)>,
    late: u64,
    overflowed: u64,
    gaps: u64,
}

impl Playout {
    /// Takes a packet in, by its number without turns.
    pub fn put(&mut self, now: Time, number: u64, sound: Bytes) {
        let (due, _) = *self.next.get_or_insert((number, now + DELAY));
        if number < due {
            self.late += 1;
            return;
        }
        // A packet from far ahead: the source jumped, or paused. What waits is old.
        if number - due >= DEPTH as u64 {
            self.overflowed += self.waiting.len() as u64;
            self.waiting.clear();
            self.next = Some((number, now + DELAY));
        }
        self.waiting.insert(number, sound);
    }

    /// Plays what was due until `now`, oldest first.
    pub fn play(&mut self, now: Time) -> Vec<Played> {
        let mut played = Vec::new();
        while let Some((number, at)) = self.next
            && at <= now
        {
            if self.waiting.is_empty() {
                // Nothing is on its way: the next packet begins anew, and this silence is no gap.
                self.next = None;
                break;
            }
            played.push(match self.waiting.remove(&number) {
                Some(sound) => Played::Sound(sound),
                None => {
                    self.gaps += 1;
                    Played::Gap
                }
            });
            self.next = Some((number + 1, at + Duration::from_millis(PACKET_MS)));
        }
        played
    }

    /// Packets that came after their moment.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Packets that were thrown away unplayed.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// Moments for which there was no packet.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn sound(n: u64) -> Bytes {
        Bytes::from(n.to_string())
    }

    #[test]
    fn packets_are_played_in_their_order_whatever_the_order_of_arrival() {
        let mut playout = Playout::default();
        for (at, n) in [(0, 7), (20, 9), (25, 8)] {
            playout.put(ms(at), n, sound(n));
        }
        assert_eq!(playout.play(ms(59)), []);
        assert_eq!(playout.play(ms(60)), [Played::Sound(sound(7))]);
        assert_eq!(playout.play(ms(100)), [Played::Sound(sound(8)), Played::Sound(sound(9))]);
    }

    #[test]
    fn a_missing_packet_is_a_gap_and_a_late_one_is_not_played() {
        let mut playout = Playout::default();
        playout.put(ms(0), 1, sound(1));
        playout.put(ms(40), 3, sound(3));
        assert_eq!(playout.play(ms(100)), [Played::Sound(sound(1)), Played::Gap, Played::Sound(sound(3))]);
        playout.put(ms(101), 2, sound(2));
        assert_eq!((playout.late(), playout.gaps()), (1, 1));
    }

    #[test]
    fn a_pause_is_no_gap_and_a_jump_begins_anew() {
        let mut playout = Playout::default();
        playout.put(ms(0), 1, sound(1));
        assert_eq!(playout.play(ms(5_000)), [Played::Sound(sound(1))]);
        assert_eq!(playout.gaps(), 0);
        playout.put(ms(5_000), 100, sound(100));
        playout.put(ms(5_001), 100_000, sound(100_000));
        assert_eq!(playout.overflowed(), 1);
        assert_eq!(playout.play(ms(5_061)), [Played::Sound(sound(100_000))]);
    }

    #[test]
    fn it_never_holds_more_than_its_depth() {
        let mut playout = Playout::default();
        for n in 0..1000 {
            playout.put(ms(0), n, sound(n));
            assert!(playout.waiting.len() <= DEPTH);
        }
    }
}
