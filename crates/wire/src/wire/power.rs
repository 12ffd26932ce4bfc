//! Power: given, taken, and a program stopped while its machine runs on.

use net::{Input, Node, NodeId};

use super::Wire;
use crate::connection::Order;

impl<N: Node> Wire<N> {
    pub(super) fn power_on(&mut self, who: NodeId) {
        if self.slot(who).is_on {
            return;
        }
        self.now = self.now.max(self.shared.clock.now());
        self.stage(who, "power on");
        let slot = self.slot_mut(who);
        slot.is_on = true;
        slot.is_stopped = false;
        slot.cycle += 1;
        for connection in slot.frozen.drain(..) {
            connection.give(Order::Forget);
        }
        let disk = slot.disk.clone();
        self.handle(who, Input::PowerOn(disk));
    }

    pub(super) fn power_off(&mut self, who: NodeId) {
        if self.slot(who).is_on {
            self.now = self.now.max(self.shared.clock.now());
            self.stage(who, "power off");
            self.go_dark(who, Order::Freeze);
        }
        let slot = self.slot_mut(who);
        slot.is_stopped = false;
        let before = slot.address.take();
        // Who has no power listens to nothing.
        self.places.moved(who, before, None, std::iter::empty());
    }

    pub(super) fn stop(&mut self, who: NodeId) {
        if !self.slot(who).is_on {
            return;
        }
        self.now = self.now.max(self.shared.clock.now());
        self.stage(who, "stopped");
        self.go_dark(who, Order::Reset);
        self.slot_mut(who).is_stopped = true;
    }

    /// Ends everything that an actor has; its connections get the last order.
    fn go_dark(&mut self, who: NodeId, last: Order) {
        let now = self.now;
        let outbox = self.fresh_outbox();
        let slot = self.slot_mut(who);
        slot.node.handle(now, Input::PowerOff, &mut slot.outbox);
        slot.outbox = outbox;
        slot.is_on = false;
        for port in slot.udp.values_mut().chain(slot.tcp.values_mut()) {
            port.close();
        }
        let ports = std::mem::take(&mut slot.udp);
        slot.tcp.clear();
        slot.sockets.clear();
        if let Some(at) = slot.wake.take() {
            self.wakes.remove(&(at, who));
        }
        for port in ports.into_keys() {
            self.places.stops(who, port);
        }
        let streams = std::mem::take(&mut self.slot_mut(who).streams);
        for id in streams.into_values() {
            let Some(stream) = self.streams.remove(&id) else { continue };
            let is_frozen = matches!(last, Order::Freeze);
            stream.give(if is_frozen { Order::Freeze } else { Order::Reset });
            if is_frozen {
                self.slot_mut(who).frozen.extend(stream.into_handle());
            }
        }
    }
}
