//! Good scenarios, bad scenarios, and scenarios made by chance.

mod bad;
mod made;

use super::resolved::ScenarioFile;
use super::{Known, load, resolved_yaml, schema, table};
use crate::diag::Diagnostic;
use crate::sched::spec::{Profile, SchedulerSpec};
use crate::trace::spec::{Assume, Changes, Draw, Format};
use crate::units::Span;
use crate::workload::policy::Evicted;
use crate::yaml::{Kind, Node, Object, Shape, parse};
use std::collections::{BTreeMap, BTreeSet};

const FULL: &str = include_str!("tests/full.yaml");

const SMALL: &str = "\
name: small
workload: {trace: a.csv}
cluster: {nodes: [{name: n, cpu: 8, memory: 64GiB}]}
";

fn read(text: &str) -> Result<(ScenarioFile, Vec<Diagnostic>), Vec<Diagnostic>> {
    let variables = BTreeMap::from([("DIR".to_owned(), "/data".to_owned())]);
    let known = Known::builtin(&["least-allocated", "most-allocated", "random"], &variables);
    load(text, "s.yaml", &known)
}

#[track_caller]
fn good(text: &str) -> ScenarioFile {
    match read(text) {
        Ok((file, warnings)) => {
            assert_eq!(warnings, [], "{text}");
            file
        }
        Err(complaints) => panic!("{}\n{text}", lines(&complaints).join("\n")),
    }
}

/// Complaints as `file:line:col code message`, with helps in parentheses.
fn lines(diagnostics: &[Diagnostic]) -> Vec<String> {
    let line = |d: &Diagnostic| {
        let help = d.help.as_ref().map_or_else(String::new, |h| format!(" ({h})"));
        format!("{}:{}:{} {} {}{help}", d.file, d.line, d.column, d.code, d.message)
    };
    diagnostics.iter().map(line).collect()
}

#[test]
fn defaults_are_those_of_the_types() {
    let file = good(SMALL);
    assert_eq!((file.name.as_str(), file.description.as_str(), file.variants.len()), ("small", "", 1));
    let one = &file.variants[0];
    assert_eq!((one.name.as_str(), one.seed), ("small", 1));
    assert_eq!(one.scheduler, SchedulerSpec::default());
    assert_eq!(one.report, super::resolved::ReportSpec::default());
    assert_eq!(one.workload.changes, Changes::default());
    let source = &one.workload.traces[0];
    assert_eq!((&source.format, source.assume), (&Format::Native, Assume::default()));
    let long = good(&SMALL.replace("trace: a.csv", "traces: [{file: a.csv}]"));
    assert_eq!(long, file, "the short form means the defaults of the long one");
    assert_eq!((one.cluster.nodes[0].count, one.cluster.nodes[0].pods), (1, 110));
}

#[test]
fn variants_are_laid_over_the_scenario() {
    let file = good(FULL);
    let [as_it_is, bootstrap, diurnal, _, _, third, real, _, _, _, _, _, alone] = file.variants.as_slice()
    else {
        panic!("thirteen")
    };
    assert_eq!(real.scheduler.profile, Profile::Kube1_25);
    assert_eq!(real.workload.evicted, Evicted::Leave);
    assert_eq!((as_it_is.seed, bootstrap.seed, alone.seed), (42, 7, 1));
    assert_eq!((as_it_is.gpus.len(), bootstrap.gpus.len(), alone.gpus.len()), (3, 1, 0));
    assert_eq!(as_it_is.workload.traces[1].file, "/data/mapped.csv");
    assert_eq!(as_it_is.workload.traces[2].file, "../spans.csv");
    let changes = &bootstrap.workload.changes;
    assert_eq!((changes.window, changes.time_scale), (None, 2.0), "`~` removes, the rest stays");
    assert!(matches!(changes.draw, Some(Draw::Bootstrap { pods: 10, .. })));
    assert_eq!(bootstrap.workload.generate.as_ref().unwrap().pods, 1_000);
    assert_eq!(bootstrap.cluster.nodes.len(), 1, "lists replace");
    assert_eq!(bootstrap.scheduler.scores[0].name, "random", "and so does the short form");
    assert_eq!(bootstrap.scheduler.cycle, Span::from_secs(10));
    assert_eq!(diurnal.workload.traces[0].file, "x.csv");
    assert_eq!(third.workload.patience, Some(Span::ZERO));
    assert_eq!((alone.workload.generate.as_ref(), alone.cluster.nodes.len()), (None, 0));
}

#[test]
fn resolved_scenarios_are_scenarios() {
    for text in [SMALL, FULL] {
        let file = good(text);
        let resolved = resolved_yaml(&file);
        assert_eq!(good(&resolved), file, "{resolved}");
        assert_eq!(resolved_yaml(&good(&resolved)), resolved);
    }
    let expected = "\
name: small
variants:
  - name: small
    base: none
    seed: 1
    workload:
      traces:
        - file: a.csv
          format: native
          bad_rows: refuse
          assume:
            cpu_per_gpu: \"12\"
            memory_per_gpu: 48GiB
            gpus_per_node: 8
      changes:
        time_scale: 1.0
        load_scale: 1.0
      grace: 30s
      evicted: return
    cluster:
      nodes:
        - name: \"n\"
          count: 1
          cpu: \"8\"
          memory: 64GiB
          pods: 110
          mode: whole
    scheduler:
      profile: kube-1.35
      gpu_choice: best-fit
      cycle: 0s
      kube:
        settings:
          percentage_of_nodes_to_score: 0
          backoff_initial: 1s
          backoff_max: 10s
          unschedulable_max: 5m
          filters_off: []
          ignored_resources: []
          ignored_groups: []
          preemption: true
          candidates_percentage: 10
          candidates_absolute: 100
          weights:
            fit: 1
            balanced: 1
            taints: 3
            affinity: 2
          strategy: least-allocated
          resources:
            cpu: 1
            memory: 1
          balanced_resources: [cpu, memory]
        cycle_time: 0s
    partitioner: none
    models:
      sharing: false
      default:
        host: 0.05
        fill: 1.0
        start_up: 0s
        resume: 25s
        saves_on_eviction: false
        crashes_per_hour: 0.0
        fatal: 0.2
        retries: 6
      mig:
        kappa: 1.1
        full: 1.0
        residual: 0.0
      mps:
        alpha: 0.1
        capacity: 1.0
        threads: plugin
        residual: 0.0
      time_slicing:
        loss: 0.11
        slice: 2ms
        context: 512MiB
        out_of_memory_within: 1m
        fault_domain: gpu
        residual: 0.0
      recut:
        path: agent
        create:
          call: 75ms
          each: 10ms
        destroy:
          call: 138ms
          each: 6ms
        compute_instance: 100ms
        retry: 300ms
        plugin: 10s
        mps_server: 10s
        manager:
          median: 90s
          p95: 5m
        reset: 1m
    report:
      warm_up: 0.0
      until: last-departure
      gpus_shown: 12
      replications: 1
";
    assert_eq!(resolved_yaml(&good(SMALL)), expected);
}

#[test]
fn unknown_models_are_only_warned_of_where_nothing_hangs_on_them() {
    for (mode, stops) in [
        ("whole", false),
        ("fraction", false),
        ("{mps: {replicas: 2}}", false),
        ("{time-slicing: {replicas: 2}}", false),
        ("mps", true),
        ("{mig: [1g.5gb]}", true),
    ] {
        let node = format!("cpu: 8, memory: 64GiB, gpus: {{model: Quark, count: 1}}, mode: {mode}");
        let result = read(&SMALL.replace("cpu: 8, memory: 64GiB", &node));
        let (complaints, stopped) = match result {
            Ok((_, warnings)) => (warnings, false),
            Err(errors) => (errors, true),
        };
        assert_eq!(stopped, stops, "{mode}");
        let message = "no GPU model `Quark` is known (`slicewise gpus` lists the models)";
        assert_eq!(lines(&complaints), [format!("s.yaml:3:66 unknown-name {message}")]);
    }
}

/// Every key and every form of a choice that a table has.
fn all_of(kind: &Kind, found: &mut BTreeSet<String>) {
    match kind {
        Kind::Object(object) | Kind::Overlay(object) => {
            for key in object.keys {
                if found.insert(format!("{}: {}", object.name, key.name)) {
                    all_of(&key.kind, found);
                }
            }
        }
        Kind::Choice(choice) => {
            for alternative in choice.alternatives {
                if alternative.bare {
                    found.insert(format!("{}: {}", choice.name, alternative.name));
                }
                if let Some(value) = &alternative.value {
                    found.insert(format!("{}: {{{}}}", choice.name, alternative.name));
                    all_of(value, found);
                }
            }
        }
        Kind::List(list) => all_of(&list.of, found),
        Kind::Map(of) => all_of(of, found),
        Kind::Either(kinds) | Kind::Tuple(kinds) => kinds.iter().for_each(|k| all_of(k, found)),
        _ => {}
    }
}

/// The same, as far as a text uses them.
fn used(node: &Node, kind: &Kind, found: &mut BTreeSet<String>) {
    match (kind, &node.shape) {
        (Kind::Object(object) | Kind::Overlay(object), Shape::Map(entries)) => {
            for entry in entries {
                if let Some(key) = object.key(&entry.key) {
                    found.insert(format!("{}: {}", object.name, key.name));
                    used(&entry.value, &key.kind, found);
                }
            }
        }
        (Kind::Choice(choice), Shape::Text { text, .. }) => {
            found.insert(format!("{}: {text}", choice.name));
        }
        (Kind::Choice(choice), Shape::Map(entries)) => {
            for entry in entries {
                found.insert(format!("{}: {{{}}}", choice.name, entry.key));
                // A mapping that is no choice at all stands where a record or a choice may.
                let alternative = choice.alternatives.iter().find(|a| *a.name == *entry.key);
                if let Some(value) = alternative.and_then(|a| a.value.as_ref()) {
                    used(&entry.value, value, found);
                }
            }
        }
        (Kind::List(list), Shape::List(items)) => items.iter().for_each(|i| used(i, &list.of, found)),
        (Kind::Map(of), Shape::Map(entries)) => entries.iter().for_each(|e| used(&e.value, of, found)),
        (Kind::Either(kinds), _) => kinds.iter().for_each(|k| used(node, k, found)),
        _ => {}
    }
}

/// With the assertion of [`crate::yaml::record`] that every key is taken, this shows that no key
/// and no word of the tables, and so of the schema, means nothing.
#[test]
fn every_key_and_every_word_is_lowered() {
    let (mut all, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let file = Kind::Object(&table::FILE);
    all_of(&file, &mut all);
    used(&parse(FULL, &mut Vec::new()).unwrap(), &file, &mut seen);
    // A mix of profiles is either a word or a list, and `used` holds both against it.
    let missing: Vec<_> = all.difference(&seen).collect();
    assert!(missing.is_empty(), "not in full.yaml: {missing:?}");
    good(FULL);
}

/// Objects and choices with their names in the schema.
fn definitions(kind: &Kind, found: &mut BTreeMap<String, BTreeSet<usize>>) {
    let mut add = |name: &str, address: usize| found.entry(name.to_owned()).or_default().insert(address);
    match kind {
        Kind::Object(object) | Kind::Overlay(object) => {
            add(object.name, std::ptr::from_ref::<Object>(object) as usize);
            object.keys.iter().for_each(|k| definitions(&k.kind, found));
        }
        Kind::Choice(choice) => {
            add(choice.name, std::ptr::from_ref(*choice) as usize);
            choice.alternatives.iter().filter_map(|a| a.value.as_ref()).for_each(|k| definitions(k, found));
        }
        Kind::List(list) => definitions(&list.of, found),
        Kind::Map(of) => definitions(of, found),
        Kind::Either(kinds) | Kind::Tuple(kinds) => kinds.iter().for_each(|k| definitions(k, found)),
        _ => {}
    }
}

#[test]
fn the_schema_has_every_key_and_word() {
    let schema = schema();
    let mut names = BTreeMap::new();
    definitions(&Kind::Object(&table::FILE), &mut names);
    assert!(names.values().all(|addresses| addresses.len() == 1), "names are distinct: {names:?}");
    let text = schema.to_string();
    let mut all = BTreeSet::new();
    all_of(&Kind::Object(&table::FILE), &mut all);
    for one in all {
        let word = one.rsplit_once(": ").unwrap().1.trim_matches(['{', '}']);
        assert!(text.contains(&format!("\"{word}\"")), "{one}");
    }
    let definitions = schema["$defs"].as_object().unwrap();
    for reference in text.split("\"#/$defs/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(definitions.contains_key(reference), "{reference}");
    }
    let modes = &definitions["mode"]["anyOf"];
    assert_eq!(modes[0]["enum"], serde_json::json!(["whole", "fraction", "mig", "mps"]));
    assert_eq!(definitions["node-group"]["required"], serde_json::json!(["name", "cpu", "memory"]));
    assert_eq!(definitions["scheduler-part"]["properties"]["ties"]["default"], "node-order");
    assert_eq!(schema["additionalProperties"], false);
}
