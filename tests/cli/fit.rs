//! `slicewise fit` by files in, words and files out.

use crate::Stage;
use serde_json::Value;

/// Host .45 and fill .90 on every slice, and a pair of loops of demand .5 under MPS.
const STEPS: &str = "class,mode,slice,neighbours,time_ms\n\
    medium,mig,1g.5gb,,3600\nmedium,mig,2g.10gb,,2025\nmedium,mig,3g.20gb,,1500\nmedium,mig,4g.20gb,,1237.5\n\
    medium,mig,7g.40gb,,1000\n\
    loop,mps,,,100\nloop,mps,,1,105\nloop,mps,,2,150\nloop,mps,,4,250\nloop,mps,,medium,\n";

#[test]
fn measurements_become_parameters() {
    let stage = Stage::with(&[("steps.csv", STEPS)]);
    let said = stage.run(&["fit", "steps.csv", "--out", "fitted"]).ok().says(&["wrote fitted/fit-mig.png"]);
    for part in ["steps.csv: 9 measurements, 1 rows", "medium  0.450  0.900", "demand u", "0.500"] {
        assert!(said.stdout.contains(part), "`{part}` in\n{}", said.stdout);
    }
    for name in ["fit.json", "models.yaml", "residuals.csv", "fit-mig.svg", "fit-mps.png"] {
        assert!(stage.path("fitted").join(name).is_file(), "{name}");
    }
    let json: Value =
        serde_json::from_str(&stage.run(&["fit", "steps.csv", "-o", "json"]).ok().stdout).expect("JSON");
    let fill = json["parts"][0]["mig"]["classes"][0]["fill"].as_f64().expect("a number");
    assert!((fill - 0.90).abs() < 1e-3, "{fill}");
    let csv = stage.run(&["fit", "steps.csv", "-o", "csv"]).ok().stdout;
    assert!(csv.starts_with("by,mode,class,") && csv.lines().count() == 3, "{csv}");
}

/// What is printed for a scenario is a scenario's.
#[test]
fn models_can_be_pasted_into_a_scenario() {
    let stage = Stage::with(&[("steps.csv", STEPS)]);
    let models = stage.run(&["fit", "steps.csv", "-o", "yaml"]).ok().stdout;
    let scenario = format!(
        "name: pasted\nworkload:\n  generate:\n    pods: 5\n    arrivals: at-once\n    classes:\n    - {{name: medium, weight: 1, cpu: 1, memory: 1GiB, gpu: {{whole: 1}}, work: {{constant: {{mean: 1h}}}}}}\n\
         cluster: {{nodes: [{{name: n, count: 1, cpu: 64, memory: 512GiB, gpus: {{model: a100-40gb, count: 8}}}}]}}\n{models}"
    );
    stage.write("scenario.yaml", scenario.as_bytes());
    stage.run(&["run", "scenario.yaml", "--no-report"]).ok();
}

#[test]
fn standard_input_and_named_columns_are_read() {
    let stage = Stage::new();
    let text = "net,bs,card,with,steps\nr,8,T4,,10\nr,8,T4,1,5\nr,8,T4,r-8+r-8,3.3\n";
    let words = [
        "fit",
        "-",
        "--class",
        "net,bs",
        "--by",
        "card",
        "--neighbours",
        "with",
        "--rate",
        "steps",
        "--mode",
        "mps",
    ];
    let mut command = stage.command(&words);
    let said = command.write_stdin(text).output().expect("the program starts");
    let out = String::from_utf8(said.stdout).expect("UTF-8");
    assert!(said.status.success() && out.contains("MPS · T4") && out.contains("r-8"), "{out}");
}

#[test]
fn mistakes_of_all_files_are_told() {
    let stage =
        Stage::with(&[("a.csv", "class,slice,time\nx,9g,1\nx,1g,-1\n"), ("b.csv", "class,time\nx,1\n")]);
    stage.run(&["fit", "a.csv", "b.csv", "gone.csv"]).fails(
        2,
        &[
            "a.csv:2:3",
            "7 compute slices",
            "a.csv:3:6",
            "b.csv:1:1",
            "`--slice` or `--neighbours`",
            "gone.csv",
            "4 errors",
        ],
    );
    stage.run(&["fit", "a.csv", "--gpu", "a100"]).fails(2, &["did you mean `a100"]);
    stage.run(&["fit", "a.csv", "--kappa", "9"]).fails(2, &["a number from 0.5 to 2, or `fit`"]);
}
