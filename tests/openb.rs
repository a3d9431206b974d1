//! The real openb trace through the shipped scenario, against figures computed outside this program
//! (a separate script over the CSV, and the same replay by hand). Skips, and says so, where the trace
//! is not at hand.
#![expect(clippy::print_stdout, reason = "what is skipped is said")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of a trace beside the repository, if it is there.
fn traces(name: &str) -> Option<PathBuf> {
    let folder = root().join("../shared/traces").join(name);
    let there = folder.is_dir();
    if !there {
        println!("skipped: {} is not there", folder.display());
    }
    there.then_some(folder)
}

/// Runs a shipped scenario: its summary, and what it says on stderr.
fn run(scenario: &str, set: &str, folder: &Path) -> (Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_slicewise"))
        .current_dir(root())
        .args(["run", scenario, "--no-report", "-o", "json", "--set"])
        .arg(format!("{set}={}", folder.display()))
        .output()
        .expect("the program starts");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success(), "{stderr}");
    (serde_json::from_slice(&output.stdout).expect("JSON"), stderr)
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} is a number"))
}

#[track_caller]
fn near(value: &Value, path: &str, expected: f64, relative: f64) {
    let got = number(value, path);
    assert!((got - expected).abs() <= relative * expected, "{path}: {got}, expected {expected}");
}

#[test]
fn openb_window_holds_what_the_trace_says() {
    let Some(folder) = traces("openb") else { return };
    let (summary, stderr) = run("scenarios/openb-window.yaml", "OPENB", &folder);
    let variants = summary["variants"].as_array().expect("a list");
    let unlimited = [
        ("fraction", 19.886),
        ("whole", 21.870),
        ("ceil-compute", 20.410),
        ("ceil-both", 20.473),
        ("nearest", 20.086),
        ("refresh-a100", 19.120),
        ("refresh-h100", 18.664),
    ];
    assert_eq!(variants.len(), unlimited.len() + 1);
    for (variant, (name, gpus)) in variants.iter().zip(unlimited) {
        assert_eq!(variant["name"], format!("unlimited-{name}"));
        near(variant, "/summary/gpus/mean", gpus, 1e-3);
        near(variant, "/summary/cpus/mean", 226.6, 1e-3);
        let all = &variant["summary"]["classes"][0];
        assert_eq!((&all["counts"]["total"], &all["counts"]["finished"]), (&7_228.into(), &7_228.into()));
        assert_eq!(number(all, "/wait_s/max"), 0.0, "nobody waits in {name}");
        let note = variant["notes"].to_string();
        assert!(note.contains("8125 rows, 897 dropped"), "{note}");
    }
    near(&variants[0], "/summary/gpus/peak", 52.4, 1e-3);
    near(&variants[0], "/summary/cpus/peak", 539.0, 1e-3);
    on_24_gpus(&variants[7], &stderr);
}

/// The same pods on three nodes, of which five ask for more than any of them has.
fn on_24_gpus(variant: &Value, stderr: &str) {
    assert_eq!(variant["name"], "24-gpus");
    let counts = &variant["summary"]["classes"][0]["counts"];
    assert_eq!((&counts["finished"], &counts["never_fit"]), (&7_223.into(), &5.into()));
    assert_eq!((&counts["waiting"], &counts["running"]), (&0.into(), &0.into()));
    let said = stderr.lines().find(|line| line.starts_with("24-gpus: 5 pods can never fit"));
    let said = said.unwrap_or_else(|| panic!("the five are named in\n{stderr}"));
    assert_eq!(said.matches("openb-pod-").count(), 5, "{said}");
    assert!(said.contains("Insufficient cpu"), "{said}");
}

#[test]
fn elasticflow_jobs_all_come_to_an_end() {
    const SCENARIO: &str = "scenarios/elasticflow.yaml";
    let Some(folder) = traces("elasticflow-itp") else { return };
    if !root().join(SCENARIO).exists() {
        println!("skipped: {SCENARIO} is not there");
        return;
    }
    let (summary, _) = run(SCENARIO, "ELASTICFLOW", &folder);
    let variants = summary["variants"].as_array().expect("a list");
    assert!(!variants.is_empty());
    for variant in variants {
        let counts = &variant["summary"]["classes"][0]["counts"];
        let of = |key: &str| number(counts, &format!("/{key}"));
        assert!(0.0 < of("total") && 0.0 < number(variant, "/summary/gpus/mean"), "{counts}");
        let gone = of("finished") + of("gave_up") + of("turned_away") + of("never_fit");
        assert_eq!(gone, of("total"), "{counts}");
    }
}
