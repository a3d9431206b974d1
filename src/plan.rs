//! One planning decision: how should the GPUs of a cluster be cut for the pods that wait?
//!
//! A [`Cluster`] is what is known: nodes of one kind with their GPUs, and the pods that wait. It comes from
//! Kubernetes' own lists ([`read`]); a scenario at a moment can make one as well, since nothing in it is
//! text. [`decide`] asks a planner and says what becomes of each GPU, which pods can run then, and why the
//! others wait.

mod decide;
mod lower;
mod show;

pub use decide::{Decision, GpuChange, Options, Seated, Waits, decide};
pub use lower::{Source, read};
pub use show::{json, text};

use crate::gpu::Product;
use crate::partition::boards::Boards;
use crate::partition::nos::names::Kind;
use crate::partition::nos::{Pod, Shape, Snapshot};

/// A pod that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Namespace and name.
    pub name: String,
    /// What it asks for, of slices.
    pub slices: String,
}

/// What is known of a cluster.
#[derive(Clone, Debug)]
pub struct Cluster<'c> {
    /// Which slices are planned.
    pub kind: Kind,
    /// Nodes of that kind, as nos sees them.
    pub snapshot: Snapshot,
    /// What the GPUs of each node are, by position in the snapshot; of some it may not be known.
    pub products: Vec<Option<&'c Product>>,
    /// Places of MIG slices.
    pub boards: Boards<'c>,
    /// Shapes of pods.
    pub shapes: Vec<Shape>,
    /// Pods that nos would plan for.
    pub pods: Vec<Pod>,
    /// The same, for people.
    pub waiting: Vec<Waiting>,
    /// Pods that wait and that nos passes over, with the reason.
    pub passed_over: Vec<(String, String)>,
    /// Why nos plans nothing for any node, if it stumbles over one.
    pub blocked: Option<String>,
    /// What was assumed.
    pub notes: Vec<String>,
}
