//! What a class of pods does with a GPU, in the few numbers that the models ask for.

use super::failures::Life;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a class of pods does with a GPU.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Behavior {
    /// Share of its run time, alone, in which the GPU is not the limit, 0 to 1.
    pub host: f64,
    /// Share of the GPU that it can fill while it computes, above 0 to 1.
    pub fill: f64,
    /// Its demand under MPS where that was measured; else `(1 − host) × fill`. Fits of this number
    /// miss by 5.7 % (left out), predictions of it from MIG slices by 24 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demand: Option<f64>,
    /// Measured speeds on MIG slices, by compute slices, against the full instance; they win over the
    /// formula.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub speeds: BTreeMap<u8, f64>,
    /// How its pods start, save their work and crash.
    #[serde(flatten)]
    pub life: Life,
}

impl Behavior {
    /// Named classes: our summary of fits to measured slices (training on A100-40GB from MISO's
    /// logs, inference on A100-80GB from ParvaGPU's). The range is measured, the grouping is ours.
    pub const NAMED: [(&'static str, Behavior); 6] = [
        ("saturating", Behavior::new(0.05, 1.00)),
        ("medium", Behavior::new(0.45, 0.90)),
        ("light", Behavior::new(0.50, 0.55)),
        ("small-batch", Behavior::new(0.15, 0.35)),
        ("launch-bound", Behavior::new(0.30, 0.14)),
        ("host-bound", Behavior::new(0.90, 0.80)),
    ];

    /// A behavior by its two numbers.
    #[must_use]
    pub const fn new(host: f64, fill: f64) -> Behavior {
        Behavior { host, fill, demand: None, speeds: BTreeMap::new(), life: Life::DEFAULT }
    }

    /// Time-averaged share of the GPU that it uses when its threads are limited to `limit` of it.
    pub(super) fn demand(&self, limit: f64) -> f64 {
        match self.demand {
            Some(demand) => demand.min((1.0 - self.host) * limit),
            None => (1.0 - self.host) * self.fill.min(limit),
        }
    }

    /// Slowdown when `available` of the GPU's compute is its own: `h + (1−h)·max(1, d ÷ available)`.
    #[must_use]
    pub fn slowdown(&self, available: f64) -> f64 {
        self.host + (1.0 - self.host) * (self.fill / available).max(1.0)
    }
}
