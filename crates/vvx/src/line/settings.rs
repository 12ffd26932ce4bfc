//! What the configuration says of each line: whose it is, which servers, and how much patience.
//!
//! A line exists where `reg.N.address` says something, in the generic base profile only. Its servers are
//! `reg.N.server.M.*`; a line that names none uses the phone's own, `voIpProt.server.M.*`. Numbers out of range count
//! as the default, as the device has it.

use std::time::Duration;

use sip::digest::{Hash, Login};

use crate::config::{Config, Source};

/// The most lines; no model of the family has more line keys.
pub const LINES_MAX: u8 = 48;
/// The most servers of one line, as the device has it.
pub const SERVERS_MAX: u8 = 4;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineSettings {
    /// Its number, from 1.
    pub number: u8,
    /// The part of its address before the `@`.
    pub user: String,
    /// The part behind it; `None` takes the server's.
    pub host: Option<String>,
    /// What others see as its name; may be empty.
    pub display_name: String,
    /// What stands beside its key.
    pub label: String,
    /// Name and password for challenges.
    pub login: Login,
    /// The servers in order; the first is the one to be at.
    pub servers: Vec<ServerSettings>,
    /// Where everything is sent, whatever the servers' names; `None` sends to the servers.
    pub outbound: Option<Place>,
}

/// One server of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where it is.
    pub place: Place,
    /// Whether the line registers there.
    pub registers: bool,
    /// The lifetime asked for, in seconds.
    pub expires_s: u32,
    /// How long before its end a binding is refreshed, in seconds.
    pub overlap_s: u32,
    /// The time between repeats of a request; `None` is RFC 3261's.
    pub repeat_every: Option<Duration>,
    /// How often a request is repeated before the next server is tried.
    pub repeats: u32,
    /// The first and the longest wait after every server failed (RFC 5626 §4.5).
    pub patience: (Duration, Duration),
    /// When the line goes back to its first server.
    pub fail_back: FailBack,
    /// Whether a server that a call cannot reach loses the registration to the next one.
    pub re_registers: bool,
    /// Whether a registration counts as lost when a call cannot reach the server.
    pub fails_registration: bool,
}

/// A host, and how to get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name or address.
    pub host: String,
    /// The port; `None` leaves it to DNS or the default.
    pub port: Option<u16>,
    /// The transport.
    pub transport: Transports,
}

/// `transport`: which ways may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transports {
    /// What NAPTR and SRV records say; UDP for a bare address.
    DnsNaptr,
    /// TCP, and UDP where that fails.
    TcpPreferred,
    /// UDP.
    UdpOnly,
    /// TLS.
    Tls,
    /// TCP.
    TcpOnly,
}

/// `failOver.failBack.mode`: when a line tries its first server again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailBack {
    /// With the next request that begins something.
    NewRequests,
    /// When the DNS record of the first server is old.
    DnsTtl,
    /// With the next refresh.
    Registration,
    /// After that long.
    Duration(Duration),
}

/// Every line that the configuration describes; none in another base profile than the generic one.
pub fn lines(config: &Config) -> Vec<LineSettings> {
    if !config.is_generic() {
        return Vec::new();
    }
    (1..=LINES_MAX).filter_map(|number| line(config, number)).collect()
}

fn line(config: &Config, number: u8) -> Option<LineSettings> {
    let own = |leaf: &str| config.text(&format!("reg.{number}.{leaf}")).trim().to_owned();
    let address = own("address");
    let (user, host) = match address.split_once('@') {
        Some((user, host)) => (user.to_owned(), Some(host.to_owned()).filter(|host| !host.is_empty())),
        None => (address, None),
    };
    if user.is_empty() {
        return None;
    }
    // F78: a switch that is left on has the line prove itself as somebody else.
    let login = if config.is_on(&format!("reg.{number}.auth.useLoginCredentials")) {
        let own = |leaf: &str| config.text(&format!("device.logincred.{leaf}")).trim().to_owned();
        (own("user"), own("password"), own("domain"))
    } else {
        (own("auth.userId"), own("auth.password"), own("auth.domain"))
    };
    let has_own = (1..=SERVERS_MAX).any(|at| !own(&format!("server.{at}.address")).is_empty());
    let prefix = if has_own { format!("reg.{number}.server") } else { "voIpProt.server".to_owned() };
    let servers = (1..=SERVERS_MAX).filter_map(|at| server(config, number, &format!("{prefix}.{at}"), at));
    let label = own("label");
    Some(LineSettings {
        number,
        label: if label.is_empty() { user.clone() } else { label },
        display_name: own("displayName"),
        login: Login {
            user: if login.0.is_empty() { user.clone() } else { login.0 },
            password: login.1,
            realm: Some(login.2).filter(|realm| !realm.is_empty()),
            weakest: Hash::Md5,
        },
        user,
        host,
        servers: servers.collect(),
        outbound: place(config, &format!("reg.{number}.outboundProxy"))
            .or_else(|| place(config, "voIpProt.SIP.outboundProxy")),
    })
}

fn place(config: &Config, prefix: &str) -> Option<Place> {
    let own = |leaf: &str| config.text(&format!("{prefix}.{leaf}")).trim();
    let host = own("address");
    if host.is_empty() {
        return None;
    }
    let transport = match own("transport").to_ascii_lowercase().as_str() {
        "tcppreferred" => Transports::TcpPreferred,
        "udponly" => Transports::UdpOnly,
        "tls" => Transports::Tls,
        "tcponly" => Transports::TcpOnly,
        _ => Transports::DnsNaptr,
    };
    let port = own("port").parse().ok().filter(|port| *port != 0);
    Some(Place { host: host.trim_end_matches('.').to_ascii_lowercase(), port, transport })
}

fn server(config: &Config, line: u8, prefix: &str, at: u8) -> Option<ServerSettings> {
    let place = place(config, prefix)?;
    // What the line's own server does not say, the phone's server of that number does.
    let text = |leaf: &str| {
        let own = config.get(&format!("{prefix}.{leaf}")).filter(|value| value.source != Source::Default);
        own.map_or_else(|| config.text(&format!("voIpProt.server.{at}.{leaf}")), |value| value.text).trim()
    };
    let number = |leaf: &str, least: u32, most: u32, default: u32| {
        text(leaf).parse().ok().filter(|number| (least..=most).contains(number)).unwrap_or(default)
    };
    let is_on = |leaf: &str, default: bool| match text(leaf) {
        "1" => true,
        "0" => false,
        _ => default,
    };
    let base_s = number("registerRetry.baseTimeOut", 10, 120, 60);
    let longest_s = number("registerRetry.maxTimeOut", 60, 1800, 180).max(base_s);
    let mode = match text("failOver.failBack.mode") {
        "" => config.text(&format!("reg.{line}.outboundProxy.failOver.failBack.mode")).trim(),
        own => own,
    };
    let fail_back = match mode.to_ascii_lowercase().as_str() {
        "dnsttl" => FailBack::DnsTtl,
        "registration" => FailBack::Registration,
        "duration" => match number("failOver.failBack.timeout", 0, 65_535, 3600) {
            // Nought never fails back by itself; the device then waits for the next registration.
            0 => FailBack::Registration,
            secs => FailBack::Duration(Duration::from_secs(secs.max(60).into())),
        },
        _ => FailBack::NewRequests,
    };
    Some(ServerSettings {
        place,
        registers: is_on("register", true),
        expires_s: number("expires", 10, u32::MAX >> 1, 3600),
        overlap_s: number("expires.overlap", 5, 65_535, 60),
        repeat_every: Some(number("retryTimeOut", 0, 65_535, 0))
            .filter(|ms| *ms > 0)
            .map(|ms| Duration::from_millis(ms.into())),
        repeats: match number("retryMaxCount", 0, 20, 0) {
            0 => 3,
            count => count,
        },
        patience: (Duration::from_secs(base_s.into()), Duration::from_secs(longest_s.into())),
        fail_back,
        re_registers: is_on("failOver.reRegisterOn", false),
        fails_registration: is_on("failOver.failRegistrationOn", false),
    })
}

impl LineSettings {
    /// The domain of its address at the server of that place in the list.
    pub fn domain(&self, server: usize) -> &str {
        let own = self.servers.get(server).map_or("", |server| server.place.host.as_str());
        self.host.as_deref().unwrap_or(own)
    }

    /// Its address of record at that server: `sip:201@contoso.example`.
    pub fn uri(&self, server: usize) -> String {
        format!("sip:{}@{}", self.user, bracketed(self.domain(server)))
    }
}

/// A host as it stands in a URI.
fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}
