//! What a real world is made of.

use std::net::IpAddr;

use crate::clock::Speed;
use crate::ports::Ground;
use crate::store::Store;

/// How datagrams between two actors of one world travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// Over sockets of this machine, one for each port that an actor listens to, so that others can send to it too.
    Sockets,
    /// Handed over inside the program, for fleets: ten thousand phones have more ports than a program may have sockets. A
    /// port gets a socket when it first sends to somebody who is not of this world, and hears others from then on.
    Handed,
}

/// What a real world is made of.
#[derive(Debug)]
pub struct Setup {
    /// Addresses and ports.
    pub ground: Ground,
    /// How lab time passes.
    pub speed: Speed,
    /// Chance of faults.
    pub seed: u64,
    /// Where the actors' disks are kept; `None` keeps them as long as the program runs.
    pub store: Option<Store>,
    /// Further addresses at which some actors listen as well, each port for the first that asks: `::1` for services.
    pub also: Vec<(String, IpAddr)>,
    /// How many entries the journal keeps; `None` keeps all. With 0 there is no journal: notes are dropped as they come.
    pub journal: Option<usize>,
    /// How datagrams between its actors travel.
    pub among: Among,
}

impl Setup {
    /// A world on `ground`, in real time, that keeps nothing when the program ends.
    pub fn on(ground: Ground) -> Setup {
        Setup {
            ground,
            speed: Speed::REAL,
            seed: 0,
            store: None,
            also: Vec::new(),
            journal: None,
            among: Among::Sockets,
        }
    }
}
