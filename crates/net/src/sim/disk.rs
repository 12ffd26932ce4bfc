//! The simulated disk: a write takes time, and a power cut loses or tears what had not arrived.

use std::collections::VecDeque;
use std::time::Duration;

use crate::node::{Disk, Keep, RecordId, WriteKind};
use crate::random::Random;
use crate::time::Time;

/// How long one write takes to be safe: a small flash part.
const WRITE_TIME: Duration = Duration::from_millis(2);

/// A power cut planned for the moment of a certain write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutAtWrite {
    /// The write, counted from 1 since the actor was added to the world.
    pub write: u64,
    /// How many octets of it still reach the disk; drawn from the seed if not given.
    pub octets: Option<usize>,
}

#[derive(Debug)]
pub(super) struct DiskModel {
    files: Disk,
    pending: VecDeque<(RecordId, Keep)>,
    busy_until: Time,
    writes: u64,
    cut: Option<CutAtWrite>,
    random: Random,
}

/// What a world does after handing a write to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It will be safe at this moment.
    SafeAt(Time),
    /// The planned power cut falls now.
    PowerCut,
}

impl DiskModel {
    pub(super) fn new(seed: u64, owner: &str) -> DiskModel {
        DiskModel {
            files: Disk::new(),
            pending: VecDeque::new(),
            busy_until: Time::ZERO,
            writes: 0,
            cut: None,
            random: Random::named(seed, &format!("disk of {owner}")),
        }
    }

    pub(super) fn files(&self) -> &Disk {
        &self.files
    }

    pub(super) fn put_files(&mut self, files: Disk) {
        self.files = files;
    }

    pub(super) fn writes(&self) -> u64 {
        self.writes
    }

    pub(super) fn plan_cut(&mut self, cut: Option<CutAtWrite>) {
        self.cut = cut;
    }

    pub(super) fn write(&mut self, now: Time, id: RecordId, keep: Keep) -> Written {
        self.writes += 1;
        self.pending.push_back((id, keep));
        if let Some(cut) = self.cut
            && cut.write == self.writes
        {
            self.cut = None;
            // What was handed over before was on its way; the write at hand is torn where the plan says.
            let last = self.pending.pop_back();
            while let Some((_, keep)) = self.pending.pop_front() {
                self.apply(&keep, usize::MAX);
            }
            if let Some((_, keep)) = last {
                let drawn = self.random.below(length(&keep) as u64 + 1) as usize;
                self.apply(&keep, cut.octets.unwrap_or(drawn));
            }
            return Written::PowerCut;
        }
        self.busy_until = self.busy_until.max(now) + WRITE_TIME;
        Written::SafeAt(self.busy_until)
    }

    /// The oldest write has become safe; says which.
    pub(super) fn finish(&mut self) -> Option<RecordId> {
        let (id, keep) = self.pending.pop_front()?;
        self.apply(&keep, usize::MAX);
        Some(id)
    }

    /// The power goes: of the write under way any prefix survives, of those behind it nothing.
    pub(super) fn lose_power(&mut self) {
        if let Some((_, keep)) = self.pending.pop_front() {
            // One more than its length: the write may not even have begun.
            let drawn = self.random.below(length(&keep) as u64 + 2) as usize;
            if let Some(octets) = drawn.checked_sub(1) {
                self.apply(&keep, octets);
            }
        }
        self.pending.clear();
        self.busy_until = Time::ZERO;
    }

    fn apply(&mut self, keep: &Keep, octets: usize) {
        let file = self.files.entry(keep.file.clone()).or_default();
        match &keep.write {
            WriteKind::Append(bytes) => file.extend_from_slice(&bytes[..octets.min(bytes.len())]),
            WriteKind::Replace(bytes) => *file = bytes[..octets.min(bytes.len())].to_vec(),
        }
    }
}

fn length(keep: &Keep) -> usize {
    match &keep.write {
        WriteKind::Append(bytes) | WriteKind::Replace(bytes) => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(text: &str) -> Keep {
        Keep { file: "f".to_owned(), write: WriteKind::Append(text.to_owned().into()) }
    }

    fn contents(disk: &DiskModel) -> &[u8] {
        disk.files().get("f").map_or(b"", Vec::as_slice)
    }

    #[test]
    fn a_write_is_on_the_disk_when_it_is_said_to_be_and_not_before() {
        let mut disk = DiskModel::new(1, "desk");
        let safe = disk.write(Time::ZERO, RecordId(1), append("one"));
        assert_eq!(safe, Written::SafeAt(Time::from_millis(2)));
        assert_eq!(contents(&disk), b"");
        assert_eq!(disk.finish(), Some(RecordId(1)));
        assert_eq!(contents(&disk), b"one");
    }

    #[test]
    fn a_power_cut_leaves_a_prefix_of_the_write_under_way_and_nothing_of_the_next() {
        let mut prefixes = std::collections::BTreeSet::new();
        for seed in 0..64 {
            let mut disk = DiskModel::new(seed, "desk");
            disk.write(Time::ZERO, RecordId(1), append("abc"));
            disk.write(Time::ZERO, RecordId(2), append("XYZ"));
            disk.lose_power();
            assert!(b"abc".starts_with(contents(&disk)));
            prefixes.insert(contents(&disk).to_vec());
        }
        assert_eq!(prefixes.len(), 4, "every prefix of `abc` is drawn sooner or later");
    }

    #[test]
    fn a_planned_cut_tears_the_planned_write() {
        let mut disk = DiskModel::new(1, "desk");
        disk.plan_cut(Some(CutAtWrite { write: 2, octets: Some(1) }));
        assert!(matches!(disk.write(Time::ZERO, RecordId(1), append("abc")), Written::SafeAt(_)));
        assert_eq!(disk.write(Time::ZERO, RecordId(2), append("XYZ")), Written::PowerCut);
        assert_eq!(contents(&disk), b"abcX");
    }
}
