//! The engine for phones of today: rustls, TLS 1.2, over flights.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use net::tls::{Credentials, TlsError, Trust};
use net::{Crypto, Random, Wall};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Connection, Error, PeerIncompatible,
    ServerConfig, ServerConnection,
};

use super::{DskError, PeerRefusal, Reply, SaKeys, records};

/// The only version: RFC 5246.
const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
/// Both sides' signing keys are parts of this exporter's output (MS-SIPAE §3.2.5.1, RFC 5705).
const EXPORTER: &[u8] = b"client EAP encryption";

/// The clock that rustls reads; put right before every step.
#[derive(Debug, Default)]
struct Clock(AtomicI64);

impl Clock {
    fn put(&self, now: Wall) {
        self.0.store(now.unix_secs(), Ordering::Relaxed);
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        // rustls knows no time before 1970; a clock that believes in one counts as 1970.
        let secs = u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs)))
    }
}

/// The numbers of the suites that this engine knows.
pub(super) fn suites(crypto: Crypto) -> Vec<u16> {
    let provider = crypto.provider();
    let of_tls_1_2 = provider.cipher_suites.iter().filter(|suite| suite.tls13().is_none());
    of_tls_1_2.map(|suite| suite.suite().into()).collect()
}

/// What an acceptor shows and whom it asks, made once for many handshakes.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    config: Arc<ServerConfig>,
    clock: Arc<Clock>,
    crypto: Crypto,
}

impl Setup {
    pub(super) fn new(
        server: &Credentials,
        verifier: Arc<dyn ClientCertVerifier>,
        crypto: Crypto,
        random: &mut Random,
    ) -> Result<Setup, DskError> {
        let clock = Arc::new(Clock::default());
        let config = crypto.with(random, || {
            ServerConfig::builder_with_details(crypto.provider(), clock.clone())
                .with_protocol_versions(VERSIONS)?
                .with_client_cert_verifier(verifier)
                .with_single_cert(server.chain.clone(), server.key.clone_key())
        });
        let mut config = config.map_err(own_fault)?;
        // No tickets and no memory of sessions: flight four is the Finished message and nothing else, and every
        // handshake looks at the certificate again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Setup { config: Arc::new(config), clock, crypto })
    }

    pub(super) fn crypto(&self) -> Crypto {
        self.crypto
    }
}

/// One side of one handshake.
#[derive(Debug)]
pub(super) struct Session {
    connection: Connection,
    clock: Arc<Clock>,
    crypto: Crypto,
    target: String,
}

impl Session {
    pub(super) fn initiator(
        client: &Credentials,
        trust: &Trust,
        target: &str,
        crypto: Crypto,
        random: &mut Random,
    ) -> Result<Session, DskError> {
        if trust.is_empty() {
            return Err(DskError::Refused(TlsError::UnknownIssuer));
        }
        let name = ServerName::try_from(target.to_owned())
            .map_err(|_| DskError::Refused(TlsError::Protocol(format!("`{target}` is not a host name"))))?;
        let clock = Arc::new(Clock::default());
        let connection = crypto.with(random, || {
            let provider = crypto.provider();
            let verifier = WebPkiServerVerifier::builder_with_provider(trust.store(), provider.clone())
                .build()
                .map_err(|why| Error::General(why.to_string()))?;
            let mut config = ClientConfig::builder_with_details(provider, clock.clone())
                .with_protocol_versions(VERSIONS)?
                .with_webpki_verifier(verifier)
                .with_client_auth_cert(client.chain.clone(), client.key.clone_key())?;
            config.resumption = Resumption::disabled();
            ClientConnection::new(Arc::new(config), name)
        });
        let connection = connection.map_err(own_fault)?.into();
        Ok(Session { connection, clock, crypto, target: target.to_owned() })
    }

    pub(super) fn acceptor(setup: &Setup, random: &mut Random) -> Result<Session, DskError> {
        let Setup { config, clock, crypto } = setup;
        let connection = crypto.with(random, || ServerConnection::new(config.clone())).map_err(own_fault)?;
        Ok(Session {
            connection: connection.into(),
            clock: clock.clone(),
            crypto: *crypto,
            target: String::new(),
        })
    }

    pub(super) fn step(&mut self, flight: &[u8], now: Wall, random: &mut Random) -> Result<Reply, DskError> {
        self.clock.put(now);
        let records = records::split(flight)?;
        for record in records {
            if !self.connection.is_handshaking() {
                return Err(DskError::Trailing);
            }
            self.take_record(record, now, random)?;
        }
        let output = self.take_output();
        if self.connection.is_handshaking() {
            if output.is_empty() {
                return Err(DskError::NotRecords("a flight that ends before the handshake's turn"));
            }
            return Ok(Reply::More(output));
        }
        // Behind the Finished message, in its own record, something asked for more.
        if records::has_alert(&output) {
            return Err(DskError::Trailing);
        }
        if self.connection.peer_certificates().is_none_or(<[_]>::is_empty) {
            return Err(DskError::NoCertificate);
        }
        let exported = self
            .connection
            .export_keying_material([0; 128], EXPORTER, None)
            .map_err(|why| DskError::Refused(TlsError::Protocol(why.to_string())))?;
        let mut keys = SaKeys { client: [0; 32], server: [0; 32] };
        keys.client.copy_from_slice(&exported[64..96]);
        keys.server.copy_from_slice(&exported[96..128]);
        Ok(Reply::Done { flight: output, keys })
    }

    fn take_record(&mut self, mut record: &[u8], now: Wall, random: &mut Random) -> Result<(), DskError> {
        while !record.is_empty() {
            let connection = &mut self.connection;
            let step = self.crypto.with(random, || {
                let taken = connection.read_tls(&mut record);
                taken.map(|taken| (taken, connection.process_new_packets()))
            });
            match step {
                Ok((0, Ok(_))) => return Err(DskError::Trailing),
                Ok((_, Ok(_))) => {}
                Ok((_, Err(why))) => return Err(translate(&why, &self.target, now)),
                Err(why) => return Err(DskError::Refused(TlsError::Protocol(why.to_string()))),
            }
        }
        Ok(())
    }

    /// What rustls wants to send: a flight, or the alert behind an error.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        let mut output = Vec::new();
        while self.connection.wants_write() {
            if self.connection.write_tls(&mut output).is_err() {
                break;
            }
        }
        output
    }

    pub(super) fn peer_certificate(&self) -> Option<CertificateDer<'static>> {
        Some(self.connection.peer_certificates()?.first()?.clone().into_owned())
    }
}

/// rustls would not take what we gave it ourselves.
fn own_fault(why: Error) -> DskError {
    DskError::Refused(TlsError::Protocol(why.to_string()))
}

/// What rustls says, in words of the handshake.
pub(super) fn translate(why: &Error, target: &str, now: Wall) -> DskError {
    match why {
        Error::AlertReceived(alert) => DskError::PeerRefused(match alert {
            AlertDescription::CertificateExpired => PeerRefusal::Expired,
            AlertDescription::CertificateRevoked => PeerRefusal::Revoked,
            AlertDescription::UnknownCA => PeerRefusal::UnknownAuthority,
            AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied => PeerRefusal::Certificate(format!("{alert:?}")),
            AlertDescription::ProtocolVersion => return DskError::Version,
            other => PeerRefusal::Other(format!("{other:?}")),
        }),
        Error::NoCertificatesPresented => DskError::NoCertificate,
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerDoesNotSupportTls12Or13,
        ) => DskError::Version,
        // A verifier's own reason is in words; as part of rustls's error it would come out as Rust.
        Error::InvalidCertificate(CertificateError::Other(why)) => {
            DskError::Refused(TlsError::BadCertificate(why.0.to_string()))
        }
        other => DskError::Refused(TlsError::from_rustls(other, target, now)),
    }
}
