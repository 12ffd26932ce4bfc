//! What outlives a power cut: changed accounts, refresh tokens, the count of key rolls.
//!
//! Two files take turns. Each holds a snapshot that ends in a mark, and the changes since; a power cut can tear
//! the last lines or a whole new snapshot, never both files. A line carries the start of its own SHA-256, so a
//! torn one is seen and left out. Device codes and browser sessions are not kept: they are gone with the power.

use std::fmt::Write as _;

use net::{Disk, Outbox, RecordId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::people::{Oid, PasswordHash};
use crate::refresh::Held;
use crate::secret::Fingerprint;

/// The two files.
const FILES: [&str; 2] = ["identity-a.log", "identity-b.log"];
/// Octets of changes after which a new snapshot is due, unless the last one was larger.
const CHANGES_LIMIT: usize = 1 << 20;

/// One thing to remember.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Change {
    /// A snapshot begins; the higher generation counts.
    Begin(u64),
    /// The snapshot is complete.
    Complete,
    /// What is changeable of an account.
    Account {
        oid: Oid,
        password: PasswordHash,
        enabled: bool,
        expired: bool,
        epoch: u64,
        last_step: Option<u64>,
    },
    /// A refresh token.
    Token { key: [u8; 32], held: Held },
    /// A refresh token was used.
    Used([u8; 32]),
    /// A family of refresh tokens ended.
    Ended(u64),
    /// The signing keys were rolled so many times in all.
    Rolls(u32),
}

impl Change {
    pub(crate) fn token(key: Fingerprint, held: &Held) -> Change {
        Change::Token { key: key.0, held: held.clone() }
    }

    fn line(&self) -> String {
        let json = serde_json::to_string(self).expect("our own records always encode");
        format!("{} {json}\n", check(&json))
    }
}

fn check(json: &str) -> String {
    let mut text = String::new();
    for byte in &Sha256::digest(json.as_bytes())[..4] {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The files, as the service writes them.
#[derive(Debug, Default)]
pub(crate) struct Store {
    generation: u64,
    changes: usize,
    /// Octets of the last snapshot.
    size: usize,
    last: Option<RecordId>,
}

impl Store {
    /// Reads what survived: the changes of the newest complete file, in order.
    pub(crate) fn load(disk: &Disk) -> (Store, Vec<Change>) {
        let best = FILES.iter().filter_map(|file| read(disk.get(*file)?)).max_by_key(|(number, _)| *number);
        let (generation, changes) = best.unwrap_or_default();
        (Store { generation, ..Store::default() }, changes)
    }

    /// Writes everything anew into the other file.
    pub(crate) fn snapshot(&mut self, all: impl IntoIterator<Item = Change>, out: &mut Outbox) {
        self.generation += 1;
        self.changes = 0;
        let mut text = Change::Begin(self.generation).line();
        for change in all {
            text.push_str(&change.line());
        }
        text.push_str(&Change::Complete.line());
        self.size = text.len();
        self.last = Some(out.replace(self.file(), text));
    }

    /// Adds a change.
    pub(crate) fn keep(&mut self, change: &Change, out: &mut Outbox) {
        let line = change.line();
        self.changes += line.len();
        self.last = Some(out.append(self.file(), line));
    }

    /// So much has changed that a snapshot is due.
    pub(crate) fn is_full(&self) -> bool {
        self.changes > CHANGES_LIMIT.max(self.size)
    }

    /// The last write that was asked for.
    pub(crate) fn last(&self) -> Option<RecordId> {
        self.last
    }

    fn file(&self) -> &'static str {
        FILES[(self.generation % 2) as usize]
    }
}

fn read(bytes: &[u8]) -> Option<(u64, Vec<Change>)> {
    let mut changes = bytes.split_inclusive(|&byte| byte == b'\n').map_while(|line| {
        let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
        let (sum, json) = line.split_once(' ')?;
        (sum == check(json)).then(|| serde_json::from_str::<Change>(json).ok())?
    });
    let Some(Change::Begin(generation)) = changes.next() else { return None };
    let changes: Vec<Change> = changes.collect();
    changes.iter().any(|change| matches!(change, Change::Complete)).then_some((generation, changes))
}

#[cfg(test)]
mod tests {
    use net::{Effect, WriteKind};

    use super::*;

    fn apply(disk: &mut Disk, out: &mut Outbox) {
        for effect in out.take() {
            if let Effect::Keep(_, keep) = effect {
                let file = disk.entry(keep.file).or_default();
                match keep.write {
                    WriteKind::Append(bytes) => file.extend(bytes),
                    WriteKind::Replace(bytes) => *file = bytes.to_vec(),
                }
            }
        }
    }

    fn rolls(disk: &Disk) -> Vec<u32> {
        let (_, changes) = Store::load(disk);
        changes.iter().filter_map(|c| if let Change::Rolls(n) = c { Some(*n) } else { None }).collect()
    }

    #[test]
    fn any_tear_of_the_last_write_leaves_the_state_before_or_after_it() {
        let (mut disk, mut out) = (Disk::new(), Outbox::new());
        let (mut store, _) = Store::load(&disk);
        store.snapshot([Change::Rolls(1)], &mut out);
        store.keep(&Change::Rolls(2), &mut out);
        apply(&mut disk, &mut out);
        assert_eq!(rolls(&disk), [1, 2]);
        store.snapshot([Change::Rolls(3)], &mut out);
        let mut whole = disk.clone();
        apply(&mut whole, &mut out);
        assert_eq!(rolls(&whole), [3]);
        let (file, new) = whole.iter().find(|(name, _)| !disk.contains_key(*name)).expect("the other file");
        for length in 0..new.len() {
            let mut torn = disk.clone();
            torn.insert(file.clone(), new[..length].to_vec());
            assert_eq!(rolls(&torn), [1, 2], "torn after {length} octets");
        }
        let kept = whole[FILES[1]].clone();
        for length in 0..kept.len() {
            let mut torn = Disk::new();
            torn.insert(FILES[1].into(), kept[..length].to_vec());
            assert!(matches!(rolls(&torn)[..], [] | [1] | [1, 2]));
        }
    }
}
