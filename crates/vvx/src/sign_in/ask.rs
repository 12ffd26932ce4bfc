//! What a step of the sign-in asks of the web, and what may come of it.
//!
//! Steps neither open streams nor look names up: they say what they want, and are told the answer.

use bytes::Bytes;
use net::Closed;
use net::http::{HeaderMap, Method, Response};
use url::Url;

/// Whose word counts for the TLS of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vouching {
    /// Only the roots that were built in: for the identity service. A pool's own root has no say there.
    BuiltIn,
    /// The built-in roots and the pool's pinned root.
    Pool,
}

/// A request that a step wants made.
#[derive(Clone)]
pub struct Ask {
    /// GET or POST.
    pub method: Method,
    /// Where; `http` or `https`.
    pub url: Url,
    /// Header fields beside `Host` and `User-Agent`. May hold secrets.
    pub headers: Vec<(&'static str, String)>,
    /// The body. May hold secrets.
    pub body: Bytes,
    /// In two or three words what it is for; goes into the journal.
    pub what: &'static str,
    /// Whose word counts for the other end's certificate.
    pub vouching: Vouching,
}

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ask({} {}{} ({}))", self.method, host_of(&self.url), self.url.path(), self.what)
    }
}

impl Ask {
    /// A GET.
    pub fn get(url: Url, what: &'static str, vouching: Vouching) -> Ask {
        Ask { method: Method::GET, url, headers: Vec::new(), body: Bytes::new(), what, vouching }
    }

    /// A POST of a form (`application/x-www-form-urlencoded`).
    pub fn form(url: Url, fields: &[(&str, &str)], what: &'static str, vouching: Vouching) -> Ask {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        Ask { method: Method::POST, url, headers, body: body.into(), what, vouching }
    }

    /// A POST of a SOAP 1.1 envelope.
    pub fn soap(url: Url, action: &str, envelope: String, what: &'static str) -> Ask {
        let headers = vec![
            ("content-type", "text/xml; charset=utf-8".to_owned()),
            ("soapaction", format!("\"{action}\"")),
        ];
        let body = envelope.into();
        Ask { method: Method::POST, url, headers, body, what, vouching: Vouching::Pool }
    }

    /// The same request with one more header field.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Ask {
        self.headers.push((name, value.into()));
        self
    }
}

/// What came of a request.
pub type Answer = Result<Response<Bytes>, Failure>;

/// Why no answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The name server knows no address for the host, or did not answer.
    #[error("no address for {host}: {why}")]
    NoAddress {
        /// The host.
        host: String,
        /// The name server's word.
        why: String,
    },
    /// The stream could not be opened, or broke.
    #[error("{host}: {why}")]
    Broken {
        /// The host.
        host: String,
        /// Why.
        why: Closed,
    },
    /// No answer within the phone's patience.
    #[error("{host} did not answer in time")]
    Late {
        /// The host.
        host: String,
    },
    /// What came is no HTTP, or larger than a phone takes.
    #[error("{host} answered nonsense: {why}")]
    Nonsense {
        /// The host.
        host: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Failure {
    /// Whether TLS found the other end's certificate to be from an unknown authority.
    pub fn is_unknown_issuer(&self) -> bool {
        matches!(self, Failure::Broken { why: Closed::Tls(net::tls::TlsError::UnknownIssuer), .. })
    }

    /// Whether TLS found the other end's certificate not yet valid: what a clock in 1970 makes of all of them.
    pub fn is_not_yet_valid(&self) -> bool {
        matches!(self, Failure::Broken { why: Closed::Tls(net::tls::TlsError::NotYetValid { .. }), .. })
    }
}

/// The host of a URL as text; empty if it has none.
pub fn host_of(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

/// A header field of an answer as text, if it is there and is text.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
