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
    whole(&format!("{FORTY}{more}"))
}

fn whole(yaml: &str) -> Run {
    let none = BTreeMap::new();
    let known = Known::builtin(&score::BUILT_IN, &none);
    let (mut file, _) = load(yaml, "forty.yaml", &known).expect("a good scenario");
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

/// One GPU that is whole at first, cut at 10 minutes, and cut anew at 30, by nobody in no time.
const CUT: &str = "
name: cut
workload:
  translation: {to: mig}
  generate:
    pods: 6
    arrivals: at-once
    classes: [{name: a, cpu: 1, memory: 1GiB, gpu: {share: 400}, work: {constant: {mean: 5m}}}]
cluster:
  nodes: [{name: n, cpu: 96, memory: 384GiB, gpus: {model: a100-40gb, count: 1}, mode: whole}]
  events:
    - {at: 10m, nodes: [n], do: {mode: {to: {mig: [3g, 1g]}, running: wait}}}
    - {at: 30m, nodes: [n], do: {recut: {layout: [3g, 3g], running: wait}}}
models: {recut: {path: instant}}
";

#[test]
fn the_chart_of_slices_shows_how_a_gpu_was_cut_and_when() {
    let run = whole(CUT);
    let [gpu] = &run.result.slices.gpus[..] else { panic!("one GPU") };
    assert!(gpu.lanes.is_empty() && gpu.held.len() == 6, "{gpu:?}");
    let stood: Vec<_> = gpu
        .cuts
        .iter()
        .map(|cut| format!("{} {}-{} {} to {}", cut.label, cut.low, cut.high, cut.from_s, cut.to_s))
        .collect();
    // Four pods one after another on the one slice, the last two beside each other; what stays is one piece.
    let expected = [
        "whole 0-1 0 to 600",
        "1g.5gb@4 0.5-0.625 600 to 1800",
        "3g.20gb@0 0-0.5 600 to 2100",
        "3g.20gb@4 0.5-1 1800 to 2100",
    ];
    assert_eq!(stood, expected);
}

#[test]
fn pods_that_never_find_their_memory_fail_after_their_retries() {
    // Two time-sliced pods want 25 GiB each of 40: the second fails, and comes again beside the first.
    let yaml = |retries: &str| {
        format!(
            "
name: memory
workload:
  generate:
    pods: 2
    arrivals: at-once
    classes: [{{name: a, cpu: 1, memory: 1GiB, gpu: {{share: 500}}, work: {{constant: {{mean: 100h}}}}}}]
cluster:
  nodes: [{{name: n, cpu: 9, memory: 99GiB, gpus: {{model: a100-40gb, count: 1}}, mode: {{time-slicing: {{replicas: 2}}}}}}]
models: {{sharing: true, life: {{memory: 25GiB, retries: {retries}}}}}
"
        )
    };
    for retries in [0, 1, 6] {
        let run = whole(&yaml(&retries.to_string()));
        let failures = |pod: usize| run.log.losses(PodId::of(pod)).failures;
        assert_eq!([failures(0), failures(1)], [0, retries + 1]);
        assert_eq!(run.log.lines()[1].fate, crate::metrics::Fate::Failed);
    }
}
