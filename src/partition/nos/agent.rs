//! The agents on a node: from what is asked for to operations on devices, and back to reports.
//!
//! internal/controllers/{migagent,gpuagent}. Which operations there are is nos' decision; their order is free
//! (N8), and whether a device can be made where it is asked for is the driver's to say.

use super::choice::{Choices, Free, arrange};
use super::fix::Fix;
use super::names::{Kind, Observed, SPEC_PLAN, STATUS_PLAN, STATUS_PREFIX, Spec, Status, Texts};
use super::settings::Settings;
use crate::gpu::tools;
use crate::units::Span;
use std::collections::{BTreeMap, BTreeSet};

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

/// The operations that make the devices those that are asked for, GPU by GPU
/// ([`tools::nos_operations`]). Surplus devices go in the order of their ids as text.
#[must_use]
pub fn operations(devices: &[Device], specs: &[Spec]) -> Operations {
    let (standing, asked) = (grouped(devices), wanted(specs));
    let gpus: BTreeSet<i64> = standing.keys().chain(asked.keys()).map(|(gpu, _)| *gpu).collect();
    let mut operations = Operations::default();
    for gpu in gpus {
        let mut exist: BTreeMap<&str, Vec<(&Device, bool)>> = BTreeMap::new();
        for ((_, profile), devices) in standing.iter().filter(|((of, _), _)| *of == gpu) {
            let mut devices = devices.clone();
            devices.sort_by_key(|device| &device.id);
            let known = devices.into_iter().map(|device| (device, device.status == Status::Free));
            exist.insert(profile, known.collect());
        }
        let asked = asked.iter().filter(|((of, _), _)| *of == gpu);
        let asked = asked.map(|((_, profile), quantity)| (*profile, *quantity)).collect();
        let of_gpu = tools::nos_operations(&exist, &asked);
        let cloned = |op: Vec<&Device>| op.into_iter().cloned().collect();
        operations.deletes.extend(of_gpu.deletes.into_iter().map(cloned));
        let create = |(profile, quantity): (&str, i64)| Create { gpu, profile: profile.to_owned(), quantity };
        operations.creates.extend(of_gpu.creates.into_iter().map(create));
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

/// Puts the status annotations of a node in place of those it has; `None` if it has them already, under
/// this plan id where one is given.
fn rewritten(annotations: &Texts, observed: &[Observed], plan: Option<&str>) -> Option<Texts> {
    let current: Vec<Observed> = Observed::of(annotations).collect();
    let reported = |plan: &str| annotations.get(STATUS_PLAN).map_or("", String::as_str) == plan;
    if same(&current, observed) && plan.is_none_or(reported) {
        return None;
    }
    let mut annotations = annotations.clone();
    annotations.retain(|key, _| !key.starts_with(STATUS_PREFIX));
    annotations.extend(observed.iter().map(|status| (status.to_string(), status.quantity.to_string())));
    if let Some(plan) = plan {
        annotations.insert(STATUS_PLAN.to_owned(), plan.to_owned());
    }
    Some(annotations)
}

/// The report of the GPU agent of an MPS node: its annotations, if they change. Resources that are no MPS
/// slices are left out, and there is no plan id (internal/controllers/gpuagent).
#[must_use]
pub fn mps_report(annotations: &Texts, devices: &[Device]) -> Option<Texts> {
    rewritten(annotations, &report(devices, |resource| Kind::Mps.profile(resource)), None)
}

/// What the actuator of a MIG agent does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// It looks again after this long: no report came since its last pass.
    Again(Span),
    /// Nothing.
    Nothing,
    /// These operations ([`super::device::apply`]); then it is told how they went
    /// ([`MigAgent::applied`]).
    Apply(Operations),
}

/// The MIG agent of one node: a reporter and an actuator that share a lock and a token
/// (internal/controllers/migagent/{reporter,actuator,shared_state}.go).
///
/// The reporter runs at the start, every [`Settings::mig_report`] and when the node's capacity changes;
/// the actuator runs at every change of the node's annotations, and when it asked to. An actuator's pass
/// holds the lock until the device plugin is back: the reporter waits for it.
#[derive(Clone, Debug)]
pub struct MigAgent {
    settings: Settings,
    /// Whether a report came since the actuator's last pass.
    token: bool,
    /// The plan id that the actuator read last.
    parsed: String,
    /// The plan id that reports carry.
    reported: String,
    /// Operations and status of the last pass that came so far.
    last: Option<(Operations, Vec<Observed>)>,
}

impl MigAgent {
    /// An agent that has just started.
    #[must_use]
    pub fn new(settings: &Settings) -> MigAgent {
        let (parsed, reported) = (String::new(), String::new());
        MigAgent { settings: *settings, token: false, parsed, reported, last: None }
    }

    /// What it deletes when it starts: everything that is free ([`Fix::AgentStart`]). The node's other
    /// devices stay (cmd/migagent).
    #[must_use]
    pub fn start(&self, devices: &[Device]) -> Vec<Device> {
        if self.settings.fixes.has(Fix::AgentStart) {
            return Vec::new();
        }
        devices.iter().filter(|device| device.status == Status::Free).cloned().collect()
    }

    /// Reports the devices that kubelet shows: the node's annotations, if they change. In every case the
    /// actuator may pass again.
    pub fn report(&mut self, annotations: &Texts, devices: &[Device]) -> Option<Texts> {
        self.token = true;
        let observed = report(devices, |resource| Kind::Mig.profile(resource));
        rewritten(annotations, &observed, Some(&self.reported))
    }

    /// A report that found nothing new: all that it does is to let the actuator pass again.
    pub fn tick(&mut self) {
        self.token = true;
    }

    /// Looks at what the node is asked for.
    pub fn act(&mut self, annotations: &Texts, devices: &[Device], choices: &mut dyn Choices) -> Act {
        if !std::mem::take(&mut self.token) {
            return Act::Again(self.settings.gate_poll);
        }
        self.parsed = annotations.get(SPEC_PLAN).cloned().unwrap_or_default();
        let fixes = self.settings.fixes;
        if !fixes.has(Fix::PlanIds) {
            self.reported.clone_from(&self.parsed);
        }
        let specs: Vec<Spec> = Spec::of(annotations).collect();
        let status: Vec<Observed> = Observed::of(annotations).collect();
        if spec_matches_status(&specs, &status) {
            self.reported.clone_from(&self.parsed);
            return Act::Nothing;
        }
        let mut plan = Operations::default();
        if !matches(devices, &specs) {
            plan = operations(devices, &specs);
        }
        let again = self.last.as_ref().is_some_and(|(last, before)| {
            *last == plan && (same(before, &status) || fixes.has(Fix::PluginRestart))
        });
        self.last = Some((plan.clone(), status));
        if plan.is_empty() || again {
            self.reported.clone_from(&self.parsed);
            return Act::Nothing;
        }
        plan.creates.sort();
        arrange(choices, Free::Creations, &mut plan.creates);
        Act::Apply(plan)
    }

    /// The operations were applied, and the device plugin is back if it had to restart. A pass that
    /// failed is tried again, for which it takes another report: `true` then.
    pub fn applied(&mut self, failed: bool) -> bool {
        self.token = false;
        self.reported.clone_from(&self.parsed);
        failed
    }
}
