//! The MIG agent on a node: from what is asked for to operations on devices.
//!
//! internal/controllers/migagent. Which operations there are is nos' decision; their order is free
//! (N8), and whether a device can be made where it is asked for is the driver's to say.

use super::names::{Kind, Observed, Spec, Status};
use std::collections::{BTreeMap, BTreeSet};

/// Most orders of one GPU's new devices that the agent tries (pkg/gpu/nvml/client.go).
pub const ATTEMPTS: usize = 21;

/// A MIG device as kubelet and NVML show it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// GPU index.
    pub gpu: i64,
    /// Resource, such as `nvidia.com/mig-1g.5gb`.
    pub resource: String,
    /// Device id.
    pub id: String,
    /// What it is doing.
    pub status: Status,
}

impl Device {
    /// The profile in its resource; all of it if there is none.
    #[must_use]
    pub fn profile(&self) -> &str {
        Kind::Mig.profile(&self.resource).unwrap_or(&self.resource)
    }
}

/// Devices of one GPU and profile that are to be made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Create {
    /// GPU index.
    pub gpu: i64,
    /// Profile.
    pub profile: String,
    /// How many.
    pub quantity: i64,
}

/// Operations of one pass. Equal plans have equal operations, in any order, the devices of a
/// deletion too.
#[derive(Clone, Debug, Default)]
pub struct Operations {
    /// Devices to delete, by operation.
    pub deletes: Vec<Vec<Device>>,
    /// Devices to make afterwards.
    pub creates: Vec<Create>,
}

/// Whether two lists have the same elements, in any order.
fn same<T: Clone + Ord>(a: &[T], b: &[T]) -> bool {
    sorted(a) == sorted(b)
}

fn sorted<T: Clone + Ord>(items: &[T]) -> Vec<T> {
    let mut items = items.to_vec();
    items.sort();
    items
}

impl PartialEq for Operations {
    fn eq(&self, other: &Operations) -> bool {
        let deletes = |ops: &Operations| ops.deletes.iter().map(|op| sorted(op)).collect::<Vec<_>>();
        same(&deletes(self), &deletes(other)) && same(&self.creates, &other.creates)
    }
}

impl Eq for Operations {}

impl Operations {
    /// Whether there is no operation, be it an empty one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deletes.is_empty() && self.creates.is_empty()
    }
}

/// Devices by GPU and profile.
fn grouped(devices: &[Device]) -> BTreeMap<(i64, &str), Vec<&Device>> {
    let mut groups: BTreeMap<(i64, &str), Vec<&Device>> = BTreeMap::new();
    for device in devices {
        groups.entry((device.gpu, device.profile())).or_default().push(device);
    }
    groups
}

/// Quantities asked for by GPU and profile.
fn wanted(specs: &[Spec]) -> BTreeMap<(i64, &str), i64> {
    let mut wanted = BTreeMap::new();
    for spec in specs {
        *wanted.entry((spec.index, spec.profile.as_str())).or_insert(0) += spec.quantity;
    }
    wanted
}

/// Whether exactly the devices exist that are asked for, whatever they are doing.
#[must_use]
pub fn matches(devices: &[Device], specs: &[Spec]) -> bool {
    let exist = grouped(devices).into_iter().map(|(key, devices)| (key, devices.len() as i64));
    wanted(specs) == exist.collect()
}

/// Whether the quantities that a node is asked for are those that it reports, all statuses summed
/// (pkg/gpu/mig/util.go).
#[must_use]
pub fn spec_matches_status(specs: &[Spec], observed: &[Observed]) -> bool {
    let mut reported = BTreeMap::new();
    for status in observed {
        *reported.entry((status.index, status.profile.as_str())).or_insert(0) += status.quantity;
    }
    wanted(specs) == reported
}

/// The operations that make the devices those that are asked for (plan/plan.go).
///
/// 1. Devices of a GPU and profile that nobody asks for go, used ones too.
/// 2. Of every other GPU and profile, what is missing is made and what is too much goes: free devices
///    first, in order of their ids as text.
/// 3. A GPU that gets a new device gives up its free ones and gets them anew, so that the driver may
///    place all of them as it likes.
#[must_use]
pub fn operations(devices: &[Device], specs: &[Spec]) -> Operations {
    let (exist, wanted) = (grouped(devices), wanted(specs));
    let mut operations = Operations::default();
    let mut gone: BTreeSet<&Device> = BTreeSet::new();
    let delete = |operations: &mut Operations, op: Vec<&'_ Device>| {
        operations.deletes.push(op.iter().map(|device| (*device).clone()).collect());
    };
    for (_, devices) in exist.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
        gone.extend(devices);
        delete(&mut operations, devices.clone());
    }
    for ((gpu, profile), quantity) in &wanted {
        let mut devices = exist.get(&(*gpu, *profile)).cloned().unwrap_or_default();
        let missing = quantity - devices.len() as i64;
        if 0 < missing {
            let profile = (*profile).to_owned();
            operations.creates.push(Create { gpu: *gpu, profile, quantity: missing });
        } else if missing < 0 {
            devices.sort_by_key(|device| (device.status != Status::Free, &device.id));
            let surplus = usize::try_from(-missing).expect("the sign was looked at");
            devices.truncate(surplus);
            gone.extend(&devices);
            delete(&mut operations, devices);
        }
    }
    let growing: BTreeSet<i64> = operations.creates.iter().map(|create| create.gpu).collect();
    for gpu in growing {
        let again: Vec<&Device> = devices
            .iter()
            .filter(|d| d.gpu == gpu && d.status == Status::Free && !gone.contains(d))
            .collect();
        if again.is_empty() {
            continue;
        }
        let mut quantities: BTreeMap<&str, i64> = BTreeMap::new();
        for device in &again {
            *quantities.entry(device.profile()).or_insert(0) += 1;
        }
        let creates = quantities.into_iter();
        operations.creates.extend(creates.map(|(profile, quantity)| Create {
            gpu,
            profile: profile.to_owned(),
            quantity,
        }));
        delete(&mut operations, again);
    }
    operations
}

/// Devices to make on each GPU, one profile per device, in the order of the operations.
#[must_use]
pub fn profiles_to_create(operations: &Operations) -> BTreeMap<i64, Vec<String>> {
    let mut profiles: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for create in &operations.creates {
        let count = usize::try_from(create.quantity).unwrap_or(0);
        profiles.entry(create.gpu).or_default().extend(std::iter::repeat_n(create.profile.clone(), count));
    }
    profiles
}

/// Orders of `items` by position, the first as they are; equal items count as different. None of no
/// items (pkg/util/stat.go).
pub fn permutations<T: Clone>(items: &[T]) -> impl Iterator<Item = Vec<T>> {
    let first = (!items.is_empty()).then(|| (0..items.len()).collect::<Vec<_>>());
    let orders = std::iter::successors(first, |order| {
        let mut next = order.clone();
        let rise = next.windows(2).rposition(|pair| pair[0] < pair[1])?;
        let swap = next.iter().rposition(|at| next[rise] < *at).expect("the next one is larger");
        next.swap(rise, swap);
        next[rise + 1..].reverse();
        Some(next)
    });
    orders.map(|order| order.into_iter().map(|at| items[at].clone()).collect())
}

/// What a device's deletion met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteError {
    /// The device was gone.
    NotFound,
    /// Anything else.
    Failed,
}

/// How a delete operation went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Devices that the driver was asked to delete.
    pub calls: usize,
    /// Whether one of them failed: the pass is tried again.
    pub failed: bool,
    /// Whether the device plugin has to restart: something is gone.
    pub restart: bool,
}

/// Deletes the free devices of an operation, one by one; the others are passed over.
pub fn delete(op: &[Device], mut driver: impl FnMut(&Device) -> Result<(), DeleteError>) -> Deleted {
    let mut deleted = Deleted::default();
    for device in op.iter().filter(|device| device.status == Status::Free) {
        deleted.calls += 1;
        match driver(device) {
            Ok(()) => deleted.restart = true,
            Err(error) => {
                deleted.failed = true;
                deleted.restart |= error == DeleteError::NotFound;
            }
        }
    }
    deleted
}

/// What a node's devices are reported as: quantities by GPU, profile and status. `profile` finds the
/// profile in a resource; devices without one are left out (pkg/gpu/device.go).
pub fn report<'a>(devices: &'a [Device], profile: impl Fn(&'a str) -> Option<&'a str>) -> Vec<Observed> {
    let mut counts: BTreeMap<(i64, &str, Status), i64> = BTreeMap::new();
    for device in devices {
        if let Some(profile) = profile(&device.resource) {
            *counts.entry((device.gpu, profile, device.status)).or_insert(0) += 1;
        }
    }
    let observed = counts.into_iter().map(|((index, profile, status), quantity)| Observed {
        index,
        profile: profile.to_owned(),
        status,
        quantity,
    });
    observed.collect()
}
