//! The simulated world: a virtual clock, a seeded network, disks that tear.
//!
//! One queue holds everything that is to come, in one total order; the clock jumps from event to event. The same
//! seed gives the same run to the byte: actors draw from generators of their own, links from theirs, TLS from
//! the seeded provider, and nothing reads the machine. A power cut silences an actor between any two events:
//! its streams are not closed, they are simply no longer answered.

mod carry;
mod connect;
mod disk;
mod link;
mod power;
mod queue;
mod stream;
mod tap;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sha2::{Digest, Sha256};

pub use self::disk::CutAtWrite;
pub use self::link::LinkModel;

use self::disk::{DiskModel, Written};
use self::link::Segment;
use self::queue::Queue;
use self::stream::{Connection, Piece, Queued, Side};
use self::tap::Tap;
use crate::journal::{Entry, Journal, Note};
use crate::node::{
    Closed, Datagram, Disk, Effect, Input, Keep, ListenSecurity, Node, NodeId, Outbox, RecordId, StreamId,
    Transport,
};
use crate::random::Random;
use crate::rule::{Rule, Rules};
use crate::time::Time;
use crate::world::{Step, World};

/// The largest UDP payload that a link carries (RFC 768 over IPv4).
const DATAGRAM_LIMIT: usize = 65_507;

/// How long an accepted connection may take for its TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);

/// How many connections one listener holds at a time; further ones are refused.
const CONNECTION_LIMIT: usize = 16_384;

/// How much may happen at one instant. More means that actors are busy without letting time pass.
const EVENTS_AT_ONCE_LIMIT: u32 = 100_000;

/// How long a packet is held back so that later ones overtake it.
const REORDER_DELAY: Duration = Duration::from_millis(50);

/// The first port that outgoing connections use (RFC 6335's dynamic range).
const FIRST_DYNAMIC_PORT: u16 = 49_152;

/// A segment's number in its world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentId(pub usize);

#[derive(Debug)]
enum Event {
    Datagram { to: NodeId, cycle: u32, datagram: Datagram, is_tapped: bool },
    Wake { who: NodeId, at: Time },
    Piece { connection: u64, from: Side, queued: Queued },
    Repeat { connection: u64, from: Side },
    HandshakeLimit { connection: u64 },
    Written { who: NodeId, cycle: u32 },
    NoRoute { who: NodeId, cycle: u32, stream: StreamId, to: SocketAddr },
}

#[derive(Debug)]
struct Slot<N> {
    node: N,
    segment: SegmentId,
    is_on: bool,
    /// The machine runs, but the program on it was stopped: its ports are closed, not dead.
    is_stopped: bool,
    /// Counts power cycles, so that what was under way for an earlier one is not taken for this one's.
    cycle: u32,
    address: Option<IpAddr>,
    udp: BTreeSet<u16>,
    tcp: BTreeMap<u16, ListenSecurity>,
    streams: BTreeMap<StreamId, (u64, Side)>,
    next_port: u16,
    outbox: Outbox,
    wake: Option<Time>,
    disk: DiskModel,
    tls_random: Random,
}

/// The simulated world.
#[derive(Debug)]
pub struct Sim<N> {
    now: Time,
    events_at_once: u32,
    seed: u64,
    queue: Queue<Event>,
    slots: Vec<Slot<N>>,
    segments: Vec<Segment>,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    rules: Rules,
    journal: Journal,
    /// Who listens on the network, if anybody does.
    tap: Option<Box<Tap>>,
}

impl<N: Node> Sim<N> {
    /// An empty world in which everything that is drawn depends on `seed`.
    pub fn new(seed: u64) -> Sim<N> {
        Sim {
            now: Time::ZERO,
            events_at_once: 0,
            seed,
            queue: Queue::new(),
            slots: Vec::new(),
            segments: Vec::new(),
            connections: BTreeMap::new(),
            next_connection: 0,
            rules: Rules::default(),
            journal: Journal::default(),
            tap: None,
        }
    }

    /// Adds a segment: everybody behind one switch, with an uplink that behaves like `uplink`.
    pub fn add_segment(&mut self, name: &str, uplink: LinkModel) -> SegmentId {
        self.segments.push(Segment::new(self.seed, name, uplink));
        self.tap_segment(name);
        SegmentId(self.segments.len() - 1)
    }

    /// Adds an actor, without power.
    pub fn add_node(&mut self, name: &str, node: N, segment: SegmentId) -> NodeId {
        let id = NodeId(u32::try_from(self.slots.len()).expect("fewer actors than 2^32"));
        self.journal.name_next(name);
        self.slots.push(Slot {
            node,
            segment,
            is_on: false,
            is_stopped: false,
            cycle: 0,
            address: None,
            udp: BTreeSet::new(),
            tcp: BTreeMap::new(),
            streams: BTreeMap::new(),
            next_port: FIRST_DYNAMIC_PORT,
            outbox: Outbox::new(),
            wake: None,
            disk: DiskModel::new(self.seed, name),
            tls_random: Random::named(self.seed, &format!("tls of {name}")),
        });
        id
    }

    /// The uplink of a segment, to be read or changed.
    pub fn link_mut(&mut self, segment: SegmentId) -> &mut LinkModel {
        &mut self.segments[segment.0].model
    }

    /// The segment that an actor is plugged into.
    pub fn segment_of(&self, who: NodeId) -> SegmentId {
        self.slot(who).segment
    }

    /// The faults in force.
    pub fn add_rule(&mut self, rule: Rule) {
        self.rules.add(rule);
    }

    /// Takes away every fault called `name`; says whether there was one.
    pub fn remove_rule(&mut self, name: &str) -> bool {
        self.rules.remove(name)
    }

    /// Whether an actor has power.
    pub fn is_on(&self, who: NodeId) -> bool {
        self.slot(who).is_on
    }

    /// Plans a power cut in the middle of one of the actor's writes to its disk.
    pub fn cut_at_write(&mut self, who: NodeId, cut: Option<CutAtWrite>) {
        self.slot_mut(who).disk.plan_cut(cut);
    }

    /// How many writes the actor has asked its disk for since it was added to the world.
    pub fn disk_writes(&self, who: NodeId) -> u64 {
        self.slot(who).disk.writes()
    }

    /// What an actor's disk holds.
    pub fn disk(&self, who: NodeId) -> &Disk {
        self.slot(who).disk.files()
    }

    /// Puts files on an actor's disk; it reads them when it next gets power.
    pub fn put_disk(&mut self, who: NodeId, files: Disk) {
        self.slot_mut(who).disk.put_files(files);
    }

    /// The address that an actor has.
    pub fn address_of(&self, who: NodeId) -> Option<IpAddr> {
        self.slot(who).address
    }

    /// Writes a remark of the stage itself into the journal.
    pub fn stage_note(&mut self, text: impl Into<String>) {
        let note = Note::Stage(text.into());
        self.tap_note(None, &note);
        self.journal.add(Entry { at: self.now, who: None, note, peer: None });
    }

    /// The hash over every packet on each lane of each link, in the order in which segments were added.
    pub fn lane_hashes(&self) -> Vec<(String, [u8; 32])> {
        let lanes = self.segments.iter().flat_map(|segment| [&segment.up, &segment.down, &segment.switch]);
        lanes.map(|lane| (lane.name().to_owned(), lane.hash())).collect()
    }

    /// The hash of the run: the journal, and the bytes on every link. Equal runs have equal hashes.
    pub fn trace_hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.journal.hash());
        for (name, lane) in self.lane_hashes() {
            hash.update(name.as_bytes());
            hash.update(lane);
        }
        hash.finalize().into()
    }

    fn slot(&self, who: NodeId) -> &Slot<N> {
        &self.slots[who.0 as usize]
    }

    fn slot_mut(&mut self, who: NodeId) -> &mut Slot<N> {
        &mut self.slots[who.0 as usize]
    }

    fn stage(&mut self, who: NodeId, text: &str) {
        let note = Note::Stage(text.to_owned());
        self.tap_note(Some(who), &note);
        self.journal.add(Entry { at: self.now, who: Some(who), note, peer: None });
    }

    fn owner_of(&self, address: IpAddr) -> Option<NodeId> {
        let index = self.slots.iter().position(|slot| slot.address == Some(address))?;
        Some(NodeId(index as u32))
    }

    fn note(&mut self, who: NodeId, note: Note) {
        let peer = match &note {
            Note::Sent { to, .. } => self.owner_of(to.ip()),
            Note::Received { from, .. } => self.owner_of(from.ip()),
            Note::Broken { with, .. } => self.owner_of(with.ip()),
            Note::Screen { .. } | Note::Event { .. } | Note::Log(_) | Note::Stage(_) => None,
        };
        let peer = peer.map(|peer| self.journal.name(peer).to_owned());
        self.tap_note(Some(who), &note);
        self.journal.add(Entry { at: self.now, who: Some(who), note, peer });
    }

    fn handle(&mut self, who: NodeId, input: Input) {
        let now = self.now;
        let slot = self.slot_mut(who);
        slot.node.handle(now, input, &mut slot.outbox);
        self.settle(who);
    }

    /// Carries out what an actor has asked for, and notes when it wants to be woken.
    fn settle(&mut self, who: NodeId) {
        let mut power_is_cut = false;
        let effects = self.slot_mut(who).outbox.take();
        if !self.slot(who).is_on {
            return;
        }
        for effect in effects {
            match effect {
                Effect::Send(datagram) => self.send(who, datagram),
                Effect::Open(stream, dial) => self.dial(who, stream, dial),
                Effect::Write(stream, bytes) => self.write(who, stream, &bytes),
                Effect::Close(stream) => self.close(who, stream),
                Effect::Listen(listen) => {
                    let slot = self.slot_mut(who);
                    match listen.security {
                        ListenSecurity::Udp => drop(slot.udp.insert(listen.port)),
                        tcp => drop(slot.tcp.insert(listen.port, tcp)),
                    }
                }
                Effect::Unlisten(Transport::Udp, port) => drop(self.slot_mut(who).udp.remove(&port)),
                Effect::Unlisten(Transport::Tcp, port) => drop(self.slot_mut(who).tcp.remove(&port)),
                Effect::Address(address) => {
                    self.slot_mut(who).address = address;
                    self.tap_address(who, address);
                }
                Effect::Keep(id, keep) => power_is_cut |= self.keep(who, id, keep),
                Effect::Note(note) => self.note(who, note),
            }
            if power_is_cut {
                self.power_off(who);
                return;
            }
        }
        let now = self.now;
        let slot = self.slot_mut(who);
        let wake = slot.node.wake_at().map(|at| at.max(now));
        if wake != slot.wake {
            slot.wake = wake;
            if let Some(at) = wake {
                self.queue.put(at, Event::Wake { who, at });
            }
        }
    }

    fn keep(&mut self, who: NodeId, id: RecordId, keep: Keep) -> bool {
        let now = self.now;
        let slot = self.slot_mut(who);
        match slot.disk.write(now, id, keep) {
            Written::PowerCut => true,
            Written::SafeAt(at) => {
                let cycle = slot.cycle;
                self.queue.put(at, Event::Written { who, cycle });
                false
            }
        }
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::Datagram { to, cycle, datagram, is_tapped } => {
                let slot = self.slot(to);
                let is_taken = slot.is_on && slot.cycle == cycle && slot.udp.contains(&datagram.to.port());
                if is_tapped {
                    self.tap_arrival(to, &datagram, is_taken);
                }
                if is_taken {
                    self.handle(to, Input::Datagram(datagram));
                }
            }
            Event::Wake { who, at } => {
                let slot = self.slot_mut(who);
                if slot.is_on && slot.wake == Some(at) {
                    slot.wake = None;
                    self.handle(who, Input::Woken);
                }
            }
            Event::Written { who, cycle } => {
                let slot = self.slot_mut(who);
                if slot.cycle == cycle
                    && slot.is_on
                    && let Some(id) = slot.disk.finish()
                {
                    self.handle(who, Input::Kept(id));
                }
            }
            Event::NoRoute { who, cycle, stream, to } => self.no_route(who, cycle, stream, to),
            Event::Piece { connection, from, queued } => self.arrive(connection, from, queued),
            Event::Repeat { connection, from } => self.repeat(connection, from),
            Event::HandshakeLimit { connection: id } => {
                let Some(connection) = self.connections.get(&id) else { return };
                if !connection.ends[1].is_up && !connection.ends[1].is_gone {
                    self.push(id, 1, Piece::Rst);
                    self.end_stream(id, 1, Closed::TimedOut);
                }
            }
        }
    }
}

impl<N: Node> World<N> for Sim<N> {
    fn now(&self) -> Time {
        self.now
    }

    fn look(&self, who: NodeId) -> &N {
        &self.slot(who).node
    }

    fn act<R>(&mut self, who: NodeId, verb: impl FnOnce(&mut N, Time, &mut Outbox) -> R) -> R {
        let now = self.now;
        let slot = self.slot_mut(who);
        let result = verb(&mut slot.node, now, &mut slot.outbox);
        self.settle(who);
        result
    }

    fn step(&mut self, until: Time) -> Step {
        match self.queue.take_until(until) {
            None => {
                self.now = self.now.max(until);
                Step::Quiet
            }
            Some((at, event)) => {
                assert!(self.now <= at, "time ran backward");
                self.events_at_once = if self.now == at { self.events_at_once.saturating_add(1) } else { 0 };
                if self.events_at_once > EVENTS_AT_ONCE_LIMIT {
                    return Step::Stalled;
                }
                self.now = at;
                self.take_event(event);
                Step::Happened
            }
        }
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }

    fn add_segment(&mut self, name: &str, uplink: LinkModel) -> SegmentId {
        Sim::add_segment(self, name, uplink)
    }

    fn add_node(&mut self, name: &str, node: N, segment: SegmentId) -> NodeId {
        Sim::add_node(self, name, node, segment)
    }

    fn segment_of(&self, who: NodeId) -> SegmentId {
        Sim::segment_of(self, who)
    }

    fn address_of(&self, who: NodeId) -> Option<IpAddr> {
        Sim::address_of(self, who)
    }

    fn power_on(&mut self, who: NodeId) {
        Sim::power_on(self, who);
    }

    fn power_off(&mut self, who: NodeId) {
        Sim::power_off(self, who);
    }

    fn stop(&mut self, who: NodeId) {
        Sim::stop(self, who);
    }

    fn is_on(&self, who: NodeId) -> bool {
        Sim::is_on(self, who)
    }

    fn link_mut(&mut self, segment: SegmentId) -> &mut LinkModel {
        Sim::link_mut(self, segment)
    }

    fn add_rule(&mut self, rule: Rule) {
        Sim::add_rule(self, rule);
    }

    fn remove_rule(&mut self, name: &str) -> bool {
        Sim::remove_rule(self, name)
    }

    fn cut_at_write(&mut self, who: NodeId, cut: Option<CutAtWrite>) {
        Sim::cut_at_write(self, who, cut);
    }

    fn disk_writes(&self, who: NodeId) -> u64 {
        Sim::disk_writes(self, who)
    }

    fn stage_note(&mut self, text: String) {
        Sim::stage_note(self, text);
    }

    fn trace_hash(&self) -> Option<[u8; 32]> {
        Some(Sim::trace_hash(self))
    }
}

#[cfg(test)]
mod tests;
