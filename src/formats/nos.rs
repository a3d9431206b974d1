//! nos: the geometries that its partitioner knows, and the annotations between it and its agents.
//!
//! Keys of annotations are split at every `-` and a `+` is illegal in them, so only plain profiles
//! travel (pkg/gpu/annotation.go, pkg/gpu/mig/allowed_geometries.go).

use super::mig_parted::counts_by_size;
use super::{Cut, NodePlan, Plan, Writer, fingerprint};
use crate::manifest::{self, Located};
use crate::partition::nos::names::{
    self, Kind, Observed, PARTITIONING, Partitioning, SPEC_PLAN, SPEC_PREFIX, STATUS_PLAN, STATUS_PREFIX,
    Spec,
};
use crate::yaml::{self, Item, Key, List, Lower, Node, Object, Problem, Value, record};
use serde_json::{Map, json};
use std::ops::Range;
use std::rc::Rc;

/// Geometries that some models may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeometryEntry {
    /// Values of the label `nvidia.com/gpu.product`.
    pub models: Vec<Located<String>>,
    /// Geometries in their order.
    pub geometries: Vec<ListedGeometry>,
}

/// One geometry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGeometry {
    /// Where it is written.
    pub at: Range<usize>,
    /// Slices by profile.
    pub slices: Vec<(Located<String>, u32)>,
}

static ENTRY: Object = Object {
    name: "an entry of nos' known geometries",
    doc: "Geometries of some models.",
    keys: &[
        Key::required("models", yaml::Kind::List(&MODELS), "labels nvidia.com/gpu.product"),
        Key::required("allowedGeometries", yaml::Kind::List(&GEOMETRIES), "slices by profile"),
    ],
};
static MODELS: List = List { of: yaml::Kind::Line, name: "models", filled: true };
static GEOMETRIES: List = List { of: GEOMETRY, name: "geometries", filled: true };
const GEOMETRY: yaml::Kind = yaml::Kind::Map(&yaml::Kind::Integer(1, i32::MAX as i128));
static FILE: List = List { of: yaml::Kind::Object(&ENTRY), name: "known geometries", filled: true };

/// Reads a table of known geometries.
pub(super) fn read_geometries(tree: &Rc<Node>, problems: &mut Vec<Problem>) -> Vec<GeometryEntry> {
    let mut found = Vec::new();
    let item = yaml::read(tree, &yaml::Kind::List(&FILE), &mut found);
    problems.extend(found.into_iter().map(|p| match p.code {
        "unknown-key" => {
            let help = p.help.clone().unwrap_or_default();
            p.warning().help(format!("nos ignores it; {help}").trim_end_matches("; ").to_owned())
        }
        "empty-list" => p.help("nos refuses an empty list and does not start"),
        _ => p,
    }));
    let Value::List(items) = item.value else { return Vec::new() };
    let entries: Vec<GeometryEntry> =
        items.into_iter().filter_map(|item| GeometryEntry::lower(item, problems)).collect();
    for (index, entry) in entries.iter().enumerate() {
        for model in &entry.models {
            let mut later = entries[index + 1..].iter().flat_map(|e| &e.models);
            if later.any(|m| m.value == model.value) {
                let message = format!("`{}` is listed again further down", model.value);
                let problem = Problem::new("no-effect", &model.at, message).warning();
                problems.push(problem.help("nos keeps the later entry; this one does nothing for it"));
            }
        }
        for (profile, _) in entry.geometries.iter().flat_map(|g| &g.slices) {
            check_profile(profile, problems);
        }
    }
    entries
}

fn check_profile(profile: &Located<String>, problems: &mut Vec<Problem>) {
    let text = &profile.value;
    if Kind::Mig.profile(&Kind::Mig.resource(text)).is_none() {
        let message = format!("`{text}` is not a MIG profile: nos refuses the file and does not start");
        problems.push(Problem::new("bad-profile", &profile.at, message).help("write `1g.5gb`"));
    } else if text.contains(['+', '-']) {
        let message = format!("`{text}` passes nos' check and then breaks: no annotation can carry it");
        problems.push(
            Problem::new("bad-profile", &profile.at, message)
                .help("only plain profiles such as `1g.5gb` travel"),
        );
    }
}

impl Lower<Vec<Problem>> for GeometryEntry {
    fn lower(item: Item, problems: &mut Vec<Problem>) -> Option<Self> {
        record(item, |r| {
            let models: Option<Item> = r.take("models", problems);
            let geometries: Option<Item> = r.take("allowedGeometries", problems);
            let list = |item: Option<Item>| match item.map(|i| i.value) {
                Some(Value::List(items)) => items,
                _ => Vec::new(),
            };
            let model = |item: Item| match item.value {
                Value::Text(text) => Some(Located::new(&item.at, text)),
                _ => None,
            };
            let geometry = |item: Item| {
                let at = item.at.clone();
                let Value::Map(entries) = item.value else { return None };
                if entries.is_empty() {
                    let problem = Problem::new("no-effect", &at, "a geometry without slices").warning();
                    problems.push(problem.help("nos has no use for it"));
                }
                let slice = |(name, at, count): (Rc<str>, Range<usize>, Item)| {
                    let count: u32 = Lower::lower(count, &mut ())?;
                    Some((Located::new(&at, name.to_string()), count))
                };
                Some(ListedGeometry { at, slices: entries.into_iter().filter_map(slice).collect() })
            };
            Some(GeometryEntry {
                models: list(models).into_iter().filter_map(model).collect(),
                geometries: list(geometries).into_iter().filter_map(geometry).collect(),
            })
        })
    }
}

/// What nos' annotations say about a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NosNode {
    /// The way in which nos cuts it.
    pub kind: Option<Located<Kind>>,
    /// Slices asked for.
    pub spec: Vec<Located<Spec>>,
    /// Slices that the agent saw.
    pub status: Vec<Located<Observed>>,
}

/// Reads nos' label and annotations of a node, and complains about those that nos would ignore.
pub(super) fn read_node(node: &manifest::Node, problems: &mut Vec<Problem>) -> NosNode {
    let mut read = NosNode::default();
    let labels = node.meta.labels.iter().map(|(k, v)| (k.clone(), v.value.clone())).collect();
    if let Some(label) = node.meta.labels.get(PARTITIONING) {
        match Partitioning::of(&labels) {
            Some(Partitioning::Of(kind)) => read.kind = Some(Located::new(&label.at, kind)),
            Some(Partitioning::Hybrid) => {
                let message = "`hybrid` is recognized by nos and handled by nothing";
                problems.push(
                    Problem::new("no-effect", &label.at, message).warning().help("write `mig` or `mps`"),
                );
            }
            None => {
                let message = format!("`{}` is no way of partitioning that nos knows", label.value);
                problems.push(Problem::new("bad-value", &label.at, message).help("write `mig` or `mps`"));
            }
        }
    }
    for (key, value) in &node.meta.annotations {
        if key == SPEC_PLAN || key == STATUS_PLAN {
            continue;
        }
        if key.starts_with(SPEC_PREFIX) {
            match Spec::parse(key, &value.value) {
                Some(spec) => {
                    check_spec(&spec, read.kind.as_ref().map(|k| k.value), value, problems);
                    read.spec.push(Located::new(&value.at, spec));
                }
                None => ignored(key, value, problems),
            }
        } else if key.starts_with(STATUS_PREFIX) {
            match Observed::parse(key, &value.value) {
                Some(observed) => read.status.push(Located::new(&value.at, observed)),
                None => ignored(key, value, problems),
            }
        }
    }
    if read.kind.is_none() && !read.spec.is_empty() && !node.meta.labels.contains_key(PARTITIONING) {
        let message = format!("{}: annotations of a plan, but no label {PARTITIONING}", node.meta.name);
        let problem = Problem::new("no-effect", &read.spec[0].at, message).warning();
        problems.push(problem.help("nos and its agents leave a node without the label alone"));
    }
    read
}

fn check_spec(spec: &Spec, kind: Option<Kind>, value: &Located<String>, problems: &mut Vec<Problem>) {
    if spec.quantity < 0 || spec.index < 0 {
        let message = format!("`{spec}`: neither an index nor a quantity can be below 0");
        problems.push(Problem::new("out-of-range", &value.at, message));
    }
    let legal = match kind {
        Some(Kind::Mps) => 0 < names::mps_memory_gb(&spec.profile),
        Some(Kind::Mig) => Kind::Mig.profile(&Kind::Mig.resource(&spec.profile)).is_some(),
        None => true,
    };
    if !legal {
        let kind = kind.map_or("", Kind::word);
        let message = format!("`{}` is no profile of a node that is partitioned by {kind}", spec.profile);
        let help = if kind == "mps" { "write `10gb`" } else { "write `1g.5gb`" };
        problems.push(Problem::new("bad-profile", &value.at, message).help(help));
    }
}

fn ignored(key: &str, value: &Located<String>, problems: &mut Vec<Problem>) {
    let what = if key.starts_with(SPEC_PREFIX) {
        "write nos.nebuly.com/spec-gpu-<index>-<profile>: \"<quantity>\"; a profile with `-` cannot be carried"
    } else {
        "write nos.nebuly.com/status-gpu-<index>-<profile>-<free|used>: \"<quantity>\""
    };
    let message = format!("nos ignores `{key}: {}`", value.value);
    problems.push(Problem::new("no-effect", &value.at, message).warning().help(what));
}

/// The table of known geometries for the GPUs of a plan.
pub(super) fn write_geometries(plan: &Plan<'_>, out: &mut Writer) -> String {
    let mut entries: Vec<(String, Vec<serde_json::Value>)> = Vec::new();
    for node in &plan.nodes {
        for (index, gpu) in node.gpus.iter().enumerate() {
            let Some(geometry) = gpu.cut.geometry(node.product) else {
                match gpu.cut {
                    Cut::Whole => out.note("GPUs without MIG have no place in the table and are left out."),
                    _ => {
                        let why = format!("the table holds MIG geometries, not {}", gpu.cut.word());
                        out.refuse(Some(node), Some(index), why);
                    }
                }
                continue;
            };
            if geometry.is_empty() {
                out.note("A GPU without slices has no geometry and is left out.");
                continue;
            }
            let Some(counts) = plain_counts(node, index, geometry, out) else { continue };
            let label = node.product.label();
            let at = entries.iter().position(|(l, _)| *l == label).unwrap_or_else(|| {
                entries.push((label, Vec::new()));
                entries.len() - 1
            });
            if !entries[at].1.contains(&counts) {
                entries[at].1.push(counts);
            }
        }
    }
    if entries.is_empty() && out.refusals.is_empty() {
        out.refuse(None, None, "no GPU of the plan has a geometry, and nos refuses an empty table");
    }
    out.note(
        "nos takes geometries as they stand here and no other: list smaller ones too if they are to be used.",
    );
    out.note("Helm value gpuPartitioner.knownMigGeometries; it replaces nos' own table, which is read once at start.");
    let entry = |(label, geometries): (String, Vec<serde_json::Value>)| json!({"models": [label], "allowedGeometries": geometries});
    yaml::emit(&entries.into_iter().map(entry).collect())
}

/// Counts by profile, if all profiles are plain names.
fn plain_counts(
    node: &NodePlan<'_>,
    index: usize,
    geometry: crate::gpu::Geometry,
    out: &mut Writer,
) -> Option<serde_json::Value> {
    let mut counts = Map::new();
    for (name, n) in counts_by_size(node.product, geometry) {
        if name.contains(['+', '-']) {
            out.refuse(Some(node), Some(index), format!("nos carries plain profiles only, not {name}"));
            return None;
        }
        counts.insert(name, json!(n));
    }
    Some(counts.into())
}

/// Nodes with the annotations that nos' partitioner would write.
pub(super) fn write_annotations(plan: &Plan<'_>, out: &mut Writer) -> String {
    let mut text = String::new();
    for node in &plan.nodes {
        let mut annotations = Map::new();
        let mut kinds: Vec<Kind> = Vec::new();
        for (index, gpu) in node.gpus.iter().enumerate() {
            let mut put = |profile: String, n: u64| {
                annotations.insert(format!("{SPEC_PREFIX}-{index}-{profile}"), json!(n.to_string()));
            };
            match &gpu.cut {
                Cut::Mig(_) | Cut::Counts(_) => {
                    kinds.push(Kind::Mig);
                    let geometry = gpu.cut.geometry(node.product).expect("MIG has a geometry");
                    if plain_counts(node, index, geometry, out).is_some() {
                        counts_by_size(node.product, geometry).for_each(|(name, n)| put(name, u64::from(n)));
                    }
                }
                Cut::Mps(slices) => {
                    kinds.push(Kind::Mps);
                    slices.iter().for_each(|s| put(format!("{}gb", s.gb), u64::from(s.count)));
                }
                other => {
                    let why = format!("nos cuts by MIG or into MPS memory slices, not {}", other.word());
                    out.refuse(Some(node), Some(index), why);
                }
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        let [kind] = kinds.as_slice() else {
            if 1 < kinds.len() {
                out.refuse(Some(node), None, "nos cuts all GPUs of a node in one way, MIG or MPS");
            }
            continue;
        };
        let id =
            u32::from_str_radix(&fingerprint(&json!(annotations).to_string()), 16).expect("eight digits");
        annotations.insert(SPEC_PLAN.to_owned(), json!(id.to_string()));
        let labels = json!({PARTITIONING: kind.word()});
        let object = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node.name, "labels": labels, "annotations": annotations},
        });
        if !text.is_empty() {
            text.push_str("---\n");
        }
        text.push_str(&yaml::emit(&object));
    }
    out.note("Counts only: the agent and the driver choose order and places. A running partitioner overwrites these.");
    out.note("For `kubectl apply --server-side --field-manager=slicewise -f FILE`.");
    text
}
