//! OpenSSL, a stranger, accepts what the authority makes, and makes requests that the authority accepts.
//!
//! Where no `openssl` is installed each test says on stderr that it was skipped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use net::{Crypto, Random, Wall};
use pki::{
    Authority, Certificate, CertificateRequest, Holder, KeyKind, Places, Reason, Revocations, Validity,
    make_request, ocsp, pem,
};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// The moment of issue in these tests: 2018-10-09T09:00:00Z.
fn issue_time() -> Wall {
    Wall::parse("2018-10-09T09:00:00Z").expect("a date")
}

fn authority(seed: u64) -> Authority {
    let mut random = Random::named(seed, "ca");
    Authority::new("Contoso Root", Crypto::Seeded, &mut random, issue_time(), 10 * YEAR)
}

/// A folder of its own for one test, emptied before.
struct Folder(PathBuf);

impl Folder {
    #[expect(clippy::disallowed_methods, reason = "openssl works in a folder")]
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("pki-openssl-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for the test's files");
        Folder(path)
    }

    #[expect(clippy::disallowed_methods, reason = "openssl reads its input from files")]
    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).expect("a file is written");
    }

    #[expect(clippy::disallowed_methods, reason = "openssl reads its input from files")]
    fn write_octets(&self, file: &str, octets: &[u8]) {
        std::fs::write(self.0.join(file), octets).expect("a file is written");
    }

    #[expect(clippy::disallowed_methods, reason = "openssl leaves its output in files")]
    fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.0.join(file)).expect("a file is read")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs openssl; whether it was content and all that it said. `None` without openssl.
#[expect(clippy::disallowed_methods, reason = "openssl is a program")]
fn openssl(folder: &Path, arguments: &str) -> Option<(bool, String)> {
    let ran = Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder).output();
    let Ok(output) = ran else {
        eprintln!("SKIPPED: no openssl on this machine, `openssl {arguments}` was not run");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

fn phone_request(seed: u64) -> CertificateRequest {
    let key = Crypto::Seeded.p256_key(&mut Random::named(seed, "phone"));
    CertificateRequest::parse(&make_request(&key, "alice@contoso.example").expect("a P-256 key"))
        .expect("a good request")
}

const AT: &str = "-attime 1539075600";

#[test]
fn openssl_verifies_a_users_certificate_strictly_at_every_depth() {
    for depth in 0..3 {
        let folder = Folder::new(&format!("user{depth}"));
        let mut issuing = authority(1);
        for level in 0..depth {
            let name = format!("Contoso Issuing {level}");
            issuing =
                issuing.intermediate(&name, Validity::days(issue_time(), 1000)).expect("room in the chain");
        }
        let validity = Validity::days(issue_time(), 180);
        let holder = Holder::new("alice@contoso.example");
        let issued = issuing.issue_user(&phone_request(2), &holder, validity).expect("a certificate");
        folder.write("root.pem", &pem::certificates([issuing.root()]));
        folder.write("chain.pem", &pem::certificates(issuing.issuers()));
        folder.write("user.pem", &pem::certificates([&issued]));
        let untrusted = if depth == 0 { "" } else { "-untrusted chain.pem" };
        let verify = |purpose: &str, extra: &str| {
            openssl(
                &folder.0,
                &format!(
                    "verify -x509_strict {AT} -purpose {purpose} -CAfile root.pem {untrusted} {extra} user.pem"
                ),
            )
        };
        let Some((is_ok, said)) = verify("sslclient", "") else { return };
        assert!(is_ok, "depth {depth}: {said}");
        let (is_ok, said) = verify("sslserver", "").expect("openssl was there before");
        assert!(!is_ok && said.contains("purpose"), "a user's certificate serves for no server: {said}");
        let (_, text) =
            openssl(&folder.0, "x509 -in user.pem -noout -text").expect("openssl was there before");
        for wanted in [
            "Subject: CN = alice@contoso.example",
            "URI:sip:alice@contoso.example",
            "TLS Web Client Authentication",
            "X509v3 Key Usage: critical\n                Digital Signature\n",
            "CA:FALSE",
            "X509v3 Authority Key Identifier",
            "X509v3 Subject Key Identifier",
            "Not Before: Oct  9 08:50:00 2018 GMT",
            "Not After : Apr  7 09:00:00 2019 GMT",
        ] {
            assert!(text.contains(wanted), "`{wanted}` is missing in:\n{text}");
        }
    }
}

#[test]
fn openssl_verifies_a_servers_certificate_and_its_names() {
    let folder = Folder::new("server");
    let mut root = authority(3);
    let mut issuing = root.intermediate("Contoso Web", Validity::days(issue_time(), 1000)).expect("room");
    let names =
        ["fe.contoso.example".to_owned(), "*.web.contoso.example".to_owned(), "192.0.2.20".to_owned()];
    let issued = issuing.issue_server(&names, Validity::days(issue_time(), 30)).expect("a certificate");
    folder.write("root.pem", &pem::certificates([root.root()]));
    folder.write("chain.pem", &pem::certificates(&issued.chain[1..]));
    folder.write("server.pem", &pem::certificates(&issued.chain[..1]));
    folder.write("server.key", &pem::private_key(&issued.key));
    let verify = |extra: &str| {
        openssl(
            &folder.0,
            &format!(
                "verify -x509_strict {AT} -purpose sslserver -CAfile root.pem -untrusted chain.pem {extra} server.pem"
            ),
        )
    };
    let Some((is_ok, said)) = verify("-verify_hostname fe.contoso.example") else { return };
    assert!(is_ok, "{said}");
    for (extra, wanted) in [
        ("-verify_hostname a.web.contoso.example", true),
        ("-verify_ip 192.0.2.20", true),
        ("-verify_hostname fe2.contoso.example", false),
        ("-verify_ip 192.0.2.21", false),
    ] {
        let (is_ok, said) = verify(extra).expect("openssl was there before");
        assert_eq!(is_ok, wanted, "{extra}: {said}");
    }
    let key = openssl(&folder.0, "pkey -in server.key -pubout").expect("openssl was there before");
    let certificate =
        openssl(&folder.0, "x509 -in server.pem -noout -pubkey").expect("openssl was there before");
    assert_eq!(key.1, certificate.1, "key and certificate belong together");
}

#[test]
fn openssl_refuses_a_revoked_certificate_by_the_printed_list() {
    let folder = Folder::new("revoked");
    let mut root = authority(4);
    let mut issue = |seed| {
        let holder = Holder::new("alice@contoso.example");
        root.issue_user(&phone_request(seed), &holder, Validity::days(issue_time(), 180))
            .expect("a certificate")
    };
    let (good, bad) = (issue(5), issue(6));
    let mut revocations = Revocations::new();
    revocations.revoke(
        Certificate::read(&bad).expect("readable").serial,
        issue_time(),
        Reason::KeyCompromise,
    );
    let list = root.revocation_list(&revocations, issue_time(), Duration::from_secs(86_400));
    folder.write("root.pem", &pem::certificates([root.root()]));
    folder.write("list.pem", &pem::encode("X509 CRL", &list));
    folder.write("good.pem", &pem::certificates([&good]));
    folder.write("bad.pem", &pem::certificates([&bad]));
    let verify = |file: &str| {
        openssl(
            &folder.0,
            &format!("verify -x509_strict -crl_check {AT} -CAfile root.pem -CRLfile list.pem {file}"),
        )
    };
    let Some((is_ok, said)) = verify("good.pem") else { return };
    assert!(is_ok, "{said}");
    let (is_ok, said) = verify("bad.pem").expect("openssl was there before");
    assert!(!is_ok && said.contains("revoked"), "{said}");
}

#[test]
fn openssl_finds_a_phones_request_in_order() {
    let folder = Folder::new("request");
    let key = Crypto::Seeded.p256_key(&mut Random::named(7, "phone"));
    folder.write(
        "request.pem",
        &pem::encode(
            "CERTIFICATE REQUEST",
            &make_request(&key, "alice@contoso.example").expect("a P-256 key"),
        ),
    );
    let Some((is_ok, said)) = openssl(&folder.0, "req -in request.pem -noout -verify -subject") else {
        return;
    };
    assert!(is_ok, "{said}");
    assert!(said.contains("CN = alice@contoso.example"), "{said}");
}

#[test]
fn an_rsa_request_made_by_openssl_gets_a_certificate_for_its_own_key() {
    let folder = Folder::new("rsa");
    let made = openssl(
        &folder.0,
        "req -new -newkey rsa:2048 -nodes -keyout key.pem -subj /CN=alice@contoso.example -outform DER -out request.der",
    );
    let Some((is_ok, said)) = made else { return };
    assert!(is_ok, "{said}");
    let request = CertificateRequest::parse(&folder.read("request.der")).expect("a good request");
    let holder = Holder::new("alice@contoso.example");
    let mut root = authority(8);
    let issued =
        root.issue_user(&request, &holder, Validity::days(issue_time(), 180)).expect("a certificate");
    folder.write("root.pem", &pem::certificates([root.root()]));
    folder.write("user.pem", &pem::certificates([&issued]));
    let (is_ok, said) =
        openssl(&folder.0, &format!("verify -x509_strict {AT} -purpose sslclient -CAfile root.pem user.pem"))
            .expect("openssl was there before");
    assert!(is_ok, "{said}");
    let key = openssl(&folder.0, "pkey -in key.pem -pubout").expect("openssl was there before");
    let certificate =
        openssl(&folder.0, "x509 -in user.pem -noout -pubkey").expect("openssl was there before");
    assert_eq!(key.1, certificate.1);
}

/// Two server certificates of an authority with such keys, the second revoked; and what the authority says of them.
fn revoked_case(folder: &Folder, keys: KeyKind) -> (Authority, Revocations) {
    let mut random = Random::named(9, "ca");
    let mut root =
        Authority::with_keys(keys, "Contoso Root", Crypto::Seeded, &mut random, issue_time(), 10 * YEAR);
    root.tell_at(Places::new("pki.contoso.example", "", "root"));
    let mut revocations = Revocations::new();
    for name in ["good", "bad"] {
        let issued = root
            .issue_server(&[format!("{name}.contoso.example")], Validity::days(issue_time(), 30))
            .expect("a certificate");
        folder.write(&format!("{name}.pem"), &pem::certificates(&issued.chain));
        folder.write(&format!("{name}.key"), &pem::private_key(&issued.key));
        if name == "bad" {
            let serial = Certificate::read(&issued.chain[0]).expect("readable").serial;
            revocations.revoke(serial, issue_time(), Reason::KeyCompromise);
        }
    }
    folder.write("root.pem", &pem::certificates([root.root()]));
    (root, revocations)
}

#[test]
fn openssl_asks_by_ocsp_and_believes_the_authority_and_its_delegate() {
    for (keys, by) in
        [(KeyKind::P256, "authority"), (KeyKind::P256, "delegate"), (KeyKind::Rsa2048, "authority")]
    {
        let folder = Folder::new(&format!("ocsp-{keys:?}-{by}"));
        let (mut root, revocations) = revoked_case(&folder, keys);
        let asked = openssl(
            &folder.0,
            "ocsp -issuer root.pem -cert good.pem -cert bad.pem -serial 0x1234 -sha256 -cert good.pem -reqout request.der",
        );
        let Some((is_ok, said)) = asked else { return };
        assert!(is_ok, "{said}");
        let delegate = root.issue_responder("OCSP", Validity::days(issue_time(), 30)).expect("a certificate");
        let responder = match by {
            "authority" => ocsp::Responder::of(&root),
            _ => ocsp::Responder::delegated(&root, &delegate).expect("credentials that fit"),
        };
        let known: Vec<_> = ["good.pem", "bad.pem"]
            .map(|file| {
                let text = String::from_utf8(folder.read(file)).expect("PEM is text");
                Certificate::read(&pem::read_certificates(&text).expect("PEM")[0]).expect("readable").serial
            })
            .into();
        let life = Duration::from_secs(600);
        let answer = responder.answer(&folder.read("request.der"), issue_time(), life, |serial| {
            match revocations.find(serial) {
                Some(revoked) => ocsp::Standing::Revoked(revoked),
                None if known.contains(serial) => ocsp::Standing::Good,
                None => ocsp::Standing::Unknown,
            }
        });
        folder.write_octets("answer.der", &answer);
        let (is_ok, said) = openssl(
            &folder.0,
            &format!(
                "ocsp -respin answer.der -reqin request.der -CAfile root.pem -verify_other root.pem {AT} -resp_text"
            ),
        )
        .expect("openssl was there before");
        assert!(is_ok && said.contains("Response verify OK"), "{said}");
        assert!(!said.contains("WARNING"), "the nonce was not repeated:\n{said}");
        for wanted in ["Cert Status: good", "Cert Status: revoked", "Cert Status: unknown", "keyCompromise"] {
            assert!(said.contains(wanted), "{wanted} is missing in {said}");
        }
        assert_eq!(said.matches("Cert Status: good").count(), 2, "by SHA-1 and by SHA-256: {said}");
    }
}

#[test]
fn openssl_finds_the_places_in_a_certificate_and_checks_the_list_for_rsa_too() {
    for keys in [KeyKind::P256, KeyKind::Rsa2048] {
        let folder = Folder::new(&format!("places-{keys:?}"));
        let (root, revocations) = revoked_case(&folder, keys);
        let list = root.revocation_list(&revocations, issue_time(), Duration::from_secs(86_400));
        folder.write_octets("list.crl", &list);
        let Some((_, text)) = openssl(&folder.0, "x509 -in good.pem -noout -text") else { return };
        for wanted in [
            "OCSP - URI:http://pki.contoso.example/root/ocsp",
            "CA Issuers - URI:http://pki.contoso.example/root.crt",
            "URI:http://pki.contoso.example/root.crl",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in {text}");
        }
        let (is_ok, said) =
            openssl(&folder.0, "crl -inform DER -in list.crl -CAfile root.pem -noout -text -out list.txt")
                .expect("openssl was there before");
        assert!(is_ok && said.contains("verify OK"), "{said}");
        openssl(&folder.0, "crl -inform DER -in list.crl -out list.pem").expect("openssl was there before");
        for (file, wanted) in [("good.pem", true), ("bad.pem", false)] {
            let (is_ok, said) = openssl(
                &folder.0,
                &format!("verify -x509_strict -crl_check {AT} -purpose sslserver -CAfile root.pem -CRLfile list.pem {file}"),
            )
            .expect("openssl was there before");
            assert_eq!(is_ok, wanted, "{file}: {said}");
        }
        let key = openssl(&folder.0, "pkey -in good.key -noout -text").expect("openssl was there before").1;
        let wanted = if keys == KeyKind::P256 { "256 bit" } else { "2048 bit" };
        assert!(key.contains(wanted), "{key}");
    }
}
