//! What is done to nodes and to pods that run: planned events, drains that respect disruption budgets,
//! evictions with their grace, and pods that are created anew.

use super::running::Run;
use super::{Decider, Event, State, World};
use crate::cluster::{Change, Planned};
use crate::engine::Epoch;
use crate::id::{NodeId, PodId};
use crate::perf::Models;
use crate::record::{Cause, Doom, Observer, Record};
use crate::sched::kube::backoff::Backoff;
use crate::units::{Span, Work};
use crate::workload::policy::{Allows, Budgets, Evicted};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, VecDeque};

/// How long a Job waits before it creates a lost pod anew: 10 s, doubled every time, at most 6 minutes
/// (kubernetes.io/docs/concepts/workloads/controllers/job, "Pod backoff failure policy"). Without any
/// wait a victim could take the room back before its preemptor is tried again, for ever.
const RETURN: Backoff = Backoff { initial: Span::from_secs(10), max: Span::from_secs(360) };

/// How long `kubectl drain` waits before it asks again for an eviction that a budget refused
/// (k8s.io/kubectl/pkg/drain, `evictPods`: 5 seconds).
const DRAIN_RETRY: Span = Span::from_secs(5);

/// What becomes of pods that must go.
#[derive(Clone, Copy, Debug)]
pub struct Fate<'a> {
    /// How long they keep their place.
    pub grace: Span,
    /// And then.
    pub evicted: Evicted,
    /// Which of them may go.
    pub budgets: &'a Budgets,
}

/// The state of all that.
#[derive(Debug, Default)]
pub(super) struct Disruptions {
    /// How often pods were evicted, and how many of them are not yet created anew.
    evictions: FxHashMap<PodId, u32>,
    pub(super) away: u32,
    /// Planned events and drains that are still to come.
    pub(super) to_come: usize,
    /// Planned events of nodes to which pods are on their way, in their order.
    held_up: BTreeMap<NodeId, VecDeque<u32>>,
    /// Pods of each budget that run and may stay; and all that should, evicted ones included.
    healthy: Vec<i64>,
    expected: Vec<i64>,
}

impl Disruptions {
    pub(super) fn new(budgets: &Budgets, planned: usize) -> Disruptions {
        let none = vec![0; budgets.allows().count()];
        Disruptions { to_come: planned, healthy: none.clone(), expected: none, ..Disruptions::default() }
    }

    fn count(&mut self, of: u64, healthy: i64, expected: i64) {
        for bit in (0..self.healthy.len()).filter(|bit| of >> bit & 1 == 1) {
            self.healthy[bit] += healthy;
            self.expected[bit] += expected;
        }
    }

    /// How often a pod lost its place so far.
    pub(super) fn times(&self, pod: PodId) -> u32 {
        self.evictions.get(&pod).copied().unwrap_or(0)
    }

    /// How many more disruptions each budget allows.
    fn allowances(&self, budgets: &Budgets) -> Vec<i64> {
        let allowed =
            |(bit, allows): (usize, Allows)| allows.disruptions(self.healthy[bit], self.expected[bit]);
        budgets.allows().enumerate().map(allowed).collect()
    }
}

impl<O: Observer> World<'_, '_, O> {
    /// Something planned happens.
    pub(super) fn planned(&mut self, index: u32) {
        let Planned { node, change, .. } = self.setup.planned[index as usize];
        let now = self.calendar.now();
        // What happens to a node happens in its order, too, where a pod holds it up.
        if let Some(earlier) = self.disruptions.held_up.get_mut(&node)
            && earlier.front() != Some(&index)
        {
            earlier.push_back(index);
            return;
        }
        if let (Change::Leave(_) | Change::Class(_) | Change::Mode { .. } | Change::Recut { .. }, Some(end)) =
            (change, self.placing_on(node))
        {
            // A pod is on its way there, judged by what the node was: it changes right after the cycle
            // that places the pod.
            self.disruptions.held_up.entry(node).or_insert_with(|| VecDeque::from([index]));
            self.calendar.schedule(end + Span(1), Event::Planned, index);
            return;
        }
        if let Some(held_up) = self.disruptions.held_up.get_mut(&node) {
            held_up.pop_front();
            if let Some(next) = held_up.front() {
                self.calendar.schedule(now, Event::Planned, *next);
            } else {
                self.disruptions.held_up.remove(&node);
            }
        }
        self.disruptions.to_come -= 1;
        match change {
            // A node that is down after a fault comes back as what it was to be.
            Change::Class(class) | Change::Leave(class) if self.failures.is_down(node) => {
                self.recuts.left(node);
                self.failures.comes_back.insert(node, class);
            }
            // One that changes its mode is what it is to be when it has.
            Change::Class(class) if self.recuts.passes_to(node, class) => {}
            Change::Class(class) => self.set_class(node, class),
            Change::Drain => {
                self.disruptions.to_come += 1;
                self.drain(node);
            }
            Change::Execute => {
                for slot in self.slots_on(node) {
                    let class = self.cluster.class(node);
                    let request = self.setup.pods.request(self.running.get(slot).pod);
                    let constraint = &self.setup.pods.constraints[request.constraint as usize];
                    let stays = class.taints.iter().all(|taint| {
                        taint.effect != "NoExecute"
                            || constraint.tolerations.iter().any(|t| t.tolerates(taint))
                    });
                    if !stays {
                        self.doom(slot, Doom::Tainted);
                    }
                }
            }
            Change::Leave(class) => {
                self.recuts.left(node);
                // Before its pods go, so that nobody is placed where they were.
                if let Decider::Kube(kube) = &mut self.decider {
                    kube.node_left(node, self.calendar.now());
                }
                self.leaving = Some(node);
                for slot in self.slots_on(node) {
                    // A gang that has lost one member has lost all.
                    if self.running.has(slot) {
                        self.lose(slot, None, true, Span::ZERO);
                    }
                }
                self.leaving = None;
                self.set_class(node, class);
            }
            Change::Recut { gpu, standing, running } => self.plan_recut(node, gpu, standing, running),
            Change::Mode { class, running, reset } => self.plan_switch(node, class, running, reset),
        }
        self.arm();
    }

    pub(super) fn slots_on(&self, node: NodeId) -> Vec<u32> {
        self.running.slots_where(|run| run.placement.node == node)
    }

    pub(super) fn set_class(&mut self, node: NodeId, class: u16) {
        let was_present = self.cluster.class(node).present;
        self.cluster.set_class(node, class);
        self.emit(Record::NodeChanged { node, class });
        match (was_present, self.cluster.class(node).present) {
            (false, true) => self.nos_node_joined(node),
            (true, true) => self.nos_node_changed(node),
            (_, false) => self.nos_node_left(node),
        }
        self.node_changed(node);
    }

    /// The scheduler is told that a node changed: whoever could use it is tried.
    pub(super) fn node_changed(&mut self, node: NodeId) {
        // It was told that the node is gone: what its last pods set free brings it not back.
        if self.leaving == Some(node) {
            return;
        }
        let ready = match &mut self.decider {
            Decider::Ideal(scheduler) => {
                scheduler.freed(node, &self.cluster);
                scheduler.has_ready()
            }
            Decider::Kube(kube) => kube.node_changed(node, &self.cluster, self.calendar.now()),
        };
        if ready {
            self.plan_cycle();
        }
    }

    /// Asks the pods of a node to go, as `kubectl drain` does: those whose budgets allow it, and the
    /// others again after a while.
    pub(super) fn drain(&mut self, node: NodeId) {
        self.disruptions.to_come -= 1;
        if !self.cluster.class(node).unschedulable || !self.cluster.class(node).present {
            return;
        }
        for slot in self.slots_on(node) {
            if self.running.get(slot).doom.is_some() {
                continue;
            }
            let of = self.setup.fate.budgets.of(&self.setup.pods.pods[self.running.get(slot).pod.index()]);
            let allowances = self.disruptions.allowances(self.setup.fate.budgets);
            let allowed = |(bit, left): (usize, &i64)| of >> bit & 1 == 0 || 0 < *left;
            if allowances.iter().enumerate().all(allowed) {
                self.doom(slot, Doom::Drained);
            }
        }
        let going = self.slots_on(node).iter().all(|slot| self.running.get(*slot).doom.is_some());
        if !going || self.placing_on(node).is_some() {
            self.disruptions.to_come += 1;
            self.calendar.schedule(self.calendar.now() + DRAIN_RETRY, Event::Drain, node.0);
        }
    }

    /// What each budget allows, for preemption.
    pub(super) fn tell_allowances(&mut self) {
        if self.setup.fate.budgets.is_empty() {
            return;
        }
        let allowances = self.disruptions.allowances(self.setup.fate.budgets);
        if let Decider::Kube(kube) = &mut self.decider {
            kube.set_allowances(allowances);
        }
    }

    /// A pod runs from now on.
    pub(super) fn count_started(&mut self, pod: PodId) {
        let of = self.setup.fate.budgets.of(&self.setup.pods.pods[pod.index()]);
        if of != 0 {
            // One that was evicted and returned was expected all the time.
            let new = !self.disruptions.evictions.contains_key(&pod);
            self.disruptions.count(of, 1, i64::from(new));
        }
    }

    /// A pod has run to its end.
    pub(super) fn count_finished(&mut self, run: &Run) {
        let of = self.setup.fate.budgets.of(&self.setup.pods.pods[run.pod.index()]);
        self.disruptions.count(of, -i64::from(run.doom.is_none()), -1);
    }

    /// A pod, and the gang that it belongs to, is asked to go, unless it is going already.
    pub(super) fn doom(&mut self, slot: u32, why: Doom) {
        for slot in self.gang_slots(slot) {
            self.doom_one(slot, why, self.calendar.now());
        }
    }

    /// One pod is asked to go by a call that goes out at `called`.
    pub(super) fn doom_one(&mut self, slot: u32, why: Doom, called: crate::units::Time) {
        let run = self.running.get(slot);
        if run.doom.is_some() {
            return;
        }
        let (pod, node) = (run.pod, run.placement.node);
        let epoch = self.calendar.schedule(called + self.setup.fate.grace, Event::Evict, slot);
        self.running.get_mut(slot).doom = Some(epoch);
        let of = self.setup.fate.budgets.of(&self.setup.pods.pods[pod.index()]);
        self.disruptions.count(of, -1, 0);
        if let Decider::Kube(kube) = &mut self.decider {
            kube.terminate(pod, node, matches!(why, Doom::Preempted(_)));
        }
        self.emit(Record::Doomed { pod, why });
    }

    /// The slots of those members of a pod's gang that run.
    fn gang_slots(&self, slot: u32) -> Vec<u32> {
        let pod = self.running.get(slot).pod;
        let first = self.first_of(pod);
        if self.setup.pods.pods[first.index()].gang == 1 {
            return vec![slot];
        }
        let last = first.0 + self.setup.pods.pods[first.index()].gang;
        self.running.slots_where(|run| (first.0..last).contains(&run.pod.0))
    }

    /// The first pod of a pod's gang.
    fn first_of(&self, pod: PodId) -> PodId {
        let led = |index: &usize| self.setup.pods.pods[*index].gang != 0;
        PodId::of((0..=pod.index()).rev().find(led).expect("a gang starts with its first pod"))
    }

    /// The grace of a pod ends. The slot may be free, or another's: it may have ended by itself.
    pub(super) fn evict(&mut self, slot: u32, epoch: Epoch) {
        if self.running.is_doomed(slot, epoch) {
            self.lose(slot, None, true, Span::ZERO);
        }
    }

    /// A pod loses its place and the work that it did not save, by a failure or by an eviction, and so do
    /// the others of its gang. It is created anew `later` at the earliest, if it `may` be.
    pub(super) fn lose(&mut self, slot: u32, cause: Option<Cause>, may: bool, later: Span) {
        let pod = self.running.get(slot).pod;
        let first = self.first_of(pod);
        let own = matches!(cause, Some(Cause::Crash | Cause::FatalFault | Cause::OutOfMemory));
        let may = may
            && !self.setup.models.is_some_and(|models| {
                own && !models.life(pod, &self.setup.pods).retries.allow(self.failures.count_own(first))
            });
        let whole = self.setup.pods.members(first).all(|member| self.state[member.index()] == State::Running);
        let returns = may && whole && self.setup.fate.evicted == Evicted::Return;
        for slot in self.gang_slots(slot) {
            self.lose_one(slot, cause, returns);
        }
        if returns {
            self.disruptions.away += 1;
            let delay = RETURN.duration(self.disruptions.times(first)).max(later);
            self.calendar.schedule(self.calendar.now() + delay, Event::Return, first.0);
        }
        self.arm();
    }

    fn lose_one(&mut self, slot: u32, cause: Option<Cause>, returns: bool) {
        let run = self.leave_place(slot);
        let pod = run.pod;
        let of = self.setup.fate.budgets.of(&self.setup.pods.pods[pod.index()]);
        self.disruptions.count(of, -i64::from(run.doom.is_none()), -i64::from(!returns));
        // One that was asked to go may have used its grace to save what it had done.
        let saves = |models: &Models| {
            let life = models.life(pod, &self.setup.pods);
            let cost = life.checkpoint.map_or(Span::ZERO, |checkpoint| checkpoint.cost);
            cause.is_none() && life.saves_on_eviction && cost <= self.setup.fate.grace
        };
        let saved = match self.setup.models {
            Some(models) if saves(models) => run.left,
            _ => run.saved,
        };
        let lost = saved.minus(run.left);
        if returns {
            self.failures.keep(pod, saved, Work::alone(self.setup.truths[pod.index()].work));
        } else {
            self.failures.forget(pod);
        }
        match cause {
            None => self.emit(Record::Evicted { pod, returns, lost }),
            Some(cause) => self.emit(Record::Failed { pod, cause, returns, lost }),
        }
        self.nos_gone(pod, run.placement.node);
        self.set_state_of(pod, State::Running, if returns { State::Waiting } else { State::Gone });
        self.part(&run, slot);
        match returns {
            true => {
                self.waiting += 1;
                *self.disruptions.evictions.entry(pod).or_default() += 1;
            }
            false => self.departed += 1,
        }
        self.freed(pod, &run.placement);
    }

    /// An evicted pod, or gang, is created anew, unless its patience ended while it was away.
    pub(super) fn come_back(&mut self, first: PodId) {
        self.disruptions.away -= 1;
        if self.state[first.index()] != State::Waiting {
            return;
        }
        for pod in self.setup.pods.members(first) {
            self.emit(Record::Returned { pod });
        }
        if self.gate(first) {
            return;
        }
        self.enqueue(first);
        if let Some(patience) = self.setup.patience {
            let end = self.setup.pods.pods[first.index()].arrival + patience;
            self.calendar.schedule(end.max(self.calendar.now()), Event::GiveUp, first.0);
        }
        self.plan_cycle();
    }
}
