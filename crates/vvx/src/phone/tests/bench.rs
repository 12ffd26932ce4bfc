//! A phone on a desk, with a network that answers as told: DHCP, names, time, and an identity service.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode};
use dhcproto::{Decodable as _, Decoder, Encodable as _};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, Record};
use net::http::{Limits, Response, ServerConnection};
use net::tls::TlsError;
use net::{
    Closed, Datagram, Disk, Effect, Input, Listen, ListenSecurity, Note, Security, StreamEvent, StreamId,
    Transport, Wall, WriteKind,
};
use url::Url;

use crate::model::{Firmware, Mac, Model};
use crate::phone::*;

use super::pbx::Pbx;

const OFFICE: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);
const DESK: Ipv4Addr = Ipv4Addr::new(10, 20, 2, 1);
const LOGIN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const NOON: i64 = 1_539_086_400;

/// What the identity service says to a poll.
pub const PENDING: (u16, &str) = (400, "{\"error\":\"authorization_pending\"}");

/// The phone and its network.
pub struct Bench {
    pub phone: Phone,
    pub now: Time,
    pub disk: Disk,
    pub has_time_server: bool,
    pub poll_answer: (u16, &'static str),
    pub codes: u32,
    pub polls: u32,
    pub screens: Vec<String>,
    pub events: Vec<&'static str>,
    /// Every note, as the journal would write it.
    pub journal: String,
    /// What was posted to `/events`.
    pub posts: Vec<String>,
    /// What the phone wrote to whoever connected to it, by connection.
    pub written: BTreeMap<StreamId, Vec<u8>>,
    /// Connections that the phone closed.
    pub closed: Vec<StreamId>,
    /// The ports that it listens to by TCP, but for SIP's.
    pub ports: Vec<u16>,
    /// What SIP servers the phone can reach, by address.
    pub servers: BTreeMap<SocketAddr, Pbx>,
    /// Names besides the identity service's.
    pub names: Vec<Record>,
    /// Datagrams that left the phone's SIP port: when, where to, and what.
    pub sent: Vec<(Time, SocketAddr, Bytes)>,
    /// Streams to SIP servers.
    pub trunks: BTreeMap<StreamId, SocketAddr>,
    out: Outbox,
    inputs: VecDeque<(Time, Input)>,
    streams: BTreeMap<StreamId, ServerConnection>,
}

pub fn setup() -> PhoneSetup {
    let authority = Url::parse("https://login.contoso.example/common").expect("a URL");
    let firmware = Firmware::parse("5.9.6.2327").expect("a release");
    let mac = Mac::parse("0004f2a1b2c3").expect("a MAC address");
    let model = Model::find("vvx600").expect("a model");
    PhoneSetup::new("desk", model, firmware, mac, Random::named(7, "desk"), authority)
}

impl Bench {
    pub fn new(setup: PhoneSetup) -> Bench {
        Bench {
            phone: Phone::new(setup),
            now: Time::ZERO,
            disk: Disk::new(),
            has_time_server: true,
            poll_answer: PENDING,
            codes: 0,
            polls: 0,
            screens: Vec::new(),
            events: Vec::new(),
            journal: String::new(),
            posts: Vec::new(),
            written: BTreeMap::new(),
            closed: Vec::new(),
            ports: Vec::new(),
            servers: BTreeMap::new(),
            names: Vec::new(),
            sent: Vec::new(),
            trunks: BTreeMap::new(),
            out: Outbox::new(),
            inputs: VecDeque::new(),
            streams: BTreeMap::new(),
        }
    }

    /// A phone that has booted.
    pub fn booted() -> Bench {
        let mut bench = Bench::new(setup());
        bench.power_on();
        bench.run(180);
        bench
    }

    pub fn power_on(&mut self) {
        self.handle(Input::PowerOn(self.disk.clone()));
    }

    pub fn power_off(&mut self) {
        self.handle(Input::PowerOff);
        (self.inputs, self.streams, self.trunks) = Default::default();
        self.ports.clear();
    }

    pub fn run(&mut self, secs: u64) {
        let until = self.now + std::time::Duration::from_secs(secs);
        loop {
            if let Some((at, _)) = self.inputs.front()
                && *at <= until
            {
                let (at, input) = self.inputs.pop_front().expect("just seen");
                self.now = self.now.max(at);
                self.handle(input);
                continue;
            }
            match self.phone.wake_at() {
                Some(at) if at <= until => {
                    self.now = self.now.max(at);
                    self.handle(Input::Woken);
                }
                _ => break,
            }
        }
        self.now = until;
    }

    pub fn press(&mut self, key: &str) {
        self.try_press(key).expect("it is offered");
    }

    pub fn try_press(&mut self, key: &str) -> Result<(), PressError> {
        let pressed = self.phone.press(key, self.now, &mut self.out);
        self.carry();
        pressed
    }

    pub fn fill(&mut self, field: &str, text: &str) {
        self.phone.type_text(Some(field), text, self.now, &mut self.out).expect("the field is there");
        self.carry();
    }

    pub fn screen(&self) -> Screen {
        self.phone.screen(self.now)
    }

    pub fn handle(&mut self, input: Input) {
        self.phone.handle(self.now, input, &mut self.out);
        self.carry();
    }

    fn soon(&mut self, input: Input) {
        self.inputs.push_back((self.now + std::time::Duration::from_millis(1), input));
    }

    fn carry(&mut self) {
        for effect in self.out.take() {
            self.journal.push_str(&format!("{effect:?}\n").replace('\\', ""));
            match effect {
                Effect::Send(datagram) => self.datagram(&datagram),
                Effect::Open(id, dial) => {
                    let event = match dial.security {
                        Security::Tls(tls) if tls.clock.read(self.now).unix_secs() < NOON - 86_400 => {
                            let now = tls.clock.read(self.now);
                            let not_before = Wall::from_unix_secs(NOON - 86_400);
                            StreamEvent::Closed(Closed::Tls(TlsError::NotYetValid { not_before, now }))
                        }
                        _ if dial.to == SocketAddr::from((LOGIN, 443)) => {
                            self.streams.insert(id, ServerConnection::new(Limits::default()));
                            let local = SocketAddr::from((DESK, 50_000));
                            StreamEvent::Opened { local, peer: dial.to }
                        }
                        _ if self.servers.get(&dial.to).is_some_and(|server| server.is_up) => {
                            self.trunks.insert(id, dial.to);
                            let local = SocketAddr::from((DESK, 50_001));
                            StreamEvent::Opened { local, peer: dial.to }
                        }
                        _ => StreamEvent::Closed(Closed::Refused),
                    };
                    self.soon(Input::Stream(id, event));
                }
                Effect::Write(id, bytes) => self.serve(id, &bytes),
                Effect::Close(id) if self.written.contains_key(&id) => self.closed.push(id),
                Effect::Close(id) => drop(self.streams.remove(&id)),
                Effect::Keep(id, keep) => {
                    match keep.write {
                        WriteKind::Append(bytes) => self.disk.entry(keep.file).or_default().extend(bytes),
                        WriteKind::Replace(bytes) => drop(self.disk.insert(keep.file, bytes.to_vec())),
                    }
                    self.soon(Input::Kept(id));
                }
                Effect::Note(Note::Screen { id, .. }) => self.screens.push(id),
                Effect::Note(Note::Event { name, .. }) => self.events.push(name),
                Effect::Listen(Listen { port, security: ListenSecurity::Tcp | ListenSecurity::Tls(_) })
                    if port != crate::line::ports::PORT =>
                {
                    self.ports.push(port);
                }
                Effect::Unlisten(Transport::Tcp, port) => self.ports.retain(|known| *known != port),
                Effect::Note(_) | Effect::Listen(_) | Effect::Unlisten(..) | Effect::Address(_) => {}
            }
        }
    }

    fn datagram(&mut self, asked: &Datagram) {
        let payload = match asked.to.port() {
            67 => lease(&asked.payload),
            53 => address(&asked.payload, &self.names),
            123 if self.has_time_server => time(&asked.payload, self.now),
            _ => return self.sip(asked),
        };
        let from = SocketAddr::from((OFFICE, asked.to.port()));
        let from = if asked.to.ip().is_ipv4() && asked.to.port() != 67 { asked.to } else { from };
        let to = SocketAddr::from((DESK, asked.from.port()));
        self.soon(Input::Datagram(Datagram { from, to, payload: payload.into() }));
    }

    fn sip(&mut self, asked: &Datagram) {
        self.sent.push((self.now, asked.to, asked.payload.clone()));
        let Some(server) = self.servers.get_mut(&asked.to) else { return };
        for payload in server.serve(self.now, &asked.payload) {
            let to = SocketAddr::from((DESK, asked.from.port()));
            self.soon(Input::Datagram(Datagram { from: asked.to, to, payload }));
        }
    }

    /// A datagram from somebody reaches the phone's SIP port; what the phone sends back at once.
    pub fn knock(&mut self, payload: impl Into<Bytes>) -> Vec<Bytes> {
        let before = self.sent.len();
        let (from, to) = (SocketAddr::from((OFFICE, 5060)), SocketAddr::from((DESK, 5060)));
        self.handle(Input::Datagram(Datagram { from, to, payload: payload.into() }));
        self.sent[before..].iter().map(|(_, _, payload)| payload.clone()).collect()
    }

    /// Starts the phone again, as its menu does.
    pub fn restart(&mut self) {
        self.phone.restart(self.now, &mut self.out);
        self.carry();
    }

    /// A stream to a SIP server breaks.
    pub fn break_trunks(&mut self) {
        for id in std::mem::take(&mut self.trunks).into_keys() {
            self.handle(Input::Stream(id, StreamEvent::Closed(Closed::Reset)));
        }
    }

    /// Somebody connects to the phone.
    pub fn connect(&mut self, port: u16) -> StreamId {
        assert!(self.ports.contains(&port), "the phone listens to {:?}", self.ports);
        let id = self.out.fresh_stream();
        self.written.insert(id, Vec::new());
        let (local, peer) = (SocketAddr::from((DESK, port)), SocketAddr::from((OFFICE, 50_123)));
        self.handle(Input::Stream(id, StreamEvent::Accepted { local, peer }));
        id
    }

    /// Sends octets to the phone on a connection that was made to it.
    pub fn send(&mut self, id: StreamId, bytes: impl Into<Bytes>) {
        self.handle(Input::Stream(id, StreamEvent::Received(bytes.into())));
    }

    /// Changes settings as a person would on the phone.
    pub fn configure(&mut self, parameters: &[(&str, &str)]) {
        let parameters: Vec<(String, String)> =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.phone.configure(&parameters, self.now, &mut self.out).expect("it has room");
        self.carry();
    }

    /// A file of settings came into force, as at boot.
    pub fn provision(&mut self, file: &str) {
        let file = crate::config::ConfigFile::parse("site.cfg", file.as_bytes()).expect("a file of settings");
        let power = self.phone.power.as_mut().expect("it is on");
        power.provision(file.values, &mut self.out);
        self.carry();
    }

    fn serve(&mut self, id: StreamId, bytes: &[u8]) {
        if let Some(server) = self.trunks.get(&id).and_then(|to| self.servers.get_mut(to)) {
            for answer in server.serve(self.now, &Bytes::copy_from_slice(bytes)) {
                self.soon(Input::Stream(id, StreamEvent::Received(answer)));
            }
            return;
        }
        if let Some(written) = self.written.get_mut(&id) {
            written.extend(bytes);
            return;
        }
        let Some(mut server) = self.streams.remove(&id) else { return };
        server.receive(bytes);
        while let Some(request) = server.take_request() {
            let (status, body) = match request.uri().path() {
                "/common/oauth2/devicecode" => {
                    self.codes += 1;
                    (
                        200,
                        format!(
                            "{{\"user_code\":\"CODE{0:05}\",\"device_code\":\"device-secret-{0}\",\"verification_url\":\"https://login.contoso.example/device\",\"expires_in\":\"900\",\"interval\":\"5\"}}",
                            self.codes
                        ),
                    )
                }
                "/common/oauth2/token" => {
                    self.polls += 1;
                    (self.poll_answer.0, self.poll_answer.1.to_owned())
                }
                "/events" => {
                    self.posts.push(String::from_utf8_lossy(request.body()).into_owned());
                    (200, String::new())
                }
                _ => (404, String::new()),
            };
            let answer = Response::builder().status(status).body(Bytes::from(body)).expect("a response");
            server.answer(answer);
        }
        let output = server.take_output();
        self.streams.insert(id, server);
        if !output.is_empty() {
            self.soon(Input::Stream(id, StreamEvent::Received(output)));
        }
    }
}

fn lease(asked: &[u8]) -> Vec<u8> {
    let mut answer = Message::decode(&mut Decoder::new(asked)).expect("a DHCP packet");
    let kind = match answer.opts().msg_type() {
        Some(MessageType::Discover) => MessageType::Offer,
        _ => MessageType::Ack,
    };
    answer.set_opcode(Opcode::BootReply);
    answer.set_yiaddr(DESK);
    let options = answer.opts_mut();
    options.clear();
    options.insert(DhcpOption::MessageType(kind));
    options.insert(DhcpOption::ServerIdentifier(OFFICE));
    options.insert(DhcpOption::AddressLeaseTime(86_400 * 30));
    options.insert(DhcpOption::DomainNameServer(vec![OFFICE]));
    options.insert(DhcpOption::NtpServers(vec![OFFICE]));
    answer.to_vec().expect("an answer")
}

fn address(asked: &[u8], names: &[Record]) -> Vec<u8> {
    let asked = hickory_proto::op::Message::from_vec(asked).expect("a question");
    let query = asked.queries[0].clone();
    let mut answer = asked.into_response();
    let known =
        names.iter().filter(|one| one.name == *query.name() && one.record_type() == query.query_type());
    let known: Vec<Record> = known.cloned().collect();
    if !known.is_empty() {
        answer.add_answers(known);
    } else if query.name().to_ascii().starts_with("login.") {
        answer.add_answer(Record::from_rdata(query.name().clone(), 300, RData::A(LOGIN.into())));
    } else {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    answer.to_vec().expect("an answer")
}

fn time(asked: &[u8], now: Time) -> Vec<u8> {
    let mut packet = vec![0; 48];
    packet[0] = 0x24;
    packet[1] = 2;
    packet[24..32].copy_from_slice(&asked[40..48]);
    let secs = NOON as u64 + now.since_start().as_secs() + 2_208_988_800;
    packet[32..40].copy_from_slice(&(secs << 32).to_be_bytes());
    packet[40..48].copy_from_slice(&(secs << 32).to_be_bytes());
    packet
}
