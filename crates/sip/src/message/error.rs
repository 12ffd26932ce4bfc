//! Why octets are no message, and how to say so to the sender.

use bytes::Bytes;
use thiserror::Error;

use super::{Message, index};
use crate::print::{Draft, reason_phrase};

/// What is wrong with octets that should have been a message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The first line is neither a request line nor a status line.
    #[error("bad first line: {0}")]
    StartLine(&'static str),
    /// The first line names another version than SIP/2.0.
    #[error("another version than SIP/2.0")]
    Version,
    /// The Request-URI cannot be read.
    #[error("bad Request-URI: {0}")]
    RequestUri(&'static str),
    /// A header line cannot be read.
    #[error("bad header line: {0}")]
    HeaderLine(&'static str),
    /// The head is no UTF-8 text (RFC 3261 §7).
    #[error("a head that is not UTF-8")]
    NotUtf8,
    /// The head has no end.
    #[error("no empty line behind the headers")]
    NoEnd,
    /// The head is longer than [`super::HEADER_OCTETS_MAX`].
    #[error("more than {max} octets of headers", max = index::HEADER_OCTETS_MAX)]
    TooLong,
    /// There are more headers than [`super::HEADERS_MAX`].
    #[error("more than {max} headers", max = index::HEADERS_MAX)]
    TooMany,
    /// A header that must be there is not.
    #[error("no {0} header")]
    Missing(&'static str),
    /// A header that may be there once is there twice.
    #[error("more than one {0} header")]
    Repeated(&'static str),
    /// A header's value cannot be read.
    #[error("bad {name} header: {why}")]
    Malformed {
        /// The header, as written.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The CSeq names another method than the first line.
    #[error("the CSeq names another method")]
    MethodMismatch,
    /// Fewer octets follow the head than Content-Length promises.
    #[error("a body of {there} octets where Content-Length says {wanted}")]
    BodyShort {
        /// How many the header promises.
        wanted: usize,
        /// How many there are.
        there: usize,
    },
}

/// Octets refused as a message: why, where, and what to answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{fault} (at octet {at})")]
pub struct ParseError {
    /// What is wrong.
    pub fault: Fault,
    /// The octet at which it shows, counted from 0.
    pub at: usize,
    answer: Option<Bytes>,
}

impl ParseError {
    pub(crate) fn new(fault: Fault, at: usize) -> ParseError {
        ParseError { fault, at, answer: None }
    }

    /// The status that a request like this deserves.
    pub fn status(&self) -> u16 {
        match self.fault {
            Fault::Version => 505,
            Fault::TooLong | Fault::TooMany => 513,
            _ => 400,
        }
    }

    /// The answer to send back, if it was a request other than ACK with enough headers to address an answer.
    pub fn answer(&self) -> Option<&Bytes> {
        self.answer.as_ref()
    }

    /// Writes the answer from what can be read of `message`, which failed its check.
    pub(super) fn answered_for(mut self, message: &Message) -> ParseError {
        self.answer = answer(message, self.status(), &self.fault.to_string());
        self
    }
}

/// The answer to a head of which no message can be made: `why` says what is wrong with it.
pub(crate) fn answer_to_head(head: Bytes, status: u16, why: &str) -> Option<Bytes> {
    let (index, _) = index::Index::read(&head).ok()?;
    answer(&Message { bytes: head, index: index.into() }, status, why)
}

/// Refuses a request other than ACK, if it can be addressed.
fn answer(message: &Message, status: u16, why: &str) -> Option<Bytes> {
    let super::Kind::Request { method, .. } = message.kind() else { return None };
    if method == "ACK" || message.header("Via").is_none() {
        return None;
    }
    let phrase = reason_phrase(status);
    let reason = if status == 400 { format!("{phrase} ({why})") } else { phrase.to_owned() };
    let mut draft = Draft::response(status, &reason);
    for (name, value) in message.all_headers() {
        let name = super::full_name(name);
        if matches!(name, "Via" | "From" | "To" | "Call-ID" | "CSeq") {
            draft.push(name, value);
        }
    }
    draft.print().ok()
}
