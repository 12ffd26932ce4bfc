//! Digest access authentication for SIP (RFC 7616, RFC 8760, and RFC 2617 for older peers): proof of a password.
//!
//! | part | promise |
//! | --- | --- |
//! | [`Algorithm`], [`Ha1`], [`response`] | the arithmetic, the same for both sides |
//! | [`Challenge`] | what a server asks, read and written |
//! | [`Credentials`] | what a client answers, read and written |
//! | [`Client`] | chooses among challenges, counts nonces, never answers twice what was refused |
//! | [`Server`] | makes nonces that prove themselves, verifies in constant time, refuses what came before |
//!
//! Values are hashed as they mean, without quotes and escapes, which is what other people's programs do as well; the
//! letter of RFC 7616 §3.4 can be read otherwise, and differs only for a `"` or `\` in a name.

mod challenge;
mod client;
mod credentials;
mod nonces;
mod server;
#[cfg(test)]
mod tests;

use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::auth::AuthError;

pub use challenge::Challenge;
pub use client::{Asker, CHALLENGES_MAX, Client, Login, NoAnswer, REALMS_MAX, STALE_MAX};
pub use credentials::Credentials;
pub use nonces::{NONCES_MAX, Nonces, WINDOW};
pub use server::{OldNonce, Renew, Server, ServerSetup, Verdict};

/// The scheme's name.
pub const SCHEME: &str = "Digest";

/// The longest value that is read or kept, in octets: nonces and opaque values of known servers stay below 512.
pub const TEXT_MAX: usize = 2048;

/// A hash function that digest knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hash {
    /// MD5 (RFC 1321): what everybody speaks, and no longer good.
    Md5,
    /// SHA-512 cut to 256 bits (FIPS 180-4 §5.3.6.2, with initial values of its own).
    Sha512_256,
    /// SHA-256.
    Sha256,
}

impl Hash {
    /// The hash of all parts, one after the other, as lower-case hexadecimal digits.
    pub fn hex(self, parts: &[&[u8]]) -> String {
        fn of<D: sha2::Digest>(parts: &[&[u8]]) -> String {
            let mut hash = D::new();
            for part in parts {
                hash.update(part);
            }
            let octets = hash.finalize();
            let mut digits = String::with_capacity(octets.len() * 2);
            for octet in octets {
                for digit in [octet >> 4, octet & 0xf] {
                    digits.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
                }
            }
            digits
        }
        match self {
            Hash::Md5 => of::<md5::Md5>(parts),
            Hash::Sha256 => of::<sha2::Sha256>(parts),
            Hash::Sha512_256 => of::<sha2::Sha512_256>(parts),
        }
    }

    /// How many hexadecimal digits it makes.
    pub fn digits(self) -> usize {
        match self {
            Hash::Md5 => 32,
            Hash::Sha256 | Hash::Sha512_256 => 64,
        }
    }
}

/// A digest algorithm: a hash, plain or with a key for the session (RFC 7616 §3.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithm {
    /// The hash.
    pub hash: Hash,
    /// Whether the first nonces of both sides go into the key (`-sess`).
    pub is_session: bool,
}

impl Algorithm {
    /// `MD5`, which is also meant where none is named.
    pub const MD5: Algorithm = Algorithm { hash: Hash::Md5, is_session: false };
    /// `MD5-sess`.
    pub const MD5_SESS: Algorithm = Algorithm { hash: Hash::Md5, is_session: true };
    /// `SHA-256`.
    pub const SHA_256: Algorithm = Algorithm { hash: Hash::Sha256, is_session: false };
    /// `SHA-256-sess`.
    pub const SHA_256_SESS: Algorithm = Algorithm { hash: Hash::Sha256, is_session: true };
    /// `SHA-512-256`.
    pub const SHA_512_256: Algorithm = Algorithm { hash: Hash::Sha512_256, is_session: false };
    /// `SHA-512-256-sess`.
    pub const SHA_512_256_SESS: Algorithm = Algorithm { hash: Hash::Sha512_256, is_session: true };

    /// Every algorithm, the weakest first.
    pub const ALL: [Algorithm; 6] = [
        Algorithm::MD5,
        Algorithm::MD5_SESS,
        Algorithm::SHA_512_256,
        Algorithm::SHA_512_256_SESS,
        Algorithm::SHA_256,
        Algorithm::SHA_256_SESS,
    ];

    /// The name as it stands in headers.
    pub fn name(self) -> &'static str {
        match (self.hash, self.is_session) {
            (Hash::Md5, false) => "MD5",
            (Hash::Md5, true) => "MD5-sess",
            (Hash::Sha256, false) => "SHA-256",
            (Hash::Sha256, true) => "SHA-256-sess",
            (Hash::Sha512_256, false) => "SHA-512-256",
            (Hash::Sha512_256, true) => "SHA-512-256-sess",
        }
    }

    /// The algorithm of that name, whatever its case; `None` if nobody here knows it.
    pub fn called(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }
}

/// The quality of protection: what goes into the proof (RFC 7616 §3.4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qop {
    /// Method and address.
    Auth,
    /// The body as well.
    AuthInt,
}

impl Qop {
    /// The name as it stands in headers.
    pub fn name(self) -> &'static str {
        match self {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        }
    }

    /// The quality of that name, whatever its case.
    pub fn called(name: &str) -> Option<Qop> {
        [Qop::Auth, Qop::AuthInt].into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }
}

/// H(user:realm:password), by which a server knows a password without keeping it. As good as the password in its realm.
#[derive(Clone, PartialEq, Eq)]
pub struct Ha1 {
    hash: Hash,
    hex: String,
}

impl Ha1 {
    /// The key of a user whose password is known.
    pub fn of(hash: Hash, user: &str, realm: &str, password: &str) -> Ha1 {
        let parts = [user.as_bytes(), b":", realm.as_bytes(), b":", password.as_bytes()];
        Ha1 { hash, hex: hash.hex(&parts) }
    }

    /// A key as it is kept in password files: hexadecimal digits of either case, as many as the hash makes.
    pub fn from_hex(hash: Hash, digits: &str) -> Option<Ha1> {
        let is_hex = digits.len() == hash.digits() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex.then(|| Ha1 { hash, hex: digits.to_ascii_lowercase() })
    }

    /// The hash that it was made with.
    pub fn hash(&self) -> Hash {
        self.hash
    }
}

impl std::fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ha1({:?} •••)", self.hash)
    }
}

/// What the proof is about: a request as far as digest looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its Request-URI as written.
    pub uri: &'a str,
    /// Its body, for [`Qop::AuthInt`].
    pub body: &'a [u8],
}

/// The nonces and counts that go into a proof.
#[derive(Clone, Copy, Debug)]
pub struct Salt<'a> {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The server's nonce.
    pub nonce: &'a str,
    /// Quality, nonce count and client's nonce; `None` as RFC 2069 had it.
    pub protection: Option<Protection<'a>>,
}

/// What came after RFC 2069: the client's share in the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection<'a> {
    /// The quality of protection.
    pub qop: Qop,
    /// How often this client used the nonce, this time included.
    pub count: u32,
    /// The client's nonce. With a `-sess` algorithm, the one of the first request.
    pub cnonce: &'a str,
}

/// The proof that `asked` comes from who knows the password behind `ha1` (RFC 7616 §3.4.1).
pub fn response(ha1: &Ha1, salt: &Salt<'_>, asked: &Asked<'_>) -> String {
    proof(ha1, salt, asked.method, asked)
}

/// The server's proof in `Authentication-Info` that it knows the password too (RFC 7616 §3.5): the same without a
/// method, over the response's body.
pub fn response_of_server(ha1: &Ha1, salt: &Salt<'_>, uri: &str, body: &[u8]) -> String {
    proof(ha1, salt, "", &Asked { method: "", uri, body })
}

fn proof(ha1: &Ha1, salt: &Salt<'_>, method: &str, asked: &Asked<'_>) -> String {
    let hash = salt.algorithm.hash;
    let nonce = salt.nonce.as_bytes();
    let key = match salt.protection {
        Some(protection) if salt.algorithm.is_session => {
            hash.hex(&[ha1.hex.as_bytes(), b":", nonce, b":", protection.cnonce.as_bytes()])
        }
        _ => ha1.hex.clone(),
    };
    let a2 = match salt.protection {
        Some(Protection { qop: Qop::AuthInt, .. }) => {
            let body = hash.hex(&[asked.body]);
            hash.hex(&[method.as_bytes(), b":", asked.uri.as_bytes(), b":", body.as_bytes()])
        }
        _ => hash.hex(&[method.as_bytes(), b":", asked.uri.as_bytes()]),
    };
    match salt.protection {
        None => hash.hex(&[key.as_bytes(), b":", nonce, b":", a2.as_bytes()]),
        Some(Protection { qop, count, cnonce }) => {
            let middle = format!(":{count:08x}:{cnonce}:{}:", qop.name());
            hash.hex(&[key.as_bytes(), b":", nonce, middle.as_bytes(), a2.as_bytes()])
        }
    }
}

/// H(user:realm), sent in place of a name by who asks for `userhash` (RFC 7616 §3.4.4).
pub fn user_hash(hash: Hash, user: &str, realm: &str) -> String {
    hash.hex(&[user.as_bytes(), b":", realm.as_bytes()])
}

/// Whether two proofs are equal, in a time that depends on their lengths alone.
fn is_same_proof(ours: &str, theirs: &str) -> bool {
    bool::from(ours.as_bytes().ct_eq(theirs.to_ascii_lowercase().as_bytes()))
}

/// Why a value is no digest challenge or no digest credentials.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DigestError {
    /// It is no scheme with parameters.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// Another scheme.
    #[error("the scheme is not {SCHEME}")]
    OtherScheme,
    /// A parameter that must be there is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A parameter has a value that it cannot have.
    #[error("`{0}` has a value that it cannot have")]
    BadValue(&'static str),
    /// A value is longer than [`TEXT_MAX`].
    #[error("`{0}` is longer than {TEXT_MAX} octets")]
    TooLong(&'static str),
    /// None of the algorithms that are known here.
    #[error("an algorithm that is not known here")]
    UnknownAlgorithm,
    /// None of the qualities of protection that are known here.
    #[error("no quality of protection that is known here")]
    UnknownQop,
}

/// The parameters of one value, looked at by name.
struct Reader(crate::auth::Auth);

impl Reader {
    fn read(text: &str) -> Result<Reader, DigestError> {
        let auth = crate::auth::Auth::parse(text)?;
        if auth.is(SCHEME) { Ok(Reader(auth)) } else { Err(DigestError::OtherScheme) }
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, DigestError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        if value.len() > TEXT_MAX { Err(DigestError::TooLong(name)) } else { Ok(Some(value.into_owned())) }
    }

    fn needed(&self, name: &'static str) -> Result<String, DigestError> {
        self.text(name)?.ok_or(DigestError::Missing(name))
    }

    /// `true` or `false`; `false` where it does not stand.
    fn flag(&self, name: &'static str) -> Result<bool, DigestError> {
        match self.text(name)?.as_deref() {
            None => Ok(false),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(DigestError::BadValue(name)),
        }
    }

    fn algorithm(&self) -> Result<Algorithm, DigestError> {
        match self.text("algorithm")? {
            None => Ok(Algorithm::MD5),
            Some(name) => Algorithm::called(&name).ok_or(DigestError::UnknownAlgorithm),
        }
    }
}
