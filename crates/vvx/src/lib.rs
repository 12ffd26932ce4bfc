//! The virtual desk phone: flash, boot, configuration, screens, keys, sign-in, registration, lock.
//!
//! [`Phone`] is one actor on the network: it boots, shows screens, takes key presses and signs itself in to
//! whatever pool answers, screen included. It knows no other actor's types; what it reads from an identity
//! service or a pool it reads as it would a foreign product's.
//!
//! | module | promise |
//! | --- | --- |
//! | [`model`] | what each model and firmware can do |
//! | [`flash`] | what survives a power cut |
//! | [`config`] | settings, layer over layer |
//! | [`log`] | the phone's own log, in the device's format |
//! | [`boot`] | from power to Home: DHCP, clock, provisioning |
//! | [`resolver`] | names to addresses by DNS |
//! | [`fetch`] | HTTP requests, one after another |
//! | [`setup`] | what a phone is made of |
//! | [`phone`] | the actor: routes what happens to its machines |
//! | [`screen`] | screens as data, and drawn in a terminal |
//! | [`keys`] | keys, labels and text typed in |
//! | [`sign_in`] | the numbered steps from *Sign In* to a certificate |
//! | [`registration`] | REGISTER, its refreshes, its loss and return |
//! | [`call`] | calls: dialled, answered, held, transferred |
//! | [`line`] | the SIP port, and the lines of the generic base profile |
//! | [`lock`] | the lock code |
//! | [`notify`] | what happens, posted elsewhere as it happens |
//! | [`web_server`] | the phone's own web interface and REST |
//! | [`syslog`] | the log sent to a syslog server |
//! | [`events`] | the names of events that stories wait for |

pub mod boot;
pub mod call;
pub mod config;
pub mod events;
pub mod fetch;
pub mod flash;
pub mod keys;
pub mod line;
pub mod lock;
pub mod log;
pub mod model;
pub mod notify;
pub mod phone;
pub mod registration;
pub mod resolver;
pub mod screen;
pub mod setup;
pub mod sign_in;
pub mod syslog;
pub mod web_server;

pub use phone::{Phone, PhoneState};
pub use screen::Screen;
pub use setup::PhoneSetup;
