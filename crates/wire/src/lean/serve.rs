//! Actors as servers: their ports, connections, timers and disks, on one thread.
//!
//! A [`Lean`] world carries out what servers ask for. What it does not do: it opens no connections ([`Effect::Open`] is
//! answered with [`Closed::Unreachable`]), serves no WebSocket, lays no faults, captures nothing, and writes no journal: of
//! notes it counts the events (`Outbox::counting`). Limits are those of [`crate::Wire`].

mod accept;
mod settle;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use net::{Datagram, Disk, Effect, Input, Node, NodeId, Outbox, RecordId, StreamId, Time, Transport};
use rustls::ServerConfig;

use super::batch::{BATCH, BatchSocket, Inbox, SendBatch, dropped};
use super::connection::Connection;
use super::poll::{Interest, Poller, Ready, Waker};
use super::tally::Tally;
use super::tls::Room;
use crate::clock::{Clock, Speed};
use crate::event::Event;
use crate::ports::Ground;
use crate::store::{Keeper, Store, StoreError};

/// How many batches of a UDP socket are taken before others have their turn.
const BATCHES_AT_ONCE: usize = 8;

/// What a world of servers is made of.
#[derive(Debug)]
pub struct Setup {
    /// Addresses and ports.
    pub ground: Ground,
    /// Where the actors' disks are kept. Without, a write counts as kept at once and is kept nowhere, so that a pool has
    /// nothing left when the program ends.
    pub store: Option<Store>,
    /// The most connections at a time; further ones are closed at once.
    pub connections_max: usize,
}

/// What a token of the poller means: the kind in the highest octet, the number below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Udp(u32),
    Listener(u32),
    /// Place and generation, so that a new connection is never taken for the one that had its place before.
    Connection(u32, u32),
}

/// The highest generation of a place; after it they begin anew.
const GENERATIONS: u32 = 0x00ff_ffff;

impl Token {
    fn number(self) -> u64 {
        match self {
            Token::Udp(at) => u64::from(at),
            Token::Listener(at) => 1 << 56 | u64::from(at),
            Token::Connection(at, generation) => 2 << 56 | u64::from(generation) << 32 | u64::from(at),
        }
    }

    fn of(number: u64) -> Token {
        // The lower half is the place, by construction.
        let at = number as u32;
        match number >> 56 {
            0 => Token::Udp(at),
            1 => Token::Listener(at),
            _ => Token::Connection(at, (number >> 32) as u32 & GENERATIONS),
        }
    }
}

#[derive(Debug)]
struct UdpPort {
    who: NodeId,
    port: u16,
    /// As the actor knows it.
    at: SocketAddr,
    /// `None` once it was closed.
    socket: Option<BatchSocket>,
    batch: SendBatch,
    /// The kernel has no room: nothing is read until it has.
    is_full: bool,
}

#[derive(Debug)]
struct Listener {
    who: NodeId,
    port: u16,
    /// As the actor knows it.
    at: SocketAddr,
    real: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    socket: Option<TcpListener>,
}

#[derive(Debug)]
struct Slot<N> {
    name: String,
    node: N,
    outbox: Outbox,
    address: Option<IpAddr>,
    streams: BTreeMap<StreamId, u32>,
}

#[derive(Debug, Default)]
struct Place {
    generation: u32,
    connection: Option<Box<Connection>>,
}

/// A world of servers.
#[derive(Debug)]
pub struct Lean<N> {
    clock: Clock,
    now: Time,
    ground: Ground,
    connections_max: usize,
    poller: Poller,
    ready: Vec<Ready>,
    slots: Vec<Slot<N>>,
    udp: Vec<UdpPort>,
    listeners: Vec<Listener>,
    places: Vec<Place>,
    free: Vec<u32>,
    /// Connections in the middle of their handshake, oldest first, some of which are not any more.
    shaking: VecDeque<(u32, u32)>,
    shaking_count: usize,
    deadlines: BTreeSet<(Time, u32, u32)>,
    /// When listeners that had to pause are looked at again.
    resume_at: Option<Time>,
    kept: VecDeque<(NodeId, RecordId)>,
    keeper: Option<(Keeper, mpsc::Receiver<Event>)>,
    disks: BTreeMap<String, Disk>,
    inbox: Inbox,
    room: Room,
    effects: Vec<Effect>,
    tally: Tally,
    problems: Vec<String>,
}

impl<N: Node> Lean<N> {
    /// A world without actors, whose clock starts now.
    ///
    /// # Errors
    ///
    /// If the process has too many files open, or the store cannot be read.
    pub fn new(setup: Setup) -> Result<Lean<N>, StoreError> {
        crate::limits::raise_files();
        let poller = Poller::new().map_err(|why| StoreError::machine(&why))?;
        let mut disks = BTreeMap::new();
        let keeper = match setup.store {
            None => None,
            Some(mut store) => {
                disks = store.disks()?;
                let (sender, receiver) = mpsc::channel();
                let waker = poller.waker();
                let tell = move |event| {
                    // At the end nobody listens any more; the rest is written all the same.
                    drop(sender.send(event));
                    waker.wake();
                };
                Some((Keeper::start(store, tell), receiver))
            }
        };
        Ok(Lean {
            clock: Clock::start(Speed::REAL),
            now: Time::ZERO,
            ground: setup.ground,
            connections_max: setup.connections_max,
            poller,
            ready: Vec::new(),
            slots: Vec::new(),
            udp: Vec::new(),
            listeners: Vec::new(),
            places: Vec::new(),
            free: Vec::new(),
            shaking: VecDeque::new(),
            shaking_count: 0,
            deadlines: BTreeSet::new(),
            resume_at: None,
            kept: VecDeque::new(),
            keeper,
            disks,
            inbox: Inbox::new(),
            room: Room::default(),
            effects: Vec::new(),
            tally: Tally { datagrams_dropped: Some(0), ..Tally::default() },
            problems: Vec::new(),
        })
    }

    /// Adds an actor, with power and with what the store has of its disk.
    pub fn add(&mut self, name: &str, node: N) -> NodeId {
        let who = NodeId(u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        self.slots.push(Slot {
            name: name.to_owned(),
            node,
            outbox: Outbox::counting(),
            address: None,
            streams: BTreeMap::new(),
        });
        let disk = self.disks.remove(name).unwrap_or_default();
        self.now = self.clock.now();
        self.handle(who, Input::PowerOn(disk));
        who
    }

    /// What could not be had of the machine since the last call, in sentences: a port that somebody else has.
    pub fn take_problems(&mut self) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }

    /// Where an actor listens, as this machine's sockets have it.
    pub fn sockets_of(&self, who: NodeId) -> Vec<(Transport, SocketAddr)> {
        let udp = self.udp.iter().filter(|port| port.who == who).filter_map(|port| port.socket.as_ref());
        let udp = udp.map(|socket| (Transport::Udp, socket.address()));
        let tcp = self.listeners.iter().filter(|port| port.socket.is_some() && port.who == who);
        udp.chain(tcp.map(|port| (Transport::Tcp, port.real))).collect()
    }

    /// An actor, to look at.
    pub fn node(&self, who: NodeId) -> &N {
        &self.slots[who.0 as usize].node
    }

    /// How often each event was told of by an actor.
    pub fn events_of(&self, who: NodeId) -> impl Iterator<Item = (&'static str, u64)> {
        self.slots[who.0 as usize].outbox.counted()
    }

    /// The time as the actors have it.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Has [`Lean::turn`] return soon, from any thread.
    pub fn waker(&self) -> Waker {
        self.poller.waker()
    }

    /// What was served so far.
    pub fn tally(&self) -> Tally {
        let mut tally = self.tally.clone();
        for socket in self.udp.iter().filter_map(|port| port.socket.as_ref()) {
            add(&mut tally, socket);
        }
        tally
    }

    /// Waits until something happens, at most for `span`, and lets it happen.
    ///
    /// # Errors
    ///
    /// If the machine's poller is broken, or the disk takes no writes any more.
    pub fn turn(&mut self, span: Duration) -> io::Result<()> {
        let wakes = self.slots.iter().filter_map(|slot| slot.node.wake_at());
        let deadline = self.deadlines.first().map(|(at, ..)| *at);
        let next = wakes.chain(deadline).chain(self.resume_at).min();
        let span = next.map_or(span, |at| self.clock.real_until(at).min(span));
        let mut ready = std::mem::take(&mut self.ready);
        self.poller.wait(Some(span), &mut ready)?;
        self.now = self.clock.now();
        for one in &ready {
            match Token::of(one.token) {
                Token::Udp(at) => self.udp_ready(at, *one)?,
                Token::Listener(at) => self.accept(at),
                Token::Connection(at, generation) => self.connection_ready(at, generation, *one),
            }
        }
        self.ready = ready;
        self.take_kept()?;
        self.due();
        self.flush_udp();
        Ok(())
    }

    fn due(&mut self) {
        while let Some((at, place, generation)) = self.deadlines.first().copied()
            && at <= self.now
        {
            self.deadlines.pop_first();
            self.overdue(place, generation);
        }
        if self.resume_at.is_some_and(|at| at <= self.now) {
            self.resume();
        }
        for index in 0..self.slots.len() {
            if self.slots[index].node.wake_at().is_some_and(|at| at <= self.now) {
                self.handle(NodeId(index as u32), Input::Woken);
            }
        }
    }

    fn handle(&mut self, who: NodeId, input: Input) {
        let slot = &mut self.slots[who.0 as usize];
        slot.node.handle(self.now, input, &mut slot.outbox);
        self.settle(who);
    }

    fn udp_ready(&mut self, at: u32, ready: Ready) -> io::Result<()> {
        let index = at as usize;
        if ready.may_write && self.udp[index].is_full {
            self.udp[index].is_full = false;
            if let Some(socket) = &self.udp[index].socket {
                self.poller.change(socket, Token::Udp(at).number(), Interest::Read)?;
            }
            self.flush_udp();
        }
        for _ in 0..BATCHES_AT_ONCE {
            let Lean { udp, slots, inbox, now, ground, .. } = self;
            let UdpPort { who, at, socket: Some(socket), is_full: false, .. } = &mut udp[index] else {
                break;
            };
            let (who, to) = (*who, *at);
            let slot = &mut slots[who.0 as usize];
            let count = socket.receive(inbox, |octets, from| {
                let payload = Bytes::copy_from_slice(octets);
                let datagram = Datagram { from: ground.address(from), to, payload };
                slot.node.handle(*now, Input::Datagram(datagram), &mut slot.outbox);
            })?;
            self.settle(who);
            self.flush_udp();
            if count < BATCH {
                break;
            }
            self.now = self.clock.now();
        }
        Ok(())
    }

    fn flush_udp(&mut self) {
        use super::batch::Sent;
        for (at, port) in self.udp.iter_mut().enumerate() {
            if port.is_full || port.batch.is_empty() {
                continue;
            }
            let Some(socket) = &mut port.socket else { continue };
            if socket.send(&mut port.batch) == Sent::Full {
                port.is_full = true;
                // It was added when it was opened.
                let _ = self.poller.change(socket, Token::Udp(at as u32).number(), Interest::Write);
            }
        }
    }
}

/// Adds what a socket has moved to what was served.
fn add(tally: &mut Tally, socket: &BatchSocket) {
    let counts = socket.counts();
    tally.datagrams_in += counts.received;
    tally.datagrams_out += counts.sent;
    tally.datagrams_refused += counts.refused;
    tally.full += counts.full;
    let dropped = dropped(socket.address());
    tally.datagrams_dropped = tally.datagrams_dropped.zip(dropped).map(|(all, one)| all + one);
}
