//! OCSP: questions about single certificates, and signed answers (RFC 6960).
//!
//! A question is read with suspicion and within limits; its own signature, where it has one, is not looked at. An answer is
//! signed by the authority itself or by somebody it issued a certificate to for that purpose. Only SHA-1 and SHA-256
//! name an issuer in a question; by any other hash, or for another issuer, a certificate is unknown.

mod request;

use std::time::Duration;

use net::Wall;
use net::tls::Credentials;
use rcgen::SigningKey as _;
use rustls_pki_types::CertificateDer;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use yasna::models::{GeneralizedTime, ObjectIdentifier};
use yasna::{DERWriter, Tag, construct_der};

pub use self::request::{OcspError, OcspRequest, Question, REQUEST_LIMIT};

use crate::authority::Authority;
use crate::certificate::Serial;
use crate::revocation::{Reason, Revoked};
use crate::signer::{KeyKind, Signer};

/// id-pkix-ocsp-basic (RFC 6960 §4.2.1).
const OCSP_BASIC: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 1];
/// id-pkix-ocsp-nonce (RFC 6960 §4.4.1).
const OCSP_NONCE: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 2];
const SHA_1: &[u64] = &[1, 3, 14, 3, 2, 26];
const SHA_256: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 2, 1];
const ECDSA_WITH_SHA_256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];
const SHA_256_WITH_RSA: &[u64] = &[1, 2, 840, 113_549, 1, 1, 11];

/// What is known about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was issued here and counts.
    Good,
    /// It counts no longer.
    Revoked(Revoked),
    /// Nothing is known of it.
    Unknown,
}

/// Why a question gets no answer (OCSPResponseStatus, RFC 6960 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Trouble {
    /// The question cannot be read.
    #[error("malformed request")]
    MalformedRequest,
    /// The responder is in an impossible state.
    #[error("internal error")]
    InternalError,
    /// The responder cannot answer at the moment.
    #[error("try later")]
    TryLater,
    /// The question must be signed.
    #[error("signature required")]
    SignatureRequired,
    /// Whoever asks may not ask here.
    #[error("unauthorized")]
    Unauthorized,
}

impl Trouble {
    /// The response that says so (DER). It is not signed.
    pub fn response(self) -> Vec<u8> {
        let status = match self {
            Trouble::MalformedRequest => 1,
            Trouble::InternalError => 2,
            Trouble::TryLater => 3,
            Trouble::SignatureRequired => 5,
            Trouble::Unauthorized => 6,
        };
        construct_der(|writer| writer.write_sequence(|writer| writer.next().write_enum(status)))
    }
}

/// Why credentials cannot answer for an authority.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResponderError {
    /// There is no certificate, or it cannot be read.
    #[error("no certificate that can be read")]
    Certificate,
    /// The key is of no use.
    #[error("{0}")]
    Key(String),
}

/// Answers questions in the name of an authority.
pub struct Responder<'a> {
    issuer: CertificateDer<'static>,
    signer: SignedBy<'a>,
}

enum SignedBy<'a> {
    Authority(&'a Signer),
    Delegate { signer: Box<Signer>, certificate: CertificateDer<'static> },
}

impl std::fmt::Debug for Responder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_delegated = matches!(self.signer, SignedBy::Delegate { .. });
        f.debug_struct("Responder").field("is_delegated", &is_delegated).finish_non_exhaustive()
    }
}

impl<'a> Responder<'a> {
    /// The authority itself.
    pub fn of(authority: &'a Authority) -> Responder<'a> {
        Responder { issuer: authority.certificate().clone(), signer: SignedBy::Authority(authority.signer()) }
    }

    /// Somebody with a certificate of [`Authority::issue_responder`].
    ///
    /// # Errors
    ///
    /// If the credentials lack a certificate, or their key cannot sign.
    pub fn delegated(
        authority: &Authority,
        delegate: &Credentials,
    ) -> Result<Responder<'static>, ResponderError> {
        let certificate = delegate.chain.first().ok_or(ResponderError::Certificate)?.clone();
        let signer = Box::new(Signer::new(&delegate.key).map_err(ResponderError::Key)?);
        let signer = SignedBy::Delegate { signer, certificate };
        Ok(Responder { issuer: authority.certificate().clone(), signer })
    }

    /// Answers a question (DER) at the moment `now`, good for `life`; `standing` says what is known of the certificates
    /// that the authority issued. There is always an answer, be it that the question cannot be read.
    pub fn answer(
        &self,
        request: &[u8],
        now: Wall,
        life: Duration,
        mut standing: impl FnMut(&Serial) -> Standing,
    ) -> Vec<u8> {
        let Ok(request) = OcspRequest::read(request) else {
            return Trouble::MalformedRequest.response();
        };
        let Ok((_, issuer)) = X509Certificate::from_der(&self.issuer) else {
            return Trouble::InternalError.response();
        };
        let name = issuer.subject().as_raw();
        let key = &issuer.public_key().subject_public_key.data[..];
        let standings: Vec<Standing> = request
            .questions
            .iter()
            .map(|question| match question.is_about(name, key) {
                true => standing(&question.serial),
                false => Standing::Unknown,
            })
            .collect();
        let (signer, certificate) = match &self.signer {
            SignedBy::Authority(signer) => (*signer, &self.issuer),
            SignedBy::Delegate { signer, certificate } => (&**signer, certificate),
        };
        let Ok((_, responder)) = X509Certificate::from_der(certificate) else {
            return Trouble::InternalError.response();
        };
        let key_hash = Sha1::digest(&responder.public_key().subject_public_key.data);
        let data = response_data(&request, &standings, &key_hash, now, now.plus(life));
        let Ok(signature) = signer.sign(&data) else { return Trouble::InternalError.response() };
        let delegate = matches!(self.signer, SignedBy::Delegate { .. }).then_some(certificate);
        response(&basic_response(&data, signer.kind(), &signature, delegate))
    }
}

fn response(basic: &[u8]) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            // successful
            writer.next().write_enum(0);
            writer.next().write_tagged(Tag::context(0), |writer| {
                writer.write_sequence(|writer| {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(OCSP_BASIC));
                    writer.next().write_bytes(basic);
                });
            });
        });
    })
}

fn basic_response(
    data: &[u8],
    kind: KeyKind,
    signature: &[u8],
    delegate: Option<&CertificateDer<'static>>,
) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(data);
            writer.next().write_sequence(|writer| match kind {
                KeyKind::P256 => {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(ECDSA_WITH_SHA_256));
                }
                KeyKind::Rsa2048 => {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(SHA_256_WITH_RSA));
                    writer.next().write_null();
                }
            });
            writer.next().write_bitvec_bytes(signature, signature.len() * 8);
            if let Some(delegate) = delegate {
                writer.next().write_tagged(Tag::context(0), |writer| {
                    writer.write_sequence(|writer| writer.next().write_der(delegate));
                });
            }
        });
    })
}

fn response_data(
    request: &OcspRequest,
    standings: &[Standing],
    key_hash: &[u8],
    now: Wall,
    next: Wall,
) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            // responderID: byKey [2].
            writer.next().write_tagged(Tag::context(2), |writer| writer.write_bytes(key_hash));
            write_time(writer.next(), now);
            writer.next().write_sequence(|writer| {
                for (question, standing) in request.questions.iter().zip(standings) {
                    writer.next().write_sequence(|writer| {
                        writer.next().write_der(&question.id);
                        write_standing(writer.next(), *standing);
                        write_time(writer.next(), now);
                        writer.next().write_tagged(Tag::context(0), |writer| write_time(writer, next));
                    });
                }
            });
            if let Some(nonce) = &request.nonce {
                // The extension as it came: its value is the nonce's own DER.
                writer.next().write_tagged(Tag::context(1), |writer| {
                    writer.write_sequence(|writer| {
                        writer.next().write_sequence(|writer| {
                            writer.next().write_oid(&ObjectIdentifier::from_slice(OCSP_NONCE));
                            writer.next().write_bytes(nonce);
                        });
                    });
                });
            }
        });
    })
}

fn write_standing(writer: DERWriter<'_>, standing: Standing) {
    match standing {
        Standing::Good => writer.write_tagged_implicit(Tag::context(0), |writer| writer.write_null()),
        Standing::Unknown => writer.write_tagged_implicit(Tag::context(2), |writer| writer.write_null()),
        Standing::Revoked(revoked) => writer.write_tagged_implicit(Tag::context(1), |writer| {
            writer.write_sequence(|writer| {
                write_time(writer.next(), revoked.at);
                if let Some(code) = reason_code(revoked.reason) {
                    writer.next().write_tagged(Tag::context(0), |writer| writer.write_enum(code));
                }
            });
        }),
    }
}

/// CRLReason (RFC 5280 §5.3.1); the unspecified reason is said by saying nothing.
fn reason_code(reason: Reason) -> Option<i64> {
    match reason {
        Reason::Unspecified => None,
        Reason::KeyCompromise => Some(1),
        Reason::AffiliationChanged => Some(3),
        Reason::Superseded => Some(4),
        Reason::CessationOfOperation => Some(5),
        Reason::PrivilegeWithdrawn => Some(9),
    }
}

/// Whole seconds, as RFC 5280 §4.1.2.5.2 wants them.
fn write_time(writer: DERWriter<'_>, at: Wall) {
    let whole = Wall::from_unix_secs(at.unix_secs().max(0)).date_time();
    writer.write_generalized_time(&GeneralizedTime::from_datetime(whole));
}

/// The hash of an issuer's name or key by the algorithm of a question.
fn hash(algorithm: &[u64], octets: &[u8]) -> Option<Vec<u8>> {
    match algorithm {
        SHA_1 => Some(Sha1::digest(octets).to_vec()),
        SHA_256 => Some(Sha256::digest(octets).to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
