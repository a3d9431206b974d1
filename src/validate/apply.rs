//! Levels 2 and 3: the layout is really made on GPUs named by UUID, verified, and undone.
//!
//! For each GPU: lock, preconditions, snapshot on disk, journal of intents, the plan's steps with their
//! places (larger slices first), verification, and the way back, which is taken whatever happened: from
//! what the device then reports to the snapshot. A run that was killed is put right by the next one
//! before it does anything else. Nothing of another's is ever destroyed: only what stands in the
//! snapshot or was announced in the journal.

mod journal;
mod session;
mod snapshot;

pub use journal::Op;
pub use session::{Event, Measure, Session};
pub use snapshot::{Snapshot, Spot, Stands};

use super::check::{self, Verdict};
use super::sharing::Timed;
use super::{Finding, Outcome, Report, Severity, Target};
use crate::device::Inventory;
use crate::gpu::Catalogue;
use serde::Serialize;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// What happened to one GPU when a target was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Applied {
    /// How it ended.
    pub outcome: Outcome,
    /// Changes made, the way back included, in order.
    pub steps: Vec<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What verification found beside the layout itself.
    pub findings: Vec<Finding>,
    /// Steps of work timed on its slices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timed: Vec<Timed>,
    /// What is not as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remains: Option<Remains>,
}

/// What a rollback left undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remains {
    /// Whether the device could be read. If not, `missing` is all that stood before.
    pub read: bool,
    /// What stood before and does not.
    pub missing: Vec<Stands>,
    /// What stands and did not.
    pub extra: Vec<Stands>,
    /// The MIG mode it should have, if it has another.
    pub mig: Option<bool>,
    /// Why.
    pub why: String,
    /// Commands that would put it right, as far as that is known.
    pub commands: Vec<String>,
}

/// A run that ended unfinished and was put right, or not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recovered {
    /// The GPU.
    pub uuid: String,
    /// How it ended: feasible stands for restored.
    pub outcome: Outcome,
    /// Changes made.
    pub steps: Vec<String>,
    /// What to know about the result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// What is not as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remains: Option<Remains>,
}

/// A GPU that nobody else of us touches. The lock goes with the value, or the process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The files of a GPU in the state folder.
#[derive(Clone, Debug)]
struct Files {
    lock: PathBuf,
    snapshot: PathBuf,
    journal: PathBuf,
}

impl Files {
    fn of(folder: &Path, uuid: &str) -> Files {
        // A UUID is letters, digits and `-`; whatever else somebody writes makes no path.
        let keep = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let name: String = uuid.chars().map(keep).collect();
        let file = |ending: &str| folder.join(format!("{name}{ending}"));
        Files { lock: file(".lock"), snapshot: file(".snapshot.json"), journal: file(".journal") }
    }
}

/// Locks GPUs, in the order of their UUIDs so that two runs never wait for each other.
///
/// # Errors
/// Why a lock could not be had.
pub fn lock(folder: &Path, uuids: &[String]) -> Result<Vec<Lock>, String> {
    fs::create_dir_all(folder).map_err(|e| format!("the state folder {}: {e}", folder.display()))?;
    let mut sorted: Vec<&String> = uuids.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    let one = |uuid: &String| {
        let path = Files::of(folder, uuid).lock;
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|e| format!("{}: {e}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(format!("another slicewise is at work on {uuid} ({} is locked)", path.display()))
            }
            Err(TryLockError::Error(e)) => Err(format!("{}: {e}", path.display())),
        }
    };
    sorted.into_iter().map(one).collect()
}

/// GPUs, among these, on which a run ended unfinished.
#[must_use]
pub fn unfinished(folder: &Path, uuids: &[String]) -> Vec<String> {
    let open = |uuid: &&String| match journal::Found::read(&Files::of(folder, uuid).journal) {
        Ok(found) => found.is_some_and(|f| !f.is_finished()),
        // What cannot be read cannot be called finished.
        Err(_) => true,
    };
    uuids.iter().filter(open).cloned().collect()
}

/// Only finishes what earlier runs left on these GPUs.
#[must_use]
pub fn recover(session: &Session<'_>, catalogue: &Catalogue, uuids: &[String], source: &str) -> Report {
    let locks = lock(session.folder, uuids);
    let recovered = match locks {
        Ok(_) => uuids.iter().filter_map(|uuid| session.recover(uuid)).collect(),
        Err(_) => Vec::new(),
    };
    let mut report = check::device(&Inventory::of(&session.nvml.read(uuids)), catalogue, &[], source);
    report.level = session.level;
    report.recovered = recovered;
    report.blocked.extend(locks.err());
    if report.recovered.is_empty() && report.blocked.is_empty() {
        report.findings.push(Finding::new(
            Severity::Note,
            "nothing-unfinished",
            "no run had ended unfinished",
        ));
    }
    report
}

/// Tries targets on GPUs named by UUID: everything from the locks to the last restore. `dry` stops
/// before the first change.
#[must_use]
pub fn run(
    session: &Session<'_>,
    catalogue: &Catalogue,
    uuids: &[String],
    targets: &[Target],
    source: &str,
    dry: bool,
) -> Report {
    let locks = lock(session.folder, uuids);
    let mut recovered = Vec::new();
    if locks.is_ok() && !dry {
        recovered.extend(uuids.iter().filter_map(|uuid| session.recover(uuid)));
    }
    let inventory = Inventory::of(&session.nvml.read(uuids));
    let mut report = check::device(&inventory, catalogue, targets, source);
    report.level = session.level;
    report.recovered = recovered;
    if let Err(why) = &locks {
        report.blocked.push(why.clone());
    }
    if report.recovered.iter().any(|r| r.outcome != Outcome::Feasible) {
        report.blocked.push("an earlier run could not be put right: see what is missing".to_owned());
    }
    if !inventory.unknown.is_empty() || inventory.devices.len() != uuids.len() {
        report.blocked.push("not every GPU named is here".to_owned());
    }
    if report.blocked.is_empty() {
        report.blocked = session.preconditions(uuids);
    }
    if dry {
        let what = "a dry run: nothing was changed; the steps are those below, and then back";
        report.findings.push(Finding::new(Severity::Note, "dry-run", what));
        if inventory.devices.iter().any(|d| d.mode.is_ok_and(|m| !m.current)) {
            report.findings.push(Finding::new(Severity::Note, "dry-run", "MIG would be turned on first"));
        }
    }
    if !report.blocked.is_empty() || dry {
        return report;
    }
    for (judged, uuid) in report.judged.iter_mut().zip(uuids) {
        for answer in &mut judged.targets {
            let meant = targets.iter().find(|t| t.describe() == answer.target && t.origin == answer.origin);
            let Some(target) = meant.filter(|_| matches!(answer.verdict, Verdict::Feasible { .. })) else {
                continue;
            };
            if session.stopped() {
                let why = "interrupted before it was tried".to_owned();
                answer.applied = Some(Applied {
                    outcome: Outcome::Interrupted,
                    steps: Vec::new(),
                    error: Some(why),
                    findings: Vec::new(),
                    timed: Vec::new(),
                    remains: None,
                });
                continue;
            }
            let applied = session.apply(uuid, catalogue, target);
            let lost = applied.outcome == Outcome::RollbackFailed;
            answer.applied = Some(applied);
            if lost {
                // Nothing more on any GPU before a person has looked.
                return report;
            }
        }
    }
    report
}
