//! What every world offers a story: look, act, let time pass.

use crate::journal::Journal;
use crate::node::{Node, NodeId, Outbox};
use crate::time::Time;

/// What came of letting time pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something happened; the world's clock stands at that moment.
    Happened,
    /// Nothing happened up to the given limit; the world's clock stands there.
    Quiet,
    /// So much happens at one instant that time does not pass any more: an actor asks to be woken again and again,
    /// or two keep each other busy. The world does nothing further.
    Stalled,
}

/// Where nodes live: simulated or real.
pub trait World<N: Node> {
    /// The moment it is.
    fn now(&self) -> Time;

    /// An actor, to look at.
    fn look(&self, who: NodeId) -> &N;

    /// Lets a person or an administrator do something to an actor, at this moment.
    fn act<R>(&mut self, who: NodeId, verb: impl FnOnce(&mut N, Time, &mut Outbox) -> R) -> R;

    /// Carries on to the next thing that happens, at most until `until`.
    fn step(&mut self, until: Time) -> Step;

    /// What happened so far.
    fn journal(&self) -> &Journal;
}
