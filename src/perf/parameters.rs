//! Every number of the sharing models, with its default, where it comes from and how sure it is.
//!
//! Sources: S1 MISO's public profile logs (SoCC'22, A100-40GB), S2 ParvaGPU's (SC'24, A100-80GB), S3
//! nos' own comparison of sharing modes (A100-80GB), S6 Gavel's and S7 Lucid's pairs. Confidence: A is
//! raw measurements that we recomputed, B a document or source code that we read, C is recalled or
//! second-hand; what is assumed says so.

use crate::units::{Mib, Span};
use serde::Serialize;

/// Speed on MIG slices.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mig {
    /// κ: compute that a slice gives beyond its share, f(k) = min(1, κ·k/K).
    pub kappa: f64,
    /// Speed of the full instance against the same GPU with MIG off; multiplies every f(k).
    pub full: f64,
    /// Slowdown by each busy compute slice of the other instances.
    pub residual: f64,
}

impl Default for Mig {
    fn default() -> Mig {
        Mig { kappa: 1.10, full: 1.0, residual: 0.0 }
    }
}

/// Who limits the threads of MPS clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Threads {
    /// As the device plugins do: NVIDIA's gives each of N replicas ⌊100 ÷ N⌋ %, nebuly's limits
    /// nobody.
    #[default]
    Plugin,
    /// Nobody.
    Unlimited,
    /// Everybody, to the share of the GPU's memory that their slice has, or 1 ÷ N of N replicas.
    Proportional,
}

/// Interference under MPS.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mps {
    /// α: slowdown by each unit of the neighbours' demand.
    pub alpha: f64,
    /// C: demand that a GPU serves before it saturates.
    pub capacity: f64,
    /// Limits of threads.
    pub threads: Threads,
    /// σ of the seeded residual; 0 is none.
    pub residual: f64,
}

impl Default for Mps {
    fn default() -> Mps {
        Mps { alpha: 0.10, capacity: 1.0, threads: Threads::Plugin, residual: 0.0 }
    }
}

impl Mps {
    /// Slowdown of a pod of this demand among pods of so much demand in all, itself included:
    /// `max(1, 1 + α·(total − own), total ÷ C)`.
    #[must_use]
    pub fn shared(&self, own: f64, total: f64) -> f64 {
        (1.0 + self.alpha * (total - own)).max(total / self.capacity).max(1.0)
    }
}

/// Who goes down with a pod that raises a fatal GPU fault under time-slicing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultDomain {
    /// All pods of the GPU: the NVIDIA device plugin documents one fault domain.
    #[default]
    Gpu,
    /// The pod alone: the milder reading.
    Process,
}

/// Interference under time-slicing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TimeSlicing {
    /// ε: loss whenever two or more pods want the GPU.
    pub loss: f64,
    /// q: length of a time slice, which latencies of requests depend on and speeds do not.
    pub slice: Span,
    /// Memory that the context of each process takes.
    pub context: Mib,
    /// Longest time until a pod that finds no memory fails; the delay is drawn uniformly, and is at
    /// most its work.
    pub out_of_memory_within: Span,
    /// Blast radius of a fatal fault.
    pub fault_domain: FaultDomain,
    /// σ of the seeded residual; 0 is none.
    pub residual: f64,
}

impl Default for TimeSlicing {
    fn default() -> TimeSlicing {
        TimeSlicing {
            loss: 0.11,
            slice: Span(2_000),
            context: Mib(512),
            out_of_memory_within: Span::from_secs(60),
            fault_domain: FaultDomain::Gpu,
            residual: 0.0,
        }
    }
}

/// Measured slowdown of a class beside another: it wins over the formula.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairRow {
    /// The mode in which it was measured.
    pub mode: PairMode,
    /// The class that is slowed.
    pub class: String,
    /// Its neighbour.
    pub beside: String,
    /// Run time beside it ÷ run time alone, above 0; below 1 is a measurement's noise.
    pub slowdown: f64,
}

/// Modes in which pods slow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairMode {
    /// MPS, memory slices and replicas alike.
    Mps,
    /// Time-slicing.
    TimeSlicing,
}

/// One number of a model as a report prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Printed {
    /// The model.
    pub model: &'static str,
    /// The scenario's key.
    pub key: &'static str,
    /// The value used.
    pub value: String,
    /// Where its default comes from.
    pub source: &'static str,
    /// How sure the default is: `A`, `B`, `C` or `assumed`.
    pub confidence: &'static str,
    /// Whether the value is the default.
    pub default: bool,
}

/// Writes the rows of a table of parameters: the value, the default, its source.
pub(crate) fn printed<T: PartialEq + ToString>(
    model: &'static str,
    key: &'static str,
    value: &T,
    default: &T,
    (confidence, source): (&'static str, &'static str),
) -> Printed {
    Printed { model, key, value: value.to_string(), source, confidence, default: value == default }
}

/// A word of an enum as scenarios write it.
fn word(value: impl Serialize) -> String {
    let value = serde_json::to_value(value).expect("a word is a value");
    value.as_str().expect("an enum of words").to_owned()
}

impl Mig {
    pub(super) fn printed(&self) -> Vec<Printed> {
        let is = Mig::default();
        vec![
            printed(
                "MIG",
                "kappa",
                &self.kappa,
                &is.kappa,
                (
                    "A",
                    "least squares over 406 points of S1 and S2, RMS 4.5 % in sample, 8.5 % left out; 1.00 to 1.12 fit alike",
                ),
            ),
            printed(
                "MIG",
                "full",
                &self.full,
                &is.full,
                (
                    "assumed",
                    "1: run times are those of a full instance; .907 (98 of 108 SMs, C) where they were taken on an A100 with MIG off",
                ),
            ),
            printed(
                "MIG",
                "residual",
                &self.residual,
                &is.residual,
                ("A", "0: one slice's latency moved by 1.2 % with 1 to 7 busy neighbours (S3)"),
            ),
        ]
    }
}

impl Mps {
    pub(super) fn printed(&self) -> Vec<Printed> {
        let is = Mps::default();
        vec![
            printed(
                "MPS",
                "alpha",
                &self.alpha,
                &is.alpha,
                ("A", "1,318 points of S2, RMS 3.9 % in sample, 5.7 % left out"),
            ),
            printed("MPS", "capacity", &self.capacity, &is.capacity, ("A", "the same fit")),
            printed(
                "MPS",
                "threads",
                &word(self.threads),
                &word(is.threads),
                ("B", "NVIDIA device plugin (100 ÷ replicas %); nebuly's plugin v0.13.0 sets none"),
            ),
            printed(
                "MPS",
                "residual",
                &self.residual,
                &is.residual,
                ("A", "0; σ = .13 over S7's pairs, .25 over S6's; its rule beyond two pods is assumed"),
            ),
        ]
    }
}

impl TimeSlicing {
    pub(super) fn printed(&self) -> Vec<Printed> {
        let is = TimeSlicing::default();
        vec![
            printed(
                "time-slicing",
                "loss",
                &self.loss,
                &is.loss,
                (
                    "A",
                    "one data set (S3): 3.326, 5.547 and 7.769 for 3, 5 and 7 pods; the least certain of the fits, 0 to .30",
                ),
            ),
            printed(
                "time-slicing",
                "slice",
                &self.slice,
                &is.slice,
                (
                    "C",
                    "2 ms: the driver's default is 1.024 ms per channel group (B), waits up to 2.3 ms were seen",
                ),
            ),
            printed("time-slicing", "context", &self.context, &is.context, ("C", ".3 to .5 GiB per process")),
            printed(
                "time-slicing",
                "out_of_memory_within",
                &self.out_of_memory_within,
                &is.out_of_memory_within,
                ("assumed", "no source"),
            ),
            printed(
                "time-slicing",
                "fault_domain",
                &word(self.fault_domain),
                &word(is.fault_domain),
                ("B", "NVIDIA device plugin's documentation"),
            ),
            printed(
                "time-slicing",
                "residual",
                &self.residual,
                &is.residual,
                ("assumed", "0; no data: MPS's σ serves as a guess"),
            ),
        ]
    }
}
