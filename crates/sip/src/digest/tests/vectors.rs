//! Digest against the vectors of its RFCs.

use super::super::*;

const INVITE: Asked<'_> = Asked { method: "INVITE", uri: "sip:bob@biloxi.com", body: b"v=0\r\n" };

fn salt<'a>(algorithm: Algorithm, nonce: &'a str, qop: Option<Qop>, cnonce: &'a str) -> Salt<'a> {
    Salt { algorithm, nonce, protection: qop.map(|qop| Protection { qop, count: 1, cnonce }) }
}

#[test]
fn the_vectors_of_rfc_2617_and_7616_come_out() {
    let asked = Asked { method: "GET", uri: "/dir/index.html", body: b"" };
    let mufasa = |hash, realm| Ha1::of(hash, "Mufasa", realm, "Circle of Life");

    // RFC 2617 §3.5, whose password is written with a capital O.
    let ha1 = Ha1::of(Hash::Md5, "Mufasa", "testrealm@host.com", "Circle Of Life");
    let salt_2617 = salt(Algorithm::MD5, "dcd98b7102dd2f0e8b11d0f600bfb0c093", Some(Qop::Auth), "0a4f113b");
    assert_eq!(response(&ha1, &salt_2617, &asked), "6629fae49393a05397450978507c4ef1");

    // RFC 7616 §3.9.1.
    let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    for (algorithm, expected) in [
        (Algorithm::MD5, "8ca523f5e9506fed4657c9700eebdbec"),
        (Algorithm::SHA_256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let ha1 = mufasa(algorithm.hash, "http-auth@example.org");
        assert_eq!(response(&ha1, &salt(algorithm, nonce, Some(Qop::Auth), cnonce), &asked), expected);
    }

    // RFC 7616 §3.9.2 as erratum 4897 has it: the RFC's own numbers cut SHA-512, which is another function. The
    // proof was computed with OpenSSL's SHA-512/256.
    let (user, realm) = ("J\u{e4}s\u{f8}n Doe", "api@example.org");
    let hash = user_hash(Hash::Sha512_256, user, realm);
    assert_eq!(hash, "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b");
    let ha1 = Ha1::of(Hash::Sha512_256, user, realm, "Secret, or not?");
    let nonce = "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK";
    let cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm";
    let asked = Asked { uri: "/doe.json", ..asked };
    let proof = response(&ha1, &salt(Algorithm::SHA_512_256, nonce, Some(Qop::Auth), cnonce), &asked);
    assert_eq!(proof, "7a4e1192babbba02e91182d2895bfdbf7adafc6e48d4e517ca301974843d840c");
}

/// The values of draft-smith-sipping-auth-examples, which SIP stacks have used to compare notes since 2003.
#[test]
fn proofs_for_sip_come_out_with_every_quality() {
    let ha1 = Ha1::of(Hash::Md5, "bob", "biloxi.com", "zanzibar");
    assert_eq!(ha1, Ha1::from_hex(Hash::Md5, "12af60467a33e8518da5c68bbff12b11").unwrap());
    let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
    for (algorithm, qop, expected) in [
        (Algorithm::MD5, None, "bf57e4e0d0bffc0fbaedce64d59add5e"),
        (Algorithm::MD5, Some(Qop::Auth), "89eb0059246c02b2f6ee02c7961d5ea3"),
    ] {
        assert_eq!(response(&ha1, &salt(algorithm, nonce, qop, "0a4f113b"), &INVITE), expected);
    }
    // The body and the session's key each change the proof.
    let mut proofs: Vec<String> = [Algorithm::MD5, Algorithm::MD5_SESS]
        .into_iter()
        .flat_map(|algorithm| {
            [Qop::Auth, Qop::AuthInt].map(|qop| salt(algorithm, nonce, Some(qop), "0a4f113b"))
        })
        .map(|salt| response(&ha1, &salt, &INVITE))
        .collect();
    let body = Asked { body: b"v=1\r\n", ..INVITE };
    proofs.push(response(&ha1, &salt(Algorithm::MD5, nonce, Some(Qop::AuthInt), "0a4f113b"), &body));
    proofs.sort();
    proofs.dedup();
    assert_eq!(proofs.len(), 5);
}
