//! Levels over time: allocation, queue, running pods; their time averages, peaks and a timeline.
//!
//! All sums are integers (level × microseconds), so an average does not depend on the order in
//! which intervals were added. The timeline has equal steps; when the run outgrows them, two become
//! one, so memory is constant and no length need be known beforehand.

use super::{Level, ModeLevel, Timeline};
use crate::cluster::{Cluster, GPU_PARTS, Grant};
use crate::id::{NodeId, PodId, ShapeId};
use crate::record::{Observer, Reasons, Record};
use crate::units::{Span, Time};
use crate::workload::request::Sharing;
use crate::workload::view::Pods;
use rustc_hash::FxHashMap;

/// Steps of a timeline: between half of it and all are used.
const STEPS: usize = 1_024;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    GpuParts,
    GpusTouched,
    Cpu,
    Memory,
    Queue,
    Running,
}

/// Levels kept: the [`Kind`]s, then the parts of a GPU held under each way of sharing.
const KINDS: usize = MODES + Sharing::ALL.len();

/// The first of the levels by mode.
const MODES: usize = 6;

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
    level: [u64; KINDS],
    sum: [u128; KINDS],
    peak: [u64; KINDS],
    /// Parts of a GPU that a shape holds on a node class.
    parts: FxHashMap<(ShapeId, usize), u64>,
    on_gpu: Vec<u16>,
    place: FxHashMap<PodId, (NodeId, Grant)>,
    steps: Steps,
}

impl<'a> Levels<'a> {
    /// A fold over a run of `pods` on `empty`.
    #[must_use]
    pub fn new(pods: Pods<'a>, empty: &'a Cluster, window: Window) -> Levels<'a> {
        Levels {
            pods,
            empty,
            window,
            now: Time::ZERO,
            level: [0; KINDS],
            sum: [0; KINDS],
            peak: [0; KINDS],
            parts: FxHashMap::default(),
            on_gpu: vec![0; empty.gpus()],
            place: FxHashMap::default(),
            steps: Steps::default(),
        }
    }

    /// Lets the levels stand until `at`.
    fn advance(&mut self, at: Time) {
        if at == self.now {
            return;
        }
        self.steps.add(self.now, at, &self.level);
        let from = self.now.max(self.window.from);
        let to = self.window.to.map_or(at, |to| to.min(at));
        if from < to {
            let span = to.since(from);
            for kind in 0..KINDS {
                self.sum[kind] += u128::from(self.level[kind]) * u128::from(span.0);
                self.peak[kind] = self.peak[kind].max(self.level[kind]);
            }
        }
        self.now = at;
    }

    fn level(&mut self, kind: Kind) -> &mut u64 {
        &mut self.level[kind as usize]
    }

    fn parts(&mut self, pod: PodId, node: NodeId) -> u64 {
        let (shape, class) = (self.pods.shape(pod), self.empty.class_index(node));
        let (pods, empty) = (self.pods, self.empty);
        *self
            .parts
            .entry((shape, class))
            .or_insert_with(|| empty.classes()[class].parts(pods.requests[shape.index()].gpu))
    }

    /// The level of a node's mode.
    fn mode(&self, node: NodeId) -> usize {
        MODES + self.empty.class(node).share.sharing() as usize
    }

    /// The modes of the cluster's GPUs, in their own order.
    fn modes(&self) -> Vec<Sharing> {
        let classes = self.empty.classes().iter().filter(|class| 0 < class.gpus);
        let present: Vec<Sharing> = classes.map(|class| class.share.sharing()).collect();
        Sharing::ALL.into_iter().filter(|mode| present.contains(mode)).collect()
    }

    fn bound(&mut self, pod: PodId, node: NodeId, grant: &Grant) {
        let request = *self.pods.request(pod);
        *self.level(Kind::Queue) -= 1;
        *self.level(Kind::Running) += 1;
        *self.level(Kind::Cpu) += request.cpu.0;
        *self.level(Kind::Memory) += request.memory.0;
        let (parts, mode) = (self.parts(pod, node), self.mode(node));
        *self.level(Kind::GpuParts) += parts;
        self.level[mode] += parts;
        for gpu in grant.gpus() {
            let pods = &mut self.on_gpu[self.empty.gpu_id(node, gpu).index()];
            *pods += 1;
            self.level[Kind::GpusTouched as usize] += u64::from(*pods == 1);
        }
        self.place.insert(pod, (node, grant.clone()));
    }

    fn finished(&mut self, pod: PodId) {
        let (node, grant) = self.place.remove(&pod).expect("a pod that ends was bound");
        let request = *self.pods.request(pod);
        *self.level(Kind::Running) -= 1;
        *self.level(Kind::Cpu) -= request.cpu.0;
        *self.level(Kind::Memory) -= request.memory.0;
        let (parts, mode) = (self.parts(pod, node), self.mode(node));
        *self.level(Kind::GpuParts) -= parts;
        self.level[mode] -= parts;
        for gpu in grant.gpus() {
            let pods = &mut self.on_gpu[self.empty.gpu_id(node, gpu).index()];
            *pods -= 1;
            self.level[Kind::GpusTouched as usize] -= u64::from(*pods == 0);
        }
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

    /// GPU equivalents, GPUs touched, CPUs, GiB, queue, running.
    #[must_use]
    pub fn summaries(&self) -> [Level; MODES] {
        let gpus = self.empty.gpus() as f64;
        let total = |of: fn(&crate::cluster::NodeClass) -> u64| {
            self.empty.nodes().map(|n| of(self.empty.class(n))).sum::<u64>() as f64
        };
        [
            self.summary(Kind::GpuParts as usize, GPU_PARTS as f64, gpus),
            self.summary(Kind::GpusTouched as usize, 1.0, gpus),
            self.summary(Kind::Cpu as usize, 1e3, total(|c| c.cpu.0) / 1e3),
            self.summary(Kind::Memory as usize, 1024.0, total(|c| c.memory.0) / 1024.0),
            self.summary(Kind::Queue as usize, 1.0, 0.0),
            self.summary(Kind::Running as usize, 1.0, 0.0),
        ]
    }

    /// GPU equivalents by mode, for the modes that the cluster has.
    #[must_use]
    pub fn by_mode(&self) -> Vec<ModeLevel> {
        let gpus = |mode: Sharing| {
            let classes = self.empty.nodes().map(|node| self.empty.class(node));
            classes.filter(|c| c.share.sharing() == mode).map(|c| f64::from(c.gpus)).sum()
        };
        let level = |mode| self.summary(MODES + mode as usize, GPU_PARTS as f64, gpus(mode));
        self.modes().into_iter().map(|mode| ModeLevel { mode, gpus: level(mode) }).collect()
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
            gpus_by_mode: match &self.modes()[..] {
                // With one mode it would be the level of all.
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
            Record::Arrived { .. } => *self.level(Kind::Queue) += 1,
            Record::Refused { .. } | Record::Doomed { .. } | Record::SpeedChanged { .. } => {}
            Record::Bound { pod, node, grant, .. } => self.bound(pod, node, grant),
            Record::Finished { pod } => self.finished(pod),
            Record::Evicted { pod, returns } => {
                self.finished(pod);
                *self.level(Kind::Queue) += u64::from(returns);
            }
            Record::GaveUp { .. } | Record::TurnedAway { .. } | Record::NeverFits { .. } => {
                *self.level(Kind::Queue) -= 1
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

#[derive(Clone, Copy, Debug, Default)]
struct Step {
    sum: [u128; KINDS],
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
    fn add(&mut self, from: Time, to: Time, level: &[u64; KINDS]) {
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
