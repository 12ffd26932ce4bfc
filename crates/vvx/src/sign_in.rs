//! The numbered steps from *Sign In* to a registered phone.

pub mod ask;
pub mod certificate;
pub mod root_chain;
pub mod soap;
pub mod ticket;
pub mod tokens;
pub mod web_code;
pub mod xml;
