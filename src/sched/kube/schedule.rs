//! A cycle's way to a node: filters from the start index on, scores, the choice among the best.

use super::filter::{Code, Plugins, Reasons, Status};
use super::queue::Facts;
use super::row::PlainScores;
use super::{Devices, Kube, Settings, score};
use crate::id::{NodeId, PodId, ShapeId};
use crate::sched::bound;
use std::collections::BTreeSet;

impl Kube {
    /// Filter, score, choose; `None` where no node takes the pod.
    pub(super) fn schedule(
        &mut self,
        pod: PodId,
        facts: Facts,
        nominated: Option<NodeId>,
        devices: &mut impl Devices,
    ) -> Option<Found> {
        // The status of a nominated node that refuses counts, whether the scan reaches it or not.
        let mut extra = None;
        if let Some(node) = nominated.filter(|node| self.cache.node(*node).present) {
            if self.cache.status(pod, facts, node, devices).is_success() {
                return Some(Found { node, feasible: 1, evaluated: 1 });
            }
            extra = Some(node);
        }
        let all = self.list.len();
        if all == 0 || self.is_known_failure(facts, nominated) {
            return None;
        }
        if let Some(names) = self.cache.pinned(facts.shape).cloned() {
            return self.schedule_pinned(pod, facts, extra, &names, devices);
        }
        let wanted = self.wanted(all);
        let plain = match self.cache.has_nominees() || self.cache.has_fresh_row(facts.shape) {
            true => None,
            false => self.cache.plain(facts.shape),
        };
        let scan = plain.and_then(|scores| self.scan_plain(facts.shape, scores, wanted));
        let Scan { visited, feasible, node } = match scan {
            Some(scan) => scan,
            None => self.scan(pod, facts, wanted, devices),
        };
        let mut evaluated = visited;
        if let Some(node) = extra {
            let at = self.list.iter().position(|other| *other == node).expect("it is present");
            evaluated += usize::from(visited <= (at + all - self.start % all) % all);
        }
        self.start = (self.start + evaluated) % all;
        node.map(|node| Found { node, feasible, evaluated })
    }

    /// The nodes of a list that are named.
    pub(super) fn named(&self, names: &BTreeSet<String>) -> Vec<NodeId> {
        let is_named = |node: &&NodeId| names.contains(&self.cache.node(**node).name);
        self.list.iter().filter(is_named).copied().collect()
    }

    /// Filter, score, choose for a pod that names its nodes: only those are visited, in node order,
    /// where upstream takes them in the order of a map.
    fn schedule_pinned(
        &mut self,
        pod: PodId,
        facts: Facts,
        extra: Option<NodeId>,
        names: &BTreeSet<String>,
        devices: &mut impl Devices,
    ) -> Option<Found> {
        if names.is_empty() {
            // PreFilter refused, and the start stays.
            return None;
        }
        let nodes = self.named(names);
        let wanted = self.wanted(nodes.len());
        let mut feasible = Vec::new();
        let mut refused = BTreeSet::from_iter(extra);
        for offset in 0..nodes.len() {
            let node = nodes[(self.start + offset) % nodes.len()];
            if !self.cache.status(pod, facts, node, devices).is_success() {
                refused.insert(node);
            } else if feasible.len() < wanted {
                feasible.push(node);
            } else {
                break;
            }
        }
        let evaluated = feasible.len() + refused.len();
        let of = if self.cache.settings.rules.start_over_all { self.list.len() } else { nodes.len() };
        self.start = (self.start + evaluated).checked_rem(of).unwrap_or(self.start);
        let mut totals: Vec<i64> =
            feasible.iter().map(|node| self.cache.resource_score(facts.shape, *node)).collect();
        if 1 < feasible.len() {
            self.cache.add_normalized(facts.shape, &feasible, &mut totals);
        }
        let best = totals.iter().max().copied()?;
        let ranks: Vec<usize> = (0..totals.len()).filter(|at| totals[*at] == best).collect();
        let among: Vec<NodeId> = ranks.iter().map(|at| feasible[*at]).collect();
        let node = among[self.choose(&among, |_, at| ranks[at])];
        Some(Found { node, feasible: feasible.len(), evaluated })
    }

    /// What the nodes said to a pod that names its nodes, and those that were left out.
    pub(super) fn refusals_pinned(
        &mut self,
        pod: PodId,
        facts: Facts,
        nominated: Option<NodeId>,
        names: &BTreeSet<String>,
        devices: &mut impl Devices,
    ) -> Vec<(Status, usize)> {
        let left_out = |reasons| Status::refused(Plugins::AFFINITY, Code::Unresolvable, reasons);
        if names.is_empty() {
            return vec![(left_out(Reasons::CONFLICT), self.list.len())];
        }
        let mut asked = BTreeSet::from_iter(self.named(names));
        asked.extend(nominated.filter(|node| self.cache.node(*node).present));
        let mut statuses: Vec<(Status, usize)> =
            asked.iter().map(|node| (self.cache.status(pod, facts, *node, devices), 1)).collect();
        let others = self.list.len() - asked.len();
        if 0 < others {
            statuses.push((left_out(Reasons::LEFT_OUT), others));
        }
        statuses
    }

    /// Visits nodes from the start until one more feasible node is met than wanted, which ends the
    /// scan, and with which the next one starts; and chooses.
    fn scan(&mut self, pod: PodId, facts: Facts, wanted: usize, devices: &mut impl Devices) -> Scan {
        self.cache.refresh(facts.shape, devices);
        let all = self.list.len();
        let mut visited = all;
        self.feasible.clear();
        self.totals.clear();
        if !self.cache.rows.row(facts.shape.index()).has_feasible() {
            return Scan { visited, feasible: 0, node: None };
        }
        for offset in 0..all {
            let node = self.visited(offset);
            let leaf = self.cache.rows.row(facts.shape.index()).leaves[node.index()];
            let fits = leaf.status == 0
                && (self.cache.node(node).nominated.is_empty()
                    || self.cache.status(pod, facts, node, devices).is_success());
            if fits {
                if self.feasible.len() == wanted {
                    visited = offset;
                    break;
                }
                self.feasible.push(node);
                self.totals.push(i64::from(leaf.score));
            }
        }
        let feasible = self.feasible.len();
        if 1 < feasible && !self.cache.is_flat(facts.shape, false) {
            self.cache.add_normalized(facts.shape, &self.feasible, &mut self.totals);
        }
        self.best.clear();
        if let Some(best) = self.totals.iter().max() {
            self.best.extend((0..feasible).filter(|at| self.totals[*at] == *best));
        }
        let node = (0 < feasible).then(|| {
            let among = (0..self.best.len()).map(|at| self.feasible[self.best[at]]).collect::<Vec<_>>();
            among[self.choose(&among, |of, at| of.best[at])]
        });
        Scan { visited, feasible, node }
    }

    /// The node that a scan visits after `offset` others.
    fn visited(&self, offset: usize) -> NodeId {
        let (all, start) = (self.list.len(), self.start);
        let at = start + offset;
        self.list[if at < all { at } else { at % all }]
    }

    /// The same for a shape that allows it; `None` where nothing is feasible, and what the nodes say
    /// is wanted.
    ///
    /// Scores round down from their bounds. So once some node is scored, only those whose bound
    /// reaches its score can be the best.
    fn scan_plain(&mut self, shape: ShapeId, scores: PlainScores, wanted: usize) -> Option<Scan> {
        // Nodes may have left since the start was set.
        let start = self.start % self.list.len();
        let (visited, feasible) = self.cache.scan_plain(shape, start, scores, wanted);
        let highest = self.cache.plain.bounds.highest()?;
        let mut best = self.cache.resource_score(shape, self.visited(highest));
        let mut ties = std::mem::take(&mut self.best);
        ties.clear();
        for offset in self.cache.plain.bounds.at_least(best as f32 - scores.slack()) {
            let score = self.cache.resource_score(shape, self.visited(offset));
            if best < score {
                best = score;
                ties.clear();
            }
            if score == best {
                ties.push(offset);
            }
        }
        self.best = ties;
        let among: Vec<NodeId> = self.best.iter().map(|offset| self.visited(*offset)).collect();
        let chosen = self.choose(&among, |of, at| bound::count(&of.cache.plain.bounds.values[..of.best[at]]));
        Some(Scan { visited, feasible, node: Some(among[chosen]) })
    }

    /// Whether the last pod of this shape failed, and this one must fail alike: no node and no
    /// nomination changed.
    pub(super) fn is_known_failure(&self, facts: Facts, nominated: Option<NodeId>) -> bool {
        nominated.is_none()
            && self.cache.rows.memo(facts.shape.index(), facts.priority, facts.never_preempts).is_some()
    }

    /// How many feasible nodes a cycle looks for.
    fn wanted(&self, nodes: usize) -> usize {
        let Settings { rules, fit, balanced, taints, affinity, percentage, profile_percentage, .. } =
            &self.cache.settings;
        let scores = fit.is_some() || balanced.is_some() || 0 < *taints || 0 < *affinity;
        match rules.stops_at_first && !scores {
            true => 1,
            false => score::feasible_wanted(nodes as i32, *percentage, *profile_percentage) as usize,
        }
    }

    /// Which of the best nodes, in the order in which they were visited. `rank` gives the place of one
    /// of them among all feasible nodes.
    fn choose(&mut self, among: &[NodeId], rank: impl Fn(&Kube, usize) -> usize) -> usize {
        if among.len() == 1 {
            return 0;
        }
        if self.cache.settings.rules.heap {
            let first = (0..among.len()).min_by_key(|at| score::heap_rank(rank(self, *at)));
            return first.expect("some node is the best");
        }
        match self.drawn.and_then(|drawn| among.iter().position(|node| *node == drawn)) {
            Some(drawn) => drawn,
            None => self.chosen(among.len()),
        }
    }

    /// A draw among so many equals.
    pub(super) fn chosen(&mut self, equals: usize) -> usize {
        self.chance.as_mut().map_or(0, |stream| stream.below(equals as u64) as usize)
    }
}

/// What a scan came to.
struct Scan {
    /// Nodes visited.
    visited: usize,
    feasible: usize,
    /// The best of the feasible ones.
    node: Option<NodeId>,
}

/// Where a cycle ended.
pub(super) struct Found {
    pub(super) node: NodeId,
    pub(super) feasible: usize,
    pub(super) evaluated: usize,
}
