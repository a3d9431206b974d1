//! The judges: closed-form queueing results against the simulator, through scenarios.
//!
//! Set-up and pass rule: Poisson arrivals, mean service 1 (here 1,000 s), a server is one whole
//! GPU; 20 runs with the seeds 1 to 20, fixed beforehand, each starting empty and dropping the
//! first 10 % of its jobs. A value passes when the 99 % half-width over the runs is at most 2 % of
//! the theory's value and the theory lies in the interval at level 1 − .01/m, m the values judged in
//! the same table.
//!
//! The length of a cell's runs is a number in `lengths`, since runs that go on until they look
//! precise enough favor those whose variance happens to be low. The numbers come from runs with
//! other seeds (101 to 120): `SLICEWISE_JUDGES=pilot` prints how long each cell's runs should be for a
//! half-width of 1.5 %, which leaves room for the half-width's own chance.
//!
//! `cargo test --test judges` runs the short suite. `SLICEWISE_JUDGES=full cargo test --release
//! --test judges -- --nocapture` runs all cells that can be simulated (see each table).
#![expect(clippy::print_stdout, reason = "the tables of a full run are read by people")]

mod lengths;
mod services;
mod sharing;
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

/// Half-width at which the pilot aims.
const AIM: f64 = 0.015;

fn asked(word: &str) -> bool {
    std::env::var("SLICEWISE_JUDGES").is_ok_and(|value| value == word)
}

/// Whether all cells that can be simulated are asked for.
fn full() -> bool {
    asked("full") || asked("pilot")
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
}

/// Judges all cells of a table; complaints of all of them at once.
fn judge(table: &str, cells: &[Cell]) {
    if asked("pilot") {
        cells.iter().for_each(|cell| pilot(table, cell));
        return;
    }
    let values: usize = cells.iter().map(|cell| cell.judged.len()).sum();
    let level = 1.0 - 0.01 / values as f64;
    let mut wrong = Vec::new();
    for cell in cells {
        let jobs = lengths::of(table, &cell.name);
        let runs = runs(cell, 1, jobs);
        for judged in &cell.judged {
            let sample: Vec<f64> = runs.iter().map(|run| (judged.of)(run, judged.index)).collect();
            let narrow = t_interval(&sample, 0.99).expect("twenty runs");
            let wide = t_interval(&sample, level).expect("twenty runs");
            let right = wide.contains(judged.theory);
            let precise = narrow.half_width <= PRECISION * judged.theory;
            let line = format!(
                "{table} {} {}: theory {:.6}, simulated {:.6} ± {:.6} (99 %, {:.2} %), {}, {} jobs a run",
                cell.name,
                judged.name,
                judged.theory,
                narrow.mean,
                narrow.half_width,
                100.0 * narrow.half_width / judged.theory,
                match (right, precise) {
                    (true, true) => "ok",
                    (true, false) => "TOO COARSE",
                    (false, _) => "WRONG",
                },
                jobs
            );
            println!("{line}");
            if !(right && precise) {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {values} values of {table} fail:\n{}", wrong.len(), wrong.join("\n"));
}

/// Prints how long runs must be by runs that nobody judges: half-widths shrink with the root of it.
fn pilot(table: &str, cell: &Cell) {
    const JOBS: u64 = 200_000;
    let runs = runs(cell, 101, JOBS);
    let width = |judged: &Judged| {
        let sample: Vec<f64> = runs.iter().map(|run| (judged.of)(run, judged.index)).collect();
        t_interval(&sample, 0.99).expect("twenty runs").half_width / judged.theory
    };
    let widest = cell.judged.iter().map(width).fold(0.0, f64::max);
    let jobs = JOBS as f64 * (widest / AIM) * (widest / AIM);
    println!("{table} {}: {:.2} % with {JOBS}, so {jobs:.0} jobs a run", cell.name, 100.0 * widest);
}

/// The runs of a cell, with seeds from `first` on.
fn runs(cell: &Cell, first: u64, jobs: u64) -> Vec<Summary> {
    let seeds: Vec<u64> = (first..first + RUNS).collect();
    let scenario = scenario(&cell.yaml.replace("JOBS", &jobs.to_string()));
    replicate(&scenario, &Inputs::beside(Path::new(""), "judge"), &seeds).expect("a good scenario")
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
