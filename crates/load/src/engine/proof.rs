//! A phone's answers to digest challenges (RFC 7616, RFC 3261 §22): the last challenge, and how often it was used.

use sip::Message;
use sip::digest::{Algorithm, Asked, Asker, Challenge, Credentials, Ha1, Protection, Qop, Salt};

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

    /// The header for a request, line end included.
    pub fn header(&self, user: &str, password: &str, method: &str, uri: &str, cnonce: &str) -> String {
        let Challenge { realm, nonce, opaque, algorithm, qop, .. } = &self.challenge;
        let ha1 = Ha1::of(algorithm.hash, user, realm, password);
        let needs_cnonce = !qop.is_empty() || is_session(*algorithm);
        let protection = needs_cnonce.then_some(Protection { qop: Qop::Auth, count: self.count, cnonce });
        let salt = Salt { algorithm: *algorithm, nonce, protection };
        let response = sip::digest::response(&ha1, &salt, &Asked { method, uri, body: b"" });
        let credentials = Credentials {
            username: user.to_owned(),
            userhash: false,
            realm: realm.clone(),
            nonce: nonce.clone(),
            uri: uri.to_owned(),
            response,
            algorithm: *algorithm,
            opaque: opaque.clone(),
            protection: needs_cnonce.then(|| (Qop::Auth, self.count, cnonce.to_owned())),
        };
        format!("{}: {credentials}\r\n", self.asker.credentials_header())
    }
}

fn is_session(algorithm: Algorithm) -> bool {
    algorithm.is_session
}
