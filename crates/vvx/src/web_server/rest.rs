//! REST, versions 1 and 2: who may, the envelope, and from a path to whoever answers it.
//!
//! Every answer is `{"data": …, "Status": "2000"}`; `Status` is a text and no HTTP status. A phone whose REST is switched
//! off, or whose firmware has none, answers 404 before it asks who is there. Both HTTP Basic and Digest are taken.

mod calls;
mod control;
mod device;
mod touch;

use bytes::Bytes;
use net::Time;
use net::http::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::access::{ADMIN, Rules};
use super::answer::{bad_method, json as document, not_found};
use super::guard::Account;
use super::routes::{Reply, Wait};
use super::{Asked, WebServer};
use crate::model::Feature;
use crate::phone::PhoneState;
use crate::phone::serving::Desk;
use crate::sign_in::tokens::Secret;

/// What came of a call, as `Status` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was done.
    Ok,
    /// What was sent cannot be.
    InvalidInput,
    /// The phone is busy.
    Busy,
    /// The line is not registered.
    NotRegistered,
    /// This may not be done.
    NotAllowed,
    /// This model or firmware cannot do it.
    NotSupported,
    /// There is no such line.
    NoLine,
    /// The URLs that it needs are not configured.
    NoUrl,
    /// There is no such call.
    NoCall,
    /// More entries than one call may have.
    TooLarge,
    /// The administrator's password is still the one that phones come with.
    DefaultPassword,
    /// It failed.
    Failed,
}

impl Status {
    /// As the envelope says it.
    pub fn code(self) -> &'static str {
        match self {
            Status::Ok => "2000",
            Status::InvalidInput => "4000",
            Status::Busy => "4001",
            Status::NotRegistered => "4002",
            Status::NotAllowed => "4003",
            Status::NotSupported => "4004",
            Status::NoLine => "4005",
            Status::NoUrl => "4006",
            Status::NoCall => "4007",
            Status::TooLarge => "4009",
            Status::DefaultPassword => "4010",
            Status::Failed => "5000",
        }
    }
}

/// What a call answers: data, or a status alone.
pub type Outcome = Result<Value, Status>;

/// The envelope around an outcome.
pub fn envelope(outcome: Outcome) -> Response<Bytes> {
    let mut body = Map::new();
    let status = match outcome {
        Ok(Value::Null) => Status::Ok,
        Ok(data) => {
            body.insert("data".to_owned(), data);
            Status::Ok
        }
        Err(status) => status,
    };
    body.insert("Status".to_owned(), json!(status.code()));
    document(StatusCode::OK, &Value::Object(body))
}

/// Answers a call.
pub fn serve(web: &mut WebServer, asked: &Asked, desk: &mut Desk<'_>) -> Reply {
    if !desk.config().is_on("apps.restapi.enabled") || !desk.firmware().has(Feature::Rest) {
        return Reply::Now(not_found());
    }
    let now = desk.now();
    let rules = Rules::of(desk.config());
    let account = Account { name: ADMIN, password: rules.admin_password() };
    let secret = web.access.secret();
    if let Err(refused) = web.guards.rest.admit(&asked.request, &account, secret, now) {
        return Reply::Now(*refused);
    }
    if rules.is_default() && desk.firmware().has(Feature::NewPassword) {
        return Reply::Now(envelope(Err(Status::DefaultPassword)));
    }
    route(web, &asked.request, desk)
}

fn route(web: &mut WebServer, request: &Request<Bytes>, desk: &mut Desk<'_>) -> Reply {
    let path = request.uri().path().trim_end_matches('/');
    let query = super::form::Form::parse(request.uri().query().unwrap_or_default().as_bytes());
    let Some((version, call)) = path.strip_prefix("/api/").and_then(|rest| rest.split_once('/')) else {
        return Reply::Now(not_found());
    };
    let is_second = match version {
        "v1" => false,
        "v2" if desk.firmware().has(Feature::RestSecond) => true,
        _ => return Reply::Now(not_found()),
    };
    let looked = match (is_second, call) {
        (_, "webCallControl/callStatus") => Some(calls::status(is_second, &query, desk)),
        _ => device::look(is_second, call, desk),
    };
    if let Some(looked) = looked {
        return Reply::Now(match *request.method() {
            // Tools look for this one beside `data`.
            Method::GET | Method::HEAD if call == "mgmt/getPresence" => device::presence_answer(desk),
            Method::GET | Method::HEAD => envelope(looked),
            _ => bad_method("GET, HEAD"),
        });
    }
    if is_second || !is_known(call) {
        return Reply::Now(not_found());
    }
    if request.method() != Method::POST {
        return Reply::Now(bad_method("POST"));
    }
    let Some(body) = read(request.body()) else {
        return Reply::Now(envelope(Err(Status::InvalidInput)));
    };
    if call == "mgmt/skype/signIn" {
        return match control::sign_in(&body, desk) {
            Ok(lock_code) => Reply::Later(Wait::SignIn(SigningIn::new(lock_code, desk.now()))),
            Err(status) => Reply::Now(envelope(Err(status))),
        };
    }
    Reply::Now(match call.split_once('/') {
        _ if call == "mgmt/config/get" => control::get(&body, desk),
        Some(("callctrl", verb)) => envelope(calls::act(verb, &body, desk)),
        Some(("mgmt", "simulateTouch")) => envelope(touch::touch(&body, desk)),
        Some(("mgmt", "simulateKeyEvent")) => envelope(touch::key(&body, desk)),
        Some(("mgmt", "simulateTextInput")) => envelope(touch::text(&body, desk)),
        Some((_, verb)) => envelope(control::act(verb, &body, web, desk)),
        None => not_found(),
    })
}

/// Whether there is a call of that name to be made with POST.
fn is_known(call: &str) -> bool {
    match call.split_once('/') {
        Some(("callctrl", verb)) => calls::VERBS.contains(&verb),
        Some(("mgmt", verb)) => {
            control::VERBS.contains(&verb)
                || ["simulateTouch", "simulateKeyEvent", "simulateTextInput", "config/get", "skype/signIn"]
                    .contains(&verb)
        }
        _ => false,
    }
}

/// What stands under `data`: nothing if there is no body. `None` if the body is no such document.
fn read(body: &[u8]) -> Option<Value> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Some(Value::Null);
    }
    match serde_json::from_slice(body).ok()? {
        Value::Object(mut document) => Some(document.remove("data").unwrap_or(Value::Null)),
        _ => None,
    }
}

/// A text in an object; numbers and flags count as text, as tools write them either way.
fn text_of(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A sign-in that somebody waits for: the answer comes when it is over, 155 s later at the latest.
#[derive(Debug)]
pub struct SigningIn {
    until: Time,
    /// A lock code to make on the way, if one is asked for.
    lock_code: Option<Secret>,
}

impl SigningIn {
    fn new(lock_code: Option<Secret>, now: Time) -> SigningIn {
        SigningIn { until: now + control::SIGN_IN_LIMIT, lock_code }
    }

    /// When the answer comes at the latest.
    pub fn until(&self) -> Time {
        self.until
    }

    /// The answer, once there is one.
    pub fn outcome(&mut self, desk: &mut Desk<'_>) -> Option<Response<Bytes>> {
        let outcome = match desk.state() {
            _ if desk.waits_for_lock_code() => match self.lock_code.take() {
                Some(code) if desk.give_lock_code(code.expose()) => return None,
                Some(_) => Err(Status::InvalidInput),
                // The person at the phone makes the code; the phone is registered.
                None if desk.is_keeping_lock_code() => return None,
                None => Ok(Value::Null),
            },
            PhoneState::SignedIn | PhoneState::Locked => Ok(Value::Null),
            PhoneState::SigningIn if desk.now() < self.until => return None,
            PhoneState::SigningIn
            | PhoneState::Registered
            | PhoneState::Unregistered
            | PhoneState::Off
            | PhoneState::Booting
            | PhoneState::SignedOut
            | PhoneState::RegistrationLost => Err(Status::Failed),
        };
        Some(envelope(outcome))
    }
}
