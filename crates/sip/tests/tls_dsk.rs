//! TLS-DSK from end to end: both sides of a handshake, what each refuses, and that equal seeds give equal octets.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic as the test does")]

use std::sync::Arc;
use std::time::Duration;

use net::tls::{Credentials, TlsError, Trust};
use net::{Crypto, Random, Wall};
use pki::{Authority, CertificateRequest, Holder, Reason, Revocations, Validity, make_request};
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sip::tls_dsk::{
    Acceptor, DskError, FLIGHT_OCTETS_MAX, Initiator, PeerRefusal, Reply, SaKeys, Setup, decode_flight,
    encode_flight,
};

const TARGET: &str = "fe.contoso.example";

/// The day on which everything was issued.
fn today() -> Wall {
    Wall::parse("2026-03-02T09:00:00Z").unwrap()
}

fn days_later(days: u64) -> Wall {
    today().plus(Duration::from_secs(days * 86_400))
}

/// A pool with its own root, and a phone with a certificate of it.
struct Lab {
    crypto: Crypto,
    pool: Authority,
    server: Credentials,
    phone: Credentials,
    random: Random,
}

impl Lab {
    fn new(seed: u64) -> Lab {
        Lab::with(Crypto::Seeded, seed)
    }

    fn with(crypto: Crypto, seed: u64) -> Lab {
        let mut random = Random::named(seed, "lab");
        let life = Duration::from_secs(10 * 365 * 86_400);
        let mut pool = Authority::new(&format!("Pool Root {seed}"), crypto, &mut random, today(), life);
        let server = pool.issue_server(&[TARGET.to_owned()], Validity::days(today(), 365)).unwrap();
        let phone = user_certificate(&mut pool, crypto, &mut random, 180);
        Lab { crypto, pool, server, phone, random }
    }

    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        let roots = self.pool.trust().store();
        WebPkiClientVerifier::builder_with_provider(roots, self.crypto.provider()).build().unwrap()
    }

    fn setup(&mut self) -> Setup {
        let verifier = self.verifier();
        self.setup_with(verifier)
    }

    fn setup_with(&mut self, verifier: Arc<dyn ClientCertVerifier>) -> Setup {
        sip::tls_dsk::acceptor_setup(&self.server, verifier, self.crypto, &mut self.random).unwrap()
    }

    fn initiator(&mut self) -> Initiator {
        let trust = self.pool.trust();
        self.initiator_with(&trust, TARGET)
    }

    fn initiator_with(&mut self, trust: &Trust, target: &str) -> Initiator {
        Initiator::new(&self.phone, trust, target, self.crypto, &mut self.random).unwrap()
    }

    fn acceptor(&mut self) -> Acceptor {
        let setup = self.setup();
        Acceptor::new(&setup, &mut self.random).unwrap()
    }
}

fn user_certificate(pool: &mut Authority, crypto: Crypto, random: &mut Random, days: u64) -> Credentials {
    let key = crypto.p256_key(random);
    let request = CertificateRequest::parse(&make_request(&key, "alice@contoso.example").unwrap()).unwrap();
    let holder = Holder::new("alice@contoso.example");
    let leaf = pool.issue_user(&request, &holder, Validity::days(today(), days)).unwrap();
    Credentials { chain: vec![leaf], key }
}

/// What a whole handshake brought.
#[derive(Debug)]
struct Handshake {
    flights: Vec<Vec<u8>>,
    initiator: Result<SaKeys, DskError>,
    acceptor: Result<SaKeys, DskError>,
}

/// Carries flights both ways until both sides are done or one refuses; then carries the alert.
fn shake(phone: &mut Initiator, pool: &mut Acceptor, date: Wall, random: &mut Random) -> Handshake {
    shake_on(phone, pool, date, date, random)
}

fn shake_on(
    phone: &mut Initiator,
    pool: &mut Acceptor,
    phones_date: Wall,
    pools_date: Wall,
    random: &mut Random,
) -> Handshake {
    let mut flights = Vec::new();
    let mut flight = Vec::new();
    let mut acceptor = Err(DskError::Over);
    loop {
        match phone.step(&flight, phones_date, random) {
            Ok(Reply::More(next)) => flight = next,
            Ok(Reply::Done { flight: last, keys }) => {
                assert!(last.is_empty());
                return Handshake { flights, initiator: Ok(keys), acceptor };
            }
            Err(why) => {
                if acceptor.is_err() && !phone.alert().is_empty() {
                    acceptor = pool.step(phone.alert(), pools_date, random).map(|_| unreachable!());
                }
                return Handshake { flights, initiator: Err(why), acceptor };
            }
        }
        flights.push(flight.clone());
        match pool.step(&flight, pools_date, random) {
            Ok(Reply::More(next)) => flight = next,
            Ok(Reply::Done { flight: last, keys }) => {
                acceptor = Ok(keys);
                flight = last;
            }
            Err(why) => {
                let initiator = phone.step(pool.alert(), phones_date, random).map(|_| unreachable!());
                return Handshake { flights, initiator, acceptor: Err(why) };
            }
        }
        flights.push(flight.clone());
    }
}

#[test]
fn four_flights_give_both_sides_the_same_keys() {
    for crypto in [Crypto::Seeded, Crypto::System] {
        let mut lab = Lab::with(crypto, 1);
        let (mut phone, mut pool) = (lab.initiator(), lab.acceptor());
        let handshake = shake(&mut phone, &mut pool, today(), &mut lab.random);
        let keys = handshake.initiator.unwrap();
        assert_eq!(handshake.acceptor.unwrap(), keys);
        assert_ne!(keys.client, keys.server);
        assert_eq!(handshake.flights.len(), 4);
        // TLS 1.2 records throughout; the last flight is ChangeCipherSpec and Finished alone.
        assert_eq!(handshake.flights[3][0], 20);
        assert_eq!(handshake.flights[3].len(), 51);
        // The session id behind the server's random is empty: there is nothing to resume later without a look at
        // the certificate.
        assert_eq!((handshake.flights[1][5], handshake.flights[1][43]), (2, 0));
        assert_eq!(pool.peer_certificate(), lab.phone.chain.first());
        assert_eq!(phone.peer_certificate(), lab.server.chain.first());
    }
}

#[test]
fn equal_seeds_give_equal_octets() {
    let flights = |seed| {
        let mut lab = Lab::new(seed);
        let (mut phone, mut pool) = (lab.initiator(), lab.acceptor());
        let handshake = shake(&mut phone, &mut pool, today(), &mut lab.random);
        assert!(handshake.initiator.is_ok());
        handshake.flights
    };
    assert_eq!(flights(7), flights(7));
    assert_ne!(flights(7)[0], flights(8)[0]);
}

#[test]
fn one_setup_serves_many_handshakes_and_each_has_its_own_keys() {
    let mut lab = Lab::new(1);
    let setup = lab.setup();
    let mut keys = Vec::new();
    for _ in 0..3 {
        let mut phone = lab.initiator();
        let mut pool = Acceptor::new(&setup, &mut lab.random).unwrap();
        keys.push(shake(&mut phone, &mut pool, today(), &mut lab.random).initiator.unwrap());
    }
    assert!(keys[0] != keys[1] && keys[1] != keys[2]);
}

#[test]
fn a_side_that_is_done_takes_no_more() {
    let mut lab = Lab::new(1);
    let (mut phone, mut pool) = (lab.initiator(), lab.acceptor());
    let handshake = shake(&mut phone, &mut pool, today(), &mut lab.random);
    for flight in &handshake.flights {
        assert_eq!(phone.step(flight, today(), &mut lab.random), Err(DskError::Over));
        assert_eq!(pool.step(flight, today(), &mut lab.random), Err(DskError::Over));
    }
}

fn refused(handshake: &Handshake) -> &DskError {
    handshake.acceptor.as_ref().expect_err("the acceptor took it")
}

#[test]
fn the_pool_refuses_a_certificate_that_has_run_out() {
    let mut lab = Lab::new(1);
    let (mut phone, mut pool) = (lab.initiator(), lab.acceptor());
    let handshake = shake_on(&mut phone, &mut pool, today(), days_later(181), &mut lab.random);
    assert!(matches!(refused(&handshake), DskError::Refused(TlsError::Expired { .. })), "{handshake:?}");
    assert_eq!(handshake.initiator, Err(DskError::PeerRefused(PeerRefusal::Expired)));
}

#[test]
fn the_pool_refuses_a_certificate_of_tomorrow() {
    let mut lab = Lab::new(1);
    let (mut phone, mut pool) = (lab.initiator(), lab.acceptor());
    let yesterday = today().minus(Duration::from_secs(3 * 86_400));
    let handshake = shake_on(&mut phone, &mut pool, today(), yesterday, &mut lab.random);
    assert!(matches!(refused(&handshake), DskError::Refused(TlsError::NotYetValid { .. })), "{handshake:?}");
    assert_eq!(handshake.initiator, Err(DskError::PeerRefused(PeerRefusal::Expired)));
}

#[test]
fn the_pool_refuses_a_certificate_of_somebody_else() {
    let mut lab = Lab::new(1);
    let mut other = Lab::new(2);
    lab.phone = other.phone.clone();
    let (mut phone, mut pool) = (lab.initiator(), lab.acceptor());
    let handshake = shake(&mut phone, &mut pool, today(), &mut other.random);
    assert_eq!(refused(&handshake), &DskError::Refused(TlsError::UnknownIssuer));
    assert_eq!(handshake.initiator, Err(DskError::PeerRefused(PeerRefusal::UnknownAuthority)));
}

#[test]
fn the_pool_refuses_a_revoked_certificate() {
    let mut lab = Lab::new(1);
    let mut revocations = Revocations::new();
    let serial = pki::Certificate::read(&lab.phone.chain[0]).unwrap().serial;
    revocations.revoke(serial, today(), Reason::KeyCompromise);
    let list = lab.pool.revocation_list(&revocations, today(), Duration::from_secs(86_400));
    let verifier =
        WebPkiClientVerifier::builder_with_provider(lab.pool.trust().store(), lab.crypto.provider())
            .with_crls([CertificateRevocationListDer::from(list)])
            .build()
            .unwrap();
    let setup = lab.setup_with(verifier);
    let mut phone = lab.initiator();
    let mut pool = Acceptor::new(&setup, &mut lab.random).unwrap();
    let handshake = shake(&mut phone, &mut pool, today(), &mut lab.random);
    assert_eq!(refused(&handshake), &DskError::Refused(TlsError::Revoked));
    assert_eq!(handshake.initiator, Err(DskError::PeerRefused(PeerRefusal::Revoked)));
}

#[test]
fn the_pool_refuses_a_servers_certificate_from_a_phone() {
    let mut lab = Lab::new(1);
    lab.phone = lab.server.clone();
    let (mut phone, mut pool) = (lab.initiator(), lab.acceptor());
    let handshake = shake(&mut phone, &mut pool, today(), &mut lab.random);
    assert!(matches!(refused(&handshake), DskError::Refused(TlsError::BadCertificate(_))), "{handshake:?}");
}

#[test]
fn the_pool_refuses_a_phone_that_does_not_hold_its_certificates_key() {
    let mut lab = Lab::new(1);
    let mut thief = Lab::new(2);
    // The certificate is genuine, the key another: what rustls' own check of the pair finds first.
    lab.phone = Credentials { chain: lab.phone.chain, key: thief.phone.key.clone_key() };
    let trust = lab.pool.trust();
    let made = Initiator::new(&lab.phone, &trust, TARGET, lab.crypto, &mut thief.random);
    assert!(matches!(made, Err(DskError::Refused(_))));
}

#[test]
fn the_phone_refuses_a_pool_that_has_run_out_or_is_of_tomorrow() {
    let mut lab = Lab::new(1);
    let (mut phone, mut pool) = (lab.initiator(), lab.acceptor());
    let handshake = shake_on(&mut phone, &mut pool, days_later(366), today(), &mut lab.random);
    assert!(matches!(handshake.initiator, Err(DskError::Refused(TlsError::Expired { .. }))), "{handshake:?}");
    assert_eq!(handshake.acceptor, Err(DskError::PeerRefused(PeerRefusal::Expired)));

    let (mut phone, mut pool) = (lab.initiator(), lab.acceptor());
    let handshake = shake_on(&mut phone, &mut pool, Wall::UNIX_EPOCH, today(), &mut lab.random);
    assert!(matches!(handshake.initiator, Err(DskError::Refused(TlsError::NotYetValid { .. }))));
}

#[test]
fn the_phone_refuses_a_pool_it_does_not_know_or_that_is_called_otherwise() {
    let mut lab = Lab::new(1);
    let stranger = Lab::new(2).pool.trust();
    let (mut phone, mut pool) = (lab.initiator_with(&stranger, TARGET), lab.acceptor());
    let handshake = shake(&mut phone, &mut pool, today(), &mut lab.random);
    assert_eq!(handshake.initiator, Err(DskError::Refused(TlsError::UnknownIssuer)));
    assert_eq!(handshake.acceptor, Err(DskError::PeerRefused(PeerRefusal::UnknownAuthority)));

    let trust = lab.pool.trust();
    let (mut phone, mut pool) = (lab.initiator_with(&trust, "fe2.contoso.example"), lab.acceptor());
    let handshake = shake(&mut phone, &mut pool, today(), &mut lab.random);
    let wanted = "fe2.contoso.example".to_owned();
    assert_eq!(handshake.initiator, Err(DskError::Refused(TlsError::WrongName { wanted })));

    let nobody = Trust::new([]);
    let made = Initiator::new(&lab.phone, &nobody, TARGET, lab.crypto, &mut lab.random);
    assert_eq!(made.err(), Some(DskError::Refused(TlsError::UnknownIssuer)));
}

/// The first three flights of a good handshake, and the acceptor that awaits the third.
fn before_the_third_flight(lab: &mut Lab) -> (Acceptor, Vec<u8>) {
    let (mut phone, mut pool) = (lab.initiator(), lab.acceptor());
    let more = |reply| match reply {
        Ok(Reply::More(flight)) => flight,
        other => panic!("{other:?}"),
    };
    let hello = more(phone.step(&[], today(), &mut lab.random));
    let answer = more(pool.step(&hello, today(), &mut lab.random));
    let third = more(phone.step(&answer, today(), &mut lab.random));
    (pool, third)
}

#[test]
fn nothing_may_follow_the_finished_message() {
    let mut lab = Lab::new(1);
    for extra in [&[22u8, 3, 3, 0, 4, 0, 0, 0, 0][..], &[20, 3, 3, 0, 1, 1], &[21, 3, 3, 0, 2, 1, 0]] {
        let (mut pool, mut third) = before_the_third_flight(&mut lab);
        third.extend_from_slice(extra);
        assert_eq!(pool.step(&third, today(), &mut lab.random), Err(DskError::Trailing));
    }
    let (mut pool, mut third) = before_the_third_flight(&mut lab);
    third.push(22);
    assert!(matches!(pool.step(&third, today(), &mut lab.random), Err(DskError::NotRecords(_))));
}

#[test]
fn a_flight_that_is_not_whole_is_refused() {
    let mut lab = Lab::new(1);
    // Flights differ in length by an octet or two: signatures are DER.
    for cut in [1, 2, 45, 46, 300, 500] {
        let (mut pool, third) = before_the_third_flight(&mut lab);
        let result = pool.step(&third[..third.len() - cut], today(), &mut lab.random);
        assert!(matches!(result, Err(DskError::NotRecords(_))), "{cut}: {result:?}");
    }
    let (mut pool, _) = before_the_third_flight(&mut lab);
    assert!(matches!(pool.step(&[], today(), &mut lab.random), Err(DskError::NotRecords(_))));
}

#[test]
fn a_flight_that_was_changed_anywhere_is_refused() {
    let mut lab = Lab::new(1);
    for from_end in (1..12).chain((12..600).step_by(37)) {
        let (mut pool, mut third) = before_the_third_flight(&mut lab);
        let at = third.len() - from_end;
        third[at] ^= 0x40;
        let result = pool.step(&third, today(), &mut lab.random);
        assert!(result.is_err(), "octet {at}: {result:?}");
    }
}

#[test]
fn records_of_another_kind_are_refused() {
    let mut lab = Lab::new(1);
    for flight in
        [&[23u8, 3, 3, 0, 1, 0][..], &[22, 2, 3, 0, 1, 0], &[22, 3, 1, 0, 0], &[22, 3, 1, 0xff, 0xff]]
    {
        let mut pool = lab.acceptor();
        let result = pool.step(flight, today(), &mut lab.random);
        assert!(matches!(result, Err(DskError::NotRecords(_))), "{flight:?}: {result:?}");
        assert_eq!(pool.step(flight, today(), &mut lab.random), Err(DskError::Over));
    }
}

#[test]
fn flights_and_contexts_have_limits() {
    let mut lab = Lab::new(1);
    let mut pool = lab.acceptor();
    let long = vec![0; FLIGHT_OCTETS_MAX + 1];
    assert_eq!(pool.step(&long, today(), &mut lab.random), Err(DskError::FlightTooLong));
    let encoded = "A".repeat(FLIGHT_OCTETS_MAX.div_ceil(3) * 4 + 4);
    assert_eq!(decode_flight(&encoded), Err(DskError::FlightTooLong));
    assert_eq!(decode_flight("A*=="), Err(DskError::NotBase64));
    assert_eq!(decode_flight(&encode_flight(&[1, 2, 3, 4])), Ok(vec![1, 2, 3, 4]));
}

/// A hello of 2001: TLS 1.0, five suites, no extensions.
#[test]
fn a_client_without_tls_1_2_is_told_so() {
    let mut lab = Lab::new(1);
    let mut hello = vec![22, 3, 1, 0, 53, 1, 0, 0, 49, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 10, 0, 4, 0, 5, 0, 0x2f, 0, 0x35, 0, 3, 1, 0]);
    assert_eq!(hello.len(), 58);
    let mut pool = lab.acceptor();
    assert_eq!(pool.step(&hello, today(), &mut lab.random), Err(DskError::Version));
    assert_eq!(pool.alert().first(), Some(&21));
}

#[test]
fn garbage_never_panics() {
    let mut lab = Lab::new(1);
    let setup = lab.setup();
    let mut random = Random::named(1, "garbage");
    for _ in 0..2_000 {
        let mut flight = vec![0; random.below(200) as usize];
        random.fill(&mut flight);
        if let [kind, major, _, high, low, ..] = &mut flight[..] {
            (*kind, *major, *high) = (20 + (*kind % 4), 3, 0);
            *low %= 100;
        }
        let mut pool = Acceptor::new(&setup, &mut random).unwrap();
        assert!(pool.step(&flight, today(), &mut random).is_err());
    }
}

#[test]
fn keys_do_not_show_in_debug_output() {
    let mut lab = Lab::new(1);
    let (mut phone, mut pool) = (lab.initiator(), lab.acceptor());
    let handshake = shake(&mut phone, &mut pool, today(), &mut lab.random);
    assert_eq!(format!("{:?}", handshake.initiator.unwrap()), "SaKeys(•••)");
}

#[test]
fn the_headers_of_a_handshake_carry_its_flights() {
    use sip::association::{Parameters, REALM};
    use sip::tls_dsk::{acceptor_flight, challenge, challenge_in, initiator_flight};
    let request = "REGISTER sip:contoso.example SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.10;branch=z9hG4bK1\r\n\
                   From: <sip:alice@contoso.example>;tag=1\r\nTo: <sip:alice@contoso.example>\r\n\
                   Call-ID: a\r\nCSeq: 1 REGISTER\r\n\r\n";
    let request = sip::Message::parse(request.into()).unwrap();
    let sts = "https://fe.contoso.example:443/CertProv/CertProvisioningService.svc";
    let answer = request
        .reply(401, "Unauthorized")
        .with("WWW-Authenticate", "NTLM realm=\"SIP Communications Service\", version=4")
        .with("WWW-Authenticate", challenge(REALM, TARGET, 4, sts).to_string())
        .message()
        .unwrap();
    let asked = challenge_in(&answer).unwrap();
    assert_eq!(asked.get("sts-uri").as_deref(), Some(sts));
    assert_eq!(asked.get("gssapi-data"), None);
    assert!(challenge_in(&request).is_none());

    let mut parameters = Parameters {
        realm: REALM.to_owned(),
        targetname: TARGET.to_owned(),
        opaque: String::new(),
        version: 4,
    };
    assert_eq!(
        initiator_flight(&parameters, b"hello").to_string(),
        "TLS-DSK qop=\"auth\", realm=\"SIP Communications Service\", targetname=\"fe.contoso.example\", \
         gssapi-data=\"aGVsbG8=\", version=4"
    );
    parameters.opaque = "17B23762".to_owned();
    assert_eq!(initiator_flight(&parameters, b"x").get("opaque").as_deref(), Some("17B23762"));
    let carried = acceptor_flight(&parameters, b"hello");
    assert_eq!(decode_flight(&carried.get("gssapi-data").unwrap()), Ok(b"hello".to_vec()));
    assert_eq!(
        carried.to_string(),
        "TLS-DSK opaque=\"17B23762\", gssapi-data=\"aGVsbG8=\", targetname=\"fe.contoso.example\", \
         realm=\"SIP Communications Service\", version=4"
    );
}
