//! Whether there is a node for each pod, and if not, by which rule.
//!
//! Only what holds for ever counts: a pod is judged against what nodes have, not against what is
//! free. Where files list no node, rules that need none are all that is asked.

use super::world::{Cut, Node, World};
use super::{Findings, Placed, layouts};
use crate::diag::nearest;
use crate::formats::plugin::Strategy;
use crate::formats::{Claim, Class, Content, Sharing};
use crate::gpu::{Catalogue, Layout, Product, Profile};
use crate::manifest::{Located, Pod, Quantity, Resources};
use crate::partition::nos::names;
use crate::units::Mib;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The annotation by which a pod says how much GPU memory it needs: the GPU's resources do not.
pub(super) const GPU_MEMORY: &str = "slicewise/gpu-memory";

/// Classes that the driver's chart installs.
const CHART_CLASSES: [&str; 3] = ["gpu.nvidia.com", "mig.nvidia.com", "vfio.gpu.nvidia.com"];

/// Checks every pod that has not ended, and says how many those were.
pub(super) fn check(
    documents: &[Placed],
    world: &World<'_>,
    catalogue: &Catalogue,
    findings: &mut Findings<'_>,
) -> usize {
    let mut claims = Claims { by_name: BTreeMap::new(), classes: Vec::new() };
    for (file, document) in documents {
        match &document.content {
            Content::Claim(claim) => {
                let key = (claim.is_template, claim.namespace.clone(), claim.name.clone());
                claims.by_name.insert(key, claim);
                check_claim(*file, claim, world, catalogue, findings);
            }
            Content::Class(class) => claims.classes.push(class),
            _ => {}
        }
    }
    for (file, document) in documents {
        if let Content::Claim(claim) = &document.content {
            claims.check_classes(*file, claim, findings);
        }
    }
    let mut pods = 0;
    for (file, document) in documents {
        let Content::Pod(pod) = &document.content else { continue };
        if pod.has_ended() || pod.meta.deleted.is_some() {
            continue;
        }
        pods += 1;
        let asked = Asked { file: *file, pod, world };
        asked.amounts(findings);
        asked.nodes(findings);
        asked.more_than_one(findings);
        asked.memory(findings);
        claims.check_pod(*file, pod, findings);
    }
    pods
}

/// One pod against the nodes.
struct Asked<'a> {
    file: usize,
    pod: &'a Pod,
    world: &'a World<'a>,
}

/// Whether a resource is NVIDIA's, or was meant to be.
fn is_gpu(resource: &str) -> bool {
    resource.split_once('/').is_some_and(|(domain, _)| nearest(domain, ["nvidia.com"]).is_some())
}

fn is_extended(resource: &str) -> bool {
    resource.contains('/') && !resource.starts_with("kubernetes.io/")
}

impl Asked<'_> {
    /// How people call the pod.
    fn name(&self) -> String {
        let name = &self.pod.meta.name;
        if name.is_empty() { "the pod".to_owned() } else { format!("`{name}`") }
    }

    /// Where a resource is asked for.
    fn place(&self, resource: &str) -> Range<usize> {
        let all = self.pod.containers.iter().chain(&self.pod.init_containers);
        let found = all.into_iter().find_map(|c| c.limits.get(resource).or_else(|| c.requests.get(resource)));
        found.map_or(self.pod.meta.at.clone(), |q| q.at.clone())
    }

    /// What the API server refuses: parts of devices, requests without limits or unlike them.
    fn amounts(&self, findings: &mut Findings<'_>) {
        for container in self.pod.containers.iter().chain(&self.pod.init_containers) {
            let names: BTreeSet<&String> = container.limits.keys().chain(container.requests.keys()).collect();
            for name in names.into_iter().filter(|n| is_extended(n)) {
                let (limit, request) = (container.limits.get(name), container.requests.get(name));
                let written = limit.or(request).expect("one of them has it");
                if !written.value.is_whole() {
                    let message = format!("`{name}`: {} is no whole number of devices", written.value);
                    let help =
                        "the API server refuses it; a part of a GPU is a MIG or MPS slice, or a replica";
                    findings.error(self.file, &written.at, "bad-amount", message, help);
                }
                match (limit, request) {
                    (None, Some(request)) => {
                        let message = format!("`{name}` is requested without a limit");
                        findings.error(
                            self.file,
                            &request.at,
                            "bad-amount",
                            message,
                            "the API server refuses it; set the same limit",
                        );
                    }
                    (Some(limit), Some(request)) if limit.value != request.value => {
                        let message = format!(
                            "`{name}`: the request {} is not the limit {}",
                            request.value, limit.value
                        );
                        findings.error(
                            self.file,
                            &request.at,
                            "bad-amount",
                            message,
                            "the API server refuses it; devices are not overcommitted",
                        );
                    }
                    _ => {}
                }
            }
        }
    }

    /// Whether some node has everything at once, and lets the pod in.
    fn nodes(&self, findings: &mut Findings<'_>) {
        if self.world.nodes.is_empty() {
            self.spelling(findings);
            return;
        }
        let needs = self.pod.requests();
        let mut told = false;
        for (resource, quantity) in needs.iter().filter(|(name, q)| is_gpu(name) && !q.is_zero()) {
            let asked = quantity.value().unsigned_abs();
            let most = self.world.nodes.iter().map(|n| n.most(resource)).max().unwrap_or(0);
            let by_class = self.world.classes.contains_key(resource);
            if most == 0 && !by_class {
                told = true;
                self.absent(resource, findings);
            } else if most < asked && !by_class {
                told = true;
                let at = self.place(resource);
                let message = format!(
                    "{} asks for {asked} of `{resource}`, and the most on one node is {most}",
                    self.name()
                );
                findings.error(self.file, &at, "too-many", message, "a pod runs on one node");
            }
        }
        if !told {
            self.together(&needs, findings);
        }
    }

    /// Without nodes: names that no node could ever have.
    fn spelling(&self, findings: &mut Findings<'_>) {
        for resource in self.pod.requests().keys().filter(|r| is_gpu(r)) {
            if resource.contains('+') {
                self.plus(resource, findings);
            }
        }
    }

    fn plus(&self, resource: &str, findings: &mut Findings<'_>) {
        let message = format!("`{resource}` cannot be the name of a resource");
        let help = format!("a `+` of the profile is written `.`: `{}`", resource.replace('+', "."));
        findings.error(self.file, &self.place(resource), "no-such-resource", message, help);
    }

    /// A resource that no node has.
    fn absent(&self, resource: &str, findings: &mut Findings<'_>) {
        if resource.contains('+') {
            return self.plus(resource, findings);
        }
        let at = self.place(resource);
        let nodes = &self.world.nodes;
        let mut say =
            |code, message: String, help: String| findings.error(self.file, &at, code, message, help);
        let has_slice = |n: &&Node<'_>, profile: &str| {
            n.cuts.iter().any(|c| match c {
                Cut::Mig { devices, .. } => {
                    devices.iter().any(|d| d.profile.resource() == profile && 0 < d.count)
                }
                _ => false,
            })
        };
        if let Some(node) = nodes.iter().find(|n| n.strategy != Strategy::Mixed && has_slice(n, resource)) {
            let word = node.strategy.word();
            let message = format!(
                "no node advertises `{resource}`: {} has such slices under the strategy `{word}`",
                node.name
            );
            let help = match node.strategy {
                Strategy::Single => "there they are called nvidia.com/gpu; ask for that, or use `mixed`",
                _ => "there every GPU is nvidia.com/gpu and slices are nothing; use `mixed`",
            };
            return say("single-strategy", message, help.to_owned());
        }
        let offered: BTreeSet<&str> =
            nodes.iter().flat_map(|n| n.resources.keys()).map(String::as_str).collect();
        let shared = format!("{resource}.shared");
        if offered.contains(shared.as_str()) {
            let message = format!("no node advertises `{resource}`: it is shared and renamed");
            return say("no-such-resource", message, format!("ask for `{shared}`"));
        }
        if let Some(profile) = resource.strip_prefix("nvidia.com/mig-") {
            let products = self.world.products();
            let has = |p: &&Product| p.resolve_profile(profile).is_some();
            return match products.iter().copied().find(has) {
                Some(product) => say(
                    "no-such-resource",
                    format!("no node has a slice `{profile}`, though {} could be cut so", product.id()),
                    offers(&offered),
                ),
                None => {
                    let known: BTreeSet<&str> =
                        products.iter().flat_map(|p| p.profiles().iter().map(Profile::name)).collect();
                    let ids: Vec<&str> = products.iter().map(|p| p.id()).collect();
                    let help = match nearest(profile, known.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("there are: {}", known.into_iter().collect::<Vec<_>>().join(", ")),
                    };
                    say(
                        "unknown-profile",
                        format!("no GPU of these nodes ({}) has a MIG profile `{profile}`", ids.join(", ")),
                        help,
                    )
                }
            };
        }
        let all_mig =
            |n: &Node<'_>| !n.cuts.is_empty() && n.cuts.iter().all(|c| matches!(c, Cut::Mig { .. }));
        if resource == "nvidia.com/gpu" && nodes.iter().any(all_mig) {
            let message = "no node advertises `nvidia.com/gpu`: every GPU is in MIG mode".to_owned();
            return say("no-such-resource", message, offers(&offered));
        }
        let message = format!("no node advertises `{resource}`");
        let help = match nearest(resource, offered.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => offers(&offered),
        };
        say("no-such-resource", message, help);
    }

    /// Every resource is somewhere; is there a node with all of them that lets the pod in?
    fn together(&self, needs: &Resources, findings: &mut Findings<'_>) {
        let lets_in =
            |n: &&Node<'_>| n.object.is_none_or(|o| self.pod.selects(&o.meta) && self.pod.bears(&o.taints));
        let has_gpus = |n: &&Node<'_>| {
            let gpu = |(r, q): (&String, &Quantity)| {
                !is_gpu(r)
                    || q.is_zero()
                    || self.world.classes.contains_key(r)
                    || q.value().unsigned_abs() <= n.most(r)
            };
            needs.iter().all(gpu)
        };
        let rest = |n: &&Node<'_>| {
            let enough = |(r, q): (&String, &Quantity)| match n.object.and_then(|o| o.allocatable.get(r)) {
                Some(has) => is_gpu(r) || *q <= has.value,
                None => true,
            };
            needs.iter().all(enough)
        };
        let nodes = || self.world.nodes.iter();
        if nodes().any(|n| has_gpus(&n) && lets_in(&n) && rest(&n) && self.packs(n, needs)) {
            return;
        }
        let at = &self.pod.meta.at;
        let gpus: Vec<&str> = needs.keys().filter(|r| is_gpu(r)).map(String::as_str).collect();
        if !nodes().any(|n| has_gpus(&n)) {
            let message = format!("no node has {} together, as {} asks", gpus.join(" and "), self.name());
            findings.error(self.file, at, "no-node", message, "each is on some node; a pod runs on one");
        } else if !nodes().any(|n| has_gpus(&n) && self.packs(n, needs)) {
            let message = format!(
                "the slices that {} asks for do not stand on the GPUs of any one node together",
                self.name()
            );
            findings.error(
                self.file,
                at,
                "no-single-gpu",
                message,
                "no layout of these GPUs holds them; ask for smaller slices or fewer",
            );
        } else if !nodes().any(|n| has_gpus(&n) && lets_in(&n)) {
            let with: Vec<&str> = nodes().filter(has_gpus).map(|n| n.name.as_str()).take(3).collect();
            let borne = nodes().filter(has_gpus).any(|n| n.object.is_none_or(|o| self.pod.bears(&o.taints)));
            let why = if borne {
                "its nodeSelector or affinity excludes"
            } else {
                "it does not tolerate the taints of"
            };
            let message =
                format!("{} can go to no node: {why} every node with what it asks for", self.name());
            findings.error(self.file, at, "no-node", message, format!("those are {}", with.join(", ")));
        } else {
            let short = needs.iter().find(|(r, q)| {
                let lacks = |n: &Node<'_>| {
                    n.object.and_then(|o| o.allocatable.get(*r)).is_some_and(|has| has.value < **q)
                };
                !is_gpu(r) && nodes().filter(|n| has_gpus(n) && lets_in(n)).all(lacks)
            });
            let what = short.map_or("what else it asks for".to_owned(), |(r, q)| format!("{q} of `{r}`"));
            let message = format!("no node with its GPUs has {what}, as {} asks", self.name());
            findings.error(self.file, at, "no-node", message, "a pod runs on one node");
        }
    }

    /// Whether nos could cut a node's GPUs so that all slices of the pod stand at once. Nodes whose
    /// layout is given have been counted already.
    fn packs(&self, node: &Node<'_>, needs: &Resources) -> bool {
        let (Some(names::Kind::Mig), Some(product)) = (node.nos, node.product) else { return true };
        let mut wanted: Vec<&Profile> = Vec::new();
        for (resource, quantity) in needs {
            let profile = names::Kind::Mig.profile(resource).and_then(|p| product.profile(p));
            if let Some(profile) = profile {
                wanted.extend(std::iter::repeat_n(profile, quantity.value().clamp(0, 64) as usize));
            }
        }
        wanted.sort_by_key(|p| p.size_order());
        let mut gpus: Vec<Vec<&str>> = vec![Vec::new(); node.gpus as usize];
        pack(product, &wanted, &mut gpus)
    }

    /// Shares beyond the first are refused, or give nothing.
    fn more_than_one(&self, findings: &mut Findings<'_>) {
        for (resource, quantity) in self.pod.requests() {
            let asked = quantity.value();
            let shared = self.world.nodes.iter().find_map(|n| Some((n, n.shared.get(&resource)?)));
            let Some((node, shared)) = shared.filter(|_| 1 < asked) else { continue };
            let at = self.place(&resource);
            let how = if shared.is_mps { "by MPS" } else { "by time" };
            if shared.refuses_more {
                let message = format!(
                    "{} asks for {asked} of `{resource}`, which {} shares {how}",
                    self.name(),
                    node.name
                );
                let help = "the kubelet refuses such a pod after it was scheduled (failRequestsGreaterThanOne); ask for 1";
                findings.error(self.file, &at, "more-than-one", message, help);
            } else {
                let message = format!(
                    "{asked} of `{resource}` are shares, {} of each device, and may be of one GPU",
                    shared.replicas
                );
                findings.warning(
                    self.file,
                    &at,
                    "more-than-one",
                    message,
                    "two shares give no more memory or time than one",
                );
            }
        }
    }

    /// Whether the memory that a pod says it needs is there in what it asks for.
    fn memory(&self, findings: &mut Findings<'_>) {
        let Some(written) = self.pod.meta.annotations.get(GPU_MEMORY) else { return };
        let Some(needed) = Quantity::parse(&written.value).filter(|q| !q.is_negative()) else {
            let message = format!("`{}` is no amount of memory", written.value);
            findings.error(self.file, &written.at, "bad-value", message, "write a quantity such as `10Gi`");
            return;
        };
        let needed = Mib(needed.value().unsigned_abs().div_ceil(1 << 20));
        let gpus: Vec<String> = self.pod.requests().keys().filter(|r| is_gpu(r)).cloned().collect();
        for resource in gpus {
            let having = self.world.nodes.iter().filter(|n| 0 < n.most(&resource));
            let rooms: Vec<(Mib, &str)> = having
                .filter_map(|n| room(n, &resource).map(|m| (m, n.product.map_or("", Product::id))))
                .collect();
            let Some((most, product)) = rooms.iter().max().copied() else { continue };
            if most < needed {
                let message = format!(
                    "{} needs {needed} of GPU memory, and `{resource}` on {product} has {most}",
                    self.name()
                );
                let help = "names round up: what a slice has is what the driver reports, the reserved part taken off";
                findings.error(self.file, &written.at, "too-little-memory", message, help);
            }
        }
    }
}

/// Memory of one device of a resource on a node, where it is known.
fn room(node: &Node<'_>, resource: &str) -> Option<Mib> {
    let product = node.product?;
    if let Some(gb) = names::Kind::Mps.profile(resource).map(names::mps_memory_gb).filter(|gb| 0 < *gb) {
        // nos and MPS say GB and mean GiB; more than the GPU has is not there.
        return Some(Mib(gb.unsigned_abs() * 1_024).min(product.memory()));
    }
    if let Some(profile) = resource.strip_prefix("nvidia.com/mig-") {
        return product
            .resolve_profile(profile.trim_end_matches(".shared"))
            .map(Profile::memory)
            .filter(|m| m.0 != 0);
    }
    let whole = match node
        .cuts
        .iter()
        .find_map(|c| if let Cut::Mig { devices, .. } = c { devices.first() } else { None })
    {
        Some(device) if node.strategy == Strategy::Single => device.profile.memory(),
        _ => product.memory(),
    };
    match node.shared.get(resource) {
        Some(shared) if shared.is_mps => Some(Mib(whole.0 / u64::from(shared.replicas.max(1)))),
        _ => Some(whole),
    }
}

fn offers(offered: &BTreeSet<&str>) -> String {
    match offered.is_empty() {
        true => "no node advertises any GPU".to_owned(),
        false => format!("nodes advertise {}", offered.iter().copied().collect::<Vec<_>>().join(", ")),
    }
}

/// Puts slices, larger ones first, on GPUs so that each GPU's set fits.
fn pack<'a>(product: &Product, wanted: &[&'a Profile], gpus: &mut [Vec<&'a str>]) -> bool {
    let Some((first, rest)) = wanted.split_first() else { return true };
    for index in 0..gpus.len() {
        // GPUs that hold the same are the same: the first of them stands for all.
        if gpus[..index].contains(&gpus[index]) {
            continue;
        }
        gpus[index].push(first.name());
        if Layout::place(product, &gpus[index]).is_ok() && pack(product, rest, gpus) {
            return true;
        }
        gpus[index].pop();
    }
    false
}

/// Claims by whether they are templates, namespace and name, and classes.
struct Claims<'a> {
    by_name: BTreeMap<(bool, String, String), &'a Claim>,
    classes: Vec<&'a Class>,
}

impl Claims<'_> {
    /// The claims that a pod names, and those that its containers use.
    fn check_pod(&self, file: usize, pod: &Pod, findings: &mut Findings<'_>) {
        for container in pod.containers.iter().chain(&pod.init_containers) {
            for used in &container.claims {
                if !pod.claims.iter().any(|c| c.name.value == *used) {
                    let message = format!(
                        "container `{}` uses the claim `{used}`, which its pod does not name",
                        container.name.value
                    );
                    let names: Vec<&str> = pod.claims.iter().map(|c| c.name.value.as_str()).collect();
                    let help = format!(
                        "spec.resourceClaims has {}",
                        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
                    );
                    findings.error(file, &container.name.at, "unknown-claim", message, help);
                }
            }
        }
        // Without any claim among the files, they are simply elsewhere.
        if self.by_name.is_empty() {
            return;
        }
        for (named, is_template) in pod.claims.iter().flat_map(|c| [(&c.claim, false), (&c.template, true)]) {
            let Some(named) = named else { continue };
            let key = (is_template, pod.namespace().to_owned(), named.value.clone());
            if self.by_name.contains_key(&key) {
                continue;
            }
            let kind = if is_template { "ResourceClaimTemplate" } else { "ResourceClaim" };
            let message = format!("no {kind} `{}` in the namespace `{}`", named.value, pod.namespace());
            let same = self.by_name.keys().filter(|(t, ..)| *t == is_template);
            let elsewhere = same.clone().find(|(_, _, n)| *n == named.value);
            let help = match (elsewhere, nearest(&named.value, same.map(|(.., n)| n.as_str()))) {
                (Some((_, namespace, _)), _) => {
                    format!("there is one in `{namespace}`; a pod uses claims of its own namespace")
                }
                (None, Some(near)) => format!("did you mean `{near}`?"),
                (None, None) => String::new(),
            };
            findings.error(file, &named.at, "unknown-claim", message, help);
        }
    }

    fn check_classes(&self, file: usize, claim: &Claim, findings: &mut Findings<'_>) {
        let alternatives = claim.choices.iter().flat_map(|choice| &choice.alternatives);
        for request in claim.requests.iter().chain(alternatives) {
            let class = &request.class.value;
            let ours = class.ends_with("nvidia.com");
            let known =
                CHART_CLASSES.contains(&class.as_str()) || self.classes.iter().any(|c| c.name == *class);
            let typo = nearest(class, CHART_CLASSES).is_some();
            if !known && (typo || (ours && !self.classes.is_empty())) {
                let names = CHART_CLASSES.into_iter().chain(self.classes.iter().map(|c| c.name.as_str()));
                let message = format!("no DeviceClass `{class}`");
                let help = match nearest(class, names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the driver's chart installs {}", CHART_CLASSES.join(", ")),
                };
                findings.error(file, &request.class.at, "unknown-class", message, help);
            }
        }
    }
}

/// Whether a claim can be served by any GPU, or any of these nodes.
fn check_claim(
    file: usize,
    claim: &Claim,
    world: &World<'_>,
    catalogue: &Catalogue,
    findings: &mut Findings<'_>,
) {
    let profiles: Vec<(&Located<String>, u32)> =
        claim.requests.iter().filter_map(|r| Some((r.profile.as_ref()?, r.count))).collect();
    for (profile, _) in &profiles {
        layouts::claimed(file, profile, world, catalogue, findings);
    }
    for choice in &claim.choices {
        let possible: Vec<bool> = choice
            .alternatives
            .iter()
            .map(|of| layouts::can_be(of.profile.as_ref(), world, catalogue))
            .collect();
        for (alternative, possible) in choice.alternatives.iter().zip(&possible) {
            let Some(profile) = alternative.profile.as_ref().filter(|_| !possible) else { continue };
            // One that cannot be had does no harm as long as another can.
            match choice.alternatives.iter().find(|of| layouts::can_be(of.profile.as_ref(), world, catalogue))
            {
                None => layouts::claimed(file, profile, world, catalogue, findings),
                Some(other) => {
                    let message = format!(
                        "no GPU has a MIG profile `{}`: the alternative `{}` is never taken",
                        profile.value, alternative.name
                    );
                    let help = format!("`{}` can be; leave out what cannot", other.name);
                    findings.warning(file, &profile.at, "no-effect", message, help);
                }
            }
        }
    }
    let known = world.products();
    let products = if known.is_empty() { catalogue.iter().filter(|p| p.is_mig()).collect() } else { known };
    let has_all = |p: &&Product| profiles.iter().all(|(profile, _)| p.profile(&profile.value).is_some());
    let candidates: Vec<&Product> = products.into_iter().filter(has_all).collect();
    let wanted: Vec<&str> = profiles
        .iter()
        .flat_map(|(profile, count)| std::iter::repeat_n(profile.value.as_str(), (*count).min(64) as usize))
        .collect();
    let fits = |p: &&Product| Layout::place(p, &wanted).is_ok();
    if claim.same_gpu && !candidates.is_empty() && !candidates.iter().any(fits) {
        let error = Layout::place(candidates[0], &wanted).expect_err("none fits");
        let message = format!("no single GPU holds what `{}` asks for: {error}", claim.name);
        let help = error.help().unwrap_or_default();
        findings.error(file, &profiles[0].0.at, "no-single-gpu", message, help);
    }
    for sharing in &claim.sharing {
        if let Sharing::Mps { memory: Some(limit), .. } = sharing {
            let limit = Mib(limit.value().unsigned_abs() >> 20);
            let room = |p: &Product| match profiles.first() {
                Some((profile, _)) => p.profile(&profile.value).map_or(Mib(0), Profile::memory),
                None => p.memory(),
            };
            let most = world.products().into_iter().map(room).max();
            if let Some(most) = most.filter(|most| *most < limit) {
                let message =
                    format!("a limit of {limit} for each client, and the largest device here has {most}");
                findings.warning(file, &claim.at, "no-limit", message, "the limit limits nothing");
            }
        }
    }
}
