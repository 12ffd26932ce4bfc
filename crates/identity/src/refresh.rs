//! Refresh tokens: who holds one, and what ends it (RFC 6749 §6, RFC 9700 §4.14).
//!
//! A token lives 90 days and each use hands out a new one. Using it does not end the old one, except in the
//! strict profile, where a second use ends the whole family: either the thief or the owner holds the copy.
//! Only SHA-256 of tokens are stored.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use net::{Random, Wall};
use serde::{Deserialize, Serialize};

use crate::people::Oid;
use crate::profile::Profile;
use crate::secret::{Fingerprint, Secret};
use crate::tokens::Wanted;

/// Tokens of one account and one client; the oldest gives way.
const PER_HOLDER: usize = 200;

/// One token, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) oid: Oid,
    pub(crate) epoch: u64,
    pub(crate) client_id: String,
    /// The grant that it goes back to.
    pub(crate) family: u64,
    pub(crate) wanted: Wanted,
    pub(crate) methods: Vec<String>,
    /// When a person last signed in for it, in seconds of the Unix epoch.
    pub(crate) auth_time: i64,
    /// When it was issued, in seconds of the Unix epoch.
    pub(crate) issued: i64,
    /// It goes back to a device code, whatever became of it since.
    pub(crate) is_device_born: bool,
    pub(crate) is_used: bool,
}

impl Held {
    /// Whether it has lain unused for `life`.
    pub(crate) fn is_over(&self, at: Wall, life: Duration) -> bool {
        let life = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
        at.unix_secs().saturating_sub(self.issued) >= life
    }
}

/// All refresh tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    held: BTreeMap<Fingerprint, Held>,
    /// In order of issue.
    order: BTreeMap<u64, Fingerprint>,
    by_holder: BTreeMap<(Oid, String), BTreeMap<u64, Fingerprint>>,
    next: u64,
    next_family: u64,
}

impl Tokens {
    pub(crate) fn fresh_family(&mut self) -> u64 {
        self.next_family += 1;
        self.next_family
    }

    /// Makes a token for `held`; beyond `limit` the oldest gives way.
    pub(crate) fn issue(
        &mut self,
        held: Held,
        profile: Profile,
        limit: usize,
        random: &mut Random,
    ) -> (Secret, Fingerprint) {
        let opening = match profile {
            Profile::EntraV1In2016 | Profile::EntraV2In2020 => "AQABAAAAAA",
            Profile::EntraV2In2024 => "1.A",
            Profile::Rfc8628 => "",
        };
        let token = format!("{opening}{}", URL_SAFE_NO_PAD.encode(random.bytes::<192>()));
        let key = Fingerprint::of(&token);
        self.restore(key, held);
        while self.held.len() > limit.max(1) {
            let Some((number, oldest)) = self.order.pop_first() else { break };
            let Some(held) = self.held.remove(&oldest) else { continue };
            let holder = (held.oid, held.client_id);
            if let Some(own) = self.by_holder.get_mut(&holder) {
                own.remove(&number);
                if own.is_empty() {
                    self.by_holder.remove(&holder);
                }
            }
        }
        (token.into(), key)
    }

    /// Puts back what the disk said.
    pub(crate) fn restore(&mut self, key: Fingerprint, held: Held) {
        self.next_family = self.next_family.max(held.family);
        let number = self.next;
        self.next += 1;
        let own = self.by_holder.entry((held.oid.clone(), held.client_id.clone())).or_default();
        own.insert(number, key);
        if own.len() > PER_HOLDER
            && let Some((number, oldest)) = own.pop_first()
        {
            self.held.remove(&oldest);
            self.order.remove(&number);
        }
        self.order.insert(number, key);
        self.held.insert(key, held);
    }

    pub(crate) fn find(&self, token: &str) -> Option<(Fingerprint, &Held)> {
        let key = Fingerprint::of(token);
        self.held.get(&key).map(|held| (key, held))
    }

    pub(crate) fn mark_used(&mut self, key: Fingerprint) {
        if let Some(held) = self.held.get_mut(&key) {
            held.is_used = true;
        }
    }

    pub(crate) fn end_family(&mut self, family: u64) {
        self.held.retain(|_, held| held.family != family);
        self.tidy();
    }

    /// How many tokens of an account would be taken.
    pub(crate) fn count(&self, oid: &str, epoch: u64, at: Wall, life: Duration) -> usize {
        self.held
            .values()
            .filter(|held| held.oid == oid && held.epoch == epoch && !held.is_over(at, life))
            .count()
    }

    /// Everything worth keeping, for a snapshot.
    pub(crate) fn all(&self, at: Wall, life: Duration) -> impl Iterator<Item = (Fingerprint, &Held)> {
        let alive = move |key: &Fingerprint| self.held.get(key).filter(|held| !held.is_over(at, life));
        self.order.values().filter_map(move |key| alive(key).map(|held| (*key, held)))
    }

    fn tidy(&mut self) {
        let held = &self.held;
        self.order.retain(|_, key| held.contains_key(key));
        self.by_holder.retain(|_, own| {
            own.retain(|_, key| held.contains_key(key));
            !own.is_empty()
        });
    }
}
