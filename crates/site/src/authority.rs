//! The server that tells about an authority: the list of revoked certificates, OCSP, and the authority's certificate,
//! over plain HTTP.
//!
//! What is revoked counts at once and survives a power cut once it is on disk. Only certificates that the server was told
//! of are called good.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use net::http::{HeaderValue, Limits, Request, Response, ServerConnection, StatusCode, header};
use net::{
    Input, ListenSecurity, Node, Note, Outbox, RecordId, StreamEvent, StreamId, Time, Wall, WallClock,
};
use pki::ocsp::Standing;
use pki::publication::{self, Reply};
use pki::{Authority, Reason, Revocations, Serial};

use crate::kept::Slots;

/// The port of the service.
pub const PORT: u16 = 80;

/// The most connections at a time; further ones are closed.
const STREAMS_LIMIT: usize = 512;

/// How long a connection may go without a complete request.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// The largest request body: OCSP requests have a few hundred octets.
const BODY_LIMIT: usize = 16 << 10;

/// The file of what is revoked.
const FILE: &str = "revoked";

/// What such a server is told before it starts.
#[derive(Debug)]
pub struct Setup {
    /// Its address.
    pub address: IpAddr,
    /// What it believes the date is.
    pub clock: WallClock,
    /// The authority, which says in its certificates where it is told about.
    pub authority: Authority,
    /// The certificates that the authority issued.
    pub issued: Vec<Serial>,
}

/// The server that tells about an authority.
#[derive(Debug)]
pub struct AuthorityServer {
    setup: Setup,
    revocations: Revocations,
    slots: Option<Slots>,
    writing: Option<RecordId>,
    /// Something was revoked since the write that is under way began.
    is_behind: bool,
    streams: BTreeMap<StreamId, Stream>,
}

#[derive(Debug)]
struct Stream {
    peer: SocketAddr,
    http: ServerConnection,
    until: Time,
}

impl AuthorityServer {
    /// A server that is still without power.
    pub fn new(setup: Setup) -> AuthorityServer {
        AuthorityServer {
            setup,
            revocations: Revocations::new(),
            slots: None,
            writing: None,
            is_behind: false,
            streams: BTreeMap::new(),
        }
    }

    /// What is revoked.
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Revokes a certificate of the authority. Returns whether it is one.
    pub fn revoke(&mut self, serial: &Serial, now: Time, out: &mut Outbox) -> bool {
        if !self.setup.issued.contains(serial) {
            return false;
        }
        let at = self.setup.clock.read(now);
        self.revocations.revoke(serial.clone(), at, Reason::Unspecified);
        self.keep(out);
        true
    }

    fn keep(&mut self, out: &mut Outbox) {
        let Some(slots) = &mut self.slots else { return };
        if self.writing.is_some() {
            self.is_behind = true;
            return;
        }
        let lines =
            self.revocations.iter().map(|(serial, revoked)| format!("{serial} {}\n", revoked.at.unix_secs()));
        let text: String = lines.collect();
        self.writing = Some(slots.replace(text.as_bytes(), out));
    }

    fn stream(&mut self, id: StreamId, event: StreamEvent, now: Time, out: &mut Outbox) {
        match event {
            StreamEvent::Accepted { peer, .. } if self.streams.len() < STREAMS_LIMIT => {
                let http = ServerConnection::new(Limits { body: BODY_LIMIT, ..Limits::default() });
                self.streams.insert(id, Stream { peer, http, until: now + IDLE_LIMIT });
            }
            StreamEvent::Accepted { .. } => out.close(id),
            StreamEvent::Received(bytes) => {
                let Some(mut stream) = self.streams.remove(&id) else { return };
                stream.http.receive(&bytes);
                while let Some(request) = stream.http.take_request() {
                    stream.until = now + IDLE_LIMIT;
                    let line = format!("{} {}", request.method(), request.uri().path().escape_debug());
                    out.note(Note::received(stream.peer, line.chars().take(120).collect::<String>()));
                    let response = self.answer(&request, now);
                    let line = format!("{} {} octets", response.status().as_u16(), response.body().len());
                    out.note(Note::sent(stream.peer, line));
                    stream.http.answer(response);
                }
                out.write(id, stream.http.take_output());
                if stream.http.is_done() {
                    out.close(id);
                } else {
                    self.streams.insert(id, stream);
                }
            }
            StreamEvent::Closed(_) => drop(self.streams.remove(&id)),
            StreamEvent::Opened { .. } => {}
        }
    }

    fn answer(&self, request: &Request<Bytes>, now: Time) -> Response<Bytes> {
        let asked = (request.method().as_str(), request.uri().path(), &request.body()[..]);
        let wall = self.setup.clock.read(now);
        let told = publication::serve(&self.setup.authority, &self.revocations, wall, asked, |serial| {
            if self.setup.issued.contains(serial) { Standing::Good } else { Standing::Unknown }
        });
        match told {
            Reply::Elsewhere => {
                let mut response = Response::new(Bytes::from_static(b"There is nothing here.\n"));
                *response.status_mut() = StatusCode::NOT_FOUND;
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
                response
            }
            Reply::WrongMethod(allow) => {
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
                response
            }
            Reply::Served { content_type, body, max_age } => {
                let mut response = Response::new(Bytes::from(body));
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
                if let Ok(age) = HeaderValue::try_from(format!("max-age={}", max_age.as_secs())) {
                    headers.insert(header::CACHE_CONTROL, age);
                }
                response
            }
        }
    }
}

/// What a file says is revoked; a line that says nothing is passed over.
fn recover(contents: &[u8]) -> Revocations {
    let mut revocations = Revocations::new();
    for line in String::from_utf8_lossy(contents).lines() {
        let Some((serial, at)) = line.split_once(' ') else { continue };
        let octets: Option<Vec<u8>> = (0..serial.len())
            .step_by(2)
            .map(|place| u8::from_str_radix(serial.get(place..place + 2)?, 16).ok())
            .collect();
        if let (Some(octets), Ok(at)) = (octets, at.parse()) {
            revocations.revoke(Serial::from_be_bytes(&octets), Wall::from_unix_secs(at), Reason::Unspecified);
        }
    }
    revocations
}

impl Node for AuthorityServer {
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
        match input {
            Input::PowerOn(disk) => {
                let (slots, recovered) = Slots::recover(&disk, FILE);
                self.slots = Some(slots);
                self.revocations = recovered.map(|found| recover(&found.contents)).unwrap_or_default();
                out.address(Some(self.setup.address));
                out.listen(PORT, ListenSecurity::Tcp);
            }
            Input::PowerOff => {
                self.slots = None;
                self.writing = None;
                self.is_behind = false;
                self.streams.clear();
            }
            Input::Stream(id, event) if self.slots.is_some() => self.stream(id, event, now, out),
            Input::Kept(id) if self.writing == Some(id) => {
                self.writing = None;
                if std::mem::take(&mut self.is_behind) {
                    self.keep(out);
                }
            }
            Input::Woken => {
                let late = self.streams.iter().filter(|(_, stream)| stream.until <= now);
                for id in late.map(|(id, _)| *id).collect::<Vec<_>>() {
                    self.streams.remove(&id);
                    out.close(id);
                }
            }
            Input::Stream(..) | Input::Kept(_) | Input::Datagram(_) => {}
        }
    }

    fn wake_at(&self) -> Option<Time> {
        self.streams.values().map(|stream| stream.until).min()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use net::{Crypto, Disk, Effect, Keep, Random, WriteKind};
    use pki::{Certificate, Places, Validity};

    use super::*;

    fn server() -> (AuthorityServer, Serial) {
        let epoch = Wall::parse("2018-10-09T09:00:00Z").expect("a date");
        let mut random = Random::named(1, "ca");
        let life = Duration::from_secs(86_400 * 3_650);
        let mut authority = Authority::new("Root", Crypto::Seeded, &mut random, epoch, life);
        authority.tell_at(Places::new("pki.contoso.example", "", "public-root"));
        let names = ["login.contoso.example".to_owned()];
        let issued = authority.issue_server(&names, Validity::days(epoch, 30)).expect("a certificate");
        let serial = Certificate::read(&issued.chain[0]).expect("readable").serial;
        let address = Ipv4Addr::new(192, 0, 2, 80).into();
        let clock = WallClock::new(epoch, Time::ZERO);
        let issued = vec![serial.clone()];
        (AuthorityServer::new(Setup { address, clock, authority, issued }), serial)
    }

    fn ask(server: &mut AuthorityServer, line: &str) -> Vec<u8> {
        let mut out = Outbox::new();
        let (local, peer) =
            (SocketAddr::new(server.setup.address, PORT), "192.0.2.9:5000".parse().expect("one"));
        let id = StreamId(1);
        server.handle(Time::ZERO, Input::Stream(id, StreamEvent::Accepted { local, peer }), &mut out);
        let request = format!("{line} HTTP/1.1\r\nHost: pki.contoso.example\r\nConnection: close\r\n\r\n");
        server.handle(Time::ZERO, Input::Stream(id, StreamEvent::Received(request.into())), &mut out);
        let written = out.take().into_iter().filter_map(|effect| match effect {
            Effect::Write(_, octets) => Some(octets.to_vec()),
            _ => None,
        });
        written.flatten().collect()
    }

    #[test]
    fn what_is_revoked_is_on_the_list_before_and_after_a_power_cut() {
        let (mut server, serial) = server();
        let mut out = Outbox::new();
        server.handle(Time::ZERO, Input::PowerOn(Disk::new()), &mut out);
        let lists = |answer: &[u8]| {
            let octets = serial.as_bytes();
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(answer));
            answer.windows(octets.len()).any(|window| window == octets)
        };
        assert!(!lists(&ask(&mut server, "GET /public-root.crl")));
        assert!(server.revoke(&serial, Time::ZERO, &mut out));
        assert!(!server.revoke(&Serial::from_be_bytes(&[1]), Time::ZERO, &mut out), "nobody's certificate");
        assert!(lists(&ask(&mut server, "GET /public-root.crl")));
        let mut disk = Disk::new();
        for effect in out.take() {
            if let Effect::Keep(_, Keep { file, write: WriteKind::Replace(octets) }) = effect {
                disk.insert(file, octets.to_vec());
            }
        }
        server.handle(Time::ZERO, Input::PowerOff, &mut out);
        server.handle(Time::ZERO, Input::PowerOn(disk), &mut out);
        assert!(lists(&ask(&mut server, "GET /public-root.crl")));
        assert!(ask(&mut server, "GET /").starts_with(b"HTTP/1.1 404"));
        assert!(ask(&mut server, "PUT /public-root.crl").starts_with(b"HTTP/1.1 405"));
    }
}
