//! What a certificate says, for people and for checks.
//!
//! Reading does not judge: an expired certificate or one from a stranger reads as well as any other. Whether it
//! is trusted is decided by whoever verifies the chain.

use std::fmt;
use std::net::IpAddr;

use net::Wall;
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::X509Name;

/// The most octets that a certificate may have here. Real ones have 1 to 4 KiB.
pub const CERTIFICATE_LIMIT: usize = 64 << 10;

/// Why a certificate cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// It is larger than [`CERTIFICATE_LIMIT`].
    #[error("certificate has {octets} octets, more than {CERTIFICATE_LIMIT}")]
    TooLarge {
        /// How many it has.
        octets: usize,
    },
    /// It is not an X.509 certificate in DER, or something follows it.
    #[error("not an X.509 certificate: {0}")]
    Malformed(String),
}

/// A certificate's serial number: big-endian, without leading zeros. Prints as lower-case hexadecimal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// The number that these big-endian octets say.
    pub fn from_be_bytes(bytes: &[u8]) -> Serial {
        let zeros = bytes.iter().take_while(|octet| **octet == 0).count();
        Serial(bytes[zeros..].to_vec())
    }

    /// Big-endian octets without leading zeros; empty for the number zero.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("00");
        }
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The fields of a certificate that people ask for and checks need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The subject's common name.
    pub common_name: Option<String>,
    /// The issuer's common name.
    pub issuer: Option<String>,
    /// The DNS names of the subject alternative name.
    pub dns_names: Vec<String>,
    /// The URIs of the subject alternative name; a user's `sip:` address is one.
    pub uris: Vec<String>,
    /// The addresses of the subject alternative name.
    pub addresses: Vec<IpAddr>,
    /// The first moment at which it is valid.
    pub not_before: Wall,
    /// The last moment at which it is valid.
    pub not_after: Wall,
    /// Its number at its issuer.
    pub serial: Serial,
    /// SHA-256 over the whole certificate.
    pub fingerprint: [u8; 32],
    /// Whether basic constraints say that it may sign other certificates.
    pub is_authority: bool,
    /// Whether it may prove a client: its extended key usage names clientAuth (RFC 5280 §4.2.1.12). A
    /// certificate without the extension is for no client here, although RFC 5280 leaves it unrestricted.
    pub is_for_client_auth: bool,
    /// Whether its extended key usage names serverAuth.
    pub is_for_server_auth: bool,
    /// The public key as a SubjectPublicKeyInfo.
    pub public_key_info: Vec<u8>,
}

impl Certificate {
    /// Reads a DER certificate.
    ///
    /// # Errors
    ///
    /// If it is too large, is no certificate, or something follows it.
    pub fn read(der: &CertificateDer<'_>) -> Result<Certificate, CertificateError> {
        if der.len() > CERTIFICATE_LIMIT {
            return Err(CertificateError::TooLarge { octets: der.len() });
        }
        let (rest, parsed) =
            X509Certificate::from_der(der).map_err(|why| CertificateError::Malformed(why.to_string()))?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed(format!("{} octets follow it", rest.len())));
        }
        let mut certificate = Certificate {
            common_name: common_name(parsed.subject()),
            issuer: common_name(parsed.issuer()),
            dns_names: Vec::new(),
            uris: Vec::new(),
            addresses: Vec::new(),
            not_before: Wall::from_unix_secs(parsed.validity().not_before.timestamp()),
            not_after: Wall::from_unix_secs(parsed.validity().not_after.timestamp()),
            serial: Serial::from_be_bytes(parsed.raw_serial()),
            fingerprint: Sha256::digest(der).into(),
            is_authority: parsed.is_ca(),
            is_for_client_auth: false,
            is_for_server_auth: false,
            public_key_info: parsed.public_key().raw.to_vec(),
        };
        // An extension that is there twice or does not parse says nothing that counts.
        if let Ok(Some(names)) = parsed.subject_alternative_name() {
            for name in &names.value.general_names {
                certificate.take_name(name);
            }
        }
        if let Ok(Some(usage)) = parsed.extended_key_usage() {
            certificate.is_for_client_auth = usage.value.client_auth;
            certificate.is_for_server_auth = usage.value.server_auth;
        }
        Ok(certificate)
    }

    /// Whether `date` lies between its first and its last moment, both included.
    pub fn is_valid_at(&self, date: Wall) -> bool {
        self.not_before <= date && date <= self.not_after
    }

    /// Whether it is a user's: for client authentication, and in the name of this `sip:` URI. Letter case
    /// counts for nothing, as in the host part of RFC 3261 §19.1.4 and in the account names of the field.
    pub fn is_for_user(&self, sip_uri: &str) -> bool {
        self.is_for_client_auth && self.uris.iter().any(|uri| uri.eq_ignore_ascii_case(sip_uri))
    }

    /// The SHA-256 fingerprint as lower-case hexadecimal.
    pub fn fingerprint_hex(&self) -> String {
        hex(&self.fingerprint)
    }

    fn take_name(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
            GeneralName::IPAddress(octets) => {
                if let Ok(four) = <[u8; 4]>::try_from(*octets) {
                    self.addresses.push(IpAddr::from(four));
                } else if let Ok(sixteen) = <[u8; 16]>::try_from(*octets) {
                    self.addresses.push(IpAddr::from(sixteen));
                }
            }
            GeneralName::OtherName(..)
            | GeneralName::RFC822Name(_)
            | GeneralName::X400Address(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::RegisteredID(_)
            | GeneralName::Invalid(..) => {}
        }
    }
}

/// The first common name of a distinguished name, if it is text.
pub(crate) fn common_name(name: &X509Name<'_>) -> Option<String> {
    name.iter_common_name().next()?.as_str().ok().map(str::to_owned)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|octet| format!("{octet:02x}")).collect()
}
