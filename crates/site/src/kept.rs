//! What a server keeps on its disk, written so that a power cut leaves the old contents or the new ones.
//!
//! A disk may tear any write, and a replaced file is empty before it is full. So contents are sealed with their
//! length and a checksum, and written by turns to two files: while one is being written the other is whole.
//! After sealed contents further lines may be appended, each with a checksum of its own.

use std::collections::BTreeSet;

use net::{Disk, Outbox, RecordId};

const MARK: &str = "kept";

/// Two files that are written by turns.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    name: String,
    generation: u64,
}

/// What a disk still said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// The newest whole contents.
    pub(crate) contents: Vec<u8>,
    /// The lines appended to them, up to the first damaged one.
    pub(crate) lines: Vec<String>,
}

impl Slots {
    /// The pair of files called `name`, and what they held when the power came back.
    pub(crate) fn recover(disk: &Disk, name: &str) -> (Slots, Option<Recovered>) {
        let read = |slot: &str| disk.get(&format!("{name}.{slot}")).and_then(|bytes| unseal(bytes));
        let newest = [read("a"), read("b")].into_iter().flatten().max_by_key(|(generation, _)| *generation);
        match newest {
            Some((generation, recovered)) => (Slots { name: name.to_owned(), generation }, Some(recovered)),
            None => (Slots { name: name.to_owned(), generation: 0 }, None),
        }
    }

    /// Writes new contents beside the present ones. Until they are kept, append nothing and write nothing else.
    pub(crate) fn replace(&mut self, contents: &[u8], out: &mut Outbox) -> RecordId {
        self.generation += 1;
        out.replace(&self.file(), seal(self.generation, contents))
    }

    /// Appends a line after the present contents. `text` must hold no line break.
    pub(crate) fn append(&self, text: &str, out: &mut Outbox) -> RecordId {
        out.append(&self.file(), format!("{:08x} {text}\n", crc32fast::hash(text.as_bytes())))
    }

    /// The file that the present contents are in.
    fn file(&self) -> String {
        let slot = if self.generation.is_multiple_of(2) { "a" } else { "b" };
        format!("{}.{slot}", self.name)
    }
}

/// The names of all pairs on a disk whose name begins with `prefix`.
pub(crate) fn names<'a>(disk: &'a Disk, prefix: &str) -> BTreeSet<&'a str> {
    let pairs = disk.keys().filter_map(|file| file.strip_suffix(".a").or_else(|| file.strip_suffix(".b")));
    pairs.filter(|name| name.starts_with(prefix)).collect()
}

fn seal(generation: u64, contents: &[u8]) -> Vec<u8> {
    let mut checked = format!("{generation} {}", contents.len()).into_bytes();
    let head_ends = checked.len();
    checked.extend_from_slice(contents);
    let crc = crc32fast::hash(&checked);
    let mut sealed = format!("{MARK} {crc:08x} ").into_bytes();
    sealed.extend_from_slice(&checked[..head_ends]);
    sealed.push(b'\n');
    sealed.extend_from_slice(contents);
    sealed.push(b'\n');
    sealed
}

fn unseal(bytes: &[u8]) -> Option<(u64, Recovered)> {
    let head_ends = bytes.iter().take(80).position(|octet| *octet == b'\n')?;
    let head = std::str::from_utf8(&bytes[..head_ends]).ok()?;
    let mut words = head.split(' ');
    if words.next()? != MARK {
        return None;
    }
    let crc = u32::from_str_radix(words.next()?, 16).ok()?;
    let generation: u64 = words.next()?.parse().ok()?;
    let length: usize = words.next()?.parse().ok()?;
    let rest = &bytes[head_ends + 1..];
    let contents = rest.get(..length)?;
    if rest.get(length) != Some(&b'\n') {
        return None;
    }
    let mut checked = format!("{generation} {length}").into_bytes();
    checked.extend_from_slice(contents);
    if crc32fast::hash(&checked) != crc {
        return None;
    }
    Some((generation, Recovered { contents: contents.to_vec(), lines: whole_lines(&rest[length + 1..]) }))
}

fn whole_lines(appended: &[u8]) -> Vec<String> {
    let read = |line: &[u8]| {
        let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
        let (crc, text) = line.split_once(' ')?;
        let is_whole = u32::from_str_radix(crc, 16).ok()? == crc32fast::hash(text.as_bytes());
        is_whole.then(|| text.to_owned())
    };
    appended.split_inclusive(|octet| *octet == b'\n').map_while(read).collect()
}

#[cfg(test)]
mod tests {
    use net::{Effect, WriteKind};
    use proptest::prelude::*;

    use super::*;

    fn carry_out(out: &mut Outbox, disk: &mut Disk) {
        for effect in out.take() {
            let Effect::Keep(_, keep) = effect else { continue };
            let file = disk.entry(keep.file).or_default();
            match keep.write {
                WriteKind::Append(bytes) => file.extend_from_slice(&bytes),
                WriteKind::Replace(bytes) => *file = bytes.to_vec(),
            }
        }
    }

    fn written() -> Disk {
        let (mut disk, mut out) = (Disk::new(), Outbox::new());
        let (mut slots, nothing) = Slots::recover(&disk, "leases");
        assert_eq!(nothing, None);
        slots.replace(b"old", &mut out);
        slots.append("one", &mut out);
        slots.replace(b"new", &mut out);
        slots.append("two", &mut out);
        slots.append("three", &mut out);
        carry_out(&mut out, &mut disk);
        disk
    }

    #[test]
    fn the_newest_whole_contents_and_their_lines_come_back() {
        let (_, recovered) = Slots::recover(&written(), "leases");
        let recovered = recovered.expect("something was written");
        assert_eq!(recovered.contents, b"new");
        assert_eq!(recovered.lines, ["two", "three"]);
    }

    proptest! {
        #[test]
        fn a_torn_write_leaves_the_old_or_the_new(at in 0usize..80) {
            let mut disk = written();
            let file = disk.get_mut("leases.a").expect("the second generation");
            file.truncate(at);
            let (_, recovered) = Slots::recover(&disk, "leases");
            let recovered = recovered.expect("one of the two is whole");
            if recovered.contents == b"new" {
                prop_assert!(["two", "three"].map(str::to_owned).starts_with(&recovered.lines));
            } else {
                prop_assert_eq!(recovered.contents, b"old");
                prop_assert_eq!(recovered.lines, vec!["one".to_owned()]);
            }
        }

        #[test]
        fn no_octets_on_a_disk_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let disk = Disk::from([("x.a".to_owned(), bytes)]);
            let _ = Slots::recover(&disk, "x");
        }

        #[test]
        fn any_contents_come_back(contents in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (mut disk, mut out) = (Disk::new(), Outbox::new());
            Slots::recover(&disk, "x").0.replace(&contents, &mut out);
            carry_out(&mut out, &mut disk);
            prop_assert_eq!(Slots::recover(&disk, "x").1.expect("written").contents, contents);
        }
    }
}
