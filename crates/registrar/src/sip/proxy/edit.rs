//! What a request and an answer look like on the next stretch (RFC 3261 §16.6, §16.7).
//!
//! Headers stay as they came and in their order, but for those that are the proxy's: Via, Route, Record-Route,
//! Max-Forwards, and credentials that were for the pool. Identities that only a proxy may assert (RFC 3325) are taken
//! out: whoever sends them here is a user.

use sha2::{Digest as _, Sha256};
use sip::auth::Auth;
use sip::message::Kind;
use sip::{Draft, Message};

/// The hops that a request has whose sender gave none (RFC 3261 §16.6 item 3).
const HOPS: u8 = 70;

/// What is new in a request on its next stretch.
#[derive(Debug)]
pub(super) struct Stretch<'a> {
    /// The Request-URI.
    pub(super) uri: &'a str,
    /// The pool's Via.
    pub(super) via: String,
    /// The topmost Via that came, with where it really came from.
    pub(super) received: Option<String>,
    /// The pool's Record-Route entries, topmost first.
    pub(super) record_route: &'a [String],
    /// The Route that is left.
    pub(super) route: &'a [String],
    /// Whose credentials the pool takes: they go no further.
    pub(super) realm: &'a str,
}

/// A request as it goes on.
pub(super) fn onward(request: &Message, stretch: &Stretch<'_>) -> Draft {
    let mut draft = Draft::request(request.method(), stretch.uri);
    draft.push("Via", &stretch.via);
    for (at, via) in request.list("Via").unwrap_or_default().into_iter().enumerate() {
        draft.push("Via", stretch.received.as_deref().filter(|_| at == 0).unwrap_or(via));
    }
    for value in stretch.record_route {
        draft.push("Record-Route", value);
    }
    for value in stretch.route {
        draft.push("Route", value);
    }
    let hops = request.max_forwards().map_or(HOPS, |hops| hops.saturating_sub(1));
    draft.push("Max-Forwards", &hops.to_string());
    for (name, value) in request.all_headers() {
        let is = |known: &str| sip::message::same_name(name, known);
        let is_ours =
            ["Via", "Route", "Max-Forwards", "Content-Length", "P-Asserted-Identity"].into_iter().any(is);
        if !is_ours && !is_spent(name, value, stretch.realm) {
            draft.push(name, value);
        }
    }
    draft.raw_body(request.body())
}

/// An answer as it goes back: without the pool's own Via, and without what its sender proved to the pool.
pub(super) fn back(answer: &Message, realm: &str) -> Draft {
    let (status, reason) = match answer.kind() {
        Kind::Response { status, reason } => (status, reason),
        Kind::Request { .. } => (500, ""),
    };
    let mut draft = Draft::response(status, reason);
    for via in answer.list("Via").unwrap_or_default().into_iter().skip(1) {
        draft.push("Via", via);
    }
    for (name, value) in answer.all_headers() {
        let is = |known: &str| sip::message::same_name(name, known);
        if !is("Via") && !is("Content-Length") && !is_spent(name, value, realm) {
            draft.push(name, value);
        }
    }
    draft.raw_body(answer.body())
}

/// Whether a header holds credentials that were for the pool.
fn is_spent(name: &str, value: &str, realm: &str) -> bool {
    let is_credentials =
        ["Authorization", "Proxy-Authorization"].iter().any(|known| name.eq_ignore_ascii_case(known));
    is_credentials
        && Auth::parse(value).is_ok_and(|auth| {
            let is_for_us = auth.get("realm").is_some_and(|theirs| theirs == realm);
            auth.is(sip::association::SCHEME) || auth.is(sip::digest::SCHEME) && is_for_us
        })
}

/// What a request that loops has again when it comes back, and one that spirals has not (RFC 3261 §16.6 item 8).
pub(super) fn loop_mark(request: &Message) -> String {
    let mut hash = Sha256::new();
    let uri = request.uri().map_or("", |uri| uri.as_str());
    let cseq = request.cseq().number.to_string();
    let tags = (request.from().tag().unwrap_or(""), request.to().tag().unwrap_or(""));
    let route = request.headers("Route").collect::<Vec<_>>().join(",");
    let proxies = request.headers("Proxy-Require").collect::<Vec<_>>().join(",");
    for part in [uri, tags.0, tags.1, request.call_id(), &cseq, &route, &proxies] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize()[..4].iter().map(|octet| format!("{octet:02x}")).collect()
}
