//! What a scenario can say about its scheduler. Plain values; names are a scenario's keys.

use super::kube::Settings;
use super::kube::backoff::Backoff;
use super::kube::filter::{Plugins, Reasons};
use super::kube::resource::Resources;
use super::kube::rules::Rules;
use super::kube::score::{Listed, Strategy};
pub use crate::cluster::spec::GpuChoice;
use crate::units::Span;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// The scheduler of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulerSpec {
    /// Named behaviour.
    pub profile: Profile,
    /// Under `ideal`: scores with weights, summed; none is first fit by node order.
    pub scores: Vec<ScoreSpec>,
    /// Which GPU of the chosen node.
    pub gpu_choice: GpuChoice,
    /// Under `ideal`: which node among equals.
    pub ties: Ties,
    /// Cycles run at multiples of this; 0 runs one whenever something changed.
    pub cycle: Span,
    /// Under kube-scheduler: what its cluster and its users set.
    pub kube: KubeSpec,
}

impl Default for SchedulerSpec {
    fn default() -> SchedulerSpec {
        SchedulerSpec {
            profile: Profile::Kube1_35,
            scores: vec![ScoreSpec { name: "least-allocated".to_owned(), weight: 1 }],
            gpu_choice: GpuChoice::BestFit,
            ties: Ties::NodeOrder,
            cycle: Span::ZERO,
            kube: KubeSpec::default(),
        }
    }
}

impl SchedulerSpec {
    /// The yardstick: profile `ideal` with its defaults.
    #[must_use]
    pub fn ideal() -> SchedulerSpec {
        SchedulerSpec { profile: Profile::Ideal, ..SchedulerSpec::default() }
    }

    /// What kube-scheduler is set to under these; resources that it lists are made known.
    #[must_use]
    pub fn settings(&self, resources: &mut Resources) -> Settings {
        let rules = match self.profile {
            Profile::Kube1_25 => Rules::V1_25,
            Profile::Kube1_35 | Profile::Ideal => Rules::V1_35,
        };
        let of = &self.kube.settings;
        let mut listed =
            |name: &str, weight: u32| Listed { resource: resources.intern(name), weight: i64::from(weight) };
        let fit: Vec<Listed> = of.resources.iter().map(|(name, weight)| listed(name, *weight)).collect();
        let balanced: Vec<Listed> = of.balanced_resources.iter().map(|name| listed(name, 1)).collect();
        let strategy = match &of.strategy {
            FitStrategy::LeastAllocated => Strategy::Least,
            FitStrategy::MostAllocated => Strategy::Most,
            FitStrategy::Ratio(shape) => {
                Strategy::Ratio(shape.iter().map(|(at, score)| (i64::from(*at), i64::from(*score))).collect())
            }
        };
        let is_ignored = |name: &str| {
            let group = name.split_once('/').map(|(group, _)| group);
            of.ignored_resources.iter().any(|ignored| ignored == name)
                || of.ignored_groups.iter().any(|ignored| Some(ignored.as_str()) == group)
        };
        let ignored = resources.ids().filter(|id| is_ignored(resources.name(*id)));
        let ignored = ignored.fold(Reasons::default(), |all, id| all.and(Reasons::short(id)));
        let weight = |weight: u32| (0 < weight).then_some(i64::from(weight));
        let off = of.filters_off.iter().filter_map(|name| Plugins::named(name));
        Settings {
            filters: Plugins(off.fold(Plugins::ALL.0, |on, plugin| on & !plugin.0)),
            fit: weight(of.weights.fit).map(|weight| (weight, strategy, fit)),
            balanced: weight(of.weights.balanced).map(|weight| (weight, balanced)),
            taints: i64::from(of.weights.taints),
            affinity: i64::from(of.weights.affinity),
            percentage: i32::from(of.percentage_of_nodes_to_score),
            backoff: Backoff { initial: of.backoff_initial, max: of.backoff_max },
            stay_max: of.unschedulable_max,
            ignored,
            preemption: of.preemption,
            candidates: (of.candidates_percentage as usize, of.candidates_absolute as usize),
            ..Settings::of(rules)
        }
    }
}

/// Written with the keys that its profile has.
impl Serialize for SchedulerSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("profile", &self.profile)?;
        if self.profile == Profile::Ideal {
            map.serialize_entry("scores", &self.scores)?;
        }
        map.serialize_entry("gpu_choice", &self.gpu_choice)?;
        if self.profile == Profile::Ideal {
            map.serialize_entry("ties", &self.ties)?;
        }
        map.serialize_entry("cycle", &self.cycle)?;
        if self.profile != Profile::Ideal {
            map.serialize_entry("kube", &self.kube)?;
        }
        map.end()
    }
}

/// What surrounds kube-scheduler.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KubeSpec {
    /// A KubeSchedulerConfiguration that replaces `settings`; gone once it is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Which of the file's profiles, by its `schedulerName`, where it has several; gone with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler_name: Option<String>,
    /// How it is set up.
    pub settings: KubeSettings,
    /// How long one cycle takes; 0 takes none.
    pub cycle_time: Span,
    /// Share of the bindings that fail, 0 to 0.9.
    #[serde(skip_serializing_if = "is_zero")]
    pub bind_failures: f64,
    /// The limits of its API client; `None` has none, or those of `config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiLimits>,
}

/// The limits of an API client (client-go's `QPS` and `Burst`): a bucket of tokens, one for each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ApiLimits {
    /// Calls per second in the long run.
    pub qps: u32,
    /// Calls at once after a pause.
    pub burst: u32,
}

impl Default for ApiLimits {
    fn default() -> ApiLimits {
        // `clientConnection` of a KubeSchedulerConfiguration (apis/config/v1/defaults.go).
        ApiLimits { qps: 50, burst: 100 }
    }
}

impl Default for KubeSpec {
    fn default() -> KubeSpec {
        KubeSpec {
            config: None,
            scheduler_name: None,
            settings: KubeSettings::default(),
            cycle_time: Span::ZERO,
            bind_failures: 0.0,
            api: None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

/// What a KubeSchedulerConfiguration says that we model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KubeSettings {
    /// Share of the nodes that a cycle looks for feasible ones among; 0 adapts to their number.
    pub percentage_of_nodes_to_score: u16,
    /// First back-off.
    pub backoff_initial: Span,
    /// Longest back-off.
    pub backoff_max: Span,
    /// Longest stay of an unschedulable pod that no event helps (the process's flag
    /// `--pod-max-in-unschedulable-pods-duration`).
    pub unschedulable_max: Span,
    /// Filter plugins that are off, by name.
    pub filters_off: Vec<String>,
    /// Extended resources that NodeResourcesFit does not filter.
    pub ignored_resources: Vec<String>,
    /// Groups (what stands before the `/`) of extended resources that it does not filter.
    pub ignored_groups: Vec<String>,
    /// Whether DefaultPreemption is on.
    pub preemption: bool,
    /// Share of the nodes that preemption tries at least, in percent.
    pub candidates_percentage: u32,
    /// Nodes that it tries at least.
    pub candidates_absolute: u32,
    /// Weights of the score plugins; 0 is off.
    pub weights: Weights,
    /// How NodeResourcesFit scores.
    pub strategy: FitStrategy,
    /// Resources that NodeResourcesFit scores, with weights.
    pub resources: BTreeMap<String, u32>,
    /// Resources that NodeResourcesBalancedAllocation balances.
    pub balanced_resources: Vec<String>,
}

impl Default for KubeSettings {
    fn default() -> KubeSettings {
        let backoff = Backoff::default();
        KubeSettings {
            percentage_of_nodes_to_score: 0,
            backoff_initial: backoff.initial,
            backoff_max: backoff.max,
            unschedulable_max: Span::from_secs(300),
            filters_off: Vec::new(),
            ignored_resources: Vec::new(),
            ignored_groups: Vec::new(),
            preemption: true,
            candidates_percentage: 10,
            candidates_absolute: 100,
            weights: Weights::default(),
            strategy: FitStrategy::LeastAllocated,
            resources: ["cpu", "memory"].map(|name| (name.to_owned(), 1)).into_iter().collect(),
            balanced_resources: ["cpu", "memory"].map(str::to_owned).to_vec(),
        }
    }
}

/// Weights of kube-scheduler's score plugins; 0 is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Weights {
    /// NodeResourcesFit.
    pub fit: u32,
    /// NodeResourcesBalancedAllocation.
    pub balanced: u32,
    /// TaintToleration.
    pub taints: u32,
    /// NodeAffinity.
    pub affinity: u32,
}

impl Default for Weights {
    fn default() -> Weights {
        // `apis/config/v1/default_plugins.go`, since v1beta3.
        Weights { fit: 1, balanced: 1, taints: 3, affinity: 2 }
    }
}

/// How NodeResourcesFit scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FitStrategy {
    /// More free is better.
    LeastAllocated,
    /// More used is better.
    MostAllocated,
    /// A broken line through (utilization in percent, score of 0 to 10).
    Ratio(Vec<(u8, u8)>),
}

/// Named behaviour of queue and retries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Profile {
    /// Priority, then arrival; a waiting pod is tried again exactly when something changed that
    /// could serve it; no back-off. The yardstick, not a real scheduler.
    #[serde(rename = "ideal")]
    Ideal,
    /// kube-scheduler 1.35 with its default profile and feature gates.
    #[default]
    #[serde(rename = "kube-1.35")]
    Kube1_35,
    /// kube-scheduler 1.25, which nos was built on.
    #[serde(rename = "kube-1.25")]
    Kube1_25,
}

impl Profile {
    /// What a reader of figures under this profile must know.
    #[must_use]
    pub fn limits(self) -> &'static str {
        match self {
            Profile::Ideal => {
                "The profile `ideal` is a yardstick: priority, then arrival; a pod is tried again exactly when something changed that could serve it. A real kube-scheduler waits longer."
            }
            Profile::Kube1_35 => {
                "The profile `kube-1.35` decides what kube-scheduler 1.35 decides, checked against recorded runs. Serial here: with parallel workers the real one may meet feasible nodes in another order. Volumes, ports, topology spread and pod affinity are not modelled."
            }
            Profile::Kube1_25 => {
                "The profile `kube-1.25` decides what kube-scheduler 1.25 decides, checked against recorded runs; among equal nodes it draws, here by the seed. Volumes, ports, topology spread and pod affinity are not modelled."
            }
        }
    }
}

/// A score by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScoreSpec {
    /// `least-allocated`, `most-allocated`, `balanced-allocation`, `random`, or one registered by a
    /// library user.
    pub name: String,
    /// Weight, 1 to 100.
    pub weight: u32,
}

/// Which of several equally good nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ties {
    /// The first in node order.
    #[default]
    NodeOrder,
    /// Uniform among them, by the run's seed.
    Seeded,
}
