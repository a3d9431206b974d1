//! One GPU as nos sees it: slices by profile, used and free, and no places.
//!
//! pkg/gpu/mig/gpu.go and pkg/gpu/slicing/gpu.go; what differs between the kinds is in `mig.rs` and
//! `mps.rs`.

use super::choice::{Choices, Free};
use super::fix::{Fix, Fixes};
use super::mig::Models;
use super::names::Kind;
use super::resources::{Counts, Names};
use super::{mig, mps};
use crate::id::{ModelId, ResourceId};

/// What a GPU can be cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Card {
    /// The geometries that the table allows its model.
    Mig(ModelId),
    /// Memory, in GB as nos counts them.
    Mps {
        /// GB.
        memory_gb: i64,
    },
}

/// One GPU of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Index on the node; two GPUs may have the same ([`Fix::MissingIndex`]).
    pub index: i64,
    /// What it can be cut into.
    pub card: Card,
    /// Slices that pods hold, by profile.
    pub used: Counts,
    /// Slices that stand and are held by none.
    pub free: Counts,
}

/// What all plans of a snapshot have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup<'a> {
    pub(super) kind: Kind,
    pub(super) names: &'a Names,
    pub(super) models: &'a Models,
    pub(super) fixes: Fixes,
}

/// Slices that are asked for, by profile: one level in nos, one per priority with
/// [`Fix::PriorityBlind`], the highest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need(Vec<Counts>);

impl Need {
    /// The need of these levels.
    #[must_use]
    pub fn of(levels: impl IntoIterator<Item = Counts>) -> Need {
        Need(levels.into_iter().collect())
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Counts::is_empty)
    }

    /// Slices by level, the highest first.
    #[must_use]
    pub fn levels(&self) -> &[Counts] {
        &self.0
    }

    /// Takes off what is provided, and with it entries of which nothing is left.
    pub(super) fn take(&mut self, level: usize, name: ResourceId, count: i64) {
        self.0[level].take(name, count);
    }

    /// Takes off what a GPU provides: from the highest level first, the rest from the last.
    fn provide(&mut self, name: ResourceId, mut count: i64) {
        let Some((last, higher)) = self.0.split_last_mut() else { return };
        for level in higher {
            let part = count.min(level.get(name));
            level.take(name, part);
            count -= part;
        }
        last.take(name, count);
    }

    /// Becomes equal to `other` in the room there is.
    pub(super) fn copy(&mut self, other: &Need) {
        self.0.resize_with(other.0.len(), Counts::new);
        for (level, other) in self.0.iter_mut().zip(&other.0) {
            level.copy(other);
        }
    }
}

impl Gpu {
    /// A GPU on which nothing stands.
    #[must_use]
    pub fn empty(index: i64, card: Card) -> Gpu {
        Gpu { index, card, used: Counts::new(), free: Counts::new() }
    }

    /// Slices by profile, whatever they are doing.
    #[must_use]
    pub fn geometry(&self) -> Counts {
        let mut geometry = self.used.clone();
        geometry.add_all(&self.free);
        geometry
    }

    /// Whether the planner should look at it: something is free, or could be made free.
    pub(super) fn has_free_capacity(&self, setup: &Setup<'_>) -> bool {
        if !self.free.is_empty() {
            return true;
        }
        match self.card {
            // With nothing free, what is used is the geometry. One that is incomplete or not in the
            // table always looks free.
            Card::Mig(model) => !setup.models.allows(model, &self.used),
            Card::Mps { memory_gb } => mps::SMALLEST_GB <= mps::spare_gb(self, memory_gb, setup.names),
        }
    }

    /// Changes the free slices for what is asked for, if a change helps; says whether it did.
    pub(super) fn update(&mut self, need: &Need, setup: &Setup<'_>, choices: &mut dyn Choices) -> bool {
        match self.card {
            Card::Mig(model) => mig::update(self, model, need, setup, choices),
            Card::Mps { memory_gb } => mps::update(self, memory_gb, need, setup, choices),
        }
    }

    /// Gives a pod its slices, profiles in their default order. A refusal leaves what was moved
    /// before it moved (N4).
    pub(super) fn add_pod(&mut self, slices: &[(ResourceId, i64)], choices: &mut dyn Choices) -> bool {
        let free = |gpu: &Gpu, (profile, count): (ResourceId, i64)| count <= gpu.free.get(profile);
        if slices.iter().all(|slice| free(self, *slice)) {
            for slice in slices {
                self.hand_over(*slice);
            }
            return true;
        }
        let mut left = slices.to_vec();
        while left.iter().any(|slice| free(self, *slice)) {
            // Some are free and some are not: the order says which of the former come first.
            let slice = left.remove(choices.pick(Free::PodSlices, left.len()));
            if !free(self, slice) {
                return false;
            }
            self.hand_over(slice);
        }
        false
    }

    fn hand_over(&mut self, (profile, count): (ResourceId, i64)) {
        self.free.add(profile, -count);
        self.used.add(profile, count);
    }

    /// Becomes equal to `other` in the room there is.
    pub(super) fn copy(&mut self, other: &Gpu) {
        self.index = other.index;
        self.card = other.card;
        self.used.copy(&other.used);
        self.free.copy(&other.free);
    }
}

/// Lets each GPU in turn change for what the ones before it do not provide
/// (pkg/gpu/{mig,slicing}/node.go).
pub(super) fn update_all(
    gpus: &mut [Gpu],
    need: &mut Need,
    setup: &Setup<'_>,
    choices: &mut dyn Choices,
) -> bool {
    let mut updated = false;
    for gpu in gpus {
        updated |= gpu.update(need, setup, choices);
        for (profile, count) in gpu.free.iter() {
            need.provide(profile, count);
        }
    }
    updated
}

/// Allocatable scalars of a node whose GPUs stand so: slices of this kind are counted anew, those of
/// profiles of which none is left included; all other scalars stay.
pub(super) fn rewrite(scalars: &mut Counts, gpus: &[Gpu], setup: &Setup<'_>) {
    scalars.retain(|name| setup.names.slice(setup.kind, name).is_none());
    for map in gpus.iter().flat_map(|gpu| [&gpu.used, &gpu.free]) {
        // A profile that is no slice by its name was kept above, and is replaced all the same.
        scalars.retain(|name| !map.has(name) || setup.names.slice(setup.kind, name).is_some());
    }
    for gpu in gpus {
        scalars.add_all(&gpu.used);
        scalars.add_all(&gpu.free);
    }
}

impl Setup<'_> {
    pub(super) fn fixed(&self, fix: Fix) -> bool {
        self.fixes.has(fix)
    }
}
