//! Authorities: their chains, their keeping, and rustls as the judge of what they issue.

use std::time::Duration;

use net::tls::{ClientTls, NameCheck, ServerTls, TlsError, TlsSession};
use net::{Crypto, Random, Time, Wall, WallClock};
use pki::authority::RestoreError;
use pki::{
    Authority, Certificate, CertificateRequest, IssueError, Reason, Revocations, Serial, Validity, pem,
};
use proptest::prelude::*;
use rustls_pki_types::pem::PemObject as _;

fn issue_time() -> Wall {
    Wall::parse("2018-10-09T09:00:00Z").expect("a date")
}

fn authority(name: &str) -> Authority {
    let mut random = Random::named(1, name);
    Authority::new(name, Crypto::Seeded, &mut random, issue_time(), Duration::from_secs(10 * 365 * 86_400))
}

fn month() -> Validity {
    Validity::days(issue_time(), 30)
}

/// Shakes hands with a server that shows `server` and says what the caller, trusting `roots`, thinks of it.
fn handshake(server: &ServerTls, roots: &Authority, name: &str, date: Wall) -> Result<(), TlsError> {
    let mut random = Random::named(9, "handshake");
    let clock = WallClock::new(date, Time::ZERO);
    let client =
        ClientTls { server_name: name.to_owned(), trust: roots.trust(), clock, names: NameCheck::Strict };
    let mut caller = TlsSession::client(&client, Time::ZERO, Crypto::Seeded, &mut random)?;
    let mut called = TlsSession::server(server, Crypto::Seeded, &mut random)?;
    for _ in 0..4 {
        let up = caller.take_output();
        called.receive(&up, Time::ZERO, &mut random)?;
        let down = called.take_output();
        if caller.receive(&down, Time::ZERO, &mut random)?.came_up {
            return Ok(());
        }
    }
    Err(TlsError::Protocol("no end of the handshake".to_owned()))
}

#[test]
fn rustls_takes_servers_at_every_chain_length_and_for_the_right_reasons_only() {
    let (mut root, other) = (authority("Contoso Root"), authority("Fabrikam Root"));
    let mut middle = root.intermediate("Contoso Issuing 1", month()).expect("room");
    let mut low = middle.intermediate("Contoso Issuing 2", month()).expect("room");
    assert_eq!(low.intermediate("Contoso Issuing 3", month()).expect_err("no room"), IssueError::TooDeep);
    for (length, issuing) in [(1, &mut root), (2, &mut middle), (3, &mut low)] {
        let names = ["fe.contoso.example".to_owned()];
        let credentials =
            issuing.issue_server(&names, Validity::days(issue_time(), 10)).expect("a certificate");
        assert_eq!(credentials.chain.len(), length);
        let server = ServerTls::new(credentials);
        let day = |days: u64| issue_time().plus(Duration::from_secs(days * 86_400));
        assert_eq!(handshake(&server, issuing, "fe.contoso.example", day(1)), Ok(()));
        assert_eq!(handshake(&server, &other, "fe.contoso.example", day(1)), Err(TlsError::UnknownIssuer));
        let in_1970 = handshake(&server, issuing, "fe.contoso.example", Wall::UNIX_EPOCH);
        assert!(matches!(in_1970, Err(TlsError::NotYetValid { .. })), "{in_1970:?}");
        let late = handshake(&server, issuing, "fe.contoso.example", day(11));
        assert!(matches!(late, Err(TlsError::Expired { .. })), "{late:?}");
        let elsewhere = handshake(&server, issuing, "fe2.contoso.example", day(1));
        assert!(matches!(elsewhere, Err(TlsError::WrongName { .. })), "{elsewhere:?}");
    }
}

#[test]
fn a_server_gets_a_certificate_for_the_key_it_has() {
    let mut root = authority("Contoso Root");
    let names = ["fe.contoso.example".to_owned()];
    let key_of = |request: &str| {
        let der = rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(request.as_bytes());
        let request = CertificateRequest::parse(&der.expect("a request in PEM"));
        request.expect("a good request").public_key_info()
    };
    let rsa = key_of(include_str!("requests/rsa2048.pem"));
    let p256 = key_of(include_str!("requests/p256.pem"));
    // RFC 5280 §4.2.1.3: digitalSignature (0x80), for an RSA key with keyEncipherment (0x20).
    for (key, usages) in [(&rsa, [3, 2, 5, 0xA0]), (&p256, [3, 2, 7, 0x80])] {
        let chain = root.issue_server_for(&names, key, month()).expect("a certificate");
        assert_eq!(chain.len(), 1);
        let leaf = Certificate::read(&chain[0]).expect("a certificate");
        assert_eq!((&leaf.dns_names[..], &leaf.public_key_info), (&names[..], key));
        assert!(leaf.is_for_server_auth && !leaf.is_authority);
        assert!(chain[0].windows(4).any(|octets| octets == usages), "{usages:?}");
    }
    let refused = |root: &mut Authority, names: &[String], key: &[u8]| {
        root.issue_server_for(names, key, month()).expect_err("no certificate")
    };
    assert!(matches!(refused(&mut root, &names, b"no key"), IssueError::BadKey(_)));
    assert!(matches!(refused(&mut root, &names, &[&rsa[..], &[0]].concat()), IssueError::BadKey(_)));
    assert_eq!(refused(&mut root, &[], &rsa), IssueError::NoName);
}

#[test]
fn a_kept_authority_issues_on_under_the_same_root() {
    let mut root = authority("Contoso Root");
    let issuing = root.intermediate("Contoso Issuing", month()).expect("room");
    let kept = issuing.credentials();
    let text = pem::certificates(&kept.chain) + &pem::private_key(&kept.key);
    let read = pem::read_credentials(&text).expect("what was written");
    let mut again =
        Authority::restore(&read, Crypto::Seeded, &mut Random::named(2, "later")).expect("an authority");
    assert_eq!(again.root(), root.root());
    assert_eq!(again.not_after(), issuing.not_after());
    let names = ["fe.contoso.example".to_owned()];
    let server = ServerTls::new(again.issue_server(&names, month()).expect("a certificate"));
    assert_eq!(handshake(&server, &root, "fe.contoso.example", issue_time()), Ok(()));
}

#[test]
fn a_kept_authority_that_starts_from_the_same_seed_makes_other_keys_than_its_own() {
    let root = authority("Contoso Root");
    let mut random = Random::named(1, "Contoso Root");
    let mut again =
        Authority::restore(&root.credentials(), Crypto::Seeded, &mut random).expect("an authority");
    let server = again.issue_server(&["fe.contoso.example".to_owned()], month()).expect("a certificate");
    assert_ne!(server.key.secret_der(), root.credentials().key.secret_der());
    let serial = |der: &_| Certificate::read(der).expect("readable").serial;
    assert_ne!(serial(&server.chain[0]), serial(root.root()));
}

#[test]
fn what_is_no_authority_is_not_taken_up() {
    let mut root = authority("Contoso Root");
    let mut random = Random::named(2, "later");
    let mut restore = |kept: &_| Authority::restore(kept, Crypto::Seeded, &mut random).map(|_| ());
    let server = root.issue_server(&["fe.contoso.example".to_owned()], month()).expect("a certificate");
    assert_eq!(restore(&server), Err(RestoreError::NoAuthority("fe.contoso.example".to_owned())));
    let mut mixed = root.credentials();
    mixed.key = server.key;
    assert_eq!(restore(&mixed), Err(RestoreError::OtherKey("Contoso Root".to_owned())));
    mixed.chain.clear();
    assert_eq!(restore(&mixed), Err(RestoreError::NoCertificate));
    let mut broken = root.credentials();
    broken.chain[0] = vec![0x30, 0x03, 0x02, 0x01, 0x00].into();
    assert!(matches!(restore(&broken), Err(RestoreError::Certificate(_))));
}

#[test]
fn names_that_are_none_are_refused() {
    let mut root = authority("Contoso Root");
    let mut issue = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        root.issue_server(&names, month())
    };
    let long = "a".repeat(64);
    assert!(issue(&["fe.contoso.example", "*.contoso.example", "192.0.2.20", "2001:db8::20"]).is_ok());
    assert_eq!(issue(&[]).expect_err("a refusal"), IssueError::NoName);
    for name in
        ["", "fe..example", ".example", "fe contoso", "f*.example", "*.*.example", "fé.example", &long]
    {
        let refused = issue(&["fe.contoso.example", name]).expect_err("a refusal");
        assert!(matches!(refused, IssueError::BadName { .. }), "{name}: {refused}");
    }
    let many = vec!["fe.contoso.example"; 65];
    assert_eq!(issue(&many).expect_err("a refusal"), IssueError::TooManyNames { count: 65 });
    assert!(issue(&many[..64]).is_ok());
}

#[test]
fn what_is_revoked_stays_revoked_for_its_first_reason() {
    let mut revocations = Revocations::new();
    let serial = Serial::from_be_bytes(&[0, 0, 7]);
    revocations.revoke(serial.clone(), issue_time(), Reason::KeyCompromise);
    revocations.revoke(serial.clone(), Wall::UNIX_EPOCH, Reason::Unspecified);
    let revoked = revocations.find(&serial).expect("it was revoked");
    assert_eq!((revoked.at, revoked.reason), (issue_time(), Reason::KeyCompromise));
    assert_eq!(revocations.len(), 1);
    assert_eq!(revocations.find(&Serial::from_be_bytes(&[7, 0])), None);
    assert_eq!(serial.to_string(), "07");
}

#[test]
fn no_secret_shows_in_debug_output() {
    let root = authority("Contoso Root");
    let shown = format!("{root:?}");
    let key = root.credentials().key;
    assert!(key.secret_der().len() > 30 && !shown.contains("key"), "{shown}");
}

#[test]
fn a_certificate_shows_its_fields() {
    let root = authority("Contoso Root");
    let read = Certificate::read(root.root()).expect("readable");
    assert_eq!(
        (read.common_name.as_deref(), read.issuer.as_deref()),
        (Some("Contoso Root"), Some("Contoso Root"))
    );
    assert!(read.is_authority && !read.is_for_client_auth && !read.is_for_server_auth);
    assert_eq!(read.not_before, issue_time());
    assert_eq!(read.fingerprint_hex().len(), 64);
}

proptest! {
    #[test]
    fn text_that_is_no_pem_never_panics(text in any::<String>()) {
        let _ = pem::read_credentials(&text);
        let _ = pem::read_credentials(&format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"));
    }

    #[test]
    fn pem_survives_print_and_read(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let text = pem::encode("CERTIFICATE", &octets);
        prop_assert!(text.lines().all(|line| line.len() <= 64));
        prop_assert_eq!(pem::read_certificates(&text).expect("what was written")[0].to_vec(), octets);
    }

    #[test]
    fn any_name_makes_a_readable_root(name in any::<String>()) {
        prop_assert!(Certificate::read(authority(&name).root()).is_ok());
    }
}
