//! All the ways in which free choices can fall out.

use slicewise::partition::nos::{Choices, Free, Seeded};
use std::collections::BTreeSet;

/// Most sequences of choices that are tried out one by one.
const SEQUENCES: usize = 4_000;

/// Most seeds that are tried beyond that.
const SEEDS: u64 = 2_000;

/// A sequence of choices that is given, then the first option each time, and what was asked.
#[derive(Default)]
struct Script {
    given: Vec<usize>,
    asked: Vec<usize>,
}

impl Choices for Script {
    fn pick(&mut self, _: Free, options: usize) -> usize {
        let picked = self.given.get(self.asked.len()).copied().unwrap_or(0);
        self.asked.push(options);
        picked
    }
}

impl Script {
    /// The next sequence in lexicographic order.
    fn next(&self) -> Option<Script> {
        let mut given = self.given.clone();
        given.resize(self.asked.len(), 0);
        let last = (0..given.len()).rev().find(|at| given[*at] + 1 < self.asked[*at])?;
        given.truncate(last + 1);
        given[last] += 1;
        Some(Script { given, asked: Vec::new() })
    }
}

/// What comes out, with the default first.
pub(crate) struct Outcomes {
    pub(crate) default: String,
    pub(crate) all: BTreeSet<String>,
    /// Whether every sequence was tried.
    pub(crate) complete: bool,
}

/// Runs `answer` under every sequence of choices, or under seeds until all of `wanted` were seen.
pub(crate) fn explore(answer: &dyn Fn(&mut dyn Choices) -> String, wanted: &BTreeSet<String>) -> Outcomes {
    let mut script = Script::default();
    let default = answer(&mut script);
    let mut all = BTreeSet::from([default.clone()]);
    for _ in 0..SEQUENCES {
        let Some(next) = script.next() else { return Outcomes { default, all, complete: true } };
        script = next;
        all.insert(answer(&mut script));
    }
    for seed in 0..SEEDS {
        if wanted.is_subset(&all) {
            break;
        }
        all.insert(answer(&mut Seeded::new(seed, 0)));
    }
    Outcomes { default, all, complete: false }
}

/// What seeds lead to, until all of `wanted` were seen.
pub(crate) fn by_seeds(
    answer: &dyn Fn(&mut dyn Choices) -> String,
    wanted: &BTreeSet<String>,
) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for seed in 0..SEEDS {
        if wanted.is_subset(&all) {
            break;
        }
        all.insert(answer(&mut Seeded::new(seed, 0)));
    }
    all
}
