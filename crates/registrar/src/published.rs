//! Published certificates: which client certificates count, for whom, and until when.
//!
//! A handshake is authorised by the very certificate that was published for a user, not by any certificate the
//! pool's authority ever signed: taking one off the list ends it.

use net::Wall;

/// One published client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The account's address: `alice@contoso.example`.
    pub user: String,
    /// The device it was issued to, without braces, lower case.
    pub device: String,
    /// The certificate.
    pub der: Vec<u8>,
    /// Its first moment.
    pub not_before: Wall,
    /// Its last moment.
    pub not_after: Wall,
}

/// Why a certificate does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPublished {
    /// It was never published, was revoked, or made room for a newer one.
    #[error("certificate is not published")]
    Unknown,
    /// It is published for somebody else.
    #[error("certificate is published for another user")]
    ForeignUser,
    /// Its time has not come or is over.
    #[error("certificate is outside its validity")]
    OutsideValidity,
}

/// The certificates that count.
#[derive(Debug, Default)]
pub struct Published {
    certificates: Vec<Certificate>,
}

impl Published {
    /// The published certificate with exactly these bytes, if it counts for `user` (address or SIP URI) at `now`.
    ///
    /// # Errors
    ///
    /// Says why it does not count.
    pub fn check(&self, user: &str, der: &[u8], now: Wall) -> Result<&Certificate, NotPublished> {
        let found = self.certificates.iter().find(|known| known.der == der).ok_or(NotPublished::Unknown)?;
        if found.user != crate::accounts::normal(user) {
            return Err(NotPublished::ForeignUser);
        }
        if now < found.not_before || now > found.not_after {
            return Err(NotPublished::OutsideValidity);
        }
        Ok(found)
    }
}
