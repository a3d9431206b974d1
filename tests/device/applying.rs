//! Levels 2 and 3 where nothing fails, where something forbids them, and where somebody interferes.

use crate::stand::{FORKS, Stand, UUID, gpu};
use crate::trial::{Trial, applied};
use fake_driver::Device;
use slicewise::device::Place;
use slicewise::gpu::{Catalogue, State};
use slicewise::validate::Outcome;
use slicewise::validate::apply::{Event, Op};
use std::cell::Cell;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

/// Changing calls since the driver started.
fn changes(stand: &Stand) -> usize {
    let changes = |name: &&String| ["Create", "Destroy", "SetMigMode"].iter().any(|w| name.contains(w));
    stand.log().iter().filter(changes).count()
}

#[test]
fn a_layout_is_made_and_what_stood_comes_back() {
    for (id, stands, target) in [
        ("a100-40gb", "2g@0 1g@2 3g@4", "3g 1g x4"),
        ("a100-40gb", "", "1g.10gb 1g.5gb x6"),
        ("a100-40gb", "1g@0", "7g"),
        ("h100-80gb-sxm", "1g.20gb@0 3g@4", "1g.20gb x4"),
        ("a30-24gb", "1g@0 1g@3", "2g 2g.12gb+me"),
        ("rtx-pro-6000-blackwell-96gb", "1g@0", "2g@6 1g.24gb+gfx@0 1g.24gb-me@3"),
        ("thor-igpu", "", "1g"),
    ] {
        let stand = Stand::with(gpu(id, stands));
        let before = stand.standing();
        let report = stand.run(&Trial::of(target));
        assert_eq!(report.outcome(), Outcome::Feasible, "{id} {target}: {report:?}");
        assert_eq!(stand.standing(), before, "{id} {target}");
        let codes: Vec<&str> = applied(&report).findings.iter().map(|f| f.code).collect();
        assert!(codes.iter().all(|c| *c == "made-anew"), "{codes:?}");
        // What stands on its place already is not touched.
        let kept = applied(&report).steps.len();
        assert!(0 < kept, "{id} {target}");
    }
    let stand = Stand::with(gpu("a100-40gb", "1g@0 3g@4"));
    let report = stand.run(&Trial::of("3g@4 1g@0"));
    assert_eq!((report.outcome(), changes(&stand)), (Outcome::Feasible, 0));
}

/// Any layout to any geometry, on every product and on mirrored boards.
#[test]
fn random_layouts_come_back() {
    let count = std::env::var("SLICEWISE_GEOMETRIES").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let mut draw = 1_usize;
    let mut below = |n: usize| {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (draw >> 33) % n
    };
    for (at, product) in Catalogue::builtin().iter().filter(|p| p.is_mig()).enumerate() {
        let states = product.states();
        for _ in 0..count.min(500) {
            let (from, to) = (below(states.len()), below(states.geometries().len()));
            let layout = states.layout(State::default());
            let from = states.iter().nth(from).map_or(layout, |s| states.layout(s));
            let names = from.describe(product);
            let target = states.geometries()[to].describe(product);
            if target.is_empty() {
                continue;
            }
            let stand = Stand::with(Device { mirrored: at % 2 == 0, ..gpu(product.id(), &names) });
            let before = stand.standing();
            let report = stand.run(&Trial::of(&target));
            assert_eq!(
                report.outcome(),
                Outcome::Feasible,
                "{} {names} -> {target}: {report:?}",
                product.id()
            );
            assert_eq!(stand.standing(), before, "{} {names} -> {target}", product.id());
        }
    }
}

/// Parts of a GPU instance come back as they were, each at its place.
#[test]
fn compute_instances_come_back_with_their_places() {
    let stand = Stand::with(gpu("a100-40gb", "1g@0"));
    let nvml = stand.open();
    let made = nvml.create_instance(UUID, 9, Place { start: 4, size: 4 }).expect("room for a 3g");
    nvml.create_compute(UUID, made, 0, Place { start: 2, size: 1 }).expect("room for 1c");
    let bare = nvml.create_instance(UUID, 14, Place { start: 2, size: 2 }).expect("room for a 2g");
    drop(nvml);
    let before = stand.standing();
    // A kept instance gets the compute instance it lacks; a destroyed one is made again with its own.
    for target in ["3g@4 2g@2 1g@0", "4g 3g", "7g"] {
        let report = stand.run(&Trial::of(target));
        assert_eq!(report.outcome(), Outcome::Feasible, "{target}: {report:?}");
        assert_eq!(stand.standing(), before, "{target}, with instance {bare} bare");
    }
}

#[test]
fn a_precondition_that_fails_leaves_everything_alone() {
    let a100 = || gpu("a100-40gb", "1g@0 3g@4");
    let cases: Vec<(&str, Device)> = vec![
        ("process 41 is on it (compute", Device { compute_processes: vec![41], ..a100() }),
        ("process 42 is on it (graphics", Device { graphics_processes: vec![42], ..a100() }),
        ("process 43 is on it (mps", Device { mps_processes: vec![43], ..a100() }),
        ("process 44 is on it", Device { slice_processes: [(4, vec![44])].into(), ..a100() }),
        ("waits for a reset", Device { pending: Some(false), ..a100() }),
        ("--toggle-mig turns it on", Device { mig: false, layout: Vec::new(), ..a100() }),
        ("it has no MIG", Device { product: "t4".to_owned(), layout: Vec::new(), ..a100() }),
    ];
    for (why, device) in cases {
        let stand = Stand::with(device);
        let before = stand.state();
        let report = stand.run(&Trial::of("3g 1g x4"));
        assert!(report.blocked.iter().any(|b| b.contains(why)), "{why}: {:?}", report.blocked);
        assert_eq!((report.outcome(), changes(&stand)), (Outcome::Blocked, 0), "{why}");
        assert_eq!(stand.state(), before, "{why}");
    }
}

#[test]
fn whoever_is_not_root_is_told_before_anything_changes() {
    let mut stand = Stand::with(gpu("a100-40gb", "1g@0"));
    stand.config.unprivileged = true;
    stand.start();
    let report = stand.run(&Trial::of("7g"));
    assert_eq!((report.outcome(), changes(&stand)), (Outcome::Blocked, 0));
    assert!(report.blocked[0].contains("not permitted"), "{:?}", report.blocked);
}

/// Preconditions hold for every GPU before the first change on any.
#[test]
fn one_busy_gpu_blocks_all() {
    let second = "GPU-00000000-0000-0000-0000-000000000002";
    let busy = Device { uuid: second.to_owned(), compute_processes: vec![7], ..gpu("a100-40gb", "") };
    let stand = Stand::of(vec![gpu("a100-40gb", ""), busy]);
    let _no_forks = FORKS.read().expect("nobody panics while holding it");
    let (nvml, host, folder) = (stand.open(), stand.host(), stand.path("states"));
    let session = slicewise::validate::apply::Session {
        nvml: &nvml,
        host: &host,
        folder: &folder,
        level: 2,
        forced: false,
        wait: &|| {},
        stop: &crate::trial::QUIET,
        watch: &|_| {},
        measure: None,
    };
    let target = slicewise::validate::Target::parse("7g", "test", None).expect("a target");
    let uuids = [UUID.to_owned(), second.to_owned()];
    let report = slicewise::validate::apply::run(
        &session,
        Catalogue::builtin(),
        &uuids,
        std::slice::from_ref(&target),
        "the fake driver",
        false,
    );
    assert_eq!((report.outcome(), changes(&stand)), (Outcome::Blocked, 0), "{report:?}");
    let gone = [UUID.to_owned(), "GPU-nobody".to_owned()];
    let report = slicewise::validate::apply::run(
        &session,
        Catalogue::builtin(),
        &gone,
        &[target],
        "the fake driver",
        false,
    );
    assert_eq!((report.outcome(), changes(&stand)), (Outcome::Blocked, 0), "{report:?}");
}

#[test]
fn others_who_manage_gpus_are_seen() {
    let stand = Stand::with(gpu("a100-40gb", "1g@0"));
    let process = stand.path("proc/77");
    fs::create_dir_all(process.join("fd")).expect("writable");
    fs::write(process.join("comm"), "nvidia-mig-mana\n").expect("writable");
    let report = stand.run(&Trial::of("7g"));
    assert!(report.blocked[0].contains("process 77 (nvidia-mig-manager)"), "{:?}", report.blocked);
    assert_eq!(changes(&stand), 0);
    let forced = stand.run(&Trial { forced: true, ..Trial::of("7g") });
    assert_eq!(forced.outcome(), Outcome::Feasible, "{forced:?}");
    // Whoever holds the device file is on the GPU, whatever the driver's lists show; the daemon that
    // keeps the driver loaded is not.
    fs::write(process.join("comm"), "python3\n").expect("writable");
    std::os::unix::fs::symlink("/dev/nvidia0", process.join("fd/3")).expect("writable");
    let held = stand.run(&Trial::of("7g"));
    assert!(held.blocked[0].contains("process 77 is on it (holds /dev/nvidia0"), "{:?}", held.blocked);
    fs::write(process.join("comm"), "nvidia-persiste\n").expect("writable");
    assert_eq!(stand.run(&Trial::of("7g")).outcome(), Outcome::Feasible);
    fs::create_dir_all(stand.path("kubelet/plugins/gpu.nvidia.com")).expect("writable");
    assert!(stand.run(&Trial::of("7g")).blocked[0].contains("DRA driver"));
}

#[test]
fn two_runs_never_meet_on_a_gpu() {
    let stand = Stand::with(gpu("a100-40gb", "1g@0"));
    let folder = stand.path("states");
    let held = slicewise::validate::apply::lock(&folder, &[UUID.to_owned()]).expect("free");
    let report = stand.run(&Trial::of("7g"));
    assert!(report.blocked[0].contains("another slicewise"), "{:?}", report.blocked);
    assert_eq!((report.outcome(), changes(&stand)), (Outcome::Blocked, 0));
    drop(held);
    // A process that is just being started may hold the lock a moment longer.
    drop(FORKS.write());
    assert_eq!(stand.run(&Trial::of("7g")).outcome(), Outcome::Feasible);
}

#[test]
fn a_dry_run_changes_nothing() {
    let stand = Stand::with(gpu("a100-40gb", "1g@0"));
    let before = stand.state();
    let report = stand.run(&Trial { dry: true, ..Trial::of("7g") });
    assert_eq!((report.outcome(), changes(&stand)), (Outcome::Feasible, 0));
    assert_eq!(stand.state(), before);
    assert!(!stand.path("states").join(format!("{UUID}.journal")).exists());
}

/// What the device refuses though its values allow it is the answer, and the way back is taken.
#[test]
fn a_refusal_of_the_device_is_an_answer() {
    let stand = Stand::with(Device { occupied: vec![(6, 1)], ..gpu("a100-40gb", "1g@0") });
    let before = stand.standing();
    let report = stand.run(&Trial::of("1g@6 2g@4"));
    assert_eq!(report.outcome(), Outcome::NotFeasible, "{report:?}");
    assert!(applied(&report).error.as_deref().is_some_and(|e| e.contains("23")), "{report:?}");
    assert_eq!(stand.standing(), before);
    let codes: Vec<&str> = report.judged[0].findings.iter().map(|f| f.code).collect();
    assert!(codes.contains(&"room"), "{codes:?}");
    let text = slicewise::validate::text(&report);
    assert!(text.contains("no   1g@6 2g@4") && text.contains("the device refused it"), "{text}");
    assert!(slicewise::validate::page(&report).contains("the device refused it"));
}

#[test]
fn the_mode_is_turned_on_for_the_time() {
    for id in ["a100-40gb", "h100-80gb-sxm", "a30-24gb"] {
        let stand = Stand::with(Device { mig: false, layout: Vec::new(), ..gpu(id, "") });
        let before = stand.standing();
        let trial = Trial { level: 3, ..Trial::of("1g x3") };
        let report = stand.run(&trial);
        assert_eq!(report.outcome(), Outcome::Feasible, "{id}: {report:?}");
        let steps = &applied(&report).steps;
        assert_eq!(steps.first().map(String::as_str), Some("turn MIG on"));
        assert_eq!(steps.last().map(String::as_str), Some("turn MIG off"));
        assert_eq!(stand.standing(), before);
        // Where the change waits for a reset, it is taken back and nothing is made.
        let waits = Device { mig: false, needs_reset: true, layout: Vec::new(), ..gpu(id, "") };
        let stand = Stand::with(waits);
        let report = stand.run(&trial);
        assert_eq!(report.outcome(), Outcome::Error, "{id}: {report:?}");
        assert_eq!(stand.standing(), before);
    }
}

/// A signal at any moment of the way ends with what stood before.
#[test]
fn a_signal_is_answered_by_restoring() {
    let stand = Stand::with(gpu("a100-40gb", "2g@0 1g@2 3g@4"));
    let before = stand.standing();
    for after in 1..=12 {
        let (stop, seen) = (AtomicBool::new(false), Cell::new(0));
        let watch = |event: Event<'_>| {
            if let Event::Called(_) = event {
                seen.set(seen.get() + 1);
                stop.store(after <= seen.get(), Ordering::SeqCst);
            }
        };
        let report = stand.run(&Trial { stop: &stop, watch: &watch, ..Trial::of("3g 1g x4") });
        let outcome = report.outcome();
        assert!(matches!(outcome, Outcome::Interrupted | Outcome::Feasible), "{after}: {report:?}");
        assert!(outcome == Outcome::Interrupted || 4 < after, "{after}");
        assert_eq!(stand.standing(), before, "{after}");
    }
}

/// What somebody else makes meanwhile is never destroyed: the rollback stops and says so.
#[test]
fn a_strangers_instance_is_left_alone() {
    let stand = Stand::with(gpu("a100-40gb", "1g@0"));
    let watch = |event: Event<'_>| {
        if let Event::Restoring(_) = event {
            let place = Place { start: 1, size: 1 };
            stand.open().create_instance(UUID, 19, place).expect("room for a stranger");
        }
    };
    let report = stand.run(&Trial { watch: &watch, ..Trial::of("3g@4") });
    assert_eq!(report.outcome(), Outcome::RollbackFailed, "{report:?}");
    let remains = applied(&report).remains.as_ref().expect("it says what remains");
    assert!(remains.read && remains.why.contains("1g.5gb@1"), "{remains:?}");
    let now = stand.standing();
    assert!(now.stands.iter().any(|s| s.gi.start == 1), "the stranger's stands");
    // Once the stranger has gone, the next run puts it right.
    let id = stand.state().gpus[0].instances.iter().find(|i| i.start == 1).map(|i| i.id);
    stand.open().destroy_instance(UUID, id.expect("it stands")).expect("it goes");
    let recovered = stand.recover(&Trial::of("3g@4")).expect("a run had ended unfinished");
    assert_eq!(recovered.outcome, Outcome::Feasible);
    assert_eq!(stand.standing().stands.len(), 1);
}

/// After a reboot the snapshot is made anew; where the mode went with the driver, only level 3 may turn
/// it on again.
#[test]
fn a_reboot_in_between_is_put_right() {
    struct Crash;
    for (id, level, back) in [
        ("a100-40gb", 2, true),
        ("h100-80gb-sxm", 2, false),
        ("h100-80gb-sxm", 3, true),
        ("a30-24gb", 2, true),
    ] {
        let stand = Stand::with(gpu(id, "1g@0 2g@2"));
        let before = stand.standing();
        let watch = |event: Event<'_>| {
            if let Event::Called(Op::CreateGi { .. }) = event {
                std::panic::resume_unwind(Box::new(Crash));
            }
        };
        let crashed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            stand.run(&Trial { watch: &watch, ..Trial::of("4g") })
        }));
        assert!(crashed.is_err(), "{id}");
        fake_driver::reboot(&stand.config.state);
        stand.start();
        let recovered = stand.recover(&Trial { level, ..Trial::of("4g") }).expect("it ended unfinished");
        let expected = if back { Outcome::Feasible } else { Outcome::RollbackFailed };
        assert_eq!(recovered.outcome, expected, "{id} {level}: {recovered:?}");
        if back {
            assert_eq!(stand.standing(), before, "{id}");
        } else {
            let remains = recovered.remains.expect("it says what remains");
            assert_eq!((remains.missing, remains.mig), (before.stands, Some(true)));
        }
    }
}
