//! What goes on after the boot: the lease is renewed, the clock is kept.

use std::net::Ipv4Addr;

use net::{Input, Outbox, Time};

use super::{BootParts, Lease, Sntp};
use crate::resolver::Resolved;

/// What upkeep found that the phone must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkEvent {
    /// The lease ended or was taken back; the phone has no address.
    AddressLost,
    /// The phone has this address now.
    AddressTaken(Ipv4Addr),
    /// The clock was set for the first time since power-on.
    ClockSet,
}

/// Lease and clock, driven on by the phone.
#[derive(Debug)]
pub struct Network {
    /// The address lease.
    pub lease: Lease,
    /// The clock's upkeep.
    pub sntp: Sntp,
}

impl Network {
    /// Takes in what happened, and what [`crate::resolver::Resolver::handle`] made of it.
    pub fn handle(
        &mut self,
        _now: Time,
        _input: &Input,
        _resolved: &[Resolved],
        _parts: &mut BootParts<'_>,
        _out: &mut Outbox,
    ) -> Vec<NetworkEvent> {
        Vec::new()
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        None
    }
}
