//! What a message must be before anybody looks at its meaning.
//!
//! Via, From, To, Call-ID and CSeq are judged in every message, so that their views cannot fail later. The rest is
//! judged in requests alone: a response with an odd Contact is still worth reading.

use super::parts::{In, Parts};
use super::{Fault, Kind, Message, ParseError, index};
use crate::uri::{Uri, UriAt};
use crate::value::{self, CSeqAt, Contacts, NameAddr, NameAddrAt, Via, ViaAt};

impl Message {
    /// What RFC 3261 wants of every message before anybody looks at its meaning. Returns where its parts stand.
    pub(super) fn check(&self) -> Result<Parts, ParseError> {
        let mut own = None;
        if let index::Start::Request { uri, .. } = &self.index.start {
            let parsed = Uri::parse(self.text(uri))
                .map_err(|why| ParseError::new(Fault::RequestUri(why), uri.start as usize))?;
            // RFC 3261 §19.1.1: headers have no place in a Request-URI.
            if parsed.headers.is_some() {
                return Err(ParseError::new(Fault::RequestUri("headers in it"), uri.start as usize));
            }
            own = Some(UriAt::of(&parsed));
        }
        let mut parts = Parts {
            uri: own,
            via: self.check_vias()?,
            from: self.check_one("From", NameAddrAt::read)?,
            to: self.check_one("To", NameAddrAt::read)?,
            call_id: self
                .check_one("Call-ID", |text| {
                    let is_word = !text.is_empty() && !text.contains([' ', '\t', ',', ';']);
                    is_word.then_some(()).ok_or("not one word")
                })?
                .slot,
            cseq: self.check_one("CSeq", CSeqAt::read)?,
            contact: None,
        };
        if let Kind::Request { method, .. } = self.kind() {
            parts.contact = self.check_request(method, parts.cseq)?;
        }
        Ok(parts)
    }

    fn check_request(&self, method: &str, cseq: In<CSeqAt>) -> Result<Option<In<NameAddrAt>>, ParseError> {
        let slot = &self.index.slots[usize::from(cseq.slot)];
        if cseq.at.cut(self.value(slot)).method != method {
            return Err(ParseError::new(Fault::MethodMismatch, slot.value.start as usize));
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
        let contact = self.check_contacts()?;
        for name in ["Route", "Record-Route"] {
            for slot in self.slots(name) {
                let values = value::split_list(self.value(slot)).map_err(|why| self.malformed(slot, why))?;
                for text in values {
                    NameAddr::parse(text).map_err(|why| self.malformed(slot, why))?;
                }
            }
        }
        Ok(contact)
    }

    /// Where the one address of a message with one Contact stands.
    fn check_contacts(&self) -> Result<Option<In<NameAddrAt>>, ParseError> {
        let mut slots = self.places("Contact");
        let (first, second) = (slots.next(), slots.next());
        if let (Some((at, slot)), None) = (first, second)
            && let value = self.value(slot)
            && !value.is_empty()
            && value != "*"
            && !value.contains(',')
        {
            let read = NameAddrAt::read(value).map_err(|why| self.malformed(slot, why))?;
            return Ok(Some(In { slot: at, at: read }));
        }
        self.read_contacts().map(|_: Contacts<'_>| None)
    }

    /// Reads every Via; where the topmost stands.
    fn check_vias(&self) -> Result<In<ViaAt>, ParseError> {
        let mut topmost = None;
        for (at, slot) in self.places("Via") {
            let line = self.value(slot);
            for whole in value::pieces_of_list(line) {
                let via = whole.and_then(|whole| Ok((whole, Via::parse(whole)?)));
                let (whole, via) = via.map_err(|why| self.malformed(slot, why))?;
                topmost.get_or_insert_with(|| In { slot: at, at: ViaAt::of(whole, &via, line) });
            }
        }
        topmost.ok_or_else(|| ParseError::new(Fault::Missing("Via"), self.index.body_start))
    }

    fn check_one<T>(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Result<In<T>, ParseError> {
        self.check_optional(name, read)?
            .ok_or_else(|| ParseError::new(Fault::Missing(name), self.index.body_start))
    }

    fn check_optional<T>(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Result<Option<In<T>>, ParseError> {
        let mut slots = self.places(name);
        let Some((at, slot)) = slots.next() else { return Ok(None) };
        let read = read(self.value(slot)).map_err(|why| self.malformed(slot, why))?;
        match slots.next() {
            Some((_, second)) => Err(ParseError::new(Fault::Repeated(name), second.name.start as usize)),
            None => Ok(Some(In { slot: at, at: read })),
        }
    }
}
