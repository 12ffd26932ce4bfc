//! The lock: a code of the user's own, made at sign-in, asked for after idling and after every restart.
//!
//! The code never leaves the phone; the flash holds a salted hash of it. Whoever signed in by web and forgot it
//! has one way out: six wrong codes sign the phone out. Nobody guesses on for longer: the flash counts them, too.

use net::{Random, Time};
use sha2::{Digest as _, Sha256};

use crate::registration::policy::Policy;

/// The longest code, in digits.
pub const DIGITS_MAX: usize = 15;
/// How many wrong codes in a row end the sign-in.
pub const TRIES: u8 = 6;
/// How often the hash is iterated. A code of six digits falls to anybody who has the flash; this only makes it
/// tedious.
const ROUNDS: u32 = 1000;

/// A code as the flash holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredCode {
    salt: [u8; 16],
    hash: [u8; 32],
}

impl std::fmt::Debug for StoredCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredCode(•••)")
    }
}

impl StoredCode {
    /// Hashes a code with a fresh salt.
    pub fn new(digits: &str, random: &mut Random) -> StoredCode {
        let salt = random.bytes();
        StoredCode { salt, hash: hash(&salt, digits) }
    }

    /// Whether `digits` is the code.
    pub fn is(&self, digits: &str) -> bool {
        // Constant time: the sum of differences, not the first one.
        let given = hash(&self.salt, digits);
        self.hash.iter().zip(given).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }

    /// As the flash holds it.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.salt[..], &self.hash[..]].concat()
    }

    /// As the flash held it; `None` if it is no stored code.
    pub fn from_bytes(bytes: &[u8]) -> Option<StoredCode> {
        let (salt, hash) = bytes.split_at_checked(16)?;
        Some(StoredCode { salt: salt.try_into().ok()?, hash: hash.try_into().ok()? })
    }
}

fn hash(salt: &[u8; 16], digits: &str) -> [u8; 32] {
    let mut value: [u8; 32] = Sha256::new().chain_update(salt).chain_update(digits).finalize().into();
    for _ in 0..ROUNDS {
        value = Sha256::new().chain_update(salt).chain_update(value).finalize().into();
    }
    value
}

/// What a typed code came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Right: the phone is unlocked.
    Right,
    /// Wrong; so many tries are left.
    Wrong(u8),
    /// Wrong for the last time.
    WrongForGood,
}

/// Whether a new code is good enough, in words for the screen if it is not.
///
/// # Errors
///
/// If it is too short, too long, or holds something else than digits.
pub fn check_new(digits: &str, policy: &Policy) -> Result<(), String> {
    if digits.len() < policy.least_digits || digits.len() > DIGITS_MAX {
        return Err(format!("The code must have {} to {DIGITS_MAX} digits.", policy.least_digits));
    }
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("The code must have digits only.".to_owned());
    }
    Ok(())
}

/// The lock of one signed-in phone.
#[derive(Debug, Default)]
pub struct Lock {
    code: Option<StoredCode>,
    is_locked: bool,
    wrong: u8,
    touched: Time,
}

impl Lock {
    /// The lock after a restart: closed if there is a code, and with the wrong codes that were typed before.
    pub fn restored(code: Option<StoredCode>, wrong: u8, now: Time) -> Lock {
        Lock { is_locked: code.is_some(), code, wrong: wrong.min(TRIES - 1), touched: now }
    }

    /// How many wrong codes were typed since the last right one.
    pub fn wrong(&self) -> u8 {
        self.wrong
    }

    /// Whether there is a code.
    pub fn has_code(&self) -> bool {
        self.code.is_some()
    }

    /// Whether the phone is locked.
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// Sets or takes away the code; the phone is open then.
    pub fn set(&mut self, code: Option<StoredCode>, now: Time) {
        *self = Lock { code, is_locked: false, wrong: 0, touched: now };
    }

    /// Whether `digits` is the code; changes nothing.
    pub fn is_code(&self, digits: &str) -> bool {
        self.code.as_ref().is_some_and(|code| code.is(digits))
    }

    /// Somebody touched the phone.
    pub fn touch(&mut self, now: Time) {
        self.touched = now;
    }

    /// Locks at once; says whether it did.
    pub fn lock(&mut self) -> bool {
        let does = self.code.is_some() && !self.is_locked;
        self.is_locked |= does;
        does
    }

    /// When the phone locks by itself if nobody touches it.
    pub fn idle_at(&self, policy: &Policy) -> Option<Time> {
        let may_lock = self.code.is_some() && !self.is_locked && policy.enforce_lock;
        policy.idle.filter(|_| may_lock).map(|idle| self.touched + idle)
    }

    /// A code was typed to unlock.
    pub fn try_code(&mut self, digits: &str, now: Time) -> Tried {
        self.touched = now;
        if self.is_code(digits) {
            self.is_locked = false;
            self.wrong = 0;
            return Tried::Right;
        }
        self.wrong += 1;
        if self.wrong >= TRIES { Tried::WrongForGood } else { Tried::Wrong(TRIES - self.wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn secs(secs: u64) -> Time {
        Time::from_secs(secs)
    }

    fn locked() -> Lock {
        let code = StoredCode::new("135790", &mut Random::named(1, "desk"));
        Lock::restored(StoredCode::from_bytes(&code.to_bytes()), 0, secs(0))
    }

    #[test]
    fn a_phone_with_a_code_comes_up_locked_and_opens_by_it() {
        let mut lock = locked();
        assert!(lock.is_locked());
        assert_eq!(lock.try_code("135790", secs(1)), Tried::Right);
        assert!(!lock.is_locked());
        assert!(!Lock::restored(None, 0, secs(0)).is_locked());
    }

    #[test]
    fn six_wrong_codes_and_not_five_are_the_end() {
        let mut lock = locked();
        for left in (1..TRIES).rev() {
            assert_eq!(lock.try_code("000000", secs(1)), Tried::Wrong(left));
        }
        assert_eq!(lock.try_code("000000", secs(1)), Tried::WrongForGood);
    }

    #[test]
    fn wrong_codes_from_before_a_restart_count() {
        let code = StoredCode::new("135790", &mut Random::named(1, "desk"));
        let mut lock = Lock::restored(Some(code), 5, secs(0));
        assert_eq!(lock.try_code("000000", secs(1)), Tried::WrongForGood);
    }

    #[test]
    fn a_right_code_makes_earlier_mistakes_forgotten() {
        let mut lock = locked();
        for _ in 0..5 {
            lock.try_code("1", secs(1));
        }
        lock.try_code("135790", secs(1));
        assert!(lock.lock());
        assert_eq!(lock.try_code("1", secs(1)), Tried::Wrong(5));
    }

    #[test]
    fn an_idle_phone_locks_when_the_policy_says_and_only_with_a_code() {
        let mut lock = locked();
        let policy = Policy::default();
        assert_eq!(lock.idle_at(&policy), None, "it is locked already");
        lock.try_code("135790", secs(5));
        assert_eq!(lock.idle_at(&policy), Some(secs(605)));
        lock.touch(secs(100));
        assert_eq!(lock.idle_at(&policy), Some(secs(700)));
        assert_eq!(lock.idle_at(&Policy { idle: None, ..policy.clone() }), None);
        assert_eq!(lock.idle_at(&Policy { enforce_lock: false, ..policy.clone() }), None);
        assert_eq!(Lock::default().idle_at(&Policy { idle: Some(Duration::from_secs(60)), ..policy }), None);
    }

    #[test]
    fn both_ends_of_the_length_are_good_and_nothing_beyond() {
        let policy = Policy { least_digits: 6, ..Policy::default() };
        for (digits, is_good) in [
            ("12345", false),
            ("123456", true),
            ("123456789012345", true),
            ("1234567890123456", false),
            ("12345a", false),
        ] {
            assert_eq!(check_new(digits, &policy).is_ok(), is_good, "{digits}");
        }
    }
}
