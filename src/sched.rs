//! What to do next.
pub mod spec;
