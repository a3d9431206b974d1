//! slicewise
pub mod cluster;
pub mod diag;
pub mod gpu;
pub mod id;
pub mod metrics;
pub mod rng;
pub mod scenario;
pub mod sched;
pub mod stats;
pub mod trace;
pub mod units;
pub mod workload;
