//! Faults laid over the network.
//!
//! A rule looks at a packet and answers, or lets it pass to the next rule; the first rule that answers wins.
//! Rules see who talks to whom and how, never what is said: what a server answers is the server's own fault.

use std::time::Duration;

use crate::node::{NodeId, Transport};

/// A packet, as rules see it: a datagram or one burst of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// UDP or TCP.
    pub transport: Transport,
    /// The port that the server side listens to: the destination of a datagram or of the dial.
    pub port: u16,
    /// It asks for a connection, or says no to one: what a refusal lets pass.
    pub opens: bool,
}

/// What a rule does to the packets it answers for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Never arrives. On a stream, TCP tries again and gives up in the end.
    Drop,
    /// Arrives this much later.
    Delay(Duration),
    /// A new stream is refused by its receiver; other packets never arrive.
    Refuse,
    /// Arrives twice, with this probability (datagrams only).
    Duplicate(f64),
    /// Is overtaken by what follows, with this probability (datagrams only).
    Reorder(f64),
    /// Never arrives, with this probability.
    Lose(f64),
}

/// Which packets a rule answers for; what is empty or `None` matches everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// One of the two ends is one of these actors.
    pub party: Vec<NodeId>,
    /// The other end is one of these actors.
    pub other: Vec<NodeId>,
    /// UDP or TCP.
    pub transport: Option<Transport>,
    /// The server's port.
    pub port: Option<u16>,
}

impl Filter {
    /// Whether the rule answers for `packet`.
    pub fn matches(&self, packet: &Packet) -> bool {
        let among = |list: &[NodeId], who: NodeId| list.is_empty() || list.contains(&who);
        let ends = |one, two| among(&self.party, one) && among(&self.other, two);
        (ends(packet.from, packet.to) || ends(packet.to, packet.from))
            && self.transport.is_none_or(|t| t == packet.transport)
            && self.port.is_none_or(|p| p == packet.port)
    }
}

/// One fault.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What people call it; the story's own words.
    pub name: String,
    /// Which packets.
    pub filter: Filter,
    /// What happens to them.
    pub verdict: Verdict,
    /// For how many packets it holds; `None` until it is taken away.
    pub remaining: Option<u32>,
}

/// The rules in force, in the order in which they are asked.
#[derive(Debug, Default)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Adds a rule behind the others.
    pub fn add(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    /// Takes away every rule called `name`; says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|rule| rule.name != name);
        self.0.len() != before
    }

    /// Whether the first rule that answers for `packet` refuses it; counts nothing down.
    pub fn refuses(&self, packet: &Packet) -> bool {
        let rule = self.0.iter().find(|rule| rule.remaining != Some(0) && rule.filter.matches(packet));
        rule.is_some_and(|rule| rule.verdict == Verdict::Refuse)
    }

    /// The first rule's answer for `packet`, if any rule answers.
    pub fn answer(&mut self, packet: &Packet) -> Option<Verdict> {
        let rule = self.0.iter_mut().find(|rule| rule.remaining != Some(0) && rule.filter.matches(packet))?;
        if let Some(left) = &mut rule.remaining {
            *left -= 1;
        }
        Some(rule.verdict)
    }
}
