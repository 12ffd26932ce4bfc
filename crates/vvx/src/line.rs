//! The phone's SIP to everybody but a Skype for Business pool: its port, and the lines of the generic base profile.
//!
//! | part | promise |
//! | --- | --- |
//! | [`settings`] | what the configuration says of each line |
//! | [`locate`] | from a server's name to places to try (RFC 3263) |
//! | [`ports`] | UDP and TCP port 5060, and the streams that lines open |
//! | [`registration`] | one line: registered, refreshed, failed over and back |
//! | [`messages`] | its REGISTER, and what answers grant |
//! | [`lines`] | all lines together, and who gets what arrives |
//! | [`calling`] | what calls need of a line: a way out, a name, proofs for challenges |
//! | [`observed`] | what strangers get who ask the phone's port who it is |
//!
//! In the Lync base profile there are no lines; the port is open all the same, as it is on the device.

pub mod calling;
pub mod lines;
pub mod locate;
pub mod messages;
pub mod observed;
pub mod ports;
pub mod registration;
pub mod settings;

pub use calling::{NoOutlet, Outlet};
pub use lines::{Lines, Said, Setting};
pub use ports::Flow;
