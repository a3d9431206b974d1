//! From our pods and nodes to what kube-scheduler sees of them: GPUs become named resources, as the
//! device plugins of each mode advertise them.

use super::node::{Affinity, NodeSpec, Operator, Requirement, Term};
use super::resource::{Container, PodRequest, ResourceId, Resources};
use super::{Kube, Shape};
use crate::cluster::{Cluster, Share};
use crate::id::NodeId;
use crate::rng::Stream;
use crate::sched::filter::resource_name;
use crate::sched::spec::SchedulerSpec;
use crate::units::{Mib, Time};
use crate::workload::Constraint;
use crate::workload::request::{GpuRequest, Request, Unit};
use crate::workload::view::Pods;

/// Label that carries a node's GPU model, for pods of traces that name models.
const MODEL_LABEL: &str = "slicewise/gpu-model";

/// What nodes advertise of the resources that pods ask for.
#[derive(Clone, Debug)]
pub struct Offered(Vec<(GpuRequest, ResourceId)>);

/// The scheduler for `pods` on the nodes of `cluster`, with their ids and shapes, and what it must be
/// told of nodes that change. Nodes that are not there yet are known by name.
#[must_use]
pub fn scheduler(pods: &Pods<'_>, cluster: &Cluster, spec: &SchedulerSpec, seed: u64) -> (Kube, Offered) {
    let mut resources = Resources::default();
    let gpus: Vec<Option<(GpuRequest, ResourceId)>> = pods
        .requests
        .iter()
        .map(|r| r.gpu.map(|gpu| (gpu, resources.intern(&resource_name(gpu, pods.slices)))))
        .collect();
    let mut offered: Vec<(GpuRequest, ResourceId)> = gpus.iter().flatten().copied().collect();
    offered.sort_by_key(|(_, resource)| *resource);
    offered.dedup_by_key(|(_, resource)| *resource);
    let offered = Offered(offered);
    let settings = spec.settings(&mut resources);
    let mut kube = Kube::new(settings, resources, Some(Stream::new(seed, "kube-scheduler", 0)));
    for (request, gpu) in pods.requests.iter().zip(gpus) {
        kube.add_shape(shape(request, gpu, &pods.constraints[request.constraint as usize]));
    }
    for node in cluster.nodes() {
        kube.add_node(cluster.name(node).to_owned(), offered.node_spec(cluster, node), Time::ZERO);
        if !cluster.class(node).present {
            kube.remove_node(node);
        }
    }
    (kube, offered)
}

/// A demand of no CPU or no memory is a container that asks for none.
fn shape(request: &Request, gpu: Option<(GpuRequest, ResourceId)>, constraint: &Constraint) -> Shape {
    let mut requests =
        vec![(ResourceId::CPU, request.cpu.0 as i64), (ResourceId::MEMORY, bytes(request.memory))];
    requests.retain(|(_, amount)| *amount != 0);
    requests.extend(gpu.map(|(gpu, resource)| (resource, amount(gpu))));
    let of_models = Term {
        expressions: vec![Requirement {
            key: MODEL_LABEL.to_owned(),
            operator: Operator::In,
            values: constraint.models.iter().map(|model| model.to_ascii_lowercase()).collect(),
        }],
        fields: Vec::new(),
    };
    // Sums say whether a node serves whole GPUs, single replicas and slices; one GPU must hold a
    // share, and several replicas stand on several GPUs.
    let by_gpu = |gpu: GpuRequest| match gpu.unit {
        Unit::Whole | Unit::Slice(_) => false,
        Unit::Replica => 1 < gpu.count,
        Unit::Milli(_) | Unit::MemoryGb(_) => true,
    };
    Shape {
        request: PodRequest::of(&[Container { requests, restartable: false }], &[], &[]),
        tolerations: constraint.tolerations.clone(),
        affinity: Affinity {
            selector: constraint.selector.clone(),
            required: if constraint.models.is_empty() { Vec::new() } else { vec![of_models] },
            preferred: Vec::new(),
        },
        device: gpu.filter(|(gpu, _)| by_gpu(*gpu)).map(|(_, resource)| resource),
    }
}

fn bytes(memory: Mib) -> i64 {
    (memory.0 << 20) as i64
}

/// Units of its resource that a request asks for.
fn amount(gpu: GpuRequest) -> i64 {
    match gpu.unit {
        Unit::Milli(milli) => i64::from(milli) * i64::from(gpu.count),
        _ => i64::from(gpu.count),
    }
}

impl Offered {
    /// A node as kube-scheduler sees it now.
    #[must_use]
    pub fn node_spec(&self, cluster: &Cluster, node: NodeId) -> NodeSpec {
        let class = cluster.class(node);
        let mut allocatable =
            vec![(ResourceId::CPU, class.cpu.0 as i64), (ResourceId::MEMORY, bytes(class.memory))];
        for (gpu, resource) in &self.0 {
            let gpus = cluster.gpus_in_service(node) as i64;
            let all = match (gpu.unit, &class.share) {
                (Unit::Whole, Share::Whole) => gpus,
                (Unit::Milli(_), Share::Milli) => 1_000 * gpus,
                (Unit::Replica, Share::Replicas { replicas, .. }) => i64::from(*replicas) * gpus,
                // As many as one could cut from a GPU that holds nothing else.
                (Unit::MemoryGb(size), Share::Memory { gb, .. }) => i64::from(gb / size) * gpus,
                (Unit::MemoryGb(size), Share::Sliced { .. }) => {
                    // Of a GPU that is out of service there is what is held.
                    let of = |gpu: u8| {
                        let slices = cluster.offered(node, gpu).iter().find(|slices| slices.gb == size)?;
                        Some(if cluster.is_out(node, gpu) { slices.held } else { slices.all })
                    };
                    (0..class.gpus as u8).filter_map(of).map(i64::from).sum()
                }
                (Unit::Slice(profile), Share::Slices { slices, .. }) => {
                    let of = |bit: &usize| slices[*bit].profile == profile;
                    let mask = (0..slices.len()).filter(of).fold(0_u32, |mask, bit| mask | 1 << bit);
                    cluster.gpu_full(node).iter().map(|full| i64::from((full & mask).count_ones())).sum()
                }
                _ => 0,
            };
            if 0 < all {
                allocatable.push((*resource, all));
            }
        }
        let mut labels = class.labels.clone();
        if !class.model.is_empty() {
            labels.insert(MODEL_LABEL.to_owned(), class.model.to_ascii_lowercase());
        }
        NodeSpec {
            allocatable,
            pods: i64::from(class.pods),
            labels,
            taints: class.taints.clone(),
            unschedulable: class.unschedulable,
        }
    }
}
