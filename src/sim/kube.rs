//! The world around kube-scheduler: its timers, cycles that may take time, assumed pods, evictions
//! with their grace.
//!
//! Nothing polls. A timer stands on the calendar only while somebody waits whom a tick or the
//! leftover flush will move, and none once nothing can happen any more: then whoever still waits was
//! tried on the idle cluster and waits for ever.

use super::{Decider, Event, Running, State, World};
use crate::cluster::{Cluster, Grant, Placement};
use crate::engine::Epoch;
use crate::id::{NodeId, PodId, ShapeId};
use crate::record::{Observer, ReasonId, Reasons, Record};
use crate::sched::filter::Shape;
use crate::sched::kube::backoff::Backoff;
use crate::sched::kube::queue::{FLUSH_EVERY, Facts, Place};
use crate::sched::kube::{Attempt, Devices, Failure, Kube, Nomination, Outcome, view};
use crate::sched::spec::{Evicted, GpuChoice, KubeSpec, SchedulerSpec};
use crate::units::{Span, Time};
use crate::workload::request::Request;
use crate::workload::view::Pods;
use rustc_hash::FxHashMap;

/// How long a Job waits before it creates a lost pod anew: 10 s, doubled every time, at most 6 minutes
/// (kubernetes.io/docs/concepts/workloads/controllers/job, "Pod backoff failure policy"). Without any
/// wait a victim could take the room back before its preemptor is tried again, for ever.
const RETURN: Backoff = Backoff { initial: Span::from_secs(10), max: Span::from_secs(360) };

/// kube-scheduler with what the world keeps for it.
#[derive(Debug)]
pub struct KubeScheduler {
    kube: Kube,
    spec: KubeSpec,
    gpu_choice: GpuChoice,
    /// What shapes need of the GPUs of each class of node.
    shapes: Vec<Shape>,
    /// Where running pods stand in the table of those that run.
    slot_of: FxHashMap<PodId, u32>,
    /// The cycle that takes time, with the place of a pod that is assumed.
    in_flight: Option<(Attempt, Option<Placement>)>,
    timer: Option<(Time, Epoch)>,
    /// How often pods were evicted, and how many of them are not yet created anew.
    evictions: FxHashMap<PodId, u32>,
    away: u32,
    /// When the cluster or the pods last changed from outside.
    changed: Time,
    attempts: u64,
}

impl KubeScheduler {
    /// The scheduler of a profile for `pods` on `cluster`, which is empty as yet.
    #[must_use]
    pub fn new(pods: &Pods<'_>, cluster: &Cluster, spec: &SchedulerSpec, seed: u64) -> KubeScheduler {
        let shape = |r: &Request| Shape::new(r, &pods.constraints[r.constraint as usize], cluster.classes());
        KubeScheduler {
            kube: view::scheduler(pods, cluster, spec, seed),
            spec: spec.kube.clone(),
            gpu_choice: spec.gpu_choice,
            shapes: pods.requests.iter().map(shape).collect(),
            slot_of: FxHashMap::default(),
            in_flight: None,
            timer: None,
            evictions: FxHashMap::default(),
            away: 0,
            changed: Time::ZERO,
            attempts: 0,
        }
    }

    pub(super) fn attempts(&self) -> u64 {
        self.attempts
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

    pub(super) fn arrive(&mut self, pod: PodId, pods: &Pods<'_>, now: Time) {
        let priority = pods.pods[pod.index()].priority;
        let facts = Facts { shape: pods.shape(pod), priority, never_preempts: false, budgets: 0 };
        self.kube.arrive(pod, facts, now);
        self.changed = now;
    }

    pub(super) fn withdraw(&mut self, pod: PodId, now: Time) {
        // It may be away, evicted and not yet created anew.
        if self.kube.queue().get(pod).is_some() {
            self.kube.withdraw(pod, now);
        }
        self.changed = now;
    }

    /// A pod that ran is gone; whether a cycle would find somebody to try.
    pub(super) fn deleted(&mut self, pod: PodId, node: NodeId, now: Time) -> bool {
        self.slot_of.remove(&pod).expect("a pod that ran");
        self.kube.deleted(pod, node, now);
        self.changed = now;
        self.kube.queue().has_ready()
    }

    /// The texts of all messages.
    pub(super) fn reasons(&self) -> &Reasons {
        self.kube.reasons()
    }
}

/// The GPUs of the cluster, for modes in which sums of units do not say whether a pod fits.
struct Gpus<'a> {
    cluster: &'a Cluster,
    pods: &'a Pods<'a>,
    shapes: &'a [Shape],
    running: &'a Running,
    slot_of: &'a FxHashMap<PodId, u32>,
    gpu_choice: GpuChoice,
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
            let slot = self.slot_of[pod];
            let grant = self.running.get(slot).placement.grant.clone();
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
            Decider::Kube(kube) => kube.in_flight.as_ref().is_some_and(|(attempt, _)| attempt.pod == pod),
            Decider::Ideal(_) => false,
        }
    }

    /// Cycles, one pod each, until nobody is left to try or one takes time.
    pub(super) fn try_pods(&mut self) {
        while let Some((attempt, placement)) = self.begin() {
            let length = self.kube().spec.cycle_time;
            if length == Span::ZERO {
                self.conclude(&attempt, placement);
            } else {
                self.kube().in_flight = Some((attempt, placement));
                self.calendar.schedule(self.calendar.now() + length, Event::CycleEnd, 0);
                break;
            }
        }
        self.arm();
    }

    /// Begins a cycle unless one is under way; a pod that is placed holds its place from now on.
    fn begin(&mut self) -> Option<(Attempt, Option<Placement>)> {
        let Decider::Kube(of) = &mut self.decider else { unreachable!("only kube-scheduler tries pods") };
        if of.in_flight.is_some() {
            return None;
        }
        let KubeScheduler { kube, shapes, slot_of, gpu_choice, .. } = &mut **of;
        let mut gpus = Gpus {
            cluster: &self.cluster,
            pods: &self.setup.pods,
            shapes,
            running: &self.running,
            slot_of,
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
        let (attempt, placement) = self.kube().in_flight.take().expect("a cycle that takes time");
        self.conclude(&attempt, placement);
        if self.kube().kube.queue().has_ready() {
            self.plan_cycle();
        }
        self.arm();
    }

    /// What a cycle decided happens.
    fn conclude(&mut self, attempt: &Attempt, placement: Option<Placement>) {
        let now = self.calendar.now();
        let pod = attempt.pod;
        self.kube().kube.end(attempt, now);
        match &attempt.outcome {
            Outcome::Placed { .. } => {
                let slot = self.start(pod, placement.expect("a placed pod has its place"));
                self.kube().slot_of.insert(pod, slot);
            }
            Outcome::Failed(failure) => self.failed(pod, failure),
        }
    }

    fn failed(&mut self, pod: PodId, failure: &Failure) {
        let Decider::Kube(kube) = &mut self.decider else { unreachable!("only kube-scheduler fails pods") };
        let reason = failure.message;
        let nominated = match failure.nomination {
            Nomination::Set(node) => Some(node),
            Nomination::Keep => kube.kube.queue().get(pod).and_then(|waiting| waiting.nominated),
            Nomination::Clear => None,
        };
        self.emit(Record::Refused { pod, reason, rejectors: failure.rejectors, nominated });
        for victim in &failure.victims {
            self.doom(*victim, pod);
        }
        let patience =
            self.setup.patience.map(|patience| self.setup.pods.pods[pod.index()].arrival + patience);
        // A cap of 0 is a loss system: one attempt. One that passed during the attempt ends it, too.
        if patience.is_some_and(|end| end <= self.calendar.now()) {
            self.leave_queue(pod, |pod| Record::GaveUp { pod });
        }
    }

    /// A victim is asked to go, unless it is gone or going already.
    fn doom(&mut self, victim: PodId, by: PodId) {
        let now = self.calendar.now();
        let Some(slot) = self.kube().slot_of.get(&victim).copied() else { return };
        if self.running.get(slot).doom.is_some() {
            return;
        }
        let end = now + self.kube().spec.grace;
        let node = self.running.get(slot).placement.node;
        let epoch = self.calendar.schedule(end, Event::Evict, slot);
        self.running.get_mut(slot).doom = Some(epoch);
        self.kube().kube.terminate(victim, node, true);
        self.emit(Record::Doomed { pod: victim, by });
    }

    /// The grace of a pod ends. The slot may be free, or another's: it may have ended by itself.
    pub(super) fn evict(&mut self, slot: u32, epoch: Epoch) {
        if !self.running.is_doomed(slot, epoch) {
            return;
        }
        let run = self.running.remove(slot, &self.cluster, self.setup.speeds.is_some());
        let (pod, placement) = (run.pod, run.placement);
        let returns = self.kube().spec.evicted == Evicted::Return;
        self.cluster.release(self.setup.pods.request(pod), &placement);
        self.emit(Record::Evicted { pod, returns });
        self.set_state_of(pod, State::Running, if returns { State::Waiting } else { State::Gone });
        self.neighbours_changed(placement.node, &placement.grant, None);
        match returns {
            true => self.waiting += 1,
            false => self.departed += 1,
        }
        self.freed(pod, placement.node);
        if returns {
            let kube = self.kube();
            kube.away += 1;
            let times = kube.evictions.entry(pod).or_default();
            *times += 1;
            let delay = RETURN.duration(*times);
            self.calendar.schedule(self.calendar.now() + delay, Event::Return, pod.0);
        }
    }

    /// An evicted pod is created anew, unless its patience ended while it was away.
    pub(super) fn come_back(&mut self, pod: PodId) {
        self.kube().away -= 1;
        if self.state[pod.index()] == State::Waiting {
            self.enqueue(pod);
            if let Some(patience) = self.setup.patience {
                let end = self.setup.pods.pods[pod.index()].arrival + patience;
                if end <= self.calendar.now() {
                    self.calendar.schedule(self.calendar.now(), Event::GiveUp, pod.0);
                }
            }
            self.plan_cycle();
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
        let arrivals = self.next_arrival < self.setup.pods.pods.len();
        let Decider::Kube(kube) = &mut self.decider else { return };
        let idle = !arrivals && kube.away == 0 && kube.slot_of.is_empty() && kube.in_flight.is_none();
        let tried = |kube: &KubeScheduler| {
            let queue = kube.kube.queue();
            queue.count(Place::Active) == 0 && queue.oldest().is_none_or(|oldest| kube.changed < oldest)
        };
        if idle && tried(kube) {
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
