//! One telephone's side of one stream: it speaks, listens, measures and reports, and owns no socket.

use std::time::Duration;

use bytes::Bytes;
use net::{Random, Time};

use crate::digits::{self, Event};
use crate::playout::{Played, Playout};
use crate::reception::{Place, Reception};
use crate::rtcp::{self, Block, SenderInfo};
use crate::rtp::Packet;
use crate::tone::{Generator, Listener};
use crate::{PACKET_MS, PACKET_SAMPLES, RATE, g711};

/// The least time between two reports (RFC 3550 §6.2); each is between half and one and a half of it.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// How long the last sound counts as heard.
const HEARD_FOR: Duration = Duration::from_millis(400);
/// Seconds between 1900 and 1970.
const NTP_EPOCH: u64 = 2_208_988_800;
/// Packets that are made up for at once when a timer came late; beyond that the source jumps.
const CATCH_UP_MAX: u32 = 5;

/// Which law sound is encoded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// µ-law.
    Mu,
    /// A-law.
    A,
}

impl Law {
    fn encode(self, sample: i16) -> u8 {
        match self {
            Law::Mu => g711::to_ulaw(sample),
            Law::A => g711::to_alaw(sample),
        }
    }

    fn decode(self, code: u8) -> i16 {
        match self {
            Law::Mu => g711::from_ulaw(code),
            Law::A => g711::from_alaw(code),
        }
    }
}

/// What both ends agreed on, as far as sound needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSetup {
    /// The law.
    pub law: Law,
    /// The payload type of sound, both ways.
    pub payload_type: u8,
    /// The payload type under which the other end takes digits.
    pub events: Option<u8>,
    /// Whether this end sends.
    pub sends: bool,
    /// Whether this end listens.
    pub receives: bool,
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// To the other end's RTP port.
    Rtp(Bytes),
    /// To the port above it.
    Rtcp(Bytes),
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Packets sent.
    pub sent: u64,
    /// Packets received, doubles not counted.
    pub received: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets behind a later one.
    pub reordered: u64,
    /// Packets that came more than once.
    pub doubles: u64,
    /// Packets too late to be played.
    pub late: u64,
    /// Interarrival jitter.
    pub jitter: Duration,
    /// The share of this end's packets that the other end lost, from 0 to 1, if it said.
    pub lost_there: Option<f64>,
    /// The round trip, if both ends' reports have told it.
    pub round_trip: Option<Duration>,
    /// The tone that is heard, in Hz.
    pub heard_hz: Option<u32>,
    /// The digits that came.
    pub digits: String,
}

/// One side of a stream.
#[derive(Debug)]
pub struct Session {
    setup: SessionSetup,
    ssrc: u32,
    cname: String,
    random: Random,
    voice: Generator,
    is_muted: bool,
    sequence: u16,
    timestamp: u32,
    /// The next packet is the first behind a silence.
    begins: bool,
    send_at: Option<Time>,
    report_at: Time,
    sent: u64,
    octets: u64,
    digits: digits::Sender,
    /// The timestamp of the digit under way.
    event_at: u32,
    source: Option<u32>,
    reception: Reception,
    playout: Playout,
    listener: Listener,
    heard_at: Time,
    alive_at: Time,
    digits_heard: digits::Receiver,
    /// The middle bits of the other end's last report, and when it came.
    last_report: Option<(u32, Time)>,
    lost_there: Option<f64>,
    round_trip: Option<Duration>,
}

impl Session {
    /// Begins to send and listen now. It speaks a tone of `voice_hz`; `cname` is its name in reports.
    pub fn new(setup: SessionSetup, voice_hz: u32, cname: &str, mut random: Random, now: Time) -> Session {
        let first = random.bytes::<10>();
        let [a, b, c, d, e, f, g, h, i, j] = first;
        Session {
            ssrc: u32::from_be_bytes([a, b, c, d]),
            timestamp: u32::from_be_bytes([e, f, g, h]),
            sequence: u16::from_be_bytes([i, j]),
            cname: cname.to_owned(),
            voice: Generator::new(voice_hz),
            is_muted: false,
            begins: true,
            send_at: setup.sends.then_some(now),
            report_at: now + pause(&mut random),
            random,
            setup,
            sent: 0,
            octets: 0,
            digits: digits::Sender::default(),
            event_at: 0,
            source: None,
            reception: Reception::default(),
            playout: Playout::default(),
            listener: Listener::new(),
            heard_at: Time::ZERO,
            alive_at: now,
            digits_heard: digits::Receiver::default(),
            last_report: None,
            lost_there: None,
            round_trip: None,
        }
    }

    /// Both ends agreed anew, as for hold.
    pub fn change(&mut self, setup: SessionSetup, now: Time) {
        if setup.sends && !self.setup.sends {
            self.send_at = Some(now);
            self.begins = true;
        } else if !setup.sends {
            self.send_at = None;
        }
        if setup.receives && !self.setup.receives {
            self.alive_at = now;
        }
        self.setup = setup;
    }

    /// What is agreed.
    pub fn setup(&self) -> SessionSetup {
        self.setup
    }

    /// Switches the microphone off or on; a muted phone sends silence.
    pub fn mute(&mut self, is_muted: bool) {
        self.is_muted = is_muted;
    }

    /// Sends digits behind those that wait. Whether the other end takes digits and these could be taken.
    pub fn send_digits(&mut self, digits: &str) -> bool {
        self.setup.events.is_some() && self.digits.push(digits)
    }

    /// When anything came from the other end last, reports included; at first, when the session began.
    pub fn alive_at(&self) -> Time {
        self.alive_at
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Time {
        self.send_at.map_or(self.report_at, |at| at.min(self.report_at))
    }

    /// Sends what is due; `unix_nanos` is the wall clock, for reports.
    pub fn wake(&mut self, now: Time, unix_nanos: i128) -> Vec<Wire> {
        let mut out = Vec::new();
        for _ in 0..CATCH_UP_MAX {
            let Some(at) = self.send_at.filter(|at| *at <= now) else { break };
            out.push(Wire::Rtp(self.speak()));
            self.send_at = Some(at + Duration::from_millis(PACKET_MS));
        }
        if self.send_at.is_some_and(|at| at <= now) {
            self.send_at = Some(now + Duration::from_millis(PACKET_MS));
        }
        if self.report_at <= now {
            self.report_at = now + pause(&mut self.random);
            let sender = self.sender_info(unix_nanos);
            let block = self.block(now);
            out.push(Wire::Rtcp(rtcp::report(self.ssrc, sender, block, &self.cname)));
        }
        self.hear(now);
        out
    }

    /// Says goodbye; the session is over.
    pub fn goodbye(&mut self, now: Time) -> Wire {
        let block = self.block(now);
        self.send_at = None;
        Wire::Rtcp(rtcp::goodbye(self.ssrc, block, &self.cname))
    }

    /// The next packet: sound, silence or a digit.
    fn speak(&mut self) -> Bytes {
        let at = self.timestamp;
        self.timestamp = at.wrapping_add(PACKET_SAMPLES as u32);
        let turn = self.digits.turn();
        let packet = match (turn, self.setup.events) {
            (digits::Turn::Event { event, is_first }, Some(payload_type)) => {
                if is_first {
                    self.event_at = at;
                }
                let payload = event.print();
                self.packet(is_first, payload_type, self.event_at, payload)
            }
            _ => {
                let (law, is_muted) = (self.setup.law, self.is_muted);
                // The generator goes on while muted, as a voice would.
                let sound: Vec<u8> = (0..PACKET_SAMPLES)
                    .map(|_| self.voice.sample())
                    .map(|sample| law.encode(if is_muted { 0 } else { sample }))
                    .collect();
                let begins = std::mem::take(&mut self.begins);
                self.packet(begins, self.setup.payload_type, at, sound.into())
            }
        };
        self.sent += 1;
        self.octets += packet.payload.len() as u64;
        packet.print()
    }

    fn packet(&mut self, marker: bool, payload_type: u8, timestamp: u32, payload: Bytes) -> Packet {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        Packet { marker, payload_type, sequence, timestamp, ssrc: self.ssrc, payload }
    }

    /// Takes a packet in from the other end's RTP port; a digit, if it brought a new one. What is no packet, or of
    /// another kind of sound, is dropped.
    pub fn receive(&mut self, now: Time, octets: &Bytes) -> Option<char> {
        let packet = Packet::parse(octets).ok()?;
        let is_sound = packet.payload_type == self.setup.payload_type;
        let is_event = Some(packet.payload_type) == self.setup.events;
        if !is_sound && !is_event {
            return None;
        }
        if self.source != Some(packet.ssrc) {
            // Another source: what was counted of the old one says nothing of it.
            self.source = Some(packet.ssrc);
            (self.reception, self.playout) = Default::default();
            self.digits_heard = digits::Receiver::default();
        }
        self.alive_at = now;
        self.hear(now);
        let (place, number) = self.reception.receive(now, packet.sequence, packet.timestamp);
        if matches!(place, Place::Double | Place::Astray) || !self.setup.receives {
            return None;
        }
        if is_event {
            let event = Event::parse(&packet.payload)?;
            // A digit's packets keep their place in the row, silently.
            self.playout.put(now, number, Bytes::new());
            return self.digits_heard.receive(packet.timestamp, event);
        }
        self.playout.put(now, number, packet.payload);
        None
    }

    /// Takes a packet in from the other end's RTCP port.
    pub fn receive_report(&mut self, now: Time, unix_nanos: i128, octets: &[u8]) {
        for said in rtcp::parse(octets) {
            let rtcp::Said::Report { sender, blocks, .. } = said else { continue };
            self.alive_at = now;
            if let Some(sender) = sender {
                self.last_report = Some(((sender.ntp >> 16) as u32, now));
            }
            for block in blocks.iter().filter(|block| block.ssrc == self.ssrc) {
                self.lost_there = Some(f64::from(block.fraction) / 256.0);
                if block.last_report != 0 {
                    let now_middle = (ntp(unix_nanos) >> 16) as u32;
                    let trip = now_middle.wrapping_sub(block.last_report).wrapping_sub(block.since);
                    // A clock that was set in between makes nonsense of it.
                    if trip < 60 << 16 {
                        let nanos = (u64::from(trip) * 1_000_000_000) >> 16;
                        self.round_trip = Some(Duration::from_nanos(nanos));
                    }
                }
            }
        }
    }

    /// What was measured until now.
    pub fn report(&self, now: Time) -> Report {
        let heard = self.listener.heard().filter(|_| now.since(self.heard_at) <= HEARD_FOR);
        Report {
            sent: self.sent,
            received: self.reception.received(),
            lost: self.reception.lost(),
            reordered: self.reception.reordered(),
            doubles: self.reception.doubles(),
            late: self.playout.late(),
            jitter: Duration::from_micros(u64::from(self.reception.jitter()) * 1_000_000 / u64::from(RATE)),
            lost_there: self.lost_there,
            round_trip: self.round_trip,
            heard_hz: heard,
            digits: self.digits_heard.heard(),
        }
    }

    /// Listens to what was due until now.
    fn hear(&mut self, now: Time) {
        let law = self.setup.law;
        for played in self.playout.play(now) {
            match played {
                Played::Sound(sound) => {
                    self.heard_at = now;
                    // Somebody may put more into a packet than 20 ms; more than 60 is nobody's sound.
                    let sound = &sound[..sound.len().min(3 * PACKET_SAMPLES)];
                    self.listener.listen(sound.iter().map(|code| law.decode(*code)));
                }
                Played::Gap => self.listener.listen([0; PACKET_SAMPLES]),
            }
        }
    }

    fn sender_info(&self, unix_nanos: i128) -> Option<SenderInfo> {
        self.setup.sends.then(|| SenderInfo {
            ntp: ntp(unix_nanos),
            timestamp: self.timestamp,
            packets: self.sent as u32,
            octets: self.octets as u32,
        })
    }

    fn block(&mut self, now: Time) -> Option<Block> {
        let ssrc = self.source?;
        let (last_report, since) = self.last_report.map_or((0, 0), |(middle, at)| {
            let nanos = now.since(at).as_nanos().min(u128::from(u32::MAX) << 16);
            (middle, ((nanos << 16) / 1_000_000_000) as u32)
        });
        Some(Block {
            ssrc,
            fraction: self.reception.take_fraction(),
            lost: self.reception.lost() as u32,
            highest: self.reception.highest(),
            jitter: self.reception.jitter(),
            last_report,
            since,
        })
    }
}

fn pause(random: &mut Random) -> Duration {
    let half = REPORT_EVERY / 2;
    half + Duration::from_millis(random.below(REPORT_EVERY.as_millis() as u64 + 1))
}

/// A moment as NTP has it.
fn ntp(unix_nanos: i128) -> u64 {
    let nanos = unix_nanos.max(0) as u128;
    let secs = (nanos / 1_000_000_000) as u64 + NTP_EPOCH;
    let fraction = ((nanos % 1_000_000_000) << 32) / 1_000_000_000;
    secs << 32 | fraction as u64
}
