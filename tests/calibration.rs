//! The shipped calibration: what the sharing models make of a loop that was measured in three modes.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A slowdown and seconds of a step, as printed.
type Cell = (&'static str, &'static str);

/// Mode, then for 1, 3, 5 and 7 pods: slowdown and seconds of a step by the formulas, worked out by hand, and
/// how far the model may be from the measured step.
const ROWS: [(&str, [Cell; 4], f64); 3] = [
    ("time-slicing", [("1", ".08815"), ("3.33", ".29354"), ("5.55", ".48923"), ("7.77", ".68493")], 0.01),
    ("MPS", [("1", ".08815"), ("1.68", ".14809"), ("2.80", ".24682"), ("3.92", ".34555")], 0.12),
    ("MIG 1g", [("3.564", ".31414"); 4], 0.12),
];

/// A value to as many digits after the point as `printed` has.
fn to_digits(value: f64, printed: &str) -> String {
    let places = printed.split_once('.').map_or(0, |(_, digits)| digits.len());
    let text = format!("{value:.places$}");
    match printed.starts_with('.') {
        true => text.trim_start_matches('0').to_owned(),
        false => text,
    }
}

/// Runs a scenario: its summary.
fn run(scenario: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_slicewise"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .arg("run")
        .arg(scenario)
        .args(["--no-report", "-q", "-o", "json"])
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn yolos_comes_out_as_the_formulas_say_and_near_what_was_measured() {
    let json = run(Path::new("scenarios/yolos.yaml"));
    let mut variants = json["variants"].as_array().expect("a list").iter();
    for (mode, cells, within) in ROWS {
        for ((slowdown, step), pods) in cells.into_iter().zip([1, 3, 5, 7]) {
            let variant = variants.next().expect("a variant for each cell");
            let s = if pods == 1 { "" } else { "s" };
            let name = format!("{mode} · {pods} pod{s}");
            assert_eq!(variant["name"], name);
            let measured = &variant["measured"][0];
            let number = |key: &str| measured[key].as_f64().unwrap_or_else(|| panic!("{name}: {key}"));
            assert_eq!(measured["pods"], pods, "{name}");
            assert_eq!(to_digits(number("slowdown"), slowdown), slowdown, "{name}");
            let (modelled, step) = (number("modelled_s"), step.parse::<f64>().expect("a number"));
            // A unit of the last digit: the step alone has no more digits than the table.
            assert!((modelled - step).abs() < 1e-5, "{name}: {modelled} for {step}");
            assert!(number("error").abs() <= within, "{name}: {measured}");
        }
    }
    assert!(variants.next().is_none());
}

/// Pods alone on slices of one size, each as slow as the behavior that it was given.
#[test]
fn behaviors_by_rule_and_mix_reach_the_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let scenario = folder.path().join("mixed.yaml");
    let text = "\
name: mixed
workload:
  generate:
    pods: 400
    arrivals: at-once
    classes:
      - {name: short, weight: 1, cpu: 1, memory: 1GiB, gpu: {share: 125}, work: {constant: {mean: 10m}}}
      - {name: long, weight: 1, cpu: 1, memory: 1GiB, gpu: {share: 125}, work: {constant: {mean: 2h}}}
cluster:
  nodes: [{name: gpu, count: 8, cpu: 96, memory: 512GiB, gpus: {model: a100-40gb, count: 8}, mode: {mig: [1g, 1g, 1g, 1g, 1g, 1g, 1g]}}]
models:
  sharing: true
  default: {host: 0, fill: 0.1}
  behaviors: {half: {host: 0, fill: 0.5}}
  assign:
    - {of: {longer_than: 1h}, as: half}
    - {of: {classes: [short]}, as: {mix: {launch-bound: 3, saturating: 1}}}
report: {measured: [{class: long, alone: 1s, step: 3s}, {class: short, alone: 1s, step: 3s}]}
";
    std::fs::write(&scenario, text).expect("a file in a temporary folder");
    let json = run(&scenario);
    let variant = &json["variants"][0];
    let slowdown = |row: usize| variant["measured"][row]["slowdown"].as_f64().expect("pods finished");
    // d ÷ f(1) = .5 ÷ (1.1 ÷ 7); launch-bound runs at full speed on any slice, saturating at .164.
    assert!((slowdown(0) - 3.1818).abs() < 1e-3, "{}", slowdown(0));
    let mixed = 0.75 + 0.25 / 0.164;
    assert!((slowdown(1) / mixed - 1.0).abs() < 0.15, "{}", slowdown(1));
    let notes = variant["notes"].to_string();
    let counted = notes.split("Behaviors by rule, in pods: ").nth(1).expect("a note").split('.').next();
    let counts: Vec<u32> = counted
        .expect("its end")
        .split(", ")
        .map(|part| part.rsplit(' ').next()?.parse().ok())
        .map(|n| n.expect("a count"))
        .collect();
    assert_eq!((counts.len(), counts.iter().sum::<u32>()), (3, 400), "{notes}");
}
