//! The program as a user has it: words in, words and exit codes out.

use crate::stand::{self, Stand, UUID, gpu};
use fake_driver::Device;
use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

fn program(stand: &Stand, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slicewise"));
    command
        .args(words)
        .current_dir(stand.path(""))
        .env("FAKE_DRIVER_CONFIG", stand.config_path())
        .env("SLICEWISE_NVML", stand.library())
        .env("SLICEWISE_STATE_DIR", stand.path("states"))
        .env("NO_COLOR", "1");
    command
}

fn output(stand: &Stand, words: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = stand::output(&mut program(stand, words));
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("it ends by itself"), text(stdout), text(stderr))
}

#[test]
fn a_saved_reply_is_judged_elsewhere() {
    let stand = Stand::with(gpu("a100-40gb", "3g@4"));
    let (code, _, said) = output(&stand, &["device", "save", "a100.json"]);
    assert!(code == 0 && said.contains("1 GPUs"), "{said}");
    let (code, text, _) = output(&stand, &["validate", "--reply", "a100.json", "--geometry", "4g 1g x2"]);
    assert_eq!(code, 0);
    for part in ["level 1", "stands: 3g.20gb@4", "7 of 7 profiles", "yes  4g 1g x2"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let words = ["validate", "--geometry", "4g x2", "--out", "report", "-o", "json"];
    let (code, json, _) = output(&stand, &words);
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((code, &value["exit_code"], &value["outcome"]), (1, &1.into(), &"not-feasible".into()));
    assert_eq!(fs::read_to_string(stand.path("report/validate.json")).expect("written"), json);
    let page = fs::read_to_string(stand.path("report/validate.html")).expect("written");
    assert!(page.contains("4g x2") && page.ends_with("</html>"));
    let (code, ..) = output(&stand, &["validate", "--geometry", "4g x2", "--exit-zero"]);
    assert_eq!(code, 0);
}

/// The MIG layouts of a scenario's clusters, each once, on the GPUs they are for.
#[test]
fn a_scenarios_layouts_are_asked_for() {
    let stand = Stand::with(gpu("a100-40gb", ""));
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let scenario = root.join("scenarios/quickstart.yaml");
    let scenario = scenario.to_str().expect("UTF-8");
    for level in [&["--offline"][..], &[]] {
        let (code, text, said) = output(&stand, &[&["validate", scenario], level].concat());
        assert_eq!(code, 0, "{text} {said}");
        assert!(text.contains("yes  3g.20gb 2g.10gb 1g.5gb x2  (mig: "), "{text}");
    }
    let whole = "name: s\nworkload: {generate: {pods: 1}}\ncluster: {nodes: [{name: n, count: 1, cpu: 8, memory: 8Gi}]}\n";
    fs::write(stand.path("whole.yaml"), whole).expect("writable");
    let (code, _, said) = output(&stand, &["validate", "whole.yaml", "--offline"]);
    assert_eq!(code, 2, "{said}");
}

#[test]
fn mistakes_are_told_before_anything_is_touched() {
    let stand = Stand::with(gpu("a100-40gb", ""));
    for (words, code, part) in [
        (&["--apply", "--layout", "7g"][..], 2, "named by --uuid"),
        (&["--apply", "--layout", "7g", "--uuid", "0"], 2, "is no UUID of a GPU"),
        (&["--apply", "--layout", "7g", "--uuid", "all"], 2, "is no UUID of a GPU"),
        (&["--apply", "--uuid", UUID], 2, "nothing to make"),
        (&["--apply", "--layout", "7g", "--uuid", UUID, "--uuid", UUID], 2, "named twice"),
        (&["--toggle-mig"], 2, "is for --apply"),
        (&["--layout", "x4"], 2, "is no count"),
        (&["--geometry", "3g@4"], 2, "a geometry has no places"),
        (&["--offline", "--layout", "7g", "--product", "a100-40g"], 2, "did you mean `a100-40gb`?"),
        (&["--offline"], 2, "nothing to judge"),
        (&["--reply", "config.json"], 2, "not a saved reply"),
        (&["--reply", "nowhere.json"], 2, "cannot be read"),
        (&["--mps", "ten", "--uuid", UUID], 2, "no memory in GB"),
        (&["--mps", "10gb"], 2, "--uuid"),
        (&["--nvml", "/nonexistent/libnvidia-ml.so.1"], 3, "NVML cannot be used"),
        (&["--uuid", "GPU-nobody"], 1, ""),
    ] {
        let (found, _, said) = output(&stand, &[&["validate"], words].concat());
        assert!(found == code && said.contains(part), "{words:?}: {found} {said}");
    }
    assert!(!stand.log().iter().any(|call| call.contains("Create")));
}

#[test]
fn an_apply_says_what_it_did() {
    let stand = Stand::with(gpu("a100-40gb", "1g@0"));
    let words = ["validate", "--apply", "--uuid", UUID, "--geometry", "3g"];
    let (code, text, said) = output(&stand, &[&words[..], &["--dry-run"]].concat());
    assert!(code == 0 && text.contains("a dry run") && !text.contains("tried"), "{text}");
    assert!(!said.contains("restoring"));
    let (code, text, said) = output(&stand, &words);
    assert_eq!(code, 0, "{text}");
    for part in ["level 2", "made, verified", "- create 3g.20gb@", "- destroy 1g.5gb@0"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(said.contains("restoring what stood before"), "{said}");
    let (code, text, _) = output(&stand, &["validate", "--recover", "--uuid", UUID]);
    assert!(code == 0 && text.contains("no run had ended unfinished"), "{text}");
}

/// Ctrl-C, twice: what stood before comes back first.
#[test]
fn an_interrupt_restores_and_says_so() {
    let mut stand = Stand::with(Device { ..gpu("a100-40gb", "2g@0 1g@2 3g@4") });
    let before = stand.standing();
    stand.config.delay_ms = 60;
    stand.write_config();
    let words = ["validate", "--apply", "--uuid", UUID, "--geometry", "1g x7"];
    let child = stand::spawn(&mut program(&stand, &words));
    let interrupt = || {
        let id = child.id().to_string();
        assert!(stand::output(Command::new("kill").args(["-INT", &id])).status.success());
    };
    // As soon as something has changed.
    for _ in 0..500 {
        if stand.standing() != before {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_ne!(stand.standing(), before);
    interrupt();
    std::thread::sleep(Duration::from_millis(100));
    interrupt();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("restored first"), "{output:?}");
    assert_eq!(stand.standing(), before);
}
