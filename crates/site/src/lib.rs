//! The office network's own servers: DHCP, DNS, NTP, and the server that keeps the phones' files.
//!
//! Each is an actor of its own and speaks real packets, so a real phone or `dig` finds what it expects. They know
//! nothing of SIP, and of phones only what these ask for.
//!
//! | module | promise |
//! | --- | --- |
//! | [`authority`] | what a certificate authority tells about itself: revocations, OCSP |
//! | [`dhcp`] | addresses and options, leases that survive a power cut (RFC 2131, RFC 2132, RFC 3361) |
//! | [`dns`] | the zones of the lab, with authority (RFC 1034, RFC 1035, RFC 2782, RFC 6891) |
//! | [`ntp`] | the time of a clock that may be wrong (RFC 5905) |
//! | [`provisioning`] | files for phones, and the files that phones leave behind |
//! | [`events`] | the names of what stories can wait for |

pub mod authority;
pub mod dhcp;
pub mod dns;
pub mod events;
mod kept;
pub mod ntp;
pub mod provisioning;

pub use authority::AuthorityServer;
pub use dhcp::DhcpServer;
pub use dns::DnsServer;
pub use ntp::NtpServer;
pub use provisioning::ProvisioningServer;
