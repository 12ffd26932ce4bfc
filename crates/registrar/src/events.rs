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
/// A request without credentials that count was challenged.
pub const CHALLENGED: &str = "challenged";
/// A handshake that should have proved who speaks did not.
pub const HANDSHAKE_FAILED: &str = "handshake-failed";
/// A request was refused because its signature is wrong or was used before.
pub const REQUEST_REFUSED: &str = "request-refused";
/// A binding was made and is on disk.
pub const REGISTERED: &str = "registered";
/// A binding was refreshed and is on disk.
pub const REGISTRATION_REFRESHED: &str = "registration-refreshed";
/// A REGISTER was refused.
pub const REGISTRATION_REFUSED: &str = "registration-refused";
/// A binding ended because its endpoint or an administrator said so.
pub const DEREGISTERED: &str = "deregistered";
/// A binding ended because nobody refreshed it, or because its connection was gone for too long.
pub const BINDING_EXPIRED: &str = "binding-expired";
/// An INVITE is on its way to the endpoints of an address.
pub const CALL_ROUTED: &str = "call-routed";
/// An endpoint accepted an INVITE.
pub const ROUTED_CALL_ACCEPTED: &str = "routed-call-accepted";
/// An INVITE was refused or cancelled, or nobody picked up.
pub const ROUTED_CALL_FAILED: &str = "routed-call-failed";

/// Every name with what it means.
pub const ALL: &[(&str, &str)] = &[
    (WEB_TICKET_ISSUED, "a web ticket was given out"),
    (WEB_TICKET_REFUSED, "a web ticket was refused"),
    (CERTIFICATE_ISSUED, "a client certificate was issued and published"),
    (CERTIFICATE_REFUSED, "a client certificate was refused"),
    (CERTIFICATE_REVOKED, "a client certificate was revoked"),
    (ROOT_CHAIN_DOWNLOADED, "somebody downloaded the pool's root certificate"),
    (ACCOUNT_CHANGED, "an administrator changed an account"),
    (CHALLENGED, "a request without credentials that count was challenged"),
    (HANDSHAKE_FAILED, "a handshake did not prove who speaks"),
    (REQUEST_REFUSED, "a request was refused because its signature is wrong or was used before"),
    (REGISTERED, "a binding was made"),
    (REGISTRATION_REFRESHED, "a binding was refreshed"),
    (REGISTRATION_REFUSED, "a REGISTER was refused"),
    (DEREGISTERED, "a binding ended because its endpoint or an administrator said so"),
    (BINDING_EXPIRED, "a binding ended because nobody refreshed it, or its connection was gone for too long"),
    (CALL_ROUTED, "an INVITE is on its way to the endpoints of an address"),
    (ROUTED_CALL_ACCEPTED, "an endpoint accepted an INVITE that the pool put through"),
    (ROUTED_CALL_FAILED, "an INVITE was refused or cancelled, or nobody picked up"),
];
