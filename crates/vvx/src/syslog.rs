//! The log sent to a syslog server (RFC 3164), line by line as it is written.
//!
//! `device.syslog.*` says where to and what: a server, a transport (1 UDP, 2 TCP, 3 TLS), a facility, the least level, and
//! whether the hardware address stands in front. Over TCP lines end with a line feed, over TLS each is preceded by its
//! length (RFC 5425 §4.3); which of the two the device uses over TCP is not known. Lines wait while the server cannot be
//! reached, at most [`QUEUE_MAX`] of them, the oldest go first.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use net::tls::{ClientTls, NameCheck, Trust};
use net::{
    Dial, Input, ListenSecurity, Note, Outbox, Random, Security, StreamEvent, StreamId, Time, Transport,
};

use crate::boot::Clock;
use crate::config::Config;
use crate::log::{Level, Log};
use crate::model::Mac;
use crate::resolver::{Answer, Lookup, QueryId, Question, Resolved, Resolver};

/// The most lines that wait.
pub const QUEUE_MAX: usize = 256;
/// The longest message, in octets (RFC 3164 §4.1).
pub const MESSAGE_MAX: usize = 1024;
/// The port that datagrams leave from; below those that questions to DNS leave from.
const LOCAL_PORT: u16 = 5140;
/// How long a server that cannot be reached is left alone.
const REST: Duration = Duration::from_secs(60);

/// `device.syslog.transport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    Udp,
    Tcp,
    Tls,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    host: String,
    port: u16,
    carrier: Carrier,
    facility: u8,
    has_mac: bool,
}

#[derive(Debug)]
enum State {
    /// Nothing is under way.
    Idle,
    Resolving(QueryId),
    /// Datagrams go there.
    Ready(SocketAddr),
    Dialling(StreamId),
    Up(StreamId, SocketAddr),
    /// The server could not be reached.
    Resting(Time),
}

/// The sender.
#[derive(Debug)]
pub struct Syslog {
    settings: Option<Settings>,
    state: State,
    queue: VecDeque<Bytes>,
}

/// What it needs of its phone for one call.
pub struct Tools<'a> {
    /// The log.
    pub log: &'a mut Log,
    /// The clock.
    pub clock: &'a Clock,
    /// The phone's address; without one nothing is sent.
    pub address: Option<Ipv4Addr>,
    /// The hardware address.
    pub mac: Mac,
    /// Names.
    pub resolver: &'a mut Resolver,
    /// Chance.
    pub random: &'a mut Random,
    /// Whom the phone trusts.
    pub trust: &'a Trust,
    /// Whether names in certificates count.
    pub names: NameCheck,
}

impl Default for Syslog {
    fn default() -> Syslog {
        Syslog { settings: None, state: State::Idle, queue: VecDeque::new() }
    }
}

/// The severity of RFC 3164 for a level of the phone's, as the maker documents it.
pub fn severity(level: Level) -> u8 {
    match level {
        Level::Debug | Level::HighDetail => 7,
        Level::Moderate | Level::Low => 6,
        Level::Minor => 3,
        Level::Major => 2,
        Level::Fatal => 0,
        Level::Always => 5,
    }
}

impl Settings {
    fn read(config: &Config) -> Option<Settings> {
        let named = config.text("device.syslog.serverName").trim();
        let carrier = match config.text("device.syslog.transport").trim().to_ascii_lowercase().as_str() {
            "2" | "tcp" => Carrier::Tcp,
            "3" | "tls" => Carrier::Tls,
            "0" | "none" => return None,
            _ => Carrier::Udp,
        };
        let usual = if carrier == Carrier::Tls { 6514 } else { 514 };
        let (host, port) = match named.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
            None => (named, usual),
        };
        let facility =
            config.number("device.syslog.facility").and_then(|facility| u8::try_from(facility).ok());
        (!host.is_empty()).then(|| Settings {
            host: host.to_ascii_lowercase(),
            port,
            carrier,
            facility: facility.filter(|facility| *facility <= 23).unwrap_or(16),
            has_mac: config.is_on("device.syslog.prependMac"),
        })
    }
}

impl Syslog {
    /// Takes the settings; another server, or another way to it, is gone to at once.
    pub fn configure(&mut self, config: &Config, out: &mut Outbox) {
        let settings = Settings::read(config);
        if settings != self.settings {
            self.hang_up(out);
            self.settings = settings;
        }
    }

    /// Closes what is open.
    pub fn hang_up(&mut self, out: &mut Outbox) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Dialling(stream) | State::Up(stream, _) => out.close(stream),
            State::Ready(_) => out.unlisten(Transport::Udp, LOCAL_PORT),
            State::Idle | State::Resolving(_) | State::Resting(_) => {}
        }
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        match self.state {
            State::Resting(until) if !self.queue.is_empty() => Some(until),
            _ => None,
        }
    }

    /// Takes in what happened.
    pub fn handle(
        &mut self,
        now: Time,
        input: &Input,
        resolved: &[Resolved],
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) {
        match (input, &self.state) {
            (Input::Stream(id, StreamEvent::Opened { peer, .. }), State::Dialling(own)) if id == own => {
                self.state = State::Up(*id, *peer);
            }
            (Input::Stream(id, StreamEvent::Closed(why)), State::Dialling(own) | State::Up(own, _))
                if id == own =>
            {
                let why = why.to_string();
                self.rest(&why, now, tools, out);
            }
            _ => {}
        }
        if let State::Resolving(query) = self.state
            && let Some(resolved) = resolved.iter().find(|resolved| resolved.id == query)
        {
            let result = resolved.result.clone().map_err(|why| why.to_string());
            self.resolved(result, now, tools, out);
        }
    }

    /// Sends what was logged since, or begins to reach the server.
    pub fn pump(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) {
        let lines = tools.log.take_lines();
        let Some(settings) = &self.settings else { return };
        for (level, line) in lines {
            self.queue.push_back(message(settings, level, &line, now, tools));
            if self.queue.len() > QUEUE_MAX {
                self.queue.pop_front();
            }
        }
        if self.queue.is_empty() || tools.address.is_none() {
            return;
        }
        match self.state {
            State::Idle => self.reach(now, tools, out),
            State::Resting(until) if until <= now => self.reach(now, tools, out),
            State::Resting(_) | State::Resolving(_) | State::Dialling(_) => {}
            State::Ready(_) | State::Up(..) => {}
        }
        self.send(out);
    }

    fn send(&mut self, out: &mut Outbox) {
        let Some(settings) = &self.settings else { return };
        let (State::Ready(to) | State::Up(_, to)) = self.state else { return };
        while let Some(message) = self.queue.pop_front() {
            out.note(Note::sent(to, format!("syslog, {} octets", message.len())));
            match (&self.state, settings.carrier) {
                (State::Up(stream, _), Carrier::Tls) => {
                    let counted = [format!("{} ", message.len()).as_bytes(), &message].concat();
                    out.write(*stream, counted);
                }
                (State::Up(stream, _), _) => out.write(*stream, [&message[..], b"\n"].concat()),
                _ => out.send(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), LOCAL_PORT), to, message),
            }
        }
    }

    fn reach(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) {
        let Some(host) = self.settings.as_ref().map(|settings| settings.host.clone()) else { return };
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.resolved(Ok(Answer::Addresses(vec![address])), now, tools, out);
        }
        match tools.resolver.ask(Question::Addresses(host), now, tools.random, out) {
            Lookup::Pending(query) => self.state = State::Resolving(query),
            Lookup::Done(result) => self.resolved(result.map_err(|why| why.to_string()), now, tools, out),
        }
    }

    fn resolved(
        &mut self,
        result: Result<Answer, String>,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) {
        let Some(settings) = &self.settings else { return };
        let address = match result {
            Ok(Answer::Addresses(addresses)) => addresses.first().copied(),
            Ok(Answer::Services(_) | Answer::Pointers(_)) => None,
            Err(why) => return self.rest(&why, now, tools, out),
        };
        let Some(address) = address else { return self.rest("no address", now, tools, out) };
        let to = SocketAddr::new(address, settings.port);
        let security = match settings.carrier {
            Carrier::Udp => {
                out.listen(LOCAL_PORT, ListenSecurity::Udp);
                self.state = State::Ready(to);
                return;
            }
            Carrier::Tcp => Security::Plain,
            Carrier::Tls => Security::Tls(ClientTls {
                server_name: settings.host.clone(),
                trust: tools.trust.clone(),
                clock: tools.clock.wall(),
                names: tools.names,
            }),
        };
        self.state = State::Dialling(out.open(Dial { to, security }));
    }

    /// The server cannot be reached. The log says so, which the server will read when it can be.
    fn rest(&mut self, why: &str, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) {
        self.state = State::Resting(now + REST);
        tools.log.line(now, "log", Level::Minor, &format!("No syslog server: {why}"), out);
    }
}

/// One message: priority, time, who, and the line as it stands in the log.
fn message(settings: &Settings, level: Level, line: &str, now: Time, tools: &Tools<'_>) -> Bytes {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let priority = u32::from(settings.facility) * 8 + u32::from(severity(level));
    let at = tools.clock.local(now).date_time();
    let month = MONTHS[usize::from(u8::from(at.month())) - 1];
    let (day, hour, minute, second) = (at.day(), at.hour(), at.minute(), at.second());
    let host = tools.address.map_or_else(|| tools.mac.to_string(), |address| address.to_string());
    let mac = if settings.has_mac { format!("{}|", tools.mac) } else { String::new() };
    let mut text =
        format!("<{priority}>{month} {day:2} {hour:02}:{minute:02}:{second:02} {host} {mac}{line}");
    while text.len() > MESSAGE_MAX {
        text.pop();
    }
    Bytes::from(text)
}
