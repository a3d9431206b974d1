//! Configurations of the device plugins: NVIDIA's, and nebuly's fork of it with memory slices.
//!
//! Both parsers drop keys that they do not know, so a typing error does nothing at all; here it is
//! an error. Rules: `api/config/v1` of NVIDIA/k8s-device-plugin and nebuly-ai/k8s-device-plugin.

use super::{Cut, NodePlan, Plan, Writer, config_map, fingerprint, is_label_value};
use crate::manifest::Located;
use crate::units::Mib;
use crate::yaml::{
    self, Alternative, Choice, Interval, Item, Key, Kind, List, Node, Object, Problem, Value, record,
};
use serde_json::json;
use std::ops::Range;
use std::rc::Rc;

/// Most replicas of one GPU by MPS, from compute capability 7.5 on (the plugin's own limit).
pub const MPS_REPLICAS: u32 = 48;

/// Memory below which a CUDA context hardly starts: T4 breaks above 21 and A30 above 30 replicas
/// (k8s-device-plugin issue 1118).
pub const MPS_MEMORY_LEAST: Mib = Mib(800);

/// Whose plugin reads a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// NVIDIA's: equal replicas.
    Nvidia,
    /// nebuly's: MPS slices of whole GB.
    Nebuly,
}

/// How MIG devices become resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// They do not: every GPU is `nvidia.com/gpu`.
    None,
    /// Each is `nvidia.com/gpu`, if all are equal.
    Single,
    /// Each is `nvidia.com/mig-<profile>`.
    Mixed,
}

impl Strategy {
    const WORDS: [(&'static str, Strategy); 3] =
        [("none", Strategy::None), ("single", Strategy::Single), ("mixed", Strategy::Mixed)];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        Strategy::WORDS.iter().find(|(_, s)| *s == self).map_or("", |(word, _)| word)
    }

    /// The strategy of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Strategy> {
        Strategy::WORDS.iter().find(|(w, _)| *w == word).map(|(_, s)| *s)
    }
}

/// One configuration of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// Whose.
    pub dialect: Dialect,
    /// How MIG devices become resources, if it says so.
    pub strategy: Option<Located<Strategy>>,
    /// Shares by MPS.
    pub mps: Option<Shares>,
    /// Shares by time.
    pub time_slicing: Option<Shares>,
}

/// How resources are shared in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Where it is written.
    pub at: Range<usize>,
    /// Whether shared resources are called `<name>.shared`.
    pub renamed: bool,
    /// Whether a pod that asks for more than one is refused.
    pub refuses_more: bool,
    /// The resources.
    pub resources: Vec<Shared>,
}

/// A resource that is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Its name, with `nvidia.com/`.
    pub name: Located<String>,
    /// What it is called instead, with `nvidia.com/`; nebuly's plugin alone heeds it.
    pub rename: Option<Located<String>>,
    /// Shares of each device.
    pub replicas: Located<u32>,
    /// Memory of each share; nebuly's plugin alone has it.
    pub memory_gb: Option<Located<u32>>,
    /// Which devices, as written; nebuly's plugin alone heeds them.
    pub devices: Vec<Located<String>>,
}

impl Plugin {
    /// The shares that are in force: those by MPS if there are any.
    #[must_use]
    pub fn shares(&self) -> Option<&Shares> {
        self.mps.as_ref().or(self.time_slicing.as_ref())
    }
}

static STRATEGY: Choice = Choice {
    name: "a MIG strategy",
    doc: "How MIG devices become resources.",
    alternatives: &[
        Alternative::word("none", "every GPU is nvidia.com/gpu"),
        Alternative::word("single", "each MIG device is nvidia.com/gpu, if all are equal"),
        Alternative::word("mixed", "each MIG device is nvidia.com/mig-<profile>"),
    ],
};
static DISCOVERY: Choice = Choice {
    name: "a discovery strategy",
    doc: "How devices are found.",
    alternatives: &[
        Alternative::word("auto", "by what is there"),
        Alternative::word("nvml", "by NVML"),
        Alternative::word("tegra", "on Tegra"),
    ],
};
static DEVICE_ID: Choice = Choice {
    name: "a device id strategy",
    doc: "How devices are passed on.",
    alternatives: &[Alternative::word("uuid", "by UUID"), Alternative::word("index", "by index")],
};
static ALLOCATION: Choice = Choice {
    name: "an allocation policy",
    doc: "Which shared devices are given first.",
    alternatives: &[Alternative::word("distributed", "spread"), Alternative::word("packed", "packed")],
};
static TEXTS: List = List { of: Kind::Line, name: "texts", filled: false };
const TEXT_OR_TEXTS: Kind = Kind::Either(&[Kind::Line, Kind::List(&TEXTS)]);
static PLUGIN_FLAGS: Object = Object {
    name: "the plugin's flags",
    doc: "Flags of the plugin.",
    keys: &[
        Key::optional("passDeviceSpecs", Kind::Bool, "whether device nodes are passed"),
        Key::optional("deviceListStrategy", TEXT_OR_TEXTS, "how the list of devices is passed"),
        Key::optional("deviceIDStrategy", Kind::Choice(&DEVICE_ID), "how devices are named"),
        Key::optional("cdiAnnotationPrefix", Kind::Text, "prefix of CDI annotations"),
        Key::optional("nvidiaCTKPath", Kind::Text, "path of nvidia-ctk"),
        Key::optional("containerDriverRoot", Kind::Text, "root of the driver in the container"),
        Key::optional("sharedDevicesAllocationPolicy", Kind::Choice(&ALLOCATION), "distributed or packed"),
    ],
};
static GFD_FLAGS: Object = Object {
    name: "the flags of feature discovery",
    doc: "Flags of GPU feature discovery.",
    keys: &[
        Key::optional("oneshot", Kind::Bool, "whether it ends after one pass"),
        Key::optional("noTimestamp", Kind::Bool, "whether the time is left out"),
        Key::optional("sleepInterval", Kind::Text, "time between passes"),
        Key::optional("outputFile", Kind::Text, "file of labels"),
        Key::optional("machineTypeFile", Kind::Text, "file with the type of machine"),
    ],
};
static FLAGS: Object = Object {
    name: "the flags",
    doc: "Flags; those of the command line and the environment win.",
    keys: &[
        Key::optional("migStrategy", Kind::Choice(&STRATEGY), "none, single or mixed"),
        Key::optional("failOnInitError", Kind::Bool, "whether it ends when there is no GPU"),
        Key::optional("mpsRoot", Kind::Text, "folder of MPS"),
        Key::optional("nvidiaDriverRoot", Kind::Text, "root of the driver"),
        Key::optional("nvidiaDevRoot", Kind::Text, "root of device nodes"),
        Key::optional("gdrcopyEnabled", Kind::Bool, "GDRCopy"),
        Key::optional("gdsEnabled", Kind::Bool, "GPUDirect Storage"),
        Key::optional("mofedEnabled", Kind::Bool, "MOFED"),
        Key::optional("useNodeFeatureAPI", Kind::Bool, "whether labels go through the API"),
        Key::optional("deviceDiscoveryStrategy", Kind::Choice(&DISCOVERY), "auto, nvml or tegra"),
        Key::optional("plugin", Kind::Object(&PLUGIN_FLAGS), "flags of the plugin"),
        Key::optional("gfd", Kind::Object(&GFD_FLAGS), "flags of feature discovery"),
    ],
};

const COUNT: Kind = Kind::Integer(0, i32::MAX as i128);
static NVIDIA_RESOURCE: Object = Object {
    name: "a shared resource",
    doc: "A resource with its replicas.",
    keys: &[
        Key::required("name", Kind::Line, "such as nvidia.com/gpu"),
        Key::required("replicas", Kind::Integer(2, i32::MAX as i128), "shares of each device, 2 or more"),
        Key::optional("rename", Kind::Line, "ignored"),
        Key::optional("devices", Kind::Either(&[Kind::Line, Kind::List(&TEXTS)]), "ignored"),
    ],
};
static NVIDIA_RESOURCES: List =
    List { of: Kind::Object(&NVIDIA_RESOURCE), name: "shared resources", filled: true };
static NVIDIA_SHARES: Object = Object {
    name: "a way of sharing",
    doc: "Replicas of resources.",
    keys: &[
        Key::optional("renameByDefault", Kind::Bool, "whether they are called <name>.shared"),
        Key::optional("failRequestsGreaterThanOne", Kind::Bool, "whether asking for two is refused"),
        Key::required("resources", Kind::List(&NVIDIA_RESOURCES), "what is shared"),
    ],
};
static NEBULY_RESOURCE: Object = Object {
    name: "a memory slice",
    doc: "MPS slices of some GPUs.",
    keys: &[
        Key::required("name", Kind::Line, "such as nvidia.com/gpu"),
        Key::required("memoryGB", COUNT, "memory of each slice"),
        Key::required("replicas", COUNT, "slices on each device"),
        Key::required("devices", Kind::List(&TEXTS), "GPU indices, MIG indices as 0:1, or UUIDs"),
        Key::optional("rename", Kind::Line, "what the slices are called"),
    ],
};
static NEBULY_RESOURCES: List =
    List { of: Kind::Object(&NEBULY_RESOURCE), name: "memory slices", filled: true };
static NEBULY_MPS: Object = Object {
    name: "MPS of nebuly's plugin",
    doc: "Memory slices.",
    keys: &[
        Key::optional("failRequestsGreaterThanOne", Kind::Bool, "whether asking for two is refused"),
        Key::required("resources", Kind::List(&NEBULY_RESOURCES), "slices"),
    ],
};
static NVIDIA_SHARING: Object = Object {
    name: "sharing",
    doc: "How devices are shared.",
    keys: &[
        Key::optional("timeSlicing", Kind::Object(&NVIDIA_SHARES), "by time"),
        Key::optional("mps", Kind::Object(&NVIDIA_SHARES), "by MPS"),
    ],
};
static NEBULY_SHARING: Object = Object {
    name: "sharing",
    doc: "How devices are shared.",
    keys: &[
        Key::optional("timeSlicing", Kind::Object(&NVIDIA_SHARES), "by time"),
        Key::optional("mps", Kind::Object(&NEBULY_MPS), "by MPS"),
    ],
};
const ANYTHING: Kind = Kind::Either(&[
    Kind::Map(&Kind::Number(Interval { low: 0.0, low_open: false, high: 0.0, high_open: false })),
    Kind::List(&TEXTS),
    Kind::Text,
]);
static NVIDIA_FILE: Object = Object {
    name: "a device plugin's configuration",
    doc: "Flags and sharing.",
    keys: &[
        Key::optional("version", Kind::Text, "v1"),
        Key::optional("flags", Kind::Object(&FLAGS), "flags"),
        Key::optional("sharing", Kind::Object(&NVIDIA_SHARING), "how devices are shared"),
        Key::optional("resources", ANYTHING, "ignored"),
        Key::optional("imex", ANYTHING, "IMEX channels"),
    ],
};
static NEBULY_FILE: Object = Object {
    name: "a configuration of nebuly's device plugin",
    doc: "Flags and sharing.",
    keys: &[
        Key::optional("version", Kind::Text, "v1"),
        Key::optional("flags", Kind::Object(&FLAGS), "flags"),
        Key::optional("sharing", Kind::Object(&NEBULY_SHARING), "how devices are shared"),
        Key::optional("resources", ANYTHING, "ignored"),
    ],
};

/// Whose configuration a tree is: memory slices are nebuly's.
pub(super) fn dialect_of(tree: &Node) -> Dialect {
    let resources = tree
        .get("sharing")
        .and_then(|sharing| sharing.value.get("mps"))
        .and_then(|mps| mps.value.get("resources"));
    let has_memory = |node: &Rc<Node>| node.get("memoryGB").is_some();
    match resources.map(|r| &r.value.shape) {
        Some(yaml::Shape::List(items)) if items.iter().any(has_memory) => Dialect::Nebuly,
        _ => Dialect::Nvidia,
    }
}

/// Reads a configuration.
pub(super) fn read(tree: &Rc<Node>, dialect: Dialect, problems: &mut Vec<Problem>) -> Plugin {
    // What nobody reads here may look as it likes.
    let tree = &Rc::new(without(tree, &["imex", "resources"]));
    let file = if dialect == Dialect::Nvidia { &NVIDIA_FILE } else { &NEBULY_FILE };
    let item = yaml::read(tree, &Kind::Object(file), problems);
    let mut plugin = Plugin { dialect, strategy: None, mps: None, time_slicing: None };
    record(item, |r| {
        let version_at = r.place("version");
        let version: Option<String> = r.optional("version", problems).flatten();
        if version.is_some_and(|v| !matches!(v.as_str(), "" | "v1")) {
            problems.push(Problem::new("bad-value", &version_at, "unknown version").help("write `v1`"));
        }
        let _: Option<Option<Item>> = r.optional("resources", problems);
        if dialect == Dialect::Nvidia {
            let _: Option<Option<Item>> = r.optional("imex", problems);
        }
        let flags: Option<Item> = r.optional("flags", problems).flatten();
        let sharing: Option<Item> = r.optional("sharing", problems).flatten();
        plugin.strategy = flags.and_then(strategy_of);
        if let Some(sharing) = sharing {
            record(sharing, |r| {
                let mut take = |key, is_mps| {
                    let item: Option<Item> = r.optional(key, problems).flatten();
                    item.and_then(|item| shares(item, is_mps, dialect, problems))
                };
                plugin.time_slicing = take("timeSlicing", false);
                plugin.mps = take("mps", true);
                Some(())
            });
        }
        Some(())
    });
    if let Some(ignored) = tree_entry(tree, "resources") {
        let problem = Problem::new("no-effect", &ignored, "the plugin ignores `resources`").warning();
        problems.push(problem.help("resources are shared under `sharing`"));
    }
    check(&plugin, problems);
    plugin
}

fn tree_entry(tree: &Node, key: &str) -> Option<Range<usize>> {
    tree.get(key).map(|e| e.at.clone())
}

/// A mapping with the values of some keys made nothing.
fn without(tree: &Rc<Node>, keys: &[&str]) -> Node {
    let Some(entries) = tree.entries() else { return (**tree).clone() };
    let nothing = |at: &Range<usize>| Rc::new(Node::map(at.clone(), Vec::new()));
    let entry = |e: &yaml::Entry| match keys.contains(&&*e.key) {
        true => yaml::Entry { value: nothing(&e.value.at), ..e.clone() },
        false => e.clone(),
    };
    Node::map(tree.at.clone(), entries.iter().map(entry).collect())
}

fn strategy_of(flags: Item) -> Option<Located<Strategy>> {
    let mut found = None;
    let Value::Record(mut record) = flags.value else { return None };
    let item: Option<Option<Item>> = record.optional("migStrategy", &mut ());
    if let Some(Some(Item { at, value: Value::Choice(word, _) })) = item {
        found = Strategy::of(word).map(|s| Located::new(&at, s));
    }
    found
}

fn shares(item: Item, is_mps: bool, dialect: Dialect, problems: &mut Vec<Problem>) -> Option<Shares> {
    let at = item.at.clone();
    let nebuly = is_mps && dialect == Dialect::Nebuly;
    record(item, |r| {
        let renamed: Option<bool> =
            if nebuly { None } else { r.optional("renameByDefault", problems).flatten() };
        let refuses: Option<bool> = r.optional("failRequestsGreaterThanOne", problems).flatten();
        let resources: Option<Item> = r.take("resources", problems);
        let resources = match resources.map(|r| r.value) {
            Some(Value::List(items)) => {
                items.into_iter().filter_map(|i| shared(i, nebuly, problems)).collect()
            }
            _ => Vec::new(),
        };
        // The default differs: true for NVIDIA's MPS, false for the others.
        let refuses_more = refuses.unwrap_or(is_mps && !nebuly);
        Some(Shares { at, renamed: renamed.unwrap_or(false), refuses_more, resources })
    })
}

fn shared(item: Item, nebuly: bool, problems: &mut Vec<Problem>) -> Option<Shared> {
    record(item, |r| {
        let (name_at, rename_at) = (r.place("name"), r.place("rename"));
        let (replicas_at, devices_at) = (r.place("replicas"), r.place("devices"));
        let memory_at = if nebuly { r.place("memoryGB") } else { 0..0 };
        let name: Option<String> = r.take("name", problems);
        let replicas: Option<u32> = r.take("replicas", problems);
        let rename: Option<String> = r.optional("rename", problems).flatten();
        let memory: Option<u32> = if nebuly { r.take("memoryGB", problems) } else { None };
        let readable = !nebuly || memory.is_some();
        let devices: Option<Item> = r.optional("devices", problems).flatten();
        let full = |text: String| if text.contains('/') { text } else { format!("nvidia.com/{text}") };
        let devices = match devices.map(|d| d.value) {
            Some(Value::List(items)) => items
                .into_iter()
                .filter_map(|i| match i.value {
                    Value::Text(text) => Some(Located::new(&i.at, text)),
                    _ => None,
                })
                .collect(),
            Some(Value::Text(text)) => vec![Located::new(&devices_at, text)],
            _ => Vec::new(),
        };
        readable.then_some(())?;
        Some(Shared {
            name: Located::new(&name_at, full(name?)),
            rename: rename.map(|text| Located::new(&rename_at, full(text))),
            replicas: Located::new(&replicas_at, replicas?),
            memory_gb: memory.map(|gb| Located::new(&memory_at, gb)),
            devices,
        })
    })
}

/// What no table can say.
fn check(plugin: &Plugin, problems: &mut Vec<Problem>) {
    if let (Some(_), Some(time)) = (&plugin.mps, &plugin.time_slicing) {
        let problem =
            Problem::new("no-effect", &time.at, "`timeSlicing` does nothing beside `mps`").warning();
        problems.push(problem.help("the plugin uses the resources of `mps`; take one of the two out"));
    }
    for (shares, is_mps) in [(&plugin.mps, true), (&plugin.time_slicing, false)] {
        let Some(shares) = shares else { continue };
        let nebuly = is_mps && plugin.dialect == Dialect::Nebuly;
        for (index, shared) in shares.resources.iter().enumerate() {
            check_name(&shared.name, problems);
            if nebuly {
                check_slice(shared, problems);
                continue;
            }
            if shares.resources[..index].iter().any(|s| s.name.value == shared.name.value) {
                let message = format!("`{}` is shared twice", shared.name.value);
                problems.push(
                    Problem::new("duplicate", &shared.name.at, message).help("give each resource once"),
                );
            }
            if let Some(rename) = &shared.rename {
                let problem = Problem::new("no-effect", &rename.at, "the plugin ignores `rename`").warning();
                problems.push(problem.help("`renameByDefault: true` calls it <name>.shared"));
            }
            check_devices(&shared.devices, problems);
            if is_mps {
                check_mps(plugin, shared, problems);
            }
        }
    }
}

fn check_mps(plugin: &Plugin, shared: &Shared, problems: &mut Vec<Problem>) {
    let replicas = &shared.replicas;
    if MPS_REPLICAS < replicas.value {
        let message = format!("{} replicas by MPS; the plugin takes up to {MPS_REPLICAS}", replicas.value);
        problems.push(
            Problem::new("mps-clients", &replicas.at, message)
                .help("16 on GPUs before Turing, V100 included"),
        );
    }
    if shared.name.value.starts_with("nvidia.com/mig-") {
        let message = "the plugin does not share MIG devices by MPS";
        problems.push(
            Problem::new("mps-on-mig", &shared.name.at, message).help("use time-slicing for MIG devices"),
        );
    }
    if let Some(strategy) = plugin.strategy.as_ref().filter(|s| s.value == Strategy::Mixed) {
        let message = "`migStrategy: mixed` and MPS do not go together: the plugin does not start";
        problems.push(Problem::new("mps-on-mig", &strategy.at, message).help("write `none`"));
    }
}

/// nebuly's memory slices.
fn check_slice(shared: &Shared, problems: &mut Vec<Problem>) {
    let memory = shared.memory_gb.as_ref().expect("its table requires it");
    if memory.value == 0 || shared.replicas.value == 0 {
        let at = if memory.value == 0 { &memory.at } else { &shared.replicas.at };
        problems
            .push(Problem::new("no-effect", at, "no slice comes of this").warning().help("write 1 or more"));
    }
    for device in &shared.devices {
        if !is_device(&device.value) {
            let message = format!("`{}` is no device", device.value);
            let help = "write a GPU index such as \"0\", a MIG index \"0:1\" or a UUID; there is no `all`";
            problems.push(Problem::new("bad-value", &device.at, message).help(help));
        }
    }
    if shared.devices.is_empty() {
        problems.push(
            Problem::new("no-effect", &shared.name.at, "no device is named, so there is no slice").warning(),
        );
    }
    if let Some(rename) = &shared.rename {
        check_name(rename, problems);
        let expected = format!("nvidia.com/gpu-{}gb", memory.value);
        if rename.value.starts_with("nvidia.com/gpu-") && rename.value != expected {
            let message = format!("slices of {} GB are called `{}`", memory.value, rename.value);
            let problem = Problem::new("misleading-name", &rename.at, message).warning();
            problems.push(problem.help(format!("nos takes the size from the name; call them `{expected}`")));
        }
    }
}

fn is_device(text: &str) -> bool {
    let index = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    index(text)
        || text.split_once(':').is_some_and(|(gpu, mig)| index(gpu) && index(mig))
        || text.starts_with("GPU-")
        || text.starts_with("MIG-")
}

/// The devices of NVIDIA's plugin, which it checks and then ignores.
fn check_devices(devices: &[Located<String>], problems: &mut Vec<Problem>) {
    let Some(first) = devices.first() else { return };
    for device in devices {
        let text = &device.value;
        let count = text.parse::<u32>().is_ok_and(|n| 0 < n || 1 < devices.len());
        if text != "all" && !count && !is_device(text) {
            let message = format!("`{text}` is no device");
            let help =
                "write `all`, a count, or a list of indices, `0:1` or UUIDs; the plugin then ignores them";
            problems.push(Problem::new("bad-value", &device.at, message).help(help));
            return;
        }
    }
    let message = "the plugin ignores `devices`: all GPUs of a node have the same replicas";
    problems.push(Problem::new("no-effect", &first.at, message).warning());
}

/// Whether a resource name can be one.
fn check_name(name: &Located<String>, problems: &mut Vec<Problem>) {
    let text = &name.value;
    let last = text.rsplit('/').next().unwrap_or_default();
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let part = |p: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        p.chars().all(inner) && ends(p.chars().next()) && ends(p.chars().last())
    };
    if 63 < text.len() || text.matches('/').count() != 1 || !last.split('.').all(part) {
        let message = format!("`{text}` cannot be the name of a resource");
        let help = "at most 63 characters; after `nvidia.com/` lower-case letters, digits, `-` and `.`";
        problems.push(Problem::new("bad-name", &name.at, message).help(help));
    } else if !text.starts_with("nvidia.com/") {
        let message = format!("`{text}` is no resource of this plugin, so this does nothing");
        problems.push(
            Problem::new("no-effect", &name.at, message).warning().help("its names begin with `nvidia.com/`"),
        );
    }
}

/// What the GPUs of a node have in common, for plugins that know no difference between them; `None`,
/// with the reason, if that is nothing or MIG.
fn common<'n>(node: &'n NodePlan<'_>, whose: &str, out: &mut Writer) -> Option<&'n Cut> {
    if node.gpus.iter().any(|g| matches!(g.cut, Cut::Mig(_) | Cut::Counts(_))) {
        let why = format!(
            "{whose} does not cut GPUs by MIG; mig-parted and gpu-operator do, beside its flags.migStrategy"
        );
        out.refuse(Some(node), None, why);
        return None;
    }
    let first = &node.gpus.first()?.cut;
    if let Some(other) = node.gpus.iter().position(|g| g.cut != *first) {
        let why = format!(
            "{whose} shares all GPUs of a node in one way, and GPU 0 is {} while this is {}",
            described(first),
            described(&node.gpus[other].cut)
        );
        out.refuse(Some(node), Some(other), why);
        return None;
    }
    Some(first)
}

fn described(cut: &Cut) -> String {
    match cut {
        Cut::MpsReplicas(n) => format!("{n} MPS replicas"),
        Cut::TimeSlices(n) => format!("time-sliced by {n}"),
        Cut::Mps(slices) => {
            let each: Vec<String> = slices.iter().map(|s| format!("{} x {} GB", s.count, s.gb)).collect();
            format!("MPS slices of {}", each.join(" and "))
        }
        other => other.word().to_owned(),
    }
}

fn shares_json(replicas: u16) -> serde_json::Value {
    json!({
        "renameByDefault": true,
        "failRequestsGreaterThanOne": true,
        "resources": [{"name": "nvidia.com/gpu", "replicas": replicas}],
    })
}

/// The ConfigMap of NVIDIA's plugin: a configuration for each way in which nodes are shared.
pub(super) fn write_nvidia(plan: &Plan<'_>, out: &mut Writer) -> String {
    let mut files: Vec<(String, String)> = Vec::new();
    for node in &plan.nodes {
        let Some(cut) = common(node, "NVIDIA's plugin", out) else { continue };
        let mut refused = false;
        let mut refuse = |why: String| {
            refused = true;
            out.refuse(Some(node), None, why);
        };
        let (key, sharing) = match cut {
            Cut::Whole => ("whole".to_owned(), None),
            Cut::TimeSlices(n) => {
                (format!("time-slicing-{n}"), Some(json!({"timeSlicing": shares_json(*n)})))
            }
            Cut::MpsReplicas(n) => (format!("mps-{n}"), Some(json!({"mps": shares_json(*n)}))),
            Cut::Mps(_) => {
                refuse(
                    "NVIDIA's plugin gives equal shares, not memory slices; nebuly's does (nebuly-plugin)"
                        .to_owned(),
                );
                continue;
            }
            Cut::Mig(_) | Cut::Counts(_) => continue,
        };
        if let Cut::TimeSlices(n) | Cut::MpsReplicas(n) = cut
            && *n < 2
        {
            refuse(format!("{n} replicas: the plugin takes 2 or more; 1 is a whole GPU"));
        }
        if let Cut::MpsReplicas(n) = cut {
            let most = node.product.mps().plugin_replicas;
            if most < *n {
                refuse(format!("{n} MPS replicas on {}: the plugin takes up to {most}", node.product.id()));
            }
            let share = Mib(node.product.memory().0 / u64::from((*n).max(1)));
            if !refused && share < MPS_MEMORY_LEAST {
                out.note(format!(
                    "{}: {share} a replica, and below some {MPS_MEMORY_LEAST} a CUDA context may not start.",
                    node.name
                ));
            }
        }
        if refused {
            continue;
        }
        out.commands.push(format!(
            "kubectl label node {} nvidia.com/device-plugin.config={key} --overwrite",
            node.name
        ));
        if !files.iter().any(|(k, _)| *k == key) {
            let mut file = json!({"version": "v1", "flags": {"migStrategy": "none"}});
            if let Some(sharing) = sharing {
                file["sharing"] = sharing;
            }
            files.push((key, yaml::emit(&file)));
        }
        match cut {
            Cut::MpsReplicas(_) => out.note(
                "MPS: each replica gets an equal share of memory and threads; it needs --mps-root, and pods ask for \
                 nvidia.com/gpu.shared.",
            ),
            Cut::TimeSlices(_) => out.note(
                "Time-slicing limits neither memory nor time: pods on a GPU can take all of its memory. Pods ask for \
                 nvidia.com/gpu.shared.",
            ),
            _ => {}
        }
    }
    out.note("Name this map in Helm's config.name, or in the operator's devicePlugin.config.name.");
    config_map("slicewise-device-plugin", "gpu-operator", &files)
}

/// The ConfigMap of nebuly's plugin: a configuration for each node, as nos writes it.
pub(super) fn write_nebuly(plan: &Plan<'_>, out: &mut Writer) -> String {
    let mut files = Vec::new();
    for node in &plan.nodes {
        let sharing = match slices_of(node, out) {
            Some(resources) => json!({"mps": {"failRequestsGreaterThanOne": true, "resources": resources}}),
            None => match common(node, "nebuly's plugin", out) {
                Some(Cut::Whole) => json!({}),
                Some(Cut::TimeSlices(n)) if 2 <= *n => json!({"timeSlicing": shares_json(*n)}),
                Some(Cut::TimeSlices(n)) => {
                    out.refuse(Some(node), None, format!("{n} replicas: the plugin takes 2 or more"));
                    continue;
                }
                _ => continue,
            },
        };
        let mut file = json!({"version": "v1", "flags": {"migStrategy": "none"}});
        if sharing.as_object().is_some_and(|s| !s.is_empty()) {
            file["sharing"] = sharing;
        }
        let text = yaml::emit(&file);
        let key = format!("{}-{}", node.name, fingerprint(&text));
        if !is_label_value(&key) {
            let why = format!("the node is selected by the label value `{key}`, which passes 63 characters");
            out.refuse(Some(node), None, why);
        }
        out.commands.push(format!(
            "kubectl label node {} nvidia.com/device-plugin.config={key} --overwrite",
            node.name
        ));
        files.push((key, text));
    }
    out.note("Written for nebuly's plugin v0.13.0: the head of its main no longer limits memory.");
    out.note("A running nos writes this map itself: keys that begin with a node's name are its own.");
    config_map("nos-device-plugin-configs", "nebuly-nvidia", &files)
}

/// The memory slices of a node's GPUs; `None` if none of them is shared by MPS.
fn slices_of(node: &NodePlan<'_>, out: &mut Writer) -> Option<Vec<serde_json::Value>> {
    let by_mps = |cut: &Cut| matches!(cut, Cut::Mps(_) | Cut::MpsReplicas(_));
    if !node.gpus.iter().any(|g| by_mps(&g.cut)) {
        return None;
    }
    let memory = node.product.memory_gb();
    let mut resources = Vec::new();
    for (index, gpu) in node.gpus.iter().enumerate() {
        let mut slices: Vec<(u16, u16)> = match &gpu.cut {
            Cut::Mps(slices) => slices.iter().map(|s| (s.gb, s.count)).collect(),
            Cut::MpsReplicas(n) => {
                let gb = memory / (*n).max(1);
                if gb == 0 {
                    let why =
                        format!("{n} replicas of {memory} GB are less than 1 GB each, the plugin's unit");
                    out.refuse(Some(node), Some(index), why);
                }
                out.note(format!(
                    "Equal replicas become slices of whole GB, rounded down, that pods ask for by size: {n} of \
                     nvidia.com/gpu-{gb}gb on {}.",
                    node.product.id()
                ));
                vec![(gb, *n)]
            }
            other => {
                let why =
                    format!("other GPUs of the node are shared by MPS, and this is {}", described(other));
                out.refuse(Some(node), Some(index), why);
                continue;
            }
        };
        slices.sort_unstable();
        let sum: u32 = slices.iter().map(|(gb, n)| u32::from(*gb) * u32::from(*n)).sum();
        if u32::from(memory) < sum {
            out.refuse(Some(node), Some(index), format!("slices of {sum} GB on a GPU of {memory} GB"));
        }
        if slices.iter().any(|(gb, n)| *gb == 0 || *n == 0) {
            out.refuse(Some(node), Some(index), "a slice of 0 GB, or none of a size");
        }
        for (gb, count) in slices {
            resources.push(json!({
                "name": "nvidia.com/gpu",
                "rename": format!("gpu-{gb}gb"),
                "memoryGB": gb,
                "replicas": count,
                "devices": [index.to_string()],
            }));
        }
    }
    if resources.is_empty() {
        out.refuse(Some(node), None, "no slice at all, and the plugin refuses an empty list");
    }
    Some(resources)
}
