//! The phone's own log, in the device's format: `time|comp |level|missed|text`.

use net::{Outbox, Time};

use crate::boot::Clock;
use crate::config::Config;

/// How serious a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// 0.
    Debug,
    /// 1.
    HighDetail,
    /// 2.
    Moderate,
    /// 3.
    Low,
    /// 4: the lowest that is written unless configured otherwise.
    Minor,
    /// 5.
    Major,
    /// 6.
    Fatal,
    /// `*`: written whatever is configured.
    Always,
}

/// The two logs of a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// Written by boot block and updater, in UTC.
    Boot,
    /// Written by the application, in local time.
    Application,
}

/// The log.
#[derive(Debug)]
pub struct Log {}

impl Log {
    /// A log that starts at `now`, the moment of power-on, with its first line.
    pub fn new(_now: Time, _out: &mut Outbox) -> Log {
        Log {}
    }

    /// Writes a line for the component `comp` (one to five letters), if its level counts.
    pub fn line(&mut self, _now: Time, _comp: &str, _level: Level, _text: &str, _out: &mut Outbox) {}

    /// Goes over to the application's log, with its first line.
    pub fn start_application(&mut self, _now: Time, _out: &mut Outbox) {}

    /// From now on lines bear this clock's time.
    pub fn follow(&mut self, _clock: &Clock) {}

    /// Takes levels from the configuration (`log.render.level`, `log.level.change.<comp>`).
    pub fn configure(&mut self, _config: &Config) {}

    /// The whole text of one of the logs, as it is uploaded.
    pub fn text(&self, _kind: LogKind) -> String {
        String::new()
    }

    /// The lines of one of the logs, oldest first.
    pub fn lines(&self, _kind: LogKind) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }
}
