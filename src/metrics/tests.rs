//! Definitions against examples worked out by hand.

use super::*;
use crate::cluster::{Cluster, GPU_PARTS, Grant, NodeClass, Share};
use crate::id::{ClassId, DemandId, NamespaceId, NodeId, PodId, ShapeId, SliceId};
use crate::record::{Cause, Observer, Reasons, Record};
use crate::units::{Mib, MilliCpu, Span, Speed, Time, Work};
use crate::workload::request::{GpuRequest, Request, SliceNames, Unit};
use crate::workload::view::Pods;
use crate::workload::{Constraint, Pod};

/// What happens to a pod: seconds, pod, what.
#[derive(Clone, Copy)]
enum Step {
    Arrives,
    /// On this GPU of the only node, at so many hundredths of full speed.
    Runs(u8, u32),
    /// On this slice of GPU 0.
    Slice(u8),
    /// To so many hundredths of full speed.
    Slows(u32),
    Ends,
    GivesUp,
    /// With so many seconds of work to do again, and returns.
    Fails(u64),
    /// This GPU goes down, or is back.
    Down(u8),
    Up(u8),
}
use Step::*;

/// Levels of one node of `gpus` GPUs and 4 CPUs, whose pods are (unit, thousandths of a GPU needed,
/// CPUs), each a shape of its own.
#[track_caller]
fn check(
    share: Share,
    gpus: u16,
    pods: &[(Unit, u64, u64)],
    gang: bool,
    steps: &[(u64, u32, Step)],
    until: u64,
    see: impl Fn(&Levels<'_>),
) {
    let class = NodeClass {
        cpu: MilliCpu(4_000),
        memory: Mib(1),
        pods: 10,
        gpus,
        model: "m".to_owned(),
        memory_slices: 8,
        share,
        unschedulable: false,
        present: true,
        labels: Default::default(),
        taints: Vec::new(),
        price_per_hour: None,
    };
    let cluster = Cluster::new(vec![class], vec![("n".to_owned(), 0)]);
    let request = |(unit, _, cpus): &(Unit, u64, u64)| Request {
        cpu: MilliCpu(1_000 * cpus),
        memory: Mib(0),
        gpu: Some(GpuRequest { unit: *unit, count: 1 }),
        constraint: 0,
    };
    let requests: Vec<Request> = pods.iter().map(request).collect();
    let needs: Vec<u64> = pods.iter().map(|(_, milli, _)| GPU_PARTS / 1_000 * milli).collect();
    let pod = |i: usize| Pod {
        never_preempts: false,
        arrival: Time::ZERO,
        demand: DemandId::of(i),
        class: ClassId(0),
        namespace: NamespaceId(0),
        priority: 0,
        gang: if gang && i == 0 { pods.len() as u32 } else { u32::from(!gang) },
    };
    let table: Vec<Pod> = (0..pods.len()).map(pod).collect();
    let shapes: Vec<ShapeId> = (0..pods.len()).map(ShapeId::of).collect();
    let (constraints, slices) = (vec![Constraint::default()], SliceNames::default());
    let view = Pods {
        pods: &table,
        shape_of: &shapes,
        requests: &requests,
        constraints: &constraints,
        slices: &slices,
    };
    let mut levels = Levels::new(view, &cluster, &needs, Window { from: Time::ZERO, to: None });
    for (second, pod, step) in steps {
        let (pod, node, hundredth) = (PodId(*pod), NodeId(0), |n: u32| Speed(10_000 * n));
        let (on_gpu, on_slice);
        let record = match *step {
            Arrives => Record::Arrived { pod },
            Runs(gpu, speed) => {
                on_gpu = Grant::Gpus(1 << gpu);
                Record::Bound { pod, node, grant: &on_gpu, speed: hundredth(speed) }
            }
            Slice(slice) => {
                on_slice = Grant::Slice { gpu: 0, slice };
                Record::Bound { pod, node, grant: &on_slice, speed: Speed::FULL }
            }
            Slows(speed) => Record::SpeedChanged { pod, speed: hundredth(speed) },
            Ends => Record::Finished { pod },
            GivesUp => Record::GaveUp { pod },
            Fails(seconds) => {
                let lost = Work::alone(Span::from_secs(seconds));
                Record::Failed { pod, cause: Cause::Crash, returns: true, lost }
            }
            Down(gpu) => Record::Down { node, gpu: Some(gpu), cause: Cause::Gpu },
            Up(gpu) => Record::Up { node, gpu: Some(gpu) },
        };
        levels.record(Time(second * 1_000_000), record);
    }
    levels.end(Time(until * 1_000_000), &Reasons::default());
    see(&levels);
}

/// Useful, slowed, unneeded, unscheduled, fragmented, unclaimed, in GPU-seconds; of the other parts
/// there is nothing.
#[track_caller]
fn gpu_seconds(levels: &Levels<'_>, [useful, slowed, unneeded, usable, fragmented, unclaimed]: [f64; 6]) {
    parts(levels, [useful, 0.0, 0.0, slowed, unneeded, usable, fragmented, unclaimed, 0.0, 0.0]);
}

/// All parts in GPU-seconds.
#[track_caller]
fn parts(levels: &Levels<'_>, expected: [f64; 10]) {
    let got = levels.gpu_time().parts().map(|(_, hours)| hours * 3_600.0);
    assert!(got.iter().zip(expected).all(|(g, e)| (g - e).abs() < 1e-9), "{got:?}, not {expected:?}");
}

#[test]
fn lost_work_leaves_what_was_useful_and_stalls_and_faults_have_parts() {
    // t      GPU 0                                     GPU 1
    // 0..2   starts: .5 stalled, .5 unneeded           idle, wanted by nobody
    // 2..6   works: .5 useful, .5 unneeded             the same
    // 6      fails; 3 of 4 s of work are lost
    // 6..8   down                                      free, and a pod waits that could have it
    // 8..10  works from the start                      down
    let pods = [(Unit::Whole, 500, 0)];
    let steps = [
        (0, 0, Arrives),
        (0, 0, Runs(0, 0)),
        (2, 0, Slows(100)),
        (6, 0, Fails(3)),
        (6, 0, Down(0)),
        (8, 0, Up(0)),
        (8, 0, Down(1)),
        (8, 0, Runs(0, 100)),
        (10, 0, Ends),
    ];
    check(Share::Whole, 2, &pods, false, &steps, 10, |levels| {
        parts(levels, [1.5, 1.5, 1.0, 0.0, 4.0, 2.0, 0.0, 6.0, 0.0, 4.0]);
        assert!((levels.useful_gpu_hours() * 3_600.0 - 1.5).abs() < 1e-9);
        let failures = levels.failures().expect("a pod failed");
        assert_eq!((failures.gpu_faults, failures.pods["crash"]), (2, 1));
        assert!((failures.lost_hours * 3_600.0 - 3.0).abs() < 1e-9);
    });
}

#[test]
fn gpu_time_of_fractions() {
    // t      on GPU 0    on GPU 1  wait     useful slowed idle  usable fragmented unclaimed
    // 0..10  .6 at half  .6                 .9     .3     .8                      .8
    // 10..20 the same    the same  .6       .9     .3     .8           .6         .2
    // 20..30 the same    the same  .6, .3   .9     .3     .8    .3     .5
    // 30..40 .6          .6                 1.2           .8                      .8
    let pods = [
        (Unit::Milli(600), 600, 0),
        (Unit::Milli(600), 600, 0),
        (Unit::Milli(600), 600, 0),
        (Unit::Milli(300), 300, 0),
    ];
    let steps = [
        (0, 0, Arrives),
        (0, 1, Arrives),
        (0, 0, Runs(0, 50)),
        (0, 1, Runs(1, 100)),
        (10, 2, Arrives),
        (20, 3, Arrives),
        (30, 2, GivesUp),
        (30, 3, GivesUp),
        (30, 0, Slows(100)),
        (40, 0, Ends),
        (40, 1, Ends),
    ];
    check(Share::Milli, 2, &pods, false, &steps, 40, |levels| {
        gpu_seconds(levels, [39.0, 9.0, 0.0, 3.0, 11.0, 18.0]);
        assert!((levels.useful_gpu_hours() * 3_600.0 - 39.0).abs() < 1e-9);
    });
}

#[test]
fn a_whole_gpu_under_a_small_pod_is_mostly_unneeded() {
    let pods = [(Unit::Whole, 250, 4), (Unit::Whole, 1_000, 1)];
    let steps = [
        (0, 0, Arrives),
        (0, 0, Runs(0, 100)),
        (4, 1, Arrives),
        (8, 0, Ends),
        (8, 1, Runs(0, 100)),
        (9, 1, Ends),
    ];
    // The second GPU is free, but the first pod has all CPUs.
    check(Share::Whole, 2, &pods, false, &steps, 9, |levels| {
        gpu_seconds(levels, [3.0, 0.0, 6.0, 0.0, 4.0, 5.0]);
        let [gpus, compute, memory, touched, ..] = levels.summaries();
        assert!([gpus.mean, compute.mean, memory.mean, touched.mean].iter().all(|mean| *mean == 1.0));
    });
}

#[test]
fn replicas_use_what_nobody_holds() {
    let pods = [(Unit::Replica, 1_000, 0); 2];
    let slicing = || Share::Replicas { replicas: 4, mps: false };
    // Alone it has the GPU; two at 45 % leave a tenth of it, which switching costs.
    let steps = [
        (0, 0, Arrives),
        (0, 0, Runs(0, 100)),
        (10, 1, Arrives),
        (10, 1, Runs(0, 45)),
        (10, 0, Slows(45)),
        (20, 0, Ends),
        (20, 1, Ends),
    ];
    check(slicing(), 1, &pods, false, &steps, 20, |levels| {
        gpu_seconds(levels, [19.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        let [gpus, compute, memory, ..] = levels.summaries();
        assert_eq!([gpus.mean, compute.mean, memory.mean], [0.375, 1.0, 1.0]);
    });
    // Without models of sharing both run at full speed: more work than one GPU can do.
    let steps = [
        (0, 0, Arrives),
        (0, 1, Arrives),
        (0, 0, Runs(0, 100)),
        (0, 1, Runs(0, 100)),
        (9, 0, Ends),
        (9, 1, Ends),
    ];
    check(slicing(), 1, &pods, false, &steps, 9, |levels| {
        gpu_seconds(levels, [9.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert!((levels.useful_gpu_hours() * 3_600.0 - 18.0).abs() < 1e-9);
    });
}

#[test]
fn slices_have_compute_and_memory_of_their_own() {
    let slice = |profile, start, size, compute| crate::cluster::Slice {
        profile: SliceId(profile),
        label: String::new(),
        start,
        size,
        compute,
    };
    let share = Share::Slices { slices: vec![slice(0, 4, 4, 3), slice(1, 0, 1, 1)], standing: 3, compute: 7 };
    let pods = [(Unit::Slice(SliceId(0)), 300, 0), (Unit::Slice(SliceId(0)), 300, 0)];
    // The second waits for a 3g.20gb while a 1g.5gb is free: the wrong cut.
    let steps = [(0, 0, Arrives), (0, 0, Slice(0)), (0, 1, Arrives), (7, 1, GivesUp), (7, 0, Ends)];
    check(share, 1, &pods, false, &steps, 7, |levels| {
        gpu_seconds(levels, [2.1, 0.0, 0.9, 0.0, 3.0, 1.0]);
        let [gpus, compute, memory, ..] = levels.summaries();
        assert_eq!([gpus.mean, compute.mean, memory.mean], [3.0 / 7.0, 3.0 / 7.0, 0.5]);
    });
}

#[test]
fn a_gang_cannot_use_room_for_one() {
    let pods = [(Unit::Whole, 1_000, 0), (Unit::Whole, 1_000, 0)];
    let steps = [(0, 0, Arrives), (0, 1, Arrives), (5, 0, GivesUp), (5, 1, GivesUp)];
    check(Share::Whole, 1, &pods, true, &steps, 5, |levels| {
        gpu_seconds(levels, [0.0, 0.0, 0.0, 0.0, 5.0, 0.0]);
    });
}

#[test]
fn an_mps_slice_has_memory_of_its_own_and_compute_with_others() {
    let pods = [(Unit::MemoryGb(10), 500, 0), (Unit::MemoryGb(20), 400, 0)];
    let steps = [
        (0, 0, Arrives),
        (0, 1, Arrives),
        (0, 0, Runs(0, 80)),
        (0, 1, Runs(0, 50)),
        (10, 0, Ends),
        (10, 1, Ends),
    ];
    check(Share::Memory { gb: 40, clients: 48 }, 1, &pods, false, &steps, 10, |levels| {
        // The first does .4 on .25, so nothing of it is slowed; the second does .2 of .4 on .5.
        gpu_seconds(levels, [6.0, 2.0, 1.0, 0.0, 0.0, 1.0]);
        let [gpus, compute, memory, ..] = levels.summaries();
        assert_eq!([gpus.mean, compute.mean, memory.mean], [0.75, 1.0, 0.75]);
    });
}

#[test]
fn fairness_is_jains_index() {
    let jain = |services: &[Option<f64>]| {
        let group = |service: &Option<f64>| Group { service: *service, ..Group::default() };
        summary::jain(&services.iter().map(group).collect::<Vec<_>>())
    };
    // (1 + .5)² ÷ (2 × (1 + .25)) = 2.25 ÷ 2.5
    assert_eq!(jain(&[Some(1.0), Some(0.5)]), Some(0.9));
    assert_eq!(jain(&[Some(0.25), None, Some(0.25)]), Some(1.0), "whom nothing was asked of does not count");
    assert_eq!(jain(&[Some(1.0), Some(0.0), Some(0.0), Some(0.0)]), Some(0.25), "one has everything");
    assert_eq!(jain(&[Some(0.0), Some(0.0)]), Some(1.0));
    assert_eq!(jain(&[Some(1.0)]), None);
}

/// A run keeps one for each pod, and a budget of 200 bytes for all that it keeps (PRODUCT §7).
#[test]
fn a_line_is_as_small_as_it_says() {
    assert_eq!(size_of::<Line>(), 56);
}
