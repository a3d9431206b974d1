//! Random plans, each of a kind that a format can carry, or of any kind.

use crate::Numbers;
use slicewise::formats::{Cut, Format, GpuPlan, MpsSlice, NodePlan, Plan};
use slicewise::gpu::{Catalogue, Layout, Product};

/// Kinds of cuts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Whole,
    Mig,
    Counts,
    Mps,
    Replicas,
    Time,
}

/// What one format can carry.
struct Carries {
    kinds: &'static [Kind],
    /// All GPUs of a node alike.
    alike: bool,
    /// Only names without attributes.
    plain: bool,
    nodes: usize,
    uuids: bool,
}

fn carries(format: Format) -> Carries {
    use Kind::{Counts, Mig, Mps, Replicas, Time, Whole};
    let base = Carries { kinds: &[Whole, Mig, Counts], alike: false, plain: false, nodes: 3, uuids: false };
    match format {
        Format::MigParted | Format::GpuOperator => base,
        Format::Checkpoint => Carries { nodes: 1, uuids: true, ..base },
        Format::NosGeometries => Carries { kinds: &[Mig, Counts], plain: true, ..base },
        Format::NosAnnotations => Carries { kinds: &[Mig, Counts, Mps], plain: true, ..base },
        Format::NvidiaPlugin => Carries { kinds: &[Whole, Replicas, Time], alike: true, ..base },
        Format::NebulyPlugin => Carries { kinds: &[Whole, Mps, Time], ..base },
        Format::DraClaims => Carries { kinds: &[Whole, Mig, Counts, Mps, Replicas, Time], ..base },
        Format::DraClasses => Carries { kinds: &[Mig, Counts], ..base },
        Format::NvidiaSmi => Carries { uuids: true, ..base },
    }
}

/// A layout with at least one slice.
fn layout(product: &Product, plain: bool, numbers: &mut Numbers) -> Layout {
    let states = product.states();
    loop {
        let state = states.iter().nth(numbers.below(states.len())).expect("a layout");
        let layout = states.layout(state);
        let named = |s: &slicewise::gpu::Slice| !product.at(s.profile).name().contains(['+', '-']);
        if !layout.is_empty() && (!plain || layout.slices(product).iter().all(named)) {
            return layout;
        }
    }
}

fn cut(product: &Product, kind: Kind, one_size: bool, plain: bool, numbers: &mut Numbers) -> Cut {
    let memory = product.memory_gb();
    match kind {
        Kind::Whole => Cut::Whole,
        Kind::Mig => Cut::Mig(layout(product, plain, numbers)),
        Kind::Counts => Cut::Counts(layout(product, plain, numbers).geometry(product)),
        Kind::Mps => {
            let mut slices: Vec<MpsSlice> = Vec::new();
            let mut left = memory;
            for _ in 0..if one_size { 1 } else { 1 + numbers.below(3) } {
                if left == 0 {
                    break;
                }
                let gb = 1 + numbers.below(usize::from(left)) as u16;
                let count = 1 + numbers.below(usize::from(left / gb)) as u16;
                if !slices.iter().any(|s| s.gb == gb) {
                    left -= gb * count;
                    slices.push(MpsSlice { gb, count });
                }
            }
            Cut::Mps(slices)
        }
        Kind::Replicas => {
            Cut::MpsReplicas(2 + numbers.below(usize::from(product.mps().plugin_replicas) - 1) as u16)
        }
        Kind::Time => Cut::TimeSlices(2 + numbers.below(20) as u16),
    }
}

/// A plan that the format can carry.
pub(crate) fn that(format: Format, seed: u64) -> Plan<'static> {
    let numbers = &mut Numbers(seed);
    let carries = carries(format);
    let products: Vec<&Product> = Catalogue::builtin().iter().collect();
    let nodes = 1 + numbers.below(carries.nodes);
    let node = |index: usize| {
        let kind = *numbers.one(carries.kinds);
        let of_mig = matches!(format, Format::Checkpoint | Format::NvidiaSmi);
        let wants_mig = matches!(kind, Kind::Mig | Kind::Counts) || of_mig;
        let wants_ids = format == Format::NvidiaSmi;
        let fits = |p: &&&Product| {
            (!wants_mig || p.is_mig()) && (!wants_ids || p.profiles().iter().all(|q| q.id().is_some()))
        };
        let product = *numbers.one(&products.iter().filter(fits).copied().collect::<Vec<_>>());
        // Whole GPUs and slices may stand side by side; MPS and MIG may not.
        let mixes = wants_mig && carries.kinds.contains(&Kind::Whole) && !carries.alike;
        let one_size = format == Format::DraClaims;
        let first = cut(product, kind, one_size, carries.plain, numbers);
        let alike = carries.alike || !matches!(kind, Kind::Mig | Kind::Counts | Kind::Mps);
        let gpus = 1 + numbers.below(8);
        let cuts: Vec<Cut> = (0..gpus)
            .map(|gpu| match (gpu, alike, numbers.below(4)) {
                (0, ..) | (_, true, _) | (_, _, 0) => first.clone(),
                (_, _, 1) if mixes => Cut::Whole,
                _ => cut(product, kind, one_size, carries.plain, numbers),
            })
            .collect();
        let uuid = |gpu| carries.uuids.then(|| format!("GPU-{seed:08x}-{index}-{gpu}"));
        let gpus = cuts.into_iter().enumerate().map(|(gpu, cut)| GpuPlan { uuid: uuid(gpu), cut }).collect();
        NodePlan { name: format!("node-{index}"), product, gpus }
    };
    Plan { nodes: (0..nodes).map(node).collect() }
}

/// A plan of any kind, which a format may or may not carry.
pub(crate) fn any(seed: u64) -> Plan<'static> {
    let numbers = &mut Numbers(seed ^ 0x5151);
    let products: Vec<&Product> = Catalogue::builtin().iter().collect();
    let node = |index: usize| {
        let product = *numbers.one(&products);
        let gpus = (0..1 + numbers.below(3))
            .map(|gpu| {
                use Kind::{Counts, Mig, Mps, Replicas, Time, Whole};
                let kinds: &[Kind] = if product.is_mig() {
                    &[Whole, Mig, Counts, Mps, Replicas, Time]
                } else {
                    &[Whole, Mps, Replicas, Time]
                };
                let cut = cut(product, *numbers.one(kinds), false, false, numbers);
                GpuPlan { uuid: (numbers.below(2) == 0).then(|| format!("GPU-{index}-{gpu}")), cut }
            })
            .collect();
        NodePlan { name: format!("n{index}"), product, gpus }
    };
    Plan { nodes: (0..1 + Numbers(seed).below(2)).map(node).collect() }
}
