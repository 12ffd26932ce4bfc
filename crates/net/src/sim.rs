//! The simulated world: a virtual clock, a seeded network, disks that tear.
//!
//! One queue holds everything that is to come, in one total order; the clock jumps from event to event. The same
//! seed gives the same run to the byte: actors draw from generators of their own, links from theirs, TLS from
//! the seeded provider, and nothing reads the machine. A power cut silences an actor between any two events:
//! its streams are not closed, they are simply no longer answered.

mod disk;
mod link;
mod queue;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

pub use self::disk::CutAtWrite;
pub use self::link::LinkModel;

use self::disk::{DiskModel, Written};
use self::link::{Order, Passage, Segment};
use self::queue::Queue;
use self::stream::{Connection, End, Half, Lost, Piece, Side};
use crate::crypto::Crypto;
use crate::journal::{Entry, Journal, Note};
use crate::node::{
    Closed, Datagram, Dial, Disk, Effect, Input, Keep, ListenSecurity, Node, NodeId, Outbox, RecordId,
    Security, StreamEvent, StreamId, Transport,
};
use crate::random::Random;
use crate::rule::{Packet, Rule, Rules, Verdict};
use crate::time::Time;
use crate::tls::{TlsError, TlsSession};
use crate::world::{Step, World};

/// The largest UDP payload that a link carries (RFC 768 over IPv4).
const DATAGRAM_LIMIT: usize = 65_507;

/// How long an accepted connection may take for its TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);

/// How many connections one listener holds at a time; further ones are refused.
const CONNECTION_LIMIT: usize = 16_384;

/// How much may happen at one instant. More means that two actors keep each other busy for ever.
const EVENTS_AT_ONCE_LIMIT: u32 = 1_000_000;

/// How long a packet is held back so that later ones overtake it.
const REORDER_DELAY: Duration = Duration::from_millis(50);

/// The first port that outgoing connections use (RFC 6335's dynamic range).
const FIRST_DYNAMIC_PORT: u16 = 49_152;

/// A segment's number in its world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentId(usize);

#[derive(Debug)]
enum Event {
    Datagram { to: NodeId, cycle: u32, datagram: Datagram },
    Wake { who: NodeId, at: Time },
    Piece { connection: u64, from: Side, piece: Piece },
    Repeat { connection: u64, from: Side },
    HandshakeLimit { connection: u64 },
    Written { who: NodeId, cycle: u32 },
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
        }
    }

    /// Adds a segment: everybody behind one switch, with an uplink that behaves like `uplink`.
    pub fn add_segment(&mut self, name: &str, uplink: LinkModel) -> SegmentId {
        self.segments.push(Segment::new(self.seed, name, uplink));
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

    /// Gives an actor power; what its disk holds is what it starts from.
    pub fn power_on(&mut self, who: NodeId) {
        if self.slot(who).is_on {
            return;
        }
        self.stage(who, "power on");
        let slot = self.slot_mut(who);
        slot.is_on = true;
        slot.is_stopped = false;
        slot.cycle += 1;
        let disk = slot.disk.files().clone();
        self.handle(who, Input::PowerOn(disk));
    }

    /// Takes an actor's power away, this moment. Nobody is told; it just no longer answers.
    pub fn power_off(&mut self, who: NodeId) {
        if self.slot(who).is_on {
            self.stage(who, "power off");
            self.go_dark(who);
        }
        self.slot_mut(who).is_stopped = false;
        self.slot_mut(who).address = None;
    }

    /// Stops a program while its machine runs on: connections are reset, ports refuse. What it had handed to its
    /// disk is written. [`Sim::power_on`] starts it again.
    pub fn stop(&mut self, who: NodeId) {
        if !self.slot(who).is_on {
            return;
        }
        self.stage(who, "stopped");
        let streams: Vec<(u64, Side)> = self.slot(who).streams.values().copied().collect();
        for (connection, side) in streams {
            self.push(connection, side, Piece::Rst);
        }
        let slot = self.slot_mut(who);
        while slot.disk.finish().is_some() {}
        let address = slot.address;
        self.go_dark(who);
        let slot = self.slot_mut(who);
        slot.address = address;
        slot.is_stopped = true;
    }

    fn go_dark(&mut self, who: NodeId) {
        let now = self.now;
        let slot = self.slot_mut(who);
        slot.node.handle(now, Input::PowerOff, &mut slot.outbox);
        slot.outbox.take();
        slot.is_on = false;
        slot.udp.clear();
        slot.tcp.clear();
        slot.wake = None;
        slot.outbox = Outbox::new();
        slot.disk.lose_power();
        let streams = std::mem::take(&mut slot.streams);
        for (connection, side) in streams.into_values() {
            self.end_is_gone(connection, side);
        }
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
        let entry = Entry { at: self.now, who: None, note: Note::Stage(text.into()), peer: None };
        self.journal.add(entry);
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
                Effect::Address(address) => self.slot_mut(who).address = address,
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

    fn send(&mut self, who: NodeId, mut datagram: Datagram) {
        if datagram.payload.len() > DATAGRAM_LIMIT {
            return;
        }
        if datagram.from.ip().is_unspecified()
            && let Some(own) = self.slot(who).address
        {
            datagram.from.set_ip(own);
        }
        let segment = self.slot(who).segment;
        let receivers: Vec<NodeId> = if datagram.to.ip() == IpAddr::V4(Ipv4Addr::BROADCAST) {
            let everybody = self.slots.iter().enumerate();
            let others =
                everybody.filter(|(index, slot)| slot.segment == segment && *index != who.0 as usize);
            others.map(|(index, _)| NodeId(index as u32)).collect()
        } else {
            self.owner_of(datagram.to.ip()).into_iter().collect()
        };
        let port = datagram.to.port();
        for to in receivers {
            let slot = self.slot(to);
            if !slot.is_on || !slot.udp.contains(&port) {
                continue;
            }
            let cycle = slot.cycle;
            // A reply is known by the port it comes from.
            let port = if port < FIRST_DYNAMIC_PORT { port } else { datagram.from.port() };
            let packet = Packet { from: who, to, transport: Transport::Udp, port };
            let passage = self.pass(&packet, &datagram.payload, Order::Free);
            for at in [passage.arrival, passage.double].into_iter().flatten() {
                self.queue.put(at, Event::Datagram { to, cycle, datagram: datagram.clone() });
            }
        }
    }

    /// Sends a packet over the links between two actors, under the faults in force.
    fn pass(&mut self, packet: &Packet, octets: &[u8], order: Order) -> Passage {
        let verdict = self.rules.answer(packet);
        let now = self.now;
        let (a, b) = (self.slot(packet.from).segment, self.slot(packet.to).segment);
        let mut passage = if a == b {
            self.segments[a.0].within(now, octets, order)
        } else {
            let up = self.segments[a.0].upward(now, octets, order);
            match up.arrival {
                None => up,
                Some(at) => {
                    let mut down = self.segments[b.0].downward(at, octets, order);
                    down.double = down.double.or(up.double.and(down.arrival));
                    down
                }
            }
        };
        match verdict {
            None => {}
            Some(Verdict::Drop | Verdict::Refuse) => passage = Passage::default(),
            Some(Verdict::Delay(delay)) => {
                passage.arrival = passage.arrival.map(|at| at + delay);
                passage.double = passage.double.map(|at| at + delay);
            }
            Some(Verdict::Duplicate(share)) => {
                if order == Order::Free && self.segments[a.0].up.draw(share) {
                    passage.double = passage.arrival.map(|at| at + Duration::from_millis(1));
                }
            }
            Some(Verdict::Reorder(share)) => {
                if order == Order::Free && self.segments[a.0].up.draw(share) {
                    passage.arrival = passage.arrival.map(|at| at + REORDER_DELAY);
                }
            }
            Some(Verdict::Lose(share)) if self.segments[a.0].up.draw(share) => {
                passage = Passage::default();
            }
            Some(Verdict::Lose(_)) => {}
        }
        passage
    }

    fn dial(&mut self, who: NodeId, stream: StreamId, dial: Dial) {
        let slot = self.slot_mut(who);
        let Some(own) = slot.address else {
            return self.fail_dial(who, stream, dial.to, Closed::Unreachable);
        };
        let local = SocketAddr::new(own, slot.next_port);
        slot.next_port = slot.next_port.checked_add(1).unwrap_or(FIRST_DYNAMIC_PORT);
        let cycle = slot.cycle;
        let Some(target) = self.owner_of(dial.to.ip()) else {
            return self.fail_dial(who, stream, dial.to, Closed::Unreachable);
        };
        let end = |node, cycle, address, stream| End {
            node,
            cycle,
            address,
            stream,
            tls: None,
            is_up: false,
            is_gone: false,
        };
        let far_cycle = self.slot(target).cycle;
        let connection = Connection {
            ends: [end(who, cycle, local, Some(stream)), end(target, far_cycle, dial.to, None)],
            halves: [Half::default(), Half::default()],
            port: dial.to.port(),
            dial_tls: match dial.security {
                Security::Plain => None,
                Security::Tls(tls) => Some(tls),
            },
        };
        let id = self.next_connection;
        self.next_connection += 1;
        self.connections.insert(id, connection);
        self.slot_mut(who).streams.insert(stream, (id, 0));
        self.push(id, 0, Piece::Syn);
    }

    /// A dial that fails on the spot is answered as an event like any other, not inside the call.
    fn fail_dial(&mut self, who: NodeId, stream: StreamId, to: SocketAddr, why: Closed) {
        let id = self.next_connection;
        self.next_connection += 1;
        let cycle = self.slot(who).cycle;
        let nobody = |address, stream| End {
            node: who,
            cycle,
            address,
            stream,
            tls: None,
            is_up: false,
            is_gone: stream.is_none(),
        };
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        debug_assert_eq!(why, Closed::Unreachable, "the only way to fail on the spot");
        self.connections.insert(
            id,
            Connection {
                ends: [nobody(local, Some(stream)), nobody(to, None)],
                halves: [Half::default(), Half::default()],
                port: to.port(),
                dial_tls: None,
            },
        );
        self.slot_mut(who).streams.insert(stream, (id, 0));
        self.queue.put(self.now, Event::Repeat { connection: id, from: 1 });
    }

    fn write(&mut self, who: NodeId, stream: StreamId, bytes: &Bytes) {
        let Some(&(id, side)) = self.slot(who).streams.get(&stream) else { return };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let end = &mut connection.ends[side];
        let is_tls = end.tls.is_some() || connection.dial_tls.is_some();
        match &mut end.tls {
            Some(tls) => {
                let slot = &mut self.slots[who.0 as usize];
                tls.write(bytes, &mut slot.tls_random);
                let output = tls.take_output();
                self.push_data(id, side, output);
            }
            // Nobody writes before the stream is up.
            None if is_tls => {}
            None => self.push_data(id, side, bytes.clone()),
        }
    }

    fn close(&mut self, who: NodeId, stream: StreamId) {
        let Some((id, side)) = self.slot_mut(who).streams.remove(&stream) else { return };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Some(tls) = &mut connection.ends[side].tls {
            tls.close();
            let output = tls.take_output();
            self.push_data(id, side, output);
        }
        self.push(id, side, Piece::Fin);
        self.end_is_gone(id, side);
    }

    fn push_data(&mut self, id: u64, side: Side, bytes: Bytes) {
        if !bytes.is_empty() {
            self.push(id, side, Piece::Data(bytes));
        }
    }

    /// Sends a piece, or lines it up behind a stalled one.
    fn push(&mut self, id: u64, from: Side, piece: Piece) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let half = &mut connection.halves[from];
        half.backlog.push_back(piece);
        if !half.is_stalled {
            self.drain(id, from);
        }
    }

    /// Sends what is lined up, until something is lost.
    fn drain(&mut self, id: u64, from: Side) {
        loop {
            let Some(connection) = self.connections.get(&id) else { return };
            let Some(piece) = connection.halves[from].backlog.front().cloned() else { return };
            let (near, far) = (&connection.ends[from], &connection.ends[1 - from]);
            let packet =
                Packet { from: near.node, to: far.node, transport: Transport::Tcp, port: connection.port };
            let far_slot = self.slot(far.node);
            let far_is_on = far_slot.is_on || far_slot.is_stopped;
            let passage = self.pass(&packet, &piece.octets(), Order::Kept);
            match passage.arrival.filter(|_| far_is_on) {
                Some(at) => {
                    self.queue.put(at, Event::Piece { connection: id, from, piece });
                    let half = &mut self.half_mut(id, from);
                    half.backlog.pop_front();
                    half.passed();
                }
                None => return self.repeat_later(id, from),
            }
        }
    }

    fn half_mut(&mut self, id: u64, from: Side) -> &mut Half {
        &mut self.connections.get_mut(&id).expect("the caller has just looked it up").halves[from]
    }

    fn repeat_later(&mut self, id: u64, from: Side) {
        match self.half_mut(id, from).lost() {
            Lost::RepeatAfter(wait) => {
                self.queue.put(self.now + wait, Event::Repeat { connection: id, from });
            }
            Lost::GiveUp => {
                self.half_mut(id, from).backlog.clear();
                self.end_stream(id, from, Closed::TimedOut);
            }
        }
    }

    /// Tells the actor at `side` that its stream is over, if it knows of it.
    fn end_stream(&mut self, id: u64, side: Side, why: Closed) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let far = connection.ends[1 - side].address;
        let end = &mut connection.ends[side];
        let (who, stream, was_up) = (end.node, end.stream.take(), end.is_up);
        self.end_is_gone(id, side);
        if why != Closed::ByPeer || !was_up {
            self.note(who, Note::Broken { with: far, text: why.to_string() });
        }
        if let Some(stream) = stream
            && self.slot_mut(who).streams.remove(&stream).is_some()
        {
            self.handle(who, Input::Stream(stream, StreamEvent::Closed(why)));
        }
    }

    fn end_is_gone(&mut self, id: u64, side: Side) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let end = &mut connection.ends[side];
        end.is_gone = true;
        end.stream = None;
        let is_over = connection.ends.iter().all(|end| end.is_gone);
        if is_over && connection.halves.iter().all(|half| half.backlog.is_empty()) {
            self.connections.remove(&id);
        }
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::Datagram { to, cycle, datagram } => {
                let slot = self.slot(to);
                if slot.is_on && slot.cycle == cycle && slot.udp.contains(&datagram.to.port()) {
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
            Event::Piece { connection, from, piece } => self.arrive(connection, from, piece),
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

    fn repeat(&mut self, id: u64, from: Side) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.ends[0].stream.is_some() && connection.ends[1].is_gone && from == 1 {
            // A dial that failed on the spot.
            if connection.halves[1].backlog.is_empty() && !connection.ends[0].is_up {
                return self.end_stream(id, 0, Closed::Unreachable);
            }
        }
        let near = &connection.ends[from];
        let (node, cycle) = (near.node, near.cycle);
        let slot = self.slot(node);
        if (!slot.is_on || slot.cycle != cycle) && !slot.is_stopped {
            // The sender lost its power; nobody is left to repeat anything.
            self.half_mut(id, from).backlog.clear();
            return self.end_is_gone(id, from);
        }
        self.half_mut(id, from).is_stalled = false;
        self.drain(id, from);
        self.end_if_both_gone(id);
    }

    fn end_if_both_gone(&mut self, id: u64) {
        if self.connections.get(&id).is_some_and(|connection| connection.ends[0].is_gone) {
            self.end_is_gone(id, 0);
        }
    }

    fn arrive(&mut self, id: u64, from: Side, piece: Piece) {
        let to = 1 - from;
        let Some(connection) = self.connections.get(&id) else { return };
        let end = &connection.ends[to];
        let (who, cycle, is_gone) = (end.node, end.cycle, end.is_gone);
        let slot = self.slot(who);
        if slot.is_stopped {
            return self.reset(id, to);
        }
        if !slot.is_on {
            // It reached a dead device: the sender will repeat it.
            let half = self.half_mut(id, from);
            half.backlog.push_front(piece);
            if !half.is_stalled {
                self.repeat_later(id, from);
            }
            return;
        }
        if let Piece::Syn = piece {
            return self.accept(id);
        }
        if slot.cycle != cycle {
            // The device was restarted in between and knows nothing of the connection.
            return self.reset(id, to);
        }
        if is_gone {
            return;
        }
        match piece {
            Piece::Syn => {}
            Piece::SynAck => self.granted(id),
            Piece::Rst => {
                let was_granted = from == 1 && self.connections[&id].ends[0].tls.is_none();
                let is_up = self.connections[&id].ends[to].is_up;
                let why = if was_granted && !is_up { Closed::Refused } else { Closed::Reset };
                self.end_stream(id, to, why);
            }
            Piece::Data(bytes) => self.receive(id, to, bytes),
            Piece::Fin => {
                self.end_stream(id, to, Closed::ByPeer);
            }
        }
    }

    /// Answers a piece that reached `side`, which does not know the connection (any more).
    fn reset(&mut self, id: u64, side: Side) {
        self.half_mut(id, side).backlog.clear();
        self.half_mut(id, side).passed();
        self.push(id, side, Piece::Rst);
        self.end_is_gone(id, side);
    }

    /// A connection request has arrived.
    fn accept(&mut self, id: u64) {
        let connection = &self.connections[&id];
        let (who, port) = (connection.ends[1].node, connection.port);
        let dialler = connection.ends[0].node;
        let packet = Packet { from: dialler, to: who, transport: Transport::Tcp, port };
        let is_refused = self.rules.answer(&packet) == Some(Verdict::Refuse);
        let slot = self.slot(who);
        let is_full = slot.streams.len() >= CONNECTION_LIMIT;
        let (cycle, listener) = (slot.cycle, slot.tcp.get(&port).cloned());
        let Some(listener) = listener.filter(|_| !is_refused && !is_full) else {
            return self.reset(id, 1);
        };
        let tls = match &listener {
            ListenSecurity::Udp | ListenSecurity::Tcp => None,
            ListenSecurity::Tls(tls) => {
                let slot = self.slot_mut(who);
                match TlsSession::server(tls, Crypto::Seeded, &mut slot.tls_random) {
                    Ok(session) => Some(session),
                    Err(why) => {
                        let with = self.connections[&id].ends[0].address;
                        self.note(who, Note::Broken { with, text: Closed::Tls(why).to_string() });
                        return self.reset(id, 1);
                    }
                }
            }
        };
        let is_plain = tls.is_none();
        let end = &mut self.connections.get_mut(&id).expect("looked up above").ends[1];
        end.cycle = cycle;
        end.tls = tls;
        self.push(id, 1, Piece::SynAck);
        if is_plain {
            self.come_up(id, 1);
        } else {
            self.queue.put(self.now + HANDSHAKE_LIMIT, Event::HandshakeLimit { connection: id });
        }
    }

    /// The dialling end hears that its connection is granted.
    fn granted(&mut self, id: u64) {
        let connection = self.connections.get_mut(&id).expect("the caller has just looked it up");
        let Some(wanted) = connection.dial_tls.take() else {
            return self.come_up(id, 0);
        };
        let who = connection.ends[0].node;
        let now = self.now;
        let slot = &mut self.slots[who.0 as usize];
        match TlsSession::client(&wanted, now, Crypto::Seeded, &mut slot.tls_random) {
            Ok(mut session) => {
                let hello = session.take_output();
                self.connections.get_mut(&id).expect("looked up above").ends[0].tls = Some(session);
                self.push_data(id, 0, hello);
            }
            Err(why) => self.fail_tls(id, 0, why),
        }
    }

    fn fail_tls(&mut self, id: u64, side: Side, why: TlsError) {
        self.push(id, side, Piece::Fin);
        self.end_stream(id, side, Closed::Tls(why));
    }

    /// Tells the actor at `side` that its stream is up.
    fn come_up(&mut self, id: u64, side: Side) {
        let connection = self.connections.get_mut(&id).expect("the caller has just looked it up");
        let (local, peer) = (connection.ends[side].address, connection.ends[1 - side].address);
        let end = &mut connection.ends[side];
        end.is_up = true;
        let who = end.node;
        let (stream, event) = match end.stream {
            Some(stream) => (stream, StreamEvent::Opened { local, peer }),
            None => {
                let slot = &mut self.slots[who.0 as usize];
                let stream = slot.outbox.fresh_stream();
                slot.streams.insert(stream, (id, side));
                end.stream = Some(stream);
                (stream, StreamEvent::Accepted { local, peer })
            }
        };
        self.handle(who, Input::Stream(stream, event));
    }

    fn receive(&mut self, id: u64, side: Side, bytes: Bytes) {
        let now = self.now;
        let connection = self.connections.get_mut(&id).expect("the caller has just looked it up");
        let end = &mut connection.ends[side];
        let who = end.node;
        let Some(tls) = &mut end.tls else {
            if let Some(stream) = end.stream {
                self.handle(who, Input::Stream(stream, StreamEvent::Received(bytes)));
            }
            return;
        };
        let result = tls.receive(&bytes, now, &mut self.slots[who.0 as usize].tls_random);
        let output = tls.take_output();
        self.push_data(id, side, output);
        let received = match result {
            Ok(received) => received,
            Err(why) => return self.fail_tls(id, side, why),
        };
        if received.came_up {
            self.come_up(id, side);
        }
        let stream =
            |sim: &Self| sim.connections.get(&id).and_then(|connection| connection.ends[side].stream);
        if !received.plaintext.is_empty()
            && let Some(stream) = stream(self)
        {
            let event = StreamEvent::Received(received.plaintext.into());
            self.handle(who, Input::Stream(stream, event));
        }
        if received.is_closed && stream(self).is_some() {
            self.push(id, side, Piece::Fin);
            self.end_stream(id, side, Closed::ByPeer);
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
                self.events_at_once = if self.now == at { self.events_at_once + 1 } else { 0 };
                assert!(
                    self.events_at_once < EVENTS_AT_ONCE_LIMIT,
                    "the lab is stalled: its actors keep each other busy without letting time pass"
                );
                self.now = at;
                self.take_event(event);
                Step::Happened
            }
        }
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }
}

#[cfg(test)]
mod tests;
