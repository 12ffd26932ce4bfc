//! The simulated world.
/// Sim.
pub struct Sim;
