//! Certificates and keys as text (RFC 7468).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use net::tls::Credentials;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// The most octets of text that are read.
pub const TEXT_LIMIT: usize = 1 << 20;

/// Characters of base64 on a line (RFC 7468 §2).
const LINE: usize = 64;

/// Why text is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PemError {
    /// There is more of it than [`TEXT_LIMIT`].
    #[error("{octets} octets of PEM, more than {TEXT_LIMIT}")]
    TooLarge {
        /// How much there is.
        octets: usize,
    },
    /// It is not PEM.
    #[error("not PEM: {0}")]
    Malformed(String),
    /// There is nothing of that kind in it.
    #[error("no {0} in the PEM text")]
    Missing(&'static str),
}

/// Writes `der` as text between `BEGIN label` and `END label`.
pub fn encode(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Writes certificates one after the other.
pub fn certificates<'a>(chain: impl IntoIterator<Item = &'a CertificateDer<'static>>) -> String {
    chain.into_iter().map(|certificate| encode("CERTIFICATE", certificate)).collect()
}

/// Writes a PKCS#8 private key. The text is a secret.
pub fn private_key(key: &PrivateKeyDer<'_>) -> String {
    encode("PRIVATE KEY", key.secret_der())
}

/// Reads every certificate in `text`, in order.
///
/// # Errors
///
/// If the text is too large, is not PEM, or holds no certificate.
pub fn read_certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, PemError> {
    check_size(text)?;
    let chain = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| PemError::Malformed(why.to_string()))?;
    if chain.is_empty() { Err(PemError::Missing("certificate")) } else { Ok(chain) }
}

/// Reads the first private key in `text`.
///
/// # Errors
///
/// If the text is too large, is not PEM, or holds no private key.
pub fn read_private_key(text: &str) -> Result<PrivateKeyDer<'static>, PemError> {
    check_size(text)?;
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(key) => Ok(key),
        Err(rustls_pki_types::pem::Error::NoItemsFound) => Err(PemError::Missing("private key")),
        Err(why) => Err(PemError::Malformed(why.to_string())),
    }
}

/// Reads a chain, leaf first, and the private key of its leaf from one text.
///
/// # Errors
///
/// If the text is too large, is not PEM, or lacks either.
pub fn read_credentials(text: &str) -> Result<Credentials, PemError> {
    Ok(Credentials { chain: read_certificates(text)?, key: read_private_key(text)? })
}

fn check_size(text: &str) -> Result<(), PemError> {
    if text.len() > TEXT_LIMIT { Err(PemError::TooLarge { octets: text.len() }) } else { Ok(()) }
}
