//! Messages: an index of header slices over the octets as they came, and views read on demand.
//!
//! A [`Message`] keeps every octet it was made from. What it promises once it exists: a start line, headers
//! within limits, and Via, From, To, Call-ID and CSeq present, single where they must be, and well formed, so
//! the views of those cannot fail. Folded lines are joined for reading, never in the octets.

mod check;
mod error;
mod index;
mod parts;
mod reply;

use std::sync::Arc;

use bytes::Bytes;

pub(crate) use error::answer_to_head;
pub use error::{Fault, ParseError};
pub use index::{HEADER_OCTETS_MAX, HEADERS_MAX, full_name, same_name};
use index::{Index, Slot};
pub(crate) use index::{find_empty_line, forbidden_octet};

use crate::uri::Uri;
use crate::value::{self, CSeq, Contacts, NameAddr, Via};

/// One SIP request or response, as it came.
#[derive(Clone)]
pub struct Message {
    bytes: Bytes,
    index: Arc<Index>,
}

/// Whether a [`Message`] asks or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A request.
    Request {
        /// The method, in its own case: methods are told apart by case.
        method: &'a str,
        /// The Request-URI as written.
        uri: &'a str,
    },
    /// A response.
    Response {
        /// The status code, 100 to 699.
        status: u16,
        /// The reason phrase as it came; may be empty.
        reason: &'a str,
    },
}

impl Message {
    /// Reads one message. A Content-Length shorter than what is there cuts the rest off (RFC 3261 §18.3); a
    /// missing one takes everything.
    ///
    /// # Errors
    ///
    /// Says what is wrong, at which octet, and which status to answer with; [`ParseError::answer`] writes that
    /// answer if there is enough left to address it.
    pub fn parse(bytes: Bytes) -> Result<Message, ParseError> {
        let leading = bytes.chunks_exact(2).take_while(|two| *two == b"\r\n").count() * 2;
        let bytes = bytes.slice(leading..);
        let (index, fault) = Index::read(&bytes)?;
        let end = index.body_start + index.body_len;
        let mut message = Message { bytes: bytes.slice(..end), index: Arc::new(index) };
        match fault.map_or_else(|| message.check(), Err) {
            Ok(parts) => {
                Arc::get_mut(&mut message.index).expect("nobody else has it yet").parts = Some(parts);
                Ok(message)
            }
            Err(why) => Err(why.answered_for(&message)),
        }
    }

    /// The octets as they came.
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether it asks or answers, and what its first line says.
    pub fn kind(&self) -> Kind<'_> {
        match &self.index.start {
            index::Start::Request { method, uri } => {
                Kind::Request { method: self.text(method), uri: self.text(uri) }
            }
            index::Start::Response { status, reason } => {
                Kind::Response { status: *status, reason: self.text(reason) }
            }
        }
    }

    /// Whether it is a request.
    pub fn is_request(&self) -> bool {
        matches!(self.index.start, index::Start::Request { .. })
    }

    /// The method: a request's own, or that of the request which a response answers.
    pub fn method(&self) -> &str {
        match self.kind() {
            Kind::Request { method, .. } => method,
            Kind::Response { .. } => self.cseq().method,
        }
    }

    /// The Request-URI of a request.
    pub fn uri(&self) -> Option<Uri<'_>> {
        match self.kind() {
            Kind::Request { uri, .. } => Some(self.parts().uri.expect(CHECKED).cut(uri)),
            Kind::Response { .. } => None,
        }
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        match self.kind() {
            Kind::Request { .. } => None,
            Kind::Response { status, .. } => Some(status),
        }
    }

    /// The reason phrase of a response.
    pub fn reason(&self) -> Option<&str> {
        match self.kind() {
            Kind::Request { .. } => None,
            Kind::Response { reason, .. } => Some(reason),
        }
    }

    /// The value of the first header called `name`; case and compact forms do not matter, folds are joined.
    pub fn header(&self, name: &str) -> Option<&str> {
        let name = index::Name::of(name);
        let slot = self.index.slots.iter().find(|slot| name.matches(slot, &self.bytes))?;
        Some(self.value(slot))
    }

    /// The values of all headers called `name`, one for each line, in order.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        let name = index::Name::of(name);
        self.index
            .slots
            .iter()
            .filter(move |slot| name.matches(slot, &self.bytes))
            .map(|slot| self.value(slot))
    }

    /// Every header in order: its name as written, its value with folds joined.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.index.slots.iter().map(|slot| (self.text(&slot.name), self.value(slot)))
    }

    /// The values of a header that is a comma list, over all its lines (RFC 3261 §7.3.1).
    ///
    /// # Errors
    ///
    /// If a list has an empty element, or a quote or bracket that does not end.
    pub fn list(&self, name: &str) -> Result<Vec<&str>, ParseError> {
        let name = index::Name::of(name);
        let mut all = Vec::new();
        for slot in self.index.slots.iter().filter(|slot| name.matches(slot, &self.bytes)) {
            let parts = value::split_list(self.value(slot)).map_err(|why| self.malformed(slot, why))?;
            all.extend(parts);
        }
        Ok(all)
    }

    /// Whether the comma list `name` (Supported, Require, Allow, …) names `token`, whatever its case.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.headers(name).any(|line| line.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
    }

    /// The body; empty if there is none.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(self.index.body_start..)
    }

    /// The body as text, if it is UTF-8.
    pub fn body_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes[self.index.body_start..]).ok()
    }

    /// The topmost Via.
    pub fn via(&self) -> Via<'_> {
        let via = self.parts().via;
        via.at.cut(self.value_of(via.slot))
    }

    /// All Via values as written, topmost first.
    pub fn via_values(&self) -> impl Iterator<Item = &str> {
        let lines = self.slots("Via").map(|slot| self.value(slot));
        lines.flat_map(|line| value::pieces_of_list(line).filter_map(Result::ok))
    }

    /// All Via values, topmost first.
    pub fn vias(&self) -> Vec<Via<'_>> {
        self.via_values().map(|value| Via::parse(value).expect(CHECKED)).collect()
    }

    /// Who it is from.
    pub fn from(&self) -> NameAddr<'_> {
        let from = self.parts().from;
        from.at.cut(self.value_of(from.slot))
    }

    /// Whom it is to.
    pub fn to(&self) -> NameAddr<'_> {
        let to = self.parts().to;
        to.at.cut(self.value_of(to.slot))
    }

    /// Its place in the order of requests.
    pub fn cseq(&self) -> CSeq<'_> {
        let cseq = self.parts().cseq;
        cseq.at.cut(self.value_of(cseq.slot))
    }

    /// Its Call-ID.
    pub fn call_id(&self) -> &str {
        self.value_of(self.parts().call_id)
    }

    /// What its Contact headers say.
    ///
    /// # Errors
    ///
    /// If one cannot be read, or `*` stands beside others. In a request that was checked on arrival; a response
    /// is taken without.
    pub fn contacts(&self) -> Result<Contacts<'_>, ParseError> {
        match self.parts().contact {
            Some(one) => Ok(Contacts::List(vec![one.at.cut(self.value_of(one.slot))])),
            None => self.read_contacts(),
        }
    }

    fn read_contacts(&self) -> Result<Contacts<'_>, ParseError> {
        let mut list = Vec::new();
        let mut has_star = false;
        let mut last = None;
        for slot in self.slots("Contact") {
            last = Some(slot);
            let values = value::split_list(self.value(slot)).map_err(|why| self.malformed(slot, why))?;
            for text in values {
                if text == "*" {
                    has_star = true;
                } else {
                    list.push(NameAddr::parse(text).map_err(|why| self.malformed(slot, why))?);
                }
            }
        }
        match last {
            Some(slot) if has_star && !list.is_empty() => Err(self.malformed(slot, "a * beside addresses")),
            _ if has_star => Ok(Contacts::All),
            _ => Ok(Contacts::List(list)),
        }
    }

    /// Seconds in the Expires header; `None` if it is absent. More than 2^32-1 counts as that (RFC 3261 §20.19).
    pub fn expires(&self) -> Option<u32> {
        let number = value::decimal(self.header("Expires")?)?;
        Some(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// How many hops are left, if the message says.
    pub fn max_forwards(&self) -> Option<u8> {
        u8::try_from(value::decimal(self.header("Max-Forwards")?)?).ok()
    }

    /// The length of the body that the message names, if it does.
    pub fn content_length(&self) -> Option<usize> {
        self.index.content_length
    }

    /// The media type of the body as written, parameters included.
    pub fn content_type(&self) -> Option<&str> {
        self.header("Content-Type")
    }

    /// Whether the body is of this media type (`application/sdp`), whatever the parameters and case.
    pub fn is_content(&self, media_type: &str) -> bool {
        self.content_type().is_some_and(|value| {
            let (essence, _) = value.split_once(';').unwrap_or((value, ""));
            let essence: String = essence.split_whitespace().collect();
            essence.eq_ignore_ascii_case(media_type)
        })
    }

    fn top_via(&self) -> &str {
        let via = self.parts().via;
        via.at.whole(self.value_of(via.slot))
    }

    fn parts(&self) -> &parts::Parts {
        self.index.parts.as_ref().expect(CHECKED)
    }

    fn value_of(&self, slot: u16) -> &str {
        self.value(&self.index.slots[usize::from(slot)])
    }

    /// The lines of a header with their places among all.
    fn places<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (u16, &'a Slot)> + use<'a> {
        let name = index::Name::of(name);
        (0..).zip(&self.index.slots).filter(move |(_, slot)| name.matches(slot, &self.bytes))
    }

    fn slots<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Slot> + use<'a> {
        let name = index::Name::of(name);
        self.index.slots.iter().filter(move |slot| name.matches(slot, &self.bytes))
    }

    fn text(&self, range: &index::Range) -> &str {
        // Ranges are cut at ASCII octets.
        &self.index.head[range.as_usize()]
    }

    fn value<'a>(&'a self, slot: &'a Slot) -> &'a str {
        match &slot.joined {
            Some(joined) => joined,
            None => self.text(&slot.value),
        }
    }

    fn malformed(&self, slot: &Slot, why: &'static str) -> ParseError {
        let name = self.text(&slot.name).to_owned();
        ParseError::new(Fault::Malformed { name, why }, slot.value.start as usize)
    }
}

impl PartialEq for Message {
    /// Whether both have the same octets.
    fn eq(&self, other: &Message) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Message {}

const CHECKED: &str = "checked when the message was read";

impl std::fmt::Debug for Message {
    /// The first line only: headers may carry credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind() {
            Kind::Request { method, uri } => write!(f, "Message({method} {uri})"),
            Kind::Response { status, reason } => write!(f, "Message({status} {reason})"),
        }
    }
}
