//! What was kept is looked at before it is used: a file may have been damaged, mixed up or put there by somebody else.

use net::tls::Credentials;
use rustls_pki_types::CertificateDer;
use thiserror::Error;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::certificate::{Certificate, CertificateError};
use crate::signer::Signer;

/// Why credentials are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeptError {
    /// There is no certificate.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// A certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The key is neither a P-256 nor an RSA key in PKCS#8.
    #[error("its private key is of no use: {0}")]
    Key(String),
    /// The key does not belong to the first certificate.
    #[error("its private key does not belong to its certificate")]
    OtherKey,
    /// The certificate was not signed by the issuer that it should have.
    #[error("it was issued by `{by}` with another key than `{wanted}` has")]
    OtherIssuer {
        /// Who issued it, by its own word.
        by: String,
        /// Who should have.
        wanted: String,
    },
}

/// What a server's certificate says, once it is sure that its key belongs to it and that `issuer` signed it. Dates and
/// names are the caller's to judge.
///
/// # Errors
///
/// If something does not fit together.
pub fn look_at(kept: &Credentials, issuer: &CertificateDer<'_>) -> Result<Certificate, KeptError> {
    let own = kept.chain.first().ok_or(KeptError::NoCertificate)?;
    let certificate = Certificate::read(own)?;
    let signer = Signer::new(&kept.key).map_err(KeptError::Key)?;
    if signer.public_key_info() != certificate.public_key_info {
        return Err(KeptError::OtherKey);
    }
    let wanted = Certificate::read(issuer)?;
    let malformed = |why: &dyn std::fmt::Display| CertificateError::Malformed(why.to_string());
    let (_, own) = X509Certificate::from_der(own).map_err(|why| malformed(&why))?;
    let (_, issuer) = X509Certificate::from_der(issuer).map_err(|why| malformed(&why))?;
    let is_signed = own.issuer().as_raw() == issuer.subject().as_raw()
        && own.verify_signature(Some(issuer.public_key())).is_ok();
    if is_signed {
        return Ok(certificate);
    }
    let unnamed = || "(no name)".to_owned();
    Err(KeptError::OtherIssuer {
        by: certificate.issuer.unwrap_or_else(unnamed),
        wanted: wanted.common_name.unwrap_or_else(unnamed),
    })
}
