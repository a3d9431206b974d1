//! slicewise's own CSV: one pod a row, columns by name in any order.
//!
//! ```text
//! #slicewise-trace 1
//! # a comment
//! pod,arrival_s,work_s,cpu_milli,memory_mib,gpu_milli
//! train-0,0,3600,8000,16384,500
//! train-1,12.5,90.25,8000,16384,1000
//! ```
//!
//! The first line names the version. Below it, lines that start with `#` and empty lines are
//! skipped; a field with a comma, a quote or a line break stands in double quotes (RFC 4180). An
//! unknown column is an error, since a misspelt one would be a silent default.
//!
//! | column | means | left out or empty |
//! |---|---|---|
//! | `arrival_s` | seconds from any zero, up to 6 decimals (more are rounded) | required |
//! | `work_s` | run time alone on a full GPU, or on its CPUs, in seconds | required |
//! | `pod` | name, at most 253 bytes, each once | `pod-<number of the row, from 0>` |
//! | `cpu_milli` | CPU request, thousandths of a core | 0 |
//! | `memory_mib` | memory request, MiB | 0 |
//! | `gpus` | number of GPUs | 0; 1 with a `gpu_milli` |
//! | `gpu_milli` | share of the GPU in thousandths; below 1000 only of one GPU | 1000 with `gpus` |
//! | `gpu_memory_mib` | GPU memory needed, MiB; only with a share | 0: not known |
//! | `profile` | a MIG profile, `2g` or `1g.10gb`, instead of `gpus` and `gpu_milli` | none |
//! | `gpu_model` | allowed models, `A100\|H100` | any |
//! | `node_selector` | labels a node must have, `zone=a;disk=ssd` | none |
//! | `tolerations` | tolerated taints, `key=value:Effect;key:Effect`; without `=` any value, without `:` every effect; `:` alone tolerates all | none |
//! | `class` | class, for reports and sharing models | the source's, or `default` |
//! | `namespace` | namespace | the source's, or `default` |
//! | `priority` | whole number, higher first | 0 |
//! | `gang` | n for the first of n pods that start together, 0 for the n − 1 rows after it, which arrive with it | 1: alone |

use super::intake::Intake;
use super::openb::models;
use super::read::{Header, RowReader, start};
use super::records::{Complaint, MAX_AMOUNT, Next, Record, Records, shown};
use crate::diag::{self, Diagnostic};
use crate::id::PodId;
use crate::units::{MICROS_PER_SECOND, Mib, MilliCpu, Span, Time};
use crate::workload::{Constraint, GpuDemand, PodRow, Toleration, Workload};
use std::fmt::Write as _;
use std::io::{self, Read, Write};

const MAGIC: &str = "#slicewise-trace";
const VERSION: &str = "1";

/// Reason of the rows of a gang of which a row is wrong, where wrong rows are skipped.
pub const BROKEN_GANG: &str = "of a gang with a wrong row";

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// A column, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Pod,
    Arrival,
    Work,
    Cpu,
    Memory,
    Gpus,
    GpuMilli,
    GpuMemory,
    Profile,
    GpuModel,
    NodeSelector,
    Tolerations,
    Class,
    Namespace,
    Priority,
    Gang,
}

const COLUMNS: [(Column, &str); 16] = [
    (Column::Pod, "pod"),
    (Column::Arrival, "arrival_s"),
    (Column::Work, "work_s"),
    (Column::Cpu, "cpu_milli"),
    (Column::Memory, "memory_mib"),
    (Column::Gpus, "gpus"),
    (Column::GpuMilli, "gpu_milli"),
    (Column::GpuMemory, "gpu_memory_mib"),
    (Column::Profile, "profile"),
    (Column::GpuModel, "gpu_model"),
    (Column::NodeSelector, "node_selector"),
    (Column::Tolerations, "tolerations"),
    (Column::Class, "class"),
    (Column::Namespace, "namespace"),
    (Column::Priority, "priority"),
    (Column::Gang, "gang"),
];

/// Where the columns of a file are, and the gang in hand.
#[derive(Debug)]
pub(super) struct Rows {
    at: [Option<usize>; COLUMNS.len()],
    arrival: usize,
    work: usize,
    gang: Option<Gang>,
    /// The text of a row's constraint, kept for its memory.
    key: String,
}

/// A gang whose rows are coming in. It is pushed when it is complete, so that a wrong row never
/// leaves a part of one.
#[derive(Debug)]
struct Gang {
    line: usize,
    arrival: Time,
    size: u32,
    members: Vec<Member>,
    /// A row of it was wrong, so that nobody knows where it ends.
    broken: bool,
}

/// A row of a gang.
#[derive(Debug)]
struct Member {
    name: String,
    class: String,
    namespace: String,
    rest: PodRow<'static>,
}

impl Rows {
    /// Reads the version line and the header.
    pub(super) fn start<R: Read>(file: &str, records: &mut Records<R>) -> Result<Rows, Vec<Diagnostic>> {
        match records.next() {
            Next::Record(record) => check_version(file, &record)?,
            Next::Wrong(diagnostic) | Next::Broken(diagnostic) => return Err(vec![diagnostic]),
            Next::End => return Err(vec![super::read::empty(file)]),
        }
        records.skip_comments();
        start(file, records, Rows::new)
    }

    fn new(header: &Header<'_>) -> Result<Rows, Vec<Diagnostic>> {
        let known = COLUMNS.map(|(_, name)| name);
        let mut wrong: Vec<_> = (0..header.record.len())
            .filter(|column| !known.contains(&header.record.text(*column).trim()))
            .map(|column| unknown_column(header, column))
            .collect();
        match header.require(["arrival_s", "work_s"]) {
            Ok([arrival, work]) if wrong.is_empty() => {
                let at = known.map(|name| header.position(name));
                Ok(Rows { at, arrival, work, gang: None, key: String::new() })
            }
            missing => {
                wrong.extend(missing.err().into_iter().flatten());
                Err(wrong)
            }
        }
    }

    fn at(&self, column: Column) -> Option<usize> {
        self.at[column as usize]
    }

    fn gpu(&self, record: &Record<'_>, intake: &mut Intake<'_>) -> Result<GpuDemand, Complaint> {
        let gpus = record.optional_integer(self.at(Column::Gpus), u64::from(u16::MAX))? as u16;
        let milli = record.optional_integer(self.at(Column::GpuMilli), 1_000)? as u16;
        let memory = Mib(record.optional_integer(self.at(Column::GpuMemory), MAX_AMOUNT)?);
        let profile = self.at(Column::Profile).filter(|column| !record.text(*column).is_empty());
        let demand = match (profile, gpus, milli) {
            (Some(column), 0, 0) => intake.profile(record, column)?,
            (Some(column), ..) => {
                let message = "a pod has a profile, or gpus and gpu_milli, not both";
                return Err(record.complaint("two-demands", column, message));
            }
            (None, 0, 0) => GpuDemand::None,
            (None, 0 | 1, 1..1_000) => GpuDemand::Share { milli, memory },
            (None, _, 0 | 1_000) => GpuDemand::Whole { gpus: gpus.max(1) },
            (None, ..) => {
                let column = self.at(Column::GpuMilli).expect("a number other than 0 was read from it");
                let message = format!("a share of each of {gpus} GPUs");
                return Err(record
                    .complaint("bad-share", column, message)
                    .help("below 1000 only of one GPU"));
            }
        };
        match (demand, self.at(Column::GpuMemory)) {
            (GpuDemand::Share { .. }, _) => Ok(demand),
            (_, Some(column)) if memory != Mib(0) => {
                let message = "only a share of a GPU (gpu_milli below 1000) says its memory";
                Err(record.complaint("memory-without-share", column, message))
            }
            _ => Ok(demand),
        }
    }

    fn constraint(&mut self, record: &Record<'_>, intake: &mut Intake<'_>) -> Result<u32, Complaint> {
        let columns = [Column::GpuModel, Column::NodeSelector, Column::Tolerations].map(|c| self.at(c));
        let texts = columns.map(|column| record.optional(column));
        if texts.iter().all(|text| text.is_empty()) {
            return Ok(0);
        }
        self.key.clear();
        for text in texts {
            self.key.push_str(text);
            self.key.push('\0');
        }
        intake.constraint(&self.key, || {
            let complain = |column: Option<usize>| {
                let column = column.expect("a column with text is there");
                move |wrong: String| record.complaint("bad-constraint", column, wrong)
            };
            let selector = match texts[1] {
                "" => Vec::new(),
                text => selector(text).map_err(complain(columns[1]))?,
            };
            let tolerations = match texts[2] {
                "" => Vec::new(),
                text => tolerations(text).map_err(complain(columns[2]))?,
            };
            Ok(Constraint { models: models(texts[0]), selector, tolerations })
        })
    }

    /// Takes a row that is right by itself: alone, or as a member of a gang.
    fn take(
        &mut self,
        row: &PodRow<'_>,
        record: &Record<'_>,
        intake: &mut Intake<'_>,
    ) -> Result<(), Complaint> {
        if row.gang != 0 && self.gang.is_some() {
            self.close_gang(intake);
        }
        match (&mut self.gang, row.gang) {
            (_, 1) => intake.push(row),
            (None, 0) => {
                let column = self.at(Column::Gang).expect("the default is 1");
                let message = "a member of a gang (0) without the first of one above it";
                return Err(record
                    .complaint("no-gang", column, message)
                    .help("a gang of n is a row with n, then n − 1 rows with 0"));
            }
            (Some(gang), 0) if !gang.broken && gang.arrival != row.arrival => {
                let message = format!("the gang of line {} arrives at another time", gang.line);
                return Err(record
                    .complaint("gang-arrival", self.arrival, message)
                    .help("the rows of a gang arrive together"));
            }
            (Some(gang), 0) => gang.members.push(Member::new(row)),
            (_, size) => {
                let (line, arrival, members) = (record.line(), row.arrival, vec![Member::new(row)]);
                self.gang = Some(Gang { line, arrival, size, members, broken: false });
            }
        }
        if self.gang.as_ref().is_some_and(|g| !g.broken && g.members.len() == g.size as usize) {
            self.close_gang(intake);
        }
        Ok(())
    }

    /// Pushes the gang in hand if it is complete and right.
    fn close_gang(&mut self, intake: &mut Intake<'_>) {
        let Some(gang) = self.gang.take() else { return };
        let complete = gang.members.len() == gang.size as usize;
        if !gang.broken && complete {
            gang.members.iter().for_each(|member| intake.push(&member.row()));
            return;
        }
        if !gang.broken {
            let message = format!("a gang of {} has only {} rows", gang.size, gang.members.len());
            let diagnostic = Diagnostic::error("short-gang", &intake.source.file, message)
                .help("the rows after the first have gang 0 and the same arrival");
            intake.complaints.push(Diagnostic { line: gang.line, ..diagnostic });
        }
        // The first row of a short gang is the wrong one.
        let right = gang.members.iter().skip(usize::from(!gang.broken));
        right.for_each(|member| intake.drop_row(member.rest.arrival, BROKEN_GANG));
    }
}

impl RowReader for Rows {
    const JOBS: bool = false;

    fn row(&mut self, record: &Record<'_>, intake: &mut Intake<'_>) -> Result<(), Complaint> {
        let arrival = record.time(self.arrival, MICROS_PER_SECOND)?;
        let work = Span(record.time(self.work, MICROS_PER_SECOND)?.0);
        let cpu = MilliCpu(record.optional_integer(self.at(Column::Cpu), MAX_AMOUNT)?);
        let memory = Mib(record.optional_integer(self.at(Column::Memory), MAX_AMOUNT)?);
        let gpu = self.gpu(record, intake)?;
        let constraint = self.constraint(record, intake)?;
        let priority = record.priority(self.at(Column::Priority))?;
        let gang = match self.at(Column::Gang).filter(|column| !record.text(*column).is_empty()) {
            Some(column) => record.integer(column, u64::from(u32::MAX))? as u32,
            None => 1,
        };
        let name = record.optional(self.at(Column::Pod));
        if let Some(column) = self.at(Column::Pod) {
            intake.name(record, column, name)?;
        }
        let class = record.given(self.at(Column::Class)).unwrap_or(intake.class_or("default"));
        let namespace = record.given(self.at(Column::Namespace)).unwrap_or(intake.namespace());
        let row =
            PodRow { name, arrival, work, cpu, memory, gpu, constraint, class, namespace, priority, gang };
        self.take(&row, record, intake)
    }

    fn wrong_row(&mut self, _intake: &mut Intake<'_>) {
        let unknown = Gang { line: 0, arrival: Time::ZERO, size: 0, members: Vec::new(), broken: true };
        self.gang.get_or_insert(unknown).broken = true;
    }

    fn end(&mut self, intake: &mut Intake<'_>) {
        self.close_gang(intake);
    }
}

impl Member {
    fn new(row: &PodRow<'_>) -> Member {
        Member {
            name: row.name.to_owned(),
            class: row.class.to_owned(),
            namespace: row.namespace.to_owned(),
            rest: PodRow {
                name: "",
                class: "",
                namespace: "",
                arrival: row.arrival,
                work: row.work,
                cpu: row.cpu,
                memory: row.memory,
                gpu: row.gpu,
                constraint: row.constraint,
                priority: row.priority,
                gang: row.gang,
            },
        }
    }

    fn row(&self) -> PodRow<'_> {
        PodRow { name: &self.name, class: &self.class, namespace: &self.namespace, ..self.rest.clone() }
    }
}

fn check_version(file: &str, record: &Record<'_>) -> Result<(), Vec<Diagnostic>> {
    let complain = |code, message: String, help: &str| {
        Err(vec![record.diagnostic(file, Complaint::new(code, 0, message).help(help))])
    };
    let mut words = record.text(0).split_whitespace();
    match (words.next(), words.next(), record.line()) {
        (Some(MAGIC), Some(VERSION), 1) => Ok(()),
        (Some(MAGIC), Some(version), 1) => complain(
            "newer-version",
            format!("version {} of the trace format; this slicewise reads version {VERSION}", shown(version)),
            "a newer slicewise can read it",
        ),
        _ => {
            let has = |name| record.texts().any(|text| text == name);
            let help = match (has("num_gpu"), has("job_id")) {
                (true, true) => "this looks like an ElasticFlow log: use the format `elasticflow`",
                (true, false) => "this looks like an openb pod list: use the format `openb`",
                _ => "a native trace starts so; for another CSV name its columns with the format `jobs`",
            };
            complain("no-version", format!("the first line is not `{MAGIC} {VERSION}`"), help)
        }
    }
}

fn unknown_column(header: &Header<'_>, column: usize) -> Diagnostic {
    let name = header.record.text(column).trim();
    let known = COLUMNS.map(|(_, name)| name);
    let complaint = Complaint::new("unknown-column", column, format!("unknown column `{}`", shown(name)));
    header.complain(match diag::nearest(name, known) {
        Some(near) => complaint.help(format!("did you mean `{near}`?")),
        None => complaint.help(format!("the columns are: {}", known.join(", "))),
    })
}

fn selector(text: &str) -> Result<Vec<(String, String)>, String> {
    let label = |part: &str| match part.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{}` is not a label; write `key=value;key=value`", shown(part))),
    };
    text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(label).collect()
}

fn tolerations(text: &str) -> Result<Vec<Toleration>, String> {
    text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(toleration).collect()
}

fn toleration(part: &str) -> Result<Toleration, String> {
    let (taint, effect) = part.rsplit_once(':').unwrap_or((part, ""));
    if !effect.is_empty() && !EFFECTS.contains(&effect) {
        let message = format!("`{}` is not the effect of a taint", shown(effect));
        return Err(match diag::nearest(effect, EFFECTS) {
            Some(near) => format!("{message}; did you mean `{near}`?"),
            None => format!("{message}: those are {}", EFFECTS.join(", ")),
        });
    }
    let (key, value) = match taint.split_once('=') {
        Some(("", _)) => return Err(format!("`{}` has a value and no key", shown(part))),
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (taint, None),
    };
    Ok(Toleration { key: key.to_owned(), value, effect: effect.to_owned() })
}

/// Writes pods so that reading them gives the same again. Columns that no pod uses are left out.
///
/// # Errors
/// Those of `output`.
pub fn write_native(workload: &Workload, mut output: impl Write) -> io::Result<()> {
    writeln!(output, "{MAGIC} {VERSION}")?;
    let mut cell = String::new();
    let mut used = COLUMNS.to_vec();
    used.retain(|(column, _)| {
        (0..workload.len()).any(|pod| {
            cell.clear();
            write_cell(*column, workload, PodId::of(pod), &mut cell);
            !cell.is_empty()
        }) || matches!(column, Column::Arrival | Column::Work)
    });
    // A name that starts with `#` would be a comment without its quotes.
    let mut writer = csv::WriterBuilder::new().comment(Some(b'#')).from_writer(output);
    writer.write_record(used.iter().map(|(_, name)| name))?;
    for pod in 0..workload.len() {
        for (column, _) in &used {
            cell.clear();
            write_cell(*column, workload, PodId::of(pod), &mut cell);
            writer.write_field(&cell)?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()
}

/// One field of a row; nothing where that means the same.
fn write_cell(column: Column, workload: &Workload, id: PodId, cell: &mut String) {
    let pod = &workload.pods[id.index()];
    let demand = workload.demand(id);
    let constraint = &workload.constraints[demand.constraint as usize];
    let mut number = |n: u64, default: u64| {
        if n != default {
            write!(cell, "{n}").expect("a string takes all text");
        }
    };
    match (column, demand.gpu) {
        (Column::Pod, _) => cell.push_str(&workload.names.get(id)),
        (Column::Arrival, _) => write_seconds(pod.arrival.0, cell),
        (Column::Work, _) => write_seconds(workload.truths[id.index()].work.0, cell),
        (Column::Cpu, _) => number(demand.cpu.0, 0),
        (Column::Memory, _) => number(demand.memory.0, 0),
        (Column::Gpus, GpuDemand::Whole { gpus }) => number(u64::from(gpus), 0),
        (Column::GpuMilli, GpuDemand::Share { milli, .. }) => number(u64::from(milli), 0),
        (Column::GpuMemory, GpuDemand::Share { memory, .. }) => number(memory.0, 0),
        (Column::Profile, GpuDemand::Profile(profile)) => {
            cell.push_str(&workload.profiles[usize::from(profile)]);
        }
        (Column::Gpus | Column::GpuMilli | Column::GpuMemory | Column::Profile, _) => {}
        (Column::GpuModel, _) => cell.push_str(&constraint.models.join("|")),
        (Column::NodeSelector, _) => {
            let labels: Vec<_> = constraint.selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
            cell.push_str(&labels.join(";"));
        }
        (Column::Tolerations, _) => {
            let written: Vec<_> = constraint.tolerations.iter().map(toleration_text).collect();
            cell.push_str(&written.join(";"));
        }
        (Column::Class, _) => cell.push_str(not_default(&workload.classes[pod.class.index()])),
        (Column::Namespace, _) => cell.push_str(not_default(&workload.namespaces[pod.namespace.index()])),
        (Column::Priority, _) if pod.priority == 0 => {}
        (Column::Priority, _) => write!(cell, "{}", pod.priority).expect("a string takes all text"),
        (Column::Gang, _) => number(u64::from(pod.gang), 1),
    }
}

fn not_default(name: &str) -> &str {
    if name == "default" { "" } else { name }
}

fn write_seconds(micros: u64, cell: &mut String) {
    let (secs, rest) = (micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND);
    write!(cell, "{secs}").expect("a string takes all text");
    if rest != 0 {
        write!(cell, ".{rest:06}").expect("a string takes all text");
        cell.truncate(cell.trim_end_matches('0').len());
    }
}

fn toleration_text(toleration: &Toleration) -> String {
    let Toleration { key, value, effect } = toleration;
    let value = value.as_ref().map_or(String::new(), |value| format!("={value}"));
    match (key.as_str(), effect.as_str()) {
        ("", effect) => format!(":{effect}"),
        (key, "") => format!("{key}{value}"),
        (key, effect) => format!("{key}{value}:{effect}"),
    }
}
