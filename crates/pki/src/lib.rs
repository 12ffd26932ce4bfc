//! The certificate authority: issue from a request, chains, revocation, and what a certificate says.
//!
//! Other people's tools accept what is made here: certificates follow RFC 5280 (serials of 128 random bits,
//! key identifiers, critical basic constraints and key usage), requests are PKCS #10 (RFC 2986), revocation
//! lists are RFC 5280 §5, OCSP is RFC 6960. Keys made here are P-256 and sign by RFC 6979, or RSA and sign by PKCS #1 v1.5:
//! neither needs chance, so in the simulation the same seed makes the same bytes.
//!
//! | module | promise |
//! | --- | --- |
//! | [`authority`] | a root, its intermediates, and what they issue |
//! | [`request`] | certificate requests, checked; nothing of them counts but the public key |
//! | [`certificate`] | what a certificate says, for people and for checks |
//! | [`kept`] | looks at what was kept before it is used |
//! | [`ocsp`] | questions about single certificates, and signed answers |
//! | [`places`] | where an authority tells the world about itself |
//! | [`publication`] | what an authority serves at those places |
//! | [`revocation`] | which certificates count no longer, since when and why |
//! | [`device`] | what an appliance shows before anybody has enrolled it |
//! | [`pem`] | certificates and keys as text |
//!
//! Nothing in here knows networks or SIP.

pub mod authority;
pub mod certificate;
pub mod device;
pub mod kept;
pub mod ocsp;
pub mod pem;
pub mod places;
mod profile;
pub mod publication;
pub mod request;
pub mod revocation;
mod signer;

pub use authority::{Authority, Holder, IssueError, Validity};
pub use certificate::{Certificate, CertificateError, Serial};
pub use device::device_credentials;
pub use places::Places;
pub use request::{Asked, CertificateRequest, Digests, RequestError, make_request};
pub use revocation::{Reason, Revocations, Revoked};
pub use signer::KeyKind;
