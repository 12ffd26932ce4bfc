//! Keeping the clock by SNTP (RFC 4330): at boot, once a day, and again while nobody answers.
//!
//! The servers are, in this order: the configured one if it overrides DHCP, those of DHCP option 42, the
//! configured one, the one of the device settings, the firmware's own. Each gets three questions; after the last
//! one the phone goes on without the time and, unless its lab says otherwise, asks again a minute later.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use net::{Datagram, Input, ListenSecurity, Note, Outbox, Time, Transport, Wall};

use super::{BootParts, ClockRecovery};
use crate::config::{Config, Source};
use crate::events;
use crate::log::Level;
use crate::resolver::{Answer, Lookup, QueryId, Question, Resolved};

const PORT: u16 = 123;
/// The first of the ports from which questions are sent (RFC 6335 §6).
const FIRST_PORT: u16 = 49152;
/// How long each question may take.
const SPANS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// How long the phone rests when nobody answered.
const RETRY_SPAN: Duration = Duration::from_secs(60);
/// The shortest time between two successful questions, whatever is configured.
const RESYNC_MIN: i64 = 60;
/// Servers that are tried.
const SERVERS_LIMIT: usize = 6;
/// From 1900-01-01 to 1970-01-01, in seconds.
const ERA_OFFSET: i64 = 2_208_988_800;

/// What became of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SntpEvent {
    /// The clock was set.
    Set,
    /// No server answered.
    Failed,
}

#[derive(Debug)]
enum State {
    /// Nothing is to be done before this time, if ever.
    Resting { until: Option<Time> },
    /// The server's name is being asked about.
    Resolving { query: QueryId },
    /// The answer to a question is awaited.
    Asking { server: SocketAddr, port: u16, stamp: u64, sent_at: Time, deadline: Time, attempt: usize },
}

/// The SNTP client.
#[derive(Debug)]
pub struct Sntp {
    state: State,
    servers: Vec<String>,
    /// Which of the servers is asked.
    turn: usize,
    recovery: ClockRecovery,
}

impl Sntp {
    /// One that asks nobody until [`Sntp::begin`].
    pub(super) fn new(recovery: ClockRecovery) -> Sntp {
        Sntp { state: State::Resting { until: None }, servers: Vec::new(), turn: 0, recovery }
    }

    /// The server that is asked first; a name or an address.
    pub fn server(&self) -> Option<&str> {
        self.servers.first().map(String::as_str)
    }

    /// Takes the list of servers anew and begins with the first, at once.
    pub(super) fn begin(
        &mut self,
        now: Time,
        from_network: &[Ipv4Addr],
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Option<SntpEvent> {
        self.stop(out);
        self.servers = servers(parts.config, from_network);
        self.turn = 0;
        self.ask_server(now, parts, out)
    }

    /// Takes in what happened.
    pub(super) fn handle(
        &mut self,
        now: Time,
        input: &Input,
        resolved: &[Resolved],
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Option<SntpEvent> {
        if let State::Resolving { query } = self.state
            && let Some(found) = resolved.iter().find(|resolved| resolved.id == query)
        {
            return self.found(found.result.clone().map_err(|why| why.to_string()), now, parts, out);
        }
        match (&self.state, input) {
            (State::Asking { port, server, .. }, Input::Datagram(datagram))
                if datagram.to.port() == *port && datagram.from == *server =>
            {
                self.receive(datagram, now, parts, out)
            }
            (State::Asking { deadline, .. }, _) if *deadline <= now => self.late(now, parts, out),
            (State::Resting { until: Some(until) }, _) if *until <= now => {
                self.turn = 0;
                self.ask_server(now, parts, out)
            }
            _ => None,
        }
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        match &self.state {
            State::Resting { until } => *until,
            State::Resolving { .. } => None,
            State::Asking { deadline, .. } => Some(*deadline),
        }
    }

    /// Begins with the server whose turn it is.
    fn ask_server(&mut self, now: Time, parts: &mut BootParts<'_>, out: &mut Outbox) -> Option<SntpEvent> {
        let Some(server) = self.servers.get(self.turn) else {
            return Some(self.fail(now, parts, out));
        };
        if let Ok(address) = server.parse::<IpAddr>() {
            self.ask(SocketAddr::new(address, PORT), 0, now, parts, out);
            return None;
        }
        match parts.resolver.ask(Question::Addresses(server.clone()), now, parts.random, out) {
            Lookup::Pending(query) => {
                self.state = State::Resolving { query };
                None
            }
            Lookup::Done(result) => self.found(result.map_err(|why| why.to_string()), now, parts, out),
        }
    }

    fn found(
        &mut self,
        result: Result<Answer, String>,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Option<SntpEvent> {
        match result {
            Ok(Answer::Addresses(addresses)) if !addresses.is_empty() => {
                self.ask(SocketAddr::new(addresses[0], PORT), 0, now, parts, out);
                None
            }
            Ok(_) => self.next_server("it has no address", now, parts, out),
            Err(why) => self.next_server(&why, now, parts, out),
        }
    }

    fn ask(
        &mut self,
        server: SocketAddr,
        attempt: usize,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) {
        let port = FIRST_PORT + parts.random.below(u64::from(u16::MAX - FIRST_PORT) + 1) as u16;
        // The stamp says nothing about this clock; it only proves that the answer is one to this question.
        let stamp = parts.random.next_u64() | 1;
        let mut packet = [0u8; 48];
        // Leap indicator 0, version 4, mode 3: a client.
        packet[0] = 0b00_100_011;
        packet[40..48].copy_from_slice(&stamp.to_be_bytes());
        out.listen(port, ListenSecurity::Udp);
        out.note(Note::sent(server, "SNTP request"));
        out.send(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), server, packet.to_vec());
        let deadline = now + SPANS[attempt.min(SPANS.len() - 1)];
        self.state = State::Asking { server, port, stamp, sent_at: now, deadline, attempt };
    }

    fn receive(
        &mut self,
        datagram: &Datagram,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Option<SntpEvent> {
        let State::Asking { server, stamp, sent_at, .. } = &self.state else { return None };
        let (server, way) = (*server, now.since(*sent_at) / 2);
        let told = read(&datagram.payload, *stamp)?;
        let Reading::Time(told) = told else {
            out.note(Note::received(datagram.from, "SNTP refusal"));
            return self.next_server("it refuses to serve", now, parts, out);
        };
        let reading = told.plus(way);
        out.note(Note::received(datagram.from, format!("SNTP {told}")));
        let was_synced = parts.clock.is_synced();
        parts.clock.sync(now, reading);
        parts.log.follow(parts.clock);
        parts.say(now, "sntp", Level::Always, &format!("Clock set to {reading} by {server}."), out);
        if !was_synced {
            out.note(Note::event(events::CLOCK_SET, parts.name, reading.to_string()));
        }
        self.stop(out);
        let period = parts.config.number("tcpIpApp.sntp.resyncPeriod").unwrap_or(86_400).max(RESYNC_MIN);
        self.state = State::Resting { until: Some(now + Duration::from_secs(period.unsigned_abs())) };
        Some(SntpEvent::Set)
    }

    fn late(&mut self, now: Time, parts: &mut BootParts<'_>, out: &mut Outbox) -> Option<SntpEvent> {
        let State::Asking { server, attempt, .. } = &self.state else { return None };
        let (server, attempt) = (*server, attempt + 1);
        if attempt >= SPANS.len() {
            return self.next_server("it does not answer", now, parts, out);
        }
        self.stop(out);
        self.ask(server, attempt, now, parts, out);
        None
    }

    fn next_server(
        &mut self,
        why: &str,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Option<SntpEvent> {
        self.stop(out);
        let server = self.servers.get(self.turn).map(String::as_str).unwrap_or_default();
        let text = format!("Time server {server} is of no use: {why}.");
        parts.say(now, "sntp", Level::Minor, &text, out);
        self.turn += 1;
        self.ask_server(now, parts, out)
    }

    fn fail(&mut self, now: Time, parts: &mut BootParts<'_>, out: &mut Outbox) -> SntpEvent {
        let is_synced = parts.clock.is_synced();
        let goes_on = is_synced || self.recovery == ClockRecovery::Live;
        self.state = State::Resting { until: goes_on.then(|| now + RETRY_SPAN) };
        if !is_synced {
            parts.say(now, "sntp", Level::Major, "No time server answers; the clock is not set.", out);
        }
        SntpEvent::Failed
    }

    /// Gives the port back.
    fn stop(&mut self, out: &mut Outbox) {
        if let State::Asking { port, .. } = self.state {
            out.unlisten(Transport::Udp, port);
        }
        self.state = State::Resting { until: None };
    }
}

/// The servers to ask, best first.
fn servers(config: &Config, from_network: &[Ipv4Addr]) -> Vec<String> {
    const ADDRESS: &str = "tcpIpApp.sntp.address";
    let configured = config.get(ADDRESS);
    let is_own = configured.is_some_and(|value| value.source != Source::Default);
    let configured = configured.map_or("", |value| value.text).to_owned();
    let network = from_network.iter().map(Ipv4Addr::to_string);
    let mut servers: Vec<String> = Vec::new();
    if is_own && config.is_on("tcpIpApp.sntp.address.overrideDHCP") {
        servers.push(configured.clone());
    }
    servers.extend(network);
    if is_own {
        servers.push(configured.clone());
    }
    servers.push(config.text("device.sntp.serverName").to_owned());
    if !is_own {
        servers.push(configured);
    }
    let mut known = std::collections::BTreeSet::new();
    servers.retain(|server| !server.is_empty() && known.insert(server.clone()));
    servers.truncate(SERVERS_LIMIT);
    servers
}

#[derive(Debug, PartialEq, Eq)]
enum Reading {
    Time(Wall),
    /// A kiss-o'-death packet, or a server that has no time itself.
    Refusal,
}

/// Reads an answer to the question that bore `stamp`; `None` if it is none.
fn read(packet: &[u8], stamp: u64) -> Option<Reading> {
    let packet: &[u8; 48] = packet.get(..48)?.try_into().ok()?;
    let word = |at: usize| u64::from_be_bytes(packet[at..at + 8].try_into().expect("eight of 48 octets"));
    // Mode 4: a server. The originate timestamp repeats the question's (RFC 4330 §5).
    if packet[0] & 0b111 != 4 || word(24) != stamp {
        return None;
    }
    let (leap, stratum, transmitted) = (packet[0] >> 6, packet[1], word(40));
    if leap == 3 || !(1..=15).contains(&stratum) || transmitted == 0 {
        return Some(Reading::Refusal);
    }
    let (secs, fraction) = ((transmitted >> 32) as i64, transmitted & 0xffff_ffff);
    // RFC 4330 §3: with the highest bit clear the era that began in 2036 is meant.
    let era = if secs & 0x8000_0000 == 0 { 1i64 << 32 } else { 0 };
    let nanos = (fraction * 1_000_000_000) >> 32;
    Some(Reading::Time(Wall::from_unix_secs(secs + era - ERA_OFFSET).plus(Duration::from_nanos(nanos))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(first: u8, stratum: u8, stamp: u64, transmitted: u64) -> Vec<u8> {
        let mut packet = vec![0; 48];
        packet[0] = first;
        packet[1] = stratum;
        packet[24..32].copy_from_slice(&stamp.to_be_bytes());
        packet[40..48].copy_from_slice(&transmitted.to_be_bytes());
        packet
    }

    #[test]
    fn an_answer_is_read_in_both_eras() {
        let noon = (1_539_075_600u64 + 2_208_988_800) << 32 | 0x8000_0000;
        let Some(Reading::Time(wall)) = read(&packet(0x24, 2, 7, noon), 7) else { panic!("a time") };
        assert_eq!(wall.unix_nanos(), 1_539_075_600_500_000_000);
        let Some(Reading::Time(wall)) = read(&packet(0x24, 2, 7, 1 << 32), 7) else { panic!("a time") };
        assert_eq!(wall.to_string(), "2036-02-07T06:28:17Z");
    }

    #[test]
    fn only_an_answer_to_the_question_counts_and_a_refusal_is_one() {
        let time = 0xe000_0000_0000_0000;
        assert_eq!(read(&packet(0x24, 2, 8, time), 7), None, "another stamp");
        assert_eq!(read(&packet(0x23, 2, 7, time), 7), None, "a client");
        assert_eq!(read(&packet(0x24, 2, 7, time)[..47], 7), None, "cut off");
        assert_eq!(read(&packet(0x24, 0, 7, time), 7), Some(Reading::Refusal));
        assert_eq!(read(&packet(0x24, 16, 7, time), 7), Some(Reading::Refusal));
        assert_eq!(read(&packet(0xe4, 2, 7, time), 7), Some(Reading::Refusal));
        assert_eq!(read(&packet(0x24, 2, 7, 0), 7), Some(Reading::Refusal));
    }

    proptest! {
        #[test]
        fn any_octets_are_an_answer_or_none(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&octets, 0);
        }
    }
}
