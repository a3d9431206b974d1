//! kube-scheduler, decision for decision.
//!
//! [`Kube`] is one profile of the real scheduler with its cache and its queues. It sees what the
//! real one sees: named resources, labels, taints and priorities; never GPUs. Time is handed in, and
//! a cycle is two calls: [`Kube::begin`] decides on the state of its moment, and [`Kube::end`] lets
//! the outcome happen, so that whatever the world does in between meets a pod in flight. What differs
//! between versions is a switch of [`rules::Rules`].
//!
//! Facts: `reference/kube-scheduler.md` of our plan. Where upstream leaves a choice to chance
//! (goroutines, maps, draws), the choice here is named at its place: feasible nodes in node order
//! from the start index, one stream of draws for ties and offsets, full ties of victims in the order
//! in which their node got them. Not modelled: volumes, ports, images, topology spread, pod affinity,
//! claims, opportunistic batching.

pub mod backoff;
mod cache;
mod event;
pub mod filter;
pub mod node;
pub mod preempt;
pub mod queue;
pub mod resource;
mod row;
pub mod rules;
pub mod score;
mod sorted;
pub mod view;

use crate::id::{NodeId, PodId, ShapeId};
use crate::record::{self, Counted, ReasonId, Then, WordId};
use crate::rng::Stream;
use crate::sched::bound;
use crate::units::{Span, Time};
use crate::workload::Toleration;
use backoff::Backoff;
use cache::{Cache, Nominee};
use event::{Event, OwnChange, zone};
use filter::{Code, Names, Plugins, Reasons, Status};
use node::{Affinity, NodeOrder, NodeSpec};
use preempt::{Candidate, Target};
use queue::{Concerns, Facts, Queue};
use resource::{PodRequest, ResourceId, Resources};
use row::PlainScores;
use rules::Rules;
use score::{Listed, Strategy};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The settings of one profile, as a KubeSchedulerConfiguration has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What the version does.
    pub rules: Rules,
    /// Filters that are on.
    pub filters: Plugins,
    /// NodeResourcesFit's score and its weight.
    pub fit: Option<(i64, Strategy, Vec<Listed>)>,
    /// NodeResourcesBalancedAllocation's score and its weight.
    pub balanced: Option<(i64, Vec<Listed>)>,
    /// The weight of TaintToleration's score; 0 is off.
    pub taints: i64,
    /// The weight of NodeAffinity's score; 0 is off.
    pub affinity: i64,
    /// Resources that NodeResourcesFit does not filter, as reasons.
    pub ignored: Reasons,
    /// `percentageOfNodesToScore`; 0 adapts.
    pub percentage: i32,
    /// The profile's own, which wins.
    pub profile_percentage: Option<i32>,
    /// Back-off limits.
    pub backoff: Backoff,
    /// Longest stay without an event.
    pub stay_max: Span,
    /// Whether DefaultPreemption is on.
    pub preemption: bool,
    /// How many nodes it tries at least: percent, and number
    /// (`minCandidateNodesPercentage`, `minCandidateNodesAbsolute`).
    pub candidates: (usize, usize),
}

impl Settings {
    /// The default profile of a version.
    #[must_use]
    pub fn of(rules: Rules) -> Settings {
        Settings {
            rules,
            filters: Plugins::ALL,
            fit: Some((1, Strategy::Least, score::DEFAULT_RESOURCES.to_vec())),
            balanced: Some((1, score::DEFAULT_RESOURCES.to_vec())),
            // 1.25 has the same weights: TaintToleration 3, NodeAffinity 2 (since v1beta3).
            taints: 3,
            affinity: 2,
            ignored: Reasons::default(),
            percentage: 0,
            profile_percentage: None,
            backoff: Backoff::default(),
            stay_max: Span::from_secs(300),
            preemption: true,
            candidates: (10, 100),
        }
    }
}

/// What pods of one shape ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    /// Requests.
    pub request: PodRequest,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// Node selector and affinity.
    pub affinity: Affinity,
    /// The resource of GPUs whose sums do not say whether a pod fits, as with memory slices, where
    /// one GPU must hold it: [`Devices`] is asked as well.
    pub device: Option<ResourceId>,
}

/// What stands behind resources that are no plain sums.
pub trait Devices {
    /// Whether a node's GPUs can serve a pod of `shape` once the pods of `without` are gone and
    /// others of the shapes `beside` are there.
    fn serve(&mut self, node: NodeId, shape: ShapeId, without: &[PodId], beside: &[ShapeId]) -> bool;
}

impl Devices for () {
    fn serve(&mut self, _: NodeId, _: ShapeId, _: &[PodId], _: &[ShapeId]) -> bool {
        true
    }
}

/// What a cycle came to, not yet carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Who was tried.
    pub pod: PodId,
    /// With what outcome.
    pub outcome: Outcome,
}

/// The outcome of a cycle.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A node takes the pod; the scheduler counts it there from now on.
    Placed {
        /// Which.
        node: NodeId,
        /// Feasible nodes that were scored.
        feasible: usize,
        /// Those and the nodes with a refusal.
        evaluated: usize,
    },
    /// No node does.
    Failed(Failure),
}

/// Why a cycle failed, and what preemption wants done about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The FailedScheduling message, of [`Kube::reasons`].
    pub message: ReasonId,
    /// Plugins that rejected the pod; none for an error.
    pub rejectors: Plugins,
    /// Whom to evict.
    pub victims: Vec<PodId>,
    /// What becomes of the pod's nomination.
    pub nomination: Nomination,
    /// Pods of lower priority that lose their nomination to the same node.
    pub displaced: Vec<PodId>,
}

/// What becomes of a nomination after a failed cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nomination {
    /// It stays as it was.
    Keep,
    /// It is cleared.
    Clear,
    /// It is this node.
    Set(NodeId),
}

/// The scheduler.
#[derive(Debug)]
pub struct Kube {
    cache: Cache,
    resources: Resources,
    order: NodeOrder<NodeId>,
    /// The nodes in order; stale once one came or went.
    list: Vec<NodeId>,
    list_stale: bool,
    start: usize,
    queue: Queue,
    /// Who is tried, the node it is counted on if it was placed, and what happened since it was taken.
    in_flight: Option<PodId>,
    assumed: Option<NodeId>,
    events: Vec<Event>,
    /// How many more disruptions each budget allows.
    allowances: Vec<i64>,
    /// Draws for ties and offsets; `None` takes the first of whatever is equal.
    chance: Option<Stream>,
    /// Among exact ties of the best score this node is taken where the version draws: a recorded
    /// run's draw.
    drawn: Option<NodeId>,
    reasons: record::Reasons,
    /// Texts of reasons by bit.
    words: Vec<Option<WordId>>,
    /// Scratch of a scan: the feasible nodes with their scores, and which of them are the best.
    feasible: Vec<NodeId>,
    totals: Vec<i64>,
    best: Vec<usize>,
}

impl Kube {
    /// A scheduler that knows no node and no pod yet.
    #[must_use]
    pub fn new(settings: Settings, resources: Resources, chance: Option<Stream>) -> Kube {
        Kube {
            queue: Queue::new(settings.rules, settings.backoff, settings.stay_max),
            cache: Cache::new(settings),
            resources,
            order: NodeOrder::new(),
            list: Vec::new(),
            list_stale: false,
            start: 0,
            in_flight: None,
            assumed: None,
            events: Vec::new(),
            allowances: Vec::new(),
            chance,
            drawn: None,
            reasons: record::Reasons::default(),
            words: vec![None; 128],
            feasible: Vec::new(),
            totals: Vec::new(),
            best: Vec::new(),
        }
    }

    /// Makes a shape known.
    pub fn add_shape(&mut self, shape: Shape) -> ShapeId {
        self.cache.add_shape(shape)
    }

    /// Sets how many more disruptions each budget allows, at most 64 of them.
    pub fn set_allowances(&mut self, allowances: Vec<i64>) {
        assert!(allowances.len() <= 64, "budgets of a pod are a set of 64 bits");
        self.allowances = allowances;
    }

    /// The node that a recorded run drew in the cycle to come.
    pub fn draw(&mut self, node: Option<NodeId>) {
        self.drawn = node;
    }

    /// From now on messages stand only as long as they are the first or the last of some pod.
    pub fn forget_messages(&mut self) {
        self.reasons.forget_unheld();
    }

    /// The texts of all messages.
    #[must_use]
    pub fn reasons(&self) -> &record::Reasons {
        &self.reasons
    }

    /// The queues.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Where the scan of the next cycle starts.
    #[must_use]
    pub fn next_start(&self) -> usize {
        self.start
    }

    /// A node joins. Its id is the next one.
    pub fn add_node(&mut self, name: String, spec: NodeSpec, now: Time) -> NodeId {
        let kind = self.cache.kind(spec);
        let node = self.cache.add_node(name, kind);
        self.join(node, now);
        node
    }

    fn join(&mut self, node: NodeId, now: Time) {
        self.cache.nodes[node.index()].present = true;
        self.cache.changed(node);
        let spec = Arc::clone(self.cache.spec(self.cache.node(node).kind));
        self.order.add(node, &zone(&spec));
        self.list_stale = true;
        self.event(now, &Event::NodeAdded(node, spec));
    }

    /// A node leaves. Its pods stay counted until they are deleted.
    pub fn remove_node(&mut self, node: NodeId) {
        let of = &mut self.cache.nodes[node.index()];
        assert!(of.present, "a node leaves once");
        of.present = false;
        self.cache.changed(node);
        let zone = zone(self.cache.spec(self.cache.node(node).kind));
        self.order.remove(node, &zone);
        self.list_stale = true;
    }

    /// A node's name.
    #[must_use]
    pub fn node_name(&self, node: NodeId) -> &str {
        &self.cache.node(node).name
    }

    /// How much of a resource the pods on a node ask for, as the scheduler counts them.
    #[must_use]
    pub fn used(&self, node: NodeId, resource: ResourceId) -> i64 {
        self.cache.node(node).usage.real.get(resource)
    }

    /// What a node is.
    #[must_use]
    pub fn spec(&self, node: NodeId) -> &NodeSpec {
        self.cache.spec(self.cache.node(node).kind)
    }

    /// A node changes: allocatable amounts, labels, taints, cordon. One that had left comes back.
    pub fn update_node(&mut self, node: NodeId, spec: NodeSpec, now: Time) {
        let old = Arc::clone(self.cache.spec(self.cache.node(node).kind));
        let kind = self.cache.kind(spec);
        let new = Arc::clone(self.cache.spec(kind));
        self.cache.set_kind(node, kind);
        if !self.cache.node(node).present {
            return self.join(node, now);
        }
        if zone(&old) != zone(&new) {
            self.order.remove(node, &zone(&old));
            self.order.add(node, &zone(&new));
            self.list_stale = true;
        }
        let mut changes = event::changes(&old, &new);
        // Before hints, one update is one event, whatever changed.
        changes.truncate(if self.cache.settings.rules.hints { changes.len() } else { 1 });
        for what in changes {
            let (old, new) = (Arc::clone(&old), Arc::clone(&new));
            self.event(now, &Event::NodeChanged { node, old, new, what });
        }
    }

    /// A pod is created.
    pub fn arrive(&mut self, pod: PodId, facts: Facts, now: Time) {
        self.queue.add(pod, facts, now);
    }

    /// A pod is created with scheduling gates: it waits, is never tried, and no attempt counts, until
    /// [`Kube::ungate`]. `message` is what is said of it.
    pub fn arrive_gated(&mut self, pod: PodId, facts: Facts, message: &str, now: Time) -> ReasonId {
        self.queue.add_gated(pod, facts, now);
        let message = self.reasons.intern(message);
        self.tell(pod, message);
        message
    }

    /// A pod that waits is told why. Its first and its last message stand.
    fn tell(&mut self, pod: PodId, message: ReasonId) {
        self.reasons.hold(message);
        // It may have been deleted meanwhile.
        let Some(waiting) = self.queue.get_mut(pod) else { return };
        if let Some(before) = waiting.last_message.replace(message) {
            self.reasons.release(before);
        } else {
            waiting.first_message = Some(message);
            self.reasons.hold(message);
        }
    }

    /// The last scheduling gate of a pod is removed.
    ///
    /// # Panics
    /// If it is not gated.
    pub fn ungate(&mut self, pod: PodId) {
        self.queue.ungate(pod);
    }

    /// A plugin asks for a waiting pod to be tried without back-off (`Activate`). One in flight goes on
    /// to back-off if it fails.
    pub fn urge(&mut self, pod: PodId) {
        if !self.queue.urge(pod) && self.in_flight == Some(pod) && self.cache.settings.rules.hints {
            self.events.push(Event::Urged(pod));
        }
    }

    /// A waiting pod changes: what it asks for, tolerates, or its priority.
    ///
    /// # Panics
    /// If it does not wait.
    pub fn update_pod(&mut self, pod: PodId, facts: Facts, now: Time) {
        let waiting = self.queue.get(pod).expect("a pod that waits");
        let shapes = &self.cache.shapes;
        let before = &shapes[waiting.facts.shape.index()];
        let event = Event::Own(pod, OwnChange::between(before, &shapes[facts.shape.index()]));
        let mut judged = waiting.clone();
        judged.facts = facts;
        let helped = self.cache.worth(&event, &judged);
        if let Some(node) = waiting.nominated {
            let nominee = Nominee { pod, priority: facts.priority, shape: facts.shape };
            self.cache.unlist_nominated(pod, node);
            self.cache.list_nominated(nominee, node);
        }
        if self.in_flight == Some(pod) {
            self.events.push(event);
        }
        self.queue.update(pod, facts, now, helped);
    }

    /// A pod that was given a node asks for what another shape does (in-place resize, since 1.33).
    ///
    /// # Panics
    /// If it is not there.
    pub fn resize(&mut self, pod: PodId, node: NodeId, shape: ShapeId, now: Time) {
        let before = self.cache.resize(pod, node, shape);
        let shapes = &self.cache.shapes;
        let less = event::less(&shapes[before.index()], &shapes[shape.index()]);
        match less.is_empty() {
            true => self.observed(),
            false => self.event(now, &Event::ScaledDown(less)),
        }
    }

    /// A pod that waits is deleted. One that was placed and whose cycle has not ended is forgotten.
    pub fn withdraw(&mut self, pod: PodId, now: Time) {
        let assumed = self.assumed.filter(|_| self.in_flight == Some(pod));
        if let Some(node) = assumed.filter(|_| self.cache.settings.rules.forgets_assumed) {
            self.assumed = None;
            self.deleted(pod, node, now);
        }
        let waiting = self.queue.remove(pod);
        if let Some(node) = waiting.nominated {
            self.cache.unlist_nominated(pod, node);
            self.nomination_gone(waiting.facts.priority, now);
        }
    }

    /// A pod that was given a node is gone: it ended, or its grace did.
    ///
    /// # Panics
    /// If it is not there.
    pub fn deleted(&mut self, pod: PodId, node: NodeId, now: Time) {
        self.cache.take_off(pod, node);
        self.event(now, &Event::PodGone);
    }

    /// A pod was asked to go; it stays counted until it is deleted.
    ///
    /// # Panics
    /// If it is not there.
    pub fn terminate(&mut self, pod: PodId, node: NodeId, preempted: bool) {
        let resident = self.cache.resident(pod, node).expect("a pod of this node");
        resident.terminating = true;
        resident.preempted |= preempted;
        self.observed();
    }

    /// An assigned pod changed, or was seen for the first time. Only pods with affinity to others
    /// could be helped; yet before hints it counts as a request to move.
    fn observed(&mut self) {
        self.queue.stir();
    }

    fn event(&mut self, now: Time, event: &Event) {
        self.remember(event);
        let cache = &self.cache;
        self.queue.wake(now, |rejectors| event.concerns(rejectors), |waiting| cache.worth(event, waiting));
    }

    /// Keeps an event for the pod in flight.
    fn remember(&mut self, event: &Event) {
        if self.in_flight.is_some() {
            self.events.push(event.clone());
        }
    }

    /// The nomination of a pod of `priority` is gone: whom it kept out may come.
    fn nomination_gone(&mut self, priority: i32, now: Time) {
        if !self.cache.settings.rules.nomination_wakes {
            return;
        }
        self.remember(&Event::PodGone);
        self.queue.wake_each(now, |waiting| {
            waiting.facts.priority <= priority && Event::PodGone.concerns(waiting.rejectors) == Concerns::All
        });
    }

    /// The tick of a whole second.
    pub fn tick(&mut self, now: Time) {
        self.queue.tick(now);
    }

    /// The leftover flush of every 30 s.
    pub fn flush(&mut self, now: Time) {
        if self.queue.flush(now) {
            self.remember(&Event::Timeout);
        }
    }

    /// The next moment at which [`Kube::tick`] or [`Kube::flush`] moves somebody.
    pub fn next_timer(&mut self) -> Option<Time> {
        self.queue.next_timer()
    }

    /// Takes the next pod and decides. A pod that is placed is counted on its node from now on.
    ///
    /// # Panics
    /// While another cycle has not ended.
    pub fn begin(&mut self, devices: &mut impl Devices) -> Option<Attempt> {
        assert!(self.in_flight.is_none(), "one cycle at a time");
        let pod = self.queue.pop()?;
        if std::mem::take(&mut self.list_stale) {
            self.list = self.order.list();
            self.cache.order(&self.list, self.resources.ids().count());
        }
        self.in_flight = Some(pod);
        let waiting = self.queue.get(pod).expect("it was just taken");
        let (facts, nominated) = (waiting.facts, waiting.nominated);
        let outcome = match self.schedule(pod, facts, nominated, devices) {
            Some(Found { node, feasible, evaluated }) => {
                if let Some(at) = self.queue.get_mut(pod).expect("it waits").nominated.take() {
                    self.cache.unlist_nominated(pod, at);
                }
                self.cache.put_on(pod, facts, node);
                self.assumed = Some(node);
                Outcome::Placed { node, feasible, evaluated }
            }
            None if self.list.is_empty() => Outcome::Failed(Failure {
                message: self.reasons.intern("no nodes available to schedule pods"),
                rejectors: Plugins::NONE,
                victims: Vec::new(),
                nomination: Nomination::Clear,
                displaced: Vec::new(),
            }),
            None => Outcome::Failed(self.fail(pod, facts, nominated, devices)),
        };
        Some(Attempt { pod, outcome })
    }

    /// Lets the outcome of a cycle happen: a placed pod is bound, a failed one put back, and
    /// nominations change. Evicting the victims is the caller's; [`Kube::terminate`] tells of it.
    ///
    /// # Panics
    /// If `attempt` is not the cycle that began last.
    pub fn end(&mut self, attempt: &Attempt, now: Time) {
        let pod = self.in_flight.take().expect("a cycle that began");
        assert!(pod == attempt.pod, "the cycle that began");
        let events = std::mem::take(&mut self.events);
        match &attempt.outcome {
            Outcome::Placed { .. } => {
                let assumed = self.assumed.take();
                if self.queue.get(pod).is_some() {
                    let node = assumed.expect("a pod that waits is not forgotten");
                    self.queue.remove(pod);
                    self.cache.nodes[node.index()].started(pod, now);
                    self.observed();
                } else if let Some(node) = assumed {
                    // It was deleted during its attempt, and its binding fails.
                    self.deleted(pod, node, now);
                }
            }
            Outcome::Failed(failure) => {
                self.tell(pod, failure.message);
                // It may have been deleted during its attempt.
                if let Some(waiting) = self.queue.get_mut(pod) {
                    waiting.rejectors = failure.rejectors;
                    let cache = &self.cache;
                    let waiting = &*waiting;
                    let helped = cache.settings.rules.hints && events.iter().any(|e| cache.worth(e, waiting));
                    self.queue.put_back(pod, now, failure.rejectors, helped);
                    self.nominate(pod, failure.nomination, now);
                }
                for displaced in &failure.displaced {
                    self.nominate(*displaced, Nomination::Clear, now);
                }
            }
        }
    }

    /// Ends the cycle of a placed pod whose binding failed: it gives its room back, which the others are
    /// told, and is held back as after an error. Its nomination went when it was placed. `message` is what
    /// is said of it.
    ///
    /// # Panics
    /// If `attempt` is not the cycle that began last, or it failed.
    pub fn end_unbound(&mut self, attempt: &Attempt, message: &str, now: Time) -> ReasonId {
        let pod = self.in_flight.take().expect("a cycle that began");
        assert!(pod == attempt.pod, "the cycle that began");
        assert!(matches!(attempt.outcome, Outcome::Placed { .. }), "only a placed pod is bound");
        self.events.clear();
        if let Some(node) = self.assumed.take() {
            self.deleted(pod, node, now);
        }
        let message = self.reasons.intern(message);
        self.tell(pod, message);
        if self.queue.get(pod).is_some() {
            self.queue.put_back(pod, now, Plugins::NONE, false);
        }
        message
    }

    /// Changes a nomination, and tells those whom it kept out.
    fn nominate(&mut self, pod: PodId, nomination: Nomination, now: Time) {
        let wanted = match nomination {
            Nomination::Keep => return,
            Nomination::Clear => None,
            Nomination::Set(node) => Some(node),
        };
        let Some(waiting) = self.queue.get_mut(pod) else { return };
        let before = std::mem::replace(&mut waiting.nominated, wanted);
        if before == wanted {
            return;
        }
        let Facts { priority, shape, .. } = waiting.facts;
        if let Some(node) = wanted {
            self.cache.list_nominated(Nominee { pod, priority, shape }, node);
        }
        if let Some(node) = before {
            self.cache.unlist_nominated(pod, node);
            self.nomination_gone(priority, now);
        }
    }

    /// Filter, score, choose; `None` where no node takes the pod.
    fn schedule(
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
    fn named(&self, names: &BTreeSet<String>) -> Vec<NodeId> {
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
    fn refusals_pinned(
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
    fn is_known_failure(&self, facts: Facts, nominated: Option<NodeId>) -> bool {
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
    fn chosen(&mut self, equals: usize) -> usize {
        self.chance.as_mut().map_or(0, |stream| stream.below(equals as u64) as usize)
    }

    /// The failed cycle: its message, its rejectors, and what preemption wants.
    fn fail(
        &mut self,
        pod: PodId,
        facts: Facts,
        nominated: Option<NodeId>,
        devices: &mut impl Devices,
    ) -> Failure {
        let shape = facts.shape.index();
        let failure = |message, rejectors| Failure {
            message,
            rejectors,
            victims: Vec::new(),
            nomination: Nomination::Clear,
            displaced: Vec::new(),
        };
        if self.is_known_failure(facts, nominated) {
            let known = self.cache.rows.memo(shape, facts.priority, facts.never_preempts);
            let known = known.expect("it is known");
            let keeps = facts.never_preempts || !self.cache.settings.preemption;
            let nomination = if keeps { Nomination::Keep } else { Nomination::Clear };
            return Failure { nomination, ..failure(known.message, known.rejectors) };
        }
        let pinned = self.cache.pinned(facts.shape).cloned();
        self.cache.refresh(facts.shape, devices);
        let mut statuses = match &pinned {
            Some(names) => self.refusals_pinned(pod, facts, nominated, names, devices),
            None => self.cache.refusals(pod, facts, devices),
        };
        // A PreFilter plugin that leaves nodes out is a rejector, whether it left some or not.
        let before = if pinned.is_some() { Plugins::AFFINITY } else { Plugins::NONE };
        let rejectors = statuses.iter().fold(before, |all, (status, _)| all.and(status.rejector));
        let rules = self.cache.settings.rules;
        let preemption = match self.cache.settings.preemption {
            false => Preemption::Off,
            true => self.preempt(pod, facts, nominated, &statuses, devices),
        };
        let nodes = self.list.len();
        let mut failure = failure(ReasonId::FIRST, rejectors);
        let evicts = matches!(preemption, Preemption::Evict { .. });
        let claims = if rules.claims_message { "no new claims to deallocate, " } else { "" };
        let then = match preemption {
            Preemption::Off => {
                failure.nomination = Nomination::Keep;
                Then::Nothing
            }
            Preemption::NotEligible(why) => {
                failure.nomination = Nomination::Keep;
                Then::Text(self.reasons.word(&format!("{claims}preemption: {why}")))
            }
            Preemption::Helpless(statuses) => {
                let said = self.counted(nodes, &statuses, true);
                Then::Counts(self.reasons.word(&format!("{claims}preemption: ")), said)
            }
            Preemption::Evict { node, victims, displaced } => {
                failure = Failure { nomination: Nomination::Set(node), victims, displaced, ..failure };
                Then::Nothing
            }
        };
        let conflicts = pinned.as_ref().is_some_and(BTreeSet::is_empty);
        if !conflicts && !rules.counts_left_out {
            statuses.retain(|(status, _)| !status.reasons.meets(Reasons::LEFT_OUT));
        }
        let mut reasons = self.counted(nodes, &statuses, false);
        if conflicts {
            // The message of PreFilter is no count of nodes.
            reasons.iter_mut().for_each(|(_, nodes)| *nodes = 0);
        }
        failure.message = self.reasons.count(&Counted { nodes, reasons, then });
        if nominated.is_none() && !evicts {
            let of = (facts.priority, facts.never_preempts);
            let exact = self.cache.has_nominees() || self.cache.has_below(facts.priority);
            self.reasons.hold(failure.message);
            if let Some(before) = self.cache.rows.remember(shape, of, exact, failure.message, rejectors) {
                self.reasons.release(before);
            }
        }
        failure
    }

    /// What the nodes that are there would say to a pod of `shape`, were they empty.
    #[must_use]
    pub fn refusal_when_empty(&mut self, shape: ShapeId) -> ReasonId {
        let list = self.order.list();
        let statuses: Vec<(Status, usize)> =
            list.iter().map(|node| (self.cache.status_when_empty(shape, *node), 1)).collect();
        let refused: Vec<_> = statuses.into_iter().filter(|(status, _)| !status.is_success()).collect();
        let reasons = self.counted(list.len(), &refused, false);
        let message = self.reasons.count(&Counted { nodes: list.len(), reasons, then: Then::Nothing });
        self.reasons.hold(message);
        message
    }

    /// Nodes by reason. Of `nodes`, those without a status count as ones that preemption did not try,
    /// if that is asked.
    fn counted(&mut self, nodes: usize, statuses: &[(Status, usize)], tried: bool) -> Vec<(WordId, usize)> {
        let mut counts: Vec<(u32, usize)> = Vec::new();
        let mut add = |bit: u32, nodes: usize| match counts.iter_mut().find(|(known, _)| *known == bit) {
            Some((_, count)) => *count += nodes,
            None => counts.push((bit, nodes)),
        };
        let mut explicit = 0;
        for (status, nodes) in statuses {
            explicit += nodes;
            status.reasons.bits().for_each(|bit| add(bit, *nodes));
        }
        if tried && explicit < nodes {
            Reasons::NO_HELP.bits().for_each(|bit| add(bit, nodes - explicit));
        }
        counts.sort_unstable();
        counts.into_iter().map(|(bit, count)| (self.word(bit), count)).collect()
    }

    fn word(&mut self, bit: u32) -> WordId {
        let known = self.words[bit as usize];
        known.unwrap_or_else(|| {
            let names = Names { resources: &self.resources, taints: &self.cache.taints };
            let word = self.reasons.word(&names.text(bit));
            self.words[bit as usize] = Some(word);
            word
        })
    }

    /// Default preemption.
    fn preempt(
        &mut self,
        pod: PodId,
        facts: Facts,
        nominated: Option<NodeId>,
        statuses: &[(Status, usize)],
        devices: &mut impl Devices,
    ) -> Preemption {
        let rules = self.cache.settings.rules;
        if facts.never_preempts {
            return Preemption::NotEligible("not eligible due to preemptionPolicy=Never.");
        }
        if let Some(node) = nominated {
            let present = self.cache.node(node).present;
            let hopeless = present && self.cache.status(pod, facts, node, devices).code == Code::Unresolvable;
            let of = self.cache.node(node);
            if !hopeless && present && of.waits_for(facts.priority, rules.waits_for_preempted) {
                return Preemption::NotEligible(
                    "not eligible due to a terminating pod on the nominated node.",
                );
            }
        }
        let helpful = statuses.iter().filter(|(status, _)| status.code == Code::Unschedulable);
        let helpful: usize = helpful.map(|(_, nodes)| nodes).sum();
        if helpful == 0 {
            return Preemption::Helpless(Vec::new());
        }
        if !self.cache.has_below(facts.priority) {
            return Preemption::Helpless(vec![(preempt::NO_VICTIMS, helpful)]);
        }
        let list = match self.cache.pinned(facts.shape) {
            Some(names) => self.named(names),
            None => self.list.clone(),
        };
        let helpful = self.cache.helpful(pod, facts, &list, devices);
        let (candidates, said) = self.dry_run(pod, facts, &helpful, devices);
        if candidates.is_empty() {
            return Preemption::Helpless(said);
        }
        let ranked: Vec<Candidate> = candidates.iter().map(|(_, candidate, _)| candidate.clone()).collect();
        let best = preempt::pick(&ranked);
        let (node, _, victims) = &candidates[best[self.chosen(best.len())]];
        let of = self.cache.node(*node);
        let spared = |pod: &PodId| {
            let gone = |r: &&cache::Resident| r.target.pod == *pod && r.terminating;
            rules.spares_terminating && of.residents.iter().any(|r| gone(&r))
        };
        let victims = victims.iter().copied().filter(|pod| !spared(pod)).collect();
        let mut displaced: Vec<PodId> = of
            .nominated
            .iter()
            .filter(|other| other.priority < facts.priority)
            .map(|other| other.pod)
            .collect();
        displaced.sort_unstable();
        Preemption::Evict { node: *node, victims, displaced }
    }

    /// Tries the nodes from a drawn offset until enough candidates are found; and what the others
    /// say.
    #[expect(clippy::type_complexity, reason = "what is found, and why the rest is not")]
    fn dry_run(
        &mut self,
        pod: PodId,
        facts: Facts,
        nodes: &[NodeId],
        devices: &mut impl Devices,
    ) -> (Vec<(NodeId, Candidate, Vec<PodId>)>, Vec<(Status, usize)>) {
        let (mut candidates, mut said): (Vec<(NodeId, Candidate, Vec<PodId>)>, Vec<_>) =
            (Vec::new(), Vec::new());
        let wanted = preempt::candidates_wanted(nodes.len(), self.cache.settings.candidates);
        let offset = if nodes.is_empty() { 0 } else { self.chosen(nodes.len()) };
        let sorted = self.cache.settings.rules.victims_sorted;
        for index in 0..nodes.len() {
            let node = nodes[(offset + index) % nodes.len()];
            if !self.cache.node(node).residents.iter().any(|r| r.target.priority < facts.priority) {
                said.push((preempt::NO_VICTIMS, 1));
                continue;
            }
            let targets: Vec<Target<PodId>> =
                self.cache.node(node).residents.iter().map(|resident| resident.target.clone()).collect();
            let mut trial = self.cache.trial(pod, facts, node, devices);
            match preempt::select_victims(&targets, facts.priority, &self.allowances, sorted, &mut trial) {
                Err(status) => said.push((status, 1)),
                // Nobody need go: an error upstream, and no candidate.
                Ok(victims) if victims.pods.is_empty() => {}
                Ok(victims) => {
                    let of = victims.pods.iter().map(|at| &targets[*at]);
                    let ranked = of.clone().map(|target| (target.priority, target.started)).collect();
                    let candidate = Candidate { violations: victims.violations, victims: ranked };
                    candidates.push((node, candidate, of.map(|target| target.pod).collect()));
                }
            }
            let sparing = candidates.iter().any(|(_, candidate, _)| candidate.violations == 0);
            if sparing && wanted <= candidates.len() {
                break;
            }
        }
        // Those that violate no budget are listed first.
        candidates.sort_by_key(|(_, candidate, _)| 0 < candidate.violations);
        (candidates, said)
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
struct Found {
    node: NodeId,
    feasible: usize,
    evaluated: usize,
}

/// What default preemption came to.
enum Preemption {
    /// It is not on.
    Off,
    /// The pod may not preempt now.
    NotEligible(&'static str),
    /// No node is gained; what those said that were tried.
    Helpless(Vec<(Status, usize)>),
    /// These make room there.
    Evict { node: NodeId, victims: Vec<PodId>, displaced: Vec<PodId> },
}
