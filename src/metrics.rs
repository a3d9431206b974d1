//! How well a run went: definitions, and folds over records that compute them.
//!
//! Every figure is a fold over [`crate::record`]s, live or from a saved log. Definitions are in the
//! fields' docs, and [`DEFINITIONS`] holds the same as text for the page's tooltips.

mod compared;
mod failures;
mod gpus;
mod layouts;
mod levels;
mod pods;
mod recuts;
mod service;
mod slices;
mod summary;

#[cfg(test)]
mod tests;

pub use compared::{Compared, TimedStep, compared};
pub use failures::Failures;
pub use layouts::{Layouts, SeenLayout};
pub use levels::{Levels, Window};
pub use pods::{Fate, Line, Losses, PodLog};
pub use recuts::{Recuts, Regret};
pub use service::{Holds, InTime, Latency, Requested, ServiceFigures};
pub use slices::Slices;
pub use summary::{Frame, sample, summarize, wait_curve};

use crate::perf::Printed;
use crate::stats;
use crate::workload::request::Sharing;
use serde::Serialize;

/// What became of the pods of a run. `total` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Pods that arrived.
    pub total: u64,
    /// Pods that ran to their end.
    pub finished: u64,
    /// Pods still running when the run ended.
    pub running: u64,
    /// Pods still waiting when the run ended.
    pub waiting: u64,
    /// Pods that gave up after the cap on waiting.
    pub gave_up: u64,
    /// Pods turned away by the limit on the queue's length.
    pub turned_away: u64,
    /// Pods that fit no node even when the cluster is empty.
    pub never_fit: u64,
    /// Pods that failed and were not created anew.
    pub failed: u64,
}

/// Summary of a sample. All zeros when `count` is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// Number of observations.
    pub count: u64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile (nearest rank, as all quantiles here).
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

/// Waiting and slowdown of one group of pods (all, a class, a namespace).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Group {
    /// `all`, or the class's or namespace's name.
    pub name: String,
    /// What became of them.
    pub counts: Counts,
    /// Seconds from arrival to binding, over the pods that were bound.
    pub wait_s: Sample,
    /// Share of the bound pods that waited at all.
    pub waited: f64,
    /// (wait + run) ÷ run time alone on a full GPU, over the pods that finished.
    pub slowdown: Sample,
    /// Σ work done ÷ Σ time from arrival to departure, over all pods: 1 where everybody ran at once
    /// and at full speed. `None` where no time passed.
    pub service: Option<f64>,
}

/// How evenly groups of pods were served.
///
/// Jain's index (Jain, Chiu and Hawe, DEC-TR-301, 1984) of the groups' [`Group::service`] x:
/// (Σ x)² ÷ (n × Σ x²). 1 when all n are served alike, 1 ÷ n when one has everything. `None` with
/// fewer than two groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Fairness {
    /// Between namespaces.
    pub namespaces: Option<f64>,
    /// Between classes.
    pub classes: Option<f64>,
}

/// Where the time of all GPUs went, in GPU-hours of the window; the other fields add up to `total`.
///
/// A pod needs `d` of each of its GPUs (the demand, whatever the mode), holds `h` of it (the share
/// that counts as allocated) and runs at speed `s` (1 alone on a full GPU). Of each GPU goes
///
/// ```text
/// useful      Σ d·s                     work done, and not lost
/// lost        Σ d·s                     work done that has to be done again after a failure or an eviction
/// stalled     Σ min(d, h)               held and needed by a pod that starts or writes a checkpoint
/// slowed      Σ max(min(d, h) − d·s, 0)  held and needed, lost to a slow slice or to neighbours
/// unneeded    Σ max(h − d, 0)            held beyond the need
/// idle        what is left
/// ```
///
/// each as far as the GPU reaches, in this order: pods that get more done than they hold use what
/// nobody holds, then what others hold and do not use. Where the needs of pods on one GPU add up to
/// more than the GPU, `useful` is the GPU, and less than [`Summary::useful_gpu_hours`].
///
/// Of all that is idle at a moment, `I`, as much is wanted as the pods that wait ask for, `W`, each the
/// most that it could hold anywhere. `U` is what those of them ask for whom some node would take as it
/// stands, at most what is idle on such nodes; members of gangs, who need room for all at once, are in
/// `W` and not in `U`.
///
/// ```text
/// unscheduled  U              a pod could have it now: the scheduler has yet to look
/// fragmented   min(I, W) − U  wanted, and no pod that waits can use it where it stands: cut wrong,
///                             scattered, or without CPU or memory beside it
/// unclaimed    I − min(I, W)  nobody waits for it
/// ```
///
/// What is idle on nodes that are cordoned, or whose device plugin restarts after a re-cut, is
/// `unavailable`, and GPUs that are down after a fault, or whose node is, are `failed`; neither is in `I`.
/// Nodes that are not there otherwise count for nothing.
///
/// Work that is lost leaves `useful` when it is lost, as far as it was done in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct GpuTime {
    /// GPUs that are there × window.
    pub total: f64,
    /// Work done, and not lost.
    pub useful: f64,
    /// Work done that had to be done again.
    pub lost: f64,
    /// Held by pods that start or write a checkpoint.
    pub stalled: f64,
    /// Held and needed, lost to a slow slice or to neighbours.
    pub slowed: f64,
    /// Held beyond the need.
    pub unneeded: f64,
    /// Idle while a pod waits that could have it.
    pub unscheduled: f64,
    /// Idle while pods wait that cannot use it where it stands.
    pub fragmented: f64,
    /// Idle while nobody waits for it.
    pub unclaimed: f64,
    /// Idle on nodes that take no new pods: cordoned, or being re-cut.
    pub unavailable: f64,
    /// Down after a fault.
    pub failed: f64,
}

impl GpuTime {
    /// The parts with their terms in [`DEFINITIONS`].
    #[must_use]
    pub fn parts(&self) -> [(&'static str, f64); 10] {
        [
            ("useful", self.useful),
            ("lost work", self.lost),
            ("stalled", self.stalled),
            ("slowed", self.slowed),
            ("unneeded", self.unneeded),
            ("unscheduled", self.unscheduled),
            ("fragmented", self.fragmented),
            ("unclaimed", self.unclaimed),
            ("unavailable", self.unavailable),
            ("failed", self.failed),
        ]
    }
}

/// Mean and peak of a level over the measured window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Level {
    /// Time average.
    pub mean: f64,
    /// Highest value held for any length of time.
    pub peak: f64,
    /// What there is of it; 0 where there is no limit.
    pub capacity: f64,
}

/// GPU equivalents held under one mode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ModeLevel {
    /// The mode.
    pub mode: Sharing,
    /// Its level; the capacity is the GPUs of its nodes.
    pub gpus: Level,
}

/// A reason for which pods were refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The message, as kube-scheduler words it.
    pub message: String,
    /// How many pods had it as their first refusal.
    pub pods: u64,
    /// Names of the first few of them.
    pub examples: Vec<String>,
    /// Whether these pods can never be placed on this cluster.
    pub for_ever: bool,
}

/// Everything in numbers about one run (one variant under one seed).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Start of the measured window, seconds of simulated time.
    pub from_s: f64,
    /// Its end: the last departure unless the scenario says otherwise.
    pub to_s: f64,
    /// Pods of all, then of each class.
    pub classes: Vec<Group>,
    /// Pods of each namespace, where there are several.
    pub namespaces: Vec<Group>,
    /// GPUs held by pods, in whole-GPU equivalents: a fraction counts its thousandths, a MIG slice
    /// its compute slices ÷ those of the GPU, an MPS slice its memory share, a replica 1 ÷ replicas.
    pub gpus: Level,
    /// The same by mode, for the modes that the cluster has.
    pub gpus_by_mode: Vec<ModeLevel>,
    /// Compute of GPUs in pods' hands, in whole-GPU equivalents: [`crate::cluster::Hold::compute`],
    /// of each GPU at most all.
    pub gpu_compute: Level,
    /// Memory of GPUs in pods' hands, likewise.
    pub gpu_memory: Level,
    /// GPUs with at least one pod.
    pub gpus_touched: Level,
    /// CPUs requested by running pods.
    pub cpus: Level,
    /// GiB requested by running pods.
    pub memory_gib: Level,
    /// Pods waiting.
    pub queue: Level,
    /// Pods running.
    pub running: Level,
    /// GPU-hours of work done in the window: Σ need × speed × time, which is need × run time alone on
    /// a full GPU for a pod that ran within it.
    pub useful_gpu_hours: f64,
    /// Where the time of the GPUs went.
    pub gpu_time: GpuTime,
    /// What broke and what it cost, where anything did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<Failures>,
    /// What a partitioner did, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recuts: Option<Recuts>,
    /// Requests to pods that serve, by class, where any do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceFigures>,
    /// How evenly pods were served.
    pub fairness: Fairness,
    /// Scheduling attempts and how many of them found a node.
    pub attempts: u64,
    /// Pods bound.
    pub bound: u64,
    /// Why pods were refused, most frequent first.
    pub refusals: Vec<Refusal>,
    /// Price of the cluster over the window, where the scenario gives prices.
    pub cost: Option<f64>,
    /// Price of an hour of work on a full GPU: `cost` ÷ `useful_gpu_hours`, where there is either.
    pub cost_per_useful_gpu_hour: Option<f64>,
}

impl Summary {
    /// The requests to the pods of a class.
    #[must_use]
    pub fn service(&self, class: &str) -> Option<&ServiceFigures> {
        self.services.iter().find(|service| service.class == class)
    }
}

/// Time averages over equal steps of the run, for charts and `timeline.csv`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// Length of a step in seconds.
    pub step_s: f64,
    /// Start of the first step in seconds.
    pub start_s: f64,
    /// GPU equivalents allocated: mean in each step.
    pub gpus: Vec<f64>,
    /// The same by mode, where the cluster has several.
    pub gpus_by_mode: Vec<(Sharing, Vec<f64>)>,
    /// CPUs allocated: mean in each step.
    pub cpus: Vec<f64>,
    /// Pods running: mean in each step.
    pub running: Vec<f64>,
    /// Pods waiting: mean in each step.
    pub queue: Vec<f64>,
    /// Pods waiting: most in each step.
    pub queue_max: Vec<f64>,
}

/// Who held which part of which GPU when, for the first GPUs of a cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SliceChart {
    /// One row per GPU shown.
    pub gpus: Vec<SliceRow>,
    /// GPUs of the cluster that are not shown.
    pub hidden: usize,
}

/// One GPU's row of a [`SliceChart`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SliceRow {
    /// Node and GPU number, `node-3/gpu-0`.
    pub name: String,
    /// Lanes from bottom to top: label (`3g.20gb@4`, `replica 2`, `whole`) and share of the GPU's height. None
    /// where the GPU is cut anew in the run.
    pub lanes: Vec<(String, f64)>,
    /// What stood when, where the GPU is cut anew in the run.
    pub cuts: Vec<Cut>,
    /// Occupations.
    pub held: Vec<Held>,
}

/// A part that stood on a GPU for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// Its name, as a lane's.
    pub label: String,
    /// Bottom as a share of the GPU's height, 0..1.
    pub low: f64,
    /// Top.
    pub high: f64,
    /// Seconds.
    pub from_s: f64,
    /// Seconds.
    pub to_s: f64,
}

/// A pod on a lane for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Bottom of the bar as a share of the GPU's height, 0..1.
    pub low: f64,
    /// Top of the bar.
    pub high: f64,
    /// Seconds.
    pub from_s: f64,
    /// Seconds.
    pub to_s: f64,
    /// Class of the pod: an index into the workload's classes.
    pub class: usize,
    /// Name of the pod.
    pub pod: String,
}

/// Share of bound pods whose wait is at most so long: points of the distribution, ascending.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WaitCurve {
    /// (seconds, share of all bound pods that waited no longer), at most a few hundred points.
    pub points: Vec<(f64, f64)>,
}

/// What one variant gave, ready for a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VariantResult {
    /// The variant's name.
    pub name: String,
    /// One line on what it is: nodes, GPUs, mode, layout, translation.
    pub what: String,
    /// The figures of the run with the scenario's seed, which is the one that the rest shows.
    pub summary: Summary,
    /// The figures of all runs, that one first, where there are several.
    pub replications: Vec<Summary>,
    /// Levels over time.
    pub timeline: Timeline,
    /// Distribution of waits.
    pub waits: WaitCurve,
    /// GPU slices over time.
    pub slices: SliceChart,
    /// Names of the classes that [`Held::class`] counts.
    pub classes: Vec<String>,
    /// Steps that were timed on real GPUs, beside the model's.
    pub compared: Vec<Compared>,
    /// Every number of the models that the run rests on.
    pub models: Vec<Printed>,
    /// Sentences that a reader of the figures must know: assumptions, counts of dropped rows.
    pub notes: Vec<String>,
    /// MIG layouts that its GPUs went through.
    pub layouts: Vec<SeenLayout>,
}

impl VariantResult {
    /// Mean of a figure over the runs that have it.
    #[must_use]
    pub fn mean(&self, of: impl Fn(&Summary) -> Option<f64>) -> Option<f64> {
        match &self.replications[..] {
            [] => of(&self.summary),
            runs => stats::sample::mean(&runs.iter().filter_map(of).collect::<Vec<f64>>()),
        }
    }

    /// The classes that serve.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.summary.services.iter().map(|service| service.class.as_str())
    }

    /// Whether the target of a class holds; `None` where it has none.
    #[must_use]
    pub fn holds(&self, class: &str) -> Option<Holds> {
        let target = self.summary.services.iter().find(|s| s.class == class)?.target?;
        let runs = match &self.replications[..] {
            [] => std::slice::from_ref(&self.summary),
            runs => runs,
        };
        let share = |summary: &Summary| summary.service(class)?.target?.share;
        let shares: Vec<f64> = runs.iter().filter_map(share).collect();
        Some(Holds::of(target.quantile, &shares))
    }

    /// Student's 95 % interval of that mean; `None` of fewer than two runs.
    #[must_use]
    pub fn interval(&self, of: impl Fn(&Summary) -> Option<f64>) -> Option<stats::sample::Interval> {
        let runs: Vec<f64> = self.replications.iter().filter_map(of).collect();
        stats::sample::t_interval(&runs, 0.95)
    }
}

/// Term and definition of each figure that a page shows.
pub const DEFINITIONS: &[(&str, &str)] = &[
    (
        "GPUs allocated",
        "Time average of the GPUs held by pods, in whole-GPU equivalents: Σ held share × time ÷ window. A MIG slice counts its compute slices ÷ those of the GPU, an MPS slice its memory share, a time-slicing replica 1 ÷ replicas, a fraction its thousandths.",
    ),
    (
        "GPU compute held",
        "Time average of the compute of GPUs in pods' hands, in whole GPUs: a MIG slice's compute slices ÷ those of the GPU, an MPS replica's 1 ÷ replicas, a fraction's thousandths; all of a GPU under a whole-GPU pod, an MPS memory slice or a time-slicing replica, whose compute nothing divides. Of each GPU at most all.",
    ),
    (
        "GPU memory held",
        "Time average of the memory of GPUs in pods' hands, in whole GPUs: a MIG slice's memory slices ÷ those of the GPU, an MPS slice's GB ÷ those of the GPU, an MPS replica's 1 ÷ replicas, a fraction's thousandths; all of a GPU under a whole-GPU pod or a time-slicing replica, whose memory nothing limits. Of each GPU at most all.",
    ),
    (
        "wait",
        "Time that a pod waited for a place, from its arrival or the loss of a place on, over the pods that have one or ran to their end.",
    ),
    ("p95 wait", "The wait that 95 % of the bound pods did not exceed (nearest rank)."),
    ("slowdown", "(Wait + run time) ÷ run time alone on a full GPU, over the pods that finished."),
    ("queue", "Number of pods that have arrived and neither run, nor left."),
    ("never fit", "Pods that fit no node of this cluster even when it is empty."),
    ("gave up", "Pods that left because the cap on waiting passed."),
    ("turned away", "Pods that left at once because the queue was full."),
    (
        "useful GPU-hours",
        "GPU-hours of work done by pods: Σ need × speed × time, where the need is the share of GPUs that a pod keeps busy when it has all it asks for, and the speed is 1 alone on full GPUs.",
    ),
    (
        "useful",
        "Of all GPU time, the share in which work was done: Σ need × speed of the pods on a GPU, at most the GPU.",
    ),
    (
        "slowed",
        "Of all GPU time, what pods held and needed and did not get done, since their slice or their neighbours slowed them: Σ max(min(need, held) − need × speed, 0).",
    ),
    (
        "lost work",
        "Of all GPU time, the work that pods had done, and not saved, when they failed or were evicted, as far as it was done in the measured time.",
    ),
    (
        "stalled",
        "Of all GPU time, what was held and needed by pods that were starting, reading a checkpoint or writing one.",
    ),
    (
        "failed",
        "Of all GPU time, GPUs that were down after a fault of theirs or of their node, or while their MPS server restarted.",
    ),
    ("failures", "Pods that broke by themselves, or went down with a neighbour, a GPU or a node."),
    (
        "latency",
        "Time of a request from coming to its pod to the answer: its wait for those before it, and what it takes at the pod's speed of the moment, or in its turns on a time-sliced GPU. Over the requests that were served; quantiles within 0.4 %.",
    ),
    (
        "requests lost",
        "Requests that came while their pod had no place, that it had when it lost one, or that would have come to a pod that was never served, in the time that it would have run.",
    ),
    (
        "in time",
        "Share of the requests that were answered within the target's time, of those that were served, lost, or late already when their pod or the run ended.",
    ),
    ("unneeded", "Of all GPU time, what pods held beyond their need: Σ max(held − need, 0)."),
    (
        "unscheduled",
        "Of all GPU time, what was idle while a pod waited that some node would have taken as it stood: the scheduler had yet to look. At most what such pods asked for, and what was idle on such nodes.",
    ),
    (
        "fragmented",
        "Of all GPU time, what was idle and asked for by pods that waited, and that none of them could use where it stood: cut into other slices, scattered over GPUs and nodes, or without CPU or memory beside it.",
    ),
    ("unclaimed", "Of all GPU time, what was idle beyond what waiting pods asked for."),
    (
        "unavailable",
        "Of all GPU time, what was idle on nodes that are cordoned, or whose device plugin restarts after a re-cut.",
    ),
    (
        "service",
        "Σ work done ÷ Σ time from arrival to departure, over all pods of a group: 1 where all ran at once at full speed.",
    ),
    (
        "fairness",
        "Jain's index of the groups' service x: (Σ x)² ÷ (n Σ x²). 1 when all n groups are served alike, 1 ÷ n when one has everything (Jain, Chiu and Hawe, 1984).",
    ),
    (
        "±",
        "Half the width of the 95 % interval of a mean over runs with different seeds: t × s ÷ √n, with s their standard deviation and t of Student's distribution with n − 1 degrees of freedom.",
    ),
    ("cost", "Price of the nodes over the measured time."),
    ("cost per useful hour", "Cost ÷ useful GPU-hours: what an hour of work on a full GPU comes to."),
];
