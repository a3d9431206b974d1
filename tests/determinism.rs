//! The same inputs give the same bytes: twice, on any number of threads, on any processor, and from
//! the resolved scenario of a run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Everything whose order or rounding could leak: gangs, draws among equals, priorities, pods that give
/// up or are turned away, neighbours that slow each other, a trace and a node list of one's own, and
/// pods made by laws full of logarithms.
const CROWDED: &str = r#"
name: crowded
description: Everything at once.
seed: 11
workload:
  traces: [gangs.csv]
  generate:
    pods: 600
    arrivals: {diurnal: {per_hour: 400, swing: 0.6, peak: 13h}}
    classes:
      - {name: small, weight: 3, cpu: 2, memory: 8GiB, gpu: {share: [[125, 2], [250, 1]]}, work: {lognormal: {mean: 40m, scv: 3}}}
      - {name: large, weight: 1, cpu: 8, memory: 32GiB, gpu: {whole: 1}, work: {pareto: {mean: 1h, shape: 1.5, max: 12h}}, priority: 5, namespace: urgent}
      - {name: cpu, weight: 1, cpu: 4, memory: 8GiB, gpu: none, work: {hyperexponential: {mean: 20m, scv: 4}}}
  patience: 20m
  queue_limit: 15
cluster:
  nodes:
    - {name: gpu, count: 3, cpu: 64, memory: 256GiB, gpus: {model: a100-40gb, count: 4}, mode: mps}
  node_lists:
    - {file: lists/nodes.csv, mode: mps, models: {G2: a100-40gb}}
scheduler: {profile: ideal, scores: [balanced-allocation, {name: least-allocated, weight: 2}], ties: seeded, gpu_choice: worst-fit}
models: {sharing: true, classes: {small: light, large: saturating}}
report: {warm_up: 0.1, gpus_shown: 20}
variants:
  - name: mps
  - name: slices and draws
    cluster:
      nodes:
        - {name: full, count: 2, cpu: 64, memory: 256GiB, gpus: {model: a100-40gb, count: 4}, mode: {mig: [7g.40gb]}}
        - {name: cut, count: 3, cpu: 64, memory: 256GiB, gpus: {model: a100-40gb, count: 4}, mode: {mig: [3g.20gb, 2g.10gb, 1g.5gb, 1g.5gb]}}
      node_lists: ~
    scheduler: {scores: ~, score: random}
  - name: replicas
    cluster:
      nodes: [{name: gpu, count: 5, cpu: 64, memory: 256GiB, gpus: {model: a100-40gb, count: 4}, mode: {time-slicing: {replicas: 4}}}]
      node_lists: ~
    workload: {changes: {draw: {sample: 0.9}, load_scale: 1.3}}
"#;

const GANGS: &str = "\
#slicewise-trace 1
pod,arrival_s,work_s,cpu_milli,memory_mib,gpus,gpu_milli,class,priority,gang
a-0,3600,5000,4000,8192,1,,team,1,3
a-1,3600,5000,4000,8192,1,,team,1,0
a-2,3600,4000,4000,8192,1,,team,1,0
alone,3600,0,1000,1024,,500,team,0,1
b-0,7200.5,9000,4000,8192,,750,team,0,2
b-1,7200.5,9000.25,4000,8192,,250,team,0,0
";

const NODES: &str =
    "sn,cpu_milli,memory_mib,gpu,model\nlisted-0,64000,262144,4,G2\nlisted-1,32000,131072,2,G2\n";

/// Every file below a folder, by path.
fn folder(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of a report") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).expect("a file of a report");
                files.insert(path.strip_prefix(root).expect("below").to_owned(), bytes);
            }
        }
    }
    files
}

#[track_caller]
fn equal(what: &str, one: &BTreeMap<PathBuf, Vec<u8>>, other: &BTreeMap<PathBuf, Vec<u8>>) {
    assert!(one.keys().eq(other.keys()), "{what}: {:?} and {:?}", one.keys(), other.keys());
    for (path, bytes) in one {
        assert!(*bytes == other[path], "{what}: {} differs", path.display());
    }
}

/// `slicewise run`, quietly, in a folder of its own: its report and its table.
struct Runner {
    root: TempDir,
}

impl Runner {
    fn new() -> Runner {
        Runner { root: TempDir::new().expect("a temporary folder") }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn run(&self, out: &str, change: impl Fn(&mut Command)) -> BTreeMap<PathBuf, Vec<u8>> {
        let out = self.root.path().join(out);
        let mut command = Command::new(env!("CARGO_BIN_EXE_slicewise"));
        command.current_dir(self.root.path()).args(["run", "--quiet", "--out"]).arg(&out);
        change(&mut command);
        let output = command.output().expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut files = folder(&out);
        files.insert(PathBuf::from("<the table>"), output.stdout);
        files
    }

    /// Runs a scenario in every way that must not matter.
    fn all_ways(&self, scenario: &[&str]) -> BTreeMap<PathBuf, Vec<u8>> {
        let plain = |command: &mut Command| {
            command.args(scenario);
        };
        let first = self.run("first", plain);
        equal("run again", &first, &self.run("again", plain));
        equal("run again over the old", &first, &self.run("first", plain));
        for threads in ["1", "4"] {
            let some = |command: &mut Command| {
                command.args(scenario).args(["--threads", threads]);
            };
            equal(&format!("{threads} threads"), &first, &self.run(&format!("threads-{threads}"), some));
        }
        // What an older processor would do: glibc then chooses other code for what it computes.
        let older = |command: &mut Command| {
            let off = "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F,-AVX,-FMA4";
            command.args(scenario).env("GLIBC_TUNABLES", off);
        };
        equal("an older processor", &first, &self.run("older", older));
        let resolved = |command: &mut Command| {
            command.arg("first/scenario.resolved.yaml");
        };
        equal("the resolved scenario", &first, &self.run("deep/er/resolved", resolved));
        let elsewhere = |command: &mut Command| {
            command.current_dir("/").arg(self.root.path().join("deep/er/resolved/scenario.resolved.yaml"));
        };
        equal("from elsewhere", &first, &self.run("elsewhere", elsewhere));
        first
    }
}

#[test]
fn the_quickstart_gives_the_same_bytes() {
    let files = Runner::new().all_ways(&[]);
    for name in ["report.html", "summary.json", "pods.csv", "timeline.csv", "charts/slices-2-mig.png"] {
        assert!(files.contains_key(Path::new(name)), "{name} in {:?}", files.keys());
    }
}

/// Another machine, another build, another day: the report in the repository is of the same bytes.
#[test]
fn the_sample_report_is_that_of_the_quickstart() {
    let sample = folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/sample"));
    let mut made = Runner::new().run("made", |_| {});
    made.remove(Path::new("<the table>"));
    equal("reports/sample is old, reports/README.md says how to make it anew", &sample, &made);
}

#[test]
fn a_crowded_scenario_gives_the_same_bytes() {
    let runner = Runner::new();
    runner.write("made/crowded.yaml", CROWDED);
    runner.write("made/gangs.csv", GANGS);
    runner.write("made/lists/nodes.csv", NODES);
    let files = runner.all_ways(&["made/crowded.yaml"]);
    let pods = String::from_utf8_lossy(&files[Path::new("pods.csv")]).into_owned();
    // The scenario is worth comparing only if all of this happens in it.
    for word in [",finished,", ",gave-up,", ",turned-away,", ",listed-0,", "2g.10gb@", "gpu.shared: 1"] {
        assert!(pods.contains(word), "{word} happens");
    }
}

#[test]
fn seeds_matter() {
    let runner = Runner::new();
    runner.write("crowded.yaml", CROWDED);
    runner.write("gangs.csv", GANGS);
    runner.write("lists/nodes.csv", NODES);
    let of = |seed: &'static str| {
        runner.run(&format!("seed-{seed}"), |command| {
            command.args(["crowded.yaml", "--seed", seed]);
        })
    };
    let (one, two) = (of("1"), of("2"));
    assert!(one[Path::new("pods.csv")] != two[Path::new("pods.csv")], "another seed, other pods");
}
