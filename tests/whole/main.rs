//! Tests of the whole lab: the same run again, flash under power cuts, ladders for people, refusals, the house itself.

mod captures;
mod determinism;
mod flash;
mod hostile;
mod ladders;
mod refusals;
mod tidy;
mod wire;
