//! `pods.csv`: one row for each pod of each run.

use super::Run;
use crate::cluster::{Grant, Share};
use crate::id::PodId;
use crate::sched::filter::resource_name;
use crate::units::Time;
use std::io::{self, Write};

/// Writes the header and the pods of all runs.
///
/// # Errors
/// What `out` says.
pub fn write_pods(runs: &[Run], out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record([
        "variant",
        "pod",
        "class",
        "namespace",
        "priority",
        "arrival_s",
        "bound_s",
        "left_s",
        "wait_s",
        "run_s",
        "outcome",
        "node",
        "gpus",
        "request",
        "first_refusal",
        "attempts",
        "preemptions",
        "last_refusal",
        "failures",
        "lost_s",
        "gated_s",
    ])?;
    for run in runs {
        write_run(run, &mut csv)?;
    }
    csv.flush()
}

fn write_run(run: &Run, csv: &mut csv::Writer<&mut dyn Write>) -> io::Result<()> {
    let (workload, cluster, pods) = (run.world.workload(), run.world.cluster(), run.world.pods());
    for (index, line) in run.log.lines().iter().enumerate() {
        let id = PodId::of(index);
        let pod = &workload.pods[index];
        let (ran, losses) = (line.was_bound(), run.log.losses(id));
        let gone = line.fate.has_left();
        let when = |shown: bool, time: Time| if shown { seconds(time.0) } else { String::new() };
        let request = pods.request(id).gpu.map_or_else(String::new, |gpu| {
            let name = resource_name(gpu, pods.slices);
            let amount = match gpu.unit {
                crate::workload::request::Unit::Milli(milli) => u32::from(milli) * u32::from(gpu.count),
                _ => u32::from(gpu.count),
            };
            format!("{name}: {amount}")
        });
        let row: [&str; 21] = [
            &run.result.name,
            &workload.names.get(id),
            &workload.classes[pod.class.index()],
            &workload.namespaces[pod.namespace.index()],
            &pod.priority.to_string(),
            &seconds(pod.arrival.0),
            &when(ran, line.bound),
            &when(gone, line.left),
            &run.log.wait(id, pod.arrival).map_or_else(String::new, |wait| seconds(wait.0)),
            &if ran && gone { seconds(run.log.ran(id).0) } else { String::new() },
            line.fate.word(),
            if ran { cluster.name(line.node) } else { "" },
            &if ran { gpus(&line.grant, &cluster.class(line.node).share) } else { String::new() },
            &request,
            &line.reason.map_or_else(String::new, |reason| run.log.reasons.text(reason)),
            &line.attempts.to_string(),
            &losses.evictions.to_string(),
            &line.last_reason.map_or_else(String::new, |reason| run.log.reasons.text(reason)),
            &losses.failures.to_string(),
            &seconds(losses.work.0),
            &run.log.gated(id).map_or_else(String::new, |held| seconds(held.0)),
        ];
        csv.write_record(row)?;
    }
    Ok(())
}

/// Exact decimal seconds.
fn seconds(micros: u64) -> String {
    let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
    if rest == 0 {
        return whole.to_string();
    }
    let text = format!("{whole}.{rest:06}");
    text.trim_end_matches('0').to_owned()
}

/// GPUs of the node, with the slice under MIG: `0`, `0 3`, `2:3g.20gb@4`.
fn gpus(grant: &Grant, share: &Share) -> String {
    let label = |gpu: u8, slice: u8| match share {
        Share::Slices { slices, .. } => format!("{gpu}:{}", slices[usize::from(slice)].label),
        _ => gpu.to_string(),
    };
    let parts: Vec<String> = match grant {
        Grant::None | Grant::Gpus(_) => grant.gpus().map(|gpu| gpu.to_string()).collect(),
        Grant::Slice { gpu, slice } => vec![label(*gpu, *slice)],
        Grant::Slices(slices) => slices.iter().map(|(gpu, slice)| label(*gpu, *slice)).collect(),
    };
    parts.join(" ")
}
