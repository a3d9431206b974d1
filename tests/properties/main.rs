//! Properties of every run, on scenarios made by chance.
//!
//! `made` draws whole scenarios: clusters, pods, scheduler, models. `oracle` watches a run from its
//! records with a cluster of its own; `reference` is the same scheduler written the obvious way.
//! The checker that rebuilds occupancy from records runs within `World::simulate`, so "never
//! oversubscribed" and "pods in = out + inside" are asserted in every case here.

mod made;
mod oracle;
mod reference;

use made::{Case, Cuts, Policy, case, disturbance, trouble};
use oracle::{Log, Oracle};
use proptest::prelude::*;
use proptest::sample::select;
use slicewise::experiment::World;
use slicewise::id::PodId;
use slicewise::metrics::{Fate, PodLog};
use slicewise::partition::planner::Planner;
use slicewise::sched::spec::{ApiLimits, KubeSettings, KubeSpec, Profile, Ties};
use slicewise::units::{Span, Time};
use slicewise::workload::request::Sharing;

/// A run with its records and the oracle's view of it.
fn run(world: &World) -> (PodLog, Log, Oracle<'_>) {
    let mut lines = PodLog::new(world.workload().len());
    let mut log = Log::default();
    let mut oracle = Oracle::new(world);
    world.simulate(&mut (&mut lines, (&mut log, &mut oracle)));
    (lines, log, oracle)
}

/// Everybody who arrived finished, left, or is a gang that waits on an idle cluster.
fn accounted_for(world: &World, lines: &PodLog) {
    let spec = &world.scenario().workload;
    for (pod, line) in world.workload().pods.iter().zip(lines.lines()) {
        match line.fate {
            Fate::Finished => assert!(pod.arrival <= line.bound && line.bound <= line.left),
            Fate::GaveUp => {
                let patience = spec.patience.expect("only pods with patience give up");
                // A first cycle after the patience is over still has its chance.
                assert!(pod.arrival + patience <= line.left);
            }
            Fate::TurnedAway => assert!(spec.queue_limit.is_some(), "only a limit turns away"),
            Fate::NeverFits => assert_eq!(line.left, pod.arrival),
            // Only a gang whose draws among equal nodes went wrong may wait on an idle cluster.
            Fate::Waiting => {
                let drawn = world.scenario().scheduler.ties == Ties::Seeded
                    || world.scenario().scheduler.scores.iter().any(|s| s.name == "random");
                assert!(pod.gang != 1 && spec.patience.is_none() && drawn, "who can be placed is served");
            }
            // One whose slice has less memory than it needs fails wherever it goes.
            Fate::Failed => assert!(world.scenario().models.sharing, "pods fail by models alone"),
            Fate::Unborn | Fate::Running | Fate::Evicted => {
                panic!("{:?} at the end of a run", line.fate)
            }
        }
    }
}

/// ∫ queue dt = Σ waits, the left side from the records and the right from each pod's line.
fn little(world: &World, lines: &PodLog, oracle: &Oracle<'_>) {
    let pods = || (0..world.workload().len()).map(PodId::of);
    let waited = |pod: PodId| {
        let line = &lines.lines()[pod.index()];
        let still = if line.fate == Fate::Waiting { oracle.end.since(line.left) } else { Span::ZERO };
        u128::from((lines.waited(pod, world.workload().pods[pod.index()].arrival) + still).0)
    };
    let waits: u128 = pods().map(waited).sum();
    assert_eq!(oracle.queue_integral, waits, "Little's law");
    let runs: u128 = pods().map(|pod| u128::from(lines.ran(pod).0)).sum();
    assert_eq!(oracle.running_integral, runs, "and for those who run");
}

/// The figures of a report are those of the records.
fn summarized(world: &World, oracle: &Oracle<'_>) {
    let (summary, _) = world.summary();
    let length = oracle.end.as_secs_f64();
    assert_eq!((summary.from_s, summary.to_s), (0.0, length));
    let close = |level: f64, integral: u128| {
        let expected = integral as f64 / 1e6;
        assert!(
            (level * length - expected).abs() <= 1e-9 * expected.max(1.0),
            "{level} × {length}, {expected}"
        );
    };
    close(summary.queue.mean, oracle.queue_integral);
    close(summary.running.mean, oracle.running_integral);
}

fn check(case: &Case) {
    let world = case.world();
    let (lines, log, oracle) = run(&world);
    accounted_for(&world, &lines);
    little(&world, &lines, &oracle);
    summarized(&world, &oracle);
    assert_eq!(log, run(&world).1, "the same records again");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// All settings at once. The oracle looks for idle room only where a cycle follows every change.
    #[test]
    fn every_run_keeps_its_books(case in case()) {
        check(&case);
    }

    /// The queue of groups, the rows with their lazy updates and the reasons to wake a group decide as
    /// a scan over everybody and everything does.
    #[test]
    fn decisions_are_those_of_the_obvious_scheduler(case in case()) {
        let case = case.plain();
        let world = case.world();
        let (_, log, _) = run(&world);
        prop_assert_eq!(reference::run(&world), log.sorted());
    }

    /// Under kube-scheduler the same books are kept (the checker runs in every run), with evictions
    /// and cycles that take time; runs end, and come out the same twice.
    #[test]
    fn kube_schedulers_keep_their_books(
        case in case(),
        old in any::<bool>(),
        leave in any::<bool>(),
        grace in select(vec![0, 1, 30]),
        cycle_us in select(vec![0, 0, 1_000, 700_000]),
        backoff_max in select(vec![10, 0, 3]),
        bind_failures in select(vec![0.0, 0.0, 0.3]),
    ) {
        let profile = if old { Profile::Kube1_25 } else { Profile::Kube1_35 };
        let settings = KubeSettings { backoff_max: Span::from_secs(backoff_max), ..KubeSettings::default() };
        let kube = KubeSpec {
            settings,
            cycle_time: Span(cycle_us),
            bind_failures,
            ..KubeSpec::default()
        };
        let policy = Policy { grace: Span::from_secs(grace), leave, ..Policy::default() };
        let world = Case { policy, ..case }.under(profile, kube);
        let run = || {
            let (mut lines, mut log) = (PodLog::new(world.workload().len()), Log::default());
            world.simulate(&mut (&mut lines, &mut log));
            (lines, log)
        };
        let (lines, log) = run();
        let spec = &world.scenario().workload;
        for (pod, line) in lines.lines().iter().enumerate() {
            match line.fate {
                Fate::Finished | Fate::NeverFits => {}
                Fate::GaveUp => prop_assert!(spec.patience.is_some()),
                Fate::TurnedAway => prop_assert!(spec.queue_limit.is_some()),
                Fate::Evicted => prop_assert!(leave && 0 < lines.losses(PodId::of(pod)).evictions),
                Fate::Failed => prop_assert!(world.scenario().models.sharing),
                Fate::Waiting | Fate::Unborn | Fate::Running => {
                    prop_assert!(false, "{:?} at the end", line.fate)
                }
            }
        }
        prop_assert_eq!(log, run().1, "the same records again");
    }

    /// Nodes that come, go, are drained, tainted and re-cut; budgets, priority classes, an API client with
    /// limits: books are kept under every profile, and runs come out the same twice.
    #[test]
    fn a_changing_cluster_keeps_its_books(
        case in case(),
        (events, policy) in disturbance(),
        profile in select(vec![None, Some(Profile::Kube1_35), Some(Profile::Kube1_25)]),
        cycle_us in select(vec![0, 1_000, 700_000]),
        api in select(vec![None, Some(ApiLimits { qps: 1, burst: 2 }), Some(ApiLimits::default())]),
        bind_failures in select(vec![0.0, 0.3]),
    ) {
        let case = Case { events, policy, ..case };
        let world = match profile {
            None => case.world(),
            Some(profile) => {
                let cycle_time = Span(cycle_us);
                let kube = KubeSpec { cycle_time, api, bind_failures, ..KubeSpec::default() };
                case.clone().under(profile, kube)
            }
        };
        let run = || {
            let (mut lines, mut log) = (PodLog::new(world.workload().len()), Log::default());
            match profile {
                None => {
                    let mut oracle = Oracle::new(&world);
                    world.simulate(&mut (&mut lines, (&mut log, &mut oracle)));
                }
                Some(_) => {
                    world.simulate(&mut (&mut lines, &mut log));
                }
            }
            (lines, log)
        };
        let (lines, log) = run();
        for (pod, line) in lines.lines().iter().enumerate() {
            let ended = !matches!(line.fate, Fate::Unborn | Fate::Running);
            prop_assert!(ended, "{:?} at the end", line.fate);
            let held = lines.gated(PodId::of(pod)).unwrap_or_default();
            let waited = lines.wait(PodId::of(pod), world.workload().pods[pod].arrival);
            prop_assert!(waited.is_none_or(|waited| held <= waited), "gates hold a pod while it waits");
        }
        // The parts of GPU time add up, which the fold itself asserts.
        let _ = world.summary();
        prop_assert_eq!(log, run().1, "the same records again");
    }

    /// nos cuts GPUs while nodes come and go: books are kept, no pod is lost, runs end and come out the same
    /// twice, with its quirks and without them, with chance and without.
    #[test]
    fn a_cluster_that_nos_cuts_keeps_its_books(
        case in case(),
        mig in any::<bool>(),
        (events, policy) in disturbance(),
        quiet in any::<bool>(),
        nos in (any::<bool>(), any::<bool>(), select(Planner::ALL.to_vec()), any::<bool>()),
        profile in select(vec![None, Some(Profile::Kube1_25)]),
    ) {
        let to = if mig { Sharing::Mig } else { Sharing::Mps };
        let events = if quiet { Vec::new() } else { events };
        let (mended, seeded, planner, regret) = nos;
        let cuts = Cuts { mended, seeded, planner, regret };
        let world = |regret| {
            let (events, policy) = (events.clone(), policy.clone());
            let case = Case { events, policy, to, nos: Some(Cuts { regret, ..cuts }), ..case.clone() };
            match profile {
                None => case.world(),
                Some(profile) => case.under(profile, KubeSpec::default()),
            }
        };
        let run = |world: &World| {
            let (mut lines, mut log) = (PodLog::new(world.workload().len()), Log::default());
            world.simulate(&mut (&mut lines, &mut log));
            (lines, log)
        };
        let (judged, world) = (world(!regret), world(regret));
        let (lines, log) = run(&world);
        for line in lines.lines() {
            let ended = !matches!(line.fate, Fate::Unborn | Fate::Running);
            prop_assert!(ended, "{:?} at the end", line.fate);
        }
        let _ = world.summary();
        // Whether plans are judged changes nothing else; and no plan serves more than can be.
        let (mut other, again) = (run(&judged).1, run(&world).1);
        prop_assert_eq!(&log, &again, "the same records again");
        let mut log = log;
        for records in [&mut log.0, &mut other.0] {
            records.retain(|(_, _, text)| !text.starts_with("Judged"));
        }
        prop_assert_eq!(log, other, "plans are judged from outside");
        let judged = if regret { world } else { judged };
        if let Some(figures) = judged.summary().0.recuts.and_then(|recuts| recuts.regret) {
            prop_assert!(figures.best <= figures.bound && figures.served <= figures.bound, "{:?}", figures);
        }
    }

    /// Everything breaks, on clusters that change and are cut: books are kept with every model on under
    /// every profile, Little's law holds, and runs come out the same twice.
    #[test]
    fn what_breaks_keeps_its_books(
        case in case(),
        models in trouble(),
        (events, policy) in disturbance(),
        quiet in any::<bool>(),
        cuts_it in any::<bool>(),
        mig in any::<bool>(),
        profile in select(vec![None, Some(Profile::Kube1_35)]),
        api in select(vec![None, Some(ApiLimits { qps: 1, burst: 2 })]),
    ) {
        let events = if quiet { Vec::new() } else { events };
        let cuts = Cuts { mended: true, seeded: false, planner: Planner::Nos, regret: false };
        let nos = cuts_it.then_some(cuts);
        let to = match nos {
            Some(_) if mig => Sharing::Mig,
            Some(_) => Sharing::Mps,
            None => case.to,
        };
        let case = Case { events, policy, models: Some(models), nos, to, ..case };
        let world = match profile {
            None => case.world(),
            Some(profile) => case.clone().under(profile, KubeSpec { api, ..KubeSpec::default() }),
        };
        let run = || {
            let (mut lines, mut log) = (PodLog::new(world.workload().len()), Log::default());
            world.simulate(&mut (&mut lines, &mut log));
            (lines, log)
        };
        let (lines, log) = run();
        for line in lines.lines() {
            let ended = !matches!(line.fate, Fate::Unborn | Fate::Running);
            prop_assert!(ended, "{:?} at the end", line.fate);
        }
        // The parts of GPU time add up, which the fold itself asserts; and Little's law holds for those
        // who wait and for those who run, whatever broke.
        let (summary, _) = world.summary();
        let end = log.0.last().map_or(Time::ZERO, |(at, _, _)| *at);
        let still = |line: &slicewise::metrics::Line| match line.fate {
            Fate::Waiting => end.since(line.left).as_secs_f64(),
            _ => 0.0,
        };
        // Who stands behind scheduling gates is in no queue.
        let gated = |i: usize| lines.gated(PodId::of(i)).map_or(0.0, Span::as_secs_f64);
        let pods = &world.workload().pods;
        let waited = |i: usize| lines.waited(PodId::of(i), pods[i].arrival).as_secs_f64();
        let queued = lines.lines().iter().enumerate();
        let waited: f64 = queued.map(|(i, l)| waited(i) + still(l) - gated(i)).sum();
        let ran: f64 = (0..pods.len()).map(|i| lines.ran(PodId::of(i)).as_secs_f64()).sum();
        let window = summary.to_s - summary.from_s;
        prop_assert!((summary.queue.mean * window - waited).abs() <= 1e-6 * (1.0 + waited), "Little's law");
        prop_assert!((summary.running.mean * window - ran).abs() <= 1e-6 * (1.0 + ran), "Little's law");
        prop_assert_eq!(log, run().1, "the same records again");
    }

    /// Nothing is decided before its time: cycles run at multiples of their length.
    #[test]
    fn cycles_keep_their_rhythm(case in case(), seconds in 1_u64..40) {
        let case = Case { cycle: Span::from_secs(seconds), ..case };
        let (_, log, _) = run(&case.world());
        for (at, _, text) in &log.0 {
            let decided = text.starts_with("Bound") || text.starts_with("Refused");
            prop_assert!(!decided || at.0 % Span::from_secs(seconds).0 == 0, "{} {}", at, text);
        }
    }
}

#[test]
fn all_kinds_of_case_occur() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..600 {
        let case = case().new_tree(&mut runner).expect("a case").current();
        let world = case.world();
        let (lines, log, _) = run(&world);
        let mut words: Vec<String> = lines.lines().iter().map(|line| format!("{:?}", line.fate)).collect();
        words.extend(log.0.iter().filter_map(|(_, _, text)| text.split(' ').next().map(str::to_owned)));
        words.push(format!("{:?}", world.translation().to));
        words.extend(
            lines.lines().iter().filter(|l| l.was_bound() && l.bound == Time::ZERO).map(|_| "at 0".into()),
        );
        words.sort();
        words.dedup();
        words.into_iter().for_each(|word| *seen.entry(word).or_insert(0) += 1);
    }
    // The draws are worth something only if they reach all of these.
    for word in [
        "Finished",
        "GaveUp",
        "TurnedAway",
        "NeverFits",
        "Refused",
        "SpeedChanged",
        "Whole",
        "Mig",
        "Mps",
        "MpsReplicas",
        "TimeSlicing",
        "Fraction",
    ] {
        assert!(seen.contains_key(word), "{word} in {seen:?}");
    }
}
