//! The HTTP half of the pool.
