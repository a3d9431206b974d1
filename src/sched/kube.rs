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
mod failure;
pub mod filter;
pub mod node;
pub mod preempt;
pub mod queue;
pub mod resource;
mod row;
pub mod rules;
mod schedule;
pub mod score;
mod sorted;
pub mod view;

use crate::id::{NodeId, PodId, ShapeId};
use crate::record::{self, ReasonId, WordId};
use crate::rng::Stream;
use crate::units::{Span, Time};
use crate::workload::Toleration;
use backoff::Backoff;
use cache::{Cache, Nominee};
use event::{Event, OwnChange, zone};
use filter::{Plugins, Reasons};
use node::{Affinity, NodeOrder, NodeSpec};
use queue::{Concerns, Facts, Queue};
use resource::{PodRequest, ResourceId, Resources};
use rules::Rules;
use schedule::Found;
use score::{Listed, Strategy};
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
}
