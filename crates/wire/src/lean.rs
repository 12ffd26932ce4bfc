//! Many peers at small cost: sockets that move datagrams in batches, without a task or a lock on the way of a message.
//!
//! [`crate::Wire`] plays stories: rules, captures, leaping clocks, a task for each connection. What is in here plays load.
//!
//! | module | promise |
//! | --- | --- |
//! | [`batch`] | a UDP socket that sends and receives many datagrams with one call |

pub mod batch;
