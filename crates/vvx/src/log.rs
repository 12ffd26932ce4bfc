//! The phone's own log, in the device's format: `time|comp |level|missed|text`.
//!
//! Time is seconds and milliseconds since power-on (`000012.340`) until the clock was set, `MMDDHHMMSS` after
//! that: UTC in the boot log, local time in the application's. The first line after a start has level `*` and
//! begins with `Initial log entry.`; tools find the last reboot by it. Every line also goes out as
//! [`Note::Log`], so secrets must not be in it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use net::{Note, Outbox, Time, Wall};

use crate::boot::Clock;
use crate::config::Config;
use crate::model::Mac;

/// Octets that each of the two logs holds; older lines fall out. The device's own default is 32 kB (a guess
/// from `log.render.file.size`).
pub const SIZE_LIMIT: usize = 32 * 1024;
/// Characters of a line's text; the rest is cut off.
pub const TEXT_LIMIT: usize = 512;
/// Lines written within [`BURST_SPAN`]; more are dropped and counted as missed.
pub const BURST_LIMIT: u32 = 200;
/// Lines that wait for the syslog server before it is known; older ones fall out.
pub const REMOTE_MAX: usize = 256;
/// The span of [`BURST_LIMIT`].
pub const BURST_SPAN: Duration = Duration::from_secs(1);

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

impl Level {
    /// As a line shows it.
    pub fn mark(self) -> char {
        match self {
            Level::Debug => '0',
            Level::HighDetail => '1',
            Level::Moderate => '2',
            Level::Low => '3',
            Level::Minor => '4',
            Level::Major => '5',
            Level::Fatal => '6',
            Level::Always => '*',
        }
    }

    fn from_number(number: i64) -> Option<Level> {
        Some(match number {
            0 => Level::Debug,
            1 => Level::HighDetail,
            2 => Level::Moderate,
            3 => Level::Low,
            4 => Level::Minor,
            5 => Level::Major,
            6 => Level::Fatal,
            _ => return None,
        })
    }
}

/// The two logs of a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogKind {
    /// Written by boot block and updater, in UTC.
    Boot,
    /// Written by the application, in local time.
    Application,
}

/// The lines of one of the logs, no more than [`SIZE_LIMIT`] octets.
#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<String>,
    octets: usize,
}

impl Ring {
    fn push(&mut self, line: String) {
        self.octets += line.len() + 1;
        self.lines.push_back(line);
        while self.octets > SIZE_LIMIT {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.octets -= oldest.len() + 1;
        }
    }
}

/// The log.
#[derive(Debug)]
pub struct Log {
    powered_at: Time,
    kind: LogKind,
    clock: Option<Clock>,
    boot: Ring,
    application: Ring,
    audit: Ring,
    render: Level,
    levels: BTreeMap<String, Level>,
    missed: u32,
    burst_began: Time,
    burst: u32,
    /// The least level for the syslog server, if there is one.
    remote: Option<Level>,
    /// Lines that wait to be sent there.
    lines: VecDeque<(Level, String)>,
}

impl Log {
    /// A log that starts at `now`, the moment of power-on, with its first line.
    pub fn new(now: Time, out: &mut Outbox) -> Log {
        let mut log = Log {
            powered_at: now,
            kind: LogKind::Boot,
            clock: None,
            boot: Ring::default(),
            application: Ring::default(),
            audit: Ring::default(),
            render: Level::Minor,
            levels: BTreeMap::new(),
            missed: 0,
            burst_began: now,
            burst: 0,
            remote: None,
            lines: VecDeque::new(),
        };
        log.line(now, "boot", Level::Always, "Initial log entry. Boot block and updater.", out);
        log
    }

    /// Writes a line for the component `comp` (one to five letters), if its level counts.
    pub fn line(&mut self, now: Time, comp: &str, level: Level, text: &str, out: &mut Outbox) {
        let wanted = self.levels.get(comp).copied().unwrap_or(Level::Minor);
        let is_for_file = level >= wanted.max(self.render);
        let is_for_remote = self.remote.is_some_and(|remote| level >= wanted.max(remote));
        if !(is_for_file || is_for_remote) {
            return;
        }
        if now.since(self.burst_began) >= BURST_SPAN {
            (self.burst_began, self.burst) = (now, 0);
        }
        self.burst += 1;
        if self.burst > BURST_LIMIT {
            self.missed = self.missed.saturating_add(1);
            return;
        }
        // Control characters would let a stranger's text forge lines.
        let text: String =
            text.chars().take(TEXT_LIMIT).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let comp: String = comp.chars().take(5).collect();
        let missed = std::mem::take(&mut self.missed).min(99);
        let line = format!("{}|{comp:<5}|{}|{missed:02}|{text}", self.stamp(now), level.mark());
        if is_for_remote {
            self.lines.push_back((level, line.clone()));
            if self.lines.len() > REMOTE_MAX {
                self.lines.pop_front();
            }
        }
        if !is_for_file {
            return;
        }
        out.note(Note::Log(line.clone()));
        match self.kind {
            LogKind::Boot => self.boot.push(line),
            LogKind::Application => self.application.push(line),
        }
    }

    /// Goes over to the application's log, with its first line.
    pub fn start_application(&mut self, now: Time, out: &mut Outbox) {
        self.kind = LogKind::Application;
        self.line(now, "log", Level::Always, "Initial log entry. Application.", out);
    }

    /// From now on lines bear this clock's time, if it was ever set.
    pub fn follow(&mut self, clock: &Clock) {
        self.clock = clock.is_synced().then(|| clock.clone());
    }

    /// Writes a line into the audit log: when, by which phone, what. It goes nowhere else.
    pub fn audit(&mut self, local: Wall, mac: Mac, text: &str) {
        let at = local.date_time();
        let format =
            time::macros::format_description!("[month repr:short] [day] [hour]:[minute]:[second] [year]");
        let at = at.format(format).unwrap_or_default();
        let text: String =
            text.chars().take(TEXT_LIMIT).map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.audit.push(format!("{at}|{mac}|{text}"));
    }

    /// The lines of the audit log, oldest first.
    pub fn audit_lines(&self) -> impl Iterator<Item = &str> {
        self.audit.lines.iter().map(String::as_str)
    }

    /// Forgets the lines of one of the logs.
    pub fn clear(&mut self, kind: LogKind) {
        match kind {
            LogKind::Boot => self.boot = Ring::default(),
            LogKind::Application => self.application = Ring::default(),
        }
    }

    /// The moment of power-on.
    pub fn powered_at(&self) -> Time {
        self.powered_at
    }

    /// The lines for the syslog server since the last call.
    pub fn take_lines(&mut self) -> VecDeque<(Level, String)> {
        std::mem::take(&mut self.lines)
    }

    /// Takes levels from the configuration: `log.render.level` for all, `log.level.change.<comp>` for one
    /// component; a line is written if it reaches both. For the syslog server `device.syslog.renderLevel` takes the
    /// place of the first.
    pub fn configure(&mut self, config: &Config) {
        const PREFIX: &str = "log.level.change.";
        let level = |name: &str| config.number(name).and_then(Level::from_number);
        self.render = level("log.render.level").unwrap_or(Level::Minor);
        let has_server = !config.text("device.syslog.serverName").trim().is_empty();
        self.remote = has_server.then(|| level("device.syslog.renderLevel").unwrap_or(Level::Minor));
        let names: Vec<String> = config.names(PREFIX).map(str::to_owned).collect();
        self.levels = names
            .into_iter()
            .filter_map(|name| Some((name[PREFIX.len()..].to_owned(), level(&name)?)))
            .collect();
    }

    /// The whole text of one of the logs, as it is uploaded.
    pub fn text(&self, kind: LogKind) -> String {
        self.lines(kind).flat_map(|line| [line, "\n"]).collect()
    }

    /// The lines of one of the logs, oldest first.
    pub fn lines(&self, kind: LogKind) -> impl Iterator<Item = &str> {
        let ring = match kind {
            LogKind::Boot => &self.boot,
            LogKind::Application => &self.application,
        };
        ring.lines.iter().map(String::as_str)
    }

    fn stamp(&self, now: Time) -> String {
        let Some(clock) = &self.clock else {
            let span = now.since(self.powered_at);
            return format!("{:06}.{:03}", span.as_secs(), span.subsec_millis());
        };
        let wall = match self.kind {
            LogKind::Boot => clock.read(now),
            LogKind::Application => clock.local(now),
        };
        let at = wall.date_time();
        let month = u8::from(at.month());
        format!("{month:02}{:02}{:02}{:02}{:02}", at.day(), at.hour(), at.minute(), at.second())
    }
}

#[cfg(test)]
mod tests {
    use net::{Effect, Wall};

    use super::*;
    use crate::config::Source;
    use crate::flash::Flash;

    fn noted(out: &mut Outbox) -> Vec<String> {
        let lines = out.take().into_iter().filter_map(|effect| match effect {
            Effect::Note(Note::Log(line)) => Some(line),
            _ => None,
        });
        lines.collect()
    }

    #[test]
    fn before_the_clock_is_set_a_line_bears_the_seconds_since_power_on() {
        let mut out = Outbox::new();
        let mut log = Log::new(Time::from_secs(100), &mut out);
        log.line(Time::from_millis(112_340), "so", Level::Minor, "hello", &mut out);
        assert_eq!(
            noted(&mut out),
            [
                "000000.000|boot |*|00|Initial log entry. Boot block and updater.",
                "000012.340|so   |4|00|hello"
            ]
        );
    }

    #[test]
    fn after_it_the_application_log_is_local_and_the_boot_log_utc() {
        let mut out = Outbox::new();
        let mut clock = Clock::factory_default(Time::ZERO);
        let mut log = Log::new(Time::ZERO, &mut out);
        clock.sync(Time::ZERO, Wall::parse("2018-10-09T23:30:05Z").expect("a date"));
        clock.set_offset(7200);
        log.follow(&clock);
        out.take();
        log.line(Time::ZERO, "so", Level::Major, "x", &mut out);
        log.start_application(Time::from_secs(1), &mut out);
        assert_eq!(
            noted(&mut out),
            ["1009233005|so   |5|00|x", "1010013006|log  |*|00|Initial log entry. Application."]
        );
    }

    #[test]
    fn levels_come_from_the_configuration() {
        let (mut out, mut flash, mut config) = (Outbox::new(), Flash::default(), Config::default());
        let mut log = Log::new(Time::ZERO, &mut out);
        out.take();
        log.line(Time::ZERO, "sip", Level::Low, "hidden", &mut out);
        for (name, text) in [("log.render.level", "1"), ("log.level.change.sip", "2")] {
            config.set(Source::Web, name, Some(text), &mut flash, &mut out).expect("room");
        }
        log.configure(&config);
        out.take();
        log.line(Time::ZERO, "sip", Level::HighDetail, "hidden", &mut out);
        log.line(Time::ZERO, "sip", Level::Moderate, "shown", &mut out);
        log.line(Time::ZERO, "dns", Level::Low, "hidden", &mut out);
        assert_eq!(noted(&mut out), ["000000.000|sip  |2|00|shown"]);
    }

    #[test]
    fn a_flood_is_counted_and_neither_it_nor_a_long_life_makes_the_log_grow() {
        let mut out = Outbox::new();
        let mut log = Log::new(Time::ZERO, &mut out);
        for _ in 0..BURST_LIMIT + 6 {
            log.line(Time::ZERO, "lldp", Level::Minor, "noise", &mut out);
        }
        log.line(Time::from_secs(1), "lldp", Level::Minor, "after", &mut out);
        assert_eq!(noted(&mut out).last().map(String::as_str), Some("000001.000|lldp |4|07|after"));
        for second in 2..2000 {
            log.line(Time::from_secs(second), "so", Level::Minor, &"x".repeat(1000), &mut out);
        }
        assert!(log.text(LogKind::Boot).len() <= SIZE_LIMIT);
    }

    #[test]
    fn a_text_cannot_forge_a_line() {
        let mut out = Outbox::new();
        let mut log = Log::new(Time::ZERO, &mut out);
        out.take();
        log.line(Time::ZERO, "so", Level::Minor, "a\r\n000000.000|so   |*|00|b", &mut out);
        assert_eq!(noted(&mut out), ["000000.000|so   |4|00|a  000000.000|so   |*|00|b"]);
    }
}
