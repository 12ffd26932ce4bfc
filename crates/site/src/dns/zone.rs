//! Zones: the names that the server answers for, and what they say.
//!
//! Answering is a function of a question and the zones; it follows aliases inside them (RFC 1034 §4.3.2) and
//! says why a name has nothing (RFC 2308).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, SOA, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use thiserror::Error;

/// How many aliases are followed for one question.
const ALIAS_LIMIT: usize = 8;

/// The most names that all zones may hold.
pub const NAMES_LIMIT: usize = 1 << 16;

/// The most records that one name may have.
pub const RECORDS_LIMIT: usize = 64;

/// What a name can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address (RFC 3596).
    Aaaa(Ipv6Addr),
    /// It is another name for this one; nothing else may stand beside it.
    Cname(String),
    /// Where a service is (RFC 2782).
    Srv {
        /// Lower is tried first.
        priority: u16,
        /// The share among equals.
        weight: u16,
        /// The port.
        port: u16,
        /// The host.
        target: String,
    },
}

impl From<IpAddr> for Data {
    fn from(address: IpAddr) -> Data {
        match address {
            IpAddr::V4(address) => Data::A(address),
            IpAddr::V6(address) => Data::Aaaa(address),
        }
    }
}

/// Why a record cannot be taken into the zones.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ZoneError {
    /// It is no domain name.
    #[error("`{0}` is no domain name")]
    Name(String),
    /// It is outside of all zones.
    #[error("`{0}` is in none of the server's zones")]
    Outside(String),
    /// An alias stands alone.
    #[error("`{0}` cannot be an alias and have other records")]
    Alias(String),
    /// There are too many names, or too many records of one.
    #[error("no room for `{0}`")]
    Full(String),
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) code: ResponseCode,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
}

#[derive(Clone, Debug)]
struct Held {
    ttl: u32,
    data: Vec<RData>,
}

/// All zones of a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zones {
    apexes: Vec<Name>,
    names: BTreeMap<Name, Held>,
    /// Grows with every change: the serial of every zone.
    serial: u32,
    server: Option<Name>,
}

impl Zones {
    pub(crate) fn new(apexes: &[String], server: &str) -> Result<Zones, ZoneError> {
        let apexes = apexes.iter().map(|apex| parse(apex)).collect::<Result<Vec<_>, _>>()?;
        Ok(Zones { apexes, names: BTreeMap::new(), serial: 1, server: Some(parse(server)?) })
    }

    /// Gives a name these records in place of all that it had.
    pub(crate) fn set(&mut self, name: &str, ttl: u32, data: &[Data]) -> Result<(), ZoneError> {
        let key = parse(name)?;
        if self.zone_of(&key).is_none() {
            return Err(ZoneError::Outside(name.to_owned()));
        }
        let is_new = !self.names.contains_key(&key);
        if data.len() > RECORDS_LIMIT || (is_new && self.names.len() >= NAMES_LIMIT) {
            return Err(ZoneError::Full(name.to_owned()));
        }
        if data.len() > 1 && data.iter().any(|data| matches!(data, Data::Cname(_))) {
            return Err(ZoneError::Alias(name.to_owned()));
        }
        let data = data.iter().map(rdata).collect::<Result<Vec<_>, _>>()?;
        self.names.insert(key, Held { ttl, data });
        self.serial = self.serial.wrapping_add(1);
        Ok(())
    }

    /// Takes a name and all its records away; whether it was there.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let was_there = parse(name).is_ok_and(|name| self.names.remove(&name).is_some());
        if was_there {
            self.serial = self.serial.wrapping_add(1);
        }
        was_there
    }

    /// Answers a question of class IN.
    pub(crate) fn find(&self, name: &Name, kind: RecordType) -> Finding {
        let empty = |code| Finding { code, answers: vec![], authorities: vec![], additionals: vec![] };
        let Some(apex) = self.zone_of(name) else {
            return empty(ResponseCode::Refused);
        };
        let mut finding = empty(ResponseCode::NoError);
        // Answers carry the name as it was asked: resolvers that vary its letters want it back.
        let (mut name, mut apex) = (name.clone(), apex);
        for _ in 0..=ALIAS_LIMIT {
            let found = self.records(&name, kind, apex);
            if !found.is_empty() {
                finding.answers.extend(found);
                self.add_addresses(&mut finding);
                return finding;
            }
            let Some((record, target)) = self.alias(&name) else {
                finding.code =
                    if self.exists(&name) { ResponseCode::NoError } else { ResponseCode::NXDomain };
                finding.authorities.push(self.soa(apex));
                return finding;
            };
            finding.answers.push(record);
            name = target;
            match self.zone_of(&name) {
                Some(zone) => apex = zone,
                // The rest is for somebody else to find.
                None => return finding,
            }
        }
        // Aliases in a circle, or nearly: nobody can be helped.
        empty(ResponseCode::ServFail)
    }

    fn records(&self, name: &Name, kind: RecordType, apex: &Name) -> Vec<Record> {
        let is_apex = name == apex;
        let is_any = kind == RecordType::ANY;
        let mut records = Vec::new();
        if is_apex && (is_any || kind == RecordType::SOA) {
            records.push(self.soa(apex));
        }
        if is_apex
            && (is_any || kind == RecordType::NS)
            && let Some(server) = &self.server
        {
            records.push(Record::from_rdata(name.clone(), TTL, RData::NS(NS(server.clone()))));
        }
        if let Some(held) = self.names.get(name) {
            let wanted = held.data.iter().filter(|data| is_any || data.record_type() == kind);
            records.extend(wanted.map(|data| Record::from_rdata(name.clone(), held.ttl, data.clone())));
        }
        records
    }

    fn alias(&self, name: &Name) -> Option<(Record, Name)> {
        let held = self.names.get(name)?;
        match held.data.first()? {
            RData::CNAME(CNAME(target)) => {
                let record = Record::from_rdata(name.clone(), held.ttl, RData::CNAME(CNAME(target.clone())));
                Some((record, target.clone()))
            }
            _ => None,
        }
    }

    /// The addresses of the hosts that services are on save the client a question (RFC 2782).
    fn add_addresses(&self, finding: &mut Finding) {
        for record in &finding.answers {
            let RData::SRV(service) = &record.data else { continue };
            let Some(held) = self.names.get(&service.target) else { continue };
            let addresses = held.data.iter().filter(|data| matches!(data, RData::A(_) | RData::AAAA(_)));
            finding.additionals.extend(
                addresses.map(|data| Record::from_rdata(service.target.clone(), held.ttl, data.clone())),
            );
        }
    }

    /// Whether the name is there, or a name below it is (RFC 8020).
    fn exists(&self, name: &Name) -> bool {
        if self.apexes.contains(name) {
            return true;
        }
        // Names are ordered by their labels from the right, so what is below a name comes right after it.
        self.names.range(name..).next().is_some_and(|(next, _)| name.zone_of(next))
    }

    fn zone_of(&self, name: &Name) -> Option<&Name> {
        self.apexes.iter().filter(|apex| apex.zone_of(name)).max_by_key(|apex| apex.num_labels())
    }

    fn soa(&self, apex: &Name) -> Record {
        let server = self.server.clone().unwrap_or_else(Name::root);
        let keeper = parse("hostmaster").ok().and_then(|name| name.append_domain(apex).ok());
        let keeper = keeper.unwrap_or_else(|| apex.clone());
        let refresh = 3600;
        let soa = SOA::new(server, keeper, self.serial, refresh, 600, 86_400, NEGATIVE_TTL);
        Record::from_rdata(apex.clone(), NEGATIVE_TTL, RData::SOA(soa))
    }
}

/// For how many seconds the server's own name may be remembered.
const TTL: u32 = 3600;

/// For how many seconds it may be remembered that there is nothing (RFC 2308 §5).
const NEGATIVE_TTL: u32 = 60;

fn parse(name: &str) -> Result<Name, ZoneError> {
    let bad = |_| ZoneError::Name(name.to_owned());
    let mut parsed = Name::from_ascii(name).map_err(bad)?;
    if name.is_empty() {
        return Err(ZoneError::Name(name.to_owned()));
    }
    parsed.set_fqdn(true);
    Ok(parsed)
}

fn rdata(data: &Data) -> Result<RData, ZoneError> {
    Ok(match data {
        Data::A(address) => RData::A(A(*address)),
        Data::Aaaa(address) => RData::AAAA(AAAA(*address)),
        Data::Cname(target) => RData::CNAME(CNAME(parse(target)?)),
        Data::Srv { priority, weight, port, target } => {
            RData::SRV(SRV::new(*priority, *weight, *port, parse(target)?))
        }
    })
}
