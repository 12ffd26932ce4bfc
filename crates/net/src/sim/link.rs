//! Links: how long a packet takes, and whether it arrives.
//!
//! Every segment of the network has one uplink. A packet between two segments goes up the one and down the other;
//! a packet within a segment only crosses its switch. Each direction draws from a generator of its own.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::random::Random;
use crate::time::Time;

/// How long a packet needs through the switch of a segment.
const SWITCH_DELAY: Duration = Duration::from_micros(200);

/// How a link treats packets. The default is a perfect one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkModel {
    /// The least time that a packet takes.
    pub delay: Duration,
    /// Up to this much is added, drawn evenly; packets keep their order.
    pub jitter: Duration,
    /// The share of packets that never arrive, 0.0 to 1.0.
    pub loss: f64,
    /// The share of datagrams that arrive twice.
    pub duplicate: f64,
    /// The share of datagrams that later ones overtake.
    pub reorder: f64,
    /// Nothing passes at all.
    pub is_cut: bool,
}

/// One direction of a link.
#[derive(Debug)]
pub(super) struct Lane {
    name: String,
    random: Random,
    last_arrival: Time,
    hash: Sha256,
}

/// What becomes of a packet: when it arrives, and when its double does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) arrival: Option<Time>,
    pub(super) double: Option<Time>,
}

/// Whether a packet may arrive twice or out of order, or belongs to a stream that forbids both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Free,
    Kept,
}

impl Lane {
    pub(super) fn new(seed: u64, name: &str) -> Lane {
        Lane {
            name: name.to_owned(),
            random: Random::named(seed, &format!("link {name}")),
            last_arrival: Time::ZERO,
            hash: Sha256::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The hash over every packet that was put on this lane: when, and its bytes.
    pub(super) fn hash(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    /// Draws whether something with this probability happens.
    pub(super) fn draw(&mut self, share: f64) -> bool {
        self.random.chance(share)
    }

    /// Sends `packet` down a link that behaves like `model`, starting at `at`.
    pub(super) fn pass(&mut self, model: &LinkModel, at: Time, packet: &[u8], order: Order) -> Passage {
        self.hash.update(at.as_nanos().to_be_bytes());
        self.hash.update((packet.len() as u64).to_be_bytes());
        self.hash.update(packet);
        if model.is_cut || self.random.chance(model.loss) {
            return Passage::default();
        }
        let jitter = u64::try_from(model.jitter.as_nanos()).unwrap_or(u64::MAX);
        let extra = Duration::from_nanos(self.random.below(jitter.saturating_add(1)));
        let mut arrival = (at + model.delay + extra).max(self.last_arrival);
        if order == Order::Kept {
            self.last_arrival = arrival;
            return Passage { arrival: Some(arrival), double: None };
        }
        if self.random.chance(model.reorder) {
            // Held back long enough for a packet sent right behind it to overtake.
            arrival += model.delay.max(Duration::from_millis(1));
        } else {
            self.last_arrival = arrival;
        }
        let double = self.random.chance(model.duplicate).then(|| arrival + Duration::from_millis(1));
        Passage { arrival: Some(arrival), double }
    }
}

/// A segment of the network: everybody behind one switch, and the uplink to the rest.
#[derive(Debug)]
pub(super) struct Segment {
    name: String,
    pub(super) model: LinkModel,
    pub(super) up: Lane,
    pub(super) down: Lane,
    pub(super) switch: Lane,
}

impl Segment {
    pub(super) fn new(seed: u64, name: &str, model: LinkModel) -> Segment {
        Segment {
            name: name.to_owned(),
            model,
            up: Lane::new(seed, &format!("{name} up")),
            down: Lane::new(seed, &format!("{name} down")),
            switch: Lane::new(seed, &format!("{name} switch")),
        }
    }

    /// What the lab calls it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Crosses the switch only.
    pub(super) fn within(&mut self, at: Time, packet: &[u8], order: Order) -> Passage {
        let model = LinkModel { delay: SWITCH_DELAY, ..LinkModel::default() };
        self.switch.pass(&model, at, packet, order)
    }

    /// Goes up to the rest of the network.
    pub(super) fn upward(&mut self, at: Time, packet: &[u8], order: Order) -> Passage {
        let model = self.model.clone();
        self.up.pass(&model, at, packet, order)
    }

    /// Comes down from the rest of the network.
    pub(super) fn downward(&mut self, at: Time, packet: &[u8], order: Order) -> Passage {
        let model = self.model.clone();
        self.down.pass(&model, at, packet, order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(model: &LinkModel, order: Order) -> Vec<Passage> {
        let mut lane = Lane::new(7, "test");
        (0..1000).map(|n| lane.pass(model, Time::from_millis(n * 20), b"packet", order)).collect()
    }

    #[test]
    fn a_perfect_link_takes_its_delay_and_nothing_else() {
        let model = LinkModel { delay: Duration::from_millis(12), ..LinkModel::default() };
        let first = arrivals(&model, Order::Free)[0];
        assert_eq!(first, Passage { arrival: Some(Time::from_millis(12)), double: None });
    }

    #[test]
    fn loss_and_doubles_keep_their_share() {
        let model = LinkModel { loss: 0.1, duplicate: 0.1, ..LinkModel::default() };
        let all = arrivals(&model, Order::Free);
        let lost = all.iter().filter(|p| p.arrival.is_none()).count();
        let doubled = all.iter().filter(|p| p.double.is_some()).count();
        assert!((70..130).contains(&lost), "{lost}");
        assert!((60..125).contains(&doubled), "{doubled}");
    }

    #[test]
    fn jitter_keeps_the_order_and_reorder_does_not() {
        let jitter = Duration::from_millis(50);
        let in_order = |model: &LinkModel| {
            let times: Vec<_> = arrivals(model, Order::Free).iter().filter_map(|p| p.arrival).collect();
            times.windows(2).all(|pair| pair[0] <= pair[1])
        };
        assert!(in_order(&LinkModel { jitter, ..LinkModel::default() }));
        let delay = Duration::from_millis(30);
        assert!(!in_order(&LinkModel { delay, reorder: 0.2, ..LinkModel::default() }));
    }

    #[test]
    fn nothing_passes_a_cut() {
        let model = LinkModel { is_cut: true, ..LinkModel::default() };
        assert!(arrivals(&model, Order::Kept).iter().all(|p| p.arrival.is_none()));
    }
}
