//! How the GPUs of a cluster should be cut for the pods that wait.
//!
//! A partitioner is a pure function: a snapshot of nodes (what stands on each GPU, what is
//! allocatable, what is requested) and the pending pods go in, the desired slices of each node come
//! out. It has no clock and changes nothing; whoever calls it applies the answer. [`planner`] asks any of
//! them.

pub mod boards;
pub mod nos;
pub mod optimal;
pub mod planner;
pub mod spec;
