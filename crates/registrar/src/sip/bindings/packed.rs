//! One binding in as little room as it needs: all its texts in one piece, addresses of IPv4 without room for IPv6.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use net::{StreamId, Time};

use super::{Binding, Held, HeldPlain, Plain};
use crate::sip::flow::Carrier;

/// An address: most are of IPv4.
#[derive(Clone, Debug)]
enum Address {
    V4([u8; 4], u16),
    Other(Box<SocketAddr>),
}

impl Address {
    fn pack(address: SocketAddr) -> Address {
        match address.ip() {
            IpAddr::V4(ip) => Address::V4(ip.octets(), address.port()),
            IpAddr::V6(_) => Address::Other(Box::new(address)),
        }
    }

    fn unpack(&self) -> SocketAddr {
        match self {
            Address::V4(ip, port) => SocketAddr::new(Ipv4Addr::from(*ip).into(), *port),
            Address::Other(address) => **address,
        }
    }
}

/// What ordinary user agents' bindings have besides.
#[derive(Clone, Debug)]
struct PackedPlain {
    carrier: Carrier,
    q: u16,
    reg_id: Option<u32>,
    target: Option<Address>,
}

/// Which texts there are before the proxies of the Path.
const TEXTS: usize = 8;

/// A binding, packed.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    /// Address, contact, endpoint (empty if it is the contact), instance, GRUU, Call-ID, both tags; then the Contact's
    /// parameters and the proxies, each behind a line end, which none of them can hold.
    text: Box<str>,
    ends: [u16; TEXTS],
    cseq: u32,
    until: Time,
    /// [`Time::NEVER`] if it has not.
    lost_at: Time,
    connection: Option<std::num::NonZeroU64>,
    received: Address,
    plain: Option<PackedPlain>,
    /// When it is looked at next, to see whether it has ended.
    pub(super) looked_at: Time,
    /// The next endpoint of the same address; the place of this one if there is none.
    pub(super) next: u32,
}

impl Packed {
    /// Packs a binding; its own texts have limits far below the 64 KiB that can be told apart here, those of records from
    /// a disk as well.
    pub(super) fn pack(binding: &Binding) -> Packed {
        let endpoint = if binding.endpoint == binding.contact { "" } else { &binding.endpoint };
        let texts: [&str; TEXTS] = [
            &binding.aor,
            &binding.contact,
            endpoint,
            &binding.instance,
            &binding.gruu,
            &binding.call_id,
            &binding.client_tag,
            &binding.server_tag,
        ];
        let (params, path): (&str, &[String]) = match &binding.plain {
            Some(plain) => (&plain.params, &plain.path),
            None => ("", &[]),
        };
        let more = path.iter().map(|hop| hop.len() + 1).sum::<usize>() + params.len();
        let mut text = String::with_capacity(texts.iter().map(|text| text.len()).sum::<usize>() + more);
        let mut ends = [0; TEXTS];
        for (end, part) in ends.iter_mut().zip(texts) {
            text.push_str(part);
            *end = u16::try_from(text.len()).unwrap_or(u16::MAX);
        }
        text.push_str(params);
        for hop in path {
            text.push('\n');
            text.push_str(hop);
        }
        Packed {
            text: text.into(),
            ends,
            cseq: binding.cseq,
            until: binding.until,
            lost_at: binding.lost_at.unwrap_or(Time::NEVER),
            connection: binding.connection.and_then(|stream| std::num::NonZeroU64::new(stream.0)),
            received: Address::pack(binding.received),
            plain: binding.plain.as_ref().map(|plain| PackedPlain {
                carrier: plain.carrier,
                q: plain.q,
                reg_id: plain.reg_id,
                target: plain.target.map(Address::pack),
            }),
            looked_at: Time::NEVER,
            next: 0,
        }
    }

    /// The binding.
    pub(super) fn unpack(&self) -> Binding {
        let text = |at: usize| self.part(at).to_owned();
        Binding {
            aor: text(0),
            endpoint: self.endpoint().to_owned(),
            instance: text(3),
            gruu: text(4),
            contact: text(1),
            received: self.received.unpack(),
            connection: self.connection(),
            until: self.until,
            lost_at: (self.lost_at != Time::NEVER).then_some(self.lost_at),
            call_id: text(5),
            cseq: self.cseq,
            client_tag: text(6),
            server_tag: text(7),
            plain: self.plain.as_ref().map(|plain| {
                let mut lines = self.text[self.end(TEXTS - 1)..].split('\n');
                Plain {
                    carrier: plain.carrier,
                    target: plain.target.as_ref().map(Address::unpack),
                    q: plain.q,
                    params: lines.next().unwrap_or("").to_owned(),
                    path: lines.map(str::to_owned).collect(),
                    reg_id: plain.reg_id,
                }
            }),
        }
    }

    /// The binding, to be looked at.
    pub(super) fn held(&self) -> Held<'_> {
        Held {
            endpoint: self.endpoint(),
            instance: self.part(3),
            gruu: self.part(4),
            contact: self.part(1),
            until: self.until,
            call_id: self.part(5),
            cseq: self.cseq,
            client_tag: self.part(6),
            plain: self.plain.as_ref().map(|plain| {
                let more = &self.text[self.end(TEXTS - 1)..];
                let params = more.split_once('\n').map_or(more, |(params, _)| params);
                HeldPlain { params, reg_id: plain.reg_id }
            }),
        }
    }

    fn end(&self, at: usize) -> usize {
        usize::from(self.ends[at])
    }

    fn part(&self, at: usize) -> &str {
        let start = if at == 0 { 0 } else { self.end(at - 1) };
        &self.text[start..self.end(at)]
    }

    pub(super) fn aor(&self) -> &str {
        self.part(0)
    }

    pub(super) fn endpoint(&self) -> &str {
        match self.part(2) {
            "" => self.part(1),
            endpoint => endpoint,
        }
    }

    pub(super) fn connection(&self) -> Option<StreamId> {
        self.connection.map(|number| StreamId(number.get()))
    }

    /// Its connection closed.
    pub(super) fn lose(&mut self, now: Time) {
        self.connection = None;
        self.lost_at = now;
    }

    /// When it ends if nothing else happens.
    pub(super) fn ends_at(&self) -> Time {
        let lost = match self.lost_at {
            Time::NEVER => Time::NEVER,
            at => at + super::CONNECTION_GRACE,
        };
        self.until.min(lost)
    }

    /// When it expires.
    pub(super) fn until(&self) -> Time {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::binding;
    use super::*;

    #[test]
    fn what_is_packed_comes_out_as_it_was() {
        let plain = Plain {
            carrier: Carrier::Udp,
            target: Some("[2001:db8::1]:5070".parse().expect("an address")),
            q: 500,
            path: vec!["<sip:p1.example;lr>".to_owned(), "<sip:p2.example;lr>".to_owned()],
            params: ";q=0.5".to_owned(),
            reg_id: Some(1),
        };
        let without = Plain { target: None, path: Vec::new(), params: String::new(), ..plain.clone() };
        let mut one = binding("a@x", "01", 100);
        for (plain, endpoint, lost_at) in [
            (None, "01", None),
            (Some(plain), "sip:10.20.2.1:5061;transport=tls", Some(Time::from_secs(7))),
            (Some(without), "<urn:uuid:1>;reg-id=1", None),
        ] {
            one.plain = plain;
            one.endpoint = endpoint.to_owned();
            one.lost_at = lost_at;
            assert_eq!(Packed::pack(&one).unpack(), one);
        }
    }

    #[test]
    fn a_packed_binding_of_an_ordinary_phone_is_small() {
        assert!(size_of::<Packed>() <= 128, "{}", size_of::<Packed>());
    }
}
