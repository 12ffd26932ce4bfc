//! The SIP messages that a phone sends, and the few facts that it reads from those it gets.

use std::net::SocketAddr;

use net::Random;
use sip::auth::Auth;
use sip::endpoint::Instance;
use sip::{Draft, Message};

use crate::registration::policy;
use crate::sign_in::tokens::cut;

/// Who registers: one user on one phone.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The user's address, without `sip:`.
    pub address: String,
    /// The phone's endpoint id (MS-SIPRE §2.2.1).
    pub epid: String,
    /// The instance that belongs to it.
    pub instance: Instance,
    /// What it says it is.
    pub user_agent: String,
}

impl Endpoint {
    /// The user's domain.
    pub fn domain(&self) -> &str {
        self.address.split_once('@').map_or("", |(_, domain)| domain)
    }

    /// The user's address of record.
    pub fn uri(&self) -> String {
        format!("sip:{}", self.address)
    }
}

/// What makes one request differ from the next.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// The phone's end of the stream.
    pub local: SocketAddr,
    /// The Call-ID.
    pub call_id: &'a str,
    /// The CSeq number.
    pub cseq: u32,
}

fn request(who: &Endpoint, method: &str, uri: &str, turn: Turn<'_>, random: &mut Random) -> Draft {
    let address = who.uri();
    Draft::request(method, uri)
        .with("Via", format!("SIP/2.0/TLS {};branch=z9hG4bK{}", turn.local, random.hex(16)))
        .with("From", format!("<{address}>;tag={};epid={}", random.hex(10), who.epid))
        .with("To", format!("<{address}>"))
        .with("Max-Forwards", "70")
        .with("CSeq", format!("{} {method}", turn.cseq))
        .with("User-Agent", &who.user_agent)
        .with("Call-ID", turn.call_id)
}

/// Where the pool reaches the phone on this stream.
pub fn contact_uri(who: &Endpoint, local: SocketAddr) -> String {
    // The handle is the same for the life of the endpoint; it tells nothing.
    format!("sip:{local};transport=tls;ms-opaque={}", &who.instance.to_string()[..10].replace('-', ""))
}

/// A REGISTER; `expires` is only given to end the registration, the pool chooses otherwise.
pub fn register(who: &Endpoint, turn: Turn<'_>, expires: Option<u32>, random: &mut Random) -> Draft {
    let contact = format!(
        "<{}>;methods=\"INVITE, MESSAGE, INFO, OPTIONS, BYE, CANCEL, NOTIFY, ACK, REFER, BENOTIFY\";proxy=replace;\
         +sip.instance={}",
        contact_uri(who, turn.local),
        who.instance.sip_instance()
    );
    let mut draft = request(who, "REGISTER", &format!("sip:{}", who.domain()), turn, random)
        .with("Contact", contact)
        .with("Supported", "gruu-10, adhoclist, msrtc-event-categories, com.microsoft.msrtc.presence")
        .with("Supported", "ms-cluster-failover")
        .with("Event", "registration")
        .with("Allow-Events", "presence")
        .with("ms-keep-alive", "UAC;hop-hop=yes");
    if let Some(expires) = expires {
        draft.push("Expires", &expires.to_string());
    }
    draft
}

/// The question for the pool's policy, with a lifetime in seconds: changes are told while it lasts.
pub fn subscribe(who: &Endpoint, contact: &str, turn: Turn<'_>, expires: u32, random: &mut Random) -> Draft {
    request(who, "SUBSCRIBE", &who.uri(), turn, random)
        .with("Event", policy::EVENT)
        .with("Accept", policy::MEDIA_TYPE)
        .with("Supported", "com.microsoft.autoextend")
        .with("Supported", "ms-benotify")
        .with("Proxy-Require", "ms-benotify")
        .with("Supported", "ms-piggyback-first-notify")
        .with("Contact", contact)
        .with("Expires", expires.to_string())
        .body(policy::MEDIA_TYPE, policy::QUESTION)
}

/// The TLS-DSK challenge among the challenges of a 401.
pub fn challenge(message: &Message) -> Option<Auth> {
    message
        .headers("WWW-Authenticate")
        .filter_map(|value| Auth::parse(value).ok())
        .find(|auth| auth.is(sip::association::SCHEME))
}

/// Why the pool refused, in its own words: a Warning, else its diagnostics, else the bare status.
pub fn reason(message: &Message) -> String {
    let quoted = |header: &str, before: &str| {
        let (_, rest) = message.header(header)?.split_once(before)?;
        rest.split('"').next().map(cut).filter(|text| !text.is_empty())
    };
    quoted("Warning", "\"")
        .or_else(|| quoted("ms-diagnostics-public", "reason=\""))
        .or_else(|| quoted("ms-diagnostics", "reason=\""))
        .unwrap_or_else(|| {
            format!("{} {}", message.status().unwrap_or(0), cut(message.reason().unwrap_or_default()))
        })
}

/// The parameter of a header such as `presence-state: register-action="added"`.
pub fn parameter(message: &Message, header: &str, name: &str) -> Option<String> {
    message.headers(header).flat_map(|value| value.split([';', ','])).find_map(|part| {
        let (known, value) = part.split_once('=')?;
        known.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// The GRUU that a 200 grants to this instance.
pub fn gruu(message: &Message, instance: &Instance) -> Option<String> {
    let id = instance.to_string();
    message.headers("Contact").find(|value| value.to_ascii_lowercase().contains(&id)).and_then(|value| {
        let (_, rest) = value.split_once("gruu=\"")?;
        let gruu = rest.split('"').next()?;
        (gruu.starts_with("sip:") && gruu.len() <= 256 && !gruu.contains(['<', '>', ' ']))
            .then(|| gruu.to_owned())
    })
}

/// What a message is, in one line for the journal.
pub fn line(message: &Message) -> String {
    let cseq = message.cseq();
    let line = match message.status() {
        Some(status) => format!(
            "{status} {} ({} cseq {})",
            message.reason().unwrap_or_default(),
            cseq.method,
            cseq.number
        ),
        None => {
            let event = message.header("Event").map(|event| format!(" ({event})")).unwrap_or_default();
            let uri = message.uri().map(|uri| uri.to_string()).unwrap_or_default();
            format!("{} {uri} cseq {}{event}", message.method(), cseq.number)
        }
    };
    cut(&line)
}
