//! Sharing models: a GPU whose residents come and go, and whole runs with models on and off.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use slicewise::experiment::{Inputs, World, worlds};
use slicewise::scenario::{Known, load};
use slicewise::sched::score;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

fn world(yaml: &str) -> World {
    let none = BTreeMap::new();
    let known = Known::builtin(&score::BUILT_IN, &none);
    let (mut file, _) = load(yaml, "bench.yaml", &known).expect("a good scenario");
    let inputs = Inputs::beside(Path::new(""), "bench.yaml");
    worlds(&mut file, &inputs, &[]).expect("a good world").remove(0)
}

/// One GPU with 48 MPS clients always, whose jobs of several classes wait in line: each job that ends
/// makes room for another, so a pod is two changes of the residents.
fn crowded(pods: u64, sharing: bool, mode: &str, to: &str) -> String {
    let classes = ["saturating", "medium", "light", "small-batch", "launch-bound", "host-bound"];
    let class = |(i, _): (usize, &&str)| {
        format!(
            "      - {{name: c{i}, cpu: 0, memory: 0, gpu: {{share: 1}}, work: {{exponential: {{mean: 1h}}}}}}\n"
        )
    };
    let made: String = classes.iter().enumerate().map(class).collect();
    let named: Vec<String> = classes.iter().enumerate().map(|(i, name)| format!("c{i}: {name}")).collect();
    format!(
        "name: bench
workload:
  translation: {{to: {to}, product: a100-80gb}}
  generate:
    pods: {pods}
    arrivals: {{poisson: {{per_hour: 1000000}}}}
    classes:
{made}cluster:
  nodes: [{{name: n, cpu: 1, memory: 1GiB, pods: 1000, gpus: {{model: a100-80gb, count: 1}}, mode: {mode}}}]
scheduler: {{profile: ideal, scores: []}}
models: {{sharing: {sharing}, classes: {{{}}}}}
report: {{gpus_shown: 0}}
",
        named.join(", ")
    )
}

fn residents(c: &mut Criterion) {
    // A million changes; few under `--test`.
    let pods = if std::env::args().any(|arg| arg == "--test") { 5_000 } else { 500_000 };
    let mut group = c.benchmark_group("residents");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    group.throughput(Throughput::Elements(2 * pods));
    for (name, mode, to) in [
        ("48 MPS clients", "{mps: {memory: {clients: 48}}}", "mps"),
        ("48 time-slicing replicas", "{time-slicing: {replicas: 48}}", "time-slicing"),
    ] {
        for sharing in [false, true] {
            let world = world(&crowded(pods, sharing, mode, to));
            let models = if sharing { "models" } else { "no models" };
            group.bench_function(format!("{name}, {models}"), |b| {
                b.iter(|| black_box(world.simulate(&mut ())))
            });
        }
    }
    group.finish();
}

/// The quickstart's four variants, with its models and without them.
fn whole_runs(c: &mut Criterion) {
    let mut group = c.benchmark_group("quickstart");
    group.sample_size(20);
    for sharing in ["true", "false"] {
        let yaml = slicewise::experiment::QUICKSTART.replace("sharing: true", &format!("sharing: {sharing}"));
        let none = BTreeMap::new();
        let known = Known::builtin(&score::BUILT_IN, &none);
        let (mut file, _) = load(&yaml, "bench.yaml", &known).expect("a good scenario");
        let inputs = Inputs::beside(Path::new(""), "bench.yaml");
        let worlds = worlds(&mut file, &inputs, &[]).expect("good worlds");
        group.bench_function(format!("sharing: {sharing}"), |b| {
            b.iter(|| worlds.iter().map(|world| world.simulate(&mut ()).events).sum::<u64>());
        });
    }
    group.finish();
}

criterion_group!(benches, residents, whole_runs);
criterion_main!(benches);
