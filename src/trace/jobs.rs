//! Job logs: ElasticFlow's and any CSV whose columns a scenario names.
//!
//! A job of more GPUs than a node has becomes a gang of pods that start together: all of node size
//! but the last. What the log does not say about CPU and memory is assumed ([`Assume`]). A row
//! without a run time (an empty duration, start or end) never ran: it is dropped and counted.

use super::intake::Intake;
use super::read::{Header, RowReader};
use super::records::{Complaint, MAX_AMOUNT, Record};
use super::spec::{Assume, Columns, Source};
use crate::diag::Diagnostic;
use crate::units::{MICROS_PER_SECOND, Mib, MilliCpu, Span};
use crate::workload::{GpuDemand, PodRow};

/// Reason of the rows without a run time.
pub const NEVER_RAN: &str = "no run time: never ran";

/// Where the columns of a log are.
#[derive(Debug)]
pub(super) struct Rows {
    name: Option<usize>,
    arrival: usize,
    run: Run,
    gpus: Option<usize>,
    cpus: Option<usize>,
    memory_gib: Option<usize>,
    class: Option<usize>,
    namespace: Option<usize>,
    priority: Option<usize>,
    /// Microseconds of one unit of time.
    unit: u64,
    assume: Assume,
    /// Class of the pods of a log that has none.
    default_class: &'static str,
}

/// How a log says how long a job ran.
#[derive(Clone, Copy, Debug)]
enum Run {
    Duration(usize),
    Between { start: usize, end: usize },
}

/// What one job asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Job {
    gpu: GpuDemand,
    cpu: MilliCpu,
    memory: Mib,
}

impl Rows {
    pub(super) fn elasticflow(source: &Source, header: &Header<'_>) -> Result<Rows, Vec<Diagnostic>> {
        let [name, arrival, duration, gpus] =
            header.require(["job_id", "submission_time", "duration", "num_gpu"])?;
        Ok(Rows {
            name: Some(name),
            arrival,
            run: Run::Duration(duration),
            gpus: Some(gpus),
            cpus: None,
            memory_gib: None,
            class: None,
            namespace: None,
            priority: None,
            unit: MICROS_PER_SECOND,
            assume: source.assume,
            default_class: "training",
        })
    }

    pub(super) fn mapped(
        source: &Source,
        columns: &Columns,
        header: &Header<'_>,
    ) -> Result<Rows, Vec<Diagnostic>> {
        let mut missing = Vec::new();
        let mut find = |name: &Option<String>| {
            let name = name.as_deref()?;
            header.position(name).or_else(|| {
                missing.push(header.missing(name));
                None
            })
        };
        let arrival = find(&Some(columns.arrival.clone()));
        let (duration, start, end) = (find(&columns.duration), find(&columns.start), find(&columns.end));
        let found = [&columns.name, &columns.gpus, &columns.cpus, &columns.memory_gib].map(&mut find);
        let [name, gpus, cpus, memory_gib] = found;
        let [class, namespace, priority] =
            [&columns.class, &columns.namespace, &columns.priority].map(&mut find);
        if !missing.is_empty() {
            return Err(missing);
        }
        let run = match (duration, start, end) {
            (Some(duration), ..) => Run::Duration(duration),
            (None, Some(start), Some(end)) => Run::Between { start, end },
            _ => {
                let message = "no column says how long a job ran";
                return Err(vec![
                    Diagnostic::error("no-run-time", &source.file, message)
                        .help("name a `duration` column, or `start` and `end`"),
                ]);
            }
        };
        let arrival = arrival.expect("a name was given and found");
        let (unit, assume) = (columns.time_unit.0, source.assume);
        assert!(0 < unit, "a unit of time is not zero");
        let default_class = "default";
        Ok(Rows {
            name,
            arrival,
            run,
            gpus,
            cpus,
            memory_gib,
            class,
            namespace,
            priority,
            unit,
            assume,
            default_class,
        })
    }

    /// How long the job ran; `None` where the log is silent.
    fn work(&self, record: &Record<'_>) -> Result<Option<Span>, Complaint> {
        let silent = |column: usize| record.text(column).trim().is_empty();
        match self.run {
            Run::Duration(column) if silent(column) => Ok(None),
            Run::Duration(column) => Ok(Some(Span(record.time(column, self.unit)?.0))),
            Run::Between { start, end } if silent(start) || silent(end) => Ok(None),
            Run::Between { start, end } => {
                let (from, to) = (record.time(start, self.unit)?, record.time(end, self.unit)?);
                match from <= to {
                    true => Ok(Some(to.since(from))),
                    false => Err(record.complaint("negative-span", end, "is before the start")),
                }
            }
        }
    }

    fn job(&self, record: &Record<'_>) -> Result<Job, Complaint> {
        let milli = self.gpus.map_or(Ok(0), |c| record.decimal(c, 1_000, u64::from(u16::MAX) * 1_000))?;
        let gpu = match (milli, milli % 1_000) {
            (0, _) => GpuDemand::None,
            (1..1_000, _) => GpuDemand::Share { milli: milli as u16, memory: Mib(0) },
            (_, 0) => GpuDemand::Whole { gpus: (milli / 1_000) as u16 },
            _ => {
                let column = self.gpus.expect("a log without the column asks for no GPU");
                let message =
                    format!("`{}` is neither a share of one GPU nor whole GPUs", record.text(column));
                return Err(record
                    .complaint("bad-gpus", column, message)
                    .help("0.5 is half of one GPU, 2 are two of them"));
            }
        };
        let assumed = |per_gpu: u64| Ok((u128::from(per_gpu) * u128::from(milli) / 1_000) as u64);
        let cpu = self
            .cpus
            .map_or_else(|| assumed(self.assume.cpu_per_gpu.0), |c| record.decimal(c, 1_000, MAX_AMOUNT))?;
        let memory = self.memory_gib.map_or_else(
            || assumed(self.assume.memory_per_gpu.0),
            |c| record.decimal(c, 1_024, MAX_AMOUNT),
        )?;
        Ok(Job { gpu, cpu: MilliCpu(cpu), memory: Mib(memory) })
    }
}

impl RowReader for Rows {
    const JOBS: bool = true;

    fn row(&mut self, record: &Record<'_>, intake: &mut Intake<'_>) -> Result<(), Complaint> {
        let arrival = record.time(self.arrival, self.unit)?;
        let work = self.work(record)?;
        let job = self.job(record)?;
        let priority = record.priority(self.priority)?;
        let name = record.optional(self.name);
        let column = self.name.unwrap_or(0);
        let members = members(&job, self.assume.gpus_per_node);
        if members.len() == 1 || work.is_none() {
            intake.name(record, column, name)?;
        }
        let Some(work) = work else {
            intake.drop_row(arrival, NEVER_RAN);
            return Ok(());
        };
        let class = record.given(self.class).unwrap_or(intake.class_or(self.default_class));
        let namespace = record.given(self.namespace).unwrap_or(intake.namespace());
        push_all(
            record,
            intake,
            column,
            &members,
            &PodRow {
                name,
                arrival,
                work,
                cpu: job.cpu,
                memory: job.memory,
                gpu: job.gpu,
                constraint: 0,
                class,
                namespace,
                priority,
                gang: 1,
            },
        )
    }
}

/// Pushes the pods of a job, whose other fields are `row`'s. A member's name is the job's and its
/// number.
fn push_all(
    record: &Record<'_>,
    intake: &mut Intake<'_>,
    column: usize,
    members: &[Job],
    row: &PodRow<'_>,
) -> Result<(), Complaint> {
    let mut names = vec![String::new(); members.len()];
    if 1 < members.len() && !row.name.is_empty() {
        for (number, name) in names.iter_mut().enumerate() {
            *name = format!("{}/{number}", row.name);
            intake.name(record, column, name)?;
        }
    }
    for (number, (member, name)) in members.iter().zip(&names).enumerate() {
        let name = if members.len() == 1 { row.name } else { name };
        let gang = if number == 0 { members.len() as u32 } else { 0 };
        let Job { gpu, cpu, memory } = *member;
        intake.push(&PodRow { name, gang, gpu, cpu, memory, ..row.clone() });
    }
    Ok(())
}

/// The pods of a job: one, or as many nodes as its GPUs fill, with CPU and memory in proportion.
fn members(job: &Job, gpus_per_node: u16) -> Vec<Job> {
    assert!(0 < gpus_per_node, "a node of a GPU cluster has GPUs");
    let gpus = match job.gpu {
        GpuDemand::Whole { gpus } if gpus_per_node < gpus => u64::from(gpus),
        _ => return vec![*job],
    };
    // Running totals make the parts add up to the whole whatever the rounding.
    let share = |total: u64, gpus_so_far: u64| {
        (u128::from(total) * u128::from(gpus_so_far) / u128::from(gpus)) as u64
    };
    let part = |total, from, to| share(total, to) - share(total, from);
    (0..gpus)
        .step_by(usize::from(gpus_per_node))
        .map(|from| {
            let to = gpus.min(from + u64::from(gpus_per_node));
            Job {
                gpu: GpuDemand::Whole { gpus: (to - from) as u16 },
                cpu: MilliCpu(part(job.cpu.0, from, to)),
                memory: Mib(part(job.memory.0, from, to)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_above_a_node_is_split_without_loss() {
        let job = Job { gpu: GpuDemand::Whole { gpus: 20 }, cpu: MilliCpu(100_001), memory: Mib(7) };
        let parts = members(&job, 8);
        let gpus: Vec<_> = parts.iter().map(|p| p.gpu).collect();
        assert_eq!(gpus, [8, 8, 4].map(|gpus| GpuDemand::Whole { gpus }));
        assert_eq!(parts.iter().map(|p| p.cpu.0).sum::<u64>(), 100_001);
        assert_eq!(parts.iter().map(|p| p.memory.0).sum::<u64>(), 7);
        assert_eq!(members(&job, 20), [job]);
    }
}
