//! The phone's address: asked for, kept, lost and asked for again (RFC 2131).
//!
//! After the first offer the phone waits a second for others and prefers one that names a provisioning server.
//! With the address it asks once more, as `MS-UC-Client`, for what Skype for Business phones need. At T1 it asks
//! its server to renew, at T2 any server; when the lease is over, or a server says no, the address is given up.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use net::{Input, ListenSecurity, Note, Outbox, Time};

use super::BootParts;
use super::dhcp::{self, Ask, Granted, Reply, ReplyKind};
use super::uc_client::{UC_CLASS, UcClient};
use crate::log::Level;

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
/// Offers that are weighed; later ones are ignored.
const OFFERS_LIMIT: usize = 8;
/// How often an offer is asked for before the phone starts over.
const REQUESTS_LIMIT: u32 = 4;
/// How often the question of `MS-UC-Client` is asked.
const INFORMS_LIMIT: u32 = 3;
/// How long the answer to it may take.
const INFORM_SPAN: Duration = Duration::from_secs(2);
/// RFC 2131 §4.4.5: a renewal is asked for again after half the time left, but not sooner than this.
const RENEWAL_MIN: Duration = Duration::from_secs(60);

/// What became of the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseEvent {
    /// The phone has this address now, and did not have it before.
    Taken(Ipv4Addr),
    /// The same address for longer; what came with it may have changed.
    Renewed,
    /// The address is gone.
    Lost,
}

/// An offer that is weighed.
#[derive(Clone, Debug)]
struct Offer {
    address: Ipv4Addr,
    server: Ipv4Addr,
    names_boot_server: bool,
}

/// An address with its times.
#[derive(Clone, Debug)]
struct Held {
    address: Ipv4Addr,
    server: Ipv4Addr,
    rebind_at: Time,
    ends_at: Time,
    /// When the next renewal is asked for.
    ask_at: Time,
    /// The transaction of the renewal under way.
    xid: Option<u32>,
}

#[derive(Debug)]
enum State {
    /// Asking who has an address. `choose_at` runs from the first offer.
    Selecting { xid: u32, attempt: u32, ask_at: Time, offers: Vec<Offer>, choose_at: Option<Time> },
    /// Asking for one of the offers.
    Requesting { xid: u32, offer: Offer, attempt: u32, ask_at: Time },
    /// Holding an address.
    Bound(Held),
}

/// The question of `MS-UC-Client`.
#[derive(Debug)]
enum Inform {
    /// Asked so many times under this number, and when it is asked again.
    Asking { xid: u32, attempt: u32, ask_at: Time },
    /// Answered, or given up.
    Settled,
}

/// The lease and its upkeep.
#[derive(Debug)]
pub struct Lease {
    state: State,
    /// When the phone began to ask for an address.
    began: Time,
    granted: Granted,
    inform: Inform,
    uc_client: Option<UcClient>,
}

impl Lease {
    /// Begins to ask for an address.
    pub(super) fn begin(now: Time, parts: &mut BootParts<'_>, out: &mut Outbox) -> Lease {
        out.listen(CLIENT_PORT, ListenSecurity::Udp);
        let mut lease = Lease {
            state: selecting(now, parts),
            began: now,
            granted: Granted::default(),
            inform: Inform::Settled,
            uc_client: None,
        };
        lease.late(now, parts, out);
        lease
    }

    /// The address, while there is one.
    pub fn address(&self) -> Option<Ipv4Addr> {
        match &self.state {
            State::Bound(held) => Some(held.address),
            State::Selecting { .. } | State::Requesting { .. } => None,
        }
    }

    /// Who granted the address, while there is one.
    pub fn server(&self) -> Option<Ipv4Addr> {
        match &self.state {
            State::Bound(held) => Some(held.server),
            State::Selecting { .. } | State::Requesting { .. } => None,
        }
    }

    /// What came with the address.
    pub fn granted(&self) -> &Granted {
        &self.granted
    }

    /// What DHCP told `MS-UC-Client`; `None` if nothing, or if the question is still open.
    pub fn uc_client(&self) -> Option<&UcClient> {
        self.uc_client.as_ref()
    }

    /// Whether the question of `MS-UC-Client` is answered or given up.
    pub fn is_uc_settled(&self) -> bool {
        matches!(self.inform, Inform::Settled)
    }

    /// Takes in what happened.
    pub(super) fn handle(
        &mut self,
        now: Time,
        input: &Input,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Option<LeaseEvent> {
        let heard = match input {
            Input::Datagram(datagram) if datagram.to.port() == CLIENT_PORT => {
                let reply = Reply::read(&datagram.payload, parts.mac)?;
                self.receive(reply, datagram.from, now, parts, out)
            }
            _ => None,
        };
        heard.or_else(|| self.late(now, parts, out))
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        let own = match &self.state {
            State::Selecting { ask_at, choose_at, .. } => choose_at.unwrap_or(*ask_at),
            State::Requesting { ask_at, .. } => *ask_at,
            State::Bound(held) => held.ask_at.min(held.ends_at),
        };
        match &self.inform {
            Inform::Asking { ask_at, .. } => Some(own.min(*ask_at)),
            Inform::Settled => Some(own),
        }
    }

    fn receive(
        &mut self,
        reply: Reply,
        from: SocketAddr,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Option<LeaseEvent> {
        if let Inform::Asking { xid, .. } = self.inform
            && xid == reply.xid
        {
            if reply.kind == ReplyKind::Ack {
                out.note(Note::received(from, "DHCP ACK (options for MS-UC-Client)"));
                self.take_uc_client(reply.uc_client(), now, parts, out);
            }
            return None;
        }
        match (&mut self.state, reply.kind) {
            (State::Selecting { xid, offers, choose_at, .. }, ReplyKind::Offer) if *xid == reply.xid => {
                let server = reply.server?;
                if reply.address.is_unspecified() || offers.len() >= OFFERS_LIMIT {
                    return None;
                }
                out.note(Note::received(from, format!("DHCP OFFER {}", reply.address)));
                let granted = reply.granted();
                let names_boot_server = granted.custom_boot_server.is_some() || granted.boot_server.is_some();
                offers.push(Offer { address: reply.address, server, names_boot_server });
                let span = parts.config.number("device.dhcp.offerTimeout").unwrap_or(1).clamp(1, 60);
                choose_at.get_or_insert(now + Duration::from_secs(span.unsigned_abs()));
                None
            }
            (State::Requesting { xid, offer, .. }, ReplyKind::Ack)
                if *xid == reply.xid && reply.server.is_none_or(|server| server == offer.server) =>
            {
                let server = offer.server;
                self.take(&reply, server, from, now, parts, out)
            }
            (State::Bound(held), ReplyKind::Ack) if held.xid == Some(reply.xid) => {
                let server = reply.server.unwrap_or(held.server);
                self.take(&reply, server, from, now, parts, out)
            }
            (State::Requesting { xid, .. }, ReplyKind::Nak) if *xid == reply.xid => {
                out.note(Note::received(from, "DHCP NAK"));
                parts.say(now, "dhcpc", Level::Minor, "The server refused the address; asking again.", out);
                self.state = selecting(now, parts);
                None
            }
            (State::Bound(held), ReplyKind::Nak) if held.xid == Some(reply.xid) => {
                out.note(Note::received(from, "DHCP NAK"));
                Some(self.lose("The server took the address back.", now, parts, out))
            }
            _ => None,
        }
    }

    /// Takes the address that an ACK grants.
    fn take(
        &mut self,
        reply: &Reply,
        server: Ipv4Addr,
        from: SocketAddr,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Option<LeaseEvent> {
        let granted = reply.granted();
        let address = reply.address;
        let (renew, rebind, whole) = granted.spans.filter(|_| !address.is_unspecified())?;
        out.note(Note::received(from, format!("DHCP ACK {address} for {}", net::time::spell(whole))));
        let before = self.address();
        // Phones of one power cut would otherwise renew in the same second for ever after.
        let early = Duration::from_millis(parts.random.below(1 + renew.as_millis() as u64 / 50));
        self.state = State::Bound(Held {
            address,
            server,
            rebind_at: now + rebind,
            ends_at: now + whole,
            ask_at: now + renew.saturating_sub(early),
            xid: None,
        });
        let is_news = before != Some(address) || granted != self.granted;
        self.granted = granted;
        if before == Some(address) {
            return Some(LeaseEvent::Renewed).filter(|_| is_news);
        }
        out.address(Some(IpAddr::V4(address)));
        let text = format!("Address {address} from {server} for {} s.", whole.as_secs());
        parts.say(now, "dhcpc", Level::Always, &text, out);
        let xid = parts.random.next_u64() as u32;
        self.inform = Inform::Asking { xid, attempt: 0, ask_at: now };
        self.late(now, parts, out);
        Some(LeaseEvent::Taken(address))
    }

    fn take_uc_client(
        &mut self,
        client: Option<UcClient>,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) {
        self.inform = Inform::Settled;
        let text = match &client {
            Some(UcClient { sts_url: Some(url), .. }) => format!("Option 43 names {url}."),
            Some(_) => "Option 43 names no certificate service.".to_owned(),
            None => "Options 43 and 120 say nothing to MS-UC-Client.".to_owned(),
        };
        parts.say(now, "dhcpc", Level::Minor, &text, out);
        self.uc_client = client;
    }

    fn lose(&mut self, why: &str, now: Time, parts: &mut BootParts<'_>, out: &mut Outbox) -> LeaseEvent {
        out.address(None);
        parts.say(now, "dhcpc", Level::Major, why, out);
        self.state = selecting(now, parts);
        self.began = now;
        self.inform = Inform::Settled;
        self.late(now, parts, out);
        LeaseEvent::Lost
    }

    /// Looks after what is due.
    fn late(&mut self, now: Time, parts: &mut BootParts<'_>, out: &mut Outbox) -> Option<LeaseEvent> {
        self.late_inform(now, parts, out);
        let secs = now.since(self.began).as_secs().min(u64::from(u16::MAX)) as u16;
        match &mut self.state {
            State::Selecting { offers, choose_at: Some(choose_at), .. } if *choose_at <= now => {
                let best = offers.iter().find(|offer| offer.names_boot_server).or(offers.first());
                let offer = best.expect("the wait begins with an offer").clone();
                let xid = parts.random.next_u64() as u32;
                self.state = State::Requesting { xid, offer, attempt: 0, ask_at: now };
                self.late(now, parts, out)
            }
            State::Selecting { xid, attempt, ask_at, choose_at: None, .. } if *ask_at <= now => {
                if *attempt > 0 {
                    parts.say(now, "dhcpc", Level::Minor, "No DHCP server answers.", out);
                }
                *ask_at = now + back_off(*attempt, parts);
                *attempt = attempt.saturating_add(1);
                send(Ask::Discover, *xid, secs, None, parts, out);
                None
            }
            State::Requesting { attempt, ask_at, .. } if *ask_at <= now && *attempt >= REQUESTS_LIMIT => {
                parts.say(now, "dhcpc", Level::Minor, "The DHCP server fell silent; asking anew.", out);
                self.state = selecting(now, parts);
                self.late(now, parts, out)
            }
            State::Requesting { xid, offer, attempt, ask_at } if *ask_at <= now => {
                *ask_at = now + back_off(*attempt, parts);
                *attempt += 1;
                let ask = Ask::Request { address: offer.address, server: offer.server };
                send(ask, *xid, secs, None, parts, out);
                None
            }
            State::Bound(held) if held.ends_at <= now => {
                Some(self.lose("The lease is over.", now, parts, out))
            }
            State::Bound(held) if held.ask_at <= now => {
                held.renew(now, parts, out);
                None
            }
            State::Selecting { .. } | State::Requesting { .. } | State::Bound(_) => None,
        }
    }

    fn late_inform(&mut self, now: Time, parts: &mut BootParts<'_>, out: &mut Outbox) {
        let Some(address) = self.address() else { return };
        match &mut self.inform {
            Inform::Asking { attempt, ask_at, .. } if *ask_at <= now && *attempt >= INFORMS_LIMIT => {
                self.take_uc_client(None, now, parts, out);
            }
            Inform::Asking { xid, attempt, ask_at } if *ask_at <= now => {
                *attempt += 1;
                *ask_at = now + INFORM_SPAN;
                send(Ask::Inform(address), *xid, 0, Some((address, Ipv4Addr::BROADCAST)), parts, out);
            }
            Inform::Asking { .. } | Inform::Settled => {}
        }
    }
}

impl Held {
    /// Asks to keep the address: its own server until T2, any server after that.
    fn renew(&mut self, now: Time, parts: &mut BootParts<'_>, out: &mut Outbox) {
        let (to, limit) = if now < self.rebind_at {
            (self.server, self.rebind_at)
        } else {
            (Ipv4Addr::BROADCAST, self.ends_at)
        };
        let again = now + (limit.since(now) / 2).max(RENEWAL_MIN);
        self.ask_at = again.min(limit);
        let xid = *self.xid.get_or_insert_with(|| parts.random.next_u64() as u32);
        send(Ask::Renew(self.address), xid, 0, Some((self.address, to)), parts, out);
    }
}

fn selecting(now: Time, parts: &mut BootParts<'_>) -> State {
    let xid = parts.random.next_u64() as u32;
    State::Selecting { xid, attempt: 0, ask_at: now, offers: Vec::new(), choose_at: None }
}

/// RFC 2131 §4.1: 4, 8, 16, 32, then 64 s, each a second more or less by chance.
fn back_off(attempt: u32, parts: &mut BootParts<'_>) -> Duration {
    let base = 4_000u64 << attempt.min(4);
    Duration::from_millis(base - 1_000 + parts.random.below(2_001))
}

/// Sends to everybody on the segment, or between two addresses.
fn send(
    ask: Ask,
    xid: u32,
    secs: u16,
    way: Option<(Ipv4Addr, Ipv4Addr)>,
    parts: &BootParts<'_>,
    out: &mut Outbox,
) {
    let (from, to) = way.unwrap_or((Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST));
    let (from, to) = (SocketAddr::new(from.into(), CLIENT_PORT), SocketAddr::new(to.into(), SERVER_PORT));
    let text = match ask {
        Ask::Discover => "DHCP DISCOVER".to_owned(),
        Ask::Request { address, .. } => format!("DHCP REQUEST {address}"),
        Ask::Renew(address) => format!("DHCP REQUEST {address} (renew)"),
        Ask::Inform(_) => format!("DHCP INFORM ({})", UC_CLASS),
    };
    out.note(Note::sent(to, text));
    out.send(from, to, dhcp::write(ask, xid, secs, parts.mac, parts.model));
}
