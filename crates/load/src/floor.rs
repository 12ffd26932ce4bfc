//! What the cryptography of a complete sign-in costs: the least that any phone, browser and server together can get by with.
//!
//! Each operation is measured alone, on the thread that asks, over and over until its time is known; none of it touches a
//! socket, a page or a message. A floor is then so many of each. Signatures and keys are measured with the fastest library in
//! the tree (ring), also where actors use a slower one: what that costs more is not cryptography's fault. What is encrypted
//! after the handshakes, and keyed hashes of a few hundred octets, are left out: they cost microseconds.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use net::tls::{ClientTls, Credentials, NameCheck, ServerTls, TlsSession, Trust};
use net::{Crypto, Random, Time, Wall, WallClock};
use pki::{Authority, Validity};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rustls::server::WebPkiClientVerifier;
use sha2::{Digest as _, Sha256};
use sip::tls_dsk::{Acceptor, Initiator, Reply};

/// For how long each operation is measured at least.
const SPAN: Duration = Duration::from_millis(60);

/// The name that the measured certificates carry.
const HOST: &str = "fe.contoso.example";

/// How often the hash of a lock code is iterated on the phone.
const LOCK_ROUNDS: u32 = 1000;

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What it is.
    pub name: &'static str,
    /// CPU of one, both ends where it has two.
    pub each: Duration,
    /// How many of it one sign-in takes.
    pub count: f64,
}

/// The cryptography of one sign-in.
#[derive(Clone, Debug, PartialEq)]
pub struct Floor(pub Vec<Operation>);

/// How many TLS handshakes a sign-in takes, as they were counted in a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Handshakes {
    /// Those that were completed.
    pub completed: f64,
    /// Those that the dialling end broke off at the certificate.
    pub refused: f64,
}

impl Floor {
    /// The sum.
    pub fn total(&self) -> Duration {
        self.0.iter().map(|operation| operation.each.mul_f64(operation.count)).sum()
    }

    /// Measures everything that a sign-in by web code takes.
    ///
    /// # Errors
    ///
    /// In words, if something cannot be done at all on this machine.
    pub fn measure(handshakes: Handshakes) -> Result<Floor, String> {
        let parties = Parties::new(1)?;
        let strangers = Parties::new(2)?;
        let keys = Keys::new()?;
        let message = [7; 512];
        let ecdsa =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &keys.p256, &SystemRandom::new())
                .map_err(|why| why.to_string())?;
        let signed = ecdsa.sign(&SystemRandom::new(), &message).map_err(|why| why.to_string())?;
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, ecdsa.public_key().as_ref().to_vec());
        let token = keys.sign_rsa(&message);
        let rsa_public =
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, keys.rsa.public_key().as_ref().to_vec());
        let of = |name, count, each| Operation { name, each, count };
        Ok(Floor(vec![
            of(
                "TLS 1.3 handshake, both ends (X25519, P-256)",
                handshakes.completed,
                timed(|| parties.shake(&parties.trust).is_ok())?,
            ),
            of(
                "TLS 1.3 handshake broken off at an unknown authority",
                handshakes.refused,
                timed(|| parties.shake(&strangers.trust).is_err())?,
            ),
            of("TLS-DSK handshake, both ends (TLS 1.2, both show certificates)", 1.0, parties.dsk()?),
            of(
                "P-256 key pair",
                1.0,
                timed(|| {
                    EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
                        .is_ok()
                })?,
            ),
            // The phone's request, and the pool's certificate.
            of("P-256 signature", 2.0, timed(|| ecdsa.sign(&SystemRandom::new(), &message).is_ok())?),
            of("P-256 signature checked", 1.0, timed(|| public.verify(&message, signed.as_ref()).is_ok())?),
            of("RSA-2048 signature (access token)", 1.0, timed(|| !keys.sign_rsa(&message).is_empty())?),
            of("RSA-2048 signature checked", 1.0, timed(|| rsa_public.verify(&message, &token).is_ok())?),
            of("password hash (argon2id, 8 KiB, one pass)", 1.0, timed(|| hash_password().is_some())?),
            of(
                "lock code hash (SHA-256, iterated)",
                1.0,
                timed(|| hash_lock_code()[0] != 0 || LOCK_ROUNDS > 0)?,
            ),
        ]))
    }
}

/// CPU of one call, on this thread.
fn timed(mut call: impl FnMut() -> bool) -> Result<Duration, String> {
    if !black_box(call()) {
        return Err("an operation failed that is to be measured".to_owned());
    }
    let (started, mut calls) = (cpu(), 0);
    loop {
        for _ in 0..8 {
            black_box(call());
        }
        calls += 8;
        let used = cpu().saturating_sub(started);
        if used >= SPAN {
            return Ok(used / calls);
        }
    }
}

fn cpu() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let secs = u64::try_from(used.tv_sec).unwrap_or(0);
    Duration::new(secs, u32::try_from(used.tv_nsec).unwrap_or(0))
}

fn hash_password() -> Option<[u8; 32]> {
    use argon2::{Algorithm, Argon2, Params, Version};
    let params = Params::new(Params::MIN_M_COST, 1, 1, Some(32)).ok()?;
    let mut hash = [0; 32];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(b"Tr4in-Lamp!", &[5; 16], &mut hash).ok()?;
    Some(hash)
}

fn hash_lock_code() -> [u8; 32] {
    let salt = [3; 16];
    let mut value: [u8; 32] = Sha256::new().chain_update(salt).chain_update("135790").finalize().into();
    for _ in 0..LOCK_ROUNDS {
        value = Sha256::new().chain_update(salt).chain_update(value).finalize().into();
    }
    value
}

/// Keys to sign with.
struct Keys {
    p256: Vec<u8>,
    rsa: RsaKeyPair,
}

impl Keys {
    fn new() -> Result<Keys, String> {
        let mut random = Random::named(4, "floor");
        let rsa = rsa::PrivateKey::new(&mut random, 2048).map_err(|why| why.to_string())?;
        let rsa = rsa.to_pkcs1_der().map_err(|why| why.to_string())?;
        let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        let p256 = p256.map_err(|why| why.to_string())?.as_ref().to_vec();
        Ok(Keys { p256, rsa: RsaKeyPair::from_der(rsa.as_bytes()).map_err(|why| why.to_string())? })
    }

    fn sign_rsa(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.rsa.public().modulus_len()];
        match self.rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature) {
            Ok(()) => signature,
            Err(_) => Vec::new(),
        }
    }
}

/// A server, an authority, and a user with a certificate.
struct Parties {
    now: Wall,
    tls: ServerTls,
    trust: Trust,
    user: Credentials,
    authority: Authority,
}

impl Parties {
    fn new(seed: u64) -> Result<Parties, String> {
        // Any date will do, as long as everybody has the same.
        let now = Wall::from_unix_secs(1_772_442_000);
        let mut random = Random::named(seed, "floor");
        let life = Duration::from_secs(365 * 86_400);
        let mut authority = Authority::new("Floor Root", Crypto::System, &mut random, now, life);
        let validity = Validity::days(now, 100);
        let server = authority.issue_server(&[HOST.to_owned()], validity).map_err(|why| why.to_string())?;
        let key = Crypto::System.p256_key(&mut random);
        let request = pki::make_request(&key, "load@contoso.example").map_err(|why| why.to_string())?;
        let request = pki::CertificateRequest::parse(&request).map_err(|why| why.to_string())?;
        let holder = pki::Holder::new("load@contoso.example");
        let certificate = authority.issue_user(&request, &holder, validity).map_err(|why| why.to_string())?;
        Ok(Parties {
            now,
            tls: ServerTls::new(server),
            trust: authority.trust(),
            user: Credentials { chain: vec![certificate], key },
            authority,
        })
    }

    fn shake(&self, trust: &Trust) -> Result<(), String> {
        let mut random = Random::named(2, "floor");
        let clock = WallClock::new(self.now, Time::ZERO);
        let tls =
            ClientTls { server_name: HOST.to_owned(), trust: trust.clone(), clock, names: NameCheck::Strict };
        let words = |why: net::tls::TlsError| why.to_string();
        let mut client = TlsSession::client(&tls, Time::ZERO, Crypto::System, &mut random).map_err(words)?;
        let mut server = TlsSession::server(&self.tls, Crypto::System, &mut random).map_err(words)?;
        // Two rounds are enough for any handshake of TLS 1.3.
        let mut ups = 0;
        for _ in 0..2 {
            let flight = client.take_output();
            ups += u32::from(server.receive(&flight, Time::ZERO, &mut random).map_err(words)?.came_up);
            let flight = server.take_output();
            ups += u32::from(client.receive(&flight, Time::ZERO, &mut random).map_err(words)?.came_up);
        }
        if ups == 2 { Ok(()) } else { Err("the handshake does not end".to_owned()) }
    }

    fn dsk(&self) -> Result<Duration, String> {
        let mut random = Random::named(3, "floor");
        let words = |why: sip::tls_dsk::DskError| why.to_string();
        let verifier = WebPkiClientVerifier::builder_with_provider(
            self.authority.trust().store(),
            Crypto::System.provider(),
        )
        .build()
        .map_err(|why| why.to_string())?;
        let setup = sip::tls_dsk::acceptor_setup(
            self.tls.credentials(),
            Arc::clone(&verifier),
            Crypto::System,
            &mut random,
        )
        .map_err(words)?;
        let mut shake = || -> Result<(), String> {
            let mut client =
                Initiator::new(&self.user, &self.trust, HOST, Crypto::System, &mut random).map_err(words)?;
            let mut server = Acceptor::new(&setup, &mut random).map_err(words)?;
            let mut flight = Vec::new();
            for _ in 0..4 {
                flight = match client.step(&flight, self.now, &mut random).map_err(words)? {
                    Reply::More(flight) => flight,
                    Reply::Done { .. } => return Ok(()),
                };
                flight = match server.step(&flight, self.now, &mut random).map_err(words)? {
                    Reply::More(flight) | Reply::Done { flight, .. } => flight,
                };
            }
            Err("the handshake does not end".to_owned())
        };
        shake()?;
        timed(|| shake().is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_is_the_sum_of_what_was_measured() {
        let floor = Floor::measure(Handshakes { completed: 4.0, refused: 1.0 }).expect("measured");
        assert!(floor.0.iter().all(|operation| operation.each > Duration::ZERO), "{floor:?}");
        let sum: Duration = floor.0.iter().map(|operation| operation.each.mul_f64(operation.count)).sum();
        assert_eq!(floor.total(), sum);
    }
}
