//! The names of what happens at a pool, as stories wait for them. `of` is the account's address.

/// A web ticket was given out.
pub const WEB_TICKET_ISSUED: &str = "web-ticket-issued";
/// A web ticket was refused.
pub const WEB_TICKET_REFUSED: &str = "web-ticket-refused";
/// A client certificate was issued, published and is on disk.
pub const CERTIFICATE_ISSUED: &str = "certificate-issued";
/// A client certificate was refused.
pub const CERTIFICATE_REFUSED: &str = "certificate-refused";
/// A client certificate was revoked; the next handshake with it fails.
pub const CERTIFICATE_REVOKED: &str = "certificate-revoked";
/// Somebody downloaded the pool's root certificate.
pub const ROOT_CHAIN_DOWNLOADED: &str = "root-chain-downloaded";
/// An administrator changed an account.
pub const ACCOUNT_CHANGED: &str = "account-changed";
/// A binding was made or refreshed.
pub const REGISTERED: &str = "registered";
/// A REGISTER was refused.
pub const REGISTRATION_REFUSED: &str = "registration-refused";
/// A binding ended because its endpoint said so.
pub const UNREGISTERED: &str = "unregistered";
/// A binding ended because nobody refreshed it.
pub const REGISTRATION_EXPIRED: &str = "registration-expired";

/// Every name with what it means.
pub const ALL: &[(&str, &str)] = &[
    (WEB_TICKET_ISSUED, "a web ticket was given out"),
    (WEB_TICKET_REFUSED, "a web ticket was refused"),
    (CERTIFICATE_ISSUED, "a client certificate was issued and published"),
    (CERTIFICATE_REFUSED, "a client certificate was refused"),
    (CERTIFICATE_REVOKED, "a client certificate was revoked"),
    (ROOT_CHAIN_DOWNLOADED, "somebody downloaded the pool's root certificate"),
    (ACCOUNT_CHANGED, "an administrator changed an account"),
    (REGISTERED, "a binding was made or refreshed"),
    (REGISTRATION_REFUSED, "a REGISTER was refused"),
    (UNREGISTERED, "a binding ended because its endpoint said so"),
    (REGISTRATION_EXPIRED, "a binding ended because nobody refreshed it"),
];
