//! The partitioner of nos (nebuly-ai/nos, commit 12e0a72), decision for decision.
//!
//! What nos decides is decided here with its quirks; each quirk can be corrected on its own
//! ([`Fix`]). The parts, in the order in which a plan passes through them:
//!
//! ```text
//! text of a node  --names, table-->  Node  --insert-->  Snapshot  --plan-->  Plan  --state-->  State
//!   labels, annotations              GPUs, sums         by name              re-cuts           what is written
//! ```
//!
//! [`plan`](plan()) walks over the nodes by name, once. On each it lets the GPUs change their
//! geometry for what all pods together lack, places as many pods as fit, and keeps the change if one
//! did. The rest is around it: the MIG agent's operations ([`agent`]), the state machines of the
//! control loop ([`batch`], [`control`], [`usage`]) in virtual time.
//!
//! Where nos follows the order of a Go map, [`Choices`] decides: one documented legal choice by
//! default, all of them with a seed. Counts are Go maps as well: an entry of 0 is not an absent one.
//!
//! Sources are named as files of the nos repository. Three liberties: counts beyond ±2⁴⁰ are cut
//! there (Go wraps at 2⁶³), GPUs of one node are put in their free order when the planner visits it
//! and not when the snapshot is taken, and pods of equal requests share one [`Shape`].

pub mod agent;
pub mod batch;
mod choice;
pub mod control;
mod fix;
mod gpu;
pub mod hardware;
mod mig;
mod mps;
pub mod names;
mod node;
pub mod order;
mod plan;
mod resources;
mod snapshot;
pub mod state;
pub mod table;
mod tracker;
pub mod usage;

pub use choice::{Choices, First, Free, Seeded, arrange};
pub use fix::{Fix, Fixes};
pub use gpu::{Card, Gpu, Need};
pub use names::Kind;
pub use node::{Node, NodeError, NodeText, build, take};
pub use plan::{Plan, Recut, Settings, lacking, plan, sort};
pub use resources::{Counts, Names, Resources};
pub use snapshot::{Pod, Port, Reach, Shape, Snapshot};
pub use table::Tables;
pub use tracker::Tracker;
