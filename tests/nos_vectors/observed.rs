//! Cases recorded from runs of nos, and those derived from its text.

use super::kube::{self, canonical, multiset};
use serde_json::{Value, json};
use slicewise::partition::nos::agent::{self, Device};
use slicewise::partition::nos::batch::{Batcher, Windows};
use slicewise::partition::nos::control::{PodStatus, owes_report};
use slicewise::partition::nos::names::{Kind, Spec, Status, charged_gb};
use slicewise::partition::nos::usage::{Seen, Usage};
use slicewise::partition::nos::{
    Choices, Counts, First, Fixes, Node, Resources, Settings, Snapshot, Tables, build, lacking, plan, sort,
};
use slicewise::units::{Span, Time};

/// A function of nos under test: an input, and an answer for every way the free choices may fall.
pub(crate) type Answer = Box<dyn Fn(&Value, &mut dyn Choices) -> Value>;

/// The function of a name; `None` if it is not known, `Some(None)` if a later issue covers it.
pub(crate) fn function(name: &str) -> Option<Option<Answer>> {
    let answer: Answer = match name {
        "mig.GPU.UpdateGeometryFor" => Box::new(|input, choices| gpu(Kind::Mig, input, choices)),
        "mps.GPU.UpdateGeometryFor" => Box::new(|input, choices| gpu(Kind::Mps, input, choices)),
        "mig.GPU.InitGeometry" => Box::new(|input, _| init(input)),
        "mig.Node.UpdateGeometryFor" => Box::new(|input, choices| node(Kind::Mig, input, choices)),
        "mps.Node.UpdateGeometryFor" => Box::new(|input, choices| node(Kind::Mps, input, choices)),
        "plan" => Box::new(planned),
        "sort" => Box::new(order),
        "migagent.plan" => Box::new(|input, _| operations(input)),
        "ExtraResourcesCouldHelpScheduling" => Box::new(|input, _| helpable(input)),
        "ComputePodRequest.gpu-memory" => Box::new(|input, _| charged(input)),
        "ExtractProfileName" => Box::new(|input, _| {
            let resource = input.as_str().expect("a resource");
            json!({ "mig": Kind::Mig.profile(resource), "mps": Kind::Mps.profile(resource) })
        }),
        "Batcher" => Box::new(|input, _| batches(input)),
        "waitingAnyNodeToReportPlan" => Box::new(|input, _| {
            let nodes = input["nodeAnnotations"].as_array().expect("nodes");
            json!(nodes.iter().any(|annotations| owes_report(&kube::texts(annotations))))
        }),
        "ClusterState.UpdateUsage" => Box::new(|input, _| usage(input)),
        "quota.GetGuaranteedOverquotas"
        | "quota.PreFilter"
        | "quota.SelectVictimsOnNode"
        | "operator.labels" => return Some(None),
        _ => return None,
    };
    Some(Some(answer))
}

/// Equal results have equal forms: lists whose order means nothing are put in one.
pub(crate) fn form(function: &str, result: &Value) -> String {
    let mut result = result.clone();
    match function {
        "plan" => {
            if let Some(nodes) = result["desired"].as_object_mut() {
                for (_, gpus) in nodes.iter_mut() {
                    *gpus = multiset(gpus);
                }
            }
        }
        "migagent.plan" => {
            let deletes = result["deleteOps"].as_array().cloned().unwrap_or_default();
            result["deleteOps"] = multiset(&deletes.iter().map(multiset).collect());
            result["createOps"] = multiset(&result["createOps"]);
        }
        _ => {}
    }
    canonical(&result)
}

fn empty_node(gpus: Vec<slicewise::partition::nos::Gpu>) -> Node {
    Node { gpus, ..Node::default() }
}

fn gpu(kind: Kind, input: &Value, choices: &mut dyn Choices) -> Value {
    let mut snapshot = Snapshot::new(kind, &kube::tables(&input["geometries"]));
    let gpu = kube::gpu(&mut snapshot, input);
    if !snapshot.accepts(&gpu) {
        return json!({ "error": true });
    }
    let need = kube::need(&mut snapshot, &input["required"]);
    let mut node = empty_node(vec![gpu]);
    let updated = snapshot.update(&mut node, &need, Fixes::NONE, choices);
    let json = |counts: &Counts| kube::profiles_json(snapshot.names(), kind, counts);
    json!({ "updated": updated, "used": json(&node.gpus[0].used), "free": json(&node.gpus[0].free) })
}

fn init(input: &Value) -> Value {
    let mut snapshot = Snapshot::new(Kind::Mig, &kube::tables(&input["geometries"]));
    let mut gpu = kube::gpu(&mut snapshot, input);
    let error = !snapshot.begin(&mut gpu);
    let json = |counts: &Counts| kube::profiles_json(snapshot.names(), Kind::Mig, counts);
    json!({ "error": error, "used": json(&gpu.used), "free": json(&gpu.free) })
}

fn node(kind: Kind, input: &Value, choices: &mut dyn Choices) -> Value {
    let mut snapshot = Snapshot::new(kind, &kube::tables(&input["geometries"]));
    let text = kube::node_text(snapshot.names_mut(), &input["nodes"][0], 0);
    let Ok(mut node) = build(&mut snapshot, text, Fixes::NONE) else { return json!({ "error": true }) };
    node.arrange(choices);
    let free = snapshot.has_free_capacity(&node);
    let need = kube::need(&mut snapshot, &input["required"]);
    let updated = snapshot.update(&mut node, &need, Fixes::NONE, choices);
    let json = |counts: &Counts| kube::profiles_json(snapshot.names(), kind, counts);
    let gpus = node.gpus.iter().map(|gpu| {
        let mut value = json!({ "index": gpu.index, "used": json(&gpu.used), "free": json(&gpu.free) });
        if let slicewise::partition::nos::Card::Mps { memory_gb } = gpu.card {
            value["memoryGB"] = json!(memory_gb);
        }
        value
    });
    json!({
        "hasFreeCapacity": free,
        "updated": updated,
        "gpus": gpus.collect::<Vec<_>>(),
        "allocatableScalars": kube::scalars_json(snapshot.names(), &node.allocatable.scalars),
    })
}

fn planned(input: &Value, choices: &mut dyn Choices) -> Value {
    let kind = kube::kind(&input["kind"]);
    let tables = kube::tables(&input["geometries"]);
    let Some(mut snapshot) = kube::snapshot(kind, &tables, &input["nodes"], Fixes::NONE) else {
        return json!({ "error": true });
    };
    let (shapes, pods) = kube::pods(snapshot.names_mut(), &input["pods"]);
    let plan = plan(&snapshot, &shapes, &pods, &Settings::default(), choices);
    let mut initial = Counts::new();
    for pod in &pods {
        initial.add_all(&lacking(&snapshot, &shapes[pod.shape].requests.scalars));
    }
    let gpu = |gpu: &slicewise::partition::nos::state::GpuState| json!({ "gpu": gpu.index, "resources": gpu.resources });
    let state = plan.state(&snapshot);
    let desired: serde_json::Map<String, Value> = state
        .iter()
        .map(|(name, gpus)| (name.to_owned(), gpus.iter().map(gpu).collect::<Vec<_>>().into()))
        .collect();
    json!({
        "initialLacking": kube::profiles_json(snapshot.names(), kind, &initial),
        "desired": desired,
    })
}

fn order(input: &Value, choices: &mut dyn Choices) -> Value {
    let mut snapshot = Snapshot::new(kube::kind(&input["kind"]), &Tables::default());
    let (shapes, pods) = kube::pods(snapshot.names_mut(), &input["pods"]);
    let order = sort(&snapshot, &shapes, &pods, choices);
    let names = order.into_iter().map(|pod| input["pods"][pod]["name"].clone());
    json!({ "order": names.collect::<Vec<_>>() })
}

/// The status of a word; nothing is what no word says.
pub(crate) fn status(word: &Value) -> Status {
    match word.as_str() {
        Some("used") => Status::Used,
        Some("free") => Status::Free,
        _ => Status::Unknown,
    }
}

fn operations(input: &Value) -> Value {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let device = |value: &Value| Device {
        gpu: value["gpu"].as_i64().expect("an index"),
        resource: text(&value["resource"]),
        id: text(&value["id"]),
        status: status(&value["status"]),
    };
    let devices: Vec<Device> = input["devices"].as_array().expect("devices").iter().map(device).collect();
    let specs: Vec<Spec> = Spec::of(&kube::texts(&input["spec"])).collect();
    let operations = agent::operations(&devices, &specs);
    let show = |d: &Device| format!("{}/{}/{}/{}", d.gpu, d.resource, d.id, d.status.word());
    let deletes: Vec<Vec<String>> =
        operations.deletes.iter().map(|op| op.iter().map(show).collect()).collect();
    let creates: Vec<String> =
        operations.creates.iter().map(|op| format!("{}/{} x{}", op.gpu, op.profile, op.quantity)).collect();
    json!({ "matches": agent::matches(&devices, &specs), "deleteOps": deletes, "createOps": creates })
}

fn helpable(input: &Value) -> Value {
    let text = |key: &str| input[key].as_str().expect("a text");
    let status = PodStatus {
        pending: text("Phase") == "Pending",
        bound: !text("NodeName").is_empty(),
        nominated: !text("Nominated").is_empty(),
        unschedulable: text("CondType") == "PodScheduled" && text("CondReason") == "Unschedulable",
        node_owned: matches!(
            (text("OwnerAPI"), text("OwnerKind")),
            ("apps/v1", "DaemonSet") | ("v1", "Node")
        ),
    };
    json!(status.is_helpable())
}

fn charged(input: &Value) -> Value {
    let whole = input["nvidiaGpuResourceMemoryGB"].as_i64().expect("GB");
    let requests = input["requests"].as_object().expect("requests").iter();
    let requests: Vec<(&str, i64)> = requests
        .map(|(name, count)| (name.as_str(), kube::quantity(count.as_str().expect("a quantity"), 1)))
        .collect();
    json!(charged_gb(requests, whole))
}

fn batches(input: &Value) -> Value {
    let seconds = |key: &str| Span::from_secs(input[key].as_u64().expect("seconds"));
    let windows = Windows { timeout: seconds("timeoutSeconds"), idle: seconds("idleSeconds") };
    let mut batcher = Batcher::new(windows, Fixes::NONE);
    let mut ready = Vec::new();
    let run_to = |batcher: &mut Batcher<()>, ready: &mut Vec<Value>, end: Option<Time>| {
        while let Some(at) = batcher.next().filter(|at| end.is_none_or(|end| *at <= end)) {
            batcher.fire(at);
            if let Some(batch) = batcher.take() {
                ready.push(json!({ "t": at.0 / 1_000_000, "size": batch.len() }));
            }
        }
    };
    for event in input["events"].as_array().expect("events") {
        let now = Time::ZERO + Span::from_secs(event["t"].as_u64().expect("seconds"));
        run_to(&mut batcher, &mut ready, Some(now));
        match event["op"].as_str() {
            Some("add") => batcher.add(now, ()),
            Some("reset") => batcher.reset(),
            other => panic!("operation {other:?}"),
        }
    }
    run_to(&mut batcher, &mut ready, None);
    json!({ "ready": ready })
}

fn usage(input: &Value) -> Value {
    let requests =
        Resources { cpu_milli: input["podMilliCPU"].as_i64().expect("CPU"), ..Resources::default() };
    let node = input["node"].as_str().expect("a name").to_owned();
    let mut usage: Usage<String, String> = Usage::new(Fixes::NONE);
    let mut after = Vec::new();
    for event in input["events"].as_array().expect("events") {
        let seen = |pod: &Value, phase: &Value| Seen {
            pod: pod.as_str().expect("a name").to_owned(),
            running: phase == "Running",
            requests: requests.clone(),
            ports: Vec::new(),
        };
        match event[0].as_str() {
            Some("updateNode") => {
                let pods = event[1].as_array().expect("pods").iter().map(|pod| seen(&pod[0], &pod[1]));
                usage.update_node(node.clone(), None, pods.collect());
            }
            Some("usage") => usage.update_usage(&node, seen(&event[1], &event[2])),
            other => panic!("event {other:?}"),
        }
        after.push(usage.requested(&node).expect("a known node").cpu_milli);
    }
    json!({ "requestedMilliCPUAfterEachEvent": after })
}

/// The answer of the defaults.
pub(crate) fn default(answer: &Answer, input: &Value) -> Value {
    answer(input, &mut First)
}
