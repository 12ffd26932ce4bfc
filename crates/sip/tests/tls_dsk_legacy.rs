//! TLS-DSK with clients of TLS 1.0: what pidgin-sipe sends gets keys, and whatever is wrong with it gets none.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic as the test does")]

#[path = "support/old_client.rs"]
mod old_client;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use net::tls::{Credentials, TlsError};
use net::{Crypto, Random, Wall};
use old_client::{OldClient, SUITES, ServerFlight, Spoilt};
use pki::{Authority, CertificateRequest, Holder, Validity};
use proptest::prelude::*;
use rustls::server::WebPkiClientVerifier;
use sip::tls_dsk::{
    Acceptor, CONTEXT_OCTETS_MAX, DskError, Initiator, Reply, RsaIdentity, RsaKey, SaKeys, Setup,
    is_old_hello,
};

const TARGET: &str = "fe.contoso.example";

fn today() -> Wall {
    Wall::parse("2026-03-02T09:00:00Z").unwrap()
}

/// Making RSA keys is slow, so all tests share theirs.
static KEYS: LazyLock<(RsaKey, rsa::PrivateKey)> = LazyLock::new(|| {
    let mut random = Random::named(1, "rsa keys");
    (RsaKey::generate(&mut random), OldClient::new(&mut random).key)
});

/// A pool that serves old clients too, and such a client with a certificate of it.
struct Lab {
    pool: Authority,
    server: Credentials,
    setup: Setup,
    client: OldClient,
    random: Random,
}

impl Lab {
    fn new(seed: u64) -> Lab {
        let mut random = Random::named(seed, "lab");
        let life = Duration::from_secs(10 * 365 * 86_400);
        let mut pool =
            Authority::new(&format!("Pool Root {seed}"), Crypto::Seeded, &mut random, today(), life);
        let server = pool.issue_server(&[TARGET.to_owned()], Validity::days(today(), 365)).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(pool.trust().store(), Crypto::Seeded.provider())
                .build()
                .unwrap();
        let key = KEYS.0.clone();
        let names = [TARGET.to_owned()];
        let chain =
            pool.issue_server_for(&names, &key.public_key_info(), Validity::days(today(), 365)).unwrap();
        let setup = sip::tls_dsk::acceptor_setup(&server, verifier, Crypto::Seeded, &mut random)
            .unwrap()
            .with_rsa(Arc::new(RsaIdentity { chain, key }));
        let mut client = OldClient {
            key: KEYS.1.clone(),
            certificate: Vec::new(),
            suites: SUITES.to_vec(),
            version: [3, 1],
            extensions: Vec::new(),
        };
        let request = CertificateRequest::parse(&client.request("alice@contoso.example")).unwrap();
        let holder = Holder::new("alice@contoso.example");
        client.certificate =
            pool.issue_user(&request, &holder, Validity::days(today(), 180)).unwrap().to_vec();
        Lab { pool, server, setup, client, random }
    }

    fn acceptor(&mut self) -> Acceptor {
        Acceptor::new(&self.setup, &mut self.random).unwrap()
    }

    /// A whole handshake whose third flight is spoilt, or not.
    fn shake(&mut self, spoilt: Spoilt) -> Result<SaKeys, DskError> {
        self.shake_on(spoilt, today())
    }

    fn shake_on(&mut self, spoilt: Spoilt, date: Wall) -> Result<SaKeys, DskError> {
        let mut acceptor = self.acceptor();
        let (hello, handshake) = self.client.hello(&mut self.random);
        let answer = more(acceptor.step(&hello, date, &mut self.random)?);
        let (third, finishing) = self.client.answer(handshake, &answer, spoilt, &mut self.random);
        let reply = acceptor.step(&third, date, &mut self.random);
        if reply.is_err() {
            // Whatever it was, the client is told the same.
            assert_eq!(acceptor.alert(), [21, 3, 1, 0, 2, 2, 40]);
            assert_eq!(acceptor.step(&third, date, &mut self.random), Err(DskError::Over));
        }
        let Reply::Done { flight, keys } = reply? else { panic!("it wants more") };
        assert_eq!(finishing.keys(&flight), (keys.client, keys.server), "both sides hold the same keys");
        assert_eq!(acceptor.peer_certificate().unwrap().to_vec(), self.client.certificate);
        Ok(keys)
    }

    /// The answer to a hello.
    fn first_answer(&mut self) -> Result<Vec<u8>, DskError> {
        let mut acceptor = self.acceptor();
        let (hello, _) = self.client.hello(&mut self.random);
        acceptor.step(&hello, today(), &mut self.random).map(more)
    }
}

fn more(reply: Reply) -> Vec<u8> {
    let Reply::More(flight) = reply else { panic!("it is done already") };
    flight
}

#[test]
fn four_flights_give_an_old_client_and_the_pool_the_same_keys() {
    let mut lab = Lab::new(1);
    let keys = lab.shake(Spoilt::Nothing).unwrap();
    assert_ne!(keys.client, keys.server);
    assert_ne!(keys, lab.shake(Spoilt::Nothing).unwrap(), "each handshake has its own");
}

#[test]
fn the_hello_is_the_one_that_was_seen_and_the_best_suite_is_taken() {
    let mut lab = Lab::new(1);
    let (hello, _) = lab.client.hello(&mut lab.random);
    assert_eq!(hello.len(), 58);
    assert!(is_old_hello(&hello, Crypto::Seeded));
    let answer = ServerFlight::read(&lab.first_answer().unwrap());
    assert_eq!(answer.suite, 0x0035);
    let shown = pki::Certificate::read(&answer.chain[0].clone().into()).unwrap();
    assert_eq!(shown.public_key_info, KEYS.0.public_key_info());
    assert!(answer.extensions.is_empty());
    lab.client.suites = vec![0x002F, 0x0004];
    assert_eq!(ServerFlight::read(&lab.first_answer().unwrap()).suite, 0x002F);
    lab.shake(Spoilt::Nothing).unwrap();
    lab.client.suites = vec![0x0004, 0x0005, 0x0003];
    assert_eq!(lab.first_answer(), Err(DskError::NoCommonSuite));
}

#[test]
fn whatever_is_wrong_with_the_last_flight_no_keys_come_of_it() {
    let mut lab = Lab::new(1);
    let not_due = |result: &Result<SaKeys, DskError>| matches!(result, Err(DskError::NotMessages(_)));
    for (spoilt, wanted) in [
        (Spoilt::Signature, DskError::BadSignature),
        (Spoilt::Finished, DskError::BadFinished),
        (Spoilt::Mac, DskError::BadFinished),
        (Spoilt::SecretVersion, DskError::BadFinished),
        (Spoilt::SecretPadding, DskError::BadFinished),
        (Spoilt::SecretLength, DskError::BadFinished),
        (Spoilt::Trailing, DskError::Trailing),
        (Spoilt::NoCertificate, DskError::NoCertificate),
    ] {
        assert_eq!(lab.shake(spoilt), Err(wanted), "{spoilt:?}");
    }
    for spoilt in [Spoilt::NoSignature, Spoilt::OneMore] {
        let result = lab.shake(spoilt);
        assert!(not_due(&result), "{spoilt:?}: {result:?}");
    }
}

#[test]
fn the_same_verifier_judges_the_certificates_of_old_clients() {
    let mut lab = Lab::new(1);
    let late = today().plus(Duration::from_secs(181 * 86_400));
    let result = lab.shake_on(Spoilt::Nothing, late);
    assert!(matches!(result, Err(DskError::Refused(TlsError::Expired { .. }))), "{result:?}");
    lab.client.certificate = Lab::new(2).client.certificate;
    assert_eq!(lab.shake(Spoilt::Nothing), Err(DskError::Refused(TlsError::UnknownIssuer)));
    // A good certificate, but for a key of another kind.
    let key = Crypto::Seeded.p256_key(&mut lab.random);
    let request = pki::make_request(&key, "alice@contoso.example").unwrap();
    let request = CertificateRequest::parse(&request).unwrap();
    let holder = Holder::new("alice@contoso.example");
    let leaf = lab.pool.issue_user(&request, &holder, Validity::days(today(), 180)).unwrap();
    lab.client.certificate = leaf.to_vec();
    let result = lab.shake(Spoilt::Nothing);
    assert!(matches!(result, Err(DskError::Refused(TlsError::BadCertificate(_)))), "{result:?}");
}

#[test]
fn a_certificate_without_its_key_is_worth_nothing() {
    let mut lab = Lab::new(1);
    lab.client.key = OldClient::new(&mut lab.random).key;
    assert_eq!(lab.shake(Spoilt::Nothing), Err(DskError::BadSignature));
}

#[test]
fn a_handshake_that_was_recorded_is_worth_nothing_later() {
    let mut lab = Lab::new(1);
    let mut first = lab.acceptor();
    let (hello, handshake) = lab.client.hello(&mut lab.random);
    let answer = more(first.step(&hello, today(), &mut lab.random).unwrap());
    let (third, _) = lab.client.answer(handshake, &answer, Spoilt::Nothing, &mut lab.random);
    assert!(matches!(first.step(&third, today(), &mut lab.random), Ok(Reply::Done { .. })));
    let mut second = lab.acceptor();
    more(second.step(&hello, today(), &mut lab.random).unwrap());
    assert_eq!(second.step(&third, today(), &mut lab.random), Err(DskError::BadSignature));
}

#[test]
fn a_flight_that_was_changed_anywhere_is_refused() {
    let mut lab = Lab::new(1);
    let (hello, _) = lab.client.hello(&mut lab.random);
    let len = {
        let mut acceptor = lab.acceptor();
        let (hello, handshake) = lab.client.hello(&mut lab.random);
        let answer = more(acceptor.step(&hello, today(), &mut lab.random).unwrap());
        lab.client.answer(handshake, &answer, Spoilt::Nothing, &mut lab.random).0.len()
    };
    for at in (0..len).step_by(29).chain(len - 60..len) {
        let mut acceptor = lab.acceptor();
        let (hello, handshake) = lab.client.hello(&mut lab.random);
        let answer = more(acceptor.step(&hello, today(), &mut lab.random).unwrap());
        let (mut third, _) = lab.client.answer(handshake, &answer, Spoilt::Nothing, &mut lab.random);
        third[at] ^= 0x40;
        let result = acceptor.step(&third, today(), &mut lab.random);
        assert!(result.is_err(), "octet {at}: {result:?}");
    }
    // A hello that lost its end, and one that got more of it.
    for hello in [&hello[..57], &[&hello[..], &[22, 3, 1, 0, 1, 0]].concat()] {
        let mut acceptor = lab.acceptor();
        assert!(acceptor.step(hello, today(), &mut lab.random).is_err());
    }
}

#[test]
fn messages_may_span_records() {
    let mut lab = Lab::new(1);
    let mut acceptor = lab.acceptor();
    let (hello, handshake) = lab.client.hello(&mut lab.random);
    let pieces: Vec<u8> =
        hello[5..].chunks(7).flat_map(|piece| [&[22, 3, 1, 0, piece.len() as u8], piece].concat()).collect();
    let answer = more(acceptor.step(&pieces, today(), &mut lab.random).unwrap());
    let (third, finishing) = lab.client.answer(handshake, &answer, Spoilt::Nothing, &mut lab.random);
    let len = usize::from(u16::from_be_bytes([third[3], third[4]]));
    let mut pieces: Vec<u8> = third[5..5 + len]
        .chunks(100)
        .flat_map(|piece| [&[22, 3, 1, 0, piece.len() as u8], piece].concat())
        .collect();
    pieces.extend(&third[5 + len..]);
    let Ok(Reply::Done { flight, keys }) = acceptor.step(&pieces, today(), &mut lab.random) else {
        panic!("messages in many records are refused");
    };
    assert_eq!(finishing.keys(&flight), (keys.client, keys.server));
}

#[test]
fn a_newer_client_that_knows_no_newer_suite_is_served_in_the_old_way() {
    let mut lab = Lab::new(1);
    for version in [[3, 2], [3, 3]] {
        lab.client.version = version;
        let answer = ServerFlight::read(&lab.first_answer().unwrap());
        // Only a client that says it knows no better learns that the server does (RFC 8446 §4.1.3).
        assert_eq!(&answer.random[24..] == b"DOWNGRD\0", version < [3, 3]);
        lab.shake(Spoilt::Nothing).unwrap();
    }
    // With one suite of today's it is no old client any more.
    lab.client.suites.push(0xC02B);
    let (hello, _) = lab.client.hello(&mut lab.random);
    assert!(!is_old_hello(&hello, Crypto::Seeded));
}

#[test]
fn a_client_that_was_made_to_fall_back_is_refused() {
    let mut lab = Lab::new(1);
    lab.client.suites.push(0x5600);
    assert_eq!(lab.first_answer(), Err(DskError::FallenBack));
    lab.client.version = [3, 3];
    lab.shake(Spoilt::Nothing).unwrap();
    lab.client.version = [3, 0];
    assert_eq!(lab.first_answer(), Err(DskError::Version));
}

#[test]
fn who_asks_for_secure_renegotiation_hears_of_it() {
    let mut lab = Lab::new(1);
    let empty = vec![0, 5, 0xFF, 1, 0, 1, 0];
    lab.client.suites.push(0x00FF);
    assert_eq!(ServerFlight::read(&lab.first_answer().unwrap()).extensions, empty);
    lab.client.suites.pop();
    lab.client.extensions = [&[0, 9, 0, 35, 0, 0][..], &empty[2..]].concat();
    assert_eq!(ServerFlight::read(&lab.first_answer().unwrap()).extensions, empty);
    lab.shake(Spoilt::Nothing).unwrap();
    // An extension that ends too early.
    lab.client.extensions = vec![0, 4, 0xFF, 1, 0, 1];
    assert!(lab.first_answer().is_err());
}

#[test]
fn phones_of_today_meet_the_engine_of_today_beside_it() {
    let mut lab = Lab::new(1);
    let key = Crypto::Seeded.p256_key(&mut lab.random);
    let request =
        CertificateRequest::parse(&pki::make_request(&key, "alice@contoso.example").unwrap()).unwrap();
    let holder = Holder::new("alice@contoso.example");
    let leaf = lab.pool.issue_user(&request, &holder, Validity::days(today(), 180)).unwrap();
    let credentials = Credentials { chain: vec![leaf], key };
    let trust = lab.pool.trust();
    let mut phone = Initiator::new(&credentials, &trust, TARGET, Crypto::Seeded, &mut lab.random).unwrap();
    let mut pool = lab.acceptor();
    let hello = more(phone.step(&[], today(), &mut lab.random).unwrap());
    assert!(!is_old_hello(&hello, Crypto::Seeded));
    let answer = more(pool.step(&hello, today(), &mut lab.random).unwrap());
    let third = more(phone.step(&answer, today(), &mut lab.random).unwrap());
    assert!(matches!(pool.step(&third, today(), &mut lab.random), Ok(Reply::Done { .. })));
    assert_eq!(phone.peer_certificate(), lab.server.chain.first());
}

#[test]
fn equal_seeds_give_equal_octets() {
    let answer = |seed| Lab::new(seed).first_answer().unwrap();
    assert_eq!(answer(3), answer(3));
    assert_ne!(answer(3), answer(4));
}

#[test]
fn flights_have_limits_and_nothing_is_read_beyond_them() {
    let mut lab = Lab::new(1);
    assert!(!is_old_hello(&vec![22; CONTEXT_OCTETS_MAX], Crypto::Seeded));
    let mut acceptor = lab.acceptor();
    let (hello, _) = lab.client.hello(&mut lab.random);
    more(acceptor.step(&hello, today(), &mut lab.random).unwrap());
    // A certificate message that says it is longer than any flight.
    let mut third = vec![22, 3, 1, 0, 10, 11, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0];
    third.extend([20, 3, 1, 0, 1, 1, 22, 3, 1, 0, 1, 0]);
    let result = acceptor.step(&third, today(), &mut lab.random);
    assert!(matches!(result, Err(DskError::NotMessages(_))), "{result:?}");
}

thread_local! {
    static BENCH: std::cell::RefCell<Lab> = std::cell::RefCell::new(Lab::new(9));
}

/// Handshake messages that are cut, doubled or made up, behind a good hello.
fn flight() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop::collection::vec(any::<u8>(), 1..80);
    let message =
        (prop::sample::select(vec![11_u8, 15, 16, 20, 1, 0]), prop::collection::vec(any::<u8>(), 0..60))
            .prop_map(|(kind, body)| [&[kind, 0, 0, body.len() as u8], &body[..]].concat());
    let content = prop_oneof![fragment, message, Just(vec![1])];
    let record = (prop::sample::select(vec![22_u8, 22, 22, 20, 21, 23]), content)
        .prop_map(|(kind, content)| [&[kind, 3, 1, 0, content.len() as u8], &content[..]].concat());
    prop::collection::vec(record, 0..6).prop_map(|records| records.concat())
}

proptest! {
    #[test]
    fn no_first_flight_panics(octets in prop::collection::vec(any::<u8>(), 0..200), made in flight()) {
        BENCH.with_borrow_mut(|lab| {
            for flight in [octets, made] {
                is_old_hello(&flight, Crypto::Seeded);
                let mut acceptor = lab.acceptor();
                prop_assert!(acceptor.step(&flight, today(), &mut lab.random).is_err());
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_hello_panics(octets in prop::collection::vec(any::<u8>(), 0..120), at in 9_usize..58) {
        BENCH.with_borrow_mut(|lab| {
            let (mut hello, _) = lab.client.hello(&mut lab.random);
            hello.truncate(at);
            hello.extend(&octets);
            let len = (hello.len() - 5) as u16;
            hello[3..5].copy_from_slice(&len.to_be_bytes());
            hello[7..9].copy_from_slice(&(len - 4).to_be_bytes());
            let mut acceptor = lab.acceptor();
            let _ = acceptor.step(&hello, today(), &mut lab.random);
        });
    }

    #[test]
    fn no_last_flight_panics_and_none_that_was_made_up_counts(made in flight()) {
        BENCH.with_borrow_mut(|lab| {
            let mut acceptor = lab.acceptor();
            let (hello, _) = lab.client.hello(&mut lab.random);
            more(acceptor.step(&hello, today(), &mut lab.random).unwrap());
            prop_assert!(acceptor.step(&made, today(), &mut lab.random).is_err());
            Ok(())
        })?;
    }
}
