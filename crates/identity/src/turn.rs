//! From a form to a page: guards on the way in, a fresh guard, cookie and headers on the way out.

use net::http::{StatusCode, header};
use net::{Note, Outbox};

use crate::answer::Answer;
use crate::errors::{Fault, stamp};
use crate::events;
use crate::pages::{self, Shown, View};
use crate::secret::Secret;
use crate::service::{Call, Service};
use crate::sessions::{COOKIE, Cookie, Flow, Guard, NotTaken, STAY, SignedIn, Step};

/// How a step of a way ends.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is moved once")]
pub(crate) enum Turn {
    /// Another page with a form.
    Next(Flow, View),
    /// A page without a form; the way is over.
    End(View),
    /// An error page; the way is over.
    Fail(Fault),
}

impl Service {
    /// Opens a way: in the browser's session, or in a new one.
    pub(crate) fn open(
        &mut self,
        call: &Call,
        out: &mut Outbox,
        go: impl FnOnce(&mut Service, &Call, &mut Cookie, &mut Outbox) -> Turn,
    ) -> Answer {
        let mut cookie = self.cookie(call);
        let turn = go(self, call, &mut cookie, out);
        self.show(call, &mut cookie, turn, StatusCode::OK)
    }

    /// Takes a form of one of `steps` and goes on with `go`.
    pub(crate) fn submit(
        &mut self,
        call: &Call,
        steps: &[Step],
        out: &mut Outbox,
        go: impl FnOnce(&mut Service, &Call, &mut Cookie, Flow, &mut Outbox) -> Turn,
    ) -> Answer {
        let field = |name| Secret::from(call.form.value(name).unwrap_or_default());
        let guard = Guard { canary: field("canary"), flow_token: field("flowToken") };
        let taken = match &call.cookie {
            _ if call.is_foreign => Err(NotTaken::Canary),
            None => Err(NotTaken::NoSession),
            Some(cookie) => match self.sessions.find(cookie.value.expose(), call.now) {
                None => Err(NotTaken::NoSession),
                Some(session) => session.take(steps, &guard, call.now),
            },
        };
        match (taken, &call.cookie) {
            (Ok(flow), Some(cookie)) => {
                let mut cookie = cookie.clone();
                let turn = go(self, call, &mut cookie, flow, out);
                self.show(call, &mut cookie, turn, StatusCode::OK)
            }
            (taken, _) => {
                let why = taken.err().unwrap_or(NotTaken::NoSession);
                out.note(Note::event(events::FORM_REFUSED, call.peer(), why.to_string()));
                let status = match why {
                    NotTaken::Canary | NotTaken::NoSession => StatusCode::FORBIDDEN,
                    NotTaken::Used | NotTaken::Expired => StatusCode::BAD_REQUEST,
                };
                self.failed(call, &Fault::of(50089), status)
            }
        }
    }

    /// Writes the page that a turn ends in.
    fn show(&mut self, call: &Call, cookie: &mut Cookie, turn: Turn, status: StatusCode) -> Answer {
        let mut view = match turn {
            Turn::Fail(fault) => {
                let mut answer = self.failed(call, &fault, page_status(&fault));
                self.send_cookie(call, cookie, &mut answer);
                return answer;
            }
            Turn::End(view) => view,
            Turn::Next(flow, mut view) => {
                if let Some(session) = self.sessions.find(cookie.value.expose(), call.now) {
                    view.frame().guard = session.put(flow, &mut self.random, call.now);
                }
                view
            }
        };
        self.address(&mut view);
        let mut answer = Answer::page(status, view.html(), summary(&mut view));
        self.send_cookie(call, cookie, &mut answer);
        answer
    }

    fn address(&self, view: &mut View) {
        let tenant = &self.setup.tenant;
        view.frame().tenant = tenant.display_name.clone();
        view.frame().domain = tenant.domains.first().cloned().unwrap_or_default();
    }

    fn send_cookie(&mut self, call: &Call, cookie: &Cookie, answer: &mut Answer) {
        if cookie.is_known {
            return;
        }
        let stays = self.sessions.find(cookie.value.expose(), call.now).is_some_and(|session| session.stays);
        let life = if stays { format!("; Max-Age={}", STAY.as_secs()) } else { String::new() };
        let value = cookie.value.expose();
        answer.add_cookie(&format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{life}"));
    }

    /// The page for an error that ends a way.
    pub(crate) fn failed(&self, call: &Call, fault: &Fault, status: StatusCode) -> Answer {
        let (title, advice) = explain(fault.number);
        let page = pages::Failed {
            frame: pages::Frame {
                error: Some(Shown { code: fault.number.to_string(), text: fault.text() }),
                ..Default::default()
            },
            title: title.to_owned(),
            advice: advice.to_owned(),
            trace: call.trace.id.clone(),
            correlation: call.trace.correlation.clone(),
            stamp: stamp(call.at),
            again: if matches!(fault.number, 50000 | 50089 | 70019 | 90120 | 50133) { "/device" } else { "" },
        };
        let mut view = View::Failed(page);
        self.address(&mut view);
        let mut answer = Answer::page(status, view.html(), summary(&mut view));
        if let Some(wait) = fault.retry_after {
            answer.set(header::RETRY_AFTER, &wait.to_string());
        }
        answer
    }

    /// The browser's session, or a new one.
    pub(crate) fn cookie(&mut self, call: &Call) -> Cookie {
        if let Some(cookie) = &call.cookie
            && self.sessions.find(cookie.value.expose(), call.now).is_some()
        {
            return cookie.clone();
        }
        self.sessions.open(self.setup.limits.sessions, &mut self.random, call.now)
    }

    /// The accounts behind a browser that still count.
    pub(crate) fn signed_in(&mut self, cookie: &Cookie, call: &Call) -> Vec<SignedIn> {
        let people = &self.people;
        let is_good = |who: &&SignedIn| {
            people.get(&who.oid).is_some_and(|record| record.enabled && record.epoch == who.epoch)
        };
        match self.sessions.find(cookie.value.expose(), call.now) {
            Some(session) => session.signed_in.iter().filter(is_good).cloned().collect(),
            None => Vec::new(),
        }
    }

    pub(crate) fn session_number(&mut self, cookie: &Cookie, call: &Call) -> Option<u64> {
        self.sessions.find(cookie.value.expose(), call.now).map(|session| session.number)
    }
}

fn page_status(fault: &Fault) -> StatusCode {
    // Pages answer 200 and say on themselves what is wrong, except where a program must see it.
    match fault.number {
        90055 => StatusCode::TOO_MANY_REQUESTS,
        50000 => StatusCode::INTERNAL_SERVER_ERROR,
        90033 | 50086 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    }
}

fn summary(view: &mut View) -> String {
    let id = view.id();
    match &view.frame().error {
        Some(error) => format!("page {id} (error {})", error.code),
        None => format!("page {id}"),
    }
}

/// A title and an advice for an error that ends a way.
fn explain(number: u32) -> (&'static str, &'static str) {
    match number {
        50053 => ("Locked for a while", "There were too many tries. Wait a little, then start again."),
        50057 => ("This account is switched off", "Ask your administrator whether that is right."),
        50072 => ("More is needed", "Register a second factor with your administrator, then start again."),
        50089 | 50133 => ("This page is out of date", "Start again; nothing was signed in."),
        500121 => ("The second step failed", "Start again with a fresh code from your app."),
        53003 | 530033 => {
            ("You cannot get in from here", "Your organisation's rules do not allow this sign-in.")
        }
        70019 => ("The code has expired", "Ask the device for a new code, then start again."),
        90120 => ("The code was used already", "Ask the device for a new code, then start again."),
        90055 => ("Too many tries", "Wait some minutes, then start again."),
        90094 | 65001 => {
            ("An administrator must agree", "This application needs your administrator's consent.")
        }
        _ => ("Something went wrong", "Try again later, or ask your administrator."),
    }
}
