//! nos' decisions, held against what nos did.
//!
//! Cases are files of `SLICEWISE_NOS_VECTORS`, or of tests/data/nos-vectors/ (recorded from runs of nos
//! or derived from its text), and of `../shared/reference/nos-vectors` where that folder is: its
//! `unit-` files come from nos' own tests. A case passes if the answer is the expected one, or if every
//! way in which the free choices can fall gives a legal outcome and every outcome that was observed is
//! reached.
#![expect(clippy::print_stdout, reason = "counts per file and what is skipped are said")]

mod explore;
mod kube;
mod looped;
mod observed;
mod oracle;
mod planners;
mod rules;
mod slow;
mod unit;
mod worlds;

use explore::{by_seeds, explore};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What became of a case.
enum Verdict {
    Passed,
    /// A later issue covers the function.
    NotYet,
    Failed(String),
}

/// Tells how two results differ, or that they do not.
fn compare(actual: &str, expected: &str) -> Verdict {
    if actual == expected {
        Verdict::Passed
    } else {
        Verdict::Failed(format!("got      {actual}\n    expected {expected}"))
    }
}

fn run_case(case: &Value) -> Verdict {
    if let Some(test) = case["origin_test"].as_str() {
        return match unit::run(test, case) {
            Some(Some((actual, expected))) => compare(&kube::canonical(&actual), &kube::canonical(&expected)),
            Some(None) => Verdict::NotYet,
            None => Verdict::Failed(format!("unknown function `{test}`")),
        };
    }
    let name = case["fn"].as_str().unwrap_or_default();
    let answer = match observed::function(name) {
        Some(Some(answer)) => answer,
        Some(None) => return Verdict::NotYet,
        None => return Verdict::Failed(format!("unknown function `{name}`")),
    };
    let input = &case["input"];
    if let Some(expected) = case.get("expected") {
        let actual = observed::default(&answer, input);
        return compare(&observed::form(name, &actual), &observed::form(name, expected));
    }
    let legal: Vec<String> = case["legal_outcomes"]
        .as_array()
        .expect("outcomes")
        .iter()
        .map(|outcome| observed::form(name, outcome))
        .collect();
    let seen = |(at, _): &(usize, &String)| case["observed"][*at].as_u64() != Some(0);
    let wanted: BTreeSet<String> =
        legal.iter().enumerate().filter(seen).map(|(_, outcome)| outcome.clone()).collect();
    let legal: BTreeSet<String> = legal.into_iter().collect();
    let run =
        |choices: &mut dyn slicewise::partition::nos::Choices| observed::form(name, &answer(input, choices));
    let found = explore(&run, &wanted);
    if !legal.contains(&found.default) {
        return Verdict::Failed(format!("the default {} is not legal", found.default));
    }
    if let Some(outcome) = found.all.difference(&legal).next() {
        return Verdict::Failed(format!("{outcome} is not legal, one of {}", found.all.len()));
    }
    if let Some(outcome) = wanted.difference(&found.all).next() {
        return Verdict::Failed(format!("{outcome} was observed and is never reached"));
    }
    if found.complete && found.all.len() < legal.len() {
        return Verdict::Failed(format!("{} of {} legal outcomes", found.all.len(), legal.len()));
    }
    let seeded = by_seeds(&run, &wanted);
    match wanted.difference(&seeded).next() {
        Some(outcome) => Verdict::Failed(format!("{outcome} was observed and no seed reaches it")),
        None => Verdict::Passed,
    }
}

/// Runs every case of a file; prints counts, returns what failed.
fn run_file(path: &Path) -> Vec<String> {
    let name = path.file_name().expect("a file").to_string_lossy().into_owned();
    let text = fs::read_to_string(path).expect("a file of vectors");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let (mut passed, mut not_yet, mut failed) = (0, BTreeMap::new(), Vec::new());
    for case in file["cases"].as_array().expect("cases") {
        let function = case["fn"].as_str().or(case["origin_test"].as_str()).unwrap_or_default();
        let function = function.split('/').next().expect("a first part");
        let run = std::panic::AssertUnwindSafe(|| run_case(case));
        match std::panic::catch_unwind(run).unwrap_or_else(|_| Verdict::Failed("panicked".to_owned())) {
            Verdict::Passed => passed += 1,
            Verdict::NotYet => *not_yet.entry(function.to_owned()).or_insert(0) += 1,
            Verdict::Failed(why) => failed.push(format!("{name} {}: {function}\n    {why}", case["id"])),
        }
    }
    let waiting: usize = not_yet.values().sum();
    println!("{name:34} {passed:4} passed {:4} failed {waiting:4} not yet covered", failed.len());
    for (function, count) in not_yet {
        println!("{:34}      not yet covered: {count} x {function}", "");
    }
    failed
}

fn folders() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os("SLICEWISE_NOS_VECTORS") {
        return vec![folder.into()];
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = root.join("../shared/reference/nos-vectors");
    if shared.is_dir() {
        return vec![root.join("tests/data/nos-vectors"), shared];
    }
    println!("{} is not here: the cases of nos' own unit tests are skipped", shared.display());
    vec![root.join("tests/data/nos-vectors")]
}

#[test]
fn decisions_are_those_of_nos() {
    let (mut seen, mut failed) = (BTreeSet::new(), Vec::new());
    for folder in folders() {
        let entries = fs::read_dir(&folder).expect("a folder of vectors");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e == "json"));
        paths.sort();
        for path in paths {
            // The shared folder has the committed files too.
            if seen.insert(path.file_name().expect("a file").to_owned()) {
                failed.extend(run_file(&path));
            }
        }
    }
    assert!(!seen.is_empty(), "no file of vectors");
    assert!(failed.is_empty(), "{} failed\n{}", failed.len(), failed.join("\n"));
}
