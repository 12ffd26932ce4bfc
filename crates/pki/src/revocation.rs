//! Which certificates count no longer, since when, and why.
//!
//! A plain list that an administrator or a story extends in mid-run. Whoever verifies a certificate asks it by
//! serial; [`crate::Authority::revocation_list`] prints it for other people's tools (RFC 5280 §5).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use net::Wall;

use crate::certificate::{Certificate, Serial};

/// Why a certificate was revoked (the reason codes of RFC 5280 §5.3.1 that make sense here).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Reason {
    /// Nobody said.
    #[default]
    Unspecified,
    /// Somebody else may know the private key.
    KeyCompromise,
    /// The holder left or changed its name.
    AffiliationChanged,
    /// A newer certificate took its place.
    Superseded,
    /// It is no longer needed.
    CessationOfOperation,
    /// The holder may no longer do what it is for.
    PrivilegeWithdrawn,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Unspecified => "unspecified",
            Reason::KeyCompromise => "key compromise",
            Reason::AffiliationChanged => "affiliation changed",
            Reason::Superseded => "superseded",
            Reason::CessationOfOperation => "cessation of operation",
            Reason::PrivilegeWithdrawn => "privilege withdrawn",
        })
    }
}

/// Since when and why a certificate counts no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Since when.
    pub at: Wall,
    /// Why.
    pub reason: Reason,
}

/// One authority's list of revoked certificates. It only grows: what is revoked stays revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    revoked: BTreeMap<Serial, Revoked>,
    changes: u64,
}

impl Revocations {
    /// An empty list.
    pub fn new() -> Revocations {
        Revocations::default()
    }

    /// Revokes a certificate by its serial. A second word about the same certificate changes nothing.
    pub fn revoke(&mut self, serial: Serial, at: Wall, reason: Reason) {
        if let Entry::Vacant(place) = self.revoked.entry(serial) {
            place.insert(Revoked { at, reason });
            self.changes += 1;
        }
    }

    /// Since when and why `serial` counts no longer; `None` if it still does.
    pub fn find(&self, serial: &Serial) -> Option<Revoked> {
        self.revoked.get(serial).copied()
    }

    /// Whether a certificate counts no longer.
    pub fn has(&self, certificate: &Certificate) -> bool {
        self.revoked.contains_key(&certificate.serial)
    }

    /// Everything that is revoked, by serial.
    pub fn iter(&self) -> impl Iterator<Item = (&Serial, &Revoked)> {
        self.revoked.iter()
    }

    /// How many certificates are revoked.
    pub fn len(&self) -> usize {
        self.revoked.len()
    }

    /// Whether no certificate is revoked.
    pub fn is_empty(&self) -> bool {
        self.revoked.is_empty()
    }

    /// How often the list grew; the number of the next printed list (RFC 5280 §5.2.3).
    pub(crate) fn number(&self) -> u64 {
        self.changes + 1
    }
}
