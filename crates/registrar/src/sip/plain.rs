//! Ordinary SIP user agents: softphones and other people's phones, over UDP, TCP, TLS and WebSocket.
//!
//! They share accounts, bindings and ports with the clients that speak TLS-DSK, and are told from those by what they do
//! not send: an endpoint identifier. They prove themselves by digest, for each request (RFC 3261 §22), because a
//! datagram's sender can be forged.
//!
//! | module | promise |
//! | --- | --- |
//! | [`guard`] | who proves what by digest |
//! | [`register`] | what a REGISTER asks for, and whether it gets it |
//! | `registration` | a REGISTER's way over the disk to its 200 |
//! | `serve` | the other methods |

pub mod guard;
pub mod register;
mod registration;
mod serve;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use net::{Note, Random};
use sip::timers::Timers;
use sip::transaction::{ServerKey, Servers};
use sip::{Message, Scheme, Uri};

use self::guard::Guard;
pub(super) use self::registration::Waiting;
use super::flow::{Carrier, Flow, Tokens};
use super::{FrontEnd, Turn};
use crate::ledger::WriteId;
use crate::registrar::Parts;
use crate::setup::{DigestOffer, PlainSip, Setup};

/// The longest datagram that is read as a message; no real one comes near.
pub const DATAGRAM_OCTETS: usize = 65_535;

/// What serves ordinary user agents.
#[derive(Debug)]
pub(super) struct Plain {
    ports: Option<PlainSip>,
    address: std::net::IpAddr,
    /// Drawn when it is first needed, so that a pool which nobody calls draws nothing.
    secrets: Option<Secrets>,
    /// Transactions of every method but INVITE.
    pub(super) transactions: Servers,
    waiting: BTreeMap<WriteId, Waiting>,
    /// The Date of the second that it was last asked for, which costs more to write than a REGISTER to judge.
    date: (i64, String),
}

/// What is drawn anew at each start.
#[derive(Debug)]
pub(super) struct Secrets {
    /// Judges digest credentials.
    pub(super) guard: Guard,
    /// Names flows.
    pub(super) tokens: Tokens,
    /// Tags and branches.
    pub(super) random: Random,
}

/// A request that came for the first time.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The way that it came.
    pub(super) flow: Flow,
    /// The way that its answers go.
    pub(super) back: Flow,
    pub(super) request: Message,
    pub(super) key: ServerKey,
    /// Our tag, if the answer is ours.
    pub(super) tag: String,
}

/// Whom an address means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Addressee {
    /// The pool itself.
    Pool,
    /// Somebody of its domain, by address without scheme; whether there is such an account is another question.
    User(String),
    /// Somebody elsewhere.
    Foreign,
    /// Nobody: an address of another kind.
    Unsupported,
}

impl Plain {
    pub(super) fn new(setup: &Setup) -> Plain {
        Plain {
            ports: setup.plain_sip,
            address: setup.address,
            secrets: None,
            transactions: Servers::new(Timers::RFC3261),
            waiting: BTreeMap::new(),
            date: (i64::MIN, String::new()),
        }
    }

    /// The Date header of a moment.
    pub(super) fn date(&mut self, wall: net::Wall) -> &str {
        if self.date.0 != wall.unix_secs() {
            self.date = (wall.unix_secs(), super::answer::date(wall));
        }
        &self.date.1
    }

    /// Forgets everything but its ports.
    pub(super) fn power_off(&mut self) {
        self.secrets = None;
        self.transactions = Servers::new(Timers::RFC3261);
        self.waiting.clear();
    }

    /// Whether ordinary user agents are served over this carrier.
    pub(super) fn serves(&self, carrier: Carrier) -> bool {
        self.ports.is_some_and(|ports| match carrier {
            Carrier::Tls => ports.tls,
            Carrier::Udp => ports.udp.is_some(),
            Carrier::Tcp => ports.tcp.is_some(),
            Carrier::Ws => ports.ws.is_some(),
            Carrier::Wss => ports.wss.is_some(),
        })
    }

    /// Whether whoever says to be somebody is believed.
    pub(super) fn believes(&self) -> bool {
        self.ports.is_some_and(|ports| ports.digest == DigestOffer::None)
    }

    /// The ports, if ordinary user agents are served at all.
    pub(super) fn ports(&self) -> Option<PlainSip> {
        self.ports
    }

    pub(super) fn secrets(&mut self, parts: &mut Parts<'_>) -> &mut Secrets {
        let Plain { ports, address, secrets, transactions, .. } = self;
        let offer = ports.map_or(DigestOffer::Both, |ports| ports.digest);
        secrets.get_or_insert_with(|| {
            let own_hosts = [parts.domain.to_owned(), parts.host.to_owned(), address.to_string()];
            let mut random = parts.random.fork("plain SIP");
            let guard = Guard::new(own_hosts, offer, random.bytes());
            let boot: [u8; 8] = random.bytes();
            let tokens = Tokens::new(parts.tls.credentials().key.secret_der(), boot);
            *transactions = Servers::salted(Timers::RFC3261, tokens.salt());
            Secrets { guard, tokens, random }
        })
    }

    /// What waited for a write that has reached the disk.
    pub(super) fn kept(&mut self, write: WriteId) -> Option<Waiting> {
        self.waiting.remove(&write)
    }

    pub(super) fn wake_at(&self) -> Option<net::Time> {
        self.transactions.wake_at()
    }

    pub(super) fn woken(&mut self, now: net::Time) {
        self.transactions.wake(now);
    }
}

/// The way that answers to a request take which came from `peer` (RFC 3261 §18.2.2, RFC 3581 §4). `maddr` is not
/// followed: it would let a stranger have the pool send to anybody.
pub(super) fn way_back(flow: &Flow, request: &Message) -> Flow {
    let Flow::Datagram(peer) = flow else { return flow.clone() };
    let via = request.via();
    let port = if via.params.has("rport") { peer.port() } else { via.port.unwrap_or(5060) };
    Flow::Datagram(SocketAddr::new(peer.ip(), port))
}

impl FrontEnd {
    /// Whether a message on a connection is one of an ordinary user agent: nobody there has an association, and it
    /// neither names an endpoint nor brings TLS-DSK credentials.
    pub(super) fn is_plain(&self, stream: net::StreamId, message: &Message) -> bool {
        let Some(connection) = self.connections.get(&stream) else { return false };
        if !self.plain.serves(connection.carrier) {
            return false;
        }
        if connection.carrier != Carrier::Tls {
            return true;
        }
        // An answer repeats what its request said, so that only requests tell who sends them.
        let speaks_dsk = message.is_request()
            && (message.from().epid().is_some() || sip::association::presented(message).next().is_some());
        connection.associations.is_empty() && !speaks_dsk
    }

    /// A datagram came to the UDP port.
    pub(super) fn datagram(&mut self, datagram: &net::Datagram, turn: &mut Turn<'_, '_>) {
        let from = datagram.from;
        let is_keep_alive = datagram.payload.iter().all(|octet| matches!(octet, b'\r' | b'\n' | 0));
        // Answering to port 0 or to ourselves would be answering nobody, or for ever.
        let is_nobody = from.port() == 0 || from == SocketAddr::new(self.address, datagram.to.port());
        if is_keep_alive || is_nobody || datagram.payload.len() > DATAGRAM_OCTETS {
            return;
        }
        match Message::parse(datagram.payload.clone()) {
            Ok(message) => self.plain_message(Flow::Datagram(from), message, turn),
            Err(why) => {
                turn.out.note(Note::received(from, format!("no SIP message: {why}")));
                if let Some(answer) = why.answer() {
                    turn.out.note(Note::sent(from, format!("{} (cannot be read)", why.status())));
                    self.write(&Flow::Datagram(from), answer.clone(), turn);
                }
            }
        }
    }

    /// Sends octets a way; `false` if the way is gone.
    pub(super) fn write(&self, flow: &Flow, octets: bytes::Bytes, turn: &mut Turn<'_, '_>) -> bool {
        match flow {
            Flow::Datagram(to) => {
                let Some(port) = self.plain.ports().and_then(|ports| ports.udp) else { return false };
                turn.out.send(SocketAddr::new(self.address, port), *to, octets);
                true
            }
            Flow::Stream(stream, ..) | Flow::Signed { stream, .. } => {
                let is_there = self.connections.contains_key(stream);
                if is_there {
                    turn.out.write(*stream, octets);
                }
                is_there
            }
        }
    }

    /// The pool's own port for a carrier.
    pub(super) fn port_of(&self, carrier: Carrier) -> u16 {
        let ports = self.plain.ports();
        let port = match carrier {
            Carrier::Udp => ports.and_then(|ports| ports.udp),
            Carrier::Tcp => ports.and_then(|ports| ports.tcp),
            Carrier::Ws => ports.and_then(|ports| ports.ws),
            Carrier::Wss => ports.and_then(|ports| ports.wss),
            Carrier::Tls => None,
        };
        port.unwrap_or(self.sip_port)
    }

    /// Whether an address's host is this pool: its domain, its name or its address.
    pub(super) fn is_own_host(&self, uri: &Uri<'_>, parts: &Parts<'_>) -> bool {
        uri.is_sip()
            && (uri.host.eq_ignore_ascii_case(parts.domain)
                || uri.host.eq_ignore_ascii_case(parts.host)
                || uri.host_ip() == Some(self.address))
    }

    /// Whom an address means. Phone numbers mean the account that has them, as `tel:` or as the user of a SIP address
    /// (RFC 3261 §19.1.6).
    pub(super) fn addressee(&self, uri: &Uri<'_>, parts: &Parts<'_>) -> Addressee {
        let by_number = |number: &str| parts.accounts.by_number(number).map(|it| it.address.clone());
        match uri.scheme {
            Scheme::Other => Addressee::Unsupported,
            Scheme::Tel => by_number(uri.user.unwrap_or("")).map_or(Addressee::Foreign, Addressee::User),
            Scheme::Sip | Scheme::Sips if !self.is_own_host(uri, parts) => Addressee::Foreign,
            Scheme::Sip | Scheme::Sips => match uri.user_name() {
                None if uri.user.is_none() => Addressee::Pool,
                None => Addressee::User(String::new()),
                Some(user) => {
                    let mut address = String::with_capacity(user.len() + 1 + parts.domain.len());
                    address.extend([&*user, "@", parts.domain]);
                    address.make_ascii_lowercase();
                    match parts.accounts.standing(&address) {
                        Some(_) => Addressee::User(address),
                        None => Addressee::User(by_number(&user).unwrap_or(address)),
                    }
                }
            },
        }
    }
}
