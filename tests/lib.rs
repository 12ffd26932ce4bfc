//! Tests of the whole lab.
