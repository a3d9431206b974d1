//! Filters: can this node take this pod, and if not, why.
//!
//! The order and the wording are kube-scheduler's (v1.35): taints, node affinity, then resources;
//! a node stops at the first filter that refuses, and the resource filter names everything that is
//! short. GPU units are extended resources under the name that the mode advertises.

use super::bound::REFUSED;
use crate::cluster::spec::GpuChoice;
use crate::cluster::{Cluster, Need, NodeClass, Placement, StaticRefusal, cut};
use crate::id::NodeId;
use crate::record::{Counted, ReasonId, Reasons};
use crate::workload::Constraint;
use crate::workload::request::{GpuRequest, Request, SliceNames, Unit};

/// Why a node refuses: a set of reasons, empty when it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusal(pub u8);

impl Refusal {
    const TAINT: u8 = 1;
    const AFFINITY: u8 = 1 << 1;
    const MODEL: u8 = 1 << 2;
    const PODS: u8 = 1 << 3;
    const CPU: u8 = 1 << 4;
    const MEMORY: u8 = 1 << 5;
    const GPU: u8 = 1 << 6;
    const CORDON: u8 = 1 << 7;

    /// The node is not there: it says nothing, and no message counts it.
    pub const ABSENT: u8 = u8::MAX;

    /// Whether the node takes the pod.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// Whether pods of these shapes find room together on a cluster, each where `find` puts it beside those
/// before it.
pub fn fit_together<'s>(
    shapes: impl IntoIterator<Item = &'s Shape>,
    mut cluster: Cluster,
    choice: GpuChoice,
    mut find: impl FnMut(&Shape, &Cluster) -> Option<NodeId>,
) -> bool {
    shapes.into_iter().all(|shape| {
        let Some(node) = find(shape, &cluster) else { return false };
        let need = shape.need(cluster.class_index(node));
        let grant = cluster.choose(node, need, choice).expect("the filter passed this node");
        cluster.bind(&shape.request, &Placement { node, grant });
        true
    })
}

/// A request prepared for every node class: pods of one shape are equal to all filters and scores.
#[derive(Clone, Debug)]
pub struct Shape {
    /// What is asked for.
    pub request: Request,
    by_class: Vec<(Refusal, Need)>,
    fits_empty: bool,
}

impl Shape {
    /// Prepares `request` under `constraint` for `classes`.
    #[must_use]
    pub fn new(request: &Request, constraint: &Constraint, classes: &[NodeClass]) -> Shape {
        let by_class: Vec<_> = classes
            .iter()
            .map(|class| {
                let refusal = match class.admits(constraint) {
                    Ok(()) => 0,
                    Err(StaticRefusal::Absent) => Refusal::ABSENT,
                    Err(StaticRefusal::Cordon) => Refusal::CORDON,
                    Err(StaticRefusal::Taint) => Refusal::TAINT,
                    Err(StaticRefusal::Affinity) => Refusal::AFFINITY,
                    Err(StaticRefusal::Model) => Refusal::MODEL,
                };
                (Refusal(refusal), class.need(request.gpu))
            })
            .collect();
        let mut shape = Shape { request: *request, by_class, fits_empty: false };
        shape.fits_empty =
            (0..classes.len()).any(|class| shape.refusal_of_class(class, &classes[class]).is_none());
        shape
    }

    /// What the request takes from the GPUs of a node class.
    #[must_use]
    pub fn need(&self, class: usize) -> Need {
        self.by_class[class].1
    }

    /// Whether some node takes the pod while it is empty.
    #[must_use]
    pub fn fits_empty(&self) -> bool {
        self.fits_empty
    }

    /// Why an empty node of a class refuses.
    fn refusal_of_class(&self, index: usize, class: &NodeClass) -> Refusal {
        let (fixed, need) = self.by_class[index];
        let gpus = match need {
            Need::None => true,
            Need::Never => false,
            Need::Units { each, count } => u32::from(each) <= class.full() && count <= class.gpus,
            Need::Slices { mask, count } => u32::from(count) <= mask.count_ones() * u32::from(class.gpus),
        };
        let request = &self.request;
        resources(fixed, 0 < class.pods, request.cpu <= class.cpu, request.memory <= class.memory, gpus)
    }

    /// Why `node` refuses now. *O*(GPUs of the node).
    #[must_use]
    pub fn refusal(&self, cluster: &Cluster, node: NodeId) -> Refusal {
        let (fixed, need) = self.by_class[cluster.class_index(node)];
        if !fixed.is_none() {
            return fixed;
        }
        let cpu = self.request.cpu <= cluster.cpu_free(node);
        let memory = self.request.memory <= cluster.memory_free(node);
        resources(fixed, 0 < cluster.pods_free(node), cpu, memory, cluster.gpus_serve(node, need))
    }
}

impl Shape {
    /// Why each node refuses now, in node order, as bits of [`Refusal`]: the same as
    /// [`Shape::refusal`] for every node, a run of equal nodes at a time.
    pub fn refusals(&self, cluster: &Cluster, out: &mut Vec<u8>) {
        out.clear();
        out.resize(cluster.len(), 0);
        let (cpu, memory) = (cut(self.request.cpu.0), cut(self.request.memory.0));
        for run in cluster.runs() {
            let (fixed, need) = self.by_class[run.class];
            let out = &mut out[run.nodes.clone()];
            if !fixed.is_none() {
                out.fill(fixed.0);
                continue;
            }
            let cpus = &cluster.cpus_free()[run.nodes.clone()];
            let memories = &cluster.memories_free()[run.nodes.clone()];
            let pods = &cluster.pod_slots_free()[run.nodes.clone()];
            for (((out, cpu_free), memory_free), pods_free) in
                out.iter_mut().zip(cpus).zip(memories).zip(pods)
            {
                // Without branches, so that several nodes are compared at once.
                *out = u8::from(*pods_free == 0) * Refusal::PODS
                    + u8::from(*cpu_free < cpu) * Refusal::CPU
                    + u8::from(*memory_free < memory) * Refusal::MEMORY;
            }
            if need != Need::None {
                for (index, out) in run.nodes.clone().zip(out) {
                    let serves = cluster.gpus_serve(NodeId::of(index), need);
                    *out |= u8::from(!serves) * Refusal::GPU;
                }
            }
        }
    }
}

impl Shape {
    /// Sets the bound of every node that refuses to [`REFUSED`].
    pub(super) fn mask(&self, cluster: &Cluster, bounds: &mut [f32]) {
        let (cpu, memory) = (cut(self.request.cpu.0), cut(self.request.memory.0));
        for run in cluster.runs() {
            let (fixed, need) = self.by_class[run.class];
            let bounds = &mut bounds[run.nodes.clone()];
            if !fixed.is_none() || need == Need::Never {
                bounds.fill(REFUSED);
                continue;
            }
            let cpus = &cluster.cpus_free()[run.nodes.clone()];
            let memories = &cluster.memories_free()[run.nodes.clone()];
            let pods = &cluster.pod_slots_free()[run.nodes.clone()];
            for (((bound, cpu_free), memory_free), pods_free) in
                bounds.iter_mut().zip(cpus).zip(memories).zip(pods)
            {
                // Without branches, so that several nodes are compared at once.
                let fits = (cpu <= *cpu_free) & (memory <= *memory_free) & (*pods_free != 0);
                *bound = if fits { *bound } else { REFUSED };
            }
            if need != Need::None {
                for (index, bound) in run.nodes.clone().zip(bounds) {
                    if *bound != REFUSED && !cluster.gpus_serve(NodeId::of(index), need) {
                        *bound = REFUSED;
                    }
                }
            }
        }
    }
}

fn resources(fixed: Refusal, pods: bool, cpu: bool, memory: bool, gpus: bool) -> Refusal {
    if !fixed.is_none() {
        return fixed;
    }
    let bit = |fits: bool, reason: u8| if fits { 0 } else { reason };
    Refusal(
        bit(pods, Refusal::PODS)
            | bit(cpu, Refusal::CPU)
            | bit(memory, Refusal::MEMORY)
            | bit(gpus, Refusal::GPU),
    )
}

/// The resource name under which a mode advertises what is asked for.
#[must_use]
pub fn resource_name(gpu: GpuRequest, slices: &SliceNames) -> String {
    match gpu.unit {
        Unit::Whole => "nvidia.com/gpu".to_owned(),
        Unit::Replica => "nvidia.com/gpu.shared".to_owned(),
        Unit::MemoryGb(gb) => format!("nvidia.com/gpu-{gb}gb"),
        // `+` cannot stand in a resource name; the device plugin writes `.`.
        Unit::Slice(slice) => format!("nvidia.com/mig-{}", slices.get(slice).replace('+', ".")),
        Unit::Milli(_) => "gpu-milli".to_owned(),
    }
}

/// The FailedScheduling message: nodes counted by reason, a node once in each of its reasons. `nodes`
/// are those that are there.
pub fn message(
    counts: &[(u8, u32)],
    request: &Request,
    slices: &SliceNames,
    nodes: usize,
    reasons: &mut Reasons,
) -> ReasonId {
    let gpu =
        request.gpu.map_or_else(String::new, |gpu| format!("Insufficient {}", resource_name(gpu, slices)));
    let texts: [(u8, &str); 8] = [
        (Refusal::CORDON, "node(s) were unschedulable"),
        (Refusal::TAINT, "node(s) had untolerated taint(s)"),
        (Refusal::AFFINITY, "node(s) didn't match Pod's node affinity/selector"),
        (Refusal::MODEL, "node(s) had no GPU of an allowed model"),
        (Refusal::PODS, "Too many pods"),
        (Refusal::CPU, "Insufficient cpu"),
        (Refusal::MEMORY, "Insufficient memory"),
        (Refusal::GPU, &gpu),
    ];
    let mut counted = Counted { nodes, ..Counted::default() };
    for (bit, text) in texts {
        let count: u32 = counts.iter().filter(|(mask, _)| mask & bit != 0).map(|(_, n)| n).sum();
        if 0 < count {
            counted.reasons.push((reasons.word(text), count as usize));
        }
    }
    if counted.reasons.is_empty() {
        counted.reasons.push((reasons.word("the members of the gang do not fit at the same time"), 0));
    }
    reasons.count(&counted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Mib, MilliCpu};

    #[test]
    fn messages_count_a_node_once_in_each_reason_and_sort_as_text() {
        let request = Request {
            cpu: MilliCpu(1),
            memory: Mib(1),
            gpu: Some(GpuRequest { unit: Unit::MemoryGb(10), count: 1 }),
            constraint: 0,
        };
        let counts = [(Refusal::CPU | Refusal::GPU, 2), (Refusal::GPU, 8), (Refusal::TAINT, 1)];
        let mut reasons = Reasons::default();
        let id = message(&counts, &request, &SliceNames::default(), 11, &mut reasons);
        assert_eq!(
            reasons.text(id),
            "0/11 nodes are available: 1 node(s) had untolerated taint(s), 10 Insufficient nvidia.com/gpu-10gb, 2 Insufficient cpu."
        );
    }
}
