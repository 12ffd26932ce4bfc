//! The keys that sign tokens, and the set that the world verifies them with (RFC 7517).
//!
//! Key number *n* follows from a seed, so a rolled key need not be written down anywhere: the roll's count
//! is enough. The next key is published before it signs and the previous one stays after it, so a verifier
//! that reads the set once a day never meets an unknown key.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Header};
use net::Random;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rsa::PrivateKey;
use rsa::pkcs1::{DecodeRsaPrivateKey as _, EncodeRsaPrivateKey as _};
use rsa::traits::PublicKeyParts as _;
use serde::Serialize;
use serde_json::{Value, json};

use crate::secret::Fingerprint;

/// RFC 7518 §3.3 wants at least this many bits.
const KEY_BITS: usize = 2048;

/// The signing keys of one identity service. Making them costs a good part of a second; clones share them.
#[derive(Clone)]
pub struct SigningKeys {
    seed: [u8; 32],
    made: Arc<Vec<SigningKey>>,
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeys(•••, {} made)", self.made.len())
    }
}

impl SigningKeys {
    /// Makes the first two keys (RSA, 2048 bits) from `random`: equal generators give equal keys.
    pub fn generate(random: &mut Random) -> SigningKeys {
        let seed = random.bytes();
        SigningKeys { seed, made: Arc::new((0..2).map(|number| SigningKey::derive(&seed, number)).collect()) }
    }

    /// The keys as octets, for a lab that is to have the same ones tomorrow: finding primes takes time. They are secret.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.seed.to_vec();
        for key in self.made.iter() {
            let length = u32::try_from(key.der.len()).expect("a key has few octets");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&key.der);
        }
        bytes
    }

    /// The keys that [`SigningKeys::to_bytes`] gave; `None` if these are no such octets.
    pub fn from_bytes(bytes: &[u8]) -> Option<SigningKeys> {
        let (seed, mut rest) = bytes.split_first_chunk::<32>()?;
        let mut made = Vec::new();
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (der, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            made.push(SigningKey::new(&PrivateKey::from_pkcs1_der(der).ok()?));
            rest = after;
        }
        (made.len() >= 2).then(|| SigningKeys { seed: *seed, made: Arc::new(made) })
    }

    /// Makes every key up to and including `number`.
    pub(crate) fn reach(&mut self, number: u32) {
        let made = Arc::make_mut(&mut self.made);
        while made.len() <= number as usize {
            let next = u32::try_from(made.len()).expect("rolls are counted in 32 bits");
            made.push(SigningKey::derive(&self.seed, next));
        }
    }

    /// The key that signs after `rolls` rolls.
    pub(crate) fn current(&self, rolls: u32) -> &SigningKey {
        &self.made[rolls as usize]
    }

    /// The published set after `rolls` rolls: the previous key, the one that signs, and the next.
    pub(crate) fn published(&self, rolls: u32, issuer: Option<&str>) -> Value {
        let first = rolls.saturating_sub(1) as usize;
        let last = (rolls as usize + 1).min(self.made.len() - 1);
        let keys: Vec<Value> = self.made[first..=last].iter().map(|key| key.public(issuer)).collect();
        json!({ "keys": keys })
    }
}

/// One key and how it is called.
#[derive(Clone)]
pub(crate) struct SigningKey {
    der: Vec<u8>,
    /// Signs three times as fast as the library that found the primes.
    key: Arc<RsaKeyPair>,
    kid: String,
    modulus: String,
    exponent: String,
}

impl SigningKey {
    fn derive(seed: &[u8; 32], number: u32) -> SigningKey {
        let own = Fingerprint::of_parts(&[b"signing key", seed, &number.to_be_bytes()]);
        let mut chance = Random::from_seed(own.0);
        SigningKey::new(&PrivateKey::new(&mut chance, KEY_BITS).expect("2048 bits are a legal key size"))
    }

    fn new(private: &PrivateKey) -> SigningKey {
        let der = private.to_pkcs1_der().expect("a fresh key always encodes");
        let modulus = private.n().to_be_bytes_trimmed_vartime();
        let exponent = private.e().to_be_bytes_trimmed_vartime();
        let kid = Fingerprint::of_parts(&[b"kid", &modulus]);
        SigningKey {
            key: Arc::new(
                RsaKeyPair::from_der(der.as_bytes()).expect("a key of 2048 bits is one that signs"),
            ),
            der: der.as_bytes().to_vec(),
            kid: URL_SAFE_NO_PAD.encode(&kid.0[..20]),
            modulus: URL_SAFE_NO_PAD.encode(&modulus),
            exponent: URL_SAFE_NO_PAD.encode(&exponent),
        }
    }

    fn public(&self, issuer: Option<&str>) -> Value {
        let mut key = json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "x5t": self.kid,
            "n": self.modulus, "e": self.exponent,
        });
        if let Some(issuer) = issuer {
            key["issuer"] = issuer.into();
        }
        key
    }

    /// Signs `claims` by RS256. `names_thumbprint` adds the `x5t` that version 1 tokens repeat the key's name in.
    pub(crate) fn sign(&self, claims: &impl Serialize, names_thumbprint: bool) -> String {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.kid.clone());
        header.x5t = names_thumbprint.then(|| self.kid.clone());
        let part = |json: serde_json::Result<Vec<u8>>| {
            URL_SAFE_NO_PAD.encode(json.expect("our own header and claims are always JSON"))
        };
        let mut token = part(serde_json::to_vec(&header)) + "." + &part(serde_json::to_vec(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        // PKCS #1 v1.5 pads without chance (RFC 8017 §8.2): equal claims, equal tokens.
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .expect("a signature has as many octets as the modulus");
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_keys_are_the_same_keys_and_damaged_ones_are_none() {
        let keys = SigningKeys::generate(&mut Random::named(1, "kept keys"));
        let bytes = keys.to_bytes();
        let kept = SigningKeys::from_bytes(&bytes).expect("our own octets");
        assert_eq!(kept.published(0, None), keys.published(0, None));
        assert!(SigningKeys::from_bytes(&bytes[..bytes.len() - 1]).is_none());
        assert!(SigningKeys::from_bytes(b"no keys").is_none());
    }
}
