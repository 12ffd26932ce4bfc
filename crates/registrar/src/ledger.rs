//! A ledger: a file of records that a power cut may tear but not confuse.
//!
//! Records are appended, each behind its length and checksum, so that a torn end is seen and left out. Two files
//! take turns: a fresh snapshot is written into the one that is not in use and counts only once it is complete,
//! so that at every moment one of the two tells the whole truth. A write that must survive in both has been kept
//! when both say so.

use std::collections::BTreeMap;

use net::{Disk, Outbox, RecordId};

/// The most octets of one record.
pub const RECORD_LIMIT: usize = 64 << 10;

/// A ledger that has grown past this many octets, and past four times its last snapshot, is written anew.
const GROWTH_LIMIT: usize = 256 << 10;

/// Octets before each record: its length and its CRC-32, both big-endian.
const FRAME: usize = 8;

/// A write to the ledger, as whoever waits for it names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteId(u64);

/// An append-only list of records on the disk.
#[derive(Debug)]
pub struct Ledger {
    name: &'static str,
    is_second: bool,
    generation: u64,
    octets: usize,
    snapshot_octets: usize,
    /// The snapshot that is on its way into the other file.
    turning: Option<RecordId>,
    /// Which write each record on its way belongs to.
    under_way: BTreeMap<RecordId, WriteId>,
    next_write: u64,
}

impl Ledger {
    /// The ledger in the two files `name.a` and `name.b`.
    pub const fn new(name: &'static str) -> Ledger {
        Ledger {
            name,
            is_second: false,
            generation: 0,
            octets: 0,
            snapshot_octets: 0,
            turning: None,
            under_way: BTreeMap::new(),
            next_write: 1,
        }
    }

    /// Reads what survived: the records of the newest complete file, oldest first, and whether the file must be
    /// written anew ([`Ledger::turn`]) before anything is appended.
    pub fn power_on(&mut self, disk: &Disk) -> (Vec<Vec<u8>>, MustTurn) {
        self.turning = None;
        self.under_way.clear();
        let files = [self.file(false), self.file(true)].map(|file| disk.get(&file).and_then(|f| survey(f)));
        let newest = match (&files[0], &files[1]) {
            (Some(first), Some(second)) => second.generation > first.generation,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        self.is_second = newest;
        let [first, second] = files;
        match if newest { second } else { first } {
            Some(found) => {
                self.generation = found.generation;
                self.octets = found.octets;
                self.snapshot_octets = found.octets;
                (found.records, if found.is_torn { MustTurn::Yes } else { MustTurn::No })
            }
            None => {
                self.generation = 0;
                (Vec::new(), MustTurn::Yes)
            }
        }
    }

    /// Writes a snapshot of everything into the file that is not in use.
    pub fn turn(&mut self, records: &[Vec<u8>], out: &mut Outbox) {
        self.generation += 1;
        let mut bytes = Vec::new();
        let mut head = self.generation.to_be_bytes().to_vec();
        head.extend_from_slice(&(records.len() as u64).to_be_bytes());
        put(&mut bytes, &head);
        for record in records {
            put(&mut bytes, record);
        }
        self.snapshot_octets = bytes.len();
        let file = self.file(!self.is_second);
        let id = out.replace(&file, bytes);
        self.turning = Some(id);
    }

    /// Names a write that is never made.
    pub fn skip(&mut self) -> WriteId {
        let write = WriteId(self.next_write);
        self.next_write += 1;
        write
    }

    /// Appends a record and says how its write is called.
    pub fn append(&mut self, record: &[u8], out: &mut Outbox) -> WriteId {
        let write = self.skip();
        let mut bytes = Vec::with_capacity(record.len() + FRAME);
        put(&mut bytes, record);
        self.octets += bytes.len();
        // While a snapshot is on its way it is open which file will count after a power cut: both must know.
        if self.turning.is_some() {
            self.snapshot_octets += bytes.len();
            let other = self.file(!self.is_second);
            let id = out.append(&other, bytes.clone());
            self.under_way.insert(id, write);
        }
        if self.generation > 1 || self.turning.is_none() {
            let id = out.append(&self.file(self.is_second), bytes);
            self.under_way.insert(id, write);
        }
        write
    }

    /// A record reached the disk: whether it was one of this ledger's, and the write that is complete with it.
    pub fn kept(&mut self, record: RecordId) -> (bool, Option<WriteId>) {
        if self.turning == Some(record) {
            self.turning = None;
            self.is_second = !self.is_second;
            self.octets = self.snapshot_octets;
            return (true, None);
        }
        let Some(write) = self.under_way.remove(&record) else {
            return (false, None);
        };
        let is_complete = !self.under_way.values().any(|other| *other == write);
        (true, is_complete.then_some(write))
    }

    /// Whether it has grown so much that a snapshot pays.
    pub fn has_overgrown(&self) -> bool {
        self.turning.is_none() && self.octets > GROWTH_LIMIT.max(self.snapshot_octets.saturating_mul(4))
    }

    fn file(&self, is_second: bool) -> String {
        format!("{}.{}", self.name, if is_second { "b" } else { "a" })
    }
}

/// Whether a ledger must be written anew before anything is appended to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MustTurn {
    /// Its end is torn, or there is none yet.
    Yes,
    /// It is whole.
    No,
}

struct Survey {
    generation: u64,
    records: Vec<Vec<u8>>,
    octets: usize,
    is_torn: bool,
}

fn put(bytes: &mut Vec<u8>, record: &[u8]) {
    let length = u32::try_from(record.len()).expect("records are small");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&crc32fast::hash(record).to_be_bytes());
    bytes.extend_from_slice(record);
}

/// The record at the beginning of `bytes`, and what follows it.
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if length > RECORD_LIMIT || length > rest.len() {
        return None;
    }
    let (record, rest) = rest.split_at(length);
    (crc32fast::hash(record) == u32::from_be_bytes(*checksum)).then_some((record, rest))
}

/// What a file says; `None` if not even its snapshot is complete.
fn survey(file: &[u8]) -> Option<Survey> {
    let (head, mut rest) = take(file)?;
    let (generation, count) = head.split_first_chunk::<8>()?;
    let generation = u64::from_be_bytes(*generation);
    let count = u64::from_be_bytes(count.try_into().ok()?);
    let mut records = Vec::new();
    while let Some((record, after)) = take(rest) {
        records.push(record.to_vec());
        rest = after;
    }
    let is_complete = records.len() as u64 >= count;
    let is_torn = !rest.is_empty();
    is_complete.then(|| Survey { generation, records, octets: file.len() - rest.len(), is_torn })
}

#[cfg(test)]
mod tests {
    use net::{Effect, WriteKind};
    use proptest::prelude::*;

    use super::*;

    /// Writes everything that was asked for, up to `limit` octets of the last write, as a power cut would.
    fn write(disk: &mut Disk, out: &mut Outbox, ledger: &mut Ledger, last_octets: Option<usize>) {
        let effects = out.take();
        let count = effects.len();
        for (index, effect) in effects.into_iter().enumerate() {
            let Effect::Keep(id, keep) = effect else { continue };
            let cut = if index + 1 == count { last_octets } else { None };
            let (replaces, bytes) = match keep.write {
                WriteKind::Append(bytes) => (false, bytes),
                WriteKind::Replace(bytes) => (true, bytes),
            };
            let file = disk.entry(keep.file).or_default();
            if replaces {
                file.clear();
            }
            match cut {
                Some(octets) => file.extend_from_slice(&bytes[..octets.min(bytes.len())]),
                None => {
                    file.extend_from_slice(&bytes);
                    ledger.kept(id);
                }
            }
        }
    }

    fn started(disk: &mut Disk) -> (Ledger, Vec<Vec<u8>>) {
        let mut ledger = Ledger::new("test");
        let (records, must) = ledger.power_on(disk);
        if must == MustTurn::Yes {
            let mut out = Outbox::new();
            ledger.turn(&records, &mut out);
            write(disk, &mut out, &mut ledger, None);
        }
        (ledger, records)
    }

    #[test]
    fn what_was_kept_is_read_back_after_every_torn_write() {
        for torn in 0..20 {
            let mut disk = Disk::new();
            let mut out = Outbox::new();
            let (mut ledger, _) = started(&mut disk);
            ledger.append(b"one", &mut out);
            write(&mut disk, &mut out, &mut ledger, None);
            ledger.append(b"torn", &mut out);
            write(&mut disk, &mut out, &mut ledger, Some(torn));
            let (mut ledger, records) = started(&mut disk);
            let whole = torn >= FRAME + 4;
            assert_eq!(records.len(), 1 + usize::from(whole), "cut after {torn} octets");
            ledger.append(b"two", &mut out);
            write(&mut disk, &mut out, &mut ledger, None);
            let (_, records) = started(&mut disk);
            assert_eq!(records.first().map(Vec::as_slice), Some(&b"one"[..]));
            assert_eq!(records.last().map(Vec::as_slice), Some(&b"two"[..]));
        }
    }

    #[test]
    fn a_torn_snapshot_leaves_the_old_file_in_force() {
        for torn in 0..40 {
            let mut disk = Disk::new();
            let mut out = Outbox::new();
            let (mut ledger, _) = started(&mut disk);
            ledger.append(b"one", &mut out);
            ledger.append(b"two", &mut out);
            write(&mut disk, &mut out, &mut ledger, None);
            ledger.turn(&[b"one".to_vec(), b"two".to_vec()], &mut out);
            write(&mut disk, &mut out, &mut ledger, Some(torn));
            let (_, records) = started(&mut disk);
            assert_eq!(records, [b"one".to_vec(), b"two".to_vec()], "cut after {torn} octets");
        }
    }

    #[test]
    fn a_record_written_while_a_snapshot_is_under_way_is_kept_by_both_files() {
        let mut disk = Disk::new();
        let mut out = Outbox::new();
        let (mut ledger, _) = started(&mut disk);
        ledger.turn(&[], &mut out);
        let append = ledger.append(b"late", &mut out);
        let ids: Vec<RecordId> = out
            .take()
            .iter()
            .filter_map(|effect| match effect {
                Effect::Keep(id, _) => Some(*id),
                _ => None,
            })
            .collect();
        assert_eq!(ids.len(), 3);
        assert_eq!(ledger.kept(ids[0]), (true, None));
        assert_eq!(ledger.kept(ids[1]), (true, None), "one of two files is not enough");
        assert_eq!(ledger.kept(ids[2]), (true, Some(append)));
        assert_eq!(ledger.kept(RecordId(99)), (false, None));
    }

    proptest! {
        #[test]
        fn any_disk_can_be_powered_on(a in proptest::collection::vec(any::<u8>(), 0..200),
                                      b in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut disk = Disk::new();
            disk.insert("test.a".to_owned(), a);
            disk.insert("test.b".to_owned(), b);
            Ledger::new("test").power_on(&disk);
        }
    }
}
