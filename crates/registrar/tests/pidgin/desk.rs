//! Somebody's computer that runs pidgin-sipe 1.25.0: the octets that it was seen to send, in the order it was seen to.
//!
//! Like its model it cuts values out of raw text, matches answers by Call-ID and CSeq, and believes no answer that is
//! not signed once its association stands.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use net::sim::LinkModel;
use net::tls::{ClientTls, NameCheck, ServerTls, Trust};
use net::{
    Crypto, Dial, Input, Node, NodeId, Outbox, Random, Security, Sim, Step, StreamEvent, StreamId, Time,
    Wall, WallClock, World as _,
};
use pki::{Authority, Validity};
use registrar::{Account, InnerKey, PasswordCost, PasswordHash, PlainSip, Registrar, Setup};
use sip::association::{Checked, Parameters};
use sip::auth::Auth;
use sip::signature::SaKeys;
use sip::{Draft, Frame, Framer, Message, SecurityAssociation};

use crate::old_client::{OldClient, Spoilt};

pub const ALICE: &str = "alice@contoso.example";
pub const BOB: &str = "bob@contoso.example";
pub const PASSWORD: &str = "Passw0rd!";
pub const INSTANCE: &str = "90d996f0-7299-5868-a49b-0ead64bc43e3";
pub const HOST: &str = "fe.contoso.example";
const EPID: &str = "d8d053f0ae7f";
pub const AGENT: &str = "Purple/2.14.12 Sipe/1.25.0 (linux-x86_64)";
const EPOCH: Wall = Wall::from_unix_secs(1_539_075_600);

/// Making RSA keys is slow: one for every pool, one for every client of these tests.
static INNER: LazyLock<InnerKey> = LazyLock::new(|| InnerKey::lazy(Random::named(1, "inner")));
static KEY: LazyLock<rsa::PrivateKey> = LazyLock::new(|| OldClient::new(&mut Random::named(2, "client")).key);

pub enum Actor {
    Pool(Box<Registrar>),
    Desk(Streams),
}

impl Node for Actor {
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
        match self {
            Actor::Pool(pool) => pool.handle(now, input, out),
            Actor::Desk(streams) => streams.handle(input, out),
        }
    }

    fn wake_at(&self) -> Option<Time> {
        match self {
            Actor::Pool(pool) => pool.wake_at(),
            Actor::Desk(_) => None,
        }
    }
}

/// What came over each stream.
#[derive(Default)]
pub struct Streams(BTreeMap<StreamId, Vec<u8>>);

impl Streams {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::PowerOn(_) => out.address(Some("10.20.2.1".parse().unwrap())),
            Input::Stream(stream, StreamEvent::Received(octets)) => {
                self.0.entry(stream).or_default().extend(&octets[..]);
            }
            _ => {}
        }
    }
}

/// A computer with pidgin-sipe, and the pool it signs in at.
pub struct Desk {
    pub sim: Sim<Actor>,
    pub pool: NodeId,
    desk: NodeId,
    trust: Trust,
    pub random: Random,
    pub user: &'static str,
    pub client: OldClient,
    pub basic: Option<String>,
    pub web: Option<StreamId>,
    pub sip: Option<StreamId>,
    framer: Framer,
    /// Other answers and requests than the one that was waited for.
    pub heard: Vec<Message>,
    pub keys: Option<SecurityAssociation>,
    call_id: String,
    cseq: u32,
}

impl Desk {
    pub fn new(user: &'static str) -> Desk {
        Desk::at(user, Some(INNER.clone()))
    }

    /// A pool that serves phones of today only.
    pub fn without_inner_key(user: &'static str) -> Desk {
        Desk::at(user, None)
    }

    fn at(user: &'static str, inner_key: Option<InnerKey>) -> Desk {
        let mut random = Random::named(7, "desk");
        let life = Duration::from_secs(10 * 365 * 86_400);
        let before = EPOCH.minus(Duration::from_secs(86_400));
        let mut authority = Authority::new("Contoso Pool Root", Crypto::Seeded, &mut random, before, life);
        let server = authority.issue_server(&[HOST.to_owned()], Validity::days(EPOCH, 365)).unwrap();
        let trust = authority.trust();
        let accounts = [ALICE, BOB].map(|address| {
            let mut account = Account::new(address, address);
            account.password = Some(PasswordHash::new(PASSWORD, PasswordCost::Light, &mut random));
            account
        });
        let clock = WallClock::new(EPOCH, Time::ZERO);
        let (address, tls) = ("192.0.2.20".parse().unwrap(), Arc::new(ServerTls::new(server)));
        let mut setup = Setup::new("fe", HOST, address, clock, random.fork("pool"), tls, authority);
        // All that the default lab has: the modern way in and ordinary SIP user agents at the same ports.
        setup.inner_key = inner_key;
        setup.modern_auth = Some("https://login.contoso.example/common/oauth2/authorize".to_owned());
        setup.accounts = accounts.to_vec();
        setup.plain_sip = Some(PlainSip::USUAL);
        let mut sim = Sim::new(7);
        let delay = LinkModel { delay: Duration::from_millis(5), ..LinkModel::default() };
        let office = sim.add_segment("office", delay);
        let cloud = sim.add_segment("cloud", LinkModel::default());
        let pool = sim.add_node("fe", Actor::Pool(Box::new(Registrar::new(setup))), cloud);
        let desk = sim.add_node("desk", Actor::Desk(Streams::default()), office);
        sim.power_on(pool);
        sim.power_on(desk);
        let mut client = OldClient::new(&mut Random::named(3, "throw-away"));
        client.key = KEY.clone();
        Desk {
            sim,
            pool,
            desk,
            trust,
            random,
            user,
            client,
            basic: None,
            web: None,
            sip: None,
            framer: Framer::for_client(),
            heard: Vec::new(),
            keys: None,
            call_id: "CA71gBE55a32E7i5885m4DCFt8C67b78CFx8706x".to_owned(),
            cseq: 0,
        }
    }

    pub fn registrar(&self) -> &Registrar {
        match self.sim.look(self.pool) {
            Actor::Pool(pool) => pool,
            Actor::Desk(_) => unreachable!("the pool is a pool"),
        }
    }

    pub fn administer<R>(&mut self, verb: impl FnOnce(&mut Registrar, Time, &mut Outbox) -> R) -> R {
        self.sim.act(self.pool, |actor, now, out| match actor {
            Actor::Pool(pool) => verb(pool, now, out),
            Actor::Desk(_) => unreachable!("the pool is a pool"),
        })
    }

    pub fn act<R>(&mut self, verb: impl FnOnce(&mut Streams, &mut Outbox) -> R) -> R {
        self.sim.act(self.desk, |actor, _, out| match actor {
            Actor::Desk(streams) => verb(streams, out),
            Actor::Pool(_) => unreachable!("the desk is a desk"),
        })
    }

    pub fn pass(&mut self, span: Duration) {
        let until = self.sim.now() + span;
        while self.sim.step(until) == Step::Happened {}
    }

    pub fn dial(&mut self, port: u16) -> StreamId {
        let security = match port {
            80 => Security::Plain,
            _ => Security::Tls(ClientTls {
                server_name: HOST.to_owned(),
                trust: self.trust.clone(),
                clock: WallClock::new(EPOCH, Time::ZERO),
                names: NameCheck::Strict,
            }),
        };
        let to = std::net::SocketAddr::new("192.0.2.20".parse().unwrap(), port);
        let stream = self.act(|_, out| out.open(Dial { to, security }));
        self.pass(Duration::from_secs(1));
        stream
    }

    /// What has come over a stream since the last look; waits a second for it.
    pub fn read(&mut self, stream: StreamId) -> Vec<u8> {
        self.pass(Duration::from_secs(1));
        self.act(|streams, _| streams.0.remove(&stream).unwrap_or_default())
    }

    /// Gives up the HTTPS connection; the next request makes a new one.
    pub fn hang_up(&mut self) {
        if let Some(stream) = self.web.take() {
            self.act(|_, out| out.close(stream));
        }
    }

    pub fn connect(&mut self) {
        self.keys = None;
        self.framer = Framer::for_client();
        self.sip = Some(self.dial(5061));
    }

    pub fn write(&mut self, octets: impl Into<bytes::Bytes>) {
        let (stream, octets) = (self.sip.unwrap(), octets.into());
        self.act(|_, out| out.write(stream, octets));
    }

    /// Everything that came over SIP; once there is an association, every message must be signed.
    pub fn listen(&mut self) -> Vec<Message> {
        let octets = self.read(self.sip.unwrap());
        self.framer.push(&octets);
        let mut messages = Vec::new();
        while let Some(frame) = self.framer.next() {
            let Frame::Message(octets) = frame.unwrap() else { continue };
            let message = Message::parse(octets).unwrap();
            if let Some(keys) = self.keys.as_mut().filter(|_| message.status() != Some(401)) {
                assert_eq!(keys.check(&message), Ok(Checked::Signed), "{message:?}");
            }
            messages.push(message);
        }
        messages
    }

    /// Sends a request and takes the answer with its Call-ID and CSeq.
    pub fn ask(&mut self, draft: &Draft) -> Message {
        self.write(draft.print().unwrap());
        let messages = self.listen();
        let is_answer = |message: &Message| {
            Some(message.call_id()) == draft.header("Call-ID")
                && message.header("CSeq") == draft.header("CSeq")
                && !message.is_request()
        };
        let (mut answers, others): (Vec<_>, Vec<_>) = messages.into_iter().partition(is_answer);
        self.heard.extend(others);
        assert_eq!(answers.len(), 1, "one answer to {draft:?}");
        answers.remove(0)
    }

    /// The headers that every request has. Only one that begins a transaction of its own has a branch.
    pub fn request(&mut self, method: &str, uri: &str, to: &str, call_id: &str, cseq: u32) -> Draft {
        let tag = self.random.below(1 << 32);
        let branch = self.random.hex(20).to_uppercase();
        let branch = if method == "INVITE" { String::new() } else { format!(";branch=z9hG4bK{branch}") };
        Draft::request(method, uri)
            .with("Via", format!("SIP/2.0/tls 10.20.2.1:42488{branch}"))
            .with("From", format!("<sip:{}>;tag={tag};epid={EPID}", self.user))
            .with("To", to)
            .with("Max-Forwards", "70")
            .with("CSeq", format!("{cseq} {method}"))
            .with("User-Agent", AGENT)
            .with("Call-ID", call_id)
    }

    /// The next REGISTER, not signed.
    pub fn register(&mut self) -> Draft {
        self.cseq += 1;
        let (call_id, to) = (self.call_id.clone(), format!("<sip:{}>", self.user));
        self.request("REGISTER", "sip:contoso.example", &to, &call_id, self.cseq)
            .with(
                "Contact",
                format!(
                    "<sip:10.20.2.1:42488;transport=tls;ms-opaque=d3470f2e1d>;methods=\"INVITE, MESSAGE, INFO, \
                     SUBSCRIBE, OPTIONS, BYE, CANCEL, NOTIFY, ACK, REFER, BENOTIFY\";proxy=replace;\
                     +sip.instance=\"<urn:uuid:{INSTANCE}>\""
                ),
            )
            .with("Supported", "gruu-10, adhoclist, msrtc-event-categories, com.microsoft.msrtc.presence")
            .with("Event", "registration")
            .with("Allow-Events", "presence")
            .with("ms-keep-alive", "UAC;hop-hop=yes")
    }

    /// A REGISTER without credentials. Returns `sts-uri`.
    pub fn challenged(&mut self) -> String {
        let draft = self.register();
        let answer = self.ask(&draft);
        assert_eq!(answer.status(), Some(401));
        assert!(answer.to().tag().is_some(), "an answer has a To tag");
        let auth = Auth::parse(answer.header("WWW-Authenticate").unwrap()).unwrap();
        assert_eq!(answer.headers("WWW-Authenticate").count(), 1, "TLS-DSK and nothing else");
        assert_eq!(auth.get("targetname").as_deref(), Some(HOST));
        auth.get("sts-uri").unwrap().into_owned()
    }

    /// The REGISTERs that carry the handshake. Returns the last answer if no association came of it.
    pub fn prove(&mut self, spoilt: Spoilt) -> Result<(), Message> {
        let (hello, handshake) = self.client.hello(&mut self.random);
        let (flight, mut parameters) = self.carry(&hello, "").unwrap();
        let (third, finishing) = self.client.answer(handshake, &flight, spoilt, &mut self.random);
        let (last, again) = self.carry(&third, &parameters.opaque)?;
        parameters.opaque = again.opaque;
        let (client, server) = finishing.keys(&last);
        let random = self.random.fork("signing");
        self.keys = Some(SecurityAssociation::client(parameters, SaKeys { client, server }, random));
        Ok(())
    }

    /// The REGISTER with the hello alone.
    pub fn greet(&mut self) -> Result<(), Message> {
        let (hello, _) = self.client.hello(&mut self.random);
        self.carry(&hello, "").map(drop)
    }

    /// A REGISTER with a flight. Returns the answer's flight, or the answer if it has none.
    fn carry(&mut self, flight: &[u8], opaque: &str) -> Result<(Vec<u8>, Parameters), Message> {
        let handle = if opaque.is_empty() { String::new() } else { format!("opaque=\"{opaque}\", ") };
        let auth = format!(
            "TLS-DSK qop=\"auth\", {handle}realm=\"SIP Communications Service\", targetname=\"{HOST}\", \
             gssapi-data=\"{}\", version=4",
            STANDARD.encode(flight)
        );
        let draft = self.register().with("Authorization", auth);
        let answer = self.ask(&draft);
        assert_eq!(answer.status(), Some(401));
        let auth = Auth::parse(answer.header("WWW-Authenticate").unwrap()).unwrap();
        let Some(data) = auth.get("gssapi-data") else { return Err(answer) };
        let named = |name| auth.get(name).unwrap().into_owned();
        let parameters = Parameters {
            realm: named("realm"),
            targetname: named("targetname"),
            opaque: named("opaque"),
            version: 4,
        };
        Ok((STANDARD.decode(&*data).unwrap(), parameters))
    }

    pub fn sign(&mut self, draft: Draft) -> Draft {
        self.keys.as_mut().unwrap().sign_request(draft)
    }

    pub fn ask_signed(&mut self, draft: Draft) -> Message {
        let draft = self.sign(draft);
        self.ask(&draft)
    }

    /// The whole way to a signed REGISTER, without a word lost on what the pool answered on it.
    pub fn sign_in(&mut self) -> Message {
        self.connect();
        let sts_uri = self.challenged();
        self.enrol(&sts_uri, PASSWORD).unwrap();
        // It counts a REGISTER that it prepared while it had no certificate, and never sent.
        self.cseq += 1;
        self.challenged();
        self.prove(Spoilt::Nothing).unwrap();
        let draft = self.register();
        self.ask_signed(draft)
    }

    /// A SUBSCRIBE to one of the user's own documents.
    pub fn subscribe(&mut self, event: &str, body: &str) -> Message {
        let call_id = format!("{}{event}", self.random.hex(16));
        let (to, media) = (format!("<sip:{}>", self.user), format!("application/{event}+xml"));
        let uri = format!("sip:{}", self.user);
        let mut draft = self
            .request("SUBSCRIBE", &uri, &to, &call_id, 1)
            .with("Event", event)
            .with("Accept", &media)
            .with("Supported", "com.microsoft.autoextend")
            .with("Supported", "ms-benotify")
            .with("Proxy-Require", "ms-benotify")
            .with("Supported", "ms-piggyback-first-notify");
        if event == "vnd-microsoft-provisioning-v2" {
            draft = draft.with("Expires", "0");
        }
        draft = draft
            .with("Contact", format!("<sip:{};opaque=user:epid:8JbZkJlyaFikmw6tZLxD4wAA;gruu>", self.user));
        if !body.is_empty() {
            draft = draft.body(&media, body.to_owned());
        }
        self.ask_signed(draft)
    }
}
