//! OCSP questions, read with suspicion and within limits (RFC 6960 §4.1).

use thiserror::Error;
use yasna::models::ObjectIdentifier;
use yasna::{ASN1Error, ASN1ErrorKind, ASN1Result, BERReader, Tag, parse_der};

use super::{OCSP_NONCE, hash};
use crate::certificate::Serial;

/// The most octets that a request may have. One about one certificate has about a hundred.
pub const REQUEST_LIMIT: usize = 8 << 10;

/// How many certificates one request may ask about.
const QUESTIONS_LIMIT: usize = 32;

/// The longest nonce, in octets (RFC 9654 §2.1).
const NONCE_LIMIT: usize = 128;

/// The longest serial number, in octets (RFC 5280 §4.1.2.2 allows 20; some issue longer ones).
const SERIAL_LIMIT: usize = 64;

/// Why octets are no request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OcspError {
    /// There are more of them than [`REQUEST_LIMIT`].
    #[error("OCSP request has {octets} octets, more than {REQUEST_LIMIT}")]
    TooLarge {
        /// How many there are.
        octets: usize,
    },
    /// They are no request in DER, or one beyond the limits.
    #[error("not an OCSP request: {0}")]
    Malformed(String),
}

/// What somebody wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspRequest {
    /// About which certificates; at least one.
    pub questions: Vec<Question>,
    /// The value of the nonce extension as it came, to be repeated in the answer.
    pub nonce: Option<Vec<u8>>,
}

/// One certificate that is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The CertID as it came (DER), to be repeated in the answer.
    pub id: Vec<u8>,
    /// The certificate's number at its issuer.
    pub serial: Serial,
    algorithm: Vec<u64>,
    issuer_name_hash: Vec<u8>,
    issuer_key_hash: Vec<u8>,
}

impl Question {
    /// Whether the issuer with this name (DER) and this public key (the bits alone) is meant.
    pub fn is_about(&self, name: &[u8], key: &[u8]) -> bool {
        hash(&self.algorithm, name).is_some_and(|hash| hash == self.issuer_name_hash)
            && hash(&self.algorithm, key).is_some_and(|hash| hash == self.issuer_key_hash)
    }
}

impl OcspRequest {
    /// Reads a request (DER).
    ///
    /// # Errors
    ///
    /// If it is no request, or one beyond the limits.
    pub fn read(der: &[u8]) -> Result<OcspRequest, OcspError> {
        if der.len() > REQUEST_LIMIT {
            return Err(OcspError::TooLarge { octets: der.len() });
        }
        parse_der(der, read_request).map_err(|why| OcspError::Malformed(why.to_string()))
    }
}

fn invalid() -> ASN1Error {
    ASN1Error::new(ASN1ErrorKind::Invalid)
}

fn read_request(reader: BERReader<'_, '_>) -> ASN1Result<OcspRequest> {
    reader.read_sequence(|reader| {
        let request = reader.next().read_sequence(|reader| {
            let version = reader
                .read_optional(|reader| reader.read_tagged(Tag::context(0), |reader| reader.read_u8()))?;
            if version.is_some_and(|version| version != 0) {
                return Err(invalid());
            }
            // The requestor's name; nobody here asks who it is.
            reader.read_optional(|reader| reader.read_tagged(Tag::context(1), |reader| reader.read_der()))?;
            let mut questions = Vec::new();
            reader.next().read_sequence_of(|reader| {
                if questions.len() >= QUESTIONS_LIMIT {
                    return Err(invalid());
                }
                questions.push(reader.read_sequence(|reader| {
                    let id = reader.next().read_der()?;
                    reader.read_optional(|reader| {
                        reader.read_tagged(Tag::context(0), |reader| reader.read_der())
                    })?;
                    parse_der(&id, read_id)
                })?);
                Ok(())
            })?;
            if questions.is_empty() {
                return Err(invalid());
            }
            let nonce =
                reader.read_optional(|reader| reader.read_tagged(Tag::context(2), read_nonce))?.flatten();
            Ok(OcspRequest { questions, nonce })
        })?;
        // A signature is of no interest: everybody may ask.
        reader.read_optional(|reader| reader.read_tagged(Tag::context(0), |reader| reader.read_der()))?;
        Ok(request)
    })
}

fn read_id(reader: BERReader<'_, '_>) -> ASN1Result<Question> {
    let id = reader.read_with_buffer(|reader| {
        reader.read_sequence(|reader| {
            let algorithm = reader.next().read_sequence(|reader| {
                let algorithm = reader.next().read_oid()?;
                reader.read_optional(|reader| reader.read_der())?;
                Ok(algorithm)
            })?;
            let issuer_name_hash = reader.next().read_bytes()?;
            let issuer_key_hash = reader.next().read_bytes()?;
            let (serial, is_positive) = reader.next().read_bigint_bytes()?;
            if !is_positive || serial.len() > SERIAL_LIMIT {
                return Err(invalid());
            }
            Ok((algorithm, issuer_name_hash, issuer_key_hash, serial))
        })
    })?;
    let ((algorithm, issuer_name_hash, issuer_key_hash, serial), der) = id;
    Ok(Question {
        id: der.to_vec(),
        serial: Serial::from_be_bytes(&serial),
        algorithm: algorithm.components().clone(),
        issuer_name_hash,
        issuer_key_hash,
    })
}

/// Extensions; of them the nonce counts. One that is critical and unknown must not be passed over (RFC 5280 §4.2).
fn read_nonce(reader: BERReader<'_, '_>) -> ASN1Result<Option<Vec<u8>>> {
    let mut nonce = None;
    reader.read_sequence_of(|reader| {
        reader.read_sequence(|reader| {
            let name = reader.next().read_oid()?;
            let is_critical = reader.read_optional(|reader| reader.read_bool())?.unwrap_or(false);
            let value = reader.next().read_bytes()?;
            match name == ObjectIdentifier::from_slice(OCSP_NONCE) {
                // Two octets of tag and length, three for a long one.
                true if value.len() <= NONCE_LIMIT + 3 && nonce.is_none() => nonce = Some(value),
                true => return Err(invalid()),
                false if is_critical => return Err(invalid()),
                false => {}
            }
            Ok(())
        })
    })?;
    Ok(nonce)
}
