//! Including: the steps of other files, put in their places before anything is read from the tree.
//!
//! A story may come from a stranger. What it names stays under the folder of the story itself; how deep and
//! how many is limited; and no file includes itself.

use super::story::Library;
use crate::mistakes::{MOST_MISTAKES, Mistake, Mistakes, Place, Sources};
use crate::yaml::{Content, Entry, Limits, Node, Size, parse};

/// Files that are included in one another at most.
pub const INCLUDE_DEPTH: usize = 8;
/// Files that one story reads at most, the same one counted again.
pub const INCLUDE_COUNT: usize = 64;
/// Bytes of a file's name in a story.
const LONGEST_PATH: usize = 200;

/// The files of one reading, and what is left of its limits.
pub(super) struct Files<'a> {
    pub(super) library: &'a dyn Library,
    pub(super) sources: Sources,
    pub(super) mistakes: Vec<Mistake>,
    limits: Limits,
    included: usize,
    /// Whether a limit of including was met and told.
    stopped: bool,
}

impl<'a> Files<'a> {
    pub(super) fn new(library: &'a dyn Library) -> Files<'a> {
        let (sources, mistakes) = (Sources::default(), Vec::new());
        Files { library, sources, mistakes, limits: Limits::default(), included: 0, stopped: false }
    }

    /// Keeps what was wrong in one of many cases; the same mistake in each of them is kept once.
    pub(super) fn keep(&mut self, mistakes: Vec<Mistake>) {
        self.mistakes.extend(mistakes);
        if self.mistakes.len() > 10 * MOST_MISTAKES {
            self.mistakes.sort();
            self.mistakes.dedup();
            self.mistakes.truncate(10 * MOST_MISTAKES);
        }
    }

    /// Everything that was wrong.
    pub(super) fn give_up(self) -> Mistakes {
        Mistakes::new(self.mistakes, self.sources)
    }

    /// Reads and parses a file that stands `depth` levels deep; `named` is where another file names it.
    pub(super) fn load(&mut self, path: &str, depth: usize, named: Option<Place>) -> Option<Node> {
        let bytes = match self.library.read(path, self.limits.bytes) {
            Ok(bytes) => bytes,
            Err(error) => {
                let title = format!("{path} cannot be read: {error}");
                self.mistakes.push(match named {
                    Some(place) => Mistake::new(place, title),
                    None => Mistake::nowhere(title),
                });
                return None;
            }
        };
        let limits = Limits { around: depth, ..self.limits };
        match parse(path, bytes, limits, &mut self.sources) {
            Ok(node) => {
                // All files of a story share one limit of values.
                self.limits.nodes = self.limits.nodes.saturating_sub(Size::of(&node).nodes);
                Some(node)
            }
            Err(mut mistakes) => {
                if let Some(named) = named {
                    mistakes
                        .iter_mut()
                        .for_each(|mistake| mistake.related.push((named, "named here".into())));
                }
                self.mistakes.extend(mistakes);
                None
            }
        }
    }

    /// Puts the steps of included files into `steps`. `stack` holds the files that are being read.
    pub(super) fn expand(&mut self, steps: &mut Node, depth: usize, stack: &mut Vec<String>) {
        match &mut steps.content {
            Content::List(items) => {
                for item in items {
                    self.stopped |= self.mistakes.len() > MOST_MISTAKES;
                    self.expand(item, depth + 1, stack);
                }
            }
            Content::Map(entries) => {
                for entry in entries {
                    match entry.key.as_str() {
                        "include" => self.include(&mut entry.value, depth + 1, stack),
                        "parallel" => self.expand(&mut entry.value, depth + 1, stack),
                        "repeat" => {
                            if let Some(inner) = entry.value.get_mut("steps") {
                                self.expand(inner, depth + 2, stack);
                            }
                        }
                        _ => {}
                    }
                }
            }
            Content::Nothing | Content::Scalar { .. } => {}
        }
    }

    /// Replaces the name of a file by the file and its steps.
    fn include(&mut self, value: &mut Node, depth: usize, stack: &mut Vec<String>) {
        let place = value.place;
        let read = match &value.content {
            Content::Scalar { text, .. } => {
                let name = text.clone();
                self.included_steps(&name, place, depth, stack)
            }
            Content::Nothing | Content::List(_) | Content::Map(_) => {
                let title = format!("`include` names a file, not {}", value.sort());
                self.mistakes.push(Mistake::new(place, title));
                None
            }
        };
        let (name, steps) = read.unwrap_or_else(|| (String::new(), empty_list(place)));
        let file = Node { place, content: Content::Scalar { text: name, quoted: true } };
        let entry = |key: &str, value| Entry { key: key.to_owned(), key_place: place, value };
        value.content = Content::Map(vec![entry("file", file), entry("steps", steps)]);
    }

    fn included_steps(
        &mut self,
        name: &str,
        place: Place,
        depth: usize,
        stack: &mut Vec<String>,
    ) -> Option<(String, Node)> {
        if self.stopped {
            return None;
        }
        let path = match resolve(stack, name) {
            Ok(path) => path,
            Err(mistake) => {
                self.mistakes.push(Mistake { place: Some(place), ..mistake });
                return None;
            }
        };
        if stack.len() > INCLUDE_DEPTH {
            return self
                .stop(place, format!("files are included more than {INCLUDE_DEPTH} deep in one another"));
        }
        if self.included >= INCLUDE_COUNT {
            return self.stop(place, format!("a story includes more than {INCLUDE_COUNT} files"));
        }
        self.included += 1;
        let loaded = self.load(&path, depth, Some(place))?;
        let mut steps = self.steps_of(loaded)?;
        stack.push(path);
        self.expand(&mut steps, depth, stack);
        stack.pop().map(|path| (path, steps))
    }

    /// Tells of a limit, once, and includes nothing from then on.
    fn stop<T>(&mut self, place: Place, title: String) -> Option<T> {
        self.stopped = true;
        self.mistakes.push(Mistake::new(place, title).label("the limit is met here"));
        None
    }

    /// A file to include is a list of steps, or has one under `steps`.
    fn steps_of(&mut self, mut node: Node) -> Option<Node> {
        let place = node.place;
        match &mut node.content {
            Content::List(_) => return Some(node),
            Content::Map(entries) => {
                if let Some(index) = entries.iter().position(|entry| entry.key == "steps") {
                    return Some(entries.swap_remove(index).value);
                }
            }
            Content::Nothing | Content::Scalar { .. } => {}
        }
        let mistake = Mistake::new(place, "an included file is a list of steps, or has one under `steps`");
        self.mistakes.push(mistake);
        None
    }
}

fn empty_list(place: Place) -> Node {
    Node { place, content: Content::List(Vec::new()) }
}

/// The path that `name` means in the last file of `stack`; it stays under the folder of the first.
pub(super) fn resolve(stack: &[String], name: &str) -> Result<String, Mistake> {
    let (first, last) = (stack.first().map_or("", |path| folder(path)), stack.last());
    if name.starts_with('/')
        || name.contains('\\')
        || name.contains(':')
        || name.contains('\0')
        || name.len() > LONGEST_PATH
    {
        let mistake = Mistake::nowhere(format!("`{}` is not a path below the story's folder", short(name)));
        return Err(mistake.help("name it from the folder of this file, with `/` between folders"));
    }
    if !(name.ends_with(".yaml") || name.ends_with(".yml")) {
        let mistake = Mistake::nowhere(format!("`{}` is not a YAML file", short(name)));
        return Err(mistake.help("its name ends in `.yaml`"));
    }
    let own = last.map_or("", |path| folder(path));
    let below = own.strip_prefix(first).unwrap_or("");
    let mut parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.is_empty() => {
                let mistake = Mistake::nowhere(format!("`{}` leaves the story's folder", short(name)));
                return Err(mistake.help("a story's files stay under its own folder"));
            }
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let path = format!("{first}{}", parts.join("/"));
    match stack.contains(&path) {
        true => Err(Mistake::nowhere(format!("{path} includes itself"))),
        false => Ok(path),
    }
}

fn short(name: &str) -> String {
    crate::yaml::reader::brief(name)
}

/// The folder of a path, with its last `/`.
fn folder(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..=at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(files: &[&str], name: &str) -> Result<String, String> {
        let stack: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        resolve(&stack, name).map_err(|mistake| mistake.title)
    }

    #[test]
    fn a_name_is_looked_for_beside_the_file_that_says_it() {
        assert_eq!(from(&["s/web.yaml"], "parts/in.yaml").as_deref(), Ok("s/parts/in.yaml"));
        assert_eq!(from(&["s/web.yaml", "s/parts/in.yaml"], "b.yaml").as_deref(), Ok("s/parts/b.yaml"));
        assert_eq!(from(&["s/web.yaml", "s/parts/in.yaml"], "../b.yaml").as_deref(), Ok("s/b.yaml"));
        assert_eq!(from(&["web.yaml"], "./b.yaml").as_deref(), Ok("b.yaml"));
    }

    #[test]
    fn no_name_leads_out_of_the_storys_folder() {
        for name in ["../b.yaml", "parts/../../b.yaml", "/etc/b.yaml", "c:/b.yaml", "..\\b.yaml"] {
            assert!(from(&["s/web.yaml"], name).is_err(), "{name}");
        }
        assert!(from(&["s/web.yaml", "s/parts/in.yaml"], "../../b.yaml").is_err());
    }

    #[test]
    fn a_file_does_not_include_itself() {
        assert!(from(&["s/web.yaml", "s/in.yaml"], "web.yaml").is_err());
    }
}
