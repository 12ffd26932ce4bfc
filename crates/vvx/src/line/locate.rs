//! From a server's name to the places to try, in order (RFC 3263).
//!
//! The machine asks one question after another and says in the end where to send: at most [`TARGETS_MAX`] places. A
//! port that is written, or an address in place of a name, leaves less to ask.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use crate::line::settings::{Place, Transports};
use crate::resolver::{Answer, Question};

/// The most places that are tried for one server.
pub const TARGETS_MAX: usize = 16;

/// What carries messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carrier {
    /// Datagrams.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Carrier {
    /// As a Via writes it.
    pub fn via(self) -> &'static str {
        match self {
            Carrier::Udp => "UDP",
            Carrier::Tcp => "TCP",
            Carrier::Tls => "TLS",
        }
    }

    /// The port where none is written.
    pub fn port(self) -> u16 {
        match self {
            Carrier::Udp | Carrier::Tcp => 5060,
            Carrier::Tls => 5061,
        }
    }

    /// The parameter of an address that is reached so; empty for UDP, which needs none.
    pub fn uri_parameter(self) -> &'static str {
        match self {
            Carrier::Udp => "",
            Carrier::Tcp => ";transport=tcp",
            Carrier::Tls => ";transport=tls",
        }
    }

    fn service(self) -> &'static str {
        match self {
            Carrier::Udp => "_sip._udp",
            Carrier::Tcp => "_sip._tcp",
            Carrier::Tls => "_sips._tcp",
        }
    }
}

/// A place to send to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What carries.
    pub carrier: Carrier,
    /// Where.
    pub to: SocketAddr,
    /// The name that was asked for: a certificate must be for it, not for what DNS made of it (RFC 5922 §4).
    pub name: String,
}

/// What the machine wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wants {
    /// The answer to this, by [`Locator::answered`].
    Ask(Question),
    /// Nothing more: these are the places, never none.
    Found(Vec<Target>),
    /// Nothing more: there is no place, and why.
    Nothing(String),
}

/// One search.
#[derive(Debug)]
pub struct Locator {
    place: Place,
    step: Step,
    /// Services that are still to be asked about.
    services: VecDeque<(Carrier, String)>,
    /// Hosts that are still to be asked about.
    hosts: VecDeque<(Carrier, String, u16)>,
    targets: Vec<Target>,
    why: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Pointers,
    Services,
    Hosts,
}

impl Locator {
    /// Begins.
    pub fn new(place: &Place) -> Locator {
        let carriers: &[Carrier] = match place.transport {
            // The order of UDP before TCP before TLS is for who has no NAPTR records to say otherwise.
            Transports::DnsNaptr => &[Carrier::Udp, Carrier::Tcp, Carrier::Tls],
            Transports::TcpPreferred => &[Carrier::Tcp, Carrier::Udp],
            Transports::UdpOnly => &[Carrier::Udp],
            Transports::Tls => &[Carrier::Tls],
            Transports::TcpOnly => &[Carrier::Tcp],
        };
        let is_address = place.host.parse::<IpAddr>().is_ok();
        let mut locator = Locator {
            place: place.clone(),
            step: Step::Hosts,
            services: VecDeque::new(),
            hosts: VecDeque::new(),
            targets: Vec::new(),
            why: None,
        };
        if place.port.is_some() || is_address {
            // RFC 3263 §4.1: an address or a port without a transport means UDP.
            let wanted = if place.transport == Transports::DnsNaptr { &carriers[..1] } else { carriers };
            locator.add_hosts(wanted);
        } else {
            locator.services =
                carriers.iter().map(|carrier| (*carrier, locator.service_name(*carrier))).collect();
            let asks_pointers = place.transport == Transports::DnsNaptr;
            locator.step = if asks_pointers { Step::Pointers } else { Step::Services };
        }
        locator
    }

    fn service_name(&self, carrier: Carrier) -> String {
        format!("{}.{}", carrier.service(), self.place.host)
    }

    fn add_hosts(&mut self, carriers: &[Carrier]) {
        let place = &self.place;
        let host = |carrier: &Carrier| (*carrier, place.host.clone(), place.port.unwrap_or(carrier.port()));
        self.hosts.extend(carriers.iter().map(host));
    }

    /// What it wants now.
    pub fn wants(&mut self) -> Wants {
        loop {
            match self.step {
                Step::Pointers => return Wants::Ask(Question::Pointers(self.place.host.clone())),
                Step::Services => match self.services.front() {
                    Some((_, name)) => return Wants::Ask(Question::Services(name.clone())),
                    None => {
                        self.step = Step::Hosts;
                        if self.hosts.is_empty() {
                            // RFC 3263 §4.2: no SRV record at all; the name itself is a host.
                            match self.place.transport {
                                Transports::DnsNaptr | Transports::UdpOnly => self.add_hosts(&[Carrier::Udp]),
                                Transports::TcpPreferred => self.add_hosts(&[Carrier::Tcp, Carrier::Udp]),
                                Transports::Tls => self.add_hosts(&[Carrier::Tls]),
                                Transports::TcpOnly => self.add_hosts(&[Carrier::Tcp]),
                            }
                        }
                    }
                },
                Step::Hosts => {
                    let Some((carrier, host, port)) = self.hosts.front() else {
                        return self.end();
                    };
                    let Ok(address) = host.parse() else {
                        return Wants::Ask(Question::Addresses(host.clone()));
                    };
                    self.targets.push(Target {
                        carrier: *carrier,
                        to: SocketAddr::new(address, *port),
                        name: self.place.host.clone(),
                    });
                    self.hosts.pop_front();
                }
            }
        }
    }

    fn end(&mut self) -> Wants {
        let mut targets = std::mem::take(&mut self.targets);
        targets.truncate(TARGETS_MAX);
        if targets.is_empty() {
            let why = self.why.take().unwrap_or_else(|| format!("`{}` has no address", self.place.host));
            return Wants::Nothing(why);
        }
        Wants::Found(targets)
    }

    /// The answer to what was asked last.
    pub fn answered(&mut self, result: Result<Answer, String>) {
        match self.step {
            Step::Pointers => {
                self.step = Step::Services;
                if let Ok(Answer::Pointers(pointers)) = result {
                    let usable: VecDeque<(Carrier, String)> = pointers
                        .into_iter()
                        .filter(|pointer| pointer.flags == "s" && !pointer.target.is_empty())
                        .filter_map(|pointer| {
                            let carrier = match pointer.service.as_str() {
                                "SIP+D2U" => Carrier::Udp,
                                "SIP+D2T" => Carrier::Tcp,
                                "SIPS+D2T" => Carrier::Tls,
                                _ => return None,
                            };
                            Some((carrier, pointer.target))
                        })
                        .take(TARGETS_MAX)
                        .collect();
                    if !usable.is_empty() {
                        self.services = usable;
                    }
                }
            }
            Step::Services => {
                if let (Some((carrier, _)), Ok(Answer::Services(services))) =
                    (self.services.pop_front(), &result)
                {
                    let hosts = services.iter().take(TARGETS_MAX);
                    self.hosts.extend(hosts.map(|host| (carrier, host.target.clone(), host.port)));
                }
            }
            Step::Hosts => {
                let Some((carrier, _, port)) = self.hosts.pop_front() else { return };
                match result {
                    Ok(Answer::Addresses(addresses)) => {
                        let name = &self.place.host;
                        self.targets.extend(addresses.into_iter().map(|address| Target {
                            carrier,
                            to: SocketAddr::new(address, port),
                            name: name.clone(),
                        }));
                    }
                    Ok(_) => {}
                    Err(why) => self.why = Some(why),
                }
            }
        }
    }
}
