//! A service under test: its node, its disk, and strangers who connect to it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use identity::{Account, Identity, Kind, Profile, Role, SecondFactor, Setup, SigningKeys, Tenant};
use net::http::{ClientConnection, Limits, Request, Response, StatusCode};
use net::tls::{Credentials, ServerTls};
use net::{
    Closed, Crypto, Disk, Effect, Input, Node as _, Note, Outbox, Random, StreamEvent, StreamId, Time, Wall,
    WallClock, WriteKind,
};
use serde_json::Value;

/// The phone's application and the resource it wants.
pub const PHONE: &str = identity::setup::PHONE_APPLICATION;
pub const SYSTEM: &str = identity::setup::PHONE_SYSTEM;
pub const TENANT: &str = "6f1c4c5e-0d2b-4a63-9b5d-0a1b2c3d4e5f";
pub const SEED: &[u8] = b"12345678901234567890";
pub const ALICE: &str = "alice@contoso.example";
pub const BOB: &str = "bob@contoso.example";
pub const ADMIN: &str = "admin@contoso.example";
pub const LOBBY: &str = "lobby@contoso.example";

static KEYS: LazyLock<SigningKeys> =
    LazyLock::new(|| SigningKeys::generate(&mut Random::named(1, "signing keys")));

pub struct Lab {
    pub node: Identity,
    pub now: Time,
    pub disk: Disk,
    pub notes: Vec<Note>,
    pub epoch: Wall,
    out: Outbox,
    /// Bytes that the service wrote, and streams that it closed.
    written: BTreeMap<StreamId, Vec<u8>>,
    pub closed: Vec<StreamId>,
    pub holds_disk: bool,
    waiting: Vec<net::RecordId>,
}

pub fn totp() -> SecondFactor {
    SecondFactor::Totp { secret: SEED.into() }
}

pub fn setup(profile: Profile) -> Setup {
    let mut random = Random::named(7, "identity");
    let key = Crypto::Seeded.p256_key(&mut random);
    let tls = Arc::new(ServerTls::new(Credentials { chain: Vec::new(), key }));
    let epoch = Wall::parse("2018-10-09T09:00:00Z").unwrap();
    let tenant =
        Tenant { id: TENANT.into(), display_name: "Contoso".into(), domains: vec!["contoso.example".into()] };
    let mut setup = Setup::new(
        "identity",
        "login.contoso.example",
        "192.0.2.10".parse().unwrap(),
        WallClock::new(epoch, Time::ZERO),
        random,
        tls,
        KEYS.clone(),
        tenant,
    );
    setup.profile = profile;
    setup.password_grant = true;
    setup.accounts = vec![
        Account { second_factor: totp(), ..Account::person(ALICE, "Alice Adams", "alice-password") },
        Account::person(BOB, "Bob Brown", "bob-password"),
        Account { role: Role::Administrator, ..Account::person(ADMIN, "Ada Admin", "admin-password") },
        Account::common_area(LOBBY, "Lobby Phone", "lobby-password"),
        Account {
            synced: true,
            kind: Kind::CommonArea,
            ..Account::person("synced@contoso.example", "Synced Room", "x")
        },
        Account {
            licensed: false,
            kind: Kind::CommonArea,
            ..Account::person("bare@contoso.example", "Bare Room", "x")
        },
    ];
    setup
}

impl Lab {
    pub fn new(profile: Profile) -> Lab {
        Lab::with(setup(profile))
    }

    pub fn with(setup: Setup) -> Lab {
        let epoch = setup.clock.read(Time::ZERO);
        let mut lab = Lab {
            node: Identity::new(setup).expect("a good setup"),
            now: Time::ZERO,
            disk: Disk::new(),
            notes: Vec::new(),
            epoch,
            out: Outbox::new(),
            written: BTreeMap::new(),
            closed: Vec::new(),
            holds_disk: false,
            waiting: Vec::new(),
        };
        lab.input(Input::PowerOn(Disk::new()));
        lab
    }

    pub fn input(&mut self, input: Input) {
        self.node.handle(self.now, input, &mut self.out);
        self.carry();
    }

    pub fn power_cycle(&mut self) {
        self.input(Input::PowerOff);
        let disk = self.disk.clone();
        self.input(Input::PowerOn(disk));
    }

    /// An administrator's verb.
    pub fn act<R>(&mut self, verb: impl FnOnce(&mut Identity, Time, &mut Outbox) -> R) -> R {
        let result = verb(&mut self.node, self.now, &mut self.out);
        self.carry();
        result
    }

    /// Lets time pass; the node is woken when it wants to be.
    pub fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.node.wake_at().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Woken);
            if self.node.wake_at() == Some(at) {
                panic!("woken at {at}, wants to be woken at {at} again");
            }
        }
        self.now = end;
    }

    pub fn secs(&mut self, secs: u64) {
        self.wait(Duration::from_secs(secs));
    }

    pub fn unix(&self) -> i64 {
        self.epoch.plus(self.now.since_start()).unix_secs()
    }

    fn carry(&mut self) {
        loop {
            let effects = self.out.take();
            if effects.is_empty() {
                break;
            }
            let mut kept = Vec::new();
            for effect in effects {
                match effect {
                    Effect::Write(stream, bytes) => self.written.entry(stream).or_default().extend(bytes),
                    Effect::Close(stream) => self.closed.push(stream),
                    Effect::Note(note) => self.notes.push(note),
                    Effect::Keep(id, keep) => {
                        let file = self.disk.entry(keep.file).or_default();
                        match keep.write {
                            WriteKind::Append(bytes) => file.extend(bytes),
                            WriteKind::Replace(bytes) => *file = bytes.to_vec(),
                        }
                        kept.push(id);
                    }
                    Effect::Listen(_) | Effect::Address(_) => {}
                    other => panic!("an identity service does not do this: {other:?}"),
                }
            }
            if self.holds_disk {
                self.waiting.extend(kept);
                continue;
            }
            for id in kept {
                self.node.handle(self.now, Input::Kept(id), &mut self.out);
            }
        }
    }

    /// The disk catches up.
    pub fn release_disk(&mut self) {
        self.holds_disk = false;
        for id in std::mem::take(&mut self.waiting) {
            self.input(Input::Kept(id));
        }
    }

    pub fn connect(&mut self, peer: &str, port: u16) -> StreamId {
        let stream = self.out.fresh_stream();
        let local = SocketAddr::new("192.0.2.10".parse().unwrap(), port);
        let peer = SocketAddr::new(peer.parse::<IpAddr>().unwrap(), 40_000);
        self.input(Input::Stream(stream, StreamEvent::Accepted { local, peer }));
        stream
    }

    pub fn send(&mut self, stream: StreamId, bytes: &[u8]) {
        self.input(Input::Stream(stream, StreamEvent::Received(Bytes::copy_from_slice(bytes))));
    }

    pub fn written(&mut self, stream: StreamId) -> Vec<u8> {
        self.written.remove(&stream).unwrap_or_default()
    }

    pub fn close(&mut self, stream: StreamId) {
        self.input(Input::Stream(stream, StreamEvent::Closed(Closed::ByPeer)));
    }

    /// One request on a connection of its own.
    pub fn ask(&mut self, peer: &str, request: Request<Bytes>) -> Response<Bytes> {
        self.ask_at(443, peer, request)
    }

    pub fn ask_at(&mut self, port: u16, peer: &str, request: Request<Bytes>) -> Response<Bytes> {
        let stream = self.connect(peer, port);
        let mut client = ClientConnection::new(Limits { body: 1 << 20, ..Limits::default() });
        client.ask(request);
        let up = client.take_output();
        self.send(stream, &up);
        let down = self.written(stream);
        client.receive(&down);
        let answer = client.take_answer().expect("an answer").expect("a good one");
        self.close(stream);
        answer
    }

    pub fn get(&mut self, path: &str) -> Response<Bytes> {
        self.ask("10.20.2.5", get(path))
    }

    /// A form posted by a program.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, Value) {
        let answer = self.ask("10.20.2.5", post(path, fields));
        let json = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
        (answer.status(), json)
    }

    /// The events since the last look, as `name of: text`.
    pub fn events(&mut self) -> Vec<String> {
        let notes = std::mem::take(&mut self.notes);
        notes
            .into_iter()
            .filter_map(|note| match note {
                Note::Event { name, of, text } => Some(format!("{name} {of}: {text}")),
                _ => None,
            })
            .collect()
    }

    pub fn has_event(&self, wanted: &str) -> bool {
        self.notes.iter().any(|note| matches!(note, Note::Event { name, .. } if *name == wanted))
    }

    // What a phone does.

    /// Asks for a device code as a version 1 phone does; gives back (device code, user code).
    pub fn device_code(&mut self) -> (String, String) {
        let fields = [("client_id", PHONE), ("resource", SYSTEM)];
        let (status, json) = self.post("/common/oauth2/devicecode?api-version=1.0", &fields);
        assert_eq!(status, 200, "{json}");
        (text(&json["device_code"]), text(&json["user_code"]))
    }

    pub fn poll(&mut self, device_code: &str) -> (StatusCode, Value) {
        let fields = [
            ("grant_type", "device_code"),
            ("code", device_code),
            ("client_id", PHONE),
            ("resource", SYSTEM),
        ];
        self.post("/common/oauth2/token", &fields)
    }

    pub fn refresh(&mut self, token: &str) -> (StatusCode, Value) {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", PHONE)];
        self.post("/common/oauth2/token", &fields)
    }

    pub fn password(&mut self, upn: &str, password: &str) -> (StatusCode, Value) {
        let fields = [
            ("grant_type", "password"),
            ("username", upn),
            ("password", password),
            ("client_id", PHONE),
            ("resource", SYSTEM),
        ];
        self.post("/contoso.example/oauth2/token", &fields)
    }
}

pub fn get(path: &str) -> Request<Bytes> {
    Request::get(path).header("host", "login.contoso.example").body(Bytes::new()).unwrap()
}

pub fn post(path: &str, fields: &[(&str, &str)]) -> Request<Bytes> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    Request::post(path)
        .header("host", "login.contoso.example")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.into())
        .unwrap()
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

/// The first error number of an answer.
pub fn number((status, json): &(StatusCode, Value)) -> u64 {
    assert!(!status.is_success(), "{json}");
    json["error_codes"][0].as_u64().unwrap_or_else(|| panic!("no error number: {json}"))
}

/// What the person's app shows at a moment (RFC 6238).
pub fn digits(unix: i64) -> String {
    let machine = totp_rs::Builder::new().with_secret(SEED).build().unwrap();
    machine.generate(unix as u64).to_string()
}
