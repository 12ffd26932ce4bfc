//! TLS over byte buffers, with the caller's own clock and trust.
//!
//! Both worlds use the same machine: bytes from the network in, bytes for the network out, plaintext on the
//! inside. A phone without the lab's root, or with a clock in 1970, fails for the real reason, found by rustls.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, DigitallySignedStruct, RootCertStore,
    ServerConfig, ServerConnection, SignatureScheme,
};

use crate::capture::TlsSecrets;
use crate::crypto::Crypto;
use crate::random::Random;
use crate::time::{Time, Wall, WallClock};

/// The most ciphertext a session takes in before its plaintext is read out; more means a broken caller.
const BUFFER_LIMIT: usize = 1 << 20;

/// The root certificates that somebody trusts.
#[derive(Clone, Debug)]
pub struct Trust {
    roots: Arc<RootCertStore>,
}

impl Trust {
    /// Trusts these roots. Certificates that cannot be read as trust anchors are left out.
    pub fn new<'a>(roots: impl IntoIterator<Item = &'a CertificateDer<'static>>) -> Trust {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.into_iter().cloned());
        Trust { roots: Arc::new(store) }
    }

    /// How many roots are trusted.
    pub fn len(&self) -> usize {
        self.roots.len()
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// The roots, as rustls wants them.
    pub fn store(&self) -> Arc<RootCertStore> {
        self.roots.clone()
    }
}

/// A certificate chain, leaf first, and the private key of its leaf.
#[derive(Debug)]
pub struct Credentials {
    /// Leaf first; the root may be left out.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key, PKCS#8.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Credentials {
    fn clone(&self) -> Self {
        Credentials { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// Whether the name in a server's certificate must be the name that was dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameCheck {
    /// It must (RFC 6125).
    Strict,
    /// Any name will do, as when `strictCertCommonNameValidation` is 0.
    Lax,
}

/// How the dialling side wants its TLS.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// The name the server must prove, also sent as SNI.
    pub server_name: String,
    /// Whose word counts.
    pub trust: Trust,
    /// What the caller believes the date is.
    pub clock: WallClock,
    /// Whether the name counts.
    pub names: NameCheck,
}

/// How the listening side does its TLS.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// What it shows.
    pub credentials: Credentials,
}

/// Why TLS did not come about, in the words of whoever found out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The verifier's clock is before the certificate's first day.
    #[error("certificate not valid before {not_before} (the verifier's clock says {now})")]
    NotYetValid {
        /// The certificate's first moment.
        not_before: Wall,
        /// What the verifier's clock says.
        now: Wall,
    },
    /// The verifier's clock is past the certificate's last day.
    #[error("certificate expired at {not_after} (the verifier's clock says {now})")]
    Expired {
        /// The certificate's last moment.
        not_after: Wall,
        /// What the verifier's clock says.
        now: Wall,
    },
    /// No trusted root stands behind the certificate.
    #[error("certificate is signed by an unknown authority")]
    UnknownIssuer,
    /// The certificate is for somebody else.
    #[error("certificate is not valid for the name `{wanted}`")]
    WrongName {
        /// The name that was dialled.
        wanted: String,
    },
    /// The certificate was revoked.
    #[error("certificate was revoked")]
    Revoked,
    /// The certificate fails in another way.
    #[error("bad certificate: {0}")]
    BadCertificate(String),
    /// The other end gave up, with this alert (RFC 8446 §6).
    #[error("the other end refused: {0}")]
    Alert(String),
    /// The handshake or a record was wrong.
    #[error("{0}")]
    Protocol(String),
}

impl TlsError {
    /// Translates rustls' word, keeping what a person needs. `wanted` is the name that was dialled.
    pub fn from_rustls(why: &rustls::Error, wanted: &str, now: Wall) -> TlsError {
        let wall = |t: UnixTime| Wall::from_unix_secs(i64::try_from(t.as_secs()).unwrap_or(i64::MAX));
        match why {
            rustls::Error::InvalidCertificate(fault) => match fault {
                CertificateError::NotValidYet => TlsError::NotYetValid { not_before: now, now },
                CertificateError::NotValidYetContext { time, not_before } => {
                    TlsError::NotYetValid { not_before: wall(*not_before), now: wall(*time) }
                }
                CertificateError::Expired => TlsError::Expired { not_after: now, now },
                CertificateError::ExpiredContext { time, not_after } => {
                    TlsError::Expired { not_after: wall(*not_after), now: wall(*time) }
                }
                CertificateError::UnknownIssuer => TlsError::UnknownIssuer,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    TlsError::WrongName { wanted: wanted.to_owned() }
                }
                CertificateError::Revoked => TlsError::Revoked,
                other => TlsError::BadCertificate(other.to_string()),
            },
            rustls::Error::AlertReceived(alert) => TlsError::Alert(spell_alert(*alert)),
            other => TlsError::Protocol(other.to_string()),
        }
    }
}

fn spell_alert(alert: rustls::AlertDescription) -> String {
    let name = format!("{alert:?}");
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

/// The clock that rustls reads while it works for one session.
#[derive(Debug, Default)]
struct SessionClock(AtomicI64);

impl SessionClock {
    fn put(&self, reading: Wall) {
        self.0.store(reading.unix_secs(), Ordering::Relaxed);
    }
}

impl TimeProvider for SessionClock {
    fn current_time(&self) -> Option<UnixTime> {
        // rustls knows no time before 1970; a clock that believes in one counts as 1970.
        let secs = u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs)))
    }
}

/// One end of a TLS connection: a machine over byte buffers.
#[derive(Debug)]
pub struct TlsSession {
    connection: Connection,
    clock: Arc<SessionClock>,
    wall: WallClock,
    crypto: Crypto,
    server_name: String,
    is_up: bool,
}

impl TlsSession {
    /// The dialling end. Its first flight is ready to be taken out.
    ///
    /// # Errors
    ///
    /// If `tls.server_name` is no DNS name or address, or nobody is trusted.
    pub fn client(
        tls: &ClientTls,
        now: Time,
        crypto: Crypto,
        random: &mut Random,
    ) -> Result<TlsSession, TlsError> {
        TlsSession::client_telling(tls, now, crypto, random, None)
    }

    /// The dialling end, which tells its secrets to a capture.
    ///
    /// # Errors
    ///
    /// As [`TlsSession::client`].
    pub fn client_telling(
        tls: &ClientTls,
        now: Time,
        crypto: Crypto,
        random: &mut Random,
        secrets: Option<&Arc<TlsSecrets>>,
    ) -> Result<TlsSession, TlsError> {
        let clock = Arc::new(SessionClock::default());
        clock.put(tls.clock.read(now));
        let protocol =
            |why: rustls::Error| TlsError::from_rustls(&why, &tls.server_name, tls.clock.read(now));
        let name = ServerName::try_from(tls.server_name.clone())
            .map_err(|_| TlsError::Protocol(format!("`{}` is not a host name", tls.server_name)))?;
        if tls.trust.is_empty() {
            return Err(TlsError::UnknownIssuer);
        }
        crypto.with(random, || {
            let provider = crypto.provider();
            let verifier = WebPkiServerVerifier::builder_with_provider(tls.trust.store(), provider.clone())
                .build()
                .map_err(|why| TlsError::Protocol(why.to_string()))?;
            let builder = ClientConfig::builder_with_details(provider, clock.clone())
                .with_safe_default_protocol_versions()
                .map_err(protocol)?;
            let mut config = match tls.names {
                NameCheck::Strict => builder.with_webpki_verifier(verifier),
                NameCheck::Lax => {
                    builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(verifier)))
                }
            }
            .with_no_client_auth();
            // Every dial is a first one: a session that is resumed would not look at the certificate again.
            config.resumption = rustls::client::Resumption::disabled();
            if let Some(secrets) = secrets {
                config.key_log = secrets.clone();
            }
            let connection = ClientConnection::new(Arc::new(config), name).map_err(protocol)?;
            Ok(TlsSession {
                connection: connection.into(),
                clock: clock.clone(),
                wall: tls.clock,
                crypto,
                server_name: tls.server_name.clone(),
                is_up: false,
            })
        })
    }

    /// The listening end.
    ///
    /// # Errors
    ///
    /// If the credentials do not fit together.
    pub fn server(tls: &ServerTls, crypto: Crypto, random: &mut Random) -> Result<TlsSession, TlsError> {
        TlsSession::server_telling(tls, crypto, random, None)
    }

    /// The listening end, which tells its secrets to a capture.
    ///
    /// # Errors
    ///
    /// As [`TlsSession::server`].
    pub fn server_telling(
        tls: &ServerTls,
        crypto: Crypto,
        random: &mut Random,
        secrets: Option<&Arc<TlsSecrets>>,
    ) -> Result<TlsSession, TlsError> {
        let protocol = |why: rustls::Error| TlsError::Protocol(why.to_string());
        crypto.with(random, || {
            let clock = Arc::new(SessionClock::default());
            let mut config = ServerConfig::builder_with_details(crypto.provider(), clock.clone())
                .with_safe_default_protocol_versions()
                .map_err(protocol)?
                .with_no_client_auth()
                .with_single_cert(tls.credentials.chain.clone(), tls.credentials.key.clone_key())
                .map_err(protocol)?;
            config.send_tls13_tickets = 0;
            config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
            if let Some(secrets) = secrets {
                config.key_log = secrets.clone();
            }
            let connection = ServerConnection::new(Arc::new(config)).map_err(protocol)?;
            Ok(TlsSession {
                connection: connection.into(),
                clock,
                // A server that asks for no client certificate has no use for the date.
                wall: WallClock::new(Wall::UNIX_EPOCH, Time::ZERO),
                crypto,
                server_name: String::new(),
                is_up: false,
            })
        })
    }

    /// Takes in bytes from the network.
    ///
    /// # Errors
    ///
    /// If the handshake or a record is refused; [`TlsSession::take_output`] then still holds the alert to send.
    pub fn receive(
        &mut self,
        mut bytes: &[u8],
        now: Time,
        random: &mut Random,
    ) -> Result<Received, TlsError> {
        let wall = self.wall.read(now);
        self.clock.put(wall);
        let mut received = Received::default();
        while !bytes.is_empty() {
            let step = self.crypto.with(random, || {
                let taken = self.connection.read_tls(&mut bytes);
                taken.map(|_| self.connection.process_new_packets())
            });
            let state = match step {
                Ok(Ok(state)) => state,
                Ok(Err(why)) => return Err(TlsError::from_rustls(&why, &self.server_name, wall)),
                Err(why) => return Err(TlsError::Protocol(why.to_string())),
            };
            let waiting = state.plaintext_bytes_to_read();
            if received.plaintext.len() + waiting > BUFFER_LIMIT {
                return Err(TlsError::Protocol("more plaintext than fits the buffer".to_owned()));
            }
            let start = received.plaintext.len();
            received.plaintext.resize(start + waiting, 0);
            self.connection
                .reader()
                .read_exact(&mut received.plaintext[start..])
                .map_err(|why| TlsError::Protocol(why.to_string()))?;
            if state.peer_has_closed() {
                received.is_closed = true;
                break;
            }
        }
        if !self.is_up && !self.connection.is_handshaking() {
            self.is_up = true;
            received.came_up = true;
        }
        Ok(received)
    }

    /// Encrypts plaintext for the other end; before the handshake is done it waits inside.
    pub fn write(&mut self, plaintext: &[u8], random: &mut Random) {
        let connection = &mut self.connection;
        connection.set_buffer_limit(None);
        self.crypto.with(random, || {
            // Writing into an unlimited buffer cannot fail.
            let _ = connection.writer().write_all(plaintext);
        });
    }

    /// Says goodbye (close_notify).
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Takes out what must go to the network.
    pub fn take_output(&mut self) -> Bytes {
        let mut output = Vec::new();
        while self.connection.wants_write() {
            if self.connection.write_tls(&mut output).is_err() {
                break;
            }
        }
        output.into()
    }
}

/// What came of bytes that a [`TlsSession`] took in.
#[derive(Debug, Default)]
pub struct Received {
    /// Plaintext, in order.
    pub plaintext: Vec<u8>,
    /// The handshake was finished by these bytes.
    pub came_up: bool,
    /// The other end said goodbye.
    pub is_closed: bool,
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
