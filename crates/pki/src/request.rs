//! Certificate requests (PKCS #10, RFC 2986): read with suspicion, and made.
//!
//! A request proves that somebody holds a private key; that is all it is good for. Whatever else it asks for —
//! names, an authority's powers, usages — is listed by [`CertificateRequest::asked_for`] and otherwise ignored:
//! the authority decides what a certificate holds.

use std::fmt;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm,
};
use rustls_pki_types::PrivateKeyDer;
use thiserror::Error;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::der_parser::oid;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use crate::certificate::common_name;
use crate::signer::Signer;

/// The most octets that a request may have. One with an RSA key of 4096 bits has about 1.7 KiB.
pub const REQUEST_LIMIT: usize = 16 << 10;

/// The smallest RSA key that is taken, in bits.
pub const RSA_BITS_MIN: usize = 2048;

/// The largest RSA key that is taken, in bits.
pub const RSA_BITS_MAX: usize = 4096;

/// The most wishes that are remembered of a request.
const WISHES_LIMIT: usize = 16;

/// The most characters that are remembered of one wish.
const WISH_LENGTH_LIMIT: usize = 80;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// It is larger than [`REQUEST_LIMIT`].
    #[error("certificate request has {octets} octets, more than {REQUEST_LIMIT}")]
    TooLarge {
        /// How many it has.
        octets: usize,
    },
    /// It is not a PKCS #10 request in DER, or something follows it.
    #[error("not a certificate request: {0}")]
    Malformed(String),
    /// Its key is of a kind that is not taken.
    #[error("key of an unknown kind ({0}); taken are P-256, P-384 and RSA")]
    UnknownKey(String),
    /// Its RSA key is too small or too large.
    #[error("RSA key of {bits} bits; taken are {RSA_BITS_MIN} to {RSA_BITS_MAX}")]
    KeySize {
        /// How many bits it has.
        bits: usize,
    },
    /// It is signed over SHA-1.
    #[error("signed with SHA-1")]
    Sha1,
    /// It is signed by an algorithm that is not taken.
    #[error("signed with an unknown algorithm ({0})")]
    UnknownSignature(String),
    /// Its signature is not by its own key: whoever asks does not hold the private key.
    #[error("not signed by its own key")]
    BadSignature,
}

/// Which digests a request may be signed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digests {
    /// SHA-256, SHA-384 and SHA-512.
    Sha2,
    /// SHA-1 with RSA as well, as old clients sign.
    Sha2AndSha1,
}

/// Something that a request asked for and does not get for having asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// To be called so.
    Name(String),
    /// To be good for every name under a domain.
    Wildcard(String),
    /// To be an authority.
    Authority,
    /// To be used for something, or another extension.
    Extension(String),
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Asked::Name(name) => write!(f, "the name `{name}`"),
            Asked::Wildcard(name) => write!(f, "the wildcard `{name}`"),
            Asked::Authority => f.write_str("to be an authority"),
            Asked::Extension(name) => write!(f, "the extension {name}"),
        }
    }
}

/// A request that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRequest {
    key: RequestedKey,
    asked: Vec<Asked>,
}

/// The public key of a request, in the shape that rcgen wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestedKey {
    algorithm: &'static SignatureAlgorithm,
    bits: Vec<u8>,
}

impl RequestedKey {
    /// Reads a SubjectPublicKeyInfo (DER), under the limits for requests.
    pub(crate) fn read(public_key_info: &[u8]) -> Result<RequestedKey, RequestError> {
        if public_key_info.len() > REQUEST_LIMIT {
            return Err(RequestError::TooLarge { octets: public_key_info.len() });
        }
        let (rest, info) = SubjectPublicKeyInfo::from_der(public_key_info)
            .map_err(|why| RequestError::Malformed(why.to_string()))?;
        if !rest.is_empty() {
            return Err(RequestError::Malformed(format!("{} octets follow it", rest.len())));
        }
        check_key(&info)
    }

    pub(crate) fn is_rsa(&self) -> bool {
        std::ptr::eq(self.algorithm, &PKCS_RSA_SHA256)
    }
}

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl CertificateRequest {
    /// Reads a DER request and checks its size, its key, its digest and its signature by its own key.
    ///
    /// # Errors
    ///
    /// If a check fails; SHA-1 is refused.
    pub fn parse(der: &[u8]) -> Result<CertificateRequest, RequestError> {
        CertificateRequest::parse_signed_over(der, Digests::Sha2)
    }

    /// The same, with a say in which digests are taken.
    ///
    /// # Errors
    ///
    /// If a check fails.
    pub fn parse_signed_over(der: &[u8], digests: Digests) -> Result<CertificateRequest, RequestError> {
        if der.len() > REQUEST_LIMIT {
            return Err(RequestError::TooLarge { octets: der.len() });
        }
        let (rest, parsed) = X509CertificationRequest::from_der(der)
            .map_err(|why| RequestError::Malformed(why.to_string()))?;
        if !rest.is_empty() {
            return Err(RequestError::Malformed(format!("{} octets follow it", rest.len())));
        }
        let key = check_key(&parsed.certification_request_info.subject_pki)?;
        check_digest(&parsed.signature_algorithm, digests)?;
        parsed.verify_signature().map_err(|_| RequestError::BadSignature)?;
        Ok(CertificateRequest { key, asked: wishes(&parsed) })
    }

    /// What it asked for beside a certificate for its key: at most 16 wishes, shortened, for a note.
    pub fn asked_for(&self) -> &[Asked] {
        &self.asked
    }

    /// The public key as a SubjectPublicKeyInfo.
    pub fn public_key_info(&self) -> Vec<u8> {
        self.key.subject_public_key_info()
    }

    pub(crate) fn key(&self) -> &RequestedKey {
        &self.key
    }
}

fn check_key(info: &SubjectPublicKeyInfo<'_>) -> Result<RequestedKey, RequestError> {
    let bits = info.subject_public_key.data.to_vec();
    let kind = &info.algorithm.algorithm;
    let taken = |algorithm| Ok(RequestedKey { algorithm, bits: bits.clone() });
    if *kind == oid!(1.2.840.10045.2.1) {
        let curve = info.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
        return match curve {
            Some(curve) if curve == oid!(1.2.840.10045.3.1.7) => taken(&PKCS_ECDSA_P256_SHA256),
            Some(curve) if curve == oid!(1.3.132.0.34) => taken(&PKCS_ECDSA_P384_SHA384),
            Some(curve) => Err(RequestError::UnknownKey(format!("curve {curve}"))),
            None => Err(RequestError::UnknownKey("a curve without a name".to_owned())),
        };
    }
    if *kind != oid!(1.2.840.113549.1.1.1) {
        return Err(RequestError::UnknownKey(kind.to_string()));
    }
    match info.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            let size = bit_length(rsa.modulus);
            if (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&size) {
                taken(&PKCS_RSA_SHA256)
            } else {
                Err(RequestError::KeySize { bits: size })
            }
        }
        _ => Err(RequestError::UnknownKey("an RSA key that does not parse".to_owned())),
    }
}

/// The bits of a big-endian number, without its leading zeros.
fn bit_length(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    match &number[zeros..] {
        [] => 0,
        [first, rest @ ..] => 8 - first.leading_zeros() as usize + 8 * rest.len(),
    }
}

fn check_digest(algorithm: &AlgorithmIdentifier<'_>, digests: Digests) -> Result<(), RequestError> {
    let known = [
        oid!(1.2.840.113549.1.1.11),
        oid!(1.2.840.113549.1.1.12),
        oid!(1.2.840.113549.1.1.13),
        // RSA-PSS: its parameters name the digest, and the verification refuses SHA-1 there.
        oid!(1.2.840.113549.1.1.10),
        oid!(1.2.840.10045.4.3.2),
        oid!(1.2.840.10045.4.3.3),
    ];
    let sha1_rsa = [oid!(1.2.840.113549.1.1.5), oid!(1.3.14.3.2.29)];
    if known.contains(&algorithm.algorithm) {
        return Ok(());
    }
    if sha1_rsa.contains(&algorithm.algorithm) {
        return match digests {
            Digests::Sha2AndSha1 => Ok(()),
            Digests::Sha2 => Err(RequestError::Sha1),
        };
    }
    if algorithm.algorithm == oid!(1.2.840.10045.4.1) {
        return Err(RequestError::Sha1);
    }
    Err(RequestError::UnknownSignature(shorten(&algorithm.algorithm.to_string())))
}

fn wishes(parsed: &X509CertificationRequest<'_>) -> Vec<Asked> {
    let mut asked = Vec::new();
    if let Some(name) = common_name(&parsed.certification_request_info.subject) {
        asked.push(named(&name));
    }
    for extension in parsed.requested_extensions().into_iter().flatten() {
        if asked.len() >= WISHES_LIMIT {
            break;
        }
        match extension {
            ParsedExtension::BasicConstraints(constraints) if constraints.ca => asked.push(Asked::Authority),
            ParsedExtension::BasicConstraints(_) => {}
            ParsedExtension::SubjectAlternativeName(names) => {
                let room = WISHES_LIMIT - asked.len();
                asked.extend(names.general_names.iter().take(room).map(|name| match name {
                    GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
                        named(name)
                    }
                    other => Asked::Name(shorten(&other.to_string())),
                }));
            }
            ParsedExtension::KeyUsage(_) => asked.push(Asked::Extension("keyUsage".to_owned())),
            ParsedExtension::ExtendedKeyUsage(_) => {
                asked.push(Asked::Extension("extendedKeyUsage".to_owned()));
            }
            ParsedExtension::UnsupportedExtension { oid } => {
                asked.push(Asked::Extension(shorten(&oid.to_string())));
            }
            _ => asked.push(Asked::Extension("of another kind".to_owned())),
        }
    }
    asked
}

fn named(name: &str) -> Asked {
    if name.contains('*') { Asked::Wildcard(shorten(name)) } else { Asked::Name(shorten(name)) }
}

/// What somebody else wrote, fit for a line of a note.
fn shorten(text: &str) -> String {
    text.chars().take(WISH_LENGTH_LIMIT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Why a request cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MakeRequestError {
    /// The key is not a P-256 key in PKCS#8.
    #[error("{0}")]
    Key(String),
}

/// Makes a request: the public part of `key` (P-256, PKCS#8), the subject `common_name` and nothing else.
/// The signature is ECDSA with SHA-256 by RFC 6979: the same key and name make the same octets.
///
/// # Errors
///
/// If the key is not a P-256 key in PKCS#8.
pub fn make_request(key: &PrivateKeyDer<'_>, common_name: &str) -> Result<Vec<u8>, MakeRequestError> {
    let signer = Signer::new(key).map_err(MakeRequestError::Key)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let request = params.serialize_request(&signer).expect("a name and a key always make a request");
    Ok(request.der().to_vec())
}
