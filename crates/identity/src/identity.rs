//! The service as an actor: connections and their deadlines, power, and the disk.
//!
//! A request's answer leaves only when everything that it changed has reached the disk, so no power cut takes
//! back what a client was told. Slow clients are dropped at stated limits while others are served.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use net::http::{Limits, ServerConnection};
use net::{Disk, Input, ListenSecurity, Node, Note, Outbox, RecordId, StreamEvent, StreamId, Time};

use crate::answer::Answer;
use crate::events;
use crate::people::People;
use crate::routes::shown_path;
use crate::service::Service;
use crate::setup::{Setup, SetupError};
use crate::store::Store;

/// The port of the service.
const HTTPS: u16 = 443;
/// The port that only points to the other.
const HTTP: u16 = 80;
/// How long a client may take to send one request, from its first octet or from connecting.
const REQUEST_TIME: Duration = Duration::from_secs(20);
/// How long a connection may rest between two requests.
const IDLE_TIME: Duration = Duration::from_secs(120);

/// What a message and its head may hold.
const LIMITS: Limits = Limits { body: 64 << 10, head: 16 << 10, headers: 100 };

/// An identity service.
#[derive(Debug)]
pub struct Identity {
    pub(crate) service: Service,
    /// The service as it was set up, for the next power-on.
    people_at_first: People,
    policies_at_first: crate::policy::Policies,
    connections: BTreeMap<StreamId, Connection>,
    /// When each connection is dropped, soonest first.
    deadlines: BTreeSet<(Time, StreamId)>,
    /// Connections whose answer waits for the disk, by the write that it waits for.
    held: BTreeMap<RecordId, StreamId>,
    by_peer: BTreeMap<IpAddr, usize>,
    is_on: bool,
}

#[derive(Debug)]
struct Connection {
    http: ServerConnection,
    peer: SocketAddr,
    is_secure: bool,
    deadline: Time,
    /// An answer that waits for the disk.
    held: Option<Answer>,
}

impl Identity {
    /// A service that is switched off.
    ///
    /// # Errors
    ///
    /// If the setup must never run, for example under a real service's name.
    pub fn new(mut setup: Setup) -> Result<Identity, SetupError> {
        setup.check()?;
        let mut random = setup.random.fork("identity");
        let accounts = std::mem::take(&mut setup.accounts);
        let people = People::new(&accounts, &setup.tenant.id, setup.password_hash_cost, &mut random);
        Ok(Identity {
            people_at_first: people.clone(),
            policies_at_first: setup.policies.clone(),
            service: Service::new(setup, people, random),
            connections: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            held: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            is_on: false,
        })
    }

    /// What the lab calls it.
    pub fn name(&self) -> &str {
        &self.service.setup.name
    }

    fn power_on(&mut self, now: Time, disk: &Disk, out: &mut Outbox) {
        self.forget();
        let setup = self.service.setup.clone();
        let random = self.service.random.fork("power");
        self.service = Service::new(setup, self.people_at_first.clone(), random);
        let (store, changes) = Store::load(disk);
        self.service.store = store;
        self.service.restore(changes);
        let rolls = self.service.rolls;
        self.service.setup.keys.reach(rolls.saturating_add(1));
        let at = self.service.setup.clock.read(now);
        self.service.snapshot(at, out);
        self.is_on = true;
        out.address(Some(self.service.setup.address));
        out.listen(HTTPS, ListenSecurity::Tls(self.service.setup.tls.clone()));
        out.listen(HTTP, ListenSecurity::Tcp);
    }

    fn forget(&mut self) {
        self.connections.clear();
        self.deadlines.clear();
        self.held.clear();
        self.by_peer.clear();
        self.service.policies = self.policies_at_first.clone();
        self.is_on = false;
    }

    fn accepted(
        &mut self,
        now: Time,
        stream: StreamId,
        local: SocketAddr,
        peer: SocketAddr,
        out: &mut Outbox,
    ) {
        let limits = self.service.setup.limits;
        let of_peer = self.by_peer.entry(peer.ip()).or_default();
        if self.connections.len() >= limits.connections || *of_peer >= limits.connections_an_address {
            out.note(Note::event(events::REQUEST_THROTTLED, peer.ip().to_string(), "too many connections"));
            out.close(stream);
            if *of_peer == 0 {
                self.by_peer.remove(&peer.ip());
            }
            return;
        }
        *of_peer += 1;
        let connection = Connection {
            http: ServerConnection::new(LIMITS),
            peer,
            is_secure: local.port() != HTTP,
            deadline: now + REQUEST_TIME,
            held: None,
        };
        self.deadlines.insert((connection.deadline, stream));
        self.connections.insert(stream, connection);
    }

    fn set_deadline(&mut self, stream: StreamId, deadline: Time) {
        if let Some(connection) = self.connections.get_mut(&stream) {
            self.deadlines.remove(&(connection.deadline, stream));
            connection.deadline = deadline;
            self.deadlines.insert((deadline, stream));
        }
    }

    fn drop_connection(&mut self, stream: StreamId) {
        let Some(connection) = self.connections.remove(&stream) else { return };
        self.deadlines.remove(&(connection.deadline, stream));
        let peer = connection.peer.ip();
        if let Some(count) = self.by_peer.get_mut(&peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_peer.remove(&peer);
            }
        }
    }

    fn received(&mut self, now: Time, stream: StreamId, bytes: &[u8], out: &mut Outbox) {
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        connection.http.receive(bytes);
        // The first octet of a request ends the rest between two; later ones win no time.
        if connection.held.is_none() && connection.deadline > now + REQUEST_TIME {
            self.set_deadline(stream, now + REQUEST_TIME);
        }
        self.serve(now, stream, out);
    }

    /// Answers what is complete on a connection, one request after the other.
    fn serve(&mut self, now: Time, stream: StreamId, out: &mut Outbox) {
        loop {
            let Some(connection) = self.connections.get_mut(&stream) else { return };
            if connection.held.is_some() {
                return;
            }
            let Some(request) = connection.http.take_request() else { break };
            let (peer, is_secure) = (connection.peer, connection.is_secure);
            let said = format!("{} {}", request.method(), shown_path(request.uri().path()));
            out.note(Note::received(peer, said));
            let before = self.service.store.last();
            let answer = if is_secure {
                let at = self.service.setup.clock.read(now);
                self.service.respond(now, at, peer.ip(), request, out)
            } else {
                Some(self.service.redirect_to_tls(&request))
            };
            let Some(answer) = answer else {
                out.note(Note::sent(peer, "nothing, the connection closes"));
                self.drop_connection(stream);
                out.close(stream);
                return;
            };
            let last = self.service.store.last();
            let Some(connection) = self.connections.get_mut(&stream) else { return };
            match last {
                Some(record) if last != before => {
                    connection.held = Some(answer);
                    self.held.insert(record, stream);
                    self.set_deadline(stream, Time::NEVER);
                    if self.service.store.is_full() {
                        let at = self.service.setup.clock.read(now);
                        self.service.snapshot(at, out);
                    }
                    return;
                }
                _ => {
                    send(connection, answer, out);
                    self.set_deadline(stream, now + IDLE_TIME);
                }
            }
        }
        self.flush(stream, out);
    }

    fn flush(&mut self, stream: StreamId, out: &mut Outbox) {
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        out.write(stream, connection.http.take_output());
        if connection.http.is_done() {
            self.drop_connection(stream);
            out.close(stream);
        }
    }

    /// A write reached the disk: answers that waited for it, or for an earlier one, leave.
    fn kept(&mut self, now: Time, record: RecordId, out: &mut Outbox) {
        while let Some((&first, &stream)) = self.held.first_key_value()
            && first <= record
        {
            self.held.remove(&first);
            let Some(connection) = self.connections.get_mut(&stream) else { continue };
            if let Some(answer) = connection.held.take() {
                send(connection, answer, out);
                self.set_deadline(stream, now + IDLE_TIME);
            }
            self.serve(now, stream, out);
        }
    }

    fn woken(&mut self, now: Time, out: &mut Outbox) {
        while let Some(&(deadline, stream)) = self.deadlines.first()
            && deadline <= now
        {
            self.drop_connection(stream);
            out.close(stream);
        }
        for asked in self.service.codes.expire(now) {
            let name = self.service.application(&asked.client_id).map(|app| app.name.clone());
            let text = format!("asked from {}", asked.address);
            out.note(Note::event(events::DEVICE_CODE_EXPIRED, name.unwrap_or(asked.client_id), text));
        }
    }
}

fn send(connection: &mut Connection, answer: Answer, out: &mut Outbox) {
    out.note(Note::sent(connection.peer, answer.summary));
    connection.http.answer(answer.response);
}

impl Node for Identity {
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
        match input {
            Input::PowerOn(disk) => self.power_on(now, &disk, out),
            Input::PowerOff => self.forget(),
            _ if !self.is_on => {}
            Input::Woken => self.woken(now, out),
            Input::Datagram(_) => {}
            Input::Kept(record) => self.kept(now, record, out),
            Input::Stream(stream, event) => match event {
                StreamEvent::Accepted { local, peer } => self.accepted(now, stream, local, peer, out),
                StreamEvent::Received(bytes) => self.received(now, stream, &bytes, out),
                StreamEvent::Closed(_) => self.drop_connection(stream),
                // The service never dials.
                StreamEvent::Opened { .. } => {}
            },
        }
    }

    fn wake_at(&self) -> Option<Time> {
        if !self.is_on {
            return None;
        }
        let first = self.deadlines.first().map(|&(at, _)| at).filter(|&at| at != Time::NEVER);
        [first, self.service.codes.next_expiry()].into_iter().flatten().min()
    }
}
