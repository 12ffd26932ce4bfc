//! How far a boot has come, and what its screen says of it.

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
    Countdown(u64),
    /// A person stopped the countdown.
    Held,
    /// The application loads.
    Application,
    /// The application fetches its configuration.
    Provisioning,
    /// Asking for the time, and for what is told to `MS-UC-Client`.
    Clock,
    /// Over.
    Done,
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
