//! The provisioning server: files for phones, and the files that phones leave behind, over HTTP.
//!
//! A phone fetches its master file (`<mac>.cfg`, else `000000000000.cfg`) and what that names, and uploads its
//! logs and overrides. Names are compared letter by letter, as on the usual server: a phone asks in small
//! letters. What was uploaded is served in place of a file of the same name. An upload is answered once it is on
//! disk.

mod path;
mod uploads;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use net::http::{HeaderValue, Limits, Method, Request, Response, ServerConnection, StatusCode, header};
use net::{Input, ListenSecurity, Node, Note, Outbox, RecordId, StreamEvent, StreamId, Time};

pub use uploads::{FILES_LIMIT, NAME_LIMIT, OCTETS_LIMIT, Upload};

use crate::events;
use path::file_name;
use uploads::{Refusal, Uploads};

/// The port of the service.
pub const PORT: u16 = 80;

/// The largest upload, in octets: a phone's log is at most a few hundred KiB.
pub const BODY_LIMIT: usize = 1 << 20;

/// The most connections at a time; further ones are closed.
const STREAMS_LIMIT: usize = 512;

/// How long a connection may go without a complete request.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// The most answers that a story can prescribe ahead.
const PRESCRIBED_LIMIT: usize = 1000;

/// What a provisioning server is told before it starts.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What people call the server.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its files by name, without a slash before: `000000000000.cfg`, `firmware/sip.ver`.
    pub files: BTreeMap<String, Bytes>,
    /// Who may fetch and upload; `None` lets everybody.
    pub login: Option<Login>,
}

/// The name and the password that phones share (HTTP Basic, RFC 7617).
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name; phones come with `PlcmSpIp`.
    pub user: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).field("password", &"•••").finish()
    }
}

/// The provisioning server of a site.
#[derive(Debug)]
pub struct ProvisioningServer {
    setup: Setup,
    uploads: Uploads,
    streams: BTreeMap<StreamId, Stream>,
    writing: BTreeMap<RecordId, Writing>,
    prescribed: VecDeque<StatusCode>,
    is_on: bool,
}

#[derive(Debug)]
struct Stream {
    peer: SocketAddr,
    http: ServerConnection,
    until: Time,
    /// A request waits for the disk.
    is_waiting: bool,
    /// What arrived while it waits, in octets.
    held: usize,
}

/// An upload on its way to the disk.
#[derive(Debug)]
struct Writing {
    stream: StreamId,
    name: String,
    octets: usize,
    is_new: bool,
}

/// What becomes of a request.
enum Verdict {
    Answer { response: Response<Bytes>, event: &'static str, why: String },
    Wait(RecordId, Writing),
}

impl ProvisioningServer {
    /// A server that is still without power.
    pub fn new(setup: Setup) -> ProvisioningServer {
        ProvisioningServer {
            setup,
            uploads: Uploads::default(),
            streams: BTreeMap::new(),
            writing: BTreeMap::new(),
            prescribed: VecDeque::new(),
            is_on: false,
        }
    }

    /// What people call the server.
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// Puts a file there, in place of one of the same name.
    pub fn put_file(&mut self, name: &str, contents: impl Into<Bytes>) {
        self.setup.files.insert(name.to_owned(), contents.into());
    }

    /// Takes a file away; whether it was there. What phones uploaded stays.
    pub fn remove_file(&mut self, name: &str) -> bool {
        self.setup.files.remove(name).is_some()
    }

    /// A file that a phone left behind, once it is on disk.
    pub fn upload(&self, name: &str) -> Option<&Upload> {
        self.uploads.find(name)
    }

    /// Every file that phones left behind, by name.
    pub fn uploads(&self) -> impl Iterator<Item = (&str, &Upload)> {
        self.uploads.iter()
    }

    /// Answers the next `count` requests, whatever they are, with `status` and nothing else.
    pub fn answer_next(&mut self, count: usize, status: StatusCode) {
        let room = PRESCRIBED_LIMIT.saturating_sub(self.prescribed.len());
        self.prescribed.extend(std::iter::repeat_n(status, count.min(room)));
    }

    /// Asks for this login from now on, or for none.
    pub fn set_login(&mut self, login: Option<Login>) {
        self.setup.login = login;
    }

    fn stream(&mut self, id: StreamId, event: StreamEvent, now: Time, out: &mut Outbox) {
        match event {
            StreamEvent::Accepted { peer, .. } if self.streams.len() < STREAMS_LIMIT => {
                let http = ServerConnection::new(Limits { body: BODY_LIMIT, ..Limits::default() });
                let until = now + IDLE_LIMIT;
                self.streams.insert(id, Stream { peer, http, until, is_waiting: false, held: 0 });
            }
            StreamEvent::Accepted { .. } => out.close(id),
            StreamEvent::Received(bytes) => {
                let Some(stream) = self.streams.get_mut(&id) else { return };
                if stream.is_waiting {
                    stream.held += bytes.len();
                }
                // Who sends on and on without waiting for its answer gets none.
                if stream.held > BODY_LIMIT {
                    self.streams.remove(&id);
                    out.close(id);
                    return;
                }
                stream.http.receive(&bytes);
                self.serve(id, now, out);
            }
            StreamEvent::Closed(_) => {
                self.streams.remove(&id);
            }
            StreamEvent::Opened { .. } => {}
        }
    }

    /// Answers what is complete on a stream, and writes out what there is.
    fn serve(&mut self, id: StreamId, now: Time, out: &mut Outbox) {
        loop {
            let Some(stream) = self.streams.get_mut(&id) else { return };
            let request = if stream.is_waiting { None } else { stream.http.take_request() };
            let Some(request) = request else { break };
            stream.until = now + IDLE_LIMIT;
            let peer = stream.peer;
            let line = format!("{} {}", request.method(), request.uri().path().escape_debug());
            out.note(Note::received(peer, line));
            match self.judge(id, &request, now, out) {
                Verdict::Wait(record, writing) => {
                    self.writing.insert(record, writing);
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.is_waiting = true;
                    }
                }
                Verdict::Answer { response, event, why } => {
                    let of = request.uri().path().trim_start_matches('/').escape_debug().to_string();
                    self.answer(id, response, (event, of, why), out);
                }
            }
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            out.write(id, stream.http.take_output());
            if stream.http.is_done() {
                self.streams.remove(&id);
                out.close(id);
            }
        }
    }

    fn answer(
        &mut self,
        id: StreamId,
        response: Response<Bytes>,
        event: (&'static str, String, String),
        out: &mut Outbox,
    ) {
        let (name, of, why) = event;
        if let Some(stream) = self.streams.get_mut(&id) {
            let status = response.status();
            out.note(Note::sent(stream.peer, format!("{} {why}", status.as_u16())));
            stream.http.answer(response);
        }
        out.note(Note::event(name, of, why));
    }

    fn judge(&mut self, id: StreamId, request: &Request<Bytes>, now: Time, out: &mut Outbox) -> Verdict {
        if let Some(status) = self.prescribed.pop_front() {
            return refuse(status, "as the story wants it");
        }
        if !self.is_allowed(request) {
            let mut verdict = refuse(StatusCode::UNAUTHORIZED, "no or wrong credentials");
            if let Verdict::Answer { response, .. } = &mut verdict {
                let asks = HeaderValue::from_static("Basic realm=\"Provisioning\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, asks);
            }
            return verdict;
        }
        let name = match file_name(request.uri().path()) {
            Ok(name) => name,
            Err(why) => return refuse(StatusCode::FORBIDDEN, why),
        };
        match *request.method() {
            Method::GET | Method::HEAD => self.fetch(&name),
            Method::PUT | Method::POST => self.take(id, &name, request.body(), now, out),
            _ => {
                let mut verdict = refuse(StatusCode::METHOD_NOT_ALLOWED, "no such method");
                if let Verdict::Answer { response, .. } = &mut verdict {
                    let list = HeaderValue::from_static("GET, HEAD, PUT, POST");
                    response.headers_mut().insert(header::ALLOW, list);
                }
                verdict
            }
        }
    }

    fn is_allowed(&self, request: &Request<Bytes>) -> bool {
        let Some(login) = &self.setup.login else { return true };
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, token)) = given.and_then(|value| value.split_once(' ')) else { return false };
        let wanted = format!("{}:{}", login.user, login.password);
        scheme.eq_ignore_ascii_case("Basic")
            && STANDARD.decode(token.trim()).is_ok_and(|given| is_same(&given, wanted.as_bytes()))
    }

    fn fetch(&self, name: &str) -> Verdict {
        let contents = match self.uploads.find(name) {
            Some(upload) => Some(&upload.contents),
            None => self.setup.files.get(name),
        };
        let Some(contents) = contents else {
            let response = text(StatusCode::NOT_FOUND, "There is no such file here.\n");
            return Verdict::Answer { response, event: events::FILE_MISSING, why: "no such file".to_owned() };
        };
        let why = format!("{} octets", contents.len());
        let mut response = Response::new(contents.clone());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
        // Said aloud because an answer to HEAD has no body to count.
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(contents.len()));
        Verdict::Answer { response, event: events::FILE_SERVED, why }
    }

    fn take(&mut self, id: StreamId, name: &str, body: &Bytes, now: Time, out: &mut Outbox) -> Verdict {
        let is_new = self.uploads.find(name).is_none();
        match self.uploads.put(name, body.clone(), now, out) {
            Ok(record) => {
                let (name, octets) = (name.to_owned(), body.len());
                Verdict::Wait(record, Writing { stream: id, name, octets, is_new })
            }
            Err(Refusal::Name) => refuse(StatusCode::FORBIDDEN, "phones leave no such files"),
            Err(Refusal::Full) => refuse(StatusCode::INSUFFICIENT_STORAGE, "no room"),
            Err(Refusal::Busy) => {
                let mut verdict = refuse(StatusCode::SERVICE_UNAVAILABLE, "being written at this moment");
                if let Verdict::Answer { response, .. } = &mut verdict {
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                }
                verdict
            }
        }
    }

    fn kept(&mut self, id: RecordId, now: Time, out: &mut Outbox) {
        let Some(writing) = self.writing.remove(&id) else { return };
        self.uploads.kept(&writing.name, id);
        if let Some(stream) = self.streams.get_mut(&writing.stream) {
            stream.is_waiting = false;
            stream.held = 0;
            stream.until = now + IDLE_LIMIT;
        }
        let status = if writing.is_new { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = status;
        let event = (events::FILE_UPLOADED, writing.name, format!("{} octets", writing.octets));
        self.answer(writing.stream, response, event, out);
        self.serve(writing.stream, now, out);
    }
}

impl Node for ProvisioningServer {
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
        match input {
            Input::PowerOn(disk) => {
                self.streams.clear();
                self.writing.clear();
                self.uploads = Uploads::recover(&disk, now);
                self.is_on = true;
                out.address(Some(self.setup.address));
                out.listen(PORT, ListenSecurity::Tcp);
            }
            Input::PowerOff => {
                self.is_on = false;
                self.streams.clear();
            }
            Input::Stream(id, event) if self.is_on => self.stream(id, event, now, out),
            Input::Kept(id) if self.is_on => self.kept(id, now, out),
            Input::Woken if self.is_on => {
                let late = self.streams.iter().filter(|(_, stream)| stream.until <= now);
                for id in late.map(|(id, _)| *id).collect::<Vec<_>>() {
                    self.streams.remove(&id);
                    out.close(id);
                }
            }
            Input::Stream(..) | Input::Kept(_) | Input::Woken | Input::Datagram(_) => {}
        }
    }

    fn wake_at(&self) -> Option<Time> {
        self.streams.values().map(|stream| stream.until).min()
    }
}

fn refuse(status: StatusCode, why: &str) -> Verdict {
    let response = text(status, &format!("{status}: {why}.\n"));
    Verdict::Answer { response, event: events::FILE_REFUSED, why: why.to_owned() }
}

fn text(status: StatusCode, body: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_owned()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "cfg" | "xml")) => "text/xml",
        Some((_, "log" | "ver" | "txt")) => "text/plain",
        _ => "application/octet-stream",
    }
}

/// Compares without telling by its time how much was right.
fn is_same(given: &[u8], wanted: &[u8]) -> bool {
    let differs = given.iter().zip(wanted).fold(0, |differs, (a, b)| differs | (a ^ b));
    given.len() == wanted.len() && differs == 0
}
