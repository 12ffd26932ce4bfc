//! A bench to put one server on: it carries out effects by hand and remembers what came.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use net::{
    Datagram, Disk, Effect, Input, Keep, Node, Note, Outbox, RecordId, StreamEvent, StreamId, Time, WriteKind,
};

/// One server, its disk, and what came of it.
pub struct Bench<N> {
    pub node: N,
    pub now: Time,
    pub disk: Disk,
    /// Datagrams that were sent, oldest first.
    pub sent: Vec<Datagram>,
    /// What was written to each stream.
    pub written: BTreeMap<StreamId, Vec<u8>>,
    /// Streams that were closed.
    pub closed: Vec<StreamId>,
    /// Events as `name of: text`.
    pub events: Vec<String>,
    /// Whether writes reach the disk at once.
    pub is_disk_prompt: bool,
    pending: Vec<(RecordId, Keep)>,
    out: Outbox,
}

impl<N: Node> Bench<N> {
    /// Switches the server on, with an empty disk.
    pub fn new(node: N) -> Bench<N> {
        let mut bench = Bench {
            node,
            now: Time::from_secs(1),
            disk: Disk::new(),
            sent: Vec::new(),
            written: BTreeMap::new(),
            closed: Vec::new(),
            events: Vec::new(),
            is_disk_prompt: true,
            pending: Vec::new(),
            out: Outbox::new(),
        };
        bench.give(Input::PowerOn(Disk::new()));
        bench
    }

    /// Cuts the power and gives it back. Of what was not on disk yet, the first `octets` of each write made it.
    pub fn power_cut(&mut self, octets: usize) {
        self.give(Input::PowerOff);
        for (_, keep) in std::mem::take(&mut self.pending) {
            write(&mut self.disk, keep, octets);
        }
        self.give(Input::PowerOn(self.disk.clone()));
    }

    /// Lets everything that was asked for reach the disk.
    pub fn sync(&mut self) {
        while !self.pending.is_empty() {
            for (id, keep) in std::mem::take(&mut self.pending) {
                write(&mut self.disk, keep, usize::MAX);
                self.node.handle(self.now, Input::Kept(id), &mut self.out);
            }
            self.carry_out();
        }
    }

    /// Lets something happen at `now`.
    pub fn give(&mut self, input: Input) {
        self.node.handle(self.now, input, &mut self.out);
        self.carry_out();
        if self.is_disk_prompt {
            self.sync();
        }
    }

    /// Lets a datagram arrive and returns what was sent because of it.
    pub fn datagram(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<Datagram> {
        let before = self.sent.len();
        self.give(Input::Datagram(Datagram { from, to, payload: payload.to_vec().into() }));
        self.sent.split_off(before)
    }

    /// Lets somebody connect.
    pub fn connect(&mut self, local: SocketAddr) -> StreamId {
        let id = self.out.fresh_stream();
        let peer = "10.20.2.1:40000".parse().expect("an address");
        self.give(Input::Stream(id, StreamEvent::Accepted { local, peer }));
        id
    }

    /// Lets bytes arrive on a stream and returns what was written to it because of them.
    pub fn receive(&mut self, id: StreamId, bytes: &[u8]) -> Vec<u8> {
        self.give(Input::Stream(id, StreamEvent::Received(bytes.to_vec().into())));
        self.written.remove(&id).unwrap_or_default()
    }

    /// Lets time pass until the server wakes, if it does by `until`.
    pub fn pass(&mut self, until: Time) {
        while let Some(at) = self.node.wake_at().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.give(Input::Woken);
        }
        self.now = until;
    }

    fn carry_out(&mut self) {
        for effect in self.out.take() {
            match effect {
                Effect::Send(datagram) => self.sent.push(datagram),
                Effect::Write(id, bytes) => self.written.entry(id).or_default().extend_from_slice(&bytes),
                Effect::Close(id) => self.closed.push(id),
                Effect::Keep(id, keep) => self.pending.push((id, keep)),
                Effect::Note(Note::Event { name, of, text }) => {
                    self.events.push(format!("{name} {of}: {text}"))
                }
                Effect::Note(_) | Effect::Listen(_) | Effect::Unlisten(..) | Effect::Address(_) => {}
                Effect::Open(..) => panic!("servers call nobody"),
            }
        }
    }
}

fn write(disk: &mut Disk, keep: Keep, octets: usize) {
    let file = disk.entry(keep.file).or_default();
    match keep.write {
        WriteKind::Append(bytes) => file.extend(bytes.iter().take(octets)),
        WriteKind::Replace(bytes) => *file = bytes.iter().take(octets).copied().collect(),
    }
}
