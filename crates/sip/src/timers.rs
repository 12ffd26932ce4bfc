//! The timers of RFC 3261 as numbers (§17 and its table 4).

use std::time::Duration;

/// Whether the way between two ends loses messages; retransmission is for the ways that do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliability {
    /// TCP, TLS, WebSocket.
    Reliable,
    /// UDP.
    Unreliable,
}

/// The base values that all timers are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Estimate of a round trip.
    pub t1: Duration,
    /// The longest interval between retransmissions of a non-INVITE request or an INVITE response.
    pub t2: Duration,
    /// The longest time a message stays in the network.
    pub t4: Duration,
    /// How long an INVITE may wait for a final response, at least 3 minutes.
    pub c: Duration,
}

impl Timers {
    /// The values of RFC 3261: T1 500 ms, T2 4 s, T4 5 s, timer C 3 minutes and a second.
    pub const RFC3261: Timers = Timers {
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        c: Duration::from_secs(181),
    };

    /// How long a timer runs when it is first set. `None` means that it is not used on such a way.
    pub fn span(&self, timer: Timer, way: Reliability) -> Option<Duration> {
        let is_reliable = way == Reliability::Reliable;
        let span = match timer {
            Timer::A | Timer::E | Timer::G if is_reliable => return None,
            Timer::A | Timer::E | Timer::G => self.t1,
            Timer::B | Timer::F | Timer::H | Timer::L | Timer::M => self.t1 * 64,
            Timer::C => self.c,
            // At least 32 s on unreliable ways; 64*T1 is that for the usual T1 (RFC 3261 §17.1.1.2).
            Timer::D | Timer::J if !is_reliable => self.t1 * 64,
            Timer::I | Timer::K if !is_reliable => self.t4,
            Timer::D | Timer::I | Timer::J | Timer::K => Duration::ZERO,
        };
        Some(span)
    }

    /// The interval after `interval` between two retransmissions of an INVITE: twice as long, without a limit but
    /// timer B (RFC 3261 §17.1.1.2).
    pub fn next_a(&self, interval: Duration) -> Duration {
        interval * 2
    }

    /// The interval after `interval` between two retransmissions of a non-INVITE request, or of a final answer to
    /// an INVITE (timer G, RFC 3261 §17.2.1): twice as long, at most T2.
    pub fn next_e(&self, interval: Duration) -> Duration {
        (interval * 2).min(self.t2)
    }
}

impl Default for Timers {
    fn default() -> Timers {
        Timers::RFC3261
    }
}

/// The timers by their letters (RFC 3261, table 4; RFC 6026).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// INVITE request retransmission.
    A,
    /// INVITE transaction gives up.
    B,
    /// A proxy's INVITE gives up.
    C,
    /// Waits for retransmitted INVITE responses.
    D,
    /// Non-INVITE request retransmission.
    E,
    /// Non-INVITE transaction gives up.
    F,
    /// INVITE response retransmission.
    G,
    /// Waits for the ACK.
    H,
    /// Waits for retransmitted ACKs.
    I,
    /// Waits for retransmitted non-INVITE requests.
    J,
    /// Waits for retransmitted non-INVITE responses.
    K,
    /// An accepted INVITE's server waits for retransmitted INVITEs (RFC 6026 §8.7).
    L,
    /// An accepted INVITE's client waits for retransmitted and other 2xx (RFC 6026 §8.4).
    M,
}
