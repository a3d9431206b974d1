//! What happens in a cluster, and which waiting pods it could help: queueing hints, and what stood
//! in their place before 1.32.

use super::Shape;
use super::cache::Cache;
use super::filter::Plugins;
use super::node::{NodeOrder, NodeSpec, Usage, tolerates_cordon, untolerated};
use super::queue::{Concerns, Waiting};
use super::resource::ResourceId;
use crate::id::{NodeId, PodId};
use std::sync::Arc;

/// Something that can help waiting pods.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A pod that was assigned is gone, or a nomination is.
    PodGone,
    /// Any pod may be tried again.
    Timeout,
    /// A plugin asked for this pod to be tried.
    Urged(PodId),
    /// A pod that runs asks for less of these resources.
    ScaledDown(Vec<ResourceId>),
    /// This pod itself changed while it waited.
    Own(PodId, OwnChange),
    NodeAdded(NodeId, Arc<NodeSpec>),
    NodeChanged {
        node: NodeId,
        old: Arc<NodeSpec>,
        new: Arc<NodeSpec>,
        what: Change,
    },
}

/// What of a waiting pod changed, as event kinds tell it apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnChange {
    /// It tolerates more.
    pub(super) tolerates: bool,
    /// It asks for less of something.
    pub(super) scaled_down: bool,
    /// Anything changed.
    pub(super) any: bool,
}

impl OwnChange {
    pub(super) fn between(old: &Shape, new: &Shape) -> OwnChange {
        let more = |toleration| !old.tolerations.contains(toleration);
        OwnChange {
            tolerates: new.tolerations.iter().any(more),
            scaled_down: !less(old, new).is_empty(),
            any: old != new,
        }
    }
}

/// Resources of which the new shape asks less.
pub(super) fn less(old: &Shape, new: &Shape) -> Vec<ResourceId> {
    let (old, new) = (&old.request.real, &new.request.real);
    old.iter()
        .filter(|(resource, amount)| new.get(*resource) < *amount)
        .map(|(resource, _)| resource)
        .collect()
}

/// What of a node changed, as event kinds tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Allocatable,
    Labels,
    /// Taints, or a cordon that is lifted.
    Taints,
}

/// The changes between two specs of a node, in the order in which upstream looks for them.
pub(super) fn changes(old: &NodeSpec, new: &NodeSpec) -> Vec<Change> {
    let allocatable = (&old.allocatable, old.pods) != (&new.allocatable, new.pods);
    let taints = old.taints != new.taints || (old.unschedulable && !new.unschedulable);
    let changed = [
        (allocatable, Change::Allocatable),
        (old.labels != new.labels, Change::Labels),
        (taints, Change::Taints),
    ];
    changed.into_iter().filter(|(changed, _)| *changed).map(|(_, what)| what).collect()
}

/// The zone of a node.
pub(super) fn zone(spec: &NodeSpec) -> String {
    NodeOrder::<NodeId>::zone(&spec.labels)
}

impl Event {
    /// Which of the pods that `rejectors` rejected it concerns.
    pub(super) fn concerns(&self, rejectors: Plugins) -> Concerns {
        match self {
            Event::Urged(_) | Event::Own(..) => Concerns::Some,
            _ if rejectors == Plugins::NONE => Concerns::All,
            Event::Timeout => Concerns::All,
            // Whatever it held.
            Event::PodGone if rejectors.meets(Plugins::FIT) => Concerns::All,
            Event::PodGone => Concerns::Nobody,
            Event::ScaledDown(_) if !rejectors.meets(Plugins::FIT) => Concerns::Nobody,
            Event::ScaledDown(_) => Concerns::Some,
            Event::NodeAdded(..) | Event::NodeChanged { .. } => Concerns::Some,
        }
    }
}

impl Cache {
    /// Whether an event could help a waiting pod, as its version judges.
    pub(super) fn worth(&self, event: &Event, waiting: &Waiting) -> bool {
        let rejectors = waiting.rejectors;
        match event.concerns(rejectors) {
            Concerns::All => return true,
            Concerns::Nobody => return false,
            Concerns::Some => {}
        }
        match event {
            Event::Timeout | Event::PodGone => unreachable!("they concern all or nobody"),
            Event::Urged(pod) => waiting.pod == *pod,
            Event::Own(pod, change) => waiting.pod == *pod && self.own_hint(waiting, *change),
            Event::ScaledDown(resources) => {
                let request = &self.shapes[waiting.facts.shape.index()].request.real;
                !self.settings.rules.hints || resources.iter().any(|resource| 0 < request.get(*resource))
            }
            Event::NodeAdded(node, _) | Event::NodeChanged { node, .. } if !self.settings.rules.hints => {
                self.admitted_as_used(*node, waiting)
            }
            Event::NodeAdded(node, new) => self.hints(waiting, *node, None, new, Plugins::ALL),
            Event::NodeChanged { node, old, new, what } => match what {
                Change::Allocatable => self.hints(waiting, *node, Some(old), new, Plugins::FIT),
                Change::Labels => self.hints(waiting, *node, Some(old), new, Plugins::AFFINITY),
                Change::Taints => {
                    // Plugins that registered for new nodes but not for taints are told of every
                    // change of taints, and always queue (`buildQueueingHintMap`).
                    let told = Plugins::UNSCHEDULABLE.and(Plugins::TAINTS);
                    rejectors.meets(Plugins::FIT.and(Plugins::AFFINITY))
                        || self.hints(waiting, *node, Some(old), new, told)
                }
            },
        }
    }

    /// Whether a change of the pod itself could help it, as its rejectors judge; before hints, any
    /// change could.
    fn own_hint(&self, waiting: &Waiting, change: OwnChange) -> bool {
        let by = |plugin: Plugins| waiting.rejectors.meets(plugin);
        if !self.settings.rules.hints || waiting.rejectors == Plugins::NONE {
            return change.any;
        }
        let tolerations = &self.shapes[waiting.facts.shape.index()].tolerations;
        change.scaled_down && by(Plugins::FIT)
            || change.tolerates && by(Plugins::TAINTS)
            || change.tolerates && by(Plugins::UNSCHEDULABLE) && tolerates_cordon(tolerations)
    }

    /// Whether the hint of some rejector among `asked` says to try again.
    fn hints(
        &self,
        waiting: &Waiting,
        node: NodeId,
        old: Option<&Arc<NodeSpec>>,
        new: &NodeSpec,
        asked: Plugins,
    ) -> bool {
        let shape = &self.shapes[waiting.facts.shape.index()];
        let name = &self.node(node).name;
        let asks = |plugin: Plugins| asked.meets(plugin) && waiting.rejectors.meets(plugin);
        let tainted = |spec: &NodeSpec| untolerated(&spec.taints, &shape.tolerations).is_some();
        let allowed = |spec: &NodeSpec| shape.affinity.allows(name, &spec.labels);
        let grew = |old: &Arc<NodeSpec>| {
            let (old_amounts, new_amounts) = (old.amounts(), new.amounts());
            let more = |(resource, _)| old_amounts.get(resource) < new_amounts.get(resource);
            old.pods < new.pods || shape.request.real.iter().any(more)
        };
        asks(Plugins::UNSCHEDULABLE) && !new.unschedulable && old.is_none_or(|old| old.unschedulable)
            || asks(Plugins::TAINTS) && !tainted(new) && old.is_none_or(|old| tainted(old))
            || asks(Plugins::AFFINITY) && allowed(new) && old.is_none_or(|old| !allowed(old))
            || asks(Plugins::FIT) && self.fits(shape, new, &Usage::default()) && old.is_none_or(grew)
    }

    /// `preCheckForNode` [≤1.31]: the pod fits the node as it is used now, and its labels and taints
    /// admit it.
    fn admitted_as_used(&self, node: NodeId, waiting: &Waiting) -> bool {
        let (node, shape) = (self.node(node), &self.shapes[waiting.facts.shape.index()]);
        let spec = self.spec(node.kind);
        self.fits(shape, spec, &node.usage)
            && shape.affinity.allows(&node.name, &spec.labels)
            && untolerated(&spec.taints, &shape.tolerations).is_none()
    }
}
