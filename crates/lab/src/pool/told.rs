//! What a pool under load says of itself: where it is when it is ready, and what it has served when it ends.

use std::net::SocketAddr;

use net::{NodeId, Transport};
use registrar::{DigestOffer, Registrar};
use serde_json::{Value, json};
use wire::Lean;
use wire::lean::tally::{Causes, Tally};

use super::at;

/// A pool that is ready.
pub struct Told {
    pool: String,
    domain: String,
    host: String,
    udp: Option<SocketAddr>,
    tcp: Option<SocketAddr>,
    tls: SocketAddr,
    others: Vec<SocketAddr>,
    digest: &'static str,
    accounts: u64,
    keeps_bindings: bool,
    files: Option<u64>,
    connections_max: usize,
}

impl Told {
    /// What is known before it listens.
    pub fn of(
        name: &str,
        setup: &registrar::Setup,
        place: wire::Ground,
        files: Option<u64>,
        connections_max: usize,
    ) -> Told {
        let plain = setup.plain_sip;
        let address = |port: Option<u16>| port.map(|port| at(setup.address, port, place));
        Told {
            pool: name.to_owned(),
            domain: setup.domain.clone(),
            host: setup.host.clone(),
            udp: address(plain.and_then(|plain| plain.udp)),
            tcp: address(plain.and_then(|plain| plain.tcp)),
            tls: at(setup.address, setup.sip_port, place),
            others: Vec::new(),
            digest: match plain.map(|plain| plain.digest) {
                None | Some(DigestOffer::None) => "none",
                Some(DigestOffer::Md5) => "md5",
                Some(DigestOffer::Sha256) => "sha-256",
                Some(DigestOffer::Both) => "both",
            },
            accounts: setup.fleet.as_ref().map_or(0, |fleet| fleet.count()) + setup.accounts.len() as u64,
            keeps_bindings: setup.keeps_bindings,
            files,
            connections_max,
        }
    }

    /// Where it listens besides.
    pub fn sockets(&mut self, all: Vec<(Transport, SocketAddr)>) {
        let is_told = |at: &SocketAddr| self.tcp == Some(*at) || self.tls == *at;
        let tcp = all.into_iter().filter(|(transport, _)| *transport == Transport::Tcp).map(|(_, at)| at);
        self.others = tcp.filter(|at| !is_told(at)).collect();
    }

    /// One line for programs.
    pub fn ready_json(&self) -> Value {
        let text = |at: Option<SocketAddr>| at.map(|at| at.to_string());
        json!({
            "ready": true,
            "pid": std::process::id(),
            "pool": self.pool,
            "domain": self.domain,
            "host": self.host,
            "udp": text(self.udp),
            "tcp": text(self.tcp),
            "tls": self.tls.to_string(),
            "web": self.others.iter().map(SocketAddr::to_string).collect::<Vec<_>>(),
            "digest": self.digest,
            "accounts": self.accounts,
            "keeps_bindings": self.keeps_bindings,
            "open_files_max": self.files,
            "connections_max": self.connections_max,
        })
    }

    /// The same for people.
    pub fn ready_text(&self) -> String {
        let ways = [("UDP", self.udp), ("TCP", self.tcp), ("TLS", Some(self.tls))];
        let ways = ways.into_iter().filter_map(|(name, at)| Some(format!("  {name} {}\n", at?)));
        let proof = match self.digest {
            "none" => "asks for no proof: whoever says to be somebody is believed".to_owned(),
            digest => format!("asks for digest {digest}"),
        };
        let files = self.files.map_or_else(|| "without limit".to_owned(), |files| files.to_string());
        let kept = match self.keeps_bindings {
            true => "bindings are kept on disk",
            false => "bindings are kept in memory alone",
        };
        format!(
            "pool {} of {} with {} accounts; {proof}; {kept}\n{}  at most {} connections (open files: {files})\nready\n",
            self.pool,
            self.domain,
            self.accounts,
            ways.collect::<String>(),
            self.connections_max,
        )
    }
}

/// What a pool has served.
pub struct Served {
    tally: Tally,
    events: Vec<(&'static str, u64)>,
    bindings: usize,
}

impl Served {
    /// Everything since it began.
    pub fn of(world: &Lean<Registrar>, who: NodeId) -> Served {
        Served {
            tally: world.tally(),
            events: world.events_of(who).collect(),
            bindings: world.node(who).front_end().registered(world.now()),
        }
    }

    fn counts(&self) -> Vec<(&'static str, Option<u64>)> {
        let tally = &self.tally;
        vec![
            ("bindings", Some(self.bindings as u64)),
            ("datagrams_in", Some(tally.datagrams_in)),
            ("datagrams_out", Some(tally.datagrams_out)),
            ("datagrams_refused", Some(tally.datagrams_refused)),
            ("datagrams_dropped", tally.datagrams_dropped),
            ("socket_full", Some(tally.full)),
            ("pieces_in", Some(tally.pieces_in)),
            ("pieces_out", Some(tally.pieces_out)),
            ("connections_accepted", Some(tally.accepted)),
            ("connections_open", Some(tally.open as u64)),
            ("connections_peak", Some(tally.peak as u64)),
            ("connections_turned_away", Some(tally.turned_away)),
            ("accepting_paused", Some(tally.exhausted)),
            ("handshakes", Some(tally.handshakes)),
        ]
    }

    /// One line for programs.
    pub fn json(&self) -> Value {
        let causes = |causes: &Causes| {
            causes
                .iter()
                .map(|(why, count)| (why.to_owned(), count.into()))
                .collect::<serde_json::Map<_, _>>()
        };
        let mut all: serde_json::Map<String, Value> =
            self.counts().into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect();
        all.insert("handshakes_failed".to_owned(), causes(&self.tally.handshakes_failed).into());
        all.insert("connections_broken".to_owned(), causes(&self.tally.broken).into());
        let events = self.events.iter().map(|(name, count)| ((*name).to_owned(), (*count).into()));
        all.insert("events".to_owned(), events.collect::<serde_json::Map<_, _>>().into());
        json!({ "served": all })
    }

    /// The same for people.
    pub fn text(&self) -> String {
        let mut text = "stopped; served:\n".to_owned();
        let mut line = |name: &str, count: String| text.push_str(&format!("  {name:32} {count:>12}\n"));
        for (name, count) in self.counts().into_iter().filter(|(_, count)| *count != Some(0)) {
            let count = count.map_or_else(|| "not told".to_owned(), |count| count.to_string());
            line(&name.replace('_', " "), count);
        }
        for (why, count) in self.tally.handshakes_failed.iter() {
            line(&format!("handshake failed: {why}"), count.to_string());
        }
        for (why, count) in self.tally.broken.iter() {
            line(&format!("connection broken: {why}"), count.to_string());
        }
        for (name, count) in &self.events {
            line(&format!("event {name}"), count.to_string());
        }
        text
    }
}
