//! Pages made up for tests: figures that look like a cluster's, from no run at all.

use super::Page;
use crate::metrics::*;

/// A wave between 0 and 1 that looks busy.
fn wave(i: usize, phase: f64) -> f64 {
    let x = i as f64 / 40.0 + phase;
    (0.5 + 0.3 * libm::sin(x) + 0.15 * libm::sin(7.3 * x) + 0.05 * libm::sin(41.0 * x)).clamp(0.0, 1.0)
}

fn sampled(count: u64, mean: f64) -> Sample {
    let at = |factor: f64| mean * factor;
    Sample { count, mean, p50: at(0.4), p90: at(2.2), p95: at(3.1), p99: at(5.9), max: at(9.0) }
}

fn group(name: &str, total: u64, never_fit: u64, wait: f64, slowdown: f64) -> Group {
    let finished = total - never_fit;
    let counts = Counts { total, finished, never_fit, ..Counts::default() };
    let slowdown = Sample {
        count: finished,
        mean: slowdown,
        p50: 1.0,
        p90: slowdown * 1.5,
        p95: slowdown * 2.0,
        p99: slowdown * 4.0,
        max: slowdown * 9.0,
    };
    Group {
        name: name.to_owned(),
        counts,
        wait_s: sampled(finished, wait),
        waited: 0.5,
        slowdown,
        service: Some(0.5),
    }
}

/// A variant that uses a `share` of 64 GPUs, whose pods wait `wait` seconds on average.
pub(super) fn variant(name: &str, share: f64, wait: f64, never_fit: u64) -> VariantResult {
    let steps = 960;
    let phase = share * 5.0;
    let series = |scale: f64| -> Vec<f64> { (0..steps).map(|i| scale * wave(i, phase)).collect() };
    let classes = ["notebook", "training-large-language-models", "inference", "batch"];
    let mut groups = vec![group("all", 10_866, never_fit, wait, 1.0 + wait / 3_600.0)];
    for (i, class) in classes.iter().enumerate() {
        let wait = wait * (0.5 + i as f64 / 2.0);
        groups.push(group(class, 2_700 + i as u64, never_fit / 4, wait, 1.0 + wait / 3_600.0));
    }
    let queue = series(wait / 60.0);
    VariantResult {
        classes: classes.map(str::to_owned).to_vec(),
        name: name.to_owned(),
        what: "8 nodes × 8 A100-SXM4-80GB, MIG 3g.40gb + 2g.20gb + 2 × 1g.10gb; demand to smallest profile that fits"
            .to_owned(),
        summary: Summary {
            from_s: 0.0,
            to_s: 345_600.0,
            classes: groups,
            namespaces: Vec::new(),
            gpus: Level { mean: 64.0 * share, peak: 64.0, capacity: 64.0 },
            gpus_by_mode: Vec::new(),
            gpu_compute: Level { mean: 64.0 * share, peak: 64.0, capacity: 64.0 },
            gpu_memory: Level { mean: 66.0 * share, peak: 64.0, capacity: 64.0 },
            gpus_touched: Level { mean: 60.0 * share, peak: 64.0, capacity: 64.0 },
            cpus: Level { mean: 300.0, peak: 700.5, capacity: 768.0 },
            memory_gib: Level { mean: 1_500.0, peak: 4_000.0, capacity: 8_192.0 },
            queue: Level { mean: wait / 120.0, peak: libm::floor(wait / 50.0), capacity: 0.0 },
            running: Level { mean: 120.25, peak: 311.0, capacity: 0.0 },
            useful_gpu_hours: 4_321.5,
            gpu_time: gpu_time(share),
            failures: None,
            services: Vec::new(),
            recuts: None,
            fairness: Fairness { namespaces: None, classes: Some(0.875) },
            attempts: 31_234,
            bound: 10_866 - never_fit,
            refusals: vec![Refusal {
                message: "0/8 nodes are available: 8 Insufficient nvidia.com/mig-2g.20gb.".to_owned(),
                pods: 1_234,
                examples: vec!["train-0017".to_owned(), "</script><b>pod".to_owned()],
                for_ever: false,
            }],
            cost: None,
            cost_per_useful_gpu_hour: None,
        },
        replications: Vec::new(),
        timeline: Timeline {
            step_s: 360.0,
            start_s: 0.0,
            gpus: (0..steps).map(|i| 64.0 * share * (0.6 + 0.6 * wave(i, phase)).min(1.0 / share)).collect(),
            gpus_by_mode: Vec::new(),
            cpus: series(700.0),
            running: series(300.0),
            queue_max: queue.iter().map(|q| libm::ceil(q * 1.3)).collect(),
            queue,
        },
        waits: WaitCurve {
            points: (0..=200)
                .map(|i| f64::from(i) / 200.0)
                .map(|u| if u < 0.3 { (0.0, 0.3) } else { (wait * libm::pow(u - 0.295, 3.0) * 9.0, u) })
                .collect(),
        },
        slices: slice_chart(share),
        compared: vec![Compared {
            class: None,
            pods: 10_866,
            slowdown: Some(1.0 + share),
            modelled_s: Some(0.08815 * (1.0 + share)),
            measured_s: 0.147,
            error: Some(0.08815 * (1.0 + share) / 0.147 - 1.0),
            source: "a demonstration on another GPU, read from its diagram".to_owned(),
        }],
        models: Vec::new(),
        layouts: Vec::new(),
        notes: vec!["41 rows of the trace have no GPU and are placed by CPU and memory alone.".to_owned()],
    }
}

/// The hours of 64 GPUs over four days.
fn gpu_time(share: f64) -> GpuTime {
    let total = 64.0 * 96.0;
    GpuTime {
        total,
        useful: total * share * 0.6,
        lost: 0.0,
        stalled: 0.0,
        slowed: total * share * 0.1,
        unneeded: total * share * 0.3,
        unscheduled: total * (1.0 - share) * 0.01,
        fragmented: total * (1.0 - share) * 0.39,
        unclaimed: total * (1.0 - share) * 0.6,
        unavailable: 0.0,
        failed: 0.0,
    }
}

fn slice_chart(share: f64) -> SliceChart {
    let lanes: Vec<(String, f64)> = [
        ("1g.10gb@6", 1.0 / 7.0),
        ("1g.10gb@5", 1.0 / 7.0),
        ("2g.20gb@3", 2.0 / 7.0),
        ("3g.40gb@0", 3.0 / 7.0),
    ]
    .map(|(name, share)| (name.to_owned(), share))
    .into();
    let row = |gpu: usize| SliceRow {
        name: format!("node-{}/gpu-{}", gpu / 8, gpu % 8),
        cuts: Vec::new(),
        held: held(&lanes, gpu, share),
        lanes: lanes.clone(),
    };
    SliceChart { gpus: (0..12).map(row).collect(), hidden: 52 }
}

fn held(lanes: &[(String, f64)], gpu: usize, share: f64) -> Vec<Held> {
    let mut held = Vec::new();
    let mut low = 0.0;
    for (lane, (_, size)) in lanes.iter().enumerate() {
        let mut at = 2_000.0 * gpu as f64;
        for n in 0.. {
            let length = 300.0 + 60_000.0 * libm::pow(wave(n * 37 + gpu * 11 + lane * 5, 1.0), 3.0);
            if 345_600.0 < at + length {
                break;
            }
            let class = (n + lane + gpu) % 4;
            let pod = format!("pod-{gpu}-{lane}-{n}");
            held.push(Held { low, high: low + size, from_s: at, to_s: at + length, class, pod });
            at += length / share;
        }
        low += size;
    }
    held
}

/// A variant with as many short bars as a chart of slices can have.
pub(super) fn busy() -> VariantResult {
    let mut busy = variant("busy", 0.95, 60.0, 0);
    for row in &mut busy.slices.gpus {
        row.lanes = (0..7).map(|i| (format!("1g.10gb@{i}"), 1.0 / 7.0)).collect();
        row.held = (0..1_666)
            .map(|n| {
                let (lane, at) = (f64::from(n % 7), f64::from(n / 7) * 1_452.0);
                let length = 1_400.0 * wave(n as usize * 37, 0.3);
                Held {
                    low: lane / 7.0,
                    high: (lane + 1.0) / 7.0,
                    from_s: at,
                    to_s: at + length,
                    class: (n * n) as usize % 11 % 4,
                    pod: format!("openb-pod-{n:04}"),
                }
            })
            .collect();
    }
    busy
}

/// Four variants of one cluster.
pub(super) fn page() -> Page {
    Page {
        title: "Which cut for a mixed cluster".to_owned(),
        question: "64 A100: whole GPUs, MIG, MPS or time-slicing for notebooks, inference and training?"
            .to_owned(),
        command: "slicewise run mixed.yaml --out mixed".to_owned(),
        seed: 42,
        version: "0.1.0".to_owned(),
        scenario_yaml: "name: mixed\nvariants:\n- name: whole </details><script>alert(1)</script>\n"
            .to_owned(),
        trace_hashes: vec![(
            "openb_pod_list_default.csv".to_owned(),
            "0f343b0931126a20f133d67c2b018a3b5e1c0e3d7f6a5f3f2b1f0c9d8e7f6a5b".to_owned(),
        )],
        limits: vec![
            "MPS neighbours slow each other by the model of sharing-models.md, medium confidence.".to_owned(),
        ],
        partial: None,
        variants: vec![
            variant("whole", 0.85, 12_000.0, 120),
            variant("mig-3g2g1g1g", 0.62, 720.0, 3),
            variant("mps", 0.55, 300.0, 0),
            variant("time-slicing-4", 0.5, 310.0, 0),
        ],
    }
}
