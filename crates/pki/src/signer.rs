//! The signing key of an authority or of a requester, in the shape that rcgen wants.

use net::crypto::P256SigningKey;
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm, SigningKey};
use rustls_pki_types::PrivateKeyDer;

/// A P-256 key that signs by RFC 6979.
pub(crate) struct Signer {
    key: P256SigningKey,
    point: Vec<u8>,
}

impl Signer {
    /// Takes a P-256 key in PKCS#8; says why if it is something else.
    pub(crate) fn new(key: &PrivateKeyDer<'_>) -> Result<Signer, String> {
        let key = P256SigningKey::from_pkcs8(key.secret_der())?;
        Ok(Signer { point: key.public_point(), key })
    }

    /// The public key as a SubjectPublicKeyInfo.
    pub(crate) fn public_key_info(&self) -> &[u8] {
        self.key.public_key_info()
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(•••)")
    }
}

impl PublicKeyData for Signer {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.key.sign(message))
    }
}
