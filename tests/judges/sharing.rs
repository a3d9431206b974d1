//! The tables of the sharing models and of failures.
//!
//! A shared GPU is a processor-sharing queue: the mean time in it follows from the number of jobs in it by
//! Little's law, and without a limit on residents it does not depend on the distribution of work.

use super::{Cell, Judged, full, judge};
use slicewise::metrics::Summary;
use slicewise::stats::queueing::{Shared, processor_sharing};
use slicewise::stats::reliability::{checkpointed, restarted, units_down};

/// Seconds of one unit of time.
const UNIT: f64 = 1_000.0;

/// Seconds of one hour of the tables of failures: a pod that is lost comes back after some seconds, which
/// must vanish.
const HOUR: f64 = 1e6;

fn judged(name: &str, theory: f64, index: usize, of: fn(&Summary, usize) -> f64) -> Judged {
    Judged { name: name.to_owned(), theory, of, index }
}

/// Rates of arrival by thousandths, so that a judged figure can divide by its own.
fn time(run: &Summary, rate: usize) -> f64 {
    (run.queue.mean + run.running.mean) / (rate as f64 / 1_000.0)
}

fn wait(run: &Summary, _: usize) -> f64 {
    run.classes[0].wait_s.mean / UNIT
}

fn busy(run: &Summary, _: usize) -> f64 {
    run.gpus_touched.mean
}

/// One GPU in `mode`, jobs that each ask for a little of it and behave alike.
fn shared(mode: &str, to: &str, rate: f64, law: &str, models: &str) -> String {
    let per_hour = rate * 3_600.0 / UNIT;
    let model = if mode.contains("time-slicing") { "G2" } else { "a100-80gb" };
    format!(
        "name: judge
workload:
  translation: {{{to}}}
  generate:
    pods: JOBS
    arrivals: {{poisson: {{per_hour: {per_hour}}}}}
    classes:
      - {{name: all, cpu: 0, memory: 0, gpu: {{share: 1}}, work: {law}}}
cluster:
  nodes: [{{name: n, cpu: 1, memory: 1GiB, pods: 1000, gpus: {{model: {model}, count: 1}}, mode: {mode}}}]
scheduler: {{profile: ideal, scores: []}}
models: {{sharing: true, {models}}}
report: {{warm_up: 0.1, until: last-arrival, gpus_shown: 0}}
"
    )
}

const EXPONENTIAL: &str = "{exponential: {mean: 1000s}}";
const LAWS: [(&str, &str); 3] = [
    ("exponential", EXPONENTIAL),
    ("constant", "{constant: {mean: 1000s}}"),
    ("lognormal", "{lognormal: {mean: 1000s, scv: 4}}"),
];

fn cell(name: String, yaml: String, rate: f64, theory: Shared) -> Cell {
    let mut judged = vec![
        judged("E[T]", theory.time, (rate * 1_000.0) as usize, time),
        judged("P(busy)", theory.busy, 0, busy),
    ];
    if theory.wait != 0.0 {
        judged.push(self::judged("Wq", theory.wait, 0, wait));
    }
    Cell { name, yaml, judged }
}

#[test]
fn shared_gpus() {
    let slicing = |loss: f64| move |n: u32| if n == 1 { 1.0 } else { 1.0 / (1.0 + loss) };
    let mps = |u: f64| move |n: u32| f64::from(n) / (1.0 + 0.1 * f64::from(n - 1) * u).max(f64::from(n) * u);
    let replicas = |n: u32| (format!("{{time-slicing: {{replicas: {n}}}}}"), "to: time-slicing".to_owned());
    let clients = |n: u32| {
        let to = "to: mps, product: a100-80gb".to_owned();
        (format!("{{mps: {{memory: {{clients: {n}}}}}}}"), to)
    };
    let alike = |host: f64, fill: f64| format!("default: {{host: {host}, fill: {fill}}}");
    let mut cells = Vec::new();
    let mut open =
        |name: &str, rate: f64, (mode, to): (String, String), models: String, theory, short: bool| {
            for (law, work) in LAWS {
                if short || full() {
                    cells.push(cell(
                        format!("{name} λ={rate} {law}"),
                        shared(&mode, &to, rate, work, &models),
                        rate,
                        theory,
                    ));
                }
            }
        };
    let lossless = format!("{}, time_slicing: {{loss: 0}}", alike(0.0, 1.0));
    open("plain", 0.8, replicas(400), lossless, processor_sharing(0.8, slicing(0.0), None), false);
    for rate in [0.6, 0.8] {
        let theory = processor_sharing(rate, slicing(0.11), None);
        open("time-slicing", rate, replicas(400), alike(0.0, 1.0), theory, rate < 0.7);
    }
    for rate in [1.5, 2.0] {
        let theory = processor_sharing(rate, mps(0.4), None);
        open("MPS u=.4", rate, clients(400), alike(0.0, 0.4), theory, rate < 1.8);
    }
    open("MPS u=.25", 3.0, clients(400), alike(0.0, 0.25), processor_sharing(3.0, mps(0.25), None), true);
    for (name, rate, (mode, to), models, theory) in [
        (
            "time-slicing of 7",
            0.8,
            replicas(7),
            alike(0.0, 1.0),
            processor_sharing(0.8, slicing(0.11), Some(7)),
        ),
        ("MPS of 4", 2.0, clients(4), alike(0.0, 0.4), processor_sharing(2.0, mps(0.4), Some(4))),
        (
            "MIG 7×1g",
            1.5,
            ("{mig: {1g.10gb: 7}}".to_owned(), "to: mig, product: a100-80gb".to_owned()),
            "default: {host: 0, fill: 1, speeds: {1: 0.25}}".to_owned(),
            processor_sharing(1.5, |n| 0.25 * f64::from(n), Some(7)),
        ),
    ] {
        if full() {
            let yaml = shared(&mode, &to, rate, EXPONENTIAL, &models);
            cells.push(cell(format!("{name} λ={rate}"), yaml, rate, theory));
        }
    }
    judge("sharing", &cells);
}

/// Jobs that each find a GPU of their own, on nodes that fail.
fn failing(work: f64, mtbf: f64, repair: f64, life: &str) -> String {
    let per_day = 86_400.0 / (mtbf * HOUR);
    let (work, repair) = (work * HOUR, repair * HOUR);
    format!(
        "name: judge
workload:
  changes: {{draw: {{bootstrap: {{pods: JOBS, arrivals: at-once}}}}}}
  generate:
    pods: 1
    arrivals: {{poisson: {{per_hour: 1}}}}
    classes:
      - {{name: all, cpu: 0, memory: 0, gpu: {{whole: 1}}, work: {{constant: {{mean: {work}s}}}}}}
cluster:
  nodes: [{{name: n, count: 2000, cpu: 1, memory: 1GiB, gpus: {{model: G2, count: 1}}}}]
scheduler: {{profile: ideal, scores: []}}
models:
  life: {{resume: 0s, {life}}}
  failures:
    gpu: {{per_day: 0}}
    node: {{per_day: {per_day}, repair: {repair}s, evicted_after: 1000000000s}}
report: {{gpus_shown: 0}}
"
    )
}

fn slowdown(run: &Summary, work: usize) -> f64 {
    run.classes[0].slowdown.mean * work as f64
}

/// From first start to finish of a job that always has a GPU, in hours: it waits for a repair as long as
/// that takes, and goes on on a GPU that is up.
#[test]
fn restarts() {
    let root = libm::sqrt(2.0 * 0.05 * 100.0);
    let pieces = |every: f64| {
        let (every, cost) = (every * HOUR, 0.05 * HOUR);
        format!("checkpoint: {{every: {every}s, cost: {cost}s}}")
    };
    let none = String::new;
    let cells: Vec<Cell> = [
        ("W=24 from zero", 24.0, 0.0, none(), restarted(24.0, 100.0, 0.0)),
        ("W=100 from zero", 100.0, 0.5, none(), restarted(100.0, 100.0, 0.5)),
        ("τ=2", 100.0, 0.5, pieces(2.0), checkpointed(100.0, 100.0, 0.5, 2.0, 0.05)),
        ("τ=√(2C/λ)", 100.0, 0.5, pieces(root), checkpointed(100.0, 100.0, 0.5, root, 0.05)),
    ]
    .into_iter()
    .map(|(name, work, repair, life, theory)| Cell {
        name: name.to_owned(),
        yaml: failing(work, 100.0, repair, &life),
        judged: vec![judged("E", theory, work as usize, slowdown)],
    })
    .collect();
    judge("restarts", &cells);
}

/// GPUs that are down at a time, on a cluster where one pod runs beside them for so long.
#[test]
fn repair_crews() {
    let cells: Vec<Cell> = [(10, Some(1), 0.05, 1.0), (64, Some(4), 0.01, 0.25), (8, None, 0.05, 1.0)]
        .into_iter()
        .map(|(units, crews, fails, repairs): (u32, Option<u32>, f64, f64)| {
            let per_day = fails * 86_400.0 / UNIT;
            let swap = UNIT / repairs;
            let limit = crews.map_or(String::new(), |crews| format!(", crews: {crews}"));
            Cell {
                name: format!("N={units} r={}", crews.unwrap_or(units)),
                yaml: format!(
                    "name: judge
workload:
  generate:
    pods: 1
    arrivals: {{poisson: {{per_hour: 3600}}}}
    classes: [{{name: all, cpu: 0, memory: 0, gpu: none, work: {{constant: {{mean: JOBS000s}}}}}}]
cluster:
  nodes: [{{name: n, cpu: 1, memory: 1GiB, gpus: {{model: G2, count: {units}}}}}]
scheduler: {{profile: ideal, scores: []}}
models:
  failures: {{gpu: {{per_day: {per_day}, swap: {swap}s}}, node: {{per_day: 0}}{limit}}}
report: {{gpus_shown: 0}}
"
                ),
                judged: vec![judged(
                    "down",
                    units_down(units, crews.unwrap_or(units), fails, repairs),
                    units as usize,
                    |run, units| run.gpu_time.failed / run.gpu_time.total * units as f64,
                )],
            }
        })
        .collect();
    judge("repair crews", &cells);
}
