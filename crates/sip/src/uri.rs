//! Addresses: `sip:`, `sips:` and `tel:` read into their parts; any other scheme keeps its text.
//!
//! A [`Uri`] borrows the text it was read from and never changes it: signatures cover the exact octets.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use crate::value::{Params, Place, cut, find, octets};

/// Which kind of address a [`Uri`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:` (RFC 3261 §19.1).
    Sip,
    /// `sips:` (RFC 3261 §19.1).
    Sips,
    /// `tel:` (RFC 3966).
    Tel,
    /// Anything else; a server that is asked for one answers 416.
    Other,
}

/// One address, read. Two are compared by [`Uri::same_as`], never by their text.
#[derive(Clone, Copy, Debug)]
pub struct Uri<'a> {
    text: &'a str,
    /// Which kind of address it is.
    pub scheme: Scheme,
    /// The user part as written, escapes and all; the number of a `tel:` address.
    pub user: Option<&'a str>,
    /// The password, which nobody should use (RFC 3261 §19.1.1).
    pub password: Option<&'a str>,
    /// The host as written, IPv6 with its brackets; empty where the scheme has none.
    pub host: &'a str,
    /// The port, if one is written.
    pub port: Option<u16>,
    /// Parameters behind `;`.
    pub params: Params<'a>,
    /// What stands behind `?`, as written.
    pub headers: Option<&'a str>,
}

/// A [`Uri`] as places in its own text.
#[derive(Clone, Copy)]
pub(crate) struct UriAt {
    scheme: Scheme,
    user: Option<Place>,
    password: Option<Place>,
    host: Place,
    port: Option<u16>,
    params: Place,
    headers: Option<Place>,
}

impl UriAt {
    /// Where the parts of an address stand.
    pub(crate) fn of(uri: &Uri<'_>) -> UriAt {
        let place = |part: &str| Place::of(part, uri.text);
        UriAt {
            scheme: uri.scheme,
            user: uri.user.map(place),
            password: uri.password.map(place),
            host: place(uri.host),
            port: uri.port,
            params: place(uri.params.as_str()),
            headers: uri.headers.map(place),
        }
    }

    /// The address in its text.
    pub(crate) fn cut(self, text: &str) -> Uri<'_> {
        Uri {
            text,
            scheme: self.scheme,
            user: self.user.map(|part| part.cut(text)),
            password: self.password.map(|part| part.cut(text)),
            host: self.host.cut(text),
            port: self.port,
            params: Params::checked(self.params.cut(text)),
            headers: self.headers.map(|part| part.cut(text)),
        }
    }
}

impl<'a> Uri<'a> {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// Says in a few words what is wrong with it.
    pub fn parse(text: &'a str) -> Result<Uri<'a>, &'static str> {
        let (scheme, rest) = cut(text, b':').ok_or("an address without a scheme")?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if !is_scheme {
            return Err("an address without a scheme");
        }
        if rest.is_empty() {
            return Err("an address with nothing behind its scheme");
        }
        let there = rest.bytes().fold(0, |all, b| all | SIGNS[usize::from(b)]);
        if there & FORBIDDEN != 0 {
            let is_forbidden = |b: &u8| SIGNS[usize::from(*b)] & FORBIDDEN != 0;
            return Err(match rest.bytes().find(is_forbidden) {
                Some(b' ') => "a blank in an address",
                _ => "a forbidden octet in an address",
            });
        }
        if there & PERCENT != 0 && !escapes_are_whole(rest) {
            return Err("a % that no two hexadecimal digits follow");
        }
        let scheme = [("sip", Scheme::Sip), ("sips", Scheme::Sips), ("tel", Scheme::Tel)]
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(scheme))
            .map_or(Scheme::Other, |(_, known)| known);
        let empty = Uri {
            text,
            scheme,
            user: None,
            password: None,
            host: "",
            port: None,
            params: Params::EMPTY,
            headers: None,
        };
        match scheme {
            Scheme::Other => Ok(empty),
            Scheme::Tel => {
                let (number, params) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
                let is_number = number.bytes().any(|b| b.is_ascii_hexdigit() || matches!(b, b'*' | b'#'))
                    && number.bytes().all(|b| {
                        b.is_ascii_hexdigit() || matches!(b, b'+' | b'-' | b'.' | b'(' | b')' | b'*' | b'#')
                    });
                if !is_number {
                    return Err("a telephone number with other signs than digits");
                }
                Ok(Uri { user: Some(number), params: Params::parse(params)?, ..empty })
            }
            Scheme::Sip | Scheme::Sips => Uri::parse_sip(empty, rest, there),
        }
    }

    /// `there` says which of the [`SIGNS`] are in `rest` at all: most are in few addresses, and need not be looked for.
    fn parse_sip(empty: Uri<'a>, rest: &'a str, there: u8) -> Result<Uri<'a>, &'static str> {
        let cut_if = |sign: u8, text: &'a str, octet: u8| {
            if there & sign == 0 { None } else { cut(text, octet) }
        };
        // Neither parameters nor headers may hold an `@`, so the first one ends the user part even if that
        // part holds `;` or `?` (RFC 3261 §25.1).
        let (userinfo, rest) = match cut_if(AT, rest, b'@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        if userinfo.is_some() && find(rest, b'@').is_some() {
            return Err("a second @ in an address");
        }
        let (user, password) = match userinfo {
            Some(info) => match cut(info, b':') {
                Some((user, password)) => (Some(user), Some(password)),
                None => (Some(info), None),
            },
            None => (None, None),
        };
        if let Some(user) = user {
            // `#` is not in the grammar; star codes such as `*55#` are dialled by real phones.
            if user.is_empty() || !user.bytes().all(|b| USER[usize::from(b)]) {
                return Err("a user part with forbidden octets or none at all");
            }
        }
        if password.is_some_and(|p| !p.bytes().all(|b| PASSWORD[usize::from(b)])) {
            return Err("a password with forbidden octets");
        }
        let (rest, headers) = match cut_if(QUESTION, rest, b'?') {
            Some((rest, headers)) => (rest, Some(headers)),
            None => (rest, None),
        };
        let (hostport, params) = rest.split_at(find(rest, b';').unwrap_or(rest.len()));
        let (host, port) = host_and_port(hostport)?;
        if there & COMMA != 0 && params.bytes().any(|b| b == b',') {
            return Err("a comma in an address's parameters");
        }
        Ok(Uri { user, password, host, port, params: Params::parse(params)?, headers, ..empty })
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// Whether it is `sip:` or `sips:`.
    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// The user part without its escapes; `None` if there is none or it is no UTF-8 text.
    pub fn user_name(&self) -> Option<Cow<'a, str>> {
        unescape(self.user?)
    }

    /// The host as an address, if it is one.
    pub fn host_ip(&self) -> Option<IpAddr> {
        host_ip(self.host)
    }

    /// Who it is, without how to get there: `alice@contoso.example`, the host in lower case, escapes undone.
    /// `None` for anything but a SIP address with a user.
    pub fn user_at_host(&self) -> Option<String> {
        if !self.is_sip() {
            return None;
        }
        Some(format!("{}@{}", self.user_name()?, self.host.to_ascii_lowercase()))
    }

    /// Whether two addresses mean the same (RFC 3261 §19.1.4): scheme and host whatever their case, user and
    /// password to the letter, parameters by their rules.
    pub fn same_as(&self, other: &Uri<'_>) -> bool {
        if self.scheme == Scheme::Other || self.scheme != other.scheme {
            return self.scheme == other.scheme && self.text == other.text;
        }
        let same_text = |a: Option<&str>, b: Option<&str>| match (a, b) {
            (None, None) => true,
            (Some(a), Some(b)) => unescape_octets(a) == unescape_octets(b),
            _ => false,
        };
        same_text(self.user, other.user)
            && same_text(self.password, other.password)
            && self.host.eq_ignore_ascii_case(other.host)
            && self.port == other.port
            && same_params(&self.params, &other.params)
            && same_params(&other.params, &self.params)
            && same_headers(self.headers, other.headers)
    }
}

/// A parameter that only one side has is ignored, unless it is one of those that change the meaning.
fn same_params(mine: &Params<'_>, other: &Params<'_>) -> bool {
    const MUST_MATCH: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];
    mine.iter().all(|(name, value)| match other.get(name) {
        Some(theirs) => {
            let fold = |text: &str| unescape_octets(text).to_ascii_lowercase();
            fold(value.unwrap_or("")) == fold(theirs)
        }
        None => !MUST_MATCH.iter().any(|must| name.eq_ignore_ascii_case(must)),
    })
}

fn same_headers(a: Option<&str>, b: Option<&str>) -> bool {
    let sorted = |text: Option<&str>| {
        let mut all: Vec<Vec<u8>> =
            text.unwrap_or("").split('&').map(|part| unescape_octets(part).to_ascii_lowercase()).collect();
        all.sort();
        all
    };
    sorted(a) == sorted(b)
}

impl std::fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.text)
    }
}

/// Splits `host[:port]`, where an IPv6 host wears brackets.
pub(crate) fn host_and_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = if text.starts_with('[') {
        let end = text.find(']').ok_or("an IPv6 address without its closing bracket")? + 1;
        let (host, rest) = text.split_at(end);
        let rest = rest.trim_start();
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err("text behind an IPv6 address"),
        }
    } else {
        match cut(text, b':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let host = host.trim_end();
    let is_host = if host.starts_with('[') {
        host_ip(host).is_some()
    } else {
        // `_` is not in the grammar but in many a real host name.
        !host.is_empty() && host.bytes().all(|b| HOST[usize::from(b)])
    };
    if !is_host {
        return Err("no host name or address where one belongs");
    }
    let port = match port.map(str::trim) {
        None => None,
        Some(digits) => {
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let port = is_number.then(|| digits.parse::<u16>().ok()).flatten();
            Some(port.ok_or("a port that is no number from 0 to 65535")?)
        }
    };
    Ok((host, port))
}

/// Reads a host as an address: IPv4, or IPv6 in brackets.
pub(crate) fn host_ip(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        // The grammar of RFC 3261 lets `:::` stand before an embedded IPv4 address (RFC 5118 §4.10).
        Some(v6) => v6.replacen(":::", "::", 1).parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

/// What an address may not hold at all.
const FORBIDDEN: u8 = 1;
const PERCENT: u8 = 2;
const AT: u8 = 4;
const QUESTION: u8 = 8;
const COMMA: u8 = 16;

/// What octets are to an address, so that one look over it tells what must be looked for.
static SIGNS: [u8; 256] = {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        table[octet] = match octet as u8 {
            0..=b' ' | 0x7f..=0xff | b'<' | b'>' | b'"' => FORBIDDEN,
            b'%' => PERCENT,
            b'@' => AT,
            b'?' => QUESTION,
            b',' => COMMA,
            _ => 0,
        };
        octet += 1;
    }
    table
};

/// What may stand in a user part, in a password, in a host name.
static USER: [bool; 256] = octets(b"-_.!~*'()%&=+$,;?/#");
static PASSWORD: [bool; 256] = octets(b"-_.!~*'()%&=+$,");
static HOST: [bool; 256] = octets(b"-._");

fn escapes_are_whole(text: &str) -> bool {
    let octets = text.as_bytes();
    if !octets.contains(&b'%') {
        return true;
    }
    octets.iter().enumerate().all(|(at, b)| {
        *b != b'%' || octets.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    })
}

fn unescape_octets(text: &str) -> Vec<u8> {
    let octets = text.as_bytes();
    let mut out = Vec::with_capacity(octets.len());
    let mut at = 0;
    while at < octets.len() {
        let escape = (octets[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match escape {
            Some(octet) => {
                out.push(octet);
                at += 3;
            }
            None => {
                out.push(octets[at]);
                at += 1;
            }
        }
    }
    out
}

fn unescape(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('%') {
        String::from_utf8(unescape_octets(text)).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(text))
    }
}
