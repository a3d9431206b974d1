//! Sample arithmetic, and closed forms of queueing theory to judge simulations by.
//!
//! Floats begin here. Nothing in the model depends on a value of this module: it serves reports and
//! tests. Transcendental functions come from `libm`, so that closed forms are the same everywhere;
//! only [`sample::t_interval`] leans on another library, at the report's edge.

pub mod minimum;
pub mod queueing;
pub mod reliability;
pub mod sample;
