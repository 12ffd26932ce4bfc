//! REGISTER of an ordinary user agent: what it asks for, and what it gets (RFC 3261 §10.3, RFC 3327, RFC 5626 §6).
//!
//! Everything here is decided from the request and what is bound; nothing is changed. A request is granted as a
//! whole or not at all.

use std::net::SocketAddr;
use std::time::Duration;

use net::Time;
use sip::value::Contacts;
use sip::{Message, NameAddr, Uri};

use crate::sip::bindings::{Binding, ENDPOINTS_PER_ADDRESS, Held, Plain};
use crate::sip::flow::{Carrier, Flow};
use crate::sip::refusal::Refusal;
use crate::sip::register::{self, REMEMBERED_OCTETS};

/// The most proxies of a Path that are remembered.
pub const PATH_MAX: usize = 8;

/// The port of SIP where an address names none.
const SIP_PORT: u16 = 5060;

/// One change of what is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This holds.
    Bind(Box<Binding>),
    /// The binding of this endpoint ends.
    Unbind(String),
}

/// What a REGISTER is judged by.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The address that is registered, without scheme.
    pub aor: &'a str,
    /// The way that the request came.
    pub flow: &'a Flow,
    /// What is bound to the address, what waits for the disk included.
    pub bound: &'a [Held<'a>],
    /// The longest registration that is granted.
    pub longest: Duration,
    /// Whether clients are to be made honest.
    pub is_strict: bool,
    /// Our tag in the answer.
    pub server_tag: &'a str,
    /// When it is.
    pub now: Time,
}

/// The changes that a REGISTER asks for; none if it only asks what is bound.
///
/// # Errors
///
/// Says why it is not granted.
pub fn judge(request: &Message, bench: &Bench<'_>) -> Result<Vec<Change>, Refusal> {
    let contacts = request.contacts().map_err(|_| Refusal::BadContact("A Contact cannot be read"))?;
    let list = match contacts {
        Contacts::All if request.expires() == Some(0) => {
            return bench.bound.iter().map(|held| unbind(request, held)).collect();
        }
        Contacts::All => return Err(Refusal::BadContact("A Contact of * wants Expires: 0")),
        Contacts::List(list) => list,
    };
    if list.len() > ENDPOINTS_PER_ADDRESS {
        return Err(Refusal::TooManyContacts);
    }
    let path = path_of(request)?;
    let flows = list.iter().filter(|contact| contact.params.has("reg-id")).count();
    if flows > 1 {
        return Err(Refusal::BadContact("More than one Contact with a reg-id"));
    }
    let mut changes = Vec::new();
    for contact in &list {
        changes.extend(one(request, contact, &path, bench)?);
    }
    Ok(changes)
}

fn one(
    request: &Message,
    contact: &NameAddr<'_>,
    path: &[String],
    bench: &Bench<'_>,
) -> Result<Option<Change>, Refusal> {
    if !contact.uri.is_sip() || contact.uri.headers.is_some() {
        return Err(Refusal::BadContact("A Contact that is no plain SIP address"));
    }
    register::may_be_remembered(request, contact.uri.as_str())?;
    let params = params_of(contact);
    if params.len() > REMEMBERED_OCTETS {
        return Err(Refusal::TooLarge);
    }
    let q = match contact.params.get("q") {
        Some(text) => thousandths(text).ok_or(Refusal::BadContact("A q that is no number from 0 to 1"))?,
        None => 1_000,
    };
    let flow_of = outbound_flow(request, contact, path)?;
    let held = bench.bound.iter().find(|held| match &flow_of {
        Some((endpoint, _)) => held.endpoint == endpoint,
        None => {
            let is_plain = held.plain.is_some_and(|plain| plain.reg_id.is_none());
            let is_same = || {
                held.contact == contact.uri.as_str()
                    || Uri::parse(held.contact).is_ok_and(|uri| uri.same_as(&contact.uri))
            };
            is_plain && is_same()
        }
    });
    if held.is_some_and(|held| is_same(request, held)) {
        // It came before, and its answer was forgotten to make room: what it asked for holds, and it is told so again.
        return Ok(None);
    }
    let granted = match register::asked(request, contact) {
        Some(0) => return held.map(|held| unbind(request, held)).transpose(),
        asked => {
            let asked = asked.map(|secs| Duration::from_secs(secs.into()));
            register::grant(asked, bench.longest, bench.is_strict)?
        }
    };
    if let Some(held) = held {
        in_order(request, held)?;
    }
    let endpoint = match (&flow_of, held) {
        (Some((endpoint, _)), _) => endpoint.clone(),
        (None, Some(held)) => held.endpoint.to_owned(),
        (None, None) => contact.uri.as_str().to_owned(),
    };
    let reg_id = flow_of.map(|(_, reg_id)| reg_id);
    let (connection, carrier) = match bench.flow {
        Flow::Stream(stream, carrier, _) => (Some(*stream), *carrier),
        Flow::Datagram(_) | Flow::Signed { .. } => (None, Carrier::Udp),
    };
    let target = target_of(request, contact, bench.flow, reg_id.is_some());
    Ok(Some(Change::Bind(Box::new(Binding {
        aor: bench.aor.to_owned(),
        endpoint,
        instance: String::new(),
        gruu: String::new(),
        contact: contact.uri.as_str().to_owned(),
        received: bench.flow.peer(),
        connection: connection.filter(|_| target.is_none()),
        until: bench.now + granted,
        lost_at: None,
        call_id: request.call_id().to_owned(),
        cseq: request.cseq().number,
        client_tag: request.from().tag().unwrap_or("").to_owned(),
        server_tag: bench.server_tag.to_owned(),
        plain: Some(Plain { carrier, target, q, path: path.to_vec(), params, reg_id }),
    }))))
}

fn unbind(request: &Message, held: &Held<'_>) -> Result<Change, Refusal> {
    in_order(request, held)?;
    Ok(Change::Unbind(held.endpoint.to_owned()))
}

/// Whether a request is the very one that made a binding: no other has its number (RFC 3261 §8.1.1.5). It is met again only
/// if its transaction was forgotten.
fn is_same(request: &Message, held: &Held<'_>) -> bool {
    held.call_id == request.call_id()
        && request.cseq().number == held.cseq
        && request.from().tag().unwrap_or("") == held.client_tag
}

/// RFC 3261 §10.3 item 7: of two requests of one Call-ID the later number counts.
fn in_order(request: &Message, held: &Held<'_>) -> Result<(), Refusal> {
    let is_late = held.call_id == request.call_id() && request.cseq().number <= held.cseq;
    if is_late { Err(Refusal::OutOfOrder) } else { Ok(()) }
}

/// The Path of a REGISTER, the proxy nearest to the pool first, as it stands there (RFC 3327 §5.3).
fn path_of(request: &Message) -> Result<Vec<String>, Refusal> {
    let values = request.list("Path").map_err(|_| Refusal::BadContact("A Path cannot be read"))?;
    if values.len() > PATH_MAX || values.iter().any(|value| value.len() > REMEMBERED_OCTETS) {
        return Err(Refusal::TooLarge);
    }
    for value in &values {
        let is_hop = NameAddr::parse(value).is_ok_and(|hop| hop.uri.is_sip());
        if !is_hop {
            return Err(Refusal::BadContact("A Path cannot be read"));
        }
    }
    Ok(values.into_iter().map(str::to_owned).collect())
}

/// The endpoint's name and the number of its flow, if the client manages its flows itself (RFC 5626 §6).
///
/// # Errors
///
/// If a proxy on the way would not keep the flow.
fn outbound_flow(
    request: &Message,
    contact: &NameAddr<'_>,
    path: &[String],
) -> Result<Option<(String, u32)>, Refusal> {
    let (Some(instance), Some(reg_id)) = (contact.params.get("+sip.instance"), contact.params.get("reg-id"))
    else {
        return Ok(None);
    };
    if !request.lists("Supported", "outbound") && !request.lists("Require", "outbound") {
        return Ok(None);
    }
    let reg_id = reg_id.parse::<u32>().ok().filter(|number| *number > 0 && *number < 1 << 31);
    let reg_id = reg_id.ok_or(Refusal::BadContact("A reg-id that is no number above 0"))?;
    let is_direct = request.vias().len() == 1;
    let first_hop = path.last().and_then(|hop| NameAddr::parse(hop).ok());
    if !is_direct && !first_hop.is_some_and(|hop| hop.uri.params.has("ob")) {
        return Err(Refusal::FirstHopLacksOutbound);
    }
    Ok(Some((format!("{instance};reg-id={reg_id}"), reg_id)))
}

/// Where datagrams to a contact go; `None` if it is reached over the connection its REGISTER came over.
///
/// A contact that can be reached as written is: who is not behind address translation may well send from one port and
/// listen at another. One that manages flows, or whose own address is not what we see, is reached where it came from.
fn target_of(
    request: &Message,
    contact: &NameAddr<'_>,
    flow: &Flow,
    is_outbound: bool,
) -> Option<SocketAddr> {
    let transport = contact.uri.params.get("transport");
    let as_written = || Some(SocketAddr::new(contact.uri.host_ip()?, contact.uri.port.unwrap_or(SIP_PORT)));
    match flow {
        Flow::Stream(..) | Flow::Signed { .. } => {
            let is_elsewhere = transport.is_some_and(|transport| transport.eq_ignore_ascii_case("udp"));
            as_written().filter(|_| is_elsewhere && !is_outbound)
        }
        Flow::Datagram(peer) => {
            let via = request.via();
            let is_translated = via.host_ip().is_none_or(|ip| ip != peer.ip());
            let is_own = contact.uri.host.eq_ignore_ascii_case(via.host);
            if is_outbound || is_translated && is_own {
                return Some(*peer);
            }
            Some(as_written().unwrap_or(*peer))
        }
    }
}

/// A Contact's parameters as written, without `expires`, which the answer says anew.
fn params_of(contact: &NameAddr<'_>) -> String {
    let mut written = String::new();
    for (name, value) in contact.params.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("expires")) {
        written.extend([";", name]);
        if let Some(value) = value {
            written.extend(["=", value]);
        }
    }
    written
}

/// A q value in thousandths (RFC 3261 §25.1: 0, 0.5, 1.000).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = fraction.len() <= 3 && fraction.bytes().all(|digit| digit.is_ascii_digit());
    let fraction: u16 = format!("{fraction:0<3}").parse().ok().filter(|_| is_number)?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_q_value_is_a_number_from_0_to_1_with_three_digits_at_most() {
        let good =
            [("0", 0), ("1", 1_000), ("0.5", 500), ("0.75", 750), ("0.001", 1), ("1.000", 1_000), ("0.", 0)];
        for (text, value) in good {
            assert_eq!(thousandths(text), Some(value), "{text}");
        }
        for text in ["", "2", "1.1", "0.1234", "-1", ".5", "0,5", "0.x", "é"] {
            assert_eq!(thousandths(text), None, "{text}");
        }
    }
}
