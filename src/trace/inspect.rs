//! What a trace is like: the figures and bins behind `slicewise trace inspect`.
//!
//! A pod alone or a whole gang is one *job* here, as job logs count; its work is that of its longest
//! pod and its size that of all its pods. Quantiles interpolate linearly between ranks (numpy's
//! default, Hyndman and Fan's type 7). A share counts as that part of a GPU and a MIG profile of n
//! compute slices as n/7, whatever the GPU.

use super::change::gangs;
use crate::id::PodId;
use crate::units::MICROS_PER_SECOND;
use crate::workload::{GpuDemand, Workload};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// Parts of a GPU that hold thousandths and sevenths exactly.
const PARTS: u64 = 7_000;

/// Bins of the arrivals over time: one for each column of a narrow chart.
const ARRIVAL_BINS: usize = 64;

/// A trace in figures. Times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// All pods.
    #[serde(flatten)]
    pub all: Group,
    /// Jobs that are gangs of several pods.
    pub gangs: u64,
    /// Arrival of the first pod on the trace's clock.
    pub first_arrival_s: f64,
    /// From the first arrival to the last.
    pub span_s: f64,
    /// From the first arrival to the last end if nothing waits.
    pub end_s: f64,
    /// Jobs ÷ span; none where all arrive at once.
    pub arrivals_per_hour: Option<f64>,
    /// Mean time between the arrivals of two jobs; none below two jobs.
    pub gap_mean_s: Option<f64>,
    /// Standard deviation of the same ÷ its mean: 1 for Poisson, more for bursts.
    pub gap_cv: Option<f64>,
    /// GPU-seconds ÷ span: the mean number of GPUs busy if nothing waits.
    pub gpus_busy_mean: Option<f64>,
    /// Most GPUs busy at once if nothing waits; at equal times ends come before starts.
    pub gpus_busy_peak: f64,
    /// CPU-seconds ÷ span, in cores.
    pub cpus_busy_mean: Option<f64>,
    /// Most CPU cores busy at once if nothing waits.
    pub cpus_busy_peak: f64,
    /// Jobs and GPU time by size, smallest first.
    pub sizes: Vec<SizeRow>,
    /// Jobs that arrive in each 64th of the span.
    pub arrivals: Arrived,
    /// Jobs by work, in steps of 1, 2 and 5.
    pub work_bins: Vec<Bin>,
    /// The same figures by class, in the order of their first pods.
    pub classes: Vec<Group>,
}

/// Some of the pods of a trace, in figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Class; `all` for all.
    pub name: String,
    /// Pods.
    pub pods: u64,
    /// Jobs: pods alone, and gangs.
    pub jobs: u64,
    /// Jobs by kind of GPU demand.
    pub mix: Mix,
    /// Work of the jobs.
    pub work: Quantiles,
    /// GPU time of all pods.
    pub gpu_hours: f64,
}

/// Jobs by kind of GPU demand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mix {
    /// No GPU.
    pub cpu_only: u64,
    /// Part of one GPU.
    pub fractional: u64,
    /// One whole GPU.
    pub one: u64,
    /// More.
    pub multi: u64,
    /// A MIG profile.
    pub profile: u64,
}

/// Quantiles of a time in seconds; all 0 of nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90 % are at most this.
    pub p90: f64,
    /// 95 %.
    pub p95: f64,
    /// 99 %.
    pub p99: f64,
    /// Maximum.
    pub max: f64,
}

/// Jobs of one size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SizeRow {
    /// GPUs of the job, all its pods together: 0.46, 1, 64.
    pub gpus: f64,
    /// Jobs.
    pub jobs: u64,
    /// Their GPU time.
    pub gpu_hours: f64,
}

/// Arrivals over time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Arrived {
    /// Width of a bin in seconds.
    pub bin_s: f64,
    /// Jobs in each, from the first arrival on.
    pub jobs: Vec<u64>,
}

/// Jobs whose work is in [from, to).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Seconds.
    pub from_s: f64,
    /// Seconds.
    pub to_s: f64,
    /// Jobs.
    pub jobs: u64,
}

/// A job as the figures need it.
#[derive(Clone, Copy, Debug)]
struct Job {
    class: usize,
    arrival: u64,
    work: u64,
    pods: u64,
    /// Parts of a GPU.
    size: u64,
    /// Parts of a GPU × microseconds.
    gpu_time: u128,
    /// A pod that asks for a profile, though its size may be that of a whole GPU.
    profile: bool,
}

impl Statistics {
    /// The figures of a workload. *O*(*n* log *n*) in its pods.
    #[must_use]
    pub fn of(workload: &Workload) -> Statistics {
        let jobs: Vec<Job> = gangs(workload).map(|gang| job(workload, gang)).collect();
        let pods = || workload.pods.iter().zip(&workload.truths);
        let first = workload.pods.first().map_or(0, |pod| pod.arrival.0);
        let span = workload.pods.last().map_or(0, |pod| pod.arrival.0) - first;
        let end = pods().map(|(pod, truth)| (pod.arrival + truth.work).0 - first).max().unwrap_or(0);
        let per_span = |total: f64| (0 < span).then(|| total / span as f64);
        let cpu_time: u128 = (0..)
            .zip(pods())
            .map(|(i, (_, t))| u128::from(workload.demand(PodId(i)).cpu.0) * u128::from(t.work.0))
            .sum();
        let gpu_time: u128 = jobs.iter().map(|job| job.gpu_time).sum();
        let (gap_mean_s, gap_cv) = gaps(&jobs);
        Statistics {
            all: group("all", &jobs),
            gangs: jobs.iter().filter(|job| 1 < job.pods).count() as u64,
            first_arrival_s: seconds(first),
            span_s: seconds(span),
            end_s: seconds(end),
            arrivals_per_hour: per_span(jobs.len() as f64 * 3_600.0 * MICROS_PER_SECOND as f64),
            gap_mean_s,
            gap_cv,
            gpus_busy_mean: per_span(gpu_time as f64 / PARTS as f64),
            gpus_busy_peak: peak(workload, |pod| size(workload, pod)) as f64 / PARTS as f64,
            cpus_busy_mean: per_span(cpu_time as f64 / 1_000.0),
            cpus_busy_peak: peak(workload, |pod| workload.demand(pod).cpu.0) as f64 / 1_000.0,
            sizes: sizes(&jobs),
            arrivals: arrivals(&jobs, first, span),
            work_bins: work_bins(&jobs),
            classes: classes(workload, &jobs),
        }
    }
}

fn job(workload: &Workload, gang: Range<usize>) -> Job {
    let first = &workload.pods[gang.start];
    let mut job = Job {
        class: first.class.index(),
        arrival: first.arrival.0,
        work: 0,
        pods: gang.len() as u64,
        size: 0,
        gpu_time: 0,
        profile: gang.len() == 1
            && matches!(workload.demand(PodId::of(gang.start)).gpu, GpuDemand::Profile(_)),
    };
    for pod in gang {
        let (work, size) = (workload.truths[pod].work.0, size(workload, PodId::of(pod)));
        job.work = job.work.max(work);
        job.size += size;
        job.gpu_time += u128::from(size) * u128::from(work);
    }
    job
}

/// Parts of a GPU that a pod asks for.
fn size(workload: &Workload, pod: PodId) -> u64 {
    match workload.demand(pod).gpu {
        GpuDemand::None => 0,
        GpuDemand::Share { milli, .. } => u64::from(milli) * (PARTS / 1_000),
        GpuDemand::Whole { gpus } => u64::from(gpus) * PARTS,
        GpuDemand::Profile(profile) => {
            let name = &workload.profiles[usize::from(profile)];
            let slices = name.split('g').next().and_then(|digits| digits.parse().ok());
            slices.unwrap_or(0_u64) * (PARTS / 7)
        }
    }
}

fn group(name: &str, jobs: &[Job]) -> Group {
    let mut mix = Mix::default();
    for job in jobs {
        *match job.size {
            _ if job.profile => &mut mix.profile,
            0 => &mut mix.cpu_only,
            1..PARTS => &mut mix.fractional,
            PARTS => &mut mix.one,
            _ => &mut mix.multi,
        } += 1;
    }
    Group {
        name: name.to_owned(),
        pods: jobs.iter().map(|job| job.pods).sum(),
        jobs: jobs.len() as u64,
        mix,
        work: quantiles(jobs.iter().map(|job| job.work).collect()),
        gpu_hours: hours(jobs.iter().map(|job| job.gpu_time).sum()),
    }
}

fn classes(workload: &Workload, jobs: &[Job]) -> Vec<Group> {
    let mut by_class: BTreeMap<usize, Vec<Job>> = BTreeMap::new();
    for job in jobs {
        by_class.entry(job.class).or_default().push(*job);
    }
    by_class.iter().map(|(class, jobs)| group(&workload.classes[*class], jobs)).collect()
}

fn quantiles(mut micros: Vec<u64>) -> Quantiles {
    micros.sort_unstable();
    let Some(max) = micros.last() else { return Quantiles::default() };
    let at = |share: f64| {
        let rank = share * (micros.len() - 1) as f64;
        let low = rank as usize;
        let high = (low + 1).min(micros.len() - 1);
        seconds(micros[low]) + (rank - low as f64) * seconds(micros[high] - micros[low])
    };
    let total: u128 = micros.iter().map(|m| u128::from(*m)).sum();
    Quantiles {
        mean: total as f64 / micros.len() as f64 / MICROS_PER_SECOND as f64,
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        max: seconds(*max),
    }
}

/// Mean and coefficient of variation of the times between arrivals.
fn gaps(jobs: &[Job]) -> (Option<f64>, Option<f64>) {
    let gaps: Vec<f64> = jobs.windows(2).map(|pair| seconds(pair[1].arrival - pair[0].arrival)).collect();
    if gaps.is_empty() {
        return (None, None);
    }
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|gap| (gap - mean) * (gap - mean)).sum::<f64>() / gaps.len() as f64;
    (Some(mean), (0.0 < mean).then(|| variance.sqrt() / mean))
}

/// The most of `amount` at once if every pod runs as it arrives.
fn peak(workload: &Workload, amount: impl Fn(PodId) -> u64) -> i128 {
    let mut changes = Vec::with_capacity(2 * workload.len());
    for (number, (pod, truth)) in workload.pods.iter().zip(&workload.truths).enumerate() {
        let amount = i128::from(amount(PodId::of(number)));
        changes.push((pod.arrival, amount));
        changes.push((pod.arrival + truth.work, -amount));
    }
    // Ends, which are negative, first.
    changes.sort_unstable();
    changes
        .iter()
        .scan(0, |now, (_, change)| {
            *now += change;
            Some(*now)
        })
        .max()
        .unwrap_or(0)
}

fn sizes(jobs: &[Job]) -> Vec<SizeRow> {
    let mut rows: BTreeMap<u64, (u64, u128)> = BTreeMap::new();
    for job in jobs {
        let row = rows.entry(job.size).or_default();
        row.0 += 1;
        row.1 += job.gpu_time;
    }
    rows.into_iter()
        .map(|(size, (jobs, time))| SizeRow {
            gpus: size as f64 / PARTS as f64,
            jobs,
            gpu_hours: hours(time),
        })
        .collect()
}

fn arrivals(jobs: &[Job], first: u64, span: u64) -> Arrived {
    // Rounded up, so that the last arrival falls into the last bin.
    let bin = span / ARRIVAL_BINS as u64 + 1;
    let mut counts = vec![0; ARRIVAL_BINS];
    jobs.iter().for_each(|job| counts[((job.arrival - first) / bin) as usize] += 1);
    Arrived { bin_s: seconds(bin), jobs: counts }
}

fn work_bins(jobs: &[Job]) -> Vec<Bin> {
    let Some(longest) = jobs.iter().map(|job| job.work).max() else { return Vec::new() };
    let mut edges = vec![0, MICROS_PER_SECOND];
    for factor in [2, 5, 10].iter().cycle() {
        if longest < edges[edges.len() - 1] {
            break;
        }
        // The cycle's third step continues from a power of ten, so look it up rather than multiply.
        let decade = edges[1 + (edges.len() - 2) / 3 * 3];
        edges.push(decade.saturating_mul(*factor));
    }
    let mut counts = vec![0; edges.len() - 1];
    jobs.iter().for_each(|job| counts[edges.partition_point(|edge| *edge <= job.work) - 1] += 1);
    let bin = |(edge, jobs): (&[u64], u64)| Bin { from_s: seconds(edge[0]), to_s: seconds(edge[1]), jobs };
    let mut bins: Vec<Bin> = edges.windows(2).zip(counts).map(bin).collect();
    let empty = bins.iter().take_while(|bin| bin.jobs == 0).count();
    bins.drain(..empty);
    bins
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / MICROS_PER_SECOND as f64
}

fn hours(time: u128) -> f64 {
    time as f64 / (PARTS * MICROS_PER_SECOND) as f64 / 3_600.0
}
