//! What nos knows of the cluster: nodes as it last looked at them, and pods as their events told.
//!
//! internal/partitioning/state and the two controllers that feed it, node_controller.go and
//! pod_controller.go in internal/controllers/gpupartitioner. Planning sees this and nothing else, so it
//! lags behind: a node counts as it was at its last event.
//!
//! A snapshot is taken by looking: nodes are lowered when they are looked at, and usage is charged when
//! it changes. Names of resources have the same ids in both kinds' snapshots.

use super::control::{is_initialized, owes_report};
use super::fix::{Fix, Fixes};
use super::names::{COUNT, Kind, MODEL, PARTITIONING, Partitioning};
use super::node::{NodeError, NodeText, build};
use super::resources::Names;
use super::snapshot::Snapshot;
use super::state::{GpuState, State};
use super::table::Tables;
use super::usage::{Seen, Unbound, Usage};
use crate::id::{NodeId, ResourceId};
use std::collections::{BTreeMap, BTreeSet};

/// What the node controller does with a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeLook {
    /// Nothing: it lacks the label of a partitioning, or one that says what GPUs it has.
    Ignored,
    /// Nothing, and it is not planned for: it is not initialized, and nothing initializes it.
    Excluded,
    /// These slices are written to it as those asked for, under a new plan id
    /// ([`super::state::annotate`]); the event that follows makes it known.
    Initialize(Vec<GpuState>),
    /// It is known as it is now.
    Known,
}

/// The nodes of one kind.
#[derive(Clone, Debug)]
struct Side {
    snapshot: Snapshot,
    /// Nodes that cannot be read, by name.
    broken: BTreeMap<String, NodeError>,
}

/// Nodes by id and pods `P`.
#[derive(Clone, Debug)]
pub struct ClusterState<P> {
    fixes: Fixes,
    usage: Usage<NodeId, P>,
    sides: [Side; 2],
    /// Name and kind under which a node stands in a snapshot.
    known: BTreeMap<NodeId, (String, Kind)>,
    /// Nodes that owe a report, as they were when they were looked at.
    unreported: BTreeSet<NodeId>,
}

impl<P: Clone + Ord> ClusterState<P> {
    /// No node, no pod.
    #[must_use]
    pub fn new(tables: &Tables, fixes: Fixes) -> ClusterState<P> {
        let side = |kind| Side { snapshot: Snapshot::new(kind, tables), broken: BTreeMap::new() };
        let mut state = ClusterState {
            fixes,
            usage: Usage::new(fixes),
            sides: [side(Kind::Mig), side(Kind::Mps)],
            known: BTreeMap::new(),
            unreported: BTreeSet::new(),
        };
        state.share_names();
        state
    }

    /// The id of a resource, equal in both snapshots.
    pub fn resource(&mut self, name: &str) -> ResourceId {
        let id = self.sides[0].snapshot.names_mut().intern(name);
        self.share_names();
        id
    }

    /// Names of resources.
    #[must_use]
    pub fn names(&self) -> &Names {
        self.sides[0].snapshot.names()
    }

    /// Gives each snapshot the names that only the other has.
    fn share_names(&mut self) {
        let [mig, mps] = &mut self.sides;
        let (mig, mps) = (mig.snapshot.names_mut(), mps.snapshot.names_mut());
        if mig.len() < mps.len() {
            mig.follow(mps);
        } else {
            mps.follow(mig);
        }
    }

    /// What a planner of this kind sees.
    ///
    /// # Errors
    /// The first node, by name, that cannot be read: nothing is planned then ([`Fix::BadNode`]).
    pub fn snapshot(&self, kind: Kind) -> Result<&Snapshot, &NodeError> {
        let side = &self.sides[kind as usize];
        match side.broken.values().next() {
            Some(error) if !self.fixes.has(Fix::BadNode) => Err(error),
            _ => Ok(&side.snapshot),
        }
    }

    /// Whether a node of this kind is known.
    #[must_use]
    pub fn has_nodes(&self, kind: Kind) -> bool {
        self.usage.is_enabled(Partitioning::Of(kind))
    }

    /// Whether a known node, of either kind, has yet to report the plan it was given: then nobody
    /// plans. It is what nos saw at the node's last event.
    #[must_use]
    pub fn owes_report(&self) -> bool {
        !self.unreported.is_empty()
    }

    /// Whether a node is known.
    #[must_use]
    pub fn knows(&self, node: NodeId) -> bool {
        self.usage.knows(&node)
    }

    /// What nos counts as in use.
    #[must_use]
    pub fn usage(&self) -> &Usage<NodeId, P> {
        &self.usage
    }

    /// The event of a node: it came, or its labels, annotations or allocatable amounts changed. `pods` are
    /// all pods bound to it. The requests and pods in `text` are not looked at: nos counts its own.
    ///
    /// # Errors
    /// A node that is to be initialized and cannot be read; the controller tries it again.
    pub fn node_event(
        &mut self,
        text: NodeText,
        pods: impl FnOnce() -> Vec<Seen<P>>,
    ) -> Result<NodeLook, NodeError> {
        if !text.labels.contains_key(PARTITIONING) {
            if self.fixes.has(Fix::LabelRemoval) {
                self.forget(text.id);
            }
            return Ok(NodeLook::Ignored);
        }
        let count = text.labels.get(COUNT).and_then(|count| count.parse::<i64>().ok());
        if !text.labels.contains_key(MODEL) || count.is_none() {
            return Ok(NodeLook::Ignored);
        }
        let partitioning = Partitioning::of(&text.labels);
        if partitioning != Some(Partitioning::Of(Kind::Mps))
            && !is_initialized(&text.labels, &text.annotations)
        {
            return match partitioning {
                Some(Partitioning::Of(Kind::Mig)) => self.initialize(text),
                _ => Ok(NodeLook::Excluded),
            };
        }
        self.update_node(text, pods());
        Ok(NodeLook::Known)
    }

    /// The slices of a MIG node whose empty GPUs are cut as nos cuts them at first
    /// (internal/partitioning/mig/initializer.go).
    fn initialize(&mut self, text: NodeText) -> Result<NodeLook, NodeError> {
        let name = text.name.clone();
        let built = build(&mut self.sides[Kind::Mig as usize].snapshot, text, self.fixes);
        self.share_names();
        let mut node = built?;
        let snapshot = &self.sides[Kind::Mig as usize].snapshot;
        let cut = snapshot.initialize(&mut node);
        let cut = cut.map_err(|index| NodeError::NoGeometry { node: name, index })?;
        let written = cut || (self.fixes.has(Fix::NeverInitialized) && !node.gpus.is_empty());
        if !written {
            return Ok(NodeLook::Excluded);
        }
        Ok(NodeLook::Initialize(State::of_node(snapshot.names(), node.geometries())))
    }

    /// A node was deleted. nos hands an empty name on, so that it stays known
    /// ([`Fix::DeletedNodes`]).
    pub fn node_deleted(&mut self, node: NodeId) {
        if self.fixes.has(Fix::DeletedNodes) {
            self.forget(node);
        }
    }

    /// The event of a pod that is bound to `node`. `pods` are all pods bound there.
    ///
    /// A node that is not known becomes so, without the checks of [`ClusterState::node_event`]
    /// ([`Fix::UncheckedNodes`]).
    ///
    /// # Errors
    /// With that fix, those of the node's event.
    pub fn pod_event(
        &mut self,
        node: &NodeText,
        seen: Seen<P>,
        pods: impl FnOnce() -> Vec<Seen<P>>,
    ) -> Result<NodeLook, NodeError> {
        if !self.knows(node.id) && node.labels.contains_key(PARTITIONING) {
            if self.fixes.has(Fix::UncheckedNodes) {
                return self.node_event(node.clone(), pods);
            }
            self.update_node(node.clone(), pods());
            return Ok(NodeLook::Known);
        }
        let before = self.usage.node_of(&seen.pod).copied();
        self.usage.update_usage(&node.id, seen);
        for changed in BTreeSet::from_iter(before.into_iter().chain([node.id])) {
            self.charge(changed);
        }
        Ok(if self.knows(node.id) { NodeLook::Known } else { NodeLook::Ignored })
    }

    /// A pod was deleted.
    ///
    /// # Errors
    /// If nos knew of no binding; it does not mind.
    pub fn pod_deleted(&mut self, pod: &P) -> Result<(), Unbound> {
        let node = self.usage.node_of(pod).copied();
        self.usage.delete_pod(pod)?;
        node.into_iter().for_each(|node| self.charge(node));
        Ok(())
    }

    /// Looks at a node anew.
    fn update_node(&mut self, mut text: NodeText, pods: Vec<Seen<P>>) {
        let id = text.id;
        self.take_out(id);
        let partitioning = Partitioning::of(&text.labels);
        self.usage.update_node(id, partitioning, pods);
        if owes_report(&text.annotations) {
            self.unreported.insert(id);
        }
        let Some(Partitioning::Of(kind)) = partitioning else { return };
        text.requested = self.usage.requested(&id).expect("it was just looked at");
        text.pods = self.usage.pods(&id) as i64;
        text.ports = self.usage.ports(&id).cloned().collect();
        let name = text.name.clone();
        let side = &mut self.sides[kind as usize];
        match build(&mut side.snapshot, text, self.fixes) {
            Ok(node) => side.snapshot.insert(node),
            Err(error) => _ = side.broken.insert(name.clone(), error),
        }
        self.known.insert(id, (name, kind));
        self.share_names();
    }

    /// Brings what is charged to a node up to date.
    fn charge(&mut self, node: NodeId) {
        let Some((name, kind)) = self.known.get(&node) else { return };
        let Some(requested) = self.usage.requested(&node) else { return };
        let ports = self.usage.ports(&node).cloned().collect();
        let pods = self.usage.pods(&node) as i64;
        self.sides[*kind as usize].snapshot.charge(name, requested, pods, ports);
    }

    fn take_out(&mut self, node: NodeId) {
        self.unreported.remove(&node);
        if let Some((name, kind)) = self.known.remove(&node) {
            let side = &mut self.sides[kind as usize];
            side.snapshot.remove(&name);
            side.broken.remove(&name);
        }
    }

    fn forget(&mut self, node: NodeId) {
        self.take_out(node);
        self.usage.delete_node(&node);
    }
}
