//! The SIP half of the pool.

pub mod answer;
pub mod bindings;
pub mod in_band;
pub mod notice;
pub mod refusal;
pub mod register;

use net::{Disk, Outbox, RecordId, StreamEvent, StreamId, Time};

use crate::registrar::Parts;
use crate::setup::Setup;

/// Everything that speaks SIP.
#[derive(Debug)]
pub struct FrontEnd {}

impl FrontEnd {
    /// A front end that has not been switched on.
    pub fn new(_setup: &Setup) -> FrontEnd {
        FrontEnd {}
    }

    /// Power came: memory is empty, this is what the disk says. The node itself listens at the SIP port.
    pub fn power_on(&mut self, _now: Time, _disk: &Disk, _parts: &mut Parts<'_>, _out: &mut Outbox) {}

    /// Power went: forgets everything that is not on the disk.
    pub fn power_off(&mut self) {}

    /// Something happened on a stream of the SIP port.
    pub fn handle(
        &mut self,
        _now: Time,
        _event: (StreamId, StreamEvent),
        _parts: &mut Parts<'_>,
        _out: &mut Outbox,
    ) {
    }

    /// A write reached the disk; whether it was one of this half's.
    pub fn kept(&mut self, _now: Time, _record: RecordId, _parts: &mut Parts<'_>, _out: &mut Outbox) -> bool {
        false
    }

    /// Time passed.
    pub fn woken(&mut self, _now: Time, _parts: &mut Parts<'_>, _out: &mut Outbox) {}

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        None
    }

    /// An administrator changed an account (disabled, moved, policy, password, certificates revoked): bindings that
    /// no longer hold end, and phones that listen are told.
    pub fn account_changed(&mut self, _now: Time, _address: &str, _parts: &mut Parts<'_>, _out: &mut Outbox) {
    }
}
