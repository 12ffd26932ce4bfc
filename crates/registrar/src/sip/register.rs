//! REGISTER: what a client that has proved who it is asks for, and what it gets (RFC 3261 §10.3, MS-SIPREGE 3.1).
//!
//! Everything here is decided from the request and what the pool knows; nothing is changed. The caller keeps the
//! wish on disk and answers when it is there.

use std::net::SocketAddr;
use std::time::Duration;

use net::{StreamId, Time};
use sip::endpoint::{EPID_MAX, Instance, is_epid};
use sip::value::Contacts;
use sip::{Message, NameAddr};

use super::bindings::{Binding, Bindings};
use super::refusal::Refusal;
use crate::accounts::{Accounts, Home};

/// The shortest registration that is granted; a pool whose longest is shorter grants that one.
pub const SHORTEST: Duration = Duration::from_secs(60);

/// The most octets of an address, a Call-ID, a tag or an endpoint identifier that are remembered.
pub const REMEMBERED_OCTETS: usize = 1_024;

/// What a REGISTER asks for, once nothing speaks against it.
#[derive(Debug)]
pub enum Wish {
    /// Bind this.
    Bind(Box<Binding>),
    /// End the binding of this endpoint.
    Unbind {
        /// Which endpoint.
        endpoint: String,
    },
    /// End every binding of the address (`Contact: *`).
    UnbindAll,
    /// Say what is bound.
    Ask,
}

/// What a REGISTER is judged by.
#[derive(Debug)]
pub struct Bench<'a> {
    /// Who is known here.
    pub accounts: &'a Accounts,
    /// What is bound.
    pub bindings: &'a Bindings,
    /// The SIP domain.
    pub domain: &'a str,
    /// The pool's host name.
    pub host: &'a str,
    /// The longest registration that is granted.
    pub longest: Duration,
    /// Whether clients are to be made honest: they get half of what they ask for.
    pub strict: bool,
}

/// Whether the account may do anything here at all.
///
/// # Errors
///
/// If the address is unknown, disabled or homed elsewhere.
pub fn may_be_served(accounts: &Accounts, aor: &str) -> Result<(), Refusal> {
    let standing = accounts.standing(aor).ok_or(Refusal::UnknownUser)?;
    if !standing.enabled {
        return Err(Refusal::Disabled);
    }
    match standing.home {
        Home::Here => Ok(()),
        Home::Pool(host) => Err(Refusal::HomedElsewhere { host: host.clone() }),
    }
}

/// The endpoint a request comes from: its epid, or its instance id if it has no epid.
///
/// # Errors
///
/// If it has neither, or its epid is no epid.
pub fn endpoint_of(request: &Message) -> Result<Endpoint, Refusal> {
    let from = request.from();
    let epid = from.epid().filter(|epid| !epid.is_empty());
    let contacts = match request.contacts() {
        Ok(Contacts::List(list)) => list,
        Ok(Contacts::All) | Err(_) => Vec::new(),
    };
    let claimed = contacts.first().and_then(|contact| contact.params.get("+sip.instance"));
    match (epid, claimed) {
        (None, None) => Err(Refusal::NoEndpoint),
        (None, Some(claimed)) => {
            let instance = Instance::parse(claimed).ok_or(Refusal::NoEndpoint)?;
            Ok(Endpoint { name: instance.to_string(), instance })
        }
        (Some(epid), _) if epid.len() > EPID_MAX => Err(Refusal::EpidTooLong),
        (Some(epid), _) if !is_epid(epid) => Err(Refusal::NoEndpoint),
        (Some(epid), claimed) => {
            let instance = Instance::of_epid(epid);
            if claimed.is_some_and(|claimed| Instance::parse(claimed) != Some(instance)) {
                return Err(Refusal::ForeignInstance);
            }
            Ok(Endpoint { name: epid.to_owned(), instance })
        }
    }
}

/// Whether the GRUU in a request's Contact, if there is one, is that of the endpoint which sent it.
///
/// # Errors
///
/// If it was issued to another endpoint.
pub fn owns_gruu(request: &Message, held: Option<&Binding>) -> Result<(), Refusal> {
    let Ok(Contacts::List(list)) = request.contacts() else { return Ok(()) };
    let gruu = list.iter().map(|contact| contact.uri).find(|uri| uri.params.has("gruu"));
    match (gruu, held) {
        (Some(gruu), Some(held)) if gruu.as_str() == held.gruu => Ok(()),
        (Some(_), _) => Err(Refusal::ForeignGruu),
        (None, _) => Ok(()),
    }
}

/// One endpoint of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name among the address's endpoints.
    pub name: String,
    /// Its instance id.
    pub instance: Instance,
}

/// Whether what a dialog with the sender would be made of is short enough.
///
/// # Errors
///
/// If it is not.
pub fn may_be_remembered(request: &Message, contact: &str) -> Result<(), Refusal> {
    let (from, to) = (request.from(), request.to());
    let (tag, epid) = (from.tag().unwrap_or(""), from.epid().unwrap_or(""));
    let addresses = [contact, from.uri.as_str(), to.uri.as_str()];
    let others = [request.call_id(), tag, epid];
    let is_short = addresses.iter().chain(&others).all(|text| text.len() <= REMEMBERED_OCTETS);
    is_short.then_some(()).ok_or(Refusal::TooLarge)
}

/// Judges the REGISTER of `aor`, who has proved to be that.
///
/// # Errors
///
/// Says why it is not granted.
pub fn judge(
    request: &Message,
    aor: &str,
    (peer, stream): (SocketAddr, StreamId),
    server_tag: &str,
    bench: &Bench<'_>,
    now: Time,
) -> Result<Wish, Refusal> {
    let is_here = request.uri().is_some_and(|uri| {
        uri.is_sip()
            && (uri.host.eq_ignore_ascii_case(bench.domain) || uri.host.eq_ignore_ascii_case(bench.host))
    });
    if !is_here {
        return Err(Refusal::NoSuchDestination);
    }
    let to = request.to().uri.user_at_host().map(|to| to.to_ascii_lowercase());
    if to.as_deref() != Some(aor) {
        return Err(Refusal::ForeignFrom);
    }
    may_be_served(bench.accounts, aor)?;
    if request.lists("Supported", "msrtc-event-categories") && !request.lists("Supported", "gruu-10") {
        return Err(Refusal::NeedsGruu);
    }
    if request.header("Event").is_some_and(|event| !event.trim().eq_ignore_ascii_case("registration")) {
        return Err(Refusal::NotRegistrationEvent);
    }
    let list = match request.contacts().map_err(|_| Refusal::BadContact("A Contact cannot be read"))? {
        Contacts::All if request.expires() == Some(0) => return Ok(Wish::UnbindAll),
        Contacts::All => return Err(Refusal::BadContact("A Contact of * wants Expires: 0")),
        Contacts::List(list) => list,
    };
    let endpoint = endpoint_of(request)?;
    let contact = match list.as_slice() {
        [] if request.expires() == Some(0) => return Ok(Wish::Unbind { endpoint: endpoint.name }),
        [] => return Ok(Wish::Ask),
        [contact] => contact,
        _ => return Err(Refusal::BadContact("An endpoint has one Contact")),
    };
    if !contact.uri.is_sip() || contact.uri.headers.is_some() {
        return Err(Refusal::BadContact("A Contact that is no plain SIP address"));
    }
    may_be_remembered(request, contact.uri.as_str())?;
    let held = bench.bindings.find(aor, &endpoint.name, now);
    if held
        .as_ref()
        .is_some_and(|held| held.call_id == request.call_id() && request.cseq().number <= held.cseq)
    {
        return Err(Refusal::OutOfOrder);
    }
    let granted = match asked(request, contact) {
        Some(0) => return Ok(Wish::Unbind { endpoint: endpoint.name }),
        asked => grant(asked.map(|secs| Duration::from_secs(secs.into())), bench.longest, bench.strict)?,
    };
    Ok(Wish::Bind(Box::new(Binding {
        aor: aor.to_owned(),
        gruu: endpoint.instance.gruu(&format!("sip:{aor}")),
        endpoint: endpoint.name,
        instance: endpoint.instance.to_string(),
        contact: contact.uri.as_str().to_owned(),
        received: peer,
        connection: Some(stream),
        until: now + granted,
        lost_at: None,
        call_id: request.call_id().to_owned(),
        cseq: request.cseq().number,
        client_tag: request.from().tag().unwrap_or("").to_owned(),
        server_tag: server_tag.to_owned(),
        plain: None,
    })))
}

/// The seconds that a REGISTER asks for: the Contact's own word before the header's (RFC 3261 §10.2.1.1).
pub fn asked(request: &Message, contact: &NameAddr<'_>) -> Option<u32> {
    // A value that cannot be read counts as none given (RFC 3261 §10.3 item 6 would take an hour).
    let own = contact.params.get("expires").and_then(|secs| secs.parse().ok());
    own.or(request.expires())
}

/// What is granted to who asks for so long, in a pool that grants `longest` at most.
///
/// # Errors
///
/// If it is too brief.
pub fn grant(asked: Option<Duration>, longest: Duration, is_strict: bool) -> Result<Duration, Refusal> {
    let shortest = SHORTEST.min(longest);
    let asked = asked.unwrap_or(longest);
    if asked < shortest {
        return Err(Refusal::TooBrief { min_s: shortest.as_secs() });
    }
    let granted = asked.min(longest);
    // A client that refreshes on the number it asked for, and not on the one it was given, shows itself.
    Ok(if is_strict { shortest.max(Duration::from_secs(granted.as_secs() / 2)) } else { granted })
}
