//! What becomes of requests by strangers: the good, the weak, the ambitious and the broken.

use std::time::Duration;

use net::{Crypto, Random, Wall};
use pki::{
    Asked, Authority, Certificate, CertificateRequest, Digests, Holder, IssueError, RequestError, Validity,
    make_request,
};
use proptest::prelude::*;
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject as _;

fn der(pem: &str) -> Vec<u8> {
    CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).expect("a request in PEM").to_vec()
}

fn issue_time() -> Wall {
    Wall::parse("2018-10-09T09:00:00Z").expect("a date")
}

fn authority(seed: u64) -> Authority {
    let mut random = Random::named(seed, "ca");
    let decade = Duration::from_secs(10 * 365 * 86_400);
    Authority::new("Contoso Root", Crypto::Seeded, &mut random, issue_time(), decade)
}

fn alice() -> Holder {
    Holder::new("alice@contoso.example")
}

fn half_a_year() -> Validity {
    Validity::days(issue_time(), 180)
}

macro_rules! request {
    ($name:literal) => {
        der(include_str!(concat!("requests/", $name, ".pem")))
    };
}

#[test]
fn strong_keys_are_taken_as_they_are() {
    for request in [
        request!("p256"),
        request!("p384"),
        request!("rsa2048"),
        request!("rsa4096"),
        request!("rsa2048-pss"),
        request!("ambitious"),
    ] {
        let request = CertificateRequest::parse(&request).expect("a good request");
        let issued = authority(1).issue_user(&request, &alice(), half_a_year()).expect("a certificate");
        let issued = Certificate::read(&issued).expect("readable");
        assert_eq!(issued.public_key_info, request.public_key_info());
    }
}

#[test]
fn weak_and_unknown_requests_are_refused_for_the_right_reason() {
    let refusal = |request: Vec<u8>| CertificateRequest::parse(&request).expect_err("a refusal");
    assert_eq!(refusal(request!("rsa512")), RequestError::KeySize { bits: 512 });
    assert_eq!(refusal(request!("rsa1024")), RequestError::KeySize { bits: 1024 });
    assert_eq!(refusal(request!("rsa2040")), RequestError::KeySize { bits: 2040 });
    assert_eq!(refusal(request!("rsa4104")), RequestError::KeySize { bits: 4104 });
    assert_eq!(refusal(request!("rsa2048-sha1")), RequestError::Sha1);
    assert_eq!(refusal(request!("p256-sha1")), RequestError::Sha1);
    assert!(matches!(refusal(request!("rsa2048-md5")), RequestError::UnknownSignature(_)));
    for unknown in
        [request!("p521"), request!("secp256k1"), request!("explicit"), request!("ed25519"), request!("dsa")]
    {
        let why = refusal(unknown);
        assert!(matches!(why, RequestError::UnknownKey(_)), "{why}");
    }
}

#[test]
fn sha1_is_taken_only_by_those_who_say_so_and_only_with_rsa() {
    let parse = |request: Vec<u8>| CertificateRequest::parse_signed_over(&request, Digests::Sha2AndSha1);
    assert!(parse(request!("rsa2048-sha1")).is_ok());
    assert_eq!(parse(request!("p256-sha1")), Err(RequestError::Sha1));
}

#[test]
fn an_ambitious_request_gets_what_the_authority_decided_and_nothing_else() {
    let request = CertificateRequest::parse(&request!("ambitious")).expect("a good request");
    let asked = request.asked_for();
    for wish in [
        Asked::Name("alice@contoso.example".to_owned()),
        Asked::Authority,
        Asked::Wildcard("*.contoso.example".to_owned()),
        Asked::Name("fe.contoso.example".to_owned()),
        Asked::Name("sip:bob@contoso.example".to_owned()),
        Asked::Extension("keyUsage".to_owned()),
        Asked::Extension("1.2.3.4".to_owned()),
    ] {
        assert!(asked.contains(&wish), "{wish} is missing in {asked:?}");
    }
    let holder = Holder::new("carol@contoso.example");
    let issued = authority(1).issue_user(&request, &holder, half_a_year()).expect("a certificate");
    let issued = Certificate::read(&issued).expect("readable");
    assert_eq!(issued.common_name.as_deref(), Some("carol@contoso.example"));
    assert_eq!(issued.uris, ["sip:carol@contoso.example"]);
    assert!(issued.dns_names.is_empty() && issued.addresses.is_empty());
    assert!(!issued.is_authority && !issued.is_for_server_auth && issued.is_for_client_auth);
    assert!(
        issued.is_for_user("sip:Carol@Contoso.example") && !issued.is_for_user("sip:bob@contoso.example")
    );
}

#[test]
fn a_request_signed_by_another_key_is_refused() {
    let mut random = Random::named(1, "two phones");
    let mut ask =
        || make_request(&Crypto::Seeded.p256_key(&mut random), "alice@contoso.example").expect("a key");
    let (mine, theirs) = (ask(), ask());
    assert!(CertificateRequest::parse(&mine).is_ok());
    // Both are laid out alike up to the end of the key; what follows is the empty list of attributes and the
    // signature. So the head of one and the tail of the other are a well-formed forgery.
    let key_ends = mine.windows(2).rposition(|octets| octets == [0xa0, 0x00]).expect("the empty attributes");
    let forged = [&theirs[..key_ends], &mine[key_ends..]].concat();
    let mut forged_head = forged.clone();
    forged_head[..4].copy_from_slice(&mine[..4]);
    let why = CertificateRequest::parse(&forged_head).expect_err("a refusal");
    assert_eq!(why, RequestError::BadSignature);
}

#[test]
fn size_is_looked_at_before_anything_else() {
    let request = request!("p256");
    let limit = pki::request::REQUEST_LIMIT;
    let padded = |octets| {
        let mut padded = request.clone();
        padded.resize(octets, 0);
        CertificateRequest::parse(&padded).expect_err("a refusal")
    };
    assert_eq!(padded(limit + 1), RequestError::TooLarge { octets: limit + 1 });
    assert!(matches!(padded(limit), RequestError::Malformed(_)), "octets after the request count as broken");
}

#[test]
fn a_holder_that_cannot_stand_in_a_certificate_is_refused() {
    let request = CertificateRequest::parse(&request!("p256")).expect("a good request");
    for address in ["", "al ice@contoso.example", "älice@contoso.example", "a\r\nb@contoso.example", "a\0@b"]
    {
        let refused = authority(1).issue_user(&request, &Holder::new(address), half_a_year());
        assert!(matches!(refused, Err(IssueError::BadName { .. })), "{address:?}: {refused:?}");
    }
}

#[test]
fn a_long_address_leaves_the_subject_empty_and_stands_in_the_uri() {
    let request = CertificateRequest::parse(&request!("p256")).expect("a good request");
    let at_length =
        |octets: usize| format!("{}@contoso.example", "a".repeat(octets - "@contoso.example".len()));
    for (octets, in_subject) in [(64, true), (65, false)] {
        let holder = Holder::new(&at_length(octets));
        let issued = authority(1).issue_user(&request, &holder, half_a_year()).expect("a certificate");
        let issued = Certificate::read(&issued).expect("readable");
        assert_eq!(issued.common_name.is_some(), in_subject);
        assert_eq!(issued.uris, [holder.sip_uri]);
    }
}

#[test]
fn a_certificate_begins_a_little_early_and_never_outlives_its_authority() {
    let request = CertificateRequest::parse(&request!("p256")).expect("a good request");
    let mut root = authority(1);
    let mut issue = |from, days| root.issue_user(&request, &alice(), Validity::days(from, days));
    let issued = Certificate::read(&issue(issue_time(), 1).expect("a certificate")).expect("readable");
    assert_eq!(issued.not_before.to_string(), "2018-10-09T08:50:00Z");
    assert_eq!(issued.not_after.to_string(), "2018-10-10T09:00:00Z");
    assert!(issued.is_valid_at(issued.not_before) && issued.is_valid_at(issued.not_after));
    assert!(!issued.is_valid_at(issued.not_after.plus(Duration::from_secs(1))));
    let long = Certificate::read(&issue(issue_time(), 36_500).expect("a certificate")).expect("readable");
    let end = issue_time().plus(Duration::from_secs(10 * 365 * 86_400));
    assert_eq!(long.not_after, end);
    assert!(issue(end.minus(Duration::from_secs(1)), 1).is_ok());
    assert_eq!(issue(end, 1), Err(IssueError::AuthorityExpired { not_after: end }));
    assert_eq!(issue(issue_time(), 0), Err(IssueError::NoLife));
}

#[test]
fn the_same_seed_makes_the_same_octets_and_another_seed_others() {
    let run = |seed: u64| {
        let mut random = Random::named(seed, "phone");
        let asked =
            make_request(&Crypto::Seeded.p256_key(&mut random), "alice@contoso.example").expect("a key");
        let request = CertificateRequest::parse(&asked).expect("a good request");
        let mut root = authority(seed);
        let mut issuing = root.intermediate("Contoso Users", half_a_year()).expect("room");
        let user = issuing.issue_user(&request, &alice(), half_a_year()).expect("a certificate");
        let server =
            root.issue_server(&["fe.contoso.example".to_owned()], half_a_year()).expect("a certificate");
        (asked, root.root().clone(), issuing.issuers().to_vec(), user, server.chain, server.key)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).3, run(2).3);
}

#[test]
fn a_thousand_serials_are_long_and_all_different() {
    let request = CertificateRequest::parse(&request!("p256")).expect("a good request");
    let mut root = authority(1);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        let issued = root.issue_user(&request, &alice(), half_a_year()).expect("a certificate");
        let serial = Certificate::read(&issued).expect("readable").serial;
        assert!((12..=16).contains(&serial.as_bytes().len()), "{serial}");
        assert!(seen.insert(serial));
    }
}

proptest! {
    #[test]
    fn no_octets_make_the_reader_panic(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = CertificateRequest::parse(&octets);
        let _ = Certificate::read(&octets.into());
    }

    #[test]
    fn a_request_damaged_anywhere_is_refused_or_still_means_the_same(
        which in 0usize..4, at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let whole = vec![request!("p256"), request!("p384"), request!("rsa2048"), request!("ambitious")].swap_remove(which);
        let mut damaged = whole.clone();
        damaged[at.index(whole.len())] ^= flip;
        if let Ok(request) = CertificateRequest::parse(&damaged) {
            let before = CertificateRequest::parse(&whole).expect("undamaged");
            prop_assert_eq!(request.public_key_info(), before.public_key_info());
        }
    }

    #[test]
    fn a_request_cut_anywhere_is_refused(at in any::<prop::sample::Index>()) {
        let whole = request!("ambitious");
        prop_assert!(CertificateRequest::parse(&whole[..at.index(whole.len())]).is_err());
    }

    #[test]
    fn whatever_the_holder_is_called_issuing_answers(address in any::<String>()) {
        let request = CertificateRequest::parse(&request!("p256")).expect("a good request");
        if let Ok(issued) = authority(1).issue_user(&request, &Holder::new(&address), half_a_year()) {
            prop_assert_eq!(Certificate::read(&issued).expect("readable").uris, [format!("sip:{address}")]);
        }
    }
}
