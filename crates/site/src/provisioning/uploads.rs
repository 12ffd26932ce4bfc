//! Uploads: the files that phones leave behind, kept on disk, never more than there is room for.

use std::collections::BTreeMap;

use bytes::Bytes;
use net::{Disk, Outbox, RecordId, Time};

use crate::kept::{self, Slots};

/// The most files.
pub const FILES_LIMIT: usize = 4096;

/// The most octets of all files together.
pub const OCTETS_LIMIT: usize = 64 << 20;

/// The longest name of a file, in octets.
pub const NAME_LIMIT: usize = 128;

/// What the names on disk begin with.
const PREFIX: &str = "upload/";

/// What phones may leave behind: logs, overrides, call lists and directories.
const ENDINGS: [&str; 5] = [".log", "-phone.cfg", "-web.cfg", "-calls.xml", "-directory.xml"];

/// A file that a phone left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// What is in it.
    pub contents: Bytes,
    /// When it arrived; when the power came back, for one that was on disk by then.
    pub at: Time,
}

/// Why a file is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Phones leave no such files.
    Name,
    /// There is no room.
    Full,
    /// The same file is being written at this moment.
    Busy,
}

#[derive(Debug)]
struct File {
    slots: Slots,
    /// What is on disk for sure.
    kept: Option<Upload>,
    /// What is being written.
    coming: Option<(RecordId, Upload)>,
}

/// All uploads.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    files: BTreeMap<String, File>,
    octets: usize,
}

impl Uploads {
    pub(crate) fn recover(disk: &Disk, now: Time) -> Uploads {
        let mut uploads = Uploads::default();
        for on_disk in kept::names(disk, PREFIX) {
            let (slots, recovered) = Slots::recover(disk, on_disk);
            let Some(recovered) = recovered else { continue };
            let kept = Some(Upload { contents: recovered.contents.into(), at: now });
            uploads.octets += kept.as_ref().map_or(0, |upload| upload.contents.len());
            let name = on_disk.strip_prefix(PREFIX).unwrap_or(on_disk).to_owned();
            uploads.files.insert(name, File { slots, kept, coming: None });
        }
        uploads
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Upload> {
        self.files.get(name)?.kept.as_ref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Upload)> {
        self.files.iter().filter_map(|(name, file)| Some((name.as_str(), file.kept.as_ref()?)))
    }

    /// Begins to write a file; it counts when the record is kept.
    pub(crate) fn put(
        &mut self,
        name: &str,
        contents: Bytes,
        now: Time,
        out: &mut Outbox,
    ) -> Result<RecordId, Refusal> {
        if name.len() > NAME_LIMIT || !ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            return Err(Refusal::Name);
        }
        let before = self.files.get(name);
        if before.is_some_and(|file| file.coming.is_some()) {
            return Err(Refusal::Busy);
        }
        // Both the old and the new are on disk for a moment; only the new one counts here.
        let leaving = before.and_then(|file| file.kept.as_ref()).map_or(0, |upload| upload.contents.len());
        let octets = self.octets - leaving + contents.len();
        if octets > OCTETS_LIMIT || (before.is_none() && self.files.len() >= FILES_LIMIT) {
            return Err(Refusal::Full);
        }
        self.octets = octets;
        let file = self.files.entry(name.to_owned()).or_insert_with(|| {
            let (slots, _) = Slots::recover(&Disk::new(), &format!("{PREFIX}{name}"));
            File { slots, kept: None, coming: None }
        });
        let id = file.slots.replace(&contents, out);
        file.coming = Some((id, Upload { contents, at: now }));
        Ok(id)
    }

    /// A record is kept: the file it was counts from now on.
    pub(crate) fn kept(&mut self, name: &str, id: RecordId) {
        if let Some(file) = self.files.get_mut(name)
            && let Some((coming, upload)) = file.coming.take()
        {
            if coming == id {
                file.kept = Some(upload);
            } else {
                file.coming = Some((coming, upload));
            }
        }
    }
}
