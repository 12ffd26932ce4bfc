//! Many peers at small cost: sockets that move datagrams in batches, and servers without a task or a lock on the way of a
//! message.
//!
//! [`crate::Wire`] plays stories: rules, captures, leaping clocks, a task for each connection. What is in here plays load.
//! Everything happens on the thread that calls; more cores are more processes, or more threads with a world each.
//!
//! | module | promise |
//! | --- | --- |
//! | [`batch`] | a UDP socket that sends and receives many datagrams with one call |
//! | [`poll`] | which of many sockets may be read or written |
//! | [`stamp`] | when octets arrived, as the kernel noted it |
//! | [`tls`] | either end of TLS, that holds no buffers while nothing is said |
//! | [`serve`] | actors as servers: their ports, connections, timers and disks |
//! | `connection` | one accepted connection, and what it did not take yet |
//! | [`tally`] | what was served, and what could not be |

pub mod batch;
mod connection;
pub mod poll;
pub mod serve;
pub mod stamp;
pub mod tally;
pub mod tls;

pub use serve::{Lean, Setup};
