//! The verifier of one TLS-DSK handshake: exactly the published certificates of one user.

use std::sync::Arc;

use net::Crypto;
use pki::Authority;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme};
use subtle::ConstantTimeEq as _;

use super::NotPublished;

/// Takes a client certificate only if it is one of a list, and right in every other way.
#[derive(Debug)]
pub(super) struct OnlyPublished {
    sip_uri: String,
    published: Vec<Vec<u8>>,
    /// The authorities between a client certificate and the root, which a client need not send.
    issuers: Vec<CertificateDer<'static>>,
    /// Chain, validity and clientAuth.
    chain: Arc<dyn ClientCertVerifier>,
}

impl OnlyPublished {
    pub(super) fn new(
        user: &str,
        published: Vec<Vec<u8>>,
        crypto: Crypto,
        authority: &Authority,
    ) -> Result<OnlyPublished, rustls::Error> {
        let chain = WebPkiClientVerifier::builder_with_provider(authority.trust().store(), crypto.provider())
            .clear_root_hint_subjects()
            .build()
            .map_err(|why| rustls::Error::General(why.to_string()))?;
        let issuers = authority.issuers().to_vec();
        Ok(OnlyPublished { sip_uri: format!("sip:{user}"), published, issuers, chain })
    }
}

/// The journal is to say what is wrong; what rustls itself could say ("revoked") is one reason of several.
fn refused(why: NotPublished) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(why))).into()
}

impl ClientCertVerifier for OnlyPublished {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // What a client sends beside its own certificate is not needed: the pool knows its own authorities.
        let is_published = self.published.iter().any(|known| bool::from(known[..].ct_eq(end_entity)));
        if !is_published {
            return Err(refused(NotPublished::Unknown));
        }
        let verified = self.chain.verify_client_cert(end_entity, &self.issuers, now)?;
        let certificate = pki::Certificate::read(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        if certificate.uris != [self.sip_uri.clone()] {
            return Err(refused(NotPublished::ForeignUser));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
