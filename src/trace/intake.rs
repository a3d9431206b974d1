//! What the rows of a file become: pods, dropped rows with their reason, complaints.

use super::records::{Complaint, Record, shown};
use super::spec::{BadRows, Source};
use crate::diag::Diagnostic;
use crate::units::Time;
use crate::workload::{Builder, Constraint, GpuDemand, PodRow, Workload};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hasher};

/// Complaints kept of one file; a systematic mistake is clear after fewer, and a wrong file may
/// have a hundred million.
const KEPT_ERRORS: usize = 20;
/// The same where wrong rows are skipped: enough to see what they are.
const KEPT_WARNINGS: usize = 5;

/// Longest pod name, as Kubernetes has it.
const MAX_NAME: usize = 253;

/// Distinct profile names of one file. Hardware has some thirty.
const MAX_PROFILES: usize = 1_000;

/// A row that is right and yet no pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) arrival: Time,
    pub(super) reason: &'static str,
}

/// Complaints about one file: the first few and how many there were.
#[derive(Debug)]
pub(super) struct Complaints {
    kept: Vec<Diagnostic>,
    limit: usize,
    pub(super) total: u64,
}

impl Complaints {
    pub(super) fn new(bad_rows: BadRows) -> Complaints {
        let limit = match bad_rows {
            BadRows::Refuse => KEPT_ERRORS,
            BadRows::Skip => KEPT_WARNINGS,
        };
        Complaints { kept: Vec::new(), limit, total: 0 }
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.total += 1;
        if self.kept.len() < self.limit {
            self.kept.push(diagnostic);
        }
    }

    /// Those kept, in order of place, and a last one that counts the rest.
    pub(super) fn into_diagnostics(self, file: &str) -> Vec<Diagnostic> {
        let mut kept = self.kept;
        crate::diag::sort(&mut kept);
        let rest = self.total - kept.len() as u64;
        if 0 < rest {
            let message = format!("{rest} more wrong rows, {} in all", self.total);
            kept.push(Diagnostic::error("more-wrong-rows", file, message));
        }
        kept
    }
}

/// Collects the pods of one file.
#[derive(Debug)]
pub(super) struct Intake<'s> {
    pub(super) source: &'s Source,
    builder: Builder,
    pub(super) dropped: Vec<Dropped>,
    pub(super) complaints: Complaints,
    /// Line of each pod name, by its hash. Two of a million names share 64 bits once in 30 million
    /// files; 16 bytes a pod instead of the name are worth that.
    lines: FxHashMap<u64, u64>,
    name_bytes: usize,
    /// Constraints by the text that spells them.
    constraints: FxHashMap<String, u32>,
    profiles: FxHashSet<String>,
}

impl<'s> Intake<'s> {
    pub(super) fn new(source: &'s Source) -> Intake<'s> {
        Intake {
            source,
            builder: Builder::new(),
            dropped: Vec::new(),
            complaints: Complaints::new(source.bad_rows),
            lines: FxHashMap::default(),
            name_bytes: 0,
            constraints: FxHashMap::default(),
            profiles: FxHashSet::default(),
        }
    }

    /// Class of rows that name none.
    pub(super) fn class_or(&self, default: &'s str) -> &'s str {
        self.source.class.as_deref().unwrap_or(default)
    }

    /// Namespace of rows that name none.
    pub(super) fn namespace(&self) -> &'s str {
        self.source.namespace.as_deref().unwrap_or("default")
    }

    pub(super) fn push(&mut self, row: &PodRow<'_>) {
        self.builder.push(row);
    }

    pub(super) fn drop_row(&mut self, arrival: Time, reason: &'static str) {
        self.dropped.push(Dropped { arrival, reason });
    }

    /// Registers the name of a pod, which may be empty and else must be new.
    pub(super) fn name(&mut self, record: &Record<'_>, column: usize, name: &str) -> Result<(), Complaint> {
        if name.is_empty() {
            return Ok(());
        }
        if MAX_NAME < name.len() {
            let message = format!("a pod name of {} bytes", name.len());
            return Err(record.complaint("bad-name", column, message).help("Kubernetes allows 253"));
        }
        self.name_bytes += name.len();
        if u32::MAX as usize - MAX_NAME < self.name_bytes {
            let message = "the pod names of this file pass 4 GiB";
            return Err(record.complaint("too-many-names", column, message).help("split the trace"));
        }
        let mut hash = DefaultHasher::new();
        hash.write(name.as_bytes());
        match self.lines.entry(hash.finish()) {
            Entry::Vacant(free) => {
                free.insert(record.line() as u64);
                Ok(())
            }
            Entry::Occupied(taken) => {
                let message = format!("pod `{}` is already on line {}", shown(name), taken.get());
                Err(record.complaint("duplicate-pod", column, message).help("a pod has one row"))
            }
        }
    }

    /// The constraint spelled by `text`, read by `parse` when it is new.
    pub(super) fn constraint(
        &mut self,
        text: &str,
        parse: impl FnOnce() -> Result<Constraint, Complaint>,
    ) -> Result<u32, Complaint> {
        if let Some(known) = self.constraints.get(text) {
            return Ok(*known);
        }
        let new = self.builder.constraint(parse()?);
        self.constraints.insert(text.to_owned(), new);
        Ok(new)
    }

    /// The demand for a MIG profile.
    pub(super) fn profile(&mut self, record: &Record<'_>, column: usize) -> Result<GpuDemand, Complaint> {
        let name = record.text(column);
        if !self.profiles.contains(name) {
            if !is_profile(name) {
                let message = format!("`{}` is not a MIG profile", shown(name));
                return Err(record.complaint("bad-profile", column, message).help(
                    "write `2g` for the plain profile of two compute slices, or its full name: `1g.10gb`",
                ));
            }
            if self.profiles.len() == MAX_PROFILES {
                let message = "more than 1000 distinct MIG profiles";
                return Err(record.complaint("too-many-profiles", column, message));
            }
            self.profiles.insert(name.to_owned());
        }
        Ok(self.builder.profile(name))
    }

    /// The pods by arrival, with what was dropped and complained about.
    pub(super) fn finish(self) -> (Workload, Vec<Dropped>, Complaints) {
        (self.builder.finish(), self.dropped, self.complaints)
    }
}

/// Whether a name has the form of a profile: `2g`, `1g.10gb`, `1g.10gb+me`. Whether some GPU has it
/// is for the cluster to say.
fn is_profile(name: &str) -> bool {
    let tail = name.trim_start_matches(|c: char| c.is_ascii_digit());
    let (digits, tail) = (name.len() - tail.len(), tail.strip_prefix('g'));
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '+' | '-');
    (1..=2).contains(&digits)
        && name.len() <= 32
        && tail.is_some_and(|t| t.chars().all(known) && (t.is_empty() || t.starts_with(['.', '+', '-'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_have_their_form() {
        for good in ["1g", "7g", "1g.5gb", "1g.10gb+me", "2g.12gb-me", "12g.180gb"] {
            assert!(is_profile(good), "{good}");
        }
        for bad in ["", "g", "1", "1G", "gpu", "1gb", "123g", "1g 5gb"] {
            assert!(!is_profile(bad), "{bad}");
        }
    }
}
