//! DHCP packets: what is read of a client's, and how an answer is written (RFC 2131, RFC 2132).
//!
//! Of a client's options only those that this server understands reach the decoder; a broken option that nobody
//! needs must not cost the client its address.

use std::net::{Ipv4Addr, SocketAddrV4};

use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable as _, Decoder, Encodable as _};
use thiserror::Error;

use super::leases::{Client, Mac};

/// The largest packet that is read. Clients send at most 576 octets; some pad.
const PACKET_LIMIT: usize = 2048;

/// Octets before the options, the magic number included.
const HEAD: usize = 240;

/// The number before the options (RFC 2131 §3).
const MAGIC: [u8; 4] = [99, 130, 83, 99];

/// The options that are read.
const UNDERSTOOD: [u8; 8] = [50, 51, 53, 54, 55, 57, 60, 61];

/// Why a packet is not read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum PacketError {
    #[error("{0} octets are no DHCP packet")]
    Size(usize),
    #[error("not a request of a client")]
    NoRequest,
    #[error("no DHCP packet: {0}")]
    Malformed(String),
    #[error("no message type")]
    NoType,
}

/// What a client asks.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) message: Message,
    pub(crate) kind: MessageType,
    pub(crate) client: Client,
    /// The hardware address, if it is Ethernet's.
    pub(crate) mac: Option<Mac>,
    pub(crate) wished: Option<Ipv4Addr>,
    pub(crate) server: Option<Ipv4Addr>,
    pub(crate) lease_secs: Option<u32>,
    /// The options it wants; `None` wants whatever there is.
    pub(crate) list: Option<Vec<u8>>,
    pub(crate) vendor_class: Vec<u8>,
}

impl Asked {
    pub(crate) fn read(packet: &[u8]) -> Result<Asked, PacketError> {
        if packet.len() < HEAD || packet.len() > PACKET_LIMIT {
            return Err(PacketError::Size(packet.len()));
        }
        let address_length = usize::from(packet[2]);
        if packet[0] != 1 || packet[HEAD - 4..HEAD] != MAGIC || !(1..=16).contains(&address_length) {
            return Err(PacketError::NoRequest);
        }
        let sifted = sift(packet)?;
        let message = Message::decode(&mut Decoder::new(&sifted))
            .map_err(|why| PacketError::Malformed(why.to_string()))?;
        let options = message.opts();
        let kind = options.msg_type().ok_or(PacketError::NoType)?;
        let mac = <[u8; 6]>::try_from(message.chaddr()).ok().map(Mac);
        let client = match options.get(OptionCode::ClientIdentifier) {
            Some(DhcpOption::ClientIdentifier(id)) if id.len() >= 2 => Client(id.clone()),
            _ => Client([&[packet[1]], message.chaddr()].concat()),
        };
        let wished = match options.get(OptionCode::RequestedIpAddress) {
            Some(DhcpOption::RequestedIpAddress(address)) if !address.is_unspecified() => Some(*address),
            _ => None,
        };
        let server = match options.get(OptionCode::ServerIdentifier) {
            Some(DhcpOption::ServerIdentifier(address)) => Some(*address),
            _ => None,
        };
        let lease_secs = match options.get(OptionCode::AddressLeaseTime) {
            Some(DhcpOption::AddressLeaseTime(secs)) => Some(*secs),
            _ => None,
        };
        let list = match options.get(OptionCode::ParameterRequestList) {
            Some(DhcpOption::ParameterRequestList(codes)) => {
                Some(codes.iter().map(|code| u8::from(*code)).collect())
            }
            _ => None,
        };
        let vendor_class = match options.get(OptionCode::ClassIdentifier) {
            Some(DhcpOption::ClassIdentifier(class)) => class.clone(),
            _ => Vec::new(),
        };
        Ok(Asked { kind, client, mac, wished, server, lease_secs, list, vendor_class, message })
    }

    /// Whom the packet is about, for notes: the hardware address, or its octets if it is not Ethernet's.
    pub(crate) fn of(&self) -> String {
        match self.mac {
            Some(mac) => mac.to_string(),
            None => self.message.chaddr().iter().map(|octet| format!("{octet:02x}")).collect(),
        }
    }

    /// Whether it wants the option `code`.
    pub(crate) fn wants(&self, code: u8) -> bool {
        self.list.as_ref().is_none_or(|list| list.contains(&code))
    }

    /// An answer to it from `server`, without address and options but for the two that every answer has.
    pub(crate) fn answer(&self, kind: MessageType, server: Ipv4Addr) -> Message {
        let zero = Ipv4Addr::UNSPECIFIED;
        let asked = &self.message;
        let mut answer = Message::new_with_id(asked.xid(), zero, zero, zero, asked.giaddr(), asked.chaddr());
        answer.set_opcode(Opcode::BootReply).set_htype(asked.htype()).set_flags(asked.flags());
        answer.opts_mut().insert(DhcpOption::MessageType(kind));
        answer.opts_mut().insert(DhcpOption::ServerIdentifier(server));
        answer
    }

    /// Where an answer goes: to the relay, to the client's own address, or to everybody on the segment. A client
    /// without an address cannot be reached otherwise here, as nobody writes ARP tables by hand.
    pub(crate) fn answer_to(&self, kind: MessageType) -> SocketAddrV4 {
        let asked = &self.message;
        if !asked.giaddr().is_unspecified() {
            SocketAddrV4::new(asked.giaddr(), 67)
        } else if kind == MessageType::Nak || asked.flags().broadcast() || asked.ciaddr().is_unspecified() {
            SocketAddrV4::new(Ipv4Addr::BROADCAST, 68)
        } else {
            SocketAddrV4::new(asked.ciaddr(), 68)
        }
    }
}

/// The same packet with the understood options only.
fn sift(packet: &[u8]) -> Result<Vec<u8>, PacketError> {
    let mut sifted = packet[..HEAD].to_vec();
    let mut rest = &packet[HEAD..];
    while let [code, after @ ..] = rest {
        match code {
            0 => rest = after,
            255 => break,
            _ => {
                let cut = || PacketError::Malformed(format!("option {code} is cut off"));
                let (length, after) = after.split_first().ok_or_else(cut)?;
                let value = after.get(..usize::from(*length)).ok_or_else(cut)?;
                if UNDERSTOOD.contains(code) {
                    sifted.extend_from_slice(&[*code, *length]);
                    sifted.extend_from_slice(value);
                }
                rest = &after[value.len()..];
            }
        }
    }
    sifted.push(255);
    Ok(sifted)
}

/// An answer's octets, padded to the 300 that BOOTP relays and some clients insist on (RFC 1542 §2.1).
pub(crate) fn write(message: &Message) -> Vec<u8> {
    let mut octets = message.to_vec().expect("an answer of checked options always encodes");
    if octets.len() < 300 {
        octets.resize(300, 0);
    }
    octets
}

/// The name of a message type, as RFC 2131 has it but for the prefix.
pub(crate) fn spell(kind: MessageType) -> String {
    format!("{kind:?}").to_uppercase()
}
