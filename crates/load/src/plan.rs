//! What is offered to whom, and when, and what may come of it.
//!
//! These are the plan's facts as the engine and the workers need them; they travel to workers as JSON.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What is being found out, in words.
    pub title: String,
    /// Whatever is left to chance follows from this number.
    pub seed: u64,
    /// Who is to bear it.
    pub target: Target,
    /// Who offers it.
    pub phones: Phones,
    /// What is done each time, and how often in proportion to the rest.
    pub work: Vec<Weighted>,
    /// When it is done.
    pub profile: Vec<Stage>,
    /// What lies between.
    pub network: Network,
    /// What makes the run fail.
    pub limits: Limits,
    /// Work that falls due before this moment of the run is not counted.
    pub warm_up: Duration,
    /// How long the run waits at its end for answers that are still out; at most timer F makes sense.
    pub drain: Duration,
    /// On how many cores; all if not given.
    pub cores: Option<u32>,
}

/// Who is to bear the load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// This lab's own pool, started for the run as a program of its own, by this file.
    Lab {
        /// The lab file; none is a lab made for the purpose.
        file: Option<String>,
        /// How phones reach it.
        transport: Transport,
        /// How it asks who they are.
        digest: Digest,
    },
    /// Somebody's server.
    Server(Server),
}

/// How the lab's own pool asks phones who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Digest {
    /// Not at all.
    None,
    /// By MD5.
    Md5,
    /// By SHA-256.
    Sha256,
}

/// Somebody's server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Where it listens.
    pub at: SocketAddr,
    /// How phones reach it.
    pub transport: Transport,
    /// The SIP domain that phones register at: the Request-URI's host.
    pub domain: String,
    /// Over TLS: the name that its certificate must have, and whose word counts.
    pub tls: Option<TlsRules>,
}

/// What a TLS server must show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsRules {
    /// The name in its certificate, also sent as SNI.
    pub server_name: String,
    /// Roots as PEM text; none takes any certificate, which the summary says.
    pub roots: Option<String>,
}

/// How phones reach a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A TCP connection for each phone.
    Tcp,
    /// A TLS connection for each phone.
    Tls,
}

/// Who offers the load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phones {
    /// How many.
    pub count: u32,
    /// Who they are.
    pub accounts: Accounts,
    /// Their addresses: phones are spread over `addresses` many from here on, in order.
    pub from: Ipv4Addr,
    /// How many source addresses are used.
    pub addresses: u32,
    /// Over UDP: how phones share sockets.
    pub sockets: Sockets,
    /// The lifetime that they ask for.
    pub expires: Duration,
    /// When they refresh of their own accord, as a share of the lifetime that was granted; `None`: never, only when the
    /// profile says so.
    pub refresh: Option<f64>,
    /// How often they give a sign of life between registrations.
    pub keep_alive: Option<KeepAlive>,
}

/// Who phones are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accounts {
    /// By pattern: `{n}` stands for the phone's number from 0, `{n:05}` for the same with five digits.
    Pattern {
        /// The user part of the address.
        user: String,
        /// The password.
        password: Option<String>,
    },
    /// One by one; phone number n takes the one at n modulo their number.
    List(Vec<Account>),
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user part of the address.
    pub user: String,
    /// The name for digest if it is another one.
    pub auth_name: Option<String>,
    /// The password.
    pub password: Option<String>,
}

/// How phones share UDP sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sockets {
    /// So many for each part, told apart by what answers say.
    Shared(u32),
    /// Each phone its own, at its own address and port.
    PerPhone,
}

/// A sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepAlive {
    /// What it is.
    pub by: KeepAliveBy,
    /// How often.
    pub every: Duration,
}

/// What a sign of life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeepAliveBy {
    /// Two line ends; over TCP and TLS one line end is awaited (RFC 5626 §4.4.1).
    Crlf,
    /// OPTIONS to the domain; any final answer will do.
    Options,
}

/// What is done, in proportion to the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weighted {
    /// How often, in proportion to the others' weights.
    pub weight: u32,
    /// What.
    pub work: Work,
}

/// What is done each time that something is due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// A phone registers: the first time, or again. The next one in turn.
    Register {
        /// Prove it to each request anew: the last challenge is forgotten.
        forget_challenge: bool,
        /// Over TCP and TLS: close the connection afterwards, so that each registration opens one.
        close: bool,
    },
    /// A registered phone takes its binding back.
    Unregister,
    /// A registered phone gives a sign of life now.
    KeepAlive,
    /// One registered phone calls another through the server.
    Call {
        /// How long it rings.
        ring: Duration,
        /// How long it is held.
        hold: Duration,
    },
    /// A complete phone is signed in by web code, by a scripted person.
    SignIn,
}

impl Work {
    /// As plans write it.
    pub fn name(&self) -> &'static str {
        match self {
            Work::Register { .. } => "register",
            Work::Unregister => "unregister",
            Work::KeepAlive => "keep-alive",
            Work::Call { .. } => "call",
            Work::SignIn => "sign-in",
        }
    }

    /// Whether it takes all of a phone, its owner and the office around it.
    pub fn is_for_complete_phones(&self) -> bool {
        match self {
            Work::Register { .. } | Work::Unregister | Work::KeepAlive => false,
            Work::Call { .. } | Work::SignIn => true,
        }
    }
}

impl Plan {
    /// Whether it has work for complete phones; [`engine::check`](crate::engine::check) refuses to mix them with light ones.
    pub fn is_for_complete_phones(&self) -> bool {
        self.work.iter().any(|one| one.work.is_for_complete_phones())
    }

    /// The work that is done at an arrival: by weight, in turn.
    pub fn work_at(&self, number: u64) -> &Work {
        let mut left = number % self.work.iter().map(|one| u64::from(one.weight)).sum::<u64>().max(1);
        let mut found = &self.work[0].work;
        for one in &self.work {
            found = &one.work;
            if left < u64::from(one.weight) {
                break;
            }
            left -= u64::from(one.weight);
        }
        found
    }
}

/// A stage of the profile. Stages follow each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// So much work each second, evenly; a ramp if the two rates differ.
    Rate {
        /// At its beginning, in pieces of work a second.
        from: f64,
        /// At its end.
        to: f64,
        /// How long.
        over: Duration,
        /// How arrivals are spread.
        arrivals: Arrivals,
    },
    /// The power comes back: every phone registers once it has booted.
    BootStorm {
        /// How long a phone takes to boot, on average.
        boot: Duration,
        /// The standard deviation of that, cut off at three of them and at 0.
        jitter: Duration,
        /// How long the stage lasts.
        over: Duration,
    },
    /// Nothing new; phones do what they do by themselves.
    Quiet {
        /// How long.
        over: Duration,
    },
    /// Looks for the highest rate that keeps the limits.
    Search(Search),
}

/// How arrivals are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Each as long after the one before.
    Even,
    /// Independent of each other (exponential gaps).
    Poisson,
}

/// A search for the highest rate that keeps the limits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The rate that is tried first, in pieces of work a second.
    pub from: f64,
    /// The highest that is tried.
    pub to: f64,
    /// How long each trial lasts.
    pub trial: Duration,
    /// The search ends when the gap is this share of the rate.
    pub precision: f64,
}

/// What lies between phones and server; played by the generator, both ways.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// The share of datagrams that are lost, each way.
    pub loss: f64,
    /// By how much everything is delayed, each way.
    pub delay: Duration,
    /// By how much more at most, evenly spread.
    pub jitter: Duration,
    /// A connection or mapping that nothing used for so long is gone without a word, as a NAT forgets it.
    pub nat_idle: Option<Duration>,
}

/// What makes a run fail. Looked at over everything that is counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// The response time that 99 of 100 may not exceed.
    pub p99: Option<Duration>,
    /// The share of work that may fail.
    pub failures: Option<f64>,
    /// Retransmissions as a share of work offered.
    pub retransmissions: Option<f64>,
    /// The rate, in pieces of work that succeeded a second, that must be reached.
    pub rate: Option<f64>,
}

/// Which share of a plan's work somebody does: phones and arrivals whose number leaves `index` when divided by `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Which, from 0.
    pub index: u32,
    /// Of how many.
    pub of: u32,
}

impl Part {
    /// How many of `count` things are this part's.
    pub fn share(self, count: u64) -> u64 {
        let (index, of) = (u64::from(self.index), u64::from(self.of.max(1)));
        count / of + u64::from(index < count % of)
    }

    /// Whether a thing is this part's.
    pub fn has(self, number: u64) -> bool {
        number % u64::from(self.of.max(1)) == u64::from(self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_everything_and_nothing_twice() {
        for of in 1..7 {
            let parts = (0..of).map(|index| Part { index, of });
            assert_eq!(parts.clone().map(|part| part.share(1_000)).sum::<u64>(), 1_000);
            for number in 0..50 {
                assert_eq!(parts.clone().filter(|part| part.has(number)).count(), 1);
            }
        }
    }
}
