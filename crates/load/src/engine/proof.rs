//! A phone's answers to digest challenges (RFC 7616, RFC 3261 §22): the last challenge, and how often it was used.

use sip::Message;
use sip::digest::{Asked, Asker, Challenge, Ha1, Protection, Qop, Salt};

/// How many challenges of one response are looked at.
const CHALLENGES_MAX: usize = 16;

/// What a phone needs to prove itself.
#[derive(Clone, Debug)]
pub struct Proof {
    asker: Asker,
    challenge: Challenge,
    count: u32,
}

impl Proof {
    /// Takes the first challenge of a 401 or 407 that can be answered, as RFC 8760 §2.4 wants it. Nothing if there is none.
    pub fn asked_by(response: &Message) -> Option<Proof> {
        let asker = Asker::by(response.status()?)?;
        let challenges = response.headers(asker.challenge_header()).take(CHALLENGES_MAX);
        let mut readable = challenges.filter_map(|text| Challenge::parse(text).ok());
        let is_answerable = |it: &Challenge| it.qop.is_empty() || it.qop.contains(&Qop::Auth);
        let challenge = readable.find(is_answerable)?;
        Some(Proof { asker, challenge, count: 0 })
    }

    /// Whether the server says that only the nonce was wrong.
    pub fn is_stale(&self) -> bool {
        self.challenge.stale
    }

    /// One more request is proved with the nonce.
    pub fn count_up(&mut self) {
        self.count = self.count.wrapping_add(1).max(1);
    }

    /// Writes the header for a request, line end included.
    pub fn write(
        &self,
        (user, password): (&str, &str),
        method: &str,
        uri: &str,
        cnonce: &str,
        out: &mut String,
    ) {
        let Challenge { realm, nonce, opaque, algorithm, qop, .. } = &self.challenge;
        let ha1 = Ha1::of(algorithm.hash, user, realm, password);
        let needs_cnonce = !qop.is_empty() || algorithm.is_session;
        let protection = needs_cnonce.then_some(Protection { qop: Qop::Auth, count: self.count, cnonce });
        let salt = Salt { algorithm: *algorithm, nonce, protection };
        let response = sip::digest::response(&ha1, &salt, &Asked { method, uri, body: b"" });
        out.push_str(self.asker.credentials_header());
        quoted(": Digest username", user, out);
        quoted(", realm", realm, out);
        quoted(", nonce", nonce, out);
        quoted(", uri", uri, out);
        quoted(", response", &response, out);
        out.push_str(", algorithm=");
        out.push_str(algorithm.name());
        if let Some(opaque) = opaque {
            quoted(", opaque", opaque, out);
        }
        if needs_cnonce {
            out.push_str(", qop=auth, nc=");
            for place in (0..8).rev() {
                let digit = self.count >> (place * 4) & 0xf;
                out.push(char::from(b"0123456789abcdef"[digit as usize]));
            }
            quoted(", cnonce", cnonce, out);
        }
        out.push_str("\r\n");
    }
}

/// Writes `name="value"`, with what may not stand between quotes escaped (RFC 3261 §25.1).
fn quoted(name: &str, value: &str, out: &mut String) {
    out.push_str(name);
    out.push_str("=\"");
    let mut rest = value;
    while let Some(at) = rest.find(['"', '\\']) {
        out.push_str(&rest[..at]);
        out.push('\\');
        out.push_str(&rest[at..=at]);
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sip::digest::{Algorithm, Credentials};

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_as_a_proof(
            user in "[ -~]{1,20}", realm in "[ -~]{1,20}", nonce in "[ -~]{1,40}", opaque in "[ -~]{0,9}",
            has_opaque: bool, which in 0..6_usize, has_qop: bool, count in 1..u32::MAX,
        ) {
            let algorithm = Algorithm::ALL[which];
            let challenge = Challenge {
                realm: realm.clone(),
                nonce: nonce.clone(),
                opaque: has_opaque.then(|| opaque.clone()),
                algorithm,
                qop: if has_qop { vec![Qop::Auth] } else { Vec::new() },
                stale: false,
                userhash: false,
            };
            let proof = Proof { asker: Asker::Server, challenge, count };
            let mut header = String::new();
            proof.write((&user, "pass"), "REGISTER", "sip:contoso.example", "0a1b", &mut header);
            let value = header.strip_prefix("Authorization: ").and_then(|it| it.strip_suffix("\r\n"));
            let read = Credentials::parse(value.expect("a line")).expect("it can be read");
            prop_assert!(read.is_proof_of(&Ha1::of(algorithm.hash, &user, &realm, "pass"), "REGISTER", b""));
            prop_assert_eq!((&read.username, &read.realm, &read.nonce), (&user, &realm, &nonce));
            prop_assert_eq!(read.opaque, has_opaque.then_some(opaque));
            let is_counted = has_qop || algorithm.is_session;
            prop_assert_eq!(read.protection.map(|it| it.1), is_counted.then_some(count));
        }
    }
}
