//! Tokens as the identity service makes them, and as forgers do.

use std::convert::Infallible;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{Algorithm, EncodingKey};
use net::{Random, Wall};
use rsa::PrivateKey;
use rsa::pkcs1::{EncodeRsaPrivateKey as _, EncodeRsaPublicKey as _};
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use sha2::Sha256;

pub const ISSUER: &str = "https://sts.login.contoso.example/5bf0c3c1-0a3c-4ba1-b3c5-4d2ff8a3f7aa/";
pub const AUDIENCE: &str = "00000004-0000-0ff1-ce00-000000000000";

pub struct Key {
    pub kid: &'static str,
    key: PrivateKey,
}

struct Seeded(Random);

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u64() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(buffer);
        Ok(())
    }
}

impl TryCryptoRng for Seeded {}

fn generate(kid: &'static str) -> Key {
    let key = PrivateKey::new(&mut Seeded(Random::named(1, kid)), 2048).unwrap();
    Key { kid, key }
}

pub static KEY: LazyLock<Key> = LazyLock::new(|| generate("first"));
pub static NEXT_KEY: LazyLock<Key> = LazyLock::new(|| generate("next"));

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The publication of these keys.
pub fn published(keys: &[&Key]) -> String {
    let keys: Vec<Value> = keys
        .iter()
        .map(|key| {
            let public = key.key.to_public_key();
            json!({
                "kty": "RSA", "use": "sig", "kid": key.kid, "x5t": key.kid,
                "n": encode(&public.n_bytes()), "e": encode(&public.e_bytes()),
            })
        })
        .collect();
    json!({ "keys": keys }).to_string()
}

/// The claims of a good token of `upn`.
pub fn claims(upn: &str, now: Wall) -> Value {
    let now = now.unix_secs();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "iat": now - 300, "nbf": now - 300, "exp": now + 3599,
        "upn": upn, "unique_name": upn, "ver": "1.0", "scp": "user_impersonation",
    })
}

/// A token with these claims, signed as it should be.
pub fn token(key: &Key, claims: &Value) -> String {
    token_with(key, &json!({"typ": "JWT", "alg": "RS256", "kid": key.kid, "x5t": key.kid}), claims)
}

/// A token with this header.
pub fn token_with(key: &Key, header: &Value, claims: &Value) -> String {
    let message = message(header, claims);
    let secret = EncodingKey::from_rsa_der(key.key.to_pkcs1_der().unwrap().as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &secret, Algorithm::RS256).unwrap();
    format!("{message}.{signature}")
}

/// A token that says `alg: none`, or another case of it.
pub fn unsigned(alg: &str, claims: &Value) -> String {
    format!("{}.", message(&json!({"typ": "JWT", "alg": alg, "kid": "first"}), claims))
}

/// A token signed by HMAC with the published key as the secret.
pub fn confused(key: &Key, claims: &Value) -> [String; 2] {
    let message = message(&json!({"typ": "JWT", "alg": "HS256", "kid": key.kid}), claims);
    let public = key.key.to_public_key();
    let secrets = [public.n_bytes().to_vec(), public.to_pkcs1_der().unwrap().as_bytes().to_vec()];
    secrets.map(|secret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        mac.update(message.as_bytes());
        format!("{message}.{}", encode(&mac.finalize().into_bytes()))
    })
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()))
}
