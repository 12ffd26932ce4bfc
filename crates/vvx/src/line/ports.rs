//! Where SIP comes in and goes out: one UDP port, the same port for TCP, and the streams that lines open.
//!
//! The phone listens in every base profile from the moment it has an address; listening sends nothing. Messages are
//! cut and parsed here; what is no message gets the answer that RFC 3261 has for it, or silence, and never more than
//! [`ANSWERS_MAX`] in a second, so that nobody can use the phone to flood somebody else.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use net::tls::ClientTls;
use net::{
    Closed, Datagram, Dial, Input, ListenSecurity, Note, Outbox, Security, StreamEvent, StreamId, Time,
    Transport,
};
use sip::timers::Reliability;
use sip::{Draft, Frame, Framer, Message};

use crate::line::locate::{Carrier, Target};
use crate::registration::messages;

/// The port where nothing else is configured.
pub const PORT: u16 = 5060;
/// The most connections that others may hold to the phone.
pub const ACCEPTED_MAX: usize = 16;
/// How long such a connection may say nothing.
pub const IDLE: Duration = Duration::from_secs(180);
/// The most answers to strangers in one second.
pub const ANSWERS_MAX: u32 = 50;
/// The longest datagram that is looked at; nothing longer fits into one.
const DATAGRAM_MAX: usize = 65_507;

/// The way a message came or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// What carries.
    pub carrier: Carrier,
    /// The stream, unless it is UDP.
    pub stream: Option<StreamId>,
    /// The phone's end, with the port that others reach it at.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
}

impl Flow {
    /// Whether messages can be lost on it.
    pub fn reliability(&self) -> Reliability {
        match self.carrier {
            Carrier::Udp => Reliability::Unreliable,
            Carrier::Tcp | Carrier::Tls => Reliability::Reliable,
        }
    }
}

#[derive(Debug)]
struct Stream {
    flow: Flow,
    framer: Framer,
    /// Whether the phone opened it.
    is_own: bool,
    is_up: bool,
    /// When something was last heard.
    heard_at: Time,
}

/// What came.
#[derive(Debug)]
pub enum Came {
    /// A message.
    Message(Flow, Message),
    /// A stream that was dialled is up.
    Up(StreamId, Flow),
    /// A stream that was dialled could not be opened, or is over.
    Down(StreamId, Closed),
}

/// The phone's SIP ports and streams.
#[derive(Debug)]
pub struct Ports {
    address: Option<Ipv4Addr>,
    port: u16,
    streams: BTreeMap<StreamId, Stream>,
    second: Time,
    answers: u32,
}

impl Ports {
    /// Closed ports.
    pub fn new() -> Ports {
        Ports { address: None, port: PORT, streams: BTreeMap::new(), second: Time::ZERO, answers: 0 }
    }

    /// The phone has this address: listens at `port`.
    pub fn open(&mut self, address: Ipv4Addr, port: u16, out: &mut Outbox) {
        if self.address.is_some() && self.port != port {
            self.unlisten(out);
        }
        (self.address, self.port) = (Some(address), port);
        out.listen(port, ListenSecurity::Udp);
        out.listen(port, ListenSecurity::Tcp);
    }

    /// The phone has no address any more, or stops: every stream is closed.
    pub fn close(&mut self, out: &mut Outbox) {
        for stream in std::mem::take(&mut self.streams).into_keys() {
            out.close(stream);
        }
        if self.address.take().is_some() {
            self.unlisten(out);
        }
    }

    fn unlisten(&self, out: &mut Outbox) {
        out.unlisten(Transport::Udp, self.port);
        out.unlisten(Transport::Tcp, self.port);
    }

    /// The phone's end as others reach it; `None` without an address.
    pub fn local(&self) -> Option<SocketAddr> {
        self.address.map(|address| SocketAddr::new(IpAddr::V4(address), self.port))
    }

    /// The UDP flow to a place.
    pub fn udp(&self, peer: SocketAddr) -> Option<Flow> {
        Some(Flow { carrier: Carrier::Udp, stream: None, local: self.local()?, peer })
    }

    /// Opens a stream to a place: plain, or by `tls`.
    pub fn dial(&mut self, target: &Target, tls: Option<ClientTls>, now: Time, out: &mut Outbox) -> StreamId {
        let security = tls.map_or(Security::Plain, Security::Tls);
        let id = out.open(Dial { to: target.to, security });
        let local = self.local().unwrap_or(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.port));
        let flow = Flow { carrier: target.carrier, stream: Some(id), local, peer: target.to };
        let stream = Stream { flow, framer: Framer::for_client(), is_own: true, is_up: false, heard_at: now };
        self.streams.insert(id, stream);
        id
    }

    /// Closes a stream that was dialled.
    pub fn hang_up(&mut self, id: StreamId, out: &mut Outbox) {
        if self.streams.remove(&id).is_some() {
            out.close(id);
        }
    }

    /// Whether a stream is up.
    pub fn is_up(&self, flow: &Flow) -> bool {
        match flow.stream {
            None => self.address.is_some(),
            Some(id) => self.streams.get(&id).is_some_and(|stream| stream.is_up),
        }
    }

    /// Sends a message and tells the journal.
    pub fn send(&mut self, flow: &Flow, message: &Message, what: &str, out: &mut Outbox) {
        let what = if what.is_empty() { String::new() } else { format!(" ({what})") };
        out.note(Note::sent(flow.peer, format!("{}{what}", messages::line(message))));
        self.send_octets(flow, message.as_bytes().clone(), out);
    }

    /// Sends octets: a message again, or a keep-alive.
    pub fn send_octets(&self, flow: &Flow, octets: Bytes, out: &mut Outbox) {
        match flow.stream {
            None => out.send(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.port), flow.peer, octets),
            Some(id) if self.streams.get(&id).is_some_and(|stream| stream.is_up) => out.write(id, octets),
            Some(_) => {}
        }
    }

    /// Where the response to a request that came by `flow` goes (RFC 3261 §18.2.2, RFC 3581 §4).
    pub fn way_back(request: &Message, flow: &Flow) -> Flow {
        let via = request.via();
        if flow.stream.is_some() || via.params.has("rport") {
            return *flow;
        }
        let port = via.port.unwrap_or(PORT);
        Flow { peer: SocketAddr::new(flow.peer.ip(), port), ..*flow }
    }

    /// Whether one more answer to a stranger fits into this second.
    pub fn may_answer(&mut self, now: Time) -> bool {
        if now.since(self.second) >= Duration::from_secs(1) {
            (self.second, self.answers) = (now, 0);
        }
        self.answers += 1;
        self.answers <= ANSWERS_MAX
    }

    /// When it wants to be woken: to close connections that say nothing.
    pub fn wake_at(&self) -> Option<Time> {
        self.streams.values().filter(|stream| !stream.is_own).map(|stream| stream.heard_at + IDLE).min()
    }

    /// Takes in what happened, as far as it concerns these ports.
    pub fn handle(&mut self, now: Time, input: &Input, out: &mut Outbox) -> Vec<Came> {
        let idle: Vec<StreamId> = self
            .streams
            .iter()
            .filter(|(_, stream)| !stream.is_own && stream.heard_at + IDLE <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            self.hang_up(id, out);
        }
        match input {
            Input::Datagram(datagram) if datagram.to.port() == self.port => {
                self.datagram(now, datagram, out).into_iter().collect()
            }
            Input::Stream(id, event) => self.stream(now, *id, event, out),
            _ => Vec::new(),
        }
    }

    fn datagram(&mut self, now: Time, datagram: &Datagram, out: &mut Outbox) -> Option<Came> {
        let flow = self.udp(datagram.from)?;
        let payload = &datagram.payload;
        // Keep-alives of any kind, and what cannot be a message.
        let is_blank = payload.iter().all(|octet| matches!(octet, b'\r' | b'\n' | 0));
        if is_blank || payload.len() > DATAGRAM_MAX {
            return None;
        }
        self.octets(now, &flow, payload.clone(), out)
    }

    fn octets(&mut self, now: Time, flow: &Flow, octets: Bytes, out: &mut Outbox) -> Option<Came> {
        match Message::parse(octets) {
            Ok(message) => {
                out.note(Note::received(flow.peer, messages::line(&message)));
                Some(Came::Message(*flow, message))
            }
            Err(why) => {
                out.note(Note::received(flow.peer, format!("no SIP message: {why}")));
                if let Some(answer) = why.answer()
                    && self.may_answer(now)
                {
                    out.note(Note::sent(flow.peer, format!("{} to what is no message", why.status())));
                    self.send_octets(flow, answer.clone(), out);
                }
                None
            }
        }
    }

    fn stream(&mut self, now: Time, id: StreamId, event: &StreamEvent, out: &mut Outbox) -> Vec<Came> {
        match event {
            StreamEvent::Accepted { local, peer } if local.port() == self.port => {
                let accepted = self.streams.values().filter(|stream| !stream.is_own).count();
                if accepted >= ACCEPTED_MAX {
                    out.close(id);
                    return Vec::new();
                }
                let flow = Flow { carrier: Carrier::Tcp, stream: Some(id), local: *local, peer: *peer };
                let framer = Framer::for_server();
                self.streams.insert(id, Stream { flow, framer, is_own: false, is_up: true, heard_at: now });
                Vec::new()
            }
            StreamEvent::Opened { local, peer } => {
                let (Some(stream), port) = (self.streams.get_mut(&id), self.port) else { return Vec::new() };
                stream.is_up = true;
                stream.flow.peer = *peer;
                // Others reach the phone at the port that it listens to, not at the one it called from.
                stream.flow.local = SocketAddr::new(local.ip(), port);
                vec![Came::Up(id, stream.flow)]
            }
            StreamEvent::Received(octets) => self.received(now, id, octets, out),
            StreamEvent::Closed(why) => match self.streams.remove(&id) {
                Some(stream) if stream.is_own => vec![Came::Down(id, why.clone())],
                _ => Vec::new(),
            },
            StreamEvent::Accepted { .. } => Vec::new(),
        }
    }

    fn received(&mut self, now: Time, id: StreamId, octets: &Bytes, out: &mut Outbox) -> Vec<Came> {
        let Some(stream) = self.streams.get_mut(&id) else { return Vec::new() };
        stream.heard_at = now;
        stream.framer.push(octets);
        let mut came = Vec::new();
        while let Some(stream) = self.streams.get_mut(&id) {
            let flow = stream.flow;
            match stream.framer.next() {
                None => break,
                Some(Ok(Frame::Message(octets))) => came.extend(self.octets(now, &flow, octets, out)),
                Some(Ok(Frame::Ping)) => out.write(id, Bytes::from_static(b"\r\n")),
                Some(Ok(Frame::Pong)) => {}
                Some(Err(why)) => {
                    // Nobody knows where the next message would begin.
                    if let Some(answer) = stream.framer.answer() {
                        out.write(id, answer.clone());
                    }
                    let is_own = stream.is_own;
                    out.note(Note::Broken { with: flow.peer, text: why.to_string() });
                    self.hang_up(id, out);
                    if is_own {
                        came.push(Came::Down(id, Closed::Reset));
                    }
                }
            }
        }
        came
    }
}

impl Default for Ports {
    fn default() -> Ports {
        Ports::new()
    }
}

/// Begins a response to a request that came by `flow`: its topmost Via says where it really came from.
pub fn reply(request: &Message, flow: &Flow, status: u16) -> Draft {
    let copied = request.reply(status, sip::print::reason_phrase(status));
    let mut draft = Draft::response(status, sip::print::reason_phrase(status));
    let top = request.top_via_received_from(flow.peer);
    for (at, value) in request.list("Via").unwrap_or_default().into_iter().enumerate() {
        draft.push("Via", top.as_deref().filter(|_| at == 0).unwrap_or(value));
    }
    for name in ["From", "To", "Call-ID", "CSeq"] {
        draft.push(name, copied.header(name).unwrap_or(""));
    }
    draft
}
