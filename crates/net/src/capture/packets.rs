//! Packets made up around payloads: Ethernet, IPv4 or IPv6, UDP or TCP, with lengths and checksums that hold.
//!
//! Every address has a hardware address of its own, made from the address (locally administered, IEEE 802 §8.4), as if
//! all of them were behind one switch.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::{
    EtherType, Ethernet2Header, IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header,
    TcpHeader, TcpOptionElement, UdpHeader,
};

/// The largest IP packet on the links (IEEE 802.3).
const MTU: usize = 1_500;

/// The most TCP payload in one packet: what fits the MTU over IPv6 and, with room to spare, over IPv4.
pub(super) const SEGMENT_MAX: usize = 1_440;

/// The largest UDP payload that the lengths of UDP and IPv4 can tell.
const UDP_PAYLOAD_MAX: usize = 65_507;

/// How far windows are scaled (RFC 7323): no receiver's window is ever the reason for anything in a lab.
const WINDOW_SHIFT: u8 = 8;

/// What a TCP segment says beside its payload.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) psh: bool,
}

/// The frames that carry a datagram: one, or its fragments (RFC 791 §2.3, RFC 8200 §4.5).
pub(super) fn datagram(from: SocketAddr, to: SocketAddr, number: u32, payload: &[u8]) -> Vec<Vec<u8>> {
    let payload = &payload[..payload.len().min(UDP_PAYLOAD_MAX)];
    let addresses = Addresses::new(from.ip(), to.ip());
    let header = match addresses {
        Addresses::V4(a, b) => {
            UdpHeader::with_ipv4_checksum(from.port(), to.port(), &v4_header(a, b, IpNumber::UDP), payload)
        }
        Addresses::V6(a, b) => {
            UdpHeader::with_ipv6_checksum(from.port(), to.port(), &v6_header(a, b, IpNumber::UDP), payload)
        }
    };
    let header = header.expect("the payload was cut to what fits");
    let mut content = header.to_bytes().to_vec();
    content.extend(payload);
    frames(addresses, IpNumber::UDP, number, &content)
}

/// The frame that carries a TCP segment of at most [`SEGMENT_MAX`] octets.
pub(super) fn segment(
    from: SocketAddr,
    to: SocketAddr,
    number: u32,
    sequence: u32,
    acknowledged: Option<u32>,
    flags: Flags,
    payload: &[u8],
) -> Vec<u8> {
    let mut header = TcpHeader::new(from.port(), to.port(), sequence, if flags.rst { 0 } else { u16::MAX });
    header.syn = flags.syn;
    header.fin = flags.fin;
    header.rst = flags.rst;
    header.psh = flags.psh;
    header.ack = acknowledged.is_some();
    header.acknowledgment_number = acknowledged.unwrap_or(0);
    if flags.syn {
        let options = [
            TcpOptionElement::MaximumSegmentSize(SEGMENT_MAX as u16),
            TcpOptionElement::SelectiveAcknowledgementPermitted,
            TcpOptionElement::Noop,
            TcpOptionElement::WindowScale(WINDOW_SHIFT),
        ];
        header.set_options(&options).expect("three short options fit");
    }
    let addresses = Addresses::new(from.ip(), to.ip());
    let checksum = match addresses {
        Addresses::V4(a, b) => header.calc_checksum_ipv4(&v4_header(a, b, IpNumber::TCP), payload),
        Addresses::V6(a, b) => header.calc_checksum_ipv6(&v6_header(a, b, IpNumber::TCP), payload),
    };
    header.checksum = checksum.expect("segments fit an MTU");
    let mut content = header.to_bytes().to_vec();
    content.extend(payload);
    frames(addresses, IpNumber::TCP, number, &content).remove(0)
}

/// Two addresses of one family.
#[derive(Clone, Copy)]
enum Addresses {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Addresses {
    /// Of two families, the older one is written in the newer one's way (RFC 4291 §2.5.5.2).
    fn new(from: IpAddr, to: IpAddr) -> Addresses {
        match (from.to_canonical(), to.to_canonical()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => Addresses::V4(from, to),
            (from, to) => {
                let newer = |address| match address {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => v6,
                };
                Addresses::V6(newer(from), newer(to))
            }
        }
    }
}

fn v4_header(from: Ipv4Addr, to: Ipv4Addr, protocol: IpNumber) -> Ipv4Header {
    Ipv4Header {
        protocol,
        time_to_live: 64,
        source: from.octets(),
        destination: to.octets(),
        ..Ipv4Header::default()
    }
}

fn v6_header(from: Ipv6Addr, to: Ipv6Addr, next_header: IpNumber) -> Ipv6Header {
    Ipv6Header {
        next_header,
        hop_limit: 64,
        source: from.octets(),
        destination: to.octets(),
        ..Ipv6Header::default()
    }
}

fn frames(addresses: Addresses, protocol: IpNumber, number: u32, content: &[u8]) -> Vec<Vec<u8>> {
    let room = match addresses {
        Addresses::V4(..) => MTU - Ipv4Header::MIN_LEN,
        Addresses::V6(..) => MTU - Ipv6Header::LEN,
    };
    if content.len() <= room {
        return vec![frame(addresses, protocol, number, Fragment::Whole, content)];
    }
    let room = match addresses {
        Addresses::V4(..) => room,
        Addresses::V6(..) => room - Ipv6FragmentHeader::LEN,
    };
    // Fragments but the last end at a multiple of eight octets.
    let room = room / 8 * 8;
    let pieces = content.chunks(room).enumerate();
    pieces
        .map(|(index, piece)| {
            let offset = IpFragOffset::try_new((index * room / 8) as u16).expect("64 KiB are 8,192 units");
            let more = (index + 1) * room < content.len();
            frame(addresses, protocol, number, Fragment::Part { offset, more }, piece)
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Fragment {
    Whole,
    Part { offset: IpFragOffset, more: bool },
}

fn frame(
    addresses: Addresses,
    protocol: IpNumber,
    number: u32,
    fragment: Fragment,
    content: &[u8],
) -> Vec<u8> {
    let mut octets = Vec::with_capacity(14 + 48 + content.len());
    match addresses {
        Addresses::V4(from, to) => {
            octets.extend(ethernet(from.into(), to.into(), EtherType::IPV4));
            let mut header = v4_header(from, to, protocol);
            header.identification = number as u16;
            match fragment {
                Fragment::Whole => header.dont_fragment = protocol == IpNumber::TCP,
                Fragment::Part { offset, more } => {
                    (header.fragment_offset, header.more_fragments) = (offset, more);
                    header.dont_fragment = false;
                }
            }
            header.set_payload_len(content.len()).expect("packets fit an MTU");
            header.header_checksum = header.calc_header_checksum();
            octets.extend(header.to_bytes());
        }
        Addresses::V6(from, to) => {
            octets.extend(ethernet(from.into(), to.into(), EtherType::IPV6));
            let mut header = v6_header(from, to, protocol);
            let extension = match fragment {
                Fragment::Whole => None,
                Fragment::Part { offset, more } => {
                    header.next_header = IpNumber::IPV6_FRAGMENTATION_HEADER;
                    Some(Ipv6FragmentHeader::new(protocol, offset, more, number))
                }
            };
            let length = content.len() + extension.as_ref().map_or(0, Ipv6FragmentHeader::header_len);
            header.set_payload_length(length).expect("packets fit an MTU");
            octets.extend(header.to_bytes());
            octets.extend(extension.iter().flat_map(Ipv6FragmentHeader::to_bytes));
        }
    }
    octets.extend(content);
    octets
}

fn ethernet(from: IpAddr, to: IpAddr, ether_type: EtherType) -> [u8; 14] {
    Ethernet2Header { source: hardware(from), destination: hardware(to), ether_type }.to_bytes()
}

/// The hardware address that stands for an address.
fn hardware(address: IpAddr) -> [u8; 6] {
    match address {
        IpAddr::V4(Ipv4Addr::BROADCAST) => [0xff; 6],
        IpAddr::V4(v4) if v4.is_multicast() => {
            let [_, b, c, d] = v4.octets();
            [0x01, 0x00, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            [0x02, 0x00, a, b, c, d]
        }
        IpAddr::V6(v6) => {
            let octets = v6.octets();
            let [a, b, c, d] = [octets[12], octets[13], octets[14], octets[15]];
            if v6.is_multicast() { [0x33, 0x33, a, b, c, d] } else { [0x02, 0x06, a, b, c, d] }
        }
    }
}
