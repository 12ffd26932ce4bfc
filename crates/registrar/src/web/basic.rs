//! HTTP Basic (RFC 7617) against the pool's own passwords.
//!
//! Known and unknown users look alike: both cost one slow hash, both are locked out by name after
//! [`TRIES_LIMIT`] wrong tries, with one answer for everything. An address that tries many names is locked out
//! as well, so that nobody keeps the pool busy with slow hashes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use net::Time;

use super::keys;
use crate::accounts::{Account, Accounts, normal};

/// The longest credentials, in octets before base64.
pub const CREDENTIALS_LIMIT: usize = 512;
/// Wrong tries in a row before a name is locked.
pub const TRIES_LIMIT: u32 = 10;
/// Wrong tries in a row, whatever the name, before an address is locked; a site's phones may share one.
pub const PEER_TRIES_LIMIT: u32 = 100;
/// How long a name or an address stays locked.
pub const LOCK: Duration = Duration::from_secs(300);
/// The most names and addresses whose wrong tries are counted; the one that failed longest ago makes room.
pub const NAMES_LIMIT: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Name(String),
    Address(IpAddr),
}

impl Who {
    fn limit(&self) -> u32 {
        match self {
            Who::Name(_) => TRIES_LIMIT,
            Who::Address(_) => PEER_TRIES_LIMIT,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    wrong: u32,
    last: Time,
}

/// Who tried wrong passwords lately.
#[derive(Debug, Default)]
pub struct Gate {
    tries: BTreeMap<Who, Tries>,
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
    /// The account that a user name and a password from `peer` prove.
    pub fn check<'a>(
        &mut self,
        accounts: &'a Accounts,
        (user, password): (&str, &str),
        peer: IpAddr,
        now: Time,
    ) -> Option<&'a Account> {
        let who = [Who::Name(normal(user)), Who::Address(peer)];
        if who.iter().any(|who| self.is_locked(who, now)) {
            return None;
        }
        let account = accounts.prove(user, password);
        for who in who {
            match account {
                Some(_) => {
                    self.tries.remove(&who);
                }
                None => self.count(who, now),
            }
        }
        account
    }

    fn is_locked(&self, who: &Who, now: Time) -> bool {
        self.tries.get(who).is_some_and(|tries| tries.wrong >= who.limit() && now.since(tries.last) < LOCK)
    }

    fn count(&mut self, who: Who, now: Time) {
        if !self.tries.contains_key(&who) && self.tries.len() >= NAMES_LIMIT {
            let stalest = self.tries.iter().min_by_key(|(_, tries)| tries.last).map(|(who, _)| who.clone());
            if let Some(stalest) = stalest {
                self.tries.remove(&stalest);
            }
        }
        let tries = self.tries.entry(who).or_insert(Tries { wrong: 0, last: now });
        // A lock that is over begins anew.
        tries.wrong = if now.since(tries.last) >= LOCK { 1 } else { tries.wrong.saturating_add(1) };
        tries.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::PasswordCost;

    #[test]
    fn invented_names_do_not_fill_the_memory() {
        let (accounts, mut gate) = (Accounts::new([], PasswordCost::Light), Gate::default());
        for number in 0..NAMES_LIMIT as u64 + 100 {
            let peer = IpAddr::from([10, 20, 2, (number / 50) as u8]);
            let now = Time::from_millis(number);
            assert!(gate.check(&accounts, (&format!("u{number}"), "guess"), peer, now).is_none());
        }
        assert_eq!(gate.tries.len(), NAMES_LIMIT);
        assert!(gate.tries.contains_key(&Who::Name("u1123".to_owned())), "the latest are remembered");
    }
}
