//! Nodes.

use super::fields::{Reader, field, path};
use super::{Located, Meta, Resources, read_meta};
use crate::manifest::Quantity;
use crate::yaml;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it says about itself.
    pub meta: Meta,
    /// Cordoned.
    pub unschedulable: bool,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Whether its kubelet says it is ready; `None` if no such condition is there.
    pub ready: Option<bool>,
    /// What it has.
    pub capacity: BTreeMap<String, Located<Quantity>>,
    /// What pods can have of it; what it has where the node says no more.
    pub allocatable: BTreeMap<String, Located<Quantity>>,
}

impl Node {
    /// What pods can have of it, without places.
    #[must_use]
    pub fn resources(&self) -> Resources {
        self.allocatable.iter().map(|(name, q)| (name.clone(), q.value)).collect()
    }
}

/// What keeps pods away that do not tolerate it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value; empty if it has none.
    pub value: String,
    /// What it does.
    pub effect: Effect,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// They are not scheduled here.
    NoSchedule,
    /// They are scheduled elsewhere if they can be.
    PreferNoSchedule,
    /// They are not scheduled here, and those that run are evicted.
    NoExecute,
}

impl Effect {
    pub(super) const WORDS: [(&'static str, Effect); 3] = [
        ("NoSchedule", Effect::NoSchedule),
        ("PreferNoSchedule", Effect::PreferNoSchedule),
        ("NoExecute", Effect::NoExecute),
    ];
}

pub(super) fn read(reader: &mut Reader<'_>, tree: &Rc<yaml::Node>) -> Node {
    let meta = read_meta(reader, tree);
    let empty = Rc::new(yaml::Node::map(tree.at.clone(), Vec::new()));
    let spec = reader.mapping(tree, "spec").unwrap_or(&empty);
    let status = reader.mapping(tree, "status").unwrap_or(&empty);
    let capacity = reader.quantities(status, "capacity");
    let allocatable = match path(status, &["allocatable"]) {
        Some(_) => reader.quantities(status, "allocatable"),
        None => capacity.clone(),
    };
    let ready = reader.mappings(status, "conditions").into_iter().find_map(|c| {
        let is = |key, wanted| super::word(c, key) == Some(wanted);
        is("type", "Ready").then(|| is("status", "True"))
    });
    Node {
        meta,
        unschedulable: reader.truth(spec, "unschedulable").unwrap_or(false),
        taints: reader.mappings(spec, "taints").into_iter().filter_map(|t| taint(reader, t)).collect(),
        ready,
        capacity,
        allocatable,
    }
}

fn taint(reader: &mut Reader<'_>, tree: &yaml::Node) -> Option<Taint> {
    if field(tree, "effect").is_none() {
        reader.complain(tree, "taints", "a taint with an `effect`");
    }
    Some(Taint {
        key: reader.text(tree, "key")?.value,
        value: reader.text(tree, "value").map(|v| v.value).unwrap_or_default(),
        effect: reader.choice(tree, "effect", &Effect::WORDS)?,
    })
}
