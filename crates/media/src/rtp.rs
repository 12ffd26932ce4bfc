//! RTP packets (RFC 3550 §5.1): read with suspicion, and written.

use bytes::{BufMut as _, Bytes, BytesMut};
use thiserror::Error;

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The marker bit: the first packet behind a silence, or of an event.
    pub marker: bool,
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// The sequence number, one more with each packet, around 2^16.
    pub sequence: u16,
    /// The time of the first sample, in samples, around 2^32.
    pub timestamp: u32,
    /// Who sends: a number drawn at random.
    pub ssrc: u32,
    /// The sound, encoded.
    pub payload: Bytes,
}

/// Why octets are no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RtpError {
    /// The packet ends before its header does.
    #[error("shorter than its header")]
    Short,
    /// It is of another version than 2.
    #[error("version {0}, not 2")]
    Version(u8),
    /// The padding claims more than there is.
    #[error("padding that is longer than the packet")]
    Padding,
}

const HEADER: usize = 12;

impl Packet {
    /// Reads a packet; contributing sources and an extension are stepped over.
    ///
    /// # Errors
    ///
    /// If it is too short, of another version, or padded beyond its start.
    pub fn parse(octets: &Bytes) -> Result<Packet, RtpError> {
        let fixed: &[u8; HEADER] = octets.first_chunk().ok_or(RtpError::Short)?;
        let [first, second, rest @ ..] = fixed;
        if first >> 6 != 2 {
            return Err(RtpError::Version(first >> 6));
        }
        let mut start = HEADER + 4 * usize::from(first & 0x0f);
        if first & 0x10 != 0 {
            let words = octets.get(start + 2..start + 4).ok_or(RtpError::Short)?;
            start += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        let mut end = octets.len();
        if start > end {
            return Err(RtpError::Short);
        }
        if first & 0x20 != 0 {
            let padding = usize::from(octets[end - 1]);
            if padding == 0 || padding > end - start {
                return Err(RtpError::Padding);
            }
            end -= padding;
        }
        let [s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *rest;
        Ok(Packet {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            payload: octets.slice(start..end),
        })
    }

    /// Writes the packet.
    pub fn print(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER + self.payload.len());
        out.put_u8(2 << 6);
        out.put_u8(u8::from(self.marker) << 7 | self.payload_type & 0x7f);
        out.put_u16(self.sequence);
        out.put_u32(self.timestamp);
        out.put_u32(self.ssrc);
        out.put_slice(&self.payload);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Packet {
        Packet {
            marker: true,
            payload_type: 8,
            sequence: 0xfffe,
            timestamp: 0x0102_0304,
            ssrc: 0xdead_beef,
            payload: Bytes::from_static(b"sound"),
        }
    }

    #[test]
    fn a_packet_is_written_as_the_rfc_draws_it() {
        let octets = packet().print();
        assert_eq!(octets[..12], [0x80, 0x88, 0xff, 0xfe, 1, 2, 3, 4, 0xde, 0xad, 0xbe, 0xef]);
        assert_eq!(Packet::parse(&octets), Ok(packet()));
    }

    #[test]
    fn sources_extensions_and_padding_are_stepped_over() {
        let mut octets = packet().print().to_vec();
        octets[0] |= 0x30 | 1;
        octets.splice(12..12, [9, 9, 9, 9, 0xbe, 0xde, 0, 1, 7, 7, 7, 7]);
        octets.extend([0, 0, 3]);
        assert_eq!(Packet::parse(&octets.into()).unwrap().payload, Bytes::from_static(b"sound"));
    }

    #[test]
    fn what_is_no_packet_says_why() {
        let good = packet().print();
        assert_eq!(Packet::parse(&good.slice(..11)), Err(RtpError::Short));
        assert!(Packet::parse(&good.slice(..12)).is_ok(), "an empty payload is one");
        let with = |first: u8, last: u8| {
            let mut octets = good.to_vec();
            octets[0] = first;
            *octets.last_mut().unwrap() = last;
            Packet::parse(&octets.into())
        };
        assert_eq!(with(0x40, 0), Err(RtpError::Version(1)));
        assert_eq!(with(0x8f, 0), Err(RtpError::Short));
        assert_eq!(with(0x90, 0), Err(RtpError::Short));
        assert_eq!(with(0xa0, 0), Err(RtpError::Padding));
        assert_eq!(with(0xa0, 6), Err(RtpError::Padding));
        assert_eq!(with(0xa0, 5).unwrap().payload.len(), 0);
    }
}
