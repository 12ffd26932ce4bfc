//! Transactions: one request and its answers, repeated by timers where the way loses messages (RFC 3261 §17).
//!
//! A transaction owns no socket and no clock. It is told what came and what time it is, and says what to send and
//! when it wants to be woken. [`Client`] and [`Server`] carry every method but INVITE, whose answer may take as long
//! as a person takes: [`InviteClient`] and [`InviteServer`], with the Accepted state of RFC 6026.

mod client;
mod invite_client;
mod invite_server;
mod server;

pub use client::{Came, Client, Woke};
pub use invite_client::{InviteCame, InviteClient};
pub use invite_server::{InviteArrival, InviteServer, InviteServers, InviteWoke};
pub use server::{Arrival, Server, ServerKey, Servers};

/// Branches that begin so are unique by themselves (RFC 3261 §8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// Whether a response belongs to a request: same branch in the topmost Via, same method in CSeq (RFC 3261 §17.1.3).
fn answers(response: &crate::Message, request: &crate::Message) -> bool {
    !response.is_request()
        && response.via().branch().is_some()
        && response.via().branch() == request.via().branch()
        && response.cseq().method == request.method()
}
