//! TLS-DSK: a TLS handshake whose flights travel in SIP headers (MS-SIPAE §3.1), and the keys that come of it.
//!
//! A flight is whole TLS records, one behind the other, base64 in `gssapi-data`. Four of them make a handshake:
//! the initiator's hello, the acceptor's hello to done, the initiator's certificate to finished, the acceptor's
//! finished. After it both sides hold the same [`SaKeys`]; no byte of data ever travels inside.
//!
//! Two engines stand behind one step. Phones of today meet rustls, TLS 1.2 only: the published text names TLS 1.0 to
//! 1.2, and 1.3 has another exporter. Clients that know nothing newer than TLS 1.1, pidgin-sipe among them, meet the
//! server's side of TLS 1.0 if the server has an RSA certificate for them ([`Setup::with_rsa`]); the hello decides.

mod header;
mod hello;
mod legacy;
mod modern;
mod reader;
mod records;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use net::tls::{Credentials, TlsError, Trust};
use net::{Crypto, Random, Wall};
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use thiserror::Error;

pub use crate::signature::SaKeys;
pub use header::{acceptor_flight, challenge, challenge_in, initiator_flight};
pub use legacy::{NotRsaKey, RsaIdentity, RsaKey};

/// The longest flight that is taken, in octets of TLS records.
pub const FLIGHT_OCTETS_MAX: usize = 32 * 1024;
/// The most that one handshake takes in all, in octets of TLS records.
pub const CONTEXT_OCTETS_MAX: usize = 48 * 1024;

/// What comes of a flight.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// Send this flight and wait for the other side's next one.
    More(Vec<u8>),
    /// The handshake is done.
    Done {
        /// The last flight, for the other side; empty for the initiator, who hears it.
        flight: Vec<u8>,
        /// What both sides now sign with.
        keys: SaKeys,
    },
}

/// Why a handshake failed. After any of these it is over.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DskError {
    /// A flight is longer than [`FLIGHT_OCTETS_MAX`].
    #[error("a flight of more than {FLIGHT_OCTETS_MAX} octets")]
    FlightTooLong,
    /// The flights together are longer than [`CONTEXT_OCTETS_MAX`].
    #[error("flights of more than {CONTEXT_OCTETS_MAX} octets in one handshake")]
    ContextTooLong,
    /// `gssapi-data` is not base64.
    #[error("gssapi-data is not base64")]
    NotBase64,
    /// A flight is not a row of whole handshake records.
    #[error("not a flight of TLS records: {0}")]
    NotRecords(&'static str),
    /// Records that are good, but with other handshake messages than are due.
    #[error("not the handshake messages that are due: {0}")]
    NotMessages(&'static str),
    /// Something follows the Finished message.
    #[error("more octets behind the end of the handshake")]
    Trailing,
    /// The other side does not speak TLS 1.2.
    #[error("the other side does not speak TLS 1.2")]
    Version,
    /// An old client's hello says that a newer one failed (RFC 7507), and newer versions are spoken here.
    #[error("the other side has fallen back from a version that is spoken here")]
    FallenBack,
    /// An old client knows no suite that is known here.
    #[error("no cipher suite in common")]
    NoCommonSuite,
    /// An old client's signature is not one of its certificate's key.
    #[error("the other side does not hold its certificate's key")]
    BadSignature,
    /// An old client's Finished message does not fit the handshake: changed on the way, or with other secrets.
    #[error("the other side's Finished message does not fit the handshake")]
    BadFinished,
    /// The other side showed no certificate.
    #[error("the other side showed no certificate")]
    NoCertificate,
    /// This side refuses: the certificate, or the handshake itself.
    #[error("{0}")]
    Refused(TlsError),
    /// The other side refused what this side showed.
    #[error("the other side refused: {0}")]
    PeerRefused(PeerRefusal),
    /// The handshake was over before this flight came.
    #[error("the handshake is over")]
    Over,
}

/// What an alert of the other side says (RFC 5246 §7.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PeerRefusal {
    /// Our certificate has expired, or is not valid yet: TLS has one alert for both.
    #[error("certificate expired or not yet valid")]
    Expired,
    /// Our certificate was revoked.
    #[error("certificate revoked")]
    Revoked,
    /// Our certificate's authority is not known there.
    #[error("unknown authority")]
    UnknownAuthority,
    /// Our certificate is not good enough in another way.
    #[error("certificate not accepted: {0}")]
    Certificate(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Reads `gssapi-data`. The length is judged before anything is decoded.
///
/// # Errors
///
/// [`DskError::FlightTooLong`] or [`DskError::NotBase64`].
pub fn decode_flight(gssapi_data: &str) -> Result<Vec<u8>, DskError> {
    if gssapi_data.len() > FLIGHT_OCTETS_MAX.div_ceil(3) * 4 {
        return Err(DskError::FlightTooLong);
    }
    STANDARD.decode(gssapi_data).map_err(|_| DskError::NotBase64)
}

/// Writes a flight as `gssapi-data`.
pub fn encode_flight(flight: &[u8]) -> String {
    STANDARD.encode(flight)
}

/// Whether a first flight is the hello of a client that only [`Setup::with_rsa`] can serve: one that knows nothing
/// newer than TLS 1.1, or none of the modern engine's suites.
pub fn is_old_hello(flight: &[u8], crypto: Crypto) -> bool {
    if flight.len() > FLIGHT_OCTETS_MAX {
        return false;
    }
    hello::ClientHello::read(flight).is_ok_and(|(hello, _)| hello.is_old(&modern::suites(crypto)))
}

/// What an acceptor shows and whom it asks, made once for many handshakes.
#[derive(Clone, Debug)]
pub struct Setup {
    modern: modern::Setup,
    verifier: Arc<dyn ClientCertVerifier>,
    rsa: Option<Arc<RsaIdentity>>,
}

impl Setup {
    /// Serves old clients as well, and shows them this.
    pub fn with_rsa(mut self, identity: Arc<RsaIdentity>) -> Setup {
        self.rsa = Some(identity);
        self
    }
}

/// What runs inside the flights.
#[derive(Debug)]
enum Engine {
    Modern(Box<modern::Session>),
    Legacy(Box<legacy::Session>),
    Over,
}

/// What an acceptor needs when the first flight decides the engine.
#[derive(Debug)]
struct Choice {
    crypto: Crypto,
    legacy: Option<Box<legacy::Session>>,
}

/// What is the same for both sides and both engines: limits, and the end.
#[derive(Debug)]
struct Context {
    engine: Engine,
    /// An acceptor has it before its first flight.
    choice: Option<Choice>,
    octets: usize,
    alert: Vec<u8>,
    peer: Option<CertificateDer<'static>>,
}

impl Context {
    fn new(session: modern::Session, choice: Option<Choice>) -> Context {
        let engine = Engine::Modern(Box::new(session));
        Context { engine, choice, octets: 0, alert: Vec::new(), peer: None }
    }

    fn step(&mut self, flight: &[u8], now: Wall, random: &mut Random) -> Result<Reply, DskError> {
        let result = self.try_step(flight, now, random);
        if !matches!(result, Ok(Reply::More(_))) {
            self.engine = Engine::Over;
        }
        result
    }

    fn try_step(&mut self, flight: &[u8], now: Wall, random: &mut Random) -> Result<Reply, DskError> {
        if flight.len() > FLIGHT_OCTETS_MAX {
            return Err(DskError::FlightTooLong);
        }
        self.octets += flight.len();
        if self.octets > CONTEXT_OCTETS_MAX {
            return Err(DskError::ContextTooLong);
        }
        if let Some(choice) = self.choice.take() {
            self.choose(choice, flight)?;
        }
        match &mut self.engine {
            Engine::Over => Err(DskError::Over),
            Engine::Modern(session) => {
                let result = session.step(flight, now, random);
                if result.is_err() {
                    self.alert = session.take_output();
                }
                self.peer = session.peer_certificate();
                result
            }
            Engine::Legacy(session) => {
                let result = session.step(flight, now, random);
                if result.is_err() {
                    self.alert = records::HANDSHAKE_FAILURE_ALERT.to_vec();
                }
                self.peer = session.peer_certificate();
                result
            }
        }
    }

    /// Chooses the engine by the first flight. What is no hello is left to the modern engine to refuse.
    fn choose(&mut self, choice: Choice, flight: &[u8]) -> Result<(), DskError> {
        match choice.legacy {
            Some(session) if is_old_hello(flight, choice.crypto) => {
                self.engine = Engine::Legacy(session);
                Ok(())
            }
            None if records::claims_to_be_old(flight) => {
                self.alert = records::PROTOCOL_VERSION_ALERT.to_vec();
                Err(DskError::Version)
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// The side that begins: the phone.
#[derive(Debug)]
pub struct Initiator(Context);

impl Initiator {
    /// Begins a handshake with the server called `target`. `client` is what the phone shows, `trust` whom it
    /// believes. The first [`Initiator::step`] takes an empty flight and gives the hello.
    ///
    /// # Errors
    ///
    /// If `target` is no name, nobody is trusted, or certificate and key do not fit together.
    pub fn new(
        client: &Credentials,
        trust: &Trust,
        target: &str,
        crypto: Crypto,
        random: &mut Random,
    ) -> Result<Initiator, DskError> {
        let session = modern::Session::initiator(client, trust, target, crypto, random)?;
        Ok(Initiator(Context::new(session, None)))
    }

    /// Takes the server's flight in, at the time that the phone's own clock says.
    ///
    /// # Errors
    ///
    /// Why the handshake failed; it is over then.
    pub fn step(&mut self, flight: &[u8], now: Wall, random: &mut Random) -> Result<Reply, DskError> {
        self.0.step(flight, now, random)
    }

    /// The server's certificate, once it has shown one.
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.0.peer.as_ref()
    }

    /// The alert records that tell the other side why this side gave up; empty if there are none.
    pub fn alert(&self) -> &[u8] {
        &self.0.alert
    }
}

/// The side that answers: the registrar.
#[derive(Debug)]
pub struct Acceptor(Context);

impl Acceptor {
    /// Waits for a hello. One [`Setup`] serves any number of handshakes.
    ///
    /// # Errors
    ///
    /// If rustls will not start a session.
    pub fn new(setup: &Setup, random: &mut Random) -> Result<Acceptor, DskError> {
        let session = modern::Session::acceptor(&setup.modern, random)?;
        let legacy = setup
            .rsa
            .as_ref()
            .map(|identity| Box::new(legacy::Session::new(identity.clone(), setup.verifier.clone())));
        let choice = Choice { crypto: setup.modern.crypto(), legacy };
        Ok(Acceptor(Context::new(session, Some(choice))))
    }

    /// Takes the client's flight in, at the time that the server's clock says.
    ///
    /// # Errors
    ///
    /// Why the handshake failed; it is over then.
    pub fn step(&mut self, flight: &[u8], now: Wall, random: &mut Random) -> Result<Reply, DskError> {
        self.0.step(flight, now, random)
    }

    /// The client's certificate, once it has shown one. It counts only after [`Reply::Done`].
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.0.peer.as_ref()
    }

    /// The alert records that tell the other side why this side gave up; empty if there are none.
    pub fn alert(&self) -> &[u8] {
        &self.0.alert
    }
}

/// Makes what [`Acceptor::new`] needs: what the server shows, and who judges the clients' certificates.
///
/// # Errors
///
/// If certificate and key do not fit together.
pub fn acceptor_setup(
    server: &Credentials,
    verifier: Arc<dyn ClientCertVerifier>,
    crypto: Crypto,
    random: &mut Random,
) -> Result<Setup, DskError> {
    let modern = modern::Setup::new(server, verifier.clone(), crypto, random)?;
    Ok(Setup { modern, verifier, rsa: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_flights_together_have_a_limit() {
        let mut random = Random::named(1, "lab");
        let today = Wall::from_unix_secs(1_772_442_000);
        let life = std::time::Duration::from_secs(86_400);
        let mut pool = pki::Authority::new("Root", Crypto::Seeded, &mut random, today, life);
        let validity = pki::Validity::hours(today, 8);
        let server = pool.issue_server(&["fe.contoso.example".to_owned()], validity).unwrap();
        let begin = |random: &mut Random| {
            Initiator::new(&server, &pool.trust(), "fe.contoso.example", Crypto::Seeded, random).unwrap()
        };
        for (already, wanted) in [(CONTEXT_OCTETS_MAX, false), (CONTEXT_OCTETS_MAX - 1, true)] {
            let mut phone = begin(&mut random);
            phone.0.octets = already;
            let result = phone.step(&[22], today, &mut random);
            assert_eq!(result != Err(DskError::ContextTooLong), wanted, "{result:?}");
        }
    }
}
