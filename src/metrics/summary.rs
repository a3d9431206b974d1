//! From the lines of the pods and the levels to the figures of a summary.

use super::{
    Counts, Fairness, Fate, Group, Level, Levels, Line, PodLog, Refusal, Sample, Summary, WaitCurve,
};
use crate::cluster::Cluster;
use crate::id::PodId;
use crate::stats;
use crate::units::Time;
use crate::workload::{Pod, Workload};
use std::collections::BTreeMap;

/// What a summary is about.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The pods and their truth.
    pub workload: &'a Workload,
    /// The cluster, empty.
    pub cluster: &'a Cluster,
    /// Pods of lower number are warm-up and in no figure.
    pub first: PodId,
}

impl Frame<'_> {
    /// Counted pods with their lines.
    pub(super) fn counted<'l>(&'l self, log: &'l PodLog) -> impl Iterator<Item = (PodId, &'l Pod, &'l Line)> {
        let pods = self.workload.pods.iter().zip(log.lines()).enumerate();
        pods.skip(self.first.index()).map(|(i, (pod, line))| (PodId::of(i), pod, line))
    }
}

/// All figures of one run. `attempts` is the scheduler's count.
#[must_use]
pub fn summarize(frame: &Frame<'_>, log: &PodLog, levels: &Levels<'_>, attempts: u64) -> Summary {
    let workload = frame.workload;
    let (from, to) = levels.measured();
    let [gpus, gpu_compute, gpu_memory, gpus_touched, cpus, memory_gib, queue, running] = levels.summaries();
    let mut classes = vec![group("all", frame, log, to, |_| true)];
    if 1 < workload.classes.len() {
        for (index, name) in workload.classes.iter().enumerate() {
            classes.push(group(name, frame, log, to, |pod| pod.class.index() == index));
        }
    }
    let mut namespaces = Vec::new();
    if 1 < workload.namespaces.len() {
        for (index, name) in workload.namespaces.iter().enumerate() {
            namespaces.push(group(name, frame, log, to, |pod| pod.namespace.index() == index));
        }
    }
    classes.retain(|g| g.name == "all" || 0 < g.counts.total);
    namespaces.retain(|g| 0 < g.counts.total);
    let useful_gpu_hours = levels.useful_gpu_hours();
    let cost = levels.cost();
    Summary {
        from_s: from.as_secs_f64(),
        to_s: to.as_secs_f64(),
        fairness: Fairness { namespaces: jain(&namespaces), classes: jain(&classes[1..]) },
        classes,
        namespaces,
        gpus,
        gpus_by_mode: levels.by_mode(),
        gpu_compute,
        gpu_memory,
        gpus_touched,
        cpus,
        memory_gib,
        queue,
        running,
        useful_gpu_hours,
        gpu_time: levels.gpu_time(),
        failures: levels.failures(),
        services: Vec::new(),
        recuts: levels.recuts(),
        attempts,
        bound: log.lines().iter().filter(|line| line.was_bound()).count() as u64,
        refusals: refusals(frame, log),
        cost,
        cost_per_useful_gpu_hour: cost.filter(|_| 0.0 < useful_gpu_hours).map(|cost| cost / useful_gpu_hours),
    }
}

/// Jain's index of what groups of pods were given.
pub(super) fn jain(groups: &[Group]) -> Option<f64> {
    let service: Vec<f64> = groups.iter().filter_map(|group| group.service).collect();
    let sum: f64 = service.iter().sum();
    let squares: f64 = service.iter().map(|x| x * x).sum();
    // Where nobody was served, nobody was favored.
    let index = if squares == 0.0 { 1.0 } else { sum * sum / (service.len() as f64 * squares) };
    (1 < service.len()).then_some(index)
}

/// Pods that stay are counted until `end`.
fn group(name: &str, frame: &Frame<'_>, log: &PodLog, end: Time, member: impl Fn(&Pod) -> bool) -> Group {
    let mut counts = Counts::default();
    let mut waits: Vec<u64> = Vec::new();
    let mut slowdowns: Vec<f64> = Vec::new();
    let (mut served, mut stayed) = (0_u128, 0_u128);
    for (id, pod, line) in frame.counted(log).filter(|(_, pod, _)| member(pod)) {
        counts.total += 1;
        *match line.fate {
            Fate::Finished => &mut counts.finished,
            Fate::Running => &mut counts.running,
            Fate::Waiting | Fate::Unborn => &mut counts.waiting,
            Fate::GaveUp | Fate::Evicted => &mut counts.gave_up,
            Fate::TurnedAway => &mut counts.turned_away,
            Fate::NeverFits => &mut counts.never_fit,
            Fate::Failed => &mut counts.failed,
        } += 1;
        waits.extend(log.wait(id, pod.arrival).map(|wait| wait.0));
        let work = frame.workload.truths[id.index()].work;
        if line.fate == Fate::Finished && 0 < work.0 {
            slowdowns.push(line.left.since(pod.arrival).0 as f64 / work.0 as f64);
        }
        served += if line.fate == Fate::Finished { u128::from(work.0) } else { 0 };
        let left = if line.fate.has_left() { line.left } else { end.max(pod.arrival) };
        stayed += u128::from(left.since(pod.arrival).0);
    }
    let waited = waits.iter().filter(|wait| 0 < **wait).count() as f64 / waits.len().max(1) as f64;
    waits.sort_unstable();
    slowdowns.sort_unstable_by(f64::total_cmp);
    let total: u128 = waits.iter().map(|w| u128::from(*w)).sum();
    let mut wait_s = sample(&waits, |w| *w as f64 / 1e6);
    if !waits.is_empty() {
        // The exact integer sum: a mean of millions of floats would carry their roundings.
        wait_s.mean = total as f64 / waits.len() as f64 / 1e6;
    }
    let service = (0 < stayed).then(|| served as f64 / stayed as f64);
    Group { name: name.to_owned(), counts, wait_s, waited, slowdown: sample(&slowdowns, |s| *s), service }
}

/// Summary of a sorted sample; quantiles by nearest rank.
#[must_use]
pub fn sample<T>(sorted: &[T], value: impl Fn(&T) -> f64) -> Sample {
    let count = sorted.len();
    if count == 0 {
        return Sample::default();
    }
    let quantile = |level| value(&sorted[stats::sample::rank(count, level) - 1]);
    Sample {
        count: count as u64,
        mean: sorted.iter().map(&value).sum::<f64>() / count as f64,
        p50: quantile(500),
        p90: quantile(900),
        p95: quantile(950),
        p99: quantile(990),
        max: value(&sorted[count - 1]),
    }
}

/// First refusals by message, most pods first; those for ever before all others.
fn refusals(frame: &Frame<'_>, log: &PodLog) -> Vec<Refusal> {
    /// Names of pods shown with a message.
    const EXAMPLES: usize = 5;
    // By text: shapes that are short of the same things have messages of their own that read alike.
    let mut by_reason: BTreeMap<(bool, String), (u64, Vec<String>)> = BTreeMap::new();
    for (id, _, line) in frame.counted(log) {
        if let Some(reason) = line.reason {
            let text = log.reasons.text(reason);
            let entry = by_reason.entry((line.fate == Fate::NeverFits, text)).or_default();
            entry.0 += 1;
            if entry.1.len() < EXAMPLES {
                entry.1.push(frame.workload.names.get(id).into_owned());
            }
        }
    }
    let mut refusals: Vec<Refusal> = by_reason
        .into_iter()
        .map(|((for_ever, reason), (pods, examples))| Refusal { message: reason, pods, examples, for_ever })
        .collect();
    refusals.sort_by(|a, b| {
        b.for_ever.cmp(&a.for_ever).then(b.pods.cmp(&a.pods)).then(a.message.cmp(&b.message))
    });
    refusals
}

/// The distribution of waits of the counted pods, thinned to a few hundred points.
#[must_use]
pub fn wait_curve(frame: &Frame<'_>, log: &PodLog) -> WaitCurve {
    const POINTS: usize = 400;
    let mut waits: Vec<u64> =
        frame.counted(log).filter_map(|(id, pod, _)| log.wait(id, pod.arrival)).map(|w| w.0).collect();
    waits.sort_unstable();
    let total = waits.len();
    let mut points: Vec<(f64, f64)> = Vec::new();
    for i in 0..=POINTS {
        let Some(index) = (total * i).div_ceil(POINTS).max(1).checked_sub(1).filter(|_| 0 < total) else {
            continue;
        };
        let wait = waits[index];
        let share = waits.partition_point(|w| *w <= wait) as f64 / total as f64;
        let point = (wait as f64 / 1e6, share);
        if points.last() != Some(&point) {
            points.push(point);
        }
    }
    WaitCurve { points }
}

impl Level {
    /// Mean as a share of the capacity; 0 without capacity.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.capacity == 0.0 { 0.0 } else { self.mean / self.capacity }
    }
}
