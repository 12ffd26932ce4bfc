//! What the tasks of a world tell it.

use std::net::SocketAddr;

use bytes::Bytes;
use net::{Closed, Datagram, NodeId, RecordId};

use crate::connection::{Handle, Owner};

/// A connection's number in its world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// Something that happened outside.
#[derive(Debug)]
pub(crate) enum Event {
    /// A connection is shaken and may be used. One that was accepted brings its handle.
    Up { owner: Owner, handle: Option<Handle> },
    /// Octets for the actor.
    Received { id: ConnectionId, octets: Bytes },
    /// A connection is over.
    Closed { id: ConnectionId, who: NodeId, cycle: u32, peer: SocketAddr, why: Closed },
    /// A datagram for an actor.
    Datagram { who: NodeId, cycle: u32, datagram: Datagram },
    /// Writes have reached the disk.
    Kept(Vec<(NodeId, u32, RecordId)>),
    /// The disk does not take writes any more.
    DiskBroke(String),
    /// Somebody wants the world's attention.
    Poke,
}
