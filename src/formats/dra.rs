//! Dynamic Resource Allocation: claims, claim templates and device classes for NVIDIA's driver.
//!
//! The outer objects are Kubernetes' own; the driver's parameters inside them are decoded strictly
//! (`api/nvidia.com/resource/v1beta1`, `cmd/webhook` of the driver), and so here.

use super::mig_parted::counts_by_size;
use super::{Cut, Plan, Writer, fingerprint};
use crate::gpu::Profile;
use crate::manifest::{self, Located, Quantity};
use crate::yaml::{self, Alternative, Choice, Interval, Key, Kind, Node, Object, Problem, Shape};
use serde_json::{Value, json};
use std::ops::Range;
use std::rc::Rc;

/// The driver, and the domain of its attributes.
const DRIVER: &str = "gpu.nvidia.com";

/// A ResourceClaim or ResourceClaimTemplate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Where its name is written.
    pub at: Range<usize>,
    /// Its name.
    pub name: String,
    /// Its namespace; `default` if it says none.
    pub namespace: String,
    /// Whether it is a template.
    pub is_template: bool,
    /// What it asks for.
    pub requests: Vec<ClaimRequest>,
    /// Requests that say several things of which the first will do that can be had (`firstAvailable`).
    pub choices: Vec<ClaimChoice>,
    /// Whether all its devices must be parts of one GPU.
    pub same_gpu: bool,
    /// How its devices are shared.
    pub sharing: Vec<Sharing>,
}

/// One request of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Its name.
    pub name: String,
    /// The class asked for.
    pub class: Located<String>,
    /// How many devices.
    pub count: u32,
    /// The MIG profile that a selector names.
    pub profile: Option<Located<String>>,
}

/// A request with alternatives, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimChoice {
    /// Its name.
    pub name: Located<String>,
    /// What is asked for; named within the request.
    pub alternatives: Vec<ClaimRequest>,
}

/// Most alternatives of a request (`FirstAvailableDeviceRequestMaxSize`, resource.k8s.io/v1).
const ALTERNATIVES: usize = 8;

/// How the driver shares a device of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// By MPS.
    Mps {
        /// Share of the threads in percent.
        threads: Option<u32>,
        /// Memory of each client, in bytes.
        memory: Option<Quantity>,
    },
    /// By time.
    TimeSlicing {
        /// `Default`, `Short`, `Medium` or `Long`.
        interval: Option<String>,
    },
}

/// A DeviceClass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// Where its name is written.
    pub at: Range<usize>,
    /// Its name.
    pub name: String,
    /// The MIG profile that a selector names.
    pub profile: Option<Located<String>>,
    /// The resource through which classic pods ask for it.
    pub extended_resource: Option<Located<String>>,
}

/// The value of a key, unless it is nothing.
fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Rc<Node>> {
    node.get(key).map(|e| &e.value).filter(|v| !v.is_null())
}

fn items<'n>(node: &'n Node, key: &str, problems: &mut Vec<Problem>) -> &'n [Rc<Node>] {
    match get(node, key).map(|v| (&v.shape, v)) {
        Some((Shape::List(items), _)) => items,
        Some((_, value)) => {
            let message = format!("`{key}`: expected a list, found {}", value.describe());
            problems.push(Problem::new("bad-value", &value.at, message));
            &[]
        }
        None => &[],
    }
}

fn text(node: &Node, key: &str) -> Option<Located<String>> {
    match &get(node, key)?.shape {
        Shape::Text { text, .. } => Some(Located::new(&get(node, key)?.at, text.clone())),
        _ => None,
    }
}

/// Reads a claim or a template.
pub(super) fn read_claim(tree: &Rc<Node>, is_template: bool, problems: &mut Vec<Problem>) -> Claim {
    let meta = manifest::meta(tree, problems);
    check_version(tree, problems);
    let mut claim = Claim {
        at: meta.at.clone(),
        name: meta.name.clone(),
        namespace: meta.namespace.unwrap_or_else(|| "default".to_owned()),
        is_template,
        requests: Vec::new(),
        choices: Vec::new(),
        same_gpu: false,
        sharing: Vec::new(),
    };
    let spec = get(tree, "spec");
    let spec = if is_template { spec.and_then(|s| get(s, "spec")) } else { spec };
    let Some(devices) = spec.and_then(|s| get(s, "devices")) else {
        let path = if is_template { "spec.spec.devices" } else { "spec.devices" };
        let problem =
            Problem::new("missing-key", &claim.at, format!("no `{path}`: the claim asks for nothing"));
        problems.push(match get(tree, "spec").and_then(|s| get(s, "devices")) {
            Some(_) if is_template => {
                problem.help("in a template the claim's own spec stands one level deeper")
            }
            _ => problem,
        });
        return claim;
    };
    for request in items(devices, "requests", problems) {
        match get(request, "firstAvailable") {
            Some(_) => claim.choices.extend(read_choice(request, problems)),
            None => claim.requests.extend(read_request(request, problems)),
        }
    }
    for constraint in items(devices, "constraints", problems) {
        if let Some(attribute) = text(constraint, "matchAttribute") {
            match attribute.value.as_str() {
                "gpu.nvidia.com/parentUUID" => claim.same_gpu = true,
                other
                    if other.starts_with("gpu.nvidia.com/") && !is_attribute(&other[DRIVER.len() + 1..]) =>
                {
                    let message = format!("the driver publishes no attribute `{other}`: no device matches");
                    problems.push(
                        Problem::new("unknown-name", &attribute.at, message).help(attributes_help(other)),
                    );
                }
                _ => {}
            }
        }
    }
    // An alternative is named with its request: `gpu/small`.
    let mut names: Vec<String> = claim.requests.iter().map(|r| r.name.clone()).collect();
    for choice in &claim.choices {
        let name = &choice.name.value;
        names.push(name.clone());
        names.extend(choice.alternatives.iter().map(|of| format!("{name}/{}", of.name)));
    }
    for config in items(devices, "config", problems) {
        for name in items(config, "requests", problems) {
            if let Shape::Text { text, .. } = &name.shape
                && !names.contains(text)
            {
                let message = format!("no request is called `{text}`");
                problems.push(
                    Problem::new("unknown-name", &name.at, message)
                        .help(format!("there are: {}", names.join(", "))),
                );
            }
        }
        let Some(opaque) = get(config, "opaque") else { continue };
        if text(opaque, "driver").is_some_and(|d| d.value == DRIVER)
            && let Some(parameters) = get(opaque, "parameters")
        {
            claim.sharing.extend(read_parameters(parameters, problems));
        }
    }
    claim
}

fn check_version(tree: &Node, problems: &mut Vec<Problem>) {
    let Some(version) = text(tree, "apiVersion") else { return };
    if !version.value.starts_with("resource.k8s.io/") {
        let message = format!("`{}` is not the API of claims and classes", version.value);
        problems.push(Problem::new("bad-value", &version.at, message).help("write `resource.k8s.io/v1`"));
    } else if version.value != "resource.k8s.io/v1" {
        let message = format!("`{}` is older than Kubernetes 1.34", version.value);
        problems.push(
            Problem::new("old-version", &version.at, message).warning().help("write `resource.k8s.io/v1`"),
        );
    }
}

fn read_request(tree: &Rc<Node>, problems: &mut Vec<Problem>) -> Option<ClaimRequest> {
    let exactly = get(tree, "exactly").unwrap_or(tree);
    let Some(class) = text(exactly, "deviceClassName") else {
        let problem = Problem::new("missing-key", &tree.at, "a request without `exactly.deviceClassName`");
        problems.push(problem.help("name a class such as `mig.nvidia.com`"));
        return None;
    };
    if get(tree, "exactly").is_none() {
        let problem = Problem::new("missing-key", &class.at, "`deviceClassName` stands outside `exactly`");
        problems.push(problem.help("in resource.k8s.io/v1 it belongs under `exactly`"));
    }
    let name = text(tree, "name").map(|n| n.value).unwrap_or_default();
    Some(asked(name, class, exactly, problems))
}

/// A request with alternatives.
fn read_choice(tree: &Rc<Node>, problems: &mut Vec<Problem>) -> Option<ClaimChoice> {
    if let Some(exactly) = get(tree, "exactly") {
        let problem = Problem::new("bad-value", &exactly.at, "`exactly` beside `firstAvailable`");
        problems.push(problem.help("a request has one of them"));
    }
    let mut alternatives: Vec<ClaimRequest> = Vec::new();
    for alternative in items(tree, "firstAvailable", problems) {
        let Some(class) = text(alternative, "deviceClassName") else {
            let problem =
                Problem::new("missing-key", &alternative.at, "an alternative without `deviceClassName`");
            let help = match get(alternative, "exactly") {
                Some(_) => "under `firstAvailable` it stands beside the name, without `exactly`",
                None => "name a class such as `mig.nvidia.com`",
            };
            problems.push(problem.help(help));
            continue;
        };
        let name = text(alternative, "name");
        let known = |name: &String| alternatives.iter().any(|of| of.name == *name);
        if let Some(second) = name.as_ref().filter(|name| known(&name.value)) {
            let message = format!("a second alternative `{}`", second.value);
            problems.push(Problem::new("duplicate", &second.at, message));
        }
        if alternatives.len() == ALTERNATIVES {
            let message = format!("more than {ALTERNATIVES} alternatives");
            problems.push(
                Problem::new("bad-value", &alternative.at, message).help("the API server refuses them"),
            );
        }
        let name = name.map(|name| name.value).unwrap_or_default();
        alternatives.push(asked(name, class, alternative, problems));
    }
    let name = text(tree, "name").unwrap_or_else(|| Located::new(&tree.at, String::new()));
    (!alternatives.is_empty()).then_some(ClaimChoice { name, alternatives })
}

/// Devices of a class, with their count and selectors.
fn asked(name: String, class: Located<String>, exactly: &Node, problems: &mut Vec<Problem>) -> ClaimRequest {
    let count = match text(exactly, "count").map(|c| (c.value.parse::<u32>(), c.at)) {
        Some((Ok(count), _)) if 0 < count => count,
        Some((_, at)) => {
            problems.push(Problem::new("bad-value", &at, "`count`: expected a whole number, 1 or more"));
            1
        }
        None => 1,
    };
    let profile = profile_of(exactly, problems);
    ClaimRequest { name, class, count, profile }
}

/// The profile that a CEL selector compares with, and complaints about attributes that no device has.
fn profile_of(tree: &Node, problems: &mut Vec<Problem>) -> Option<Located<String>> {
    let mut profile = None;
    for selector in items(tree, "selectors", problems) {
        let Some(expression) = get(selector, "cel").and_then(|c| text(c, "expression")) else { continue };
        let code = expression.value.replace(char::is_whitespace, "").replace('"', "'");
        for (at, _) in code.match_indices("attributes['gpu.nvidia.com'].") {
            let rest = &code[at + "attributes['gpu.nvidia.com'].".len()..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            if !is_attribute(name) {
                let message = format!("the driver publishes no attribute `{name}`: no device matches");
                problems
                    .push(Problem::new("unknown-name", &expression.at, message).help(attributes_help(name)));
            }
            if name == "profile"
                && let Some(value) = rest.strip_prefix("=='").and_then(|r| r.split('\'').next())
            {
                profile = Some(Located::new(&expression.at, value.to_owned()));
            }
        }
    }
    profile
}

/// Attributes of the driver's devices.
const ATTRIBUTES: [&str; 11] = [
    "type",
    "profile",
    "parentUUID",
    "uuid",
    "productName",
    "brand",
    "architecture",
    "cudaComputeCapability",
    "driverVersion",
    "cudaDriverVersion",
    "pciBusID",
];

fn is_attribute(name: &str) -> bool {
    ATTRIBUTES.contains(&name) || name == "pcieRoot"
}

fn attributes_help(name: &str) -> String {
    match crate::diag::nearest(name.rsplit('/').next().unwrap_or_default(), ATTRIBUTES) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it has {}", ATTRIBUTES.join(", ")),
    }
}

static API: Choice = Choice {
    name: "the version `resource.nvidia.com/v1beta1`",
    doc: "Version of the parameters.",
    alternatives: &[Alternative::word("resource.nvidia.com/v1beta1", "the only one")],
};
static KINDS: Choice = Choice {
    name: "a kind of parameters",
    doc: "What the parameters are for.",
    alternatives: &[
        Alternative::word("GpuConfig", "a whole GPU"),
        Alternative::word("MigDeviceConfig", "a MIG device"),
        Alternative::word("VfioDeviceConfig", "a GPU passed through"),
    ],
};
static STRATEGIES: Choice = Choice {
    name: "a sharing strategy",
    doc: "How a device is shared.",
    alternatives: &[Alternative::word("TimeSlicing", "by time"), Alternative::word("MPS", "by MPS")],
};
static INTERVALS: Choice = Choice {
    name: "an interval",
    doc: "Length of a time slice.",
    alternatives: &[
        Alternative::word("Default", "the driver's"),
        Alternative::word("Short", "short"),
        Alternative::word("Medium", "medium"),
        Alternative::word("Long", "long"),
    ],
};
static TIME_SLICING: Object = Object {
    name: "timeSlicingConfig",
    doc: "Time-slicing.",
    keys: &[Key::optional("interval", Kind::Choice(&INTERVALS), "length of a slice")],
};
static MPS: Object = Object {
    name: "mpsConfig",
    doc: "MPS.",
    keys: &[
        Key::optional("defaultActiveThreadPercentage", Kind::Integer(0, 100), "share of the threads"),
        Key::optional("defaultPinnedDeviceMemoryLimit", Kind::Line, "memory of a client"),
        Key::optional("defaultPerDevicePinnedMemoryLimit", Kind::Map(&Kind::Line), "memory by device"),
        Key::optional("multiUser", Kind::Bool, "whether users share a server"),
    ],
};
static SHARING: Object = Object {
    name: "sharing",
    doc: "How a device is shared.",
    keys: &[
        Key::required("strategy", Kind::Choice(&STRATEGIES), "TimeSlicing or MPS"),
        Key::optional("timeSlicingConfig", Kind::Object(&TIME_SLICING), "time-slicing"),
        Key::optional("mpsConfig", Kind::Object(&MPS), "MPS"),
    ],
};
static PARAMETERS: Object = Object {
    name: "the driver's parameters",
    doc: "Parameters of a device.",
    keys: &[
        Key::required("apiVersion", Kind::Choice(&API), "version"),
        Key::required("kind", Kind::Choice(&KINDS), "what they are for"),
        Key::optional("sharing", Kind::Object(&SHARING), "how it is shared"),
        Key::optional("iommu", Kind::Map(&Kind::Number(Interval::at_least(0.0))), "IOMMU"),
    ],
};

fn read_parameters(tree: &Rc<Node>, problems: &mut Vec<Problem>) -> Option<Sharing> {
    yaml::read(tree, &Kind::Object(&PARAMETERS), problems);
    let sharing = get(tree, "sharing")?;
    let mps = get(sharing, "mpsConfig");
    let time = get(sharing, "timeSlicingConfig");
    let is_mig = text(tree, "kind").is_some_and(|k| k.value == "MigDeviceConfig");
    let mut refuse = |node: &Node, message: &str| {
        problems.push(
            Problem::new("bad-value", &node.at, message).help("the driver refuses the claim; leave it out"),
        );
    };
    match text(sharing, "strategy")?.value.as_str() {
        "MPS" => {
            if let Some(time) = time {
                refuse(time, "`timeSlicingConfig` beside the strategy MPS");
            }
            let number = |key| mps.and_then(|m| text(m, key)).and_then(|t| t.value.parse::<u32>().ok());
            let memory = mps.and_then(|m| text(m, "defaultPinnedDeviceMemoryLimit"));
            let mut limits: Vec<Located<String>> = memory.iter().cloned().collect();
            if let Some(each) = mps.and_then(|m| get(m, "defaultPerDevicePinnedMemoryLimit")) {
                for entry in each.entries().unwrap_or_default() {
                    let key = &*entry.key;
                    if key.parse::<u32>().is_err() && !key.starts_with("GPU-") && !key.starts_with("MIG-") {
                        let message =
                            format!("`{key}` is neither a UUID nor an index into the claim's devices");
                        problems.push(Problem::new("bad-value", &entry.at, message));
                    }
                    limits.extend(text(each, key));
                }
            }
            for limit in &limits {
                check_limit(limit, problems);
            }
            Some(Sharing::Mps {
                threads: number("defaultActiveThreadPercentage"),
                memory: memory.and_then(|m| Quantity::parse(&m.value)),
            })
        }
        "TimeSlicing" => {
            if let Some(mps) = mps {
                refuse(mps, "`mpsConfig` beside the strategy TimeSlicing");
            }
            if let Some(time) = time.filter(|_| is_mig) {
                refuse(time, "a MIG device is shared by time without `timeSlicingConfig`");
            }
            Some(Sharing::TimeSlicing { interval: time.and_then(|t| text(t, "interval")).map(|i| i.value) })
        }
        _ => None,
    }
}

/// The driver hands limits to MPS in whole MiB, rounded down, and refuses 0.
fn check_limit(limit: &Located<String>, problems: &mut Vec<Problem>) {
    match Quantity::parse(&limit.value) {
        Some(quantity) if (1 << 20) <= quantity.value() => {}
        Some(_) => {
            let message = format!("`{}` is less than 1 MiB, which the driver refuses", limit.value);
            problems.push(
                Problem::new("out-of-range", &limit.at, message).help("write a quantity such as `10Gi`"),
            );
        }
        None => {
            let message = format!("`{}` is no quantity", limit.value);
            problems
                .push(Problem::new("bad-value", &limit.at, message).help("write a quantity such as `10Gi`"));
        }
    }
}

/// Reads a class.
pub(super) fn read_class(tree: &Rc<Node>, problems: &mut Vec<Problem>) -> Class {
    let meta = manifest::meta(tree, problems);
    check_version(tree, problems);
    let empty = Rc::new(Node::map(tree.at.clone(), Vec::new()));
    let spec = get(tree, "spec").unwrap_or(&empty);
    Class {
        at: meta.at,
        name: meta.name,
        profile: profile_of(spec, problems),
        extended_resource: text(spec, "extendedResourceName"),
    }
}

fn selector(profile: &str) -> String {
    format!("device.attributes['{DRIVER}'].profile == '{profile}'")
}

/// A profile as part of a Kubernetes name; `+me` and `-me` stay apart.
fn name_of(profile: &str) -> String {
    match profile.split_once('+') {
        Some((size, attribute)) => format!("{}.{attribute}", size.replace('.', "-")),
        None => profile.replace('.', "-"),
    }
}

fn documents(objects: Vec<Value>) -> String {
    objects.iter().map(yaml::emit).collect::<Vec<_>>().join("---\n")
}

/// Claims for the GPUs of a plan: one object for each distinct cut, or for each GPU that pods share.
pub(super) fn write_claims(plan: &Plan<'_>, out: &mut Writer) -> String {
    let mut objects: Vec<(String, Value)> = Vec::new();
    let mut shared = 0;
    for node in &plan.nodes {
        for (index, gpu) in node.gpus.iter().enumerate() {
            let mut put = |name: String, object: Value| {
                if !objects.iter().any(|(n, _)| *n == name) {
                    objects.push((name, object));
                }
            };
            match &gpu.cut {
                Cut::Whole => put("whole-gpu".to_owned(), template("whole-gpu", &whole(), Vec::new())),
                Cut::Mig(_) | Cut::Counts(_) => {
                    let geometry = gpu.cut.geometry(node.product).expect("MIG has a geometry");
                    if geometry.is_empty() {
                        out.note("GPUs without slices need no claim.");
                        continue;
                    }
                    let counts: Vec<(String, u8)> = counts_by_size(node.product, geometry).collect();
                    let devices = mig_devices(&counts);
                    let name = format!("mig-{}", fingerprint(&devices.to_string()));
                    put(name.clone(), template(&name, &devices, Vec::new()));
                    out.note(
                        "Claims on slices ask for all slices of a GPU together, so that they come from one GPU. A \
                         claim cannot ask for a place: the scheduler takes the first fitting device by name, which \
                         within one claim finds a layout and across claims may not.",
                    );
                    out.note(
                        "MIG devices that exist (made by mig-parted before): Kubernetes 1.34, no gate. Devices made on \
                         demand: the driver's gate DynamicMIG (off by default; it excludes MPSSupport) and the cluster's \
                         gate DRAPartitionableDevices (to be set in 1.34 and 1.35, on from 1.36).",
                    );
                }
                Cut::Mps(slices) => match slices.as_slice() {
                    [one] => {
                        let threads = 100 / u32::from(one.count.max(1));
                        let limit = format!("{}Gi", one.gb);
                        shared += 1;
                        let name = format!("mps-{}x{}gb-{shared}", one.count, one.gb);
                        put(name.clone(), mps(&name, threads, &limit));
                        note_mps(out);
                    }
                    [] => out.refuse(Some(node), Some(index), "an MPS GPU without slices"),
                    _ => {
                        let why = "slices of several sizes: a claim takes the whole GPU and gives all of its clients one limit";
                        out.refuse(Some(node), Some(index), why);
                    }
                },
                Cut::MpsReplicas(n) => {
                    let n = u64::from((*n).max(1));
                    shared += 1;
                    let name = format!("mps-{n}-{shared}");
                    put(
                        name.clone(),
                        mps(&name, (100 / n) as u32, &format!("{}Mi", node.product.memory().0 / n)),
                    );
                    note_mps(out);
                }
                Cut::TimeSlices(_) => {
                    shared += 1;
                    let name = format!("time-slicing-{shared}");
                    put(name.clone(), time_slicing(&name));
                    out.note(
                        "Time-slicing needs the driver's gate TimeSlicingSettings (off by default). The driver knows an \
                         interval and no replicas: how many pods share a GPU is how many name its claim.",
                    );
                }
            }
        }
    }
    out.note(
        "The GPU part of the DRA driver and a GPU device plugin cannot serve the same node; the driver's chart asks \
         for gpuResourcesEnabledOverride=true.",
    );
    documents(objects.into_iter().map(|(_, object)| object).collect())
}

fn note_mps(out: &mut Writer) {
    out.note(
        "MPS needs the driver's gate MPSSupport (off by default; DynamicMIG excludes it). Pods that share a GPU name \
         the same ResourceClaim; the limit is for each client process, not for each pod.",
    );
}

fn whole() -> Value {
    json!({"requests": [{"name": "gpu", "exactly": {"deviceClassName": DRIVER}}]})
}

fn mig_devices(counts: &[(String, u8)]) -> Value {
    let request = |(profile, count): &(String, u8)| {
        let selectors = json!([{"cel": {"expression": selector(profile)}}]);
        let mut exactly = json!({"deviceClassName": "mig.nvidia.com"});
        if 1 < *count {
            exactly["count"] = json!(count);
        }
        exactly["selectors"] = selectors;
        json!({"name": format!("s{}", name_of(profile).replace('.', "-plus-")), "exactly": exactly})
    };
    let requests: Vec<Value> = counts.iter().map(request).collect();
    json!({
        "requests": requests,
        "constraints": [{"requests": [], "matchAttribute": format!("{DRIVER}/parentUUID")}],
    })
}

fn template(name: &str, devices: &Value, config: Vec<Value>) -> Value {
    let mut devices = devices.clone();
    if !config.is_empty() {
        devices["config"] = json!(config);
    }
    json!({
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": name},
        "spec": {"spec": {"devices": devices}},
    })
}

fn shared_claim(name: &str, sharing: Value) -> Value {
    let mut devices = whole();
    devices["config"] = json!([{
        "requests": ["gpu"],
        "opaque": {
            "driver": DRIVER,
            "parameters": {"apiVersion": "resource.nvidia.com/v1beta1", "kind": "GpuConfig", "sharing": sharing},
        },
    }]);
    json!({
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": name},
        "spec": {"devices": devices},
    })
}

fn mps(name: &str, threads: u32, memory: &str) -> Value {
    let config = json!({"defaultActiveThreadPercentage": threads, "defaultPinnedDeviceMemoryLimit": memory});
    shared_claim(name, json!({"strategy": "MPS", "mpsConfig": config}))
}

fn time_slicing(name: &str) -> Value {
    shared_claim(name, json!({"strategy": "TimeSlicing", "timeSlicingConfig": {"interval": "Default"}}))
}

/// A class for each profile of a plan.
pub(super) fn write_classes(plan: &Plan<'_>, out: &mut Writer) -> String {
    let mut profiles: Vec<&Profile> = Vec::new();
    for node in &plan.nodes {
        for (index, gpu) in node.gpus.iter().enumerate() {
            match gpu.cut.geometry(node.product) {
                Some(geometry) => profiles.extend(geometry.counts().map(|(p, _)| node.product.at(p))),
                None if gpu.cut == Cut::Whole => {
                    out.note(
                        "Whole GPUs are served by the class gpu.nvidia.com that the driver's chart installs.",
                    );
                }
                None => {
                    let why =
                        format!("a class says which devices, not how they are shared ({})", gpu.cut.word());
                    out.refuse(Some(node), Some(index), why);
                }
            }
        }
    }
    profiles.sort_by(|a, b| a.name().cmp(b.name()));
    profiles.dedup_by(|a, b| a.name() == b.name());
    if profiles.is_empty() && out.refusals.is_empty() {
        out.refuse(None, None, "no GPU of the plan has a slice, and classes are made of profiles");
    }
    let class = |profile: &&Profile| {
        let expression = format!(
            "device.driver == '{DRIVER}' && device.attributes['{DRIVER}'].type == 'mig' && {}",
            selector(profile.name())
        );
        json!({
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceClass",
            "metadata": {"name": format!("mig-{}.{DRIVER}", name_of(profile.name()))},
            "spec": {
                "selectors": [{"cel": {"expression": expression}}],
                "extendedResourceName": profile.resource(),
            },
        })
    };
    out.note(
        "extendedResourceName lets classic pods ask for a slice by resource name: Kubernetes 1.35 with the gate \
         DRAExtendedResource (beta in 1.36), and not beside a device plugin that offers the same name.",
    );
    out.note("Counts per GPU and places are not carried: a class says which profile, a claim how many.");
    documents(profiles.iter().map(class).collect())
}
