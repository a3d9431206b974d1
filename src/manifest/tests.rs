//! Objects as kubectl prints them, and as people break them.

use super::*;
use crate::yaml::diagnostics;

fn clean(text: &str) -> Vec<Object> {
    let mut problems = Vec::new();
    let objects = read(text, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    objects
}

fn pods(text: &str) -> Vec<Pod> {
    let pod = |o| if let Object::Pod(pod) = o { Some(*pod) } else { None };
    clean(text).into_iter().filter_map(pod).collect()
}

/// Amounts as `resource=amount`, sorted.
fn shown(resources: &Resources) -> String {
    resources.iter().map(|(name, q)| format!("{name}={q}")).collect::<Vec<_>>().join(" ")
}

/// The complaints about a text: `line:column code message (help)`.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let mut problems = Vec::new();
    read(text, &mut problems);
    let line = |d: crate::diag::Diagnostic| {
        let help = d.help.map_or(String::new(), |h| format!(" ({h})"));
        format!("{}:{} {} {}{help}", d.line, d.column, d.code, d.message)
    };
    let found: Vec<String> = diagnostics(problems, text, "f").into_iter().map(line).collect();
    assert_eq!(found, expected, "{text}");
}

/// `kubectl get nodes -o json`, with a tab as people's formatters write it and a slash that is
/// escaped as some do.
const NODES: &str = r#"{
	"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""},
	"items": [{
		"apiVersion": "v1", "kind": "Node",
		"metadata": {
			"name": "gpu-0", "uid": "5d1c", "creationTimestamp": "2026-05-01T10:00:00Z",
			"annotations": {"note": "a line\nanother \u00e4 \/", "long": "LONG"},
			"labels": {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB", "nvidia.com/gpu.count": "2"}
		},
		"spec": {"unschedulable": true, "taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]},
		"status": {
			"capacity": {"cpu": "64", "memory": "527903428Ki", "nvidia.com/mig-1g.5gb": "7"},
			"allocatable": {"cpu": "63500m", "nvidia.com/mig-1g.5gb": "7"},
			"conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}]
		}
	}]
}"#;

#[test]
fn nodes_as_kubectl_prints_them() {
    let text = NODES.replace("LONG", &"x".repeat(5_000));
    let objects = clean(&text);
    let [Object::Node(node)] = &objects[..] else { panic!("one node") };
    assert_eq!(node.meta.name, "gpu-0");
    assert_eq!(&text[node.meta.at.clone()], "\"gpu-0\"");
    assert_eq!(node.meta.label("nvidia.com/gpu.count"), Some("2"));
    assert_eq!(node.meta.annotations["note"].value, "a line\nanother ä /");
    assert_eq!(node.meta.created, Moment::parse("2026-05-01T10:00:00Z"));
    assert_eq!((node.unschedulable, node.ready), (true, Some(true)));
    let taint = Taint { key: "nvidia.com/gpu".into(), value: String::new(), effect: Effect::NoSchedule };
    assert_eq!(node.taints, [taint]);
    assert_eq!(shown(&node.resources()), "cpu=63.5 nvidia.com/mig-1g.5gb=7");
    assert_eq!(&text[node.capacity["memory"].at.clone()], "\"memory\": \"527903428Ki\"");
}

const POD: &str = "
apiVersion: v1
kind: Pod
metadata:
  name: train
  namespace: lab
  labels: {app: train}
  creationTimestamp: 2026-05-01T10:00:00Z
  ownerReferences: [{apiVersion: batch/v1, kind: Job, name: train, controller: true}]
spec:
  priority: 100
  priorityClassName: high
  preemptionPolicy: Never
  overhead: {memory: 120Mi}
  nodeSelector: {zone: a}
  runtimeClassName: nvidia
  schedulingGates: [{name: example.com/wait}]
  tolerations: [{key: nvidia.com/gpu, operator: Exists}]
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
          - matchExpressions: [{key: gpus, operator: Gt, values: ['2']}]
      preferredDuringSchedulingIgnoredDuringExecution:
        - {weight: 10, preference: {matchFields: [{key: metadata.name, operator: In, values: [n1]}]}}
  resourceClaims: [{name: gpu, resourceClaimTemplateName: two-slices}]
  initContainers:
    - {name: fetch, resources: {requests: {cpu: 2}}}
    - {name: proxy, restartPolicy: Always, resources: {requests: {cpu: 100m, memory: 64Mi}}}
    - {name: warm, resources: {requests: {cpu: 2}}}
  containers:
    - name: main
      image: train:1
      resources:
        requests: {cpu: 1}
        limits: {cpu: 4, memory: 8Gi, nvidia.com/mig-3g.20gb: 1}
        claims: [{name: gpu, request: big}]
    - {name: side, resources: {limits: {cpu: 500m}}}
status:
  phase: Pending
  nominatedNodeName: n1
  conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: no room}]
";

#[test]
fn a_pod_with_everything() {
    let pod = &pods(POD)[0];
    assert_eq!((pod.namespace(), pod.phase.as_str(), pod.priority), ("lab", "Pending", Some(100)));
    assert_eq!(pod.preemption, Preemption::Never);
    assert_eq!(pod.nominated.as_deref(), Some("n1"));
    assert_eq!(pod.meta.owners, [("Job".to_owned(), "train".to_owned())]);
    let scheduled = &pod.conditions["PodScheduled"];
    assert_eq!((scheduled.holds, scheduled.reason.as_str()), (false, "Unschedulable"));
    assert_eq!(pod.gates, ["example.com/wait"]);
    assert_eq!(pod.claims[0].template.as_ref().map(|t| t.value.as_str()), Some("two-slices"));
    assert_eq!(pod.containers[0].claims, ["gpu"]);
    // 2 + 0.1 CPU while `warm` runs beside the sidecar; 1 + 0.5 + 0.1 later.
    assert_eq!(shown(&pod.requests()), "cpu=2.1 memory=8376Mi nvidia.com/mig-3g.20gb=1");
    assert!(pod.bears(&[Taint {
        key: "nvidia.com/gpu".into(),
        value: "x".into(),
        effect: Effect::NoExecute
    }]));
    assert!(!pod.bears(&[Taint { key: "other".into(), value: String::new(), effect: Effect::NoSchedule }]));
    assert!(pod.bears(&[Taint {
        key: "other".into(),
        value: String::new(),
        effect: Effect::PreferNoSchedule
    }]));
    let node = |labels: &str| {
        let text = format!("{{apiVersion: v1, kind: Node, metadata: {{name: n1, labels: {{{labels}}}}}}}");
        let Some(Object::Node(node)) = clean(&text).pop() else { panic!("a node") };
        node.meta
    };
    for (labels, fits) in [
        ("zone: a, gpus: '4'", true),
        ("zone: a, gpus: '2'", false),
        ("zone: a", false),
        ("zone: b, gpus: '4'", false),
        ("zone: a, gpus: many", false),
    ] {
        assert_eq!(pod.selects(&node(labels)), fits, "{labels}");
    }
    assert!(pod.affinity.preferred[0].1.holds(&node("")));
}

#[test]
fn controllers_make_pods() {
    let spec = "{containers: [{name: c, resources: {limits: {nvidia.com/gpu: 1}}}]}";
    let template = format!("{{metadata: {{labels: {{app: x}}}}, spec: {spec}}}");
    let of = |kind: &str, spec: &str| {
        format!("{{kind: {kind}, metadata: {{name: {kind}}}, spec: {{{spec}}}}}\n---\n")
    };
    let text = [
        of("Deployment", &format!("replicas: 3, template: {template}")),
        of("StatefulSet", &format!("template: {template}")),
        of("DaemonSet", &format!("template: {template}")),
        of("Job", &format!("parallelism: 4, completions: 2, template: {template}")),
        of("CronJob", &format!("jobTemplate: {{spec: {{parallelism: 2, template: {template}}}}}")),
        of("Rollout", &format!("replicas: 2, template: {template}")),
        of("ConfigMap", "template: none"),
    ]
    .concat();
    let objects = clean(&text);
    let line = |o: &Object| match o {
        Object::Pod(p) => {
            let template = p.template.as_ref().expect("of a template");
            assert_eq!(p.meta.label("app"), Some("x"));
            format!("{} {:?} {}", p.meta.name, template.copies, shown(&p.requests()))
        }
        Object::Other(other) => other.kind.clone(),
        Object::Node(_) => panic!("no node"),
    };
    assert_eq!(
        objects.iter().map(line).collect::<Vec<_>>(),
        [
            "Deployment Fixed(3) nvidia.com/gpu=1",
            "StatefulSet Fixed(1) nvidia.com/gpu=1",
            "DaemonSet PerNode nvidia.com/gpu=1",
            "Job Fixed(2) nvidia.com/gpu=1",
            "CronJob Fixed(2) nvidia.com/gpu=1",
            "Rollout Fixed(2) nvidia.com/gpu=1",
            "ConfigMap",
        ]
    );
}

#[test]
fn lists_of_every_shape() {
    let pod = "metadata: {name: p}, spec: {containers: [{name: c}]}";
    for text in [
        format!("{{apiVersion: v1, kind: PodList, items: [{{{pod}}}]}}"),
        format!("{{apiVersion: v1, kind: List, items: [{{apiVersion: v1, kind: Pod, {pod}}}]}}"),
        format!("---\n# nothing\n---\n{{apiVersion: v1, kind: Pod, {pod}}}\n---\n"),
        format!("{{kind: List, items: [{{kind: List, items: [{{apiVersion: v1, kind: Pod, {pod}}}]}}]}}"),
    ] {
        assert_eq!(pods(&text).len(), 1, "{text}");
    }
    assert!(clean("{apiVersion: v1, kind: PodList, items: []}").is_empty());
    assert!(clean("").is_empty());
}

#[test]
fn mistakes_are_located() {
    let pod = |inside: &str| format!("apiVersion: v1\nkind: Pod\n{inside}");
    check(
        &pod("metadata:\n  name: 5\n  labels: {nvidia.com/gpu.present: true, n: 4, ok: 'true', v: 1.2.3}\n"),
        &[
            "4:9 bad-value `name`: expected a text, found `5` (quote it: \"5\")",
            "5:36 bad-value `nvidia.com/gpu.present`: expected a text, found `true` (quote it: \"true\")",
            "5:45 bad-value `n`: expected a text, found `4` (quote it: \"4\")",
        ],
    );
    check(
        &pod(
            "spec:\n  containers:\n    - name: c\n      resources:\n        limits: {cpu: 4 cores, memory: -1Gi, nvidia.com/gpu: [1]}\n",
        ),
        &[
            "7:23 bad-value `cpu`: expected a quantity such as `2`, `500m` or `8Gi`, found `4 cores`",
            "7:40 out-of-range `memory`: an amount must not be negative",
            "7:62 bad-value `nvidia.com/gpu`: expected a quantity such as `2`, `500m` or `8Gi`, found a list",
        ],
    );
    check(
        &pod(
            "spec:\n  containers: {name: c}\n  tolerations: [x]\n  priority: high\n  preemptionPolicy: Nevr\n",
        ),
        &[
            "4:15 bad-value `containers`: expected a list, found a mapping",
            "5:17 bad-value `tolerations`: expected a list of mappings, found `x`",
            "6:13 bad-value `priority`: expected a whole number, found `high`",
            "7:21 bad-value `preemptionPolicy`: expected one of PreemptLowerPriority, Never, found `Nevr` \
             (did you mean `Never`?)",
        ],
    );
    check(
        "apiVersion: v1\nkind: Node\nspec: {unschedulable: 'yes', taints: [{key: a}]}\nmetadata: {creationTimestamp: yesterday}\n",
        &[
            "3:23 bad-value `unschedulable`: expected `true` or `false`, found the text \"yes\"",
            "3:39 bad-value `taints`: expected a taint with an `effect`, found a mapping",
            "4:31 bad-value `creationTimestamp`: expected a moment such as `2026-05-01T10:00:00Z`, found `yesterday`",
        ],
    );
    // What stands before the place where a file breaks is read.
    let mut problems = Vec::new();
    let objects = read("{kind: A}\n---\n{kind: B\n---\n", &mut problems);
    assert_eq!((objects.len(), problems.len()), (1, 1));
}
