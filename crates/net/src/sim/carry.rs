//! Carrying: datagrams to whom they are for, and every packet over its links, under the faults in force.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::link::{Order, Passage};
use super::tap::{DEAD, Fate};
use super::{DATAGRAM_LIMIT, Event, FIRST_DYNAMIC_PORT, REORDER_DELAY, Sim};
use crate::node::{Datagram, Node, NodeId, Transport};
use crate::rule::{Packet, Verdict};

impl<N: Node> Sim<N> {
    pub(super) fn send(&mut self, who: NodeId, mut datagram: Datagram) {
        if datagram.payload.len() > DATAGRAM_LIMIT {
            return;
        }
        if datagram.from.ip().is_unspecified()
            && let Some(own) = self.slot(who).address
        {
            datagram.from.set_ip(own);
        }
        let segment = self.slot(who).segment;
        let is_broadcast = datagram.to.ip() == IpAddr::V4(Ipv4Addr::BROADCAST);
        let receivers: Vec<NodeId> = if is_broadcast {
            let everybody = self.slots.iter().enumerate();
            let others =
                everybody.filter(|(index, slot)| slot.segment == segment && *index != who.0 as usize);
            others.map(|(index, _)| NodeId(index as u32)).collect()
        } else {
            self.owner_of(datagram.to.ip()).into_iter().collect()
        };
        if is_broadcast {
            self.tap_departure(who, None, &datagram, Fate::Arrives);
        } else if receivers.is_empty() {
            self.tap_departure(who, None, &datagram, Fate::InVain("nobody has this address"));
        }
        let port = datagram.to.port();
        for to in receivers {
            let slot = self.slot(to);
            if !slot.is_on || !slot.udp.contains(&port) {
                if !is_broadcast {
                    let why = if slot.is_on { "nobody listens at this port" } else { DEAD };
                    self.tap_departure(who, Some(to), &datagram, Fate::InVain(why));
                }
                continue;
            }
            let cycle = slot.cycle;
            // A reply is known by the port it comes from.
            let port = if port < FIRST_DYNAMIC_PORT { port } else { datagram.from.port() };
            let packet = Packet { from: who, to, transport: Transport::Udp, port, opens: false };
            let passage = self.pass(&packet, &datagram.payload, Order::Free);
            let fate = if passage.arrival.is_some() { Fate::Arrives } else { Fate::Lost };
            let is_tapped = !is_broadcast && self.tap_departure(who, Some(to), &datagram, fate);
            for at in [passage.arrival, passage.double].into_iter().flatten() {
                self.queue.put(at, Event::Datagram { to, cycle, datagram: datagram.clone(), is_tapped });
            }
        }
    }

    /// Sends a packet over the links between two actors, under the faults in force.
    pub(super) fn pass(&mut self, packet: &Packet, octets: &[u8], order: Order) -> Passage {
        let verdict = self.rules.answer(packet);
        let now = self.now;
        let (a, b) = (self.slot(packet.from).segment, self.slot(packet.to).segment);
        let mut passage = if a == b {
            self.segments[a.0].within(now, octets, order)
        } else {
            let up = self.segments[a.0].upward(now, octets, order);
            match up.arrival {
                None => up,
                Some(at) => {
                    let mut down = self.segments[b.0].downward(at, octets, order);
                    down.double = down.double.or(up.double.and(down.arrival));
                    down
                }
            }
        };
        match verdict {
            None => {}
            // It arrives, to be refused there.
            Some(Verdict::Refuse) if packet.opens => {}
            Some(Verdict::Drop | Verdict::Refuse) => passage = Passage::default(),
            Some(Verdict::Delay(delay)) => {
                passage.arrival = passage.arrival.map(|at| at + delay);
                passage.double = passage.double.map(|at| at + delay);
            }
            // Streams know neither doubles nor another order.
            Some(Verdict::Duplicate(_) | Verdict::Reorder(_)) if order == Order::Kept => {}
            Some(Verdict::Duplicate(share)) if self.segments[a.0].up.draw(share) => {
                passage.double = passage.arrival.map(|at| at + Duration::from_millis(1));
            }
            Some(Verdict::Reorder(share)) if self.segments[a.0].up.draw(share) => {
                passage.arrival = passage.arrival.map(|at| at + REORDER_DELAY);
            }
            Some(Verdict::Duplicate(_) | Verdict::Reorder(_)) => {}
            Some(Verdict::Lose(share)) if self.segments[a.0].up.draw(share) => {
                passage = Passage::default();
            }
            Some(Verdict::Lose(_)) => {}
        }
        passage
    }
}
