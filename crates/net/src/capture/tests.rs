//! Captures, read back by strangers.

use std::net::SocketAddr;

use etherparse::{SlicedPacket, TransportSlice};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::{Block, PcapNgParser};
use proptest::prelude::*;

use super::*;

const CLIENT: &str = "10.20.1.5:49152";
const SERVER: &str = "192.0.2.20:443";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn capture() -> (Capture, Interface) {
    let mut capture = Capture::new(Wall::from_unix_secs(1_539_075_600), "a test");
    let hq = capture.interface("hq", "the head office");
    (capture, hq)
}

/// A packet as another library reads it.
#[derive(Debug, PartialEq)]
struct Seen {
    nanos: u128,
    frame: Vec<u8>,
    comments: Vec<String>,
}

/// What another library finds in a file: the kinds of its blocks in order, and its packets.
fn read(file: &[u8]) -> (Vec<&'static str>, Vec<Seen>) {
    let (mut rest, mut parser) = PcapNgParser::new(file).expect("a file's start");
    let (mut kinds, mut packets) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        let (after, block) = parser.next_block(rest).expect("a block");
        rest = after;
        kinds.push(match block {
            Block::InterfaceDescription(_) => "interface",
            Block::EnhancedPacket(packet) => {
                let comments = packet.options.iter().filter_map(|option| match option {
                    EnhancedPacketOption::Common(CommonOption::Comment(text)) => Some(text.to_string()),
                    _ => None,
                });
                packets.push(Seen {
                    nanos: packet.timestamp.as_nanos(),
                    comments: comments.collect(),
                    frame: packet.data.to_vec(),
                });
                "packet"
            }
            Block::NameResolution(_) => "names",
            Block::InterfaceStatistics(_) => "statistics",
            Block::Unknown(block) if block.type_ == 10 => "secrets",
            other => panic!("an unexpected block: {other:?}"),
        });
    }
    (kinds, packets)
}

fn packets(mut capture: Capture) -> Vec<Seen> {
    capture.finish(Time::from_secs(100));
    read(&capture.take_output()).1
}

/// One line for a TCP segment, its numbers counted from the first that each end used.
fn spell_segments(packets: &[Seen]) -> Vec<String> {
    let mut first = BTreeMap::new();
    let spell = |seen: &Seen| {
        let sliced = SlicedPacket::from_ethernet(&seen.frame).expect("a packet");
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP segment") };
        let zero = *first.entry(tcp.source_port()).or_insert(tcp.sequence_number());
        let far = first.get(&tcp.destination_port()).copied().unwrap_or(0);
        let flags = [(tcp.syn(), 'S'), (tcp.fin(), 'F'), (tcp.rst(), 'R'), (tcp.psh(), 'P')];
        let flags: String = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| *letter).collect();
        let ack = tcp.ack().then(|| tcp.acknowledgment_number().wrapping_sub(far));
        let ack = ack.map_or_else(String::new, |ack| format!(" ack {ack}"));
        format!(
            "{} {flags} {}+{}{ack}",
            tcp.source_port(),
            tcp.sequence_number().wrapping_sub(zero),
            tcp.payload().len()
        )
    };
    packets.iter().map(spell).collect()
}

#[test]
fn a_stream_becomes_a_connection_whose_numbers_hold() {
    let (mut capture, hq) = capture();
    let at = Time::from_secs(1);
    let flow = capture.connected(at, hq, address(CLIENT), address(SERVER));
    capture.data(at, flow, End::Client, &[b'x'; 3_000]);
    capture.data(at, flow, End::Server, b"answer");
    capture.closed(at, flow, End::Client);
    capture.data(at, flow, End::Server, b"!");
    capture.closed(at, flow, End::Server);
    capture.data(at, flow, End::Server, b"not shown");
    assert_eq!(
        spell_segments(&packets(capture)),
        [
            "49152 S 0+0",
            "443 S 0+0 ack 1",
            "49152  1+0 ack 1",
            "49152  1+1440 ack 1",
            "49152  1441+1440 ack 1",
            "49152 P 2881+120 ack 1",
            "443  1+0 ack 3001",
            "443 P 1+6 ack 3001",
            "49152  3001+0 ack 7",
            "49152 F 3001+0 ack 7",
            "443  7+0 ack 3002",
            "443 P 7+1 ack 3002",
            "49152  3002+0 ack 8",
            "443 F 8+0 ack 3002",
            "49152  3002+0 ack 9",
        ]
    );
}

#[test]
fn a_lost_segment_is_seen_twice_and_says_that_it_was_lost() {
    let (mut capture, hq) = capture();
    let flow = capture.connected(Time::ZERO, hq, address(CLIENT), address(SERVER));
    let data = Segment::Data { offset: 0, octets: b"hello" };
    capture.segment(Time::from_secs(1), flow, End::Client, data, Some("lost"));
    capture.segment(Time::from_secs(2), flow, End::Client, data, None);
    capture.reset(Time::from_secs(3), flow, End::Client);
    let packets = packets(capture);
    assert_eq!(packets[3].comments, ["lost"]);
    assert!(packets[4].comments.is_empty());
    let segments = spell_segments(&packets);
    assert_eq!(segments[3..5], ["49152 P 1+5 ack 1", "49152 P 1+5 ack 1"]);
}

#[test]
fn times_are_wall_times_to_the_nanosecond() {
    let (mut capture, hq) = capture();
    capture.datagram(Time::from_nanos(1_000_000_001), hq, address(CLIENT), address(SERVER), b"x", None);
    assert_eq!(packets(capture)[0].nanos, 1_539_075_601_000_000_001);
}

#[test]
fn a_remark_stands_on_the_packet_of_its_moment_or_on_the_next_one() {
    let (mut capture, hq) = capture();
    let send = |capture: &mut Capture, secs| {
        capture.datagram(Time::from_secs(secs), hq, address(CLIENT), address(SERVER), b"x", None);
    };
    send(&mut capture, 1);
    capture.remark(Time::from_secs(1), "desk: screen idle");
    capture.remark(Time::from_secs(2), "desk: power off");
    send(&mut capture, 3);
    capture.remark(Time::from_secs(4), "the end");
    let comments: Vec<_> = packets(capture).into_iter().map(|seen| seen.comments).collect();
    assert_eq!(
        comments,
        [vec!["1.000s desk: screen idle"], vec!["2.000s desk: power off", "4.000s the end"]]
    );
}

#[test]
fn remarks_that_no_packet_takes_are_bounded_and_counted() {
    let (mut capture, hq) = capture();
    for second in 0..100 {
        capture.remark(Time::from_secs(second), "tick");
    }
    capture.datagram(Time::from_secs(200), hq, address(CLIENT), address(SERVER), b"x", None);
    let comments = packets(capture).remove(0).comments;
    assert_eq!(comments[0], "(36 earlier remarks are left out)");
    assert_eq!((comments.len(), comments[1].as_str()), (65, "36.000s tick"));
}

#[test]
fn names_and_secrets_stand_before_what_needs_them_and_once() {
    let (mut capture, hq) = capture();
    for _ in 0..2 {
        capture.name(address(SERVER).ip(), "fe");
        capture.secrets(["CLIENT_RANDOM 00 11", "two\nlines", ""]);
    }
    capture.datagram(Time::ZERO, hq, address(CLIENT), address(SERVER), b"x", None);
    capture.finish(Time::ZERO);
    let file = capture.take_output();
    assert_eq!(read(&file).0, ["interface", "names", "secrets", "packet", "statistics"]);
    assert!(!file.windows(3).any(|octets| octets == b"two"));
}

#[test]
fn a_capture_keeps_nothing_of_what_was_taken_out() {
    let (mut capture, hq) = capture();
    let flow = capture.connected(Time::ZERO, hq, address(CLIENT), address(SERVER));
    let mut written = capture.take_output().len();
    for second in 1..1_000 {
        capture.data(Time::from_secs(second), flow, End::Client, &[0; 1_000]);
        capture.flush();
        let piece = capture.take_output();
        assert!(piece.len() < 1_500, "{}", piece.len());
        written += piece.len();
    }
    assert!(written > 1_000_000);
}

#[test]
fn the_largest_datagram_is_cut_into_fragments_that_fit_the_network() {
    for (from, to) in
        [(CLIENT, SERVER), ("[2001:db8::1]:5060", "[2001:db8::2]:5060"), (CLIENT, "[2001:db8::2]:1")]
    {
        let (mut capture, hq) = capture();
        capture.datagram(Time::ZERO, hq, address(from), address(to), &[7; 70_000], None);
        let packets = packets(capture);
        assert!(packets.iter().all(|seen| seen.frame.len() <= 1_514));
        let mut pool = etherparse::defrag::IpDefragPool::<(), ()>::new();
        let mut whole = None;
        for seen in &packets {
            let sliced = SlicedPacket::from_ethernet(&seen.frame).expect("a packet");
            whole =
                pool.process_sliced_packet(&sliced, (), ()).expect("fragments that fit together").or(whole);
        }
        let whole = whole.expect("the last fragment completes the datagram");
        assert_eq!(whole.payload.len(), 8 + 65_507);
    }
}

fn any_address() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

proptest! {
    #[test]
    fn every_packet_has_lengths_and_checksums_that_hold(
        from in any_address(), to in any_address(), payload in proptest::collection::vec(any::<u8>(), 1..1_400),
        text in ".*",
    ) {
        let (mut capture, hq) = capture();
        capture.name(from.ip(), &text);
        capture.remark(Time::ZERO, &text);
        capture.datagram(Time::ZERO, hq, from, to, &payload, None);
        let flow = capture.connected(Time::ZERO, hq, from, to);
        capture.data(Time::ZERO, flow, End::Server, &payload);
        let packets = packets(capture);
        prop_assert_eq!(packets.len(), 6);
        for seen in packets {
            let sliced = SlicedPacket::from_ethernet(&seen.frame).expect("a packet");
            let net = sliced.net.expect("IP");
            let pseudo = match &net {
                etherparse::NetSlice::Ipv4(ip) => {
                    let header = ip.header().to_header();
                    prop_assert_eq!(header.calc_header_checksum(), header.header_checksum);
                    [header.source.to_vec(), header.destination.to_vec()].concat()
                }
                etherparse::NetSlice::Ipv6(ip) => {
                    [ip.header().source().to_vec(), ip.header().destination().to_vec()].concat()
                }
                etherparse::NetSlice::Arp(_) => panic!("nobody asked"),
            };
            let ip = net.ip_payload_ref().expect("a payload");
            prop_assert_eq!(ones_complement(&pseudo, ip.ip_number.0, ip.payload), 0xffff);
        }
    }
}

/// The sum of RFC 1071 over the pseudo header and all octets, the checksum included: 0xffff if it holds.
fn ones_complement(addresses: &[u8], protocol: u8, octets: &[u8]) -> u32 {
    let mut all = addresses.to_vec();
    all.extend([0, protocol]);
    all.extend((octets.len() as u16).to_be_bytes());
    all.extend(octets);
    all.resize(all.len().next_multiple_of(2), 0);
    let mut sum: u32 = all.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}
