//! The client's side: which challenge to answer, with which nonce, and when to stop (RFC 3261 §22.2, §22.3).
//!
//! A realm's nonce is kept and counted, so that only the first request is challenged. A password that was refused is
//! not sent a second time, a stale nonce is replaced without asking anybody but not for ever, and a realm that is not
//! the login's own gets nothing: otherwise whoever answers 401 or 407 could collect proofs to try passwords against.

use std::collections::BTreeMap;

use net::Random;
use thiserror::Error;

use super::{Asked, Challenge, Credentials, Ha1, Hash, Protection, Qop, Salt, TEXT_MAX};
use crate::message::Message;

/// The most challenges that are looked at in one response: a proxy asks with one for each algorithm, a fork with
/// one set for each branch.
pub const CHALLENGES_MAX: usize = 16;
/// The most realms whose nonces are kept; the one first in the alphabet makes room, at the cost of a challenge.
pub const REALMS_MAX: usize = 16;
/// How often in a row a nonce may turn out stale before the server is taken for broken.
pub const STALE_MAX: u8 = 3;

/// A name and a password, and whom they are for.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name at the server.
    pub user: String,
    /// The password.
    pub password: String,
    /// The only realm that gets an answer; `None` trusts every server that is asked.
    pub realm: Option<String>,
    /// The weakest hash that is used: [`Hash::Md5`] takes all.
    pub weakest: Hash,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({} •••)", self.user)
    }
}

/// Who asks: decides the names of the headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asker {
    /// The server itself, by 401.
    Server,
    /// A proxy on the way, by 407.
    Proxy,
}

impl Asker {
    /// Who asks by this status, if somebody does.
    pub fn by(status: u16) -> Option<Asker> {
        match status {
            401 => Some(Asker::Server),
            407 => Some(Asker::Proxy),
            _ => None,
        }
    }

    /// The header of the challenge.
    pub fn challenge_header(self) -> &'static str {
        match self {
            Asker::Server => "WWW-Authenticate",
            Asker::Proxy => "Proxy-Authenticate",
        }
    }

    /// The header of the answer.
    pub fn credentials_header(self) -> &'static str {
        match self {
            Asker::Server => "Authorization",
            Asker::Proxy => "Proxy-Authorization",
        }
    }
}

/// Why a challenge gets no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoAnswer {
    /// The response asks for nothing, or for nothing that can be read.
    #[error("the response holds no challenge that can be answered")]
    NoChallenge,
    /// Every challenge comes from a realm that the login is not for.
    #[error("the login is not for realm `{0}`")]
    ForeignRealm(String),
    /// Only hashes that are weaker than the login allows.
    #[error("only weaker algorithms than allowed are offered")]
    TooWeak,
    /// The name or the password was refused.
    #[error("realm `{0}` refuses the name or the password")]
    Refused(String),
    /// Every nonce is stale as soon as it is there.
    #[error("every nonce of realm `{0}` is stale at once")]
    StaleForEver(String),
}

/// A realm's nonce and how it was used.
#[derive(Clone)]
struct Session {
    challenge: Challenge,
    qop: Option<Qop>,
    cnonce: String,
    count: u32,
    /// A proof with this nonce was taken.
    is_proven: bool,
    /// How many nonces in a row were replaced without success.
    stale: u8,
}

/// One login and the nonces it has.
#[derive(Clone)]
pub struct Client {
    login: Login,
    sessions: BTreeMap<(Asker, String), Session>,
}

impl Client {
    /// A login that was not challenged yet.
    pub fn new(login: Login) -> Client {
        Client { login, sessions: BTreeMap::new() }
    }

    /// The login.
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// Forgets every nonce, as when the server changes.
    pub fn forget(&mut self) {
        self.sessions.clear();
    }

    /// The headers that prove a request to everybody who asked so far; none before the first challenge.
    ///
    /// Each call counts: call it once for each request that is sent, not for repeats of the same octets.
    pub fn answer(&mut self, asked: &Asked<'_>) -> Vec<(&'static str, String)> {
        // A count that ran over would start again from one: the nonce is spent.
        self.sessions.retain(|_, session| session.count < u32::MAX);
        let login = &self.login;
        self.sessions
            .iter_mut()
            .map(|((asker, _), session)| {
                (asker.credentials_header(), session.credentials(login, asked).to_string())
            })
            .collect()
    }

    /// Takes in the challenges of a 401 or 407 to `sent`. After `Ok` send the request again, as a new one (its CSeq one
    /// higher), with what [`Client::answer`] gives.
    ///
    /// # Errors
    ///
    /// Says why sending again would be of no use, or unwise. The nonces of a realm that refused are forgotten, so that
    /// a later request, perhaps after the password was mended at the server, begins anew.
    pub fn challenged(
        &mut self,
        response: &Message,
        sent: &Message,
        random: &mut Random,
    ) -> Result<(), NoAnswer> {
        let asker = response.status().and_then(Asker::by).ok_or(NoAnswer::NoChallenge)?;
        let chosen = self.choose(asker, response)?;
        for challenge in chosen.into_values() {
            let key = (asker, challenge.realm.clone());
            let stale = match used_nonce(sent, asker, &challenge.realm) {
                None => 0,
                Some(nonce) => {
                    let session = self.sessions.get(&key);
                    let stale = session.map_or(0, |session| session.stale);
                    // A nonce that was good before and is not any more is old, even where the server does not say so.
                    let was_good = session.is_some_and(|session| {
                        session.challenge.nonce == nonce && session.is_proven && challenge.nonce != nonce
                    });
                    if !(challenge.stale || was_good) {
                        self.sessions.remove(&key);
                        return Err(NoAnswer::Refused(challenge.realm));
                    }
                    if stale == STALE_MAX {
                        self.sessions.remove(&key);
                        return Err(NoAnswer::StaleForEver(challenge.realm));
                    }
                    stale + 1
                }
            };
            if self.sessions.len() >= REALMS_MAX && !self.sessions.contains_key(&key) {
                self.sessions.pop_first();
            }
            self.sessions.insert(key, Session::new(challenge, stale, random));
        }
        Ok(())
    }

    /// Takes in any other final response to `sent`: the proofs in it were taken. A `nextnonce` is used from now on
    /// (RFC 7616 §3.5).
    pub fn accepted(&mut self, response: &Message, sent: &Message, random: &mut Random) {
        for ((asker, realm), session) in &mut self.sessions {
            if used_nonce(sent, *asker, realm).is_some_and(|nonce| nonce == session.challenge.nonce) {
                session.is_proven = true;
                session.stale = 0;
            }
            let info = match asker {
                Asker::Server => "Authentication-Info",
                Asker::Proxy => "Proxy-Authentication-Info",
            };
            if let Some(nonce) = response.header(info).and_then(next_nonce) {
                let challenge = Challenge { nonce, ..session.challenge.clone() };
                *session = Session { is_proven: true, ..Session::new(challenge, 0, random) };
            }
        }
    }

    /// For each realm the strongest challenge that can be answered; among equals the first, as RFC 8760 §2.4 has it.
    fn choose(&self, asker: Asker, response: &Message) -> Result<BTreeMap<String, Challenge>, NoAnswer> {
        let mut chosen: BTreeMap<String, Challenge> = BTreeMap::new();
        let mut why_not = NoAnswer::NoChallenge;
        for value in response.headers(asker.challenge_header()).take(CHALLENGES_MAX) {
            let Ok(challenge) = Challenge::parse(value) else { continue };
            // Without a quality there is no client's nonce, of which the session's key is made.
            if challenge.algorithm.is_session && challenge.qop.is_empty() {
                continue;
            }
            if self.login.realm.as_ref().is_some_and(|own| !own.eq_ignore_ascii_case(&challenge.realm)) {
                why_not = NoAnswer::ForeignRealm(challenge.realm);
                continue;
            }
            if challenge.algorithm.hash < self.login.weakest {
                why_not = NoAnswer::TooWeak;
                continue;
            }
            match chosen.get(&challenge.realm) {
                Some(other) if other.algorithm.hash >= challenge.algorithm.hash => {}
                _ => {
                    chosen.insert(challenge.realm.clone(), challenge);
                }
            }
        }
        if chosen.is_empty() { Err(why_not) } else { Ok(chosen) }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({:?}, {} realms)", self.login, self.sessions.len())
    }
}

impl Session {
    fn new(challenge: Challenge, stale: u8, random: &mut Random) -> Session {
        // A body may be changed on its way by those who may (RFC 3261 §16), so `auth-int` is for who asks for nothing else.
        let qop = challenge.qop.iter().find(|qop| **qop == Qop::Auth).or(challenge.qop.first()).copied();
        Session { challenge, qop, cnonce: random.hex(16), count: 0, is_proven: false, stale }
    }

    fn credentials(&mut self, login: &Login, asked: &Asked<'_>) -> Credentials {
        self.count += 1;
        let Challenge { realm, nonce, opaque, algorithm, userhash, .. } = &self.challenge;
        let protection = self.qop.map(|qop| Protection { qop, count: self.count, cnonce: &self.cnonce });
        let salt = Salt { algorithm: *algorithm, nonce, protection };
        let ha1 = Ha1::of(algorithm.hash, &login.user, realm, &login.password);
        let username = match userhash {
            true => super::user_hash(algorithm.hash, &login.user, realm),
            false => login.user.clone(),
        };
        Credentials {
            username,
            userhash: *userhash,
            realm: realm.clone(),
            nonce: nonce.clone(),
            uri: asked.uri.to_owned(),
            response: super::response(&ha1, &salt, asked),
            algorithm: *algorithm,
            opaque: opaque.clone(),
            protection: self.qop.map(|qop| (qop, self.count, self.cnonce.clone())),
        }
    }
}

/// The nonce that a sent request answered a realm with.
fn used_nonce(sent: &Message, asker: Asker, realm: &str) -> Option<String> {
    sent.headers(asker.credentials_header())
        .filter_map(|value| Credentials::parse(value).ok())
        .find(|credentials| credentials.realm == realm)
        .map(|credentials| credentials.nonce)
}

/// The `nextnonce` of an `Authentication-Info`, which has parameters and no scheme.
fn next_nonce(value: &str) -> Option<String> {
    let info = crate::auth::Auth::parse(&format!("{} {value}", super::SCHEME)).ok()?;
    info.get("nextnonce")
        .filter(|nonce| !nonce.is_empty() && nonce.len() <= TEXT_MAX)
        .map(|nonce| nonce.into_owned())
}
