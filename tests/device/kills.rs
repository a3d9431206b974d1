//! The program itself, killed by SIGKILL after each change of a GPU, and started again.

use crate::stand::{Stand, UUID, gpu, output};
use fake_driver::Device;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

fn program(stand: &Stand, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slicewise"));
    command
        .args(["validate", "--uuid", UUID])
        .args(words)
        .env("FAKE_DRIVER_CONFIG", stand.config_path())
        .env("SLICEWISE_NVML", stand.library())
        .env("SLICEWISE_STATE_DIR", stand.path("states"));
    output(&mut command)
}

#[test]
fn the_next_start_finishes_what_a_kill_left() {
    let mut kills = 0;
    for (id, layout, target, off) in [
        ("a100-40gb", "2g@0 3g@4", "3g@4 1g x2", false),
        ("h100-80gb-sxm", "", "3g", true),
        ("a30-24gb", "2g@0", "4g", false),
    ] {
        let mut stand = Stand::with(Device { mig: !off, ..gpu(id, layout) });
        let before = stand.standing();
        let toggle = if off { &["--toggle-mig"][..] } else { &[] };
        for after in 1.. {
            stand.config.kill_after = Some(after);
            stand.renew();
            let run = program(
                &stand,
                &[&["--apply", "--geometry", &target.replace("@4", "")][..], toggle].concat(),
            );
            if run.status.signal().is_none() {
                assert_eq!(run.status.code(), Some(0), "{id} {after}: {run:?}");
                break;
            }
            assert_eq!(run.status.signal(), Some(9), "{id} {after}: {run:?}");
            kills += 1;
            // Reading says that something is to be done, and does not do it.
            stand.config.kill_after = None;
            stand.write_config();
            let left = stand.standing();
            let read = String::from_utf8(program(&stand, &["-o", "json"]).stdout).expect("UTF-8");
            assert!(read.contains("\"unfinished\""), "{read}");
            assert_eq!(stand.standing(), left);
            // Killed once more while it repairs, then left to it.
            stand.config.kill_after = Some(1);
            stand.write_config();
            let repair = [&["--recover"][..], toggle].concat();
            kills += i32::from(program(&stand, &repair).status.signal() == Some(9));
            stand.config.kill_after = None;
            stand.write_config();
            let done = program(&stand, &repair);
            assert_eq!(done.status.code(), Some(0), "{id} {after}: {done:?}");
            assert_eq!(stand.standing(), before, "{id} {after}");
        }
    }
    println!("{kills} kills");
    assert!(20 < kills);
}
