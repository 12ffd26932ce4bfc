//! The server's RSA key, and what it decrypts: pre-master secrets, with implicit rejection (RFC 5246 §7.4.7.1).

use std::fmt;

use net::Random;
use rsa::hazmat::rsa_decrypt_and_check;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use rsa::traits::PublicKeyParts as _;
use rsa::{BoxedUint, PrivateKey};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

/// The length of every key that is made here, in bits.
const KEY_BITS: usize = 2048;
/// The length of a pre-master secret.
const PRE_MASTER_OCTETS: usize = 48;

/// An RSA key of a server.
#[derive(Clone)]
pub struct RsaKey(PrivateKey);

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaKey(•••)")
    }
}

/// Why octets are no RSA key that a server can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RSA key of 2048 to 4096 bits in PKCS#8: {0}")]
pub struct NotRsaKey(String);

impl RsaKey {
    /// Makes a key of 2048 bits; equal generators give equal keys. This takes a tenth of a second and more.
    pub fn generate(random: &mut Random) -> RsaKey {
        RsaKey(PrivateKey::new(random, KEY_BITS).expect("2048 bits are a legal key size"))
    }

    /// Reads a key in PKCS#8 (DER).
    ///
    /// # Errors
    ///
    /// If it is none, or too short or too long to serve.
    pub fn from_pkcs8(der: &[u8]) -> Result<RsaKey, NotRsaKey> {
        let key = PrivateKey::from_pkcs8_der(der).map_err(|why| NotRsaKey(why.to_string()))?;
        let bits = key.n().bit_width_vartime();
        if !(2048..=4096).contains(&bits) {
            return Err(NotRsaKey(format!("it has {bits} bits")));
        }
        Ok(RsaKey(key))
    }

    /// The key in PKCS#8 (DER), to be kept or to be used by another TLS.
    pub fn to_pkcs8(&self) -> PrivateKeyDer<'static> {
        let der = self.0.to_pkcs8_der().expect("a good key always encodes");
        PrivatePkcs8KeyDer::from(der.as_bytes().to_vec()).into()
    }

    /// The public key as a SubjectPublicKeyInfo (DER), for a certificate.
    pub fn public_key_info(&self) -> Vec<u8> {
        self.0.to_public_key().to_public_key_der().expect("a good key always encodes").into_vec()
    }

    /// The pre-master secret in an encrypted one of a client whose hello had this version.
    ///
    /// Whatever is wrong with it — length, padding, version — a random secret comes out, in the same steps, and the
    /// handshake fails at its Finished message as if a single octet had been off.
    pub(super) fn pre_master(
        &self,
        encrypted: &[u8],
        version: [u8; 2],
        random: &mut Random,
    ) -> [u8; PRE_MASTER_OCTETS] {
        let mut pre_master = random.bytes::<PRE_MASTER_OCTETS>();
        let len = self.0.size();
        // How long it is and whether it is below the modulus, everybody can see.
        let number = BoxedUint::from_be_slice(encrypted, self.0.n().as_ref().bits_precision());
        let (true, Ok(number)) = (encrypted.len() == len, number) else { return pre_master };
        let Ok(opened) = rsa_decrypt_and_check(&self.0, Some(random), &number) else { return pre_master };
        let opened = opened.to_be_bytes();
        let block = &opened[opened.len() - len..];
        let (padding, secret) = block.split_at(len - PRE_MASTER_OCTETS);
        // 0, 2, no zero octet, then one, then the version of the hello (RFC 8017 §7.2.2).
        let mut is_good = padding[0].ct_eq(&0) & padding[1].ct_eq(&2) & padding[padding.len() - 1].ct_eq(&0);
        for octet in &padding[2..padding.len() - 1] {
            is_good &= !octet.ct_eq(&0);
        }
        is_good &= secret[..2].ct_eq(&version);
        for (kept, found) in pre_master.iter_mut().zip(secret) {
            kept.conditional_assign(found, is_good);
        }
        pre_master
    }
}

#[cfg(test)]
mod tests {
    use rsa::hazmat::rsa_encrypt;

    use super::*;

    /// Encrypts a block without a look at it.
    fn encrypt(key: &RsaKey, block: &[u8]) -> Vec<u8> {
        let public = key.0.to_public_key();
        let number = BoxedUint::from_be_slice(block, public.n().as_ref().bits_precision()).unwrap();
        let encrypted = rsa_encrypt(&public, &number).unwrap().to_be_bytes();
        encrypted[encrypted.len() - public.size()..].to_vec()
    }

    fn block(secret: [u8; 48]) -> Vec<u8> {
        let mut block = vec![0, 2];
        block.resize(256 - 49, 0xA5);
        block.push(0);
        block.extend(secret);
        block
    }

    #[test]
    fn a_secret_comes_out_only_of_what_is_right_in_every_octet() {
        let mut random = Random::named(1, "rsa key");
        let key = RsaKey::generate(&mut random);
        let mut secret = [7; 48];
        secret[..2].copy_from_slice(&[3, 1]);
        let good = block(secret);
        let open = |block: &[u8], random: &mut Random| key.pre_master(&encrypt(&key, block), [3, 1], random);
        assert_eq!(open(&good, &mut random), secret);
        // First octets, an early end of the padding, none at all, another version.
        for (at, octet) in [(1, 1), (2, 0), (100, 0), (206, 0), (207, 1), (208, 2), (209, 0)] {
            let mut bad = good.clone();
            bad[at] = octet;
            let (one, two) = (open(&bad, &mut random), open(&bad, &mut random));
            assert_ne!(one[2..], secret[2..], "octet {at}");
            assert_ne!(one, two, "a rejected secret is never the same twice");
        }
        let encrypted = encrypt(&key, &good);
        for len in [0, 1, 255] {
            assert_ne!(key.pre_master(&encrypted[..len], [3, 1], &mut random), secret, "{len} octets");
        }
        let longer = [&[0], &encrypted[..]].concat();
        assert_ne!(key.pre_master(&longer, [3, 1], &mut random), secret);
        assert_ne!(key.pre_master(&[0xFF; 256], [3, 1], &mut random), secret);
        assert_ne!(key.pre_master(&encrypted, [3, 3], &mut random), secret);
    }

    #[test]
    fn a_key_can_be_kept() {
        let key = RsaKey::generate(&mut Random::named(1, "rsa key"));
        let again = RsaKey::from_pkcs8(key.to_pkcs8().secret_der()).unwrap();
        assert_eq!(again.public_key_info(), key.public_key_info());
        assert!(RsaKey::from_pkcs8(b"no key").is_err());
        assert_eq!(format!("{key:?}"), "RsaKey(•••)");
    }
}
