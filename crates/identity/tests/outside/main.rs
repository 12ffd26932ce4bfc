//! The identity service from outside: what programs and browsers meet at its ports.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod browser;
mod common_area;
mod device_flow;
mod endpoints;
mod gallery;
mod golden;
mod lab;
mod profiles;
mod ways;
mod wire;
