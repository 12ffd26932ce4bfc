//! The bindings' place on the disk: one record for each binding that begins, changes or ends.
//!
//! The [`Ledger`] survives torn writes; this file says what its records mean. A write that is still on its way is
//! repeated in every snapshot: the table holds only what was kept, and a snapshot of the table alone would lose it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use net::{Disk, Outbox, RecordId, Time, WallClock};
use serde::{Deserialize, Serialize};

use super::{Binding, Bindings, Plain};
use crate::ledger::{Ledger, MustTurn, WriteId};

/// One record. Times are wall time: a registrar that comes back may count its instants from zero again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Record {
    /// A binding holds.
    Bound {
        aor: String,
        endpoint: String,
        instance: String,
        gruu: String,
        contact: String,
        received: SocketAddr,
        until: i64,
        call_id: String,
        cseq: u32,
        client_tag: String,
        server_tag: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plain: Option<Box<Plain>>,
    },
    /// An endpoint has no binding.
    Gone { aor: String, endpoint: String },
}

/// Writes bindings to the disk.
#[derive(Debug)]
pub struct Store {
    ledger: Ledger,
    on_the_way: BTreeMap<WriteId, Vec<u8>>,
    /// What counts as kept though nothing is written; `None` where things are.
    unwritten: Option<Vec<WriteId>>,
}

impl Store {
    /// A store that knows of nothing. One that does not write holds nothing over the loss of power, and nobody waits for it.
    pub fn new(writes: bool) -> Store {
        let unwritten = (!writes).then(Vec::new);
        Store { ledger: Ledger::new("bindings"), on_the_way: BTreeMap::new(), unwritten }
    }

    /// What counts as kept at once, since nothing is written.
    pub fn take_unwritten(&mut self) -> Vec<WriteId> {
        self.unwritten.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Power came: returns the bindings that the disk tells of and that have not expired, none with a connection.
    pub fn power_on(&mut self, disk: &Disk, clock: &WallClock, now: Time, out: &mut Outbox) -> Vec<Binding> {
        self.on_the_way.clear();
        if self.unwritten.is_some() {
            return Vec::new();
        }
        let (records, must_turn) = self.ledger.power_on(disk);
        let mut found = BTreeMap::new();
        for record in &records {
            // A record whose checksum is right was written by this pool; one of another version is left out.
            match serde_json::from_slice(record) {
                Ok(Record::Gone { aor, endpoint }) => {
                    found.remove(&(aor, endpoint));
                }
                Ok(bound) => {
                    if let Some((key, binding)) = revive(bound, clock, now) {
                        found.insert(key, binding);
                    }
                }
                Err(_) => {}
            }
        }
        let found: Vec<Binding> = found.into_values().flatten().collect();
        if must_turn == MustTurn::Yes {
            let records: Vec<_> = found.iter().map(|binding| bound_record(binding, clock, now)).collect();
            self.ledger.turn(&records, out);
        }
        found
    }

    /// Writes down that a binding holds; it counts once [`Store::kept`] returns the write.
    pub fn bound(&mut self, binding: &Binding, clock: &WallClock, now: Time, out: &mut Outbox) -> WriteId {
        self.append(|| bound_record(binding, clock, now), out)
    }

    /// Writes down that an endpoint has no binding any more.
    pub fn gone(&mut self, aor: &str, endpoint: &str, out: &mut Outbox) -> WriteId {
        let record = || encode(&Record::Gone { aor: aor.to_owned(), endpoint: endpoint.to_owned() });
        self.append(record, out)
    }

    /// A record reached the disk: whether it was one of these, and the write that is complete with it.
    pub fn kept(&mut self, record: RecordId) -> (bool, Option<WriteId>) {
        let (is_ours, write) = self.ledger.kept(record);
        if let Some(write) = write {
            self.on_the_way.remove(&write);
        }
        (is_ours, write)
    }

    /// Writes everything anew if the records have grown much larger than what they tell.
    pub fn tidy(&mut self, bindings: &Bindings, clock: &WallClock, now: Time, out: &mut Outbox) {
        if self.ledger.has_overgrown() {
            let live = bindings.all(now).map(|binding| bound_record(&binding, clock, now));
            let records: Vec<_> = live.chain(self.on_the_way.values().cloned()).collect();
            self.ledger.turn(&records, out);
        }
    }

    fn append(&mut self, record: impl FnOnce() -> Vec<u8>, out: &mut Outbox) -> WriteId {
        if let Some(unwritten) = &mut self.unwritten {
            let write = self.ledger.skip();
            unwritten.push(write);
            return write;
        }
        let record = record();
        let write = self.ledger.append(&record, out);
        self.on_the_way.insert(write, record);
        write
    }
}

fn encode(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).expect("text and numbers always print as JSON")
}

fn bound_record(binding: &Binding, clock: &WallClock, now: Time) -> Vec<u8> {
    encode(&Record::Bound {
        aor: binding.aor.clone(),
        endpoint: binding.endpoint.clone(),
        instance: binding.instance.clone(),
        gruu: binding.gruu.clone(),
        contact: binding.contact.clone(),
        received: binding.received,
        until: clock.read(now).plus(binding.until - now).unix_nanos(),
        call_id: binding.call_id.clone(),
        cseq: binding.cseq,
        client_tag: binding.client_tag.clone(),
        server_tag: binding.server_tag.clone(),
        plain: binding.plain.clone().map(Box::new),
    })
}

type Revived = ((String, String), Option<Binding>);

/// The binding of a record; `None` in place of one that has expired, which still replaces what came before it.
fn revive(record: Record, clock: &WallClock, now: Time) -> Option<Revived> {
    let Record::Bound {
        aor,
        endpoint,
        instance,
        gruu,
        contact,
        received,
        until,
        call_id,
        cseq,
        client_tag,
        server_tag,
        plain,
    } = record
    else {
        return None;
    };
    let key = (aor.clone(), endpoint.clone());
    let left = until.saturating_sub(clock.read(now).unix_nanos());
    let Some(left) = u64::try_from(left).ok().filter(|left| *left > 0) else { return Some((key, None)) };
    let binding = Binding {
        aor,
        endpoint,
        instance,
        gruu,
        contact,
        received,
        connection: None,
        until: now + Duration::from_nanos(left),
        lost_at: None,
        call_id,
        cseq,
        client_tag,
        server_tag,
        plain: plain.map(|plain| *plain),
    };
    Some((key, Some(binding)))
}

#[cfg(test)]
mod tests {
    use net::{Effect, Wall, WriteKind};

    use super::super::tests::binding;
    use super::*;

    /// A disk that keeps everything it is told.
    fn write(disk: &mut Disk, out: &mut Outbox, store: &mut Store) {
        for effect in out.take() {
            if let Effect::Keep(id, keep) = effect {
                let file = disk.entry(keep.file).or_default();
                match keep.write {
                    WriteKind::Append(bytes) => file.extend(&bytes[..]),
                    WriteKind::Replace(bytes) => *file = bytes.to_vec(),
                }
                store.kept(id);
            }
        }
    }

    fn clock() -> WallClock {
        WallClock::new(Wall::from_unix_secs(1_539_075_600), Time::ZERO)
    }

    fn powered(disk: &mut Disk, now: Time) -> (Store, Vec<Binding>) {
        let (mut store, mut out) = (Store::new(true), Outbox::new());
        let found = store.power_on(disk, &clock(), now, &mut out);
        write(disk, &mut out, &mut store);
        (store, found)
    }

    fn names(found: &[Binding]) -> Vec<&str> {
        found.iter().map(|b| b.endpoint.as_str()).collect()
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart_without_its_connection() {
        let (mut disk, mut out) = (Disk::new(), Outbox::new());
        let (mut store, _) = powered(&mut disk, Time::ZERO);
        store.bound(&binding("a@x", "01", 100), &clock(), Time::ZERO, &mut out);
        store.bound(&binding("a@x", "02", 500), &clock(), Time::ZERO, &mut out);
        store.bound(&binding("a@x", "02", 50), &clock(), Time::ZERO, &mut out);
        store.bound(&binding("a@x", "03", 100), &clock(), Time::ZERO, &mut out);
        store.gone("a@x", "03", &mut out);
        write(&mut disk, &mut out, &mut store);
        let (_, found) = powered(&mut disk, Time::from_secs(50));
        let mut wanted = binding("a@x", "01", 100);
        wanted.connection = None;
        assert_eq!(found, [wanted], "the second had expired, the third was gone");
    }

    #[test]
    fn a_power_cut_at_any_byte_leaves_the_old_state_or_the_new_one() {
        let (mut disk, mut out) = (Disk::new(), Outbox::new());
        let (mut store, _) = powered(&mut disk, Time::ZERO);
        store.bound(&binding("a@x", "01", 100), &clock(), Time::ZERO, &mut out);
        write(&mut disk, &mut out, &mut store);
        let before = disk.clone();
        store.bound(&binding("a@x", "02", 100), &clock(), Time::ZERO, &mut out);
        write(&mut disk, &mut out, &mut store);
        let (file, whole) =
            disk.iter().find(|(file, bytes)| before.get(*file) != Some(bytes)).expect("one file grew");
        for cut in before[file].len()..=whole.len() {
            let mut torn = before.clone();
            torn.insert(file.clone(), whole[..cut].to_vec());
            let (mut store, found) = powered(&mut torn, Time::ZERO);
            let wanted: &[&str] = if cut == whole.len() { &["01", "02"] } else { &["01"] };
            assert_eq!(names(&found), wanted, "cut at {cut}");
            // What is written after a torn end is read again.
            store.bound(&binding("a@x", "03", 100), &clock(), Time::ZERO, &mut out);
            write(&mut torn, &mut out, &mut store);
            assert_eq!(names(&powered(&mut torn, Time::ZERO).1).last(), Some(&"03"), "cut at {cut}");
        }
    }

    #[test]
    fn a_snapshot_repeats_what_is_still_on_its_way() {
        let (mut disk, mut out) = (Disk::new(), Outbox::new());
        let (mut store, _) = powered(&mut disk, Time::ZERO);
        let live = binding("a@x", "01", 100_000);
        for _ in 0..2_000 {
            store.bound(&live, &clock(), Time::ZERO, &mut out);
        }
        write(&mut disk, &mut out, &mut store);
        store.bound(&binding("b@x", "01", 100_000), &clock(), Time::ZERO, &mut out);
        let mut bindings = Bindings::default();
        bindings.put(&live, Time::ZERO);
        store.tidy(&bindings, &clock(), Time::ZERO, &mut out);
        write(&mut disk, &mut out, &mut store);
        assert!(disk.values().any(|file| file.len() < 2_000), "the journal was written anew");
        assert_eq!(powered(&mut disk, Time::ZERO).1.len(), 2);
    }

    #[test]
    fn rubbish_on_the_disk_is_an_empty_registrar() {
        let mut disk = Disk::from([("bindings.a".to_owned(), b"\0\xff\n00000000 {}\n".to_vec())]);
        assert_eq!(powered(&mut disk, Time::ZERO).1, []);
    }
}
