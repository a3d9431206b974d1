//! MPS GPUs: memory slices of any size, made from spare memory or in place of free ones.
//!
//! pkg/gpu/slicing/gpu.go and constant.go.

use super::choice::{Choices, Free, arrange};
use super::fix::Fix;
use super::gpu::{Gpu, Need, Setup};
use super::resources::{Counts, Names};
use crate::id::ResourceId;
use std::cmp::Reverse;

/// Least GB of a slice.
pub(super) const SMALLEST_GB: i64 = 1;

/// GB that no slice takes.
pub(super) fn spare_gb(gpu: &Gpu, memory_gb: i64, names: &Names) -> i64 {
    let slices = gpu.used.iter().chain(gpu.free.iter());
    let taken = slices.map(|(profile, count)| names.memory_gb(profile).saturating_mul(count));
    memory_gb.saturating_sub(taken.fold(0, i64::saturating_add))
}

/// Whether nos accepts such a GPU from annotations.
pub(super) fn is_valid(gpu: &Gpu, memory_gb: i64, names: &Names) -> bool {
    let mut profiles = gpu.used.iter().chain(gpu.free.iter());
    profiles.all(|(profile, _)| SMALLEST_GB <= names.memory_gb(profile))
        && 0 <= spare_gb(gpu, memory_gb, names)
}

/// The free slices of a GPU while they change, with the memory that is left.
struct Bench<'a> {
    free: &'a mut Counts,
    spare_gb: i64,
    names: &'a Names,
}

impl Bench<'_> {
    /// Makes `count` slices of a profile's size, or none if they do not all fit.
    fn create(&mut self, profile: ResourceId, count: i64) -> bool {
        let taken = self.names.memory_gb(profile).saturating_mul(count);
        if self.spare_gb < taken {
            return false;
        }
        self.spare_gb -= taken;
        self.free.add(self.names.created(profile), count);
        true
    }

    /// Makes as many slices as fit, up to `count`, while the smallest would; says how many.
    fn create_up_to(&mut self, profile: ResourceId, count: i64) -> i64 {
        if self.spare_gb < SMALLEST_GB {
            return 0;
        }
        let fit = match self.names.memory_gb(profile) {
            0 => count,
            size => count.min(self.spare_gb / size),
        };
        if 0 < fit {
            let created = self.create(profile, fit);
            assert!(created, "so many fit");
        }
        fit.max(0)
    }

    /// Drops all slices of a profile.
    fn drop_all(&mut self, profile: ResourceId) {
        self.spare_gb += self.names.memory_gb(profile).saturating_mul(self.free.get(profile));
        self.free.retain(|name| name != profile);
    }

    /// Drops some slices of a profile.
    fn drop_some(&mut self, profile: ResourceId, count: i64) {
        self.spare_gb += self.names.memory_gb(profile).saturating_mul(count);
        self.free.take(profile, count);
    }
}

/// Makes the slices that are asked for and not free: from spare memory, then in place of the slices
/// that were free at the beginning, which are put back as far as they still fit.
pub(super) fn update(
    gpu: &mut Gpu,
    memory_gb: i64,
    need: &Need,
    setup: &Setup<'_>,
    choices: &mut dyn Choices,
) -> bool {
    let missing = missing(gpu, need, setup, choices);
    if missing.is_empty() {
        return false;
    }
    let mut original = gpu.free.clone();
    let spare_gb = spare_gb(gpu, memory_gb, setup.names);
    let mut bench = Bench { free: &mut gpu.free, spare_gb, names: setup.names };
    let mut updated = false;
    for (profile, mut missing) in missing {
        let created = bench.create_up_to(profile, missing);
        missing -= created;
        updated |= 0 < created;
        if setup.fixed(Fix::MpsGrow) {
            if missing == 0 {
                continue;
            }
            for (standing, count) in original.iter() {
                bench.drop_some(standing, count);
            }
        } else {
            // Even if nothing is missing any more, and with the slices made just now.
            for (standing, _) in original.iter() {
                bench.drop_all(standing);
            }
        }
        updated |= 0 < bench.create_up_to(profile, missing);
        let restored = restore(&mut bench, &original, setup, choices);
        if setup.fixed(Fix::MpsGrow) {
            original = restored;
        }
    }
    updated
}

/// What is asked for beyond the free slices, in the order in which it is made: small sizes first.
fn missing(gpu: &Gpu, need: &Need, setup: &Setup<'_>, choices: &mut dyn Choices) -> Vec<(ResourceId, i64)> {
    let size = |profile: ResourceId| setup.names.memory_gb(profile);
    let mut all = Vec::new();
    for (level, wanted) in need.levels().iter().enumerate() {
        let higher = |profile| need.levels()[..level].iter().map(|above| above.get(profile)).sum::<i64>();
        let beyond = |(profile, count)| (profile, count - (gpu.free.get(profile) - higher(profile)).max(0));
        // Without higher levels the free slices count as they are, even below 0.
        let plain = |(profile, count)| (profile, count - gpu.free.get(profile));
        let miss = wanted.iter().map(|entry| if level == 0 { plain(entry) } else { beyond(entry) });
        let mut miss: Vec<(ResourceId, i64)> = miss.filter(|(_, count)| 0 < *count).collect();
        if setup.fixed(Fix::ZeroSlices) {
            miss.retain(|(profile, _)| SMALLEST_GB <= size(*profile));
        }
        miss.sort_by(|a, b| {
            let by_name = || setup.names.text(a.0).cmp(setup.names.text(b.0));
            size(a.0).cmp(&size(b.0)).then_with(by_name)
        });
        if setup.fixed(Fix::MpsRestore) {
            miss.sort_by_key(|(profile, _)| Reverse(size(*profile)));
        }
        for run in miss.chunk_by_mut(|a, b| size(a.0) == size(b.0)) {
            arrange(choices, Free::Missing, run);
        }
        all.append(&mut miss);
    }
    all
}

/// Puts the original slices back, profile by profile; says which stand again.
fn restore(bench: &mut Bench<'_>, original: &Counts, setup: &Setup<'_>, choices: &mut dyn Choices) -> Counts {
    let mut profiles: Vec<ResourceId> = original.iter().map(|(profile, _)| profile).collect();
    bench.names.sort(&mut profiles);
    let sizes = original.iter().map(|(p, count)| bench.names.memory_gb(p).saturating_mul(count));
    let all_fit = sizes.fold(0, i64::saturating_add) <= bench.spare_gb;
    // If all fit, the order is nobody's business.
    if !(all_fit && original.iter().all(|(_, count)| 0 <= count)) {
        arrange(choices, Free::Restore, &mut profiles);
    }
    let mut restored = Counts::new();
    for profile in profiles {
        let count = original.get(profile);
        if bench.create(profile, count) {
            restored.add(bench.names.created(profile), count);
        } else if setup.fixed(Fix::MpsRestore) {
            restored.add(bench.names.created(profile), bench.create_up_to(profile, count));
        }
    }
    restored
}
