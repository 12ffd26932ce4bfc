//! Bindings: where each address can be reached, and until when.
//!
//! A binding belongs to one endpoint (RFC 3261 §10.3 with the endpoint identifier of MS-SIPREGE as its key): a
//! second REGISTER of the same endpoint replaces it, whatever contact it names. Ordinary user agents have none: their
//! endpoints go by instance and flow (RFC 5626), or by the Contact itself. It lives from the write that kept it
//! until its expiry, a de-registration, or [`CONNECTION_GRACE`] after its connection closed. Expiry is checked when
//! a binding is read, so a lost timer cannot keep a dead phone reachable.

pub mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use net::{StreamId, Time};
use serde::{Deserialize, Serialize};

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

    fn key(&self) -> Key {
        (self.aor.clone(), self.endpoint.clone())
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

type Key = (String, String);

/// Every binding that was kept.
#[derive(Debug, Default)]
pub struct Bindings {
    table: BTreeMap<Key, Binding>,
    by_connection: BTreeMap<StreamId, BTreeSet<Key>>,
    ends: BTreeSet<(Time, Key)>,
}

impl Bindings {
    /// What is bound to `aor` at `now`, by endpoint.
    pub fn of(&self, aor: &str, now: Time) -> Vec<&Binding> {
        let first = (aor.to_owned(), String::new());
        let mine = self.table.range(first..).take_while(|((of, _), _)| of == aor);
        mine.map(|(_, binding)| binding).filter(|binding| now < binding.ends_at()).collect()
    }

    /// The binding of one endpoint, if it has one at `now`.
    pub fn find(&self, aor: &str, endpoint: &str, now: Time) -> Option<&Binding> {
        let binding = self.table.get(&(aor.to_owned(), endpoint.to_owned()))?;
        (now < binding.ends_at()).then_some(binding)
    }

    /// Every binding that holds at `now`, by address and endpoint.
    pub fn all(&self, now: Time) -> impl Iterator<Item = &Binding> {
        self.table.values().filter(move |binding| now < binding.ends_at())
    }

    /// Puts a binding in, in place of what its endpoint had. Returns the binding that this pushes out because the
    /// address has too many endpoints.
    pub fn put(&mut self, binding: Binding, now: Time) -> Option<Binding> {
        let key = binding.key();
        self.take(&key);
        let crowded = self.of(&binding.aor, now).len() >= ENDPOINTS_PER_ADDRESS;
        let oldest = self.of(&binding.aor, now).into_iter().min_by_key(|other| other.until).map(Binding::key);
        let pushed_out = oldest.filter(|_| crowded).and_then(|key| self.take(&key));
        if let Some(stream) = binding.connection {
            self.by_connection.entry(stream).or_default().insert(key.clone());
        }
        self.ends.insert((binding.ends_at(), key.clone()));
        self.table.insert(key, binding);
        pushed_out
    }

    /// Takes an endpoint's binding out, whether it had expired or not.
    pub fn remove(&mut self, aor: &str, endpoint: &str) -> Option<Binding> {
        self.take(&(aor.to_owned(), endpoint.to_owned()))
    }

    /// Remembers that a connection closed: what was bound to it ends after [`CONNECTION_GRACE`] unless its endpoint
    /// registers again.
    pub fn connection_closed(&mut self, stream: StreamId, now: Time) {
        for key in self.by_connection.remove(&stream).unwrap_or_default() {
            let Some(binding) = self.table.get_mut(&key) else { continue };
            self.ends.remove(&(binding.ends_at(), key.clone()));
            binding.connection = None;
            binding.lost_at = Some(now);
            self.ends.insert((binding.ends_at(), key));
        }
    }

    /// Takes out the next binding that has ended by `now`.
    pub fn take_ended(&mut self, now: Time) -> Option<(Binding, Ended)> {
        let (at, key) = self.ends.first().cloned()?;
        if now < at {
            return None;
        }
        let binding = self.take(&key).expect("every end belongs to a binding");
        let why = if binding.until <= now { Ended::Expired } else { Ended::ConnectionLost };
        Some((binding, why))
    }

    /// When the next binding ends.
    pub fn wake_at(&self) -> Option<Time> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// How many bindings are held, ended ones that nobody has looked at included.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nothing is bound.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn take(&mut self, key: &Key) -> Option<Binding> {
        let binding = self.table.remove(key)?;
        self.ends.remove(&(binding.ends_at(), key.clone()));
        if let Some(stream) = binding.connection
            && let Some(keys) = self.by_connection.get_mut(&stream)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.by_connection.remove(&stream);
            }
        }
        Some(binding)
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
        bindings.put(binding("a@x", "01", 100), secs(0));
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
        bindings.put(binding("a@x", "01", 100), secs(0));
        bindings.put(binding("a@x", "01", 200), secs(1));
        bindings.put(binding("a@x", "02", 300), secs(1));
        bindings.put(binding("b@x", "01", 300), secs(1));
        let untils: Vec<Time> = bindings.of("a@x", secs(1)).iter().map(|b| b.until).collect();
        assert_eq!(untils, [secs(200), secs(300)]);
    }

    #[test]
    fn a_lost_connection_ends_its_bindings_after_the_grace() {
        let mut bindings = Bindings::default();
        bindings.put(binding("a@x", "01", 1000), secs(0));
        bindings.connection_closed(StreamId(1), secs(10));
        assert!(bindings.find("a@x", "01", secs(69)).is_some());
        assert!(bindings.find("a@x", "01", secs(70)).is_none());
        let (_, why) = bindings.take_ended(secs(70)).expect("it ended");
        assert_eq!(why, Ended::ConnectionLost);
    }

    #[test]
    fn an_endpoint_that_comes_back_in_time_keeps_its_binding() {
        let mut bindings = Bindings::default();
        bindings.put(binding("a@x", "01", 1000), secs(0));
        bindings.connection_closed(StreamId(1), secs(10));
        bindings.put(Binding { connection: Some(StreamId(2)), ..binding("a@x", "01", 1000) }, secs(20));
        assert!(bindings.find("a@x", "01", secs(999)).is_some());
        // The old connection's end comes late, and means nothing any more.
        bindings.connection_closed(StreamId(1), secs(30));
        assert_eq!(bindings.wake_at(), Some(secs(1000)));
    }

    #[test]
    fn one_endpoint_too_many_pushes_out_the_stalest() {
        let mut bindings = Bindings::default();
        for number in 0..ENDPOINTS_PER_ADDRESS as u64 {
            let pushed = bindings.put(binding("a@x", &format!("{number:02}"), 100 + number), secs(0));
            assert_eq!(pushed, None);
        }
        let pushed = bindings.put(binding("a@x", "99", 500), secs(0)).expect("one had to go");
        assert_eq!(pushed.endpoint, "00");
        assert_eq!(bindings.of("a@x", secs(0)).len(), ENDPOINTS_PER_ADDRESS);
    }
}
