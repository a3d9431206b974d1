//! What a scenario can say about its nodes. Plain values, every default filled in; field and
//! variant names are a scenario's keys.

use crate::units::{Mib, MilliCpu, Span};
use serde::Serialize;
use std::collections::BTreeMap;

/// The cluster of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClusterSpec {
    /// Groups of equal nodes, in the order of the cluster.
    pub nodes: Vec<NodeGroup>,
    /// Files of nodes, after the groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node_lists: Vec<NodeList>,
    /// What is planned to happen to nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventSpec>,
}

/// Something that is planned to happen to nodes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventSpec {
    /// When, from the start of the run.
    pub at: Span,
    /// To whom: names of nodes, or of groups for all their nodes.
    pub nodes: Vec<String>,
    /// What.
    #[serde(rename = "do")]
    pub change: EventKind,
}

/// What can be planned. A node whose first event of the two is `join` is not there before.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// It is there from now on.
    Join,
    /// It is gone, and so are its pods.
    Leave,
    /// It takes no new pods: `kubectl cordon`.
    Cordon,
    /// It takes pods again.
    Uncordon,
    /// It is cordoned, and its pods are asked to go as disruption budgets allow: `kubectl drain`.
    Drain,
    /// It has one more taint; `NoExecute` asks pods to go that do not tolerate it.
    Taint(Taint),
    /// It has this taint no more.
    Untaint(Taint),
    /// It has these labels.
    Label(BTreeMap<String, String>),
    /// It has other allocatable amounts.
    Allocatable(Amounts),
    /// Its MIG GPUs are re-cut.
    Recut(RecutSpec),
    /// Its GPUs are shared in another way.
    Mode(ModeSpec),
}

/// A planned change of mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModeSpec {
    /// The new mode.
    pub to: Mode,
    /// What becomes of pods that hold its GPUs.
    pub running: Holders,
}

/// Allocatable amounts that change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Amounts {
    /// CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<MilliCpu>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Mib>,
    /// Pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<u32>,
}

/// A planned re-cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecutSpec {
    /// Profiles of the new layout.
    pub layout: Vec<String>,
    /// GPUs of each node, by number; all of them if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Vec<u16>>,
    /// What becomes of pods on slices that go.
    pub running: Holders,
}

/// What becomes of pods whose slices a planned re-cut takes away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holders {
    /// Their GPU is re-cut when they have ended; nobody else gets a slice that goes.
    #[default]
    Wait,
    /// They are asked to go.
    Evict,
}

/// `count` equal nodes, named `<name>-0`, `<name>-1`, …
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeGroup {
    /// Group name.
    pub name: String,
    /// Number of nodes.
    pub count: u32,
    /// Allocatable CPU of each.
    pub cpu: MilliCpu,
    /// Allocatable memory of each.
    pub memory: Mib,
    /// Pods that a node may hold; kubelet's default is 110.
    pub pods: u32,
    /// GPUs of each node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Gpus>,
    /// How its GPUs are shared.
    pub mode: Mode,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Taints, `key=value:effect` or `key:effect`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// Price of one node for an hour, in whatever currency the scenario uses throughout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_per_hour: Option<f64>,
}

/// GPUs of a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gpus {
    /// Catalogue id, NVML name or product label; for modes `whole` and `fraction` and replicas any
    /// text is accepted with a warning, since traces hide their models.
    pub model: String,
    /// Number of GPUs.
    pub count: u16,
}

/// A node's taint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value, may be empty.
    pub value: String,
    /// `NoSchedule`, `NoExecute` or `PreferNoSchedule`.
    pub effect: String,
}

impl Taint {
    /// What stands for a cordon, and what a pod tolerates that may run on cordoned nodes.
    #[must_use]
    pub fn cordon() -> Taint {
        Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            value: String::new(),
            effect: "NoSchedule".to_owned(),
        }
    }
}

impl Serialize for Taint {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.value.as_str() {
            "" => s.collect_str(&format_args!("{}:{}", self.key, self.effect)),
            value => s.collect_str(&format_args!("{}={value}:{}", self.key, self.effect)),
        }
    }
}

/// How a node's GPUs are shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Each GPU goes to one pod.
    #[default]
    Whole,
    /// Each GPU is cut into these profiles, until an event re-cuts it.
    Mig(Vec<String>),
    /// A partitioner cuts GPUs into MIG slices; there is none at first.
    #[serde(rename = "mig")]
    MigOnDemand,
    /// MPS.
    Mps(Mps),
    /// Each GPU is advertised this many times, without isolation.
    TimeSlicing {
        /// Replicas of each GPU, 2 or more (1 is `whole`).
        replicas: u16,
    },
    /// Thousandths of a GPU.
    Fraction,
}

impl Mode {
    /// Whether a partitioner makes the slices.
    #[must_use]
    pub fn is_on_demand(&self) -> bool {
        matches!(self, Mode::MigOnDemand | Mode::Mps(Mps::OnDemand { .. }))
    }
}

/// How MPS divides a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mps {
    /// Memory slices of any whole number of GB, as nos makes them; the GPU's memory is the limit,
    /// and `clients` (48 by default: CUDA up to 13.0).
    Memory {
        /// Most pods on one GPU.
        clients: u16,
    },
    /// Memory slices that a partitioner makes; there is none at first.
    OnDemand {
        /// Most pods on one GPU.
        clients: u16,
    },
    /// So many equal replicas, as the NVIDIA device plugin makes them.
    Replicas(u16),
}

/// A file of nodes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeList {
    /// Path, relative to the scenario; absolute once the file is read.
    pub file: String,
    /// How its GPUs are shared.
    pub mode: Mode,
    /// Replaces GPU models: a product for each model name of the file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, String>,
    /// Pods that a node may hold.
    pub pods: u32,
}

/// Which GPU of a node takes a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpuChoice {
    /// Lowest number.
    FirstFit,
    /// Least room left.
    #[default]
    BestFit,
    /// Most room left.
    WorstFit,
}
