//! RTCP (RFC 3550 §6): sender and receiver reports with a name and, at the end, a goodbye.

use bytes::{BufMut as _, Bytes, BytesMut};

/// The most packets that are read of one compound; more is nobody's report.
const PACKETS_MAX: usize = 16;

const SENDER: u8 = 200;
const RECEIVER: u8 = 201;
const DESCRIPTION: u8 = 202;
const BYE: u8 = 203;

/// What a sender says about itself (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// The moment of the report, as NTP has it: seconds since 1900 above, fractions below.
    pub ntp: u64,
    /// The same moment in samples.
    pub timestamp: u32,
    /// Packets sent so far.
    pub packets: u32,
    /// Octets of sound sent so far.
    pub octets: u32,
}

/// What a receiver says about one source (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The source.
    pub ssrc: u32,
    /// The share lost since the last report, in 256ths.
    pub fraction: u8,
    /// Packets lost so far; 24 bits.
    pub lost: u32,
    /// The highest sequence number, with its turns.
    pub highest: u32,
    /// Interarrival jitter, in samples.
    pub jitter: u32,
    /// The middle 32 bits of the NTP moment in the source's last report; 0 if there was none.
    pub last_report: u32,
    /// How long ago that came, in 65536ths of a second.
    pub since: u32,
}

/// What one packet of a compound says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A report, of a sender or of somebody who only receives.
    Report {
        /// Who says it.
        ssrc: u32,
        /// About itself, if it sends.
        sender: Option<SenderInfo>,
        /// About those whom it hears.
        blocks: Vec<Block>,
    },
    /// These leave.
    Bye(Vec<u32>),
}

/// Writes a compound: a report, and the source's name (RFC 3550 §6.1).
pub fn report(ssrc: u32, sender: Option<SenderInfo>, block: Option<Block>, cname: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(96);
    put_report(&mut out, ssrc, sender, block, cname);
    out.freeze()
}

/// Writes a compound that says goodbye behind its report (RFC 3550 §6.6).
pub fn goodbye(ssrc: u32, block: Option<Block>, cname: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(96);
    put_report(&mut out, ssrc, None, block, cname);
    put_head(&mut out, 1, BYE, 1);
    out.put_u32(ssrc);
    out.freeze()
}

fn put_head(out: &mut BytesMut, count: u8, kind: u8, words: u16) {
    out.put_u8(2 << 6 | count);
    out.put_u8(kind);
    out.put_u16(words);
}

fn put_report(out: &mut BytesMut, ssrc: u32, sender: Option<SenderInfo>, block: Option<Block>, cname: &str) {
    let count = u8::from(block.is_some());
    let kind = if sender.is_some() { SENDER } else { RECEIVER };
    let words = 1 + if sender.is_some() { 5 } else { 0 } + 6 * u16::from(count);
    put_head(out, count, kind, words);
    out.put_u32(ssrc);
    if let Some(sender) = sender {
        out.put_u64(sender.ntp);
        out.put_u32(sender.timestamp);
        out.put_u32(sender.packets);
        out.put_u32(sender.octets);
    }
    if let Some(block) = block {
        out.put_u32(block.ssrc);
        out.put_u32(u32::from(block.fraction) << 24 | block.lost.min(0x7f_ffff));
        out.put_u32(block.highest);
        out.put_u32(block.jitter);
        out.put_u32(block.last_report);
        out.put_u32(block.since);
    }
    // SDES: one chunk with a CNAME, ended by a zero and filled up to a whole word.
    let name = &cname.as_bytes()[..cname.len().min(255)];
    let words = (4 + 2 + name.len()) / 4 + 1;
    put_head(out, 1, DESCRIPTION, words as u16);
    out.put_u32(ssrc);
    out.put_u8(1);
    out.put_u8(name.len() as u8);
    out.put_slice(name);
    out.put_bytes(0, words * 4 - (6 + name.len()));
}

/// Reads a compound as far as it can be read; what is not a report or a goodbye is stepped over.
pub fn parse(octets: &[u8]) -> Vec<Said> {
    let mut said = Vec::new();
    let mut rest = octets;
    for _ in 0..PACKETS_MAX {
        let Some((head, behind)) = rest.split_first_chunk::<4>() else { break };
        let [first, kind, high, low] = *head;
        let len = usize::from(u16::from_be_bytes([high, low])) * 4;
        if first >> 6 != 2 || len > behind.len() {
            break;
        }
        let (body, behind) = behind.split_at(len);
        rest = behind;
        said.extend(parse_one(first & 0x1f, kind, body));
    }
    said
}

fn parse_one(count: u8, kind: u8, body: &[u8]) -> Option<Said> {
    let mut words = body.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    match kind {
        SENDER | RECEIVER => {
            let ssrc = words.next()?;
            let sender = if kind == SENDER {
                let (high, low) = (words.next()?, words.next()?);
                Some(SenderInfo {
                    ntp: u64::from(high) << 32 | u64::from(low),
                    timestamp: words.next()?,
                    packets: words.next()?,
                    octets: words.next()?,
                })
            } else {
                None
            };
            let mut blocks = Vec::new();
            for _ in 0..count {
                let (ssrc, loss) = (words.next()?, words.next()?);
                blocks.push(Block {
                    ssrc,
                    fraction: (loss >> 24) as u8,
                    // Doubles can make it negative; then nothing is lost.
                    lost: if loss & 0x80_0000 == 0 { loss & 0x7f_ffff } else { 0 },
                    highest: words.next()?,
                    jitter: words.next()?,
                    last_report: words.next()?,
                    since: words.next()?,
                });
            }
            Some(Said::Report { ssrc, sender, blocks })
        }
        BYE => Some(Said::Bye(words.take(usize::from(count)).collect())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: SenderInfo =
        SenderInfo { ntp: 0x0102_0304_0506_0708, timestamp: 160, packets: 2, octets: 320 };
    const BLOCK: Block = Block {
        ssrc: 7,
        fraction: 64,
        lost: 3,
        highest: 65_537,
        jitter: 8,
        last_report: 0x0304_0506,
        since: 65_536,
    };

    #[test]
    fn what_is_written_is_read() {
        for (sender, block) in
            [(Some(INFO), Some(BLOCK)), (Some(INFO), None), (None, Some(BLOCK)), (None, None)]
        {
            for name in ["a", "ab", "abc", "abcd", "desk@10.20.2.1"] {
                let octets = report(9, sender, block, name);
                assert_eq!(octets.len() % 4, 0);
                let blocks = block.into_iter().collect();
                assert_eq!(parse(&octets), [Said::Report { ssrc: 9, sender, blocks }]);
            }
        }
        let said = parse(&goodbye(9, Some(BLOCK), "desk"));
        assert_eq!(said[1], Said::Bye(vec![9]));
    }

    #[test]
    fn a_report_begins_as_the_rfc_draws_it() {
        let octets = report(9, Some(INFO), Some(BLOCK), "desk");
        assert_eq!(octets[..8], [0x81, 200, 0, 12, 0, 0, 0, 9]);
        assert_eq!(octets[52..56], [0x81, 202, 0, 3], "then the name");
    }

    #[test]
    fn more_claimed_than_there_is_is_not_believed() {
        let good = report(9, Some(INFO), Some(BLOCK), "desk");
        for end in 0..good.len() {
            parse(&good[..end]);
        }
        let mut many = good.to_vec();
        many[0] = 0x9f;
        assert_eq!(parse(&many), [], "31 blocks in the room of one");
        let mut negative = good.to_vec();
        negative[33] = 0xff;
        assert!(matches!(&parse(&negative)[0], Said::Report { blocks, .. } if blocks[0].lost == 0));
    }
}
