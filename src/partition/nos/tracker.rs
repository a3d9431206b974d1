//! What pods lack: judged once, before the first node, and taken off as pods are placed.
//!
//! internal/partitioning/core/{tracker,snapshot}.go.

use super::First;
use super::fix::Fix;
use super::gpu::{Gpu, Need};
use super::names::Kind;
use super::node::Node;
use super::plan::{Asked, admits, lacking_of};
use super::resources::Counts;
use super::settings::Settings;
use super::snapshot::{Pod, Shape, Snapshot};
use std::cmp::Reverse;

/// Slices that pods lack, per pod and in sum.
#[derive(Clone, Debug)]
pub struct Tracker {
    /// Each pod's part of the sum: a level, and an entry of `parts`; `None` once it was placed.
    lookup: Vec<Option<(usize, usize)>>,
    parts: Vec<Counts>,
    need: Need,
}

impl Tracker {
    /// Judges pods by shape, in their order.
    ///
    /// # Panics
    /// If a pod names a shape that is not there.
    #[must_use]
    pub fn judge(snapshot: &Snapshot, shapes: &[Shape], pods: &[Pod], settings: &Settings) -> Tracker {
        let asked: Vec<Asked<'_>> = shapes.iter().map(|shape| Asked::new(snapshot, shape)).collect();
        let order: Vec<usize> = (0..pods.len()).collect();
        Tracker::new(snapshot, &asked, pods, &order, settings)
    }

    /// Judges all pods; `order` is the order in which they are placed.
    pub(super) fn new(
        snapshot: &Snapshot,
        asked: &[Asked<'_>],
        pods: &[Pod],
        order: &[usize],
        settings: &Settings,
    ) -> Tracker {
        let fixed = |fix| settings.fixes.has(fix);
        let (mut parts, part_of): (Vec<Counts>, Vec<usize>) =
            if fixed(Fix::LackingPerPod) || fixed(Fix::ClusterWideFree) {
                (shared(snapshot, asked, pods, order, settings), (0..pods.len()).collect())
            } else {
                // Pods of one shape lack the same.
                let parts = asked.iter().map(|a| lacking_of(snapshot, snapshot.totals(), &a.raw));
                (parts.collect(), pods.iter().map(|pod| pod.shape).collect())
            };
        if fixed(Fix::DoubleDiscount) {
            for (pod, part) in pods.iter().zip(&part_of) {
                if !parts[*part].is_empty() {
                    parts[*part] = asked[pod.shape].slices.iter().copied().collect();
                }
            }
        }
        if fixed(Fix::ZeroSlices) && snapshot.kind() == Kind::Mps {
            for part in &mut parts {
                part.retain(|profile| 0 < snapshot.names().memory_gb(profile));
            }
        }
        let mut priorities: Vec<i32> = pods.iter().map(|pod| pod.priority).collect();
        priorities.sort_unstable_by_key(|priority| Reverse(*priority));
        priorities.dedup();
        if !fixed(Fix::PriorityBlind) {
            priorities.truncate(1);
        }
        let mut levels = vec![Counts::new(); priorities.len()];
        let mut lookup = Vec::with_capacity(pods.len());
        for (pod, part) in pods.iter().zip(part_of) {
            // The single level of a blind planner is everybody's.
            let level = priorities.partition_point(|priority| pod.priority < *priority).min(levels.len() - 1);
            levels[level].add_all(&parts[part]);
            lookup.push(Some((level, part)));
        }
        Tracker { lookup, parts, need: Need::of(levels) }
    }

    /// What is still lacking.
    #[must_use]
    pub fn need(&self) -> &Need {
        &self.need
    }

    /// Whether a pod lacked slices and was not placed yet.
    #[must_use]
    pub fn lacks(&self, pod: usize) -> bool {
        self.lookup[pod].is_some_and(|(_, part)| !self.parts[part].is_empty())
    }

    /// Takes a pod's part off the sum; of a pod that was placed before, nothing.
    pub fn remove(&mut self, pod: usize) {
        if let Some((level, part)) = self.lookup[pod].take() {
            for (profile, count) in self.parts[part].iter() {
                self.need.take(level, profile, count);
            }
        }
    }
}

/// What each pod lacks when pods share what is free ([`Fix::LackingPerPod`]) or must find it on one
/// node where they can run ([`Fix::ClusterWideFree`]), or both.
fn shared(
    snapshot: &Snapshot,
    asked: &[Asked<'_>],
    pods: &[Pod],
    order: &[usize],
    settings: &Settings,
) -> Vec<Counts> {
    let shares = settings.fixes.has(Fix::LackingPerPod);
    let one_node = settings.fixes.has(Fix::ClusterWideFree);
    let mut totals = snapshot.totals().clone();
    let mut nodes: Vec<Node> = if one_node { snapshot.nodes().to_vec() } else { Vec::new() };
    // A node that cannot take a shape will not later: room only shrinks.
    let mut first_node = vec![0; asked.len()];
    let mut parts = vec![Counts::new(); pods.len()];
    for pod in order.iter().copied().filter(|pod| !asked[pods[*pod].shape].raw.is_empty()) {
        let (shape, asked) = (pods[pod].shape, &asked[pods[pod].shape]);
        let takes = |node: &Node| {
            let has_all = |gpu: &Gpu| asked.slices.iter().all(|(p, count)| *count <= gpu.free.get(*p));
            admits(asked, node, 0, settings) && node.gpus.iter().any(has_all)
        };
        if one_node {
            let left = nodes[first_node[shape]..].iter().position(takes);
            first_node[shape] = left.map_or(nodes.len(), |left| first_node[shape] + left);
        }
        parts[pod] = match nodes.get_mut(first_node[shape]) {
            Some(node) => {
                if shares {
                    let taken = snapshot.add_pod(node, asked.shape, &mut First);
                    assert!(taken, "a GPU of the node has the slices");
                }
                Counts::new()
            }
            None => {
                let lacking = lacking_of(snapshot, &totals, &asked.raw);
                let hidden = one_node && lacking.is_empty();
                if hidden { asked.slices.iter().copied().collect() } else { lacking }
            }
        };
        if shares {
            totals.request(&asked.raw, 1);
        }
    }
    parts
}
