//! Listening: sockets that accept connections and datagrams for an actor, within limits.
//!
//! A connection that is not shaken yet is *pending*. Of those a port holds [`PENDING_MAX`]; one more pushes out the
//! oldest, so that whoever opens connections and says nothing cannot keep others from getting in.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use net::capture::End;
use net::{Datagram, ListenSecurity, NodeId};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::connection::{Connection, Handle, Owner, Shared};
use crate::event::{ConnectionId, Event};
use crate::layers::Layers;
use crate::ports::Ground;

/// How many connections of a port may be in the middle of their handshake.
pub(crate) const PENDING_MAX: usize = 4096;

/// How many connections an actor holds at a time.
const CONNECTIONS_MAX: usize = 16_384;

/// How long a handshake may take, on the machine's clock.
pub(crate) const HANDSHAKE_MAX: Duration = Duration::from_secs(15);

/// How long accepting pauses when the machine has no sockets left.
pub(crate) const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// The largest UDP payload (RFC 768 over IPv4).
const DATAGRAM_MAX: usize = 65_507;

thread_local! {
    /// All sockets of a thread read into the same buffer, so that a quiet one has none.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; DATAGRAM_MAX]);
}

/// Who listens.
#[derive(Clone, Debug)]
pub(crate) struct Listening {
    pub(crate) who: NodeId,
    pub(crate) cycle: u32,
    pub(crate) ground: Ground,
    pub(crate) shared: Shared,
    /// Counts the connections of the whole world, to name them.
    pub(crate) next_id: Arc<AtomicU64>,
    /// How many connections the actor has accepted and not lost.
    pub(crate) open: Arc<AtomicUsize>,
}

/// Connections in the middle of their handshake, oldest first.
#[derive(Clone, Debug, Default)]
struct PendingHandshakes(Arc<Mutex<BTreeMap<u64, Option<AbortHandle>>>>);

impl PendingHandshakes {
    fn list(&self) -> MutexGuard<'_, BTreeMap<u64, Option<AbortHandle>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection; the oldest makes room.
    fn add(&self, id: u64) {
        let mut list = self.list();
        if list.len() >= PENDING_MAX
            && let Some((_, Some(oldest))) = list.pop_first()
        {
            oldest.abort();
        }
        list.insert(id, None);
    }

    /// Remembers how to push the connection out, if it is still pending.
    fn started(&self, id: u64, task: AbortHandle) {
        if let Some(entry) = self.list().get_mut(&id) {
            *entry = Some(task);
        }
    }

    fn done(&self, id: u64) {
        self.list().remove(&id);
    }
}

/// Counts a connection as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Option<Counted> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(count.clone());
        (before < CONNECTIONS_MAX).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that ends without its task having ended it is pending no more.
struct PendingGuard {
    id: u64,
    pending: PendingHandshakes,
}

impl Drop for PendingGuard {
    fn drop(&mut self) {
        self.pending.done(self.id);
    }
}

/// Accepts connections for ever.
pub(crate) async fn accept(listening: Listening, listener: TcpListener, security: ListenSecurity) {
    let pending = PendingHandshakes::default();
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => begin(&listening, &pending, &security, socket, peer),
            // The machine has no sockets left, or the connection was gone before it was taken.
            Err(_) => tokio::time::sleep(EXHAUSTED_PAUSE).await,
        }
    }
}

fn begin(
    listening: &Listening,
    pending: &PendingHandshakes,
    security: &ListenSecurity,
    socket: TcpStream,
    peer: SocketAddr,
) {
    let Some(counted) = Counted::new(&listening.open) else { return };
    let Ok(local) = socket.local_addr() else { return };
    // Small answers must not wait for each other.
    let _ = socket.set_nodelay(true);
    let tracer = listening.shared.tracer.as_ref();
    let secrets = tracer.map(|tracer| tracer.secrets());
    let layers = match security {
        ListenSecurity::Udp => return,
        ListenSecurity::Tcp => Layers::listening(None, false, secrets),
        ListenSecurity::Tls(tls) => Layers::listening(Some(tls), false, secrets),
        ListenSecurity::WebSocket(tls) => Layers::listening(tls.as_deref(), true, secrets),
    };
    // Credentials that do not fit together were refused when the lab was built.
    let Ok(layers) = layers else { return };
    let id = listening.next_id.fetch_add(1, Ordering::Relaxed);
    let owner = Owner {
        id: ConnectionId(id),
        who: listening.who,
        cycle: listening.cycle,
        local: SocketAddr::new(local.ip(), listening.ground.port(local.port())),
        peer: listening.ground.address(peer),
    };
    let traced = tracer
        .map(|tracer| tracer.connected(listening.shared.clock.now(), owner.peer, owner.local, End::Server));
    let (handle, orders) = Handle::new();
    let connection = Connection {
        owner,
        socket,
        layers,
        orders,
        shared: listening.shared.clone(),
        traced,
        handle: Some(handle),
        shaken_by: Instant::now() + HANDSHAKE_MAX,
    };
    pending.add(id);
    let guard = PendingGuard { id, pending: pending.clone() };
    let task = tokio::spawn(async move {
        let _counted = counted;
        let on_up = || guard.pending.done(guard.id);
        connection.run(on_up).await;
    });
    pending.started(id, task.abort_handle());
}

/// Takes datagrams for ever.
pub(crate) async fn receive(listening: Listening, socket: Arc<UdpSocket>, at: SocketAddr) {
    loop {
        if socket.readable().await.is_err() {
            return;
        }
        let received = BUFFER.with_borrow_mut(|buffer| {
            let (length, from) = socket.try_recv_from(buffer)?;
            Ok::<_, std::io::Error>((Bytes::copy_from_slice(&buffer[..length]), from))
        });
        // An error on a socket without a peer is somebody else's refusal, told late; it concerns no datagram here.
        let Ok((payload, from)) = received else { continue };
        listening.shared.progress.fetch_add(1, Ordering::Relaxed);
        let datagram = Datagram { from: listening.ground.address(from), to: at, payload };
        let event = Event::Datagram { who: listening.who, cycle: listening.cycle, datagram };
        if listening.shared.events.send(event).await.is_err() {
            return;
        }
    }
}
