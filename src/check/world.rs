//! The nodes of the files, and what each would advertise.
//!
//! A node is cut by mig-parted's configuration that its label selects, or by nos' annotations, or is
//! taken as its status says; what its plugin makes of that is worked out in `offer`.

use super::offer::{MpsGpu, check_mps_gpu, check_policy, check_use, offer};
use super::{Findings, NodeReport, Options, Placed};
use crate::diag::nearest;
use crate::formats::Content;
use crate::formats::mig_parted::{Advertised, MigConfig};
use crate::formats::nos::NosNode;
use crate::formats::plugin::{Plugin, Strategy};
use crate::gpu::driver::Driver;
use crate::gpu::tools::{self, Verdict};
use crate::gpu::{Catalogue, Layout, Places, Product, State};
use crate::manifest::{self, Located};
use crate::partition::nos::names;
use std::collections::{BTreeMap, BTreeSet};

/// Label that selects a configuration of mig-parted.
pub(super) const MIG_CONFIG: &str = "nvidia.com/mig.config";
/// Most nodes that `--gpu` makes with the configurations of the files.
const IMAGINED_MOST: usize = 1_000;

/// Everything that the files say of nodes.
pub(super) struct World<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    /// Whether a file lists nodes; without any, absence means nothing.
    pub(super) listed: bool,
    /// Device classes with an extended resource, by resource.
    pub(super) classes: BTreeMap<String, &'a str>,
}

/// A node in one state.
pub(super) struct Node<'a> {
    pub(super) name: String,
    pub(super) object: Option<&'a manifest::Node>,
    pub(super) product: Option<&'a Product>,
    pub(super) gpus: u32,
    /// The way in which nos cuts it.
    pub(super) nos: Option<names::Kind>,
    pub(super) strategy: Strategy,
    pub(super) cuts: Vec<Cut<'a>>,
    pub(super) resources: BTreeMap<String, u64>,
    /// How each shared resource is shared.
    pub(super) shared: BTreeMap<String, SharedAs>,
    pub(super) decided_by: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
}

/// What becomes of one GPU.
#[derive(Clone)]
pub(super) enum Cut<'a> {
    Whole,
    Mig {
        layout: Layout,
        devices: Vec<Advertised<'a>>,
    },
    /// By MPS, as the plugin's file or nos' annotations say.
    Mps,
    /// Nothing is said.
    Unknown,
}

impl Cut<'_> {
    /// Whether a slice is divided into compute instances.
    pub(super) fn is_parted(&self) -> bool {
        matches!(self, Cut::Mig { devices, .. } if devices.iter().any(|d| d.parted))
    }
}

/// How a resource is shared.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedAs {
    pub(super) is_mps: bool,
    pub(super) refuses_more: bool,
    pub(super) replicas: u32,
}

/// A configuration of a plugin and where it comes from.
#[derive(Clone, Copy)]
pub(super) struct Config<'a> {
    pub(super) file: usize,
    pub(super) key: Option<&'a str>,
    pub(super) plugin: &'a Plugin,
}

/// A configuration of mig-parted and where it comes from.
#[derive(Clone, Copy)]
pub(super) struct Cutting<'a> {
    pub(super) config: &'a MigConfig,
}

/// What the documents say, sorted.
pub(super) struct Said<'a> {
    pub(super) plugins: Vec<Config<'a>>,
    pub(super) cuttings: Vec<Cutting<'a>>,
    pub(super) policy: Option<Strategy>,
}

impl<'a> World<'a> {
    pub(super) fn new(
        documents: &'a [Placed],
        options: &Options<'a>,
        findings: &mut Findings<'_>,
    ) -> World<'a> {
        let mut said = Said { plugins: Vec::new(), cuttings: Vec::new(), policy: None };
        let mut classes = BTreeMap::new();
        for (file, document) in documents {
            match &document.content {
                Content::Plugin(plugin) => {
                    said.plugins.push(Config { file: *file, key: document.key.as_deref(), plugin });
                }
                Content::MigParted(mig) => {
                    said.cuttings.extend(mig.configs.iter().map(|config| Cutting { config }))
                }
                Content::Policy(strategy) => said.policy = strategy.as_ref().map(|s| s.value),
                Content::Class(class) => {
                    if let Some(resource) = &class.extended_resource {
                        classes.insert(resource.value.clone(), class.name.as_str());
                    }
                }
                _ => {}
            }
        }
        let mut world = World { nodes: Vec::new(), listed: false, classes };
        let mut names = BTreeMap::new();
        for (file, document) in documents {
            if let Content::Node(node, nos) = &document.content {
                world.listed = true;
                if names.insert(node.meta.name.as_str(), ()).is_some() {
                    let message = format!("node `{}` is listed twice", node.meta.name);
                    findings.error(*file, &node.meta.at, "duplicate", message, "give each node once: two files may have it with different labels, and only the first is heeded");
                    continue;
                }
                world.nodes.push(listed(*file, node, nos, &said, options, findings));
            }
        }
        for imagined in &options.imagined {
            // Whoever reads the command line has looked the model up.
            if let Some(product) = options.catalogue.find(&imagined.model) {
                world.nodes.extend(imagine(product, imagined.count, &said, options, findings));
            }
        }
        for config in &said.plugins {
            check_policy(config, said.policy, findings);
            check_use(config, &world, findings);
        }
        world
    }

    /// Products of the nodes.
    pub(super) fn products(&self) -> Vec<&'a Product> {
        let mut seen = BTreeSet::new();
        let known = self.nodes.iter().filter_map(|n| n.product);
        known.filter(|p| seen.insert(p.id().to_owned())).collect()
    }

    pub(super) fn reports(&self) -> Vec<NodeReport> {
        self.nodes.iter().map(Node::report).collect()
    }
}

impl Node<'_> {
    fn report(&self) -> NodeReport {
        let mut layouts: Vec<(String, Vec<usize>)> = Vec::new();
        for (index, cut) in self.cuts.iter().enumerate() {
            let (Cut::Mig { layout, .. }, Some(product)) = (cut, self.product) else { continue };
            let text = if layout.is_empty() { "no slices".to_owned() } else { layout.describe(product) };
            match layouts.iter_mut().find(|(t, _)| *t == text) {
                Some((_, gpus)) => gpus.push(index),
                None => layouts.push((text, vec![index])),
            }
        }
        let all = self.cuts.len();
        let which = |gpus: Vec<usize>| match gpus.len() {
            n if n == all => "all".to_owned(),
            _ => gpus.iter().map(usize::to_string).collect::<Vec<_>>().join(","),
        };
        NodeReport {
            name: self.name.clone(),
            gpus: self.product.filter(|_| 0 < self.gpus).map(|p| (p.id().to_owned(), self.gpus)),
            decided_by: self.decided_by.clone(),
            resources: self.resources.clone(),
            labels: self.labels.clone(),
            layouts: layouts.into_iter().map(|(text, gpus)| (which(gpus), text)).collect(),
        }
    }

    /// What a pod can ever be given here of a resource: for nos' nodes, what it could cut.
    pub(super) fn most(&self, resource: &str) -> u64 {
        let now = self.resources.get(resource).copied().unwrap_or(0);
        let (Some(kind), Some(product)) = (self.nos, self.product) else { return now };
        let could = match (kind, kind.profile(resource)) {
            (names::Kind::Mig, Some(profile)) => {
                product.profile(profile).map_or(0, |p| u64::from(p.max_instances()) * u64::from(self.gpus))
            }
            (names::Kind::Mps, Some(profile)) => match names::mps_memory_gb(profile) {
                gb @ 1.. => u64::from(product.memory_gb()) / gb.unsigned_abs() * u64::from(self.gpus),
                _ => 0,
            },
            _ => 0,
        };
        now.max(could)
    }
}

/// The product of a node's label, whatever feature discovery has appended to it.
fn product_of<'c>(label: &str, catalogue: &'c Catalogue) -> Option<&'c Product> {
    let bare = label.strip_suffix("-SHARED").unwrap_or(label);
    let bare = bare.split("-MIG-").next().unwrap_or(bare);
    catalogue.find(bare)
}

/// A node of a file.
fn listed<'a>(
    file: usize,
    object: &'a manifest::Node,
    nos: &'a NosNode,
    said: &Said<'a>,
    options: &Options<'a>,
    findings: &mut Findings<'_>,
) -> Node<'a> {
    let label = object.meta.labels.get(names::MODEL);
    let product = label.and_then(|l| product_of(&l.value, options.catalogue));
    if let (Some(label), None) = (label, product) {
        let message = format!("no GPU of the catalogue has the label `{}`", label.value);
        let known = options.catalogue.iter().flat_map(|p| p.names().map(str::to_owned).collect::<Vec<_>>());
        let known: Vec<String> = known.map(|n| n.replace(' ', "-")).collect();
        let near = nearest(&label.value, known.iter().map(String::as_str));
        let help = near.map_or("`--gpus FILE` lays products of your own over it".to_owned(), |n| {
            format!("did you mean `{n}`?")
        });
        findings.warning(file, &label.at, "unknown-gpu", message, help);
    }
    let mut decided_by = Vec::new();
    let gpus = count_of(object, nos, &mut decided_by);
    let mut node = Node {
        name: object.meta.name.clone(),
        object: Some(object),
        product,
        gpus,
        nos: nos.kind.as_ref().map(|k| k.value),
        strategy: Strategy::None,
        cuts: vec![Cut::Unknown; gpus as usize],
        resources: observed(object),
        shared: BTreeMap::new(),
        decided_by,
        labels: BTreeMap::new(),
    };
    if !node.resources.is_empty() {
        node.decided_by.push("its status".to_owned());
    }
    if let (Some(label), Some(names::Kind::Mig)) = (object.meta.labels.get(MIG_CONFIG), node.nos) {
        let message = format!("both mig-parted and nos cut the GPUs of {}", node.name);
        let help = "each undoes what the other made; keep one of the two labels";
        findings.warning(file, &label.at, "two-managers", message, help);
    }
    let config = plugin_of(file, object, said, findings);
    let cutting = cutting_of(file, object, said, findings);
    if let (Some(cutting), Some(product)) = (cutting, product) {
        cut_by(&mut node, product, cutting);
        for (index, entry) in cutting.config.of_gpus(product, gpus).iter().enumerate() {
            if entry.is_none() {
                let label = object.meta.labels.get(MIG_CONFIG).expect("it selects the configuration");
                let message = format!("`{}` says nothing of GPU {index} of {}", label.value, node.name);
                let help = format!("GPUs that no entry matches stay as they are; the node has {gpus}");
                findings.warning(file, &label.at, "uncovered", message, help);
            }
        }
    } else if let Some(product) = product
        && !nos.spec.is_empty()
    {
        cut_by_nos(&mut node, file, product, nos, findings);
    }
    let decided = config.is_some() || node.cuts.iter().any(|c| !matches!(c, Cut::Unknown));
    // Without a number of GPUs, what a node has now is all that is known of it.
    if decided && 0 < gpus {
        offer(&mut node, config, said, options, Some((file, object)), findings);
    }
    node
}

/// GPUs of a node: as feature discovery or nos says, or as many as it has.
fn count_of(object: &manifest::Node, nos: &NosNode, decided_by: &mut Vec<String>) -> u32 {
    if object.meta.label(names::MODEL).is_some_and(|label| label.contains("-MIG-")) {
        // Under the strategy `single` the labels count and describe MIG devices.
        return 0;
    }
    if let Some(count) = object.meta.label(names::COUNT).and_then(|c| c.parse::<u32>().ok()) {
        return count.min(64);
    }
    if let Some(whole) = object.capacity.get("nvidia.com/gpu") {
        return u32::try_from(whole.value.value()).unwrap_or(0).min(64);
    }
    let named = nos.spec.iter().map(|s| s.value.index).chain(nos.status.iter().map(|s| s.value.index)).max();
    match named {
        Some(index) => u32::try_from(index + 1).unwrap_or(0).min(64),
        None if object.meta.labels.contains_key(names::MODEL) => {
            decided_by.push(format!("1 GPU assumed: no label {}", names::COUNT));
            1
        }
        None => 0,
    }
}

/// GPU resources that a node has now.
fn observed(object: &manifest::Node) -> BTreeMap<String, u64> {
    let gpu = object.allocatable.iter().filter(|(name, _)| name.starts_with("nvidia.com/"));
    gpu.filter_map(|(name, q)| Some((name.clone(), u64::try_from(q.value.value()).ok()?)))
        .filter(|(_, n)| 0 < *n)
        .collect()
}

/// The plugin's configuration of a node.
fn plugin_of<'a>(
    file: usize,
    object: &manifest::Node,
    said: &Said<'a>,
    findings: &mut Findings<'_>,
) -> Option<Config<'a>> {
    let keyed = || said.plugins.iter().filter(|c| c.key.is_some());
    if let Some(label) = object.meta.labels.get(names::PLUGIN_CONFIG) {
        let found = keyed().find(|c| c.key == Some(label.value.as_str())).copied();
        if found.is_none() && keyed().next().is_some() {
            let keys: Vec<&str> = keyed().filter_map(|c| c.key).collect();
            let message = format!(
                "no configuration is called `{}`: the plugin of {} does not start",
                label.value, object.meta.name
            );
            let help = match nearest(&label.value, keys.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are: {}", keys.join(", ")),
            };
            findings.error(file, &label.at, "unknown-config", message, help);
        }
        return found;
    }
    fallback(said)
}

/// The configuration of a node without the label: `default`, or the only one.
fn fallback<'a>(said: &Said<'a>) -> Option<Config<'a>> {
    let named = said.plugins.iter().find(|c| c.key == Some("default"));
    match said.plugins.as_slice() {
        [only] => Some(*only),
        _ => named.copied(),
    }
}

fn cutting_of<'a>(
    file: usize,
    object: &manifest::Node,
    said: &Said<'a>,
    findings: &mut Findings<'_>,
) -> Option<Cutting<'a>> {
    let label = object.meta.labels.get(MIG_CONFIG)?;
    let found = said.cuttings.iter().find(|c| c.config.label.value == label.value).copied();
    if found.is_none() && !said.cuttings.is_empty() {
        let known: Vec<&str> = said.cuttings.iter().map(|c| c.config.label.value.as_str()).collect();
        let message =
            format!("no MIG configuration is called `{}`: {} stays as it is", label.value, object.meta.name);
        let help = match nearest(&label.value, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", known.join(", ")),
        };
        findings.error(file, &label.at, "unknown-config", message, help);
    }
    found
}

/// Cuts a node's GPUs as mig-parted would. What cannot stand is complained about with the file that
/// says it; the GPU is then left empty, as mig-parted leaves it.
fn cut_by<'a>(node: &mut Node<'a>, product: &'a Product, cutting: Cutting<'a>) {
    node.decided_by.push(format!("mig-parted `{}`", cutting.config.label.value));
    for (cut, entry) in node.cuts.iter_mut().zip(cutting.config.of_gpus(product, node.gpus)) {
        let Some(entry) = entry else { continue };
        if !entry.enabled {
            *cut = Cut::Whole;
            continue;
        }
        let (layout, devices) = match entry.on(product) {
            Ok(mig) => (reached(product, mig.layout).unwrap_or_default(), mig.devices),
            Err(_) => (Layout::default(), Vec::new()),
        };
        let devices = if layout.is_empty() { Vec::new() } else { devices };
        *cut = Cut::Mig { layout, devices };
    }
}

/// The layout that mig-parted ends with on an empty GPU, by our model of the driver; `None` if it
/// fails in every order.
pub(super) fn reached(product: &Product, wanted: Layout) -> Option<Layout> {
    let counts: Vec<(u8, u8)> = wanted.geometry(product).counts().collect();
    let driver = Driver::new(product);
    let outcome = tools::mig_parted(product, &driver, State::EMPTY, Places::NONE, &counts);
    let failed = matches!(outcome.verdict, Verdict::Failed { .. });
    (!failed).then(|| product.states().layout(outcome.state))
}

/// Cuts a node's GPUs as nos' annotations ask.
fn cut_by_nos<'a>(
    node: &mut Node<'a>,
    file: usize,
    product: &'a Product,
    nos: &NosNode,
    findings: &mut Findings<'_>,
) {
    node.decided_by.push("nos' annotations".to_owned());
    let by_mps = node.nos == Some(names::Kind::Mps);
    let mut gpus: BTreeMap<i64, Vec<&Located<crate::partition::nos::names::Spec>>> = BTreeMap::new();
    for spec in &nos.spec {
        gpus.entry(spec.value.index).or_default().push(spec);
    }
    for (index, specs) in gpus {
        let at = &specs[0].at;
        let Some(cut) = usize::try_from(index).ok().and_then(|i| node.cuts.get_mut(i)) else {
            let message = format!("{} has no GPU {index}", node.name);
            findings.error(file, at, "no-such-gpu", message, format!("it has {} by its labels", node.gpus));
            continue;
        };
        if by_mps {
            let sum: i64 =
                specs.iter().map(|s| names::mps_memory_gb(&s.value.profile) * s.value.quantity.max(0)).sum();
            let count: i64 = specs.iter().map(|s| s.value.quantity.max(0)).sum();
            check_mps_gpu(&MpsGpu { file, at, product, gpu: index, sum_gb: sum, clients: count }, findings);
            *cut = Cut::Mps;
            for spec in specs {
                let resource = names::Kind::Mps.resource(&spec.value.profile);
                *node.resources.entry(resource).or_default() += spec.value.quantity.max(0).unsigned_abs();
            }
            continue;
        }
        let mut wanted = Vec::new();
        let mut devices = Vec::new();
        for spec in &specs {
            let count = u32::try_from(spec.value.quantity).unwrap_or(0).min(16);
            match product.profile(&spec.value.profile) {
                Some(profile) => {
                    wanted.extend(std::iter::repeat_n(profile.name(), count as usize));
                    devices.push(Advertised { profile, parted: false, count });
                }
                None => {
                    let message = format!("{} has no MIG profile `{}`", product.id(), spec.value.profile);
                    let help = format!("it has {}", product.profile_names());
                    findings.error(file, &spec.at, "unknown-profile", message, help);
                }
            }
        }
        match Layout::place(product, &wanted) {
            Ok(layout) => *cut = Cut::Mig { layout, devices },
            Err(error) => {
                let help = error.help().unwrap_or_default();
                findings.error(file, at, "infeasible", format!("GPU {index}: {error}"), help);
            }
        }
    }
    if by_mps {
        node.resources.remove("nvidia.com/gpu");
    }
}

/// The nodes that `--gpu` stands for: each with each configuration of the files.
fn imagine<'a>(
    product: &'a Product,
    count: u32,
    said: &Said<'a>,
    options: &Options<'a>,
    findings: &mut Findings<'_>,
) -> Vec<Node<'a>> {
    let fits =
        |c: &&Cutting<'a>| c.config.entries.iter().any(|e| (0..count).any(|gpu| e.matches(product, gpu)));
    let mut cuttings: Vec<Option<Cutting<'a>>> =
        said.cuttings.iter().filter(fits).copied().map(Some).collect();
    // A file of many labels is for many GPUs: those that this one can hold, if it can any.
    let stands = |c: &Option<Cutting<'a>>| {
        let entries = c.iter().flat_map(|c| c.config.of_gpus(product, count));
        entries.flatten().all(|e| e.on(product).is_ok())
    };
    if cuttings.iter().any(stands) {
        cuttings.retain(stands);
    }
    let mut configs: Vec<Option<Config<'a>>> = said.plugins.iter().copied().map(Some).collect();
    if cuttings.is_empty() {
        cuttings.push(None);
    }
    if configs.is_empty() {
        configs.push(None);
    }
    let mut nodes = Vec::new();
    for cutting in &cuttings {
        for config in &configs {
            if IMAGINED_MOST <= nodes.len() {
                return nodes;
            }
            let mut name = format!("{count} x {}", product.id());
            if let Some(cutting) = cutting {
                name.push_str(&format!(", {}", cutting.config.label.value));
            }
            if let Some(key) = config.and_then(|c| c.key) {
                name.push_str(&format!(", {key}"));
            }
            let mut node = Node {
                name,
                object: None,
                product: Some(product),
                gpus: count,
                nos: None,
                strategy: Strategy::None,
                cuts: vec![Cut::Whole; count as usize],
                resources: BTreeMap::new(),
                shared: BTreeMap::new(),
                decided_by: vec!["--gpu".to_owned()],
                labels: BTreeMap::new(),
            };
            if let Some(cutting) = cutting {
                node.cuts = vec![Cut::Unknown; count as usize];
                cut_by(&mut node, product, *cutting);
            }
            offer(&mut node, *config, said, options, None, findings);
            nodes.push(node);
        }
    }
    nodes
}
