//! From the reduced Kubernetes objects of the vectors to the planner's values, and back to JSON.

use serde_json::{Map, Value, json};
use slicewise::id::NodeId;
use slicewise::partition::nos::names::{Kind, Texts};
use slicewise::partition::nos::table::{Entry, Geometry};
use slicewise::partition::nos::{
    Card, Counts, Fixes, Gpu, Names, Need, NodeText, Pod, Resources, Shape, Snapshot, Tables, take,
};
use std::collections::BTreeMap;

/// A Kubernetes quantity times `scale`, rounded up: `100m`, `2`, `256Gi`, `1.5`, `1e3`.
pub(crate) fn quantity(text: &str, scale: i128) -> i64 {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (factor, divisor): (i128, i128) = match suffix {
        "" => (1, 1),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        other => match other.strip_prefix(['e', 'E']) {
            Some(power) => (10_i128.pow(power.parse().expect("an exponent")), 1),
            None => panic!("quantity `{text}`"),
        },
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{part}").parse().expect("digits");
    let above = digits * factor * scale;
    let below = divisor * 10_i128.pow(part.len() as u32);
    let rounded = above.div_euclid(below) + i128::from(above.rem_euclid(below) != 0);
    i64::try_from(rounded).expect("a quantity of 64 bits")
}

/// A number or a quantity.
fn amount(value: &Value, scale: i128) -> i64 {
    match value {
        Value::String(text) => quantity(text, scale),
        other => other.as_i64().expect("a number") * scale as i64,
    }
}

/// A resource list.
pub(crate) fn resources(names: &mut Names, list: &Value) -> Resources {
    let mut resources = Resources::default();
    for (name, value) in list.as_object().into_iter().flatten() {
        match name.as_str() {
            "cpu" => resources.cpu_milli = amount(value, 1_000),
            "memory" => resources.memory_bytes = amount(value, 1),
            "ephemeral-storage" => resources.storage_bytes = amount(value, 1),
            "pods" => resources.pods = amount(value, 1),
            _ => resources.scalars.add(names.intern(name), amount(value, 1)),
        }
    }
    resources
}

/// A `framework.Resource`.
pub(crate) fn framework(names: &mut Names, value: &Value) -> Resources {
    let field = |key: &str| value[key].as_i64().unwrap_or(0);
    Resources {
        cpu_milli: field("milliCPU"),
        memory_bytes: field("memory"),
        storage_bytes: field("ephemeralStorage"),
        pods: field("allowedPodNumber"),
        scalars: named(names, &value["scalar"], str::to_owned),
    }
}

/// A `framework.Resource` as JSON.
pub(crate) fn framework_json(names: &Names, resources: &Resources) -> Value {
    json!({
        "milliCPU": resources.cpu_milli,
        "memory": resources.memory_bytes,
        "ephemeralStorage": resources.storage_bytes,
        "allowedPodNumber": resources.pods,
        "scalar": scalars_json(names, &resources.scalars),
    })
}

fn named(names: &mut Names, map: &Value, resource: impl Fn(&str) -> String) -> Counts {
    let entries = map.as_object().into_iter().flatten();
    entries.map(|(name, count)| (names.intern(&resource(name)), count.as_i64().expect("a count"))).collect()
}

/// A map from profiles to counts.
pub(crate) fn profiles(names: &mut Names, kind: Kind, map: &Value) -> Counts {
    named(names, map, |profile| kind.resource(profile))
}

/// Counts by profile.
pub(crate) fn profiles_json(names: &Names, kind: Kind, counts: &Counts) -> Value {
    let entry = |(id, count)| (names.profile_text(kind, id).to_owned(), json!(count));
    Value::Object(counts.iter().map(entry).collect())
}

/// Counts by resource.
pub(crate) fn scalars_json(names: &Names, counts: &Counts) -> Value {
    Value::Object(counts.iter().map(|(id, count)| (names.text(id).to_owned(), json!(count))).collect())
}

/// Requests of a pod without overhead: the larger of the containers' sum and each init container.
pub(crate) fn requests(names: &mut Names, pod: &Value) -> Resources {
    let list = |containers: &Value| containers.as_array().cloned().unwrap_or_default();
    let map = |container: &Value| container.get("requests").unwrap_or(container).clone();
    let mut sum = Resources::default();
    for container in list(&pod["containers"]) {
        sum = sum.plus(&resources(names, &map(&container)));
    }
    for container in list(&pod["initContainers"]) {
        let init = resources(names, &map(&container));
        let missing = init.minus_to_zero(&sum);
        sum = sum.plus(&missing);
    }
    sum
}

/// A pod's shape.
pub(crate) fn shape(names: &mut Names, pod: &Value) -> Shape {
    let overhead = resources(names, &pod["overhead"]);
    Shape { requests: requests(names, pod), overhead, ..Shape::default() }
}

/// Pods that wait, pods of equal shapes sharing one.
pub(crate) fn pods(names: &mut Names, list: &Value) -> (Vec<Shape>, Vec<Pod>) {
    let (mut shapes, mut pods): (Vec<Shape>, Vec<Pod>) = (Vec::new(), Vec::new());
    for pod in list.as_array().into_iter().flatten() {
        let shape = shape(names, pod);
        let known = shapes.iter().position(|other| *other == shape);
        if known.is_none() {
            shapes.push(shape);
        }
        let priority = pod["priority"].as_i64().unwrap_or(0);
        let priority = i32::try_from(priority).expect("a priority");
        pods.push(Pod { shape: known.unwrap_or(shapes.len() - 1), priority });
    }
    (shapes, pods)
}

/// Labels or annotations.
pub(crate) fn texts(map: &Value) -> Texts {
    let entries = map.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), value.as_str().expect("a text").to_owned())).collect()
}

/// A node with the pods that run there.
pub(crate) fn node_text(names: &mut Names, node: &Value, id: usize) -> NodeText {
    let mut requested = Resources::default();
    let running = node["runningPods"].as_array().cloned().unwrap_or_default();
    for pod in &running {
        let shape = shape(names, pod);
        requested = requested.plus(&shape.requests).plus(&shape.overhead);
    }
    requested.pods = 0;
    NodeText {
        id: NodeId::of(id),
        name: node["name"].as_str().expect("a name").to_owned(),
        labels: texts(&node["labels"]),
        annotations: texts(&node["annotations"]),
        allocatable: resources(names, &node["allocatable"]),
        requested,
        pods: running.len() as i64,
        ports: Vec::new(),
    }
}

/// The word of a kind.
pub(crate) fn kind(word: &Value) -> Kind {
    match word.as_str() {
        Some("mig") => Kind::Mig,
        Some("mps") => Kind::Mps,
        other => panic!("kind {other:?}"),
    }
}

/// Geometries by model.
pub(crate) fn tables(map: &Value) -> Tables {
    let geometry = |map: &Value| -> Geometry {
        let entries = map.as_object().expect("a geometry").iter();
        entries.map(|(profile, count)| (profile.clone(), count.as_i64().expect("a count"))).collect()
    };
    let entry = |(model, list): (&String, &Value)| Entry {
        models: vec![model.clone()],
        geometries: list.as_array().expect("geometries").iter().map(geometry).collect(),
    };
    Tables::of(&map.as_object().into_iter().flatten().map(entry).collect::<Vec<_>>())
}

/// A snapshot of the nodes that carry the label of the kind; `None` if one cannot be read.
pub(crate) fn snapshot(kind: Kind, tables: &Tables, nodes: &Value, fixes: Fixes) -> Option<Snapshot> {
    let mut snapshot = Snapshot::new(kind, tables);
    let list = nodes.as_array().into_iter().flatten().enumerate();
    let texts: Vec<NodeText> = list.map(|(id, node)| node_text(snapshot.names_mut(), node, id)).collect();
    take(&mut snapshot, texts, fixes).ok()?;
    Some(snapshot)
}

/// A GPU of a unit table; MIG models that the table lacks get one without geometries.
pub(crate) fn gpu(snapshot: &mut Snapshot, value: &Value) -> Gpu {
    let kind = snapshot.kind();
    let first = |keys: [&str; 3]| keys.iter().map(|key| value[*key].clone()).find(|v| !v.is_null());
    let used = first(["used", "usedMigDevices", "usedProfiles"]).unwrap_or_default();
    let free = first(["free", "freeMigDevices", "freeProfiles"]).unwrap_or_default();
    let card = match kind {
        Kind::Mig => snapshot.card(value["model"].as_str().expect("a model")).expect("a known model"),
        Kind::Mps => Card::Mps { memory_gb: value["memoryGB"].as_i64().expect("GB") },
    };
    Gpu {
        index: value["index"].as_i64().unwrap_or(0),
        card,
        used: profiles(snapshot.names_mut(), kind, &used),
        free: profiles(snapshot.names_mut(), kind, &free),
    }
}

/// A need of one level.
pub(crate) fn need(snapshot: &mut Snapshot, map: &Value) -> Need {
    let kind = snapshot.kind();
    Need::of([profiles(snapshot.names_mut(), kind, map)])
}

/// The same value with all maps in order of their keys, as text.
pub(crate) fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let ordered: BTreeMap<&String, Value> = map.iter().map(|(k, v)| (k, sorted(v))).collect();
                Value::Object(ordered.into_iter().map(|(k, v)| (k.clone(), v)).collect::<Map<_, _>>())
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}

/// A list as a multiset: in the order of its elements' texts.
pub(crate) fn multiset(list: &Value) -> Value {
    let mut items = list.as_array().cloned().unwrap_or_default();
    items.sort_by_key(canonical);
    Value::Array(items)
}
