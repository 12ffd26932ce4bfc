//! All lines of a phone, and its SIP port: who gets what arrives.
//!
//! Answers to REGISTER go to the line that asked. Every other answer, and every request, is handed to the phone as
//! [`Said::Response`] and [`Said::Request`]: calls take what is theirs, [`crate::line::observed`] answers the rest.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use net::tls::{NameCheck, Trust};
use net::{Input, Outbox, Random, StreamId, Time, WallClock};
use sip::Message;

use crate::config::Config;
use crate::line::locate::Carrier;
use crate::line::ports::{Came, Flow, PORT, Ports};
use crate::line::registration::{Line, News, Tools};
use crate::line::settings;
use crate::resolver::{Resolved, Resolver};

/// What keeps a way open where nothing else is said (RFC 5626 §4.4.1).
const PING: &[u8] = b"\r\n\r\n";

/// What the lines need of their phone for one call.
pub struct Setting<'a> {
    /// The settings.
    pub config: &'a Config,
    /// Names.
    pub resolver: &'a mut Resolver,
    /// The phone's chance; lines draw their own from it when the first line is made.
    pub random: &'a mut Random,
    /// What the phone believes the date is.
    pub clock: WallClock,
    /// Whom it trusts.
    pub trust: &'a Trust,
    /// Whether names in certificates count.
    pub names: NameCheck,
    /// What the phone says it is.
    pub user_agent: &'a str,
}

/// What the lines have to say to their phone.
#[derive(Debug)]
pub enum Said {
    /// News of the line of that number, whose address is `of`.
    News {
        /// The line.
        line: u8,
        /// Its address of record.
        of: String,
        /// What.
        what: News,
    },
    /// A request that nobody here answers. Answer by [`Lines::respond`], or as a call does.
    Request(Flow, Message),
    /// A response to something that a call sent.
    Response(Flow, Message),
}

/// The lines and the port.
#[derive(Debug, Default)]
pub struct Lines {
    pub(super) ports: Ports,
    pub(super) lines: Vec<Line>,
    pub(super) random: Option<Random>,
    keep_alives: KeepAlives,
    ping_at: Option<Time>,
}

/// How often each kind of way is kept open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct KeepAlives {
    datagrams: Option<Duration>,
    streams: Option<Duration>,
    tls: Option<Duration>,
}

impl KeepAlives {
    fn read(config: &Config) -> KeepAlives {
        let secs = |name: &str, least: i64| {
            config
                .number(name)
                .filter(|secs| (least..=65_535).contains(secs))
                .map(|secs| Duration::from_secs(secs.unsigned_abs()))
        };
        let idle = secs("tcpIpApp.keepalive.tcp.idleTransmitInterval", 10).or(Some(Duration::from_secs(30)));
        KeepAlives {
            datagrams: secs("nat.keepalive.interval", 1),
            streams: idle.filter(|_| config.is_on("tcpIpApp.keepalive.tcp.sip.persistentConnection.enable")),
            tls: idle.filter(|_| config.is_on("tcpIpApp.keepalive.tcp.sip.tls.enable")),
        }
    }

    fn of(&self, carrier: Carrier) -> Option<Duration> {
        match carrier {
            Carrier::Udp => self.datagrams,
            Carrier::Tcp => self.streams,
            Carrier::Tls => self.tls,
        }
    }

    fn shortest(&self) -> Option<Duration> {
        [self.datagrams, self.streams, self.tls].into_iter().flatten().min()
    }
}

impl Lines {
    /// No line and no port.
    pub fn new() -> Lines {
        Lines::default()
    }

    /// The phone has this address: opens the port, and registers every line.
    pub fn start(
        &mut self,
        address: Ipv4Addr,
        now: Time,
        with: &mut Setting<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        let port = with.config.number("voIpProt.SIP.local.port").and_then(|port| u16::try_from(port).ok());
        self.ports.open(address, port.filter(|port| *port != 0).unwrap_or(PORT), out);
        self.make(with);
        let mut said = Vec::new();
        for at in 0..self.lines.len() {
            said.extend(self.with_line(at, with, |line, tools| line.start(now, tools, out)));
        }
        self.next_ping(now);
        said
    }

    /// The phone has no address any more.
    pub fn network_lost(&mut self, with: &mut Setting<'_>, out: &mut Outbox) -> Vec<Said> {
        let mut said = Vec::new();
        for at in 0..self.lines.len() {
            said.extend(self.with_line(at, with, |line, tools| line.network_lost(tools, out)));
        }
        self.ports.close(out);
        said
    }

    /// The settings may have changed: lines whose own have are taken down and made anew, the others stay.
    pub fn configured(&mut self, now: Time, with: &mut Setting<'_>, out: &mut Outbox) -> Vec<Said> {
        self.keep_alives = KeepAlives::read(with.config);
        self.next_ping(now);
        let wanted = settings::lines(with.config);
        let has_changed = |line: &Line| !wanted.iter().any(|settings| settings == line.settings());
        let mut said = Vec::new();
        for at in (0..self.lines.len()).rev() {
            if has_changed(&self.lines[at]) {
                self.with_line(at, with, |line, tools| {
                    line.stop(tools, out);
                    Vec::new()
                });
                self.lines.remove(at);
            }
        }
        self.make(with);
        for at in 0..self.lines.len() {
            let is_new = !self.lines[at].is_registered() && self.lines[at].wake_at().is_none();
            if is_new && self.ports.local().is_some() {
                said.extend(self.with_line(at, with, |line, tools| line.start(now, tools, out)));
            }
        }
        said
    }

    /// Makes the lines that the settings want and that are not there.
    fn make(&mut self, with: &mut Setting<'_>) {
        self.keep_alives = KeepAlives::read(with.config);
        for settings in settings::lines(with.config) {
            if self.lines.iter().any(|line| line.settings().number == settings.number) {
                continue;
            }
            let random = self.random.get_or_insert_with(|| with.random.fork("lines"));
            self.lines.push(Line::new(settings, random));
        }
        self.lines.sort_by_key(|line| line.settings().number);
    }

    /// Lines that are not registered try at once, as when the time was set and certificates may count now.
    pub fn try_again(&mut self, now: Time, with: &mut Setting<'_>, out: &mut Outbox) -> Vec<Said> {
        let mut said = Vec::new();
        for at in 0..self.lines.len() {
            if !self.lines[at].is_registered() && self.ports.local().is_some() {
                said.extend(self.with_line(at, with, |line, tools| line.start(now, tools, out)));
            }
        }
        said
    }

    /// Takes in what happened, and what the resolver made of it.
    pub fn handle(
        &mut self,
        now: Time,
        input: &Input,
        resolved: &[Resolved],
        with: &mut Setting<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        let mut said = Vec::new();
        for came in self.ports.handle(now, input, out) {
            match came {
                Came::Message(flow, message) if message.is_request() => {
                    said.push(Said::Request(flow, message));
                }
                Came::Message(flow, message) => said.extend(self.response(flow, message, now, with, out)),
                Came::Up(stream, flow) => said.extend(self.stream(stream, Ok(flow), now, with, out)),
                Came::Down(stream, why) => {
                    said.extend(self.stream(stream, Err(why.to_string()), now, with, out));
                }
            }
        }
        for resolved in resolved {
            for at in 0..self.lines.len() {
                let result = resolved.result.clone().map_err(|why| why.to_string());
                said.extend(
                    self.with_line(at, with, |line, tools| {
                        line.resolved(resolved.id, result, now, tools, out)
                    }),
                );
            }
        }
        for at in 0..self.lines.len() {
            if self.lines[at].wake_at().is_some_and(|wake_at| wake_at <= now) {
                said.extend(self.with_line(at, with, |line, tools| line.woken(now, tools, out)));
            }
        }
        if self.ping_at.is_some_and(|ping_at| ping_at <= now) {
            self.ping(now, out);
        }
        said
    }

    fn response(
        &mut self,
        flow: Flow,
        message: Message,
        now: Time,
        with: &mut Setting<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        for at in 0..self.lines.len() {
            let mut is_mine = false;
            let said = self.with_line(at, with, |line, tools| {
                let news = line.response(&message, now, tools, out);
                is_mine = news.is_some();
                news.unwrap_or_default()
            });
            if is_mine {
                return said;
            }
        }
        vec![Said::Response(flow, message)]
    }

    fn stream(
        &mut self,
        id: StreamId,
        up: Result<Flow, String>,
        now: Time,
        with: &mut Setting<'_>,
        out: &mut Outbox,
    ) -> Vec<Said> {
        let mut said = Vec::new();
        for at in 0..self.lines.len() {
            let up = up.clone();
            said.extend(self.with_line(at, with, |line, tools| line.stream(id, up, now, tools, out)));
        }
        said
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        let lines = self.lines.iter().filter_map(Line::wake_at);
        lines.chain(self.ports.wake_at()).chain(self.ping_at).min()
    }

    /// The phone stops: every line is signed out of its server, every stream closed, without waiting for anybody.
    pub fn stop(&mut self, with: &mut Setting<'_>, out: &mut Outbox) {
        for at in 0..self.lines.len() {
            self.with_line(at, with, |line, tools| {
                line.stop(tools, out);
                Vec::new()
            });
        }
        self.ports.close(out);
        self.ping_at = None;
    }

    /// The lines, by number.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The ports.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The ports, to send on.
    pub fn ports_mut(&mut self) -> &mut Ports {
        &mut self.ports
    }

    pub(super) fn with_line(
        &mut self,
        at: usize,
        with: &mut Setting<'_>,
        act: impl FnOnce(&mut Line, &mut Tools<'_>) -> Vec<News>,
    ) -> Vec<Said> {
        let Some(line) = self.lines.get_mut(at) else { return Vec::new() };
        let mut tools = Tools {
            resolver: with.resolver,
            ports: &mut self.ports,
            random: self.random.get_or_insert_with(|| with.random.fork("lines")),
            clock: with.clock,
            trust: with.trust,
            names: with.names,
            user_agent: with.user_agent,
        };
        let news = act(line, &mut tools);
        let (number, of) = (line.settings().number, line.address());
        news.into_iter().map(|what| Said::News { line: number, of: of.clone(), what }).collect()
    }

    fn next_ping(&mut self, now: Time) {
        let every = self.keep_alives.shortest().filter(|_| !self.lines.is_empty());
        self.ping_at = every.map(|every| now + every);
    }

    /// Keeps the ways open that lines are registered on, each kind as often as it is due.
    fn ping(&mut self, now: Time, out: &mut Outbox) {
        for line in &self.lines {
            if let Some(binding) = line.binding()
                && self.keep_alives.of(binding.flow.carrier).is_some()
            {
                self.ports.send_octets(&binding.flow, Bytes::from_static(PING), out);
            }
        }
        self.next_ping(now);
    }
}
