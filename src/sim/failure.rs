//! What breaks: GPUs, nodes and pods; who goes down with them; repairs.
//!
//! Each GPU and each node has a clock of its own for its next fault, drawn from a stream of its own, which
//! stands still while the unit is down. The calendar holds the earliest of them alone, and a run does not
//! go on for the sake of faults: when nothing else is left to happen, it is over, and nothing breaks while
//! all who are left wait for what no repair brings.

use super::running::gpus_of;
use super::{Decider, Event, World};
use crate::cluster::spec::GpuChoice;
use crate::cluster::{Cluster, Out, Share};
use crate::engine::Epoch;
use crate::id::{GpuId, NodeId, PodId, ShapeId};
use crate::perf::Models;
use crate::perf::failures::{Blast, Failures};
use crate::record::{Cause, Observer, Record};
use crate::rng::Stream;
use crate::sched::filter::{Shape, fit_together};
use crate::units::{Mib, Span, Time, Work};
use crate::workload::request::Unit;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

/// How a pod breaks by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// Its process ends; `fatal` is a GPU fault that it raised.
    Crash {
        /// Whether others may go down with it.
        fatal: bool,
    },
    /// It asks for more memory than its limit, or than its GPU has beside those that came first.
    Memory {
        /// Whether it would in any place of this kind.
        always: bool,
        /// When it crashes if it finds memory now.
        then: Option<(Time, bool)>,
    },
}

/// What can be down. GPUs come first, in their order, so a GPU's number is its part's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Gpu(NodeId, u8),
    Node(NodeId),
}

/// A unit that is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Down {
    /// It waits for a crew, or one is at work.
    Repaired {
        /// Time that it takes.
        takes: Span,
    },
    /// It comes back by itself.
    Restarting,
}

/// The state of all that.
#[derive(Debug, Default)]
pub(super) struct Breakage {
    parts: Vec<Part>,
    rates: Vec<f64>,
    streams: Vec<Stream>,
    /// The next fault of each unit that is up and fails at all.
    clocks: BinaryHeap<Reverse<(Time, u32)>>,
    wake: Option<(Time, Epoch)>,
    down: BTreeMap<u32, Down>,
    waiting: VecDeque<u32>,
    at_work: u32,
    /// Restarts of MPS servers so far.
    restarts: u64,
    /// The class that a node comes back to.
    pub(super) comes_back: BTreeMap<NodeId, u16>,
    /// Failures of their own of pods, and of gangs by their first.
    own: FxHashMap<PodId, u32>,
    /// Work left of pods that saved some of it and lost their place.
    kept: FxHashMap<PodId, Work>,
}

impl Breakage {
    pub(super) fn kept(&self, pod: PodId) -> Option<Work> {
        if self.kept.is_empty() { None } else { self.kept.get(&pod).copied() }
    }

    pub(super) fn forget(&mut self, pod: PodId) {
        if !self.kept.is_empty() {
            self.kept.remove(&pod);
        }
    }

    /// A pod that lost its place has so much of its work left.
    pub(super) fn keep(&mut self, pod: PodId, left: Work, all: Work) {
        if left != all {
            self.kept.insert(pod, left);
        }
    }

    /// A pod or gang failed by itself; how often it has by now.
    pub(super) fn count_own(&mut self, first: PodId) -> u32 {
        let failures = self.own.entry(first).or_default();
        *failures += 1;
        *failures
    }

    /// Whether some unit will be back: something is still to come.
    pub(super) fn is_pending(&self) -> bool {
        !self.down.is_empty()
    }

    /// Whether a node is down after a fault.
    pub(super) fn is_down(&self, node: NodeId) -> bool {
        self.comes_back.contains_key(&node)
    }
}

impl<O: Observer> World<'_, '_, O> {
    fn failing(&self) -> Option<(&Models, Failures)> {
        let models = self.setup.models?;
        Some((models, models.failures?))
    }

    /// Sets the clocks of all units.
    pub(super) fn start_failures(&mut self) {
        let Some(models) = self.setup.models else { return };
        let (seed, rates) =
            (models.seed, models.failures.map_or((0.0, 0.0), |f| (f.gpu.per_day, f.node.per_day)));
        let mut breakage = Breakage::default();
        for node in self.cluster.nodes() {
            for gpu in 0..self.cluster.class(node).gpus as u8 {
                let id = self.cluster.gpu_id(node, gpu);
                breakage.parts.push(Part::Gpu(node, gpu));
                breakage.rates.push(rates.0);
                breakage.streams.push(Stream::new(seed, "gpu-faults", u64::from(id.0)));
            }
        }
        for node in self.cluster.nodes() {
            breakage.parts.push(Part::Node(node));
            breakage.rates.push(rates.1);
            breakage.streams.push(Stream::new(seed, "node-faults", u64::from(node.0)));
        }
        self.failures = breakage;
        for unit in 0..self.failures.parts.len() as u32 {
            self.set_clock(unit);
        }
        self.arm_faults();
    }

    /// Draws when a unit that is up fails next.
    fn set_clock(&mut self, unit: u32) {
        let at = unit as usize;
        let now = self.calendar.now();
        if let Some(gap) = Failures::gap(self.failures.rates[at], &mut self.failures.streams[at])
            && let Some(time) = now.0.checked_add(gap.0)
        {
            self.failures.clocks.push(Reverse((Time(time), unit)));
        }
    }

    fn arm_faults(&mut self) {
        let Some(Reverse((next, _))) = self.failures.clocks.peek().copied() else { return };
        if self.failures.wake.is_none_or(|(at, _)| next < at) {
            self.failures.wake = Some((next, self.calendar.schedule(next, Event::Fault, 0)));
        }
    }

    /// The clock of a unit strikes. Whether the run goes on: faults alone keep nothing going.
    pub(super) fn fault(&mut self, epoch: Epoch) -> bool {
        if self.failures.wake.take_if(|(_, planned)| *planned == epoch).is_none() {
            return true;
        }
        if self.calendar.is_empty() {
            return false;
        }
        let now = self.calendar.now();
        let hopeless = self.is_hopeless();
        while let Some(Reverse((at, unit))) = self.failures.clocks.peek().copied()
            && at <= now
        {
            self.failures.clocks.pop();
            if hopeless {
                self.set_clock(unit);
            } else {
                self.strike(unit);
            }
        }
        self.arm_faults();
        true
    }

    fn strike(&mut self, unit: u32) {
        let (Part::Gpu(node, _) | Part::Node(node)) = self.failures.parts[unit as usize];
        // What is not there, or is down, does not fail; memory of its age there is none.
        if !self.cluster.class(node).present || self.failures.down.contains_key(&unit) {
            return self.set_clock(unit);
        }
        if let Some(end) = self.placing_on(node) {
            // A pod is on its way there, judged by what the node was.
            self.failures.clocks.push(Reverse((end + Span(1), unit)));
            return;
        }
        let (_, failures) = self.failing().expect("faults are modelled");
        let stream = &mut self.failures.streams[unit as usize];
        let takes = match self.failures.parts[unit as usize] {
            Part::Gpu(..) => failures.gpu_repair(stream),
            Part::Node(_) => failures.law.draw(failures.node.repair, stream),
        };
        self.failures.down.insert(unit, Down::Repaired { takes });
        match self.failures.parts[unit as usize] {
            Part::Gpu(node, gpu) => self.gpu_fails(node, gpu),
            Part::Node(node) => {
                let crew = failures.crews.is_none_or(|crews| self.failures.at_work < crews);
                let back = if crew { takes } else { Span(u64::MAX) };
                self.node_fails(node, failures.node.evicted_after.min(back));
            }
        }
        if failures.crews.is_none_or(|crews| self.failures.at_work < crews) {
            self.repair(unit);
        } else {
            self.failures.waiting.push_back(unit);
        }
        self.arm();
    }

    fn repair(&mut self, unit: u32) {
        let Down::Repaired { takes } = self.failures.down[&unit] else { unreachable!("it needs a crew") };
        self.failures.at_work += 1;
        let at = self.calendar.now() + takes;
        self.calendar.schedule(at, Event::Repaired, unit);
    }

    /// A GPU takes nobody any more, and its pods are lost.
    fn gpu_fails(&mut self, node: NodeId, gpu: u8) {
        for slot in self.running.on_gpu(self.cluster.gpu_id(node, gpu)).to_vec() {
            // A gang that has lost one member has lost all.
            if self.running.has(slot) {
                self.lose(slot, Some(Cause::Gpu), true, Span::ZERO);
            }
        }
        self.emit(Record::Down { node, gpu: Some(gpu), cause: Cause::Gpu });
        self.cluster.set_out(node, gpu, Out::Failed, true);
        self.node_changed(node);
    }

    fn node_fails(&mut self, node: NodeId, evicted_after: Span) {
        // Before its pods go, so that nobody is placed where they were.
        if let Decider::Kube(kube) = &mut self.decider {
            kube.node_left(node, self.calendar.now());
        }
        self.leaving = Some(node);
        for slot in self.slots_on(node) {
            if self.running.has(slot) {
                self.lose(slot, Some(Cause::Node), true, evicted_after);
            }
        }
        self.leaving = None;
        self.emit(Record::Down { node, gpu: None, cause: Cause::Node });
        let class = self.cluster.class_index(node) as u16;
        self.failures.comes_back.insert(node, class);
        let absent = self.cluster.absent(class);
        self.set_class(node, absent);
    }

    /// A unit is back.
    pub(super) fn repaired(&mut self, unit: u32) {
        let was = self.failures.down.remove(&unit).expect("it was down");
        if matches!(was, Down::Repaired { .. }) {
            self.failures.at_work -= 1;
            if let Some(next) = self.failures.waiting.pop_front() {
                self.repair(next);
            }
        }
        match self.failures.parts[unit as usize] {
            Part::Gpu(node, gpu) => {
                self.cluster.set_out(node, gpu, Out::Failed, false);
                self.emit(Record::Up { node, gpu: Some(gpu) });
                self.node_changed(node);
            }
            Part::Node(node) => {
                self.emit(Record::Up { node, gpu: None });
                let class = self.failures.comes_back.remove(&node).expect("it was there");
                if class != self.cluster.class_index(node) as u16 {
                    self.set_class(node, class);
                }
                self.switch(node);
            }
        }
        // A restart of a server is no fault of its GPU, whose clock went on.
        if matches!(was, Down::Repaired { .. }) {
            self.set_clock(unit);
            self.arm_faults();
        }
        self.arm();
    }

    /// Plans how a pod that starts will break by itself, if it does.
    pub(super) fn plan_break(&mut self, slot: u32) {
        let Some(models) = self.setup.models else { return };
        let pod = self.running.get(slot).pod;
        let life = models.life(pod, &self.setup.pods);
        let now = self.calendar.now();
        let times = u64::from(self.disruptions.times(pod));
        let key = times << 32 | u64::from(pod.0);
        let crash = life.crash(&mut Stream::new(models.seed, "crashes", key));
        let crash = crash.and_then(|(after, fatal)| Some((Time(now.0.checked_add(after.0)?), fatal)));
        let memory = if models.sharing { self.lacks_memory(slot, models) } else { None };
        let (at, what) = match (memory, crash) {
            (None, None) => return,
            (None, Some((at, fatal))) => (at, Break::Crash { fatal }),
            (Some(always), crash) => {
                let work = self.setup.truths[pod.index()].work;
                let within = models.model.time_slicing.out_of_memory_within.min(work);
                let delay = Stream::new(models.seed, "out-of-memory", key).below(within.0 + 1);
                (now + Span(delay), Break::Memory { always, then: crash })
            }
        };
        self.set_break(slot, at, what);
    }

    fn set_break(&mut self, slot: u32, at: Time, what: Break) {
        let epoch = self.calendar.schedule(at, Event::Break, slot);
        self.running.get_mut(slot).breaks = Some((epoch, what));
    }

    /// Whether a pod finds too little memory on a GPU of its, and if so, whether it always would.
    fn lacks_memory(&self, slot: u32, models: &Models) -> Option<bool> {
        let run = self.running.get(slot);
        let node = run.placement.node;
        let class = self.cluster.class(node);
        let need = |pod: PodId| models.memory(pod, &self.setup.pods);
        let mine = need(run.pod);
        let gpu = models.gpu_memory.get(self.cluster.class_index(node)).copied().unwrap_or_default();
        let limit = match (&class.share, self.setup.pods.request(run.pod).gpu.map(|gpu| gpu.unit)) {
            (Share::Replicas { replicas, mps: true }, _) if gpu != Mib(0) => {
                Mib(gpu.0 / u64::from(*replicas))
            }
            (Share::Memory { .. } | Share::Sliced { .. }, Some(Unit::MemoryGb(gb))) => {
                Mib(u64::from(gb) * 1_024)
            }
            (Share::Replicas { mps: false, .. }, _) if gpu != Mib(0) => {
                let context = models.model.time_slicing.context;
                let taken = |slots: &[u32]| {
                    let first = slots.iter().filter(|other| {
                        let other = self.running.get(**other);
                        (other.since, other.pod) <= (run.since, run.pod)
                    });
                    first.map(|other| need(self.running.get(*other).pod).0 + context.0).sum::<u64>()
                };
                let full = |gpu_id: GpuId| gpu.0 < taken(self.running.on_gpu(gpu_id));
                if !gpus_of(&run.placement, &self.cluster).any(full) {
                    return None;
                }
                return Some(gpu.0 < mine.0 + context.0);
            }
            _ => return None,
        };
        (limit < mine).then_some(true)
    }

    /// A pod breaks by itself.
    pub(super) fn breaks(&mut self, slot: u32, epoch: Epoch) {
        let Some(what) = self.running.breaks(slot, epoch) else { return };
        match what {
            Break::Memory { always, then } => {
                let models = self.setup.models.expect("memory is a model");
                if self.lacks_memory(slot, models).is_some() {
                    self.lose(slot, Some(Cause::OutOfMemory), !always, Span::ZERO);
                } else if let Some((at, fatal)) = then {
                    self.set_break(slot, at.max(self.calendar.now()), Break::Crash { fatal });
                }
            }
            Break::Crash { fatal: false } => self.lose(slot, Some(Cause::Crash), true, Span::ZERO),
            Break::Crash { fatal: true } => self.raise(slot),
        }
    }

    /// A pod raises a fatal GPU fault.
    fn raise(&mut self, slot: u32) {
        let models = self.setup.models.expect("crashes are a model");
        let run = self.running.get(slot);
        let (node, share) = (run.placement.node, &self.cluster.class(run.placement.node).share);
        let blast = Blast::of(share, models.model.time_slicing.fault_domain);
        let gpus: Vec<u8> = run.placement.grant.gpus().collect();
        self.lose(slot, Some(Cause::FatalFault), true, Span::ZERO);
        if blast == Blast::Pod {
            return;
        }
        for gpu in gpus {
            let id = self.cluster.gpu_id(node, gpu);
            for slot in self.running.on_gpu(id).to_vec() {
                if self.running.has(slot) {
                    self.lose(slot, Some(Cause::Neighbour), true, Span::ZERO);
                }
            }
            if blast == Blast::Server {
                self.restart_server(node, gpu);
            }
        }
        self.arm();
    }

    /// The MPS server of a GPU restarts before it takes clients again. One that is on its way there
    /// meets a server that is back already: how long its start takes then is not modelled.
    fn restart_server(&mut self, node: NodeId, gpu: u8) {
        let models = self.setup.models.expect("crashes are a model");
        let failures = models.failures.unwrap_or_default();
        let part = self.cluster.gpu_id(node, gpu).0;
        self.failures.restarts += 1;
        let mut stream = Stream::new(models.seed, "mps-restarts", self.failures.restarts);
        let takes = failures.law.draw(failures.mps_restart, &mut stream);
        if self.failures.down.contains_key(&part) || self.placing_on(node).is_some() {
            return;
        }
        self.failures.down.insert(part, Down::Restarting);
        self.emit(Record::Down { node, gpu: Some(gpu), cause: Cause::FatalFault });
        self.cluster.set_out(node, gpu, Out::Failed, true);
        self.node_changed(node);
        self.calendar.schedule(self.calendar.now() + takes, Event::Repaired, part);
    }

    /// Whether nobody is left for whom faults and repairs could matter.
    pub(super) fn is_deserted(&self) -> bool {
        self.is_idle() && self.waiting == 0
    }

    /// Whether nobody runs, and nobody comes.
    fn is_idle(&self) -> bool {
        !self.expects() && !self.gated.any() && self.running.is_empty()
    }

    /// Whether those who wait are all that is left, and none of them could run if nothing were down. Faults
    /// would go on for ever then, and with them attempts that are in vain. *O*(pods) in an idle cluster.
    fn is_hopeless(&self) -> bool {
        let now = self.calendar.now();
        let cutting = self.nos.as_ref().is_some_and(|nos| nos.is_pending() && nos.may_help(now));
        let placing = matches!(&self.decider, Decider::Kube(kube) if kube.is_placing());
        if !self.is_idle() || cutting || placing || self.recuts.is_pending() {
            return false;
        }
        let mut whole = self.cluster.clone();
        for (node, class) in &self.failures.comes_back {
            whole.set_class(*node, *class);
        }
        for unit in self.failures.down.keys() {
            if let Part::Gpu(node, gpu) = self.failures.parts[*unit as usize] {
                whole.set_out(node, gpu, Out::Failed, false);
            }
        }
        let pods = &self.setup.pods;
        let firsts = (0..pods.pods.len()).filter(|pod| pods.pods[*pod].gang != 0).map(PodId::of);
        let waiting = firsts.filter(|pod| self.state[pod.index()] == super::State::Waiting);
        let groups: BTreeSet<Vec<ShapeId>> =
            waiting.map(|first| pods.members(first).map(|pod| pods.shape(pod)).collect()).collect();
        let shape = |shape: &ShapeId| {
            let request = &pods.requests[shape.index()];
            Shape::new(request, &pods.constraints[request.constraint as usize], whole.classes())
        };
        let first_fit = |shape: &Shape, cluster: &Cluster| {
            cluster.nodes().find(|node| shape.refusal(cluster, *node).is_none())
        };
        !groups.iter().any(|group| {
            let shapes: Vec<Shape> = group.iter().map(shape).collect();
            fit_together(&shapes, whole.clone(), GpuChoice::FirstFit, first_fit)
        })
    }
}
