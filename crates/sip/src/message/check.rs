//! What a message must be before anybody looks at its meaning.
//!
//! Via, From, To, Call-ID and CSeq are judged in every message, so that their views cannot fail later. The rest is
//! judged in requests alone: a response with an odd Contact is still worth reading.

use super::{Fault, Kind, Message, ParseError, index};
use crate::uri::Uri;
use crate::value::{self, CSeq, NameAddr, Via};

impl Message {
    /// What RFC 3261 wants of every message before anybody looks at its meaning.
    pub(super) fn check(&self) -> Result<(), ParseError> {
        if let index::Start::Request { uri, .. } = &self.index.start {
            let parsed = Uri::parse(self.text(uri))
                .map_err(|why| ParseError::new(Fault::RequestUri(why), uri.start as usize))?;
            // RFC 3261 §19.1.1: headers have no place in a Request-URI.
            if parsed.headers.is_some() {
                return Err(ParseError::new(Fault::RequestUri("headers in it"), uri.start as usize));
            }
        }
        self.check_list("Via", |text| Via::parse(text).map(drop))?;
        self.check_one("From", |text| NameAddr::parse(text).map(drop))?;
        self.check_one("To", |text| NameAddr::parse(text).map(drop))?;
        self.check_one("Call-ID", |text| {
            let is_word = !text.is_empty() && !text.contains([' ', '\t', ',', ';']);
            is_word.then_some(()).ok_or("not one word")
        })?;
        self.check_one("CSeq", |text| CSeq::parse(text).map(drop))?;
        if let Kind::Request { method, .. } = self.kind() {
            self.check_request(method)?;
        }
        Ok(())
    }

    fn check_request(&self, method: &str) -> Result<(), ParseError> {
        if self.cseq().method != method {
            let at = self.slots("CSeq").next().map_or(0, |slot| slot.value.start as usize);
            return Err(ParseError::new(Fault::MethodMismatch, at));
        }
        self.check_optional("Max-Forwards", |text| {
            value::decimal(text).filter(|hops| *hops <= 255).map(drop).ok_or("not a number from 0 to 255")
        })?;
        self.check_optional("Expires", |text| {
            value::decimal(text).map(drop).ok_or("not a number of seconds")
        })?;
        self.check_optional("Content-Type", |text| {
            let essence = text.split(';').next().unwrap_or("");
            let is_type = essence
                .split_once('/')
                .is_some_and(|(kind, of)| value::is_token(kind.trim()) && value::is_token(of.trim()));
            is_type.then_some(()).ok_or("not a media type")
        })?;
        self.contacts()?;
        for name in ["Route", "Record-Route"] {
            for slot in self.slots(name) {
                let values = value::split_list(self.value(slot)).map_err(|why| self.malformed(slot, why))?;
                for text in values {
                    NameAddr::parse(text).map_err(|why| self.malformed(slot, why))?;
                }
            }
        }
        Ok(())
    }

    fn check_list(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Result<(), &'static str>,
    ) -> Result<(), ParseError> {
        let mut is_there = false;
        for slot in self.slots(name) {
            is_there = true;
            let values = value::split_list(self.value(slot)).map_err(|why| self.malformed(slot, why))?;
            for text in values {
                read(text).map_err(|why| self.malformed(slot, why))?;
            }
        }
        if is_there { Ok(()) } else { Err(ParseError::new(Fault::Missing(name), self.index.body_start)) }
    }

    fn check_one(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Result<(), &'static str>,
    ) -> Result<(), ParseError> {
        if self.slots(name).next().is_none() {
            return Err(ParseError::new(Fault::Missing(name), self.index.body_start));
        }
        self.check_optional(name, read)
    }

    fn check_optional(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Result<(), &'static str>,
    ) -> Result<(), ParseError> {
        let mut slots = self.slots(name);
        let Some(slot) = slots.next() else { return Ok(()) };
        read(self.value(slot)).map_err(|why| self.malformed(slot, why))?;
        match slots.next() {
            Some(second) => Err(ParseError::new(Fault::Repeated(name), second.name.start as usize)),
            None => Ok(()),
        }
    }
}
