//! Scores in kube-scheduler's arithmetic (`plugins/noderesources/`), normalization, and the choice
//! of the best node.

use super::node::Usage;
use super::resource::{Amounts, PodRequest, ResourceId};

/// A resource that a score looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub resource: ResourceId,
    /// Its weight.
    pub weight: i64,
}

/// CPU and memory at weight 1: what both resource scores look at unless they are told.
pub const DEFAULT_RESOURCES: [Listed; 2] =
    [Listed { resource: ResourceId::CPU, weight: 1 }, Listed { resource: ResourceId::MEMORY, weight: 1 }];

/// How NodeResourcesFit scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// More free is better.
    Least,
    /// More used is better.
    Most,
    /// A broken line through (utilization in percent, score of 0 to 10), ascending.
    Ratio(Vec<(i64, i64)>),
}

/// What a score sees of a node.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    /// Allocatable amounts.
    pub allocatable: &'a Amounts,
    /// What stands on it, without the pod.
    pub usage: &'a Usage,
}

/// Allocatable amount and what would be used with the pod, of a resource that counts for it.
fn used(resource: ResourceId, request: &PodRequest, room: Room<'_>, nonzero: bool) -> Option<(i64, i64)> {
    let capacity = room.allocatable.get(resource);
    let asked = request.real.get(resource);
    if capacity == 0 || (resource.is_scalar() && asked == 0) {
        return None;
    }
    let phantom = nonzero && resource < ResourceId::EPHEMERAL;
    let of = resource.index();
    Some(match phantom {
        true => (capacity, room.usage.nonzero[of] + request.nonzero[of]),
        false => (capacity, room.usage.real.get(resource) + asked),
    })
}

/// NodeResourcesFit's score, 0 to 100. CPU and memory count with the defaults for containers that
/// ask for none, in all strategies.
#[must_use]
pub fn fit(strategy: &Strategy, listed: &[Listed], request: &PodRequest, room: Room<'_>) -> i64 {
    let (mut sum, mut weights) = (0, 0);
    for Listed { resource, weight } in listed {
        let Some((capacity, used)) = used(*resource, request, room, true) else { continue };
        let score = match strategy {
            Strategy::Least if capacity < used => 0,
            Strategy::Least => (capacity - used) * 100 / capacity,
            Strategy::Most => used.min(capacity) * 100 / capacity,
            Strategy::Ratio(shape) => {
                let utilization = if capacity < used { 100 } else { used * 100 / capacity };
                match broken_line(shape, utilization) {
                    // A score of 0 leaves the resource out of the mean as well.
                    0 => continue,
                    score => score,
                }
            }
        };
        sum += weight * score;
        weights += weight;
    }
    match (weights, strategy) {
        (0, _) => 0,
        // Both are whole numbers, so half away from zero is exact in integers: 2⌊(2s + w) ÷ 2w⌋.
        (_, Strategy::Ratio(_)) => (2 * sum + weights) / (2 * weights),
        _ => sum / weights,
    }
}

/// The line through `shape` at `utilization`; scores are 0 to 10 there and 0 to 100 here.
fn broken_line(shape: &[(i64, i64)], utilization: i64) -> i64 {
    for (index, (at, score)) in shape.iter().enumerate() {
        if utilization <= *at {
            let Some((before, low)) = index.checked_sub(1).map(|i| shape[i]) else { return score * 10 };
            // Division truncates toward zero, on falling segments too.
            return low * 10 + (score - low) * 10 * (utilization - before) / (at - before);
        }
    }
    shape.last().map_or(0, |(_, score)| score * 10)
}

/// NodeResourcesBalancedAllocation's score, 0 to 100; `None` where it leaves the pod out.
#[must_use]
pub fn balanced(
    listed: &[Listed],
    request: &PodRequest,
    room: Room<'_>,
    rules: &super::rules::Rules,
) -> Option<i64> {
    if rules.balanced_skips && listed.iter().all(|listed| request.real.get(listed.resource) == 0) {
        return None;
    }
    let counted = listed.iter().filter_map(|l| used(l.resource, request, room, false));
    if !rules.balanced_change {
        return Some(balance(counted));
    }
    let before = listed.iter().filter_map(|l| {
        used(l.resource, request, room, false).map(|(cap, with)| (cap, with - request.real.get(l.resource)))
    });
    Some(balance_change(balance(counted), balance(before)))
}

/// How a change of balance is scored [1.36+]: 50 worse, 75 neutral, 100 better.
#[must_use]
pub fn balance_change(with: i64, without: i64) -> i64 {
    50 + (50 + with - without) / 2
}

/// How evenly (allocatable, used) pairs are used: 100 less their standard deviation in percent,
/// truncated. float64 as upstream: the same operations in the same order, all exact by IEEE 754.
pub fn balance(used: impl Iterator<Item = (i64, i64)>) -> i64 {
    let mut fractions: [f64; super::resource::Resources::MOST] = [0.0; super::resource::Resources::MOST];
    let mut count = 0;
    for (capacity, used) in used.filter(|(capacity, _)| *capacity != 0) {
        fractions[count] = (used as f64 / capacity as f64).min(1.0);
        count += 1;
    }
    let fractions = &fractions[..count];
    let deviation = match fractions {
        [] | [_] => 0.0,
        [one, other] => ((one - other) / 2.0).abs(),
        more => {
            let count = more.len() as f64;
            let mean = more.iter().fold(0.0, |sum, fraction| sum + fraction) / count;
            let squares = more.iter().fold(0.0, |sum, f| sum + (f - mean) * (f - mean));
            (squares / count).sqrt()
        }
    };
    ((1.0 - deviation) * 100.0) as i64
}

/// `DefaultNormalizeScore`: the largest becomes `most`; reversed, the largest becomes 0.
pub fn normalize(scores: &mut [i64], most: i64, reverse: bool) {
    let largest = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        *score = match largest {
            0 if reverse => most,
            0 => *score,
            _ if reverse => most - most * *score / largest,
            _ => most * *score / largest,
        };
    }
}

/// How many feasible nodes a cycle looks for among `nodes` (`numFeasibleNodesToFind`). A percentage
/// of 0 adapts to the size of the cluster; the profile's wins over the global one.
#[must_use]
pub fn feasible_wanted(nodes: i32, global: i32, profile: Option<i32>) -> i32 {
    const LEAST: i32 = 100;
    if nodes < LEAST {
        return nodes;
    }
    let percentage = match profile.unwrap_or(global) {
        0 => (50 - nodes / 125).max(5),
        given => given,
    };
    LEAST.max(nodes.wrapping_mul(percentage) / 100)
}

/// The position of the best total as the binary heap of 1.35 has it: heapified from the feasible
/// order, so that ties go where its sifting leaves them; see [`heap_rank`].
#[must_use]
pub fn heap_head(totals: &[i64]) -> Option<usize> {
    let best = *totals.iter().max()?;
    let tied = (0..totals.len()).filter(|at| totals[*at] == best);
    tied.min_by_key(|at| heap_rank(*at))
}

/// Orders positions that tie for the best total: the lowest becomes the head of the heap.
///
/// A node is replaced by a child only where that is strictly better, and by the right one only where
/// that is strictly better than the left. So the head of a subtree that holds a best total is its own
/// node, else the head of the left part, else of the right: the first in pre-order. Paths from the
/// root are the binary digits of the position plus one; compared from the first digit on, the shorter
/// of two equal ones first, they are in pre-order.
#[must_use]
pub fn heap_rank(at: usize) -> (u32, u32) {
    let path = at as u32 + 1;
    (path << path.leading_zeros(), path)
}

fn heap(totals: &[i64]) -> Vec<u32> {
    let mut heap: Vec<u32> = (0..totals.len() as u32).collect();
    for at in (0..totals.len() / 2).rev() {
        sift_down(&mut heap, totals, at);
    }
    heap
}

fn sift_down(heap: &mut [u32], totals: &[i64], mut at: usize) {
    let total = |heap: &[u32], at: usize| totals[heap[at] as usize];
    loop {
        let left = 2 * at + 1;
        if heap.len() <= left {
            return;
        }
        let right = left + 1;
        let best = if right < heap.len() && total(heap, left) < total(heap, right) { right } else { left };
        if total(heap, best) <= total(heap, at) {
            return;
        }
        heap.swap(at, best);
        at = best;
    }
}

/// The order in which that heap gives the nodes up (Go's `container/heap`: the last takes the place
/// of the first and sinks).
#[must_use]
pub fn heap_order(totals: &[i64]) -> Vec<usize> {
    let mut heap = heap(totals);
    let mut order = Vec::with_capacity(heap.len());
    while let Some(last) = heap.len().checked_sub(1) {
        heap.swap(0, last);
        order.push(heap.pop().expect("not empty") as usize);
        sift_down(&mut heap, totals, 0);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_known_without_the_heap() {
        let mut stream = crate::rng::Stream::new(1, "heap", 0);
        for length in (1..130).chain([419, 420, 1_000]) {
            for distinct in [1, 2, 3, 50] {
                let totals: Vec<i64> = (0..length).map(|_| stream.below(distinct) as i64).collect();
                assert_eq!(heap_head(&totals), Some(heap_order(&totals)[0]), "{totals:?}");
            }
        }
    }
}
