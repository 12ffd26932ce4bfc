//! A [`Wire`] as a world: what stories, people and loads see of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use net::rule::Rule;
use net::sim::{CutAtWrite, LinkModel, SegmentId};
use net::{Journal, Node, NodeId, Note, Outbox, Step, Time, World};

use super::{DUE_AT_ONCE, Slot, Wire};
use crate::clock::Speed;

impl<N: Node> World<N> for Wire<N> {
    fn now(&self) -> Time {
        self.now
    }

    fn look(&self, who: NodeId) -> &N {
        &self.slot(who).node
    }

    fn act<R>(&mut self, who: NodeId, verb: impl FnOnce(&mut N, Time, &mut Outbox) -> R) -> R {
        self.now = self.now.max(self.shared.clock.now());
        let now = self.now;
        let slot = self.slot_mut(who);
        let result = verb(&mut slot.node, now, &mut slot.outbox);
        self.settle(who);
        result
    }

    fn step(&mut self, until: Time) -> Step {
        if self.arriving.is_empty() {
            // Where always something arrives, what is due must not wait for a quiet moment.
            if self.due_left > 0 && self.next_own().is_some_and(|at| at <= self.now) && self.do_due() {
                self.due_left -= 1;
                return Step::Happened;
            }
            self.due_left = DUE_AT_ONCE;
            self.take_in();
        }
        loop {
            self.now = self.now.max(self.shared.clock.now());
            if let Some(event) = self.arriving.pop_front() {
                self.take_event(event);
                return Step::Happened;
            }
            if self.do_due() {
                return Step::Happened;
            }
            if self.now >= until {
                return Step::Quiet;
            }
            let next = self.next_own().unwrap_or(Time::NEVER).min(until);
            let has_arrived = match self.speed {
                Speed::Thousandths(_) => self.wait(next),
                Speed::Leap => {
                    let has_arrived = self.wait_for_quiet();
                    if !has_arrived && next == Time::NEVER {
                        return Step::Quiet;
                    }
                    if !has_arrived {
                        self.shared.clock.leap(next);
                    }
                    has_arrived
                }
            };
            if !has_arrived && next == until {
                self.now = self.now.max(self.shared.clock.now()).max(until);
                return Step::Quiet;
            }
        }
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }

    fn add_segment(&mut self, _: &str, uplink: LinkModel) -> SegmentId {
        // The lab file's delays and losses are the simulation's; see `faults`.
        let model = LinkModel { is_cut: uplink.is_cut, ..LinkModel::default() };
        self.segments.push(model);
        SegmentId(self.segments.len() - 1)
    }

    fn add_node(&mut self, name: &str, node: N, segment: SegmentId) -> NodeId {
        let id = NodeId(u32::try_from(self.slots.len()).expect("fewer actors than 2^32"));
        self.journal.name_next(name);
        let outbox = self.fresh_outbox();
        self.slots.push(Slot {
            node,
            name: name.to_owned(),
            segment,
            is_on: false,
            is_stopped: false,
            is_undialled: false,
            cycle: 0,
            address: None,
            udp: BTreeMap::new(),
            tcp: BTreeMap::new(),
            sockets: Vec::new(),
            streams: BTreeMap::new(),
            frozen: Vec::new(),
            open: Arc::new(AtomicUsize::new(0)),
            outbox,
            wake: None,
            disk: self.old_disks.remove(name).unwrap_or_default(),
            writes: 0,
            cut: None,
        });
        id
    }

    fn segment_of(&self, who: NodeId) -> SegmentId {
        self.slot(who).segment
    }

    fn address_of(&self, who: NodeId) -> Option<IpAddr> {
        self.slot(who).address
    }

    fn power_on(&mut self, who: NodeId) {
        Wire::power_on(self, who);
    }

    fn power_off(&mut self, who: NodeId) {
        Wire::power_off(self, who);
    }

    fn stop(&mut self, who: NodeId) {
        Wire::stop(self, who);
    }

    fn is_on(&self, who: NodeId) -> bool {
        self.slot(who).is_on
    }

    fn link_mut(&mut self, segment: SegmentId) -> &mut LinkModel {
        &mut self.segments[segment.0]
    }

    fn add_rule(&mut self, rule: Rule) {
        self.rules.add(rule);
    }

    fn remove_rule(&mut self, name: &str) -> bool {
        self.rules.remove(name)
    }

    fn cut_at_write(&mut self, who: NodeId, cut: Option<CutAtWrite>) {
        self.slot_mut(who).cut = cut;
    }

    fn disk_writes(&self, who: NodeId) -> u64 {
        self.slot(who).writes
    }

    fn stage_note(&mut self, text: String) {
        self.now = self.now.max(self.shared.clock.now());
        self.add_entry(None, Note::Stage(text), None);
    }

    fn trace_hash(&self) -> Option<[u8; 32]> {
        None
    }
}
