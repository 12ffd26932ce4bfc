//! Nonces that prove themselves: the time they were made, signed, so that none has to be remembered until it is used.
//!
//! What is remembered is how far the count of each used nonce has come: at most [`NONCES_MAX`] of them, and only of
//! clients that knew a password, so that strangers take no room. A nonce whose count was forgotten counts as old.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use net::Time;
use sha2::Sha256;

/// The most used nonces whose counts are remembered, about 100 octets each.
pub const NONCES_MAX: usize = 65_536;
/// How far behind the highest count a request may come: requests overtake each other over UDP.
pub const WINDOW: u32 = 64;

/// Octets of signature in a nonce: half of what HMAC-SHA256 gives, as RFC 2104 §5 allows.
const TAG_LEN: usize = 16;

/// Makes nonces and knows its own.
pub struct Nonces {
    /// Signs with the secret; made once, since a key costs as much as what it signs.
    signer: Hmac<Sha256>,
    lifetime: Duration,
    made: u64,
    used: BTreeMap<Made, Counts>,
    /// Nonces made up to here are old, unless their counts are still there.
    forgotten: Option<Made>,
}

/// When a nonce was made, and which one of that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Made {
    at: Time,
    serial: u64,
}

/// Which counts were used: the highest, and which of the [`WINDOW`] below it.
#[derive(Clone, Copy, Debug)]
struct Counts {
    highest: u32,
    seen: u64,
}

/// Why a nonce does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Old {
    /// Made by somebody else, or before a restart.
    NotMine,
    /// Its time is over.
    Expired,
    /// Its count was used before, or is too far behind.
    Replayed,
}

impl Nonces {
    /// Nonces that count for `lifetime`. Whoever knows `secret` can make some.
    pub fn new(secret: [u8; 32], lifetime: Duration) -> Nonces {
        let signer = Hmac::new_from_slice(&secret).expect("HMAC takes keys of any length");
        Nonces { signer, lifetime, made: 0, used: BTreeMap::new(), forgotten: None }
    }

    /// A new nonce.
    pub fn make(&mut self, now: Time) -> String {
        self.made += 1;
        self.sign(Made { at: now, serial: self.made })
    }

    /// How many used nonces are remembered.
    pub fn remembered(&self) -> usize {
        self.used.len()
    }

    fn sign(&self, made: Made) -> String {
        let mut octets = made.octets().to_vec();
        octets.extend_from_slice(&self.mac(made).finalize().into_bytes()[..TAG_LEN]);
        URL_SAFE_NO_PAD.encode(octets)
    }

    fn mac(&self, made: Made) -> Hmac<Sha256> {
        let mut mac = self.signer.clone();
        mac.update(&made.octets());
        mac
    }

    /// Reads a nonce of one's own that is still good at `now`.
    fn read(&self, now: Time, nonce: &str) -> Result<Made, Old> {
        // Nothing longer is one of ours; it is not even decoded.
        if nonce.len() > (16 + TAG_LEN) * 2 {
            return Err(Old::NotMine);
        }
        let octets = URL_SAFE_NO_PAD.decode(nonce).map_err(|_| Old::NotMine)?;
        let (at, rest) = octets.split_first_chunk::<8>().ok_or(Old::NotMine)?;
        let (serial, tag) = rest.split_first_chunk::<8>().ok_or(Old::NotMine)?;
        let made =
            Made { at: Time::from_nanos(u64::from_be_bytes(*at)), serial: u64::from_be_bytes(*serial) };
        if tag.len() != TAG_LEN || self.mac(made).verify_truncated_left(tag).is_err() {
            return Err(Old::NotMine);
        }
        if now >= made.at + self.lifetime { Err(Old::Expired) } else { Ok(made) }
    }

    /// Uses a nonce with this count, by a client that has proven itself. A client of RFC 2069 that does not count
    /// has one go for each nonce.
    pub(super) fn use_up(&mut self, now: Time, nonce: &str, count: Option<u32>) -> Result<(), Old> {
        let made = self.read(now, nonce)?;
        self.forget_old(now);
        match (self.used.get_mut(&made), count) {
            (Some(counts), Some(count)) => counts.take(count),
            (Some(_), None) => Err(Old::Replayed),
            (None, _) if self.forgotten.is_some_and(|forgotten| made <= forgotten) => Err(Old::Expired),
            (None, count) => {
                // Who counts may have sent lower counts that are still on their way.
                let counts = match count {
                    Some(highest) => Counts { highest, seen: 0 },
                    None => Counts { highest: u32::MAX, seen: u64::MAX },
                };
                self.used.insert(made, counts);
                if self.used.len() > NONCES_MAX {
                    self.forgotten = self.used.pop_first().map(|(made, _)| made);
                }
                Ok(())
            }
        }
    }

    fn forget_old(&mut self, now: Time) {
        while self.used.first_key_value().is_some_and(|(made, _)| now >= made.at + self.lifetime) {
            self.used.pop_first();
        }
    }
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Nonces({} in use)", self.used.len())
    }
}

impl Made {
    fn octets(self) -> [u8; 16] {
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&self.at.as_nanos().to_be_bytes());
        octets[8..].copy_from_slice(&self.serial.to_be_bytes());
        octets
    }
}

impl Counts {
    /// Bit 0 of `seen` stands for the count just below the highest.
    fn take(&mut self, count: u32) -> Result<(), Old> {
        if count > self.highest {
            let ahead = count - self.highest;
            self.seen = match ahead {
                1..WINDOW => self.seen << ahead | 1 << (ahead - 1),
                WINDOW => 1 << (WINDOW - 1),
                _ => 0,
            };
            self.highest = count;
            return Ok(());
        }
        let behind = self.highest - count;
        if behind == 0 || behind > WINDOW {
            return Err(Old::Replayed);
        }
        let bit = 1 << (behind - 1);
        if self.seen & bit != 0 {
            return Err(Old::Replayed);
        }
        self.seen |= bit;
        Ok(())
    }
}
