//! A pool, the network around it, and an identity service that publishes keys, all on a string.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use net::http::{ClientConnection, Limits, Method, Request, Response, ServerConnection};
use net::tls::ServerTls;
use net::{
    Closed, Crypto, Disk, Effect, Input, Node, Note, Outbox, Random, RecordId, StreamEvent, StreamId, Time,
    Wall, WallClock, WriteKind,
};
use pki::{Authority, Validity};
use registrar::{Account, IdentityService, PasswordCost, PasswordHash, PhonePolicy, Registrar, Setup};

use crate::identity;

/// What the pool's clock reads when the lab opens: 2026-01-05T10:00:00Z.
pub const EPOCH: Wall = Wall::from_unix_secs(1_767_607_200);
pub const HOST: &str = "fe.contoso.example";

/// How the identity service behaves.
#[derive(Clone, Debug)]
pub enum Identity {
    /// It publishes this.
    Publishes(String),
    /// It takes the connection and says nothing.
    Silent,
    /// Nobody listens.
    Refuses,
}

pub struct Pool {
    pub registrar: Registrar,
    pub now: Time,
    pub notes: Vec<Note>,
    pub identity: Identity,
    /// How often the identity service was dialled.
    pub dials: usize,
    pub disk: Disk,
    /// While set, nothing reaches the disk.
    pub is_disk_stuck: bool,
    pub closed: BTreeSet<StreamId>,
    pub received: BTreeMap<StreamId, Vec<u8>>,
    stuck: Vec<(RecordId, net::Keep)>,
    identity_ends: BTreeMap<StreamId, ServerConnection>,
    out: Outbox,
    next_stream: u64,
}

fn peer() -> SocketAddr {
    "10.20.2.1:40000".parse().unwrap()
}

/// Hashed once for all tests.
static PASSWORD: LazyLock<PasswordHash> =
    LazyLock::new(|| PasswordHash::new("Passw0rd!", PasswordCost::Light, &mut Random::named(1, "salt")));

pub fn setup() -> Setup {
    let mut random = Random::named(7, "fe");
    let ten_years = Duration::from_secs(10 * 365 * 86_400);
    let mut authority = Authority::new(
        "Contoso Pool Root",
        Crypto::Seeded,
        &mut random,
        EPOCH.minus(Duration::from_secs(86_400)),
        ten_years,
    );
    let names = [HOST.to_owned(), "lyncdiscover.contoso.example".to_owned()];
    let credentials = authority.issue_server(&names, Validity::days(EPOCH, 365)).unwrap();
    let mut alice = Account::new("alice@contoso.example", "Alice");
    alice.password = Some(PASSWORD.clone());
    let mut bob = Account::new("bob@contoso.example", "Bob");
    bob.password = Some(PASSWORD.clone());
    bob.policy = PhonePolicy::default();
    let mut moved = Account::new("carol@contoso.example", "Carol");
    moved.home = registrar::Home::Pool("fe2.contoso.example".to_owned());
    let trust = authority.trust();
    let clock = WallClock::new(EPOCH, Time::ZERO);
    let (address, tls) = ("192.0.2.20".parse().unwrap(), Arc::new(ServerTls::new(credentials)));
    let mut setup = Setup::new("fe", HOST, address, clock, random.fork("pool"), tls, authority);
    setup.identity = Some(IdentityService {
        host: "login.contoso.example".to_owned(),
        address: "192.0.2.10".parse().unwrap(),
        port: 443,
        keys_path: "/common/discovery/keys".to_owned(),
        issuers: vec![identity::ISSUER.to_owned()],
        audiences: vec![identity::AUDIENCE.to_owned()],
        trust,
    });
    setup.modern_auth = Some("https://login.contoso.example/common/oauth2/authorize".to_owned());
    setup.accounts = vec![alice, bob, moved];
    setup
}

impl Pool {
    pub fn new() -> Pool {
        Pool::of(setup())
    }

    pub fn of(setup: Setup) -> Pool {
        let mut pool = Pool {
            registrar: Registrar::new(setup),
            now: Time::from_secs(1),
            notes: Vec::new(),
            identity: Identity::Publishes(identity::published(&[&identity::KEY])),
            dials: 0,
            disk: Disk::new(),
            is_disk_stuck: false,
            closed: BTreeSet::new(),
            received: BTreeMap::new(),
            stuck: Vec::new(),
            identity_ends: BTreeMap::new(),
            out: Outbox::new(),
            next_stream: 1_000_000,
        };
        pool.power_on();
        pool
    }

    pub fn power_on(&mut self) {
        let disk = self.disk.clone();
        self.give(Input::PowerOn(disk));
    }

    /// Cuts the power; what has not reached the disk is lost.
    pub fn power_cut(&mut self) {
        self.stuck.clear();
        self.give(Input::PowerOff);
        self.is_disk_stuck = false;
        self.power_on();
    }

    pub fn wall(&self) -> Wall {
        WallClock::new(EPOCH, Time::ZERO).read(self.now)
    }

    /// An administrator's act.
    pub fn act<R>(&mut self, verb: impl FnOnce(&mut Registrar, Time, &mut Outbox) -> R) -> R {
        let result = verb(&mut self.registrar, self.now, &mut self.out);
        self.settle();
        result
    }

    /// Lets time pass, waking the pool whenever it wants.
    pub fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.registrar.wake_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.give(Input::Woken);
        }
        self.now = until;
    }

    pub fn give(&mut self, input: Input) {
        self.registrar.handle(self.now, input, &mut self.out);
        self.settle();
    }

    /// The disk works again.
    pub fn unstick(&mut self) {
        self.is_disk_stuck = false;
        for (id, keep) in std::mem::take(&mut self.stuck) {
            self.keep(id, keep);
        }
        self.settle();
    }

    fn keep(&mut self, id: RecordId, keep: net::Keep) {
        let file = self.disk.entry(keep.file).or_default();
        match keep.write {
            WriteKind::Append(bytes) => file.extend_from_slice(&bytes),
            WriteKind::Replace(bytes) => *file = bytes.to_vec(),
        }
        self.registrar.handle(self.now, Input::Kept(id), &mut self.out);
    }

    fn settle(&mut self) {
        loop {
            let effects = self.out.take();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.carry(effect);
            }
        }
    }

    fn carry(&mut self, effect: Effect) {
        match effect {
            Effect::Write(stream, bytes) if self.identity_ends.contains_key(&stream) => {
                self.at_identity(stream, &bytes);
            }
            Effect::Write(stream, bytes) => {
                self.received.entry(stream).or_default().extend_from_slice(&bytes);
            }
            Effect::Close(stream) => {
                self.closed.insert(stream);
            }
            Effect::Open(stream, dial) => {
                self.dials += 1;
                assert_eq!(dial.to, "192.0.2.10:443".parse().unwrap());
                let event = match self.identity {
                    Identity::Refuses => StreamEvent::Closed(Closed::Refused),
                    Identity::Silent | Identity::Publishes(_) => {
                        self.identity_ends.insert(stream, ServerConnection::new(Limits::default()));
                        StreamEvent::Opened { local: peer(), peer: dial.to }
                    }
                };
                self.registrar.handle(self.now, Input::Stream(stream, event), &mut self.out);
            }
            Effect::Keep(id, keep) if self.is_disk_stuck => self.stuck.push((id, keep)),
            Effect::Keep(id, keep) => self.keep(id, keep),
            Effect::Note(note) => self.notes.push(note),
            Effect::Send(_) | Effect::Listen(_) | Effect::Unlisten(..) | Effect::Address(_) => {}
        }
    }

    fn at_identity(&mut self, stream: StreamId, bytes: &[u8]) {
        let Identity::Publishes(keys) = self.identity.clone() else { return };
        let end = self.identity_ends.get_mut(&stream).unwrap();
        end.receive(bytes);
        let Some(request) = end.take_request() else { return };
        assert_eq!(request.uri().path(), "/common/discovery/keys");
        assert_eq!(request.headers()["host"], "login.contoso.example");
        end.answer(Response::new(Bytes::from(keys)));
        let answer = end.take_output();
        self.registrar.handle(self.now, Input::Stream(stream, StreamEvent::Received(answer)), &mut self.out);
    }

    /// Connects to a port and says how the stream is called.
    pub fn connect(&mut self, port: u16) -> StreamId {
        self.connect_from(peer(), port)
    }

    pub fn connect_from(&mut self, peer: SocketAddr, port: u16) -> StreamId {
        self.next_stream += 1;
        let stream = StreamId(self.next_stream);
        let local = SocketAddr::new("192.0.2.20".parse().unwrap(), port);
        self.give(Input::Stream(stream, StreamEvent::Accepted { local, peer }));
        stream
    }

    /// Sends bytes on a stream.
    pub fn send(&mut self, stream: StreamId, bytes: &[u8]) {
        self.give(Input::Stream(stream, StreamEvent::Received(Bytes::copy_from_slice(bytes))));
    }

    /// Begins an exchange on a connection of its own; [`Asking::answer`] tells what came.
    pub fn begin(&mut self, port: u16, request: Request<Bytes>) -> Asking {
        self.begin_from(peer(), port, request)
    }

    pub fn ask_from(&mut self, peer: SocketAddr, port: u16, request: Request<Bytes>) -> Response<Bytes> {
        let mut asking = self.begin_from(peer, port, request);
        asking.answer(self).expect("an answer at once")
    }

    fn begin_from(&mut self, peer: SocketAddr, port: u16, request: Request<Bytes>) -> Asking {
        let stream = self.connect_from(peer, port);
        let mut http = ClientConnection::new(Limits::default());
        http.ask(request);
        let bytes = http.take_output();
        self.send(stream, &bytes);
        Asking { stream, http }
    }

    /// Asks and takes the answer, which must come at once.
    pub fn ask(&mut self, port: u16, request: Request<Bytes>) -> Response<Bytes> {
        let mut asking = self.begin(port, request);
        asking.answer(self).expect("an answer at once")
    }

    pub fn get(&mut self, port: u16, url: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
        self.ask(port, request(Method::GET, url, headers, ""))
    }

    pub fn post(&mut self, port: u16, url: &str, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
        self.ask(port, request(Method::POST, url, headers, body))
    }

    /// The events so far, as `name of text`.
    pub fn events(&self) -> Vec<String> {
        let events = self.notes.iter().filter_map(|note| match note {
            Note::Event { name, of, text } => Some(format!("{name} {of} {text}")),
            _ => None,
        });
        events.collect()
    }
}

/// A request to a URL or a path.
pub fn request(method: Method, url: &str, headers: &[(&str, &str)], body: &str) -> Request<Bytes> {
    let (host, path) = match url.split_once("://") {
        Some((_, rest)) => {
            let slash = rest.find('/').expect("a path");
            (&rest[..slash], &rest[slash..])
        }
        None => (HOST, url),
    };
    let mut builder = Request::builder().method(method).uri(path).header("host", host);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Bytes::from(body.to_owned())).unwrap()
}

/// An exchange under way.
pub struct Asking {
    pub stream: StreamId,
    http: ClientConnection,
}

impl Asking {
    pub fn answer(&mut self, pool: &mut Pool) -> Option<Response<Bytes>> {
        let bytes = pool.received.remove(&self.stream).unwrap_or_default();
        self.http.receive(&bytes);
        self.http.take_answer().map(|answer| answer.expect("a good answer"))
    }
}

/// The value of a header that must be there once.
pub fn header<'a>(answer: &'a Response<Bytes>, name: &str) -> &'a str {
    let mut values = answer.headers().get_all(name).iter();
    let value = values.next().unwrap_or_else(|| panic!("no {name} in {answer:?}"));
    assert!(values.next().is_none(), "{name} twice");
    value.to_str().unwrap()
}

pub fn body(answer: &Response<Bytes>) -> &str {
    std::str::from_utf8(answer.body()).unwrap()
}
