//! A pool in the cloud, a phone in the office, and what the test has them do.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use net::sim::LinkModel;
use net::tls::{ClientTls, Credentials, NameCheck, ServerTls, Trust};
use net::{
    Crypto, Dial, Disk, Effect, Input, Node, NodeId, Outbox, Random, Security, Sim, Step, StreamEvent,
    StreamId, Time, Wall, WallClock, World, WriteKind,
};
use pki::{Authority, CertificateRequest, Holder, Validity};
use registrar::published::{Certificate, Published};
use registrar::{Account, Registrar, Setup};
use sip::association::{Checked, Parameters};
use sip::auth::Auth;
use sip::tls_dsk::{self, Initiator, Reply};
use sip::{Draft, Frame, Framer, Message, SecurityAssociation};

pub const ALICE: &str = "alice@contoso.example";
const HOST: &str = "fe.contoso.example";
const EPID: &str = "d8d053f0ae7f";
const EPOCH: Wall = Wall::from_unix_secs(1_539_075_600);

pub enum Actor {
    Pool(Box<Registrar>),
    Phone(Phone),
}

impl Node for Actor {
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
        match self {
            Actor::Pool(pool) => pool.handle(now, input, out),
            Actor::Phone(phone) => phone.handle(input, out),
        }
    }

    fn wake_at(&self) -> Option<Time> {
        match self {
            Actor::Pool(pool) => pool.wake_at(),
            Actor::Phone(_) => None,
        }
    }
}

/// Holds one connection to the pool and hears what comes over it.
pub struct Phone {
    stream: Option<StreamId>,
    is_up: bool,
    framer: Framer,
    heard: VecDeque<Message>,
}

impl Phone {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::PowerOn(_) => out.address(Some("10.20.2.1".parse().unwrap())),
            Input::Stream(stream, event) if Some(stream) == self.stream => match event {
                StreamEvent::Opened { .. } => self.is_up = true,
                StreamEvent::Received(octets) => {
                    self.framer.push(&octets);
                    while let Some(frame) = self.framer.next() {
                        if let Frame::Message(octets) = frame.unwrap() {
                            self.heard.push_back(Message::parse(octets).unwrap());
                        }
                    }
                }
                StreamEvent::Closed(_) => (self.stream, self.is_up) = (None, false),
                StreamEvent::Accepted { .. } => {}
            },
            _ => {}
        }
    }
}

pub struct Stage {
    pub sim: Sim<Actor>,
    pub pool: NodeId,
    pub phone: NodeId,
    trust: Trust,
    credentials: Credentials,
    keys: Option<SecurityAssociation>,
    cseq: u32,
    random: Random,
}

impl Stage {
    /// A pool at which Alice's certificate is already published.
    pub fn new(seed: u64) -> Stage {
        let mut random = Random::named(seed, "stage");
        let life = Duration::from_secs(10 * 365 * 86_400);
        let before = EPOCH.minus(Duration::from_secs(86_400));
        let mut authority = Authority::new("Contoso Pool Root", Crypto::Seeded, &mut random, before, life);
        let server = authority.issue_server(&[HOST.to_owned()], Validity::days(EPOCH, 365)).unwrap();
        let key = Crypto::Seeded.p256_key(&mut random);
        let request = CertificateRequest::parse(&pki::make_request(&key, ALICE).unwrap()).unwrap();
        let der = authority.issue_user(&request, &Holder::new(ALICE), Validity::days(EPOCH, 180)).unwrap();
        let trust = authority.trust();
        let clock = WallClock::new(EPOCH, Time::ZERO);
        let (address, tls) = ("192.0.2.20".parse().unwrap(), Arc::new(ServerTls::new(server)));
        let mut setup = Setup::new("fe", HOST, address, clock, random.fork("pool"), tls, authority);
        setup.accounts = vec![Account::new(ALICE, "Alice")];
        let mut sim = Sim::new(seed);
        let delay = LinkModel { delay: Duration::from_millis(10), ..LinkModel::default() };
        let office = sim.add_segment("office", delay);
        let cloud = sim.add_segment("cloud", LinkModel::default());
        let pool = sim.add_node("fe", Actor::Pool(Box::new(Registrar::new(setup))), cloud);
        let phone =
            Phone { stream: None, is_up: false, framer: Framer::for_client(), heard: VecDeque::new() };
        let phone = sim.add_node("desk", Actor::Phone(phone), office);
        sim.put_disk(pool, disk_with(&der));
        sim.power_on(pool);
        sim.power_on(phone);
        let credentials = Credentials { chain: vec![der], key };
        Stage { sim, pool, phone, trust, credentials, keys: None, cseq: 0, random }
    }

    pub fn registrar(&self) -> &Registrar {
        match self.sim.look(self.pool) {
            Actor::Pool(pool) => pool,
            Actor::Phone(_) => unreachable!("the pool is a pool"),
        }
    }

    pub fn administer<R>(&mut self, verb: impl FnOnce(&mut Registrar, Time, &mut Outbox) -> R) -> R {
        self.sim.act(self.pool, |actor, now, out| match actor {
            Actor::Pool(pool) => verb(pool, now, out),
            Actor::Phone(_) => unreachable!("the pool is a pool"),
        })
    }

    pub fn pass(&mut self, span: Duration) {
        let until = self.sim.now() + span;
        while self.sim.step(until) == Step::Happened {}
    }

    /// The next message that reaches the phone within ten seconds; what can be checked is checked.
    pub fn hear(&mut self) -> Option<Message> {
        let until = self.sim.now() + Duration::from_secs(10);
        loop {
            if let Some(message) = self.with_phone(|phone, _| phone.heard.pop_front()) {
                if let Some(keys) = &mut self.keys
                    && message.status() != Some(401)
                {
                    assert_eq!(keys.check(&message), Ok(Checked::Signed), "{message:?}");
                }
                return Some(message);
            }
            if self.sim.step(until) == Step::Quiet {
                return None;
            }
        }
    }

    fn with_phone<R>(&mut self, verb: impl FnOnce(&mut Phone, &mut Outbox) -> R) -> R {
        self.sim.act(self.phone, |actor, _, out| match actor {
            Actor::Phone(phone) => verb(phone, out),
            Actor::Pool(_) => unreachable!("the phone is a phone"),
        })
    }

    /// A fresh connection, on which nothing has been proved.
    fn connect(&mut self) {
        self.keys = None;
        let tls = ClientTls {
            server_name: HOST.to_owned(),
            trust: self.trust.clone(),
            clock: WallClock::new(EPOCH, Time::ZERO),
            names: NameCheck::Strict,
        };
        self.with_phone(|phone, out| {
            phone.stream.take().into_iter().for_each(|stream| out.close(stream));
            let dial = Dial { to: "192.0.2.20:5061".parse().unwrap(), security: Security::Tls(tls) };
            phone.stream = Some(out.open(dial));
            phone.framer = Framer::for_client();
            phone.heard.clear();
            phone.is_up = false;
        });
        let until = self.sim.now() + Duration::from_secs(10);
        while !self.with_phone(|phone, _| phone.is_up) {
            assert_eq!(self.sim.step(until), Step::Happened, "the pool takes connections");
        }
    }

    fn ask(&mut self, draft: &Draft) -> Option<Message> {
        let octets = draft.print().unwrap();
        self.with_phone(|phone, out| {
            if let Some(stream) = phone.stream {
                out.write(stream, octets);
            }
        });
        self.hear()
    }

    fn request(&mut self, method: &str, uri: &str) -> Draft {
        self.cseq += 1;
        let branch = self.random.hex(16);
        Draft::request(method, uri)
            .with("Via", format!("SIP/2.0/TLS 10.20.2.1:5061;branch=z9hG4bK{branch}"))
            .with("Max-Forwards", "70")
            .with("From", format!("<sip:{ALICE}>;tag=c{};epid={EPID}", self.cseq))
            .with("To", format!("<sip:{ALICE}>"))
            .with("Call-ID", "a-call")
            .with("CSeq", format!("{} {method}", self.cseq))
            .with("Contact", "<sip:10.20.2.1:5061;transport=tls>;proxy=replace")
    }

    fn signed(&mut self, draft: Draft) -> Option<Message> {
        let draft = self.keys.as_mut().unwrap().sign_request(draft);
        self.ask(&draft)
    }

    /// A signed REGISTER on the connection as it is.
    pub fn register(&mut self) -> Option<Message> {
        let draft = self.request("REGISTER", "sip:contoso.example").with("Event", "registration");
        self.signed(draft)
    }

    pub fn subscribe(&mut self, event: &str) -> Option<Message> {
        let draft = self
            .request("SUBSCRIBE", &format!("sip:{ALICE}"))
            .with("Event", event)
            .with("Supported", "ms-benotify, ms-piggyback-first-notify");
        self.signed(draft)
    }

    /// A new connection and a whole handshake on it. Returns the last answer if it did not come through.
    pub fn prove(&mut self) -> Result<(), Message> {
        self.connect();
        let draft = self.request("REGISTER", "sip:contoso.example");
        let answer = self.ask(&draft).unwrap();
        let auth = Auth::parse(answer.header("WWW-Authenticate").unwrap()).unwrap();
        let mut parameters = Parameters {
            realm: auth.get("realm").unwrap().into_owned(),
            targetname: auth.get("targetname").unwrap().into_owned(),
            opaque: String::new(),
            version: 4,
        };
        let mut initiator =
            Initiator::new(&self.credentials, &self.trust, HOST, Crypto::Seeded, &mut self.random).unwrap();
        let mut flight = Vec::new();
        loop {
            let wall = WallClock::new(EPOCH, Time::ZERO).read(self.sim.now());
            match initiator.step(&flight, wall, &mut self.random).unwrap() {
                Reply::More(out) => {
                    let auth = tls_dsk::initiator_flight(&parameters, &out).to_string();
                    let draft = self.request("REGISTER", "sip:contoso.example").with("Authorization", auth);
                    let answer = self.ask(&draft).unwrap();
                    let auth = Auth::parse(answer.header("WWW-Authenticate").unwrap()).unwrap();
                    let Some(data) = auth.get("gssapi-data") else { return Err(answer) };
                    parameters.opaque = auth.get("opaque").unwrap().into_owned();
                    flight = tls_dsk::decode_flight(&data).unwrap();
                }
                Reply::Done { keys, .. } => {
                    let random = self.random.fork("signing");
                    self.keys = Some(SecurityAssociation::client(parameters, keys, random));
                    return Ok(());
                }
            }
        }
    }

    pub fn sign_in(&mut self) -> Option<Message> {
        self.prove().ok()?;
        self.register()
    }
}

/// A disk on which Alice's certificate is published.
fn disk_with(der: &[u8]) -> Disk {
    let (mut disk, mut out) = (Disk::new(), Outbox::new());
    let mut published = Published::default();
    published.power_on(&disk, &mut out);
    let certificate = Certificate {
        user: ALICE.to_owned(),
        device: "90d996f0-7299-5868-a49b-0ead64bc43e3".to_owned(),
        der: der.to_vec(),
        not_before: EPOCH,
        not_after: EPOCH.plus(Duration::from_secs(180 * 86_400)),
        issued: EPOCH,
    };
    published.publish(certificate, &mut out);
    for effect in out.take() {
        let Effect::Keep(_, keep) = effect else { continue };
        let file = disk.entry(keep.file).or_default();
        match keep.write {
            WriteKind::Append(bytes) => file.extend(&bytes[..]),
            WriteKind::Replace(bytes) => *file = bytes.to_vec(),
        }
    }
    disk
}
