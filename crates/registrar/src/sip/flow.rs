//! Flows: the ways that messages come and go, and the tokens that name them in Record-Route and Path.
//!
//! A user agent behind address translation, or on a stream, is reached only by the way it came (RFC 5626 §5). A token
//! says which way that was; it is signed, because what is in a Route header was written by a stranger. Tokens of
//! datagrams and endpoints outlive a restart of the pool, those of streams do not: the stream is gone, too.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use net::StreamId;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use sip::timers::Reliability;

/// Octets of the signature in a token: 80 bits, as RFC 5626 §5.2 suggests.
const TAG_LEN: usize = 10;
/// The longest token that is read; the longest that is written names an address and an endpoint.
const TOKEN_MAX: usize = 4_096;

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// Datagrams.
    Udp,
    /// A plain stream.
    Tcp,
    /// A stream over TLS.
    Tls,
    /// A WebSocket (RFC 7118).
    Ws,
    /// A WebSocket over TLS.
    Wss,
}

impl Carrier {
    /// Its name in a Via.
    pub const fn in_via(self) -> &'static str {
        match self {
            Carrier::Udp => "UDP",
            Carrier::Tcp => "TCP",
            Carrier::Tls => "TLS",
            Carrier::Ws => "WS",
            Carrier::Wss => "WSS",
        }
    }

    /// Its name in an address's `transport` parameter; a secure WebSocket is told by its port (RFC 7118 §5.2).
    pub const fn in_uri(self) -> &'static str {
        match self {
            Carrier::Udp => "udp",
            Carrier::Tcp => "tcp",
            Carrier::Tls => "tls",
            Carrier::Ws | Carrier::Wss => "ws",
        }
    }

    /// Whether it loses messages.
    pub const fn reliability(self) -> Reliability {
        match self {
            Carrier::Udp => Reliability::Unreliable,
            Carrier::Tcp | Carrier::Tls | Carrier::Ws | Carrier::Wss => Reliability::Reliable,
        }
    }
}

/// A way to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Datagrams from the pool's UDP port.
    Datagram(SocketAddr),
    /// A connection of a plain user agent.
    Stream(StreamId, Carrier, SocketAddr),
    /// The newest connection on which an endpoint has a security association: what goes there is signed.
    Signed {
        /// Whose endpoint, without scheme.
        aor: String,
        /// Its endpoint identifier.
        epid: Option<String>,
        /// The connection at which it was met.
        stream: StreamId,
        /// The other end.
        peer: SocketAddr,
    },
}

impl Flow {
    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        match self {
            Flow::Datagram(peer) | Flow::Stream(_, _, peer) | Flow::Signed { peer, .. } => *peer,
        }
    }

    /// How messages travel on it.
    pub fn carrier(&self) -> Carrier {
        match self {
            Flow::Datagram(_) => Carrier::Udp,
            Flow::Stream(_, carrier, _) => *carrier,
            Flow::Signed { .. } => Carrier::Tls,
        }
    }
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// Datagrams to that address.
    Datagram(SocketAddr),
    /// That connection.
    Stream(StreamId),
    /// That endpoint, wherever it is connected now.
    Endpoint {
        /// Whose it is, without scheme.
        aor: String,
        /// Its endpoint identifier.
        epid: Option<String>,
    },
}

/// Writes and reads tokens.
pub struct Tokens {
    key: [u8; 32],
    /// Tells the streams of this power cycle from those of others.
    boot: [u8; 8],
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(•••)")
    }
}

impl Tokens {
    /// Tokens signed by a key that is made of `secret`; `boot` is drawn anew at each start.
    pub fn new(secret: &[u8], boot: [u8; 8]) -> Tokens {
        let key = mac(b"flow tokens", secret).finalize().into_bytes().into();
        Tokens { key, boot }
    }

    /// A secret for tables that strangers fill.
    pub fn salt(&self) -> [u64; 2] {
        let salt = mac(&self.key, &self.boot).finalize().into_bytes();
        let word = |at: usize| u64::from_be_bytes(std::array::from_fn(|octet| salt[at + octet]));
        [word(0), word(8)]
    }

    /// The token of a flow: a user part without escapes.
    pub fn write(&self, flow: &Flow) -> String {
        let mut octets = Vec::new();
        match flow {
            Flow::Datagram(peer) => {
                octets.push(b'd');
                octets.extend_from_slice(&peer.port().to_be_bytes());
                match peer.ip() {
                    IpAddr::V4(ip) => octets.extend_from_slice(&ip.octets()),
                    IpAddr::V6(ip) => octets.extend_from_slice(&ip.octets()),
                }
            }
            Flow::Stream(stream, ..) => {
                octets.push(b's');
                octets.extend_from_slice(&self.boot);
                octets.extend_from_slice(&stream.0.to_be_bytes());
            }
            Flow::Signed { aor, epid, .. } => {
                octets.push(b'e');
                octets.extend_from_slice(aor.as_bytes());
                if let Some(epid) = epid {
                    octets.push(0);
                    octets.extend_from_slice(epid.as_bytes());
                }
            }
        }
        let tag = mac(&self.key, &octets).finalize().into_bytes();
        octets.extend_from_slice(&tag[..TAG_LEN]);
        URL_SAFE_NO_PAD.encode(octets)
    }

    /// What a token says, if it is one of ours.
    pub fn read(&self, token: &str) -> Option<Named> {
        if token.len() > TOKEN_MAX {
            return None;
        }
        let octets = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (said, tag) = octets.split_at_checked(octets.len().checked_sub(TAG_LEN)?)?;
        mac(&self.key, said).verify_truncated_left(tag).ok()?;
        let (kind, rest) = said.split_first()?;
        match kind {
            b'd' => {
                let (port, ip) = rest.split_first_chunk::<2>()?;
                let ip = match ip.len() {
                    4 => IpAddr::from(<[u8; 4]>::try_from(ip).ok()?),
                    _ => IpAddr::from(<[u8; 16]>::try_from(ip).ok()?),
                };
                Some(Named::Datagram((ip, u16::from_be_bytes(*port)).into()))
            }
            b's' => {
                let stream = rest.strip_prefix(&self.boot)?;
                Some(Named::Stream(StreamId(u64::from_be_bytes(stream.try_into().ok()?))))
            }
            _ => {
                let text = std::str::from_utf8(rest).ok()?;
                let (aor, epid) = match text.split_once('\0') {
                    Some((aor, epid)) => (aor, Some(epid.to_owned())),
                    None => (text, None),
                };
                Some(Named::Endpoint { aor: aor.to_owned(), epid })
            }
        }
    }
}

fn mac(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flows() -> Vec<Flow> {
        let peer: SocketAddr = ([10, 20, 2, 1], 5060).into();
        let (aor, stream) = ("alice@contoso.example".to_owned(), StreamId(7));
        vec![
            Flow::Datagram(peer),
            Flow::Datagram("[2001:db8::9]:5070".parse().expect("an address")),
            Flow::Stream(stream, Carrier::Ws, peer),
            Flow::Signed { aor: aor.clone(), epid: Some("d8d053f0ae7f".to_owned()), stream, peer },
            Flow::Signed { aor, epid: None, stream, peer },
        ]
    }

    #[test]
    fn a_token_leads_back_to_its_flow() {
        let tokens = Tokens::new(b"secret", [1; 8]);
        for flow in flows() {
            let named = tokens.read(&tokens.write(&flow)).expect("one of ours");
            match (&flow, named) {
                (Flow::Datagram(peer), Named::Datagram(read)) => assert_eq!(*peer, read),
                (Flow::Stream(stream, ..), Named::Stream(read)) => assert_eq!(*stream, read),
                (Flow::Signed { aor, epid, .. }, Named::Endpoint { aor: a, epid: e }) => {
                    assert_eq!((aor, epid), (&a, &e));
                }
                (flow, named) => panic!("{flow:?} became {named:?}"),
            }
        }
    }

    #[test]
    fn after_a_restart_the_tokens_of_streams_are_void_and_the_others_are_not() {
        let (before, after) = (Tokens::new(b"secret", [1; 8]), Tokens::new(b"secret", [2; 8]));
        for flow in flows() {
            let is_stream = matches!(flow, Flow::Stream(..));
            assert_eq!(after.read(&before.write(&flow)).is_none(), is_stream, "{flow:?}");
        }
    }

    #[test]
    fn a_token_with_one_octet_changed_or_of_another_pool_is_void() {
        let tokens = Tokens::new(b"secret", [1; 8]);
        for flow in flows() {
            let token = tokens.write(&flow);
            assert_eq!(Tokens::new(b"other", [1; 8]).read(&token), None);
            for at in 0..token.len() - 1 {
                let mut changed = token.clone().into_bytes();
                changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(changed).expect("ASCII");
                assert_eq!(tokens.read(&changed), None, "{flow:?} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_taken_for_a_token(text in "\\PC*") {
            prop_assert_eq!(Tokens::new(b"secret", [1; 8]).read(&text), None);
        }
    }
}
