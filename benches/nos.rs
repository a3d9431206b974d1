//! Plans of the nos planner: the sizes of PRODUCT §7, on clusters where most is free and where most is
//! used.
//!
//! `cargo bench --bench nos` measures the sizes of the budget (10 ms); `cargo bench --bench nos --
//! --test` runs small ones once. Each prints a hash of its plan, so that nobody speeds it up by
//! changing it. A plan is made from a snapshot that is kept, as the simulator keeps it.
#![expect(clippy::print_stdout, reason = "the hash of each plan is said")]

use criterion::{Criterion, criterion_group, criterion_main};
use sha2::{Digest, Sha256};
use slicewise::id::NodeId;
use slicewise::partition::nos::names::{Kind, Texts};
use slicewise::partition::nos::{
    First, Fixes, NodeText, Pod, Resources, Settings, Shape, Snapshot, Tables, build, plan,
};
use slicewise::rng::Stream;
use std::time::Duration;

/// Nodes or pods; few under `--test`.
fn size(full: u64) -> u64 {
    if std::env::args().any(|arg| arg == "--test") { full / 20 } else { full }
}

fn slices(kind: Kind) -> [&'static str; 4] {
    match kind {
        Kind::Mig => ["1g.5gb", "2g.10gb", "3g.20gb", "7g.40gb"],
        Kind::Mps => ["4gb", "10gb", "20gb", "40gb"],
    }
}

/// What stands on one GPU: used and free slices.
fn standing(kind: Kind, full: bool, stream: &mut Stream) -> Vec<(&'static str, &'static str, u64)> {
    let [small, medium, large, whole] = slices(kind);
    match (full, stream.below(10)) {
        (true, 0) => vec![(large, "used", 1), (large, "free", 1)],
        (true, 1) => vec![(medium, "used", 2), (large, "used", 1)],
        (true, 2..4) => vec![(small, "used", 1), (medium, "used", 3)],
        (true, 4..6) => vec![(large, "used", 2)],
        (true, 6) => vec![(small, "used", 6), (small, "free", 1)],
        (true, _) => vec![(whole, "used", 1)],
        (false, 0..3) => vec![(small, "used", 2), (small, "free", 5)],
        (false, 3) => vec![(large, "used", 1), (large, "free", 1)],
        (false, _) => vec![(small, "free", 7)],
    }
}

fn snapshot(kind: Kind, nodes: u64, full: bool) -> Snapshot {
    let mut stream = Stream::new(1, "bench", nodes);
    let mut snapshot = Snapshot::new(kind, &Tables::deployed());
    for node in 0..nodes {
        let mut annotations = Texts::new();
        let mut allocatable =
            Resources { cpu_milli: 96_000, memory_bytes: 1 << 40, pods: 110, ..Resources::default() };
        let mut requested = Resources { cpu_milli: 16_000, memory_bytes: 1 << 38, ..Resources::default() };
        for gpu in 0..8 {
            for (profile, status, count) in standing(kind, full, &mut stream) {
                let key = format!("nos.nebuly.com/status-gpu-{gpu}-{profile}-{status}");
                annotations.insert(key, count.to_string());
                let resource = snapshot.names_mut().profile(kind, profile);
                allocatable.scalars.add(resource, count as i64);
                if status == "used" {
                    requested.scalars.add(resource, count as i64);
                }
            }
        }
        let labels = [
            ("nvidia.com/gpu.product", "NVIDIA-A100-SXM4-40GB"),
            ("nvidia.com/gpu.count", "8"),
            ("nvidia.com/gpu.memory", "40960"),
        ];
        let text = NodeText {
            id: NodeId(node as u32),
            name: format!("node-{node}"),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            annotations,
            allocatable,
            requested,
            pods: 8,
            ports: Vec::new(),
        };
        let node = build(&mut snapshot, text, Fixes::NONE).expect("a valid node");
        snapshot.insert(node);
    }
    snapshot
}

/// Pods of many shapes, as traces have them, one in ten without slices.
fn pods(snapshot: &mut Snapshot, count: u64) -> (Vec<Shape>, Vec<Pod>) {
    let kind = snapshot.kind();
    let mut stream = Stream::new(2, "bench", count);
    let mut shapes: Vec<Shape> = Vec::new();
    let mut pods = Vec::new();
    for _ in 0..count {
        let cpu_milli = 500 * (1 + stream.below(40)) as i64;
        let mut requests = Resources { cpu_milli, memory_bytes: 1 << 30, ..Resources::default() };
        let slice = stream.below(10) as usize;
        if 0 < slice {
            let profile = slices(kind)[[0, 0, 0, 0, 1, 1, 1, 2, 2, 3][slice]];
            requests.scalars.add(snapshot.names_mut().profile(kind, profile), 1);
        }
        let shape = Shape { requests, ..Shape::default() };
        let known = shapes.iter().position(|other| *other == shape).unwrap_or(shapes.len());
        if known == shapes.len() {
            shapes.push(shape);
        }
        pods.push(Pod { shape: known, priority: stream.below(3) as i32 });
    }
    (shapes, pods)
}

fn plans(c: &mut Criterion) {
    let mut group = c.benchmark_group("nos plan");
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    for kind in [Kind::Mig, Kind::Mps] {
        for (nodes, waiting) in [(300, 300), (1_000, 1_000)] {
            for (word, full) in [("mostly free", false), ("mostly used", true)] {
                let (nodes, waiting) = (size(nodes), size(waiting));
                let mut snapshot = snapshot(kind, nodes, full);
                let (shapes, pods) = pods(&mut snapshot, waiting);
                let name = format!("{} {nodes} nodes x 8, {waiting} pods, {word}", kind.word());
                let settings = Settings::default();
                let result = plan(&snapshot, &shapes, &pods, &settings, &mut First);
                let hash = Sha256::digest(format!("{result:?}"));
                let placed: usize = result.recuts.iter().map(|recut| recut.pods.len()).sum();
                println!(
                    "{name}: {} shapes, {} nodes kept, {placed} placements, hash {:02x}{:02x}{:02x}{:02x}",
                    shapes.len(),
                    result.recuts.len(),
                    hash[0],
                    hash[1],
                    hash[2],
                    hash[3]
                );
                group.bench_function(&name, |b| {
                    b.iter(|| plan(&snapshot, &shapes, &pods, &settings, &mut First));
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, plans);
criterion_main!(benches);
