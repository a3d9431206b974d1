//! Whole runs of small scenarios: what is said of pods comes about.

use super::{Inputs, Run, worlds};
use crate::id::PodId;
use crate::scenario::{Known, load};
use crate::sched::score;
use crate::units::Span;
use std::collections::BTreeMap;
use std::path::Path;

/// Forty pods at once of two classes, each for 10 minutes on a GPU of its own; there are forty.
const FORTY: &str = "
name: forty
workload:
  generate:
    pods: 40
    arrivals: at-once
    classes:
      - {name: a, cpu: 1, memory: 1GiB, gpu: {whole: 1}, work: {constant: {mean: 10m}}}
      - {name: b, cpu: 1, memory: 1GiB, gpu: {whole: 1}, work: {constant: {mean: 10m}}}
cluster:
  nodes: [{name: n, count: 5, cpu: 96, memory: 384GiB, gpus: {model: a100-40gb, count: 8}}]
";

fn run(more: &str) -> Run {
    let none = BTreeMap::new();
    let known = Known::builtin(&score::BUILT_IN, &none);
    let (mut file, _) = load(&format!("{FORTY}{more}"), "forty.yaml", &known).expect("a good scenario");
    let worlds = worlds(&mut file, &Inputs::beside(Path::new(""), "forty.yaml"), &[]).expect("it can be run");
    worlds.into_iter().next().expect("one variant").run(&|_| ())
}

/// Class, wait, gated, attempts, first message and last of each pod.
fn lives(run: &Run) -> Vec<(String, Span, Option<Span>, u32, String, String)> {
    let workload = run.world.workload();
    let text = |reason: Option<_>| reason.map_or_else(String::new, |id| run.log.reasons.text(id));
    let lines = run.log.lines().iter().enumerate();
    let life = |(i, line): (usize, &crate::metrics::Line)| {
        let pod = &workload.pods[i];
        let wait = run.log.wait(PodId::of(i), pod.arrival).expect("every pod is served");
        let (first, last) = (text(line.reason), text(line.last_reason));
        let class = workload.classes[pod.class.index()].clone();
        (class, wait, run.log.gated(PodId::of(i)), line.attempts, first, last)
    };
    lines.map(life).collect()
}

#[test]
fn gates_hold_pods_until_they_are_lifted_and_the_message_names_them() {
    let gates = "variants:\n  - name: gated\n    workload: {scheduling_gates: [{name: example.com/quota, of: \
                 {classes: [b]}, lifted: 7m}, {name: data, of: {classes: [b]}, lifted: 1m}]}\n    scheduler: ";
    for profile in ["ideal", "kube-1.35"] {
        let run = run(&format!("{gates}{{profile: {profile}}}\n"));
        for (class, wait, gated, attempts, first, last) in lives(&run) {
            let (held, message) = match class.as_str() {
                "b" => (Span::from_secs(420), "waiting for scheduling gates: [example.com/quota data]"),
                _ => (Span::ZERO, ""),
            };
            assert_eq!((wait, gated.unwrap_or_default(), attempts), (held, held, 1), "{profile} {class}");
            assert_eq!((first.as_str(), last.as_str()), (message, message), "{profile} {class}");
        }
        // Gated pods are in no queue: there was room for all others.
        assert_eq!(run.result.summary.queue.peak, 0.0);
        assert_eq!(run.result.summary.gpu_time.unscheduled, 0.0);
    }
    let old = run(&format!("{gates}{{profile: kube-1.25}}\n"));
    assert!(lives(&old).iter().all(|(_, wait, gated, ..)| (*wait, *gated) == (Span::ZERO, None)));
    assert!(old.result.notes.iter().any(|note| note.contains("1.26")), "{:?}", old.result.notes);
}

#[test]
fn a_pod_that_is_evicted_is_created_with_its_gates_again() {
    let run = run(
        "variants:\n  - name: gated\n    workload: {scheduling_gates: [{name: g, lifted: 1m}], grace: 0s}\n    \
                   cluster: {events: [{at: 5m, nodes: [n], do: drain}, {at: 6m, nodes: [n], do: uncordon}]}\n",
    );
    for (i, (_, wait, gated, ..)) in lives(&run).into_iter().enumerate() {
        assert_eq!(run.log.losses(PodId::of(i)).evictions, 1);
        // Gated from the start, and again once the Job controller had made it anew, 10 s after its eviction.
        assert_eq!(gated, Some(Span::from_secs(120)));
        // A minute behind its gates, 10 s away, a minute behind them again; not the time it ran in between.
        assert_eq!(wait, Span::from_secs(130));
    }
}

#[test]
fn bindings_fail_as_often_as_is_said_and_pods_are_tried_again() {
    let share = |share: &str| {
        run(&format!("variants:\n  - name: failing\n    scheduler: {{kube: {{bind_failures: {share}}}}}\n"))
    };
    let all = lives(&share("0"));
    assert!(all.iter().all(|(_, wait, _, attempts, ..)| (*wait, *attempts) == (Span::ZERO, 1)));
    let failing = share("0.5");
    let failing = lives(&failing);
    let failures: u32 = failing.iter().map(|life| life.3 - 1).sum();
    // 40 pods with an even chance each time: 40 failures are expected, 9 is their standard deviation.
    assert!((15..=75).contains(&failures), "{failures}");
    for (_, wait, _, attempts, first, last) in &failing {
        let failed = 1 < *attempts;
        assert_eq!(failed, Span::from_secs(1) <= *wait, "the first back-off is a second");
        assert_eq!(failed, first.starts_with("binding rejected: ") && first == last);
    }
}
