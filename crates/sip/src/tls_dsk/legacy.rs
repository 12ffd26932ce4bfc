//! The engine for clients of yesterday: the server's side of TLS 1.0 (RFC 2246) with RSA key exchange, over flights.
//!
//! It exists for clients that know nothing newer, such as pidgin-sipe. It knows two suites, asks for a certificate
//! always, resumes nothing, and carries no data. Which certificates count is the same verifier's word as in the
//! modern engine. A client learns from no answer, and from no delay, what was wrong with its last flight.

mod arithmetic;
mod messages;
mod protection;
mod rsa_key;

use std::sync::Arc;

use net::tls::TlsError;
use net::{Random, Wall};
use rsa::pkcs8::DecodePublicKey as _;
use rsa::{Pkcs1v15Sign, PublicKey};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::ClientCertVerifier;

use self::arithmetic::{Master, Side, Suite};
use self::messages::ClientFlight;
use super::hello::ClientHello;
use super::records::{self, ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER_OCTETS, TLS_1_0};
use super::{DskError, PeerRefusal, Reply, modern};

pub use self::rsa_key::{NotRsaKey, RsaKey};

/// The end of a server's random when its client claims to know nothing newer than TLS 1.1 while the server does: a
/// client whose hello was changed on the way sees it and gives up (RFC 8446 §4.1.3).
const DOWNGRADED: [u8; 8] = *b"DOWNGRD\0";

/// What a server shows to clients of TLS 1.0.
#[derive(Clone, Debug)]
pub struct RsaIdentity {
    /// Its certificates, leaf first; the leaf is for the key.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: RsaKey,
}

/// The server's side of one handshake.
#[derive(Debug)]
pub(super) struct Session {
    identity: Arc<RsaIdentity>,
    verifier: Arc<dyn ClientCertVerifier>,
    state: State,
    peer: Option<CertificateDer<'static>>,
}

#[derive(Debug)]
enum State {
    AwaitsHello,
    AwaitsFinished {
        suite: Suite,
        /// The version in the hello, which the pre-master secret repeats.
        version: [u8; 2],
        client_random: [u8; 32],
        server_random: [u8; 32],
        /// Every handshake message so far; its length is bounded as that of flights is.
        transcript: Vec<u8>,
    },
    Over,
}

/// A client's last flight, by its records.
struct LastFlight<'a> {
    messages: Vec<u8>,
    finished: &'a [u8],
}

impl Session {
    pub(super) fn new(identity: Arc<RsaIdentity>, verifier: Arc<dyn ClientCertVerifier>) -> Session {
        Session { identity, verifier, state: State::AwaitsHello, peer: None }
    }

    pub(super) fn peer_certificate(&self) -> Option<CertificateDer<'static>> {
        self.peer.clone()
    }

    pub(super) fn step(&mut self, flight: &[u8], now: Wall, random: &mut Random) -> Result<Reply, DskError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::AwaitsHello => self.answer_hello(flight, random),
            State::AwaitsFinished { suite, version, client_random, server_random, transcript } => {
                let flight = last_flight(flight)?;
                let client = ClientFlight::read(&flight.messages)?;
                let key = self.judge(&client.chain, now)?;
                // Everything from here on is done whatever comes of it.
                let pre_master = self.identity.key.pre_master(client.pre_master, version, random);
                let master = Master::new(&pre_master, client_random, server_random);
                let transcript = Transcript { before: transcript, flight: &flight.messages };
                let holds_key = transcript.is_signed_by(&key, &client);
                finish(&master, suite, transcript.whole(), flight.finished, holds_key)
            }
            State::Over => Err(DskError::Over),
        }
    }

    fn answer_hello(&mut self, flight: &[u8], random: &mut Random) -> Result<Reply, DskError> {
        let (hello, mut transcript) = ClientHello::read(flight)?;
        if hello.version < TLS_1_0 {
            return Err(DskError::Version);
        }
        if hello.has_fallen_back() {
            return Err(DskError::FallenBack);
        }
        let suite = Suite::ALL.into_iter().find(|suite| hello.suites.contains(&suite.number()));
        let suite = suite.filter(|_| hello.takes_uncompressed).ok_or(DskError::NoCommonSuite)?;
        let mut server_random = random.bytes::<32>();
        if hello.claims_to_be_old() {
            server_random[24..].copy_from_slice(&DOWNGRADED);
        }
        let messages = [
            messages::server_hello(&server_random, suite, hello.knows_renegotiation),
            messages::certificate(&self.identity.chain),
            messages::certificate_request(self.verifier.root_hint_subjects()),
            messages::server_hello_done(),
        ]
        .concat();
        // As few records as can be: pidgin-sipe reads no message over two of them, and takes a ServerHelloDone only
        // behind another message in the same record.
        let records = messages.chunks(records::PLAIN_MAX);
        let answer = records.flat_map(|fragment| records::write(HANDSHAKE, fragment)).collect();
        transcript.extend(messages);
        self.state = State::AwaitsFinished {
            suite,
            version: hello.version,
            client_random: hello.random,
            server_random,
            transcript,
        };
        Ok(Reply::More(answer))
    }

    /// Whether the client's certificate counts, and its key.
    fn judge(&mut self, chain: &[CertificateDer<'_>], now: Wall) -> Result<PublicKey, DskError> {
        let (leaf, others) = chain.split_first().ok_or(DskError::NoCertificate)?;
        self.peer = Some(leaf.clone().into_owned());
        // rustls knows no time before 1970; a clock that believes in one counts as 1970.
        let secs = u64::try_from(now.unix_secs()).unwrap_or(0);
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs));
        self.verifier
            .verify_client_cert(leaf, others, time)
            .map_err(|why| modern::translate(&why, "", now))?;
        let unfit = || DskError::Refused(TlsError::BadCertificate("its key is no RSA key".to_owned()));
        let parsed = ParsedCertificate::try_from(leaf).map_err(|_| unfit())?;
        PublicKey::from_public_key_der(&parsed.subject_public_key_info()).map_err(|_| unfit())
    }
}

/// Cuts the last flight: handshake messages, ChangeCipherSpec, and one protected record.
fn last_flight(flight: &[u8]) -> Result<LastFlight<'_>, DskError> {
    let records = records::split(flight)?;
    if let Some(alert) = records.iter().find(|record| record[0] == ALERT) {
        let what = alert.get(HEADER_OCTETS + 1).map_or(0, |description| *description);
        return Err(DskError::PeerRefused(PeerRefusal::Other(format!("alert {what}"))));
    }
    if records.iter().any(|record| record[1..3] != TLS_1_0) {
        return Err(DskError::NotRecords("one of another version than was agreed on"));
    }
    let bad = DskError::NotMessages;
    let change = records.iter().position(|record| record[0] == CHANGE_CIPHER_SPEC);
    let (before, after) = records.split_at(change.ok_or(bad("no change of the cipher"))?);
    match after {
        [change, finished] if change[HEADER_OCTETS..] == [1] && finished[0] == HANDSHAKE => Ok(LastFlight {
            messages: records::handshake_payload(before)?,
            finished: &finished[HEADER_OCTETS..],
        }),
        [_, _, _, ..] => Err(DskError::Trailing),
        _ => Err(bad("no Finished behind the change of the cipher")),
    }
}

/// Every handshake message up to the client's Finished.
struct Transcript<'a> {
    before: Vec<u8>,
    flight: &'a [u8],
}

impl Transcript<'_> {
    /// Whether the client's signature is one of `key` over the messages before it (RFC 2246 §7.4.8): RSASSA-PKCS1-v1_5
    /// over both digests as they are, without a word on which they are.
    fn is_signed_by(&self, key: &PublicKey, client: &ClientFlight<'_>) -> bool {
        let signed = [&self.before[..], &self.flight[..client.signed_octets]].concat();
        let digests = arithmetic::digests(&signed);
        key.verify(Pkcs1v15Sign::new_unprefixed(), &digests, client.signature).is_ok()
    }

    fn whole(mut self) -> Vec<u8> {
        self.before.extend_from_slice(self.flight);
        self.before
    }
}

/// Checks the client's Finished, and answers with the server's.
fn finish(
    master: &Master,
    suite: Suite,
    mut transcript: Vec<u8>,
    sealed: &[u8],
    holds_key: bool,
) -> Result<Reply, DskError> {
    let [client, server] = master.directions(suite);
    let finished = messages::finished(master.verify_data(Side::Client, &transcript));
    let fits = protection::opens_to(suite, &client, sealed, &finished);
    transcript.extend(finished);
    let answer = messages::finished(master.verify_data(Side::Server, &transcript));
    if !holds_key {
        return Err(DskError::BadSignature);
    }
    if !fits {
        return Err(DskError::BadFinished);
    }
    let mut flight = records::write(CHANGE_CIPHER_SPEC, &[1]);
    flight.extend(records::write(HANDSHAKE, &protection::seal(suite, &server, &answer)));
    Ok(Reply::Done { flight, keys: master.signing_keys() })
}
