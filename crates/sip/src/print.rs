//! Writing messages: headers in the order given, Content-Length computed last, injection refused.

use bytes::Bytes;
use thiserror::Error;

use crate::message::{Message, ParseError, same_name};
use crate::value::is_token;

/// A message in the making.
///
/// Headers are printed in the order they were pushed. Content-Length is never given: it stands last, or where
/// [`Draft::content_length_here`] put it, and counts the body.
#[derive(Clone)]
pub struct Draft {
    first_line: FirstLine,
    /// Names and values, one behind the other.
    text: String,
    headers: Vec<Header>,
    length_at: Option<usize>,
    body: Bytes,
}

/// Where a header's name and value stand in a draft's text; the value begins where the name ends.
#[derive(Clone, Copy)]
struct Header {
    start: u32,
    value: u32,
    end: u32,
}

impl Header {
    /// Nobody drafts 4 GiB of headers; what comes after would be read as nothing.
    fn at(start: usize, value: usize, end: usize) -> Header {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Header { start: place(start), value: place(value), end: place(end) }
    }

    fn name(self, text: &str) -> &str {
        &text[self.start as usize..self.value as usize]
    }

    fn value(self, text: &str) -> &str {
        &text[self.value as usize..self.end as usize]
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum FirstLine {
    Request { method: String, uri: String },
    Response { status: u16, reason: String },
}

/// Why a draft cannot be printed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DraftError {
    /// A method or a header name is no token.
    #[error("`{0}` is no token")]
    NotToken(String),
    /// A value would begin another line, or holds a control character.
    #[error("a control character in {0}")]
    Control(String),
    /// The Request-URI has a blank in it or is empty.
    #[error("a blank in the Request-URI, or nothing at all")]
    RequestUri,
    /// The status is not from 100 to 699.
    #[error("{0} is no status")]
    Status(u16),
    /// The draft names a Content-Length of its own.
    #[error("a Content-Length of its own")]
    Length,
    /// What was printed is no message.
    #[error("not a message: {0}")]
    NotMessage(#[from] ParseError),
}

impl Draft {
    /// Begins a request.
    pub fn request(method: &str, uri: &str) -> Draft {
        Draft::new(FirstLine::Request { method: method.to_owned(), uri: uri.to_owned() })
    }

    /// Begins a response. [`Message::reply`] begins one that fits its request.
    pub fn response(status: u16, reason: &str) -> Draft {
        Draft::new(FirstLine::Response { status, reason: reason.to_owned() })
    }

    fn new(first_line: FirstLine) -> Draft {
        Draft {
            first_line,
            text: String::with_capacity(512),
            headers: Vec::with_capacity(16),
            length_at: None,
            body: Bytes::new(),
        }
    }

    /// Adds a header behind the others.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<str>) -> Draft {
        self.push(name, value.as_ref());
        self
    }

    /// Adds a header behind the others. Blanks around the value go: a reader would not see them either.
    pub fn push(&mut self, name: &str, value: &str) {
        let header = self.put(name, value);
        self.headers.push(header);
    }

    /// Adds a header behind the others, whose value is written piece by piece.
    pub fn push_fmt(&mut self, name: &str, value: std::fmt::Arguments<'_>) {
        use std::fmt::Write as _;
        let start = self.text.len();
        self.text.push_str(name);
        let from = self.text.len();
        // Writing to a text cannot fail.
        let _ = self.text.write_fmt(value);
        let written = &self.text[from..];
        let (before, trimmed) =
            (written.len() - written.trim_start_matches(BLANKS).len(), written.trim_matches(BLANKS));
        let (value, end) = (from + before, from + before + trimmed.len());
        if before > 0 {
            // The value begins where the name ends.
            let trimmed = trimmed.to_owned();
            self.text.truncate(from);
            self.text.push_str(&trimmed);
            return self.headers.push(Header::at(start, from, from + trimmed.len()));
        }
        self.headers.push(Header::at(start, value, end));
    }

    /// Writes a name and a value behind the others.
    fn put(&mut self, name: &str, value: &str) -> Header {
        let start = self.text.len();
        self.text.push_str(name);
        let from = self.text.len();
        self.text.push_str(value.trim_matches(BLANKS));
        Header::at(start, from, self.text.len())
    }

    fn name_of(&self, header: Header) -> &str {
        header.name(&self.text)
    }

    /// Puts `value` in place of the first header called `name` and takes the others away; adds it if there is
    /// none.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.headers.iter().position(|known| same_name(self.name_of(*known), name)) {
            Some(first) => {
                // The name stays as it was written first.
                let known = self.name_of(self.headers[first]).to_owned();
                self.headers[first] = self.put(&known, value);
                self.retain_headers(|at, known| at <= first || !same_name(known, name));
            }
            None => self.push(name, value),
        }
    }

    /// Takes away every header called `name`.
    pub fn remove(&mut self, name: &str) {
        self.retain_headers(|_, known| !same_name(known, name));
    }

    fn retain_headers(&mut self, keep: impl Fn(usize, &str) -> bool) {
        let (mut at, mut gone_before) = (0, 0);
        let length_at = self.length_at;
        let text = &self.text;
        self.headers.retain(|header| {
            let stays = keep(at, header.name(text));
            if !stays && length_at.is_some_and(|mark| at < mark) {
                gone_before += 1;
            }
            at += 1;
            stays
        });
        self.length_at = length_at.map(|mark| mark - gone_before);
    }

    /// Content-Length stands here, between the headers pushed before and after.
    #[must_use]
    pub fn content_length_here(mut self) -> Draft {
        self.length_at = Some(self.headers.len());
        self
    }

    /// Sets the body and its media type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Draft {
        self.set("Content-Type", content_type);
        self.body = body.into();
        self
    }

    /// Sets the body alone; its media type is already among the headers.
    #[must_use]
    pub fn raw_body(mut self, body: impl Into<Bytes>) -> Draft {
        self.body = body.into();
        self
    }

    /// The value of the first header called `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|known| same_name(self.name_of(**known), name));
        found.map(|header| header.value(&self.text))
    }

    /// The method, if it is a request.
    pub fn method(&self) -> Option<&str> {
        match &self.first_line {
            FirstLine::Request { method, .. } => Some(method),
            FirstLine::Response { .. } => None,
        }
    }

    /// The status, if it is a response.
    pub fn status(&self) -> Option<u16> {
        match self.first_line {
            FirstLine::Request { .. } => None,
            FirstLine::Response { status, .. } => Some(status),
        }
    }

    /// Writes the octets.
    ///
    /// # Errors
    ///
    /// If a part would not come out as what it is: no token, a line break inside, a Content-Length of its own.
    pub fn print(&self) -> Result<Bytes, DraftError> {
        let lines = self.headers.len() * 4;
        // What holds for the whole holds for each of its parts.
        let is_clean = no_control("", &self.text).is_ok();
        let mut out = Vec::with_capacity(128 + self.text.len() + lines + self.body.len());
        match &self.first_line {
            FirstLine::Request { method, uri } => {
                if !is_token(method) {
                    return Err(DraftError::NotToken(method.clone()));
                }
                if uri.is_empty() || uri.bytes().any(|b| b <= b' ' || b == 0x7f) {
                    return Err(DraftError::RequestUri);
                }
                for part in [method, " ", uri, " SIP/2.0\r\n"] {
                    out.extend_from_slice(part.as_bytes());
                }
            }
            FirstLine::Response { status, reason } => {
                if !(100..700).contains(status) {
                    return Err(DraftError::Status(*status));
                }
                no_control("the reason phrase", reason)?;
                // Three digits, as was seen above.
                let digits = [100, 10, 1].map(|unit| b'0' + (status / unit % 10) as u8);
                for part in [b"SIP/2.0 ", &digits[..], b" ", reason.as_bytes(), b"\r\n"] {
                    out.extend_from_slice(part);
                }
            }
        }
        let length = format!("Content-Length: {}\r\n", self.body.len());
        for (at, header) in self.headers.iter().enumerate() {
            let (name, value) = (header.name(&self.text), header.value(&self.text));
            if self.length_at == Some(at) {
                out.extend_from_slice(length.as_bytes());
            }
            if !is_token(name) {
                return Err(DraftError::NotToken(name.to_owned()));
            }
            if same_name(name, "Content-Length") {
                return Err(DraftError::Length);
            }
            if !is_clean {
                no_control(name, value)?;
            }
            for part in [name, ": ", value, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        if self.length_at.is_none_or(|at| at >= self.headers.len()) {
            out.extend_from_slice(length.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
        Ok(out.into())
    }

    /// Writes the octets and reads them back, so that what leaves is a message.
    ///
    /// # Errors
    ///
    /// As [`Draft::print`], or if the result is no message that [`Message::parse`] takes.
    pub fn message(&self) -> Result<Message, DraftError> {
        Ok(Message::parse(self.print()?)?)
    }
}

impl PartialEq for Draft {
    /// Whether both print the same.
    fn eq(&self, other: &Draft) -> bool {
        fn all(draft: &Draft) -> impl Iterator<Item = (&str, &str)> {
            draft.headers.iter().map(|header| (header.name(&draft.text), header.value(&draft.text)))
        }
        self.first_line == other.first_line
            && self.length_at == other.length_at
            && self.body == other.body
            && all(self).eq(all(other))
    }
}

impl Eq for Draft {}

/// What does not count around a value.
const BLANKS: [char; 2] = [' ', '\t'];

/// Refuses what would end the line early. A tab is a blank; a character behind a backslash may be anything
/// but a line end, as received quoted strings have it.
fn no_control(what: &str, value: &str) -> Result<(), DraftError> {
    match crate::message::forbidden_octet(value.as_bytes()) {
        Some(_) => Err(DraftError::Control(what.to_owned())),
        None => Ok(()),
    }
}

impl std::fmt::Debug for Draft {
    /// The first line only: headers may carry credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.first_line {
            FirstLine::Request { method, uri } => write!(f, "Draft({method} {uri})"),
            FirstLine::Response { status, reason } => write!(f, "Draft({status} {reason})"),
        }
    }
}

/// The usual reason phrase of a status (RFC 3261 §21 and later RFCs); that of its class for one without.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        423 => "Interval Too Brief",
        430 => "Flow Failed",
        439 => "First Hop Lacks Outbound Support",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => match status / 100 {
            0 | 1 => "Trying",
            2 => "OK",
            3 => "Redirected",
            4 => "Bad Request",
            5 => "Server Internal Error",
            _ => "Decline",
        },
    }
}
