//! The book: leases on disk, and the answers that wait until a lease is there.
//!
//! Every change is a line behind the last whole copy of the table; after many lines a new copy is begun. While a
//! copy is being written lines wait, so that nothing is appended to a file that may not be whole.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use net::{Disk, Outbox, RecordId, Time, Wall, WallClock};

use super::leases::{Client, Hold, Leases};
use crate::kept::Slots;

/// The pair of files that the leases are in.
const FILE: &str = "leases";

/// The most answers that wait for the disk; more requests are dropped, and their clients ask again.
const WAITING_LIMIT: usize = 4096;

/// After how many appended lines a new copy is begun.
const APPENDED_LIMIT: usize = 10_000;

/// Whether lines may be appended.
#[derive(Debug)]
enum State<A> {
    /// They may.
    Ready,
    /// A copy is being written; lines wait.
    Copying { id: RecordId, lines: Vec<(String, Option<A>)> },
}

/// The leases on disk. `A` is an answer that waits.
#[derive(Debug)]
pub(crate) struct Book<A> {
    clock: WallClock,
    slots: Slots,
    state: State<A>,
    appended: usize,
    waiting: BTreeMap<RecordId, A>,
}

impl<A> Book<A> {
    /// An empty book. Dates in it are `clock`'s: they outlive the server's own count of time.
    pub(crate) fn new(clock: WallClock) -> Book<A> {
        let (slots, _) = Slots::recover(&Disk::new(), FILE);
        Book { clock, slots, state: State::Ready, appended: 0, waiting: BTreeMap::new() }
    }

    /// Reads what a disk still says into `leases`, and begins a new copy: a torn line at the end of the old one
    /// would swallow the next.
    pub(crate) fn open(&mut self, disk: &Disk, leases: &mut Leases, now: Time, out: &mut Outbox) {
        self.waiting.clear();
        let (slots, recovered) = Slots::recover(disk, FILE);
        self.slots = slots;
        if let Some(recovered) = recovered {
            let contents = String::from_utf8_lossy(&recovered.contents);
            for line in contents.lines().chain(recovered.lines.iter().map(String::as_str)) {
                self.read(line, leases, now);
            }
        }
        self.copy(leases, now, out);
    }

    /// Whether there is room for one more answer to wait.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_LIMIT
    }

    /// Writes down what became of `address`; `answer` comes back from [`Book::kept`] once it is on disk.
    pub(crate) fn write(&mut self, change: Change<'_>, answer: Option<A>, now: Time, out: &mut Outbox) {
        let line = self.line(change, now);
        self.append(line, answer, out);
    }

    /// A write has reached the disk: the answer that waited for it.
    pub(crate) fn kept(&mut self, id: RecordId, leases: &Leases, now: Time, out: &mut Outbox) -> Option<A> {
        match &mut self.state {
            State::Copying { id: copying, lines } if *copying == id => {
                let lines = std::mem::take(lines);
                self.state = State::Ready;
                for (line, answer) in lines {
                    self.append(line, answer, out);
                }
            }
            // What is still under way in the file that is left behind counts there until the new one is whole.
            State::Ready if self.appended >= APPENDED_LIMIT => self.copy(leases, now, out),
            State::Copying { .. } | State::Ready => {}
        }
        self.waiting.remove(&id)
    }

    fn append(&mut self, line: String, answer: Option<A>, out: &mut Outbox) {
        if let State::Copying { lines, .. } = &mut self.state {
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

    fn copy(&mut self, leases: &Leases, now: Time, out: &mut Outbox) {
        let lines: Vec<String> = leases.to_keep().map(|change| self.line(change, now)).collect();
        self.appended = 0;
        let id = self.slots.replace(lines.join("\n").as_bytes(), out);
        self.state = State::Copying { id, lines: Vec::new() };
    }

    fn read(&self, line: &str, leases: &mut Leases, now: Time) {
        let Some((address, client, hold, until)) = read_line(line) else { return };
        // A pool that shrank forgets what is outside.
        if !leases.is_known(address) {
            return;
        }
        let left = until.unix_nanos().saturating_sub(self.clock.read(now).unix_nanos());
        let until = now + Duration::from_nanos(u64::try_from(left).unwrap_or(0));
        match (client, hold) {
            (Some(client), Hold::Bound | Hold::Free) => leases.put(address, client, hold, until, now),
            (_, Hold::Declined) => leases.decline(address, until),
            (_, Hold::Offered) | (None, Hold::Bound | Hold::Free) => leases.release(address, now),
        }
    }

    fn line(&self, change: Change<'_>, now: Time) -> String {
        let Change { address, client, hold, until } = change;
        let client: String = match client {
            Some(client) => client.0.iter().map(|octet| format!("{octet:02x}")).collect(),
            None => "-".to_owned(),
        };
        let reading = self.clock.read(now);
        let until = if until > now { reading.plus(until - now) } else { reading.minus(now - until) };
        format!("{address} {} {} {client}", spell(hold), until.unix_nanos())
    }
}

/// What became of an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) address: Ipv4Addr,
    pub(crate) client: Option<&'a Client>,
    pub(crate) hold: Hold,
    pub(crate) until: Time,
}

fn spell(hold: Hold) -> &'static str {
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
