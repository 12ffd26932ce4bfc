//! HTTP requests of the phone: name, connection, request, answer, with a deadline for each.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use net::http::{HeaderMap, HttpError, Method, StatusCode};
use net::tls::{NameCheck, Trust};
use net::{Closed, Input, Outbox, Random, StreamId, Time, WallClock};
use thiserror::Error;
use url::Url;

use crate::resolver::{ResolveError, Resolved, Resolver};

/// A request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// What to ask of a server.
#[derive(Clone)]
pub struct Request {
    /// GET, POST, …
    pub method: Method,
    /// `http` or `https`.
    pub url: Url,
    /// Besides `Host` and `Content-Length`, which are added.
    pub headers: HeaderMap,
    /// The body; never noted.
    pub body: Bytes,
    /// What it is for, in a few words for the journal: `device code`.
    pub purpose: String,
    /// How many redirects to follow; 0 hands a redirect back as an answer.
    pub redirects: u8,
}

impl Request {
    /// A GET without headers that follows no redirect.
    pub fn get(url: Url, purpose: &str) -> Request {
        Request {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            purpose: purpose.to_owned(),
            redirects: 0,
        }
    }
}

/// An answer.
#[derive(Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Where it came from in the end, after redirects.
    pub url: Url,
    /// Who sent it.
    pub peer: SocketAddr,
}

/// Which part of a request took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// TCP and TLS.
    Connecting,
    /// From the request to the last octet of the answer.
    Answering,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FetchError {
    /// The URL cannot be used.
    #[error("cannot fetch `{url}`: {why}")]
    BadUrl {
        /// The URL.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The host's name has no address.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The connection did not come about or broke.
    #[error("{host}: {why}")]
    Connect {
        /// Host and port.
        host: String,
        /// Why.
        why: Closed,
    },
    /// What came back is no HTTP, or too much of it.
    #[error("{host}: {why}")]
    Http {
        /// Host and port.
        host: String,
        /// Why.
        why: HttpError,
    },
    /// It took too long.
    #[error("{host}: {stage:?} took longer than {}", net::time::spell(*limit))]
    Deadline {
        /// Host and port.
        host: String,
        /// Which part.
        stage: Stage,
        /// The limit.
        limit: Duration,
    },
    /// More redirects than the request allows.
    #[error("redirected too often, last to `{0}`")]
    Redirects(String),
    /// Too many requests are under way.
    #[error("too many requests at once")]
    Busy,
}

/// A request that came to its end.
#[derive(Clone)]
pub struct Fetched {
    /// Which one.
    pub id: FetchId,
    /// How.
    pub result: Result<Response, FetchError>,
}

/// What a fetch needs of its phone.
pub struct FetchParts<'a> {
    /// Finds addresses.
    pub resolver: &'a mut Resolver,
    /// Chance for the resolver.
    pub random: &'a mut Random,
    /// What the phone believes the date is.
    pub clock: WallClock,
    /// Whom it trusts.
    pub trust: &'a Trust,
    /// Whether names in certificates count.
    pub names: NameCheck,
}

/// The phone's HTTP client.
#[derive(Debug, Default)]
pub struct Fetcher {}

impl Fetcher {
    /// One without connections.
    pub fn new() -> Fetcher {
        Fetcher::default()
    }

    /// Starts a request; [`Fetcher::handle`] will tell how it ended, at a later call.
    pub fn start(
        &mut self,
        _request: Request,
        _now: Time,
        _parts: &mut FetchParts<'_>,
        _out: &mut Outbox,
    ) -> FetchId {
        FetchId(0)
    }

    /// Forgets a request; nothing will be told of it.
    pub fn cancel(&mut self, _id: FetchId, _out: &mut Outbox) {}

    /// Takes in what happened, and what [`Resolver::handle`] made of it; returns what came to its end.
    pub fn handle(
        &mut self,
        _now: Time,
        _input: &Input,
        _resolved: &[Resolved],
        _parts: &mut FetchParts<'_>,
        _out: &mut Outbox,
    ) -> Vec<Fetched> {
        Vec::new()
    }

    /// Whether a stream is one of its connections.
    pub fn owns(&self, _stream: StreamId) -> bool {
        false
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        None
    }
}
