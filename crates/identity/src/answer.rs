//! Answers: JSON, pages and redirects, each with every header that keeps browsers and caches honest.

use bytes::Bytes;
use net::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use crate::errors::Trace;

/// What pages may load and do: one style sheet and one icon of their own, forms to their own origin, nothing
/// else; no script at all.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
     frame-ancestors 'none'; base-uri 'none'";

/// An answer, and how the journal calls it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<Bytes>,
    pub(crate) summary: String,
}

impl Answer {
    fn new(status: StatusCode, kind: &'static str, body: impl Into<Bytes>, summary: String) -> Answer {
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        Answer { response, summary: format!("{} {summary}", status.as_u16()) }
    }

    pub(crate) fn json(status: StatusCode, value: &Value, summary: impl Into<String>) -> Answer {
        Answer::new(status, "application/json; charset=utf-8", value.to_string(), summary.into())
    }

    pub(crate) fn page(status: StatusCode, html: String, summary: impl Into<String>) -> Answer {
        Answer::new(status, "text/html; charset=utf-8", html, summary.into())
    }

    pub(crate) fn text(status: StatusCode, text: &str) -> Answer {
        Answer::new(status, "text/plain; charset=utf-8", text.to_owned(), String::from("text"))
    }

    pub(crate) fn xml(xml: String, summary: &str) -> Answer {
        Answer::new(StatusCode::OK, "text/xml; charset=utf-8", xml, summary.to_owned())
    }

    /// Something that never changes and may be kept by caches.
    pub(crate) fn fixed(kind: &'static str, body: &'static str) -> Answer {
        let mut answer = Answer::new(StatusCode::OK, kind, body, String::from("file"));
        answer.set(header::CACHE_CONTROL, "public, max-age=3600");
        answer
    }

    /// `to` is an address of our own making, never one that a request brought.
    pub(crate) fn redirect(status: StatusCode, to: &str) -> Answer {
        let mut answer = Answer::new(status, "text/plain; charset=utf-8", "", format!("to {to}"));
        answer.set(header::LOCATION, to);
        answer
    }

    /// Sets a header; a value that is no legal header is left out.
    pub(crate) fn set(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.response.headers_mut().insert(name, value);
        }
    }

    pub(crate) fn add_cookie(&mut self, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.response.headers_mut().append(header::SET_COOKIE, value);
        }
    }

    /// Adds the headers that every answer carries.
    pub(crate) fn sealed(mut self, trace: Option<&Trace>, is_secure: bool) -> Answer {
        let headers = self.response.headers_mut();
        let mut always = |name: HeaderName, value: &'static str| {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        };
        always(header::CACHE_CONTROL, "no-store, no-cache");
        always(header::PRAGMA, "no-cache");
        always(header::EXPIRES, "-1");
        always(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY);
        always(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        always(header::X_FRAME_OPTIONS, "DENY");
        always(header::REFERRER_POLICY, "no-referrer");
        always(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        always(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
        always(HeaderName::from_static("x-robots-tag"), "noindex");
        if is_secure {
            always(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains");
        }
        if self
            .response
            .headers()
            .get(header::CACHE_CONTROL)
            .is_some_and(|v| v.as_bytes().starts_with(b"pub"))
        {
            self.response.headers_mut().remove(header::PRAGMA);
            self.response.headers_mut().remove(header::EXPIRES);
        }
        if let Some(trace) = trace {
            self.set(HeaderName::from_static("x-ms-request-id"), &trace.id);
        }
        self
    }
}
