//! Sound on the network: RTP and RTCP, G.711, tones and digits, and what gets lost on the way.
//!
//! | module | promise |
//! | --- | --- |
//! | [`rtp`] | RTP packets (RFC 3550 §5) |
//! | [`rtcp`] | sender and receiver reports (RFC 3550 §6) |
//! | [`g711`] | µ-law and A-law (ITU-T G.711) |
//! | [`tone`] | makes tones, and hears them |
//! | [`digits`] | telephone events (RFC 4733) |
//! | [`reception`] | counts what came and what did not: loss, order, jitter |
//! | [`playout`] | a buffer of bounded size between network and ear |
//! | [`session`] | one telephone's side of one stream, all of that together |
//!
//! A crate of its own because it is neither SIP text nor a phone's affair: whoever sends or measures sound needs it,
//! and it needs nobody. No machine in here reads a clock or owns a socket, and all arithmetic is exact or made of
//! the four basic operations, so that the same calls give the same octets on every machine.

pub mod digits;
pub mod g711;
pub mod playout;
pub mod reception;
pub mod rtcp;
pub mod rtp;
pub mod session;
pub mod tone;

pub use session::{Report, Session, SessionSetup, Wire};

/// Samples in a second; all sound here is narrowband.
pub const RATE: u32 = 8000;
/// Milliseconds of sound in one packet.
pub const PACKET_MS: u64 = 20;
/// Samples in one packet.
pub const PACKET_SAMPLES: usize = 160;
