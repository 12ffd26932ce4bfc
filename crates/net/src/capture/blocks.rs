//! Blocks of a pcapng file, little-endian, as bytes.
//!
//! Block types, options and their numbers are those of draft-ietf-opsawg-pcapng. A block is a type, its length, a
//! body, options, and its length again, everything in units of four octets.

use std::net::IpAddr;

/// The link type of every interface: Ethernet.
const LINKTYPE_ETHERNET: u16 = 1;

/// The type of secrets in a [`secrets`] block: lines of an NSS key log, "TLSK".
const TLS_KEY_LOG: u32 = 0x544c_534b;

/// The largest option value: its length has sixteen bits.
const OPTION_MAX: usize = 65_535;

const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const SHB_HARDWARE: u16 = 2;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const ISB_IFRECV: u16 = 4;

/// The start of a file: who wrote it, and what it is about.
pub(super) fn section(application: &str, hardware: &str, comment: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(0x1a2b_3c4d_u32.to_le_bytes());
    body.extend(1_u16.to_le_bytes());
    body.extend(0_u16.to_le_bytes());
    // The section's length is not known while it is being written.
    body.extend((-1_i64).to_le_bytes());
    let mut options = Vec::new();
    option(&mut options, OPT_COMMENT, comment.as_bytes());
    option(&mut options, SHB_HARDWARE, hardware.as_bytes());
    option(&mut options, SHB_USERAPPL, application.as_bytes());
    block(0x0a0d_0d0a, body, options)
}

/// An interface; packets name it by the order in which interfaces were written, from 0.
pub(super) fn interface(name: &str, description: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(LINKTYPE_ETHERNET.to_le_bytes());
    body.extend(0_u16.to_le_bytes());
    // No limit on the length of packets.
    body.extend(0_u32.to_le_bytes());
    let mut options = Vec::new();
    option(&mut options, IF_NAME, name.as_bytes());
    option(&mut options, IF_DESCRIPTION, description.as_bytes());
    // Times are in units of 10^-9 s.
    option(&mut options, IF_TSRESOL, &[9]);
    block(1, body, options)
}

/// A packet, with the comments on it; `nanos` counts since 1970.
pub(super) fn packet(interface: u32, nanos: u64, octets: &[u8], comments: &[String]) -> Vec<u8> {
    let length = u32::try_from(octets.len()).expect("packets fit an MTU");
    let mut body = Vec::with_capacity(20 + octets.len() + 4);
    body.extend(interface.to_le_bytes());
    body.extend(((nanos >> 32) as u32).to_le_bytes());
    body.extend((nanos as u32).to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(octets);
    pad(&mut body);
    block(6, body, comment_options(comments))
}

/// Names of addresses.
pub(super) fn names<'a>(names: impl IntoIterator<Item = (IpAddr, &'a str)>) -> Vec<u8> {
    let mut body = Vec::new();
    for (address, name) in names {
        let (kind, mut value) = match address {
            IpAddr::V4(v4) => (1_u16, v4.octets().to_vec()),
            IpAddr::V6(v6) => (2_u16, v6.octets().to_vec()),
        };
        value.extend(name.as_bytes());
        value.push(0);
        body.extend(kind.to_le_bytes());
        body.extend(u16::try_from(value.len()).expect("names are short").to_le_bytes());
        body.extend(value);
        pad(&mut body);
    }
    body.extend([0; 4]);
    block(4, body, Vec::new())
}

/// Lines of an NSS key log, each with its line end. A reader uses them for the packets behind this block.
pub(super) fn secrets(lines: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(TLS_KEY_LOG.to_le_bytes());
    body.extend(u32::try_from(lines.len()).expect("a few lines").to_le_bytes());
    body.extend(lines.as_bytes());
    pad(&mut body);
    block(10, body, Vec::new())
}

/// How many packets an interface saw, and comments that belong to none of them.
pub(super) fn statistics(interface: u32, nanos: u64, packets: u64, comments: &[String]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(interface.to_le_bytes());
    body.extend(((nanos >> 32) as u32).to_le_bytes());
    body.extend((nanos as u32).to_le_bytes());
    let mut options = comment_options(comments);
    option(&mut options, ISB_IFRECV, &packets.to_le_bytes());
    block(5, body, options)
}

fn comment_options(comments: &[String]) -> Vec<u8> {
    let mut options = Vec::new();
    for comment in comments {
        option(&mut options, OPT_COMMENT, comment.as_bytes());
    }
    options
}

/// Adds an option; an empty one is left out, and text that is too long is cut at a character's start.
fn option(options: &mut Vec<u8>, code: u16, value: &[u8]) {
    let mut end = value.len().min(OPTION_MAX);
    while end < value.len() && value[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    if end == 0 {
        return;
    }
    options.extend(code.to_le_bytes());
    options.extend((end as u16).to_le_bytes());
    options.extend(&value[..end]);
    pad(options);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn block(kind: u32, body: Vec<u8>, mut options: Vec<u8>) -> Vec<u8> {
    if !options.is_empty() {
        options.extend(OPT_END.to_le_bytes());
        options.extend(0_u16.to_le_bytes());
    }
    let length = u32::try_from(12 + body.len() + options.len()).expect("blocks are small");
    let mut block = Vec::with_capacity(length as usize);
    block.extend(kind.to_le_bytes());
    block.extend(length.to_le_bytes());
    block.extend(body);
    block.extend(options);
    block.extend(length.to_le_bytes());
    block
}
