//! slicewise
pub mod cluster;
pub mod diag;
pub mod id;
pub mod metrics;
pub mod rng;
pub mod scenario;
pub mod sched;
pub mod trace;
pub mod units;
pub mod workload;
pub mod yaml;
