//! restarting
