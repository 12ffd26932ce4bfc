//! TLS over byte buffers, with the caller's own clock and trust.
//!
//! Both worlds use the same machine: bytes from the network in, bytes for the network out, plaintext on the
//! inside. A phone without the lab's root, or with a clock in 1970, fails for the real reason, found by rustls.

mod prepared;

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection};

use self::prepared::{ServerConfigs, TrustShared};

use crate::capture::TlsSecrets;
use crate::crypto::Crypto;
use crate::random::Random;
use crate::time::{Time, Wall, WallClock};

/// The most ciphertext a session takes in before its plaintext is read out; more means a broken caller.
const BUFFER_LIMIT: usize = 1 << 20;

/// The root certificates that somebody trusts. Whoever trusts the same roots shares what is made of them.
#[derive(Clone, Debug)]
pub struct Trust {
    shared: Arc<TrustShared>,
}

impl Trust {
    /// Trusts these roots. Certificates that cannot be read as trust anchors are left out.
    pub fn new<'a>(roots: impl IntoIterator<Item = &'a CertificateDer<'static>>) -> Trust {
        Trust { shared: TrustShared::of(roots.into_iter().collect()) }
    }

    /// How many roots are trusted.
    pub fn len(&self) -> usize {
        self.shared.roots.len()
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.shared.roots.is_empty()
    }

    /// The roots, as rustls wants them.
    pub fn store(&self) -> Arc<RootCertStore> {
        self.shared.roots.clone()
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
#[derive(Debug)]
pub struct ServerTls {
    credentials: Credentials,
    prepared: ServerConfigs,
}

impl ServerTls {
    /// Shows these credentials.
    pub fn new(credentials: Credentials) -> ServerTls {
        ServerTls { credentials, prepared: ServerConfigs::default() }
    }

    /// What it shows.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The configuration that all its sessions share, made at its first use.
    ///
    /// # Errors
    ///
    /// If the credentials do not fit together.
    pub fn config(&self, crypto: Crypto) -> Result<Arc<ServerConfig>, TlsError> {
        self.prepared.get(&self.credentials, crypto)
    }
}

impl Clone for ServerTls {
    fn clone(&self) -> ServerTls {
        ServerTls::new(self.credentials.clone())
    }
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

/// One end of a TLS connection: a machine over byte buffers.
#[derive(Debug)]
pub struct TlsSession {
    connection: Connection,
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
        let wall = tls.clock.read(now);
        let protocol = |why: rustls::Error| TlsError::from_rustls(&why, &tls.server_name, wall);
        let name = ServerName::try_from(tls.server_name.clone())
            .map_err(|_| TlsError::Protocol(format!("`{}` is not a host name", tls.server_name)))?;
        if tls.trust.is_empty() {
            return Err(TlsError::UnknownIssuer);
        }
        crypto.with(random, || {
            let mut config = tls.trust.shared.config(tls.names, crypto)?;
            if let Some(secrets) = secrets {
                Arc::make_mut(&mut config).key_log = secrets.clone();
            }
            let connection = prepared::at(wall, || ClientConnection::new(config, name)).map_err(protocol)?;
            Ok(TlsSession {
                connection: connection.into(),
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
            let mut config = tls.config(crypto)?;
            if let Some(secrets) = secrets {
                Arc::make_mut(&mut config).key_log = secrets.clone();
            }
            let connection = ServerConnection::new(config).map_err(protocol)?;
            Ok(TlsSession {
                connection: connection.into(),
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
        let mut received = Received::default();
        while !bytes.is_empty() {
            let step = self.crypto.with(random, || {
                let taken = self.connection.read_tls(&mut bytes);
                taken.map(|_| prepared::at(wall, || self.connection.process_new_packets()))
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
