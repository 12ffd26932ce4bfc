//! Answers with every header they need.
//!
//! Nothing of the phone is to be kept by caches, framed by other pages, or guessed to be of another type.

use bytes::Bytes;
use net::http::{HeaderName, HeaderValue, Response, StatusCode, header};

/// What pages may load: themselves and nothing from anywhere else.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self'; img-src 'self' data: blob:; \
     frame-ancestors 'none'; form-action 'self'; base-uri 'none'";

/// An answer of that status, type and body.
pub fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::SERVER, "Polycom SoundPoint IP Telephone HTTPd"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Plain text with status 200.
pub fn text(body: impl Into<String>) -> Response<Bytes> {
    answer(StatusCode::OK, "text/plain; charset=utf-8", body.into())
}

/// Plain text with another status.
pub fn refusal(status: StatusCode, body: &str) -> Response<Bytes> {
    answer(status, "text/plain; charset=utf-8", format!("{body}\n"))
}

/// A page.
pub fn html(body: String) -> Response<Bytes> {
    let mut response = answer(StatusCode::OK, "text/html; charset=utf-8", body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // Pages tell the phone's own pages where a request comes from, and nobody else.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// An XML document.
pub fn xml(body: String) -> Response<Bytes> {
    answer(StatusCode::OK, "text/xml; charset=utf-8", body)
}

/// A JSON document.
pub fn json(status: StatusCode, body: &serde_json::Value) -> Response<Bytes> {
    answer(status, "application/json", body.to_string())
}

/// There is no such thing here.
pub fn not_found() -> Response<Bytes> {
    refusal(StatusCode::NOT_FOUND, "(404) Not Found")
}

/// The path is right, the method is not; `allowed` are those that are.
pub fn bad_method(allowed: &'static str) -> Response<Bytes> {
    with(refusal(StatusCode::METHOD_NOT_ALLOWED, "(405) Method Not Allowed"), header::ALLOW, allowed)
}

/// Whoever asks may not.
pub fn forbidden(why: &str) -> Response<Bytes> {
    refusal(StatusCode::FORBIDDEN, why)
}

/// The same answer with a header more. A value that cannot stand in a header is left out.
pub fn with(mut response: Response<Bytes>, name: HeaderName, value: &str) -> Response<Bytes> {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().append(name, value);
    }
    response
}

/// Has the connection closed behind this answer.
pub fn close_after(response: &mut Response<Bytes>) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}
