//! A scoring policy of one's own, against a built-in one on the same pods.
//!
//! ```text
//! cargo run --example own_score
//! ```
//!
//! A policy is one implementation of [`Score`]: a name, and how good a node that fits is, 0 to 100.
//! This one packs GPUs, so that nodes with all their GPUs free remain for pods that want several at
//! once. `least-allocated`, kube-scheduler's default, spreads and leaves a GPU here and a GPU there.
#![expect(clippy::print_stdout, reason = "an example prints")]

use slicewise::experiment::{self, Inputs};
use slicewise::scenario::{self, Known};
use slicewise::sched::score::{self, NodeView, Score};
use slicewise::workload::request::Request;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Prefers the node that would have the fewest GPUs left.
struct PackGpus;

impl Score for PackGpus {
    fn name(&self) -> &str {
        "pack-gpus"
    }

    /// Depends on the request and the node alone, since scores are remembered until a node changes.
    fn score(&self, request: &Request, node: NodeView<'_>) -> i64 {
        let free: i64 = node.cluster.gpu_free(node.node).iter().map(|free| i64::from(*free)).sum();
        let full = i64::from(node.class.gpus) * i64::from(node.class.full());
        let asked = request.gpu.map_or(0, |gpu| i64::from(gpu.count));
        // A node without GPUs is the best for a pod that wants none.
        (full - (free - asked)).checked_mul(100).and_then(|used| used.checked_div(full)).unwrap_or(100)
    }
}

/// Pods of one, two, four and eight GPUs on eight nodes of eight.
const SCENARIO: &str = "\
name: own score
seed: 7
workload:
  generate:
    pods: 2000
    arrivals: {poisson: {per_hour: 26}}
    classes:
      - {name: one, weight: 60, cpu: 4, memory: 16GiB, gpu: {whole: 1}, work: {exponential: {mean: 1h}}}
      - {name: two, weight: 20, cpu: 8, memory: 32GiB, gpu: {whole: 2}, work: {exponential: {mean: 1h}}}
      - {name: four, weight: 12, cpu: 16, memory: 64GiB, gpu: {whole: 4}, work: {exponential: {mean: 1h}}}
      - {name: eight, weight: 8, cpu: 32, memory: 128GiB, gpu: {whole: 8}, work: {exponential: {mean: 1h}}}
cluster:
  nodes: [{name: gpu, count: 8, cpu: 96, memory: 384GiB, gpus: {model: a100-40gb, count: 8}}]
variants:
  - {name: spread, scheduler: {score: least-allocated}}
  - {name: pack, scheduler: {score: pack-gpus}}
";

fn main() {
    print!("{}", text());
}

/// What the example prints.
pub(crate) fn text() -> String {
    let own: Arc<dyn Score> = Arc::new(PackGpus);

    // The scenario may name the policy as it names the built-in ones, a misspelling included.
    let names: Vec<&str> = score::BUILT_IN.into_iter().chain([own.name()]).collect();
    let known = Known::builtin(&names, &BTreeMap::new());
    let (mut file, _) = scenario::load(SCENARIO, "own_score", &known).expect("a good scenario");
    let inputs = Inputs::beside(Path::new(""), "own_score");
    let runs = experiment::run(&mut file, &inputs, &[own], &|_, _| {}).expect("a scenario that runs");

    let mut text = format!("{:<8}{:>12}{:>16}\n", "score", "mean wait", "of 8-GPU pods");
    for run in &runs {
        let classes = &run.result.summary.classes;
        let wait = |name: &str| {
            classes.iter().find(|class| class.name == name).expect("a class of the scenario").wait_s.mean
        };
        text += &format!("{:<8}{:>10.0} s{:>14.0} s\n", run.result.name, wait("all"), wait("eight"));
    }
    text
}
