//! What the pool's own authority tells about its certificates: the list of revoked ones, OCSP, and itself.
//!
//! Only an authority that tells in its certificates where to ask is asked here; the simulation's do not.

use bytes::Bytes;
use net::Time;
use net::http::{HeaderValue, Request, Response, StatusCode, header};
use pki::Certificate;
use pki::ocsp::Standing;
use pki::publication::{self, Reply as Told};

use super::Reply;
use crate::registrar::Parts;

/// The answer to a request for one of the authority's places; `None` for every other path.
pub(super) fn answer(request: &Request<Bytes>, now: Time, parts: &Parts<'_>) -> Option<Reply> {
    let path = request.uri().path();
    parts.authority.places().filter(|places| publication::is_at(places, path))?;
    let own = parts.tls.credentials().chain.first().and_then(|own| Certificate::read(own).ok());
    let published = &*parts.published;
    let wall = parts.clock.read(now);
    let asked = (request.method().as_str(), path, &request.body()[..]);
    let told = publication::serve(parts.authority, published.revoked(), wall, asked, |serial| {
        let is_own = own.as_ref().is_some_and(|own| own.serial == *serial);
        if is_own || published.has_serial(serial) { Standing::Good } else { Standing::Unknown }
    });
    match told {
        Told::Elsewhere => None,
        Told::WrongMethod(allow) => {
            let mut reply = Reply::bare(StatusCode::METHOD_NOT_ALLOWED, "no such method");
            reply.answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
            Some(reply)
        }
        Told::Served { content_type, body, max_age } => {
            let what = format!("{content_type}, {} octets", body.len());
            let mut answer = Response::new(Bytes::from(body));
            let headers = answer.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            if let Ok(age) = HeaderValue::try_from(format!("max-age={}", max_age.as_secs())) {
                headers.insert(header::CACHE_CONTROL, age);
            }
            Some(Reply::new(answer, what))
        }
    }
}
