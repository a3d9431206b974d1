//! slicewise
pub mod diag;
pub mod id;
pub mod metrics;
pub mod rng;
pub mod units;
pub mod workload;
