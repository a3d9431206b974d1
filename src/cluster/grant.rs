//! Which parts of which GPUs a pod holds, and how they are chosen.

use super::class::{Need, Share};
use super::spec::GpuChoice;
use crate::id::NodeId;

/// Which parts of which GPUs a pod holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Grant {
    /// None.
    #[default]
    None,
    /// Its units on each GPU of the mask (bit i is the node's GPU i).
    Gpus(u64),
    /// One slice.
    Slice {
        /// GPU of the node.
        gpu: u8,
        /// Index into the class's slices.
        slice: u8,
    },
    /// Several slices, as (GPU, slice). Boxed twice, so that this rare case does not make every grant 8
    /// bytes larger: a run keeps one for each pod.
    Slices(Box<Box<[(u8, u8)]>>),
}

impl Grant {
    /// The GPUs of the node that this grant touches, each once, ascending.
    pub fn gpus(&self) -> impl Iterator<Item = u8> + use<> {
        let mask = match self {
            Grant::None => 0,
            Grant::Gpus(mask) => *mask,
            Grant::Slice { gpu, .. } => 1 << gpu,
            Grant::Slices(slices) => slices.iter().fold(0, |mask, (gpu, _)| mask | 1 << gpu),
        };
        bits(mask)
    }

    /// The GPU of each unit of this grant: a GPU once for each of its slices.
    pub fn units(&self) -> impl Iterator<Item = u8> + '_ {
        let slices = match self {
            Grant::Slices(slices) => &slices[..],
            _ => &[],
        };
        let gpus = if slices.is_empty() { Some(self.gpus()) } else { None };
        gpus.into_iter().flatten().chain(slices.iter().map(|(gpu, _)| *gpu))
    }
}

/// Positions of the set bits, ascending.
pub(super) fn bits(mut mask: u64) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let bit = (mask != 0).then(|| mask.trailing_zeros() as u8)?;
        mask &= mask - 1;
        Some(bit)
    })
}

/// Where a pod goes: a decision, not yet carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The node.
    pub node: NodeId,
    /// The parts of its GPUs.
    pub grant: Grant,
}

impl Placement {
    /// Compute slices that the grant holds on `gpu`; 0 outside MIG.
    #[must_use]
    pub fn compute_slices(&self, share: &Share, gpu: u8) -> u8 {
        let Share::Slices { slices, .. } = share else { return 0 };
        match &self.grant {
            Grant::Slice { gpu: at, slice } if *at == gpu => slices[usize::from(*slice)].compute,
            Grant::Slices(held) => held
                .iter()
                .filter(|(at, _)| *at == gpu)
                .map(|(_, slice)| slices[usize::from(*slice)].compute)
                .sum(),
            _ => 0,
        }
    }
}

/// What one part of a grant takes from one GPU.
pub(super) enum Take {
    Units(u16),
    Slice(u32),
}

pub(super) fn for_each_part(need: Need, grant: &Grant, mut each: impl FnMut(usize, Take)) {
    match grant {
        Grant::None => {}
        Grant::Gpus(mask) => {
            let Need::Units { each: units, .. } = need else { unreachable!("checked by grant_matches") };
            bits(*mask).for_each(|gpu| each(usize::from(gpu), Take::Units(units)));
        }
        Grant::Slice { gpu, slice } => each(usize::from(*gpu), Take::Slice(1 << slice)),
        Grant::Slices(slices) => {
            slices.iter().for_each(|(gpu, slice)| each(usize::from(*gpu), Take::Slice(1 << slice)))
        }
    }
}

pub(super) fn grant_matches(need: Need, grant: &Grant) -> bool {
    match (need, grant) {
        (Need::None, Grant::None) => true,
        (Need::Units { count, .. }, Grant::Gpus(mask)) => mask.count_ones() == u32::from(count),
        (Need::Slices { mask, count: 1 }, Grant::Slice { slice, .. }) => mask >> slice & 1 == 1,
        (Need::Slices { mask, count }, Grant::Slices(slices)) => {
            slices.len() == usize::from(count) && slices.iter().all(|(_, slice)| mask >> slice & 1 == 1)
        }
        _ => false,
    }
}

/// The `count` best able GPUs of `gpus` as a mask: lowest number, least room or most room first.
pub(super) fn take_best(
    gpus: usize,
    count: usize,
    choice: GpuChoice,
    able: impl Fn(usize) -> bool,
    room: impl Fn(usize) -> u32,
) -> Option<u64> {
    let mut mask = 0_u64;
    for _ in 0..count {
        let rest = (0..gpus).filter(|gpu| mask >> gpu & 1 == 0 && able(*gpu));
        let best = match choice {
            GpuChoice::FirstFit => rest.min(),
            GpuChoice::BestFit => rest.min_by_key(|gpu| (room(*gpu), *gpu)),
            GpuChoice::WorstFit => rest.min_by_key(|gpu| (u32::MAX - room(*gpu), *gpu)),
        };
        mask |= 1 << best?;
    }
    Some(mask)
}
