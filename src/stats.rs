//! Sample arithmetic, laws to draw from, and closed forms of queueing theory to judge simulations by.
//!
//! Floats begin here. But for draws from laws, nothing in the model depends on a value of this module:
//! it serves reports and tests. Transcendental functions come from `libm`, so that closed forms are the same everywhere;
//! only [`sample::t_interval`] leans on another library, at the report's edge.

pub mod law;
pub mod minimum;
pub mod queueing;
pub mod reliability;
pub mod sample;
pub mod sketch;
