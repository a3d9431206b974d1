//! A cluster whose nodes share GPUs in several ways: pods that need whole GPUs go one way, the
//! others another, and the levels by mode add up to the level of all.

use slicewise::experiment::{Inputs, worlds};
use slicewise::scenario::{Known, load};
use slicewise::sched::score;
use slicewise::workload::request::Sharing;
use std::collections::BTreeMap;
use std::path::Path;

const MIXED: &str = "
name: mixed
workload:
  trace: builtin:quickstart
  translation: {to: mig, whole_to: whole}
cluster:
  nodes:
    - {name: whole, cpu: 96, memory: 384GiB, gpus: {model: a100-40gb, count: 4}}
    - {name: cut, count: 2, cpu: 96, memory: 384GiB, gpus: {model: a100-40gb, count: 4}, mode: {mig: [3g, 2g, 1g, 1g]}}
";

#[test]
fn modes_add_up() {
    let none = BTreeMap::new();
    let known = Known::builtin(&score::BUILT_IN, &none);
    let (mut file, _) = load(MIXED, "mixed.yaml", &known).expect("a good scenario");
    let worlds = worlds(&mut file, &Inputs::beside(Path::new(""), "mixed.yaml"), &[]).expect("it can be run");
    let run = worlds.into_iter().next().expect("one variant").run(&|_| ());
    let summary = &run.result.summary;
    let modes: Vec<Sharing> = summary.gpus_by_mode.iter().map(|level| level.mode).collect();
    assert_eq!(modes, [Sharing::Whole, Sharing::Mig]);
    let capacities: Vec<f64> = summary.gpus_by_mode.iter().map(|level| level.gpus.capacity).collect();
    assert_eq!(capacities, [4.0, 8.0]);
    let mean: f64 = summary.gpus_by_mode.iter().map(|level| level.gpus.mean).sum();
    assert!((mean - summary.gpus.mean).abs() < 1e-9, "{mean} of {}", summary.gpus.mean);
    assert!(summary.gpus_by_mode.iter().all(|level| 0.0 < level.gpus.mean));
    let timeline = &run.result.timeline;
    for (step, all) in timeline.gpus.iter().enumerate() {
        let sum: f64 = timeline.gpus_by_mode.iter().map(|(_, gpus)| gpus[step]).sum();
        assert!((sum - all).abs() < 1e-9, "step {step}: {sum} of {all}");
    }
    assert_eq!(summary.classes[0].counts.finished, 420);
}
