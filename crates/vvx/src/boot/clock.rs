//! The phone's clock: 1970 until somebody tells the time, and the local time that it shows.
//!
//! The device has no battery, so power-on puts it back; that the date is 1970 is a guess, that it lies far in
//! the past is known. Local time is UTC plus an offset plus, where the phone's own daylight-saving rule is on
//! and in season, one hour. A network that sends an offset with that hour in it makes the phone one hour fast.

use std::time::Duration;

use net::{Time, Wall, WallClock};
use time::{Date, Month, Weekday};

use crate::config::Config;

/// The largest offset from UTC that is believed: 18 hours, in seconds.
const OFFSET_LIMIT: i32 = 18 * 3600;

/// Whether the clock can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockState {
    /// Nobody told the time since power-on.
    FactoryDefault,
    /// A time server did.
    Synced,
}

/// When the phone adds an hour: the n-th weekday of a month to the n-th weekday of another, at 2 o'clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Season {
    start: Turn,
    stop: Turn,
}

/// One end of the season.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    month: u8,
    /// The weekday falls on this day of the month or on the next such weekday.
    not_before: u8,
    /// 1 is Sunday.
    weekday: u8,
    hour: u8,
}

/// The phone's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    wall: WallClock,
    state: ClockState,
    offset_s: i32,
    season: Option<Season>,
}

impl Clock {
    /// As it is at power-on: midnight of the first of January 1970.
    pub fn factory_default(now: Time) -> Clock {
        Clock {
            wall: WallClock::new(Wall::UNIX_EPOCH, now),
            state: ClockState::FactoryDefault,
            offset_s: 0,
            season: None,
        }
    }

    /// The same clock with a quartz that runs `ppm` parts per million fast.
    pub fn drifting(mut self, ppm: i32) -> Clock {
        self.wall = self.wall.drifting(ppm);
        self
    }

    /// What the phone believes, in UTC.
    pub fn wall(&self) -> WallClock {
        self.wall
    }

    /// The clock itself, for a story that sets it wrong.
    pub fn wall_mut(&mut self) -> &mut WallClock {
        &mut self.wall
    }

    /// Whether it can be believed.
    pub fn state(&self) -> ClockState {
        self.state
    }

    /// Whether somebody told the time since power-on.
    pub fn is_synced(&self) -> bool {
        self.state == ClockState::Synced
    }

    /// The reading in UTC.
    pub fn read(&self, now: Time) -> Wall {
        self.wall.read(now)
    }

    /// The reading in the phone's local time, as its status bar shows it.
    pub fn local(&self, now: Time) -> Wall {
        let utc = self.read(now);
        let standard = shift(utc, self.offset_s);
        match self.season {
            Some(season) if season.holds(standard) => shift(standard, 3600),
            _ => standard,
        }
    }

    /// Puts the clock to what a time server said.
    pub fn sync(&mut self, now: Time, reading: Wall) {
        self.wall.set(now, reading);
        self.state = ClockState::Synced;
    }

    /// Puts local time `seconds` east of UTC; more than 18 hours either way is not believed.
    pub fn set_offset(&mut self, seconds: i32) {
        self.offset_s = if (-OFFSET_LIMIT..=OFFSET_LIMIT).contains(&seconds) { seconds } else { 0 };
    }

    /// How many seconds local standard time lies east of UTC.
    pub fn offset_s(&self) -> i32 {
        self.offset_s
    }

    /// Takes offset and daylight saving from `tcpIpApp.sntp.*`; `from_network` is DHCP option 2 (RFC 2132 §3.4),
    /// which wins unless `tcpIpApp.sntp.gmtOffset.overrideDHCP` is 1.
    pub fn configure(&mut self, config: &Config, from_network: Option<i32>) {
        let configured = ["tcpIpApp.sntp.gmtOffset", "device.sntp.gmtOffset"]
            .into_iter()
            .find_map(|name| config.number(name))
            .and_then(|seconds| i32::try_from(seconds).ok());
        let offset = if config.is_on("tcpIpApp.sntp.gmtOffset.overrideDHCP") {
            configured.or(from_network)
        } else {
            from_network.or(configured)
        };
        self.set_offset(offset.unwrap_or(0));
        self.season = config.is_on("tcpIpApp.sntp.daylightSavings.enable").then(|| Season::read(config));
    }
}

fn shift(wall: Wall, seconds: i32) -> Wall {
    let span = Duration::from_secs(u64::from(seconds.unsigned_abs()));
    if seconds < 0 { wall.minus(span) } else { wall.plus(span) }
}

impl Season {
    fn read(config: &Config) -> Season {
        let turn = |end: &str| {
            let field = |field: &str, range: std::ops::RangeInclusive<u8>, otherwise: u8| {
                config
                    .number(&format!("tcpIpApp.sntp.daylightSavings.{end}.{field}"))
                    .and_then(|number| u8::try_from(number).ok())
                    .filter(|number| range.contains(number))
                    .unwrap_or(otherwise)
            };
            let (month, date) = if end == "start" { (3, 8) } else { (11, 1) };
            Turn {
                month: field("month", 1..=12, month),
                not_before: field("date", 1..=31, date),
                weekday: field("dayOfWeek", 1..=7, 1),
                hour: field("time", 0..=23, 2),
            }
        };
        Season { start: turn("start"), stop: turn("stop") }
    }

    /// Whether local standard time lies in the season, which may span the turn of the year.
    fn holds(&self, standard: Wall) -> bool {
        let year = standard.date_time().year();
        let (Some(start), Some(stop)) = (self.start.in_year(year), self.stop.in_year(year)) else {
            return false;
        };
        // The season ends by the clock that runs one hour ahead.
        let (start, stop) = (start.unix_secs(), stop.unix_secs() - 3600);
        let at = standard.unix_secs();
        if start <= stop { (start..stop).contains(&at) } else { at >= start || at < stop }
    }
}

impl Turn {
    fn in_year(&self, year: i32) -> Option<Wall> {
        let month = Month::try_from(self.month).ok()?;
        let wanted = Weekday::Sunday.nth_next(self.weekday.checked_sub(1)?);
        let last = month.length(year);
        let first = self.not_before.min(last);
        // Behind the end of the month the last such weekday counts.
        let day = (first..=last)
            .chain((1..first).rev())
            .filter_map(|day| Date::from_calendar_date(year, month, day).ok())
            .find(|date| date.weekday() == wanted)?;
        let at = day.with_hms(self.hour, 0, 0).ok()?.assume_utc();
        Some(Wall::from_unix_secs(at.unix_timestamp()))
    }
}

#[cfg(test)]
mod tests {
    use net::Outbox;

    use super::*;
    use crate::config::Source;
    use crate::flash::Flash;

    fn config(values: &[(&str, &str)]) -> Config {
        let (mut config, mut flash, mut out) = (Config::default(), Flash::default(), Outbox::new());
        for (name, text) in values {
            config.set(Source::Web, name, Some(text), &mut flash, &mut out).expect("room");
        }
        config
    }

    fn local(utc: &str, config: &Config, from_network: Option<i32>) -> String {
        let mut clock = Clock::factory_default(Time::ZERO);
        clock.sync(Time::ZERO, Wall::parse(utc).expect("a date"));
        clock.configure(config, from_network);
        clock.local(Time::ZERO).to_string()
    }

    #[test]
    fn a_phone_that_nobody_told_the_time_believes_it_is_1970() {
        let clock = Clock::factory_default(Time::from_secs(5));
        assert_eq!(clock.state(), ClockState::FactoryDefault);
        assert_eq!(clock.read(Time::from_secs(65)).to_string(), "1970-01-01T00:01:00Z");
    }

    #[test]
    fn summer_begins_and_ends_at_two_o_clock_of_its_sundays() {
        let config =
            config(&[("tcpIpApp.sntp.gmtOffset", "-18000"), ("tcpIpApp.sntp.daylightSavings.enable", "1")]);
        assert_eq!(local("2018-03-11T06:59:59Z", &config, None), "2018-03-11T01:59:59Z");
        assert_eq!(local("2018-03-11T07:00:00Z", &config, None), "2018-03-11T03:00:00Z");
        assert_eq!(local("2018-11-04T05:59:59Z", &config, None), "2018-11-04T01:59:59Z");
        assert_eq!(local("2018-11-04T06:00:00Z", &config, None), "2018-11-04T01:00:00Z");
    }

    #[test]
    fn a_network_offset_that_holds_the_summer_hour_makes_the_phone_one_hour_fast() {
        let dst_on = config(&[("tcpIpApp.sntp.daylightSavings.enable", "1")]);
        assert_eq!(local("2018-07-01T10:00:00Z", &dst_on, Some(7200)), "2018-07-01T13:00:00Z");
        let dst_off = config(&[("tcpIpApp.sntp.daylightSavings.enable", "0")]);
        assert_eq!(local("2018-07-01T10:00:00Z", &dst_off, Some(7200)), "2018-07-01T12:00:00Z");
    }

    #[test]
    fn the_network_offset_wins_unless_configuration_says_otherwise() {
        let ours = [("tcpIpApp.sntp.gmtOffset", "3600"), ("tcpIpApp.sntp.daylightSavings.enable", "0")];
        assert_eq!(local("2018-07-01T10:00:00Z", &config(&ours), Some(7200)), "2018-07-01T12:00:00Z");
        let firm = [&ours[..], &[("tcpIpApp.sntp.gmtOffset.overrideDHCP", "1")]].concat();
        assert_eq!(local("2018-07-01T10:00:00Z", &config(&firm), Some(7200)), "2018-07-01T11:00:00Z");
        assert_eq!(local("2018-07-01T10:00:00Z", &config(&ours), Some(i32::MIN)), "2018-07-01T10:00:00Z");
    }
}
