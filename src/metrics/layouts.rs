//! The distinct MIG layouts that GPUs went through: what a real device can be asked before anybody relies on
//! a run.

use crate::cluster::{Cluster, Share};
use crate::id::NodeId;
use crate::record::{Observer, Record};
use crate::units::Time;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A layout that stood on some GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenLayout {
    /// The GPU's model, as the cluster names it.
    pub product: String,
    /// Slices with their places, such as `3g.20gb@4`.
    pub slices: Vec<String>,
    /// How often a GPU came to it, the start included.
    pub times: u64,
}

/// A fold over records into the layouts of all GPUs.
#[derive(Debug)]
pub struct Layouts {
    cluster: Cluster,
    /// Nodes whose device plugin restarts: what they offer meanwhile is not what stands.
    down: BTreeSet<NodeId>,
    /// By class and slices of its table.
    seen: BTreeMap<(usize, u32), u64>,
}

impl Layouts {
    /// The layouts of a cluster as it is at the start.
    #[must_use]
    pub fn new(cluster: &Cluster) -> Layouts {
        let mut layouts = Layouts { cluster: cluster.clone(), down: BTreeSet::new(), seen: BTreeMap::new() };
        for node in cluster.nodes() {
            layouts.see_all(node);
        }
        layouts
    }

    fn see_all(&mut self, node: NodeId) {
        let class = self.cluster.class(node);
        if class.present && matches!(class.share, Share::Slices { .. }) {
            for gpu in 0..usize::from(class.gpus) {
                self.see(node, self.cluster.gpu_full(node)[gpu]);
            }
        }
    }

    fn see(&mut self, node: NodeId, standing: u32) {
        if standing != 0 {
            *self.seen.entry((self.cluster.class_index(node), standing)).or_default() += 1;
        }
    }

    /// The layouts, by product and slices.
    #[must_use]
    pub fn seen(&self) -> Vec<SeenLayout> {
        let mut by_text: BTreeMap<(String, Vec<String>), u64> = BTreeMap::new();
        for ((class, standing), times) in &self.seen {
            let class = &self.cluster.classes()[*class];
            let Share::Slices { slices, .. } = &class.share else { continue };
            let stands = slices.iter().enumerate().filter(|(bit, _)| standing >> bit & 1 == 1);
            let labels = stands.map(|(_, slice)| slice.label.clone()).collect();
            *by_text.entry((class.model.clone(), labels)).or_default() += times;
        }
        let layout = |((product, slices), times)| SeenLayout { product, slices, times };
        by_text.into_iter().map(layout).collect()
    }
}

impl Observer for Layouts {
    fn record(&mut self, _: Time, record: Record<'_>) {
        match record {
            Record::NodeChanged { node, class } => {
                let was_present = self.cluster.class(node).present;
                self.cluster.set_class(node, class);
                if !was_present {
                    self.see_all(node);
                }
            }
            Record::Recut { node, gpu, standing } => {
                self.cluster.recut(node, gpu, standing);
                if !self.down.contains(&node) {
                    self.see(node, standing);
                }
            }
            Record::Plugin { node, up } => {
                _ = if up { self.down.remove(&node) } else { self.down.insert(node) };
            }
            _ => {}
        }
    }
}
