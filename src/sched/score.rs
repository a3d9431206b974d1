//! Scores: which of the nodes that fit is best, 0 to 100 each, weighted and summed.
//!
//! A policy of your own is one implementation of [`Score`]; see `examples/own_score.rs`. Scores
//! must be pure functions of the request and the node's state, because they are remembered until
//! the node changes.

use crate::cluster::{Cluster, NodeClass};
use crate::id::NodeId;
use crate::workload::request::Request;
use std::fmt;
use std::sync::Arc;

/// A node as a score sees it.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'a> {
    /// The cluster, read-only.
    pub cluster: &'a Cluster,
    /// The node.
    pub node: NodeId,
    /// Its class: capacity, GPUs, labels.
    pub class: &'a NodeClass,
}

/// A scoring policy.
pub trait Score: Send + Sync {
    /// The name by which a scenario asks for it.
    fn name(&self) -> &str;

    /// How good `node` is for `request`, 0 to 100. The node is known to fit. Must depend on nothing
    /// but the request, the node's class and the node's state.
    fn score(&self, request: &Request, node: NodeView<'_>) -> i64;
}

/// Names of the built-in scores.
pub const BUILT_IN: [&str; 4] = ["least-allocated", "most-allocated", "balanced-allocation", "random"];

/// Weighted scores.
#[derive(Clone, Default)]
pub struct Scores {
    parts: Vec<(Arc<dyn Score>, i64)>,
    random: bool,
}

impl fmt::Debug for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts.iter().map(|(s, w)| (s.name(), w))).finish()
    }
}

impl Scores {
    /// No score: the first node that fits.
    #[must_use]
    pub fn none() -> Scores {
        Scores::default()
    }

    /// Adds a score with its weight.
    ///
    /// # Panics
    /// If the weight is not 1 to 100 (kube-scheduler's range).
    #[must_use]
    pub fn with(mut self, score: Arc<dyn Score>, weight: u32) -> Scores {
        assert!((1..=100).contains(&weight), "a weight is 1 to 100");
        self.parts.push((score, i64::from(weight)));
        self
    }

    /// Looks up `names` with weights among the built-in scores and `own`.
    ///
    /// # Errors
    /// The first name that is not known.
    pub fn by_name<'n>(
        names: impl IntoIterator<Item = (&'n str, u32)>,
        own: &[Arc<dyn Score>],
    ) -> Result<Scores, String> {
        let mut scores = Scores::none();
        for (name, weight) in names {
            let found: Arc<dyn Score> = match name {
                "least-allocated" => Arc::new(LeastAllocated),
                "most-allocated" => Arc::new(MostAllocated),
                "balanced-allocation" => Arc::new(BalancedAllocation),
                "random" => {
                    scores.random = true;
                    continue;
                }
                _ => own.iter().find(|s| s.name() == name).cloned().ok_or_else(|| name.to_owned())?,
            };
            scores = scores.with(found, weight);
        }
        Ok(scores)
    }

    /// Whether ties are broken at random whatever else is said: the score `random` is a draw among
    /// the nodes that the other scores leave equal.
    #[must_use]
    pub fn is_random(&self) -> bool {
        self.random
    }

    /// The weighted sum for a node that fits.
    ///
    /// # Panics
    /// If a policy leaves 0..=100.
    #[must_use]
    pub fn total(&self, request: &Request, cluster: &Cluster, node: NodeId) -> i32 {
        let view = NodeView { cluster, node, class: cluster.class(node) };
        let mut total = 0;
        for (score, weight) in &self.parts {
            let value = score.score(request, view);
            assert!((0..=100).contains(&value), "score {} gave {value}, outside 0..=100", score.name());
            total += value * weight;
        }
        i32::try_from(total).expect("few scores of at most 100 x 100")
    }
}

/// Requested after binding and capacity, of CPU and memory.
fn usage(request: &Request, node: NodeView<'_>) -> [(u64, u64); 2] {
    let (cpu, memory) = (node.class.cpu.0, node.class.memory.0);
    [
        (cpu - node.cluster.cpu_free(node.node).0 + request.cpu.0, cpu),
        (memory - node.cluster.memory_free(node.node).0 + request.memory.0, memory),
    ]
}

/// Mean over the resources that the node has, in integers.
fn mean(usage: [(u64, u64); 2], score: impl Fn(u64, u64) -> u64) -> i64 {
    let (mut sum, mut weight) = (0, 0);
    for (requested, capacity) in usage {
        if capacity != 0 {
            sum += score(requested, capacity);
            weight += 1;
        }
    }
    sum.checked_div(weight).map_or(0, |mean: u64| mean as i64)
}

/// kube-scheduler's LeastAllocated over CPU and memory: `(capacity − requested)·100 ÷ capacity`.
#[derive(Clone, Copy, Debug)]
pub struct LeastAllocated;

impl Score for LeastAllocated {
    fn name(&self) -> &str {
        "least-allocated"
    }
    fn score(&self, request: &Request, node: NodeView<'_>) -> i64 {
        mean(usage(request, node), |requested, capacity| capacity.saturating_sub(requested) * 100 / capacity)
    }
}

/// kube-scheduler's MostAllocated over CPU and memory: `requested·100 ÷ capacity`.
#[derive(Clone, Copy, Debug)]
pub struct MostAllocated;

impl Score for MostAllocated {
    fn name(&self) -> &str {
        "most-allocated"
    }
    fn score(&self, request: &Request, node: NodeView<'_>) -> i64 {
        mean(usage(request, node), |requested, capacity| requested.min(capacity) * 100 / capacity)
    }
}

/// kube-scheduler's NodeResourcesBalancedAllocation of 1.25–1.35 over CPU and memory:
/// `(1 − |f₁ − f₂| ÷ 2)·100`, truncated; a resource that the node lacks is left out.
///
/// The only float in a score: one division each and IEEE subtraction, equal on every processor.
#[derive(Clone, Copy, Debug)]
pub struct BalancedAllocation;

impl Score for BalancedAllocation {
    fn name(&self) -> &str {
        "balanced-allocation"
    }
    fn score(&self, request: &Request, node: NodeView<'_>) -> i64 {
        let fraction = |(requested, capacity): (u64, u64)| (requested as f64 / capacity as f64).min(1.0);
        let [cpu, memory] = usage(request, node);
        let deviation = match (cpu.1, memory.1) {
            (0, _) | (_, 0) => 0.0,
            _ => ((fraction(cpu) - fraction(memory)) / 2.0).abs(),
        };
        ((1.0 - deviation) * 100.0) as i64
    }
}
