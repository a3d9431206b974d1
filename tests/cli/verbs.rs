//! What the verbs do when all is well.

use crate::{Said, Stage, golden, root};
use serde_json::Value;
use std::io::Read;
use std::process::Stdio;

#[test]
fn the_quickstart_needs_nothing() {
    let stage = Stage::new();
    let said = stage.run(&["run"]).ok().says(&["report: reports/quickstart/report.html", "next: "]);
    golden("tests/cli/golden/quickstart.txt", &said.stdout);
    for name in [
        "report.html",
        "summary.json",
        "pods.csv",
        "timeline.csv",
        "scenario.resolved.yaml",
        "charts/waits.svg",
    ] {
        assert!(stage.path("reports/quickstart").join(name).is_file(), "{name}");
    }
    let lines = said.stdout.lines().map(|line| line.chars().count());
    assert!(lines.max().expect("a table") <= 80, "a terminal of 80 columns");
}

#[test]
fn quiet_leaves_the_result_alone() {
    let said = Stage::new().run(&["run", "-q", "--no-report"]).ok();
    assert_eq!(said.stderr, "");
    golden("tests/cli/golden/quickstart.txt", &said.stdout);
}

#[test]
fn tables_come_in_many_forms() {
    let stage = Stage::new();
    let of = |form: &str| {
        let said = stage.run(&["run", "-q", "--no-report", "-o", form]).ok();
        assert_eq!(said.stderr, "", "{form}");
        said.stdout
    };
    let json: Value = serde_json::from_str(&of("json")).expect("JSON");
    let names: Vec<&str> = json["variants"]
        .as_array()
        .expect("variants")
        .iter()
        .map(|variant| variant["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["whole", "mig", "mps", "time-slicing"]);
    assert!(of("csv").lines().skip(1).zip(&names).all(|(line, name)| line.starts_with(name)));
    assert_eq!(of("md").lines().filter(|line| line.starts_with('|')).count(), 2 + names.len());
    let width = |text: &str| text.lines().next().map_or(0, str::len);
    assert!(width(&of("text")) <= 80 && 80 < width(&of("wide")), "all columns are wide");
    assert!(of("yaml").contains("name: time-slicing"));
}

#[test]
fn variants_and_seeds_can_be_chosen() {
    let stage = Stage::new();
    let said = stage
        .run(&["run", "--only", "mps", "--only", "whole", "--seed", "9", "-q", "--no-report", "-o", "json"])
        .ok();
    let json: Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!((json["variants"].as_array().map(Vec::len), &json["seed"]), (Some(2), &9.into()));
}

#[test]
fn replications_give_intervals_where_seeds_matter() {
    let two = "\
name: two
seed: 5
workload:
  generate:
    pods: 300
    arrivals: {poisson: {per_hour: 2}}
    classes: [{name: c, weight: 1, cpu: 1, memory: 1GiB, gpu: {whole: 1}, work: {exponential: {mean: 1h}}}]
cluster: {nodes: [{name: n, count: 1, cpu: 8, memory: 64GiB, gpus: {model: G2, count: 3}}]}
";
    let stage = Stage::with(&[("two.yaml", two)]);
    let of = |words: &[&str]| {
        let said = stage.run(&[&["run", "two.yaml", "-q", "--no-report", "-o", "json"], words].concat()).ok();
        serde_json::from_str::<Value>(&said.stdout).expect("JSON")["variants"][0].clone()
    };
    let wait =
        |variant: &Value| variant["summary"]["classes"][0]["wait_s"]["mean"].as_f64().expect("a number");
    let waits: Vec<f64> = ["5", "6", "7"].map(|seed| wait(&of(&["--seed", seed]))).into();
    let three = of(&["--replications", "3"]);
    assert_eq!(wait(&three), waits[0], "the summary is that of the scenario's seed");
    let figure = |of: &str| three["replications"]["figures"]["wait_mean_s"][of].as_f64().expect("a number");
    let mean = waits.iter().sum::<f64>() / 3.0;
    let variance = waits.iter().map(|w| (w - mean) * (w - mean)).sum::<f64>() / 2.0;
    // Student's t for 95 % with two degrees of freedom, from a printed table.
    let half_width = 4.302_653 * (variance / 3.0).sqrt();
    assert!((figure("mean") - mean).abs() < 1e-9 * mean && 0.0 < variance, "{waits:?}");
    assert!((figure("half_width_95") - half_width).abs() < 1e-6 * half_width, "{waits:?}");

    let said = stage.run(&["run", "two.yaml", "-q", "--replications", "3", "--out", "r"]).ok();
    assert!(said.stdout.contains("\n  ± ") && said.stdout.contains("means of 3 runs"), "{}", said.stdout);
    let again = stage.run(&["run", "r/scenario.resolved.yaml", "-q", "--no-report"]).ok();
    assert_eq!(again.stdout, said.stdout, "the resolved scenario asks for the same runs");

    // Nothing is drawn from the seed in a run of a fixed trace.
    let said = stage.run(&["run", "-q", "--no-report", "--replications", "3", "-o", "json"]).ok();
    assert!(said.stdout.contains("Seeds vary nothing here") && !said.stdout.contains("half_width"));
    stage.run(&["run", "--replications", "0"]).fails(2, &["--replications"]);
}

#[test]
fn init_makes_a_scenario_and_never_overwrites() {
    let stage = Stage::new();
    stage.run(&["init", "mine"]).ok().says(&["wrote mine/scenario.yaml", "next: slicewise run"]);
    let mine = stage.run(&["run", "mine/scenario.yaml", "-q", "--no-report"]).ok();
    golden("tests/cli/golden/quickstart.txt", &mine.stdout);
    stage.write("mine/scenario.yaml", b"edited");
    let said = stage.run(&["init", "mine"]);
    said.fails(2, &["error[exists]: mine/scenario.yaml: is there already", "does not overwrite"]);
    std::fs::remove_file(stage.path("mine/scenario.yaml")).expect("there");
    stage.run(&["init", "mine"]).fails(2, &["mine/trace.csv: is there already"]);
    assert!(!stage.path("mine/scenario.yaml").exists(), "both or none");
}

#[test]
fn scenarios_come_from_standard_input_too() {
    let scenario = std::fs::read_to_string(root().join("scenarios/quickstart.yaml")).expect("shipped");
    let stage = Stage::new();
    let run = |text: String| {
        let mut command = stage.command(&["run", "-", "-q", "--no-report"]);
        Said::of(command.write_stdin(text).output().expect("the program starts"))
    };
    golden("tests/cli/golden/quickstart.txt", &run(scenario).ok().stdout);
    run(String::new()).fails(2, &["error["]);
    run("\u{0}: [".to_owned()).fails(2, &["error[", "--> -:1:"]);
}

/// `slicewise gpus | head -1`, and a reader that does not even begin.
#[test]
fn a_closed_pipe_is_a_quiet_success() {
    for bytes in [0, 1] {
        for words in [&["gpus"][..], &["schema"], &["run", "-q", "--no-report", "-o", "json"]] {
            let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_slicewise"))
                .args(words)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program starts");
            let mut pipe = child.stdout.take().expect("a pipe");
            pipe.read_exact(&mut vec![0; bytes]).expect("the first bytes");
            drop(pipe);
            let output = child.wait_with_output().expect("it ends");
            assert_eq!(Said::of(output).ok().stderr, "", "{words:?}");
        }
    }
}

#[test]
fn the_schema_in_the_repository_is_the_one_printed() {
    let said = Stage::new().run(&["schema"]).ok();
    let schema: Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert!(schema["$schema"].as_str().is_some_and(|s| s.starts_with("https://json-schema.org/")));
    assert!(schema["properties"]["cluster"].is_object());
    golden("schema/scenario.json", &said.stdout);
}

#[test]
fn the_catalogue_is_printed() {
    let stage = Stage::new();
    let all = stage.run(&["gpus"]).ok().stdout;
    assert!(all.lines().any(|line| line.starts_with("a100-40gb ")), "{all}");
    let one = stage.run(&["gpus", "NVIDIA A100-SXM4-40GB"]).ok().stdout;
    assert!(one.contains("│          3g           │          3g           │"), "{one}");
    assert!(one.contains("3g.20gb + 1g.5gb x4   (without places: create the larger slices first)"), "{one}");
    let free = stage.run(&["gpus", "a100-40gb", "--layout", "3g@0 1g@4"]).ok().stdout;
    assert!(free.contains("1g.5gb        2  5 6 "), "{free}");
    stage
        .run(&["gpus", "a100-40gb", "--layout", "3g@0 4g"])
        .fails(2, &["no room", "nearest that fit: [3g.20gb@0, 3g.20gb]"]);
    let nos = stage.run(&["gpus", "a100-80gb", "--check-nos"]).ok().stdout;
    assert!(nos.contains("impossible: 2g.20gb x2 + 3g.20gb x1 (it has no 3g.20gb)"), "{nos}");
    stage.run(&["gpus", "t4", "--svg", "t4.svg"]).fails(2, &["has no MIG"]);
    stage.run(&["gpus", "a30", "--svg", "a30.svg"]).ok();
    assert!(std::fs::read_to_string(stage.path("a30.svg")).expect("written").starts_with("<svg"));
}

/// The fields that scripts rely on, for all products at once and for one.
#[test]
fn the_catalogue_is_printed_for_scripts() {
    let stage = Stage::new();
    let all: Value = serde_json::from_str(&stage.run(&["gpus", "-o", "json"]).ok().stdout).expect("JSON");
    let all = all.as_array().expect("an array");
    assert_eq!(all.len(), 59);
    let mig: Vec<&Value> = all.iter().filter(|p| !p["counts"].is_null()).collect();
    assert_eq!(mig.len(), 25);
    let profiles: usize = mig.iter().map(|p| p["profiles"].as_array().expect("an array").len()).sum();
    assert_eq!(profiles, 176);
    assert!(all.iter().filter(|p| p["counts"].is_null()).all(|p| p["profiles"] == serde_json::json!([])));
    let said = stage.run(&["gpus", "NVIDIA-A100-SXM4-40GB", "--format", "json"]).ok().stdout;
    let one: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&one["id"], &one["product"]), (&"a100-40gb".into(), &"NVIDIA A100-SXM4-40GB".into()));
    let counts = serde_json::json!(
        {"states": 298, "maximal_states": 19, "geometries": 38, "maximal_geometries": 12}
    );
    assert_eq!(one["counts"]["base"], counts);
    assert_eq!(one["counts"]["all"]["states"], 2319);
    let plain = &one["profiles"][0];
    assert_eq!(
        (&plain["name"], &plain["id"], &plain["instance_count"]),
        (&"1g.5gb".into(), &19.into(), &7.into())
    );
    assert_eq!(plain["placements"][6], serde_json::json!({"start": 6, "size": 1}));
}

/// Rows go out as YAML and come back as a file of one's own.
#[test]
fn gpus_of_ones_own_are_laid_over_the_catalogue() {
    let stage = Stage::new();
    let rows = stage.run(&["gpus", "a30", "-o", "yaml"]).ok().stdout;
    let own = rows
        .replace("id: a30-24gb", "id: mine")
        .replace("NVIDIA A30", "NVIDIA MINE")
        .replace("[A30]", "[mine too]");
    std::fs::write(stage.path("gpus.yaml"), own).expect("a file");
    let all = stage.run(&["gpus", "--gpus", "gpus.yaml"]).ok().stdout;
    assert!(all.contains("NVIDIA MINE") && all.contains("NVIDIA A30"), "{all}");
    std::fs::write(stage.path("bad.yaml"), rows.replace("max: 4", "max: 5")).expect("a file");
    stage
        .run(&["gpus", "--gpus", "bad.yaml"])
        .fails(2, &["bad-gpu", "its places hold 4 at most", "bad.yaml:"]);
}

#[test]
fn completions_and_manual_are_printed() {
    let stage = Stage::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(stage.run(&["completions", shell]).ok().stdout.contains("slicewise"), "{shell}");
    }
    assert!(stage.run(&["man"]).ok().stdout.starts_with(".ie"), "roff");
    let help = stage.run(&["run", "--help"]).ok().stdout;
    assert!(help.contains("Examples:") && help.contains("--out"), "{help}");
}

#[test]
fn the_quickstart_trace_is_what_its_scenario_generates() {
    let scenario = root().join("traces/quickstart.yaml");
    let said = Stage::new().run(&["trace", "generate", scenario.to_str().expect("UTF-8")]).ok();
    golden("traces/quickstart.csv", &said.stdout);
}

#[test]
fn traces_are_inspected() {
    let trace = root().join("traces/quickstart.csv");
    let stage = Stage::new();
    let trace = trace.to_str().expect("UTF-8");
    let said = stage.run(&["trace", "inspect", trace, "--out", "pictures"]).ok();
    assert!(said.stdout.contains("420 rows, 420 pods"), "{}", said.stdout);
    for name in ["arrivals.svg", "work.png", "sizes.svg"] {
        assert!(stage.path("pictures").join(name).is_file(), "{name}");
    }
    let said = stage.run(&["trace", "inspect", trace, "--json", "--from", "1h", "--to", "2h"]).ok();
    let json: Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert!(json["sha256"].as_str().is_some_and(|hash| hash.len() == 64), "{json}");
    stage.run(&["trace", "inspect", trace, "--from", "9999d"]).fails(2, &["no pods in this window"]);
}

/// Every scenario that is shipped loads, names the schema, and, where its traces are at hand, runs.
#[test]
#[expect(clippy::print_stdout, reason = "what is skipped is said")]
fn shipped_scenarios_run() {
    let folder = root().join("scenarios");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("scenarios").map(|entry| entry.expect("an entry").path()).collect();
    // What scenarios name lies in folders below.
    paths.retain(|path| path.is_file());
    paths.sort();
    assert!(2 <= paths.len());
    let traces = root().join("../shared/traces");
    let (openb, elasticflow) = (traces.join("openb"), traces.join("elasticflow-itp"));
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let schema = "# yaml-language-server: $schema=../schema/scenario.json\n";
        assert!(text.starts_with(schema), "{} names the schema on line 1", path.display());
        let said = Stage::new().run(&[
            "run",
            path.to_str().expect("UTF-8"),
            "-q",
            "--no-report",
            "--set",
            &format!("OPENB={}", openb.display()),
            "--set",
            &format!("ELASTICFLOW={}", elasticflow.display()),
        ]);
        if said.code == 2 && text.contains("${") && !traces.is_dir() {
            // The text is right, and only its trace is missing.
            println!("skipped: {} needs {}", path.display(), traces.display());
            assert_eq!(
                said.stderr.matches("error[").count(),
                said.stderr.matches("error[unreadable]").count()
            );
        } else {
            let said = said.ok();
            assert!(said.stdout.contains("finished"), "{}", said.stdout);
        }
    }
}
