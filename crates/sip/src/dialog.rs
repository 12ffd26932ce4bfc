//! Dialogs: what two ends remember of each other between INVITE and BYE (RFC 3261 §12).
//!
//! A [`Dialog`] knows tags, sequence numbers, the route set and where the other end really is, and writes requests
//! that fit in. It knows nothing of transactions: Via is the sender's to add. [`Repeats`] says when a 2xx to an
//! INVITE goes out again until its ACK comes (§13.3.1.4), over whatever transport.

use std::time::Duration;

use net::Time;
use thiserror::Error;

use crate::message::Message;
use crate::print::Draft;
use crate::timers::Timers;
use crate::uri::Uri;
use crate::value::{Contacts, NameAddr};

/// The most routes that are remembered; a longer set is nobody's network.
pub const ROUTES_MAX: usize = 16;

/// What names a dialog at one end (RFC 3261 §12): every request inside it bears these three.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DialogId {
    /// The Call-ID.
    pub call_id: String,
    /// This end's tag.
    pub local_tag: String,
    /// The other end's tag; empty for an end of RFC 2543's time.
    pub remote_tag: String,
}

impl DialogId {
    /// The dialog that a request from the other end belongs to, if it names one at all.
    pub fn of_request(request: &Message) -> Option<DialogId> {
        Some(DialogId {
            call_id: request.call_id().to_owned(),
            local_tag: request.to().tag()?.to_owned(),
            remote_tag: request.from().tag().unwrap_or("").to_owned(),
        })
    }

    /// The dialog that a response to this end's own request belongs to.
    pub fn of_response(response: &Message) -> Option<DialogId> {
        Some(DialogId {
            call_id: response.call_id().to_owned(),
            local_tag: response.from().tag().unwrap_or("").to_owned(),
            remote_tag: response.to().tag()?.to_owned(),
        })
    }
}

/// How far a dialog has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Made by a provisional answer; a 2xx confirms it, a refusal ends it.
    Early,
    /// Made or confirmed by a 2xx.
    Confirmed,
}

/// Why a message makes no dialog, or has no place in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DialogError {
    /// It names no Contact, or more than one, or none that a SIP request could go to.
    #[error("no single Contact that is a SIP address")]
    Contact,
    /// The answer has no To tag.
    #[error("no To tag")]
    NoTag,
    /// There are more routes than [`ROUTES_MAX`], or one that cannot be read.
    #[error("a route set that is too long or cannot be read")]
    Routes,
    /// The request is older than the last one: answer 500 (RFC 3261 §12.2.2).
    #[error("an older request than the last one")]
    OutOfOrder,
}

/// One end's side of a dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    id: DialogId,
    stage: Stage,
    /// From of what this end sends, tag and all.
    local: String,
    /// To of what this end sends.
    remote: String,
    local_cseq: u32,
    remote_cseq: Option<u32>,
    routes: Vec<String>,
    target: String,
}

impl Dialog {
    /// The caller's side, from its own request and an answer that is 101 to 299 (RFC 3261 §12.1.2).
    ///
    /// # Errors
    ///
    /// If the answer has no To tag, no single Contact, or too many routes.
    pub fn as_caller(request: &Message, response: &Message) -> Result<Dialog, DialogError> {
        let id = DialogId::of_response(response).ok_or(DialogError::NoTag)?;
        let mut routes = routes(response)?;
        routes.reverse();
        Ok(Dialog {
            stage: stage(response),
            local: request.header("From").unwrap_or("").to_owned(),
            remote: response.header("To").unwrap_or("").to_owned(),
            local_cseq: request.cseq().number,
            remote_cseq: None,
            routes,
            target: target(response)?,
            id,
        })
    }

    /// The called side, from the request and the tag that this end answers with (RFC 3261 §12.1.1). It is early
    /// until [`Dialog::confirm`].
    ///
    /// # Errors
    ///
    /// If the request has no single Contact, or too many routes.
    pub fn as_called(request: &Message, local_tag: &str) -> Result<Dialog, DialogError> {
        let to = request.header("To").unwrap_or("");
        let local = match request.to().tag() {
            Some(_) => to.to_owned(),
            None => format!("{to};tag={local_tag}"),
        };
        Ok(Dialog {
            id: DialogId {
                call_id: request.call_id().to_owned(),
                local_tag: local_tag.to_owned(),
                remote_tag: request.from().tag().unwrap_or("").to_owned(),
            },
            stage: Stage::Early,
            local,
            remote: request.header("From").unwrap_or("").to_owned(),
            local_cseq: 0,
            remote_cseq: Some(request.cseq().number),
            routes: routes(request)?,
            target: target(request)?,
        })
    }

    /// What names it.
    pub fn id(&self) -> &DialogId {
        &self.id
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Where the other end said that it is, as an address.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The other end as its From or To has it, name and all.
    pub fn remote(&self) -> &str {
        &self.remote
    }

    /// The routes, nearest first, each in its angle brackets.
    pub fn routes(&self) -> &[String] {
        &self.routes
    }

    /// The number of the last request that this end sent.
    pub fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// The address that a request goes to first: the nearest route, or the other end itself.
    pub fn next_hop(&self) -> &str {
        self.routes.first().map_or(&self.target, |route| uri_of(route))
    }

    /// This end accepted, or the 2xx came to the early dialog.
    pub fn confirm(&mut self) {
        self.stage = Stage::Confirmed;
    }

    /// A 2xx to the INVITE came, for a dialog that a provisional answer made: the routes are those of the 2xx
    /// (RFC 3261 §13.2.2.4).
    ///
    /// # Errors
    ///
    /// If the 2xx has too many routes or no single Contact; the dialog stays as it was.
    pub fn confirmed_by(&mut self, response: &Message) -> Result<(), DialogError> {
        let mut routes = routes(response)?;
        routes.reverse();
        let target = target(response)?;
        self.stage = Stage::Confirmed;
        (self.routes, self.target) = (routes, target);
        Ok(())
    }

    /// Writes the next request: its number is one more than the last (RFC 3261 §12.2.1.1). Via, Contact and body are
    /// the sender's to add.
    pub fn request(&mut self, method: &str) -> Draft {
        // A number beyond 2^31 would be refused; nobody sends that many.
        self.local_cseq = (self.local_cseq + 1).min((1 << 31) - 1);
        self.draft(method, self.local_cseq)
    }

    /// Writes the ACK to a 2xx: it bears the number of its INVITE.
    pub fn ack(&self, invite: u32) -> Draft {
        self.draft("ACK", invite)
    }

    fn draft(&self, method: &str, cseq: u32) -> Draft {
        let mut routes: Vec<&str> = self.routes.iter().map(String::as_str).collect();
        let mut uri = self.target.clone();
        // A strict router wants to find itself in the Request-URI, and the target as the last route (RFC 3261
        // §12.2.1.1).
        let last = format!("<{}>", self.target);
        if let Some(first) = routes.first().copied()
            && !Uri::parse(uri_of(first)).is_ok_and(|uri| uri.params.has("lr"))
        {
            uri = uri_of(first).to_owned();
            routes.remove(0);
            routes.push(&last);
        }
        let mut draft = Draft::request(method, &uri).with("Max-Forwards", "70");
        for route in routes {
            draft.push("Route", route);
        }
        draft
            .with("From", &self.local)
            .with("To", &self.remote)
            .with("Call-ID", &self.id.call_id)
            .with("CSeq", format!("{cseq} {method}"))
    }

    /// Whether a request from the other end belongs here.
    pub fn is_of(&self, request: &Message) -> bool {
        request.call_id() == self.id.call_id
            && request.to().tag() == Some(self.id.local_tag.as_str())
            && request.from().tag().unwrap_or("") == self.id.remote_tag
    }

    /// Takes a request of the other end in: its order, and where the other end is now if it says so (a target
    /// refresh: INVITE, UPDATE).
    ///
    /// # Errors
    ///
    /// If it is older than the last one; nothing changes then.
    pub fn receive(&mut self, request: &Message) -> Result<(), DialogError> {
        let number = request.cseq().number;
        if matches!(request.method(), "ACK" | "CANCEL") {
            return Ok(());
        }
        if self.remote_cseq.is_some_and(|last| number <= last) {
            return Err(DialogError::OutOfOrder);
        }
        self.remote_cseq = Some(number);
        if matches!(request.method(), "INVITE" | "UPDATE") {
            self.refresh(request);
        }
        Ok(())
    }

    /// A 2xx to this end's own INVITE or UPDATE may move the other end (RFC 3261 §12.2.1.2).
    pub fn refresh(&mut self, message: &Message) {
        if let Ok(moved) = target(message) {
            self.target = moved;
        }
    }
}

fn stage(response: &Message) -> Stage {
    if response.status().is_some_and(|status| status >= 200) { Stage::Confirmed } else { Stage::Early }
}

fn target(message: &Message) -> Result<String, DialogError> {
    match message.contacts() {
        Ok(Contacts::List(list)) => match list.as_slice() {
            [one] if one.uri.is_sip() => Ok(one.uri.as_str().to_owned()),
            _ => Err(DialogError::Contact),
        },
        Ok(Contacts::All) | Err(_) => Err(DialogError::Contact),
    }
}

fn routes(message: &Message) -> Result<Vec<String>, DialogError> {
    let all = message.list("Record-Route").map_err(|_| DialogError::Routes)?;
    let is_good = |text: &&str| {
        text.starts_with('<')
            && text.contains('>')
            && NameAddr::parse(text).is_ok_and(|route| route.uri.is_sip())
    };
    if all.len() > ROUTES_MAX || !all.iter().all(is_good) {
        return Err(DialogError::Routes);
    }
    Ok(all.into_iter().map(str::to_owned).collect())
}

/// What stands between the angle brackets of a route.
fn uri_of(route: &str) -> &str {
    let inner = route.split_once('<').map_or(route, |(_, rest)| rest);
    inner.split_once('>').map_or(inner, |(uri, _)| uri)
}

/// When a 2xx to an INVITE is sent again: after T1, then twice as late each time up to T2, for 64*T1 in all
/// (RFC 3261 §13.3.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeats {
    at: Time,
    interval: Duration,
    until: Time,
    timers: Timers,
}

/// What is due of [`Repeats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// Send the 2xx again.
    Repeat,
    /// The ACK never came: the session is to be ended with BYE.
    GiveUp,
}

impl Repeats {
    /// The 2xx was sent for the first time now.
    pub fn new(now: Time, timers: Timers) -> Repeats {
        Repeats { at: now + timers.t1, interval: timers.t1, until: now + timers.t1 * 64, timers }
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Time {
        self.at.min(self.until)
    }

    /// What is due.
    pub fn wake(&mut self, now: Time) -> Due {
        if now >= self.until {
            return Due::GiveUp;
        }
        if now < self.at {
            return Due::Nothing;
        }
        self.interval = self.timers.next_e(self.interval);
        self.at = now + self.interval;
        Due::Repeat
    }
}
