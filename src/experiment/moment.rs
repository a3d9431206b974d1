//! A run at a moment, as Kubernetes would list it: nodes with nos' labels and annotations, pods that run and
//! pods that wait. What comes out reads like `kubectl get nodes,pods -o json`, so whatever reads clusters
//! reads this too.

use super::World;
use crate::cluster::{Cluster, Grant, NodeClass, Out, Placement, Share};
use crate::id::{NodeId, PodId};
use crate::partition::nos::names::{Kind, Observed, Spec, Status};
use crate::record::{Observer, Reasons, Record};
use crate::sched::filter::resource_name;
use crate::sim::advertised::{Standing, labels, standing};
use crate::units::Time;
use crate::workload::request::Unit;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Follows a run until its moment.
struct Moment<'w> {
    world: &'w World,
    until: Time,
    cluster: Cluster,
    running: BTreeMap<PodId, Placement>,
    /// Those who wait, and whether the scheduler has found them unschedulable, with the node kept for them.
    waiting: BTreeMap<PodId, Option<Option<NodeId>>>,
    /// Those of them whom scheduling gates hold.
    gated: BTreeSet<PodId>,
}

impl Observer for Moment<'_> {
    fn record(&mut self, at: Time, record: Record<'_>) {
        if self.until < at {
            return;
        }
        match record {
            Record::Arrived { pod } | Record::Returned { pod } | Record::Unbound { pod, .. } => {
                self.waiting.insert(pod, None);
            }
            Record::Gated { pod, .. } => _ = self.gated.insert(pod),
            Record::Ungated { pod } => _ = self.gated.remove(&pod),
            Record::Refused { pod, nominated, .. } => _ = self.waiting.insert(pod, Some(nominated)),
            Record::Bound { pod, node, grant, .. } => {
                self.waiting.remove(&pod);
                let placement = Placement { node, grant: grant.clone() };
                self.cluster.bind(self.world.pods().request(pod), &placement);
                self.running.insert(pod, placement);
            }
            Record::Finished { pod } | Record::Evicted { pod, .. } | Record::Failed { pod, .. } => {
                let placement = self.running.remove(&pod).expect("a pod that runs");
                self.cluster.release(self.world.pods().request(pod), &placement);
            }
            Record::GaveUp { pod } | Record::TurnedAway { pod } | Record::NeverFits { pod, .. } => {
                self.waiting.remove(&pod);
            }
            Record::NodeChanged { node, class } => self.cluster.set_class(node, class),
            Record::Recut { node, gpu, standing } => self.cluster.recut(node, gpu, standing),
            Record::Resliced { node, gpu, slices } => self.cluster.offer(node, gpu, slices),
            Record::Down { node, gpu: Some(gpu), .. } => self.cluster.set_out(node, gpu, Out::Failed, true),
            Record::Up { node, gpu: Some(gpu) } => self.cluster.set_out(node, gpu, Out::Failed, false),
            Record::Withheld { node, gpu, withheld } => {
                self.cluster.set_out(node, gpu, Out::Recut, withheld);
            }
            Record::Down { gpu: None, .. } | Record::Up { gpu: None, .. } => {}
            Record::SpeedChanged { .. }
            | Record::Doomed { .. }
            | Record::Plugin { .. }
            | Record::Planned { .. }
            | Record::Judged { .. }
            | Record::Applied { .. } => {}
        }
    }

    fn end(&mut self, _: Time, _: &Reasons) {}
}

/// The cluster of a world at a moment: a Kubernetes list of its nodes and of the pods that run or wait.
#[must_use]
pub fn moment(world: &World, at: Time) -> Value {
    let mut moment = Moment {
        world,
        until: at,
        cluster: world.cluster().clone(),
        running: BTreeMap::new(),
        waiting: BTreeMap::new(),
        gated: BTreeSet::new(),
    };
    world.simulate(&mut moment);
    let there = moment.cluster.nodes().filter(|node| moment.cluster.class(*node).present);
    let nodes = there.map(|node| moment.node(node));
    let running = moment.running.iter().map(|(pod, placement)| moment.pod(*pod, Some(placement.node), None));
    let waiting = moment.waiting.iter().map(|(pod, refused)| moment.pod(*pod, None, *refused));
    let items: Vec<Value> = nodes.chain(running).chain(waiting).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

impl Moment<'_> {
    fn node(&self, node: NodeId) -> Value {
        let class = self.cluster.class(node);
        let kind = match class.share {
            _ if class.gpus == 0 => None,
            Share::Slices { .. } => Some(Kind::Mig),
            Share::Memory { .. } | Share::Sliced { .. } => Some(Kind::Mps),
            _ => None,
        };
        let catalogue = self.world.scenario().catalogue();
        let product = catalogue.find(&class.model).filter(|_| 0 < class.gpus);
        let labels = product.map_or_else(|| class.labels.clone(), |product| labels(class, product, kind));
        let mut annotations: BTreeMap<String, String> = BTreeMap::new();
        let mut allocatable: BTreeMap<String, i64> = BTreeMap::new();
        if let Some(kind) = kind {
            for ((gpu, profile, status), count) in self.slices(node, class) {
                let spec = Spec { index: gpu, profile: profile.clone(), quantity: 0 }.to_string();
                let asked = annotations.get(&spec).and_then(|n| n.parse::<i64>().ok()).unwrap_or(0);
                annotations.insert(spec, (asked + count).to_string());
                *allocatable.entry(kind.resource(&profile)).or_default() += count;
                let observed = Observed { index: gpu, profile, status, quantity: count };
                annotations.insert(observed.to_string(), count.to_string());
            }
        }
        let mut amounts = Map::new();
        amounts.insert("cpu".to_owned(), json!(format!("{}m", class.cpu.0)));
        amounts.insert("memory".to_owned(), json!(format!("{}Mi", class.memory.0)));
        amounts.insert("pods".to_owned(), json!(class.pods.to_string()));
        amounts.extend(allocatable.into_iter().map(|(name, count)| (name, json!(count.to_string()))));
        let taint = |taint: &crate::cluster::spec::Taint| json!({"key": taint.key, "value": taint.value, "effect": taint.effect});
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.cluster.name(node), "labels": labels, "annotations": annotations},
            "spec": {
                "unschedulable": class.unschedulable,
                "taints": class.taints.iter().map(taint).collect::<Vec<_>>(),
            },
            "status": {"allocatable": amounts},
        })
    }

    /// Slices of a node by GPU, profile and status.
    fn slices(&self, node: NodeId, class: &NodeClass) -> BTreeMap<(i64, String, Status), i64> {
        let mut counts = BTreeMap::new();
        let mut add = |gpu: u8, profile: String, status, count: i64| {
            if 0 < count {
                *counts.entry((i64::from(gpu), profile, status)).or_insert(0) += count;
            }
        };
        for Standing { gpu, profile, all, held } in standing(&self.cluster, node, self.world.pods().slices) {
            add(gpu, profile.clone(), Status::Used, i64::from(held));
            add(gpu, profile, Status::Free, i64::from(all.saturating_sub(held)));
        }
        if matches!(class.share, Share::Memory { .. }) {
            for (pod, placement) in self.running.iter().filter(|(_, placement)| placement.node == node) {
                let (Grant::Gpus(_), Some(gpu)) = (&placement.grant, self.world.pods().request(*pod).gpu)
                else {
                    continue;
                };
                if let Unit::MemoryGb(gb) = gpu.unit {
                    placement.grant.gpus().for_each(|at| add(at, format!("{gb}gb"), Status::Used, 1));
                }
            }
        }
        counts
    }

    fn pod(&self, pod: PodId, node: Option<NodeId>, refused: Option<Option<NodeId>>) -> Value {
        let (pods, workload) = (self.world.pods(), self.world.workload());
        let (of, request) = (&pods.pods[pod.index()], pods.request(pod));
        let constraint = &pods.constraints[request.constraint as usize];
        let mut requests = Map::new();
        requests.insert("cpu".to_owned(), json!(format!("{}m", request.cpu.0)));
        requests.insert("memory".to_owned(), json!(format!("{}Mi", request.memory.0)));
        if let Some(gpu) = request.gpu {
            requests.insert(resource_name(gpu, pods.slices), json!(gpu.count.to_string()));
        }
        let toleration = |toleration: &crate::workload::Toleration| match &toleration.value {
            Some(value) => json!({"key": toleration.key, "value": value, "effect": toleration.effect}),
            None => json!({"key": toleration.key, "operator": "Exists", "effect": toleration.effect}),
        };
        let mut spec = json!({
            "priority": of.priority,
            "nodeSelector": constraint.selector.iter().cloned().collect::<BTreeMap<String, String>>(),
            "tolerations": constraint.tolerations.iter().map(toleration).collect::<Vec<_>>(),
            "containers": [{"name": "main", "resources": {"requests": requests}}],
        });
        let mut status = json!({"phase": if node.is_some() { "Running" } else { "Pending" }});
        if let Some(node) = node {
            spec["nodeName"] = json!(self.cluster.name(node));
        }
        if self.gated.contains(&pod) {
            let gates = self.world.gates().names(of);
            spec["schedulingGates"] = gates.map(|name| json!({"name": name})).collect();
            status["conditions"] =
                json!([{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]);
        } else if let Some(nominated) = refused {
            status["conditions"] =
                json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]);
            if let Some(node) = nominated {
                status["nominatedNodeName"] = json!(self.cluster.name(node));
            }
        } else if node.is_none() {
            // The scheduler has not looked at it yet.
            status["conditions"] = json!([]);
        }
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": workload.names.get(pod),
                "namespace": workload.namespaces[of.namespace.index()],
            },
            "spec": spec,
            "status": status,
        })
    }
}
