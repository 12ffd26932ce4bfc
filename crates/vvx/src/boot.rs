//! From power to the application: boot block, updater, DHCP, provisioning, clock.
//!
//! The updater asks for an address, leaves its log on the provisioning server, and counts down; the application
//! loads, fetches its configuration and asks for the time. Nothing but a missing address stops it: without a
//! provisioning server the phone goes on with what it remembers, without a time server with a clock in 1970.
//! What the certificate authority of a pool is, the sign-in finds out later. LLDP and CDP are not emulated.

pub mod clock;
mod dhcp;
pub mod lease;
pub mod network;
mod phase;
mod provisioning;
mod revisit;
pub mod sntp;
mod uc_client;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use net::tls::{NameCheck, Trust};
use net::{Input, Outbox, Random, Time};

use crate::config::Config;
use crate::fetch::Fetched;
use crate::fetch::{FetchParts, Fetcher};
use crate::flash::Flash;
use crate::log::{Level, Log};
use crate::model::{Agent, Firmware, Mac, Model};
use crate::resolver::{Resolved, Resolver};

use provisioning::Visit;
use provisioning::server::Server;

pub use clock::{Clock, ClockState};
pub use dhcp::Granted;
pub use lease::Lease;
pub use network::{Network, NetworkEvent};
pub use phase::Phase;
pub use revisit::Revisit;
pub use sntp::Sntp;
pub use uc_client::UcClient;

/// How a phone boots, as its lab wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootSetup {
    /// Whether a phone whose time server did not answer at boot keeps asking. Both were reported.
    pub clock_recovery: ClockRecovery,
}

/// What a phone does whose time server did not answer at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockRecovery {
    /// Keeps asking; the clock is set as soon as somebody answers.
    Live,
    /// Asks again at the next boot only.
    NextBoot,
}

impl Default for BootSetup {
    fn default() -> BootSetup {
        BootSetup { clock_recovery: ClockRecovery::Live }
    }
}

/// The parts of a phone that boot and network upkeep work on.
pub struct BootParts<'a> {
    /// What survives a power cut.
    pub flash: &'a mut Flash,
    /// Settings.
    pub config: &'a mut Config,
    /// The phone's clock.
    pub clock: &'a mut Clock,
    /// Chance.
    pub random: &'a mut Random,
    /// The phone's log.
    pub log: &'a mut Log,
    /// Names to addresses.
    pub resolver: &'a mut Resolver,
    /// HTTP.
    pub fetcher: &'a mut Fetcher,
    /// Whose word counts in TLS.
    pub trust: &'a Trust,
    /// Which model.
    pub model: &'a Model,
    /// Which firmware.
    pub firmware: &'a Firmware,
    /// The hardware address.
    pub mac: Mac,
    /// What stories call the phone.
    pub name: &'a str,
}

impl BootParts<'_> {
    /// The same parts, as a fetch wants them.
    pub fn fetch(&mut self) -> (&mut Fetcher, FetchParts<'_>) {
        let names = if self.config.text("device.sec.TLS.prov.strictCertCommonNameValidation") == "0" {
            NameCheck::Lax
        } else {
            NameCheck::Strict
        };
        let parts = FetchParts {
            resolver: self.resolver,
            random: self.random,
            clock: self.clock.wall(),
            trust: self.trust,
            names,
        };
        (self.fetcher, parts)
    }

    /// Writes a line to the phone's log.
    pub fn say(&mut self, now: Time, comp: &str, level: Level, text: &str, out: &mut Outbox) {
        self.log.line(now, comp, level, text, out);
    }
}

/// What the boot found out.
#[derive(Debug)]
pub struct Booted {
    /// The phone's address.
    pub address: Ipv4Addr,
    /// Whom to ask for names.
    pub dns_servers: Vec<IpAddr>,
    /// The domain of the network, if DHCP told one.
    pub domain: Option<String>,
    /// What DHCP said to `MS-UC-Client`; without it there is no PIN sign-in.
    pub uc_client: Option<UcClient>,
    /// The time server that is asked first, a name or an address.
    pub ntp: Option<String>,
    /// Lease and clock, to be driven on while the phone runs.
    pub network: Network,
}

/// Where the boot stands.
#[derive(Debug)]
enum State {
    /// Power came; nothing was done yet.
    Fresh,
    BootBlock {
        until: Time,
    },
    Updater {
        until: Time,
    },
    Dhcp,
    Contact(Box<Visit>),
    Countdown {
        until: Time,
    },
    Held {
        left: Duration,
    },
    Application {
        until: Time,
    },
    Provisioning(Box<Visit>),
    Clock,
    Done,
}

/// The boot, a machine from power-on to [`Booted`].
#[derive(Debug)]
pub struct Boot {
    setup: BootSetup,
    powered_at: Time,
    state: State,
    network: Option<Network>,
    /// A time server answered, or none will.
    is_clock_settled: bool,
}

impl Boot {
    /// Starts at power-on. The caller has made a fresh [`Log`], [`Clock`], [`Resolver`] and [`Fetcher`], and hands
    /// in the power-on itself as the first input.
    pub fn new(setup: &BootSetup, now: Time) -> Boot {
        Boot {
            setup: setup.clone(),
            powered_at: now,
            state: State::Fresh,
            network: None,
            is_clock_settled: false,
        }
    }

    /// Takes in what happened; `Some` once, when the phone is ready to sign in. While it boots it drives the
    /// resolver and the fetcher by itself.
    pub fn handle(
        &mut self,
        now: Time,
        input: &Input,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Option<Booted> {
        let resolved = parts.resolver.handle(now, input, parts.random, out);
        let mut fetched = self.drive(now, input, &resolved, parts, out);
        while self.advance(now, &mut fetched, parts, out) {}
        match (&self.state, self.network.as_ref()?.lease.address()) {
            (State::Done, Some(address)) => {
                let network = self.network.take()?;
                let granted = network.lease.granted();
                Some(Booted {
                    address,
                    dns_servers: granted.dns_servers.clone(),
                    domain: granted.domain.clone(),
                    uc_client: network.lease.uc_client().cloned(),
                    ntp: network.sntp.server().map(str::to_owned),
                    network,
                })
            }
            _ => None,
        }
    }

    /// How far it has come.
    pub fn phase(&self, now: Time) -> Phase {
        match &self.state {
            State::Fresh | State::BootBlock { .. } => Phase::BootBlock,
            State::Updater { .. } => Phase::Updater,
            State::Dhcp => Phase::Dhcp,
            State::Contact(_) => Phase::Contact,
            State::Countdown { until } => {
                Phase::Countdown(until.since(now).as_millis().div_ceil(1000) as u64)
            }
            State::Held { .. } => Phase::Held,
            State::Application { .. } => Phase::Application,
            State::Provisioning(_) => Phase::Provisioning,
            State::Clock => Phase::Clock,
            State::Done if self.network.is_some() => Phase::Dhcp,
            State::Done => Phase::Done,
        }
    }

    /// The *Cancel* soft key of the countdown: waits for [`Boot::go_on`].
    pub fn hold(&mut self, now: Time) {
        if let State::Countdown { until } = self.state {
            self.state = State::Held { left: until.since(now) };
        }
    }

    /// Goes on from a held countdown.
    pub fn go_on(&mut self, now: Time) {
        if let State::Held { left } = self.state {
            self.state = State::Countdown { until: now + left };
        }
    }

    /// When it wants to be woken. The resolver's and the fetcher's wishes are in it.
    pub fn wake_at(&self, resolver: &Resolver, fetcher: &Fetcher) -> Option<Time> {
        let own = match &self.state {
            State::Fresh => Some(self.powered_at),
            State::BootBlock { until }
            | State::Updater { until }
            | State::Countdown { until }
            | State::Application { until } => Some(*until),
            State::Contact(visit) | State::Provisioning(visit) => visit.wake_at(),
            State::Dhcp | State::Held { .. } | State::Clock | State::Done => None,
        };
        let network = self.network.as_ref().and_then(Network::wake_at);
        [own, network, resolver.wake_at(), fetcher.wake_at()].into_iter().flatten().min()
    }

    /// Lets the machines below take in what happened.
    fn drive(
        &mut self,
        now: Time,
        input: &Input,
        resolved: &[Resolved],
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Vec<Fetched> {
        let (fetcher, mut fetch_parts) = parts.fetch();
        let fetched = fetcher.handle(now, input, resolved, &mut fetch_parts, out);
        if let Some(network) = &mut self.network {
            for event in network.handle(now, input, resolved, parts, out) {
                self.is_clock_settled |= matches!(event, NetworkEvent::ClockSet | NetworkEvent::ClockFailed);
            }
        }
        fetched
    }

    /// Goes on to the next phase if this one is over; `true` if it was.
    fn advance(
        &mut self,
        now: Time,
        fetched: &mut Vec<Fetched>,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> bool {
        let timing = parts.firmware.timing();
        let next = match &mut self.state {
            State::Fresh => {
                out.address(None);
                parts.log.configure(parts.config);
                let version = parts.firmware.updater();
                parts.say(
                    now,
                    "boot",
                    Level::Always,
                    &format!("{} with updater {version}.", parts.model.label),
                    out,
                );
                State::BootBlock { until: now + timing.boot_block(parts.random) }
            }
            State::BootBlock { until } if *until <= now => {
                State::Updater { until: now + timing.updater(parts.random) }
            }
            State::Updater { until } if *until <= now => {
                self.network = Some(Network::begin(self.setup.clock_recovery, now, parts, out));
                State::Dhcp
            }
            State::Dhcp => match self.visit(Agent::Updater, now, parts, out) {
                Some(Some(visit)) => State::Contact(Box::new(visit)),
                Some(None) => State::Countdown { until: now + timing.countdown() },
                None => return false,
            },
            State::Contact(visit) => {
                if !visit.handle(now, std::mem::take(fetched), parts, out) {
                    return false;
                }
                State::Countdown { until: now + timing.countdown() }
            }
            State::Countdown { until } if *until <= now => {
                State::Application { until: now + timing.application_start(parts.random) }
            }
            State::Application { until } if *until <= now => {
                parts.log.start_application(now, out);
                let version = parts.firmware.version();
                parts.say(now, "app1", Level::Always, &format!("{} with {version}.", parts.model.label), out);
                match self.visit(Agent::Application, now, parts, out) {
                    Some(Some(visit)) => State::Provisioning(Box::new(visit)),
                    Some(None) => self.ask_the_time(now, parts, out),
                    // The lease ended while the application loaded.
                    None => State::Dhcp,
                }
            }
            State::Provisioning(visit) => {
                if !visit.handle(now, std::mem::take(fetched), parts, out) {
                    return false;
                }
                self.ask_the_time(now, parts, out)
            }
            State::Clock => {
                let is_uc_settled =
                    self.network.as_ref().is_some_and(|network| network.lease.is_uc_settled());
                if !(self.is_clock_settled && is_uc_settled) {
                    return false;
                }
                State::Done
            }
            State::BootBlock { .. }
            | State::Updater { .. }
            | State::Countdown { .. }
            | State::Held { .. }
            | State::Application { .. }
            | State::Done => return false,
        };
        self.state = next;
        true
    }

    fn ask_the_time(&mut self, now: Time, parts: &mut BootParts<'_>, out: &mut Outbox) -> State {
        let event = self.network.as_mut().and_then(|network| network.begin_clock(now, parts, out));
        self.is_clock_settled = event.is_some();
        State::Clock
    }

    /// Begins a visit to the provisioning server. `Some(None)` if there is no server, `None` without an address.
    fn visit(
        &self,
        agent: Agent,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Option<Option<Visit>> {
        let lease = &self.network.as_ref()?.lease;
        let address = lease.address()?;
        match Server::choose(lease.granted(), parts.config) {
            Ok(Some(server)) => Some(Some(Visit::begin(agent, server, address, now, parts, out))),
            Ok(None) => {
                parts.say(now, "cfg", Level::Minor, "No provisioning server is named.", out);
                Some(None)
            }
            Err(named) => {
                parts.say(now, "cfg", Level::Major, &format!("No provisioning server: `{named}`."), out);
                Some(None)
            }
        }
    }
}

#[cfg(test)]
mod tests;
