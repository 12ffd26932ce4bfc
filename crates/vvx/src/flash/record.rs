//! Records of a bank, and reading as many of them as make sense.
//!
//! A record is `length u32 | crc u32 | generation u64 | sequence u32 | kind u8 | key length u16 | key | value`,
//! little endian; the length counts what follows the CRC, the CRC covers the same octets. Sequence numbers
//! count up from 0 within a bank's generation, so a record that was lost leaves a gap that shows.

use std::collections::BTreeMap;

use super::{Flaw, KEY_LIMIT, VALUE_LIMIT};

/// Octets before the part that the CRC covers.
const FRAME: usize = 8;
/// Octets of generation, sequence, kind and key length.
const HEAD: usize = 8 + 4 + 1 + 2;

const PUT: u8 = 1;
const REMOVE: u8 = 2;
const COMMIT: u8 = 3;

/// A change to one key; `None` removes it.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) key: &'a str,
    pub(super) value: Option<&'a [u8]>,
}

/// What could be read of a bank.
#[derive(Debug, Default)]
pub(super) struct BankContents {
    /// Its first batch, the whole state at that moment, is there.
    pub(super) has_begun: bool,
    pub(super) generation: u64,
    pub(super) next_sequence: u32,
    /// Octets that were understood, all of them in complete batches.
    pub(super) octets: usize,
    pub(super) values: BTreeMap<String, Vec<u8>>,
    /// Where the rest begins, and what is wrong with it.
    pub(super) flaw: Option<(usize, Flaw)>,
}

/// How many octets a batch will take.
pub(super) fn batch_octets(changes: &[Change<'_>]) -> usize {
    let record = |change: &Change<'_>| FRAME + HEAD + change.key.len() + change.value.map_or(0, <[u8]>::len);
    changes.iter().map(record).sum::<usize>() + FRAME + HEAD
}

/// A batch as octets, its commit record last.
pub(super) fn write_batch(generation: u64, next_sequence: &mut u32, changes: &[Change<'_>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(batch_octets(changes));
    for change in changes {
        let kind = if change.value.is_some() { PUT } else { REMOVE };
        write_record(&mut bytes, generation, next_sequence, kind, change.key, change.value.unwrap_or(&[]));
    }
    write_record(&mut bytes, generation, next_sequence, COMMIT, "", &[]);
    bytes
}

fn write_record(
    bytes: &mut Vec<u8>,
    generation: u64,
    next_sequence: &mut u32,
    kind: u8,
    key: &str,
    value: &[u8],
) {
    let length = HEAD + key.len() + value.len();
    let start = bytes.len();
    bytes.extend(u32::try_from(length).expect("a record is below 64 KiB").to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(generation.to_le_bytes());
    bytes.extend(next_sequence.to_le_bytes());
    bytes.push(kind);
    bytes.extend(u16::try_from(key.len()).expect("keys are at most 200 octets").to_le_bytes());
    bytes.extend(key.as_bytes());
    bytes.extend(value);
    let crc = crc32fast::hash(&bytes[start + FRAME..]);
    bytes[start + 4..start + FRAME].copy_from_slice(&crc.to_le_bytes());
    // A bank is left long before 2^32 records; wrapping would only end its readable part.
    *next_sequence = next_sequence.wrapping_add(1);
}

struct Record<'a> {
    generation: u64,
    sequence: u32,
    kind: u8,
    key: &'a str,
    value: &'a [u8],
    octets: usize,
}

/// Reads the records of a bank up to the first that makes no sense.
pub(super) fn read_bank(bytes: &[u8]) -> BankContents {
    let mut contents = BankContents::default();
    let mut batch: Vec<Record<'_>> = Vec::new();
    let mut expected = 0u32;
    let mut at = 0;
    while at < bytes.len() {
        let record = match read_record(&bytes[at..]) {
            Ok(record) => record,
            Err(flaw) => {
                contents.flaw = Some((contents.octets, flaw));
                return contents;
            }
        };
        if at == 0 {
            contents.generation = record.generation;
        }
        // What was appended before the bank was written anew, and reached the disk late.
        if record.generation < contents.generation && batch.is_empty() {
            at += record.octets;
            contents.octets = at;
            continue;
        }
        if record.generation != contents.generation || record.sequence != expected {
            contents.flaw = Some((contents.octets, Flaw::Gap));
            return contents;
        }
        expected = expected.wrapping_add(1);
        at += record.octets;
        if record.kind != COMMIT {
            batch.push(record);
            continue;
        }
        for change in batch.drain(..) {
            if change.kind == PUT {
                contents.values.insert(change.key.to_owned(), change.value.to_vec());
            } else {
                contents.values.remove(change.key);
            }
        }
        contents.has_begun = true;
        contents.octets = at;
        contents.next_sequence = expected;
    }
    if !batch.is_empty() {
        contents.flaw = Some((contents.octets, Flaw::Uncommitted));
    }
    contents
}

fn read_record(bytes: &[u8]) -> Result<Record<'_>, Flaw> {
    let number = |at: usize| -> Result<u32, Flaw> {
        let octets = bytes.get(at..at + 4).and_then(|octets| octets.try_into().ok()).ok_or(Flaw::Torn)?;
        Ok(u32::from_le_bytes(octets))
    };
    let length = usize::try_from(number(0)?).map_err(|_| Flaw::Garbage)?;
    let crc = number(4)?;
    if !(HEAD..=HEAD + KEY_LIMIT + VALUE_LIMIT).contains(&length) {
        return Err(Flaw::Garbage);
    }
    let body = bytes.get(FRAME..FRAME + length).ok_or(Flaw::Torn)?;
    if crc32fast::hash(body) != crc {
        return Err(Flaw::Garbage);
    }
    let (head, rest) = body.split_at(HEAD);
    let generation = u64::from_le_bytes(head[..8].try_into().map_err(|_| Flaw::Garbage)?);
    let sequence = u32::from_le_bytes(head[8..12].try_into().map_err(|_| Flaw::Garbage)?);
    let key_length = usize::from(u16::from_le_bytes([head[13], head[14]]));
    let (key, value) = rest.split_at_checked(key_length).ok_or(Flaw::Garbage)?;
    let key = std::str::from_utf8(key).map_err(|_| Flaw::Garbage)?;
    let kind = head[12];
    if !(PUT..=COMMIT).contains(&kind) {
        return Err(Flaw::Garbage);
    }
    Ok(Record { generation, sequence, kind, key, value, octets: FRAME + length })
}
