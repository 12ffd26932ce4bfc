//! Carrying out what an actor has asked for: ports, datagrams, writes to its disk, notes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use net::rule::Packet;
use net::{
    Datagram, Effect, Input, Keep, ListenSecurity, Node, NodeId, RecordId, StreamEvent, Transport, WriteKind,
};

use super::{Among, Due, Port, Wire};
use crate::connection::Order;
use crate::event::Event;
use crate::faults::{Fate, fate};
use crate::listener::{self, Listening};
use crate::ports;
use crate::store::Write;

/// The first port of outgoing connections in the simulation; what is below is a server's.
const FIRST_DYNAMIC_PORT: u16 = 49_152;

/// The largest UDP payload (RFC 768 over IPv4).
const DATAGRAM_MAX: usize = 65_507;

/// How many problems are remembered for whoever asks.
const PROBLEMS_MAX: usize = 64;

impl<N: Node> Wire<N> {
    pub(super) fn handle(&mut self, who: NodeId, input: Input) {
        let now = self.now;
        let slot = self.slot_mut(who);
        slot.node.handle(now, input, &mut slot.outbox);
        self.settle(who);
    }

    /// Carries out what an actor has asked for, and notes when it wants to be woken.
    pub(super) fn settle(&mut self, who: NodeId) {
        let effects = self.slot_mut(who).outbox.take();
        if !self.slot(who).is_on {
            return;
        }
        for effect in effects {
            match effect {
                Effect::Send(datagram) => self.send(who, datagram),
                Effect::Open(stream, dial) => self.dial(who, stream, dial, 0),
                Effect::Write(stream, octets) => self.order(who, stream, Order::Write(octets)),
                Effect::Close(stream) => self.close(who, stream),
                Effect::Listen(listen) => {
                    let slot = self.slot_mut(who);
                    if matches!(listen.security, ListenSecurity::Udp) {
                        slot.sockets.retain(|(of, ..)| *of != listen.port);
                        let has_address = slot.address.is_some();
                        self.places.listens(who, listen.port, has_address);
                    }
                    let slot = self.slot_mut(who);
                    let ports = match &listen.security {
                        ListenSecurity::Udp => &mut slot.udp,
                        _ => &mut slot.tcp,
                    };
                    let port = Port { security: listen.security, tasks: Vec::new() };
                    if let Some(mut before) = ports.insert(listen.port, port) {
                        before.close();
                    }
                    self.bind(who);
                }
                Effect::Unlisten(transport, port) => {
                    let slot = self.slot_mut(who);
                    let ports = match transport {
                        Transport::Udp => &mut slot.udp,
                        Transport::Tcp => &mut slot.tcp,
                    };
                    if let Some(mut before) = ports.remove(&port) {
                        before.close();
                    }
                    if transport == Transport::Udp {
                        slot.sockets.retain(|(of, ..)| *of != port);
                        self.places.stops(who, port);
                    }
                }
                Effect::Address(address) => self.move_to(who, address),
                Effect::Keep(id, keep) => {
                    if self.keep(who, id, keep) {
                        self.power_off(who);
                        return;
                    }
                }
                Effect::Note(note) => self.note(who, note),
            }
        }
        let now = self.now;
        let slot = self.slot_mut(who);
        let wake = slot.node.wake_at().map(|at| at.max(now));
        if wake != slot.wake {
            let before = std::mem::replace(&mut slot.wake, wake);
            if let Some(at) = before {
                self.wakes.remove(&(at, who));
            }
            if let Some(at) = wake {
                self.wakes.insert((at, who));
            }
        }
    }

    /// An actor has another address: its ports move there.
    fn move_to(&mut self, who: NodeId, address: Option<IpAddr>) {
        let slot = self.slot_mut(who);
        if slot.address == address {
            return;
        }
        let before = std::mem::replace(&mut slot.address, address);
        slot.sockets.clear();
        for port in slot.udp.values_mut().chain(slot.tcp.values_mut()) {
            port.close();
        }
        let slot = &self.slots[who.0 as usize];
        self.places.moved(who, before, address, slot.udp.keys().copied());
        if let (Some(tracer), Some(address)) = (&self.shared.tracer, address) {
            tracer.name(address, &self.slot(who).name);
        }
        self.bind(who);
    }

    /// Binds sockets for every port that is to have one and has none.
    fn bind(&mut self, who: NodeId) {
        let slot = self.slot(who);
        let is_missing = |ports: &BTreeMap<u16, Port>| ports.values().any(|port| port.tasks.is_empty());
        if (is_missing(&slot.tcp) && !slot.is_undialled)
            || (self.among == Among::Sockets && is_missing(&slot.udp))
        {
            self.bind_missing(who, None);
        }
    }

    /// Binds sockets for every port that is to have one and has none, and for `asked`, a UDP port.
    fn bind_missing(&mut self, who: NodeId, asked: Option<u16>) {
        // Sockets that were just closed are gone once their tasks had a turn.
        self.runtime.block_on(tokio::task::yield_now());
        let slot = self.slot(who);
        // Who has no address yet is heard at a provisional one, where it asks for one.
        let own = slot.address.unwrap_or_else(|| self.ground.provisional(who.0).into());
        let also: Vec<IpAddr> = self.also_of(&slot.name).collect();
        let listening = Listening {
            who,
            cycle: slot.cycle,
            ground: self.ground,
            shared: self.shared.clone(),
            next_id: self.next_id.clone(),
            open: slot.open.clone(),
        };
        let mut problems = Vec::new();
        let Wire { runtime, slots, ground, among, .. } = self;
        let _inside = runtime.enter();
        let slot = &mut slots[who.0 as usize];
        let missing = |ports: &BTreeMap<u16, Port>| -> Vec<u16> {
            ports.iter().filter(|(_, port)| port.tasks.is_empty()).map(|(number, _)| *number).collect()
        };
        let is_wanted = |number: &u16| *among == Among::Sockets || asked == Some(*number);
        for number in missing(&slot.udp).into_iter().filter(is_wanted) {
            for (index, address) in std::iter::once(own).chain(also.iter().copied()).enumerate() {
                let at = SocketAddr::new(address, number);
                match ports::bind_udp(ground.real_address(at)) {
                    Ok(socket) => {
                        let socket = Arc::new(socket);
                        slot.sockets.push((number, at, socket.clone()));
                        let task = tokio::spawn(listener::receive(listening.clone(), socket, at));
                        if let Some(port) = slot.udp.get_mut(&number) {
                            port.tasks.push(task.abort_handle());
                        }
                    }
                    // A further address is for the first that asks.
                    Err(_) if index > 0 => {}
                    Err(why) => problems.push(ports::explain(
                        &slot.name,
                        Transport::Udp,
                        ground.real_address(at),
                        &why,
                    )),
                }
            }
        }
        let is_dialled = !slot.is_undialled;
        for number in missing(&slot.tcp).into_iter().filter(|_| is_dialled) {
            for (index, address) in std::iter::once(own).chain(also.iter().copied()).enumerate() {
                let at = ground.real_address(SocketAddr::new(address, number));
                match ports::bind_tcp(at) {
                    Ok(socket) => {
                        let Some(port) = slot.tcp.get_mut(&number) else { continue };
                        let security = port.security.clone();
                        let task = tokio::spawn(listener::accept(listening.clone(), socket, security));
                        port.tasks.push(task.abort_handle());
                    }
                    Err(_) if index > 0 => {}
                    Err(why) => problems.push(ports::explain(&slot.name, Transport::Tcp, at, &why)),
                }
            }
        }
        for problem in problems {
            self.stage(who, &problem);
            if self.problems.len() < PROBLEMS_MAX {
                self.problems.push(problem);
            }
        }
    }

    fn send(&mut self, who: NodeId, mut datagram: Datagram) {
        if datagram.payload.len() > DATAGRAM_MAX {
            return;
        }
        if datagram.from.ip().is_unspecified()
            && let Some(own) = self.slot(who).address
        {
            datagram.from.set_ip(own);
        }
        let port = datagram.to.port();
        let to = datagram.to.ip();
        let is_broadcast = to == IpAddr::V4(Ipv4Addr::BROADCAST);
        let receivers: Vec<NodeId> = if is_broadcast {
            let segment = self.slot(who).segment;
            let is_near = |one: &NodeId| *one != who && self.slot(*one).segment == segment;
            match self.among {
                Among::Sockets => self.listening_at(port).filter(is_near).collect(),
                // In a crowd everybody would hear everybody's answers. They are for whoever has no address, or asked.
                Among::Handed if self.slot(who).address.is_some() => {
                    let listens = |one: &NodeId| self.slot(*one).udp.contains_key(&port);
                    let asked = self.answering.filter(listens);
                    let asked = asked.filter(|one| self.slot(*one).address.is_some());
                    self.places.homeless_at(port).chain(asked).filter(is_near).collect()
                }
                Among::Handed => self.listening_at(port).filter(is_near).collect(),
            }
        } else {
            self.owner_of(to).into_iter().collect()
        };
        if receivers.is_empty() && !is_broadcast && !self.ground.has(to) {
            return self.put(who, &datagram);
        }
        // A server may answer to an address that its owner has not taken yet (RFC 2131 §4.1).
        let receivers = match receivers.is_empty() && !is_broadcast {
            true => self.places.homeless_at(port).filter(|&one| self.slot(one).is_on).collect(),
            false => receivers,
        };
        if receivers.is_empty() && !is_broadcast {
            // Nobody of the lab; another program may have bound an address of the lab's network.
            return self.put(who, &datagram);
        }
        let known = if port < FIRST_DYNAMIC_PORT { port } else { datagram.from.port() };
        for receiver in receivers {
            let packet =
                Packet { from: who, to: receiver, transport: Transport::Udp, port: known, opens: false };
            let mut datagram = datagram.clone();
            let address = self.slot(receiver).address;
            datagram.to.set_ip(address.unwrap_or_else(|| self.ground.provisional(receiver.0).into()));
            match self.fate(&packet) {
                Fate::Sent => self.pass_on(who, receiver, datagram),
                Fate::Twice => {
                    self.pass_on(who, receiver, datagram.clone());
                    self.pass_on(who, receiver, datagram);
                }
                Fate::Later(span) => {
                    let cycle = self.slot(who).cycle;
                    self.plan(self.now + span, Due::Send { who, receiver, cycle, datagram });
                }
                Fate::Lost | Fate::Refused => {}
            }
        }
    }

    pub(super) fn fate(&mut self, packet: &Packet) -> Fate {
        let of = |who: NodeId| self.slots[who.0 as usize].segment;
        let (near, far) = (of(packet.from), of(packet.to));
        let whole = net::sim::LinkModel::default();
        let links = match near == far {
            true => [&whole, &whole],
            false => [&self.segments[near.0], &self.segments[far.0]],
        };
        fate(&mut self.rules, links, packet, &mut self.random)
    }

    fn listening_at(&self, port: u16) -> impl Iterator<Item = NodeId> {
        self.places.listening_at(port).filter(|&who| self.slot(who).is_on)
    }

    /// Sends a datagram to one of this world's actors.
    pub(super) fn pass_on(&mut self, who: NodeId, receiver: NodeId, mut datagram: Datagram) {
        if self.among == Among::Sockets {
            return self.put(who, &datagram);
        }
        // Only what listens sends, as on sockets.
        if !self.slot(who).udp.contains_key(&datagram.from.port()) {
            return;
        }
        let own = self.slot(who).address;
        datagram.from.set_ip(own.unwrap_or(Ipv4Addr::UNSPECIFIED.into()));
        let receiving = self.slot(receiver);
        if own.is_none() || receiving.address.is_none() {
            datagram.to.set_ip(Ipv4Addr::BROADCAST.into());
        }
        let cycle = receiving.cycle;
        self.shared.progress.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if let Some(tracer) = &self.shared.tracer {
            tracer.datagram(self.now, datagram.from, datagram.to, &datagram.payload);
        }
        self.arriving.push_back(Event::Datagram { who: receiver, cycle, datagram });
    }

    /// Puts a datagram on the wire.
    pub(super) fn put(&mut self, who: NodeId, datagram: &Datagram) {
        let to = self.ground.real_address(datagram.to);
        let port = datagram.from.port();
        let slot = &self.slots[who.0 as usize];
        if self.among == Among::Handed && slot.udp.get(&port).is_some_and(|port| port.tasks.is_empty()) {
            self.bind_missing(who, Some(port));
        }
        let slot = &self.slots[who.0 as usize];
        let fits = |at: &SocketAddr| at.is_ipv6() == to.is_ipv6();
        let sockets = || slot.sockets.iter().filter(|(of, at, _)| *of == port && fits(at));
        let exact = sockets().find(|(_, at, _)| at.ip() == datagram.from.ip());
        let Some((_, at, socket)) = exact.or_else(|| sockets().next()) else { return };
        // Asked of the machine itself, as the event loop does not know a new socket as writable yet. A machine that has
        // no room for a datagram loses it, as a network may.
        let _ = rustix::net::sendto(socket, &datagram.payload, rustix::net::SendFlags::DONTWAIT, &to);
        self.shared.progress.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if let Some(tracer) = &self.shared.tracer {
            let shown = |address: SocketAddr| match self.ground.is_provisional(address.ip()) {
                true => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()),
                false => address,
            };
            let to = if self.ground.is_provisional(datagram.to.ip()) {
                SocketAddr::new(Ipv4Addr::BROADCAST.into(), datagram.to.port())
            } else {
                datagram.to
            };
            tracer.datagram(self.now, shown(*at), to, &datagram.payload);
        }
    }

    /// Writes to an actor's disk; says whether the planned power cut falls now.
    fn keep(&mut self, who: NodeId, id: RecordId, keep: Keep) -> bool {
        let slot = &mut self.slots[who.0 as usize];
        slot.writes += 1;
        let planned = slot.cut.filter(|cut| cut.write == slot.writes);
        let (octets, appends) = match &keep.write {
            WriteKind::Append(octets) => (octets.clone(), true),
            WriteKind::Replace(octets) => (octets.clone(), false),
        };
        let whole = octets.len();
        let arrives = match planned {
            None => whole,
            Some(cut) => {
                cut.octets.unwrap_or_else(|| self.random.below(whole as u64 + 1) as usize).min(whole)
            }
        };
        let octets: Bytes = octets.slice(..arrives);
        let file = slot.disk.entry(keep.file.clone()).or_default();
        if !appends {
            file.clear();
        }
        file.extend_from_slice(&octets);
        let cycle = slot.cycle;
        let write = if appends { WriteKind::Append(octets) } else { WriteKind::Replace(octets) };
        match &self.keeper {
            Some(keeper) => {
                self.keeping += 1;
                let keep = Keep { file: keep.file, write };
                keeper.write(Write { who, cycle, id, owner: slot.name.clone(), keep });
            }
            None if planned.is_none() => self.arriving.push_back(Event::Kept(vec![(who, cycle, id)])),
            None => {}
        }
        if planned.is_some() {
            self.slot_mut(who).cut = None;
        }
        planned.is_some()
    }

    pub(super) fn take_event(&mut self, event: Event) {
        match event {
            Event::Up { owner, handle } => self.come_up(owner, handle),
            Event::Received { id, octets } => {
                if let Some((who, stream)) = self.stream_of(id) {
                    self.handle(who, Input::Stream(stream, StreamEvent::Received(octets)));
                }
            }
            Event::Closed { id, who, cycle, peer, why } => self.end(id, who, cycle, peer, why),
            Event::Datagram { who, cycle, mut datagram } => {
                let slot = self.slot(who);
                if !slot.is_on || slot.cycle != cycle || !slot.udp.contains_key(&datagram.to.port()) {
                    return;
                }
                if self.ground.is_provisional(datagram.from.ip()) {
                    datagram.from.set_ip(Ipv4Addr::UNSPECIFIED.into());
                    datagram.to.set_ip(Ipv4Addr::BROADCAST.into());
                }
                if self.ground.is_provisional(datagram.to.ip()) {
                    datagram.to.set_ip(Ipv4Addr::BROADCAST.into());
                }
                // What the lab's own actors sent was told when they sent it.
                let is_own = self.ground.is_provisional(datagram.from.ip())
                    || datagram.from.ip().is_unspecified()
                    || self.owner_of(datagram.from.ip()).is_some();
                if let Some(tracer) = &self.shared.tracer
                    && !is_own
                {
                    tracer.datagram(self.now, datagram.from, datagram.to, &datagram.payload);
                }
                self.answering = self.owner_of(datagram.from.ip());
                self.handle(who, Input::Datagram(datagram));
                self.answering = None;
            }
            Event::Kept(writes) => {
                if self.keeper.is_some() {
                    self.keeping = self.keeping.saturating_sub(writes.len());
                }
                for (who, cycle, id) in writes {
                    let slot = self.slot(who);
                    if slot.is_on && slot.cycle == cycle {
                        self.handle(who, Input::Kept(id));
                    }
                }
            }
            Event::DiskBroke(why) => {
                let text = format!("the disk does not take writes any more: {why}");
                self.add_entry(None, net::Note::Stage(text.clone()), None);
                if self.problems.len() < PROBLEMS_MAX {
                    self.problems.push(text);
                }
            }
            Event::Poke => {}
        }
    }
}
