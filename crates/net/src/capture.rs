//! Captures: what went over a network, as a pcapng file that packet viewers open.
//!
//! A [`Capture`] is told what happened — datagrams, streams, TLS secrets, remarks — and makes up the packets that a
//! real network would have shown, with checksums, sequence numbers and acknowledgements that hold. The file comes out as
//! bytes to be appended ([`Capture::take_output`]), so a capture does not grow in memory. Equal events give equal bytes.
//!
//! Times are instants of the lab; in the file they are readings of its true clock, to the nanosecond. TLS secrets stand
//! in the file before the packets that need them, so that a viewer shows plaintext without any setting: whoever has the
//! file can read everything in it.

mod blocks;
mod flows;
mod packets;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use crate::time::{Time, Wall};

pub use self::flows::{End, Flow, Segment};

use self::flows::Flows;

/// How long after a packet a remark still belongs to it.
const REMARK_REACH: std::time::Duration = std::time::Duration::from_millis(1);

/// How many remarks wait for the next packet; of more, the oldest are left out and counted.
const REMARKS_MAX: usize = 64;

/// The longest remark and the longest name, in characters.
const REMARK_CHARS_MAX: usize = 2_000;
const NAME_CHARS_MAX: usize = 200;

/// How many addresses may have names; further ones go without.
const NAMES_MAX: usize = 65_536;

/// How many of the last secrets are remembered, so that what both ends of a connection tell is written once.
const SECRETS_REMEMBERED: usize = 256;

/// An interface of a capture: where its packets were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface(u32);

/// The last packet, which waits for remarks on it.
#[derive(Debug)]
struct Held {
    interface: Interface,
    at: Time,
    octets: Vec<u8>,
    remarks: Vec<String>,
}

/// A capture that is being written.
#[derive(Debug)]
pub struct Capture {
    epoch: Wall,
    output: Vec<u8>,
    /// How many packets each interface saw.
    seen: Vec<u64>,
    held: Option<Held>,
    remarks: VecDeque<String>,
    remarks_left_out: usize,
    names: BTreeMap<IpAddr, String>,
    secrets: BTreeSet<String>,
    secrets_in_order: VecDeque<String>,
    flows: Flows,
    /// Counts datagrams and segments: the identification of IP packets.
    number: u32,
}

impl Capture {
    /// A capture of a lab whose true clock read `epoch` at [`Time::ZERO`]. `about` says what is captured; it becomes the
    /// comment of the file.
    pub fn new(epoch: Wall, about: &str) -> Capture {
        let application = concat!("lab ", env!("CARGO_PKG_VERSION"));
        Capture {
            epoch,
            output: blocks::section(application, "packets made up around what was said", about),
            seen: Vec::new(),
            held: None,
            remarks: VecDeque::new(),
            remarks_left_out: 0,
            names: BTreeMap::new(),
            secrets: BTreeSet::new(),
            secrets_in_order: VecDeque::new(),
            flows: Flows::default(),
            number: 0,
        }
    }

    /// Adds an interface; each name should be used once.
    pub fn interface(&mut self, name: &str, description: &str) -> Interface {
        self.output.extend(blocks::interface(&clean(name, NAME_CHARS_MAX), description));
        self.seen.push(0);
        Interface(u32::try_from(self.seen.len() - 1).expect("fewer than 2^32 interfaces"))
    }

    /// Tells what an address is called from now on.
    pub fn name(&mut self, address: IpAddr, name: &str) {
        let name = clean(name, NAME_CHARS_MAX);
        let is_known = self.names.get(&address).is_some_and(|known| *known == name);
        if name.is_empty()
            || is_known
            || (self.names.len() >= NAMES_MAX && !self.names.contains_key(&address))
        {
            return;
        }
        self.output.extend(blocks::names([(address, name.as_str())]));
        self.names.insert(address, name);
    }

    /// Adds lines of an NSS key log (`CLIENT_RANDOM …`), to be told before the packets that they open. Lines that were
    /// told a short while ago are not written again.
    pub fn secrets<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        let mut fresh = String::new();
        for line in lines {
            if line.is_empty() || !line.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()) {
                continue;
            }
            if self.secrets.insert(line.to_owned()) {
                fresh.push_str(line);
                fresh.push('\n');
                self.secrets_in_order.push_back(line.to_owned());
            }
            if self.secrets_in_order.len() > SECRETS_REMEMBERED
                && let Some(oldest) = self.secrets_in_order.pop_front()
            {
                self.secrets.remove(&oldest);
            }
        }
        if !fresh.is_empty() {
            self.output.extend(blocks::secrets(&fresh));
        }
    }

    /// Says something about what happened at `at`. It is written as a comment on the packet of that moment; without one,
    /// on the next packet. Each comment begins with its own time.
    pub fn remark(&mut self, at: Time, text: &str) {
        let text = clean(&format!("{at} {text}"), REMARK_CHARS_MAX);
        match &mut self.held {
            Some(held) if at.since(held.at) <= REMARK_REACH && held.remarks.len() < REMARKS_MAX => {
                held.remarks.push(text);
            }
            _ => {
                self.remarks.push_back(text);
                if self.remarks.len() > REMARKS_MAX {
                    self.remarks.pop_front();
                    self.remarks_left_out += 1;
                }
            }
        }
    }

    /// A datagram was seen. `remark` is a comment on it alone: that it was lost, say.
    pub fn datagram(
        &mut self,
        at: Time,
        interface: Interface,
        from: SocketAddr,
        to: SocketAddr,
        payload: &[u8],
        remark: Option<&str>,
    ) {
        self.number = self.number.wrapping_add(1);
        for frame in packets::datagram(from, to, self.number, payload) {
            self.packet(at, interface, frame, remark);
        }
    }

    fn packet(&mut self, at: Time, interface: Interface, octets: Vec<u8>, remark: Option<&str>) {
        self.flush();
        let mut remarks = self.waiting_remarks();
        remarks.extend(remark.map(|text| clean(text, REMARK_CHARS_MAX)));
        self.held = Some(Held { interface, at, octets, remarks });
        if let Some(seen) = self.seen.get_mut(interface.0 as usize) {
            *seen += 1;
        }
    }

    fn waiting_remarks(&mut self) -> Vec<String> {
        let left_out = std::mem::take(&mut self.remarks_left_out);
        let notice = (left_out > 0).then(|| format!("({left_out} earlier remarks are left out)"));
        notice.into_iter().chain(self.remarks.drain(..)).collect()
    }

    /// Writes the last packet, which otherwise waits for remarks until the next one comes. For those who follow the file
    /// while it grows.
    pub fn flush(&mut self) {
        if let Some(held) = self.held.take() {
            let nanos = self.nanos(held.at);
            self.output.extend(blocks::packet(held.interface.0, nanos, &held.octets, &held.remarks));
        }
    }

    /// Ends the capture: the last packet, and what each interface saw.
    pub fn finish(&mut self, at: Time) {
        let mut remarks = self.waiting_remarks();
        if let Some(held) = &mut self.held {
            held.remarks.append(&mut remarks);
        }
        self.flush();
        let nanos = self.nanos(at);
        for (index, packets) in self.seen.iter().enumerate() {
            let comments = std::mem::take(&mut remarks);
            self.output.extend(blocks::statistics(index as u32, nanos, *packets, &comments));
        }
    }

    /// How many octets [`Capture::take_output`] would give.
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Takes out what is to be appended to the file.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// The time in the file: nanoseconds since 1970; earlier moments count as 1970.
    fn nanos(&self, at: Time) -> u64 {
        u64::try_from(self.epoch.plus(at.since_start()).unix_nanos()).unwrap_or(0)
    }
}

/// Text without control characters but line ends, cut to a length.
fn clean(text: &str, chars: usize) -> String {
    let visible = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c });
    visible.take(chars).collect()
}

/// TLS secrets as they arise, in lines of an NSS key log, until somebody takes them for a [`Capture`].
///
/// It is what `rustls` wants as a `key_log`; [`crate::tls::TlsSession::client_telling`] and
/// [`crate::tls::TlsSession::server_telling`] take it. Take the lines out before the octets that a session has just made
/// or read are told to the capture.
#[derive(Debug, Default)]
pub struct TlsSecrets(Mutex<VecDeque<String>>);

/// How many secrets wait to be taken; of more, the oldest are forgotten.
const SECRETS_MAX: usize = 65_536;

impl TlsSecrets {
    /// Takes out all secrets since the last call, oldest first.
    pub fn take(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}

impl rustls::KeyLog for TlsSecrets {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}", hex(client_random), hex(secret));
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= SECRETS_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests;
