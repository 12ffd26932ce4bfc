//! The client's half of a TLS-DSK handshake as pidgin-sipe 1.25.0 plays it: TLS 1.0, RSA, five suites, no extensions.
//!
//! It shares no line with the server's half, so that a mistake in one of them shows. Unlike its model it checks what
//! the server sends: the choice of suite, the shape of every message, and the server's Finished.

use aes::{Aes128, Aes256};
use cbc::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, consts::U16};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use net::Random;
use rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
use rsa::{Pkcs1v15Encrypt, Pkcs1v15Sign, PrivateKey, PublicKey};
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use sha1::{Digest, Sha1};

/// What the client offers, in its order.
pub const SUITES: [u16; 5] = [0x0004, 0x0005, 0x002F, 0x0035, 0x0003];

/// A client with an RSA key, and with its certificate once it has one.
pub struct OldClient {
    pub key: PrivateKey,
    pub certificate: Vec<u8>,
    /// What it offers.
    pub suites: Vec<u16>,
    /// The version in its hello and in its pre-master secret.
    pub version: [u8; 2],
    /// What stands behind its hello: a vector of extensions, or nothing.
    pub extensions: Vec<u8>,
}

/// What is wrong with the last flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoilt {
    Nothing,
    /// The signature is over other messages.
    Signature,
    /// The Finished message speaks of other messages; its record is right.
    Finished,
    /// The record's MAC is wrong.
    Mac,
    /// The pre-master secret has another version in front.
    SecretVersion,
    /// The pre-master secret is not padded as it should be.
    SecretPadding,
    /// The pre-master secret is shorter than the key.
    SecretLength,
    /// A record follows the Finished message.
    Trailing,
    /// No certificate in the Certificate message.
    NoCertificate,
    /// No CertificateVerify.
    NoSignature,
    /// One more handshake message before the change of the cipher.
    OneMore,
}

/// A handshake under way.
pub struct Handshake {
    client_random: [u8; 32],
    transcript: Vec<u8>,
}

/// A handshake that awaits the server's last flight.
pub struct Finishing {
    master: Vec<u8>,
    randoms: [Vec<u8>; 2],
    suite: u16,
    transcript: Vec<u8>,
}

impl OldClient {
    pub fn new(random: &mut Random) -> OldClient {
        OldClient {
            key: PrivateKey::new(random, 2048).unwrap(),
            certificate: Vec::new(),
            suites: SUITES.to_vec(),
            version: [3, 1],
            extensions: Vec::new(),
        }
    }

    /// A PKCS #10 request as NSS writes it: CN in UTF-8, no attributes, SHA-256.
    pub fn request(&self, common_name: &str) -> Vec<u8> {
        let sequence = |parts: &[Vec<u8>]| der(0x30, &parts.concat());
        let cn = sequence(&[vec![0x06, 3, 0x55, 4, 3], der(0x0C, common_name.as_bytes())]);
        let subject = sequence(&[der(0x31, &cn)]);
        let public = self.key.to_public_key().to_public_key_der().unwrap().into_vec();
        let info = sequence(&[vec![2, 1, 0], subject, public, vec![0xA0, 0]]);
        let signature =
            self.key.sign(Pkcs1v15Sign::new::<sha2::Sha256>(), &sha2::Sha256::digest(&info)).unwrap();
        let oid = vec![0x06, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 11];
        sequence(&[info, sequence(&[oid, vec![5, 0]]), der(3, &[&[0], &signature[..]].concat())])
    }

    /// The first flight.
    pub fn hello(&self, random: &mut Random) -> (Vec<u8>, Handshake) {
        let client_random = random.bytes::<32>();
        let suites: Vec<u8> = self.suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
        let mut body = self.version.to_vec();
        body.extend(client_random);
        body.push(0);
        body.extend(vector16(&suites));
        body.extend([1, 0]);
        body.extend(&self.extensions);
        let transcript = message(1, &body);
        (record(22, &transcript), Handshake { client_random, transcript })
    }

    /// The third flight: the answer to the server's hello.
    pub fn answer(
        &self,
        Handshake { client_random, mut transcript }: Handshake,
        flight: &[u8],
        spoilt: Spoilt,
        random: &mut Random,
    ) -> (Vec<u8>, Finishing) {
        let server = ServerFlight::read(flight);
        assert!(self.suites.contains(&server.suite));
        transcript.extend(&server.messages);

        let mut secret = random.bytes::<48>();
        secret[..2].copy_from_slice(&self.version);
        if spoilt == Spoilt::SecretVersion {
            secret[1] ^= 2;
        }
        let mut encrypted = server.key.encrypt(random, Pkcs1v15Encrypt, &secret).unwrap();
        match spoilt {
            // An encrypted block is off in every octet when one is.
            Spoilt::SecretPadding => encrypted[20] ^= 1,
            Spoilt::SecretLength => drop(encrypted.pop()),
            _ => {}
        }
        let chain = match spoilt {
            Spoilt::NoCertificate => Vec::new(),
            _ => vector24(&self.certificate),
        };
        let mut mine = message(11, &vector24(&chain));
        mine.extend(message(16, &vector16(&encrypted)));
        let mut signed = [&transcript[..], &mine].concat();
        if spoilt == Spoilt::Signature {
            signed.push(0);
        }
        let signature = self.key.sign(Pkcs1v15Sign::new_unprefixed(), &digests(&signed)).unwrap();
        if spoilt != Spoilt::NoSignature {
            mine.extend(message(15, &vector16(&signature)));
        }
        if spoilt == Spoilt::OneMore {
            mine.extend(message(0, &[]));
        }
        transcript.extend(&mine);

        let randoms = [client_random.to_vec(), server.random];
        let master = prf(&secret, "master secret", &randoms.concat(), 48);
        let mut finishing = Finishing { master, randoms, suite: server.suite, transcript };
        let mut digested = digests(&finishing.transcript);
        if spoilt == Spoilt::Finished {
            digested[0] ^= 1;
        }
        let finished = message(20, &prf(&finishing.master, "client finished", &digested, 12));
        let sealed = finishing.seal(&finished, spoilt);
        finishing.transcript.extend(&finished);
        let mut flight = [record(22, &mine), record(20, &[1]), record(22, &sealed)].concat();
        if spoilt == Spoilt::Trailing {
            flight.extend(record(22, &[0, 0, 0, 0]));
        }
        (flight, finishing)
    }
}

impl Finishing {
    /// Takes the last flight. Returns the keys that client and server sign with.
    pub fn keys(&self, flight: &[u8]) -> ([u8; 32], [u8; 32]) {
        let records = split(flight);
        assert_eq!(records.len(), 2);
        assert_eq!(records[0], (20, vec![1]));
        let finished = self.open(records[1].clone());
        let wanted = prf(&self.master, "server finished", &digests(&self.transcript), 12);
        assert_eq!(finished, message(20, &wanted), "the server's Finished");
        let exported = prf(&self.master, "client EAP encryption", &self.randoms.concat(), 128);
        (exported[64..96].try_into().unwrap(), exported[96..].try_into().unwrap())
    }

    /// MAC key, key and IV of the client (0) or the server (1).
    fn direction(&self, side: usize) -> [Vec<u8>; 3] {
        let key = if self.suite == 0x0035 { 32 } else { 16 };
        let seed = [&self.randoms[1][..], &self.randoms[0]].concat();
        let block = prf(&self.master, "key expansion", &seed, 2 * (20 + key + 16));
        let cut = |from: usize, len: usize| block[from + side * len..][..len].to_vec();
        [cut(0, 20), cut(40, key), cut(40 + 2 * key, 16)]
    }

    fn mac(mac_key: &[u8], message: &[u8]) -> Vec<u8> {
        let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(mac_key).unwrap();
        mac.update(&[0, 0, 0, 0, 0, 0, 0, 0, 22, 3, 1, 0, message.len() as u8]);
        mac.update(message);
        mac.finalize().into_bytes().to_vec()
    }

    fn seal(&self, message: &[u8], spoilt: Spoilt) -> Vec<u8> {
        let [mac_key, key, iv] = self.direction(0);
        let mut plain = [message, &Finishing::mac(&mac_key, message)].concat();
        if spoilt == Spoilt::Mac {
            plain[20] ^= 1;
        }
        let padding = 16 - plain.len() % 16;
        plain.resize(plain.len() + padding, padding as u8 - 1);
        match key.len() {
            32 => encrypt(cbc::Encryptor::<Aes256>::new_from_slices(&key, &iv).unwrap(), &mut plain),
            _ => encrypt(cbc::Encryptor::<Aes128>::new_from_slices(&key, &iv).unwrap(), &mut plain),
        }
        plain
    }

    fn open(&self, (kind, mut sealed): (u8, Vec<u8>)) -> Vec<u8> {
        assert_eq!(kind, 22);
        let [mac_key, key, iv] = self.direction(1);
        match key.len() {
            32 => decrypt(cbc::Decryptor::<Aes256>::new_from_slices(&key, &iv).unwrap(), &mut sealed),
            _ => decrypt(cbc::Decryptor::<Aes128>::new_from_slices(&key, &iv).unwrap(), &mut sealed),
        }
        let padding = usize::from(*sealed.last().unwrap()) + 1;
        let (plain, padding) = sealed.split_at(sealed.len() - padding);
        assert!(padding.iter().all(|octet| usize::from(*octet) + 1 == padding.len()));
        let (message, mac) = plain.split_at(plain.len() - 20);
        assert_eq!(mac, Finishing::mac(&mac_key, message));
        message.to_vec()
    }
}

/// What a server's first flight says.
pub struct ServerFlight {
    pub random: Vec<u8>,
    pub suite: u16,
    /// What follows the compression method in the hello.
    pub extensions: Vec<u8>,
    pub chain: Vec<Vec<u8>>,
    key: PublicKey,
    messages: Vec<u8>,
}

impl ServerFlight {
    pub fn read(flight: &[u8]) -> ServerFlight {
        // It reads no message over two records, and no ServerHelloDone that begins one.
        let records = split(flight);
        assert!(records.len() == 1 && records[0].0 == 22);
        let messages: Vec<u8> = records.into_iter().flat_map(|(_, fragment)| fragment).collect();
        let mut rest = &messages[..];
        let mut next = |kind: u8| {
            assert_eq!(rest[0], kind);
            let (body, after) = rest[4..].split_at(number(&rest[1..4]));
            rest = after;
            body
        };
        let (hello, certificates, wanted, done) = (next(2), next(11), next(13), next(14));
        assert_eq!((&hello[..2], hello[34]), (&[3, 1][..], 0), "TLS 1.0 and no session");
        assert_eq!(&wanted[..2], [1, 1], "RSA certificates are asked for");
        assert_eq!(number(&wanted[2..4]), wanted.len() - 4);
        assert!(done.is_empty() && rest.is_empty());
        let mut list = &certificates[3..];
        assert_eq!(number(&certificates[..3]), list.len());
        let mut chain = Vec::new();
        while !list.is_empty() {
            let (certificate, after) = list[3..].split_at(number(&list[..3]));
            chain.push(certificate.to_vec());
            list = after;
        }
        let leaf = CertificateDer::from(&chain[0][..]);
        let parsed = ParsedCertificate::try_from(&leaf).unwrap();
        let key = PublicKey::from_public_key_der(&parsed.subject_public_key_info()).unwrap();
        ServerFlight {
            random: hello[2..34].to_vec(),
            suite: number(&hello[35..37]) as u16,
            extensions: hello[38..].to_vec(),
            chain,
            key,
            messages,
        }
    }
}

fn number(octets: &[u8]) -> usize {
    octets.iter().fold(0, |number, octet| number << 8 | usize::from(*octet))
}

fn vector16(contents: &[u8]) -> Vec<u8> {
    [&(contents.len() as u16).to_be_bytes(), contents].concat()
}

fn vector24(contents: &[u8]) -> Vec<u8> {
    [&(contents.len() as u32).to_be_bytes()[1..], contents].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &vector24(body)[..]].concat()
}

fn record(kind: u8, fragment: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1], &vector16(fragment)[..]].concat()
}

fn split(mut flight: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut records = Vec::new();
    while !flight.is_empty() {
        assert_eq!(&flight[1..3], [3, 1], "a record of TLS 1.0");
        let (fragment, after) = flight[5..].split_at(number(&flight[3..5]));
        records.push((flight[0], fragment.to_vec()));
        flight = after;
    }
    records
}

/// One DER element.
fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = match contents.len() {
        len @ 0..128 => vec![len as u8],
        len @ 128..256 => vec![0x81, len as u8],
        len => vec![0x82, (len >> 8) as u8, len as u8],
    };
    [&[tag], &length[..], contents].concat()
}

fn digests(messages: &[u8]) -> Vec<u8> {
    [&Md5::digest(messages)[..], &Sha1::digest(messages)].concat()
}

fn prf(secret: &[u8], label: &str, seed: &[u8], len: usize) -> Vec<u8> {
    let seed = [label.as_bytes(), seed].concat();
    let half = secret.len().div_ceil(2);
    let md5 = stream::<Hmac<Md5>>(&secret[..half], &seed, len);
    let sha1 = stream::<Hmac<Sha1>>(&secret[secret.len() - half..], &seed, len);
    md5.iter().zip(sha1).map(|(a, b)| a ^ b).collect()
}

fn stream<M: Mac + KeyInit>(secret: &[u8], seed: &[u8], len: usize) -> Vec<u8> {
    let hmac = |text: &[u8]| {
        let mut mac = <M as KeyInit>::new_from_slice(secret).unwrap();
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    };
    let (mut stream, mut a) = (Vec::new(), hmac(seed));
    while stream.len() < len {
        stream.extend(hmac(&[&a[..], seed].concat()));
        a = hmac(&a);
    }
    stream.truncate(len);
    stream
}

fn blocks(text: &mut [u8]) -> &mut [Array<u8, U16>] {
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    assert!(rest.is_empty());
    blocks
}

fn encrypt(mut cipher: impl BlockModeEncrypt<BlockSize = U16>, text: &mut [u8]) {
    cipher.encrypt_blocks(blocks(text));
}

fn decrypt(mut cipher: impl BlockModeDecrypt<BlockSize = U16>, text: &mut [u8]) {
    cipher.decrypt_blocks(blocks(text));
}
