//! Accounts: who there is, what they prove themselves by, and when they are locked.
//!
//! A password is stored as argon2id (RFC 9106) with a salt of its own; an unknown name costs the same work as
//! a known one, so an answer's time tells nothing. Locks live in memory: who restarts the service unlocks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use net::{Random, Time};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::mfa::Totp;
use crate::policy::LockOut;
use crate::secret::{Fingerprint, Secret};
use crate::setup::{Account, Kind, PasswordCost, Role, SecondFactor};

/// Wrong passwords that are remembered, so that the same mistake made again does not count.
const REMEMBERED_MISTAKES: usize = 3;
/// Characters of a sign-in name that the service looks at.
pub(crate) const UPN_LIMIT: usize = 113;
/// Octets of a password that the service looks at.
pub(crate) const PASSWORD_LIMIT: usize = 256;

/// An account's object id.
pub(crate) type Oid = String;

/// A salted argon2id hash.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PasswordHash {
    salt: [u8; 16],
    hash: [u8; 32],
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("•••")
    }
}

impl PasswordHash {
    pub(crate) fn new(password: &str, cost: PasswordCost, random: &mut Random) -> PasswordHash {
        let salt = random.bytes();
        PasswordHash { salt, hash: stretch(password, &salt, cost) }
    }

    fn fits(&self, password: &str, cost: PasswordCost) -> bool {
        stretch(password, &self.salt, cost).ct_eq(&self.hash).into()
    }
}

fn stretch(password: &str, salt: &[u8; 16], cost: PasswordCost) -> [u8; 32] {
    let (memory, passes) = match cost {
        PasswordCost::Light => (Params::MIN_M_COST, 1),
        PasswordCost::Owasp => (19 * 1024, 2),
    };
    let params = Params::new(memory, passes, 1, Some(32)).expect("both costs are legal");
    let mut hash = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut hash)
        .expect("salt and output have legal lengths");
    hash
}

/// Failures in a row, and until when they lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failures {
    count: u32,
    locked_until: Option<Time>,
    last_lock: Duration,
}

impl Failures {
    pub(crate) fn locked_until(&self, now: Time) -> Option<Time> {
        self.locked_until.filter(|&until| until > now)
    }

    /// Counts one; says until when the account is locked if this failure locked it.
    fn count(&mut self, rule: &LockOut, now: Time) -> Option<Time> {
        self.count = self.count.saturating_add(1);
        if rule.threshold == 0 || self.count < rule.threshold {
            return None;
        }
        self.last_lock = match self.last_lock {
            Duration::ZERO => rule.duration,
            last => last.saturating_mul(2),
        }
        .min(rule.longest);
        let until = now + self.last_lock;
        self.locked_until = Some(until);
        Some(until)
    }
}

/// One account as the service holds it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) oid: Oid,
    pub(crate) upn: String,
    pub(crate) display_name: String,
    pub(crate) role: Role,
    pub(crate) kind: Kind,
    pub(crate) licensed: bool,
    pub(crate) synced: bool,
    pub(crate) password: PasswordHash,
    pub(crate) enabled: bool,
    pub(crate) is_password_expired: bool,
    /// Grows with every revocation; what was granted under another number is void.
    pub(crate) epoch: u64,
    pub(crate) totp: Option<Totp>,
    pub(crate) failures: Failures,
    pub(crate) second_factor_failures: Failures,
    mistakes: VecDeque<Fingerprint>,
}

impl Record {
    /// The name before the domain and the whole, as events call the account.
    pub(crate) fn of(&self) -> String {
        self.upn.clone()
    }
}

/// How trying a password ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tried {
    /// It is the right one.
    Right(Oid),
    /// There is no such account.
    Unknown,
    /// The account is locked; the password was not looked at.
    Locked(Oid),
    /// It is not the right one; if this locked the account, until when.
    Wrong(Oid, Option<Time>),
}

/// Everybody.
#[derive(Clone, Debug)]
pub(crate) struct People {
    by_oid: BTreeMap<Oid, Record>,
    by_upn: BTreeMap<String, Oid>,
    cost: PasswordCost,
    /// What an unknown name's password is compared with.
    nobody: PasswordHash,
}

impl People {
    pub(crate) fn new(accounts: &[Account], tenant: &str, cost: PasswordCost, random: &mut Random) -> People {
        let mut people = People {
            by_oid: BTreeMap::new(),
            by_upn: BTreeMap::new(),
            cost,
            nobody: PasswordHash::new(&random.uuid(), cost, random),
        };
        for account in accounts {
            let upn = account.upn.to_ascii_lowercase();
            let oid = uuid_of(&[b"account", tenant.as_bytes(), upn.as_bytes()]);
            let totp = match &account.second_factor {
                SecondFactor::None => None,
                SecondFactor::Totp { secret } => Some(Totp::new(secret.clone())),
            };
            let record = Record {
                oid: oid.clone(),
                upn: account.upn.clone(),
                display_name: account.display_name.clone(),
                role: account.role,
                kind: account.kind,
                licensed: account.licensed,
                synced: account.synced,
                password: PasswordHash::new(account.password.expose(), cost, random),
                enabled: account.enabled,
                is_password_expired: false,
                epoch: 0,
                totp,
                failures: Failures::default(),
                second_factor_failures: Failures::default(),
                mistakes: VecDeque::new(),
            };
            people.by_upn.insert(upn, oid.clone());
            people.by_oid.insert(oid, record);
        }
        people
    }

    /// The account called `upn`; neither letter case nor blanks around it count.
    pub(crate) fn named(&self, upn: &str) -> Option<&Record> {
        let upn = upn.trim();
        if upn.len() > UPN_LIMIT {
            return None;
        }
        self.by_oid.get(self.by_upn.get(&upn.to_ascii_lowercase())?)
    }

    pub(crate) fn get(&self, oid: &str) -> Option<&Record> {
        self.by_oid.get(oid)
    }

    pub(crate) fn get_mut(&mut self, oid: &str) -> Option<&mut Record> {
        self.by_oid.get_mut(oid)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Record> {
        self.by_upn.values().filter_map(|oid| self.by_oid.get(oid))
    }

    /// Tries a password. The time it takes depends neither on whether the account exists nor on the password.
    pub(crate) fn try_password(&mut self, upn: &str, password: &Secret, rule: &LockOut, now: Time) -> Tried {
        let password = password.expose();
        let is_sane = password.len() <= PASSWORD_LIMIT;
        let tested = if is_sane { password } else { "" };
        let cost = self.cost;
        let oid = self.named(upn).map(|record| record.oid.clone());
        let Some(record) = oid.and_then(|oid| self.by_oid.get_mut(&oid)) else {
            let _ = self.nobody.fits(tested, cost);
            return Tried::Unknown;
        };
        let is_right = record.password.fits(tested, cost) && is_sane;
        let oid = record.oid.clone();
        if record.failures.locked_until(now).is_some() {
            return Tried::Locked(oid);
        }
        if is_right {
            record.failures = Failures::default();
            record.mistakes.clear();
            return Tried::Right(oid);
        }
        let mistake = Fingerprint::of_parts(&[&record.password.salt, tested.as_bytes()]);
        if record.mistakes.contains(&mistake) {
            return Tried::Wrong(oid, None);
        }
        record.mistakes.push_back(mistake);
        if record.mistakes.len() > REMEMBERED_MISTAKES {
            record.mistakes.pop_front();
        }
        Tried::Wrong(oid, record.failures.count(rule, now))
    }

    /// Counts a failed second factor. Passwords do not wipe this count out: who knows the password must not
    /// get endless tries at the code (RFC 4226 §7.3).
    pub(crate) fn count_second_factor(&mut self, oid: &str, rule: &LockOut, now: Time) -> Option<Time> {
        self.by_oid.get_mut(oid)?.second_factor_failures.count(rule, now)
    }

    /// Whether this is the account's password; counts nothing.
    pub(crate) fn is_password(&self, oid: &str, password: &str) -> bool {
        self.by_oid.get(oid).is_some_and(|record| record.password.fits(password, self.cost))
    }

    /// Sets a password, which voids everything that the old one bought.
    pub(crate) fn set_password(&mut self, oid: &str, password: &str, random: &mut Random) {
        let cost = self.cost;
        if let Some(record) = self.by_oid.get_mut(oid) {
            record.password = PasswordHash::new(password, cost, random);
            record.is_password_expired = false;
            record.epoch += 1;
            record.mistakes.clear();
        }
    }
}

/// A UUID that follows from `parts` (version 8, RFC 9562 §5.8).
pub(crate) fn uuid_of(parts: &[&[u8]]) -> String {
    let mut b = Fingerprint::of_parts(parts).0;
    b[6] = b[6] & 0x0f | 0x80;
    b[8] = b[8] & 0x3f | 0x80;
    let h: String = b[..16].iter().map(|b| format!("{b:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people() -> People {
        let accounts = [Account::person("Alice@contoso.example", "Alice", "right")];
        People::new(&accounts, "tenant", PasswordCost::Light, &mut Random::named(1, "people"))
    }

    fn wrong(people: &mut People, password: &str, now: Time) -> Option<Time> {
        match people.try_password("alice@contoso.example", &password.into(), &LockOut::default(), now) {
            Tried::Wrong(_, lock) => lock,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_tenth_different_mistake_locks_for_a_minute_and_the_next_for_two() {
        let mut people = people();
        for n in 0..9 {
            assert_eq!(wrong(&mut people, &format!("wrong {n}"), Time::ZERO), None);
        }
        assert_eq!(wrong(&mut people, "wrong 9", Time::ZERO), Some(Time::from_secs(60)));
        let try_at = |people: &mut People, at| {
            people.try_password("alice@contoso.example", &"right".into(), &LockOut::default(), at)
        };
        assert!(matches!(try_at(&mut people, Time::from_millis(59_999)), Tried::Locked(_)));
        let then = Time::from_secs(60);
        assert_eq!(wrong(&mut people, "wrong 10", then), Some(then + Duration::from_secs(120)));
        assert!(matches!(try_at(&mut people, Time::from_secs(180)), Tried::Right(_)));
    }

    #[test]
    fn the_same_mistake_made_again_does_not_count() {
        let mut people = people();
        for _ in 0..50 {
            assert_eq!(wrong(&mut people, "typo", Time::ZERO), None);
        }
    }

    #[test]
    fn names_are_found_whatever_their_case() {
        assert!(people().named(" ALICE@contoso.EXAMPLE ").is_some());
        assert!(people().named("bob@contoso.example").is_none());
    }
}
