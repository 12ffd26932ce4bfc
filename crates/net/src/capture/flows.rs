//! TCP in a capture: connections with sequence numbers, whose segments are told one by one or as whole exchanges.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use sha2::{Digest as _, Sha256};

use super::packets::{self, Flags, SEGMENT_MAX};
use super::{Capture, Interface};
use crate::time::Time;

/// How many connections a capture follows at a time; opening more forgets the oldest.
const FLOWS_MAX: usize = 131_072;

/// A TCP connection of a capture. Numbers count up and are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow(u64);

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The end that dialled.
    Client,
    /// The end that listened.
    Server,
}

impl End {
    /// The other end.
    pub fn other(self) -> End {
        match self {
            End::Client => End::Server,
            End::Server => End::Client,
        }
    }

    fn index(self) -> usize {
        match self {
            End::Client => 0,
            End::Server => 1,
        }
    }
}

/// What an end sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Asks for the connection, or grants it.
    Syn,
    /// Octets that begin `offset` octets after the first one that this end ever sent. Telling the same octets once more
    /// shows a retransmission.
    Data {
        /// Where they begin.
        offset: u64,
        /// The octets; as many as one likes, they are cut into segments.
        octets: &'a [u8],
    },
    /// Nothing follows.
    Fin {
        /// How many octets this end sent before.
        offset: u64,
    },
    /// The connection is refused or torn down.
    Rst {
        /// How many octets this end sent before.
        offset: u64,
    },
}

#[derive(Debug)]
struct State {
    interface: Interface,
    addresses: [SocketAddr; 2],
    first: [u32; 2],
    /// How many octets each end has got from the other, its FIN counted as one; `None` before the other's SYN.
    got: [Option<u64>; 2],
    /// How many octets each end has been seen to send, its FIN counted as one.
    sent: [u64; 2],
    has_closed: [bool; 2],
}

/// The connections that a capture follows.
#[derive(Debug, Default)]
pub(super) struct Flows {
    next: u64,
    states: BTreeMap<Flow, State>,
}

impl Flows {
    fn open(&mut self, interface: Interface, client: SocketAddr, server: SocketAddr) -> Flow {
        if self.states.len() >= FLOWS_MAX {
            self.states.pop_first();
        }
        let flow = Flow(self.next);
        self.next += 1;
        let first = [End::Client, End::Server].map(|end| first_sequence(flow, end));
        let state = State {
            interface,
            addresses: [client, server],
            first,
            got: [None; 2],
            sent: [0; 2],
            has_closed: [false; 2],
        };
        self.states.insert(flow, state);
        flow
    }
}

/// A connection's first sequence numbers look drawn (RFC 6528) and are the same in every run.
fn first_sequence(flow: Flow, end: End) -> u32 {
    let digest = Sha256::digest([&flow.0.to_be_bytes()[..], &[end.index() as u8]].concat());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

impl Capture {
    /// A connection that is about to be asked for. Nothing is written yet; tell its segments with
    /// [`Capture::segment`] and [`Capture::acknowledge`], and [`Capture::forget`] it at the end.
    pub fn flow(&mut self, interface: Interface, client: SocketAddr, server: SocketAddr) -> Flow {
        self.flows.open(interface, client, server)
    }

    /// An end's segment was seen. `remark` is a comment on it alone: that it was lost, say.
    pub fn segment(&mut self, at: Time, flow: Flow, from: End, segment: Segment<'_>, remark: Option<&str>) {
        let sent = match segment {
            Segment::Syn => 0,
            Segment::Data { offset, octets } => offset + octets.len() as u64,
            Segment::Fin { offset } => offset + 1,
            Segment::Rst { offset } => offset,
        };
        if let Some(state) = self.flows.states.get_mut(&flow) {
            let before = &mut state.sent[from.index()];
            *before = sent.max(*before);
        }
        match segment {
            Segment::Syn => self.put(at, flow, from, 0, Flags { syn: true, ..Flags::default() }, &[], remark),
            Segment::Data { offset, octets } => {
                let mut offset = offset;
                let mut pieces = octets.chunks(SEGMENT_MAX).peekable();
                while let Some(piece) = pieces.next() {
                    let flags = Flags { psh: pieces.peek().is_none(), ..Flags::default() };
                    self.put(at, flow, from, offset + 1, flags, piece, remark);
                    offset += piece.len() as u64;
                }
            }
            Segment::Fin { offset } => {
                self.put(at, flow, from, offset + 1, Flags { fin: true, ..Flags::default() }, &[], remark);
            }
            Segment::Rst { offset } => {
                self.put(at, flow, from, offset + 1, Flags { rst: true, ..Flags::default() }, &[], remark);
            }
        }
    }

    /// An end got `octets` octets from the other in all, a FIN counted as one more; 0 is the other's SYN. What it sends
    /// from now on says so.
    pub fn got(&mut self, flow: Flow, by: End, octets: u64) {
        if let Some(state) = self.flows.states.get_mut(&flow) {
            let got = &mut state.got[by.index()];
            *got = Some(got.map_or(octets, |before| before.max(octets)));
        }
    }

    /// The same as [`Capture::got`], and a segment of its own says so.
    pub fn acknowledge(&mut self, at: Time, flow: Flow, by: End, octets: u64) {
        self.got(flow, by, octets);
        let sent = self.sent(flow, by);
        self.put(at, flow, by, sent + 1, Flags::default(), &[], None);
    }

    /// The connection is over; nothing more is told of it.
    pub fn forget(&mut self, flow: Flow) {
        self.flows.states.remove(&flow);
    }

    fn sent(&self, flow: Flow, by: End) -> u64 {
        self.flows.states.get(&flow).map_or(0, |state| state.sent[by.index()])
    }

    #[expect(clippy::too_many_arguments, reason = "a segment says that much")]
    fn put(
        &mut self,
        at: Time,
        flow: Flow,
        from: End,
        position: u64,
        flags: Flags,
        payload: &[u8],
        remark: Option<&str>,
    ) {
        let Some(state) = self.flows.states.get(&flow) else { return };
        let (near, far) = (from.index(), from.other().index());
        let sequence = state.first[near].wrapping_add(position as u32);
        let acknowledged =
            state.got[near].map(|octets| state.first[far].wrapping_add(1).wrapping_add(octets as u32));
        self.number = self.number.wrapping_add(1);
        let (from, to) = (state.addresses[near], state.addresses[far]);
        let interface = state.interface;
        let frame = packets::segment(from, to, self.number, sequence, acknowledged, flags, payload);
        self.packet(at, interface, frame, remark);
    }
}

/// Whole exchanges, for those who see streams and no packets.
impl Capture {
    /// A connection came about: its three first segments.
    pub fn connected(
        &mut self,
        at: Time,
        interface: Interface,
        client: SocketAddr,
        server: SocketAddr,
    ) -> Flow {
        let flow = self.flow(interface, client, server);
        self.segment(at, flow, End::Client, Segment::Syn, None);
        self.got(flow, End::Server, 0);
        self.segment(at, flow, End::Server, Segment::Syn, None);
        self.acknowledge(at, flow, End::Client, 0);
        flow
    }

    /// An end sent octets, and the other got them. What comes after the end said that nothing follows is not shown.
    pub fn data(&mut self, at: Time, flow: Flow, from: End, octets: &[u8]) {
        let Some(state) = self.flows.states.get(&flow) else { return };
        if octets.is_empty() || state.has_closed[from.index()] {
            return;
        }
        let offset = state.sent[from.index()];
        self.segment(at, flow, from, Segment::Data { offset, octets }, None);
        self.acknowledge(at, flow, from.other(), offset + octets.len() as u64);
    }

    /// An end said that nothing follows. After both did, the connection is forgotten.
    pub fn closed(&mut self, at: Time, flow: Flow, from: End) {
        let Some(state) = self.flows.states.get_mut(&flow) else { return };
        if std::mem::replace(&mut state.has_closed[from.index()], true) {
            return;
        }
        let offset = state.sent[from.index()];
        let is_over = state.has_closed[from.other().index()];
        self.segment(at, flow, from, Segment::Fin { offset }, None);
        self.acknowledge(at, flow, from.other(), offset + 1);
        if is_over {
            self.forget(flow);
        }
    }

    /// An end tore the connection down.
    pub fn reset(&mut self, at: Time, flow: Flow, from: End) {
        let offset = self.sent(flow, from);
        self.segment(at, flow, from, Segment::Rst { offset }, None);
        self.forget(flow);
    }
}
