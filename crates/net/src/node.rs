//! What happens to an actor, and what an actor may want.
//!
//! One shape for every machine: an [`Input`] at a [`Time`] goes in, [`Effect`]s come out through an [`Outbox`],
//! and [`Node::wake_at`] says when it wants to be woken if nothing happens before. A call is complete when it
//! returns.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use crate::journal::Note;
use crate::time::Time;
use crate::tls::{ClientTls, ServerTls, TlsError};

/// An actor's number in its world, in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// One end of a stream, as the actor that holds it names it. Ids count up per actor and are never used twice
/// between two power cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// A write to an actor's disk, as the actor names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub u64);

/// What survived on an actor's disk: file name to contents. A power cut may have torn the last writes.
pub type Disk = BTreeMap<String, Vec<u8>>;

/// Something that lives on the network. It touches no socket, clock or generator that it was not given.
pub trait Node {
    /// Takes in what happened at `now`; everything it wants done goes to `out`.
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox);

    /// When it wants to be woken if nothing happens before; `None` sleeps until something does.
    fn wake_at(&self) -> Option<Time>;
}

/// What can happen to an actor.
#[derive(Clone, Debug)]
pub enum Input {
    /// It got power. Whatever it held in memory is gone; this is what its disk still says.
    PowerOn(Disk),
    /// It lost power. It forgets what is not on its disk; nothing it puts into the outbox leaves it.
    PowerOff,
    /// The time that [`Node::wake_at`] named has come.
    Woken,
    /// A datagram arrived at a port it listens to.
    Datagram(Datagram),
    /// Something happened on a stream.
    Stream(StreamId, StreamEvent),
    /// A write that it asked for has reached the disk and will survive a power cut.
    Kept(RecordId),
}

/// A UDP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it.
    pub from: SocketAddr,
    /// Where it goes; 255.255.255.255 reaches everybody on the sender's own segment.
    pub to: SocketAddr,
    /// What it carries.
    pub payload: Bytes,
}

/// What can happen on a stream.
#[derive(Clone, Debug)]
pub enum StreamEvent {
    /// Somebody connected to a port that the actor listens to; with TLS, the handshake is done.
    Accepted {
        /// The actor's own end.
        local: SocketAddr,
        /// The other end.
        peer: SocketAddr,
    },
    /// The stream that the actor opened is up; with TLS, the handshake is done.
    Opened {
        /// The actor's own end.
        local: SocketAddr,
        /// The other end.
        peer: SocketAddr,
    },
    /// Bytes arrived, in order, decrypted.
    Received(Bytes),
    /// The stream is over, whether it was ever up or not. Nothing follows.
    Closed(Closed),
}

/// Why a stream ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The other end closed it in good order.
    #[error("closed by the other end")]
    ByPeer,
    /// The other end does not know the stream, or tore it down.
    #[error("connection reset")]
    Reset,
    /// Nobody listens at that address and port.
    #[error("connection refused")]
    Refused,
    /// The other end did not answer for so long that the connection was given up.
    #[error("no answer, connection timed out")]
    TimedOut,
    /// No route to that address, or no address to send from.
    #[error("network unreachable")]
    Unreachable,
    /// TLS refused to go on.
    #[error("TLS: {0}")]
    Tls(TlsError),
}

/// UDP or TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Streams.
    Tcp,
}

/// A wish to open a stream.
#[derive(Clone, Debug)]
pub struct Dial {
    /// Where to.
    pub to: SocketAddr,
    /// Plain, or TLS with the caller's own clock and trust.
    pub security: Security,
}

/// How a dialled stream is protected.
#[derive(Clone, Debug)]
pub enum Security {
    /// Not at all.
    Plain,
    /// By TLS, verified by these rules.
    Tls(ClientTls),
}

/// A wish to be reachable at a port. Listening again at the same port replaces what was there, so a server
/// can change its certificate while it runs.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The port, at whatever address the actor has.
    pub port: u16,
    /// UDP, TCP with or without TLS, or WebSocket.
    pub security: ListenSecurity,
}

/// How an accepted stream is protected.
#[derive(Clone, Debug)]
pub enum ListenSecurity {
    /// UDP; datagrams are never protected here.
    Udp,
    /// Plain TCP.
    Tcp,
    /// TLS over TCP with these credentials.
    Tls(Arc<ServerTls>),
    /// WebSocket (RFC 6455) with the subprotocol `sip` (RFC 7118), over TCP, or over TLS with these credentials. One
    /// [`StreamEvent::Received`] is one message, and so is one [`Effect::Write`]. The simulated world has no browsers
    /// and refuses connections to such a port.
    WebSocket(Option<Arc<ServerTls>>),
}

/// A wish to write to the disk. It counts only once [`Input::Kept`] answers it; until then a power cut may
/// lose it or tear it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The file.
    pub file: String,
    /// What to do with it.
    pub write: WriteKind,
}

/// The two ways to write. Both can be torn: a power cut may leave any prefix of the new bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteKind {
    /// Adds bytes at the end.
    Append(Bytes),
    /// Empties the file and writes it anew.
    Replace(Bytes),
}

/// What an actor may want.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send a datagram.
    Send(Datagram),
    /// Open a stream; [`StreamEvent::Opened`] or [`StreamEvent::Closed`] will answer.
    Open(StreamId, Dial),
    /// Write bytes to a stream, in order. Writing to a stream that is gone does nothing.
    Write(StreamId, Bytes),
    /// Close a stream after what was written; no event answers.
    Close(StreamId),
    /// Be reachable at a port.
    Listen(Listen),
    /// Stop being reachable at a port.
    Unlisten(Transport, u16),
    /// Take this address (what DHCP granted), or give up the one it has.
    Address(Option<IpAddr>),
    /// Write to the disk.
    Keep(RecordId, Keep),
    /// Say something for the journal.
    Note(Note),
}

/// Where an actor puts what it wants done.
#[derive(Debug, Default)]
pub struct Outbox {
    effects: Vec<Effect>,
    next_stream: u64,
    next_record: u64,
    /// How often each event was told of, in a world that wants no notes but this.
    counted: Option<BTreeMap<&'static str, u64>>,
}

impl Outbox {
    /// An empty outbox whose stream and record ids start at 1; tests and worlds make one per actor.
    pub fn new() -> Outbox {
        Outbox { effects: Vec::new(), next_stream: 1, next_record: 1, counted: None }
    }

    /// An empty outbox that drops notes, and only counts the events among them: for worlds in which so much happens that
    /// nobody could read of it.
    pub fn counting() -> Outbox {
        Outbox { counted: Some(BTreeMap::new()), ..Outbox::new() }
    }

    /// Sends a datagram.
    pub fn send(&mut self, from: SocketAddr, to: SocketAddr, payload: impl Into<Bytes>) {
        self.effects.push(Effect::Send(Datagram { from, to, payload: payload.into() }));
    }

    /// Opens a stream and says how it will be called.
    pub fn open(&mut self, dial: Dial) -> StreamId {
        let id = self.fresh_stream();
        self.effects.push(Effect::Open(id, dial));
        id
    }

    /// Writes to a stream.
    pub fn write(&mut self, stream: StreamId, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        if !bytes.is_empty() {
            self.effects.push(Effect::Write(stream, bytes));
        }
    }

    /// Closes a stream after what was written to it.
    pub fn close(&mut self, stream: StreamId) {
        self.effects.push(Effect::Close(stream));
    }

    /// Becomes reachable at a port.
    pub fn listen(&mut self, port: u16, security: ListenSecurity) {
        self.effects.push(Effect::Listen(Listen { port, security }));
    }

    /// Stops being reachable at a port.
    pub fn unlisten(&mut self, transport: Transport, port: u16) {
        self.effects.push(Effect::Unlisten(transport, port));
    }

    /// Takes or gives up an address.
    pub fn address(&mut self, address: Option<IpAddr>) {
        self.effects.push(Effect::Address(address));
    }

    /// Adds bytes to the end of a file; [`Input::Kept`] with the returned id says when they are safe.
    pub fn append(&mut self, file: &str, bytes: impl Into<Bytes>) -> RecordId {
        self.keep(Keep { file: file.to_owned(), write: WriteKind::Append(bytes.into()) })
    }

    /// Writes a file anew; [`Input::Kept`] with the returned id says when it is safe.
    pub fn replace(&mut self, file: &str, bytes: impl Into<Bytes>) -> RecordId {
        self.keep(Keep { file: file.to_owned(), write: WriteKind::Replace(bytes.into()) })
    }

    fn keep(&mut self, keep: Keep) -> RecordId {
        let id = RecordId(self.next_record);
        self.next_record += 1;
        self.effects.push(Effect::Keep(id, keep));
        id
    }

    /// Says something for the journal.
    pub fn note(&mut self, note: Note) {
        match (&mut self.counted, &note) {
            (None, _) => self.effects.push(Effect::Note(note)),
            (Some(counted), Note::Event { name, .. }) => *counted.entry(name).or_default() += 1,
            (Some(_), _) => {}
        }
    }

    /// Whether somebody reads the notes.
    pub fn wants_notes(&self) -> bool {
        self.counted.is_none()
    }

    /// Says something for the journal that is no event, and is written only if somebody reads it.
    pub fn note_with(&mut self, note: impl FnOnce() -> Note) {
        if self.counted.is_none() {
            self.effects.push(Effect::Note(note()));
        }
    }

    /// Tells of an event; whom it concerns and the facts are written only if somebody reads them.
    pub fn event_with<Of: Into<String>>(&mut self, name: &'static str, about: impl FnOnce() -> (Of, String)) {
        match &mut self.counted {
            Some(counted) => *counted.entry(name).or_default() += 1,
            None => {
                let (of, text) = about();
                self.effects.push(Effect::Note(Note::event(name, of, text)));
            }
        }
    }

    /// How often each event was told of; nothing where notes are wanted.
    pub fn counted(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counted.iter().flatten().map(|(name, count)| (*name, *count))
    }

    /// The next unused stream id; worlds name accepted streams with it.
    pub fn fresh_stream(&mut self) -> StreamId {
        let id = StreamId(self.next_stream);
        self.next_stream += 1;
        id
    }

    /// How many datagrams and writes to streams were asked for and not yet taken out.
    pub fn packets(&self) -> u64 {
        let packets =
            self.effects.iter().filter(|effect| matches!(effect, Effect::Send(_) | Effect::Write(..)));
        packets.count() as u64
    }

    /// Takes out everything that was asked for, oldest first.
    pub fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Moves everything that was asked for to the end of `into`, oldest first: for worlds that use the same room again.
    pub fn take_into(&mut self, into: &mut Vec<Effect>) {
        into.append(&mut self.effects);
    }
}
