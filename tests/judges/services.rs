//! The table of services: requests to one pod that has a GPU of its own are a queue of the textbook.
//!
//! One unit of time is a second, which has 10⁶ ticks. Each run starts empty and drops nothing: of 10⁴ requests
//! and more the first few dozen see it, a hundredth of what a value may be off.

use super::{Cell, Judged, judge};
use slicewise::metrics::Summary;
use slicewise::stats::queueing::{mg1_wait, mmc_wait};

fn latency(run: &Summary, _: usize) -> f64 {
    run.services[0].latency_s.mean
}

/// A share of M/M/1's times, exponential with rate 1 − ρ, that is at most the target's time.
fn in_time(run: &Summary, _: usize) -> f64 {
    run.services[0].target.and_then(|target| target.share).expect("requests came")
}

/// `JOBS` units of time of a pod that takes requests of mean 1.
fn serves(rate: f64, request: &str, concurrency: u32, within: f64) -> String {
    format!(
        "name: judge
workload:
  generate:
    pods: 1
    arrivals: at-once
    classes:
      - {{name: all, cpu: 0, memory: 0, gpu: {{whole: 1}}, work: {{constant: {{mean: JOBSs}}}}}}
cluster:
  nodes: [{{name: n, cpu: 1, memory: 1GiB, gpus: {{model: a100-80gb, count: 1}}, mode: whole}}]
scheduler: {{profile: ideal, scores: []}}
models:
  services:
    all: {{request: {request}, arrivals: {{poisson: {{per_second: {rate}}}}}, concurrency: {concurrency},
      target: {{within: {within}s}}}}
report: {{gpus_shown: 0}}
"
    )
}

#[test]
fn services_alone() {
    let mean = |theory| Judged { name: "E[T]".to_owned(), theory, of: latency, index: 0 };
    let shapes = [
        ("M/M/1 ρ=.5", 0.5, "{exponential: {mean: 1s}}", 1.0),
        ("M/M/1 ρ=.8", 0.8, "{exponential: {mean: 1s}}", 1.0),
        ("M/D/1 ρ=.8", 0.8, "{constant: {mean: 1s}}", 0.0),
        ("M/H2/1 ρ=.5 scv=4", 0.5, "{hyperexponential: {mean: 1s, scv: 4}}", 4.0),
    ];
    let cell = |(name, rate, law, scv): (&str, f64, &str, f64)| {
        let mut judged = vec![mean(1.0 + mg1_wait(rate, scv))];
        if scv == 1.0 {
            let theory = 1.0 - libm::exp(-3.0 * (1.0 - rate));
            judged.push(Judged { name: "P(T ≤ 3)".to_owned(), theory, of: in_time, index: 0 });
        }
        Cell { name: name.to_owned(), yaml: serves(rate, law, 1, 3.0), judged }
    };
    let mut cells: Vec<Cell> = shapes.map(cell).into();
    cells.push(Cell {
        name: "M/M/4 ρ=.8".to_owned(),
        yaml: serves(3.2, "{exponential: {mean: 1s}}", 4, 3.0),
        judged: vec![mean(1.0 + mmc_wait(4, 3.2))],
    });
    judge("services", &cells);
}
