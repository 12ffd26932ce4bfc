//! XML and HTML with everything escaped.

use std::fmt::Write as _;

/// Escapes text for an element or a quoted attribute, of XML and HTML alike. Characters that XML 1.0 §2.2 does not
/// allow become spaces; line ends inside attributes are kept by their numbers.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\r' | '\t' => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// One element with text in it.
pub fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

/// A document of one root with children that hold text.
pub fn document(root: &str, children: &[(&str, String)]) -> String {
    let inner: String = children.iter().map(|(name, text)| element(name, text)).collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root}>{inner}</{root}>\n")
}

/// Whether `name` can be the name of an XML attribute (ASCII part of XML 1.0 §2.3), as every parameter's is that a
/// file ever brought.
pub fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_reads_back_as_it_was() {
        for text in ["a < b & \"c\" 'd'", "line\nline\ttab", "<script>alert(1)</script>", "Grüße ☎"] {
            let document = format!("<x v=\"{}\"/>", escape(text));
            let mut reader = quick_xml::Reader::from_str(&document);
            let quick_xml::events::Event::Empty(element) = reader.read_event().expect("well formed") else {
                panic!("an element");
            };
            let attribute = element.attributes().next().expect("one").expect("well formed");
            let value =
                attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).expect("it can be read");
            assert_eq!(value, text);
        }
        assert_eq!(escape("a\u{0}b"), "a b");
    }

    #[test]
    fn names_of_parameters_are_told_from_what_would_break_a_file() {
        for name in ["reg.1.address", "device.prov.serverName", "_x-1"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1x", "a b", "a=\"", "a>", "é"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
