//! rsip_bridge
