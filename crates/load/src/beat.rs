//! What came of one second of one part's work; beats add up to everything that a run has to say.
//!
//! Each piece of work — a registration, a refresh, a call, a sign-in — is *offered* when it falls due, and afterwards counts
//! exactly once more: as succeeded, as failed by one cause, or as unfinished if the run ended first. A piece of work that the
//! generator could not even begin has failed too, by a cause that says so; nothing is dropped silently. Hence, over all beats,
//! offered = succeeded + failed + unfinished ([`Counts::adds_up`]).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use serde::{Deserialize, Serialize};

/// The longest response time that is told apart from longer ones, in microseconds: an hour.
pub const LATENCY_MAX_US: u64 = 3_600_000_000;

/// How many causes are told apart; further ones count as [`Cause::OTHER`], since a server may make up texts without end.
pub const CAUSES_MAX: usize = 64;

/// A kind of work, as limits and charts tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A REGISTER of a phone that has no binding yet, from opening its connection to its 200.
    Register,
    /// A REGISTER of a phone that has one.
    Refresh,
    /// A REGISTER with which a phone takes its binding back.
    Unregister,
    /// A sign of life between registrations: CRLF CRLF (RFC 5626 §3.5.1), or OPTIONS.
    KeepAlive,
    /// A call from INVITE to the 200 of its BYE, less the time that it was held.
    Call,
    /// A complete sign-in, from pressing the key to the first 200 of the registrar.
    SignIn,
}

impl Kind {
    /// As plans and results write it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Register => "register",
            Kind::Refresh => "refresh",
            Kind::Unregister => "unregister",
            Kind::KeepAlive => "keep-alive",
            Kind::Call => "call",
            Kind::SignIn => "sign-in",
        }
    }
}

/// Why a piece of work failed, in few words that are the same for the same cause.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cause(Cow<'static, str>);

impl Cause {
    /// No final answer within the time that RFC 3261 §17.1.2.2 gives a request (timer F).
    pub const NO_ANSWER: Cause = Cause(Cow::Borrowed("no answer"));
    /// Nobody listens there.
    pub const REFUSED: Cause = Cause(Cow::Borrowed("connection refused"));
    /// The connection did not come about in time.
    pub const CONNECT_TIMEOUT: Cause = Cause(Cow::Borrowed("connection timed out"));
    /// The connection broke while an answer was awaited.
    pub const RESET: Cause = Cause(Cow::Borrowed("connection lost"));
    /// What came is no SIP message.
    pub const UNREADABLE: Cause = Cause(Cow::Borrowed("answer cannot be read"));
    /// The credentials that a challenge asked for were challenged again.
    pub const CHALLENGED_AGAIN: Cause = Cause(Cow::Borrowed("challenged again"));
    /// A challenge that cannot be answered: no password in the plan, or an algorithm that is not spoken.
    pub const UNANSWERABLE: Cause = Cause(Cow::Borrowed("challenge cannot be answered"));
    /// The generator's own fault: no phone of its share was idle when the work fell due.
    pub const NO_IDLE_PHONE: Cause = Cause(Cow::Borrowed("generator: no idle phone"));
    /// The generator's own fault: this machine gave no socket.
    pub const NO_SOCKET: Cause = Cause(Cow::Borrowed("generator: no socket"));
    /// A worker was lost with its share.
    pub const WORKER_LOST: Cause = Cause(Cow::Borrowed("worker lost"));
    /// More causes than are told apart.
    pub const OTHER: Cause = Cause(Cow::Borrowed("other causes"));

    /// A final answer that is no success.
    pub fn status(code: u16) -> Cause {
        Cause(Cow::Owned(format!("status {code}")))
    }

    /// TLS refused to go on, in the words of whoever found out.
    pub fn tls(why: &str) -> Cause {
        Cause(Cow::Owned(format!("TLS: {why}")))
    }

    /// A step of something longer did not come about: `certificate`, `second factor`.
    pub fn step(name: &str) -> Cause {
        Cause(Cow::Owned(format!("step: {name}")))
    }

    /// Whether the generator is to blame, and not the server.
    pub fn is_own(&self) -> bool {
        self.0.starts_with("generator: ")
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Response times in microseconds, three significant digits, up to [`LATENCY_MAX_US`].
#[derive(Clone, Debug, PartialEq)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Latency {
        let histogram = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3);
        Latency(histogram.expect("the bounds are in order and three digits are allowed"))
    }
}

impl Latency {
    /// Counts a response time; longer ones than can be told apart count as the longest.
    pub fn record(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(LATENCY_MAX_US);
        self.0.saturating_record(us.max(1));
    }

    /// Adds another's response times.
    pub fn add(&mut self, other: &Latency) {
        // Both have the same bounds, so that nothing can fall outside.
        let _ = self.0.add(&other.0);
    }

    /// The histogram, in microseconds.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    /// The response time that a share of all did not exceed; 0.99 for p99. Nothing if there were none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_micros(self.0.value_at_quantile(share)))
    }
}

impl Serialize for Latency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut octets = Vec::new();
        V2Serializer::new().serialize(&self.0, &mut octets).map_err(serde::ser::Error::custom)?;
        // Text is a third longer; a list of numbers would be thrice as long.
        STANDARD.encode(octets).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Latency, D::Error> {
        use serde::de::Error as _;
        let text = String::deserialize(deserializer)?;
        let octets = STANDARD.decode(text).map_err(|why| D::Error::custom(format!("no histogram: {why}")))?;
        let histogram = Deserializer::new().deserialize::<u64, _>(&mut &octets[..]);
        let histogram = histogram.map_err(|why| D::Error::custom(format!("no histogram: {why}")))?;
        let mut latency = Latency::default();
        latency.0.add(&histogram).map_err(|_| D::Error::custom("a histogram with other bounds"))?;
        Ok(latency)
    }
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Pieces of work that fell due.
    pub offered: u64,
    /// Those that went as they should.
    pub succeeded: u64,
    /// Those that did not, by cause.
    pub failed: BTreeMap<Cause, u64>,
    /// Those that the end of the run left open.
    pub unfinished: u64,
    /// Response times of those that succeeded, from the moment they were due.
    pub latency: BTreeMap<Kind, Latency>,
    /// Messages sent, repeated ones included.
    pub sent: u64,
    /// Messages received.
    pub received: u64,
    /// Requests sent again for want of an answer.
    pub retransmissions: u64,
    /// Answers to requests that had been answered already, or that nobody had sent.
    pub strays: u64,
    /// Challenges answered.
    pub challenges: u64,
    /// TLS handshakes completed.
    pub handshakes: u64,
    /// Connections opened.
    pub connections: u64,
    /// Messages that the plan's own network lost on purpose, either way.
    pub lost_on_purpose: u64,
}

impl Counts {
    /// Counts a failure.
    pub fn fail(&mut self, cause: Cause) {
        let known = self.failed.len() < CAUSES_MAX || self.failed.contains_key(&cause);
        *self.failed.entry(if known { cause } else { Cause::OTHER }).or_default() += 1;
    }

    /// Counts a success that took so long since it was due.
    pub fn succeed(&mut self, kind: Kind, took: Duration) {
        self.succeeded += 1;
        self.latency.entry(kind).or_default().record(took);
    }

    /// How many failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Counts) {
        self.offered += other.offered;
        self.succeeded += other.succeeded;
        self.unfinished += other.unfinished;
        for (cause, count) in &other.failed {
            let known = self.failed.len() < CAUSES_MAX || self.failed.contains_key(cause);
            *self.failed.entry(if known { cause.clone() } else { Cause::OTHER }).or_default() += count;
        }
        for (kind, latency) in &other.latency {
            self.latency.entry(*kind).or_default().add(latency);
        }
        self.sent += other.sent;
        self.received += other.received;
        self.retransmissions += other.retransmissions;
        self.strays += other.strays;
        self.challenges += other.challenges;
        self.handshakes += other.handshakes;
        self.connections += other.connections;
        self.lost_on_purpose += other.lost_on_purpose;
    }

    /// Whether each piece of work counts exactly once. True of the sum of all beats of a run, whatever happened in it.
    pub fn adds_up(&self) -> bool {
        self.offered == self.succeeded + self.failures() + self.unfinished
    }
}

/// How a part stood at the end of a beat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gauges {
    /// Pieces of work begun and not ended.
    pub in_flight: u64,
    /// Phones that hold a binding, as far as they know.
    pub registered: u64,
    /// Connections that are up.
    pub connected: u64,
}

/// One second of one part's work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beat {
    /// Which part.
    pub part: u32,
    /// Which second of the run, from 0. A part sends each second once, in order, empty ones too.
    pub second: u32,
    /// Work that fell due during the warm-up; it is told, but no limit and no percentile looks at it.
    pub warm: Counts,
    /// All other work, in the second in which it fell due (offered) or ended (everything else).
    pub counted: Counts,
    /// How it stood at the end.
    pub gauges: Gauges,
    /// CPU that the part's thread used in this second, user and system, in nanoseconds.
    pub cpu_ns: u64,
    /// By how much the part was late at most with what was due, in microseconds: above a few milliseconds the generator,
    /// or this machine, is the limit, and not the server.
    pub lateness_us: u64,
    /// How often the machine took nothing more for now (a full socket), and the part had to try again.
    pub blocked: u64,
    /// Set on the part's last beat.
    pub is_last: bool,
}

impl Beat {
    /// An empty beat.
    pub fn new(part: u32, second: u32) -> Beat {
        Beat {
            part,
            second,
            warm: Counts::default(),
            counted: Counts::default(),
            gauges: Gauges::default(),
            cpu_ns: 0,
            lateness_us: 0,
            blocked: 0,
            is_last: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_were_sent_elsewhere_add_up_to_the_same() {
        let mut one = Counts { offered: 3, ..Counts::default() };
        one.succeed(Kind::Register, Duration::from_millis(7));
        one.fail(Cause::NO_ANSWER);
        one.fail(Cause::status(503));
        let text = serde_json::to_string(&one).expect("counts can be written");
        let other: Counts = serde_json::from_str(&text).expect("and read");
        assert_eq!(one, other);
        let mut both = one.clone();
        both.add(&other);
        assert!(both.adds_up() && both.offered == 6 && both.failures() == 4);
        let p99 = both.latency[&Kind::Register].quantile(0.99).expect("two were recorded");
        assert!((6_990..=7_010).contains(&p99.as_micros()), "{p99:?}");
    }

    #[test]
    fn a_server_that_makes_up_causes_does_not_fill_the_memory() {
        let mut counts = Counts::default();
        for number in 0..1_000 {
            counts.offered += 1;
            counts.fail(Cause::tls(&format!("reason {number}")));
        }
        assert!(counts.failed.len() <= CAUSES_MAX + 1 && counts.adds_up());
    }
}
