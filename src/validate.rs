//! Will the real device take this layout?
//!
//! | level | touches | asks |
//! |---|---|---|
//! | 0 | nothing | the catalogue |
//! | 1 | reads | the device's own profiles and places, compared with the catalogue; then our planner, on the values read |
//! | 2 | re-cuts GPUs named by UUID, and puts them back | the driver, by doing it |
//! | 3 | may also turn MIG on, and off again | the same |
//!
//! Levels 0 and 1 are functions from values to a [`Report`]: a saved reply is judged as a device is.
//! Levels 2 and 3 are [`apply`], which follows one rule: whatever happens, the GPU ends as its snapshot
//! says, or the report lists what is missing. What may be ours is in a journal on disk before it is
//! done; what stands is always read from the device.
//!
//! Ways of sharing without MIG are tried with real processes ([`sharing`]).
//!
//! What asks is a list of [`Target`]s: from the command line, a plan, a scenario's initial cluster, or the
//! distinct layouts that a finished run went through.

pub mod apply;
mod check;
mod page;
pub mod sharing;
mod target;
mod text;
mod values;

pub use check::{Verdict, device, offline};
pub use page::page;
pub use target::{Target, TargetError};
pub use text::text;
pub use values::Values;

use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The device is not what the catalogue says, or cannot be judged.
    Error,
    /// Different, and no reason to refuse anything.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// Something to know about a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A stable short name, for scripts.
    pub code: &'static str,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Finding {
    fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Finding {
        Finding { severity, code, message: message.into(), help: None }
    }

    fn help(self, help: impl Into<String>) -> Finding {
        Finding { help: Some(help.into()), ..self }
    }
}

/// What was judged: a device, or a product of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// UUID; none at level 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Name that the driver reports, or the product's.
    pub name: String,
    /// Id of the catalogue, where it knows the name.
    pub product: Option<String>,
    /// How far the catalogue's row can be trusted.
    pub confidence: Option<crate::gpu::Confidence>,
    /// PCI bus id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pci: Option<String>,
    /// MIG mode in words.
    pub mig: String,
    /// What stands, as people write it; none where MIG is off or it was not read.
    pub stands: Option<String>,
    /// Profiles compared with the catalogue, and how many of those are the same in all that must be.
    pub profiles: (usize, usize),
    /// Where the geometry that targets are judged by comes from: `device` or `catalogue`.
    pub basis: &'static str,
    /// What differs.
    pub findings: Vec<Finding>,
    /// The answer for each target.
    pub targets: Vec<Answer>,
}

/// The answer for one target on one device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// The target as it was written, with where it comes from.
    pub target: String,
    /// Where it comes from.
    pub origin: String,
    /// The answer.
    pub verdict: Verdict,
    /// What happened when it was tried, at levels 2 and 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<apply::Applied>,
}

impl Answer {
    /// Whether its values allow it, and the device refused it all the same when it was tried.
    #[must_use]
    pub fn was_refused(&self) -> bool {
        self.applied.as_ref().is_some_and(|a| a.outcome == Outcome::NotFeasible)
    }
}

/// The answer to all that was asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Version of slicewise.
    pub version: &'static str,
    /// How deep it went.
    pub level: u8,
    /// Where the values come from: the catalogue, a driver, a file.
    pub source: String,
    /// Driver version.
    pub driver: Option<String>,
    /// Version of NVML.
    pub nvml: Option<String>,
    /// What is wrong with the question or the machine as a whole.
    pub findings: Vec<Finding>,
    /// Devices or products.
    pub judged: Vec<Judged>,
    /// Why nothing was tried, at levels 2 and 3.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<String>,
    /// What came of sharing GPUs by MPS or time-slicing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<sharing::Shared>,
    /// How a run that ended unfinished was put right before anything else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recovered: Vec<apply::Recovered>,
}

/// What a report comes to. The worst that any device met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything asked can be had, and after an apply the snapshot is back.
    Feasible,
    /// Some target cannot be had; without targets, the device is not as the catalogue says.
    NotFeasible,
    /// A precondition does not hold: nothing was touched.
    Blocked,
    /// An error came, and the snapshot is back.
    Error,
    /// A signal came, and the snapshot is back.
    Interrupted,
    /// The snapshot is not back.
    RollbackFailed,
}

impl Outcome {
    /// The exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Outcome::Feasible => 0,
            Outcome::NotFeasible => 1,
            Outcome::Blocked => 3,
            Outcome::Error => 4,
            Outcome::Interrupted => 130,
            Outcome::RollbackFailed => 5,
        }
    }

    /// As a sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Outcome::Feasible => "Everything asked for can be had.",
            Outcome::NotFeasible => "Not everything asked for can be had.",
            Outcome::Blocked => "Nothing was touched: a precondition does not hold.",
            Outcome::Error => "An error came; every GPU is as it was before.",
            Outcome::Interrupted => "Interrupted; every GPU is as it was before.",
            Outcome::RollbackFailed => "A GPU is not as it was before: see what is missing.",
        }
    }
}

impl Report {
    /// Says that a run on a GPU ended unfinished.
    pub fn warn_unfinished(&mut self, uuid: &str) {
        let what = format!("{uuid}: an earlier --apply ended before it had restored the GPU");
        let help = format!("slicewise validate --recover --uuid {uuid}");
        self.findings.push(Finding::new(Severity::Warning, "unfinished", what).help(help));
    }

    /// What it comes to.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let recovered = self.recovered.iter().map(|r| r.outcome);
        let shared = self.shared.iter().map(|s| s.outcome);
        let answers = || self.judged.iter().flat_map(|j| &j.targets);
        let applied = answers().filter_map(|a| a.applied.as_ref()).map(|a| a.outcome);
        let refused = answers().any(|a| !matches!(a.verdict, Verdict::Feasible { .. }));
        let differs = answers().next().is_none()
            && self.shared.is_empty()
            && self.judged.iter().flat_map(|j| &j.findings).any(|f| f.severity == Severity::Error);
        let wrong = self.findings.iter().any(|f| f.severity == Severity::Error);
        let static_answer =
            if refused || differs || wrong { Outcome::NotFeasible } else { Outcome::Feasible };
        let blocked = if self.blocked.is_empty() { Outcome::Feasible } else { Outcome::Blocked };
        recovered.chain(shared).chain(applied).chain([static_answer, blocked]).max().expect("two at least")
    }
}
