//! MPS and time-slicing with real processes of the program, a control program that stands in for MPS,
//! and the fake driver's CUDA.

use crate::stand::{Stand, UUID, gpu, output};
use fake_driver::Device;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Answers as MPS' control program does: `-d` starts, lines set limits, `quit` ends.
const CONTROL: &str = r#"#!/bin/sh
log="$0.log"
if [ "$1" = -d ]; then
    echo "start $CUDA_VISIBLE_DEVICES" >> "$log"
    [ -e "$0.refuses" ] && { echo "Cannot find MPS control daemon process" >&2; exit 1; }
    touch "$CUDA_MPS_PIPE_DIRECTORY/control"
    [ -e "$0.broken" ] && touch "$CUDA_MPS_PIPE_DIRECTORY/broken" && echo 1 > "$CUDA_MPS_PIPE_DIRECTORY/broken"
    exit 0
fi
[ -e "$CUDA_MPS_PIPE_DIRECTORY/control" ] || { echo "no daemon" >&2; exit 1; }
while read -r word first second; do
    echo "$word $first $second" >> "$log"
    case "$word" in
    set_default_device_pinned_mem_limit) echo "${second%M}" > "$CUDA_MPS_PIPE_DIRECTORY/limit" ;;
    set_default_active_thread_percentage) echo "$first" > "$CUDA_MPS_PIPE_DIRECTORY/threads" ;;
    get_default_device_pinned_mem_limit) echo "$(cat "$CUDA_MPS_PIPE_DIRECTORY/limit")M" ;;
    quit) [ -e "$0.stays" ] || rm "$CUDA_MPS_PIPE_DIRECTORY/control" ;;
    esac
done
"#;

struct Bench {
    stand: Stand,
}

impl Bench {
    fn new() -> Bench {
        let bench = Bench { stand: Stand::with(Device { mig: false, ..gpu("a100-40gb", "") }) };
        fs::create_dir(bench.stand.path("cuda")).expect("writable");
        fs::write(bench.stand.path("cuda/gpu"), "40960 108").expect("writable");
        let control = bench.stand.path("control");
        fs::write(&control, CONTROL).expect("writable");
        fs::set_permissions(&control, fs::Permissions::from_mode(0o755)).expect("writable");
        bench
    }

    /// The exit code and the report.
    fn run(&self, words: &[&str]) -> (i32, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slicewise"));
        command
            .args(["validate", "-o", "json", "--uuid", UUID])
            .args(words)
            .env("FAKE_DRIVER_CONFIG", self.stand.config_path())
            .env("FAKE_CUDA", self.stand.path("cuda"))
            .env("SLICEWISE_NVML", self.stand.library())
            .env("SLICEWISE_CUDA", self.stand.library())
            .env("SLICEWISE_MPS_CONTROL", self.stand.path("control"))
            .env("TMPDIR", self.stand.path(""))
            .env("SLICEWISE_STATE_DIR", self.stand.path("states"));
        let output = output(&mut command);
        let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
        (output.status.code().expect("it ends by itself"), json)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.stand.path("control.log")).unwrap_or_default()
    }
}

fn shared(report: &Value) -> &Value {
    &report["report"]["shared"][0]
}

fn codes(report: &Value) -> Vec<&str> {
    let findings = shared(report)["findings"].as_array().expect("findings");
    findings.iter().filter_map(|f| f["code"].as_str()).collect()
}

/// What each client got, with its context of 500 MiB.
fn taken(report: &Value) -> Vec<u64> {
    let clients = shared(report)["clients"].as_array().expect("clients");
    clients.iter().map(|c| c["taken_mib"].as_u64().unwrap_or(0)).collect()
}

#[test]
fn unequal_limits_hold_at_once() {
    let bench = Bench::new();
    let (code, report) = bench.run(&["--mps", "10gb x2, 18gb"]);
    assert_eq!((code, codes(&report)), (0, vec![]), "{report:#}");
    // Blocks of 64 MiB beside the context: as much as goes into 10 and 18 GiB.
    assert_eq!(taken(&report), [9_728, 9_728, 17_920]);
    let log = bench.log();
    assert!(log.starts_with(&format!("start {UUID}\n")), "{log}");
    assert!(log.contains("set_default_device_pinned_mem_limit 0 18432M"), "{log}");
    assert!(log.trim_end().ends_with("quit"), "{log}");
}

#[test]
fn equal_replicas_share_threads_too() {
    let bench = Bench::new();
    let (code, report) = bench.run(&["--mps-replicas", "4"]);
    assert_eq!((code, codes(&report)), (0, vec![]), "{report:#}");
    assert!(bench.log().contains("set_default_active_thread_percentage 25"));
    assert_eq!(shared(&report)["clients"][3]["sms"], 27);
    assert_eq!(shared(&report)["clients"][0]["limit_mib"], 10_240);
}

#[test]
fn a_limit_that_does_not_hold_is_told() {
    let bench = Bench::new();
    fs::write(bench.stand.path("control.broken"), "").expect("writable");
    let (code, report) = bench.run(&["--mps", "10gb x2"]);
    assert_eq!(code, 1, "{report:#}");
    assert!(codes(&report).contains(&"limit-broken"), "{report:#}");
    let (code, report) = Bench::new().run(&["--mps", "30gb x2"]);
    assert_eq!((code, codes(&report)[0]), (1, "oversubscribed"), "{report:#}");
    assert!(codes(&report).contains(&"limit-not-reached"), "{report:#}");
}

#[test]
fn time_slicing_limits_nothing() {
    let bench = Bench::new();
    let (code, report) = bench.run(&["--time-slicing", "3"]);
    assert_eq!((code, codes(&report)), (0, vec!["oversubscription"]), "{report:#}");
    let sum: u64 = taken(&report).iter().sum();
    assert!((38_000..=40_960 - 1_500).contains(&sum), "{report:#}");
    assert_eq!(bench.log(), "");
}

#[test]
fn steps_are_timed_with_more_and_more_neighbours() {
    let bench = Bench::new();
    let csv = bench.stand.path("steps.csv");
    let (code, report) = bench.run(&["--mps", "10gb x3", "--measure", csv.to_str().expect("UTF-8")]);
    assert_eq!(code, 0, "{report:#}");
    let text = fs::read_to_string(csv).expect("it was written");
    let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split(',').collect()).collect();
    assert_eq!(rows[0], ["class", "sharing", "slice", "neighbours", "client", "step_us"]);
    // Two classes with 1, 2 and 3 clients.
    assert_eq!(rows.len(), 1 + 2 * (1 + 2 + 3));
    let slowest = |neighbours: &str| -> u64 {
        let of = rows.iter().filter(|r| r[0] == "compute" && r[3] == neighbours);
        of.map(|r| r[5].parse::<u64>().expect("a number")).max().expect("rows")
    };
    assert!(slowest("0") < slowest("2"), "{text}");
}

/// Steps on each slice of a layout that is made for the time, alone and together.
#[test]
fn steps_are_timed_on_slices() {
    let mut bench = Bench::new();
    bench.stand.config.devices[0].mig = true;
    bench.stand.renew();
    let before = bench.stand.state().gpus[0].instances.len();
    let csv = bench.stand.path("steps.csv");
    let file = csv.to_str().expect("UTF-8");
    let (code, report) = bench.run(&["--apply", "--geometry", "3g 1g", "--measure", file]);
    assert_eq!(code, 0, "{report:#}");
    let text = fs::read_to_string(&csv).expect("it was written");
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|l| l.split(',').collect()).collect();
    let alone = |r: &&Vec<&str>| r[1] == "mig" && r[3] == "0";
    let slices: Vec<&str> = rows.iter().filter(alone).map(|r| r[2].split('@').next().unwrap_or("")).collect();
    assert_eq!(slices, ["1g.5gb", "1g.5gb", "3g.20gb", "3g.20gb"], "{text}");
    assert_eq!(rows.iter().filter(|r| r[3] == "1").count(), 4, "{text}");
    assert_eq!(bench.stand.state().gpus[0].instances.len(), before);
    // A client that fails is an error, and what stood comes back.
    let (code, report) =
        bench.run(&["--apply", "--geometry", "3g", "--measure", file, "--cuda", "/nonexistent/c"]);
    assert_eq!(code, 4, "{report:#}");
    assert_eq!(bench.stand.state().gpus[0].instances.len(), before);
}

/// Trouble with the daemon is an answer, and one that stays is named.
#[test]
fn daemons_that_do_not_start_or_end_are_told() {
    let bench = Bench::new();
    fs::write(bench.stand.path("control.refuses"), "").expect("writable");
    let (code, report) = bench.run(&["--mps", "10gb"]);
    assert_eq!((code, codes(&report)), (4, vec!["mps-control"]), "{report:#}");
    let bench = Bench::new();
    fs::write(bench.stand.path("control.stays"), "").expect("writable");
    let (code, report) = bench.run(&["--mps", "10gb"]);
    assert_eq!((code, codes(&report)), (4, vec!["daemon-left"]), "{report:#}");
    let gone = Path::new("/nonexistent/nvidia-cuda-mps-control").to_str().expect("UTF-8");
    let (code, report) = Bench::new().run(&["--mps", "10gb", "--mps-control", gone]);
    assert_eq!((code, codes(&report)), (4, vec!["mps-control"]), "{report:#}");
}

/// A run that was killed leaves its daemon; the next one on the GPU ends it first.
#[test]
fn a_daemon_that_was_left_is_ended_first() {
    let bench = Bench::new();
    let left = bench.stand.path(&format!("slicewise-mps-{UUID}-left"));
    let other = bench.stand.path("slicewise-mps-GPU-another-left");
    for folder in [&left, &other] {
        fs::create_dir_all(folder.join("pipe")).expect("writable");
        fs::write(folder.join("pipe/control"), "").expect("writable");
    }
    let (code, report) = bench.run(&["--mps", "10gb"]);
    assert_eq!((code, codes(&report)), (0, vec![]), "{report:#}");
    assert!(!left.exists() && other.join("pipe/control").exists());
    assert_eq!(bench.log().matches("quit").count(), 2, "{}", bench.log());
}

/// Memory is taken to the last block: nobody else may be on the GPU, and MIG must be off.
#[test]
fn a_gpu_in_use_is_left_alone() {
    let mut bench = Bench::new();
    bench.stand.config.devices[0].compute_processes = vec![5];
    bench.stand.write_config();
    let (code, report) = bench.run(&["--time-slicing", "2"]);
    assert_eq!((code, report["report"]["shared"].is_null()), (3, true), "{report:#}");
    bench.stand.config.devices[0].compute_processes.clear();
    bench.stand.config.devices[0].mig = true;
    bench.stand.renew();
    let (code, report) = bench.run(&["--mps", "10gb"]);
    assert_eq!((code, report["report"]["shared"].is_null()), (3, true), "{report:#}");
}
