//! The scheduler against recorded runs of the real kube-scheduler.
//!
//! Every file of the folder named by `SLICEWISE_KUBE_VECTORS` (by default the one committed here) is
//! run, and each case must come out equal: a file or function that is not known fails. The folder's
//! own README says how the cases were recorded and how whole runs must be driven.
#![expect(clippy::print_stdout, reason = "the counts are the result")]

use serde_json::{Value, json};
use slicewise::cluster::spec::Taint;
use slicewise::id::{NodeId, PodId, ShapeId};
use slicewise::sched::kube::backoff::{Backoff, holds};
use slicewise::sched::kube::filter::{self, Code, Names, Plugins, Reasons, Status};
use slicewise::sched::kube::node::{
    Affinity, NodeOrder, NodeSpec, Operator, Requirement, Term, Usage, intolerable, untolerated,
};
use slicewise::sched::kube::preempt::{Candidate, Target, Trial, pick, select_victims};
use slicewise::sched::kube::queue::{Facts, Place};
use slicewise::sched::kube::resource::{Amounts, Container, PodRequest, ResourceId, Resources};
use slicewise::sched::kube::rules::Rules;
use slicewise::sched::kube::score::{self, Listed, Room, Strategy};
use slicewise::sched::kube::{Kube, Outcome, Settings, Shape};
use slicewise::units::{Span, Time};
use slicewise::workload::Toleration;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

#[test]
fn every_vector_comes_out_as_recorded() {
    let folder = std::env::var_os("SLICEWISE_KUBE_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/kube-vectors"),
        PathBuf::from,
    );
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no vectors in {}", folder.display());
    let (mut wrong, mut total) = (String::new(), 0);
    for path in files {
        let text = fs::read_to_string(&path).expect("UTF-8");
        let file: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(file["schema"], "kube-vectors/1", "{}", path.display());
        let version = file["origin"]["version"].as_str().expect("a version");
        let rules = match version {
            v if v.starts_with("v1.35.") => Rules::V1_35,
            v if v.starts_with("v1.25.") => Rules::V1_25,
            other => panic!("{}: no rules for {other}", path.display()),
        };
        let cases = list(&file["cases"]);
        let (mut good, mut cycles) = (0, 0);
        for case in cases {
            let got = run(case, rules);
            let expected = expected(case);
            if case["fn"] == "scheduler" {
                cycles += list(&case["expected"]).len();
            }
            match difference(&expected, &got) {
                None => good += 1,
                Some(text) => {
                    writeln!(wrong, "{} {}: {text}", path.display(), case["id"]).expect("to a string")
                }
            }
        }
        total += good;
        let name = path.file_name().expect("a name").to_string_lossy();
        let of_cycles = if 0 < cycles { format!(", {cycles} cycles") } else { String::new() };
        println!("{name}: {good} of {} equal{of_cycles}", cases.len());
    }
    println!("{total} cases equal");
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// What a case must come to, in the form in which [`run`] says it.
fn expected(case: &Value) -> Value {
    let expected = &case["expected"];
    match case["fn"].as_str().expect("a function") {
        // Only for debugging: the node's sums.
        "NodeResourcesFit.Score" => expected["score"].clone(),
        "pickOneNodeForPreemption" => sorted(list(&expected["legal"])),
        "SelectVictimsOnNode" => {
            let mut expected = expected.clone();
            expected["reasons"] = sorted(list(&expected["reasons"]));
            expected["victims"] = json!(list(&expected["victims"]));
            expected
        }
        _ => expected.clone(),
    }
}

/// The first difference, if there is one.
fn difference(expected: &Value, got: &Value) -> Option<String> {
    if expected == got {
        return None;
    }
    if let (Value::Array(expected), Value::Array(got)) = (expected, got) {
        let at = (0..expected.len().max(got.len())).find(|at| expected.get(*at) != got.get(*at))?;
        let show = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
        return Some(format!(
            "entry {at}\n  expected {}\n  got      {}",
            show(expected.get(at)),
            show(got.get(at))
        ));
    }
    Some(format!("\n  expected {expected}\n  got      {got}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn sorted(values: &[Value]) -> Value {
    let texts: BTreeSet<&str> = values.iter().map(|v| v.as_str().expect("a text")).collect();
    json!(texts)
}

fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("a number, not {value}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(text).collect()
}

fn millis(value: &Value) -> Time {
    Time(int(value) as u64 * 1_000)
}

fn run(case: &Value, rules: Rules) -> Value {
    let input = &case["input"];
    match case["fn"].as_str().expect("a function") {
        "calculateBackoffDuration" => {
            json!({"duration_ms": backoff(input).duration(int(&input["count"]) as u32).0 / 1_000})
        }
        "getBackoffTime+isPodBackingoff" => back_off(input, rules),
        "balancedResourceScorer" => {
            let columns = ["allocatable", "allocated", "requested"].map(|key| list(&input[key]));
            let balance = |used: &[Value]| {
                score::balance(columns[0].iter().zip(used).map(|(capacity, used)| (int(capacity), int(used))))
            };
            let (with, without) = (balance(columns[2]), balance(columns[1]));
            json!({"v1.35": with, "v1.36": score::balance_change(with, without)})
        }
        "NodeResourcesFit.Score" => {
            let mut on = OneNode::new(input);
            let strategy = match input["strategy"].as_str().expect("a strategy") {
                "LeastAllocated" => Strategy::Least,
                "MostAllocated" => Strategy::Most,
                "RequestedToCapacityRatio" => Strategy::Ratio(
                    list(&input["shape"])
                        .iter()
                        .map(|p| (int(&p["utilization"]), int(&p["score"])))
                        .collect(),
                ),
                other => panic!("no strategy {other}"),
            };
            let (pod, listed) = (on.pod(&input["pod"]), on.listed(&input["resources"]));
            json!(score::fit(&strategy, &listed, &pod, on.room()))
        }
        "NodeResourcesBalancedAllocation.Score" => {
            let mut on = OneNode::new(input);
            let (pod, listed) = (on.pod(&input["pod"]), on.listed(&input["resources"]));
            match score::balanced(&listed, &pod, on.room(), &rules) {
                None => json!({"skipped": true}),
                Some(score) => json!({"score": score, "skipped": false}),
            }
        }
        "NodeResourcesFit.Filter" => {
            let mut on = OneNode::new(input);
            let pod = on.pod(&input["pod"]);
            let ignored =
                on.ignored(&texts(&input["ignored_resources"]), &texts(&input["ignored_resource_groups"]));
            let room = (&on.allocatable, on.pods_most);
            let status = filter::fit(&pod, ignored, room, &on.usage, rules.fit_unresolvable);
            said(&status, &on.resources)
        }
        "DefaultNormalizeScore" => {
            let mut scores: Vec<i64> = list(&input["scores"]).iter().map(int).collect();
            score::normalize(&mut scores, int(&input["max"]), input["reverse"] == true);
            json!(scores)
        }
        "TaintToleration" => taints(input),
        "GetRequiredNodeAffinity.Match / PreferredSchedulingTerms.Score" => {
            let labels = labels(&input["node"]["labels"]);
            let (affinity, name) = (affinity(input), text(&input["node"]["name"]));
            json!({"match": affinity.allows(&name, &labels), "preferred_sum": affinity.preference(&name, &labels)})
        }
        "FitError.Error" => {
            let statuses: Vec<Vec<String>> =
                list(&input["node_status"]).iter().map(|node| texts(&node["reasons"])).collect();
            let nodes = int(&input["num_all_nodes"]) as usize;
            let post = input["post_filter_msg"].as_str().unwrap_or_default();
            let absent = input["absent_nodes_reason"].as_str();
            if let Some(pre) = input["pre_filter_msg"].as_str().filter(|text| !text.is_empty()) {
                return json!(filter::message_before(nodes, pre, post));
            }
            json!(filter::message(nodes, statuses.iter().map(|s| (&s[..], 1)), absent, post))
        }
        "pickOneNodeForPreemption" => {
            let candidates: Vec<Candidate> = list(input)
                .iter()
                .map(|node| Candidate {
                    violations: int(&node["num_pdb_violations"]) as usize,
                    victims: list(&node["victims"])
                        .iter()
                        .map(|v| (int(&v["priority"]) as i32, Some(millis(&v["start_time_ms"]))))
                        .collect(),
                })
                .collect();
            let legal: Vec<Value> = pick(&candidates).iter().map(|at| input[*at]["node"].clone()).collect();
            sorted(&legal)
        }
        "SelectVictimsOnNode" => victims(input, rules),
        "newSortedNodeScores.Pop" => {
            let totals: Vec<i64> = list(&input["totals"]).iter().map(int).collect();
            let names = texts(&input["nodes"]);
            let order: Vec<&String> = score::heap_order(&totals).into_iter().map(|at| &names[at]).collect();
            json!({"chosen": score::heap_head(&totals).map(|at| &names[at]), "pop_order": order})
        }
        "numFeasibleNodesToFind" => {
            let profile = input["profile_percentage"].as_i64().map(|p| p as i32);
            let (nodes, global) = (int(&input["nodes"]) as i32, int(&input["global_percentage"]) as i32);
            json!(score::feasible_wanted(nodes, global, profile))
        }
        "nodeTree.list" => node_order(input),
        "scheduler" => whole_run(case, rules),
        other => panic!("{}: no function {other} is known", case["id"]),
    }
}

fn backoff(input: &Value) -> Backoff {
    Backoff { initial: span(&input["initial_ms"]), max: span(&input["max_ms"]) }
}

fn span(value: &Value) -> Span {
    Span(int(value) as u64 * 1_000)
}

fn back_off(input: &Value, rules: Rules) -> Value {
    let rules = Rules { pop_from_backoff: input["pop_from_backoffq"] == true, ..rules };
    let count = match int(&input["consecutive_errors"]) {
        0 => int(&input["unschedulable_count"]),
        errors => errors,
    };
    let expiry = backoff(input).expiry(millis(&input["timestamp_ms"]), count as u32, &rules);
    let backing_off = holds(expiry, millis(&input["now_ms"]), &rules);
    json!({"backing_off": backing_off, "expiration_ms": expiry.map(|time| time.0 / 1_000)})
}

fn taints(input: &Value) -> Value {
    let tolerations = tolerations(&input["pod_tolerations"]);
    let nodes: Vec<Vec<Taint>> = list(&input["nodes"]).iter().map(node_taints).collect();
    let filter: Vec<Value> = nodes
        .iter()
        .map(|taints| match untolerated(taints, &tolerations) {
            None => said(&Status::default(), &Resources::default()),
            Some(_) => said(
                &Status::refused(Plugins::TAINTS, Code::Unresolvable, Reasons::TAINT),
                &Resources::default(),
            ),
        })
        .collect();
    let raw: Vec<i64> = nodes.iter().map(|taints| intolerable(taints, &tolerations)).collect();
    let mut normalized = raw.clone();
    score::normalize(&mut normalized, 100, true);
    json!({"filter": filter, "normalized": normalized, "raw": raw})
}

fn node_order(input: &Value) -> Value {
    let mut order = NodeOrder::new();
    let names: Vec<String> =
        ["add", "add_later"].iter().flat_map(|key| list(&input[*key])).map(|n| text(&n["name"])).collect();
    let id = |name: &Value| names.iter().position(|n| name == n).expect("a node that is added");
    let zone = |node: &Value| {
        let labels =
            ["region", "zone"].map(|key| (format!("topology.kubernetes.io/{key}"), text(&node[key])));
        NodeOrder::<usize>::zone(&labels.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    };
    let by_name =
        |name: &Value| list(&input["add"]).iter().find(|n| n["name"] == *name).expect("it was added");
    list(&input["add"]).iter().for_each(|node| order.add(id(&node["name"]), &zone(node)));
    list(&input["remove"]).iter().for_each(|name| order.remove(id(name), &zone(by_name(name))));
    list(&input["add_later"]).iter().for_each(|node| order.add(id(&node["name"]), &zone(node)));
    json!(order.list().into_iter().map(|at| &names[at]).collect::<Vec<_>>())
}

fn said(status: &Status, resources: &Resources) -> Value {
    let code = match status.code {
        Code::Success => "Success",
        Code::Unschedulable => "Unschedulable",
        Code::Unresolvable => "UnschedulableAndUnresolvable",
    };
    let mut reasons = status.reasons.texts(&Names { resources, taints: &[] });
    reasons.sort();
    json!({"code": code, "reasons": reasons})
}

fn requests(map: &Value, resources: &mut Resources) -> Vec<(ResourceId, i64)> {
    let pairs = map.as_object().into_iter().flatten();
    pairs
        .filter(|(name, _)| *name != "pods")
        .map(|(name, amount)| (resources.intern(name), int(amount)))
        .collect()
}

fn pod_request(pod: &Value, resources: &mut Resources) -> PodRequest {
    let mut containers = |key: &str| -> Vec<Container> {
        let maps = list(&pod[key]).iter();
        maps.map(|map| Container { requests: requests(map, resources), restartable: false }).collect()
    };
    let (main, init) = (containers("containers"), containers("init_containers"));
    PodRequest::of(&main, &init, &requests(&pod["overhead"], resources))
}

fn tolerations(value: &Value) -> Vec<Toleration> {
    let field = |t: &Value, key: &str| t[key].as_str().unwrap_or_default().to_owned();
    let one = |t: &Value| Toleration {
        key: field(t, "key"),
        value: (field(t, "operator") != "Exists").then(|| field(t, "value")),
        effect: field(t, "effect"),
    };
    list(value).iter().map(one).collect()
}

fn node_taints(node: &Value) -> Vec<Taint> {
    let one =
        |t: &Value| Taint { key: text(&t["key"]), value: text(&t["value"]), effect: text(&t["effect"]) };
    list(&node["taints"]).iter().map(one).collect()
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

fn affinity(input: &Value) -> Affinity {
    Affinity {
        selector: labels(&input["nodeSelector"]).into_iter().collect(),
        required: list(&input["required_terms"]).iter().map(term).collect(),
        preferred: list(&input["preferred_terms"]).iter().map(|p| (int(&p["weight"]), term(p))).collect(),
    }
}

fn term(value: &Value) -> Term {
    let requirements = |key: &str| {
        let one = |r: &Value| Requirement {
            key: text(&r["key"]),
            operator: match r["operator"].as_str().expect("an operator") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                "Gt" => Operator::Gt,
                "Lt" => Operator::Lt,
                other => panic!("no operator {other}"),
            },
            values: texts(&r["values"]),
        };
        list(&value[key]).iter().map(one).collect()
    };
    Term { expressions: requirements("matchExpressions"), fields: requirements("matchFields") }
}

/// A case with one node and its pods.
struct OneNode {
    resources: Resources,
    allocatable: Amounts,
    pods_most: i64,
    usage: Usage,
    requests: Vec<PodRequest>,
}

impl OneNode {
    fn new(input: &Value) -> OneNode {
        let mut resources = Resources::default();
        let node = &input["node"];
        let allocatable = requests(&node["allocatable"], &mut resources).into_iter().collect();
        let requests: Vec<PodRequest> =
            list(&node["pods"]).iter().map(|pod| pod_request(pod, &mut resources)).collect();
        let mut usage = Usage::default();
        requests.iter().for_each(|request| usage.add(request));
        OneNode { resources, allocatable, pods_most: int(&node["allocatable"]["pods"]), usage, requests }
    }

    fn pod(&mut self, pod: &Value) -> PodRequest {
        pod_request(pod, &mut self.resources)
    }

    fn listed(&mut self, resources: &Value) -> Vec<Listed> {
        let one = |r: &Value| Listed {
            resource: self.resources.intern(r["name"].as_str().expect("a name")),
            weight: int(&r["weight"]),
        };
        list(resources).iter().map(one).collect()
    }

    fn ignored(&self, names: &[String], groups: &[String]) -> Reasons {
        let ids = self.resources.ids().filter(|id| {
            let name = self.resources.name(*id);
            let group = name.split_once('/').map(|(group, _)| group);
            names.iter().any(|n| n == name) || groups.iter().any(|g| Some(g.as_str()) == group)
        });
        ids.fold(Reasons::default(), |all, id| all.and(Reasons::short(id)))
    }

    fn room(&self) -> Room<'_> {
        Room { allocatable: &self.allocatable, usage: &self.usage }
    }
}

/// The one node of a case, with some of its pods thought gone.
struct OneTrial<'a> {
    on: &'a OneNode,
    usage: Usage,
    preemptor: PodRequest,
    rules: Rules,
}

impl Trial for OneTrial<'_> {
    fn remove(&mut self, index: usize) {
        self.usage.remove(&self.on.requests[index]);
    }
    fn restore(&mut self, index: usize) {
        self.usage.add(&self.on.requests[index]);
    }
    fn status(&mut self) -> Status {
        let room = (&self.on.allocatable, self.on.pods_most);
        filter::fit(&self.preemptor, Reasons::default(), room, &self.usage, self.rules.fit_unresolvable)
    }
}

fn victims(input: &Value, rules: Rules) -> Value {
    let mut on = OneNode::new(input);
    let preemptor = on.pod(&input["preemptor"]);
    let budgets = list(&input["pdbs"]);
    let targets: Vec<Target<String>> = list(&input["node"]["pods"])
        .iter()
        .map(|pod| Target {
            pod: text(&pod["name"]),
            priority: int(&pod["priority"]) as i32,
            started: Some(millis(&pod["start_time_ms"])),
            budgets: matching(budgets, |budget| {
                let wanted = labels(&budget["match_labels"]);
                let has = labels(&pod["labels"]);
                !wanted.is_empty() && wanted.iter().all(|(key, value)| has.get(key) == Some(value))
            }),
        })
        .collect();
    let allowed: Vec<i64> = budgets.iter().map(|budget| int(&budget["disruptions_allowed"])).collect();
    let mut trial = OneTrial { on: &on, usage: on.usage.clone(), preemptor, rules };
    let priority = int(&input["preemptor"]["priority"]) as i32;
    match select_victims(&targets, priority, &allowed, rules.victims_sorted, &mut trial) {
        Ok(victims) => {
            let names: Vec<&String> = victims.pods.iter().map(|at| &targets[*at].pod).collect();
            let violations = victims.violations;
            json!({"code": "Success", "num_pdb_violations": violations, "reasons": [], "victims": names})
        }
        Err(status) => {
            let said = said(&status, &on.resources);
            json!({"code": said["code"], "num_pdb_violations": 0, "reasons": said["reasons"], "victims": []})
        }
    }
}

fn matching(budgets: &[Value], matches: impl Fn(&Value) -> bool) -> Vec<usize> {
    (0..budgets.len()).filter(|index| matches(&budgets[*index])).collect()
}

/// What can happen in a recorded run, in the order in which it happens at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Tick,
    Flush,
    /// Node by its place in the list: it joins, is cordoned, is uncordoned.
    Node(usize, u8),
    Arrive(usize),
    /// A pod ends or is deleted; numbered in the order of creation.
    Gone(u32, usize),
}

/// A whole run: the events of the case around the scheduler, as the vectors' README says.
struct Replay<'a> {
    input: &'a Value,
    kube: Kube,
    events: BTreeSet<(u64, Event)>,
    created: u32,
    facts: Vec<Facts>,
    specs: Vec<NodeSpec>,
    ids: Vec<Option<NodeId>>,
    /// Where bound pods stand.
    standing: BTreeMap<usize, NodeId>,
}

fn whole_run(case: &Value, rules: Rules) -> Value {
    let input = &case["input"];
    let mut replay = Replay::new(input, rules);
    let (end, cycle) = (int(&input["end_ms"]) as u64, int(&input["cycle_ms"]) as u64);
    let recorded = list(&case["expected"]);
    let mut rows: Vec<Value> = Vec::new();
    let mut now = 0;
    loop {
        replay.handle_until(now);
        if end < now {
            break;
        }
        let drawn = recorded.get(rows.len()).and_then(|row| row["node"].as_str());
        let drawn = drawn.and_then(|name| replay.node_named(name));
        replay.kube.draw(drawn);
        let Some(attempt) = replay.kube.begin(&mut ()) else {
            let Some((next, _)) = replay.events.first().copied() else { break };
            now = next;
            continue;
        };
        let started = now;
        now += cycle;
        replay.handle_until(now);
        let row = replay.end(&attempt, started, now, rules);
        rows.push(row);
    }
    json!(rows)
}

impl Replay<'_> {
    fn new(input: &Value, rules: Rules) -> Replay<'_> {
        let settings = Settings {
            percentage: int(&input["percentage_of_nodes_to_score"]) as i32,
            ..Settings::of(rules)
        };
        let mut resources = Resources::default();
        let (nodes, pods, pdbs) = (list(&input["nodes"]), list(&input["pods"]), list(&input["pdbs"]));
        let mut specs = Vec::new();
        for node in nodes {
            specs.push(NodeSpec {
                allocatable: requests(&node["allocatable"], &mut resources),
                pods: int(&node["allocatable"]["pods"]),
                labels: labels(&node["labels"]),
                taints: node_taints(node),
                unschedulable: false,
            });
        }
        let shapes: Vec<Shape> = pods
            .iter()
            .map(|pod| Shape {
                request: pod_request(pod, &mut resources),
                tolerations: tolerations(&pod["tolerations"]),
                ..Shape::default()
            })
            .collect();
        let mut kube = Kube::new(settings, resources, None);
        let shapes: Vec<ShapeId> = shapes.into_iter().map(|shape| kube.add_shape(shape)).collect();
        let facts = pods.iter().zip(shapes).map(|(pod, shape)| Facts {
            shape,
            priority: int(&pod["priority"]) as i32,
            never_preempts: pod["preemption_policy_never"] == true,
            budgets: matching(pdbs, |pdb| pdb["match_app"] == pod["labels"]["app"])
                .into_iter()
                .fold(0, |set, bit| set | 1 << bit),
        });
        let facts = facts.collect();
        kube.set_allowances(pdbs.iter().map(|pdb| int(&pdb["disruptions_allowed"])).collect());
        let mut events = BTreeSet::new();
        for (index, node) in nodes.iter().enumerate() {
            for (kind, key) in ["join_ms", "cordon_ms", "uncordon_ms"].into_iter().enumerate() {
                if let Some(at) = node[key].as_u64() {
                    events.insert((at, Event::Node(index, kind as u8)));
                }
            }
        }
        for (index, pod) in pods.iter().enumerate() {
            events.insert((int(&pod["arrive_ms"]) as u64, Event::Arrive(index)));
        }
        for second in 0..=int(&input["end_ms"]) as u64 / 1_000 {
            events.insert((second * 1_000, Event::Tick));
            if second % 30 == 0 {
                events.insert((second * 1_000, Event::Flush));
            }
        }
        let ids = vec![None; specs.len()];
        Replay { input, kube, events, created: 0, facts, specs, ids, standing: BTreeMap::new() }
    }

    fn name(&self, pod: usize) -> &Value {
        &self.input["pods"][pod]["name"]
    }

    fn node_named(&self, name: &str) -> Option<NodeId> {
        self.ids.iter().flatten().copied().find(|node| self.kube.node_name(*node) == name)
    }

    fn handle_until(&mut self, limit: u64) {
        while let Some((at, event)) = self.events.first().copied().filter(|(at, _)| *at <= limit) {
            self.events.pop_first();
            let now = Time(at * 1_000);
            match event {
                Event::Tick => self.kube.tick(now),
                Event::Flush => self.kube.flush(now),
                Event::Node(index, 0) => {
                    let name = text(&self.input["nodes"][index]["name"]);
                    self.ids[index] = Some(self.kube.add_node(name, self.specs[index].clone(), now));
                }
                Event::Node(index, kind) => {
                    self.specs[index].unschedulable = kind == 1;
                    let node = self.ids[index].expect("a node joins before it is cordoned");
                    self.kube.update_node(node, self.specs[index].clone(), now);
                }
                Event::Arrive(pod) => self.kube.arrive(PodId::of(pod), self.facts[pod], now),
                Event::Gone(_, pod) => {
                    // An evicted pod may end first; it goes once.
                    if let Some(node) = self.standing.remove(&pod) {
                        self.kube.deleted(PodId::of(pod), node, now);
                    }
                }
            }
        }
    }

    fn plan_end(&mut self, pod: usize, at: u64) {
        self.created += 1;
        self.events.insert((at, Event::Gone(self.created, pod)));
    }

    /// Ends a cycle; the row of the record.
    fn end(
        &mut self,
        attempt: &slicewise::sched::kube::Attempt,
        started: u64,
        now: u64,
        rules: Rules,
    ) -> Value {
        let (pod, time) = (attempt.pod.index(), Time(now * 1_000));
        let mut row = json!({"t": started, "pod": self.name(pod), "next_start": self.kube.next_start()});
        self.kube.end(attempt, time);
        match &attempt.outcome {
            Outcome::Placed { node, feasible, evaluated } => {
                row["node"] = json!(self.kube.node_name(*node));
                row["feasible"] = json!(feasible);
                row["evaluated"] = json!(evaluated);
                self.standing.insert(pod, *node);
                self.plan_end(pod, now + int(&self.input["pods"][pod]["duration_ms"]) as u64);
            }
            Outcome::Failed(failure) => {
                row["error"] = json!(self.kube.reasons().text(failure.message));
                let mut names = BTreeSet::new();
                for victim in &failure.victims {
                    let victim = victim.index();
                    let stands = self.standing.get(&victim).copied();
                    if stands.is_some() || !rules.spares_terminating {
                        names.insert(text(self.name(victim)));
                    }
                    if let Some(node) = stands {
                        self.kube.terminate(PodId::of(victim), node, true);
                        self.plan_end(victim, now + int(&self.input["grace_ms"]) as u64);
                    }
                }
                if !names.is_empty() {
                    row["victims"] = json!(names);
                }
                let waiting = self.kube.queue().get(attempt.pod).expect("it waits on");
                if let Some(node) = waiting.nominated {
                    row["nominated"] = json!(self.kube.node_name(node));
                }
                row["queue_after"] = json!(match waiting.place {
                    Place::Active => "active",
                    Place::Backoff | Place::Errors => "backoff",
                    Place::Unschedulable => "unschedulable",
                    Place::InFlight => panic!("its cycle ended"),
                });
            }
        }
        row
    }
}
