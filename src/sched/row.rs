//! Every node's status and score for each shape of pod, brought up to date lazily.
//!
//! A row is a tournament tree over the nodes: leaves hold a node's score, or why it refuses; inner
//! nodes hold the best below them. Binding a pod changes one node, so a row that is asked again
//! recomputes only the nodes changed since, and answers from its root:
//! *O*(changes · log nodes + log nodes), where a scan costs *O*(nodes). A shape seen for the first
//! time is scanned, since building a row costs more and many shapes come once.

use super::filter::Shape;
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
    rows: Vec<Slot>,
    scores: Scores,
    nodes: usize,
    /// Leaves of one tree: nodes rounded up to a power of two.
    width: usize,
    leaves: usize,
    /// Whether ties are counted, for a uniform draw among them.
    counted: bool,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Unseen,
    SeenOnce,
    Row(Row),
}

#[derive(Debug)]
struct Row {
    /// Tournament tree, root at 1, leaves from `width`: a score, or the complement of a refusal.
    best: Vec<i32>,
    /// Nodes below that reach the best; empty unless ties are counted.
    ties: Vec<u32>,
    /// Nodes by refusal.
    refused: Vec<(u8, u32)>,
    /// Mark of the cluster's log up to which the row is true.
    seen: u64,
}

/// Adds `change` to the count of `mask`.
pub fn count(counts: &mut Vec<(u8, u32)>, mask: u8, change: i32) {
    match counts.iter_mut().find(|c| c.0 == mask) {
        Some(found) => found.1 = found.1.checked_add_signed(change).expect("a count of nodes"),
        None => counts.push((mask, u32::try_from(change).expect("a first count is positive"))),
    }
}

impl Rows {
    /// Rows for so many shapes over the nodes of `cluster`.
    #[must_use]
    pub fn new(shapes: usize, cluster: &Cluster, scores: Scores, counted: bool) -> Rows {
        Rows {
            rows: (0..shapes).map(|_| Slot::Unseen).collect(),
            scores,
            nodes: cluster.len(),
            width: cluster.len().next_power_of_two(),
            leaves: 0,
            counted,
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
        if let Slot::Unseen = self.rows[shape.index()] {
            self.rows[shape.index()] = Slot::SeenOnce;
            return self.scan(of, cluster, ties);
        }
        let width = self.width;
        let row = self.row(shape, of, cluster);
        row.winner(width, ties)
    }

    /// Nodes by refusal for a shape that no node takes, sorted.
    pub fn refusals(&mut self, shape: ShapeId, of: &Shape, cluster: &Cluster) -> Vec<(u8, u32)> {
        let mut counts = match &self.rows[shape.index()] {
            Slot::Row(_) => self.row(shape, of, cluster).refused.clone(),
            _ => {
                let mut counts = Vec::new();
                for node in cluster.nodes() {
                    let refusal = of.refusal(cluster, node);
                    if !refusal.is_none() {
                        count(&mut counts, refusal.0, 1);
                    }
                }
                counts
            }
        };
        counts.retain(|c| 0 < c.1);
        counts.sort_unstable();
        counts
    }

    /// The slow, obvious way: look at every node.
    fn scan(&self, of: &Shape, cluster: &Cluster, ties: Option<&mut Stream>) -> Option<NodeId> {
        let mut best: Option<(i32, NodeId)> = None;
        let mut equals = 0;
        for node in cluster.nodes() {
            let value = leaf(&self.scores, of, cluster, node);
            match best {
                _ if value < 0 => {}
                Some((score, _)) if value < score => {}
                Some((score, _)) if value == score => equals += 1,
                _ => (best, equals) = (Some((value, node)), 1),
            }
        }
        let (score, first) = best?;
        let Some(stream) = ties else { return Some(first) };
        let chosen = stream.below(equals) as usize;
        cluster.nodes().filter(|node| leaf(&self.scores, of, cluster, *node) == score).nth(chosen)
    }

    /// The row of a shape, true as of now.
    fn row(&mut self, shape: ShapeId, of: &Shape, cluster: &Cluster) -> &Row {
        if !matches!(self.rows[shape.index()], Slot::Row(_)) {
            self.make_room();
            let ties = if self.counted { vec![0; 2 * self.width] } else { Vec::new() };
            self.rows[shape.index()] = Slot::Row(Row {
                best: vec![i32::MIN; 2 * self.width],
                ties,
                refused: Vec::new(),
                seen: u64::MAX,
            });
        }
        let Slot::Row(row) = &mut self.rows[shape.index()] else { unreachable!("made above") };
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
            self.rows
                .iter_mut()
                .filter(|row| matches!(row, Slot::Row(_)))
                .for_each(|row| *row = Slot::SeenOnce);
        }
    }
}

/// A node's entry: its score, or the complement of its refusal, which is below zero.
fn leaf(scores: &Scores, of: &Shape, cluster: &Cluster, node: NodeId) -> i32 {
    let refusal = of.refusal(cluster, node);
    if refusal.is_none() { scores.total(&of.request, cluster, node) } else { !i32::from(refusal.0) }
}

impl Row {
    fn rebuild(&mut self, width: usize, nodes: usize, leaf: impl Fn(NodeId) -> i32) {
        self.refused.clear();
        for index in 0..nodes {
            let value = leaf(NodeId::of(index));
            self.best[width + index] = value;
            if value < 0 {
                count(&mut self.refused, !value as u8, 1);
            }
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
        let old = std::mem::replace(&mut self.best[index], value);
        if old == value {
            return;
        }
        if old < 0 {
            count(&mut self.refused, !old as u8, -1);
        }
        if value < 0 {
            count(&mut self.refused, !value as u8, 1);
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
