//! A line of words that stands for keys and values: `2000/s for 60s` is `{ rate: 2000/s, for: 60s }`.

use scenario::mistakes::Place;
use scenario::schema::Shapes;
use scenario::yaml::record::Record;
use scenario::yaml::{Content, Entry, Node, Reader, Value};
use serde_json::{Value as Json, json};

/// A record that may be written as a sentence: what stands first is its first key's value, and each further key is a word
/// before its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sentence<T>(pub T);

impl<T: Value + Record> Value for Sentence<T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let keys: Vec<String> = T::field_docs().into_iter().map(|field| field.key).collect();
        match &node.content {
            Content::Scalar { text, .. } => T::read(&told(text, node.place, &keys), reader).map(Sentence),
            Content::Nothing | Content::List(_) | Content::Map(_) => T::read(node, reader).map(Sentence),
        }
    }

    fn shape(shapes: &mut Shapes) -> Json {
        let record = T::shape(shapes);
        json!({ "anyOf": [record, { "type": ["string", "number"] }] })
    }
}

/// The sentence as a map.
fn told(text: &str, place: Place, keys: &[String]) -> Node {
    // A text in quotes is shorter than its place, and what stands where in it is not known.
    let is_plain = place.end as usize - place.start as usize == text.len();
    let at = |from: usize, to: usize| match is_plain {
        true => Place { start: place.start + from as u32, end: place.start + to as u32, ..place },
        false => place,
    };
    let mut entries: Vec<Entry> = Vec::new();
    let mut key = (keys[0].clone(), at(0, 0));
    let (mut from, mut to) = (0, 0);
    let mut finish = |key: &(String, Place), from: usize, to: usize| {
        if from < to {
            let content = Content::Scalar { text: text[from..to].to_owned(), quoted: false };
            let value = Node { place: at(from, to), content };
            entries.push(Entry { key: key.0.clone(), key_place: key.1, value });
        }
    };
    for (start, word) in words(text) {
        let end = start + word.len();
        if word != key.0 && keys[1..].iter().any(|known| known == word) {
            finish(&key, from, to);
            key = (word.to_owned(), at(start, end));
            (from, to) = (end, end);
        } else {
            if from >= to {
                from = start;
            }
            to = end;
        }
    }
    finish(&key, from, to);
    Node { place, content: Content::Map(entries) }
}

/// The words of a text and where each begins.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_ascii_whitespace().map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, keys: &[&str]) -> Vec<(String, String)> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let place = Place { start: 0, end: text.len() as u32, ..Place::default() };
        let node = told(text, place, &keys);
        let text = |node: &Node| match &node.content {
            Content::Scalar { text, .. } => text.clone(),
            other => panic!("{other:?}"),
        };
        node.entries().iter().map(|entry| (entry.key.clone(), text(&entry.value))).collect()
    }

    #[test]
    fn words_are_keys_of_what_follows_them() {
        let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(
            said("0/s to 2000/s for 1m 30s", &["from", "to", "for"]),
            pairs(&[("from", "0/s"), ("to", "2000/s"), ("for", "1m 30s")])
        );
        assert_eq!(said("5s", &["for"]), pairs(&[("for", "5s")]));
        assert_eq!(said("for 5s", &["rate", "for"]), pairs(&[("for", "5s")]));
        assert_eq!(said("", &["rate", "for"]), pairs(&[]));
    }
}
