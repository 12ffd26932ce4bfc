//! What strangers get who ask the phone's port who it is: tools find phones by OPTIONS and NOTIFY out of the blue.
//!
//! Both get a 200 that tells identity, as on the device; a user part that is nobody's gets 404. `NOTIFY` with `Event:
//! check-sync` also starts the phone again, or makes it look for new settings. Other requests get what RFC 3261 and RFC
//! 6665 have for them. Answers are remembered, so that a request that comes twice is acted on once.

use net::{Outbox, Time};
use sip::timers::Timers;
use sip::transaction::{Arrival, Servers};
use sip::{Draft, Message};

use crate::line::lines::Lines;
use crate::line::messages::{METHODS, host};
use crate::line::ports::{Flow, Ports, reply};

/// The most requests of strangers whose answers are remembered.
pub const REMEMBERED_MAX: usize = 2_000;

/// Who the phone is to strangers at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Identity {
    /// The Contact's URI; `None` is the model's name at the phone's address.
    pub contact: Option<String>,
    /// What `P-Preferred-Identity` says, if somebody is signed in.
    pub preferred: Option<String>,
    /// The user parts that are somebody's here.
    pub users: Vec<String>,
    /// The model, as an unregistered phone names itself: `VVX411`.
    pub model: String,
    /// The User-Agent.
    pub user_agent: String,
}

/// What a request asks of the phone besides its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Nothing.
    Nothing,
    /// To look for new settings, or to start again (`check-sync`).
    CheckSync,
}

/// The answers that were given.
#[derive(Debug)]
pub struct Observed {
    servers: Servers,
}

impl Default for Observed {
    fn default() -> Observed {
        Observed { servers: Servers::new(Timers::RFC3261) }
    }
}

impl Observed {
    /// Answers a request that no call took, and that came by this flow. `sign` may add what proves the phone's identity to its pool.
    pub fn request(
        &mut self,
        (request, flow): (&Message, &Flow),
        who: &Identity,
        sign: impl FnOnce(Draft) -> Draft,
        lines: &mut Lines,
        now: Time,
        out: &mut Outbox,
    ) -> Asks {
        if request.method() == "ACK" {
            return Asks::Nothing;
        }
        self.servers.wake(now);
        let key = match self.servers.receive(now, flow.peer, request, flow.reliability()) {
            Arrival::New(key) if self.servers.len() <= REMEMBERED_MAX => key,
            Arrival::New(key) => {
                self.servers.forget(&key);
                return Asks::Nothing;
            }
            Arrival::Again(Some(octets)) => {
                if lines.ports_mut().may_answer(now) {
                    let back = Ports::way_back(request, flow);
                    lines.ports().send_octets(&back, octets, out);
                }
                return Asks::Nothing;
            }
            Arrival::Again(None) | Arrival::Full => return Asks::Nothing,
        };
        if !lines.ports_mut().may_answer(now) {
            self.servers.forget(&key);
            return Asks::Nothing;
        }
        let (status, asks) = judge(request, who);
        let mut draft = reply(request, flow, status);
        if status == 200 {
            draft = identify(draft, who, flow);
            if request.method() == "OPTIONS" {
                draft = draft
                    .with("Allow", METHODS)
                    .with("Accept", "application/sdp")
                    .with("Accept-Language", "en")
                    .with("Supported", "replaces, 100rel");
            }
        } else {
            draft.push("User-Agent", &who.user_agent);
            match status {
                405 => draft.push("Allow", METHODS),
                489 => draft.push("Allow-Events", "check-sync, message-summary, ua-profile"),
                420 => {
                    let required = request.list("Require").unwrap_or_default();
                    draft.push("Unsupported", &required.join(", "));
                }
                _ => {}
            }
        }
        let draft = if status == 200 { sign(draft) } else { draft };
        if let Ok(message) = draft.message() {
            self.servers.answer(now, &key, status, message.as_bytes().clone());
            lines.respond(request, flow, &draft, out);
        }
        asks
    }
}

/// The status of the answer, and what else is asked.
fn judge(request: &Message, who: &Identity) -> (u16, Asks) {
    let Some(uri) = request.uri() else { return (400, Asks::Nothing) };
    if !uri.is_sip() {
        return (416, Asks::Nothing);
    }
    let user = uri.user_name().filter(|user| !user.is_empty());
    if let Some(user) = user
        && !who.users.iter().any(|known| known.eq_ignore_ascii_case(&user))
        && !who.model.eq_ignore_ascii_case(&user)
    {
        return (404, Asks::Nothing);
    }
    let is_in_dialog = request.to().tag().is_some();
    if request.header("Require").is_some() && !is_in_dialog {
        return (420, Asks::Nothing);
    }
    match request.method() {
        // There is no dialog that these could belong to: whoever had one took its requests before.
        "OPTIONS" | "NOTIFY" | "SUBSCRIBE" | "INFO" | "UPDATE" | "REFER" | "INVITE" if is_in_dialog => {
            (481, Asks::Nothing)
        }
        "BYE" | "CANCEL" | "PRACK" => (481, Asks::Nothing),
        "OPTIONS" => (200, Asks::Nothing),
        "NOTIFY" => match request.header("Event").map(|event| event.split(';').next().unwrap_or("").trim()) {
            // RFC 6665 §7.1.1: there must be one.
            None | Some("") => (489, Asks::Nothing),
            Some(event) if event.eq_ignore_ascii_case("check-sync") => (200, Asks::CheckSync),
            // Whatever else is told out of the blue is heard and not acted on, as on the device.
            Some(_) => (200, Asks::Nothing),
        },
        "SUBSCRIBE" => (489, Asks::Nothing),
        "INVITE" => (480, Asks::Nothing),
        "MESSAGE" | "INFO" | "UPDATE" | "REFER" | "REGISTER" | "PUBLISH" => (405, Asks::Nothing),
        _ => (501, Asks::Nothing),
    }
}

/// Says who the phone is.
fn identify(draft: Draft, who: &Identity, flow: &Flow) -> Draft {
    let contact = who.contact.clone().unwrap_or_else(|| format!("sip:{}@{}", who.model, host(flow.local)));
    let draft = draft.with("Contact", format!("<{contact}>")).with("User-Agent", &who.user_agent);
    match &who.preferred {
        Some(preferred) => draft.with("P-Preferred-Identity", preferred),
        None => draft,
    }
}
