//! Between what a step asks and what the HTTP client does.

use net::http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::fetch::{FetchError, Request};
use crate::sign_in::ask::{Answer, Ask, Failure, host_of};

/// The request that a step asks for. A redirect is handed back: no step expects one.
pub fn request(ask: &Ask, user_agent: &str) -> Request {
    let mut headers = HeaderMap::new();
    let own = [("user-agent", user_agent.to_owned())];
    for (name, value) in own.iter().chain(&ask.headers) {
        let value = HeaderValue::from_str(value);
        if let (Ok(name), Ok(mut value)) = (HeaderName::from_bytes(name.as_bytes()), value) {
            value.set_sensitive(name == "authorization" || name == "x-ms-webticket");
            headers.insert(name, value);
        }
    }
    Request {
        method: ask.method.clone(),
        url: ask.url.clone(),
        headers,
        body: ask.body.clone(),
        purpose: ask.what.to_owned(),
        redirects: 0,
    }
}

/// What came of it, as steps take it.
pub fn answer(ask: &Ask, result: Result<crate::fetch::Response, FetchError>) -> Answer {
    let host = host_of(&ask.url).to_owned();
    match result {
        Ok(answer) => {
            let mut response = Response::new(answer.body);
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            Ok(response)
        }
        Err(FetchError::Connect { why, .. }) => Err(Failure::Broken { host, why }),
        Err(FetchError::Resolve(why)) => Err(Failure::NoAddress { host, why: why.to_string() }),
        Err(FetchError::Deadline { .. }) => Err(Failure::Late { host }),
        Err(
            why @ (FetchError::Http { .. }
            | FetchError::BadUrl { .. }
            | FetchError::Redirects(_)
            | FetchError::Busy),
        ) => Err(Failure::Nonsense { host, why: why.to_string() }),
    }
}
