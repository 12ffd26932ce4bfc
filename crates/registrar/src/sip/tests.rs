//! The SIP half from outside: scripted clients on one side, octets and effects on the other.

mod bench;
mod bounds;
mod calling;
mod policy;
mod proving;
mod refusing;
mod registering;
mod restarting;
