//! Ordinary SIP user agents at a pool: registration by digest, and calls between them, over every carrier.

#![expect(clippy::unwrap_used, reason = "a test falls where its story breaks")]

mod calling;
#[path = "../../../sip/tests/support/corpus.rs"]
mod corpus;
#[path = "../../../sip/tests/support/files.rs"]
#[expect(dead_code, reason = "the tests of messages alone read files as messages")]
mod files;
mod harness;
mod registering;
mod torture;
