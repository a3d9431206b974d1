//! What a node says of its GPUs where nos looks: labels, and the slices that stand.

use crate::cluster::{Cluster, NodeClass, Share};
use crate::gpu::Product;
use crate::id::NodeId;
use crate::partition::nos::names::{COUNT, Kind, MEMORY, MODEL, PARTITIONING};
use crate::workload::request::SliceNames;
use std::collections::BTreeMap;

/// Slices of one profile on one GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Number of the GPU on its node.
    pub gpu: u8,
    /// As nos names it: `1g.5gb`, `10gb`.
    pub profile: String,
    /// Slices that are offered.
    pub all: u32,
    /// Slices that pods hold; while a device plugin restarts they may be more than are offered.
    pub held: u32,
}

/// Labels of a node with GPUs, as NVIDIA's feature discovery writes them, with nos' own for a node that it
/// partitions. What the scenario says of a node wins: labels differ between clusters.
#[must_use]
pub fn labels(class: &NodeClass, product: &Product, kind: Option<Kind>) -> BTreeMap<String, String> {
    let discovered =
        [(MODEL, product.label()), (COUNT, class.gpus.to_string()), (MEMORY, product.memory().0.to_string())];
    let partitioning = kind.map(|kind| (PARTITIONING, kind.word().to_owned()));
    let known = discovered.into_iter().chain(partitioning);
    let own = class.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
    known.map(|(key, value)| (key.to_owned(), value)).chain(own).collect()
}

/// The MIG slices of a node that stand, and the MPS slices that it offers on demand, by GPU.
#[must_use]
pub fn standing(cluster: &Cluster, node: NodeId, names: &SliceNames) -> Vec<Standing> {
    let class = cluster.class(node);
    let mut standing = Vec::new();
    for gpu in 0..class.gpus as u8 {
        match &class.share {
            Share::Slices { slices, .. } => {
                let at = usize::from(gpu);
                let (full, free) = (cluster.gpu_full(node)[at], cluster.gpu_free(node)[at]);
                for (bit, slice) in slices.iter().enumerate().filter(|(bit, _)| full >> bit & 1 == 1) {
                    // A resource's name has a dot where a profile's has a plus.
                    let profile = names.get(slice.profile).replace('+', ".");
                    let held = u32::from(free >> bit & 1 == 0);
                    standing.push(Standing { gpu, profile, all: 1, held });
                }
            }
            Share::Sliced { .. } => {
                standing.extend(cluster.offered(node, gpu).iter().map(|slices| Standing {
                    gpu,
                    profile: format!("{}gb", slices.gb),
                    all: u32::from(slices.all),
                    held: u32::from(slices.held),
                }))
            }
            _ => {}
        }
    }
    standing
}
