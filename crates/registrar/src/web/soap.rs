//! SOAP 1.1 envelopes: the request's parts, answers, and faults with diagnostics.
//!
//! The name space and the layout of `OCSDiagnosticsFault` (MS-OCAUTHWS 2.2.4) are a guess: the published
//! documents name the elements, not their order.

use bytes::Bytes;
use net::http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::xml::{Document, Node, escape};

/// The envelope name space of SOAP 1.1.
pub const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// WS-Security utility: `wsu:Id`, `wsu:Created`, `wsu:Expires`.
pub const UTILITY: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
/// WS-Security extension: `wsse:Security`.
pub const SECURITY: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
/// WS-Trust 1.3.
pub const TRUST: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512";
/// The web authentication services' own name space (MS-OCAUTHWS).
pub const AUTH_SERVICES: &str = "http://schemas.microsoft.com/OCS/AuthWebServices/";

/// Why a request was refused, as the client is told: an id of MS-OCER, and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status of the refusal.
    pub status: StatusCode,
    /// The error id (MS-OCER).
    pub id: u32,
    /// The reason in words.
    pub reason: String,
}

impl Refusal {
    /// No valid security token (28020): what was shown does not prove who is asking.
    pub fn token(reason: impl Into<String>) -> Refusal {
        Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, id: 28020, reason: reason.into() }
    }

    /// The request cannot be read (4001).
    pub fn unreadable(reason: impl ToString) -> Refusal {
        Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, id: 4001, reason: reason.to_string() }
    }

    /// Who is asking may not have this (4004).
    pub fn forbidden(reason: impl Into<String>) -> Refusal {
        Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, id: 4004, reason: reason.into() }
    }

    /// The account is unknown or may not sign in (4003, 4005).
    pub fn account(id: u32, reason: impl Into<String>) -> Refusal {
        Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, id, reason: reason.into() }
    }

    /// The pool cannot answer for now (1).
    pub fn unavailable(reason: impl Into<String>) -> Refusal {
        Refusal { status: StatusCode::SERVICE_UNAVAILABLE, id: 1, reason: reason.into() }
    }

    /// The same refusal with another HTTP status.
    pub fn with_status(mut self, status: StatusCode) -> Refusal {
        self.status = status;
        self
    }

    /// The value of `X-Ms-diagnostics` (MS-OCAUTHWS 3.2.4.1); that its last parameter is called `faultcode` is a
    /// guess.
    pub fn diagnostics(&self, host: &str) -> HeaderValue {
        let quoted: String = self.reason.chars().filter(|c| !matches!(c, '"' | '\\' | '\r' | '\n')).collect();
        let text =
            format!("{};source=\"{host}\";reason=\"{quoted}\";faultcode=\"{}\"", self.id, self.fault_code());
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from(self.id))
    }

    fn fault_code(&self) -> &'static str {
        match self.id {
            28020 => "wsse:FailedAuthentication",
            0 | 1 => "s:Server",
            _ => "s:Client",
        }
    }

    /// The answer as a SOAP 1.1 fault, with the diagnostics as detail and as a header.
    pub fn fault(&self, host: &str) -> Response<Bytes> {
        let reason = escape(&self.reason);
        let body = format!(
            "<s:Envelope xmlns:s=\"{ENVELOPE}\"><s:Body><s:Fault><faultcode xmlns:wsse=\"{SECURITY}\">{}\
             </faultcode><faultstring xml:lang=\"en-US\">{reason}</faultstring><detail><OCSDiagnosticsFault \
             xmlns=\"{AUTH_SERVICES}\"><Ms-Diagnostics-Fault><ErrorId>{}</ErrorId><Reason>{reason}</Reason>\
             </Ms-Diagnostics-Fault></OCSDiagnosticsFault></detail></s:Fault></s:Body></s:Envelope>",
            self.fault_code(),
            self.id
        );
        let mut answer = answer(self.status, body);
        answer.headers_mut().insert(DIAGNOSTICS, self.diagnostics(host));
        answer
    }

    /// The answer without a body: a status and the diagnostics.
    pub fn bare(&self, host: &str) -> Response<Bytes> {
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = self.status;
        answer.headers_mut().insert(DIAGNOSTICS, self.diagnostics(host));
        answer
    }
}

/// The header of diagnostics over HTTP.
pub const DIAGNOSTICS: HeaderName = HeaderName::from_static("x-ms-diagnostics");

/// A SOAP answer.
pub fn answer(status: StatusCode, body: String) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The one child element called `name` of the body of a SOAP 1.1 request.
///
/// # Errors
///
/// If it is no SOAP 1.1 request, or its body holds something else.
pub fn operation<'d>(document: &'d Document<'d>, name: &str) -> Result<Node<'d>, Refusal> {
    let root = document.root();
    if root.name() != "Envelope" || root.namespace() != ENVELOPE {
        return Err(Refusal::unreadable("not a SOAP 1.1 envelope"));
    }
    let body = root.child("Body").ok_or_else(|| Refusal::unreadable("not exactly one SOAP body"))?;
    body.child(name).ok_or_else(|| Refusal::unreadable(format!("the body does not hold one {name}")))
}
