//! Levels over time: allocation, queue, running pods; their time averages, peaks and a timeline.
//!
//! All sums are integers (level × microseconds), so an average does not depend on the order in
//! which intervals were added. The timeline has equal steps; when the run outgrows them, two become
//! one, so memory is constant and no length need be known beforehand.

use super::gpus::{self, Gpus, USES};
use super::{GpuTime, Level, ModeLevel, Timeline};
use super::{failures, recuts};
use crate::cluster::{Cluster, GPU_PARTS, NodeClass};
use crate::id::{NodeId, PodId};
use crate::record::{Observer, Reasons, Record};
use crate::units::{Span, Speed, Time, Work};
use crate::workload::request::Sharing;
use crate::workload::view::Pods;
use rustc_hash::FxHashSet;

/// Steps of a timeline: between half of it and all are used.
const STEPS: usize = 1_024;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    // The first of them are those of a timeline.
    GpuParts,
    Cpu,
    Queue,
    Running,
    /// The first of the levels by mode, of which there are [`gpus::MODES`].
    Mode,
    GpuCompute = Kind::Mode as isize + gpus::MODES as isize,
    GpuMemory,
    GpusTouched,
    Memory,
}

/// Levels kept.
const KINDS: usize = Kind::Memory as usize + 1;

/// Levels of a timeline.
const TIMED: usize = MODES + gpus::MODES;

/// The first of the levels by mode.
const MODES: usize = Kind::Mode as usize;

/// The window over which averages and peaks are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its start.
    pub from: Time,
    /// Its end; `None` is the end of the run.
    pub to: Option<Time>,
}

/// The fold.
#[derive(Debug)]
pub struct Levels<'a> {
    pods: Pods<'a>,
    empty: &'a Cluster,
    window: Window,
    now: Time,
    gpus: Gpus<'a>,
    level: [u64; KINDS],
    sum: [u128; KINDS],
    peak: [u64; KINDS],
    /// Where the time of GPUs went, and the work that was done in it.
    uses: [u128; USES],
    work: u128,
    /// GPUs of nodes that are there × microseconds.
    gpu_capacity: u128,
    capacity: Capacity,
    recuts: recuts::Fold,
    failures: failures::Fold,
    /// Whom scheduling gates hold: they stand in no queue, and want nothing yet.
    gated: FxHashSet<PodId>,
    steps: Steps,
    /// The modes of the cluster's GPUs, in their own order.
    modes: Vec<Sharing>,
}

impl<'a> Levels<'a> {
    /// A fold over a run of `pods` on `empty`. `demand_parts` are the parts of a GPU
    /// ([`GPU_PARTS`]) that each demand keeps busy when it has all it asks for.
    #[must_use]
    pub fn new(pods: Pods<'a>, empty: &'a Cluster, demand_parts: &'a [u64], window: Window) -> Levels<'a> {
        let classes = empty.classes().iter().filter(|class| 0 < class.gpus);
        let present: Vec<Sharing> = classes.map(|class| class.share.sharing()).collect();
        Levels {
            pods,
            empty,
            window,
            now: Time::ZERO,
            gpus: Gpus::new(pods, empty, demand_parts),
            level: [0; KINDS],
            sum: [0; KINDS],
            peak: [0; KINDS],
            uses: [0; USES],
            work: 0,
            gpu_capacity: 0,
            capacity: Capacity::of(empty),
            recuts: recuts::Fold::default(),
            failures: failures::Fold::default(),
            gated: FxHashSet::default(),
            steps: Steps::default(),
            modes: Sharing::ALL.into_iter().filter(|mode| present.contains(mode)).collect(),
        }
    }

    /// Lets the levels stand until `at`.
    fn advance(&mut self, at: Time) {
        if at == self.now {
            return;
        }
        let gpus = self.gpus.now();
        self.level[MODES..TIMED].copy_from_slice(&gpus.by_mode);
        self.level[Kind::GpuParts as usize] = gpus.by_mode.iter().sum();
        self.level[Kind::GpuCompute as usize] = gpus.compute;
        self.level[Kind::GpuMemory as usize] = gpus.memory;
        self.level[Kind::GpusTouched as usize] = gpus.touched;
        // With one mode its levels are those of all.
        let timed = if 1 < self.modes.len() { TIMED } else { MODES };
        self.steps.add(self.now, at, &self.level[..timed]);
        let from = self.now.max(self.window.from);
        let to = self.window.to.map_or(at, |to| to.min(at));
        if from < to {
            let span = to.since(from);
            for kind in 0..KINDS {
                self.sum[kind] += u128::from(self.level[kind]) * u128::from(span.0);
                self.peak[kind] = self.peak[kind].max(self.level[kind]);
            }
            for (sum, amount) in self.uses.iter_mut().zip(gpus.uses) {
                *sum += amount * u128::from(span.0);
            }
            self.work += gpus.work * u128::from(span.0);
            self.gpu_capacity += u128::from(self.gpus.present()) * u128::from(span.0);
            self.capacity.stand(span);
        }
        self.now = at;
    }

    /// The part of the window that has passed at `at` ends here.
    fn measured_until(&self, at: Time) -> Time {
        let at = at.max(self.window.from);
        self.window.to.map_or(at, |to| at.min(to.max(self.window.from)))
    }

    /// Work that was done in the window has to be done again.
    fn lose(&mut self, work: u128) {
        self.work -= work.min(self.work);
        // Where the needs of a GPU's pods add up to more than it, less of it counted as useful.
        let moved = work.min(self.uses[gpus::USEFUL]);
        self.uses[gpus::USEFUL] -= moved;
        self.uses[gpus::LOST] += moved;
    }

    fn level(&mut self, kind: Kind) -> &mut u64 {
        &mut self.level[kind as usize]
    }

    /// A pod stands in the queue from now on.
    fn waits(&mut self, pod: PodId) {
        *self.level(Kind::Queue) += 1;
        self.gpus.arrived(pod);
    }

    /// And now no longer.
    fn waits_no_more(&mut self, pod: PodId) {
        *self.level(Kind::Queue) -= 1;
        self.gpus.left_queue(pod);
    }

    fn bound(&mut self, pod: PodId) {
        let request = *self.pods.request(pod);
        *self.level(Kind::Queue) -= 1;
        *self.level(Kind::Running) += 1;
        *self.level(Kind::Cpu) += request.cpu.0;
        *self.level(Kind::Memory) += request.memory.0;
    }

    fn finished(&mut self, pod: PodId) {
        let request = *self.pods.request(pod);
        *self.level(Kind::Running) -= 1;
        *self.level(Kind::Cpu) -= request.cpu.0;
        *self.level(Kind::Memory) -= request.memory.0;
    }

    /// The measured window, its end filled in.
    #[must_use]
    pub fn measured(&self) -> (Time, Time) {
        let to = self.window.to.unwrap_or(self.now);
        (self.window.from.min(to), to)
    }

    fn summary(&self, kind: usize, unit: f64, capacity: f64) -> Level {
        let (from, to) = self.measured();
        let span = to.since(from);
        let mean = if span == Span::ZERO { 0.0 } else { self.sum[kind] as f64 / span.0 as f64 / unit };
        Level { mean, peak: self.peak[kind] as f64 / unit, capacity }
    }

    /// GPU equivalents, their compute and memory in pods' hands, GPUs touched, CPUs, GiB, queue, running.
    #[must_use]
    pub fn summaries(&self) -> [Level; 8] {
        let total = |of: &dyn Fn(&NodeClass) -> u64| self.capacity.mean(self.empty, of);
        let gpus = total(&|c| u64::from(c.gpus));
        [
            self.summary(Kind::GpuParts as usize, GPU_PARTS as f64, gpus),
            self.summary(Kind::GpuCompute as usize, GPU_PARTS as f64, gpus),
            self.summary(Kind::GpuMemory as usize, GPU_PARTS as f64, gpus),
            self.summary(Kind::GpusTouched as usize, 1.0, gpus),
            self.summary(Kind::Cpu as usize, 1e3, total(&|c| c.cpu.0) / 1e3),
            self.summary(Kind::Memory as usize, 1024.0, total(&|c| c.memory.0) / 1024.0),
            self.summary(Kind::Queue as usize, 1.0, 0.0),
            self.summary(Kind::Running as usize, 1.0, 0.0),
        ]
    }

    /// GPU equivalents by mode, for the modes that the cluster has.
    #[must_use]
    pub fn by_mode(&self) -> Vec<ModeLevel> {
        let gpus = |mode: Sharing| {
            let of = |c: &NodeClass| if c.share.sharing() == mode { u64::from(c.gpus) } else { 0 };
            self.capacity.mean(self.empty, &of)
        };
        let level = |mode| self.summary(MODES + mode as usize, GPU_PARTS as f64, gpus(mode));
        self.modes.iter().map(|mode| ModeLevel { mode: *mode, gpus: level(*mode) }).collect()
    }

    /// What a partitioner did.
    #[must_use]
    pub fn recuts(&self) -> Option<recuts::Recuts> {
        self.recuts.figures()
    }

    /// Price of the nodes over the window, as long as each was there; `None` where none has a price.
    #[must_use]
    pub fn cost(&self) -> Option<f64> {
        let (from, to) = self.measured();
        self.capacity.cost(self.empty, to.since(from))
    }

    /// What broke, if anything did.
    #[must_use]
    pub fn failures(&self) -> Option<failures::Failures> {
        self.failures.figures()
    }

    /// Where the time of GPUs went in the window.
    ///
    /// # Panics
    /// If the parts do not add up to it, exactly.
    #[must_use]
    pub fn gpu_time(&self) -> GpuTime {
        let gpu = u128::from(GPU_PARTS) * u128::from(Speed::FULL.0);
        let total = gpu * self.gpu_capacity;
        assert!(total == self.uses.iter().sum(), "every microsecond of every GPU went somewhere");
        let [
            useful,
            lost,
            stalled,
            slowed,
            unneeded,
            unscheduled,
            fragmented,
            unclaimed,
            unavailable,
            failed,
        ] = self.uses.map(gpu_hours);
        GpuTime {
            total: gpu_hours(total),
            useful,
            lost,
            stalled,
            slowed,
            unneeded,
            unscheduled,
            fragmented,
            unclaimed,
            unavailable,
            failed,
        }
    }

    /// GPU-hours of work done in the window.
    #[must_use]
    pub fn useful_gpu_hours(&self) -> f64 {
        gpu_hours(self.work)
    }

    /// The levels over time.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        let used = self.steps.used(self.now);
        let column = |kind: usize, unit: f64| {
            let mean =
                |(i, step): (usize, &Step)| step.sum[kind] as f64 / self.steps.length(i, self.now) / unit;
            self.steps.steps[..used].iter().enumerate().map(mean).collect()
        };
        Timeline {
            step_s: Span(self.steps.width).as_secs_f64(),
            start_s: 0.0,
            gpus: column(Kind::GpuParts as usize, GPU_PARTS as f64),
            gpus_by_mode: match &self.modes[..] {
                [] | [_] => Vec::new(),
                several => several
                    .iter()
                    .map(|mode| (*mode, column(MODES + *mode as usize, GPU_PARTS as f64)))
                    .collect(),
            },
            cpus: column(Kind::Cpu as usize, 1e3),
            running: column(Kind::Running as usize, 1.0),
            queue: column(Kind::Queue as usize, 1.0),
            queue_max: self.steps.steps[..used].iter().map(|s| s.queue_max as f64).collect(),
        }
    }
}

impl Observer for Levels<'_> {
    fn record(&mut self, at: Time, record: Record<'_>) {
        self.advance(at);
        match record {
            Record::Arrived { pod } => self.waits(pod),
            Record::Gated { pod, .. } => {
                self.gated.insert(pod);
                self.waits_no_more(pod);
            }
            Record::Ungated { pod } => {
                self.gated.remove(&pod);
                self.waits(pod);
            }
            Record::Refused { .. }
            | Record::Unbound { .. }
            | Record::Doomed { .. }
            | Record::Returned { .. } => {}
            Record::Bound { pod, node, grant, speed } => {
                self.bound(pod);
                self.gpus.bound(self.measured_until(at), pod, node, grant, speed);
            }
            Record::NodeChanged { node, class } => {
                self.gpus.node_changed(node, class);
                // A node that failed costs what it did.
                if !self.gpus.has_failed(node) {
                    self.capacity.changed(node, class);
                }
            }
            Record::Down { node, gpu, .. } => {
                self.gpus.failed(node, gpu);
                self.failures.record(&record);
            }
            Record::Withheld { node, gpu, withheld } => self.gpus.withheld(node, gpu, withheld),
            Record::Up { node, gpu } => {
                self.gpus.repaired(node, gpu);
                self.failures.record(&record);
            }
            Record::Recut { node, gpu, standing } => self.gpus.recut(node, gpu, standing),
            Record::Resliced { node, gpu, slices } => self.gpus.resliced(node, gpu, slices),
            Record::Plugin { node, up } => {
                self.gpus.plugin(node, up);
                self.recuts.record(at, &record, |node| self.empty.class(node).gpus);
            }
            Record::Planned { .. } | Record::Judged { .. } | Record::Applied { .. } => {
                self.recuts.record(at, &record, |node| self.empty.class(node).gpus);
            }
            Record::SpeedChanged { pod, speed } => {
                self.gpus.speed_changed(self.measured_until(at), pod, speed);
            }
            Record::Finished { pod } => {
                self.finished(pod);
                self.gpus.left_place(self.measured_until(at), pod, Work::default());
            }
            Record::Evicted { pod, returns, lost } | Record::Failed { pod, returns, lost, .. } => {
                self.finished(pod);
                let gone = self.gpus.left_place(self.measured_until(at), pod, lost);
                if self.window.to.is_none_or(|to| at <= to) {
                    self.lose(gone);
                }
                self.failures.record(&record);
                if returns {
                    self.waits(pod);
                }
            }
            Record::GaveUp { pod } | Record::TurnedAway { pod } | Record::NeverFits { pod, .. } => {
                if !self.gated.remove(&pod) {
                    self.waits_no_more(pod);
                }
            }
        }
    }

    fn end(&mut self, at: Time, _: &Reasons) {
        self.advance(at);
        // A window that outlasts the run sees an idle cluster after it.
        if let Some(to) = self.window.to
            && self.now < to
        {
            self.advance(to);
        }
    }
}

/// How many nodes of each class there are, and were.
#[derive(Debug)]
struct Capacity {
    class_of: Vec<u16>,
    nodes: Vec<u64>,
    /// Nodes × microseconds.
    sum: Vec<u128>,
    time: u128,
    /// Whether it was always so.
    fixed: bool,
}

impl Capacity {
    fn of(empty: &Cluster) -> Capacity {
        let class_of: Vec<u16> = empty.nodes().map(|node| empty.class_index(node) as u16).collect();
        let mut nodes = vec![0; empty.classes().len()];
        class_of.iter().for_each(|class| nodes[usize::from(*class)] += 1);
        Capacity { class_of, sum: vec![0; nodes.len()], nodes, time: 0, fixed: true }
    }

    fn changed(&mut self, node: NodeId, class: u16) {
        let was = std::mem::replace(&mut self.class_of[node.index()], class);
        self.nodes[usize::from(was)] -= 1;
        self.nodes[usize::from(class)] += 1;
        self.fixed = false;
    }

    /// Lets them stand for a while. *O*(classes).
    fn stand(&mut self, span: Span) {
        self.time += u128::from(span.0);
        for (sum, nodes) in self.sum.iter_mut().zip(&self.nodes) {
            *sum += u128::from(*nodes) * u128::from(span.0);
        }
    }

    /// An amount of all nodes that are there: its mean over time where nodes changed.
    fn mean(&self, empty: &Cluster, of: &dyn Fn(&NodeClass) -> u64) -> f64 {
        let there = |(index, class): (usize, &NodeClass)| class.present.then(|| (index, of(class)));
        let amounts = empty.classes().iter().enumerate().filter_map(there);
        if self.fixed || self.time == 0 {
            return amounts.map(|(index, amount)| self.nodes[index] * amount).sum::<u64>() as f64;
        }
        let sum: u128 = amounts.map(|(index, amount)| self.sum[index] * u128::from(amount)).sum();
        sum as f64 / self.time as f64
    }

    fn cost(&self, empty: &Cluster, window: Span) -> Option<f64> {
        let classes = || empty.classes().iter().enumerate().filter(|(_, class)| class.present);
        let price = |(index, class): (usize, &NodeClass)| class.price_per_hour.map(|price| (index, price));
        classes().find_map(price)?;
        let hours = |micros: u128| Span(micros as u64).as_secs_f64() / 3_600.0;
        if self.fixed {
            let nodes = self.class_of.iter().map(|class| &empty.classes()[usize::from(*class)]);
            let prices = nodes.filter(|class| class.present).filter_map(|class| class.price_per_hour);
            return Some(prices.sum::<f64>() * hours(u128::from(window.0)));
        }
        Some(classes().filter_map(price).map(|(index, price)| price * hours(self.sum[index])).sum())
    }
}

/// Parts of a GPU × parts per million × microseconds as hours of whole GPUs.
fn gpu_hours(amount: u128) -> f64 {
    amount as f64 / (GPU_PARTS * u64::from(Speed::FULL.0)) as f64 / 3.6e9
}

#[derive(Clone, Copy, Debug, Default)]
struct Step {
    sum: [u128; TIMED],
    queue_max: u64,
}

/// Equal steps that double in width when time runs past them.
#[derive(Debug)]
struct Steps {
    width: u64,
    steps: Vec<Step>,
}

impl Default for Steps {
    fn default() -> Steps {
        // A second at first: finer than anything a page shows.
        Steps { width: 1_000_000, steps: vec![Step::default(); STEPS] }
    }
}

impl Steps {
    fn add(&mut self, from: Time, to: Time, level: &[u64]) {
        while self.width.saturating_mul(STEPS as u64) < to.0 {
            self.double();
        }
        let mut from = from.0;
        while from < to.0 {
            let index = (from / self.width) as usize;
            let end = ((index as u64 + 1) * self.width).min(to.0);
            let step = &mut self.steps[index];
            for (sum, level) in step.sum.iter_mut().zip(level) {
                *sum += u128::from(*level) * u128::from(end - from);
            }
            step.queue_max = step.queue_max.max(level[Kind::Queue as usize]);
            from = end;
        }
    }

    fn double(&mut self) {
        for i in 0..STEPS / 2 {
            let (a, b) = (self.steps[2 * i], self.steps[2 * i + 1]);
            let mut sum = a.sum;
            sum.iter_mut().zip(b.sum).for_each(|(a, b)| *a += b);
            self.steps[i] = Step { sum, queue_max: a.queue_max.max(b.queue_max) };
        }
        self.steps[STEPS / 2..].fill(Step::default());
        self.width *= 2;
    }

    /// Steps that have begun by `end`.
    fn used(&self, end: Time) -> usize {
        (end.0.div_ceil(self.width) as usize).min(STEPS)
    }

    /// Microseconds of a step that lie before `end`.
    fn length(&self, index: usize, end: Time) -> f64 {
        (end.0 - index as u64 * self.width).min(self.width) as f64
    }
}
