//! Kubernetes objects as people have them: what `kubectl get -o json|yaml` prints, and manifests.
//!
//! [`read`] takes a whole file, JSON or YAML, one document or several, lists or single objects, and
//! gives nodes, pods and, as trees, everything else. A Deployment, StatefulSet, DaemonSet,
//! ReplicaSet, Job or CronJob becomes a [`Pod`] with its [`Template`]. Only what decides where a pod
//! can run is read; other fields may say what they like. A field of the wrong type is complained
//! about at its place, and the rest of the object is read as though it were absent.

mod fields;
mod moment;
mod node;
mod pod;
mod quantity;

pub use moment::Moment;
pub use node::{Effect, Node, Taint};
pub use pod::{
    Affinity, Claim, Condition, Container, Copies, Expression, HostPort, Operator, Pod, Preemption, Restart,
    Template, Term, Toleration,
};
pub use quantity::Quantity;

use crate::yaml::{self, Problem};
use fields::{Reader, field, word};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// A value and the bytes of the file that say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// Where it is written.
    pub at: Range<usize>,
    /// What it is.
    pub value: T,
}

impl<T> Located<T> {
    /// A value at a place.
    #[must_use]
    pub fn new(at: &Range<usize>, value: T) -> Located<T> {
        Located { at: at.clone(), value }
    }
}

/// Amounts by the name of their resource.
pub type Resources = BTreeMap<String, Quantity>;

/// Texts by key: labels and annotations.
pub type Texts = BTreeMap<String, Located<String>>;

/// What every object says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Where its name is written; without one, where the object begins.
    pub at: Range<usize>,
    /// Its name, or the beginning that the API server would complete; may be empty.
    pub name: String,
    /// Its namespace, if it says one.
    pub namespace: Option<String>,
    /// The API server's number for it.
    pub uid: Option<String>,
    /// Labels.
    pub labels: Texts,
    /// Annotations.
    pub annotations: Texts,
    /// Kinds and names of its owners.
    pub owners: Vec<(String, String)>,
    /// When it was created.
    pub created: Option<Moment>,
    /// When it was asked to go.
    pub deleted: Option<Moment>,
}

impl Meta {
    /// The text of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(|l| l.value.as_str())
    }
}

/// An object of a file.
#[derive(Clone, Debug)]
pub enum Object {
    /// A node.
    Node(Box<Node>),
    /// A pod, or the template of some.
    Pod(Box<Pod>),
    /// Anything else, also what is no Kubernetes object.
    Other(Other),
}

/// An object that is read elsewhere, or not at all.
#[derive(Clone, Debug)]
pub struct Other {
    /// Its `apiVersion`; empty if it says none.
    pub api_version: String,
    /// Its `kind`; empty if it says none.
    pub kind: String,
    /// The object as it is written.
    pub tree: Rc<yaml::Node>,
}

/// Most levels of lists within lists, which nobody writes.
const NESTED_LISTS: usize = 8;

/// Reads every object of a file.
pub fn read(text: &str, problems: &mut Vec<Problem>) -> Vec<Object> {
    let documents = yaml::documents(text, problems);
    let mut reader = Reader { problems };
    let mut objects = Vec::new();
    for document in &documents {
        object(&mut reader, document, NESTED_LISTS, &mut objects);
    }
    objects
}

fn object(reader: &mut Reader<'_>, tree: &Rc<yaml::Node>, depth: usize, objects: &mut Vec<Object>) {
    let kind = word(tree, "kind").unwrap_or_default();
    let api_version = word(tree, "apiVersion").unwrap_or_default();
    // `kind: List` of kubectl, and the typed lists of the API.
    let listed = kind.ends_with("List") && 0 < depth && field(tree, "items").is_some();
    if listed {
        let of = kind.trim_end_matches("List");
        for item in reader.mappings(tree, "items") {
            match (word(item, "kind"), of) {
                // The API leaves the kind of a typed list's items out.
                (None, "Node") => objects.push(Object::Node(Box::new(node::read(reader, item)))),
                (None, "Pod") => objects.push(Object::Pod(Box::new(pod::read(reader, item)))),
                (None, _) if !of.is_empty() => objects.extend(templates(reader, of, item)),
                _ => object(reader, item, depth - 1, objects),
            }
        }
        return;
    }
    match kind {
        "Node" if api_version == "v1" => objects.push(Object::Node(Box::new(node::read(reader, tree)))),
        "Pod" if api_version == "v1" => objects.push(Object::Pod(Box::new(pod::read(reader, tree)))),
        _ => {
            let pods = templates(reader, kind, tree);
            if pods.is_empty() {
                let tree = tree.clone();
                let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
                objects.push(Object::Other(Other { api_version, kind, tree }));
            }
            objects.extend(pods);
        }
    }
}

fn templates(reader: &mut Reader<'_>, kind: &str, tree: &Rc<yaml::Node>) -> Vec<Object> {
    pod::templates(reader, kind, tree).into_iter().map(|pod| Object::Pod(Box::new(pod))).collect()
}

/// What an object says about itself.
pub fn meta(tree: &yaml::Node, problems: &mut Vec<Problem>) -> Meta {
    read_meta(&mut Reader { problems }, tree)
}

fn read_meta(reader: &mut Reader<'_>, tree: &yaml::Node) -> Meta {
    let start = match tree.get("kind") {
        Some(kind) => kind.at.start..kind.value.at.end.max(kind.at.end),
        None => tree.at.clone(),
    };
    let empty = yaml::Node::map(start.clone(), Vec::new());
    let of = reader.mapping(tree, "metadata").map_or(&empty, |m| &**m);
    let name = reader.text(of, "name").or_else(|| reader.text(of, "generateName"));
    let owners = reader.mappings(of, "ownerReferences");
    let owner = |o: &&Rc<yaml::Node>| {
        let text = |key| word(o, key).unwrap_or_default().to_owned();
        (text("kind"), text("name"))
    };
    Meta {
        at: name.as_ref().map_or(start, |n| n.at.clone()),
        name: name.map(|n| n.value).unwrap_or_default(),
        namespace: reader.text(of, "namespace").map(|n| n.value),
        uid: reader.text(of, "uid").map(|u| u.value),
        labels: reader.text_map(of, "labels"),
        annotations: reader.text_map(of, "annotations"),
        owners: owners.iter().map(owner).collect(),
        created: reader.moment(of, "creationTimestamp"),
        deleted: reader.moment(of, "deletionTimestamp"),
    }
}

#[cfg(test)]
mod tests;
