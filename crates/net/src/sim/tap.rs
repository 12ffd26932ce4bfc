//! The tap: what the simulated network carries, told to a [`Capture`] as if somebody had listened at a switch.
//!
//! Each segment is an interface. A packet between two segments is seen once, on the segment that was added later: at a
//! site, not in the cloud. It is seen when it passes there: at its departure, or at its arrival from the other side. What
//! is lost before it comes to the tap is only remarked on. The simulation has no acknowledgements; each is made up at the
//! moment when its receiver got what it acknowledges.
//!
//! The tap only listens: with or without it, a run is the same to the byte.

use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::stream::{Connection, Piece, Queued, Side};
use super::{SegmentId, Sim};
use crate::capture::{Capture, End, Flow, Interface, Segment, TlsSecrets};
use crate::journal::Note;
use crate::node::{Datagram, Node, NodeId};
use crate::time::{Time, Wall};

/// How much of the file is gathered before it is written.
const GATHERED: usize = 64 * 1024;

/// A remark on a packet that its receiver never saw.
const LOST: &str = "lost on the way";
pub(super) const DEAD: &str = "the receiver has no power";

/// A capture of a simulated world, and where it goes.
pub(super) struct Tap {
    capture: Capture,
    /// By segment.
    interfaces: Vec<Interface>,
    secrets: Arc<TlsSecrets>,
    file: Box<dyn Write + Send>,
    trouble: Option<io::Error>,
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("capture", &self.capture).finish_non_exhaustive()
    }
}

impl Tap {
    fn add_segment(&mut self, name: &str) {
        let description = format!("segment {name}: everybody behind one switch, and the way to the rest");
        self.interfaces.push(self.capture.interface(name, &description));
    }

    /// Told before every packet, so that secrets stand in front of what they open.
    fn write_gathered(&mut self) {
        let secrets = self.secrets.take();
        self.capture.secrets(secrets.iter().map(String::as_str));
        if self.capture.output_len() >= GATHERED {
            self.write_out();
        }
    }

    fn write_out(&mut self) {
        let output = self.capture.take_output();
        if self.trouble.is_none() {
            self.trouble = self.file.write_all(&output).err();
        }
    }
}

/// A connection as its tap sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tapped {
    flow: Flow,
    /// At which ends' segments the tap is.
    at: [bool; 2],
}

fn end_of(side: Side) -> End {
    if side == 0 { End::Client } else { End::Server }
}

/// What becomes of a packet that is sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Arrives,
    Lost,
    /// It arrives, and is of no use there, for this reason.
    InVain(&'static str),
}

impl<N: Node> Sim<N> {
    /// Captures what the network carries from now on into `file`, written as it grows; the lab's true clock read
    /// `epoch` at the start, and `about` says in the file what is captured. The file holds the secrets of every TLS
    /// session. [`Sim::finish_capture`] ends it.
    pub fn start_capture(&mut self, epoch: Wall, about: &str, file: Box<dyn Write + Send>) {
        let mut tap = Tap {
            capture: Capture::new(epoch, about),
            interfaces: Vec::new(),
            secrets: Arc::default(),
            file,
            trouble: None,
        };
        for segment in &self.segments {
            tap.add_segment(segment.name());
        }
        self.tap = Some(Box::new(tap));
        for index in 0..self.slots.len() {
            let who = NodeId(index as u32);
            self.tap_address(who, self.slot(who).address);
        }
    }

    /// Ends a capture, if there is one.
    ///
    /// # Errors
    ///
    /// The first error that writing met; the file ends there.
    pub fn finish_capture(&mut self) -> io::Result<()> {
        let Some(mut tap) = self.tap.take() else { return Ok(()) };
        tap.capture.finish(self.now);
        tap.write_out();
        match tap.trouble {
            Some(trouble) => Err(trouble),
            None => tap.file.flush(),
        }
    }

    /// Where sessions tell their secrets while there is a capture.
    pub(super) fn tls_secrets(&self) -> Option<Arc<TlsSecrets>> {
        self.tap.as_ref().map(|tap| tap.secrets.clone())
    }

    pub(super) fn tap_segment(&mut self, name: &str) {
        if let Some(tap) = &mut self.tap {
            tap.add_segment(name);
        }
    }

    pub(super) fn tap_address(&mut self, who: NodeId, address: Option<IpAddr>) {
        if let (Some(tap), Some(address)) = (&mut self.tap, address) {
            tap.capture.name(address, self.journal.name(who));
        }
    }

    /// Tells what happened beside packets: what a person saw, what stories wait for, who interfered.
    pub(super) fn tap_note(&mut self, who: Option<NodeId>, note: &Note) {
        let Some(tap) = &mut self.tap else { return };
        let what = match note {
            // These are packets; a phone's log says little else.
            Note::Sent { .. } | Note::Received { .. } | Note::Log(_) => return,
            Note::Screen { id, text } => {
                let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
                format!("shows {id}: {first}")
            }
            Note::Event { name, of, text } if text.is_empty() => format!("{name} ({of})"),
            Note::Event { name, of, text } => format!("{name} ({of}): {text}"),
            Note::Broken { with, text } => format!("{with}: {text}"),
            Note::Stage(text) => text.clone(),
        };
        let who = who.map_or("stage", |who| self.journal.name(who));
        tap.capture.remark(self.now, &format!("{who}: {what}"));
    }

    /// A datagram leaves for an actor, or for nobody. Says whether the tap will see it when it arrives.
    pub(super) fn tap_departure(
        &mut self,
        who: NodeId,
        to: Option<NodeId>,
        datagram: &Datagram,
        fate: Fate,
    ) -> bool {
        let own = self.slot(who).segment;
        let at = to.map_or(own, |to| own.max(self.slot(to).segment));
        let Some(tap) = &mut self.tap else { return false };
        tap.write_gathered();
        let (now, interface) = (self.now, tap.interfaces[at.0]);
        let remark = match fate {
            Fate::Arrives if at != own => return true,
            Fate::Lost if at != own => {
                let remark = format!("a datagram from {} to {}: {LOST}", datagram.from, datagram.to);
                tap.capture.remark(now, &remark);
                return false;
            }
            Fate::Arrives => None,
            Fate::Lost => Some(LOST),
            Fate::InVain(why) => Some(why),
        };
        let Datagram { from, to, payload } = datagram;
        tap.capture.datagram(now, interface, *from, *to, payload, remark);
        false
    }

    /// A datagram arrives that the tap sees only now.
    pub(super) fn tap_arrival(&mut self, to: NodeId, datagram: &Datagram, is_taken: bool) {
        let at = self.slot(to).segment;
        let Some(tap) = &mut self.tap else { return };
        tap.write_gathered();
        let remark = (!is_taken).then_some("nobody took it");
        let Datagram { from, to, payload } = datagram;
        tap.capture.datagram(self.now, tap.interfaces[at.0], *from, *to, payload, remark);
    }

    /// A connection is about to be asked for.
    pub(super) fn tap_dial(&mut self, ends: [(SocketAddr, SegmentId); 2]) -> Option<Tapped> {
        let tap = self.tap.as_mut()?;
        let [(client, near), (server, far)] = ends;
        let at = near.max(far);
        let flow = tap.capture.flow(tap.interfaces[at.0], client, server);
        Some(Tapped { flow, at: [near == at, far == at] })
    }

    /// A piece of a stream leaves, or is lost, or reaches a machine without power.
    pub(super) fn tap_piece_sent(&mut self, id: u64, from: Side, queued: &Queued, fate: Fate) {
        let Some((tap, tapped)) = tapped(&mut self.tap, self.connections.get(&id)) else { return };
        let remark = match fate {
            Fate::Arrives if !tapped.at[from] => return,
            Fate::Lost if !tapped.at[from] => {
                let from = self.connections[&id].ends[from].address;
                return tap.capture.remark(self.now, &format!("a segment from {from}: {LOST}"));
            }
            Fate::Arrives => None,
            Fate::Lost => Some(LOST),
            Fate::InVain(why) => Some(why),
        };
        tap.tell(self.now, tapped.flow, from, queued, remark);
    }

    /// A piece of a stream arrives, at a machine that may have no power.
    pub(super) fn tap_piece_arrived(&mut self, id: u64, from: Side, queued: &Queued, is_taken: bool) {
        let Some((tap, tapped)) = tapped(&mut self.tap, self.connections.get(&id)) else { return };
        if !tapped.at[from] {
            tap.tell(self.now, tapped.flow, from, queued, (!is_taken).then_some(DEAD));
        }
        let by = end_of(1 - from);
        let flow = tapped.flow;
        match &queued.piece {
            _ if !is_taken => {}
            Piece::Rst => {}
            // What answers a request for a connection acknowledges it.
            Piece::Syn => tap.capture.got(flow, by, 0),
            Piece::SynAck => tap.capture.acknowledge(self.now, flow, by, 0),
            Piece::Data(octets) => {
                tap.capture.acknowledge(self.now, flow, by, queued.offset + octets.len() as u64);
            }
            Piece::Fin => tap.capture.acknowledge(self.now, flow, by, queued.offset + 1),
        }
    }

    /// A connection is over at both ends.
    pub(super) fn tap_forget(&mut self, connection: &Connection) {
        if let Some((tap, tapped)) = tapped(&mut self.tap, Some(connection)) {
            tap.capture.forget(tapped.flow);
        }
    }
}

fn tapped<'a>(
    tap: &'a mut Option<Box<Tap>>,
    connection: Option<&Connection>,
) -> Option<(&'a mut Tap, Tapped)> {
    let tap = tap.as_deref_mut()?;
    Some((tap, connection?.tapped?))
}

impl Tap {
    fn tell(&mut self, at: Time, flow: Flow, from: Side, queued: &Queued, remark: Option<&str>) {
        self.write_gathered();
        let offset = queued.offset;
        let segment = match &queued.piece {
            Piece::Syn | Piece::SynAck => Segment::Syn,
            Piece::Data(octets) => Segment::Data { offset, octets },
            Piece::Fin => Segment::Fin { offset },
            Piece::Rst => Segment::Rst { offset },
        };
        self.capture.segment(at, flow, end_of(from), segment, remark);
    }
}
