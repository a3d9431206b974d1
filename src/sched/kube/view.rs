//! From our pods and nodes to what kube-scheduler sees of them: GPUs become named resources, as the
//! device plugins of each mode advertise them.

use super::node::{Affinity, NodeSpec, Operator, Requirement, Term};
use super::resource::{Container, PodRequest, ResourceId, Resources};
use super::{Kube, Shape};
use crate::cluster::{Cluster, NodeClass, Share};
use crate::rng::Stream;
use crate::sched::filter::resource_name;
use crate::sched::spec::SchedulerSpec;
use crate::units::{Mib, Time};
use crate::workload::Constraint;
use crate::workload::request::{GpuRequest, Request, Unit};
use crate::workload::view::Pods;

/// Label that carries a node's GPU model, for pods of traces that name models.
const MODEL_LABEL: &str = "slicewise/gpu-model";

/// The scheduler for `pods` on the nodes of `cluster`, with their ids and shapes; all nodes are
/// there from the start.
#[must_use]
pub fn scheduler(pods: &Pods<'_>, cluster: &Cluster, spec: &SchedulerSpec, seed: u64) -> Kube {
    let mut resources = Resources::default();
    let gpus: Vec<Option<(GpuRequest, ResourceId)>> = pods
        .requests
        .iter()
        .map(|r| r.gpu.map(|gpu| (gpu, resources.intern(&resource_name(gpu, pods.slices)))))
        .collect();
    let mut offered: Vec<(GpuRequest, ResourceId)> = gpus.iter().flatten().copied().collect();
    offered.sort_by_key(|(_, resource)| *resource);
    offered.dedup_by_key(|(_, resource)| *resource);
    let settings = spec.settings(&mut resources);
    let mut kube = Kube::new(settings, resources, Some(Stream::new(seed, "kube-scheduler", 0)));
    for (request, gpu) in pods.requests.iter().zip(gpus) {
        kube.add_shape(shape(request, gpu, &pods.constraints[request.constraint as usize]));
    }
    let specs: Vec<NodeSpec> = cluster.classes().iter().map(|class| node_spec(class, &offered)).collect();
    for node in cluster.nodes() {
        kube.add_node(cluster.name(node).to_owned(), specs[cluster.class_index(node)].clone(), Time::ZERO);
    }
    kube
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

/// What nodes of a class advertise, of the resources that pods ask for.
fn node_spec(class: &NodeClass, offered: &[(GpuRequest, ResourceId)]) -> NodeSpec {
    let mut allocatable =
        vec![(ResourceId::CPU, class.cpu.0 as i64), (ResourceId::MEMORY, bytes(class.memory))];
    for (gpu, resource) in offered {
        let each = match (gpu.unit, &class.share) {
            (Unit::Whole, Share::Whole) => 1,
            (Unit::Milli(_), Share::Milli) => 1_000,
            (Unit::Replica, Share::Replicas { replicas, .. }) => i64::from(*replicas),
            // As many as one could cut from a GPU that holds nothing else.
            (Unit::MemoryGb(size), Share::Memory { gb, .. }) => i64::from(gb / size),
            (Unit::Slice(profile), Share::Slices { slices, .. }) => {
                slices.iter().filter(|slice| slice.profile == profile).count() as i64
            }
            _ => 0,
        };
        if 0 < each {
            allocatable.push((*resource, each * i64::from(class.gpus)));
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
        unschedulable: false,
    }
}
