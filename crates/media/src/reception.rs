//! What came of one source and what did not: loss, order and jitter (RFC 3550 §A.1, §A.3, §A.8).

use net::Time;

use crate::RATE;

/// A gap this large is no loss but a source that began anew (RFC 3550 §A.1).
const DROPOUT_MAX: u16 = 3000;
/// How many of the last sequence numbers are remembered, to tell a double from a late one.
const REMEMBERED: u64 = 64;

/// What a packet is in the row of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The next one, or one behind a gap.
    InOrder,
    /// It comes behind a later one.
    Reordered,
    /// It came before.
    Double,
    /// It belongs to no row that is known; if the next one follows it, a new row begins.
    Astray,
}

/// Counts one source's packets.
#[derive(Clone, Debug, Default)]
pub struct Reception {
    base: Option<u64>,
    /// The highest number so far, with the turns around 2^16 above.
    highest: u64,
    /// Bit n: the number `highest - n` came.
    window: u64,
    received: u64,
    reordered: u64,
    doubles: u64,
    astray: Option<u16>,
    transit: Option<i64>,
    /// In samples, times 16 (RFC 3550 §A.8).
    jitter: u64,
    expected_before: u64,
    received_before: u64,
}

impl Reception {
    /// Takes a packet in that arrived at `now`; gives its place and its number without the turns around 2^16.
    pub fn receive(&mut self, now: Time, sequence: u16, timestamp: u32) -> (Place, u64) {
        let Some(base) = self.base else {
            // One turn of room below, for packets that the first one overtook.
            let first = u64::from(sequence) + (1 << 16);
            self.begin(first);
            self.measure(now, timestamp);
            return (Place::InOrder, first);
        };
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if ahead != 0 && ahead < DROPOUT_MAX {
            let ahead = u64::from(ahead);
            self.window = if ahead >= REMEMBERED { 0 } else { self.window << ahead };
            self.window |= 1;
            self.highest += ahead;
            self.received += 1;
            self.astray = None;
            self.measure(now, timestamp);
            return (Place::InOrder, self.highest);
        }
        let behind = u64::from(0_u16.wrapping_sub(ahead));
        if behind < REMEMBERED {
            let number = self.highest - behind;
            if self.window >> behind & 1 == 1 {
                self.doubles += 1;
                return (Place::Double, number);
            }
            self.window |= 1 << behind;
            self.received += 1;
            self.reordered += 1;
            self.base = Some(base.min(number));
            self.measure(now, timestamp);
            return (Place::Reordered, number);
        }
        if self.astray == Some(sequence) {
            // Two in a row: the source began anew.
            let first = u64::from(sequence) + (1 << 16);
            *self = Reception { received: 0, ..Reception::default() };
            self.begin(first);
            self.measure(now, timestamp);
            return (Place::InOrder, first);
        }
        self.astray = Some(sequence.wrapping_add(1));
        (Place::Astray, 0)
    }

    fn begin(&mut self, first: u64) {
        (self.base, self.highest, self.window) = (Some(first), first, 1);
        self.received = 1;
    }

    /// RFC 3550 §A.8: the differences of transit times, smoothed by 16.
    fn measure(&mut self, now: Time, timestamp: u32) {
        let arrival = now.as_nanos() / (1_000_000_000 / u64::from(RATE));
        let transit = i64::from((arrival as u32).wrapping_sub(timestamp));
        if let Some(before) = self.transit.replace(transit) {
            // Both wrap at 2^32, so their difference is taken there, too.
            let apart = u64::from((transit.wrapping_sub(before) as i32).unsigned_abs());
            // A source that jumps in time is no jitter.
            if apart < u64::from(RATE) * 10 {
                self.jitter = self.jitter + apart - ((self.jitter + 8) >> 4);
            }
        }
    }

    /// Packets that came, doubles not counted.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets that ought to have come.
    pub fn expected(&self) -> u64 {
        self.base.map_or(0, |base| self.highest - base + 1)
    }

    /// Packets that never came.
    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    /// Packets that came behind a later one.
    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Packets that came more than once.
    pub fn doubles(&self) -> u64 {
        self.doubles
    }

    /// Interarrival jitter, in samples.
    pub fn jitter(&self) -> u32 {
        u32::try_from(self.jitter >> 4).unwrap_or(u32::MAX)
    }

    /// The highest sequence number with its turns, as a report wants it.
    pub fn highest(&self) -> u32 {
        (self.highest as u32).wrapping_sub(1 << 16)
    }

    /// The share lost since this was asked last, in 256ths (RFC 3550 §A.3).
    pub fn take_fraction(&mut self) -> u8 {
        let expected = self.expected() - self.expected_before.min(self.expected());
        let received = self.received - self.received_before.min(self.received);
        (self.expected_before, self.received_before) = (self.expected(), self.received);
        match expected.saturating_sub(received) {
            0 => 0,
            lost => ((lost << 8) / expected).min(255) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(reception: &mut Reception, at_ms: u64, sequence: u16) -> Place {
        reception.receive(Time::from_millis(at_ms), sequence, u32::from(sequence).wrapping_mul(160)).0
    }

    #[test]
    fn loss_is_what_was_expected_and_never_came() {
        let mut reception = Reception::default();
        for (at, sequence) in [65_533_u16, 65_534, 0, 1, 4].into_iter().enumerate() {
            assert_eq!(take(&mut reception, at as u64 * 20, sequence), Place::InOrder);
        }
        assert_eq!((reception.expected(), reception.received(), reception.lost()), (8, 5, 3));
        assert_eq!(reception.take_fraction(), (3 * 256 / 8) as u8);
        assert_eq!(reception.take_fraction(), 0, "nothing since");
        assert_eq!(take(&mut reception, 200, 2), Place::Reordered);
        assert_eq!(take(&mut reception, 200, 2), Place::Double);
        assert_eq!(take(&mut reception, 200, 4), Place::Double);
        assert_eq!((reception.lost(), reception.reordered(), reception.doubles()), (2, 1, 2));
        assert_eq!(reception.highest(), (1 << 16) + 4);
    }

    #[test]
    fn the_first_packet_may_have_been_overtaken() {
        let mut reception = Reception::default();
        take(&mut reception, 0, 0);
        assert_eq!(take(&mut reception, 1, 65_535), Place::Reordered);
        assert_eq!((reception.expected(), reception.lost()), (2, 0));
    }

    #[test]
    fn a_source_that_begins_anew_is_believed_the_second_time() {
        let mut reception = Reception::default();
        take(&mut reception, 0, 10);
        assert_eq!(take(&mut reception, 20, 40_000), Place::Astray);
        assert_eq!(take(&mut reception, 40, 11), Place::InOrder);
        assert_eq!(take(&mut reception, 60, 40_000), Place::Astray);
        assert_eq!(take(&mut reception, 80, 40_001), Place::InOrder);
        assert_eq!((reception.received(), reception.lost()), (1, 0));
    }

    #[test]
    fn jitter_follows_the_rfcs_example_of_smoothing() {
        let mut steady = Reception::default();
        (0..100).for_each(|n| _ = take(&mut steady, u64::from(n) * 20, n));
        assert_eq!(steady.jitter(), 0);
        // Every other packet is 10 ms late: each difference is 10 ms, and so is the jitter in the end.
        let mut shaky = Reception::default();
        (0..400).for_each(|n| _ = take(&mut shaky, u64::from(n) * 20 + u64::from(n % 2) * 10, n));
        assert!((78..=80).contains(&shaky.jitter()), "{}", shaky.jitter());
    }
}
