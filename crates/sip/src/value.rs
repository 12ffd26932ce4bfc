//! Structured header values: addresses with their tags, Via, CSeq, parameters, comma lists.
//!
//! Everything here borrows text in which folded lines are already joined.

use std::borrow::Cow;

use crate::uri::{Uri, host_and_port};

/// The most parameters that are read behind one address or value: more are nobody's, and comparing two sets of
/// them takes the product of their numbers.
pub const PARAMS_MAX: usize = 64;

/// Parameters behind `;`, read on demand. Blanks around `;` and `=` do not count.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a>(&'a str);

impl<'a> Params<'a> {
    /// No parameters.
    pub const EMPTY: Params<'static> = Params("");

    /// Checks that `text` is empty or `;name[=value]` over and over.
    pub(crate) fn parse(text: &'a str) -> Result<Params<'a>, &'static str> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Params(""));
        }
        let inner = text.strip_prefix(';').ok_or("text where a parameter belongs")?;
        for (at, part) in split_unquoted(inner, b';').enumerate() {
            if at == PARAMS_MAX {
                return Err("too many parameters");
            }
            let (name, value) = name_and_value(part?);
            // `[` and `/` and the like belong to parameters of addresses, not of headers; both kinds come here.
            let is_name = !name.is_empty() && name.bytes().all(|b| PARAM_NAME[usize::from(b)]);
            if !is_name {
                return Err("a parameter without a proper name");
            }
            match value {
                Some("") => return Err("a parameter with nothing behind its ="),
                Some(value) if value.starts_with('"') && quoted_end(value) == Some(value.len()) => {}
                Some(value) if value.starts_with('"') => {
                    return Err("a quoted parameter value with text around it");
                }
                Some(value) if value.bytes().any(|b| b <= b' ' || b == b'"' || b == b'<' || b == b'>') => {
                    return Err("a parameter value with forbidden octets");
                }
                _ => {}
            }
        }
        Ok(Params(text))
    }

    /// The parameters in order: name, and value as written (quotes included) if there is one.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
        let inner = self.0.strip_prefix(';');
        let pieces = Pieces { rest: inner, separator: b';', skip_brackets: false };
        // Every piece was read once by `parse`, which let no unfinished quote through.
        pieces.filter_map(Result::ok).map(name_and_value)
    }

    /// The value of the first parameter called `name`, whatever its case, without quotes; empty if it has none.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        let value = value.unwrap_or("");
        Some(value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value))
    }

    /// Whether there is a parameter called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The text as written, from its first `;`.
    pub fn as_str(&self) -> &'a str {
        self.0
    }
}

/// What may stand in the name of a parameter.
static PARAM_NAME: [bool; 256] = octets(b"-.!%*_+`'~[]/:&$()");

fn name_and_value(part: &str) -> (&str, Option<&str>) {
    match cut(part, b'=') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (part.trim(), None),
    }
}

/// An address as From, To and Contact carry it (RFC 3261 §20.10).
#[derive(Clone, Debug)]
pub struct NameAddr<'a> {
    /// The name to show, quotes and escapes undone; empty if there is none.
    pub display: Cow<'a, str>,
    /// Where it leads.
    pub uri: Uri<'a>,
    /// Parameters of the header, not of the address.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one address, with or without angle brackets.
    ///
    /// # Errors
    ///
    /// Says in a few words what is wrong with it.
    pub fn parse(text: &'a str) -> Result<NameAddr<'a>, &'static str> {
        let text = text.trim();
        let (display, rest) = if text.starts_with('"') {
            let end = quoted_end(text).ok_or("a quoted name that does not end")?;
            let rest = text[end..].trim_start();
            if !rest.starts_with('<') {
                return Err("no < behind a quoted name");
            }
            (unquote(&text[..end]), rest)
        } else {
            match find(text, b'<') {
                Some(open) => {
                    let display = text[..open].trim();
                    if !display.split_whitespace().all(|word| word.bytes().all(is_token_octet)) {
                        return Err("a name that ought to be quoted");
                    }
                    (Cow::Borrowed(display), &text[open..])
                }
                None => {
                    let (uri, params) = text.split_at(find(text, b';').unwrap_or(text.len()));
                    let uri = uri.trim_end();
                    // RFC 3261 §20: these may only stand inside angle brackets.
                    if uri.contains([',', '?']) {
                        return Err("an address that ought to wear angle brackets");
                    }
                    return Ok(NameAddr {
                        display: Cow::Borrowed(""),
                        uri: Uri::parse(uri)?,
                        params: Params::parse(params)?,
                    });
                }
            }
        };
        let close = find(rest, b'>').ok_or("an address without its closing >")?;
        Ok(NameAddr {
            display,
            uri: Uri::parse(&rest[1..close])?,
            params: Params::parse(&rest[close + 1..])?,
        })
    }

    /// The tag (RFC 3261 §19.3).
    pub fn tag(&self) -> Option<&'a str> {
        self.params.get("tag")
    }

    /// The endpoint identifier (MS-SIPRE §2.2.1, a parameter of From and To).
    pub fn epid(&self) -> Option<&'a str> {
        self.params.get("epid")
    }
}

/// What the Contact headers of a message say together.
#[derive(Clone, Debug)]
pub enum Contacts<'a> {
    /// `*`: all bindings (RFC 3261 §10.2.2).
    All,
    /// These, possibly none.
    List(Vec<NameAddr<'a>>),
}

/// One Via value (RFC 3261 §20.42).
#[derive(Clone, Copy, Debug)]
pub struct Via<'a> {
    /// How the sender sent: `TLS`, `UDP`, … as written.
    pub transport: &'a str,
    /// Where the sender says it is, IPv6 with its brackets.
    pub host: &'a str,
    /// The port, if one is written.
    pub port: Option<u16>,
    /// Parameters.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one value.
    ///
    /// # Errors
    ///
    /// Says in a few words what is wrong with it.
    pub fn parse(text: &'a str) -> Result<Via<'a>, &'static str> {
        let (name, rest) = cut(text, b'/').ok_or("no protocol")?;
        let (version, rest) = cut(rest, b'/').ok_or("no protocol version")?;
        if !name.trim().eq_ignore_ascii_case("SIP") || version.trim() != "2.0" {
            return Err("another protocol than SIP/2.0");
        }
        let rest = rest.trim();
        let (transport, rest) =
            rest.split_at(rest.bytes().position(|b| b.is_ascii_whitespace()).ok_or("no sent-by")?);
        if !is_token(transport) {
            return Err("a transport that is no token");
        }
        let rest = rest.trim_start();
        let (sent_by, params) = rest.split_at(find(rest, b';').unwrap_or(rest.len()));
        let (host, port) = host_and_port(sent_by.trim())?;
        Ok(Via { transport, host, port, params: Params::parse(params)? })
    }

    /// The sender's address, if it gives one instead of a host name.
    pub fn host_ip(&self) -> Option<std::net::IpAddr> {
        crate::uri::host_ip(self.host)
    }

    /// The branch that names the transaction, if there is one.
    pub fn branch(&self) -> Option<&'a str> {
        self.params.get("branch").filter(|branch| !branch.is_empty())
    }

    /// Where the message really came from, as a server noted it.
    pub fn received(&self) -> Option<&'a str> {
        self.params.get("received")
    }
}

/// CSeq (RFC 3261 §20.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The number, below 2^31.
    pub number: u32,
    /// The method.
    pub method: &'a str,
}

impl<'a> CSeq<'a> {
    /// Reads a value.
    ///
    /// # Errors
    ///
    /// Says in a few words what is wrong with it.
    pub fn parse(text: &'a str) -> Result<CSeq<'a>, &'static str> {
        let mut words = text.split_ascii_whitespace();
        let (Some(number), Some(method), None) = (words.next(), words.next(), words.next()) else {
            return Err("not a number and a method");
        };
        let number = decimal(number).ok_or("no number")?;
        // RFC 3261 §8.1.1.5.
        let number = u32::try_from(number).ok().filter(|n| *n < 1 << 31).ok_or("a number of 2^31 or more")?;
        if !is_token(method) {
            return Err("a method that is no token");
        }
        Ok(CSeq { number, method })
    }
}

impl std::fmt::Display for CSeq<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// A number of digits alone; too many digits give the largest number there is.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

/// Whether `text` is a token (RFC 3261 §25.1).
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_octet)
}

pub(crate) const fn is_token_octet(b: u8) -> bool {
    TOKEN[b as usize]
}

/// Which octets may stand in a token: looked up, since every octet of a message is asked about.
static TOKEN: [bool; 256] = octets(b"-.!%*_+`'~");

/// A table of letters, digits and the octets of `others`.
pub(crate) const fn octets(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut octet = 0;
    while octet < 256 {
        table[octet] = (octet as u8).is_ascii_alphanumeric();
        octet += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}

/// Where an octet stands; for texts as short as parts of headers this is quicker than a search made for long ones.
pub(crate) fn find(text: &str, octet: u8) -> Option<usize> {
    text.bytes().position(|b| b == octet)
}

/// The parts before and behind the first such octet, which is one of ASCII.
pub(crate) fn cut(text: &str, octet: u8) -> Option<(&str, &str)> {
    let at = find(text, octet)?;
    Some((&text[..at], &text[at + 1..]))
}

/// The first element of a list that [`split_list`] takes.
pub(crate) fn first_of_list(text: &str) -> &str {
    let mut pieces = Pieces { rest: Some(text), separator: b',', skip_brackets: true };
    pieces.next().and_then(Result::ok).unwrap_or("").trim()
}

/// Splits a header value at its commas, but not inside quotes or angle brackets.
///
/// # Errors
///
/// If a quote or bracket does not end, or an element is empty.
pub fn split_list(text: &str) -> Result<Vec<&str>, &'static str> {
    Pieces { rest: Some(text), separator: b',', skip_brackets: true }
        .map(|piece| match piece.map(str::trim) {
            Ok("") => Err("an empty element in a list"),
            other => other,
        })
        .collect()
}

/// The pieces between `separator`s that stand outside quotes.
pub(crate) fn split_unquoted(text: &str, separator: u8) -> Pieces<'_> {
    Pieces { rest: Some(text), separator, skip_brackets: false }
}

/// Pieces of a text, cut on demand; after an error there are no more.
pub(crate) struct Pieces<'a> {
    rest: Option<&'a str>,
    separator: u8,
    skip_brackets: bool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<&'a str, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest.take()?;
        let octets = text.as_bytes();
        let mut at = 0;
        while at < octets.len() {
            match octets[at] {
                b'"' => match quoted_end(&text[at..]) {
                    Some(len) => at += len,
                    None => return Some(Err("a quoted string that does not end")),
                },
                b'<' if self.skip_brackets => match find(&text[at..], b'>') {
                    Some(len) => at += len + 1,
                    None => return Some(Err("a < without its >")),
                },
                b if b == self.separator => {
                    self.rest = Some(&text[at + 1..]);
                    return Some(Ok(&text[..at]));
                }
                _ => at += 1,
            }
        }
        Some(Ok(text))
    }
}

/// Where the quoted string at the start of `text` ends, behind its closing quote.
pub(crate) fn quoted_end(text: &str) -> Option<usize> {
    let octets = text.as_bytes();
    let mut at = 1;
    while at < octets.len() {
        match octets[at] {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// Takes quotes and escapes away.
pub(crate) fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Writes `text` as a quoted string.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}
