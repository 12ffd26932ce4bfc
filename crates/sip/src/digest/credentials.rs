//! Credentials: what a client answers in `Authorization` and `Proxy-Authorization` (RFC 7616 §3.4).

use super::{Algorithm, Asked, DigestError, Ha1, Protection, Qop, Reader, SCHEME, Salt};
use crate::auth::Auth;

/// An answer to a challenge.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name, or its hash if `userhash`.
    pub username: String,
    /// Whether `username` is a hash.
    pub userhash: bool,
    /// The realm of the challenge.
    pub realm: String,
    /// The nonce of the challenge.
    pub nonce: String,
    /// The address that was asked, as the client saw it.
    pub uri: String,
    /// The proof.
    pub response: String,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The opaque value of the challenge.
    pub opaque: Option<String>,
    /// Quality, nonce count and the client's nonce; `None` as RFC 2069 had it.
    pub protection: Option<(Qop, u32, String)>,
}

impl Credentials {
    /// Reads a header value.
    ///
    /// # Errors
    ///
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<Credentials, DigestError> {
        let reader = Reader::read(text)?;
        let protection = match reader.text("qop")? {
            None => None,
            Some(name) => {
                let qop = Qop::called(&name).ok_or(DigestError::UnknownQop)?;
                Some((qop, count(&reader.needed("nc")?)?, reader.needed("cnonce")?))
            }
        };
        let algorithm = reader.algorithm()?;
        if algorithm.is_session && protection.is_none() {
            return Err(DigestError::Missing("cnonce"));
        }
        Ok(Credentials {
            username: reader.needed("username")?,
            userhash: reader.flag("userhash")?,
            realm: reader.needed("realm")?,
            nonce: reader.needed("nonce")?,
            uri: reader.needed("uri")?,
            response: reader.needed("response")?,
            algorithm,
            opaque: reader.text("opaque")?,
            protection,
        })
    }

    /// What goes into the proof beside the key and the request.
    pub fn salt(&self) -> Salt<'_> {
        let protection = self.protection.as_ref();
        Salt {
            algorithm: self.algorithm,
            nonce: &self.nonce,
            protection: protection.map(|(qop, count, cnonce)| Protection {
                qop: *qop,
                count: *count,
                cnonce,
            }),
        }
    }

    /// Whether the proof is the one of who knows the password behind `ha1`. Takes as long for wrong ones as for right.
    ///
    /// The address that counts is the one in the credentials; whether it is the one asked for is another question.
    pub fn is_proof_of(&self, ha1: &Ha1, method: &str, body: &[u8]) -> bool {
        let ours = super::response(ha1, &self.salt(), &Asked { method, uri: &self.uri, body });
        ha1.hash() == self.algorithm.hash && super::is_same_proof(&ours, &self.response)
    }
}

/// Eight lower-case hexadecimal digits, above zero: who counts, counts from one. The digits themselves are hashed,
/// so that other ways of writing a number would not come out the same.
fn count(text: &str) -> Result<u32, DigestError> {
    let is_count = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match u32::from_str_radix(text, 16) {
        Ok(count) if is_count && count > 0 => Ok(count),
        _ => Err(DigestError::BadValue("nc")),
    }
}

impl std::fmt::Display for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut auth = Auth::new(SCHEME)
            .quoted("username", &self.username)
            .quoted("realm", &self.realm)
            .quoted("nonce", &self.nonce)
            .quoted("uri", &self.uri)
            .quoted("response", &self.response)
            .bare("algorithm", self.algorithm.name());
        if let Some(opaque) = &self.opaque {
            auth = auth.quoted("opaque", opaque);
        }
        if let Some((qop, count, cnonce)) = &self.protection {
            auth = auth.bare("qop", qop.name()).bare("nc", &format!("{count:08x}")).quoted("cnonce", cnonce);
        }
        if self.userhash {
            auth = auth.bare("userhash", "true");
        }
        auth.fmt(f)
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({} in {} •••)", self.username, self.realm)
    }
}
