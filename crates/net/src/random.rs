//! Chance, named and seeded.
//!
//! Every actor and every link owns a [`Random`] that depends on the lab's seed and its own name alone, so one
//! more phone in the lab never shifts what another one draws.

use std::convert::Infallible;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};

/// A generator of unguessable bytes (ChaCha with 12 rounds), reproducible from its seed.
#[derive(Clone, Debug)]
pub struct Random(ChaCha12Rng);

impl Random {
    /// The generator called `name` in the lab whose seed is `seed`.
    pub fn named(seed: u64, name: &str) -> Random {
        let mut hash = Sha256::new();
        hash.update(seed.to_be_bytes());
        hash.update(name.as_bytes());
        Random(ChaCha12Rng::from_seed(hash.finalize().into()))
    }

    /// A generator from 32 bytes of the operating system's randomness; the wire's way.
    pub fn from_seed(seed: [u8; 32]) -> Random {
        Random(ChaCha12Rng::from_seed(seed))
    }

    /// A generator of its own for `name`, drawn from this one.
    pub fn fork(&mut self, name: &str) -> Random {
        let mut hash = Sha256::new();
        hash.update(self.bytes::<32>());
        hash.update(name.as_bytes());
        Random(ChaCha12Rng::from_seed(hash.finalize().into()))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Fills `buffer` with random bytes.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        self.0.fill_bytes(buffer);
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, each equally likely; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Rejection keeps the draw uniform: the incomplete last stretch of the 64-bit range is thrown back.
        let zone = u64::MAX - u64::MAX % bound;
        loop {
            let drawn = self.next_u64();
            if drawn < zone {
                return drawn % bound;
            }
        }
    }

    /// True with probability `share` (0.0 never, 1.0 always).
    pub fn chance(&mut self, share: f64) -> bool {
        if share <= 0.0 {
            return false;
        }
        // 53 bits fill the mantissa exactly.
        let unit = (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        unit < share
    }

    /// `len` lower-case hexadecimal digits.
    pub fn hex(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(b"0123456789abcdef"[self.below(16) as usize])).collect()
    }

    /// A random (version 4) UUID in its usual text form.
    pub fn uuid(&mut self) -> String {
        let mut b = self.bytes::<16>();
        b[6] = b[6] & 0x0f | 0x40;
        b[8] = b[8] & 0x3f | 0x80;
        let h: String = b.iter().map(|b| format!("{b:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
    }
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_be_bytes(self.bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next_u64())
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Infallible> {
        self.fill(buffer);
        Ok(())
    }
}

/// ChaCha is good for keys, and so the RSA of other crates may draw from it.
impl TryCryptoRng for Random {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_one_stream_of_chance() {
        let draw = |seed, name| Random::named(seed, name).next_u64();
        assert_eq!(draw(7, "desk"), draw(7, "desk"));
        assert_ne!(draw(7, "desk"), draw(7, "lobby"));
        assert_ne!(draw(7, "desk"), draw(8, "desk"));
    }

    #[test]
    fn below_reaches_every_value_and_never_its_bound() {
        let mut random = Random::named(1, "dice");
        let seen: std::collections::BTreeSet<u64> = (0..200).map(|_| random.below(6)).collect();
        assert_eq!(seen, (0..6).collect());
    }

    #[test]
    fn chance_keeps_to_its_share() {
        let mut random = Random::named(1, "coin");
        let heads = (0..10_000).filter(|_| random.chance(0.2)).count();
        assert!((1_850..2_150).contains(&heads), "{heads}");
        assert!(!random.chance(0.0));
        assert!(random.chance(1.0));
    }
}
