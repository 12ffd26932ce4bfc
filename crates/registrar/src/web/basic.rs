//! HTTP Basic (RFC 7617) against the pool's own passwords.
//!
//! Known and unknown users look alike: both cost one slow hash, both are locked out by name after
//! [`TRIES_LIMIT`] wrong tries, with one answer for everything.

use std::collections::BTreeMap;
use std::time::Duration;

use net::Time;

use super::keys;
use crate::accounts::{Account, Accounts, normal};

/// The longest credentials, in octets before base64.
pub const CREDENTIALS_LIMIT: usize = 512;
/// Wrong tries in a row before a name is locked.
pub const TRIES_LIMIT: u32 = 10;
/// How long a name stays locked.
pub const LOCK: Duration = Duration::from_secs(300);
/// The most names whose wrong tries are counted; the one that failed longest ago makes room.
pub const NAMES_LIMIT: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Tries {
    wrong: u32,
    last: Time,
}

/// Who tried wrong passwords lately.
#[derive(Debug, Default)]
pub struct Gate {
    tries: BTreeMap<String, Tries>,
}

/// The user name and password of an `Authorization: Basic` value.
pub fn credentials(value: &str) -> Option<(String, String)> {
    let encoded = after_scheme(value, "Basic")?;
    let decoded = keys::from_base64(encoded, CREDENTIALS_LIMIT)?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// What stands behind a scheme (RFC 9110 §11.1: in either case) in an `Authorization` value.
pub fn after_scheme<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let (found, rest) = value.split_once(' ').unwrap_or((value, ""));
    found.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

impl Gate {
    /// The account that these credentials prove.
    pub fn check<'a>(
        &mut self,
        accounts: &'a Accounts,
        user: &str,
        password: &str,
        now: Time,
    ) -> Option<&'a Account> {
        let name = normal(user);
        let locked = self
            .tries
            .get(&name)
            .is_some_and(|tries| tries.wrong >= TRIES_LIMIT && now.since(tries.last) < LOCK);
        if locked {
            return None;
        }
        match accounts.prove(&name, password) {
            Some(account) => {
                self.tries.remove(&name);
                Some(account)
            }
            None => {
                self.count(name, now);
                None
            }
        }
    }

    fn count(&mut self, name: String, now: Time) {
        if !self.tries.contains_key(&name) && self.tries.len() >= NAMES_LIMIT {
            let stalest = self.tries.iter().min_by_key(|(_, tries)| tries.last).map(|(name, _)| name.clone());
            if let Some(stalest) = stalest {
                self.tries.remove(&stalest);
            }
        }
        let tries = self.tries.entry(name).or_insert(Tries { wrong: 0, last: now });
        // A lock that is over begins anew.
        tries.wrong = if now.since(tries.last) >= LOCK { 1 } else { tries.wrong.saturating_add(1) };
        tries.last = now;
    }
}
