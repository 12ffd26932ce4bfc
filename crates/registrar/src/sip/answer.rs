//! Answers: what every response of the pool carries.

use std::net::SocketAddr;

use net::Wall;
use sip::{Draft, Message};

use super::refusal::{Refusal, phrase};

/// What the pool calls itself; clients of this kind read the generation off the first digit.
pub const SERVER: &str = "RTC/6.0";

/// Begins a response to a request that came from `peer` over the connection numbered `cid`.
///
/// The topmost Via tells where the request really came from (RFC 3261 §18.2.1, and `ms-received-port` and
/// `ms-received-cid` of MS-CONMGMT 2.2.1); the other headers are copied as they came.
pub fn begin(request: &Message, status: u16, tag: &str, (peer, cid): (SocketAddr, u64)) -> Draft {
    let received = format!(";ms-received-port={};ms-received-cid={cid:X}", peer.port());
    respond(request, status, tag, peer, &received)
}

/// Begins a response to an ordinary user agent: the topmost Via tells where the request really came from
/// (RFC 3261 §18.2.1, RFC 3581 §4).
pub fn begin_plainly(request: &Message, status: u16, tag: &str, peer: SocketAddr) -> Draft {
    respond(request, status, tag, peer, "")
}

fn respond(request: &Message, status: u16, tag: &str, peer: SocketAddr, received: &str) -> Draft {
    let mut draft = Draft::response(status, phrase(status));
    let top = request.top_via_received_from(peer);
    for (at, value) in request.via_values().enumerate() {
        if at == 0 {
            draft.push_fmt("Via", format_args!("{}{received}", top.as_deref().unwrap_or(value)));
        } else {
            draft.push("Via", value);
        }
    }
    let header = |name| request.header(name).unwrap_or("");
    draft.push("From", header("From"));
    // RFC 3261 §8.2.6.2: a 100 goes without a tag, and who has one keeps it.
    match status != 100 && request.to().tag().is_none() {
        true => draft.push_fmt("To", format_args!("{};tag={tag}", header("To"))),
        false => draft.push("To", header("To")),
    }
    draft.push("Call-ID", header("Call-ID"));
    draft.push("CSeq", header("CSeq"));
    draft
}

/// A refusal with everything it has to say.
pub fn refuse(request: &Message, why: &Refusal, tag: &str, from: (SocketAddr, u64), host: &str) -> Draft {
    let mut draft = begin(request, why.status(), tag, from);
    why.explain(&mut draft, host);
    draft
}

/// The Date header's form of a wall reading (RFC 3261 §20.17): `Tue, 09 Oct 2018 09:00:00 GMT`.
pub fn date(wall: Wall) -> String {
    let at = wall.date_time();
    let (weekday, month) = (at.weekday().to_string(), at.month().to_string());
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        &weekday[..3],
        at.day(),
        &month[..3],
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_rfc_3261_wants_it() {
        assert_eq!(date(Wall::from_unix_secs(1_539_075_600)), "Tue, 09 Oct 2018 09:00:00 GMT");
    }
}
