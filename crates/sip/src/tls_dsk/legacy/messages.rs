//! The handshake messages of TLS 1.0 (RFC 2246 §7.4): those the server writes, and those it reads.

use rustls::DistinguishedName;
use rustls::pki_types::CertificateDer;

use super::arithmetic::Suite;
use super::protection::FINISHED_OCTETS;
use crate::tls_dsk::DskError;
use crate::tls_dsk::hello::RENEGOTIATION_INFO;
use crate::tls_dsk::reader::Reader;
use crate::tls_dsk::records::TLS_1_0;

const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_REQUEST: u8 = 13;
const SERVER_HELLO_DONE: u8 = 14;
const CERTIFICATE_VERIFY: u8 = 15;
const CLIENT_KEY_EXCHANGE: u8 = 16;
const FINISHED: u8 = 20;
/// A client certificate with an RSA key (RFC 2246 §7.4.4).
const RSA_SIGN: u8 = 1;
/// The most certificates that a client may send, its own included.
const CHAIN_MAX: usize = 8;

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).expect("bodies are far shorter than 2^24 octets").to_be_bytes();
    [&[kind, len[1], len[2], len[3]], body].concat()
}

fn vector16(contents: &[u8]) -> Vec<u8> {
    let len = u16::try_from(contents.len()).expect("contents are far shorter than 2^16 octets");
    [&len.to_be_bytes(), contents].concat()
}

fn vector24(contents: &[u8]) -> Vec<u8> {
    let len = u32::try_from(contents.len()).expect("contents are far shorter than 2^24 octets").to_be_bytes();
    [&len[1..], contents].concat()
}

/// The server's hello: TLS 1.0, no session to resume, no compression.
pub(super) fn server_hello(random: &[u8; 32], suite: Suite, knows_renegotiation: bool) -> Vec<u8> {
    let mut body = TLS_1_0.to_vec();
    body.extend(random);
    body.push(0);
    body.extend(suite.number().to_be_bytes());
    body.push(0);
    if knows_renegotiation {
        // An empty renegotiation_info (RFC 5746 §3.6): this is no renegotiation.
        let extension = [&RENEGOTIATION_INFO.to_be_bytes()[..], &vector16(&[0])].concat();
        body.extend(vector16(&extension));
    }
    message(SERVER_HELLO, &body)
}

/// The server's certificates, leaf first.
pub(super) fn certificate(chain: &[CertificateDer<'_>]) -> Vec<u8> {
    let list: Vec<u8> = chain.iter().flat_map(|certificate| vector24(certificate)).collect();
    message(CERTIFICATE, &vector24(&list))
}

/// The server wants a certificate with an RSA key, of one of these authorities if any are named.
pub(super) fn certificate_request(authorities: &[DistinguishedName]) -> Vec<u8> {
    let names: Vec<u8> = authorities.iter().flat_map(|name| vector16(name.as_ref())).collect();
    message(CERTIFICATE_REQUEST, &[&[1, RSA_SIGN][..], &vector16(&names)].concat())
}

/// The server has said all it has to say.
pub(super) fn server_hello_done() -> Vec<u8> {
    message(SERVER_HELLO_DONE, &[])
}

/// A Finished message.
pub(super) fn finished(verify_data: [u8; 12]) -> [u8; FINISHED_OCTETS] {
    let mut whole = [0; FINISHED_OCTETS];
    whole[..4].copy_from_slice(&[FINISHED, 0, 0, 12]);
    whole[4..].copy_from_slice(&verify_data);
    whole
}

/// What a client says between the server's hello and its own Finished.
#[derive(Debug)]
pub(super) struct ClientFlight<'a> {
    /// Its certificates, its own first; may be empty.
    pub chain: Vec<CertificateDer<'a>>,
    /// The encrypted pre-master secret.
    pub pre_master: &'a [u8],
    /// Its signature over the messages before.
    pub signature: &'a [u8],
    /// How many octets of the flight are signed: Certificate and ClientKeyExchange.
    pub signed_octets: usize,
}

impl<'a> ClientFlight<'a> {
    /// Reads Certificate, ClientKeyExchange and CertificateVerify, in this order and nothing else.
    pub(super) fn read(payload: &'a [u8]) -> Result<ClientFlight<'a>, DskError> {
        let bad = |what| DskError::NotMessages(what);
        let mut reader = Reader::new(payload);
        let certificate = body(&mut reader, CERTIFICATE).ok_or(bad("no certificate message"))?;
        let chain = chain(certificate).ok_or(bad("a certificate message that cannot be read"))?;
        if chain.is_empty() {
            return Err(DskError::NoCertificate);
        }
        let exchange = body(&mut reader, CLIENT_KEY_EXCHANGE).ok_or(bad("no key exchange"))?;
        let pre_master = whole16(exchange).ok_or(bad("a key exchange that cannot be read"))?;
        let signed_octets = payload.len() - reader.left();
        let verify = body(&mut reader, CERTIFICATE_VERIFY).ok_or(bad("no certificate verify"))?;
        let signature = whole16(verify).ok_or(bad("a certificate verify that cannot be read"))?;
        reader.end().ok_or(bad("more messages than are due"))?;
        Ok(ClientFlight { chain, pre_master, signature, signed_octets })
    }
}

/// The body of the next message if it is of this kind.
fn body<'a>(reader: &mut Reader<'a>, kind: u8) -> Option<&'a [u8]> {
    (reader.u8()? == kind).then(|| reader.vector24())?
}

/// A body that is one vector.
fn whole16(body: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(body);
    let vector = reader.vector16()?;
    reader.end()?;
    Some(vector)
}

fn chain(body: &[u8]) -> Option<Vec<CertificateDer<'_>>> {
    let mut reader = Reader::new(body);
    let mut list = Reader::new(reader.vector24()?);
    reader.end()?;
    let mut chain = Vec::new();
    while !list.is_empty() && chain.len() < CHAIN_MAX {
        chain.push(CertificateDer::from(list.vector24()?));
    }
    list.end()?;
    Some(chain)
}
