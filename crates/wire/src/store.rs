//! The disks of a lab's actors, in one file that survives the program (redb).
//!
//! A write counts when redb has committed it: the program may be killed at any moment, and finds every write that was
//! acknowledged, and of one that was not either all or nothing. Writes that arrive while one is being committed are
//! committed together. An actor's *append* is a row of its own, so that a growing file is not written anew.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;

use bytes::Bytes;
use net::{Disk, Keep, NodeId, RecordId, WriteKind};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

use crate::event::Event;

/// Actor, file, and number of the row.
type Row<'a> = (&'a str, &'a str, u64);

const DISKS: TableDefinition<'_, Row<'static>, &[u8]> = TableDefinition::new("disks");

/// How many writes wait for the disk before those who write have to wait as well.
const WAITING_MAX: usize = 4096;

/// Why the state of a lab cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct StoreError {
    path: String,
    why: String,
}

impl StoreError {
    pub(crate) fn machine(why: &std::io::Error) -> StoreError {
        StoreError { path: "this machine".to_owned(), why: format!("gives no event loop: {why}") }
    }
}

/// A write, and whose it is.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) who: NodeId,
    pub(crate) cycle: u32,
    pub(crate) id: RecordId,
    pub(crate) owner: String,
    pub(crate) keep: Keep,
}

/// The file with everybody's disk.
#[derive(Debug)]
pub struct Store {
    database: Database,
    /// The next row of each file.
    rows: BTreeMap<(String, String), u64>,
}

impl Store {
    /// Opens the file at `path`, or makes it.
    ///
    /// # Errors
    ///
    /// If it is no such file, is broken, cannot be made, or is in use by another lab.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let failed = |why: String| StoreError { path: path.display().to_string(), why };
        let database = Database::create(path).map_err(|why| {
            failed(match why {
                redb::DatabaseError::DatabaseAlreadyOpen => "another lab is using this state".to_owned(),
                other => format!("this is no state of a lab, or it is damaged: {other}"),
            })
        })?;
        Ok(Store { database, rows: BTreeMap::new() })
    }

    /// Everybody's disk, by the actor's name.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn disks(&mut self) -> Result<BTreeMap<String, Disk>, StoreError> {
        self.read().map_err(|why| StoreError { path: "the lab's state".to_owned(), why: why.to_string() })
    }

    fn read(&mut self) -> Result<BTreeMap<String, Disk>, redb::Error> {
        let mut disks: BTreeMap<String, Disk> = BTreeMap::new();
        let reading = self.database.begin_read()?;
        let table = match reading.open_table(DISKS) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(disks),
            Err(why) => return Err(why.into()),
        };
        for row in table.iter()? {
            let (key, octets) = row?;
            let (owner, file, number) = key.value();
            let disk = disks.entry(owner.to_owned()).or_default();
            disk.entry(file.to_owned()).or_default().extend_from_slice(octets.value());
            self.rows.insert((owner.to_owned(), file.to_owned()), number + 1);
        }
        Ok(disks)
    }

    /// Commits writes as one.
    fn commit(&mut self, writes: &[Write]) -> Result<(), redb::Error> {
        let writing = self.database.begin_write()?;
        {
            let mut table = writing.open_table(DISKS)?;
            for Write { owner, keep, .. } in writes {
                let next = self.rows.entry((owner.clone(), keep.file.clone())).or_default();
                let octets: &Bytes = match &keep.write {
                    WriteKind::Append(octets) => octets,
                    WriteKind::Replace(octets) => {
                        for number in 0..*next {
                            table.remove((owner.as_str(), keep.file.as_str(), number))?;
                        }
                        *next = 0;
                        octets
                    }
                };
                table.insert((owner.as_str(), keep.file.as_str(), *next), &octets[..])?;
                *next += 1;
            }
        }
        writing.commit()?;
        Ok(())
    }
}

/// A thread that writes, so that the world does not wait for the disk.
#[derive(Debug)]
pub(crate) struct Keeper {
    writes: Option<mpsc::SyncSender<Write>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Keeper {
    /// Starts a thread that writes, and that says with `tell` what was written.
    pub(crate) fn start(mut store: Store, tell: impl Fn(Event) + Send + 'static) -> Keeper {
        let (sender, receiver) = mpsc::sync_channel::<Write>(WAITING_MAX);
        let thread = std::thread::spawn(move || {
            while let Ok(first) = receiver.recv() {
                let mut writes = vec![first];
                writes.extend(receiver.try_iter().take(WAITING_MAX));
                let event = match store.commit(&writes) {
                    Ok(()) => Event::Kept(
                        writes.into_iter().map(|write| (write.who, write.cycle, write.id)).collect(),
                    ),
                    // Nobody is told that a write is safe that is not.
                    Err(why) => Event::DiskBroke(why.to_string()),
                };
                tell(event);
            }
        });
        Keeper { writes: Some(sender), thread: Some(thread) }
    }

    pub(crate) fn write(&self, write: Write) {
        if let Some(writes) = &self.writes {
            // The thread ends only with this sender.
            let _ = writes.send(write);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.writes.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(owner: &str, keep: Keep) -> Write {
        Write { who: NodeId(0), cycle: 1, id: RecordId(1), owner: owner.to_owned(), keep }
    }

    fn append(file: &str, text: &'static str) -> Keep {
        Keep { file: file.to_owned(), write: WriteKind::Append(text.into()) }
    }

    fn replace(file: &str, text: &'static str) -> Keep {
        Keep { file: file.to_owned(), write: WriteKind::Replace(text.into()) }
    }

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("lab-store-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        folder
    }

    #[test]
    fn what_was_committed_is_there_when_the_file_is_opened_again() {
        let folder = folder("again");
        let path = folder.join("state.redb");
        let mut store = Store::open(&path).expect("a new store");
        let writes = [
            write("desk", append("flash", "one ")),
            write("desk", append("flash", "two ")),
            write("fe", append("log", "before")),
            write("fe", replace("log", "after")),
        ];
        store.commit(&writes).expect("committed");
        drop(store);
        let mut store = Store::open(&path).expect("the store of before");
        store.disks().expect("read");
        store.commit(&[write("desk", append("flash", "three"))]).expect("committed");
        let disks = store.disks().expect("read");
        assert_eq!(disks["desk"]["flash"], b"one two three");
        assert_eq!(disks["fe"]["log"], b"after");
        let _ = std::fs::remove_dir_all(&folder);
    }

    #[test]
    fn a_second_lab_and_a_file_that_is_no_state_are_told_apart() {
        let folder = folder("refused");
        let path = folder.join("state.redb");
        let _first = Store::open(&path).expect("a new store");
        let why = Store::open(&path).expect_err("in use").to_string();
        assert!(why.contains("another lab is using this state"), "{why}");
        let other = folder.join("notes.txt");
        std::fs::write(&other, "this is not a database ".repeat(1000)).expect("written");
        let why = Store::open(&other).expect_err("no database").to_string();
        assert!(why.contains("notes.txt") && why.contains("no state of a lab"), "{why}");
        let _ = std::fs::remove_dir_all(&folder);
    }
}
