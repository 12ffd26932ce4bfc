//! TLS as all phones of a fleet do it: one configuration, made once.

use std::sync::Arc;

use net::Crypto;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::EngineError;
use crate::plan::TlsRules;

/// What every connection of a fleet needs.
#[derive(Clone, Debug)]
pub struct ClientSetup {
    /// The configuration.
    pub configuration: Arc<ClientConfig>,
    /// The name that the server must have.
    pub name: ServerName<'static>,
}

impl ClientSetup {
    /// Reads a plan's rules. Sessions are not resumed: each connection is a phone that was switched on.
    ///
    /// # Errors
    ///
    /// If the name is none, or the roots hold no certificate.
    pub fn new(rules: &TlsRules) -> Result<ClientSetup, EngineError> {
        let wrong = |why: String| EngineError::Tls(why);
        let name = ServerName::try_from(rules.server_name.clone())
            .map_err(|_| wrong(format!("`{}` is not a host name", rules.server_name)))?;
        let provider = Crypto::System.provider();
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|why| wrong(why.to_string()))?;
        let mut configuration = match &rules.roots {
            Some(text) => {
                let mut roots = RootCertStore::empty();
                for one in CertificateDer::pem_slice_iter(text.as_bytes()) {
                    let one = one.map_err(|why| wrong(format!("the roots cannot be read: {why}")))?;
                    roots.add(one).map_err(|why| wrong(format!("a root cannot be used: {why}")))?;
                }
                if roots.is_empty() {
                    return Err(wrong("the file of roots holds no certificate".to_owned()));
                }
                builder.with_root_certificates(roots)
            }
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        }
        .with_no_client_auth();
        configuration.resumption = Resumption::disabled();
        Ok(ClientSetup { configuration: Arc::new(configuration), name })
    }
}

/// Takes any certificate, as the plan wants it; that its holder has the key is still proved.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
