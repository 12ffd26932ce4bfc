//! What sessions share: configurations are made once for each trust and each set of credentials, not for each session.
//!
//! A configuration of rustls holds the clock that certificates are held against. Here everybody has a clock of their own, so
//! the shared clock reads what [`at`] put in place for the length of one call.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
};
use sha2::{Digest as _, Sha256};

use super::{Credentials, NameCheck, TlsError};
use crate::crypto::Crypto;
use crate::time::Wall;

/// How many sets of roots are remembered before it is looked which of them nobody trusts any more.
const SETS_AT_LEAST: usize = 64;

thread_local! {
    static READING: Cell<i64> = const { Cell::new(0) };
}

/// Does something with TLS while the caller's clock says `wall`.
pub(super) fn at<R>(wall: Wall, call: impl FnOnce() -> R) -> R {
    let before = READING.replace(wall.unix_secs());
    let result = call();
    READING.set(before);
    result
}

/// The clock of whoever is calling.
#[derive(Debug)]
struct CallersClock;

impl TimeProvider for CallersClock {
    fn current_time(&self) -> Option<UnixTime> {
        // rustls knows no time before 1970; a clock that believes in one counts as 1970.
        let secs = u64::try_from(READING.get()).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs)))
    }
}

/// One thing for each kind of cryptography.
#[derive(Debug)]
struct Each<T> {
    seeded: OnceLock<T>,
    system: OnceLock<T>,
}

impl<T> Default for Each<T> {
    fn default() -> Each<T> {
        Each { seeded: OnceLock::new(), system: OnceLock::new() }
    }
}

impl<T: Clone> Each<T> {
    fn get(&self, crypto: Crypto, make: impl FnOnce() -> Result<T, TlsError>) -> Result<T, TlsError> {
        let place = match crypto {
            Crypto::Seeded => &self.seeded,
            Crypto::System => &self.system,
        };
        match place.get() {
            Some(made) => Ok(made.clone()),
            None => {
                let made = make()?;
                Ok(place.get_or_init(|| made).clone())
            }
        }
    }
}

/// What everybody who trusts the same roots shares.
#[derive(Debug)]
pub(super) struct TrustShared {
    pub(super) roots: Arc<RootCertStore>,
    strict: Each<Arc<ClientConfig>>,
    lax: Each<Arc<ClientConfig>>,
}

/// The sets of roots that somebody trusts, by the hash of their certificates.
static SETS: Mutex<BTreeMap<[u8; 32], Weak<TrustShared>>> = Mutex::new(BTreeMap::new());

impl TrustShared {
    /// What is made of these roots; those that cannot be read as trust anchors are left out.
    pub(super) fn of(roots: Vec<&CertificateDer<'static>>) -> Arc<TrustShared> {
        let mut hash = Sha256::new();
        for root in &roots {
            hash.update((root.len() as u64).to_be_bytes());
            hash.update(root);
        }
        let name: [u8; 32] = hash.finalize().into();
        let mut sets = SETS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = sets.get(&name).and_then(Weak::upgrade) {
            return known;
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.into_iter().cloned());
        let made =
            Arc::new(TrustShared { roots: Arc::new(store), strict: Each::default(), lax: Each::default() });
        if sets.len() >= SETS_AT_LEAST {
            sets.retain(|_, set| set.strong_count() > 0);
        }
        sets.insert(name, Arc::downgrade(&made));
        made
    }

    /// How a dialling end does its TLS.
    pub(super) fn config(&self, names: NameCheck, crypto: Crypto) -> Result<Arc<ClientConfig>, TlsError> {
        let place = match names {
            NameCheck::Strict => &self.strict,
            NameCheck::Lax => &self.lax,
        };
        place.get(crypto, || self.make(names, crypto))
    }

    fn make(&self, names: NameCheck, crypto: Crypto) -> Result<Arc<ClientConfig>, TlsError> {
        let provider = crypto.provider();
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots.clone(), provider.clone())
            .build()
            .map_err(|why| TlsError::Protocol(why.to_string()))?;
        let builder = ClientConfig::builder_with_details(provider, Arc::new(CallersClock))
            .with_safe_default_protocol_versions()
            .map_err(protocol)?;
        let mut config = match names {
            NameCheck::Strict => builder.with_webpki_verifier(verifier),
            NameCheck::Lax => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(verifier)))
            }
        }
        .with_no_client_auth();
        // Every dial is a first one: a session that is resumed would not look at the certificate again.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }
}

fn protocol(why: rustls::Error) -> TlsError {
    TlsError::Protocol(why.to_string())
}

/// How a listening end does its TLS, once made.
#[derive(Debug, Default)]
pub(super) struct ServerConfigs(Each<Arc<ServerConfig>>);

impl ServerConfigs {
    pub(super) fn get(
        &self,
        credentials: &Credentials,
        crypto: Crypto,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        self.0.get(crypto, || {
            let mut config = ServerConfig::builder_with_details(crypto.provider(), Arc::new(CallersClock))
                .with_safe_default_protocol_versions()
                .map_err(protocol)?
                .with_no_client_auth()
                .with_single_cert(credentials.chain.clone(), credentials.key.clone_key())
                .map_err(protocol)?;
            config.send_tls13_tickets = 0;
            config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
            Ok(Arc::new(config))
        })
    }
}

/// Checks everything about a server's certificate but its name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
