//! The pool: who may register, where they are, and how they prove who they are.
//!
//! One [`Registrar`] is one front end of a pool. Over HTTPS it tells clients where they are homed
//! (autodiscover, MS-OCDISCWS), gives web tickets for a password or an access token (MS-OCAUTHWS), and issues
//! client certificates (certificate provisioning, MS-OCAUTHWS). Over SIP it authenticates with those certificates (TLS-DSK,
//! MS-SIPAE), keeps bindings (RFC 3261 §10, MS-SIPREGE) and hands out in-band policy.
//!
//! | module | promise |
//! | --- | --- |
//! | [`setup`] | what a pool is built from |
//! | [`registrar`] | the actor: routes what happens to the web and the SIP half |
//! | [`accounts`] | who is homed here, and under which policy |
//! | [`published`] | which client certificates count, for whom, until when |
//! | [`web`] | the HTTP half |
//! | [`sip`] | the SIP half |
//! | [`faults`] | answers that a story has asked to go wrong |
//! | [`ledger`] | records on disk that a power cut may tear but not confuse |
//! | [`events`] | the names that stories may wait for |
//!
//! The pool knows the identity service as any stranger does: by its published keys.

pub mod accounts;
pub mod events;
pub mod faults;
pub mod ledger;
pub mod published;
pub mod registrar;
pub mod setup;
pub mod sip;
pub mod web;

pub use accounts::fleet::{Fleet, Pattern};
pub use accounts::{Account, Accounts, DigestKeys, Home, PasswordCost, PasswordHash, PhonePolicy};
pub use faults::{Exchange, Faults};
pub use published::Published;
pub use registrar::{Parts, Registrar};
pub use setup::{DigestOffer, IdentityService, PlainSip, Setup};
pub use sip::inner::InnerKey;
