//! The judges: closed-form queueing results against the simulator, through scenarios.
//!
//! Set-up and pass rule: Poisson arrivals, mean service 1 (here 1,000 s), a server is one whole
//! GPU; 20 runs with the seeds 1 to 20, fixed beforehand, each starting empty and dropping the
//! first 10 % of its jobs. A value passes when the 99 % half-width over the runs is at most 2 % of
//! the theory's value and the theory lies in the interval at level 1 − .01/m, m the values judged in
//! the same table. Runs are lengthened until the half-width is met, looking at nothing else; no
//! seed is ever changed.
//!
//! `cargo test --test judges` runs the short suite. `SLICEWISE_JUDGES=full cargo test --release
//! --test judges -- --nocapture` runs all cells that can be simulated (see each table).
#![expect(clippy::print_stdout, reason = "the tables of a full run are read by people")]

mod tables;

use slicewise::experiment::{Inputs, replicate};
use slicewise::metrics::Summary;
use slicewise::scenario::resolved::Scenario;
use slicewise::scenario::{Known, load};
use slicewise::sched::score;
use slicewise::stats::sample::t_interval;
use std::collections::BTreeMap;
use std::path::Path;

/// Runs of each cell.
const RUNS: u64 = 20;

/// Largest relative half-width at 99 %.
const PRECISION: f64 = 0.02;

/// Jobs of one run beyond which a cell counts as too long to judge, which is a failure.
const JOBS_MAX: u64 = 8_000_000;

/// Whether all cells that can be simulated are asked for.
fn full() -> bool {
    std::env::var("SLICEWISE_JUDGES").is_ok_and(|value| value == "full")
}

/// A figure of a run that theory knows.
struct Judged {
    name: String,
    theory: f64,
    of: fn(&Summary, usize) -> f64,
    /// Passed to `of`: which class, say.
    index: usize,
}

/// One scenario and what is judged of it.
struct Cell {
    name: String,
    /// Scenario with `JOBS` where the number of jobs stands.
    yaml: String,
    judged: Vec<Judged>,
    /// Jobs of each run at first.
    jobs: u64,
}

/// Judges all cells of a table; complaints of all of them at once.
fn judge(table: &str, cells: &[Cell]) {
    let values: usize = cells.iter().map(|cell| cell.judged.len()).sum();
    let level = 1.0 - 0.01 / values as f64;
    let mut wrong = Vec::new();
    for cell in cells {
        let (jobs, runs) = runs_of(cell);
        for judged in &cell.judged {
            let sample: Vec<f64> = runs.iter().map(|run| (judged.of)(run, judged.index)).collect();
            let narrow = t_interval(&sample, 0.99).expect("twenty runs");
            let wide = t_interval(&sample, level).expect("twenty runs");
            let verdict = if wide.contains(judged.theory) { "ok" } else { "WRONG" };
            let line = format!(
                "{table} {} {}: theory {:.6}, simulated {:.6} ± {:.6} (99 %), {verdict}, {jobs} jobs a run",
                cell.name, judged.name, judged.theory, narrow.mean, narrow.half_width
            );
            println!("{line}");
            if !wide.contains(judged.theory) || PRECISION * judged.theory < narrow.half_width {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {values} values of {table} fail:\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs of a cell, long enough that every judged value is as precise as the rule asks.
fn runs_of(cell: &Cell) -> (u64, Vec<Summary>) {
    let seeds: Vec<u64> = (1..=RUNS).collect();
    let mut jobs = cell.jobs;
    loop {
        let scenario = scenario(&cell.yaml.replace("JOBS", &jobs.to_string()));
        let runs =
            replicate(&scenario, &Inputs::beside(Path::new(""), "judge"), &seeds).expect("a good scenario");
        let precise = cell.judged.iter().all(|judged| {
            let sample: Vec<f64> = runs.iter().map(|run| (judged.of)(run, judged.index)).collect();
            let interval = t_interval(&sample, 0.99).expect("twenty runs");
            interval.half_width <= PRECISION * judged.theory
        });
        if precise || JOBS_MAX < jobs {
            return (jobs, runs);
        }
        jobs = jobs * 3 / 2;
    }
}

fn scenario(yaml: &str) -> Scenario {
    let none = BTreeMap::new();
    let known = Known::builtin(&score::BUILT_IN, &none);
    let (file, warnings) = load(yaml, "judge.yaml", &known).unwrap_or_else(|errors| {
        panic!("{}\n{yaml}", errors.iter().map(|e| e.render(false)).collect::<Vec<_>>().join("\n"))
    });
    assert!(warnings.is_empty(), "{warnings:?}");
    file.variants.into_iter().next().expect("a file has a variant")
}
