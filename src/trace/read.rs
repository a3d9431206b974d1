//! From a file to a workload: the loop over rows that all formats share.

use super::intake::{Complaints, Dropped, Intake};
use super::records::{Complaint, Next, Record, Records};
use super::spec::{BadRows, Format, Source, Window};
use super::{jobs, native, openb};
use crate::diag::{self, Diagnostic};
use crate::units::Time;
use crate::workload::Workload;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Its pods by arrival, on the trace's own clock.
    pub workload: Workload,
    /// Rows that were skipped (the first few, then how many), and other warnings.
    pub warnings: Vec<Diagnostic>,
    /// SHA-256 of the file in hex.
    pub sha256: String,
    wrong: u64,
    dropped: Vec<Dropped>,
    /// Whether a gang is one row of the file (a job), not a row for each pod.
    rows_are_jobs: bool,
}

/// How many rows a file had and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows within the window, and those too wrong to say when they arrive.
    pub rows: u64,
    /// Rows that became pods.
    pub kept: u64,
    /// Pods: more than rows where a job became a gang of several.
    pub pods: u64,
    /// Rows that are right and yet no pods, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Rows that were wrong and skipped, of the whole file.
    pub wrong: u64,
}

impl Loaded {
    /// Counts of the rows that arrive in `window`, of all without one. A dropped row remembers its
    /// arrival, so that the count is of the part of the trace that is replayed.
    #[must_use]
    pub fn counts(&self, window: Option<&Window>) -> Counts {
        let inside = |arrival: Time| window.is_none_or(|w| w.holds(arrival));
        let pods = self.workload.pods.iter().filter(|pod| inside(pod.arrival));
        let mut counts = Counts { wrong: self.wrong, ..Counts::default() };
        for pod in pods {
            counts.pods += 1;
            counts.kept += u64::from(!self.rows_are_jobs || pod.gang != 0);
        }
        for row in self.dropped.iter().filter(|row| inside(row.arrival)) {
            *counts.dropped.entry(row.reason).or_default() += 1;
        }
        counts.rows = counts.kept + counts.wrong + counts.dropped.values().sum::<u64>();
        counts
    }
}

/// Reads a file of pods.
///
/// # Errors
/// Everything that is wrong with it, up to 20 rows and the number of the rest.
pub fn open(source: &Source, path: &Path) -> Result<Loaded, Vec<Diagnostic>> {
    let file = File::open(path).map_err(|error| {
        vec![
            Diagnostic::error("unreadable", &source.file, format!("cannot be opened: {error}"))
                .help(format!("it was looked for at {}", path.display())),
        ]
    })?;
    read(source, file)
}

/// Reads pods from `reader` as `source` says they are spelled, streaming: memory is for the pods
/// and one row.
///
/// # Errors
/// As [`open`].
pub fn read(source: &Source, reader: impl Read) -> Result<Loaded, Vec<Diagnostic>> {
    let file = &source.file;
    let records = Records::new(file, reader);
    match &source.format {
        Format::Native => load(source, records, |r| native::Rows::start(file, r)),
        Format::Openb => load(source, records, |r| start(file, r, openb::Rows::new)),
        Format::Elasticflow => {
            load(source, records, |r| start(file, r, |header| jobs::Rows::elasticflow(source, header)))
        }
        Format::Jobs(columns) => {
            load(source, records, |r| start(file, r, |header| jobs::Rows::mapped(source, columns, header)))
        }
    }
}

/// What a format does with the rows of a file.
pub(super) trait RowReader {
    /// Whether a row is a job, which may become several pods.
    const JOBS: bool;

    /// Turns a row into pods.
    fn row(&mut self, record: &Record<'_>, intake: &mut Intake<'_>) -> Result<(), Complaint>;

    /// Hears that a row was wrong.
    fn wrong_row(&mut self, _intake: &mut Intake<'_>) {}

    /// Hears that no row follows.
    fn end(&mut self, _intake: &mut Intake<'_>) {}
}

fn load<R: Read, F: RowReader>(
    source: &Source,
    mut records: Records<R>,
    start: impl FnOnce(&mut Records<R>) -> Result<F, Vec<Diagnostic>>,
) -> Result<Loaded, Vec<Diagnostic>> {
    let mut rows = start(&mut records)?;
    let mut intake = Intake::new(source);
    let read = read_rows(&mut records, &mut rows, &mut intake);
    rows.end(&mut intake);
    let (workload, dropped, complaints) = intake.finish();
    let wrong = complaints.total;
    let mut diagnostics = complaints.into_diagnostics(&source.file);
    if source.bad_rows == BadRows::Skip {
        diagnostics = diagnostics.into_iter().map(Diagnostic::warning).collect();
    }
    match read {
        Err(broken) => diagnostics.push(*broken),
        Ok(0) => diagnostics.push(no_rows(source)),
        Ok(_) => {}
    }
    if diag::any_error(&diagnostics) {
        return Err(diagnostics);
    }
    let sha256 = records.sha256();
    check_sha256(source, &sha256)?;
    Ok(Loaded { workload, warnings: diagnostics, sha256, wrong, dropped, rows_are_jobs: F::JOBS })
}

/// Feeds every row to the format: their number, or why the file could not be read to its end.
fn read_rows<R: Read, F: RowReader>(
    records: &mut Records<R>,
    rows: &mut F,
    intake: &mut Intake<'_>,
) -> Result<u64, Box<Diagnostic>> {
    let source = intake.source;
    let mut seen = 0;
    loop {
        let wrong = match records.next() {
            Next::End => return Ok(seen),
            Next::Broken(diagnostic) => return Err(Box::new(diagnostic)),
            Next::Wrong(diagnostic) => diagnostic,
            Next::Record(record) => match record.check_width().and_then(|()| rows.row(&record, intake)) {
                Ok(()) => {
                    seen += 1;
                    continue;
                }
                Err(complaint) => record.diagnostic(&source.file, complaint),
            },
        };
        seen += 1;
        intake.complaints.push(wrong);
        rows.wrong_row(intake);
    }
}

/// Feeds every row of a file that is refused whole to `row`; what is wrong with them.
pub(super) fn each_row<R: Read>(
    file: &str,
    records: &mut Records<R>,
    mut row: impl FnMut(&Record<'_>) -> Result<(), Complaint>,
) -> Vec<Diagnostic> {
    let mut complaints = Complaints::new(BadRows::Refuse);
    let broken = loop {
        match records.next() {
            Next::End => break None,
            Next::Broken(diagnostic) => break Some(diagnostic),
            Next::Wrong(diagnostic) => complaints.push(diagnostic),
            Next::Record(record) => {
                if let Err(complaint) = record.check_width().and_then(|()| row(&record)) {
                    complaints.push(record.diagnostic(file, complaint));
                }
            }
        }
    };
    let mut diagnostics = complaints.into_diagnostics(file);
    diagnostics.extend(broken);
    diagnostics
}

/// Reads the header; the native format's stands below its version line.
pub(super) fn start<R: Read, F>(
    file: &str,
    records: &mut Records<R>,
    make: impl FnOnce(&Header<'_>) -> Result<F, Vec<Diagnostic>>,
) -> Result<F, Vec<Diagnostic>> {
    let (names, made) = match records.next() {
        Next::Record(record) => {
            let header = Header { file, record };
            (header.names()?, make(&header)?)
        }
        Next::Wrong(diagnostic) | Next::Broken(diagnostic) => return Err(vec![diagnostic]),
        Next::End => return Err(vec![empty(file)]),
    };
    records.set_header(names);
    Ok(made)
}

pub(super) fn empty(file: &str) -> Diagnostic {
    Diagnostic::error("empty-file", file, "the file is empty").help("the first line names the columns")
}

fn no_rows(source: &Source) -> Diagnostic {
    Diagnostic::error("no-rows", &source.file, "the file has a header and no row")
        .help("each line below the header is one pod or one job")
}

fn check_sha256(source: &Source, found: &str) -> Result<(), Vec<Diagnostic>> {
    match &source.sha256 {
        Some(wanted) if !wanted.eq_ignore_ascii_case(found) => {
            let message = format!("this is another file than the scenario names: its SHA-256 is {found}");
            Err(vec![Diagnostic::error("sha256-mismatch", &source.file, message).help(format!(
                "find the file with SHA-256 {wanted}, or take the line out to accept this one"
            ))])
        }
        _ => Ok(()),
    }
}

/// The names of the columns and where they stand.
pub(super) struct Header<'a> {
    pub(super) file: &'a str,
    pub(super) record: Record<'a>,
}

impl Header<'_> {
    /// All names, which must differ.
    fn names(&self) -> Result<Vec<String>, Vec<Diagnostic>> {
        let names: Vec<String> = self.record.texts().map(|name| name.trim().to_owned()).collect();
        let twice = |column: &usize| names[..*column].contains(&names[*column]) && !names[*column].is_empty();
        let complaints: Vec<_> = (0..names.len())
            .filter(twice)
            .map(|column| {
                let message = format!("column `{}` is named twice", names[column]);
                self.complain(Complaint::new("duplicate-column", column, message).help("rename one of them"))
            })
            .collect();
        if complaints.is_empty() { Ok(names) } else { Err(complaints) }
    }

    pub(super) fn complain(&self, complaint: Complaint) -> Diagnostic {
        self.record.diagnostic(self.file, complaint)
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.record.texts().position(|text| text.trim() == name)
    }

    /// Positions of columns that must be there.
    pub(super) fn require<const N: usize>(&self, names: [&str; N]) -> Result<[usize; N], Vec<Diagnostic>> {
        let found = names.map(|name| self.position(name));
        let missing: Vec<_> = names
            .iter()
            .zip(found)
            .filter(|(_, at)| at.is_none())
            .map(|(name, _)| self.missing(name))
            .collect();
        match missing.is_empty() {
            true => Ok(found.map(|at| at.expect("none is missing"))),
            false => Err(missing),
        }
    }

    pub(super) fn missing(&self, name: &str) -> Diagnostic {
        let diagnostic =
            self.complain(Complaint::new("missing-column", 0, format!("there is no column `{name}`")));
        match diag::nearest(name, self.record.texts().map(str::trim)) {
            Some(near) if near != name => diagnostic.help(format!("is `{near}` meant to be `{name}`?")),
            _ => diagnostic.help(format!("the columns are: {}", self.list())),
        }
    }

    /// The names on one line of the terminal or a little more.
    fn list(&self) -> String {
        const SHOWN: usize = 16;
        let mut names: Vec<_> =
            self.record.texts().take(SHOWN).map(|n| super::records::shown(n.trim())).collect();
        if SHOWN < self.record.len() {
            names.push("…".to_owned());
        }
        names.join(", ")
    }
}
