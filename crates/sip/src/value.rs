//! Structured header values: addresses with their tags, Via, CSeq, parameters, comma lists.
//!
//! Everything here borrows text in which folded lines are already joined.

use std::borrow::Cow;

use crate::uri::{Uri, UriAt, host_and_port};

/// Where a part of a text stands in it. No text that is read is as long as 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    start: u32,
    end: u32,
}

impl Place {
    /// Where `part`, which was cut from `text`, stands in it. What is empty stands at its start.
    pub(crate) fn of(part: &str, text: &str) -> Place {
        let start = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
        match start.checked_add(part.len()) {
            Some(end) if !part.is_empty() && end <= text.len() => {
                Place { start: start as u32, end: end as u32 }
            }
            _ => Place::default(),
        }
    }

    /// From here to there; both are where characters begin.
    pub(crate) fn at(start: usize, end: usize) -> Place {
        Place { start: start as u32, end: end as u32 }
    }

    /// Cuts the part from the text again.
    pub(crate) fn cut(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
}

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

    /// Parameters that were checked before.
    pub(crate) fn checked(text: &'a str) -> Params<'a> {
        Params(text)
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

/// A [`NameAddr`] as places in the text that it was read from.
#[derive(Clone, Copy)]
pub(crate) struct NameAddrAt {
    /// As written, quotes and all.
    display: Place,
    uri_text: Place,
    uri: UriAt,
    params: Place,
}

impl NameAddrAt {
    /// Reads one address, as [`NameAddr::parse`] does.
    pub(crate) fn read(text: &str) -> Result<NameAddrAt, &'static str> {
        let (display, uri, params) = name_addr(text)?;
        Ok(NameAddrAt {
            display: Place::of(display, text),
            uri_text: Place::of(uri.as_str(), text),
            uri: UriAt::of(&uri),
            params: Place::of(params.0, text),
        })
    }

    /// The address in the text that it was read from.
    pub(crate) fn cut(self, text: &str) -> NameAddr<'_> {
        NameAddr {
            display: unquote(self.display.cut(text)),
            uri: self.uri.cut(self.uri_text.cut(text)),
            params: Params(self.params.cut(text)),
        }
    }
}

/// The parts of one address: the name as written, the address, the parameters.
fn name_addr(text: &str) -> Result<(&str, Uri<'_>, Params<'_>), &'static str> {
    let text = text.trim();
    let (display, rest) = if text.starts_with('"') {
        let end = quoted_end(text).ok_or("a quoted name that does not end")?;
        let rest = text[end..].trim_start();
        if !rest.starts_with('<') {
            return Err("no < behind a quoted name");
        }
        (&text[..end], rest)
    } else {
        match find(text, b'<') {
            Some(open) => {
                let display = text[..open].trim();
                if !display.split_whitespace().all(|word| word.bytes().all(is_token_octet)) {
                    return Err("a name that ought to be quoted");
                }
                (display, &text[open..])
            }
            None => {
                let (uri, params) = text.split_at(find(text, b';').unwrap_or(text.len()));
                let uri = uri.trim_end();
                // RFC 3261 §20: these may only stand inside angle brackets.
                if uri.contains([',', '?']) {
                    return Err("an address that ought to wear angle brackets");
                }
                return Ok(("", Uri::parse(uri)?, Params::parse(params)?));
            }
        }
    };
    let close = find(rest, b'>').ok_or("an address without its closing >")?;
    Ok((display, Uri::parse(&rest[1..close])?, Params::parse(&rest[close + 1..])?))
}

impl<'a> NameAddr<'a> {
    /// Reads one address, with or without angle brackets.
    ///
    /// # Errors
    ///
    /// Says in a few words what is wrong with it.
    pub fn parse(text: &'a str) -> Result<NameAddr<'a>, &'static str> {
        let (display, uri, params) = name_addr(text)?;
        Ok(NameAddr { display: unquote(display), uri, params })
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

/// A [`Via`] as places in the text that it was read from.
#[derive(Clone, Copy)]
pub(crate) struct ViaAt {
    transport: Place,
    host: Place,
    port: Option<u16>,
    params: Place,
    /// The whole of it: there may be others behind it in its line.
    whole: Place,
}

impl ViaAt {
    /// Where one value stands that was cut from the value of a line.
    pub(crate) fn of(whole: &str, via: &Via<'_>, line: &str) -> ViaAt {
        ViaAt {
            transport: Place::of(via.transport, line),
            host: Place::of(via.host, line),
            port: via.port,
            params: Place::of(via.params.0, line),
            whole: Place::of(whole, line),
        }
    }

    /// The value in the line that it was read from.
    pub(crate) fn cut(self, line: &str) -> Via<'_> {
        Via {
            transport: self.transport.cut(line),
            host: self.host.cut(line),
            port: self.port,
            params: Params(self.params.cut(line)),
        }
    }

    /// The same as written.
    pub(crate) fn whole(self, line: &str) -> &str {
        self.whole.cut(line)
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

/// A [`CSeq`] as a place in the text that it was read from.
#[derive(Clone, Copy)]
pub(crate) struct CSeqAt {
    number: u32,
    method: Place,
}

impl CSeqAt {
    /// Reads a value, as [`CSeq::parse`] does.
    pub(crate) fn read(text: &str) -> Result<CSeqAt, &'static str> {
        let CSeq { number, method } = CSeq::parse(text)?;
        Ok(CSeqAt { number, method: Place::of(method, text) })
    }

    /// The value in the text that it was read from.
    pub(crate) fn cut(self, text: &str) -> CSeq<'_> {
        CSeq { number: self.number, method: self.method.cut(text) }
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
    pieces_of_list(text).collect()
}

/// The elements that [`split_list`] collects, one by one.
pub(crate) fn pieces_of_list(text: &str) -> impl Iterator<Item = Result<&str, &'static str>> {
    Pieces { rest: Some(text), separator: b',', skip_brackets: true }.map(|piece| {
        match piece.map(str::trim) {
            Ok("") => Err("an empty element in a list"),
            other => other,
        }
    })
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

/// A text that is written as a quoted string.
pub(crate) struct Quoted<'a>(pub &'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write as _;
        f.write_char('"')?;
        for piece in self.0.split_inclusive(['"', '\\']) {
            // Each ends with what wants a backslash, but for the last.
            match piece.strip_suffix(['"', '\\']) {
                Some(before) => write!(f, "{before}\\{}", &piece[before.len()..])?,
                None => f.write_str(piece)?,
            }
        }
        f.write_char('"')
    }
}

/// Writes `text` as a quoted string.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote_into(&mut out, text);
    out
}

/// Writes `text` as a quoted string behind what is there.
pub(crate) fn quote_into(out: &mut String, text: &str) {
    use std::fmt::Write as _;
    // Writing to a text cannot fail.
    let _ = write!(out, "{}", Quoted(text));
}
