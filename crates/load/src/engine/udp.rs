//! A fleet over UDP: few sockets for many phones, or one for each, and datagrams in batches.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bytes::Bytes;
use net::Random;
use wire::lean::batch::{BATCH, BatchSocket, Inbox, SendBatch, Sent};
use wire::lean::poll::{Interest, Poller, Ready};
use wire::lean::stamp::Now;

use super::core::{Carrier, Core};
use super::{EngineError, NEVER, Pace, Schedule};
use crate::beat::Cause;
use crate::plan::{Network, Part, Phones, Sockets};

/// How long one round of waiting lasts at most: orders are looked for in between.
const ROUND: Duration = Duration::from_millis(20);

/// How many datagrams the plan's own network holds back at most; further ones are lost, as in a router.
const HELD_MAX: usize = 1_000_000;

/// A datagram on its way: when it gets there, in what order, by which socket, and whether it leaves or arrives.
type Held = (Duration, u64, usize, Vec<u8>, bool);

/// The datagrams of a fleet.
pub struct Datagrams {
    poller: Poller,
    sockets: Vec<BatchSocket>,
    /// Where phones are as they know it: a NAT changes what the server sees, and not that. Empty if there is none.
    own: Vec<SocketAddr>,
    /// When each mapping was used last, if mappings are forgotten.
    used: Vec<Duration>,
    batches: Vec<SendBatch>,
    /// Sockets whose batch is not empty.
    waiting: Vec<usize>,
    server: SocketAddr,
    per_phone: bool,
    network: Network,
    random: Random,
    /// What the network holds back, soonest first.
    held: BinaryHeap<Reverse<Held>>,
    held_count: u64,
    /// Datagrams that the plan's network lost since the book was last told.
    lost: u64,
    /// How often the kernel had no room since the book was last told.
    blocked: u64,
}

impl Datagrams {
    /// Sockets for a part's phones.
    ///
    /// # Errors
    ///
    /// If the machine has not the addresses or not as many sockets.
    pub fn open(
        phones: &Phones,
        network: &Network,
        server: SocketAddr,
        part: Part,
        seed: u64,
    ) -> Result<Datagrams, EngineError> {
        let (count, per_phone) = match phones.sockets {
            Sockets::Shared(count) => (count.max(1), false),
            Sockets::PerPhone => (part.share(u64::from(phones.count)) as u32, true),
        };
        super::needs_files(u64::from(count))?;
        let poller = Poller::new().map_err(EngineError::Machine)?;
        let mut sockets = Vec::with_capacity(count as usize);
        for index in 0..count {
            let number = match per_phone {
                true => u64::from(index) * u64::from(part.of) + u64::from(part.index),
                false => u64::from(part.index) * u64::from(count) + u64::from(index),
            };
            let at = match server {
                SocketAddr::V4(_) => source(phones.from, phones.addresses, number).into(),
                SocketAddr::V6(_) => own_towards(server)?,
            };
            let socket = BatchSocket::bind(SocketAddr::new(at, 0));
            let socket = socket.map_err(|why| EngineError::Socket { at, why })?;
            socket.note_arrivals();
            poller.add(&socket, u64::from(index), Interest::Read).map_err(EngineError::Machine)?;
            sockets.push(socket);
        }
        let is_behind_nat = per_phone && network.nat_idle.is_some();
        Ok(Datagrams {
            batches: (0..if per_phone { 1 } else { sockets.len() }).map(|_| SendBatch::new()).collect(),
            own: match is_behind_nat {
                true => sockets.iter().map(BatchSocket::address).collect(),
                false => Vec::new(),
            },
            used: if is_behind_nat { vec![NEVER; sockets.len()] } else { Vec::new() },
            poller,
            sockets,
            waiting: Vec::new(),
            server,
            per_phone,
            network: network.clone(),
            random: Random::named(seed, &format!("network of part {}", part.index)),
            held: BinaryHeap::new(),
            held_count: 0,
            lost: 0,
            blocked: 0,
        })
    }

    fn socket_of(&self, phone: u32) -> usize {
        if self.per_phone { phone as usize } else { phone as usize % self.sockets.len() }
    }

    /// Has something leave or arrive by a mapping. One that nothing used for too long is gone: what leaves next comes from
    /// another port, as from behind a NAT, and what was sent to the old one reaches nobody.
    fn uses(&mut self, socket: usize, now: Duration, leaves: bool) {
        let (Some(used), Some(idle)) = (self.used.get_mut(socket), self.network.nat_idle) else { return };
        let before = std::mem::replace(used, now);
        if !leaves || before == NEVER || now.saturating_sub(before) <= idle {
            return;
        }
        // A machine that has no port to give keeps the old one.
        let at = SocketAddr::new(self.sockets[socket].address().ip(), 0);
        if let Ok(fresh) = BatchSocket::bind(at)
            && self.poller.add(&fresh, socket as u64, Interest::Read).is_ok()
        {
            fresh.note_arrivals();
            self.sockets[socket] = fresh;
        }
    }

    fn plays(&self) -> bool {
        self.network.loss > 0.0 || !self.network.delay.is_zero() || !self.network.jitter.is_zero()
    }

    /// What the plan's network does to a datagram: how long it takes, or nothing if it is lost.
    fn fate(&mut self) -> Option<Duration> {
        if self.network.loss > 0.0 && self.random.chance(self.network.loss) {
            self.lost += 1;
            return None;
        }
        let jitter = match u64::try_from(self.network.jitter.as_nanos()).unwrap_or(u64::MAX) {
            0 => 0,
            most => self.random.below(most),
        };
        Some(self.network.delay + Duration::from_nanos(jitter))
    }

    fn hold(&mut self, at: Duration, socket: usize, octets: Vec<u8>, leaves: bool) {
        if self.held.len() >= HELD_MAX {
            self.lost += 1;
            return;
        }
        self.held_count += 1;
        self.held.push(Reverse((at, self.held_count, socket, octets, leaves)));
    }

    fn put(&mut self, socket: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if self.per_phone {
            // Each has its own socket, so that nothing is gained by waiting.
            let batch = &mut self.batches[0];
            batch.push(self.server, write);
            if self.sockets[socket].send(batch) == Sent::Full {
                self.blocked += 1;
                batch.clear();
            }
            return;
        }
        let batch = &mut self.batches[socket];
        if batch.is_empty() {
            self.waiting.push(socket);
        }
        batch.push(self.server, write);
        if batch.is_full() && self.sockets[socket].send(batch) == Sent::Full {
            self.blocked += 1;
        }
    }

    /// Sends what waits; what the kernel does not take stays for the next time.
    fn flush(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|&socket| {
            let batch = &mut self.batches[socket];
            let is_full = !batch.is_empty() && self.sockets[socket].send(batch) == Sent::Full;
            self.blocked += u64::from(is_full);
            is_full
        });
        self.waiting = waiting;
    }
}

impl Carrier for Datagrams {
    const IS_RELIABLE: bool = false;

    fn is_up(&self, _phone: u32) -> bool {
        true
    }

    fn open(&mut self, _phone: u32, _now: Duration) -> Result<(), Cause> {
        Ok(())
    }

    fn send(&mut self, phone: u32, now: Duration, write: impl FnOnce(&mut Vec<u8>)) {
        let socket = self.socket_of(phone);
        self.uses(socket, now, true);
        if !self.plays() {
            return self.put(socket, write);
        }
        let Some(span) = self.fate() else { return };
        let mut octets = Vec::new();
        write(&mut octets);
        self.hold(now + span, socket, octets, true);
    }

    fn own(&self, phone: u32) -> SocketAddr {
        let socket = self.socket_of(phone);
        self.own.get(socket).copied().unwrap_or_else(|| self.sockets[socket].address())
    }

    fn close(&mut self, _phone: u32) -> bool {
        false
    }
}

/// The address of something with a number, of `count` addresses from `from` on.
pub fn source(from: Ipv4Addr, count: u32, number: u64) -> Ipv4Addr {
    let step = number % u64::from(count.max(1));
    Ipv4Addr::from(u32::from(from).wrapping_add(step as u32))
}

/// The address that this machine has towards a server: plans give source addresses of IPv4 only.
fn own_towards(server: SocketAddr) -> Result<IpAddr, EngineError> {
    let any = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let probe = UdpSocket::bind(SocketAddr::new(any, 0)).and_then(|socket| {
        socket.connect(server)?;
        socket.local_addr()
    });
    probe.map(|at| at.ip()).map_err(|why| EngineError::Socket { at: any, why })
}

/// Does a part's work over UDP.
pub fn run(
    core: &mut Core,
    carrier: &mut Datagrams,
    schedule: &mut Schedule,
    start: Instant,
) -> Result<(), EngineError> {
    let mut inbox = Inbox::new();
    let mut pace = Pace::new();
    let mut ready: Vec<Ready> = Vec::new();
    let mut arrived: Vec<(Bytes, Duration)> = Vec::new();
    loop {
        let mut now = start.elapsed();
        schedule.take_orders();
        core.ends_at = schedule.ends_at;
        while let Some((arrival, due, phone)) = schedule.next_due(now) {
            core.due(arrival, due, phone, now, carrier);
            // Whoever is far behind hears answers all the same.
            if carrier.waiting.iter().any(|&socket| carrier.batches[socket].len() >= BATCH * 4) {
                break;
            }
            now = start.elapsed();
        }
        core.wake(now, carrier);
        while carrier.held.peek().is_some_and(|Reverse((at, ..))| *at <= now)
            && let Some(Reverse((_, _, socket, octets, leaves))) = carrier.held.pop()
        {
            match leaves {
                true => carrier.put(socket, |out| out.extend_from_slice(&octets)),
                false => core.heard(Bytes::from(octets), None, now, carrier),
            }
        }
        carrier.flush();
        core.book.blocked(std::mem::take(&mut carrier.blocked));
        let is_warm = core.is_warm(now);
        core.book.counts(is_warm).lost_on_purpose += std::mem::take(&mut carrier.lost);
        if schedule.is_over(core.book.gauges.in_flight, now) || !core.book.turn(now) {
            return Ok(());
        }
        let wait = match (carrier.waiting.is_empty(), schedule.next(), core.next()) {
            // The kernel has no room: it will, soon.
            (false, ..) => Duration::from_micros(200),
            (true, a, b) => {
                let held = carrier.held.peek().map(|Reverse((at, ..))| *at);
                let next = [a, b, held].into_iter().flatten().min();
                next.map_or(ROUND, |at| at.saturating_sub(now)).min(ROUND)
            }
        };
        pace.wait(now, wait, &mut carrier.poller, &mut ready)?;
        for one in &ready {
            let socket = one.token as usize;
            loop {
                let now = start.elapsed();
                let moment = Now::is(now);
                let count = carrier.sockets[socket]
                    .receive_noted(&mut inbox, |octets, _, noted| {
                        arrived.push((Bytes::copy_from_slice(octets), moment.when(noted)));
                    })
                    .map_err(EngineError::Machine)?;
                if count > 0 {
                    carrier.uses(socket, now, false);
                }
                for (octets, at) in arrived.drain(..) {
                    if !carrier.plays() {
                        core.heard(octets, None, at, carrier);
                    } else if let Some(span) = carrier.fate() {
                        carrier.hold(at + span, socket, octets.to_vec(), false);
                    }
                }
                if count < BATCH {
                    break;
                }
                carrier.flush();
            }
        }
    }
}
