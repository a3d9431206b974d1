//! Every node's status and score for each shape of pod, brought up to date lazily.
//!
//! A row is a tournament tree over the nodes: leaves hold a node's score, or that it refuses; inner
//! nodes hold the best below them. Binding a pod changes one node, so a row that is asked again
//! recomputes only the nodes changed since, and answers from its root:
//! *O*(changes · log nodes + log nodes). A scan costs *O*(nodes), yet it looks at several nodes at
//! once; so a shape that is asked for rarely, with many changes between, is scanned, and only
//! shapes in demand keep a row. Both give the same answer.

use super::bound::Bounds;
use super::filter::{Refusal, Shape};
use super::score::Scores;
use crate::cluster::Cluster;
use crate::id::{NodeId, ShapeId};
use crate::rng::Stream;

/// Leaves in all rows together; beyond it all rows are dropped and built anew on demand. 2²³ leaves
/// are 64 MiB.
const LEAVES_MAX: usize = 1 << 23;

/// Rows of all shapes.
#[derive(Debug)]
pub struct Rows {
    rows: Vec<Option<Row>>,
    /// The cluster's mark when each shape was last asked for.
    asked: Vec<Option<u64>>,
    scores: Scores,
    nodes: usize,
    /// Leaves of one tree: nodes rounded up to a power of two.
    width: usize,
    leaves: usize,
    /// Whether ties are counted, for a uniform draw among them.
    counted: bool,
    /// Scratch of a scan.
    refused: Vec<u8>,
    totals: Vec<i32>,
    bounds: Bounds,
}

#[derive(Debug)]
struct Row {
    /// Tournament tree, root at 1, leaves from `width`: a score, or −1 for a refusal.
    best: Vec<i32>,
    /// Nodes below that reach the best; empty unless ties are counted.
    ties: Vec<u32>,
    /// Mark of the cluster's log up to which the row is true.
    seen: u64,
}

impl Rows {
    /// Rows for so many shapes over the nodes of `cluster`.
    #[must_use]
    pub fn new(shapes: usize, cluster: &Cluster, scores: Scores, counted: bool) -> Rows {
        Rows {
            rows: (0..shapes).map(|_| None).collect(),
            asked: vec![None; shapes],
            scores,
            nodes: cluster.len(),
            width: cluster.len().next_power_of_two(),
            leaves: 0,
            counted,
            refused: Vec::new(),
            totals: Vec::new(),
            bounds: Bounds::default(),
        }
    }

    /// The best node for a shape: highest total score, then first in node order, or a draw from
    /// `ties` among the equals.
    pub fn best(
        &mut self,
        shape: ShapeId,
        of: &Shape,
        cluster: &Cluster,
        ties: Option<&mut Stream>,
    ) -> Option<NodeId> {
        let before = self.asked[shape.index()].replace(cluster.mark());
        // Bringing one leaf up to date costs about as much as scanning this many nodes.
        const NODES_PER_LEAF: u64 = 16;
        let worth = before.is_some_and(|mark| (cluster.mark() - mark) * NODES_PER_LEAF < self.nodes as u64);
        if !worth {
            return self.scan(of, cluster, ties);
        }
        let width = self.width;
        self.row(shape, of, cluster).winner(width, ties)
    }

    /// Nodes by refusal for a shape that no node takes, sorted. Nodes that are not there say nothing.
    pub fn refusals(&mut self, of: &Shape, cluster: &Cluster) -> Vec<(u8, u32)> {
        of.refusals(cluster, &mut self.refused);
        let mut by_mask = [0_u32; 1 << u8::BITS];
        self.refused.iter().for_each(|mask| by_mask[usize::from(*mask)] += 1);
        by_mask[usize::from(Refusal::ABSENT)] = 0;
        let counts = by_mask.iter().enumerate().skip(1).filter(|(_, nodes)| 0 < **nodes);
        counts.map(|(mask, nodes)| (mask as u8, *nodes)).collect()
    }

    /// The same as [`Rows::best`], by looking at every node.
    pub fn scan(&mut self, of: &Shape, cluster: &Cluster, ties: Option<&mut Stream>) -> Option<NodeId> {
        if ties.is_none()
            && let Some(slack) = self.scores.bounds(&of.request, cluster, &mut self.bounds.values)
        {
            of.mask(cluster, &mut self.bounds.values);
            return self.first_by_bounds(of, cluster, slack);
        }
        of.refusals(cluster, &mut self.refused);
        self.scores.totals(&of.request, cluster, &self.refused, &mut self.totals);
        let (best, first) = leftmost_max(&self.totals, &self.refused)?;
        let Some(stream) = ties else { return Some(NodeId::of(first)) };
        let equals = || values(&self.totals, &self.refused).enumerate().filter(|(_, value)| *value == best);
        let chosen = stream.below(equals().count() as u64);
        equals().map(|(index, _)| NodeId::of(index)).nth(chosen as usize)
    }

    /// The first of the best nodes: one of the highest bound is scored, and then only those whose bound
    /// reaches the best score.
    fn first_by_bounds(&mut self, of: &Shape, cluster: &Cluster, slack: f32) -> Option<NodeId> {
        let highest = self.bounds.highest()?;
        let score = |index: usize| self.scores.total(&of.request, cluster, NodeId::of(index));
        let mut best = (score(highest), highest);
        for index in self.bounds.at_least(best.0 as f32 - slack) {
            let score = score(index);
            if best.0 < score || (score == best.0 && index < best.1) {
                best = (score, index);
            }
        }
        Some(NodeId::of(best.1))
    }

    /// The row of a shape, true as of now.
    fn row(&mut self, shape: ShapeId, of: &Shape, cluster: &Cluster) -> &Row {
        if self.rows[shape.index()].is_none() {
            self.make_room();
        }
        let (width, counted) = (self.width, self.counted);
        let row = self.rows[shape.index()].get_or_insert_with(|| Row {
            best: vec![i32::MIN; 2 * width],
            ties: if counted { vec![0; 2 * width] } else { Vec::new() },
            seen: u64::MAX,
        });
        let changes = (row.seen <= cluster.mark()).then(|| cluster.changes_since(row.seen)).flatten();
        match changes {
            Some(changed) => {
                for node in changed {
                    row.set(self.width, node, leaf(&self.scores, of, cluster, node));
                }
            }
            None => row.rebuild(self.width, self.nodes, |node| leaf(&self.scores, of, cluster, node)),
        }
        row.seen = cluster.mark();
        row
    }

    fn make_room(&mut self) {
        self.leaves += self.width;
        if LEAVES_MAX < self.leaves {
            self.leaves = self.width;
            self.rows.fill_with(|| None);
        }
    }
}

/// Totals, and −1 where a node refuses: a mask of ones swallows whatever stands there.
fn values(totals: &[i32], refused: &[u8]) -> impl Iterator<Item = i32> {
    totals.iter().zip(refused).map(|(total, refused)| *total | -i32::from(*refused != 0))
}

/// The largest value and where it stands first; `None` where all refuse.
fn leftmost_max(totals: &[i32], refused: &[u8]) -> Option<(i32, usize)> {
    /// Long enough to compare many at once, short enough to search for the place.
    const CHUNK: usize = 64;
    let mut best = (-1, 0);
    for (index, (totals, refused)) in totals.chunks(CHUNK).zip(refused.chunks(CHUNK)).enumerate() {
        let largest = values(totals, refused).fold(-1, i32::max);
        if best.0 < largest {
            best = (largest, index * CHUNK);
        }
    }
    let (value, start) = best;
    let place = || values(&totals[start..], &refused[start..]).position(|v| v == value);
    (0 <= value).then(|| (value, start + place().expect("it was seen in this chunk")))
}

/// A node's entry: its score, or −1 where it refuses.
fn leaf(scores: &Scores, of: &Shape, cluster: &Cluster, node: NodeId) -> i32 {
    let refusal = of.refusal(cluster, node);
    if refusal.is_none() { scores.total(&of.request, cluster, node) } else { -1 }
}

impl Row {
    fn rebuild(&mut self, width: usize, nodes: usize, leaf: impl Fn(NodeId) -> i32) {
        for index in 0..nodes {
            self.best[width + index] = leaf(NodeId::of(index));
            if let Some(ties) = self.ties.get_mut(width + index) {
                *ties = 1;
            }
        }
        for parent in (1..width).rev() {
            self.pull(parent);
        }
    }

    /// Recomputes an inner node; whether it changed.
    fn pull(&mut self, parent: usize) -> bool {
        let (left, right) = (self.best[2 * parent], self.best[2 * parent + 1]);
        let best = left.max(right);
        let mut changed = self.best[parent] != best;
        self.best[parent] = best;
        if !self.ties.is_empty() {
            let of = |value: i32, ties: u32| if value == best { ties } else { 0 };
            let ties = of(left, self.ties[2 * parent]) + of(right, self.ties[2 * parent + 1]);
            changed |= self.ties[parent] != ties;
            self.ties[parent] = ties;
        }
        changed
    }

    fn set(&mut self, width: usize, node: NodeId, value: i32) {
        let index = width + node.index();
        if std::mem::replace(&mut self.best[index], value) == value {
            return;
        }
        let mut at = index / 2;
        while 0 < at && self.pull(at) {
            at /= 2;
        }
    }

    fn winner(&self, width: usize, ties: Option<&mut Stream>) -> Option<NodeId> {
        let best = self.best[1];
        if best < 0 {
            return None;
        }
        let mut skip = ties.map_or(0, |stream| stream.below(u64::from(self.ties[1])) as u32);
        let mut at = 1;
        while at < width {
            at *= 2;
            if self.best[at] != best {
                at += 1;
            } else if 0 < skip && self.ties[at] <= skip {
                skip -= self.ties[at];
                at += 1;
            }
        }
        Some(NodeId::of(at - width))
    }
}
