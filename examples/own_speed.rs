//! A sharing model of one's own, against the built-in one on the same pods.
//!
//! ```text
//! cargo run --example own_speed
//! ```
//!
//! A model is one implementation of [`SpeedModel`]: how much each resident of a GPU is slowed. This one
//! lets pods take turns without loss, whatever they do, as a first guess would have it.
#![expect(clippy::print_stdout, reason = "an example prints")]

use slicewise::cluster::Share;
use slicewise::experiment::{self, Inputs, World};
use slicewise::perf::{Resident, SpeedModel};
use slicewise::scenario::{self, Known};
use slicewise::sched::score;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// n pods on a GPU each take n times as long.
#[derive(Debug)]
struct TakingTurns;

impl SpeedModel for TakingTurns {
    fn slowdowns(&self, share: &Share, residents: &[Resident], out: &mut Vec<f64>) {
        // A MIG slice has no neighbours; here it is as fast as the GPU.
        let n = if matches!(share, Share::Slices { .. }) { 1 } else { residents.len() };
        out.extend(residents.iter().map(|_| n as f64));
    }
}

/// Host-bound pods, which hardly slow each other by the built-in model.
const SCENARIO: &str = "\
name: own speed
seed: 7
workload:
  generate:
    pods: 500
    arrivals: {poisson: {per_hour: 12}}
    classes: [{name: notebook, cpu: 1, memory: 4GiB, gpu: {share: 250}, work: {exponential: {mean: 1h}}}]
cluster:
  nodes: [{name: gpu, cpu: 96, memory: 384GiB, gpus: {model: a100-40gb, count: 4}, mode: {time-slicing: {replicas: 4}}}]
models: {sharing: true, classes: {notebook: host-bound}}
";

fn main() {
    print!("{}", text());
}

/// What it prints.
pub(crate) fn text() -> String {
    let (built_in, mut own) = (world(), world());
    own.set_speed_model(Arc::new(TakingTurns));
    [("built-in", built_in), ("taking turns", own)]
        .into_iter()
        .map(|(name, world)| {
            let (summary, _) = world.summary();
            let all = &summary.classes[0];
            format!("{name}: slowdown {:.2}, mean wait {:.0} s\n", all.slowdown.mean, all.wait_s.mean)
        })
        .collect()
}

fn world() -> World {
    let none = BTreeMap::new();
    let (mut file, _) = scenario::load(SCENARIO, "own_speed.yaml", &Known::builtin(&score::BUILT_IN, &none))
        .expect("the scenario is good");
    let inputs = Inputs::beside(Path::new(""), "own_speed.yaml");
    experiment::worlds(&mut file, &inputs, &[]).expect("it can be run").remove(0)
}
