//! Checks across the parts of a lab.

use super::{Person, PhoneLock, Pool};
use crate::yaml::{Node, Reader};

pub(super) fn lab(_: &Node, _: &mut Reader) {}

pub(super) fn person(_: &Person, _: &Node, _: &mut Reader) -> Option<()> {
    Some(())
}

pub(super) fn pool(_: &Pool, _: &Node, _: &mut Reader) -> Option<()> {
    Some(())
}

pub(super) fn phone_lock(_: &PhoneLock, _: &Node, _: &mut Reader) -> Option<()> {
    Some(())
}
