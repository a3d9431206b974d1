//! Every call of an apply fails in turn, with a code of each class, before and after its effect, once
//! and from then on; and the run is cut off after every line of the journal and every change. Each
//! time the GPU is as it was, or what is missing is listed, exactly.
//!
//! `SLICEWISE_FAULTS=all` strikes every call; without it, every changing call and one in several of
//! those that only read.

use crate::stand::{Stand, UUID, gpu};
use crate::trial::{Standing, Trial, applied, is_exact};
use fake_driver::{Device, Fault};
use slicewise::validate::Outcome;
use slicewise::validate::apply::{Event, Remains};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// One of each class: infeasible, busy, needs a reset, denied, unsupported, transient, lost.
const CODES: [u32; 7] = [23, 19, 16, 4, 3, 27, 15];
/// Of the calls that only read, one in so many is struck where not all are.
const READS: usize = 40;

/// Plans: the product, what stands, what is wanted, and whether MIG is off at first.
const PLANS: [(&str, &str, &str, bool); 7] = [
    ("a100-40gb", "2g@0 1g@2 3g@4", "3g@4 1g x4", false),
    ("a100-40gb", "1g@6 1g@0", "7g", false),
    ("a100-40gb", "", "4g 3g", true),
    ("h100-80gb-sxm", "1g.20gb@0 1g@2 3g@4", "2g x2 1g.20gb@6", false),
    ("h100-80gb-sxm", "", "3g 1g", true),
    ("a30-24gb", "2g.12gb+me@0 1g@2", "1g x4", false),
    ("a30-24gb", "", "2g x2", true),
];

fn stand<'a>(plan: (&'a str, &'a str, &'a str, bool)) -> (Stand, Trial<'a>) {
    let (id, layout, target, off) = plan;
    let stand = Stand::with(Device { mig: !off, ..gpu(id, layout) });
    let trial = Trial { level: if off { 3 } else { 2 }, ..Trial::of(target) };
    (stand, trial)
}

fn changes(call: &str) -> bool {
    ["Create", "Destroy", "SetMigMode"].iter().any(|word| call.contains(word))
}

/// The faults for the calls of a run without any.
fn faults(calls: &[String], all: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut by_name: BTreeMap<&str, u32> = BTreeMap::new();
    for (at, call) in calls.iter().enumerate() {
        let nth = by_name.entry(call).or_default();
        *nth += 1;
        // Without an initialized library there is nothing to strike.
        if matches!(call.as_str(), "nvmlInit_v2" | "nvmlShutdown") {
            continue;
        }
        if !all && !changes(call) && at % READS != 0 {
            continue;
        }
        for code in CODES {
            for after in [false, true] {
                for sticky in [false, true] {
                    let fault =
                        Fault { nth: *nth, call: Some(call.clone()), code, after, sticky, activation: false };
                    if call == "nvmlDeviceSetMigMode" {
                        faults.push(Fault { activation: true, ..fault.clone() });
                    }
                    faults.push(fault);
                }
            }
        }
        // The GPU falls off the bus: every call fails from here on.
        let lost = Fault { nth: at as u32 + 1, call: None, code: 15, sticky: true, ..Fault::default() };
        faults.push(lost);
    }
    faults
}

/// What must hold after a run that had this outcome.
#[track_caller]
fn judge(what: &str, stand: &Stand, before: &Standing, failed: bool, remains: Option<&Remains>) {
    let now = stand.standing();
    if failed {
        let remains = remains.unwrap_or_else(|| panic!("{what}: it does not say what remains"));
        assert!(is_exact(remains, before, &now), "{what}: {remains:?}\nbefore {before:?}\nnow {now:?}");
    } else {
        assert_eq!(&now, before, "{what}");
    }
}

#[test]
fn every_call_may_fail_in_every_way() {
    let all = std::env::var("SLICEWISE_FAULTS").is_ok_and(|v| v == "all");
    let mut outcomes: BTreeMap<Outcome, u64> = BTreeMap::new();
    let mut struck = 0_u64;
    for plan in PLANS {
        let (mut stand, trial) = stand(plan);
        let before = stand.standing();
        assert_eq!(stand.run(&trial).outcome(), Outcome::Feasible, "{plan:?}");
        for fault in faults(&stand.log(), all) {
            let what = format!("{plan:?} {fault:?}");
            stand.config.faults = vec![fault];
            stand.renew();
            let report = stand.run(&trial);
            let outcome = report.outcome();
            *outcomes.entry(outcome).or_default() += 1;
            struck += 1;
            let tried = report.judged.iter().flat_map(|j| &j.targets).find_map(|a| a.applied.as_ref());
            let failed = outcome == Outcome::RollbackFailed;
            judge(&what, &stand, &before, failed, tried.and_then(|t| t.remains.as_ref()));
            // Once the fault is over, the next run puts right what this one could not.
            stand.config.faults.clear();
            stand.start();
            let recovered = stand.recover(&trial);
            assert_eq!(recovered.is_some(), failed, "{what}: {recovered:?}");
            assert!(recovered.is_none_or(|r| r.outcome == Outcome::Feasible), "{what}");
            assert_eq!(stand.standing(), before, "{what}");
        }
    }
    println!("{struck} faults struck: {outcomes:?}");
    assert!(outcomes.contains_key(&Outcome::RollbackFailed) && outcomes.contains_key(&Outcome::Error));
}

/// The end of the process, in this process.
struct Crash;

/// Runs until the n-th event, where the process ends; whether it came so far.
fn cut_off(n: usize, run: impl FnOnce(&dyn Fn(Event<'_>))) -> bool {
    let seen = Cell::new(0);
    let watch = |_: Event<'_>| {
        seen.set(seen.get() + 1);
        if seen.get() == n {
            // Without the hook of panics, which would print.
            resume_unwind(Box::new(Crash));
        }
    };
    catch_unwind(AssertUnwindSafe(|| run(&watch))).is_err()
}

/// Cut off after every line of the journal and every change, on the way there, on the way back, and
/// while an earlier end is put right.
#[test]
fn a_run_may_end_at_any_moment() {
    let mut cuts = 0_u64;
    for plan in PLANS {
        let (stand, trial) = stand(plan);
        let before = stand.standing();
        for first in 1.. {
            stand.renew();
            let cut = cut_off(first, |watch| {
                stand.run(&Trial { watch, ..trial_of(&trial) });
            });
            if !cut {
                break;
            }
            cuts += 1;
            let crashed = stand.state();
            let journal = stand.path("states").join(format!("{UUID}.journal"));
            let text = std::fs::read(&journal).expect("a journal");
            // The repair is cut off in its turn, at every third of its moments.
            for second in (1..).step_by(3) {
                crashed.write(&stand.config.state);
                std::fs::write(&journal, &text).expect("writable");
                stand.start();
                let cut = cut_off(second, |watch| {
                    stand.recover(&Trial { watch, ..trial_of(&trial) });
                });
                cuts += u64::from(cut);
                if cut {
                    stand.start();
                    stand.recover(&trial);
                }
                assert_eq!(stand.standing(), before, "{plan:?} cut at {first}, then at {second}");
                let again = stand.recover(&trial);
                assert!(again.is_none(), "{plan:?} {first} {second}: {again:?}");
                if !cut {
                    break;
                }
            }
        }
    }
    println!("{cuts} runs cut off");
    assert!(200 < cuts);
}

fn trial_of<'a>(trial: &Trial<'a>) -> Trial<'a> {
    Trial { level: trial.level, ..Trial::of(trial.target) }
}

/// A restore that finds no rest says what is missing and how to get it back by hand.
#[test]
fn what_is_missing_is_listed_with_commands() {
    let (mut stand, trial) = stand(("a100-40gb", "1g@0 3g@4", "7g", false));
    let nth = 2;
    let call = Some("nvmlDeviceCreateGpuInstanceWithPlacement".to_owned());
    stand.config.faults = vec![Fault { nth, call, code: 4, sticky: true, ..Fault::default() }];
    stand.renew();
    let report = stand.run(&trial);
    assert_eq!(report.outcome().exit_code(), 5);
    let remains = applied(&report).remains.as_ref().expect("it says what remains");
    let commands: Vec<String> =
        ["-cgi 9:4", "-gi <the new instance> -cci 2:0", "-cgi 19:0", "-gi <the new instance> -cci 0:0"]
            .map(|end| format!("nvidia-smi mig -i {UUID} {end}"))
            .to_vec();
    assert_eq!(remains.commands, commands);
}
