//! Where the parts of those headers stand that are asked for again and again, so that each is read once.
//!
//! A message is handed on to many readers, and each wants its Via, From, To and CSeq: to find the transaction, to judge, to
//! answer. Places cost a few octets each, and cutting a text by them costs next to nothing.

use crate::uri::UriAt;
use crate::value::{CSeqAt, NameAddrAt, ViaAt};

/// Something that was read in one header line.
#[derive(Clone, Copy)]
pub(super) struct In<T> {
    /// Which of the message's slots; there are at most [`super::HEADERS_MAX`].
    pub slot: u16,
    /// Where what was read stands in the slot's value.
    pub at: T,
}

/// What was read when the message was checked.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    /// A request's address, in the first line.
    pub uri: Option<UriAt>,
    /// The topmost Via.
    pub via: In<ViaAt>,
    pub from: In<NameAddrAt>,
    pub to: In<NameAddrAt>,
    pub call_id: u16,
    pub cseq: In<CSeqAt>,
    /// The address of a request that has one Contact.
    pub contact: Option<In<NameAddrAt>>,
}
