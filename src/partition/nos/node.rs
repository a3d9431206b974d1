//! Nodes as the planner holds them, and how nos reads one from Kubernetes.
//!
//! pkg/gpu/mig/node.go and pkg/gpu/slicing/node.go.

use super::choice::{Choices, Free, arrange};
use super::fix::Fix;
use super::gpu::{Card, Gpu, Setup};
use super::mps;
use super::names::{COUNT, Kind, MEMORY, MODEL, Observed, Partitioning, Status, Texts, memory_gb};
use super::resources::{Counts, Resources};
use super::snapshot::{Port, Snapshot};
use super::{Fixes, gpu, mig};
use crate::id::NodeId;
use std::collections::BTreeMap;

/// A node with GPUs of one kind of partitioning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The caller's name for it.
    pub id: NodeId,
    /// Name; nodes are planned in its order.
    pub name: String,
    /// GPUs: those with annotations by index, then those without.
    pub gpus: Vec<Gpu>,
    /// How many of the GPUs have annotations: nos sees these in any order (N1).
    pub annotated: usize,
    /// `status.allocatable`.
    pub allocatable: Resources,
    /// Sum of the requests of the pods that run there, as far as nos has counted them.
    pub requested: Resources,
    /// Number of these pods.
    pub pods: i64,
    /// Host ports they hold.
    pub ports: Vec<Port>,
}

/// What Kubernetes says about a node.
#[derive(Clone, Debug, Default)]
pub struct NodeText {
    /// The caller's name for it.
    pub id: NodeId,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: Texts,
    /// `metadata.annotations`.
    pub annotations: Texts,
    /// See [`Node::allocatable`].
    pub allocatable: Resources,
    /// See [`Node::requested`].
    pub requested: Resources,
    /// See [`Node::pods`].
    pub pods: i64,
    /// See [`Node::ports`].
    pub ports: Vec<Port>,
}

/// Why nos cannot read a node. One such node stops planning for all of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// A label that says what GPUs there are is missing or no number.
    #[error("node `{node}`: the label `{label}` is missing or cannot be read")]
    Label {
        /// Node name.
        node: String,
        /// Label key.
        label: &'static str,
    },
    /// The table of geometries lacks the GPU model.
    #[error("node `{node}`: the table of geometries has no GPU model `{model}`")]
    UnknownModel {
        /// Node name.
        node: String,
        /// Value of the label.
        model: String,
    },
    /// The MPS slices that annotations name do not fit the GPU.
    #[error("node `{node}`: the MPS slices of GPU {index} do not fit {memory_gb} GB")]
    Overfull {
        /// Node name.
        node: String,
        /// GPU index.
        index: i64,
        /// What the label promises.
        memory_gb: i64,
    },
    /// The table has no geometry with which an empty GPU could begin.
    #[error("node `{node}`: the table of geometries has none for GPU {index} to begin with")]
    NoGeometry {
        /// Node name.
        node: String,
        /// GPU index.
        index: i64,
    },
}

/// Most GPUs of one node. nos has no limit; a label that promises more is a slip.
const GPUS: i64 = 1024;

/// Reads a node for a snapshot, whose names it may add to.
///
/// # Errors
/// What nos stumbles over.
pub fn build(snapshot: &mut Snapshot, text: NodeText, fixes: Fixes) -> Result<Node, NodeError> {
    let label = |label| NodeError::Label { node: text.name.clone(), label };
    let model = text.labels.get(MODEL).ok_or_else(|| label(MODEL))?;
    let count = text.labels.get(COUNT).and_then(|c| c.parse().ok()).filter(|count| *count <= GPUS);
    let count: i64 = count.ok_or_else(|| label(COUNT))?;
    let kind = snapshot.kind();
    let card = match kind {
        Kind::Mig => Ok(snapshot.models().find(model).map(Card::Mig)),
        Kind::Mps if fixes.has(Fix::MemoryRounding) => {
            let mib = text.labels.get(MEMORY).and_then(|mib| mib.parse::<i64>().ok());
            mib.map(|mib| Some(Card::Mps { memory_gb: mib / 1024 })).ok_or_else(|| label(MEMORY))
        }
        Kind::Mps => memory_gb(&text.labels)
            .map(|memory_gb| Some(Card::Mps { memory_gb }))
            .ok_or_else(|| label(MEMORY)),
    }?;
    let unknown = || NodeError::UnknownModel { node: text.name.clone(), model: model.clone() };

    let mut by_index: BTreeMap<i64, (Counts, Counts)> = BTreeMap::new();
    for observed in Observed::of(&text.annotations) {
        let profile = snapshot.names_mut().profile(kind, &observed.profile);
        let (used, free) = by_index.entry(observed.index).or_default();
        match observed.status {
            Status::Used => used.add(profile, observed.quantity),
            Status::Free => free.add(profile, observed.quantity),
            // It makes a GPU known and says nothing about it.
            Status::Unknown => {}
        }
    }
    let annotated = by_index.len();
    let missing: Vec<i64> = if fixes.has(Fix::MissingIndex) {
        let free = (0..count).filter(|index| !by_index.contains_key(index));
        free.take(usize::try_from(count).unwrap_or(0).saturating_sub(annotated)).collect()
    } else {
        (annotated as i64..count).collect()
    };
    if annotated + missing.len() == 0 {
        // Without GPUs nobody asks for the model.
        return Ok(node(text, Vec::new(), 0));
    }
    let card = card.ok_or_else(unknown)?;
    let mut gpus = Vec::with_capacity(annotated + missing.len());
    for (index, (used, free)) in by_index {
        let gpu = Gpu { index, card, used, free };
        if let Card::Mps { memory_gb } = card
            && !mps::is_valid(&gpu, memory_gb, snapshot.names())
        {
            return Err(NodeError::Overfull { node: text.name, index, memory_gb });
        }
        gpus.push(gpu);
    }
    gpus.extend(missing.into_iter().map(|index| Gpu::empty(index, card)));
    Ok(node(text, gpus, annotated))
}

/// Puts every node whose label names the snapshot's kind into it
/// (internal/partitioning/{mig,mps}/snapshot_taker.go).
///
/// # Errors
/// The first node that cannot be read: nos plans nothing then ([`Fix::BadNode`]).
pub fn take(
    snapshot: &mut Snapshot,
    nodes: impl IntoIterator<Item = NodeText>,
    fixes: Fixes,
) -> Result<(), NodeError> {
    for text in nodes {
        if Partitioning::of(&text.labels) != Some(Partitioning::Of(snapshot.kind())) {
            continue;
        }
        match build(snapshot, text, fixes) {
            Ok(node) => snapshot.insert(node),
            Err(_) if fixes.has(Fix::BadNode) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn node(text: NodeText, gpus: Vec<Gpu>, annotated: usize) -> Node {
    let NodeText { id, name, allocatable, requested, pods, ports, .. } = text;
    Node { id, name, gpus, annotated, allocatable, requested, pods, ports }
}

impl Node {
    /// Puts the GPUs with annotations into an order that Go's map could have them in (N1).
    pub fn arrange(&mut self, choices: &mut dyn Choices) {
        arrange(choices, Free::GpuOrder, &mut self.gpus[..self.annotated]);
    }

    /// Becomes equal to `other` in the room there is.
    pub(super) fn copy(&mut self, other: &Node) {
        self.gpus.truncate(other.gpus.len());
        let (known, new) = other.gpus.split_at(self.gpus.len());
        for (gpu, other) in self.gpus.iter_mut().zip(known) {
            gpu.copy(other);
        }
        self.gpus.extend_from_slice(new);
        self.allocatable.copy(&other.allocatable);
        self.requested.copy(&other.requested);
        self.ports.clone_from(&other.ports);
        self.name.clone_from(&other.name);
        self.id = other.id;
        self.annotated = other.annotated;
        self.pods = other.pods;
    }

    /// Slices of each GPU, by index, in their present order.
    #[must_use]
    pub fn geometries(&self) -> Vec<(i64, Counts)> {
        self.gpus.iter().map(|gpu| (gpu.index, gpu.geometry())).collect()
    }

    /// Slices by profile, over all GPUs.
    #[must_use]
    pub fn geometry(&self) -> Counts {
        let mut sum = Counts::new();
        for gpu in &self.gpus {
            sum.add_all(&gpu.used);
            sum.add_all(&gpu.free);
        }
        sum
    }

    /// Whether the planner should visit it: one of its GPUs has free capacity.
    pub(super) fn has_free_capacity(&self, setup: &Setup<'_>) -> bool {
        self.gpus.iter().any(|gpu| gpu.has_free_capacity(setup))
    }

    /// Lets its GPUs change for what is asked for, in their present order, and counts allocatable
    /// slices anew; says whether a GPU changed. What they provide is taken off `need`.
    pub(super) fn update(
        &mut self,
        need: &mut gpu::Need,
        setup: &Setup<'_>,
        choices: &mut dyn Choices,
    ) -> bool {
        if self.gpus.is_empty() || need.is_empty() {
            return false;
        }
        let updated = gpu::update_all(&mut self.gpus, need, setup, choices);
        gpu::rewrite(&mut self.allocatable.scalars, &self.gpus, setup);
        updated
    }

    /// Cuts each empty MIG GPU as nos does when it first meets the node; says whether one was, or
    /// which has no such geometry (internal/partitioning/mig/initializer.go).
    ///
    /// # Errors
    /// The index of the GPU whose table is empty.
    pub(super) fn initialize(&mut self, setup: &Setup<'_>) -> Result<bool, i64> {
        let mut cut = false;
        for gpu in self.gpus.iter_mut().filter(|gpu| gpu.used.is_empty() && gpu.free.is_empty()) {
            let Card::Mig(model) = gpu.card else { continue };
            let initial = setup.models.initial(model).ok_or(gpu.index)?;
            cut |= mig::apply(gpu, initial);
        }
        Ok(cut)
    }
}
