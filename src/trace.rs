//! The recorded world: files of pods, generated pods, and what may be done to them.
pub mod spec;
