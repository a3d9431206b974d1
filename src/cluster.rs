//! Who holds what.
pub mod spec;
