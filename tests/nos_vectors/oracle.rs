//! The fast planner against the slow one, on random clusters: every kept node, placement, amount
//! lacking and desired slice must be equal, by default and under seeded choices; and on small clusters
//! the sets of outcomes that the choices can lead to.
//!
//! `cargo test` draws some thousands of clusters; `SLICEWISE_NOS_ORACLE=100000` says how many.

use super::explore::explore;
use super::slow::{self, Kept, Map, Outcome, World};
use super::worlds::{draw, lower};
use slicewise::partition::nos::names::Kind;
use slicewise::partition::nos::{Choices, First, Fixes, Names, Need, Seeded, Settings, plan};
use std::collections::BTreeSet;

fn profiles(names: &Names, kind: Kind, need: &Need) -> Map {
    let [level] = need.levels() else { return Map::new() };
    level.iter().map(|(id, count)| (names.profile_text(kind, id).to_owned(), count)).collect()
}

fn fast(world: &World, choices: &mut dyn Choices) -> Option<Outcome> {
    let (snapshot, shapes, pods) = lower(world, Fixes::NONE)?;
    let plan = plan(&snapshot, &shapes, &pods, &Settings::default(), choices);
    let names = snapshot.names();
    let kept = plan.recuts.iter().map(|recut| Kept {
        node: recut.name.clone(),
        updated: recut.updated,
        pods: recut.pods.iter().map(|pod| world.pods[*pod].name.clone()).collect(),
    });
    let desired = plan
        .state(&snapshot)
        .iter()
        .map(|(node, gpus)| {
            let mut gpus: Vec<(i64, Map)> =
                gpus.iter().map(|gpu| (gpu.index, gpu.resources.clone())).collect();
            gpus.sort();
            (node.to_owned(), gpus)
        })
        .collect();
    // Odd resources stand for profiles that begin with no prefix; both sides name them alike.
    let amounts = |need: &Need| profiles(names, world.kind, need);
    Some(Outcome {
        lacking: amounts(&plan.lacking),
        unmet: amounts(&plan.unmet),
        kept: kept.collect(),
        desired,
    })
}

fn count(default: u64) -> u64 {
    std::env::var("SLICEWISE_NOS_ORACLE").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What was seen, so that nobody draws clusters on which nothing happens.
#[derive(Debug, Default)]
struct Seen {
    unreadable: u64,
    idle: u64,
    kept: u64,
    mps: u64,
    sorted_in_blocks: u64,
    choices: u64,
}

/// Counts what is asked.
struct Counted<'a>(&'a mut dyn Choices, u64);

impl Choices for Counted<'_> {
    fn pick(&mut self, what: slicewise::partition::nos::Free, options: usize) -> usize {
        self.1 += 1;
        self.0.pick(what, options)
    }
}

#[test]
fn the_planner_equals_the_slow_one() {
    let mut seen = Seen::default();
    let clusters = count(4_000);
    for seed in 0..clusters {
        let world = draw(seed, false);
        let (by_default, expected) = (fast(&world, &mut First), slow::plan(&world, &mut First, false));
        assert_eq!(by_default, expected, "seed {seed}: {world:#?}");
        let mut counted = Seeded::new(seed, 1);
        let mut counted = Counted(&mut counted, 0);
        let seeded = fast(&world, &mut counted);
        let choices = counted.1;
        let expected = slow::plan(&world, &mut Seeded::new(seed, 1), false);
        assert_eq!(seeded, expected, "seed {seed}, seeded: {world:#?}");
        match by_default {
            None => seen.unreadable += 1,
            Some(outcome) if outcome.kept.is_empty() => seen.idle += 1,
            Some(_) => seen.kept += 1,
        }
        seen.mps += u64::from(world.kind == Kind::Mps);
        seen.sorted_in_blocks += u64::from(20 < world.pods.len());
        seen.choices += u64::from(0 < choices);
    }
    println!("{clusters} clusters: {seen:?}");
    if 1_000 < clusters {
        assert!(clusters / 5 < seen.kept && clusters / 20 < seen.idle && 0 < seen.unreadable, "{seen:?}");
        assert!(clusters / 20 < seen.sorted_in_blocks && clusters / 5 < seen.choices, "{seen:?}");
    }
}

/// The choices that are passed over change nothing: whoever is asked all of them reaches the same
/// outcomes.
#[test]
fn small_clusters_have_the_outcomes_of_the_slow_planner() {
    let (mut several, mut complete) = (0, 0);
    let clusters = count(4_000) / 4;
    for seed in 0..clusters {
        let world = draw(seed, true);
        let show = |outcome: Option<Outcome>| format!("{outcome:?}");
        let nothing = BTreeSet::new();
        let eager = explore(&|choices| show(slow::plan(&world, choices, true)), &nothing);
        if !eager.complete {
            continue;
        }
        let found = explore(&|choices| show(fast(&world, choices)), &nothing);
        assert_eq!(found.all, eager.all, "seed {seed}: {world:#?}");
        complete += 1;
        several += u64::from(1 < found.all.len());
    }
    println!("{complete} of {clusters} small clusters explored, {several} with several outcomes");
    assert!(clusters / 2 < complete && clusters / 20 < several);
}
