//! A challenge: what a server asks for in `WWW-Authenticate` and `Proxy-Authenticate` (RFC 7616 §3.3).

use super::{Algorithm, DigestError, Qop, Reader, SCHEME};
use crate::value::Quoted;

/// One digest challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Whose passwords count.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// What the server wants back as it is.
    pub opaque: Option<String>,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The qualities that the server takes, in its order; empty as RFC 2069 had it.
    pub qop: Vec<Qop>,
    /// The nonce was too old, the password was not looked at or was right: ask nobody, answer again.
    pub stale: bool,
    /// The server takes a hash in place of the user's name.
    pub userhash: bool,
}

impl Challenge {
    /// Reads a header value.
    ///
    /// # Errors
    ///
    /// Says what is wrong, or that nobody here can answer it.
    pub fn parse(text: &str) -> Result<Challenge, DigestError> {
        let reader = Reader::read(text)?;
        let qop = match reader.text("qop")? {
            None => Vec::new(),
            Some(names) => {
                let known: Vec<Qop> = names.split(',').filter_map(|name| Qop::called(name.trim())).collect();
                if known.is_empty() {
                    return Err(DigestError::UnknownQop);
                }
                known
            }
        };
        Ok(Challenge {
            realm: reader.needed("realm")?,
            nonce: reader.needed("nonce")?,
            opaque: reader.text("opaque")?,
            algorithm: reader.algorithm()?,
            qop,
            // A word that is neither true nor false counts as false (RFC 7616 §3.3).
            stale: reader.flag("stale").unwrap_or(false),
            userhash: reader.flag("userhash").unwrap_or(false),
        })
    }
}

impl std::fmt::Display for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Written straight: a server makes one for each request that brings no proof.
        write!(f, "{SCHEME} realm={}", Quoted(&self.realm))?;
        if !self.qop.is_empty() {
            f.write_str(", qop=\"")?;
            for (at, qop) in self.qop.iter().enumerate() {
                f.write_str(if at == 0 { "" } else { "," })?;
                f.write_str(qop.name())?;
            }
            f.write_str("\"")?;
        }
        f.write_str(", algorithm=")?;
        f.write_str(self.algorithm.name())?;
        write!(f, ", nonce={}", Quoted(&self.nonce))?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", Quoted(opaque))?;
        }
        if self.stale {
            f.write_str(", stale=true")?;
        }
        if self.userhash {
            f.write_str(", userhash=true")?;
        }
        Ok(())
    }
}
