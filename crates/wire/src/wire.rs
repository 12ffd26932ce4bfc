//! The world: actors in their places, power, faults, and time that passes with the machine's clock.

mod places;
mod power;
mod settle;
mod setup;
mod streams;
mod world;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use net::rule::Rules;
use net::sim::{CutAtWrite, LinkModel, SegmentId};
use net::{
    Datagram, Dial, Disk, Entry, Input, Journal, ListenSecurity, Node, NodeId, Note, Outbox, Random,
    StreamId, Time, Wall,
};
use tokio::net::UdpSocket;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use self::places::Places;
pub use self::setup::{Among, Setup};
use self::streams::Stream;
use crate::clock::{Clock, Speed};
use crate::connection::{Order, Shared};
use crate::event::{ConnectionId, Event};
use crate::ports::Ground;
use crate::store::{Keeper, StoreError};
use crate::trace::Tracer;

/// How many events wait for the world before the tasks that bring them have to.
const EVENTS_MAX: usize = 1024;

/// How many events are taken in before it is looked what is due.
const EVENTS_AT_ONCE: usize = 64;

/// When leaping: how long nothing may move before the lab counts as quiet, on the machine's clock. What is sent on a
/// machine's own network is there at once; this is for the tasks.
const QUIET_ROUND: Duration = Duration::from_millis(1);

/// How many such rounds it takes.
const QUIET_ROUNDS: u32 = 3;

/// How many things that are due are done before it is looked what has arrived: neither may wait for the other's end.
const DUE_AT_ONCE: usize = 64;

/// Something that is due at a moment.
#[derive(Debug)]
enum Due {
    /// A dial is tried again.
    Dial { who: NodeId, cycle: u32, stream: StreamId, dial: Dial, tries: u32 },
    /// What waits on a stream is tried again.
    Retry(ConnectionId),
    /// A datagram that was held back is sent.
    Send { who: NodeId, receiver: NodeId, cycle: u32, datagram: Datagram },
}

/// A port that an actor listens to.
#[derive(Debug)]
struct Port {
    security: ListenSecurity,
    /// The tasks that serve it, one for each address.
    tasks: Vec<AbortHandle>,
}

impl Port {
    fn close(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
    }
}

#[derive(Debug)]
struct Slot<N> {
    node: N,
    name: String,
    segment: SegmentId,
    is_on: bool,
    is_stopped: bool,
    /// Nobody dials it: its TCP ports have no sockets.
    is_undialled: bool,
    cycle: u32,
    address: Option<IpAddr>,
    udp: BTreeMap<u16, Port>,
    tcp: BTreeMap<u16, Port>,
    sockets: Vec<(u16, SocketAddr, Arc<UdpSocket>)>,
    streams: BTreeMap<StreamId, ConnectionId>,
    /// Connections of earlier power cycles, which the device will know nothing of.
    frozen: Vec<crate::connection::Handle>,
    open: Arc<AtomicUsize>,
    outbox: Outbox,
    wake: Option<Time>,
    disk: Disk,
    writes: u64,
    cut: Option<CutAtWrite>,
}

/// Wakes a world that waits, from any thread.
#[derive(Clone, Debug)]
pub struct Poker(mpsc::Sender<Event>);

impl Poker {
    /// Has [`World::step`] return soon.
    pub fn poke(&self) {
        // A full queue means that it is about to return anyway.
        let _ = self.0.try_send(Event::Poke);
    }
}

/// The real world.
#[derive(Debug)]
pub struct Wire<N> {
    now: Time,
    speed: Speed,
    ground: Ground,
    also: Vec<(String, IpAddr)>,
    among: Among,
    shared: Shared,
    places: Places,
    /// Whose datagram is being handled.
    answering: Option<NodeId>,
    /// How many things that are due may be done before it is looked what has arrived.
    due_left: usize,
    arriving: VecDeque<Event>,
    events: mpsc::Receiver<Event>,
    kept: mpsc::UnboundedReceiver<Event>,
    keeper: Option<Keeper>,
    old_disks: BTreeMap<String, Disk>,
    keeping: usize,
    slots: Vec<Slot<N>>,
    streams: BTreeMap<ConnectionId, Stream>,
    segments: Vec<LinkModel>,
    rules: Rules,
    random: Random,
    wakes: BTreeSet<(Time, NodeId)>,
    agenda: BTreeMap<(Time, u64), Due>,
    next_due: u64,
    next_id: Arc<AtomicU64>,
    journal: Journal,
    journal_max: Option<usize>,
    problems: Vec<String>,
    // Dropped last: tasks hold what is above.
    runtime: Runtime,
}

impl<N: Node> Wire<N> {
    /// An empty world whose clock starts now.
    ///
    /// # Errors
    ///
    /// If the machine gives no event loop, or the store cannot be read.
    pub fn new(setup: Setup) -> Result<Wire<N>, StoreError> {
        crate::limits::raise_files();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|why| StoreError::machine(&why))?;
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let (kept_sender, kept) = mpsc::unbounded_channel();
        let mut old_disks = BTreeMap::new();
        let keeper = match setup.store {
            None => None,
            Some(mut store) => {
                old_disks = store.disks()?;
                // At the end nobody listens any more; the rest is written all the same.
                Some(Keeper::start(store, move |event| drop(kept_sender.send(event))))
            }
        };
        let shared = Shared {
            events: sender,
            clock: Arc::new(Clock::start(setup.speed)),
            progress: Arc::new(AtomicU64::new(0)),
            handshakes: Arc::default(),
            tracer: None,
        };
        Ok(Wire {
            now: Time::ZERO,
            speed: setup.speed,
            ground: setup.ground,
            also: setup.also,
            among: setup.among,
            shared,
            places: Places::default(),
            answering: None,
            due_left: DUE_AT_ONCE,
            arriving: VecDeque::new(),
            events,
            kept,
            keeper,
            old_disks,
            keeping: 0,
            slots: Vec::new(),
            streams: BTreeMap::new(),
            segments: Vec::new(),
            rules: Rules::default(),
            random: Random::named(setup.seed, "faults of the wire"),
            wakes: BTreeSet::new(),
            agenda: BTreeMap::new(),
            next_due: 0,
            next_id: Arc::new(AtomicU64::new(0)),
            journal: Journal::default(),
            journal_max: setup.journal,
            problems: Vec::new(),
            runtime,
        })
    }

    /// Addresses and ports.
    pub fn ground(&self) -> Ground {
        self.ground
    }

    /// What could not be had of the machine since the last call, in sentences: a port that somebody else has.
    pub fn take_problems(&mut self) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }

    /// How many TLS handshakes were completed on what its actors dialled, and how many were broken off, so far.
    pub fn handshakes(&self) -> (u64, u64) {
        let handshakes = &self.shared.handshakes;
        (handshakes.completed.load(Ordering::Relaxed), handshakes.refused.load(Ordering::Relaxed))
    }

    /// Wakes this world from other threads.
    pub fn poker(&self) -> Poker {
        Poker(self.shared.events.clone())
    }

    /// Captures what goes over the sockets into `file`, written as it grows; the lab's true clock read `epoch` at the
    /// start, and `about` says in the file what is captured. The file holds the secrets of every TLS session. Actors that
    /// have power already are captured only where they listen anew: call it first.
    pub fn start_capture(&mut self, epoch: Wall, about: &str, file: Box<dyn Write + Send>) {
        self.shared.tracer = Some(Tracer::new(epoch, about, file));
    }

    /// Ends a capture, if there is one.
    ///
    /// # Errors
    ///
    /// The first error that writing met; the file ends there.
    pub fn finish_capture(&mut self) -> io::Result<()> {
        let now = self.now;
        self.shared.tracer.take().map_or(Ok(()), |tracer| tracer.finish(now))
    }

    /// Nobody dials this actor, so that its TCP ports need no sockets: for the phones of a fleet, whose calls come by the
    /// connections that they open.
    pub fn never_dialled(&mut self, who: NodeId) {
        self.slot_mut(who).is_undialled = true;
    }

    /// Where an actor listens, as this machine's sockets have it: its further addresses too.
    pub fn sockets_of(&self, who: NodeId) -> Vec<(net::Transport, SocketAddr)> {
        let slot = self.slot(who);
        let own = slot.address.into_iter();
        let addresses: Vec<IpAddr> = own.chain(self.also_of(&slot.name)).collect();
        let mut sockets = Vec::new();
        for address in addresses {
            let at = |port: &u16| self.ground.real_address(SocketAddr::new(address, *port));
            sockets.extend(slot.udp.keys().map(|port| (net::Transport::Udp, at(port))));
            sockets.extend(slot.tcp.keys().map(|port| (net::Transport::Tcp, at(port))));
        }
        sockets
    }

    fn also_of(&self, name: &str) -> impl Iterator<Item = IpAddr> {
        self.also.iter().filter(move |(whose, _)| whose == name).map(|(_, address)| *address)
    }

    /// An empty outbox, as actors get one with each power-on.
    fn fresh_outbox(&self) -> Outbox {
        match self.journal_max {
            Some(0) if self.shared.tracer.is_none() => Outbox::counting(),
            _ => Outbox::new(),
        }
    }

    fn slot(&self, who: NodeId) -> &Slot<N> {
        &self.slots[who.0 as usize]
    }

    fn slot_mut(&mut self, who: NodeId) -> &mut Slot<N> {
        &mut self.slots[who.0 as usize]
    }

    fn owner_of(&self, address: IpAddr) -> Option<NodeId> {
        self.places.owner(address)
    }

    fn stage(&mut self, who: NodeId, text: &str) {
        self.add_entry(Some(who), Note::Stage(text.to_owned()), None);
    }

    fn note(&mut self, who: NodeId, note: Note) {
        if self.journal_max == Some(0) && self.shared.tracer.is_none() {
            return;
        }
        let peer = match &note {
            Note::Sent { to, .. } => self.owner_of(to.ip()),
            Note::Received { from, .. } => self.owner_of(from.ip()),
            Note::Broken { with, .. } => self.owner_of(with.ip()),
            Note::Screen { .. } | Note::Event { .. } | Note::Log(_) | Note::Stage(_) => None,
        };
        let peer = peer.map(|peer| self.journal.name(peer).to_owned());
        self.add_entry(Some(who), note, peer);
    }

    fn add_entry(&mut self, who: Option<NodeId>, note: Note, peer: Option<String>) {
        if let Some(tracer) = &self.shared.tracer {
            let name = who.map_or("stage", |who| self.journal.name(who));
            match &note {
                Note::Event { name: event, of, text } => {
                    tracer.remark(self.now, &format!("{name}: {event} of {of}: {text}"));
                }
                Note::Screen { id, .. } => tracer.remark(self.now, &format!("{name} shows {id}")),
                Note::Stage(text) => tracer.remark(self.now, &format!("{name}: {text}")),
                Note::Broken { with, text } => tracer.remark(self.now, &format!("{name} ✗ {with}: {text}")),
                Note::Sent { .. } | Note::Received { .. } | Note::Log(_) => {}
            }
        }
        if self.journal_max == Some(0) {
            return;
        }
        self.journal.add(Entry { at: self.now, who, note, peer });
        if let Some(max) = self.journal_max {
            self.journal.keep_last(max);
        }
    }

    fn plan(&mut self, at: Time, due: Due) {
        self.next_due += 1;
        self.agenda.insert((at, self.next_due), due);
    }

    /// When something is due by itself.
    fn next_own(&self) -> Option<Time> {
        let wake = self.wakes.first().map(|(at, _)| *at);
        let due = self.agenda.first_key_value().map(|((at, _), _)| *at);
        wake.into_iter().chain(due).min()
    }

    /// Takes in what has arrived, without waiting.
    fn take_in(&mut self) {
        let Wire { runtime, events, kept, arriving, .. } = self;
        runtime.block_on(async {
            // The tasks have a turn before it is looked what they brought.
            tokio::task::yield_now().await;
            while arriving.len() < EVENTS_AT_ONCE
                && let Ok(event) = events.try_recv()
            {
                arriving.push_back(event);
            }
            while let Ok(event) = kept.try_recv() {
                arriving.push_back(event);
            }
        });
    }

    /// Waits until something arrives, at most until `until`; says whether something did.
    fn wait(&mut self, until: Time) -> bool {
        let span = match until {
            Time::NEVER => None,
            until => Some(self.shared.clock.real_until(until)),
        };
        let Wire { runtime, events, kept, arriving, .. } = self;
        runtime.block_on(async {
            let next = async {
                tokio::select! {
                    event = events.recv() => event,
                    Some(event) = kept.recv() => Some(event),
                }
            };
            let event = match span {
                None => next.await,
                Some(span) => tokio::time::timeout(span, next).await.ok().flatten(),
            };
            arriving.extend(event);
        });
        !self.arriving.is_empty()
    }

    /// Waits until something arrives or nothing moves any more; says whether something arrived.
    fn wait_for_quiet(&mut self) -> bool {
        let mut quiet = 0;
        let mut before = self.shared.progress.load(Ordering::Relaxed);
        while quiet < QUIET_ROUNDS || self.keeping > 0 {
            let Wire { runtime, events, kept, arriving, .. } = self;
            runtime.block_on(async {
                tokio::select! {
                    event = events.recv() => arriving.extend(event),
                    Some(event) = kept.recv() => arriving.push_back(event),
                    () = tokio::time::sleep(QUIET_ROUND) => {}
                }
            });
            if !self.arriving.is_empty() {
                return true;
            }
            let now = self.shared.progress.load(Ordering::Relaxed);
            quiet = if now == before { quiet + 1 } else { 0 };
            before = now;
        }
        false
    }

    fn do_due(&mut self) -> bool {
        if let Some(&(at, who)) = self.wakes.first()
            && at <= self.now
        {
            self.wakes.pop_first();
            let slot = self.slot_mut(who);
            if slot.is_on && slot.wake == Some(at) {
                slot.wake = None;
                self.handle(who, Input::Woken);
            }
            return true;
        }
        if let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= self.now
        {
            match entry.remove() {
                Due::Dial { who, cycle, stream, dial, tries } => {
                    if self.slot(who).cycle == cycle && self.slot(who).is_on {
                        self.dial(who, stream, dial, tries);
                    }
                }
                Due::Retry(id) => self.retry(id),
                Due::Send { who, receiver, cycle, datagram } => {
                    if self.slot(who).cycle == cycle && self.slot(who).is_on {
                        self.pass_on(who, receiver, datagram);
                    }
                }
            }
            return true;
        }
        false
    }
}

impl<N> Drop for Wire<N> {
    fn drop(&mut self) {
        // Connections end in good order while there is still a runtime to end them.
        for stream in std::mem::take(&mut self.streams).into_values() {
            stream.give(Order::Close);
        }
        self.runtime.block_on(async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        });
    }
}
