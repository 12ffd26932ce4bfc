//! The DHCP server: addresses and options, leases that survive a power cut (RFC 2131, RFC 2132, RFC 3361).
//!
//! A lease is acknowledged only after it is on disk, so a server that lost its power does not hand out an address
//! that somebody uses. It is the only server of its segment: a client that wants an address of another network is
//! told so (DHCPNAK) at once.

mod leases;
mod packet;
mod setup;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use dhcproto::v4::{DhcpOption, Message, MessageType};
use net::{Datagram, Disk, Input, ListenSecurity, Node, Note, Outbox, RecordId, Time, Wall};

pub use leases::Mac;
pub use setup::{Options, POOL_LIMIT, Setup, SetupError, UC_CLASS, UcServer, VLAN_CLASS};

use crate::events;
use crate::kept::{Recovered, Slots};
use leases::{Client, Hold, Leases};
use packet::{Asked, spell};

/// How long an offered address waits for the client's word.
const OFFER_HOLD: Duration = Duration::from_secs(60);

/// How long an address that a stranger uses is out of use.
const DECLINE_HOLD: Duration = Duration::from_secs(3600);

/// The shortest lease that a client may ask for.
const LEASE_MIN: Duration = Duration::from_secs(60);

/// The most answers that wait for the disk; more requests are dropped, and their clients ask again.
const WAITING_LIMIT: usize = 4096;

/// After how many appended lines the file of leases is written anew.
const APPENDED_LIMIT: usize = 10_000;

/// An answer, ready to go.
#[derive(Debug)]
struct Answer {
    to: SocketAddr,
    octets: Vec<u8>,
    line: String,
    event: (&'static str, String, String),
}

/// Whether lines may be appended to the file of leases.
#[derive(Debug)]
enum Disc {
    /// They may.
    Ready,
    /// The file is being written anew; lines wait.
    Writing { id: RecordId, lines: Vec<(String, Option<Answer>)> },
}

/// The DHCP server of a segment.
#[derive(Debug)]
pub struct DhcpServer {
    setup: Setup,
    leases: Leases,
    slots: Slots,
    disc: Disc,
    appended: usize,
    waiting: BTreeMap<RecordId, Answer>,
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
        let (slots, _) = Slots::recover(&Disk::new(), FILE);
        let (appended, waiting, is_on) = (0, BTreeMap::new(), false);
        Ok(DhcpServer { setup, leases, slots, disc: Disc::Ready, appended, waiting, is_on })
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
        self.waiting.clear();
        let (slots, recovered) = Slots::recover(disk, FILE);
        self.slots = slots;
        if let Some(recovered) = recovered {
            self.recover(&recovered, now);
        }
        // A torn line at the end would swallow the next one: begin a whole file before anything is appended.
        self.rewrite(now, out);
        self.is_on = true;
        out.address(Some(self.setup.address.into()));
        out.listen(67, ListenSecurity::Udp);
    }

    fn recover(&mut self, recovered: &Recovered, now: Time) {
        let contents = String::from_utf8_lossy(&recovered.contents);
        let lines = contents.lines().chain(recovered.lines.iter().map(String::as_str));
        let reading = self.setup.clock.read(now);
        for line in lines {
            let Some((address, client, hold, until)) = read_line(line) else { continue };
            // A pool that shrank forgets what is outside.
            if !self.leases.is_known(address) {
                continue;
            }
            let left = until.unix_nanos().saturating_sub(reading.unix_nanos());
            let until = now + Duration::from_nanos(u64::try_from(left).unwrap_or(0));
            match (client, hold) {
                (Some(client), Hold::Bound | Hold::Free) => {
                    self.leases.put(address, client, hold, until, now)
                }
                (_, Hold::Declined) => self.leases.decline(address, until),
                (_, Hold::Offered) | (None, Hold::Bound | Hold::Free) => self.leases.release(address, now),
            }
        }
    }

    fn rewrite(&mut self, now: Time, out: &mut Outbox) {
        let lines: Vec<String> = self
            .leases
            .to_keep()
            .map(|(address, client, hold, until)| self.line(address, client, hold, until, now))
            .collect();
        self.appended = 0;
        let id = self.slots.replace(lines.join("\n").as_bytes(), out);
        self.disc = Disc::Writing { id, lines: Vec::new() };
    }

    fn line(&self, address: Ipv4Addr, client: Option<&Client>, hold: Hold, until: Time, now: Time) -> String {
        let client: String = match client {
            Some(client) => client.0.iter().map(|octet| format!("{octet:02x}")).collect(),
            None => "-".to_owned(),
        };
        // Dates outlive the server's own count of time.
        let reading = self.setup.clock.read(now);
        let until = if until > now { reading.plus(until - now) } else { reading.minus(now - until) };
        format!("{address} {} {} {client}", spell_hold(hold), until.unix_nanos())
    }

    /// Puts a line on disk; what waits for it goes out once it is there.
    fn keep(&mut self, line: String, answer: Option<Answer>, out: &mut Outbox) {
        if let Disc::Writing { lines, .. } = &mut self.disc {
            if lines.len() < WAITING_LIMIT {
                lines.push((line, answer));
            }
            return;
        }
        let id = self.slots.append(&line, out);
        self.appended += 1;
        if let Some(answer) = answer {
            self.waiting.insert(id, answer);
        }
    }

    fn kept(&mut self, id: RecordId, now: Time, out: &mut Outbox) {
        if let Some(answer) = self.waiting.remove(&id) {
            self.send(answer, out);
        }
        match &mut self.disc {
            Disc::Writing { id: writing, lines } if *writing == id => {
                let lines = std::mem::take(lines);
                self.disc = Disc::Ready;
                for (line, answer) in lines {
                    self.keep(line, answer, out);
                }
            }
            // Nothing may be under way in the file that is left behind.
            Disc::Ready if self.appended >= APPENDED_LIMIT && self.waiting.is_empty() => {
                self.rewrite(now, out)
            }
            Disc::Writing { .. } | Disc::Ready => {}
        }
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
        if self.waiting.len() >= WAITING_LIMIT {
            return;
        }
        let until = now + self.lease_for(asked);
        self.leases.put(address, asked.client.clone(), Hold::Bound, until, now);
        let mut answer = self.granting(asked, MessageType::Ack, address);
        self.setup.options.give(asked, answer.opts_mut());
        let event = (events::LEASE_GRANTED, asked.of(), format!("{address} until {until}"));
        let answer = self.addressed(asked, MessageType::Ack, &answer, event);
        let line = self.line(address, Some(&asked.client), Hold::Bound, until, now);
        self.keep(line, Some(answer), out);
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
        let line = self.line(address, Some(&asked.client), Hold::Free, now, now);
        self.keep(line, None, out);
        out.note(Note::event(events::LEASE_RELEASED, asked.of(), address.to_string()));
    }

    fn decline(&mut self, asked: &Asked, now: Time, out: &mut Outbox) {
        let Some(address) = asked.wished.filter(|wished| self.leases.of(&asked.client) == Some(*wished))
        else {
            return;
        };
        let until = now + DECLINE_HOLD;
        self.leases.decline(address, until);
        let line = self.line(address, None, Hold::Declined, until, now);
        self.keep(line, None, out);
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
            Input::Kept(id) if self.is_on => self.kept(id, now, out),
            Input::Datagram(_) | Input::Kept(_) | Input::Woken | Input::Stream(..) => {}
        }
    }

    fn wake_at(&self) -> Option<Time> {
        // Leases end when they are looked at; nothing else happens by itself.
        None
    }
}

/// The pair of files that the leases are in.
const FILE: &str = "leases";

fn spell_hold(hold: Hold) -> &'static str {
    match hold {
        Hold::Offered => "offered",
        Hold::Bound => "bound",
        Hold::Declined => "declined",
        Hold::Free => "free",
    }
}

fn read_line(line: &str) -> Option<(Ipv4Addr, Option<Client>, Hold, Wall)> {
    let mut words = line.split(' ');
    let address = words.next()?.parse().ok()?;
    let hold = match words.next()? {
        "bound" => Hold::Bound,
        "declined" => Hold::Declined,
        "free" => Hold::Free,
        _ => return None,
    };
    let until = Wall::from_unix_nanos(words.next()?.parse().ok()?);
    let client = match words.next()? {
        "-" => None,
        hex => Some(Client(read_hex(hex)?)),
    };
    Some((address, client, hold, until))
}

fn read_hex(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(pair).collect()
}
