//! The server's side: challenges, and whether credentials prove what they should (RFC 3261 §22, RFC 8760 §2).
//!
//! Who the users are is the caller's affair: it looks the name up and hands the key in. A name that nobody has takes
//! as long to refuse as a wrong password.

use std::time::Duration;

use net::Time;

use super::nonces::{Nonces, Old};
use super::{Algorithm, Asked, Challenge, Credentials, DigestError, Ha1, Qop};
use crate::message::Message;
use crate::uri::Uri;

/// What a server demands.
#[derive(Clone, Debug)]
pub struct ServerSetup {
    /// Whose passwords count.
    pub realm: String,
    /// The algorithms that are offered, the preferred one first (RFC 8760 §2.3). A caller that cannot make the key for
    /// one must not offer it.
    pub algorithms: Vec<Algorithm>,
    /// The qualities that are offered; empty offers RFC 2069 only, which RFC 3261 §22.4 forbids to servers.
    pub qop: Vec<Qop>,
    /// How long a nonce counts.
    pub lifetime: Duration,
    /// Whether a hash is taken in place of the user's name.
    pub userhash: bool,
}

impl ServerSetup {
    /// SHA-256 and MD5, quality `auth`, nonces of five minutes.
    pub fn of(realm: &str) -> ServerSetup {
        ServerSetup {
            realm: realm.to_owned(),
            algorithms: vec![Algorithm::SHA_256, Algorithm::MD5],
            qop: vec![Qop::Auth],
            lifetime: Duration::from_secs(300),
            userhash: false,
        }
    }
}

/// Asks and judges.
#[derive(Debug)]
pub struct Server {
    setup: ServerSetup,
    nonces: Nonces,
    /// What proofs for a name that nobody has are held against, one for each algorithm that is offered.
    nobody: Vec<Ha1>,
}

/// Why a right proof does not count: ask again with `stale=true`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldNonce {
    /// The nonce was made by somebody else, or before this server was started.
    NotMine,
    /// The nonce is too old.
    Expired,
    /// The count was used before: a replay, or a request that was overtaken by more than the window.
    Replayed,
}

/// What credentials are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They prove who asks.
    Good,
    /// The password is right, the nonce is not: ask again, and say so.
    Stale(OldNonce),
    /// The name or the password is wrong: ask again, without saying which.
    Wrong,
    /// They are for another algorithm or quality than was offered, or hash a name that must not be hashed: ask again.
    NotOffered,
    /// They are for another address than the request: answer 400 (RFC 7616 §3.4.6).
    OtherUri,
}

impl Server {
    /// A server whose nonces are signed by `secret`: 32 octets that nobody else knows, best drawn at each start.
    pub fn new(setup: ServerSetup, secret: [u8; 32]) -> Server {
        let nonces = Nonces::new(secret, setup.lifetime);
        let nobody = setup.algorithms.iter().map(|it| Ha1::of(it.hash, "", &setup.realm, "")).collect();
        Server { setup, nonces, nobody }
    }

    /// What it demands.
    pub fn setup(&self) -> &ServerSetup {
        &self.setup
    }

    /// How many used nonces are remembered, at most [`super::NONCES_MAX`].
    pub fn remembered(&self) -> usize {
        self.nonces.remembered()
    }

    /// The challenges of one 401 or 407, a header value for each algorithm; `stale` says that the password was right.
    pub fn challenges(&mut self, now: Time, stale: bool) -> Vec<Challenge> {
        let nonce = self.nonces.make(now);
        let challenge = |algorithm: &Algorithm| Challenge {
            realm: self.setup.realm.clone(),
            nonce: nonce.clone(),
            opaque: None,
            algorithm: *algorithm,
            qop: self.setup.qop.clone(),
            stale,
            userhash: self.setup.userhash,
        };
        self.setup.algorithms.iter().map(challenge).collect()
    }

    /// The credentials for this server's realm in the headers called `header`, among those for others.
    ///
    /// # Errors
    ///
    /// Says what is wrong with digest credentials that cannot be read, if there are no others: answer 400.
    pub fn credentials(&self, request: &Message, header: &str) -> Result<Option<Credentials>, DigestError> {
        let mut wrong = Ok(None);
        for value in request.headers(header) {
            match Credentials::parse(value) {
                Ok(credentials) if credentials.realm == self.setup.realm => return Ok(Some(credentials)),
                Ok(_) | Err(DigestError::OtherScheme) => {}
                Err(error) => wrong = Err(error),
            }
        }
        wrong
    }

    /// Judges credentials of a user whose key is `ha1`; `None` if there is no such user.
    ///
    /// The key must be of the credentials' algorithm's hash. A good verdict uses the nonce's count up.
    pub fn judge(
        &mut self,
        now: Time,
        asked: &Asked<'_>,
        credentials: &Credentials,
        ha1: Option<&Ha1>,
    ) -> Verdict {
        let setup = &self.setup;
        let is_offered = setup.algorithms.contains(&credentials.algorithm)
            && credentials.realm == setup.realm
            && (setup.userhash || !credentials.userhash)
            && credentials.protection.as_ref().is_none_or(|(qop, ..)| setup.qop.contains(qop));
        if !is_offered {
            return Verdict::NotOffered;
        }
        let nobody = self.nobody.iter().find(|key| key.hash() == credentials.algorithm.hash);
        let key = ha1.or(nobody);
        let is_proof = key.is_some_and(|key| credentials.is_proof_of(key, asked.method, asked.body));
        if !is_proof || ha1.is_none() {
            return Verdict::Wrong;
        }
        if !is_same_uri(&credentials.uri, asked.uri) {
            return Verdict::OtherUri;
        }
        let count = credentials.protection.as_ref().map(|(_, count, _)| *count);
        match self.nonces.use_up(now, &credentials.nonce, count) {
            Ok(()) => Verdict::Good,
            Err(Old::NotMine) => Verdict::Stale(OldNonce::NotMine),
            Err(Old::Expired) => Verdict::Stale(OldNonce::Expired),
            Err(Old::Replayed) => Verdict::Stale(OldNonce::Replayed),
        }
    }

    /// The value of `Authentication-Info`: that the server knows the password as well, and what to use next
    /// (RFC 7616 §3.5).
    pub fn info(
        &mut self,
        now: Time,
        credentials: &Credentials,
        ha1: &Ha1,
        body: &[u8],
        renew: Renew,
    ) -> String {
        let proof = super::response_of_server(ha1, &credentials.salt(), &credentials.uri, body);
        let mut value = format!("rspauth=\"{proof}\"");
        if let Some((qop, count, cnonce)) = &credentials.protection {
            let cnonce = crate::value::quote(cnonce);
            value = format!("qop={}, {value}, cnonce={cnonce}, nc={count:08x}", qop.name());
        }
        match renew {
            Renew::Keep => value,
            Renew::Next => format!("nextnonce=\"{}\", {value}", self.nonces.make(now)),
        }
    }
}

/// Whether a client is to go on with the nonce it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renew {
    /// It keeps its nonce.
    Keep,
    /// It gets a new one.
    Next,
}

/// Equal as written, or as addresses (RFC 3261 §19.1.4).
fn is_same_uri(theirs: &str, asked: &str) -> bool {
    theirs == asked
        || matches!((Uri::parse(theirs), Uri::parse(asked)), (Ok(theirs), Ok(asked)) if theirs.same_as(&asked))
}
