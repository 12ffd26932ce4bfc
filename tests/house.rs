//! The project's own files: stories, sources, texts. Paths are written from the project's folder on, with `/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use scenario::language::{Library, ReadError, Reading, Story, read_story};
use scenario::mistakes::Mistakes;

/// The folder whose files are parts that stories include, not stories.
const PARTS: &str = "parts";

/// Where the project is on this machine.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in a folder of the project")
}

/// The text of a file of the project.
///
/// # Errors
///
/// Why it cannot be read.
pub fn text(path: &str) -> std::io::Result<String> {
    #[expect(clippy::disallowed_methods, reason = "tests read the project's own files")]
    std::fs::read_to_string(root().join(path))
}

/// Every file below a folder whose name ends in one of `ends`, in order of their paths. What is built or hidden is
/// left out; a folder that is not there is empty.
pub fn files(folder: &str, ends: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    walk(&root().join(folder), ends, &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, ends: &[&str], found: &mut Vec<String>) {
    let Ok(entries) = folder.read_dir() else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            walk(&path, ends, found);
        } else if ends.iter().any(|end| name.ends_with(end)) {
            let path = path.strip_prefix(root()).expect("the walk began below the project's folder");
            found.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
}

/// The paths of all stories of the project: those under `scenarios/`, and those that the texts in `docs/` are about.
pub fn stories() -> Vec<String> {
    let is_story = |path: &String| !path.split('/').any(|folder| folder == PARTS);
    let all = ["scenarios", "docs"].into_iter().flat_map(|folder| files(folder, &[".yaml", ".yml"]));
    all.filter(is_story).collect()
}

/// Files in memory in front of the project's own.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    files: BTreeMap<String, String>,
}

impl Shelf {
    /// With one more file in memory.
    pub fn with(mut self, path: &str, text: impl Into<String>) -> Shelf {
        self.files.insert(path.to_owned(), text.into());
        self
    }

    /// The story at `path`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in it.
    pub fn story(&self, path: &str) -> Result<Story, Mistakes> {
        let reading = Reading { library: self, vocabulary: scenario::run::vocabulary(), lab: "lab.yaml" };
        read_story(path, reading)
    }
}

impl Library for Shelf {
    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = match self.files.get(path) {
            Some(text) => text.clone().into_bytes(),
            None => text(path).map_err(|why| ReadError(why.to_string()))?.into_bytes(),
        };
        bytes.truncate(limit + 1);
        Ok(bytes)
    }
}

/// A folder of its own for one test, gone when it is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A fresh, empty folder; `name` keeps the tests of one process apart.
    pub fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("lab-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        #[expect(clippy::disallowed_methods, reason = "a test makes a folder for itself")]
        std::fs::create_dir_all(&path).expect("the machine has room for a folder");
        Scratch(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the machine's own housekeeping.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
