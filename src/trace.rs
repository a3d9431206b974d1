//! The recorded world: files of pods, generated pods, and what may be done to them.
//!
//! Files are read by [`read`] and [`open`], each format in a file of its own; what comes out is a
//! [`Workload`](crate::workload::Workload) and an account of the rows that are not in it. Readers
//! stream: beside the pods they hold one row and 16 bytes a name. Nothing here decides anything
//! about a cluster.
//!
//! [`merge()`] puts several workloads into one, [`apply`] does what a scenario changes, [`generate()`]
//! draws pods from laws, [`Statistics`] describes any of them and [`write_native`] writes them down.
//! [`steps`] reads measured step times, which are no pods: what sharing models are fitted to. Nor are
//! requests to pods that serve, which [`open_requests`] reads.

mod change;
mod generate;
mod inspect;
mod intake;
mod jobs;
mod merge;
mod native;
mod number;
mod openb;
mod read;
mod records;
mod requests;
pub mod spec;
pub mod steps;

pub use change::apply;
pub use generate::generate;
pub use inspect::{Arrived, Bin, Group, Mix, Quantiles, SizeRow, Statistics};
pub use jobs::NEVER_RAN;
pub use merge::merge;
pub use native::{BROKEN_GANG, write_native};
pub use openb::{NodeRow, PENDING, read_nodes};
pub use read::{Counts, Loaded, open, read};
pub use requests::{open_requests, read_requests};

#[cfg(test)]
mod tests;
