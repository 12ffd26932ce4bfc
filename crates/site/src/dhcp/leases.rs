//! Leases: which address is whose, and until when.
//!
//! The table never holds more entries than the pool and the reservations have addresses. A lease ends by time
//! alone, looked at when it matters; an address keeps the memory of its last client, who gets it back if nobody
//! else needed it meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use net::Time;

use super::book::Change;

/// A hardware address of Ethernet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|octet| format!("{octet:02x}")).collect();
        f.write_str(&pairs.join(":"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who asks: the client identifier if there is one, else hardware type and address (RFC 2131 §4.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Client(pub(crate) Vec<u8>);

/// What an address is to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Offered; somebody else may have it after a minute.
    Offered,
    /// Granted.
    Bound,
    /// Found in use by a stranger.
    Declined,
    /// Given back, or never granted.
    Free,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    client: Option<Client>,
    hold: Hold,
    until: Time,
}

/// The table of leases.
#[derive(Debug)]
pub(crate) struct Leases {
    first: u32,
    last: u32,
    reserved: BTreeMap<Mac, Ipv4Addr>,
    reserved_addresses: BTreeSet<Ipv4Addr>,
    entries: BTreeMap<Ipv4Addr, Entry>,
    by_client: BTreeMap<Client, Ipv4Addr>,
    by_end: BTreeSet<(Time, Ipv4Addr)>,
    /// Every address of the pool below this one has an entry or is reserved.
    fresh: u32,
}

impl Leases {
    pub(crate) fn new(first: Ipv4Addr, last: Ipv4Addr, reserved: BTreeMap<Mac, Ipv4Addr>) -> Leases {
        let reserved_addresses = reserved.values().copied().collect();
        Leases {
            first: first.into(),
            last: last.into(),
            reserved,
            reserved_addresses,
            entries: BTreeMap::new(),
            by_client: BTreeMap::new(),
            by_end: BTreeSet::new(),
            fresh: first.into(),
        }
    }

    /// The address that `client` has, had, or was offered.
    pub(crate) fn of(&self, client: &Client) -> Option<Ipv4Addr> {
        self.by_client.get(client).copied()
    }

    /// The address that `client` holds by a lease that has not ended, and when it ends.
    pub(crate) fn bound(&self, client: &Client, now: Time) -> Option<(Ipv4Addr, Time)> {
        let address = self.of(client)?;
        let entry = self.entries.get(&address)?;
        (entry.hold == Hold::Bound && now < entry.until).then_some((address, entry.until))
    }

    /// Whether `client` holds `address` by a lease that has not ended.
    pub(crate) fn is_bound(&self, client: &Client, address: Ipv4Addr, now: Time) -> bool {
        self.bound(client, now).is_some_and(|(bound, _)| bound == address)
    }

    /// How many leases have not ended.
    pub(crate) fn count_bound(&self, now: Time) -> usize {
        self.entries.values().filter(|entry| entry.hold == Hold::Bound && now < entry.until).count()
    }

    /// Whether `client` may be granted `address`: it is its reservation, its own, or nobody's.
    pub(crate) fn may_have(&self, client: &Client, mac: Option<Mac>, address: Ipv4Addr, now: Time) -> bool {
        if let Some(reserved) = mac.and_then(|mac| self.reserved.get(&mac)) {
            return *reserved == address && !self.is_declined(address, now);
        }
        let is_own = self.of(client) == Some(address) && self.is_servable(address);
        !self.is_declined(address, now) && (is_own || self.is_free(address, now))
    }

    /// The address to offer; `None` if none is left.
    pub(crate) fn choose(
        &mut self,
        client: &Client,
        mac: Option<Mac>,
        wished: Option<Ipv4Addr>,
        now: Time,
    ) -> Option<Ipv4Addr> {
        if let Some(reserved) = mac.and_then(|mac| self.reserved.get(&mac)) {
            return (!self.is_declined(*reserved, now)).then_some(*reserved);
        }
        if let Some(own) = self.of(client).filter(|own| self.is_servable(*own)) {
            return Some(own);
        }
        if let Some(wished) = wished.filter(|wished| self.is_free(*wished, now)) {
            return Some(wished);
        }
        while self.fresh <= self.last {
            let address = Ipv4Addr::from(self.fresh);
            if !self.entries.contains_key(&address) && !self.reserved_addresses.contains(&address) {
                return Some(address);
            }
            match self.fresh.checked_add(1) {
                Some(next) => self.fresh = next,
                None => break,
            }
        }
        // The one that ended first: its client had the longest time to come back.
        self.by_end
            .range(..=(now, Ipv4Addr::BROADCAST))
            .map(|(_, address)| *address)
            .find(|address| self.is_servable(*address))
    }

    /// Puts `address` into `client`'s hand until `until`. An address that the client had before is free.
    pub(crate) fn put(&mut self, address: Ipv4Addr, client: Client, hold: Hold, until: Time, now: Time) {
        if let Some(before) = self.of(&client).filter(|before| *before != address) {
            self.enter(before, None, Hold::Free, now);
        }
        self.enter(address, Some(client), hold, until);
    }

    /// Ends the lease of `address`; its client is remembered.
    pub(crate) fn release(&mut self, address: Ipv4Addr, now: Time) {
        if let Some(entry) = self.entries.get(&address) {
            let client = entry.client.clone();
            self.enter(address, client, Hold::Free, now);
        }
    }

    /// Takes `address` out of use until `until`.
    pub(crate) fn decline(&mut self, address: Ipv4Addr, until: Time) {
        self.enter(address, None, Hold::Declined, until);
    }

    /// Every address that somebody has or had: what must outlive a power cut. Offers are not among them.
    pub(crate) fn to_keep(&self) -> impl Iterator<Item = Change<'_>> {
        self.entries.iter().filter(|(_, entry)| entry.hold != Hold::Offered).map(|(address, entry)| Change {
            address: *address,
            client: entry.client.as_ref(),
            hold: entry.hold,
            until: entry.until,
        })
    }

    /// Whether an address may be given out at all.
    pub(crate) fn is_known(&self, address: Ipv4Addr) -> bool {
        self.is_servable(address) || self.reserved_addresses.contains(&address)
    }

    fn enter(&mut self, address: Ipv4Addr, client: Option<Client>, hold: Hold, until: Time) {
        if let Some(before) = self.entries.remove(&address) {
            self.by_end.remove(&(before.until, address));
            if let Some(client) = before.client
                && self.by_client.get(&client) == Some(&address)
            {
                self.by_client.remove(&client);
            }
        }
        if let Some(client) = &client {
            self.by_client.insert(client.clone(), address);
        }
        self.by_end.insert((until, address));
        self.entries.insert(address, Entry { client, hold, until });
    }

    fn is_servable(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address.into()) && !self.reserved_addresses.contains(&address)
    }

    fn is_declined(&self, address: Ipv4Addr, now: Time) -> bool {
        self.entries.get(&address).is_some_and(|entry| entry.hold == Hold::Declined && now < entry.until)
    }

    fn is_free(&self, address: Ipv4Addr, now: Time) -> bool {
        self.is_servable(address) && self.entries.get(&address).is_none_or(|entry| entry.until <= now)
    }
}
