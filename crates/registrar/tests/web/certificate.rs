//! Client certificates for web tickets, and every way to get one that is not one's own.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use registrar::Exchange;

use crate::harness::{Pool, body, request, setup};
use crate::phone::{CERTIFICATE, CertificateRequest, DEVICE, certificate, csr, cut, fault, ticket};

const ALICE: &str = "alice@contoso.example";
const BOB: &str = "bob@contoso.example";

#[test]
fn a_ticket_and_a_request_make_a_published_certificate_that_outlives_a_power_cut() {
    let mut pool = Pool::new();
    let ticket = ticket(&mut pool, ALICE);
    let answer = CertificateRequest::new(&ticket, ALICE).send(&mut pool);
    let der = certificate(&answer);
    assert_eq!(cut(body(&answer), "RequestID").1, "10adcf87-6894-5bd2-8f41-fa28c051b898");
    let read = pki::Certificate::read(&der.clone().into()).unwrap();
    assert_eq!(read.uris, ["sip:alice@contoso.example"]);
    assert_eq!(read.common_name.as_deref(), Some(ALICE));
    assert!(read.is_for_client_auth && !read.is_authority);
    assert!(read.not_before <= pool.wall(), "usable at once");
    assert_eq!(read.not_after, pool.wall().plus(Duration::from_secs(180 * 86_400)));
    assert!(pool.registrar.published().check("sip:alice@contoso.example", &der, pool.wall()).is_ok());
    pool.power_cut();
    assert!(pool.registrar.published().check(ALICE, &der, pool.wall()).is_ok());
    assert!(pool.events()[1].starts_with("certificate-issued alice@contoso.example for device 90d996f0"));
}

#[test]
fn the_answer_waits_for_the_disk() {
    let mut pool = Pool::new();
    let ticket = ticket(&mut pool, ALICE);
    pool.is_disk_stuck = true;
    let asked = CertificateRequest::new(&ticket, ALICE).print();
    let mut asking = pool.begin(443, request(net::http::Method::POST, CERTIFICATE, &[], &asked));
    assert!(asking.answer(&mut pool).is_none());
    assert!(!pool.events().iter().any(|event| event.starts_with("certificate-issued")));
    pool.unstick();
    certificate(&asking.answer(&mut pool).expect("an answer"));

    let mut pool = Pool::new();
    let ticket = crate::phone::ticket(&mut pool, ALICE);
    pool.is_disk_stuck = true;
    let asked = CertificateRequest::new(&ticket, ALICE).print();
    let mut asking = pool.begin(443, request(net::http::Method::POST, CERTIFICATE, &[], &asked));
    pool.power_cut();
    assert!(asking.answer(&mut pool).is_none());
    assert_eq!(pool.registrar.published().of(ALICE).count(), 0);
}

#[test]
fn the_same_request_sent_again_makes_no_second_certificate() {
    let mut pool = Pool::new();
    let ticket = ticket(&mut pool, ALICE);
    let request = CertificateRequest::new(&ticket, ALICE);
    let first = certificate(&request.send(&mut pool));
    pool.pass(Duration::from_secs(60));
    assert_eq!(certificate(&request.send(&mut pool)), first);
    pool.act(|pool, now, out| pool.revoke(ALICE, now, out));
    assert_eq!(fault(&request.send(&mut pool)).0, 28020, "a revoked user's tickets are gone as well");
    assert_eq!(pool.registrar.published().of(ALICE).count(), 0);
}

fn refused(pool: &mut Pool, why: &str, request: &CertificateRequest, id: u32) {
    let (found, reason) = fault(&request.send(pool));
    assert_eq!(found, id, "{why}: {reason}");
    assert_eq!(pool.registrar.published().of(ALICE).count(), 0, "{why}");
    assert_eq!(pool.registrar.published().of(BOB).count(), 0, "{why}");
}

#[test]
fn user_device_and_address_must_be_those_of_the_ticket() {
    let mut pool = Pool::new();
    let good = CertificateRequest::new(&ticket(&mut pool, ALICE), ALICE);
    let with = |change: &dyn Fn(&mut CertificateRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    refused(&mut pool, "another entity", &with(&|r| r.entity = BOB.to_owned()), 4004);
    refused(&mut pool, "no entity", &with(&|r| r.entity = String::new()), 4001);
    refused(
        &mut pool,
        "a foreign device",
        &with(&|r| r.device = "{5e5c2644-a457-508f-8e27-680c7b557b04}".to_owned()),
        4004,
    );
    refused(
        &mut pool,
        "another service",
        &with(&|r| r.to = "https://fe2.contoso.example/x".to_owned()),
        4004,
    );
    refused(
        &mut pool,
        "another ticket's name",
        &with(&|r| r.named_assertion = "SamlSecurityToken-1".to_owned()),
        28020,
    );
    refused(&mut pool, "bad period", &with(&|r| r.attributes = " ValidityPeriod=\"x\"".to_owned()), 4001);
    refused(&mut pool, "two calls", &with(&|r| r.extra_body = "<GetAndPublishCert/>".to_owned()), 4001);
    let answer = with(&|r| r.device = DEVICE.to_uppercase()).send(&mut pool);
    certificate(&answer);
}

#[test]
fn the_proof_must_be_by_the_tickets_key_and_over_its_timestamp() {
    let mut pool = Pool::new();
    let good = CertificateRequest::new(&ticket(&mut pool, ALICE), ALICE);
    let mut other_key = good.clone();
    other_key.ticket.proof_key[0] ^= 1;
    refused(&mut pool, "another key", &other_key, 28020);
    let text = good.print();
    for (why, from, to) in [
        ("another timestamp", "T10:00:01Z</wsu:Created>", "T10:00:02Z</wsu:Created>"),
        ("another reference", "URI=\"#timestamp\"", "URI=\"#other\""),
        ("a weaker method", "xmldsig#hmac-sha1", "xmldsig#hmac-md5"),
        ("no transform", "<Transform Algorithm", "<Transform X=\"\" Algorithm"),
    ] {
        assert!(text.contains(from), "{why}");
        let spoiled = text.replacen(from, to, 1);
        let answer = pool.post(443, CERTIFICATE, &[], &spoiled);
        assert_eq!(fault(&answer).0, 28020, "{why}");
    }
    let start = text.rfind("<Signature xmlns").unwrap();
    let end = text.rfind("</Signature>").unwrap() + "</Signature>".len();
    let unsigned = format!("{}{}", &text[..start], &text[end..]);
    let answer = pool.post(443, CERTIFICATE, &[], &unsigned);
    assert_eq!(fault(&answer).0, 28020);
    for lifetime in [
        "<wsu:Created>2026-01-05T10:00:01Z</wsu:Created><wsu:Expires>2026-02-05T10:00:01Z</wsu:Expires>",
        "<wsu:Created>2026-01-05T09:00:01Z</wsu:Created><wsu:Expires>2026-01-05T09:30:01Z</wsu:Expires>",
        "<wsu:Created>2026-01-05T12:00:01Z</wsu:Created><wsu:Expires>2026-01-05T13:00:01Z</wsu:Expires>",
        "<wsu:Created>soon</wsu:Created><wsu:Expires>later</wsu:Expires>",
        "",
    ] {
        let mut request = good.clone();
        request.ticket.lifetime = lifetime.to_owned();
        refused(&mut pool, lifetime, &request, 28020);
    }
    certificate(&good.send(&mut pool));
}

#[test]
fn forged_moved_and_wrapped_tickets_are_refused() {
    let mut pool = Pool::new();
    let alices = ticket(&mut pool, ALICE);
    let good = CertificateRequest::new(&alices, ALICE);

    let mut renamed = good.clone();
    renamed.ticket.assertion = alices.assertion.replace(ALICE, BOB);
    renamed.entity = BOB.to_owned();
    refused(&mut pool, "another user written in", &renamed, 28020);

    let mut stretched = good.clone();
    stretched.ticket.assertion = alices.assertion.replace("T18:00:01Z", "T23:00:01Z");
    refused(&mut pool, "a later end", &stretched, 28020);

    let mut unsigned = good.clone();
    let signature = cut(&alices.assertion, "Signature").0;
    unsigned.ticket.assertion = alices.assertion.replace(signature, "");
    refused(&mut pool, "no signature", &unsigned, 28020);

    let mut reformed = good.clone();
    reformed.ticket.assertion = alices.assertion.replacen("><", "> <", 1);
    refused(&mut pool, "printed anew", &reformed, 28020);

    // Wrapping: the signed assertion stays somewhere, a forged one takes its place.
    let forged = renamed.ticket.assertion.clone();
    for (why, header, in_place) in [
        ("forged first", forged.clone(), alices.assertion.clone()),
        ("forged second", alices.assertion.clone(), forged.clone()),
        ("hidden in an object", format!("<Object>{}</Object>", alices.assertion), forged.clone()),
        ("the same twice", alices.assertion.clone(), alices.assertion.clone()),
    ] {
        let mut wrapped = good.clone();
        wrapped.extra_header = header;
        wrapped.ticket.assertion = in_place;
        refused(&mut pool, why, &wrapped, 28020);
        wrapped.entity = BOB.to_owned();
        refused(&mut pool, why, &wrapped, 28020);
    }
    let mut nested = good.clone();
    nested.ticket.assertion =
        forged.replace("</saml:Assertion>", &format!("{}</saml:Assertion>", alices.assertion));
    refused(&mut pool, "the signed one inside the forged one", &nested, 28020);
    let mut in_body = good.clone();
    in_body.extra_body = format!("<x>{}</x>", alices.assertion);
    in_body.ticket.assertion = forged;
    refused(&mut pool, "the signed one in the body", &in_body, 28020);
    let mut two_times = good.clone();
    two_times.extra_header = "<wsu:Timestamp wsu:Id=\"timestamp\"/>".to_owned();
    refused(&mut pool, "two timestamps", &two_times, 28020);
    let mut two_signatures = good.clone();
    two_signatures.extra_header = "<Signature/>".to_owned();
    refused(&mut pool, "two signatures", &two_signatures, 28020);

    let mut documented = good.print();
    documented = documented.replacen("<soap:Envelope", "<!DOCTYPE a SYSTEM \"http://x/\"><soap:Envelope", 1);
    assert_eq!(fault(&pool.post(443, CERTIFICATE, &[], &documented)).0, 4001);
    certificate(&good.send(&mut pool));
}

#[test]
fn a_ticket_ends_with_its_time_its_user_and_the_pools_power() {
    let mut pool = Pool::new();
    let good = CertificateRequest::new(&ticket(&mut pool, ALICE), ALICE);
    pool.act(|pool, now, out| pool.disable(ALICE, now, out));
    refused(&mut pool, "disabled", &good, 28020);
    pool.act(|pool, now, out| pool.enable(ALICE, now, out));
    refused(&mut pool, "a ticket of before stays taken back", &good, 28020);
    let good = CertificateRequest::new(&ticket(&mut pool, ALICE), ALICE);
    let elsewhere = registrar::Home::Pool("fe2.contoso.example".to_owned());
    pool.act(|pool, now, out| pool.move_user(ALICE, elsewhere, now, out));
    certificate(&good.send(&mut pool));
    pool.act(|pool, now, out| pool.revoke(ALICE, now, out));
    pool.act(|pool, now, out| pool.move_user(ALICE, registrar::Home::Here, now, out));
    let good = CertificateRequest::new(&ticket(&mut pool, ALICE), ALICE);
    pool.power_cut();
    refused(&mut pool, "from before the power cut", &good, 28020);
    let good = CertificateRequest::new(&ticket(&mut pool, ALICE), ALICE);
    pool.pass(Duration::from_secs(8 * 3600 - 1));
    certificate(&good.send(&mut pool));
    pool.pass(Duration::from_secs(1));
    assert_eq!(fault(&good.send(&mut pool)).0, 28020, "past its end");
}

#[test]
fn a_request_gets_what_the_authority_decides_or_nothing() {
    let mut pool = Pool::new();
    let good = CertificateRequest::new(&ticket(&mut pool, ALICE), ALICE);
    let spoil = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut request = good.clone();
        change(&mut request.csr);
        request
    };
    refused(&mut pool, "nothing", &spoil(&|csr| csr.clear()), 4001);
    refused(&mut pool, "a bad signature", &spoil(&|csr| *csr.last_mut().unwrap() ^= 1), 4001);
    refused(&mut pool, "something behind it", &spoil(&|csr| csr.push(0)), 4001);
    refused(&mut pool, "cut short", &spoil(&|csr| csr.truncate(50)), 4001);
    refused(&mut pool, "far too long", &spoil(&|csr| csr.resize(20_000, 0)), 4001);

    let mut wish = good.clone();
    wish.csr = csr("phone key", "*.contoso.example");
    wish.attributes = " ValidityPeriod=\"87600\"".to_owned();
    let read = pki::Certificate::read(&certificate(&wish.send(&mut pool)).into()).unwrap();
    assert_eq!(read.common_name.as_deref(), Some(ALICE), "the subject is the pool's word");
    assert_eq!(read.not_after, pool.wall().plus(Duration::from_secs(180 * 86_400)), "and so is the end");

    let mut short = good.clone();
    short.csr = csr("second key", ALICE);
    short.attributes = " ValidityPeriod=\"1\"".to_owned();
    let read = pki::Certificate::read(&certificate(&short.send(&mut pool)).into()).unwrap();
    assert_eq!(read.not_after, pool.wall().plus(Duration::from_secs(8 * 3600)), "never less than 8 hours");
}

/// A request that openssl made, or `None` without openssl.
#[expect(clippy::disallowed_methods, reason = "openssl is a program")]
fn openssl_request(arguments: &[&str]) -> Option<Vec<u8>> {
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-new",
            "-nodes",
            "-keyout",
            "/dev/null",
            "-subj",
            "/CN=alice@contoso.example",
            "-outform",
            "DER",
        ])
        .args(arguments)
        .output()
        .ok()?;
    made.status.success().then_some(made.stdout)
}

#[test]
fn requests_by_openssl_are_served_by_the_strength_of_their_keys() {
    let served: &[&[&str]] = &[
        &["-newkey", "rsa:2048"],
        &["-newkey", "rsa:2048", "-sha1"],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &[
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "subjectAltName=URI:sip:bob@contoso.example,DNS:*.contoso.example",
        ],
    ];
    let refused: &[&[&str]] = &[
        &["-newkey", "rsa:1024"],
        &["-newkey", "ed25519"],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
    ];
    for (arguments, is_served) in served.iter().map(|a| (a, true)).chain(refused.iter().map(|a| (a, false))) {
        let Some(csr) = openssl_request(arguments) else {
            println!("skipped for want of openssl: {arguments:?}");
            continue;
        };
        let mut pool = Pool::new();
        let mut request = CertificateRequest::new(&ticket(&mut pool, ALICE), ALICE);
        request.csr = csr;
        if !is_served {
            assert_eq!(fault(&request.send(&mut pool)).0, 4001, "{arguments:?}");
            continue;
        }
        let read = pki::Certificate::read(&certificate(&request.send(&mut pool)).into()).unwrap();
        assert_eq!(read.uris, ["sip:alice@contoso.example"], "{arguments:?}");
        assert!(read.dns_names.is_empty() && !read.is_authority, "{arguments:?}");
    }
}

#[test]
fn anybody_may_take_the_root_over_plain_http() {
    let mut pool = Pool::new();
    let asked = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
        <GetRootCertChains xmlns=\"http://schemas.microsoft.com/OCS/AuthWebServices/\"/></s:Body></s:Envelope>";
    let url = "http://fe.contoso.example/CertProv/CertProvisioningService.svc/Anon";
    let answer = pool.post(80, url, &[("content-type", "text/xml")], asked);
    assert_eq!(answer.status(), 200);
    let root = STANDARD.decode(cut(body(&answer), "X509Certificate").1).unwrap();
    assert!(pki::Certificate::read(&root.into()).unwrap().is_authority);
    assert!(pool.events()[0].starts_with("root-chain-downloaded fe.contoso.example"));
    assert_eq!(pool.get(80, url, &[]).status(), 405);
    assert_eq!(fault(&pool.post(80, url, &[], "<a/>")).0, 4001);
    pool.registrar.answer_next(Exchange::RootChain, 1, 500);
    assert_eq!(pool.post(80, url, &[], asked).status(), 500);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "openssl is a program")]
fn openssl_accepts_the_certificate_for_a_client() {
    let setup = setup();
    let root = setup.authority.root().clone();
    let mut pool = Pool::of(setup);
    let ticket = ticket(&mut pool, ALICE);
    let der = certificate(&CertificateRequest::new(&ticket, ALICE).send(&mut pool));
    let directory = std::env::temp_dir().join(format!("registrar-{}", std::process::id()));
    let written = write_files(
        &directory,
        &[("root.pem", pki::pem::certificates([&root])), ("leaf.pem", pki::pem::certificates([&der.into()]))],
    );
    let verdict = std::process::Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslclient", "-attime", "1767610000", "-CAfile"])
        .arg(directory.join("root.pem"))
        .arg(directory.join("leaf.pem"))
        .output();
    let _ = std::fs::remove_dir_all(&directory);
    match (written, verdict) {
        (Ok(()), Ok(verdict)) => {
            assert!(verdict.status.success(), "{}", String::from_utf8_lossy(&verdict.stderr));
        }
        (written, verdict) => println!("skipped for want of openssl: {written:?} {verdict:?}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "another program reads these files; the pool itself has none")]
fn write_files(directory: &std::path::Path, files: &[(&str, String)]) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for (name, text) in files {
        std::fs::write(directory.join(name), text)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_spoiled_request_gets_a_certificate_for_another(at in 0usize..6000, cut in 0usize..60, put in "[<>&\"'/a-z:= ]{0,20}") {
        let mut pool = Pool::new();
        let text = CertificateRequest::new(&ticket(&mut pool, ALICE), ALICE).print();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        let spoiled = format!("{}{put}{}", &text[..at], &text[end..]);
        let answer = pool.post(443, CERTIFICATE, &[], &spoiled);
        prop_assert!(matches!(answer.status().as_u16(), 200 | 500));
        for held in pool.registrar.published().of(ALICE) {
            prop_assert_eq!(&pki::Certificate::read(&held.der.clone().into()).unwrap().uris, &["sip:alice@contoso.example"]);
        }
        prop_assert_eq!(pool.registrar.published().of(BOB).count(), 0);
    }
}

#[test]
fn a_timestamp_counts_from_its_beginning_to_its_end() {
    // The pool's clock reads 10:00:01 when the ticket is made, and may be five minutes behind a client's.
    for (created, expires, is_good) in [
        ("10:05:01", "11:00:00", true),
        ("10:05:02", "11:00:00", false),
        ("10:00:00", "10:00:02", true),
        ("10:00:00", "10:00:01", false),
        ("10:00:00", "18:05:01", true),
        ("10:00:00", "18:05:02", false),
    ] {
        let mut pool = Pool::new();
        let mut request = CertificateRequest::new(&ticket(&mut pool, ALICE), ALICE);
        request.ticket.lifetime = format!(
            "<wsu:Created>2026-01-05T{created}Z</wsu:Created><wsu:Expires>2026-01-05T{expires}Z</wsu:Expires>"
        );
        assert_eq!(request.send(&mut pool).status() == 200, is_good, "{created} to {expires}");
    }
}

#[test]
fn a_certificate_for_a_user_who_is_homed_elsewhere_opens_the_way_to_the_redirect() {
    let mut pool = Pool::new();
    let elsewhere = registrar::Home::Pool("fe2.contoso.example".to_owned());
    pool.act(|pool, now, out| pool.move_user(ALICE, elsewhere, now, out));
    let answer = CertificateRequest::new(&ticket(&mut pool, ALICE), ALICE).send(&mut pool);
    let der = certificate(&answer);
    assert!(pool.registrar.published().check(ALICE, &der, pool.wall()).is_ok());
}

#[test]
fn a_message_for_another_action_is_refused() {
    let mut pool = Pool::new();
    let text = CertificateRequest::new(&ticket(&mut pool, ALICE), ALICE).print();
    let other = text.replacen("GetAndPublishCert</wsa:Action>", "GetAndRevokeCert</wsa:Action>", 1);
    assert_eq!(fault(&pool.post(443, CERTIFICATE, &[], &other)).0, 4004);
    certificate(&pool.post(443, CERTIFICATE, &[], &text));
}

#[test]
fn a_certificate_lives_between_eight_hours_and_a_year_whatever_the_lab_says() {
    for (hours_set, hours) in [(7, 8), (8, 8), (9, 9), (8760, 8760), (8761, 8760)] {
        let mut setup = setup();
        setup.certificate_life = Duration::from_secs(hours_set * 3600);
        let mut pool = Pool::of(setup);
        let answer = CertificateRequest::new(&ticket(&mut pool, ALICE), ALICE).send(&mut pool);
        let read = pki::Certificate::read(&certificate(&answer).into()).unwrap();
        assert_eq!(read.not_after, pool.wall().plus(Duration::from_secs(hours * 3600)), "{hours_set}");
    }
}

#[test]
fn a_repeated_request_gets_the_same_certificate_only_while_that_is_good_for_four_hours() {
    let mut setup = setup();
    setup.certificate_life = Duration::from_secs(8 * 3600);
    let mut pool = Pool::of(setup);
    let request = CertificateRequest::new(&ticket(&mut pool, ALICE), ALICE);
    let first = certificate(&request.send(&mut pool));
    pool.pass(Duration::from_secs(4 * 3600 - 1));
    assert_eq!(certificate(&request.send(&mut pool)), first);
    pool.pass(Duration::from_secs(1));
    assert_ne!(certificate(&request.send(&mut pool)), first);
    assert_eq!(pool.registrar.published().of(ALICE).count(), 1, "the new one takes the place of the old");
}

#[test]
fn an_authority_that_is_about_to_end_gives_no_certificate_rather_than_a_short_one() {
    for (hours, is_given) in [(9, true), (7, false)] {
        let mut setup = setup();
        let life = Duration::from_secs(hours * 3600);
        let mut random = net::Random::named(3, "short");
        setup.authority =
            pki::Authority::new("Short", net::Crypto::Seeded, &mut random, crate::harness::EPOCH, life);
        let mut pool = Pool::of(setup);
        let answer = CertificateRequest::new(&ticket(&mut pool, ALICE), ALICE).send(&mut pool);
        if is_given {
            certificate(&answer);
        } else {
            assert_eq!(fault(&answer).0, 0);
            assert_eq!(pool.registrar.published().of(ALICE).count(), 0);
        }
    }
}

#[test]
fn a_user_holds_only_so_many_tickets() {
    let mut pool = Pool::new();
    let tickets: Vec<_> = (0..33).map(|_| ticket(&mut pool, ALICE)).collect();
    refused(&mut pool, "it made room", &CertificateRequest::new(&tickets[0], ALICE), 28020);
    certificate(&CertificateRequest::new(&tickets[1], ALICE).send(&mut pool));
}

#[test]
fn a_ticket_without_a_device_belongs_to_the_first_that_shows_it() {
    let mut pool = Pool::new();
    let asked = crate::phone::rst(ALICE, DEVICE, CERTIFICATE).replace(&format!(" Context=\"{DEVICE}\""), "");
    let authorization = crate::phone::basic(ALICE, "Passw0rd!");
    let answer = pool.post(443, crate::phone::BASIC, &[("authorization", &authorization)], &asked);
    let first = CertificateRequest::new(&crate::phone::Ticket::of(&answer), ALICE);
    certificate(&first.send(&mut pool));
    let mut second = first.clone();
    second.device = "{5e5c2644-a457-508f-8e27-680c7b557b04}".to_owned();
    assert_eq!(fault(&second.send(&mut pool)).0, 4004);
    assert_eq!(pool.registrar.published().of(ALICE).count(), 1);
}
