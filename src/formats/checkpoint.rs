//! mig-parted's checkpoint: the slices of each GPU of a node, by UUID, with their places.
//!
//! Its `ProfileID`s are NVML's enums, not the ids that `nvidia-smi mig -lgip` prints; `restore` passes
//! them to `GetGpuInstanceProfileInfo`.

use super::mig_parted::VERSION;
use super::{Cut, Plan, Writer};
use crate::gpu::{Layout, Product, Profile, Slice};
use crate::manifest::Located;
use crate::yaml::{self, Item, Key, Kind, List, Lower, Node, Object, Problem, record};
use serde_json::json;
use std::ops::Range;
use std::rc::Rc;

/// mig-parted's checkpoint of one node.
pub(super) fn write(plan: &Plan<'_>, out: &mut Writer) -> String {
    let [node] = plan.nodes.as_slice() else {
        let why =
            format!("a checkpoint holds one node, and the plan has {}; choose one of them", plan.nodes.len());
        out.refuse(None, None, why);
        return String::new();
    };
    let product = node.product;
    if !product.is_mig() {
        out.refuse(Some(node), None, format!("{} has no MIG", product.id()));
    }
    let mut devices = Vec::new();
    for (index, gpu) in node.gpus.iter().enumerate() {
        if gpu.uuid.is_none() {
            out.refuse(
                Some(node),
                Some(index),
                "a checkpoint names GPUs by UUID, and this one's is not known",
            );
        }
        let layout = gpu.cut.layout(product);
        if layout.is_none() && gpu.cut != Cut::Whole {
            out.refuse(
                Some(node),
                Some(index),
                format!("a checkpoint carries MIG only, not {}", gpu.cut.word()),
            );
        }
        if let Cut::Counts(geometry) = &gpu.cut
            && !geometry.is_empty()
        {
            out.note("The plan gives no places; the first that fit were written.");
        }
        let mut slices = layout.map_or(Vec::new(), |l| l.slices(product));
        slices.sort_by_key(|s| (product.at(s.profile).size_order(), s.start));
        let instances: Vec<serde_json::Value> = slices.iter().map(|s| instance(product, *s)).collect();
        devices.push(json!({
            "UUID": gpu.uuid.clone().unwrap_or_default(),
            "MigMode": u8::from(layout.is_some()),
            "GpuInstances": instances,
        }));
    }
    out.note(
        "Restore it with `nvidia-mig-parted restore` on the node; every MIG-capable GPU of it is listed.",
    );
    format!("{:#}\n", json!({"Version": "v1", "MigState": {"Devices": devices}}))
}

fn instance(product: &Product, slice: Slice) -> serde_json::Value {
    let profile = product.at(slice.profile);
    json!({
        "ProfileID": profile.nvml_enum(),
        "Placement": {"Start": slice.start, "Size": profile.memory_slices()},
        "ComputeInstances": [{"ProfileID": compute_enum(product, profile), "EngProfileID": 0}],
    })
}

/// `NVML_COMPUTE_INSTANCE_PROFILE_…` of the compute instance that takes a whole GPU instance. From
/// Hopper on the double-memory 1g has more SMs than the plain profile 0 reaches and takes
/// `1_SLICE_REV1` (seen in listings of H100 and H200).
fn compute_enum(product: &Product, profile: &Profile) -> u8 {
    match profile.compute_slices() {
        1 if profile.is_double_memory() && product.architecture() != "Ampere" => 7,
        1 => 0,
        2 => 1,
        3 => 2,
        4 => 3,
        _ => 4,
    }
}

/// A checkpoint: the slices of each GPU by UUID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// GPUs in the order of the file.
    pub devices: Vec<CheckpointDevice>,
}

/// One GPU of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointDevice {
    /// Its UUID.
    pub uuid: Located<String>,
    /// Whether MIG is on.
    pub enabled: bool,
    /// GPU instances in the order in which they are created.
    pub instances: Vec<Instance>,
}

/// A GPU instance of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `NVML_GPU_INSTANCE_PROFILE_…`, and the place of the whole instance.
    pub profile: Located<u32>,
    /// First memory slice.
    pub start: u32,
    /// Memory slices.
    pub size: u32,
}

static COMPUTE: Object = Object {
    name: "a compute instance",
    doc: "A compute instance.",
    keys: &[
        Key::required("ProfileID", SMALL, "NVML compute instance profile"),
        Key::default("EngProfileID", SMALL, "0", "NVML engine profile"),
    ],
};
const SMALL: Kind = Kind::Integer(0, u16::MAX as i128);
static PLACEMENT: Object = Object {
    name: "a placement",
    doc: "Memory slices.",
    keys: &[
        Key::required("Start", SMALL, "first memory slice"),
        Key::required("Size", SMALL, "memory slices"),
    ],
};
static INSTANCE: Object = Object {
    name: "a GPU instance",
    doc: "A MIG slice.",
    keys: &[
        Key::required(
            "ProfileID",
            SMALL,
            "NVML GPU instance profile enum, not the id of `nvidia-smi mig -lgip`",
        ),
        Key::required("Placement", Kind::Object(&PLACEMENT), "where it stands"),
        Key::optional("ComputeInstances", Kind::List(&COMPUTES), "its compute instances"),
    ],
};
static COMPUTES: List = List { of: Kind::Object(&COMPUTE), name: "compute instances", filled: false };
static INSTANCES: List = List { of: Kind::Object(&INSTANCE), name: "GPU instances", filled: false };
static DEVICE: Object = Object {
    name: "a GPU of a checkpoint",
    doc: "A GPU.",
    keys: &[
        Key::required("UUID", Kind::Line, "its UUID"),
        Key::required("MigMode", Kind::Integer(0, 1), "0 or 1"),
        Key::optional("GpuInstances", Kind::List(&INSTANCES), "its MIG slices"),
    ],
};
static DEVICES: List = List { of: Kind::Object(&DEVICE), name: "GPUs", filled: false };
static MIG_STATE: Object = Object {
    name: "the state of a checkpoint",
    doc: "GPUs.",
    keys: &[Key::required("Devices", Kind::List(&DEVICES), "GPUs")],
};
static CHECKPOINT: Object = Object {
    name: "a mig-parted checkpoint",
    doc: "MIG slices by GPU.",
    keys: &[
        Key::required("Version", Kind::Choice(&VERSION), "version of the format"),
        Key::required("MigState", Kind::Object(&MIG_STATE), "GPUs"),
    ],
};

/// Reads a checkpoint. Keys that mig-parted ignores are complained about: they do nothing.
pub(super) fn read(tree: &Rc<Node>, problems: &mut Vec<Problem>) -> Checkpoint {
    let mut found = Vec::new();
    let item = yaml::read(tree, &Kind::Object(&CHECKPOINT), &mut found);
    // The parser of Go drops keys that it does not know.
    problems.extend(found.into_iter().map(|p| if p.code == "unknown-key" { p.warning() } else { p }));
    let devices = record(item, |r| {
        let _: Option<Item> = r.take("Version", problems);
        let state: Option<Item> = r.take("MigState", problems);
        record(state?, |r| r.take::<Vec<CheckpointDevice>, _>("Devices", problems))
    });
    let checkpoint = Checkpoint { devices: devices.unwrap_or_default() };
    for (index, device) in checkpoint.devices.iter().enumerate() {
        let uuid = &device.uuid;
        if checkpoint.devices[..index].iter().any(|d| d.uuid.value == uuid.value) {
            problems.push(Problem::new("duplicate", &uuid.at, format!("`{}` is listed twice", uuid.value)));
        }
        if !device.enabled && !device.instances.is_empty() {
            let message = "slices on a GPU whose MigMode is 0: restore only sets the mode";
            problems.push(Problem::new("no-effect", &device.instances[0].profile.at, message).warning());
        }
    }
    checkpoint
}

impl Lower<Vec<Problem>> for CheckpointDevice {
    fn lower(item: Item, problems: &mut Vec<Problem>) -> Option<Self> {
        record(item, |r| {
            let at = r.place("UUID");
            let uuid: Option<String> = r.take("UUID", problems);
            let mode: Option<u32> = r.take("MigMode", problems);
            let instances: Option<Option<Vec<Instance>>> = r.optional("GpuInstances", problems);
            let uuid = Located::new(&at, uuid?);
            Some(CheckpointDevice { uuid, enabled: mode? == 1, instances: instances?.unwrap_or_default() })
        })
    }
}

impl Lower<Vec<Problem>> for Instance {
    fn lower(item: Item, problems: &mut Vec<Problem>) -> Option<Self> {
        record(item, |r| {
            let at = r.place("ProfileID");
            let profile: Option<u32> = r.take("ProfileID", problems);
            let _: Option<Option<Item>> = r.optional("ComputeInstances", problems);
            let place: Option<Item> = r.take("Placement", problems);
            let (start, size) = record(place?, |r| {
                let start: Option<u32> = r.take("Start", problems);
                let size: Option<u32> = r.take("Size", problems);
                Some((start?, size?))
            })?;
            Some(Instance { profile: Located::new(&at, profile?), start, size })
        })
    }
}

impl CheckpointDevice {
    /// Its layout on a product.
    ///
    /// # Errors
    /// The first instance that cannot be, with the reason.
    pub fn on(&self, product: &Product) -> Result<Layout, (Range<usize>, String)> {
        let mut slices = Vec::new();
        for instance in &self.instances {
            let refuse = |why: String| Err((instance.profile.at.clone(), why));
            let number = instance.profile.value;
            let found = product.profiles().iter().find(|p| u32::from(p.nvml_enum()) == number);
            let Some(profile) = found else {
                let by_id = product.profiles().iter().find(|p| p.id() == Some(number));
                return refuse(match by_id {
                    Some(p) => format!(
                        "{} has no NVML profile enum {number}; {number} is the id of {}, whose enum is {}",
                        product.id(),
                        p.name(),
                        p.nvml_enum()
                    ),
                    None => format!("{} has no NVML profile enum {number}", product.id()),
                });
            };
            if instance.size != u32::from(profile.memory_slices()) {
                let meant = product
                    .profiles()
                    .iter()
                    .find(|p| p.id() == Some(number) && u32::from(p.memory_slices()) == instance.size);
                if let Some(meant) = meant {
                    return refuse(format!(
                        "{number} is the id of {} on {}; a checkpoint has NVML's enum, which is {}",
                        meant.name(),
                        product.id(),
                        meant.nvml_enum()
                    ));
                }
                return refuse(format!(
                    "{} takes {} memory slices on {}, not {}",
                    profile.name(),
                    profile.memory_slices(),
                    product.id(),
                    instance.size
                ));
            }
            let start = u8::try_from(instance.start).unwrap_or(u8::MAX);
            slices.push((Slice { start, profile: profile.index() }, instance));
            let so_far = slices.iter().map(|(s, _)| *s).collect();
            if let Err(error) = Layout::new(product, so_far) {
                return refuse(error.to_string());
            }
        }
        Ok(Layout::new(product, slices.into_iter().map(|(s, _)| s).collect()).expect("checked one by one"))
    }
}
