//! The nodes of the files, and what each would advertise.
//!
//! What a device plugin makes of a node's GPUs: `internal/rm` and `internal/lm` of
//! NVIDIA/k8s-device-plugin; MPS slices are nos' and nebuly's.

use super::{Findings, NodeReport, Options, Placed};
use crate::diag::nearest;
use crate::formats::Content;
use crate::formats::mig_parted::{Advertised, MigConfig};
use crate::formats::nos::NosNode;
use crate::formats::plugin::{Dialect, MPS_MEMORY_LEAST, MPS_REPLICAS, Plugin, Shares, Strategy};
use crate::gpu::driver::Driver;
use crate::gpu::tools::{self, Verdict};
use crate::gpu::{Catalogue, Layout, Places, Product, State};
use crate::manifest::{self, Located};
use crate::partition::nos::names;
use crate::units::Mib;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Label that selects a configuration of mig-parted.
pub(super) const MIG_CONFIG: &str = "nvidia.com/mig.config";
/// Label with the strategy, written by feature discovery.
const MIG_STRATEGY: &str = "nvidia.com/mig.strategy";

/// Where a strategy comes from that nobody says.
const ASSUMED: &str = "assumed";

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
    decided_by: Vec<String>,
    labels: BTreeMap<String, String>,
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
    fn is_parted(&self) -> bool {
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
struct Config<'a> {
    file: usize,
    key: Option<&'a str>,
    plugin: &'a Plugin,
}

/// A configuration of mig-parted and where it comes from.
#[derive(Clone, Copy)]
struct Cutting<'a> {
    config: &'a MigConfig,
}

/// What the documents say, sorted.
struct Said<'a> {
    plugins: Vec<Config<'a>>,
    cuttings: Vec<Cutting<'a>>,
    policy: Option<Strategy>,
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
                    findings.error(*file, &node.meta.at, "duplicate", message, "give each node once");
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

/// The slices of one GPU that is shared by MPS.
struct MpsGpu<'a> {
    file: usize,
    at: &'a Range<usize>,
    product: &'a Product,
    gpu: i64,
    sum_gb: i64,
    clients: i64,
}

fn check_mps_gpu(mps: &MpsGpu<'_>, findings: &mut Findings<'_>) {
    let MpsGpu { file, at, product, gpu, sum_gb, clients } = mps;
    let memory = i64::from(product.memory_gb());
    let limits = product.mps();
    if memory < *sum_gb {
        let message =
            format!("GPU {gpu}: slices of {sum_gb} GB together, and {} has {memory} GB", product.id());
        findings.error(
            *file,
            at,
            "too-much-memory",
            message,
            "the plugin does not check this; nos never plans it",
        );
    } else if product.memory() <= Mib(sum_gb.unsigned_abs() * 1_024) {
        let promised = Mib(sum_gb.unsigned_abs() * 1_024);
        let message = match promised == product.memory() {
            true => format!("GPU {gpu}: slices promise all {promised} that {} has", product.id()),
            false => {
                format!("GPU {gpu}: slices promise {promised}, and {} has {}", product.id(), product.memory())
            }
        };
        let help = "MPS counts in GiB, and the driver and every client's context take their part: the last pod runs out";
        findings.warning(*file, at, "reserved-memory", message, help);
    }
    if !limits.memory_limit {
        let message = format!("{} cannot limit the memory of MPS clients", product.id());
        findings.warning(
            *file,
            at,
            "no-limit",
            message,
            "limits came with Volta: a slice can take all memory here",
        );
    }
    if i64::from(limits.clients) < *clients {
        let message = format!(
            "GPU {gpu}: {clients} slices, and MPS on {} has {} clients",
            product.id(),
            limits.clients
        );
        let help = format!("up to CUDA 13.0; from 13.1 on {}", limits.clients_cuda_13_1);
        findings.error(*file, at, "mps-clients", message, help);
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

/// Works out what the plugin of a node advertises.
fn offer<'a>(
    node: &mut Node<'a>,
    config: Option<Config<'a>>,
    said: &Said<'a>,
    options: &Options<'a>,
    place: Option<(usize, &manifest::Node)>,
    findings: &mut Findings<'_>,
) {
    if node.cuts.iter().any(|c| matches!(c, Cut::Mps)) {
        return;
    }
    let (strategy, from) = strategy_of(node, config, said, options);
    node.strategy = strategy;
    let has_mig = node.cuts.iter().any(|c| matches!(c, Cut::Mig { .. }));
    let unknown = node.cuts.iter().any(|c| matches!(c, Cut::Unknown));
    if let Some(Config { key: Some(key), .. }) = config {
        node.decided_by.push(format!("plugin `{key}`"));
    }
    if has_mig {
        node.decided_by.push(format!("strategy {} ({from})", strategy.word()));
    }
    let model = node.product.map(Product::label);
    if unknown && !has_mig {
        // Nothing is said of the cut: what the node has now is what the plugin shares.
        let mig_now = node.resources.keys().any(|r| r.starts_with("nvidia.com/mig-"));
        if !mig_now {
            node.resources.retain(|name, _| !name.starts_with("nvidia.com/gpu"));
            node.resources.insert("nvidia.com/gpu".to_owned(), u64::from(node.gpus));
        }
    } else {
        node.resources
            .retain(|name, _| !name.starts_with("nvidia.com/gpu") && !name.starts_with("nvidia.com/mig-"));
        advertise(node, strategy, model.as_deref(), place, findings);
    }
    if let Some(config) = config {
        share(node, config, findings);
    }
    node.resources.retain(|_, count| 0 < *count);
    if strategy != Strategy::None && from != ASSUMED {
        node.labels.insert(MIG_STRATEGY.to_owned(), strategy.word().to_owned());
    }
}

fn strategy_of<'a>(
    node: &Node<'a>,
    config: Option<Config<'a>>,
    said: &Said<'a>,
    options: &Options<'a>,
) -> (Strategy, &'static str) {
    let label = || node.object.and_then(|o| o.meta.label(MIG_STRATEGY)).and_then(Strategy::of);
    let file = || config.and_then(|c| c.plugin.strategy.as_ref()).map(|s| s.value);
    // The operator hands its strategy on as an environment variable, which wins over the file.
    let sources = [
        (options.strategy, "--mig-strategy"),
        (said.policy, "ClusterPolicy"),
        (file(), "the plugin's file"),
        (label(), "the node's label"),
    ];
    let said = sources.into_iter().find_map(|(strategy, from)| Some((strategy?, from)));
    said.unwrap_or((Strategy::Mixed, ASSUMED))
}

/// Resources and labels of a node by strategy, before sharing.
fn advertise(
    node: &mut Node<'_>,
    strategy: Strategy,
    model: Option<&str>,
    place: Option<(usize, &manifest::Node)>,
    findings: &mut Findings<'_>,
) {
    let mut put = |name: String, count: u64| *node.resources.entry(name).or_default() += count;
    let label = |suffix: &str| model.map(|m| format!("{m}{suffix}"));
    let mut product_label = label("");
    match strategy {
        Strategy::None => put("nvidia.com/gpu".to_owned(), u64::from(node.gpus)),
        // No resource name fits a part of a slice, and the plugin does not start on finding one.
        Strategy::Mixed if node.cuts.iter().any(Cut::is_parted) => {}
        Strategy::Mixed => {
            for cut in &node.cuts {
                let Cut::Mig { devices, .. } = cut else {
                    put("nvidia.com/gpu".to_owned(), 1);
                    continue;
                };
                for device in devices {
                    put(device.profile.resource(), u64::from(device.count));
                }
            }
        }
        Strategy::Single => {
            let mut profiles = BTreeSet::new();
            let (mut devices_sum, mut empty, mut whole) = (0, false, false);
            for cut in &node.cuts {
                let Cut::Mig { devices, .. } = cut else {
                    whole = true;
                    continue;
                };
                empty |= devices.iter().all(|d| d.count == 0);
                profiles.extend(devices.iter().map(|d| (d.profile.name().to_owned(), d.parted)));
                devices_sum += devices.iter().map(|d| u64::from(d.count)).sum::<u64>();
            }
            let all_whole = profiles.is_empty() && !empty;
            if all_whole {
                put("nvidia.com/gpu".to_owned(), u64::from(node.gpus));
            } else if profiles.len() == 1 && !empty && !whole {
                let (profile, _) = profiles.first().expect("one of them");
                put("nvidia.com/gpu".to_owned(), devices_sum);
                product_label = label(&format!("-MIG-{}", profile.replace('+', ".")));
            } else {
                product_label = label("-MIG-INVALID");
                if let Some((file, object)) = place {
                    let at = object.meta.labels.get(MIG_CONFIG).map_or(&object.meta.at, |l| &l.at);
                    let why = match (empty, whole) {
                        (true, _) => "a GPU in MIG mode has no slice",
                        (_, true) => "some GPUs are in MIG mode and some are not",
                        _ => "its slices are not all of one profile",
                    };
                    let message =
                        format!("{} advertises nothing under the strategy `single`: {why}", node.name);
                    findings.error(
                        file,
                        at,
                        "single-strategy",
                        message,
                        "use `mixed`, or cut all GPUs alike",
                    );
                }
            }
        }
    }
    if let Some(label) = product_label {
        node.labels.insert(names::MODEL.to_owned(), label);
    }
}

/// Shares the resources of a node.
fn share<'a>(node: &mut Node<'a>, config: Config<'a>, findings: &mut Findings<'_>) {
    let Some(shares) = config.plugin.shares() else { return };
    let is_mps = config.plugin.mps.is_some();
    if is_mps && config.plugin.dialect == Dialect::Nebuly {
        memory_slices(node, config, shares, findings);
        return;
    }
    let mut any = false;
    for shared in &shares.resources {
        let name = &shared.name.value;
        let Some(count) = node.resources.remove(name) else { continue };
        let replicas = shared.replicas.value;
        let offered = if shares.renamed { format!("{name}.shared") } else { name.clone() };
        node.resources.insert(offered.clone(), count * u64::from(replicas));
        let shared_as = SharedAs { is_mps, refuses_more: shares.refuses_more, replicas };
        node.shared.insert(offered, shared_as);
        any = true;
        if let Some(product) = node.product {
            if is_mps {
                check_replicas(config.file, &shared.replicas, product, findings);
            } else {
                let message = format!("time-slicing of `{name}` limits neither memory nor time");
                let slice = name.strip_prefix("nvidia.com/mig-").and_then(|p| product.resolve_profile(p));
                let (memory, device) = match slice {
                    Some(profile) => (profile.memory(), profile.name()),
                    None => (product.memory(), product.id()),
                };
                let help =
                    format!("{replicas} pods share {memory} of one {device}, and each can take it all");
                findings.warning(config.file, &shared.name.at, "no-limit", message, help);
            }
        }
        if name == "nvidia.com/gpu" {
            node.labels.insert("nvidia.com/gpu.replicas".to_owned(), replicas.to_string());
            if let Some(label) = node.labels.get_mut(names::MODEL).filter(|_| !shares.renamed) {
                label.push_str("-SHARED");
            }
        }
    }
    if any {
        let word = if is_mps { "mps" } else { "time-slicing" };
        node.labels.insert("nvidia.com/gpu.sharing-strategy".to_owned(), word.to_owned());
        if is_mps {
            node.labels.insert("nvidia.com/mps.capable".to_owned(), "true".to_owned());
        }
    }
}

fn check_replicas(file: usize, replicas: &Located<u32>, product: &Product, findings: &mut Findings<'_>) {
    let most = u32::from(product.mps().plugin_replicas);
    if MPS_REPLICAS < replicas.value {
        // On no GPU at all, which was said where the file was read.
        return;
    }
    if most < replicas.value {
        let message =
            format!("{} replicas by MPS on {}: the plugin takes up to {most}", replicas.value, product.id());
        findings.error(
            file,
            &replicas.at,
            "mps-clients",
            message,
            "48 from compute capability 7.5 on, 16 before",
        );
        return;
    }
    let share = Mib(product.memory().0 / u64::from(replicas.value.max(1)));
    if share < MPS_MEMORY_LEAST {
        let message = format!("{} replicas leave {share} each on {}", replicas.value, product.id());
        let help = format!(
            "below some {MPS_MEMORY_LEAST} a CUDA context does not start (k8s-device-plugin issue 1118)"
        );
        findings.warning(file, &replicas.at, "reserved-memory", message, help);
    }
}

/// nebuly's memory slices on a node.
fn memory_slices<'a>(node: &mut Node<'a>, config: Config<'a>, shares: &Shares, findings: &mut Findings<'_>) {
    let mut gpus: BTreeMap<u32, (i64, i64, Range<usize>)> = BTreeMap::new();
    node.resources.remove("nvidia.com/gpu");
    for shared in &shares.resources {
        let offered = shared.rename.as_ref().unwrap_or(&shared.name).value.clone();
        let memory = shared.memory_gb.as_ref().map_or(0, |m| m.value);
        for device in &shared.devices {
            if let Ok(index) = device.value.parse::<u32>() {
                if node.gpus <= index {
                    let message = format!("{} has no GPU {index}", node.name);
                    findings.error(
                        config.file,
                        &device.at,
                        "no-such-gpu",
                        message,
                        format!("it has {}", node.gpus),
                    );
                    continue;
                }
                let entry = gpus.entry(index).or_insert((0, 0, shared.replicas.at.clone()));
                entry.0 += i64::from(memory) * i64::from(shared.replicas.value);
                entry.1 += i64::from(shared.replicas.value);
            }
            *node.resources.entry(offered.clone()).or_default() += u64::from(shared.replicas.value);
        }
        let shared_as =
            SharedAs { is_mps: true, refuses_more: shares.refuses_more, replicas: shared.replicas.value };
        node.shared.insert(offered, shared_as);
    }
    let Some(product) = node.product else { return };
    for (gpu, (sum_gb, clients, at)) in gpus {
        let mps = MpsGpu { file: config.file, at: &at, product, gpu: i64::from(gpu), sum_gb, clients };
        check_mps_gpu(&mps, findings);
    }
}

/// The operator's strategy reaches the plugin as an environment variable, which wins over the file.
fn check_policy(config: &Config<'_>, policy: Option<Strategy>, findings: &mut Findings<'_>) {
    let (Some(written), Some(policy)) = (&config.plugin.strategy, policy) else { return };
    if written.value != policy {
        let message = format!(
            "`migStrategy: {}` does nothing: the ClusterPolicy says {}",
            written.value.word(),
            policy.word()
        );
        findings.warning(config.file, &written.at, "no-effect", message, "set spec.mig.strategy there");
    }
}

/// Whether a configuration shares anything that some node has.
fn check_use(config: &Config<'_>, world: &World<'_>, findings: &mut Findings<'_>) {
    let Some(shares) = config.plugin.shares() else { return };
    if !world.nodes.iter().any(|n| !n.resources.is_empty()) {
        return;
    }
    for shared in &shares.resources {
        let name = &shared.name.value;
        let elsewhere = shared.memory_gb.is_some()
            || (config.plugin.mps.is_some() && name.starts_with("nvidia.com/mig-"));
        let offered = |n: &Node<'_>| {
            n.resources.contains_key(name) || n.resources.contains_key(&format!("{name}.shared"))
        };
        if !elsewhere && name.starts_with("nvidia.com/") && !world.nodes.iter().any(offered) {
            let message = format!("no node has a device `{name}`: sharing it does nothing");
            let known: BTreeSet<&str> =
                world.nodes.iter().flat_map(|n| n.resources.keys()).map(String::as_str).collect();
            let help = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("nodes have {}", known.into_iter().collect::<Vec<_>>().join(", ")),
            };
            findings.warning(config.file, &shared.name.at, "no-effect", message, help);
        }
    }
}
