//! Files of any of these formats, recognized by what is in them.

use super::checkpoint::{self, Checkpoint};
use super::dra::{self, Claim, Class};
use super::mig_parted::{self, MigParted};
use super::nos::{self, GeometryEntry, NosNode};
use super::plugin::{self, Dialect, Plugin, Strategy};
use super::smi::{self, Script};
use crate::diag::nearest;
use crate::manifest::{self, Located, Object};
use crate::yaml::{self, Node, Problem, Shape};
use std::ops::Range;
use std::rc::Rc;

/// What a file is, where its content does not say or is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Kubernetes objects, with what they hold.
    Kubernetes,
    /// mig-parted's configuration.
    MigParted,
    /// mig-parted's checkpoint.
    Checkpoint,
    /// nos' known geometries.
    NosGeometries,
    /// NVIDIA's device plugin.
    NvidiaPlugin,
    /// nebuly's device plugin.
    NebulyPlugin,
    /// A script of `nvidia-smi`.
    NvidiaSmi,
}

impl Kind {
    /// Every kind by its word.
    pub const WORDS: [(&'static str, Kind); 7] = [
        ("kubernetes", Kind::Kubernetes),
        ("mig-parted", Kind::MigParted),
        ("checkpoint", Kind::Checkpoint),
        ("nos-geometries", Kind::NosGeometries),
        ("nvidia-plugin", Kind::NvidiaPlugin),
        ("nebuly-plugin", Kind::NebulyPlugin),
        ("nvidia-smi", Kind::NvidiaSmi),
    ];

    fn word(self) -> &'static str {
        Kind::WORDS.iter().find(|(_, k)| *k == self).map_or("", |(word, _)| word)
    }
}

/// Something in a file that can be checked.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it begins, or its name.
    pub at: Range<usize>,
    /// What people call it: `ConfigMap custom-mig, config.yaml`.
    pub title: String,
    /// The key of the ConfigMap that holds it.
    pub key: Option<String>,
    /// What it says.
    pub content: Content,
}

/// What a document says.
#[derive(Clone, Debug)]
pub enum Content {
    /// A node, and what nos wrote on it.
    Node(Box<manifest::Node>, NosNode),
    /// A pod or a template of some.
    Pod(Box<manifest::Pod>),
    /// A configuration of mig-parted.
    MigParted(MigParted),
    /// A checkpoint of mig-parted.
    Checkpoint(Checkpoint),
    /// nos' known geometries.
    Geometries(Vec<GeometryEntry>),
    /// A configuration of a device plugin.
    Plugin(Plugin),
    /// A claim or a template of some.
    Claim(Claim),
    /// A device class.
    Class(Class),
    /// A script of `nvidia-smi`.
    Script(Script),
    /// The GPU operator's MIG strategy.
    Policy(Option<Located<Strategy>>),
    /// A Kubernetes object that has nothing to be checked.
    Other,
}

/// Reads a file. What it is follows from its content unless `kind` says it.
pub fn read(text: &str, kind: Option<Kind>, problems: &mut Vec<Problem>) -> Vec<Document> {
    if matches!(kind, Some(Kind::NvidiaSmi)) || (kind.is_none() && smi::is_script(text)) {
        let script = smi::read(text, problems);
        if script.nodes.is_empty() {
            problems.push(unrecognized(&(0..0), "no `nvidia-smi` command that changes a GPU"));
        }
        return vec![document(&(0..0), "nvidia-smi script", Content::Script(script))];
    }
    let before = problems.len();
    let objects = manifest::read(text, problems);
    let bare = |line: &str| matches!(line.trim(), "" | "---" | "...") || line.trim().starts_with('#');
    if objects.is_empty() && problems.len() == before && text.lines().all(bare) {
        let problem = Problem::new("unrecognized", &(0..0), "the file is empty");
        problems.push(problem.help("an empty list of Kubernetes objects is `{kind: List, items: []}`"));
    }
    objects.into_iter().flat_map(|object| of_object(object, kind, text, problems)).collect()
}

fn document(at: &Range<usize>, title: impl Into<String>, content: Content) -> Document {
    Document { at: at.clone(), title: title.into(), key: None, content }
}

fn unrecognized(at: &Range<usize>, message: impl Into<String>) -> Problem {
    let words: Vec<&str> = Kind::WORDS.iter().map(|(word, _)| *word).collect();
    Problem::new("unrecognized", at, message)
        .help(format!("`--as` says what a file is meant to be: {}", words.join(", ")))
}

fn of_object(object: Object, kind: Option<Kind>, text: &str, problems: &mut Vec<Problem>) -> Vec<Document> {
    let of_kubernetes = matches!(kind, None | Some(Kind::Kubernetes));
    match object {
        Object::Node(node) if of_kubernetes => {
            let nos = nos::read_node(&node, problems);
            let title = format!("Node {}", node.meta.name);
            vec![document(&node.meta.at.clone(), title, Content::Node(node, nos))]
        }
        Object::Pod(pod) if of_kubernetes => {
            let kind = pod.template.as_ref().map_or("Pod", |t| t.kind.as_str());
            let title = format!("{kind} {}/{}", pod.namespace(), pod.meta.name);
            vec![document(&pod.meta.at.clone(), title, Content::Pod(pod))]
        }
        Object::Other(other) if !other.kind.is_empty() && of_kubernetes => {
            of_kubernetes_object(&other, text, problems)
        }
        Object::Other(other) if kind.is_none() && is_nos_values(&other.tree) => {
            nos_values(&other.tree, problems)
        }
        Object::Other(other) => match kind.or_else(|| recognize(&other.tree)) {
            // A ConfigMap holds what `--as` says.
            Some(kind) if other.kind == "ConfigMap" => of_config_map(&other, Some(kind), text, problems),
            Some(kind) => vec![of_tree(&other.tree, kind, problems)],
            None => {
                problems.push(not_recognized(&other.tree));
                Vec::new()
            }
        },
        Object::Node(_) | Object::Pod(_) => {
            let word = kind.map_or("", Kind::word);
            problems.push(unrecognized(&(0..0), format!("a Kubernetes object where `{word}` is said to be")));
            Vec::new()
        }
    }
}

/// Whether a tree is the values of nos' Helm chart.
fn is_nos_values(tree: &Node) -> bool {
    let has = |key| tree.get(key).is_some_and(|e| e.value.entries().is_some());
    has("gpuPartitioner") || (has("scheduler") && has("operator"))
}

/// The table of geometries in the values, and a setting that the chart never reads.
fn nos_values(tree: &Rc<Node>, problems: &mut Vec<Problem>) -> Vec<Document> {
    if let Some(config) =
        tree.get("scheduler").and_then(|s| s.value.get("config")).filter(|c| !c.value.is_null())
    {
        // helm-charts/nos/templates reads `.Values.config` instead.
        let problem =
            Problem::new("no-effect", &config.at, "nos' chart never reads `scheduler.config`").warning();
        problems.push(
            problem.help("its template looks for `config` at the top; edit the deployed ConfigMap instead"),
        );
    }
    let table = tree.get("gpuPartitioner").and_then(|p| p.value.get("knownMigGeometries"));
    let content = match table.filter(|t| !t.value.is_null()) {
        Some(table) => Content::Geometries(nos::read_geometries(&table.value, problems)),
        None => Content::Other,
    };
    vec![document(&tree.at, "Helm values of nos", content)]
}

fn not_recognized(tree: &Node) -> Problem {
    const KEYS: [&str; 8] =
        ["mig-configs", "MigState", "sharing", "flags", "models", "allowedGeometries", "kind", "apiVersion"];
    let problem = unrecognized(&tree.at, "this is none of the formats that are checked");
    // `version` stands in several of them and is near to `apiVersion`.
    let named = tree.entries().into_iter().flatten().filter(|e| &*e.key != "version");
    let near = named.into_iter().find_map(|e| Some((e, nearest(&e.key, KEYS)?)));
    match near {
        Some((entry, near)) => {
            let message = "this is none of the formats that are checked";
            Problem::new("unrecognized", &entry.at, message).help(format!("did you mean `{near}`?"))
        }
        None => problem,
    }
}

/// What a tree without `kind` is.
fn recognize(tree: &Node) -> Option<Kind> {
    let has = |key| tree.get(key).is_some();
    match &tree.shape {
        Shape::List(items) => {
            let entry = |i: &Rc<Node>| i.get("models").is_some() || i.get("allowedGeometries").is_some();
            items.iter().any(entry).then_some(Kind::NosGeometries)
        }
        Shape::Map(_) if has("mig-configs") => Some(Kind::MigParted),
        Shape::Map(_) if has("MigState") => Some(Kind::Checkpoint),
        Shape::Map(_) if has("sharing") || (has("flags") && has("version")) => {
            Some(match plugin::dialect_of(tree) {
                Dialect::Nvidia => Kind::NvidiaPlugin,
                Dialect::Nebuly => Kind::NebulyPlugin,
            })
        }
        _ => None,
    }
}

fn of_tree(tree: &Rc<Node>, kind: Kind, problems: &mut Vec<Problem>) -> Document {
    let content = match kind {
        Kind::MigParted => Content::MigParted(mig_parted::read(tree, problems)),
        Kind::Checkpoint => Content::Checkpoint(checkpoint::read(tree, problems)),
        Kind::NosGeometries => Content::Geometries(nos::read_geometries(tree, problems)),
        Kind::NvidiaPlugin => Content::Plugin(plugin::read(tree, Dialect::Nvidia, problems)),
        Kind::NebulyPlugin => Content::Plugin(plugin::read(tree, Dialect::Nebuly, problems)),
        Kind::Kubernetes | Kind::NvidiaSmi => {
            problems.push(unrecognized(&tree.at, "no Kubernetes object: it has no `kind`"));
            Content::Other
        }
    };
    document(&tree.at, kind.word(), content)
}

fn of_kubernetes_object(other: &manifest::Other, text: &str, problems: &mut Vec<Problem>) -> Vec<Document> {
    let tree = &other.tree;
    match other.kind.as_str() {
        "ConfigMap" => of_config_map(other, None, text, problems),
        "ResourceClaim" | "ResourceClaimTemplate" => {
            let claim = dra::read_claim(tree, other.kind == "ResourceClaimTemplate", problems);
            let title = format!("{} {}/{}", other.kind, claim.namespace, claim.name);
            vec![document(&claim.at.clone(), title, Content::Claim(claim))]
        }
        "DeviceClass" => {
            let class = dra::read_class(tree, problems);
            vec![document(&class.at.clone(), format!("DeviceClass {}", class.name), Content::Class(class))]
        }
        "ClusterPolicy" => {
            let strategy =
                ["spec", "mig", "strategy"].iter().try_fold(tree, |t, key| Some(&t.get(key)?.value));
            let strategy = strategy.and_then(|node| match &node.shape {
                Shape::Text { text, .. } => Some((node, text)),
                _ => None,
            });
            let strategy = strategy.and_then(|(node, word)| match Strategy::of(word) {
                Some(strategy) => Some(Located::new(&node.at, strategy)),
                None => {
                    let message = format!("`{word}` is no MIG strategy");
                    problems.push(
                        Problem::new("bad-value", &node.at, message)
                            .help("write `none`, `single` or `mixed`"),
                    );
                    None
                }
            });
            vec![document(&tree.at, "ClusterPolicy", Content::Policy(strategy))]
        }
        kind => {
            let name = manifest::meta(tree, &mut Vec::new()).name;
            vec![document(&tree.at, format!("{kind} {name}"), Content::Other)]
        }
    }
}

/// The files in a ConfigMap. Those that are none of ours are left alone.
fn of_config_map(
    other: &manifest::Other,
    kind: Option<Kind>,
    text: &str,
    problems: &mut Vec<Problem>,
) -> Vec<Document> {
    let meta = manifest::meta(&other.tree, problems);
    let mut documents = Vec::new();
    let data = other.tree.get("data").map(|d| &d.value);
    for entry in data.and_then(|d| d.entries()).unwrap_or_default() {
        let mut inner = Vec::new();
        let trees = match &entry.value.shape {
            Shape::Text { .. } => yaml::embedded(&entry.value, text, &mut inner),
            // A file that somebody forgot to write as a text.
            _ => {
                if recognize(&entry.value).is_some() {
                    let message = format!("`{}` holds a mapping where a ConfigMap has texts", entry.key);
                    problems.push(
                        Problem::new("bad-value", &entry.at, message).help("write `|` after the colon"),
                    );
                }
                vec![entry.value.clone()]
            }
        };
        let looks_like_ours =
            |text: &str| ["mig-configs", "allowedGeometries", "timeSlicing"].iter().any(|k| text.contains(k));
        if let Shape::Text { text, .. } = &entry.value.shape
            && (!trees.is_empty() || looks_like_ours(text))
            && (trees.iter().any(|t| recognize(t).is_some()) || kind.is_some() || looks_like_ours(text))
        {
            problems.append(&mut inner);
        }
        for tree in trees {
            let Some(kind) = kind.or_else(|| recognize(&tree)) else { continue };
            if matches!(kind, Kind::MigParted) && &*entry.key != "config.yaml" {
                let message = format!("the MIG manager reads the key `config.yaml`, not `{}`", entry.key);
                problems.push(Problem::new("bad-key", &entry.at, message).help("rename the key"));
            }
            let mut document = of_tree(&tree, kind, problems);
            document.at = entry.at.clone();
            document.title = format!("ConfigMap {}, {}", meta.name, entry.key);
            document.key = Some(entry.key.to_string());
            documents.push(document);
        }
    }
    if documents.is_empty() {
        documents.push(document(&meta.at, format!("ConfigMap {}", meta.name), Content::Other));
    }
    documents
}
