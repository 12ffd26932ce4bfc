//! The DHCP server: addresses and options, leases that survive a power cut (RFC 2131, RFC 2132, RFC 3361).
//!
//! A lease is acknowledged only after it is on disk, so a server that lost its power does not hand out an address
//! that somebody uses. It is the only server of its segment: a client that wants an address of another network is
//! told so (DHCPNAK) at once.

mod book;
mod leases;
mod packet;
mod setup;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use dhcproto::v4::{DhcpOption, Message, MessageType};
use net::{Datagram, Disk, Input, ListenSecurity, Node, Note, Outbox, Time};

pub use leases::Mac;
pub use setup::{Options, POOL_LIMIT, Setup, SetupError, UC_CLASS, UcServer, VLAN_CLASS};

use crate::events;
use book::{Book, Change};
use leases::{Client, Hold, Leases};
use packet::{Asked, spell};

/// How long an offered address waits for the client's word.
const OFFER_HOLD: Duration = Duration::from_secs(60);

/// How long an address that a stranger uses is out of use.
const DECLINE_HOLD: Duration = Duration::from_secs(3600);

/// The shortest lease that a client may ask for.
const LEASE_MIN: Duration = Duration::from_secs(60);

/// An answer, ready to go.
#[derive(Debug)]
struct Answer {
    to: SocketAddr,
    octets: Vec<u8>,
    line: String,
    event: (&'static str, String, String),
}

/// The DHCP server of a segment.
#[derive(Debug)]
pub struct DhcpServer {
    setup: Setup,
    leases: Leases,
    book: Book<Answer>,
    is_on: bool,
}

/// A lease, to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// When it ends.
    pub until: Time,
}

impl DhcpServer {
    /// A server that is still without power.
    ///
    /// # Errors
    ///
    /// If the setup contradicts itself.
    pub fn new(setup: Setup) -> Result<DhcpServer, SetupError> {
        setup.check()?;
        let leases = Leases::new(setup.first, setup.last, setup.reserved.clone());
        let book = Book::new(setup.clock);
        Ok(DhcpServer { setup, leases, book, is_on: false })
    }

    /// What people call the server.
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// The lease that the hardware `mac` holds at `now`, if it sends no client identifier of another form than
    /// RFC 2132 §9.14 suggests.
    pub fn lease(&self, mac: Mac, now: Time) -> Option<Lease> {
        let (address, until) = self.leases.bound(&Client([&[1], &mac.0[..]].concat()), now)?;
        Some(Lease { address, until })
    }

    /// How many leases have not ended at `now`.
    pub fn leased(&self, now: Time) -> usize {
        self.leases.count_bound(now)
    }

    /// Changes what clients are told from now on; addresses and leases stay.
    ///
    /// # Errors
    ///
    /// If an option cannot hold what it should; then nothing changes.
    pub fn set_options(&mut self, options: Options) -> Result<(), SetupError> {
        let setup = Setup { options, ..self.setup.clone() };
        setup.check()?;
        self.setup = setup;
        Ok(())
    }

    fn start(&mut self, disk: &Disk, now: Time, out: &mut Outbox) {
        self.leases = Leases::new(self.setup.first, self.setup.last, self.setup.reserved.clone());
        self.book.open(disk, &mut self.leases, now, out);
        self.is_on = true;
        out.address(Some(self.setup.address.into()));
        out.listen(67, ListenSecurity::Udp);
    }

    fn take(&mut self, now: Time, datagram: &Datagram, out: &mut Outbox) {
        let asked = match Asked::read(&datagram.payload) {
            Ok(asked) => asked,
            Err(why) => {
                out.note(Note::received(datagram.from, format!("DHCP, unreadable: {why}")));
                return;
            }
        };
        let wish = asked.wished.map(|wished| format!(" {wished}")).unwrap_or_default();
        out.note(Note::received(datagram.from, format!("DHCP {} {}{wish}", spell(asked.kind), asked.of())));
        match asked.kind {
            MessageType::Discover => self.discover(&asked, now, out),
            MessageType::Request => self.request(&asked, now, out),
            MessageType::Decline => self.decline(&asked, now, out),
            MessageType::Release => self.release(&asked, now, out),
            MessageType::Inform => self.inform(&asked, out),
            // The rest is said by servers, or by relays' management.
            _ => {}
        }
    }

    fn discover(&mut self, asked: &Asked, now: Time, out: &mut Outbox) {
        let Some(address) = self.leases.choose(&asked.client, asked.mac, asked.wished, now) else {
            out.note(Note::event(events::POOL_EXHAUSTED, asked.of(), "no address left to offer"));
            return;
        };
        // A phone that starts again asks as if it were new; its lease must not shrink to an offer.
        if !self.leases.is_bound(&asked.client, address, now) {
            self.leases.put(address, asked.client.clone(), Hold::Offered, now + OFFER_HOLD, now);
        }
        let mut answer = self.granting(asked, MessageType::Offer, address);
        self.setup.options.give(asked, answer.opts_mut());
        let event = (events::LEASE_OFFERED, asked.of(), address.to_string());
        let answer = self.addressed(asked, MessageType::Offer, &answer, event);
        self.send(answer, out);
    }

    fn request(&mut self, asked: &Asked, now: Time, out: &mut Outbox) {
        let at_hand = asked.message.ciaddr();
        let address = match (asked.server, asked.wished, at_hand.is_unspecified()) {
            // Another server was chosen; what was offered here is free again.
            (Some(server), _, _) if server != self.setup.address => {
                self.forget_offer(asked, now);
                return;
            }
            (_, Some(wished), _) => wished,
            (_, None, false) => at_hand,
            (_, None, true) => return,
        };
        let known = self.leases.of(&asked.client);
        let has_reservation = asked.mac.is_some_and(|mac| self.setup.reserved.contains_key(&mac));
        let is_foreign = !self.setup.is_local(address);
        // Started again with a remembered address (RFC 2131 §4.3.2): who is unknown here is left to others.
        let is_unknown = known.is_none() && !has_reservation;
        if asked.server.is_none() && at_hand.is_unspecified() && is_unknown && !is_foreign {
            return;
        }
        let is_granted = !is_foreign
            && (known == Some(address) || has_reservation)
            && self.leases.may_have(&asked.client, asked.mac, address, now);
        if !is_granted {
            self.refuse(asked, address, out);
            return;
        }
        if !self.book.has_room() {
            return;
        }
        let until = now + self.lease_for(asked);
        self.leases.put(address, asked.client.clone(), Hold::Bound, until, now);
        let mut answer = self.granting(asked, MessageType::Ack, address);
        self.setup.options.give(asked, answer.opts_mut());
        let event = (events::LEASE_GRANTED, asked.of(), format!("{address} until {until}"));
        let answer = self.addressed(asked, MessageType::Ack, &answer, event);
        let change = Change { address, client: Some(&asked.client), hold: Hold::Bound, until };
        self.book.write(change, Some(answer), now, out);
    }

    fn forget_offer(&mut self, asked: &Asked, now: Time) {
        if let Some(address) = self.leases.of(&asked.client)
            && !self.leases.is_bound(&asked.client, address, now)
        {
            self.leases.release(address, now);
        }
    }

    fn refuse(&mut self, asked: &Asked, address: Ipv4Addr, out: &mut Outbox) {
        let answer = asked.answer(MessageType::Nak, self.setup.address);
        let event = (events::LEASE_REFUSED, asked.of(), address.to_string());
        let answer = self.addressed(asked, MessageType::Nak, &answer, event);
        self.send(answer, out);
    }

    fn release(&mut self, asked: &Asked, now: Time, out: &mut Outbox) {
        let address = asked.message.ciaddr();
        if !self.leases.is_bound(&asked.client, address, now) {
            return;
        }
        self.leases.release(address, now);
        let change = Change { address, client: Some(&asked.client), hold: Hold::Free, until: now };
        self.book.write(change, None, now, out);
        out.note(Note::event(events::LEASE_RELEASED, asked.of(), address.to_string()));
    }

    fn decline(&mut self, asked: &Asked, now: Time, out: &mut Outbox) {
        let Some(address) = asked.wished.filter(|wished| self.leases.of(&asked.client) == Some(*wished))
        else {
            return;
        };
        let until = now + DECLINE_HOLD;
        self.leases.decline(address, until);
        let change = Change { address, client: None, hold: Hold::Declined, until };
        self.book.write(change, None, now, out);
        out.note(Note::event(events::LEASE_DECLINED, asked.of(), address.to_string()));
    }

    /// Tells options to somebody who has an address already (RFC 2131 §4.3.5).
    fn inform(&mut self, asked: &Asked, out: &mut Outbox) {
        if asked.message.ciaddr().is_unspecified() {
            return;
        }
        let mut answer = asked.answer(MessageType::Ack, self.setup.address);
        answer.set_ciaddr(asked.message.ciaddr());
        answer.opts_mut().insert(DhcpOption::SubnetMask(self.setup.mask()));
        self.setup.options.give(asked, answer.opts_mut());
        let to = asked.answer_to(MessageType::Ack);
        let line = format!("DHCP ACK {} (options only)", asked.of());
        out.note(Note::sent(to.into(), line));
        out.send(self.local(), to.into(), packet::write(&answer));
    }

    fn lease_for(&self, asked: &Asked) -> Duration {
        let longest = self.setup.lease;
        match asked.lease_secs {
            Some(secs) => Duration::from_secs(secs.into()).max(LEASE_MIN).min(longest),
            None => longest,
        }
    }

    /// An answer that grants `address`, with the times that a client needs (RFC 2131 §4.4.5).
    fn granting(&self, asked: &Asked, kind: MessageType, address: Ipv4Addr) -> Message {
        let mut answer = asked.answer(kind, self.setup.address);
        answer.set_yiaddr(address);
        if kind == MessageType::Ack {
            answer.set_ciaddr(asked.message.ciaddr());
        }
        // All ones means for ever (RFC 2131 §3.3), which is not ours to promise.
        let lease = u32::try_from(self.lease_for(asked).as_secs()).unwrap_or(u32::MAX).min(u32::MAX - 1);
        let options = answer.opts_mut();
        options.insert(DhcpOption::AddressLeaseTime(lease));
        options.insert(DhcpOption::Renewal(lease / 2));
        options.insert(DhcpOption::Rebinding(lease - lease / 8));
        options.insert(DhcpOption::SubnetMask(self.setup.mask()));
        answer
    }

    fn addressed(
        &self,
        asked: &Asked,
        kind: MessageType,
        answer: &Message,
        event: (&'static str, String, String),
    ) -> Answer {
        let line = format!("DHCP {} {} {}", spell(kind), event.1, event.2);
        Answer { to: asked.answer_to(kind).into(), octets: packet::write(answer), line, event }
    }

    fn send(&self, answer: Answer, out: &mut Outbox) {
        let (name, of, text) = answer.event;
        out.note(Note::sent(answer.to, answer.line));
        out.note(Note::event(name, of, text));
        out.send(self.local(), answer.to, answer.octets);
    }

    fn local(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.setup.address), 67)
    }
}

impl Node for DhcpServer {
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
        match input {
            Input::PowerOn(disk) => self.start(&disk, now, out),
            Input::PowerOff => self.is_on = false,
            Input::Datagram(datagram) if self.is_on && datagram.to.port() == 67 => {
                self.take(now, &datagram, out);
            }
            Input::Kept(id) if self.is_on => {
                if let Some(answer) = self.book.kept(id, &self.leases, now, out) {
                    self.send(answer, out);
                }
            }
            Input::Datagram(_) | Input::Kept(_) | Input::Woken | Input::Stream(..) => {}
        }
    }

    fn wake_at(&self) -> Option<Time> {
        // Leases end when they are looked at; nothing else happens by itself.
        None
    }
}
