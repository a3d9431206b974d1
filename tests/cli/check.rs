//! `slicewise check` from outside: the shipped example, exit codes, forms of output, standard input.

use crate::{Said, Stage, root};
use std::fs;

/// The shipped example of gating a change, with one of its files changed.
fn example(change: &dyn Fn(&str, String) -> String) -> Stage {
    let folder = root().join("examples/gate-partitioning");
    let stage = Stage::new();
    for name in ["mig-configs.yaml", "nodes.yaml", "workloads.yaml"] {
        let text = fs::read_to_string(folder.join(name)).expect("a file of the example");
        stage.write(name, change(name, text).as_bytes());
    }
    stage
}

fn gate(stage: &Stage, more: &[&str]) -> Said {
    let words = ["check", "mig-configs.yaml", "workloads.yaml", "--nodes", "nodes.yaml", "--strict"];
    stage.run(&[&words, more].concat())
}

/// A change of the example's ConfigMap that no A100 can hold.
fn impossible(name: &str, text: String) -> String {
    if name == "mig-configs.yaml" { text.replace("\"3g.20gb\": 2", "\"4g.20gb\": 2") } else { text }
}

#[test]
fn the_example_passes() {
    let said = gate(&example(&|_, text| text), &[]).ok();
    for part in
        ["nvidia.com/mig-1g.5gb: 28", "each GPU: 3g.20gb@0 3g.20gb@4", "nothing to complain about in 3 files"]
    {
        assert!(said.stdout.contains(part), "{part} in\n{}", said.stdout);
    }
    assert_eq!(said.stderr, "");
}

#[test]
fn an_impossible_change_is_stopped_in_every_form() {
    let stage = example(&impossible);
    for (form, parts) in [
        (
            "text",
            vec![
                "error[infeasible]: a100-40gb has no room for 4g.20gb beside 4g.20gb",
                "mig-configs.yaml:18:13",
            ],
        ),
        (
            "github",
            vec!["::error file=mig-configs.yaml,line=18,col=13,title=infeasible::a100-40gb has no room"],
        ),
        (
            "junit",
            vec![
                "<testsuites name=\"slicewise check\" tests=\"3\" failures=\"1\">",
                "<failure type=\"infeasible\"",
            ],
        ),
        ("json", vec!["\"code\": \"infeasible\"", "\"line\": 18", "\"errors\": 1"]),
    ] {
        let said = gate(&stage, &["-o", form]);
        assert_eq!(said.code, 1, "{}", said.stderr);
        for part in parts {
            assert!(said.stdout.contains(part), "{part} in\n{}", said.stdout);
        }
    }
    let json = gate(&stage, &["-o", "json"]).stdout;
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["findings"].as_array().map(Vec::len), Some(1));
    assert_eq!(stage.run(&["check", "mig-configs.yaml", "--nodes", "nodes.yaml", "--exit-zero"]).code, 0);
}

#[test]
fn pods_that_lose_their_slices_are_named() {
    let stage = example(&|name, text| {
        if name == "mig-configs.yaml" { text.replace("\"1g.5gb\": 7", "\"1g.10gb\": 4") } else { text }
    });
    let said = gate(&stage, &[]);
    assert_eq!(said.code, 1);
    let expected = "no node has a slice `1g.5gb`, though a100-40gb could be cut so";
    assert!(said.stdout.contains(expected) && said.stdout.contains("workloads.yaml:15:"), "{}", said.stdout);
}

#[test]
fn what_cannot_be_read_is_2() {
    let stage = Stage::with(&[
        ("bad.yaml", "a: [1\n"),
        ("other.yaml", "replicas: 3\n"),
        ("good.yaml", "{kind: List, items: []}\n"),
    ]);
    for (file, part) in [("bad.yaml", "error[bad-yaml]"), ("other.yaml", "error[unrecognized]")] {
        let said = stage.run(&["check", file, "good.yaml"]);
        assert!(said.code == 2 && said.stdout.contains(part), "{}", said.stdout);
    }
    stage.run(&["check", "good.yaml"]).ok();
    stage.run(&["check", "nowhere.yaml"]).fails(2, &["error[unreadable]: nowhere.yaml"]);
    stage.run(&["check"]).fails(2, &["FILES"]);
    stage.run(&["check", "good.yaml", "--gpu", "a100-40bg:8"]).fails(2, &["did you mean `a100-40gb`?"]);
    stage.run(&["check", "good.yaml", "--gpu", "a100-40gb:none"]).fails(2, &["no number of GPUs"]);
}

#[test]
fn what_was_not_checked_is_said() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: hello}\n";
    let said = Stage::with(&[("map.yaml", map)]).run(&["check", "map.yaml"]).ok();
    assert_eq!(
        said.stdout,
        "nothing to check in map.yaml: ConfigMap x\n\nnothing to complain about in 1 file\n"
    );
}

#[test]
fn standard_input_is_read() {
    let stage = Stage::new();
    let file =
        "version: v1\nmig-configs: {a: [{devices: all, mig-enabled: true, mig-devices: {7g.40gb: 2}}]}\n";
    let mut command = stage.command(&["check", "-", "--gpu", "a100-40gb"]);
    let said = Said::of(command.write_stdin(file).output().expect("the program starts"));
    assert!(said.code == 1 && said.stdout.contains("--> -:2:"), "{}", said.stdout);
}

#[test]
fn runs_write_files_for_other_programs() {
    let stage = Stage::new();
    stage.run(&["run", "-q", "--out", "r", "--export", "gpu-operator", "--export", "nvidia-plugin"]).ok();
    let written: Vec<String> =
        ["mig.gpu-operator.yaml", "whole.gpu-operator.yaml", "time-slicing.nvidia-plugin.yaml"]
            .iter()
            .map(|name| stage.path(&format!("r/export/{name}")).display().to_string())
            .collect();
    for file in &written {
        let said = stage.run(&["check", file]).ok();
        assert!(!said.stdout.contains("error"), "{}", said.stdout);
    }
}
