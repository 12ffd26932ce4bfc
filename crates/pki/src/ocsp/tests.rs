//! Questions of every kind, bad ones included.

use net::{Crypto, Random};
use proptest::prelude::*;

use super::*;
use crate::authority::Validity;

fn now() -> Wall {
    Wall::parse("2018-10-09T09:00:00Z").expect("a date")
}

fn authority() -> Authority {
    let life = Duration::from_secs(10 * 365 * 86_400);
    Authority::new("Contoso Root", Crypto::Seeded, &mut Random::named(1, "ca"), now(), life)
}

/// A question about `serial` at `authority`, by SHA-1 as most clients ask.
fn question(authority: &Authority, serial: &[u8], nonce: Option<&[u8]>) -> Vec<u8> {
    let (_, issuer) = X509Certificate::from_der(authority.certificate()).expect("readable");
    let name = Sha1::digest(issuer.subject().as_raw());
    let key = Sha1::digest(&issuer.public_key().subject_public_key.data);
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_sequence(|writer| {
                writer.next().write_sequence(|writer| {
                    writer.next().write_sequence(|writer| {
                        writer.next().write_sequence(|writer| {
                            writer.next().write_sequence(|writer| {
                                writer.next().write_oid(&ObjectIdentifier::from_slice(SHA_1));
                                writer.next().write_null();
                            });
                            writer.next().write_bytes(&name);
                            writer.next().write_bytes(&key);
                            writer.next().write_bigint_bytes(serial, true);
                        });
                    });
                });
                if let Some(nonce) = nonce {
                    writer.next().write_tagged(Tag::context(2), |writer| {
                        writer.write_sequence(|writer| {
                            writer.next().write_sequence(|writer| {
                                writer.next().write_oid(&ObjectIdentifier::from_slice(OCSP_NONCE));
                                writer.next().write_bytes(nonce);
                            });
                        });
                    });
                }
            });
        });
    })
}

fn answer(authority: &Authority, request: &[u8]) -> Vec<u8> {
    Responder::of(authority).answer(request, now(), Duration::from_secs(600), |_| Standing::Good)
}

#[test]
fn a_question_is_read_as_it_was_asked() {
    let authority = authority();
    let request = OcspRequest::read(&question(&authority, &[0x12, 0x34], Some(b"\x04\x02ab"))).expect("good");
    assert_eq!(request.questions[0].serial, Serial::from_be_bytes(&[0x12, 0x34]));
    assert_eq!(request.nonce.as_deref(), Some(&b"\x04\x02ab"[..]));
}

#[test]
fn only_certificates_of_this_issuer_are_looked_up() {
    let (ours, other) = (authority(), {
        let life = Duration::from_secs(86_400);
        Authority::new("Fabrikam Root", Crypto::Seeded, &mut Random::named(2, "ca"), now(), life)
    });
    let mut asked = Vec::new();
    for of in [&ours, &other] {
        Responder::of(&ours).answer(&question(of, &[7], None), now(), Duration::from_secs(1), |serial| {
            asked.push(serial.to_string());
            Standing::Good
        });
    }
    assert_eq!(asked, ["07"]);
}

#[test]
fn what_is_no_question_is_told_so() {
    let authority = authority();
    let malformed = Trouble::MalformedRequest.response();
    assert_eq!(malformed, [0x30, 3, 0x0a, 1, 1]);
    let good = question(&authority, &[7], None);
    assert_ne!(answer(&authority, &good), malformed);
    let with_rest = [&good[..], &[0]].concat();
    let long_nonce = question(&authority, &[7], Some(&[0; 132]));
    let long_serial = question(&authority, &[1; 65], None);
    for bad in
        [&[][..], b"GET /", &good[..good.len() - 1], &with_rest, &long_nonce, &long_serial, &[0x30; 9000]]
    {
        assert_eq!(answer(&authority, bad), malformed, "{bad:02x?}");
    }
    assert_ne!(answer(&authority, &question(&authority, &[7], Some(&[0; 131]))), malformed);
}

#[test]
fn a_delegate_is_named_in_its_answers() {
    let mut authority = authority();
    let delegate = authority.issue_responder("OCSP", Validity::days(now(), 30)).expect("a certificate");
    let request = question(&authority, &[7], None);
    let responder = Responder::delegated(&authority, &delegate).expect("credentials that fit");
    let answer = responder.answer(&request, now(), Duration::from_secs(600), |_| Standing::Good);
    let certificate = &delegate.chain[0];
    assert!(answer.windows(certificate.len()).any(|window| window == &certificate[..]));
}

proptest! {
    #[test]
    fn no_octets_make_the_reader_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = OcspRequest::read(&octets);
    }

    #[test]
    fn no_damage_to_a_question_makes_the_responder_panic(
        place in any::<prop::sample::Index>(), octet in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let authority = authority();
        let mut request = question(&authority, &[0x12, 0x34], Some(b"\x04\x02ab"));
        let place = place.index(request.len());
        request[place] = octet;
        answer(&authority, &request);
        request.truncate(cut.index(request.len()));
        prop_assert_eq!(answer(&authority, &request), Trouble::MalformedRequest.response());
    }
}
