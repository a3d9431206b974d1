//! One plan: once over the nodes, by name.
//!
//! internal/partitioning/core/planner.go. Nodes are not scored and nothing is taken back: a node
//! keeps its new geometry if a pod could be placed on it. All pods are tried on every node, those
//! placed on earlier ones too.
//!
//! Two things make it fast. A visit works on copies of one node and leaves only sums behind, since
//! no node is visited twice. And pods that ask for the same slices stand in one line ([`super::line`]):
//! within a visit room only shrinks, so the first of them that is refused for its slices speaks for all
//! behind it, and those that the node has no CPU for are passed over in blocks.

use super::choice::Choices;
use super::fix::{Fix, Fixes};
use super::gpu::Need;
use super::line::{self, Line};
use super::node::Node;
use super::order::{Key, go_stable_sort, less};
use super::resources::{Counts, Resources};
use super::settings::Settings;
use super::snapshot::{Pod, Shape, Snapshot, Totals};
use super::state::State;
use super::tracker::Tracker;
use crate::id::{NodeId, ResourceId};
use rustc_hash::FxHashMap;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A node that pods were placed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recut {
    /// The caller's name for the node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Whether a GPU reported a change; its geometry may be the one it had.
    pub updated: bool,
    /// GPU indexes and the slices they should have, in the order in which the planner saw them.
    pub gpus: Vec<(i64, Counts)>,
    /// Pods that were placed on it, as positions in the list of pods, in order of placement.
    pub pods: Vec<usize>,
}

/// What should stand on the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What all pods together lacked before the first node.
    pub lacking: Need,
    /// What they still lack after the last.
    pub unmet: Need,
    /// Nodes that pods were placed on, in the order of the visits; all others stay as they are.
    pub recuts: Vec<Recut>,
}

impl Plan {
    /// The desired state: that of the snapshot, with the nodes of the plan replaced.
    #[must_use]
    pub fn state(&self, snapshot: &Snapshot) -> State {
        let mut state = snapshot.state();
        let recuts = self.recuts.iter().map(|recut| (recut.name.as_str(), recut.gpus.clone()));
        state.replace(State::of(snapshot.names(), recuts));
        state
    }
}

/// A shape with all that a plan asks about it again and again.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) shape: &'a Shape,
    /// Requests with overhead.
    pub(super) total: Resources,
    /// Slices of the planned kind by resource.
    pub(super) raw: Counts,
    /// The same by profile, in order of name.
    pub(super) slices: Vec<(ResourceId, i64)>,
    /// Whether one of several slices is asked for 0 times: a GPU that refuses the pod may keep an
    /// entry of 0 all the same.
    leaves_zeros: bool,
}

impl<'a> Asked<'a> {
    pub(super) fn new(snapshot: &Snapshot, shape: &'a Shape) -> Asked<'a> {
        let mut raw = shape.requests.scalars.clone();
        raw.retain(|name| snapshot.names().slice(snapshot.kind(), name).is_some());
        let mut total = shape.requests.clone();
        total.charge(&shape.overhead);
        let slices = snapshot.named_slices(&shape.requests.scalars);
        let leaves_zeros = 1 < slices.len() && slices.iter().any(|(_, count)| *count == 0);
        Asked { shape, total, raw, slices, leaves_zeros }
    }
}

/// Slices, by profile, that a pod with these requests lacks: it is compared with what the whole
/// snapshot has free, alone (internal/partitioning/core/snapshot.go).
#[must_use]
pub fn lacking(snapshot: &Snapshot, requests: &Counts) -> Counts {
    lacking_of(snapshot, snapshot.totals(), requests)
}

pub(super) fn lacking_of(snapshot: &Snapshot, totals: &Totals, requests: &Counts) -> Counts {
    let lacks = |(name, count): (ResourceId, i64)| {
        let profile = snapshot.names().slice(snapshot.kind(), name)?;
        let free = totals.free(name);
        (free < count).then_some((profile, count - free))
    };
    requests.iter().filter_map(lacks).collect()
}

/// Whether the simulated scheduler lets a pod onto a node that `added` pods of this plan are on
/// already: the filters of its default profile that can refuse, on what it can see.
pub(super) fn admits(asked: &Asked<'_>, node: &Node, added: i64, settings: &Settings) -> bool {
    let counts = settings.fixes.has(Fix::BlindScheduler);
    let shape = asked.shape;
    if !shape.reach.covers(node.id) || (shape.unseen && !counts) {
        return false;
    }
    if shape.ports.iter().any(|port| node.ports.iter().any(|held| held.conflicts(port))) {
        return false;
    }
    !settings.resources_fit || fits(&asked.total, node, if counts { added } else { 0 })
}

/// NodeResourcesFit.
fn fits(total: &Resources, node: &Node, added: i64) -> bool {
    if node.allocatable.pods < node.pods + added + 1 {
        return false;
    }
    // Whoever asks for nothing fits a node that is overcommitted; a scalar of 0 is something.
    if total.is_nothing() {
        return true;
    }
    let (there, taken) = (&node.allocatable, &node.requested);
    total.cpu_milli <= there.cpu_milli - taken.cpu_milli
        && total.memory_bytes <= there.memory_bytes - taken.memory_bytes
        && total.storage_bytes <= there.storage_bytes - taken.storage_bytes
        && total
            .scalars
            .iter()
            .all(|(name, count)| count <= there.scalars.get(name) - taken.scalars.get(name))
}

/// Pods in the order in which they are placed: positions in `pods`.
#[must_use]
pub fn sort(snapshot: &Snapshot, shapes: &[Shape], pods: &[Pod], choices: &mut dyn Choices) -> Vec<usize> {
    let slices: Vec<_> = shapes.iter().map(|s| snapshot.named_slices(&s.requests.scalars)).collect();
    sorted(snapshot, |shape| &slices[shape], pods, choices)
}

fn sorted<'a>(
    snapshot: &Snapshot,
    slices: impl Fn(usize) -> &'a [(ResourceId, i64)],
    pods: &[Pod],
    choices: &mut dyn Choices,
) -> Vec<usize> {
    let key = |pod: &Pod| Key { priority: pod.priority, slices: slices(pod.shape) };
    let mut order: Vec<(Key<'a>, usize)> = pods.iter().map(key).zip(0..).collect();
    let (kind, names) = (snapshot.kind(), snapshot.names());
    go_stable_sort(&mut order, |x, y| less(&x.0, &y.0, kind, names, choices));
    order.into_iter().map(|(_, pod)| pod).collect()
}

/// Plans the nodes of a snapshot for the pods that wait, in the order of the list that nos was
/// given.
///
/// # Panics
/// If a pod names a shape that is not there.
pub fn plan(
    snapshot: &Snapshot,
    shapes: &[Shape],
    pods: &[Pod],
    settings: &Settings,
    choices: &mut dyn Choices,
) -> Plan {
    let asked: Vec<Asked<'_>> = shapes.iter().map(|shape| Asked::new(snapshot, shape)).collect();
    let judged_first = Fixes::from_iter([Fix::LackingPerPod, Fix::ClusterWideFree]);
    let in_order = settings.fixes.meets(judged_first);
    // nos judges what pods lack before it sorts them, and does not sort when nothing lacks.
    let mut order: Vec<usize> = (0..pods.len()).collect();
    if in_order {
        order = sorted(snapshot, |shape| asked[shape].slices.as_slice(), pods, choices);
    }
    let mut tracker = Tracker::new(snapshot, &asked, pods, &order, settings);
    let lacking = tracker.need().clone();
    if lacking.is_empty() {
        return Plan { unmet: lacking.clone(), lacking, recuts: Vec::new() };
    }
    if !in_order {
        order = sorted(snapshot, |shape| asked[shape].slices.as_slice(), pods, choices);
    }
    let mut candidates: Vec<&Node> = snapshot.candidates().collect();
    if settings.fixes.has(Fix::TextOrder) {
        candidates.sort_by(|a, b| natural(&a.name, &b.name));
    }
    let mut visits = Visits::new(snapshot, &asked, pods, &order, settings);
    let mut recuts = Vec::new();
    for node in candidates {
        if tracker.need().is_empty() {
            break;
        }
        recuts.extend(visits.visit(node, &mut tracker, choices));
    }
    Plan { lacking, unmet: tracker.need().clone(), recuts }
}

/// Compares names so that the numbers in them count as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    let part = |text: &str| {
        let digits = text.starts_with(|c: char| c.is_ascii_digit());
        text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len())
    };
    let (mut left, mut right) = (a, b);
    while !left.is_empty() && !right.is_empty() {
        let ((x, rest), (y, rest_of_y)) = (left.split_at(part(left)), right.split_at(part(right)));
        let order = match (x.parse::<u64>(), y.parse::<u64>()) {
            (Ok(x), Ok(y)) => x.cmp(&y),
            _ => x.cmp(y),
        };
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (rest, rest_of_y);
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// What goes on from one visit to the next.
struct Visits<'a> {
    snapshot: &'a Snapshot,
    asked: &'a [Asked<'a>],
    pods: &'a [Pod],
    order: &'a [usize],
    settings: &'a Settings,
    lines: Vec<Line>,
    /// Sums over the snapshot as it would be now.
    totals: Totals,
    /// Whether a node was kept: from then on the snapshot that is planned is a copy, and what a visit
    /// did to a node without keeping it is gone.
    committed: bool,
    /// Pods that were placed on a node that was kept.
    placed: Vec<bool>,
    /// Number of the visit, by which marks of earlier ones are told apart.
    visit: u32,
    /// Of each shape, the last visit in which its pods were refused for more than their slices.
    refused: Vec<u32>,
    /// The node as the geometry update leaves it, and the copy that the planner forked before.
    original: Node,
    fork: Node,
    need: Need,
    /// Room to work in: the next pod of each line by position, with its place in the line, and how many
    /// shapes of each line are not refused.
    heads: BinaryHeap<Reverse<(usize, usize, usize)>>,
    shapes_left: Vec<usize>,
}

impl<'a> Visits<'a> {
    fn new(
        snapshot: &'a Snapshot,
        asked: &'a [Asked<'a>],
        pods: &'a [Pod],
        order: &'a [usize],
        settings: &'a Settings,
    ) -> Visits<'a> {
        let mut ids: FxHashMap<&Counts, usize> = FxHashMap::default();
        let mut lines: Vec<Line> = Vec::new();
        let mut line_of = Vec::with_capacity(asked.len());
        for asked in asked {
            let line = *ids.entry(&asked.raw).or_insert_with(|| {
                lines.push(Line::default());
                lines.len() - 1
            });
            lines[line].shapes += 1;
            line_of.push(line);
        }
        for (position, pod) in order.iter().enumerate() {
            let shape = pods[*pod].shape;
            lines[line_of[shape]].push(position, &asked[shape], settings.resources_fit);
        }
        Visits {
            snapshot,
            asked,
            pods,
            order,
            settings,
            lines,
            totals: snapshot.totals().clone(),
            committed: false,
            placed: vec![false; pods.len()],
            visit: 0,
            refused: vec![0; asked.len()],
            original: Node::default(),
            fork: Node::default(),
            need: Need::default(),
            heads: BinaryHeap::new(),
            shapes_left: Vec::new(),
        }
    }

    /// Changes a node's geometry for what is lacking, places pods on it, and keeps both if that helped.
    fn visit(&mut self, node: &Node, tracker: &mut Tracker, choices: &mut dyn Choices) -> Option<Recut> {
        self.original.copy(node);
        self.original.arrange(choices);
        self.fork.copy(&self.original);
        self.need.copy(tracker.need());
        let setup = self.snapshot.setup(self.settings.fixes);
        let updated = self.original.update(&mut self.need, &setup, choices);
        if updated {
            self.totals.allocate(&node.allocatable.scalars, -1);
            self.totals.allocate(&self.original.allocatable.scalars, 1);
        }
        // Pods go onto the updated node, or, if no GPU changed, onto the copy that was made before
        // allocatable slices were counted anew.
        let mut target = std::mem::take(if updated { &mut self.original } else { &mut self.fork });
        let placed = self.place(&mut target, tracker, choices);
        *(if updated { &mut self.original } else { &mut self.fork }) = target;
        let Placed { pods, helps, desired } = placed;
        if helps || (!pods.is_empty() && !self.settings.fixes.has(Fix::AnyPodCommits)) {
            self.committed = true;
            for pod in &pods {
                self.placed[*pod] = true;
            }
            // Without an update, pods were placed on the copy, and the node itself shows nothing of them.
            let gpus = desired.filter(|_| updated).unwrap_or_else(|| self.original.geometries());
            return Some(Recut { node: node.id, name: node.name.clone(), updated, gpus, pods });
        }
        for pod in pods {
            self.totals.request(&self.asked[self.pods[pod].shape].total.scalars, -1);
        }
        // The update was made in place, on the node of the snapshot itself: while that one is still
        // the one that is planned, its new allocatable slices stay in the sums.
        match (updated, self.committed) {
            (true, true) => {
                self.totals.allocate(&self.original.allocatable.scalars, -1);
                self.totals.allocate(&node.allocatable.scalars, 1);
            }
            (false, false) => {
                self.totals.allocate(&node.allocatable.scalars, -1);
                self.totals.allocate(&self.original.allocatable.scalars, 1);
            }
            (true, false) | (false, true) => {}
        }
        None
    }

    /// Places pods in order.
    fn place(&mut self, node: &mut Node, tracker: &mut Tracker, choices: &mut dyn Choices) -> Placed {
        self.visit += 1;
        let mut placed = Placed::default();
        let counts = self.settings.fixes.has(Fix::BlindScheduler);
        let mut room = line::room(node);
        let mut heads = std::mem::take(&mut self.heads);
        let mut shapes_left = std::mem::take(&mut self.shapes_left);
        heads.clear();
        shapes_left.clear();
        for (number, line) in self.lines.iter().enumerate() {
            shapes_left.push(line.shapes);
            let at = line.next(0, room);
            heads.extend(line.position(at).map(|position| Reverse((position, number, at))));
        }
        'all: while let Some(Reverse((mut position, number, mut at))) = heads.pop() {
            // As long as this line has the first pod, it keeps its turn.
            let turn_ends = heads.peek().map_or(usize::MAX, |head| head.0.0);
            while position < turn_ends {
                let added = placed.pods.len() as i64;
                let counted = if counts { added } else { 0 };
                if self.settings.resources_fit && node.allocatable.pods < node.pods + counted + 1 {
                    break 'all;
                }
                // Room may have shrunk since the pod was found.
                let mut next = self.lines[number].next(at, room);
                if next == at {
                    next += 1;
                    let pod = self.order[position];
                    let shape = self.pods[pod].shape;
                    if self.refused[shape] != self.visit && !self.is_done(pod) {
                        if self.asked[shape].leaves_zeros && placed.desired.is_none() {
                            placed.desired = Some(node.geometries());
                        }
                        match self.offer(node, shape, added, choices) {
                            Offer::Taken => {
                                placed.helps |= tracker.lacks(pod);
                                placed.desired = None;
                                placed.pods.push(pod);
                                tracker.remove(pod);
                                room = line::room(node);
                            }
                            Offer::RefusedPod => {}
                            Offer::RefusedShape => {
                                self.refused[shape] = self.visit;
                                shapes_left[number] -= 1;
                                if shapes_left[number] == 0 {
                                    next = self.lines[number].end();
                                }
                            }
                            Offer::RefusedSlices => next = self.lines[number].end(),
                        }
                    }
                    next = self.lines[number].next(next, room);
                }
                let Some(first) = self.lines[number].position(next) else { continue 'all };
                (position, at) = (first, next);
            }
            heads.push(Reverse((position, number, at)));
        }
        (self.heads, self.shapes_left) = (heads, shapes_left);
        placed
    }

    fn is_done(&self, pod: usize) -> bool {
        self.placed[pod] && self.settings.fixes.has(Fix::DuplicatePlacement)
    }

    fn offer(&mut self, node: &mut Node, shape: usize, added: i64, choices: &mut dyn Choices) -> Offer {
        let asked = &self.asked[shape];
        // First what all free slices of the cluster say, then the filters, then the GPUs.
        if asked.raw.iter().any(|(name, count)| self.totals.free(name) < count) {
            return Offer::RefusedSlices;
        }
        if !admits(asked, node, added, self.settings) {
            return Offer::RefusedShape;
        }
        if !node.gpus.iter_mut().any(|gpu| gpu.add_pod(&asked.slices, choices)) {
            // A pod of several profiles may have moved some of them, and the next of its kind may too.
            return if asked.slices.len() < 2 { Offer::RefusedSlices } else { Offer::RefusedPod };
        }
        node.requested.charge(&asked.total);
        node.ports.extend_from_slice(&asked.shape.ports);
        self.totals.request(&asked.total.scalars, 1);
        Offer::Taken
    }
}

/// What a visit placed.
#[derive(Debug, Default)]
struct Placed {
    /// Pods in order of placement.
    pods: Vec<usize>,
    /// Whether one of them had lacked slices.
    helps: bool,
    /// What the GPUs had after the last of them, if a later one may have left entries of 0: nos
    /// writes down what it sees after each placement.
    desired: Option<Vec<(i64, Counts)>>,
}

/// What became of a pod on a node.
enum Offer {
    Taken,
    /// Refused, and the next of its shape may not be.
    RefusedPod,
    /// Refused with all of its shape for the rest of the visit.
    RefusedShape,
    /// Refused with all that ask for the same slices.
    RefusedSlices,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natural_order_compares_numbers() {
        let mut names = ["node-10", "node-2", "node-1a", "node", "node-1", "a-3"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["a-3", "node", "node-1", "node-1a", "node-2", "node-10"]);
    }
}
