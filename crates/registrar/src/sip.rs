//! The SIP half of the pool: what happens on its TLS port, from the first octet to the kept binding.
//!
//! | module | promise |
//! | --- | --- |
//! | [`connection`] | one client's connection: framing, limits, deadlines, answers |
//! | [`access`] | who is let in: challenges, TLS-DSK handshakes, security associations |
//! | [`inner`] | what clients of TLS 1.0 are shown inside TLS-DSK |
//! | [`register`] | what a REGISTER asks for, and whether it gets it |
//! | [`bindings`] | where each address can be reached, and until when; on disk |
//! | [`in_band`] | provisioning and other documents that clients subscribe to |
//! | [`notice`] | what the pool sends on its own: deregistrations, changed policy |
//! | [`answer`], [`refusal`] | what responses carry, and how the pool says no |
//! | `serve` | the methods, one by one |
//! | [`plain`] | ordinary user agents: digest, REGISTER, the other methods |
//! | [`proxy`] | requests put through between registered parties |
//! | [`flow`] | the ways that messages come and go, and the tokens that name them |
//!
//! Every request but ACK and CANCEL is challenged until it is signed; an unsigned ACK or CANCEL is dropped without a
//! word (MS-SIPAE 3.3.5.1). A 200 to a REGISTER leaves when the binding is on the disk. After a power cut the bindings
//! are there and the associations are not: clients prove themselves again, and hear that they were `refreshed`.

pub mod access;
pub mod answer;
pub mod bindings;
pub mod connection;
pub mod flow;
pub mod in_band;
pub mod inner;
pub mod notice;
pub mod plain;
pub mod proxy;
pub mod refusal;
pub mod register;
mod serve;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use net::tls::ServerTls;
use net::{Datagram, Disk, ListenSecurity, Note, Outbox, RecordId, StreamEvent, StreamId, Time};
use sip::{Frame, Message};

use self::access::Access;
use self::bindings::store::Store;
use self::bindings::{Binding, Bindings, Ended};
use self::connection::Connection;
use self::flow::{Carrier, Flow};
use self::in_band::Subscriptions;
use self::notice::Deregistration;
use self::plain::Plain;
use self::proxy::Proxy;
use self::serve::Waiting;
use crate::accounts::normal;
use crate::events;
use crate::ledger::WriteId;
use crate::registrar::Parts;
use crate::setup::Setup;

/// The most connections in all.
pub const CONNECTIONS: usize = 150_000;
/// The most connections from one address; a site's phones may share one.
pub const CONNECTIONS_PER_SOURCE: usize = 10_000;

/// The most octets of unfinished messages on all connections on which nobody has proved who they are; whose octets
/// go past it loses its connection.
pub const UNFINISHED_IN_ALL: usize = 64 << 20;

/// What one call works with: when it is, what the pool knows, where effects go.
struct Turn<'a, 'p> {
    now: Time,
    parts: &'a mut Parts<'p>,
    out: &'a mut Outbox,
}

/// Everything that speaks SIP.
#[derive(Debug)]
pub struct FrontEnd {
    sip_port: u16,
    address: IpAddr,
    access: Access,
    plain: Plain,
    proxy: Proxy,
    connections: BTreeMap<StreamId, Connection>,
    by_source: BTreeMap<IpAddr, usize>,
    deadlines: BTreeSet<(Time, StreamId)>,
    /// What the connections' unfinished octets come to.
    unfinished: usize,
    bindings: Bindings,
    store: Store,
    keeps_bindings: bool,
    waiting: BTreeMap<WriteId, Waiting>,
    subscriptions: Subscriptions,
    next_cid: u64,
}

impl FrontEnd {
    /// A front end that has not been switched on.
    pub fn new(setup: &Setup) -> FrontEnd {
        FrontEnd {
            sip_port: setup.sip_port,
            address: setup.address,
            access: Access::default(),
            plain: Plain::new(setup),
            proxy: Proxy::new(),
            connections: BTreeMap::new(),
            by_source: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            unfinished: 0,
            bindings: Bindings::default(),
            store: Store::new(setup.keeps_bindings),
            keeps_bindings: setup.keeps_bindings,
            waiting: BTreeMap::new(),
            subscriptions: Subscriptions::default(),
            next_cid: 0x100,
        }
    }

    /// Power came: memory is empty, this is what the disk says. The node itself listens at the SIP port.
    pub fn power_on(&mut self, now: Time, disk: &Disk, parts: &mut Parts<'_>, out: &mut Outbox) {
        self.power_off();
        let realm = sip::association::REALM;
        // A client that knows the realm by heart instead of reading it shows itself.
        let realm = if parts.strict { format!("{realm} {}", parts.random.hex(8)) } else { realm.to_owned() };
        self.access = Access::new(realm);
        for binding in self.store.power_on(disk, parts.clock, now, out) {
            self.bindings.put(&binding, now);
        }
    }

    /// Power went: forgets everything that is not on the disk.
    pub fn power_off(&mut self) {
        self.access = Access::default();
        self.plain.power_off();
        self.proxy = Proxy::new();
        self.connections.clear();
        self.by_source.clear();
        self.deadlines.clear();
        self.unfinished = 0;
        self.bindings = Bindings::default();
        self.store = Store::new(self.keeps_bindings);
        self.waiting.clear();
        self.subscriptions = Subscriptions::default();
    }

    /// What is bound to an account (address or SIP URI) at `now`, by endpoint.
    pub fn bindings(&self, of: &str, now: Time) -> Vec<Binding> {
        self.bindings.of(&normal(of), now)
    }

    /// Whether an account has any binding at `now`.
    pub fn is_registered(&self, of: &str, now: Time) -> bool {
        !self.bindings(of, now).is_empty()
    }

    /// How many endpoints are bound at `now`, whoever's they are.
    pub fn registered(&self, now: Time) -> usize {
        self.bindings.count(now)
    }

    /// Whether a stream is one of the connections here.
    pub fn has(&self, stream: StreamId) -> bool {
        self.connections.contains_key(&stream)
    }

    /// How many connections are up.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// How many requests are on their way through the proxy.
    pub fn relayed(&self) -> usize {
        self.proxy.len()
    }

    /// How messages travel on the streams of one of the pool's ports, if it is one of SIP.
    pub fn carrier_at(&self, port: u16) -> Option<Carrier> {
        let ports = self.plain.ports();
        let is = |wanted: Option<u16>| wanted == Some(port);
        match ports {
            _ if port == self.sip_port => Some(Carrier::Tls),
            Some(ports) if is(ports.tcp) => Some(Carrier::Tcp),
            Some(ports) if is(ports.ws) => Some(Carrier::Ws),
            Some(ports) if is(ports.wss) => Some(Carrier::Wss),
            _ => None,
        }
    }

    /// Becomes reachable at the ports of ordinary user agents.
    pub fn listen(&self, tls: &Arc<ServerTls>, out: &mut Outbox) {
        let Some(ports) = self.plain.ports() else { return };
        let ways = [
            (ports.udp, ListenSecurity::Udp),
            (ports.tcp, ListenSecurity::Tcp),
            (ports.ws, ListenSecurity::WebSocket(None)),
            (ports.wss, ListenSecurity::WebSocket(Some(tls.clone()))),
        ];
        for (port, security) in ways {
            if let Some(port) = port {
                out.listen(port, security);
            }
        }
    }

    /// A datagram came.
    pub fn handle_datagram(
        &mut self,
        now: Time,
        datagram: &Datagram,
        parts: &mut Parts<'_>,
        out: &mut Outbox,
    ) {
        if self.plain.ports().is_some_and(|ports| ports.udp == Some(datagram.to.port())) {
            let mut turn = Turn { now, parts, out };
            self.datagram(datagram, &mut turn);
            self.unwritten(&mut turn);
        }
    }

    /// Carries out what waits for a disk that is not written to.
    fn unwritten(&mut self, turn: &mut Turn<'_, '_>) {
        if self.keeps_bindings {
            return;
        }
        for write in self.store.take_unwritten() {
            self.carry_out_write(write, turn);
        }
    }

    fn carry_out_write(&mut self, write: WriteId, turn: &mut Turn<'_, '_>) {
        if let Some(waiting) = self.waiting.remove(&write) {
            self.carry_out(waiting, turn);
        }
        if let Some(waiting) = self.plain.kept(write) {
            self.carry_out_plainly(waiting, turn);
        }
    }

    /// How many handshakes are under way.
    pub fn half_open(&self) -> usize {
        self.access.half_open()
    }

    /// How many security associations an account has at `now`.
    pub fn associations(&self, of: &str, now: Time) -> usize {
        let aor = normal(of);
        let all = self.connections.values().flat_map(|connection| connection.associations.values());
        all.filter(|association| association.aor == aor && now < association.until).count()
    }

    /// Something happened on a stream of the SIP port.
    pub fn handle(
        &mut self,
        now: Time,
        (stream, event): (StreamId, StreamEvent),
        parts: &mut Parts<'_>,
        out: &mut Outbox,
    ) {
        let mut turn = Turn { now, parts, out };
        match event {
            StreamEvent::Accepted { local, peer } => self.accept(stream, local.port(), peer, &mut turn),
            StreamEvent::Received(octets) => self.receive(stream, &octets, &mut turn),
            StreamEvent::Closed(_) => self.forget(stream, &mut turn),
            // The pool dials nobody over SIP.
            StreamEvent::Opened { .. } => {}
        }
        self.unwritten(&mut turn);
        self.schedule(stream);
    }

    /// A write reached the disk; whether it was one of this half's.
    pub fn kept(&mut self, now: Time, record: RecordId, parts: &mut Parts<'_>, out: &mut Outbox) -> bool {
        let (is_ours, write) = self.store.kept(record);
        if let Some(write) = write {
            self.carry_out_write(write, &mut Turn { now, parts, out });
        }
        if is_ours {
            self.store.tidy(&self.bindings, parts.clock, now, out);
        }
        is_ours
    }

    /// Time passed.
    pub fn woken(&mut self, now: Time, parts: &mut Parts<'_>, out: &mut Outbox) {
        let mut turn = Turn { now, parts, out };
        while let Some((at, stream)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.pop_first();
            if let Some(connection) = self.connections.get_mut(&stream) {
                connection.scheduled = None;
            }
            self.connection_due(stream, &mut turn);
            self.schedule(stream);
        }
        while let Some((binding, why)) = self.bindings.take_ended(now) {
            self.binding_ended(&binding, why, &mut turn);
        }
        self.plain.woken(now);
        self.relays_due(&mut turn);
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        let connections = self.deadlines.first().map(|(at, _)| *at);
        let others = [self.bindings.wake_at(), self.plain.wake_at(), self.proxy.wake_at()];
        connections.into_iter().chain(others.into_iter().flatten()).min()
    }

    /// An administrator changed an account (disabled, moved, policy, password, certificates revoked): bindings that
    /// no longer hold end, and phones that listen are told. An association whose certificate counts no longer ends
    /// too; its client is challenged at its next request and finds no way in with the old certificate.
    pub fn account_changed(&mut self, now: Time, address: &str, parts: &mut Parts<'_>, out: &mut Outbox) {
        let aor = normal(address);
        let mut turn = Turn { now, parts, out };
        let why = match register::may_be_served(turn.parts.accounts, &aor) {
            Ok(()) => None,
            Err(refusal::Refusal::HomedElsewhere { .. }) => Some(Deregistration::Deactivated),
            Err(_) => Some(Deregistration::Rejected),
        };
        match why {
            Some(why) => self.deregister(&aor, why, &mut turn),
            None => self.tell_policy(&aor, &mut turn),
        }
        let wall = turn.parts.clock.read(now);
        let published = &turn.parts.published;
        for connection in self.connections.values_mut() {
            connection.associations.retain(|_, association| {
                association.aor != aor || published.check(&aor, &association.certificate, wall).is_ok()
            });
        }
    }

    /// Signs an account out at every endpoint: bindings end, and clients are told why.
    pub fn sign_out(
        &mut self,
        of: &str,
        why: Deregistration,
        now: Time,
        parts: &mut Parts<'_>,
        out: &mut Outbox,
    ) {
        self.deregister(&normal(of), why, &mut Turn { now, parts, out });
    }

    /// Loses an account's bindings without a word, as a pool does that fails over without its state: the next
    /// refresh is answered `added`. Returns how many there were.
    pub fn forget_bindings(&mut self, of: &str, now: Time, out: &mut Outbox) -> usize {
        let aor = normal(of);
        let endpoints: Vec<String> =
            self.bindings.of(&aor, now).iter().map(|binding| binding.endpoint.clone()).collect();
        for endpoint in &endpoints {
            self.bindings.remove(&aor, endpoint);
            self.store.gone(&aor, endpoint, out);
        }
        endpoints.len()
    }

    fn accept(&mut self, stream: StreamId, port: u16, peer: SocketAddr, turn: &mut Turn<'_, '_>) {
        let carrier = self.carrier_at(port).unwrap_or(Carrier::Tls);
        let from_there = self.by_source.get(&peer.ip()).copied().unwrap_or(0);
        if self.connections.len() >= CONNECTIONS || from_there >= CONNECTIONS_PER_SOURCE {
            turn.out
                .note(Note::Broken { with: peer, text: "more connections than the pool takes".to_owned() });
            turn.out.close(stream);
            return;
        }
        self.by_source.insert(peer.ip(), from_there + 1);
        self.next_cid += 1;
        self.connections.insert(stream, Connection::new(peer, carrier, self.next_cid, turn.now));
    }

    fn receive(&mut self, stream: StreamId, octets: &[u8], turn: &mut Turn<'_, '_>) {
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        if matches!(connection.carrier, Carrier::Ws | Carrier::Wss) {
            return self.receive_frame(stream, octets, turn);
        }
        connection.heard(octets, turn.now);
        // Any message may end the connection, so it is looked up again for each.
        while let Some(connection) = self.connections.get_mut(&stream) {
            match connection.framer.next() {
                Some(Ok(Frame::Message(octets))) => {
                    connection.message_finished(turn.now);
                    match Message::parse(octets) {
                        Ok(message) => self.tell_apart(stream, message, turn),
                        Err(why) => self.unreadable(stream, &why, turn),
                    }
                }
                Some(Ok(Frame::Ping)) => turn.out.write(stream, &b"\r\n"[..]),
                Some(Ok(Frame::Pong)) => {}
                Some(Err(why)) => {
                    if let Some(answer) = connection.framer.answer() {
                        turn.out
                            .note(Note::sent(connection.peer, format!("{} (cannot be read)", why.status())));
                        turn.out.write(stream, answer.clone());
                    }
                    self.close(stream, &format!("cannot be read any further: {why}"), turn);
                }
                None if connection.emptied(turn.now) => break,
                None => self.close(stream, "a message is too long", turn),
            }
        }
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        let (before, holds) = connection.recount();
        self.unfinished = self.unfinished - before + holds;
        if holds > before && self.unfinished > UNFINISHED_IN_ALL {
            self.close(stream, "too much that is unfinished", turn);
        }
    }

    /// One frame of a WebSocket is one message (RFC 7118 §5).
    fn receive_frame(&mut self, stream: StreamId, octets: &[u8], turn: &mut Turn<'_, '_>) {
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        connection.heard_from(turn.now);
        if octets.iter().all(|octet| matches!(octet, b'\r' | b'\n')) {
            // Some clients ping as on other streams (RFC 5626 §4.4.1).
            if octets == b"\r\n\r\n" {
                turn.out.write(stream, &b"\r\n"[..]);
            }
            return;
        }
        if octets.len() > connection::MESSAGE_OCTETS {
            return self.close(stream, "a message is too long", turn);
        }
        connection.message_finished(turn.now);
        match Message::parse(Bytes::copy_from_slice(octets)) {
            Ok(message) => self.tell_apart(stream, message, turn),
            Err(why) => self.unreadable(stream, &why, turn),
        }
    }

    /// Whether a message is one of an ordinary user agent's, or of a client that speaks TLS-DSK.
    fn tell_apart(&mut self, stream: StreamId, message: Message, turn: &mut Turn<'_, '_>) {
        let Some(connection) = self.connections.get(&stream) else { return };
        let flow = Flow::Stream(stream, connection.carrier, connection.peer);
        match self.is_plain(stream, &message) {
            true => self.plain_message(flow, message, turn),
            false => self.message(stream, &message, turn),
        }
    }

    fn unreadable(&mut self, stream: StreamId, why: &sip::ParseError, turn: &mut Turn<'_, '_>) {
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        connection.unreadable += 1;
        turn.out.note(Note::received(connection.peer, format!("no SIP message: {why}")));
        if let Some(answer) = why.answer() {
            turn.out.note(Note::sent(connection.peer, format!("{} (cannot be read)", why.status())));
            turn.out.write(stream, answer.clone());
        }
        if connection.unreadable > connection::UNREADABLE_MAX {
            self.close(stream, "too much that cannot be read", turn);
        }
    }

    /// Closes a connection from this side.
    fn close(&mut self, stream: StreamId, why: &str, turn: &mut Turn<'_, '_>) {
        if let Some(connection) = self.connections.get(&stream) {
            turn.out.note(Note::Broken { with: connection.peer, text: format!("closed by the pool: {why}") });
            turn.out.close(stream);
        }
        self.forget(stream, turn);
    }

    /// Forgets a connection that is gone; what was bound to it has a while left.
    fn forget(&mut self, stream: StreamId, turn: &mut Turn<'_, '_>) {
        let Some(mut connection) = self.connections.remove(&stream) else { return };
        self.access.connection_closed(&mut connection);
        self.unfinished -= connection.unfinished();
        if let Some(at) = connection.scheduled {
            self.deadlines.remove(&(at, stream));
        }
        let source = connection.peer.ip();
        if let Some(count) = self.by_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
        self.subscriptions.connection_closed(stream);
        self.bindings.connection_closed(stream, turn.now);
        self.relays_lost(stream, turn);
    }

    /// Puts a connection's next deadline in the list. One that has moved on, as it does with each message, stays where it
    /// stands until its old time has come, and is looked at again then.
    fn schedule(&mut self, stream: StreamId) {
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        let at = connection.deadline();
        match connection.scheduled {
            Some(before) if before <= at => return,
            Some(before) => drop(self.deadlines.remove(&(before, stream))),
            None => {}
        }
        connection.scheduled = Some(at);
        self.deadlines.insert((at, stream));
    }

    fn connection_due(&mut self, stream: StreamId, turn: &mut Turn<'_, '_>) {
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        for aor in self.access.expire(connection, turn.now) {
            turn.out.note(Note::event(events::HANDSHAKE_FAILED, serve::shown(&aor), "it took too long"));
        }
        if let Some(why) = connection.overdue(turn.now) {
            self.close(stream, why, turn);
        }
    }

    fn binding_ended(&mut self, binding: &Binding, why: Ended, turn: &mut Turn<'_, '_>) {
        let text = match why {
            Ended::Expired => "not refreshed in time",
            Ended::ConnectionLost => {
                // Its expiry is on the disk; that it ended before is not.
                self.store.gone(&binding.aor, &binding.endpoint, turn.out);
                "its connection was gone for too long"
            }
        };
        let text = format!("endpoint {}: {text}", binding.endpoint);
        turn.out.note(Note::event(events::BINDING_EXPIRED, &binding.aor, text));
    }
}
