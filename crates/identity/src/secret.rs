//! Text and bytes that nobody may read by accident.
//!
//! Passwords, seeds, codes and tokens live in these types: they print as `•••`, compare in constant time, and
//! are read only where somebody writes [`Secret::expose`].

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// A secret text, such as a password.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// The text itself; the word makes the places findable.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

/// Secret octets, such as the seed of a one-time password generator.
#[derive(Clone, Default)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// The octets themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> SecretBytes {
        SecretBytes(bytes)
    }
}

impl From<&[u8]> for SecretBytes {
    fn from(bytes: &[u8]) -> SecretBytes {
        SecretBytes(bytes.to_vec())
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

/// The SHA-256 of a secret: what is stored in its place, and what it is looked up by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

impl Fingerprint {
    pub(crate) fn of(secret: impl AsRef<[u8]>) -> Fingerprint {
        Fingerprint(Sha256::digest(secret.as_ref()).into())
    }

    /// Of several parts, each framed by its length so that no two lists of parts are alike.
    pub(crate) fn of_parts(parts: &[&[u8]]) -> Fingerprint {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Fingerprint(hash.finalize().into())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

/// Whether two texts are equal, in a time that depends on their lengths alone.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = Secret::from("correct horse");
        let seed = SecretBytes::from(&b"seed"[..]);
        assert_eq!(format!("{secret:?} {seed:?} {:?}", Fingerprint::of("x")), "••• ••• •••");
    }

    #[test]
    fn parts_are_framed() {
        assert!(Fingerprint::of_parts(&[b"ab", b"c"]) != Fingerprint::of_parts(&[b"a", b"bc"]));
    }
}
