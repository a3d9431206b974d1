//! What the variants are compared by: the columns, which value of each is best, and the answer in
//! sentences.
//!
//! Before changing what counts as best, mind two traps. GPUs *allocated* have no good direction: a
//! whole GPU held for a tenth of its power is allocated too. And a variant that leaves pods unserved
//! has short waits for that very reason, so only variants that serve about as many pods as the
//! best-serving one are compared by waits ([`comparable`]).

use super::human::{self, NONE, count, fine_percent, level, list, percent, seconds};
use crate::metrics::{Counts, GpuTime, Group, Holds, InTime, Sample, Summary, VariantResult};

/// Which way a figure gets better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    /// Neither way.
    Neither,
    /// The more the better.
    More,
    /// The less the better.
    Less,
    /// The less the better among [`comparable`] variants.
    LessIfServed,
}

/// Where a column is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shown {
    /// In every table; when 80 columns are too few, the highest number goes first.
    Always(u8),
    /// As `Always`, but only when some variant has a value other than 0.
    NonZero(u8),
    /// In wide tables.
    Wide,
}

/// One figure of every variant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// What it is.
    pub(super) head: &'static str,
    /// Which aspect of it, for a second line of the header; may be empty.
    pub(super) aspect: &'static str,
    /// Its term in [`crate::metrics::DEFINITIONS`].
    pub(super) term: &'static str,
    /// Where it is shown.
    pub(super) shown: Shown,
    /// Which way it gets better.
    pub(super) better: Better,
    /// The figure of one run, where it has one.
    pub(super) of: fn(&Summary) -> Option<f64>,
    /// An amount of it for people.
    pub(super) show: fn(f64) -> String,
    /// Of how much it is a part, where that is shown.
    pub(super) capacity: Option<fn(&Summary) -> f64>,
}

impl Column {
    /// The figure of a variant: the mean of its runs.
    pub(super) fn value(&self, variant: &VariantResult) -> Option<f64> {
        variant.mean(self.of)
    }

    /// The same for people.
    pub(super) fn text(&self, variant: &VariantResult) -> String {
        match (self.value(variant), self.capacity) {
            (None, _) => NONE.to_owned(),
            (Some(value), None) => (self.show)(value),
            (Some(value), Some(capacity)) => used(value, capacity(&variant.summary)),
        }
    }

    /// Half the width of the interval around it, where the variant ran several times.
    pub(super) fn spread(&self, variant: &VariantResult) -> Option<String> {
        variant.interval(self.of).map(|interval| (self.show)(interval.half_width))
    }
}

/// The group of all pods.
pub(super) fn all(summary: &Summary) -> Group {
    summary.classes.first().cloned().unwrap_or_default()
}

fn counts(summary: &Summary) -> Counts {
    summary.classes.first().map(|g| g.counts).unwrap_or_default()
}

/// Pods that left without having run to their end.
pub(super) fn lost(counts: &Counts) -> u64 {
    counts.gave_up + counts.turned_away + counts.never_fit + counts.failed
}

/// Pods that were not served: lost, or waiting when the run ended.
fn unserved(counts: &Counts) -> u64 {
    lost(counts) + counts.waiting
}

fn of(sample: &Sample, figure: f64) -> Option<f64> {
    (sample.count != 0).then_some(figure)
}

fn ratio(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}x") } else { format!("{}x", level(value)) }
}

fn money(value: f64) -> String {
    format!("{value:.2}")
}

/// Mean of a level, of how many, and the share: `51.2/64 80%`.
fn used(mean: f64, capacity: f64) -> String {
    if capacity == 0.0 {
        return level(mean);
    }
    format!("{}/{} {:>4}", level(mean), level(capacity), percent(mean / capacity))
}

/// Share of the bound pods that waited, where any was bound.
fn waited(summary: &Summary) -> Option<f64> {
    summary.classes.first().filter(|all| all.wait_s.count != 0).map(|all| all.waited)
}

/// A part of the time of GPUs, as a share of it.
fn gpu_time(summary: &Summary, part: fn(&GpuTime) -> f64) -> Option<f64> {
    let time = &summary.gpu_time;
    (time.total != 0.0).then(|| part(time) / time.total)
}

/// The longest 99th percentile of latency of the services.
pub(super) fn slowest(summary: &Summary) -> Option<f64> {
    let served = summary.services.iter().filter(|service| service.served != 0);
    served.map(|service| service.latency_s.p99).max_by(f64::total_cmp)
}

/// The least share of requests in time of the services that have a target.
pub(super) fn in_time(summary: &Summary) -> Option<f64> {
    summary.services.iter().filter_map(|service| service.target?.share).min_by(f64::total_cmp)
}

/// Requests that were lost, of all services.
pub(super) fn requests_lost(summary: &Summary) -> Option<f64> {
    let lost = summary.services.iter().map(|service| service.lost).sum::<u64>();
    (!summary.services.is_empty()).then_some(lost as f64)
}

use Shown::{Always, NonZero, Wide};

macro_rules! column {
    ($head:literal, $aspect:literal, $term:literal, $shown:expr, $better:ident, $show:path, |$s:ident| $value:expr) => {
        Column {
            head: $head,
            aspect: $aspect,
            term: $term,
            shown: $shown,
            better: Better::$better,
            of: |$s| $value,
            show: $show,
            capacity: None,
        }
    };
}

/// A column whose figure is a count of pods.
macro_rules! pods {
    ($head:literal, $aspect:literal, $term:literal, $shown:expr, $better:ident, |$c:ident| $n:expr) => {
        column!($head, $aspect, $term, $shown, $better, level, |s| {
            let $c = counts(s);
            Some($n as f64)
        })
    };
}

/// A column whose figure is one of a sample of all pods.
macro_rules! sample {
    ($head:literal, $aspect:literal, $term:literal, $shown:expr, $show:path, $sample:ident . $figure:ident) => {
        column!($head, $aspect, $term, $shown, LessIfServed, $show, |s| {
            let sample = all(s).$sample;
            of(&sample, sample.$figure)
        })
    };
}

/// A column whose figure is the mean of a level, with its capacity.
macro_rules! part {
    ($head:literal, $aspect:literal, $term:literal, $shown:expr, $level:ident) => {
        Column {
            capacity: Some(|s| s.$level.capacity),
            ..column!($head, $aspect, $term, $shown, Neither, level, |s| Some(s.$level.mean))
        }
    };
}

/// Every column, in the order of the widest table.
#[rustfmt::skip] // A table: one row a column.
pub(super) const COLUMNS: &[Column] = &[
    part!("GPUs", "allocated", "GPUs allocated", Always(1), gpus),
    column!("GPUs", "peak", "GPUs allocated", Wide, Neither, level, |s| Some(s.gpus.peak)),
    column!("GPUs", "touched", "GPUs touched", Wide, Neither, level, |s| Some(s.gpus_touched.mean)),
    column!("compute", "held", "GPU compute held", Wide, Neither, level, |s| Some(s.gpu_compute.mean)),
    column!("memory", "held", "GPU memory held", Wide, Neither, level, |s| Some(s.gpu_memory.mean)),
    column!("GPUs", "useful", "useful", Always(1), More, percent, |s| gpu_time(s, |t| t.useful)),
    column!("GPUs", "lost", "lost work", Wide, Neither, percent, |s| gpu_time(s, |t| t.lost)),
    column!("GPUs", "stalled", "stalled", Wide, Neither, percent, |s| gpu_time(s, |t| t.stalled)),
    column!("GPUs", "slowed", "slowed", Wide, Neither, percent, |s| gpu_time(s, |t| t.slowed)),
    column!("GPUs", "unneeded", "unneeded", Wide, Neither, percent, |s| gpu_time(s, |t| t.unneeded)),
    column!("GPUs", "unsched.", "unscheduled", Wide, Neither, percent, |s| gpu_time(s, |t| t.unscheduled)),
    column!("GPUs", "fragm.", "fragmented", Wide, Neither, percent, |s| gpu_time(s, |t| t.fragmented)),
    column!("GPUs", "unclaimed", "unclaimed", Wide, Neither, percent, |s| gpu_time(s, |t| t.unclaimed)),
    column!("GPUs", "unavail.", "unavailable", Wide, Neither, percent, |s| gpu_time(s, |t| t.unavailable)),
    column!("GPUs", "failed", "failed", Wide, Neither, percent, |s| gpu_time(s, |t| t.failed)),
    column!("useful", "GPU-hours", "useful GPU-hours", Wide, Neither, level, |s| Some(s.useful_gpu_hours)),
    sample!("wait", "mean", "wait", Always(2), seconds, wait_s.mean),
    sample!("wait", "p50", "p50", Wide, seconds, wait_s.p50),
    sample!("wait", "p90", "p90", Wide, seconds, wait_s.p90),
    sample!("wait", "p95", "p95 wait", Always(0), seconds, wait_s.p95),
    sample!("wait", "p99", "p99", Wide, seconds, wait_s.p99),
    sample!("wait", "max", "wait", Wide, seconds, wait_s.max),
    column!("waited", "", "waited", Wide, LessIfServed, percent, |s| waited(s)),
    sample!("slow-", "down", "slowdown", Always(4), ratio, slowdown.mean),
    sample!("slowdown", "p95", "slowdown", Wide, ratio, slowdown.p95),
    column!("requests", "in time", "in time", NonZero(1), More, fine_percent, |s| in_time(s)),
    column!("latency", "p99", "latency", Wide, Less, seconds, |s| slowest(s)),
    column!("requests", "lost", "requests lost", Wide, Less, level, |s| requests_lost(s)),
    pods!("pods", "", "pods", Wide, Neither, |c| c.total),
    pods!("finished", "", "finished", Always(0), More, |c| c.finished),
    pods!("running", "", "running", Wide, Neither, |c| c.running),
    pods!("waiting", "", "waiting", NonZero(3), Less, |c| c.waiting),
    pods!("lost", "", "lost", NonZero(2), Less, |c| lost(&c)),
    pods!("gave up", "", "gave up", Wide, Less, |c| c.gave_up),
    pods!("turned", "away", "turned away", Wide, Less, |c| c.turned_away),
    pods!("never", "fit", "never fit", Wide, Less, |c| c.never_fit),
    column!("queue", "mean", "queue", Always(5), LessIfServed, level, |s| Some(s.queue.mean)),
    column!("queue", "max", "queue", Always(6), LessIfServed, level, |s| Some(s.queue.peak)),
    part!("CPUs", "requested", "CPUs requested", Wide, cpus),
    column!("fairness", "spaces", "fairness", Wide, More, level, |s| s.fairness.namespaces),
    column!("fairness", "classes", "fairness", Wide, More, level, |s| s.fairness.classes),
    column!("cost", "", "cost", NonZero(8), LessIfServed, money, |s| s.cost),
    column!("cost per", "useful h", "cost per useful hour", NonZero(7), Less, money, |s| s.cost_per_useful_gpu_hour),
];

/// The columns of a table over `variants`.
pub(super) fn columns(variants: &[VariantResult], wide: bool) -> Vec<Column> {
    let any = |c: &Column| variants.iter().any(|v| c.value(v).is_some_and(|x| x != 0.0));
    COLUMNS
        .iter()
        .filter(|c| match c.shown {
            Always(_) => true,
            NonZero(_) => wide || any(c),
            Wide => wide,
        })
        .copied()
        .collect()
}

/// Which variants served about as many pods as the one that served most (99 % of them).
///
/// Waits and slowdowns of the others leave out the pods that were served worst.
pub(super) fn comparable(variants: &[VariantResult]) -> Vec<bool> {
    const ENOUGH: f64 = 0.99;
    let of = |s: &Summary| {
        let counts = counts(s);
        Some(if counts.total == 0 { 1.0 } else { 1.0 - unserved(&counts) as f64 / counts.total as f64 })
    };
    let share = |v: &VariantResult| v.mean(of).unwrap_or(1.0);
    let most = variants.iter().map(share).fold(0.0, f64::max);
    variants.iter().map(|v| most * ENOUGH <= share(v)).collect()
}

/// Which variants have the best value of a column; none where all look alike.
///
/// Values that print alike are alike: marking one of them would puzzle a reader.
pub(super) fn best(column: &Column, variants: &[VariantResult]) -> Vec<bool> {
    let nobody = vec![false; variants.len()];
    let eligible = match column.better {
        Better::Neither => return nobody,
        Better::LessIfServed => comparable(variants),
        Better::More | Better::Less => vec![true; variants.len()],
    };
    let sign = if column.better == Better::More { -1.0 } else { 1.0 };
    let texts: Vec<String> = variants.iter().map(|v| column.text(v)).collect();
    let ranked = |i: usize| column.value(&variants[i]).filter(|_| eligible[i]).map(|x| sign * x);
    let first = (0..variants.len())
        .filter(|&i| ranked(i).is_some())
        .min_by(|&a, &b| ranked(a).unwrap_or(f64::INFINITY).total_cmp(&ranked(b).unwrap_or(f64::INFINITY)));
    let Some(first) = first else { return nobody };
    if texts.iter().all(|t| *t == texts[first]) {
        return nobody;
    }
    (0..variants.len()).map(|i| ranked(i).is_some() && texts[i] == texts[first]).collect()
}

/// A variant's name, short enough to be read in a sentence.
fn short(variant: &VariantResult) -> String {
    const LONGEST: usize = 32;
    match variant.name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", variant.name[..end].trim_end()),
        None => variant.name.clone(),
    }
}

/// The answer in a few sentences, from the figures.
pub(super) fn answer(variants: &[VariantResult]) -> Vec<String> {
    let mut sentences = findings(variants);
    sentences.extend(targets(variants));
    sentences.extend(replications(variants));
    sentences
}

/// A sentence for each service that has a target: under which variants it holds.
fn targets(variants: &[VariantResult]) -> Vec<String> {
    let mut classes: Vec<&str> = Vec::new();
    for class in variants.iter().flat_map(VariantResult::services) {
        if !classes.contains(&class) {
            classes.push(class);
        }
    }
    classes.into_iter().filter_map(|class| target(variants, class)).collect()
}

fn target(variants: &[VariantResult], class: &str) -> Option<String> {
    let of = |v: &VariantResult| v.summary.service(class)?.target;
    let InTime { quantile, within_s, .. } = variants.iter().find_map(of)?;
    let what = format!("{} of the requests to {class} within {}", fine_percent(quantile), seconds(within_s));
    let alike = |v: &VariantResult| {
        of(v).is_some_and(|target| (target.quantile, target.within_s) == (quantile, within_s))
    };
    if !variants.iter().all(|v| alike(v) || of(v).is_none()) {
        return Some(format!("The targets of {class} differ; the table of requests has them."));
    }
    let with = |holds: Holds| -> Vec<String> {
        let those = variants.iter().filter(|v| v.holds(class) == Some(holds));
        let share = |v: &VariantResult| v.mean(|s| s.service(class)?.target?.share);
        let one = |v: &VariantResult| match (holds, share(v)) {
            (_, None) => format!("{} (no requests)", short(v)),
            (Holds::Met, Some(_)) => short(v),
            (_, Some(share)) => format!("{} ({})", short(v), fine_percent(share)),
        };
        those.map(one).collect()
    };
    let [met, missed, undecided] = [Holds::Met, Holds::Missed, Holds::Undecided].map(with);
    if let [one] = variants {
        let share = one.mean(|s| s.service(class)?.target?.share).map_or(NONE.to_owned(), fine_percent);
        let word = one.holds(class)?.word();
        return Some(format!("The target of {what} is {word}: {share} are."));
    }
    let mut parts = Vec::new();
    for (names, verb) in
        [(&met, "is met under"), (&missed, "is missed under"), (&undecided, "is undecided under")]
    {
        if !names.is_empty() {
            parts.push(format!("{verb} {}", list(names)));
        }
    }
    Some(format!("The target of {what} {}.", parts.join("; it ")))
}

/// What is a mean of several runs, and what is not.
fn replications(variants: &[VariantResult]) -> Option<String> {
    let runs = variants.iter().map(|v| v.replications.len()).max().filter(|runs| 1 < *runs)?;
    Some(format!(
        "Figures are means of {runs} runs with different seeds, ± half a 95% interval; pods not served and charts are those of the first run."
    ))
}

fn findings(variants: &[VariantResult]) -> Vec<String> {
    match variants {
        [] => vec!["There is nothing to compare: the scenario has no variants.".to_owned()],
        [one] => alone(one),
        _ if variants.iter().all(|v| counts(&v.summary).total == 0) => vec!["No pod arrived.".to_owned()],
        _ => {
            let mut sentences = vec![least_wait(variants)];
            sentences.extend(not_compared(variants));
            sentences.push(served(variants));
            sentences.extend(allocated(variants));
            sentences
        }
    }
}

fn alone(variant: &VariantResult) -> Vec<String> {
    let Group { counts, wait_s, waited, .. } = all(&variant.summary);
    if counts.total == 0 {
        return vec!["No pod arrived.".to_owned()];
    }
    let waits = if wait_s.count == 0 {
        "No pod was bound.".to_owned()
    } else if wait_s.max == 0.0 {
        "No pod waited.".to_owned()
    } else {
        let none = if waited < 1.0 {
            format!(", {} of them not at all", percent(1.0 - waited))
        } else {
            String::new()
        };
        format!(
            "Pods waited {} on average{none}; 95% waited at most {}, the longest {}.",
            seconds(wait_s.mean),
            seconds(wait_s.p95),
            seconds(wait_s.max)
        )
    };
    let mut sentences = vec![waits, format!("{}.", fate(&counts))];
    let gpus = variant.summary.gpus;
    if gpus.capacity != 0.0 {
        let share = percent(gpus.mean / gpus.capacity);
        sentences.push(format!(
            "{share} of the GPUs were allocated on average ({} of {}).",
            level(gpus.mean),
            level(gpus.capacity)
        ));
    }
    sentences
}

/// What became of the pods: `980 of 1,000 pods finished; 15 never fit, 5 still waited at the end`.
fn fate(counts: &Counts) -> String {
    if counts.finished == counts.total {
        return if counts.total == 1 {
            "The only pod finished".to_owned()
        } else {
            format!("All {} finished", human::pods(counts.total))
        };
    }
    format!("{} of {} finished; {}", count(counts.finished), human::pods(counts.total), others(counts, true))
}

/// The pods that did not finish, by fate.
fn others(counts: &Counts, running: bool) -> String {
    let fates = [
        (counts.never_fit, "never fit"),
        (counts.failed, "failed"),
        (counts.gave_up, "gave up"),
        (counts.turned_away, "turned away"),
        (counts.waiting, "still waiting at the end"),
        (if running { counts.running } else { 0 }, "still running at the end"),
    ];
    let parts: Vec<String> =
        fates.iter().filter(|f| f.0 != 0).map(|f| format!("{} {}", count(f.0), f.1)).collect();
    parts.join(", ")
}

fn least_wait(variants: &[VariantResult]) -> String {
    let fair = comparable(variants);
    let p95 = |i: usize| variants[i].mean(|s| Some(all(s).wait_s.p95)).unwrap_or(0.0);
    let mut order: Vec<usize> =
        (0..variants.len()).filter(|&i| fair[i] && all(&variants[i].summary).wait_s.count != 0).collect();
    order.sort_by(|&a, &b| p95(a).total_cmp(&p95(b)));
    let (Some(&least), Some(&most)) = (order.first(), order.last()) else {
        return "No pod was bound in any variant.".to_owned();
    };
    let texts = |i: usize| seconds(p95(i));
    if order.len() == 1 {
        let name = short(&variants[least]);
        return format!("{name} alone serves its pods: 95% of them wait at most {}.", texts(least));
    }
    if texts(least) == texts(most) {
        return if order.iter().all(|&i| all(&variants[i].summary).wait_s.max == 0.0) {
            "No pod waited in any variant.".to_owned()
        } else {
            format!("The variants wait alike: p95 {} in each.", texts(least))
        };
    }
    let named = |like: usize| -> Vec<String> {
        order.iter().filter(|&&i| texts(i) == texts(like)).map(|&i| short(&variants[i])).collect()
    };
    let winners = named(least);
    let verb = if winners.len() == 1 { "waits" } else { "wait" };
    format!(
        "{} {verb} least: p95 {} against {} for {}.",
        list(&winners),
        texts(least),
        texts(most),
        list(&named(most))
    )
}

fn not_compared(variants: &[VariantResult]) -> Option<String> {
    let fair = comparable(variants);
    let names: Vec<String> =
        variants.iter().zip(&fair).filter(|(_, fair)| !**fair).map(|(v, _)| short(v)).collect();
    let them = if names.len() == 1 { "its waits are those" } else { "their waits are those" };
    let verb = if names.len() == 1 { "serves" } else { "serve" };
    (!names.is_empty()).then(|| {
        format!(
            "{} {verb} fewer pods than the others; {them} of the served ones only, and are not compared.",
            list(&names)
        )
    })
}

fn served(variants: &[VariantResult]) -> String {
    const SHOWN: usize = 3;
    let mut left: Vec<&VariantResult> =
        variants.iter().filter(|v| unserved(&counts(&v.summary)) != 0).collect();
    if left.is_empty() {
        return "Every variant serves every pod.".to_owned();
    }
    left.sort_by_key(|v| std::cmp::Reverse(unserved(&counts(&v.summary))));
    let total = |v: &VariantResult| counts(&v.summary).total;
    let mut parts: Vec<String> = left
        .iter()
        .take(SHOWN)
        .map(|v| {
            let counts = counts(&v.summary);
            format!(
                "{} leaves {} of {} ({})",
                short(v),
                count(unserved(&counts)),
                count(total(v)),
                others(&counts, false)
            )
        })
        .collect();
    if SHOWN < left.len() {
        parts.push(format!("{} more leave some", left.len() - SHOWN));
    }
    let rest = if left.len() == variants.len() { "" } else { "; the others serve all" };
    format!("Pods not served: {}{rest}.", parts.join("; "))
}

fn allocated(variants: &[VariantResult]) -> Option<String> {
    let share = |v: &VariantResult| v.mean(|s| Some(s.gpus.mean)).unwrap_or(0.0) / v.summary.gpus.capacity;
    let mut order: Vec<&VariantResult> = variants.iter().filter(|v| share(v).is_finite()).collect();
    order.sort_by(|a, b| share(a).total_cmp(&share(b)));
    let (least, most) = (order.first()?, order.last()?);
    let (low, high) = (percent(share(least)), percent(share(most)));
    Some(if low == high {
        format!("GPUs are allocated {low} on average in each.")
    } else {
        format!("GPUs are allocated {low} ({}) to {high} ({}) on average.", short(least), short(most))
    })
}
