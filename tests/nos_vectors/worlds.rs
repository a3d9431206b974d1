//! Random clusters for the planner and its oracle: whole and broken geometries, stale sums, pods of
//! every kind, all drawn from a seed.

use super::slow::{Amounts, Map, NodeSpec, PodSpec, World, pod_request};
use slicewise::id::NodeId;
use slicewise::partition::nos::names::Kind;
use slicewise::partition::nos::table::Entry;
use slicewise::partition::nos::{
    Fixes, Names, NodeText, Pod, Port, Reach, Resources, Shape, Snapshot, Tables, take,
};
use slicewise::rng::Stream;
use std::collections::{BTreeMap, BTreeSet};

const MODEL: &str = "card";

/// Draws, one after the other.
pub(crate) struct Dice(pub(crate) Stream);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0.below(n as u64) as usize
    }

    /// True once in `n` times.
    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }
}

fn map(entries: &[(&str, i64)]) -> Map {
    entries.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// Profiles that are drawn, the odd ones last.
fn profiles(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Mig => &["1g.5gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb", "1g.10gb.me", "3g.12gb"],
        Kind::Mps => &["5gb", "10gb", "20gb", "4gb", "1gb", "010gb", "0gb", "7gb-x"],
    }
}

fn table(dice: &mut Dice) -> Vec<Map> {
    let mut table = vec![
        map(&[("1g.5gb", 7)]),
        map(&[("1g.5gb", 3), ("2g.10gb", 2)]),
        map(&[("1g.5gb", 1), ("2g.10gb", 3)]),
        map(&[("1g.5gb", 2), ("2g.10gb", 1), ("3g.20gb", 1)]),
        map(&[("1g.5gb", 3), ("3g.20gb", 1)]),
        map(&[("3g.20gb", 2)]),
        map(&[("1g.5gb", 1), ("2g.10gb", 1), ("4g.20gb", 1)]),
        map(&[("7g.40gb", 1)]),
    ];
    if dice.once_in(3) {
        for _ in 0..1 + dice.below(3) {
            let mut geometry = Map::new();
            for _ in 0..1 + dice.below(3) {
                let profile = dice.of(&profiles(Kind::Mig)[..6]);
                geometry.insert(profile.to_owned(), 1 + dice.below(3) as i64);
            }
            table.push(geometry);
        }
    }
    if dice.once_in(4) {
        let twice = dice.of(&table);
        table.push(twice);
    }
    if dice.once_in(2) {
        table.reverse();
    }
    table
}

/// Slices of one GPU: used and free.
fn standing(dice: &mut Dice, kind: Kind, table: &[Map], memory_gb: i64) -> (Map, Map) {
    let (mut used, mut free) = (Map::new(), Map::new());
    match kind {
        Kind::Mig => {
            let geometry = dice.of(table);
            for (profile, count) in geometry {
                let taken = dice.below(count as usize + 1) as i64;
                let left = count - taken;
                // Some slices are missing from one GPU in five.
                let left = if dice.once_in(5) { dice.below(left as usize + 1) as i64 } else { left };
                if 0 < taken {
                    used.insert(profile.clone(), taken);
                }
                if 0 < left {
                    free.insert(profile, left);
                }
            }
            if dice.once_in(12) {
                used.insert(dice.of(profiles(kind)).to_owned(), 1);
            }
        }
        Kind::Mps => {
            let mut spare = memory_gb;
            for _ in 0..dice.below(5) {
                let profile = dice.of(&profiles(kind)[..6]);
                let size = profile.trim_end_matches("gb").parse::<i64>().expect("a size");
                if size <= spare || dice.once_in(60) {
                    spare -= size;
                    let map = if dice.once_in(2) { &mut used } else { &mut free };
                    *map.entry(profile.to_owned()).or_insert(0) += 1;
                }
            }
        }
    }
    if dice.once_in(8) {
        let profile = dice.of(profiles(kind)).to_owned();
        let zero = if dice.once_in(2) { &mut used } else { &mut free };
        // A size of nothing makes an MPS node unreadable, which is drawn now and then above.
        if kind == Kind::Mig || !["0gb", "7gb-x"].contains(&profile.as_str()) {
            zero.entry(profile).or_insert(0);
        }
    }
    (used, free)
}

fn cpu(dice: &mut Dice, most: usize) -> Amounts {
    let mut amounts = Amounts::new();
    if !dice.once_in(5) {
        amounts.insert("cpu".to_owned(), 100 * dice.below(most * 10) as i64);
    }
    if dice.once_in(3) {
        amounts.insert("memory".to_owned(), dice.below(64) as i64);
    }
    amounts
}

fn node(dice: &mut Dice, kind: Kind, table: &[Map], name: String) -> NodeSpec {
    let gpus = dice.of(&[1, 1, 1, 2, 2, 3, 4, 0]);
    let mib: i64 = dice.of(&[40_960, 40_000, 24_576, 15_360, 40_000, 999]);
    let memory_gb = (mib + 999) / 1000;
    let mut spec = NodeSpec { name, ..NodeSpec::default() };
    let other = if kind == Kind::Mig { "mps" } else { "mig" };
    let word = if dice.once_in(25) { other } else { kind.word() };
    for (key, value) in [
        ("nvidia.com/gpu.product", MODEL.to_owned()),
        ("nvidia.com/gpu.count", gpus.to_string()),
        ("nvidia.com/gpu.memory", mib.to_string()),
        ("nos.nebuly.com/gpu-partitioning", word.to_owned()),
        ("zone", dice.of(&["a", "b"]).to_owned()),
    ] {
        spec.labels.insert(key.to_owned(), value);
    }
    if dice.once_in(150) {
        spec.labels.insert("nvidia.com/gpu.product".to_owned(), "unknown".to_owned());
    }
    if dice.once_in(150) {
        spec.labels.remove("nvidia.com/gpu.count");
    }
    let mut used_in_all = Amounts::new();
    let indexes: Vec<usize> = (0..gpus + usize::from(dice.once_in(15))).collect();
    for index in indexes {
        // Some GPUs have no annotation; if it is not the last, nos uses an index twice.
        if dice.once_in(6) {
            continue;
        }
        let (used, free) = standing(dice, kind, table, memory_gb);
        for (word, map) in [("used", used), ("free", free)] {
            for (profile, count) in map {
                let key = format!("nos.nebuly.com/status-gpu-{index}-{profile}-{word}");
                spec.annotations.insert(key, count.to_string());
                *spec.allocatable.entry(kind.resource(&profile)).or_insert(0) += count;
                if word == "used" {
                    *used_in_all.entry(kind.resource(&profile)).or_insert(0) += count;
                }
            }
        }
        if dice.once_in(20) {
            let key = format!("nos.nebuly.com/status-gpu-{index}-1g.5gb-Unknown");
            spec.annotations.insert(key, "2".to_owned());
        }
    }
    if dice.once_in(6) {
        // What kubelet says is stale.
        let resource = kind.resource(dice.of(&profiles(kind)[..5]));
        spec.allocatable.insert(resource, dice.below(5) as i64);
    }
    if dice.once_in(6) {
        spec.allocatable.insert("nvidia.com/gpu".to_owned(), 1);
        let foreign = if kind == Kind::Mig { "nvidia.com/gpu-10gb" } else { "nvidia.com/mig-1g.5gb" };
        spec.allocatable.insert(foreign.to_owned(), 2);
    }
    spec.allocatable.insert("cpu".to_owned(), 1_000 * dice.of(&[8, 8, 16, 64, 1]));
    spec.allocatable.insert("memory".to_owned(), dice.of(&[64, 128, 512]));
    spec.allocatable.insert("pods".to_owned(), dice.of(&[110, 110, 110, 2, 1]));
    for _ in 0..dice.below(3) {
        let mut pod = PodSpec { containers: vec![cpu(dice, 4)], ..PodSpec::default() };
        if dice.once_in(4) {
            pod.host_ports.insert(dice.of(&[80, 81]));
        }
        if dice.once_in(6) {
            pod.overhead.insert("cpu".to_owned(), 250);
        }
        spec.running.push(pod);
    }
    if !dice.once_in(8) && !used_in_all.is_empty() {
        // Whoever holds the used slices; otherwise nos has not counted them.
        spec.running.push(PodSpec { containers: vec![used_in_all], ..PodSpec::default() });
    }
    if dice.once_in(10) {
        spec.taints.insert(dice.of(&["gpu", "spot"]).to_owned());
    }
    spec.cordoned = dice.once_in(15);
    spec
}

fn pod(dice: &mut Dice, kind: Kind, name: String, nodes: &[NodeSpec]) -> PodSpec {
    let mut pod = PodSpec { name, ..PodSpec::default() };
    let mut containers = vec![cpu(dice, 3)];
    for _ in 0..dice.of(&[1, 1, 1, 1, 1, 1, 0, 2, 3]) {
        let common = if dice.once_in(10) { profiles(kind) } else { &profiles(kind)[..5] };
        let count = dice.of(&[1, 1, 1, 1, 2, 3, 0]);
        let at = dice.below(containers.len());
        *containers[at].entry(kind.resource(dice.of(common))).or_insert(0) += count;
        if dice.once_in(6) {
            containers.push(Amounts::new());
        }
    }
    if dice.once_in(20) {
        let odd = ["x.nvidia.com/gpu-10gb", "x.nvidia.com/mig-1g.5gb", "nvidia.com/gpu", "example.com/foo"];
        containers[0].insert(dice.of(&odd).to_owned(), 1);
    }
    pod.containers = containers;
    if dice.once_in(10) {
        let mut init = cpu(dice, 6);
        if dice.once_in(2) {
            init.insert(kind.resource(dice.of(&profiles(kind)[..5])), 1);
        }
        pod.init_containers.push(init);
    }
    if dice.once_in(10) {
        pod.overhead = Amounts::from([("cpu".to_owned(), 500)]);
    }
    pod.priority = dice.of(&[None, None, Some(0), Some(10), Some(-5)]);
    if dice.once_in(12) {
        pod.selector.insert("zone".to_owned(), dice.of(&["a", "b", "c"]).to_owned());
    }
    if dice.once_in(25) {
        pod.node_name = dice.of(nodes).name;
    }
    for taint in ["gpu", "spot", "node.kubernetes.io/unschedulable"] {
        if dice.once_in(3) {
            pod.tolerations.insert(taint.to_owned());
        }
    }
    if dice.once_in(15) {
        pod.host_ports.insert(dice.of(&[80, 81]));
    }
    pod.claims_volume = dice.once_in(25);
    pod
}

/// The cluster of a seed. Every tenth has more pods than the sort takes in one block.
pub(crate) fn draw(seed: u64, small: bool) -> World {
    let mut dice = Dice(Stream::new(seed, "nos-world", 0));
    let kind = dice.of(&[Kind::Mig, Kind::Mps]);
    let table = table(&mut dice);
    let mut names: BTreeSet<String> = BTreeSet::new();
    let most = if small { 2 } else { dice.of(&[2, 4, 6, 9]) };
    for _ in 0..1 + dice.below(most) {
        names.insert(format!("node-{}", dice.below(15)));
    }
    let mut nodes: Vec<NodeSpec> =
        names.into_iter().map(|name| node(&mut dice, kind, &table, name)).collect();
    if dice.once_in(2) {
        nodes.reverse();
    }
    let count = match (small, dice.below(10)) {
        (true, _) => 1 + dice.below(4),
        (false, 0) => 21 + dice.below(60),
        (false, _) => 1 + dice.below(14),
    };
    let pods = (0..count).map(|i| pod(&mut dice, kind, format!("p{i}"), &nodes)).collect();
    World { kind, tables: BTreeMap::from([(MODEL.to_owned(), table)]), nodes, pods }
}

fn resources(names: &mut Names, amounts: &Amounts) -> Resources {
    let mut resources = Resources::default();
    for (name, amount) in amounts {
        match name.as_str() {
            "cpu" => resources.cpu_milli = *amount,
            "memory" => resources.memory_bytes = *amount,
            "ephemeral-storage" => resources.storage_bytes = *amount,
            "pods" => resources.pods = *amount,
            _ => resources.scalars.add(names.intern(name), *amount),
        }
    }
    resources
}

/// What the fast planner is given for a world; `None` if it cannot read a node.
pub(crate) fn lower(world: &World, fixes: Fixes) -> Option<(Snapshot, Vec<Shape>, Vec<Pod>)> {
    let entry = |(model, geometries): (&String, &Vec<Map>)| Entry {
        models: vec![model.clone()],
        geometries: geometries.clone(),
    };
    let tables = Tables::of(&world.tables.iter().map(entry).collect::<Vec<_>>());
    let mut snapshot = Snapshot::new(world.kind, &tables);
    let ports = |pod: &PodSpec| -> Vec<Port> {
        let port = |number: &u16| Port { ip: String::new(), protocol: String::new(), number: *number };
        pod.host_ports.iter().map(port).collect()
    };
    let mut texts = Vec::new();
    for (at, node) in world.nodes.iter().enumerate() {
        let names = snapshot.names_mut();
        let mut requested = Resources::default();
        for pod in &node.running {
            requested = requested.plus(&resources(names, &pod_request(pod)));
            requested = requested.plus(&resources(names, &pod.overhead));
        }
        texts.push(NodeText {
            id: NodeId::of(at),
            name: node.name.clone(),
            labels: node.labels.clone(),
            annotations: node.annotations.clone(),
            allocatable: resources(names, &node.allocatable),
            requested,
            pods: node.running.len() as i64,
            ports: node.running.iter().flat_map(ports).collect(),
        });
    }
    take(&mut snapshot, texts, fixes).ok()?;
    let (mut shapes, mut pods): (Vec<Shape>, Vec<Pod>) = (Vec::new(), Vec::new());
    for pod in &world.pods {
        let reaches = |node: &NodeSpec| {
            let cordon = node.cordoned && !pod.tolerations.contains("node.kubernetes.io/unschedulable");
            let taint = node.taints.iter().any(|taint| !pod.tolerations.contains(taint));
            let elsewhere = !pod.node_name.is_empty() && pod.node_name != node.name;
            let selected = pod.selector.iter().all(|(key, value)| node.labels.get(key) == Some(value));
            !cordon && !taint && !elsewhere && selected
        };
        let nodes = world.nodes.iter().enumerate().filter(|(_, node)| reaches(node));
        let nodes: Vec<NodeId> = nodes.map(|(at, _)| NodeId::of(at)).collect();
        let shape = Shape {
            requests: resources(snapshot.names_mut(), &pod_request(pod)),
            overhead: resources(snapshot.names_mut(), &pod.overhead),
            reach: if nodes.len() == world.nodes.len() { Reach::Anywhere } else { Reach::Nodes(nodes) },
            ports: ports(pod),
            unseen: pod.claims_volume,
        };
        let known = shapes.iter().position(|other| *other == shape).unwrap_or(shapes.len());
        if known == shapes.len() {
            shapes.push(shape);
        }
        pods.push(Pod { shape: known, priority: pod.priority.unwrap_or(0) });
    }
    Some((snapshot, shapes, pods))
}
