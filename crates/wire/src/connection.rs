//! One connection, from its socket to its actor: a task that reads, writes, shakes hands and keeps the limits.
//!
//! The world gives it [`Order`]s and gets [`Event`]s. What the world has ordered and the other end does not take waits
//! here, up to [`QUEUED_MAX`]; a connection that takes nothing for [`STALLED_MAX`] is given up.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use net::{Closed, NodeId};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::event::{ConnectionId, Event};
use crate::layers::Layers;
use crate::trace::{Traced, Tracer};

/// How many octets wait for a connection that does not take them: far more than any answer of the lab.
pub(crate) const QUEUED_MAX: usize = 8 << 20;

/// What an order costs in that count beside its octets, so that empty ones count too.
const ORDER_COST: usize = 64;

/// For how long a connection may take nothing of what waits for it, on the machine's clock.
pub(crate) const STALLED_MAX: Duration = Duration::from_secs(30);

/// How long a connection that was closed here waits for the other end to close as well. Closing at once would throw
/// away what the other end has not read yet.
pub(crate) const LINGER_MAX: Duration = Duration::from_secs(2);

/// How much is read from a socket at a time.
const READ_SIZE: usize = 32 * 1024;

thread_local! {
    /// All connections of a thread read into the same buffer, so that an idle one has none.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

/// What the world wants of a connection.
#[derive(Debug)]
pub(crate) enum Order {
    Write(Bytes),
    /// Close in good order, after what was written.
    Close,
    /// Tear it down: the other end sees a reset.
    Reset,
    /// The device has lost its power: neither read nor write, and tell nobody.
    Freeze,
    /// The device has power again and knows nothing of the connection: the next word that arrives is answered by a reset.
    Forget,
}

/// The world's end of a connection.
#[derive(Debug)]
pub(crate) struct Handle {
    orders: mpsc::UnboundedSender<Order>,
    queued: Arc<AtomicUsize>,
}

impl Handle {
    /// A handle, and where its orders arrive.
    pub(crate) fn new() -> (Handle, Orders) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        (Handle { orders: sender, queued: queued.clone() }, Orders { receiver, queued })
    }

    /// Gives an order; says no if too much waits already, which ends the connection.
    pub(crate) fn give(&self, order: Order) -> bool {
        let cost = cost(&order);
        if self.queued.fetch_add(cost, Ordering::Relaxed) + cost > QUEUED_MAX {
            // The receiver ends with its task.
            let _ = self.orders.send(Order::Reset);
            return false;
        }
        let _ = self.orders.send(order);
        true
    }
}

fn cost(order: &Order) -> usize {
    match order {
        Order::Write(octets) => octets.len() + ORDER_COST,
        Order::Close | Order::Reset | Order::Freeze | Order::Forget => ORDER_COST,
    }
}

/// Where a connection's orders arrive.
#[derive(Debug)]
pub(crate) struct Orders {
    receiver: mpsc::UnboundedReceiver<Order>,
    queued: Arc<AtomicUsize>,
}

/// How many TLS handshakes came of what a world's actors dialled.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    pub(crate) completed: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// What every connection of a world shares.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) clock: Arc<Clock>,
    /// Counts what moved, so that the world knows when nothing does.
    pub(crate) progress: Arc<AtomicU64>,
    pub(crate) handshakes: Arc<Handshakes>,
    pub(crate) tracer: Option<Tracer>,
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) id: ConnectionId,
    pub(crate) who: NodeId,
    pub(crate) cycle: u32,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

/// How a task ends.
enum End {
    /// The world was told, or did it itself.
    Told,
    /// The world is to be told.
    Tell(Closed),
}

/// One connection.
pub(crate) struct Connection {
    pub(crate) owner: Owner,
    pub(crate) socket: TcpStream,
    pub(crate) layers: Layers,
    pub(crate) orders: Orders,
    pub(crate) shared: Shared,
    pub(crate) traced: Option<Traced>,
    /// Told with [`Event::Up`] where the world does not know the connection yet.
    pub(crate) handle: Option<Handle>,
    /// By when the handshake must be done.
    pub(crate) shaken_by: Instant,
}

impl Connection {
    /// Serves the connection to its end. `on_up` is called when it is shaken.
    pub(crate) async fn run(mut self, mut on_up: impl FnMut() + Send) {
        let mut pending = Pending::default();
        if self.layers.is_up() {
            on_up();
            self.tell_up().await;
        }
        let end = self.serve(&mut pending, &mut on_up).await;
        if let End::Tell(why) = end {
            // An alert that explains why, if TLS has one; nobody waits for it to arrive.
            pending.push(self.layers.take_output());
            self.write_some(&mut pending);
            let owner = self.owner;
            let event =
                Event::Closed { id: owner.id, who: owner.who, cycle: owner.cycle, peer: owner.peer, why };
            let _ = self.shared.events.send(event).await;
            self.drain(&mut pending).await;
        }
        if let Some(traced) = &mut self.traced {
            traced.closed(self.shared.clock.now());
        }
    }

    async fn tell_up(&mut self) {
        let owner = self.owner;
        let event = Event::Up { owner, handle: self.handle.take() };
        let _ = self.shared.events.send(event).await;
    }

    async fn serve(&mut self, pending: &mut Pending, on_up: &mut (impl FnMut() + Send)) -> End {
        let mut is_closing = false;
        loop {
            pending.push(self.layers.take_output());
            if !self.write_some(pending) {
                return End::Tell(Closed::Reset);
            }
            if is_closing && pending.is_empty() {
                self.say_goodbye().await;
                return End::Told;
            }
            let interest =
                if pending.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            tokio::select! {
                order = self.orders.receiver.recv(), if !is_closing => match self.obey(order, pending) {
                    Obeyed::Goes => {}
                    Obeyed::Closes => is_closing = true,
                    Obeyed::Resets => {
                        self.reset();
                        return End::Told;
                    }
                    Obeyed::Freezes => {
                        self.freeze().await;
                        return End::Told;
                    }
                },
                ready = self.socket.ready(interest) => {
                    let Ok(ready) = ready else { return End::Tell(Closed::Reset) };
                    if ready.is_readable() || ready.is_read_closed() {
                        match self.read_some(on_up).await {
                            Ok(()) => {}
                            Err(_) if is_closing => return End::Told,
                            Err(why) => return End::Tell(why),
                        }
                    }
                }
                () = tokio::time::sleep_until(self.shaken_by), if !self.layers.is_up() => {
                    return End::Tell(Closed::TimedOut);
                }
                () = tokio::time::sleep_until(pending.stalls_at()), if !pending.is_empty() => {
                    return End::Tell(Closed::TimedOut);
                }
            }
        }
    }

    fn obey(&mut self, order: Option<Order>, pending: &mut Pending) -> Obeyed {
        let Some(order) = order else {
            // The world has forgotten the connection.
            self.layers.close();
            return Obeyed::Closes;
        };
        self.orders.queued.fetch_sub(cost(&order), Ordering::Relaxed);
        match order {
            Order::Write(octets) if self.layers.is_bare() => {
                pending.push_counted(octets, &self.orders.queued)
            }
            Order::Write(octets) => {
                self.layers.write(&octets);
                pending.push_counted(self.layers.take_output(), &self.orders.queued);
            }
            Order::Close => {
                self.layers.close();
                return Obeyed::Closes;
            }
            Order::Reset => return Obeyed::Resets,
            Order::Freeze => return Obeyed::Freezes,
            // Only a frozen connection is forgotten.
            Order::Forget => {}
        }
        Obeyed::Goes
    }

    /// Writes what the socket takes now; says no if the connection broke.
    fn write_some(&mut self, pending: &mut Pending) -> bool {
        while let Some(octets) = pending.front() {
            match self.socket.try_write(octets) {
                Ok(written) => {
                    if let Some(traced) = &mut self.traced {
                        traced.sent(self.shared.clock.now(), &octets[..written]);
                    }
                    self.shared.progress.fetch_add(1, Ordering::Relaxed);
                    pending.wrote(written);
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        true
    }

    async fn read_some(&mut self, on_up: &mut (impl FnMut() + Send)) -> Result<(), Closed> {
        let arrived = BUFFER.with_borrow_mut(|buffer| {
            let length = match self.socket.try_read(buffer) {
                Ok(0) => return Err(Closed::ByPeer),
                Ok(length) => length,
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(why) if why.kind() == io::ErrorKind::TimedOut => return Err(Closed::TimedOut),
                Err(_) => return Err(Closed::Reset),
            };
            let now = self.shared.clock.now();
            self.shared.progress.fetch_add(1, Ordering::Relaxed);
            let was_up = self.layers.is_up();
            let arrived = self.layers.receive(&buffer[..length], now);
            // Whoever accepts has not told the world of the connection yet.
            if self.handle.is_none() && !was_up {
                let handshakes = &self.shared.handshakes;
                match &arrived {
                    Ok(arrived) => {
                        handshakes.completed.fetch_add(u64::from(arrived.came_up), Ordering::Relaxed)
                    }
                    Err(_) => handshakes.refused.fetch_add(1, Ordering::Relaxed),
                };
            }
            // The secrets of a handshake come before the octets that they open.
            if let Some(traced) = &mut self.traced {
                traced.received(now, &buffer[..length]);
            }
            arrived.map(Some)
        })?;
        let Some(arrived) = arrived else { return Ok(()) };
        if arrived.came_up {
            on_up();
            self.tell_up().await;
        }
        for octets in arrived.octets {
            let _ = self.shared.events.send(Event::Received { id: self.owner.id, octets }).await;
        }
        if arrived.is_over { Err(Closed::ByPeer) } else { Ok(()) }
    }

    /// After the world was told that the connection is over: what it had ordered before still leaves.
    async fn drain(&mut self, pending: &mut Pending) {
        let until = Instant::now() + LINGER_MAX;
        while let Ok(Some(order)) = tokio::time::timeout_at(until, self.orders.receiver.recv()).await {
            match self.obey(Some(order), pending) {
                Obeyed::Goes => {}
                Obeyed::Closes => break,
                Obeyed::Resets | Obeyed::Freezes => return self.reset(),
            }
        }
        self.layers.close();
        pending.push(self.layers.take_output());
        while !pending.is_empty() && self.write_some(pending) {
            let writable = self.socket.writable();
            if !matches!(tokio::time::timeout_at(until, writable).await, Ok(Ok(()))) {
                return;
            }
        }
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.socket).await;
    }

    async fn say_goodbye(&mut self) {
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.socket).await;
        let until = Instant::now() + LINGER_MAX;
        while let Ok(Ok(())) = tokio::time::timeout_at(until, self.socket.readable()).await {
            let is_over = BUFFER.with_borrow_mut(|buffer| match self.socket.try_read(buffer) {
                Ok(0) => true,
                Ok(_) => false,
                Err(why) => why.kind() != io::ErrorKind::WouldBlock,
            });
            if is_over {
                return;
            }
        }
    }

    async fn freeze(&mut self) {
        loop {
            match self.orders.receiver.recv().await {
                Some(Order::Forget) => break,
                Some(_) => {}
                None => return self.reset(),
            }
        }
        // A keep-alive of the other end, its goodbye, anything.
        tokio::select! {
            _ = self.socket.readable() => {}
            _ = self.orders.receiver.recv() => {}
        }
        self.reset();
    }

    fn reset(&mut self) {
        // Dropping the socket then sends a reset instead of a goodbye.
        let _ = rustix::net::sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
        if let Some(traced) = &mut self.traced {
            traced.reset(self.shared.clock.now());
        }
    }
}

enum Obeyed {
    Goes,
    Closes,
    Resets,
    Freezes,
}

/// What waits for the socket to take it.
#[derive(Debug, Default)]
struct Pending {
    octets: VecDeque<Bytes>,
    queued: Option<Arc<AtomicUsize>>,
    moved_at: Option<Instant>,
}

impl Pending {
    fn push(&mut self, octets: Bytes) {
        if !octets.is_empty() {
            self.moved_at.get_or_insert_with(Instant::now);
            self.octets.push_back(octets);
        }
    }

    /// Adds octets that go on counting against the connection's limit until they are written.
    fn push_counted(&mut self, octets: Bytes, queued: &Arc<AtomicUsize>) {
        queued.fetch_add(octets.len(), Ordering::Relaxed);
        self.queued = Some(queued.clone());
        self.push(octets);
    }

    fn front(&self) -> Option<&Bytes> {
        self.octets.front()
    }

    fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    fn wrote(&mut self, length: usize) {
        if let Some(front) = self.octets.front_mut() {
            front.advance(length);
            if front.is_empty() {
                self.octets.pop_front();
            }
        }
        if let Some(queued) = &self.queued {
            // What the layers said by themselves was never counted.
            let _ = queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                Some(count.saturating_sub(length))
            });
        }
        self.moved_at = (!self.octets.is_empty()).then(Instant::now);
    }

    fn stalls_at(&self) -> Instant {
        self.moved_at.unwrap_or_else(Instant::now) + STALLED_MAX
    }
}
