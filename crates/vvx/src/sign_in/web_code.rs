//! Steps 4 to 12: a code on the screen, a person at a browser, and the phone asking whether they are done.
//!
//! The device authorization grant (RFC 8628) as the first generation of such services speaks it: `resource`
//! instead of `scope`, `grant_type=device_code`, the code in `code`. Every attempt has a code of its own, and the
//! phone keeps asking at the interval that the service named, no faster, until there is an answer, the code's
//! life is over, or the person gives up.

use std::time::Duration;

use bytes::Bytes;
use net::Time;
use net::http::Response;
use url::Url;

use crate::sign_in::ask::{Answer, Ask, Vouching};
use crate::sign_in::tokens::{self, Secret, Tokens};

/// How long to wait between two polls if the service does not say (RFC 8628 §3.2).
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// How much longer after each `slow_down` (RFC 8628 §3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// The longest interval that a service can impose, doubling after lost connections included.
const LONGEST_INTERVAL: Duration = Duration::from_secs(120);
/// The longest life of a code that a service can impose.
const LONGEST_LIFE: Duration = Duration::from_secs(3600);
/// The most characters of a code that fit the display.
const CODE_LIMIT: usize = 16;
/// The most characters of an address that a person can be asked to type.
const ADDRESS_LIMIT: usize = 128;

/// Who the phone is to the identity service.
#[derive(Clone, Debug)]
pub struct Application {
    /// The authority, such as `https://login.contoso.example/common`.
    pub authority: Url,
    /// The id of the application that the phone is.
    pub client_id: String,
    /// The id of the service that it wants tokens for.
    pub resource: String,
}

impl Application {
    /// An endpoint below the authority: `oauth2/token`.
    pub fn endpoint(&self, path: &str) -> Url {
        let mut url = self.authority.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        url
    }
}

/// What is on the screen while a person is at the browser.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown {
    /// What to type there.
    pub user_code: String,
    /// Where.
    pub page: String,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shown(••• at {})", self.page)
    }
}

/// One attempt, from asking for a code to tokens.
#[derive(Debug)]
pub struct WebCode {
    application: Application,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Asked for a code.
    Asking,
    /// The code is on the screen.
    Showing { shown: Shown, device_code: Secret, until: Time, interval: Duration, next: Next },
    /// Nothing more comes.
    Over,
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Ask at that moment.
    PollAt(Time),
    /// A poll is under way.
    Answer,
}

/// What a step of the attempt came to.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing to do.
    Wait,
    /// Make this request and bring the answer to [`WebCode::answered`].
    Ask(Ask),
    /// A code is there to be shown; the machine goes on by itself.
    Show,
    /// The person is done.
    Granted(Tokens),
    /// The code's life is over.
    Expired,
    /// It came to nothing; in words for the screen.
    Failed(String),
}

impl WebCode {
    /// Starts an attempt; the request asks for a code.
    pub fn start(application: Application) -> (WebCode, Ask) {
        let url = application.endpoint("oauth2/devicecode");
        let fields =
            [("client_id", application.client_id.as_str()), ("resource", application.resource.as_str())];
        let ask = Ask::form(url, &fields, "ask for a code", Vouching::BuiltIn);
        (WebCode { application, stage: Stage::Asking }, ask)
    }

    /// What to show, once there is a code.
    pub fn shown(&self) -> Option<&Shown> {
        match &self.stage {
            Stage::Showing { shown, .. } => Some(shown),
            Stage::Asking | Stage::Over => None,
        }
    }

    /// When to call [`WebCode::woken`].
    pub fn wake_at(&self) -> Option<Time> {
        match &self.stage {
            Stage::Showing { until, next: Next::PollAt(at), .. } => Some((*at).min(*until)),
            Stage::Showing { until, next: Next::Answer, .. } => Some(*until),
            Stage::Asking | Stage::Over => None,
        }
    }

    /// Time has passed.
    pub fn woken(&mut self, now: Time) -> Outcome {
        let Stage::Showing { until, next, device_code, .. } = &mut self.stage else {
            return Outcome::Wait;
        };
        if now >= *until {
            self.stage = Stage::Over;
            return Outcome::Expired;
        }
        if !matches!(next, Next::PollAt(at) if *at <= now) {
            return Outcome::Wait;
        }
        *next = Next::Answer;
        let fields = [
            ("grant_type", "device_code"),
            ("code", device_code.expose()),
            ("client_id", self.application.client_id.as_str()),
            ("resource", self.application.resource.as_str()),
        ];
        let url = self.application.endpoint("oauth2/token");
        Outcome::Ask(Ask::form(url, &fields, "is the person done?", Vouching::BuiltIn))
    }

    /// The answer to the last request.
    pub fn answered(&mut self, now: Time, answer: Answer) -> Outcome {
        match &mut self.stage {
            Stage::Asking => match answer {
                Ok(answer) => self.code_came(now, &answer),
                Err(why) => self.fail(spell_failure(&why)),
            },
            Stage::Showing { interval, next, .. } => match answer {
                Ok(answer) if !is_overload(&answer) => self.poll_came(now, &answer),
                // A lost connection or a server in trouble ends nothing, but asks for patience (RFC 8628 §3.5).
                Ok(_) | Err(_) => {
                    *interval = (*interval * 2).min(LONGEST_INTERVAL);
                    *next = Next::PollAt(now + *interval);
                    Outcome::Wait
                }
            },
            Stage::Over => Outcome::Wait,
        }
    }

    fn code_came(&mut self, now: Time, answer: &Response<Bytes>) -> Outcome {
        if answer.status() != 200 {
            let refused = tokens::read_refusal(answer);
            return self.fail(format!("The sign-in service gives no code: {refused}."));
        }
        let body = tokens::json(answer.body());
        let page = tokens::text(&body, "verification_url").or(tokens::text(&body, "verification_uri"));
        let user_code = tokens::text(&body, "user_code").filter(|code| fits(code, CODE_LIMIT));
        let device_code = tokens::text(&body, "device_code").filter(|code| !code.is_empty());
        let (Some(page), Some(user_code), Some(device_code)) =
            (page.filter(|page| fits(page, ADDRESS_LIMIT)), user_code, device_code)
        else {
            return self.fail("The sign-in service gave a code that this phone cannot read.".to_owned());
        };
        let secs = |name| tokens::number(&body, name).map(Duration::from_secs);
        let life = secs("expires_in").unwrap_or(LONGEST_LIFE).min(LONGEST_LIFE);
        let interval =
            secs("interval").unwrap_or(DEFAULT_INTERVAL).clamp(Duration::from_secs(1), LONGEST_INTERVAL);
        self.stage = Stage::Showing {
            shown: Shown { user_code: user_code.to_owned(), page: page.to_owned() },
            device_code: Secret::new(device_code),
            until: now + life,
            interval,
            next: Next::PollAt(now + interval),
        };
        Outcome::Show
    }

    fn poll_came(&mut self, now: Time, answer: &Response<Bytes>) -> Outcome {
        let Stage::Showing { interval, next, .. } = &mut self.stage else {
            return Outcome::Wait;
        };
        let refused = match tokens::read_tokens(answer) {
            Ok(tokens) => {
                self.stage = Stage::Over;
                return Outcome::Granted(tokens);
            }
            Err(refused) => refused,
        };
        match refused.error.as_str() {
            "authorization_pending" => {
                *next = Next::PollAt(now + *interval);
                Outcome::Wait
            }
            "slow_down" => {
                *interval = (*interval + SLOW_DOWN).min(LONGEST_INTERVAL);
                *next = Next::PollAt(now + *interval);
                Outcome::Wait
            }
            "expired_token" | "code_expired" => {
                self.stage = Stage::Over;
                Outcome::Expired
            }
            "authorization_declined" | "access_denied" => {
                self.fail("The sign-in was declined in the browser.".to_owned())
            }
            _ => self.fail(format!("The sign-in service refused: {refused}.")),
        }
    }

    fn fail(&mut self, why: String) -> Outcome {
        self.stage = Stage::Over;
        Outcome::Failed(why)
    }
}

/// A failure in words for the screen. A clock that was never set is named as such: every certificate is from its
/// future, and the person can do something about that.
pub fn spell_failure(why: &crate::sign_in::ask::Failure) -> String {
    if why.is_not_yet_valid() {
        return "The time is not set.".to_owned();
    }
    format!("No connection: {why}.")
}

fn is_overload(answer: &Response<Bytes>) -> bool {
    answer.status().is_server_error() || answer.status() == 429
}

fn fits(text: &str, limit: usize) -> bool {
    !text.is_empty() && text.len() <= limit && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign_in::ask::Failure;
    use proptest::prelude::*;

    fn secs(secs: u64) -> Time {
        Time::from_secs(secs)
    }

    fn answer(status: u16, body: &str) -> Answer {
        Ok(Response::builder().status(status).body(Bytes::from(body.to_owned())).expect("a response"))
    }

    const CODE: &str = r#"{"user_code":"BXJK4PQ7Z","device_code":"DAQAB-very-secret",
        "verification_url":"https://login.contoso.example/device","expires_in":"900","interval":"5"}"#;
    const PENDING: &str = r#"{"error":"authorization_pending","error_codes":[70016]}"#;

    fn application() -> Application {
        Application {
            authority: Url::parse("https://login.contoso.example/common").expect("a URL"),
            client_id: "the-phone".to_owned(),
            resource: "the-pool".to_owned(),
        }
    }

    fn showing() -> WebCode {
        let (mut web, _) = WebCode::start(application());
        assert!(matches!(web.answered(secs(0), answer(200, CODE)), Outcome::Show));
        web
    }

    fn body(ask: &Ask) -> String {
        String::from_utf8(ask.body.to_vec()).expect("text")
    }

    /// Polls at the moment the machine names, and hands it `reply`.
    fn poll(web: &mut WebCode, reply: Answer) -> (Time, Outcome) {
        let at = web.wake_at().expect("a next poll");
        assert!(matches!(web.woken(at), Outcome::Ask(_)), "polls at {at}");
        (at, web.answered(at, reply))
    }

    #[test]
    fn the_code_is_asked_for_at_the_authority_by_client_and_resource() {
        let (_, ask) = WebCode::start(application());
        assert_eq!(ask.url.as_str(), "https://login.contoso.example/common/oauth2/devicecode");
        assert_eq!(body(&ask), "client_id=the-phone&resource=the-pool");
        assert_eq!(ask.vouching, Vouching::BuiltIn);
    }

    #[test]
    fn the_phone_polls_at_the_named_interval_and_not_before() {
        let mut web = showing();
        assert_eq!(web.shown().map(|shown| shown.user_code.as_str()), Some("BXJK4PQ7Z"));
        assert!(matches!(web.woken(Time::from_millis(4_999)), Outcome::Wait));
        let Outcome::Ask(ask) = web.woken(secs(5)) else { panic!("it polls") };
        assert_eq!(
            body(&ask),
            "grant_type=device_code&code=DAQAB-very-secret&client_id=the-phone&resource=the-pool"
        );
        assert!(matches!(web.answered(secs(6), answer(400, PENDING)), Outcome::Wait));
        assert_eq!(web.wake_at(), Some(secs(11)), "five seconds after the answer");
    }

    #[test]
    fn slow_down_adds_five_seconds_for_all_later_polls() {
        let mut web = showing();
        poll(&mut web, answer(400, r#"{"error":"slow_down"}"#));
        assert_eq!(web.wake_at(), Some(secs(15)));
        poll(&mut web, answer(400, PENDING));
        assert_eq!(web.wake_at(), Some(secs(25)));
    }

    #[test]
    fn a_lost_connection_ends_nothing_and_doubles_the_patience() {
        let mut web = showing();
        poll(&mut web, Err(Failure::Late { host: "login.contoso.example".to_owned() }));
        assert_eq!(web.wake_at(), Some(secs(15)));
        poll(&mut web, answer(503, ""));
        assert_eq!(web.wake_at(), Some(secs(35)));
    }

    #[test]
    fn an_unused_code_expires_to_the_second() {
        let mut web = showing();
        for _ in 0..179 {
            poll(&mut web, answer(400, PENDING));
        }
        assert_eq!(web.wake_at(), Some(secs(900)));
        assert!(matches!(web.woken(secs(900)), Outcome::Expired));
        assert_eq!(web.wake_at(), None);
    }

    #[test]
    fn the_services_own_word_ends_a_code_early() {
        for word in ["expired_token", "code_expired"] {
            let (_, outcome) = poll(&mut showing(), answer(400, &format!(r#"{{"error":"{word}"}}"#)));
            assert!(matches!(outcome, Outcome::Expired), "{word}");
        }
    }

    #[test]
    fn a_declined_sign_in_and_an_unknown_error_are_final() {
        for (word, says) in [
            ("authorization_declined", "declined"),
            ("access_denied", "declined"),
            ("something_new", "something_new"),
        ] {
            let mut web = showing();
            let (_, outcome) = poll(&mut web, answer(400, &format!(r#"{{"error":"{word}"}}"#)));
            assert!(matches!(outcome, Outcome::Failed(why) if why.contains(says)), "{word}");
            assert_eq!(web.wake_at(), None);
        }
    }

    #[test]
    fn tokens_end_the_attempt() {
        let mut web = showing();
        let (_, outcome) = poll(&mut web, answer(200, r#"{"token_type":"Bearer","access_token":"a.b.c"}"#));
        assert!(matches!(outcome, Outcome::Granted(_)));
        assert_eq!(web.wake_at(), None);
    }

    #[test]
    fn a_code_that_does_not_fit_the_display_is_refused() {
        let (mut web, _) = WebCode::start(application());
        let long = CODE.replace("BXJK4PQ7Z", "BXJK4PQ7ZBXJK4PQ7Z");
        assert!(matches!(web.answered(secs(0), answer(200, &long)), Outcome::Failed(_)));
    }

    proptest! {
        #[test]
        fn nothing_that_a_service_answers_makes_the_machine_panic(
            first in ".{0,200}", second in ".{0,200}", status in 100u16..600, life in any::<u64>(), pace in any::<u64>()
        ) {
            let (mut web, _) = WebCode::start(application());
            let _ = web.answered(secs(0), answer(status, &first));
            let mut web = showing();
            let (_, _) = poll(&mut web, answer(status, &second));
            let (mut web, _) = WebCode::start(application());
            let odd = CODE.replace("\"900\"", &life.to_string()).replace("\"5\"", &pace.to_string());
            let _ = web.answered(secs(0), answer(200, &odd));
            if let Some(at) = web.wake_at() {
                let _ = web.woken(at);
            }
        }
    }
}
