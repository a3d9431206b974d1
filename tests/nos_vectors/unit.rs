//! Cases of nos' own unit tests: tables of columns, each test with its own.

use super::kube::{self, multiset};
use super::observed::status;
use serde_json::{Map, Value, json};
use slicewise::partition::nos::agent::{self, Create, DeleteError, Device, Operations};
use slicewise::partition::nos::control::is_initialized;
use slicewise::partition::nos::names::{self, Kind, Observed, Partitioning, SPEC_PLAN, Spec, Texts};
use slicewise::partition::nos::state::{GpuState, State, annotate, config_key, config_keys, plugin_config};
use slicewise::partition::nos::table::{self, Entry, Geometry, fewest_slices};
use slicewise::partition::nos::usage::{Seen, Usage};
use slicewise::partition::nos::{
    Counts, First, Fixes, Gpu, Names, Node, Reach, Resources, Settings, Snapshot, Tables, Tracker, build,
    lacking, plan, sort,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a test compares: what is, and what should be.
type Pair = (Value, Value);

/// Runs one case: `None` if the test is not known, `Some(None)` if a later issue covers it.
pub(crate) fn run(test: &str, case: &Value) -> Option<Option<Pair>> {
    let test = test.split('/').next().expect("a first part");
    let (input, expected) = (&case["input"], &case["expected"]);
    let file = case["file"].as_str().unwrap_or_default();
    let of = |folder: &str| file.contains(folder);
    let kind = if of("/mps/") || of("/slicing/") { Kind::Mps } else { Kind::Mig };
    let pair = match test {
        "TestActuator__Apply" if of("/core/") => actuator(input, expected),
        "TestActuator__Apply" => annotations(input, expected),
        "TestPlanner__Plan__MIG" => planner(Kind::Mig, input, expected),
        "TestPlanner__Plan__MPS" => planner(Kind::Mps, input, expected),
        "TestSnapshot__GetLackingSlices" => lacking_slices(input, expected),
        "TestSliceTracker__Remove" => tracker(input, expected),
        "TestPodSorter" => sorter(input, expected),
        "TestIsNodeInitialized" => {
            let (labels, annotations) = label_texts(&input["node"]);
            (json!(is_initialized(&labels, &annotations)), expected["expected"].clone())
        }

        "TestSpecAnnotation_GetGpuIndex" => (json!(spec_of(input).index), expected["expected"].clone()),
        "TestSpecAnnotation_GetProfile" => (json!(spec_of(input).profile), expected["expected"].clone()),
        "TestSpecAnnotation_GetIndexWithProfile" => {
            let spec = spec_of(input);
            (json!(format!("{}-{}", spec.index, spec.profile)), expected["expected"].clone())
        }
        "TestStatusAnnotationList_GetFree" => with_status("free", input, expected),
        "TestStatusAnnotationList_GetUsed" => with_status("used", input, expected),
        "TestGetGPUAnnotationsFromNode" => node_annotations(input, expected),
        "TestParseStatusAnnotation" => parsed(
            Observed::parse(text(&input["key"]), text(&input["value"])).map(|o| observed_json(&o)),
            expected,
        ),
        "TestParseSpecAnnotation" => {
            parsed(Spec::parse(text(&input["key"]), text(&input["value"])).map(|s| spec_json(&s)), expected)
        }
        "TestDeviceList__AsStatusAnnotation" => {
            let devices = devices(&input["list"]);
            let report: Vec<Value> = agent::report(&devices, Some).iter().map(observed_json).collect();
            (multiset(&report.into()), multiset(&expected["expected"]))
        }
        "TestIsMigPartitioningEnabled" => enabled(Kind::Mig, input, expected),
        "TestIsMpsSlicingPartitioningEnabled" => enabled(Kind::Mps, input, expected),
        "TestGetPartitioningKind" => {
            let found = Partitioning::of(&label_texts(&input["node"]).0);
            let word = found.map_or("", Partitioning::word);
            (json!({ "expected": word, "expectedOk": found.is_some() }), expected.clone())
        }
        "Test_GetFewestSlicesGeometry" => {
            let list = input["geometries"].as_array().expect("geometries");
            let geometries: Vec<Geometry> = list.iter().map(geometry).collect();
            (json!(fewest_slices(&geometries)), expected["expected"].clone())
        }
        "TestGetMemoryGB" => {
            let found = names::memory_gb(&label_texts(&input["node"]).0);
            let actual = json!({ "expectedErr": found.is_none(), "expectedVal": found.unwrap_or(0) });
            (actual, expected.clone())
        }
        "TestResourceCalculator_ComputeRequiredGPUMemoryGB" => {
            let list = input["resourceList"].as_object().expect("resources").iter();
            let amounts: Vec<(&str, i64)> =
                list.map(|(name, count)| (name.as_str(), kube::quantity(text(count), 1))).collect();
            (json!(names::charged_gb(amounts, 8)), expected["expected"].clone())
        }
        "TestPermutationGenerator" => {
            let source = input["sourceSlice"].as_array().expect("a list");
            let orders: Vec<Vec<Value>> = slicewise::gpu::tools::permutations(source).collect();
            (multiset(&json!(orders)), multiset(&expected["expectedPermutations"]))
        }

        "TestNewNode" => new_node(kind, input, expected),
        "TestNode__GetGeometry" => {
            let mut snapshot = empty(kind);
            let node = node_of(&mut snapshot, &input["node"]["gpus"]);
            (profiles(&snapshot, &node.geometry()), expected["expected"].clone())
        }
        "TestNode__UpdateGeometryFor" if kind == Kind::Mig => update_mig_node(input, expected),
        "TestNode__UpdateGeometryFor" => update_mps_node(input, expected),
        "TestNode__HasFreeMigCapacity" | "TestNode__HasFreeCapacity" => {
            let mut snapshot = empty(kind);
            let node = node_of(&mut snapshot, &input["nodeGPUs"]);
            (json!(snapshot.has_free_capacity(&node)), expected["expected"].clone())
        }
        "TestNode_AddPod" => add_pod_to_node(kind, input, expected),
        "TestProfileList__GroupByGpuIndex" => by_index(input, expected),
        "TestProfileName__GreaterThan" => {
            let size = |key: &str| names::mig_size(text(&input[key]));
            (json!(names::mig_smaller(size("profile"), size("other"))), expected["expected"].clone())
        }
        "TestIsNvidiaMigDevice" => {
            let slice = Kind::Mig.profile(text(&input["resourceName"])).is_some();
            (json!(slice), expected["expected"].clone())
        }
        "TestExtractMemoryGBFromMigDevice" => {
            let found = names::mig_memory_gb(text(&input["resourceName"]));
            let actual = json!({ "errorExpected": found.is_none(), "expected": found.unwrap_or(0) });
            (actual, expected.clone())
        }
        "TestSpecMatchesStatusAnnotations" => {
            let specs: Vec<Spec> = Spec::of(&kube::texts(&input["spec"])).collect();
            let observed: Vec<Observed> = Observed::of(&kube::texts(&input["status"])).collect();
            (json!(agent::spec_matches_status(&specs, &observed)), expected["expected"].clone())
        }
        "TestAllowedMigGeometriesList__UnmarshalYaml" => {
            let found = table::parse(text(&input["input"]));
            let entries: Vec<Value> = found.iter().flatten().map(entry_json).collect();
            let actual = json!({ "error": found.is_err(), "output": entries });
            (actual, json!({ "error": input["error"], "output": input["output"] }))
        }
        "TestAllowedMigGeometriesList__GroupByModel" => {
            let entries: Vec<Entry> = input["input"].as_array().expect("entries").iter().map(entry).collect();
            let tables = Tables::of(&entries);
            let by_model: Map<String, Value> = tables.iter().map(|(m, g)| (m.to_owned(), json!(g))).collect();
            (by_model.into(), expected["expected"].clone())
        }
        "TestGPU__GetMigGeometry" => {
            let mut snapshot = empty(kind);
            let gpu = kube::gpu(&mut snapshot, &input["gpu"]);
            (profiles(&snapshot, &gpu.geometry()), expected["expectedGeometry"].clone())
        }
        "TestGPU__AddPod" => add_pod_to_gpu(input, expected),
        "TestGPU__ApplyGeometry" => apply_geometry(input, expected),
        "TestGPU__UpdateGeometryFor" | "TestGPU_UpdateGeometryFor" => update_gpu(kind, case),
        "TestGeometry__AsResources" => {
            let mut names = Names::default();
            let counts = kube::profiles(&mut names, Kind::Mig, &input["geometry"]);
            (kube::scalars_json(&names, &counts), expected["expected"].clone())
        }
        "TestGPU__ApplyInitialGeometry" => {
            let mut snapshot = empty(kind);
            let mut gpu = kube::gpu(&mut snapshot, &input["gpu"]);
            let error = !snapshot.begin(&mut gpu);
            let geometry = if error { json!({}) } else { profiles(&snapshot, &gpu.geometry()) };
            (json!({ "errExpected": error, "expectedGeometry": geometry }), expected.clone())
        }

        "TestMigState_Matches" => {
            let specs: Vec<Spec> = Spec::of(&kube::texts(&input["spec"])).collect();
            let matches = agent::matches(&devices(&input["stateResources"]), &specs);
            (json!(matches), expected["expected"].clone())
        }
        "TestNewMigConfigPlan" => {
            let lists = input["state"].as_object().expect("devices by GPU").values();
            let all: Vec<Device> = lists.flat_map(devices).collect();
            let specs: Vec<Spec> = Spec::of(&kube::texts(&input["specAnnotations"])).collect();
            let wanted = operations(&expected["expectedDeleteOps"], &expected["expectedCreateOps"]);
            same(&agent::operations(&all, &specs), &wanted)
        }
        "TestMigConfigPlan_IsEmpty" => {
            (json!(plan_of(&input["plan"]).is_empty()), expected["expected"].clone())
        }
        "TestMigConfigPlan__Equals" => {
            let equal = !input["other"].is_null() && plan_of(&input["plan"]) == plan_of(&input["other"]);
            (json!(equal), expected["expected"].clone())
        }
        "TestDeleteOperation__Equal" => {
            let op = |key: &str| Operations {
                deletes: vec![devices(&input[key]["resources"])],
                creates: Vec::new(),
            };
            (json!(op("deleteOp") == op("other")), expected["expected"].clone())
        }
        "TestMigActuator_applyDeleteOp" => {
            let error = match input["clientReturnedError"].as_str() {
                None => Ok(()),
                Some("generic") => Err(DeleteError::Failed),
                Some(_) => Err(DeleteError::NotFound),
            };
            let done = agent::delete(&devices(&input["resources"]), |_| error);
            let actual = json!({ "deleteCalls": done.calls, "error": done.failed, "restart": done.restart });
            (actual, expected.clone())
        }

        "TestNewGPU" => {
            let mut snapshot = empty(Kind::Mps);
            let used = json!({ "index": input["index"], "memoryGB": input["memoryGB"],
                "free": input["freeProfiles"], "used": input["usedProfiles"] });
            let gpu = kube::gpu(&mut snapshot, &used);
            (json!(!snapshot.accepts(&gpu)), expected["expectedErr"].clone())
        }
        "TestProfileName__GetMemorySizeGB" => {
            (json!(names::mps_memory_gb(text(&input["profileName"]))), expected["expected"].clone())
        }
        "TestProfileName__SmallerThan" => {
            let size = |key: &str| names::mps_memory_gb(text(&input[key]));
            (json!(size("first") < size("second")), expected["expected"].clone())
        }
        "TestExtractGpuId" => (json!(names::gpu_of_device(text(&input["id"]))), expected["expected"].clone()),

        "TestPartitioner__GetPartitioning" | "TestPartitionCalculator__GetPartitioning" => {
            partitioning(kind, input, expected)
        }
        "TestSliceCalculator__GetRequestedSlices" | "TestSliceCalculator" => {
            let mut names = Names::default();
            let requests = kube::requests(&mut names, &input["pod"]);
            let slices = names.slices(kind, &requests.scalars);
            (kube::profiles_json(&names, kind, &slices), expected["expected"].clone())
        }
        "TestSliceFilter__ExtractSlices" => {
            let mut names = Names::default();
            let list = kube::resources(&mut names, &input["resources"]);
            let slices = names.slices(kind, &list.scalars);
            (kube::profiles_json(&names, kind, &slices), expected["expected"].clone())
        }
        "TestSnapshotTaker" | "TestSnapshotTaker__TakeSnapshot" => {
            let found = kube::snapshot(kind, &builtin(), &input["snapshotNodes"], Fixes::NONE);
            let names = found.iter().flat_map(Snapshot::nodes).map(|node| &node.name);
            let names: Vec<_> = names.collect();
            let actual = json!({ "expectedErr": found.is_none(), "expectedSnapshotNodes": names });
            (actual, expected.clone())
        }
        "TestClusterState_GetNode" => {
            let usage = usage(input, expected);
            let found = usage.knows(&text(&input["nodeName"]).to_owned());
            (json!(found), expected["expectedFound"].clone())
        }
        "TestClusterState_deleteNode" => {
            let mut usage = usage(input, expected);
            usage.delete_node(&text(&input["node"]).to_owned());
            (usage_json(&usage, input), nodes_and_bindings(expected))
        }
        "TestClusterState_deletePod" => {
            let mut usage = usage(input, expected);
            let failed = usage.delete_pod(&pod_key(&input["podToDelete"])).is_err();
            let wanted = json!([expected["errorExpected"], nodes_and_bindings(expected)]);
            (json!([failed, usage_json(&usage, input)]), wanted)
        }
        "TestClusterState_updateUsage" => update_usage(input, expected),
        "TestClusterState_updateNode" => {
            let mut usage = usage(input, expected);
            let pods = input["pods"].as_array().expect("pods").iter().map(seen).collect();
            usage.update_node(text(&input["updateNode"]).to_owned(), None, pods);
            milli_cpu(&usage, expected)
        }
        "TestClusterState_IsPartitioningEnabled" => kinds_enabled(input, expected),
        "TestPartitioningState__Equal" => {
            let equal = state(&input["partitioningState"]) == state(&input["other"]);
            (json!(equal), expected["expected"].clone())
        }
        "TestToPluginConfig" => {
            let config = plugin_config(&gpu_states(&input["gpus"]));
            let actual =
                json!({ "error": config.is_err(), "mpsResources": config.map_or(0, |list| list.len()) });
            (actual, expected.clone())
        }
        "TestPartitioner__ApplyPartitioning" => config_map(input, expected),

        "TestSum" => resource_math(input, expected, Resources::plus),
        "TestSubtract" => resource_math(input, expected, Resources::minus),
        "TestSubtractNonNegative" => resource_math(input, expected, Resources::minus_to_zero),

        "TestIsPodOverQuota"
        | "TestElasticQuotaPodsReconciler_sortPodListForFindingOverQuotaPods"
        | "TestPreFilter"
        | "TestDryRunPreemption"
        | "TestElasticQuotaInfos_Add"
        | "TestElasticQuotaInfos_Update"
        | "TestReserveResource"
        | "TestUnReserveResource"
        | "TestElasticQuotaInfo_UsedOverMaxWith"
        | "TestElasticQuotaInfos_GetGuaranteedOverquotas"
        | "TestElasticQuotaInfos_getGuaranteedOverquotasPercentage"
        | "TestElasticQuotaInfos_getAggregatedOverquotas"
        | "TestNewElasticQuotaInfo_usedLteWith"
        | "TestElasticQuotaInfos_AggregatedUsedOverMinWith" => return Some(None),
        _ => return None,
    };
    Some(Some(pair))
}

/// The table that nos' unit tests run with.
fn builtin() -> Tables {
    Tables::read(
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/nos-builtin.yaml")),
        "nos-builtin.yaml",
    )
    .expect("a valid table")
}

fn empty(kind: Kind) -> Snapshot {
    Snapshot::new(kind, &builtin())
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn label_texts(node: &Value) -> (Texts, Texts) {
    (kube::texts(&node["labels"]), kube::texts(&node["annotations"]))
}

fn profiles(snapshot: &Snapshot, counts: &Counts) -> Value {
    kube::profiles_json(snapshot.names(), snapshot.kind(), counts)
}

fn node_of(snapshot: &mut Snapshot, gpus: &Value) -> Node {
    let gpus = gpus.as_array().expect("GPUs").iter().map(|gpu| kube::gpu(snapshot, gpu));
    Node { gpus: gpus.collect(), ..Node::default() }
}

fn gpu_states(gpus: &Value) -> Vec<GpuState> {
    let gpu = |gpu: &Value| GpuState {
        index: gpu["gpuIndex"].as_i64().expect("an index"),
        resources: geometry(&gpu["resources"]),
    };
    gpus.as_array().into_iter().flatten().map(gpu).collect()
}

fn state(nodes: &Value) -> State {
    let nodes = nodes.as_object().into_iter().flatten();
    nodes.map(|(name, node)| (name.clone(), gpu_states(&node["gpus"]))).collect()
}

fn gpu_json(gpu: &GpuState) -> Value {
    json!({ "gpuIndex": gpu.index, "resources": gpu.resources })
}

fn geometry(map: &Value) -> Geometry {
    let entries = map.as_object().into_iter().flatten();
    entries.map(|(name, count)| (name.clone(), count.as_i64().expect("a count"))).collect()
}

fn entry(value: &Value) -> Entry {
    let list = |key: &str| value[key].as_array().expect("a list").iter();
    Entry {
        models: list("models").map(|model| text(model).to_owned()).collect(),
        geometries: list("geometries").map(geometry).collect(),
    }
}

fn entry_json(entry: &Entry) -> Value {
    json!({ "models": entry.models, "geometries": entry.geometries })
}

/// The client knows one node by name, and the partitioner may fail.
fn actuator(input: &Value, expected: &Value) -> Pair {
    let desired = state(&input["plan"]["desiredState"]);
    let current = state(&input["snapshotPartitioningState"]);
    let written = current.written(&desired, Fixes::NONE);
    let found = written.iter().all(|node| input["mockedClientNode"]["name"] == *node);
    let error = !written.is_empty() && (!found || !input["mockedPartitionerReturn"].is_null());
    let actual = json!({ "expectedErr": error, "expectedRes": !written.is_empty() && !error });
    (actual, expected.clone())
}

/// The annotations of the MIG nodes after a plan; the plan's own is not looked at.
fn annotations(input: &Value, expected: &Value) -> Pair {
    let nodes = input["snapshotNodes"].as_object().expect("nodes");
    let list: Value = nodes.values().cloned().collect();
    let current = kube::snapshot(Kind::Mig, &builtin(), &list, Fixes::NONE).expect("a snapshot").state();
    let desired = state(&input["desiredState"]);
    let written = current.written(&desired, Fixes::NONE);
    let error = written.iter().any(|node| !nodes.contains_key(*node));
    let mut after: Map<String, Value> = Map::new();
    for (name, node) in nodes {
        let mut annotations = kube::texts(&node["annotations"]);
        if written.contains(&name.as_str()) {
            let gpus = desired.get(name).expect("a node of the plan");
            annotations = annotate(&annotations, gpus, "plan").expect("slices");
            assert_eq!(annotations.remove(SPEC_PLAN).as_deref(), Some("plan"));
        }
        after.insert(name.clone(), json!(annotations));
    }
    let wanted = expected["expectedAnnotations"].as_object().expect("annotations");
    after.retain(|name, _| wanted.contains_key(name));
    let actual = json!({
        "expectedAnnotations": after,
        "expectedApplied": !written.is_empty() && !error,
        "expectedErr": error,
    });
    (actual, expected.clone())
}

/// The scheduler is a mock that lets every pod through, or none.
fn planner(kind: Kind, input: &Value, expected: &Value) -> Pair {
    let passes = |key: &str| input[key] == "Success";
    let snapshot = kube::snapshot(kind, &builtin(), &input["snapshotNodes"], Fixes::NONE);
    let Some(mut snapshot) = snapshot else { return (json!("error"), expected["expectedErr"].clone()) };
    let (mut shapes, pods) = kube::pods(snapshot.names_mut(), &input["candidatePods"]);
    if !(passes("schedulerPreFilterStatus") && passes("schedulerFilterStatus")) {
        for shape in &mut shapes {
            shape.reach = Reach::Nodes(Vec::new());
        }
    }
    let settings = Settings { resources_fit: false, ..Settings::default() };
    let plan = plan(&snapshot, &shapes, &pods, &settings, &mut First);
    let state = plan.state(&snapshot);
    let gpus = state.iter().flat_map(|(_, gpus)| gpus).cloned().map(|gpu| match kind {
        // The MIG test does not look at indexes.
        Kind::Mig => GpuState { index: 0, ..gpu },
        Kind::Mps => gpu,
    });
    let gpus: Vec<Value> = gpus.map(|gpu| gpu_json(&gpu)).collect();
    (multiset(&gpus.into()), multiset(&expected["expectedOverallPartitioning"]))
}

fn lacking_slices(input: &Value, expected: &Value) -> Pair {
    let mut snapshot = empty(Kind::Mig);
    for (name, node) in input["snapshotNodes"].as_object().expect("nodes") {
        let allocatable = kube::framework(snapshot.names_mut(), &node["allocatable"]);
        let requested = kube::framework(snapshot.names_mut(), &node["requested"]);
        snapshot.insert(Node { name: name.clone(), allocatable, requested, ..Node::default() });
    }
    let requests = kube::requests(snapshot.names_mut(), &input["pod"]);
    let lacks = lacking(&snapshot, &requests.scalars);
    (profiles(&snapshot, &lacks), expected["expected"].clone())
}

/// Without nodes, what is lacking is what is requested.
fn tracker(input: &Value, expected: &Value) -> Pair {
    let mut snapshot = empty(Kind::Mig);
    let (shapes, pods) = kube::pods(snapshot.names_mut(), &input["pods"]);
    let mut tracker = Tracker::judge(&snapshot, &shapes, &pods, &Settings::default());
    let removed = &input["podToRemove"];
    let same = |pod: &Value| pod["name"] == removed["name"] && pod["namespace"] == removed["namespace"];
    for (at, _) in input["pods"].as_array().into_iter().flatten().enumerate().filter(|(_, pod)| same(pod)) {
        tracker.remove(at);
    }
    let left = tracker.need().levels().iter().flat_map(Counts::iter).collect();
    let left = profiles(&snapshot, &left);
    (json!({ "expectedLackingSlices": left, "expectedRequestedSlices": left }), expected.clone())
}

fn sorter(input: &Value, expected: &Value) -> Pair {
    let mut snapshot = empty(Kind::Mig);
    let (shapes, pods) = kube::pods(snapshot.names_mut(), &input["pods"]);
    let order = sort(&snapshot, &shapes, &pods, &mut First);
    let sorted: Value = order.into_iter().map(|pod| input["pods"][pod].clone()).collect();
    (sorted, expected["expected"].clone())
}

fn spec_of(input: &Value) -> Spec {
    Spec::parse(text(&input["annotation"]), "1").expect("an annotation")
}

fn spec_json(spec: &Spec) -> Value {
    json!({ "index": spec.index, "profileName": spec.profile, "quantity": spec.quantity })
}

fn observed_json(observed: &Observed) -> Value {
    json!({
        "index": observed.index,
        "profileName": observed.profile,
        "quantity": observed.quantity,
        "status": observed.status.word(),
    })
}

/// nos answers an error with the zero value.
fn parsed(found: Option<Value>, expected: &Value) -> Pair {
    let mut actual = expected.clone();
    actual["expectedErr"] = json!(found.is_none());
    if let Some(found) = found {
        actual["expected"] = found;
    }
    (actual, expected.clone())
}

/// Lists of annotations are iterated with a status in hand; ours are matched on it.
fn with_status(word: &str, input: &Value, expected: &Value) -> Pair {
    let list = input["list"].as_array().expect("annotations").iter();
    let observed = list.map(|annotation| Observed {
        index: annotation["index"].as_i64().expect("an index"),
        profile: text(&annotation["profileName"]).to_owned(),
        status: status(&annotation["status"]),
        quantity: annotation["quantity"].as_i64().expect("a quantity"),
    });
    let found: Vec<Value> =
        observed.filter(|o| o.status == status(&json!(word))).map(|o| observed_json(&o)).collect();
    (multiset(&found.into()), multiset(&expected["expected"]))
}

fn node_annotations(input: &Value, expected: &Value) -> Pair {
    let (_, annotations) = label_texts(&input["node"]);
    let specs: Vec<Value> = Spec::of(&annotations).map(|s| spec_json(&s)).collect();
    let observed: Vec<Value> = Observed::of(&annotations).map(|o| observed_json(&o)).collect();
    let wanted = ["expectedSpecAnnotations", "expectedStatusAnnotations"].map(|key| multiset(&expected[key]));
    (json!([multiset(&specs.into()), multiset(&observed.into())]), json!(wanted))
}

fn enabled(kind: Kind, input: &Value, expected: &Value) -> Pair {
    let found = Partitioning::of(&label_texts(&input["node"]).0);
    (json!(found == Some(Partitioning::Of(kind))), expected["expected"].clone())
}

fn new_node(kind: Kind, input: &Value, expected: &Value) -> Pair {
    let mut snapshot = empty(kind);
    let node_text = kube::node_text(snapshot.names_mut(), &input["node"], 0);
    let wants_error = expected.get("expectedError").or(expected.get("errExpected")).expect("a column");
    let wanted = expected.get("expectedNode").or(expected.get("expected")).expect("a column");
    let built = build(&mut snapshot, node_text, Fixes::NONE);
    let Ok(node) = built else { return (json!(true), wants_error.clone()) };
    let counts =
        |gpu: &Gpu| json!([gpu.index, profiles(&snapshot, &gpu.used), profiles(&snapshot, &gpu.free)]);
    let gpus: Vec<Value> = node.gpus.iter().map(counts).collect();
    let any = |gpu: &Value, keys: [&str; 2]| keys.iter().find_map(|key| gpu.get(*key)).cloned();
    let wanted = wanted["gpus"].as_array().expect("GPUs").iter().map(|gpu| {
        let used = any(gpu, ["usedMigDevices", "usedProfiles"]);
        json!([gpu["index"], used, any(gpu, ["freeMigDevices", "freeProfiles"])])
    });
    let wanted: Vec<Value> = wanted.collect();
    (json!([false, multiset(&gpus.into())]), json!([wants_error, multiset(&wanted.into())]))
}

fn update_mig_node(input: &Value, expected: &Value) -> Pair {
    let mut snapshot = empty(Kind::Mig);
    let mut node = node_of(&mut snapshot, &input["nodeGPUs"]);
    let need = kube::need(&mut snapshot, &input["migProfiles"]);
    let updated = snapshot.update(&mut node, &need, Fixes::NONE, &mut First);
    let geometry = profiles(&snapshot, &node.geometry());
    (json!({ "expectedGeometry": geometry, "expectedUpdated": updated }), expected.clone())
}

fn update_mps_node(input: &Value, expected: &Value) -> Pair {
    let mut snapshot = empty(Kind::Mps);
    let node_text = kube::node_text(snapshot.names_mut(), &input["node"], 0);
    let need = kube::need(&mut snapshot, &input["slices"]);
    let built = build(&mut snapshot, node_text, Fixes::NONE);
    let Ok(mut node) = built else { return (json!(true), expected["expectedErr"].clone()) };
    let updated = snapshot.update(&mut node, &need, Fixes::NONE, &mut First);
    (json!({ "expectedErr": false, "expectedUpdate": updated }), expected.clone())
}

fn add_pod_to_node(kind: Kind, input: &Value, expected: &Value) -> Pair {
    let mut snapshot = empty(kind);
    let node_text = kube::node_text(snapshot.names_mut(), &input["node"], 0);
    let mut node = build(&mut snapshot, node_text, Fixes::NONE).expect("a node");
    let shape = kube::shape(snapshot.names_mut(), &input["pod"]);
    let added = snapshot.add_pod(&mut node, &shape, &mut First);
    let sum =
        |map: fn(&Gpu) -> &Counts| -> Counts { node.gpus.iter().flat_map(|gpu| map(gpu).iter()).collect() };
    let actual = json!({
        "expectedErr": !added,
        "expectedFreeSlices": profiles(&snapshot, &sum(|gpu| &gpu.free)),
        "expectedUsedSlices": profiles(&snapshot, &sum(|gpu| &gpu.used)),
        "expectedRequestedResources": kube::framework_json(snapshot.names(), &node.requested),
    });
    (actual, expected.clone())
}

/// Profiles on GPUs; ours are grouped where operations are made, by GPU.
fn by_index(input: &Value, expected: &Value) -> Pair {
    let list = input["list"].as_array().expect("profiles").iter();
    let creates = list.map(|profile| Create {
        gpu: profile["gpuIndex"].as_i64().expect("an index"),
        profile: text(&profile["name"]).to_owned(),
        quantity: 1,
    });
    let operations = Operations { deletes: Vec::new(), creates: creates.collect() };
    let grouped = agent::profiles_to_create(&operations).into_iter().map(|(gpu, profiles)| {
        let profiles = profiles.into_iter().map(|name| json!({ "gpuIndex": gpu, "name": name }));
        (gpu.to_string(), profiles.collect())
    });
    (Value::Object(grouped.collect()), expected["expected"].clone())
}

fn add_pod_to_gpu(input: &Value, expected: &Value) -> Pair {
    let mut snapshot = empty(Kind::Mig);
    let gpu = kube::gpu(&mut snapshot, &input["gpu"]);
    let shape = kube::shape(snapshot.names_mut(), &input["pod"]);
    let mut node = Node { gpus: vec![gpu], ..Node::default() };
    let added = snapshot.add_pod(&mut node, &shape, &mut First);
    let actual = json!({
        "expectedErr": !added,
        "expectedFree": profiles(&snapshot, &node.gpus[0].free),
        "expectedUsed": profiles(&snapshot, &node.gpus[0].used),
    });
    (actual, expected.clone())
}

fn apply_geometry(input: &Value, expected: &Value) -> Pair {
    let mut snapshot = empty(Kind::Mig);
    let mut gpu = kube::gpu(&mut snapshot, &input["gpu"]);
    let geometry = kube::profiles(snapshot.names_mut(), Kind::Mig, &input["geometryToApply"]);
    let applied = snapshot.apply(&mut gpu, &geometry);
    let wanted = kube::gpu(&mut snapshot, &expected["expected"]);
    let json = |gpu: &Gpu| json!([profiles(&snapshot, &gpu.used), profiles(&snapshot, &gpu.free)]);
    (json!([!applied, json(&gpu)]), json!([expected["expectedErr"], json(&wanted)]))
}

/// Where the upstream test leaves results open, the legal ones are listed.
fn update_gpu(kind: Kind, case: &Value) -> Pair {
    let (input, expected) = (&case["input"], &case["expected"]);
    let mut snapshot = empty(kind);
    let gpu = kube::gpu(&mut snapshot, &input["gpu"]);
    let required = input.get("profiles").or(input.get("requiredSlices")).expect("a column");
    let need = kube::need(&mut snapshot, required);
    let mut node = Node { gpus: vec![gpu], ..Node::default() };
    let updated = snapshot.update(&mut node, &need, Fixes::NONE, &mut First);
    let gpu = &node.gpus[0];
    let (used, free) = (profiles(&snapshot, &gpu.used), profiles(&snapshot, &gpu.free));
    let outcome = json!({ "updated": updated, "used": used, "free": free });
    let same = |legal: &&Value| kube::canonical(legal) == kube::canonical(&outcome);
    let legal = case["legal_outcomes"].as_array().expect("outcomes").iter().find(same);
    let unasserted = case["unasserted"].as_array().cloned().unwrap_or_default();
    let mut actual = json!({ "legal": legal.is_some() });
    let mut wanted = json!({ "legal": true });
    for (key, value) in expected.as_object().expect("columns") {
        if !unasserted.contains(&json!(key)) {
            wanted[key] = value.clone();
            actual[key] = match key.as_str() {
                "expectedGeometry" => profiles(&snapshot, &gpu.geometry()),
                _ => json!(updated),
            };
        }
    }
    (actual, wanted)
}

fn devices(list: &Value) -> Vec<Device> {
    let device = |value: &Value| Device {
        gpu: value["gpuIndex"].as_i64().expect("an index"),
        resource: text(&value["resourceName"]).to_owned(),
        id: text(&value["deviceId"]).to_owned(),
        status: status(&value["status"]),
    };
    list.as_array().into_iter().flatten().map(device).collect()
}

fn operations(deletes: &Value, creates: &Value) -> Operations {
    let create = |value: &Value| Create {
        gpu: value["migProfile"]["gpuIndex"].as_i64().expect("an index"),
        profile: text(&value["migProfile"]["name"]).to_owned(),
        quantity: value["quantity"].as_i64().expect("a quantity"),
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    Operations {
        deletes: list(deletes).iter().map(|op| devices(&op["resources"])).collect(),
        creates: list(creates).iter().map(create).collect(),
    }
}

fn plan_of(value: &Value) -> Operations {
    operations(&value["deleteOperations"], &value["createOperations"])
}

fn same(actual: &Operations, wanted: &Operations) -> Pair {
    if actual == wanted {
        (json!("equal"), json!("equal"))
    } else {
        (json!(format!("{actual:?}")), json!(format!("{wanted:?}")))
    }
}

/// A node that is a mock of another type has no partitioning.
fn partitioning(kind: Kind, input: &Value, expected: &Value) -> Pair {
    let mut snapshot = empty(kind);
    if input["node"].get("gpus").is_some() {
        let node = node_of(&mut snapshot, &input["node"]["gpus"]);
        snapshot.insert(Node { name: "node".to_owned(), ..node });
    }
    let state = snapshot.state();
    let gpus: Vec<Value> = state.get("node").unwrap_or_default().iter().map(gpu_json).collect();
    (multiset(&gpus.into()), multiset(&expected["expected"]["gpus"]))
}

type ByName = Usage<String, String>;

/// The bindings are the starting state; nodes that are named exist and hold no pod that counts.
fn usage(input: &Value, expected: &Value) -> ByName {
    let mut usage = ByName::new(Fixes::NONE);
    let mut pods: BTreeMap<String, Vec<Seen<String>>> = BTreeMap::new();
    for (pod, node) in input["bindings"].as_object().into_iter().flatten() {
        let seen = Seen { pod: pod.clone(), ..Seen::default() };
        pods.entry(text(node).to_owned()).or_default().push(seen);
    }
    let listed: BTreeSet<String> = match input["nodes"].as_object() {
        Some(nodes) => nodes.keys().cloned().collect(),
        None => {
            let named = [&input["pod"]["nodeName"], &input["updateNode"]];
            let named = named.into_iter().filter_map(Value::as_str).map(str::to_owned);
            let counted = expected["requestedMilliCPU"].as_object().into_iter().flatten();
            pods.keys().cloned().chain(named).chain(counted.map(|(node, _)| node.clone())).collect()
        }
    };
    let gone: Vec<String> = pods.keys().filter(|node| !listed.contains(*node)).cloned().collect();
    for node in listed.iter().chain(&gone) {
        usage.update_node(node.clone(), None, pods.remove(node).unwrap_or_default());
    }
    usage
}

fn pod_key(pod: &Value) -> String {
    match pod["namespace"].as_str() {
        Some(namespace) => format!("{namespace}/{}", text(&pod["name"])),
        None => text(&pod["name"]).to_owned(),
    }
}

fn seen(pod: &Value) -> Seen<String> {
    let cpu_milli = pod["milliCPU"].as_i64().unwrap_or(0);
    Seen {
        pod: pod_key(pod),
        running: pod["phase"] == "Running",
        requests: Resources { cpu_milli, ..Resources::default() },
        ports: Vec::new(),
    }
}

fn bindings(usage: &ByName) -> Value {
    Value::Object(usage.bindings().map(|(pod, node)| (pod.clone(), json!(node))).collect())
}

/// Nodes that only bindings name were put in to hold these: the case does not count them.
fn usage_json(usage: &ByName, input: &Value) -> Value {
    let listed = input["nodes"].as_object().expect("nodes");
    let nodes: Vec<&String> = usage.nodes().filter(|node| listed.contains_key(*node)).collect();
    json!([nodes, bindings(usage)])
}

fn nodes_and_bindings(expected: &Value) -> Value {
    let nodes: BTreeSet<&String> = expected["expectedNodes"].as_object().expect("nodes").keys().collect();
    json!([nodes, expected["expectedBindings"]])
}

fn milli_cpu(usage: &ByName, expected: &Value) -> Pair {
    let nodes = expected["requestedMilliCPU"].as_object().expect("nodes").keys();
    let cpu = |node: &String| usage.requested(node).map(|requested| json!(requested.cpu_milli));
    let sums: Map<String, Value> =
        nodes.map(|node| (node.clone(), cpu(node).unwrap_or(Value::Null))).collect();
    let wanted = json!([expected["bindings"], expected["requestedMilliCPU"]]);
    (json!([bindings(usage), sums]), wanted)
}

fn update_usage(input: &Value, expected: &Value) -> Pair {
    let mut usage = usage(input, expected);
    if let Some(node) = input["pod"]["nodeName"].as_str() {
        usage.update_usage(&node.to_owned(), seen(&input["pod"]));
    }
    if expected.get("requestedMilliCPU").is_some() {
        return milli_cpu(&usage, expected);
    }
    // Nodes of bindings that the case does not list were put in to hold these.
    (bindings(&usage), expected["expectedBindings"].clone())
}

fn kinds_enabled(input: &Value, expected: &Value) -> Pair {
    let partitioning = |word: &Value| {
        let labels = word.as_str().map(|w| (names::PARTITIONING.to_owned(), w.to_owned()));
        Partitioning::of(&labels.into_iter().collect())
    };
    let mut usage = ByName::new(Fixes::NONE);
    let put = |usage: &mut ByName, nodes: &Value| {
        for (node, word) in nodes.as_object().into_iter().flatten() {
            usage.update_node(node.clone(), partitioning(word), Vec::new());
        }
    };
    let look = |usage: &ByName, wanted: &Value| -> Value {
        let kinds = wanted.as_object().expect("kinds").keys();
        let found = |word: &String| partitioning(&json!(word)).is_some_and(|p| usage.is_enabled(p));
        Value::Object(kinds.map(|word| (word.clone(), json!(found(word)))).collect())
    };
    put(&mut usage, &input["nodes"]);
    let before = look(&usage, &expected["before"]);
    put(&mut usage, &input["then"]);
    if let Some(node) = input["delete"].as_str() {
        usage.delete_node(&node.to_owned());
    }
    (json!({ "before": before, "after": look(&usage, &expected["after"]) }), expected.clone())
}

/// The label is written after the delay, which the simulator waits for.
fn config_map(input: &Value, expected: &Value) -> Pair {
    let (node, plan) = (text(&input["node"]), text(&input["planId"]));
    let mut actual = Map::new();
    for (column, value) in expected.as_object().expect("columns") {
        let found = match column.as_str() {
            "configMapKeys" => {
                let keys = input["configMapKeys"].as_array().expect("keys").iter();
                let keys: BTreeSet<String> = keys.map(|key| text(key).to_owned()).collect();
                json!(config_keys(&keys, node, plan, Fixes::NONE))
            }
            "nodeLabel" => json!({ names::PLUGIN_CONFIG: config_key(node, plan) }),
            "labelWrittenAfterSeconds" => input["delaySeconds"].clone(),
            other => panic!("column `{other}` of {value}"),
        };
        actual.insert(column.clone(), found);
    }
    (actual.into(), expected.clone())
}

fn resource_math(input: &Value, expected: &Value, op: fn(&Resources, &Resources) -> Resources) -> Pair {
    let mut names = Names::default();
    let [a, b] = ["r1", "r2"].map(|key| kube::framework(&mut names, &input[key]));
    (kube::framework_json(&names, &op(&a, &b)), expected["expected"].clone())
}
