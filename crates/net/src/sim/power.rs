//! Power: given, taken, and a program stopped while its machine runs on.

use super::Sim;
use super::stream::{Piece, Side};
use crate::node::{Input, Node, NodeId, Outbox};

impl<N: Node> Sim<N> {
    /// Gives an actor power; what its disk holds is what it starts from.
    pub fn power_on(&mut self, who: NodeId) {
        if self.slot(who).is_on {
            return;
        }
        self.stage(who, "power on");
        let slot = self.slot_mut(who);
        slot.is_on = true;
        slot.is_stopped = false;
        slot.cycle += 1;
        let disk = slot.disk.files().clone();
        self.handle(who, Input::PowerOn(disk));
    }

    /// Takes an actor's power away, this moment. Nobody is told; it just no longer answers.
    pub fn power_off(&mut self, who: NodeId) {
        if self.slot(who).is_on {
            self.stage(who, "power off");
            self.go_dark(who);
        }
        self.slot_mut(who).is_stopped = false;
        self.slot_mut(who).address = None;
    }

    /// Stops a program while its machine runs on: connections are reset, ports refuse. What it had handed to its
    /// disk is written. [`Sim::power_on`] starts it again.
    pub fn stop(&mut self, who: NodeId) {
        if !self.slot(who).is_on {
            return;
        }
        self.stage(who, "stopped");
        let streams: Vec<(u64, Side)> = self.slot(who).streams.values().copied().collect();
        for (connection, side) in streams {
            self.push(connection, side, Piece::Rst);
        }
        let slot = self.slot_mut(who);
        while slot.disk.finish().is_some() {}
        let address = slot.address;
        self.go_dark(who);
        let slot = self.slot_mut(who);
        slot.address = address;
        slot.is_stopped = true;
    }

    pub(super) fn go_dark(&mut self, who: NodeId) {
        let now = self.now;
        let slot = self.slot_mut(who);
        slot.node.handle(now, Input::PowerOff, &mut slot.outbox);
        slot.outbox.take();
        slot.is_on = false;
        slot.udp.clear();
        slot.tcp.clear();
        slot.wake = None;
        slot.outbox = Outbox::new();
        slot.disk.lose_power();
        let streams = std::mem::take(&mut slot.streams);
        for (connection, side) in streams.into_values() {
            self.end_is_gone(connection, side);
        }
    }
}
