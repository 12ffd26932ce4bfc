//! The header values that carry a handshake (MS-SIPAE §2.2).

use super::encode_flight;
use crate::association::{Parameters, SCHEME};
use crate::auth::Auth;
use crate::message::Message;

/// The TLS-DSK challenge in a 401 (or 407), among those of other schemes.
pub fn challenge_in(response: &Message) -> Option<Auth> {
    ["WWW-Authenticate", "Proxy-Authenticate"]
        .into_iter()
        .flat_map(|name| response.headers(name))
        .filter_map(|value| Auth::parse(value).ok())
        .find(|auth| auth.is(SCHEME))
}

/// `WWW-Authenticate` of the first 401: who asks, and where certificates are to be had.
pub fn challenge(realm: &str, targetname: &str, version: u8, sts_uri: &str) -> Auth {
    Auth::new(SCHEME)
        .quoted("realm", realm)
        .quoted("targetname", targetname)
        .bare("version", &version.to_string())
        .quoted("sts-uri", sts_uri)
}

/// `Authorization` with a flight of the initiator; without `opaque` (empty) in the first, as the server has not
/// chosen one yet.
pub fn initiator_flight(parameters: &Parameters, flight: &[u8]) -> Auth {
    let Parameters { realm, targetname, opaque, version } = parameters;
    let mut auth = Auth::new(SCHEME).quoted("qop", "auth");
    if !opaque.is_empty() {
        auth = auth.quoted("opaque", opaque);
    }
    auth.quoted("realm", realm)
        .quoted("targetname", targetname)
        .quoted("gssapi-data", &encode_flight(flight))
        .bare("version", &version.to_string())
}

/// `WWW-Authenticate` of a 401 with a flight of the acceptor.
pub fn acceptor_flight(parameters: &Parameters, flight: &[u8]) -> Auth {
    let Parameters { realm, targetname, opaque, version } = parameters;
    Auth::new(SCHEME)
        .quoted("opaque", opaque)
        .quoted("gssapi-data", &encode_flight(flight))
        .quoted("targetname", targetname)
        .quoted("realm", realm)
        .bare("version", &version.to_string())
}
