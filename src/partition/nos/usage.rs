//! What nos believes to be in use: pods on nodes, as the events that reach it tell.
//!
//! internal/partitioning/state/state.go. A pod counts while it runs, and only if nos first saw it
//! running: one that was bound before it ran is missed until its node is looked at anew.

use super::fix::{Fix, Fixes};
use super::names::Partitioning;
use super::resources::Resources;
use super::snapshot::Port;
use std::collections::{BTreeMap, BTreeSet};

/// One node of the belief.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held<P> {
    partitioning: Option<Partitioning>,
    counted: BTreeMap<P, Seen<P>>,
    /// Pods whose binding is to it.
    bound: BTreeSet<P>,
}

/// What is in use, by nodes `N` and pods `P`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage<N, P> {
    nodes: BTreeMap<N, Held<P>>,
    bindings: BTreeMap<P, N>,
    /// Number of nodes of each partitioning.
    enabled: BTreeMap<Partitioning, usize>,
    fixes: Fixes,
}

/// A pod that no binding is known of; the controller that asked does not mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pod is not bound to a node that is known")]
pub struct Unbound;

/// A pod as events show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen<P> {
    /// The pod.
    pub pod: P,
    /// Whether its phase is `Running`.
    pub running: bool,
    /// Its requests, with overhead.
    pub requests: Resources,
    /// Host ports that it asks for.
    pub ports: Vec<Port>,
}

impl<N: Clone + Ord, P: Clone + Ord> Usage<N, P> {
    /// Nothing is known.
    #[must_use]
    pub fn new(fixes: Fixes) -> Usage<N, P> {
        Usage { nodes: BTreeMap::new(), bindings: BTreeMap::new(), enabled: BTreeMap::new(), fixes }
    }

    /// Looks at a node anew, with all pods bound to it: those that run count.
    pub fn update_node(&mut self, node: N, partitioning: Option<Partitioning>, pods: Vec<Seen<P>>) {
        self.drop_node(&node);
        for seen in &pods {
            self.bind(&seen.pod, &node);
        }
        let bound = pods.iter().map(|seen| seen.pod.clone()).collect();
        let running = pods.into_iter().filter(|seen| seen.running);
        let counted = running.map(|seen| (seen.pod.clone(), seen)).collect();
        if let Some(partitioning) = partitioning {
            *self.enabled.entry(partitioning).or_insert(0) += 1;
        }
        self.nodes.insert(node, Held { partitioning, counted, bound });
    }

    /// Takes a node out with the bindings to it; whether it was known.
    fn drop_node(&mut self, node: &N) -> bool {
        let Some(held) = self.nodes.remove(node) else { return false };
        for pod in &held.bound {
            self.bindings.remove(pod);
        }
        if let Some(count) = held.partitioning.and_then(|partitioning| self.enabled.get_mut(&partitioning)) {
            *count -= 1;
        }
        true
    }

    /// Notes a binding, and that the one before is none any more.
    fn bind(&mut self, pod: &P, node: &N) {
        let before = self.bindings.insert(pod.clone(), node.clone());
        if let Some(held) = before.filter(|before| before != node).and_then(|n| self.nodes.get_mut(&n)) {
            held.bound.remove(pod);
        }
        if let Some(held) = self.nodes.get_mut(node) {
            held.bound.insert(pod.clone());
        }
    }

    /// Takes note of a bound pod; events of nodes that are not known are lost.
    pub fn update_usage(&mut self, node: &N, seen: Seen<P>) {
        if !self.nodes.contains_key(node) {
            return;
        }
        let before = self.bindings.get(&seen.pod).cloned();
        let same = before.as_ref() == Some(node);
        if let Some(before) = before
            && (!same || !seen.running)
            && let Some(held) = self.nodes.get_mut(&before)
        {
            held.counted.remove(&seen.pod);
        }
        self.bind(&seen.pod, node);
        let late = same && self.fixes.has(Fix::LateUsage);
        if seen.running && (!same || late) {
            let held = self.nodes.get_mut(node).expect("it was looked up above");
            held.counted.insert(seen.pod.clone(), seen);
        }
    }

    /// Forgets a pod.
    ///
    /// # Errors
    /// If no binding of it is known.
    pub fn delete_pod(&mut self, pod: &P) -> Result<(), Unbound> {
        let node = self.bindings.remove(pod).ok_or(Unbound)?;
        if let Some(held) = self.nodes.get_mut(&node) {
            held.bound.remove(pod);
            held.counted.remove(pod);
        }
        Ok(())
    }

    /// Forgets a node and what is bound to it. nos never gets that far: its controller passes an empty
    /// name ([`Fix::DeletedNodes`]).
    pub fn delete_node(&mut self, node: &N) {
        self.drop_node(node);
    }

    /// The node that a pod is known to be bound to.
    #[must_use]
    pub fn node_of(&self, pod: &P) -> Option<&N> {
        self.bindings.get(pod)
    }

    /// Host ports held by the pods that count on a node.
    pub fn ports(&self, node: &N) -> impl Iterator<Item = &Port> {
        self.nodes.get(node).into_iter().flat_map(|held| held.counted.values()).flat_map(|seen| &seen.ports)
    }

    /// Whether a node is known.
    #[must_use]
    pub fn knows(&self, node: &N) -> bool {
        self.nodes.contains_key(node)
    }

    /// Sum of the requests of the pods that count on a node.
    #[must_use]
    pub fn requested(&self, node: &N) -> Option<Resources> {
        let held = self.nodes.get(node)?;
        Some(held.counted.values().fold(Resources::default(), |sum, seen| sum.plus(&seen.requests)))
    }

    /// Number of pods that count on a node.
    #[must_use]
    pub fn pods(&self, node: &N) -> usize {
        self.nodes.get(node).map_or(0, |held| held.counted.len())
    }

    /// Pods with the nodes that they are known to be bound to.
    pub fn bindings(&self) -> impl Iterator<Item = (&P, &N)> {
        self.bindings.iter()
    }

    /// Nodes that are known.
    pub fn nodes(&self) -> impl Iterator<Item = &N> {
        self.nodes.keys()
    }

    /// Whether a node of this partitioning is known.
    #[must_use]
    pub fn is_enabled(&self, partitioning: Partitioning) -> bool {
        self.enabled.get(&partitioning).is_some_and(|count| 0 < *count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pod: u32, running: bool) -> Seen<u32> {
        let requests = Resources { cpu_milli: 100, ..Resources::default() };
        Seen { pod, running, requests, ports: Vec::new() }
    }

    fn cpu(usage: &Usage<u32, u32>, node: u32) -> i64 {
        usage.requested(&node).expect("a known node").cpu_milli
    }

    #[test]
    fn a_pod_that_was_bound_first_counts_late() {
        for (fixes, expected) in [(Fixes::NONE, 0), (Fixes::from_iter([Fix::LateUsage]), 100)] {
            let mut usage = Usage::new(fixes);
            usage.update_node(0, None, Vec::new());
            usage.update_usage(&0, seen(1, false));
            usage.update_usage(&0, seen(1, true));
            assert_eq!(cpu(&usage, 0), expected);
            usage.update_node(0, None, vec![seen(1, true)]);
            assert_eq!(cpu(&usage, 0), 100);
        }
    }

    /// No vector tells: what the node does not hold cannot be taken from it.
    #[test]
    fn removing_a_pod_that_the_node_does_not_hold_changes_nothing() {
        let mut usage = Usage::new(Fixes::NONE);
        usage.update_node(0, None, vec![seen(1, true), seen(2, false)]);
        usage.update_usage(&0, seen(2, false));
        assert_eq!(cpu(&usage, 0), 100, "it was never counted");
        assert_eq!(usage.delete_pod(&2), Ok(()));
        assert_eq!(cpu(&usage, 0), 100);
        usage.update_usage(&0, seen(1, false));
        usage.update_usage(&0, seen(1, false));
        assert_eq!(cpu(&usage, 0), 0, "it is removed once");
        assert_eq!(usage.delete_pod(&1), Ok(()));
        assert_eq!(usage.delete_pod(&1), Err(Unbound));
        assert_eq!(cpu(&usage, 0), 0);
    }

    #[test]
    fn bindings_follow_nodes_that_are_looked_at_anew() {
        let mut usage = Usage::new(Fixes::NONE);
        usage.update_node(0, None, vec![seen(1, true), seen(2, true)]);
        usage.update_node(1, None, vec![seen(2, true)]);
        assert_eq!(usage.node_of(&2), Some(&1));
        assert_eq!(cpu(&usage, 0), 200, "the old node is not looked at");
        usage.update_node(0, None, vec![seen(3, false)]);
        assert_eq!((usage.node_of(&1), usage.node_of(&2), usage.node_of(&3)), (None, Some(&1), Some(&0)));
        usage.delete_node(&1);
        assert_eq!((usage.node_of(&2), usage.bindings().count()), (None, 1));
    }

    #[test]
    fn a_pod_that_moved_leaves_its_old_node() {
        let mut usage = Usage::new(Fixes::NONE);
        usage.update_node(0, None, vec![seen(1, true)]);
        usage.update_node(1, None, Vec::new());
        usage.update_usage(&1, seen(1, true));
        assert_eq!((cpu(&usage, 0), cpu(&usage, 1)), (0, 100));
        usage.update_usage(&2, seen(1, true));
        assert_eq!((cpu(&usage, 1), usage.knows(&2)), (100, false), "unknown nodes are passed over");
    }
}
