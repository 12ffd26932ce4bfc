//! Load: many phones on real sockets, by a plan, with figures that can be defended.
//!
//! A [`Plan`] says what is offered to whom, and when. Its work is cut into [`Part`]s, one for each core of each machine that
//! takes part; a part knows by arithmetic alone which phones and which arrivals are its own, so parts never speak to each
//! other. Once a second a part says in a [`Beat`] what came of its work. Beats add up: everything that is shown, written or
//! judged is a sum of beats, whoever sent them.
//!
//! Arrivals follow an open model. When a request is due is fixed before the run begins, and its response time counts from
//! that moment: a server that is slow gets the same load as one that is fast, and a generator that is late says so.
//!
//! | module | promise |
//! | --- | --- |
//! | [`plan`] | what is offered to whom, and what may come of it |
//! | [`arrival`] | when work falls due |
//! | [`beat`] | what came of one second of one part's work |
//! | [`engine`] | one part of a plan on one thread |
//! | [`language`] | plans as YAML |
//! | [`floor`] | what the cryptography of a complete sign-in costs |
//! | [`crew`] | who does the work, and how they are told |
//! | [`workers`] | a crew on other machines |
//! | [`local`] | threads of this program as a crew |
//! | [`conduct`] | drives a crew through a plan, and adds up what it says |
//! | [`machine`] | what this machine says of programs and neighbours |
//! | [`outcome`] | what came of a run: judged, summed up, compared |

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "load is made on real sockets, by the machine's own clock"
)]

pub mod arrival;
pub mod beat;
pub mod conduct;
pub mod crew;
pub mod engine;
pub mod floor;
pub mod language;
pub mod local;
pub mod machine;
pub mod outcome;
pub mod plan;
pub mod workers;

pub use beat::{Beat, Cause, Counts, Gauges, Kind};
pub use crew::{Crew, Heard, Order};
pub use plan::{Part, Plan};
