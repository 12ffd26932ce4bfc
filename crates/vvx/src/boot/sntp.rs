//! Keeping the clock by SNTP (RFC 4330).

/// The SNTP client.
#[derive(Debug)]
pub struct Sntp {}
