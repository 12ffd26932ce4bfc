//! Access: who is let in, and how they prove it (TLS-DSK, MS-SIPAE 3.3).
//!
//! A request without credentials that count is challenged. A handshake travels in REGISTERs; while it is half open it
//! belongs to one connection and one address, lives for [`HALF_OPEN_LIFE`], and ends at the first thing that is wrong
//! with it, always with the same answer. What comes of it, a security association, belongs to that connection too.
//! A request whose signature is wrong, repeated or missing is challenged again and changes nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use net::{Time, Wall};
use sip::Message;
use sip::association::{self, Parameters, SCHEME, SecurityAssociation};
use sip::auth::Auth;
use sip::tls_dsk::{self, Acceptor, DskError, Reply};

use super::connection::Connection;
use super::register::REMEMBERED_OCTETS;
use crate::registrar::Parts;

/// How long a handshake may take.
pub const HALF_OPEN_LIFE: Duration = Duration::from_secs(10);
/// The most handshakes under way on one connection.
pub const HALF_OPEN_PER_CONNECTION: usize = 4;
/// The most handshakes under way from one address; a site's phones may share one.
pub const HALF_OPEN_PER_SOURCE: usize = 256;
/// The most handshakes under way in all; each takes some 20 KiB.
pub const HALF_OPEN_IN_ALL: usize = 2_048;
/// The most associations on one connection; of more, the oldest goes.
pub const ASSOCIATIONS_PER_CONNECTION: usize = 4;
/// The longest that an association lives; the certificate's end may come first (MS-SIPAE 3.3.5).
pub const ASSOCIATION_LIFE: Duration = Duration::from_secs(8 * 3600);
/// The only version of the scheme that is spoken here: in older ones the first request goes unsigned.
pub const VERSION: u8 = 4;

/// A handshake under way.
#[derive(Debug)]
pub struct HalfOpen {
    /// When it is given up.
    pub until: Time,
    aor: String,
    epid: Option<String>,
    acceptor: Acceptor,
}

/// What a handshake proved: who speaks over this connection, until when.
#[derive(Debug)]
pub struct Association {
    /// The address in the certificate.
    pub aor: String,
    /// The endpoint identifier it was proved with.
    pub epid: Option<String>,
    /// The certificate.
    pub certificate: Vec<u8>,
    /// When it was proved.
    pub since: Time,
    /// When it ends.
    pub until: Time,
    /// Signs and checks.
    pub keys: SecurityAssociation,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// It is signed by who it says it is from.
    Signed {
        /// The handle of the association.
        opaque: String,
    },
    /// It is signed, but by somebody else than its From says.
    ForeignFrom {
        /// The handle of the association.
        opaque: String,
    },
    /// It brought a flight: this goes back.
    Flight(Auth),
    /// It has no credentials: it is challenged.
    Challenge,
    /// Its credentials do not count: it is challenged, and the journal learns why.
    NotCredited(String),
    /// Its handshake failed: it is challenged, and the journal learns why; the client does not.
    HandshakeFailed(String),
    /// Too many handshakes are under way.
    Busy,
}

/// The address in a From header, without scheme and in lower case; empty if it is no SIP address with a user.
pub fn speaker(request: &Message) -> String {
    request.from().uri.user_at_host().map_or(String::new(), |aor| aor.to_ascii_lowercase())
}

/// Judges who may come in.
#[derive(Debug, Default)]
pub struct Access {
    realm: String,
    by_source: BTreeMap<IpAddr, usize>,
    half_open: usize,
}

impl Access {
    /// An access whose challenges name this realm.
    pub fn new(realm: String) -> Access {
        Access { realm, by_source: BTreeMap::new(), half_open: 0 }
    }

    /// How many handshakes are under way.
    pub fn half_open(&self) -> usize {
        self.half_open
    }

    /// The challenge: who asks, and where certificates are to be had.
    pub fn challenge(&self, host: &str) -> Auth {
        let sts_uri = format!("https://{host}:443/CertProv/CertProvisioningService.svc");
        tls_dsk::challenge(&self.realm, host, VERSION, &sts_uri)
    }

    /// Judges a request.
    pub fn judge(
        &mut self,
        request: &Message,
        connection: &mut Connection,
        parts: &mut Parts<'_>,
        now: Time,
    ) -> Verdict {
        // Credentials for another realm or server are none (MS-SIPAE 3.3.5.1).
        let host = parts.host;
        let is_ours = |auth: &Auth| {
            auth.get("realm").is_some_and(|realm| realm == self.realm)
                && auth.get("targetname").is_some_and(|name| name.eq_ignore_ascii_case(host))
        };
        let Some(auth) = association::presented(request).find(is_ours) else { return Verdict::Challenge };
        if auth.get("gssapi-data").is_none() {
            return check(&auth, request, connection, now);
        }
        if request.method() != "REGISTER" {
            return Verdict::NotCredited("a handshake outside a REGISTER".to_owned());
        }
        if auth.get("version").is_some_and(|version| version != VERSION.to_string()) {
            return Verdict::NotCredited(format!("another version of {SCHEME} than {VERSION}"));
        }
        self.handshake(&auth, request, connection, parts, now)
    }

    fn handshake(
        &mut self,
        auth: &Auth,
        request: &Message,
        connection: &mut Connection,
        parts: &mut Parts<'_>,
        now: Time,
    ) -> Verdict {
        let aor = speaker(request);
        let epid = request.from().epid().map(str::to_owned);
        // A context remembers both, and no account has so long a name.
        if [Some(&aor), epid.as_ref()].into_iter().flatten().any(|name| name.len() > REMEMBERED_OCTETS) {
            return Verdict::HandshakeFailed("the name of its user or endpoint is too long".to_owned());
        }
        let flight = tls_dsk::decode_flight(&auth.get("gssapi-data").unwrap_or_default());
        let opaque = auth.get("opaque").map(|opaque| opaque.into_owned());
        let known = opaque.filter(|opaque| connection.half_open.contains_key(opaque));
        let (opaque, context) = match known {
            Some(opaque) => {
                let context = self.take(&opaque, connection).expect("it was found a moment ago");
                if context.aor != aor || context.epid != epid {
                    return Verdict::HandshakeFailed("its flights are from two addresses".to_owned());
                }
                (opaque, context)
            }
            None => {
                // A new hello ends what this endpoint had begun.
                let begun = connection.half_open.iter().find(|(_, it)| it.aor == aor && it.epid == epid);
                if let Some(begun) = begun.map(|(opaque, _)| opaque.clone()) {
                    self.take(&begun, connection);
                }
                if !self.has_room(connection) {
                    return Verdict::Busy;
                }
                match begin(&aor, flight.as_deref().unwrap_or_default(), parts, now) {
                    Ok(acceptor) => {
                        let opaque = fresh_opaque(connection, parts);
                        (opaque, HalfOpen { until: now + HALF_OPEN_LIFE, aor, epid, acceptor })
                    }
                    Err(why) => return Verdict::HandshakeFailed(why),
                }
            }
        };
        if now >= context.until {
            return Verdict::HandshakeFailed("it took too long".to_owned());
        }
        self.step(flight, opaque, context, connection, parts, now)
    }

    fn step(
        &mut self,
        flight: Result<Vec<u8>, DskError>,
        opaque: String,
        mut context: HalfOpen,
        connection: &mut Connection,
        parts: &mut Parts<'_>,
        now: Time,
    ) -> Verdict {
        let wall = parts.clock.read(now);
        let parameters = Parameters {
            realm: self.realm.clone(),
            targetname: parts.host.to_owned(),
            opaque: opaque.clone(),
            version: VERSION,
        };
        let reply = flight.and_then(|flight| context.acceptor.step(&flight, wall, parts.random));
        match reply {
            Ok(Reply::More(flight)) => {
                self.put(opaque, context, connection);
                Verdict::Flight(tls_dsk::acceptor_flight(&parameters, &flight))
            }
            Ok(Reply::Done { flight, keys }) => {
                let random = parts.random.fork("association");
                let keys = SecurityAssociation::server(parameters.clone(), keys, random);
                match prove(context, keys, parts, wall, now) {
                    Ok(association) => {
                        establish(opaque, association, connection);
                        Verdict::Flight(tls_dsk::acceptor_flight(&parameters, &flight))
                    }
                    Err(why) => Verdict::HandshakeFailed(why),
                }
            }
            Err(why) => Verdict::HandshakeFailed(why.to_string()),
        }
    }

    /// Gives up the handshakes of a connection that have taken too long; says whose they were.
    pub fn expire(&mut self, connection: &mut Connection, now: Time) -> Vec<String> {
        let over = connection.half_open.iter().filter(|(_, context)| context.until <= now);
        let over: Vec<String> = over.map(|(opaque, _)| opaque.clone()).collect();
        over.into_iter().filter_map(|opaque| self.take(&opaque, connection)).map(|it| it.aor).collect()
    }

    /// Gives up every handshake of a connection.
    pub fn connection_closed(&mut self, connection: &mut Connection) {
        while let Some(opaque) = connection.half_open.keys().next().cloned() {
            self.take(&opaque, connection);
        }
    }

    fn has_room(&self, connection: &Connection) -> bool {
        let from_here = self.by_source.get(&connection.peer.ip()).copied().unwrap_or(0);
        connection.half_open.len() < HALF_OPEN_PER_CONNECTION
            && from_here < HALF_OPEN_PER_SOURCE
            && self.half_open < HALF_OPEN_IN_ALL
    }

    fn put(&mut self, opaque: String, context: HalfOpen, connection: &mut Connection) {
        *self.by_source.entry(connection.peer.ip()).or_default() += 1;
        self.half_open += 1;
        connection.half_open.insert(opaque, context);
    }

    fn take(&mut self, opaque: &str, connection: &mut Connection) -> Option<HalfOpen> {
        let context = connection.half_open.remove(opaque)?;
        self.half_open -= 1;
        let source = connection.peer.ip();
        if let Some(count) = self.by_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
        Some(context)
    }
}

/// Waits for the hello of whoever claims to be `aor`: only a certificate that is published for them will do. The hello
/// itself says whether the pool must have an RSA certificate ready.
fn begin(aor: &str, hello: &[u8], parts: &mut Parts<'_>, now: Time) -> Result<Acceptor, String> {
    let verifier =
        parts.published.verifier(aor, parts.crypto, parts.authority).map_err(|why| why.to_string())?;
    let server = parts.tls.credentials();
    let in_words = |why: DskError| why.to_string();
    let mut setup =
        tls_dsk::acceptor_setup(server, verifier, parts.crypto, parts.random).map_err(in_words)?;
    if tls_dsk::is_old_hello(hello, parts.crypto)
        && let Some(identity) = parts.inner.identity(parts.host, parts.authority, parts.clock.read(now))?
    {
        setup = setup.with_rsa(identity);
    }
    Acceptor::new(&setup, parts.random).map_err(in_words)
}

/// Eight upper-case hexadecimal digits that no other association of this connection has.
fn fresh_opaque(connection: &Connection, parts: &mut Parts<'_>) -> String {
    loop {
        let opaque = parts.random.hex(8).to_ascii_uppercase();
        let is_taken =
            connection.half_open.contains_key(&opaque) || connection.associations.contains_key(&opaque);
        if !is_taken {
            return opaque;
        }
    }
}

/// Looks the certificate up once more: it may have been revoked between the two flights.
fn prove(
    context: HalfOpen,
    keys: SecurityAssociation,
    parts: &Parts<'_>,
    wall: Wall,
    now: Time,
) -> Result<Association, String> {
    let shown = context.acceptor.peer_certificate().ok_or("it showed no certificate")?;
    let published = parts.published.check(&context.aor, shown, wall).map_err(|why| why.to_string())?;
    let left = published.not_after.unix_nanos().saturating_sub(wall.unix_nanos());
    let left = Duration::from_nanos(u64::try_from(left).unwrap_or(0));
    Ok(Association {
        certificate: shown.to_vec(),
        aor: context.aor,
        epid: context.epid,
        since: now,
        until: now + left.min(ASSOCIATION_LIFE),
        keys,
    })
}

fn establish(opaque: String, association: Association, connection: &mut Connection) {
    // A client that proves itself again has given up what it had.
    connection.associations.retain(|_, held| held.aor != association.aor || held.epid != association.epid);
    if connection.associations.len() >= ASSOCIATIONS_PER_CONNECTION {
        let oldest = connection.associations.iter().min_by_key(|(_, held)| held.since);
        if let Some(oldest) = oldest.map(|(opaque, _)| opaque.clone()) {
            connection.associations.remove(&oldest);
        }
    }
    connection.associations.insert(opaque, association);
}

/// Checks the signature of an answer to something that the pool sent.
///
/// # Errors
///
/// Says why it does not pass.
pub fn check_answer(answer: &Message, connection: &mut Connection, now: Time) -> Result<(), String> {
    let associations = connection.associations.iter_mut().filter(|(_, held)| now < held.until);
    let named = association::presented(answer).find_map(|auth| auth.get("opaque").map(|it| it.into_owned()));
    let named = named.ok_or("the message is not signed")?;
    let (_, association) =
        associations.into_iter().find(|(opaque, _)| **opaque == named).ok_or("no such association here")?;
    association.keys.check(answer).map(drop).map_err(|why| why.to_string())
}

/// Checks a signed request against the association that it names.
fn check(auth: &Auth, request: &Message, connection: &mut Connection, now: Time) -> Verdict {
    let Some(opaque) = auth.get("opaque") else {
        return Verdict::NotCredited("credentials without a handle".to_owned());
    };
    connection.associations.retain(|_, association| now < association.until);
    let Some(association) = connection.associations.get_mut(&*opaque) else {
        return Verdict::NotCredited("no such association on this connection".to_owned());
    };
    let opaque = opaque.into_owned();
    match association.keys.check(request) {
        Ok(_) if association.aor == speaker(request) => Verdict::Signed { opaque },
        Ok(_) => Verdict::ForeignFrom { opaque },
        Err(why) => Verdict::NotCredited(why.to_string()),
    }
}
