//! From a request and a moment to an answer.
//!
//! Paths are matched without regard to letter case: clients of different years spell them differently. Every
//! answer leaves through [`Answer::sealed`], so none lacks the headers of its kind.

use http::request;
use net::http::{Method, Request, StatusCode, header};
use net::{Outbox, Time, Wall};

use bytes::Bytes;

use crate::answer::Answer;
use crate::discovery::is_tenant_like;
use crate::errors::{Fault, Trace};
use crate::form::{Form, FormError};
use crate::pages;
use crate::service::{Call, Endpoint, Ordered, Service, cookie_of, is_foreign};
use crate::sessions::Step;
use crate::tokens::Version;

/// Octets of a path and its query.
const TARGET_LIMIT: usize = 4 << 10;

/// What one address is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Route {
    DeviceCode(String, Version),
    Token(String, Version),
    Authorize,
    Configuration(String, Version),
    Keys(String, Version),
    Instances,
    Realm(String),
    OldRealm,
    ToDeviceAuth,
    DeviceAuth,
    Form(Step),
    Portal,
    PortalSignIn,
    Password,
    Style,
    Icon,
    ErrorText,
    Robots,
    Unknown,
}

impl Route {
    fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Route::DeviceCode(..) => Some(Endpoint::DeviceCode),
            Route::Token(..) => Some(Endpoint::Token),
            Route::Configuration(..)
            | Route::Keys(..)
            | Route::Instances
            | Route::Realm(_)
            | Route::OldRealm => Some(Endpoint::Metadata),
            Route::Form(Step::PortalHome | Step::PortalSearch | Step::PortalProvision)
            | Route::Portal
            | Route::PortalSignIn => Some(Endpoint::Portal),
            Route::ToDeviceAuth | Route::DeviceAuth | Route::Authorize | Route::Password | Route::Form(_) => {
                Some(Endpoint::Pages)
            }
            Route::Style | Route::Icon | Route::ErrorText | Route::Robots | Route::Unknown => None,
        }
    }

    /// Errors are JSON here, and pages elsewhere.
    fn is_for_programs(&self) -> bool {
        matches!(self.endpoint(), Some(Endpoint::DeviceCode | Endpoint::Token | Endpoint::Metadata))
    }

    fn wants_post(&self) -> bool {
        matches!(self, Route::DeviceCode(..) | Route::Token(..) | Route::Form(_))
    }
}

/// What an address means; `is_post` tells a page from the form it sends to the same address.
fn route(path: &str, is_post: bool, has_v2: bool) -> Route {
    let lower = path.to_ascii_lowercase();
    let parts: Vec<&str> = lower.trim_matches('/').split('/').collect();
    let own = |tenant: &&str| tenant.to_string();
    match parts.as_slice() {
        ["" | "device" | "devicelogin"] => Route::ToDeviceAuth,
        ["style.css"] => Route::Style,
        ["icon.svg" | "favicon.ico"] => Route::Icon,
        ["robots.txt"] => Route::Robots,
        ["error"] => Route::ErrorText,
        ["kmsi"] => Route::Form(Step::StaySignedIn),
        ["appverify"] => Route::Form(Step::ConfirmSignIn),
        ["getuserrealm.srf"] => Route::OldRealm,
        ["password"] => Route::Password,
        ["cap"] => Route::Portal,
        ["cap", "signin"] => Route::PortalSignIn,
        ["cap", "search"] => Route::Form(Step::PortalHome),
        ["cap", "choose"] => Route::Form(Step::PortalSearch),
        ["cap", "provision"] => Route::Form(Step::PortalProvision),
        ["common", "discovery", "instance"] => Route::Instances,
        [_, "userrealm", upn] => Route::Realm((*upn).to_owned()),
        ["common", "userrealm"] => Route::Realm(String::new()),
        ["common", "confirm"] => Route::Form(Step::ConfirmApp),
        ["common", "pick"] => Route::Form(Step::PickAccount),
        ["common", "username"] => Route::Form(Step::Username),
        ["common", "login"] => Route::Form(Step::Password),
        ["common", "newpassword"] => Route::Form(Step::NewPassword),
        ["common", "mfa"] => Route::Form(Step::SecondFactor),
        [_, "oauth2", "deviceauth"] if is_post => Route::Form(Step::EnterCode),
        [_, "oauth2", "deviceauth"] => Route::DeviceAuth,
        [_, "oauth2", "authorize"] | [_, "oauth2", "v2.0", "authorize"] => Route::Authorize,
        [tenant, "oauth2", "devicecode"] => Route::DeviceCode(own(tenant), Version::V1),
        [tenant, "oauth2", "token"] => Route::Token(own(tenant), Version::V1),
        [tenant, ".well-known", "openid-configuration"] => Route::Configuration(own(tenant), Version::V1),
        [tenant, "discovery", "keys"] => Route::Keys(own(tenant), Version::V1),
        [tenant, "oauth2", "v2.0", "devicecode"] if has_v2 => Route::DeviceCode(own(tenant), Version::V2),
        [tenant, "oauth2", "v2.0", "token"] if has_v2 => Route::Token(own(tenant), Version::V2),
        [tenant, "discovery", "v2.0", "keys"] if has_v2 => Route::Keys(own(tenant), Version::V2),
        [tenant, "v2.0", ".well-known", "openid-configuration"] if has_v2 => {
            Route::Configuration(own(tenant), Version::V2)
        }
        // RFC 8414 §3 puts the well-known part before the issuer's own path.
        [".well-known", "oauth-authorization-server" | "openid-configuration", tenant, "v2.0"] if has_v2 => {
            Route::Configuration(own(tenant), Version::V2)
        }
        [".well-known", "oauth-authorization-server" | "openid-configuration", tenant] => {
            Route::Configuration(own(tenant), Version::V1)
        }
        _ => Route::Unknown,
    }
}

impl Service {
    /// Answers a request that came over TLS. `None` hangs up.
    pub(crate) fn respond(
        &mut self,
        now: Time,
        at: Wall,
        peer: std::net::IpAddr,
        request: Request<Bytes>,
        out: &mut Outbox,
    ) -> Option<Answer> {
        let (head, body) = request.into_parts();
        let is_post = head.method == Method::POST;
        let is_get = head.method == Method::GET || head.method == Method::HEAD;
        let path = percent_decoded(head.uri.path());
        let route = route(&path, is_post, self.setup.profile.has_v2());
        let query = Form::parse(head.uri.query().unwrap_or_default().as_bytes()).unwrap_or_default();
        let (form, form_error) = match Form::parse(if is_post { &body } else { b"" }) {
            Ok(form) => (form, None),
            Err(why) => (Form::default(), Some(why)),
        };
        let trace = self.trace(&head, &query, &form);
        let call = Call {
            now,
            at,
            peer,
            is_form: is_form(&head),
            has_authorization: head.headers.contains_key(header::AUTHORIZATION),
            is_foreign: is_foreign(&head, &self.setup.host),
            query,
            form,
            trace,
            cookie: cookie_of(&head.headers),
        };
        let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
        if target > TARGET_LIMIT {
            return Some(
                Answer::text(StatusCode::URI_TOO_LONG, "The address is too long.\n")
                    .sealed(Some(&call.trace), true),
            );
        }
        let ordered = route.endpoint().and_then(|endpoint| self.ordered(endpoint));
        let result = match ordered {
            Some(Ordered::Hangup) => return None,
            Some(Ordered::Status(status)) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Ok(Answer::text(status, "The story ordered this answer.\n"))
            }
            // A number that the service does not know is a fault of the story, and the service says so.
            Some(Ordered::Error(number)) => {
                Err(Fault::about(if crate::errors::is_known(number) { number } else { 50000 }, "it"))
            }
            None if matches!(route, Route::Form(_)) && is_get => {
                // Somebody reloaded or bookmarked the middle of a way.
                let start = if route.endpoint() == Some(Endpoint::Portal) { "cap" } else { "device" };
                Ok(Answer::redirect(StatusCode::FOUND, &format!("https://{}/{start}", self.setup.host)))
            }
            None if route.wants_post() && !is_post => Err(Fault::about(900561, "POST")),
            None if !route.wants_post() && !is_get && route != Route::Unknown => {
                Err(Fault::about(900561, "GET"))
            }
            None => match form_error {
                Some(why) if route.wants_post() => Err(malformed(&why)),
                _ => self.dispatch(&call, &route, out),
            },
        };
        let mut answer = match result {
            Ok(answer) => answer,
            Err(fault) => self.refused(&call, &route, &fault),
        };
        if head.headers.get("return-client-request-id").is_some_and(|v| v.as_bytes() == b"true") {
            let name = net::http::HeaderName::from_static("client-request-id");
            answer.set(name, &call.trace.correlation);
        }
        Some(answer.sealed(Some(&call.trace), true))
    }

    fn dispatch(&mut self, call: &Call, route: &Route, out: &mut Outbox) -> Result<Answer, Fault> {
        match route {
            Route::DeviceCode(tenant, version) => {
                must_be_form(call)?;
                self.device_code(call, tenant, *version, out)
            }
            Route::Token(tenant, version) => {
                must_be_form(call)?;
                self.token(call, tenant, *version, out)
            }
            // The address that pools announce; phones take only the authority from it.
            Route::Authorize => Err(Fault::about(90023, "only devices sign in here")),
            Route::Configuration(tenant, version) => self.openid_configuration(tenant, *version),
            Route::Keys(tenant, version) => self.keys(tenant, *version),
            Route::Instances => self.instances(call.query.value("authorization_endpoint")),
            Route::Realm(upn) => Ok(self.user_realm(call.query.value("user").unwrap_or(upn))),
            Route::OldRealm => {
                let is_xml = call.query.value("xml") == Some("1");
                Ok(self.old_realm(call.query.value("login").unwrap_or_default(), is_xml))
            }
            Route::ToDeviceAuth => {
                let to = format!("https://{}/common/oauth2/deviceauth", self.setup.host);
                Ok(Answer::redirect(StatusCode::FOUND, &to))
            }
            Route::DeviceAuth => {
                let typed = call.query.value("otc").unwrap_or_default().to_owned();
                Ok(self.open(call, out, |service, _, _, _| service.ask_code(&typed)))
            }
            Route::Portal => {
                Ok(self
                    .open(call, out, |service, call, cookie, out| service.portal_opened(call, cookie, out)))
            }
            Route::PortalSignIn => Ok(self.open(call, out, |service, call, cookie, _| {
                let flow = crate::sessions::Flow::new(crate::sessions::Purpose::Portal, Step::Username);
                service.ask_account(call, cookie, flow)
            })),
            Route::Password => Ok(self.open(call, out, |service, call, cookie, _| {
                let flow = crate::sessions::Flow::new(crate::sessions::Purpose::Password, Step::Username);
                service.ask_account(call, cookie, flow)
            })),
            Route::Form(step) => Ok(self.form(call, *step, out)),
            Route::Style => Ok(Answer::fixed("text/css; charset=utf-8", pages::STYLE)),
            Route::Icon => Ok(Answer::fixed("image/svg+xml", pages::ICON)),
            Route::Robots => Ok(Answer::text(StatusCode::OK, "User-agent: *\nDisallow: /\n")),
            Route::ErrorText => {
                let number = call.query.value("code").and_then(|code| code.parse().ok()).unwrap_or(0);
                if !crate::errors::is_known(number) {
                    return Ok(Answer::text(StatusCode::NOT_FOUND, "There is no such error number.\n"));
                }
                let text = format!("AADSTS{number}: {}\n", Fault::about(number, "it").text());
                Ok(Answer::text(StatusCode::OK, &text))
            }
            Route::Unknown => Ok(Answer::text(StatusCode::NOT_FOUND, "There is nothing at this address.\n")),
        }
    }

    fn form(&mut self, call: &Call, step: Step, out: &mut Outbox) -> Answer {
        match step {
            Step::EnterCode => self.submit(call, &[step], out, Service::code_typed),
            Step::ConfirmApp => self.submit(call, &[step], out, Service::app_confirmed),
            Step::PickAccount => self.submit(call, &[step], out, Service::account_picked),
            Step::Username => self.submit(call, &[step], out, Service::name_typed),
            Step::Password => self.submit(call, &[step], out, Service::password_typed),
            Step::NewPassword => self.submit(call, &[step], out, Service::new_password_typed),
            Step::SecondFactor => self.submit(call, &[step], out, Service::digits_typed),
            Step::StaySignedIn => self.submit(call, &[step], out, Service::stay_answered),
            Step::ConfirmSignIn => self.submit(call, &[step], out, Service::sign_in_confirmed),
            // The search form stands on both pages.
            Step::PortalHome => {
                self.submit(call, &[Step::PortalHome, Step::PortalSearch], out, Service::portal_searched)
            }
            Step::PortalSearch => self.submit(call, &[step], out, Service::portal_chosen),
            Step::PortalProvision => self.submit(call, &[step], out, Service::portal_provisioned),
        }
    }

    /// Says no in the language of whoever asked.
    fn refused(&mut self, call: &Call, route: &Route, fault: &Fault) -> Answer {
        let mut answer = if route.is_for_programs() {
            let json = fault.json(&call.trace, call.at, self.setup.profile, &self.setup.host);
            Answer::json(fault.status(), &json, format!("AADSTS{} {}", fault.number, fault.error()))
        } else {
            let status = match fault.number {
                900561 => StatusCode::METHOD_NOT_ALLOWED,
                _ => fault.status(),
            };
            self.failed(call, fault, status)
        };
        if let Some(wait) = fault.retry_after {
            answer.set(header::RETRY_AFTER, &wait.to_string());
        }
        if answer.response.status() == StatusCode::UNAUTHORIZED && call.has_authorization {
            // RFC 6749 §5.2: who tried by header is told by header.
            answer.set(header::WWW_AUTHENTICATE, &format!("Basic realm=\"{}\"", self.setup.host));
        }
        if fault.number == 900561 {
            answer.set(header::ALLOW, &fault.detail);
        }
        answer
    }

    fn trace(&mut self, head: &request::Parts, query: &Form, form: &Form) -> Trace {
        let name = "client-request-id";
        let sent = head.headers.get(name).and_then(|value| value.to_str().ok());
        let sent = sent.or(query.value(name)).or(form.value(name));
        // Only a GUID is repeated: whatever else a client sends stays out of headers, pages and logs.
        let is_guid = |id: &&str| id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        let correlation = sent.filter(is_guid).map(str::to_ascii_lowercase);
        let id = self.random.uuid();
        let fresh = self.random.uuid();
        Trace { id, correlation: correlation.unwrap_or(fresh) }
    }

    /// Answers a request that came over plain HTTP: everything is elsewhere.
    pub(crate) fn redirect_to_tls(&self, request: &Request<Bytes>) -> Answer {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            // A form must not be repeated where it already went in the clear.
            let text = "This service speaks only HTTPS.\n";
            return Answer::text(StatusCode::FORBIDDEN, text).sealed(None, false);
        }
        // The target is the service's own name, never the Host that the request brought.
        let path = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let path = if path.starts_with('/') && path.len() <= TARGET_LIMIT { path } else { "/" };
        let to = format!("https://{}{path}", self.setup.host);
        let mut answer = Answer::redirect(StatusCode::MOVED_PERMANENTLY, &to);
        answer.summary = "301 to HTTPS".into();
        answer.sealed(None, false)
    }
}

/// RFC 8628 §3.1 wants a form; a body without a type is taken for one.
fn must_be_form(call: &Call) -> Result<(), Fault> {
    if call.is_form { Ok(()) } else { Err(Fault::about(90023, "the body must be a form")) }
}

fn is_form(head: &request::Parts) -> bool {
    match head.headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?")) {
        None => true,
        Some(kind) => {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        }
    }
}

fn malformed(why: &FormError) -> Fault {
    Fault::about(90023, why.to_string())
}

fn percent_decoded(path: &str) -> String {
    // A plus sign stays one: it means a blank only in forms.
    let path = path.replace('+', "%2B");
    let decoded = form_urlencoded::parse(path.as_bytes()).next();
    decoded.map(|(name, _)| name.into_owned()).unwrap_or_default()
}

/// A path as the journal may show it: without its query, without control characters, cut.
pub(crate) fn shown_path(path: &str) -> String {
    let clean: String = path.chars().filter(|c| !c.is_control()).take(100).collect();
    if clean.split('/').all(|part| part.is_empty() || is_tenant_like(part)) {
        clean
    } else {
        clean.replace(' ', "%20")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letter_case_does_not_count_in_paths() {
        assert_eq!(route("/Common/UserRealm/a@b", false, true), Route::Realm("a@b".into()));
        let token = route("/CONTOSO.example/OAuth2/Token", true, true);
        assert_eq!(token, Route::Token("contoso.example".into(), Version::V1));
    }

    #[test]
    fn version_2_is_absent_in_2016() {
        assert_eq!(route("/common/oauth2/v2.0/token", true, false), Route::Unknown);
    }
}
