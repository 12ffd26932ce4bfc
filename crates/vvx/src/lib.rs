//! vvx
