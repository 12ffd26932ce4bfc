//! XML from a pool, read into a small tree, and text made fit for XML.
//!
//! Only local names count: prefixes and name spaces are the pool's own affair. A document type declaration, an
//! unknown entity, and anything deeper or larger than a sign-in needs are refused.

use std::ops::Range;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// The most octets of a document.
pub const OCTETS_MAX: usize = 64 << 10;
/// How deep elements may nest.
const DEPTH_MAX: usize = 32;
/// How many elements a document may have.
const ELEMENTS_MAX: usize = 2000;
/// How many attributes an element may have.
const ATTRIBUTES_MAX: usize = 32;

/// Why a document was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Not well formed.
    #[error("not well-formed XML: {0}")]
    Malformed(String),
    /// More than a phone takes.
    #[error("XML with too many {0}")]
    TooLarge(&'static str),
    /// Something that has no place in these documents.
    #[error("XML with {0}")]
    Refused(&'static str),
}

/// An element with what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Element {
    /// Its local name.
    pub name: String,
    /// Its attributes: local name and value.
    pub attributes: Vec<(String, String)>,
    /// The elements directly inside it.
    pub children: Vec<Element>,
    /// The text directly inside it, in one piece.
    pub text: String,
    /// Where in the document it is written, tags included.
    pub span: Range<usize>,
}

impl Element {
    /// The value of an attribute; the case of its name does not matter.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The children of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first child of that name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Follows a path of names, the first child of each name.
    pub fn at(&self, path: &[&str]) -> Option<&Element> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// The first element of that name anywhere below, in document order.
    pub fn below(&self, name: &str) -> Option<&Element> {
        // Depth is bounded by the reader.
        self.children
            .iter()
            .find_map(|child| if child.name == name { Some(child) } else { child.below(name) })
    }

    /// The text without white space around it.
    pub fn trimmed(&self) -> &str {
        self.text.trim()
    }
}

/// Reads a document; the answer is its document element.
///
/// # Errors
///
/// If it is not well formed, too large, or holds what is refused here.
pub fn read(document: &[u8]) -> Result<Element, XmlError> {
    if document.len() > OCTETS_MAX {
        return Err(XmlError::TooLarge("octets"));
    }
    let document =
        std::str::from_utf8(document).map_err(|_| XmlError::Refused("octets that are not UTF-8"))?;
    let document = document.trim_start_matches('\u{feff}');
    let mut reader = Reader::from_str(document);
    // The last of the stack is the element being read; the first is a stand-in above the document element.
    let mut stack = vec![Element::default()];
    let mut count = 0;
    loop {
        let start = position(&reader);
        let event = reader.read_event().map_err(|why| XmlError::Malformed(why.to_string()))?;
        let end = position(&reader);
        let open = stack.last_mut().expect("the stand-in is never popped");
        match event {
            Event::Start(tag) | Event::Empty(tag) if count >= ELEMENTS_MAX => {
                let _ = tag;
                return Err(XmlError::TooLarge("elements"));
            }
            Event::Start(tag) => {
                count += 1;
                if stack.len() > DEPTH_MAX {
                    return Err(XmlError::TooLarge("levels"));
                }
                stack.push(opened(&tag, start..end)?);
            }
            Event::Empty(tag) => {
                count += 1;
                open.children.push(opened(&tag, start..end)?);
            }
            Event::End(_) => {
                let mut done = stack.pop().expect("the reader pairs tags");
                done.span.end = end;
                match stack.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => return Err(XmlError::Malformed("an end without a start".to_owned())),
                }
            }
            Event::Text(text) => open.text.push_str(&text.xml10_content()),
            Event::CData(text) => open.text.push_str(&text.xml10_content()),
            Event::GeneralRef(name) => {
                let found = match name.resolve_char_ref() {
                    Ok(Some(c)) => Some(c),
                    Ok(None) => predefined(&name.xml10_content()),
                    Err(why) => return Err(XmlError::Malformed(why.to_string())),
                };
                open.text.push(found.ok_or(XmlError::Refused("an entity of its own"))?);
            }
            Event::DocType(_) => return Err(XmlError::Refused("a document type declaration")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    let mut above = stack.pop().expect("the stand-in is never popped");
    if !stack.is_empty() {
        return Err(XmlError::Malformed("it ends inside an element".to_owned()));
    }
    match above.children.len() {
        1 => Ok(above.children.remove(0)),
        _ => Err(XmlError::Malformed("not exactly one document element".to_owned())),
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

fn opened(tag: &BytesStart<'_>, span: Range<usize>) -> Result<Element, XmlError> {
    let mut element = Element { name: tag.local_name().as_ref().to_owned(), span, ..Element::default() };
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|why| XmlError::Malformed(why.to_string()))?;
        if element.attributes.len() == ATTRIBUTES_MAX {
            return Err(XmlError::TooLarge("attributes"));
        }
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|why| XmlError::Malformed(why.to_string()))?;
        element.attributes.push((attribute.key.local_name().as_ref().to_owned(), value.into_owned()));
    }
    Ok(element)
}

fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

/// Text, made fit to stand between tags or quotes. Characters that XML 1.0 cannot carry are left out.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' => escaped.push(c),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tree_is_read_by_local_names_with_entities_and_spans() {
        let document = "<?xml version='1.0'?><a:x q:Id='1'>t&amp;u<y/><!-- no --><y k=\"&lt;\">v<![CDATA[<w>]]></y></a:x>";
        let x = read(document.as_bytes()).expect("a tree");
        assert_eq!((x.name.as_str(), x.attribute("id"), x.text.as_str()), ("x", Some("1"), "t&u"));
        assert_eq!(x.all("y").count(), 2);
        let second = x.all("y").nth(1).expect("a second y");
        assert_eq!((second.attribute("K"), second.text.as_str()), (Some("<"), "v<w>"));
        assert_eq!(&document[second.span.clone()], "<y k=\"&lt;\">v<![CDATA[<w>]]></y>");
        assert_eq!(&document[x.child("y").expect("a first y").span.clone()], "<y/>");
    }

    #[test]
    fn what_has_no_place_here_is_refused() {
        let deep = "<a>".repeat(40) + &"</a>".repeat(40);
        let many = format!("<a>{}</a>", "<b/>".repeat(3000));
        let large = format!("<a>{}</a>", " ".repeat(OCTETS_MAX));
        for document in
            ["<!DOCTYPE a><a/>", "<a>&own;</a>", "<a>", "<a></b>", "", "<a/><b/>", &deep, &many, &large]
        {
            assert!(read(document.as_bytes()).is_err(), "{}", &document[..document.len().min(40)]);
        }
    }

    #[test]
    fn escaped_text_survives_the_reader() {
        let text = "a<b>&\"c'd";
        let document = format!("<x k=\"{0}\">{0}</x>", escape(text));
        let x = read(document.as_bytes()).expect("a tree");
        assert_eq!((x.text.as_str(), x.attribute("k")), (text, Some(text)));
    }

    proptest! {
        #[test]
        fn no_document_makes_the_reader_panic(document in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&document);
        }

        #[test]
        fn nothing_that_looks_like_xml_makes_the_reader_panic(document in "[<>/&;!a-c=\"' \\[\\]-]{0,200}") {
            if let Ok(element) = read(document.as_bytes()) {
                prop_assert!(document.get(element.span).is_some());
            }
        }
    }
}
