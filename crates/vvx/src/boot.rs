//! From power to the application: boot block, updater, DHCP, provisioning, clock.

pub mod clock;
pub mod lease;
pub mod network;
pub mod sntp;

use std::net::{IpAddr, Ipv4Addr};

use net::tls::{NameCheck, Trust};
use net::{Input, Outbox, Random, Time};

use crate::config::Config;
use crate::fetch::{FetchParts, Fetcher};
use crate::flash::Flash;
use crate::log::Log;
use crate::model::{Firmware, Mac, Model};
use crate::resolver::Resolver;

pub use clock::{Clock, ClockState};
pub use lease::{Lease, UcClient};
pub use network::{Network, NetworkEvent};
pub use sntp::Sntp;

/// Names of the events that boot and network upkeep note, each with its meaning.
pub const EVENTS: &[(&str, &str)] = &[];

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
}

/// How far a boot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Between power and the updater.
    BootBlock,
    /// The updater starts.
    Updater,
    /// Asking for an address.
    Dhcp,
    /// The updater asks the provisioning server.
    Contact,
    /// The countdown that a person can interrupt; this many seconds are left.
    Countdown(u8),
    /// A person stopped the countdown.
    Held,
    /// The application loads.
    Application,
    /// The application fetches its configuration.
    Provisioning,
    /// Asking for the time.
    Clock,
    /// Over.
    Done,
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
    /// The time server that is asked, a name or an address.
    pub ntp: Option<String>,
    /// Lease and clock, to be driven on while the phone runs.
    pub network: Network,
}

/// The boot, a machine from power-on to [`Booted`].
#[derive(Debug)]
pub struct Boot {}

impl Boot {
    /// Starts at power-on. The caller has made a fresh [`Log`], [`Clock`], [`Resolver`] and [`Fetcher`].
    pub fn new(_setup: &BootSetup, _now: Time) -> Boot {
        Boot {}
    }

    /// Takes in what happened; `Some` once, when the phone is ready to sign in. While it boots it drives the
    /// resolver and the fetcher by itself.
    pub fn handle(
        &mut self,
        _now: Time,
        _input: &Input,
        _parts: &mut BootParts<'_>,
        _out: &mut Outbox,
    ) -> Option<Booted> {
        None
    }

    /// How far it has come.
    pub fn phase(&self, _now: Time) -> Phase {
        Phase::BootBlock
    }

    /// The *Cancel* soft key of the countdown: waits for [`Boot::go_on`].
    pub fn hold(&mut self, _now: Time) {}

    /// Goes on from a held countdown.
    pub fn go_on(&mut self, _now: Time) {}

    /// When it wants to be woken. The resolver's and the fetcher's wishes are in it.
    pub fn wake_at(&self, _resolver: &Resolver, _fetcher: &Fetcher) -> Option<Time> {
        None
    }
}

impl Phase {
    /// A short text for the boot screen, in the lab's own words.
    pub fn text(self) -> String {
        match self {
            Phase::BootBlock => "Starting".to_owned(),
            Phase::Updater => "Updater starting".to_owned(),
            Phase::Dhcp => "Waiting for a network address".to_owned(),
            Phase::Contact => "Looking for updates".to_owned(),
            Phase::Countdown(left) => format!("Application starts in {left} s"),
            Phase::Held => "Start interrupted".to_owned(),
            Phase::Application => "Loading application".to_owned(),
            Phase::Provisioning => "Fetching configuration".to_owned(),
            Phase::Clock => "Setting the clock".to_owned(),
            Phase::Done => "Ready".to_owned(),
        }
    }
}
