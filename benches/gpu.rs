//! The hardware layer: a plan of one GPU, and what a hot path asks of the tables.
//!
//! Cost of a plan: the layouts of the wanted geometry (18 on average on an A100), a few word
//! operations each. `cargo bench --bench gpu`; the plans are the solvable ones among random cases
//! drawn as those of the oracle in `src/gpu/plan/tests.rs`. The median over the cases is printed
//! beside criterion's mean over all of them.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use slicewise::gpu::{Catalogue, Geometry, Mode, Places, Product, State, plan};
use slicewise::rng::Stream;
use std::hint::black_box;
use std::time::Instant;

/// One question to the planner.
type Case = (State, Places, Geometry, Mode);

/// Times each case is repeated for the median: one alone is shorter than the clock's step.
const REPEATS: u32 = 200;

fn random_case(product: &Product, draw: &mut Stream) -> Case {
    let states = product.states();
    let all: Vec<State> = states.iter().collect();
    let any = |draw: &mut Stream| all[draw.below(all.len() as u64) as usize];
    let standing = any(draw);
    let pin = draw.below(3);
    let pinned: Places = states.layout(standing).places().iter().filter(|_| draw.below(3) < pin).collect();
    let wanted: Vec<u8> = if draw.below(2) == 0 {
        let profiles = product.profiles().len() as u64;
        (0..draw.below(4)).map(|_| draw.below(profiles) as u8).collect()
    } else {
        let held: Vec<u8> = states.geometry(any(draw)).profiles().collect();
        held.into_iter().filter(|_| draw.below(2) == 0).collect()
    };
    let mode = if draw.below(2) == 0 { Mode::AtLeast } else { Mode::Exact };
    (standing, pinned, Geometry::of(wanted), mode)
}

fn solvable(product: &Product) -> Vec<Case> {
    let cases = (0..20_000).map(|case| random_case(product, &mut Stream::new(case, "plan-oracle", 0)));
    cases
        .filter(|(s, pinned, wanted, mode)| plan(product.states(), *s, *pinned, *wanted, *mode).is_ok())
        .collect()
}

fn plans(c: &mut Criterion) {
    let mut group = c.benchmark_group("plan");
    for id in ["a100-40gb", "rtx-pro-6000-blackwell-96gb"] {
        let product = Catalogue::builtin().find(id).expect("in the catalogue");
        let states = product.states();
        let cases = solvable(product);
        let ask = |(s, pinned, wanted, mode): &Case| black_box(plan(states, *s, *pinned, *wanted, *mode));
        let mut nanoseconds: Vec<u128> = cases
            .iter()
            .map(|case| {
                let start = Instant::now();
                (0..REPEATS).for_each(|_| drop(ask(black_box(case))));
                start.elapsed().as_nanos() / u128::from(REPEATS)
            })
            .collect();
        nanoseconds.sort_unstable();
        let at = |share: usize| nanoseconds[(nanoseconds.len() - 1) * share / 100];
        println!("{id}: {} cases, median {} ns, p99 {} ns, most {} ns", cases.len(), at(50), at(99), at(100));
        group.throughput(Throughput::Elements(cases.len() as u64));
        group.bench_function(id, |b| b.iter(|| cases.iter().for_each(|case| drop(ask(case)))));
    }
    group.finish();
}

fn lookups(c: &mut Criterion) {
    let product = Catalogue::builtin().find("a100-40gb").expect("in the catalogue");
    let states = product.states();
    let mut draw = Stream::new(1, "lookups", 0);
    let all: Vec<State> = states.iter().collect();
    let asked: Vec<(State, u8)> =
        (0..4096).map(|_| (all[draw.below(all.len() as u64) as usize], draw.below(7) as u8)).collect();
    let mut group = c.benchmark_group("tables");
    group.throughput(Throughput::Elements(asked.len() as u64));
    group.bench_function("free starts", |b| {
        b.iter(|| asked.iter().fold(0, |sum: u32, (s, p)| sum + u32::from(states.free_starts(*s, *p))));
    });
    group.bench_function("largest free", |b| {
        b.iter(|| {
            asked.iter().fold(0, |sum: u32, (s, _)| sum + u32::from(states.largest_free(*s).unwrap_or(9)))
        });
    });
    group.finish();
}

criterion_group!(benches, plans, lookups);
criterion_main!(benches);
