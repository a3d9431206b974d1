//! Levels 0 and 1: what differs is found and named, and targets are judged on the device's own values.

use crate::stand::{Stand, UUID, gpu, product};
use fake_driver::{Device, Fault};
use slicewise::device::{Inventory, Reply};
use slicewise::gpu::{Catalogue, Confidence};
use slicewise::validate::{self, Outcome, Report, Severity, Target, Verdict};

fn target(text: &str) -> Target {
    Target::parse(text, "test", None).expect("a target")
}

fn judge(device: Device, targets: &[&str]) -> Report {
    let stand = Stand::with(device);
    let targets: Vec<Target> = targets.iter().map(|t| target(t)).collect();
    let reply = stand.open().read(&[]);
    let report = validate::device(&Inventory::of(&reply), Catalogue::builtin(), &targets, "a test");
    // A saved reply gives the same report.
    let saved = Reply::parse(&reply.to_text()).expect("what was saved reads");
    let again = validate::device(&Inventory::of(&saved), Catalogue::builtin(), &targets, "a test");
    assert_eq!(again, report);
    report
}

/// The findings of the only device, as `severity code`.
fn codes(report: &Report) -> Vec<String> {
    let of = |f: &slicewise::validate::Finding| format!("{} {}", f.severity.word(), f.code);
    let mut codes: Vec<String> = report.judged[0].findings.iter().map(of).collect();
    codes.dedup();
    codes
}

#[test]
fn every_product_is_as_its_row_says() {
    for product in Catalogue::builtin().iter().filter(|p| p.is_mig()) {
        let report = judge(gpu(product.id(), ""), &[]);
        let judged = &report.judged[0];
        let errors = judged.findings.iter().filter(|f| f.severity == Severity::Error).count();
        assert_eq!(
            (errors, report.outcome()),
            (0, Outcome::Feasible),
            "{}: {:?}",
            product.id(),
            judged.findings
        );
        let all = product.profiles().len();
        assert_eq!((judged.profiles, judged.basis), ((all, all), "device"), "{}", product.id());
    }
}

#[test]
fn differences_are_found_and_graded() {
    let a100 = || gpu("a100-40gb", "");
    let a30 = || gpu("a30-24gb", "");
    let cases: Vec<(&str, Device, &[&str])> = vec![
        ("one percent of memory is nothing", Device { memory_off: -10, ..a100() }, &[]),
        ("three percent is something", Device { memory_off: -30, ..a100() }, &["error profile-memory"]),
        ("SMs are a warning", Device { sms_off: 1, ..a100() }, &["warning sms"]),
        ("a profile is missing", Device { lacks: vec![9], ..a100() }, &["error profile-missing"]),
        ("other places", Device { starts: [(1, vec![0, 2])].into(), ..a100() }, &["error placements"]),
        ("another count", Device { instance_count: [(0, 6)].into(), ..a100() }, &["error instance-count"]),
        (
            "A30's known count",
            Device { instance_count: [(0, 1)].into(), ..a30() },
            &["warning instance-count"],
        ),
        ("a stranger", Device { name: Some("NVIDIA B999".into()), ..a100() }, &["warning unknown-product"]),
        ("pending", Device { pending: Some(false), ..a100() }, &["warning mode-pending"]),
        ("room is taken", Device { occupied: vec![(6, 1)], ..a100() }, &["warning room"]),
    ];
    for (what, device, expected) in cases {
        let report = judge(device, &[]);
        let found = codes(&report);
        assert_eq!(found, expected, "{what}: {:?}", report.judged[0].findings);
        let wrong = expected.iter().any(|c| c.starts_with("error"));
        assert_eq!(report.outcome(), if wrong { Outcome::NotFeasible } else { Outcome::Feasible }, "{what}");
    }
}

/// The planner runs on what the board itself says: a profile or a place that it lacks is not planned
/// with, and a board that the catalogue does not know is judged all the same.
#[test]
fn targets_are_judged_on_the_boards_own_values() {
    let verdict =
        |device: Device, target: &str| judge(device, &[target]).judged[0].targets[0].verdict.clone();
    let feasible = |v: &Verdict| matches!(v, Verdict::Feasible { .. });
    let a100 = || gpu("a100-40gb", "");
    assert!(feasible(&verdict(a100(), "3g 2g x2")));
    let narrow = Device { starts: [(2, vec![0])].into(), ..a100() };
    assert!(!feasible(&verdict(narrow, "3g 2g x2")));
    let stranger = Device { name: Some("NVIDIA B999".into()), ..a100() };
    let known = verdict(stranger, "3g.20gb@4 1g.5gb x4");
    let Verdict::Feasible { layout, confidence, .. } = known else { panic!("{known:?}") };
    assert_eq!(layout, "1g.5gb@0 1g.5gb@1 1g.5gb@2 1g.5gb@3 3g.20gb@4");
    assert_eq!(confidence, Confidence::High);
    // From what stands: the slice on its place stays, the one in the way goes.
    let Verdict::Feasible { destroys, creates, .. } = verdict(gpu("a100-40gb", "1g@0 2g@4"), "3g@4 1g@0")
    else {
        panic!("feasible")
    };
    assert_eq!((destroys, creates), (vec!["2g.10gb@4".to_owned()], vec!["3g.20gb@4".to_owned()]));
}

/// A driver that tells nothing while MIG is off, and GPUs without MIG.
#[test]
fn where_the_device_says_nothing_the_catalogue_does() {
    let mut stand = Stand::with(Device { mig: false, ..gpu("h100-80gb-sxm", "") });
    stand.config.profiles_need_mig = true;
    stand.start();
    let inventory = Inventory::of(&stand.open().read(&[]));
    let report = validate::device(&inventory, Catalogue::builtin(), &[target("3g x2")], "a test");
    assert_eq!(codes(&report), ["warning profiles-not-read"]);
    assert_eq!((report.judged[0].basis, report.outcome()), ("catalogue", Outcome::Feasible));
    let t4 = Device { mig: false, ..gpu("a100-40gb", "") };
    let report = judge(Device { product: "t4".to_owned(), ..t4 }, &["1g"]);
    assert_eq!((codes(&report), report.outcome()), (Vec::new(), Outcome::NotFeasible));
    assert_eq!(report.judged[0].mig, "not supported");
}

/// A call for a profile that fails says nothing about the profile.
#[test]
fn a_profile_that_could_not_be_read_is_not_missing() {
    let mut stand = Stand::with(gpu("a100-40gb", ""));
    let call = Some("nvmlDeviceGetGpuInstanceProfileInfoV".to_owned());
    stand.config.faults = vec![Fault { nth: 3, call, code: 27, ..Fault::default() }];
    stand.start();
    let inventory = Inventory::of(&stand.open().read(&[]));
    let report = validate::device(&inventory, Catalogue::builtin(), &[target("3g x2")], "a test");
    assert_eq!(codes(&report), ["warning profiles-not-read"]);
    assert_eq!((report.judged[0].basis, report.outcome()), ("catalogue", Outcome::Feasible));
}

#[test]
fn targets_meet_the_products_they_are_for() {
    let stand = Stand::with(gpu("a100-40gb", ""));
    let inventory = Inventory::of(&stand.open().read(&[UUID.to_owned(), "GPU-gone".to_owned()]));
    let of = |product: &str| Target::parse("1g", "test", Some(product)).expect("a target");
    let targets = [of("a100-40gb"), of("NVIDIA A100-SXM4-40GB"), of("h100-80gb-sxm")];
    let report = validate::device(&inventory, Catalogue::builtin(), &targets, "a test");
    assert_eq!(report.judged[0].targets.len(), 2);
    let codes: Vec<&str> = report.findings.iter().map(|f| f.code).collect();
    assert_eq!(codes, ["unknown-uuid", "no-such-device"]);
    assert_eq!(report.outcome(), Outcome::NotFeasible);
}

#[test]
fn the_catalogue_says_which_orders_and_places_make_it_possible() {
    let a100 = product("a100-40gb");
    let targets = ["2g x3", "3g 1g x4", "1g.10gb 1g.5gb x6", "4g x2"].map(target);
    let report = validate::offline(Catalogue::builtin(), Some(a100), &targets);
    let words: Vec<String> = report.judged[0]
        .targets
        .iter()
        .map(|a| match &a.verdict {
            Verdict::Feasible { without_places, .. } => {
                serde_json::to_string(without_places).expect("a word")
            }
            Verdict::Infeasible { help, .. } => help.clone().unwrap_or_default(),
            Verdict::Unknown { why } => why.clone(),
        })
        .collect();
    assert_eq!(words[..3], ["\"any-order\"", "\"larger-first\"", "\"never\""]);
    assert!(words[3].contains("[4g.20gb, 3g.20gb]"), "{words:?}");
    assert_eq!((report.level, report.outcome()), (0, Outcome::NotFeasible));
    let text = validate::text(&report);
    assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
    let page = validate::page(&report);
    for outside in ["http", "src=", "url(", "<link", "<script"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

/// A reply is somebody's file: whatever it says, there is an answer and no panic.
#[test]
fn absurd_replies_are_answered() {
    let stand = Stand::with(gpu("a100-40gb", "1g@0"));
    let text = stand.open().read(&[]).to_text();
    for (from, to) in [
        ("\"start\":0", "\"start\":4294967295"),
        ("\"size\":1", "\"size\":0"),
        ("\"size\":4", "\"size\":200"),
        ("\"sliceCount\":7", "\"sliceCount\":99999"),
        ("\"id\":19", "\"id\":9"),
        ("\"memorySizeMB\":4864", "\"memorySizeMB\":18446744073709551615"),
        ("\"device\":0", "\"device\":77"),
        ("\"name\":\"NVIDIA A100-SXM4-40GB\"", "\"name\":\"<script>\""),
        ("\"code\":0", "\"code\":77"),
        ("\"ofaCount\":1", "\"ofaCount\":4000000000"),
    ] {
        assert!(text.contains(from), "{from}");
        for changed in [text.replace(from, to), text.replacen(from, to, 1)] {
            let inventory = Inventory::of(&Reply::parse(&changed).expect("it reads"));
            let targets = [target("3g 1g"), target("7g")];
            let report = validate::device(&inventory, Catalogue::builtin(), &targets, "a test");
            assert!(!validate::text(&report).is_empty());
            assert!(!validate::page(&report).contains("<script"));
        }
    }
}
