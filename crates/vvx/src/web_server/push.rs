//! Push: messages for the display, numbers to dial, keys to press, and verbs about calls.
//!
//! `POST /push` with the credentials of `apps.push.username` and `.password`; without those the phone has no push (404).
//! What ranks below `apps.push.messageType` is dropped, 0 drops everything and 5 nothing. Messages hold up to 200
//! characters, on displays without colours 69 and a heading of 18.

mod words;

use bytes::Bytes;
use net::http::{Method, Response, StatusCode, header};

use super::answer::{bad_method, forbidden, not_found, refusal, text};
use super::guard::Account;
use super::routes::Pending;
use super::{Asked, WebServer};
use crate::call::{CallError, CallRef, CallState, Reject};
use crate::model::{Colour, Model};
use crate::phone::serving::Desk;
use words::{Pushed, Verb};

/// Verbs of one push.
const VERBS_LIMIT: usize = 32;

/// A message on the display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The heading; may be empty.
    pub title: String,
    /// The rest, paragraph by paragraph.
    pub lines: Vec<String>,
    /// How much it matters.
    pub priority: Priority,
}

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// 1.
    Normal,
    /// 2.
    Important,
    /// 3.
    High,
    /// 4.
    Critical,
}

impl Priority {
    fn parse(text: &str) -> Option<Priority> {
        Some(match text.trim().to_ascii_lowercase().as_str() {
            "" | "normal" | "1" => Priority::Normal,
            "important" | "2" => Priority::Important,
            "high" | "3" => Priority::High,
            "critical" | "4" => Priority::Critical,
            _ => return None,
        })
    }

    /// Whether a phone takes messages that matter so much.
    fn is_taken(self, message_type: &str) -> bool {
        match message_type.trim().to_ascii_lowercase().as_str() {
            "5" | "all" => true,
            "0" | "none" | "" => false,
            least => Priority::parse(least).is_some_and(|least| self >= least),
        }
    }
}

/// Answers `POST /push`.
pub fn serve(web: &mut WebServer, asked: &Asked, desk: &mut Desk<'_>) -> Response<Bytes> {
    let config = desk.config();
    let account =
        Account { name: config.text("apps.push.username"), password: config.text("apps.push.password") };
    if account.name.is_empty() || account.password.is_empty() {
        return not_found();
    }
    if config.is_on("apps.push.secureTunnelRequired") && !asked.is_secure {
        return forbidden("Push is taken over HTTPS only.");
    }
    let secret = web.access.secret();
    if let Err(refused) = web.guards.push.admit(&asked.request, &account, secret, desk.now()) {
        return *refused;
    }
    if asked.request.method() != Method::POST {
        return bad_method("POST");
    }
    let kind = asked.request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_right = kind.is_none_or(|kind| {
        ["application/x-com-polycom-spipx", "text/xml", "application/xml"]
            .iter()
            .any(|known| kind.starts_with(known))
    });
    if !is_right {
        return refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Push takes application/x-com-polycom-spipx and text/xml.",
        );
    }
    let body = String::from_utf8_lossy(asked.request.body());
    let Some((priority, pushed)) = words::read(&body) else {
        return refusal(StatusCode::BAD_REQUEST, "This is no push message.");
    };
    if !priority.is_taken(desk.config().text("apps.push.messageType")) {
        return text("Push Message will not be displayed: its priority is not allowed");
    }
    match pushed {
        Pushed::Message { title, lines } => {
            let (title, lines) = fit(&title, lines, desk.model());
            desk.show(Message { title, lines, priority });
        }
        Pushed::Verbs(verbs) => {
            for verb in verbs.into_iter().take(VERBS_LIMIT) {
                if let Err(why) = act(verb, &mut web.pending, desk) {
                    return text(format!("Push Message will not be executed: {why}"));
                }
            }
        }
        Pushed::Nothing => return refusal(StatusCode::BAD_REQUEST, "There is nothing in this push message."),
    }
    text("Push Message will be displayed successfully")
}

/// What fits the display of a model.
fn fit(title: &str, lines: Vec<String>, model: &Model) -> (String, Vec<String>) {
    let (title_limit, limit) = match model.colour {
        Colour::Mono => (18, 69),
        Colour::Colour => (40, 200),
    };
    let mut left = limit;
    let mut fitting = Vec::new();
    for line in lines {
        let kept: String = line.chars().take(left).collect();
        left -= kept.chars().count();
        fitting.push(kept);
        if left == 0 {
            break;
        }
    }
    (title.chars().take(title_limit).collect(), fitting)
}

fn act(verb: Verb, pending: &mut Pending, desk: &mut Desk<'_>) -> Result<(), String> {
    let told = |done: Result<(), CallError>| done.map_err(|why| why.to_string());
    match verb {
        Verb::Dial { to, line, digits } => {
            told(desk.dial(line, &to))?;
            pending.dial_on(digits);
            Ok(())
        }
        Verb::Key(name) => {
            let name = words::key(&name);
            if !crate::keys::is_known(&name) {
                return Err(format!("there is no key {name}"));
            }
            desk.press(&name);
            Ok(())
        }
        Verb::Call { action, reference } => {
            let call = find(&action, reference, desk).ok_or("there is no such call")?;
            match action.as_str() {
                "answer" => told(desk.answer(call)),
                "endcall" | "remove" => told(desk.hang_up(call)),
                "reject" => told(desk.reject(call, Reject::Decline)),
                "ignore" => told(desk.ignore(call)),
                "hold" => told(desk.hold(call)),
                "resume" => told(desk.resume(call)),
                "micmute" => {
                    let is_muted = desk.calls().iter().any(|known| known.reference == call && known.is_muted);
                    told(desk.mute(!is_muted))
                }
                _ => Err(format!("{action} is not done by push here")),
            }
        }
    }
}

/// The call that a verb is about: the one that is named, else the one that it fits.
fn find(action: &str, reference: Option<CallRef>, desk: &Desk<'_>) -> Option<CallRef> {
    let mut calls = desk.calls();
    if let Some(reference) = reference {
        return calls.iter().find(|call| call.reference == reference).map(|call| call.reference);
    }
    calls.sort_by_key(|call| !call.is_in_focus);
    let fits = |state: CallState| match action {
        "answer" | "reject" | "ignore" => state == CallState::Offering,
        "resume" => state == CallState::CallHold,
        "hold" => state == CallState::Connected,
        _ => state != CallState::Disconnected,
    };
    calls.iter().find(|call| fits(call.state)).map(|call| call.reference)
}
