//! SIP as the lab speaks it: text, framing, transactions, and the ways of proving who speaks.
//!
//! | module | promise |
//! | --- | --- |
//! | [`message`] | reads a message without losing a byte: an index over the received octets, views on demand |
//! | [`uri`] | reads `sip:`, `sips:` and `tel:` addresses, and keeps every other scheme's text |
//! | [`value`] | reads structured header values: addresses, Via, CSeq, parameters, lists |
//! | [`mod@print`] | writes messages, headers in the order given, injection refused |
//! | [`framing`] | cuts a byte stream into messages and keep-alives, under limits |
//! | [`timers`] | the timers of RFC 3261 as numbers |
//! | [`transaction`] | client and server transactions, INVITE and other, without a socket or a clock |
//! | [`dialog`] | what two ends remember of each other between INVITE and BYE |
//! | [`sdp`] | session descriptions, read without loss, and offer and answer |
//! | [`auth`] | challenges and credentials as scheme and parameters |
//! | [`digest`] | digest authentication: challenges, credentials, and who may be believed |
//! | [`endpoint`] | endpoint identifiers, instance UUIDs, and the GRUUs made of them |
//! | [`signature`] | the text that MS-SIPAE signs, and its HMAC |
//! | [`association`] | a security association: signs what leaves, checks what arrives |
//! | [`tls_dsk`] | TLS-DSK: a TLS handshake whose flights travel in SIP headers |
//! | [`rsip_bridge`] | conversions from and to the `rsip` crate's types |
//!
//! Nothing in here knows phones or registrars, and nothing reads a clock, a socket or a generator it was not given.

pub mod association;
pub mod auth;
pub mod dialog;
pub mod digest;
pub mod endpoint;
pub mod framing;
pub mod message;
pub mod print;
pub mod rsip_bridge;
pub mod sdp;
pub mod signature;
pub mod timers;
pub mod tls_dsk;
pub mod transaction;
pub mod uri;
pub mod value;

pub use association::SecurityAssociation;
pub use framing::{Frame, Framer};
pub use message::{Fault, Message, ParseError};
pub use print::{Draft, DraftError};
pub use uri::{Scheme, Uri};
pub use value::{CSeq, Contacts, NameAddr, Params, Via};
