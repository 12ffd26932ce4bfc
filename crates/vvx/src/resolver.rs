//! Names to addresses, services to hosts and domains to services, by DNS over UDP (RFC 1035, RFC 2782, RFC 3403).
//!
//! Ids and source ports are drawn by chance, and an answer counts only if it comes from a server that was asked,
//! to that port, with that id and that question. Servers are asked in turn, 2 s for each in the first round and
//! 4 s in the two that follow; one that gives up is not asked again. Answers are remembered for as long as their
//! TTL says, at most a day. Answers that were cut short for want of room are not asked for again over TCP.

mod cache;
mod message;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use net::{Datagram, Input, ListenSecurity, Note, Outbox, Random, Time, Transport};
use thiserror::Error;

use cache::Cache;
use message::{Key, Kind, Reading};

/// Questions under way at a time.
pub const QUESTIONS_LIMIT: usize = 64;
/// Servers that are asked; further ones are ignored.
const SERVERS_LIMIT: usize = 4;
/// How long a server may take, round by round.
const ROUNDS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(4)];
/// How often an answer may point to another name that must be asked about in turn.
const ALIASES_LIMIT: u8 = 4;
/// The first of the ports from which questions are sent (RFC 6335 §6: the dynamic ports).
const FIRST_PORT: u16 = 49152;

/// A question under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// The IPv4 addresses of a host.
    Addresses(String),
    /// The hosts that offer a service, such as `_sipinternaltls._tcp.contoso.example`.
    Services(String),
    /// The services of a domain by transport (NAPTR, RFC 3263 §4.1).
    Pointers(String),
}

/// Where a domain says a service by some transport is found (RFC 3403, RFC 3263 §4.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer {
    /// Lower counts; others do not if the lowest can be used.
    pub order: u16,
    /// Among equals, lower is tried first.
    pub preference: u16,
    /// What the target is: `s` a service's name.
    pub flags: String,
    /// The service and its transport: `SIP+D2U`.
    pub service: String,
    /// The name to go on with, without the last dot.
    pub target: String,
}

/// A host that offers a service (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Lower is tried first.
    pub priority: u16,
    /// Share among equals.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host, without the last dot.
    pub target: String,
}

/// What came back; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Addresses, in the order of the answer.
    Addresses(Vec<IpAddr>),
    /// Services, in the order in which to try them.
    Services(Vec<Service>),
    /// Pointers to services, in the order in which to try them.
    Pointers(Vec<Pointer>),
}

/// Why a name has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// The name does not exist, or has no record of the wanted kind.
    #[error("no such name `{0}`")]
    NoSuchName(String),
    /// No server answered.
    #[error("no DNS server answered about `{name}` within {}", net::time::spell(*waited))]
    NoAnswer {
        /// The name.
        name: String,
        /// How long was waited in all.
        waited: Duration,
    },
    /// Every server that answered gave up.
    #[error("DNS server failed on `{name}`: {code}")]
    ServerFailure {
        /// The name.
        name: String,
        /// The server's word.
        code: String,
    },
    /// Nobody told the phone a DNS server.
    #[error("no DNS server is known to ask about `{0}`")]
    NoServers(String),
    /// This is no domain name.
    #[error("`{0}` is no domain name")]
    BadName(String),
    /// Too many questions are under way.
    #[error("more than {QUESTIONS_LIMIT} DNS questions at once")]
    Busy,
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It was known, or cannot be asked.
    Done(Result<Answer, ResolveError>),
    /// [`Resolver::handle`] will tell, under this id.
    Pending(QueryId),
}

/// A question that came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Which one.
    pub id: QueryId,
    /// How.
    pub result: Result<Answer, ResolveError>,
}

/// A question whose answer has not come.
#[derive(Debug)]
struct Underway {
    /// As it was asked, for the error.
    name: String,
    /// What is asked about now: the name itself, or what it is an alias of.
    key: Key,
    port: u16,
    id: u16,
    began: Time,
    deadline: Time,
    /// How many times somebody was asked, all rounds together.
    attempts: usize,
    asked: BTreeSet<SocketAddr>,
    failed: BTreeMap<SocketAddr, String>,
    aliases: u8,
}

/// The DNS client.
#[derive(Debug, Default)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    domain: Option<String>,
    cache: Cache,
    underway: BTreeMap<QueryId, Underway>,
    next_query: u64,
}

impl Resolver {
    /// One that knows no server yet.
    pub fn new() -> Resolver {
        Resolver::default()
    }

    /// Whom to ask from now on, and the domain that completes names without a dot. Forgets the cache if either
    /// is another than before.
    pub fn configure(&mut self, servers: &[IpAddr], domain: Option<&str>) {
        let servers: Vec<SocketAddr> =
            servers.iter().take(SERVERS_LIMIT).map(|server| SocketAddr::new(*server, 53)).collect();
        if servers != self.servers || domain != self.domain.as_deref() {
            self.cache = Cache::default();
        }
        self.servers = servers;
        self.domain = domain.map(str::to_owned);
    }

    /// Asks. What is in the cache is answered at once.
    pub fn ask(&mut self, question: Question, now: Time, random: &mut Random, out: &mut Outbox) -> Lookup {
        let (name, key) = self.key(question);
        if !message::is_domain_name(&key.name) {
            return Lookup::Done(Err(ResolveError::BadName(name)));
        }
        if let Some(known) = self.cache.find(&key, now) {
            return Lookup::Done(finish(known.clone(), &name, random));
        }
        if self.servers.is_empty() {
            return Lookup::Done(Err(ResolveError::NoServers(name)));
        }
        if self.underway.len() >= QUESTIONS_LIMIT {
            return Lookup::Done(Err(ResolveError::Busy));
        }
        let port = self.free_port(random);
        let mut question = Underway {
            name,
            key,
            port,
            id: random.next_u64() as u16,
            began: now,
            deadline: now,
            attempts: 0,
            asked: BTreeSet::new(),
            failed: BTreeMap::new(),
            aliases: 0,
        };
        out.listen(port, ListenSecurity::Udp);
        self.next_query += 1;
        let id = QueryId(self.next_query);
        question.ask_next(&self.servers, now, out);
        self.underway.insert(id, question);
        Lookup::Pending(id)
    }

    /// For how long the answer to a question that was asked before still holds; `None` if it is not remembered.
    pub fn life(&self, question: Question, now: Time) -> Option<Duration> {
        let (_, key) = self.key(question);
        self.cache.life(&key, now)
    }

    /// The name as it was given, and what is asked about it in full.
    fn key(&self, question: Question) -> (String, Key) {
        let (name, kind) = match question {
            Question::Addresses(name) => (name, Kind::Addresses),
            Question::Services(name) => (name, Kind::Services),
            Question::Pointers(name) => (name, Kind::Pointers),
        };
        let mut full = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(domain) = self.domain.as_deref().filter(|_| !full.contains('.')) {
            full = format!("{full}.{domain}");
        }
        (name, Key { name: full, kind })
    }

    /// Takes in what happened; returns the questions that came to their end.
    pub fn handle(
        &mut self,
        now: Time,
        input: &Input,
        random: &mut Random,
        out: &mut Outbox,
    ) -> Vec<Resolved> {
        let mut resolved = Vec::new();
        if let Input::Datagram(datagram) = input {
            resolved.extend(self.receive(datagram, now, random, out));
        }
        let late: Vec<QueryId> = self
            .underway
            .iter()
            .filter(|(_, question)| question.deadline <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            resolved.extend(self.go_on(id, now, out));
        }
        resolved
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        self.underway.values().map(|question| question.deadline).min()
    }

    fn receive(
        &mut self,
        datagram: &Datagram,
        now: Time,
        random: &mut Random,
        out: &mut Outbox,
    ) -> Option<Resolved> {
        let (id, question) = self.underway.iter_mut().find(|(_, question)| {
            question.port == datagram.to.port() && question.asked.contains(&datagram.from)
        })?;
        let id = *id;
        let reading = message::read(&datagram.payload, question.id, &question.key)?;
        out.note(Note::received(datagram.from, format!("DNS {}: {reading}", question.key)));
        match reading {
            Reading::Records { records, ttl } => {
                self.cache.keep(question.key.clone(), Some(records.clone()), ttl, now);
                Some(self.end(id, Some(records), random, out))
            }
            Reading::Nothing { ttl } => {
                self.cache.keep(question.key.clone(), None, ttl, now);
                Some(self.end(id, None, random, out))
            }
            Reading::Alias(name) => {
                question.aliases += 1;
                if question.aliases > ALIASES_LIMIT {
                    return Some(self.end(id, None, random, out));
                }
                question.key.name = name;
                if let Some(known) = self.cache.find(&question.key, now) {
                    let known = known.clone();
                    return Some(self.end(id, known, random, out));
                }
                question.id = random.next_u64() as u16;
                question.attempts = 0;
                question.asked.clear();
                self.go_on(id, now, out)
            }
            Reading::Failure(code) => {
                question.failed.insert(datagram.from, code);
                self.go_on(id, now, out)
            }
        }
    }

    /// Asks the next server, or gives up.
    fn go_on(&mut self, id: QueryId, now: Time, out: &mut Outbox) -> Option<Resolved> {
        let question = self.underway.get_mut(&id)?;
        if question.ask_next(&self.servers, now, out) {
            return None;
        }
        let question = self.underway.remove(&id)?;
        out.unlisten(Transport::Udp, question.port);
        let name = question.name;
        let why = match question.failed.into_values().next_back() {
            Some(code) => ResolveError::ServerFailure { name, code },
            None => ResolveError::NoAnswer { name, waited: now.since(question.began) },
        };
        Some(Resolved { id, result: Err(why) })
    }

    fn end(
        &mut self,
        id: QueryId,
        records: Option<Answer>,
        random: &mut Random,
        out: &mut Outbox,
    ) -> Resolved {
        let question = self.underway.remove(&id).expect("only questions under way come to an end");
        out.unlisten(Transport::Udp, question.port);
        Resolved { id, result: finish(records, &question.name, random) }
    }

    fn free_port(&self, random: &mut Random) -> u16 {
        loop {
            let span = u64::from(u16::MAX - FIRST_PORT) + 1;
            let port = FIRST_PORT + random.below(span) as u16;
            if self.underway.values().all(|question| question.port != port) {
                return port;
            }
        }
    }
}

impl Underway {
    /// Asks the server whose turn it is; `false` if all had their turns.
    fn ask_next(&mut self, servers: &[SocketAddr], now: Time, out: &mut Outbox) -> bool {
        while self.attempts < servers.len() * ROUNDS.len() {
            let server = servers[self.attempts % servers.len()];
            let limit = ROUNDS[self.attempts / servers.len()];
            self.attempts += 1;
            if self.failed.contains_key(&server) {
                continue;
            }
            self.asked.insert(server);
            self.deadline = now + limit;
            out.note(Note::sent(server, format!("DNS {}", self.key)));
            let from = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.port);
            out.send(from, server, message::write(self.id, &self.key));
            return true;
        }
        false
    }
}

/// An answer as it is handed out: services in the order in which to try them.
fn finish(records: Option<Answer>, name: &str, random: &mut Random) -> Result<Answer, ResolveError> {
    match records {
        Some(Answer::Services(services)) => Ok(Answer::Services(in_order(services, random))),
        Some(Answer::Pointers(mut pointers)) => {
            pointers.sort();
            Ok(Answer::Pointers(pointers))
        }
        Some(addresses) => Ok(addresses),
        None => Err(ResolveError::NoSuchName(name.to_owned())),
    }
}

/// RFC 2782: by priority, and among equals by chance in proportion to their weights.
fn in_order(mut services: Vec<Service>, random: &mut Random) -> Vec<Service> {
    services.sort_by_key(|service| (service.priority, service.weight != 0));
    let mut ordered = Vec::with_capacity(services.len());
    while let Some(first) = services.first() {
        let equals = services.iter().take_while(|service| service.priority == first.priority).count();
        let total: u64 = services[..equals].iter().map(|service| u64::from(service.weight)).sum();
        let mut drawn = random.below(total + 1);
        let chosen = services[..equals].iter().position(|service| {
            let weight = u64::from(service.weight);
            let is_chosen = drawn <= weight;
            drawn = drawn.saturating_sub(weight);
            is_chosen
        });
        ordered.push(services.remove(chosen.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests;
