//! The pool's web half, seen from outside: what a phone, a browser or an attacker gets over HTTP.

#![expect(clippy::unwrap_used, reason = "a test falls where its story breaks")]

mod certificate;
mod connections;
mod discovery;
mod harness;
mod identity;
mod phone;
mod ticket;
mod world;
