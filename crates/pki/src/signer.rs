//! The signing key of an authority or of a requester, in the shape that rcgen wants.

use net::crypto::P256SigningKey;
use net::{Crypto, Random};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm, SigningKey};
use rsa::pkcs8::EncodePrivateKey as _;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// How large the RSA keys are that are made here, in bits.
const RSA_BITS: usize = 2048;

/// Of which kind the keys are that an authority makes, its own and those of the servers it issues for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KeyKind {
    /// ECDSA on P-256, signing with SHA-256: small and fast.
    #[default]
    P256,
    /// RSA of 2048 bits, signing by PKCS #1 v1.5 with SHA-256: for devices that know nothing else. Making one takes a
    /// tenth of a second.
    Rsa2048,
}

impl KeyKind {
    /// Makes a key of this kind, in PKCS #8.
    pub fn make(self, crypto: Crypto, random: &mut Random) -> PrivateKeyDer<'static> {
        match self {
            KeyKind::P256 => crypto.p256_key(random),
            KeyKind::Rsa2048 => {
                let key = rsa::PrivateKey::new(random, RSA_BITS).expect("2048 bits are enough for a key");
                let pkcs8 = key.to_pkcs8_der().expect("an RSA key always encodes");
                PrivatePkcs8KeyDer::from(pkcs8.as_bytes().to_vec()).into()
            }
        }
    }
}

/// A key that signs; equal messages get equal signatures.
pub(crate) enum Signer {
    /// A P-256 key that signs by RFC 6979.
    P256 { key: P256SigningKey, point: Vec<u8> },
    /// An RSA key that signs by PKCS #1 v1.5.
    Rsa { key: Box<KeyPair>, public_key_info: Vec<u8> },
}

impl Signer {
    /// Takes a P-256 or RSA key in PKCS#8; says why if it is something else.
    pub(crate) fn new(key: &PrivateKeyDer<'_>) -> Result<Signer, String> {
        let why = match P256SigningKey::from_pkcs8(key.secret_der()) {
            Ok(key) => return Ok(Signer::P256 { point: key.public_point(), key }),
            Err(why) => why,
        };
        match KeyPair::try_from(key) {
            Ok(key) if key.algorithm() == &rcgen::PKCS_RSA_SHA256 => {
                let public_key_info = key.subject_public_key_info();
                Ok(Signer::Rsa { key: Box::new(key), public_key_info })
            }
            Ok(_) => Err("neither a P-256 nor an RSA key".to_owned()),
            Err(rsa) => Err(format!("{why}, and no RSA key: {rsa}")),
        }
    }

    /// The public key as a SubjectPublicKeyInfo.
    pub(crate) fn public_key_info(&self) -> &[u8] {
        match self {
            Signer::P256 { key, .. } => key.public_key_info(),
            Signer::Rsa { public_key_info, .. } => public_key_info,
        }
    }

    pub(crate) fn kind(&self) -> KeyKind {
        match self {
            Signer::P256 { .. } => KeyKind::P256,
            Signer::Rsa { .. } => KeyKind::Rsa2048,
        }
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(•••)")
    }
}

impl PublicKeyData for Signer {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Signer::P256 { point, .. } => point,
            Signer::Rsa { key, .. } => key.der_bytes(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            Signer::P256 { .. } => &PKCS_ECDSA_P256_SHA256,
            Signer::Rsa { .. } => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl SigningKey for Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match self {
            Signer::P256 { key, .. } => Ok(key.sign(message)),
            Signer::Rsa { key, .. } => key.sign(message),
        }
    }
}
