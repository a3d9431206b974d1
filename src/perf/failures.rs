//! What breaks, how long that lasts, whom it takes along, and what a pod keeps of its work.
//!
//! Faults of GPUs and nodes come as Poisson processes in calendar time, each unit by its own stream;
//! a unit that is down does not fail. Pods crash by themselves as a Poisson process in the time they run.

use super::FaultDomain;
use super::parameters::{Printed, printed};
use crate::cluster::Share;
use crate::rng::Stream;
use crate::units::{Mib, Span};
use serde::Serialize;

/// A day, the unit of rates.
const DAY: Span = Span::from_secs(86_400);

/// How long repairs last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepairLaw {
    /// Exponential with the mean that is given (assumed).
    #[default]
    Exponential,
    /// As long as is given.
    Constant,
}

impl RepairLaw {
    /// A repair of this mean.
    #[must_use]
    pub fn draw(self, mean: Span, stream: &mut Stream) -> Span {
        match self {
            RepairLaw::Constant => mean,
            RepairLaw::Exponential => scaled(mean, stream.exponential()),
        }
    }
}

/// `factor` times a span, held within the range of the clock.
fn scaled(span: Span, factor: f64) -> Span {
    Span::from_secs_f64(span.as_secs_f64() * factor).unwrap_or(Span(u64::MAX / 4))
}

/// Faults of GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GpuFaults {
    /// Faults of one GPU a day.
    pub per_day: f64,
    /// Share of them after which the hardware is swapped; the others need a reset.
    pub swapped: f64,
    /// Mean time of a swap.
    pub swap: Span,
    /// Mean time of a reset.
    pub reset: Span,
}

/// Faults of nodes, beside those of their GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NodeFaults {
    /// Faults of one node a day.
    pub per_day: f64,
    /// Mean time until it is back.
    pub repair: Span,
    /// After so long its pods are created anew elsewhere, if it is not back before.
    pub evicted_after: Span,
}

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Failures {
    /// Faults of GPUs.
    pub gpu: GpuFaults,
    /// Faults of nodes.
    pub node: NodeFaults,
    /// Distribution of repairs.
    pub law: RepairLaw,
    /// GPUs and nodes that are repaired at once, first come, first served; `None` is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crews: Option<u32>,
    /// Mean time of a restart of the MPS server after a fatal fault; it needs no crew.
    pub mps_restart: Span,
}

impl Default for Failures {
    fn default() -> Failures {
        Failures {
            gpu: GpuFaults {
                per_day: 3.0e-4,
                swapped: 1.0,
                swap: Span::from_secs(86_400),
                reset: Span::from_secs(60),
            },
            node: NodeFaults {
                per_day: 1.4e-3,
                repair: Span::from_secs(600),
                evicted_after: Span::from_secs(340),
            },
            law: RepairLaw::Exponential,
            crews: None,
            mps_restart: Span::from_secs(10),
        }
    }
}

impl Failures {
    /// Time to the next fault of a unit that fails `per_day`; `None` if it never does.
    #[must_use]
    pub fn gap(per_day: f64, stream: &mut Stream) -> Option<Span> {
        (0.0 < per_day).then(|| scaled(DAY, stream.exponential() / per_day))
    }

    /// How long a GPU is down after a fault.
    #[must_use]
    pub fn gpu_repair(&self, stream: &mut Stream) -> Span {
        // Drawn in any case, so that a changed share moves no other draw.
        let swapped = stream.unit() < self.gpu.swapped;
        self.law.draw(if swapped { self.gpu.swap } else { self.gpu.reset }, stream)
    }

    /// Every number that a run rests on, with its source.
    #[must_use]
    pub fn printed(&self) -> Vec<Printed> {
        let is = Failures::default();
        let law = |law: RepairLaw| format!("{law:?}").to_lowercase();
        let crews = |crews: Option<u32>| crews.map_or("no limit".to_owned(), |n| n.to_string());
        vec![
            printed(
                "failures",
                "gpu.per_day",
                &self.gpu.per_day,
                &is.gpu.per_day,
                (
                    "A",
                    "Llama 3: 268 of 419 unplanned stops were a GPU's, 16,384 GPUs, 54 days (published counts)",
                ),
            ),
            printed(
                "failures",
                "gpu.swapped",
                &self.gpu.swapped,
                &is.gpu.swapped,
                ("assumed", "every hardware fault ends in a swap"),
            ),
            printed("failures", "gpu.swap", &self.gpu.swap, &is.gpu.swap, ("assumed", "no source")),
            printed("failures", "gpu.reset", &self.gpu.reset, &is.gpu.reset, ("assumed", "no source")),
            printed(
                "failures",
                "node.per_day",
                &self.node.per_day,
                &is.node.per_day,
                ("A", "the other 151 of those 419 stops over 2,048 nodes and 54 days"),
            ),
            printed("failures", "node.repair", &self.node.repair, &is.node.repair, ("assumed", "a reboot")),
            printed(
                "failures",
                "node.evicted_after",
                &self.node.evicted_after,
                &is.node.evicted_after,
                ("C", "Kubernetes: 40 s until a node counts as lost, then 300 s of default toleration"),
            ),
            printed("failures", "law", &law(self.law), &law(is.law), ("assumed", "memoryless repairs")),
            printed(
                "failures",
                "crews",
                &crews(self.crews),
                &crews(is.crews),
                ("assumed", "all are repaired at once"),
            ),
            printed("failures", "mps_restart", &self.mps_restart, &is.mps_restart, ("assumed", "no source")),
        ]
    }
}

/// Checkpoints of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Checkpoint {
    /// Work between two of them, as time alone on a full GPU.
    pub every: Span,
    /// Time that one takes; no work is done meanwhile.
    pub cost: Span,
}

/// How often a pod is created anew after failures of its own: crashes, fatal faults that it raised, and
/// memory that it did not find. Kubernetes counts lost nodes and evictions as well unless a
/// `podFailurePolicy` ignores them; here they never count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retries {
    /// So often; then it has failed for good.
    Limit(u32),
    /// Always.
    Unlimited,
}

impl Retries {
    /// Whether a pod that has failed so often is created anew.
    #[must_use]
    pub fn allow(self, failures: u32) -> bool {
        match self {
            Retries::Limit(most) => failures <= most,
            Retries::Unlimited => true,
        }
    }
}

impl std::fmt::Display for Retries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Retries::Limit(most) => write!(f, "{most}"),
            Retries::Unlimited => f.write_str("unlimited"),
        }
    }
}

impl Serialize for Retries {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Retries::Limit(most) => serializer.serialize_u32(*most),
            Retries::Unlimited => serializer.serialize_str("unlimited"),
        }
    }
}

/// How pods of one behavior live: what they need beside compute, how they start, what they keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Life {
    /// GPU memory of a pod; `None` is what its trace says, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Mib>,
    /// Time at every start in which no work is done, beyond what run times contain.
    pub start_up: Span,
    /// Checkpoints; `None` restarts from zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// Time more at a start from a checkpoint.
    pub resume: Span,
    /// Whether it saves its work when it is asked to go, within its grace: the cost of a checkpoint must
    /// fit in it.
    pub saves_on_eviction: bool,
    /// Crashes in an hour of running.
    pub crashes_per_hour: f64,
    /// Share of its crashes that are fatal GPU faults.
    pub fatal: f64,
    /// How often it is created anew after failures of its own.
    pub retries: Retries,
}

impl Life {
    /// The defaults.
    pub const DEFAULT: Life = Life {
        memory: None,
        start_up: Span::ZERO,
        checkpoint: None,
        resume: Span::from_secs(25),
        saves_on_eviction: false,
        crashes_per_hour: 0.0,
        fatal: 0.20,
        retries: Retries::Limit(6),
    };

    /// Whether its pods do more than run from their start to their end, losing all when they lose their
    /// place.
    #[must_use]
    pub fn is_eventful(&self) -> bool {
        self.start_up != Span::ZERO
            || self.checkpoint.is_some()
            || self.saves_on_eviction
            || self.crashes_per_hour != 0.0
    }

    /// Time to the next crash of a pod that runs, and whether that is a fatal GPU fault.
    #[must_use]
    pub fn crash(&self, stream: &mut Stream) -> Option<(Span, bool)> {
        (0.0 < self.crashes_per_hour).then(|| {
            let at = scaled(Span::from_secs(3_600), stream.exponential() / self.crashes_per_hour);
            (at, stream.unit() < self.fatal)
        })
    }

    /// The numbers that are not a class's own business, with their sources.
    #[must_use]
    pub fn printed(&self) -> Vec<Printed> {
        let is = Life::DEFAULT;
        vec![
            printed(
                "restarts",
                "resume",
                &self.resume,
                &is.resume,
                (
                    "A/B",
                    "MISO: 15 s for a restart from a checkpoint and exactly 10 s of start-up; its code assumes 30 s a migration",
                ),
            ),
            printed(
                "restarts",
                "crashes_per_hour",
                &self.crashes_per_hour,
                &is.crashes_per_hour,
                ("assumed", "0: jobs crash by their own fault at a rate that only their owner knows"),
            ),
            printed("restarts", "fatal", &self.fatal, &is.fatal, ("assumed", "no source")),
            printed(
                "restarts",
                "retries",
                &self.retries,
                &is.retries,
                ("B", "Kubernetes' Job: `backoffLimit` is 6 by default"),
            ),
        ]
    }
}

/// Whom a fatal GPU fault, raised by a pod, takes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blast {
    /// Nobody else.
    Pod,
    /// All pods of the GPU.
    Gpu,
    /// All pods of the GPU, and the MPS server restarts before it takes others.
    Server,
}

impl Blast {
    /// By mode: an instance under MIG (B: MIG guide), all clients of the GPU under MPS (B: MPS guide), all
    /// pods of the GPU under time-slicing (B: device plugin; `domain` has the milder reading), the pod
    /// alone on whole GPUs. Thousandths are shared without isolation: as time-slicing (assumed).
    #[must_use]
    pub fn of(share: &Share, domain: FaultDomain) -> Blast {
        match share {
            Share::Whole | Share::Slices { .. } => Blast::Pod,
            Share::Memory { .. } | Share::Sliced { .. } | Share::Replicas { mps: true, .. } => Blast::Server,
            Share::Milli | Share::Replicas { mps: false, .. } => match domain {
                FaultDomain::Gpu => Blast::Gpu,
                FaultDomain::Process => Blast::Pod,
            },
        }
    }
}
