//! What a push says: its priority, and a message or verbs.
//!
//! The document is XML around text that may be HTML, escaped or not, so that only the frame is read as XML would be.

use super::Priority;
use crate::call::CallRef;

/// Characters of a message that are looked at.
const TEXT_LIMIT: usize = 16 << 10;
/// Verbs that need nothing but the call in focus.
const SIMPLE: [&str; 13] = [
    "endcall",
    "answer",
    "reject",
    "ignore",
    "micmute",
    "hold",
    "resume",
    "transfer",
    "conference",
    "join",
    "split",
    "remove",
    "dialtone",
];

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Show this.
    Message {
        /// The heading.
        title: String,
        /// The rest, paragraph by paragraph.
        lines: Vec<String>,
    },
    /// Do these, in order.
    Verbs(Vec<Verb>),
    /// There is nothing in it.
    Nothing,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Call somebody.
    Dial {
        /// The number.
        to: String,
        /// On which line.
        line: u32,
        /// Digits once it is answered; `p` waits a second, `,` two.
        digits: String,
    },
    /// Press a key.
    Key(String),
    /// Do something about a call.
    Call {
        /// In small letters: `answer`.
        action: String,
        /// Which call; `None` is the one that it fits.
        reference: Option<CallRef>,
    },
}

/// Reads a push; `None` if it is none.
pub fn read(document: &str) -> Option<(Priority, Pushed)> {
    let root = document.find("<PolycomIPPhone")?;
    let start = root + document[root..].find("<Data")?;
    let (tag, rest) = document[start + "<Data".len()..].split_once('>')?;
    let priority = match attribute(tag, "priority") {
        Some(text) => Priority::parse(text)?,
        None => Priority::Normal,
    };
    if tag.trim_end().ends_with('/') {
        return Some((priority, Pushed::Nothing));
    }
    let content = &rest[..rest.rfind("</Data>")?];
    let content: String = content.chars().take(TEXT_LIMIT).collect();
    let content = match content.trim().strip_prefix("<![CDATA[") {
        Some(inner) => inner.strip_suffix("]]>").unwrap_or(inner).to_owned(),
        None if content.contains('<') => content,
        // HTML that was escaped to fit into XML.
        None => unescape(&content),
    };
    Some((priority, sort(&content)))
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let lower = tag.to_ascii_lowercase();
    let at = lower.find(&format!("{name}="))? + name.len() + 1;
    let rest = tag.get(at..)?;
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    rest[1..].split(quote).next()
}

fn sort(content: &str) -> Pushed {
    if content.trim().is_empty() {
        return Pushed::Nothing;
    }
    let lines = content.lines().map(str::trim).filter(|line| !line.is_empty());
    let verbs: Option<Vec<Verb>> = lines.map(verb).collect();
    match verbs {
        Some(verbs) => Pushed::Verbs(verbs),
        None => {
            let (title, lines) = plain(content);
            if title.is_empty() && lines.is_empty() {
                Pushed::Nothing
            } else {
                Pushed::Message { title, lines }
            }
        }
    }
}

fn verb(line: &str) -> Option<Verb> {
    let lower = line.to_ascii_lowercase();
    if lower.starts_with("tel:") {
        let mut parts = line["tel:".len()..].split(';').map(str::trim);
        let to = parts.next()?.trim_start_matches(['\\', '/']).to_owned();
        let (mut on, mut digits) = (1, String::new());
        for part in parts {
            if let Some(number) = part.to_ascii_lowercase().strip_prefix("line") {
                on = number.parse().ok()?;
            } else if let Some(text) = part.strip_prefix("postd=") {
                digits = text.to_owned();
            }
        }
        return (!to.is_empty()).then_some(Verb::Dial { to, line: on, digits });
    }
    if lower.starts_with("key:") {
        return Some(Verb::Key(line["key:".len()..].trim().to_owned()));
    }
    if lower.starts_with("callaction:") {
        let mut parts = line["callaction:".len()..].split(';').map(str::trim);
        let action = parts.next()?.to_ascii_lowercase();
        let named = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.eq_ignore_ascii_case("nCallReference").then_some(value)
        });
        let reference = match named {
            Some(text) => Some(CallRef::parse(text)?),
            None => None,
        };
        return Some(Verb::Call { action, reference });
    }
    SIMPLE.contains(&lower.as_str()).then_some(Verb::Call { action: lower, reference: None })
}

/// A key's name as the phone itself writes it.
pub fn key(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "backspace" => "Delete".to_owned(),
        "menu" | "applications" => "Home".to_owned(),
        _ => name.to_owned(),
    }
}

/// HTML as paragraphs of text, and its title.
fn plain(html: &str) -> (String, Vec<String>) {
    let (mut title, mut lines, mut line) = (String::new(), Vec::new(), String::new());
    let mut rest = html;
    let end = |line: &mut String, lines: &mut Vec<String>| {
        let text = unescape(line).split_whitespace().collect::<Vec<_>>().join(" ");
        line.clear();
        if !text.is_empty() {
            lines.push(text);
        }
    };
    while let Some((before, after)) = rest.split_once('<') {
        line.push_str(before);
        let Some((tag, behind)) = after.split_once('>') else {
            line.push('<');
            line.push_str(after);
            rest = "";
            break;
        };
        rest = behind;
        let name = tag.trim_start_matches('/').split([' ', '/', '\n', '\t']).next().unwrap_or_default();
        match (name.to_ascii_lowercase().as_str(), tag.starts_with('/')) {
            ("title", true) => title = unescape(&std::mem::take(&mut line)).trim().to_owned(),
            ("head" | "style" | "script", true) => line.clear(),
            ("title" | "br" | "p" | "div" | "h1" | "h2" | "h3" | "h4" | "li" | "tr" | "hr" | "body", _) => {
                end(&mut line, &mut lines);
            }
            _ => {}
        }
    }
    line.push_str(rest);
    end(&mut line, &mut lines);
    (title, lines)
}

fn unescape(text: &str) -> String {
    // `&amp;` comes last, so that nothing is taken twice.
    let pairs = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    pairs.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(content: &str) -> Pushed {
        let document =
            format!("<PolycomIPPhone><Data priority=\"Critical\">{content}</Data></PolycomIPPhone>");
        let (priority, pushed) = read(&document).expect("a push");
        assert_eq!(priority, Priority::Critical);
        pushed
    }

    #[test]
    fn a_message_is_its_text_without_tags() {
        let html = "<head><title>Lunch</title><style>p{}</style></head><h1>The canteen</h1><p>is <b>closed</b> &amp; locked";
        for content in [html.to_owned(), format!("<![CDATA[{html}]]>")] {
            let Pushed::Message { title, lines } = pushed(&content) else { panic!("a message") };
            assert_eq!(
                (title.as_str(), lines),
                ("Lunch", vec!["The canteen".to_owned(), "is closed & locked".to_owned()])
            );
        }
        let Pushed::Message { lines, .. } = pushed("&lt;p&gt;Hello&lt;/p&gt;") else { panic!("a message") };
        assert_eq!(lines, ["Hello"]);
        assert_eq!(pushed("  "), Pushed::Nothing);
    }

    #[test]
    fn verbs_are_told_from_messages() {
        let dial = |to: &str, line, digits: &str| {
            Pushed::Verbs(vec![Verb::Dial { to: to.to_owned(), line, digits: digits.to_owned() }])
        };
        assert_eq!(pushed("tel:\\\\3035"), dial("3035", 1, ""));
        assert_eq!(pushed("tel:\\\\3035;line2"), dial("3035", 2, ""));
        assert_eq!(pushed("tel:\\\\8500;postd=p3095,3095"), dial("8500", 1, "p3095,3095"));
        let keys = ["Softkey1", "Line1"].map(|name| Verb::Key(name.to_owned())).to_vec();
        assert_eq!(pushed("Key:Softkey1\nKey:Line1\n"), Pushed::Verbs(keys));
        let answer = Verb::Call { action: "answer".to_owned(), reference: CallRef::parse("0x41aa4e60") };
        assert_eq!(pushed("CallAction:Answer;nCallReference=0x41aa4e60"), Pushed::Verbs(vec![answer]));
        assert!(matches!(pushed("EndCall"), Pushed::Verbs(_)));
        assert!(matches!(pushed("EndCall now, please"), Pushed::Message { .. }));
    }

    proptest::proptest! {
        #[test]
        fn nothing_brings_the_reader_down(text in "\\PC{0,80}", inner in "[<>&;/a-z=\"' ]{0,60}") {
            let _ = read(&text);
            let _ = read(&format!("<PolycomIPPhone><Data priority='Normal'>{inner}</Data>"));
        }
    }
}
