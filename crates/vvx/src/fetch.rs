//! HTTP requests of the phone: name, connection, request, answer, with a deadline for each.
//!
//! One connection is kept for each scheme, host and port; requests to the same place wait their turn on it. A
//! connection may take 10 s to come up per address tried, an answer 30 s. A request that met a kept connection
//! just as the server closed it is asked once more on a fresh one.

mod link;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use net::http::{HeaderMap, HttpError, Limits, Method, StatusCode, header};
use net::tls::{NameCheck, Trust};
use net::{Closed, Input, Outbox, Random, StreamId, Time, WallClock};
use thiserror::Error;
use url::Url;

use crate::resolver::{ResolveError, Resolved, Resolver};
use link::{Happened, Link, Place};

/// How long a connection may take to come up, for each address tried.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long an answer may take, from the request to its last octet.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long a connection is kept without a request, if nothing else is said.
pub const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// Requests under way at a time.
pub const REQUESTS_LIMIT: usize = 64;
/// Connections kept at a time.
const LINKS_LIMIT: usize = 16;
/// What an answer may hold: a configuration file is at most 1 MiB.
const LIMITS: Limits = Limits { body: (1 << 20) + 1024, head: 16 << 10, headers: 100 };

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

impl fmt::Debug for Request {
    /// Without header fields, body and query: they hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", spell(self))
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

impl fmt::Debug for Response {
    /// Without header fields and body: they hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} octets from {}", self.status, self.body.len(), self.peer)
    }
}

/// Which part of a request took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// TCP and TLS.
    Connecting,
    /// From the request to the last octet of the answer.
    Answering,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Connecting => "connecting",
            Stage::Answering => "the answer",
        })
    }
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
    #[error("{host}: {stage} took longer than {}", net::time::spell(*limit))]
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
    #[error("more than {REQUESTS_LIMIT} requests at once")]
    Busy,
}

/// A request that came to its end.
#[derive(Clone, Debug)]
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

/// A request that has not come to its end.
#[derive(Debug)]
struct Underway {
    request: Request,
    /// It was asked on a kept connection that broke, and waits to be asked again.
    is_second_try: bool,
}

/// The phone's HTTP client.
#[derive(Debug)]
pub struct Fetcher {
    /// How long a connection is kept without a request.
    idle: Duration,
    underway: BTreeMap<FetchId, Underway>,
    links: BTreeMap<Place, Link>,
    /// Ends that [`Fetcher::handle`] has not told yet, and since when.
    ended: Vec<Fetched>,
    ended_at: Option<Time>,
    next_fetch: u64,
}

impl Default for Fetcher {
    fn default() -> Fetcher {
        Fetcher::new()
    }
}

impl Fetcher {
    /// One without connections.
    pub fn new() -> Fetcher {
        Fetcher::keeping(IDLE_LIMIT)
    }

    /// One without connections that keeps each so long without a request.
    pub fn keeping(idle: Duration) -> Fetcher {
        Fetcher {
            idle,
            underway: BTreeMap::new(),
            links: BTreeMap::new(),
            ended: Vec::new(),
            ended_at: None,
            next_fetch: 0,
        }
    }

    /// Starts a request; [`Fetcher::handle`] will tell how it ended, at a later call.
    pub fn start(
        &mut self,
        request: Request,
        now: Time,
        parts: &mut FetchParts<'_>,
        out: &mut Outbox,
    ) -> FetchId {
        self.next_fetch += 1;
        let id = FetchId(self.next_fetch);
        if self.underway.len() >= REQUESTS_LIMIT {
            self.end(id, Err(FetchError::Busy), now);
            return id;
        }
        self.underway.insert(id, Underway { request, is_second_try: false });
        self.queue(id, now, parts, out);
        id
    }

    /// Forgets a request; nothing will be told of it. A connection on which its answer is awaited is closed.
    pub fn cancel(&mut self, id: FetchId, now: Time, parts: &mut FetchParts<'_>, out: &mut Outbox) {
        self.ended.retain(|ended| ended.id != id);
        if self.underway.remove(&id).is_none() {
            return;
        }
        let place = self.links.iter_mut().find_map(|(place, link)| link.forget(id).then(|| place.clone()));
        if let Some(place) = place {
            self.drop_link(&place, now, parts, out);
        }
    }

    /// Takes in what happened, and what [`Resolver::handle`] made of it; returns what came to its end.
    pub fn handle(
        &mut self,
        now: Time,
        input: &Input,
        resolved: &[Resolved],
        parts: &mut FetchParts<'_>,
        out: &mut Outbox,
    ) -> Vec<Fetched> {
        let places: Vec<Place> = self.links.keys().cloned().collect();
        for place in places {
            let Some(link) = self.links.get_mut(&place) else { continue };
            let mut happened = Vec::new();
            for resolved in resolved {
                happened.extend(link.resolved(&place, resolved, now, parts, out));
            }
            if let Input::Stream(stream, event) = input
                && link.owns(*stream)
            {
                happened.extend(link.stream(&place, event, now, parts, out));
            }
            happened.extend(link.late(&place, now, parts, out));
            for what in happened {
                self.take(&place, what, now, parts, out);
            }
            self.ask_next(&place, now, out);
        }
        self.ended_at = None;
        std::mem::take(&mut self.ended)
    }

    /// Whether a stream is one of its connections.
    pub fn owns(&self, stream: StreamId) -> bool {
        self.links.values().any(|link| link.owns(stream))
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        self.links.values().filter_map(Link::wake_at).chain(self.ended_at).min()
    }

    /// Puts a request into the queue of its place, and sees to it that there is a connection.
    fn queue(&mut self, id: FetchId, now: Time, parts: &mut FetchParts<'_>, out: &mut Outbox) {
        let Some(underway) = self.underway.get(&id) else { return };
        let place = match Place::of(&underway.request.url) {
            Ok(place) => place,
            Err(why) => {
                let url = shown(&underway.request.url);
                self.end(id, Err(FetchError::BadUrl { url, why }), now);
                return;
            }
        };
        let idle = self.idle;
        let link = self.links.entry(place.clone()).or_insert_with(|| Link::new(idle));
        link.queue.push_back(id);
        if let Some(what) = link.connect(&place, now, parts, out) {
            self.take(&place, what, now, parts, out);
        }
        self.ask_next(&place, now, out);
        self.close_surplus(out);
    }

    /// Asks the next request of a place's queue if its connection is up and free.
    fn ask_next(&mut self, place: &Place, now: Time, out: &mut Outbox) {
        let Some(link) = self.links.get_mut(place) else { return };
        while link.is_free() {
            let Some(id) = link.queue.pop_front() else { return };
            if let Some(underway) = self.underway.get(&id) {
                link.ask(id, place, &underway.request, now, out);
            }
        }
    }

    /// Takes in what became of a connection.
    fn take(
        &mut self,
        place: &Place,
        what: Happened,
        now: Time,
        parts: &mut FetchParts<'_>,
        out: &mut Outbox,
    ) {
        match what {
            Happened::Answered(id, response) => self.answered(id, response, now, parts, out),
            Happened::Failed(why) => {
                // Everybody in the queue would meet the same; nobody waits for that.
                let queue = self.links.remove(place).map(|link| link.queue).unwrap_or_default();
                for id in queue {
                    self.end(id, Err(why.clone()), now);
                }
            }
            Happened::Broke { asked, was_kept, why } => {
                let again = asked.filter(|id| {
                    self.underway.get(id).is_some_and(|underway| was_kept && !underway.is_second_try)
                });
                if let Some(underway) = again.and_then(|id| self.underway.get_mut(&id)) {
                    underway.is_second_try = true;
                }
                if let (Some(id), None) = (asked, again) {
                    self.end(id, Err(why), now);
                }
                if let (Some(id), Some(link)) = (again, self.links.get_mut(place)) {
                    link.queue.push_front(id);
                }
                self.drop_link(place, now, parts, out);
            }
        }
    }

    fn answered(
        &mut self,
        id: FetchId,
        response: Response,
        now: Time,
        parts: &mut FetchParts<'_>,
        out: &mut Outbox,
    ) {
        let Some(underway) = self.underway.get_mut(&id) else { return };
        let location = response.headers.get(header::LOCATION).and_then(|to| to.to_str().ok());
        let (true, Some(location)) = (is_redirect(response.status), location) else {
            return self.end(id, Ok(response), now);
        };
        let request = &mut underway.request;
        if request.redirects == 0 {
            return self.end(id, Ok(response), now);
        }
        let bad = |why| FetchError::BadUrl { url: location.to_owned(), why };
        let to = match request.url.join(location) {
            Ok(to) if request.url.scheme() == "https" && to.scheme() != "https" => {
                return self.end(id, Err(bad("a redirect from https must not leave it")), now);
            }
            Ok(to) => to,
            Err(_) => return self.end(id, Err(bad("no URL")), now),
        };
        if Place::of(&to).ok() != Place::of(&request.url).ok() {
            // Whoever is redirected elsewhere must not carry its credentials there.
            request.headers.remove(header::AUTHORIZATION);
        }
        let is_get = matches!(request.method, Method::GET | Method::HEAD);
        if !is_get && !matches!(response.status.as_u16(), 307 | 308) {
            request.method = Method::GET;
            request.body = Bytes::new();
            request.headers.remove(header::CONTENT_TYPE);
        }
        request.url = to;
        request.redirects -= 1;
        underway.is_second_try = false;
        self.queue(id, now, parts, out);
    }

    /// Forgets a connection that is over; who still waits for the place gets a fresh one.
    fn drop_link(&mut self, place: &Place, now: Time, parts: &mut FetchParts<'_>, out: &mut Outbox) {
        let Some(mut link) = self.links.remove(place) else { return };
        link.close(out);
        if link.queue.is_empty() {
            return;
        }
        let mut fresh = Link::new(self.idle);
        fresh.queue = link.queue;
        let failed = fresh.connect(place, now, parts, out);
        self.links.insert(place.clone(), fresh);
        if let Some(what) = failed {
            self.take(place, what, now, parts, out);
        }
    }

    /// Closes connections that nobody uses, the longest unused first, while there are too many.
    fn close_surplus(&mut self, out: &mut Outbox) {
        while self.links.len() > LINKS_LIMIT {
            let unused = self.links.iter().filter_map(|(place, link)| Some((link.unused_until()?, place)));
            let Some(place) = unused.min().map(|(_, place)| place.clone()) else { return };
            if let Some(mut link) = self.links.remove(&place) {
                link.close(out);
            }
        }
    }

    fn end(&mut self, id: FetchId, result: Result<Response, FetchError>, now: Time) {
        self.underway.remove(&id);
        self.ended.push(Fetched { id, result });
        self.ended_at = Some(self.ended_at.unwrap_or(now));
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// A request in one line for the journal; the query may hold secrets and stays out.
fn spell(request: &Request) -> String {
    format!("{} {} ({})", request.method, request.url.path(), request.purpose)
}

/// A URL as it may be shown: without user, password and query.
fn shown(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

#[cfg(test)]
mod tests;
