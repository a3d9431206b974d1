//! MIG GPUs: geometries from a table, chosen by how many of the slices asked for they provide.
//!
//! pkg/gpu/mig/gpu.go. Places are not modelled: whether a geometry can stand beside the slices in
//! use is found out by the node's agent.

use super::choice::{Choices, Free};
use super::fix::Fix;
use super::gpu::{Gpu, Need, Setup};
use super::names::Kind;
use super::resources::{Counts, Names};
use super::table::{Geometry, Tables};
use crate::gpu::State;
use crate::id::ModelId;
use rustc_hash::FxHashMap;

/// A geometry and the first of the table that is equal to it.
#[derive(Clone, Debug)]
struct Candidate {
    slices: Counts,
    first: usize,
}

/// The table of geometries with its profiles interned.
#[derive(Clone, Debug, Default)]
pub(super) struct Models {
    names: Vec<String>,
    /// Of the models by name, then of GPUs with places.
    candidates: Vec<Vec<Candidate>>,
    placed: FxHashMap<PlacedKey, ModelId>,
}

/// GPUs of equal tables: product id, what stands, and the places in use.
pub(super) type PlacedKey = (String, State, u64);

impl Models {
    pub(super) fn new(tables: &Tables, names: &mut Names) -> Models {
        let mut models = Models::default();
        for (model, geometries) in tables.iter() {
            models.names.push(model.to_owned());
            models.add(geometries.iter().map(|geometry| intern(geometry, names)));
        }
        models
    }

    fn add(&mut self, geometries: impl Iterator<Item = Counts>) -> ModelId {
        let mut candidates: Vec<Candidate> = Vec::new();
        for (at, slices) in geometries.enumerate() {
            let first = candidates.iter().position(|c| c.slices == slices).unwrap_or(at);
            candidates.push(Candidate { slices, first });
        }
        self.candidates.push(candidates);
        ModelId::of(self.candidates.len() - 1)
    }

    /// The table of GPUs with places.
    pub(super) fn placed(&self, key: &PlacedKey) -> Option<ModelId> {
        self.placed.get(key).copied()
    }

    /// Adds the table of GPUs with places.
    pub(super) fn add_placed(&mut self, key: PlacedKey, geometries: Vec<Counts>) -> ModelId {
        let model = self.add(geometries.into_iter());
        self.placed.insert(key, model);
        model
    }

    /// The model of a name, verbatim.
    pub(super) fn find(&self, name: &str) -> Option<ModelId> {
        self.names.iter().position(|n| n == name).map(ModelId::of)
    }

    /// Whether a geometry is one of the table, entry by entry.
    pub(super) fn allows(&self, model: ModelId, geometry: &Counts) -> bool {
        self.candidates[model.index()].iter().any(|c| c.slices == *geometry)
    }

    /// The geometry that GPUs begin with: the first of those with the fewest distinct profiles.
    pub(super) fn initial(&self, model: ModelId) -> Option<&Counts> {
        self.candidates[model.index()].iter().map(|c| &c.slices).min_by_key(|slices| slices.len())
    }
}

pub(super) fn intern(geometry: &Geometry, names: &mut Names) -> Counts {
    geometry.iter().map(|(profile, count)| (names.profile(Kind::Mig, profile), *count)).collect()
}

/// Whether a geometry has all the slices that are used.
fn keeps_used(slices: &Counts, gpu: &Gpu) -> bool {
    gpu.used.iter().all(|(profile, used)| used <= slices.get(profile))
}

/// Makes the GPU's geometry this one of the table; not if a used slice has no place in it.
pub(super) fn apply(gpu: &mut Gpu, slices: &Counts) -> bool {
    if !keeps_used(slices, gpu) {
        return false;
    }
    gpu.free.clear();
    for (profile, count) in slices.iter() {
        gpu.free.add(profile, count - gpu.used.get(profile));
    }
    true
}

/// Applies the best geometry for what is asked for, if any provides some of it.
pub(super) fn update(
    gpu: &mut Gpu,
    model: ModelId,
    need: &Need,
    setup: &Setup<'_>,
    choices: &mut dyn Choices,
) -> bool {
    let fixed = setup.fixed(Fix::MigScore);
    let is_open = |gpu: &Gpu| {
        let open = |level: &Counts| level.iter().any(|(profile, count)| gpu.free.get(profile) < count);
        need.levels().iter().any(open)
    };
    if !is_open(gpu) {
        return false;
    }
    let candidates = &setup.models.candidates[model.index()];
    let levels = need.levels().len();
    let mut scores = vec![0; candidates.len() * levels];
    for (at, candidate) in candidates.iter().enumerate() {
        if !keeps_used(&candidate.slices, gpu) || (fixed && candidate.first != at) {
            continue;
        }
        let row = &mut scores[candidate.first * levels..][..levels];
        let provided = |profile| candidate.slices.get(profile) - gpu.used.get(profile);
        let counts = |profile, count| fixed || gpu.free.get(profile) < count;
        add_scores(row, need, provided, counts);
    }
    let row = |at: usize| &scores[at * levels..][..levels];
    let best = (0..candidates.len()).map(row).max().unwrap_or(&[]);
    let mut floor = vec![0; levels];
    if fixed {
        // What the free slices provide as they are.
        add_scores(&mut floor, need, |profile| gpu.free.get(profile), |_, _| true);
    }
    if best <= floor.as_slice() {
        return false;
    }
    let tied: Vec<usize> = (0..candidates.len()).filter(|at| row(*at) == best).collect();
    let chosen = if tied.len() == 1 { 0 } else { choices.pick(Free::Geometry, tied.len()) };
    let applied = apply(gpu, &candidates[tied[chosen]].slices);
    assert!(applied, "only geometries that keep the used slices are scored");
    true
}

/// Adds, level by level, how many of the slices asked for are provided; a slice serves one level.
fn add_scores(
    row: &mut [i64],
    need: &Need,
    provided: impl Fn(crate::id::ResourceId) -> i64,
    counts: impl Fn(crate::id::ResourceId, i64) -> bool,
) {
    for (level, wanted) in need.levels().iter().enumerate() {
        for (profile, count) in wanted.iter().filter(|(profile, count)| counts(*profile, *count)) {
            let higher: i64 = need.levels()[..level].iter().map(|above| above.get(profile)).sum();
            row[level] += (provided(profile) - higher).min(count).max(0);
        }
    }
}
