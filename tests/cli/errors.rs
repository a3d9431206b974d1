//! Honest errors: what is wrong, where, what would be right, and exit code 2 for what was put in, 3
//! for what could not be put out. Never 101, and never a result beside an error.

use crate::{Said, Stage};

/// A scenario of one node around a trace.
fn scenario(trace: &str) -> String {
    format!(
        "name: one\nworkload: {{trace: {trace}}}\ncluster: {{nodes: [{{name: n, cpu: 8, memory: 64GiB, \
         gpus: {{model: a100-40gb, count: 2}}}}]}}\n"
    )
}

/// Runs that scenario with `rows` as its trace.
fn with_trace(rows: &str) -> Said {
    let stage = Stage::with(&[("s.yaml", &scenario("t.csv")), ("t.csv", rows)]);
    stage.run(&["run", "s.yaml", "--no-report"])
}

/// Runs a scenario as written.
fn with_scenario(text: &str) -> Said {
    let trace = "#slicewise-trace 1\narrival_s,work_s\n0,1\n";
    Stage::with(&[("s.yaml", text), ("t.csv", trace)]).run(&["run", "s.yaml", "--no-report"])
}

#[test]
fn missing_files() {
    let stage = Stage::new();
    let said = stage.run(&["run", "nowhere.yaml"]);
    said.fails(2, &["error[unreadable]: nowhere.yaml: cannot be read", "slicewise init DIR"]);

    let stage = Stage::with(&[("s.yaml", &scenario("nowhere.csv"))]);
    let said = stage.run(&["run", "s.yaml"]);
    said.fails(2, &["error[unreadable]: nowhere.csv: cannot be opened", "it was looked for at nowhere.csv"]);
    assert!(!stage.path("reports").exists(), "nothing is written");

    let list = "name: l\nworkload: {trace: t.csv}\ncluster: {node_lists: [{file: lists/nodes.csv}]}\n";
    with_scenario(list).fails(2, &["error[unreadable]: lists/nodes.csv", "looked for at lists/nodes.csv"]);
}

#[test]
fn folders_where_files_are_meant() {
    let stage = Stage::with(&[("s.yaml", &scenario("."))]);
    stage.run(&["run", "."]).fails(2, &["error[unreadable]: .: cannot be read", "check what it is"]);
    let said = stage.run(&["run", "s.yaml"]);
    assert_eq!(said.code, 2, "{}", said.stderr);
    said.says(&["error[unreadable]"]);
}

#[test]
fn empty_traces() {
    with_trace("")
        .fails(2, &["error[empty-file]: t.csv: the file is empty", "the first line names the columns"]);
    let header = "#slicewise-trace 1\narrival_s,work_s\n";
    with_trace(header).fails(2, &["error[no-rows]: t.csv: the file has a header and no row"]);
    with_trace("#slicewise-trace 1\n").fails(2, &["error[empty-file]"]);
}

#[test]
fn text_that_is_not_utf8() {
    let stage = Stage::with(&[("s.yaml", &scenario("t.csv"))]);
    stage.write("t.csv", b"#slicewise-trace 1\npod,arrival_s,work_s\na,0,1\n\xff,0,1\n");
    stage
        .run(&["run", "s.yaml", "--no-report"])
        .fails(2, &["error[not-utf8]: byte 0xff is not UTF-8", "--> t.csv:4:1", "save the file as UTF-8"]);
    stage.write("s.yaml", b"name: x\ndescription: \xff\n");
    stage.run(&["run", "s.yaml"]).fails(2, &["error[not-utf8]: s.yaml:2: byte 22 is not UTF-8 text"]);
}

#[test]
fn a_pod_that_never_fits_is_named_and_the_rest_runs() {
    let rows = "#slicewise-trace 1\npod,arrival_s,work_s,gpus\nsmall,0,1,1\nhuge,0,1,9\n";
    let said = with_trace(rows)
        .ok()
        .says(&["one: 1 pod can never fit (huge): 0/1 nodes are available: 1 Insufficient nvidia.com/gpu."]);
    assert!(said.stdout.contains("1 of 2 pods finished; 1 never fit."), "{}", said.stdout);
}

#[test]
fn a_cluster_of_no_nodes() {
    let none = scenario("t.csv").replace("cpu: 8", "count: 0, cpu: 8");
    with_scenario(&none)
        .fails(2, &["error[out-of-range]: `0` is out of range; it must be 1 to", "s.yaml:3:"]);
    let empty = "name: e\nworkload: {trace: t.csv}\ncluster: {nodes: []}\n";
    let said = with_scenario(empty);
    assert_eq!(said.code, 2, "{}", said.stdout);
    said.says(&["error["]);
}

#[test]
fn numbers_that_are_none() {
    with_trace("#slicewise-trace 1\npod,arrival_s,work_s\na,NaN,1\nb,-1,1\nc,1,-2\nd,inf,1\ne,1e400,x\n")
        .fails(
            2,
            &[
                "arrival_s: `NaN` is not a finite number",
                "--> t.csv:3:3",
                "arrival_s: `-1` is negative",
                "work_s: `-2` is negative",
                "arrival_s: `inf` is not a finite number",
                "t.csv:7:",
                "errors",
            ],
        );
    let yaml = scenario("t.csv").replace("cpu: 8", "count: .nan, pods: -3, price_per_hour: -1, cpu: -8");
    with_scenario(&yaml).fails(
        2,
        &[
            "expected a whole number, found `.nan`",
            "`-3` is out of range; it must be 1 to",
            "`-8` is out of range",
            "`500m`",
            "`-1` is out of range",
            "4 errors",
        ],
    );
}

#[test]
fn names_given_twice() {
    let rows = "#slicewise-trace 1\npod,arrival_s,work_s\na,1,2\nb,1,2\na,3,4\n";
    with_trace(rows).fails(2, &["error[duplicate-pod]: pod: pod `a` is already on line 3", "--> t.csv:5:1"]);
    let node = "{name: n, cpu: 1, memory: 1GiB}";
    let yaml = format!(
        "name: d\nworkload: {{trace: t.csv}}\ncluster: {{nodes: [{node}, {node}]}}\nvariants: [{{name: v}}, \
         {{name: w}}, {{name: v}}]\n"
    );
    with_scenario(&yaml).fails(2, &["a second node group `n`", "a second variant `v`", "2 errors"]);
}

#[test]
fn lines_without_end() {
    let line = "a".repeat(3 << 20);
    let said = with_trace(&format!("#slicewise-trace 1\npod,arrival_s,work_s\n{line},0,1\n"));
    let said = said.fails(2, &["error[line-too-long]: t.csv:3: line 3 is longer than 1 MiB"]);
    assert!(said.stderr.len() < 1_000, "the line is not repeated");
    let said = with_scenario(&format!("name: {line}\n"));
    let said = said.fails(2, &["error[bad-value]: this is longer than 100 characters", "s.yaml:1:7"]);
    assert!(said.stderr.len() < 5_000, "the line is not repeated");
}

#[test]
fn words_that_are_nearly_right() {
    let yaml = scenario("t.csv") + "shceduler: {ties: seeded}\n";
    with_scenario(&yaml)
        .fails(2, &["error[unknown-key]: unknown key `shceduler`", "s.yaml:4:1", "`scheduler`?"]);
    let yaml = scenario("t.csv").replace("a100-40gb", "a100-40bg") + "scheduler: {score: least-alocated}\n";
    with_scenario(&yaml).fails(2, &["did you mean `least-allocated`?"]);
    let yaml = scenario("t.csv").replace("count: 2}", "count: 2}, mode: {mig: [4g.20gb, 4g.20gb]}");
    with_scenario(&yaml).fails(2, &["4g.20gb"]);
    let stage = Stage::with(&[("s.yaml", &(scenario("t.csv") + "variants: [{name: whole}]\n"))]);
    let said = stage.run(&["run", "s.yaml", "--only", "whol"]);
    said.fails(2, &["error[unknown-name]", "has no variant `whol`", "did you mean `whole`?"]);
    Stage::new().run(&["gpus", "a100"]).fails(2, &["no such GPU", "did you mean `a100-40gb`?"]);
    Stage::new().run(&["runn"]).fails(2, &["unrecognized subcommand 'runn'", "'run'"]);
    Stage::new().run(&["run", "--threads", "0"]).fails(2, &["a number from 1 to 1024"]);
    Stage::new().run(&["run", "--set", "X"]).fails(2, &["expected NAME=VALUE"]);
}

#[test]
fn variables_that_are_not_set() {
    let stage = Stage::with(&[("s.yaml", &scenario("\"${SLICEWISE_TEST_NOWHERE}/t.csv\""))]);
    let said = stage.run(&["run", "s.yaml"]);
    said.fails(
        2,
        &[
            "error[unset-variable]: the variable `SLICEWISE_TEST_NOWHERE` is not set",
            "--> s.yaml:2:",
            "give `--set SLICEWISE_TEST_NOWHERE=VALUE`",
        ],
    );
}

#[test]
fn complaints_as_json() {
    let stage = Stage::with(&[("s.yaml", &(scenario("\"${SLICEWISE_TEST_NOWHERE}\"") + "sede: 3\n"))]);
    let said = stage.run(&["run", "s.yaml", "-o", "json"]).fails(2, &[]);
    let complaints: serde_json::Value = serde_json::from_str(&said.stderr).expect("JSON alone on stderr");
    let complaints = complaints.as_array().expect("a list");
    assert_eq!(complaints.len(), 2);
    for (complaint, (code, line, help)) in
        complaints.iter().zip([("unset-variable", 2, "--set"), ("unknown-key", 4, "`seed`")])
    {
        assert_eq!((&complaint["code"], &complaint["line"]), (&code.into(), &line.into()), "{complaint}");
        assert_eq!((&complaint["file"], &complaint["severity"]), (&"s.yaml".into(), &"error".into()));
        assert!(complaint["col"].as_u64().is_some_and(|col| 0 < col), "{complaint}");
        assert!(complaint["help"].as_str().is_some_and(|text| text.contains(help)), "{complaint}");
        assert!(complaint["message"].is_string());
    }
}

#[test]
fn reports_that_cannot_be_written() {
    let rows = "#slicewise-trace 1\narrival_s,work_s\n0,1\n";
    let stage = Stage::with(&[("s.yaml", &scenario("t.csv")), ("t.csv", rows)]);
    for (out, text) in
        [("s.yaml", "cannot write s.yaml: "), ("s.yaml/deeper", "cannot write s.yaml/deeper: ")]
    {
        let said = stage.run(&["run", "s.yaml", "--out", out]);
        // Said before anything is simulated.
        assert_eq!((said.code, said.stdout.as_str()), (3, ""), "{}", said.stderr);
        said.says(&[text, "name another folder with --out"]);
    }
    assert_eq!(std::fs::read_to_string(stage.path("s.yaml")).expect("there"), scenario("t.csv"));

    // A folder stands where a file of the report should be.
    std::fs::create_dir_all(stage.path("out/pods.csv")).expect("a folder");
    let said = stage.run(&["run", "s.yaml", "--out", "out"]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    said.says(&["cannot write out/pods.csv", "a folder of that name is in the way"]);
    assert!(!stage.path("out/report.html").exists(), "what was never finished has no page");

    let said = stage.run(&["trace", "generate", "s.yaml", "--out", "s.yaml/x.csv"]);
    said.fails(3, &["cannot write s.yaml/x.csv"]);
    let said = stage.run(&["init", "s.yaml/x"]);
    assert_eq!((said.code, said.stdout.as_str()), (3, ""), "{}", said.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_error() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_slicewise"))
        .arg("gpus")
        .stdout(full())
        .output()
        .expect("the program starts");
    Said::of(output).fails(3, &["error: standard output: No space left on device"]);
}
