//! Names to addresses by DNS (RFC 1035, RFC 2782).

use std::net::IpAddr;
use std::time::Duration;

use net::{Input, Outbox, Random, Time};
use thiserror::Error;

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
    #[error("too many DNS questions at once")]
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

/// The DNS client.
#[derive(Debug, Default)]
pub struct Resolver {}

impl Resolver {
    /// One that knows no server yet.
    pub fn new() -> Resolver {
        Resolver::default()
    }

    /// Whom to ask from now on, and the domain that completes names without a dot. Forgets the cache.
    pub fn configure(&mut self, _servers: &[IpAddr], _domain: Option<&str>) {}

    /// Asks. What is in the cache is answered at once.
    pub fn ask(&mut self, question: Question, _now: Time, _random: &mut Random, _out: &mut Outbox) -> Lookup {
        let (Question::Addresses(name) | Question::Services(name)) = question;
        Lookup::Done(Err(ResolveError::NoServers(name)))
    }

    /// Takes in what happened; returns the questions that came to their end.
    pub fn handle(
        &mut self,
        _now: Time,
        _input: &Input,
        _random: &mut Random,
        _out: &mut Outbox,
    ) -> Vec<Resolved> {
        Vec::new()
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        None
    }
}
