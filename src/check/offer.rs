//! What the device plugin of a node makes of its GPUs: resources and labels.
//!
//! `internal/rm` and `internal/lm` of NVIDIA/k8s-device-plugin; memory slices are nebuly's.

use super::world::{Config, Cut, MIG_CONFIG, Node, Said, SharedAs, World};
use super::{Findings, Options};
use crate::diag::nearest;
use crate::formats::plugin::{Dialect, MPS_MEMORY_LEAST, MPS_REPLICAS, Shares, Strategy};
use crate::gpu::Product;
use crate::manifest::{self, Located};
use crate::partition::nos::names;
use crate::units::Mib;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Label with the strategy, written by feature discovery.
const MIG_STRATEGY: &str = "nvidia.com/mig.strategy";

/// Where a strategy comes from that nobody says.
const ASSUMED: &str = "assumed";

/// Works out what the plugin of a node advertises.
pub(super) fn offer<'a>(
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
pub(super) fn check_policy(config: &Config<'_>, policy: Option<Strategy>, findings: &mut Findings<'_>) {
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
pub(super) fn check_use(config: &Config<'_>, world: &World<'_>, findings: &mut Findings<'_>) {
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

/// The slices of one GPU that is shared by MPS.
pub(super) struct MpsGpu<'a> {
    pub(super) file: usize,
    pub(super) at: &'a Range<usize>,
    pub(super) product: &'a Product,
    pub(super) gpu: i64,
    pub(super) sum_gb: i64,
    pub(super) clients: i64,
}

pub(super) fn check_mps_gpu(mps: &MpsGpu<'_>, findings: &mut Findings<'_>) {
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
