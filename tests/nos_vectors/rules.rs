//! What no vector tells apart, written from the text; and each quirk with its fix.

use super::kube;
use serde_json::{Value, json};
use slicewise::partition::nos::names::Kind;
use slicewise::partition::nos::state::{State, config_keys};
use slicewise::partition::nos::{
    First, Fix, Fixes, Node, Plan, Pod, Settings, Shape, Snapshot, Tables, plan,
};
use std::collections::BTreeSet;

fn tables() -> Tables {
    kube::tables(&json!({
        "A30": [{"4g.24gb": 1}, {"2g.12gb": 2}, {"1g.6gb": 2, "2g.12gb": 1}, {"1g.6gb": 4}],
    }))
}

/// A node with GPUs of a kind, status annotations like `0-1g.6gb-free`, and allocatable slices to match
/// unless said otherwise.
fn node(name: &str, kind: Kind, gpus: u32, slices: &[(&str, u32)]) -> Value {
    let mut allocatable = json!({ "cpu": "8", "memory": "64Gi", "pods": "110" });
    let mut annotations = json!({});
    for (slice, count) in slices {
        annotations[format!("nos.nebuly.com/status-gpu-{slice}")] = json!(count.to_string());
        let resource = kind.resource(slice.split('-').nth(1).expect("a profile"));
        let before = allocatable[&resource].as_str().map_or(0, |n| n.parse().expect("a number"));
        allocatable[&resource] = json!((before + count).to_string());
    }
    json!({
        "name": name,
        "labels": {
            "nvidia.com/gpu.product": "A30",
            "nvidia.com/gpu.count": gpus.to_string(),
            "nvidia.com/gpu.memory": "40000",
            "nos.nebuly.com/gpu-partitioning": kind.word(),
        },
        "annotations": annotations,
        "allocatable": allocatable,
        "runningPods": [],
    })
}

fn pod(requests: Value) -> Value {
    json!({ "name": "p", "containers": [requests] })
}

fn slice(resource: &str, count: u32) -> Value {
    pod(json!({ "cpu": "100m", resource: count.to_string() }))
}

struct World {
    snapshot: Snapshot,
    shapes: Vec<Shape>,
    pods: Vec<Pod>,
}

impl World {
    fn new(kind: Kind, nodes: &[Value], pods: &[Value], fixes: Fixes) -> Option<World> {
        let mut snapshot = kube::snapshot(kind, &tables(), &json!(nodes), fixes)?;
        let (shapes, pods) = kube::pods(snapshot.names_mut(), &json!(pods));
        Some(World { snapshot, shapes, pods })
    }

    fn plan(&self, fixes: Fixes) -> Plan {
        let settings = Settings { fixes, ..Settings::default() };
        plan(&self.snapshot, &self.shapes, &self.pods, &settings, &mut First)
    }
}

/// Nodes of the plan with the pods placed on each and what should stand on their GPUs.
fn shown(world: &World, fixes: Fixes) -> Value {
    let plan = world.plan(fixes);
    let kind = world.snapshot.kind();
    let recuts = plan.recuts.iter().map(|recut| {
        let gpus =
            recut.gpus.iter().map(|(_, counts)| kube::profiles_json(world.snapshot.names(), kind, counts));
        json!([recut.name, recut.pods, gpus.collect::<Vec<_>>()])
    });
    recuts.collect()
}

/// What is planned as nos plans, and with one fix alone.
#[track_caller]
fn check(fix: Fix, kind: Kind, nodes: &[Value], pods: &[Value], quirk: Value, fixed: Value) {
    for (fixes, expected) in [(Fixes::NONE, quirk), (Fixes::from_iter([fix]), fixed)] {
        let world = World::new(kind, nodes, pods, fixes).expect("nodes that can be read");
        let found = shown(&world, fixes);
        assert_eq!(kube::canonical(&found), kube::canonical(&expected), "{fix} {fixes:?}");
    }
}

const MIG_1G: &str = "nvidia.com/mig-1g.6gb";
const MIG_2G: &str = "nvidia.com/mig-2g.12gb";
const MIG_4G: &str = "nvidia.com/mig-4g.24gb";

#[test]
fn pods_share_what_is_free() {
    check(
        Fix::LackingPerPod,
        Kind::Mig,
        &[node("n", Kind::Mig, 1, &[("0-2g.12gb-free", 1), ("0-1g.6gb-free", 2)])],
        &[slice(MIG_2G, 1), slice(MIG_2G, 1), slice(MIG_2G, 1)],
        json!([]),
        json!([["n", [0, 1], [{ "2g.12gb": 2 }]]]),
    );
}

#[test]
fn free_slices_out_of_reach_do_not_hide_a_need() {
    let mut full = node("n1", Kind::Mig, 1, &[("0-1g.6gb-free", 4)]);
    full["allocatable"]["cpu"] = json!("0");
    check(
        Fix::ClusterWideFree,
        Kind::Mig,
        &[full, node("n2", Kind::Mig, 1, &[("0-4g.24gb-free", 1)])],
        &[slice(MIG_1G, 1)],
        json!([]),
        json!([["n2", [0], [{ "1g.6gb": 2, "2g.12gb": 1 }]]]),
    );
}

#[test]
fn all_slices_of_a_pod_are_asked_for() {
    check(
        Fix::DoubleDiscount,
        Kind::Mig,
        &[node("n", Kind::Mig, 1, &[("0-1g.6gb-free", 2), ("0-2g.12gb-free", 1)])],
        &[slice(MIG_1G, 3)],
        json!([]),
        json!([["n", [0], [{ "1g.6gb": 4 }]]]),
    );
}

#[test]
fn mps_grows_a_profile_that_has_free_slices() {
    let wanted = slice("nvidia.com/gpu-10gb", 2);
    check(
        Fix::MpsGrow,
        Kind::Mps,
        &[node("n", Kind::Mps, 1, &[("0-10gb-free", 1)])],
        &[wanted.clone(), wanted],
        json!([]),
        json!([["n", [0], [{ "10gb": 2 }]]]),
    );
}

#[test]
fn mps_puts_back_what_fits_and_serves_large_slices_first() {
    check(
        Fix::MpsRestore,
        Kind::Mps,
        &[node("n", Kind::Mps, 1, &[("0-10gb-free", 3)])],
        &[slice("nvidia.com/gpu-20gb", 1)],
        json!([["n", [0], [{ "20gb": 1 }]]]),
        json!([["n", [0], [{ "10gb": 2, "20gb": 1 }]]]),
    );
    check(
        Fix::MpsRestore,
        Kind::Mps,
        &[node("n", Kind::Mps, 1, &[])],
        &[slice("nvidia.com/gpu-20gb", 1), slice("nvidia.com/gpu-30gb", 1)],
        json!([["n", [0], [{ "20gb": 1 }]]]),
        json!([["n", [1], [{ "30gb": 1 }]]]),
    );
}

#[test]
fn a_geometry_that_is_no_better_is_not_taken() {
    let nodes = [node("n", Kind::Mig, 1, &[("0-2g.12gb-used", 1), ("0-1g.6gb-free", 2)])];
    for (fixes, expected) in [(Fixes::NONE, true), (Fixes::from_iter([Fix::MigScore]), false)] {
        let mut world = World::new(Kind::Mig, &nodes, &[], fixes).expect("a snapshot");
        let need = kube::need(&mut world.snapshot, &json!({ "1g.6gb": 3 }));
        let mut node = world.snapshot.get("n").expect("the node").clone();
        assert_eq!(world.snapshot.update(&mut node, &need, fixes, &mut First), expected);
        assert_eq!(node.geometry(), world.snapshot.get("n").expect("the node").geometry());
    }
}

#[test]
fn a_pod_is_placed_once() {
    let free = [("0-2g.12gb-free", 2)];
    check(
        Fix::DuplicatePlacement,
        Kind::Mig,
        &[node("n1", Kind::Mig, 1, &free), node("n2", Kind::Mig, 1, &free)],
        &[slice(MIG_2G, 1), slice("nvidia.com/mig-1g.5gb", 1)],
        json!([["n1", [0], [{ "2g.12gb": 2 }]], ["n2", [0], [{ "2g.12gb": 2 }]]]),
        json!([["n1", [0], [{ "2g.12gb": 2 }]]]),
    );
}

#[test]
fn only_pods_that_lacked_slices_keep_a_geometry() {
    check(
        Fix::AnyPodCommits,
        Kind::Mig,
        &[node("n", Kind::Mig, 1, &[("0-4g.24gb-free", 1)])],
        &[pod(json!({ "cpu": "1" })), pod(json!({ "cpu": "100", MIG_2G: "2" }))],
        json!([["n", [0], [{ "2g.12gb": 2 }]]]),
        json!([]),
    );
}

#[test]
fn the_higher_priority_chooses_the_geometry() {
    let mut high = slice(MIG_4G, 1);
    high["priority"] = json!(10);
    check(
        Fix::PriorityBlind,
        Kind::Mig,
        &[node("n", Kind::Mig, 1, &[("0-1g.6gb-free", 4)])],
        &[high, slice(MIG_2G, 1), slice(MIG_2G, 1)],
        json!([["n", [1, 2], [{ "2g.12gb": 2 }]]]),
        json!([["n", [0], [{ "4g.24gb": 1 }]]]),
    );
}

#[test]
fn the_scheduler_counts_pods_and_sees_claims() {
    let mut one_pod = node("n", Kind::Mig, 1, &[("0-4g.24gb-free", 1)]);
    one_pod["allocatable"]["pods"] = json!("1");
    check(
        Fix::BlindScheduler,
        Kind::Mig,
        &[one_pod],
        &[slice(MIG_2G, 1), slice(MIG_2G, 1)],
        json!([["n", [0, 1], [{ "2g.12gb": 2 }]]]),
        json!([["n", [0], [{ "2g.12gb": 2 }]]]),
    );
    let nodes = [node("n", Kind::Mig, 1, &[("0-4g.24gb-free", 1)])];
    let mut world = World::new(Kind::Mig, &nodes, &[slice(MIG_2G, 1)], Fixes::NONE).expect("a snapshot");
    world.shapes[0].unseen = true;
    assert!(world.plan(Fixes::NONE).recuts.is_empty());
    assert_eq!(world.plan(Fixes::from_iter([Fix::BlindScheduler])).recuts.len(), 1);
}

#[test]
fn the_missing_index_is_filled_in() {
    let nodes = [node("n", Kind::Mig, 2, &[("1-4g.24gb-used", 1)])];
    for (fixes, expected) in [(Fixes::NONE, [1, 1]), (Fixes::from_iter([Fix::MissingIndex]), [1, 0])] {
        let world = World::new(Kind::Mig, &nodes, &[], fixes).expect("a snapshot");
        let indexes: Vec<i64> = world.snapshot.nodes()[0].gpus.iter().map(|gpu| gpu.index).collect();
        assert_eq!(indexes, expected);
    }
}

#[test]
fn a_bad_node_is_left_out() {
    let mut bad = node("bad", Kind::Mig, 1, &[]);
    bad["labels"]["nvidia.com/gpu.product"] = json!("H100");
    let nodes = [bad, node("good", Kind::Mig, 1, &[])];
    assert!(World::new(Kind::Mig, &nodes, &[], Fixes::NONE).is_none());
    let world = World::new(Kind::Mig, &nodes, &[], Fixes::from_iter([Fix::BadNode])).expect("one node");
    assert_eq!(world.snapshot.nodes().iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["good"]);
}

#[test]
fn memory_is_what_the_card_has() {
    let mut card = node("n", Kind::Mps, 1, &[]);
    card["labels"]["nvidia.com/gpu.memory"] = json!("40960");
    check(
        Fix::MemoryRounding,
        Kind::Mps,
        &[card],
        &[slice("nvidia.com/gpu-41gb", 1)],
        json!([["n", [0], [{ "41gb": 1 }]]]),
        json!([]),
    );
}

#[test]
fn slices_of_nothing_are_not_made() {
    check(
        Fix::ZeroSlices,
        Kind::Mps,
        &[node("n", Kind::Mps, 1, &[])],
        &[slice("nvidia.com/gpu-0gb", 1)],
        json!([["n", [0], [{ "0gb": 1 }]]]),
        json!([]),
    );
}

#[test]
fn numbers_in_names_count_as_numbers() {
    let free = [("0-4g.24gb-free", 1)];
    let cut = json!([{ "1g.6gb": 2, "2g.12gb": 1 }]);
    check(
        Fix::TextOrder,
        Kind::Mig,
        &[node("node-2", Kind::Mig, 1, &free), node("node-10", Kind::Mig, 1, &free)],
        &[slice(MIG_1G, 1)],
        json!([["node-10", [0], cut]]),
        json!([["node-2", [0], cut]]),
    );
}

#[test]
fn only_changed_nodes_are_written() {
    let free = [("0-4g.24gb-free", 1)];
    let nodes = [node("a", Kind::Mig, 1, &free), node("b", Kind::Mig, 1, &free)];
    let world = World::new(Kind::Mig, &nodes, &[slice(MIG_2G, 2)], Fixes::NONE).expect("a snapshot");
    let (current, desired) = (world.snapshot.state(), world.plan(Fixes::NONE).state(&world.snapshot));
    assert_eq!(current.written(&desired, Fixes::NONE), ["a", "b"]);
    assert_eq!(current.written(&desired, Fixes::from_iter([Fix::RewriteAll])), ["a"]);
    assert!(current.written(&current, Fixes::NONE).is_empty());
    assert!(current.written(&State::default(), Fixes::NONE).is_empty());
}

#[test]
fn configurations_of_other_nodes_stay() {
    let keys: BTreeSet<String> = ["node-1-7", "node-10-7", "node-2-7"].map(str::to_owned).into();
    let after = |fixes| config_keys(&keys, "node-1", "8", fixes).into_iter().collect::<Vec<_>>();
    assert_eq!(after(Fixes::NONE), ["node-1-8", "node-2-7"]);
    assert_eq!(after(Fixes::from_iter([Fix::ConfigPrefix])), ["node-1-8", "node-10-7", "node-2-7"]);
}

// Rules that no vector distinguishes.

/// §1.5: slices of the other kind and plain GPUs stay; a profile of which none is left is listed as 0.
#[test]
fn allocatable_keeps_what_is_not_its_own_and_lists_zero_totals() {
    let mut both = node("n", Kind::Mig, 1, &[("0-2g.12gb-used", 2), ("0-1g.6gb-free", 0)]);
    both["allocatable"]["nvidia.com/gpu-10gb"] = json!("3");
    both["allocatable"]["nvidia.com/gpu"] = json!("1");
    both["allocatable"]["nvidia.com/mig-7g.40gb"] = json!("5");
    let mut world = World::new(Kind::Mig, &[both], &[], Fixes::NONE).expect("a snapshot");
    let need = kube::need(&mut world.snapshot, &json!({ "7g.40gb": 1 }));
    let mut node = world.snapshot.get("n").expect("the node").clone();
    assert!(!world.snapshot.update(&mut node, &need, Fixes::NONE, &mut First));
    let found = kube::scalars_json(world.snapshot.names(), &node.allocatable.scalars);
    let expected = json!({ "nvidia.com/gpu-10gb": 3, "nvidia.com/gpu": 1, MIG_2G: 2, MIG_1G: 0 });
    assert_eq!(kube::canonical(&found), kube::canonical(&expected));
    // With nothing asked for it is not counted anew.
    let mut untouched = world.snapshot.get("n").expect("the node").clone();
    let nothing = kube::need(&mut world.snapshot, &json!({}));
    assert!(!world.snapshot.update(&mut untouched, &nothing, Fixes::NONE, &mut First));
    assert_eq!(&untouched, world.snapshot.get("n").expect("the node"));
}

/// §1.5, §1.6: an annotation of 0 is an entry. A GPU that is full in a geometry of the table then looks
/// free, and the entry is part of what is desired.
#[test]
fn entries_of_zero_count() {
    let free = |slices: &[(&str, u32)]| {
        let world = World::new(Kind::Mig, &[node("n", Kind::Mig, 1, slices)], &[], Fixes::NONE);
        let world = world.expect("a snapshot");
        let state = world.snapshot.state();
        let entries = state.get("n").expect("the node")[0].resources.len();
        (world.snapshot.candidates().count(), entries)
    };
    assert_eq!(free(&[("0-2g.12gb-used", 2)]), (0, 1));
    assert_eq!(free(&[("0-2g.12gb-used", 2), ("0-1g.6gb-used", 0)]), (1, 2));
    assert_eq!(free(&[("0-2g.12gb-used", 2), ("0-1g.6gb-free", 0)]), (1, 2));
}

/// §1.5, §2.4: a pod that was placed is charged with its overhead.
#[test]
fn overhead_of_placed_pods_is_charged() {
    for (overhead, placed) in [("0", json!([0, 1])), ("4", json!([0]))] {
        let mut wanted = slice(MIG_2G, 1);
        wanted["overhead"] = json!({ "cpu": overhead });
        let nodes = [node("n", Kind::Mig, 1, &[("0-4g.24gb-free", 1)])];
        let world =
            World::new(Kind::Mig, &nodes, &[wanted.clone(), wanted], Fixes::NONE).expect("a snapshot");
        assert_eq!(shown(&world, Fixes::NONE)[0][1], placed, "{overhead}");
    }
}

/// §2.4: a node whose requested CPU exceeds its allocatable refuses whoever asks for anything, a slice
/// of 0 included; who asks for nothing passes.
#[test]
fn an_overcommitted_node_takes_only_pods_that_ask_for_nothing() {
    let mut over = node("n", Kind::Mig, 1, &[("0-4g.24gb-free", 1)]);
    over["runningPods"] = json!([{ "name": "r", "containers": [{ "cpu": "9" }] }]);
    let pods = [
        pod(json!({ "memory": "1" })),
        pod(json!({ MIG_4G: "0" })),
        pod(json!({ MIG_2G: "1" })),
        pod(json!({})),
    ];
    let world = World::new(Kind::Mig, &[over], &pods, Fixes::NONE).expect("a snapshot");
    assert_eq!(shown(&world, Fixes::NONE)[0][1], json!([3]));
}

/// §2.3: the pods of a node compete for what is free in the whole snapshot, less what is requested
/// anywhere. Node `a` is asked for more than it has, which hides the slice of `b`: the update of `a` is
/// made in place, and counts for `b` although no pod fits `a`.
#[test]
fn what_was_changed_in_place_counts_until_a_node_is_kept() {
    let mut a = node("a", Kind::Mig, 1, &[("0-4g.24gb-free", 1)]);
    a["allocatable"]["cpu"] = json!("0");
    a["allocatable"][MIG_2G] = json!("1");
    // Two running pods hold slices that no annotation shows.
    a["runningPods"] = json!([{ "name": "r", "containers": [{ MIG_2G: "3" }] }]);
    let b = node("b", Kind::Mig, 1, &[("0-2g.12gb-free", 2)]);
    let wanted = [slice(MIG_2G, 1)];
    let world = World::new(Kind::Mig, &[a.clone(), b.clone()], &wanted, Fixes::NONE).expect("a snapshot");
    // Allocatable 1 + 2, requested 3: none is free, and the pod lacks one.
    assert_eq!(world.plan(Fixes::NONE).lacking.levels()[0].len(), 1);
    // The update of `a` makes it 2 + 2 - 3 = 1, so that `b` may take the pod.
    assert_eq!(shown(&world, Fixes::NONE), json!([["b", [0], [{ "2g.12gb": 2 }]]]));
    // Once a node is kept, what later visits change and do not keep is gone.
    let first = node("0", Kind::Mig, 1, &[("0-1g.6gb-free", 4)]);
    let pods = [wanted[0].clone(), slice(MIG_1G, 1)];
    let used = node("0", Kind::Mig, 1, &[("0-1g.6gb-used", 1), ("0-1g.6gb-free", 3)]);
    for first in [first, used] {
        let world = World::new(Kind::Mig, &[first, a.clone(), b.clone()], &pods, Fixes::NONE);
        let world = world.expect("a snapshot");
        let kept = shown(&world, Fixes::NONE);
        assert_eq!(kept[0][0], "0", "{kept}");
    }
}

/// §2.3: what is desired is written down after each placement, so an entry of 0 that a refused pod
/// leaves on a GPU afterwards is not in it.
#[test]
fn what_a_refused_pod_leaves_behind_is_not_desired() {
    // The node has two slices of 4g left, no GPU has both.
    let free = [("0-4g.24gb-free", 1), ("1-4g.24gb-free", 1), ("2-4g.24gb-free", 1)];
    let nodes = [node("n", Kind::Mig, 3, &free)];
    for (priority, zeros) in [(-1, 1), (1, 2)] {
        let mut refused = pod(json!({ MIG_1G: "0", MIG_4G: "2" }));
        refused["priority"] = json!(priority);
        let world = World::new(Kind::Mig, &nodes, &[slice(MIG_2G, 2), refused], Fixes::NONE);
        let found = shown(&world.expect("a snapshot"), Fixes::NONE);
        assert_eq!(found[0][1], json!([0]));
        let entries =
            found[0][2].as_array().expect("GPUs").iter().map(|gpu| gpu.as_object().map(|g| g.len()));
        assert_eq!(entries.collect::<Vec<_>>(), vec![Some(zeros); 3], "{priority}: {found}");
    }
}

/// A node without GPUs of its own is nobody's candidate, and nothing in it panics.
#[test]
fn empty_and_absurd_inputs_are_answered() {
    let mut world = World::new(Kind::Mps, &[], &[], Fixes::NONE).expect("an empty snapshot");
    assert_eq!(world.plan(Fixes::all()), Plan::default());
    world.snapshot.insert(Node { name: "empty".to_owned(), ..Node::default() });
    assert_eq!(world.snapshot.candidates().count(), 0);
    let huge = node("n", Kind::Mps, 1, &[("0-1gb-free", u32::MAX)]);
    assert!(World::new(Kind::Mps, &[huge], &[], Fixes::NONE).is_none(), "more than the card has");
    let mut many = node("n", Kind::Mps, 1, &[]);
    many["labels"]["nvidia.com/gpu.count"] = json!("999999999999");
    assert!(World::new(Kind::Mps, &[many], &[], Fixes::NONE).is_none());
    let wanted = [slice("nvidia.com/gpu-0gb", u32::MAX), slice("nvidia.com/gpu-1gb", u32::MAX)];
    for fixes in [Fixes::NONE, Fixes::all()] {
        let world = World::new(Kind::Mps, &[node("n", Kind::Mps, 2, &[])], &wanted, fixes);
        world.expect("a snapshot").plan(fixes);
    }
}
