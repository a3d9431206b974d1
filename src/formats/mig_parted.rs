//! mig-parted's configuration, also inside the GPU operator's ConfigMap.
//!
//! It carries counts per GPU and nothing about places.
//! Rules: `api/spec/v1/spec.go`, `pkg/types/mig_profile.go`, `cmd/nvidia-mig-parted` of NVIDIA/mig-parted.

use super::{Cut, NodePlan, Plan, Writer, config_map, fingerprint, is_label_value, listed};
use crate::gpu::driver::{self, Driver};
use crate::gpu::tools::{self, Verdict};
use crate::gpu::{Geometry, Layout, LayoutError, Places, Product, Profile, State};
use crate::manifest::Located;
use crate::yaml::{
    self, Alternative, Choice, Item, Key, Kind, List, Lower, Node, Object, Problem, Value, record,
};
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// NVIDIA's vendor id, the second half of a device filter.
const VENDOR: &str = "10DE";

/// A configuration: what `apply -c LABEL` would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigParted {
    /// Its labels, in the order of the file.
    pub configs: Vec<MigConfig>,
}

/// What one label stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigConfig {
    /// The label.
    pub label: Located<String>,
    /// What is done, in order; a GPU that several match takes the last.
    pub entries: Vec<MigEntry>,
}

/// What is done to some GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigEntry {
    /// Where it is written.
    pub at: Range<usize>,
    /// Device ids that it is limited to, `0x20B010DE`.
    pub filter: Option<Vec<Located<String>>>,
    /// Which GPUs of a node, by index.
    pub devices: Devices,
    /// Whether MIG is on.
    pub enabled: bool,
    /// Slices by profile, as written.
    pub slices: Vec<Slices>,
}

/// GPUs of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Devices {
    /// All of them.
    All,
    /// Those with these indices.
    List(Vec<u32>),
}

/// So many slices of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slices {
    /// The profile as written.
    pub profile: Located<String>,
    /// How many.
    pub count: u32,
}

pub(super) static VERSION: Choice = Choice {
    name: "the version `v1`",
    doc: "Version of the format.",
    alternatives: &[Alternative::word("v1", "the only one there is")],
};

static ALL: Choice = Choice {
    name: "`all`",
    doc: "All GPUs.",
    alternatives: &[Alternative::word("all", "every GPU of the node")],
};

static ENTRY: Object = Object {
    name: "an entry of mig-parted",
    doc: "What is done to some GPUs of a node.",
    keys: &[
        Key::optional("device-filter", Kind::Either(&[Kind::Line, Kind::List(&FILTERS)]), "`0x20B010DE`"),
        Key::required("devices", Kind::Either(&[Kind::Choice(&ALL), Kind::List(&INDICES)]), "which GPUs"),
        Key::required("mig-enabled", Kind::Bool, "whether MIG is on"),
        Key::optional("mig-devices", Kind::Map(&Kind::Integer(0, i32::MAX as i128)), "slices by profile"),
    ],
};

static FILTERS: List = List { of: Kind::Line, name: "device ids", filled: false };
static INDICES: List = List { of: Kind::Integer(0, i32::MAX as i128), name: "GPU indices", filled: false };
static ENTRIES: List = List { of: Kind::Object(&ENTRY), name: "entries", filled: true };

static FILE: Object = Object {
    name: "a mig-parted configuration",
    doc: "Layouts by label.",
    keys: &[
        Key::required("version", Kind::Choice(&VERSION), "version of the format"),
        Key::required("mig-configs", Kind::Map(&Kind::List(&ENTRIES)), "layouts by label"),
    ],
};

/// Reads a configuration and complains about what mig-parted would refuse, or could never reach.
pub(super) fn read(tree: &Rc<Node>, problems: &mut Vec<Problem>) -> MigParted {
    let item = yaml::read(tree, &Kind::Object(&FILE), problems);
    let read = record(item, |r| {
        let _: Option<Item> = r.take("version", problems);
        r.take::<Item, _>("mig-configs", problems)
    });
    let Some(Item { at, value: Value::Map(labels) }) = read else { return MigParted::default() };
    if labels.is_empty() {
        problems
            .push(Problem::new("empty-list", &at, "no label is defined").help("no node can select anything"));
    }
    let config = |(label, at, entries): (Rc<str>, Range<usize>, Item)| {
        let label = Located::new(&at, label.to_string());
        let Value::List(items) = entries.value else { return MigConfig { label, entries: Vec::new() } };
        let entries = items.into_iter().filter_map(|item| MigEntry::lower(item, problems)).collect();
        MigConfig { label, entries }
    };
    let file = MigParted { configs: labels.into_iter().map(config).collect() };
    for config in &file.configs {
        check_config(config, problems);
    }
    file
}

impl Lower<Vec<Problem>> for MigEntry {
    fn lower(item: Item, problems: &mut Vec<Problem>) -> Option<Self> {
        let at = item.at.clone();
        record(item, |r| {
            let slices_at = r.place("mig-devices");
            let has_slices = r.has("mig-devices");
            let devices: Option<Item> = r.take("devices", problems);
            let enabled: Option<bool> = r.take("mig-enabled", problems);
            let filter: Option<Option<Item>> = r.optional("device-filter", problems);
            let slices: Option<Option<Item>> = r.optional("mig-devices", problems);
            let enabled = enabled?;
            if enabled && !has_slices {
                let problem = Problem::new("missing-key", &at, "missing key `mig-devices`");
                problems.push(problem.help("mig-parted wants it when MIG is on; `{}` means no slices"));
            }
            let slices = match slices? {
                Some(Item { value: Value::Map(entries), .. }) => {
                    entries.into_iter().filter_map(slices_of).collect()
                }
                _ => Vec::new(),
            };
            if !enabled && !slices.is_empty() {
                let problem = Problem::new("bad-value", &slices_at, "slices although `mig-enabled` is false");
                problems.push(
                    problem.help("mig-parted refuses the file; turn MIG on or leave `mig-devices` out"),
                );
            }
            let entry =
                MigEntry { at, filter: filters(filter?), devices: devices_of(devices?), enabled, slices };
            check_entry(&entry, &slices_at, problems);
            Some(entry)
        })
    }
}

fn slices_of((name, at, item): (Rc<str>, Range<usize>, Item)) -> Option<Slices> {
    let count: u32 = Lower::lower(item, &mut ())?;
    Some(Slices { profile: Located::new(&at, name.to_string()), count })
}

fn filters(item: Option<Item>) -> Option<Vec<Located<String>>> {
    let one = |item: Item| match item.value {
        Value::Text(text) => Some(Located::new(&item.at, text)),
        _ => None,
    };
    let item = item?;
    match item.value {
        Value::List(items) => Some(items.into_iter().filter_map(one).collect()),
        _ => one(item).map(|filter| vec![filter]),
    }
}

fn devices_of(item: Item) -> Devices {
    match item.value {
        Value::List(items) => {
            Devices::List(items.into_iter().filter_map(|i| Lower::lower(i, &mut ())).collect())
        }
        _ => Devices::All,
    }
}

fn check_entry(entry: &MigEntry, slices_at: &Range<usize>, problems: &mut Vec<Problem>) {
    for filter in entry.filter.iter().flatten() {
        if device_of(&filter.value).is_none() {
            let message = format!("`{}` is no device filter: it never matches", filter.value);
            let help = "write device and vendor as `0x20B010DE`, with `:` and a subsystem if need be";
            problems.push(Problem::new("bad-filter", &filter.at, message).help(help));
        }
    }
    if entry.filter.as_ref().is_some_and(Vec::is_empty)
        || matches!(&entry.devices, Devices::List(l) if l.is_empty())
    {
        problems.push(Problem::new("no-effect", &entry.at, "this entry matches no GPU").warning());
    }
    for slices in &entry.slices {
        if let Err(why) = Name::parse(&slices.profile.value) {
            let message = format!("`{}` is no MIG profile: {why}", slices.profile.value);
            problems.push(
                Problem::new("bad-profile", &slices.profile.at, message)
                    .help("write `3g.20gb` or `1g.5gb+me`"),
            );
        }
    }
    let zeros = entry.slices.iter().filter(|s| s.count == 0);
    if !entry.slices.is_empty() && entry.slices.iter().all(|s| s.count == 0) {
        let problem = Problem::new("zero-count", slices_at, "every count is 0, which mig-parted refuses");
        problems.push(problem.help("`mig-devices: {}` means MIG on and no slices"));
    } else {
        for zero in zeros {
            let message = format!("a count of 0 for `{}`", zero.profile.value);
            let help =
                "with it the GPU never equals the file, and every apply cuts it anew; leave the profile out";
            problems.push(Problem::new("zero-count", &zero.profile.at, message).help(help));
        }
    }
}

fn check_config(config: &MigConfig, problems: &mut Vec<Problem>) {
    let label = &config.label;
    if !is_label_value(&label.value) {
        let message =
            format!("`{}` cannot be the value of the node label nvidia.com/mig.config", label.value);
        let help = "at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; write `+` as `.`";
        problems.push(Problem::new("bad-label", &label.at, message).help(help));
    }
    for (index, entry) in config.entries.iter().enumerate() {
        let earlier = &config.entries[..index];
        let twice = |e: &&MigEntry| e.meets(entry) && !e.same_cut(entry);
        if let Some(other) = earlier.iter().find(twice) {
            let which = match (&other.devices, &entry.devices) {
                (Devices::List(a), Devices::List(b)) => {
                    let both: Vec<usize> = a.iter().filter(|i| b.contains(i)).map(|i| *i as usize).collect();
                    format!("GPU {}", listed(&both))
                }
                (Devices::List(a), _) | (_, Devices::List(a)) => {
                    format!("GPU {}", listed(&a.iter().map(|i| *i as usize).collect::<Vec<_>>()))
                }
                _ => "every GPU".to_owned(),
            };
            let message = format!("{which} is cut in two ways by `{}`", label.value);
            let help = "the later entry wins, and `assert` then fails for ever; let each GPU be matched once";
            problems.push(Problem::new("matched-twice", &entry.at, message).help(help));
        }
    }
}

impl MigEntry {
    /// Whether some GPU of some node would take both.
    fn meets(&self, other: &MigEntry) -> bool {
        let devices = match (&self.devices, &other.devices) {
            (Devices::List(a), Devices::List(b)) => a.iter().any(|i| b.contains(i)),
            (Devices::List(list), _) | (_, Devices::List(list)) => !list.is_empty(),
            _ => true,
        };
        let filters = match (&self.filter, &other.filter) {
            (Some(a), Some(b)) => {
                let device = |f: &Located<String>| device_of(&f.value);
                a.iter().filter_map(device).any(|d| b.iter().filter_map(device).any(|e| d == e))
            }
            _ => true,
        };
        devices && filters
    }

    fn same_cut(&self, other: &MigEntry) -> bool {
        let counts = |e: &MigEntry| -> BTreeMap<String, u32> {
            e.slices.iter().map(|s| (s.profile.value.clone(), s.count)).collect()
        };
        self.enabled == other.enabled && counts(self) == counts(other)
    }

    /// Whether its filter names a product; `None` if no filter limits it.
    #[must_use]
    pub fn names(&self, product: &Product) -> Option<bool> {
        let ids = |device: String| product.pci().iter().any(|id| id[2..].eq_ignore_ascii_case(&device));
        Some(self.filter.as_ref()?.iter().filter_map(|f| device_of(&f.value)).any(ids))
    }

    /// Whether it is for the GPU of an index on a node of this product.
    #[must_use]
    pub fn matches(&self, product: &Product, gpu: u32) -> bool {
        let listed = match &self.devices {
            Devices::All => true,
            Devices::List(list) => list.contains(&gpu),
        };
        listed && self.names(product).unwrap_or(true)
    }

    /// Its counts on a product, compute instances counted as the slices that hold them.
    ///
    /// # Errors
    /// The first profile that the product has not, or that does not fit beside the others.
    pub fn on<'p>(&self, product: &'p Product) -> Result<MigCut<'p>, Infeasible> {
        let mut wanted = Vec::new();
        let mut devices = Vec::new();
        if !self.enabled {
            return Ok(MigCut { layout: Layout::default(), devices });
        }
        for slices in &self.slices {
            let refuse = |error| Infeasible { at: slices.profile.at.clone(), error };
            let name = Name::parse(&slices.profile.value).unwrap_or_default();
            let Some(profile) = product.profile(&name.instance) else {
                let error = match product.is_mig() {
                    true => LayoutError::UnknownProfile {
                        product: product.id().to_owned(),
                        text: slices.profile.value.clone(),
                        known: product.profile_names(),
                        suggestion: product.suggest_profile(&name.instance).map(str::to_owned),
                    },
                    false => LayoutError::NotMig { product: product.id().to_owned() },
                };
                return Err(refuse(error));
            };
            // A slice of G compute slices holds floor(G/C) compute instances of C.
            let held = name.compute.map_or(1, |c| (profile.compute_slices() / c.max(1)).max(1));
            let instances = slices.count.div_ceil(u32::from(held));
            wanted.extend(std::iter::repeat_n(profile.name(), instances.min(64) as usize));
            devices.push(Advertised { profile, parted: name.compute.is_some(), count: slices.count });
        }
        let layout = Layout::place(product, &wanted).map_err(|error| {
            let at = self.slices.first().map_or(self.at.clone(), |s| {
                s.profile.at.start..self.slices.last().map_or(s.profile.at.end, |l| l.profile.at.end)
            });
            Infeasible { at, error }
        })?;
        Ok(MigCut { layout, devices })
    }
}

/// What an entry makes of a GPU.
#[derive(Clone, Debug)]
pub struct MigCut<'p> {
    /// Its slices at places that fit; mig-parted leaves the places to the driver.
    pub layout: Layout,
    /// Its MIG devices.
    pub devices: Vec<Advertised<'p>>,
}

/// MIG devices of one profile.
#[derive(Clone, Copy, Debug)]
pub struct Advertised<'p> {
    /// The profile of the slices.
    pub profile: &'p Profile,
    /// Whether the slices are divided into compute instances, which no resource name fits.
    pub parted: bool,
    /// How many devices.
    pub count: u32,
}

/// Why an entry cannot stand on a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Infeasible {
    /// The profiles that are in question.
    pub at: Range<usize>,
    /// Why.
    pub error: LayoutError,
}

impl MigConfig {
    /// The entry that decides about each GPU of a node; `None` for a GPU that none matches.
    #[must_use]
    pub fn of_gpus(&self, product: &Product, gpus: u32) -> Vec<Option<&MigEntry>> {
        (0..gpus).map(|gpu| self.entries.iter().rev().find(|e| e.matches(product, gpu))).collect()
    }
}

/// The device half of a filter, in upper case: `20B0` of `0x20B010DE`, if the vendor is NVIDIA.
fn device_of(filter: &str) -> Option<String> {
    let (device, subsystem) = match filter.split_once(':') {
        Some((device, subsystem)) => (device, Some(subsystem)),
        None => (filter, None),
    };
    let hex = |text: &str| {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
        (digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .then(|| digits.to_ascii_uppercase())
    };
    let device = hex(device)?;
    let subsystem = subsystem.is_none_or(|s| hex(s).is_some());
    (subsystem && device.ends_with(VENDOR)).then(|| device[..4].to_owned())
}

/// The parts of a profile's name: `1c.3g.20gb`, `1g.5gb+me`, `1g.24gb-me`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// The name of the GPU instance: without compute slices of its own.
    pub instance: String,
    /// Compute slices of a compute instance, where it takes less than all.
    pub compute: Option<u8>,
}

impl Name {
    /// Reads a name as mig-parted does (`pkg/types`).
    ///
    /// # Errors
    /// What is wrong, for a message.
    pub fn parse(text: &str) -> Result<Name, String> {
        let number = |text: &str, unit: &str| {
            let digits = text.strip_suffix(unit)?;
            (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
                .then(|| digits.parse::<u32>().ok())?
        };
        let (base, attributes) = match text.find(['+', '-']) {
            Some(at) => (&text[..at], &text[at..]),
            None => (text, ""),
        };
        let parts: Vec<&str> = base.split('.').collect();
        let (compute, size) = match parts.as_slice() {
            [c, g, gb] => match number(c, "c") {
                Some(slices) => (Some(slices), (g, gb)),
                None => return Err(format!("`{c}` is no number of compute slices")),
            },
            [g, gb] => (None, (g, gb)),
            _ => return Err("it is not `<slices>g.<memory>gb`".to_owned()),
        };
        let (Some(slices), Some(_)) = (number(size.0, "g"), number(size.1, "gb")) else {
            return Err("it is not `<slices>g.<memory>gb`".to_owned());
        };
        if let Some(rest) = attributes.get(1..) {
            let mut seen = Vec::new();
            for word in rest.split(',') {
                let legal = word.starts_with(|c: char| c.is_ascii_alphabetic())
                    && word.ends_with(|c: char| c.is_ascii_alphanumeric())
                    && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
                if !legal || seen.contains(&word) {
                    return Err(format!("`{word}` is no attribute, or stands twice"));
                }
                seen.push(word);
            }
        }
        if compute.is_some_and(|c| c == 0 || slices < c) {
            return Err("a compute instance takes 1 slice to all of its GPU instance".to_owned());
        }
        let compute = compute.filter(|c| *c < slices).map(|c| u8::try_from(c).unwrap_or(u8::MAX));
        Ok(Name { instance: format!("{}.{}{attributes}", size.0, size.1), compute })
    }
}

/// The entries of one node as the file has them.
fn entries(node: &NodePlan<'_>, out: &mut Writer) -> serde_json::Value {
    let mut groups: Vec<(Option<Geometry>, Vec<usize>)> = Vec::new();
    for (index, gpu) in node.gpus.iter().enumerate() {
        let geometry = gpu.cut.geometry(node.product);
        if geometry.is_none() && gpu.cut != Cut::Whole {
            let why =
                format!("mig-parted carries MIG only, not {}; a device plugin's file does", gpu.cut.word());
            out.refuse(Some(node), Some(index), why);
        }
        match groups.iter_mut().find(|(g, _)| *g == geometry) {
            Some((_, gpus)) => gpus.push(index),
            None => groups.push((geometry, vec![index])),
        }
    }
    let whole = groups.len() == 1;
    let entry = |(geometry, gpus): (Option<Geometry>, Vec<usize>)| {
        let devices = if whole { json!("all") } else { json!(gpus) };
        let Some(geometry) = geometry else { return json!({"devices": devices, "mig-enabled": false}) };
        let counts: Map<String, serde_json::Value> =
            counts_by_size(node.product, geometry).map(|(name, n)| (name, json!(n))).collect();
        json!({"devices": devices, "mig-enabled": true, "mig-devices": counts})
    };
    groups.into_iter().map(entry).collect()
}

/// Counts by profile, larger profiles first.
pub(super) fn counts_by_size(product: &Product, geometry: Geometry) -> impl Iterator<Item = (String, u8)> {
    let mut counts: Vec<(u8, u8)> = geometry.counts().collect();
    counts.sort_by_key(|(p, _)| product.at(*p).size_order());
    counts.into_iter().map(|(p, n)| (product.at(p).name().to_owned(), n))
}

/// The file, and the label of each node.
fn file(plan: &Plan<'_>, out: &mut Writer) -> (String, Vec<(String, String)>) {
    let mut configs = Map::new();
    configs.insert("all-disabled".to_owned(), json!([{"devices": "all", "mig-enabled": false}]));
    let mut labels = Vec::new();
    for node in &plan.nodes {
        let entries = entries(node, out);
        let off = entries == configs["all-disabled"];
        let label = if off {
            "all-disabled".to_owned()
        } else {
            format!("plan-{}", fingerprint(&entries.to_string()))
        };
        configs.insert(label.clone(), entries);
        labels.push((node.name.clone(), label));
    }
    note_places(plan, out);
    (yaml::emit(&json!({"version": "v1", "mig-configs": configs})), labels)
}

/// What becomes of the places, which the format leaves out.
fn note_places(plan: &Plan<'_>, out: &mut Writer) {
    let mut seen: Vec<(&str, State)> = Vec::new();
    for node in &plan.nodes {
        let product = node.product;
        for gpu in &node.gpus {
            let (Some(geometry), Cut::Mig(layout)) = (gpu.cut.geometry(product), &gpu.cut) else { continue };
            let driver = Driver::new(product);
            let wanted = product.states().state(*layout);
            if seen.contains(&(product.id(), wanted)) || layout.is_empty() {
                continue;
            }
            seen.push((product.id(), wanted));
            let counts: Vec<(u8, u8)> = geometry.counts().collect();
            let outcome = tools::mig_parted(product, &driver, State::EMPTY, Places::NONE, &counts);
            let surely =
                format!("by our model of the driver, confidence {}", driver::confidence(product).word());
            match outcome.verdict {
                Verdict::Failed { .. } => out.note(format!(
                    "[{}] on {}: mig-parted gives no places and would fail in every order of creation ({surely}); \
                     its checkpoint carries them",
                    geometry.describe(product),
                    product.id(),
                )),
                _ if outcome.state != wanted => out.note(format!(
                    "places are not carried: [{}] on {} would come to stand as [{}] ({surely})",
                    layout.describe(product),
                    product.id(),
                    product.states().layout(outcome.state).describe(product),
                )),
                _ => {}
            }
        }
    }
}

/// The configuration of mig-parted.
pub(super) fn write(plan: &Plan<'_>, out: &mut Writer) -> String {
    let (text, labels) = file(plan, out);
    out.note("mig-parted creates the larger slices first; order and places are its and the driver's choice.");
    for (node, label) in labels {
        out.commands.push(format!("{node}: nvidia-mig-parted apply -f FILE -c {label}"));
    }
    text
}

/// The ConfigMap of the GPU operator's MIG manager.
pub(super) fn write_config_map(plan: &Plan<'_>, out: &mut Writer) -> String {
    let (text, labels) = file(plan, out);
    out.note(
        "Name this map in Helm's migManager.config.name (ClusterPolicy spec.migManager.config.name), with create \
         false; it takes the place of the configurations that the operator makes from NVML.",
    );
    let mixed = plan.nodes.iter().any(|n| !is_uniform(n));
    out.note(match mixed {
        true => "Some nodes mix profiles: mig.strategy must be `mixed`, or their plugins advertise nothing.",
        false => {
            "Every node is uniform: mig.strategy may be `single` (nvidia.com/gpu) or `mixed` (by profile)."
        }
    });
    for (node, label) in labels {
        out.commands.push(format!("kubectl label node {node} nvidia.com/mig.config={label} --overwrite"));
    }
    config_map("slicewise-mig-parted", "gpu-operator", &[("config.yaml".to_owned(), text)])
}

/// Whether a node can be advertised under the strategy `single`: no MIG at all, or one profile on
/// every GPU.
fn is_uniform(node: &NodePlan<'_>) -> bool {
    let profiles: Vec<Option<Vec<u8>>> = node
        .gpus
        .iter()
        .map(|gpu| gpu.cut.geometry(node.product).map(|g| g.counts().map(|(p, _)| p).collect()))
        .collect();
    let one = |p: &Option<Vec<u8>>| p.as_ref().is_some_and(|p| p.len() == 1) && *p == profiles[0];
    profiles.iter().all(Option::is_none) || profiles.iter().all(one)
}
