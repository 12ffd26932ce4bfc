//! DHCP packets (RFC 2131, RFC 2132): what the phone asks, and what it understands of the answers.
//!
//! Answers are read option by option, each on its own: one that makes no sense is passed over and does not
//! spoil the rest. Nothing here keeps time or state.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use dhcproto::Encodable as _;
use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, OptionCode};

use super::uc_client::{UC_CLASS, UcClient};
use crate::model::{Mac, Model};

/// Octets before the options, the magic cookie included.
const HEAD: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Octets of an answer that are looked at.
const PACKET_LIMIT: usize = 4096;
/// No lease is taken for shorter than this; shorter ones would make the phone ask all the time.
const LEASE_MIN: Duration = Duration::from_secs(10);
/// Servers of one kind that are remembered.
const SERVERS_LIMIT: usize = 4;

/// What the phone says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Who has an address for me?
    Discover,
    /// I take that offer.
    Request {
        /// The offered address.
        address: Ipv4Addr,
        /// Whose offer.
        server: Ipv4Addr,
    },
    /// I keep my address: to its server, or to all.
    Renew(Ipv4Addr),
    /// I have an address; what do you tell `MS-UC-Client`?
    Inform(Ipv4Addr),
}

/// A packet from the phone.
pub(super) fn write(ask: Ask, xid: u32, secs: u16, mac: Mac, model: &Model) -> Vec<u8> {
    let zero = Ipv4Addr::UNSPECIFIED;
    let mut message = Message::new_with_id(xid, zero, zero, zero, zero, &mac.0);
    message.set_secs(secs);
    let (kind, at_hand) = match ask {
        Ask::Discover => (MessageType::Discover, None),
        Ask::Request { .. } => (MessageType::Request, None),
        Ask::Renew(address) => (MessageType::Request, Some(address)),
        Ask::Inform(address) => (MessageType::Inform, Some(address)),
    };
    match at_hand {
        Some(address) => drop(message.set_ciaddr(address)),
        // Whoever has no address can only be reached by broadcast (RFC 2131 §4.1).
        None => drop(message.set_flags(Flags::default().set_broadcast())),
    }
    let options = message.opts_mut();
    options.insert(DhcpOption::MessageType(kind));
    let client_id: Vec<u8> = std::iter::once(1).chain(mac.0).collect();
    options.insert(DhcpOption::ClientIdentifier(client_id));
    options.insert(DhcpOption::MaxMessageSize(1500));
    if let Ask::Request { address, server } = ask {
        options.insert(DhcpOption::RequestedIpAddress(address));
        options.insert(DhcpOption::ServerIdentifier(server));
    }
    let (class, wanted): (String, &[u8]) = match ask {
        Ask::Inform(_) => (UC_CLASS.to_owned(), &[43, 120]),
        Ask::Discover | Ask::Request { .. } | Ask::Renew(_) => {
            // The device names itself here, but nobody wrote down how exactly: a guess.
            (format!("Polycom-{}", model.label.replace(' ', "")), &[1, 2, 3, 6, 15, 42, 51, 58, 59, 66, 160])
        }
    };
    options.insert(DhcpOption::ClassIdentifier(class.into_bytes()));
    options.insert(DhcpOption::ParameterRequestList(
        wanted.iter().map(|code| OptionCode::from(*code)).collect(),
    ));
    let mut octets = message.to_vec().expect("a question of few short options always encodes");
    // BOOTP's length, below which some relays drop a packet (RFC 1542 §2.1).
    if octets.len() < 300 {
        octets.resize(300, 0);
    }
    octets
}

/// What kind of answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplyKind {
    Offer,
    Ack,
    Nak,
}

/// An answer to this phone.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) kind: ReplyKind,
    pub(super) xid: u32,
    /// The address offered or granted.
    pub(super) address: Ipv4Addr,
    /// Option 54.
    pub(super) server: Option<Ipv4Addr>,
    options: BTreeMap<u8, Vec<u8>>,
}

/// What came with an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Options 58, 59 and 51, or what RFC 2131 §4.4.5 puts in their place: renew after, ask all after, over after.
    pub(super) spans: Option<(Duration, Duration, Duration)>,
    /// Option 1: the subnet mask.
    pub mask: Option<Ipv4Addr>,
    /// Option 3: the first router.
    pub router: Option<Ipv4Addr>,
    /// Option 6: DNS servers.
    pub dns_servers: Vec<IpAddr>,
    /// Option 15: the domain.
    pub domain: Option<String>,
    /// Option 42: time servers.
    pub ntp_servers: Vec<Ipv4Addr>,
    /// Option 2: seconds east of UTC.
    pub offset_s: Option<i32>,
    /// Option 160, the device's own: the provisioning server.
    pub custom_boot_server: Option<String>,
    /// Option 66: the boot server.
    pub boot_server: Option<String>,
}

impl Reply {
    /// Reads a datagram; `None` if it is no DHCP answer to this phone.
    pub(super) fn read(octets: &[u8], mac: Mac) -> Option<Reply> {
        let octets = &octets[..octets.len().min(PACKET_LIMIT)];
        let (head, rest) = octets.split_at_checked(HEAD)?;
        let is_answer = head[0] == 2 && head[1] == 1 && head[2] == 6;
        if !is_answer || head[28..34] != mac.0 || head[236..] != COOKIE {
            return None;
        }
        let options = read_options(rest);
        let kind = match options.get(&53).map(Vec::as_slice) {
            Some([2]) => ReplyKind::Offer,
            Some([5]) => ReplyKind::Ack,
            Some([6]) => ReplyKind::Nak,
            _ => return None,
        };
        let word = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
        let server = options.get(&54).and_then(|octets| addresses(octets).next());
        Some(Reply {
            kind,
            xid: u32::from_be_bytes(word(4)),
            address: Ipv4Addr::from(word(16)),
            server,
            options,
        })
    }

    /// What came with the address.
    pub(super) fn granted(&self) -> Granted {
        let addresses = |code: u8| self.options.get(&code).into_iter().flat_map(|octets| addresses(octets));
        let text = |code: u8| self.options.get(&code).and_then(|octets| text(octets));
        Granted {
            spans: self.spans(),
            mask: addresses(1).next(),
            router: addresses(3).next(),
            dns_servers: addresses(6).take(SERVERS_LIMIT).map(IpAddr::V4).collect(),
            domain: text(15),
            ntp_servers: addresses(42).take(SERVERS_LIMIT).collect(),
            offset_s: self.number(2).map(|number| number as i32),
            custom_boot_server: text(160),
            boot_server: text(66),
        }
    }

    /// What `MS-UC-Client` was told; `None` if nothing.
    pub(super) fn uc_client(&self) -> Option<UcClient> {
        let vendor = self.options.get(&43).map(Vec::as_slice).unwrap_or_default();
        let server = self.options.get(&120).map(Vec::as_slice).unwrap_or_default();
        UcClient::read(vendor, server)
    }

    fn number(&self, code: u8) -> Option<u32> {
        Some(u32::from_be_bytes(self.options.get(&code)?.as_slice().try_into().ok()?))
    }

    fn spans(&self) -> Option<(Duration, Duration, Duration)> {
        let whole = Duration::from_secs(self.number(51)?.into()).max(LEASE_MIN);
        let seconds = |code| self.number(code).map(|seconds| Duration::from_secs(seconds.into()));
        let rebind = seconds(59).filter(|span| *span < whole).unwrap_or(whole * 7 / 8);
        let renew = seconds(58).filter(|span| *span < rebind && !span.is_zero()).unwrap_or(whole / 2);
        Some((renew.min(rebind), rebind, whole))
    }
}

/// Options by code; one that comes in pieces is put together (RFC 3396). Ends at the first that breaks off.
pub(super) fn read_options(octets: &[u8]) -> BTreeMap<u8, Vec<u8>> {
    let mut options: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    let mut rest = octets;
    while let [code, after @ ..] = rest {
        match code {
            0 => rest = after,
            255 => break,
            _ => {
                let Some((length, after)) = after.split_first() else { break };
                let Some((value, after)) = after.split_at_checked(usize::from(*length)) else { break };
                options.entry(*code).or_default().extend(value);
                rest = after;
            }
        }
    }
    options
}

fn addresses(octets: &[u8]) -> impl Iterator<Item = Ipv4Addr> {
    let all = octets.chunks_exact(4).map(|a| Ipv4Addr::new(a[0], a[1], a[2], a[3]));
    all.filter(|address| !address.is_unspecified())
}

/// Printable ASCII, without the NUL that some servers put at the end.
pub(super) fn text(octets: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(octets).ok()?.trim_end_matches('\0').trim();
    let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    is_plain.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC: Mac = Mac([0, 4, 0xf2, 0xab, 0xcd, 0xef]);

    #[test]
    fn what_the_phone_asks_is_what_a_server_reads() {
        use dhcproto::{Decodable as _, Decoder};
        let model = Model::find("vvx600").expect("a model");
        let octets = write(Ask::Discover, 7, 3, MAC, model);
        let read = Message::decode(&mut Decoder::new(&octets)).expect("a packet");
        assert_eq!((read.xid(), read.secs(), read.chaddr()), (7, 3, &MAC.0[..]));
        assert!(read.flags().broadcast());
        assert!(read.opts().has_msg_type(MessageType::Discover));
        let Some(DhcpOption::ClassIdentifier(class)) = read.opts().get(OptionCode::ClassIdentifier) else {
            panic!("a vendor class")
        };
        assert_eq!(class, b"Polycom-VVX600");
        let address = Ipv4Addr::new(10, 20, 2, 1);
        let octets = write(Ask::Inform(address), 8, 0, MAC, model);
        let read = Message::decode(&mut Decoder::new(&octets)).expect("a packet");
        assert_eq!(read.ciaddr(), address);
        let list = DhcpOption::ParameterRequestList(vec![OptionCode::from(43), OptionCode::from(120)]);
        assert_eq!(read.opts().get(OptionCode::ParameterRequestList), Some(&list));
    }

    fn reply(options: &[u8]) -> Vec<u8> {
        let mut octets = vec![0; HEAD];
        octets[0] = 2;
        octets[1] = 1;
        octets[2] = 6;
        octets[4..8].copy_from_slice(&7u32.to_be_bytes());
        octets[16..20].copy_from_slice(&[10, 20, 2, 1]);
        octets[28..34].copy_from_slice(&MAC.0);
        octets[236..].copy_from_slice(&COOKIE);
        octets.extend(options);
        octets
    }

    #[test]
    fn one_bad_option_does_not_spoil_the_others() {
        let options =
            [53, 1, 5, 51, 4, 0, 0, 14, 16, 15, 3, 0xff, 0xfe, 0, 6, 5, 192, 0, 2, 53, 9, 42, 200, 1];
        let read = Reply::read(&reply(&options), MAC).expect("an answer");
        let granted = read.granted();
        assert_eq!(read.kind, ReplyKind::Ack);
        assert_eq!(granted.dns_servers, [IpAddr::from([192, 0, 2, 53])]);
        assert_eq!((granted.domain, granted.ntp_servers), (None, vec![]));
        let secs = Duration::from_secs;
        assert_eq!(granted.spans, Some((secs(1800), secs(3150), secs(3600))));
    }

    #[test]
    fn an_answer_to_somebody_else_is_none() {
        let mut other = reply(&[53, 1, 5]);
        other[33] ^= 1;
        assert!(Reply::read(&other, MAC).is_none());
        assert!(Reply::read(&reply(&[53, 1, 1]), MAC).is_none(), "what clients say is no answer");
        assert!(Reply::read(&reply(&[]), MAC).is_none());
    }

    #[test]
    fn senseless_times_are_replaced_by_those_of_the_rfc() {
        let spans = |t1: u32, t2: u32, whole: u32| {
            let mut options = vec![53, 1, 5];
            for (code, seconds) in [(58, t1), (59, t2), (51, whole)] {
                options.extend([code, 4]);
                options.extend(seconds.to_be_bytes());
            }
            let spans = Reply::read(&reply(&options), MAC).and_then(|reply| reply.granted().spans);
            spans.map(|(a, b, c)| (a.as_secs(), b.as_secs(), c.as_secs()))
        };
        assert_eq!(spans(10, 20, 30), Some((10, 20, 30)));
        assert_eq!(spans(20, 10, 800), Some((10, 10, 800)));
        assert_eq!(spans(0, 900, 800), Some((400, 700, 800)));
        assert_eq!(spans(0, 0, 0), Some((0, 0, 10)));
        assert_eq!(spans(u32::MAX, u32::MAX, u32::MAX), Some((2_147_483_647, 3_758_096_383, 4_294_967_295)));
    }

    proptest! {
        #[test]
        fn any_octets_are_an_answer_or_none(options in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Some(reply) = Reply::read(&reply(&options), MAC) {
                let _ = (reply.granted(), reply.uc_client());
            }
            let _ = Reply::read(&options, MAC);
        }
    }
}
