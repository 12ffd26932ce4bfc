//! What goes on after the boot: the lease is renewed, the clock is kept.

use std::net::Ipv4Addr;

use net::{Input, Note, Outbox, Time};

use super::lease::LeaseEvent;
use super::sntp::SntpEvent;
use super::{BootParts, ClockRecovery, Lease, Sntp};
use crate::events;
use crate::resolver::Resolved;

/// What upkeep found that the phone must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkEvent {
    /// The lease ended or was taken back; the phone has no address.
    AddressLost,
    /// The phone has this address now.
    AddressTaken(Ipv4Addr),
    /// The clock was set by a time server.
    ClockSet,
    /// No time server answered.
    ClockFailed,
}

/// Lease and clock, driven on by the phone.
#[derive(Debug)]
pub struct Network {
    /// The address lease.
    pub lease: Lease,
    /// The clock's upkeep.
    pub sntp: Sntp,
    /// The clock's upkeep has begun; before that it leaves the boot in peace.
    keeps_clock: bool,
}

impl Network {
    pub(super) fn begin(
        recovery: ClockRecovery,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Network {
        Network { lease: Lease::begin(now, parts, out), sntp: Sntp::new(recovery), keeps_clock: false }
    }

    /// Begins to ask time servers.
    pub(super) fn begin_clock(
        &mut self,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Option<NetworkEvent> {
        self.keeps_clock = true;
        parts.clock.configure(parts.config, self.lease.granted().offset_s);
        let servers = self.lease.granted().ntp_servers.clone();
        self.sntp.begin(now, &servers, parts, out).map(told)
    }

    /// Takes in what happened, and what [`crate::resolver::Resolver::handle`] made of it.
    pub fn handle(
        &mut self,
        now: Time,
        input: &Input,
        resolved: &[Resolved],
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Vec<NetworkEvent> {
        let mut happened = Vec::new();
        let before = self.lease.granted().ntp_servers.clone();
        if let Some(event) = self.lease.handle(now, input, parts, out) {
            let granted = self.lease.granted();
            parts.resolver.configure(&granted.dns_servers, granted.domain.as_deref());
            parts.clock.configure(parts.config, granted.offset_s);
            parts.log.follow(parts.clock);
            match event {
                LeaseEvent::Taken(address) => {
                    out.note(Note::event(events::ADDRESS_TAKEN, parts.name, address.to_string()));
                    happened.push(NetworkEvent::AddressTaken(address));
                }
                LeaseEvent::Renewed => {}
                LeaseEvent::Lost => {
                    out.note(Note::event(events::ADDRESS_LOST, parts.name, "no address"));
                    happened.push(NetworkEvent::AddressLost);
                }
            }
            let servers = self.lease.granted().ntp_servers.clone();
            let is_back = matches!(event, LeaseEvent::Taken(_)) && !parts.clock.is_synced();
            if self.keeps_clock && (servers != before || is_back) && event != LeaseEvent::Lost {
                happened.extend(self.sntp.begin(now, &servers, parts, out).map(told));
            }
        }
        happened.extend(self.sntp.handle(now, input, resolved, parts, out).map(told));
        happened
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        self.lease.wake_at().into_iter().chain(self.sntp.wake_at()).min()
    }
}

fn told(event: SntpEvent) -> NetworkEvent {
    match event {
        SntpEvent::Set => NetworkEvent::ClockSet,
        SntpEvent::Failed => NetworkEvent::ClockFailed,
    }
}
