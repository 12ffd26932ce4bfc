//! DNS messages: one question, and what the answer to it says.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};

use super::{Answer, Pointer, Service};

/// Records of an answer that are taken; further ones are ignored.
const RECORDS_LIMIT: usize = 32;
/// Aliases that are followed within one answer.
const CHAIN_LIMIT: usize = 8;
/// Seconds for which "no such name" is remembered, at most (RFC 2308 §5 allows more).
const NOTHING_LIMIT: u32 = 60;

/// Which records are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A.
    Addresses,
    /// SRV.
    Services,
    /// NAPTR.
    Pointers,
}

/// What is asked: a full name in small letters without a last dot, and a kind. Prints as `A fe.contoso.example`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) kind: Kind,
}

impl Key {
    fn record_type(&self) -> RecordType {
        match self.kind {
            Kind::Addresses => RecordType::A,
            Kind::Services => RecordType::SRV,
            Kind::Pointers => RecordType::NAPTR,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.record_type(), self.name)
    }
}

/// What an answer says. Prints in a few words.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// There are records, good for so many seconds.
    Records { records: Answer, ttl: u32 },
    /// There are none, for so many seconds.
    Nothing { ttl: u32 },
    /// The name is an alias of another one, about which the answer says nothing.
    Alias(String),
    /// The server gave up.
    Failure(String),
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: Vec<String>| items.join(", ");
        match self {
            Reading::Records { records: Answer::Addresses(addresses), .. } => {
                f.write_str(&list(addresses.iter().map(IpAddr::to_string).collect()))
            }
            Reading::Records { records: Answer::Services(services), .. } => f.write_str(&list(
                services.iter().map(|service| format!("{}:{}", service.target, service.port)).collect(),
            )),
            Reading::Records { records: Answer::Pointers(pointers), .. } => f.write_str(&list(
                pointers.iter().map(|pointer| format!("{} at {}", pointer.service, pointer.target)).collect(),
            )),
            Reading::Nothing { .. } => f.write_str("no such name"),
            Reading::Alias(name) => write!(f, "alias of {name}"),
            Reading::Failure(code) => f.write_str(code),
        }
    }
}

/// Whether a name can be asked about at all.
pub(super) fn is_domain_name(name: &str) -> bool {
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_letter);
    name.len() <= 253 && name.split('.').all(is_label) && domain_name(name).is_some()
}

fn domain_name(name: &str) -> Option<Name> {
    Name::from_ascii(format!("{name}.")).ok()
}

/// A question as octets.
pub(super) fn write(id: u16, key: &Key) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let name = domain_name(&key.name).expect("only domain names are asked about");
    message.add_query(Query::query(name, key.record_type()));
    message.to_vec().expect("a question of one domain name always encodes")
}

/// What a datagram says about `key`; `None` if it is no answer to that question.
pub(super) fn read(octets: &[u8], id: u16, key: &Key) -> Option<Reading> {
    let message = Message::from_vec(octets).ok()?;
    let head = &message.metadata;
    if head.message_type != MessageType::Response || head.id != id || head.op_code != OpCode::Query {
        return None;
    }
    let [query] = &message.queries[..] else {
        return None;
    };
    let is_same = spell(&query.name) == key.name
        && query.query_type == key.record_type()
        && query.query_class == DNSClass::IN;
    if !is_same {
        return None;
    }
    if head.truncation {
        return Some(Reading::Failure("answer cut short".to_owned()));
    }
    match head.response_code {
        ResponseCode::NoError => Some(read_records(&message, key)),
        ResponseCode::NXDomain => Some(Reading::Nothing { ttl: negative_ttl(&message) }),
        other => Some(Reading::Failure(other.to_string())),
    }
}

fn read_records(message: &Message, key: &Key) -> Reading {
    let mut aliases: BTreeMap<String, (String, u32)> = BTreeMap::new();
    for record in message.answers.iter().take(RECORDS_LIMIT) {
        if let RData::CNAME(target) = &record.data {
            aliases.insert(spell(&record.name), (spell(&target.0), record.ttl));
        }
    }
    let (mut name, mut ttl) = (key.name.clone(), u32::MAX);
    for _ in 0..CHAIN_LIMIT {
        let Some((target, life)) = aliases.get(&name) else { break };
        (name, ttl) = (target.clone(), ttl.min(*life));
    }
    let (mut addresses, mut services, mut pointers) = (Vec::new(), Vec::new(), Vec::new());
    let own = message.answers.iter().take(RECORDS_LIMIT).filter(|record| spell(&record.name) == name);
    for record in own {
        match (&record.data, key.kind) {
            (RData::A(address), Kind::Addresses) => addresses.push(IpAddr::V4(address.0)),
            (RData::SRV(service), Kind::Services) => services.push(Service {
                priority: service.priority,
                weight: service.weight,
                port: service.port,
                target: spell(&service.target),
            }),
            (RData::NAPTR(pointer), Kind::Pointers) => pointers.push(Pointer {
                order: pointer.order,
                preference: pointer.preference,
                flags: String::from_utf8_lossy(&pointer.flags).to_ascii_lowercase(),
                service: String::from_utf8_lossy(&pointer.services).to_ascii_uppercase(),
                target: spell(&pointer.replacement),
            }),
            _ => continue,
        }
        ttl = ttl.min(record.ttl);
    }
    // RFC 2782: a single dot says that the service is decidedly not offered here.
    services.retain(|service| !service.target.is_empty());
    let records = match key.kind {
        Kind::Addresses if !addresses.is_empty() => Answer::Addresses(addresses),
        Kind::Services if !services.is_empty() => Answer::Services(services),
        Kind::Pointers if !pointers.is_empty() => Answer::Pointers(pointers),
        Kind::Addresses | Kind::Services | Kind::Pointers if name != key.name && is_domain_name(&name) => {
            return Reading::Alias(name);
        }
        Kind::Addresses | Kind::Services | Kind::Pointers => {
            return Reading::Nothing { ttl: negative_ttl(message) };
        }
    };
    Reading::Records { records, ttl }
}

fn negative_ttl(message: &Message) -> u32 {
    let soa = message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    soa.unwrap_or(0).min(NOTHING_LIMIT)
}

/// A name in small letters without the last dot.
fn spell(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}
