//! The identity service from outside: what programs and browsers meet at its ports.

mod browser;
mod device_flow;
mod lab;
