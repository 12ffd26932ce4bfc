//! Framing: cuts a byte stream into messages and keep-alives.
//!
//! On a stream nothing but Content-Length tells where a message ends (RFC 3261 §18.3), so exactly one is wanted;
//! two that disagree are how messages get smuggled. Where the search for a head's end got to is kept between
//! reads: a head that comes octet by octet costs no more than one that comes at once. An error is final, because
//! after it nobody knows where the next message begins: close the connection.

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use crate::message::{HEADER_OCTETS_MAX, HEADERS_MAX, answer_to_head, find_empty_line, same_name};
use crate::value::decimal;

/// The longest body that a stream may carry, in octets.
pub const BODY_OCTETS_MAX: usize = 1024 * 1024;

/// What a stream carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The octets of one message, for [`crate::Message::parse`].
    Message(Bytes),
    /// CRLFCRLF between messages: the peer asks whether anybody is there (RFC 5626 §4.4.1). Answer CRLF or
    /// nothing.
    Ping,
    /// A single CRLF between messages: the answer to a ping.
    Pong,
}

/// Why a stream cannot be cut any further.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The head does not end within [`HEADER_OCTETS_MAX`].
    #[error("more than {HEADER_OCTETS_MAX} octets of headers")]
    HeadTooLong,
    /// More than [`HEADERS_MAX`] header lines.
    #[error("more than {HEADERS_MAX} headers")]
    TooManyHeaders,
    /// No Content-Length.
    #[error("no Content-Length on a stream")]
    NoLength,
    /// More than one Content-Length.
    #[error("more than one Content-Length")]
    TwoLengths,
    /// A Content-Length that is no number.
    #[error("a Content-Length that is no number")]
    BadLength,
    /// A Content-Length above [`BODY_OCTETS_MAX`].
    #[error("a body of {octets} octets, more than {BODY_OCTETS_MAX}")]
    BodyTooLong {
        /// How long the body would be.
        octets: u64,
    },
}

impl FrameError {
    /// The status that tells the sender before the connection closes.
    pub fn status(&self) -> u16 {
        match self {
            FrameError::HeadTooLong | FrameError::TooManyHeaders => 513,
            FrameError::BodyTooLong { .. } => 413,
            FrameError::NoLength | FrameError::TwoLengths | FrameError::BadLength => 400,
        }
    }
}

/// Cuts one direction of one stream.
///
/// Holds at most what was pushed and not yet taken: take every frame after each push, and it never holds more
/// than one incomplete message, which the limits bound.
#[derive(Debug)]
pub struct Framer {
    side: Side,
    buffer: BytesMut,
    /// Octets at the front of `buffer` that were searched for the end of a head.
    searched: usize,
    /// Length of head and body, once the head is whole.
    wanted: Option<usize>,
    /// Whether a message was cut off since octets last came in.
    has_cut: bool,
    failed: Option<FrameError>,
    answer: Option<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Server,
    Client,
}

impl Framer {
    /// For the end that took the connection: two CRLF are a ping, so that one alone waits for the octet behind it.
    pub fn for_server() -> Framer {
        Framer::new(Side::Server)
    }

    /// For the end that opened the connection and sends pings: each CRLF is a pong, at once.
    pub fn for_client() -> Framer {
        Framer::new(Side::Client)
    }

    fn new(side: Side) -> Framer {
        Framer {
            side,
            buffer: BytesMut::new(),
            searched: 0,
            wanted: None,
            has_cut: false,
            failed: None,
            answer: None,
        }
    }

    /// Takes in octets. After an error they are dropped.
    pub fn push(&mut self, octets: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(octets);
        }
    }

    /// Cuts off the next frame, if it is whole. An error comes once; after it there is nothing more.
    #[expect(clippy::should_implement_trait, reason = "`None` means not yet; an iterator would be over")]
    pub fn next(&mut self) -> Option<Result<Frame, FrameError>> {
        if self.failed.is_some() {
            return None;
        }
        match self.cut() {
            Ok(frame) => {
                if frame.is_none() && std::mem::take(&mut self.has_cut) {
                    // A few octets of the next message would keep the room of all the messages before it. They came
                    // with the last of those, so copying them costs no more than taking them in did.
                    self.buffer = BytesMut::from(&self.buffer[..]);
                }
                frame.map(Ok)
            }
            Err(why) => {
                self.failed = Some(why.clone());
                self.buffer = BytesMut::new();
                Some(Err(why))
            }
        }
    }

    /// After an error: the answer to send before the connection closes, if the head that failed was a request's and
    /// told enough to address one.
    pub fn answer(&self) -> Option<&Bytes> {
        self.answer.as_ref()
    }

    /// How many octets wait for the rest of their frame.
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }
}

impl Framer {
    fn cut(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.wanted.is_none() {
            if let Some(frame) = self.cut_keep_alive() {
                return Ok(Some(frame));
            }
            if self.buffer.is_empty() || b"\r\n".starts_with(&self.buffer[..self.buffer.len().min(2)]) {
                return Ok(None);
            }
            let Some(head) = self.find_head()? else { return Ok(None) };
            match body_len(&self.buffer[..head]) {
                Ok(body) => self.wanted = Some(head + body),
                Err(why) => {
                    let head = self.buffer.split_to(head).freeze();
                    self.answer = answer_to_head(head, why.status(), &why.to_string());
                    return Err(why);
                }
            }
        }
        match self.wanted {
            Some(len) if self.buffer.len() >= len => {
                self.wanted = None;
                self.searched = 0;
                self.has_cut = true;
                Ok(Some(Frame::Message(self.buffer.split_to(len).freeze())))
            }
            _ => Ok(None),
        }
    }

    fn cut_keep_alive(&mut self) -> Option<Frame> {
        if !self.buffer.starts_with(b"\r\n") {
            return None;
        }
        let (len, frame) = match (self.side, &self.buffer[2..]) {
            (Side::Client, _) => (2, Frame::Pong),
            (Side::Server, [b'\r', b'\n', ..]) => (4, Frame::Ping),
            // It may become a ping yet.
            (Side::Server, [] | [b'\r']) => return None,
            (Side::Server, _) => (2, Frame::Pong),
        };
        let _ = self.buffer.split_to(len);
        Some(frame)
    }

    /// The length of the head, once it is whole.
    fn find_head(&mut self) -> Result<Option<usize>, FrameError> {
        let window = &self.buffer[..self.buffer.len().min(HEADER_OCTETS_MAX)];
        match find_empty_line(window, self.searched) {
            Some(at) => Ok(Some(at + 4)),
            None if window.len() == HEADER_OCTETS_MAX => Err(FrameError::HeadTooLong),
            None => {
                // The last three octets may be the beginning of the empty line.
                self.searched = window.len().saturating_sub(3);
                Ok(None)
            }
        }
    }
}

/// How many octets of body follow this head.
fn body_len(head: &[u8]) -> Result<usize, FrameError> {
    let mut lines = 0;
    let mut length = None;
    for header in headers(head) {
        lines += 1;
        if lines > HEADERS_MAX {
            return Err(FrameError::TooManyHeaders);
        }
        let Some(colon) = header.iter().position(|b| *b == b':') else { continue };
        let name = std::str::from_utf8(header[..colon].trim_ascii_end()).unwrap_or("");
        if !same_name(name, "Content-Length") {
            continue;
        }
        if length.is_some() {
            return Err(FrameError::TwoLengths);
        }
        let value = std::str::from_utf8(header[colon + 1..].trim_ascii()).unwrap_or("");
        length = Some(decimal(value).ok_or(FrameError::BadLength)?);
    }
    let octets = length.ok_or(FrameError::NoLength)?;
    match usize::try_from(octets) {
        Ok(len) if len <= BODY_OCTETS_MAX => Ok(len),
        _ => Err(FrameError::BodyTooLong { octets }),
    }
}

/// The header lines of a head, each with the lines that carry it on; the first line is left out.
fn headers(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let first = find_line_end(head, 0);
    let mut rest = &head[first..];
    std::iter::from_fn(move || {
        let mut end = find_line_end(rest, 0);
        while matches!(rest.get(end), Some(b' ' | b'\t')) {
            end = find_line_end(rest, end);
        }
        let line = &rest[..end];
        rest = &rest[end..];
        (!line.trim_ascii().is_empty()).then_some(line)
    })
}

/// Where the line that begins at `from` ends, behind its CRLF.
fn find_line_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(found) = bytes[at..].iter().position(|b| *b == b'\n') {
        at += found + 1;
        if at >= 2 && bytes[at - 2] == b'\r' {
            return at;
        }
    }
    bytes.len()
}
