//! Verbs of faults and of time: what the world does to everybody.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use net::Wall;
use serde_json::{Value as Json, json};

use super::{Party, PhoneName, RequestName, ServiceName, SiteName};
use crate::mistakes::Mistake;
use crate::schema::Shapes;
use crate::yaml::record::record;
use crate::yaml::{Content, Drift, Node, Reader, Share, Shift, Value, units::span};

record! {
    /// The power goes, and comes back after `for`; without it, with `power-on` or `start`.
    short "phone"
    "`power-cut`" pub struct PowerCut {
        /// The phone whose power goes.
        "phone" phone: Option<PhoneName>,
        /// Or the service whose power goes.
        "server" server: Option<ServiceName>,
        /// How long it is gone.
        "for" lasts: Option<Duration>,
        /// Not now, but at the n-th write to its flash from now, before that write.
        "at-write" at_write: Option<u32> => at_least_one,
        /// Not now, but in the middle of the n-th write from now, which is torn.
        "torn-write" torn_write: Option<u32> => at_least_one,
    }
    check check_power_cut
}

fn at_least_one(count: &Option<u32>, node: &Node, reader: &mut Reader) -> Option<()> {
    match count {
        Some(0) => {
            reader.wrong(Mistake::new(node.place, "counting begins at 1"));
            None
        }
        _ => Some(()),
    }
}

fn check_power_cut(cut: &PowerCut, node: &Node, reader: &mut Reader) -> Option<()> {
    exactly_one(
        node,
        reader,
        "`power-cut`",
        &[("phone", cut.phone.is_some()), ("server", cut.server.is_some())],
    )?;
    if cut.at_write.is_some() && cut.torn_write.is_some() {
        reader.wrong(Mistake::new(node.place, "`power-cut` has `at-write` or `torn-write`, not both"));
        return None;
    }
    Some(())
}

record! {
    /// A fault on the network between two parties, or its end.
    ///
    /// The faulty side is named by one of `phone`, `site` and `from`; without any, everybody is.
    /// Several effects in one step hold together.
    "`network`" pub struct Network {
        /// The phone on the faulty side.
        "phone" phone: Option<PhoneName>,
        /// The site on the faulty side.
        "site" site: Option<SiteName>,
        /// Whoever is on the faulty side: a phone, person, service or site.
        "from" from: Option<Party>,
        /// Only the way to this other side; everybody if not written.
        "to" to: Option<Party>,
        /// Nothing arrives.
        "cut" cut: bool = false,
        /// Everything arrives this much later.
        "delay" delay: Option<Duration>,
        /// This share never arrives.
        "loss" loss: Option<Share>,
        /// This share of the datagrams arrives twice.
        "duplicate" duplicate: Option<Share>,
        /// This share of the datagrams is overtaken by the next.
        "reorder" reorder: Option<Share>,
        /// A port that nothing gets through to, or a service that refuses.
        "block" block: Option<Block>,
        /// How long it lasts; without it, until `restore`.
        "for" lasts: Option<Duration>,
        /// Ends every fault of this side (and, with `to`, of that way).
        "restore" restore: bool = false,
    }
    check check_network
}

fn check_network(network: &Network, node: &Node, reader: &mut Reader) -> Option<()> {
    let sides = [network.phone.is_some(), network.site.is_some(), network.from.is_some()];
    if sides.into_iter().filter(|side| *side).count() > 1 {
        let title = "`network` names the faulty side once: by `phone`, `site` or `from`";
        reader.wrong(Mistake::new(node.place, title));
        return None;
    }
    let effect = network.cut
        || network.delay.is_some()
        || network.loss.is_some()
        || network.duplicate.is_some()
        || network.reorder.is_some()
        || network.block.is_some();
    if effect == network.restore {
        let title = "`network` needs either an effect or `restore: true`";
        let effects = "effects: cut, delay, loss, duplicate, reorder, block";
        reader.wrong(Mistake::new(node.place, title).help(effects));
        return None;
    }
    Some(())
}

impl Network {
    /// The faulty side; `None` is everybody.
    pub fn party(&self) -> Option<Party> {
        let phone = self.phone.clone().map(Party::Phone);
        phone.or_else(|| self.site.clone().map(Party::Site)).or_else(|| self.from.clone())
    }
}

/// What is blocked.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Everything to this server port.
    Port(u16),
    /// Everything to this service, party or site.
    Party(Party),
}

impl Value for Block {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.content {
            Content::Scalar { text, .. } if text.bytes().all(|b| b.is_ascii_digit()) => {
                u16::read(node, reader).map(Block::Port)
            }
            _ => Party::read(node, reader).map(Block::Party),
        }
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": ["integer", "string"] })
    }
}

record! {
    /// A service that is stopped or started.
    short "service"
    "this step" pub struct ServiceVerb {
        /// The service.
        "service" service: ServiceName,
    }
}

record! {
    /// What a service answers to the next requests of a kind, instead of doing its work.
    "`answer`" pub struct Answer {
        /// The service.
        "service" service: ServiceName,
        /// The kind of request.
        "kind" kind: RequestName,
        /// How many of them.
        "next" next: u32 = 1 => check_next,
        /// The status: HTTP's, or SIP's for SIP requests.
        "status" status: u16 => check_status,
    }
}

fn check_next(next: &u32, node: &Node, reader: &mut Reader) -> Option<()> {
    at_least_one(&Some(*next), node, reader)
}

fn check_status(status: &u16, node: &Node, reader: &mut Reader) -> Option<()> {
    if (100..700).contains(status) {
        return Some(());
    }
    reader.wrong(Mistake::new(node.place, format!("{status} is no status")).label("from 100 to 699"));
    None
}

record! {
    /// Somebody's clock set, moved, or made to run fast or slow.
    "`clock`" pub struct Clock {
        /// Whose.
        "of" of: Party,
        /// What it reads from now on.
        "set" set: Option<Wall>,
        /// How far it is moved.
        "skew" skew: Option<Shift>,
        /// How fast it runs from now on.
        "drift" drift: Option<Drift>,
    }
    check check_clock
}

fn check_clock(clock: &Clock, node: &Node, reader: &mut Reader) -> Option<()> {
    let ways =
        [("set", clock.set.is_some()), ("skew", clock.skew.is_some()), ("drift", clock.drift.is_some())];
    exactly_one(node, reader, "`clock`", &ways)
}

record! {
    /// Names in the lab's DNS changed: addresses set, names taken out.
    "`dns`" pub struct Dns {
        /// Names with the address each has from now on.
        "set" set: BTreeMap<String, Ipv4Addr>,
        /// Names that exist no longer.
        "remove" remove: Vec<String>,
    }
    check check_dns
}

fn check_dns(dns: &Dns, node: &Node, reader: &mut Reader) -> Option<()> {
    if !dns.set.is_empty() || !dns.remove.is_empty() {
        return Some(());
    }
    reader.wrong(Mistake::new(node.place, "`dns` needs `set` or `remove`"));
    None
}

record! {
    /// Lab time that passes.
    short "for"
    "`wait`" pub struct Wait {
        /// How long.
        "for" lasts: Duration,
    }
}

record! {
    /// A moment of the lab that is waited for; past ones are not waited for.
    short "time"
    "`at`" pub struct At {
        /// A span since the lab opened, or a date and time of the lab.
        "time" time: Moment,
    }
}

/// A moment of the lab.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    /// This long after the lab opened.
    Since(Duration),
    /// When the lab's true clock reads this.
    Wall(Wall),
}

impl Value for Moment {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let wanted = "a span since the lab opened (`15m`) or a date and time (`2018-10-09T17:00:00Z`)";
        reader.word(node, wanted, |text| match Wall::parse(text) {
            Some(wall) => Ok(Moment::Wall(wall)),
            None => span(text).map(Moment::Since),
        })
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": "string" })
    }
}

/// Checks that exactly one of the named keys is written.
pub(crate) fn exactly_one(node: &Node, reader: &mut Reader, what: &str, ways: &[(&str, bool)]) -> Option<()> {
    let written = ways.iter().filter(|(_, written)| *written).count();
    if written == 1 {
        return Some(());
    }
    let keys: Vec<String> = ways.iter().map(|(key, _)| format!("`{key}`")).collect();
    let title = format!("{what} needs exactly one of {}", keys.join(", "));
    reader.wrong(Mistake::new(node.place, title).label(format!("{written} of them are written")));
    None
}
