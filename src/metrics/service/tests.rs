//! Services alone, beside each other and without a place, against queueing theory and by hand.

use super::*;
use crate::cluster::NodeClass;
use crate::perf::service::{Arrivals, Cost, Target, Tokens};
use crate::record::Cause;
use crate::stats::law::Law;
use crate::stats::queueing::{mg1_wait, mmc_wait, mmc_wait_quantile};
use crate::units::{Mib, MilliCpu, Span};
use crate::workload::{Builder, GpuDemand, PodRow};

fn cluster(share: Share) -> Cluster {
    let class = NodeClass {
        cpu: MilliCpu(0),
        memory: Mib(0),
        pods: 10,
        gpus: 1,
        model: "m".to_owned(),
        memory_slices: 8,
        share,
        unschedulable: false,
        present: true,
        labels: Default::default(),
        taints: Vec::new(),
        price_per_hour: None,
    };
    Cluster::new(vec![class], vec![("n".to_owned(), 0)])
}

/// Pods of these classes, all there from the start, for `work`.
fn workload(classes: &[&str], work: Span) -> Workload {
    let mut builder = Builder::new();
    for class in classes {
        builder.push(&PodRow {
            name: "",
            arrival: Time::ZERO,
            work,
            cpu: MilliCpu(0),
            memory: Mib(0),
            gpu: GpuDemand::Share { milli: 100, memory: Mib(0) },
            constraint: 0,
            class,
            namespace: "default",
            priority: 0,
            gang: 1,
        });
    }
    builder.finish()
}

fn service(request: Law, per_second: f64) -> Service {
    Service {
        cost: Cost::Law(request),
        arrivals: Arrivals::Poisson { per_second },
        concurrency: 1,
        target: Some(Target { quantile: 0.99, within: Span::from_secs(10) }),
    }
}

const SECOND: Span = Span::from_secs(1);
const PODS: [PodId; 2] = [PodId(0), PodId(1)];
const ON: Grant = Grant::Gpus(1);

fn bound(pod: PodId, speed: Speed) -> Record<'static> {
    Record::Bound { pod, node: NodeId(0), grant: &ON, speed }
}

/// Requests to the first of two pods (`serves` and `other`) through records at these moments.
fn through(
    share: Share,
    service: Service,
    slicing: Option<TimeSlicing>,
    seed: u64,
    records: &[(Span, Record<'_>)],
) -> ServiceFigures {
    let (workload, cluster) = (workload(&["serves", "other"], records[records.len() - 1].0), cluster(share));
    let services = [Some(service), None];
    let window = Window { from: Time::ZERO, to: None };
    let mut fold = Requested::new(&workload, &cluster, &services, slicing, window, seed);
    for (at, record) in records {
        fold.record(Time(at.0), *record);
    }
    fold.end(Time(records[records.len() - 1].0.0), &Reasons::default());
    let [figures] = <[ServiceFigures; 1]>::try_from(fold.figures()).expect("one class serves");
    assert_eq!(figures.requests, figures.served + figures.lost + figures.unfinished);
    figures
}

fn alone(service: Service, seed: u64, speed: Speed, length: Span) -> ServiceFigures {
    let [pod, _] = PODS;
    let (arrived, finished) = (Record::Arrived { pod }, Record::Finished { pod });
    let records = [(Span::ZERO, arrived), (Span::ZERO, bound(pod, speed)), (length, finished)];
    through(Share::Whole, service, None, seed, &records)
}

/// One pod alone is M/M/1, M/G/1 or M/M/c: mean waits and a quantile against closed forms, over seeds
/// fixed beforehand. `tests/judges` does it by the pass rule.
#[test]
fn one_pod_alone_is_a_queue() {
    let exponential = Law::Exponential { mean: SECOND };
    let constant = Law::Constant { mean: SECOND };
    let mean = |service: &Service, speed: Speed, of: &dyn Fn(&ServiceFigures) -> f64| {
        let runs = (1..=8).map(|seed| of(&alone(service.clone(), seed, speed, Span::from_secs(100_000))));
        runs.sum::<f64>() / 8.0
    };
    let wait = |service: &Service, speed| mean(service, speed, &|f| f.latency_s.mean);
    for (law, scv) in [(exponential, 1.0), (constant, 0.0)] {
        let theory = mg1_wait(0.5, scv) + 1.0;
        let found = wait(&service(law, 0.5), Speed::FULL);
        assert!((found / theory - 1.0).abs() < 0.02, "scv {scv}: {found} against {theory}");
    }
    let once = |seed| alone(service(exponential, 0.5), seed, Speed::FULL, Span::from_secs(1_000));
    assert_eq!(once(1), once(1));
    assert_ne!(once(1), once(2));
    let slow = wait(&service(exponential, 0.25), Speed(500_000));
    let theory = 2.0 * (mg1_wait(0.5, 1.0) + 1.0);
    assert!((slow / theory - 1.0).abs() < 0.02, "at half speed: {slow} against {theory}");
    let four = Service { concurrency: 4, ..service(exponential, 3.2) };
    let (found, theory) = (wait(&four, Speed::FULL), mmc_wait(4, 3.2) + 1.0);
    assert!((found / theory - 1.0).abs() < 0.02, "four at once: {found} against {theory}");
    // In M/M/1 the time in the system is exponential with rate 1 − ρ.
    let p99 = mean(&service(exponential, 0.5), Speed::FULL, &|f| f.latency_s.p99);
    let theory = -libm::log(0.01) / 0.5;
    assert!((p99 / theory - 1.0).abs() < 0.03, "p99 {p99} against {theory}");
    assert!(theory > mmc_wait_quantile(1, 0.5, 0.01), "which is more than the wait");
}

/// A request that is slowed half-way, and stands still for a while, takes what it must to a tick.
#[test]
fn speed_changes_settle_what_is_served() {
    let [pod, _] = PODS;
    let long = service(Law::Constant { mean: Span::from_secs(1_000) }, 1e-4);
    let (first, _) = Asked::new(&long, 1, 0).draw();
    let at = |seconds: u64| first + Span::from_secs(seconds);
    let figures = through(
        Share::Whole,
        long,
        None,
        1,
        &[
            (Span::ZERO, Record::Arrived { pod }),
            (Span::ZERO, bound(pod, Speed::FULL)),
            (at(400), Record::SpeedChanged { pod, speed: Speed(250_000) }),
            (at(800), Record::SpeedChanged { pod, speed: Speed::STILL }),
            (at(900), Record::SpeedChanged { pod, speed: Speed(300_000) }),
            // 1,000 − 400 − 100 s are left: at .3, 1,666.666… s more, and the tick that ends it.
            (Span(at(2_566).0 + 666_667), Record::Finished { pod }),
        ],
    );
    assert_eq!((figures.served, figures.unfinished), (1, 0));
    assert!((figures.latency_s.max - 2_566.666_667).abs() < 1e-9, "{}", figures.latency_s.max);
}

/// What comes without a place, and what a failure takes along, is lost; the next place serves on.
#[test]
fn pods_without_a_place_lose_requests() {
    let [pod, _] = PODS;
    let quick = service(Law::Constant { mean: Span(1_000) }, 100.0);
    let failed = Record::Failed { pod, cause: Cause::Crash, returns: true, lost: Work(0) };
    let at = Span::from_secs;
    let base = [(at(0), Record::Arrived { pod }), (at(10), bound(pod, Speed::FULL)), (at(20), failed)];
    let rest = [(at(30), bound(pod, Speed::FULL)), (at(40), Record::Finished { pod })];
    let figures = through(Share::Whole, quick.clone(), None, 1, &[&base[..], &rest[..]].concat());
    assert!((3_700..4_300).contains(&figures.requests), "{figures:?}");
    assert!((1_800..2_200).contains(&figures.lost), "two of four parts: {figures:?}");
    let share = figures.target.and_then(|t| t.share).expect("requests came");
    assert!((share - figures.served as f64 / figures.requests as f64).abs() < 1e-3, "{figures:?}");
    // One that is refused loses all that would have come in its run time.
    let gone = [
        (at(0), Record::Arrived { pod }),
        (at(10), Record::GaveUp { pod }),
        (at(40), Record::GaveUp { pod: PODS[1] }),
    ];
    let refused = through(Share::Whole, quick, None, 1, &gone);
    assert_eq!((refused.served, refused.requests), (0, figures.requests), "the same requests come");
    assert_eq!(refused.lost, refused.requests);
}

/// Requests on a time-sliced GPU: alone they take g; beside a loop, on average what the formula says.
#[test]
fn time_sliced_requests_take_turns() {
    let [pod, other] = PODS;
    let share = Share::Replicas { replicas: 2, mps: false };
    let model = TimeSlicing::default();
    let request = Span(20_000);
    let rare = service(Law::Constant { mean: request }, 0.01);
    let run = |beside: Speed| {
        let records = [
            (Span::ZERO, Record::Arrived { pod }),
            (Span::ZERO, Record::Arrived { pod: other }),
            (Span::ZERO, bound(pod, Speed(500_000))),
            (Span::ZERO, bound(other, beside)),
            (Span::from_secs(400_000), Record::Finished { pod }),
        ];
        through(share.clone(), rare.clone(), Some(model), 1, &records).latency_s
    };
    // A few of 4,000 come while another is served, and wait.
    let alone = run(Speed::STILL);
    assert!((alone.mean / 0.02 - 1.0).abs() < 0.002 && (alone.p99 / 0.02 - 1.0).abs() < 0.004, "{alone:?}");
    let beside = run(Speed(500_000));
    let mean = model.latency(request, 2, 0.5).as_secs_f64();
    let (least, most) = (model.latency(request, 2, 0.0), model.latency(request, 2, 1.0));
    assert!((beside.mean / mean - 1.0).abs() < 0.005, "{} against {mean}", beside.mean);
    assert!(beside.p99 <= 1.004 * most.as_secs_f64(), "{beside:?}");
    assert!(0.996 * least.as_secs_f64() <= beside.p50, "{beside:?}");
}

/// Writing for N at once takes α + β·N a token, whenever they came.
#[test]
fn tokens_take_longer_in_company() {
    let tokens = Tokens {
        prefill: Span::ZERO,
        per_prompt_token: Span::ZERO,
        per_token: Span(500_000),
        per_request: Span(500_000),
        slices: None,
        prompt: Some(0),
        output: Some(1),
    };
    // Alone a token takes 1 s, with N others of N + 1 in all (N + 2)/2 s: the total speed is 2n/(n + 1).
    let service = Service {
        cost: Cost::Tokens(tokens),
        arrivals: Arrivals::Poisson { per_second: 0.8 },
        concurrency: 1_000,
        target: None,
    };
    let theory =
        crate::stats::queueing::processor_sharing(0.8, |n| 2.0 * f64::from(n) / f64::from(n + 1), None);
    let runs = (1..=8).map(|seed| alone(service.clone(), seed, Speed::FULL, Span::from_secs(50_000)));
    let mean = runs.map(|figures| figures.latency_s.mean).sum::<f64>() / 8.0;
    assert!((mean / theory.time - 1.0).abs() < 0.02, "{mean} against {}", theory.time);
}

#[test]
fn intervals_decide_targets() {
    assert_eq!(Holds::of(0.99, &[0.99]), Holds::Met);
    assert_eq!(Holds::of(0.99, &[0.9899]), Holds::Missed);
    assert_eq!(Holds::of(0.99, &[]), Holds::Undecided);
    assert_eq!(Holds::of(0.99, &[0.995, 0.996, 0.994]), Holds::Met);
    assert_eq!(Holds::of(0.99, &[0.98, 0.981, 0.979]), Holds::Missed);
    assert_eq!(Holds::of(0.99, &[0.98, 0.999, 0.985]), Holds::Undecided);
}
