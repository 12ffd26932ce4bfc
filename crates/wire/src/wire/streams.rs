//! Streams: dialled, accepted, used, and at their end.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use net::capture::End;
use net::rule::Packet;
use net::{Closed, Dial, Input, Node, NodeId, Note, Security, StreamEvent, StreamId, Time, Transport};
use tokio::net::TcpSocket;
use tokio::time::Instant;

use super::{Due, Wire};
use crate::connection::{Connection, Handle, Order, Orders, Owner, Shared};
use crate::event::{ConnectionId, Event};
use crate::faults::{Fate, next_try};
use crate::layers::Layers;
use crate::listener::HANDSHAKE_MAX;

/// How long connecting may take, in lab time: as long as the simulation repeats a connection request.
const CONNECT_MAX: Duration = Duration::from_secs(15);

/// How many writes wait behind one that a fault holds back; more is a connection given up.
const BACKLOG_MAX: usize = 4096;

/// One connection as the world knows it.
#[derive(Debug)]
pub(super) struct Stream {
    who: NodeId,
    stream: StreamId,
    handle: Handle,
    /// The other end, if it is one of the world's actors, and the port that was dialled: what rules look at.
    with: Option<NodeId>,
    port: u16,
    peer: SocketAddr,
    is_up: bool,
    /// What waits behind something that was lost or held back.
    backlog: VecDeque<Order>,
    tries: u32,
    /// The first of what waits has been held back long enough.
    has_waited: bool,
}

/// The other end of a connection.
struct Far {
    /// Who it is, if it is one of the world's actors.
    node: Option<NodeId>,
    /// The port that was dialled.
    port: u16,
    address: SocketAddr,
}

impl Stream {
    fn new(who: NodeId, stream: StreamId, handle: Handle, far: Far, is_up: bool) -> Stream {
        Stream {
            who,
            stream,
            handle,
            with: far.node,
            port: far.port,
            peer: far.address,
            is_up,
            backlog: VecDeque::new(),
            tries: 0,
            has_waited: false,
        }
    }

    pub(super) fn give(&self, order: Order) -> bool {
        self.handle.give(order)
    }

    pub(super) fn into_handle(self) -> Option<Handle> {
        Some(self.handle)
    }
}

impl<N: Node> Wire<N> {
    pub(super) fn stream_of(&self, id: ConnectionId) -> Option<(NodeId, StreamId)> {
        let state = self.streams.get(&id)?;
        // What was closed here hears nothing more, even if its goodbye still waits.
        (self.slot(state.who).streams.get(&state.stream) == Some(&id)).then_some((state.who, state.stream))
    }

    /// Opens a stream. `tries` counts how often it was tried before.
    pub(super) fn dial(&mut self, who: NodeId, stream: StreamId, dial: Dial, tries: u32) {
        let to = dial.to;
        let Some(own) = self.slot(who).address else {
            return self.fail_dial(who, stream, to, Closed::Unreachable);
        };
        let target = self.owner_of(to.ip());
        let is_dead = target.is_some_and(|target| !self.slot(target).is_on && !self.slot(target).is_stopped);
        let fate = match target {
            _ if is_dead => Fate::Lost,
            Some(target) => self.fate(&Packet {
                from: who,
                to: target,
                transport: Transport::Tcp,
                port: to.port(),
                opens: true,
            }),
            None => Fate::Sent,
        };
        match fate {
            Fate::Lost => {
                let cycle = self.slot(who).cycle;
                return match next_try(self.now, tries, true) {
                    Some(at) => self.plan(at, Due::Dial { who, cycle, stream, dial, tries: tries + 1 }),
                    None => self.fail_dial(who, stream, to, Closed::TimedOut),
                };
            }
            Fate::Refused => return self.fail_dial(who, stream, to, Closed::Refused),
            Fate::Sent | Fate::Twice | Fate::Later(_) => {}
        }
        let id = ConnectionId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let (handle, orders) = Handle::new();
        let state =
            Stream::new(who, stream, handle, Far { node: target, port: to.port(), address: to }, false);
        self.streams.insert(id, state);
        self.slot_mut(who).streams.insert(stream, id);
        let cycle = self.slot(who).cycle;
        let local = SocketAddr::new(own, 0);
        let owner = Owner { id, who, cycle, local, peer: to };
        let dialling = Dialling {
            owner,
            to: self.ground.real_address(to),
            // Elsewhere a loopback address is no use as a sender.
            from: (self.ground.has(own) && to.ip().is_loopback() == own.is_loopback() && to.is_ipv4())
                .then_some(local),
            security: dial.security,
            orders,
            shared: self.shared.clone(),
            is_told_by_the_other: target.is_some(),
            connect_max: self.shared.clock.real(CONNECT_MAX),
            handshake_max: HANDSHAKE_MAX,
        };
        self.runtime.spawn(dialling.run());
    }

    fn fail_dial(&mut self, who: NodeId, stream: StreamId, to: SocketAddr, why: Closed) {
        // Answered as an event like any other, not inside the call.
        let id = ConnectionId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let (handle, _) = Handle::new();
        let state = Stream::new(who, stream, handle, Far { node: None, port: to.port(), address: to }, false);
        self.streams.insert(id, state);
        self.slot_mut(who).streams.insert(stream, id);
        let cycle = self.slot(who).cycle;
        self.arriving.push_back(Event::Closed { id, who, cycle, peer: to, why });
    }

    pub(super) fn order(&mut self, who: NodeId, stream: StreamId, order: Order) {
        let Some(&id) = self.slot(who).streams.get(&stream) else { return };
        let Some(state) = self.streams.get_mut(&id) else { return };
        // Nobody writes before the stream is up.
        if !state.is_up && matches!(order, Order::Write(_)) {
            return;
        }
        if state.backlog.is_empty() {
            self.pass(id, order);
        } else if state.backlog.len() < BACKLOG_MAX {
            state.backlog.push_back(order);
        } else {
            self.give_up(id);
        }
    }

    /// Hands an order on, or lets it wait where a fault stands in the way.
    fn pass(&mut self, id: ConnectionId, order: Order) {
        let Some(state) = self.streams.get(&id) else { return };
        let has_waited = state.has_waited;
        let fate = match (state.with, &order) {
            (Some(with), Order::Write(_) | Order::Close) => {
                let (from, port) = (state.who, state.port);
                self.fate(&Packet { from, to: with, transport: Transport::Tcp, port, opens: false })
            }
            _ => Fate::Sent,
        };
        let now = self.now;
        let Some(state) = self.streams.get_mut(&id) else { return };
        match fate {
            Fate::Lost => {
                let next = next_try(now, state.tries, false);
                state.tries += 1;
                state.backlog.push_front(order);
                match next {
                    Some(at) => self.plan(at, Due::Retry(id)),
                    None => self.give_up(id),
                }
            }
            Fate::Later(span) if !has_waited => {
                state.has_waited = true;
                state.backlog.push_front(order);
                self.plan(now + span, Due::Retry(id));
            }
            Fate::Sent | Fate::Twice | Fate::Later(_) | Fate::Refused => {
                state.tries = 0;
                state.has_waited = false;
                let (who, peer) = (state.who, state.peer);
                if !state.give(order) {
                    let cycle = self.slot(who).cycle;
                    let why = Closed::TimedOut;
                    self.arriving.push_back(Event::Closed { id, who, cycle, peer, why });
                }
            }
        }
    }

    /// Tries what waits on a stream again.
    pub(super) fn retry(&mut self, id: ConnectionId) {
        while let Some(state) = self.streams.get_mut(&id) {
            let Some(order) = state.backlog.pop_front() else { return };
            let before = state.backlog.len();
            let is_last_word = matches!(order, Order::Close);
            self.pass(id, order);
            let Some(state) = self.streams.get(&id) else { return };
            if state.backlog.len() > before {
                return;
            }
            if is_last_word {
                self.streams.remove(&id);
                return;
            }
        }
    }

    fn give_up(&mut self, id: ConnectionId) {
        let Some(state) = self.streams.get_mut(&id) else { return };
        state.backlog.clear();
        state.give(Order::Reset);
        let (who, peer) = (state.who, state.peer);
        let cycle = self.slot(who).cycle;
        self.arriving.push_back(Event::Closed { id, who, cycle, peer, why: Closed::TimedOut });
    }

    pub(super) fn close(&mut self, who: NodeId, stream: StreamId) {
        let Some(id) = self.slot_mut(who).streams.remove(&stream) else { return };
        let Some(state) = self.streams.get_mut(&id) else { return };
        if !state.backlog.is_empty() {
            return state.backlog.push_back(Order::Close);
        }
        self.pass(id, Order::Close);
        if self.streams.get(&id).is_some_and(|state| state.backlog.is_empty()) {
            self.streams.remove(&id);
        }
    }

    pub(super) fn come_up(&mut self, owner: Owner, handle: Option<Handle>) {
        let Owner { id, who, cycle, local, peer } = owner;
        let is_there = self.slot(who).is_on && self.slot(who).cycle == cycle;
        let Some(handle) = handle else {
            let Some(state) = self.streams.get_mut(&id).filter(|_| is_there) else { return };
            state.is_up = true;
            let stream = state.stream;
            return self.handle(who, Input::Stream(stream, StreamEvent::Opened { local, peer }));
        };
        let with = self.owner_of(peer.ip());
        let packet =
            |from| Packet { from, to: who, transport: Transport::Tcp, port: local.port(), opens: true };
        let is_refused = with.is_some_and(|from| self.rules.refuses(&packet(from)));
        if !is_there || is_refused {
            handle.give(Order::Reset);
            return;
        }
        let slot = self.slot_mut(who);
        let stream = slot.outbox.fresh_stream();
        slot.streams.insert(stream, id);
        let state =
            Stream::new(who, stream, handle, Far { node: with, port: local.port(), address: peer }, true);
        self.streams.insert(id, state);
        self.handle(who, Input::Stream(stream, StreamEvent::Accepted { local, peer }));
    }

    /// A connection is over.
    pub(super) fn end(&mut self, id: ConnectionId, who: NodeId, cycle: u32, peer: SocketAddr, why: Closed) {
        let state = self.streams.remove(&id);
        let slot = self.slot_mut(who);
        if !slot.is_on || slot.cycle != cycle {
            return;
        }
        let was_up = state.as_ref().is_some_and(|state| state.is_up);
        if why != Closed::ByPeer || !was_up {
            self.note(who, Note::Broken { with: peer, text: why.to_string() });
        }
        // What the actor still answers was written before it heard of the end; dropping the handle lets it leave.
        if let Some(state) = state
            && self.slot_mut(who).streams.remove(&state.stream).is_some()
        {
            self.handle(who, Input::Stream(state.stream, StreamEvent::Closed(why)));
        }
    }
}

/// A connection on its way out.
struct Dialling {
    owner: Owner,
    to: SocketAddr,
    from: Option<SocketAddr>,
    security: Security,
    orders: Orders,
    shared: Shared,
    is_told_by_the_other: bool,
    connect_max: Duration,
    handshake_max: Duration,
}

impl Dialling {
    async fn run(self) {
        let Owner { id, who, cycle, peer, .. } = self.owner;
        let events = self.shared.events.clone();
        if let Err(why) = self.connect().await {
            let _ = events.send(Event::Closed { id, who, cycle, peer, why }).await;
        }
    }

    async fn connect(self) -> Result<(), Closed> {
        let until = Instant::now() + self.connect_max;
        let socket = if self.to.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() };
        let socket = socket.map_err(|_| Closed::Unreachable)?;
        if let Some(from) = self.from {
            socket.bind(from).map_err(|_| Closed::Unreachable)?;
        }
        let socket = match tokio::time::timeout_at(until, socket.connect(self.to)).await {
            Err(_) => return Err(Closed::TimedOut),
            Ok(Ok(socket)) => socket,
            Ok(Err(why)) => {
                return Err(match why.kind() {
                    std::io::ErrorKind::ConnectionRefused => Closed::Refused,
                    std::io::ErrorKind::ConnectionReset => Closed::Refused,
                    std::io::ErrorKind::TimedOut => Closed::TimedOut,
                    _ => Closed::Unreachable,
                });
            }
        };
        let _ = socket.set_nodelay(true);
        let now: Time = self.shared.clock.now();
        let tracer = self.shared.tracer.as_ref();
        let secrets = tracer.map(|tracer| tracer.secrets());
        let layers = Layers::dialling(&self.security, now, secrets).map_err(Closed::Tls)?;
        let mut owner = self.owner;
        if let Ok(local) = socket.local_addr() {
            owner.local = local;
        }
        let traced = tracer
            .filter(|_| !self.is_told_by_the_other)
            .map(|tracer| tracer.connected(now, owner.local, owner.peer, End::Client));
        let connection = Connection {
            owner,
            socket,
            layers,
            orders: self.orders,
            shared: self.shared,
            traced,
            handle: None,
            shaken_by: Instant::now() + self.handshake_max,
        };
        connection.run(|| {}).await;
        Ok(())
    }
}
