//! The index over a message's octets: where the first line's parts, each header's name and value, and the
//! body stand.

use bytes::Bytes;
use memchr::memchr;

use super::{Fault, ParseError};
use crate::value::{decimal, is_token_octet};

/// The longest head that is read, first line and empty line included.
pub const HEADER_OCTETS_MAX: usize = 64 * 1024;
/// The most header lines that are read.
pub const HEADERS_MAX: usize = 256;

/// Compact names and the full ones they stand for (RFC 3261 §7.3.3 and later RFCs).
const COMPACT: [(u8, &str); 18] = [
    (b'a', "Accept-Contact"),
    (b'b', "Referred-By"),
    (b'c', "Content-Type"),
    (b'd', "Request-Disposition"),
    (b'e', "Content-Encoding"),
    (b'f', "From"),
    (b'i', "Call-ID"),
    (b'j', "Reject-Contact"),
    (b'k', "Supported"),
    (b'l', "Content-Length"),
    (b'm', "Contact"),
    (b'o', "Event"),
    (b'r', "Refer-To"),
    (b's', "Subject"),
    (b't', "To"),
    (b'u', "Allow-Events"),
    (b'v', "Via"),
    (b'x', "Session-Expires"),
];

/// The full name of a header: a compact form spelled out, a name that the crate itself looks for in its usual
/// case, any other as it is.
pub fn full_name(name: &str) -> &str {
    if let [letter] = name.as_bytes() {
        let letter = letter.to_ascii_lowercase();
        return COMPACT.iter().find(|(short, _)| *short == letter).map_or(name, |(_, full)| full);
    }
    ["Via", "From", "To", "Call-ID", "CSeq", "Contact", "Content-Length", "Content-Type"]
        .into_iter()
        .filter(|usual| usual.len() == name.len())
        .find(|usual| usual.eq_ignore_ascii_case(name))
        .unwrap_or(name)
}

/// Whether two names mean the same header: case and compact forms do not matter.
pub fn same_name(a: &str, b: &str) -> bool {
    // Only a name of one letter may stand for a longer one.
    match (a.len(), b.len()) {
        (1, _) | (_, 1) => full_name(a).eq_ignore_ascii_case(full_name(b)),
        _ => a.eq_ignore_ascii_case(b),
    }
}

/// Names that are looked for often, the shortest first: a header line remembers which of them it has, so that looking compares
/// numbers.
const KNOWN: [&str; 45] = [
    "To",
    "Via",
    "From",
    "CSeq",
    "Path",
    "Date",
    "RSeq",
    "RAck",
    "Event",
    "Route",
    "Allow",
    "Accept",
    "Server",
    "Reason",
    "Call-ID",
    "Contact",
    "Subject",
    "Expires",
    "Require",
    "Refer-To",
    "Supported",
    "Timestamp",
    "User-Agent",
    "Referred-By",
    "Unsupported",
    "Retry-After",
    "Min-Expires",
    "Content-Type",
    "Allow-Events",
    "Max-Forwards",
    "Record-Route",
    "Proxy-Require",
    "Authorization",
    "Service-Route",
    "ms-keep-alive",
    "Accept-Contact",
    "Reject-Contact",
    "Content-Length",
    "Session-Expires",
    "Content-Encoding",
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Request-Disposition",
    "Proxy-Authorization",
    "P-Asserted-Identity",
];

/// The longest of the [`KNOWN`] names.
const KNOWN_LEN_MAX: usize = 19;

/// Where the [`KNOWN`] names of each length begin.
const STARTS: [usize; KNOWN_LEN_MAX + 2] = {
    let mut starts = [0; KNOWN_LEN_MAX + 2];
    let mut len = 0;
    let mut at = 0;
    while len < starts.len() {
        while at < KNOWN.len() && KNOWN[at].len() < len {
            at += 1;
        }
        starts[len] = at;
        len += 1;
    }
    starts
};

/// Where a name stands in [`KNOWN`], counted from 1; 0 if it does not. Compact forms mean the names behind them.
fn code(name: &[u8]) -> u8 {
    let full = match name {
        [letter] => {
            let letter = letter.to_ascii_lowercase();
            COMPACT.iter().find(|(short, _)| *short == letter).map_or(name, |(_, full)| full.as_bytes())
        }
        _ => name,
    };
    if full.len() > KNOWN_LEN_MAX {
        return 0;
    }
    let same_length = STARTS[full.len()]..STARTS[full.len() + 1];
    // Few names of one length begin with the same letter.
    let first = full.first().map_or(0, u8::to_ascii_lowercase);
    let found = same_length.into_iter().find(|at| {
        let known = KNOWN[*at].as_bytes();
        known[0].to_ascii_lowercase() == first && known.eq_ignore_ascii_case(full)
    });
    // There are far fewer than 255.
    found.map_or(0, |at| at as u8 + 1)
}

/// A header name to look for.
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    text: &'a str,
    code: u8,
}

impl<'a> Name<'a> {
    pub(super) fn of(name: &'a str) -> Name<'a> {
        Name { text: name, code: code(name.as_bytes()) }
    }

    pub(super) fn matches(&self, slot: &Slot, bytes: &[u8]) -> bool {
        match self.code {
            0 => slot.code == 0 && bytes[slot.name.as_usize()].eq_ignore_ascii_case(self.text.as_bytes()),
            code => slot.code == code,
        }
    }
}

/// Octets `start..end` of a message.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub start: u32,
    pub end: u32,
}

impl Range {
    /// Positions lie within the head, which is shorter than [`HEADER_OCTETS_MAX`].
    fn new(start: usize, end: usize) -> Range {
        Range { start: start as u32, end: end as u32 }
    }

    pub(super) fn as_usize(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One header line, folds included.
#[derive(Clone)]
pub(super) struct Slot {
    /// Which of the [`KNOWN`] names it has; 0 for another one.
    code: u8,
    pub name: Range,
    /// Without blanks around; meaningless where `joined` is there.
    pub value: Range,
    /// The value with its folds joined, if it has any.
    pub joined: Option<Box<str>>,
}

#[derive(Clone)]
pub(super) enum Start {
    Request { method: Range, uri: Range },
    Response { status: u16, reason: Range },
}

#[derive(Clone)]
pub(super) struct Index {
    /// The head as text.
    pub head: Box<str>,
    pub start: Start,
    pub slots: Box<[Slot]>,
    pub body_start: usize,
    pub body_len: usize,
    pub content_length: Option<usize>,
    /// What was read of it when it was checked; `None` of one that did not pass.
    pub parts: Option<super::parts::Parts>,
}

impl Index {
    /// Reads the head. The second part is a fault that still leaves enough to address an answer.
    pub(super) fn read(bytes: &Bytes) -> Result<(Index, Option<ParseError>), ParseError> {
        let head_end = head_end(bytes)?;
        let head = &bytes[..head_end];
        let text =
            std::str::from_utf8(head).map_err(|why| ParseError::new(Fault::NotUtf8, why.valid_up_to()))?;
        let mut fault = None;
        let first_end = line_end(head, 0);
        let start = read_start(head, first_end, &mut fault)?;
        let slots = read_headers(head, first_end + 2, &mut fault)?;
        let mut index = Index {
            head: text.into(),
            start,
            slots: slots.into_boxed_slice(),
            body_start: head_end,
            body_len: bytes.len() - head_end,
            content_length: None,
            parts: None,
        };
        if let Err(why) = index.read_content_length(bytes) {
            fault.get_or_insert(why);
        }
        Ok((index, fault))
    }

    fn read_content_length(&mut self, bytes: &[u8]) -> Result<(), ParseError> {
        let name = Name::of("Content-Length");
        let mut all = self.slots.iter().filter(|slot| name.matches(slot, bytes));
        let Some(slot) = all.next() else { return Ok(()) };
        let at = slot.value.start as usize;
        let text = match &slot.joined {
            Some(joined) => joined.as_bytes(),
            None => &bytes[slot.value.as_usize()],
        };
        let wanted = std::str::from_utf8(text).ok().and_then(decimal).ok_or_else(|| {
            let fault = Fault::Malformed { name: "Content-Length".to_owned(), why: "not a number" };
            ParseError::new(fault, at)
        })?;
        if let Some(second) = all.next() {
            return Err(ParseError::new(Fault::Repeated("Content-Length"), second.name.start as usize));
        }
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        if wanted > self.body_len {
            return Err(ParseError::new(Fault::BodyShort { wanted, there: self.body_len }, at));
        }
        self.content_length = Some(wanted);
        self.body_len = wanted;
        Ok(())
    }
}

/// Where the head ends, behind its empty line.
fn head_end(bytes: &[u8]) -> Result<usize, ParseError> {
    let window = &bytes[..bytes.len().min(HEADER_OCTETS_MAX)];
    match find_empty_line(window, 0) {
        Some(at) => Ok(at + 4),
        None if bytes.len() > window.len() => Err(ParseError::new(Fault::TooLong, window.len())),
        None => Err(ParseError::new(Fault::NoEnd, bytes.len())),
    }
}

/// Where CRLFCRLF stands, from `from` on.
pub(crate) fn find_empty_line(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = memchr(b'\r', bytes.get(at..)?) {
        at += found;
        if bytes[at..].starts_with(b"\r\n\r\n") {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Where the CRLF of the line at `from` stands; the head is known to end with one.
fn line_end(head: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(found) = memchr(b'\r', &head[at..]) {
        at += found;
        if head.get(at + 1) == Some(&b'\n') {
            return at;
        }
        at += 1;
    }
    head.len().saturating_sub(1).max(from)
}

fn read_start(head: &[u8], end: usize, fault: &mut Option<ParseError>) -> Result<Start, ParseError> {
    let line = &head[..end];
    let bad = |why, at| ParseError::new(Fault::StartLine(why), at);
    if let Some(at) = forbidden_octet(line) {
        return Err(bad("a control character", at));
    }
    let first_blank = line.iter().position(|b| *b == b' ').ok_or(bad("no blank in it", 0))?;
    let first = &line[..first_blank];
    if first.len() > 4 && first[..4].eq_ignore_ascii_case(b"SIP/") {
        if !first.eq_ignore_ascii_case(b"SIP/2.0") {
            return Err(ParseError::new(Fault::Version, 0));
        }
        let rest = &line[first_blank + 1..];
        let digits = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
        let code = std::str::from_utf8(&rest[..digits]).ok().filter(|code| code.len() == 3).and_then(decimal);
        let status = code.and_then(|code| u16::try_from(code).ok()).filter(|code| (100..700).contains(code));
        let status = status.ok_or(bad("a status that is no number from 100 to 699", first_blank + 1))?;
        let reason = (first_blank + 1 + digits + 1).min(end);
        return Ok(Start::Response { status, reason: Range::new(reason, end) });
    }
    if !first.iter().copied().all(is_token_octet) || first.is_empty() {
        return Err(bad("a method that is no token", 0));
    }
    let last_blank = line.iter().rposition(|b| *b == b' ').unwrap_or(first_blank);
    let version = &line[last_blank + 1..];
    let uri_start = first_blank + 1;
    if last_blank == first_blank {
        return Err(bad("not three parts", first_blank));
    }
    if version.is_empty() {
        fault.get_or_insert(bad("blanks behind the version", last_blank));
    } else if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        let is_sip = version.len() > 4 && version[..4].eq_ignore_ascii_case(b"SIP/");
        if !is_sip {
            return Err(bad("no SIP version at its end", last_blank + 1));
        }
        fault.get_or_insert(ParseError::new(Fault::Version, last_blank + 1));
    }
    Ok(Start::Request { method: Range::new(0, first_blank), uri: Range::new(uri_start, last_blank) })
}

fn read_headers(head: &[u8], from: usize, fault: &mut Option<ParseError>) -> Result<Vec<Slot>, ParseError> {
    let mut slots: Vec<Slot> = Vec::with_capacity(16);
    let mut at = from;
    loop {
        let end = line_end(head, at);
        if end == at {
            return Ok(slots);
        }
        // A line that begins with a blank carries the one before it on.
        let mut whole_end = end;
        let mut is_folded = false;
        while matches!(head.get(whole_end + 2), Some(b' ' | b'\t')) {
            is_folded = true;
            whole_end = line_end(head, whole_end + 2);
        }
        match read_header(head, at, whole_end, is_folded) {
            Ok(_) if slots.len() == HEADERS_MAX => return Err(ParseError::new(Fault::TooMany, at)),
            Ok(slot) => slots.push(slot),
            Err(why) => {
                fault.get_or_insert(why);
            }
        }
        at = whole_end + 2;
    }
}

fn read_header(head: &[u8], start: usize, end: usize, is_folded: bool) -> Result<Slot, ParseError> {
    let bad = |why, at| ParseError::new(Fault::HeaderLine(why), at);
    let line = &head[start..end];
    let colon = line.iter().position(|b| *b == b':').ok_or(bad("no colon", start))?;
    // Blanks may stand before the colon, a fold may not (RFC 3261 §25.1, HCOLON).
    if line[..colon].contains(&b'\n') {
        return Err(bad("a fold before the colon", start));
    }
    let name = trim(line, 0, colon);
    if name.0 != 0 {
        return Err(bad("a blank before the first name", start));
    }
    if name.1 == 0 || !line[..name.1].iter().copied().all(is_token_octet) {
        return Err(bad("a name that is no token", start));
    }
    let value = trim(line, colon + 1, line.len());
    let mut joined = None;
    if is_folded {
        joined = Some(join(&line[value.0..value.1], start + value.0)?);
    } else if let Some(at) = forbidden_octet(&line[value.0..value.1]) {
        return Err(bad("a control character", start + value.0 + at));
    }
    Ok(Slot {
        code: code(&line[..name.1]),
        name: Range::new(start, start + name.1),
        value: Range::new(start + value.0, start + value.1),
        joined,
    })
}

/// Joins the lines of a folded value with single blanks (RFC 3261 §7.3.1).
fn join(folded: &[u8], at: usize) -> Result<Box<str>, ParseError> {
    let text = std::str::from_utf8(folded).map_err(|_| ParseError::new(Fault::NotUtf8, at))?;
    let mut out = String::with_capacity(text.len());
    for part in text.split("\r\n").map(|part| part.trim_matches([' ', '\t'])).filter(|part| !part.is_empty())
    {
        if let Some(bad) = forbidden_octet(part.as_bytes()) {
            return Err(ParseError::new(Fault::HeaderLine("a control character"), at + bad));
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(part);
    }
    Ok(out.into_boxed_str())
}

/// The part of `line[start..end]` without blanks and folds around it, as positions in `line`.
fn trim(line: &[u8], mut start: usize, mut end: usize) -> (usize, usize) {
    let is_blank = |b: u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    while start < end && is_blank(line[start]) {
        start += 1;
    }
    while start < end && is_blank(line[end - 1]) {
        end -= 1;
    }
    (start, end)
}

/// The first control character that no backslash stands before. Lone CR and LF are never allowed: whoever
/// takes them for line ends would read another message than we do.
pub(crate) fn forbidden_octet(line: &[u8]) -> Option<usize> {
    // Nearly always there is none, and looking for that alone, without stopping at the first, is quick.
    if !line.iter().fold(false, |found, b| found | (*b < b' ') | (*b == 0x7f)) {
        return None;
    }
    let mut is_quoted = false;
    for (at, b) in line.iter().enumerate() {
        let is_control = (*b < b' ' && *b != b'\t') || *b == 0x7f;
        if is_control && (!is_quoted || matches!(b, b'\r' | b'\n')) {
            return Some(at);
        }
        is_quoted = *b == b'\\' && !is_quoted;
    }
    None
}
