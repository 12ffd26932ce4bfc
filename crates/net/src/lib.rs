//! What an actor sees of the world, and the simulated world itself.
//!
//! An actor is a [`Node`]: something happens at a [`Time`], it answers with effects in an [`Outbox`].
//! It cannot reach a socket, a clock, a random generator, a file or another actor; a [`World`] carries
//! its effects to their receivers. [`Sim`] is the world with a virtual clock and a seeded network.
//!
//! | module | promise |
//! | --- | --- |
//! | [`time`] | instants of the lab, and the wall clocks of its actors |
//! | [`random`] | named, seeded chance |
//! | [`node`] | what happens to an actor and what it may want |
//! | [`journal`] | the typed, hashed list of what happened |
//! | [`world`] | what every world offers a story |
//! | [`rule`] | faults laid over the network |
//! | [`crypto`] | the cryptography a world runs on: seeded, or the operating system's |
//! | [`tls`] | TLS over byte buffers, with the caller's own clock and trust |
//! | [`http`] | HTTP/1.1 over byte buffers, by hyper, polled by hand |
//! | [`capture`] | what went over a network, as a file for packet viewers |
//! | [`sim`] | the simulated world |
//!
//! Nothing in here knows tokio, sockets, files or SIP.

pub mod capture;
pub mod crypto;
pub mod http;
pub mod journal;
pub mod node;
pub mod random;
pub mod rule;
pub mod sim;
pub mod time;
pub mod tls;
pub mod world;

pub use crypto::Crypto;
pub use journal::{Entry, Journal, Note};
pub use node::{
    Closed, Datagram, Dial, Disk, Effect, Input, Keep, Listen, ListenSecurity, Node, NodeId, Outbox,
    RecordId, Security, StreamEvent, StreamId, Transport, WriteKind,
};
pub use random::Random;
pub use sim::Sim;
pub use time::{Time, Wall, WallClock};
pub use world::{Step, World};
