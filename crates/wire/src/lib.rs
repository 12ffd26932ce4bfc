//! The real world: the same actors on real sockets and a real clock.
//!
//! A [`Wire`] is a [`net::World`]. Every actor has an address of its own in one network of this machine, usually a part of
//! 127.0.0.0/8; other people's programs meet the actors there as they would meet servers and phones. Sockets only move
//! octets: what is said is the actors' affair, TLS is `net::tls`, and so nothing in here knows which actors exist.
//!
//! | module | promise |
//! | --- | --- |
//! | `wire` | the world: actors, power, faults, time |
//! | `clock` | lab time on the machine's clock, faster if wanted |
//! | `ports` | where addresses and ports of the lab lie on this machine |
//! | `listener` | accepting connections and datagrams within limits |
//! | `connection` | one connection from its socket to its actor |
//! | `layers`, `websocket` | TLS and WebSocket over byte buffers |
//! | `faults` | rules and cut links, over what actors send each other |
//! | `store` | the actors' disks in a file |
//! | `trace` | what goes over the sockets, told to a capture |
//! | [`limits`] | how many files the process may have open |
//! | [`lean`] | the same for load: batches instead of tasks, counts instead of notes |
//!
//! All of it runs on the thread that calls [`net::World::step`]; only the disk has a thread of its own.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is where sockets, files, threads and the machine's clock come in"
)]

mod clock;
mod connection;
mod event;
mod faults;
mod layers;
pub mod lean;
pub mod limits;
mod listener;
mod ports;
mod store;
mod trace;
mod websocket;
mod wire;

pub use crate::clock::Speed;
pub use crate::lean::Lean;
pub use crate::ports::Ground;
pub use crate::store::{Store, StoreError};
pub use crate::wire::{Among, Poker, Setup, Wire};
