//! Replays of PRODUCT §7: first fit over whole GPUs and MIG slices, and LeastAllocated on CPU and
//! memory with a cycle every ten seconds.
//!
//! `cargo bench --bench replay` measures the sizes of the budget; `cargo bench --bench replay --
//! --test` runs small ones once. Each prints a hash of what it computed, so that nobody speeds it
//! up by changing it. Time includes the checker and the log of every pod, as users run it.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use slicewise::cluster::spec::{ClusterSpec, Gpus, Mode, NodeGroup};
use slicewise::experiment::{World, prepare};
use slicewise::metrics::PodLog;
use slicewise::record::{Observer, Reasons, Record};
use slicewise::rng::Stream;
use slicewise::scenario::resolved::{ModelsSpec, ReportSpec, Scenario, WorkloadSpec};
use slicewise::sched::spec::{GpuChoice, Profile, SchedulerSpec};
use slicewise::units::{Mib, MilliCpu, Span, Time};
use slicewise::workload::request::{Rule, Sharing, Translation};
use slicewise::workload::{Builder, GpuDemand, PodRow, Workload};
use std::sync::Arc;
use std::time::Duration;

/// Pods of one run; small under `--test`.
fn size(full: u32) -> u32 {
    if std::env::args().any(|arg| arg == "--test") { full / 100 } else { full }
}

fn group(name: &str, count: u32, gpus: u16, mode: Mode) -> NodeGroup {
    NodeGroup {
        name: name.to_owned(),
        count,
        cpu: MilliCpu(96_000),
        memory: Mib(384 * 1024),
        pods: 110,
        gpus: (0 < gpus).then(|| Gpus { model: "a100-40gb".to_owned(), count: gpus }),
        mode,
        labels: Default::default(),
        taints: Vec::new(),
        price_per_hour: None,
    }
}

fn world(workload: Workload, nodes: Vec<NodeGroup>, scheduler: SchedulerSpec, to: Sharing) -> World {
    let translation =
        Translation { to, whole_to: None, rule: Rule::CeilBoth, product: Some("a100-40gb".to_owned()) };
    let scenario = Scenario {
        gpus: Vec::new(),
        name: "bench".to_owned(),
        seed: 1,
        workload: WorkloadSpec { translation: Some(translation), ..WorkloadSpec::default() },
        cluster: ClusterSpec { nodes: nodes.clone(), ..ClusterSpec::default() },
        partitioner: Default::default(),
        scheduler,
        models: ModelsSpec::default(),
        report: ReportSpec::default(),
    };
    let nodes: Vec<_> = nodes.into_iter().map(|group| (group, false)).collect();
    prepare(&scenario, Arc::new(workload), &nodes, &[], "bench").expect("a good scenario")
}

/// `pods` pods at exponential gaps, `mean_run` seconds of exponential work, shaped by `row`.
fn pods(
    count: u32,
    per_second: f64,
    mean_run: f64,
    row: impl Fn(&mut Stream, &mut Builder) -> (GpuDemand, u64, u64),
) -> Workload {
    pods_at(count, mean_run, |stream| stream.exponential() / per_second, row)
}

/// The same at gaps of one's own, in seconds.
fn pods_at(
    count: u32,
    mean_run: f64,
    mut gap: impl FnMut(&mut Stream) -> f64,
    row: impl Fn(&mut Stream, &mut Builder) -> (GpuDemand, u64, u64),
) -> Workload {
    let mut builder = Builder::new();
    let mut stream = Stream::new(1, "bench", 0);
    let mut at = 0.0;
    for _ in 0..count {
        at += gap(&mut stream);
        let (gpu, cpu, memory) = row(&mut stream, &mut builder);
        let work = stream.exponential() * mean_run;
        builder.push(&PodRow {
            name: "",
            arrival: Time((at * 1e6) as u64),
            work: Span::from_secs_f64(work).expect("in range"),
            cpu: MilliCpu(cpu),
            memory: Mib(memory),
            gpu,
            constraint: 0,
            class: "bench",
            namespace: "default",
            priority: 0,
            gang: 1,
        });
    }
    builder.finish()
}

fn first_fit() -> SchedulerSpec {
    SchedulerSpec { scores: Vec::new(), gpu_choice: GpuChoice::FirstFit, ..SchedulerSpec::ideal() }
}

/// 1,000 nodes × 8 GPUs at 90 % load, whole-GPU pods of 1 to 8 GPUs.
fn whole(count: u32) -> World {
    // Mean 1.55 GPUs an hour each: 90 % of 8,000 GPUs.
    let rate = 8_000.0 * 0.9 / 1.55 / 3_600.0;
    let workload = pods(count, rate, 3_600.0, |stream, _| {
        let gpus = [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 1, 1, 1, 1, 1, 1, 4, 2, 4, 1][stream.below(20) as usize];
        (GpuDemand::Whole { gpus }, 4_000 * u64::from(gpus), 16_384 * u64::from(gpus))
    });
    world(workload, vec![group("node", 1_000, 8, Mode::Whole)], first_fit(), Sharing::Whole)
}

/// The same nodes cut 3g+2g+1g+1g, MIG pods of those profiles at 90 % load of the scarcest.
fn mig(count: u32) -> World {
    let rate = 8_000.0 * 4.0 * 0.9 / 3_600.0;
    let workload = pods(count, rate, 3_600.0, |stream, builder| {
        let profile = ["3g.20gb", "2g.10gb", "1g.5gb", "1g.5gb"][stream.below(4) as usize];
        (builder.profile(profile), 1_000, 2_048)
    });
    let layout = ["3g.20gb", "2g.10gb", "1g.5gb", "1g.5gb"].map(str::to_owned).to_vec();
    world(workload, vec![group("node", 1_000, 8, Mode::Mig(layout))], first_fit(), Sharing::Mig)
}

/// 1,000 nodes without GPUs, LeastAllocated, a cycle every 10 s. Requests are 1 to 16 CPUs by 1 to
/// 64 GiB, so there are a thousand shapes.
fn least_allocated(count: u32) -> World {
    least_allocated_under(count, SchedulerSpec::ideal())
}

/// The same under kube-scheduler 1.35 with its default scores.
fn least_allocated_kube(count: u32) -> World {
    least_allocated_under(count, SchedulerSpec::default())
}

fn least_allocated_under(count: u32, scheduler: SchedulerSpec) -> World {
    // Mean 8.5 of 96,000 CPUs for an hour each: 90 % load.
    let rate = 96_000.0 * 0.9 / 8.5 / 3_600.0;
    let workload = pods(count, rate, 3_600.0, |stream, _| {
        (GpuDemand::None, 1_000 * (1 + stream.below(16)), 1_024 * (1 + stream.below(64)))
    });
    let scheduler = SchedulerSpec { cycle: Span::from_secs(10), ..scheduler };
    world(workload, vec![group("node", 1_000, 0, Mode::Whole)], scheduler, Sharing::Whole)
}

/// 1,000 nodes × 8 GPUs at 95 % load with about 10,000 pods waiting: as many come at once as fill the
/// GPUs and wait, then others as a Poisson process. `shapes` is how many sorts of CPU and memory they
/// ask for beside their GPUs.
fn waiting(count: u32, profile: Profile, shapes: u64) -> World {
    // 8,000 GPUs hold 5,500 pods of 1.45 on average; at 95 % load the rest shrinks by 0.08 a second.
    let standing = f64::from(size(15_500));
    let nodes = size(1_000).max(10);
    let rate = 8.0 * f64::from(nodes) * 0.95 / 1.45 / 3_600.0;
    let mut index = 0.0;
    let workload = pods_at(
        count,
        3_600.0,
        |stream| {
            index += 1.0;
            if index <= standing { 0.0 } else { stream.exponential() / rate }
        },
        |stream, _| {
            let gpus =
                [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 1, 1, 1, 1, 1, 1, 4, 2, 4, 1][stream.below(20) as usize];
            let (cpu, memory) = (4_000 * u64::from(gpus), 16_384 * u64::from(gpus));
            let more = stream.below(shapes);
            (GpuDemand::Whole { gpus }, cpu + 250 * more, memory + 1_024 * more)
        },
    );
    let scheduler = SchedulerSpec { profile, ..SchedulerSpec::default() };
    world(workload, vec![group("node", nodes, 8, Mode::Whole)], scheduler, Sharing::Whole)
}

/// Pods waiting on average between the first and the last arrival, and messages at the end.
#[derive(Default)]
struct Waiting {
    since: Time,
    now: u64,
    arrivals: u64,
    /// Pods × microseconds, up to now and up to the last arrival.
    area: u128,
    area_of_arrivals: u128,
    last_arrival: Time,
    messages: usize,
    message_bytes: usize,
}

impl Observer for Waiting {
    fn record(&mut self, at: Time, record: Record<'_>) {
        self.area += u128::from(self.now) * u128::from(at.since(self.since).0);
        self.since = at;
        match record {
            Record::Arrived { .. } => {
                self.now += 1;
                self.arrivals += 1;
                (self.last_arrival, self.area_of_arrivals) = (at, self.area);
            }
            Record::Bound { .. } => self.now -= 1,
            _ => {}
        }
    }
    fn end(&mut self, _: Time, reasons: &Reasons) {
        (self.messages, self.message_bytes) = (reasons.len(), reasons.bytes());
    }
}

/// Order-sensitive hash of who ran where and when.
fn hash(world: &World) -> u64 {
    let mut log = PodLog::new(world.workload().len());
    world.simulate(&mut log);
    log.lines().iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, line| {
        (hash ^ line.bound.0 ^ u64::from(line.node.0) << 40).wrapping_mul(0x100_0000_01b3)
    })
}

fn replay(criterion: &mut Criterion) {
    let mut measure = |name: &str, make: fn(u32) -> World, full: u32| {
        let world = make(size(full));
        // A bench that a filter leaves out needs no hash, which costs a run.
        let ran = std::cell::Cell::new(false);
        let mut group = criterion.benchmark_group("replay");
        group.sample_size(10).measurement_time(Duration::from_secs(15)).warm_up_time(Duration::from_secs(1));
        group.throughput(criterion::Throughput::Elements(u64::from(size(full))));
        group.bench_function(name, |bencher| {
            ran.set(true);
            bencher.iter_batched(
                || PodLog::new(world.workload().len()),
                |mut log| {
                    world.simulate(&mut log);
                    log
                },
                BatchSize::PerIteration,
            );
        });
        group.finish();
        if ran.get() {
            criterion_message(name, hash(&world));
        }
    };
    measure("first-fit whole, 1,000 nodes x 8 GPUs, 1 million pods", whole, 1_000_000);
    measure("first-fit MIG, 1,000 nodes x 8 GPUs, 1 million pods", mig, 1_000_000);
    measure("least-allocated, 1,000 nodes, 100,000 pods, cycle 10 s", least_allocated, 100_000);
    measure("the same under kube-1.35", least_allocated_kube, 100_000);
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    for (profile, shapes, full) in [
        (Profile::Ideal, 1, 20_000),
        (Profile::Kube1_35, 1, 17_500),
        (Profile::Kube1_25, 1, 17_500),
        (Profile::Kube1_35, 64, 17_500),
    ] {
        let name = format!("a long queue under {profile:?}, {shapes} sorts of CPU and memory");
        if wanted.as_ref().is_none_or(|wanted| name.contains(wanted)) {
            decisions(&name, &waiting(size(full), profile, shapes));
        }
    }
}

/// Attempts a second with a long queue.
#[expect(clippy::print_stdout, reason = "a bench reports")]
fn decisions(name: &str, world: &World) {
    let mut waiting = Waiting::default();
    let started = std::time::Instant::now();
    let outcome = world.simulate(&mut waiting);
    let seconds = started.elapsed().as_secs_f64();
    let mean = waiting.area_of_arrivals as f64 / waiting.last_arrival.0 as f64;
    println!(
        "{name}: {mean:.0} wait on average, {} attempts in {seconds:.2} s, {:.2} million a second; \
         {} messages of {} bytes in all stand at the end",
        outcome.attempts,
        outcome.attempts as f64 / seconds / 1e6,
        waiting.messages,
        waiting.message_bytes,
    );
    // A small run wanders too far for a band.
    if size(10_000) == 10_000 {
        assert!((8_000.0..12_000.0).contains(&mean), "about 10,000 pods are to wait");
    }
}

/// The replay of whole GPUs with every figure of its summary.
fn figures(criterion: &mut Criterion) {
    let world = whole(size(1_000_000));
    let mut group = criterion.benchmark_group("figures");
    group.sample_size(10).measurement_time(Duration::from_secs(15)).warm_up_time(Duration::from_secs(1));
    group.throughput(criterion::Throughput::Elements(world.workload().len() as u64));
    group.bench_function("first-fit whole, 1,000 nodes x 8 GPUs, 1 million pods", |bencher| {
        bencher.iter_with_large_drop(|| world.summary());
    });
    group.finish();
}

#[expect(clippy::print_stdout, reason = "a bench reports")]
fn criterion_message(name: &str, hash: u64) {
    println!("{name}: hash {hash:016x}");
}

criterion_group!(benches, replay, figures);
criterion_main!(benches);
