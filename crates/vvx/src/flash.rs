//! What survives a power cut: keys and bytes in a journal on two banks of the node's disk.
//!
//! Changes come in batches. A batch is appended to the bank in use as records with length, CRC and sequence
//! number, closed by a commit record; it counts only when its commit record can be read. A bank that grew too
//! large, or whose tail was found broken, is left alone: the whole state goes into the other bank, which counts
//! only when *its* first commit record can be read. So whatever a power cut tears or loses, what is read
//! afterwards is the state after some batch, never a mixture, and never older than the last batch whose
//! [`WriteId`] came back from [`Flash::kept`].

mod record;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use net::{Disk, Outbox, RecordId};
use thiserror::Error;

use record::Change;

/// The files of the two banks.
pub const BANKS: [&str; 2] = ["flash.a", "flash.b"];

/// Octets of a key.
pub const KEY_LIMIT: usize = 200;
/// Octets of a value: with its key and its frame it stays below a 64 KiB record.
pub const VALUE_LIMIT: usize = 64 * 1024 - 512;
/// Keys in all.
pub const KEYS_LIMIT: usize = 4096;
/// Octets of keys and values in all; a quarter less than a bank, so that writing into a fresh bank helps.
pub const STATE_LIMIT: usize = 768 * 1024;
/// Octets after which a bank is left for the other one.
pub const BANK_LIMIT: usize = 1024 * 1024;
/// Octets that a bank never exceeds, even while the disk is slow to confirm the move to it.
const BANK_HARD_LIMIT: usize = 4 * BANK_LIMIT;

/// A batch of changes, as the caller counts them: higher is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// Why a batch was not taken in. Nothing of it was written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FlashError {
    /// A key is empty or too long.
    #[error("flash key of {0} octets; 1 to {KEY_LIMIT} are allowed")]
    Key(usize),
    /// A value does not fit a record.
    #[error("{octets} octets under `{key}` are more than the {VALUE_LIMIT} of a flash record")]
    TooLarge {
        /// Under which key.
        key: String,
        /// How many octets.
        octets: usize,
    },
    /// The flash has no room for it.
    #[error("flash is full: {keys} keys with {octets} octets")]
    Full {
        /// Keys there would be.
        keys: usize,
        /// Octets there would be.
        octets: usize,
    },
    /// The disk has not confirmed anything for so long that no more is taken in.
    #[error("the disk confirms no writes; flash takes no more")]
    Stalled,
}

/// Something that a power cut or a fault left unreadable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{bank}: {octets} octets from {at} on are lost: {why}")]
pub struct Damage {
    /// The file.
    pub bank: &'static str,
    /// Where the unreadable part begins.
    pub at: usize,
    /// How long it is.
    pub octets: usize,
    /// What is wrong with it.
    pub why: Flaw,
}

/// What is wrong with an unreadable part of a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Flaw {
    /// A record breaks off.
    #[error("a record breaks off")]
    Torn,
    /// A checksum is wrong, or a length is impossible.
    #[error("no valid record")]
    Garbage,
    /// A record before it is missing.
    #[error("a record before it is missing")]
    Gap,
    /// A batch was begun and not closed.
    #[error("its batch was never closed")]
    Uncommitted,
}

/// A batch on its way to the disk.
#[derive(Debug)]
struct Underway {
    record: RecordId,
    write: WriteId,
    is_kept: bool,
    /// It carries the whole state: once it is safe, so is everything before it.
    is_whole: bool,
}

/// The phone's flash: the newest value of every key, and which batches are safe.
pub struct Flash {
    values: BTreeMap<String, Vec<u8>>,
    octets: usize,
    /// The bank in use; `None` before the first write.
    bank: Option<Bank>,
    underway: VecDeque<Underway>,
    next_write: u64,
}

/// The bank in use.
#[derive(Debug)]
struct Bank {
    index: usize,
    generation: u64,
    next_sequence: u32,
    octets: usize,
    /// Its tail could not be read: appending would put new records behind garbage.
    is_damaged: bool,
    /// The write that began it has reached the disk; before that the other bank must not be touched.
    is_safe: bool,
}

impl Default for Flash {
    fn default() -> Flash {
        Flash { values: BTreeMap::new(), octets: 0, bank: None, underway: VecDeque::new(), next_write: 1 }
    }
}

impl fmt::Debug for Flash {
    /// Names and sizes only: values are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: BTreeMap<&str, usize> =
            self.values.iter().map(|(key, value)| (key.as_str(), value.len())).collect();
        f.debug_struct("Flash").field("values", &sizes).field("bank", &self.bank).finish_non_exhaustive()
    }
}

impl Flash {
    /// Reads what the disk says. Reading never fails; what was lost is told.
    pub fn read(disk: &Disk) -> (Flash, Vec<Damage>) {
        let mut damage = Vec::new();
        let mut best: Option<(usize, record::BankContents)> = None;
        for (index, bank) in BANKS.into_iter().enumerate() {
            let Some(bytes) = disk.get(bank).filter(|bytes| !bytes.is_empty()) else {
                continue;
            };
            let contents = record::read_bank(bytes);
            if let Some((at, why)) = contents.flaw {
                damage.push(Damage { bank, at, octets: bytes.len().saturating_sub(at), why });
            }
            let is_newer = best.as_ref().is_none_or(|(_, other)| contents.generation > other.generation);
            if contents.has_begun && is_newer {
                best = Some((index, contents));
            }
        }
        let mut flash = Flash::default();
        if let Some((index, contents)) = best {
            flash.bank = Some(Bank {
                index,
                generation: contents.generation,
                next_sequence: contents.next_sequence,
                octets: contents.octets,
                is_damaged: contents.flaw.is_some(),
                is_safe: true,
            });
            flash.octets = contents.values.iter().map(|(key, value)| key.len() + value.len()).sum();
            flash.values = contents.values;
        }
        (flash, damage)
    }

    /// The newest value under `key`, whether it is safe yet or not.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.values.get(key).map(Vec::as_slice)
    }

    /// Every key that starts with `prefix`, in order.
    pub fn keys<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.values
            .range(prefix.to_owned()..)
            .map(|(key, _)| key.as_str())
            .take_while(move |key| key.starts_with(prefix))
    }

    /// Writes a batch: `None` removes a key. After a power cut all of it is there or nothing. [`Flash::get`]
    /// shows it at once; whoever promises something to others waits until [`Flash::kept`] tells its id.
    ///
    /// # Errors
    ///
    /// If a key, a value or the whole does not fit; nothing is written then.
    pub fn write(
        &mut self,
        batch: &[(&str, Option<&[u8]>)],
        out: &mut Outbox,
    ) -> Result<WriteId, FlashError> {
        self.check(batch)?;
        let changes: Vec<Change<'_>> =
            batch.iter().map(|(key, value)| Change { key, value: *value }).collect();
        let needed = record::batch_octets(&changes);
        let must_move = self
            .bank
            .as_ref()
            .is_none_or(|bank| bank.is_damaged || bank.octets.saturating_add(needed) > BANK_LIMIT);
        // The other bank holds the only safe state until this one's first write is safe.
        let may_move = self.bank.as_ref().is_none_or(|bank| bank.is_safe);
        if !(must_move && may_move)
            && self.bank.as_ref().is_some_and(|bank| bank.octets + needed > BANK_HARD_LIMIT)
        {
            return Err(FlashError::Stalled);
        }
        for change in &changes {
            self.apply(change);
        }
        let is_whole = must_move && may_move;
        let record = if is_whole { self.move_bank(out) } else { self.append(&changes, out) };
        let write = WriteId(self.next_write);
        self.next_write += 1;
        self.underway.push_back(Underway { record, write, is_kept: false, is_whole });
        Ok(write)
    }

    /// Removes every key that starts with `prefix`, as one batch; an empty prefix empties the flash.
    ///
    /// # Errors
    ///
    /// As [`Flash::write`].
    pub fn erase(&mut self, prefix: &str, out: &mut Outbox) -> Result<WriteId, FlashError> {
        let keys: Vec<String> = self.keys(prefix).map(str::to_owned).collect();
        let batch: Vec<(&str, Option<&[u8]>)> = keys.iter().map(|key| (key.as_str(), None)).collect();
        self.write(&batch, out)
    }

    /// Takes in [`net::Input::Kept`]. `Some(id)` says that this batch and all before it are safe now.
    pub fn kept(&mut self, record: RecordId) -> Option<WriteId> {
        let place = self.underway.iter().position(|write| write.record == record)?;
        self.underway[place].is_kept = true;
        if self.underway[place].is_whole {
            self.underway.iter_mut().take(place).for_each(|earlier| earlier.is_kept = true);
            if let Some(bank) = &mut self.bank {
                bank.is_safe = true;
            }
        }
        let mut safe = None;
        // A batch behind one that may still be lost would be unreadable after a power cut: it is not safe yet.
        while self.underway.front().is_some_and(|write| write.is_kept) {
            safe = self.underway.pop_front().map(|write| write.write);
        }
        safe
    }

    /// Whether every batch written so far is safe.
    pub fn is_settled(&self) -> bool {
        self.underway.is_empty()
    }

    fn check(&self, batch: &[(&str, Option<&[u8]>)]) -> Result<(), FlashError> {
        let (mut keys, mut octets) = (self.values.len(), self.octets);
        // A key that comes twice in a batch replaces what the batch itself wrote before.
        let mut written: BTreeMap<&str, Option<usize>> = BTreeMap::new();
        for (key, value) in batch {
            if key.is_empty() || key.len() > KEY_LIMIT {
                return Err(FlashError::Key(key.len()));
            }
            let old = written
                .insert(key, value.map(<[u8]>::len))
                .unwrap_or_else(|| self.values.get(*key).map(Vec::len));
            if let Some(old) = old {
                (keys, octets) = (keys - 1, octets - key.len() - old);
            }
            if let Some(value) = value {
                if value.len() > VALUE_LIMIT {
                    return Err(FlashError::TooLarge { key: (*key).to_owned(), octets: value.len() });
                }
                (keys, octets) = (keys + 1, octets + key.len() + value.len());
            }
        }
        let grows = keys > self.values.len() || octets > self.octets;
        if grows && (keys > KEYS_LIMIT || octets > STATE_LIMIT) {
            return Err(FlashError::Full { keys, octets });
        }
        Ok(())
    }

    fn apply(&mut self, change: &Change<'_>) {
        let old = match change.value {
            Some(value) => {
                self.octets += change.key.len() + value.len();
                self.values.insert(change.key.to_owned(), value.to_vec())
            }
            None => self.values.remove(change.key),
        };
        self.octets -= old.map_or(0, |old| change.key.len() + old.len());
    }

    fn append(&mut self, changes: &[Change<'_>], out: &mut Outbox) -> RecordId {
        let bank = self.bank.as_mut().expect("without a bank the state is moved into the first one");
        let bytes = record::write_batch(bank.generation, &mut bank.next_sequence, changes);
        bank.octets += bytes.len();
        out.append(BANKS[bank.index], bytes)
    }

    fn move_bank(&mut self, out: &mut Outbox) -> RecordId {
        let (index, generation) = match &self.bank {
            Some(bank) => (1 - bank.index, bank.generation + 1),
            None => (0, 1),
        };
        let whole: Vec<Change<'_>> =
            self.values.iter().map(|(key, value)| Change { key, value: Some(value) }).collect();
        let mut next_sequence = 0;
        let bytes = record::write_batch(generation, &mut next_sequence, &whole);
        let octets = bytes.len();
        self.bank =
            Some(Bank { index, generation, next_sequence, octets, is_damaged: false, is_safe: false });
        out.replace(BANKS[index], bytes)
    }
}

#[cfg(test)]
mod tests;
