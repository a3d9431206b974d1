//! Alibaba's cluster-trace-gpu-v2023 ("openb"): pod lists and node lists.
//!
//! The replay rule: a pod arrives at `creation_time` and runs for `deletion_time − scheduled_time`.
//! One without `scheduled_time` was Pending all its life: the file knows its patience and not its
//! work, so it is dropped and counted.

use super::intake::{Complaints, Intake};
use super::read::{Header, RowReader, start};
use super::records::{Complaint, MAX_AMOUNT, Next, Record, Records, shown};
use super::spec::BadRows;
use crate::diag::{self, Diagnostic};
use crate::units::{MICROS_PER_SECOND, Mib, MilliCpu};
use crate::workload::{Constraint, GpuDemand, PodRow};
use std::io::Read;

/// Reason of the rows that were never scheduled.
pub const PENDING: &str = "Pending: never scheduled";

/// QoS class and priority, as the trace's authors rank them.
const QOS: [(&str, i32); 4] = [("LS", 3), ("Guaranteed", 2), ("Burstable", 1), ("BE", 0)];

/// Where the columns of a pod list are.
#[derive(Debug)]
pub(super) struct Rows {
    name: usize,
    cpu: usize,
    memory: usize,
    gpus: usize,
    gpu_milli: usize,
    qos: usize,
    creation: usize,
    deletion: usize,
    scheduled: usize,
    gpu_spec: Option<usize>,
}

impl Rows {
    pub(super) fn new(header: &Header<'_>) -> Result<Rows, Vec<Diagnostic>> {
        let [name, cpu, memory, gpus, gpu_milli] =
            header.require(["name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli"])?;
        if header.position("creation_time").is_none() && header.position("deletion_time").is_none() {
            let message = "this pod list has no times: it can be packed but not replayed";
            return Err(vec![header.complain(Complaint::new("no-times", 0, message)).help(
                "the multigpu lists were published without creation, scheduling and deletion times; \
                 take `default`, `cpu*`, `gpushare*` or `gpuspec*`",
            )]);
        }
        let [qos, creation, deletion, scheduled] =
            header.require(["qos", "creation_time", "deletion_time", "scheduled_time"])?;
        let gpu_spec = header.position("gpu_spec");
        Ok(Rows { name, cpu, memory, gpus, gpu_milli, qos, creation, deletion, scheduled, gpu_spec })
    }
}

impl RowReader for Rows {
    const JOBS: bool = false;

    fn row(&mut self, record: &Record<'_>, intake: &mut Intake<'_>) -> Result<(), Complaint> {
        let arrival = record.time(self.creation, MICROS_PER_SECOND)?;
        let deletion = record.time(self.deletion, MICROS_PER_SECOND)?;
        let cpu = MilliCpu(record.integer(self.cpu, MAX_AMOUNT)?);
        let memory = Mib(record.integer(self.memory, MAX_AMOUNT)?);
        let gpu = gpu(record, self.gpus, self.gpu_milli)?;
        let (qos, priority) = qos(record, self.qos)?;
        let constraint = self.constraint(record, intake)?;
        let name = record.text(self.name);
        intake.name(record, self.name, name)?;
        if record.text(self.scheduled).is_empty() {
            intake.drop_row(arrival, PENDING);
            return Ok(());
        }
        let scheduled = record.time(self.scheduled, MICROS_PER_SECOND)?;
        if deletion < scheduled {
            return Err(record.complaint("negative-span", self.deletion, "is before scheduled_time"));
        }
        intake.push(&PodRow {
            name,
            arrival,
            work: deletion.since(scheduled),
            cpu,
            memory,
            gpu,
            constraint,
            class: intake.class_or(qos),
            namespace: intake.namespace(),
            priority,
            gang: 1,
        });
        Ok(())
    }
}

impl Rows {
    fn constraint(&self, record: &Record<'_>, intake: &mut Intake<'_>) -> Result<u32, Complaint> {
        match record.optional(self.gpu_spec) {
            "" => Ok(0),
            text => {
                intake.constraint(text, || Ok(Constraint { models: models(text), ..Constraint::default() }))
            }
        }
    }
}

/// GPU models joined by `|`, each once.
pub(super) fn models(text: &str) -> Vec<String> {
    let mut models: Vec<String> = Vec::new();
    for model in text.split('|').map(str::trim).filter(|m| !m.is_empty()) {
        if !models.iter().any(|known| known == model) {
            models.push(model.to_owned());
        }
    }
    models
}

fn gpu(record: &Record<'_>, gpus: usize, gpu_milli: usize) -> Result<GpuDemand, Complaint> {
    let count = record.integer(gpus, u64::from(u16::MAX))? as u16;
    let milli = record.integer(gpu_milli, 1_000)? as u16;
    match (count, milli) {
        (0, 0) => Ok(GpuDemand::None),
        (0, _) => Err(record.complaint("no-gpu", gpu_milli, "a share of no GPU").help("is num_gpu 1?")),
        (1, 0) => {
            Err(record.complaint("no-share", gpu_milli, "nothing of a GPU").help("a whole one is 1000"))
        }
        (1, 1..1_000) => Ok(GpuDemand::Share { milli, memory: Mib(0) }),
        _ => Ok(GpuDemand::Whole { gpus: count }),
    }
}

fn qos(record: &Record<'_>, column: usize) -> Result<(&'static str, i32), Complaint> {
    let text = record.text(column);
    QOS.into_iter().find(|(name, _)| *name == text).ok_or_else(|| {
        let complaint = record.complaint("bad-qos", column, format!("`{}` is no QoS class", shown(text)));
        match diag::nearest(text, QOS.map(|(name, _)| name)) {
            Some(near) => complaint.help(format!("did you mean `{near}`?")),
            None => complaint.help("LS, Guaranteed, Burstable or BE"),
        }
    })
}

/// One node of an openb node list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// Name.
    pub name: String,
    /// CPUs.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Mib,
    /// Number of GPUs.
    pub gpus: u16,
    /// GPU model as the list spells it; empty on a CPU node.
    pub model: String,
}

/// Reads an openb node list, `sn,cpu_milli,memory_mib,gpu,model`; `file` names it in complaints.
///
/// # Errors
/// Everything that is wrong with it, up to 20 rows and the number of the rest.
pub fn read_nodes(file: &str, reader: impl Read) -> Result<Vec<NodeRow>, Vec<Diagnostic>> {
    let mut records = Records::new(file, reader);
    let columns = start(file, &mut records, |header| {
        header.require(["sn", "cpu_milli", "memory_mib", "gpu", "model"])
    })?;
    let mut complaints = Complaints::new(BadRows::Refuse);
    let mut nodes = Vec::new();
    let mut known = rustc_hash::FxHashMap::default();
    loop {
        match records.next() {
            Next::End => break,
            Next::Wrong(diagnostic) => complaints.push(diagnostic),
            Next::Broken(diagnostic) => {
                complaints.push(diagnostic);
                break;
            }
            Next::Record(record) => match node(&record, columns, &mut known) {
                Ok(node) => nodes.push(node),
                Err(complaint) => complaints.push(record.diagnostic(file, complaint)),
            },
        }
    }
    if 0 < complaints.total {
        return Err(complaints.into_diagnostics(file));
    }
    Ok(nodes)
}

fn node(
    record: &Record<'_>,
    [sn, cpu, memory, gpu, model]: [usize; 5],
    known: &mut rustc_hash::FxHashMap<String, usize>,
) -> Result<NodeRow, Complaint> {
    record.check_width()?;
    let node = NodeRow {
        name: record.text(sn).to_owned(),
        cpu: MilliCpu(record.integer(cpu, MAX_AMOUNT)?),
        memory: Mib(record.integer(memory, MAX_AMOUNT)?),
        gpus: record.integer(gpu, u64::from(u16::MAX))? as u16,
        model: record.text(model).trim().to_owned(),
    };
    if (node.gpus == 0) != node.model.is_empty() {
        let message = "a node has GPUs and their model, or neither";
        return Err(record.complaint("bad-node", model, message));
    }
    if let Some(line) = known.insert(node.name.clone(), record.line()) {
        let message = format!("node `{}` is already on line {line}", shown(&node.name));
        return Err(record.complaint("duplicate-node", sn, message).help("a node has one row"));
    }
    Ok(node)
}
