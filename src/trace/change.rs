//! What a scenario does to its pods before they are replayed.
//!
//! Gangs stay whole: a gang is kept, drawn or left by its first pod. Times are rounded to the
//! nearest microsecond, which keeps their order and moves none by more than half of one; a time
//! scaled beyond 292,000 years stays there.

use super::generate::Clock;
use super::merge::Copier;
use super::spec::{Arrivals, Changes, Draw};
use crate::id::PodId;
use crate::rng::Stream;
use crate::units::{Span, Time};
use crate::workload::{Builder, Workload};
use std::ops::Range;

/// The pods of `workload` after `changes`, in the order that [`Changes`] names.
///
/// Whether `Draw::Sample` takes a pod depends on the seed and its number in `workload` alone, so
/// another window or class filter draws the same of the pods that both keep.
///
/// # Panics
/// On values that a scenario refuses: a scale that is not positive, a bootstrap's rate likewise.
#[must_use]
pub fn apply(workload: &Workload, changes: &Changes, seed: u64) -> Workload {
    let mut changed = workload.pick(&kept(workload, changes, seed));
    if let Some(window) = changes.window {
        changed.pods.iter_mut().for_each(|pod| pod.arrival = Time(pod.arrival.0 - window.from.0));
    }
    if let Some(Draw::Bootstrap { pods, arrivals }) = &changes.draw {
        changed = bootstrap(&changed, *pods, arrivals, seed);
    }
    scale(&mut changed, changes);
    changed
}

/// Numbers of the pods that pass the window, the class filter and the sample.
fn kept(workload: &Workload, changes: &Changes, seed: u64) -> Vec<u32> {
    let wanted: Vec<bool> = workload
        .classes
        .iter()
        .map(|class| changes.only_classes.is_empty() || changes.only_classes.contains(class))
        .collect();
    let mut kept = Vec::new();
    for gang in gangs(workload) {
        let first = &workload.pods[gang.start];
        let inside = changes.window.is_none_or(|window| window.holds(first.arrival));
        let drawn = match changes.draw {
            Some(Draw::Sample(share)) => Stream::new(seed, "sample", gang.start as u64).unit() < share,
            _ => true,
        };
        if inside && wanted[first.class.index()] && drawn {
            kept.extend(gang.start as u32..gang.end as u32);
        }
    }
    kept
}

/// Numbers of the pods of each gang; a pod alone is a gang of one.
pub(super) fn gangs(workload: &Workload) -> impl Iterator<Item = Range<usize>> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = next;
        let first = workload.pods.get(start)?;
        assert!(first.gang != 0, "a gang starts with its first pod");
        next += first.gang as usize;
        assert!(next <= workload.len(), "a gang is whole");
        Some(start..next)
    })
}

/// `count` draws with replacement, each a pod alone or a whole gang, under a clock of their own.
/// Draw `i` of a pod named `a` is named `a#i`.
fn bootstrap(workload: &Workload, count: u64, arrivals: &Arrivals, seed: u64) -> Workload {
    let gangs: Vec<_> = gangs(workload).collect();
    let mut builder = Builder::new();
    let copier = Copier::new(workload, &mut builder);
    let mut clock = Clock::new(arrivals, seed);
    for draw in 0..if gangs.is_empty() { 0 } else { count } {
        let arrival = clock.next();
        let drawn = Stream::new(seed, "bootstrap", draw).below(gangs.len() as u64) as usize;
        for pod in gangs[drawn].clone().map(PodId::of) {
            let name = format!("{}#{draw}", workload.names.get(pod));
            let mut row = copier.row(pod, &name);
            row.arrival = arrival;
            builder.push(&row);
        }
    }
    builder.finish()
}

fn scale(workload: &mut Workload, changes: &Changes) {
    for factor in [changes.time_scale, changes.load_scale] {
        assert!(factor.is_finite() && 0.0 < factor, "a scale is a positive number");
    }
    if changes.time_scale != 1.0 || changes.load_scale != 1.0 {
        let factor = changes.time_scale / changes.load_scale;
        workload.pods.iter_mut().for_each(|pod| pod.arrival = Time(times(pod.arrival.0, factor)));
    }
    if changes.time_scale != 1.0 {
        workload
            .truths
            .iter_mut()
            .for_each(|truth| truth.work = Span(times(truth.work.0, changes.time_scale)));
    }
    if let Some(cap) = changes.work_cap {
        workload.truths.iter_mut().for_each(|truth| truth.work = truth.work.min(cap));
    }
}

/// The product, to the nearest microsecond.
fn times(micros: u64, factor: f64) -> u64 {
    // A cast of a float beyond the range gives the end of the range.
    (libm::round(micros as f64 * factor) as u64).min(i64::MAX as u64)
}
