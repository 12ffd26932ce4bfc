//! Access tokens: checked by the keys that the identity service publishes, as any stranger would.
//!
//! The pool dials the identity service when it meets a key it does not know, and rests between two tries, so that
//! invented key ids make no traffic. Whoever shows a token meanwhile waits; a service that does not answer
//! makes the pool unavailable for them, not their token wrong.
//!
//! Only RS256 is taken. Dates are read by the pool's own wall clock, never by the library's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation};
use net::http::{ClientConnection, Limits, Request, header};
use net::tls::{ClientTls, NameCheck};
use net::{Dial, Note, Outbox, Security, StreamEvent, StreamId, Time, Wall, WallClock};
use serde::Deserialize;

use crate::accounts::normal;
use crate::setup::IdentityService;

/// How long the identity service may take to publish its keys.
pub const FETCH_LIMIT: Duration = Duration::from_secs(8);
/// The rest between two tries to fetch the keys.
pub const FETCH_REST: Duration = Duration::from_secs(30);
/// How long fetched keys count before they are fetched anew.
pub const KEYS_LIFE: Duration = Duration::from_secs(24 * 3600);
/// The most keys that are taken of one publication.
pub const KEYS_LIMIT: usize = 16;
/// The longest token, in octets.
pub const TOKEN_LIMIT: usize = 8 << 10;
/// How far the clocks of pool and identity service may be apart, in seconds.
pub const LEEWAY_S: i64 = 300;

/// What came of looking at a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is good, and this user's (the `upn` claim, lower case).
    Good(String),
    /// The key it is signed by is not known yet: fetch the keys and look again.
    FetchKeys,
    /// The identity service did not answer a moment ago, so it cannot be told.
    Unavailable,
    /// It is no good.
    Refused(&'static str),
}

/// What ended a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The keys are here, or it failed: whoever waits may look again.
    Over,
    /// It goes on.
    No,
}

#[derive(Debug)]
struct Fetch {
    stream: StreamId,
    http: ClientConnection,
    until: Time,
}

/// The keys of the identity service, and the way to them.
#[derive(Debug)]
pub struct Tokens {
    service: Option<IdentityService>,
    keys: BTreeMap<String, DecodingKey>,
    fetched_at: Option<Time>,
    tried_at: Option<Time>,
    fetch: Option<Fetch>,
}

#[derive(Deserialize)]
struct Publication {
    keys: Vec<PublishedKey>,
}

#[derive(Deserialize)]
struct PublishedKey {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: i64,
    nbf: Option<i64>,
    upn: Option<String>,
}

impl Tokens {
    /// No keys yet.
    pub fn new(service: Option<IdentityService>) -> Tokens {
        Tokens { service, keys: BTreeMap::new(), fetched_at: None, tried_at: None, fetch: None }
    }

    /// Forgets the keys, as a power cut does.
    pub fn forget(&mut self) {
        *self = Tokens::new(self.service.take());
    }

    /// Whether any token is taken.
    pub fn is_on(&self) -> bool {
        self.service.is_some()
    }

    /// Whose word counts, for the challenge.
    pub fn issuers(&self) -> &[String] {
        self.service.as_ref().map_or(&[], |service| &service.issuers)
    }

    /// Looks at a token, whose dates are read by `clock`.
    pub fn check(&self, token: &str, clock: &WallClock, now: Time) -> Verdict {
        let Some(service) = &self.service else {
            return Verdict::Refused("access tokens are not taken");
        };
        if token.len() > TOKEN_LIMIT {
            return Verdict::Refused("access token is too long");
        }
        // An `alg` that the library does not know, `none` first of all, fails here.
        let Ok(header) = jsonwebtoken::decode_header(token) else {
            return Verdict::Refused("access token cannot be read");
        };
        if header.alg != Algorithm::RS256 {
            return Verdict::Refused("access token is not signed by RS256");
        }
        // RFC 7515 §4.1.11: whoever does not understand a critical extension refuses the token; we know none.
        if header.crit.is_some() {
            return Verdict::Refused("access token has critical extensions");
        }
        let Some(kid) = header.kid else {
            return Verdict::Refused("access token names no key");
        };
        let is_fresh = self.fetched_at.is_some_and(|at| now.since(at) < KEYS_LIFE);
        let has_failed = self.tried_at > self.fetched_at;
        let Some(key) = self.keys.get(&kid).filter(|_| is_fresh) else {
            return match self.may_fetch(now) {
                true => Verdict::FetchKeys,
                false if has_failed => Verdict::Unavailable,
                false => Verdict::Refused("access token is signed by an unknown key"),
            };
        };
        // The library would read the machine's clock for these: the dates are checked below.
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        match jsonwebtoken::decode::<Claims>(token, key, &validation) {
            Ok(decoded) => judge(&decoded.claims, service, clock.read(now)),
            Err(_) => Verdict::Refused("access token's signature or claims are wrong"),
        }
    }

    fn may_fetch(&self, now: Time) -> bool {
        self.fetch.is_some() || self.tried_at.is_none_or(|at| now.since(at) >= FETCH_REST)
    }

    /// Dials the identity service for its keys, unless that is under way.
    pub fn fetch(&mut self, clock: &WallClock, now: Time, out: &mut Outbox) {
        let Some(service) = &self.service else { return };
        if self.fetch.is_some() {
            return;
        }
        let tls = ClientTls {
            server_name: service.host.clone(),
            trust: service.trust.clone(),
            clock: *clock,
            names: NameCheck::Strict,
        };
        let to = SocketAddr::new(service.address, service.port);
        let stream = out.open(Dial { to, security: Security::Tls(tls) });
        let mut http = ClientConnection::new(Limits::default());
        let request = Request::get(service.keys_path.as_str())
            .header(header::HOST, service.host.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::CONNECTION, "close")
            .body(Bytes::new());
        if let Ok(request) = request {
            http.ask(request);
        }
        self.tried_at = Some(now);
        self.fetch = Some(Fetch { stream, http, until: now + FETCH_LIMIT });
    }

    /// Something happened on a stream; does nothing unless it is the fetch's.
    pub fn on_stream(
        &mut self,
        now: Time,
        stream: StreamId,
        event: StreamEvent,
        out: &mut Outbox,
    ) -> Fetched {
        let Some(fetch) = self.fetch.as_mut().filter(|fetch| fetch.stream == stream) else {
            return Fetched::No;
        };
        let Some(service) = &self.service else { return Fetched::No };
        let peer = SocketAddr::new(service.address, service.port);
        let mut failure = None;
        match event {
            StreamEvent::Opened { .. } => {
                out.note(Note::sent(peer, format!("GET {} (token signing keys)", service.keys_path)));
            }
            StreamEvent::Received(bytes) => fetch.http.receive(&bytes),
            StreamEvent::Closed(why) => {
                fetch.http.end();
                failure = Some(why.to_string());
            }
            StreamEvent::Accepted { .. } => return Fetched::No,
        }
        let answer = fetch.http.take_answer();
        out.write(stream, fetch.http.take_output());
        match (answer, failure) {
            (Some(Ok(answer)), _) => {
                let keys = if answer.status().is_success() { read_keys(answer.body()) } else { None };
                let status = answer.status().as_u16();
                match keys {
                    Some(keys) => {
                        out.note(Note::received(peer, format!("{status} {} keys", keys.len())));
                        self.keys = keys;
                        self.fetched_at = Some(now);
                        self.tried_at = Some(now);
                    }
                    None => out.note(Note::received(peer, format!("{status} no keys"))),
                }
            }
            (Some(Err(why)), _) => out.note(Note::Broken { with: peer, text: why.to_string() }),
            (None, Some(why)) => out.note(Note::Broken { with: peer, text: why }),
            (None, None) => return Fetched::No,
        }
        out.close(stream);
        self.fetch = None;
        Fetched::Over
    }

    /// Time passed: gives up a fetch that takes too long.
    pub fn woken(&mut self, now: Time, out: &mut Outbox) -> Fetched {
        let Some(fetch) = self.fetch.take_if(|fetch| fetch.until <= now) else {
            return Fetched::No;
        };
        out.close(fetch.stream);
        if let Some(service) = &self.service {
            let with = SocketAddr::new(service.address, service.port);
            let text = format!("no keys within {}", net::time::spell(FETCH_LIMIT));
            out.note(Note::Broken { with, text });
        }
        Fetched::Over
    }

    /// When a fetch is to be given up.
    pub fn wake_at(&self) -> Option<Time> {
        self.fetch.as_ref().map(|fetch| fetch.until)
    }
}

/// The RSA signing keys of a publication (RFC 7517), by key id; `None` if it is none.
fn read_keys(body: &[u8]) -> Option<BTreeMap<String, DecodingKey>> {
    let publication: Publication = serde_json::from_slice(body).ok()?;
    let is_signing = |key: &PublishedKey| {
        key.kty == "RSA"
            && key.usage.as_deref().is_none_or(|usage| usage == "sig")
            && key.alg.as_deref().is_none_or(|alg| alg == "RS256")
    };
    let keys = publication.keys.into_iter().filter(is_signing).take(KEYS_LIMIT).filter_map(|key| {
        let (kid, n, e) = (key.kid?, key.n?, key.e?);
        let key = DecodingKey::from_rsa_components(&n, &e).ok()?;
        is_long_enough(&key).then_some((kid, key))
    });
    let keys: BTreeMap<_, _> = keys.collect();
    (!keys.is_empty()).then_some(keys)
}

/// RFC 7518 §3.3 wants 2048 bits at least; past 4096 a check takes long.
fn is_long_enough(key: &DecodingKey) -> bool {
    match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => {
            let zeros = n.iter().take_while(|octet| **octet == 0).count();
            (256..=512).contains(&(n.len() - zeros))
        }
        DecodingKeyKind::SecretOrDer(_) => false,
    }
}

fn judge(claims: &Claims, service: &IdentityService, wall: Wall) -> Verdict {
    if !service.issuers.contains(&claims.iss) {
        return Verdict::Refused("access token is by another issuer");
    }
    let is_ours = |audience: &String| service.audiences.contains(audience);
    let is_for_us = match &claims.aud {
        Audience::One(audience) => is_ours(audience),
        Audience::Many(audiences) => audiences.iter().any(is_ours),
    };
    if !is_for_us {
        return Verdict::Refused("access token is for another audience");
    }
    let now = wall.unix_secs();
    if claims.exp.saturating_add(LEEWAY_S) <= now {
        return Verdict::Refused("access token has expired");
    }
    if claims.nbf.is_some_and(|nbf| nbf.saturating_sub(LEEWAY_S) > now) {
        return Verdict::Refused("access token is not valid yet");
    }
    match &claims.upn {
        Some(upn) if !upn.is_empty() && upn.len() <= 256 => Verdict::Good(normal(upn)),
        _ => Verdict::Refused("access token names no user"),
    }
}
