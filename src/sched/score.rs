//! Scores: which of the nodes that fit is best, 0 to 100 each, weighted and summed.
//!
//! A policy of your own is one implementation of [`Score`]; see `examples/own_score.rs`. Scores
//! must be pure functions of the request and the node's state, because they are remembered until
//! the node changes.

use crate::cluster::{Cluster, NodeClass, cut};
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

    /// Adds `weight` × score to the total of every node that is not refused, all in node order.
    ///
    /// Only a speed-up: implementations that override it must agree with [`Score::score`].
    fn add_scores(
        &self,
        request: &Request,
        cluster: &Cluster,
        weight: i64,
        refused: &[u8],
        totals: &mut [i32],
    ) {
        for (index, total) in totals.iter_mut().enumerate().filter(|(index, _)| refused[*index] == 0) {
            *total += weighted(self, request, cluster, NodeId::of(index), weight);
        }
    }

    /// Adds to every node's bound a number that `weight` × score does not exceed by more than a
    /// thousandth of `weight`; whether it could. A scan then scores only nodes that can be the best.
    ///
    /// Only a speed-up; what is added for a node that does not fit means nothing.
    fn add_bounds(&self, _request: &Request, _cluster: &Cluster, _weight: i64, _bounds: &mut [f32]) -> bool {
        false
    }
}

/// The weighted score of a node that fits.
///
/// # Panics
/// If the policy leaves 0..=100.
fn weighted<S: Score + ?Sized>(
    score: &S,
    request: &Request,
    cluster: &Cluster,
    node: NodeId,
    weight: i64,
) -> i32 {
    let value = score.score(request, NodeView { cluster, node, class: cluster.class(node) });
    assert!((0..=100).contains(&value), "score {} gave {value}, outside 0..=100", score.name());
    (value * weight) as i32
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
        self.parts.iter().map(|(score, weight)| weighted(&**score, request, cluster, node, *weight)).sum()
    }

    /// Sets every node's bound, which its total does not exceed by more than is returned; `None` where
    /// some score has no bounds.
    pub fn bounds(&self, request: &Request, cluster: &Cluster, bounds: &mut Vec<f32>) -> Option<f32> {
        bounds.clear();
        bounds.resize(cluster.len(), 0.0);
        let all =
            self.parts.iter().all(|(score, weight)| score.add_bounds(request, cluster, *weight, bounds));
        let weights: i64 = self.parts.iter().map(|(_, weight)| weight).sum();
        (all && !self.parts.is_empty()).then_some(weights as f32 * 1e-3)
    }

    /// The same for all nodes in node order; what stands for a refused node means nothing.
    pub fn totals(&self, request: &Request, cluster: &Cluster, refused: &[u8], totals: &mut Vec<i32>) {
        totals.clear();
        totals.resize(cluster.len(), 0);
        for (score, weight) in &self.parts {
            score.add_scores(request, cluster, *weight, refused, totals);
        }
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

    /// Equal nodes divide by equal capacities, so the division becomes a multiplication and several
    /// nodes are scored at once. Refused nodes get a number that means nothing.
    fn add_scores(
        &self,
        request: &Request,
        cluster: &Cluster,
        weight: i64,
        refused: &[u8],
        totals: &mut [i32],
    ) {
        for run in cluster.runs() {
            let class = &cluster.classes()[run.class];
            let divisors = (Divisor::percent_of(class.cpu.0), Divisor::percent_of(class.memory.0));
            let (Some(of_cpu), Some(of_memory)) = divisors else {
                for index in run.nodes.clone().filter(|index| refused[*index] == 0) {
                    totals[index] += weighted(self, request, cluster, NodeId::of(index), weight);
                }
                continue;
            };
            let (cpu, memory) = (cut(request.cpu.0), cut(request.memory.0));
            let cpus = &cluster.cpus_free()[run.nodes.clone()];
            let memories = &cluster.memories_free()[run.nodes.clone()];
            for ((total, cpu_free), memory_free) in
                totals[run.nodes.clone()].iter_mut().zip(cpus).zip(memories)
            {
                let cpu_score = of_cpu.percent(cpu_free.wrapping_sub(cpu));
                let memory_score = of_memory.percent(memory_free.wrapping_sub(memory));
                *total =
                    total.wrapping_add(((cpu_score + memory_score) / 2).wrapping_mul(weight as u32) as i32);
            }
        }
    }

    /// 50 × the sum of the free shares, which the score rounds down from. In float32, operands are at
    /// most 1 and each of the few operations is off by at most 2⁻²⁴ of them.
    fn add_bounds(&self, request: &Request, cluster: &Cluster, weight: i64, bounds: &mut [f32]) -> bool {
        const MOST: u64 = i32::MAX as u64;
        let exact = |amount: u64| (1..MOST).contains(&amount);
        if cluster.classes().iter().any(|class| !exact(class.cpu.0) || !exact(class.memory.0)) {
            return false;
        }
        let weight = 50.0 * weight as f32;
        for run in cluster.runs() {
            let class = &cluster.classes()[run.class];
            let of = |amount: u64, asked: u64| (1.0 / amount as f32, asked as f32 / amount as f32);
            let (cpu, asked_cpu) = of(class.cpu.0, request.cpu.0);
            let (memory, asked_memory) = of(class.memory.0, request.memory.0);
            let cpus = &cluster.cpus_free()[run.nodes.clone()];
            let memories = &cluster.memories_free()[run.nodes.clone()];
            for ((bound, cpu_free), memory_free) in
                bounds[run.nodes.clone()].iter_mut().zip(cpus).zip(memories)
            {
                // Signed, since only signed integers become floats at once.
                let a = *cpu_free as i32 as f32 * cpu - asked_cpu;
                let b = *memory_free as i32 as f32 * memory - asked_memory;
                *bound += weight * (a + b);
            }
        }
        true
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

/// Division by a capacity through one multiplication, exact for the numerators that occur.
#[derive(Clone, Copy, Debug)]
struct Divisor {
    factor: u64,
    shift: u32,
}

impl Divisor {
    /// Numerators are below 2³¹: capacities of up to 21 million thousandths or MiB, times 100.
    const BITS: u32 = 31;

    /// For `100 · x ÷ capacity`; `None` without capacity or beyond the exact range.
    fn percent_of(capacity: u64) -> Option<Divisor> {
        if capacity == 0 || 1 << Self::BITS <= capacity * 100 {
            return None;
        }
        // ⌈2^(31+k) ÷ d⌉ with 2^k ≥ d gives the exact quotient of every numerator up to 2³¹
        // (Granlund and Montgomery 1994, theorem 4.2), and stays within 32 bits.
        let log = capacity.next_power_of_two().trailing_zeros();
        let shift = Self::BITS + log;
        Some(Divisor { factor: (1_u64 << shift).div_ceil(capacity), shift })
    }

    /// `100 · amount ÷ capacity`, rounded down; any number for an amount above the capacity.
    fn percent(self, amount: u32) -> u32 {
        (u64::from(amount.wrapping_mul(100)).wrapping_mul(self.factor) >> self.shift) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_are_exact() {
        let mut stream = crate::rng::Stream::new(1, "test", 0);
        for capacity in [1, 2, 3, 7, 96_000, 393_216, 65_536, 21_474_836]
            .into_iter()
            .chain((0..200).map(|_| 1 + stream.below(21_474_836)))
        {
            let divisor = Divisor::percent_of(capacity).expect("in range");
            for amount in [0, 1, capacity / 3, capacity / 2, capacity - 1, capacity]
                .into_iter()
                .chain((0..2_000).map(|i| i * 99_991 % (capacity + 1)))
            {
                assert_eq!(
                    u64::from(divisor.percent(amount as u32)),
                    100 * amount / capacity,
                    "{amount} of {capacity}"
                );
            }
        }
        assert!(Divisor::percent_of(21_474_837).is_none() && Divisor::percent_of(0).is_none());
    }
}
