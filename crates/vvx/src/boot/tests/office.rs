//! The scripted office, and a phone in it.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode, UnknownOption};
use dhcproto::{Decodable as _, Decoder, Encodable as _};
use net::http::{Limits, Response, ServerConnection, StatusCode};
use net::{Closed, Datagram, Disk, Effect, Note, RecordId, StreamEvent, StreamId, Wall, WriteKind};

use crate::boot::*;
use crate::log::LogKind;

pub const DHCP: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);
pub const PROV: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 2);
/// Another file server with the same files.
pub const OTHER: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 3);
pub const NTP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 123);
pub const DNS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
pub const DESK: Ipv4Addr = Ipv4Addr::new(10, 20, 2, 1);
pub const NOON: &str = "2018-10-09T12:00:00Z";

/// What the office's servers do; tests change it.
pub struct Office {
    pub dhcp_answers: bool,
    pub refuses_requests: bool,
    pub offers: Vec<(Ipv4Addr, Ipv4Addr, bool)>,
    pub lease_s: u32,
    pub boot_server: String,
    pub tells_uc_clients: bool,
    pub ntp_servers: Vec<Ipv4Addr>,
    pub ntp_answers: bool,
    pub is_prov_up: bool,
    /// Names to contents, or to a status.
    pub files: BTreeMap<String, Result<String, u16>>,
    pub wants_login: bool,
    /// What was asked, one line each.
    pub asked: Vec<String>,
    pub uploads: BTreeMap<String, String>,
    pub agents: Vec<String>,
    /// Hosts to which a login was sent.
    pub logins: Vec<String>,
}

impl Default for Office {
    fn default() -> Office {
        Office {
            dhcp_answers: true,
            refuses_requests: false,
            offers: vec![(DHCP, DESK, true)],
            lease_s: 3600,
            boot_server: format!("http://{PROV}/"),
            tells_uc_clients: true,
            ntp_servers: vec![NTP],
            ntp_answers: true,
            is_prov_up: true,
            files: BTreeMap::new(),
            wants_login: false,
            asked: Vec::new(),
            uploads: BTreeMap::new(),
            agents: Vec::new(),
            logins: Vec::new(),
        }
    }
}

/// A phone with all its parts, in its office.
pub struct Desk {
    pub office: Office,
    pub now: Time,
    pub boot: Boot,
    pub booted: Option<Booted>,
    pub flash: Flash,
    pub config: Config,
    pub clock: Clock,
    pub log: Log,
    pub resolver: Resolver,
    pub fetcher: Fetcher,
    pub events: Vec<(Time, &'static str)>,
    pub network_events: Vec<NetworkEvent>,
    pub phases: Vec<Phase>,
    pub address: Option<IpAddr>,
    pub disk: Disk,
    random: Random,
    out: Outbox,
    inputs: VecDeque<Input>,
    servers: BTreeMap<StreamId, (SocketAddr, ServerConnection)>,
}

pub fn secs(secs: u64) -> Time {
    Time::from_secs(secs)
}

impl Desk {
    /// A phone that gets power now.
    pub fn in_office(office: Office) -> Desk {
        Desk::with(office, Disk::new(), BootSetup::default())
    }

    pub fn with(office: Office, disk: Disk, setup: BootSetup) -> Desk {
        let mut out = Outbox::new();
        let now = Time::ZERO;
        let flash = Flash::read(&disk).0;
        Desk {
            office,
            now,
            boot: Boot::new(&setup, now),
            booted: None,
            config: Config::read(&flash),
            flash,
            clock: Clock::factory_default(now),
            log: Log::new(now, &mut out),
            resolver: Resolver::new(),
            fetcher: Fetcher::new(),
            events: Vec::new(),
            network_events: Vec::new(),
            phases: Vec::new(),
            address: None,
            inputs: [Input::PowerOn(disk.clone())].into(),
            disk,
            random: Random::named(1, "desk"),
            out,
            servers: BTreeMap::new(),
        }
    }

    /// Lets things happen until `until`, or until the phone has booted.
    pub fn boot_until(&mut self, until: Time) -> &mut Desk {
        while self.booted.is_none() && self.step(until) {}
        self
    }

    pub fn run_until(&mut self, until: Time) -> &mut Desk {
        while self.step(until) {}
        self
    }

    pub fn wake_at(&self) -> Option<Time> {
        match &self.booted {
            Some(booted) => [booted.network.wake_at(), self.resolver.wake_at(), self.fetcher.wake_at()]
                .into_iter()
                .flatten()
                .min(),
            None => self.boot.wake_at(&self.resolver, &self.fetcher),
        }
    }

    pub fn has_logged(&self, text: &str) -> bool {
        [LogKind::Boot, LogKind::Application].into_iter().any(|kind| self.log.text(kind).contains(text))
    }

    pub fn event_names(&self) -> Vec<&'static str> {
        self.events.iter().map(|(_, name)| *name).collect()
    }

    pub fn give(&mut self, input: Input) {
        self.inputs.push_back(input);
    }

    fn step(&mut self, until: Time) -> bool {
        if self.inputs.is_empty() {
            match self.wake_at() {
                Some(at) if at <= until => {
                    assert!(at >= self.now || self.now == Time::ZERO, "asked to be woken in the past");
                    self.now = self.now.max(at);
                    self.inputs.push_back(Input::Woken);
                }
                _ => {
                    self.now = self.now.max(until);
                    return false;
                }
            }
        }
        let Some(input) = self.inputs.pop_front() else { return false };
        if let Input::Kept(id) = input {
            self.flash.kept(id);
        }
        let (model, firmware) =
            (Model::find("vvx500").expect("a model"), Firmware::parse("5.9.6.2327").expect("a release"));
        let trust = Trust::new([]);
        let mut parts = BootParts {
            flash: &mut self.flash,
            config: &mut self.config,
            clock: &mut self.clock,
            random: &mut self.random,
            log: &mut self.log,
            resolver: &mut self.resolver,
            fetcher: &mut self.fetcher,
            trust: &trust,
            model,
            firmware: &firmware,
            mac: Mac([0, 4, 0xf2, 0xab, 0xcd, 0xef]),
            name: "desk",
        };
        match &mut self.booted {
            Some(booted) => {
                let resolved = parts.resolver.handle(self.now, &input, parts.random, &mut self.out);
                let (fetcher, mut fetch_parts) = parts.fetch();
                fetcher.handle(self.now, &input, &resolved, &mut fetch_parts, &mut self.out);
                let events = booted.network.handle(self.now, &input, &resolved, &mut parts, &mut self.out);
                self.network_events.extend(events);
            }
            None => self.booted = self.boot.handle(self.now, &input, &mut parts, &mut self.out),
        }
        let phase = self.boot.phase(self.now);
        if self.phases.last() != Some(&phase) {
            self.phases.push(phase);
        }
        for effect in self.out.take() {
            self.carry_out(effect);
        }
        true
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send(datagram) => {
                for answer in self.office.answer(&datagram) {
                    self.inputs.push_back(Input::Datagram(answer));
                }
            }
            Effect::Open(id, dial) => {
                let is_up =
                    self.office.is_prov_up && [PROV, OTHER].iter().any(|ip| dial.to == (*ip, 80).into());
                let event = if is_up {
                    self.servers.insert(id, (dial.to, ServerConnection::new(Limits::default())));
                    StreamEvent::Opened { local: SocketAddr::new(DESK.into(), 50_000), peer: dial.to }
                } else {
                    StreamEvent::Closed(Closed::Refused)
                };
                self.inputs.push_back(Input::Stream(id, event));
            }
            Effect::Write(id, octets) => self.serve(id, &octets),
            Effect::Close(id) => drop(self.servers.remove(&id)),
            Effect::Address(address) => self.address = address,
            Effect::Keep(id, keep) => {
                self.keep(id, keep);
            }
            Effect::Note(Note::Event { name, .. }) => self.events.push((self.now, name)),
            Effect::Note(_) | Effect::Listen(_) | Effect::Unlisten(..) => {}
        }
    }

    fn keep(&mut self, id: RecordId, keep: net::Keep) {
        match keep.write {
            WriteKind::Append(bytes) => self.disk.entry(keep.file).or_default().extend(bytes),
            WriteKind::Replace(bytes) => drop(self.disk.insert(keep.file, bytes.to_vec())),
        }
        self.inputs.push_back(Input::Kept(id));
    }

    fn serve(&mut self, id: StreamId, octets: &[u8]) {
        let Some((_, server)) = self.servers.get_mut(&id) else { return };
        server.receive(octets);
        while let Some(request) = server.take_request() {
            server.answer(self.office.serve(&request));
        }
        let answer = server.take_output();
        if !answer.is_empty() {
            self.inputs.push_back(Input::Stream(id, StreamEvent::Received(answer)));
        }
    }
}

impl Office {
    fn answer(&mut self, asked: &Datagram) -> Vec<Datagram> {
        let reply = |from: SocketAddr, to: SocketAddr, payload: Vec<u8>| Datagram {
            from,
            to,
            payload: Bytes::from(payload),
        };
        match asked.to.port() {
            67 => {
                let message = Message::decode(&mut Decoder::new(&asked.payload)).expect("a DHCP packet");
                let kind = message.opts().msg_type().expect("a message type");
                let to =
                    if message.ciaddr().is_unspecified() { "255.255.255.255:68" } else { "10.20.2.1:68" };
                let to = to.parse().expect("an address");
                self.asked.push(format!("{kind:?} to {}", asked.to.ip()));
                let answers = self.lease(&message, kind).into_iter();
                let octets = |answer: Message| answer.to_vec().expect("an answer");
                answers.map(|(server, answer)| reply((server, 67).into(), to, octets(answer))).collect()
            }
            123 if self.ntp_answers && self.ntp_servers.iter().any(|ntp| asked.to.ip() == *ntp) => {
                let mut packet = vec![0; 48];
                packet[0] = 0x24;
                packet[1] = 2;
                packet[24..32].copy_from_slice(&asked.payload[40..48]);
                let noon = Wall::parse(NOON).expect("a date").unix_secs() as u64 + 2_208_988_800;
                packet[40..48].copy_from_slice(&(noon << 32).to_be_bytes());
                vec![reply(asked.to, asked.from, packet)]
            }
            53 => {
                let asked_for = hickory_proto::op::Message::from_vec(&asked.payload).expect("a question");
                self.asked.push(format!("name {}", asked_for.queries[0].name));
                let mut answer = asked_for.into_response();
                answer.metadata.response_code = hickory_proto::op::ResponseCode::NXDomain;
                vec![reply(asked.to, asked.from, answer.to_vec().expect("an answer"))]
            }
            _ => Vec::new(),
        }
    }

    fn lease(&self, asked: &Message, kind: MessageType) -> Vec<(Ipv4Addr, Message)> {
        if !self.dhcp_answers {
            return Vec::new();
        }
        let wished = match asked.opts().get(OptionCode::ServerIdentifier) {
            Some(DhcpOption::ServerIdentifier(server)) => Some(*server),
            _ => None,
        };
        let answers = self.offers.iter().filter(|(server, ..)| {
            kind == MessageType::Discover || wished.is_none_or(|wished| wished == *server)
        });
        let kind = match kind {
            MessageType::Discover => MessageType::Offer,
            MessageType::Request if self.refuses_requests => MessageType::Nak,
            _ => MessageType::Ack,
        };
        let is_uc = asked.opts().get(OptionCode::ClassIdentifier)
            == Some(&DhcpOption::ClassIdentifier(b"MS-UC-Client".to_vec()));
        answers
            .map(|(server, address, names_boot_server)| {
                let mut answer = asked.clone();
                answer.set_opcode(Opcode::BootReply);
                answer.set_yiaddr(*address);
                let options = answer.opts_mut();
                options.clear();
                options.insert(DhcpOption::MessageType(kind));
                options.insert(DhcpOption::ServerIdentifier(*server));
                if is_uc && self.tells_uc_clients {
                    options.insert(DhcpOption::VendorExtensions(uc_options()));
                    let registrar = b"\0\x02fe\x07contoso\x07example\0".to_vec();
                    let registrar = UnknownOption::new(OptionCode::from(120), registrar);
                    options.insert(DhcpOption::Unknown(registrar));
                }
                if !is_uc && kind != MessageType::Nak {
                    options.insert(DhcpOption::AddressLeaseTime(self.lease_s));
                    options.insert(DhcpOption::DomainNameServer(vec![DNS]));
                    options.insert(DhcpOption::DomainName("hq.contoso.example".to_owned()));
                    options.insert(DhcpOption::NtpServers(self.ntp_servers.clone()));
                    options.insert(DhcpOption::TimeOffset(7200));
                    if *names_boot_server {
                        let boot = self.boot_server.clone().into_bytes();
                        options.insert(DhcpOption::Unknown(UnknownOption::new(OptionCode::from(160), boot)));
                    }
                }
                (*server, answer)
            })
            .collect()
    }

    fn serve(&mut self, request: &net::http::Request<Bytes>) -> Response<Bytes> {
        let file = request.uri().path().trim_start_matches('/').to_owned();
        self.asked.push(format!("{} {file}", request.method()));
        let header = |name: &str| {
            request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        self.agents.push(header("user-agent"));
        if !header("authorization").is_empty() {
            self.logins.push(header("host"));
        }
        let answer = |status: u16, body: String| {
            let mut answer = Response::new(Bytes::from(body));
            *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
            answer
        };
        // PlcmSpIp:PlcmSpIp
        if self.wants_login && header("authorization") != "Basic UGxjbVNwSXA6UGxjbVNwSXA=" {
            let mut refused = answer(401, String::new());
            let challenge = "Basic realm=\"files\"".parse().expect("a value");
            refused.headers_mut().insert("www-authenticate", challenge);
            return refused;
        }
        match request.method().as_str() {
            "PUT" => {
                let body = String::from_utf8(request.body().to_vec()).expect("text");
                self.uploads.insert(file, body);
                answer(201, String::new())
            }
            _ => match self.files.get(&file) {
                Some(Ok(body)) => answer(200, body.clone()),
                Some(Err(status)) => answer(*status, String::new()),
                None => answer(404, String::new()),
            },
        }
    }

    /// What was asked of the file server.
    pub fn files_asked(&self) -> Vec<&str> {
        let is_file = |line: &&str| ["GET ", "PUT ", "HEAD "].iter().any(|method| line.starts_with(method));
        self.asked.iter().map(String::as_str).filter(is_file).collect()
    }

    /// What was asked of DHCP servers.
    pub fn leases_asked(&self) -> Vec<&str> {
        self.asked.iter().map(String::as_str).filter(|line| line.contains(" to ")).collect()
    }

    pub fn file(mut self, name: &str, body: &str) -> Office {
        self.files.insert(name.to_owned(), Ok(body.to_owned()));
        self
    }
}

fn uc_options() -> Vec<u8> {
    let parts =
        [(1u8, "MS-UC-Client"), (2, "https"), (3, "fe.contoso.example"), (4, "443"), (5, "/CertProv/x.svc")];
    parts.iter().flat_map(|(code, text)| [&[*code, text.len() as u8], text.as_bytes()].concat()).collect()
}
