//! What a scenario can say about its scheduler. Plain values; names are a scenario's keys.

pub use crate::cluster::spec::GpuChoice;
use crate::units::Span;
use serde::Serialize;

/// The scheduler of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SchedulerSpec {
    /// Named behaviour.
    pub profile: Profile,
    /// Scores with weights, summed; none is first fit by node order.
    pub scores: Vec<ScoreSpec>,
    /// Which GPU of the chosen node.
    pub gpu_choice: GpuChoice,
    /// Which node among equals.
    pub ties: Ties,
    /// Cycles run at multiples of this; 0 runs one whenever something changed.
    pub cycle: Span,
}

impl Default for SchedulerSpec {
    fn default() -> SchedulerSpec {
        SchedulerSpec {
            profile: Profile::Ideal,
            scores: vec![ScoreSpec { name: "least-allocated".to_owned(), weight: 1 }],
            gpu_choice: GpuChoice::BestFit,
            ties: Ties::NodeOrder,
            cycle: Span::ZERO,
        }
    }
}

/// Named behaviour of queue and retries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Priority, then arrival; a waiting pod is tried again exactly when something changed that
    /// could serve it; no back-off. The yardstick, not a real scheduler.
    #[default]
    Ideal,
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
