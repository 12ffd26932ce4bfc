//! A pool without its web half, and clients that speak to it through the front end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use net::tls::{Credentials, ServerTls, Trust};
use net::{
    Closed, Crypto, Disk, Effect, Note, Outbox, Random, RecordId, StreamEvent, StreamId, Time, Wall,
    WallClock, WriteKind,
};
use pki::{Authority, CertificateRequest, Holder, Validity};
use sip::association::Parameters;
use sip::auth::Auth;
use sip::tls_dsk::{self, Initiator, Reply};
use sip::{Draft, Frame, Framer, Message, SecurityAssociation};

use crate::accounts::{Account, Accounts, PasswordCost};
use crate::faults::Faults;
use crate::published::{Certificate, Published};
use crate::registrar::Parts;
use crate::setup::{PlainSip, Setup};
use crate::sip::FrontEnd;
use crate::sip::inner::Inner;

pub(super) const HOST: &str = "fe.contoso.example";
pub(super) const DOMAIN: &str = "contoso.example";
pub(super) const ALICE: &str = "alice@contoso.example";
pub(super) const BOB: &str = "bob@contoso.example";

pub(super) fn wall() -> Wall {
    Wall::parse("2018-10-09T09:00:00Z").expect("a date")
}

/// The pool, its disk, and everything it ever said.
pub(super) struct Bench {
    pub(super) now: Time,
    pub(super) accounts: Accounts,
    pub(super) published: Published,
    pub(super) faults: Faults,
    pub(super) strict: bool,
    pub(super) disk: Disk,
    /// Writes reach the disk at once; if not, they wait for [`Bench::flush`].
    pub(super) disk_is_quick: bool,
    pub(super) longest: Duration,
    pub(super) front_end: FrontEnd,
    random: Random,
    clock: WallClock,
    authority: Authority,
    tls: Arc<ServerTls>,
    inner: Inner,
    out: Outbox,
    unwritten: Vec<(RecordId, net::Keep)>,
    arrived: BTreeMap<StreamId, Vec<u8>>,
    pub(super) closed: Vec<StreamId>,
    pub(super) notes: Vec<Note>,
    next_stream: u64,
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench::of(None)
    }

    /// A pool that serves ordinary user agents too, or none.
    pub(super) fn of(plain_sip: Option<PlainSip>) -> Bench {
        let crypto = Crypto::Seeded;
        let mut random = Random::named(7, "pool");
        let life = Duration::from_secs(3650 * 86_400);
        let mut authority =
            Authority::new("Contoso Pool CA", crypto, &mut random, wall().minus(life), 2 * life);
        let server =
            authority.issue_server(&[HOST.to_owned()], Validity::days(wall(), 365)).expect("a host name");
        let tls = Arc::new(ServerTls::new(server));
        let unused = Authority::new("Unused", crypto, &mut random, wall(), life);
        let clock = WallClock::new(wall(), Time::ZERO);
        let address = [192, 0, 2, 20].into();
        let mut setup =
            Setup::new("pool", HOST, address, clock, Random::named(7, "unused"), tls.clone(), unused);
        setup.plain_sip = plain_sip;
        let mut bench = Bench {
            now: Time::ZERO,
            accounts: Accounts::new(
                [Account::new(ALICE, "Alice"), Account::new(BOB, "Bob")],
                PasswordCost::Light,
            ),
            published: Published::default(),
            faults: Faults::default(),
            strict: false,
            disk: Disk::new(),
            disk_is_quick: true,
            longest: Duration::from_secs(7200),
            front_end: FrontEnd::new(&setup),
            random,
            clock: WallClock::new(wall(), Time::ZERO),
            authority,
            tls,
            inner: Inner::new(None),
            out: Outbox::new(),
            unwritten: Vec::new(),
            arrived: BTreeMap::new(),
            closed: Vec::new(),
            notes: Vec::new(),
            next_stream: 1,
        };
        bench.power_on();
        bench
    }

    /// Lets the front end do something with everything it is lent.
    pub(super) fn with<R>(
        &mut self,
        call: impl FnOnce(&mut FrontEnd, Time, &mut Parts<'_>, &mut Outbox) -> R,
    ) -> R {
        let mut parts = Parts {
            accounts: &mut self.accounts,
            published: &mut self.published,
            random: &mut self.random,
            faults: &mut self.faults,
            clock: &self.clock,
            crypto: Crypto::Seeded,
            host: HOST,
            domain: DOMAIN,
            authority: &mut self.authority,
            tls: &self.tls,
            inner: &mut self.inner,
            registration_life: self.longest,
            strict: self.strict,
        };
        let result = call(&mut self.front_end, self.now, &mut parts, &mut self.out);
        self.settle();
        result
    }

    /// Takes the effects in.
    fn settle(&mut self) {
        for effect in self.out.take() {
            match effect {
                Effect::Write(stream, bytes) => self.arrived.entry(stream).or_default().extend(&bytes[..]),
                Effect::Close(stream) => self.closed.push(stream),
                Effect::Note(note) => self.notes.push(note),
                Effect::Keep(id, keep) => self.unwritten.push((id, keep)),
                other => panic!("the SIP half wants {other:?}"),
            }
        }
        if self.disk_is_quick {
            self.flush();
        }
    }

    /// Lets every write reach the disk.
    pub(super) fn flush(&mut self) {
        while !self.unwritten.is_empty() {
            let (id, keep) = self.unwritten.remove(0);
            let file = self.disk.entry(keep.file).or_default();
            match keep.write {
                WriteKind::Append(bytes) => file.extend(&bytes[..]),
                WriteKind::Replace(bytes) => *file = bytes.to_vec(),
            }
            if !self.published.kept(id).0 {
                self.with(|front_end, now, parts, out| front_end.kept(now, id, parts, out));
            }
        }
    }

    pub(super) fn power_on(&mut self) {
        let disk = self.disk.clone();
        self.unwritten.clear();
        self.with(|front_end, now, parts, out| front_end.power_on(now, &disk, parts, out));
    }

    pub(super) fn event(&mut self, stream: StreamId, event: StreamEvent) {
        self.with(|front_end, now, parts, out| front_end.handle(now, (stream, event), parts, out));
    }

    /// Lets time pass, waking the front end whenever it wants to be.
    pub(super) fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.front_end.wake_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.with(|front_end, now, parts, out| front_end.woken(now, parts, out));
        }
        self.now = until;
    }

    /// A new connection from `peer`.
    pub(super) fn connect(&mut self, peer: &str) -> StreamId {
        let stream = StreamId(self.next_stream);
        self.next_stream += 1;
        let peer: SocketAddr = peer.parse().expect("an address");
        let local = "192.0.2.20:5061".parse().expect("an address");
        self.event(stream, StreamEvent::Accepted { local, peer });
        stream
    }

    pub(super) fn send(&mut self, stream: StreamId, octets: impl Into<Bytes>) {
        self.event(stream, StreamEvent::Received(octets.into()));
    }

    pub(super) fn hang_up(&mut self, stream: StreamId) {
        self.event(stream, StreamEvent::Closed(Closed::ByPeer));
    }

    /// The octets that were written to a stream since this was last asked.
    pub(super) fn octets(&mut self, stream: StreamId) -> Vec<u8> {
        self.arrived.remove(&stream).unwrap_or_default()
    }

    /// The messages among them.
    pub(super) fn messages(&mut self, stream: StreamId) -> Vec<Message> {
        let mut framer = Framer::for_client();
        framer.push(&self.octets(stream));
        let mut messages = Vec::new();
        while let Some(frame) = framer.next() {
            if let Frame::Message(octets) = frame.expect("the pool frames well") {
                messages.push(Message::parse(octets).expect("the pool writes SIP"));
            }
        }
        messages
    }

    /// Makes a key and a certificate for `user` and publishes it.
    pub(super) fn certificate(&mut self, user: &str, life: Validity) -> Credentials {
        let key = Crypto::Seeded.p256_key(&mut self.random);
        let request = pki::make_request(&key, user).expect("a P-256 key");
        let request = CertificateRequest::parse(&request).expect("our own request");
        let der = self.authority.issue_user(&request, &Holder::new(user), life).expect("a good name");
        let certificate = Certificate {
            user: user.to_owned(),
            device: self.random.uuid(),
            der: der.to_vec(),
            not_before: life.from,
            not_after: life.from.plus(life.life),
            issued: life.from,
        };
        self.published.publish(certificate, &mut self.out);
        self.settle();
        Credentials { chain: vec![der], key }
    }

    pub(super) fn trust(&self) -> Trust {
        self.authority.trust()
    }

    /// The names of the events so far, each with whom it concerns.
    pub(super) fn events(&self) -> Vec<(&'static str, &str)> {
        self.notes
            .iter()
            .filter_map(|note| match note {
                Note::Event { name, of, .. } => Some((*name, of.as_str())),
                _ => None,
            })
            .collect()
    }

    pub(super) fn count(&self, event: &str) -> usize {
        self.events().iter().filter(|(name, _)| *name == event).count()
    }
}

/// A client that does what it is told, well or badly.
pub(super) struct Client {
    pub(super) stream: StreamId,
    pub(super) user: String,
    pub(super) epid: String,
    pub(super) credentials: Credentials,
    pub(super) keys: Option<SecurityAssociation>,
    pub(super) cseq: u32,
    pub(super) call_id: String,
    peer: String,
    random: Random,
}

impl Client {
    pub(super) fn new(bench: &mut Bench, user: &str, epid: &str) -> Client {
        let credentials = bench.certificate(user, Validity::days(wall(), 180));
        Client::with(bench, user, epid, credentials)
    }

    pub(super) fn with(bench: &mut Bench, user: &str, epid: &str, credentials: Credentials) -> Client {
        let peer = "10.20.2.1:40000".to_owned();
        Client {
            stream: bench.connect(&peer),
            user: user.to_owned(),
            epid: epid.to_owned(),
            credentials,
            keys: None,
            cseq: 0,
            call_id: format!("call-{user}-{epid}"),
            peer,
            random: Random::named(1, &format!("{user} {epid}")),
        }
    }

    pub(super) fn reconnect(&mut self, bench: &mut Bench) {
        self.stream = bench.connect(&self.peer);
        self.keys = None;
    }

    /// Proves itself and sends a REGISTER whose binding a busy disk has yet to write: `Bench::flush` writes it.
    pub(super) fn register_unwritten(&mut self, bench: &mut Bench) -> Draft {
        self.prove(bench).expect("a good certificate");
        bench.disk_is_quick = false;
        let draft = self.register();
        let draft = self.signed(draft);
        bench.send(self.stream, draft.print().expect("a good draft"));
        draft
    }

    /// A request to the own address.
    pub(super) fn request(&mut self, method: &str) -> Draft {
        let uri = if method == "REGISTER" { format!("sip:{DOMAIN}") } else { format!("sip:{}", self.user) };
        self.request_to(method, &uri)
    }

    pub(super) fn request_to(&mut self, method: &str, uri: &str) -> Draft {
        self.cseq += 1;
        let user = &self.user;
        let epid = if self.epid.is_empty() { String::new() } else { format!(";epid={}", self.epid) };
        let branch = self.random.hex(16);
        let to = if method == "REGISTER" { format!("sip:{user}") } else { uri.to_owned() };
        Draft::request(method, uri)
            .with("Via", format!("SIP/2.0/TLS {};branch=z9hG4bK{branch}", self.peer))
            .with("Max-Forwards", "70")
            .with("From", format!("<sip:{user}>;tag=c{}{epid}", self.cseq))
            .with("To", format!("<{to}>"))
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{} {method}", self.cseq))
    }

    /// A REGISTER as a phone sends it.
    pub(super) fn register(&mut self) -> Draft {
        let instance = sip::endpoint::Instance::of_epid(&self.epid).sip_instance();
        let contact = format!("<sip:{};transport=tls;ms-opaque=d3470f2e1d>", self.peer);
        self.request("REGISTER")
            .with("Contact", format!("{contact};proxy=replace;+sip.instance={instance}"))
            .with("Supported", "gruu-10, adhoclist, msrtc-event-categories")
            .with("Event", "registration")
            .with("Allow-Events", "presence")
            .with("ms-keep-alive", "UAC;hop-hop=yes")
    }

    /// Sends a request and returns the one answer to it.
    pub(super) fn ask(&mut self, bench: &mut Bench, draft: &Draft) -> Message {
        let octets = draft.print().expect("a good draft");
        bench.send(self.stream, octets);
        let mut answers = bench.messages(self.stream);
        assert_eq!(answers.len(), 1, "one answer to {draft:?}, not {answers:?}");
        answers.remove(0)
    }

    pub(super) fn signed(&mut self, draft: Draft) -> Draft {
        self.keys.as_mut().expect("it has proved itself").sign_request(draft)
    }

    /// Sends a signed request; its answer must be signed as well, unless it is a challenge.
    pub(super) fn ask_signed(&mut self, bench: &mut Bench, draft: Draft) -> Message {
        let draft = self.signed(draft);
        let answer = self.ask(bench, &draft);
        let checked = self.keys.as_mut().expect("it has proved itself").check(&answer);
        if answer.status() != Some(401) {
            assert_eq!(checked, Ok(sip::association::Checked::Signed), "{answer:?}");
        }
        answer
    }

    /// The challenge to an unsigned REGISTER: realm and target name.
    pub(super) fn challenged(&mut self, bench: &mut Bench) -> Parameters {
        let draft = self.register();
        let answer = self.ask(bench, &draft);
        assert_eq!(answer.status(), Some(401));
        let auth =
            Auth::parse(answer.header("WWW-Authenticate").expect("a challenge")).expect("one that reads");
        let value = |name| auth.get(name).expect("it is in the challenge").into_owned();
        Parameters {
            realm: value("realm"),
            targetname: value("targetname"),
            opaque: String::new(),
            version: value("version").parse().expect("a number"),
        }
    }

    /// A REGISTER with a flight.
    pub(super) fn flight(&mut self, parameters: &Parameters, flight: &[u8]) -> Draft {
        let auth = tls_dsk::initiator_flight(parameters, flight);
        self.register().with("Authorization", auth.to_string())
    }

    pub(super) fn initiator(&mut self, bench: &Bench) -> Initiator {
        let trust = bench.trust();
        Initiator::new(&self.credentials, &trust, HOST, Crypto::Seeded, &mut self.random)
            .expect("good credentials")
    }

    /// The whole handshake. Returns the last answer if it did not come through.
    pub(super) fn prove(&mut self, bench: &mut Bench) -> Result<(), Message> {
        let mut parameters = self.challenged(bench);
        let mut initiator = self.initiator(bench);
        let mut flight = Vec::new();
        loop {
            let reply = initiator.step(&flight, wall(), &mut self.random).expect("the pool's flight is good");
            let out = match reply {
                Reply::More(out) => out,
                Reply::Done { keys, .. } => {
                    let random = self.random.fork("signing");
                    self.keys = Some(SecurityAssociation::client(parameters, keys, random));
                    return Ok(());
                }
            };
            let draft = self.flight(&parameters, &out);
            let answer = self.ask(bench, &draft);
            assert_eq!(answer.status(), Some(401));
            let auth =
                Auth::parse(answer.header("WWW-Authenticate").expect("a challenge")).expect("it reads");
            let Some(data) = auth.get("gssapi-data") else { return Err(answer) };
            parameters.opaque = auth.get("opaque").expect("a handle").into_owned();
            flight = tls_dsk::decode_flight(&data).expect("base64");
        }
    }

    /// Handshake and REGISTER: the 200.
    pub(super) fn sign_in(&mut self, bench: &mut Bench) -> Message {
        self.prove(bench).expect("the certificate is published");
        let draft = self.register();
        self.ask_signed(bench, draft)
    }
}

/// A client that is registered.
pub(super) fn registered(bench: &mut Bench, user: &str, epid: &str) -> Client {
    let mut client = Client::new(bench, user, epid);
    assert_eq!(client.sign_in(bench).status(), Some(200));
    client
}

/// A message's text as golden files keep it.
pub(super) fn golden(message: &Message) -> String {
    String::from_utf8_lossy(message.as_bytes()).replace("\r\n", "\n")
}
