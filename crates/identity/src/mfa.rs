//! The second factor: one-time passwords by time (RFC 6238: SHA-1, six digits, steps of 30 s).
//!
//! The step before and the step after count as well, for clocks that disagree a little. A code is taken once:
//! no step at or before the last one that was taken is taken again (RFC 6238 §5.2).

use net::Wall;

use crate::secret::SecretBytes;

/// Tries in one sign-in.
pub(crate) const TRIES: u32 = 5;
/// Seconds of a step.
const STEP: u64 = 30;
/// Steps that a clock may be off.
const SKEW: u64 = 1;

/// One person's generator, as the service knows it.
#[derive(Clone, Debug)]
pub(crate) struct Totp {
    seed: SecretBytes,
    /// The last step that was taken.
    pub(crate) last_step: Option<u64>,
}

/// Why a one-time password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error("not six digits")]
    Malformed,
    #[error("wrong code")]
    Wrong,
    #[error("code used before")]
    Replayed,
}

impl Totp {
    pub(crate) fn new(seed: SecretBytes) -> Totp {
        Totp { seed, last_step: None }
    }

    /// Takes a code, blanks in it not counting; what is taken now will not be taken again.
    pub(crate) fn take(&mut self, code: &str, at: Wall) -> Result<u64, NotTaken> {
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).take(7).collect();
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotTaken::Malformed);
        }
        self.take_near(&digits, u64::try_from(at.unix_secs()).unwrap_or(0) / STEP)
    }

    fn take_near(&mut self, digits: &str, now: u64) -> Result<u64, NotTaken> {
        let machine =
            totp_rs::Builder::new().with_secret(self.seed.expose()).with_skew(0).build_noncompliant();
        // Every step is looked at, whichever fits, so that the time taken tells nothing.
        let mut fits = Vec::new();
        for step in now.saturating_sub(SKEW)..=now + SKEW {
            if machine.check(digits, step * STEP).is_some() {
                fits.push(step);
            }
        }
        let is_fresh = |step: &u64| self.last_step.is_none_or(|last| *step > last);
        match fits.iter().copied().find(is_fresh) {
            Some(step) => {
                self.last_step = Some(step);
                Ok(step)
            }
            None if fits.is_empty() => Err(NotTaken::Wrong),
            None => Err(NotTaken::Replayed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &[u8] = b"12345678901234567890";

    fn take(totp: &mut Totp, code: &str, at: i64) -> Result<u64, NotTaken> {
        totp.take(code, Wall::from_unix_secs(at))
    }

    #[test]
    fn the_vectors_of_rfc_4226_appendix_d_are_taken() {
        let codes = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        for (counter, code) in codes.into_iter().enumerate() {
            let mut totp = Totp::new(SEED.into());
            assert_eq!(take(&mut totp, code, counter as i64 * 30), Ok(counter as u64), "{counter}");
        }
    }

    #[test]
    fn the_sha_1_vectors_of_rfc_6238_appendix_b_are_taken() {
        let vectors = [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ];
        for (at, code) in vectors {
            assert_eq!(Totp::new(SEED.into()).take_near(code, at / 30), Ok(at / 30), "{at}");
        }
    }

    #[test]
    fn one_step_off_is_forgiven_and_two_are_not() {
        // "287082" is step 1: 30 s to 59 s.
        for (at, wanted) in [(0, Ok(1)), (29, Ok(1)), (30, Ok(1)), (89, Ok(1)), (90, Err(NotTaken::Wrong))] {
            assert_eq!(take(&mut Totp::new(SEED.into()), "287082", at), wanted, "{at}");
        }
        // "359152" is step 2: at 29 s it is two steps away.
        assert_eq!(take(&mut Totp::new(SEED.into()), "359152", 29), Err(NotTaken::Wrong));
    }

    #[test]
    fn a_code_is_taken_once_and_so_is_every_code_before_it() {
        let mut totp = Totp::new(SEED.into());
        assert_eq!(take(&mut totp, "359152", 59), Ok(2));
        assert_eq!(take(&mut totp, "359152", 60), Err(NotTaken::Replayed));
        assert_eq!(take(&mut totp, "287082", 59), Err(NotTaken::Replayed));
        assert_eq!(take(&mut totp, "969429", 90), Ok(3));
    }

    #[test]
    fn blanks_do_not_count_and_other_digits_are_no_digits() {
        assert_eq!(take(&mut Totp::new(SEED.into()), " 287 082 ", 59), Ok(1));
        for code in ["28708", "2870820", "28708a", "+87082", "２８７０８２", "", "28 70 8"] {
            assert_eq!(take(&mut Totp::new(SEED.into()), code, 59), Err(NotTaken::Malformed), "{code}");
        }
    }
}
