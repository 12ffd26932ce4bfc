//! The DNS server: the zones of the lab, with authority (RFC 1034, RFC 1035, RFC 2782, RFC 6891).
//!
//! It asks nobody else: what is outside its zones is refused. Records change in mid-run as a story or an
//! administrator says. Over UDP an answer that is too long is cut and marked; over TCP there is room.

mod zone;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};
use net::{Input, ListenSecurity, Node, Note, Outbox, StreamEvent, StreamId, Time};

pub use zone::{Data, NAMES_LIMIT, RECORDS_LIMIT, ZoneError};

use crate::events;
use zone::{Finding, Zones};

/// The port of the service, for UDP and TCP.
pub const PORT: u16 = 53;

/// The longest answer over UDP for who says nothing about it (RFC 1035 §4.2.1).
const UDP_LIMIT: u16 = 512;

/// The longest answer over UDP for anybody: what passes a network without being cut up.
const EDNS_LIMIT: u16 = 1232;

/// The most TCP connections at a time; further ones are closed.
const STREAMS_LIMIT: usize = 64;

/// How long a TCP connection may be silent (RFC 7766 §6.2.3 leaves the number to the server).
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// What a DNS server is told before it starts.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What people call the server.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its host name, for NS and SOA records: `dns.contoso.example`.
    pub host: String,
    /// The zones it has authority over: `contoso.example`.
    pub zones: Vec<String>,
    /// Its records.
    pub records: Vec<Entry>,
}

/// All records of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name: `fe.contoso.example`.
    pub name: String,
    /// For how many seconds others may remember it.
    pub ttl: u32,
    /// What it says.
    pub data: Vec<Data>,
}

/// The DNS server of the lab.
#[derive(Debug)]
pub struct DnsServer {
    setup: Setup,
    zones: Zones,
    streams: BTreeMap<StreamId, Stream>,
    is_on: bool,
}

#[derive(Debug)]
struct Stream {
    peer: SocketAddr,
    received: Vec<u8>,
    until: Time,
}

impl DnsServer {
    /// A server that is still without power.
    ///
    /// # Errors
    ///
    /// If a name is none, or lies outside the zones.
    pub fn new(setup: Setup) -> Result<DnsServer, ZoneError> {
        let mut zones = Zones::new(&setup.zones, &setup.host)?;
        for entry in &setup.records {
            zones.set(&entry.name, entry.ttl, &entry.data)?;
        }
        Ok(DnsServer { setup, zones, streams: BTreeMap::new(), is_on: false })
    }

    /// What people call the server.
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// Gives a name these records in place of all that it had; others may remember the old ones until their
    /// time has passed. Without records the name is there and has nothing, which is not the same as not being
    /// there: see [`DnsServer::remove`].
    ///
    /// # Errors
    ///
    /// If a name is none or lies outside the zones, an alias has company, or there is no room.
    pub fn set(&mut self, name: &str, ttl: u32, data: &[Data]) -> Result<(), ZoneError> {
        self.zones.set(name, ttl, data)
    }

    /// Takes a name and all its records away; whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        self.zones.remove(name)
    }

    fn udp(&mut self, from: SocketAddr, packet: &[u8], out: &mut Outbox) {
        if let Some((answer, limit)) = self.answer(from, packet, out) {
            let octets = write(&answer, limit);
            if octets.is_empty() {
                return;
            }
            out.send(SocketAddr::new(self.setup.address, PORT), from, octets);
        }
    }

    fn tcp(&mut self, id: StreamId, now: Time, bytes: &[u8], out: &mut Outbox) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.received.extend_from_slice(bytes);
        stream.until = now + IDLE_LIMIT;
        let peer = stream.peer;
        let mut received = std::mem::take(&mut stream.received);
        let mut at = 0;
        // Each message comes after its length (RFC 1035 §4.2.2). What is left is less than one of them.
        while let Some((head, rest)) = received[at..].split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*head));
            let Some(packet) = rest.get(..length) else { break };
            let Some((answer, _)) = self.answer(peer, packet, out) else {
                // What is no question at all has no answer, and who sends it is not waited for.
                self.streams.remove(&id);
                out.close(id);
                return;
            };
            let octets = write(&answer, u16::MAX);
            let length = u16::try_from(octets.len()).unwrap_or(0);
            out.write(id, [&length.to_be_bytes()[..], &octets].concat());
            at += 2 + packet.len();
        }
        received.drain(..at);
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.received = received;
        }
    }

    /// The answer to a packet and the most octets it may have over UDP; `None` if it deserves none.
    fn answer(&self, from: SocketAddr, packet: &[u8], out: &mut Outbox) -> Option<(Message, u16)> {
        // An answer, or less than a head: two servers must not talk to each other for ever.
        let (head, _) = packet.split_first_chunk::<12>()?;
        if head[2] & 0x80 != 0 {
            return None;
        }
        let Ok(asked) = Message::from_vec(packet) else {
            let id = u16::from_be_bytes([head[0], head[1]]);
            let op_code = OpCode::from_u8(head[2] >> 3 & 0x0f);
            let answer = Message::error_msg(id, op_code, ResponseCode::FormErr);
            self.say(from, "an unreadable question", "?", &answer, out);
            return Some((answer, UDP_LIMIT));
        };
        let limit = match &asked.edns {
            Some(edns) => edns.max_payload().clamp(UDP_LIMIT, EDNS_LIMIT),
            None => UDP_LIMIT,
        };
        let mut answer = Message::response(asked.id, asked.op_code);
        answer.metadata.recursion_desired = asked.recursion_desired;
        answer.metadata.checking_disabled = asked.checking_disabled;
        answer.add_queries(asked.queries.iter().take(1).cloned());
        if asked.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(EDNS_LIMIT);
            answer.set_edns(edns);
        }
        let question = match &asked.queries[..] {
            [question] => question,
            _ => {
                answer.metadata.response_code = ResponseCode::FormErr;
                self.say(from, "not one question", "?", &answer, out);
                return Some((answer, limit));
            }
        };
        self.fill(&asked, question, &mut answer);
        let of = plain_name(question);
        self.say(from, &format!("{} {of}", question.query_type()), &of, &answer, out);
        Some((answer, limit))
    }

    fn fill(&self, asked: &Message, question: &Query, answer: &mut Message) {
        let is_transfer = matches!(question.query_type(), RecordType::AXFR | RecordType::IXFR);
        let code = if asked.op_code != OpCode::Query {
            ResponseCode::NotImp
        } else if asked.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
            ResponseCode::BADVERS
        } else if question.query_class() != DNSClass::IN || is_transfer {
            ResponseCode::Refused
        } else {
            let Finding { code, answers, authorities, additionals } =
                self.zones.find(question.name(), question.query_type());
            answer.metadata.authoritative = matches!(code, ResponseCode::NoError | ResponseCode::NXDomain);
            answer.add_answers(answers);
            answer.add_authorities(authorities);
            answer.add_additionals(additionals);
            code
        };
        answer.metadata.response_code = code;
    }

    fn say(&self, from: SocketAddr, asked: &str, of: &str, answer: &Message, out: &mut Outbox) {
        out.note(Note::received(from, format!("DNS {asked}?")));
        let code = answer.response_code;
        let found: Vec<String> = answer.answers.iter().map(spell).collect();
        let text = match (code, found.is_empty()) {
            (ResponseCode::NoError, false) => found.join(", "),
            (ResponseCode::NoError, true) => "nothing of that kind".to_owned(),
            (code, _) => spell_code(code),
        };
        out.note(Note::sent(from, format!("DNS {of}: {text}")));
        let event = match (code, found.is_empty()) {
            (ResponseCode::NoError, false) => events::NAME_ANSWERED,
            (ResponseCode::NoError, true) | (ResponseCode::NXDomain, _) => events::NAME_NOT_FOUND,
            _ => events::NAME_REFUSED,
        };
        out.note(Note::event(event, of, format!("{asked}: {text}")));
    }

    fn start(&mut self, out: &mut Outbox) {
        self.streams.clear();
        self.is_on = true;
        out.address(Some(self.setup.address));
        out.listen(PORT, ListenSecurity::Udp);
        out.listen(PORT, ListenSecurity::Tcp);
    }

    fn stream(&mut self, id: StreamId, event: StreamEvent, now: Time, out: &mut Outbox) {
        match event {
            StreamEvent::Accepted { peer, .. } if self.streams.len() < STREAMS_LIMIT => {
                self.streams.insert(id, Stream { peer, received: Vec::new(), until: now + IDLE_LIMIT });
            }
            StreamEvent::Accepted { .. } => out.close(id),
            StreamEvent::Received(bytes) => self.tcp(id, now, &bytes, out),
            StreamEvent::Closed(_) => {
                self.streams.remove(&id);
            }
            StreamEvent::Opened { .. } => {}
        }
    }
}

impl Node for DnsServer {
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
        match input {
            Input::PowerOn(_) => self.start(out),
            Input::PowerOff => {
                self.is_on = false;
                self.streams.clear();
            }
            Input::Datagram(datagram) if self.is_on && datagram.to.port() == PORT => {
                self.udp(datagram.from, &datagram.payload, out);
            }
            Input::Stream(id, event) if self.is_on => self.stream(id, event, now, out),
            Input::Woken if self.is_on => {
                let late = self.streams.iter().filter(|(_, stream)| stream.until <= now);
                for id in late.map(|(id, _)| *id).collect::<Vec<_>>() {
                    self.streams.remove(&id);
                    out.close(id);
                }
            }
            Input::Datagram(_) | Input::Stream(..) | Input::Woken | Input::Kept(_) => {}
        }
    }

    fn wake_at(&self) -> Option<Time> {
        self.streams.values().map(|stream| stream.until).min()
    }
}

/// An answer's octets, at most `limit` of them: first the additional records go, then everything (RFC 2181 §9).
fn write(answer: &Message, limit: u16) -> Vec<u8> {
    let limit = usize::from(limit);
    let mut lean = answer.clone();
    for step in 0..3 {
        match lean.to_vec() {
            Ok(octets) if octets.len() <= limit => return octets,
            _ if step == 0 => lean.additionals.clear(),
            _ => lean = lean.truncate(),
        }
    }
    // A question alone is at most 271 octets, so nothing is left to go wrong.
    Vec::new()
}

/// The name asked for, without its last dot and in small letters.
fn plain_name(question: &Query) -> String {
    let name = question.name().to_lowercase().to_ascii();
    match name.strip_suffix('.') {
        Some("") | None => name,
        Some(plain) => plain.to_owned(),
    }
}

fn spell(record: &Record) -> String {
    match &record.data {
        RData::SRV(service) => {
            let target = service.target.to_ascii();
            format!("SRV {}:{}", target.trim_end_matches('.'), service.port)
        }
        RData::CNAME(alias) => format!("CNAME {}", alias.0.to_ascii().trim_end_matches('.')),
        data => format!("{} {data}", record.record_type()),
    }
}

fn spell_code(code: ResponseCode) -> String {
    match code {
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::BADVERS => "BADVERS".to_owned(),
        other => format!("{other:?}"),
    }
}
