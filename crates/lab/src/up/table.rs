//! What a running lab says of itself: every address, what to point at it, and a line to copy for each kind of program.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use net::{NodeId, Transport, World as _};
use scenario::actor::Actor;
use scenario::cast::Cast;
use serde_json::{Value, json};
use wire::Wire;

use super::control::Control;
use super::state::State;
use crate::arguments::Up;

/// One place of the lab.
#[derive(Debug)]
struct Place {
    name: String,
    host: String,
    at: SocketAddr,
    transport: &'static str,
    purpose: &'static str,
}

/// Somebody who can sign in.
#[derive(Debug)]
struct Person {
    name: String,
    account: String,
    password: Option<String>,
    has_second_factor: bool,
}

/// The table.
#[derive(Debug)]
pub struct Table {
    domain: String,
    network: String,
    offset: u16,
    state: String,
    root: String,
    dns: Option<SocketAddr>,
    places: Vec<Place>,
    phones: Vec<(String, String, String)>,
    people: Vec<Person>,
    lines: Vec<(&'static str, String)>,
    control: String,
    token_file: String,
}

/// What a port of a service is for.
fn purpose(kind: Kind, transport: Transport, port: u16) -> &'static str {
    match (kind, transport, port) {
        (Kind::Dns, ..) => "names of the lab",
        (Kind::Ntp, ..) => "time",
        (Kind::Identity, _, 443) => "sign-in pages, device codes, tokens, common-area portal",
        (Kind::Identity, ..) => "identity service",
        (Kind::Dhcp, ..) => "addresses, for the lab's own phones",
        (Kind::Provisioning, ..) => "configuration files of phones",
        (Kind::Pool, Transport::Udp, _) => "SIP over UDP",
        (Kind::Pool, _, 80) => "autodiscover, root certificate, revocation lists",
        (Kind::Pool, _, 443) => "autodiscover, web tickets, certificates",
        (Kind::Pool, _, 5060) => "SIP over TCP",
        (Kind::Pool, _, 5061) => "SIP over TLS, TLS-DSK and digest",
        (Kind::Pool, ..) => "SIP over WebSocket",
        (Kind::Authority, ..) => "the public authority's root, revocation list and OCSP",
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dns,
    Ntp,
    Identity,
    Dhcp,
    Provisioning,
    Pool,
    Authority,
}

fn kind(actor: &Actor) -> Option<Kind> {
    Some(match actor {
        Actor::Phone(_) | Actor::Person(_) => return None,
        Actor::Dns(_) => Kind::Dns,
        Actor::Ntp(_) => Kind::Ntp,
        Actor::Identity(_) => Kind::Identity,
        Actor::Dhcp(_) => Kind::Dhcp,
        Actor::Provisioning(_) => Kind::Provisioning,
        Actor::Registrar(_) => Kind::Pool,
        Actor::Authority(_) => Kind::Authority,
    })
}

impl Table {
    /// The table of a lab.
    pub fn of(cast: &Cast<Wire<Actor>>, arguments: &Up, state: &State, control: &Control) -> Table {
        let lab = cast.lab();
        let domain = lab.domain.value.clone();
        let ground = cast.world.ground();
        let mut places = Vec::new();
        let mut phones = Vec::new();
        for (name, who) in cast.nodes() {
            if let Some(phone) = cast.phone(name) {
                let setup = phone.setup();
                phones.push((name.to_owned(), setup.model.label.clone(), setup.mac.to_string()));
            }
            let Some(kind) = kind(cast.world.look(who)) else { continue };
            let host = host(lab, name, kind);
            for (transport, at) in cast.world.sockets_of(who) {
                let port = ground.port(at.port());
                let purpose = purpose(kind, transport, port);
                let transport = match transport {
                    Transport::Udp => "udp",
                    Transport::Tcp => "tcp",
                };
                places.push(Place { name: name.to_owned(), host: host.clone(), at, transport, purpose });
            }
        }
        let people = lab.people.keys().filter_map(|name| {
            Some(Person {
                account: cast.upn(name)?,
                password: cast.password(name),
                has_second_factor: cast.second_factor_code(name).is_some(),
                name: name.clone(),
            })
        });
        let people: Vec<Person> = people.collect();
        let dns = first(cast, cast.node("dns"), |_, port| port == 53);
        let root = arguments.certs.join("public-root.pem").display().to_string();
        let token_file = state.token_file().display().to_string();
        let control = format!("http://{}", control.address);
        let lines = lines(cast, &root, dns, &people, &control, &token_file);
        Table {
            domain,
            network: format!("{}/16", ground.network),
            offset: ground.offset,
            state: arguments.state.display().to_string(),
            root,
            dns,
            places,
            phones,
            people,
            lines,
            control,
            token_file,
        }
    }

    /// For people.
    pub fn text(&self, took: Duration) -> String {
        let mut text =
            format!("The lab of {} is up on {}; its state is in {}\n", self.domain, self.network, self.state);
        if self.offset > 0 {
            let _ = writeln!(
                text,
                "Ports below 1024 are not to be had for this user: each is {} higher, 443 is {}.",
                self.offset,
                443 + u32::from(self.offset)
            );
        }
        text.push('\n');
        let v4 = self.places.iter().filter(|place| place.at.is_ipv4());
        for place in v4 {
            let at = format!("{} {}", place.at, place.transport);
            let _ = writeln!(text, "  {:<18} {:<24} {:<26} {}", place.name, place.host, at, place.purpose);
        }
        if self.places.iter().any(|place| place.at.is_ipv6()) {
            let ports = self.places.iter().filter(|place| place.at.is_ipv6());
            let ports: Vec<String> =
                ports.map(|place| format!("{} {}", place.at.port(), place.transport)).collect();
            let _ = writeln!(text, "  {:<18} {:<24} {}", "the same at", "[::1]", dedup(ports).join(", "));
        }
        text.push('\n');
        for (name, model, mac) in &self.phones {
            let _ = writeln!(text, "  phone {name:<12} {model:<12} {mac}");
        }
        for person in &self.people {
            let password = person.password.as_deref().unwrap_or("(drawn by the portal)");
            let factor = if person.has_second_factor { "   second factor: see /v1/people" } else { "" };
            let _ = writeln!(text, "  person {:<11} {:<28} {password}{factor}", person.name, person.account);
        }
        let _ = writeln!(text, "\n  trust    {}", self.root);
        for (program, line) in &self.lines {
            let _ = writeln!(text, "  {program:<8} {line}");
        }
        let _ = write!(text, "\nready in {:.2} s; Ctrl-C stops it", took.as_secs_f64());
        text
    }

    /// For machines.
    pub fn json(&self, took: Duration) -> Value {
        let places = self.places.iter().map(|place| {
            json!({
                "name": place.name, "host": place.host, "at": place.at.to_string(),
                "transport": place.transport, "purpose": place.purpose,
            })
        });
        let people = self.people.iter().map(|person| {
            json!({ "name": person.name, "account": person.account, "password": person.password,
                "has_second_factor": person.has_second_factor })
        });
        let phones =
            self.phones.iter().map(|(name, model, mac)| json!({ "name": name, "model": model, "mac": mac }));
        let lines: serde_json::Map<String, Value> =
            self.lines.iter().map(|(program, line)| ((*program).to_owned(), line.as_str().into())).collect();
        json!({
            "ready": true,
            "ready_seconds": took.as_secs_f64(),
            "domain": self.domain,
            "network": self.network,
            "port_offset": self.offset,
            "state": self.state,
            "root": self.root,
            "dns": self.dns.map(|at| at.to_string()),
            "control": self.control,
            "token_file": self.token_file,
            "places": places.collect::<Vec<_>>(),
            "phones": phones.collect::<Vec<_>>(),
            "people": people.collect::<Vec<_>>(),
            "try": lines,
        })
    }
}

fn dedup(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list.dedup();
    list
}

fn host(lab: &scenario::lab_file::Lab, name: &str, kind: Kind) -> String {
    let domain = &lab.domain.value;
    match kind {
        Kind::Identity => lab.identity_host(),
        Kind::Pool => {
            let pool = lab.all_pools().into_iter().find(|(pool, _)| *pool == name);
            pool.map(|(_, pool)| pool.host.value.clone()).unwrap_or_default()
        }
        Kind::Dns | Kind::Ntp => format!("{name}.{domain}"),
        Kind::Provisioning => format!("prov.{}", name.trim_end_matches(".provisioning")),
        Kind::Dhcp => String::new(),
        Kind::Authority => format!("{name}.{domain}"),
    }
}

/// The first IPv4 socket of somebody that is wanted.
fn first(
    cast: &Cast<Wire<Actor>>,
    who: Option<NodeId>,
    wanted: impl Fn(Transport, u16) -> bool,
) -> Option<SocketAddr> {
    let ground = cast.world.ground();
    let mut sockets = cast.world.sockets_of(who?).into_iter();
    let found = sockets.find(|(transport, at)| at.is_ipv4() && wanted(*transport, ground.port(at.port())));
    found.map(|(_, at)| at)
}

/// A line to copy for each kind of program.
fn lines(
    cast: &Cast<Wire<Actor>>,
    root: &str,
    dns: Option<SocketAddr>,
    people: &[Person],
    control: &str,
    token_file: &str,
) -> Vec<(&'static str, String)> {
    let lab = cast.lab();
    let domain = &lab.domain.value;
    let identity = lab.identity_host();
    let mut lines = Vec::new();
    if let Some(at) = first(cast, cast.node("identity"), |_, port| port == 443) {
        let resolve = format!("--resolve {identity}:{}:{}", at.port(), at.ip());
        let url = format!(
            "https://{identity}{}",
            if at.port() == 443 { String::new() } else { format!(":{}", at.port()) }
        );
        let rules = format!("MAP {identity} {at}");
        lines.push((
            "browser",
            format!("chromium --host-resolver-rules=\"{rules}\" --ignore-certificate-errors {url}/common/oauth2/deviceauth"),
        ));
        lines.push((
            "curl",
            format!("curl --cacert {root} {resolve} {url}/common/.well-known/openid-configuration"),
        ));
    }
    let pool = cast.service("registrar");
    let pool_host = lab.all_pools().first().map(|(_, pool)| pool.host.value.clone()).unwrap_or_default();
    if let Some(at) = dns {
        let port = if at.port() == 53 { String::new() } else { format!(" -p {}", at.port()) };
        lines.push(("dig", format!("dig @{}{port} {pool_host}", at.ip())));
    }
    let callers: Vec<&Person> = people.iter().filter(|person| person.password.is_some()).collect();
    if let (Some(at), Some(person)) =
        (first(cast, pool, |transport, port| (transport, port) == (Transport::Udp, 5060)), callers.first())
    {
        let user = person.account.split('@').next().unwrap_or_default();
        let password = person.password.as_deref().unwrap_or_default();
        lines.push((
            "sip",
            format!("baresip -e \"/uanew <sip:{user}@{domain};transport=udp>;auth_user={user};auth_pass={password};outbound=sip:{at}\""),
        ));
    }
    if let (Some(at), Some(person)) =
        (first(cast, pool, |transport, port| (transport, port) == (Transport::Tcp, 5061)), callers.first())
    {
        lines.push((
            "pidgin",
            format!(
                "protocol Office Communicator · user {} · server {pool_host}:{} (as {}) · TLS · TLS-DSK · trust {root}",
                person.account,
                at.port(),
                at.ip()
            ),
        ));
    }
    lines.push((
        "control",
        format!("curl -H \"Authorization: Bearer $(cat {token_file})\" {control}/v1/phones"),
    ));
    lines
}
