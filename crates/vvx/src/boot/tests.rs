//! Whole boots against a scripted office: DHCP, DNS, NTP and a file server, packet by packet.

mod boots;
mod leases;
mod office;
mod provisioning;
