//! What a scenario can say about its pods: which traces, generated how, changed how.
//!
//! Plain values with every default filled in. They are written into `scenario.resolved.yaml` in the
//! same words that a scenario reads, so field and variant names here are its keys.

pub use crate::stats::law::Law;
use crate::units::{Mib, MilliCpu, Span, Time};
use serde::Serialize;

/// One file of pods.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Source {
    /// Path, relative to the scenario; absolute once the file is read. `builtin:quickstart` is inside
    /// the binary.
    pub file: String,
    /// How its rows are spelled.
    pub format: Format,
    /// What a wrong row does.
    pub bad_rows: BadRows,
    /// Class of its pods, where the format has none; `None` keeps the reader's own classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Namespace of its pods, where the format has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Assumptions for job logs that record GPUs only (ElasticFlow, mapped logs).
    pub assume: Assume,
    /// SHA-256 of the file, in hex: filled in when the file is read, checked when given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What is assumed for each GPU of a job whose log records no CPU, no memory and no node size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Assume {
    /// CPU request for each GPU asked. Default 12 cores: openb's G2 nodes have 96 vCPU for 8 GPUs.
    pub cpu_per_gpu: MilliCpu,
    /// Memory request for each GPU asked. Default 48 GiB: the same nodes have 384 GiB.
    pub memory_per_gpu: Mib,
    /// GPUs of a node: jobs above it become gangs of pods that start together. Default 8.
    pub gpus_per_node: u16,
}

impl Default for Assume {
    fn default() -> Assume {
        Assume { cpu_per_gpu: MilliCpu(12_000), memory_per_gpu: Mib(48 * 1024), gpus_per_node: 8 }
    }
}

/// How a file spells its rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::large_enum_variant,
    reason = "a run has a handful of them, and a box would show in every match"
)]
pub enum Format {
    /// slicewise's own CSV.
    Native,
    /// Alibaba cluster-trace-gpu-v2023 pod list.
    Openb,
    /// Microsoft ITP jobs as in elasticflow-traces.
    Elasticflow,
    /// Any CSV with a header, by column names.
    Jobs(Columns),
}

/// Column names of a plain job log.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(default)]
pub struct Columns {
    /// Name of the job; optional.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Submission time, in `time_unit`s from any zero.
    pub arrival: String,
    /// Run time; or give `start` and `end`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Start of the run, with `end` instead of `duration`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// End of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Whole GPUs asked; fractions such as 0.5 are accepted up to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<String>,
    /// CPU cores asked; without it [`Assume`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<String>,
    /// Memory asked in GiB; without it [`Assume`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_gib: Option<String>,
    /// Class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Namespace, user or group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// What one unit of the time columns is; default 1 s.
    pub time_unit: Span,
}

/// What a row that is wrong does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadRows {
    /// All of them are reported and the run refuses.
    #[default]
    Refuse,
    /// They are counted, the first few shown, and skipped.
    Skip,
}

/// What is done to the pods after reading or generating, in this order: window, class filter,
/// sample or bootstrap, time scale, load scale, work cap.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changes {
    /// Keep pods that arrive in [from, to) of the trace's own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Keep only these classes; empty keeps all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only_classes: Vec<String>,
    /// Draw pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draw: Option<Draw>,
    /// Multiplies all times of arrival and work: 0.5 replays twice as fast.
    pub time_scale: f64,
    /// Divides the gaps between arrivals and leaves the work: 2 doubles the load.
    pub load_scale: f64,
    /// Longer work is cut to this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_cap: Option<Span>,
}

impl Default for Changes {
    fn default() -> Changes {
        Changes {
            window: None,
            only_classes: Vec::new(),
            draw: None,
            time_scale: 1.0,
            load_scale: 1.0,
            work_cap: None,
        }
    }
}

/// A window of the trace's clock. Arrivals are counted from `from` afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Window {
    /// First moment kept.
    pub from: Span,
    /// First moment not kept; `None` keeps all after `from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Span>,
}

impl Window {
    /// Whether a moment of the trace's clock is inside.
    #[must_use]
    pub fn holds(&self, moment: Time) -> bool {
        self.from <= Span(moment.0) && self.to.is_none_or(|to| Span(moment.0) < to)
    }
}

/// Drawing pods from a trace, by the run's seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Draw {
    /// Without replacement, each pod with this probability (0, 1], keeping its arrival (mode B).
    Sample(f64),
    /// With replacement under a clock of its own (mode C): demand, work, class and priority of a
    /// drawn pod stay together.
    Bootstrap {
        /// How many pods.
        pods: u64,
        /// Their arrivals.
        arrivals: Arrivals,
    },
}

/// A stream of arrivals.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Independent exponential gaps.
    Poisson {
        /// Mean rate.
        per_hour: f64,
    },
    /// Poisson with a rate that switches between a high and a low state (MMPP-2): state times are
    /// exponential, the mean rate over both is `per_hour`.
    Bursty {
        /// Mean rate over both states.
        per_hour: f64,
        /// Rate in the high state ÷ rate in the low state, above 1.
        ratio: f64,
        /// Mean length of a high state.
        burst: Span,
        /// Share of time in the high state, in (0, 1).
        share: f64,
    },
    /// Poisson whose rate follows a day: `per_hour · (1 + swing · sin)`, drawn by thinning; the peak
    /// is at `peak` after midnight, time 0 is midnight.
    Diurnal {
        /// Mean rate.
        per_hour: f64,
        /// 0 to 1.
        swing: f64,
        /// Time of day of the highest rate.
        peak: Span,
    },
    /// All at time 0.
    AtOnce,
}

/// Pods made by draws from laws.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Generate {
    /// How many.
    pub pods: u64,
    /// When.
    pub arrivals: Arrivals,
    /// What: each pod's class is drawn by weight.
    pub classes: Vec<ClassSpec>,
}

/// A class of generated pods.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassSpec {
    /// Its name.
    pub name: String,
    /// Share of the pods, relative to the other classes' weights.
    pub weight: f64,
    /// CPU request.
    pub cpu: MilliCpu,
    /// Memory request.
    pub memory: Mib,
    /// GPU demand.
    pub gpu: GpuSpec,
    /// Law of the work.
    pub work: Law,
    /// Priority.
    pub priority: i32,
    /// Namespace.
    pub namespace: String,
}

/// GPU demand of a class.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpuSpec {
    /// None.
    None,
    /// Whole GPUs.
    Whole(u16),
    /// Thousandths of a GPU, drawn by weight: (milli 1..=999, weight).
    Share(Vec<(u16, f64)>),
    /// MIG profiles drawn by weight, in the order 1g, 2g, 3g, 4g, 7g.
    Profiles(ProfileMix),
}

/// Weights of the profiles 1g, 2g, 3g, 4g, 7g.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileMix {
    /// .20 each.
    Uniform,
    /// .40 .25 .15 .15 .05.
    SmallHeavy,
    /// .80 .10 .05 .03 .02.
    SkewSmall,
    /// .02 .03 .05 .10 .80.
    SkewBig,
    /// .45 .03 .04 .03 .45.
    Bimodal,
    /// .034 .178 .307 .130 .350: what the rule `nearest` makes of openb's fractional pods.
    OpenbNearest,
    /// The scenario's own.
    Weights([f64; 5]),
}

impl ProfileMix {
    /// The weights of 1g, 2g, 3g, 4g, 7g.
    #[must_use]
    pub fn weights(self) -> [f64; 5] {
        match self {
            ProfileMix::Uniform => [0.20; 5],
            ProfileMix::SmallHeavy => [0.40, 0.25, 0.15, 0.15, 0.05],
            ProfileMix::SkewSmall => [0.80, 0.10, 0.05, 0.03, 0.02],
            ProfileMix::SkewBig => [0.02, 0.03, 0.05, 0.10, 0.80],
            ProfileMix::Bimodal => [0.45, 0.03, 0.04, 0.03, 0.45],
            ProfileMix::OpenbNearest => [0.034, 0.178, 0.307, 0.130, 0.350],
            ProfileMix::Weights(weights) => weights,
        }
    }
}
