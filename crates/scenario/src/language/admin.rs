//! Verbs of the administration: accounts, policies, certificates, pools.

use std::time::Duration;

use super::{PersonName, PoolName, Text};
pub use crate::lab_file::ConditionalAccess;
use crate::mistakes::Mistake;
use crate::yaml::record::record;
use crate::yaml::{Node, Reader};

record! {
    /// An account that something is done to.
    short "account"
    "this step" pub struct Account {
        /// The account, by its person's name.
        "account" account: PersonName,
    }
}

record! {
    /// A new password for an account.
    "`change-password`" pub struct ChangePassword {
        /// The account, by its person's name.
        "account" account: PersonName,
        /// The new password; `right` means this one from here on.
        "to" to: Text,
    }
}

record! {
    /// Policies from here on; what is not written stays as it is.
    "`set-policy`" pub struct SetPolicy {
        /// What the pool tells phones about their lock.
        "phone-lock" phone_lock: Option<PhoneLockChange>,
        /// The conditional access rules; these replace all that were there.
        "conditional-access" conditional_access: Option<Vec<ConditionalAccess>>,
    }
    check check_policy
}

fn check_policy(policy: &SetPolicy, node: &Node, reader: &mut Reader) -> Option<()> {
    if policy.phone_lock.is_some() || policy.conditional_access.is_some() {
        return Some(());
    }
    reader.wrong(Mistake::new(node.place, "`set-policy` needs `phone-lock` or `conditional-access`"));
    None
}

fn check_min_digits(digits: &Option<u8>, node: &Node, reader: &mut Reader) -> Option<()> {
    digits.map_or(Some(()), |digits| crate::lab_file::check::min_digits(&digits, node, reader))
}

record! {
    /// A change of the phone lock policy.
    "`phone-lock`" pub struct PhoneLockChange {
        /// Whether phones must be locked by a code.
        "enforce" enforce: Option<bool>,
        /// The fewest digits of a code.
        "min-digits" min_digits: Option<u8> => check_min_digits,
        /// How long a phone waits before it locks itself.
        "idle" idle: Option<Duration>,
    }
}

record! {
    /// An account moved to another pool.
    "`move-user`" pub struct MoveUser {
        /// The account, by its person's name.
        "account" account: PersonName,
        /// The pool.
        "to" to: PoolName,
    }
}
