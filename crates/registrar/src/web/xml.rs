//! XML from outside, read with suspicion.
//!
//! No document type, no processing instruction, no entity but the five of XML itself; depth, elements,
//! attributes and name-space bindings have limits. Every element remembers where it stood in the text, because
//! signatures here cover text as it was sent.

use std::ops::Range;

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{NamespaceResolver, ResolveResult};
use quick_xml::{Reader, XmlVersion};

/// The deepest nesting that is read.
pub const DEPTH_LIMIT: usize = 32;
/// The most elements of one document.
pub const ELEMENTS_LIMIT: usize = 512;
/// The most attributes of one element, name-space declarations included.
pub const ATTRIBUTES_LIMIT: usize = 32;
/// The most name-space bindings that are in force at one place.
pub const BINDINGS_LIMIT: usize = 64;

/// Why a document is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// It is no well-formed XML.
    #[error("not well-formed XML near octet {at}")]
    Malformed {
        /// Where, in octets from the beginning.
        at: usize,
    },
    /// It is not in UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// It has a document type.
    #[error("document types are not taken")]
    DocumentType,
    /// It has a processing instruction.
    #[error("processing instructions are not taken")]
    Instruction,
    /// It names an entity that XML itself does not have.
    #[error("unknown entity")]
    Entity,
    /// It is nested deeper than [`DEPTH_LIMIT`], or has more than one of the other limits allows.
    #[error("more {0} than are taken")]
    TooMany(&'static str),
}

/// A document that has been read.
#[derive(Debug)]
pub struct Document<'a> {
    source: &'a str,
    /// In the order of the text; the first is the document element.
    elements: Vec<Element>,
}

#[derive(Debug)]
struct Element {
    namespace: String,
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<usize>,
    span: Range<usize>,
}

impl<'a> Document<'a> {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// If it is not well-formed, or breaks a limit.
    pub fn read(bytes: &'a [u8]) -> Result<Document<'a>, XmlError> {
        let source = std::str::from_utf8(bytes).map_err(|_| XmlError::NotUtf8)?;
        let source = source.strip_prefix('\u{feff}').unwrap_or(source);
        if let Some(at) = source.find(|c| !is_xml_char(c)) {
            return Err(XmlError::Malformed { at });
        }
        Builder::new(source).build()
    }

    /// The document element.
    pub fn root(&self) -> Node<'_> {
        Node { document: self, index: 0 }
    }

    /// Every element with this local name, in the order of the text.
    pub fn all<'d>(&'d self, name: &'d str) -> impl Iterator<Item = Node<'d>> {
        let is_called = move |index: &usize| self.elements[*index].name == name;
        (0..self.elements.len()).filter(is_called).map(|index| Node { document: self, index })
    }

    /// The element with this local name, if there is exactly one.
    pub fn only<'d>(&'d self, name: &'d str) -> Option<Node<'d>> {
        let mut found = self.all(name);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }
}

/// XML 1.0 §2.2.
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// An element of a document.
#[derive(Clone, Copy, Debug)]
pub struct Node<'d> {
    document: &'d Document<'d>,
    index: usize,
}

impl<'d> Node<'d> {
    fn element(self) -> &'d Element {
        &self.document.elements[self.index]
    }

    /// Its name without prefix.
    pub fn name(self) -> &'d str {
        &self.element().name
    }

    /// Its name space; empty if it has none.
    pub fn namespace(self) -> &'d str {
        &self.element().namespace
    }

    /// The value of the attribute with this local name.
    pub fn attribute(self, name: &str) -> Option<&'d str> {
        let attributes = &self.element().attributes;
        attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Its own text, without that of its children, without white space at both ends.
    pub fn text(self) -> &'d str {
        self.element().text.trim_matches([' ', '\t', '\r', '\n'])
    }

    /// Its children with this local name.
    pub fn children(self, name: &str) -> impl Iterator<Item = Node<'d>> {
        let document = self.document;
        let nodes = self.element().children.iter().map(move |index| Node { document, index: *index });
        nodes.filter(move |node| node.name() == name)
    }

    /// Its child with this local name, if there is exactly one.
    pub fn child(self, name: &str) -> Option<Node<'d>> {
        let mut found = self.children(name);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// The element at the end of a path of children, each of which must be the only one of its name.
    pub fn path(self, names: &[&str]) -> Option<Node<'d>> {
        names.iter().try_fold(self, |node, name| node.child(name))
    }

    /// Whether it is the same element as `other`.
    pub fn is(self, other: Node<'_>) -> bool {
        std::ptr::eq(self.element(), other.element())
    }

    /// Whether it stands within `other`.
    pub fn is_within(self, other: Node<'_>) -> bool {
        let (inner, outer) = (&self.element().span, &other.element().span);
        outer.start < inner.start && inner.end <= outer.end
    }

    /// Its text as it was sent, from `<` to `>`.
    pub fn raw(self) -> &'d str {
        &self.document.source[self.element().span.clone()]
    }
}

struct Builder<'a> {
    source: &'a str,
    reader: Reader<&'a [u8]>,
    namespaces: NamespaceResolver,
    elements: Vec<Element>,
    open: Vec<usize>,
}

impl<'a> Builder<'a> {
    fn new(source: &'a str) -> Builder<'a> {
        let mut reader = Reader::from_str(source);
        let config = reader.config_mut();
        config.check_end_names = true;
        config.check_comments = true;
        config.expand_empty_elements = true;
        config.allow_dangling_amp = false;
        config.allow_unmatched_ends = false;
        let mut namespaces = NamespaceResolver::default();
        namespaces.set_max_namespace_bindings(BINDINGS_LIMIT);
        Builder { source, reader, namespaces, elements: Vec::new(), open: Vec::new() }
    }

    fn build(mut self) -> Result<Document<'a>, XmlError> {
        loop {
            let at = self.position();
            let event = self.reader.read_event().map_err(|_| XmlError::Malformed { at })?;
            match event {
                Event::Start(start) => self.open(&start, at)?,
                Event::End(_) => self.close(at)?,
                Event::Text(text) => {
                    if text.contains("]]>") {
                        return Err(XmlError::Malformed { at });
                    }
                    self.add_text(&text.xml10_content(), at)?;
                }
                Event::CData(text) => self.add_text(&text.xml10_content(), at)?,
                Event::GeneralRef(reference) => self.add_text(&resolve(&reference)?, at)?,
                // A declaration anywhere but at the very beginning is a processing instruction.
                Event::Decl(_) if at == 0 => {}
                Event::Decl(_) | Event::PI(_) => return Err(XmlError::Instruction),
                Event::DocType(_) => return Err(XmlError::DocumentType),
                Event::Comment(_) => {}
                Event::Eof => break,
                Event::Empty(_) => return Err(XmlError::Malformed { at }),
            }
        }
        if self.elements.is_empty() || !self.open.is_empty() {
            return Err(XmlError::Malformed { at: self.source.len() });
        }
        Ok(Document { source: self.source, elements: self.elements })
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX).min(self.source.len())
    }

    fn open(&mut self, start: &BytesStart<'_>, at: usize) -> Result<(), XmlError> {
        let malformed = XmlError::Malformed { at };
        if self.open.len() >= DEPTH_LIMIT {
            return Err(XmlError::TooMany("levels"));
        }
        if self.elements.len() >= ELEMENTS_LIMIT {
            return Err(XmlError::TooMany("elements"));
        }
        // A second document element.
        if self.open.is_empty() && !self.elements.is_empty() {
            return Err(malformed);
        }
        if !self.source[at..].starts_with('<') {
            return Err(malformed);
        }
        let mut attributes = Vec::new();
        for (count, attribute) in start.attributes().enumerate() {
            let attribute = attribute.map_err(|_| malformed.clone())?;
            if count >= ATTRIBUTES_LIMIT {
                return Err(XmlError::TooMany("attributes"));
            }
            if attribute.value.contains('<') {
                return Err(malformed);
            }
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| XmlError::Entity)?;
            if attribute.key.as_namespace_binding().is_none() {
                let name = attribute.key.local_name().as_ref().to_owned();
                // Two attributes that differ only in their prefix would let two readers see two values.
                if attributes.iter().any(|(known, _)| *known == name) {
                    return Err(malformed);
                }
                attributes.push((name, value.into_owned()));
            }
        }
        self.namespaces.push(start).map_err(|_| XmlError::TooMany("name-space bindings"))?;
        let (namespace, name) = self.namespaces.resolve_element(start.name());
        let namespace = match namespace {
            ResolveResult::Bound(namespace) => namespace.as_ref().to_owned(),
            ResolveResult::Unbound => String::new(),
            ResolveResult::Unknown(_) => return Err(malformed),
        };
        let index = self.elements.len();
        if let Some(parent) = self.open.last() {
            self.elements[*parent].children.push(index);
        }
        self.elements.push(Element {
            namespace,
            name: name.as_ref().to_owned(),
            attributes,
            text: String::new(),
            children: Vec::new(),
            span: at..at,
        });
        self.open.push(index);
        Ok(())
    }

    fn close(&mut self, at: usize) -> Result<(), XmlError> {
        let index = self.open.pop().ok_or(XmlError::Malformed { at })?;
        self.namespaces.pop();
        self.elements[index].span.end = self.position();
        Ok(())
    }

    fn add_text(&mut self, text: &str, at: usize) -> Result<(), XmlError> {
        match self.open.last() {
            Some(open) => self.elements[*open].text.push_str(text),
            None if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() => {}
            None => return Err(XmlError::Malformed { at }),
        }
        Ok(())
    }
}

fn resolve(reference: &BytesRef<'_>) -> Result<String, XmlError> {
    if let Some(c) = reference.resolve_char_ref().map_err(|_| XmlError::Entity)? {
        return if is_xml_char(c) { Ok(c.to_string()) } else { Err(XmlError::Entity) };
    }
    quick_xml::escape::resolve_xml_entity(reference).map(str::to_owned).ok_or(XmlError::Entity)
}

/// Text made fit to stand in an element or in an attribute with double quotes.
pub fn escape(text: &str) -> String {
    let printable: String = text.chars().filter(|c| is_xml_char(*c)).collect();
    quick_xml::escape::escape(printable).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(text: &str) -> XmlError {
        Document::read(text.as_bytes()).expect_err("a refusal")
    }

    #[test]
    fn an_element_knows_its_name_its_text_and_where_it_stood() {
        let text = "<?xml version=\"1.0\"?>\n<s:E xmlns:s=\"urn:s\"><a xmlns='urn:a' I='1'> x&amp;&#65; </a><b/></s:E>";
        let document = Document::read(text.as_bytes()).unwrap();
        assert_eq!((document.root().name(), document.root().namespace()), ("E", "urn:s"));
        let a = document.root().child("a").unwrap();
        assert_eq!((a.namespace(), a.text(), a.attribute("I")), ("urn:a", "x&A", Some("1")));
        assert_eq!(a.raw(), "<a xmlns='urn:a' I='1'> x&amp;&#65; </a>");
        assert_eq!(document.root().child("b").unwrap().raw(), "<b/>");
        assert!(a.is_within(document.root()) && !document.root().is_within(a));
    }

    #[test]
    fn what_has_killed_other_readers_is_refused() {
        assert_eq!(refusal("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"), XmlError::DocumentType);
        assert_eq!(refusal("<a>&b;</a>"), XmlError::Entity);
        assert_eq!(refusal("<a b=\"&c;\"/>"), XmlError::Entity);
        assert_eq!(refusal("<a>&#0;</a>"), XmlError::Entity);
        assert_eq!(refusal("<a><?php x?></a>"), XmlError::Instruction);
        assert_eq!(refusal(&"<a>".repeat(DEPTH_LIMIT + 1)), XmlError::TooMany("levels"));
        assert_eq!(refusal(&format!("<a>{}</a>", "<b/>".repeat(600))), XmlError::TooMany("elements"));
        let many: String = (0..100).map(|i| format!(" a{i}=\"\"")).collect();
        assert_eq!(refusal(&format!("<a{many}/>")), XmlError::TooMany("attributes"));
        let many: String = (0..100).map(|i| format!(" xmlns:a{i}=\"urn:{i}\"")).collect();
        assert!(matches!(refusal(&format!("<a{many}/>")), XmlError::TooMany(_)));
        for text in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "<a/><a/>",
            "<a/>x",
            "<p:a/>",
            "<a b=\"1\" b=\"2\"/>",
            "<a x:b=\"1\" b=\"2\" xmlns:x=\"u\"/>",
            "<a>\u{1}</a>",
            "</a>",
        ] {
            assert!(matches!(refusal(text), XmlError::Malformed { .. }), "{text:?}");
        }
        assert_eq!(Document::read(b"<a>\xff</a>").expect_err("a refusal"), XmlError::NotUtf8);
    }

    #[test]
    fn text_that_a_comment_splits_is_read_whole() {
        let document = Document::read(b"<a>alice@contoso.example<!-- -->.evil.example</a>").unwrap();
        assert_eq!(document.root().text(), "alice@contoso.example.evil.example");
    }

    #[test]
    fn escaped_text_reads_back() {
        let wanted = "<a> & \"b\" 'c'";
        let text = format!("<a b=\"{}\">{}</a>", escape(wanted), escape(wanted));
        let document = Document::read(text.as_bytes()).unwrap();
        assert_eq!(document.root().text(), wanted);
        assert_eq!(document.root().attribute("b"), Some(wanted));
    }

    #[test]
    fn the_largest_and_nastiest_documents_are_read_or_refused_at_once() {
        let fill = |unit: &str| unit.repeat((64 << 10) / unit.len());
        for text in [
            format!("<a {}/>", fill("b=\"\" ")),
            format!("<a {}/>", (0..5000).map(|i| format!("b{i}=\"\" ")).collect::<String>()),
            format!("<a {}/>", (0..4000).map(|i| format!("xmlns:b{i}=\"u\" ")).collect::<String>()),
            fill("<a>"),
            fill("<a "),
            format!("<a>{}</a>", fill("&amp;")),
            format!("<a>{}</a>", fill("<!---->")),
            format!("<a>{}</a>", fill("<![CDATA[x]]>")),
            format!("<a b=\"{}\"/>", fill("&#65;")),
            format!("<a>{}", fill("<")),
            format!("<{}/>", fill("a:")),
        ] {
            let _ = Document::read(text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_fall(text in "(<|>|/|a|b|:|=|\"|'| |&|;|#|!|-|\\[|\\]|\\?|xmlns|é){0,60}") {
            let _ = Document::read(text.as_bytes());
        }

        #[test]
        fn no_octets_make_the_reader_fall(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Document::read(&bytes);
        }
    }
}
