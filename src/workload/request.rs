//! What a pod asks for in one mode, and the named rules that derive it from a demand.

use crate::id::SliceId;
use crate::units::{Mib, MilliCpu};
use serde::Serialize;

/// One kind of thing that a node's GPUs hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// A whole GPU, `nvidia.com/gpu`.
    Whole,
    /// So many thousandths of one GPU, 1 to 1000 (GPU-sharing schedulers).
    Milli(u16),
    /// An MPS memory slice of so many GB, `nvidia.com/gpu-<n>gb`.
    MemoryGb(u16),
    /// An equal replica of a GPU under MPS or time-slicing, `nvidia.com/gpu.shared`.
    Replica,
    /// A MIG slice, `nvidia.com/mig-<profile>`.
    Slice(SliceId),
}

/// The GPU part of a request: `count` units, each on another GPU of one node (MIG slices may share
/// a GPU).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GpuRequest {
    /// What is asked for.
    pub unit: Unit,
    /// How many, 1 or more.
    pub count: u16,
}

/// What a pod asks for. Pods with equal requests are one shape to a scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// CPU.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Mib,
    /// GPU units; `None` for a CPU-only pod.
    pub gpu: Option<GpuRequest>,
    /// Where it may run: an index into [`super::Workload::constraints`].
    pub constraint: u32,
}

/// MIG profile names of a run; nodes and requests name slices through one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SliceNames(Vec<String>);

impl SliceNames {
    /// The id of a profile name, new or known.
    pub fn intern(&mut self, name: &str) -> SliceId {
        if let Some(index) = self.0.iter().position(|n| n == name) {
            return SliceId::of(index);
        }
        self.0.push(name.to_owned());
        SliceId::of(self.0.len() - 1)
    }

    /// The profile name of an id.
    #[must_use]
    pub fn get(&self, id: SliceId) -> &str {
        &self.0[id.index()]
    }

    /// Number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no name is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How GPUs are shared: what pods of a translation ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Whole GPUs.
    Whole,
    /// MIG slices.
    Mig,
    /// MPS memory slices.
    Mps,
    /// Equal replicas under MPS.
    MpsReplicas,
    /// Replicas under time-slicing.
    TimeSlicing,
    /// Thousandths of a GPU.
    Fraction,
}

/// From a fraction of a GPU to a MIG profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Least profile with compute ≥ the fraction.
    CeilCompute,
    /// Least profile with compute ≥ and memory ≥ the fraction.
    #[default]
    CeilBoth,
    /// Profile with compute nearest to the fraction (may give too little).
    Nearest,
    /// The fraction × 16 GB of an older card, least profile of an A100-40GB (5, 10, 20, 20, 40 GB)
    /// that has it.
    #[serde(rename = "refresh-16gb-a100-40gb")]
    Refresh16gbA100,
    /// The same on an 80 GB card (10, 20, 40, 40, 80 GB).
    #[serde(rename = "refresh-16gb-h100-80gb")]
    Refresh16gbH100,
}

/// How demands become requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Translation {
    /// What pods ask for.
    pub to: Sharing,
    /// Rule for fractions under MIG; it also scales the memory of MPS slices (the refresh rules
    /// take the fraction of a 16 GB card, the others of the target).
    pub rule: Rule,
    /// GPU product whose profiles and memory are meant: a catalogue id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
}
