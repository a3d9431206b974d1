//! From what a scenario says about nodes to a cluster, checked against the GPU catalogue.

use super::event::{self, Planned};
use super::spec::{EventKind, EventSpec, Mode, Mps, NodeGroup};
use super::{AMOUNT_MAX, Cluster, GPUS_PER_NODE_MAX, NodeClass, SLICES_MAX, Share, Slice};
use crate::gpu::{Catalogue, Layout, LayoutError, Product};
use crate::units::Span;
use crate::workload::request::SliceNames;

/// Why GPUs cannot be shared so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// The mode needs facts about a product that is not in the catalogue.
    #[error("the catalogue has no GPU `{model}`, and {mode} needs one")]
    UnknownGpu {
        /// What was named.
        model: String,
        /// The mode.
        mode: &'static str,
        /// The product probably meant.
        suggestion: Option<String>,
    },
    /// The layout is impossible.
    #[error(transparent)]
    Layout(Box<LayoutError>),
    /// More slices on one GPU than a mask holds, which no product reaches.
    #[error("{0} slices on one GPU; slicewise counts up to {SLICES_MAX}")]
    TooManySlices(usize),
}

impl ShareError {
    /// What would be right, as a sentence.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            ShareError::UnknownGpu { suggestion, .. } => {
                suggestion.as_ref().map(|word| format!("did you mean `{word}`?"))
            }
            ShareError::Layout(error) => error.help(),
            ShareError::TooManySlices(_) => None,
        }
    }
}

/// Why a group of nodes cannot exist. [`BuildError::help`] says what could.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Its GPUs cannot be shared so.
    #[error("node group `{group}`: {error}")]
    Share {
        /// Node group.
        group: String,
        /// Why.
        error: ShareError,
    },
    /// More GPUs than a node can have here.
    #[error("node group `{group}`: {gpus} GPUs on one node; slicewise counts up to {GPUS_PER_NODE_MAX}")]
    TooManyGpus {
        /// Node group.
        group: String,
        /// GPUs asked for.
        gpus: u16,
    },
    /// More CPU or memory than a node can have here.
    #[error("node group `{group}`: {amount} on one node is more than slicewise counts")]
    TooLarge {
        /// Node group.
        group: String,
        /// CPU or memory asked for.
        amount: String,
    },
    /// An event names nobody.
    #[error("an event of the cluster names `{name}`, which is no node and no group of nodes")]
    UnknownNode {
        /// The name.
        name: String,
        /// Who is probably meant.
        suggestion: Option<String>,
    },
    /// An event cannot happen.
    #[error("the event at {at}: node `{node}` {why}")]
    Event {
        /// Node.
        node: String,
        /// When.
        at: Span,
        /// Why not.
        why: String,
    },
    /// Neither groups nor lists name a node.
    #[error("the cluster has no nodes")]
    NoNodes,
}

impl BuildError {
    /// What would be right, as a sentence.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            BuildError::Share { error, .. } => error.help(),
            BuildError::TooManyGpus { .. } => Some("use several nodes".to_owned()),
            BuildError::Event { .. } => None,
            BuildError::UnknownNode { suggestion, .. } => {
                suggestion.as_ref().map(|word| format!("did you mean `{word}`?"))
            }
            BuildError::TooLarge { .. } => Some("a node has up to 4,294,967 CPUs and 4,095 TiB".to_owned()),
            BuildError::NoNodes => {
                Some("give `cluster.nodes` a group with a `count` of at least 1".to_owned())
            }
        }
    }
}

/// The cluster of these groups, in order, nodes named `<group>-<i>` (a group of one that is flagged
/// `single` keeps the bare name, as nodes of a list do), and what is planned to happen to it.
///
/// # Errors
/// Every reason why it cannot be built.
pub fn build(
    groups: &[(NodeGroup, bool)],
    events: &[EventSpec],
    catalogue: &Catalogue,
    slices: &mut SliceNames,
) -> Result<(Cluster, Vec<Planned>), Vec<BuildError>> {
    let mut classes: Vec<NodeClass> = Vec::new();
    let mut nodes: Vec<(String, u16)> = Vec::new();
    let mut group_of = Vec::new();
    let mut errors = Vec::new();
    for (group, single) in groups {
        let class = match class(group, &recuts(group, *single, events), catalogue, slices) {
            Ok(class) => class,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        let index = classes.iter().position(|known| *known == class).unwrap_or_else(|| {
            classes.push(class);
            classes.len() - 1
        });
        let index = u16::try_from(index).expect("fewer than 65,536 kinds of node");
        let name = |i: u32| if *single { group.name.clone() } else { format!("{}-{i}", group.name) };
        nodes.extend((0..group.count).map(|i| (name(i), index)));
        group_of.resize(nodes.len(), group.name.clone());
    }
    if nodes.is_empty() && errors.is_empty() {
        errors.push(BuildError::NoNodes);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let known = event::Nodes { classes: &mut classes, nodes: &mut nodes, groups: &group_of };
    let planned = event::plan(events, known, catalogue, slices)?;
    Ok((Cluster::new(classes, nodes), planned))
}

/// The layouts that nodes of a group are re-cut to.
fn recuts<'e>(group: &NodeGroup, single: bool, events: &'e [EventSpec]) -> Vec<&'e [String]> {
    let meant = |name: &String| match name.strip_prefix(&group.name) {
        Some("") => true,
        Some(rest) => !single && rest.starts_with('-'),
        None => false,
    };
    let layout = |event: &'e EventSpec| match &event.change {
        EventKind::Recut(recut) if event.nodes.iter().any(meant) => Some(&recut.layout[..]),
        _ => None,
    };
    events.iter().filter_map(layout).collect()
}

fn class(
    group: &NodeGroup,
    recuts: &[&[String]],
    catalogue: &Catalogue,
    slices: &mut SliceNames,
) -> Result<NodeClass, BuildError> {
    let (model, gpus) = group.gpus.as_ref().map_or(("", 0), |gpus| (gpus.model.as_str(), gpus.count));
    if GPUS_PER_NODE_MAX < usize::from(gpus) {
        return Err(BuildError::TooManyGpus { group: group.name.clone(), gpus });
    }
    let too_large = |amount: String| BuildError::TooLarge { group: group.name.clone(), amount };
    if AMOUNT_MAX < group.cpu.0 {
        return Err(too_large(format!("{} CPUs", group.cpu)));
    }
    if AMOUNT_MAX < group.memory.0 {
        return Err(too_large(group.memory.to_string()));
    }
    let product = catalogue.find(model);
    let mode = if group.gpus.is_none() { &Mode::Whole } else { &group.mode };
    let share = share_of(mode, recuts, product, model, catalogue, slices)
        .map_err(|error| BuildError::Share { group: group.name.clone(), error })?;
    Ok(NodeClass {
        cpu: group.cpu,
        memory: group.memory,
        pods: group.pods,
        gpus,
        model: product.map_or(model, Product::id).to_owned(),
        memory_slices: product.map_or(0, Product::memory_slices),
        share,
        labels: group.labels.clone(),
        taints: group.taints.clone(),
        price_per_hour: group.price_per_hour,
        unschedulable: false,
        present: true,
    })
}

/// How GPUs of a model are handed out in a mode, on nodes of the group `name`.
pub(super) fn share_of(
    mode: &Mode,
    recuts: &[&[String]],
    product: Option<&Product>,
    model: &str,
    catalogue: &Catalogue,
    names: &mut SliceNames,
) -> Result<Share, ShareError> {
    let needed = |mode| {
        product.ok_or_else(|| ShareError::UnknownGpu {
            model: model.to_owned(),
            mode,
            suggestion: catalogue.suggest(model).map(str::to_owned),
        })
    };
    Ok(match mode {
        Mode::Whole => Share::Whole,
        Mode::Fraction => Share::Milli,
        Mode::TimeSlicing { replicas } => Share::Replicas { replicas: *replicas, mps: false },
        Mode::Mps(Mps::Replicas(replicas)) => Share::Replicas { replicas: *replicas, mps: true },
        Mode::Mps(Mps::OnDemand { clients }) => {
            Share::Sliced { gb: needed("MPS memory slicing")?.memory_gb(), clients: *clients }
        }
        Mode::Mps(Mps::Memory { clients }) => {
            Share::Memory { gb: needed("MPS memory slicing")?.memory_gb(), clients: *clients }
        }
        Mode::MigOnDemand => {
            let product = needed("MIG")?;
            let places = product.places().iter().map(|place| lower(&place.slice, product, names));
            let slices: Vec<Slice> = places.collect();
            if SLICES_MAX < slices.len() {
                return Err(ShareError::TooManySlices(slices.len()));
            }
            Share::Slices { slices, standing: 0, compute: product.compute_slices() }
        }
        Mode::Mig(profiles) => {
            let product = needed("MIG")?;
            let layout =
                Layout::place(product, profiles).map_err(|error| ShareError::Layout(Box::new(error)))?;
            let mut slices: Vec<Slice> =
                layout.slices(product).iter().map(|slice| lower(slice, product, names)).collect();
            let standing = ((1_u64 << slices.len()) as u32).wrapping_sub(1);
            // A layout that cannot be is told where its event is looked at.
            for layout in recuts.iter().filter_map(|profiles| Layout::place(product, profiles).ok()) {
                for slice in layout.slices(product) {
                    if slices.iter().all(|known| known.label != label(&slice, product)) {
                        slices.push(lower(&slice, product, names));
                    }
                }
            }
            if SLICES_MAX < slices.len() {
                return Err(ShareError::TooManySlices(slices.len()));
            }
            Share::Slices { slices, standing, compute: product.compute_slices() }
        }
    })
}

fn lower(slice: &crate::gpu::Slice, product: &Product, names: &mut SliceNames) -> Slice {
    let profile = &product.profiles()[usize::from(slice.profile)];
    Slice {
        profile: names.intern(profile.name()),
        label: label(slice, product),
        start: slice.start,
        size: profile.memory_slices(),
        compute: profile.compute_slices(),
    }
}

/// A slice for people: `3g.20gb@4`.
pub(super) fn label(slice: &crate::gpu::Slice, product: &Product) -> String {
    format!("{}@{}", product.profiles()[usize::from(slice.profile)].name(), slice.start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::Gpus;
    use crate::id::NodeId;
    use crate::units::{Mib, MilliCpu};

    fn group(model: &str, mode: Mode) -> NodeGroup {
        NodeGroup {
            name: "g".to_owned(),
            count: 2,
            cpu: MilliCpu(1_000),
            memory: Mib(1),
            pods: 110,
            gpus: Some(Gpus { model: model.to_owned(), count: 8 }),
            mode,
            labels: Default::default(),
            taints: Vec::new(),
            price_per_hour: None,
        }
    }

    fn build_one(group: NodeGroup) -> Result<Cluster, Vec<BuildError>> {
        let built = build(&[(group, false)], &[], Catalogue::builtin(), &mut SliceNames::default());
        built.map(|(cluster, _)| cluster)
    }

    #[test]
    fn slices_stand_at_legal_places() {
        let mode = Mode::Mig(["3g", "1g", "1g", "1g", "1g"].map(str::to_owned).to_vec());
        let cluster = build_one(group("a100-40gb", mode)).expect("legal with the 3g at 4");
        let Share::Slices { slices, compute, .. } = &cluster.class(NodeId(1)).share else { panic!("MIG") };
        let labels: Vec<_> = slices.iter().map(|s| s.label.as_str()).collect();
        assert_eq!(labels, ["1g.5gb@0", "1g.5gb@1", "1g.5gb@2", "1g.5gb@3", "3g.20gb@4"]);
        assert_eq!((*compute, cluster.name(NodeId(1)), cluster.gpus()), (7, "g-1", 16));
    }

    #[test]
    fn impossible_groups_say_why() {
        for (group, text) in [
            (group("a100-40gb", Mode::Mig(vec!["4g".into(), "4g".into()])), "4g.20gb"),
            (group("a100-40", Mode::Mps(Mps::Memory { clients: 48 })), "the catalogue has no GPU `a100-40`"),
            (group("v100-sxm2-16gb", Mode::Mig(vec!["1g".into()])), "no MIG"),
            (
                NodeGroup { gpus: Some(Gpus { model: "x".into(), count: 65 }), ..group("x", Mode::Whole) },
                "65 GPUs",
            ),
            (
                NodeGroup { cpu: MilliCpu(u64::from(u32::MAX)), ..group("x", Mode::Whole) },
                "more than slicewise counts",
            ),
            (NodeGroup { count: 0, ..group("x", Mode::Whole) }, "no nodes"),
        ] {
            let errors = build_one(group).expect_err(text);
            assert!(errors[0].to_string().contains(text), "{}", errors[0]);
        }
    }
}
