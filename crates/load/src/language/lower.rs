//! From what is written to what the engine needs, and what only shows when all parts are seen together.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use scenario::mistakes::{Mistake, Place};
use scenario::yaml::{Located, Node, Reader};

use super::accounts::{ACCOUNTS_BYTES_MAX, read_accounts};
use super::phones::{PhonesWritten, SignOfLife, SocketsWritten};
use super::target::{self, DigestWritten, TransportWritten};
use super::{PlanFile, Reading};
use crate::arrival;
use crate::plan::{
    Accounts, Digest, KeepAlive, KeepAliveBy, Limits, Network, Phones, Plan, Server, Sockets, Stage, Target,
    TlsRules, Transport, Work,
};

/// Where phones are if nobody says otherwise: a part of 127.0.0.0/8 that the lab itself does not use.
const FROM: Ipv4Addr = Ipv4Addr::new(127, 80, 0, 1);
/// Connections of one source address to one server: fewer than the kernel's own ports (32768 to 60999).
const PORTS_EACH: u32 = 20_000;

/// How many phones share a loopback address unless the plan says otherwise: servers bound what comes from one address, the
/// lab's own pool to 10,000 connections, and loopback has addresses enough.
const PHONES_EACH: u32 = 500;
/// How large a file of roots may be.
const ROOTS_BYTES_MAX: usize = 1 << 20;
/// The most cores.
const CORES_MAX: u32 = 1_024;

/// Lowers a plan; `folder` is where it stands.
pub(super) fn lower(
    written: &PlanFile,
    node: &Node,
    folder: &str,
    reading: Reading<'_>,
    reader: &mut Reader,
) -> Option<Plan> {
    let before = reader.mistakes.len();
    let place = |key: &str| node.get(key).map_or(node.place, |node| node.place);
    let transport = match written.target.transport {
        TransportWritten::Udp => Transport::Udp,
        TransportWritten::Tcp => Transport::Tcp,
        TransportWritten::Tls => Transport::Tls,
    };
    is_allowed(&written.target.server, reading.anywhere, reader);
    let accounts = accounts(&written.phones, folder, reading, reader);
    let target = target(written, transport, folder, reading, reader);
    passwords_are_there(written, reader);
    let network = &written.network;
    if transport != Transport::Udp && (network.loss.0 > 0.0 || !(network.delay + network.jitter).is_zero()) {
        let mistake = Mistake::new(place("network"), "loss and delay are played over UDP only");
        reader
            .wrong(mistake.help("over TCP and TLS the kernel repeats what is lost; `tc netem` can lose it"));
    }
    if transport == Transport::Udp
        && network.nat_idle.is_some()
        && written.phones.sockets != SocketsWritten::OneEach
    {
        let mistake = Mistake::new(
            place("network"),
            "phones that share sockets share mappings, none of which is ever idle",
        );
        reader.wrong(mistake.help("`nat-idle` over UDP wants a socket for each phone: `sockets: one-each`"));
    }
    let profile: Vec<Stage> = written.profile.0.iter().flat_map(|one| one.stages.iter().cloned()).collect();
    stages_are_right(written, &profile, place("profile"), place("warm-up"), reader);
    if written.work.0.iter().any(|one| matches!(one.0.work, Work::Call { .. })) && written.phones.count.0 < 2
    {
        reader.wrong(Mistake::new(place("work"), "a call needs two phones"));
    }
    if written.work.0.iter().any(|one| one.0.work.is_for_complete_phones()) {
        complete_is_right(written, reader);
    }
    if written.work.0.is_empty() {
        reader.wrong(Mistake::new(place("work"), "there is no work"));
    }
    if written.cores.is_some_and(|cores| !(1..=CORES_MAX).contains(&cores)) {
        reader.wrong(Mistake::new(place("cores"), format!("1 to {CORES_MAX} cores are wanted here")));
    }
    let phones = phones(written, accounts, transport, reader);
    let limits = &written.limits;
    let plan = Plan {
        title: written.title.clone(),
        seed: written.seed,
        target: target?,
        phones: phones?,
        work: written.work.0.iter().map(|one| one.0.clone()).collect(),
        profile,
        network: Network {
            loss: network.loss.0,
            delay: network.delay,
            jitter: network.jitter,
            nat_idle: network.nat_idle,
        },
        limits: Limits {
            p99: limits.p99,
            failures: limits.failures.map(|share| share.0),
            retransmissions: limits.retransmissions.map(|share| share.0),
            rate: limits.rate.map(|rate| rate.0),
        },
        warm_up: written.warm_up,
        drain: written.drain,
        cores: written.cores,
    };
    (reader.mistakes.len() == before).then_some(plan)
}

/// Load on a machine that is not this one must be a deliberate act.
fn is_allowed(server: &Located<target::Place>, anywhere: bool, reader: &mut Reader) {
    if let target::Place::At(at) = server.value
        && !at.ip().is_loopback()
        && !anywhere
    {
        let mistake = Mistake::new(server.place, format!("{} is not this machine", at.ip()));
        let help = "load is made for this machine's own addresses (127.0.0.0/8, ::1); if that server is yours to load, \
                    and the network between, say so: `--anywhere`";
        reader.wrong(mistake.help(help));
    }
}

fn accounts(
    written: &PhonesWritten,
    folder: &str,
    reading: Reading<'_>,
    reader: &mut Reader,
) -> Option<Accounts> {
    let Some(file) = &written.accounts else {
        let user = written.user.as_ref().map_or_else(|| "load{n}".to_owned(), |user| user.value.clone());
        return Some(Accounts::Pattern {
            user,
            password: written.password.as_ref().map(|password| password.value.0.clone()),
        });
    };
    let octets = beside(file, folder, ACCOUNTS_BYTES_MAX, reading, reader)?;
    match read_accounts(&octets) {
        Ok(list) => Some(Accounts::List(list)),
        Err(wrong) => {
            let mut mistake = Mistake::new(file.place, format!("{} is no list of accounts", file.value));
            for why in wrong {
                mistake = mistake.help(why);
            }
            reader.wrong(mistake);
            None
        }
    }
}

/// A file that is named in the plan.
fn beside(
    file: &Located<String>,
    folder: &str,
    limit: usize,
    reading: Reading<'_>,
    reader: &mut Reader,
) -> Option<Vec<u8>> {
    let path =
        if file.value.starts_with('/') { file.value.clone() } else { format!("{folder}{}", file.value) };
    match reading.library.read(&path, limit) {
        Ok(octets) if octets.len() <= limit => Some(octets),
        Ok(_) => {
            reader.wrong(Mistake::new(file.place, format!("{path} is larger than {limit} octets")));
            None
        }
        Err(why) => {
            reader.wrong(Mistake::new(file.place, format!("{path} cannot be read: {why}")));
            None
        }
    }
}

fn target(
    written: &PlanFile,
    transport: Transport,
    folder: &str,
    reading: Reading<'_>,
    reader: &mut Reader,
) -> Option<Target> {
    let target = &written.target;
    let at = match target.server.value {
        target::Place::At(at) => at,
        target::Place::Lab => {
            let digest = match target.digest.as_ref().map(|digest| digest.value) {
                None | Some(DigestWritten::None) => Digest::None,
                Some(DigestWritten::Md5) => Digest::Md5,
                Some(DigestWritten::Sha256) => Digest::Sha256,
            };
            let file = target.lab.as_ref().map(|file| match file.value.starts_with('/') {
                true => file.value.clone(),
                false => format!("{folder}{}", file.value),
            });
            return Some(Target::Lab { file, transport, digest });
        }
    };
    let domain = match &target.domain {
        Some(domain) => domain.value.clone(),
        None => match at.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        },
    };
    let tls = match (&target.roots, transport) {
        (Some(roots), Transport::Tls) => {
            let pem = match roots.value == "any" {
                true => None,
                false => {
                    let octets = beside(roots, folder, ROOTS_BYTES_MAX, reading, reader)?;
                    Some(pem(octets, roots, reader)?)
                }
            };
            let name = target.certificate.as_ref().map_or(&domain, |name| &name.value);
            Some(TlsRules { server_name: name.clone(), roots: pem })
        }
        _ => None,
    };
    Some(Target::Server(Server { at, transport, domain, tls }))
}

fn pem(octets: Vec<u8>, roots: &Located<String>, reader: &mut Reader) -> Option<String> {
    let text = String::from_utf8(octets).ok().filter(|text| text.contains("-----BEGIN CERTIFICATE-----"));
    if text.is_none() {
        reader.wrong(Mistake::new(roots.place, format!("there is no certificate in {}", roots.value)));
    }
    text
}

/// Complete phones, their owners and the office around them are a lab's.
fn complete_is_right(written: &PlanFile, reader: &mut Reader) {
    let target = &written.target;
    if target.server.value != target::Place::Lab || target.lab.is_none() {
        let mistake = Mistake::new(
            target.server.place,
            "calls and sign-ins are for complete phones, which are a lab's own",
        );
        reader.wrong(mistake.help("name a lab that has a fleet: `target: { server: lab, lab: fleet.yaml }`"));
    }
    let phones = &written.phones;
    let theirs = [
        phones.user.as_ref().map(|it| it.place),
        phones.password.as_ref().map(|it| it.place),
        phones.accounts.as_ref().map(|it| it.place),
        phones.from.as_ref().map(|it| it.place),
        target.digest.as_ref().map(|it| it.place),
    ];
    if let Some(place) = theirs.into_iter().flatten().next() {
        let mistake = Mistake::new(
            place,
            "complete phones are as their lab's fleet says; a plan says how many: `count`",
        );
        reader.wrong(mistake);
    }
}

/// The lab's pool makes its accounts by the phones' pattern.
fn passwords_are_there(written: &PlanFile, reader: &mut Reader) {
    if written.target.server.value != target::Place::Lab {
        return;
    }
    if let Some(file) = &written.phones.accounts {
        let mistake =
            Mistake::new(file.place, "the lab's own pool makes accounts by a pattern, not from a file");
        reader.wrong(mistake.help("write `user: load{n}` and `password: secret{n}`"));
    }
    if let Some(digest) = written.target.digest.as_ref().filter(|it| it.value != DigestWritten::None)
        && written.phones.password.is_none()
        && written.phones.accounts.is_none()
    {
        let mistake = Mistake::new(digest.place, "phones that are asked who they are need a `password`");
        reader.wrong(mistake.help("write it under `phones`: `password: secret{n}`"));
    }
}

fn stages_are_right(written: &PlanFile, profile: &[Stage], at: Place, warm_up: Place, reader: &mut Reader) {
    if profile.is_empty() {
        reader.wrong(Mistake::new(at, "a profile has at least one stage, such as `- steady: 100/s for 30s`"));
        return;
    }
    let is_search = |stage: &&Stage| matches!(stage, Stage::Search(_));
    let searches: Vec<Place> = (written.profile.0.iter())
        .filter(|one| one.stages.iter().any(|stage| is_search(&stage)))
        .map(|one| one.place)
        .collect();
    if let [first, second, ..] = searches[..] {
        reader.wrong(Mistake::new(second, "a plan searches once").related(first, "the first search"));
    }
    let limits = &written.limits;
    if let [search] = searches[..]
        && limits.p99.is_none()
        && limits.failures.is_none()
        && limits.retransmissions.is_none()
    {
        let mistake = Mistake::new(search, "a search needs a limit to look for");
        reader.wrong(mistake.help("write `p99`, `failures` or `retransmissions` under `limits`"));
    }
    let length: Duration = profile.iter().map(arrival::length).sum();
    if searches.is_empty() && written.warm_up >= length {
        let mistake = Mistake::new(warm_up, "the whole run would be warm-up, and nothing would be counted");
        reader.wrong(mistake.help(format!("all stages together last {} s", length.as_secs_f64())));
    }
}

fn phones(
    written: &PlanFile,
    accounts: Option<Accounts>,
    transport: Transport,
    reader: &mut Reader,
) -> Option<Phones> {
    let phones = &written.phones;
    let from = match (&phones.from, written.target.server.value) {
        (Some(from), _) => from.value,
        (None, target::Place::At(at)) if !at.ip().is_loopback() => {
            let mistake = Mistake::new(
                written.target.server.place,
                "phones need an address that this server can answer to",
            );
            reader.wrong(
                mistake.help("write one of this machine's addresses under `phones`: `from: 192.0.2.10`"),
            );
            return None;
        }
        (None, _) => FROM,
    };
    let has_own_port = transport != Transport::Udp || phones.sockets == SocketsWritten::OneEach;
    let each = if from.is_loopback() { PHONES_EACH } else { PORTS_EACH };
    let needed = if has_own_port { phones.count.0.div_ceil(each) } else { 1 };
    let addresses = phones.addresses.unwrap_or(needed);
    let last = u32::from(from).checked_add(addresses.saturating_sub(1)).map(Ipv4Addr::from);
    let is_right = addresses >= 1 && last.is_some_and(|last| !from.is_loopback() || last.is_loopback());
    if !is_right {
        let place = phones.from.as_ref().map_or(written.target.server.place, |from| from.place);
        reader.wrong(Mistake::new(place, format!("there are no {addresses} addresses from {from} on")));
    }
    Some(Phones {
        count: phones.count.0,
        accounts: accounts?,
        from,
        addresses,
        sockets: match phones.sockets {
            SocketsWritten::Shared(count) => Sockets::Shared(count),
            SocketsWritten::OneEach => Sockets::PerPhone,
        },
        expires: phones.expires,
        refresh: phones.refresh.map(|share| share.0),
        keep_alive: phones.keep_alive.as_ref().map(|it| KeepAlive {
            by: match it.0.by {
                SignOfLife::Crlf => KeepAliveBy::Crlf,
                SignOfLife::Options => KeepAliveBy::Options,
            },
            every: it.0.every,
        }),
    })
}
