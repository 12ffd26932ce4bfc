//! Time in the lab: instants since it opened, and the wall clocks that its actors believe.
//!
//! [`Time`] has a zero and only grows; every deadline is one. [`Wall`] is a calendar reading, and belongs
//! to whoever reads it: each actor has a [`WallClock`] of its own, which may be wrong.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;

/// An instant in the lab: nanoseconds since it opened. Prints as `12.340s`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The moment the lab opened.
    pub const ZERO: Time = Time(0);
    /// Later than anything that happens: 584 years.
    pub const NEVER: Time = Time(u64::MAX);

    /// The instant `nanos` nanoseconds after the lab opened.
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// The instant `millis` milliseconds after the lab opened.
    pub const fn from_millis(millis: u64) -> Time {
        Time(millis * 1_000_000)
    }

    /// The instant `secs` seconds after the lab opened.
    pub const fn from_secs(secs: u64) -> Time {
        Time(secs * 1_000_000_000)
    }

    /// Nanoseconds since the lab opened.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is still to come.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long the lab has been open.
    pub fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    /// Saturates at [`Time::NEVER`].
    fn add(self, span: Duration) -> Time {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(nanos))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Time> for Time {
    type Output = Duration;

    /// Saturates at zero.
    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0 / 1_000_000;
        let (secs, millis) = (millis / 1000, millis % 1000);
        let (mins, hours) = (secs / 60 % 60, secs / 3600);
        let text = match (hours, mins) {
            (0, 0) => format!("{}.{millis:03}s", secs),
            (0, _) => format!("{mins}m {:02}.{millis:03}s", secs % 60),
            _ => format!("{hours}h {mins:02}m {:02}.{millis:03}s", secs % 60),
        };
        f.pad(&text)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Writes a span as people say it: `8h 07m 12s`, `15m 00s`, `12s`, `0.34s`.
pub fn spell(span: Duration) -> String {
    let secs = span.as_secs();
    let (hours, mins) = (secs / 3600, secs / 60 % 60);
    match (hours, mins, secs) {
        (0, 0, 0..=9) => format!("{:.2}s", span.as_secs_f64()),
        (0, 0, _) => format!("{secs}s"),
        (0, _, _) => format!("{mins}m {:02}s", secs % 60),
        _ => format!("{hours}h {mins:02}m {:02}s", secs % 60),
    }
}

/// A reading of a wall clock: nanoseconds since 1970-01-01T00:00:00Z. Prints as RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(i64);

impl Wall {
    /// Midnight of the first of January 1970: what a phone believes before NTP told it better.
    pub const UNIX_EPOCH: Wall = Wall(0);

    /// The reading `secs` seconds after 1970-01-01T00:00:00Z.
    pub const fn from_unix_secs(secs: i64) -> Wall {
        Wall(secs.saturating_mul(1_000_000_000))
    }

    /// The reading `nanos` nanoseconds after 1970-01-01T00:00:00Z.
    pub const fn from_unix_nanos(nanos: i64) -> Wall {
        Wall(nanos)
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    pub const fn unix_secs(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub const fn unix_nanos(self) -> i64 {
        self.0
    }

    /// As a calendar date and time in UTC.
    pub fn date_time(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0))
            .expect("an i64 of nanoseconds lies between the years 1677 and 2262")
    }

    /// Reads RFC 3339 text such as `2018-10-09T09:00:00Z`.
    pub fn parse(text: &str) -> Option<Wall> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(parsed.unix_timestamp_nanos()).ok().map(Wall)
    }

    /// `span` later; saturates.
    pub fn plus(self, span: Duration) -> Wall {
        Wall(self.0.saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// `span` earlier; saturates.
    pub fn minus(self, span: Duration) -> Wall {
        Wall(self.0.saturating_sub(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = Wall::from_unix_secs(self.unix_secs()).date_time();
        f.pad(&whole.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What one actor believes the calendar says: a reading at an instant, running on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallClock {
    reading: Wall,
    at: Time,
    /// How fast it runs: parts per million too fast (positive) or too slow (negative).
    drift_ppm: i32,
}

impl WallClock {
    /// A clock that reads `reading` at the instant `at` and runs true.
    pub const fn new(reading: Wall, at: Time) -> WallClock {
        WallClock { reading, at, drift_ppm: 0 }
    }

    /// The same clock, running `ppm` parts per million fast.
    pub fn drifting(mut self, ppm: i32) -> WallClock {
        self.drift_ppm = ppm;
        self
    }

    /// What the clock reads at `now`.
    pub fn read(&self, now: Time) -> Wall {
        let elapsed = i128::from(now.as_nanos()) - i128::from(self.at.as_nanos());
        let run = elapsed + elapsed * i128::from(self.drift_ppm) / 1_000_000;
        let nanos = i128::from(self.reading.unix_nanos()) + run;
        Wall::from_unix_nanos(nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }

    /// Puts the clock to `reading` at `now`; its drift stays.
    pub fn set(&mut self, now: Time, reading: Wall) {
        self.reading = reading;
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_prints_as_people_read_a_stopwatch() {
        assert_eq!(Time::from_millis(12_340).to_string(), "12.340s");
        assert_eq!(Time::from_millis(72_004).to_string(), "1m 12.004s");
        assert_eq!(Time::from_secs(29_232).to_string(), "8h 07m 12.000s");
    }

    #[test]
    fn a_span_is_spelled_in_its_largest_unit() {
        assert_eq!(spell(Duration::from_secs(29_232)), "8h 07m 12s");
        assert_eq!(spell(Duration::from_secs(900)), "15m 00s");
        assert_eq!(spell(Duration::from_millis(340)), "0.34s");
    }

    #[test]
    fn a_drifting_clock_gains_what_it_should() {
        let clock = WallClock::new(Wall::from_unix_secs(1000), Time::ZERO).drifting(100);
        assert_eq!(clock.read(Time::from_secs(10_000)).unix_secs(), 11_001);
    }

    #[test]
    fn a_wall_reading_survives_print_and_parse() {
        let text = "2018-10-09T09:00:00Z";
        assert_eq!(Wall::parse(text).map(|w| w.to_string()).as_deref(), Some(text));
        assert_eq!(Wall::parse("yesterday"), None);
    }
}
