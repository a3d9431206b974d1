//! What equal nodes have in common: capacity, how their GPUs are handed out, whom they admit.

use super::{GPU_PARTS, spec};
use crate::id::SliceId;
use crate::units::{Mib, MilliCpu};
use crate::workload::request::{GpuRequest, Sharing, Unit};
use crate::workload::{Constraint, Toleration};
use std::collections::BTreeMap;

/// How the GPUs of a node are handed out, and what a GPU's `free` counter means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Share {
    /// Whole GPUs; free is 0 or 1.
    Whole,
    /// Thousandths; free is 0..=1000.
    Milli,
    /// MPS memory; free is in GB.
    Memory {
        /// GB of one GPU.
        gb: u16,
        /// Most pods on one GPU.
        clients: u16,
    },
    /// MPS memory slices of the sizes that a partitioner made; free is in GB, and a pod takes a slice of
    /// its size ([`super::Cluster::offered`]).
    Sliced {
        /// GB of one GPU.
        gb: u16,
        /// Most pods on one GPU.
        clients: u16,
    },
    /// Equal replicas; free counts them.
    Replicas {
        /// Replicas of one GPU.
        replicas: u16,
        /// Whether MPS or time-slicing stands behind them.
        mps: bool,
    },
    /// MIG; free is a bit mask over these slices.
    Slices {
        /// The slices that a GPU is, or can be, cut into, at most 32: those of its layout where that
        /// stays, and all that ever stand where it is re-cut.
        slices: Vec<Slice>,
        /// Those of them that every GPU is cut into at first.
        standing: u32,
        /// Compute slices of the whole GPU.
        compute: u8,
    },
}

impl Share {
    /// What pods ask for of such GPUs.
    #[must_use]
    pub fn sharing(&self) -> Sharing {
        match self {
            Share::Whole => Sharing::Whole,
            Share::Milli => Sharing::Fraction,
            Share::Memory { .. } | Share::Sliced { .. } => Sharing::Mps,
            Share::Replicas { mps: true, .. } => Sharing::MpsReplicas,
            Share::Replicas { mps: false, .. } => Sharing::TimeSlicing,
            Share::Slices { .. } => Sharing::Mig,
        }
    }
}

/// A MIG slice at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Its profile.
    pub profile: SliceId,
    /// Profile name and start, for people: `3g.20gb@4`.
    pub label: String,
    /// First memory slice.
    pub start: u8,
    /// Memory slices taken.
    pub size: u8,
    /// Compute slices.
    pub compute: u8,
}

/// What equal nodes have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeClass {
    /// Allocatable CPU.
    pub cpu: MilliCpu,
    /// Allocatable memory.
    pub memory: Mib,
    /// Most pods.
    pub pods: u32,
    /// GPUs.
    pub gpus: u16,
    /// GPU model: its catalogue id where it is known there, else as the trace names it; empty
    /// without GPUs.
    pub model: String,
    /// Memory slices of one GPU; 0 where unknown, which no MIG GPU is.
    pub memory_slices: u8,
    /// How its GPUs are handed out.
    pub share: Share,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<spec::Taint>,
    /// Price of a node for an hour.
    pub price_per_hour: Option<f64>,
    /// Cordoned: takes no new pods, but for those that tolerate it.
    pub unschedulable: bool,
    /// Whether such a node is there: one that has not joined yet, or has left, is not.
    pub present: bool,
}

/// What a request takes from each of its GPUs on nodes of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// No GPU.
    None,
    /// So many units of the `free` counter on each of `count` GPUs.
    Units {
        /// Units on each GPU.
        each: u16,
        /// GPUs.
        count: u16,
    },
    /// `count` free slices among those of the mask.
    Slices {
        /// Slices of the wanted profile.
        mask: u32,
        /// Slices wanted.
        count: u16,
    },
    /// The class does not hand out such units.
    Never,
}

/// What a pod holds of one GPU, in [`GPU_PARTS`].
///
/// | unit | `gpu` | `compute` | `memory` |
/// |---|---|---|---|
/// | whole GPU | all | all | all |
/// | MIG slice | compute slices ÷ those of the GPU | the same | memory slices ÷ those of the GPU |
/// | MPS memory slice | its GB ÷ those of the GPU | all: nothing limits its threads | its GB |
/// | MPS replica | 1 ÷ replicas | 1 ÷ replicas | 1 ÷ replicas |
/// | time-slicing replica | 1 ÷ replicas | all: it has the GPU in turns | all: nothing limits it |
/// | thousandths | themselves | themselves | themselves |
///
/// What several pods hold together of one GPU's compute or memory is at most all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Share of the GPU that counts as allocated.
    pub gpu: u64,
    /// Compute in its hands, alone or with others.
    pub compute: u64,
    /// Memory in its hands, alone or with others.
    pub memory: u64,
}

impl NodeClass {
    /// The `free` counter of an empty GPU at first.
    #[must_use]
    pub fn full(&self) -> u32 {
        match &self.share {
            Share::Whole => 1,
            Share::Milli => 1_000,
            Share::Memory { gb, .. } | Share::Sliced { gb, .. } => u32::from(*gb),
            Share::Replicas { replicas, .. } => u32::from(*replicas),
            Share::Slices { standing, .. } => *standing,
        }
    }

    /// Most pods on one GPU beyond what the units say.
    pub(super) fn clients(&self) -> u16 {
        match self.share {
            Share::Memory { clients, .. } | Share::Sliced { clients, .. } => clients,
            _ => u16::MAX,
        }
    }

    /// What a GPU request takes from the GPUs of this class.
    #[must_use]
    pub fn need(&self, gpu: Option<GpuRequest>) -> Need {
        let Some(GpuRequest { unit, count }) = gpu else { return Need::None };
        let each = match (unit, &self.share) {
            (Unit::Whole, Share::Whole) | (Unit::Replica, Share::Replicas { .. }) => 1,
            (Unit::Milli(milli), Share::Milli) => milli,
            (Unit::MemoryGb(gb), Share::Memory { .. } | Share::Sliced { .. }) => gb,
            (Unit::Slice(profile), Share::Slices { slices, .. }) => {
                let mask = slices
                    .iter()
                    .enumerate()
                    .filter(|(_, s)| s.profile == profile)
                    .fold(0, |m, (i, _)| m | 1 << i);
                return if mask == 0 { Need::Never } else { Need::Slices { mask, count } };
            }
            _ => return Need::Never,
        };
        Need::Units { each, count }
    }

    /// Parts of a GPU ([`GPU_PARTS`]) that a GPU request holds on this class.
    #[must_use]
    pub fn parts(&self, gpu: Option<GpuRequest>) -> u64 {
        gpu.map_or(0, |gpu| self.hold(gpu.unit).gpu * u64::from(gpu.count))
    }

    /// What one unit holds of its GPU on this class.
    ///
    /// # Panics
    /// If the unit is a slice that this layout lacks.
    #[must_use]
    pub fn hold(&self, unit: Unit) -> Hold {
        let all = |parts| Hold { gpu: parts, compute: parts, memory: parts };
        match (unit, &self.share) {
            (Unit::Milli(milli), _) => all(GPU_PARTS / 1_000 * u64::from(milli)),
            (Unit::MemoryGb(gb), Share::Memory { gb: whole, .. } | Share::Sliced { gb: whole, .. }) => {
                Hold { compute: GPU_PARTS, ..all(GPU_PARTS * u64::from(gb) / u64::from(*whole)) }
            }
            (Unit::Replica, Share::Replicas { replicas, mps: true }) => all(GPU_PARTS / u64::from(*replicas)),
            (Unit::Replica, Share::Replicas { replicas, mps: false }) => {
                Hold { gpu: GPU_PARTS / u64::from(*replicas), ..all(GPU_PARTS) }
            }
            (Unit::Slice(profile), Share::Slices { slices, compute, .. }) => {
                let slice = slices.iter().find(|s| s.profile == profile).expect("a slice of this layout");
                let memory = GPU_PARTS * u64::from(slice.size) / u64::from(self.memory_slices);
                Hold { memory, ..all(GPU_PARTS * u64::from(slice.compute) / u64::from(*compute)) }
            }
            _ => all(GPU_PARTS),
        }
    }

    /// Whether the static side of a constraint holds: presence, cordon, taints, labels, model, in the
    /// order of kube-scheduler's filters; the first refusal.
    ///
    /// # Errors
    /// The filter that refuses.
    pub fn admits(&self, constraint: &Constraint) -> Result<(), StaticRefusal> {
        if !self.present {
            return Err(StaticRefusal::Absent);
        }
        if self.unschedulable && !constraint.tolerations.iter().any(|t| t.tolerates(&spec::Taint::cordon())) {
            return Err(StaticRefusal::Cordon);
        }
        let untolerated = |taint: &&spec::Taint| {
            taint.effect != "PreferNoSchedule" && !constraint.tolerations.iter().any(|t| t.tolerates(taint))
        };
        if self.taints.iter().find(untolerated).is_some() {
            return Err(StaticRefusal::Taint);
        }
        if !constraint.selector.iter().all(|(key, value)| self.labels.get(key) == Some(value)) {
            return Err(StaticRefusal::Affinity);
        }
        if !constraint.models.is_empty()
            && !constraint.models.iter().any(|m| m.eq_ignore_ascii_case(&self.model))
        {
            return Err(StaticRefusal::Model);
        }
        Ok(())
    }
}

/// A refusal that no departure can lift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaticRefusal {
    /// The node is not there.
    Absent,
    /// The node is cordoned.
    Cordon,
    /// A taint that is not tolerated.
    Taint,
    /// Labels that the node lacks.
    Affinity,
    /// Another GPU model than allowed.
    Model,
}

impl Toleration {
    /// Whether this toleration covers `taint`, by Kubernetes' rules.
    #[must_use]
    pub fn tolerates(&self, taint: &spec::Taint) -> bool {
        let effect = self.effect.is_empty() || self.effect == taint.effect;
        let key = self.key.is_empty() || self.key == taint.key;
        effect && key && self.value.as_ref().is_none_or(|v| *v == taint.value)
    }
}
