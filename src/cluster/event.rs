//! What is planned to happen to nodes, from the words of a scenario to changes that the simulation
//! carries out one by one.
//!
//! Whatever a node can become is a class of the cluster from the start, so that requests are matched
//! against classes once.

use super::build::BuildError;
use super::spec::{EventKind, EventSpec, Holders, ModeSpec, Taint};
use super::{NodeClass, Share};
use crate::diag::nearest;
use crate::gpu::{Catalogue, Layout};
use crate::id::NodeId;
use crate::units::{Span, Time};
use crate::workload::request::SliceNames;

/// Something that happens to a node at a moment known from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When.
    pub at: Time,
    /// To whom.
    pub node: NodeId,
    /// What.
    pub change: Change,
}

/// One change of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is of this class from now on.
    Class(u16),
    /// Its pods are asked to go, as disruption budgets allow.
    Drain,
    /// Pods that its taints do not let stay are asked to go.
    Execute,
    /// Its pods are gone, then it is of this class, which is not present.
    Leave(u16),
    /// These slices of its class's table are to stand on one of its GPUs, and no others.
    Recut {
        /// The GPU.
        gpu: u8,
        /// The slices.
        standing: u32,
        /// What becomes of those who hold others.
        running: Holders,
    },
    /// Its GPUs are shared as nodes of this class share theirs.
    Mode {
        /// The class.
        class: u16,
        /// What becomes of those who hold its GPUs.
        running: Holders,
        /// Whether its GPUs need a reset for that.
        reset: bool,
    },
}

/// Nodes as far as they are known: class and name of each, in order of their ids, and the group that
/// each comes from.
pub(super) struct Nodes<'a> {
    pub(super) classes: &'a mut Vec<NodeClass>,
    pub(super) nodes: &'a mut [(String, u16)],
    pub(super) groups: &'a [String],
}

impl Nodes<'_> {
    /// The nodes that a name means: one node, or all of a group.
    fn named(&self, name: &str) -> Vec<usize> {
        let group = |i: &usize| self.groups[*i] == name;
        match self.nodes.iter().position(|(known, _)| known == name) {
            Some(node) => vec![node],
            None => (0..self.nodes.len()).filter(group).collect(),
        }
    }

    fn class(&mut self, class: NodeClass) -> u16 {
        let known = self.classes.iter().position(|known| *known == class);
        let index = known.unwrap_or_else(|| {
            self.classes.push(class);
            self.classes.len() - 1
        });
        u16::try_from(index).expect("fewer than 65,536 kinds of node")
    }
}

/// The changes that events mean, in order of time, then as written; nodes that join later are of an
/// absent class at first.
pub(super) fn plan(
    events: &[EventSpec],
    mut nodes: Nodes<'_>,
    catalogue: &Catalogue,
    names: &mut SliceNames,
) -> Result<Vec<Planned>, Vec<BuildError>> {
    let mut errors = Vec::new();
    let mut order: Vec<(Span, usize, &EventSpec)> = Vec::new();
    for event in events {
        for name in &event.nodes {
            let found = nodes.named(name);
            if found.is_empty() {
                let names = nodes.nodes.iter().map(|(name, _)| name.as_str());
                let names = names.chain(nodes.groups.iter().map(String::as_str));
                let suggestion = nearest(name, names).map(str::to_owned);
                errors.push(BuildError::UnknownNode { name: name.clone(), suggestion });
            }
            order.extend(found.into_iter().map(|node| (event.at, node, event)));
        }
    }
    // Stable, so that events of one moment come as they are written.
    order.sort_by_key(|(at, _, _)| *at);
    let mut seen = vec![false; nodes.nodes.len()];
    for (_, node, event) in &order {
        if matches!(event.change, EventKind::Join | EventKind::Leave)
            && !std::mem::replace(&mut seen[*node], true)
        {
            let absent = event.change == EventKind::Join;
            let class =
                NodeClass { present: !absent, ..nodes.classes[usize::from(nodes.nodes[*node].1)].clone() };
            nodes.nodes[*node].1 = nodes.class(class);
        }
    }
    let mut class_of: Vec<u16> = nodes.nodes.iter().map(|(_, class)| *class).collect();
    let mut planned = Vec::new();
    for (at, node, event) in order {
        let was = nodes.classes[usize::from(class_of[node])].clone();
        if let EventKind::Mode(mode) = &event.change {
            match switched(&was, mode, events, catalogue, names) {
                Err(why) => {
                    errors.push(BuildError::Event { node: nodes.nodes[node].0.clone(), at: event.at, why })
                }
                Ok((class, reset)) => {
                    class_of[node] = nodes.class(class);
                    let change = Change::Mode { class: class_of[node], running: mode.running, reset };
                    planned.push(Planned { at: Time(at.0), node: NodeId::of(node), change });
                }
            }
            continue;
        }
        match changes(&was, &event.change, catalogue) {
            Err(why) => {
                errors.push(BuildError::Event { node: nodes.nodes[node].0.clone(), at: event.at, why })
            }
            Ok((class, then)) => {
                let at = Time(at.0);
                let id = NodeId::of(node);
                if event.change == EventKind::Leave {
                    class_of[node] = nodes.class(class);
                    planned.push(Planned { at, node: id, change: Change::Leave(class_of[node]) });
                } else if class != was {
                    class_of[node] = nodes.class(class);
                    planned.push(Planned { at, node: id, change: Change::Class(class_of[node]) });
                }
                planned.extend(then.into_iter().map(|change| Planned { at, node: id, change }));
            }
        }
    }
    if errors.is_empty() { Ok(planned) } else { Err(errors) }
}

/// The class that a node of class `was` passes to, and what happens then; or why it cannot.
fn changes(
    was: &NodeClass,
    kind: &EventKind,
    catalogue: &Catalogue,
) -> Result<(NodeClass, Vec<Change>), String> {
    let mut class = was.clone();
    let mut then = Vec::new();
    match kind {
        EventKind::Join if was.present => return Err("joins, though it is there".to_owned()),
        EventKind::Join => class.present = true,
        _ if !was.present => return Err("is not there at that time".to_owned()),
        EventKind::Leave => class.present = false,
        EventKind::Cordon => class.unschedulable = true,
        EventKind::Uncordon => class.unschedulable = false,
        EventKind::Drain => {
            class.unschedulable = true;
            then.push(Change::Drain);
        }
        EventKind::Taint(taint) => {
            let same = |other: &Taint| other.key == taint.key && other.effect == taint.effect;
            class.taints.retain(|other| !same(other));
            class.taints.push(taint.clone());
            if taint.effect == "NoExecute" {
                then.push(Change::Execute);
            }
        }
        EventKind::Untaint(taint) => {
            // As `kubectl taint key:effect-`: the value does not matter where none is given.
            let same = |other: &Taint| {
                other.key == taint.key
                    && other.effect == taint.effect
                    && (taint.value.is_empty() || other.value == taint.value)
            };
            let before = class.taints.len();
            class.taints.retain(|other| !same(other));
            if class.taints.len() == before {
                return Err(format!("has no taint `{}:{}` at that time", taint.key, taint.effect));
            }
        }
        EventKind::Label(labels) => {
            class.labels.extend(labels.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        EventKind::Allocatable(amounts) => {
            class.cpu = amounts.cpu.unwrap_or(class.cpu);
            class.memory = amounts.memory.unwrap_or(class.memory);
            class.pods = amounts.pods.unwrap_or(class.pods);
        }
        EventKind::Mode(_) => unreachable!("modes are switched apart"),
        EventKind::Recut(recut) => {
            let standing = standing(was, &recut.layout, catalogue)?;
            let all: Vec<u16> = (0..was.gpus).collect();
            let gpus = recut.gpus.as_ref().unwrap_or(&all);
            if let Some(gpu) = gpus.iter().find(|gpu| was.gpus <= **gpu) {
                return Err(format!("has no GPU {gpu}: its {} GPUs are numbered from 0", was.gpus));
            }
            let cut = |gpu: &u16| Change::Recut { gpu: *gpu as u8, standing, running: recut.running };
            then.extend(gpus.iter().map(cut));
        }
    }
    Ok((class, then))
}

/// The class of a node whose mode changes, and whether its GPUs need a reset; or why it cannot.
fn switched(
    was: &NodeClass,
    mode: &ModeSpec,
    events: &[EventSpec],
    catalogue: &Catalogue,
    names: &mut SliceNames,
) -> Result<(NodeClass, bool), String> {
    if !was.present {
        return Err("is not there at that time".to_owned());
    }
    if was.gpus == 0 {
        return Err("changes the mode of GPUs that it has not".to_owned());
    }
    let on_demand = |share: &Share| matches!(share, Share::Sliced { .. } | Share::Slices { standing: 0, .. });
    if mode.to.is_on_demand() || on_demand(&was.share) {
        return Err("changes its mode, though a partitioner cuts its GPUs".to_owned());
    }
    // Whatever it may be re-cut to later.
    let recuts: Vec<&[String]> = events
        .iter()
        .filter_map(|event| match &event.change {
            EventKind::Recut(recut) => Some(&recut.layout[..]),
            _ => None,
        })
        .collect();
    let product = catalogue.find(&was.model);
    let share = super::build::share_of(&mode.to, &recuts, product, &was.model, catalogue, names);
    let share = share.map_err(|error| match error.help() {
        Some(help) => format!("cannot change its mode so: {error}; {help}"),
        None => format!("cannot change its mode so: {error}"),
    })?;
    let mig = |share: &Share| matches!(share, Share::Slices { .. });
    let (from, to) = (mig(&was.share), mig(&share));
    // Ampere resets for either; from Hopper on MIG mode is enabled without (NVIDIA's MIG guide).
    let ampere = product.is_none_or(|product| product.architecture() == "Ampere");
    let reset = from != to && (ampere || from);
    Ok((NodeClass { share, ..was.clone() }, reset))
}

/// The slices of a class's table that make up a layout.
fn standing(class: &NodeClass, profiles: &[String], catalogue: &Catalogue) -> Result<u32, String> {
    let Share::Slices { slices, standing, .. } = &class.share else {
        return Err("is re-cut, though its GPUs are not in mode `mig`".to_owned());
    };
    if *standing == 0 {
        return Err("is re-cut by its partitioner, and not by events".to_owned());
    }
    let product = catalogue.find(&class.model).expect("a MIG class is of a known product");
    let layout = Layout::place(product, profiles).map_err(|error| match error.help() {
        Some(help) => format!("cannot be re-cut so: {error}; {help}"),
        None => format!("cannot be re-cut so: {error}"),
    })?;
    let bit = |slice: crate::gpu::Slice| {
        let label = super::build::label(&slice, product);
        slices.iter().position(|known| known.label == label).expect("the table has all that ever stands")
    };
    Ok(layout.slices(product).into_iter().fold(0, |mask, slice| mask | 1 << bit(slice)))
}
