//! A pool on a string, and user agents made by hand that speak to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use net::tls::ServerTls;
use net::{
    Closed, Crypto, Datagram, Disk, Effect, Input, Node, Note, Outbox, Random, RecordId, StreamEvent,
    StreamId, Time, Wall, WallClock, WriteKind,
};
use pki::{Authority, Validity};
use registrar::{Account, DigestKeys, PlainSip, Registrar, Setup};
use sip::digest::{self, Hash, Login};
use sip::{Draft, Frame, Framer, Message};

pub const HOST: &str = "fe.contoso.example";
pub const DOMAIN: &str = "contoso.example";
pub const ALICE: &str = "alice@contoso.example";
pub const BOB: &str = "bob@contoso.example";
pub const PASSWORD: &str = "Gr33n-Door!";
const EPOCH: Wall = Wall::from_unix_secs(1_539_075_600);
const POOL: &str = "192.0.2.20";

/// Which way an agent speaks to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Udp(SocketAddr),
    Stream(StreamId, u16),
}

pub struct Pool {
    pub registrar: Registrar,
    pub now: Time,
    pub notes: Vec<Note>,
    /// While set, nothing reaches the disk.
    pub is_disk_stuck: bool,
    pub closed: Vec<StreamId>,
    disk: Disk,
    stuck: Vec<(RecordId, net::Keep)>,
    mail: BTreeMap<Way, Vec<Bytes>>,
    ports: BTreeMap<StreamId, u16>,
    out: Outbox,
    next_stream: u64,
}

/// A pool with Alice, Bob and Carol, who all have one password.
pub fn setup() -> Setup {
    let mut random = Random::named(7, "fe");
    let life = Duration::from_secs(3650 * 86_400);
    let before = EPOCH.minus(Duration::from_secs(86_400));
    let mut authority = Authority::new("Contoso Pool Root", Crypto::Seeded, &mut random, before, life);
    let credentials = authority.issue_server(&[HOST.to_owned()], Validity::days(EPOCH, 365)).unwrap();
    let clock = WallClock::new(EPOCH, Time::ZERO);
    let (address, tls) = (POOL.parse().unwrap(), Arc::new(ServerTls::new(credentials)));
    let mut setup = Setup::new("fe", HOST, address, clock, random.fork("pool"), tls, authority);
    setup.registration_life = Duration::from_secs(7_200);
    setup.plain_sip = Some(PlainSip::USUAL);
    let people = [("alice", "+15550101"), ("bob", "+15550102"), ("carol", "+15550103")];
    for (name, line) in people {
        let mut account = Account::new(&format!("{name}@{DOMAIN}"), name);
        account.digest = DigestKeys::new(&account.address, DOMAIN, PASSWORD);
        account.tel = Some(format!("tel:{line}"));
        setup.accounts.push(account);
    }
    setup.accounts.push(Account::new("lobby@contoso.example", "No password"));
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
            is_disk_stuck: false,
            closed: Vec::new(),
            disk: Disk::new(),
            stuck: Vec::new(),
            mail: BTreeMap::new(),
            ports: BTreeMap::new(),
            out: Outbox::new(),
            next_stream: 1,
        };
        pool.power_on();
        pool
    }

    pub fn power_on(&mut self) {
        let disk = self.disk.clone();
        self.stuck.clear();
        self.mail.clear();
        self.next_stream = 1;
        self.feed(Input::PowerOn(disk));
    }

    /// The power goes and comes back.
    pub fn restart(&mut self) {
        self.registrar.handle(self.now, Input::PowerOff, &mut self.out);
        self.out.take();
        self.power_on();
    }

    fn feed(&mut self, input: Input) {
        self.registrar.handle(self.now, input, &mut self.out);
        self.settle();
    }

    pub fn administer<R>(&mut self, verb: impl FnOnce(&mut Registrar, Time, &mut Outbox) -> R) -> R {
        let result = verb(&mut self.registrar, self.now, &mut self.out);
        self.settle();
        result
    }

    fn settle(&mut self) {
        for effect in self.out.take() {
            match effect {
                Effect::Send(datagram) => {
                    assert_eq!(datagram.from, format!("{POOL}:5060").parse().unwrap());
                    self.mail.entry(Way::Udp(datagram.to)).or_default().push(datagram.payload);
                }
                Effect::Write(stream, bytes) => {
                    let port = self.ports.get(&stream).copied().unwrap_or(0);
                    self.mail.entry(Way::Stream(stream, port)).or_default().push(bytes);
                }
                Effect::Close(stream) => self.closed.push(stream),
                Effect::Note(note) => self.notes.push(note),
                Effect::Keep(id, keep) => self.stuck.push((id, keep)),
                Effect::Listen(_) | Effect::Address(_) => {}
                other => panic!("the pool wants {other:?}"),
            }
        }
        while !self.is_disk_stuck && !self.stuck.is_empty() {
            let (id, keep) = self.stuck.remove(0);
            let file = self.disk.entry(keep.file).or_default();
            match keep.write {
                WriteKind::Append(bytes) => file.extend(&bytes[..]),
                WriteKind::Replace(bytes) => *file = bytes.to_vec(),
            }
            self.registrar.handle(self.now, Input::Kept(id), &mut self.out);
            self.settle();
        }
    }

    pub fn flush(&mut self) {
        self.is_disk_stuck = false;
        self.settle();
    }

    /// Lets time pass, waking the pool whenever it wants to be.
    pub fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.registrar.wake_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.feed(Input::Woken);
        }
        self.now = until;
    }

    pub fn connect(&mut self, port: u16, peer: &str) -> Way {
        let stream = StreamId(self.next_stream);
        self.next_stream += 1;
        self.ports.insert(stream, port);
        let (local, peer) = (format!("{POOL}:{port}").parse().unwrap(), peer.parse().unwrap());
        self.feed(Input::Stream(stream, StreamEvent::Accepted { local, peer }));
        Way::Stream(stream, port)
    }

    pub fn hang_up(&mut self, way: Way) {
        if let Way::Stream(stream, _) = way {
            self.feed(Input::Stream(stream, StreamEvent::Closed(Closed::ByPeer)));
        }
    }

    pub fn send(&mut self, way: Way, octets: impl Into<Bytes>) {
        let octets = octets.into();
        match way {
            Way::Udp(from) => {
                let to = format!("{POOL}:5060").parse().unwrap();
                self.feed(Input::Datagram(Datagram { from, to, payload: octets }));
            }
            Way::Stream(stream, _) => self.feed(Input::Stream(stream, StreamEvent::Received(octets))),
        }
    }

    /// What reached the end of a way since this was last asked.
    pub fn octets(&mut self, way: Way) -> Vec<Bytes> {
        self.mail.remove(&way).unwrap_or_default()
    }

    /// Every datagram that left, wherever to.
    pub fn all_datagrams(&mut self) -> Vec<Bytes> {
        let ways: Vec<Way> = self.mail.keys().copied().filter(|way| matches!(way, Way::Udp(_))).collect();
        ways.into_iter().flat_map(|way| self.octets(way)).collect()
    }

    /// The messages among it.
    pub fn messages(&mut self, way: Way) -> Vec<Message> {
        let octets = self.octets(way);
        match way {
            Way::Udp(_) | Way::Stream(_, 5066 | 7443) => {
                octets.into_iter().map(|one| Message::parse(one).unwrap()).collect()
            }
            Way::Stream(..) => {
                let mut framer = Framer::for_client();
                octets.iter().for_each(|piece| framer.push(piece));
                let mut messages = Vec::new();
                while let Some(frame) = framer.next() {
                    if let Frame::Message(octets) = frame.unwrap() {
                        messages.push(Message::parse(octets).unwrap());
                    }
                }
                messages
            }
        }
    }

    pub fn count(&self, event: &str) -> usize {
        self.notes.iter().filter(|note| matches!(note, Note::Event { name, .. } if *name == event)).count()
    }
}

/// A user agent that does what it is told, well or badly.
pub struct Agent {
    pub way: Way,
    pub user: String,
    pub login: digest::Client,
    pub contact: String,
    pub cseq: u32,
    pub call_id: String,
    pub random: Random,
    /// What its Via says of it.
    pub sent_by: String,
}

impl Agent {
    pub fn over(way: Way, user: &str) -> Agent {
        let (sent_by, transport) = match way {
            Way::Udp(at) => (at.to_string(), "udp"),
            Way::Stream(id, 5060) => (format!("10.20.3.{}:5060", id.0), "tcp"),
            Way::Stream(id, 5061) => (format!("10.20.4.{}:5061", id.0), "tls"),
            Way::Stream(id, _) => (format!("x{}.invalid", id.0), "ws"),
        };
        let login = Login {
            user: user.split_once('@').unwrap().0.to_owned(),
            password: PASSWORD.to_owned(),
            realm: None,
            weakest: Hash::Md5,
        };
        let name = user.split_once('@').unwrap().0;
        Agent {
            way,
            user: user.to_owned(),
            login: digest::Client::new(login),
            contact: format!("<sip:{name}@{sent_by};transport={transport}>"),
            cseq: 0,
            call_id: format!("call-{user}-{way:?}").replace([' ', ',', '(', ')'], ""),
            random: Random::named(1, &format!("{user} {way:?}")),
            sent_by,
        }
    }

    pub fn udp(user: &str, at: &str) -> Agent {
        Agent::over(Way::Udp(at.parse().unwrap()), user)
    }

    pub fn on(pool: &mut Pool, port: u16, user: &str) -> Agent {
        let way = pool.connect(port, &format!("10.20.3.{}:40000", port % 200));
        Agent::over(way, user)
    }

    fn via(&mut self) -> String {
        let transport = match self.way {
            Way::Udp(_) => "UDP",
            Way::Stream(_, 5060) => "TCP",
            Way::Stream(_, 5061) => "TLS",
            Way::Stream(_, 7443) => "WSS",
            Way::Stream(..) => "WS",
        };
        format!("SIP/2.0/{transport} {};branch=z9hG4bK{};rport", self.sent_by, self.random.hex(12))
    }

    pub fn request(&mut self, method: &str, uri: &str) -> Draft {
        self.cseq += 1;
        let to = if method == "REGISTER" { format!("sip:{}", self.user) } else { uri.to_owned() };
        Draft::request(method, uri)
            .with("Via", self.via())
            .with("Max-Forwards", "70")
            .with("From", format!("<sip:{}>;tag=f{}", self.user, self.cseq))
            .with("To", format!("<{to}>"))
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{} {method}", self.cseq))
    }

    pub fn register(&mut self) -> Draft {
        let contact = self.contact.clone();
        self.request("REGISTER", &format!("sip:{DOMAIN}")).with("Contact", contact)
    }

    pub fn invite(&mut self, whom: &str) -> Draft {
        let contact = self.contact.clone();
        self.call_id = format!("call{}", self.random.hex(8));
        self.request("INVITE", whom).with("Contact", contact).body("application/sdp", "v=0\r\n")
    }

    pub fn send(&mut self, pool: &mut Pool, draft: &Draft) -> Message {
        let message = draft.message().unwrap();
        pool.send(self.way, message.as_bytes().clone());
        message
    }

    /// Puts credentials into a request.
    pub fn prove(&mut self, mut draft: Draft) -> Draft {
        let message = draft.message().unwrap();
        let uri = message.uri().unwrap();
        let asked = digest::Asked { method: message.method(), uri: uri.as_str(), body: &message.body() };
        for (name, value) in self.login.answer(&asked) {
            draft.push(name, &value);
        }
        draft
    }

    /// Sends a request and answers one challenge; returns what was sent last and the answers to it.
    pub fn try_ask(&mut self, pool: &mut Pool, draft: Draft) -> (Message, Vec<Message>) {
        let first = self.prove(draft.clone());
        let sent = self.send(pool, &first);
        let answers = pool.messages(self.way);
        let Some(challenge) = answers.iter().find(|it| matches!(it.status(), Some(401 | 407))) else {
            return (sent, answers);
        };
        if challenge.method() == "INVITE" {
            self.ack(pool, &sent, challenge);
        }
        if self.login.challenged(challenge, &sent, &mut self.random).is_err() {
            return (sent, answers);
        }
        self.cseq += 1;
        let mut again = draft;
        let via = self.via();
        again.remove("Via");
        again.push("Via", &via);
        sent.headers("Via").skip(1).for_each(|via| again.push("Via", via));
        let method = again.method().unwrap().to_owned();
        again.set("CSeq", &format!("{} {method}", self.cseq));
        let again = self.prove(again);
        let sent = self.send(pool, &again);
        let answers = pool.messages(self.way);
        (sent, answers)
    }

    /// Sends octets as they are.
    pub fn send_raw(&self, pool: &mut Pool, draft: &Draft) {
        pool.send(self.way, draft.print().unwrap());
    }

    /// Sends a request, answers one challenge, and returns the last answer.
    pub fn ask(&mut self, pool: &mut Pool, draft: Draft) -> Message {
        let (sent, mut answers) = self.try_ask(pool, draft);
        answers.pop().unwrap_or_else(|| panic!("no answer to {sent:?}"))
    }

    /// The ACK to a refusal.
    pub fn ack(&mut self, pool: &mut Pool, invite: &Message, refusal: &Message) {
        let draft = Draft::request("ACK", invite.uri().unwrap().as_str())
            .with("Via", invite.header("Via").unwrap())
            .with("Max-Forwards", "70")
            .with("From", invite.header("From").unwrap())
            .with("To", refusal.header("To").unwrap())
            .with("Call-ID", invite.call_id())
            .with("CSeq", format!("{} ACK", invite.cseq().number));
        self.send(pool, &draft);
    }

    /// Answers a request.
    pub fn answer(&mut self, pool: &mut Pool, request: &Message, status: u16) -> Message {
        let mut draft = request.reply_tagged(status, "", Some(&format!("t{}", self.user.len())));
        for value in request.headers("Record-Route") {
            draft.push("Record-Route", value);
        }
        if status < 300 {
            draft.push("Contact", &self.contact);
        }
        self.send(pool, &draft)
    }

    /// The requests and answers that reached it.
    pub fn heard(&mut self, pool: &mut Pool) -> Vec<Message> {
        pool.messages(self.way)
    }

    /// The one message that reached it.
    pub fn hear(&mut self, pool: &mut Pool) -> Message {
        let mut heard = self.heard(pool);
        assert_eq!(heard.len(), 1, "{} heard {heard:?}", self.user);
        heard.remove(0)
    }
}

/// An agent that is registered.
pub fn registered(pool: &mut Pool, mut agent: Agent) -> Agent {
    let draft = agent.register();
    let ok = agent.ask(pool, draft);
    assert_eq!(ok.status(), Some(200), "{ok:?}");
    agent
}
