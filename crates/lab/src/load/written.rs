//! The files of a run, in the folder that `--out` names.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use ::load::conduct::Row;
use ::load::outcome::hlog::IntervalLog;
use ::load::outcome::result::Outcome;
use ::load::outcome::{beats, junit, report};
use ::load::{Beat, Counts};

use crate::files;

/// Files that grow while the run goes on, and the folder of all.
pub struct Written {
    folder: PathBuf,
    beats: BufWriter<File>,
    latency: IntervalLog,
    /// The first thing that could not be written.
    wrong: Option<String>,
}

impl Written {
    /// Makes the folder and begins.
    ///
    /// # Errors
    ///
    /// A sentence if nothing can be written there.
    pub fn begin(folder: &Path) -> Result<Written, String> {
        let path = folder.join("beats.jsonl");
        files::write(&path, b"")?;
        #[expect(clippy::disallowed_methods, reason = "this is where files go out")]
        let file =
            File::create(&path).map_err(|why| format!("{}: cannot be written: {why}", path.display()))?;
        let latency = IntervalLog::begin(unix_seconds());
        Ok(Written { folder: folder.to_owned(), beats: BufWriter::new(file), latency, wrong: None })
    }

    /// A part has spoken.
    pub fn beat(&mut self, beat: &Beat) {
        if let Err(why) = writeln!(self.beats, "{}", beats::line(beat)) {
            self.wrong.get_or_insert(format!("beats.jsonl: cannot be written: {why}"));
        }
    }

    /// A second is complete.
    pub fn second(&mut self, row: &Row, counts: &Counts) {
        self.latency.second(row.second, counts);
    }

    /// Writes what is known at the end.
    ///
    /// # Errors
    ///
    /// A sentence that names the first file that could not be written.
    pub fn finish(mut self, outcome: &Outcome) -> Result<(), String> {
        if let Err(why) = self.beats.flush() {
            self.wrong.get_or_insert(format!("beats.jsonl: cannot be written: {why}"));
        }
        let json = serde_json::to_vec_pretty(outcome).map_err(|why| why.to_string())?;
        files::write(&self.folder.join("result.json"), &json)?;
        files::write(&self.folder.join("latency.hlog"), &self.latency.finish())?;
        files::write(&self.folder.join("report.html"), report::html(outcome).as_bytes())?;
        files::write(&self.folder.join("junit.xml"), junit::xml(outcome).as_bytes())?;
        self.wrong.map_or(Ok(()), Err)
    }
}

fn unix_seconds() -> f64 {
    crate::certs::since_1970().as_secs_f64()
}

/// The moment, in UTC.
pub fn now() -> String {
    crate::certs::today().to_string()
}
