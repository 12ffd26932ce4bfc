//! The NTP server: the time of a clock that may be wrong (RFC 5905, client and server mode).
//!
//! A story may skew the clock, make the server admit that it does not know the time, or have it send askers
//! away with a kiss-o'-death.

use std::net::{IpAddr, SocketAddr};

use net::{Datagram, Input, ListenSecurity, Node, Note, Outbox, Time, Wall, WallClock};

use crate::events;

/// The port of the service.
pub const PORT: u16 = 123;

/// Octets of a packet without extensions.
const PACKET: usize = 48;

/// Seconds from 1900, where NTP counts from, to 1970.
const UNIX_ERA: i64 = 2_208_988_800;

/// The precision of the server's clock: 2^-20 seconds, about a microsecond.
const PRECISION: u8 = 0xec;

/// What an NTP server is told before it starts.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What people call the server.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// What it believes the date is.
    pub clock: WallClock,
    /// How far it is from a real clock: 1 has one, 2 to 15 asked somebody.
    pub stratum: u8,
}

/// Why an asker is sent away (RFC 5905 §7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kiss {
    /// Never again.
    Deny,
    /// Access is restricted.
    Restricted,
    /// Less often.
    Rate,
}

impl Kiss {
    fn code(self) -> &'static [u8; 4] {
        match self {
            Kiss::Deny => b"DENY",
            Kiss::Restricted => b"RSTR",
            Kiss::Rate => b"RATE",
        }
    }
}

/// The NTP server of the lab.
#[derive(Debug)]
pub struct NtpServer {
    setup: Setup,
    kiss: Option<Kiss>,
    is_synchronized: bool,
    is_on: bool,
}

impl NtpServer {
    /// A server that is still without power. A stratum outside of 1 to 15 counts as the nearest of them.
    pub fn new(mut setup: Setup) -> NtpServer {
        setup.stratum = setup.stratum.clamp(1, 15);
        NtpServer { setup, kiss: None, is_synchronized: true, is_on: false }
    }

    /// What people call the server.
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// The server's clock, to read.
    pub fn clock(&self) -> &WallClock {
        &self.setup.clock
    }

    /// The server's clock, to put wrong.
    pub fn clock_mut(&mut self) -> &mut WallClock {
        &mut self.setup.clock
    }

    /// Sends everybody away with this code from now on, or nobody any more.
    pub fn send_away(&mut self, kiss: Option<Kiss>) {
        self.kiss = kiss;
    }

    /// Whether the server claims to know the time. One that does not still answers, and says so (leap indicator
    /// 3, stratum 0); clients must not believe it.
    pub fn set_synchronized(&mut self, is_synchronized: bool) {
        self.is_synchronized = is_synchronized;
    }

    fn take(&mut self, now: Time, datagram: &Datagram, out: &mut Outbox) {
        let from = datagram.from;
        let Some(asked) = datagram.payload.first_chunk::<PACKET>() else { return };
        let (version, mode) = (asked[0] >> 3 & 0x07, asked[0] & 0x07);
        // Only clients are answered: two servers must not talk to each other for ever.
        if mode != 3 || !(1..=4).contains(&version) {
            return;
        }
        out.note(Note::received(from, format!("NTP client, version {version}")));
        let reading = self.setup.clock.read(now);
        let (line, event) = match self.kiss {
            Some(kiss) => {
                let code = String::from_utf8_lossy(kiss.code());
                (format!("NTP kiss-o'-death {code}"), events::TIME_REFUSED)
            }
            None if !self.is_synchronized => {
                ("NTP server, not synchronized".to_owned(), events::TIME_REFUSED)
            }
            None => (format!("NTP server, stratum {}: {reading}", self.setup.stratum), events::TIME_SERVED),
        };
        let answer = self.answer(asked, version, reading);
        out.note(Note::sent(from, line.clone()));
        out.note(Note::event(event, from.ip().to_string(), line));
        out.send(SocketAddr::new(self.setup.address, PORT), from, answer.to_vec());
    }

    fn answer(&self, asked: &[u8; PACKET], version: u8, reading: Wall) -> [u8; PACKET] {
        let mut answer = [0; PACKET];
        let is_known = self.is_synchronized && self.kiss.is_none();
        let leap = if is_known { 0 } else { 3 };
        answer[0] = leap << 6 | version << 3 | 4;
        answer[1] = if is_known { self.setup.stratum } else { 0 };
        answer[2] = asked[2];
        answer[3] = PRECISION;
        // Root delay and dispersion, in units of 2^-16 seconds: about a millisecond each.
        answer[4..8].copy_from_slice(&64u32.to_be_bytes());
        answer[8..12].copy_from_slice(&64u32.to_be_bytes());
        answer[12..16].copy_from_slice(match (self.kiss, self.is_synchronized) {
            (Some(kiss), _) => kiss.code(),
            (None, false) => b"INIT",
            (None, true) if self.setup.stratum == 1 => b"LOCL",
            // From stratum 2 on, the address of whom the server asked: here it is its own.
            (None, true) => b"\x7f\x7f\x01\x00",
        });
        let stamp = timestamp(reading);
        let last_set =
            timestamp(Wall::from_unix_secs(reading.unix_secs() - reading.unix_secs().rem_euclid(64)));
        answer[16..24].copy_from_slice(&last_set);
        // The client finds its own stamp again and knows the answer for its own (RFC 5905 §8).
        answer[24..32].copy_from_slice(&asked[40..48]);
        answer[32..40].copy_from_slice(&stamp);
        answer[40..48].copy_from_slice(&stamp);
        answer
    }
}

impl Node for NtpServer {
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
        match input {
            Input::PowerOn(_) => {
                self.is_on = true;
                out.address(Some(self.setup.address));
                out.listen(PORT, ListenSecurity::Udp);
            }
            Input::PowerOff => self.is_on = false,
            Input::Datagram(datagram) if self.is_on && datagram.to.port() == PORT => {
                self.take(now, &datagram, out);
            }
            Input::Datagram(_) | Input::Stream(..) | Input::Woken | Input::Kept(_) => {}
        }
    }

    fn wake_at(&self) -> Option<Time> {
        None
    }
}

/// Seconds since 1900, in whatever era, and their fraction (RFC 5905 §6).
fn timestamp(reading: Wall) -> [u8; 8] {
    let secs = reading.unix_secs();
    let nanos = reading.unix_nanos().rem_euclid(1_000_000_000);
    let fraction = (nanos as u64) << 32;
    let era_secs = (secs + UNIX_ERA) as u64 as u32;
    let stamp = (u64::from(era_secs) << 32) | (fraction / 1_000_000_000);
    stamp.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_counts_from_1900_and_rolls_over_in_2036() {
        let stamp = |text: &str| u64::from_be_bytes(timestamp(Wall::parse(text).expect("a date")));
        assert_eq!(stamp("1970-01-01T00:00:00Z") >> 32, 2_208_988_800);
        assert_eq!(stamp("2018-10-09T09:00:00.5Z"), 3_748_064_400 << 32 | 1 << 31);
        assert_eq!(stamp("2036-02-07T06:28:16Z"), 0);
    }
}
