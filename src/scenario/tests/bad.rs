//! Bad scenarios and the very words in which they are refused.

use super::{FULL, SMALL, lines, read};

/// Asserts all complaints about a scenario, without the name of the file.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let complaints = match read(text) {
        Ok((_, warnings)) => panic!("accepted, with {:?}:\n{text}", lines(&warnings)),
        Err(complaints) => lines(&complaints),
    };
    let expected: Vec<String> = expected.iter().map(|line| format!("s.yaml:{line}")).collect();
    assert_eq!(complaints, expected, "{text}");
}

/// The same for a small scenario, valid but for its workload.
#[track_caller]
fn workload(yaml: &str, expected: &[&str]) {
    check(&SMALL.replace("{trace: a.csv}", yaml), expected);
}

/// The same for the keys of its node group after `memory`.
#[track_caller]
fn node(yaml: &str, expected: &[&str]) {
    check(&SMALL.replace("memory: 64GiB", &format!("memory: 64GiB,\n  {yaml}")), expected);
}

#[test]
fn all_mistakes_of_a_file_are_found_at_once() {
    check(
        "\
name: many
sede: 3
workload:
  trace: ${TRACES}/a.csv
  patience: 2
  changes: {load_scale: 0, window: {from: 3d, to: 1d}}
  generate:
    pods: 1.5
    arrivals: {poison: {per_hour: 1}}
    classes:
      - {name: a, cpu: 1, memory: 1GiB, work: {exponential: {mean: 0s}}}
      - {name: a, cpu: x, memory: 1, work: {constant: 1h}, priority: 3000000000}
cluster:
  nodes:
    - {name: n, cpu: 8, count: 0, gpus: {model: a100-40g, count: 1}, mode: {mig: [1g.5gb]}}
    - {name: n, cpu: 8, memory: 1GiB, gpus: {model: a100-40gb, count: 1}, mode: {mig: [1g.5gb, 1g.6gb]}}
scheduler: {score: best, ties: sedeed, profile: ideal}
report: {warm_up: 1}
",
        &[
            "2:1 unknown-key unknown key `sede` in the scenario (did you mean `seed`?)",
            "4:10 unset-variable the variable `TRACES` is not set (give `--set TRACES=VALUE`, set the environment \
             variable TRACES, or write `${TRACES:-default}`)",
            "5:13 bad-value `2` has no unit (write a number and a unit: `90s`, `30m`, `2h`, `1h30m`, `7d`, `250ms`)",
            "6:25 out-of-range `0` is out of range; it must be above 0",
            "6:51 out-of-range the window ends at 1d, not after its start at 3d",
            "8:11 bad-value expected a whole number, found `1.5`",
            "9:16 unknown-name `poison` is not a stream of arrivals (did you mean `poisson`?)",
            "11:68 out-of-range this duration must be above 0",
            "12:16 duplicate-name a second class `a`",
            "12:24 bad-value `x` is not an amount of CPU (write cores (`16`, `1.5`) or thousandths (`500m`))",
            "12:35 bad-value `1` has no unit (write a number and a unit: `512MiB`, `80GiB`, `1.5TiB` (or decimal: `80GB`))",
            "12:55 bad-value expected a mapping with keys such as `mean`, found `1h`",
            "12:70 out-of-range `3000000000` is out of range; it must be -2147483648 to 2147483647",
            "15:8 missing-key missing key `memory` (expected an amount of memory such as `80GiB`: allocatable memory of each)",
            "15:32 out-of-range `0` is out of range; it must be 1 to 1000000",
            "15:49 unknown-name no GPU model `a100-40g` is known (did you mean `a100-40gb`?)",
            "16:14 duplicate-name a second node group `n`",
            "16:96 bad-layout a100-40gb has no MIG profile `1g.6gb`; it has 1g.5gb, 1g.5gb+me, 1g.10gb, 2g.10gb, \
             3g.20gb, 4g.20gb, 7g.40gb (did you mean `1g.5gb`?)",
            "17:20 unknown-name no score `best` is known (known scores: `least-allocated`, `most-allocated`, `random`)",
            "17:32 unknown-name `sedeed` is not a way with ties (did you mean `seeded`?)",
            "18:19 out-of-range `1` is out of range; it must be at least 0 and below 1",
        ],
    );
}

#[test]
fn files_that_are_no_scenarios_are_refused() {
    check("", &["1:1 bad-yaml the file is empty"]);
    check("a: b: c", &["1:5 bad-yaml not YAML: mapping values are not allowed in this context"]);
    check("[]", &["1:1 bad-value expected a mapping with keys such as `name`, found a list"]);
    check("3", &["1:1 bad-value expected a mapping with keys such as `name`, found `3`"]);
    check(
        "name: x",
        &[
            "1:1 missing-key missing key `cluster` (expected a mapping with keys such as `nodes`: what there is)",
            "1:1 missing-key missing key `workload` (expected a mapping with keys such as `traces`: what arrives)",
        ],
    );
    check(
        "workload: 5\ncluster: ~\nseed: -1",
        &[
            "1:1 missing-key missing key `name` (expected a name: name of the scenario)",
            "1:11 bad-value expected a mapping with keys such as `traces`, found `5`",
            "2:1 missing-key `cluster` has no value (expected a mapping with keys such as `nodes`: what there is)",
            "3:7 out-of-range `-1` is out of range; it must be at least 0 and fit 64 bits",
        ],
    );
}

#[test]
fn bad_workloads_are_refused() {
    workload(
        "{}",
        &[
            "2:11 no-pods the workload has neither traces nor generated pods (add `trace: FILE`, `traces: [...]` \
           or `generate: {...}`)",
        ],
    );
    workload(
        "{traces: []}",
        &["2:20 empty-list no traces are listed (leave the key out where nothing is wanted)"],
    );
    workload(
        "{trace: a, traces: [b]}",
        &["2:12 duplicate-key `trace` and `traces` are two spellings of one key (give one of them)"],
    );
    workload(
        "{trace: {file: a, sha256: abc, format: opnb, class: \"a,b\"}}",
        &[
            "2:37 bad-value a SHA-256 is 64 hexadecimal digits (`sha256sum FILE` prints it)",
            "2:50 unknown-name `opnb` is not a trace format (did you mean `openb`?)",
            "2:63 bad-value this must not contain `,`",
        ],
    );
    workload(
        "{trace: {file: a, format: {jobs: {arrival: t}}}}",
        &["2:44 missing-key no column holds the run time (give `duration`, or both `start` and `end`)"],
    );
    workload(
        "{trace: {file: a, format: {jobs: {arrival: t, start: s}}}}",
        &["2:64 missing-key `start` needs `end` (give `duration`, or both `start` and `end`)"],
    );
    workload(
        "{trace: {file: a, format: {jobs: {arrival: t, duration: d, end: e}}}}",
        &[
            "2:67 bad-value `duration` and `start`, `end` say the same (give `duration`, or both `start` and `end`)",
        ],
    );
    workload(
        "{trace: \"${a b}\"}",
        &[
            "2:19 bad-value `${` begins no variable (write `${NAME}` or `${NAME:-default}`, or `$${` for these \
           characters themselves)",
        ],
    );
    workload(
        "{trace: a, changes: {draw: {sample: 0}}}",
        &["2:47 out-of-range `0` is out of range; it must be above 0 and at most 1"],
    );
    workload(
        "{trace: a, changes: {draw: {bootstrap: {pods: 5, arrivals: {diurnal: {per_hour: 1, swing: 2, peak: 25h}}}}}}",
        &[
            "2:101 out-of-range `2` is out of range; it must be at least 0 and at most 1",
            "2:110 out-of-range the peak is a time of day and must be below 24h",
        ],
    );
    workload(
        "{trace: a, translation: {to: mug, product: v100, rule: ceil}}",
        &[
            "2:40 unknown-name `mug` is not a kind of sharing (did you mean `mig`?)",
            "2:54 unknown-name no GPU model `v100` is known (did you mean `v100-sxm2-16gb`?)",
            "2:66 unknown-name `ceil` is not a translation rule (write `ceil-compute`, `ceil-both`, `nearest`, \
             `refresh-16gb-a100-40gb`, `refresh-16gb-h100-80gb`)",
        ],
    );
}

#[test]
fn bad_classes_are_refused() {
    let class = |keys: &str, expected: &[&str]| {
        let class = format!("{{name: c, cpu: 1, memory: 1GiB,\n{keys}}}");
        let yaml = format!("{{generate: {{pods: 1, arrivals: at-once, classes: [{class}]}}}}");
        workload(&yaml, expected);
    };
    class(
        "weight: 0, work: {constant: {mean: 1s}}",
        &["2:60 out-of-range the weights of all classes are 0 (give at least one of them a weight)"],
    );
    class(
        "work: {constant: {mean: 1s}}, gpu: {share: [[5, 0], 1000]}",
        &["3:53 out-of-range `1000` is out of range; it must be 1 to 999"],
    );
    class(
        "work: {constant: {mean: 1s}}, gpu: {share: [[5, 0]]}",
        &["3:44 out-of-range the weights of all shares are 0 (give at least one of them a weight)"],
    );
    class(
        "work: {constant: {mean: 1s}}, gpu: {profiles: [1, 2]}",
        &["3:47 bad-value expected a list of 5 values, found a list"],
    );
    class(
        "work: {constant: {mean: 1s}}, gpu: {profiles: skewsmall}",
        &["3:47 unknown-name `skewsmall` is not a mix of profiles (did you mean `skew-small`?)"],
    );
    class(
        "work: {pareto: {mean: 3h, shape: 1.5, max: 1h}}",
        &["3:44 out-of-range `max` is 1h, but no draw of this law is below 1h"],
    );
    class(
        "work: {lognormal: {mean: 3h}}",
        &["3:20 missing-key missing key `scv` (expected a number: squared coefficient of variation)"],
    );
    class(
        "work: 2h",
        &[
            "3:7 unknown-name `2h` is not a law of durations (write `{constant: …}`, `{exponential: …}`, `{erlang: …}`, \
           `{hyperexponential: …}`, `{lognormal: …}`, `{pareto: …}`)",
        ],
    );
}

/// One entry of `gpus`; it stands on line 2.
#[track_caller]
fn gpu(entry: &str, expected: &[&str]) {
    check(&SMALL.replace("workload:", &format!("gpus: [{entry}]\nworkload:")), expected);
}

#[test]
fn bad_gpus_are_refused() {
    gpu(
        "{id: mine}",
        &[
            "2:8 missing-key `mine` is no known product, and `memory_mib`, `memory_gb`, `sms`, `mps` is missing \
           (give the facts, or say which product it is `like`)",
        ],
    );
    gpu(
        "{id: mine, like: a100-4gb}",
        &["2:25 unknown-name no GPU model `a100-4gb` is known (did you mean `a100-40gb`?)"],
    );
    gpu("{id: mine, like: a30, name: NVIDIA L4}", &["2:36 bad-gpu `NVIDIA L4` names another product too"]);
    gpu("{id: mine, like: a30, labels: [T4]}", &["2:38 bad-gpu `T4` names another product too"]);
    let mig = "compute_slices: 2, memory_slices: 2";
    let whole = "{name: 2g, enum: 1, compute: 2, memory: 2, memory_mib: 9, sms: 9, max: 1, starts: [0]}";
    let cut = |rest: &str| format!("{{id: mine, like: t4, mig: {{{mig}, profiles: [{rest}]}}}}");
    gpu(
        &cut("{name: 1g, enum: 0, compute: 1, memory: 1, memory_mib: 9, sms: 9, max: 2, starts: [0, 1]}"),
        &["2:82 bad-gpu no profile takes the whole GPU"],
    );
    gpu(
        &cut(&format!("{whole}, {}", whole.replace("2g", "1g").replace("compute: 2", "compute: 3"))),
        &["2:188 bad-gpu 1g: its NVML enum is taken", "2:200 bad-gpu 1g: too many compute slices"],
    );
    gpu(
        &cut(&whole.replace("[0]", "[1]")),
        &["2:165 bad-gpu 2g: a place beyond the 2 memory slices, or none at all"],
    );
    gpu(&cut(&whole.replace("max: 1", "max: 2")), &["2:154 bad-gpu 2g: its places hold 1 at most"]);
    gpu(
        &cut(&whole.replace("enum: 1", "enum: 256")),
        &["2:100 out-of-range `256` is out of range; it must be 0 to 255"],
    );
}

#[test]
fn bad_services_are_refused() {
    let service = |keys: &str, expected: &[&str]| {
        check(&format!("{SMALL}models:\n services: {{a: {{{keys}}}}}\n"), expected);
    };
    let line = SMALL.lines().count() + 2;
    let at = |column: usize, text: &str| format!("{line}:{column} {text}");
    service(
        "arrivals: {poisson: {per_second: 1}}",
        &[&at(
            16,
            "missing-key nothing says what a request costs (give `request: {exponential: {mean: 50ms}}`, or `tokens: {like: 7g.40gb-14b}`)",
        )],
    );
    service(
        "tokens: 7g.40gb-14b, arrivals: {poisson: {per_second: 0}}",
        &[&at(71, "out-of-range `0` is out of range; it must be above 0 and at most 1000000")],
    );
    service(
        "tokens: {like: 7g.40gb-14b}, arrivals: {poisson: {per_second: 1}}",
        &[&at(
            25,
            "missing-key nothing says how many tokens a request has (give `prompt` and `output`, or take the arrivals of a trace)",
        )],
    );
    service(
        "tokens: {prefill: 1s}, arrivals: {trace: {file: a}}, target: {within: 0s, quantile: 1}",
        &[
            &at(
                25,
                "missing-key costs of tokens need `prefill`, `per_prompt_token`, `per_token` and `per_request`, or `like` (`{like: 7g.40gb-14b}`)",
            ),
            &at(87, "out-of-range this duration must be above 0"),
            &at(101, "out-of-range `1` is out of range; it must be above 0 and below 1"),
        ],
    );
}

#[test]
fn bad_nodes_are_refused() {
    let gpus = "gpus: {model: a100-40gb, count: 1}, mode:";
    check(
        &SMALL.replace("{name: n, cpu: 8, memory: 64GiB}", ""),
        &["3:10 no-nodes the cluster has no nodes (add a group to `nodes` or a file to `node_lists`)"],
    );
    node(
        "mode: {mig: [1g.5gb]}",
        &[
            "4:9 missing-key nodes without `gpus` have nothing to share (add `gpus: {model: …, count: …}`, or leave \
           `mode` out)",
        ],
    );
    node(
        &format!("{gpus} {{mig: [1g.5gb, 3g.20gb, 3g.20gb]}}"),
        &["4:69 bad-layout a100-40gb has no room for 1g.5gb beside 3g.20gb, 3g.20gb (nearest that fit: \
           [3g.20gb, 3g.20gb] or [3g.20gb, 2g.10gb, 1g.5gb, 1g.5gb] or [3g.20gb, 1g.5gb, 1g.5gb, 1g.5gb, 1g.5gb])"],
    );
    node(
        &format!("{gpus} {{mig: {{3g.20gb: 3}}}}"),
        &["4:52 bad-layout a100-40gb has no room for 3g.20gb beside 3g.20gb, 3g.20gb (nearest that fit: \
           [3g.20gb, 3g.20gb] or [4g.20gb, 3g.20gb] or [3g.20gb, 2g.10gb, 2g.10gb])"],
    );
    node(
        &format!("{gpus} {{mig: []}}"),
        &["4:51 empty-list no MIG profiles are listed (leave the key out where nothing is wanted)"],
    );
    node(
        &format!("{gpus} mig"),
        &["3:10 no-partitioner the GPUs of `n` are cut on demand, and there is no partitioner (add \
           `partitioner: {nos: {}}`, or give `mode` a layout)"],
    );
    node(
        &format!("{gpus} {{mps: {{memory: {{clients: 0}}}}}}"),
        &["4:70 out-of-range `0` is out of range; it must be 1 to 1000"],
    );
    node(
        &format!("{gpus} {{time-slicing: {{replicas: 1}}}}"),
        &["4:71 out-of-range `1` is out of range; it must be 2 to 1000"],
    );
    node(
        "price_per_hour: -1, labels: {a: [1]}, taints: [x, 'a=b:NoShedule', 'k:Never']",
        &[
            "4:19 out-of-range `-1` is out of range; it must be at least 0",
            "4:35 bad-value expected a text, found a list",
            "4:50 bad-value `x` is not a taint (write `key=value:NoSchedule` or `key:NoSchedule`)",
            "4:53 unknown-name a taint has no effect `NoShedule` (did you mean `NoSchedule`?)",
            "4:70 unknown-name a taint has no effect `Never` (effects are `NoSchedule`, `PreferNoSchedule`, `NoExecute`)",
        ],
    );
    node("pods: 10, pods: 20", &["4:13 duplicate-key duplicate key `pods`"]);
}

#[test]
fn complaints_about_variants_are_made_once_and_where_the_text_is() {
    let with =
        |variants: &str| format!("{SMALL}scheduler: {{ties: x, profile: ideal}}\nvariants:\n{variants}");
    let ties = "4:19 unknown-name `x` is not a way with ties (write `node-order`, `seeded`)";
    check(&with("  - name: a\n  - name: b\n"), &[ties]);
    check(&with("  - name: a\n    scheduler: {ties: seeded}\n"), &[ties]);
    check(
        &with("  - name: a\n    scheduler: {ties: y, tie: z}\n  - name: a\n  - {nam: b, base: nothing}\n"),
        &[
            ties,
            "7:23 unknown-name `y` is not a way with ties (write `node-order`, `seeded`)",
            "7:26 unknown-key unknown key `tie` in the scheduler (did you mean `ties`?)",
            "8:11 duplicate-name a second variant `a`",
            "9:6 missing-key missing key `name` (expected a name: name of the variant)",
            "9:6 unknown-key unknown key `nam` in a variant (did you mean `name`?)",
            "9:20 unknown-name `nothing` is not a base (write `scenario`, `none`)",
        ],
    );
    check(
        &format!("{SMALL}variants:\n  - {{name: a, base: none, workload: {{trace: b}}}}\n  - b\n"),
        &[
            "5:27 missing-key missing key `cluster` (expected a mapping with keys such as `nodes`: what there is)",
            "6:5 bad-value expected a mapping with keys such as `name`, found `b`",
        ],
    );
    check(
        &format!("{SMALL}variants: []\n"),
        &["4:11 empty-list no variants are listed (leave the key out where nothing is wanted)"],
    );
}

#[test]
fn a_base_may_be_incomplete() {
    let text = "name: x\nworkload: {patience: 2h}\nvariants:\n  - name: a\n    workload: {trace: t}\n    \
                cluster: {node_lists: [{file: n}]}\n";
    assert!(read(text).is_ok());
    check(
        &text.replace("{trace: t}", "{}"),
        &[
            "5:15 no-pods the workload has neither traces nor generated pods (add `trace: FILE`, `traces: [...]` \
           or `generate: {...}`)",
        ],
    );
}

#[test]
fn complaints_render_with_their_line() {
    let text = FULL.replace("ties: node-order", "ties: node-oder");
    let complaints = read(&text).unwrap_err();
    assert_eq!(complaints.len(), 1);
    assert_eq!(
        complaints[0].render(false),
        "\
error[unknown-name]: `node-oder` is not a way with ties
   --> s.yaml:114:9
    |
114 |   ties: node-oder
    |         ^^^^^^^^^
    |
    = help: did you mean `node-order`?"
    );
}

#[test]
fn rules_of_behavior_name_what_there_is() {
    let models = |rules: &str| {
        format!("{SMALL}models:\n  classes: {{mine: {{host: 0.1, fill: 0.5}}}}\n  assign: {rules}\n")
    };
    let line = SMALL.lines().count() + 3;
    for (rules, column, what) in [
        ("[{as: ligth}]", 17, "unknown-name no behavior is called `ligth` (did you mean `light`?)"),
        ("[{as: {mix: {mne: 1}}}]", 24, "unknown-name no behavior is called `mne` (did you mean `mine`?)"),
        (
            "[{as: {mix: {}}}]",
            17,
            "bad-value a mix of nothing (write weights by name, such as `{mix: {light: 0.4, medium: 0.6}}`)",
        ),
        (
            "[{as: {mix: {light: 0}}}]",
            31,
            "out-of-range `0` is out of range; it must be above 0 and at most 1000000",
        ),
    ] {
        check(&models(rules), &[&format!("{line}:{column} {what}")]);
    }
    assert!(read(&models("[{of: {classes: [a]}, as: mine}, {as: {mix: {mine: 1, medium: 2}}}]")).is_ok());
}

#[test]
fn retries_are_a_number_or_a_word() {
    let life = |retries: &str| format!("{SMALL}models:\n  life: {{retries: {retries}}}\n");
    let line = SMALL.lines().count() + 2;
    for (retries, what) in [
        ("never", "bad-value expected a whole number or unlimited, found `never`"),
        ("1.5", "bad-value expected a whole number, found `1.5`"),
        ("-1", "out-of-range `-1` is out of range; it must be 0 to 1000000"),
    ] {
        check(&life(retries), &[&format!("{line}:19 {what}")]);
    }
    assert!(read(&life("unlimited")).is_ok() && read(&life("0")).is_ok());
}

#[test]
fn a_percentile_is_not_below_the_median() {
    let recut = |manager: &str| {
        format!(
            "{SMALL}models:
  recut: {{manager: {manager}}}
"
        )
    };
    let line = SMALL.lines().count() + 2;
    for (manager, column, least) in [("{median: 2m, p95: 1m}", 38, "2m"), ("{median: 10m}", 20, "10m")] {
        let what = format!("out-of-range the 95th percentile is below the median (write {least}, or more)");
        check(&recut(manager), &[&format!("{line}:{column} {what}")]);
    }
}
