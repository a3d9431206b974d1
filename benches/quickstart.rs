//! A thousand runs of the quickstart: its four variants under 250 seeds each, on all cores, each
//! run with its figures (PRODUCT §7: under a minute on 2 cores).

use criterion::{Criterion, criterion_group, criterion_main};
use slicewise::experiment::{Inputs, QUICKSTART, replicate};
use slicewise::scenario::resolved::ScenarioFile;
use slicewise::scenario::{Known, load};
use slicewise::sched::score;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;

fn quickstart() -> ScenarioFile {
    let none = BTreeMap::new();
    let known = Known::builtin(&score::BUILT_IN, &none);
    load(QUICKSTART, "quickstart.yaml", &known).expect("the quickstart is a scenario").0
}

fn thousand(criterion: &mut Criterion) {
    let file = quickstart();
    let inputs = Inputs::beside(Path::new(""), "quickstart.yaml");
    let small = std::env::args().any(|arg| arg == "--test");
    let seeds: Vec<u64> = (1..=if small { 2 } else { 250 }).collect();
    let runs = seeds.len() * file.variants.len();
    let mut group = criterion.benchmark_group("quickstart");
    group.sample_size(10);
    group.bench_function(format!("{runs} runs"), |bencher| {
        bencher.iter(|| {
            for variant in &file.variants {
                black_box(replicate(variant, &inputs, &seeds).expect("it runs"));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, thousand);
criterion_main!(benches);
