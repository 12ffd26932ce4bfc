//! Files in memory, the house's own beside them, and the names that actors publish.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use scenario::language::{Library, ReadError, Reading, Story, Vocabulary, read_lab, read_story};
use scenario::mistakes::Mistakes;

/// Names as the actors would publish them; only as many as the stories here need.
pub const VOCABULARY: Vocabulary = Vocabulary {
    screens: &[
        ("home", "signed out or in"),
        ("sign-in", "the ways to sign in"),
        ("web-code", "a code for the browser"),
        ("new-lock-code", "a lock code is asked for"),
        ("sign-in-failed", "why it failed"),
    ],
    states: &[("signed-in", "somebody is signed in"), ("signed-out", "nobody is")],
    facts: &[("user-code", "the code"), ("sign-in-page", "the address")],
    pages: &[("confirm-app", "which application"), ("finished", "done"), ("error", "an error")],
    events: &[&[("device-code-issued", "a code was given"), ("registered", "a 200 came")]],
    requests: &[("token", "a poll"), ("register", "a REGISTER")],
    models: &[("vvx400", "twelve lines"), ("vvx500", "touch"), ("vvx600", "touch")],
};

/// Files by path.
#[derive(Default)]
pub struct Shelf {
    files: BTreeMap<String, Vec<u8>>,
    /// How many bytes were asked for and given, file by file.
    given: RefCell<Vec<usize>>,
}

impl Library for Shelf {
    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, ReadError> {
        let bytes = self.files.get(path).ok_or_else(|| ReadError("there is no such file".to_owned()))?;
        let bytes = &bytes[..bytes.len().min(limit + 1)];
        self.given.borrow_mut().push(bytes.len());
        Ok(bytes.to_vec())
    }
}

impl Shelf {
    /// The house's `lab.yaml` and everything under `scenarios/`.
    pub fn of_the_house() -> Shelf {
        let mut shelf = Shelf::default();
        shelf.take(&house().join("lab.yaml"));
        shelf.take(&house().join("scenarios"));
        shelf
    }

    fn take(&mut self, path: &Path) {
        if path.is_dir() {
            let entries = path.read_dir().expect("the house can be read");
            entries.for_each(|entry| self.take(&entry.expect("an entry").path()));
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "the test reads the house's own files")]
        let bytes = std::fs::read(path).expect("a file of the house");
        let name = path.strip_prefix(house()).expect("below the house").to_string_lossy().replace('\\', "/");
        self.files.insert(name, bytes);
    }

    /// With one more file.
    pub fn with(mut self, path: &str, bytes: impl AsRef<[u8]>) -> Shelf {
        self.files.insert(path.to_owned(), bytes.as_ref().to_vec());
        self
    }

    /// The paths of all stories; what they include stands in folders called `parts`.
    pub fn stories(&self) -> Vec<String> {
        self.scenario_files().filter(|path| !path.contains("/parts/")).cloned().collect()
    }

    /// The paths of all files that stories include.
    pub fn parts(&self) -> Vec<String> {
        self.scenario_files().filter(|path| path.contains("/parts/")).cloned().collect()
    }

    fn scenario_files(&self) -> impl Iterator<Item = &String> {
        self.files.keys().filter(|path| path.starts_with("scenarios/") && path.ends_with(".yaml"))
    }

    /// The text of a file.
    pub fn text(&self, path: &str) -> &str {
        std::str::from_utf8(&self.files[path]).expect("text")
    }

    /// The sizes of what was read so far.
    pub fn given(&self) -> Vec<usize> {
        self.given.borrow().clone()
    }

    pub fn reading(&self) -> Reading<'_> {
        Reading { library: self, vocabulary: VOCABULARY, lab: "lab.yaml" }
    }

    pub fn story(&self, path: &str) -> Result<Story, Mistakes> {
        read_story(path, self.reading())
    }
}

fn house() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let house = here.ancestors().find(|folder| folder.join("lab.yaml").is_file());
    house.expect("the tests stand in the house").to_owned()
}

/// What a person is told about this lab, all of it.
pub fn lab_refusal(text: impl AsRef<[u8]>) -> String {
    let shelf = Shelf::default().with("lab.yaml", text);
    match read_lab("lab.yaml", shelf.reading()) {
        Ok(_) => "taken".to_owned(),
        Err(mistakes) => mistakes.to_string(),
    }
}

/// What a person is told about this story in the house's lab, all of it.
pub fn story_refusal(text: impl AsRef<[u8]>) -> String {
    refusal_of(Shelf::of_the_house().with("story.yaml", text))
}

/// What a person is told about `story.yaml` on this shelf.
pub fn refusal_of(shelf: Shelf) -> String {
    match shelf.story("story.yaml") {
        Ok(_) => "taken".to_owned(),
        Err(mistakes) => mistakes.to_string(),
    }
}

/// What a person is told about a story of these steps in the house's lab, all of it.
pub fn steps_refusal(steps: &str) -> String {
    let steps: String = steps.lines().map(|line| format!("  {line}\n")).collect();
    story_refusal(format!("name: a story\nphones: [desk]\nsteps:\n{steps}"))
}

/// What a person is told about a lab with two sites, a person, and this.
pub fn lab_with(more: &str) -> String {
    lab_refusal(format!(
        "people: {{ alice: {{ upn: alice@contoso.example, password: a }} }}\n\
         sites: {{ hq: {{ subnet: 10.20.0.0/16 }}, branch: {{ subnet: 10.30.0.0/16 }} }}{more}"
    ))
}
