//! Bindings: where each address can be reached, and until when.
//!
//! A binding belongs to one endpoint (RFC 3261 §10.3 with the endpoint identifier of MS-SIPREGE as its key): a
//! second REGISTER of the same endpoint replaces it, whatever contact it names. Ordinary user agents have none: their
//! endpoints go by instance and flow (RFC 5626), or by the Contact itself. It lives from the write that kept it
//! until its expiry, a de-registration, or [`CONNECTION_GRACE`] after its connection closed. Expiry is checked when
//! a binding is read, so a lost timer cannot keep a dead phone reachable.

mod packed;
pub mod store;

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::net::SocketAddr;
use std::time::Duration;

use hashbrown::HashTable;
use net::{StreamId, Time};
use serde::{Deserialize, Serialize};

use self::packed::Packed;
use super::flow::Carrier;

/// How long a binding outlives its connection. Clients of a Microsoft pool expect the presence of an endpoint to go
/// when its connection goes; a phone whose connection was reset dials again within half a minute, and should then
/// hear `refreshed`. A project choice: no document gives the number.
pub const CONNECTION_GRACE: Duration = Duration::from_secs(60);

/// The most endpoints one address may have. The next one pushes out the one that was refreshed longest ago
/// (the number is the default of the product's `MaxEndpointsPerUser`; the pushing out is a guess).
pub const ENDPOINTS_PER_ADDRESS: usize = 8;

/// One endpoint of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The address of record without its scheme, lower case: `alice@contoso.example`.
    pub aor: String,
    /// What tells this endpoint from the address's others: its epid, or its instance id if it sent no epid.
    pub endpoint: String,
    /// The instance id, a UUID in lower case; empty for an ordinary user agent.
    pub instance: String,
    /// The GRUU that was issued to this endpoint; empty for an ordinary user agent.
    pub gruu: String,
    /// The Contact URI as the client wrote it.
    pub contact: String,
    /// Where its last REGISTER came from.
    pub received: SocketAddr,
    /// The connection it can be reached over; `None` after the registrar was restarted or the connection closed.
    pub connection: Option<StreamId>,
    /// When it expires.
    pub until: Time,
    /// When its connection closed, if it did.
    pub lost_at: Option<Time>,
    /// The REGISTER's Call-ID.
    pub call_id: String,
    /// The REGISTER's CSeq number.
    pub cseq: u32,
    /// The REGISTER's From tag: the client's tag in the implicit subscription to its own registration.
    pub client_tag: String,
    /// The 200's To tag: ours in the same.
    pub server_tag: String,
    /// What is known of it if it is an ordinary user agent's; `None` for clients that speak TLS-DSK.
    pub plain: Option<Plain>,
}

/// What a binding of an ordinary user agent has besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plain {
    /// How its REGISTER came.
    pub carrier: Carrier,
    /// Where datagrams to it go; `None` if it is reached over its connection.
    pub target: Option<SocketAddr>,
    /// Its preference, in thousandths (RFC 3261 §20.10).
    pub q: u16,
    /// The proxies on the way to it, the nearest to the pool first (RFC 3327).
    pub path: Vec<String>,
    /// The Contact's parameters as it wrote them, without `expires`.
    pub params: String,
    /// Its flow's number, if it registered by RFC 5626.
    pub reg_id: Option<u32>,
}

impl Binding {
    /// When it ends if nothing else happens.
    pub fn ends_at(&self) -> Time {
        let lost = self.lost_at.map_or(Time::NEVER, |at| at + CONNECTION_GRACE);
        self.until.min(lost)
    }
}

/// A binding as it lies there, to be looked at without being copied.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// As [`Binding::endpoint`].
    pub endpoint: &'a str,
    /// As [`Binding::instance`].
    pub instance: &'a str,
    /// As [`Binding::gruu`].
    pub gruu: &'a str,
    /// As [`Binding::contact`].
    pub contact: &'a str,
    /// As [`Binding::until`].
    pub until: Time,
    /// As [`Binding::call_id`].
    pub call_id: &'a str,
    /// As [`Binding::cseq`].
    pub cseq: u32,
    /// As [`Binding::client_tag`].
    pub client_tag: &'a str,
    /// What is to be known of it if it is an ordinary user agent's.
    pub plain: Option<HeldPlain<'a>>,
}

/// What a held binding of an ordinary user agent has besides, as far as it is looked at in place.
#[derive(Clone, Copy, Debug)]
pub struct HeldPlain<'a> {
    /// As [`Plain::params`].
    pub params: &'a str,
    /// As [`Plain::reg_id`].
    pub reg_id: Option<u32>,
}

impl Binding {
    /// The same, to be looked at beside others that lie packed.
    pub fn held(&self) -> Held<'_> {
        Held {
            endpoint: &self.endpoint,
            instance: &self.instance,
            gruu: &self.gruu,
            contact: &self.contact,
            until: self.until,
            call_id: &self.call_id,
            cseq: self.cseq,
            client_tag: &self.client_tag,
            plain: self.plain.as_ref().map(|plain| HeldPlain { params: &plain.params, reg_id: plain.reg_id }),
        }
    }
}

/// Why a binding ended without its endpoint saying so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was not refreshed in time.
    Expired,
    /// Its connection closed and the endpoint did not come back within [`CONNECTION_GRACE`].
    ConnectionLost,
}

/// Every binding that was kept.
///
/// Bindings lie packed in places; all else names places, so that nothing is written twice.
#[derive(Debug, Default)]
pub struct Bindings {
    places: Vec<Option<Packed>>,
    free: Vec<u32>,
    /// The first endpoint of each address. Only addresses of accounts get in, so that strangers cannot choose where they fall.
    /// Nobody walks through it.
    first: HashTable<u32>,
    by_connection: BTreeSet<(StreamId, u32)>,
    /// When each is looked at next, to see whether it has ended: at its end, or before that if it was refreshed since.
    ends: BTreeSet<(Time, u32)>,
}

fn hash(aor: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(aor)
}

impl Bindings {
    /// What is bound to `aor` at `now`, by endpoint.
    pub fn of(&self, aor: &str, now: Time) -> Vec<Binding> {
        self.by_endpoint(aor, now).into_iter().map(Packed::unpack).collect()
    }

    /// The same, to be looked at.
    pub fn held_of(&self, aor: &str, now: Time) -> Vec<Held<'_>> {
        self.by_endpoint(aor, now).into_iter().map(Packed::held).collect()
    }

    fn by_endpoint(&self, aor: &str, now: Time) -> Vec<&Packed> {
        let mut mine: Vec<&Packed> = self.mine(aor).map(|(_, held)| held).collect();
        mine.retain(|held| now < held.ends_at());
        mine.sort_unstable_by(|one, other| one.endpoint().cmp(other.endpoint()));
        mine
    }

    /// Whether an endpoint has a binding at `now`.
    pub fn holds(&self, aor: &str, endpoint: &str, now: Time) -> bool {
        self.place_of(aor, endpoint).is_some_and(|(_, held)| now < held.ends_at())
    }

    /// The binding of one endpoint, if it has one at `now`.
    pub fn find(&self, aor: &str, endpoint: &str, now: Time) -> Option<Binding> {
        let (_, held) = self.place_of(aor, endpoint)?;
        (now < held.ends_at()).then(|| held.unpack())
    }

    /// Every binding that holds at `now`, in no order that means anything.
    pub fn all(&self, now: Time) -> impl Iterator<Item = Binding> {
        self.places.iter().flatten().filter(move |held| now < held.ends_at()).map(Packed::unpack)
    }

    /// How many hold at `now`.
    pub fn count(&self, now: Time) -> usize {
        self.places.iter().flatten().filter(|held| now < held.ends_at()).count()
    }

    /// Puts a binding in, in place of what its endpoint had. Returns the binding that this pushes out because the
    /// address has too many endpoints.
    pub fn put(&mut self, binding: &Binding, now: Time) -> Option<Binding> {
        if let Some((place, _)) = self.place_of(&binding.aor, &binding.endpoint) {
            self.replace(place, Packed::pack(binding));
            return None;
        }
        let held = self.mine(&binding.aor).filter(|(_, held)| now < held.ends_at());
        let (count, stalest) = held.fold((0, None), |(count, stalest), (place, held)| {
            // Of two that are equally stale the one whose name comes first.
            let this = (held.until(), held.endpoint(), place);
            (count + 1, Some(stalest.map_or(this, |other| this.min(other))))
        });
        let stalest = stalest.map(|(_, _, place)| place);
        let pushed_out =
            stalest.filter(|_| count >= ENDPOINTS_PER_ADDRESS).and_then(|place| self.take(place));
        self.insert(Packed::pack(binding));
        pushed_out
    }

    /// Takes an endpoint's binding out, whether it had expired or not.
    pub fn remove(&mut self, aor: &str, endpoint: &str) -> Option<Binding> {
        let (place, _) = self.place_of(aor, endpoint)?;
        self.take(place)
    }

    /// Remembers that a connection closed: what was bound to it ends after [`CONNECTION_GRACE`] unless its endpoint
    /// registers again.
    pub fn connection_closed(&mut self, stream: StreamId, now: Time) {
        while let Some((_, place)) =
            self.by_connection.range((stream, 0)..=(stream, u32::MAX)).next().copied()
        {
            self.by_connection.remove(&(stream, place));
            let Some(held) = self.places[place as usize].as_mut() else { continue };
            self.ends.remove(&(held.looked_at, place));
            held.lose(now);
            held.looked_at = held.ends_at();
            self.ends.insert((held.looked_at, place));
        }
    }

    /// Takes out the next binding that has ended by `now`.
    pub fn take_ended(&mut self, now: Time) -> Option<(Binding, Ended)> {
        let place = loop {
            let (at, place) = self.ends.first().copied()?;
            if now < at {
                return None;
            }
            let held = self.places[place as usize].as_mut().expect("every end belongs to a binding");
            if held.ends_at() <= now {
                break place;
            }
            self.ends.pop_first();
            held.looked_at = held.ends_at();
            self.ends.insert((held.looked_at, place));
        };
        let binding = self.take(place).expect("every end belongs to a binding");
        let why = if binding.until <= now { Ended::Expired } else { Ended::ConnectionLost };
        Some((binding, why))
    }

    /// When the next binding ends.
    pub fn wake_at(&self) -> Option<Time> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// How many bindings are held, ended ones that nobody has looked at included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether nothing is bound.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn packed(&self, place: u32) -> Option<&Packed> {
        self.places.get(place as usize)?.as_ref()
    }

    fn first_of(&self, aor: &str) -> Option<u32> {
        let is = |place: &u32| self.packed(*place).is_some_and(|held| held.aor() == aor);
        self.first.find(hash(aor), is).copied()
    }

    /// The endpoints of an address with their places.
    fn mine(&self, aor: &str) -> impl Iterator<Item = (u32, &Packed)> {
        let mut next = self.first_of(aor);
        std::iter::from_fn(move || {
            let place = next?;
            let held = self.packed(place)?;
            next = (held.next != place).then_some(held.next);
            Some((place, held))
        })
    }

    fn place_of(&self, aor: &str, endpoint: &str) -> Option<(u32, &Packed)> {
        self.mine(aor).find(|(_, held)| held.endpoint() == endpoint)
    }

    fn insert(&mut self, mut packed: Packed) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).expect("fewer bindings than octets of memory")
        });
        let hash_of = hash(packed.aor());
        if let Some(stream) = packed.connection() {
            self.by_connection.insert((stream, place));
        }
        packed.looked_at = packed.ends_at();
        self.ends.insert((packed.looked_at, place));
        let Bindings { places, first, .. } = self;
        let aor_of = |place: &u32| places[*place as usize].as_ref().map_or("", Packed::aor);
        match first.find_mut(hash_of, |other| aor_of(other) == packed.aor()) {
            Some(head) => packed.next = std::mem::replace(head, place),
            None => {
                packed.next = place;
                first.insert_unique(hash_of, place, |other| hash(aor_of(other)));
            }
        }
        places[place as usize] = Some(packed);
    }

    /// Puts another binding of the same endpoint in the place of one.
    fn replace(&mut self, place: u32, mut packed: Packed) {
        let Bindings { places, by_connection, ends, .. } = self;
        let Some(old) = places.get_mut(place as usize).and_then(Option::as_mut) else { return };
        packed.next = old.next;
        packed.looked_at = old.looked_at;
        // A refresh, which only puts the end off, leaves it where it stands.
        let was_lost = old.ends_at() < old.until();
        if was_lost || packed.ends_at() < old.looked_at {
            ends.remove(&(old.looked_at, place));
            packed.looked_at = packed.ends_at();
            ends.insert((packed.looked_at, place));
        }
        if old.connection() != packed.connection() {
            if let Some(stream) = old.connection() {
                by_connection.remove(&(stream, place));
            }
            if let Some(stream) = packed.connection() {
                by_connection.insert((stream, place));
            }
        }
        *old = packed;
    }

    fn take(&mut self, place: u32) -> Option<Binding> {
        let packed = self.places.get_mut(place as usize)?.take()?;
        self.free.push(place);
        self.ends.remove(&(packed.looked_at, place));
        if let Some(stream) = packed.connection() {
            self.by_connection.remove(&(stream, place));
        }
        let next = (packed.next != place).then_some(packed.next);
        let hash_of = hash(packed.aor());
        if self.first.find(hash_of, |other| *other == place).is_none() {
            self.unchain(&packed, place, next);
        } else if let Ok(mut head) = self.first.find_entry(hash_of, |other| *other == place) {
            match next {
                Some(next) => *head.get_mut() = next,
                None => drop(head.remove()),
            }
        }
        Some(packed.unpack())
    }

    /// Takes a place out of the chain of its address, whose first it is not.
    fn unchain(&mut self, packed: &Packed, place: u32, next: Option<u32>) {
        let before = self.mine(packed.aor()).find(|(_, held)| held.next == place).map(|(before, _)| before);
        if let Some(before) = before
            && let Some(held) = self.places[before as usize].as_mut()
        {
            held.next = next.unwrap_or(before);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn binding(aor: &str, endpoint: &str, until: u64) -> Binding {
        Binding {
            aor: aor.to_owned(),
            endpoint: endpoint.to_owned(),
            instance: "4b1682a8-f968-5701-83fc-7c6741dc6697".to_owned(),
            gruu: format!("sip:{aor};opaque=user:epid:{endpoint};gruu"),
            contact: "sip:10.20.2.1:5061;transport=tls".to_owned(),
            received: ([10, 20, 2, 1], 40_000).into(),
            connection: Some(StreamId(1)),
            until: Time::from_secs(until),
            lost_at: None,
            call_id: "one".to_owned(),
            cseq: 1,
            client_tag: "c".to_owned(),
            server_tag: "s".to_owned(),
            plain: None,
        }
    }

    fn secs(secs: u64) -> Time {
        Time::from_secs(secs)
    }

    #[test]
    fn a_binding_holds_up_to_its_expiry_and_not_at_it() {
        let mut bindings = Bindings::default();
        bindings.put(&binding("a@x", "01", 100), secs(0));
        assert!(bindings.find("a@x", "01", Time::from_nanos(99_999_999_999)).is_some());
        assert!(bindings.find("a@x", "01", secs(100)).is_none());
        assert_eq!(bindings.of("a@x", secs(100)).len(), 0);
        assert_eq!(bindings.take_ended(secs(99)), None);
        let (gone, why) = bindings.take_ended(secs(100)).expect("it ended");
        assert_eq!((gone.endpoint.as_str(), why), ("01", Ended::Expired));
        assert!(bindings.is_empty());
        assert_eq!(bindings.wake_at(), None);
    }

    #[test]
    fn an_endpoint_has_one_binding_and_an_address_many() {
        let mut bindings = Bindings::default();
        bindings.put(&binding("a@x", "01", 100), secs(0));
        bindings.put(&binding("a@x", "01", 200), secs(1));
        bindings.put(&binding("a@x", "02", 300), secs(1));
        bindings.put(&binding("b@x", "01", 300), secs(1));
        let untils: Vec<Time> = bindings.of("a@x", secs(1)).iter().map(|b| b.until).collect();
        assert_eq!(untils, [secs(200), secs(300)]);
    }

    #[test]
    fn a_lost_connection_ends_its_bindings_after_the_grace() {
        let mut bindings = Bindings::default();
        bindings.put(&binding("a@x", "01", 1000), secs(0));
        bindings.connection_closed(StreamId(1), secs(10));
        assert!(bindings.find("a@x", "01", secs(69)).is_some());
        assert!(bindings.find("a@x", "01", secs(70)).is_none());
        let (_, why) = bindings.take_ended(secs(70)).expect("it ended");
        assert_eq!(why, Ended::ConnectionLost);
    }

    #[test]
    fn an_endpoint_that_comes_back_in_time_keeps_its_binding() {
        let mut bindings = Bindings::default();
        bindings.put(&binding("a@x", "01", 1000), secs(0));
        bindings.connection_closed(StreamId(1), secs(10));
        bindings.put(&Binding { connection: Some(StreamId(2)), ..binding("a@x", "01", 1000) }, secs(20));
        assert!(bindings.find("a@x", "01", secs(999)).is_some());
        // The old connection's end comes late, and means nothing any more.
        bindings.connection_closed(StreamId(1), secs(30));
        assert_eq!(bindings.wake_at(), Some(secs(1000)));
    }

    #[test]
    fn one_endpoint_too_many_pushes_out_the_stalest() {
        let mut bindings = Bindings::default();
        for number in 0..ENDPOINTS_PER_ADDRESS as u64 {
            let pushed = bindings.put(&binding("a@x", &format!("{number:02}"), 100 + number), secs(0));
            assert_eq!(pushed, None);
        }
        let pushed = bindings.put(&binding("a@x", "99", 500), secs(0)).expect("one had to go");
        assert_eq!(pushed.endpoint, "00");
        assert_eq!(bindings.of("a@x", secs(0)).len(), ENDPOINTS_PER_ADDRESS);
    }
}
