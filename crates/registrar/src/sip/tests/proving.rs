//! proving
