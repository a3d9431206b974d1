//! The world around kube-scheduler: its timers, cycles that may take time, assumed pods, evictions
//! with their grace.
//!
//! Nothing polls. A timer stands on the calendar only while somebody waits whom a tick or the
//! leftover flush will move, and none once nothing can happen any more: then whoever still waits was
//! tried on the idle cluster and waits for ever.

use super::api::Bucket;
use super::{Decider, Event, Running, World};
use crate::cluster::{Cluster, Grant, Placement};
use crate::engine::Epoch;
use crate::id::{NodeId, PodId, ShapeId};
use crate::record::{Doom, Observer, ReasonId, Reasons, Record};
use crate::rng::Stream;
use crate::sched::filter::Shape;
use crate::sched::kube::queue::{FLUSH_EVERY, Facts, Place};
use crate::sched::kube::view::Offered;
use crate::sched::kube::{Attempt, Devices, Failure, Kube, Nomination, Outcome, view};
use crate::sched::spec::{GpuChoice, KubeSpec, Profile, SchedulerSpec};
use crate::units::Time;
use crate::workload::policy::Budgets;
use crate::workload::request::Request;
use crate::workload::view::Pods;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// What is said of a pod whose binding failed (`schedule_one.go` and `framework/runtime`); the real one
/// ends with the API server's words.
const BIND_FAILED: &str = "binding rejected: running Bind plugin \"DefaultBinder\"";

/// What an API client's limits hold up.
#[derive(Debug)]
struct Api {
    bucket: Bucket,
    /// Pods with a place whose binding has not gone out, and when it will.
    binding: BTreeMap<PodId, (Placement, Time)>,
    /// What was last written into the status of pods that wait.
    said: FxHashMap<PodId, (ReasonId, Option<NodeId>)>,
}

impl Api {
    /// Calls that a failed cycle makes before it ends: one if the condition or the nomination changes.
    fn patches(&mut self, pod: PodId, failure: &Failure, nominated: Option<NodeId>) -> u32 {
        let says = (failure.message, nominated);
        u32::from(self.said.insert(pod, says) != Some(says))
    }
}

/// kube-scheduler with what the world keeps for it.
#[derive(Debug)]
pub struct KubeScheduler {
    kube: Kube,
    profile: Profile,
    spec: KubeSpec,
    gpu_choice: GpuChoice,
    /// What shapes need of the GPUs of each class of node.
    shapes: Vec<Shape>,
    /// Where running pods stand in the table of those that run.
    slot_of: FxHashMap<PodId, u32>,
    /// The cycle that takes time, with the place of a pod that is assumed.
    in_flight: Option<(Attempt, Option<Placement>)>,
    /// Victims whose binding has not gone out, and for whom they must go.
    unwanted: BTreeMap<PodId, PodId>,
    /// When the cycle ends that takes time, and whether something changed since it began.
    cycle_ends: Option<Time>,
    overtaken: bool,
    timer: Option<(Time, Epoch)>,
    /// What nodes advertise.
    offered: Offered,
    /// Which bindings fail: their share, and the draws.
    failures: Option<(f64, Stream)>,
    /// The limits of its API client.
    api: Option<Api>,
    /// When the cluster or the pods last changed from outside.
    changed: Time,
    /// Attempts in a row, since then, that failed and left everything as it was.
    fruitless: u64,
    attempts: u64,
}

impl KubeScheduler {
    /// The scheduler of a profile for `pods` on `cluster`, which is empty as yet.
    #[must_use]
    pub fn new(pods: &Pods<'_>, cluster: &Cluster, spec: &SchedulerSpec, seed: u64) -> KubeScheduler {
        let shape = |r: &Request| Shape::new(r, &pods.constraints[r.constraint as usize], cluster.classes());
        let (kube, offered) = view::scheduler(pods, cluster, spec, seed);
        let api = spec.kube.api.map(|limits| Api {
            bucket: Bucket::new(limits),
            binding: BTreeMap::new(),
            said: FxHashMap::default(),
        });
        KubeScheduler {
            kube,
            profile: spec.profile,
            spec: spec.kube.clone(),
            gpu_choice: spec.gpu_choice,
            shapes: pods.requests.iter().map(shape).collect(),
            slot_of: FxHashMap::default(),
            in_flight: None,
            unwanted: BTreeMap::new(),
            cycle_ends: None,
            overtaken: false,
            timer: None,
            offered,
            failures: (0.0 < spec.kube.bind_failures)
                .then(|| (spec.kube.bind_failures, Stream::new(seed, "bind failures", 0))),
            api,
            changed: Time::ZERO,
            fruitless: 0,
            attempts: 0,
        }
    }

    pub(super) fn attempts(&self) -> u64 {
        self.attempts
    }

    /// Something changed that another try may find.
    fn touch(&mut self, now: Time) {
        (self.changed, self.fruitless, self.overtaken) = (now, 0, true);
    }

    /// Whether the next binding fails.
    fn binding_fails(&mut self) -> bool {
        self.failures.as_mut().is_some_and(|(share, stream)| stream.unit() < *share)
    }

    pub(super) fn forget_messages(&mut self) {
        self.kube.forget_messages();
    }

    pub(super) fn can_ever_fit(&self, shape: ShapeId) -> bool {
        self.shapes[shape.index()].fits_empty()
    }

    /// The message for a pod that no node of the empty cluster takes.
    pub(super) fn never_fits(&mut self, pod: PodId, pods: &Pods<'_>) -> ReasonId {
        self.kube.refusal_when_empty(pods.shape(pod))
    }

    pub(super) fn arrive(&mut self, pod: PodId, pods: &Pods<'_>, budgets: &Budgets, now: Time) {
        self.kube.arrive(pod, facts(pod, pods, budgets), now);
        self.touch(now);
    }

    /// A pod is created with scheduling gates; what is said of it.
    pub(super) fn arrive_gated(
        &mut self,
        pod: PodId,
        pods: &Pods<'_>,
        budgets: &Budgets,
        message: &str,
        now: Time,
    ) -> ReasonId {
        self.kube.arrive_gated(pod, facts(pod, pods, budgets), message, now)
    }

    /// The gates of a pod are lifted.
    pub(super) fn ungate(&mut self, pod: PodId, now: Time) {
        self.kube.ungate(pod);
        self.touch(now);
    }

    pub(super) fn withdraw(&mut self, pod: PodId, now: Time) {
        // It may be away, evicted and not yet created anew.
        if self.kube.queue().get(pod).is_some() {
            self.kube.withdraw(pod, now);
        }
        self.touch(now);
    }

    /// Whether whoever waits was tried since anything changed, in vain, and another try can change nothing:
    /// asked while nothing else can happen. Where cycles take long, or keep to a rhythm, some pod may be
    /// due at any time; two tries of each are then enough.
    fn is_stuck(&self, waiting: u64) -> bool {
        let queue = self.kube.queue();
        let tried = queue.oldest().is_none_or(|oldest| self.changed < oldest);
        tried && (queue.count(Place::Active) == 0 || 2 * waiting < self.fruitless)
    }

    /// When a cycle ends that would by itself end at `end`: one that fails waits for the calls that
    /// write why into the pod's status, and up to 1.32 for those that evict its victims.
    fn end_of_cycle(&mut self, attempt: &Attempt, end: Time) -> Time {
        let nominated = match &attempt.outcome {
            Outcome::Placed { .. } => return end,
            Outcome::Failed(failure) => self.nominated_after(attempt.pod, failure),
        };
        let (Some(api), Outcome::Failed(failure)) = (&mut self.api, &attempt.outcome) else { return end };
        let patches = api.patches(attempt.pod, failure, nominated);
        let victims = match self.profile {
            Profile::Kube1_25 => failure.victims.len() as u32,
            Profile::Kube1_35 | Profile::Ideal => 0,
        };
        if patches + victims == 0 { end } else { api.bucket.call(end, patches + victims) }
    }

    /// When the call goes out that evicts a victim: since 1.33 beside the cycles, a patch and a delete.
    fn evicts_at(&mut self, now: Time) -> Time {
        match (&mut self.api, self.profile) {
            (Some(api), Profile::Kube1_35) => api.bucket.call(now, 2),
            _ => now,
        }
    }

    /// The node that is kept for a pod after a failed cycle.
    fn nominated_after(&self, pod: PodId, failure: &Failure) -> Option<NodeId> {
        match failure.nomination {
            Nomination::Set(node) => Some(node),
            Nomination::Keep => self.kube.queue().get(pod).and_then(|waiting| waiting.nominated),
            Nomination::Clear => None,
        }
    }

    /// A pod that ran is gone; whether a cycle would find somebody to try.
    pub(super) fn deleted(&mut self, pod: PodId, node: NodeId, now: Time) -> bool {
        self.slot_of.remove(&pod).expect("a pod that ran");
        self.kube.deleted(pod, node, now);
        self.touch(now);
        self.kube.queue().has_ready()
    }

    /// Whether a pod is on its way to a place.
    pub(super) fn is_placing(&self) -> bool {
        self.in_flight.is_some() || self.api.as_ref().is_some_and(|api| !api.binding.is_empty())
    }

    /// How many more disruptions each budget allows.
    pub(super) fn set_allowances(&mut self, allowances: Vec<i64>) {
        self.kube.set_allowances(allowances);
    }

    /// A pod was asked to go.
    pub(super) fn terminate(&mut self, pod: PodId, node: NodeId, preempted: bool) {
        self.kube.terminate(pod, node, preempted);
    }

    /// A node is gone; its pods are still counted.
    pub(super) fn node_left(&mut self, node: NodeId, now: Time) {
        self.kube.remove_node(node);
        self.touch(now);
    }

    /// A node is something else from now on, or is there for the first time; whether a cycle would find
    /// somebody to try.
    pub(super) fn node_changed(&mut self, node: NodeId, cluster: &Cluster, now: Time) -> bool {
        if cluster.class(node).present {
            self.kube.update_node(node, self.offered.node_spec(cluster, node), now);
        }
        self.touch(now);
        self.kube.queue().has_ready()
    }

    /// The texts of all messages.
    pub(super) fn reasons(&self) -> &Reasons {
        self.kube.reasons()
    }
}

/// What the scheduler knows of a pod.
fn facts(pod: PodId, pods: &Pods<'_>, budgets: &Budgets) -> Facts {
    let of = &pods.pods[pod.index()];
    Facts {
        shape: pods.shape(pod),
        priority: of.priority,
        never_preempts: of.never_preempts,
        budgets: budgets.of(of),
    }
}

/// The GPUs of the cluster, for modes in which sums of units do not say whether a pod fits.
struct Gpus<'a> {
    cluster: &'a Cluster,
    pods: &'a Pods<'a>,
    shapes: &'a [Shape],
    running: &'a Running,
    slot_of: &'a FxHashMap<PodId, u32>,
    api: Option<&'a Api>,
    gpu_choice: GpuChoice,
}

impl Gpus<'_> {
    /// Where a pod runs, or will as soon as it is bound.
    fn placement(&self, pod: PodId) -> &Placement {
        match self.slot_of.get(&pod) {
            Some(slot) => &self.running.get(*slot).placement,
            None => &self.api.expect("calls wait for limits").binding[&pod].0,
        }
    }
}

impl Devices for Gpus<'_> {
    fn serve(&mut self, node: NodeId, shape: ShapeId, without: &[PodId], beside: &[ShapeId]) -> bool {
        let class = self.cluster.class_index(node);
        let need = |shape: ShapeId| self.shapes[shape.index()].need(class);
        if without.is_empty() && beside.is_empty() {
            return self.cluster.gpus_serve(node, need(shape));
        }
        // GPUs alone change hands here, so what else the pods hold stays out of it.
        let gpus_of =
            |request: &Request| Request { cpu: Default::default(), memory: Default::default(), ..*request };
        let mut trial = self.cluster.alone(node);
        for pod in without {
            let grant = self.placement(*pod).grant.clone();
            trial.release(&gpus_of(self.pods.request(*pod)), &Placement { node: NodeId(0), grant });
        }
        for other in beside {
            let request = gpus_of(&self.pods.requests[other.index()]);
            if let Some(grant) = trial.choose(NodeId(0), need(*other), self.gpu_choice)
                && 0 < trial.pods_free(NodeId(0))
            {
                trial.bind(&request, &Placement { node: NodeId(0), grant });
            }
        }
        trial.gpus_serve(NodeId(0), need(shape))
    }
}

impl<O: Observer> World<'_, '_, O> {
    fn kube(&mut self) -> &mut KubeScheduler {
        match &mut self.decider {
            Decider::Kube(kube) => kube,
            Decider::Ideal(_) => unreachable!("only kube-scheduler has such events"),
        }
    }

    /// Whether the cycle that takes time tries this pod.
    pub(super) fn is_in_flight(&self, pod: PodId) -> bool {
        match &self.decider {
            Decider::Kube(kube) => {
                kube.in_flight.as_ref().is_some_and(|(attempt, _)| attempt.pod == pod)
                    || kube.api.as_ref().is_some_and(|api| api.binding.contains_key(&pod))
            }
            Decider::Ideal(_) => false,
        }
    }

    /// When the last pod that has a place on `node` and does not run yet will; `None` if there is none.
    pub(super) fn placing_on(&self, node: NodeId) -> Option<Time> {
        let Decider::Kube(kube) = &self.decider else { return None };
        let tried = kube.in_flight.as_ref().and_then(|(_, placement)| placement.as_ref());
        let ends = tried.filter(|placement| placement.node == node).and(kube.cycle_ends);
        let binding = kube.api.iter().flat_map(|api| api.binding.values());
        let binds = binding.filter(|(placement, _)| placement.node == node).map(|(_, at)| *at);
        ends.into_iter().chain(binds).max()
    }

    /// Cycles, one pod each, until nobody is left to try or one takes time.
    pub(super) fn try_pods(&mut self) {
        while let Some((attempt, placement)) = self.begin() {
            let now = self.calendar.now();
            let kube = self.kube();
            let end = kube.end_of_cycle(&attempt, now + kube.spec.cycle_time);
            if end == now {
                self.conclude(&attempt, placement);
            } else {
                kube.in_flight = Some((attempt, placement));
                (kube.overtaken, kube.cycle_ends) = (false, Some(end));
                self.calendar.schedule(end, Event::CycleEnd, 0);
                break;
            }
        }
        self.arm();
    }

    /// Begins a cycle unless one is under way; a pod that is placed holds its place from now on.
    fn begin(&mut self) -> Option<(Attempt, Option<Placement>)> {
        self.tell_allowances();
        let Decider::Kube(of) = &mut self.decider else { unreachable!("only kube-scheduler tries pods") };
        if of.in_flight.is_some() {
            return None;
        }
        let KubeScheduler { kube, shapes, slot_of, api, gpu_choice, .. } = &mut **of;
        let mut gpus = Gpus {
            cluster: &self.cluster,
            pods: &self.setup.pods,
            shapes,
            running: &self.running,
            slot_of,
            api: api.as_ref(),
            gpu_choice: *gpu_choice,
        };
        let attempt = kube.begin(&mut gpus)?;
        let placement = match attempt.outcome {
            Outcome::Failed(_) => None,
            Outcome::Placed { node, .. } => {
                let shape = self.setup.pods.shape(attempt.pod);
                let need = shapes[shape.index()].need(self.cluster.class_index(node));
                let grant: Grant = self
                    .cluster
                    .choose(node, need, *gpu_choice)
                    .expect("the node's GPUs serve whom it takes");
                let placement = Placement { node, grant };
                self.cluster.bind(self.setup.pods.request(attempt.pod), &placement);
                Some(placement)
            }
        };
        of.attempts += 1;
        Some((attempt, placement))
    }

    /// The cycle that took time ends, and the next may begin.
    pub(super) fn cycle_end(&mut self) {
        let now = self.calendar.now();
        let kube = self.kube();
        let (attempt, placement) = kube.in_flight.take().expect("a cycle that takes time");
        // What changed during the cycle came too late for it: the pod was not yet tried since.
        if kube.overtaken {
            kube.touch(now);
        }
        self.conclude(&attempt, placement);
        self.arm();
        // Without a clock nothing can happen any more, and nobody is tried.
        let waiting = self.waiting;
        let kube = self.kube();
        if kube.kube.queue().has_ready() && !(kube.timer.is_none() && kube.is_stuck(waiting)) {
            self.plan_cycle();
        }
    }

    /// What a cycle decided happens.
    fn conclude(&mut self, attempt: &Attempt, placement: Option<Placement>) {
        let now = self.calendar.now();
        let pod = attempt.pod;
        let (attempt, placement) = match placement {
            Some(placement) if self.kube().binding_fails() => {
                return self.unbind(attempt, &placement);
            }
            placement => (attempt, placement),
        };
        self.kube().kube.end(attempt, now);
        match &attempt.outcome {
            Outcome::Placed { .. } => {
                let placement = placement.expect("a placed pod has its place");
                if let Some(api) = &mut self.kube().api {
                    api.said.remove(&pod);
                    let goes_out = api.bucket.call(now, 1);
                    if now < goes_out {
                        api.binding.insert(pod, (placement, goes_out));
                        self.calendar.schedule(goes_out, Event::Bind, pod.0);
                        return;
                    }
                }
                self.start_bound(pod, placement);
            }
            Outcome::Failed(failure) => self.failed(pod, failure),
        }
    }

    /// The binding of a pod fails: it gives its room back. The call that fails is a call all the same; it
    /// fails at once, also where limits would hold it up.
    fn unbind(&mut self, attempt: &Attempt, placement: &Placement) {
        let (now, pod) = (self.calendar.now(), attempt.pod);
        self.cluster.release(self.setup.pods.request(pod), placement);
        let kube = self.kube();
        let reason = kube.kube.end_unbound(attempt, BIND_FAILED, now);
        kube.touch(now);
        kube.unwanted.remove(&pod);
        if let Some(api) = &mut kube.api {
            api.bucket.call(now, 1);
        }
        self.emit(Record::Unbound { pod, node: placement.node, reason });
        self.given_back(placement);
        let patience =
            self.setup.patience.map(|patience| self.setup.pods.pods[pod.index()].arrival + patience);
        // As after an attempt that finds no node.
        if patience.is_some_and(|end| end <= now) {
            self.leave_queue(pod, |pod| Record::GaveUp { pod });
        }
    }

    fn start_bound(&mut self, pod: PodId, placement: Placement) {
        let slot = self.start(pod, placement);
        self.kube().slot_of.insert(pod, slot);
        self.kube().fruitless = 0;
        if let Some(by) = self.kube().unwanted.remove(&pod) {
            self.doom_one(slot, Doom::Preempted(by), self.calendar.now());
        }
    }

    /// The call that binds a pod goes through.
    pub(super) fn bind(&mut self, pod: PodId) {
        let api = self.kube().api.as_mut().expect("calls wait for the limits of the API client");
        let (placement, _) = api.binding.remove(&pod).expect("a pod that has its place");
        self.start_bound(pod, placement);
        self.arm();
    }

    fn failed(&mut self, pod: PodId, failure: &Failure) {
        let Decider::Kube(kube) = &mut self.decider else { unreachable!("only kube-scheduler fails pods") };
        let reason = failure.message;
        let nominated = kube.nominated_after(pod, failure);
        let idle = failure.victims.is_empty() && nominated.is_none();
        kube.fruitless = if idle { kube.fruitless + 1 } else { 0 };
        self.emit(Record::Refused { pod, reason, rejectors: failure.rejectors, nominated });
        self.nos_told(pod, reason, nominated);
        for victim in &failure.victims {
            // It may have ended in the meantime; one that is being bound is asked to go once it runs.
            let Some(slot) = self.kube().slot_of.get(victim).copied() else {
                if self.is_in_flight(*victim) {
                    self.kube().unwanted.insert(*victim, pod);
                }
                continue;
            };
            let now = self.calendar.now();
            let called = self.kube().evicts_at(now);
            self.doom_one(slot, Doom::Preempted(pod), called);
        }
        let patience =
            self.setup.patience.map(|patience| self.setup.pods.pods[pod.index()].arrival + patience);
        // A cap of 0 is a loss system: one attempt. One that passed during the attempt ends it, too.
        if patience.is_some_and(|end| end <= self.calendar.now()) {
            self.leave_queue(pod, |pod| Record::GaveUp { pod });
        }
    }

    /// A tick of kube-scheduler's clocks.
    pub(super) fn timer(&mut self, epoch: Epoch) {
        let now = self.calendar.now();
        let kube = self.kube();
        if kube.timer.take_if(|(_, planned)| *planned == epoch).is_none() {
            return;
        }
        kube.kube.tick(now);
        if now.0.is_multiple_of(FLUSH_EVERY.0) {
            kube.kube.flush(now);
        }
        if kube.kube.queue().has_ready() {
            self.plan_cycle();
        }
        self.arm();
    }

    /// Plans the next tick that moves somebody, unless nothing can happen any more.
    pub(super) fn arm(&mut self) {
        let expects = self.expects();
        let Decider::Kube(kube) = &mut self.decider else { return };
        let cutting = self.nos.as_ref().is_some_and(super::nos::Nos::is_pending);
        let outside = expects || cutting || self.gated.any() || self.failures.is_pending();
        let outside = outside || self.recuts.is_pending();
        let binding = kube.api.as_ref().is_some_and(|api| !api.binding.is_empty());
        let idle = !outside && !binding && kube.slot_of.is_empty() && kube.in_flight.is_none();
        if idle && kube.is_stuck(self.waiting) {
            kube.timer = None;
            return;
        }
        let now = self.calendar.now();
        // Clocks that stood still while nothing could happen go on with the next flush.
        let flush = Time((now.0 / FLUSH_EVERY.0 + 1) * FLUSH_EVERY.0);
        let next = kube.kube.next_timer().map(|at| if now < at { at } else { flush });
        // One that comes too early does no harm, and is cheaper than another.
        if next.is_none_or(|next| kube.timer.is_some_and(|(at, _)| at <= next)) {
            return;
        }
        kube.timer = next.map(|at| (at, self.calendar.schedule(at, Event::Timer, 0)));
    }
}
