//! The choices that nos leaves to Go's maps (N1 to N5, N7 and N8 of its non-determinism), made on
//! purpose.

use crate::rng::Stream;

/// What is free to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Free {
    /// N1: the order of a node's annotated GPUs (`GroupByGpuIndex`, pkg/gpu/annotation.go).
    GpuOrder,
    /// N2: which of the geometries with the highest score (pkg/gpu/mig/gpu.go).
    Geometry,
    /// N3: the order in which free MPS slices are put back (pkg/gpu/slicing/gpu.go).
    Restore,
    /// The order of missing MPS slices of one size (the same).
    Missing,
    /// N4: the order in which the slices of one pod are taken (`AddPod` of both kinds of GPU).
    PodSlices,
    /// N5: the slice for which a pod of several stands in a comparison
    /// (internal/partitioning/core/util.go).
    Comparison,
    /// N7: the order in which nodes are written (internal/partitioning/core/actuator.go); by name.
    Writes,
    /// N8: the order of the MIG agent's creations (internal/controllers/migagent/plan/plan.go), of which
    /// the driver's places depend; by profile.
    Creations,
}

/// Whoever decides where nos does not.
pub trait Choices {
    /// One of `options` (2 or more), counted from 0; 0 is the documented default.
    fn pick(&mut self, what: Free, options: usize) -> usize;
}

/// Always the default: GPUs by index, the first geometry of the table, slices by name.
#[derive(Clone, Copy, Debug, Default)]
pub struct First;

impl Choices for First {
    fn pick(&mut self, _: Free, _: usize) -> usize {
        0
    }
}

/// Every legal choice with equal chance, from a named stream.
#[derive(Clone, Debug)]
pub struct Seeded(Stream);

impl Seeded {
    /// The choices of plan number `plan` under `seed`.
    #[must_use]
    pub fn new(seed: u64, plan: u64) -> Seeded {
        Seeded(Stream::new(seed, "nos", plan))
    }
}

impl Choices for Seeded {
    fn pick(&mut self, _: Free, options: usize) -> usize {
        self.0.below(options as u64) as usize
    }
}

/// Puts `items` into a chosen order, one by one from the front; by default they stay as they are.
pub fn arrange<T>(choices: &mut dyn Choices, what: Free, items: &mut [T]) {
    for at in 0..items.len().saturating_sub(1) {
        let picked = choices.pick(what, items.len() - at);
        items[at..=at + picked].rotate_right(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_order_is_reached_and_the_default_changes_nothing() {
        let mut items = [1, 2, 3];
        arrange(&mut First, Free::Restore, &mut items);
        assert_eq!(items, [1, 2, 3]);
        let mut seeded = Seeded::new(1, 0);
        let orders: BTreeSet<[i32; 3]> = (0..200)
            .map(|_| {
                let mut items = [1, 2, 3];
                arrange(&mut seeded, Free::Restore, &mut items);
                items
            })
            .collect();
        assert_eq!(orders.len(), 6);
    }
}
