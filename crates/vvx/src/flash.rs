//! What survives a power cut: keys and bytes in a journal on two banks of the node's disk.

use std::collections::BTreeMap;

use net::{Disk, Outbox, RecordId};
use thiserror::Error;

/// A batch of changes, as the caller counts them: higher is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// Why a batch was not taken in. Nothing of it was written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FlashError {
    /// A key is empty or too long.
    #[error("flash key `{0}` is empty or too long")]
    Key(String),
    /// A value does not fit a record.
    #[error("{octets} octets under `{key}` are more than a flash record holds")]
    TooLarge {
        /// Under which key.
        key: String,
        /// How many octets.
        octets: usize,
    },
    /// The flash has no room for it.
    #[error("flash is full")]
    Full,
}

/// Something that a power cut or a fault left unreadable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("flash bank {bank}: {octets} octets from {at} on are lost: {why}")]
pub struct Damage {
    /// The file.
    pub bank: &'static str,
    /// Where the unreadable part begins.
    pub at: usize,
    /// How long it is.
    pub octets: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

/// The phone's flash: the newest value of every key, and which batches are safe.
#[derive(Default)]
pub struct Flash {
    values: BTreeMap<String, Vec<u8>>,
}

impl Flash {
    /// Reads what the disk says. Reading never fails; what was lost is told.
    pub fn read(_disk: &Disk) -> (Flash, Vec<Damage>) {
        (Flash::default(), Vec::new())
    }

    /// The newest value under `key`, whether it is safe yet or not.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.values.get(key).map(Vec::as_slice)
    }

    /// Every key that starts with `prefix`, in order.
    pub fn keys<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.keys().map(String::as_str).filter(move |key| key.starts_with(prefix))
    }

    /// Writes a batch: `None` removes a key. After a power cut all of it is there or nothing.
    ///
    /// # Errors
    ///
    /// If a key, a value or the whole does not fit; nothing is written then.
    pub fn write(
        &mut self,
        _batch: &[(&str, Option<&[u8]>)],
        _out: &mut Outbox,
    ) -> Result<WriteId, FlashError> {
        Ok(WriteId(0))
    }

    /// Takes in [`net::Input::Kept`]. `Some(id)` says that this batch and all before it are safe now.
    pub fn kept(&mut self, _record: RecordId) -> Option<WriteId> {
        None
    }

    /// Whether every batch written so far is safe.
    pub fn is_settled(&self) -> bool {
        true
    }
}
