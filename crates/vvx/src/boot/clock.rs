//! The phone's clock: 1970 until somebody tells the time.

use net::{Time, Wall, WallClock};

/// Whether the clock can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockState {
    /// Nobody told the time since power-on.
    FactoryDefault,
    /// A time server did.
    Synced,
}

/// The phone's clock.
#[derive(Clone, Debug)]
pub struct Clock {
    wall: WallClock,
    state: ClockState,
}

impl Clock {
    /// As it is at power-on: midnight of the first of January 1970.
    pub fn factory_default(now: Time) -> Clock {
        Clock { wall: WallClock::new(Wall::UNIX_EPOCH, now), state: ClockState::FactoryDefault }
    }

    /// What the phone believes, in UTC.
    pub fn wall(&self) -> WallClock {
        self.wall
    }

    /// Whether it can be believed.
    pub fn state(&self) -> ClockState {
        self.state
    }

    /// The reading in UTC.
    pub fn read(&self, now: Time) -> Wall {
        self.wall.read(now)
    }

    /// The reading in the phone's local time, as its status bar shows it.
    pub fn local(&self, now: Time) -> Wall {
        self.wall.read(now)
    }
}
