//! `slicewise plan`: a decision from kubectl's lists, told to people, to scripts and to other programs.

use super::{Stage, root};
use serde_json::Value;

/// The shipped lists.
fn shipped() -> [String; 4] {
    let file = |name: &str| root().join("examples/plan").join(name).display().to_string();
    ["--nodes".to_owned(), file("nodes.yaml"), "--pods".to_owned(), file("pods.yaml")]
}

fn plan(more: &[&str]) -> super::Said {
    let shipped = shipped();
    let mut words = vec!["plan"];
    words.extend(shipped.iter().map(String::as_str));
    words.extend(more);
    Stage::new().run(&words)
}

#[test]
fn the_shipped_lists_are_planned() {
    let said = plan(&["--explain"]);
    assert_eq!(said.code, 1, "one pod still waits\n{}", said.stderr);
    for line in [
        "nos plans 2 mig nodes for 3 pods that wait: 2g.10gb x2 + 7g.40gb lacking",
        "    has      1g.5gb x2 in use, 1g.5gb x5 free",
        "    asked    1g.5gb x3 + 2g.10gb x2",
        "    becomes  1g.5gb@0 1g.5gb@1 2g.10gb@2 2g.10gb@4 1g.5gb@6",
        "  lab/train-1  2g.10gb on gpu-1, GPU 0",
        "1 pod still waits",
        "      - gpu-1, GPU 0: no room for a 7g.40gb beside 1g.5gb@0",
        "      - gpu-2: cordoned, tainted, or not selected by the pod",
        "  lab/new: kube-scheduler has not looked at it",
    ] {
        assert!(said.stdout.lines().any(|l| l == line), "{line}\n{}", said.stdout);
    }
    assert!(said.stdout.lines().all(|line| line.chars().count() <= 80), "{}", said.stdout);
    assert_eq!(plan(&["--exit-zero"]).code, 0);
    assert_eq!(plan(&["--seed", "7"]).stdout, plan(&["--seed", "7"]).stdout);
}

/// A scenario that nos cuts, at a moment at which pods wait: what is planned then is what stands there.
#[test]
fn a_scenario_is_planned_at_a_moment() {
    let scenario = root().join("scenarios/nos.yaml").display().to_string();
    let at = |variant: &str, more: &[&str]| {
        let words = ["plan", "--scenario", &scenario, "--at", "20h", "--variant", variant];
        Stage::new().run(&[&words[..], more].concat())
    };
    let said = at("MIG cut by nos", &["-o", "json"]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    let plan: Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!((&plan["kind"], &plan["nodes"]), (&Value::from("mig"), &Value::from(4)));
    assert!(!plan["changes"].as_array().expect("a list").is_empty(), "{plan}");
    assert!(at("MPS sliced by nos", &[]).stdout.starts_with("nos plans 4 mps nodes"));
    let said = at("MIG cut by noss", &[]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("did you mean `MIG cut by nos`?"), "{}", said.stderr);
}

#[test]
fn every_planner_tells_scripts_the_same_things() {
    for planner in ["nos", "nos-placements", "optimal"] {
        let said = plan(&["--planner", planner, "-o", "json"]);
        let json: Value = serde_json::from_str(&said.stdout).expect("JSON");
        assert_eq!(json["planner"], planner);
        assert_eq!(json["served"].as_array().map(Vec::len), Some(2), "{json:#}");
        assert_eq!(json["waiting"][0]["pod"], "lab/whole");
        assert_eq!(json["changes"][0]["node"], "gpu-1");
        assert_eq!(json["proof"].is_null(), planner != "optimal");
    }
}

#[test]
fn a_plan_is_a_file_for_other_programs() {
    let said = plan(&["--planner", "optimal", "-o", "mig-parted"]);
    assert_eq!(said.code, 1);
    assert!(said.stdout.contains("2g.10gb: 2"), "{}", said.stdout);
    assert!(said.stderr.contains("note: "), "what the format cannot carry is said");
    // A plan for MIG is no file of MPS shares.
    let said = plan(&["-o", "nebuly-plugin"]);
    assert_eq!(said.code, 2, "{}", said.stdout);
    assert!(said.stderr.contains("error[not-carried]"), "{}", said.stderr);
}

const NODE: &str = r#"{
  "apiVersion": "v1", "kind": "Node",
  "metadata": {"name": "a", "labels": {
    "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB", "nvidia.com/gpu.count": "2",
    "nvidia.com/gpu.memory": "40960", LABELS}},
  "status": {"allocatable": {"cpu": "8", "memory": "64Gi", "pods": "110" SLICES}}
}"#;

fn node(labels: &str, slices: &str) -> String {
    NODE.replace("LABELS", labels).replace("SLICES", slices)
}

fn pod(name: &str, resource: &str, more: &str) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "{name}"}},
            "spec": {{{more} "containers": [{{"name": "c", "resources": {{"limits": {{"{resource}": "1"}}}}}}]}}}}"#
    )
}

fn list(items: &[String]) -> String {
    format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{}]}}"#, items.join(","))
}

#[test]
fn nodes_and_pods_come_in_one_list_on_standard_input() {
    let nos = r#""nos.nebuly.com/gpu-partitioning": "mps""#;
    let pods = [pod("p", "nvidia.com/gpu-20gb", ""), pod("q", "nvidia.com/gpu-30gb", "")];
    let items = [node(nos, ""), pods[0].clone(), pods[1].clone()];
    let stage = Stage::new();
    let mut command = stage.command(&["plan", "--nodes", "-"]);
    let output = command.write_stdin(list(&items)).output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("default/q  30gb on a, GPU 1"), "{text}");
}

#[test]
fn nodes_without_nos_are_read_by_their_slices() {
    let mig = r#""nvidia.com/mig.config": "all-1g.5gb", "nvidia.com/mig.config.state": "success""#;
    let held = pod("held", "nvidia.com/mig-1g.5gb", r#""nodeName": "a","#);
    let items =
        [node(mig, r#", "nvidia.com/mig-1g.5gb": "14""#), held, pod("p", "nvidia.com/mig-3g.20gb", "")];
    let stage = Stage::with(&[("all.json", &list(&items))]);
    let said = stage.run(&["plan", "--nodes", "all.json", "--planner", "nos-placements"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("1g.5gb in use, 1g.5gb x6 free"), "{}", said.stdout);
    assert!(said.stdout.contains("taken to be alike"), "the assumption is said\n{}", said.stdout);
    // Nine slices cannot be alike on two GPUs.
    let uneven = list(&[node(mig, r#", "nvidia.com/mig-1g.5gb": "9""#)]);
    let stage = Stage::with(&[("all.json", &uneven)]);
    let said = stage.run(&["plan", "--nodes", "all.json"]);
    assert_eq!(said.code, 2);
    assert!(
        said.stderr.contains("error[which-gpu]") && said.stderr.contains("all.json:3"),
        "{}",
        said.stderr
    );
}

#[test]
fn one_bad_node_stops_nos_unless_that_is_corrected() {
    let nos = r#""nos.nebuly.com/gpu-partitioning": "mig""#;
    let bad = node(nos, "").replace("\"a\"", "\"b\"").replace("NVIDIA-A100-SXM4-40GB", "NVIDIA-H100-PCIe");
    let items = [node(nos, ""), bad, pod("p", "nvidia.com/mig-2g.10gb", "")];
    let stage = Stage::with(&[("all.json", &list(&items))]);
    let said = stage.run(&["plan", "--nodes", "all.json"]);
    assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("nos plans nothing: node `b`"), "{}", said.stdout);
    let said = stage.run(&["plan", "--nodes", "all.json", "--fix", "bad-node"]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
}

#[test]
fn mistakes_are_told_with_their_places() {
    let nos = r#""nos.nebuly.com/gpu-partitioning": "mig""#;
    let check = |text: &str, words: &[&str], expected: &[&str]| {
        let stage = Stage::with(&[("all.json", text)]);
        let mut all = vec!["plan", "--nodes", "all.json"];
        all.extend(words);
        let said = stage.run(&all);
        assert_eq!(said.code, 2, "{}", said.stdout);
        assert_eq!(said.stdout, "");
        for text in expected {
            assert!(said.stderr.contains(text), "{text}\n{}", said.stderr);
        }
    };
    let twice = list(&[node(nos, ""), node(nos, "")]);
    check(&twice, &[], &["error[twice]: the node `a` is there twice", "all.json:9"]);
    let unlabelled = list(&[node(nos, "").replace("gpu.product", "gpu.produkt")]);
    check(&unlabelled, &[], &["error[no-label]", "nvidia.com/gpu.product", "all.json:3"]);
    let amounts = node(nos, "").replace("\"8\"", "\"eight\"");
    check(&amounts, &[], &["expected a quantity", "all.json:6"]);
    check(&list(&[]), &[], &["error[no-node]", "kubectl get nodes,pods"]);
    check(&node("\"x\": \"y\"", ""), &[], &["error[no-node]", "--kind mig"]);
    check(&node(nos, ""), &["--fix", "mps-gro"], &["error[unknown-fix]", "did you mean `mps-grow`?"]);
    check(&node(nos, ""), &["--kind", "mps"], &["error[no-node]", "partitioned by mps"]);
    let both =
        [node(nos, ""), node(r#""nos.nebuly.com/gpu-partitioning": "mps""#, "").replace("\"a\"", "\"b\"")];
    check(&list(&both), &[], &["error[which-kind]", "--kind mig"]);
    let said = Stage::new().run(&["plan", "--nodes", "nowhere.json"]);
    assert!(said.code == 2 && said.stderr.contains("nowhere.json"), "{}", said.stderr);
}

/// A plan, and a run that re-cuts, are asked of the catalogue layout by layout.
#[test]
fn plans_and_runs_are_validated() {
    let stage = Stage::new();
    let planned = plan(&["-o", "json"]).stdout;
    stage.write("plan.json", planned.as_bytes());
    let said = stage.run(&["validate", "--offline", "plan.json"]).ok();
    assert!(said.stdout.contains("1g.5gb@0 1g.5gb@1 2g.10gb@2 2g.10gb@4 1g.5gb@6"), "{}", said.stdout);
    assert!(said.stdout.contains("plan: gpu-1, GPU 0"), "{}", said.stdout);
    // A plan for another GPU than there is, and a file that is none.
    stage.write("odd.json", planned.replace("2g.10gb@4", "2g.10gb@5").as_bytes());
    assert_eq!(stage.run(&["validate", "--offline", "odd.json"]).code, 1);
    stage.write("cut.json", planned.replace("\"gpus\"", "\"gpu\"").as_bytes());
    stage.run(&["validate", "--offline", "cut.json"]).fails(2, &["bad-value", "slicewise plan -o json"]);

    let scenario = "name: cut\nworkload:\n  generate: {pods: 40, arrivals: {poisson: {per_hour: 60}}, classes: \
        [{name: a, cpu: 1, memory: 1GiB, gpu: {share: 250}, work: {constant: {mean: 1h}}}, \
        {name: b, cpu: 1, memory: 1GiB, gpu: {share: 500}, work: {constant: {mean: 1h}}}]}\n\
        cluster: {nodes: [{name: n, cpu: 96, memory: 512GiB, gpus: {model: a100-40gb, count: 4}, mode: mig}]}\n\
        scheduler: {profile: kube-1.25}\npartitioner: {nos: {}}\n";
    stage.write("cut.yaml", scenario.as_bytes());
    stage.run(&["run", "cut.yaml", "-q", "--out", "run"]).ok();
    let said = stage.run(&["validate", "--offline", "run", "-o", "json"]).ok();
    let value: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let targets = value["report"]["judged"][0]["targets"].as_array().expect("targets");
    assert!(1 < targets.len(), "nos re-cut them: {targets:?}");
    assert!(targets.iter().all(|target| target["origin"] == "run: cut"), "{targets:?}");
    stage.run(&["validate", "--offline", "."]).fails(2, &["no-run", "layouts.json"]);
}
