//! From a request to whoever answers it: who may, with which method, from where.
//!
//! REST, push and state polling have credentials of their own and are told apart by their paths first. Everything
//! else is the web interface: pages for people, and the forms and words that fleet tools rely on.

use std::time::Duration;

use bytes::Bytes;
use net::http::{HeaderMap, Method, Response, StatusCode, header};
use net::{StreamId, Time};

use super::access::{Denied, Proof, Role, Rules, Visitor, authorization};
use super::answer::{self, bad_method, forbidden, html, not_found, refusal, text, with};
use super::form::Form;
use super::{Asked, WebServer, capture, exports, pages, polling, push, rest, service, settings};
use crate::call::CallState;
use crate::model::Feature;
use crate::phone::serving::{Desk, Start};

/// How long the phone takes from a promise to start again to doing it, so that the promise gets out.
const START_AFTER: Duration = Duration::from_secs(2);

/// What becomes of a request.
#[derive(Debug)]
pub enum Reply {
    /// This.
    Now(Response<Bytes>),
    /// Something later.
    Later(Wait),
}

/// What an answer waits for.
#[derive(Debug)]
pub enum Wait {
    /// A sign-in over REST comes to its end.
    SignIn(rest::SigningIn),
}

/// Digits to send once a call that push began is answered.
#[derive(Debug)]
struct DialOn {
    /// `p` waits a second, `,` two; the rest are digits.
    left: String,
    /// When it goes on; `None` before the call is answered.
    due: Option<Time>,
}

/// Answers that wait, and what the phone has promised to do.
#[derive(Debug, Default)]
pub struct Pending {
    waits: Vec<(StreamId, Wait)>,
    dial_on: Option<DialOn>,
    start: Option<(Time, Start)>,
    /// Whether it waits for calls to end.
    waits_for_calls: bool,
    /// A word that shows for a moment while the phone is on its way out of a state.
    pub passing: Option<(Time, service::Word)>,
}

impl Pending {
    /// An answer waits. No more wait than there are connections.
    pub fn wait(&mut self, stream: StreamId, wait: Wait) {
        self.waits.push((stream, wait));
    }

    /// Digits to send once the call in focus is answered.
    pub fn dial_on(&mut self, digits: String) {
        self.dial_on = (!digits.is_empty()).then_some(DialOn { left: digits, due: None });
    }

    /// The phone will start again soon; whoever promised more before keeps the word.
    pub fn start_again(&mut self, start: Start, now: Time) {
        if self.start.is_none_or(|(_, known)| known != Start::Factory) {
            self.start = Some((now + START_AFTER, start));
            self.waits_for_calls = false;
        }
    }

    /// The phone will start again as soon as nobody talks.
    pub fn start_when_idle(&mut self, now: Time) {
        if self.start.is_none() {
            self.start = Some((now + START_AFTER, Start::Again));
            self.waits_for_calls = true;
        }
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        let waits = self.waits.iter().map(|(_, Wait::SignIn(sign_in))| sign_in.until());
        let digits = self.dial_on.as_ref().and_then(|digits| digits.due);
        waits.chain(self.start.map(|(at, _)| at)).chain(digits).min()
    }
}

/// Answers a request.
pub fn serve(web: &mut WebServer, asked: &Asked, desk: &mut Desk<'_>) -> Reply {
    match asked.request.uri().path() {
        path if path == "/api" || path.starts_with("/api/") => rest::serve(web, asked, desk),
        "/push" => Reply::Now(push::serve(web, asked, desk)),
        path if path.starts_with("/polling/") => Reply::Now(polling::serve(web, asked, desk)),
        _ => Reply::Now(interface(web, asked, desk)),
    }
}

/// Goes on with what waits: answers that are due now, and what the phone promised.
pub fn go_on(web: &mut WebServer, desk: &mut Desk<'_>) {
    if let Some((_, start)) = web.pending.start.take_if(|(at, _)| *at <= desk.now()) {
        if web.pending.waits_for_calls && !desk.calls().is_empty() {
            web.pending.start = Some((desk.now() + START_AFTER, start));
        } else {
            desk.start_again(start);
        }
    }
    send_digits(&mut web.pending, desk);
    for (stream, mut wait) in std::mem::take(&mut web.pending.waits) {
        if !web.is_open(stream) {
            continue;
        }
        let Wait::SignIn(sign_in) = &mut wait;
        match sign_in.outcome(desk) {
            Some(response) => {
                let now = desk.now();
                web.answer(stream, response, now, desk.out());
            }
            None => web.pending.wait(stream, wait),
        }
    }
}

/// Sends the digits that are due in the call that push began.
fn send_digits(pending: &mut Pending, desk: &mut Desk<'_>) {
    let Some(digits) = &mut pending.dial_on else { return };
    let calls = desk.calls();
    let focus = calls.iter().find(|call| call.is_in_focus);
    match focus.map(|call| call.state) {
        Some(CallState::Connected) => {}
        Some(CallState::Dialtone | CallState::Setup | CallState::RingBack) => return,
        _ => {
            pending.dial_on = None;
            return;
        }
    }
    let now = desk.now();
    let mut due = *digits.due.get_or_insert(now);
    while due <= now {
        let is_pause = |c: char| matches!(c, 'p' | 'P' | ',');
        let Some(first) = digits.left.chars().next() else {
            pending.dial_on = None;
            return;
        };
        if is_pause(first) {
            digits.left.remove(0);
            due = now + Duration::from_secs(if first == ',' { 2 } else { 1 });
            continue;
        }
        let end = digits.left.find(is_pause).unwrap_or(digits.left.len());
        let run: String = digits.left.drain(..end).collect();
        // Who hangs up in the middle hears nothing of the rest.
        let _ = desk.send_digits(&run);
    }
    digits.due = Some(due);
}

/// The web interface.
fn interface(web: &mut WebServer, asked: &Asked, desk: &mut Desk<'_>) -> Response<Bytes> {
    let request = &asked.request;
    let path = request.uri().path();
    if !desk.config().is_on("httpd.cfg.enabled") {
        return not_found();
    }
    if let Some(answer) = pages::asset(path) {
        return answer;
    }
    if path == "/form-submit/auth.htm" {
        return log_in(web, asked, desk);
    }
    let takes_cookie = !desk.firmware().has(Feature::RequestToken);
    let now = desk.now();
    let rules = Rules::of(desk.config());
    let is_default = rules.is_default();
    let visitor = match web.access.who(request.headers(), takes_cookie, rules, now) {
        Ok(visitor) => visitor,
        Err(denied) => {
            return match (request.method(), path, denied) {
                (&Method::GET | &Method::HEAD, "/" | "/index.htm", _) => pages::log_in(desk),
                (_, _, Denied::Locked(left)) => locked(StatusCode::FORBIDDEN, left),
                (_, _, Denied::Nobody | Denied::Wrong) => forbidden("Log in first."),
            };
        }
    };
    let form_path = path.strip_prefix("/form-submit");
    let query = request.uri().query().unwrap_or_default();
    let changes = form_path.is_some() || (path == "/Diagnostics/log" && query.contains("clear=1"));
    if changes && let Some(refused) = may_change(asked, &visitor, desk) {
        return refused;
    }
    let must_change = is_default && desk.firmware().has(Feature::NewPassword) && visitor.role == Role::Admin;
    match (form_path, path) {
        (None, "/" | "/index.htm") => by_get(asked, || pages::index(desk, &visitor, must_change)),
        (None, "/home.htm") => by_get(asked, || pages::home(desk)),
        (Some("/logout.htm"), _) => by_post(asked, || {
            web.access.close(request.headers());
            text("")
        }),
        (Some("/Settings/ChangePassword"), _) if visitor.role == Role::Admin => {
            by_post(asked, || service::change_password(web, &Form::parse(request.body()), desk))
        }
        _ if must_change => forbidden("The administrator's password must be changed first."),
        (Some(form_path), _) => submit(web, asked, form_path, desk),
        (None, _) => look(web, asked, &visitor, desk),
    }
}

/// What is looked at.
fn look(web: &mut WebServer, asked: &Asked, visitor: &Visitor, desk: &mut Desk<'_>) -> Response<Bytes> {
    let request = &asked.request;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return bad_method("GET, HEAD");
    }
    let query = Form::parse(request.uri().query().unwrap_or_default().as_bytes());
    match request.uri().path() {
        "/Settings/lyncSignInStatus" => text(service::word(web, desk).spelled()),
        path if !is_one(path) => not_found(),
        _ if visitor.role == Role::User => forbidden("Only the administrator may see this."),
        "/Settings/lyncCachedCredentials" => service::cached_credentials(desk),
        "/Utilities/LyncStatusXml" => service::status(desk),
        "/Diagnostics/log" => exports::log(&query, desk),
        capture::PATH => capture::look(&query, capture::accepted(request.headers()), desk),
        path if exports::is_one(path) => exports::look(path, &query, desk),
        path => match (settings::page(path), from_index(request.headers(), visitor, desk)) {
            (None, _) => pages::look(path, desk),
            (Some(_), Some(refused)) => refused,
            (Some(page), None) => pages::settings(page, web, desk),
        },
    }
}

/// Whether there is anything to look at.
fn is_one(path: &str) -> bool {
    let own =
        ["/Settings/lyncCachedCredentials", "/Utilities/LyncStatusXml", "/Diagnostics/log", capture::PATH];
    own.contains(&path) || settings::page(path).is_some() || exports::is_one(path) || pages::is_one(path)
}

/// What changes something. Who asks may, and the request is no forgery.
fn submit(web: &mut WebServer, asked: &Asked, path: &str, desk: &mut Desk<'_>) -> Response<Bytes> {
    let request = &asked.request;
    if path == "/Utilities/configuration/importFile" {
        return match *request.method() {
            Method::PUT | Method::POST => exports::import(request, desk),
            _ => bad_method("PUT, POST"),
        };
    }
    if request.method() != Method::POST {
        return bad_method("POST");
    }
    let form = Form::parse(request.body());
    let now = desk.now();
    match path {
        "" | "/" => settings::submit(&form, web, desk),
        "/Settings/lyncSignIn" => service::sign_in(web, &form, desk),
        "/Settings/lyncSignOut" => service::sign_out(web, desk),
        "/Settings/lyncCancelSignIn" => service::cancel_sign_in(web, desk),
        "/Reboot" | "/Restart" => {
            web.pending.start_again(Start::Again, now);
            text("")
        }
        "/Utilities/restorePhoneToFactory" => {
            web.pending.start_again(Start::Factory, now);
            text("")
        }
        "/resetToDefault" => settings::reset(&form, web, desk),
        "/Utilities/softwareUpgrade/updateCustomServer" => exports::custom_server(&form, desk),
        "/Utilities/softwareUpgrade/upgrade" => exports::upgrade(&form, desk),
        _ => not_found(),
    }
}

/// `POST /form-submit/auth.htm`: opens a session.
fn log_in(web: &mut WebServer, asked: &Asked, desk: &mut Desk<'_>) -> Response<Bytes> {
    if asked.request.method() != Method::POST {
        return bad_method("POST");
    }
    let (now, rules) = (desk.now(), Rules::of(desk.config()));
    match web.access.check(authorization(asked.request.headers()), rules, now) {
        Ok(role) => {
            let Some(id) = web.access.open(role, now) else { return not_found() };
            let secure = if asked.is_secure { "; Secure" } else { "" };
            let cookie = format!("session={id}; Path=/; HttpOnly; SameSite=Strict{secure}");
            desk.audit(&format!("{} logged in to the web interface from {}", name(role), asked.peer.ip()));
            with(text("SUCCESS"), header::SET_COOKIE, &cookie)
        }
        Err(Denied::Locked(left)) => locked(StatusCode::OK, left),
        Err(Denied::Nobody | Denied::Wrong) => {
            desk.audit(&format!("a login to the web interface from {} was refused", asked.peer.ip()));
            text("INVALID_LOGIN")
        }
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Admin => super::access::ADMIN,
        Role::User => super::access::USER,
    }
}

/// Nobody is let in for a while. The word is the one for a wrong password: tools know no other.
fn locked(status: StatusCode, left: Duration) -> Response<Bytes> {
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    with(refusal(status, "INVALID_LOGIN"), header::RETRY_AFTER, &seconds.to_string())
}

/// Whether a request may change something: by the administrator, from the phone's own pages.
fn may_change(asked: &Asked, visitor: &Visitor, desk: &Desk<'_>) -> Option<Response<Bytes>> {
    let headers = asked.request.headers();
    // Whoever says where they come from must come from here; tools that say nothing are believed.
    if headers.contains_key(header::REFERER) && !is_own_index(headers, true) {
        return Some(forbidden("This request comes from another page."));
    }
    if !has_token(headers, visitor, desk) {
        return Some(forbidden("The request has no token, or an old one."));
    }
    let is_own = asked.request.uri().path() == "/form-submit/logout.htm";
    (visitor.role == Role::User && !is_own).then(|| forbidden("Only the administrator may do this."))
}

/// Whether a page may be shown that only the frame around it fetches.
fn from_index(headers: &HeaderMap, visitor: &Visitor, desk: &Desk<'_>) -> Option<Response<Bytes>> {
    if !is_own_index(headers, false) {
        return Some(forbidden("This page is part of index.htm."));
    }
    (!has_token(headers, visitor, desk)).then(|| forbidden("The request has no token, or an old one."))
}

fn has_token(headers: &HeaderMap, visitor: &Visitor, desk: &Desk<'_>) -> bool {
    let Proof::Session { token } = &visitor.proof else { return true };
    let given = headers.get("anti-csrf-token").map_or(&b""[..], |value| value.as_bytes());
    !desk.firmware().has(Feature::RequestToken) || super::access::is_same(given, token.as_bytes())
}

/// Whether `Referer` names this phone, and its index page unless `any_page` will do. Ports are not compared: tools
/// leave them out.
fn is_own_index(headers: &HeaderMap, any_page: bool) -> bool {
    let text = |name| headers.get(name).and_then(|value: &net::http::HeaderValue| value.to_str().ok());
    let Some(referer) = text(header::REFERER).and_then(|referer| url::Url::parse(referer).ok()) else {
        return false;
    };
    let host = text(header::HOST).and_then(|host| url::Url::parse(&format!("http://{host}/")).ok());
    let is_here = host.is_some_and(|host| host.host_str() == referer.host_str());
    is_here && (any_page || matches!(referer.path(), "/index.htm" | "/"))
}

fn by_get(asked: &Asked, answer: impl FnOnce() -> String) -> Response<Bytes> {
    match *asked.request.method() {
        Method::GET | Method::HEAD => html(answer()),
        _ => bad_method("GET, HEAD"),
    }
}

fn by_post(asked: &Asked, answer: impl FnOnce() -> Response<Bytes>) -> Response<Bytes> {
    if asked.request.method() == Method::POST { answer() } else { answer::bad_method("POST") }
}
