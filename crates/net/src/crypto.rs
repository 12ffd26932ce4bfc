//! The cryptography a world runs on.
//!
//! On the wire it is ring with the operating system's randomness. In the simulation it is the same algorithms
//! with every random choice drawn from an actor's own [`Random`]: keys, nonces and ciphertext come out equal
//! for equal seeds, so a seed fixes a capture to the byte. ECDSA signs by RFC 6979, which needs no chance.
//!
//! rustls reaches its generator through `&'static` objects, so the seeded provider draws from whatever
//! generator [`Crypto::with`] put in place on this thread for the length of a call.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, SharedSecret,
    SupportedKxGroup,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::{Signer, SigningKey};
use rustls::{NamedGroup, SignatureAlgorithm, SignatureScheme};

use crate::random::Random;

/// Which cryptography a world runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crypto {
    /// The simulation's: every random choice comes from the generator given to [`Crypto::with`].
    Seeded,
    /// The wire's: ring and the operating system's randomness.
    System,
}

impl Crypto {
    /// The provider to build rustls configurations with.
    pub fn provider(self) -> Arc<CryptoProvider> {
        static SEEDED: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(seeded()));
        static SYSTEM: LazyLock<Arc<CryptoProvider>> =
            LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
        match self {
            Crypto::Seeded => SEEDED.clone(),
            Crypto::System => SYSTEM.clone(),
        }
    }

    /// Runs `call` with `random` as the source of chance for everything that rustls does inside it.
    pub fn with<R>(self, random: &mut Random, call: impl FnOnce() -> R) -> R {
        match self {
            Crypto::System => call(),
            Crypto::Seeded => {
                // A fork, so that the caller's generator moves on by the same amount whatever the call draws.
                let inner = random.fork("crypto");
                let before = DRAWING.with(|slot| slot.borrow_mut().replace(inner));
                let result = call();
                DRAWING.with(|slot| *slot.borrow_mut() = before);
                result
            }
        }
    }

    /// Makes a P-256 key pair and returns its private key as PKCS#8. On the wire, too, the key comes from
    /// `random`, which the operating system seeded there.
    pub fn p256_key(self, random: &mut Random) -> PrivateKeyDer<'static> {
        let secret = loop {
            // All but one in 2^32 of 32-byte strings are valid scalars.
            if let Ok(secret) = p256::SecretKey::from_slice(&random.bytes::<32>()) {
                break secret;
            }
        };
        let pkcs8 = secret.to_pkcs8_der().expect("a valid P-256 key always encodes");
        PrivatePkcs8KeyDer::from(pkcs8.as_bytes().to_vec()).into()
    }
}

thread_local! {
    static DRAWING: RefCell<Option<Random>> = const { RefCell::new(None) };
}

fn draw(buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
    DRAWING.with(|slot| match slot.borrow_mut().as_mut() {
        Some(random) => {
            random.fill(buffer);
            Ok(())
        }
        None => Err(GetRandomFailed),
    })
}

fn seeded() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![&X25519],
        secure_random: &SeededRandom,
        key_provider: &P256Keys,
        ..rustls::crypto::ring::default_provider()
    }
}

#[derive(Debug)]
struct SeededRandom;

impl SecureRandom for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        draw(buffer)
    }
}

/// X25519 (RFC 7748) whose ephemeral secrets come from the seeded generator.
#[derive(Debug)]
struct X25519;

impl SupportedKxGroup for X25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        let mut secret = [0; 32];
        draw(&mut secret).map_err(|_| rustls::Error::FailedToGetRandomBytes)?;
        let secret = x25519_dalek::StaticSecret::from(secret);
        let public = x25519_dalek::PublicKey::from(&secret);
        Ok(Box::new(X25519Exchange { secret, public }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct X25519Exchange {
    secret: x25519_dalek::StaticSecret,
    public: x25519_dalek::PublicKey,
}

impl ActiveKeyExchange for X25519Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, rustls::Error> {
        let peer: [u8; 32] = peer.try_into().map_err(|_| rustls::PeerMisbehaved::InvalidKeyShare)?;
        let shared = self.secret.diffie_hellman(&x25519_dalek::PublicKey::from(peer));
        // RFC 7748 §6.1: an all-zero result means a peer that sent a point of small order.
        if !shared.was_contributory() {
            return Err(rustls::PeerMisbehaved::InvalidKeyShare.into());
        }
        Ok(SharedSecret::from(&shared.as_bytes()[..]))
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// Loads P-256 keys that sign by RFC 6979, so that signatures need no chance.
#[derive(Debug)]
struct P256Keys;

impl KeyProvider for P256Keys {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        if let Ok(key) = P256SigningKey::from_pkcs8(key.secret_der()) {
            return Ok(Arc::new(key));
        }
        // RSA by PKCS#1 v1.5 signs without chance as well; ring's loader serves it.
        rustls::crypto::ring::sign::any_supported_type(&key)
    }
}

/// A P-256 signing key that signs by RFC 6979: the same message, the same signature.
#[derive(Clone)]
pub struct P256SigningKey {
    key: Arc<p256::ecdsa::SigningKey>,
    spki: Vec<u8>,
}

impl P256SigningKey {
    /// Reads a PKCS#8 private key.
    ///
    /// # Errors
    ///
    /// Says why if `pkcs8` is not a P-256 key in PKCS#8.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<P256SigningKey, String> {
        let key = p256::ecdsa::SigningKey::from_pkcs8_der(pkcs8)
            .map_err(|why| format!("not a P-256 key in PKCS#8: {why}"))?;
        let spki = key
            .verifying_key()
            .to_public_key_der()
            .map_err(|why| format!("the public key does not encode: {why}"))?;
        Ok(P256SigningKey { spki: spki.as_bytes().to_vec(), key: Arc::new(key) })
    }

    /// Signs `message` by ECDSA with SHA-256; the signature is DER, as X.509 and TLS want it.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: p256::ecdsa::DerSignature = self.key.sign(message);
        signature.as_bytes().to_vec()
    }

    /// The public key as a SubjectPublicKeyInfo.
    pub fn public_key_info(&self) -> &[u8] {
        &self.spki
    }

    /// The public key as an uncompressed point (65 bytes).
    pub fn public_point(&self) -> Vec<u8> {
        self.key.verifying_key().to_sec1_point(false).as_bytes().to_vec()
    }
}

impl std::fmt::Debug for P256SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("P256SigningKey(•••)")
    }
}

impl SigningKey for P256SigningKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ECDSA_NISTP256_SHA256)
            .then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(&self.spki[..]))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for P256SigningKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(P256SigningKey::sign(self, message))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}
