//! Ordinary SIP user agents at a pool: registration by digest, and calls between them, over every carrier.

#![expect(clippy::unwrap_used, reason = "a test falls where its story breaks")]

mod calling;
mod harness;
mod registering;
