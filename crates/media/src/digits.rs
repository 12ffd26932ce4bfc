//! Digits as telephone events (RFC 4733): sent one after another, and read once each however often they come.

use std::collections::VecDeque;

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::PACKET_SAMPLES;

/// The most digits that wait to be sent.
pub const QUEUE_MAX: usize = 64;
/// How many digits a receiver remembers.
pub const HEARD_MAX: usize = 64;
/// How long a digit sounds, in packets: 100 ms.
const SOUNDS: u16 = 5;
/// How often its end is told, for the case that one gets lost (RFC 4733 §2.5.1.4).
const ENDS: u16 = 3;
/// How long it is quiet between two digits, in packets: 60 ms.
const PAUSE: u16 = 3;
/// -10 dBm0.
const VOLUME: u8 = 10;

/// The event's number for a key of a telephone (RFC 4733 §3.2).
pub fn event_of(digit: char) -> Option<u8> {
    Some(match digit {
        '0'..='9' => digit as u8 - b'0',
        '*' => 10,
        '#' => 11,
        'A'..='D' => digit as u8 - b'A' + 12,
        'a'..='d' => digit as u8 - b'a' + 12,
        _ => return None,
    })
}

/// The key of an event.
pub fn digit_of(event: u8) -> Option<char> {
    Some(match event {
        0..=9 => char::from(b'0' + event),
        10 => '*',
        11 => '#',
        12..=15 => char::from(b'A' + event - 12),
        _ => return None,
    })
}

/// What one packet says of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number.
    pub event: u8,
    /// Whether it is over.
    pub is_end: bool,
    /// How long it has sounded, in samples.
    pub duration: u16,
}

impl Event {
    /// Reads a payload; `None` if it is too short.
    pub fn parse(payload: &[u8]) -> Option<Event> {
        let [event, flags, high, low] = *payload.first_chunk()?;
        Some(Event { event, is_end: flags & 0x80 != 0, duration: u16::from_be_bytes([high, low]) })
    }

    /// Writes the payload.
    pub fn print(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(4);
        out.put_u8(self.event);
        out.put_u8(u8::from(self.is_end) << 7 | VOLUME);
        out.put_u16(self.duration);
        out.freeze()
    }
}

/// What the sender does with one packet's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There is no digit: sound as usual.
    Sound,
    /// Between two digits: sound as usual, but the next digit waits.
    Pause,
    /// This event goes out, under the timestamp of the moment when it began.
    Event {
        /// What it says.
        event: Event,
        /// Whether it is its first packet: the marker is set, and the timestamp is taken.
        is_first: bool,
    },
}

/// Sends digits, one after another.
#[derive(Clone, Debug, Default)]
pub struct Sender {
    queue: VecDeque<u8>,
    /// The packets of the first digit that went out, or of the pause behind it.
    step: u16,
}

impl Sender {
    /// Puts digits behind those that wait. Whether they all fit and all are digits; if not, none is taken.
    pub fn push(&mut self, digits: &str) -> bool {
        let events: Option<Vec<u8>> = digits.chars().map(event_of).collect();
        match events {
            Some(events) if self.queue.len() + events.len() <= QUEUE_MAX => {
                self.queue.extend(events);
                true
            }
            _ => false,
        }
    }

    /// Whether nothing waits.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// What goes out in the time of the next packet.
    pub fn turn(&mut self) -> Turn {
        let Some(event) = self.queue.front().copied() else {
            return Turn::Sound;
        };
        self.step += 1;
        if self.step > SOUNDS + ENDS {
            if self.step == SOUNDS + ENDS + PAUSE {
                self.step = 0;
                self.queue.pop_front();
            }
            return Turn::Pause;
        }
        let sounded = self.step.min(SOUNDS);
        let event = Event { event, is_end: self.step > SOUNDS, duration: sounded * PACKET_SAMPLES as u16 };
        Turn::Event { event, is_first: self.step == 1 }
    }
}

/// Hears digits: each once, by the timestamp that all its packets share.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    last: Option<u32>,
    heard: VecDeque<char>,
}

impl Receiver {
    /// Takes a packet's event in; the digit, if it is a new one.
    pub fn receive(&mut self, timestamp: u32, event: Event) -> Option<char> {
        // A packet that was overtaken belongs to a digit that is over.
        let is_old = self.last.is_some_and(|last| timestamp.wrapping_sub(last) as i32 <= 0);
        let digit = digit_of(event.event)?;
        if is_old {
            return None;
        }
        self.last = Some(timestamp);
        if self.heard.len() == HEARD_MAX {
            self.heard.pop_front();
        }
        self.heard.push_back(digit);
        Some(digit)
    }

    /// What was heard, oldest first.
    pub fn heard(&self) -> String {
        self.heard.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digit_begins_lasts_and_ends_three_times() {
        let mut sender = Sender::default();
        assert!(sender.push("5"));
        let turns: Vec<Turn> = (0..12).map(|_| sender.turn()).collect();
        let event = |duration, is_end, is_first| Turn::Event {
            event: Event { event: 5, is_end, duration },
            is_first,
        };
        assert_eq!(turns[0], event(160, false, true));
        assert_eq!(turns[4], event(800, false, false));
        assert_eq!(turns[5..8], [event(800, true, false); 3]);
        assert_eq!(turns[8..], [Turn::Pause, Turn::Pause, Turn::Pause, Turn::Sound]);
        assert!(sender.is_idle());
    }

    #[test]
    fn digits_are_heard_once_each_with_packets_lost_and_overtaken() {
        let mut receiver = Receiver::default();
        for (timestamp, event, heard) in
            [(100, 1, Some('1')), (100, 1, None), (2000, 1, Some('1')), (100, 1, None), (3000, 11, Some('#'))]
        {
            let event = Event { event, is_end: false, duration: 160 };
            assert_eq!(receiver.receive(timestamp, event), heard, "{timestamp}");
        }
        assert_eq!(receiver.heard(), "11#");
        let flash = Event { event: 16, is_end: false, duration: 160 };
        assert_eq!(receiver.receive(4000, flash), None, "no digit");
    }

    #[test]
    fn what_is_no_digit_or_does_not_fit_is_not_taken() {
        let mut sender = Sender::default();
        assert!(!sender.push("12x"));
        assert!(sender.is_idle());
        assert!(sender.push(&"7".repeat(QUEUE_MAX)));
        assert!(!sender.push("1"));
    }

    #[test]
    fn keys_and_events_belong_together() {
        for digit in "0123456789*#ABCD".chars() {
            assert_eq!(event_of(digit).and_then(digit_of), Some(digit));
        }
        assert_eq!((event_of('E'), digit_of(16)), (None, None));
        let event = Event { event: 11, is_end: true, duration: 0x1234 };
        assert_eq!(&event.print()[..], [11, 0x8a, 0x12, 0x34]);
        assert_eq!(Event::parse(&event.print()), Some(event));
        assert_eq!(Event::parse(&[1, 2, 3]), None);
    }
}
