//! The REGISTER of a line, and what its 200 says.

use std::net::SocketAddr;
use std::time::Duration;

use net::Random;
use sip::digest::{Asked, Client};
use sip::{Contacts, Draft, DraftError, Message, NameAddr, Uri};

use crate::line::locate::Carrier;
use crate::line::ports::{Flow, PORT};
use crate::line::settings::LineSettings;

/// The methods that the phone says it takes.
pub const METHODS: &str =
    "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, MESSAGE, SUBSCRIBE, NOTIFY, PRACK, UPDATE, REFER";
/// The longest `Retry-After` that is kept to.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// The most routes that a registrar may put in front of a line's requests (RFC 3608).
pub const SERVICE_ROUTES_MAX: usize = 8;

/// The phone's end as it stands in Via and Contact; the usual port is not written in a Contact.
pub fn host(local: SocketAddr) -> String {
    match local.port() {
        PORT => local.ip().to_string(),
        _ => local.to_string(),
    }
}

/// The address at which others reach `user` on this phone.
pub fn contact_uri(user: &str, flow: &Flow) -> String {
    format!("sip:{user}@{}{}", host(flow.local), flow.carrier.uri_parameter())
}

/// A Via for a request on this way.
pub fn via(flow: &Flow, branch: &str) -> String {
    let rport = if flow.carrier == Carrier::Udp { ";rport" } else { "" };
    format!("SIP/2.0/{} {};branch={branch}{rport}", flow.carrier.via(), flow.local)
}

/// What makes one REGISTER differ from the next.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// Which of the line's servers.
    pub server: usize,
    /// The way.
    pub flow: &'a Flow,
    /// The Call-ID.
    pub call_id: &'a str,
    /// The CSeq number.
    pub cseq: u32,
    /// The lifetime asked for, in seconds; 0 removes the binding.
    pub expires_s: u32,
    /// What the phone says it is.
    pub user_agent: &'a str,
}

/// A REGISTER with the proofs that the login has so far.
///
/// # Errors
///
/// If the line's address or name does not fit into a header.
pub fn register(
    line: &LineSettings,
    turn: Turn<'_>,
    login: &mut Client,
    random: &mut Random,
) -> Result<Message, DraftError> {
    let aor = line.uri(turn.server);
    let name = match line.display_name.as_str() {
        "" => String::new(),
        name => format!("{} ", sip::value::quote(name)),
    };
    let registrar = aor.replacen(&format!("{}@", line.user), "", 1);
    let branch = format!("{}{}", sip::transaction::MAGIC_COOKIE, random.hex(16));
    let mut draft = Draft::request("REGISTER", &registrar)
        .with("Via", via(turn.flow, &branch))
        .with("From", format!("{name}<{aor}>;tag={}", random.hex(10)))
        .with("To", format!("<{aor}>"))
        .with("CSeq", format!("{} REGISTER", turn.cseq))
        .with("Call-ID", turn.call_id)
        .with("Contact", format!("<{}>;methods=\"{METHODS}\"", contact_uri(&line.user, turn.flow)))
        .with("User-Agent", turn.user_agent)
        .with("Accept-Language", "en");
    for (header, value) in login.answer(&Asked { method: "REGISTER", uri: &registrar, body: b"" }) {
        draft.push(header, &value);
    }
    draft.with("Max-Forwards", "70").with("Expires", turn.expires_s.to_string()).message()
}

/// The seconds that a 200 grants to the contact of `sent`: what stands beside that contact, else `Expires`, else what was
/// asked (RFC 3261 §10.2.4).
pub fn granted(response: &Message, sent: &Message) -> u32 {
    let asked = sent.expires().unwrap_or(0);
    let ours = match sent.contacts() {
        Ok(Contacts::List(own)) => own.first().map(|own| own.uri.to_string()),
        _ => None,
    };
    let ours = ours.as_deref().and_then(|text| Uri::parse(text).ok());
    let beside = match response.contacts() {
        Ok(Contacts::List(all)) => {
            let own = all.iter().find(|one| ours.as_ref().is_some_and(|ours| ours.same_as(&one.uri)));
            // A registrar behind a NAT may have written another address; a single contact is still this one.
            own.or(all.first().filter(|_| all.len() == 1))
                .and_then(|one| one.params.get("expires"))
                .and_then(|text| text.parse().ok())
        }
        _ => None,
    };
    beside.or(response.expires()).unwrap_or(asked)
}

/// How long the server wants to be left alone, if it says so (RFC 3261 §20.33).
pub fn retry_after(response: &Message) -> Option<Duration> {
    let value = response.header("Retry-After")?;
    let digits: String = value.trim().chars().take_while(char::is_ascii_digit).collect();
    let secs: u64 = digits.parse().ok()?;
    Some(Duration::from_secs(secs).min(RETRY_AFTER_MAX))
}

/// The routes that the registrar puts in front of requests (RFC 3608 §5), as they stand in a Route header.
pub fn service_routes(response: &Message) -> Vec<String> {
    let routes = response.list("Service-Route").unwrap_or_default();
    let are_good = routes.len() <= SERVICE_ROUTES_MAX
        && routes.iter().all(|route| NameAddr::parse(route).is_ok_and(|route| route.uri.is_sip()));
    if are_good { routes.into_iter().map(str::to_owned).collect() } else { Vec::new() }
}
