//! The pieces of nos' control loop that decide: which pods count, when to plan, when to wait.
//!
//! internal/controllers/gpupartitioner, as values and state machines without a clock.

use super::batch::Batcher;
use super::choice::{Choices, Free, arrange};
use super::fix::{Fix, Fixes};
use super::names::{COUNT, SPEC_PLAN, STATUS_PLAN, Spec, Texts};
use super::node::Node;
use super::plan::Plan;
use super::resources::{Counts, Names};
use super::settings::Settings;
use super::snapshot::Snapshot;
use super::state::{GpuState, State};
use crate::id::NodeId;
use crate::units::{MICROS_PER_SECOND, Span, Time};
use std::collections::{BTreeMap, BTreeSet};

/// What the control loop asks about a pod's status and owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodStatus {
    /// `status.phase` is `Pending`.
    pub pending: bool,
    /// `spec.nodeName` is set.
    pub bound: bool,
    /// `status.nominatedNodeName` is set.
    pub nominated: bool,
    /// A condition of type `PodScheduled` has the reason `Unschedulable`, whatever its status.
    pub unschedulable: bool,
    /// An owner is a DaemonSet of `apps/v1`, or a Node of `v1`.
    pub node_owned: bool,
}

impl PodStatus {
    /// Whether more resources could help it (pkg/util/pod/pod.go). Which scheduler it asks for does
    /// not matter.
    #[must_use]
    pub fn is_helpable(self) -> bool {
        self.pending && !self.bound && !self.nominated && self.unschedulable && !self.node_owned
    }
}

/// Whether a node with these annotations has yet to report the plan that it was given.
#[must_use]
pub fn owes_report(annotations: &Texts) -> bool {
    let plan = |key| annotations.get(key).map_or("", String::as_str);
    !plan(SPEC_PLAN).is_empty() && plan(SPEC_PLAN) != plan(STATUS_PLAN)
}

/// Whether nos considers a node initialized: as many GPUs in its spec annotations as its label says
/// (internal/partitioning/core/util.go).
#[must_use]
pub fn is_initialized(labels: &Texts, annotations: &Texts) -> bool {
    let count = labels.get(COUNT).and_then(|count| count.parse::<i64>().ok());
    let indexes: BTreeSet<i64> = Spec::of(annotations).map(|spec| spec.index).collect();
    count == Some(indexes.len() as i64)
}

/// What a controller sees when it looks at a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// A node of the controller's kind is known.
    pub has_nodes: bool,
    /// The pod still exists.
    pub exists: bool,
    /// See [`PodStatus::is_helpable`].
    pub helpable: bool,
    /// Some node of any kind [owes a report](owes_report).
    pub unreported: bool,
}

/// What follows from a look at a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing; only a new event of the pod brings it back.
    Done,
    /// Look at it again after this long.
    Again(Span),
    /// Plan now, for all helpable pods, whatever the batch held. The pod is not looked at again.
    Plan,
}

/// One of the two partitioner controllers, which differ in their kind alone
/// (partitioner_controller.go). It has one worker: pods are looked at one after the other, and none
/// while it writes a plan ([`super::rollout`]).
#[derive(Clone, Debug)]
pub struct Controller<P> {
    settings: Settings,
    batch: BTreeSet<P>,
}

impl<P: Copy + Ord> Controller<P> {
    /// A controller that has seen no pod.
    #[must_use]
    pub fn new(settings: &Settings) -> Controller<P> {
        Controller { settings: *settings, batch: BTreeSet::new() }
    }

    /// Looks at one pod. The batcher may be shared with the other controller, which then takes its
    /// batches too.
    pub fn reconcile(&mut self, now: Time, pod: P, sight: Sight, batcher: &mut Batcher<P>) -> Next {
        if !sight.has_nodes || !sight.exists {
            return Next::Done;
        }
        if !sight.helpable {
            if self.batch.remove(&pod) && self.batch.is_empty() {
                batcher.reset();
            }
            return Next::Done;
        }
        if sight.unreported {
            // The batch is dropped and its list is not: its pods are never added again (quirk 19).
            batcher.reset();
            return Next::Again(self.settings.requeue_unreported);
        }
        if self.batch.insert(pod) {
            batcher.add(now, pod);
        }
        if batcher.take().is_some() {
            self.batch.clear();
            return Next::Plan;
        }
        Next::Again(self.settings.requeue)
    }
}

/// The id of a plan made at a time: the second ([`Fix::PlanIds`]).
#[must_use]
pub fn plan_id(now: Time, fixes: Fixes) -> String {
    let micros = now.0;
    if fixes.has(Fix::PlanIds) { micros.to_string() } else { (micros / MICROS_PER_SECOND).to_string() }
}

/// What one node is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The caller's name for the node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// GPU indexes and the slices they should have.
    pub gpus: Vec<(i64, Counts)>,
    /// Whether they differ from those it has; nos writes the others all the same
    /// ([`Fix::RewriteAll`]).
    pub changed: bool,
}

impl Write {
    /// As it is written to Kubernetes.
    #[must_use]
    pub fn state(&self, names: &Names) -> Vec<GpuState> {
        State::of_node(names, self.gpus.clone())
    }
}

/// The nodes that a plan is written to, in order; none if it changes nothing
/// (internal/partitioning/core/actuator.go).
#[must_use]
pub fn writes(snapshot: &Snapshot, plan: &Plan, fixes: Fixes, choices: &mut dyn Choices) -> Vec<Write> {
    let mut recuts: BTreeMap<&str, &[(i64, Counts)]> = BTreeMap::new();
    for recut in &plan.recuts {
        recuts.insert(&recut.name, &recut.gpus);
    }
    let write = |node: &Node| {
        let standing = node.geometries();
        let asked = recuts.get(node.name.as_str());
        let changed = asked.is_some_and(|asked| !same(asked, &standing));
        let gpus = asked.map_or(standing, |asked| asked.to_vec());
        Write { node: node.id, name: node.name.clone(), gpus, changed }
    };
    let recut = |name: &str| snapshot.get(name).is_some_and(|node| write(node).changed);
    if !recuts.keys().any(|name| recut(name)) {
        return Vec::new();
    }
    let mut writes: Vec<Write> = snapshot.nodes().iter().map(write).collect();
    writes.retain(|write| write.changed || !fixes.has(Fix::RewriteAll));
    arrange(choices, Free::Writes, &mut writes);
    writes
}

/// Whether two lists of GPUs are equal in any order.
fn same(a: &[(i64, Counts)], b: &[(i64, Counts)]) -> bool {
    let times = |list: &[(i64, Counts)], gpu: &(i64, Counts)| list.iter().filter(|g| *g == gpu).count();
    a.len() == b.len() && a.iter().all(|gpu| times(a, gpu) == times(b, gpu))
}

#[cfg(test)]
mod tests {
    use super::super::batch::Windows;
    use super::*;

    const REQUEUE: Span = Span::from_secs(5);
    const REQUEUE_UNREPORTED: Span = Span::from_secs(10);

    fn world() -> (Controller<u32>, Batcher<u32>) {
        let batcher = Batcher::new(Windows::default(), Fixes::NONE);
        (Controller::new(&Settings::default()), batcher)
    }

    const FINE: Sight = Sight { has_nodes: true, exists: true, helpable: true, unreported: false };

    fn at(seconds: u64) -> Time {
        Time::ZERO + Span::from_secs(seconds)
    }

    #[test]
    fn a_pod_is_planned_for_at_its_third_look() {
        let (mut controller, mut batcher) = world();
        for second in [0, 5] {
            batcher.fire(at(second));
            assert_eq!(controller.reconcile(at(second), 1, FINE, &mut batcher), Next::Again(REQUEUE));
        }
        batcher.fire(at(10));
        assert_eq!(controller.reconcile(at(10), 1, FINE, &mut batcher), Next::Plan);
    }

    #[test]
    fn a_pod_that_met_an_unreported_plan_is_not_batched_again() {
        let (mut controller, mut batcher) = world();
        controller.reconcile(at(0), 1, FINE, &mut batcher);
        let unreported = Sight { unreported: true, ..FINE };
        assert_eq!(controller.reconcile(at(5), 1, unreported, &mut batcher), Next::Again(REQUEUE_UNREPORTED));
        assert_eq!(controller.reconcile(at(15), 1, FINE, &mut batcher), Next::Again(REQUEUE));
        assert_eq!(batcher.next(), None, "its batch will never be ready");
        controller.reconcile(at(20), 2, FINE, &mut batcher);
        assert_eq!(batcher.next(), Some(at(30)), "until another pod begins one");
    }

    #[test]
    fn the_last_pod_that_leaves_a_batch_resets_it() {
        let (mut controller, mut batcher) = world();
        controller.reconcile(at(0), 1, FINE, &mut batcher);
        controller.reconcile(at(1), 2, FINE, &mut batcher);
        let helped = Sight { helpable: false, ..FINE };
        assert_eq!(controller.reconcile(at(2), 1, helped, &mut batcher), Next::Done);
        assert!(batcher.next().is_some());
        controller.reconcile(at(2), 2, helped, &mut batcher);
        assert!(batcher.next().is_none());
        for blind in [Sight { has_nodes: false, ..FINE }, Sight { exists: false, ..FINE }] {
            assert_eq!(controller.reconcile(at(3), 1, blind, &mut batcher), Next::Done);
        }
    }
}
