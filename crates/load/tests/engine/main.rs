//! The engine against a server that does as it is told: every count must add up, on either side.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the server that is measured against has sockets, a thread and a clock of its own"
)]

mod connections;
mod datagrams;
mod judge;
mod play;
mod reflector;
mod streams;
