//! Session descriptions (RFC 8866, RFC 4566) and the subset of them that a telephone needs.
//!
//! Reading loses nothing: every line stays, known or not, and [`Sdp::print`] gives back the octets that came. What a
//! line means is read on demand. Whatever comes from outside is bounded and gets an error, never a panic.

pub mod offer;

use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

pub use offer::{Agreed, Codec, Local, Refused};

/// The media type of a session description.
pub const MEDIA_TYPE: &str = "application/sdp";
/// The most octets of a description; real ones have a few hundred to a few thousand.
pub const OCTETS_MAX: usize = 32 * 1024;
/// The most lines.
pub const LINES_MAX: usize = 512;
/// The most media sections.
pub const MEDIA_MAX: usize = 16;
/// The most formats that one media section may offer.
pub const FORMATS_MAX: usize = 64;

/// Why a text is no session description.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SdpError {
    /// It is too large.
    #[error("more than {0}")]
    TooLarge(&'static str),
    /// A line is not a letter, `=` and a value.
    #[error("line {0} is no letter, = and value")]
    Line(usize),
    /// It does not begin with `v=0`, or lacks `o=` or `s=`.
    #[error("no {0} where one belongs")]
    Missing(&'static str),
    /// A media line cannot be read.
    #[error("a media line that cannot be read: line {0}")]
    Media(usize),
}

/// Which way media flow, from the point of view of whoever says so (RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both ways; what is meant if nothing is said.
    #[default]
    SendRecv,
    /// Only from the one who says so.
    SendOnly,
    /// Only to the one who says so.
    RecvOnly,
    /// Neither way.
    Inactive,
}

impl Direction {
    /// From whether one sends and whether one receives.
    pub fn of(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// Whether whoever says so sends.
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether whoever says so receives.
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same from the other end's point of view.
    pub fn mirrored(self) -> Direction {
        Direction::of(self.receives(), self.sends())
    }

    /// What both this and `other` allow (RFC 3264 §6.1).
    pub fn and(self, other: Direction) -> Direction {
        Direction::of(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// The attribute's name.
    pub fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    fn parse(name: &str) -> Option<Direction> {
        let all = [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive];
        all.into_iter().find(|direction| direction.name() == name)
    }
}

/// One line as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    letter: char,
    value: String,
    end: &'static str,
}

/// A session description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sdp {
    session: Vec<Line>,
    media: Vec<Media>,
}

/// A media section: its `m=` line and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    lines: Vec<Line>,
    kind: String,
    port: u16,
    protocol: String,
    formats: Vec<String>,
}

/// Who made a description and which one it is (RFC 8866 §5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The session's number, a text of digits.
    pub session: &'a str,
    /// The version; it rises by one with each change (RFC 3264 §8).
    pub version: &'a str,
}

impl Sdp {
    /// Reads a description.
    ///
    /// # Errors
    ///
    /// If it is too large, a line cannot be read, or `v=`, `o=` or `s=` is missing.
    pub fn parse(text: &str) -> Result<Sdp, SdpError> {
        if text.len() > OCTETS_MAX {
            return Err(SdpError::TooLarge("32 kB"));
        }
        let mut sdp = Sdp { session: Vec::new(), media: Vec::new() };
        for (at, whole) in text.split_inclusive('\n').enumerate() {
            if at == LINES_MAX {
                return Err(SdpError::TooLarge("512 lines"));
            }
            let (content, end) = match (whole.strip_suffix("\r\n"), whole.strip_suffix('\n')) {
                (Some(content), _) => (content, "\r\n"),
                (None, Some(content)) => (content, "\n"),
                (None, None) => (whole, ""),
            };
            let (letter, value) = content.split_once('=').ok_or(SdpError::Line(at + 1))?;
            let mut letters = letter.chars();
            let (Some(letter @ 'a'..='z'), None) = (letters.next(), letters.next()) else {
                return Err(SdpError::Line(at + 1));
            };
            if value.contains(['\0', '\r']) {
                return Err(SdpError::Line(at + 1));
            }
            let line = Line { letter, value: value.to_owned(), end };
            if letter == 'm' {
                if sdp.media.len() == MEDIA_MAX {
                    return Err(SdpError::TooLarge("16 media sections"));
                }
                sdp.media.push(Media::begin(line).ok_or(SdpError::Media(at + 1))?);
                continue;
            }
            match sdp.media.last_mut() {
                Some(media) => media.lines.push(line),
                None => sdp.session.push(line),
            }
        }
        match sdp.session.first() {
            Some(Line { letter: 'v', value, .. }) if value.trim() == "0" => {}
            _ => return Err(SdpError::Missing("v=0")),
        }
        for (letter, name) in [('o', "o="), ('s', "s=")] {
            if first(&sdp.session, letter).is_none() {
                return Err(SdpError::Missing(name));
            }
        }
        Ok(sdp)
    }

    /// The description as text: what was read comes out to the octet.
    pub fn print(&self) -> String {
        let mut out = String::new();
        for line in self.session.iter().chain(self.media.iter().flat_map(|media| &media.lines)) {
            out.push(line.letter);
            out.push('=');
            out.push_str(&line.value);
            out.push_str(line.end);
        }
        out
    }

    /// Who made it, and which version it is; `None` if that line is not as it ought to be.
    pub fn origin(&self) -> Option<Origin<'_>> {
        let mut words = first(&self.session, 'o')?.split_ascii_whitespace().skip(1);
        Some(Origin { session: words.next()?, version: words.next()? })
    }

    /// The media sections in order.
    pub fn media(&self) -> &[Media] {
        &self.media
    }

    /// Where a section's media go: its own `c=` or the session's. `None` if there is none, or it names a host or
    /// another network than the internet's.
    pub fn address(&self, media: &Media) -> Option<IpAddr> {
        address(first(&media.lines, 'c').or_else(|| first(&self.session, 'c'))?)
    }

    /// Address and port of a section.
    pub fn socket(&self, media: &Media) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.address(media)?, media.port))
    }

    /// Which way a section's media flow: its own word, the session's, or both ways. An address of 0.0.0.0 is the old
    /// way of saying that nothing may be sent there (RFC 3264 §8.4).
    pub fn direction(&self, media: &Media) -> Direction {
        let said = direction(&media.lines).or_else(|| direction(&self.session)).unwrap_or_default();
        match self.address(media) {
            Some(IpAddr::V4(address)) if address.is_unspecified() => Direction::of(said.sends(), false),
            _ => said,
        }
    }
}

impl Media {
    fn begin(line: Line) -> Option<Media> {
        let mut words = line.value.split_ascii_whitespace();
        let kind = words.next()?.to_owned();
        let port = words.next()?;
        // `49170/2` offers two ports; this end needs the first one only.
        let port = port.split_once('/').map_or(port, |(port, _)| port).parse().ok()?;
        let protocol = words.next()?.to_owned();
        let formats: Vec<String> = words.map(str::to_owned).collect();
        if formats.is_empty() || formats.len() > FORMATS_MAX {
            return None;
        }
        Some(Media { lines: vec![line], kind, port, protocol, formats })
    }

    /// What it carries: `audio`, `video`, ….
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The port; 0 refuses the section or takes it away.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The transport: `RTP/AVP`, ….
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// The formats, best first; payload types for RTP.
    pub fn formats(&self) -> &[String] {
        &self.formats
    }

    /// The value of the first attribute of that name; empty for one without a value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        attribute(&self.lines, name)
    }

    /// The encoding's name and clock rate of a payload type: by `rtpmap`, or by RFC 3551's table for the few types
    /// that a telephone knows.
    pub fn encoding(&self, payload_type: u8) -> Option<(&str, u32)> {
        let mapped = attributes(&self.lines, "rtpmap").find_map(|value| {
            let (number, rest) = value.split_once(' ')?;
            (number.parse() == Ok(payload_type)).then_some(rest.trim())
        });
        match (mapped, payload_type) {
            (Some(mapped), _) => {
                let mut parts = mapped.split('/');
                Some((parts.next()?, parts.next()?.trim().parse().ok()?))
            }
            (None, 0) => Some(("PCMU", 8000)),
            (None, 8) => Some(("PCMA", 8000)),
            (None, _) => None,
        }
    }

    /// How many milliseconds of sound one packet should carry, if it is said.
    pub fn ptime(&self) -> Option<u32> {
        self.attribute("ptime")?.trim().parse().ok()
    }
}

fn first(lines: &[Line], letter: char) -> Option<&str> {
    lines.iter().find(|line| line.letter == letter).map(|line| line.value.as_str())
}

fn attributes<'a, 'n>(lines: &'a [Line], name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
    lines.iter().filter(|line| line.letter == 'a').filter_map(move |line| {
        let (known, value) = line.value.split_once(':').unwrap_or((&line.value, ""));
        (known.trim() == name).then_some(value)
    })
}

fn attribute<'a>(lines: &'a [Line], name: &str) -> Option<&'a str> {
    attributes(lines, name).next()
}

fn direction(lines: &[Line]) -> Option<Direction> {
    lines.iter().filter(|line| line.letter == 'a').find_map(|line| Direction::parse(line.value.trim()))
}

/// `IN IP4 192.0.2.10[/ttl]`.
fn address(connection: &str) -> Option<IpAddr> {
    let mut words = connection.split_ascii_whitespace();
    let (net, kind, address) = (words.next()?, words.next()?, words.next()?);
    let address: IpAddr = address.split_once('/').map_or(address, |(address, _)| address).parse().ok()?;
    let fits = match address {
        IpAddr::V4(_) => kind == "IP4",
        IpAddr::V6(_) => kind == "IP6",
    };
    (net == "IN" && fits).then_some(address)
}
