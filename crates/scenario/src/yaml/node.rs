//! The tree: what is written, and where.

use crate::mistakes::Place;

/// A value as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it stands; of a block, its first line to its last.
    pub place: Place,
    /// What stands there.
    pub content: Content,
}

/// What a value is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing: an empty value, `~` or `null`.
    Nothing,
    /// One word or text.
    Scalar {
        /// The text, with escapes undone.
        text: String,
        /// Whether it stood in quotes or in a block, so that it can be nothing but text.
        quoted: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// Keys and their values, in the order written; no key twice.
    Map(Vec<Entry>),
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_place: Place,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// What it is, in a word for a message.
    pub fn sort(&self) -> &'static str {
        match &self.content {
            Content::Nothing => "nothing",
            Content::Scalar { .. } => "one value",
            Content::List(_) => "a list",
            Content::Map(_) => "keys and values",
        }
    }

    /// The value of `key`, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The entries, if this is a map; else none.
    pub fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            Content::Nothing | Content::Scalar { .. } | Content::List(_) => &[],
        }
    }

    /// The value of `key`, to be changed.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.content {
            Content::Map(entries) => {
                entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
            }
            Content::Nothing | Content::Scalar { .. } | Content::List(_) => None,
        }
    }

    /// How many values the tree holds, itself included.
    pub fn count(&self) -> usize {
        1 + match &self.content {
            Content::Nothing | Content::Scalar { .. } => 0,
            Content::List(items) => items.iter().map(Node::count).sum(),
            Content::Map(entries) => entries.iter().map(|entry| entry.value.count()).sum(),
        }
    }

    /// Lays `over` over this tree: maps are joined key by key, anything else is replaced.
    ///
    /// `over` keeps its places, so a mistake in what was laid over points to where it was written.
    pub fn overlay(&mut self, over: &Node) {
        let (Content::Map(below), Content::Map(above)) = (&mut self.content, &over.content) else {
            *self = over.clone();
            return;
        };
        for entry in above {
            match below.iter_mut().find(|known| known.key == entry.key) {
                Some(known) => {
                    known.value.overlay(&entry.value);
                    known.key_place = entry.key_place;
                }
                None => below.push(entry.clone()),
            }
        }
    }

    /// Calls `change` with every scalar text in the tree; keys stay as they are.
    pub fn change_texts(&mut self, change: &mut impl FnMut(&mut String)) {
        match &mut self.content {
            Content::Nothing => {}
            Content::Scalar { text, .. } => change(text),
            Content::List(items) => items.iter_mut().for_each(|item| item.change_texts(change)),
            Content::Map(entries) => entries.iter_mut().for_each(|entry| entry.value.change_texts(change)),
        }
    }
}
