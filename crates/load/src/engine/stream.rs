//! A fleet over TCP and TLS: a connection for each phone, with nothing held for one that is silent.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use sip::{Frame, Framer};
use wire::lean::poll::{Interest, Poller, Ready};
use wire::lean::stamp::{Now, StampedReader, note_arrivals};
use wire::lean::tls::{ClientEnd, ReceiveError, Room};

use super::core::{Carrier, Core};
use super::secure::ClientSetup;
use super::{EngineError, Pace, Schedule, needs_files, udp};
use crate::beat::Cause;
use crate::plan::{Part, Phones};

/// How long one round of waiting lasts at most: orders are looked for in between.
const ROUND: Duration = Duration::from_millis(20);

/// How many octets may wait for a server that does not take them, for each phone: more than phones ever say at once.
const QUEUED_MAX: usize = 64 << 10;

/// How many connections are begun before it is looked what came of others: a burst is spread, and nobody starves.
const BEGUN_AT_ONCE: usize = 32;

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// TCP is being agreed on.
    Connecting,
    /// TLS is.
    Shaking,
    /// It is up.
    Up,
}

/// One phone's connection.
#[derive(Debug)]
struct Connection {
    socket: TcpStream,
    state: State,
    tls: Option<ClientEnd>,
    /// Octets of a message that is not whole yet, as a rule none.
    framer: Option<Box<Framer>>,
    /// What the socket did not take yet.
    queue: Vec<u8>,
    /// Its own address, once it has one.
    own: SocketAddr,
    /// Nothing gets through any more, and nobody was told: a NAT has forgotten it.
    is_forgotten: bool,
    last_used: Duration,
}

/// What became of a connection.
#[derive(Debug)]
enum Came {
    Up(u32),
    Lost { phone: u32, was_up: bool, cause: Cause },
}

/// The connections of a fleet.
pub struct Streams {
    connections: Vec<Option<Box<Connection>>>,
    poller: Poller,
    server: SocketAddr,
    tls: Option<ClientSetup>,
    phones: Phones,
    part: Part,
    nat_idle: Option<Duration>,
    room: Room,
    plain: Vec<u8>,
    came: Vec<Came>,
    blocked: u64,
    begun: usize,
    reader: StampedReader,
    /// Connections and handshakes that came about since they were last asked for.
    made: (u64, u64),
}

impl Streams {
    /// A fleet that is connected to nobody.
    ///
    /// # Errors
    ///
    /// If this process may not have as many sockets.
    pub fn new(
        phones: &Phones,
        nat_idle: Option<Duration>,
        server: SocketAddr,
        tls: Option<ClientSetup>,
        part: Part,
    ) -> Result<Streams, EngineError> {
        let count = part.share(u64::from(phones.count));
        // Parts of this process share its files; those of other workers are counted there.
        needs_files(count)?;
        Ok(Streams {
            connections: (0..count).map(|_| None).collect(),
            poller: Poller::new().map_err(EngineError::Machine)?,
            server,
            tls,
            phones: phones.clone(),
            part,
            nat_idle,
            room: Room::default(),
            plain: Vec::new(),
            came: Vec::new(),
            blocked: 0,
            begun: 0,
            reader: StampedReader::default(),
            made: (0, 0),
        })
    }

    fn begin(&mut self, phone: u32) -> io::Result<Box<Connection>> {
        let number = u64::from(phone) * u64::from(self.part.of) + u64::from(self.part.index);
        let family = if self.server.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket: OwnedFd = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        if !self.server.is_ipv6() {
            // The port is chosen when the connection is made: each pair of addresses has its own 28,000.
            setsockopt(&socket, sockopt::IpBindAddressNoPort, &true).map_err(io::Error::from)?;
            let from = udp::source(self.phones.from, self.phones.addresses, number);
            rustix::net::bind(&socket, &SocketAddr::new(from.into(), 0))?;
        }
        match rustix::net::connect(&socket, &self.server) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(why) => return Err(why.into()),
        }
        let socket = TcpStream::from(socket);
        let _ = socket.set_nodelay(true);
        note_arrivals(&socket);
        self.poller.add(&socket, u64::from(phone), Interest::Write)?;
        Ok(Box::new(Connection {
            socket,
            state: State::Connecting,
            tls: None,
            framer: None,
            queue: Vec::new(),
            own: SocketAddr::new(self.phones.from.into(), 0),
            is_forgotten: false,
            last_used: Duration::ZERO,
        }))
    }

    /// Something can be said of a phone's socket. What messages came is given to `heard`: octets, or nothing for a line end.
    fn look(
        &mut self,
        phone: u32,
        ready: Ready,
        now: Duration,
        heard: &mut impl FnMut(&mut Self, Option<Bytes>),
    ) {
        let Some(mut connection) = self.connections[phone as usize].take() else { return };
        let mut frames = Vec::new();
        let outcome = self.serve(phone, &mut connection, ready, now, &mut frames);
        match outcome {
            Ok(()) => self.connections[phone as usize] = Some(connection),
            Err(cause) => {
                let was_up = connection.state == State::Up;
                // What came before the end was said before the end.
                self.connections[phone as usize] = Some(connection);
                for frame in frames.drain(..) {
                    heard(self, frame);
                }
                // Whoever heard it may have closed the connection.
                if self.connections[phone as usize].take().is_some() {
                    self.came.push(Came::Lost { phone, was_up, cause });
                }
            }
        }
        for frame in frames {
            heard(self, frame);
        }
    }

    fn serve(
        &mut self,
        phone: u32,
        connection: &mut Connection,
        ready: Ready,
        now: Duration,
        frames: &mut Vec<Option<Bytes>>,
    ) -> Result<(), Cause> {
        if connection.state == State::Connecting {
            if let Some(why) = connection.socket.take_error().unwrap_or_else(Some) {
                return Err(explain(&why));
            }
            if connection.socket.peer_addr().is_err() {
                return Ok(());
            }
            connection.own = connection.socket.local_addr().map_err(|why| explain(&why))?;
            self.made.0 += 1;
            connection.last_used = now;
            self.watch(phone, connection, Interest::Read)?;
            match &self.tls {
                None => {
                    connection.state = State::Up;
                    self.came.push(Came::Up(phone));
                }
                Some(setup) => {
                    connection.state = State::Shaking;
                    self.room.outgoing.clear();
                    let (configuration, name) = (setup.configuration.clone(), setup.name.clone());
                    let dialled = ClientEnd::dial(configuration, name, &mut self.room.outgoing);
                    connection.tls = Some(dialled.map_err(|why| Cause::tls(&why.to_string()))?);
                    let flight = std::mem::take(&mut self.room.outgoing);
                    let sent = self.put(phone, connection, &flight);
                    self.room.outgoing = flight;
                    sent?;
                }
            }
            return Ok(());
        }
        if ready.may_write && !connection.queue.is_empty() {
            let waiting = std::mem::take(&mut connection.queue);
            self.put(phone, connection, &waiting)?;
            if connection.queue.is_empty() {
                self.watch(phone, connection, Interest::Read)?;
            }
        }
        if ready.may_read {
            self.read(phone, connection, now, frames)?;
        }
        Ok(())
    }

    fn read(
        &mut self,
        phone: u32,
        connection: &mut Connection,
        now: Duration,
        frames: &mut Vec<Option<Bytes>>,
    ) -> Result<(), Cause> {
        self.room.plain.clear();
        self.room.outgoing.clear();
        self.plain.clear();
        let (socket, reader) = (&connection.socket, &mut self.reader);
        let mut is_closed = false;
        match &mut connection.tls {
            None => match reader.read(socket, self.room.bare()) {
                Ok(0) => return Err(Cause::RESET),
                Ok(length) => self.plain.extend_from_slice(self.room.read(length)),
                Err(why) if is_for_later(&why) => return Ok(()),
                Err(_) => return Err(Cause::RESET),
            },
            Some(tls) => {
                let arrived = tls.receive(&mut self.room, |into| reader.read(socket, into));
                let flight = std::mem::take(&mut self.room.outgoing);
                let sent = match flight.is_empty() {
                    true => Ok(()),
                    false => self.put(phone, connection, &flight),
                };
                self.room.outgoing = flight;
                match arrived {
                    Ok(arrived) => {
                        is_closed = arrived.is_closed;
                        if arrived.came_up {
                            connection.state = State::Up;
                            self.made.1 += 1;
                            self.came.push(Came::Up(phone));
                        }
                    }
                    Err(ReceiveError::Read(why)) if is_for_later(&why) => return Ok(()),
                    Err(ReceiveError::Over | ReceiveError::Read(_)) => return Err(Cause::RESET),
                    Err(ReceiveError::Tls(why)) => return Err(Cause::tls(&why.to_string())),
                }
                sent?;
                std::mem::swap(&mut self.plain, &mut self.room.plain);
            }
        }
        // What a forgotten mapping should not let through is not there.
        if !connection.is_forgotten && !self.plain.is_empty() {
            connection.last_used = now;
            cut(connection, &self.plain, frames)?;
        }
        if is_closed { Err(Cause::RESET) } else { Ok(()) }
    }

    fn watch(&self, phone: u32, connection: &Connection, interest: Interest) -> Result<(), Cause> {
        let watched = self.poller.change(&connection.socket, u64::from(phone), interest);
        watched.map_err(|_| Cause::NO_SOCKET)
    }

    fn put(&mut self, phone: u32, connection: &mut Connection, octets: &[u8]) -> Result<(), Cause> {
        let mut sent = 0;
        while connection.queue.is_empty() && sent < octets.len() {
            match (&connection.socket).write(&octets[sent..]) {
                Ok(length) => sent += length,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) if is_for_later(&why) => {
                    self.blocked += 1;
                    connection.queue.extend_from_slice(&octets[sent..]);
                    return self.watch(phone, connection, Interest::Both);
                }
                Err(_) => return Err(Cause::RESET),
            }
        }
        if sent < octets.len() {
            connection.queue.extend_from_slice(&octets[sent..]);
        }
        if connection.queue.len() > QUEUED_MAX { Err(Cause::RESET) } else { Ok(()) }
    }
}

impl Carrier for Streams {
    const IS_RELIABLE: bool = true;

    fn is_up(&self, phone: u32) -> bool {
        self.connections[phone as usize].as_ref().is_some_and(|it| it.state == State::Up)
    }

    fn open(&mut self, phone: u32, _now: Duration) -> Result<(), Cause> {
        if self.connections[phone as usize].is_some() {
            return Ok(());
        }
        self.begun += 1;
        match self.begin(phone) {
            Ok(connection) => self.connections[phone as usize] = Some(connection),
            Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => return Err(Cause::REFUSED),
            Err(_) => return Err(Cause::NO_SOCKET),
        }
        Ok(())
    }

    fn send(&mut self, phone: u32, now: Duration, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(mut connection) = self.connections[phone as usize].take() else { return };
        if self.nat_idle.is_some_and(|idle| now.saturating_sub(connection.last_used) > idle) {
            connection.is_forgotten = true;
        }
        if connection.is_forgotten {
            self.connections[phone as usize] = Some(connection);
            return;
        }
        connection.last_used = now;
        self.plain.clear();
        let mut octets = std::mem::take(&mut self.plain);
        write(&mut octets);
        let sent = match &mut connection.tls {
            None => self.put(phone, &mut connection, &octets),
            Some(tls) => {
                let mut records = std::mem::take(&mut self.room.outgoing);
                records.clear();
                tls.write(&octets, &mut records);
                let sent = self.put(phone, &mut connection, &records);
                self.room.outgoing = records;
                sent
            }
        };
        self.plain = octets;
        match sent {
            Ok(()) => self.connections[phone as usize] = Some(connection),
            Err(cause) => self.came.push(Came::Lost { phone, was_up: true, cause }),
        }
    }

    fn own(&self, phone: u32) -> SocketAddr {
        let connection = self.connections[phone as usize].as_ref();
        connection.map_or(SocketAddr::new(self.phones.from.into(), 0), |it| it.own)
    }

    fn close(&mut self, phone: u32) -> bool {
        let Some(mut connection) = self.connections[phone as usize].take() else { return false };
        if let Some(tls) = &mut connection.tls {
            self.room.outgoing.clear();
            tls.close(&mut self.room.outgoing);
            let _ = (&connection.socket).write(&self.room.outgoing);
        }
        // A port in TIME_WAIT could not be used again for a minute, and there are only so many.
        let _ = rustix::net::sockopt::set_socket_linger(&connection.socket, Some(Duration::ZERO));
        connection.state == State::Up
    }
}

/// Cuts what came into messages and line ends.
fn cut(connection: &mut Connection, plain: &[u8], frames: &mut Vec<Option<Bytes>>) -> Result<(), Cause> {
    let framer = connection.framer.get_or_insert_with(|| Box::new(Framer::for_client()));
    framer.push(plain);
    loop {
        match framer.next() {
            Some(Ok(Frame::Message(octets))) => frames.push(Some(octets)),
            Some(Ok(Frame::Pong)) => frames.push(None),
            Some(Ok(Frame::Ping)) => {}
            Some(Err(_)) => return Err(Cause::UNREADABLE),
            None => break,
        }
    }
    if framer.waiting() == 0 {
        connection.framer = None;
    }
    Ok(())
}

fn is_for_later(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn explain(why: &io::Error) -> Cause {
    match why.kind() {
        io::ErrorKind::ConnectionRefused => Cause::REFUSED,
        io::ErrorKind::TimedOut => Cause::CONNECT_TIMEOUT,
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => Cause::NO_SOCKET,
        _ => Cause::RESET,
    }
}

/// Does a part's work over connections.
pub fn run(
    core: &mut Core,
    carrier: &mut Streams,
    schedule: &mut Schedule,
    start: Instant,
) -> Result<(), EngineError> {
    let mut ready: Vec<Ready> = Vec::new();
    let mut pace = Pace::new();
    let mut blocked = 0;
    loop {
        let mut now = start.elapsed();
        schedule.take_orders();
        core.ends_at = schedule.ends_at;
        carrier.begun = 0;
        while carrier.begun < BEGUN_AT_ONCE
            && let Some((arrival, due, phone)) = schedule.next_due(now)
        {
            core.due(arrival, due, phone, now, carrier);
            now = start.elapsed();
        }
        core.wake(now, carrier);
        settle(core, carrier, now);
        core.book.blocked(carrier.blocked - std::mem::replace(&mut blocked, carrier.blocked));
        let (connections, handshakes) = std::mem::take(&mut carrier.made);
        let is_warm = core.is_warm(now);
        core.book.counts(is_warm).connections += connections;
        core.book.counts(is_warm).handshakes += handshakes;
        if schedule.is_over(core.book.gauges.in_flight, now) || !core.book.turn(now) {
            return Ok(());
        }
        let next = [schedule.next(), core.next()].into_iter().flatten().min();
        let wait = next.map_or(ROUND, |at| at.saturating_sub(now)).min(ROUND);
        pace.wait(now, wait, &mut carrier.poller, &mut ready)?;
        for one in &ready {
            let now = start.elapsed();
            let moment = Now::is(now);
            let phone = one.token as u32;
            carrier.look(phone, *one, now, &mut |carrier, frame| {
                let at = moment.when(carrier.reader.noted());
                match frame {
                    Some(octets) => core.heard(octets, Some(phone), at, carrier),
                    None => core.pong(phone, at, carrier),
                }
            });
            settle(core, carrier, now);
        }
    }
}

/// Tells phones what became of their connections, until nothing more comes of that.
fn settle(core: &mut Core, carrier: &mut Streams, now: Duration) {
    while let Some(came) = carrier.came.pop() {
        match came {
            Came::Up(phone) => core.up(phone, now, carrier),
            Came::Lost { phone, was_up, cause } => core.lost(phone, was_up, cause),
        }
    }
}
