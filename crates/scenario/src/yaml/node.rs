//! The tree: what is written, and where.

use std::collections::BTreeMap;

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

    /// The items, if this is a list; else none.
    pub fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            Content::Nothing | Content::Scalar { .. } | Content::Map(_) => &[],
        }
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

    /// Lays `over` over this tree: maps are joined key by key, anything else is replaced.
    ///
    /// `over` keeps its places, so a mistake in what was laid over points to where it was written.
    pub fn overlay(&mut self, over: &Node) {
        let (Content::Map(below), Content::Map(above)) = (&mut self.content, &over.content) else {
            *self = over.clone();
            return;
        };
        let places: BTreeMap<String, usize> =
            below.iter().enumerate().map(|(index, known)| (known.key.clone(), index)).collect();
        for entry in above {
            match places.get(&entry.key) {
                Some(index) => {
                    below[*index].value.overlay(&entry.value);
                    below[*index].key_place = entry.key_place;
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

/// How much a tree holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Values, the whole itself included.
    pub nodes: usize,
    /// Lists and maps inside one another.
    pub depth: usize,
    /// Bytes of texts and keys.
    pub bytes: usize,
}

impl Size {
    pub(crate) fn of(node: &Node) -> Size {
        let mut size = Size { nodes: 1, depth: 0, bytes: 0 };
        let mut add = |inner: Size| {
            size.nodes += inner.nodes;
            size.depth = size.depth.max(inner.depth + 1);
            size.bytes += inner.bytes;
        };
        match &node.content {
            Content::Nothing => {}
            Content::Scalar { text, .. } => size.bytes = text.len(),
            Content::List(items) => items.iter().for_each(|item| add(Size::of(item))),
            Content::Map(entries) => entries.iter().for_each(|entry| {
                add(Size::of(&entry.value));
                add(Size { nodes: 0, depth: 0, bytes: entry.key.len() });
            }),
        }
        size
    }
}
