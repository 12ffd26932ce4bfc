//! A browser: addresses in, pages out, by DNS, TLS and HTTP like anybody else's.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use net::http::{ClientConnection, HttpError, Limits, Method, Request, Response, header};
use net::tls::{ClientTls, NameCheck, Trust};
use net::{
    Closed, Dial, Input, ListenSecurity, Note, Outbox, Random, Security, StreamEvent, StreamId, Time,
    WallClock,
};
use url::Url;

use super::PAGE_PATIENCE;
use super::page::Page;

/// The port that the computer asks DNS from.
const DNS_CLIENT_PORT: u16 = 5353;

/// How often a question to DNS is repeated, and after how long.
const DNS_TRIES: u32 = 4;
const DNS_WAIT: std::time::Duration = std::time::Duration::from_secs(2);

/// How many redirects one page may take.
const REDIRECTS_MAX: u32 = 10;

/// How many cookies a browser keeps, all hosts together.
const COOKIES_MAX: usize = 200;

/// Why a page did not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrowseError {
    /// DNS knows no such name.
    #[error("{0} cannot be found")]
    NoSuchName(String),
    /// DNS does not answer.
    #[error("no name server answers")]
    NoNameServer,
    /// The server cannot be reached.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// The server.
        host: String,
        /// Why not.
        why: Closed,
    },
    /// The server's answer cannot be read.
    #[error("{host} sent something that is no page: {why}")]
    BadAnswer {
        /// The server.
        host: String,
        /// What is wrong with it.
        why: HttpError,
    },
    /// The server takes too long.
    #[error("{0} takes too long to answer")]
    TooSlow(String),
    /// The page goes round in circles.
    #[error("the page redirects in circles")]
    Circles,
}

/// What came of loading.
pub(super) enum Loaded {
    Page(Box<Page>),
    Failed,
}

#[derive(Debug)]
struct Journey {
    url: Url,
    method: Method,
    body: String,
    redirects: u32,
    deadline: Time,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Resolving { id: u16, tries: u32, again_at: Time },
    Dialling(StreamId),
    Asking(StreamId),
}

#[derive(Debug)]
struct Connection {
    origin: (String, u16),
    peer: SocketAddr,
    http: ClientConnection,
}

/// A browser and the computer it runs on.
#[derive(Debug)]
pub(super) struct Browser {
    address: IpAddr,
    dns: IpAddr,
    trust: Trust,
    random: Random,
    clock: Option<WallClock>,
    cookies: BTreeMap<(String, String), String>,
    connections: BTreeMap<StreamId, Connection>,
    journey: Option<Journey>,
    trouble: Option<BrowseError>,
}

impl Browser {
    pub(super) fn new(address: IpAddr, dns: IpAddr, trust: Trust, random: Random) -> Browser {
        Browser {
            address,
            dns,
            trust,
            random,
            clock: None,
            cookies: BTreeMap::new(),
            connections: BTreeMap::new(),
            journey: None,
            trouble: None,
        }
    }

    pub(super) fn power_on(&mut self, out: &mut Outbox) {
        self.connections.clear();
        self.cookies.clear();
        self.journey = None;
        out.address(Some(self.address));
        out.listen(DNS_CLIENT_PORT, ListenSecurity::Udp);
    }

    pub(super) fn trouble(&self) -> Option<&BrowseError> {
        self.trouble.as_ref()
    }

    pub(super) fn is_loading(&self) -> bool {
        self.journey.is_some()
    }

    pub(super) fn open(&mut self, url: Url, clock: WallClock, now: Time, out: &mut Outbox) {
        self.start(url, Method::GET, String::new(), 0, clock, now, out);
    }

    pub(super) fn post(&mut self, url: Url, body: String, clock: WallClock, now: Time, out: &mut Outbox) {
        self.start(url, Method::POST, body, 0, clock, now, out);
    }

    pub(super) fn close(&mut self, out: &mut Outbox) {
        for stream in std::mem::take(&mut self.connections).into_keys() {
            out.close(stream);
        }
        self.cookies.clear();
        self.journey = None;
    }

    pub(super) fn wake_at(&self) -> Option<Time> {
        let journey = self.journey.as_ref()?;
        match journey.stage {
            Stage::Resolving { again_at, .. } => Some(again_at.min(journey.deadline)),
            Stage::Dialling(_) | Stage::Asking(_) => Some(journey.deadline),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a request is what it is; a struct would name the same")]
    fn start(
        &mut self,
        url: Url,
        method: Method,
        body: String,
        redirects: u32,
        clock: WallClock,
        now: Time,
        out: &mut Outbox,
    ) {
        self.clock = Some(clock);
        self.trouble = None;
        let deadline = now + PAGE_PATIENCE;
        let id = self.random.below(1 << 16) as u16;
        let stage = Stage::Resolving { id, tries: 0, again_at: now };
        self.journey = Some(Journey { url, method, body, redirects, deadline, stage });
        let origin = self.origin();
        let known =
            self.connections.iter().find(|(_, c)| Some(&c.origin) == origin.as_ref() && !c.http.is_done());
        if let Some((&stream, _)) = known {
            return self.ask(stream, out);
        }
        if let Some(address) = origin.and_then(|(host, _)| host.parse::<IpAddr>().ok()) {
            return self.dial(address, out);
        }
        self.resolve(now, out);
    }

    fn origin(&self) -> Option<(String, u16)> {
        let url = &self.journey.as_ref()?.url;
        Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
    }

    fn resolve(&mut self, now: Time, out: &mut Outbox) {
        let Some((host, _)) = self.origin() else { return };
        let Some(Journey { stage: Stage::Resolving { id, tries, again_at }, .. }) = &mut self.journey else {
            return;
        };
        *tries += 1;
        *again_at = now + DNS_WAIT;
        let Ok(name) = Name::from_ascii(format!("{host}.")) else { return };
        let mut message = Message::new(*id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(name, RecordType::A));
        if let Ok(bytes) = message.to_vec() {
            let from = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), DNS_CLIENT_PORT);
            let to = SocketAddr::new(self.dns, 53);
            out.note(Note::sent(to, format!("DNS question: address of {host}")));
            out.send(from, to, bytes);
        }
    }

    fn dial(&mut self, address: IpAddr, out: &mut Outbox) {
        let (Some((host, port)), Some(clock)) = (self.origin(), self.clock) else { return };
        let Some(journey) = &mut self.journey else { return };
        let to = SocketAddr::new(address, port);
        let security = if journey.url.scheme() == "https" {
            let trust = self.trust.clone();
            Security::Tls(ClientTls { server_name: host.clone(), trust, clock, names: NameCheck::Strict })
        } else {
            Security::Plain
        };
        let stream = out.open(Dial { to, security });
        journey.stage = Stage::Dialling(stream);
        let limits = Limits { body: 1 << 20, ..Limits::default() };
        let http = ClientConnection::new(limits);
        self.connections.insert(stream, Connection { origin: (host, port), peer: to, http });
    }

    fn ask(&mut self, stream: StreamId, out: &mut Outbox) {
        let Some(journey) = &mut self.journey else { return };
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        journey.stage = Stage::Asking(stream);
        let (host, port) = &connection.origin;
        let mut target = journey.url.path().to_owned();
        if let Some(query) = journey.url.query() {
            target = format!("{target}?{query}");
        }
        let host_header = match journey.url.port() {
            Some(_) => format!("{host}:{port}"),
            None => host.clone(),
        };
        let mut request = Request::builder()
            .method(journey.method.clone())
            .uri(&target)
            .header(header::HOST, host_header)
            .header(header::USER_AGENT, "Mozilla/5.0 (lab) Person/1.0")
            .header(header::ACCEPT, "text/html");
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|((of, _), _)| of == host)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        if journey.method == Method::POST {
            let origin = journey.url.origin().ascii_serialization();
            request = request
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::ORIGIN, origin);
        }
        let Ok(request) = request.body(Bytes::from(journey.body.clone())) else { return };
        out.note(Note::sent(connection.peer, format!("{} {}", journey.method, journey.url.path())));
        connection.http.ask(request);
        out.write(stream, connection.http.take_output());
    }

    fn fail(&mut self, why: BrowseError, out: &mut Outbox) -> Option<Loaded> {
        let journey = self.journey.take()?;
        if let Stage::Dialling(stream) | Stage::Asking(stream) = journey.stage
            && self.connections.remove(&stream).is_some()
        {
            out.close(stream);
        }
        out.note(Note::Screen { id: "no-page".to_owned(), text: why.to_string() });
        self.trouble = Some(why);
        Some(Loaded::Failed)
    }

    pub(super) fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) -> Option<Loaded> {
        match input {
            Input::Datagram(datagram) => {
                if datagram.from != SocketAddr::new(self.dns, 53) {
                    return None;
                }
                self.take_name_answer(&datagram.payload, out)
            }
            Input::Woken => self.be_woken(now, out),
            Input::Stream(stream, event) => self.take_stream_event(now, stream, event, out),
            Input::PowerOff => {
                self.journey = None;
                None
            }
            Input::PowerOn(_) | Input::Kept(_) => None,
        }
    }

    fn be_woken(&mut self, now: Time, out: &mut Outbox) -> Option<Loaded> {
        let (host, _) = self.origin()?;
        let journey = self.journey.as_ref()?;
        if let Stage::Resolving { tries, again_at, .. } = journey.stage
            && now >= again_at
        {
            if tries >= DNS_TRIES {
                return self.fail(BrowseError::NoNameServer, out);
            }
            self.resolve(now, out);
            return None;
        }
        if now >= journey.deadline { self.fail(BrowseError::TooSlow(host), out) } else { None }
    }

    fn take_name_answer(&mut self, payload: &[u8], out: &mut Outbox) -> Option<Loaded> {
        let (host, _) = self.origin()?;
        let Stage::Resolving { id: asked, .. } = self.journey.as_ref()?.stage else { return None };
        let message = Message::from_vec(payload).ok().filter(|m| m.metadata.id == asked)?;
        let addresses = message.answers.iter().filter_map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            _ => None,
        });
        match (addresses.into_iter().next(), message.metadata.response_code) {
            (Some(address), _) => {
                self.dial(address, out);
                None
            }
            (None, ResponseCode::ServFail | ResponseCode::Refused) => {
                self.fail(BrowseError::NoNameServer, out)
            }
            (None, _) => self.fail(BrowseError::NoSuchName(host), out),
        }
    }

    fn take_stream_event(
        &mut self,
        now: Time,
        stream: StreamId,
        event: StreamEvent,
        out: &mut Outbox,
    ) -> Option<Loaded> {
        match event {
            StreamEvent::Opened { .. } => {
                self.ask(stream, out);
                None
            }
            StreamEvent::Accepted { .. } => {
                out.close(stream);
                None
            }
            StreamEvent::Received(bytes) => {
                let connection = self.connections.get_mut(&stream)?;
                connection.http.receive(&bytes);
                out.write(stream, connection.http.take_output());
                self.take_answer(now, stream, None, out)
            }
            StreamEvent::Closed(why) => {
                let connection = self.connections.get_mut(&stream)?;
                connection.http.end();
                let loaded = self.take_answer(now, stream, Some(why), out);
                self.connections.remove(&stream);
                loaded
            }
        }
    }

    fn take_answer(
        &mut self,
        now: Time,
        stream: StreamId,
        closed: Option<Closed>,
        out: &mut Outbox,
    ) -> Option<Loaded> {
        let connection = self.connections.get_mut(&stream)?;
        let (host, peer) = (connection.origin.0.clone(), connection.peer);
        let answer = connection.http.take_answer();
        let is_ours = match &self.journey {
            Some(Journey { stage: Stage::Dialling(of) | Stage::Asking(of), .. }) => *of == stream,
            _ => false,
        };
        match (answer, closed) {
            (Some(Ok(answer)), _) => self.take_document(now, &host, peer, answer, out),
            (_, Some(why)) if is_ours => self.fail(BrowseError::Unreachable { host, why }, out),
            (Some(Err(why)), None) if is_ours => self.fail(BrowseError::BadAnswer { host, why }, out),
            _ => None,
        }
    }

    fn take_document(
        &mut self,
        now: Time,
        host: &str,
        peer: SocketAddr,
        answer: Response<Bytes>,
        out: &mut Outbox,
    ) -> Option<Loaded> {
        self.take_cookies(host, &answer);
        let journey = self.journey.take()?;
        let status = answer.status();
        let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        if let Some(target) =
            location.filter(|_| status.is_redirection()).and_then(|to| journey.url.join(to).ok())
        {
            out.note(Note::received(peer, format!("{} to {}", status.as_u16(), target.path())));
            let clock = self.clock?;
            if journey.redirects >= REDIRECTS_MAX {
                self.journey = Some(journey);
                return self.fail(BrowseError::Circles, out);
            }
            // RFC 9110 §15.4: 307 and 308 keep the method, the others continue by GET.
            let keeps = matches!(status.as_u16(), 307 | 308);
            let (method, body) =
                if keeps { (journey.method, journey.body) } else { (Method::GET, String::new()) };
            self.start(target, method, body, journey.redirects + 1, clock, now, out);
            return None;
        }
        let page = Page::read(journey.url, status.as_u16(), &String::from_utf8_lossy(answer.body()));
        out.note(Note::received(peer, format!("{} page `{}`", page.status, page.id)));
        Some(Loaded::Page(Box::new(page)))
    }

    fn take_cookies(&mut self, host: &str, answer: &Response<Bytes>) {
        for value in answer.headers().get_all(header::SET_COOKIE) {
            let Ok(text) = value.to_str() else { continue };
            let mut parts = text.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let is_over = parts.any(|part| {
                let part = part.to_ascii_lowercase();
                part == "max-age=0" || part.starts_with("max-age=-")
            });
            let key = (host.to_owned(), name.to_owned());
            if is_over || value.is_empty() {
                self.cookies.remove(&key);
            } else if self.cookies.len() < COOKIES_MAX || self.cookies.contains_key(&key) {
                self.cookies.insert(key, value.to_owned());
            }
        }
    }
}
