//! What every world offers a story: places for actors, look, act, power, faults, and time that passes.

use std::net::IpAddr;

use crate::journal::Journal;
use crate::node::{Node, NodeId, Outbox};
use crate::rule::Rule;
use crate::sim::{CutAtWrite, LinkModel, SegmentId};
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

    /// Adds a segment: everybody behind one switch, with an uplink that behaves like `uplink`.
    fn add_segment(&mut self, name: &str, uplink: LinkModel) -> SegmentId;

    /// Adds an actor, without power.
    fn add_node(&mut self, name: &str, node: N, segment: SegmentId) -> NodeId;

    /// The segment that an actor is plugged into.
    fn segment_of(&self, who: NodeId) -> SegmentId;

    /// The address that an actor has.
    fn address_of(&self, who: NodeId) -> Option<IpAddr>;

    /// Gives an actor power; what its disk holds is what it starts from.
    fn power_on(&mut self, who: NodeId);

    /// Takes an actor's power away, this moment. Nobody is told; it just no longer answers.
    fn power_off(&mut self, who: NodeId);

    /// Stops a program while its machine runs on: connections are reset, ports refuse. [`World::power_on`] starts it
    /// again.
    fn stop(&mut self, who: NodeId);

    /// Whether an actor has power.
    fn is_on(&self, who: NodeId) -> bool;

    /// The uplink of a segment, to be read or changed.
    fn link_mut(&mut self, segment: SegmentId) -> &mut LinkModel;

    /// Lays a fault over the network, behind those in force.
    fn add_rule(&mut self, rule: Rule);

    /// Takes away every fault called `name`; says whether there was one.
    fn remove_rule(&mut self, name: &str) -> bool;

    /// Plans a power cut in the middle of one of the actor's writes to its disk.
    fn cut_at_write(&mut self, who: NodeId, cut: Option<CutAtWrite>);

    /// How many writes the actor has asked its disk for since it was added to the world.
    fn disk_writes(&self, who: NodeId) -> u64;

    /// Writes a remark of the stage itself into the journal.
    fn stage_note(&mut self, text: String);

    /// The hash of the run: equal runs have equal hashes. `None` where the real world has a say in it.
    fn trace_hash(&self) -> Option<[u8; 32]>;
}
