//! The scheduler's cache: nodes, what stands on them, and what they say to a pod.

use super::filter::{self, Code, Plugins, Reasons, Status};
use super::node::{self, NodeSpec, Usage};
use super::preempt::{Target, Trial};
use super::queue::Facts;
use super::resource::{Amounts, ResourceId};
use super::row::{Leaf, Plain, PlainNode, PlainRequest, PlainScores, Rows};
use super::score::{self, DEFAULT_RESOURCES, Listed, Room, Strategy};
use super::{Devices, Settings, Shape};
use crate::id::{NodeId, PodId, ShapeId};
use crate::units::Time;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A pod on a node.
#[derive(Clone, Debug)]
pub(super) struct Resident {
    pub(super) target: Target<PodId>,
    pub(super) shape: ShapeId,
    /// It was asked to go.
    pub(super) terminating: bool,
    /// By a preemption.
    pub(super) preempted: bool,
}

/// A pod that has room kept for it on a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nominee {
    pub(super) pod: PodId,
    pub(super) priority: i32,
    pub(super) shape: ShapeId,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) kind: usize,
    pub(super) present: bool,
    pub(super) usage: Usage,
    pub(super) residents: Vec<Resident>,
    pub(super) nominated: Vec<Nominee>,
}

/// Nodes of equal specs.
#[derive(Clone, Debug)]
struct Kind {
    spec: Arc<NodeSpec>,
    allocatable: Amounts,
}

/// What a kind of node says to a shape whatever stands on it.
#[derive(Clone, Copy, Debug, Default)]
struct Fixed {
    /// The refusal of the filters before NodeResourcesFit.
    status: Status,
    /// Raw score of TaintToleration.
    intolerable: i64,
    /// Raw score of NodeAffinity.
    preference: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Cache {
    pub(super) settings: Settings,
    pub(super) shapes: Vec<Shape>,
    pub(super) nodes: Vec<Node>,
    kinds: Vec<Kind>,
    kind_of: FxHashMap<NodeSpec, usize>,
    /// By shape and kind, filled in when asked.
    fixed: Vec<Vec<Option<Fixed>>>,
    /// By shape: the nodes that it names, if its terms all name some.
    pinned: Vec<Option<BTreeSet<String>>>,
    /// By shape, for so many kinds: whether all score alike, and whether they admit it, too.
    flat: Vec<Option<(usize, bool, bool)>>,
    /// Taints as messages of 1.34 and before name them.
    pub(super) taints: Vec<String>,
    pub(super) rows: Rows,
    pub(super) plain: Plain,
    /// By shape, for plain scans.
    plain_requests: Vec<Option<PlainRequest>>,
    /// Nodes on which room is kept for pods.
    nominated: Vec<NodeId>,
    /// Pods on nodes by priority.
    priorities: BTreeMap<i32, u32>,
}

impl Cache {
    pub(super) fn new(settings: Settings) -> Cache {
        Cache {
            settings,
            shapes: Vec::new(),
            nodes: Vec::new(),
            kinds: Vec::new(),
            kind_of: FxHashMap::default(),
            fixed: Vec::new(),
            pinned: Vec::new(),
            flat: Vec::new(),
            taints: Vec::new(),
            rows: Rows::new(),
            plain: Plain::default(),
            plain_requests: Vec::new(),
            nominated: Vec::new(),
            priorities: BTreeMap::new(),
        }
    }

    pub(super) fn add_node(&mut self, name: String, kind: usize) -> NodeId {
        self.nodes.push(Node::new(name, kind));
        self.rows.add_node();
        let node = NodeId::of(self.nodes.len() - 1);
        self.changed(node);
        node
    }

    pub(super) fn set_kind(&mut self, node: NodeId, kind: usize) {
        self.nodes[node.index()].kind = kind;
        self.changed(node);
    }

    /// A node or what stands on it changed.
    pub(super) fn changed(&mut self, node: NodeId) {
        self.rows.changed(node);
        let of = &self.nodes[node.index()];
        self.plain.changed(node, plain_node(&self.kinds, of));
    }

    /// Nodes are visited in this order from now on.
    pub(super) fn order(&mut self, list: &[NodeId], resources: usize) {
        let (nodes, kinds) = (&self.nodes, &self.kinds);
        self.plain.order(nodes.len(), list, resources, |id| plain_node(kinds, &nodes[id.index()]));
    }

    /// Room is kept for a pod.
    pub(super) fn list_nominated(&mut self, nominee: Nominee, node: NodeId) {
        let nominated = &mut self.nodes[node.index()].nominated;
        if nominated.is_empty() {
            self.nominated.push(node);
        }
        nominated.push(nominee);
        // No row counts it, yet a failure is not what it was.
        self.rows.changed(node);
    }

    /// Whether room is kept for anybody.
    pub(super) fn has_nominees(&self) -> bool {
        !self.nominated.is_empty()
    }

    /// Whether some pod on a node is below a priority.
    pub(super) fn has_below(&self, priority: i32) -> bool {
        self.priorities.first_key_value().is_some_and(|(lowest, _)| *lowest < priority)
    }

    pub(super) fn add_shape(&mut self, shape: Shape) -> ShapeId {
        self.plain_requests.push(PlainRequest::new(&shape.request));
        let names = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
        let pinned = shape.affinity.pinned().filter(|_| self.settings.filters.meets(Plugins::AFFINITY));
        self.pinned.push(pinned.map(names));
        self.shapes.push(shape);
        self.fixed.push(Vec::new());
        self.flat.push(None);
        self.rows.add_shape();
        ShapeId::of(self.shapes.len() - 1)
    }

    /// The nodes that a shape names, if its terms all name some.
    pub(super) fn pinned(&self, shape: ShapeId) -> Option<&BTreeSet<String>> {
        self.pinned[shape.index()].as_ref()
    }

    pub(super) fn kind(&mut self, spec: NodeSpec) -> usize {
        if let Some(kind) = self.kind_of.get(&spec) {
            return *kind;
        }
        for text in spec.taints.iter().map(named) {
            if !self.taints.contains(&text) {
                self.taints.push(text);
            }
        }
        let kind = self.kinds.len();
        self.kind_of.insert(spec.clone(), kind);
        self.kinds.push(Kind { allocatable: spec.amounts(), spec: Arc::new(spec) });
        kind
    }

    pub(super) fn spec(&self, kind: usize) -> &Arc<NodeSpec> {
        &self.kinds[kind].spec
    }

    pub(super) fn node(&self, node: NodeId) -> &Node {
        &self.nodes[node.index()]
    }

    pub(super) fn resident(&mut self, pod: PodId, node: NodeId) -> Option<&mut Resident> {
        self.nodes[node.index()].residents.iter_mut().find(|r| r.target.pod == pod)
    }

    pub(super) fn put_on(&mut self, pod: PodId, facts: Facts, node: NodeId) {
        let budgets = (0..64).filter(|bit| facts.budgets >> bit & 1 == 1).collect();
        let target = Target { pod, priority: facts.priority, started: None, budgets };
        let of = &mut self.nodes[node.index()];
        of.usage.add(&self.shapes[facts.shape.index()].request);
        of.residents.push(Resident { target, shape: facts.shape, terminating: false, preempted: false });
        *self.priorities.entry(facts.priority).or_default() += 1;
        self.changed(node);
    }

    /// A pod asks for something else where it stands.
    pub(super) fn resize(&mut self, pod: PodId, node: NodeId, shape: ShapeId) -> ShapeId {
        let resident = self.resident(pod, node).expect("a pod of this node");
        let before = std::mem::replace(&mut resident.shape, shape);
        let usage = &mut self.nodes[node.index()].usage;
        usage.remove(&self.shapes[before.index()].request);
        usage.add(&self.shapes[shape.index()].request);
        self.changed(node);
        before
    }

    pub(super) fn take_off(&mut self, pod: PodId, node: NodeId) {
        let of = &mut self.nodes[node.index()];
        let at = of.residents.iter().position(|r| r.target.pod == pod).expect("a pod of this node");
        let resident = of.residents.remove(at);
        of.usage.remove(&self.shapes[resident.shape.index()].request);
        let priority = resident.target.priority;
        let equals = self.priorities.get_mut(&priority).expect("it was counted");
        *equals -= 1;
        if *equals == 0 {
            self.priorities.remove(&priority);
        }
        self.changed(node);
    }

    pub(super) fn unlist_nominated(&mut self, pod: PodId, node: NodeId) {
        let nominated = &mut self.nodes[node.index()].nominated;
        nominated.retain(|nominee| nominee.pod != pod);
        if nominated.is_empty() {
            self.nominated.retain(|other| *other != node);
        }
        self.rows.changed(node);
    }

    /// Brings the row of a shape up to date. *O*(changed nodes).
    pub(super) fn refresh(&mut self, shape: ShapeId, devices: &mut impl Devices) {
        let missing = self.rows.missing(shape.index());
        if missing == Some(0) {
            return;
        }
        let mut row = self.rows.take(shape.index());
        let mut update = |cache: &mut Cache, node: NodeId| {
            let of = &mut cache.nodes[node.index()];
            if !of.present {
                return row.set(node, None);
            }
            let usage = std::mem::take(&mut of.usage);
            let status = cache.filters(shape, node, &usage, &[], &[], devices);
            cache.nodes[node.index()].usage = usage;
            let score = if status.is_success() { cache.resource_score(shape, node) as i32 } else { 0 };
            row.set(node, Some(Leaf { status: cache.rows.index(status), score }));
        };
        match missing {
            Some(missing) => (0..missing).for_each(|age| update(self, self.rows.changed_before(age))),
            None => (0..self.nodes.len()).for_each(|index| update(self, NodeId::of(index))),
        }
        self.rows.put(shape.index(), row);
    }

    /// Whether a row is worth bringing up to date: few nodes changed since it was used.
    pub(super) fn has_fresh_row(&self, shape: ShapeId) -> bool {
        self.rows.missing(shape.index()).is_some_and(|missing| missing * 16 < self.nodes.len() as u64)
    }

    /// The nodes by what they say to a pod that none of them takes, with its row up to date.
    pub(super) fn refusals(
        &mut self,
        pod: PodId,
        facts: Facts,
        devices: &mut impl Devices,
    ) -> Vec<(Status, usize)> {
        let row = self.rows.row(facts.shape.index());
        let counts = row.counts().iter().enumerate().filter(|(_, nodes)| 0 < **nodes);
        let mut refusals: Vec<(Status, usize)> =
            counts.map(|(index, nodes)| (self.rows.statuses[index], *nodes as usize)).collect();
        for at in 0..self.nominated.len() {
            let node = self.nominated[at];
            if !self.node(node).present {
                continue;
            }
            let leaf = self.rows.row(facts.shape.index()).leaves[node.index()];
            let alone = self.rows.statuses[leaf.status as usize];
            let status = self.status(pod, facts, node, devices);
            if status != alone {
                let counted = refusals.iter_mut().find(|(known, _)| *known == alone);
                counted.expect("every node is counted").1 -= 1;
                match refusals.iter_mut().find(|(known, _)| *known == status) {
                    Some((_, nodes)) => *nodes += 1,
                    None => refusals.push((status, 1)),
                }
            }
        }
        refusals.retain(|(_, nodes)| 0 < *nodes);
        assert!(refusals.iter().all(|(status, _)| !status.is_success()), "no node takes the pod");
        refusals
    }

    /// The nodes of `list` that refuse a pod for what stands on them, with its row up to date.
    pub(super) fn helpful(
        &mut self,
        pod: PodId,
        facts: Facts,
        list: &[NodeId],
        devices: &mut impl Devices,
    ) -> Vec<NodeId> {
        let mut is_helpful = |node: &NodeId| {
            let status = match self.node(*node).nominated.is_empty() {
                false => self.status(pod, facts, *node, devices),
                true => {
                    let leaf = self.rows.row(facts.shape.index()).leaves[node.index()];
                    self.rows.statuses[leaf.status as usize]
                }
            };
            status.code == Code::Unschedulable
        };
        list.iter().copied().filter(|node| is_helpful(node)).collect()
    }

    /// What a plain scan needs, for a shape and nodes that allow it: scored by CPU and memory alone
    /// as by default, asking for nothing but sums, and no kind of node is out of the question.
    pub(super) fn plain(&mut self, shape: ShapeId) -> Option<PlainScores> {
        let Settings { rules, fit, balanced, ignored, .. } = &self.settings;
        let pod = &self.shapes[shape.index()];
        let plain = |listed: &[Listed]| *listed == DEFAULT_RESOURCES;
        let fit = match fit {
            None => 0,
            Some((weight, Strategy::Least, listed)) if plain(listed) => *weight,
            Some(_) => return None,
        };
        let balanced = match balanced {
            None => 0,
            Some((weight, listed)) if plain(listed) && !rules.balanced_change => *weight,
            Some(_) => return None,
        };
        let asks = [ResourceId::CPU, ResourceId::MEMORY].iter().any(|r| pod.request.real.get(*r) != 0);
        let on = self.settings.filters.meets(Plugins::FIT) && ignored.is_none();
        if self.plain.is_odd() || pod.device.is_some() || !on {
            return None;
        }
        self.plain_requests[shape.index()].as_ref().filter(|request| self.plain.knows(request))?;
        let balanced = if asks || !rules.balanced_skips { balanced } else { 0 };
        self.is_flat(shape, true).then_some(PlainScores { fit, balanced })
    }

    /// A plain scan from a position on; how many nodes it visited, and how many are feasible.
    pub(super) fn scan_plain(
        &mut self,
        shape: ShapeId,
        start: usize,
        scores: PlainScores,
        wanted: usize,
    ) -> (usize, usize) {
        let request = self.plain_requests[shape.index()].as_ref().expect("a shape that allows it");
        self.plain.scan(start, request, scores, wanted)
    }

    /// Whether all kinds of node score alike by taints and preferences; and, if `admitted` is asked,
    /// refuse nobody by what they are.
    pub(super) fn is_flat(&mut self, shape: ShapeId, admitted: bool) -> bool {
        let kinds = self.kinds.len();
        if let Some((flat, admits)) =
            self.flat[shape.index()].filter(|(of, ..)| *of == kinds).map(|f| (f.1, f.2))
        {
            return flat && (admits || !admitted);
        }
        let pod = &self.shapes[shape.index()];
        let raw: Vec<Fixed> = self.kinds.iter().map(|kind| self.fixed_of(pod, "", &kind.spec)).collect();
        let flat = raw
            .windows(2)
            .all(|w| (w[0].intolerable, w[0].preference) == (w[1].intolerable, w[1].preference))
            && !pod.affinity.has_fields();
        let admits = flat && raw.iter().all(|fixed| fixed.status.is_success());
        self.flat[shape.index()] = Some((kinds, flat, admits));
        flat && (admits || !admitted)
    }

    /// What a node's kind says to a shape.
    fn fixed(&mut self, shape: ShapeId, node: NodeId) -> Fixed {
        let of = &self.nodes[node.index()];
        let known = &mut self.fixed[shape.index()];
        known.resize(self.kinds.len(), None);
        let pod = &self.shapes[shape.index()];
        // A field is of one node, so what its kind says is not remembered.
        if let Some(fixed) = known[of.kind].filter(|_| !pod.affinity.has_fields()) {
            return fixed;
        }
        let fixed = self.fixed_of(pod, &of.name, &self.kinds[of.kind].spec);
        let known = &mut self.fixed[shape.index()];
        known[of.kind] = Some(fixed);
        fixed
    }

    fn fixed_of(&self, pod: &Shape, name: &str, spec: &NodeSpec) -> Fixed {
        Fixed {
            status: refusal(pod, name, spec, &self.settings, &self.taints),
            intolerable: node::intolerable(&spec.taints, &pod.tolerations),
            preference: pod.affinity.preference(name, &spec.labels),
        }
    }

    /// What `node` says to the pod, were `usage` what stands there; `without` are its pods that are
    /// thought gone. Nominated pods of at least its priority are counted in, and must not be needed.
    fn status_if(
        &mut self,
        pod: PodId,
        facts: Facts,
        node: NodeId,
        usage: &Usage,
        without: &[PodId],
        devices: &mut impl Devices,
    ) -> Status {
        let nominated = &self.nodes[node.index()].nominated;
        let beside: Vec<ShapeId> = nominated
            .iter()
            .filter(|other| other.pod != pod && facts.priority <= other.priority)
            .map(|other| other.shape)
            .collect();
        if !beside.is_empty() {
            let mut more = usage.clone();
            beside.iter().for_each(|shape| more.add(&self.shapes[shape.index()].request));
            let status = self.filters(facts.shape, node, &more, without, &beside, devices);
            if !status.is_success() {
                return status;
            }
        }
        self.filters(facts.shape, node, usage, without, &[], devices)
    }

    fn filters(
        &mut self,
        shape: ShapeId,
        node: NodeId,
        usage: &Usage,
        without: &[PodId],
        beside: &[ShapeId],
        devices: &mut impl Devices,
    ) -> Status {
        let fixed = self.fixed(shape, node).status;
        let Settings { rules, filters, ignored, .. } = &self.settings;
        if (!fixed.is_success() && rules.first_refusal) || !filters.meets(Plugins::FIT) {
            return fixed;
        }
        let kind = &self.kinds[self.nodes[node.index()].kind];
        let pod = &self.shapes[shape.index()];
        let room = (&kind.allocatable, kind.spec.pods);
        let mut status = filter::fit(&pod.request, *ignored, room, usage, rules.fit_unresolvable);
        if let Some(resource) = pod.device
            && !status.reasons.meets(Reasons::short(resource))
            && !devices.serve(node, shape, without, beside)
        {
            let short = Status::refused(Plugins::FIT, Code::Unschedulable, Reasons::short(resource));
            status = status.merge(short);
        }
        fixed.merge(status)
    }

    /// What `node` says to the pod now.
    pub(super) fn status(
        &mut self,
        pod: PodId,
        facts: Facts,
        node: NodeId,
        devices: &mut impl Devices,
    ) -> Status {
        let usage = std::mem::take(&mut self.nodes[node.index()].usage);
        let status = self.status_if(pod, facts, node, &usage, &[], devices);
        self.nodes[node.index()].usage = usage;
        status
    }

    /// What `node` would say to a pod of `shape`, were it empty.
    pub(super) fn status_when_empty(&mut self, shape: ShapeId, node: NodeId) -> Status {
        self.filters(shape, node, &Usage::default(), &[], &[], &mut ())
    }

    /// Adds the scores that are normalized over the feasible nodes.
    pub(super) fn add_normalized(&mut self, shape: ShapeId, feasible: &[NodeId], totals: &mut [i64]) {
        let fixed: Vec<Fixed> = feasible.iter().map(|node| self.fixed(shape, *node)).collect();
        let raw = |of: fn(&Fixed) -> i64| -> Vec<i64> { fixed.iter().map(of).collect() };
        let (taints, affinity) = (self.settings.taints, self.settings.affinity);
        for (weight, reverse, mut scores) in
            [(taints, true, raw(|fixed| fixed.intolerable)), (affinity, false, raw(|fixed| fixed.preference))]
        {
            score::normalize(&mut scores, 100, reverse);
            totals.iter_mut().zip(scores).for_each(|(total, score)| *total += weight * score);
        }
    }

    /// The weighted resource scores of a node.
    pub(super) fn resource_score(&self, shape: ShapeId, node: NodeId) -> i64 {
        let (node, request) = (self.node(node), &self.shapes[shape.index()].request);
        let room = Room { allocatable: &self.kinds[node.kind].allocatable, usage: &node.usage };
        let Settings { fit, balanced, rules, .. } = &self.settings;
        let fit =
            fit.as_ref().map_or(0, |(weight, how, listed)| weight * score::fit(how, listed, request, room));
        let balanced = balanced.as_ref().map_or(0, |(weight, listed)| {
            weight * score::balanced(listed, request, room, rules).unwrap_or(0)
        });
        fit + balanced
    }

    /// A node on trial for a preemptor.
    pub(super) fn trial<'a, D: Devices>(
        &'a mut self,
        pod: PodId,
        facts: Facts,
        node: NodeId,
        devices: &'a mut D,
    ) -> NodeTrial<'a, D> {
        let usage = self.node(node).usage.clone();
        NodeTrial { cache: self, pod, facts, node, usage, without: Vec::new(), devices }
    }

    /// Whether a pod fits a node by its requests: as it is used now, or empty.
    pub(super) fn fits(&self, shape: &Shape, spec: &NodeSpec, usage: &Usage) -> bool {
        let ignored = self.settings.ignored;
        filter::fit(&shape.request, ignored, (&spec.amounts(), spec.pods), usage, false).is_success()
    }
}

fn plain_node<'a>(kinds: &'a [Kind], node: &'a Node) -> PlainNode<'a> {
    let kind = &kinds[node.kind];
    PlainNode { allocatable: &kind.allocatable, usage: &node.usage, pods: kind.spec.pods }
}

fn named(taint: &crate::cluster::spec::Taint) -> String {
    format!("{{{}: {}}}", taint.key, taint.value)
}

/// The refusal of the filters that look only at what a node is: in filter order, the first or all.
fn refusal(pod: &Shape, name: &str, spec: &NodeSpec, settings: &Settings, taints: &[String]) -> Status {
    let rules = &settings.rules;
    let cordoned = spec.unschedulable && !node::tolerates_cordon(&pod.tolerations);
    let taint = node::untolerated(&spec.taints, &pod.tolerations).map(|taint| match rules.taint_named {
        true => {
            let text = named(taint);
            Reasons::taint(taints.iter().position(|known| *known == text).expect("taints of kinds are known"))
        }
        false => Reasons::TAINT,
    });
    let elsewhere = !pod.affinity.allows(name, &spec.labels);
    let refusals = [
        (Plugins::UNSCHEDULABLE, cordoned.then_some(Reasons::CORDONED)),
        (Plugins::TAINTS, taint),
        (Plugins::AFFINITY, elsewhere.then_some(Reasons::AFFINITY)),
    ];
    let on = refusals.into_iter().filter(|(plugin, _)| settings.filters.meets(*plugin));
    let mut refused = on.filter_map(|(plugin, reason)| {
        reason.map(|reason| Status::refused(plugin, Code::Unresolvable, reason))
    });
    match rules.first_refusal {
        true => refused.next().unwrap_or_default(),
        false => refused.fold(Status::default(), Status::merge),
    }
}

/// A node with some of its pods thought gone.
#[derive(Debug)]
pub(super) struct NodeTrial<'a, D> {
    cache: &'a mut Cache,
    pod: PodId,
    facts: Facts,
    node: NodeId,
    usage: Usage,
    without: Vec<PodId>,
    devices: &'a mut D,
}

impl<D: Devices> Trial for NodeTrial<'_, D> {
    fn remove(&mut self, index: usize) {
        let resident = &self.cache.node(self.node).residents[index];
        self.usage.remove(&self.cache.shapes[resident.shape.index()].request);
        self.without.push(resident.target.pod);
    }

    fn restore(&mut self, index: usize) {
        let resident = &self.cache.node(self.node).residents[index];
        self.usage.add(&self.cache.shapes[resident.shape.index()].request);
        self.without.retain(|pod| *pod != resident.target.pod);
    }

    fn status(&mut self) -> Status {
        self.cache.status_if(self.pod, self.facts, self.node, &self.usage, &self.without, self.devices)
    }
}

impl Node {
    pub(super) fn new(name: String, kind: usize) -> Node {
        Node {
            name,
            kind,
            present: false,
            usage: Usage::default(),
            residents: Vec::new(),
            nominated: Vec::new(),
        }
    }

    /// Whether a pod of lower priority is on its way out; by a preemption, if that is asked.
    pub(super) fn waits_for(&self, priority: i32, preempted: bool) -> bool {
        let leaves = |r: &Resident| if preempted { r.preempted } else { r.terminating };
        self.residents.iter().any(|r| r.target.priority < priority && leaves(r))
    }

    pub(super) fn started(&mut self, pod: PodId, now: Time) {
        if let Some(resident) = self.residents.iter_mut().find(|r| r.target.pod == pod) {
            resident.target.started = Some(now);
        }
    }
}
