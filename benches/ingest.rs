//! How fast a native trace is read: bytes a second of a synthetic file in memory, hashing included.
//!
//! The floor is 1 GB a minute (17 MB/s). `cargo bench --bench ingest`; under `--test` the file is
//! small. A round ends with an assertion on what was read, so that nobody is fast by reading less.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use slicewise::trace::spec::{Arrivals, Assume, BadRows, ClassSpec, Format, Generate, GpuSpec, Law, Source};
use slicewise::trace::{generate, read, write_native};
use slicewise::units::{Mib, MilliCpu, Span};
use std::hint::black_box;

/// Pods of the file: some 60 MB, beyond every cache.
const PODS: u64 = 1_000_000;

fn spec(pods: u64) -> Generate {
    let work = Law::Lognormal { mean: Span::from_secs(3_600), scv: 4.0 };
    let class = |name: &str, gpu| ClassSpec {
        name: name.to_owned(),
        weight: 1.0,
        cpu: MilliCpu(8_000),
        memory: Mib(32_768),
        gpu,
        work,
        priority: 2,
        namespace: "research".to_owned(),
    };
    Generate {
        pods,
        arrivals: Arrivals::Poisson { per_hour: 3_600.0 },
        classes: vec![
            class("training", GpuSpec::Whole(1)),
            class("inference", GpuSpec::Share(vec![(250, 1.0), (500, 1.0)])),
        ],
    }
}

fn ingest(criterion: &mut Criterion) {
    let pods = if std::env::args().any(|argument| argument == "--test") { 1_000 } else { PODS };
    let source = Source {
        file: "synthetic.csv".to_owned(),
        format: Format::Native,
        bad_rows: BadRows::Refuse,
        class: None,
        namespace: None,
        assume: Assume::default(),
        sha256: None,
    };
    let mut text = Vec::new();
    write_native(&generate(&spec(pods), 1), &mut text).expect("a vector takes all bytes");
    let mut group = criterion.benchmark_group("ingest");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(text.len() as u64)).bench_function("native", |bencher| {
        bencher.iter(|| {
            let loaded = read(&source, black_box(text.as_slice())).expect("our own file");
            assert_eq!(loaded.workload.len() as u64, pods);
        });
    });
    group.throughput(Throughput::Elements(pods)).bench_function("generate", |bencher| {
        bencher.iter(|| assert_eq!(generate(black_box(&spec(pods)), 1).len() as u64, pods));
    });
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
