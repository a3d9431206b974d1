//! What a scenario can say about its scheduler. Plain values; names are a scenario's keys.

use super::kube::Settings;
use super::kube::rules::Rules;
pub use crate::cluster::spec::GpuChoice;
use crate::units::Span;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

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

    /// What kube-scheduler is set to under these.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings::of(match self.profile {
            Profile::Kube1_25 => Rules::V1_25,
            Profile::Kube1_35 | Profile::Ideal => Rules::V1_35,
        })
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
    /// How long an evicted pod keeps its place: `terminationGracePeriodSeconds`.
    pub grace: Span,
    /// What becomes of it then.
    pub evicted: Evicted,
    /// How long one cycle takes; 0 takes none.
    pub cycle_time: Span,
}

impl Default for KubeSpec {
    fn default() -> KubeSpec {
        // 30 s is Kubernetes' default grace. Jobs and Deployments create a lost pod anew.
        KubeSpec { grace: Span::from_secs(30), evicted: Evicted::Return, cycle_time: Span::ZERO }
    }
}

/// What becomes of a pod that was evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evicted {
    /// It is created anew at once, its work lost, as by a Job.
    #[default]
    Return,
    /// It is gone, as a bare pod is.
    Leave,
}

/// Named behaviour of queue and retries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
